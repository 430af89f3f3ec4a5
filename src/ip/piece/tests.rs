use std::net::IpAddr;
use std::num::NonZeroU16;

use proptest::prelude::*;
use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpPacket};

use crate::ip::fixture::{HOST, HOST6, OURS, OURS6, assert_valid, icmp, packet, ready, udp};
use crate::ip::{Form, Ip, Verdict};
use crate::observe::{Cast, Rule, Time};

const FIN: u8 = 1;
const PSH: u8 = 8;
const ACK: u8 = 16;
const CWR: u8 = 128;

/// A TCP segment with a timestamp option, its checksum and the IP lengths full of rubbish.
fn segment(v4: bool, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut tcp = vec![0x12, 0x34, 0, 80, 0xff, 0xff, 0xff, 0, 0, 0, 0, 9, 0x80, flags, 1, 2, 0xba, 0xad, 0, 0];
    tcp.extend_from_slice(&[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
    tcp.extend_from_slice(data);
    let mut bytes = if v4 { packet(OURS, HOST, 6, &tcp) } else { packet(OURS6, HOST6, 6, &tcp) };
    let length = if v4 { 2 } else { 4 };
    bytes[length..length + 2].copy_from_slice(&[0xde, 0xad]);
    if v4 {
        bytes[10..12].copy_from_slice(&[0xde, 0xad]);
    }
    bytes
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

/// What the link would carry; all of it is valid.
fn cut(ip: &mut Ip, packet: &[u8], segment: u16) -> Vec<Vec<u8>> {
    let pieces = ip.pieces(packet, NonZeroU16::new(segment)).unwrap();
    let count = pieces.len();
    let frames: Vec<_> = pieces
        .map(|piece| {
            let mut frame = vec![0xaa; piece.len() + 9];
            piece.write(&mut frame);
            assert_eq!(frame.split_off(piece.len()), [0xaa; 9], "not a byte beyond its length");
            assert_valid(&frame);
            frame
        })
        .collect();
    assert_eq!(frames.len(), count);
    frames
}

#[test]
fn a_super_segment_is_cut_into_consecutive_segments() {
    for v4 in [true, false] {
        let mut ip = ready();
        let header = if v4 { 20 } else { 40 };
        let sent = data(64_000);
        let whole = segment(v4, FIN | PSH | ACK | CWR, &sent);
        let frames = cut(&mut ip, &whole, 1400);
        assert_eq!(frames.len(), 46);
        let mut received = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            let tcp = TcpPacket::new_checked(&frame[header..]).unwrap();
            assert_eq!(tcp.seq_number().0 as u32, 0xffff_ff00_u32.wrapping_add(received.len() as u32));
            assert_eq!(tcp.options(), &whole[header + 20..header + 32]);
            assert_eq!((tcp.ack_number().0, tcp.window_len(), tcp.ack()), (9, 0x0102, true));
            let last = at + 1 == frames.len();
            assert_eq!((tcp.fin(), tcp.psh(), tcp.cwr()), (last, last, at == 0));
            assert_eq!(tcp.payload().len(), if last { 64_000 % 1400 } else { 1400 });
            received.extend_from_slice(tcp.payload());
        }
        assert_eq!(received, sent);
    }
}

#[test]
fn only_ipv4_packets_that_may_be_cut_are_numbered() {
    let mut ip = ready();
    let ident = |frame: &[u8]| Ipv4Packet::new_checked(frame).unwrap().ident();
    let frames = cut(&mut ip, &segment(true, ACK, &data(4000)), 1000);
    assert!(frames.iter().all(|frame| ident(frame) == 0), "RFC 6864 §4.1");
    assert_eq!(ident(&cut(&mut ip, &udp(OURS, HOST, b"x"), 0)[0]), 0);
    let echo = icmp(OURS, HOST, 0, 0, &[0; 4]);
    let first = ident(&cut(&mut ip, &echo, 0)[0]);
    assert_eq!(ident(&cut(&mut ip, &echo, 0)[0]), first.wrapping_add(1));
}

#[test]
fn the_mtu_bounds_the_size_of_segments() {
    let mut ip = ready();
    let frames = cut(&mut ip, &segment(true, ACK, &data(3000)), u16::MAX);
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1500, 1500, 3000 - 2 * 1448 + 52]);
    let frames = cut(&mut ip, &segment(false, ACK, &data(1429)), 1440);
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1500, 73]);
}

#[test]
fn what_fits_is_one_piece_with_its_flags() {
    let mut ip = ready();
    for length in [0, 1, 1000] {
        let frames = cut(&mut ip, &segment(true, FIN | PSH | ACK | CWR, &data(length)), 1000);
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0][33], FIN | PSH | ACK | CWR);
    }
}

#[test]
fn what_may_not_be_cut_must_fit() {
    let mut ip = ready();
    let whole = segment(true, ACK, &data(1449));
    assert_eq!(ip.pieces(&whole, None).err(), Some(Rule::IpTooLarge));
    assert!(ip.pieces(&whole[..1500], None).is_ok());
    let mut narrow = Ip::new(&crate::config::Config::default(), 52, 0);
    assert_eq!(narrow.pieces(&whole, NonZeroU16::new(500)).err(), Some(Rule::IpTooLarge), "no room for data");
}

/// What another host makes of the pieces: the whole datagram.
fn together(pieces: &[Vec<u8>], ours: IpAddr, host: IpAddr) -> Vec<u8> {
    let mut peer = Ip::new(&crate::config::Config::default(), 65_535, 0);
    // The peer is the host, for once.
    let prefix = if host.is_ipv4() { 24 } else { 64 };
    peer.add_address(crate::config::Cidr::new(host, prefix).unwrap());
    peer.set_address_state(host, crate::observe::Address::Preferred);
    peer.set_address_state(ours, crate::observe::Address::Duplicate { owner: crate::config::Mac([2; 6]) });
    let mut out = crate::ip::Packets::new();
    for piece in pieces {
        if let Ok(Verdict::Whole(whole)) = peer.receive(Time::ZERO, piece, Cast::Unicast, &mut out) {
            match peer.receive_whole(Time::ZERO, &whole, &mut out) {
                Ok(Verdict::Transport(packet)) => return packet.payload.to_vec(),
                Ok(Verdict::Done(Rule::IcmpEcho)) => return out.iter().next().unwrap().packet.to_vec(),
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("the datagram never came together from {} pieces", pieces.len());
}

fn write(ip: &mut Ip, packet: &[u8]) -> Vec<Vec<u8>> {
    let pieces = ip.pieces(packet, None).unwrap();
    let count = pieces.len();
    let frames: Vec<_> = pieces
        .map(|piece| {
            let mut frame = vec![0xaa; piece.len()];
            piece.write(&mut frame);
            frame
        })
        .collect();
    assert_eq!(frames.len(), count);
    frames
}

#[test]
fn a_large_datagram_is_cut_into_fragments_under_one_checksum() {
    let mut ip = ready();
    for (ours, host, length, count) in [(OURS, HOST, 65_507, 45), (OURS6, HOST6, 65_527, 46)] {
        let mut whole = udp(ours, host, &data(length));
        let header = if ours.is_ipv4() { 20 } else { 40 };
        let clean = whole.split_off(header);
        let mut damaged = clean.clone();
        damaged[6] ^= 0x5a; // the field may hold anything
        whole.extend_from_slice(&damaged);
        let frames = write(&mut ip, &whole);
        assert_eq!(frames.len(), count);
        assert!(frames.iter().all(|frame| frame.len() <= 1500), "no IP packet larger than the link MTU");
        assert_eq!(together(&frames, ours, host), clean);
    }
}

#[test]
fn fragments_of_one_datagram_share_a_number_and_may_be_cut_again() {
    let mut ip = ready();
    let numbers = |frames: &[Vec<u8>]| -> Vec<u16> {
        frames
            .iter()
            .map(|frame| {
                let header = Ipv4Packet::new_checked(&frame[..]).unwrap();
                assert!(!header.dont_frag() && header.verify_checksum());
                header.ident()
            })
            .collect()
    };
    let first = numbers(&write(&mut ip, &udp(OURS, HOST, &data(5000))));
    let second = numbers(&write(&mut ip, &udp(OURS, HOST, &data(5000))));
    assert!(first.iter().all(|&number| number == first[0]));
    assert!(second.iter().all(|&number| number == first[0].wrapping_add(1)));
    let mut number6 = || write(&mut ip, &udp(OURS6, HOST6, &data(5000)))[0][44..48].to_vec();
    assert_ne!(number6(), number6());
}

#[test]
fn what_a_path_can_carry_bounds_every_packet() {
    for (ours, host, header) in [(OURS, HOST, 20), (OURS6, HOST6, 40)] {
        let mut ip = ready();
        let datagram = udp(ours, host, &data(1400));
        assert_eq!(write(&mut ip, &datagram).len(), 1);
        assert!(ip.learn_path_mtu(Time::ZERO, host, 1300));
        let frames = write(&mut ip, &datagram);
        assert_eq!(frames.len(), 2);
        assert!(frames.iter().all(|frame| frame.len() <= 1300));
        assert_eq!(together(&frames, ours, host), datagram[header..]);
        let segments = cut(&mut ip, &segment(header == 20, ACK, &data(4000)), 1448);
        assert_eq!(segments.iter().map(Vec::len).max(), Some(1300), "TCP is cut into segments");
    }
    let mut ip = ready();
    assert!(ip.learn_path_mtu(Time::ZERO, HOST, 300));
    for frame in write(&mut ip, &udp(OURS, HOST, b"small")) {
        assert!(!Ipv4Packet::new_checked(&frame[..]).unwrap().dont_frag(), "narrower than the least that we send");
    }
}

#[test]
fn routers_may_cut_what_says_so() {
    let mut ip = ready();
    let mut datagram = udp(OURS, HOST, b"small");
    for dont in [true, false] {
        Ipv4Packet::new_unchecked(&mut datagram[..]).set_dont_frag(dont);
        let frame = write(&mut ip, &datagram).remove(0);
        let frame = Ipv4Packet::new_checked(&frame[..]).unwrap();
        assert_eq!((frame.dont_frag(), frame.ident() == 0), (dont, dont), "RFC 6864 §4.1");
    }
}

#[test]
fn a_probe_goes_in_one_piece_by_a_way_that_is_known_to_be_narrower() {
    for (ours, host) in [(OURS, HOST), (OURS6, HOST6)] {
        let mut ip = ready();
        assert!(ip.learn_path_mtu(Time::ZERO, host, 1300));
        let datagram = udp(ours, host, &data(1400));
        assert_eq!(ip.pieces(&datagram, None).unwrap().len(), 2);
        assert_eq!(ip.pieces_as(&datagram, Form::Probe).unwrap().len(), 1);
    }
}

#[test]
fn what_ip_cannot_say_is_refused() {
    let mut ip = ready();
    let long = |ours, host, length| packet(ours, host, 17, &vec![0; length]);
    assert!(ip.pieces(&long(OURS, HOST, 65_515), None).is_ok());
    let mut longer = long(OURS, HOST, 65_515);
    longer.push(0);
    assert_eq!(ip.pieces(&longer, None).err(), Some(Rule::IpTooLarge));
    assert!(ip.pieces(&long(OURS6, HOST6, 65_535), None).is_ok());
    let mut longer = long(OURS6, HOST6, 65_535);
    longer.push(0);
    assert_eq!(ip.pieces(&longer, None).err(), Some(Rule::IpTooLarge));
}

#[test]
fn a_computed_udp_checksum_of_zero_is_sent_as_ones() {
    let mut ip = ready();
    for (ours, host, header) in [(OURS, HOST, 20), (OURS6, HOST6, 40)] {
        // The checksum of a datagram with two zero bytes is the value that makes the sum come out as zero.
        let plain = cut(&mut ip, &udp(ours, host, &[0, 0]), 0).remove(0);
        let balanced = udp(ours, host, &plain[header + 6..header + 8]);
        let frame = cut(&mut ip, &balanced, 0).remove(0);
        assert_eq!(frame[header + 6..header + 8], [0xff, 0xff], "WIRE 25");
    }
}

#[test]
fn packets_of_any_protocol_are_written_with_their_own_checksum() {
    let mut ip = ready();
    let echo = [0, 1, 0, 1, 5, 6, 7];
    for mut whole in [
        udp(OURS, HOST, b"odd"),
        udp(OURS6, HOST6, b"odd"),
        icmp(OURS, HOST, 8, 0, &echo),
        icmp(OURS6, HOST6, 128, 0, &echo),
    ] {
        let clean = whole.clone();
        let (header, field) = match (whole[0] >> 4, whole[9], whole[6]) {
            (4, 17, _) => (20, 6),
            (4, ..) => (20, 2),
            (_, _, 17) => (40, 6),
            _ => (40, 2),
        };
        whole[header + field] ^= 0x5a;
        let frame = cut(&mut ip, &whole, 0).remove(0);
        assert_eq!(frame[header..], clean[header..]);
    }
    let other = packet(OURS, HOST, 89, b"\x01\x02\x03");
    assert_eq!(cut(&mut ip, &other, 0)[0][20..], [1, 2, 3], "an unknown protocol is left alone");
    // ICMPv6 behind a hop-by-hop header, as MLD sends it.
    let message = &icmp(OURS6, HOST6, 143, 0, &[0; 4])[40..];
    let chain = packet(OURS6, HOST6, 0, &[&[58, 0, 5, 2, 0, 0, 1, 0], &[143, 0, 0, 0, 0, 0, 0, 0][..]].concat());
    let frame = cut(&mut ip, &chain, 0).remove(0);
    assert_eq!(&frame[48..], message);
    assert_eq!(Ipv6Packet::new_checked(&frame[..]).unwrap().payload_len(), 16);
}

#[test]
fn a_packet_without_sense_is_refused() {
    let mut ip = ready();
    let mut refused = |bytes: &[u8]| ip.pieces(bytes, NonZeroU16::new(9)).err().unwrap();
    assert_eq!(refused(&[]), Rule::Ip6Truncated);
    assert_eq!(refused(&[0x45; 19]), Rule::Ip4Truncated);
    assert_eq!(refused(&[0x44; 20]), Rule::Ip4HeaderLength);
    assert_eq!(refused(&[0x50; 40]), Rule::Ip6Version);
    assert_eq!(refused(&packet(OURS, HOST, 6, &[0; 20])), Rule::TcpMalformed);
    assert_eq!(refused(&packet(OURS, HOST, 17, &[0; 7])), Rule::UdpMalformed);
    assert_eq!(refused(&packet(OURS6, HOST6, 58, &[0; 3])), Rule::IcmpMalformed);
}

proptest! {
    #[test]
    fn any_super_segment_is_cut_without_loss(v4: bool, length in 0usize..20_000, size in 1u16..3000, mtu in 100usize..9001) {
        let mut ip = Ip::new(&crate::config::Config::default(), mtu, 7);
        let sent = data(length);
        let headers = if v4 { 52 } else { 72 };
        let mut received = Vec::new();
        for frame in cut(&mut ip, &segment(v4, ACK, &sent), size) {
            prop_assert!(frame.len() <= mtu);
            received.extend_from_slice(&frame[headers..]);
        }
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn any_datagram_comes_together_again(v4: bool, length in 1300usize..30_000, mtu in 68usize..1300, echo: bool) {
        let mut ip = Ip::new(&crate::config::Config::default(), if v4 { mtu } else { mtu.max(100) }, 7);
        let (ours, host) = if v4 { (OURS, HOST) } else { (OURS6, HOST6) };
        let whole = match (echo, v4) {
            (true, true) => icmp(ours, host, 8, 0, &data(length)),
            (true, false) => icmp(ours, host, 128, 0, &data(length)),
            (false, _) => udp(ours, host, &data(length)),
        };
        let frames = write(&mut ip, &whole);
        prop_assert!(frames.iter().all(|frame| frame.len() <= ip.mtu()));
        let received = together(&frames, ours, host);
        let sent = &whole[if v4 { 20 } else { 40 }..];
        if echo {
            // The checksum was verified; the answer has the same data behind its header.
            prop_assert_eq!(&received[received.len() - length..], &sent[4..]);
        } else {
            prop_assert_eq!(&received[..], sent);
        }
    }

    #[test]
    fn random_bytes_are_refused_or_written(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..120), version in 0usize..3, size: u16,
    ) {
        if let (Some(first), Some(&version)) = (bytes.first_mut(), [0x45, 0x60].get(version)) {
            *first = version;
        }
        if let Ok(pieces) = ready().pieces(&bytes, NonZeroU16::new(size)) {
            for piece in pieces {
                let mut frame = vec![0; piece.len()];
                piece.write(&mut frame);
            }
        }
    }
}
