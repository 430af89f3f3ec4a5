//! What programs ask of TCP: listen, connect, close.

use std::net::SocketAddr;

use rand::rngs::StdRng;
use smoltcp::wire::TcpSeqNumber;

use crate::error::{Error, Result};
use crate::ip::Packets;
use crate::observe::{Close, Protocol, Rule, SocketId, Summary, TcpState, Time};
use crate::transport::address::{leave_host, this_host};
use crate::transport::connection::{Connection, TcpOption};
use crate::transport::handshake::Listener;
use crate::transport::{
    Below, Bound, FourTuple, Holder, Life, Owner, Place, Sharing, Terms, Transport, isn, new_interface, segment_payload,
};

/// Both ends of a connection that is to be.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// Ours.
    pub local: SocketAddr,
    /// The peer's.
    pub remote: SocketAddr,
    /// The peer is this very stack.
    pub(super) is_local: bool,
    /// With whom it shares our port (SO_REUSEADDR, SO_REUSEPORT).
    pub sharing: Sharing,
    /// Where an earlier connection of the same ends had got to.
    least_isn: Option<TcpSeqNumber>,
}

impl Transport {
    /// Binds the TCP socket of `descriptor`, which neither listens nor is connected yet; port 0 stands for any that is
    /// free. Gives what it got.
    ///
    /// # Errors
    ///
    /// [`Error::AddressNotAvailable`] for an address that is not ours, or if no port is free;
    /// [`Error::AddressInUse`]; [`Error::TooManySockets`].
    pub fn bind_tcp(
        &mut self,
        place: Place,
        sharing: Sharing,
        descriptor: usize,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Place> {
        let place = self.bindable(Protocol::Tcp, place, below, rng)?;
        self.ports.bind(Protocol::Tcp, place, Bound::Reserved(descriptor), sharing)?;
        Ok(place)
    }

    /// With whom a bound socket shares its port from here on.
    pub fn set_bound_sharing(&mut self, place: Place, descriptor: usize, sharing: Sharing) {
        self.ports.set_sharing(Protocol::Tcp, place, Bound::Reserved(descriptor), sharing);
    }

    /// Gives back what [`Transport::bind_tcp`] took.
    pub fn unbind_tcp(&mut self, place: Place, descriptor: usize) {
        self.ports.release(Protocol::Tcp, place, Bound::Reserved(descriptor));
    }

    /// Lets the socket that `holder` has bound to `place` listen.
    ///
    /// # Errors
    ///
    /// [`Error::AddressInUse`] if another socket listens there.
    pub fn listen(&mut self, place: Place, backlog: usize, terms: Terms, holder: Holder) -> Result<usize> {
        let Holder { descriptor, id } = holder;
        let slot = self.listeners.vacant_key();
        self.ports.listen(Protocol::Tcp, place, Bound::Reserved(descriptor), Bound::Listener(slot))?;
        let backlog = self.backlog(backlog);
        self.listeners.insert(Listener { id, place, backlog, waiting: 0, descriptor, terms, under_way: Vec::new() });
        self.lives.push_back(Life::Bound { socket: holder, local: place.local, backlog: Some(backlog) });
        Ok(slot)
    }

    /// Listens with another backlog (`listen(2)`, the second time).
    pub fn set_backlog(&mut self, slot: usize, backlog: usize) {
        self.listeners[slot].backlog = self.backlog(backlog);
    }

    /// Connections that come from here on are made on other terms.
    pub fn set_terms(&mut self, slot: usize, terms: Terms) {
        let listener = &mut self.listeners[slot];
        listener.terms = terms;
        self.ports.set_sharing(Protocol::Tcp, listener.place, Bound::Listener(slot), terms.sharing);
    }

    fn backlog(&self, wanted: usize) -> usize {
        wanted.clamp(1, self.limits.backlog)
    }

    /// Where it listens, and how many may wait to be accepted.
    pub fn listening(&self, slot: usize) -> (SocketAddr, usize) {
        let listener = &self.listeners[slot];
        (listener.place.local, listener.backlog)
    }

    /// Its name in the trace.
    pub fn listener_id(&self, slot: usize) -> SocketId {
        self.listeners[slot].id
    }

    /// The program has accepted connections: this many still wait.
    pub fn set_waiting(&mut self, slot: usize, waiting: usize) {
        self.listeners[slot].waiting = waiting;
    }

    /// Closes a listener. Handshakes that are under way end in a RST.
    pub fn close_listener(&mut self, slot: usize, out: &mut Packets) {
        let listener = self.listeners.remove(slot);
        self.ports.release(Protocol::Tcp, listener.place, Bound::Listener(slot));
        for slot in listener.under_way {
            // A peer whose final ACK is on its way takes the connection for established.
            if let Some(handshake) = self.handshakes.get(slot) {
                handshake.send_reset(Some(Rule::TcpListenerClosed), out);
                self.forget_handshake(slot);
            }
        }
        self.lives.push_back(Life::Closed { socket: listener.id, how: Close::ByUs, summary: Summary::default() });
    }

    /// From where a connection to `remote` goes, if it may.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkUnreachable`], [`Error::AddressNotAvailable`], [`Error::AddressInUse`],
    /// [`Error::TooManySockets`], [`Error::NoBufferSpace`]; [`Error::InvalidInput`] from a loopback address to another
    /// host.
    pub fn ends(
        &mut self,
        now: Time,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        below: &Below<'_>,
    ) -> Result<Ends> {
        if self.sockets() >= self.limits.sockets {
            return Err(Error::TooManySockets);
        }
        if self.memory.is_exhausted() {
            return Err(Error::NoBufferSpace);
        }
        let bound = local.map(|local| local.ip()).filter(|address| !address.is_unspecified());
        let remote = this_host(remote, bound);
        if remote.port() == 0 {
            // Nobody can listen there, and every host says so.
            return Err(Error::ConnectionRefused);
        }
        if below.ip.is_group(remote.ip()) {
            // As Linux has it (tcp_v4_connect, tcp_v6_connect): no route of TCP's leads to several hosts.
            return Err(Error::NetworkUnreachable);
        }
        let hop = below.ip.route(remote.ip()).map_err(|_| Error::NetworkUnreachable)?;
        let address = bound.unwrap_or(hop.source);
        if address.is_ipv4() != remote.is_ipv4() {
            return Err(Error::FamilyNotSupported);
        }
        if !below.ip.is_usable(address) {
            return Err(Error::AddressNotAvailable);
        }
        leave_host(address, hop)?;
        let port = match local.map_or(0, |local| local.port()) {
            0 => {
                let (tuples, remnants) = (&self.tuples, &self.remnants);
                let is_free = |port| {
                    let local = SocketAddr::new(address, port);
                    // Chance does not connect a socket to itself.
                    local != remote
                        && match tuples.get(&FourTuple { local, remote }) {
                            None => true,
                            Some(&Owner::Remnant(slot)) => remnants[slot].may_be_followed(now),
                            Some(_) => false,
                        }
                };
                self.ports.for_connection(address, remote, is_free)?
            }
            port => port,
        };
        let local = SocketAddr::new(address, port);
        let least_isn = match self.tuples.get(&FourTuple { local, remote }) {
            None => None,
            Some(&Owner::Remnant(slot)) if self.may_follow(now, slot) => {
                let least_isn = self.remnants[slot].next_isn();
                self.forget_remnant(slot);
                Some(least_isn)
            }
            // As Linux has it (__inet_check_established).
            Some(_) => return Err(Error::AddressNotAvailable),
        };
        Ok(Ends { local, remote, is_local: hop.is_local, sharing: Sharing::default(), least_isn })
    }

    /// Asks for a connection between these ends.
    ///
    /// # Errors
    ///
    /// [`Error::NoBufferSpace`].
    pub fn connect(
        &mut self,
        now: Time,
        ends: Ends,
        terms: &Terms,
        holder: Holder,
        below: &mut Below<'_>,
    ) -> Result<usize> {
        let Ends { local, remote, least_isn, .. } = ends;
        let agreed = self.agree(holder.id, (local, remote), now, least_isn, terms, below.ip);
        let bytes = [terms.receive_bytes(&self.limits), terms.send_bytes(&self.limits)];
        let mut connection = Connection::new(self.memory.pair(bytes)?, agreed, TcpState::Closed);
        connection.set(TcpOption::Congestion(terms.congestion));
        connection.sharing = terms.sharing;
        connection.descriptor = Some(holder.descriptor);
        connection.narrow(segment_payload(below.ip.path_mtu(remote.ip()), remote));
        let mut interface = new_interface(isn::seed(agreed.isn), now);
        connection.connect(now, &mut interface, below.packets)?;
        let slot = self.keep(connection);
        self.mark(slot);
        Ok(slot)
    }
}
