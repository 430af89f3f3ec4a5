//! Raw sockets: which protocols they hear, and packets of which a program made a part (`raw(7)`, RFC 3542).

use std::net::IpAddr;

use smoltcp::wire::{IPV4_HEADER_LEN, IPV6_HEADER_LEN, Ipv4Packet, Ipv6Packet};

use super::header::Header;
use super::icmp_error::Message;
use super::packet::{Packet, Verdict, protocol};
use super::{Form, Ip, Packets, checksum, extension};
use crate::error::{Error, Result};
use crate::observe::{Fate, Rule, Time};

/// The protocols that somebody hears, of each family, and how many do.
#[derive(Debug)]
pub(super) struct Hearers {
    counts: Box<[[u32; 256]; 2]>,
}

impl Hearers {
    pub(super) fn new() -> Hearers {
        Hearers { counts: Box::new([[0; 256]; 2]) }
    }

    pub(super) fn hear(&self, is_v4: bool, protocol: u8) -> bool {
        self.counts[usize::from(is_v4)][usize::from(protocol)] > 0
    }
}

/// A valid packet of a protocol that raw sockets hear. It is shown to them, and then goes on
/// ([`Ip::receive_heard`]).
#[derive(Debug, Clone, Copy)]
pub struct Heard<'p> {
    /// The packet. The payload begins behind the extension headers.
    pub packet: Packet<'p>,
    pub(super) next: Next,
}

/// What happens to it besides.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    V4,
    V6 {
        is_fragmented: bool,
    },
    /// Nobody else speaks the protocol; if no raw socket wants it either, its sender is told.
    Unknown(Message),
}

/// The IP header of a payload that a program made.
#[derive(Debug, Clone, Copy)]
pub struct PayloadHeader {
    /// One of our addresses.
    pub source: IpAddr,
    /// Of the same family.
    pub destination: IpAddr,
    /// What the payload is.
    pub protocol: u8,
    /// The TTL, or the hop limit.
    pub hop_limit: u8,
    /// The type of service, or the traffic class.
    pub traffic_class: u8,
    /// Routers may cut it (IP_PMTUDISC_DONT).
    pub may_be_cut: bool,
    /// It goes as it is by whatever way, and finds out if it fits (IP_PMTUDISC_PROBE).
    pub is_probe: bool,
}

impl Ip {
    /// From here on valid packets of this protocol are [heard](Verdict::Heard).
    pub fn begin_to_hear(&mut self, is_v4: bool, protocol: u8) {
        let count = &mut self.hearers.counts[usize::from(is_v4)][usize::from(protocol)];
        *count = count.saturating_add(1);
    }

    /// Takes one [`begin_to_hear`](Ip::begin_to_hear) back.
    pub fn cease_to_hear(&mut self, is_v4: bool, protocol: u8) {
        let count = &mut self.hearers.counts[usize::from(is_v4)][usize::from(protocol)];
        *count = count.saturating_sub(1);
    }

    /// Whether raw sockets hear this protocol.
    pub fn is_heard(&self, is_v4: bool, protocol: u8) -> bool {
        self.hearers.hear(is_v4, protocol)
    }

    /// Goes on with a packet that raw sockets have seen. `is_taken`: one of them wanted it.
    ///
    /// # Errors
    ///
    /// The rule by which the packet was dropped without an answer.
    pub fn receive_heard<'p>(
        &mut self,
        now: Time,
        heard: Heard<'p>,
        is_taken: bool,
        out: &mut Packets,
    ) -> std::result::Result<Verdict<'p>, Rule> {
        let Heard { packet, next } = heard;
        match next {
            Next::Unknown(_) if is_taken => Ok(Verdict::Taken),
            Next::Unknown(message) => self.send_error(now, &packet, message, out).map(Verdict::Done),
            Next::V4 => self.pass_on4(now, packet, is_taken, out),
            Next::V6 { is_fragmented } => self.pass_on6(now, packet, is_fragmented, out),
        }
    }

    /// A packet behind whose extension headers stands a protocol that only raw sockets hear.
    pub(super) fn unknown_but_heard<'p>(&self, mut packet: Packet<'p>, message: Message) -> Option<Heard<'p>> {
        let (protocol, offset) = extension::upper(packet.bytes).filter(|_| message.is_about_next_header())?;
        if !self.hearers.hear(false, protocol) {
            return None;
        }
        packet.protocol = protocol;
        packet.payload = packet.bytes.get(offset..)?;
        Some(Heard { packet, next: Next::Unknown(message) })
    }

    /// Sends a program's payload. Its checksum is the program's affair, except that of ICMPv6, which is ours
    /// (RFC 3542 §3.1).
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`] if IP cannot say that it is so long; [`Error::InvalidInput`] if it is too short for
    /// the checksum.
    pub fn send_payload(&self, header: PayloadHeader, payload: &[u8], fate: Fate, out: &mut Packets) -> Result<()> {
        let is_icmp6 = header.destination.is_ipv6() && header.protocol == protocol::ICMPV6;
        if is_icmp6 {
            return self.send_message(header, payload, fate, out);
        }
        let form = if header.is_probe { Form::ProbePayload } else { Form::Payload };
        push(header, payload, form, fate, out)
    }

    /// Sends an ICMP message that a program made, but for its checksum.
    ///
    /// # Errors
    ///
    /// As [`send_payload`](Ip::send_payload).
    pub fn send_message(&self, header: PayloadHeader, message: &[u8], fate: Fate, out: &mut Packets) -> Result<()> {
        if message.len() < 4 {
            return Err(Error::InvalidInput);
        }
        let form = if header.is_probe { Form::Probe } else { Form::Ours(None) };
        push(header, message, form, fate, out)
    }

    /// Sends a whole packet that a program made (IP_HDRINCL). As Linux does, an IPv4 header gets its length, its
    /// checksum, and a source and an identification if they are 0; an IPv6 header nothing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if the header is not whole or of the other family; [`Error::MessageTooLong`] if the packet
    /// is longer than the link carries: nobody cuts it. [`Error::NetworkUnreachable`].
    pub fn send_whole(&mut self, packet: &[u8], is_v4: bool, fate: Fate, out: &mut Packets) -> Result<()> {
        let least = if is_v4 { IPV4_HEADER_LEN } else { IPV6_HEADER_LEN };
        let header = packet.get(..least).ok_or(Error::InvalidInput)?;
        // Linux lets another version through; here the way down goes by it.
        if (header[0] >> 4 == 4) != is_v4 || (header[0] >> 4 == 6) == is_v4 {
            return Err(Error::InvalidInput);
        }
        let header_length = if is_v4 { usize::from(header[0] & 0xf) * 4 } else { IPV6_HEADER_LEN };
        if header_length < least || header_length > packet.len() {
            return Err(Error::InvalidInput);
        }
        let destination = if is_v4 {
            IpAddr::V4(Ipv4Packet::new_unchecked(header).dst_addr())
        } else {
            IpAddr::V6(Ipv6Packet::new_unchecked(header).dst_addr())
        };
        let hop = self.route(destination).map_err(|_| Error::NetworkUnreachable)?;
        if packet.len() > self.first_mtu(destination) {
            return Err(Error::MessageTooLong);
        }
        let mut fields = [0; IPV4_HEADER_LEN];
        if is_v4 {
            fields.copy_from_slice(header);
            if let (IpAddr::V4(source), [0, 0, 0, 0]) = (hop.source, &fields[12..16]) {
                fields[12..16].copy_from_slice(&source.octets());
            }
            if fields[4..6] == [0, 0] {
                let identification = self.identification(&fields, 1);
                fields[4..6].copy_from_slice(&identification.to_be_bytes());
            }
            fields[2..4].copy_from_slice(&u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
        out.push_as(packet.len(), fate, Form::Whole, |bytes| {
            bytes.copy_from_slice(packet);
            if is_v4 {
                bytes[..IPV4_HEADER_LEN].copy_from_slice(&fields);
                bytes[10..12].fill(0);
                let sum = checksum::of(&bytes[..header_length]);
                bytes[10..12].copy_from_slice(&sum.to_be_bytes());
            }
        });
        Ok(())
    }
}

/// Puts the IP header before a payload.
fn push(header: PayloadHeader, payload: &[u8], form: Form, fate: Fate, out: &mut Packets) -> Result<()> {
    let PayloadHeader { source, destination, protocol, hop_limit, traffic_class, may_be_cut, .. } = header;
    let header = Header { source, destination, protocol, traffic_class };
    let is_v4 = destination.is_ipv4();
    let longest = usize::from(u16::MAX) - if is_v4 { header.len() } else { 0 };
    if payload.len() > longest {
        return Err(Error::MessageTooLong);
    }
    out.push_as(header.len() + payload.len(), fate, form, |packet| {
        header.write(packet);
        // The header of our own messages has neither of these.
        if is_v4 {
            packet[1] = traffic_class;
            packet[8] = hop_limit;
            Ipv4Packet::new_unchecked(&mut packet[..]).set_dont_frag(!may_be_cut);
        } else {
            let mut fixed = Ipv6Packet::new_unchecked(&mut packet[..]);
            fixed.set_traffic_class(traffic_class);
            fixed.set_hop_limit(hop_limit);
        }
        packet[header.len()..].copy_from_slice(payload);
    });
    Ok(())
}
