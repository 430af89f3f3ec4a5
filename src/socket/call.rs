use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;

use super::{Connecting, Descriptor, Socket, Sockets};
use crate::error::{Error, Result};
use crate::observe::{SocketId, Time};
use crate::pipe::{Accepts, Datagrams, Stream};
use crate::transport::{Below, GroupOption, TcpInfo, TcpOption, Transport};

/// Names a socket in later calls. A closed socket's name is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    pub(super) descriptor: usize,
    pub(super) number: u64,
}

/// What a program asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `socket`, `bind` and `listen` for TCP.
    Listen {
        /// Where; port 0 stands for any.
        local: SocketAddr,
        /// How many established connections may wait.
        backlog: usize,
    },
    /// `socket` and `connect` for TCP. Completes when the connection is established or has failed.
    Connect {
        /// From where; `None` chooses both.
        local: Option<SocketAddr>,
        /// To whom.
        remote: SocketAddr,
    },
    /// `socket` and `bind` for UDP.
    BindUdp {
        /// Where; port 0 stands for any.
        local: SocketAddr,
        /// SO_REUSEADDR: others that set it too may have the same address.
        reuse_address: bool,
    },
    /// `connect` for UDP.
    ConnectUdp {
        /// The socket.
        socket: Handle,
        /// The only peer from here on.
        peer: SocketAddr,
    },
    /// IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP.
    JoinGroup {
        /// The socket.
        socket: Handle,
        /// The group.
        group: IpAddr,
        /// By this address of ours; `None` leaves it to the stack, which has one link only.
        interface: Option<IpAddr>,
    },
    /// IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP.
    LeaveGroup {
        /// The socket.
        socket: Handle,
        /// The group.
        group: IpAddr,
        /// As it was joined.
        interface: Option<IpAddr>,
    },
    /// SO_BROADCAST and the options that `ip(7)` has about multicast.
    SetGroupOption {
        /// The socket.
        socket: Handle,
        /// What is set, and to what.
        option: GroupOption,
    },
    /// IP_RECVERR and IPV6_RECVERR: whether a UDP socket is told of every ICMP error that a datagram of its caused,
    /// also of those that may pass, and also while it is not connected (`ip(7)`).
    SetReceiveErrors {
        /// The socket.
        socket: Handle,
        /// Whether it wants them.
        on: bool,
    },
    /// `setsockopt` for a connection.
    SetOption {
        /// The socket.
        socket: Handle,
        /// The option with its value.
        option: TcpOption,
    },
    /// `close` with SO_LINGER: completes when everything written and the FIN behind it have arrived, or never will.
    /// Whoever waits no longer may forget the ticket; the connection goes on by itself.
    Linger {
        /// The socket.
        socket: Handle,
    },
    /// TCP_INFO.
    Info {
        /// The socket.
        socket: Handle,
    },
}

/// A verb with the ticket that its completion will carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The caller's own number.
    pub ticket: u64,
    /// What is asked.
    pub verb: Verb,
}

/// A finished call.
#[derive(Debug)]
pub struct Completion {
    /// Of the call.
    pub ticket: u64,
    /// What came of it.
    pub result: Result<Outcome>,
}

/// What a call gives.
#[derive(Debug)]
pub enum Outcome {
    /// A listener.
    Listener(ListenerSocket),
    /// A connection.
    Stream(StreamSocket),
    /// A UDP socket.
    Datagram(DatagramSocket),
    /// A snapshot.
    Info(Box<TcpInfo>),
    /// Nothing more to say.
    Done,
}

/// A program's side of a listening socket.
#[derive(Debug)]
pub struct ListenerSocket {
    /// For later calls.
    pub handle: Handle,
    /// Where it listens.
    pub local: SocketAddr,
    /// Its accept queue.
    pub queue: Accepts<StreamSocket>,
}

/// A program's side of a connection.
#[derive(Debug)]
pub struct StreamSocket {
    /// For later calls.
    pub handle: Handle,
    /// Its name in the trace.
    pub id: SocketId,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Its bytes.
    pub pipe: Stream,
}

/// A program's side of a UDP socket.
#[derive(Debug)]
pub struct DatagramSocket {
    /// For later calls.
    pub handle: Handle,
    /// Its name in the trace.
    pub id: SocketId,
    /// What it is bound to.
    pub local: SocketAddr,
    /// Its datagrams.
    pub pipe: Datagrams,
}

impl Sockets {
    /// Does what a call asks. What takes time completes later.
    pub fn call(&mut self, now: Time, call: Call, transport: &mut Transport, below: &mut Below<'_>, rng: &mut StdRng) {
        let Call { ticket, verb } = call;
        let result = match verb {
            Verb::Listen { local, backlog } => self.listen(local, backlog, transport, below, rng),
            Verb::BindUdp { local, reuse_address } => self.bind_udp(now, local, reuse_address, transport, below, rng),
            Verb::Connect { local, remote } => match self.connect(now, ticket, local, remote, transport, below) {
                Ok(()) => return,
                Err(error) => Err(error),
            },
            Verb::ConnectUdp { socket, peer } => self.connect_udp(socket, peer, transport, below),
            Verb::JoinGroup { socket, group, interface } => self
                .group_member(socket, interface, below)
                .and_then(|slot| transport.join_group(now, slot, group, below))
                .map(|()| Outcome::Done),
            Verb::LeaveGroup { socket, group, interface } => self
                .group_member(socket, interface, below)
                .and_then(|slot| transport.leave_group(now, slot, group, below))
                .map(|()| Outcome::Done),
            Verb::SetGroupOption { socket, option } => self.datagram_slot(socket).map(|slot| {
                transport.set_group_option(slot, option);
                Outcome::Done
            }),
            Verb::SetReceiveErrors { socket, on } => self.set_receive_errors(socket, on, transport),
            Verb::SetOption { socket, option } => self.set_option(socket, option, transport),
            Verb::Linger { socket } => match self.linger(ticket, socket, transport) {
                Some(result) => result,
                None => return,
            },
            Verb::Info { socket } => self.info(now, socket, transport),
        };
        self.completions.push_back(Completion { ticket, result });
    }

    fn listen(
        &mut self,
        local: SocketAddr,
        backlog: usize,
        transport: &mut Transport,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let descriptor = self.table.vacant_key();
        let slot = transport.listen(local, backlog, descriptor, below, rng)?;
        let (queue, end) = Accepts::new(self.doorbell.bell(descriptor));
        let handle = self.insert(Socket::Listener { slot, end });
        Ok(Outcome::Listener(ListenerSocket { handle, local: transport.listening(slot), queue }))
    }

    fn bind_udp(
        &mut self,
        now: Time,
        local: SocketAddr,
        reuse_address: bool,
        transport: &mut Transport,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        let descriptor = self.table.vacant_key();
        let slot = transport.bind_udp(now, local, reuse_address, descriptor, below, rng)?;
        let bell = self.doorbell.bell(descriptor);
        let (pipe, end) = Datagrams::new(self.limits.datagram_buffer, &self.memory, bell);
        let handle = self.insert(Socket::Datagram { slot, end });
        let datagram = transport.datagram(slot);
        Ok(Outcome::Datagram(DatagramSocket { handle, id: datagram.id(), local: datagram.local(), pipe }))
    }

    fn connect(
        &mut self,
        now: Time,
        ticket: u64,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<()> {
        let descriptor = self.table.vacant_key();
        let (pipe, end) = Stream::new(self.limits.pipe, &self.memory, self.doorbell.bell(descriptor))?;
        let slot = transport.connect(now, local, remote, descriptor, below)?;
        let connection = transport.connection(slot).ok_or(Error::ConnectionAborted)?;
        let (id, local) = (connection.id(), connection.local());
        let handle = self.insert(Socket::Stream { slot, end, connecting: None, lingering: None });
        let socket = StreamSocket { handle, id, local, remote, pipe };
        if let Some(Socket::Stream { connecting, .. }) = self.table.get_mut(descriptor).map(|entry| &mut entry.socket) {
            *connecting = Some(Box::new(Connecting { ticket, socket }));
        }
        Ok(())
    }

    fn connect_udp(
        &self,
        socket: Handle,
        peer: SocketAddr,
        transport: &mut Transport,
        below: &Below<'_>,
    ) -> Result<Outcome> {
        transport.connect_udp(self.datagram_slot(socket)?, peer, below).map(|()| Outcome::Done)
    }

    fn datagram_slot(&self, socket: Handle) -> Result<usize> {
        match self.find(socket) {
            Some(&Socket::Datagram { slot, .. }) => Ok(slot),
            Some(_) => Err(Error::NotSupported),
            None => Err(Error::BadDescriptor),
        }
    }

    /// The slot of a socket that joins or leaves a group by `interface`.
    fn group_member(&self, socket: Handle, interface: Option<IpAddr>, below: &Below<'_>) -> Result<usize> {
        if interface.is_some_and(|address| !below.ip.is_own(address)) {
            return Err(Error::AddressNotAvailable);
        }
        self.datagram_slot(socket)
    }

    fn set_receive_errors(&self, socket: Handle, on: bool, transport: &mut Transport) -> Result<Outcome> {
        transport.datagram(self.datagram_slot(socket)?).set_receive_errors(on);
        Ok(Outcome::Done)
    }

    fn set_option(&self, socket: Handle, option: TcpOption, transport: &mut Transport) -> Result<Outcome> {
        match self.find(socket) {
            Some(&Socket::Stream { slot, .. }) => {
                transport.connection(slot).ok_or(Error::InvalidInput)?.set(option);
                transport.mark(slot);
                Ok(Outcome::Done)
            }
            Some(_) => Err(Error::NotSupported),
            // The connection is over: Linux takes the option and it has no effect.
            None => Ok(Outcome::Done),
        }
    }

    fn linger(&mut self, ticket: u64, socket: Handle, transport: &mut Transport) -> Option<Result<Outcome>> {
        let entry = self.table.get_mut(socket.descriptor).filter(|entry| entry.number == socket.number);
        let Some(Descriptor { socket: Socket::Stream { slot, lingering, .. }, .. }) = entry else {
            return Some(Ok(Outcome::Done));
        };
        *lingering = Some(ticket);
        transport.mark(*slot);
        None
    }

    fn info(&self, now: Time, socket: Handle, transport: &mut Transport) -> Result<Outcome> {
        match self.find(socket) {
            Some(&Socket::Stream { slot, .. }) => {
                let connection = transport.connection(slot).ok_or(Error::NotConnected)?;
                Ok(Outcome::Info(Box::new(connection.info(now))))
            }
            Some(_) => Err(Error::NotSupported),
            None => Err(Error::NotConnected),
        }
    }
}
