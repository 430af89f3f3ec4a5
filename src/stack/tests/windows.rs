//! Windows that close, open and shrink while a connection ends.

use smoltcp::wire::{TcpControl, TcpRepr};

use super::wire::{Answer, Bench, segment};
use super::*;
use crate::config::Limits;
use crate::error::Error;
use crate::observe::Rule;

const PEER: u32 = 1001;

fn accepted(bench: &mut Bench) -> (StreamSocket, u32) {
    let ours = bench.establish(PEER - 1).wrapping_add(1);
    (bench.listener.queue.try_accept().unwrap(), ours)
}

fn ack(seq: u32, ack: u32, window_len: u16) -> TcpRepr<'static> {
    TcpRepr { window_len, ..segment(TcpControl::None, seq, Some(ack)) }
}

/// A has `length` bytes for the peer, and does what it does for `span`.
fn write(bench: &mut Bench, stream: &StreamSocket, length: usize, span: Duration) -> Vec<Answer> {
    assert_eq!(stream.pipe.try_write(&vec![b'x'; length]), Ok(length));
    bench.idle(span)
}

/// In LAST-ACK smoltcp takes no segment that acknowledges nothing new, so that it never learnt of the window.
#[test]
fn what_is_unsent_when_both_have_closed_leaves_once_the_window_opens() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    let fin = TcpRepr { window_len: 0, ..segment(TcpControl::Fin, PEER, Some(ours)) };
    bench.send(&fin, Duration::ZERO);
    write(&mut bench, &stream, 500, Duration::ZERO);
    stream.pipe.shutdown_write();
    assert!(bench.idle(Duration::from_millis(100)).iter().all(|answer| answer.payload.is_empty()));
    let answers = bench.send(&ack(PEER + 1, ours, 64_000), Duration::from_millis(100));
    assert_eq!(answers[0].payload.len(), 500);
    assert_eq!(answers[0].control, TcpControl::Fin);
    assert!(bench.send(&ack(PEER + 1, ours + 501, 64_000), Duration::ZERO).is_empty());
    assert_eq!(bench.net.a.stack.sockets(), 1, "only the listener is left");
}

/// smoltcp gives up its retransmission timer when a segment that acknowledges something closes the window.
#[test]
fn what_is_on_its_way_when_a_peer_takes_its_window_back_is_sent_again_when_that_opens() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    assert_eq!(write(&mut bench, &stream, 2000, Duration::ZERO).len(), 4);
    bench.send(&ack(PEER, ours + 536, 0), Duration::ZERO);
    let answers = bench.idle(Duration::from_secs(5));
    assert!(!answers.is_empty(), "the window is probed");
    assert!(answers.iter().all(|answer| (answer.seq, answer.payload.len()) == (ours + 536, 1)), "{answers:?}");
    bench.send(&ack(PEER, ours + 536, 64_000), Duration::ZERO);
    let mut next = ours + 536;
    for _ in 0..10 {
        for answer in bench.send(&ack(PEER, next, 64_000), Duration::from_secs(2)) {
            if answer.seq == next {
                next += answer.payload.len() as u32;
            }
        }
    }
    assert_eq!(next, ours + 2000);
}

#[test]
fn a_fin_that_is_lost_behind_a_full_window_is_sent_again() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    bench.send(&ack(PEER, ours, 96), Duration::ZERO);
    write(&mut bench, &stream, 96, Duration::ZERO);
    stream.pipe.shutdown_write();
    bench.idle(Duration::ZERO);
    bench.send(&ack(PEER, ours + 96, 0), Duration::ZERO);
    let answers = bench.idle(Duration::from_secs(5));
    assert!(!answers.is_empty());
    assert!(answers.iter().all(|answer| (answer.control, answer.seq) == (TcpControl::Fin, ours + 96)), "{answers:?}");
}

/// smoltcp's TIME-WAIT ends after ten seconds, and takes its receive buffer with it.
#[test]
fn a_slow_reader_gets_everything_although_time_wait_is_long_over() {
    let limits = Limits { pipe: 64, ..Limits::default() };
    let mut bench = Bench::with(Config { limits, ..config_a() });
    let (stream, ours) = accepted(&mut bench);
    stream.pipe.shutdown_write();
    bench.idle(Duration::ZERO);
    bench.send(&ack(PEER, ours + 1, 64_000), Duration::ZERO);
    let last = TcpRepr { payload: &[b'y'; 1000], ..segment(TcpControl::Fin, PEER, Some(ours + 1)) };
    assert_eq!(bench.send(&last, Duration::from_secs(1))[0].ack, Some(PEER + 1001));
    let (mut received, mut buffer) = (0, [0; 64]);
    loop {
        match stream.pipe.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => received += count,
            Err(Error::WouldBlock) => panic!("it waits for nothing after {received} bytes"),
            Err(other) => panic!("{other}"),
        }
        bench.idle(Duration::from_secs(20));
    }
    assert_eq!(received, 1000);
}

/// smoltcp takes the FIN, and then, until it has sent the ACK, nothing more.
#[test]
fn an_acknowledgment_that_comes_right_after_a_fin_behind_a_full_window_counts() {
    let limits = Limits { receive_buffer: 100, pipe: 64, ..Limits::default() };
    let mut bench = Bench::with(Config { limits, ..config_a() });
    let (stream, ours) = accepted(&mut bench);
    write(&mut bench, &stream, 50, Duration::ZERO);
    let last = TcpRepr { payload: &[b'y'; 100], ..segment(TcpControl::Fin, PEER, Some(ours)) };
    bench.send(&last, Duration::ZERO);
    bench.send(&ack(PEER + 101, ours + 50, 64_000), Duration::ZERO);
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpUnclassified), 0);
    let answers = bench.idle(Duration::from_secs(30));
    assert!(answers.iter().all(|answer| answer.payload.is_empty()), "{answers:?}");
}

/// Each acknowledges the other's probe with the number of its own, which is old by one.
#[test]
fn two_ends_that_probe_each_other_at_the_same_time_hear_that_the_windows_are_open() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    bench.send(&ack(PEER, ours, 0), Duration::ZERO);
    let probes = write(&mut bench, &stream, 100, Duration::from_secs(2));
    assert_eq!(probes.last().map(|probe| (probe.seq, probe.payload.len())), Some((ours, 1)));
    let probe = TcpRepr { payload: b"p", ..ack(PEER, ours, 0) };
    bench.send(&probe, Duration::from_millis(50));
    let answers = bench.send(&ack(PEER, ours + 1, 64_000), Duration::from_millis(50));
    assert!(answers.iter().any(|answer| (answer.seq, answer.payload.len()) == (ours + 1, 99)), "{answers:?}");
}

/// smoltcp advertises its window in a probe, and forgets that it did: it would cut the data and take the FIN.
#[test]
fn what_fits_only_into_the_window_of_a_probe_is_cut_with_its_fin() {
    let limits = Limits { receive_buffer: 100, pipe: 64, ..Limits::default() };
    let mut bench = Bench::with(Config { limits, ..config_a() });
    let (stream, ours) = accepted(&mut bench);
    let first = TcpRepr { payload: &[b'y'; 88], ..ack(PEER, ours, 0) };
    assert_eq!(bench.send(&first, Duration::from_millis(50))[0].window, 76);
    for count in [64, 24] {
        assert_eq!(stream.pipe.try_read(&mut [0; 100]), Ok(count));
        bench.idle(Duration::ZERO);
    }
    assert_eq!(write(&mut bench, &stream, 10, Duration::from_secs(1))[0].window, 100);
    let last = TcpRepr { payload: &[b'y'; 100], ..segment(TcpControl::Fin, PEER + 88, Some(ours)) };
    let answers = bench.send(&last, Duration::from_millis(50));
    assert_eq!(answers.last().unwrap().ack, Some(PEER + 88 + 76));
    let counters = bench.net.a.stack.counters();
    assert_eq!((counters.of(Rule::TcpUnclassified), counters.of(Rule::TcpWindowEdge)), (0, 1));
}
