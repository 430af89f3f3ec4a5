//! A datagram's way: check it, find its socket, or say that nobody owns the port.

use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;
use smoltcp::wire::UdpPacket;

use super::address::{leave_host, this_host};
use super::datagram::Datagram;
use super::{Below, Bound, Holder, Life, Notice, Place, QueuedError, Sharing, Transport, segment};
use crate::error::{Error, Result};
use crate::ip::{self, ErrorKind, Hop, IcmpError, Ip, Packet};
use crate::observe::{Cast, Close, Fate, Protocol, Rule, Time};

/// Octets of the UDP header.
const HEADER: usize = 8;

/// The socket of this stack that a datagram of another one is for.
#[derive(Debug, Clone, Copy)]
pub struct LocalReceiver {
    /// Its descriptor.
    pub descriptor: usize,
    slot: usize,
    /// Whose the datagram is.
    pub from: SocketAddr,
    /// Whom it is for.
    pub to: SocketAddr,
}

impl Transport {
    /// A datagram came.
    pub(super) fn receive_udp(&mut self, now: Time, packet: &Packet<'_>, below: &mut Below<'_>) -> Fate {
        match self.deliver_udp(now, packet, below) {
            Ok(fate) => fate,
            Err(rule) => Fate::nobody(rule),
        }
    }

    fn deliver_udp(
        &mut self,
        now: Time,
        packet: &Packet<'_>,
        below: &mut Below<'_>,
    ) -> std::result::Result<Fate, Rule> {
        let datagram = UdpPacket::new_checked(packet.payload).map_err(|_| Rule::UdpMalformed)?;
        let covered = &packet.payload[..usize::from(datagram.len())];
        if datagram.dst_port() == 0 {
            return Err(Rule::UdpMalformed);
        }
        if datagram.checksum() == 0 {
            if packet.source.is_ipv6() {
                return Err(Rule::UdpNoChecksum);
            }
        } else if ip::transport_checksum(packet.source, packet.destination, packet.protocol, covered) != 0 {
            return Err(Rule::UdpChecksum);
        }
        let local = SocketAddr::new(packet.destination, datagram.dst_port());
        let remote = SocketAddr::new(packet.source, datagram.src_port());
        if below.ip.is_group(local.ip()) {
            return self.deliver_to_all(now, packet, covered, local, remote, below);
        }
        let Some(slot) = self.best(local, remote) else {
            return Err(match packet.cast {
                Cast::Group => Rule::UdpNoSocketGroup,
                Cast::Unicast => below.ip.port_unreachable(now, packet, below.packets),
            });
        };
        Ok(self.deliver_to(now, slot, packet, covered, below))
    }

    /// One socket's share of it.
    pub(super) fn deliver_to(
        &mut self,
        now: Time,
        slot: usize,
        packet: &Packet<'_>,
        covered: &[u8],
        below: &mut Below<'_>,
    ) -> Fate {
        let socket = &mut self.datagrams[slot];
        let mut fate = Fate::of(socket.owner());
        if let Err(rule) = socket.make_room(covered.len()) {
            fate.rule = Some(rule);
            return fate;
        }
        let packet = plain(packet, covered, &mut self.scratch);
        socket.feed(now, &mut self.interface, packet, below.packets);
        self.notices.push_back(Notice::Datagram { descriptor: socket.descriptor });
        fate
    }

    /// Of those that hear what `remote` sends to `local`: one connected to it before one that is not, then one bound
    /// to the very address before one bound to all, then the last one bound, as in Linux. Those that share it by
    /// SO_REUSEPORT have a part of the peers each.
    fn best(&self, local: SocketAddr, remote: SocketAddr) -> Option<usize> {
        let (mut best, mut equals) = (None, 0);
        for (merit, slot) in self.hearers(local, remote) {
            match best {
                Some((most, _)) if merit < most => {}
                Some((most, _)) if merit == most => equals += usize::from(self.datagrams[slot].sharing.reuse_port),
                _ => {
                    best = Some((merit, slot));
                    equals = usize::from(self.datagrams[slot].sharing.reuse_port);
                }
            }
        }
        let (merit, last) = best?;
        if equals < 2 {
            return Some(last);
        }
        let spreads = |&(other, slot): &(_, usize)| other == merit && self.datagrams[slot].sharing.reuse_port;
        let part = self.ports.part(local, remote, equals);
        self.hearers(local, remote).filter(spreads).nth(part).map(|(_, slot)| slot)
    }

    /// The sockets that hear what `remote` sends to `local`, and how well it fits them.
    fn hearers(&self, local: SocketAddr, remote: SocketAddr) -> impl Iterator<Item = ((bool, bool), usize)> {
        self.ports.hearers(Protocol::Udp, local).filter_map(move |(owner, is_exact)| {
            let Bound::Datagram(slot) = owner else { return None };
            let socket = self.datagrams.get(slot).filter(|socket| socket.hears(remote))?;
            Some(((socket.remote.is_some(), is_exact), slot))
        })
    }

    /// With whom a UDP socket shares its port from here on.
    pub fn set_datagram_sharing(&mut self, slot: usize, sharing: Sharing) {
        let socket = &mut self.datagrams[slot];
        socket.sharing = sharing;
        self.ports.set_sharing(Protocol::Udp, socket.place, Bound::Datagram(slot), sharing);
    }

    /// Binds a UDP socket; port 0 stands for any that is free. Of those that share an address each gets what is sent
    /// to a group, and the last one bound what is sent to the address.
    ///
    /// # Errors
    ///
    /// [`Error::AddressNotAvailable`] for an address that is not ours, or if no port is free;
    /// [`Error::AddressInUse`]; [`Error::TooManySockets`]; [`Error::NoBufferSpace`] at the limit on memory.
    pub fn bind_udp(
        &mut self,
        now: Time,
        place: Place,
        sharing: Sharing,
        holder: Holder,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<usize> {
        let place = self.bindable(Protocol::Udp, place, below, rng)?;
        if self.memory.is_exhausted() {
            return Err(Error::NoBufferSpace);
        }
        let slot = self.datagrams.vacant_key();
        self.ports.bind(Protocol::Udp, place, Bound::Datagram(slot), sharing)?;
        let mut datagram = Datagram::new(holder, place, &self.memory, now);
        datagram.sharing = sharing;
        self.datagrams.insert(datagram);
        self.lives.push_back(Life::Bound { socket: holder, local: place.local, backlog: None });
        Ok(slot)
    }

    /// Whether a socket may be bound to `local`, and to which port.
    pub(super) fn bindable(
        &self,
        protocol: Protocol,
        place: Place,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Place> {
        let local = place.local;
        if self.sockets() >= self.limits.sockets {
            return Err(Error::TooManySockets);
        }
        // As on Linux: nobody connects to a group, but one may listen there.
        let is_group = below.ip.is_group(local.ip());
        if is_group && local.is_ipv6() && protocol == Protocol::Tcp {
            return Err(Error::InvalidInput);
        }
        if !local.ip().is_unspecified() && !is_group && !below.ip.is_bindable(local.ip()) {
            return Err(Error::AddressNotAvailable);
        }
        if local.port() != 0 {
            return Ok(place);
        }
        let port = self.ports.random(protocol, place, rng)?;
        Ok(Place { local: SocketAddr::new(local.ip(), port), ..place })
    }

    /// The UDP socket of a slot.
    pub fn datagram(&mut self, slot: usize) -> &mut Datagram {
        &mut self.datagrams[slot]
    }

    /// From here on the socket hears `peer` only, and is told of ICMP errors. One that is bound to every address gets
    /// the one that the route begins at.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkUnreachable`] if no route leads there; [`Error::InvalidInput`] from a loopback address to another
    /// host.
    pub fn connect_udp(&mut self, slot: usize, peer: SocketAddr, below: &Below<'_>) -> Result<()> {
        let socket = &mut self.datagrams[slot];
        let bound = Some(socket.local.ip()).filter(|address| !address.is_unspecified());
        let peer = this_host(peer, bound);
        let is_group = below.ip.is_group(peer.ip());
        let bound = bound.or(socket.options.towards(peer.ip()).source.filter(|_| is_group));
        let hop = hop(below.ip, bound, peer.ip())?;
        let source = bound.unwrap_or(hop.source);
        leave_host(source, hop)?;
        socket.remote = Some(peer);
        socket.local.set_ip(source);
        Ok(())
    }

    /// From here on the socket hears everybody again.
    pub fn disconnect_udp(&mut self, slot: usize) {
        let socket = &mut self.datagrams[slot];
        socket.remote = None;
        socket.local = socket.place.local;
    }

    /// Sends a datagram, from `source` if it is given, or else from where the route to `peer` begins.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkUnreachable`], [`Error::MessageTooLong`], [`Error::AddressNotAvailable`],
    /// [`Error::NoBufferSpace`]; [`Error::InvalidInput`] from a loopback address to another host.
    pub fn send_udp(
        &mut self,
        now: Time,
        slot: usize,
        bytes: &[u8],
        peer: SocketAddr,
        source: Option<IpAddr>,
        below: &mut Below<'_>,
    ) -> Result<()> {
        let (source, peer, _) = self.datagram_ends(slot, bytes.len(), (peer, source), below)?;
        let socket = &mut self.datagrams[slot];
        let is_group = below.ip.is_group(peer.ip());
        if is_group {
            socket.may_send_to_group(peer.ip())?;
        }
        let header = socket.header(peer.ip());
        let ends = (source, peer);
        let fate = Fate::of(socket.owner());
        self.sender.send(now, bytes, ends, header, fate, below.packets)?;
        socket.note_sent(bytes.len(), peer);
        if is_group {
            let is_looped = socket.options.towards(peer.ip()).loopback;
            self.loop_back(peer.ip(), source.ip(), is_looped, below);
        }
        Ok(())
    }

    /// From where and to whom a datagram of `length` bytes goes, if it may, and whether that is this very stack.
    fn datagram_ends(
        &self,
        slot: usize,
        length: usize,
        (peer, source): (SocketAddr, Option<IpAddr>),
        below: &Below<'_>,
    ) -> Result<(SocketAddr, SocketAddr, bool)> {
        let socket = &self.datagrams[slot];
        let local = socket.local;
        let bound = Some(local.ip()).filter(|address| !address.is_unspecified());
        let peer = this_host(peer, bound);
        let is_group = below.ip.is_group(peer.ip());
        let group = socket.options.towards(peer.ip());
        let source = source.or(bound).or(group.source.filter(|_| is_group));
        let hop = hop(below.ip, source, peer.ip())?;
        // The address it was bound to may have been taken away since.
        if bound.is_some_and(|bound| !below.ip.is_group(bound) && !below.ip.is_usable(bound)) {
            return Err(Error::AddressNotAvailable);
        }
        let source = source.filter(|address| below.ip.is_usable(*address)).unwrap_or(hop.source);
        if source.is_ipv4() != peer.is_ipv4() {
            return Err(Error::FamilyNotSupported);
        }
        leave_host(source, hop)?;
        let longest = usize::from(u16::MAX) - HEADER - if peer.is_ipv4() { 20 } else { 0 };
        let room = socket.header(peer.ip()).discovery.room(peer.ip(), below);
        if length > longest || length + HEADER + if peer.is_ipv4() { 20 } else { 40 } > room {
            return Err(Error::MessageTooLong);
        }
        Ok((SocketAddr::new(source, local.port()), peer, hop.is_local))
    }

    /// The socket of this stack that a datagram is for, if it needs no packet to get there. What is for a group, for
    /// nobody or not allowed at all takes the long way.
    pub fn local_receiver(
        &self,
        slot: usize,
        length: usize,
        ends: (SocketAddr, Option<IpAddr>),
        below: &Below<'_>,
    ) -> Option<LocalReceiver> {
        let (from, to, is_local) = self.datagram_ends(slot, length, ends, below).ok()?;
        if !is_local || below.ip.is_group(to.ip()) || to.port() == 0 {
            return None;
        }
        let receiver = self.best(to, from)?;
        let descriptor = self.datagrams[receiver].descriptor;
        Some(LocalReceiver { descriptor, slot: receiver, from, to })
    }

    /// A datagram went from one socket of this stack to another, without a packet; or it was lost, because the
    /// receiver's queue was full.
    pub fn note_local(&mut self, sender: usize, receiver: &LocalReceiver, length: usize, has_arrived: bool) {
        self.datagrams[sender].note_sent(length, receiver.to);
        let rule = if has_arrived { None } else { Some(Rule::UdpBufferFull) };
        match rule {
            None => self.datagrams[receiver.slot].note_received(length),
            Some(rule) => self.given_up.push_back(rule),
        }
        if self.is_watched {
            let (socket, peer) = (self.datagrams[sender].id, self.datagrams[receiver.slot].id);
            let (source, destination) = (receiver.from, receiver.to);
            self.lives.push_back(Life::Datagram { socket, peer, source, destination, length, rule });
        }
    }

    /// Closes a UDP socket.
    pub fn close_udp(&mut self, now: Time, slot: usize, below: &mut Below<'_>) {
        let socket = self.datagrams.remove(slot);
        for &group in &socket.groups {
            below.ip.leave_group(now, group);
        }
        self.ports.release(Protocol::Udp, socket.place, Bound::Datagram(slot));
        let summary = socket.summary(now);
        self.lives.push_back(Life::Closed { socket: socket.id, how: Close::ByUs, summary });
    }

    /// An ICMP error about a datagram of ours (RFC 1122 §4.1.3.3). What is too big for its way is cut from now on.
    /// As Linux does, a connected socket is told of errors that will not pass, and one that asked of all.
    pub(super) fn udp_error(&mut self, now: Time, error: &IcmpError, below: &mut Below<'_>) -> Fate {
        let Some(slot) = self.best(error.source, error.destination) else {
            return Fate::nobody(Rule::IcmpErrorUnmatched);
        };
        let socket = &self.datagrams[slot];
        if let ErrorKind::PacketTooBig { mtu } = error.kind {
            if !socket.sent.may_have_been(error.destination, mtu) {
                return Fate { rule: Some(Rule::IcmpErrorUnmatched), ..Fate::of(socket.owner()) };
            }
            below.ip.learn_path_mtu(now, error.destination.ip(), mtu);
        }
        if socket.wants_errors || (socket.remote.is_some() && error.told.is_hard) {
            let queued = socket.wants_errors.then(|| QueuedError::of(error));
            let (descriptor, error) = (socket.descriptor, Some(error.told.error));
            self.notices.push_back(Notice::Undelivered { descriptor, error, queued });
        }
        Fate { rule: Some(Rule::IcmpErrorDelivered), ..Fate::of(socket.owner()) }
    }
}

/// The first step of a datagram's way. From a loopback address a multicast group is the loopback's, as on Linux.
pub(super) fn hop(ip: &Ip, source: Option<IpAddr>, peer: IpAddr) -> Result<Hop> {
    match source {
        Some(source) if source.is_loopback() && peer.is_multicast() => {
            Ok(Hop { next_hop: peer, source, is_local: true })
        }
        _ => ip.route(peer).map_err(|_| Error::NetworkUnreachable),
    }
}

/// The packet as smoltcp shall see it: as it is, or, if extension headers or trailing bytes stand around the
/// payload, rebuilt without them.
fn plain<'a>(packet: &Packet<'a>, payload: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let header = if packet.source.is_ipv4() { 20 } else { 40 };
    if packet.bytes.len() == header + payload.len() {
        return packet.bytes;
    }
    segment::rebuild(packet, payload, scratch);
    scratch
}
