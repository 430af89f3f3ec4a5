//! Packets and segments that a whole stack refuses, each beside one like it that arrives.

use std::net::IpAddr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{Ipv4Packet, TcpControl, TcpPacket, TcpRepr};

use super::echo::open_a;
use super::fragments::{icmp_error, inject, inject_frame, packets};
use super::wire::segment;
use super::*;
use crate::ip::fixture::{HOST, HOST6, OURS, OURS6, addr, fragment, icmp, packet, repair, udp, with_options};
use crate::observe::Rule;
use crate::socket::{Domain, Kind, Protocol};

const SECOND: Duration = Duration::from_secs(1);
const TIMESTAMP_REQUEST: u8 = 13;

/// A with a socket at the port that `udp` sends to.
fn listening(wildcard: &str) -> (Net, DatagramSocket) {
    listening_with(config_a(), wildcard)
}

fn listening_with(config: Config, wildcard: &str) -> (Net, DatagramSocket) {
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let socket = net.bind_a(at(wildcard, 7));
    (net, socket)
}

fn limited(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = config_a();
    change(&mut config.limits);
    config
}

fn received(socket: &DatagramSocket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    let (count, ..) = socket.pipe.try_receive(&mut buffer).ok()?;
    Some(buffer[..count].to_vec())
}

/// The ICMPv6 messages that A has sent: type, code, pointer.
fn answers6(net: &mut Net) -> Vec<(u8, u8, u8)> {
    net.settle();
    packets(&net.a, Direction::Out).iter().map(|(packet, _)| (packet[40], packet[41], packet[47])).collect()
}

#[test]
fn an_ipv6_packet_that_is_cut_off_is_dropped() {
    let (mut net, socket) = listening("::");
    let whole = udp(HOST6, OURS6, b"whole");
    assert_eq!(inject(&mut net, &whole[..whole.len() - 1]).rule, Some(Rule::Ip6Truncated));
    assert_eq!(received(&socket), None);
    assert_eq!(inject(&mut net, &whole).rule, None);
    assert_eq!(received(&socket), Some(b"whole".to_vec()));
}

/// RFC 1122 §3.2.1.1. Each is a valid packet, in the other's frame.
#[test]
fn a_packet_of_another_version_than_its_frame_says_is_dropped() {
    let framed = |kind, packet: &[u8]| [&config_a().mac.0[..], &config_b().mac.0, kind, packet].concat();
    let (four, six) = (udp(HOST, OURS, b"four"), udp(HOST6, OURS6, b"six"));
    for (wildcard, packet, right, wrong, rule) in [
        ("0.0.0.0", &four, &[8, 0], &[0x86, 0xdd], Rule::Ip6Version),
        ("::", &six, &[0x86, 0xdd], &[8, 0], Rule::Ip4Version),
    ] {
        let (mut net, socket) = listening(wildcard);
        assert_eq!(inject_frame(&mut net, &framed(wrong, packet)).rule, Some(rule));
        assert_eq!(received(&socket), None);
        assert_eq!(inject_frame(&mut net, &framed(right, packet)).rule, None);
        assert!(received(&socket).is_some());
    }
}

/// RFC 1122 §3.3.5: a host need not forward, and this one does not; a route that is used up ends here.
#[test]
fn a_source_route_that_goes_on_is_not_followed() {
    let (mut net, socket) = listening("0.0.0.0");
    let datagram = udp(HOST, OURS, b"routed").split_off(20);
    let routed = |pointer| with_options(&[131, 7, pointer, 10, 0, 0, 9, 0], &datagram);
    let before = net.a.seen.frames.len();
    assert_eq!(inject(&mut net, &routed(4)).rule, Some(Rule::Ip4SourceRoute));
    assert_eq!((received(&socket), net.a.seen.frames.len()), (None, before + 1));
    assert_eq!(inject(&mut net, &routed(8)).rule, None);
    assert_eq!(received(&socket), Some(b"routed".to_vec()));
}

#[test]
fn a_fragment_that_contradicts_another_takes_the_whole_datagram_with_it() {
    let (mut net, socket) = listening("0.0.0.0");
    let whole = udp(HOST, OURS, &[1; 24]);
    let [first, last] = [fragment(&whole, 9, 0, 16, true), fragment(&whole, 9, 16, 32, false)];
    let mut forged = first.clone();
    forged[35] ^= 1;
    for (part, rule) in [
        (&first, Some(Rule::Ip4FragmentWaits)),
        (&forged, Some(Rule::Ip4FragmentConflict)),
        (&last, Some(Rule::Ip4FragmentWaits)),
    ] {
        assert_eq!(inject(&mut net, part).rule, rule);
    }
    assert_eq!(received(&socket), None);
    assert_eq!(inject(&mut net, &first).rule, None, "with the last one, it is whole again");
    assert_eq!(received(&socket), Some(vec![1; 24]));
}

#[test]
fn a_fragment_beyond_the_end_of_any_datagram_is_dropped_and_of_ipv6_answered() {
    let mut net = Net::new();
    let mut four = packet(HOST, OURS, 17, &[0; 1000]);
    Ipv4Packet::new_unchecked(&mut four[..]).set_frag_offset(65_528);
    repair(&mut four);
    assert_eq!(inject(&mut net, &four).rule, Some(Rule::Ip4FragmentTooLarge));
    let six = packet(HOST6, OURS6, 44, &[&[17, 0, 0xff, 0xf8, 0, 0, 0, 9][..], &[0; 1000]].concat());
    assert_eq!(inject(&mut net, &six).rule, Some(Rule::Ip6FragmentTooLarge));
    // Erroneous header field, and where: the fragment's offset.
    assert_eq!(answers6(&mut net), [(4, 0, 42)]);
}

/// RFC 7112 §5: nobody on the way could tell what it is.
#[test]
fn a_first_fragment_without_all_its_headers_is_answered() {
    let mut net = Net::new();
    // 16 bytes of destination options, of which 8 are here.
    let cut = [&[60, 0, 0, 1, 0, 0, 0, 9][..], &[17, 1, 1, 4, 0, 0, 0, 0]].concat();
    assert_eq!(inject(&mut net, &packet(HOST6, OURS6, 44, &cut)).rule, Some(Rule::Ip6FragmentHeaders));
    assert_eq!(answers6(&mut net), [(4, 3, 0)]);
}

#[test]
fn while_it_is_asked_who_has_our_address_nothing_is_taken_for_it() {
    let mut net = Net::with(FaultConfig::default(), Config { probe: SECOND, ..config_a() }, config_b());
    for (ping, own) in [(icmp(HOST, OURS, 8, 0, &[0; 8]), A), (icmp(HOST6, OURS6, 128, 0, &[0; 8]), A6)] {
        assert_eq!(inject(&mut net, &ping).rule, Some(Rule::IpTentative), "{own}");
    }
    assert_eq!(packets(&net.a, Direction::Out), []);
    net.run(2 * SECOND);
    for ping in [icmp(HOST, OURS, 8, 0, &[0; 8]), icmp(HOST6, OURS6, 128, 0, &[0; 8])] {
        assert_eq!(inject(&mut net, &ping).rule, Some(Rule::IcmpEcho));
    }
}

/// Nobody cuts what a program made with its header (`raw(7)`): what its way does not carry is dropped.
#[test]
fn a_packet_with_its_own_header_that_its_way_does_not_carry_is_dropped() {
    let mut net = Net::new();
    let a = net.bind_a(at("0.0.0.0", 0));
    let raw = open_a(&mut net, Domain::Inet, Kind::Raw(Protocol::RAW));
    let own = packet(OURS, HOST, Protocol::TESTING.number(), &[7; 1200]);
    let send = |net: &mut Net| {
        net.a.seen.frames.clear();
        raw.pipe.try_send(&own, at(B, 0), None).unwrap();
        net.settle();
        packets(&net.a, Direction::Out).len()
    };
    assert_eq!(send(&mut net), 1);
    net.a.seen.frames.clear();
    a.pipe.try_send(&[7; 1400], at(B, 9), None).unwrap();
    net.a.round(net.now);
    let about = packets(&net.a, Direction::Out).pop().unwrap().0;
    assert_eq!(inject(&mut net, &icmp_error(3, 4, 1000, &about)).rule, Some(Rule::IcmpErrorDelivered));
    assert_eq!((send(&mut net), net.a.stack.counters().of(Rule::IpTooLarge)), (0, 1));
}

/// First fragments of datagrams whose rest never comes.
fn begin(net: &mut Net, source: IpAddr, ids: std::ops::Range<u32>) {
    let whole = udp(source, OURS, &[7; 1400]);
    for id in ids {
        assert_eq!(inject(net, &fragment(&whole, id, 0, 1000, true)).rule, Some(Rule::Ip4FragmentWaits));
    }
}

fn end(net: &mut Net, source: IpAddr, id: u32) -> Option<Rule> {
    let whole = udp(source, OURS, &[7; 1400]);
    inject(net, &fragment(&whole, id, 1000, whole.len() - 20, false)).rule
}

#[test]
fn a_source_that_begins_many_datagrams_pushes_out_its_own() {
    let (mut net, socket) = listening_with(limited(|limits| limits.reassembly_bytes_per_source = 8192), "0.0.0.0");
    let other = addr("192.168.69.101");
    begin(&mut net, other, 1..2);
    begin(&mut net, HOST, 1..51);
    let given_up = net.a.stack.counters().of(Rule::IpReassemblyShare);
    assert!(given_up >= 42, "{given_up}");
    assert_eq!((end(&mut net, other, 1), received(&socket)), (None, Some(vec![7; 1400])));
    assert_eq!(end(&mut net, HOST, 1), Some(Rule::Ip4FragmentWaits), "its beginning is gone");
    assert_eq!(net.a.stack.counters().of(Rule::IpReassemblyFull), 0);
}

#[test]
fn when_the_memory_for_fragments_is_full_the_oldest_makes_room() {
    let (mut net, socket) = listening_with(limited(|limits| limits.reassembly_bytes = 8192), "0.0.0.0");
    let hosts: Vec<IpAddr> = (101..151).map(|last| addr(&format!("192.168.69.{last}"))).collect();
    for &host in &hosts {
        begin(&mut net, host, 1..2);
    }
    let given_up = net.a.stack.counters().of(Rule::IpReassemblyFull);
    assert!((42..50).contains(&given_up), "{given_up}");
    assert_eq!((end(&mut net, hosts[49], 1), received(&socket)), (None, Some(vec![7; 1400])), "the newest is here");
    assert_eq!(end(&mut net, hosts[0], 1), Some(Rule::Ip4FragmentWaits), "the oldest is gone");
}

#[test]
fn a_timestamp_request_is_ignored() {
    let mut net = Net::new();
    let before = net.a.seen.frames.len();
    assert_eq!(inject(&mut net, &icmp(HOST, OURS, TIMESTAMP_REQUEST, 0, &[0; 16])).rule, Some(Rule::IcmpType));
    assert_eq!(net.a.seen.frames.len(), before + 1);
}

#[test]
fn a_packet_to_everybody_that_nobody_understands_is_not_answered_by_each_of_them() {
    let mut net = Net::new();
    let to = |destination| packet(HOST, destination, 222, b"what is it?");
    let before = net.a.seen.frames.len();
    assert_eq!(inject(&mut net, &to(addr("192.168.69.255"))).rule, Some(Rule::IcmpErrorForbidden));
    assert_eq!(net.a.seen.frames.len(), before + 1);
    assert_eq!(inject(&mut net, &to(OURS)).rule, Some(Rule::IpUnknownProtocol));
}

/// A segment with more flags, its checksum valid.
fn tcp(from: IpAddr, to: IpAddr, repr: &TcpRepr<'_>, flags: u8) -> Vec<u8> {
    let mut bytes = vec![0; repr.buffer_len()];
    let (from, to) = (from.into(), to.into());
    repr.emit(&mut TcpPacket::new_unchecked(&mut bytes), &from, &to, &ChecksumCapabilities::default());
    bytes[13] |= flags;
    TcpPacket::new_unchecked(&mut bytes).fill_checksum(&from, &to);
    bytes
}

/// A SYN to port 80 with more flags.
fn syn(destination: IpAddr, flags: u8) -> Vec<u8> {
    packet(HOST, destination, 6, &tcp(HOST, destination, &segment(TcpControl::Syn, 1000, None), flags))
}

#[test]
fn a_listener_hears_no_syn_to_a_group_and_none_with_flags_that_make_no_sense() {
    const FIN: u8 = 1;
    const RST: u8 = 4;
    let mut net = Net::new();
    let _listener = net.listen_a(at("0.0.0.0", 80), 16);
    let before = net.a.seen.frames.len();
    for group in ["192.168.69.255", "255.255.255.255", "224.0.0.1"] {
        assert_eq!(inject(&mut net, &syn(addr(group), 0)).rule, Some(Rule::TcpGroup), "{group}");
    }
    for flags in [FIN, RST, FIN | RST] {
        assert_eq!(inject(&mut net, &syn(OURS, flags)).rule, Some(Rule::TcpFlags));
    }
    assert_eq!(net.a.seen.frames.len(), before + 6, "nothing is answered");
    inject(&mut net, &syn(OURS, 0));
    // B says where it is.
    net.settle();
    assert_eq!(net.a.stack.counters().sent_by(Rule::TcpSynAck), 1);
}

/// By the link no packet from an address of ours comes in; a program with a raw socket can write one.
#[test]
fn a_segment_for_two_programs_that_are_joined_changes_nothing_and_says_whose_it_would_be() {
    let mut net = Net::new();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let Ok(Outcome::Stream(client)) = net.call_a(Verb::OpenStream { local: None, remote: at(A, 80) }) else { panic!() };
    let server = listener.queue.try_accept().unwrap();
    let reset = TcpRepr { src_port: client.local.port(), ..segment(TcpControl::Rst, 1, None) };
    let raw = open_a(&mut net, Domain::Inet, Kind::Raw(Protocol::TCP));
    net.a.seen.packets.clear();
    raw.pipe.try_send(&tcp(OURS, OURS, &reset, 0), at(A, 0), None).unwrap();
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::TcpJoined), 1);
    let (_, _, fate) = net.a.seen.packets.iter().rfind(|(way, ..)| *way == Direction::In).unwrap();
    assert!(fate.owner.is_some() && fate.rule == Some(Rule::TcpJoined), "{fate:?}");
    client.pipe.try_write(b"still here").unwrap();
    assert_eq!(server.pipe.try_read(&mut [0; 16]), Ok(10));
}
