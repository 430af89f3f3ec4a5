//! FIN-WAIT-2 and TIME-WAIT, when no program holds the connection any more.

use smoltcp::wire::TcpControl;

use super::wire::{Answer, Bench, segment};
use super::*;
use crate::observe::{Rule, TcpState};

/// A connection that A's program has closed, and whose FIN the peer has acknowledged; A's and B's next numbers.
fn closed_by_us(bench: &mut Bench) -> (u32, u32) {
    let theirs = bench.establish(1000).wrapping_add(1);
    drop(bench.listener.queue.try_accept().unwrap());
    let answers = bench.idle(Duration::from_millis(50));
    assert_eq!((answers[0].control, answers[0].seq), (TcpControl::Fin, theirs));
    let ours = theirs.wrapping_add(1);
    assert_eq!(bench.send(&segment(TcpControl::None, 1001, Some(ours)), Duration::from_millis(1)), []);
    (ours, 1001)
}

/// The same, and the peer's FIN has come: TIME-WAIT.
fn in_time_wait(bench: &mut Bench) -> (u32, u32) {
    let (ours, theirs) = closed_by_us(bench);
    let answers = bench.send(&segment(TcpControl::Fin, theirs, Some(ours)), Duration::ZERO);
    assert_ack(&answers, ours, theirs + 1);
    assert_eq!(bench.fate().states, Some((TcpState::FinWait2, TcpState::TimeWait)));
    (ours, theirs + 1)
}

fn assert_ack(answers: &[Answer], seq: u32, ack: u32) {
    let [answer] = answers else { panic!("{answers:?}") };
    assert_eq!((answer.control, answer.seq, answer.ack), (TcpControl::None, seq, Some(ack)));
}

#[test]
fn a_connection_that_nobody_holds_keeps_no_socket() {
    let mut bench = Bench::new();
    let before = bench.net.a.stack.sockets();
    closed_by_us(&mut bench);
    assert_eq!(bench.net.a.stack.sockets(), before);
    assert_eq!(bench.net.a.events("Closed").len(), 1, "{:?}", bench.net.a.seen.events);
}

#[test]
fn in_fin_wait_2_data_for_nobody_is_answered_with_a_reset() {
    let mut bench = Bench::new();
    let (ours, theirs) = closed_by_us(&mut bench);
    let data = smoltcp::wire::TcpRepr { payload: b"late", ..segment(TcpControl::Psh, theirs, Some(ours)) };
    let answers = bench.send(&data, Duration::ZERO);
    assert_eq!((answers[0].control, answers[0].seq), (TcpControl::Rst, ours));
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstClosed));
    let answers = bench.send(&data, Duration::ZERO);
    assert_eq!(answers[0].control, TcpControl::Rst);
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstListen), "it is gone");
}

#[test]
fn fin_wait_2_ends_after_a_minute_of_silence() {
    let mut bench = Bench::new();
    let (ours, theirs) = closed_by_us(&mut bench);
    bench.idle(Duration::from_secs(59));
    bench.send(&segment(TcpControl::None, theirs, Some(ours)), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpRemnantAck));
    bench.idle(Duration::from_secs(2));
    bench.send(&segment(TcpControl::Fin, theirs, Some(ours)), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstListen));
}

#[test]
fn time_wait_acknowledges_the_fin_again_and_begins_anew() {
    let mut bench = Bench::new();
    let (ours, theirs) = in_time_wait(&mut bench);
    for _ in 0..3 {
        bench.idle(Duration::from_secs(50));
        let answers = bench.send(&segment(TcpControl::Fin, theirs - 1, Some(ours)), Duration::ZERO);
        assert_ack(&answers, ours, theirs);
        assert_eq!(bench.fate().rule, Some(Rule::TcpTimeWaitAck));
    }
    bench.idle(Duration::from_secs(61));
    bench.send(&segment(TcpControl::Fin, theirs - 1, Some(ours)), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstListen));
}

/// RFC 1337.
#[test]
fn a_stray_reset_does_not_end_time_wait() {
    let mut bench = Bench::new();
    let (ours, theirs) = in_time_wait(&mut bench);
    assert_eq!(bench.send(&segment(TcpControl::Rst, theirs, Some(ours)), Duration::ZERO), []);
    assert_eq!(bench.fate().rule, Some(Rule::TcpTimeWaitReset));
    assert_ack(&bench.send(&segment(TcpControl::Fin, theirs - 1, Some(ours)), Duration::ZERO), ours, theirs);
}

/// RFC 9293 §3.10.7.4, RFC 6191.
#[test]
fn a_newer_syn_takes_the_place_of_a_connection_in_time_wait_and_an_older_one_does_not() {
    let mut bench = Bench::new();
    let (ours, theirs) = in_time_wait(&mut bench);
    assert_ack(&bench.send(&segment(TcpControl::Syn, theirs - 100, None), Duration::ZERO), ours, theirs);
    assert_eq!(bench.fate().rule, Some(Rule::TcpChallengeSyn));
    let answers = bench.send(&segment(TcpControl::Syn, theirs + 100, None), Duration::ZERO);
    assert_eq!((answers[0].control, answers[0].ack), (TcpControl::Syn, Some(theirs + 101)));
    assert!(answers[0].seq.wrapping_sub(ours) < 1 << 31, "the new numbers lie beyond the old ones");
    let done = answers[0].seq.wrapping_add(1);
    bench.send(&segment(TcpControl::None, theirs + 101, Some(done)), Duration::ZERO);
    assert!(bench.listener.queue.try_accept().is_ok());
}

#[test]
fn a_program_that_still_reads_is_served_in_time_wait() {
    let mut bench = Bench::new();
    let ours = bench.establish(1000).wrapping_add(1);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.shutdown_write();
    bench.idle(Duration::from_millis(50));
    let data = smoltcp::wire::TcpRepr { payload: b"last words", ..segment(TcpControl::Fin, 1001, Some(ours + 1)) };
    assert_ack(&bench.send(&data, Duration::from_millis(50)), ours + 1, 1012);
    let mut buffer = [0; 16];
    assert_eq!(stream.pipe.try_read(&mut buffer), Ok(10));
    assert_eq!(stream.pipe.try_read(&mut buffer), Ok(0));
    assert_ack(&bench.send(&segment(TcpControl::Fin, 1011, Some(ours + 1)), Duration::ZERO), ours + 1, 1012);
}

#[test]
fn beyond_the_limit_the_newcomer_is_forgotten_at_once() {
    let mut config = config_a();
    config.limits.remnants = 0;
    let mut bench = Bench::with(config);
    let (ours, theirs) = closed_by_us(&mut bench);
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpRemnantLimit), 1);
    bench.send(&segment(TcpControl::Fin, theirs, Some(ours)), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpRstListen));
}
