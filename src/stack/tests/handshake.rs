//! SYN-RECEIVED and the accept queue.

use smoltcp::wire::{TcpControl, TcpRepr};

use super::icmp::{sending, unreachable};
use super::wire::{Answer, Bench, segment};
use super::*;
use crate::observe::{Rule, TcpState};

fn syn(isn: u32) -> TcpRepr<'static> {
    segment(TcpControl::Syn, isn, None)
}

fn ack_of(syn_ack: &Answer) -> TcpRepr<'static> {
    segment(TcpControl::None, syn_ack.ack.unwrap(), Some(syn_ack.seq.wrapping_add(1)))
}

/// When A sent what, in milliseconds, since the bench was asked last.
fn times(bench: &Bench, rule: Rule) -> Vec<u64> {
    let frames = bench.net.a.seen.frames.iter();
    let sent = frames.filter(|(_, direction, _, fate)| *direction == Direction::Out && fate.rule == Some(rule));
    sent.map(|(at, ..)| at.micros() / 1000).collect()
}

#[test]
fn a_syn_that_comes_again_is_answered_a_few_times_and_changes_no_timer() {
    let mut bench = Bench::new();
    let start = bench.net.now.micros() / 1000;
    let first = bench.send(&syn(1000), Duration::from_millis(100));
    for _ in 0..3 {
        assert_eq!(bench.send(&syn(1000), Duration::from_millis(100)), first);
        assert_eq!(bench.fate().rule, Some(Rule::TcpSynRetransmit));
    }
    for _ in 0..3 {
        assert_eq!(bench.send(&syn(1000), Duration::from_millis(100)), []);
        assert_eq!(bench.fate().rule, Some(Rule::TcpSynRepeated));
    }
    bench.idle(Duration::from_secs(300));
    let due: Vec<u64> = times(&bench, Rule::TcpSynAckTimeout).iter().map(|at| at - start).collect();
    assert_eq!(due, [1000, 3000, 7000, 15_000, 31_000], "as if the SYN had come once");
}

#[test]
fn each_handshake_begins_its_backoff_anew() {
    let mut bench = Bench::new();
    bench.send(&syn(1000), Duration::from_secs(20));
    let start = bench.net.now.micros() / 1000;
    bench.send(&TcpRepr { src_port: 6000, ..syn(1) }, Duration::from_secs(4));
    let due: Vec<u64> = times(&bench, Rule::TcpSynAckTimeout).iter().map(|at| at - start).collect();
    assert_eq!(due, [1000, 3000]);
}

#[test]
fn a_peer_that_begins_anew_is_challenged_and_may_then_connect() {
    let mut bench = Bench::new();
    bench.send(&syn(1000), Duration::ZERO);
    let challenge = bench.send(&syn(500_000_000), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpChallengeSyn));
    assert_eq!((challenge[0].control, challenge[0].ack), (TcpControl::None, Some(1001)));
    // Its answer to an ACK of what it never sent, as RFC 9293 §3.10.7.3 wants it.
    assert_eq!(bench.send(&segment(TcpControl::Rst, challenge[0].ack.unwrap(), None), Duration::ZERO), []);
    assert_eq!(bench.fate().states, Some((TcpState::SynReceived, TcpState::Listen)));
    let answers = bench.send(&syn(500_000_000), Duration::ZERO);
    bench.send(&ack_of(&answers[0]), Duration::ZERO);
    assert!(bench.listener.queue.try_accept().is_ok());
}

#[test]
fn only_the_exact_reset_ends_a_handshake() {
    let mut bench = Bench::new();
    let answers = bench.send(&syn(1000), Duration::ZERO);
    let challenge = bench.send(&segment(TcpControl::Rst, 1500, None), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpChallengeReset));
    assert_eq!((challenge[0].control, challenge[0].ack), (TcpControl::None, Some(1001)));
    for far in [1000, 1001 + 65_535, 1001 + (1 << 31), 3 << 30] {
        assert_eq!(bench.send(&segment(TcpControl::Rst, far, None), Duration::ZERO), []);
        assert_eq!(bench.fate().rule, Some(Rule::TcpSequenceFar));
    }
    bench.send(&ack_of(&answers[0]), Duration::ZERO);
    assert!(bench.listener.queue.try_accept().is_ok());
}

#[test]
fn data_in_a_syn_is_not_taken_and_does_no_harm() {
    let mut bench = Bench::new();
    let answers = bench.send(&TcpRepr { payload: b"early", ..syn(1000) }, Duration::ZERO);
    assert_eq!((answers[0].control, answers[0].ack), (TcpControl::Syn, Some(1001)));
    let data = TcpRepr { payload: b"early", control: TcpControl::Psh, ..ack_of(&answers[0]) };
    bench.send(&data, Duration::from_millis(50));
    let stream = bench.listener.queue.try_accept().unwrap();
    assert_eq!(stream.pipe.try_read(&mut [0; 16]), Ok(5));
}

#[test]
fn closing_a_listener_resets_its_handshakes_and_no_others() {
    let mut bench = Bench::new();
    let other = bench.net.listen_a(at("0.0.0.0", 81), 16);
    let mut expected = Vec::new();
    for port in 6000..6020 {
        let answers = bench.send(&TcpRepr { src_port: port, ..syn(1000) }, Duration::ZERO);
        expected.push((answers[0].seq.wrapping_add(1), Some(1001)));
    }
    let kept = bench.send(&TcpRepr { dst_port: 81, ..syn(1000) }, Duration::ZERO);
    // Two of them are not under way any more: one was reset, one was completed.
    bench.send(&TcpRepr { src_port: 6003, ..segment(TcpControl::Rst, 1001, None) }, Duration::ZERO);
    let done = segment(TcpControl::None, 1001, Some(expected[7].0));
    bench.send(&TcpRepr { src_port: 6007, ..done }, Duration::ZERO);
    drop(bench.listener.queue.try_accept().unwrap());
    bench.idle(Duration::ZERO);
    let Bench { net, listener } = bench;
    drop(listener);
    let mut bench = Bench { net, listener: other };
    let resets = bench.idle(Duration::ZERO);
    let mut reset: Vec<_> = resets.iter().map(|answer| (answer.seq, answer.ack)).collect();
    expected.remove(7);
    expected.remove(3);
    reset.sort_unstable();
    expected.sort_unstable();
    assert_eq!(reset, expected);
    assert!(resets.iter().all(|answer| answer.control == TcpControl::Rst));
    assert_eq!(times(&bench, Rule::TcpListenerClosed).len(), 18);
    bench.send(&TcpRepr { dst_port: 81, ..ack_of(&kept[0]) }, Duration::ZERO);
    assert!(bench.listener.queue.try_accept().is_ok());
}

#[test]
fn closing_a_listener_resets_the_connections_that_nobody_accepted() {
    let mut bench = Bench::new();
    let accepted = bench.establish(1000);
    let _stream = bench.listener.queue.try_accept().unwrap();
    let answers = bench.send(&TcpRepr { src_port: 6000, ..syn(1000) }, Duration::ZERO);
    bench.send(&TcpRepr { src_port: 6000, ..ack_of(&answers[0]) }, Duration::ZERO);
    let Bench { mut net, listener } = bench;
    let other = net.listen_a(at("0.0.0.0", 81), 16);
    drop(listener);
    let mut bench = Bench { net, listener: other };
    let resets = bench.idle(Duration::from_millis(50));
    assert_eq!(resets.len(), 1, "{resets:?}");
    assert_eq!((resets[0].control, resets[0].seq), (TcpControl::Rst, answers[0].seq.wrapping_add(1)));
    // The one that was accepted lives on.
    let data = TcpRepr { payload: b"x", ..segment(TcpControl::Psh, 1001, Some(accepted.wrapping_add(1))) };
    assert_eq!(bench.send(&data, Duration::from_millis(50))[0].ack, Some(1002));
}

#[test]
fn the_accept_queue_is_exactly_as_long_as_listen_said() {
    for backlog in [1, 2, 5] {
        let mut bench = Bench::new();
        let listener = bench.net.listen_a(at("0.0.0.0", 81), backlog);
        let clients: Vec<TcpRepr<'static>> = (0..=backlog as u16)
            .map(|i| {
                let syn = TcpRepr { src_port: 6000 + i, dst_port: 81, ..syn(1000) };
                let answers = bench.send(&syn, Duration::ZERO);
                TcpRepr { src_port: syn.src_port, dst_port: 81, ..ack_of(&answers[0]) }
            })
            .collect();
        for client in &clients {
            assert_eq!(bench.send(client, Duration::ZERO), [], "nobody is reset");
        }
        assert_eq!(bench.fate().rule, Some(Rule::TcpAckBacklogFull));
        assert_eq!(bench.fate().states, Some((TcpState::SynReceived, TcpState::SynReceived)));
        // A newcomer is not even listened to.
        assert_eq!(bench.send(&TcpRepr { src_port: 7000, dst_port: 81, ..syn(1) }, Duration::ZERO), []);
        assert_eq!(bench.fate().rule, Some(Rule::TcpBacklogFull));
        for _ in 0..backlog {
            assert!(listener.queue.try_accept().is_ok());
        }
        assert!(listener.queue.try_accept().is_err(), "{backlog} and no more");
        // There is room: the SYN-ACK comes again, and the peer repeats its ACK.
        let again = bench.idle(Duration::from_millis(1500));
        assert_eq!(again.iter().filter(|answer| answer.control == TcpControl::Syn).count(), 1);
        bench.send(clients.last().unwrap(), Duration::ZERO);
        assert!(listener.queue.try_accept().is_ok());
    }
}

#[test]
fn data_of_a_client_that_found_the_queue_full_completes_its_handshake_later() {
    let mut bench = Bench::new();
    let listener = bench.net.listen_a(at("0.0.0.0", 81), 1);
    let answers: Vec<Answer> = (0..2)
        .map(|i| bench.send(&TcpRepr { src_port: 6000 + i, dst_port: 81, ..syn(1000) }, Duration::ZERO).remove(0))
        .collect();
    let data = |i: usize| TcpRepr {
        src_port: 6000 + i as u16,
        dst_port: 81,
        payload: b"request",
        control: TcpControl::Psh,
        ..ack_of(&answers[i])
    };
    bench.send(&data(0), Duration::from_millis(100));
    assert_eq!(bench.send(&data(1), Duration::from_millis(100)), []);
    let _first = listener.queue.try_accept().unwrap();
    bench.idle(Duration::ZERO);
    bench.send(&data(1), Duration::from_millis(100));
    let second = listener.queue.try_accept().unwrap();
    assert_eq!(second.pipe.try_read(&mut [0; 16]), Ok(7));
}

#[test]
fn challenges_are_bounded_for_each_connection() {
    let mut bench = Bench::new();
    bench.establish(1000);
    let reset = segment(TcpControl::Rst, 1101, None);
    let answered = (0..100).filter(|_| !bench.send(&reset, Duration::ZERO).is_empty()).count();
    assert_eq!(answered, 10);
    assert_eq!(bench.fate().rule, Some(Rule::TcpChallengeLimited));
    // Another connection, and a handshake, have their own.
    bench.send(&TcpRepr { src_port: 6000, ..syn(1000) }, Duration::ZERO);
    assert_eq!(bench.send(&TcpRepr { src_port: 6000, ..reset }, Duration::ZERO).len(), 1);
    bench.idle(Duration::from_secs(1));
    assert_eq!(bench.send(&reset, Duration::ZERO).len(), 1);
}

#[test]
fn challenges_are_bounded_in_total() {
    let mut config = config_a();
    config.limits.errors_per_second = 20;
    let mut bench = Bench::with(config);
    let mut answered = 0;
    for port in 6000..6100 {
        bench.send(&TcpRepr { src_port: port, ..syn(1000) }, Duration::ZERO);
        let reset = TcpRepr { src_port: port, ..segment(TcpControl::Rst, 1101, None) };
        answered += bench.send(&reset, Duration::ZERO).len();
    }
    assert!((10..=30).contains(&answered), "{answered}");
}

#[test]
fn a_connection_begins_with_the_mtu_of_its_path() {
    let (mut bench, _first, sent) = sending();
    bench.inject(&unreachable(4, 1000, &sent[0]), Duration::from_millis(50));
    bench.send(&segment(TcpControl::Rst, 1001, None), Duration::ZERO);
    // The next connection knows.
    let answers = bench.send(&TcpRepr { max_seg_size: Some(1460), ..syn(2000) }, Duration::ZERO);
    bench.send(&ack_of(&answers[0]), Duration::ZERO);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.try_write(&[2; 1400]).unwrap();
    let sent = bench.idle(Duration::from_millis(10));
    assert_eq!(sent[0].payload.len(), 960);
}
