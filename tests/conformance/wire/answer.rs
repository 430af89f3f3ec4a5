//! What the stack sends: each frame is checked, fragments are put together, and the rest is easy to read.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::checksum;
use super::frame::{ACK, ARP, Datagram, ICMP, ICMP6, IP4, IP6, Mac, Packet, Segment, TCP, UDP};

/// A frame of the stack, or a packet put together from several.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Since the beginning.
    pub(crate) at: Duration,
    pub(crate) to: Mac,
    pub(crate) body: Body,
    /// From how many frames it was put together.
    pub(crate) pieces: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    Arp(Arp),
    Ip(Packet),
}

/// An ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arp {
    pub(crate) operation: u16,
    pub(crate) sender_mac: Mac,
    pub(crate) sender: [u8; 4],
    pub(crate) target_mac: Mac,
    pub(crate) target: [u8; 4],
}

/// An ICMP message of either version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Icmp {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) kind: u8,
    pub(crate) code: u8,
    pub(crate) rest: [u8; 4],
    pub(crate) data: Vec<u8>,
}

impl Icmp {
    pub(crate) fn is_echo_reply(&self) -> bool {
        self.kind == if self.source.is_ipv4() { 0 } else { 129 }
    }

    /// Whether it tells of something that went wrong.
    pub(crate) fn is_error(&self) -> bool {
        if self.source.is_ipv4() { matches!(self.kind, 3 | 4 | 5 | 11 | 12) } else { self.kind < 128 }
    }

    /// The second word, of a Parameter Problem the pointer.
    pub(crate) fn pointer(&self) -> u32 {
        u32::from_be_bytes(self.rest)
    }
}

impl Answer {
    /// Whether it only tells of a group that was joined or left, which nobody asked: the stack begins so, and says it
    /// again within a second (RFC 3376 §5.1, RFC 3810 §6.1).
    pub(crate) fn is_change_report(&self) -> bool {
        let kind = match self.ip() {
            Some(packet) if packet.protocol == 2 && packet.payload.first() == Some(&0x22) => packet.payload.get(8),
            Some(packet) if packet.protocol == ICMP6 && packet.payload.first() == Some(&143) => packet.payload.get(8),
            _ => None,
        };
        matches!(kind, Some(3 | 4))
    }

    pub(crate) fn ip(&self) -> Option<&Packet> {
        match &self.body {
            Body::Ip(packet) => Some(packet),
            Body::Arp(_) => None,
        }
    }

    pub(crate) fn arp(&self) -> Option<Arp> {
        match self.body {
            Body::Arp(arp) => Some(arp),
            Body::Ip(_) => None,
        }
    }

    pub(crate) fn tcp(&self) -> Option<Segment> {
        let packet = self.ip().filter(|packet| packet.protocol == TCP)?;
        let bytes = &packet.payload;
        let header = usize::from(bytes[12] >> 4) * 4;
        let flags = bytes[13];
        Some(Segment {
            from: SocketAddr::new(packet.source, u16::from_be_bytes([bytes[0], bytes[1]])),
            to: SocketAddr::new(packet.destination, u16::from_be_bytes([bytes[2], bytes[3]])),
            seq: u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            ack: if flags & ACK == 0 { 0 } else { u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) },
            flags,
            window: u16::from_be_bytes([bytes[14], bytes[15]]),
            options: bytes[20..header].to_vec(),
            payload: bytes[header..].to_vec(),
        })
    }

    pub(crate) fn udp(&self) -> Option<Datagram> {
        let packet = self.ip().filter(|packet| packet.protocol == UDP)?;
        let bytes = &packet.payload;
        Some(Datagram {
            from: SocketAddr::new(packet.source, u16::from_be_bytes([bytes[0], bytes[1]])),
            to: SocketAddr::new(packet.destination, u16::from_be_bytes([bytes[2], bytes[3]])),
            payload: bytes[8..usize::from(u16::from_be_bytes([bytes[4], bytes[5]]))].to_vec(),
        })
    }

    pub(crate) fn icmp(&self) -> Option<Icmp> {
        let packet = self.ip().filter(|packet| matches!(packet.protocol, ICMP | ICMP6))?;
        let bytes = &packet.payload;
        Some(Icmp {
            source: packet.source,
            destination: packet.destination,
            kind: bytes[0],
            code: bytes[1],
            rest: [bytes[4], bytes[5], bytes[6], bytes[7]],
            data: bytes[8..].to_vec(),
        })
    }
}

/// Checks frames and puts fragments together.
#[derive(Debug)]
pub(crate) struct Reader {
    mtu: usize,
    fragments: HashMap<(IpAddr, IpAddr, u8, u32), Vec<Packet>>,
    /// How many frames it has found to be right.
    pub(crate) checked: u64,
}

impl Reader {
    pub(crate) fn new(mtu: usize) -> Reader {
        Reader { mtu, fragments: HashMap::new(), checked: 0 }
    }

    /// Reads a frame of the stack; `None` for a fragment of a packet that is not complete. Says what is wrong with
    /// a frame that a host must not send.
    pub(crate) fn read(&mut self, at: Duration, frame: &[u8]) -> Result<Option<Answer>, String> {
        if frame.len() < 14 {
            return Err("no Ethernet header".into());
        }
        let to: Mac = frame[..6].try_into().unwrap();
        if frame[6] & 1 != 0 {
            return Err("sent from a group address".into());
        }
        let bytes = &frame[14..];
        if bytes.len() > self.mtu {
            return Err(format!("{} bytes do not fit the MTU {}", bytes.len(), self.mtu));
        }
        self.checked += 1;
        let packet = match u16::from_be_bytes([frame[12], frame[13]]) {
            ARP => return Ok(Some(Answer { at, to, body: Body::Arp(read_arp(bytes)?), pieces: 1 })),
            IP4 => read4(bytes)?,
            IP6 => read6(bytes)?,
            other => return Err(format!("ethertype {other:04x}")),
        };
        let (packet, pieces) = if packet.more || packet.offset != 0 {
            match self.assemble(packet)? {
                Some(whole) => whole,
                None => return Ok(None),
            }
        } else {
            (packet, 1)
        };
        check_payload(&packet)?;
        Ok(Some(Answer { at, to, body: Body::Ip(packet), pieces }))
    }

    fn assemble(&mut self, packet: Packet) -> Result<Option<(Packet, usize)>, String> {
        if packet.more && !packet.payload.len().is_multiple_of(8) {
            return Err("a fragment that is not the last has an odd length".into());
        }
        let key = (packet.source, packet.destination, packet.protocol, packet.id);
        let pieces = self.fragments.entry(key).or_default();
        pieces.push(packet);
        pieces.sort_by_key(|piece| piece.offset);
        let mut payload = Vec::new();
        for piece in pieces.iter() {
            if piece.offset != payload.len() {
                return Ok(None);
            }
            payload.extend_from_slice(&piece.payload);
        }
        if pieces.last().is_some_and(|last| last.more) {
            return Ok(None);
        }
        let pieces = self.fragments.remove(&key).unwrap_or_default();
        let whole = Packet { payload, offset: 0, more: false, ..pieces[0].clone() };
        Ok(Some((whole, pieces.len())))
    }
}

fn read_arp(bytes: &[u8]) -> Result<Arp, String> {
    if bytes.len() < 28 || bytes[..6] != [0, 1, 8, 0, 6, 4] {
        return Err("no ARP packet for Ethernet and IPv4".into());
    }
    let part = |at: usize| bytes[at..at + 6].try_into().unwrap();
    let address = |at: usize| bytes[at..at + 4].try_into().unwrap();
    Ok(Arp {
        operation: u16::from_be_bytes([bytes[6], bytes[7]]),
        sender_mac: part(8),
        sender: address(14),
        target_mac: part(18),
        target: address(24),
    })
}

fn read4(bytes: &[u8]) -> Result<Packet, String> {
    if bytes.len() < 20 || bytes[0] >> 4 != 4 {
        return Err("no IPv4 header".into());
    }
    let header = usize::from(bytes[0] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    if header < 20 || total < header || total > bytes.len() {
        return Err(format!("header {header}, total {total} of {} bytes", bytes.len()));
    }
    if checksum::of(&bytes[..header]) != 0 {
        return Err("the IPv4 header checksum is wrong".into());
    }
    if bytes[8] == 0 {
        return Err("TTL 0".into());
    }
    let flags = u16::from_be_bytes([bytes[6], bytes[7]]);
    let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap());
    Ok(Packet {
        source: address(12),
        destination: address(16),
        protocol: bytes[9],
        hop_limit: bytes[8],
        id: u32::from(u16::from_be_bytes([bytes[4], bytes[5]])),
        offset: usize::from(flags & 0x1fff) * 8,
        more: flags & 0x2000 != 0,
        options: bytes[20..header].to_vec(),
        payload: bytes[header..total].to_vec(),
    })
}

fn read6(bytes: &[u8]) -> Result<Packet, String> {
    if bytes.len() < 40 || bytes[0] >> 4 != 6 {
        return Err("no IPv6 header".into());
    }
    let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    if 40 + length > bytes.len() {
        return Err(format!("payload length {length} of {} bytes", bytes.len()));
    }
    if bytes[7] == 0 {
        return Err("hop limit 0".into());
    }
    let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap());
    let mut packet = Packet {
        source: address(8),
        destination: address(24),
        protocol: bytes[6],
        hop_limit: bytes[7],
        id: 0,
        offset: 0,
        more: false,
        options: Vec::new(),
        payload: bytes[40..40 + length].to_vec(),
    };
    // The headers that a host sends: the router alert of MLD, and fragments.
    if packet.protocol == 0 {
        packet.protocol = packet.payload[0];
        packet.options = packet.payload[..8].to_vec();
        packet.payload.drain(..8);
    }
    if packet.protocol == 44 {
        let header: Vec<u8> = packet.payload.drain(..8).collect();
        packet.protocol = header[0];
        packet.offset = usize::from(u16::from_be_bytes([header[2], header[3]]) & 0xfff8);
        packet.more = header[3] & 1 != 0;
        packet.id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    }
    Ok(packet)
}

/// The checksum of what is in the packet, and its length.
fn check_payload(packet: &Packet) -> Result<(), String> {
    let bytes = &packet.payload;
    let with_pseudo_header =
        |covered: &[u8]| checksum::with_pseudo_header(packet.source, packet.destination, packet.protocol, covered);
    let (name, least, sum) = match packet.protocol {
        ICMP => ("ICMP", 8, checksum::of(bytes)),
        ICMP6 => ("ICMPv6", 8, with_pseudo_header(bytes)),
        TCP => ("TCP", 20, with_pseudo_header(bytes)),
        UDP => ("UDP", 8, with_pseudo_header(bytes)),
        2 => ("IGMP", 8, checksum::of(bytes)),
        other => return Err(format!("protocol {other}")),
    };
    if bytes.len() < least {
        return Err(format!("{} bytes of {name}", bytes.len()));
    }
    if sum != 0 {
        return Err(format!("the {name} checksum is wrong"));
    }
    if packet.protocol == UDP && bytes[6..8] == [0, 0] {
        return Err("a UDP checksum of 0 says that there is none".into());
    }
    if packet.protocol == UDP && usize::from(u16::from_be_bytes([bytes[4], bytes[5]])) != bytes.len() {
        return Err("the UDP length is not that of the packet".into());
    }
    if packet.protocol == TCP && !(20..=bytes.len()).contains(&(usize::from(bytes[12] >> 4) * 4)) {
        return Err("the TCP data offset is wrong".into());
    }
    Ok(())
}
