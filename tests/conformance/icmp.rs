//! ICMP for IPv4, and what both versions have in common (RFC 792, RFC 1122 §3.2.2, RFC 1812 §4.3.2, RFC 4443).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::wire::*;

fn errors(answers: &[Answer]) -> Vec<Icmp> {
    answers.iter().filter_map(Answer::icmp).filter(Icmp::is_error).collect()
}

fn line_17_echo_is_exact_at_any_size(wire: &mut dyn Wire) {
    let data = pattern(1472);
    for family in FAMILIES {
        let largest = 1500 - family.header() - 8;
        for size in (0..=70).chain([127, 128, 255, 256, 511, 999, 1000, 1001]).chain(largest - 5..=largest) {
            let answers = wire.ask(&ping(family, size as u16, &data[..size]).frame());
            assert_eq!(answers.len(), 1, "{family:?}, {size} bytes: {answers:?}");
            let reply = answers[0].icmp().unwrap();
            assert!(reply.is_echo_reply());
            assert_eq!((reply.code, reply.source, reply.destination), (0, family.us(), family.peer()));
            let [a, b] = (size as u16).to_be_bytes();
            assert_eq!(reply.rest, [0x12, 0x34, a, b]);
            assert_eq!(reply.data, data[..size], "{family:?}, {size} bytes");
        }
    }
}

/// Every size that fits, one by one.
fn line_17_echo_is_exact_at_every_single_size(pair: &mut Pair) {
    for family in FAMILIES {
        for size in 0..=1500 - family.header() - 8 {
            assert!(pair.pings(&ping(family, 7, &pattern(size))), "{family:?}, {size} bytes");
        }
    }
}

fn line_18_a_bad_checksum_is_dropped(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for bit in 0..16 {
            let mut packet = ping(family, 1, b"data");
            packet.payload[2 + bit / 8] ^= 1 << (bit % 8);
            assert!(wire.ask(&packet.frame()).is_empty(), "{family:?}, bit {bit}");
        }
        let mut packet = ping(family, 1, b"data");
        packet.payload[9] ^= 1;
        assert!(wire.ask(&packet.frame()).is_empty());
        assert!(wire.pings(&ping(family, 1, b"data")));
    }
    // ICMPv6 counts the addresses in: the sum without them is a wrong one.
    let mut packet = ping(V6, 1, b"data");
    packet.payload[2..4].fill(0);
    let sum = checksum_of(&packet.payload);
    packet.payload[2..4].copy_from_slice(&sum.to_be_bytes());
    assert!(wire.ask(&packet.frame()).is_empty());
}

fn line_19_an_unknown_type_is_silent(wire: &mut dyn Wire) {
    for kind in [1, 2, 6, 7, 10, 15, 16, 19, 30, 41, 42, 99, 200, 253, 255] {
        let answers = wire.ask(&icmp_packet(V4, kind, 0, [0; 4], &pattern(40)).frame());
        assert!(answers.is_empty(), "ICMP {kind}: {answers:?}");
    }
    for kind in [5, 50, 99, 100, 101, 127, 140, 145, 162, 200, 201, 254, 255] {
        let answers = wire.ask(&icmp_packet(V6, kind, 0, [0; 4], &pattern(60)).frame());
        assert!(answers.is_empty(), "ICMPv6 {kind}: {answers:?}");
    }
    // A reply that nobody waits for.
    assert!(wire.ask(&icmp_packet(V4, 0, 0, [1, 2, 3, 4], b"data").frame()).is_empty());
    assert!(wire.ask(&icmp_packet(V6, 129, 0, [1, 2, 3, 4], b"data").frame()).is_empty());
    wire.is_well();
}

fn line_20_no_error_about_an_error_a_group_or_a_later_fragment(wire: &mut dyn Wire) {
    let broadcasts: [IpAddr; 3] =
        [Ipv4Addr::BROADCAST.into(), Ipv4Addr::new(192, 168, 69, 255).into(), Ipv4Addr::new(224, 0, 0, 1).into()];
    let unknown = || Packet::new(V4, 253, pattern(32));
    let closed = || Datagram::new(V4, CLOSED, b"x").packet();
    for destination in broadcasts {
        let datagram = Datagram { to: (destination, CLOSED).into(), ..Datagram::new(V4, CLOSED, b"x") };
        for packet in [Packet { destination, ..unknown() }, datagram.packet()] {
            let answers = wire.ask(&packet.frame());
            assert!(answers.is_empty(), "{destination}: {answers:?}");
        }
    }
    // A unicast packet in a frame to everybody (RFC 1122 §3.2.2).
    for packet in [unknown(), closed()] {
        assert!(wire.ask(&packet.frame_to(BROADCAST)).is_empty());
    }
    // Fragments other than the first.
    for packet in [unknown(), closed()] {
        assert!(wire.ask(&Packet { offset: 64, ..packet.clone() }.frame()).is_empty());
        assert!(wire.ask(&Packet { offset: 64, more: true, ..packet }.frame()).is_empty());
    }
    // Errors, about what we sent and about what we did not, and malformed ones.
    let quote = Datagram { from: (OUR_V4, CLOSED).into(), to: (PEER_V4, 5).into(), payload: b"x".to_vec() };
    let mut quote = quote.packet().bytes();
    for (kind, code) in [(3, 0), (3, 2), (3, 3), (3, 4), (4, 0), (5, 1), (11, 0), (11, 1), (12, 0)] {
        for length in [quote.len(), 28, 20, 7, 0] {
            let answers = wire.ask(&icmp_packet(V4, kind, code, [0; 4], &quote[..length]).frame());
            assert!(answers.is_empty(), "{kind}/{code} with {length} bytes: {answers:?}");
        }
    }
    // Of a protocol that nobody knows.
    quote[9] = 253;
    assert!(wire.ask(&icmp_packet(V4, 3, 2, [0; 4], &quote).frame()).is_empty());
    // The error that is due still comes.
    assert_eq!(errors(&wire.ask(&unknown().frame())).len(), 1);
    assert_eq!(errors(&wire.ask(&closed().frame())).len(), 1);
}

fn line_21_the_quote_holds_the_original_bytes(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for size in [0, 1, 8, 100, 1000, 1400] {
            let datagram = Datagram::new(family, CLOSED, &pattern(size)).packet();
            let sent = datagram.bytes();
            let answers = wire.ask(&datagram.frame());
            assert_eq!(answers.len(), 1, "{family:?}, {size} bytes");
            let error = errors(&answers)[0].clone();
            assert_eq!((error.source, error.destination), (family.us(), family.peer()));
            // Header and 8 bytes at least (RFC 792); of IPv6 as much as fits into 1280 (RFC 4443 §3.1).
            let (least, most) = match family {
                V4 => (28, 576 - 28),
                V6 => (sent.len().min(1280 - 48), 1280 - 48),
            };
            assert!((least.min(sent.len())..=most).contains(&error.data.len()), "{} bytes", error.data.len());
            assert_eq!(error.data, sent[..error.data.len()], "{family:?}, {size} bytes");
        }
    }
    // With its options, as they came.
    let packet =
        Packet { options: vec![7, 7, 4, 0, 0, 0, 0, 0], hop_limit: 9, ..Datagram::new(V4, CLOSED, b"x").packet() };
    let answers = wire.ask(&packet.frame());
    let error = errors(&answers)[0].clone();
    assert_eq!(error.data, packet.bytes()[..error.data.len()]);
    assert!(error.data.len() >= 36);
}

fn line_22_errors_are_limited_and_echo_is_not(pair: &mut Pair) {
    const MANY: usize = 5000;
    for family in FAMILIES {
        let burst = |pair: &mut Pair, packet: Packet| {
            for _ in 0..MANY {
                pair.send(&packet.frame());
            }
            pair.settle()
        };
        // So that the stack knows where to send the answers.
        assert!(pair.pings(&ping(family, 0, b"x")));
        let echoes = burst(pair, ping(family, 1, b"x"));
        assert_eq!(echoes.len(), MANY, "{family:?}");
        pair.wait(Duration::from_secs(5));
        let closed = Datagram::new(family, CLOSED, b"x").packet();
        let sent = errors(&burst(pair, closed.clone())).len();
        assert!((1..=MANY / 2).contains(&sent), "{family:?}: {sent} errors in no time");
        // Later there is room for more, and pings were never in the way.
        pair.wait(Duration::from_secs(5));
        assert_eq!(errors(&pair.ask(&closed.frame())).len(), 1);
        let sent = burst(pair, closed).len();
        assert!(sent <= MANY / 2);
        assert!(pair.pings(&ping(family, 2, b"y")), "an exhausted limit on errors does not touch echo");
        pair.wait(Duration::from_secs(5));
    }
}

lines! {
    both {
        line_17_echo_is_exact_at_any_size
        line_20_no_error_about_an_error_a_group_or_a_later_fragment
        line_21_the_quote_holds_the_original_bytes
    }
    embedded {}
    pair {
        line_17_echo_is_exact_at_every_single_size
        line_18_a_bad_checksum_is_dropped
        line_19_an_unknown_type_is_silent
        line_22_errors_are_limited_and_echo_is_not
    }
}
