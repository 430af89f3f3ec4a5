//! Echo sockets and raw sockets: one message is one IP payload, or one IP packet.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::rngs::StdRng;

use super::option::Options;
use super::service::Round;
use super::{DatagramSocket, Descriptor, Domain, Handle, Kind, Outcome, Protocol, Sockets, State, address};
use crate::error::{Error, Result};
use crate::observe::Time;
use crate::pipe::{Addresses, Datagrams, HeaderFields};
use crate::transport::{Arrival, Below, Holder, Place, QueuedError, Transport};

impl Sockets {
    /// `socket(2)`. A raw socket hears at once.
    pub(super) fn open_packet(
        &mut self,
        now: Time,
        domain: Domain,
        kind: Kind,
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<Outcome> {
        let descriptor = self.table.vacant_key();
        // As on Linux, where these two share their addresses unless they are told not to (INET_PROTOSW_REUSE).
        let header_included = kind == Kind::Raw(Protocol::RAW);
        let options = Arc::new(Options { reuse_address: true, header_included, ..Options::default() });
        let is_v4 = domain == Domain::Inet;
        let id = transport.new_id(kind.spoken());
        let slot = match kind {
            Kind::Raw(protocol) => {
                let slot = transport.open_raw(now, is_v4, protocol.number(), Holder { descriptor, id }, below)?;
                options.apply_to_packet(is_v4, slot, transport);
                Some(slot)
            }
            _ => None,
        };
        let local = slot.map_or(address::wildcard(domain), |slot| transport.packet_socket(slot).local());
        let (pipe, end) =
            Datagrams::of_packets(self.limits.datagram_buffer, &self.memory, self.doorbell.bell(descriptor));
        let handle = self.insert_as(id, domain, kind, options, State::Packet { slot, end }, self.caller.clone());
        Ok(Outcome::Datagram(DatagramSocket { handle, local, pipe }))
    }

    /// `bind(2)`. The port is an echo socket's identifier; a raw socket has none.
    pub(super) fn bind_packet(
        &mut self,
        now: Time,
        socket: Handle,
        place: Place,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let entry = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        let holder = entry.holder(socket);
        let Descriptor { domain, kind, options, state, .. } = entry;
        let is_v4 = *domain == Domain::Inet;
        let State::Packet { slot, .. } = state else { return Err(Error::InvalidInput) };
        if place.local.is_ipv4() != is_v4 {
            return Err(Error::AddressNotAvailable);
        }
        match (*kind, *slot) {
            (Kind::Raw(_), Some(slot)) => {
                transport.bind_raw(slot, place.local.ip(), below)?;
                Ok(Outcome::Address(transport.packet_socket(slot).local().into()))
            }
            (_, None) => {
                // These two are one family's, whatever IPV6_V6ONLY says.
                let place = Place::one_family(place.local);
                let new = transport.bind_echo(now, place, options.sharing(), holder, below, rng)?;
                options.apply_to_packet(is_v4, new, transport);
                *slot = Some(new);
                Ok(Outcome::Address(transport.packet_socket(new).local().into()))
            }
            // `bind(2)`: it has an identifier already.
            _ => Err(Error::InvalidInput),
        }
    }

    /// The slot of an echo socket or a raw socket; an echo socket that was not bound gets any identifier.
    pub(super) fn bound_packet(
        &mut self,
        now: Time,
        socket: Handle,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<usize> {
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        match descriptor.state {
            State::Packet { slot: Some(slot), .. } => return Ok(slot),
            State::Packet { slot: None, .. } => {}
            _ => return Err(Error::NotSupported),
        }
        let place = Place::one_family(address::wildcard(descriptor.domain));
        self.bind_packet(now, socket, place, transport, below, rng)?;
        match self.find(socket).map(|entry| &entry.state) {
            Some(&State::Packet { slot: Some(slot), .. }) => Ok(slot),
            _ => Err(Error::InvalidInput),
        }
    }

    /// Whether it is an echo socket or a raw socket.
    pub(super) fn is_packet(&self, socket: Handle) -> bool {
        matches!(self.find(socket).map(|entry| &entry.state), Some(State::Packet { .. }))
    }

    /// Moves packets between the transport and the pipe.
    pub(super) fn service_packet(
        &mut self,
        now: Time,
        descriptor: usize,
        round: Round,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) {
        let Some(entry) = self.table.get(descriptor) else { return };
        let State::Packet { slot, end } = &entry.state else { return };
        end.answer();
        let handle = Handle { descriptor, number: entry.id.number };
        if slot.is_none()
            && end.has_unsent()
            && let Err(error) = self.bound_packet(now, handle, transport, below, rng)
        {
            self.refuse_datagram(descriptor, error);
        }
        let Some(entry) = self.table.get(descriptor) else { return };
        let State::Packet { slot, end } = &entry.state else { return };
        let (domain, kind) = (entry.domain, entry.kind);
        let Some(slot) = *slot else {
            if end.is_dropped() {
                self.table.remove(descriptor);
            }
            return;
        };
        transport.packet_socket(slot).receive(|bytes, arrival| end.deliver_owned(bytes, addresses(arrival)));
        let mut too_long = Vec::new();
        for _ in 0..round.datagrams {
            if below.packets.bytes_used() >= round.bytes {
                break;
            }
            let Some((bytes, Addresses { peer, local: source, .. })) = end.take_owned() else { break };
            // No IPv4 by a socket of IPv6: its header, and the ICMP in it, would be another one.
            let meant = address::meant(domain, true, peer).map_err(|error| match error {
                Error::NetworkUnreachable => Error::InvalidInput,
                error => error,
            });
            let sent = meant.and_then(|peer| match kind {
                Kind::Raw(_) => transport.send_raw(slot, &bytes, peer.ip(), source, below),
                _ => self.send_echo(slot, bytes, (peer.ip(), source), transport, below),
            });
            if let Err(error) = sent {
                end.fail(error);
                if error == Error::MessageTooLong && entry.options.receive_errors {
                    too_long.push(QueuedError::too_long(peer, below.ip.path_mtu(peer.ip())));
                }
            }
        }
        // In this order: what was sent before the socket was dropped goes out.
        let is_dropped = end.is_dropped();
        if end.has_unsent() {
            end.ring();
        } else if is_dropped {
            match kind {
                Kind::Raw(_) => transport.close_raw(now, slot, below),
                _ => transport.close_echo(now, slot, below),
            }
            self.table.remove(descriptor);
        }
        for error in too_long {
            self.queue_error(descriptor, Some(error));
        }
    }
}

/// What a program is told of a packet, besides its bytes.
pub(super) fn addresses(arrival: Arrival) -> Addresses {
    let Arrival { peer, local, hop_limit, traffic_class } = arrival;
    let header = Some(HeaderFields { hop_limit, traffic_class });
    Addresses { peer: SocketAddr::new(peer, 0), local: Some(local), header }
}
