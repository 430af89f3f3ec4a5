//! SYN cookies: a flood of SYNs, and clients in the middle of it.

use smoltcp::wire::{TcpControl, TcpRepr};

use super::wire::{Answer, Bench, segment};
use super::*;
use crate::observe::{Rule, TcpState};

const FLOODED: usize = 64;

/// A bench whose table of SYN entries is full.
fn flooded() -> Bench {
    let mut config = config_a();
    config.limits.syn_entries = FLOODED;
    let mut bench = Bench::with(config);
    for port in 0..FLOODED as u16 {
        bench.send(&from(10_000 + port, segment(TcpControl::Syn, 1, None)), Duration::ZERO);
    }
    bench
}

fn from(port: u16, repr: TcpRepr<'static>) -> TcpRepr<'static> {
    TcpRepr { src_port: port, ..repr }
}

/// The ACK that answers a SYN-ACK.
fn ack(port: u16, syn_ack: &Answer) -> TcpRepr<'static> {
    from(port, segment(TcpControl::None, syn_ack.ack.unwrap(), Some(syn_ack.seq.wrapping_add(1))))
}

#[test]
fn a_full_table_keeps_what_it_has_and_the_newcomer_gets_a_cookie() {
    let mut bench = flooded();
    let syn = TcpRepr {
        max_seg_size: Some(1400),
        window_scale: Some(7),
        sack_permitted: true,
        ..segment(TcpControl::Syn, 1000, None)
    };
    let answers = bench.send(&syn, Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpCookieSent));
    assert_eq!((answers[0].control, answers[0].ack), (TcpControl::Syn, Some(1001)));
    assert_eq!((answers[0].mss, answers[0].window), (Some(1460), 65_535));
    assert_eq!(bench.send(&syn, Duration::ZERO), answers, "the same again: nothing was remembered");
    // Those who were there first are still there.
    let first = bench.send(&from(10_000, segment(TcpControl::Syn, 1, None)), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpSynRetransmit));
    bench.send(&ack(10_000, &first[0]), Duration::ZERO);
    assert!(bench.listener.queue.try_accept().is_ok());
}

#[test]
fn a_cookie_that_comes_back_establishes_a_connection_that_works() {
    let mut bench = flooded();
    let answers = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO);
    let first = TcpRepr { payload: b"hello", control: TcpControl::Psh, ..ack(5000, &answers[0]) };
    bench.send(&first, Duration::from_millis(50));
    assert_eq!(bench.fate().rule, Some(Rule::TcpCookieAccepted));
    assert_eq!(bench.fate().states, Some((TcpState::SynReceived, TcpState::Established)));
    let stream = bench.listener.queue.try_accept().unwrap();
    let mut buffer = [0; 16];
    assert_eq!(stream.pipe.try_read(&mut buffer), Ok(5));
    assert_eq!(buffer[..5], *b"hello");
    stream.pipe.try_write(&[7; 1000]).unwrap();
    let sent = bench.idle(Duration::from_millis(50));
    assert_eq!(sent.iter().map(|answer| answer.payload.len()).sum::<usize>(), 1000);
    assert_eq!(sent[0].payload.len(), 536, "the MSS of a peer that offered none came back with the cookie");
    assert_eq!(sent[0].seq, answers[0].seq.wrapping_add(1));
}

/// The echoed timestamp is the second half of the cookie.
#[test]
fn what_a_syn_with_timestamps_offered_comes_back_with_the_cookie() {
    let mut config = config_a();
    config.limits.syn_entries = 0;
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let (a, b, _listener) = net.connected();
    assert_eq!(net.a.stack.counters().of(Rule::TcpCookieAccepted), 1);
    b.pipe.try_write(b"x").unwrap();
    net.run(Duration::from_millis(100));
    let Ok(Outcome::Info(ours)) = net.call_a(Verb::Info { socket: a.handle }) else { panic!() };
    let Ok(Outcome::Info(theirs)) = net.call_b(Verb::Info { socket: b.handle }) else { panic!() };
    assert_eq!((ours.sack, theirs.sack), (true, true));
    assert!(ours.send_scale.is_some() && theirs.send_scale.is_some());
    assert_eq!(ours.send_scale, theirs.receive_scale);
}

#[test]
fn cookies_leave_no_entry_and_are_not_sent_again() {
    let mut bench = flooded();
    let before = bench.net.a.stack.sockets();
    let answers = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::from_secs(30));
    let ours = answers.iter().filter(|answer| answer.ack == Some(1001)).count();
    assert_eq!(ours, 1);
    assert_eq!(bench.net.a.stack.sockets(), before);
}

#[test]
fn ten_thousand_half_open_connections_do_not_stop_the_next_client() {
    let mut bench = Bench::new();
    for i in 0..10_000_u32 {
        let port = 10_000 + i as u16;
        bench.send(&from(port, segment(TcpControl::Syn, i, None)), Duration::ZERO);
    }
    let entries = config_a().limits.syn_entries as u64;
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpCookieSent), 10_000 - entries);
    for isn in [u32::MAX - 1, 77] {
        let answers = bench.send(&segment(TcpControl::Syn, isn, None), Duration::ZERO);
        bench.send(&ack(5000, &answers[0]), Duration::ZERO);
        assert!(bench.listener.queue.try_accept().is_ok());
        bench.send(&segment(TcpControl::Rst, isn.wrapping_add(1), None), Duration::ZERO);
    }
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpCookieAccepted), 2);
}

#[test]
fn two_stacks_connect_through_a_cookie() {
    let mut config = config_a();
    config.limits.syn_entries = 0;
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let (a, b, _listener) = net.connected();
    assert_eq!(net.a.stack.counters().of(Rule::TcpCookieAccepted), 1);
    let data: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    let (mut written, mut read) = (0, Vec::new());
    let mut buffer = vec![0; 1 << 16];
    net.run_until(Duration::from_secs(30), |_| {
        written += b.pipe.try_write(&data[written..]).unwrap_or(0);
        let count = a.pipe.try_read(&mut buffer).unwrap_or(0);
        read.extend_from_slice(&buffer[..count]);
        read.len() == data.len()
    });
    assert_eq!(read, data);
}

#[test]
fn a_cookie_that_is_wrong_old_or_out_of_season_gets_a_reset() {
    let mut bench = flooded();
    let answers = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO);
    let good = ack(5000, &answers[0]);
    let wrong = [
        TcpRepr { ack_number: good.ack_number.map(|ack| ack + 1), ..good },
        TcpRepr { seq_number: good.seq_number + 1, ..good },
        from(5001, good),
    ];
    for wrong in wrong {
        let reset = bench.send(&wrong, Duration::ZERO);
        assert_eq!((reset.len(), reset[0].control), (1, TcpControl::Rst));
        assert_eq!(bench.fate().rule, Some(Rule::TcpRstListen));
    }
    bench.idle(Duration::from_secs(300));
    let late = bench.send(&good, Duration::ZERO);
    assert_eq!((late.len(), late[0].control), (1, TcpControl::Rst));
    assert!(bench.listener.queue.try_accept().is_err());
}

#[test]
fn a_cookie_waits_for_room_in_the_accept_queue() {
    let mut config = config_a();
    config.limits.syn_entries = 0;
    let mut bench = Bench::with(config);
    // 16 may wait; all 17 have their cookies before the queue is full.
    let cookies: Vec<Answer> = (0..17)
        .map(|i| bench.send(&from(6000 + i, segment(TcpControl::Syn, 1, None)), Duration::ZERO).remove(0))
        .collect();
    for (i, cookie) in cookies.iter().enumerate() {
        assert_eq!(bench.send(&ack(6000 + i as u16, cookie), Duration::ZERO), []);
    }
    assert_eq!(bench.fate().rule, Some(Rule::TcpAckBacklogFull));
    assert!(bench.listener.queue.try_accept().is_ok());
    let again = TcpRepr { payload: b"x", ..ack(6016, &cookies[16]) };
    bench.idle(Duration::ZERO);
    bench.send(&again, Duration::from_secs(1));
    assert_eq!(bench.fate().rule, Some(Rule::TcpCookieAccepted));
}
