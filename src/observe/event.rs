use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Rule, SocketId, TcpState};
use crate::config::Mac;

/// Which way a frame went, as seen from the stack; or a packet on the loopback, as seen from its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device.
    In,
    /// To the device.
    Out,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Direction::In => "in",
            Direction::Out => "out",
        })
    }
}

/// How a frame or a packet was addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cast {
    /// To us alone.
    Unicast,
    /// To several: broadcast or multicast. Errors must not answer it (RFC 1122 §3.2.2).
    Group,
}

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// One Ethernet frame came in or goes out, and this became of it. (Depth: packet.)
    Frame {
        /// Which way.
        direction: Direction,
        /// The whole frame, from the destination address to the last byte of payload.
        bytes: &'a [u8],
        /// Whose it is, or why it is nobody's.
        fate: Fate,
    },
    /// One IP packet that a stack sends to itself leaves a socket, or arrives. Both are told. (Depth: packet.)
    Loopback {
        /// `Out` when it is sent, `In` when it arrives.
        direction: Direction,
        /// The whole packet, from the IP header on; there is no Ethernet on the loopback.
        bytes: &'a [u8],
        /// Whose it is, or why it is nobody's.
        fate: Fate,
    },
    /// One of the stack's own addresses changed its state.
    Address {
        /// Which.
        address: IpAddr,
        /// Into this.
        state: Address,
    },
    /// A router was learned or lost.
    Router {
        /// Which.
        address: IpAddr,
        /// What.
        state: Router,
    },
    /// A DHCP server gave or took an address.
    Lease {
        /// The address.
        address: IpAddr,
        /// The server.
        server: IpAddr,
        /// What became of it.
        state: Lease,
    },
    /// What is known of a neighbour changed.
    Neighbour {
        /// Who.
        address: IpAddr,
        /// What.
        state: Neighbour,
    },
    /// A datagram went from a socket of this stack to another one without a packet; or the stack answered an ICMP echo
    /// request of a socket of its own so. (Depth: packet.)
    Datagram {
        /// Who sent it, or the request.
        socket: SocketId,
        /// Who has it, or was to have it. The reply is as a rule for who sent the request.
        peer: SocketId,
        /// From where, as the receiver sees it. For an echo request the port is its identifier.
        source: SocketAddr,
        /// To where. For an echo request the port is 0.
        destination: SocketAddr,
        /// Bytes of payload, or of the data of the request.
        length: usize,
        /// Why it was lost; `None`: it was not.
        rule: Option<Rule>,
    },
    /// A Unix socket was opened. (Sockets of the network are seen first when they are bound or connected.)
    Opened {
        /// Which.
        socket: SocketId,
        /// Its type, as `socket(2)` calls it.
        kind: &'static str,
    },
    /// A Unix socket has a name, or listens at it.
    UnixBound {
        /// Which.
        socket: SocketId,
        /// As `ss(8)` writes it: `@` stands for the zero in front of an abstract name.
        name: &'a str,
        /// For a listener: how many connections may wait to be accepted.
        backlog: Option<usize>,
    },
    /// A Unix socket was connected to and waits in the accept queue. Who asked is told next, by [`Event::Joined`].
    UnixAccepted {
        /// The connection.
        socket: SocketId,
        /// The listener it came through.
        listener: SocketId,
        /// What the listener is called.
        name: &'a str,
        /// How many connections wait to be accepted, this one included.
        waiting: usize,
        /// How many may.
        backlog: usize,
    },
    /// A TCP socket began to listen, or a UDP socket was bound.
    Bound {
        /// Which.
        socket: SocketId,
        /// Where.
        local: SocketAddr,
        /// For a listener: how many connections may wait to be accepted.
        backlog: Option<usize>,
    },
    /// A connection that a peer asked for was established and waits in the accept queue.
    Accepted {
        /// The connection.
        socket: SocketId,
        /// The listener it came through.
        listener: SocketId,
        /// Where the listener listens; its address may be the wildcard.
        listening: SocketAddr,
        /// Our end of the connection.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
        /// How many connections wait to be accepted, this one included.
        waiting: usize,
        /// How many may.
        backlog: usize,
    },
    /// A connection that a program of ours asked for was established.
    Connected {
        /// The connection.
        socket: SocketId,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
    },
    /// Two programs of this stack are connected, over TCP or by Unix sockets: their pipes are joined end to end, and no
    /// packet exists.
    Joined {
        /// The one that connected; of a pair, the first.
        socket: SocketId,
        /// The one that was accepted.
        peer: SocketId,
    },
    /// A socket is gone.
    Closed {
        /// Which.
        socket: SocketId,
        /// How it ended.
        how: Close,
        /// What it carried.
        summary: Summary,
    },
    /// The device refused to give or take a frame.
    Device {
        /// Which way.
        direction: Direction,
        /// What the kernel said.
        error: &'a str,
    },
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The socket it belongs to, and by what right. `None`: it belongs to none, and `rule` says why.
    pub owner: Option<Ownership>,
    /// Why it was dropped, answered by the stack itself, or sent without a socket asking for it. `None`: it was
    /// delivered to its socket, or its socket sent it.
    pub rule: Option<Rule>,
    /// The state of the connection before and after.
    pub states: Option<(TcpState, TcpState)>,
    /// Where the connection's sequence numbers begin, for numbers a person can read.
    pub numbers: Option<Numbers>,
}

impl Fate {
    /// A frame that no socket owns, for this reason.
    pub const fn nobody(rule: Rule) -> Fate {
        Fate { owner: None, rule: Some(rule), states: None, numbers: None }
    }

    /// A frame of this socket.
    pub const fn of(owner: Ownership) -> Fate {
        Fate { owner: Some(owner), rule: None, states: None, numbers: None }
    }
}

/// Why a frame belongs to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// Both addresses and both ports are those of this connection.
    FourTuple {
        /// The connection.
        socket: SocketId,
    },
    /// It asks a listener for a new connection.
    Listener {
        /// The connection that it will become.
        socket: SocketId,
        /// The listener.
        listener: SocketId,
        /// Where it listens; the address may be the wildcard.
        listening: SocketAddr,
    },
    /// The destination address and port are those this socket is bound to. For an echo socket the port is its
    /// identifier, for a raw socket the protocol that it hears.
    Port {
        /// The socket.
        socket: SocketId,
        /// What it is bound to; the address may be the wildcard.
        bound: SocketAddr,
    },
}

impl Ownership {
    /// The socket.
    pub const fn socket(&self) -> SocketId {
        match *self {
            Ownership::FourTuple { socket } | Ownership::Listener { socket, .. } | Ownership::Port { socket, .. } => {
                socket
            }
        }
    }
}

/// The initial sequence numbers of a connection; shown numbers are relative to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Ours.
    pub local: u32,
    /// The peer's; 0 until its SYN has come.
    pub remote: u32,
    /// How many bits our advertised window is shifted by, once the SYNs are exchanged.
    pub local_shift: u8,
    /// How many bits the peer's advertised window is shifted by.
    pub remote_shift: u8,
}

/// The state of one of our own addresses (RFC 4862 §5.4, RFC 5227).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// We ask whether somebody has it already.
    Tentative,
    /// It is ours.
    Preferred,
    /// Its preferred lifetime is over: what uses it goes on, and nothing new begins from it.
    Deprecated,
    /// Its lifetime is over, or it was taken away: it is not ours any more.
    Removed,
    /// Somebody else has it; we do not use it.
    Duplicate {
        /// Who.
        owner: Mac,
    },
    /// We use it, and somebody else does too.
    Conflict {
        /// Who.
        owner: Mac,
    },
}

/// What is known of a router (RFC 4861 §6.3.4, RFC 2132 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Router {
    /// Packets for other networks may go through it.
    Learned {
        /// For how long, if it is not told again; `None`: until it is taken back.
        lifetime: Option<Duration>,
    },
    /// It is not used any more.
    Lost,
}

/// What became of our wish for an address from a DHCP server (RFC 2131).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// The server gave it; the link is asked before it is used.
    Obtained {
        /// For how long; `None`: for ever.
        duration: Option<Duration>,
    },
    /// It was extended.
    Renewed {
        /// For how long from now; `None`: for ever.
        duration: Option<Duration>,
    },
    /// It ended before a server extended it.
    Expired,
    /// The server does not let us have it (any more).
    Refused,
    /// Somebody else on the link has it; the server was told.
    Declined,
}

/// The state of a neighbour (RFC 4861 §7.3.2; the same for ARP).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// We have asked for its link address.
    Incomplete,
    /// It has answered.
    Reachable {
        /// Its link address.
        mac: Mac,
    },
    /// It did not answer.
    Failed,
}

/// How a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The peer closed first, and both directions are done.
    ByPeer,
    /// We closed first, and both directions are done.
    ByUs,
    /// A RST came.
    Reset,
    /// We sent a RST: it was dropped with unread data, or aborted.
    Aborted,
    /// The peer refused the connection we asked for.
    Refused,
    /// The peer stopped answering.
    TimedOut,
    /// No link address or no route.
    Unreachable,
    /// The address it was bound to is not ours any more.
    AddressGone,
    /// A bug: its poll panicked, and it was ended alone.
    Panicked,
    /// The stack stopped.
    Shutdown,
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Close::ByPeer => "closed by the peer",
            Close::ByUs => "closed by us",
            Close::Reset => "reset by the peer",
            Close::Aborted => "aborted by us with a RST",
            Close::Refused => "refused by the peer",
            Close::TimedOut => "given up: the peer does not answer",
            Close::Unreachable => "given up: the peer cannot be reached",
            Close::AddressGone => "ended: its address is not ours any more",
            Close::Panicked => "ended: a bug in the stack, please report it",
            Close::Shutdown => "closed because the stack stops",
        })
    }
}

/// What a socket carried in its life. Bytes are payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How long it lived.
    pub age: Duration,
    /// Payload that was delivered.
    pub bytes_in: u64,
    /// Payload that was sent, without retransmissions.
    pub bytes_out: u64,
    /// Segments, datagrams or messages that came; a stream that is joined has none.
    pub packets_in: u64,
    /// Segments or datagrams that were sent, as they left for the link.
    pub packets_out: u64,
    /// Segments among them that were sent again.
    pub retransmitted: u64,
}
