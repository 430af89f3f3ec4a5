//! What programs ask for, and what they get.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::kind::{Domain, Kind};
use super::list::{Page, SocketRow};
use super::option::{OptionName, SocketOption};
use super::unix::{Recipient, UnixAddress, UnixName, UnixPipe, UnixSocket};
use crate::error::Result;
use crate::observe::{Owner, SocketId};
use crate::pipe::{Accepts, Datagrams, Stream, Vacancy};
use crate::transport::{QueuedError, TcpInfo};

/// Names a socket in later calls. A closed socket's name is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    pub(super) descriptor: usize,
    pub(super) number: u64,
}

/// What a program asks for.
///
/// The verbs of the man pages come one by one, from [`Verb::Open`] to [`Verb::Close`]. Three more say at once what
/// most programs say one after the other: a call to the engine is a message to another thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// `socket(2)`.
    Open {
        /// The family of its addresses.
        domain: Domain,
        /// What it is, as [`Kind::of`] says.
        kind: Kind,
    },
    /// `bind(2)`.
    Bind {
        /// The socket.
        socket: Handle,
        /// Where; port 0 stands for any, and no name for any abstract one.
        local: Address,
    },
    /// `listen(2)`.
    Listen {
        /// The socket.
        socket: Handle,
        /// How many established connections may wait.
        backlog: usize,
    },
    /// `connect(2)`, as if it did not block: for TCP the pipe tells how it ends.
    Connect {
        /// The socket.
        socket: Handle,
        /// To whom.
        remote: Address,
    },
    /// `connect(2)` with AF_UNSPEC: a UDP socket hears everybody again.
    Disconnect {
        /// The socket.
        socket: Handle,
    },
    /// `close(2)` of a socket that has no pipe yet; others are closed by dropping the program's end of it.
    Close {
        /// The socket.
        socket: Handle,
    },
    /// `getsockname(2)`.
    LocalAddress {
        /// The socket.
        socket: Handle,
    },
    /// `setsockopt(2)`.
    SetOption {
        /// The socket.
        socket: Handle,
        /// The option with its value.
        option: SocketOption,
    },
    /// `getsockopt(2)`.
    GetOption {
        /// The socket.
        socket: Handle,
        /// Which option.
        name: OptionName,
    },
    /// `socket`, `bind` and `listen` for TCP, with SO_REUSEADDR.
    OpenListener {
        /// Where; port 0 stands for any.
        local: SocketAddr,
        /// How many established connections may wait.
        backlog: usize,
        /// IPV6_V6ONLY.
        v6_only: bool,
    },
    /// `socket` and `connect` for TCP. Completes when the connection is established or has failed.
    OpenStream {
        /// From where; `None` chooses both.
        local: Option<SocketAddr>,
        /// To whom.
        remote: SocketAddr,
    },
    /// The same as if it did not block: the pipe tells when the connection is established, or why it is not.
    BeginStream {
        /// To whom.
        remote: SocketAddr,
    },
    /// `socket` and `bind` for UDP.
    OpenDatagram {
        /// Where; port 0 stands for any.
        local: SocketAddr,
        /// SO_REUSEADDR: others that set it too may have the same address.
        reuse_address: bool,
        /// IPV6_V6ONLY.
        v6_only: bool,
    },
    /// `socketpair(2)`.
    OpenPair {
        /// What both are: for Unix only.
        kind: Kind,
    },
    /// `sendto(2)` by a Unix socket of messages: who has this name.
    Find {
        /// The socket that wants to send.
        socket: Handle,
        /// The name.
        name: UnixAddress,
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
    /// `close` with SO_LINGER: completes when everything written and the FIN behind it have arrived, or never will.
    /// Whoever waits no longer may forget the ticket; the connection goes on by itself. It also completes when the
    /// program lets go of the socket, or asks again.
    Linger {
        /// The socket.
        socket: Handle,
    },
    /// `recvmsg(2)` with MSG_ERRQUEUE: the oldest error that waits (IP_RECVERR).
    TakeQueuedError {
        /// The socket.
        socket: Handle,
    },
    /// TCP_INFO.
    Info {
        /// The socket.
        socket: Handle,
    },
    /// `ss(8)`: a part of the list of all sockets.
    List {
        /// From where on.
        page: Page,
    },
}

/// A verb with the ticket that its completion will carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The caller's own number.
    pub ticket: u64,
    /// Who calls, if that is to be known: whatever socket is made is held by it.
    pub owner: Option<Owner>,
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
    /// A socket that is nothing yet: TCP.
    Fresh(Handle),
    /// A listener.
    Listener(ListenerSocket),
    /// A connection.
    Stream(StreamSocket),
    /// A connect is under way: the pipe that will carry it, unless the program has it from an earlier try.
    Connecting(Option<Stream>),
    /// A UDP socket.
    Datagram(DatagramSocket),
    /// A Unix socket.
    Unix(Box<UnixSocket>),
    /// Two Unix sockets that are connected to each other.
    UnixPair(Box<[UnixSocket; 2]>),
    /// The accept queue of a Unix socket that listens.
    UnixListener(Accepts<UnixSocket>),
    /// What a Unix socket is read and written by from here on, and what its peer is called.
    UnixConnected(UnixPipe, UnixName),
    /// Too many wait to be accepted; when it may be tried again.
    Full(Vacancy<UnixSocket>),
    /// Whom a Unix socket sends messages to.
    Recipient(Recipient),
    /// An address.
    Address(Address),
    /// An option with its value.
    Option(SocketOption),
    /// An error with all that is known of it, if one waits.
    QueuedError(Option<Box<QueuedError>>),
    /// A snapshot.
    Info(Box<TcpInfo>),
    /// Sockets, and where the list goes on.
    List(Vec<SocketRow>, Option<Page>),
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
    /// What it is bound to.
    pub local: SocketAddr,
    /// Its datagrams.
    pub pipe: Datagrams,
}
