use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What a program asks of a socket, by the names of the man pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CallKind {
    /// `socket(2)`.
    Socket,
    /// `bind(2)`.
    Bind {
        /// Where.
        local: SocketAddr,
    },
    /// `bind(2)` of a Unix socket.
    UnixBind {
        /// To what, as `ss(8)` writes it.
        name: String,
    },
    /// `listen(2)`.
    Listen {
        /// How many established connections may wait.
        backlog: usize,
    },
    /// `connect(2)`.
    Connect {
        /// To whom.
        remote: SocketAddr,
    },
    /// `connect(2)` of a Unix socket.
    UnixConnect {
        /// To whom, as `ss(8)` writes it.
        name: String,
    },
    /// `accept(2)`: a program took a connection from the queue.
    Accept,
    /// `read(2)`, `recv(2)` and their kin: a program took bytes.
    Read {
        /// How many.
        bytes: usize,
    },
    /// The same, and it met the end: nothing more will come.
    ReadEnd,
    /// `write(2)`, `send(2)` and their kin: a program gave bytes.
    Write {
        /// How many.
        bytes: usize,
    },
    /// `shutdown(2)` of the reading direction.
    ShutdownRead,
    /// `shutdown(2)` of the writing direction.
    ShutdownWrite,
    /// `close(2)`.
    Close,
    /// `setsockopt(2)`, `getsockopt(2)` and what else changes or asks a setting.
    Option {
        /// Its name in the man pages.
        name: String,
    },
}

impl CallKind {
    /// What the man pages call it; of an option its name.
    pub fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            CallKind::Socket => "socket",
            CallKind::Bind { .. } | CallKind::UnixBind { .. } => "bind",
            CallKind::Listen { .. } => "listen",
            CallKind::Connect { .. } | CallKind::UnixConnect { .. } => "connect",
            CallKind::Accept => "accept",
            CallKind::Read { .. } | CallKind::ReadEnd => "read",
            CallKind::Write { .. } => "write",
            CallKind::ShutdownRead | CallKind::ShutdownWrite => "shutdown",
            CallKind::Close => "close",
            CallKind::Option { name } => return Cow::Owned(name.clone()),
        })
    }

    /// The address that it names.
    pub fn address(&self) -> Option<SocketAddr> {
        match *self {
            CallKind::Bind { local } => Some(local),
            CallKind::Connect { remote } => Some(remote),
            _ => None,
        }
    }
}

/// What a timer was set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimerKind {
    /// RFC 6298: the oldest segment was not acknowledged in time.
    Retransmission,
    /// RFC 8985 §6.2: what left before something that has arrived had its time.
    Reordering,
    /// RFC 8985 §7: the last ACK is late.
    TailLoss,
    /// RFC 9293 §3.8.6.1: the peer's window is closed.
    ZeroWindow,
    /// RFC 9293 §3.8.4: the peer has been silent.
    Keepalive,
    /// RFC 9293 §3.8.6.3: an ACK was put off.
    DelayedAck,
    /// `tcp(7)`, TCP_USER_TIMEOUT, and the caps on retries: the peer has not answered for too long.
    GiveUp,
    /// RFC 9293 §3.6.1.
    TimeWait,
    /// A handshake that a peer began.
    SynAck,
    /// ARP and neighbour discovery.
    Neighbour,
    /// Fragments that miss the rest of their datagram.
    Reassembly,
    /// DHCP, SLAAC, and the questions about an address.
    Autoconfiguration,
    /// IGMP and MLD.
    Group,
}
