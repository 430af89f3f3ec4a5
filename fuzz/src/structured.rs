//! The target of actions: what peers and programs do, with all lengths and checksums right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use arbitrary::Arbitrary;
use tapsock::socket::{self, Domain, MtuDiscovery, Page, Protocol, SocketOption, Verb};

use crate::craft::{self, ACK, FIN, PEER, RST, STACK, SYN, UDP};
use crate::world::World;

/// How many actions one input has at most.
const ACTIONS: usize = 64;

/// How many frames one step is given at most.
const BATCH: usize = 16;

/// One input.
#[derive(Debug, Clone, Arbitrary)]
pub struct Input {
    /// The states in which there are connections, a bit for each of either family.
    pub states: u32,
    /// The sizes of buffers.
    pub shape: u8,
    /// What happens.
    pub actions: Vec<Action>,
}

/// Something that happens. All actions have the same fields, so that the fuzzer can turn one into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub struct Action {
    /// What: an index of [`KINDS`]. The highest bit holds the frame back, so that one step is given several.
    pub kind: u8,
    /// With which of the connections, programs or addresses.
    pub whom: u8,
    /// Flags, a type or an operation.
    pub flags: u8,
    /// How numbers are meant.
    pub shape: u8,
    /// A sequence number, relative to what `shape` says.
    pub seq: i16,
    /// An acknowledgment, likewise.
    pub ack: i16,
    /// A window, a size or a value.
    pub window: u16,
    /// The length of a payload.
    pub length: u16,
}

impl Input {
    /// The bytes that [`Arbitrary`] makes this input from.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.states.to_le_bytes().to_vec();
        bytes.push(self.shape);
        for action in &self.actions {
            bytes.extend_from_slice(&[1, action.kind, action.whom, action.flags, action.shape]);
            for word in [action.seq as u16, action.ack as u16, action.window, action.length] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }
}

/// Does something, and returns the frames that come of it.
pub type Kind = fn(&mut World, &Action) -> Vec<Vec<u8>>;

/// What there is to do. Segments come twice, because they matter most.
pub const KINDS: [Kind; 16] = [
    segment,
    segment,
    segment_with_options,
    fill_window,
    ask,
    datagram,
    fragments,
    icmp_error,
    arp,
    neighbour,
    autoconfigure,
    group,
    echo,
    program,
    time,
    mutant,
];

/// One input.
///
/// # Panics
///
/// If the stack breaks a rule.
pub fn run(input: &Input) {
    let mut world = World::new(input.states, input.shape);
    let mut held = Vec::new();
    for action in input.actions.iter().take(ACTIONS) {
        let mut frames = KINDS[usize::from(action.kind) % KINDS.len()](&mut world, action);
        held.append(&mut frames);
        if action.kind & 0x80 == 0 || held.len() >= BATCH {
            world.step(&held);
            held.clear();
        }
    }
    world.step(&held);
    world.finish();
}

fn pick(whom: u8, from: usize) -> Option<usize> {
    usize::from(whom).checked_rem(from)
}

/// The sequence number and the acknowledgment that an action means.
fn numbers(world: &World, peer: usize, action: &Action) -> (u32, u32) {
    let peer = &world.peers[peer];
    let base = match action.shape & 7 {
        0..=2 => peer.next,
        3 | 4 => peer.acked,
        5 => peer.edge,
        6 => peer.acked.wrapping_add(1 << 31),
        _ => peer.edge.wrapping_add(1 << 16),
    };
    let base_ack = match action.shape >> 3 & 3 {
        0 | 1 => peer.theirs,
        2 => peer.theirs.wrapping_sub(action.window.into()),
        _ => peer.theirs.wrapping_add(1 << 31),
    };
    // Small differences are what matters; large ones are the exception.
    let difference = |value: i16| if value & 0x4000 == 0 { i32::from(value) % 8 } else { i32::from(value) };
    (base.wrapping_add(difference(action.seq) as u32), base_ack.wrapping_add(difference(action.ack) as u32))
}

fn flags_of(action: &Action) -> u8 {
    match action.flags >> 5 {
        // What peers really send.
        0..=4 => [ACK, ACK | 8, ACK | FIN, ACK, ACK | 8][usize::from(action.flags >> 5)],
        5 => RST | action.flags & ACK,
        6 => SYN | action.flags & ACK,
        _ => action.flags & 31,
    }
}

fn length_of(action: &Action) -> usize {
    match action.shape >> 5 {
        0..=3 => usize::from(action.length) % 1461,
        4 => 0,
        5 => 1,
        6 => 1460,
        _ => usize::from(action.length),
    }
}

fn send(world: &mut World, action: &Action, options: &[u8], length: usize) -> Vec<Vec<u8>> {
    let Some(peer) = pick(action.whom, world.peers.len()) else { return Vec::new() };
    let (seq, ack) = numbers(world, peer, action);
    let flags = flags_of(action);
    let window = if action.shape & 4 == 0 { 0xffff } else { action.window };
    let frame = world.segment(peer, seq, ack, flags, window, options, length);
    let next = &mut world.peers[peer].next;
    let end = seq.wrapping_add(length as u32 + u32::from(flags & (FIN | SYN) != 0));
    // What is near has been sent by the peer that it is.
    if action.shape & 7 < 5 && flags & RST == 0 && (0..1 << 20).contains(&end.wrapping_sub(*next)) {
        *next = end;
    }
    vec![frame]
}

fn segment(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    send(world, action, &[], length_of(action))
}

fn segment_with_options(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let Some(peer) = pick(action.whom, world.peers.len()) else { return Vec::new() };
    let theirs = world.peers[peer].theirs;
    let value = u32::from(action.window).wrapping_sub(u32::from(action.seq as u16) << 8);
    let mut options = Vec::new();
    if action.flags & 1 != 0 {
        options.extend_from_slice(&[8, 10]);
        options.extend_from_slice(&value.to_be_bytes());
        options.extend_from_slice(&u32::from(action.length).to_be_bytes());
    }
    if action.flags & 2 != 0 {
        let blocks = action.flags >> 2 & 3;
        options.extend_from_slice(&[5, 2 + 8 * blocks]);
        for block in 0..u32::from(blocks) {
            let left = theirs.wrapping_sub(u32::from(action.length)).wrapping_add(block * 2000);
            options.extend_from_slice(&left.to_be_bytes());
            options.extend_from_slice(&left.wrapping_add(u32::from(action.window)).to_be_bytes());
        }
    }
    if action.flags & 16 != 0 {
        options.extend_from_slice(&[2, 4, (action.window >> 8) as u8, action.window as u8, 3, 3, action.shape, 4, 2]);
    }
    if action.ack & 0x2000 != 0 {
        options.extend_from_slice(&[action.flags, action.shape]);
    }
    send(world, action, &options, length_of(action) % 600)
}

/// Exactly what the window takes, less or more by a little, with a FIN or without.
fn fill_window(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let Some(peer) = pick(action.whom, world.peers.len()) else { return Vec::new() };
    let room = world.peers[peer].edge.wrapping_sub(world.peers[peer].next) as i32;
    let length = (room + i32::from(action.length as i16) % 4).clamp(0, 65_000);
    send(world, &Action { shape: action.shape & 0x18, ..*action }, &[], length as usize)
}

/// A new connection, or a SYN on one that there was.
fn ask(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let source = 2000 + u16::from(action.whom) % 64;
    let isn = u32::from(action.window) << 16 | u32::from(action.length);
    let peer = world.ask(action.flags & 1 != 0, source, isn);
    if action.flags & 2 != 0 {
        let (next, theirs) = (world.peers[peer].next, world.peers[peer].theirs);
        return vec![world.segment(peer, next, theirs, ACK, action.window, &[], 0)];
    }
    Vec::new()
}

fn source(v6: bool, shape: u8) -> IpAddr {
    match (shape & 7, v6) {
        (0..=4, _) => PEER.ip(v6),
        (5, false) => IpAddr::V4(Ipv4Addr::new(192, 168, 69, shape)),
        (5, true) => IpAddr::V6(Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, shape.into())),
        (6, false) => IpAddr::V4(Ipv4Addr::new(10, 0, 0, shape)),
        (6, true) => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, shape.into())),
        (_, false) => IpAddr::V4(Ipv4Addr::from_bits(u32::from(shape) << 24 | 1)),
        (_, true) => IpAddr::V6(Ipv6Addr::from_bits(u128::from(shape) << 120 | 1)),
    }
}

fn destination(v6: bool, shape: u8) -> IpAddr {
    match (shape >> 3 & 7, v6) {
        (0..=4, _) => STACK.ip(v6),
        (5, false) => IpAddr::V4(Ipv4Addr::new(192, 168, 69, 255)),
        (5, true) => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
        (6, false) => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)),
        (6, true) => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 1)),
        (_, false) => IpAddr::V4(Ipv4Addr::BROADCAST),
        (_, true) => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x5eff, 0xfe10, 1)),
    }
}

fn datagram(_: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let v6 = action.whom & 1 != 0;
    let ports = (9 + u16::from(action.flags >> 6), [7, 8, 7, 9999][usize::from(action.flags & 3)]);
    let payload = vec![action.shape; usize::from(action.length)];
    vec![craft::datagram(source(v6, action.shape), destination(v6, action.shape), ports, &payload)]
}

/// Some pieces of a datagram or of a segment, in some order, with overlaps and holes.
fn fragments(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let whole = if action.flags & 1 != 0 {
        let Some(frame) = segment(world, action).pop() else { return Vec::new() };
        frame
    } else {
        let v6 = action.whom & 1 != 0;
        let payload = vec![action.flags; usize::from(action.length)];
        craft::datagram(PEER.ip(v6), STACK.ip(v6), (9, 7), &payload)
    };
    let v6 = whole[14] >> 4 == 6;
    let fixed = if v6 { 40 } else { 20 };
    let (protocol, payload) = (if v6 { whole[20] } else { whole[23] }, &whole[14 + fixed..]);
    let size = (usize::from(action.window) % 1480).max(8) & !7;
    let id = action.whom >> 2;
    let mut pieces = Vec::new();
    for (i, chunk) in payload.chunks(size).enumerate().take(BATCH) {
        if action.seq >> i & 1 != 0 && action.flags & 2 != 0 {
            continue;
        }
        let offset = (i * size) as u16;
        let offset = if action.flags & 4 != 0 && i == 1 { offset.saturating_sub(8) } else { offset };
        let offset = if action.flags & 8 != 0 && i == 2 { 0xfff8 } else { offset };
        let more = i * size + chunk.len() < payload.len() || action.flags & 16 != 0;
        let source = PEER.ip(v6);
        let mut frame = if v6 {
            let header = [protocol, 0, (offset >> 8) as u8, offset as u8 & !7 | u8::from(more), 0, 0, 0, id];
            craft::ip(source, STACK.ip(true), 44, &header, chunk)
        } else {
            let mut frame = craft::ip(source, STACK.ip(false), protocol, &[], chunk);
            frame[19] = id;
            let field = offset >> 3 | if more { 0x2000 } else { 0 };
            frame[20..22].copy_from_slice(&field.to_be_bytes());
            frame
        };
        craft::repair(&mut frame);
        pieces.push(frame);
    }
    if action.flags & 32 != 0 {
        pieces.reverse();
    }
    if action.flags & 64 != 0
        && let Some(piece) = pieces.first().cloned()
    {
        pieces.push(piece);
    }
    pieces
}

/// An error about a packet of one of the connections, or about the last frame of all.
fn icmp_error(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let mut quote = if action.flags & 1 != 0 {
        world.last_sent.get(14..).unwrap_or_default().to_vec()
    } else {
        let Some(peer) = pick(action.whom, world.peers.len()) else { return Vec::new() };
        let seq = numbers(world, peer, &Action { shape: action.shape << 3, ..*action }).1;
        let peer = &world.peers[peer];
        let mut tcp = vec![0; 20];
        tcp[..2].copy_from_slice(&peer.destination.to_be_bytes());
        tcp[2..4].copy_from_slice(&peer.source.to_be_bytes());
        tcp[4..8].copy_from_slice(&seq.to_be_bytes());
        tcp[12] = 0x50;
        let mut frame = craft::ip(STACK.ip(peer.v6), PEER.ip(peer.v6), craft::TCP, &[], &tcp);
        craft::repair(&mut frame);
        frame.split_off(14)
    };
    let Some(&version) = quote.first() else { return Vec::new() };
    if action.flags & 2 != 0 {
        quote.truncate(28 + usize::from(action.length) % 64);
    }
    let v6 = version >> 4 == 6;
    let mut rest = if v6 {
        u32::from(action.window).to_be_bytes()
    } else {
        [0, 0, (action.window >> 8) as u8, action.window as u8]
    }
    .to_vec();
    rest.append(&mut quote);
    rest.truncate(1232);
    let kind = match (action.flags >> 4 & 3, v6) {
        (0, false) => 3,
        (1, false) => [3, 4, 5, 3][usize::from(action.length & 3)],
        (2, false) => 11,
        (_, false) => 12,
        (0, true) => 1,
        (n, true) => n + 1,
    };
    let code = if kind == 3 && action.flags & 0x80 != 0 { 4 } else { action.length as u8 % 16 };
    vec![craft::icmp(source(v6, action.shape >> 5), STACK.ip(v6), kind, code, &rest)]
}

fn arp(_: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let address = |n: u8| match n & 7 {
        0..=2 => PEER.v4,
        3 | 4 => STACK.v4,
        5 => Ipv4Addr::UNSPECIFIED,
        _ => Ipv4Addr::new(192, 168, 69, n),
    };
    let mac = if action.whom & 1 == 0 { PEER.mac } else { [2, 0, 0, 0, 0, action.whom] };
    let operation = if action.flags & 2 == 0 { 1 + u16::from(action.flags & 1) } else { action.window };
    vec![craft::arp(operation, (mac, address(action.shape)), (STACK.mac, address(action.shape >> 3)))]
}

/// Solicitations, advertisements, redirects.
fn neighbour(_: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let kind = [135, 136, 137, 133][usize::from(action.flags & 3)];
    let target = match action.whom & 3 {
        0 | 1 => PEER.v6,
        2 => STACK.v6,
        _ => Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, action.window),
    };
    let mut rest = vec![action.shape & 0xe0, 0, 0, 0];
    rest.extend_from_slice(&target.octets());
    if action.flags & 4 != 0 {
        rest.extend_from_slice(&[if kind == 136 { 2 } else { 1 }, action.flags >> 7 | 1, 2, 0, 0, 0, 0, action.whom]);
    }
    vec![craft::icmp(source(true, action.shape), destination(true, action.shape), kind, 0, &rest)]
}

/// Router advertisements, and what a DHCP server says.
fn autoconfigure(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    if action.flags & 1 != 0 {
        let lifetime = [0, action.window, 1800, 0xffff][usize::from(action.flags >> 1 & 3)];
        let [high, low] = lifetime.to_be_bytes();
        let mut rest = vec![64, action.shape & 0xc0, high, low, 0, 0, 0, 0, 0, 0, 0, 0];
        rest.extend_from_slice(&[3, 4, 64, 0xc0, 0, 0, high, low, 0, 0, low, high, 0, 0, 0, 0]);
        let prefix = Ipv6Addr::new(0xfd69, 0, 0, u16::from(action.whom & 3), 0, 0, 0, 0);
        rest.extend_from_slice(&prefix.octets());
        rest.extend_from_slice(&[5, 1, 0, 0, 0, 0]);
        rest.extend_from_slice(&action.length.to_be_bytes());
        rest.extend_from_slice(&[1, 1, 2, 0, 0x5e, 0x10, 0, 2]);
        let router = if action.flags & 8 == 0 {
            IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100))
        } else {
            source(true, action.shape)
        };
        return vec![craft::icmp(router, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into(), 134, 0, &rest)];
    }
    let mut message = vec![0; 236];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    let xid = if action.flags & 0x10 == 0 { world.xid } else { action.window.into() };
    message[4..8].copy_from_slice(&xid.to_be_bytes());
    message[16..20].copy_from_slice(&[192, 168, 69, action.shape]);
    message[28..34].copy_from_slice(&STACK.mac);
    message.extend_from_slice(&[99, 130, 83, 99, 53, 1, action.flags >> 1 & 7, 54, 4, 192, 168, 69, 100]);
    message.extend_from_slice(&[51, 4, 0, 0]);
    message.extend_from_slice(&action.length.to_be_bytes());
    message.extend_from_slice(&[1, 4, 255, 255, 255, 0, 3, action.whom, 192, 168, 69, 100, 255]);
    vec![craft::datagram(PEER.ip(false), Ipv4Addr::BROADCAST.into(), (67, 68), &message)]
}

/// Queries and reports of IGMP and MLD.
fn group(_: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let [high, low] = action.window.to_be_bytes();
    if action.whom & 1 == 0 {
        let kind = [0x11, 0x11, 0x22, 0x16, 0x12, 0x17][usize::from(action.flags) % 6];
        let mut bytes = vec![kind, action.shape, 0, 0];
        bytes.extend_from_slice(&if action.flags & 0x80 != 0 { [224, 0, 0, low] } else { [0; 4] });
        bytes.extend_from_slice(
            &[low, high, 0, action.whom, 224, 1, 1, 1, 0, 0, 0, 0][..usize::from(action.length) % 13],
        );
        let mut frame =
            craft::ip(source(false, action.shape), Ipv4Addr::new(224, 0, 0, 1).into(), 2, &[148, 4, 0, 0], &bytes);
        frame[22] = 1;
        craft::repair(&mut frame);
        return vec![frame];
    }
    let kind = [130, 130, 131, 132, 143][usize::from(action.flags) % 5];
    let mut bytes = vec![kind, 0, 0, 0, high, low, 0, 0];
    let group =
        if action.flags & 0x80 != 0 { Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) } else { Ipv6Addr::UNSPECIFIED };
    bytes.extend_from_slice(&group.octets());
    bytes.extend_from_slice(&[low, high, 0, action.whom][..usize::from(action.length) % 5]);
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x100).into();
    let hop_by_hop = [craft::ICMP6, 0, 5, 2, 0, 0, 1, 0];
    let mut frame = craft::ip(router, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).into(), 0, &hop_by_hop, &bytes);
    frame[21] = 1;
    craft::repair(&mut frame);
    vec![frame]
}

fn echo(_: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let v6 = action.whom & 1 != 0;
    let kind = match (action.flags & 7, v6) {
        (0..=4, false) => 8,
        (0..=4, true) => 128,
        (5, false) => 0,
        (5, true) => 129,
        _ => action.window as u8,
    };
    let rest = vec![action.whom; 4 + usize::from(action.length)];
    vec![craft::icmp(source(v6, action.shape), destination(v6, action.shape), kind, 0, &rest)]
}

/// What programs do.
fn program(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let length = usize::from(action.length);
    world.accept();
    let v6 = action.shape & 1 != 0;
    let Some(program) = pick(action.whom, world.programs.len()) else { return Vec::new() };
    match action.flags % 16 {
        0..=2 => world.read(program, length),
        3 | 4 => world.write(program, length),
        5 => world.shut_down_write(program),
        6 => world.shut_down_read(program),
        7 => drop(world.programs.swap_remove(program)),
        8 => {
            let socket = world.programs[program].socket.handle;
            let span = Some(Duration::from_millis(length as u64 * 10));
            let option = match action.shape >> 1 & 3 {
                0 => SocketOption::Nodelay(v6),
                1 => SocketOption::UserTimeout(span),
                2 => SocketOption::Linger(span.filter(|_| v6)),
                _ => SocketOption::Linger(Some(Duration::ZERO)),
            };
            world.call(Verb::SetOption { socket, option });
            world.call(Verb::Info { socket });
            world.call(Verb::List { page: Page::default() });
        }
        9 => {
            let remote = SocketAddr::new(PEER.ip(v6), 9000 + u16::from(action.whom));
            world.call(Verb::OpenStream { local: None, remote });
        }
        10 => {
            if let Some(udp) = pick(action.whom, world.datagrams.len()) {
                let peer = SocketAddr::new(PEER.ip(v6), 9);
                let _ = world.datagrams[udp].pipe.try_send(&vec![1; length], peer, None);
            }
        }
        11 => {
            if let Some(udp) = pick(action.whom, world.datagrams.len()) {
                let socket = world.datagrams[udp].handle;
                let group = if v6 {
                    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, action.window))
                } else {
                    IpAddr::V4(Ipv4Addr::new(224, 0, 0, action.window as u8))
                };
                world.call(if action.shape & 2 == 0 {
                    Verb::JoinGroup { socket, group, interface: None }
                } else {
                    Verb::LeaveGroup { socket, group, interface: None }
                });
            }
        }
        12 => {
            let socket = world.programs[program].socket.handle;
            world.call(Verb::Linger { socket });
        }
        13 => {
            let mut buffer = vec![0; length];
            for udp in world.datagrams.iter().chain(world.packets.iter().map(|(.., socket)| socket)) {
                let _ = udp.pipe.try_receive(&mut buffer);
            }
        }
        14 => send_packet(world, action),
        _ => tell_packets(world, action),
    }
    Vec::new()
}

/// An echo request, or a payload of the protocol that is for tests; to the peer, a group, or ourselves.
fn send_packet(world: &mut World, action: &Action) {
    let Some(which) = pick(action.whom, world.packets.len()) else { return };
    let (domain, kind, socket) = &world.packets[which];
    let v6 = *domain == Domain::Inet6;
    let mut bytes = vec![action.whom; usize::from(action.length)];
    match kind {
        socket::Kind::Echo if bytes.len() >= 8 => {
            bytes[..2].copy_from_slice(&[if v6 { 128 } else { 8 }, action.flags & 0x80])
        }
        socket::Kind::Echo | socket::Kind::Raw(Protocol::TESTING) => {}
        // What they would send is not what the checks know.
        _ => return,
    }
    let to = match action.shape >> 1 & 3 {
        0 | 1 => PEER.ip(v6),
        2 => STACK.ip(v6),
        _ if v6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, action.window)),
        _ => IpAddr::V4(Ipv4Addr::new(224, 0, 0, action.window as u8)),
    };
    let _ = socket.pipe.try_send(&bytes, SocketAddr::new(to, 0), None);
}

/// Options and groups of echo and raw sockets.
fn tell_packets(world: &mut World, action: &Action) {
    let Some(which) = pick(action.whom, world.packets.len()) else { return };
    let (domain, _, ref socket) = world.packets[which];
    let (socket, v6) = (socket.handle, domain == Domain::Inet6);
    let is_on = action.shape & 1 != 0;
    let discovery = [MtuDiscovery::Dont, MtuDiscovery::Want, MtuDiscovery::Do, MtuDiscovery::Probe];
    let discovery = discovery[usize::from(action.shape >> 1 & 3)];
    let group = if v6 {
        IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, action.window))
    } else {
        IpAddr::V4(Ipv4Addr::new(224, 0, 0, action.window as u8))
    };
    let option = match action.shape >> 3 & 7 {
        0 => SocketOption::MtuDiscover(discovery),
        1 => SocketOption::MtuDiscoverV6(discovery),
        2 => SocketOption::ReceiveBuffer(action.window.into()),
        3 => SocketOption::ReceiveErrors(is_on),
        4 => SocketOption::MulticastTtl(u32::from(action.window) & 255),
        5 => return world.call(Verb::JoinGroup { socket, group, interface: None }),
        6 => return world.call(Verb::LeaveGroup { socket, group, interface: None }),
        _ => return world.call(Verb::Connect { socket, remote: SocketAddr::new(PEER.ip(v6), 0).into() }),
    };
    world.call(Verb::SetOption { socket, option });
    world.call(Verb::TakeQueuedError { socket });
}

fn time(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let unit = [100, 1000, 20_000, 1_000_000][usize::from(action.flags & 3)];
    let span = u64::from(action.window) % 1000 * unit;
    world.is_helpful = action.flags & 0x70 != 0;
    world.pass(Duration::from_micros(span.min(400_000_000)));
    Vec::new()
}

/// The last frame of the stack comes back, turned around or not, with a byte changed.
fn mutant(world: &mut World, action: &Action) -> Vec<Vec<u8>> {
    let mut frame = world.last_sent.clone();
    if frame.len() < 34 {
        return Vec::new();
    }
    world.is_coherent = false;
    frame.splice(..12, STACK.mac.into_iter().chain(PEER.mac));
    if action.flags & 1 != 0 {
        match frame[14] >> 4 {
            4 => frame[26..34].rotate_left(4),
            6 if frame.len() >= 54 => frame[22..54].rotate_left(16),
            _ => {}
        }
    }
    let at = 14 + usize::from(action.length) % (frame.len() - 14);
    frame[at] ^= action.window as u8;
    if action.flags & 2 != 0 {
        frame.truncate(14 + usize::from(action.window) % frame.len());
    }
    if frame.len() >= 34 && frame[14] >> 4 == 4 && action.flags & 4 != 0 {
        frame[23] = UDP;
    }
    craft::repair(&mut frame);
    vec![frame]
}
