//! A panic in one connection's state machine ends that connection, and nothing else; and what it does unasked is noticed.

use smoltcp::wire::{TcpControl, TcpRepr};

use super::wire::{Bench, frame, segment};
use super::*;
use crate::error::Error;
use crate::observe::{Counters, Rule};

impl Bench {
    /// Gives the state machine of one connection a segment, around every guard.
    fn feed_unguarded(&mut self, repr: &TcpRepr<'_>) {
        let (bytes, now) = (frame(repr), self.net.now);
        let stack = &mut self.net.a.stack;
        stack.transport.feed_unguarded(now, at(B, repr.src_port), &bytes[14..], &mut stack.packets);
    }
}

/// FACTS §1, panic 2: a FIN that fills the window exactly, and then an ACK half a sequence space away. The guards keep
/// the second from smoltcp; here it comes around them.
#[test]
fn a_panic_ends_its_connection_alone() {
    let mut bench = Bench::new();
    let one = bench.establish(1000);
    let broken = bench.listener.queue.try_accept().unwrap();
    let mut syn = segment(TcpControl::Syn, 5000, None);
    syn.src_port += 1;
    let two = bench.send(&syn, Duration::ZERO)[0].seq;
    let mut ack = segment(TcpControl::None, 5001, Some(two.wrapping_add(1)));
    ack.src_port += 1;
    bench.send(&ack, Duration::ZERO);
    let whole = bench.listener.queue.try_accept().unwrap();
    let sockets = bench.net.a.stack.sockets();

    let window = vec![7; config_a().limits.receive_buffer];
    let (first, rest) = window.split_at(window.len() / 2);
    let ack_one = Some(one.wrapping_add(1));
    let half = TcpRepr { payload: first, ..segment(TcpControl::None, 1001, ack_one) };
    let fin = TcpRepr { payload: rest, ..segment(TcpControl::Fin, 1001 + first.len() as u32, ack_one) };
    let next = 1001 + window.len() as u32 + 1;
    bench.feed_unguarded(&half);
    bench.feed_unguarded(&fin);
    bench.feed_unguarded(&segment(TcpControl::None, next.wrapping_sub(1 << 31), ack_one));
    let answers = bench.idle(Duration::from_secs(1));

    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpPanicked), 1);
    assert_eq!(bench.net.a.stack.sockets(), sockets - 1);
    assert!(bench.net.a.seen.events.iter().any(|event| event.starts_with("Closed") && event.contains("Panicked")));
    assert!(answers.iter().any(|answer| answer.control == TcpControl::Rst && answer.seq == one.wrapping_add(1)));
    assert_eq!(broken.pipe.try_read(&mut [0; 8]), Err(Error::ConnectionAborted));
    assert_eq!(broken.pipe.try_write(b"x"), Err(Error::BrokenPipe));

    ack.payload = b"still here";
    let answers = bench.send(&ack, Duration::from_secs(1));
    assert_eq!(answers.last().unwrap().ack, Some(5011));
    assert_eq!(whole.pipe.try_read(&mut [0; 16]), Ok(10));
}

/// Every segment is followed by a look at what the state machine made of it. Here it has taken an acknowledgment that
/// its guards never saw, and so holds fewer bytes than were handed over and not acknowledged.
#[test]
fn a_state_machine_that_did_something_else_than_was_expected_is_noticed() {
    let mut bench = Bench::new();
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.try_write(&[7; 1000]).unwrap();
    bench.idle(Duration::ZERO);
    let ack = Some(theirs.wrapping_add(1));
    bench.send(&TcpRepr { payload: b"a", ..segment(TcpControl::Psh, 1001, ack) }, Duration::ZERO);
    assert_eq!(bench.fate().rule, None, "nothing is wrong yet");
    bench.feed_unguarded(&segment(TcpControl::None, 1002, Some(theirs.wrapping_add(501))));
    bench.send(&TcpRepr { payload: b"b", ..segment(TcpControl::Psh, 1002, ack) }, Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::TcpUnclassified));
    // No other test may see it: the end of each looks.
    *bench.net.a.stack.counters_mut() = Counters::default();
}
