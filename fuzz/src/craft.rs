//! Frames for the stack, made by hand: nothing here is shared with the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of one side of the link.
#[derive(Debug, Clone, Copy)]
pub struct Station {
    /// Ethernet.
    pub mac: [u8; 6],
    /// IPv4.
    pub v4: Ipv4Addr,
    /// IPv6.
    pub v6: Ipv6Addr,
}

impl Station {
    /// Its address of a family.
    pub fn ip(&self, v6: bool) -> IpAddr {
        if v6 { IpAddr::V6(self.v6) } else { IpAddr::V4(self.v4) }
    }
}

/// The stack under test.
pub const STACK: Station = Station {
    mac: [2, 0, 0x5e, 0x10, 0, 1],
    v4: Ipv4Addr::new(192, 168, 69, 1),
    v6: Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 1),
};

/// The other side: the fuzzer.
pub const PEER: Station = Station {
    mac: [2, 0, 0x5e, 0x10, 0, 2],
    v4: Ipv4Addr::new(192, 168, 69, 100),
    v6: Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 0x100),
};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

pub const ICMP: u8 = 1;
pub const IGMP: u8 = 2;
/// RFC 3692 §2.1: what raw sockets of the stack send.
pub const TESTING: u8 = 253;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMP6: u8 = 58;

/// The largest IP packet.
pub const LARGEST: usize = 65_535;

/// The sum of RFC 1071, folded and not complemented.
pub fn sum(start: u32, bytes: &[u8]) -> u32 {
    let mut total = u64::from(start);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        total += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    total += u64::from(u32::from_be_bytes(last));
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u32
}

/// The sum of the pseudo-header of an IP packet whose transport part is `length` bytes long.
pub fn pseudo_header(packet: &[u8], protocol: u8, length: usize) -> u32 {
    let addresses = if packet[0] >> 4 == 6 { &packet[8..40] } else { &packet[12..20] };
    let mut tail = [0; 8];
    tail[..4].copy_from_slice(&(length as u32).to_be_bytes());
    tail[7] = protocol;
    sum(sum(0, addresses), &tail)
}

/// Where the transport part of an IP packet begins, and its protocol. `None` for fragments and what is cut off.
pub fn transport(packet: &[u8]) -> Option<(usize, u8)> {
    match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 15) * 4;
            if header < 20 || packet.len() < header {
                return None;
            }
            let is_fragment = u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0;
            (!is_fragment).then_some((header, packet[9]))
        }
        6 => {
            let mut next = *packet.get(6)?;
            let mut at = 40;
            while matches!(next, 0 | 43 | 60) {
                let length = usize::from(*packet.get(at + 1)?) * 8 + 8;
                next = packet[at];
                at += length;
            }
            (next != 44 && packet.len() >= at).then_some((at, next))
        }
        _ => None,
    }
}

/// Makes an Ethernet frame's lengths and checksums right, as far as they can be found.
pub fn repair(frame: &mut [u8]) {
    let Some((ethernet, packet)) = frame.split_at_mut_checked(14) else { return };
    match (u16::from_be_bytes([ethernet[12], ethernet[13]]), packet.len()) {
        (0x0800, 20..=LARGEST) => {
            let header = usize::from(packet[0] & 15).clamp(5, packet.len().min(60) / 4) * 4;
            packet[0] = 0x40 | (header / 4) as u8;
            let length = packet.len() as u16;
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            packet[10..12].fill(0);
            let header_sum = !(sum(0, &packet[..header]) as u16);
            packet[10..12].copy_from_slice(&header_sum.to_be_bytes());
        }
        (0x86dd, 40..) => {
            packet[0] = 0x60 | packet[0] & 15;
            let length = (packet.len() - 40).min(LARGEST) as u16;
            packet[4..6].copy_from_slice(&length.to_be_bytes());
        }
        _ => return,
    }
    let Some((at, protocol)) = transport(packet) else { return };
    let length = packet.len() - at;
    let field = match protocol {
        TCP if length >= 20 => 16,
        UDP if length >= 8 => {
            let length = (length as u16).to_be_bytes();
            packet[at + 4..at + 6].copy_from_slice(&length);
            6
        }
        ICMP | ICMP6 | IGMP if length >= 4 => 2,
        _ => return,
    };
    packet[at + field..at + field + 2].fill(0);
    let start = if matches!(protocol, ICMP | IGMP) { 0 } else { pseudo_header(packet, protocol, length) };
    let check = !(sum(start, &packet[at..]) as u16);
    let check = if check == 0 && protocol == UDP { 0xffff } else { check };
    packet[at + field..at + field + 2].copy_from_slice(&check.to_be_bytes());
}

/// An Ethernet frame from the peer with zeros for its payload.
pub fn ethernet(destination: [u8; 6], ethertype: u16, payload: usize) -> Vec<u8> {
    let mut frame = vec![0; 14 + payload];
    frame[..6].copy_from_slice(&destination);
    frame[6..12].copy_from_slice(&PEER.mac);
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame
}

/// An IP packet in a frame; the caller repairs it when everything is written. `middle` lies between the fixed header
/// and the payload: options of IPv4 (padded to 4 bytes), extension headers of IPv6 (`protocol` is then the first's).
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, middle: &[u8], payload: &[u8]) -> Vec<u8> {
    let mac = match destination {
        IpAddr::V4(group) if group.is_multicast() => {
            let [_, b, c, d] = group.octets();
            [1, 0, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) if group.is_multicast() => {
            let [.., a, b, c, d] = group.octets();
            [0x33, 0x33, a, b, c, d]
        }
        IpAddr::V4(address) if address.octets()[3] == 255 => [0xff; 6],
        _ => STACK.mac,
    };
    let (ethertype, fixed) = if source.is_ipv4() { (0x0800, 20) } else { (0x86dd, 40) };
    let payload = &payload[..payload.len().min(LARGEST - fixed - middle.len())];
    let mut frame = ethernet(mac, ethertype, fixed + middle.len() + payload.len());
    let packet = &mut frame[14..];
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet[0] = 0x40 | (5 + middle.len() / 4) as u8;
            packet[8] = 64;
            packet[9] = protocol;
            packet[12..16].copy_from_slice(&source.octets());
            packet[16..20].copy_from_slice(&destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet[0] = 0x60;
            packet[6] = protocol;
            packet[7] = 255;
            packet[8..24].copy_from_slice(&source.octets());
            packet[24..40].copy_from_slice(&destination.octets());
        }
        _ => unreachable!("both addresses are of one family"),
    }
    packet[fixed..fixed + middle.len()].copy_from_slice(middle);
    packet[fixed + middle.len()..].copy_from_slice(payload);
    frame
}

/// A TCP segment from the peer, complete.
#[derive(Debug, Clone, Copy, Default)]
pub struct Segment<'a> {
    pub v6: bool,
    pub source: u16,
    pub destination: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u16,
    /// Padded by the builder; at most 40 bytes.
    pub options: &'a [u8],
    pub payload: &'a [u8],
}

impl Segment<'_> {
    /// Its frame.
    pub fn frame(&self) -> Vec<u8> {
        let header = 20 + self.options.len().min(40).next_multiple_of(4);
        let mut bytes = vec![0; header + self.payload.len()];
        bytes[..2].copy_from_slice(&self.source.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.destination.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.seq.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ack.to_be_bytes());
        bytes[12] = (header as u8 / 4) << 4;
        bytes[13] = self.flags;
        bytes[14..16].copy_from_slice(&self.window.to_be_bytes());
        bytes[20..20 + self.options.len().min(40)].copy_from_slice(&self.options[..self.options.len().min(40)]);
        bytes[header..].copy_from_slice(self.payload);
        let mut frame = ip(PEER.ip(self.v6), STACK.ip(self.v6), TCP, &[], &bytes);
        repair(&mut frame);
        frame
    }
}

/// A datagram from the peer, complete.
pub fn datagram(source: IpAddr, destination: IpAddr, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes[..2].copy_from_slice(&ports.0.to_be_bytes());
    bytes[2..4].copy_from_slice(&ports.1.to_be_bytes());
    bytes.extend_from_slice(&payload[..payload.len().min(LARGEST - 60)]);
    let mut frame = ip(source, destination, UDP, &[], &bytes);
    repair(&mut frame);
    frame
}

/// An ICMP message of either family, complete: type, code and everything from the fifth byte on.
pub fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend_from_slice(rest);
    let mut frame = ip(source, destination, if source.is_ipv4() { ICMP } else { ICMP6 }, &[], &bytes);
    repair(&mut frame);
    frame
}

/// An ARP packet of the peer.
pub fn arp(operation: u16, sender: ([u8; 6], Ipv4Addr), target: ([u8; 6], Ipv4Addr)) -> Vec<u8> {
    let mut frame = ethernet(if operation == 1 { [0xff; 6] } else { STACK.mac }, 0x0806, 28);
    let bytes = &mut frame[14..];
    bytes[..6].copy_from_slice(&[0, 1, 8, 0, 6, 4]);
    bytes[6..8].copy_from_slice(&operation.to_be_bytes());
    bytes[8..14].copy_from_slice(&sender.0);
    bytes[14..18].copy_from_slice(&sender.1.octets());
    bytes[18..24].copy_from_slice(&target.0);
    bytes[24..28].copy_from_slice(&target.1.octets());
    frame
}

/// A neighbour advertisement of the peer.
pub fn advertisement(address: Ipv6Addr, mac: [u8; 6], flags: u8) -> Vec<u8> {
    let mut rest = vec![flags, 0, 0, 0];
    rest.extend_from_slice(&address.octets());
    rest.extend_from_slice(&[2, 1]);
    rest.extend_from_slice(&mac);
    icmp(PEER.ip(true), STACK.ip(true), 136, 0, &rest)
}
