//! A socket's life: it is opened, bound, listens or connects, and is closed.

use std::net::SocketAddr;
use std::sync::Arc;

use rand::rngs::StdRng;

use super::option::Options;
use super::{
    Address, Connecting, DatagramSocket, Descriptor, Domain, Handle, Kind, ListenerSocket, Mode, Outcome, Sockets,
    State, StreamSocket, address,
};
use crate::error::{Error, Result};
use crate::observe::Time;
use crate::pipe::{Accepts, Datagrams, Stream};
use crate::transport::{Below, Place, Transport};

fn domain_of(address: SocketAddr) -> Domain {
    if address.is_ipv4() { Domain::Inet } else { Domain::Inet6 }
}

impl Sockets {
    /// `socket(2)`.
    pub(super) fn open(
        &mut self,
        now: Time,
        domain: Domain,
        kind: Kind,
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<Outcome> {
        if self.table.len() >= self.limits.sockets {
            return Err(Error::TooManySockets);
        }
        let options = Arc::clone(&self.defaults);
        match kind {
            Kind::Tcp => {
                let state = State::Idle { end: None };
                Ok(Outcome::Fresh(self.insert(domain, kind, options, state, transport)))
            }
            Kind::Udp => {
                let bell = self.doorbell.bell(self.table.vacant_key());
                let (pipe, end) = Datagrams::new(self.limits.datagram_buffer, &self.memory, bell);
                let handle = self.insert(domain, kind, options, State::Datagram { slot: None, end }, transport);
                Ok(Outcome::Datagram(DatagramSocket { handle, local: address::wildcard(domain), pipe }))
            }
            Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSeqPacket => {
                Ok(Outcome::Unix(Box::new(self.open_unix(now, kind, transport)?)))
            }
            Kind::Echo | Kind::Raw(_) => self.open_packet(now, domain, kind, transport, below),
        }
    }

    /// `bind(2)`.
    pub(super) fn bind(
        &mut self,
        now: Time,
        socket: Handle,
        local: SocketAddr,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let entry = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        let holder = entry.holder(socket);
        let Descriptor { domain, options, bound, state, .. } = entry;
        let place = address::place(*domain, options.v6_only, local)?;
        let got = match state {
            State::Idle { .. } if bound.is_none() => {
                let place = transport.bind_tcp(place, options.sharing(), socket.descriptor, below, rng)?;
                *bound = Some(Box::new(place));
                place.local
            }
            State::Datagram { slot: slot @ None, .. } => {
                let new = transport.bind_udp(now, place, options.sharing(), holder, below, rng)?;
                options.apply_to_datagram(new, transport);
                *slot = Some(new);
                transport.datagram(new).local()
            }
            State::Packet { .. } => return self.bind_packet(now, socket, place, transport, below, rng),
            // `bind(2)`: it has an address already.
            _ => return Err(Error::InvalidInput),
        };
        Ok(Outcome::Address(address::shown(*domain, got).into()))
    }

    /// Where a TCP socket is bound; one that did not choose gets any port.
    fn bound_tcp(
        &mut self,
        socket: Handle,
        transport: &mut Transport,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Place> {
        let Descriptor { domain, options, bound, .. } = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        if let Some(place) = bound {
            return Ok(**place);
        }
        let place = address::place(*domain, options.v6_only, address::wildcard(*domain))?;
        let place = transport.bind_tcp(place, options.sharing(), socket.descriptor, below, rng)?;
        *bound = Some(Box::new(place));
        Ok(place)
    }

    /// The slot of a UDP socket; one that was not bound gets any port.
    pub(super) fn bound_datagram(
        &mut self,
        now: Time,
        socket: Handle,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<usize> {
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        match descriptor.state {
            State::Datagram { slot: Some(slot), .. } => return Ok(slot),
            State::Datagram { slot: None, .. } => {}
            _ => return Err(Error::NotSupported),
        }
        self.bind(now, socket, address::wildcard(descriptor.domain), transport, below, rng)?;
        match self.find(socket).map(|entry| &entry.state) {
            Some(&State::Datagram { slot: Some(slot), .. }) => Ok(slot),
            _ => Err(Error::InvalidInput),
        }
    }

    /// `listen(2)`.
    pub(super) fn listen(
        &mut self,
        socket: Handle,
        backlog: usize,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        match &self.find(socket).ok_or(Error::BadDescriptor)?.state {
            State::Idle { end: None } => {}
            // A try to connect that has failed, and somebody was told, has left nothing behind.
            State::Idle { end: Some(end) } if !end.has_stood() && !end.has_untold_error() => {}
            State::Listener { end, .. } if end.is_shut() => {
                self.unlisten(socket.descriptor, transport, below, rng);
                return self.listen(socket, backlog, transport, below, rng);
            }
            State::Listener { slot, .. } => {
                transport.set_backlog(*slot, backlog);
                return Ok(Outcome::Done);
            }
            State::Shut { .. } => return self.listen_again(socket, backlog, transport, below, rng),
            State::Datagram { .. } | State::Packet { .. } => return Err(Error::NotSupported),
            State::Unix(_) => return self.listen_unix(socket, backlog, transport),
            State::Idle { .. } | State::Stream { .. } | State::Joined { .. } => return Err(Error::InvalidInput),
        }
        let place = self.bound_tcp(socket, transport, below, rng)?;
        let entry = self.find(socket).ok_or(Error::BadDescriptor)?;
        let slot = transport.listen(place, backlog, entry.options.terms(), entry.holder(socket))?;
        let (queue, end) = Accepts::new(self.doorbell.bell(socket.descriptor));
        let descriptor = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        descriptor.state = State::Listener { slot, end };
        let local = address::shown(descriptor.domain, place.local);
        Ok(Outcome::Listener(ListenerSocket { handle: socket, local, queue }))
    }

    /// [`listen`](Self::listen) of one that was shut down.
    fn listen_again(
        &mut self,
        socket: Handle,
        backlog: usize,
        transport: &mut Transport,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let place = self.bound_tcp(socket, transport, below, rng)?;
        let entry = self.find(socket).ok_or(Error::BadDescriptor)?;
        let slot = transport.listen(place, backlog, entry.options.terms(), entry.holder(socket))?;
        let descriptor = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        if let State::Shut { end } = std::mem::replace(&mut descriptor.state, State::Idle { end: None }) {
            end.reopen();
            descriptor.state = State::Listener { slot, end };
        }
        Ok(Outcome::Done)
    }

    /// `connect(2)`.
    pub(super) fn connect(
        &mut self,
        now: Time,
        socket: Handle,
        remote: SocketAddr,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        let remote = address::meant(descriptor.domain, descriptor.options.v6_only, remote)?;
        match &descriptor.state {
            // Linux: a socket has one connection in its life.
            State::Idle { end: Some(end) } if end.has_stood() => Err(Error::AlreadyConnected),
            // It failed while this call was on its way: the next one is told how.
            State::Idle { end: Some(end) } if end.has_untold_error() => Err(Error::AlreadyInProgress),
            State::Idle { .. } => {
                let local = descriptor.bound.as_ref().map(|place| place.local);
                self.connect_tcp(now, socket, (local, remote), transport, below).map(Outcome::Connecting)
            }
            State::Stream { connecting: Connecting::Done, .. } => Err(Error::AlreadyConnected),
            State::Stream { .. } => Err(Error::AlreadyInProgress),
            State::Listener { .. } | State::Shut { .. } | State::Joined { .. } => Err(Error::AlreadyConnected),
            State::Datagram { .. } => {
                let slot = self.bound_datagram(now, socket, transport, below, rng)?;
                transport.connect_udp(slot, remote, below).map(|()| Outcome::Done)
            }
            State::Unix(_) => Err(Error::InvalidInput),
            State::Packet { .. } => {
                let slot = self.bound_packet(now, socket, transport, below, rng)?;
                transport.connect_packet(slot, remote.ip(), below).map(|()| Outcome::Done)
            }
        }
    }

    /// Connects a TCP socket, as if it did not block: the pipe tells how it ends. Gives the program's end of the pipe,
    /// unless it has it from an earlier try.
    fn connect_tcp(
        &mut self,
        now: Time,
        socket: Handle,
        (local, remote): (Option<SocketAddr>, SocketAddr),
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<Option<Stream>> {
        let mut ends = transport.ends(now, local, remote, below)?;
        let bell = self.doorbell.bell(socket.descriptor);
        let (limits, memory, mode) = (self.limits.clone(), self.memory.clone(), self.mode);
        let descriptor = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        ends.sharing = descriptor.options.sharing();
        let State::Idle { end } = &mut descriptor.state else { return Err(Error::InvalidInput) };
        let (pipe, end) = match end.take() {
            Some(end) => (None, end),
            None => {
                let mut capacities = descriptor.options.pipe_capacities(&limits);
                if capacities != [limits.pipe; 2] && mode == Mode::Fast && transport.can_join(&ends) {
                    // A ring that two sockets share is as large as any, and both may bound what is used of it.
                    capacities = [limits.pipe; 2];
                }
                let (pipe, end) = Stream::with_capacities(capacities, &memory, bell)?;
                (Some(pipe), end)
            }
        };
        let mut end = match self.join(now, socket, &ends, end, transport) {
            Ok(()) => return Ok(pipe),
            Err(end) => end,
        };
        let descriptor = self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        let slot = match transport.connect(now, ends, &descriptor.options.terms(), descriptor.holder(socket), below) {
            Ok(slot) => slot,
            Err(error) => {
                descriptor.state = State::Idle { end: pipe.is_none().then_some(end) };
                return Err(error);
            }
        };
        end.begin_connect();
        descriptor.state = State::Stream { slot, end, connecting: Connecting::Pipe, lingering: None };
        descriptor.options.apply_to_connection(slot, transport);
        Ok(pipe)
    }

    /// `connect(2)` with AF_UNSPEC.
    pub(super) fn disconnect(&mut self, socket: Handle, transport: &mut Transport) -> Result<Outcome> {
        match self.find(socket).ok_or(Error::BadDescriptor)?.state {
            State::Datagram { slot, .. } => {
                if let Some(slot) = slot {
                    transport.disconnect_udp(slot);
                }
                Ok(Outcome::Done)
            }
            State::Unix(_) => self.disconnect_unix(socket),
            State::Packet { slot, .. } => {
                if let Some(slot) = slot {
                    transport.disconnect_packet(slot);
                }
                Ok(Outcome::Done)
            }
            _ => Err(Error::NotSupported),
        }
    }

    /// `close(2)` where there is no pipe to drop.
    pub(super) fn close(&mut self, socket: Handle, transport: &mut Transport) -> Result<Outcome> {
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        if matches!(descriptor.state, State::Idle { end: None }) {
            self.remove(socket.descriptor, transport);
        }
        Ok(Outcome::Done)
    }

    /// Forgets a descriptor, and gives back the port it reserved.
    pub(super) fn remove(&mut self, descriptor: usize, transport: &mut Transport) -> Option<State> {
        let Descriptor { bound, state, .. } = self.table.try_remove(descriptor)?;
        if let Some(place) = bound
            && !matches!(state, State::Listener { .. })
        {
            transport.unbind_tcp(*place, descriptor);
        }
        Some(state)
    }

    /// `socket`, `bind` and `listen`.
    pub(super) fn open_listener(
        &mut self,
        now: Time,
        local: SocketAddr,
        (backlog, v6_only): (usize, bool),
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let options = Arc::new(Options { reuse_address: true, v6_only, ..Options::default() });
        let socket = self.insert(domain_of(local), Kind::Tcp, options, State::Idle { end: None }, transport);
        let listening = self
            .bind(now, socket, local, transport, below, rng)
            .and_then(|_| self.listen(socket, backlog, transport, below, rng));
        if listening.is_err() {
            self.remove(socket.descriptor, transport);
        }
        listening
    }

    /// `socket` and `bind`.
    pub(super) fn open_datagram(
        &mut self,
        now: Time,
        local: SocketAddr,
        options: Options,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let Outcome::Datagram(opened) = self.open(now, domain_of(local), Kind::Udp, transport, below)? else {
            return Err(Error::InvalidInput);
        };
        let handle = opened.handle;
        if let Some(descriptor) = self.find_mut(handle) {
            descriptor.options = Arc::new(options);
        }
        match self.bind(now, handle, local, transport, below, rng) {
            Ok(Outcome::Address(Address::Inet(local))) => Ok(Outcome::Datagram(DatagramSocket { local, ..opened })),
            other => {
                self.remove(handle.descriptor, transport);
                other
            }
        }
    }

    /// `socket` and `connect`. `None`: the call completes when the peer has answered.
    pub(super) fn open_stream_and_wait(
        &mut self,
        now: Time,
        ticket: u64,
        ends: (Option<SocketAddr>, SocketAddr),
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<Option<Outcome>> {
        let (handle, socket) = self.open_stream(now, ends, transport, below)?;
        match self.find_mut(handle).map(|descriptor| &mut descriptor.state) {
            Some(State::Stream { connecting, .. }) => {
                *connecting = Connecting::Call(Box::new((ticket, socket)));
                Ok(None)
            }
            _ => Ok(Some(Outcome::Stream(socket))),
        }
    }

    /// `socket` and `connect`, as if it did not block: the pipe tells how it ends.
    pub(super) fn open_stream(
        &mut self,
        now: Time,
        (local, remote): (Option<SocketAddr>, SocketAddr),
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<(Handle, StreamSocket)> {
        let options = Arc::clone(&self.defaults);
        let handle = self.insert(domain_of(remote), Kind::Tcp, options, State::Idle { end: None }, transport);
        let pipe = match self.connect_tcp(now, handle, (local, remote), transport, below) {
            Ok(Some(pipe)) => pipe,
            other => {
                self.remove(handle.descriptor, transport);
                return Err(other.err().unwrap_or(Error::InvalidInput));
            }
        };
        let descriptor = self.find(handle).ok_or(Error::BadDescriptor)?;
        let (id, local, remote) = match descriptor.state {
            State::Joined { slot } => {
                let end = self.loopback.end(slot)?;
                (end.id(), end.local(), end.remote())
            }
            State::Stream { slot, .. } => {
                let connection = transport.connection(slot).ok_or(Error::ConnectionAborted)?;
                (connection.id(), connection.local(), remote)
            }
            _ => return Err(Error::InvalidInput),
        };
        Ok((handle, StreamSocket { handle, id, local, remote, pipe }))
    }
}
