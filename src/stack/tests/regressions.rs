//! What the fuzzer has broken once (fuzz/, scripts/fuzz.sh). Each test is named after what broke.

use smoltcp::wire::TcpControl;

use super::wire::{Bench, frame, segment};
use super::*;
use crate::error::Error;
use crate::observe::{Rule, TcpState};

/// smoltcp takes text in CLOSING: a program read bytes that came after the end of the stream.
#[test]
fn text_after_the_fin_is_not_delivered() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.shutdown_write();
    bench.net.a.round(bench.net.now);
    let ack = Some(theirs.wrapping_add(1));
    let fin = segment(TcpControl::Fin, 1001, ack);
    bench.send(&fin, Duration::ZERO);
    assert_eq!(bench.fate().states.unwrap().1, TcpState::Closing);
    let mut text = segment(TcpControl::None, 1002, ack);
    text.payload = b"never sent";
    bench.send(&text, Duration::ZERO);
    assert_eq!(stream.pipe.try_read(&mut [0; 16]), Ok(0));
}

/// smoltcp empties its receive buffer when its own TIME-WAIT of 10 s is over: a program that read late lost what its ring
/// had no room for, and saw a clean end.
#[test]
fn a_program_that_reads_after_time_wait_gets_every_byte() {
    let mut config = config_a();
    config.limits.pipe = 1024;
    let mut bench = Bench::with(config);
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.shutdown_write();
    bench.idle(Duration::from_millis(50));
    let sent = vec![7; 5000];
    let mut last = segment(TcpControl::Fin, 1001, Some(theirs.wrapping_add(2)));
    last.payload = &sent;
    bench.send(&last, Duration::from_millis(50));
    bench.idle(Duration::from_secs(100));
    let (mut read, mut buffer) = (0, [0; 700]);
    loop {
        match stream.pipe.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) => panic!("{error} after {read} bytes"),
        }
        bench.idle(Duration::ZERO);
    }
    assert_eq!(read, sent.len());
    bench.idle(Duration::from_secs(100));
    assert_eq!(bench.net.a.stack.sockets(), 1, "the listener is all that is left");
}

/// The RST to a neighbour that cannot be reached came back as an error about a handshake that was gone.
#[test]
fn a_stack_that_stops_during_a_handshake_with_nobody_does_not_panic() {
    let mut bench = Bench::new();
    let mut syn = frame(&segment(TcpControl::Syn, 1000, None));
    syn[14 + 15] = 77; // 192.168.69.77, who never answers
    let mut packet = smoltcp::wire::Ipv4Packet::new_unchecked(&mut syn[14..]);
    packet.fill_checksum();
    let addresses = (packet.src_addr().into(), packet.dst_addr().into());
    smoltcp::wire::TcpPacket::new_unchecked(packet.payload_mut()).fill_checksum(&addresses.0, &addresses.1);
    bench.inject(&syn, Duration::ZERO);
    for _ in 0..200 {
        let mut out = Frames::new();
        bench.net.now = bench.net.now + Duration::from_millis(50);
        let host = &mut bench.net.a;
        host.stack.step(bench.net.now, None, &mut Vec::new(), &mut out, &mut host.seen);
        if host.seen.events.iter().any(|event| event.contains("192.168.69.77") && event.contains("Failed")) {
            break;
        }
    }
    let mut out = Frames::new();
    let host = &mut bench.net.a;
    host.stack.shut_down(bench.net.now, &mut out, &mut host.seen);
}

/// smoltcp joined a segment with what had come behind it, and put its FIN at the end of all: the stream ended, without an
/// error, where no FIN was.
#[test]
fn a_fin_before_bytes_that_have_arrived_ends_nothing() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    let ack = Some(theirs.wrapping_add(1));
    let mut behind = segment(TcpControl::None, 1004, ack);
    behind.payload = b"behind";
    bench.send(&behind, Duration::ZERO);
    let mut before = segment(TcpControl::Fin, 1001, ack);
    before.payload = b"123";
    bench.send(&before, Duration::ZERO);
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpFinInside), 1);
    assert_eq!(stream.pipe.try_read(&mut [0; 16]), Err(Error::WouldBlock));
    // The same bytes without the contradiction.
    before.control = TcpControl::None;
    bench.send(&before, Duration::ZERO);
    bench.send(&segment(TcpControl::Fin, 1010, ack), Duration::ZERO);
    let mut read = [0; 16];
    assert_eq!(stream.pipe.try_read(&mut read), Ok(9));
    assert_eq!(&read[..9], b"123behind");
    assert_eq!(stream.pipe.try_read(&mut read), Ok(0));
}
