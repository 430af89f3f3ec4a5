//! What raw sockets and echo sockets have in common: whole IP payloads, in a queue of their own.
//!
//! smoltcp has both, and neither is used: its raw socket makes the IP header anew, so that options, type of service and
//! identification are lost; its ICMP socket shows a message that it has made anew as well, and knows some types only.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::address::{leave_host, this_host};
use super::group::check_group;
use super::header::{HOP_LIMIT, MtuDiscovery};
use super::sent::Sent;
use super::udp::hop;
use super::{Below, Holder, Notice, Place, QueuedError, Transport};
use crate::error::{Error, Result};
use crate::ip::{ErrorKind, IcmpError, Packet, PayloadHeader};
use crate::memory::{Charge, Memory};
use crate::observe::{Close, Fate, Ownership, Protocol, Rule, SocketId, Summary, Time};

/// Packets, and bytes of them, that a socket holds while its program does not read and its pipe is full.
const QUEUE: usize = 64;
const QUEUE_BYTES: usize = 2 * 65_536;

/// What a waiting packet costs besides its bytes.
const COST: usize = 64;

/// What a program was told about its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketOptions {
    /// IP_TTL, IPV6_UNICAST_HOPS.
    pub hops: u8,
    /// IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS.
    pub multicast_hops: u8,
    /// IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP.
    pub multicast_loop: bool,
    /// IP_MULTICAST_IF: from which address of ours groups are sent to; `None`: from where the route begins.
    pub multicast_source: Option<IpAddr>,
    /// IP_TOS, IPV6_TCLASS.
    pub traffic_class: u8,
    /// IP_MTU_DISCOVER, IPV6_MTU_DISCOVER.
    pub discovery: MtuDiscovery,
    /// SO_RCVBUF: bytes that may wait here. One packet always may.
    pub receive_buffer: usize,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// IP_HDRINCL: what it sends begins with an IP header.
    pub header_included: bool,
    /// IP_RECVERR, IPV6_RECVERR.
    pub receive_errors: bool,
    /// ICMP_FILTER, ICMP6_FILTER: a bit that is set keeps messages of its type away (RFC 3542 §3.2).
    pub icmp_filter: [u32; 8],
}

impl Default for PacketOptions {
    fn default() -> PacketOptions {
        PacketOptions {
            hops: HOP_LIMIT,
            multicast_hops: 1,
            multicast_loop: true,
            multicast_source: None,
            traffic_class: 0,
            discovery: MtuDiscovery::Want,
            receive_buffer: QUEUE_BYTES,
            broadcast: false,
            header_included: false,
            receive_errors: false,
            icmp_filter: [0; 8],
        }
    }
}

/// What is known of a packet that waits for its program.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Who sent it.
    pub peer: IpAddr,
    /// To which of our addresses, or to which group.
    pub local: IpAddr,
    /// The TTL or the hop limit that it came with.
    pub hop_limit: u8,
    /// Its type of service or traffic class.
    pub traffic_class: u8,
}

/// A raw socket or an echo socket.
#[derive(Debug)]
pub struct PacketSocket {
    pub(super) id: SocketId,
    pub(super) is_v4: bool,
    /// Of a raw socket.
    pub(super) protocol: u8,
    /// Its address, which may be the wildcard; the port is the identifier of an echo socket, and as on Linux the
    /// protocol of a raw socket.
    pub(super) place: Place,
    pub(super) remote: Option<IpAddr>,
    /// Where packets to `remote` come from.
    source: Option<IpAddr>,
    pub(super) options: PacketOptions,
    /// Multicast groups that it has joined.
    groups: Vec<IpAddr>,
    pub(super) sent: Sent,
    pub(super) descriptor: usize,
    /// With what its program gets.
    waiting: VecDeque<(Arrival, Box<[u8]>)>,
    bytes: usize,
    charge: Charge,
    created: Time,
    pub(super) summary: Summary,
}

impl PacketSocket {
    pub(super) fn new(
        holder: Holder,
        (is_v4, protocol): (bool, u8),
        place: Place,
        memory: &Memory,
        now: Time,
    ) -> PacketSocket {
        PacketSocket {
            id: holder.id,
            is_v4,
            protocol,
            place,
            remote: None,
            source: None,
            options: PacketOptions::default(),
            groups: Vec::new(),
            sent: Sent::default(),
            descriptor: holder.descriptor,
            waiting: VecDeque::new(),
            bytes: 0,
            charge: memory.account(),
            created: now,
            summary: Summary::default(),
        }
    }

    /// Bytes that wait to go up to its program.
    pub fn unread(&self) -> usize {
        self.bytes - self.waiting.len() * COST
    }

    /// What it has carried up to now.
    pub fn summary(&self, now: Time) -> Summary {
        Summary { age: now - self.created, ..self.summary }
    }

    /// Whom it is connected to.
    pub fn peer(&self) -> Option<IpAddr> {
        self.remote
    }

    /// Its address and its identifier or protocol. One that is connected and was not bound has the address that it sends
    /// from (`connect(2)` on Linux).
    pub fn local(&self) -> SocketAddr {
        match self.source {
            Some(source) if self.place.local.ip().is_unspecified() => SocketAddr::new(source, self.place.local.port()),
            _ => self.place.local,
        }
    }

    /// Its name, and what it is bound to.
    pub fn owner(&self) -> Ownership {
        Ownership::Port { socket: self.id, bound: self.place.local }
    }

    /// Whether it wants what `remote` sends to `local`: bound to one address and connected to another it wants no
    /// others.
    pub(super) fn hears(&self, local: IpAddr, remote: IpAddr) -> bool {
        let own = self.place.local.ip();
        self.is_v4 == local.is_ipv4()
            && (own.is_unspecified() || own == local)
            && self.remote.is_none_or(|peer| peer == remote)
    }

    /// Queues what its program gets of `packet`, or says why not.
    pub(super) fn queue(&mut self, packet: &Packet<'_>, bytes: &[u8]) -> std::result::Result<(), Rule> {
        let is_raw = self.id.protocol == Protocol::Raw;
        let cost = bytes.len() + COST;
        let room = self.options.receive_buffer.min(QUEUE_BYTES);
        if self.waiting.len() >= QUEUE || (!self.waiting.is_empty() && self.bytes + cost > room) {
            return Err(if is_raw { Rule::RawBufferFull } else { Rule::EchoBufferFull });
        }
        if self.charge.is_exhausted() {
            return Err(if is_raw { Rule::RawMemoryLimit } else { Rule::EchoMemoryLimit });
        }
        let arrival = Arrival {
            peer: packet.source,
            local: packet.destination,
            hop_limit: packet.hop_limit,
            traffic_class: packet.traffic_class,
        };
        self.waiting.push_back((arrival, bytes.into()));
        self.count(self.bytes + cost);
        self.summary.packets_in += 1;
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        self.bytes = bytes;
        self.charge.set(bytes);
    }

    /// Gives what has come to `take` until that has no room for one, and gives it back.
    pub fn receive(&mut self, mut take: impl FnMut(Box<[u8]>, Arrival) -> std::result::Result<(), Box<[u8]>>) {
        while let Some((arrival, bytes)) = self.waiting.pop_front() {
            let length = bytes.len();
            if let Err(bytes) = take(bytes, arrival) {
                self.waiting.push_front((arrival, bytes));
                return;
            }
            self.count(self.bytes - (length + COST));
            self.summary.bytes_in += length as u64;
        }
    }

    /// The IP header of what it sends to `peer`.
    ///
    /// # Errors
    ///
    /// [`Error::FamilyNotSupported`], [`Error::NetworkUnreachable`], [`Error::AddressNotAvailable`],
    /// [`Error::PermissionDenied`] for a broadcast without SO_BROADCAST; [`Error::InvalidInput`] from a loopback address
    /// to another host.
    pub(super) fn header(&self, peer: IpAddr, source: Option<IpAddr>, below: &Below<'_>) -> Result<PayloadHeader> {
        if peer.is_ipv4() != self.is_v4 {
            return Err(Error::FamilyNotSupported);
        }
        let bound = Some(self.place.local.ip()).filter(|address| !address.is_unspecified());
        let destination = this_host(SocketAddr::new(peer, 0), bound).ip();
        let is_multicast = destination.is_multicast();
        let source = source.or(bound).or(self.options.multicast_source.filter(|_| is_multicast));
        let hop = hop(below.ip, source, destination)?;
        if bound.is_some_and(|bound| !below.ip.is_group(bound) && !below.ip.is_usable(bound)) {
            return Err(Error::AddressNotAvailable);
        }
        let source = source.filter(|address| below.ip.is_usable(*address)).unwrap_or(hop.source);
        if source.is_ipv4() != self.is_v4 {
            return Err(Error::FamilyNotSupported);
        }
        leave_host(source, hop)?;
        if below.ip.is_group(destination) && !is_multicast && !self.options.broadcast {
            return Err(Error::PermissionDenied);
        }
        let PacketOptions { hops, multicast_hops, traffic_class, discovery, .. } = self.options;
        Ok(PayloadHeader {
            source,
            destination,
            protocol: self.protocol,
            hop_limit: if is_multicast { multicast_hops } else { hops },
            traffic_class,
            may_be_cut: discovery == MtuDiscovery::Dont,
            is_probe: discovery == MtuDiscovery::Probe,
        })
    }

    /// Whether a payload may be so long, if it may not be cut here.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`].
    pub(super) fn check_length(&self, length: usize, destination: IpAddr, below: &Below<'_>) -> Result<()> {
        let header = if destination.is_ipv4() { 20 } else { 40 };
        if length + header > self.options.discovery.room(destination, below) {
            return Err(Error::MessageTooLong);
        }
        Ok(())
    }

    /// Its program was handed a message of so many bytes that was in no packet.
    pub(super) fn note_received(&mut self, bytes: usize) {
        self.summary.packets_in += 1;
        self.summary.bytes_in += bytes as u64;
    }

    /// It sent so many bytes of payload.
    pub(super) fn note_sent(&mut self, bytes: usize, peer: IpAddr) {
        self.summary.packets_out += 1;
        self.summary.bytes_out += bytes as u64;
        let header = if peer.is_ipv4() { 20 } else { 40 };
        self.sent.note(SocketAddr::new(peer, 0), bytes + header);
    }
}

impl Transport {
    /// The raw socket or echo socket of a slot.
    pub fn packet_socket(&mut self, slot: usize) -> &mut PacketSocket {
        &mut self.packet_sockets[slot]
    }

    /// Sets the options of a raw socket or an echo socket.
    pub fn set_packet_options(&mut self, slot: usize, options: PacketOptions) {
        self.packet_sockets[slot].options = options;
    }

    /// From here on the socket hears `peer` only, and is told of ICMP errors.
    ///
    /// # Errors
    ///
    /// As when it sends there.
    pub fn connect_packet(&mut self, slot: usize, peer: IpAddr, below: &Below<'_>) -> Result<()> {
        let socket = &mut self.packet_sockets[slot];
        let header = socket.header(peer, None, below)?;
        socket.remote = Some(header.destination);
        socket.source = Some(header.source);
        Ok(())
    }

    /// From here on the socket hears everybody again.
    pub fn disconnect_packet(&mut self, slot: usize) {
        let socket = &mut self.packet_sockets[slot];
        (socket.remote, socket.source) = (None, None);
    }

    /// IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP.
    ///
    /// # Errors
    ///
    /// As [`Transport::join_group`].
    pub fn join_packet_group(&mut self, now: Time, slot: usize, group: IpAddr, below: &mut Below<'_>) -> Result<()> {
        let socket = &mut self.packet_sockets[slot];
        check_group(group, socket.place.local)?;
        if socket.groups.contains(&group) {
            return Err(Error::AddressInUse);
        }
        if socket.groups.len() >= self.limits.groups_per_socket {
            return Err(Error::NoBufferSpace);
        }
        below.ip.join_group(now, group)?;
        socket.groups.push(group);
        Ok(())
    }

    /// IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP.
    ///
    /// # Errors
    ///
    /// As [`Transport::leave_group`].
    pub fn leave_packet_group(&mut self, now: Time, slot: usize, group: IpAddr, below: &mut Below<'_>) -> Result<()> {
        let socket = &mut self.packet_sockets[slot];
        check_group(group, socket.place.local)?;
        let place = socket.groups.iter().position(|&other| other == group).ok_or(Error::AddressNotAvailable)?;
        socket.groups.swap_remove(place);
        below.ip.leave_group(now, group);
        Ok(())
    }

    /// Whom this socket's packets are for, if it is connected.
    pub fn packet_peer(&self, slot: usize) -> Option<IpAddr> {
        self.packet_sockets[slot].remote
    }

    /// [`Transport::loop_back`] of what such a socket has just sent, if that was for a group.
    pub(super) fn loop_packet_back(&mut self, slot: usize, header: PayloadHeader, below: &mut Below<'_>) {
        if below.ip.is_group(header.destination) {
            let is_looped = self.packet_sockets[slot].options.multicast_loop;
            self.loop_back(header.destination, header.source, is_looped, below);
        }
    }

    /// Tells a socket of an ICMP error as it wants to be told (RFC 1122 §4.1.3.3, `raw(7)`).
    pub(super) fn tell(&mut self, now: Time, slot: usize, error: &IcmpError, below: &mut Below<'_>) -> Fate {
        let socket = &self.packet_sockets[slot];
        let fate = Fate::of(socket.owner());
        if let ErrorKind::PacketTooBig { mtu } = error.kind {
            if !socket.sent.may_have_been(SocketAddr::new(error.destination.ip(), 0), mtu) {
                return Fate { rule: Some(Rule::IcmpErrorUnmatched), ..fate };
            }
            below.ip.learn_path_mtu(now, error.destination.ip(), mtu);
        }
        if socket.options.receive_errors || (socket.remote.is_some() && error.told.is_hard) {
            let queued = socket.options.receive_errors.then(|| QueuedError::of(error));
            let (descriptor, error) = (socket.descriptor, Some(error.told.error));
            self.notices.push_back(Notice::Undelivered { descriptor, error, queued });
        }
        Fate { rule: Some(Rule::IcmpErrorDelivered), ..fate }
    }

    pub(super) fn bury(&mut self, now: Time, slot: usize, below: &mut Below<'_>) -> PacketSocket {
        let socket = self.packet_sockets.remove(slot);
        for &group in &socket.groups {
            below.ip.leave_group(now, group);
        }
        let summary = socket.summary(now);
        self.lives.push_back(super::Life::Closed { socket: socket.id, how: Close::ByUs, summary });
        socket
    }
}
