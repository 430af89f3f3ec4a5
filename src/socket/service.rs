//! Moving bytes between pipes and the transport, and carrying ends from one to the other.

use std::sync::Arc;

use rand::rngs::StdRng;

use super::{Completion, Connecting, Handle, Kind, Outcome, Sockets, State, StreamSocket, address};
use crate::error::Error;
use crate::observe::{Close, Time};
use crate::pipe::{MOST_DATAGRAMS, Stream, StreamEnd};
use crate::transport::{Below, End, Notice, QueuedError, Transport};

/// How much of what a program has sent goes out at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Datagrams of one socket.
    pub(super) datagrams: usize,
    /// Bytes of packets, of all sockets.
    pub(super) bytes: usize,
}

impl Round {
    /// Then everybody else has a turn.
    pub(super) const FAIR: Round = Round { datagrams: 64, bytes: 64 * 1024 };

    /// All that its queue may hold.
    pub(super) const WHOLE: Round = Round { datagrams: MOST_DATAGRAMS, bytes: usize::MAX };
}

impl Sockets {
    /// Takes note of the sockets whose programs have rung.
    pub fn hear(&mut self) {
        self.doorbell.answer(&mut self.rung);
    }

    /// Looks after the sockets whose programs have rung.
    pub fn answer(&mut self, now: Time, transport: &mut Transport, below: &mut Below<'_>, rng: &mut StdRng) {
        let mut rung = std::mem::take(&mut self.rung);
        for descriptor in rung.drain(..) {
            match self.table.get(descriptor).map(|entry| &entry.state) {
                Some(State::Listener { slot, end }) => {
                    end.answer();
                    transport.set_waiting(*slot, end.waiting());
                    if end.is_dropped() || end.is_shut() {
                        self.unlisten(descriptor, transport, below, rng);
                    }
                }
                Some(State::Shut { end }) => {
                    end.answer();
                    if end.is_dropped() {
                        self.remove(descriptor, transport);
                    }
                }
                Some(State::Stream { slot, end, .. }) => {
                    end.answer();
                    transport.mark(*slot);
                }
                Some(State::Idle { end: Some(end) }) => {
                    end.answer();
                    if end.is_dropped() {
                        self.remove(descriptor, transport);
                    }
                }
                Some(&State::Joined { slot }) => self.answer_joined(now, descriptor, slot, transport),
                // It has nothing to ring by.
                Some(State::Idle { end: None }) => {}
                Some(State::Datagram { .. }) => {
                    self.service_datagram(now, descriptor, Round::FAIR, transport, below, rng);
                }
                Some(State::Unix(_)) => self.answer_unix(now, descriptor, transport),
                Some(State::Packet { .. }) => self.service_packet(now, descriptor, Round::FAIR, transport, below, rng),
                // It rang while its socket was going away.
                None => {}
            }
        }
        self.rung = rung;
    }

    /// Takes what the transport has to tell.
    pub fn notice(
        &mut self,
        now: Time,
        notice: Notice,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) {
        match notice {
            Notice::Established { listener, connection } => self.establish(listener, connection, transport),
            Notice::Connected { connection } => self.connected(connection, transport),
            Notice::Datagram { descriptor } => match self.table.get(descriptor).map(|entry| &entry.state) {
                Some(State::Packet { .. }) => self.service_packet(now, descriptor, Round::FAIR, transport, below, rng),
                _ => self.service_datagram(now, descriptor, Round::FAIR, transport, below, rng),
            },
            Notice::Undelivered { descriptor, error, queued } => {
                self.queue_error(descriptor, queued);
                match (self.table.get(descriptor).map(|entry| &entry.state), error) {
                    (Some(State::Datagram { end, .. } | State::Packet { end, .. }), Some(error)) => end.fail(error),
                    (Some(State::Stream { end, .. }), Some(error)) => end.tell(error),
                    _ => {}
                }
            }
        }
    }

    /// A listener is closed or shut down; the latter keeps its port.
    pub(super) fn unlisten(
        &mut self,
        descriptor: usize,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) {
        let Some(State::Listener { slot, end }) = self.table.get(descriptor).map(|entry| &entry.state) else { return };
        let (slot, is_dropped) = (*slot, end.is_dropped());
        // Nobody has seen these connections, and nobody will (Linux: inet_csk_listen_stop).
        while let Some(socket) = end.take() {
            match self.table.get(socket.handle.descriptor).map(|entry| &entry.state) {
                Some(State::Stream { slot, .. }) => {
                    if let Some(connection) = transport.connection(*slot) {
                        connection.abort();
                        transport.mark(*slot);
                    }
                }
                Some(State::Joined { slot }) => self.loopback.set_abortive(*slot, true),
                _ => {}
            }
        }
        transport.close_listener(slot, below.packets);
        if is_dropped {
            self.table.remove(descriptor);
            return;
        }
        let Some(entry) = self.table.get_mut(descriptor) else { return };
        if let State::Listener { end, .. } = std::mem::replace(&mut entry.state, State::Idle { end: None }) {
            entry.state = State::Shut { end };
        }
        let sharing = entry.options.sharing();
        entry.bound = entry.bound.take().filter(|place| {
            let again = transport.bind_tcp(**place, sharing, descriptor, below, rng);
            // It was its own a moment ago.
            again.is_ok()
        });
    }

    fn establish(&mut self, listener: usize, slot: usize, transport: &mut Transport) {
        let Some(connection) = transport.connection(slot) else { return };
        let (id, local, remote) = (connection.id(), connection.local(), connection.remote());
        let descriptor = self.table.vacant_key();
        let Some(parent) = self.table.get(listener) else { return };
        let capacities = parent.options.pipe_capacities(&self.limits);
        let Ok((pipe, end)) = Stream::with_capacities(capacities, &self.memory, self.doorbell.bell(descriptor)) else {
            // Nobody will ever hold it: it ends as a connection whose program is gone does.
            connection.abort();
            transport.mark(slot);
            if let Some(State::Listener { slot, end }) = self.table.get(listener).map(|entry| &entry.state) {
                transport.set_waiting(*slot, end.waiting());
            }
            return;
        };
        // An accepted socket has what its listener was told (`accept(2)`, Linux).
        let (domain, options, owner) = (parent.domain, Arc::clone(&parent.options), parent.owner.clone());
        if !Arc::ptr_eq(&options, &self.defaults) {
            options.apply_to_connection(slot, transport);
        }
        let state = State::Stream { slot, end, connecting: Connecting::Done, lingering: None };
        let handle = self.insert_as(id, domain, Kind::Tcp, options, state, owner);
        transport.adopt(slot, descriptor);
        let (local, remote) = (address::shown(domain, local), address::shown(domain, remote));
        let socket = StreamSocket { handle, id, local, remote, pipe };
        if let Some(State::Listener { end, .. }) = self.table.get(listener).map(|entry| &entry.state) {
            end.deliver(socket);
        }
    }

    fn connected(&mut self, slot: usize, transport: &mut Transport) {
        let Some(descriptor) = transport.connection(slot).and_then(|connection| connection.descriptor()) else {
            return;
        };
        let Some(State::Stream { connecting, end, .. }) = self.table.get_mut(descriptor).map(|entry| &mut entry.state)
        else {
            return;
        };
        end.connected();
        match std::mem::replace(connecting, Connecting::Done) {
            Connecting::Done | Connecting::Pipe => {}
            Connecting::Call(call) => {
                let (ticket, socket) = *call;
                self.completions.push_back(Completion { ticket, result: Ok(Outcome::Stream(socket)) });
            }
        }
    }

    /// What was sent before the program says something else goes out before that is heard.
    pub(super) fn send_queued(
        &mut self,
        now: Time,
        socket: Handle,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) {
        let descriptor = socket.descriptor;
        match self.find(socket).map(|entry| &entry.state) {
            Some(State::Datagram { end, .. }) if end.has_unsent() => {
                self.service_datagram(now, descriptor, Round::WHOLE, transport, below, rng);
            }
            Some(State::Packet { end, .. }) if end.has_unsent() => {
                self.service_packet(now, descriptor, Round::WHOLE, transport, below, rng);
            }
            _ => {}
        }
    }

    fn service_datagram(
        &mut self,
        now: Time,
        descriptor: usize,
        round: Round,
        transport: &mut Transport,
        below: &mut Below<'_>,
        rng: &mut StdRng,
    ) {
        let Some(entry) = self.table.get(descriptor) else { return };
        let State::Datagram { slot, end } = &entry.state else { return };
        end.answer();
        let handle = Handle { descriptor, number: entry.id.number };
        if slot.is_none() && end.has_unsent() {
            // The first datagram binds it (`udp(7)`).
            if let Err(error) = self.bound_datagram(now, handle, transport, below, rng) {
                self.refuse_datagram(descriptor, error);
            }
        }
        let Some(entry) = self.table.get(descriptor) else { return };
        let State::Datagram { slot, end } = &entry.state else { return };
        let domain = entry.domain;
        let Some(slot) = *slot else {
            if end.is_dropped() {
                self.table.remove(descriptor);
            }
            return;
        };
        transport.datagram(slot).receive(|bytes, peer, local| {
            end.deliver(bytes, address::shown(domain, peer), address::shown_ip(domain, local))
        });
        let mut too_long = Vec::new();
        for _ in 0..round.datagrams {
            if below.packets.bytes_used() >= round.bytes {
                break;
            }
            let Some((bytes, addresses)) = end.take_owned() else { break };
            let source = addresses.local.map(|source| source.to_canonical());
            let sent = address::meant(domain, entry.options.v6_only, addresses.peer)
                .and_then(|peer| self.send_datagram(now, slot, bytes, (peer, source), transport, below));
            if let Err(error) = sent {
                end.fail(error);
                if error == Error::MessageTooLong && entry.options.receive_errors {
                    let mtu = below.ip.path_mtu(addresses.peer.ip().to_canonical());
                    too_long.push(QueuedError::too_long(addresses.peer, mtu));
                }
            }
        }
        // In this order: what was sent before the socket was dropped goes out.
        let is_dropped = end.is_dropped();
        if end.has_unsent() {
            end.ring();
        } else if is_dropped {
            transport.close_udp(now, slot, below);
            self.table.remove(descriptor);
        }
        for error in too_long {
            self.queue_error(descriptor, Some(error));
        }
    }

    /// Keeps an error for a program that asked for it; when too many wait the newcomer is lost.
    pub(super) fn queue_error(&mut self, descriptor: usize, error: Option<QueuedError>) {
        let limit = self.limits.queued_errors;
        if let (Some(error), Some(entry)) = (error, self.table.get_mut(descriptor))
            && entry.errors.len() < limit
        {
            let destination = address::shown(entry.domain, error.destination);
            entry.errors.push_back(QueuedError { destination, ..error });
        }
    }

    /// A datagram of a socket that cannot be bound goes nowhere.
    pub(super) fn refuse_datagram(&self, descriptor: usize, error: Error) {
        if let Some(State::Datagram { end, .. } | State::Packet { end, .. }) =
            self.table.get(descriptor).map(|entry| &entry.state)
        {
            while end.take(|_, _, _| ()).is_some() {}
            end.fail(error);
        }
    }

    /// Looks after one connection: bytes up, bytes down, ends, and then what it sends. Gives how many bytes it put where
    /// the program reads.
    pub fn service(
        &mut self,
        now: Time,
        slot: usize,
        descriptor: Option<usize>,
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> usize {
        self.end_linger(slot, descriptor, transport);
        let entry = descriptor.and_then(|descriptor| self.table.get_mut(descriptor));
        let bounds = entry.as_ref().map_or([usize::MAX; 2], |entry| entry.options.buffer_bounds());
        let mut delivered = 0;
        if let Some(State::Stream { end, .. }) = entry.map(|entry| &mut entry.state) {
            let hold;
            (hold, delivered) = move_bytes(now, slot, end, bounds, transport);
            if hold == Hold::LetGo {
                self.release(descriptor, slot, transport);
            }
        }
        let over = transport.service(now, slot, below.packets);
        match over {
            Some(end) if end.is_drained => self.finish(descriptor, slot, end, transport),
            Some(over) => {
                // What came before is still there to be read; whoever writes must not wait until it is.
                let entry = descriptor.and_then(|descriptor| self.table.get_mut(descriptor));
                if let (Some(State::Stream { end, .. }), Some(error)) =
                    (entry.map(|entry| &mut entry.state), told(&over))
                {
                    end.break_off(error);
                }
            }
            None => {}
        }
        delivered
    }

    /// Tells a close that lingers when there is nothing left to wait for.
    fn end_linger(&mut self, slot: usize, descriptor: Option<usize>, transport: &mut Transport) {
        let entry = descriptor.and_then(|descriptor| self.table.get_mut(descriptor));
        let Some(State::Stream { lingering, .. }) = entry.map(|entry| &mut entry.state) else { return };
        if lingering.is_some() && transport.connection(slot).is_none_or(|connection| connection.is_sending_over()) {
            let ticket = lingering.take();
            self.completions.extend(ticket.map(|ticket| Completion { ticket, result: Ok(Outcome::Done) }));
        }
    }

    /// The program has let go of the connection, and everything it wrote is handed over.
    fn release(&mut self, descriptor: Option<usize>, slot: usize, transport: &mut Transport) {
        if let Some(connection) = transport.connection(slot) {
            connection.disown();
        }
        if let Some(descriptor) = descriptor
            && let Some(State::Stream { lingering: Some(ticket), .. }) = self.remove(descriptor, transport)
        {
            // It could have waited, and has not.
            self.completions.push_back(Completion { ticket, result: Ok(Outcome::Done) });
        }
    }

    /// The connection is over: the program is told how.
    fn finish(&mut self, descriptor: Option<usize>, slot: usize, end: End, transport: &mut Transport) {
        let error = told(&end);
        let Some(descriptor) = descriptor else { return };
        let Some(entry) = self.table.get_mut(descriptor) else { return };
        if let Some(connection) = transport.connection(slot) {
            connection.disown();
            // In TIME-WAIT it needs less, now that nobody holds it.
            transport.mark(slot);
        }
        let State::Stream { mut end, connecting, lingering, .. } =
            std::mem::replace(&mut entry.state, State::Idle { end: None })
        else {
            return;
        };
        self.completions.extend(lingering.map(|ticket| Completion { ticket, result: Ok(Outcome::Done) }));
        match error {
            Some(error) => end.fail(error),
            None => end.finish(),
        }
        if let Connecting::Call(call) = connecting {
            let error = error.unwrap_or(Error::ConnectionAborted);
            self.completions.push_back(Completion { ticket: call.0, result: Err(error) });
        }
        // The program may still read what is in the ring, and ask for options.
        if end.is_dropped() {
            self.remove(descriptor, transport);
        } else if let Some(entry) = self.table.get_mut(descriptor) {
            entry.state = State::Idle { end: Some(end) };
        }
    }

    /// The stack stops: every program is told.
    pub fn shut_down(&mut self, now: Time, transport: &mut Transport) {
        self.loopback.end_all(now, (Close::Shutdown, Error::NetworkDown), |_| true, transport);
        for entry in self.table.drain() {
            match entry.state {
                State::Idle { end: None } | State::Joined { .. } => {}
                State::Idle { end: Some(mut end) } => end.fail(Error::NetworkDown),
                State::Listener { end, .. } | State::Shut { end } => end.finish(),
                State::Datagram { end, .. } | State::Packet { end, .. } => end.finish(),
                State::Unix(unix) => {
                    unix.stop();
                    transport.note_life(unix.closed(now, entry.id, Close::Shutdown));
                }
                State::Stream { mut end, connecting, lingering, .. } => {
                    end.fail(Error::NetworkDown);
                    self.completions.extend(lingering.map(|ticket| Completion { ticket, result: Ok(Outcome::Done) }));
                    if let Connecting::Call(call) = connecting {
                        self.completions.push_back(Completion { ticket: call.0, result: Err(Error::NetworkDown) });
                    }
                }
            }
        }
    }
}

/// What a program is told of the end of its connection.
fn told(end: &End) -> Option<Error> {
    end.reason.or(match end.how {
        Close::ByPeer | Close::ByUs | Close::Aborted => None,
        Close::Reset => Some(Error::ConnectionReset),
        Close::Refused => Some(Error::ConnectionRefused),
        Close::TimedOut => Some(Error::TimedOut),
        Close::Unreachable => Some(Error::HostUnreachable),
        Close::AddressGone => Some(Error::AddressNotAvailable),
        Close::Panicked => Some(Error::ConnectionAborted),
        Close::Shutdown => Some(Error::NetworkDown),
    })
}

/// Whether the descriptor still needs its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Keep,
    LetGo,
}

/// Gives with the answer how many bytes were put where the program reads.
///
/// `most_unread`, `most_unsent`: what may wait at the near end of the pipe, and in the connection (SO_RCVBUF, SO_SNDBUF).
fn move_bytes(
    now: Time,
    slot: usize,
    end: &mut StreamEnd,
    [most_unread, most_unsent]: [usize; 2],
    transport: &mut Transport,
) -> (Hold, usize) {
    let is_short = transport.memory().is_exhausted();
    let Some(connection) = transport.connection(slot) else { return (Hold::Keep, 0) };
    // A program that drops its end says first that it is gone, then that it writes no more: if the latter is seen, so is
    // the former, and no FIN goes out before the RST.
    let is_writing_over = end.is_writing_over();
    let is_shut = end.is_reading_over() && !end.is_full() && connection.has_closed() && !end.is_dropped();
    if is_shut && connection.unread() > 0 {
        // Data that comes after the program has shut down both directions (RFC 1122 §4.2.2.13, Linux: TCPAbortOnData).
        end.fail(Error::ConnectionReset);
        connection.abort();
        return (Hold::Keep, 0);
    }
    let mut is_discarded = false;
    let mut delivered = 0;
    connection.receive(|bytes| {
        // Asked before: a program may read these bytes and drop its end at once.
        is_discarded |= end.is_dropped() && !bytes.is_empty();
        let count = end.deliver_within(bytes, most_unread);
        delivered += count;
        count
    });
    let delivered = if is_discarded { 0 } else { delivered };
    let is_dropped = end.is_dropped();
    if is_dropped && (is_discarded || end.unread() > 0 || connection.unread() > 0 || connection.is_abortive()) {
        // RFC 1122 §4.2.2.13, RFC 2525 §2.17: closing with unread data is told to the peer by a RST; so is closing
        // with SO_LINGER at zero.
        connection.abort();
        return (Hold::LetGo, delivered);
    }
    if connection.is_at_end() {
        end.end_of_stream();
    }
    connection.send_within(most_unsent, |buffer| end.take(buffer));
    if is_writing_over && end.unsent() == 0 {
        connection.close();
        if is_dropped {
            return (Hold::LetGo, delivered);
        }
    } else if is_dropped {
        connection.abandon();
    }
    if connection.rest(now, end.holds_memory(), is_short) {
        end.rest();
    }
    (Hold::Keep, delivered)
}
