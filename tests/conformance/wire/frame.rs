//! What a test sends: packets and segments whose every field can be chosen, written by smoltcp's setters.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6FragmentHeader, Ipv6Packet,
    TcpPacket, TcpSeqNumber, UdpPacket,
};

use super::checksum;

pub(crate) type Mac = [u8; 6];

/// The stack's own addresses.
pub(crate) const OUR_MAC: Mac = [0x02, 0x00, 0x5e, 0x10, 0x00, 0x01];
pub(crate) const OUR_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 1);
pub(crate) const OUR_V6: Ipv6Addr = Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 1);

/// The neighbour that every frame comes from: a hand, and nobody's kernel.
pub(crate) const PEER_MAC: Mac = [0x02, 0, 0, 0, 0, 0x77];
pub(crate) const PEER_V4: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 77);
pub(crate) const PEER_V6: Ipv6Addr = Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 0x77);

pub(crate) const BROADCAST: Mac = [0xff; 6];

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP6: u8 = 58;

pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IP4: u16 = 0x0800;
pub(crate) const IP6: u16 = 0x86dd;

/// The two versions of IP; most lines hold for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}
pub(crate) use Family::{V4, V6};
pub(crate) const FAMILIES: [Family; 2] = [V4, V6];

impl Family {
    /// The stack's address.
    pub(crate) fn us(self) -> IpAddr {
        match self {
            V4 => OUR_V4.into(),
            V6 => OUR_V6.into(),
        }
    }

    /// The neighbour's address.
    pub(crate) fn peer(self) -> IpAddr {
        match self {
            V4 => PEER_V4.into(),
            V6 => PEER_V6.into(),
        }
    }

    /// What ICMP is called in there.
    pub(crate) fn icmp(self) -> u8 {
        match self {
            V4 => ICMP,
            V6 => ICMP6,
        }
    }

    /// The IP header's length, without options.
    pub(crate) fn header(self) -> usize {
        match self {
            V4 => 20,
            V6 => 40,
        }
    }
}

/// The Ethernet address of a group.
pub(crate) fn group_mac(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(address) if address.is_multicast() => {
            let [_, b, c, d] = address.octets();
            [0x01, 0x00, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V4(_) => BROADCAST,
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [0x33, 0x33, a, b, c, d]
        }
    }
}

/// An Ethernet frame.
pub(crate) fn ethernet(to: Mac, from: Mac, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + payload.len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    frame.set_dst_addr(EthernetAddress(to));
    frame.set_src_addr(EthernetAddress(from));
    frame.set_ethertype(EthernetProtocol::from(ethertype));
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

/// An IP packet to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// Of the payload; behind the fragment header if there is one.
    pub(crate) protocol: u8,
    pub(crate) hop_limit: u8,
    pub(crate) id: u32,
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) more: bool,
    /// IPv4 options, in multiples of four bytes.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    /// From the neighbour to the stack.
    pub(crate) fn new(family: Family, protocol: u8, payload: Vec<u8>) -> Packet {
        Packet {
            source: family.peer(),
            destination: family.us(),
            protocol,
            hop_limit: 64,
            id: 0x4242,
            offset: 0,
            more: false,
            options: Vec::new(),
            payload,
        }
    }

    /// The packet, with a valid header. IPv6 fragments get their header, atomic ones do not.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => self.bytes4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => self.bytes6(source, destination),
            _ => panic!("{self:?} is of two families"),
        }
    }

    fn bytes4(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut bytes = vec![0; header + self.payload.len()];
        bytes[20..header].copy_from_slice(&self.options);
        bytes[header..].copy_from_slice(&self.payload);
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes);
        packet.set_version(4);
        packet.set_header_len(header as u8);
        packet.set_total_len((header + self.payload.len()) as u16);
        packet.set_ident(self.id as u16);
        packet.set_more_frags(self.more);
        packet.set_frag_offset(self.offset as u16);
        packet.set_hop_limit(self.hop_limit);
        packet.set_next_header(IpProtocol::from(self.protocol));
        packet.set_src_addr(source);
        packet.set_dst_addr(destination);
        packet.fill_checksum();
        bytes
    }

    fn bytes6(&self, source: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
        let is_fragment = self.more || self.offset != 0;
        let extension =
            if is_fragment { fragment_header(self.protocol, self.id, self.offset, self.more) } else { vec![] };
        let mut bytes = vec![0; 40 + extension.len() + self.payload.len()];
        bytes[40..40 + extension.len()].copy_from_slice(&extension);
        bytes[40 + extension.len()..].copy_from_slice(&self.payload);
        let mut packet = Ipv6Packet::new_unchecked(&mut bytes);
        packet.set_version(6);
        packet.set_payload_len((extension.len() + self.payload.len()) as u16);
        packet.set_next_header(IpProtocol::from(if is_fragment { 44 } else { self.protocol }));
        packet.set_hop_limit(self.hop_limit);
        packet.set_src_addr(source);
        packet.set_dst_addr(destination);
        bytes
    }

    /// In a frame from the neighbour, to the stack or to the group.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let is_group = match self.destination {
            IpAddr::V4(address) => address.is_multicast() || address.is_broadcast() || address.octets()[3] == 255,
            IpAddr::V6(address) => address.is_multicast(),
        };
        let to = if is_group { group_mac(self.destination) } else { OUR_MAC };
        self.frame_to(to)
    }

    /// In a frame from the neighbour to this Ethernet address.
    pub(crate) fn frame_to(&self, to: Mac) -> Vec<u8> {
        let ethertype = if self.source.is_ipv4() { IP4 } else { IP6 };
        ethernet(to, PEER_MAC, ethertype, &self.bytes())
    }

    /// Cut into fragments of at most `size` bytes of payload each, `size` being a multiple of 8.
    pub(crate) fn fragments(&self, size: usize) -> Vec<Packet> {
        let count = self.payload.len().div_ceil(size);
        let pieces = self.payload.chunks(size).enumerate().map(|(i, piece)| Packet {
            offset: i * size,
            more: i + 1 < count,
            payload: piece.to_vec(),
            ..self.clone()
        });
        pieces.collect()
    }
}

/// An IPv6 fragment header.
pub(crate) fn fragment_header(next: u8, id: u32, offset: usize, more: bool) -> Vec<u8> {
    let mut bytes = vec![next, 0, 0, 0, 0, 0, 0, 0];
    let mut header = Ipv6FragmentHeader::new_unchecked(&mut bytes[2..]);
    header.set_frag_offset((offset / 8) as u16);
    header.set_more_frags(more);
    header.set_ident(id);
    bytes
}

/// An ICMP message, its checksum filled in as the family demands.
pub(crate) fn icmp(source: IpAddr, destination: IpAddr, kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend_from_slice(&rest);
    message.extend_from_slice(data);
    let sum = match source {
        IpAddr::V4(_) => checksum::of(&message),
        IpAddr::V6(_) => checksum::with_pseudo_header(source, destination, ICMP6, &message),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// An ICMP message from the neighbour to the stack.
pub(crate) fn icmp_packet(family: Family, kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Packet {
    let message = icmp(family.peer(), family.us(), kind, code, rest, data);
    Packet::new(family, family.icmp(), message)
}

/// A ping from the neighbour to the stack.
pub(crate) fn ping(family: Family, number: u16, data: &[u8]) -> Packet {
    let [a, b] = number.to_be_bytes();
    icmp_packet(family, if family == V4 { 8 } else { 128 }, 0, [0x12, 0x34, a, b], data)
}

/// A ping to another address than the stack's own, or from another than the neighbour's.
pub(crate) fn ping_between(source: IpAddr, destination: IpAddr, data: &[u8]) -> Packet {
    let family = if source.is_ipv4() { V4 } else { V6 };
    let kind = if family == V4 { 8 } else { 128 };
    let message = icmp(source, destination, kind, 0, [0x12, 0x34, 0, 1], data);
    Packet { source, destination, ..Packet::new(family, family.icmp(), message) }
}

/// Bytes that are easy to compare and hard to get right by chance.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8 ^ (i / 251) as u8).collect()
}

/// A UDP datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) payload: Vec<u8>,
}

impl Datagram {
    /// From the neighbour to a port of the stack.
    pub(crate) fn new(family: Family, port: u16, payload: &[u8]) -> Datagram {
        let (from, to) = (SocketAddr::new(family.peer(), 40_000), SocketAddr::new(family.us(), port));
        Datagram { from, to, payload: payload.to_vec() }
    }

    /// The datagram, its checksum filled in.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 8 + self.payload.len()];
        bytes[8..].copy_from_slice(&self.payload);
        let mut datagram = UdpPacket::new_unchecked(&mut bytes);
        datagram.set_src_port(self.from.port());
        datagram.set_dst_port(self.to.port());
        datagram.set_len((8 + self.payload.len()) as u16);
        datagram.fill_checksum(&self.from.ip().into(), &self.to.ip().into());
        bytes
    }

    pub(crate) fn packet(&self) -> Packet {
        let family = if self.from.is_ipv4() { V4 } else { V6 };
        Packet { source: self.from.ip(), destination: self.to.ip(), ..Packet::new(family, UDP, self.bytes()) }
    }
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// A TCP segment, to be sent or received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) seq: u32,
    /// 0 without the flag.
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// As they stand on the wire; padded with zeros to a multiple of four when they are written.
    pub(crate) options: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Segment {
    /// From the neighbour's `port` to the stack's.
    pub(crate) fn new(family: Family, port: u16, to: u16, flags: u8, seq: u32, ack: u32) -> Segment {
        Segment {
            from: SocketAddr::new(family.peer(), port),
            to: SocketAddr::new(family.us(), to),
            seq,
            ack,
            flags,
            window: 64_000,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let header = 20 + self.options.len().next_multiple_of(4);
        let mut bytes = vec![0; header + self.payload.len()];
        bytes[20..20 + self.options.len()].copy_from_slice(&self.options);
        bytes[header..].copy_from_slice(&self.payload);
        let mut segment = TcpPacket::new_unchecked(&mut bytes);
        segment.set_src_port(self.from.port());
        segment.set_dst_port(self.to.port());
        segment.set_seq_number(TcpSeqNumber(self.seq as i32));
        segment.set_ack_number(TcpSeqNumber(self.ack as i32));
        segment.set_header_len(header as u8);
        segment.set_window_len(self.window);
        segment.set_fin(self.flags & FIN != 0);
        segment.set_syn(self.flags & SYN != 0);
        segment.set_rst(self.flags & RST != 0);
        segment.set_psh(self.flags & PSH != 0);
        segment.set_ack(self.flags & ACK != 0);
        segment.fill_checksum(&self.from.ip().into(), &self.to.ip().into());
        bytes
    }

    pub(crate) fn packet(&self) -> Packet {
        let family = if self.from.is_ipv4() { V4 } else { V6 };
        Packet { source: self.from.ip(), destination: self.to.ip(), ..Packet::new(family, TCP, self.bytes()) }
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        self.packet().frame()
    }

    /// The number after its last byte, SYN and FIN counted.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.seq.wrapping_add(self.payload.len() as u32).wrapping_add(flags)
    }

    pub(crate) fn is(&self, flags: u8) -> bool {
        self.flags & !PSH == flags
    }

    /// The body of the first option of this kind.
    pub(crate) fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = self.options.as_slice();
        loop {
            match *rest {
                [] | [0, ..] => return None,
                [1, ..] => rest = &rest[1..],
                [this, length, ..] => {
                    let (option, after) = rest.split_at(usize::from(length));
                    if this == kind {
                        return Some(&option[2..]);
                    }
                    rest = after;
                }
                [_] => panic!("half an option: {:?}", self.options),
            }
        }
    }

    pub(crate) fn mss(&self) -> Option<u16> {
        self.option(2).map(|body| u16::from_be_bytes([body[0], body[1]]))
    }

    pub(crate) fn window_scale(&self) -> Option<u8> {
        self.option(3).map(|body| body[0])
    }

    /// TSval and TSecr.
    pub(crate) fn timestamps(&self) -> Option<(u32, u32)> {
        let body = self.option(8)?;
        let word = |at: usize| u32::from_be_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        Some((word(0), word(4)))
    }

    /// The SACK blocks.
    pub(crate) fn sack(&self) -> Vec<(u32, u32)> {
        let body = self.option(5).unwrap_or_default();
        let word = |bytes: &[u8]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        body.chunks(8).map(|block| (word(block), word(&block[4..]))).collect()
    }
}

/// A timestamps option with two NOPs before it.
pub(crate) fn timestamps(value: u32, echo: u32) -> Vec<u8> {
    let mut option = vec![1, 1, 8, 10];
    option.extend_from_slice(&value.to_be_bytes());
    option.extend_from_slice(&echo.to_be_bytes());
    option
}
