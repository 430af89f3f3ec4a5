//! The last copy of a packet on its way down: cut to the link's size, every checksum valid.
//!
//! This is the hot path. A super-segment of up to 64 KiB is cut into segments; each has the headers and its
//! share of the data copied once, straight into the frame, and the checksum is taken over the copy while it is
//! in the cache. Everything else that is too large is cut into fragments, under one checksum over all of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use smoltcp::wire::{IPV4_HEADER_LEN, IPV6_HEADER_LEN, TCP_HEADER_LEN, TcpPacket, TcpSeqNumber, UDP_HEADER_LEN};

use super::packet::protocol;
use super::path_mtu::PathMtu;
use super::{Form, Ip, checksum, extension};
use crate::observe::Rule;

/// Some processors copy blocks of several KiB twenty times slower at unlucky alignments (FACTS §2).
const COPY: usize = 2048;

/// The longest IPv4 packet, and the longest payload of an IPv6 packet.
const LONGEST: usize = 65_535;

const FRAGMENT_HEADER: usize = 8;
const NEXT_HEADER_FIELD: usize = 6;

/// One packet as the link will carry it.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'p> {
    /// Up to the data that is cut: IP and TCP header of a super-segment, the IP header of everything else.
    headers: &'p [u8],
    data: &'p [u8],
    /// The length of the IP header, extension headers included.
    ip_header: usize,
    layout: Layout,
    /// Of IPv4: 0 where nobody may cut, because then it says nothing (RFC 6864 §4.1).
    identification: u16,
    /// Don't Fragment: path MTU discovery (RFC 1191).
    dont_fragment: bool,
    /// How far into the data of all pieces it starts.
    advance: u32,
    last: bool,
    fragment: Option<Fragment>,
}

/// What the fragments of one datagram have in common.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    /// Of IPv6.
    identification: u32,
    /// Where in the first fragment's data the checksum goes, and what it is.
    checksum: Option<(usize, u16)>,
}

/// Where checksums are.
#[derive(Debug, Clone, Copy)]
struct Layout {
    v4: bool,
    protocol: u8,
    form: Form,
}

impl Layout {
    /// Where the transport's checksum stands; `None` for protocols that we know nothing about.
    fn checksum_field(self) -> Option<usize> {
        match (self.v4, self.protocol) {
            _ if !matches!(self.form, Form::Ours(_) | Form::Probe) => None,
            (_, protocol::TCP) => Some(16),
            (_, protocol::UDP) => Some(6),
            (true, protocol::ICMP) | (false, protocol::ICMPV6) => Some(2),
            _ => None,
        }
    }

    /// Who discovers path MTUs: what a socket sends, unless it does not want to. An answer of ours, that no socket sent,
    /// is told nothing about its way, and says that it may be cut.
    fn is_discovered(self, is_narrow: bool, packet: &[u8]) -> bool {
        !(is_narrow || self.v4 && may_be_cut(packet))
    }

    /// Writes the lengths and checksums of a packet that is whole.
    fn seal(self, packet: &mut [u8], ip_header: usize, identification: u16, dont_fragment: bool) {
        if matches!(self.form, Form::Whole | Form::Looped) {
            return;
        }
        let (ip, transport) = packet.split_at_mut(ip_header);
        if self.v4 {
            let flags = if dont_fragment { 0x4000 } else { 0 };
            write_ip4(ip, transport.len(), identification, flags);
        } else {
            write_ip6(ip, transport.len());
        }
        let Some(field) = self.checksum_field() else { return };
        transport[field..field + 2].fill(0);
        let sum = match self.protocol {
            protocol::ICMP => checksum::of(transport),
            protocol => checksum::over_pseudo_header(addresses(ip, self.v4), protocol, transport),
        };
        transport[field..field + 2].copy_from_slice(&self.finish(sum).to_be_bytes());
    }

    /// What a checksum is sent as.
    fn finish(self, checksum: u16) -> u16 {
        // 0 would say that there is none (RFC 768).
        if self.protocol == protocol::UDP && checksum == 0 { 0xffff } else { checksum }
    }
}

/// The pieces of one packet, in order.
#[derive(Debug, Clone)]
pub struct Pieces<'p> {
    next: Option<Piece<'p>>,
    rest: &'p [u8],
    size: usize,
}

impl Ip {
    /// Cuts a packet into what its way can carry. With `segment`, a TCP super-segment becomes segments of that
    /// many payload bytes, or fewer where the path MTU demands it; other TCP packets must fit; everything else is
    /// cut into fragments if it is larger than the path MTU. The length fields and checksums of `packet` may hold
    /// anything.
    ///
    /// # Errors
    ///
    /// [`Rule::IpTooLarge`] if it cannot be sent at any rate. A packet whose headers make no sense is refused with
    /// the rule that would drop it on the way in.
    pub fn pieces<'p>(&mut self, packet: &'p [u8], segment: Option<NonZeroU16>) -> Result<Pieces<'p>, Rule> {
        self.pieces_as(packet, Form::Ours(segment))
    }

    /// [`pieces`](Ip::pieces) of a packet into which only `form` may be written. A program's payload is cut into
    /// fragments if it is too large, whatever it is; a program's packet is not cut.
    ///
    /// # Errors
    ///
    /// As [`pieces`](Ip::pieces).
    pub fn pieces_as<'p>(&mut self, packet: &'p [u8], form: Form) -> Result<Pieces<'p>, Rule> {
        let headers = headers(packet, form)?;
        let v4 = headers.0.v4;
        let way = match form {
            Form::Probe | Form::ProbePayload => {
                PathMtu { mtu: if v4 { self.mtu } else { self.mtu6 }, is_narrow: false }
            }
            _ => self.way(packet, v4),
        };
        self.cut(packet, headers, form, way)
    }

    /// The segments of a super-segment to ourselves that is longer than the peer wants its segments, which may be shorter
    /// than the loopback could carry. `None`: it is not, and can stay as it is, for [`complete`](Ip::complete).
    ///
    /// # Errors
    ///
    /// As [`pieces`](Ip::pieces).
    pub fn local_pieces<'p>(&mut self, packet: &'p [u8], form: Form) -> Result<Option<Pieces<'p>>, Rule> {
        let Form::Ours(Some(segment)) = form else { return Ok(None) };
        let headers = headers(packet, form)?;
        if packet.len() - headers.1 - headers.2 <= usize::from(segment.get()) {
            return Ok(None);
        }
        let way = PathMtu { mtu: LONGEST, is_narrow: false };
        self.cut(packet, headers, form, way).map(Some)
    }

    fn cut<'p>(
        &mut self,
        packet: &'p [u8],
        (layout, ip_header, transport_header): (Layout, usize, usize),
        form: Form,
        way: PathMtu,
    ) -> Result<Pieces<'p>, Rule> {
        let Layout { v4, protocol, .. } = layout;
        let cut = match form {
            Form::Ours(segment) => segment.filter(|_| protocol == protocol::TCP),
            Form::Probe | Form::Payload | Form::ProbePayload | Form::Whole | Form::Looped => None,
        };
        let is_cut = match form {
            Form::Ours(_) | Form::Probe => protocol != protocol::TCP,
            Form::Payload | Form::ProbePayload => true,
            Form::Whole | Form::Looped => false,
        };
        if packet.len() > way.mtu && is_cut {
            return self.fragments(packet, ip_header, layout, way);
        }
        let (headers, data) = packet.split_at(ip_header + transport_header);
        let room = way.mtu.saturating_sub(headers.len());
        let size = match cut {
            Some(segment) if data.len() > usize::from(segment.get()).min(room) => usize::from(segment.get()).min(room),
            _ => data.len(),
        };
        if headers.len() + size > way.mtu || (size == 0 && !data.is_empty()) {
            return Err(Rule::IpTooLarge);
        }
        let (first, rest) = data.split_at(size);
        let dont_fragment = layout.is_discovered(way.is_narrow, packet);
        let piece = Piece {
            headers,
            data: first,
            ip_header,
            layout,
            identification: 0,
            dont_fragment,
            advance: 0,
            last: rest.is_empty(),
            fragment: None,
        };
        let mut pieces = Pieces { next: Some(piece), rest, size };
        if v4 && !dont_fragment && form != Form::Whole {
            let count = pieces.count_left();
            pieces.next = Some(Piece { identification: self.identification(packet, count), ..piece });
        }
        Ok(pieces)
    }

    /// Fills in what [`pieces`](Ip::pieces) would, the packet staying where and as large as it is: its lengths and every
    /// checksum. For the loopback, which takes whatever fits into one IP packet. (An IPv6 datagram may be 39 bytes longer
    /// than its MTU; nobody is helped by two fragments then.)
    ///
    /// # Errors
    ///
    /// [`Rule::IpTooLarge`]; a packet whose headers make no sense is refused with the rule that would drop it on the way
    /// in.
    pub fn complete(&mut self, packet: &mut [u8], form: Form) -> Result<(), Rule> {
        let (layout, ip_header, _) = headers(packet, form)?;
        if packet.len() > LONGEST + if layout.v4 { 0 } else { IPV6_HEADER_LEN } {
            return Err(Rule::IpTooLarge);
        }
        let dont_fragment = layout.is_discovered(false, packet);
        let identification = if layout.v4 && !dont_fragment { self.identification(packet, 1) } else { 0 };
        layout.seal(packet, ip_header, identification, dont_fragment);
        Ok(())
    }

    /// What the way to the packet's destination can carry.
    fn way(&self, packet: &[u8], v4: bool) -> PathMtu {
        let link = if v4 { self.mtu } else { self.mtu6 };
        if self.paths.is_empty() {
            return PathMtu { mtu: link, is_narrow: false };
        }
        let destination = if v4 {
            packet
                .get(16..20)
                .and_then(|octets| octets.first_chunk())
                .map(|&octets| Ipv4Addr::from_octets(octets).into())
        } else {
            packet
                .get(24..40)
                .and_then(|octets| octets.first_chunk())
                .map(|&octets| Ipv6Addr::from_octets(octets).into())
        };
        self.paths.get(destination.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), link)
    }

    /// For as many IPv4 packets that may be cut.
    pub(super) fn identification(&mut self, packet: &[u8], count: usize) -> u16 {
        let mut flow = [0; 9];
        flow[..8].copy_from_slice(&packet[12..20]);
        flow[8] = packet[9];
        self.identifications.next4(&flow, count)
    }

    /// Cuts a datagram (RFC 791 §3.2, RFC 8200 §4.5). Nothing that large has options or extension headers, so
    /// nobody need tell those that belong into every fragment from those that do not.
    fn fragments<'p>(
        &mut self,
        packet: &'p [u8],
        ip_header: usize,
        layout: Layout,
        way: PathMtu,
    ) -> Result<Pieces<'p>, Rule> {
        let (simple, fragment_header, longest) = if layout.v4 {
            (IPV4_HEADER_LEN, 0, LONGEST)
        } else {
            (IPV6_HEADER_LEN, FRAGMENT_HEADER, IPV6_HEADER_LEN + LONGEST)
        };
        let size = way.mtu.saturating_sub(ip_header + fragment_header) & !7;
        if ip_header != simple || packet.len() > longest || size == 0 {
            return Err(Rule::IpTooLarge);
        }
        let (headers, data) = packet.split_at(ip_header);
        let checksum = layout.checksum_field().map(|field| {
            let (before, after) = (&data[..field], &data[field + 2..]);
            let sums = [smoltcp::wire::checksum::data(before), smoltcp::wire::checksum::data(after)];
            let payload = smoltcp::wire::checksum::combine(&sums);
            let sum = match layout.protocol {
                protocol::ICMP => !payload,
                _ => checksum::of_sums(addresses(headers, layout.v4), layout.protocol, data.len(), payload),
            };
            (field, layout.finish(sum))
        });
        let identification = if layout.v4 { self.identification(packet, 1) } else { 0 };
        let fragment = Fragment { identification: if layout.v4 { 0 } else { self.identifications.next6() }, checksum };
        let (first, rest) = data.split_at(size.min(data.len()));
        let piece = Piece {
            headers,
            data: first,
            ip_header,
            layout,
            identification,
            dont_fragment: false,
            advance: 0,
            last: rest.is_empty(),
            fragment: Some(fragment),
        };
        Ok(Pieces { next: Some(piece), rest, size })
    }
}

/// Whether an IPv4 packet says that routers may cut it.
fn may_be_cut(packet: &[u8]) -> bool {
    packet.get(6).is_some_and(|flags| flags & 0x40 == 0)
}

/// The sum of both addresses in an IP header.
fn addresses(ip: &[u8], v4: bool) -> u16 {
    smoltcp::wire::checksum::data(if v4 { &ip[12..20] } else { &ip[8..40] })
}

/// What the headers are, and the lengths of the IP header and of that part of the transport's which is not cut.
fn headers(packet: &[u8], form: Form) -> Result<(Layout, usize, usize), Rule> {
    let v4 = packet.first().is_some_and(|first| first >> 4 == 4);
    if !matches!(form, Form::Ours(_) | Form::Probe) {
        // What is behind the fixed header is the program's affair.
        let (ip_header, protocol) = if v4 { (IPV4_HEADER_LEN, 9) } else { (IPV6_HEADER_LEN, NEXT_HEADER_FIELD) };
        if packet.len() < ip_header {
            return Err(if v4 { Rule::Ip4Truncated } else { Rule::Ip6Truncated });
        }
        return Ok((Layout { v4, protocol: packet[protocol], form }, ip_header, 0));
    }
    let (protocol, ip_header) = if v4 { upper4(packet)? } else { upper6(packet)? };
    let transport = &packet[ip_header..];
    let transport_header = match (v4, protocol) {
        (_, protocol::TCP) => tcp_header(transport)?,
        (_, protocol::UDP) if transport.len() < UDP_HEADER_LEN => return Err(Rule::UdpMalformed),
        (true, protocol::ICMP) | (false, protocol::ICMPV6) if transport.len() < 4 => {
            return Err(Rule::IcmpMalformed);
        }
        _ => 0,
    };
    Ok((Layout { v4, protocol, form }, ip_header, transport_header))
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
                identification: match piece.fragment {
                    None if !piece.dont_fragment => piece.identification.wrapping_add(1),
                    _ => piece.identification,
                },
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
        self.headers.len() + self.fragment_header() + self.data.len()
    }

    fn fragment_header(&self) -> usize {
        if self.fragment.is_some() && !self.layout.v4 { FRAGMENT_HEADER } else { 0 }
    }

    /// Writes it to the front of `out`, with every checksum valid.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than [`len`](Piece::len).
    pub fn write(&self, out: &mut [u8]) {
        let out = &mut out[..self.len()];
        let (headers, rest) = out.split_at_mut(self.headers.len());
        let (fragment_header, data) = rest.split_at_mut(self.fragment_header());
        headers.copy_from_slice(self.headers);
        for (to, from) in data.chunks_mut(COPY).zip(self.data.chunks(COPY)) {
            to.copy_from_slice(from);
        }
        if let Some(fragment) = self.fragment {
            self.write_fragment(fragment, headers, fragment_header, data);
            return;
        }
        if self.layout.protocol == protocol::TCP && matches!(self.layout.form, Form::Ours(_)) {
            self.write_tcp(&mut out[self.ip_header..]);
        }
        self.layout.seal(out, self.ip_header, self.identification, self.dont_fragment);
    }

    fn write_fragment(&self, fragment: Fragment, ip: &mut [u8], header: &mut [u8], data: &mut [u8]) {
        // The data of a datagram is at most 65 535 bytes, and all but the last piece are multiples of 8.
        let offset = self.advance as u16;
        if self.layout.v4 {
            let flags = if self.last { 0 } else { 0x2000 };
            write_ip4(ip, data.len(), self.identification, flags | offset >> 3);
        } else {
            write_ip6(ip, header.len() + data.len());
            ip[NEXT_HEADER_FIELD] = protocol::FRAGMENT;
            header[..2].copy_from_slice(&[self.layout.protocol, 0]);
            header[2..4].copy_from_slice(&(offset | u16::from(!self.last)).to_be_bytes());
            header[4..].copy_from_slice(&fragment.identification.to_be_bytes());
        }
        if let Some((field, sum)) = fragment.checksum.filter(|_| self.advance == 0) {
            data[field..field + 2].copy_from_slice(&sum.to_be_bytes());
        }
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

fn write_ip4(ip: &mut [u8], payload: usize, identification: u16, flags_and_offset: u16) {
    let total = u16::try_from(ip.len() + payload).unwrap_or(u16::MAX);
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[4..6].copy_from_slice(&identification.to_be_bytes());
    ip[6..8].copy_from_slice(&flags_and_offset.to_be_bytes());
    ip[10..12].fill(0);
    let sum = checksum::of(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// `payload` bytes follow the whole IP header, extension headers included.
fn write_ip6(ip: &mut [u8], payload: usize) {
    let length = u16::try_from(ip.len() - IPV6_HEADER_LEN + payload).unwrap_or(u16::MAX);
    ip[4..6].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests;
