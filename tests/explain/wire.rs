//! Packets, written byte by byte, with checksums of an own making.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 1071, over several pieces of even length, the last of any.
fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for piece in pieces {
        for pair in piece.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// What IP carries, with the number of its protocol, and where in it the checksum goes.
pub(crate) struct Message {
    pub(crate) protocol: u8,
    pub(crate) bytes: Vec<u8>,
    checksum: Option<usize>,
    has_pseudo_header: bool,
}

impl Message {
    /// Fills the checksum in.
    fn settled(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let Some(at) = self.checksum else { return bytes };
        put(&mut bytes, at, 0);
        let length = (bytes.len() as u32).to_be_bytes();
        let rest = [0, 0, 0, self.protocol];
        let value = match (source, destination, self.has_pseudo_header) {
            (_, _, false) => checksum(&[&bytes]),
            (IpAddr::V4(a), IpAddr::V4(b), true) => checksum(&[&a.octets(), &b.octets(), &rest, &length, &bytes]),
            (IpAddr::V6(a), IpAddr::V6(b), true) => checksum(&[&a.octets(), &b.octets(), &rest, &length, &bytes]),
            _ => unreachable!(),
        };
        put(&mut bytes, at, if self.protocol == 17 && value == 0 { 0xffff } else { value });
        bytes
    }
}

/// A TCP segment; `flags` are the twelve bits behind the data offset.
pub(crate) fn tcp(
    ports: (u16, u16),
    numbers: (u32, u32),
    flags: u16,
    window: u16,
    options: &[u8],
    data: &[u8],
) -> Message {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(numbers.0.to_be_bytes());
    bytes.extend(numbers.1.to_be_bytes());
    let words = 5 + options.len().div_ceil(4) as u16;
    bytes.extend((words << 12 | flags).to_be_bytes());
    bytes.extend(window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.resize(usize::from(words) * 4, 0);
    bytes.extend(data);
    Message { protocol: 6, bytes, checksum: Some(16), has_pseudo_header: true }
}

pub(crate) fn udp(ports: (u16, u16), data: &[u8], has_checksum: bool) -> Message {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend((8 + data.len() as u16).to_be_bytes());
    bytes.extend([0; 2]);
    bytes.extend(data);
    Message { protocol: 17, bytes, checksum: has_checksum.then_some(6), has_pseudo_header: true }
}

/// ICMP of either version, or IGMP: type, code, and what follows the checksum.
pub(crate) fn message(protocol: u8, kind: u8, code: u8, rest: &[u8]) -> Message {
    let bytes = [&[kind, code, 0, 0], rest].concat();
    Message { protocol, bytes, checksum: Some(2), has_pseudo_header: protocol == 58 }
}

pub(crate) fn other(protocol: u8, bytes: Vec<u8>) -> Message {
    Message { protocol, bytes, checksum: None, has_pseudo_header: false }
}

/// The fields of an IPv4 header that tests choose.
pub(crate) struct Ip4 {
    pub(crate) source: Ipv4Addr,
    pub(crate) destination: Ipv4Addr,
    pub(crate) service: u8,
    pub(crate) identification: u16,
    /// Flags and fragment offset.
    pub(crate) fragment: u16,
    pub(crate) ttl: u8,
    pub(crate) options: Vec<u8>,
}

impl Ip4 {
    pub(crate) fn packet(&self, message: &Message) -> Vec<u8> {
        self.around(message.protocol, &message.settled(self.source.into(), self.destination.into()))
    }

    pub(crate) fn around(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len().div_ceil(4);
        let mut header = vec![0x40 | words as u8, self.service];
        header.extend((words as u16 * 4 + payload.len() as u16).to_be_bytes());
        header.extend(self.identification.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, protocol, 0, 0]);
        header.extend(self.source.octets());
        header.extend(self.destination.octets());
        header.extend(&self.options);
        header.resize(words * 4, 0);
        let value = checksum(&[&header]);
        put(&mut header, 10, value);
        header.extend(payload);
        header
    }
}

/// The fields of an IPv6 header that tests choose.
pub(crate) struct Ip6 {
    pub(crate) source: Ipv6Addr,
    pub(crate) destination: Ipv6Addr,
    pub(crate) class: u8,
    pub(crate) flow: u32,
    pub(crate) hop_limit: u8,
    /// Each with its number; their next headers are filled in.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    /// Where a routing header leads in the end.
    pub(crate) last: Option<Ipv6Addr>,
}

impl Ip6 {
    pub(crate) fn packet(&self, message: &Message) -> Vec<u8> {
        let last = self.last.unwrap_or(self.destination);
        self.around(message.protocol, &message.settled(self.source.into(), last.into()))
    }

    pub(crate) fn around(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = (6 << 28 | u32::from(self.class) << 20 | self.flow).to_be_bytes().to_vec();
        let length = payload.len() + self.extensions.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        packet.extend((length as u16).to_be_bytes());
        packet.push(self.extensions.first().map_or(protocol, |(number, _)| *number));
        packet.push(self.hop_limit);
        packet.extend(self.source.octets());
        packet.extend(self.destination.octets());
        for (i, (_, bytes)) in self.extensions.iter().enumerate() {
            let mut bytes = bytes.clone();
            bytes[0] = self.extensions.get(i + 1).map_or(protocol, |(number, _)| *number);
            packet.extend(bytes);
        }
        packet.extend(payload);
        packet
    }
}

/// A frame; short ones are filled up, as on Ethernet.
pub(crate) fn ethernet(tags: &[u16], kind: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0x5e, 0x10, 0, 1, 0x2e, 0x5a, 1, 0x77, 3, 0x9c];
    for (i, tag) in tags.iter().enumerate() {
        let kind: u16 = if i + 1 < tags.len() { 0x88a8 } else { 0x8100 };
        frame.extend(kind.to_be_bytes());
        frame.extend(tag.to_be_bytes());
    }
    frame.extend(kind.to_be_bytes());
    frame.extend(payload);
    if frame.len() < 60 {
        frame.resize(60, 0);
    }
    frame
}
