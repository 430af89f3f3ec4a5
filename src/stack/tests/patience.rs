//! How long a connection waits for a silent peer, and what closing waits for.

use smoltcp::wire::{TcpControl, TcpRepr};

use super::wire::{Bench, segment};
use super::*;
use crate::error::Error;
use crate::observe::{Rule, Time};
use crate::socket::{Keepalive, SocketOption};

fn keep_alive(bench: &mut Bench, stream: &StreamSocket, keepalive: Keepalive) {
    set(bench, stream, SocketOption::KeepaliveIdle(keepalive.idle));
    set(bench, stream, SocketOption::KeepaliveInterval(keepalive.interval));
    set(bench, stream, SocketOption::KeepaliveCount(keepalive.count));
    set(bench, stream, SocketOption::Keepalive(true));
}

fn set(bench: &mut Bench, stream: &StreamSocket, option: SocketOption) {
    bench.net.a.begin(Verb::SetOption { socket: stream.handle, option });
    bench.idle(Duration::ZERO);
    assert!(matches!(bench.completion().unwrap().result, Ok(Outcome::Done)));
}

fn accepted(bench: &mut Bench) -> (StreamSocket, u32) {
    let ours = bench.establish(1000).wrapping_add(1);
    (bench.listener.queue.try_accept().unwrap(), ours)
}

/// The seconds, from the start of the last look, at which A sent something by this rule.
fn seconds(bench: &Bench, from: Time, rule: Rule) -> Vec<u64> {
    let sent = bench.net.a.seen.frames.iter().filter(|(.., fate)| fate.rule == Some(rule));
    sent.map(|(at, ..)| (*at - from).as_secs()).collect()
}

#[test]
fn keepalives_ask_a_silent_peer_and_then_the_connection_is_given_up() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    let keepalive = Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), count: 3 };
    keep_alive(&mut bench, &stream, keepalive);
    let from = bench.net.now;
    let answers = bench.idle(Duration::from_secs(100));
    assert_eq!(seconds(&bench, from, Rule::TcpKeepalive), [60, 70, 80]);
    assert_eq!((answers[0].seq, answers[0].ack), (ours.wrapping_sub(1), Some(1001)));
    assert_eq!(answers[3].control, TcpControl::Rst);
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::TimedOut));
}

#[test]
fn a_peer_that_answers_a_keepalive_keeps_the_connection() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    let keepalive = Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(10), count: 2 };
    keep_alive(&mut bench, &stream, keepalive);
    for _ in 0..5 {
        assert_eq!(bench.idle(Duration::from_secs(65)).len(), 1);
        bench.send(&segment(TcpControl::None, 1001, Some(ours)), Duration::ZERO);
    }
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::WouldBlock));
}

#[test]
fn the_user_timeout_ends_a_connection_whose_data_is_not_acknowledged_and_no_idle_one() {
    let mut bench = Bench::new();
    let (stream, _) = accepted(&mut bench);
    set(&mut bench, &stream, SocketOption::UserTimeout(Some(Duration::from_secs(20))));
    bench.idle(Duration::from_secs(3600));
    assert_eq!(stream.pipe.try_write(b"is anybody there?"), Ok(17));
    bench.idle(Duration::from_secs(19));
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::WouldBlock));
    bench.idle(Duration::from_secs(2));
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::TimedOut));
}

#[test]
fn unacknowledged_data_is_given_up_after_a_quarter_of_an_hour() {
    let mut bench = Bench::new();
    let (stream, _) = accepted(&mut bench);
    assert_eq!(stream.pipe.try_write(b"is anybody there?"), Ok(17));
    bench.idle(Duration::from_secs(900));
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::WouldBlock));
    bench.idle(Duration::from_secs(30));
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::TimedOut));
    assert_eq!(bench.net.a.events("Closed").len(), 1);
}

#[test]
fn a_closed_window_is_probed_for_as_long_as_a_program_waits() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    let closed = TcpRepr { window_len: 0, ..segment(TcpControl::None, 1001, Some(ours)) };
    bench.send(&closed, Duration::ZERO);
    assert_eq!(stream.pipe.try_write(b"waits"), Ok(5));
    for _ in 0..40 {
        assert!(!bench.idle(Duration::from_secs(61)).is_empty(), "a probe");
        bench.send(&closed, Duration::ZERO);
    }
    assert_eq!(stream.pipe.try_read(&mut [0; 1]), Err(Error::WouldBlock));
    // Nobody waits any more: a window that stays closed does not keep the connection.
    drop(stream);
    let before = bench.net.a.stack.sockets();
    for _ in 0..4 {
        bench.idle(Duration::from_secs(30));
        bench.send(&closed, Duration::ZERO);
    }
    assert_eq!(bench.net.a.stack.sockets(), before - 1);
}

#[test]
fn a_connect_is_given_up_after_two_minutes() {
    let mut bench = Bench::new();
    bench.net.a.begin(Verb::OpenStream { local: None, remote: at(B, 7777) });
    bench.idle(Duration::from_secs(126));
    assert!(bench.completion().is_none());
    bench.idle(Duration::from_secs(2));
    assert_eq!(bench.completion().unwrap().result.unwrap_err(), Error::TimedOut);
}

#[test]
fn a_connect_that_nobody_waits_for_any_more_is_given_up_at_once() {
    let mut bench = Bench::new();
    let before = bench.net.a.stack.sockets();
    bench.net.a.begin(Verb::BeginStream { remote: at(B, 7777) });
    assert!(bench.idle(Duration::from_millis(1)).iter().all(|segment| segment.control == TcpControl::Syn));
    let Ok(Outcome::Stream(stream)) = bench.completion().unwrap().result else { panic!() };
    assert_eq!(bench.net.a.stack.sockets(), before + 1);
    drop(stream);
    assert!(bench.idle(Duration::from_secs(10)).is_empty(), "no SYN and no RST");
    assert_eq!(bench.net.a.stack.sockets(), before);
}

#[test]
fn shutting_down_a_connect_that_goes_on_gives_it_up() {
    let mut bench = Bench::new();
    bench.net.a.begin(Verb::BeginStream { remote: at(B, 7777) });
    bench.idle(Duration::from_millis(1));
    let Ok(Outcome::Stream(stream)) = bench.completion().unwrap().result else { panic!() };
    assert_eq!(stream.pipe.try_connected(), Err(Error::WouldBlock));
    stream.pipe.shutdown_write();
    assert!(bench.idle(Duration::from_secs(10)).is_empty());
    assert_eq!(stream.pipe.try_connected(), Err(Error::ConnectionReset));
}

#[test]
fn closing_with_linger_at_zero_discards_what_is_unsent_and_resets() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    set(&mut bench, &stream, SocketOption::Linger(Some(Duration::ZERO)));
    bench.send(&TcpRepr { window_len: 0, ..segment(TcpControl::None, 1001, Some(ours)) }, Duration::ZERO);
    assert_eq!(stream.pipe.try_write(b"never sent"), Ok(10));
    drop(stream);
    let answers = bench.idle(Duration::from_millis(1));
    let [reset] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!((reset.control, reset.seq, reset.payload.len()), (TcpControl::Rst, ours, 0));
}

#[test]
fn a_close_that_lingers_is_told_when_the_fin_has_arrived() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    assert_eq!(stream.pipe.try_write(b"bye"), Ok(3));
    stream.pipe.shutdown_write();
    bench.net.a.begin(Verb::Linger { socket: stream.handle });
    bench.idle(Duration::from_millis(100));
    bench.send(&segment(TcpControl::None, 1001, Some(ours.wrapping_add(3))), Duration::from_millis(10));
    assert!(bench.completion().is_none(), "the FIN is not acknowledged");
    bench.send(&segment(TcpControl::None, 1001, Some(ours.wrapping_add(4))), Duration::from_millis(10));
    assert!(matches!(bench.completion().unwrap().result, Ok(Outcome::Done)));
}
