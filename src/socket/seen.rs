//! What an observer is told of calls: their names, the names of their sockets, and what programs do at their pipes.

use super::{Address, Handle, Sockets, Verb};
use crate::error::Error;
use crate::observe::{CallKind, Owner, SocketId};
use crate::pipe::Deed;

impl Verb {
    /// What an observer is told of it; `None` for what is no call of the man pages.
    pub(crate) fn told(&self) -> Option<CallKind> {
        let option = |name: &str| CallKind::Option { name: name.to_owned() };
        Some(match self {
            Verb::Open { .. } | Verb::OpenPair { .. } => CallKind::Socket,
            Verb::Bind { local: Address::Inet(local), .. }
            | Verb::OpenDatagram { local, .. }
            | Verb::OpenListener { local, .. } => CallKind::Bind { local: *local },
            Verb::Listen { backlog, .. } => CallKind::Listen { backlog: *backlog },
            Verb::Connect { remote: Address::Inet(remote), .. }
            | Verb::OpenStream { remote, .. }
            | Verb::BeginStream { remote } => CallKind::Connect { remote: *remote },
            Verb::Bind { local: Address::Unix(name), .. } => CallKind::UnixBind { name: name.to_string() },
            Verb::Connect { remote: Address::Unix(name), .. } => CallKind::UnixConnect { name: name.to_string() },
            Verb::Disconnect { .. } => option("AF_UNSPEC"),
            Verb::Close { .. } => CallKind::Close,
            Verb::LocalAddress { .. } => option("getsockname"),
            Verb::SetOption { option: value, .. } => option(value.name().constant()),
            Verb::GetOption { name, .. } => option(name.constant()),
            Verb::JoinGroup { group, .. } => option(&format!("join {group}")),
            Verb::LeaveGroup { group, .. } => option(&format!("leave {group}")),
            Verb::Linger { .. } => option("SO_LINGER"),
            Verb::TakeQueuedError { .. } => option("MSG_ERRQUEUE"),
            Verb::Info { .. } => option("TCP_INFO"),
            Verb::Find { .. } | Verb::List { .. } => return None,
        })
    }

    /// What follows on it at once, if it goes well.
    pub(crate) fn told_next(&self) -> Option<CallKind> {
        match self {
            Verb::OpenListener { backlog, .. } => Some(CallKind::Listen { backlog: *backlog }),
            _ => None,
        }
    }

    /// The socket that it is about; `None` if it makes one.
    pub(crate) fn socket(&self) -> Option<Handle> {
        match *self {
            Verb::Bind { socket, .. }
            | Verb::Listen { socket, .. }
            | Verb::Connect { socket, .. }
            | Verb::Disconnect { socket }
            | Verb::Close { socket }
            | Verb::LocalAddress { socket }
            | Verb::SetOption { socket, .. }
            | Verb::GetOption { socket, .. }
            | Verb::Find { socket, .. }
            | Verb::JoinGroup { socket, .. }
            | Verb::LeaveGroup { socket, .. }
            | Verb::Linger { socket }
            | Verb::TakeQueuedError { socket }
            | Verb::Info { socket } => Some(socket),
            Verb::Open { .. }
            | Verb::OpenListener { .. }
            | Verb::OpenStream { .. }
            | Verb::OpenDatagram { .. }
            | Verb::OpenPair { .. }
            | Verb::BeginStream { .. }
            | Verb::List { .. } => None,
        }
    }
}

impl Sockets {
    /// What the socket of a descriptor is called.
    pub(crate) fn name_of(&self, descriptor: usize) -> Option<SocketId> {
        self.table.get(descriptor).map(|entry| entry.id)
    }

    /// The same of the socket that a call is about.
    pub(crate) fn name_in_call(&self, socket: Handle) -> Option<SocketId> {
        self.find(socket).map(|entry| entry.id)
    }

    /// Who holds the socket of a descriptor, if that was said and the socket is still this one.
    pub(crate) fn owner_of(&self, descriptor: usize, socket: SocketId) -> Option<Owner> {
        self.table.get(descriptor).filter(|entry| entry.id == socket)?.owner.clone()
    }

    /// From here on, or no longer, programs tell what they do at their pipes.
    pub(crate) fn want_deeds(&self, is_wanted: bool) {
        self.doorbell.want_deeds(is_wanted);
    }

    /// Takes what they have done, each with its descriptor. Gives how much is missing at the end.
    pub(crate) fn take_deeds(&self, deeds: &mut Vec<(usize, Deed)>) -> u64 {
        self.doorbell.take_deeds(deeds)
    }

    /// What waits to be taken by [`Sockets::next_completion`]: the ticket, and why it failed.
    pub(crate) fn finished(&self) -> impl Iterator<Item = (u64, Option<Error>)> + '_ {
        self.completions.iter().map(|completion| (completion.ticket, completion.result.as_ref().err().copied()))
    }
}
