//! What must hold for each frame that leaves the stack.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::craft::{ACK, ICMP, ICMP6, IGMP, RST, SYN, TCP, TESTING, UDP, pseudo_header, sum, transport};

/// What a frame of the stack says, as far as the fuzzer answers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent<'a> {
    /// Who has this address?
    ArpRequest(Ipv4Addr),
    /// The same for IPv6.
    Solicitation(Ipv6Addr),
    /// A TCP segment to `to`.
    Tcp { v6: bool, to: IpAddr, ports: (u16, u16), seq: u32, ack: u32, flags: u8, window: u16, payload: &'a [u8] },
    /// An echo reply with this identifier.
    EchoReply(u16),
    /// A question to a DHCP server, of this transaction.
    Dhcp(u32),
    /// Something else.
    Other,
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a frame of the stack.
///
/// # Panics
///
/// If the frame breaks a rule that holds for every frame: that is what the fuzzer looks for.
pub fn inspect(frame: &[u8], mac: [u8; 6], mtu: usize) -> Sent<'_> {
    assert!(frame.len() >= 14, "a frame without an Ethernet header leaves");
    assert!(frame.len() <= mtu + 14, "a frame of {} bytes leaves on a link of {mtu}", frame.len());
    assert_eq!(frame[6..12], mac, "a frame with another source address leaves");
    assert_ne!(frame[..6], [0; 6], "a frame without a destination leaves");
    assert_ne!(frame[..6], mac, "a frame for ourselves leaves");
    let packet = &frame[14..];
    match word(frame, 12) {
        0x0806 => {
            assert!(packet.len() >= 28, "a short ARP packet leaves");
            assert_eq!(packet[8..14], mac, "an ARP packet with another sender leaves");
            if word(packet, 6) != 1 {
                return Sent::Other;
            }
            Sent::ArpRequest(Ipv4Addr::new(packet[24], packet[25], packet[26], packet[27]))
        }
        0x0800 => {
            assert!(packet.len() >= 20 && packet[0] >> 4 == 4 && packet[0] & 15 >= 5, "a bad IPv4 header leaves");
            let header = usize::from(packet[0] & 15) * 4;
            assert_eq!(usize::from(word(packet, 2)), packet.len(), "the total length is wrong");
            assert!(packet[8] > 0, "a packet with TTL 0 leaves");
            assert_eq!(sum(0, &packet[..header]), 0xffff, "the header checksum is wrong");
            assert!(word(packet, 6) & 0x4000 == 0 || word(packet, 6) & 0x3fff == 0, "a fragment with DF leaves");
            assert!(!(packet[12] == 127 || packet[12] >= 224), "a source that cannot be leaves");
            transport_of(packet)
        }
        0x86dd => {
            assert!(packet.len() >= 40 && packet[0] >> 4 == 6, "a bad IPv6 header leaves");
            assert_eq!(usize::from(word(packet, 4)), packet.len() - 40, "the payload length is wrong");
            assert!(packet[7] > 0, "a packet with hop limit 0 leaves");
            assert_ne!(packet[8], 0xff, "a multicast source leaves");
            transport_of(packet)
        }
        other => panic!("a frame of type {other:#x} leaves"),
    }
}

fn transport_of(packet: &[u8]) -> Sent<'_> {
    let v6 = packet[0] >> 4 == 6;
    let Some((at, protocol)) = transport(packet) else { return Sent::Other };
    let bytes = &packet[at..];
    let start = if matches!(protocol, ICMP | IGMP) { 0 } else { pseudo_header(packet, protocol, bytes.len()) };
    let is_valid = sum(start, bytes) == 0xffff;
    let to = if v6 {
        let octets: [u8; 16] = packet[24..40].try_into().unwrap_or_default();
        IpAddr::from(octets)
    } else {
        IpAddr::from([packet[16], packet[17], packet[18], packet[19]])
    };
    match protocol {
        TCP => {
            assert!(bytes.len() >= 20 && is_valid, "a bad TCP checksum leaves");
            let header = usize::from(bytes[12] >> 4) * 4;
            assert!((20..=bytes.len()).contains(&header), "a bad TCP header length leaves");
            check_options(&bytes[20..header]);
            let flags = bytes[13];
            let is_syn = flags & SYN != 0;
            assert!(!(is_syn && flags & RST != 0), "SYN and RST leave together");
            assert!(flags & (ACK | RST | SYN) != 0, "a segment without ACK leaves");
            assert!(word(bytes, 0) != 0 && word(bytes, 2) != 0, "a segment with port 0 leaves");
            Sent::Tcp {
                v6,
                to,
                ports: (word(bytes, 0), word(bytes, 2)),
                seq: long(bytes, 4),
                ack: long(bytes, 8),
                flags,
                window: word(bytes, 14),
                payload: &bytes[header..],
            }
        }
        UDP => {
            assert!(bytes.len() >= 8 && usize::from(word(bytes, 4)) == bytes.len(), "a bad UDP length leaves");
            assert!(is_valid && word(bytes, 6) != 0, "a bad UDP checksum leaves");
            if (word(bytes, 0), word(bytes, 2)) == (68, 67) && bytes.len() >= 248 {
                return Sent::Dhcp(long(bytes, 12));
            }
            Sent::Other
        }
        ICMP => {
            assert!(bytes.len() >= 8 && is_valid, "a bad ICMP checksum leaves");
            if bytes[0] == 0 { Sent::EchoReply(word(bytes, 4)) } else { Sent::Other }
        }
        ICMP6 => {
            assert!(bytes.len() >= 4 && is_valid, "a bad ICMPv6 checksum leaves");
            assert!(!(133..=137).contains(&bytes[0]) || packet[7] == 255, "a neighbour message with a low hop limit");
            match bytes[0] {
                129 => Sent::EchoReply(word(bytes, 4)),
                135 => {
                    let target: [u8; 16] = bytes[8..24].try_into().unwrap_or_default();
                    Sent::Solicitation(Ipv6Addr::from(target))
                }
                _ => Sent::Other,
            }
        }
        IGMP => {
            assert!(bytes.len() >= 8 && is_valid, "a bad IGMP checksum leaves");
            Sent::Other
        }
        TESTING => Sent::Other,
        other => panic!("a packet of protocol {other} leaves"),
    }
}

fn check_options(mut options: &[u8]) {
    while let Some(&kind) = options.first() {
        let length = match kind {
            0 => return,
            1 => 1,
            _ => usize::from(*options.get(1).expect("a TCP option is cut off")),
        };
        assert!((1..=options.len()).contains(&length) && (kind == 1 || length >= 2), "a TCP option runs out");
        options = &options[length..];
    }
}
