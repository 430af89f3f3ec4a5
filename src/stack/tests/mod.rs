//! Two stacks on a link with seeded faults, in virtual time.

mod autoconf;
mod bounds;
mod causes;
mod connections;
mod cookies;
mod datagrams;
mod echo;
mod endings;
mod fragments;
mod groups;
mod guards;
mod handshake;
mod icmp;
mod joined;
mod life;
mod lifetimes;
mod link;
mod list;
mod loopback;
mod loss;
mod memory;
mod options;
mod packets;
mod panics;
mod patience;
mod raw;
mod regressions;
mod remnants;
mod replay;
mod sending;
mod unix;
mod verbs;
mod windows;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::{Config, Limits, Mac};
use crate::device::{Device, Fault, FaultConfig, Offload, pair};
use crate::error::Result;
use crate::link::Frames;
use crate::observe::{Depth, Direction, Event, Fate, Observer, Owner, Record, Time};
use crate::pipe::Doorbell;
use crate::recording::Recorder;
use crate::socket::{Call, DatagramSocket, ListenerSocket, Outcome, StreamSocket, Verb};
use crate::stack::Stack;

/// What a host's observer has seen.
#[derive(Debug)]
struct Seen {
    depth: Depth,
    frames: Vec<(Time, Direction, Vec<u8>, Fate)>,
    /// On the loopback.
    packets: Vec<(Direction, Vec<u8>, Fate)>,
    /// The life of addresses, sockets and neighbours, and datagrams without a packet.
    events: Vec<String>,
    /// Everything, where a test wants it.
    records: Option<Vec<Record<'static>>>,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen { depth: Depth::Frame, frames: Vec::new(), packets: Vec::new(), events: Vec::new(), records: None }
    }
}

impl Observer for Seen {
    fn depth(&self) -> Depth {
        self.depth
    }

    fn observe(&mut self, record: &Record<'_>) {
        if let Some(records) = &mut self.records {
            records.push(record.clone().into_owned());
        }
        match &record.event {
            Event::Frame { direction, bytes, fate } => {
                self.frames.push((record.at, *direction, bytes.to_vec(), *fate));
            }
            Event::Loopback { direction, bytes, fate } => self.packets.push((*direction, bytes.to_vec(), *fate)),
            other if matches!(other.depth(), Depth::Life | Depth::Frame) => self.events.push(format!("{other:?}")),
            _ => {}
        }
    }
}

/// A stack, its end of the link, and the calls it has finished.
struct Host {
    stack: Stack,
    device: Fault<crate::device::pair::End>,
    seen: Seen,
    calls: Vec<Call>,
    done: Vec<(u64, Result<Outcome>)>,
    deadline: Option<Time>,
    next_ticket: u64,
    /// Who calls.
    owner: Option<Owner>,
    doorbell: Doorbell,
    /// Every frame that it sent, where a test wants them.
    wire: Option<Vec<Vec<u8>>>,
    /// What it sends is lost.
    is_mute: bool,
    /// Its steps are written down.
    recorder: Option<Recorder>,
}

impl Host {
    fn new(config: Config, device: Fault<crate::device::pair::End>, seed: u8) -> Host {
        Host::recorded(config, device, seed, None)
    }

    fn recorded(
        config: Config,
        mut device: Fault<crate::device::pair::End>,
        seed: u8,
        mut recorder: Option<Recorder>,
    ) -> Host {
        let doorbell = recorder.as_ref().map(Recorder::doorbell).unwrap_or_default();
        if let Some(recorder) = &mut recorder {
            recorder.begin(&replay::header(&config, device.mtu(), [seed; 32]));
            device.keep_lost();
        }
        let stack = Stack::new(config, device.mtu(), [seed; 32], doorbell.clone());
        Host {
            stack,
            device,
            seen: Seen::default(),
            calls: Vec::new(),
            done: Vec::new(),
            deadline: Some(Time::ZERO),
            next_ticket: 0,
            owner: None,
            doorbell,
            wire: None,
            is_mute: false,
            recorder,
        }
    }

    /// One round; says whether anything happened.
    fn round(&mut self, now: Time) -> bool {
        let mut frames: Vec<Vec<u8>> = Vec::new();
        let mut buffer = vec![0; 2048];
        while let Some((length, _)) = self.device.receive(now, &mut buffer).unwrap() {
            frames.push(buffer[..length].to_vec());
        }
        for frame in self.device.take_lost() {
            self.recorder.iter_mut().for_each(|recorder| recorder.note_lost(frame.clone()));
        }
        let is_due = self.deadline.is_some_and(|at| at <= now);
        if frames.is_empty() && self.calls.is_empty() && !is_due && !self.doorbell.is_rung() {
            return false;
        }
        let mut out = Frames::new();
        loop {
            let taken = std::mem::take(&mut frames);
            let taken = taken.iter().map(Vec::as_slice);
            let (stack, calls, seen) = (&mut self.stack, &mut self.calls, &mut self.seen);
            let step = match &mut self.recorder {
                Some(recorder) => recorder.step(stack, now, taken, calls, &mut out, seen),
                None => stack.step(now, taken, calls, &mut out, seen),
            };
            self.deadline = step.deadline;
            for (frame, _) in out.iter() {
                if let Some(wire) = &mut self.wire {
                    wire.push(frame.to_vec());
                }
                // A full link loses what is sent into it.
                if !self.is_mute {
                    self.device.transmit(now, frame, Offload::None).unwrap();
                }
            }
            out.clear();
            if !step.has_more {
                break;
            }
        }
        while let Some(completion) = self.stack.next_completion() {
            self.done.push((completion.ticket, completion.result));
        }
        true
    }

    fn begin(&mut self, verb: Verb) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let owner = self.owner.clone();
        self.calls.push(Call { ticket, owner, verb });
        ticket
    }

    fn finished(&mut self, ticket: u64) -> Option<Result<Outcome>> {
        let at = self.done.iter().position(|(done, _)| *done == ticket)?;
        Some(self.done.remove(at).1)
    }

    /// What was seen of a kind, as text.
    fn events(&self, kind: &str) -> Vec<&String> {
        self.seen.events.iter().filter(|event| event.starts_with(kind)).collect()
    }
}

/// Two hosts and the time.
struct Net {
    now: Time,
    a: Host,
    b: Host,
}

const A: &str = "192.168.69.1";
const B: &str = "192.168.69.100";
const A6: &str = "fd69::1";
const B6: &str = "fd69::100";

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn config_a() -> Config {
    Config { probe: Duration::ZERO, ..Config::default() }
}

fn config_b() -> Config {
    Config {
        addresses: vec![format!("{B}/24").parse().unwrap(), format!("{B6}/64").parse().unwrap()],
        mac: Mac([2, 0, 0x5e, 0x10, 0, 2]),
        probe: Duration::ZERO,
        ..Config::default()
    }
}

/// Whatever a test does: the state machines did what was expected of them.
impl Drop for Net {
    fn drop(&mut self) {
        use crate::observe::Rule;
        if !std::thread::panicking() {
            for host in [&self.a, &self.b] {
                assert_eq!(host.stack.counters().of(Rule::TcpUnclassified), 0);
            }
        }
    }
}

impl Net {
    fn new() -> Net {
        Net::with(FaultConfig::default(), config_a(), config_b())
    }

    /// `fault` is on A's end, both directions.
    fn with(fault: FaultConfig, a: Config, b: Config) -> Net {
        Net::recorded(fault, a, b, None)
    }

    /// The same, with A's steps written down.
    fn recorded(fault: FaultConfig, a: Config, b: Config, recorder: Option<Recorder>) -> Net {
        let (left, right) = pair(1500);
        let a = Host::recorded(a, Fault::new(left, fault).unwrap(), 1, recorder);
        let b = Host::new(b, Fault::new(right, FaultConfig::default()).unwrap(), 2);
        let mut net = Net { now: Time::ZERO, a, b };
        net.settle();
        net
    }

    /// Lets everything happen that happens now.
    fn settle(&mut self) {
        for _ in 0..100_000 {
            let a = self.a.round(self.now);
            let b = self.b.round(self.now);
            if !a && !b {
                return;
            }
        }
        panic!("the two stacks never come to rest at {}", self.now);
    }

    /// Goes to the next moment at which something is due, at most `until`.
    fn next(&mut self, until: Time) {
        let deadlines =
            [self.a.deadline, self.b.deadline, self.a.device.deadline(self.now), self.b.device.deadline(self.now)];
        let due = deadlines.into_iter().flatten().min().unwrap_or(until);
        self.now = due.max(self.now + Duration::from_micros(1)).min(until);
        self.settle();
    }

    fn run(&mut self, span: Duration) {
        let until = self.now + span;
        self.settle();
        while self.now < until {
            self.next(until);
        }
    }

    /// Runs until `ready`, at most `span` of virtual time.
    fn run_until(&mut self, span: Duration, mut ready: impl FnMut(&mut Net) -> bool) {
        let until = self.now + span;
        self.settle();
        while !ready(self) {
            assert!(self.now < until, "it did not happen within {span:?}");
            self.next(until);
        }
    }

    fn call_a(&mut self, verb: Verb) -> Result<Outcome> {
        let ticket = self.a.begin(verb);
        let mut result = None;
        self.run_until(Duration::from_secs(400), |net| {
            result = net.a.finished(ticket);
            result.is_some()
        });
        result.unwrap()
    }

    fn call_b(&mut self, verb: Verb) -> Result<Outcome> {
        let ticket = self.b.begin(verb);
        let mut result = None;
        self.run_until(Duration::from_secs(400), |net| {
            result = net.b.finished(ticket);
            result.is_some()
        });
        result.unwrap()
    }

    fn listen_a(&mut self, local: SocketAddr, backlog: usize) -> ListenerSocket {
        match self.call_a(Verb::OpenListener { local, backlog, v6_only: true }) {
            Ok(Outcome::Listener(listener)) => listener,
            other => panic!("{other:?}"),
        }
    }

    fn connect_b(&mut self, remote: SocketAddr) -> Result<StreamSocket> {
        match self.call_b(Verb::OpenStream { local: None, remote })? {
            Outcome::Stream(stream) => Ok(stream),
            other => panic!("{other:?}"),
        }
    }

    /// A listens on port 80, B connects: (A's end, B's end, the listener).
    fn connected(&mut self) -> (StreamSocket, StreamSocket, ListenerSocket) {
        let listener = self.listen_a(at("0.0.0.0", 80), 16);
        let b = self.connect_b(at(A, 80)).unwrap();
        let mut a = None;
        self.run_until(Duration::from_secs(60), |_| {
            a = listener.queue.try_accept().ok();
            a.is_some()
        });
        self.settle();
        (a.unwrap(), b, listener)
    }

    fn bind_a(&mut self, local: SocketAddr) -> DatagramSocket {
        match self.call_a(Verb::OpenDatagram { local, reuse_address: false, v6_only: true }) {
            Ok(Outcome::Datagram(socket)) => socket,
            other => panic!("{other:?}"),
        }
    }

    fn bind_b(&mut self, local: SocketAddr) -> DatagramSocket {
        match self.call_b(Verb::OpenDatagram { local, reuse_address: false, v6_only: true }) {
            Ok(Outcome::Datagram(socket)) => socket,
            other => panic!("{other:?}"),
        }
    }
}
