//! From IP packets to sockets: who owns a segment or a datagram, and what the protocol does with it.
//!
//! A packet finds its socket by a keyed hash, and only that socket's state machine runs: each socket has a
//! smoltcp set of its own, because smoltcp looks at every socket of a set for each packet. The state machines
//! are smoltcp's; what a host needs around them is here:
//!
//! | file | job |
//! |---|---|
//! | `segment` | parse and check a TCP segment; build the ones no state machine asks for |
//! | `handshake` | listeners and SYN entries: a SYN creates no socket |
//! | `cookie` | SYN cookies, when there are too many of them (RFC 4987) |
//! | `challenge` | the bound on challenge ACKs (RFC 5961) |
//! | `guard` | what a segment must pass before smoltcp sees it |
//! | `connection` | one TCP connection: smoltcp's socket and the sequence numbers it does not show |
//! | `remnant` | FIN-WAIT-2 and TIME-WAIT, when no program holds the connection any more |
//! | `datagram` | one UDP socket |
//! | `header` | what a socket chooses of the IP headers of its packets |
//! | `terms` | what a TCP socket chooses before its connection begins |
//! | `echo`, `raw` | ICMP echo sockets and raw sockets; `packet_socket`: what they have in common |
//! | `sent` | whom a socket sent large datagrams to |
//! | `group` | datagrams to and from groups, and the options about them |
//! | `queued_error` | what a socket is told of an error that it asked for |
//! | `ports` | who is bound where, ephemeral ports (RFC 6056) |
//! | `isn` | initial sequence numbers (RFC 6528) |
//! | `options` | the options that our segments carry |
//! | `sequence` | comparing sequence numbers |
//! | `timestamp` | timestamps and PAWS (RFC 7323) |
//! | `medium` | what smoltcp takes for its network device |
//! | `timers` | the lazy heap of deadlines |
//! | `tcp`, `udp` | a packet's way through all of it |
//!
//! Nothing here waits or calls upwards. A packet's [`Fate`](crate::observe::Fate) is returned; what the socket
//! room must know is left as a [`Notice`]; connections that need looking after stand in the dirty list.

mod address;
mod challenge;
mod connection;
mod cookie;
mod datagram;
mod echo;
mod group;
mod guard;
mod handshake;
mod header;
mod isn;
mod keys;
mod medium;
mod options;
mod packet_socket;
mod ports;
mod queued_error;
mod raw;
mod remnant;
mod segment;
mod self_test;
mod sent;
mod sequence;
mod tcp;
mod terms;
#[cfg(test)]
mod tests;
mod timers;
mod timestamp;
mod udp;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use rand::Rng;
use rand::rngs::StdRng;
use slab::Slab;
use smoltcp::iface::{self, Interface};
use smoltcp::wire::HardwareAddress;

pub use connection::{CongestionControl, Connection, Hold, Keepalive, Sending, TcpInfo, TcpOption};
pub use datagram::Datagram;
pub use echo::LocalReply;
pub use group::GroupOption;
pub use handshake::Listener;
pub use header::{HOP_LIMIT, Header, Headers, MtuDiscovery};
pub use packet_socket::{Arrival, PacketOptions, PacketSocket};
pub use ports::{Place, Sharing};
pub use queued_error::{ErrorOrigin, QueuedError};
pub use self_test::{SelfTestFailed, self_test};
pub use tcp::{End, Ends, Joined, Shelf, Unheld};
pub use terms::{LEAST_BUFFER, Terms};
pub use udp::LocalReceiver;

use crate::config::{Config, Limits};
use crate::error::Error;
use crate::ip::{Ip, Limiter, Packets};
use crate::memory::Memory;
use crate::observe::{Close, Protocol, Rule, SocketId, Summary, Time, TimerKind};
use challenge::Challenges;
use connection::Connection as Tcp;
use cookie::Cookies;
use datagram::Sender;
use handshake::Handshake;
use keys::Key;
use medium::{Discard, Noted, Port, instant};
use ports::Ports;
use remnant::Remnant;
use timers::Timers;

/// What lies below this layer: routes to choose a source by, and the queue that packets go down by.
#[derive(Debug)]
pub struct Below<'a> {
    /// Addresses, routes, ICMP.
    pub ip: &'a mut Ip,
    /// Packets on their way down.
    pub packets: &'a mut Packets,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FourTuple {
    local: SocketAddr,
    remote: SocketAddr,
}

impl Hash for FourTuple {
    /// In two writes: what is derived feeds the keyed hash a dozen small pieces. Scopes and flow labels do not tell
    /// connections apart, and equality still looks at them.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(u32::from(self.local.port()) << 16 | u32::from(self.remote.port()));
        match (self.local.ip(), self.remote.ip()) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                state.write_u64(u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits()));
            }
            (local, remote) => {
                for address in [local, remote] {
                    match address {
                        IpAddr::V4(address) => state.write_u32(address.to_bits()),
                        IpAddr::V6(address) => state.write_u128(address.to_bits()),
                    }
                }
            }
        }
    }
}

/// Who owns a 4-tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Connection(usize),
    Handshake(usize),
    Remnant(usize),
    /// Two programs of this stack without a segment between them.
    Joined(SocketId, Sharing),
}

/// Who is bound to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Listener(usize),
    /// A TCP socket that is bound and does not listen, by its descriptor.
    Reserved(usize),
    Datagram(usize),
    Echo(usize),
}

/// Whose deadline it is. Numbers tell a slot's present owner from an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Connection { slot: usize, number: u64 },
    Handshake { slot: usize, number: u64 },
    Remnant { slot: usize, number: u64 },
}

/// What the socket room must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A connection through a listener is established: let it wait to be accepted.
    Established {
        /// The listener's descriptor.
        listener: usize,
        /// The connection's slot.
        connection: usize,
    },
    /// A connection that a program asked for is established.
    Connected {
        /// The connection's slot.
        connection: usize,
    },
    /// A datagram came for the socket of this descriptor.
    Datagram {
        /// The socket's descriptor.
        descriptor: usize,
    },
    /// An ICMP error says that what this socket sent did not arrive.
    Undelivered {
        /// The socket's descriptor.
        descriptor: usize,
        /// What its next call is told, unless it is told by the end of its connection.
        error: Option<Error>,
        /// All that is known of it, if the program asked for that (IP_RECVERR).
        queued: Option<QueuedError>,
    },
}

/// The descriptor that holds a socket, and the socket's name in the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The descriptor.
    pub descriptor: usize,
    /// The name.
    pub id: SocketId,
}

/// What the observer must know: a socket's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// A Unix socket was opened.
    Opened {
        /// The socket.
        socket: Holder,
        /// Its type.
        kind: &'static str,
    },
    /// A Unix socket has its name, or listens at it.
    UnixBound {
        /// The socket.
        socket: SocketId,
        /// Its name.
        name: Box<str>,
        /// A listener's.
        backlog: Option<usize>,
    },
    /// A Unix socket was connected to.
    UnixAccepted {
        /// The connection.
        socket: SocketId,
        /// The listener.
        listener: Holder,
        /// The listener's name.
        name: Box<str>,
        /// In the accept queue, with this one.
        waiting: usize,
        /// At most.
        backlog: usize,
    },
    /// A datagram went from one socket of this stack to another without a packet, or an echo request was answered so.
    Datagram {
        /// The one that sent it.
        socket: SocketId,
        /// The one that was to have it.
        peer: SocketId,
        /// From where.
        source: SocketAddr,
        /// To where.
        destination: SocketAddr,
        /// Bytes of payload.
        length: usize,
        /// Why it was lost.
        rule: Option<Rule>,
    },
    /// A listener or a UDP socket has its port.
    Bound {
        /// The socket.
        socket: Holder,
        /// Its address.
        local: SocketAddr,
        /// A listener's.
        backlog: Option<usize>,
    },
    /// Established through a listener.
    Accepted {
        /// The connection.
        socket: SocketId,
        /// The listener.
        listener: Holder,
        /// The listener's address.
        listening: SocketAddr,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
        /// In the accept queue, with this one.
        waiting: usize,
        /// At most.
        backlog: usize,
    },
    /// Established as a program asked.
    Connected {
        /// The connection.
        socket: SocketId,
        /// The descriptor that holds it; `None`: its program has let go of it.
        descriptor: Option<usize>,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
    },
    /// The two ends of a connection are both of this stack, and joined: there are no segments.
    Joined {
        /// The one that asked.
        socket: SocketId,
        /// The one that was accepted.
        peer: SocketId,
    },
    /// Gone.
    Closed {
        /// The socket.
        socket: SocketId,
        /// How.
        how: Close,
        /// What it carried.
        summary: Summary,
    },
}

/// The layer.
pub struct Transport {
    /// smoltcp's context: its clock, and nothing that differs between sockets.
    interface: Interface,
    connections: Slab<Tcp>,
    handshakes: Slab<Handshake>,
    remnants: Slab<Remnant>,
    /// Ends of connections that are joined and need no segments.
    joined: usize,
    listeners: Slab<Listener>,
    datagrams: Slab<Datagram>,
    packet_sockets: Slab<PacketSocket>,
    /// Those of them that are raw.
    raw_slots: Vec<usize>,
    /// Sockets that one datagram to a group goes to.
    members: Vec<usize>,
    sender: Sender,
    tuples: HashMap<FourTuple, Owner, Key>,
    ports: Ports<Bound>,
    isn_key: Key,
    clock_key: Key,
    cookies: Cookies,
    dirty: VecDeque<usize>,
    timers: Timers<Alarm>,
    resets: Limiter,
    challenges: Challenges,
    notices: VecDeque<Notice>,
    lives: VecDeque<Life>,
    /// Timers that went off, for whoever looks.
    fired: VecDeque<(SocketId, TimerKind)>,
    /// The observer wants to know of datagrams that are handed over.
    is_watched: bool,
    /// Connections that ended by a panic and are not counted yet.
    panics: u64,
    /// What was given up without a frame to tell it by.
    given_up: VecDeque<Rule>,
    /// A packet that had to be changed before smoltcp may see it.
    scratch: Vec<u8>,
    memory: Memory,
    limits: Limits,
    next_number: u64,
}

/// A context for smoltcp whose generator starts at `seed`.
fn new_interface(seed: u64, now: Time) -> Interface {
    let mut config = iface::Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut sent = Noted::default();
    let mut port = Port { incoming: None, outlet: Discard { sent: &mut sent } };
    let mut interface = Interface::new(config, &mut port, instant(now));
    interface.set_any_ip(true);
    interface
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("sockets", &self.sockets()).finish_non_exhaustive()
    }
}

impl Transport {
    /// An empty layer. The keys come from `rng`, buffers from `memory`.
    pub fn new(config: &Config, memory: Memory, rng: &mut StdRng) -> Transport {
        Transport {
            interface: new_interface(rng.next_u64(), Time::ZERO),
            connections: Slab::new(),
            handshakes: Slab::new(),
            remnants: Slab::new(),
            joined: 0,
            listeners: Slab::new(),
            datagrams: Slab::new(),
            packet_sockets: Slab::new(),
            raw_slots: Vec::new(),
            members: Vec::new(),
            sender: Sender::new(),
            tuples: HashMap::with_hasher(Key::new(rng)),
            ports: Ports::new(config.ephemeral_ports.clone(), Key::new(rng)),
            isn_key: Key::new(rng),
            clock_key: Key::new(rng),
            cookies: Cookies::new(Key::new(rng)),
            dirty: VecDeque::new(),
            timers: Timers::new(),
            resets: Limiter::new(config.limits.errors_per_second),
            challenges: Challenges::new(Key::new(rng), config.limits.errors_per_second),
            notices: VecDeque::new(),
            lives: VecDeque::new(),
            fired: VecDeque::new(),
            is_watched: false,
            panics: 0,
            given_up: VecDeque::new(),
            scratch: Vec::new(),
            memory,
            limits: config.limits.clone(),
            next_number: 1,
        }
    }

    /// Takes what the socket room must know.
    pub fn next_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Takes what the observer must know.
    pub fn next_life(&mut self) -> Option<Life> {
        self.lives.pop_front()
    }

    /// Takes a timer that went off. Whoever does not want to know takes them all the same.
    pub fn next_fired(&mut self) -> Option<(SocketId, TimerKind)> {
        self.fired.pop_front()
    }

    /// Tells the observer of a socket that is none of this layer's.
    pub fn note_life(&mut self, life: Life) {
        self.lives.push_back(life);
    }

    /// Whether the observer wants to know of each datagram that goes from socket to socket.
    pub fn watch_datagrams(&mut self, on: bool) {
        self.is_watched = on;
    }

    /// Where buffers come from.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Takes a rule by which something was given up that no frame tells of.
    pub fn next_given_up(&mut self) -> Option<Rule> {
        self.given_up.pop_front()
    }

    /// The moment of the next deadline.
    pub fn deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The sockets there are: listeners, connections, UDP, echo and raw sockets.
    pub fn sockets(&self) -> usize {
        let tcp = self.connections.len() + self.joined + self.listeners.len();
        tcp + self.datagrams.len() + self.packet_sockets.len()
    }

    /// Handshakes that peers began, and what is left of connections.
    pub fn half_connections(&self) -> (usize, usize) {
        (self.handshakes.len(), self.remnants.len())
    }

    /// A name for a socket.
    pub fn new_id(&mut self, protocol: Protocol) -> SocketId {
        let number = self.next_number;
        self.next_number += 1;
        SocketId { protocol, number }
    }
}

/// The payload of the largest segment to `remote` on the link, or on the loopback.
fn link_mss(ip: &Ip, remote: SocketAddr) -> u16 {
    segment_payload(ip.first_mtu(remote.ip()), remote)
}

/// The payload of the largest segment in a packet of `mtu` bytes to `remote`, without TCP options.
fn segment_payload(mtu: usize, remote: SocketAddr) -> u16 {
    let headers = if remote.is_ipv4() { 20 + 20 } else { 40 + 20 };
    u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX)
}
