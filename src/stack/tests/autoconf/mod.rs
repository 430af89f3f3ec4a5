//! Addresses that come and go: a DHCP server and a router, both crafted, beside two stacks on a link.

mod dhcp;
mod server;
mod slaac;

use std::net::IpAddr;

use super::*;
use crate::observe::Rule;
use crate::stack::{Awaited, Lifetime, Origin};
use server::Server;

const SECOND: Duration = Duration::from_secs(1);
const OTHER: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at_second(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

/// A, whose addresses come and go, and B, which stays. What A sends is heard by a server, which answers as it was told.
struct Lan {
    net: Net,
    server: Server,
    heard: usize,
    verdict: Option<Rule>,
}

impl Lan {
    fn new(a: Config, server: Server) -> Lan {
        let mut net = Net::with(FaultConfig::default(), a, config_b());
        net.a.seen.events.clear();
        let mut lan = Lan { net, server, heard: 0, verdict: None };
        lan.serve();
        lan
    }

    /// One frame for A, by nobody's device.
    fn inject(&mut self, frame: &[u8]) {
        let (now, a) = (self.net.now, &mut self.net.a);
        let before = a.seen.frames.len();
        let mut out = Frames::new();
        let step = a.stack.step(now, [frame], &mut a.calls, &mut out, &mut a.seen);
        a.deadline = if step.has_more { Some(now) } else { step.deadline };
        for (frame, _) in out.iter() {
            a.device.transmit(now, frame, Offload::None).unwrap();
        }
        self.verdict = a.seen.frames[before].3.rule;
        self.net.settle();
    }

    /// The rule by which A dropped or took the last frame that was injected.
    fn verdict(&self) -> Option<Rule> {
        self.verdict
    }

    fn serve(&mut self) {
        while let Some((at, direction, bytes, _)) = self.net.a.seen.frames.get(self.heard) {
            self.heard += 1;
            if *direction == Direction::Out
                && let Some(answer) = self.server.hear(*at, bytes)
            {
                self.inject(&answer);
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let until = self.net.now + span;
        self.net.settle();
        self.serve();
        while self.net.now < until {
            self.net.next(until);
            self.serve();
        }
    }

    /// The frames that A sent for this reason, and when.
    fn sent(&self, rule: Rule) -> Vec<(Time, &[u8])> {
        let frames = self.net.a.seen.frames.iter();
        frames
            .filter(|(_, direction, _, fate)| *direction == Direction::Out && fate.rule == Some(rule))
            .map(|(at, _, bytes, _)| (*at, bytes.as_slice()))
            .collect()
    }

    fn count(&self, rule: Rule) -> usize {
        self.sent(rule).len()
    }

    /// What the observer was told, one line each: the addresses, the leases, the routers.
    fn told(&self) -> String {
        self.net.a.seen.events.join("\n")
    }

    fn is_ours(&self, address: &str) -> bool {
        self.net.a.stack.ip.is_usable(ip(address))
    }

    /// A connection from B to port 80 of A, which is `address` there.
    fn connect(&mut self, address: &str) -> (StreamSocket, StreamSocket, ListenerSocket) {
        let wildcard = if ip(address).is_ipv4() { "0.0.0.0" } else { "::" };
        let listener = self.net.listen_a(at(wildcard, 80), 16);
        let b = self.net.connect_b(at(address, 80)).unwrap();
        let a = listener.queue.try_accept().unwrap();
        (a, b, listener)
    }
}

#[test]
fn an_address_can_be_added_and_removed_while_the_stack_runs() {
    use crate::error::Error;
    let mut net = Net::new();
    let second = "192.168.69.2/24".parse().unwrap();
    let mut out = Frames::new();
    let forever = Lifetime::FOREVER;
    let a = &mut net.a;
    a.stack.add_address(net.now, second, Origin::Chosen, forever, &mut out, &mut a.seen).unwrap();
    let again = a.stack.add_address(net.now, second, Origin::Chosen, forever, &mut out, &mut a.seen);
    assert_eq!(again, Err(Error::AddressInUse));

    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let bound = net.bind_a(at("192.168.69.2", 9));
    let b = net.connect_b(at("192.168.69.2", 80)).unwrap();
    let accepted = listener.queue.try_accept().unwrap();
    let other = net.connect_b(at(A, 80)).unwrap();
    let kept = listener.queue.try_accept().unwrap();

    net.a.stack.remove_address(net.now, second.address(), &mut net.a.seen).unwrap();
    net.a.deadline = Some(net.now);
    net.settle();
    assert_eq!(accepted.pipe.try_read(&mut [0; 8]), Err(Error::AddressNotAvailable));
    assert!(net.a.events("Closed").iter().any(|event| event.contains("AddressGone")));
    assert_eq!(bound.pipe.try_send(b"x", at(B, 9), None), Ok(()), "the pipe takes it");
    net.settle();
    assert_eq!(bound.pipe.try_send(b"x", at(B, 9), None), Err(Error::AddressNotAvailable));
    other.pipe.try_write(b"on").unwrap();
    net.run(SECOND);
    assert_eq!(kept.pipe.try_read(&mut [0; 8]), Ok(2), "what is bound to the other address goes on");
    assert_eq!(
        net.call_a(Verb::OpenDatagram { local: at("192.168.69.2", 10), reuse_address: false, v6_only: true })
            .unwrap_err(),
        Error::AddressNotAvailable
    );
    let gone = net.a.stack.remove_address(net.now, second.address(), &mut net.a.seen);
    assert_eq!(gone, Err(Error::AddressNotAvailable));
    drop(b);
}
