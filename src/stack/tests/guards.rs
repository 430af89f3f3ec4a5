//! What may not reach smoltcp as it came: each test fails without its guard.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use smoltcp::wire::{TcpControl, TcpRepr, TcpTimestampRepr};

use super::wire::{Bench, segment};
use super::*;
use crate::error::Error;
use crate::observe::Rule;

fn read(stream: &StreamSocket) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = stream.pipe.try_read(&mut buffer) {
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
    bytes
}

/// A connection whose peer has its number 1001 next: our initial number, and the program's end.
fn established() -> (Bench, u32, StreamSocket) {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    (bench, theirs, stream)
}

/// FACTS §1: smoltcp drops a segment whose acknowledgment is older than the last.
#[test]
fn data_with_an_older_ack_is_delivered() {
    let (mut bench, theirs, stream) = established();
    stream.pipe.try_write(b"hello").unwrap();
    bench.idle(Duration::from_millis(1));
    bench.send(&segment(TcpControl::None, 1001, Some(theirs.wrapping_add(6))), Duration::ZERO);
    let late = TcpRepr { payload: b"late", ..segment(TcpControl::Psh, 1001, Some(theirs.wrapping_add(1))) };
    let answers = bench.send(&late, Duration::from_millis(20));
    assert_eq!(answers.last().unwrap().ack, Some(1005));
    assert_eq!(read(&stream), b"late");
}

/// RFC 5961 §5.2.
#[test]
fn an_ack_older_than_any_window_is_challenged_and_its_data_dropped() {
    let (mut bench, theirs, stream) = established();
    let forged = TcpRepr { payload: b"forged", ..segment(TcpControl::Psh, 1001, Some(theirs.wrapping_sub(70_000))) };
    let answers = bench.send(&forged, Duration::ZERO);
    assert_eq!((answers[0].ack, bench.fate().rule), (Some(1001), Some(Rule::TcpOldAck)));
    assert_eq!(read(&stream), b"");
}

/// RFC 9293 §3.10.7.4, SND.WL1 and SND.WL2: FACTS §1 says that smoltcp does not keep them.
#[test]
fn an_overtaken_segment_does_not_close_the_window_again() {
    let (mut bench, theirs, stream) = established();
    let ack = Some(theirs.wrapping_add(1));
    bench.send(&TcpRepr { payload: b"b", ..segment(TcpControl::Psh, 1002, ack) }, Duration::ZERO);
    // It was sent before the other, when the window was closed.
    let older = TcpRepr { payload: b"a", window_len: 0, ..segment(TcpControl::Psh, 1001, ack) };
    bench.send(&older, Duration::ZERO);
    stream.pipe.try_write(b"an answer").unwrap();
    let answers = bench.idle(Duration::from_millis(50));
    assert!(answers.iter().any(|answer| answer.payload == b"an answer"), "{answers:?}");
}

/// RFC 9293 §3.8.4.
#[test]
fn keepalive_probes_are_answered_and_not_delivered() {
    for payload in [&b""[..], b"\0"] {
        let (mut bench, theirs, stream) = established();
        bench.send(
            &TcpRepr { payload: b"x", ..segment(TcpControl::Psh, 1001, Some(theirs.wrapping_add(1))) },
            Duration::from_millis(20),
        );
        let probe = TcpRepr { payload, ..segment(TcpControl::None, 1001, Some(theirs.wrapping_add(1))) };
        let answers = bench.send(&probe, Duration::ZERO);
        assert_eq!((answers.len(), answers[0].ack), (1, Some(1002)));
        assert_eq!(bench.fate().rule, Some(Rule::TcpKeepaliveAnswer));
        assert_eq!(read(&stream), b"x");
    }
}

/// RFC 7323 §5.3: a duplicate from an earlier turn of the sequence space has the right number and an old clock.
#[test]
fn data_with_an_old_timestamp_is_acknowledged_and_dropped() {
    let mut bench = Bench::new();
    let with = |value, repr: TcpRepr<'static>| TcpRepr { timestamp: Some(TcpTimestampRepr::new(value, 0)), ..repr };
    let answers = bench.send(&with(5000, segment(TcpControl::Syn, 1000, None)), Duration::ZERO);
    let ack = Some(answers[0].seq.wrapping_add(1));
    bench.send(&with(5001, segment(TcpControl::None, 1001, ack)), Duration::ZERO);
    let stream = bench.listener.queue.try_accept().unwrap();
    let stray = with(4000, TcpRepr { payload: b"stray", ..segment(TcpControl::Psh, 1001, ack) });
    let answers = bench.send(&stray, Duration::ZERO);
    assert_eq!((answers[0].ack, bench.fate().rule), (Some(1001), Some(Rule::TcpPaws)));
    assert_eq!(read(&stream), b"");
    bench.send(&with(5002, TcpRepr { payload: b"good", ..segment(TcpControl::Psh, 1001, ack) }), Duration::ZERO);
    assert_eq!(read(&stream), b"good");
}

/// RFC 9293 §3.10.7.4, and the silent loss of FACTS §1 in all its forms: whatever comes, in whatever order, the
/// program reads a prefix of the stream, and a clean end only behind all of it.
#[test]
fn whatever_comes_the_program_reads_a_prefix_of_the_stream() {
    let stream_of: Vec<u8> = (0..60_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    for seed in 0..40 {
        let mut rng = StdRng::seed_from_u64(seed);
        let isn: u32 = if seed % 4 == 0 { u32::MAX - 30_000 } else { rng.random() };
        let mut bench = Bench::new();
        let theirs = bench.establish(isn);
        let stream = bench.listener.queue.try_accept().unwrap();
        let (mut got, mut ended) = (Vec::new(), false);
        for _ in 0..300 {
            let near = got.len().saturating_sub(3000)..(got.len() + 9000).min(stream_of.len() + 1);
            let start = match rng.random_range(0..8) {
                0 => rng.random_range(0..=stream_of.len()),
                1..=3 => got.len(),
                _ => rng.random_range(near),
            };
            let end = (start + rng.random_range(0..1400)).min(stream_of.len());
            let control = match rng.random_range(0..20) {
                0 if end == stream_of.len() => TcpControl::Fin,
                1 => TcpControl::Syn,
                _ => TcpControl::Psh,
            };
            let ack = match rng.random_range(0..12) {
                0 => None,
                1 => Some(rng.random()),
                2 => Some(theirs),
                _ => Some(theirs.wrapping_add(1)),
            };
            let wild: u32 = if rng.random_range(0..25) == 0 { rng.random() } else { 0 };
            let seq = isn.wrapping_add(1).wrapping_add(start as u32).wrapping_add(wild);
            // What lies elsewhere in the sequence space is another stream's.
            let foreign = vec![0xff; end - start];
            let payload = if wild == 0 { &stream_of[start..end] } else { &foreign };
            let is_elsewhere = wild != 0 && (wild as i32).unsigned_abs() < 200_000;
            if is_elsewhere {
                continue;
            }
            let window_len = rng.random();
            bench.send(&TcpRepr { payload, window_len, ..segment(control, seq, ack) }, Duration::from_millis(1));
            let mut buffer = vec![0; 4096];
            match stream.pipe.try_read(&mut buffer) {
                Ok(0) => ended = true,
                Ok(count) => got.extend_from_slice(&buffer[..count]),
                Err(Error::WouldBlock) => {}
                Err(other) => panic!("{other}, seed {seed}"),
            }
            assert!(stream_of.starts_with(&got), "seed {seed}, after {} bytes", got.len());
            assert!(!ended || got.len() == stream_of.len(), "seed {seed}: an end after {} bytes", got.len());
        }
        let counters = bench.net.a.stack.counters();
        assert!(!got.is_empty(), "seed {seed}: {:?}", counters.rules().collect::<Vec<_>>());
    }
}

/// RFC 2018 §4, RFC 5681 §4.2: what lies behind a gap is told at once, and what came last is told first.
#[test]
fn each_segment_behind_a_gap_is_told_at_once_and_first() {
    let mut bench = Bench::new();
    let syn = TcpRepr { sack_permitted: true, ..segment(TcpControl::Syn, 1000, None) };
    let answers = bench.send(&syn, Duration::ZERO);
    let ack = Some(answers[0].seq.wrapping_add(1));
    bench.send(&segment(TcpControl::None, 1001, ack), Duration::ZERO);
    let mut blocks = Vec::new();
    for seq in [1101, 1301, 1501] {
        let answers = bench.send(&TcpRepr { payload: &[7; 100], ..segment(TcpControl::Psh, seq, ack) }, Duration::ZERO);
        assert_eq!((answers.len(), answers[0].ack), (1, Some(1001)));
        blocks.insert(0, Some((seq, seq + 100)));
        assert_eq!(answers[0].sack[..blocks.len()], blocks);
    }
    // What came twice comes first, once (RFC 2883).
    let again = TcpRepr { payload: &[7; 100], ..segment(TcpControl::Psh, 1301, ack) };
    let answers = bench.send(&again, Duration::ZERO);
    assert_eq!(answers[0].sack[..2], [Some((1301, 1401)), Some((1301, 1401))]);
    // The gap is filled: nothing is left to tell before what still lies behind one.
    bench.send(&TcpRepr { payload: &[7; 100], ..segment(TcpControl::Psh, 1001, ack) }, Duration::ZERO);
    let answers = bench.send(&TcpRepr { payload: &[7; 100], ..segment(TcpControl::Psh, 1201, ack) }, Duration::ZERO);
    assert_eq!((answers[0].ack, answers[0].sack[0]), (Some(1401), Some((1501, 1601))));
}

/// RFC 5681 §3.2, RFC 8985 §6: two losses in one window are repaired without a timer.
#[test]
fn two_losses_are_sent_again_as_soon_as_the_peer_tells_of_them() {
    let mut bench = Bench::new();
    let syn = TcpRepr { sack_permitted: true, max_seg_size: Some(1000), ..segment(TcpControl::Syn, 1000, None) };
    let answers = bench.send(&syn, Duration::ZERO);
    let una = answers[0].seq.wrapping_add(1);
    bench.send(&segment(TcpControl::None, 1001, Some(una)), Duration::ZERO);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.try_write(&[1; 10_000]).unwrap();
    let sent = bench.idle(Duration::from_millis(5));
    assert_eq!(sent.iter().filter(|answer| !answer.payload.is_empty()).count(), 10);
    // The first and the third are lost.
    let mut again = Vec::new();
    for right in 4..=10_u32 {
        let mut sack_ranges = [None; 3];
        sack_ranges[0] = Some((una.wrapping_add(3000), una.wrapping_add(right * 1000)));
        sack_ranges[1] = Some((una.wrapping_add(1000), una.wrapping_add(2000)));
        let copy = TcpRepr { sack_ranges, ..segment(TcpControl::None, 1001, Some(una)) };
        let answers = bench.send(&copy, Duration::ZERO);
        again.extend(answers.into_iter().map(|answer| (answer.seq.wrapping_sub(una), answer.payload.len())));
    }
    assert_eq!(again, [(0, 1000), (2000, 1000)]);
}

/// What it acknowledges counts: the peer does not say it again.
#[test]
fn a_bare_ack_that_data_has_overtaken_acknowledges() {
    let (mut bench, theirs, stream) = established();
    stream.pipe.try_write(b"hello").unwrap();
    bench.idle(Duration::from_millis(1));
    let before = Some(theirs.wrapping_add(1));
    bench.send(&TcpRepr { payload: b"x", ..segment(TcpControl::Psh, 1001, before) }, Duration::ZERO);
    bench.send(&segment(TcpControl::None, 1001, Some(theirs.wrapping_add(6))), Duration::ZERO);
    assert_eq!(bench.fate().rule, None);
    let again = bench.idle(Duration::from_secs(5));
    assert!(again.iter().all(|answer| answer.payload.is_empty()), "nothing is sent again: {again:?}");
}

/// RFC 9293 §3.10.7.3: only a RST that acknowledges our SYN refuses the connection.
#[test]
fn a_reset_of_what_was_never_sent_does_not_refuse_a_connect() {
    let mut bench = Bench::new();
    bench.net.a.begin(Verb::OpenStream { local: Some(at(A, 80)), remote: at(B, super::wire::CLIENT) });
    let syn = bench.idle(Duration::ZERO)[0].clone();
    for wrong in [2, 1000] {
        bench.send(&segment(TcpControl::Rst, 1000, Some(syn.seq.wrapping_add(wrong))), Duration::ZERO);
        assert_eq!(bench.fate().rule, Some(Rule::TcpSequenceFar));
        assert!(bench.completion().is_none());
    }
    bench.send(&segment(TcpControl::Rst, 1000, Some(syn.seq.wrapping_add(1))), Duration::ZERO);
    assert_eq!(bench.completion().unwrap().result.unwrap_err(), Error::ConnectionRefused);
}
