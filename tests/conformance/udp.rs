//! UDP (RFC 768, RFC 1122 §4.1).

use crate::wire::*;

/// The datagram that comes back from the echo service.
fn echoed(wire: &mut dyn Wire, frame: &[u8]) -> Datagram {
    wire.send(frame);
    let answers = wire.until("datagram", &mut |answer| answer.udp().is_some());
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers[0].udp().unwrap()
}

fn line_23_a_bad_checksum_is_dropped(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for port in [ECHO, CLOSED] {
            for bit in 0..16 {
                let mut packet = Datagram::new(family, port, b"data").packet();
                packet.payload[6 + bit / 8] ^= 1 << (bit % 8);
                assert!(wire.ask(&packet.frame()).is_empty(), "{family:?}, bit {bit}");
            }
            let mut packet = Datagram::new(family, port, b"data").packet();
            packet.payload[10] ^= 1;
            assert!(wire.ask(&packet.frame()).is_empty());
        }
        // From another host than the sum says.
        let mut packet = Datagram::new(family, ECHO, b"data").packet();
        packet.source = if family == V4 { [192, 168, 69, 78].into() } else { "fd69::78".parse().unwrap() };
        assert!(wire.ask(&packet.frame()).is_empty());
        let datagram = Datagram::new(family, ECHO, b"data");
        assert_eq!(echoed(wire, &datagram.packet().frame()).payload, b"data");
    }
}

fn line_24_a_zero_checksum_is_accepted_over_ip4(wire: &mut dyn Wire) {
    let mut packet = Datagram::new(V4, ECHO, b"unsummed").packet();
    packet.payload[6..8].fill(0);
    assert_eq!(echoed(wire, &packet.frame()).payload, b"unsummed");
    let mut packet = Datagram::new(V4, CLOSED, b"unsummed").packet();
    packet.payload[6..8].fill(0);
    let answers = wire.ask(&packet.frame());
    assert_eq!(answers[0].icmp().map(|icmp| (icmp.kind, icmp.code)), Some((3, 3)));
}

fn line_25_a_computed_zero_is_sent_as_ffff(wire: &mut dyn Wire) {
    for family in FAMILIES {
        // The answer has the same ports and addresses, and so the same sum: the last two bytes make it 0.
        let mut datagram = Datagram::new(family, ECHO, &[0; 10]);
        let mut bytes = datagram.bytes();
        bytes[6..8].fill(0);
        let sum = checksum_with_pseudo_header(family.peer(), family.us(), UDP, &bytes);
        datagram.payload[8..].copy_from_slice(&sum.to_be_bytes());
        let mut packet = datagram.packet();
        packet.payload[6..8].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(checksum_with_pseudo_header(family.peer(), family.us(), UDP, &packet.payload), 0);
        wire.send(&packet.frame());
        let answers = wire.until("datagram", &mut |answer| answer.udp().is_some());
        assert_eq!(answers[0].udp().unwrap().payload, datagram.payload);
        assert_eq!(answers[0].ip().unwrap().payload[6..8], [0xff, 0xff], "{family:?}");
    }
}

fn line_26_the_length_field_is_checked(wire: &mut dyn Wire) {
    for family in FAMILIES {
        // With a checksum that fits the length claimed.
        let with_length = |length: u16| {
            let mut packet = Datagram::new(family, ECHO, b"0123456789").packet();
            packet.payload[4..6].copy_from_slice(&length.to_be_bytes());
            packet.payload[6..8].fill(0);
            let covered = &packet.payload[..usize::from(length).min(packet.payload.len())];
            let sum = checksum_with_pseudo_header(family.peer(), family.us(), UDP, covered);
            packet.payload[6..8].copy_from_slice(&sum.to_be_bytes());
            packet
        };
        for wrong in (0..8).chain([19, 20, 100, u16::MAX]) {
            let answers = wire.ask(&with_length(wrong).frame());
            assert!(answers.is_empty(), "{family:?}: a length of {wrong}: {answers:?}");
        }
        // Shorter than its packet: what is behind it is no part of it.
        for length in [8, 9, 12, 18] {
            assert_eq!(echoed(wire, &with_length(length).frame()).payload, b"0123456789"[..usize::from(length) - 8]);
        }
        // Not even a header.
        for length in 0..8 {
            let mut packet = Datagram::new(family, ECHO, b"").packet();
            packet.payload.truncate(length);
            assert!(wire.ask(&packet.frame()).is_empty());
        }
    }
}

fn line_27_a_closed_port_is_answered_with_port_unreachable(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for port in [1, CLOSED, 1023, 33_434, 65_535] {
            let packet = Datagram::new(family, port, b"anybody?").packet();
            let answers = wire.ask(&packet.frame());
            assert_eq!(answers.len(), 1, "{family:?} {port}: {answers:?}");
            let icmp = answers[0].icmp().unwrap();
            assert_eq!((icmp.kind, icmp.code), if family == V4 { (3, 3) } else { (1, 4) });
            assert_eq!(icmp.rest, [0; 4]);
            assert_eq!(icmp.data, packet.bytes());
        }
        // And not where somebody is.
        assert!(wire.ask(&Datagram::new(family, DISCARD, b"x").packet().frame()).is_empty());
    }
}

lines! {
    both {
        line_23_a_bad_checksum_is_dropped
        line_25_a_computed_zero_is_sent_as_ffff
        line_27_a_closed_port_is_answered_with_port_unreachable
    }
    embedded {}
    pair {
        line_24_a_zero_checksum_is_accepted_over_ip4
        line_26_the_length_field_is_checked
    }
}
