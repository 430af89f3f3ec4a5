//! What programs do, and what their sockets become: calls, and what they do at their ends of the pipes, each with its
//! cause; and the results of those that fail or take time.

use std::borrow::Cow;
use std::net::SocketAddr;

use super::Stack;
use super::causes::Waiting;
use crate::error::Error;
use crate::observe::{CallKind, Event, EventId, Observer, Protocol, SocketId, Time};
use crate::pipe::{Attempt, Deed};
use crate::socket::Call;
use crate::transport::{Holder, Life};

/// A call before it was done.
pub(super) struct Called {
    id: Option<EventId>,
    socket: Option<SocketId>,
    ticket: u64,
    name: Cow<'static, str>,
    address: Option<SocketAddr>,
    /// What the program has asked for as well, and what is told if it goes well.
    next: Option<CallKind>,
    /// How many packets waited.
    waiting: usize,
}

impl Stack {
    /// A program calls.
    pub(super) fn begin_call(&mut self, now: Time, call: &Call, observer: &mut dyn Observer) -> Called {
        let socket = call.verb.socket().and_then(|handle| self.sockets.name_in_call(handle));
        let (told, next) = (call.verb.told(), call.verb.told_next());
        let name = told.as_ref().map(CallKind::name).unwrap_or_default();
        let address = told.as_ref().and_then(CallKind::address);
        let id = told.and_then(|call| self.trail.tell(now, Event::Call { socket, call }, observer));
        self.note_call(socket, id);
        self.trail.because_of(id);
        Called { id, socket, ticket: call.ticket, name, address, next, waiting: self.packets.len() }
    }

    /// It was done, has failed, or takes time.
    pub(super) fn end_call(&mut self, now: Time, called: Called, observer: &mut dyn Observer) {
        self.blame(called.waiting);
        let Called { id, socket, ticket, name: call, address, next, waiting } = called;
        let finished = self.sockets.finished().find(|(finished, _)| *finished == ticket);
        if let (Some((_, None)), Some(call)) = (finished, next) {
            let id = self.trail.tell_for(now, None, Event::Call { socket, call }, observer);
            self.trail.because_of(id);
        }
        self.show_lives(now, observer);
        match finished {
            _ if id.is_none() => {}
            None => {
                let made = self.packets.iter_from(waiting).next().and_then(|packet| packet.fate.owner);
                let socket = socket.or(made.map(|owner| owner.socket()));
                self.causes.wait(ticket, Waiting { id, socket, call, address });
            }
            Some((_, Some(error))) => {
                let error = Some(error.name().into());
                self.trail.tell_for(now, id, Event::Return { socket, call, address, error }, observer);
            }
            Some((_, None)) => {}
        }
        self.trail.because_of(None);
    }

    fn note_call(&mut self, socket: Option<SocketId>, id: Option<EventId>) {
        if let (Some(socket), Some(_)) = (socket, id) {
            let track = self.causes.track(socket);
            (track.call, track.is_called) = (id, true);
        }
    }

    /// Tells which calls that took time are done.
    pub(super) fn follow_returns(&mut self, now: Time, observer: &mut dyn Observer) {
        if self.causes.calls.is_empty() {
            return;
        }
        for (ticket, error) in self.sockets.finished() {
            if let Some(Waiting { id, socket, call, address }) = self.causes.calls.remove(&ticket) {
                let cause = socket.and_then(|socket| self.causes.find(socket)).and_then(|track| track.life);
                let event = Event::Return { socket, call, address, error: error.map(|error| error.name().into()) };
                self.trail.tell_for(now, cause.or(id), event, observer);
            }
        }
    }

    /// Tells what programs have done at their ends of the pipes.
    pub(super) fn follow_deeds(&mut self, now: Time, observer: &mut dyn Observer) {
        let mut deeds = std::mem::take(&mut self.causes.deeds);
        let lost = self.sockets.take_deeds(&mut deeds);
        for (descriptor, deed) in deeds.drain(..) {
            let known = self.sockets.name_of(descriptor);
            let Some(socket) = self.causes.name(descriptor, known) else { continue };
            let track = self.causes.track(socket);
            if deed == Deed::Close && std::mem::replace(&mut track.is_closed, true) {
                continue;
            }
            let (call, cause) = match deed {
                Deed::Accept => match track.accepted.pop_front() {
                    None => (CallKind::Accept, None),
                    Some((accepted, id)) => {
                        self.causes.track(accepted).listener = None;
                        (CallKind::Accept, Some(id))
                    }
                },
                Deed::Read(bytes) => (CallKind::Read { bytes }, track.delivered),
                Deed::End => (CallKind::ReadEnd, track.ended),
                Deed::Write(bytes) => (CallKind::Write { bytes }, None),
                Deed::ShutdownRead => (CallKind::ShutdownRead, None),
                Deed::ShutdownWrite => (CallKind::ShutdownWrite, None),
                Deed::Close => (CallKind::Close, None),
                Deed::Failed(attempt, errno) => {
                    let error = Error::from_errno(errno);
                    let cause = match error {
                        // It is the call's own fault.
                        Some(Error::MessageTooLong) => None,
                        _ => track.take_failure(attempt, error == Some(Error::BrokenPipe)),
                    };
                    let error = error.map(|error| error.name().into());
                    let event = Event::Return { socket: Some(socket), call: name_of(attempt), address: None, error };
                    self.trail.tell_for(now, cause, event, observer);
                    continue;
                }
            };
            let Some(id) = self.trail.tell_for(now, cause, Event::Call { socket: Some(socket), call }, observer) else {
                continue;
            };
            let track = self.causes.track(socket);
            match deed {
                Deed::Accept | Deed::End | Deed::Failed(..) => {}
                Deed::Read(_) => track.read = Some(id),
                Deed::Write(bytes) => {
                    (track.call, track.is_called) = (Some(id), true);
                    if socket.protocol != Protocol::Tcp {
                        track.note_message(bytes, id);
                    }
                    track.note_written(bytes, id);
                }
                Deed::ShutdownRead | Deed::ShutdownWrite | Deed::Close => {
                    (track.call, track.is_called) = (Some(id), true);
                    self.follow_end(socket, deed, id);
                }
            }
        }
        self.causes.deeds = deeds;
        if lost > 0 {
            self.causes.lose_count();
        }
    }

    /// A program has ended a direction of its socket, or both, by this call.
    fn follow_end(&mut self, socket: SocketId, deed: Deed, id: EventId) {
        let track = self.causes.track(socket);
        match deed {
            Deed::ShutdownRead => track.note_end(id),
            Deed::ShutdownWrite => track.broken = track.broken.or(Some(id)),
            _ => {}
        }
        // No segment says so to the one that it is joined to.
        if let Some(peer) = track.joined {
            let peer = self.causes.track(peer);
            match deed {
                Deed::ShutdownRead if socket.protocol == Protocol::Unix => peer.broken = peer.broken.or(Some(id)),
                Deed::ShutdownWrite => peer.note_end(id),
                Deed::Close => peer.note_death(id),
                _ => {}
            }
        }
        if deed != Deed::ShutdownWrite {
            self.causes.unlisten(socket, id);
        }
    }

    /// What becomes of a socket because of what is happening, or of what its program did.
    pub(super) fn cause_of(&mut self, life: &Life) -> Option<EventId> {
        match *life {
            Life::Datagram { socket, length, .. } => {
                self.causes.track(socket).take_message(|written| written == length).or(self.trail.cause())
            }
            Life::Closed { socket, .. } if self.trail.cause().is_none() => self.causes.track(socket).call,
            _ => self.trail.cause(),
        }
    }

    /// What became of a socket was told.
    pub(super) fn note_life(&mut self, life: &Life, id: Option<EventId>) {
        match *life {
            Life::Accepted { socket, listener: Holder { id: listener, .. }, .. }
            | Life::UnixAccepted { socket, listener: Holder { id: listener, .. }, .. } => {
                self.causes.track(socket).life = id;
                self.causes.track(socket).listener = Some(listener.number);
                if let Some(id) = id {
                    self.causes.track(listener).note_accepted(socket, id);
                }
            }
            Life::Connected { socket, .. } | Life::Opened { socket: Holder { id: socket, .. }, .. } => {
                self.causes.track(socket).life = id;
            }
            Life::Closed { socket, .. } => {
                let track = self.causes.track(socket);
                track.life = id;
                let joined = track.joined;
                if let Some(id) = id {
                    track.note_death(id);
                    // No segment says so to the one that it is joined to.
                    joined.into_iter().for_each(|peer| self.causes.track(peer).note_death(id));
                }
            }
            Life::Joined { socket, peer } => {
                self.causes.track(socket).joined = Some(peer);
                self.causes.track(peer).joined = Some(socket);
            }
            Life::Datagram { peer, rule: None, .. } => self.causes.track(peer).delivered = id,
            Life::Bound { .. } | Life::UnixBound { .. } | Life::Datagram { .. } => {}
        }
    }
}

/// What the man pages call it.
const fn name_of(attempt: Attempt) -> Cow<'static, str> {
    Cow::Borrowed(match attempt {
        Attempt::Accept => "accept",
        Attempt::Connect => "connect",
        Attempt::Read => "read",
        Attempt::Write => "write",
        Attempt::Error => "SO_ERROR",
    })
}
