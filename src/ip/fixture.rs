//! What the tests of this room, and of those above it, share: a layer whose addresses are usable, packets by their parts, and one
//! check that everything we send is valid, made with smoltcp's parsers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{Icmpv4Packet, Icmpv6Packet, IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket, UdpRepr};

use super::{Ip, Packets, Verdict};
use crate::config::Config;
use crate::observe::{Address, Cast, Rule, Time};

pub(crate) const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 69, 1));
pub(crate) const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 69, 100));
pub(crate) const OURS6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 1));
pub(crate) const HOST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 0x100));

pub(crate) fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Not one address is usable yet; the link-local one is there.
pub(super) fn tentative() -> Ip {
    let mut config = Config::default();
    // Tests that provoke many errors do it from one peer, at one moment.
    config.limits.errors_per_second_and_peer = config.limits.errors_per_second;
    let mut ip = Ip::new(&config, 1500, 0xfffe);
    ip.add_address("fe80::5eff:fe10:1/64".parse().unwrap());
    ip
}

pub(super) fn ready() -> Ip {
    let mut ip = tentative();
    for address in [OURS, OURS6, addr("fe80::5eff:fe10:1")] {
        ip.set_address_state(address, Address::Preferred);
    }
    ip
}

/// A valid packet of either family.
pub(crate) fn packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = vec![0; 20 + payload.len()];
            bytes[20..].copy_from_slice(payload);
            bytes[0] = 0x45;
            let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
            packet.set_total_len(20 + payload.len() as u16);
            packet.set_ident(0x1234);
            // As the state machines of the transport write it.
            packet.set_dont_frag(matches!(protocol, 6 | 17));
            packet.set_hop_limit(1);
            packet.set_next_header(IpProtocol::from(protocol));
            packet.set_src_addr(source);
            packet.set_dst_addr(destination);
            packet.fill_checksum();
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut bytes = vec![0; 40 + payload.len()];
            bytes[40..].copy_from_slice(payload);
            let mut packet = Ipv6Packet::new_unchecked(&mut bytes[..]);
            packet.set_version(6);
            packet.set_payload_len(payload.len() as u16);
            packet.set_hop_limit(1);
            packet.set_next_header(IpProtocol::from(protocol));
            packet.set_src_addr(source);
            packet.set_dst_addr(destination);
            bytes
        }
        _ => panic!("{source} and {destination} are of two families"),
    }
}

/// An IPv4 packet with header options; their length is a multiple of 4.
pub(crate) fn with_options(options: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = packet(HOST, OURS, 17, &[options, payload].concat());
    bytes[0] = 0x45 + (options.len() / 4) as u8;
    repair(&mut bytes);
    bytes
}

/// Makes an IPv4 header's checksum right again after a test has changed a field.
pub(crate) fn repair(bytes: &mut [u8]) {
    Ipv4Packet::new_unchecked(bytes).fill_checksum();
}

pub(crate) fn udp(source: IpAddr, destination: IpAddr, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8 + data.len()];
    let repr = UdpRepr { src_port: 1234, dst_port: 7 };
    repr.emit(
        &mut UdpPacket::new_unchecked(&mut bytes),
        &source.into(),
        &destination.into(),
        data.len(),
        |payload| payload.copy_from_slice(data),
        &Default::default(),
    );
    packet(source, destination, 17, &bytes)
}

/// An ICMP or ICMPv6 message, its checksum right.
pub(crate) fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = [&[kind, code, 0, 0], body].concat();
    if let (IpAddr::V6(source), IpAddr::V6(destination)) = (source, destination) {
        Icmpv6Packet::new_unchecked(&mut bytes).fill_checksum(&source, &destination);
        return packet(source.into(), destination.into(), 58, &bytes);
    }
    Icmpv4Packet::new_unchecked(&mut bytes).fill_checksum();
    packet(source, destination, 1, &bytes)
}

/// A quote of what we sent to port 80 from port 1234 with sequence number 0x01020304: headers and 8 bytes.
pub(super) fn quote(source: IpAddr, destination: IpAddr, protocol: u8) -> Vec<u8> {
    packet(source, destination, protocol, &[0x04, 0xd2, 0, 80, 1, 2, 3, 4])
}

/// A part of a whole packet, cut without the help of what is tested. `at` and `to` count payload bytes.
pub(crate) fn fragment(whole: &[u8], id: u32, at: usize, to: usize, more: bool) -> Vec<u8> {
    assert!(at.is_multiple_of(8));
    let offset_and_more = at as u16 | u16::from(more);
    if whole[0] >> 4 == 4 {
        let mut bytes = [&whole[..20], &whole[20 + at..20 + to]].concat();
        let mut header = Ipv4Packet::new_unchecked(&mut bytes[..]);
        header.set_total_len((20 + to - at) as u16);
        header.set_ident(id as u16);
        header.set_frag_offset(at as u16);
        header.set_more_frags(more);
        header.fill_checksum();
        bytes
    } else {
        let [high, low] = offset_and_more.to_be_bytes();
        let mut header = vec![whole[6], 0, high, low];
        header.extend_from_slice(&id.to_be_bytes());
        let mut bytes = [&whole[..40], &header, &whole[40 + at..40 + to]].concat();
        bytes[6] = 44;
        bytes[4..6].copy_from_slice(&((8 + to - at) as u16).to_be_bytes());
        bytes
    }
}

/// All fragments of a packet, each with `size` bytes, in order.
pub(super) fn fragments(whole: &[u8], id: u32, size: usize) -> Vec<Vec<u8>> {
    let length = whole.len() - if whole[0] >> 4 == 4 { 20 } else { 40 };
    (0..length).step_by(size).map(|at| fragment(whole, id, at, length.min(at + size), at + size < length)).collect()
}

/// Every length and every checksum of a packet that we send.
pub(super) fn assert_valid(packet: &[u8]) {
    let (source, destination, protocol, payload): (IpAddr, IpAddr, IpProtocol, &[u8]) = if packet[0] >> 4 == 4 {
        let header = Ipv4Packet::new_checked(packet).unwrap();
        assert!(header.verify_checksum() && header.hop_limit() > 0);
        assert_eq!(header.dont_frag(), matches!(header.next_header(), IpProtocol::Tcp | IpProtocol::Udp));
        assert_eq!(usize::from(header.total_len()), packet.len());
        assert!(!header.more_frags() && header.frag_offset() == 0);
        (header.src_addr().into(), header.dst_addr().into(), header.next_header(), header.payload())
    } else {
        let header = Ipv6Packet::new_checked(packet).unwrap();
        assert!(header.version() == 6 && header.hop_limit() > 0);
        assert_eq!(header.total_len(), packet.len());
        (header.src_addr().into(), header.dst_addr().into(), header.next_header(), header.payload())
    };
    match (protocol, source, destination) {
        (IpProtocol::Tcp, ..) => {
            let segment = TcpPacket::new_checked(payload).unwrap();
            assert!(segment.verify_checksum(&source.into(), &destination.into()));
        }
        (IpProtocol::Udp, ..) => {
            let datagram = UdpPacket::new_checked(payload).unwrap();
            assert_ne!(datagram.checksum(), 0);
            assert!(datagram.verify_checksum(&source.into(), &destination.into()));
        }
        (IpProtocol::Icmp, ..) => assert!(Icmpv4Packet::new_checked(payload).unwrap().verify_checksum()),
        (IpProtocol::Icmpv6, IpAddr::V6(source), IpAddr::V6(destination)) => {
            assert!(Icmpv6Packet::new_checked(payload).unwrap().verify_checksum(&source, &destination));
        }
        _ => {}
    }
}

/// Everything that waits, as the link would carry it; all of it is checked.
pub(super) fn written(ip: &mut Ip, packets: &Packets) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for outgoing in packets.iter() {
        for piece in ip.pieces_as(outgoing.packet, outgoing.form).unwrap() {
            let mut frame = vec![0xaa; piece.len()];
            piece.write(&mut frame);
            assert!(frame.len() <= ip.mtu());
            assert_valid(&frame);
            frames.push(frame);
        }
    }
    frames
}

/// What one packet to us alone leads to, and what was sent because of it.
pub(super) fn receive<'p>(ip: &mut Ip, packet: &'p [u8]) -> (Result<Verdict<'p>, Rule>, Vec<Vec<u8>>) {
    let mut out = Packets::new();
    let verdict = ip.receive(Time::ZERO, packet, Cast::Unicast, &mut out);
    let frames = written(ip, &out);
    (verdict, frames)
}

/// The rule by which it was dropped in silence.
pub(super) fn dropped(ip: &mut Ip, packet: &[u8]) -> Rule {
    match receive(ip, packet) {
        (Err(rule), frames) if frames.is_empty() => rule,
        other => panic!("{other:?}"),
    }
}

/// The rule by which it was answered, and the one answer.
pub(super) fn answered(ip: &mut Ip, packet: &[u8]) -> (Rule, Vec<u8>) {
    match receive(ip, packet) {
        (Ok(Verdict::Done(rule)), mut frames) if frames.len() == 1 => (rule, frames.remove(0)),
        other => panic!("{other:?}"),
    }
}
