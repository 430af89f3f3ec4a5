//! Whom a frame is between: as much of its headers as a filter needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Kind;

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];

/// The two ends of a packet. A port is missing where the packet has none, or a fragment does not carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) kind: Option<Kind>,
    pub(super) source: (IpAddr, Option<u16>),
    pub(super) destination: (IpAddr, Option<u16>),
}

/// Of an Ethernet frame. `None`: it is too short, or of a protocol that has no addresses.
pub(super) fn of_frame(frame: &[u8]) -> Option<Ends> {
    let mut rest = frame.get(12..)?;
    let mut kind = number(rest)?;
    rest = &rest[2..];
    if VLAN.contains(&kind) {
        kind = number(rest.get(2..)?)?;
        rest = &rest[4..];
    }
    match kind {
        ARP => of_arp(rest),
        IPV4 | IPV6 => of_packet(rest),
        _ => None,
    }
}

/// Of an IP packet.
pub(super) fn of_packet(packet: &[u8]) -> Option<Ends> {
    match packet.first()? >> 4 {
        4 => of_ip4(packet),
        6 => of_ip6(packet),
        _ => None,
    }
}

fn of_arp(packet: &[u8]) -> Option<Ends> {
    let end = |at: usize| {
        let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some((IpAddr::from(Ipv4Addr::from(octets)), None))
    };
    Some(Ends { kind: Some(Kind::Arp), source: end(14)?, destination: end(24)? })
}

fn of_ip4(packet: &[u8]) -> Option<Ends> {
    let header = packet.get(..20)?;
    let address = |at: usize| -> Option<IpAddr> {
        let octets: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets).into())
    };
    let is_later_fragment = number(&header[6..])? & 0x1fff != 0;
    let payload = packet.get(usize::from(header[0] & 15) * 4..).filter(|_| !is_later_fragment);
    Some(ends(header[9], address(12)?, address(16)?, payload))
}

fn of_ip6(packet: &[u8]) -> Option<Ends> {
    let header = packet.get(..40)?;
    let address = |at: usize| -> Option<IpAddr> {
        let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets).into())
    };
    let (source, destination) = (address(8)?, address(24)?);
    let (mut protocol, mut payload) = (header[6], packet.get(40..));
    // Hop-by-hop options, routing, fragment and destination options: as many as a packet of ours could have at most.
    for _ in 0..8 {
        let Some(&[next, length, high, low, ..]) = payload else { break };
        let length = match protocol {
            0 | 43 | 60 => usize::from(length) * 8 + 8,
            44 => 8,
            _ => break,
        };
        let is_later_fragment = protocol == 44 && u16::from_be_bytes([high, low]) & 0xfff8 != 0;
        payload = payload.and_then(|payload| payload.get(length..)).filter(|_| !is_later_fragment);
        protocol = next;
    }
    Some(ends(protocol, source, destination, payload))
}

fn ends(protocol: u8, source: IpAddr, destination: IpAddr, payload: Option<&[u8]>) -> Ends {
    let kind = Kind::of_number(protocol);
    let port = |at: usize| match kind {
        Some(Kind::Tcp | Kind::Udp) => payload.and_then(|payload| number(payload.get(at..)?)),
        _ => None,
    };
    Ends { kind, source: (source, port(0)), destination: (destination, port(2)) }
}

fn number(bytes: &[u8]) -> Option<u16> {
    match *bytes {
        [high, low, ..] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ethernet(kind: &[u8], rest: &[u8]) -> Vec<u8> {
        [&[0; 12], kind, rest].concat()
    }

    fn ip4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45; 20];
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet[9] = protocol;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend_from_slice(payload);
        packet
    }

    fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        (packet[0], packet[6], packet[8], packet[23], packet[24], packet[39]) = (0x60, next, 0xfd, 1, 0xfd, 2);
        packet.extend_from_slice(payload);
        packet
    }

    #[test]
    fn ends_are_read_behind_tags_and_extension_headers() {
        let ports = [0, 80, 0x10, 0];
        let tcp = Ends {
            kind: Some(Kind::Tcp),
            source: (at("10.0.0.1"), Some(80)),
            destination: (at("10.0.0.2"), Some(4096)),
        };
        assert_eq!(of_frame(&ethernet(&[8, 0], &ip4(6, 0x4000, &ports))), Some(tcp));
        assert_eq!(of_frame(&ethernet(&[0x81, 0, 0, 7, 8, 0], &ip4(6, 0, &ports))), Some(tcp));
        let udp =
            Ends { kind: Some(Kind::Udp), source: (at("fd00::1"), Some(80)), destination: (at("fd00::2"), Some(4096)) };
        assert_eq!(of_packet(&ip6(17, &ports)), Some(udp));
        let behind = [&[44, 0, 0, 0, 0, 0, 0, 0][..], &[17, 0, 0, 1, 0, 0, 0, 9], &ports].concat();
        assert_eq!(of_frame(&ethernet(&[0x86, 0xdd], &ip6(0, &behind))), Some(udp));
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let ends = of_packet(&ip4(17, 185, &[0, 80, 0, 81])).unwrap();
        assert_eq!((ends.source.1, ends.destination.1), (None, None));
        let ends = of_packet(&ip6(44, &[17, 0, 0x05, 0xc8, 0, 0, 0, 9, 0, 80, 0, 81])).unwrap();
        assert_eq!((ends.kind, ends.source.1), (Some(Kind::Udp), None));
    }

    #[test]
    fn arp_is_between_who_asks_and_who_is_asked_for() {
        let mut packet = vec![0; 28];
        packet[14..18].copy_from_slice(&[10, 0, 0, 1]);
        packet[24..28].copy_from_slice(&[10, 0, 0, 9]);
        let ends = of_frame(&ethernet(&[8, 6], &packet)).unwrap();
        assert_eq!((ends.kind, ends.source.0, ends.destination.0), (Some(Kind::Arp), at("10.0.0.1"), at("10.0.0.9")));
    }

    #[test]
    fn no_length_and_no_content_is_too_much() {
        let whole = ethernet(&[0x86, 0xdd], &ip6(0, &[0; 80]));
        for length in 0..whole.len() {
            let _ = (of_frame(&whole[..length]), of_packet(&whole[..length]));
        }
        for byte in 0..=255 {
            let _ = (of_frame(&[byte; 64]), of_packet(&[byte; 64]));
        }
        assert_eq!(of_frame(&ethernet(&[0x88, 0xcc], &[0; 40])), None);
    }
}
