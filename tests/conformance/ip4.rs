//! IPv4 (RFC 791, RFC 1122 §3.2).

use std::net::{IpAddr, Ipv4Addr};

use crate::wire::*;

fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    Ipv4Addr::new(a, b, c, d).into()
}

/// In a frame to the stack, as it is.
fn raw(packet: &[u8]) -> Vec<u8> {
    ethernet(OUR_MAC, PEER_MAC, IP4, packet)
}

/// With the header checksum made right again.
fn repaired(mut packet: Vec<u8>) -> Vec<u8> {
    let header = (usize::from(packet[0] & 15) * 4).clamp(12, packet.len());
    packet[10..12].fill(0);
    let sum = checksum_of(&packet[..header]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn line_05_a_bad_header_checksum_is_dropped(wire: &mut dyn Wire) {
    let good = ping(V4, 1, b"data").bytes();
    for bit in 0..16 {
        let mut bytes = good.clone();
        bytes[10 + bit / 8] ^= 1 << (bit % 8);
        assert!(wire.ask(&raw(&bytes)).is_empty(), "bit {bit}");
    }
    for damage in 1..20 {
        let mut bytes = good.clone();
        bytes[damage] ^= 0x10;
        assert!(wire.ask(&raw(&bytes)).is_empty(), "byte {damage}");
    }
    assert!(wire.pings(&ping(V4, 2, b"data")));
}

fn line_06_a_bad_version_header_length_or_length_is_dropped(wire: &mut dyn Wire) {
    let good = ping(V4, 1, b"some data").bytes();
    for version in (0..16).filter(|&version| version != 4) {
        let mut bytes = good.clone();
        bytes[0] = version << 4 | 5;
        assert!(wire.ask(&raw(&repaired(bytes))).is_empty(), "version {version}");
    }
    for words in (0..5).chain(10..16) {
        let mut bytes = good.clone();
        bytes[0] = 0x40 | words;
        assert!(wire.ask(&raw(&repaired(bytes))).is_empty(), "a header of {words} words");
    }
    let length = good.len() as u16;
    for total in (0..20).chain([length + 1, length + 100, u16::MAX]) {
        let mut bytes = good.clone();
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        assert!(wire.ask(&raw(&repaired(bytes))).is_empty(), "a total length of {total}");
    }
    assert!(wire.pings(&ping(V4, 2, b"data")));
}

fn line_07_ethernet_padding_is_trimmed(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for padding in [1, 7, 18, 46, 500] {
            let pad = |mut frame: Vec<u8>| {
                frame.resize(frame.len() + padding, 0xff);
                frame
            };
            let packet = ping(family, 1, b"x");
            let answers = wire.ask(&pad(packet.frame()));
            let reply = answers[0].icmp().unwrap();
            assert!(reply.is_echo_reply());
            assert_eq!(reply.data, b"x", "{family:?}, {padding} bytes");

            let datagram = Datagram::new(family, ECHO, b"y");
            wire.send(&pad(datagram.packet().frame()));
            let answers = wire.until("datagram", &mut |answer| answer.udp().is_some());
            assert_eq!(answers[0].udp().unwrap().payload, b"y", "{family:?}, {padding} bytes");

            let mut client = Client::new(family, ECHO);
            client.open(wire);
            wire.send(&pad(client.data(b"z").frame()));
            client.seq += 1;
            assert_eq!(client.read(wire, 1), b"z");
            // What came behind it was no payload: the stack expects the byte after it.
            assert!(client.echoes(wire, b"next"));
            client.reset(wire);
        }
    }
}

fn line_08_ttl_1_is_accepted(wire: &mut dyn Wire) {
    for hop_limit in [1, 0, 2, 255] {
        for family in FAMILIES {
            assert!(wire.pings(&Packet { hop_limit, ..ping(family, 1, b"data") }), "{family:?} {hop_limit}");
        }
        wire.send(&Packet { hop_limit, ..Datagram::new(V4, ECHO, b"near").packet() }.frame());
        let answers = wire.until("datagram", &mut |answer| answer.udp().is_some());
        assert_eq!(answers[0].udp().unwrap().payload, b"near");
    }
}

fn line_09_options_are_tolerated_and_malformed_ones_survived(wire: &mut dyn Wire) {
    let with = |options: &[u8]| Packet { options: options.to_vec(), ..ping(V4, 1, b"data") };
    let tolerated: [&[u8]; 9] = [
        &[1, 1, 1, 1],
        &[0, 0, 0, 0],
        &[1, 1, 1, 0],
        &[148, 4, 0, 0],                          // router alert
        &[7, 7, 4, 0, 0, 0, 0, 0],                // record route
        &[68, 12, 13, 0, 1, 2, 3, 4, 5, 6, 7, 8], // timestamps, full
        &[130, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // security
        &[131, 7, 8, 10, 0, 0, 1, 0],             // a loose source route that has been gone
        &[0x5e, 4, 1, 2],                         // nobody knows it
    ];
    for options in tolerated {
        assert!(wire.pings(&with(options)), "{options:?}");
    }
    let most: Vec<u8> = [1; 40].to_vec();
    assert!(wire.pings(&with(&most)));
    let malformed: [&[u8]; 8] = [
        &[7, 0, 0, 0],
        &[7, 1, 0, 0],
        &[7, 5, 4, 0],
        &[1, 1, 1, 7],
        &[68, 255, 5, 0],
        &[131, 2, 0, 0],
        &[131, 3, 0, 0],
        &[137, 40, 4, 0],
    ];
    for options in malformed {
        // Dropped or a Parameter Problem, and no echo.
        let answers = wire.ask(&with(options).frame());
        assert!(
            answers.iter().all(|answer| answer.icmp().is_some_and(|icmp| icmp.kind == 12)),
            "{options:?}: {answers:?}"
        );
    }
    // A source route that is not at its end: a host that does not forward must not.
    for kind in [131, 137] {
        let answers = wire.ask(&with(&[kind, 7, 4, 192, 168, 69, 99, 0]).frame());
        assert!(answers.iter().all(|answer| answer.icmp().is_some_and(|icmp| icmp.is_error())), "{answers:?}");
    }
    wire.is_well();
}

fn line_10_martian_multicast_and_own_address_sources_are_dropped(wire: &mut dyn Wire) {
    let sources = [
        v4(0, 0, 0, 0),
        v4(0, 1, 2, 3),
        v4(127, 0, 0, 1),
        v4(127, 255, 255, 254),
        v4(224, 0, 0, 1),
        v4(239, 1, 2, 3),
        v4(255, 255, 255, 255),
        v4(192, 168, 69, 255),
        OUR_V4.into(),
    ];
    for source in sources {
        let silent = |wire: &mut dyn Wire, packet: Packet, what: &str| {
            let answers = wire.ask(&packet.frame());
            assert!(answers.is_empty(), "{source}, {what}: {answers:?}");
        };
        silent(wire, ping_between(source, OUR_V4.into(), b"data"), "ping");
        let from = |port| std::net::SocketAddr::new(source, port);
        for port in [ECHO, CLOSED] {
            silent(wire, Datagram { from: from(4000), ..Datagram::new(V4, port, b"x") }.packet(), "datagram");
            for flags in [SYN, ACK] {
                silent(
                    wire,
                    Segment { from: from(4000), ..Segment::new(V4, 4000, port, flags, 1, 1) }.packet(),
                    "segment",
                );
            }
        }
        silent(wire, Packet { source, ..Packet::new(V4, 253, vec![0; 8]) }, "unknown protocol");
    }
    wire.is_well();
}

fn line_11_nothing_is_ever_forwarded(wire: &mut dyn Wire) {
    let others = ["192.168.69.99", "192.168.69.100", "10.1.2.3", "8.8.8.8", "fd69::99", "2001:db8::1", "fe80::99"];
    for other in others {
        let other: IpAddr = other.parse().unwrap();
        let family = if other.is_ipv4() { V4 } else { V6 };
        let to = |packet: Packet| Packet { destination: other, ..packet }.frame_to(OUR_MAC);
        let datagram = Datagram { to: (other, ECHO).into(), ..Datagram::new(family, ECHO, b"x") };
        let segment = Segment { to: (other, ECHO).into(), ..Segment::new(family, 4000, ECHO, SYN, 1, 0) };
        let frames = [
            to(ping_between(family.peer(), other, b"data")),
            datagram.packet().frame_to(OUR_MAC),
            segment.packet().frame_to(OUR_MAC),
            to(Packet::new(family, 253, vec![0; 8])),
        ];
        for frame in frames {
            // Not even a redirect, or the news that its time has run out.
            let answers = wire.ask(&frame);
            assert!(answers.is_empty(), "{other}: {answers:?}");
        }
    }
    wire.is_well();
}

fn line_12_an_unknown_protocol_is_answered_with_protocol_unreachable(wire: &mut dyn Wire) {
    for protocol in [0, 3, 4, 41, 47, 50, 89, 132, 136, 253, 255] {
        let packet = Packet::new(V4, protocol, pattern(32));
        let answers = wire.ask(&packet.frame());
        assert_eq!(answers.len(), 1, "{protocol}: {answers:?}");
        let icmp = answers[0].icmp().unwrap();
        assert_eq!((icmp.kind, icmp.code, icmp.source, icmp.destination), (3, 2, V4.us(), V4.peer()), "{protocol}");
        assert_eq!(icmp.data, packet.bytes()[..icmp.data.len()]);
        assert!(icmp.data.len() >= 28);
    }
}

lines! {
    both {
        line_05_a_bad_header_checksum_is_dropped
        line_07_ethernet_padding_is_trimmed
        line_10_martian_multicast_and_own_address_sources_are_dropped
        line_12_an_unknown_protocol_is_answered_with_protocol_unreachable
    }
    embedded {}
    pair {
        line_06_a_bad_version_header_length_or_length_is_dropped
        line_08_ttl_1_is_accepted
        line_09_options_are_tolerated_and_malformed_ones_survived
        line_11_nothing_is_ever_forwarded
    }
}
