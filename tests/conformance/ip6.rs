//! IPv6 (RFC 8200, RFC 4443, RFC 4861, RFC 4862, RFC 2710, RFC 3810).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use tapsock::config::Config;

use crate::wire::*;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The group of the solicited-node address.
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// A neighbour solicitation.
fn solicitation(source: Ipv6Addr, destination: Ipv6Addr, target: Ipv6Addr, options: &[u8]) -> Packet {
    let data = [&target.octets()[..], options].concat();
    let message = icmp(source.into(), destination.into(), 135, 0, [0; 4], &data);
    Packet { source: source.into(), destination: destination.into(), hop_limit: 255, ..Packet::new(V6, ICMP6, message) }
}

/// Where the neighbour is, as a source link-layer address option.
fn here() -> Vec<u8> {
    [&[1, 1][..], &PEER_MAC].concat()
}

/// The advertisements among these.
fn advertisements(answers: &[Answer]) -> Vec<(Mac, Packet, Icmp)> {
    let all = answers.iter().filter_map(|answer| Some((answer.to, answer.ip()?.clone(), answer.icmp()?)));
    all.filter(|(_, _, icmp)| icmp.kind == 136).collect()
}

fn line_54_a_neighbour_solicitation_is_answered(wire: &mut dyn Wire) {
    let link_local: Ipv6Addr = "fe80::5eff:fe10:1".parse().unwrap();
    for target in [OUR_V6, link_local] {
        for destination in [solicited_node(target), target] {
            let answers = wire.ask(&solicitation(PEER_V6, destination, target, &here()).frame());
            let found = advertisements(&answers);
            assert_eq!(found.len(), 1, "{target} by {destination}: {answers:?}");
            let (to, packet, message) = &found[0];
            assert_eq!((*to, packet.hop_limit), (PEER_MAC, 255));
            assert_eq!((message.source, message.destination), (target.into(), PEER_V6.into()));
            // Solicited, and the target's Ethernet address.
            assert_eq!(message.rest[0] & 0xc0, 0x40);
            assert_eq!(message.data[..16], target.octets());
            assert_eq!(message.data[16..], [&[2, 1][..], &OUR_MAC].concat());
        }
    }
}

fn line_54_an_invalid_solicitation_is_ignored(wire: &mut dyn Wire) {
    let good = || solicitation(PEER_V6, solicited_node(OUR_V6), OUR_V6, &here());
    for hop_limit in [0, 1, 64, 254] {
        assert!(wire.ask(&Packet { hop_limit, ..good() }.frame()).is_empty(), "hop limit {hop_limit}");
    }
    for byte in 0..good().payload.len() {
        let mut packet = good();
        packet.payload[byte] ^= 1;
        assert!(wire.ask(&packet.frame()).is_empty(), "byte {byte} and with it the checksum is wrong");
    }
    let reject = |wire: &mut dyn Wire, packet: Packet, what: &str| {
        let answers = wire.ask(&packet.frame());
        assert!(answers.is_empty(), "{what}: {answers:?}");
    };
    // RFC 4861 §7.1.1: the code, the length, the target, the options.
    let mut wrong_code = good();
    wrong_code.payload = icmp(PEER_V6.into(), solicited_node(OUR_V6).into(), 135, 1, [0; 4], &wrong_code.payload[8..]);
    reject(wire, wrong_code, "code 1");
    let short = icmp(PEER_V6.into(), OUR_V6.into(), 135, 0, [0; 4], &OUR_V6.octets()[..15]);
    reject(wire, Packet { hop_limit: 255, ..Packet::new(V6, ICMP6, short) }, "23 bytes");
    reject(wire, solicitation(PEER_V6, OUR_V6, solicited_node(OUR_V6), &here()), "a multicast target");
    reject(wire, solicitation(PEER_V6, OUR_V6, OUR_V6, &[1, 0, 0, 0, 0, 0, 0, 0]), "an option of length 0");
    // From ::, the option must not be there and the destination must be the group.
    let unspecified = Ipv6Addr::UNSPECIFIED;
    reject(wire, solicitation(unspecified, solicited_node(OUR_V6), OUR_V6, &here()), ":: with an option");
    reject(wire, solicitation(unspecified, OUR_V6, OUR_V6, &[]), ":: by unicast");
    // What is not ours.
    for other in ["fd69::2", "fd69::77", "fe80::1", "::1", "::"] {
        let other: Ipv6Addr = other.parse().unwrap();
        reject(wire, solicitation(PEER_V6, solicited_node(other), other, &here()), "another target");
        reject(wire, solicitation(PEER_V6, OUR_V6, other, &here()), "another target");
        reject(wire, solicitation(PEER_V6, ALL_NODES, other, &here()), "another target");
    }
    assert_eq!(advertisements(&wire.ask(&good().frame())).len(), 1);
}

fn line_54_a_dad_solicitation_is_answered_to_all_nodes(wire: &mut dyn Wire) {
    let answers = wire.ask(&solicitation(Ipv6Addr::UNSPECIFIED, solicited_node(OUR_V6), OUR_V6, &[]).frame());
    let found = advertisements(&answers);
    assert_eq!(found.len(), 1, "{answers:?}");
    let (to, packet, message) = &found[0];
    assert_eq!(*to, group_mac(ALL_NODES.into()));
    assert_eq!((packet.hop_limit, message.destination), (255, ALL_NODES.into()));
    // Not solicited, and overriding (RFC 4861 §7.2.4).
    assert_eq!(message.rest[0] & 0x60, 0x20);
    assert_eq!(message.data[..16], OUR_V6.octets());
    assert_eq!(message.data[16..], [&[2, 1][..], &OUR_MAC].concat());
}

/// The other side of it: what the stack does before it takes an address (RFC 4862 §5.4).
fn line_54_the_stack_asks_before_it_takes_an_address(_: &mut Pair) {
    let mut pair = Pair::bare(Config::default(), 3);
    let answers = pair.wait(Duration::from_millis(1));
    let asked: Vec<(Packet, Icmp)> = answers
        .iter()
        .filter_map(|answer| Some((answer.ip()?.clone(), answer.icmp()?)))
        .filter(|(_, icmp)| icmp.kind == 135)
        .collect();
    let about = asked.iter().find(|(_, icmp)| icmp.data[..16] == OUR_V6.octets());
    let (packet, message) = about.expect("a solicitation for our own address");
    assert_eq!((packet.source, packet.destination), (Ipv6Addr::UNSPECIFIED.into(), solicited_node(OUR_V6).into()));
    assert_eq!((packet.hop_limit, message.data.len()), (255, 16), "no option from ::");
    // Nothing is answered until it is ours.
    assert!(pair.ask(&ping(V6, 1, b"too early").frame()).is_empty());
    assert!(
        advertisements(&pair.ask(&solicitation(PEER_V6, solicited_node(OUR_V6), OUR_V6, &here()).frame())).is_empty()
    );
    pair.wait(Duration::from_secs(10));
    assert!(pair.pings(&ping(V6, 2, b"now")));
    // And never if somebody has it.
    let mut pair = Pair::bare(Config::default(), 4);
    pair.wait(Duration::from_millis(1));
    let data = [&OUR_V6.octets()[..], &[2, 1], &PEER_MAC].concat();
    let advertisement = icmp(OUR_V6.into(), ALL_NODES.into(), 136, 0, [0x20, 0, 0, 0], &data);
    let taken = Packet {
        source: OUR_V6.into(),
        destination: ALL_NODES.into(),
        hop_limit: 255,
        ..Packet::new(V6, ICMP6, advertisement)
    };
    pair.send(&taken.frame());
    pair.wait(Duration::from_secs(10));
    assert!(pair.ask(&ping(V6, 3, b"nobody").frame()).is_empty());
}

fn line_55_echo_of_a_group_is_answered_from_our_own_address(wire: &mut dyn Wire) {
    for group in [ALL_NODES, solicited_node(OUR_V6)] {
        for size in [0, 1, 56, 1001, 1452] {
            let answers = wire.ask(&ping_between(PEER_V6.into(), group.into(), &pattern(size)).frame());
            assert_eq!(answers.len(), 1, "{group}: {answers:?}");
            let reply = answers[0].icmp().unwrap();
            assert!(reply.is_echo_reply());
            assert_eq!(reply.destination, IpAddr::from(PEER_V6));
            assert_eq!(reply.source, IpAddr::from(OUR_V6), "not the group");
            assert_eq!(reply.data, pattern(size));
        }
    }
    // Groups that nobody here has joined.
    let other: Ipv6Addr = "ff02::1234".parse().unwrap();
    assert!(wire.ask(&ping_between(PEER_V6.into(), other.into(), b"x").frame()).is_empty());
    for size in [0, 1, 2, 3, 55, 1231, 1232, 1233, 1451, 1452] {
        assert!(wire.pings(&ping(V6, 1, &pattern(size))), "{size} bytes");
    }
}

/// The one Parameter Problem that this packet is answered with: its code and pointer.
fn parameter_problem(wire: &mut dyn Wire, packet: &Packet) -> Option<(u8, u32)> {
    let answers = wire.ask(&packet.frame());
    assert!(answers.len() <= 1, "{answers:?}");
    let message = answers.first()?.icmp()?;
    assert_eq!(message.kind, 4, "{message:?}");
    assert_eq!((message.source, message.destination), (OUR_V6.into(), PEER_V6.into()));
    assert_eq!(message.data, packet.bytes()[..message.data.len()], "the quote");
    Some((message.code, message.pointer()))
}

/// An extension header of 8 bytes with these six behind its length.
fn extension(next: u8, body: [u8; 6]) -> Vec<u8> {
    [&[next, 0][..], &body].concat()
}

const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];

/// A ping behind extension headers, the first of which is of this kind.
fn behind(first: u8, headers: &[u8]) -> Packet {
    let ping = ping(V6, 5, b"behind headers");
    Packet { protocol: first, payload: [headers, &ping.payload].concat(), ..ping }
}

/// Whether it is answered like a ping.
fn is_echoed(wire: &mut dyn Wire, packet: &Packet) -> bool {
    let answers = wire.ask(&packet.frame());
    answers.len() == 1 && answers[0].icmp().is_some_and(|icmp| icmp.is_echo_reply() && icmp.data == b"behind headers")
}

fn line_56_an_unknown_next_header_is_a_parameter_problem(wire: &mut dyn Wire) {
    for protocol in [2, 4, 41, 47, 61, 89, 132, 150, 253, 255] {
        let packet = Packet::new(V6, protocol, pattern(40));
        assert_eq!(parameter_problem(wire, &packet), Some((1, 6)), "{protocol}");
    }
    // Behind others, the pointer goes to the field that names it.
    let packet = behind(60, &extension(253, PADDING));
    assert_eq!(parameter_problem(wire, &packet), Some((1, 40)));
    let packet = behind(0, &[extension(60, PADDING), extension(253, PADDING)].concat());
    assert_eq!(parameter_problem(wire, &packet), Some((1, 48)));
    // A hop-by-hop header anywhere but at the front (RFC 8200 §4).
    let packet = behind(60, &[extension(0, PADDING), extension(58, PADDING)].concat());
    assert_eq!(parameter_problem(wire, &packet), Some((1, 40)));
    // No next header: nothing is there, and that is no mistake.
    assert!(wire.ask(&Packet::new(V6, 59, pattern(8)).frame()).is_empty());
    assert!(is_echoed(wire, &behind(0, &[extension(60, PADDING), extension(58, PADDING)].concat())));
}

fn line_57_options_are_treated_as_their_first_bits_say(wire: &mut dyn Wire) {
    for header in [0, 60] {
        let with = |option: u8| behind(header, &extension(58, [option, 4, 0, 0, 0, 0]));
        // 00: skipped.
        for option in [1, 0x05, 0x1e, 0x3e] {
            assert!(is_echoed(wire, &with(option)), "header {header}, option {option:02x}");
        }
        // Pad1.
        assert!(is_echoed(wire, &behind(header, &extension(58, [0; 6]))));
        // 01: dropped.
        for option in [0x40, 0x5e, 0x7e] {
            assert!(wire.ask(&with(option).frame()).is_empty(), "header {header}, option {option:02x}");
        }
        // 10 and 11: told, with the place of the option.
        for option in [0x80, 0x9e, 0xbe, 0xc0, 0xde, 0xfe] {
            assert_eq!(parameter_problem(wire, &with(option)), Some((2, 42)), "header {header}, option {option:02x}");
        }
        let second = behind(header, &extension(58, [1, 0, 0x9e, 2, 0, 0]));
        assert_eq!(parameter_problem(wire, &second), Some((2, 44)));
        // To a group, 10 is told and 11 is not.
        let to_group = |option: u8| Packet { destination: ALL_NODES.into(), ..with(option) };
        let answers = wire.ask(&to_group(0x9e).frame());
        let told = answers.first().and_then(Answer::icmp).expect("an error even to a group");
        assert_eq!((told.kind, told.code, told.pointer()), (4, 2, 42));
        assert!(wire.ask(&to_group(0xde).frame()).is_empty());
        // One that runs past its header.
        assert!(!is_echoed(wire, &behind(header, &extension(58, [0x1e, 200, 0, 0, 0, 0]))));
        assert!(!is_echoed(wire, &behind(header, &extension(58, [0, 0, 0, 0, 0, 0x1e]))));
    }
    // In the second header the place is counted from the beginning of the packet.
    let packet = behind(0, &[extension(60, PADDING), extension(58, [0x9e, 4, 0, 0, 0, 0])].concat());
    assert_eq!(parameter_problem(wire, &packet), Some((2, 50)));
    wire.is_well();
}

fn line_58_a_routing_header_is_rejected(wire: &mut dyn Wire) {
    for kind in [0, 1, 77, 255] {
        // Somewhere else to go: RFC 5095 §3, as an unknown type (RFC 8200 §4.4).
        let there = "fd69::99".parse::<Ipv6Addr>().unwrap().octets();
        let header = [&[58, 2, kind, 1, 0, 0, 0, 0][..], &there].concat();
        assert_eq!(parameter_problem(wire, &behind(43, &header)), Some((0, 42)), "type {kind}");
        // Nowhere: the header is passed over.
        let header = [&[58, 2, kind, 0, 0, 0, 0, 0][..], &there].concat();
        assert!(is_echoed(wire, &behind(43, &header)), "type {kind}");
    }
    let header = [extension(43, PADDING), vec![58, 0, 0, 3, 0, 0, 0, 0]].concat();
    assert_eq!(parameter_problem(wire, &behind(60, &header)), Some((0, 50)));
}

/// A ping cut into pieces of 48 bytes.
fn pieces(id: u32) -> (Packet, Vec<Packet>) {
    let whole = Packet { id, ..ping(V6, 9, &pattern(136)) };
    let pieces = whole.fragments(48);
    assert_eq!(pieces.len(), 3);
    (whole, pieces)
}

/// How many answers these fragments get, which must be right.
fn echoes(wire: &mut dyn Wire, whole: &Packet, fragments: &[Packet]) -> usize {
    let mut count = 0;
    for fragment in fragments {
        for answer in wire.ask(&fragment.frame()) {
            let icmp = answer.icmp().unwrap();
            assert!(icmp.is_echo_reply(), "{icmp:?}");
            assert_eq!(icmp.data, whole.payload[8..]);
            count += 1;
        }
    }
    count
}

fn line_59_an_overlap_drops_the_datagram(wire: &mut dyn Wire) {
    // RFC 5722: nothing of it is delivered, whether the bytes agree or not, and whatever comes first.
    for order in 0..3 {
        let (whole, parts) = pieces(1 + order);
        let overlap = Packet { offset: 40, payload: whole.payload[40..56].to_vec(), ..parts[1].clone() };
        let order = match order {
            0 => [&parts[0], &overlap, &parts[1], &parts[2]],
            1 => [&overlap, &parts[0], &parts[1], &parts[2]],
            _ => [&parts[2], &parts[1], &overlap, &parts[0]],
        };
        assert_eq!(echoes(wire, &whole, &order.map(Clone::clone)), 0, "{order:?}");
    }
    // Another datagram gets through.
    let (whole, parts) = pieces(9);
    assert_eq!(echoes(wire, &whole, &parts), 1);
}

fn line_59_an_atomic_fragment_is_a_whole_packet(wire: &mut dyn Wire) {
    // RFC 6946: also while others with its identification wait.
    let (whole, parts) = pieces(77);
    wire.ask(&parts[0].frame());
    assert!(is_echoed(wire, &behind(44, &fragment_header(58, 77, 0, false))));
    assert!(is_echoed(wire, &behind(44, &fragment_header(58, 77, 0, false))));
    assert_eq!(echoes(wire, &whole, &parts[1..]), 1);
    // Behind other headers, and with the reserved bits set, which are ignored.
    let mut header = fragment_header(58, 78, 0, false);
    (header[1], header[3]) = (0xff, 0x06);
    assert!(is_echoed(wire, &behind(44, &header)));
    assert!(is_echoed(wire, &behind(0, &[extension(44, PADDING), fragment_header(58, 79, 0, false)].concat())));
}

fn line_59_an_unaligned_fragment_is_a_parameter_problem(wire: &mut dyn Wire) {
    for length in [1, 7, 9, 47] {
        let (_, parts) = pieces(80 + length);
        let packet = Packet { payload: parts[0].payload[..length as usize].to_vec(), ..parts[0].clone() };
        // The pointer goes to the payload length of the IPv6 header.
        assert_eq!(parameter_problem(wire, &packet), Some((0, 4)), "{length} bytes");
    }
    // One that ends beyond what a packet can be: to the fragment's offset.
    let (_, parts) = pieces(90);
    let beyond = Packet { offset: 65_528, more: false, payload: vec![0; 48], ..parts[0].clone() };
    assert_eq!(parameter_problem(wire, &beyond), Some((0, 42)));
    wire.is_well();
}

fn line_59_fragments_in_any_order(wire: &mut dyn Wire) {
    for (id, order) in (100..).zip([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
        let (whole, parts) = pieces(id);
        assert_eq!(echoes(wire, &whole, &order.map(|i: usize| parts[i].clone())), 1, "{order:?}");
    }
}

fn line_60_a_zero_udp_checksum_is_dropped(wire: &mut dyn Wire) {
    for port in [ECHO, CLOSED] {
        let mut packet = Datagram::new(V6, port, b"unsummed").packet();
        packet.payload[6..8].fill(0);
        let answers = wire.ask(&packet.frame());
        assert!(answers.is_empty(), "{answers:?}");
        let later = wire.wait(Duration::from_millis(50));
        assert!(later.is_empty(), "{later:?}");
    }
}

fn line_61_no_error_to_a_group_or_about_an_error(wire: &mut dyn Wire) {
    let closed = Datagram::new(V6, CLOSED, b"x");
    let answers = wire.ask(&closed.packet().frame());
    let icmp = answers[0].icmp().unwrap();
    assert_eq!((icmp.kind, icmp.code, icmp.source), (1, 4, OUR_V6.into()));
    for group in [ALL_NODES, solicited_node(OUR_V6)] {
        let datagram = Datagram { to: (group, CLOSED).into(), ..closed.clone() };
        assert!(wire.ask(&datagram.packet().frame()).is_empty(), "{group}");
        let unknown = Packet { destination: group.into(), ..Packet::new(V6, 253, pattern(8)) };
        assert!(wire.ask(&unknown.frame()).is_empty(), "{group}");
    }
    assert!(wire.ask(&closed.packet().frame_to([0x33, 0x33, 0, 0, 0, 1])).is_empty(), "a frame to many");
    // From nobody in particular.
    let unspecified = Datagram { from: (Ipv6Addr::UNSPECIFIED, 4000).into(), ..closed.clone() };
    assert!(wire.ask(&unspecified.packet().frame()).is_empty());
    // About errors, of known and unknown kinds, also where an option demands an answer.
    let quote = Datagram { from: closed.to, to: closed.from, ..closed.clone() }.packet().bytes();
    for kind in [1, 2, 3, 4, 100, 127] {
        let error = icmp_packet(V6, kind, 0, [0, 0, 5, 0], &quote);
        assert!(wire.ask(&error.frame()).is_empty(), "{kind}");
        let with_option = Packet {
            protocol: 60,
            payload: [&extension(58, [0x9e, 4, 0, 0, 0, 0])[..], &error.payload].concat(),
            ..error
        };
        let answers = wire.ask(&with_option.frame());
        assert!(answers.is_empty(), "{kind}: {answers:?}");
    }
}

/// An MLD query: with 24 bytes of version 1, with 28 of version 2.
fn query(group: Ipv6Addr, delay: u16, version: u8) -> Packet {
    let [a, b] = delay.to_be_bytes();
    let more: &[u8] = if version == 2 { &[2, 125, 0, 0] } else { &[] };
    let data = [&group.octets()[..], more].concat();
    let source: Ipv6Addr = "fe80::77".parse().unwrap();
    let destination = if group.is_unspecified() { ALL_NODES } else { group };
    let message = icmp(source.into(), destination.into(), 130, 0, [a, b, 0, 0], &data);
    // A router alert in a hop-by-hop header.
    let payload = [&extension(58, [5, 2, 0, 0, 1, 0])[..], &message].concat();
    Packet { source: source.into(), destination: destination.into(), hop_limit: 1, ..Packet::new(V6, 0, payload) }
}

/// The groups of a report of either version.
fn reported(answer: &Answer) -> Vec<Ipv6Addr> {
    let Some(icmp) = answer.icmp() else { return vec![] };
    let address = |bytes: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..16]).unwrap());
    match icmp.kind {
        131 => vec![address(&icmp.data)],
        143 => {
            let (mut groups, mut rest) = (Vec::new(), icmp.data.as_slice());
            while rest.len() >= 20 {
                groups.push(address(&rest[4..]));
                let sources = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
                rest = &rest[20 + sources * 16 + usize::from(rest[1]) * 4..];
            }
            groups
        }
        _ => vec![],
    }
}

fn line_62_an_mld_query_is_answered(wire: &mut dyn Wire) {
    let ours = solicited_node(OUR_V6);
    for version in [2, 1] {
        for asked in [Ipv6Addr::UNSPECIFIED, ours] {
            wire.wait(Duration::from_millis(10));
            wire.send(&query(asked, 500, version).frame());
            let answers = wire.until("report", &mut |answer| reported(answer).contains(&ours));
            let report = answers.iter().find(|answer| reported(answer).contains(&ours)).unwrap();
            let packet = report.ip().unwrap();
            assert_eq!(packet.hop_limit, 1);
            // From our link-local address (RFC 3810 §5.2.13), with a router alert.
            let IpAddr::V6(source) = packet.source else { panic!("{packet:?}") };
            assert!(source.is_unicast_link_local(), "{source}");
            assert_eq!(packet.options[2..6], [5, 2, 0, 0], "a router alert");
            let kind = report.icmp().unwrap().kind;
            let all_routers: Ipv6Addr = "ff02::16".parse().unwrap();
            match version {
                2 => assert_eq!((kind, packet.destination), (143, all_routers.into())),
                _ => assert_eq!((kind, packet.destination), (131, ours.into())),
            }
            assert!(!reported(report).contains(&ALL_NODES), "all nodes is never reported");
        }
    }
}

fn line_63_a_multicast_source_is_dropped(wire: &mut dyn Wire) {
    for source in ["ff02::1", "ff02::77", "ff0e::1", "::1", "fd69::1"] {
        let source: Ipv6Addr = source.parse().unwrap();
        assert!(wire.ask(&ping_between(source.into(), OUR_V6.into(), b"x").frame()).is_empty(), "{source}");
        for port in [ECHO, CLOSED] {
            let datagram = Datagram { from: (source, 4000).into(), ..Datagram::new(V6, port, b"x") };
            assert!(wire.ask(&datagram.packet().frame()).is_empty(), "{source}");
            let syn = Segment { from: (source, 4000).into(), ..Segment::new(V6, 4000, port, SYN, 1, 0) };
            assert!(wire.ask(&syn.frame()).is_empty(), "{source}");
        }
        let unknown = Packet { source: source.into(), ..Packet::new(V6, 253, pattern(8)) };
        assert!(wire.ask(&unknown.frame()).is_empty(), "{source}");
    }
    wire.is_well();
}

lines! {
    both {
        line_54_a_neighbour_solicitation_is_answered
        line_54_a_dad_solicitation_is_answered_to_all_nodes
        line_57_options_are_treated_as_their_first_bits_say
        line_58_a_routing_header_is_rejected
        line_59_an_overlap_drops_the_datagram
        line_60_a_zero_udp_checksum_is_dropped
        line_62_an_mld_query_is_answered
    }
    embedded {}
    pair {
        line_54_an_invalid_solicitation_is_ignored
        line_54_the_stack_asks_before_it_takes_an_address
        line_55_echo_of_a_group_is_answered_from_our_own_address
        line_56_an_unknown_next_header_is_a_parameter_problem
        line_59_an_atomic_fragment_is_a_whole_packet
        line_59_an_unaligned_fragment_is_a_parameter_problem
        line_59_fragments_in_any_order
        line_61_no_error_to_a_group_or_about_an_error
        line_63_a_multicast_source_is_dropped
    }
}
