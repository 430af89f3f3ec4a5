//! Packets in, verdicts and answers out. Numbers such as "WIRE 12" are lines of the project's list of what a
//! correct host does on the wire.

use std::time::Duration;

use proptest::prelude::*;

use super::fixture::*;
use super::*;
use crate::config::Mac;
use crate::observe::{Address, Fate};

fn transport(ip: &mut Ip, bytes: &[u8]) -> (IpAddr, IpAddr, u8, Cast, Vec<u8>, usize) {
    match receive(ip, bytes) {
        (Ok(Verdict::Transport(p)), frames) if frames.is_empty() => {
            (p.source, p.destination, p.protocol, p.cast, p.payload.to_vec(), p.bytes.len())
        }
        other => panic!("{other:?}"),
    }
}

// ---- IPv4 ----

#[test]
fn a_datagram_for_us_reaches_the_transport_without_its_ethernet_padding() {
    let mut ip = ready();
    for (host, ours) in [(HOST, OURS), (HOST6, OURS6)] {
        let whole = udp(host, ours, b"hi");
        let mut padded = whole.clone();
        padded.extend_from_slice(&[0xee; 18]);
        let header = if ours.is_ipv4() { 20 } else { 40 };
        let expected = (host, ours, 17, Cast::Unicast, whole[header..].to_vec(), whole.len());
        assert_eq!(transport(&mut ip, &padded), expected, "WIRE 7");
    }
}

#[test]
fn ttl_zero_and_one_are_accepted_and_header_fields_are_shown() {
    let mut ip = ready();
    for ttl in [0, 1, 255] {
        let mut bytes = udp(HOST, OURS, b"x");
        (bytes[8], bytes[1]) = (ttl, 0xb9);
        repair(&mut bytes);
        let (Ok(Verdict::Transport(packet)), _) = receive(&mut ip, &bytes) else { panic!("WIRE 8") };
        assert_eq!((packet.hop_limit, packet.traffic_class), (ttl, 0xb9));
    }
}

#[test]
fn a_broken_ipv4_header_is_dropped_by_name() {
    let mut ip = ready();
    let whole = udp(HOST, OURS, b"data");
    let mut with = |at: usize, value: u8, mend: bool| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        if mend {
            repair(&mut bytes);
        }
        dropped(&mut ip, &bytes)
    };
    assert_eq!(with(8, 77, false), Rule::Ip4HeaderChecksum, "WIRE 5");
    assert_eq!(with(0, 0x55, false), Rule::Ip4Version, "WIRE 6");
    assert_eq!(with(0, 0x44, false), Rule::Ip4HeaderLength);
    assert_eq!(with(0, 0x4f, false), Rule::Ip4HeaderLength);
    assert_eq!(with(3, whole.len() as u8 + 1, true), Rule::Ip4Truncated);
    assert_eq!(with(3, 19, true), Rule::Ip4Truncated);
    assert_eq!(dropped(&mut ip, &[]), Rule::Ip4Truncated);
    assert_eq!(dropped(&mut ip, &[0x45; 19]), Rule::Ip4Truncated);
}

#[test]
fn options_are_tolerated_and_malformed_ones_are_dropped() {
    let mut ip = ready();
    let good: &[&[u8]] = &[
        &[1, 1, 1, 0],
        &[0, 0xff, 0xff, 0xff],                    // nothing counts after the end
        &[148, 4, 0, 0],                           // router alert
        &[7, 7, 4, 0, 0, 0, 0, 0],                 // record route
        &[131, 7, 8, 10, 0, 0, 1, 0],              // a source route that is used up
        &[0x44, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0], // timestamp
    ];
    for options in good {
        transport(&mut ip, &with_options(options, b"12345678"));
    }
    for options in [&[7, 0, 0, 0], &[7, 1, 0, 0], &[7, 5, 0, 0], &[1, 1, 1, 7], &[131, 2, 1, 1]] {
        assert_eq!(dropped(&mut ip, &with_options(options, b"12345678")), Rule::Ip4Options, "WIRE 9");
    }
    for kind in [131, 137] {
        let route = [kind, 7, 4, 10, 0, 0, 1, 0];
        assert_eq!(dropped(&mut ip, &with_options(&route, b"12345678")), Rule::Ip4SourceRoute, "WIRE 11");
    }
}

#[test]
fn sources_that_cannot_be_another_host_are_dropped() {
    let mut ip = ready();
    for source in [
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "192.168.69.255",
        "127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "192.168.69.1",
    ] {
        assert_eq!(dropped(&mut ip, &udp(addr(source), OURS, b"")), Rule::Ip4Source, "WIRE 10: {source}");
    }
    for source in ["ff02::1", "::1", "::", "::ffff:192.168.69.100", "fd69::1", "fe80::5eff:fe10:1"] {
        assert_eq!(dropped(&mut ip, &udp(addr(source), OURS6, b"")), Rule::Ip6Source, "WIRE 63: {source}");
    }
}

#[test]
fn only_our_addresses_and_groups_are_destinations() {
    let mut ip = ready();
    for destination in ["192.168.69.2", "10.0.0.1", "224.0.0.2", "239.1.1.1", "0.0.0.0"] {
        assert_eq!(dropped(&mut ip, &udp(HOST, addr(destination), b"")), Rule::IpForeign, "{destination}");
    }
    for destination in ["fd69::2", "::", "ff02::2", "ff02::1:ff00:2", "ff05::1"] {
        assert_eq!(dropped(&mut ip, &udp(HOST6, addr(destination), b"")), Rule::IpForeign, "{destination}");
    }
    for (source, destination) in [(HOST, "127.0.0.1"), (HOST, "127.1.2.3"), (HOST6, "::1")] {
        assert_eq!(dropped(&mut ip, &udp(source, addr(destination), b"")), Rule::IpLoopback, "{destination}");
    }
    for destination in ["255.255.255.255", "192.168.69.255", "224.0.0.1"] {
        assert_eq!(transport(&mut ip, &udp(HOST, addr(destination), b"")).3, Cast::Group, "{destination}");
    }
    for destination in ["ff02::1", "ff01::1", "ff02::1:ff00:1", "ff02::1:ff10:1"] {
        assert_eq!(transport(&mut ip, &udp(HOST6, addr(destination), b"")).3, Cast::Group, "{destination}");
    }
}

#[test]
fn a_link_broadcast_makes_a_unicast_packet_a_group_packet() {
    let bytes = udp(HOST, OURS, b"");
    let verdict = ready().receive(Time::ZERO, &bytes, Cast::Group, &mut Packets::new());
    assert!(matches!(verdict, Ok(Verdict::Transport(Packet { cast: Cast::Group, .. }))));
}

#[test]
fn a_tentative_address_takes_no_packets_and_sends_none() {
    let mut ip = tentative();
    for (host, ours) in [(HOST, OURS), (HOST6, OURS6)] {
        assert_eq!(dropped(&mut ip, &udp(host, ours, b"")), Rule::IpTentative);
        assert_eq!(dropped(&mut ip, &packet(host, ours, 200, b"")), Rule::IpTentative);
        assert_eq!(ip.route(host), Err(Rule::IpNoRoute));
    }
    assert!(ip.addresses().count() == 3 && ip.addresses().all(|(_, usable)| !usable));
}

#[test]
fn the_owner_of_our_duplicate_address_is_a_host_like_any_other() {
    let mut ip = ready();
    let second = addr("192.168.69.7");
    ip.add_address("192.168.69.7/24".parse().unwrap());
    assert_eq!(dropped(&mut ip, &udp(second, OURS, b"")), Rule::Ip4Source);
    ip.set_address_state(second, Address::Duplicate { owner: Mac([2; 6]) });
    assert_eq!(transport(&mut ip, &udp(second, OURS, b"")).0, second);
}

#[test]
fn a_fragment_is_judged_like_any_packet_before_it_waits() {
    let mut ip = ready();
    let whole = udp(HOST, OURS, &[7; 100]);
    assert!(matches!(receive(&mut ip, &fragment(&whole, 1, 0, 8, true)).0, Ok(Verdict::Done(Rule::Ip4FragmentWaits))));
    for (source, destination, rule) in [
        ("224.0.0.1", "192.168.69.1", Rule::Ip4Source),
        ("192.168.69.1", "192.168.69.1", Rule::Ip4Source),
        ("192.168.69.100", "192.168.69.2", Rule::IpForeign),
    ] {
        let whole = udp(addr(source), addr(destination), &[7; 100]);
        assert_eq!(dropped(&mut ip, &fragment(&whole, 1, 0, 8, true)), rule);
    }
    for (source, destination, rule) in [
        ("ff02::1", "fd69::1", Rule::Ip6Source),
        ("::", "fd69::1", Rule::Ip6Source),
        ("fd69::100", "fd69::2", Rule::IpForeign),
    ] {
        let whole = udp(addr(source), addr(destination), &[7; 100]);
        assert_eq!(dropped(&mut ip, &fragment(&whole, 1, 0, 8, true)), rule);
    }
    let whole = udp(HOST, OURS, &[7; 100]);
    assert_eq!(dropped(&mut tentative(), &fragment(&whole, 1, 0, 8, true)), Rule::IpTentative);
    let datagram = udp(HOST6, OURS6, b"hi")[40..].to_vec();
    let atomic = [&[17, 0, 0, 0, 1, 2, 3, 4], &datagram[..]].concat();
    assert_eq!(transport(&mut ip, &packet(HOST6, OURS6, 44, &atomic)).4, datagram, "WIRE 59");
}

// ---- errors that we send ----

#[test]
fn an_unknown_protocol_is_answered_with_the_original_bytes() {
    let mut ip = ready();
    let bytes = packet(HOST, OURS, 200, &[0x5a; 100]);
    let (rule, answer) = answered(&mut ip, &bytes);
    assert_eq!(rule, Rule::IpUnknownProtocol, "WIRE 12");
    assert_eq!(answer[20..22], [3, 2]);
    assert_eq!(answer[24..28], [0; 4]);
    assert_eq!(answer[28..], bytes, "WIRE 21");
    assert_eq!((&answer[12..16], &answer[16..20]), (&bytes[16..20], &bytes[12..16]));
}

#[test]
fn a_long_packet_is_quoted_up_to_what_every_host_can_receive() {
    let mut ip = ready();
    let bytes = packet(HOST, OURS, 200, &[0x5a; 1400]);
    let (_, answer) = answered(&mut ip, &bytes);
    assert_eq!((answer.len(), &answer[28..]), (576, &bytes[..548]));
    let bytes = packet(HOST6, OURS6, 200, &[0x5a; 1400]);
    let (_, answer) = answered(&mut ip, &bytes);
    assert_eq!((answer.len(), &answer[48..]), (1280, &bytes[..1232]));
}

#[test]
fn an_unknown_next_header_is_answered_with_a_pointer_to_it() {
    let mut ip = ready();
    let chain = [60, 0, 1, 4, 0, 0, 0, 0, 200, 0, 1, 4, 0, 0, 0, 0, 9, 9];
    for (bytes, pointer) in [(packet(HOST6, OURS6, 200, b"x"), 6), (packet(HOST6, OURS6, 0, &chain), 48)] {
        let (rule, answer) = answered(&mut ip, &bytes);
        assert_eq!((rule, &answer[40..42]), (Rule::Ip6NextHeader, &[4, 1][..]), "WIRE 56");
        assert_eq!(answer[44..48], [0, 0, 0, pointer]);
        assert_eq!(answer[48..], bytes);
    }
    assert_eq!(dropped(&mut ip, &packet(HOST6, OURS6, 59, b"")), Rule::Ip6NoNextHeader);
}

#[test]
fn options_and_routing_headers_are_answered_as_they_demand() {
    let mut ip = ready();
    let with = |to: IpAddr, header: u8, kind: u8| {
        let datagram = udp(HOST6, OURS6, b"")[40..].to_vec();
        packet(HOST6, to, header, &[&[17, 0, kind, 4, 0, 0, 0, 0], &datagram[..]].concat())
    };
    for header in [0, 60] {
        transport(&mut ip, &with(OURS6, header, 0x1e));
        assert_eq!(dropped(&mut ip, &with(OURS6, header, 0x5e)), Rule::Ip6Extension, "WIRE 57");
        for kind in [0x9e, 0xde] {
            let (rule, answer) = answered(&mut ip, &with(OURS6, header, kind));
            assert_eq!((rule, &answer[40..42], answer[47]), (Rule::Ip6Option, &[4, 2][..], 42));
        }
        let group = addr("ff02::1");
        let (rule, answer) = answered(&mut ip, &with(group, header, 0x9e));
        assert_eq!((rule, IpAddr::from(<[u8; 16]>::try_from(&answer[8..24]).unwrap())), (Rule::Ip6Option, OURS6));
        assert_eq!(dropped(&mut ip, &with(group, header, 0xde)), Rule::IcmpErrorForbidden);
    }
    let routing =
        |left: u8| packet(HOST6, OURS6, 43, &[&[17, 0, 0, left, 0, 0, 0, 0], &[0, 1, 0, 7, 0, 8, 0, 0][..]].concat());
    let (rule, answer) = answered(&mut ip, &routing(1));
    assert_eq!((rule, &answer[40..42], answer[47]), (Rule::Ip6Routing, &[4, 0][..], 42), "WIRE 58");
    transport(&mut ip, &routing(0));
}

#[test]
fn no_error_is_sent_about_a_group_an_error_or_a_stranger() {
    let mut ip = ready();
    for destination in ["255.255.255.255", "192.168.69.255", "224.0.0.1"] {
        let bytes = packet(HOST, addr(destination), 200, b"");
        assert_eq!(dropped(&mut ip, &bytes), Rule::IcmpErrorForbidden, "WIRE 20: {destination}");
    }
    assert_eq!(dropped(&mut ip, &packet(HOST6, addr("ff02::1"), 200, b"")), Rule::IcmpErrorForbidden);
    assert_eq!(dropped(&mut ip, &packet(addr("::"), OURS6, 200, b"")), Rule::Ip6Source);
    // An ICMPv6 error and a redirect behind an option that demands an answer; an echo request gets one.
    let behind = |kind: u8| packet(HOST6, OURS6, 60, &[58, 0, 0xde, 4, 0, 0, 0, 0, kind, 0, 0, 0]);
    for kind in [1, 2, 3, 4, 127, 137] {
        assert_eq!(dropped(&mut ip, &behind(kind)), Rule::IcmpErrorForbidden);
    }
    assert_eq!(answered(&mut ip, &behind(128)).0, Rule::Ip6Option);
    let mut link_broadcast = Packets::new();
    let bytes = packet(HOST, OURS, 200, b"");
    let verdict = ip.receive(Time::ZERO, &bytes, Cast::Group, &mut link_broadcast);
    assert_eq!((verdict.err(), link_broadcast.len()), (Some(Rule::IcmpErrorForbidden), 0));
}

#[test]
fn a_port_that_nobody_has_is_answered_in_both_families() {
    let mut ip = ready();
    for (host, ours, header, kind) in [(HOST, OURS, 20, [3, 3]), (HOST6, OURS6, 40, [1, 4])] {
        let bytes = udp(host, ours, b"anybody there?");
        let (Ok(Verdict::Transport(packet)), _) = receive(&mut ip, &bytes) else { panic!() };
        let mut out = Packets::new();
        assert_eq!(ip.port_unreachable(Time::ZERO, &packet, &mut out), Rule::UdpNoSocket, "WIRE 27, 61");
        assert_eq!(out.iter().next().unwrap().fate, Fate::nobody(Rule::UdpNoSocket));
        let answer = written(&mut ip, &out).remove(0);
        assert_eq!((&answer[header..header + 2], &answer[header + 8..]), (&kind[..], &bytes[..]));
        let group = Packet { cast: Cast::Group, ..packet };
        out.clear();
        assert_eq!(ip.port_unreachable(Time::ZERO, &group, &mut out), Rule::UdpNoSocketGroup);
        assert!(out.is_empty());
    }
}

#[test]
fn errors_are_limited_and_echo_is_not() {
    let mut config = Config::default();
    config.limits.errors_per_second = 3;
    let mut ip = Ip::new(&config, 1500, 0);
    ip.set_address_state(OURS, Address::Preferred);
    let (unknown, ping) = (packet(HOST, OURS, 200, b""), icmp(HOST, OURS, 8, 0, &[0; 4]));
    for _ in 0..3 {
        assert_eq!(answered(&mut ip, &unknown).0, Rule::IpUnknownProtocol);
    }
    assert_eq!(dropped(&mut ip, &unknown), Rule::IcmpErrorLimited, "WIRE 22");
    for _ in 0..5000 {
        assert_eq!(answered(&mut ip, &ping).0, Rule::IcmpEcho);
    }
    let mut out = Packets::new();
    let later = Time::ZERO + Duration::from_secs(1);
    assert!(matches!(ip.receive(later, &unknown, Cast::Unicast, &mut out), Ok(Verdict::Done(_))));
}

// ---- anything (WIRE 64) ----

/// One of each kind that is accepted.
fn corpus() -> Vec<Vec<u8>> {
    let chain = [
        &[43, 0, 1, 4, 0, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 1, 2, 3, 4],
        &udp(HOST6, OURS6, b"data")[40..],
    ];
    vec![
        udp(HOST, OURS, b"data"),
        udp(HOST6, OURS6, b"data"),
        with_options(&[7, 7, 4, 0, 0, 0, 0, 0], b"12345678"),
        packet(HOST6, OURS6, 0, &chain.concat()),
        packet(HOST, OURS, 200, b"unknown"),
        packet(HOST6, OURS6, 200, b"unknown"),
        packet(HOST6, OURS6, 60, &[17, 0, 0xde, 4, 0, 0, 0, 0]),
        icmp(HOST, OURS, 8, 0, b"\0\x01\0\x01ping"),
        icmp(HOST6, OURS6, 128, 0, b"\0\x01\0\x01ping"),
        icmp(HOST, OURS, 3, 4, &[&[0, 0, 5, 0], &quote(OURS, HOST, 6)[..]].concat()),
        icmp(HOST6, OURS6, 2, 0, &[&[0, 0, 5, 0], &quote(OURS6, HOST6, 6)[..]].concat()),
        icmp(HOST6, OURS6, 135, 0, &[0; 20]),
    ]
}

/// Makes the checksums of a damaged packet right, so that the damage is looked at.
fn mend(bytes: &mut [u8]) {
    if bytes.len() < 20 || bytes[0] >> 4 != 4 {
        return;
    }
    let header = (usize::from(bytes[0] & 0xf) * 4).clamp(20, bytes.len());
    bytes[10..12].fill(0);
    let sum = checksum::of(&bytes[..header]).to_be_bytes();
    bytes[10..12].copy_from_slice(&sum);
    if bytes[9] == 1 && bytes.len() >= header + 4 {
        bytes[header + 2..header + 4].fill(0);
        let sum = checksum::of(&bytes[header..]).to_be_bytes();
        bytes[header + 2..header + 4].copy_from_slice(&sum);
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_is_survived() {
    let mut ip = ready();
    for bytes in corpus() {
        assert!(receive(&mut ip, &bytes).0.is_ok());
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            assert!(matches!(dropped(&mut ip, cut), Rule::Ip4Truncated | Rule::Ip6Truncated | Rule::Ip4HeaderLength));
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = receive(&mut ip, &damaged);
            mend(&mut damaged);
            let _ = receive(&mut ip, &damaged);
        }
        // The length fields agree with the truncation.
        for length in 20..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            match cut[0] >> 4 {
                4 => cut[2..4].copy_from_slice(&(length as u16).to_be_bytes()),
                _ => cut[4..6].copy_from_slice(&(length.saturating_sub(40) as u16).to_be_bytes()),
            }
            mend(&mut cut);
            let _ = receive(&mut ip, &cut);
        }
    }
}

proptest! {
    #[test]
    fn random_packets_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), shape in 0usize..4) {
        let mut ip = ready();
        let _ = receive(&mut ip, &bytes);
        // Give them a head that lets them in.
        let heads = [udp(HOST, OURS, b""), udp(HOST6, OURS6, b"")];
        if let Some(head) = heads.get(shape) {
            let fixed = if shape == 0 { 20 } else { 40 };
            if bytes.len() >= fixed {
                let protocol = bytes[if shape == 0 { 9 } else { 6 }] % 64;
                bytes[..fixed].copy_from_slice(&head[..fixed]);
                let length = bytes.len() as u16;
                if shape == 0 {
                    bytes[0] = 0x45 + protocol % 11;
                    bytes[9] = protocol;
                    bytes[2..4].copy_from_slice(&length.to_be_bytes());
                } else {
                    bytes[6] = protocol;
                    bytes[4..6].copy_from_slice(&(length - 40).to_be_bytes());
                }
                mend(&mut bytes);
            }
            let _ = receive(&mut ip, &bytes);
        }
    }

    #[test]
    fn random_chains_of_extension_headers_never_panic(
        chain in proptest::collection::vec((0usize..6, 0u8..3, any::<[u8; 6]>()), 0..12),
    ) {
        const KINDS: [u8; 6] = [0, 60, 43, 44, 58, 17];
        let first = chain.first().map_or(59, |link| KINDS[link.0]);
        let mut bytes = Vec::new();
        for (at, link) in chain.iter().enumerate() {
            bytes.push(chain.get(at + 1).map_or(59, |next| KINDS[next.0]));
            bytes.push(link.1);
            bytes.extend_from_slice(&link.2);
        }
        let _ = receive(&mut ready(), &packet(HOST6, OURS6, first, &bytes));
    }
}
