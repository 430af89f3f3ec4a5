//! Unix-domain sockets in the stack's own name space (`unix(7)`).
//!
//! The engine keeps the names, the listening queues and who is connected to whom. Bytes and messages do not pass it:
//! two programs' pipes are joined end to end, and a message goes from its sender's buffer into the receiver's mailbox.
//!
//! A name is no file of the host. It is free again when its socket is closed, where Linux leaves a file behind that
//! somebody must unlink. There are no descriptors and no credentials in messages (SCM_RIGHTS, SCM_CREDENTIALS). Who shuts
//! down writing before it connects tells its peer the end when it does, which Linux forgets.
//!
//! | file | job |
//! |---|---|
//! | `address` | what a socket may be called |
//! | `names` | who is called what |
//! | `meet` | listen, connect, socketpair |

mod address;
mod meet;
mod names;

pub use address::UnixAddress;
pub(super) use names::Names;

use std::sync::{Arc, OnceLock};

use rand::rngs::StdRng;

use super::{Address, Descriptor, Domain, Handle, Kind, Outcome, Sockets, State};
use crate::error::{Error, Result};
use crate::observe::{Close, SocketId, Summary, Time};
use crate::pipe::{AcceptEnd, Carried, Datagrams, Hold, HoldEnd, JoinedEnd, MailSlot, Mailbox, Stream};
use crate::transport::{Holder, Life, Transport};

/// What a socket is called, as it and its peers see it: it may get its name after they have met.
#[derive(Debug, Clone, Default)]
pub struct UnixName(Arc<OnceLock<UnixAddress>>);

impl UnixName {
    /// Its name at this moment.
    pub fn get(&self) -> UnixAddress {
        self.0.get().cloned().unwrap_or_default()
    }

    fn is_unnamed(&self) -> bool {
        self.0.get().is_none()
    }
}

/// A program's side of a Unix socket.
#[derive(Debug)]
pub struct UnixSocket {
    /// For later calls.
    pub handle: Handle,
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: UnixName,
    /// What the other one is called, if it is connected.
    pub peer: Option<UnixName>,
    /// What it is read and written by; streams and sequenced packets get it when they are connected.
    pub pipe: Option<UnixPipe>,
    /// Dropping this closes the socket.
    pub hold: Hold,
}

/// What a program reads and writes.
#[derive(Debug)]
pub enum UnixPipe {
    /// Bytes.
    Stream(Stream),
    /// Messages in order, to and from one peer.
    SeqPacket(Datagrams<()>),
    /// Messages from anybody; and where to send, if it is connected.
    Datagram(Mailbox<UnixName>, Option<Recipient>),
}

/// Somebody to send messages to.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// What it is called.
    pub name: UnixName,
    /// Its mailbox.
    pub slot: MailSlot<UnixName>,
}

/// What the engine knows of a Unix socket.
#[derive(Debug)]
pub(super) struct Unix {
    name: UnixName,
    hold: HoldEnd,
    role: Role,
    created: Time,
}

#[derive(Debug)]
enum Role {
    /// Bytes or sequenced packets, not connected.
    Idle,
    Listening(AcceptEnd<UnixSocket>),
    Connected(Connected),
    Datagram {
        slot: MailSlot<UnixName>,
        peer: Option<Handle>,
    },
}

/// One end of a connection.
#[derive(Debug)]
struct Connected {
    end: JoinedEnd,
    /// The other socket.
    peer: Handle,
    /// Who closed first.
    closer: Option<Close>,
}

impl Unix {
    /// What it has carried up to now.
    pub(super) fn carried(&self) -> Carried {
        match &self.role {
            Role::Idle | Role::Listening(_) => Carried::default(),
            Role::Connected(connected) => connected.end.carried(),
            Role::Datagram { slot, .. } => self.hold.carried(slot),
        }
    }

    /// What it is called.
    pub(super) fn name(&self) -> UnixAddress {
        self.name.get()
    }

    /// Whom it is connected to.
    pub(super) fn peer(&self) -> Option<Handle> {
        match &self.role {
            Role::Idle | Role::Listening(_) => None,
            Role::Connected(connected) => Some(connected.peer),
            Role::Datagram { peer, .. } => *peer,
        }
    }

    /// Of a listener: how many connections wait to be accepted, and how many may.
    pub(super) fn queue(&self) -> Option<(usize, usize)> {
        match &self.role {
            Role::Listening(end) => Some((end.waiting(), end.most())),
            _ => None,
        }
    }

    /// The same for those who show it.
    pub(super) fn summary(&self, now: Time) -> Summary {
        let Carried { received, sent, .. } = self.carried();
        Summary {
            age: now - self.created,
            bytes_in: received.bytes,
            bytes_out: sent.bytes,
            packets_in: received.messages,
            packets_out: sent.messages,
            retransmitted: 0,
        }
    }

    /// For the observer: it is gone.
    pub(super) fn closed(&self, now: Time, socket: SocketId, how: Close) -> Life {
        Life::Closed { socket, how, summary: self.summary(now) }
    }

    /// How it ends, now that its program lets go of it.
    fn end(&self) -> Close {
        match &self.role {
            Role::Connected(Connected { end, .. }) if end.is_dead() && end.carried().unread > 0 => Close::Aborted,
            Role::Connected(Connected { end, .. }) if end.is_dead() => Close::Reset,
            Role::Connected(Connected { closer, .. }) => closer.unwrap_or(Close::ByUs),
            _ => Close::ByUs,
        }
    }

    /// Whether its program has let go, or is about to.
    fn is_dropped(&self) -> bool {
        self.hold.is_dropped()
            || match &self.role {
                Role::Datagram { slot, .. } => self.hold.is_gone(slot),
                Role::Listening(end) => end.is_dropped(),
                Role::Idle | Role::Connected(_) => false,
            }
    }

    /// Its end of a connection.
    pub(super) fn joined_end(&self) -> Option<&JoinedEnd> {
        match &self.role {
            Role::Connected(connected) => Some(&connected.end),
            _ => None,
        }
    }

    /// The stack stops.
    pub(super) fn stop(&self) {
        match &self.role {
            Role::Idle => {}
            Role::Listening(end) => end.finish(),
            Role::Connected(connected) => connected.end.fail(Error::NetworkDown),
            Role::Datagram { slot, .. } => slot.stop(),
        }
    }
}

impl Sockets {
    /// `socket(2)`.
    pub(super) fn open_unix(&mut self, now: Time, kind: Kind, transport: &mut Transport) -> Result<UnixSocket> {
        if self.table.len() >= self.limits.sockets {
            return Err(Error::TooManySockets);
        }
        let (hold, end) = Hold::new(self.doorbell.bell(self.table.vacant_key()));
        let (id, name) = (transport.new_id(kind.spoken()), UnixName::default());
        let (role, pipe) = match kind {
            Kind::UnixDatagram => {
                let mailbox = Mailbox::new(id.number, self.limits.datagram_buffer, &self.memory);
                (Role::Datagram { slot: mailbox.slot(), peer: None }, Some(UnixPipe::Datagram(mailbox, None)))
            }
            _ => (Role::Idle, None),
        };
        let state = State::Unix(Box::new(Unix { name: name.clone(), hold: end, role, created: now }));
        let handle = self.insert_as(id, Domain::Unix, kind, Arc::clone(&self.defaults), state, self.caller.clone());
        let holder = Holder { descriptor: handle.descriptor, id };
        transport.note_life(Life::Opened { socket: holder, kind: kind.r#type().name() });
        Ok(UnixSocket { handle, kind, name, peer: None, pipe, hold })
    }

    /// Whether it is one of these.
    pub(super) fn is_unix(&self, socket: Handle) -> bool {
        self.find(socket).is_some_and(|entry| entry.domain == Domain::Unix)
    }

    /// Its kind, and what there is to know.
    fn unix(&self, socket: Handle) -> Result<(Kind, &Unix)> {
        match self.find(socket) {
            Some(entry) => match &entry.state {
                State::Unix(unix) => Ok((entry.kind, unix)),
                _ => Err(Error::FamilyNotSupported),
            },
            None => Err(Error::BadDescriptor),
        }
    }

    fn unix_mut(&mut self, socket: Handle) -> Result<&mut Unix> {
        match self.find_mut(socket).map(|entry| &mut entry.state) {
            Some(State::Unix(unix)) => Ok(unix),
            Some(_) => Err(Error::FamilyNotSupported),
            None => Err(Error::BadDescriptor),
        }
    }

    /// `bind(2)`. No name stands for any.
    pub(super) fn bind_unix(
        &mut self,
        now: Time,
        socket: Handle,
        name: UnixAddress,
        transport: &mut Transport,
        rng: &mut StdRng,
    ) -> Result<Outcome> {
        name.check()?;
        let (kind, unix) = self.unix(socket)?;
        let is_unnamed = unix.name.is_unnamed();
        let known = unix.name.clone();
        let name = match name {
            UnixAddress::Unnamed if !is_unnamed => return Ok(Outcome::Address(Address::Unix(known.get()))),
            UnixAddress::Unnamed => self.names.take_any(kind, socket, rng)?,
            // As on Linux, where a path is made before its socket is looked at.
            UnixAddress::Path(_) if !is_unnamed => {
                let is_taken = self.look_up(now, &name, kind, transport).is_ok();
                return Err(if is_taken { Error::AddressInUse } else { Error::InvalidInput });
            }
            UnixAddress::Abstract(_) if !is_unnamed => return Err(Error::InvalidInput),
            _ => {
                // Whoever had it may have let go of it already.
                let _ = self.look_up(now, &name, kind, transport);
                self.names.take(&name, kind, socket)?;
                name
            }
        };
        let _ = known.0.set(name.clone());
        if let Some(id) = self.find(socket).map(|entry| entry.id) {
            transport.note_life(Life::UnixBound { socket: id, name: name.to_string().into(), backlog: None });
        }
        Ok(Outcome::Address(Address::Unix(name)))
    }

    /// `getsockname(2)`.
    pub(super) fn unix_name(&self, socket: Handle) -> Result<Outcome> {
        let (_, unix) = self.unix(socket)?;
        Ok(Outcome::Address(Address::Unix(unix.name.get())))
    }

    /// Who has this name. A program that has just let go of its socket has none any more.
    fn look_up(&mut self, now: Time, name: &UnixAddress, kind: Kind, transport: &mut Transport) -> Result<Handle> {
        let socket = self.names.find(name, kind)?;
        if !self.unix(socket)?.1.is_dropped() {
            return Ok(socket);
        }
        self.remove_unix(now, socket.descriptor, transport);
        self.names.find(name, kind)
    }

    /// Tells its connection how much may wait to be sent.
    pub(super) fn bound_unix(&self, socket: Handle) {
        if let Some(Descriptor { kind, options, state: State::Unix(unix), .. }) = self.find(socket)
            && let Some(end) = unix.joined_end()
        {
            end.set_most_unsent(options.most_unsent(*kind, &self.limits));
        }
    }

    /// Looks after a socket whose program has rung.
    pub(super) fn answer_unix(&mut self, now: Time, descriptor: usize, transport: &mut Transport) {
        let Some(State::Unix(unix)) = self.table.get(descriptor).map(|entry| &entry.state) else { return };
        if unix.hold.is_dropped() {
            return self.remove_unix(now, descriptor, transport);
        }
        match &unix.role {
            Role::Listening(end) => end.answer(),
            Role::Connected(connected) => {
                connected.end.answer();
                if connected.end.has_closed() {
                    self.note_closer(descriptor);
                }
            }
            Role::Idle | Role::Datagram { .. } => {}
        }
        self.watch_memory(now, descriptor);
    }

    /// One end of a connection has closed its direction: if it is the first, both remember it.
    fn note_closer(&mut self, descriptor: usize) {
        let Some(State::Unix(unix)) = self.table.get_mut(descriptor).map(|entry| &mut entry.state) else { return };
        let Role::Connected(Connected { closer: closer @ None, peer, .. }) = &mut unix.role else { return };
        *closer = Some(Close::ByUs);
        let peer = *peer;
        if let Ok(Unix { role: Role::Connected(peer), .. }) = self.unix_mut(peer) {
            peer.closer.get_or_insert(Close::ByPeer);
        }
    }

    /// Forgets a socket that its program has let go of.
    fn remove_unix(&mut self, now: Time, descriptor: usize, transport: &mut Transport) {
        self.note_closer(descriptor);
        let Some(entry) = self.table.try_remove(descriptor) else { return };
        let State::Unix(unix) = entry.state else { return };
        let socket = Handle { descriptor, number: entry.id.number };
        transport.note_life(unix.closed(now, entry.id, unix.end()));
        self.names.give_back(&unix.name.get(), entry.kind, socket);
        if let Role::Listening(end) = unix.role {
            // Nobody has seen these, and nobody will (Linux: unix_release_sock).
            while let Some(waiting) = end.take() {
                if let Ok((_, Unix { role: Role::Connected(connected), .. })) = self.unix(waiting.handle) {
                    connected.end.fail(Error::ConnectionReset);
                }
                self.forget_unix(now, waiting.handle, Close::Aborted, transport);
            }
        }
    }

    /// Forgets a socket that no program has seen.
    fn forget_unix(&mut self, now: Time, socket: Handle, how: Close, transport: &mut Transport) {
        if let Some(entry) = self.table.try_remove(socket.descriptor)
            && let State::Unix(unix) = entry.state
        {
            transport.note_life(unix.closed(now, entry.id, how));
        }
    }
}
