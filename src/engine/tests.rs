//! The loop's parts, one call at a time.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::task::Waker;

use super::*;
use crate::device::Offload;
use crate::observe::NoObserver;
use crate::socket::DatagramSocket;
use crate::stack::Verb;

/// Takes frames only while it is open.
#[derive(Debug, Default)]
struct Gate {
    is_open: bool,
    taken: Vec<Vec<u8>>,
}

impl Device for Gate {
    fn receive(&mut self, _now: Time, _frame: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        Ok(None)
    }

    fn transmit(&mut self, _now: Time, frame: &[u8], _offload: Offload) -> io::Result<bool> {
        if self.is_open {
            self.taken.push(frame.to_vec());
        }
        Ok(self.is_open)
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn set_waker(&mut self, _waker: &Waker) {}
}

fn bind(engine: &mut Engine<Gate>, local: SocketAddr) -> DatagramSocket {
    let (reply, mut answer) = oneshot::channel();
    let ticket = engine.next_ticket;
    engine.next_ticket += 1;
    engine.replies.insert(ticket, reply);
    engine.calls.push(Call {
        ticket,
        owner: None,
        verb: Verb::OpenDatagram { local, reuse_address: false, v6_only: true },
    });
    engine.step();
    match answer.try_recv() {
        Ok(Ok(Outcome::Datagram(socket))) => socket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_takes_nothing_costs_a_bounded_backlog_and_what_is_sent_later_leaves() {
    let config = Config { probe: Duration::ZERO, ..Config::default() };
    let (mut engine, _handle) = Engine::new(config, Gate::default(), [7; 32], Box::new(NoObserver));
    let socket = bind(&mut engine, "0.0.0.0:0".parse().unwrap());
    // A group: no neighbour is waited for.
    let group: SocketAddr = "239.1.2.3:9".parse().unwrap();
    let mut most = 0;
    for _ in 0..200 {
        let _ = socket.pipe.try_send(&[7; 60_000], group, None);
        engine.step();
        engine.transmit().unwrap();
        most = most.max(engine.frames.bytes_used());
    }
    let lost = engine.stack.counters().of(Rule::DeviceFull);
    assert!(lost as usize > BACKLOG / 1514 && most <= BACKLOG, "{lost} lost, {most} bytes kept");
    engine.device.is_open = true;
    engine.transmit().unwrap();
    engine.device.taken.clear();
    socket.pipe.try_send(b"later", group, None).unwrap();
    engine.step();
    engine.transmit().unwrap();
    assert!(engine.device.taken.iter().any(|frame| frame.ends_with(b"later")));
    assert_eq!(engine.stack.counters().of(Rule::DeviceFull), lost);
}
