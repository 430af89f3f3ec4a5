//! Ends that must come, and what is told of them.

use smoltcp::wire::{TcpControl, TcpRepr, TcpTimestampRepr};

use super::wire::{Bench, segment};
use super::*;
use crate::config::Limits;
use crate::error::Error;
use crate::observe::{NoObserver, Rule, TcpState};
use crate::socket::SocketOption;
use crate::stack::{Lifetime, Origin};

/// An accepted connection, and our next number; the peer's is 1001.
fn accepted(bench: &mut Bench) -> (StreamSocket, u32) {
    let ours = bench.establish(1000).wrapping_add(1);
    (bench.listener.queue.try_accept().unwrap(), ours)
}

fn with(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = config_a();
    change(&mut config.limits);
    config
}

/// A asks for a connection to the port that the bench speaks from. Our initial number.
fn ask(bench: &mut Bench) -> u32 {
    bench.net.a.begin(Verb::OpenStream { local: Some(at(A, 80)), remote: at(B, 5000) });
    bench.idle(Duration::ZERO)[0].seq
}

#[test]
fn an_opening_from_both_sides_that_gets_no_further_is_given_up() {
    let mut bench = Bench::new();
    ask(&mut bench);
    bench.send(&segment(TcpControl::Syn, 300, None), Duration::ZERO);
    assert_eq!(bench.fate().states, Some((TcpState::SynSent, TcpState::SynReceived)));
    bench.idle(Duration::from_secs(128));
    assert_eq!(bench.completion().unwrap().result.unwrap_err(), Error::TimedOut);
    assert_eq!(bench.net.a.stack.sockets(), 1, "the listener");
}

#[test]
fn a_peer_that_sends_nonsense_does_not_keep_a_connect_waiting() {
    let mut bench = Bench::new();
    let ours = ask(&mut bench);
    for _ in 0..13 {
        bench.send(&segment(TcpControl::None, 300, Some(ours)), Duration::from_secs(10));
    }
    assert_eq!(bench.completion().unwrap().result.unwrap_err(), Error::TimedOut);
}

/// The program has written more than the send buffer takes, and is gone.
#[test]
fn a_peer_that_keeps_its_window_closed_does_not_keep_what_a_program_left_in_its_pipe() {
    let mut bench = Bench::with(with(|limits| limits.send_buffer = 2048));
    let (stream, ours) = accepted(&mut bench);
    let closed = TcpRepr { window_len: 0, ..segment(TcpControl::None, 1001, Some(ours)) };
    bench.send(&closed, Duration::ZERO);
    assert_eq!(stream.pipe.try_write(&[7; 50_000]), Ok(50_000));
    bench.idle(Duration::ZERO);
    drop(stream);
    for _ in 0..21 {
        bench.send(&closed, Duration::from_secs(5));
    }
    assert_eq!(bench.net.a.stack.sockets(), 1, "the listener");
}

/// RFC 7323 §5.3. The connection would have come to life half established.
#[test]
fn a_third_segment_with_an_old_timestamp_does_not_complete_the_handshake() {
    let mut bench = Bench::new();
    let with = |value, repr| TcpRepr { timestamp: Some(TcpTimestampRepr::new(value, 0)), ..repr };
    let ours = bench.send(&with(5000, segment(TcpControl::Syn, 1000, None)), Duration::ZERO)[0].seq;
    let ack = segment(TcpControl::None, 1001, Some(ours.wrapping_add(1)));
    assert_eq!(bench.send(&with(4000, ack), Duration::ZERO).len(), 1);
    assert_eq!(bench.fate().rule, Some(Rule::TcpPaws));
    assert!(bench.listener.queue.try_accept().is_err());
    bench.send(&with(5001, ack), Duration::ZERO);
    assert!(bench.listener.queue.try_accept().is_ok());
}

/// A buffer that was used before counts as soon as it is used again: between the look at the limit and the segment.
#[test]
fn a_third_segment_whose_data_finds_no_memory_establishes_all_the_same() {
    let mut bench = Bench::with(with(|limits| limits.memory = 3 * 4096));
    let (stream, ours) = accepted(&mut bench);
    bench.send(&TcpRepr { payload: b"x", ..segment(TcpControl::Psh, 1001, Some(ours)) }, Duration::ZERO);
    bench.send(&segment(TcpControl::Rst, 1002, None), Duration::ZERO);
    drop(stream);
    bench.idle(Duration::ZERO);
    let others = bench.net.a.stack.transport.memory().buffer(1 << 20).unwrap();
    others.touch(2 * 4096);
    let ours = bench.send(&segment(TcpControl::Syn, 1000, None), Duration::ZERO)[0].seq;
    let data = TcpRepr { payload: &[7; 5000], ..segment(TcpControl::Psh, 1001, Some(ours.wrapping_add(1))) };
    bench.send(&data, Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpMemoryLimit));
    assert_eq!(bench.fate().states, Some((TcpState::SynReceived, TcpState::Established)));
}

#[test]
fn a_segment_behind_the_fin_that_acknowledges_ours_ends_last_ack() {
    for (control, payload) in [(TcpControl::Fin, &b""[..]), (TcpControl::None, b"text"), (TcpControl::Fin, b"text")] {
        let mut bench = Bench::new();
        let (stream, ours) = accepted(&mut bench);
        bench.send(&segment(TcpControl::Fin, 1001, Some(ours)), Duration::ZERO);
        drop(stream);
        bench.idle(Duration::ZERO);
        let last = TcpRepr { payload, ..segment(control, 1002, Some(ours.wrapping_add(1))) };
        bench.send(&last, Duration::ZERO);
        assert_eq!(bench.fate().states, Some((TcpState::LastAck, TcpState::Closed)));
        assert_eq!(bench.net.a.stack.sockets(), 1, "the listener");
    }
}

/// RFC 9293 §3.10.5, RFC 1337.
#[test]
fn letting_go_of_what_is_unread_in_time_wait_resets_nobody() {
    let mut bench = Bench::with(with(|limits| limits.pipe = 1024));
    let (stream, ours) = accepted(&mut bench);
    stream.pipe.shutdown_write();
    bench.idle(Duration::ZERO);
    let last = TcpRepr { payload: &[7; 5000], ..segment(TcpControl::Fin, 1001, Some(ours.wrapping_add(1))) };
    bench.send(&last, Duration::from_millis(50));
    drop(stream);
    assert_eq!(bench.idle(Duration::from_millis(50)), []);
    let again = bench.send(&segment(TcpControl::Fin, 6001, Some(ours.wrapping_add(1))), Duration::ZERO);
    assert_eq!((again[0].control, again[0].ack), (TcpControl::None, Some(6002)));
    assert_eq!(bench.fate().rule, Some(Rule::TcpTimeWaitAck));
}

#[test]
fn a_program_that_writes_is_told_of_a_reset_although_it_has_not_read_everything() {
    let mut bench = Bench::with(with(|limits| limits.pipe = 1024));
    let (stream, ours) = accepted(&mut bench);
    bench.send(&TcpRepr { payload: &[7; 5000], ..segment(TcpControl::Psh, 1001, Some(ours)) }, Duration::ZERO);
    bench.send(&segment(TcpControl::Rst, 6001, None), Duration::ZERO);
    assert_eq!(stream.pipe.try_write(b"x"), Err(Error::ConnectionReset));
    assert_eq!(stream.pipe.try_write(b"x"), Err(Error::BrokenPipe));
    // What came before the reset is still there, and nobody is told twice.
    let (mut read, mut buffer) = (0, [0; 700]);
    loop {
        match stream.pipe.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) => panic!("{error}"),
        }
        bench.idle(Duration::ZERO);
    }
    assert_eq!((read, stream.pipe.take_error()), (5000, Ok(())));
    assert_eq!(bench.net.a.stack.sockets(), 1, "the listener");
}

/// As Linux: the end of the stream was clean, and what was written was lost.
#[test]
fn after_the_end_of_the_stream_only_the_writer_is_told_how_the_connection_died() {
    for (is_reset, told) in [(true, Error::BrokenPipe), (false, Error::TimedOut)] {
        let mut bench = Bench::new();
        let (stream, ours) = accepted(&mut bench);
        bench.send(&segment(TcpControl::Fin, 1001, Some(ours)), Duration::ZERO);
        stream.pipe.try_write(b"never arrives").unwrap();
        if is_reset {
            bench.send(&segment(TcpControl::Rst, 1002, None), Duration::ZERO);
        } else {
            bench.idle(Duration::from_secs(1000));
        }
        assert_eq!(stream.pipe.try_read(&mut [0; 8]), Ok(0));
        assert_eq!((stream.pipe.take_error(), stream.pipe.take_error()), (Err(told), Ok(())));
        assert_eq!(stream.pipe.try_write(b"x"), Err(Error::BrokenPipe));
    }
}

#[test]
fn a_close_that_lingers_is_answered_when_it_is_asked_again_and_when_the_program_lets_go() {
    let mut bench = Bench::new();
    let (stream, _) = accepted(&mut bench);
    stream.pipe.try_write(b"bye").unwrap();
    stream.pipe.shutdown_write();
    bench.net.a.begin(Verb::Linger { socket: stream.handle });
    bench.idle(Duration::ZERO);
    assert!(bench.completion().is_none());
    bench.net.a.begin(Verb::Linger { socket: stream.handle });
    bench.idle(Duration::ZERO);
    let first = bench.completion().unwrap().ticket;
    assert!(bench.completion().is_none());
    drop(stream);
    bench.idle(Duration::ZERO);
    assert_eq!(bench.completion().unwrap().ticket, first + 1);
}

#[test]
fn keepalives_without_a_pause_are_refused_and_a_user_timeout_of_zero_is_none() {
    let mut bench = Bench::new();
    let (stream, _) = accepted(&mut bench);
    let zero = Duration::ZERO;
    for option in
        [SocketOption::KeepaliveIdle(zero), SocketOption::KeepaliveInterval(zero), SocketOption::KeepaliveCount(0)]
    {
        bench.net.a.begin(Verb::SetOption { socket: stream.handle, option });
        bench.idle(zero);
        assert_eq!(bench.completion().unwrap().result.unwrap_err(), Error::InvalidInput);
    }
    bench.net.a.begin(Verb::SetOption { socket: stream.handle, option: SocketOption::UserTimeout(Some(zero)) });
    stream.pipe.try_write(b"x").unwrap();
    bench.idle(Duration::from_secs(900));
    assert_eq!(stream.pipe.try_read(&mut [0; 8]), Err(Error::WouldBlock));
}

/// Nothing may be sent from an address that is not ours any more, whatever is still to be read.
#[test]
fn a_connection_whose_address_is_gone_asks_nobody_whether_he_is_there() {
    let mut bench = Bench::with(with(|limits| limits.pipe = 1024));
    let (stream, ours) = accepted(&mut bench);
    for option in [SocketOption::KeepaliveIdle(Duration::from_secs(5)), SocketOption::Keepalive(true)] {
        bench.net.a.begin(Verb::SetOption { socket: stream.handle, option });
    }
    bench.send(&TcpRepr { payload: &[7; 5000], ..segment(TcpControl::Psh, 1001, Some(ours)) }, Duration::ZERO);
    let (now, mut out) = (bench.net.now, Frames::new());
    let stack = &mut bench.net.a.stack;
    let other = "192.168.69.2/24".parse().unwrap();
    stack.add_address(now, other, Origin::Chosen, Lifetime::FOREVER, &mut out, &mut NoObserver).unwrap();
    stack.remove_address(now, A.parse().unwrap(), &mut NoObserver).unwrap();
    assert_eq!(bench.idle(Duration::from_secs(100)), []);
    assert_eq!(stream.pipe.try_write(b"x"), Err(Error::AddressNotAvailable));
    drop(stream);
    bench.idle(Duration::ZERO);
    assert_eq!(bench.net.a.stack.sockets(), 1, "the listener");
}

/// FACTS §1, panic 2, in the one state in which old numbers are not refused before.
#[test]
fn a_number_half_the_space_away_in_time_wait_harms_nobody() {
    let mut bench = Bench::with(with(|limits| limits.pipe = 1024));
    let (stream, ours) = accepted(&mut bench);
    stream.pipe.shutdown_write();
    bench.idle(Duration::ZERO);
    let last = TcpRepr { payload: &[7; 5000], ..segment(TcpControl::Fin, 1001, Some(ours.wrapping_add(1))) };
    bench.send(&last, Duration::from_millis(50));
    for far in [1_u32 << 31, (1 << 31) + 1, (1 << 31) - 1] {
        bench.send(&segment(TcpControl::None, 6002_u32.wrapping_sub(far), Some(ours.wrapping_add(1))), Duration::ZERO);
        assert_eq!(bench.fate().rule, Some(Rule::TcpChallengeSequence));
    }
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpPanicked), 0);
}

#[test]
fn data_behind_the_peers_fin_is_dropped_by_a_rule_and_its_ack_counts() {
    let mut bench = Bench::new();
    let next = bench.establish(1000).wrapping_add(1);
    let stream = bench.listener.queue.try_accept().unwrap();
    bench.send(&segment(TcpControl::Fin, 1001, Some(next)), Duration::ZERO);
    stream.pipe.try_write(b"answer").unwrap();
    bench.idle(Duration::from_millis(5));
    let mut more = segment(TcpControl::Psh, 1002, Some(next.wrapping_add(6)));
    more.payload = b"more";
    bench.send(&more, Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpAfterFin));
    assert_eq!(stream.pipe.try_read(&mut [0; 8]), Ok(0), "the end, and nothing behind it");
    let again = bench.idle(Duration::from_secs(5));
    assert!(again.iter().all(|answer| answer.payload.is_empty()), "{again:?}");
}
