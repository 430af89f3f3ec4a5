//! Descriptors and verbs: what a program asks of a socket, as state machines that never block.
//!
//! A socket here is an entry of a table: what it is ([`Domain`], [`Kind`]), what it was told ([`SocketOption`]), and at
//! which point of its life it stands. A program's [`Verb`] comes in as a [`Call`] with a ticket and goes out, now or
//! later, as a [`Completion`] with the same ticket and an [`Outcome`]. Bytes do not travel by calls: they go through the
//! [`pipe`](crate::pipe) that each socket shares with its program, and this room moves them between the pipe and the
//! transport. What programs hold of all this is in [`net`](crate::net).
//!
//! ```
//! use std::time::Duration;
//! use tapsock::config::Config;
//! use tapsock::observe::{NoObserver, Time};
//! use tapsock::pipe::Doorbell;
//! use tapsock::socket::{Call, Domain, Kind, Outcome, Verb};
//! use tapsock::stack::{Frames, Stack};
//!
//! // No thread, no clock, no device: a stack is a function of calls, frames and time.
//! let config = Config { probe: Duration::ZERO, ..Config::default() };
//! let mut stack = Stack::new(config, 1500, [1; 32], Doorbell::default());
//! let mut calls = vec![Call { ticket: 7, owner: None, verb: Verb::Open { domain: Domain::Inet, kind: Kind::Udp } }];
//! stack.step(Time::ZERO, [], &mut calls, &mut Frames::new(), &mut NoObserver);
//! let completion = stack.next_completion().ok_or("nothing was done")?;
//! assert_eq!(completion.ticket, 7);
//! assert!(matches!(completion.result, Ok(Outcome::Datagram(_))));
//! # Ok::<(), &str>(())
//! ```
//!
//! # Life
//!
//! ```text
//!             bind              listen                 accept
//! TCP   Open ──────► bound ───┬────────► listening ────────────► connected, a socket of its own
//!                             └────────► connecting ───────────► connected ──► shut down ──► closed
//!                              connect                 SYN-ACK
//! UDP   Open ──► bound ◄──────► connected            (sending binds, and nobody is asked)
//! ```
//!
//! A connection to a socket of this very stack is *joined*: the two pipes become one, and nothing comes through here any
//! more until it is closed. Closing is dropping the program's end of the pipe; what was written is still sent.
//!
//! # Verbs
//!
//! | [`Verb`] | man page | what comes of it |
//! |---|---|---|
//! | [`Open`](Verb::Open), [`OpenPair`](Verb::OpenPair) | `socket(2)`, `socketpair(2)` | [`Fresh`](Outcome::Fresh) of TCP; of messages a [`Datagram`](Outcome::Datagram); [`Unix`](Outcome::Unix) |
//! | [`Bind`](Verb::Bind) | `bind(2)` | the [`Address`](Outcome::Address) that it got |
//! | [`Listen`](Verb::Listen) | `listen(2)` | a [`Listener`](Outcome::Listener), whose queue is `accept(2)` |
//! | [`Connect`](Verb::Connect), [`Disconnect`](Verb::Disconnect) | `connect(2)` | [`Connecting`](Outcome::Connecting): the pipe tells how it ends |
//! | [`SetOption`](Verb::SetOption), [`GetOption`](Verb::GetOption) | `setsockopt(2)`, `getsockopt(2)` | an [`Option`](Outcome::Option) |
//! | [`JoinGroup`](Verb::JoinGroup), [`LeaveGroup`](Verb::LeaveGroup) | IP_ADD_MEMBERSHIP, … | |
//! | [`LocalAddress`](Verb::LocalAddress) | `getsockname(2)` | an [`Address`](Outcome::Address) |
//! | [`TakeQueuedError`](Verb::TakeQueuedError) | `recvmsg(2)` with MSG_ERRQUEUE | a [`QueuedError`](Outcome::QueuedError) |
//! | [`Info`](Verb::Info) | TCP_INFO | a snapshot |
//! | [`Find`](Verb::Find) | `sendto(2)` to a Unix name | a [`Recipient`](Outcome::Recipient) |
//! | [`List`](Verb::List) | `ss(8)` | a page of the [list](SocketRow) |
//! | [`Linger`](Verb::Linger), [`Close`](Verb::Close) | `close(2)` | |
//! | [`OpenListener`](Verb::OpenListener), [`OpenStream`](Verb::OpenStream), [`BeginStream`](Verb::BeginStream), [`OpenDatagram`](Verb::OpenDatagram) | several of them at once | what the last of them gives |
//!
//! # Files
//!
//! | file | job |
//! |---|---|
//! | `kind` | domain, type and protocol: which sockets there are |
//! | `verb` | what is asked, and what is given |
//! | `address` | addresses of every domain; IPv4 addresses as an IPv6 socket shows them |
//! | `option` | the options, with their defaults |
//! | `open` | socket, bind, listen, connect, close |
//! | `call` | every other verb |
//! | `joined` | connections and datagrams to sockets of this very stack, and echo, without packets |
//! | `list` | the list of sockets |
//! | `packet` | echo and raw sockets |
//! | `resting` | memory of joined connections that are idle |
//! | `seen` | what an observer is told of calls |
//! | `service` | bytes between pipes and the transport |
//! | `unix` | Unix-domain sockets |
//!
//! smoltcp's types stop here: what the rooms above see is std's addresses and this module's plain types.

mod address;
mod call;
mod joined;
mod kind;
mod list;
mod open;
mod option;
mod packet;
mod resting;
mod seen;
mod service;
mod unix;
mod verb;

pub use address::Address;
pub use kind::{Domain, Kind, Protocol, Type};
pub use list::{Page, SocketRow, Way};
pub use option::{OptionName, SocketOption};
pub use unix::{Recipient, UnixAddress, UnixName, UnixPipe, UnixSocket};
pub use verb::{Call, Completion, DatagramSocket, Handle, ListenerSocket, Outcome, StreamSocket, Verb};

pub use crate::transport::{
    CongestionControl, ErrorOrigin, Hold, Keepalive, MtuDiscovery, QueuedError, Sending, TcpInfo,
};

use std::collections::VecDeque;
use std::sync::Arc;

use slab::Slab;

use crate::config::{Config, Limits, Loopback as Mode};
use crate::loopback::Loopback;
use crate::memory::Memory;
use crate::observe::{Owner, SocketId};
use crate::pipe::{AcceptEnd, DatagramEnd, Doorbell, StreamEnd};
use crate::transport::{Holder, Place, Transport};
use option::Options;

/// The table of descriptors.
#[derive(Debug)]
pub struct Sockets {
    table: Slab<Descriptor>,
    doorbell: Doorbell,
    completions: VecDeque<Completion>,
    rung: Vec<usize>,
    memory: Memory,
    limits: Limits,
    mode: Mode,
    loopback: Loopback,
    resting: resting::Resting,
    names: unix::Names,
    /// What a socket has that was told nothing: one record for all of them.
    defaults: Arc<Options>,
    /// Who makes the call that is being served, and holds what it makes.
    caller: Option<Owner>,
}

#[derive(Debug)]
struct Descriptor {
    id: SocketId,
    domain: Domain,
    kind: Kind,
    /// Who holds it, if that was said.
    owner: Option<Owner>,
    /// Shared by all that have the same, and copied when one of them changes: most were told nothing.
    options: Arc<Options>,
    /// What a TCP socket has bound itself to.
    bound: Option<Box<Place>>,
    /// Errors that its program asked for and has not fetched (IP_RECVERR), the oldest first.
    errors: VecDeque<QueuedError>,
    state: State,
    /// The memory of its rings is looked after.
    is_resting: bool,
}

/// What a socket is at present, with its slot in the transport and the stack's end of its pipe.
#[derive(Debug)]
enum State {
    /// A TCP socket that is not connected: new, or its connection is over, and then its program still holds the pipe.
    Idle {
        end: Option<StreamEnd>,
    },
    Listener {
        slot: usize,
        end: AcceptEnd<StreamSocket>,
    },
    /// A listener that was shut down: it may listen again.
    Shut {
        end: AcceptEnd<StreamSocket>,
    },
    Stream {
        slot: usize,
        end: StreamEnd,
        connecting: Connecting,
        /// The ticket of a close that waits for the FIN to arrive.
        lingering: Option<u64>,
    },
    /// A TCP connection to another socket of this stack, joined end to end: its slot in the loopback.
    Joined {
        slot: usize,
    },
    /// It has no slot until it is bound.
    Datagram {
        slot: Option<usize>,
        end: DatagramEnd,
    },
    Unix(Box<unix::Unix>),
    /// An echo socket, which has no slot until it is bound, or a raw socket.
    Packet {
        slot: Option<usize>,
        end: DatagramEnd,
    },
}

impl State {
    /// Whether it has been asked for nothing yet.
    fn is_fresh(&self) -> bool {
        matches!(
            self,
            State::Idle { end: None } | State::Datagram { slot: None, .. } | State::Packet { slot: None, .. }
        )
    }
}

/// Who waits for the peer's answer to a SYN.
#[derive(Debug)]
enum Connecting {
    /// Nobody: the connection stands.
    Done,
    /// A call, with the program's end of the pipe.
    Call(Box<(u64, StreamSocket)>),
    /// The program, at its end of the pipe.
    Pipe,
}

impl Sockets {
    /// An empty table. Programs ring `doorbell`; the memory of their pipes is of `memory`.
    pub fn new(config: &Config, memory: Memory, doorbell: Doorbell) -> Sockets {
        doorbell.bound_deeds(config.limits.traced_deeds);
        Sockets {
            table: Slab::new(),
            doorbell,
            completions: VecDeque::new(),
            rung: Vec::new(),
            memory,
            limits: config.limits.clone(),
            mode: config.loopback,
            loopback: Loopback::default(),
            resting: resting::Resting::default(),
            names: unix::Names::default(),
            defaults: Arc::new(Options::default()),
            caller: None,
        }
    }

    /// Takes the next finished call.
    pub fn next_completion(&mut self) -> Option<Completion> {
        self.completions.pop_front()
    }

    /// Whether there is no descriptor.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// `socket(2)`: a new socket with a new name.
    fn insert(
        &mut self,
        domain: Domain,
        kind: Kind,
        options: Arc<Options>,
        state: State,
        transport: &mut Transport,
    ) -> Handle {
        self.insert_as(transport.new_id(kind.spoken()), domain, kind, options, state, self.caller.clone())
    }

    /// The same with the name that the socket has already, for whoever holds it.
    fn insert_as(
        &mut self,
        id: SocketId,
        domain: Domain,
        kind: Kind,
        options: Arc<Options>,
        state: State,
        owner: Option<Owner>,
    ) -> Handle {
        let (bound, errors, is_resting) = (None, VecDeque::new(), false);
        let new = Descriptor { id, domain, kind, owner, options, bound, errors, state, is_resting };
        let descriptor = self.table.insert(new);
        Handle { descriptor, number: id.number }
    }

    fn find(&self, handle: Handle) -> Option<&Descriptor> {
        self.table.get(handle.descriptor).filter(|descriptor| descriptor.id.number == handle.number)
    }

    fn find_mut(&mut self, handle: Handle) -> Option<&mut Descriptor> {
        self.table.get_mut(handle.descriptor).filter(|descriptor| descriptor.id.number == handle.number)
    }
}

impl Descriptor {
    /// For the transport: who holds what it makes.
    fn holder(&self, socket: Handle) -> Holder {
        Holder { descriptor: socket.descriptor, id: self.id }
    }
}

#[cfg(test)]
impl Sockets {
    /// What it holds, by name.
    pub(crate) fn left(&self) -> Vec<(&'static str, usize)> {
        vec![
            ("descriptors", self.table.len()),
            ("completions", self.completions.len()),
            ("rung", self.rung.len()),
            ("names", self.names.len()),
        ]
    }
}
