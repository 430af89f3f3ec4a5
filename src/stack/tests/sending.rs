//! Why a connection does not send more than it does, and which timer goes off next.

use smoltcp::wire::{TcpControl, TcpRepr};

use super::wire::{Bench, segment};
use super::*;
use crate::observe::TimerKind;
use crate::socket::{Hold, Sending};

const PEER: u32 = 1001;
/// The peer has named no MSS.
const SEGMENT: usize = 536;

fn accepted(bench: &mut Bench) -> (StreamSocket, u32) {
    let ours = bench.establish(PEER - 1).wrapping_add(1);
    (bench.listener.queue.try_accept().unwrap(), ours)
}

fn ack(bench: &mut Bench, number: u32, window_len: u16) {
    let repr = TcpRepr { window_len, ..segment(TcpControl::None, PEER, Some(number)) };
    bench.send(&repr, Duration::ZERO);
}

fn write(bench: &mut Bench, stream: &StreamSocket, length: usize) {
    assert_eq!(stream.pipe.try_write(&vec![b'x'; length]), Ok(length));
    bench.idle(Duration::ZERO);
}

fn sending(bench: &mut Bench, stream: &StreamSocket) -> Sending {
    match bench.net.call_a(Verb::Info { socket: stream.handle }) {
        Ok(Outcome::Info(info)) => info.sending,
        other => panic!("{other:?}"),
    }
}

fn timer(sending: &Sending) -> Option<TimerKind> {
    sending.timer.map(|(kind, _)| kind)
}

#[test]
fn it_is_the_program_until_a_window_is_full_and_then_that_window() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    let idle = sending(&mut bench, &stream);
    assert_eq!((idle.hold, idle.unsent, idle.timer, idle.slow_start_threshold), (Hold::Application, 0, None, None));
    assert_eq!((idle.segment, idle.path_mtu), (SEGMENT, 576.max(idle.path_mtu)));
    ack(&mut bench, ours, 64_000);

    write(&mut bench, &stream, 20_000);
    let full = sending(&mut bench, &stream);
    assert_eq!((full.hold, full.on_its_way, full.congestion_window), (Hold::Congestion, 5360, 5360));
    assert_eq!((full.unsent, timer(&full)), (20_000 - 5360, Some(TimerKind::Retransmission)));

    ack(&mut bench, ours + 5360, 0);
    let shut_out = sending(&mut bench, &stream);
    assert_eq!((shut_out.hold, shut_out.on_its_way), (Hold::Window, 0));
    assert_eq!(timer(&shut_out), Some(TimerKind::ZeroWindow));
}

#[test]
fn a_small_segment_waits_for_the_one_before_unless_nagle_is_off() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    ack(&mut bench, ours, 64_000);
    write(&mut bench, &stream, 100);
    assert_eq!(sending(&mut bench, &stream).hold, Hold::Application, "it has left");
    write(&mut bench, &stream, 100);
    let held = sending(&mut bench, &stream);
    assert_eq!((held.hold, held.on_its_way, held.unsent, held.nagle), (Hold::Nagle, 100, 100, true));
    ack(&mut bench, ours + 100, 64_000);
    let after = sending(&mut bench, &stream);
    assert_eq!((after.hold, after.on_its_way, after.unsent), (Hold::Application, 100, 0));
}

#[test]
fn after_a_timeout_what_was_lost_comes_first_and_the_round_trips_are_counted() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    ack(&mut bench, ours, 64_000);
    write(&mut bench, &stream, 100);
    bench.idle(Duration::from_millis(30));
    ack(&mut bench, ours + 100, 64_000);
    let [smoothed, _, least] = sending(&mut bench, &stream).round_trip.unwrap();
    assert!(least >= Duration::from_millis(30) && smoothed >= least);

    write(&mut bench, &stream, 20_000);
    bench.idle(Duration::from_secs(2));
    let lost = sending(&mut bench, &stream);
    assert_eq!((lost.hold, lost.congestion_window), (Hold::Recovery, SEGMENT));
    assert!(lost.lost >= 4 * SEGMENT && lost.backoff > 0 && lost.slow_start_threshold.is_some(), "{lost:?}");
    assert!(lost.timeout > Duration::from_millis(200));
}

#[test]
fn whoever_has_said_that_it_was_all_is_finished_when_that_has_left() {
    let mut bench = Bench::new();
    let (stream, ours) = accepted(&mut bench);
    ack(&mut bench, ours, 64_000);
    write(&mut bench, &stream, 100);
    stream.pipe.shutdown_write();
    bench.idle(Duration::ZERO);
    assert_eq!(sending(&mut bench, &stream).hold, Hold::Finished);
    let mut net = Net::new();
    let ticket = net.a.begin(Verb::OpenStream { local: None, remote: at("192.168.69.77", 80) });
    net.settle();
    let Ok(Outcome::List(rows, _)) = net.call_a(Verb::List { page: Default::default() }) else { panic!() };
    let info = rows[0].info.as_ref().unwrap();
    assert_eq!((info.sending.hold, net.a.finished(ticket).is_none()), (Hold::Handshake, true));
}
