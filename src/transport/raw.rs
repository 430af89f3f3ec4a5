//! Raw sockets: every packet of a protocol, as it is (`raw(7)`, RFC 3542 §3).
//!
//! What they see goes its usual way too: they get copies. An IPv4 packet is shown from its header on, just as it was on
//! the wire (put together, if it came in fragments); of an IPv6 packet the payload behind the extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::packet_socket::PacketSocket;
use super::{Below, Holder, Life, Notice, Place, Transport};
use crate::error::{Error, Result};
use crate::ip::{self, IcmpError, Packet};
use crate::observe::{Fate, Rule, Time};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

impl Transport {
    /// A raw socket for `protocol`. It hears from here on.
    ///
    /// # Errors
    ///
    /// [`Error::TooManySockets`]; [`Error::NoBufferSpace`] at the limit on memory.
    pub fn open_raw(
        &mut self,
        now: Time,
        is_v4: bool,
        protocol: u8,
        holder: Holder,
        below: &mut Below<'_>,
    ) -> Result<usize> {
        if self.sockets() >= self.limits.sockets {
            return Err(Error::TooManySockets);
        }
        if self.memory.is_exhausted() {
            return Err(Error::NoBufferSpace);
        }
        let address = if is_v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let place = Place::one_family(SocketAddr::new(address, protocol.into()));
        let socket = PacketSocket::new(holder, (is_v4, protocol), place, &self.memory, now);
        self.lives.push_back(Life::Bound { socket: holder, local: place.local, backlog: None });
        let slot = self.packet_sockets.insert(socket);
        self.raw_slots.push(slot);
        below.ip.begin_to_hear(is_v4, protocol);
        Ok(slot)
    }

    /// From here on it hears what is sent to `address` only, and sends from there.
    ///
    /// # Errors
    ///
    /// [`Error::AddressNotAvailable`], [`Error::FamilyNotSupported`].
    pub fn bind_raw(&mut self, slot: usize, address: IpAddr, below: &Below<'_>) -> Result<()> {
        let socket = &mut self.packet_sockets[slot];
        if address.is_ipv4() != socket.is_v4 {
            return Err(Error::FamilyNotSupported);
        }
        if !address.is_unspecified() && !below.ip.is_group(address) && !below.ip.is_bindable(address) {
            return Err(Error::AddressNotAvailable);
        }
        socket.place = Place::one_family(SocketAddr::new(address, socket.place.local.port()));
        Ok(())
    }

    /// Shows a packet to every raw socket that wants it. `None` if none does; else the fate names the last one opened, or
    /// one whose buffer is full.
    pub fn receive_raw(&mut self, packet: &Packet<'_>) -> Option<Fate> {
        let is_v4 = packet.source.is_ipv4();
        // RFC 3542 §3.1: of ICMPv6, damaged messages are not shown.
        if !is_v4
            && packet.protocol == ICMPV6
            && ip::transport_checksum(packet.source, packet.destination, ICMPV6, packet.payload) != 0
        {
            return None;
        }
        let bytes = if is_v4 { packet.bytes } else { packet.payload };
        let mut told: Option<Fate> = None;
        for &slot in &self.raw_slots {
            let socket = &mut self.packet_sockets[slot];
            if socket.protocol != packet.protocol
                || !socket.hears(packet.destination, packet.source)
                || is_filtered(packet, &socket.options.icmp_filter)
            {
                continue;
            }
            let fate = match socket.queue(packet, bytes) {
                Ok(()) => {
                    self.notices.push_back(Notice::Datagram { descriptor: socket.descriptor });
                    Fate::of(socket.owner())
                }
                Err(rule) => Fate { rule: Some(rule), ..Fate::of(socket.owner()) },
            };
            if fate.rule.is_some() || told.is_none_or(|told| told.rule.is_none()) {
                told = Some(fate);
            }
        }
        told
    }

    /// An ICMP error came about a packet that a raw socket may have sent. `None` if none wants to know.
    pub(super) fn raw_error(&mut self, now: Time, error: &IcmpError, below: &mut Below<'_>) -> Option<Fate> {
        let mut told: Option<Fate> = None;
        for at in 0..self.raw_slots.len() {
            let slot = self.raw_slots[at];
            let socket = &self.packet_sockets[slot];
            if socket.protocol == error.protocol && socket.hears(error.source.ip(), error.destination.ip()) {
                let fate = self.tell(now, slot, error, below);
                if told.is_none_or(|told| told.rule == Some(Rule::IcmpErrorUnmatched)) {
                    told = Some(fate);
                }
            }
        }
        told
    }

    /// Sends a payload to `peer`, from `source` if it is given; or, with IP_HDRINCL, a packet to where its header says.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`]: a packet with its header is not cut. [`Error::InvalidInput`] for a header that is none;
    /// [`Error::NetworkUnreachable`], [`Error::AddressNotAvailable`], [`Error::FamilyNotSupported`];
    /// [`Error::PermissionDenied`] for a broadcast without SO_BROADCAST.
    pub fn send_raw(
        &mut self,
        slot: usize,
        bytes: &[u8],
        peer: IpAddr,
        source: Option<IpAddr>,
        below: &mut Below<'_>,
    ) -> Result<()> {
        let socket = &mut self.packet_sockets[slot];
        let header = socket.header(peer, source, below)?;
        let fate = Fate::of(socket.owner());
        if socket.options.header_included {
            below.ip.send_whole(bytes, socket.is_v4, fate, below.packets)?;
        } else {
            socket.check_length(bytes.len(), header.destination, below)?;
            below.ip.send_payload(header, bytes, fate, below.packets)?;
        }
        socket.note_sent(bytes.len(), header.destination);
        self.loop_packet_back(slot, header, below);
        Ok(())
    }

    /// Closes a raw socket.
    pub fn close_raw(&mut self, now: Time, slot: usize, below: &mut Below<'_>) {
        let socket = self.bury(now, slot, below);
        self.raw_slots.retain(|&other| other != slot);
        below.ip.cease_to_hear(socket.is_v4, socket.protocol);
    }
}

/// ICMP_FILTER, ICMP6_FILTER.
fn is_filtered(packet: &Packet<'_>, filter: &[u32; 8]) -> bool {
    let Some(&kind) = packet.payload.first() else { return false };
    let word = filter[usize::from(kind >> 5)];
    let is_blocked = word & 1 << (kind & 31) != 0;
    match packet.protocol {
        // `raw(7)`: the filter of ICMP knows 32 types.
        ICMP if packet.source.is_ipv4() => kind < 32 && is_blocked,
        ICMPV6 if packet.source.is_ipv6() => is_blocked,
        _ => false,
    }
}
