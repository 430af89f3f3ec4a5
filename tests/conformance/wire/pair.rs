//! One stack in virtual time, and programs behind it that run whenever it has done something.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tapsock::config::Config;
use tapsock::error::{Error, Result};
use tapsock::link::Frames;
use tapsock::observe::{NoObserver, Time};
use tapsock::pipe::Doorbell;
use tapsock::stack::{Call, Outcome, Stack, Verb};

use super::answer::{Answer, Body, Reader};
use super::frame::{ARP, ICMP6, Mac, OUR_MAC, PEER_MAC, PEER_V4, Packet, V6, ethernet, icmp};
use super::{CHARGEN, CLOSES, DAYTIME, DISCARD, ECHO, NEVER_READS, Wire};
use tapsock::socket::{DatagramSocket, ListenerSocket, SocketOption, StreamSocket};

const MTU: usize = 1500;

/// What a program does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Echo,
    Discard,
    Daytime,
    Chargen,
    NeverReads,
    Closes,
    /// The test itself does it.
    Test,
}

/// The port on which the test accepts.
pub(crate) const BY_HAND: u16 = 4002;

const PROGRAMS: [(u16, Program); 7] = [
    (ECHO, Program::Echo),
    (DISCARD, Program::Discard),
    (DAYTIME, Program::Daytime),
    (CHARGEN, Program::Chargen),
    (NEVER_READS, Program::NeverReads),
    (CLOSES, Program::Closes),
    (BY_HAND, Program::Test),
];

/// A connection that a program serves.
#[derive(Debug)]
struct Served {
    program: Program,
    socket: StreamSocket,
    /// Read, and not written yet.
    pending: Vec<u8>,
    is_at_end: bool,
}

/// One stack, in virtual time.
pub(crate) struct Pair {
    pub(crate) stack: Stack,
    now: Time,
    deadline: Option<Time>,
    doorbell: Doorbell,
    has_more: bool,
    calls: Vec<Call>,
    done: Vec<(u64, Result<Outcome>)>,
    next_ticket: u64,
    to_stack: VecDeque<Vec<u8>>,
    answers: Vec<Answer>,
    reader: Reader,
    listeners: Vec<(Program, ListenerSocket)>,
    served: Vec<Served>,
    echo: Vec<DatagramSocket>,
    discard: Vec<DatagramSocket>,
    /// Whether the neighbour says where it is when it is asked.
    pub(crate) neighbour_answers: bool,
}

impl Pair {
    pub(crate) fn new() -> Pair {
        Pair::with(Config { probe: Duration::ZERO, ..Config::default() })
    }

    /// A stack with its programs.
    pub(crate) fn with(config: Config) -> Pair {
        let mut pair = Pair::bare(config, 7);
        for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            for (port, program) in PROGRAMS {
                let local = SocketAddr::new(any, port);
                let Ok(Outcome::Listener(listener)) =
                    pair.call(Verb::OpenListener { local, backlog: 4096, v6_only: true })
                else {
                    panic!("nobody listens on {local}")
                };
                pair.listeners.push((program, listener));
            }
            for port in [ECHO, DISCARD] {
                let socket = pair.bind(SocketAddr::new(any, port));
                if port == ECHO { pair.echo.push(socket) } else { pair.discard.push(socket) }
            }
        }
        pair.settle();
        pair
    }

    /// A stack without programs, which has not begun yet.
    pub(crate) fn bare(config: Config, seed: u8) -> Pair {
        let doorbell = Doorbell::default();
        Pair {
            stack: Stack::new(config, MTU, [seed; 32], doorbell.clone()),
            now: Time::ZERO,
            deadline: Some(Time::ZERO),
            doorbell,
            has_more: false,
            calls: Vec::new(),
            done: Vec::new(),
            next_ticket: 0,
            to_stack: VecDeque::new(),
            answers: Vec::new(),
            reader: Reader::new(MTU),
            listeners: Vec::new(),
            served: Vec::new(),
            echo: Vec::new(),
            discard: Vec::new(),
            neighbour_answers: true,
        }
    }

    /// How many frames of the stack were found to be right.
    pub(crate) fn checked(&self) -> u64 {
        self.reader.checked
    }

    /// Lets a program ask for something, and waits for what comes of it.
    pub(crate) fn call(&mut self, verb: Verb) -> Result<Outcome> {
        let named = format!("{verb:?}");
        let ticket = self.begin(verb);
        self.listen_until(super::PATIENCE, |pair| pair.done.iter().any(|(done, _)| *done == ticket));
        self.finished(ticket).unwrap_or_else(|| panic!("{named} is not done"))
    }

    /// Lets a program ask for something that takes its time.
    pub(crate) fn begin(&mut self, verb: Verb) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.calls.push(Call { ticket, owner: None, verb });
        ticket
    }

    /// What came of it, if anything has.
    pub(crate) fn finished(&mut self, ticket: u64) -> Option<Result<Outcome>> {
        let at = self.done.iter().position(|(done, _)| *done == ticket)?;
        Some(self.done.remove(at).1)
    }

    pub(crate) fn bind(&mut self, local: SocketAddr) -> DatagramSocket {
        match self.call(Verb::OpenDatagram { local, reuse_address: false, v6_only: true }) {
            Ok(Outcome::Datagram(socket)) => socket,
            other => panic!("{local}: {other:?}"),
        }
    }

    /// The next connection to the port [`BY_HAND`], which the test serves.
    pub(crate) fn accept(&mut self) -> StreamSocket {
        self.turn_until_quiet();
        let at = self.served.iter().position(|served| served.program == Program::Test);
        self.served.remove(at.expect("a connection to accept")).socket
    }

    fn is_due(&self) -> bool {
        self.has_more
            || !self.to_stack.is_empty()
            || !self.calls.is_empty()
            || self.doorbell.is_rung()
            || self.deadline.is_some_and(|at| at <= self.now)
    }

    fn turn(&mut self) {
        let burst: Vec<Vec<u8>> = self.to_stack.drain(..self.to_stack.len().min(64)).collect();
        let mut out = Frames::new();
        let frames = burst.iter().map(Vec::as_slice);
        let step = self.stack.step(self.now, frames, &mut self.calls, &mut out, &mut NoObserver);
        (self.deadline, self.has_more) = (step.deadline, step.has_more);
        for (frame, _) in out.iter() {
            self.take(frame);
        }
        while let Some(completion) = self.stack.next_completion() {
            self.done.push((completion.ticket, completion.result));
        }
        self.run_programs();
    }

    fn take(&mut self, frame: &[u8]) {
        let answer = self.reader.read(self.now - Time::ZERO, frame);
        let answer = answer.unwrap_or_else(|wrong| panic!("the stack sent a wrong frame: {wrong}: {frame:02x?}"));
        let Some(answer) = answer else { return };
        match here_i_am(&answer) {
            Some(reply) if self.neighbour_answers => self.to_stack.push_back(reply),
            _ if answer.is_change_report() => {}
            _ => self.answers.push(answer),
        }
    }

    fn turn_until_quiet(&mut self) {
        let mut turns = 0;
        while self.is_due() {
            self.turn();
            turns += 1;
            assert!(turns < 100_000, "the stack never comes to rest at {}", self.now);
        }
    }

    fn listen_until(&mut self, span: Duration, mut enough: impl FnMut(&mut Pair) -> bool) {
        let until = self.now + span;
        self.turn_until_quiet();
        while self.now < until && !enough(self) {
            let due = self.deadline.unwrap_or(until).max(self.now + Duration::from_micros(1));
            self.now = due.min(until);
            self.turn_until_quiet();
        }
    }

    fn run_programs(&mut self) {
        for (program, listener) in &self.listeners {
            while let Ok(socket) = listener.queue.try_accept() {
                if *program == Program::Echo {
                    let verb = Verb::SetOption { socket: socket.handle, option: SocketOption::Nodelay(true) };
                    self.calls.push(Call { ticket: u64::MAX, owner: None, verb });
                }
                self.served.push(Served { program: *program, socket, pending: Vec::new(), is_at_end: false });
            }
        }
        self.served.retain_mut(Served::run);
        let mut buffer = [0; 65_536];
        for socket in &self.echo {
            while let Ok((count, peer, local)) = socket.pipe.try_receive(&mut buffer) {
                let is_group = local.is_some_and(|local| local.is_multicast() || local == Ipv4Addr::BROADCAST);
                if !is_group && peer.port() >= 1024 {
                    let _ = socket.pipe.try_send(&buffer[..count], peer, local);
                }
            }
        }
        for socket in &self.discard {
            while socket.pipe.try_receive(&mut buffer).is_ok() {}
        }
    }
}

impl Served {
    /// Does what there is to do now; `false` closes the connection.
    fn run(&mut self) -> bool {
        let pipe = &self.socket.pipe;
        match self.program {
            Program::NeverReads | Program::Test => true,
            Program::Closes => false,
            Program::Discard | Program::Echo => {
                let is_echo = self.program == Program::Echo;
                let mut buffer = [0; 4096];
                loop {
                    if !self.pending.is_empty() {
                        match pipe.try_write(&self.pending) {
                            Ok(count) => drop(self.pending.drain(..count)),
                            Err(error) => return error == Error::WouldBlock,
                        }
                        continue;
                    }
                    if self.is_at_end {
                        return false;
                    }
                    match pipe.try_read(&mut buffer) {
                        Ok(0) => self.is_at_end = true,
                        Ok(count) if is_echo => self.pending.extend_from_slice(&buffer[..count]),
                        Ok(_) => {}
                        Err(error) => return error == Error::WouldBlock,
                    }
                }
            }
            Program::Daytime => {
                if !self.is_at_end {
                    let _ = pipe.try_write(b"Thursday, January 1, 1970 00:00:00-UTC\r\n");
                    pipe.shutdown_write();
                    self.is_at_end = true;
                }
                matches!(pipe.try_read(&mut [0; 64]), Err(Error::WouldBlock) | Ok(1..))
            }
            Program::Chargen => {
                let mut buffer = [0; 4096];
                while !self.is_at_end {
                    match pipe.try_read(&mut buffer) {
                        Ok(0) => self.is_at_end = true,
                        Ok(_) => {}
                        Err(Error::WouldBlock) => break,
                        Err(_) => return false,
                    }
                }
                loop {
                    match pipe.try_write(&super::pattern(4096)) {
                        Ok(_) => {}
                        Err(error) => return error == Error::WouldBlock,
                    }
                }
            }
        }
    }
}

impl Wire for Pair {
    fn now(&self) -> Duration {
        self.now - Time::ZERO
    }

    fn send(&mut self, frame: &[u8]) {
        assert!(frame.len() <= MTU + 14, "the link does not carry {} bytes", frame.len());
        self.to_stack.push_back(frame.to_vec());
    }

    fn settle(&mut self) -> Vec<Answer> {
        self.turn_until_quiet();
        std::mem::take(&mut self.answers)
    }

    fn listen(&mut self, span: Duration, enough: &mut dyn FnMut(&[Answer]) -> bool) -> Vec<Answer> {
        self.listen_until(span, |pair| enough(&pair.answers));
        std::mem::take(&mut self.answers)
    }

    fn as_dyn(&mut self) -> &mut dyn Wire {
        self
    }
}

/// Where the neighbour is, if the stack asks for it: every address of the link but the stack's own is there.
pub(super) fn here_i_am(answer: &Answer) -> Option<Vec<u8>> {
    match &answer.body {
        Body::Arp(arp) => {
            let is_question = arp.operation == 1 && arp.sender != [0; 4] && arp.sender != arp.target;
            is_question.then(|| arp_frame(OUR_MAC, 2, (PEER_MAC, arp.target), (arp.sender_mac, arp.sender)))
        }
        Body::Ip(packet) if packet.protocol == ICMP6 && packet.payload[0] == 135 && packet.payload.len() >= 24 => {
            if packet.source == IpAddr::from(Ipv6Addr::UNSPECIFIED) {
                return None;
            }
            let target: [u8; 16] = packet.payload[8..24].try_into().unwrap();
            let mut data = target.to_vec();
            data.extend_from_slice(&[2, 1]);
            data.extend_from_slice(&PEER_MAC);
            let target = IpAddr::from(target);
            let message = icmp(target, packet.source, 136, 0, [0x60, 0, 0, 0], &data);
            let answer = Packet {
                source: target,
                destination: packet.source,
                hop_limit: 255,
                ..Packet::new(V6, ICMP6, message)
            };
            Some(answer.frame_to(OUR_MAC))
        }
        Body::Ip(_) => None,
    }
}

/// An ARP packet in a frame from the neighbour.
pub(crate) fn arp_frame(to: Mac, operation: u16, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4])) -> Vec<u8> {
    ethernet(to, PEER_MAC, ARP, &arp_bytes(operation, sender, target))
}

/// An ARP packet.
pub(crate) fn arp_bytes(operation: u16, sender: (Mac, [u8; 4]), target: (Mac, [u8; 4])) -> Vec<u8> {
    let mut bytes = vec![0; 28];
    let mut packet = smoltcp::wire::ArpPacket::new_unchecked(&mut bytes);
    packet.set_hardware_type(smoltcp::wire::ArpHardware::Ethernet);
    packet.set_protocol_type(smoltcp::wire::EthernetProtocol::Ipv4);
    packet.set_hardware_len(6);
    packet.set_protocol_len(4);
    packet.set_operation(operation.into());
    packet.set_source_hardware_addr(&sender.0);
    packet.set_source_protocol_addr(&sender.1);
    packet.set_target_hardware_addr(&target.0);
    packet.set_target_protocol_addr(&target.1);
    bytes
}

/// The neighbour, and whom it asks for.
pub(crate) fn who_has(address: [u8; 4]) -> Vec<u8> {
    arp_frame(super::frame::BROADCAST, 1, (PEER_MAC, PEER_V4.octets()), ([0; 6], address))
}
