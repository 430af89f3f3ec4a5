//! A few hundred packets, no two alike, the same each time.

use std::net::{Ipv4Addr, Ipv6Addr};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::wire::{Ip4, Ip6, Message, ethernet, message, other, tcp, udp};

const SEED: u64 = 5;
/// How many packets of each kind.
const EACH: usize = 10;

/// A frame, and what it is for the person who reads about a failure.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) frame: Vec<u8>,
}

type Maker = fn(&mut StdRng) -> Vec<u8>;

const MAKERS: [(&str, Maker); 29] = [
    ("arp", arp),
    ("tcp over ip4", |rng| four(rng, segment)),
    ("tcp over ip6", |rng| six(rng, segment)),
    ("syn over ip4", |rng| four(rng, syn)),
    ("syn over ip6", |rng| six(rng, syn)),
    ("sack over ip4", |rng| four(rng, sack)),
    ("udp over ip4", |rng| four(rng, datagram)),
    ("udp over ip6", |rng| six(rng, datagram)),
    ("udp without a checksum", |rng| four(rng, |rng| udp(ports(rng), &data(rng, 400), false))),
    ("dhcp", dhcp),
    ("vlan", vlan),
    ("ip4 options", options4),
    ("fragments of ip4", fragments4),
    ("fragments of ip6", fragments6),
    ("hop-by-hop and destination options", options6),
    ("routing header", routing),
    ("icmp echo", |rng| four(rng, |rng| echo(rng, 1, [8, 0]))),
    ("icmp error", error4),
    ("icmp timestamp", |rng| four(rng, timestamp)),
    ("icmp redirect", redirect4),
    ("icmp6 echo", |rng| six(rng, |rng| echo(rng, 58, [128, 129]))),
    ("icmp6 error", error6),
    ("neighbour solicitation", |rng| six(rng, solicitation)),
    ("neighbour advertisement", |rng| six(rng, advertisement)),
    ("router advertisement", |rng| six(rng, router)),
    ("igmp 2", |rng| group4(rng, igmp2)),
    ("igmp 3", |rng| group4(rng, igmp3)),
    ("mld", |rng| group6(rng, mld)),
    ("other protocols", |rng| four(rng, |rng| other(200, data(rng, 60)))),
];

/// All of them.
pub(crate) fn corpus() -> Vec<Sample> {
    let mut rng = StdRng::seed_from_u64(SEED);
    let each = MAKERS.iter().flat_map(|maker| std::iter::repeat_n(maker, EACH));
    each.map(|(name, make)| Sample { name, frame: make(&mut rng) }).collect()
}

fn data(rng: &mut StdRng, most: usize) -> Vec<u8> {
    let length = rng.random_range(1..most);
    // Letters, so that nothing takes them for a protocol.
    (0..length).map(|_| rng.random_range(b'a'..=b'z')).collect()
}

/// Two ports that belong to no protocol a dissector knows.
fn ports(rng: &mut StdRng) -> (u16, u16) {
    (rng.random_range(33_000..33_400), rng.random_range(33_000..33_400))
}

fn address4(rng: &mut StdRng) -> Ipv4Addr {
    Ipv4Addr::new(10, rng.random(), rng.random(), rng.random_range(1..255))
}

fn address6(rng: &mut StdRng) -> Ipv6Addr {
    let mut octets: [u8; 16] = rng.random();
    octets[..2].copy_from_slice(&[0xfd, 0x69]);
    octets.into()
}

fn ip4(rng: &mut StdRng) -> Ip4 {
    Ip4 {
        source: address4(rng),
        destination: address4(rng),
        service: rng.random(),
        identification: rng.random(),
        fragment: if rng.random() { 0x4000 } else { 0 },
        ttl: rng.random_range(1..=255),
        options: Vec::new(),
    }
}

fn ip6(rng: &mut StdRng) -> Ip6 {
    Ip6 {
        source: address6(rng),
        destination: address6(rng),
        class: rng.random(),
        flow: rng.random_range(0..1 << 20),
        hop_limit: rng.random_range(1..=255),
        extensions: Vec::new(),
        last: None,
    }
}

fn four(rng: &mut StdRng, inner: fn(&mut StdRng) -> Message) -> Vec<u8> {
    let ip = ip4(rng);
    ethernet(&[], 0x0800, &ip.packet(&inner(rng)))
}

fn six(rng: &mut StdRng, inner: fn(&mut StdRng) -> Message) -> Vec<u8> {
    let ip = ip6(rng);
    ethernet(&[], 0x86dd, &ip.packet(&inner(rng)))
}

fn arp(rng: &mut StdRng) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, rng.random_range(1..=2)];
    packet.extend([2, 0, 0, 0, 0, rng.random()]);
    packet.extend(address4(rng).octets());
    packet.extend([2, 0, 0, 0, 1, rng.random()]);
    packet.extend(address4(rng).octets());
    ethernet(&[], 0x0806, &packet)
}

fn segment(rng: &mut StdRng) -> Message {
    let flags = [0x010, 0x018, 0x011, 0x004, 0x014, 0x030, 0x0d0, 0x158][rng.random_range(0..8)];
    let mut options = vec![1, 1, 8, 10];
    options.extend(rng.random::<[u8; 8]>());
    let options = if rng.random() { options } else { Vec::new() };
    let length = [1, 2, 60, 1400][rng.random_range(0..4)];
    let data = if rng.random() { data(rng, length + 1) } else { Vec::new() };
    tcp(ports(rng), (rng.random(), rng.random()), flags, rng.random(), &options, &data)
}

fn syn(rng: &mut StdRng) -> Message {
    let mut options = vec![2, 4];
    options.extend(rng.random_range(536..9000_u16).to_be_bytes());
    options.extend([4, 2, 8, 10]);
    options.extend(rng.random::<[u8; 8]>());
    options.extend([1, 3, 3, rng.random_range(0..15)]);
    if rng.random() {
        options.extend([253, 4, 1, 2]); // an experiment (RFC 4727)
    }
    if rng.random() {
        options.extend([0, 0, 0, 0]);
    }
    tcp(ports(rng), (rng.random(), 0), 0x002, rng.random(), &options, &[])
}

fn sack(rng: &mut StdRng) -> Message {
    let blocks = rng.random_range(1..=4_u8);
    let mut options = vec![1, 1, 5, 2 + 8 * blocks];
    for _ in 0..2 * blocks {
        options.extend(rng.random::<[u8; 4]>());
    }
    tcp(ports(rng), (rng.random(), rng.random()), 0x010, rng.random(), &options, &[])
}

fn datagram(rng: &mut StdRng) -> Message {
    let length = [2, 30, 1400][rng.random_range(0..3)];
    udp(ports(rng), &data(rng, length), true)
}

fn dhcp(rng: &mut StdRng) -> Vec<u8> {
    let mut payload = vec![1, 1, 6, 0];
    payload.extend(rng.random::<[u8; 4]>());
    payload.extend([0, rng.random(), if rng.random() { 0x80 } else { 0 }, 0]);
    payload.extend(address4(rng).octets());
    payload.extend([0; 12]);
    payload.extend([2, 0, 0, 0, 0, 7]);
    payload.extend([0; 10 + 192]);
    payload.extend([0x63, 0x82, 0x53, 0x63, 53, 1, rng.random_range(1..=8), 50, 4]);
    payload.extend(address4(rng).octets());
    payload.extend([51, 4, 0, 0, 14, rng.random(), 55, 3, 1, 3, 6, 0, 12, 4, b'h', b'o', b's', b't', 255]);
    payload.resize(300 + rng.random_range(0..20), 0);
    let (ip, reply) = (ip4(rng), rng.random::<bool>());
    payload[0] = if reply { 2 } else { 1 };
    let ports = if reply { (67, 68) } else { (68, 67) };
    ethernet(&[], 0x0800, &ip.packet(&udp(ports, &payload, true)))
}

fn vlan(rng: &mut StdRng) -> Vec<u8> {
    let tags: [u16; 2] = rng.random();
    let tags = if rng.random() { &tags[..] } else { &tags[..1] };
    if rng.random() {
        let ip = ip4(rng);
        ethernet(tags, 0x0800, &ip.packet(&segment(rng)))
    } else {
        let ip = ip6(rng);
        ethernet(tags, 0x86dd, &ip.packet(&datagram(rng)))
    }
}

fn options4(rng: &mut StdRng) -> Vec<u8> {
    let mut ip = ip4(rng);
    ip.options = match rng.random_range(0..4) {
        0 => vec![148, 4, 0, 0],
        1 => {
            let mut options = vec![1, 7, 11, 8];
            options.extend(address4(rng).octets());
            options.extend([0; 4]);
            options
        }
        2 => {
            let mut options = vec![68, 12, 13, 0x10];
            options.extend(rng.random_range(0..86_400_000_u32).to_be_bytes());
            options.extend(rng.random_range(0..86_400_000_u32).to_be_bytes());
            options
        }
        _ => vec![1, 1, 1, 0],
    };
    ethernet(&[], 0x0800, &ip.packet(&segment(rng)))
}

/// The first part of a datagram, with a checksum over what is not there.
fn beginning(rng: &mut StdRng) -> Vec<u8> {
    let ports = ports(rng);
    let mut bytes = vec![0, 0, 0, 0, 5, 0, 0xab, 0xcd];
    bytes[..2].copy_from_slice(&ports.0.to_be_bytes());
    bytes[2..4].copy_from_slice(&ports.1.to_be_bytes());
    bytes.extend([b'x'; 64]);
    bytes
}

fn fragments4(rng: &mut StdRng) -> Vec<u8> {
    let mut ip = ip4(rng);
    ip.fragment = 0x2000 | if rng.random() { 0 } else { rng.random_range(1..1000) };
    ethernet(&[], 0x0800, &ip.around(17, &beginning(rng)))
}

fn fragments6(rng: &mut StdRng) -> Vec<u8> {
    let mut ip = ip6(rng);
    let offset: u16 = if rng.random() { 0 } else { rng.random_range(1..1000) };
    let more = u16::from(offset == 0 || rng.random::<bool>());
    let mut header = vec![0, 0];
    header.extend((offset << 3 | more).to_be_bytes());
    header.extend(rng.random::<[u8; 4]>());
    ip.extensions = vec![(44, header)];
    ethernet(&[], 0x86dd, &ip.around(17, &beginning(rng)))
}

fn options6(rng: &mut StdRng) -> Vec<u8> {
    let mut ip = ip6(rng);
    ip.extensions.push((0, vec![0, 0, 5, 2, 0, 0, 1, 0]));
    if rng.random() {
        ip.extensions.push((60, vec![0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    }
    if rng.random() {
        // An atomic fragment (RFC 6946).
        ip.extensions.push((44, vec![0, 0, 0, 0, 1, 2, 3, 4]));
    }
    let inner = if rng.random() { segment(rng) } else { echo(rng, 58, [128, 129]) };
    ethernet(&[], 0x86dd, &ip.packet(&inner))
}

fn routing(rng: &mut StdRng) -> Vec<u8> {
    let mut ip = ip6(rng);
    let last = address6(rng);
    let left = rng.random_range(0..=1);
    let mut header = vec![0, 2, 2, left, 0, 0, 0, 0];
    header.extend(last.octets());
    ip.extensions = vec![(43, header)];
    ip.last = (left > 0).then_some(last);
    ethernet(&[], 0x86dd, &ip.packet(&datagram(rng)))
}

fn echo(rng: &mut StdRng, protocol: u8, kinds: [u8; 2]) -> Message {
    let kind = kinds[rng.random_range(0..2)];
    let rest = [&rng.random::<[u8; 4]>()[..], &data(rng, 60)].concat();
    message(protocol, kind, 0, &rest)
}

/// What is quoted: as much of a packet as a router gives back. Of TCP always the whole header: of less, and in a
/// redirect, tshark shows the ports and no more.
fn quoted4(rng: &mut StdRng, may_be_tcp: bool) -> Vec<u8> {
    let mut ip = ip4(rng);
    ip.ttl = 1;
    let is_tcp = may_be_tcp && rng.random::<bool>();
    let mut packet = ip.packet(&if is_tcp { segment(rng) } else { datagram(rng) });
    packet.truncate(20 + if is_tcp { rng.random_range(60..100) } else { [8, 50][rng.random_range(0..2)] });
    packet
}

fn error4(rng: &mut StdRng) -> Vec<u8> {
    let (kind, code, rest) = [
        (3, 0, [0; 4]),
        (3, 1, [0; 4]),
        (3, 3, [0; 4]),
        (3, 4, [0, 0, 5, 0xdc]),
        (11, 0, [0; 4]),
        (11, 1, [0; 4]),
        (12, 0, [9, 0, 0, 0]),
    ][rng.random_range(0..7)];
    let ip = ip4(rng);
    let rest = [&rest[..], &quoted4(rng, true)].concat();
    ethernet(&[], 0x0800, &ip.packet(&message(1, kind, code, &rest)))
}

fn redirect4(rng: &mut StdRng) -> Vec<u8> {
    let ip = ip4(rng);
    let rest = [&address4(rng).octets()[..], &quoted4(rng, false)].concat();
    ethernet(&[], 0x0800, &ip.packet(&message(1, 5, 1, &rest)))
}

fn timestamp(rng: &mut StdRng) -> Message {
    let mut rest = rng.random::<[u8; 4]>().to_vec();
    for _ in 0..3 {
        rest.extend(rng.random_range(0..86_400_000_u32).to_be_bytes());
    }
    message(1, rng.random_range(13..=14), 0, &rest)
}

fn error6(rng: &mut StdRng) -> Vec<u8> {
    let (kind, code, rest) =
        [(1, 0, [0; 4]), (1, 4, [0; 4]), (2, 0, [0, 0, 5, 0]), (3, 0, [0; 4]), (4, 1, [0, 0, 0, 40])]
            [rng.random_range(0..5)];
    let inner = ip6(rng);
    let mut quoted = inner.packet(&datagram(rng));
    quoted.truncate(48 + rng.random_range(0..200));
    let ip = ip6(rng);
    ethernet(&[], 0x86dd, &ip.packet(&message(58, kind, code, &[&rest[..], &quoted].concat())))
}

fn solicitation(rng: &mut StdRng) -> Message {
    let mut rest = vec![0; 4];
    rest.extend(address6(rng).octets());
    rest.extend([1, 1, 2, 0, 0, 0, 0, rng.random()]);
    if rng.random() {
        rest.extend([14, 1, 1, 2, 3, 4, 5, 6]);
    }
    message(58, 135, 0, &rest)
}

fn advertisement(rng: &mut StdRng) -> Message {
    let mut rest = vec![rng.random::<u8>() & 0xe0, 0, 0, 0];
    rest.extend(address6(rng).octets());
    rest.extend([2, 1, 2, 0, 0, 0, 0, rng.random()]);
    message(58, 136, 0, &rest)
}

fn router(rng: &mut StdRng) -> Message {
    let mut rest = vec![64, rng.random::<u8>() & 0xc0, 7, rng.random()];
    rest.extend(rng.random_range(0..3_600_000_u32).to_be_bytes());
    rest.extend(rng.random::<[u8; 4]>());
    rest.extend([1, 1, 2, 0, 0, 0, 0, 9]);
    rest.extend([3, 4, 64, rng.random::<u8>() & 0xc0]);
    rest.extend(rng.random::<[u8; 8]>());
    rest.extend([0; 4]);
    rest.extend(address6(rng).octets());
    rest.extend([5, 1, 0, 0, 0, 0, 5, 0xdc]);
    rest.extend([25, 3, 0, 0, 0, 0, 14, 0x10]);
    rest.extend(address6(rng).octets());
    message(58, 134, 0, &rest)
}

fn group4(rng: &mut StdRng, inner: fn(&mut StdRng) -> Message) -> Vec<u8> {
    let mut ip = ip4(rng);
    ip.destination = Ipv4Addr::new(224, 0, 0, 22);
    ip.ttl = 1;
    ip.options = vec![148, 4, 0, 0];
    ethernet(&[], 0x0800, &ip.packet(&inner(rng)))
}

fn igmp2(rng: &mut StdRng) -> Message {
    let kind = [0x11, 0x16, 0x17][rng.random_range(0..3)];
    message(2, kind, if kind == 0x11 { rng.random_range(1..128) } else { 0 }, &[239, 1, 2, rng.random()])
}

fn igmp3(rng: &mut StdRng) -> Message {
    if rng.random() {
        let mut rest = vec![239, 1, 2, 3, rng.random::<u8>() & 15, rng.random_range(1..128), 0, 2];
        rest.extend(address4(rng).octets());
        rest.extend(address4(rng).octets());
        return message(2, 0x11, rng.random_range(1..128), &rest);
    }
    let records = rng.random_range(1..4_u8);
    let mut rest = vec![0, 0, 0, records];
    for record in 0..records {
        rest.extend([rng.random_range(1..=6), 0, 0, record, 239, 1, 2, rng.random()]);
        for _ in 0..record {
            rest.extend(address4(rng).octets());
        }
    }
    message(2, 0x22, 0, &rest)
}

fn group6(rng: &mut StdRng, inner: fn(&mut StdRng) -> Message) -> Vec<u8> {
    let mut ip = ip6(rng);
    ip.destination = "ff02::16".parse().unwrap();
    ip.hop_limit = 1;
    ip.extensions = vec![(0, vec![0, 0, 5, 2, 0, 0, 1, 0])];
    ethernet(&[], 0x86dd, &ip.packet(&inner(rng)))
}

fn mld(rng: &mut StdRng) -> Message {
    let mut group = address6(rng).octets();
    group[..2].copy_from_slice(&[0xff, 0x05]);
    if rng.random() {
        let kind = rng.random_range(131..=132);
        return message(58, kind, 0, &[&[0, 0, 0, 0][..], &group].concat());
    }
    let records = rng.random_range(1..4_u8);
    let mut rest = vec![0, 0, 0, records];
    for record in 0..records {
        rest.extend([rng.random_range(1..=6), 0, 0, record]);
        rest.extend(group);
        for _ in 0..record {
            rest.extend(address6(rng).octets());
        }
    }
    message(58, 143, 0, &rest)
}
