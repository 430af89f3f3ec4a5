//! Echo sockets: ICMP echo with identifiers for ports (`icmp(7)`, Linux's ping sockets).

use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;

use super::packet_socket::PacketSocket;
use super::{Arrival, Below, Bound, HOP_LIMIT, Holder, Life, Notice, Place, Sharing, Transport};
use crate::error::{Error, Result};
use crate::ip::{self, IcmpError, Packet, PayloadHeader};
use crate::observe::{Fate, Protocol, Rule, Time};

/// Octets of an echo message before its data.
const HEADER: usize = 8;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const REQUEST: u8 = 8;
const REQUEST_6: u8 = 128;

/// The reply of this stack to an echo request of its own.
#[derive(Debug, Clone, Copy)]
pub struct LocalReply {
    /// The descriptor of the socket that has it.
    pub descriptor: usize,
    slot: usize,
    identifier: u16,
    /// What is known of it.
    pub arrival: Arrival,
}

impl LocalReply {
    /// Makes the request the reply.
    pub fn write(&self, message: &mut [u8]) {
        if let Some(header) = message.first_chunk_mut::<HEADER>() {
            header[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        }
        ip::turn_round(message, self.arrival.peer, self.arrival.local);
    }
}

impl Transport {
    /// Binds an echo socket; identifier 0 stands for any that is free.
    ///
    /// # Errors
    ///
    /// [`Error::AddressInUse`], [`Error::AddressNotAvailable`], [`Error::TooManySockets`]; [`Error::NoBufferSpace`] at the
    /// limit on memory.
    pub fn bind_echo(
        &mut self,
        now: Time,
        place: Place,
        sharing: Sharing,
        holder: Holder,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<usize> {
        let place = self.bindable(Protocol::Icmp, place, below, rng)?;
        if self.memory.is_exhausted() {
            return Err(Error::NoBufferSpace);
        }
        let slot = self.packet_sockets.vacant_key();
        self.ports.bind(Protocol::Icmp, place, Bound::Echo(slot), sharing)?;
        let is_v4 = place.local.is_ipv4();
        let protocol = if is_v4 { ICMP } else { ICMPV6 };
        let socket = PacketSocket::new(holder, (is_v4, protocol), place, &self.memory, now);
        self.packet_sockets.insert(socket);
        self.lives.push_back(Life::Bound { socket: holder, local: place.local, backlog: None });
        Ok(slot)
    }

    /// An echo reply came, its checksum verified.
    pub(super) fn receive_echo(&mut self, packet: &Packet<'_>) -> Fate {
        let &[_, _, _, _, high, low, ..] = packet.payload else { return Fate::nobody(Rule::IcmpMalformed) };
        let local = SocketAddr::new(packet.destination, u16::from_be_bytes([high, low]));
        let Some(slot) = self.echo_at(local, packet.source) else { return Fate::nobody(Rule::IcmpEchoReply) };
        let socket = &mut self.packet_sockets[slot];
        let fate = Fate::of(socket.owner());
        if let Err(rule) = socket.queue(packet, packet.payload) {
            return Fate { rule: Some(rule), ..fate };
        }
        self.notices.push_back(Notice::Datagram { descriptor: socket.descriptor });
        fate
    }

    /// As for UDP: one that is connected before one that is not, then one bound to this very address.
    fn echo_at(&self, local: SocketAddr, remote: IpAddr) -> Option<usize> {
        let mut best = None;
        for (owner, is_exact) in self.ports.hearers(Protocol::Icmp, local) {
            let Bound::Echo(slot) = owner else { continue };
            let socket = &self.packet_sockets[slot];
            let merit = (socket.remote.is_some(), is_exact);
            if socket.hears(local.ip(), remote) && best.is_none_or(|(most, _)| merit > most) {
                best = Some((merit, slot));
            }
        }
        best.map(|(_, slot)| slot)
    }

    /// Sends an echo request; its identifier and its checksum are ours.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it is no echo request, [`Error::MessageTooLong`], [`Error::NetworkUnreachable`],
    /// [`Error::AddressNotAvailable`], [`Error::FamilyNotSupported`]; [`Error::PermissionDenied`] for a broadcast without
    /// SO_BROADCAST.
    pub fn send_echo(
        &mut self,
        slot: usize,
        bytes: &[u8],
        peer: IpAddr,
        source: Option<IpAddr>,
        below: &mut Below<'_>,
    ) -> Result<()> {
        let header = self.echo_header(slot, bytes, (peer, source), below)?;
        let socket = &mut self.packet_sockets[slot];
        let fate = Fate::of(socket.owner());
        self.scratch.clear();
        self.scratch.extend_from_slice(bytes);
        self.scratch[4..6].copy_from_slice(&socket.place.local.port().to_be_bytes());
        below.ip.send_message(header, &self.scratch, fate, below.packets)?;
        socket.note_sent(bytes.len(), header.destination);
        self.loop_packet_back(slot, header, below);
        Ok(())
    }

    /// The IP header of an echo request, if it is one and may be sent.
    fn echo_header(
        &self,
        slot: usize,
        bytes: &[u8],
        (peer, source): (IpAddr, Option<IpAddr>),
        below: &Below<'_>,
    ) -> Result<PayloadHeader> {
        let socket = &self.packet_sockets[slot];
        let request = if socket.is_v4 { REQUEST } else { REQUEST_6 };
        let kind = bytes.first_chunk::<HEADER>().map(|&[kind, code, ..]| (kind, code));
        if kind != Some((request, 0)) {
            return Err(Error::InvalidInput);
        }
        let header = socket.header(peer, source, below)?;
        socket.check_length(bytes.len(), header.destination, below)?;
        Ok(header)
    }

    /// The reply to an echo request of this socket, if no packet is needed to get it. What is for another host or a
    /// group, what raw sockets may want to see, what nobody waits for or is not allowed at all takes the long way.
    pub fn local_reply(
        &self,
        slot: usize,
        bytes: &[u8],
        ends: (IpAddr, Option<IpAddr>),
        below: &Below<'_>,
    ) -> Option<LocalReply> {
        let header = self.echo_header(slot, bytes, ends, below).ok()?;
        let PayloadHeader { source, destination, protocol, traffic_class, .. } = header;
        let longest = usize::from(u16::MAX) - if destination.is_ipv4() { 20 } else { 0 };
        if bytes.len() > longest
            || !below.ip.is_local(destination)
            || below.ip.is_group(destination)
            || below.ip.is_heard(destination.is_ipv4(), protocol)
        {
            return None;
        }
        let identifier = self.packet_sockets[slot].place.local.port();
        let receiver = self.echo_at(SocketAddr::new(source, identifier), destination)?;
        let arrival = Arrival { peer: destination, local: source, hop_limit: HOP_LIMIT, traffic_class };
        let descriptor = self.packet_sockets[receiver].descriptor;
        Some(LocalReply { descriptor, slot: receiver, identifier, arrival })
    }

    /// An echo request of this many bytes was answered without a packet; or the reply was lost, and `rule` says why.
    pub fn note_reply(&mut self, sender: usize, reply: &LocalReply, length: usize, rule: Option<Rule>) {
        let &LocalReply { slot, identifier, arrival: Arrival { peer, local, .. }, .. } = reply;
        self.packet_sockets[sender].note_sent(length, peer);
        match rule {
            None => self.packet_sockets[slot].note_received(length),
            Some(rule) => self.given_up.push_back(rule),
        }
        if self.is_watched {
            self.lives.push_back(Life::Datagram {
                socket: self.packet_sockets[sender].id,
                peer: self.packet_sockets[slot].id,
                source: SocketAddr::new(local, identifier),
                destination: SocketAddr::new(peer, 0),
                length: length.saturating_sub(HEADER),
                rule,
            });
        }
    }

    /// An ICMP error about an echo request of ours.
    pub(super) fn echo_error(&mut self, now: Time, error: &IcmpError, below: &mut Below<'_>) -> Fate {
        match self.echo_at(error.source, error.destination.ip()) {
            Some(slot) => self.tell(now, slot, error, below),
            None => Fate::nobody(Rule::IcmpErrorUnmatched),
        }
    }

    /// Closes an echo socket.
    pub fn close_echo(&mut self, now: Time, slot: usize, below: &mut Below<'_>) {
        let socket = self.bury(now, slot, below);
        self.ports.release(Protocol::Icmp, socket.place, Bound::Echo(slot));
    }
}
