//! Connections in all the ways in which they can end, at random: whatever programs do and peers send, in the end nothing
//! is left of them, and every call has been answered once.

use std::collections::{BTreeMap, HashSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use smoltcp::wire::{TcpControl, TcpSeqNumber, TcpTimestampRepr};

use super::icmp::unreachable;
use super::wire::{Answer, frame, here_is_b, segment};
use super::*;
use crate::config::Cidr;
use crate::observe::{NoObserver, Rule, TcpState};
use crate::socket::{Page, SocketOption, SocketRow};
use crate::stack::{Lifetime, Origin};

/// What a peer knows of a connection.
#[derive(Debug, Clone, Copy, Default)]
struct Peer {
    /// Its next number, and the next of ours that it expects.
    next: u32,
    expects: u32,
    timestamp: Option<u32>,
}

/// How peers behave in the end, when no program holds anything any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Epilogue {
    /// They have gone.
    Silent,
    /// They answer whatever carries data or a FIN, and take nothing of it.
    Closed,
    /// They repeat their last ACK, asked or not.
    Chatty,
}

struct World {
    rng: StdRng,
    now: Time,
    host: Host,
    peers: BTreeMap<(u16, u16), Peer>,
    listener: Option<ListenerSocket>,
    streams: Vec<StreamSocket>,
    /// Calls that are not answered yet.
    pending: BTreeMap<u64, Verb>,
    /// The last TCP packet that was sent.
    last: Vec<u8>,
    has_address: bool,
    rounds: usize,
}

const CIDR: &str = "192.168.69.1/24";

impl World {
    fn new(seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut config = config_a();
        config.limits.syn_entries = [0, 2, 1024][rng.random_range(0..3)];
        config.limits.remnants = [0, 3, 1000][rng.random_range(0..3)];
        config.limits.send_buffer = [2048, 20_000, 262_144][rng.random_range(0..3)];
        config.limits.pipe = [1024, 8192, 131_072][rng.random_range(0..3)];
        config.limits.receive_buffer = [2048, 65_535][rng.random_range(0..2)];
        if rng.random_range(0..4) == 0 {
            config.limits.memory = 1 << 18;
        }
        let (end, _) = pair(1500);
        let host = Host::new(config, Fault::new(end, FaultConfig::default()).unwrap(), seed as u8);
        let mut world = World {
            rng,
            now: Time::ZERO,
            host,
            peers: BTreeMap::new(),
            listener: None,
            streams: Vec::new(),
            pending: BTreeMap::new(),
            last: Vec::new(),
            has_address: true,
            rounds: 0,
        };
        world.listen();
        world.step(&[]);
        world
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.rng.random_range(0..one_in) == 0
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.random_range(0..choices.len())]
    }

    /// Gives the stack these frames now, and lets it come to rest. Gives what it sent.
    fn step(&mut self, frames: &[Vec<u8>]) -> Vec<Answer> {
        let mut frames: Vec<Vec<u8>> = frames.to_vec();
        let mut answers = Vec::new();
        loop {
            self.rounds += 1;
            let mut out = Frames::new();
            let host = &mut self.host;
            let taken = std::mem::take(&mut frames);
            let step =
                host.stack.step(self.now, taken.iter().map(Vec::as_slice), &mut host.calls, &mut out, &mut NoObserver);
            host.deadline = step.deadline;
            if out.iter().any(|(frame, _)| frame[12..14] == [8, 6] && frame[20..22] == [0, 1]) {
                frames.push(here_is_b());
            }
            for (bytes, _) in out.iter() {
                if let Some(answer) = Answer::read(bytes) {
                    self.last = bytes[14..].to_vec();
                    self.learn(&answer);
                    answers.push(answer);
                }
            }
            while let Some(completion) = self.host.stack.next_completion() {
                assert!(self.pending.remove(&completion.ticket).is_some(), "answered twice: {completion:?}");
                match completion.result {
                    Ok(Outcome::Stream(stream)) => self.streams.push(stream),
                    Ok(Outcome::Listener(listener)) => self.listener = Some(listener),
                    Ok(Outcome::List(rows, _)) => check_list(&rows),
                    _ => {}
                }
            }
            if !step.has_more && frames.is_empty() && !self.host.doorbell.is_rung() {
                break;
            }
        }
        self.host.stack.transport.check();
        let counters = self.host.stack.counters();
        assert_eq!((counters.of(Rule::TcpPanicked), counters.of(Rule::TcpUnclassified)), (0, 0));
        answers
    }

    fn learn(&mut self, answer: &Answer) {
        let peer = self.peers.entry(answer.ports).or_default();
        let end = answer.seq.wrapping_add(answer.len());
        if answer.control == TcpControl::Syn || end.wrapping_sub(peer.expects) < 1 << 30 {
            peer.expects = end;
        }
    }

    /// Time passes. Says what was sent.
    fn pass(&mut self, span: Duration) -> Vec<Answer> {
        let until = self.now + span;
        let mut answers = self.step(&[]);
        while let Some(at) = self.host.deadline.filter(|&at| at <= until) {
            self.now = at.max(self.now + Duration::from_micros(1));
            answers.extend(self.step(&[]));
        }
        self.now = self.now.max(until);
        answers
    }

    fn call(&mut self, verb: Verb) {
        let ticket = self.host.begin(verb.clone());
        self.pending.insert(ticket, verb);
    }

    fn listen(&mut self) {
        let backlog = self.one_of(&[1, 2, 16]);
        self.call(Verb::OpenListener { local: at("0.0.0.0", 80), backlog, v6_only: true });
    }

    fn program(&mut self) {
        match self.rng.random_range(0..12) {
            0 | 1 => {
                if let Some(stream) = self.listener.as_ref().and_then(|listener| listener.queue.try_accept().ok()) {
                    self.streams.push(stream);
                }
            }
            2 => {
                let local = self.chance(2).then(|| at("0.0.0.0", 1000));
                let port = self.rng.random_range(2000..2004);
                self.call(Verb::OpenStream { local, remote: at(B, port) });
            }
            3 if self.chance(3) => match self.listener.take() {
                Some(listener) => drop(listener),
                None if self.pending.is_empty() => self.listen(),
                None => {}
            },
            _ if self.streams.is_empty() => {}
            _ => {
                let index = self.rng.random_range(0..self.streams.len());
                self.use_stream(index);
            }
        }
    }

    fn use_stream(&mut self, index: usize) {
        let socket = self.streams[index].handle;
        let count = self.one_of(&[1, 1000, 9000, 400_000]);
        let pipe = &self.streams[index].pipe;
        match self.rng.random_range(0..11) {
            0..3 => drop(pipe.try_write(&vec![7; count])),
            3..5 => drop(pipe.try_read(&mut vec![0; count])),
            5 => pipe.shutdown_write(),
            6 => pipe.shutdown_read(),
            7 => {
                for option in [
                    SocketOption::KeepaliveIdle(Duration::from_secs(self.rng.random_range(1..50))),
                    SocketOption::KeepaliveInterval(Duration::from_secs(self.rng.random_range(1..20))),
                    SocketOption::KeepaliveCount(self.rng.random_range(1..5)),
                ] {
                    self.call(Verb::SetOption { socket, option });
                }
                let span = Duration::from_secs(self.rng.random_range(0..100));
                let option = self.one_of(&[
                    SocketOption::Keepalive(true),
                    SocketOption::UserTimeout(Some(span)),
                    SocketOption::Linger(Some(Duration::ZERO)),
                    SocketOption::Nodelay(true),
                ]);
                self.call(Verb::SetOption { socket, option });
            }
            8 => {
                pipe.shutdown_write();
                self.call(Verb::Linger { socket });
            }
            _ => drop(self.streams.swap_remove(index)),
        }
    }

    /// Some segment of some peer: often one that fits, sometimes one that does not.
    fn peer(&mut self) -> Vec<u8> {
        let is_asked = self.chance(3) && !self.peers.is_empty();
        let ports = if is_asked {
            let index = self.rng.random_range(0..self.peers.len());
            *self.peers.keys().nth(index).unwrap()
        } else {
            (80, self.rng.random_range(6000..6008))
        };
        let mut peer = self.peers.get(&ports).copied().unwrap_or_default();
        let is_new = peer.next == 0 || self.chance(12);
        let payload = vec![3; self.one_of(&[0, 0, 0, 1, 700, 1460])];
        let mut repr = segment(TcpControl::None, peer.next, Some(peer.expects));
        if is_new {
            peer.next = self.rng.random();
            peer.timestamp = self.chance(2).then(|| self.rng.random());
            repr = segment(TcpControl::Syn, peer.next, (ports.0 != 80).then_some(peer.expects));
            peer.next = peer.next.wrapping_add(1);
            if self.chance(5) {
                repr.ack_number = None;
            }
            repr.window_scale = self.chance(2).then_some(3);
            repr.sack_permitted = self.chance(2);
        } else {
            let length = payload.len() as u32;
            repr.control = self.one_of(&[
                TcpControl::None,
                TcpControl::None,
                TcpControl::None,
                TcpControl::Psh,
                TcpControl::Fin,
                TcpControl::Rst,
                TcpControl::Syn,
            ]);
            if matches!(repr.control, TcpControl::Rst | TcpControl::Syn) && !self.chance(3) {
                repr.control = TcpControl::Fin;
            }
            if !matches!(repr.control, TcpControl::Rst | TcpControl::Syn) {
                repr.payload = &payload;
            }
            if self.chance(8) {
                let wild = self.one_of(&[1_u32, 1000, 70_000, 1 << 30, 1 << 31]);
                let wild = if self.chance(2) { wild } else { wild.wrapping_neg() };
                repr.seq_number = TcpSeqNumber(peer.next.wrapping_add(wild) as i32);
            } else if !repr.payload.is_empty() || repr.control == TcpControl::Fin {
                // Mostly the peer goes on, sometimes it sends the same again.
                if self.chance(2) {
                    peer.next = peer.next.wrapping_add(length + u32::from(repr.control == TcpControl::Fin));
                }
            }
            if self.chance(4) {
                let back = self.one_of(&[1_u32, 500, 5000, 100_000, u32::MAX]);
                repr.ack_number = Some(TcpSeqNumber(peer.expects.wrapping_sub(back) as i32));
            }
        }
        (repr.src_port, repr.dst_port) = (ports.1, ports.0);
        repr.window_len = self.one_of(&[64_000, 64_000, 1000, 0]);
        if let Some(value) = &mut peer.timestamp {
            *value = value.wrapping_add(self.rng.random_range(0..20));
            let old = if self.chance(20) { 5000 } else { 0 };
            repr.timestamp = Some(TcpTimestampRepr::new(value.wrapping_sub(old), 0));
        }
        self.peers.insert(ports, peer);
        frame(&repr)
    }

    fn change_address(&mut self) {
        if self.has_address {
            let address = A.parse().unwrap();
            self.host.stack.remove_address(self.now, address, &mut NoObserver).unwrap();
        } else {
            let (cidr, mut out): (Cidr, _) = (CIDR.parse().unwrap(), Frames::new());
            let stack = &mut self.host.stack;
            stack.add_address(self.now, cidr, Origin::Chosen, Lifetime::FOREVER, &mut out, &mut NoObserver).unwrap();
        }
        self.has_address = !self.has_address;
    }

    fn act(&mut self) {
        if self.rounds.is_multiple_of(8) {
            self.call(Verb::List { page: Page::default() });
        }
        match self.rng.random_range(0..20) {
            0..6 => {
                self.program();
                self.step(&[]);
            }
            6 if self.chance(10) => {
                self.change_address();
                self.step(&[]);
            }
            7 if !self.last.is_empty() => {
                let code = self.one_of(&[0, 1, 3, 4, 13]);
                let error = unreachable(code, 600, &self.last.clone());
                self.step(&[error]);
            }
            8 => {
                let span = self.one_of(&[1, 20, 20, 200, 200, 1000, 5000, 30_000, 130_000]);
                self.pass(Duration::from_millis(span));
            }
            _ => {
                let frames: Vec<Vec<u8>> = (0..self.rng.random_range(1..4)).map(|_| self.peer()).collect();
                self.step(&frames);
            }
        }
    }

    /// The programs let go of everything, the peers do as `epilogue` says for some minutes, and then they are silent.
    fn end(&mut self, epilogue: Epilogue) {
        self.streams.clear();
        self.listener = None;
        self.step(&[]);
        let peers = self.peers.clone();
        // A call that was under way may still bring something.
        for _ in 0..8 {
            self.haunt(epilogue, &peers, Duration::from_secs(30));
            self.streams.clear();
            self.listener = None;
        }
        assert!(self.pending.is_empty(), "never answered: {:?}", self.pending);
        assert_eq!(self.host.stack.sockets(), 0, "{epilogue:?}: {:?}", self.host.stack.transport);
        let before = self.rounds;
        // The latest deadline that a connection may have armed: who disarms it does not take it out.
        self.pass(Duration::from_secs(1000));
        assert!(self.rounds - before < 1000, "{} rounds with nothing to do", self.rounds - before);
        let stack = &self.host.stack;
        let left: Vec<_> =
            stack.transport.left().into_iter().chain(stack.sockets.left()).filter(|what| what.1 > 0).collect();
        assert_eq!(left, []);
    }

    /// What the peers still send.
    fn haunt(&mut self, epilogue: Epilogue, peers: &BTreeMap<(u16, u16), Peer>, span: Duration) {
        let until = self.now + span;
        while self.now < until {
            let sent = self.pass(Duration::from_secs(1));
            let mut frames = Vec::new();
            let mut say = |ports: (u16, u16), peer: &Peer, ack: u32| {
                let mut repr = segment(TcpControl::None, peer.next, Some(ack));
                (repr.src_port, repr.dst_port, repr.window_len) = (ports.1, ports.0, 0);
                repr.timestamp = peer.timestamp.map(|value| TcpTimestampRepr::new(value, 0));
                frames.push(frame(&repr));
            };
            match epilogue {
                Epilogue::Silent => {}
                Epilogue::Closed => {
                    for answer in sent.iter().filter(|answer| answer.len() > 0) {
                        say(answer.ports, &self.peers[&answer.ports], answer.seq);
                    }
                }
                Epilogue::Chatty => {
                    for (&ports, peer) in peers {
                        say(ports, peer, peer.expects);
                    }
                }
            }
            self.step(&frames);
        }
    }
}

/// Whatever happens: a program's socket has one row, and no two connections have the same ends.
fn check_list(rows: &[SocketRow]) {
    let (mut names, mut ends) = (HashSet::new(), HashSet::new());
    for row in rows {
        assert!(!row.is_held || names.insert(row.id), "twice: {row:?} in {rows:#?}");
        if let (true, Some(peer)) = (row.state != TcpState::Closed, &row.peer) {
            assert!(ends.insert((&row.local, peer)), "the same ends: {row:?} in {rows:#?}");
        }
    }
}

fn live(seed: u64) {
    let _named = Named(seed);
    let mut world = World::new(seed);
    for _ in 0..300 {
        world.act();
    }
    let epilogue = world.one_of(&[Epilogue::Silent, Epilogue::Closed, Epilogue::Chatty]);
    world.end(epilogue);
}

/// Says which seed it was, if one fails.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

/// Each seed is a life of its own: 300 things that programs and peers do, and the end.
#[test]
fn nothing_is_left_of_connections_that_have_ended_in_any_way() {
    for seed in 0..60 {
        live(seed);
    }
}
