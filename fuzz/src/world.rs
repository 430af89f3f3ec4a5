//! A stack with sockets in every state, its programs, and its peers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tapsock::config::{Config, Limits, Mac};
use tapsock::error::Error;
use tapsock::observe::{Rule, Time};
use tapsock::pipe::Doorbell;
use tapsock::socket::{Call, DatagramSocket, Domain, Kind, ListenerSocket, Outcome, Protocol, StreamSocket, Verb};
use tapsock::stack::{Frames, Stack};
use tapsock::trace::Text;

use crate::craft::{self, ACK, FIN, PEER, RST, STACK, SYN, Segment};
use crate::oracle::{Sent, inspect};
use crate::show;

/// Bytes of IP packet that the link carries.
pub const MTU: usize = 1500;

/// How often one moment may be stepped through: what is due now must be done some time.
const ROUNDS: usize = 2000;

/// The sockets that the stack may have: few, so that the bound is met.
const SOCKETS: usize = 48;

/// How many connections there are from the start at most: each takes time, and no bug needs many.
const CONNECTIONS: usize = 4;

/// How many frames that carry no payload may answer one frame, and the step around it.
const ANSWERS: usize = 64;

/// One end of a TCP connection, as the peer knows it.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    pub v6: bool,
    /// The peer's port.
    pub source: u16,
    /// The stack's.
    pub destination: u16,
    /// What the peer sends next.
    pub next: u32,
    /// The end of what the stack has sent.
    pub theirs: u32,
    /// What the stack said last: its acknowledgment, and the end of its window.
    pub acked: u32,
    pub edge: u32,
    /// Initial sequence numbers of the stack.
    issues: Vec<u32>,
    /// Initial sequence numbers that the peer has sent, and where it sent FINs.
    syns: Vec<u32>,
    fins: Vec<u32>,
}

/// A program's end of a TCP connection.
#[derive(Debug)]
pub struct Program {
    pub socket: StreamSocket,
    read: u32,
    written: u32,
    /// It has seen an error or the end, or wants no more: what follows says nothing.
    is_over: bool,
}

/// Everything.
pub struct World {
    stack: Stack,
    text: Text,
    pub now: Time,
    out: Frames,
    calls: Vec<Call>,
    next_ticket: u64,
    deadline: Option<Time>,
    pub listeners: Vec<ListenerSocket>,
    pub programs: Vec<Program>,
    pub datagrams: Vec<DatagramSocket>,
    /// Echo and raw sockets.
    pub packets: Vec<(Domain, Kind, DatagramSocket)>,
    asked: Vec<(u64, Domain, Kind)>,
    pub peers: Vec<Peer>,
    /// Whether the peer says who it is when the stack asks.
    pub is_helpful: bool,
    /// Whether every segment so far carried the byte that belongs to its sequence number.
    pub is_coherent: bool,
    /// The last frame that the stack sent.
    pub last_sent: Vec<u8>,
    /// The transaction of the stack's last question to a DHCP server.
    pub xid: u32,
    /// What was given to it and when, if somebody wants to know.
    pub record: Option<Vec<(Time, Vec<u8>)>>,
    echo_replies: u16,
    buffer: Vec<u8>,
}

/// The byte that a peer sends at a sequence number.
pub fn incoming(seq: u32) -> u8 {
    (seq.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

/// The byte that a program writes at an offset.
fn outgoing(offset: u32) -> u8 {
    (offset.wrapping_mul(0x85eb_ca6b) >> 24) as u8
}

/// The states in which a world has sockets from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

/// All of them, in the order of the bits that choose.
pub const STATES: [State; 9] = [
    State::Established,
    State::SynReceived,
    State::SynSent,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

impl World {
    /// A stack with listeners and UDP sockets of both families, and a connection in each of the `states` whose bit
    /// is set, of either family, the first [`CONNECTIONS`] of them. `shape` chooses the sizes of buffers.
    pub fn new(states: u32, shape: u8) -> World {
        show::trace(shape & 0xc0 == 0xc0);
        let receive_buffer = [4096, 65_535, 2048, 16_384][usize::from(shape & 3)];
        let limits = Limits {
            sockets: SOCKETS,
            syn_entries: 8,
            backlog: 8,
            neighbours: 8,
            packets_per_neighbour: 4,
            errors_per_second: 20,
            receive_buffer,
            send_buffer: [8192, 65_536][usize::from(shape >> 2 & 1)],
            pipe: 8192,
            datagram_buffer: 65_536 * usize::from(shape >> 3 & 1) + 4096,
            ..Limits::default()
        };
        // Addresses are chosen, leased and learned: what strangers say about them is heard as well.
        let config = Config {
            mac: Mac(STACK.mac),
            dhcp: shape & 0x10 != 0,
            slaac: shape & 0x20 != 0,
            probe: Duration::ZERO,
            limits,
            ..Config::default()
        };
        let mut world = World {
            stack: Stack::new(config, MTU, [shape; 32], Doorbell::default()),
            text: Text::new(),
            now: Time::from_micros(1),
            out: Frames::new(),
            calls: Vec::new(),
            next_ticket: 0,
            deadline: None,
            listeners: Vec::new(),
            programs: Vec::new(),
            datagrams: Vec::new(),
            packets: Vec::new(),
            asked: Vec::new(),
            peers: Vec::new(),
            is_helpful: true,
            is_coherent: true,
            last_sent: Vec::new(),
            xid: 0,
            record: None,
            echo_replies: 0,
            buffer: Vec::new(),
        };
        for v6 in [false, true] {
            let any = |port| SocketAddr::new(if v6 { [0u16; 8].into() } else { [0u8; 4].into() }, port);
            world.call(Verb::OpenListener { local: any(80), backlog: 4, v6_only: true });
        }
        // One bound to all addresses of IPv4, the other to one of IPv6 and connected.
        world.call(Verb::OpenDatagram { local: SocketAddr::from(([0; 4], 7)), reuse_address: false, v6_only: true });
        world.call(Verb::OpenDatagram {
            local: SocketAddr::new(STACK.ip(true), 8),
            reuse_address: true,
            v6_only: true,
        });
        // One for echo of each family, one that sends and hears packets of its own protocol, and those that hear others'.
        for domain in [Domain::Inet, Domain::Inet6] {
            let icmp = if domain == Domain::Inet { Protocol::ICMP } else { Protocol::ICMPV6 };
            for kind in [Kind::Echo, Kind::Raw(Protocol::TESTING), Kind::Raw(icmp), Kind::Raw(Protocol::TCP)] {
                world.asked.push((world.next_ticket, domain, kind));
                world.call(Verb::Open { domain, kind });
            }
        }
        world.step(&[]);
        if let Some(index) = world.datagrams.iter().position(|udp| udp.local.ip() == STACK.ip(true)) {
            let socket = world.datagrams[index].handle;
            world.call(Verb::Connect { socket, remote: SocketAddr::new(PEER.ip(true), 9).into() });
        }
        let chosen = (0..STATES.len() * 2).filter(|bit| states >> bit & 1 != 0);
        for bit in chosen.take(CONNECTIONS) {
            world.open(bit & 1 != 0, 1000 + bit as u16 / 2, STATES[bit / 2]);
        }
        world
    }

    /// Brings a connection into a state.
    fn open(&mut self, v6: bool, source: u16, state: State) {
        if state == State::SynSent {
            self.call(Verb::OpenStream { local: None, remote: SocketAddr::new(PEER.ip(v6), 9000 + source) });
            self.step(&[]);
            return;
        }
        let peer = self.ask(v6, source, 0x7fff_ff00_u32.wrapping_add(u32::from(source) * 77));
        if state == State::SynReceived {
            return;
        }
        self.tell(peer, ACK, 0);
        self.accept();
        let program = self.programs.len().checked_sub(1);
        let close = |world: &mut World| {
            if let Some(program) = program {
                world.shut_down_write(program);
                world.step(&[]);
            }
        };
        match state {
            State::SynSent | State::SynReceived | State::Established => {}
            State::FinWait1 => close(self),
            State::FinWait2 => {
                close(self);
                self.tell(peer, ACK, 0);
            }
            State::CloseWait => self.tell(peer, ACK | FIN, 10),
            State::Closing => {
                close(self);
                let next = &mut self.peers[peer];
                next.theirs = next.theirs.wrapping_sub(1);
                self.tell(peer, ACK | FIN, 0);
            }
            State::LastAck => {
                self.tell(peer, ACK | FIN, 0);
                close(self);
            }
            State::TimeWait => {
                close(self);
                self.tell(peer, ACK | FIN, 0);
            }
        }
    }

    /// A SYN from a port of the peer; returns who sent it.
    pub fn ask(&mut self, v6: bool, source: u16, isn: u32) -> usize {
        let peer = self.peer(v6, source, 80);
        self.peers[peer].next = isn;
        let frame = self.segment(peer, isn, 0, SYN, u16::MAX, &[2, 4, 5, 180], 0);
        self.peers[peer].next = isn.wrapping_add(1);
        self.step(&[frame]);
        peer
    }

    /// What an orderly peer sends next.
    pub fn tell(&mut self, peer: usize, flags: u8, length: usize) {
        let Peer { next, theirs, .. } = self.peers[peer];
        let frame = self.segment(peer, next, theirs, flags, u16::MAX, &[], length);
        self.peers[peer].next = next.wrapping_add(length as u32 + u32::from(flags & FIN));
        self.step(&[frame]);
    }

    /// The peer of these ports, new or known.
    fn peer(&mut self, v6: bool, source: u16, destination: u16) -> usize {
        let is_it = |peer: &Peer| peer.v6 == v6 && peer.source == source && peer.destination == destination;
        self.peers.iter().position(is_it).unwrap_or_else(|| {
            self.peers.push(Peer { v6, source, destination, next: 1, ..Peer::default() });
            self.peers.len() - 1
        })
    }

    /// A segment of a peer whose payload belongs to its sequence number, noted.
    #[allow(clippy::too_many_arguments, reason = "these are the fields of a segment")]
    pub fn segment(
        &mut self,
        peer: usize,
        seq: u32,
        ack: u32,
        flags: u8,
        window: u16,
        options: &[u8],
        length: usize,
    ) -> Vec<u8> {
        let length = length.min(craft::LARGEST - 100);
        let Peer { v6, source, destination, .. } = self.peers[peer];
        let first = seq.wrapping_add(u32::from(flags & SYN != 0));
        let payload: Vec<u8> = (0..length as u32).map(|i| incoming(first.wrapping_add(i))).collect();
        let entry = &mut self.peers[peer];
        if flags & SYN != 0 {
            entry.syns.push(seq);
        }
        if flags & FIN != 0 {
            entry.fins.push(first.wrapping_add(length as u32));
        }
        Segment { v6, source, destination, seq, ack, flags, window, options, payload: &payload }.frame()
    }

    /// Something a program asks for; it is answered in the next step.
    pub fn call(&mut self, verb: Verb) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.calls.push(Call { ticket, owner: None, verb });
    }

    /// Lets everything happen that happens now.
    ///
    /// # Panics
    ///
    /// If a rule of the oracle is broken.
    pub fn step(&mut self, frames: &[Vec<u8>]) {
        if let Some(record) = &mut self.record {
            record.extend(frames.iter().map(|frame| (self.now, frame.clone())));
        }
        let mut answers: Vec<Vec<u8>> = Vec::new();
        let mut batch = frames.len();
        for round in 0..ROUNDS {
            let given = if round == 0 { frames } else { answers.as_slice() };
            let given = given.iter().map(Vec::as_slice);
            let step = self.stack.step(self.now, given, &mut self.calls, &mut self.out, &mut self.text);
            self.deadline = step.deadline;
            answers.clear();
            let out = std::mem::take(&mut self.out);
            let mut empty = 0;
            for (frame, _) in out.iter() {
                let sent = inspect(frame, STACK.mac, MTU);
                empty += usize::from(!matches!(sent, Sent::Tcp { payload, .. } if !payload.is_empty()));
                self.note(sent, &mut answers);
            }
            let bound = ANSWERS * (batch + 1) + 64 * SOCKETS;
            assert!(empty <= bound, "{empty} frames without payload answer {batch} frames");
            assert!(out.bytes_used() < (1 << 20) + (batch << 17), "{} bytes leave in one step", out.bytes_used());
            if let Some((frame, _)) = out.iter().last() {
                self.last_sent.clear();
                self.last_sent.extend_from_slice(frame);
            }
            self.out = out;
            self.out.clear();
            self.take_completions();
            batch = answers.len();
            if answers.is_empty() && !step.has_more {
                break;
            }
            assert!(round + 1 < ROUNDS, "the stack never comes to rest at {}", self.now);
        }
        assert!(self.stack.sockets() <= SOCKETS, "{} sockets", self.stack.sockets());
        assert_eq!(self.stack.counters().of(Rule::TcpPanicked), 0, "a connection panicked");
        assert_eq!(self.stack.counters().of(Rule::TcpUnclassified), 0, "what a segment did was not foreseen");
    }

    fn take_completions(&mut self) {
        while let Some(completion) = self.stack.next_completion() {
            match completion.result {
                Ok(Outcome::Listener(listener)) => self.listeners.push(listener),
                Ok(Outcome::Datagram(socket)) => {
                    match self.asked.iter().find(|(ticket, ..)| *ticket == completion.ticket) {
                        Some(&(_, domain, kind)) => self.packets.push((domain, kind, socket)),
                        None => self.datagrams.push(socket),
                    }
                }
                Ok(Outcome::Stream(socket)) => self.add(socket),
                _ => {}
            }
        }
    }

    fn add(&mut self, socket: StreamSocket) {
        self.programs.push(Program { socket, read: 0, written: 0, is_over: false });
    }

    /// What the peer does by itself: it says who it is, and takes note of sequence numbers.
    fn note(&mut self, sent: Sent<'_>, answers: &mut Vec<Vec<u8>>) {
        match sent {
            Sent::ArpRequest(address) if address == PEER.v4 && self.is_helpful => {
                answers.push(craft::arp(2, (PEER.mac, PEER.v4), (STACK.mac, STACK.v4)));
            }
            Sent::Solicitation(address) if address == PEER.v6 && self.is_helpful => {
                answers.push(craft::advertisement(address, PEER.mac, 0x60));
            }
            Sent::Dhcp(xid) => self.xid = xid,
            Sent::EchoReply(_) => self.echo_replies = self.echo_replies.wrapping_add(1),
            Sent::Tcp { v6, to, ports, seq, ack, flags, window, payload } if to == PEER.ip(v6) => {
                let peer = self.peer(v6, ports.1, ports.0);
                let peer = &mut self.peers[peer];
                let first = seq.wrapping_add(u32::from(flags & SYN != 0));
                if flags & SYN != 0 {
                    peer.theirs = first;
                    if !peer.issues.contains(&seq) {
                        peer.issues.push(seq);
                    }
                }
                if flags & ACK != 0 && flags & RST == 0 {
                    (peer.acked, peer.edge) = (ack, ack.wrapping_add(u32::from(window)));
                }
                let end = first.wrapping_add(payload.len() as u32 + u32::from(flags & FIN));
                if flags & RST == 0 && (end.wrapping_sub(peer.theirs) as i32) > 0 {
                    peer.theirs = end;
                }
                let is_written = |&issue: &u32| {
                    let offset = first.wrapping_sub(issue).wrapping_sub(1);
                    (0..).zip(payload).all(|(i, &byte)| byte == outgoing(offset.wrapping_add(i)))
                };
                assert!(payload.is_empty() || peer.issues.iter().any(is_written), "bytes leave that nobody wrote");
            }
            _ => {}
        }
    }

    /// Programs accept what waits.
    pub fn accept(&mut self) {
        for i in 0..self.listeners.len() {
            while let Ok(socket) = self.listeners[i].queue.try_accept() {
                self.add(socket);
            }
        }
    }

    /// A program reads at most `length` bytes, and they are what the peer sent.
    ///
    /// # Panics
    ///
    /// If they are not.
    pub fn read(&mut self, program: usize, length: usize) {
        let Some(program) = self.programs.get_mut(program) else { return };
        self.buffer.resize(length.max(1), 0);
        let count = match program.socket.pipe.try_read(&mut self.buffer) {
            Ok(count) => count,
            Err(Error::WouldBlock) => return,
            Err(_) => {
                program.is_over = true;
                return;
            }
        };
        if program.is_over || !self.is_coherent {
            return;
        }
        let v6 = program.socket.remote.is_ipv6();
        let (source, destination) = (program.socket.remote.port(), program.socket.local.port());
        let is_it = |peer: &&Peer| peer.v6 == v6 && peer.source == source && peer.destination == destination;
        let Some(peer) = self.peers.iter().find(is_it) else { return };
        let read = program.read;
        if count == 0 {
            program.is_over = true;
            let is_fin = |&syn: &u32| peer.fins.contains(&syn.wrapping_add(1).wrapping_add(read));
            assert!(peer.syns.iter().any(is_fin), "the stream ends after {read} bytes, where no FIN was");
            return;
        }
        let bytes = &self.buffer[..count];
        let is_sent = |&syn: &u32| {
            let first = syn.wrapping_add(1).wrapping_add(read);
            (0..).zip(bytes).all(|(i, &byte)| byte == incoming(first.wrapping_add(i)))
        };
        assert!(peer.syns.iter().any(is_sent), "a program reads what nobody sent, after {read} bytes");
        program.read = read.wrapping_add(count as u32);
    }

    /// A program writes `length` bytes, or what fits.
    pub fn write(&mut self, program: usize, length: usize) {
        let Some(program) = self.programs.get_mut(program) else { return };
        let bytes: Vec<u8> = (0..length as u32).map(|i| outgoing(program.written.wrapping_add(i))).collect();
        match program.socket.pipe.try_write(&bytes) {
            Ok(count) => program.written = program.written.wrapping_add(count as u32),
            Err(Error::WouldBlock) => {}
            // It has been told of the end: reading will not tell it again.
            Err(_) => program.is_over = true,
        }
    }

    /// A program will not write any more.
    pub fn shut_down_write(&mut self, program: usize) {
        if let Some(program) = self.programs.get(program) {
            program.socket.pipe.shutdown_write();
        }
    }

    /// A program will not read any more.
    pub fn shut_down_read(&mut self, program: usize) {
        if let Some(program) = self.programs.get_mut(program) {
            program.is_over = true;
            program.socket.pipe.shutdown_read();
        }
    }

    /// Time passes, with everything that is due on the way.
    ///
    /// # Panics
    ///
    /// If the stack wants to be stepped too often: a deadline that never leaves the past is a busy loop.
    pub fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        // Ten a millisecond and some more for bursts; far fewer are normal.
        let budget = 2000 + u64::try_from(span.as_millis()).unwrap_or(u64::MAX).saturating_mul(2);
        let mut steps = 0;
        while let Some(due) = self.deadline.filter(|&due| due <= until) {
            self.now = due.max(self.now);
            self.step(&[]);
            steps += 1;
            assert!(steps < budget, "{steps} deadlines within {span:?}: the next is {:?}", self.deadline);
        }
        self.now = until;
        self.step(&[]);
    }

    /// What must hold in the end: time goes on, the stack answers, streams are what was sent.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn finish(mut self) {
        for program in 0..self.programs.len() {
            for _ in 0..4 {
                self.read(program, 1 << 16);
            }
        }
        self.is_helpful = true;
        self.step(&[]);
        for v6 in [false, true] {
            self.assert_alive(v6);
        }
        for program in (0..self.programs.len()).step_by(2) {
            self.shut_down_write(program);
        }
        self.pass(Duration::from_millis(300));
        if self.now.micros().is_multiple_of(8) {
            self.pass(Duration::from_secs(200));
        }
        for program in 0..self.programs.len() {
            self.read(program, 1 << 16);
        }
        self.stack.shut_down(self.now, &mut self.out, &mut self.text);
        for (frame, _) in self.out.iter() {
            inspect(frame, STACK.mac, MTU);
        }
    }

    /// A ping is answered, at once or once the stack knows where the peer is.
    fn assert_alive(&mut self, v6: bool) {
        let before = self.echo_replies;
        let ping = craft::icmp(PEER.ip(v6), STACK.ip(v6), if v6 { 128 } else { 8 }, 0, &[1, 2, 3, 4, 5, 6]);
        for _ in 0..4 {
            // Who the peer is may have been told wrongly a moment ago: it says it again.
            let here = match PEER.ip(v6) {
                IpAddr::V4(own) => craft::arp(1, (PEER.mac, own), ([0; 6], STACK.v4)),
                IpAddr::V6(own) => craft::advertisement(own, PEER.mac, 0x60),
            };
            self.step(&[here, ping.clone()]);
            if self.echo_replies != before {
                return;
            }
            self.pass(Duration::from_secs(40));
        }
        panic!("the stack does not answer a ping any more (IPv{})", if v6 { 6 } else { 4 });
    }
}
