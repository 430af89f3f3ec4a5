//! Who does what a call asks.

use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;

use super::option::Options;
use super::{Call, Completion, Handle, Kind, Outcome, Sockets, State, Verb, address};
use crate::error::{Error, Result};
use crate::observe::Time;
use crate::transport::{Below, Transport};

impl Sockets {
    /// Does what a call asks. What takes time completes later.
    pub fn call(&mut self, now: Time, call: Call, transport: &mut Transport, below: &mut Below<'_>, rng: &mut StdRng) {
        let Call { ticket, owner, verb } = call;
        self.caller = owner;
        let result = match verb {
            Verb::Open { domain, kind } => self.open(now, domain, kind, transport, below),
            Verb::Bind { socket, local } => match self.is_unix(socket) {
                true => local.into_unix().and_then(|name| self.bind_unix(now, socket, name, transport, rng)),
                false => local.into_inet().and_then(|local| self.bind(now, socket, local, transport, below, rng)),
            },
            Verb::Listen { socket, backlog } => self.listen(socket, backlog, transport, below, rng),
            Verb::Connect { socket, remote } => match self.is_unix(socket) {
                true => remote.into_unix().and_then(|name| self.connect_unix(now, socket, &name, transport)),
                false => remote.into_inet().and_then(|remote| self.connect(now, socket, remote, transport, below, rng)),
            },
            Verb::Disconnect { socket } => self.disconnect(socket, transport),
            Verb::Close { socket } => self.close(socket, transport),
            Verb::LocalAddress { socket } => self.local_address(now, socket, transport, below, rng),
            Verb::SetOption { socket, option } => {
                self.send_queued(now, socket, transport, below, rng);
                self.set_option(socket, option, transport, below)
            }
            Verb::GetOption { socket, name } => self.get_option(socket, name, transport, below),
            Verb::OpenListener { local, backlog, v6_only } => {
                self.open_listener(now, local, (backlog, v6_only), transport, below, rng)
            }
            Verb::BeginStream { remote } => {
                self.open_stream(now, (None, remote), transport, below).map(|(_, socket)| Outcome::Stream(socket))
            }
            Verb::OpenStream { local, remote } => {
                match self.open_stream_and_wait(now, ticket, (local, remote), transport, below) {
                    Ok(None) => return,
                    Ok(Some(outcome)) => Ok(outcome),
                    Err(error) => Err(error),
                }
            }
            Verb::OpenDatagram { local, reuse_address, v6_only } => {
                let options = Options { reuse_address, v6_only, ..Options::default() };
                self.open_datagram(now, local, options, transport, below, rng)
            }
            Verb::OpenPair { kind } => self.open_pair(now, kind, transport),
            Verb::Find { socket, name } => self.find_recipient(now, socket, &name, transport),
            Verb::JoinGroup { socket, group, interface } => self
                .group_member(now, socket, interface, transport, below, rng)
                .and_then(|slot| match self.is_packet(socket) {
                    true => transport.join_packet_group(now, slot, group, below),
                    false => transport.join_group(now, slot, group, below),
                })
                .map(|()| Outcome::Done),
            Verb::LeaveGroup { socket, group, interface } => self
                .group_member(now, socket, interface, transport, below, rng)
                .and_then(|slot| match self.is_packet(socket) {
                    true => transport.leave_packet_group(now, slot, group, below),
                    false => transport.leave_group(now, slot, group, below),
                })
                .map(|()| Outcome::Done),
            Verb::Linger { socket } => match self.linger(ticket, socket, transport) {
                Some(result) => result,
                None => return,
            },
            Verb::TakeQueuedError { socket } => self.take_queued_error(socket),
            Verb::Info { socket } => self.info(now, socket, transport),
            Verb::List { page } => {
                let (rows, next) = self.list(now, page, transport);
                Ok(Outcome::List(rows, next))
            }
        };
        self.completions.push_back(Completion { ticket, result });
    }

    /// The slot of a socket that joins or leaves a group by `interface`.
    fn group_member(
        &mut self,
        now: Time,
        socket: Handle,
        interface: Option<IpAddr>,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<usize> {
        if interface.is_some_and(|address| !address.is_loopback() && !below.ip.is_own(address)) {
            return Err(Error::AddressNotAvailable);
        }
        if self.is_packet(socket) {
            return self.bound_packet(now, socket, transport, below, rng);
        }
        self.bound_datagram(now, socket, transport, below, rng)
    }

    fn local_address(
        &mut self,
        now: Time,
        socket: Handle,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        if self.is_unix(socket) {
            return self.unix_name(socket);
        }
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        if let State::Datagram { slot: None, end } = &descriptor.state
            && end.has_unsent()
        {
            // What was sent before the question has bound it, as soon as we look at it.
            self.bound_datagram(now, socket, transport, below, rng)?;
        }
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        let local: Option<SocketAddr> = match descriptor.state {
            State::Datagram { slot: Some(slot), .. } => Some(transport.datagram(slot).local()),
            State::Packet { slot: Some(slot), .. } => Some(transport.packet_socket(slot).local()),
            State::Stream { slot, .. } => transport.connection(slot).map(|connection| connection.local()),
            State::Joined { slot } => self.loopback.end(slot).ok().map(|end| end.local()),
            _ => descriptor.bound.as_ref().map(|place| place.local),
        };
        let domain = descriptor.domain;
        let local = local.map_or(address::wildcard(domain), |local| address::shown(domain, local));
        Ok(Outcome::Address(local.into()))
    }

    fn linger(&mut self, ticket: u64, socket: Handle, transport: &mut Transport) -> Option<Result<Outcome>> {
        // A joined connection has nothing on its way: the peer has it already.
        let Some(State::Stream { slot, lingering, .. }) = self.find_mut(socket).map(|entry| &mut entry.state) else {
            return Some(Ok(Outcome::Done));
        };
        let earlier = lingering.replace(ticket);
        transport.mark(*slot);
        self.completions.extend(earlier.map(|ticket| Completion { ticket, result: Ok(Outcome::Done) }));
        None
    }

    fn take_queued_error(&mut self, socket: Handle) -> Result<Outcome> {
        let entry = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        Ok(Outcome::QueuedError(entry.errors.pop_front().map(Box::new)))
    }

    fn info(&self, now: Time, socket: Handle, transport: &mut Transport) -> Result<Outcome> {
        let descriptor = self.find(socket).ok_or(Error::NotConnected)?;
        match descriptor.state {
            State::Stream { slot, .. } => {
                let connection = transport.connection(slot).ok_or(Error::NotConnected)?;
                Ok(Outcome::Info(Box::new(connection.info(now))))
            }
            State::Joined { slot } => Ok(Outcome::Info(Box::new(self.loopback.end(slot)?.info(now)))),
            _ if descriptor.kind == Kind::Tcp => Err(Error::NotConnected),
            _ => Err(Error::ProtocolNotAvailable),
        }
    }
}
