use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notation::{hex, micros, micros_or_none};
use super::{CallKind, Depth, EventId, Owner, Rule, SocketId, TcpState, TimerKind};
use crate::config::Mac;

/// Which way a frame went, as seen from the stack; or a packet on the loopback, as seen from its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cast {
    /// To us alone.
    Unicast,
    /// To several: broadcast or multicast. Errors must not answer it (RFC 1122 §3.2.2).
    Group,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// One Ethernet frame came in or goes out, and this became of it. (Depth: frame.)
    Frame {
        /// Which way.
        direction: Direction,
        /// The whole frame, from the destination address to the last byte of payload.
        #[serde(with = "hex")]
        bytes: Cow<'a, [u8]>,
        /// Whose it is, or why it is nobody's.
        fate: Fate,
    },
    /// One IP packet that a stack sends to itself leaves a socket, or arrives. Both are told. (Depth: frame.)
    Loopback {
        /// `Out` when it is sent, `In` when it arrives.
        direction: Direction,
        /// The whole packet, from the IP header on; there is no Ethernet on the loopback.
        #[serde(with = "hex")]
        bytes: Cow<'a, [u8]>,
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
    /// request of a socket of its own so. (Depth: frame.)
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
        kind: Cow<'a, str>,
        /// Who holds it, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
    },
    /// A Unix socket has a name, or listens at it.
    UnixBound {
        /// Which.
        socket: SocketId,
        /// As `ss(8)` writes it: `@` stands for the zero in front of an abstract name.
        name: Cow<'a, str>,
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
        name: Cow<'a, str>,
        /// How many connections wait to be accepted, this one included.
        waiting: usize,
        /// How many may.
        backlog: usize,
        /// Who holds both, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
    },
    /// A TCP socket began to listen, or a UDP socket was bound.
    Bound {
        /// Which.
        socket: SocketId,
        /// Where.
        local: SocketAddr,
        /// For a listener: how many connections may wait to be accepted.
        backlog: Option<usize>,
        /// Who holds it, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
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
        /// Who holds both, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
    },
    /// A connection that a program of ours asked for was established.
    Connected {
        /// The connection.
        socket: SocketId,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
        /// Who holds it, if that was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
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
    /// A program calls. Verbs are told when the engine takes them; reads and writes, which need no engine, when it
    /// learns of them. (Depth: call.)
    Call {
        /// On which socket; `None` where the call makes one.
        socket: Option<SocketId>,
        /// What it asks.
        call: CallKind,
    },
    /// A call that took time is done, or one has failed. That there was nothing to do yet (EAGAIN) is not told.
    /// (Depth: call.)
    Return {
        /// Of which socket.
        socket: Option<SocketId>,
        /// What was called, by its name in the man pages; an option by its own.
        #[serde(default)]
        call: Cow<'a, str>,
        /// The address that it named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<SocketAddr>,
        /// By its name in errno(3); `None`: it went well.
        error: Option<Cow<'a, str>>,
    },
    /// A connection changes its state. (Depth: call.)
    State {
        /// Which connection.
        socket: SocketId,
        /// From this,
        from: TcpState,
        /// to this.
        to: TcpState,
    },
    /// Bytes or a datagram were put where the program reads, and it was woken if it slept. (Depth: call.)
    Delivered {
        /// To which socket.
        socket: SocketId,
        /// Payload.
        bytes: usize,
    },
    /// A timer went off. (Depth: segment.)
    Timer {
        /// Whose.
        socket: Option<SocketId>,
        /// Which.
        timer: TimerKind,
    },
    /// A connection hands a segment down, before it is cut for the link, or takes one. (Depth: segment.)
    Segment {
        /// Whose.
        socket: SocketId,
        /// Which way.
        direction: Direction,
        /// The first sequence number, counted from the initial one of its sender.
        seq: u32,
        /// Bytes of payload.
        length: usize,
        /// Why, where it is not simply new data.
        rule: Option<Rule>,
        /// What was sent first and is sent again.
        original: Option<EventId>,
        /// The events of the first and the last segment that it acknowledges anew.
        acknowledges: Option<[EventId; 2]>,
    },
    /// The device refused to give or take a frame.
    Device {
        /// Which way.
        direction: Direction,
        /// What the kernel said.
        error: Cow<'a, str>,
    },
}

impl Event<'_> {
    /// How closely one must look to be told.
    pub const fn depth(&self) -> Depth {
        match self {
            Event::Frame { .. } | Event::Loopback { .. } | Event::Datagram { .. } => Depth::Frame,
            Event::Segment { .. } | Event::Timer { .. } => Depth::Segment,
            Event::Call { .. } | Event::Return { .. } | Event::State { .. } | Event::Delivered { .. } => Depth::Call,
            _ => Depth::Life,
        }
    }

    /// The same, which borrows nothing.
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Frame { direction, bytes, fate } => {
                Event::Frame { direction, bytes: Cow::Owned(bytes.into_owned()), fate }
            }
            Event::Loopback { direction, bytes, fate } => {
                Event::Loopback { direction, bytes: Cow::Owned(bytes.into_owned()), fate }
            }
            Event::Device { direction, error } => Event::Device { direction, error: Cow::Owned(error.into_owned()) },
            Event::Return { socket, call, address, error } => Event::Return {
                socket,
                call: Cow::Owned(call.into_owned()),
                address,
                error: error.map(|error| Cow::Owned(error.into_owned())),
            },
            Event::Address { address, state } => Event::Address { address, state },
            Event::Router { address, state } => Event::Router { address, state },
            Event::Lease { address, server, state } => Event::Lease { address, server, state },
            Event::Neighbour { address, state } => Event::Neighbour { address, state },
            Event::Datagram { socket, peer, source, destination, length, rule } => {
                Event::Datagram { socket, peer, source, destination, length, rule }
            }
            Event::Opened { socket, kind, owner } => {
                Event::Opened { socket, kind: Cow::Owned(kind.into_owned()), owner }
            }
            Event::UnixBound { socket, name, backlog } => {
                Event::UnixBound { socket, name: Cow::Owned(name.into_owned()), backlog }
            }
            Event::UnixAccepted { socket, listener, name, waiting, backlog, owner } => {
                let name = Cow::Owned(name.into_owned());
                Event::UnixAccepted { socket, listener, name, waiting, backlog, owner }
            }
            Event::Bound { socket, local, backlog, owner } => Event::Bound { socket, local, backlog, owner },
            Event::Accepted { socket, listener, listening, local, remote, waiting, backlog, owner } => {
                Event::Accepted { socket, listener, listening, local, remote, waiting, backlog, owner }
            }
            Event::Connected { socket, local, remote, owner } => Event::Connected { socket, local, remote, owner },
            Event::Joined { socket, peer } => Event::Joined { socket, peer },
            Event::Closed { socket, how, summary } => Event::Closed { socket, how, summary },
            Event::Call { socket, call } => Event::Call { socket, call },
            Event::State { socket, from, to } => Event::State { socket, from, to },
            Event::Delivered { socket, bytes } => Event::Delivered { socket, bytes },
            Event::Timer { socket, timer } => Event::Timer { socket, timer },
            Event::Segment { socket, direction, seq, length, rule, original, acknowledges } => {
                Event::Segment { socket, direction, seq, length, rule, original, acknowledges }
            }
        }
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
    /// What it leaves because of, while it is on its way down. Once it is told, that is its record's cause.
    #[serde(skip)]
    pub cause: Option<EventId>,
}

impl Fate {
    /// A frame that no socket owns, for this reason.
    pub const fn nobody(rule: Rule) -> Fate {
        Fate { owner: None, rule: Some(rule), states: None, numbers: None, cause: None }
    }

    /// A frame of this socket.
    pub const fn of(owner: Ownership) -> Fate {
        Fate { owner: Some(owner), rule: None, states: None, numbers: None, cause: None }
    }
}

/// Why a frame belongs to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Router {
    /// Packets for other networks may go through it.
    Learned {
        /// For how long, if it is not told again; `None`: until it is taken back.
        #[serde(with = "micros_or_none")]
        lifetime: Option<Duration>,
    },
    /// It is not used any more.
    Lost,
}

/// What became of our wish for an address from a DHCP server (RFC 2131).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Lease {
    /// The server gave it; the link is asked before it is used.
    Obtained {
        /// For how long; `None`: for ever.
        #[serde(with = "micros_or_none")]
        duration: Option<Duration>,
    },
    /// It was extended.
    Renewed {
        /// For how long from now; `None`: for ever.
        #[serde(with = "micros_or_none")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// How long it lived.
    #[serde(with = "micros")]
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
