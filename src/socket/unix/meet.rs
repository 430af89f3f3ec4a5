//! Two programs meet: listen, connect, socketpair.

use super::{Connected, Recipient, Role, Unix, UnixAddress, UnixPipe};
use crate::error::{Error, Result};
use crate::observe::{Close, Time};
use crate::pipe::{Accepts, Datagrams, JoinedEnd, Joint, Stream};
use crate::socket::{Handle, Kind, Outcome, Sockets};
use crate::transport::{Life, Transport};

impl Sockets {
    /// `listen(2)`.
    pub(in crate::socket) fn listen_unix(
        &mut self,
        socket: Handle,
        backlog: usize,
        transport: &mut Transport,
    ) -> Result<Outcome> {
        let id = self.find(socket).ok_or(Error::BadDescriptor)?.id;
        let most = backlog.min(self.limits.backlog);
        let bell = self.doorbell.bell(socket.descriptor);
        let Unix { name, role, .. } = self.unix_mut(socket)?;
        match role {
            Role::Datagram { .. } => Err(Error::NotSupported),
            _ if name.is_unnamed() => Err(Error::InvalidInput),
            Role::Connected(_) => Err(Error::InvalidInput),
            Role::Listening(end) => {
                end.set_most(most);
                Ok(Outcome::Done)
            }
            Role::Idle => {
                let (queue, end) = Accepts::new(bell);
                // One more than was asked for may wait, as on Linux: `set_most` counts those that wait already.
                end.set_most(most);
                *role = Role::Listening(end);
                let name = name.get().to_string().into();
                transport.note_life(Life::UnixBound { socket: id, name, backlog: Some(most) });
                Ok(Outcome::UnixListener(queue))
            }
        }
    }

    /// `connect(2)`, as if it did not block.
    pub(in crate::socket) fn connect_unix(
        &mut self,
        now: Time,
        socket: Handle,
        name: &UnixAddress,
        transport: &mut Transport,
    ) -> Result<Outcome> {
        let (kind, _) = self.unix(socket)?;
        let other = self.of_kind(now, name, kind, transport)?;
        if kind == Kind::UnixDatagram {
            return self.connect_datagram(socket, other).map(Outcome::Recipient);
        }
        let (_, listener) = self.unix(other)?;
        let Role::Listening(end) = &listener.role else { return Err(Error::ConnectionRefused) };
        if end.is_dropped() || end.is_shut() {
            return Err(Error::ConnectionRefused);
        }
        if end.is_full() {
            return Ok(Outcome::Full(end.vacancy()));
        }
        let listening = listener.name.clone();
        let (_, own) = self.unix(socket)?;
        match own.role {
            Role::Idle => {}
            Role::Connected(_) => return Err(Error::AlreadyConnected),
            Role::Listening(_) | Role::Datagram { .. } => return Err(Error::InvalidInput),
        }
        let connecting = own.name.clone();
        let mut accepted = self.open_unix(now, kind, transport)?;
        let owner = self.find(other).and_then(|entry| entry.owner.clone());
        self.find_mut(accepted.handle).ok_or(Error::BadDescriptor)?.owner = owner;
        let (near, far, [own_end, far_end]) = match self.join_unix(kind, [socket, accepted.handle]) {
            Ok(joined) => joined,
            Err(error) => {
                self.forget_unix(now, accepted.handle, Close::Aborted, transport);
                return Err(error);
            }
        };
        // What is accepted has the listener's name, which stays the listener's.
        accepted.name = listening.clone();
        let far_side = self.unix_mut(accepted.handle)?;
        far_side.name = listening.clone();
        far_side.role = Role::Connected(Connected { end: far_end, peer: socket, closer: None });
        let peer = accepted.handle;
        accepted.peer = Some(connecting);
        accepted.pipe = Some(far);
        self.unix_mut(socket)?.role = Role::Connected(Connected { end: own_end, peer, closer: None });
        self.bound_unix(socket);
        if let Role::Listening(end) = &self.unix(other)?.1.role {
            end.deliver(accepted);
            let (waiting, backlog) = (end.waiting(), end.most());
            self.tell_met([socket, peer], Some((other, waiting, backlog)), transport);
        }
        Ok(Outcome::UnixConnected(near, listening))
    }

    /// Tells the observer that two are connected, and through which listener with how many waiting of how many.
    fn tell_met(&self, sockets: [Handle; 2], through: Option<(Handle, usize, usize)>, transport: &mut Transport) {
        let [Some(socket), Some(peer)] = sockets.map(|socket| self.find(socket).map(|entry| entry.id)) else { return };
        if let Some((listener, waiting, backlog)) = through
            && let (Some(entry), Ok((_, unix))) = (self.find(listener), self.unix(listener))
        {
            let name = unix.name.get().to_string().into();
            let listener = entry.holder(listener);
            transport.note_life(Life::UnixAccepted { socket: peer, listener, name, waiting, backlog });
        }
        transport.note_life(Life::Joined { socket, peer });
    }

    /// Who has this name, if it is of this kind.
    fn of_kind(&mut self, now: Time, name: &UnixAddress, kind: Kind, transport: &mut Transport) -> Result<Handle> {
        let other = self.look_up(now, name, kind, transport)?;
        if self.unix(other)?.0 == kind { Ok(other) } else { Err(Error::WrongType) }
    }

    /// Two pipes' ends of this kind.
    fn join_unix(&self, kind: Kind, sockets: [Handle; 2]) -> Result<(UnixPipe, UnixPipe, [JoinedEnd; 2])> {
        let bells = sockets.map(|socket| self.doorbell.bell(socket.descriptor));
        let (near, far, ends) = if kind == Kind::UnixStream {
            let (near, far) = Stream::joined(Joint::Unix, self.limits.pipe, &self.memory, bells)?;
            let ends = near.joined_ends();
            (UnixPipe::Stream(near), UnixPipe::Stream(far), ends)
        } else {
            let (near, far) = Datagrams::joined(self.limits.datagram_buffer, &self.memory, bells);
            let ends = near.joined_ends();
            (UnixPipe::SeqPacket(near), UnixPipe::SeqPacket(far), ends)
        };
        Ok((near, far, ends.ok_or(Error::InvalidInput)?))
    }

    /// `sendto(2)`: who has this name.
    pub(in crate::socket) fn find_recipient(
        &mut self,
        now: Time,
        socket: Handle,
        name: &UnixAddress,
        transport: &mut Transport,
    ) -> Result<Outcome> {
        let (kind, _) = self.unix(socket)?;
        let other = self.of_kind(now, name, kind, transport)?;
        self.recipient(other).map(Outcome::Recipient)
    }

    fn recipient(&self, other: Handle) -> Result<Recipient> {
        match self.unix(other)?.1 {
            Unix { name, role: Role::Datagram { slot, .. }, .. } => {
                Ok(Recipient { name: name.clone(), slot: slot.clone() })
            }
            _ => Err(Error::NotSupported),
        }
    }

    fn datagram_peer(&self, socket: Handle) -> Option<Handle> {
        match self.unix(socket).ok()?.1.role {
            Role::Datagram { peer, .. } => peer,
            _ => None,
        }
    }

    fn connect_datagram(&mut self, socket: Handle, other: Handle) -> Result<Recipient> {
        if self.datagram_peer(other).is_some_and(|heard| heard != socket) {
            return Err(Error::NotPermitted);
        }
        let recipient = self.recipient(other)?;
        self.set_datagram_peer(socket, Some(other))?;
        Ok(recipient)
    }

    /// `connect(2)` with AF_UNSPEC.
    pub(in crate::socket) fn disconnect_unix(&mut self, socket: Handle) -> Result<Outcome> {
        self.set_datagram_peer(socket, None).map(|()| Outcome::Done)
    }

    fn set_datagram_peer(&mut self, socket: Handle, other: Option<Handle>) -> Result<()> {
        let Role::Datagram { slot, peer } = &mut self.unix_mut(socket)?.role else { return Err(Error::NotSupported) };
        let earlier = std::mem::replace(peer, other);
        slot.hear_only(other.map(|other| other.number));
        let Some(earlier) = earlier.filter(|_| earlier != other) else { return Ok(()) };
        // What the earlier peer sent is for nobody; if it is still connected to us, it is told (Linux:
        // unix_dgram_disconnected).
        let had_some = slot.clear();
        if had_some
            && self.datagram_peer(earlier) == Some(socket)
            && let Ok(Unix { role: Role::Datagram { slot, .. }, .. }) = self.unix_mut(earlier)
        {
            slot.fail(Error::ConnectionReset);
        }
        Ok(())
    }

    /// `socketpair(2)`.
    pub(in crate::socket) fn open_pair(&mut self, now: Time, kind: Kind, transport: &mut Transport) -> Result<Outcome> {
        if !matches!(kind, Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSeqPacket) {
            return Err(Error::NotSupported);
        }
        let first = self.open_unix(now, kind, transport)?;
        let second = match self.open_unix(now, kind, transport) {
            Ok(second) => second,
            Err(error) => {
                self.remove_unix(now, first.handle.descriptor, transport);
                return Err(error);
            }
        };
        let sockets = [first.handle, second.handle];
        // Dropped on an error, the two are closed.
        let mut pair = Box::new([first, second]);
        let [first, second] = &mut *pair;
        (first.peer, second.peer) = (Some(second.name.clone()), Some(first.name.clone()));
        if kind == Kind::UnixDatagram {
            let handles = [second.handle, first.handle];
            for (one, other) in [first, second].into_iter().zip(handles) {
                self.set_datagram_peer(one.handle, Some(other))?;
                let recipient = self.recipient(other)?;
                if let Some(UnixPipe::Datagram(_, to)) = &mut one.pipe {
                    *to = Some(recipient);
                }
            }
        } else {
            let (near, far, [near_end, far_end]) = self.join_unix(kind, sockets)?;
            for (one, pipe, end, peer) in [(first, near, near_end, sockets[1]), (second, far, far_end, sockets[0])] {
                one.pipe = Some(pipe);
                self.unix_mut(one.handle)?.role = Role::Connected(Connected { end, peer, closer: None });
            }
        }
        self.tell_met(sockets, None, transport);
        Ok(Outcome::UnixPair(pair))
    }
}
