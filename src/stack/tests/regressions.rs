//! What the fuzzer has broken once (fuzz/, scripts/fuzz.sh). Each test is named after what broke.

use smoltcp::wire::TcpControl;

use super::wire::{Bench, segment};
use super::*;
use crate::observe::TcpState;

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
