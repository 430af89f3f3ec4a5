//! Floods: whatever strangers send, and however much of it, the stack keeps what its bounds say and no more, answers no
//! more than it was asked, and is there afterwards.
//!
//! Each flood comes in three parts, with other numbers each time. The first two fill every table to its bound; the last
//! may leave no more behind than what a hash table or a queue takes to breathe.

// Functions beside the tests unwrap too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)] // the conformance tests need more of it
#[path = "conformance/wire/checksum.rs"]
mod checksum;
#[allow(dead_code, unused_imports)]
#[path = "conformance/wire/frame.rs"]
mod frame;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use allocation_counter::measure;
use frame::*;
use tapsock::config::{Config, Limits};
use tapsock::link::Frames;
use tapsock::observe::{NoObserver, Rule, Time};
use tapsock::pipe::Doorbell;
use tapsock::socket::{DatagramSocket, ListenerSocket, StreamSocket};
use tapsock::stack::{Call, Outcome, Stack, Verb};

/// Frames of each part of a flood.
const COUNT: u32 = 6000;
/// Frames that one step is given, as by the engine.
const BURST: u32 = 64;
/// What a flood may leave behind that is nobody's: spare room of tables and queues.
const SLACK: i64 = 64 * 1024;

const LISTENS: u16 = 80;
const NOBODY_READS: u16 = 7;
const CLOSED: u16 = 81;

/// A stack with a listener that nobody accepts from, and a UDP socket that nobody reads, of both families.
struct Victim {
    stack: Stack,
    now: Time,
    out: Frames,
    calls: Vec<Call>,
    deadline: Option<Time>,
    sent: u64,
    bytes_sent: u64,
    listeners: Vec<ListenerSocket>,
    datagrams: Vec<DatagramSocket>,
    streams: Vec<StreamSocket>,
    is_pinged: bool,
    last: Vec<u8>,
}

fn limits() -> Limits {
    Limits {
        sockets: 600,
        syn_entries: 128,
        backlog: 64,
        remnants: 128,
        neighbours: 128,
        path_mtus: 64,
        reassembly_bytes: 256 << 10,
        reassembly_bytes_per_source: 64 << 10,
        neighbour_queue_bytes: 256 << 10,
        groups: 32,
        ..Limits::default()
    }
}

impl Victim {
    fn new() -> Victim {
        Victim::with(Config { probe: Duration::ZERO, limits: limits(), ..Config::default() })
    }

    fn with(config: Config) -> Victim {
        let mut victim = Victim {
            stack: Stack::new(config, 1500, [3; 32], Doorbell::default()),
            now: Time::ZERO,
            out: Frames::new(),
            calls: Vec::new(),
            deadline: None,
            sent: 0,
            bytes_sent: 0,
            listeners: Vec::new(),
            datagrams: Vec::new(),
            streams: Vec::new(),
            is_pinged: false,
            last: Vec::new(),
        };
        for any in [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
            victim.call(Verb::OpenListener { local: SocketAddr::new(any, LISTENS), backlog: 4096, v6_only: true });
            victim.call(Verb::OpenDatagram {
                local: SocketAddr::new(any, NOBODY_READS),
                reuse_address: false,
                v6_only: true,
            });
        }
        victim.step(&[]);
        victim.here();
        victim
    }

    fn call(&mut self, verb: Verb) {
        self.calls.push(Call { ticket: 0, owner: None, verb });
        self.step(&[]);
    }

    fn step(&mut self, frames: &[Vec<u8>]) {
        let mut frames = frames;
        for round in 0.. {
            assert!(round < 1000, "it never comes to rest");
            let given = frames.iter().map(Vec::as_slice);
            let step = self.stack.step(self.now, given, &mut self.calls, &mut self.out, &mut NoObserver);
            (self.deadline, frames) = (step.deadline, &[]);
            for (frame, _) in self.out.iter() {
                self.sent += 1;
                self.bytes_sent += frame.len() as u64;
                let at = if frame[12..14] == [8, 0] { (34, 0) } else { (54, 129) };
                self.is_pinged |= frame.get(at.0) == Some(&at.1) && frame[..6] == PEER_MAC;
            }
            if let Some((frame, _)) = self.out.iter().last() {
                self.last.clear();
                self.last.extend_from_slice(frame);
            }
            self.out.clear();
            while let Some(completion) = self.stack.next_completion() {
                match completion.result.unwrap() {
                    Outcome::Listener(listener) => self.listeners.push(listener),
                    Outcome::Datagram(datagram) => self.datagrams.push(datagram),
                    Outcome::Stream(stream) => self.streams.push(stream),
                    _ => {}
                }
            }
            if !step.has_more {
                break;
            }
        }
    }

    fn pass(&mut self, span: Duration) {
        let until = self.now + span;
        for round in 0.. {
            assert!(round < 1_000_000, "its deadlines lead nowhere");
            let Some(due) = self.deadline.filter(|&due| due <= until) else { break };
            self.now = due.max(self.now);
            self.step(&[]);
        }
        self.now = until;
        self.step(&[]);
    }

    /// The neighbour says where it is.
    fn here(&mut self) {
        let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &PEER_MAC, &PEER_V4.octets(), &[0; 6], &OUR_V4.octets()].concat();
        let data = [&OUR_V6.octets()[..], &[1, 1], &PEER_MAC].concat();
        let solicitation = Packet { hop_limit: 255, ..icmp_packet(V6, 135, 0, [0; 4], &data) };
        self.step(&[ethernet(BROADCAST, PEER_MAC, ARP, &arp), solicitation.frame()]);
    }

    /// One part: `COUNT` frames, ten microseconds each.
    fn part(&mut self, first: u32, make: &mut dyn FnMut(u32) -> Vec<u8>) {
        let mut frames = Vec::new();
        for number in first..first + COUNT {
            frames.push(make(number));
            if number % BURST == BURST - 1 {
                self.pass(Duration::from_micros(640));
                self.step(&frames);
                frames.clear();
            }
        }
        self.step(&frames);
    }

    /// A flood of these frames, by number. Gives how many frames answered the last part.
    #[track_caller]
    fn flood(&mut self, what: &str, mut make: impl FnMut(u32) -> Vec<u8>) -> u64 {
        for first in [0, 1 << 19] {
            self.part(first, &mut make);
        }
        let (sent, bytes) = (self.sent, self.bytes_sent);
        let grown = measure(|| self.part(1 << 20, &mut make)).bytes_current;
        assert!(grown < SLACK, "{what}: {grown} bytes stay behind");
        let (sent, bytes) = (self.sent - sent, self.bytes_sent - bytes);
        assert!(sent <= 2 * u64::from(COUNT), "{what}: {COUNT} frames are answered by {sent}");
        assert!(bytes <= 256 * u64::from(COUNT), "{what}: {COUNT} frames are answered by {bytes} bytes");
        assert!(self.stack.sockets() <= limits().sockets);
        assert_eq!(self.stack.counters().of(Rule::TcpUnclassified), 0, "{what}");
        assert_eq!(self.stack.counters().of(Rule::TcpPanicked), 0, "{what}");
        self.assert_well(what);
        sent
    }

    #[track_caller]
    fn assert_well(&mut self, what: &str) {
        for family in FAMILIES {
            self.is_pinged = false;
            for _ in 0..3 {
                self.here();
                self.step(&[ping(family, 1, b"well?").frame()]);
                self.pass(Duration::from_secs(2));
            }
            assert!(self.is_pinged, "{what}: {family:?} is not answered any more");
        }
    }
}

/// Somebody else each time, on the link or far away.
fn stranger(family: Family, number: u32) -> IpAddr {
    match family {
        V4 if number.is_multiple_of(2) => Ipv4Addr::new(192, 168, 69, (2 + number / 2 % 75) as u8).into(),
        V4 => Ipv4Addr::from_bits(0x0a00_0001 + number).into(),
        V6 => Ipv6Addr::from_bits(OUR_V6.to_bits() + (1 << 16) + u128::from(number)).into(),
    }
}

/// Bits without an order.
fn mix(number: u32) -> u32 {
    let mut x = number.wrapping_mul(0x9e37_79b1);
    x ^= x >> 15;
    x = x.wrapping_mul(0x85eb_ca77);
    x ^ x >> 13
}

fn segment(family: Family, number: u32, port: u16, flags: u8) -> Vec<u8> {
    let ack = if flags & ACK == 0 { 0 } else { mix(number ^ 0x5555) };
    let from = SocketAddr::new(stranger(family, number), 1024 + (mix(number) % 60_000) as u16);
    let options = if flags & SYN == 0 { vec![] } else { vec![2, 4, 5, 180, 4, 2, 1, 3, 3, 7] };
    Segment { from, options, ..Segment::new(family, 1, port, flags, mix(number), ack) }.frame()
}

#[test]
fn floods_of_segments_leave_nothing_behind() {
    for family in FAMILIES {
        let mut victim = Victim::new();
        for (what, port, flags) in [
            ("SYNs to a listener", LISTENS, SYN),
            ("SYNs to a closed port", CLOSED, SYN),
            ("ACKs to a listener", LISTENS, ACK),
            ("ACKs to a closed port", CLOSED, ACK),
            ("FINs", LISTENS, FIN | ACK),
            ("RSTs", LISTENS, RST),
            ("SYN-ACKs", LISTENS, SYN | ACK),
            ("segments with all flags", LISTENS, 0x1f),
            ("segments without flags", LISTENS, 0),
        ] {
            victim.flood(what, |number| segment(family, number, port, flags));
        }
        victim.pass(Duration::from_secs(200));
        assert_eq!(victim.stack.sockets(), 4);
        assert_eq!(victim.deadline, None, "{family:?}: there is nothing left to do");
    }
}

#[test]
fn floods_of_fragments_leave_nothing_behind() {
    for family in FAMILIES {
        let mut victim = Victim::new();
        let piece = |source: IpAddr, id: u32, offset: usize, more: bool, length: usize| {
            let payload = pattern(length);
            Packet { source, id, offset, more, ..Packet::new(family, UDP, payload) }.frame()
        };
        let peer = family.peer();
        victim.flood("first fragments of strangers", |n| piece(stranger(family, n), n, 0, true, 1480));
        victim.flood("last fragments of strangers", |n| piece(stranger(family, n), n, 64_000, false, 100));
        victim.flood("first fragments of one", |n| piece(peer, n, 0, true, 1480));
        victim.flood("tiny fragments of one datagram", |n| piece(peer, 7, 16 * (n as usize % 4000), true, 8));
        victim.flood("overlapping fragments", |n| piece(peer, n / 4, 8 * (n as usize % 3), true, 24));
        victim.flood("fragments beyond the end", |n| piece(peer, n, 65_528, n % 2 == 0, 1480));
        victim.flood("fragments of nothing", |n| piece(peer, n, 8, true, 0));
        victim.pass(Duration::from_secs(100));
        assert_eq!(victim.deadline, None, "{family:?}: there is nothing left to do");
    }
}

#[test]
fn floods_of_neighbours_leave_nothing_behind() {
    let mut victim = Victim::new();
    let arp = |operation: u8, sender: Ipv4Addr, target: Ipv4Addr, number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        let mac = [2, 1, a, b, c, d];
        let body = [&[0, 1, 8, 0, 6, 4, 0, operation][..], &mac, &sender.octets(), &OUR_MAC, &target.octets()].concat();
        ethernet(if operation == 1 { BROADCAST } else { OUR_MAC }, mac, ARP, &body)
    };
    let host = |number: u32| Ipv4Addr::new(192, 168, 69, (2 + number % 75) as u8);
    victim.flood("ARP requests", |n| arp(1, host(n), OUR_V4, n));
    victim.flood("ARP requests of strangers", |n| arp(1, Ipv4Addr::from_bits(n | 0x0a00_0000), OUR_V4, n));
    victim.flood("ARP replies", |n| arp(2, host(n), OUR_V4, n));
    victim.flood("claims of our address", |n| arp(1, OUR_V4, OUR_V4, n));
    let neighbour = |kind: u8, number: u32, target: Ipv6Addr, flags: u8, option: u8| {
        let IpAddr::V6(source) = stranger(V6, number) else { unreachable!() };
        let data = [&target.octets()[..], &[option, 1], &[2, 1], &number.to_be_bytes()].concat();
        let message = icmp(source.into(), OUR_V6.into(), kind, 0, [flags, 0, 0, 0], &data);
        Packet { source: source.into(), hop_limit: 255, ..Packet::new(V6, ICMP6, message) }.frame()
    };
    victim.flood("solicitations", |n| neighbour(135, n, OUR_V6, 0, 1));
    victim
        .flood("advertisements", |n| neighbour(136, n, Ipv6Addr::from_bits(OUR_V6.to_bits() + u128::from(n)), 0xe0, 2));
    victim.flood("claims of our IPv6 address", |n| neighbour(136, n, OUR_V6, 0x20, 2));
    victim.flood("redirects", |n| neighbour(137, n, OUR_V6, 0, 2));
    victim.flood("pings of strangers, each to be asked for", |n| {
        ping_between(stranger(V6, n), OUR_V6.into(), b"x").frame()
    });
}

#[test]
fn floods_of_datagrams_leave_nothing_behind() {
    for family in FAMILIES {
        let mut victim = Victim::new();
        let datagram = |number: u32, port: u16, length: usize| {
            let from = SocketAddr::new(stranger(family, number), 1024 + (mix(number) % 60_000) as u16);
            Datagram { from, ..Datagram::new(family, port, &pattern(length)) }.packet().frame()
        };
        victim.flood("datagrams that nobody reads", |n| datagram(n, NOBODY_READS, 1400));
        victim.flood("empty datagrams that nobody reads", |n| datagram(n, NOBODY_READS, 0));
        victim.flood("datagrams to closed ports", |n| datagram(n, (mix(n) % 60_000 + 100) as u16, 30));
    }
}

#[test]
fn floods_of_errors_queries_and_advertisements_leave_nothing_behind() {
    let config = Config { probe: Duration::ZERO, limits: limits(), dhcp: true, slaac: true, ..Config::default() };
    let mut victim = Victim::with(config);
    for family in FAMILIES {
        victim.flood("forged errors", |n| {
            let to = SocketAddr::new(stranger(family, n), 1024 + (mix(n) % 60_000) as u16);
            let us = SocketAddr::new(family.us(), if n % 2 == 0 { LISTENS } else { NOBODY_READS });
            let quote = match n % 3 {
                0 => Segment { from: us, to, ..Segment::new(family, 1, 1, ACK, mix(n), 1) }.packet(),
                1 => Datagram { from: us, to, ..Datagram::new(family, 1, &[0; 600]) }.packet(),
                _ => ping_between(us.ip(), to.ip(), &[0; 600]),
            };
            let (kind, code, rest) = match (family, n % 4) {
                (V4, 0) => (3, 4, [0, 0, 2, 100]),
                (V4, _) => (3, (n % 16) as u8, [0; 4]),
                (V6, 0) => (2, 0, 1300_u32.to_be_bytes()),
                (V6, _) => (1, (n % 7) as u8, [0; 4]),
            };
            let bytes = quote.bytes();
            icmp_packet(family, kind, code, rest, &bytes[..bytes.len().min(548)]).frame()
        });
        victim.flood("pings", |n| ping(family, n as u16, b"x").frame());
    }
    victim.flood("IGMP queries", |n| {
        let mut query = vec![0x11, (n % 256) as u8, 0, 0, 224, 1, (n >> 8) as u8, n as u8, 2, 125, 0, 0];
        let sum = checksum::of(&query);
        query[2..4].copy_from_slice(&sum.to_be_bytes());
        let destination = [224, 0, 0, 1].into();
        Packet { destination, hop_limit: 1, options: vec![148, 4, 0, 0], ..Packet::new(V4, 2, query) }.frame()
    });
    let router = |n: u32| IpAddr::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 1, 0, (n >> 16) as u16, n as u16));
    let all = IpAddr::from(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    let mut advertise = |what: &str, lifetime: u16, routers: u32| {
        victim.flood(what, |n| {
            let [high, low] = lifetime.to_be_bytes();
            let mut data = vec![0; 8];
            for part in 0..8_u32 {
                let prefix = Ipv6Addr::new(0x2001, 0xdb8, (n >> 16) as u16, n as u16, 0, 0, 0, 0);
                let prefix = Ipv6Addr::from_bits(prefix.to_bits() ^ u128::from(part) << 96);
                data.extend_from_slice(&[3, 4, 64, 0xc0, 0, 0, high, low, 0, 0, high, low, 0, 0, 0, 0]);
                data.extend_from_slice(&prefix.octets());
            }
            let message = icmp(router(n % routers), all, 134, 0, [64, 0, high, low], &data);
            Packet { source: router(n % routers), destination: all, hop_limit: 255, ..Packet::new(V6, ICMP6, message) }
                .frame()
        });
    };
    advertise("router advertisements of many routers", 1800, u32::MAX);
    advertise("router advertisements of one", 1800, 1);
    advertise("router advertisements that say farewell", 0, u32::MAX);
    advertise("router advertisements of short lifetimes", 1, 7);
    victim.flood("DHCP answers of strangers", |n| {
        let mut message = vec![0; 236];
        message[..4].copy_from_slice(&[2, 1, 6, 0]);
        message[4..8].copy_from_slice(&mix(n).to_be_bytes());
        message[16..20].copy_from_slice(&[192, 168, 69, 9]);
        message[28..34].copy_from_slice(&OUR_MAC);
        message.extend_from_slice(&[99, 130, 83, 99, 53, 1, (n % 9) as u8, 54, 4, 192, 168, 69, 77]);
        message.extend_from_slice(&[51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 255]);
        let (from, to) = (SocketAddr::new(PEER_V4.into(), 67), SocketAddr::new(Ipv4Addr::BROADCAST.into(), 68));
        Datagram { from, to, payload: message }.packet().frame()
    });
}

#[test]
fn answers_that_the_device_does_not_take_are_dropped_beyond_a_bound() {
    use tapsock::device::{Device, Offload, pair};
    let (ours, mut theirs) = pair(1500);
    let config = Config { probe: Duration::ZERO, ..Config::default() };
    let stack = tapsock::net::Stack::builder().config(config).device(ours).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ping = ping(V4, 1, &pattern(1400)).frame();
    let here = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &PEER_MAC, &PEER_V4.octets(), &[0; 6], &OUR_V4.octets()].concat();
    theirs.transmit(Time::ZERO, &ethernet(BROADCAST, PEER_MAC, ARP, &here), Offload::None).unwrap();
    // Nobody takes the answers.
    let (mut sent, mut dropped) = (0, 0);
    while dropped == 0 {
        assert!(sent < 20_000, "{sent} answers wait");
        sent += u32::from(theirs.transmit(Time::ZERO, &ping, Offload::None).unwrap());
        if sent % 256 == 0 {
            dropped = runtime.block_on(stack.counters()).of(Rule::DeviceFull);
        }
    }
    stack.shut_down();
}

/// What the stack said last, a segment to this port, as the peer reads it: its number and its acknowledgment.
fn said(victim: &Victim, header: usize) -> u32 {
    let at = 14 + header + 4;
    u32::from_be_bytes(victim.last[at..at + 4].try_into().unwrap())
}

#[test]
fn connections_that_come_and_are_dropped_leave_nothing_behind() {
    for family in FAMILIES {
        let mut victim = Victim::new();
        let idle = (victim.stack.sockets(), victim.stack.memory_used());
        let storm = |first: u32, victim: &mut Victim| {
            for number in first..first + 1500 {
                let port = 1024 + (number % 50_000) as u16;
                let isn = mix(number);
                let of = |flags, seq: u32, ack| Segment::new(family, port, LISTENS, flags, seq, ack);
                victim.step(&[of(SYN, isn, 0).frame()]);
                let next = said(victim, family.header()).wrapping_add(1);
                let mut frames = vec![of(ACK, isn.wrapping_add(1), next).frame()];
                // Data with 32 holes, an end in the middle, and, one time out of two, a RST.
                for hole in 0..32_u32 {
                    let seq = isn.wrapping_add(101 + hole * 200);
                    frames.push(Segment { payload: pattern(100), ..of(ACK | PSH, seq, next) }.frame());
                }
                frames.push(of(FIN | ACK, isn.wrapping_add(5), next).frame());
                if number % 2 == 0 {
                    frames.push(of(RST, isn.wrapping_add(1), 0).frame());
                }
                victim.step(&frames);
                while victim.listeners.iter().any(|listener| listener.queue.try_accept().is_ok()) {}
                victim.pass(Duration::from_millis(1));
            }
            victim.pass(Duration::from_secs(300));
        };
        storm(0, &mut victim);
        let grown = measure(|| storm(100_000, &mut victim)).bytes_current;
        assert!(grown < SLACK, "{grown} bytes stay behind");
        assert_eq!((victim.stack.sockets(), victim.stack.memory_used()), idle);
        assert_eq!(victim.stack.counters().of(Rule::TcpUnclassified), 0);
        victim.assert_well("connections");
    }
}

#[test]
fn connections_that_nobody_reads_keep_to_the_limit_on_memory() {
    let limits = Limits { memory: 4 << 20, backlog: 512, ..limits() };
    let mut victim = Victim::with(Config { probe: Duration::ZERO, limits, ..Config::default() });
    for number in 0..400_u32 {
        let family = FAMILIES[number as usize % 2];
        let isn = mix(number);
        let of = |flags, seq: u32, ack| Segment::new(family, 1024 + number as u16, LISTENS, flags, seq, ack);
        victim.step(&[of(SYN, isn, 0).frame()]);
        let next = said(&victim, family.header()).wrapping_add(1);
        victim.step(&[of(ACK, isn.wrapping_add(1), next).frame()]);
        for part in 0..30_u32 {
            // Every second piece first: holes, and then their fillings.
            for piece in [2 * part + 1, 2 * part] {
                let seq = isn.wrapping_add(1 + piece * 1000);
                victim.step(&[Segment { payload: pattern(1000), ..of(ACK, seq, next) }.frame()]);
            }
        }
        // A segment is charged after it has come: one page for each buffer may be over.
        assert!(victim.stack.memory_used() <= (4 << 20) + 64 * 1024, "{}", victim.stack.memory_used());
    }
    assert!(victim.stack.counters().of(Rule::TcpMemoryLimit) > 0);
    victim.assert_well("connections that nobody reads");
}
