//! Echo sockets: ICMP echo with identifiers for ports (`icmp(7)`, Linux's ping sockets).

use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;

use super::packet_socket::PacketSocket;
use super::{Below, Bound, Holder, Life, Notice, Place, Sharing, Transport};
use crate::error::{Error, Result};
use crate::ip::{IcmpError, Packet};
use crate::observe::{Fate, Protocol, Rule, Time};

/// Octets of an echo message before its data.
const HEADER: usize = 8;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const REQUEST: u8 = 8;
const REQUEST_6: u8 = 128;

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
        self.lives.push_back(Life::Bound { socket: holder.id, local: place.local, backlog: None });
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
        let socket = &mut self.packet_sockets[slot];
        let request = if socket.is_v4 { REQUEST } else { REQUEST_6 };
        let kind = bytes.first_chunk::<HEADER>().map(|&[kind, code, ..]| (kind, code));
        if kind != Some((request, 0)) {
            return Err(Error::InvalidInput);
        }
        let header = socket.header(peer, source, below)?;
        socket.check_length(bytes.len(), header.destination, below)?;
        let fate = Fate::of(socket.owner());
        self.scratch.clear();
        self.scratch.extend_from_slice(bytes);
        self.scratch[4..6].copy_from_slice(&socket.place.local.port().to_be_bytes());
        below.ip.send_message(header, &self.scratch, fate, below.packets)?;
        socket.note_sent(bytes.len(), header.destination);
        self.loop_packet_back(slot, header, below);
        Ok(())
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
