//! The last copy of a packet on its way down: cut to the link's size, every checksum valid.
//!
//! This is the hot path. A super-segment of up to 64 KiB is cut into segments; each has the headers and its
//! share of the data copied once, straight into the frame, and the checksum is taken over the copy while it is
//! in the cache.

use std::num::NonZeroU16;

use smoltcp::wire::{IPV4_HEADER_LEN, IPV6_HEADER_LEN, TCP_HEADER_LEN, TcpPacket, TcpSeqNumber, UDP_HEADER_LEN};

use super::packet::protocol;
use super::{Ip, checksum, extension};
use crate::observe::Rule;

/// Some processors copy blocks of several KiB twenty times slower at unlucky alignments (FACTS §2).
const COPY: usize = 2048;

/// One packet as the link will carry it.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'p> {
    /// Up to the data that is cut: IP and TCP header of a super-segment, the IP header of everything else.
    headers: &'p [u8],
    data: &'p [u8],
    /// The length of the IP header, extension headers included.
    ip_header: usize,
    layout: Layout,
    identification: u16,
    /// How far into the super-segment it starts.
    advance: u32,
    last: bool,
}

/// Where checksums are.
#[derive(Debug, Clone, Copy)]
struct Layout {
    v4: bool,
    protocol: u8,
}

/// The pieces of one packet, in order.
#[derive(Debug, Clone)]
pub struct Pieces<'p> {
    next: Option<Piece<'p>>,
    rest: &'p [u8],
    size: usize,
}

impl Ip {
    /// Cuts a packet into what the link can carry. With `segment`, a TCP super-segment becomes segments of that
    /// many payload bytes, or fewer where the MTU demands it; everything else is one piece. The length fields
    /// and checksums of `packet` may hold anything.
    ///
    /// # Errors
    ///
    /// [`Rule::IpTooLarge`] if it cannot fit the MTU without being fragmented. A packet whose headers make no
    /// sense is refused with the rule that would drop it on the way in.
    pub fn pieces<'p>(&mut self, packet: &'p [u8], segment: Option<NonZeroU16>) -> Result<Pieces<'p>, Rule> {
        let v4 = packet.first().is_some_and(|first| first >> 4 == 4);
        let (protocol, ip_header) = if v4 { upper4(packet)? } else { upper6(packet)? };
        let cut = segment.filter(|_| protocol == protocol::TCP);
        let transport = &packet[ip_header..];
        let transport_header = match (v4, protocol) {
            (_, protocol::TCP) => tcp_header(transport)?,
            (_, protocol::UDP) if transport.len() < UDP_HEADER_LEN => return Err(Rule::UdpMalformed),
            (true, protocol::ICMP) | (false, protocol::ICMPV6) if transport.len() < 4 => {
                return Err(Rule::IcmpMalformed);
            }
            _ => 0,
        };
        let (headers, data) = packet.split_at(ip_header + transport_header);
        let room = self.mtu.saturating_sub(headers.len());
        let size = match cut {
            Some(segment) if data.len() > usize::from(segment.get()).min(room) => usize::from(segment.get()).min(room),
            _ => data.len(),
        };
        if headers.len() + size > self.mtu || (size == 0 && !data.is_empty()) {
            return Err(Rule::IpTooLarge);
        }
        let (first, rest) = data.split_at(size);
        let layout = Layout { v4, protocol };
        let identification = self.identification;
        let piece =
            Piece { headers, data: first, ip_header, layout, identification, advance: 0, last: rest.is_empty() };
        let pieces = Pieces { next: Some(piece), rest, size };
        if v4 {
            // A number for each: at most 65 535 pieces come from one packet.
            self.identification = identification.wrapping_add(pieces.count_left() as u16);
        }
        Ok(pieces)
    }
}

fn upper4(packet: &[u8]) -> Result<(u8, usize), Rule> {
    let header_length = usize::from(packet[0] & 0xf) * 4;
    if packet.len() < IPV4_HEADER_LEN {
        return Err(Rule::Ip4Truncated);
    }
    if header_length < IPV4_HEADER_LEN || header_length > packet.len() {
        return Err(Rule::Ip4HeaderLength);
    }
    Ok((packet[9], header_length))
}

fn upper6(packet: &[u8]) -> Result<(u8, usize), Rule> {
    if packet.len() < IPV6_HEADER_LEN {
        return Err(Rule::Ip6Truncated);
    }
    if packet[0] >> 4 != 6 {
        return Err(Rule::Ip6Version);
    }
    extension::upper(packet).ok_or(Rule::Ip6Extension)
}

fn tcp_header(segment: &[u8]) -> Result<usize, Rule> {
    let length = segment.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    if length < TCP_HEADER_LEN || length > segment.len() { Err(Rule::TcpMalformed) } else { Ok(length) }
}

impl Pieces<'_> {
    fn count_left(&self) -> usize {
        usize::from(self.next.is_some()) + self.rest.len().div_ceil(self.size.max(1))
    }
}

impl<'p> Iterator for Pieces<'p> {
    type Item = Piece<'p>;

    fn next(&mut self) -> Option<Piece<'p>> {
        let piece = self.next?;
        self.next = (!self.rest.is_empty()).then(|| {
            let (data, rest) = self.rest.split_at(self.size.min(self.rest.len()));
            self.rest = rest;
            Piece {
                data,
                identification: piece.identification.wrapping_add(1),
                advance: piece.advance.wrapping_add(piece.data.len() as u32),
                last: rest.is_empty(),
                ..piece
            }
        });
        Some(piece)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count_left(), Some(self.count_left()))
    }
}

impl ExactSizeIterator for Pieces<'_> {}

impl Piece<'_> {
    /// Its bytes on the link, from the IP header on; never more than the MTU.
    #[expect(clippy::len_without_is_empty, reason = "it always has a header")]
    pub fn len(&self) -> usize {
        self.headers.len() + self.data.len()
    }

    /// Writes it to the front of `out`, with every checksum valid.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than [`len`](Piece::len).
    pub fn write(&self, out: &mut [u8]) {
        let out = &mut out[..self.len()];
        let (headers, data) = out.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        for (to, from) in data.chunks_mut(COPY).zip(self.data.chunks(COPY)) {
            to.copy_from_slice(from);
        }
        let (ip, transport) = out.split_at_mut(self.ip_header);
        let addresses = if self.layout.v4 {
            self.write_ip4(ip, transport.len());
            &ip[12..20]
        } else {
            let length = u16::try_from(ip.len() - IPV6_HEADER_LEN + transport.len()).unwrap_or(u16::MAX);
            ip[4..6].copy_from_slice(&length.to_be_bytes());
            &ip[8..40]
        };
        let addresses = smoltcp::wire::checksum::data(addresses);
        let protocol = self.layout.protocol;
        let field = match (self.layout.v4, protocol) {
            (_, protocol::TCP) => {
                self.write_tcp(transport);
                16
            }
            (_, protocol::UDP) => 6,
            (true, protocol::ICMP) | (false, protocol::ICMPV6) => 2,
            _ => return,
        };
        transport[field..field + 2].fill(0);
        let mut sum = match protocol {
            protocol::ICMP => checksum::of(transport),
            _ => checksum::over_pseudo_header(addresses, protocol, transport),
        };
        if protocol == protocol::UDP && sum == 0 {
            sum = 0xffff; // 0 would say that there is no checksum (RFC 768)
        }
        transport[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    }

    fn write_ip4(&self, ip: &mut [u8], payload: usize) {
        let total = u16::try_from(ip.len() + payload).unwrap_or(u16::MAX);
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[4..6].copy_from_slice(&self.identification.to_be_bytes());
        // Don't Fragment: path MTU discovery (RFC 1191), and so the identification needs no care (RFC 6864 §4.1).
        ip[6..8].copy_from_slice(&[0x40, 0]);
        ip[10..12].fill(0);
        let sum = checksum::of(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    fn write_tcp(&self, transport: &mut [u8]) {
        let mut header = TcpPacket::new_unchecked(transport);
        if self.advance != 0 {
            let TcpSeqNumber(first) = header.seq_number();
            header.set_seq_number(TcpSeqNumber(first.wrapping_add(self.advance as i32)));
            header.set_cwr(false); // said once (RFC 3168 §6.1.2)
        }
        if !self.last {
            header.set_fin(false);
            header.set_psh(false);
        }
    }
}

#[cfg(test)]
mod tests;
