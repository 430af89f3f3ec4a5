//! Moving bytes between pipes and the transport, and carrying ends from one to the other.

use super::{Completion, Connecting, Descriptor, Outcome, Socket, Sockets, StreamSocket};
use crate::error::Error;
use crate::observe::{Close, Time};
use crate::pipe::{Stream, StreamEnd};
use crate::transport::{Below, End, Notice, Transport};

/// How many datagrams of one socket are sent in one round.
const DATAGRAMS_PER_ROUND: usize = 64;

/// After so many bytes of packets everybody else has a turn.
const BYTES_PER_ROUND: usize = 64 * 1024;

impl Sockets {
    /// Looks after the sockets whose programs have rung.
    pub fn answer(&mut self, now: Time, transport: &mut Transport, below: &mut Below<'_>) {
        let mut rung = std::mem::take(&mut self.rung);
        self.doorbell.answer(&mut rung);
        for descriptor in rung.drain(..) {
            match self.table.get(descriptor).map(|entry| &entry.socket) {
                Some(Socket::Listener { slot, end }) => {
                    end.answer();
                    transport.set_waiting(*slot, end.waiting());
                    if end.is_dropped() {
                        // Nobody has seen these connections, and nobody will (Linux: inet_csk_listen_stop).
                        while let Some(socket) = end.take() {
                            if let Some(Socket::Stream { slot, .. }) =
                                self.table.get(socket.handle.descriptor).map(|entry| &entry.socket)
                                && let Some(connection) = transport.connection(*slot)
                            {
                                connection.abort();
                                transport.mark(*slot);
                            }
                        }
                        transport.close_listener(*slot, below.packets);
                        self.table.remove(descriptor);
                    }
                }
                Some(Socket::Stream { slot, end, .. }) => {
                    end.answer();
                    transport.mark(*slot);
                }
                Some(Socket::Datagram { .. }) => self.service_datagram(now, descriptor, transport, below),
                // It rang while its socket was going away.
                None => {}
            }
        }
        self.rung = rung;
    }

    /// Takes what the transport has to tell.
    pub fn notice(&mut self, now: Time, notice: Notice, transport: &mut Transport, below: &mut Below<'_>) {
        match notice {
            Notice::Established { listener, connection } => self.establish(listener, connection, transport),
            Notice::Connected { connection } => self.connected(connection, transport),
            Notice::Datagram { descriptor } => self.service_datagram(now, descriptor, transport, below),
            Notice::Undelivered { descriptor, error } => {
                if let Some(Socket::Datagram { end, .. }) = self.table.get(descriptor).map(|entry| &entry.socket) {
                    end.fail(error);
                }
            }
        }
    }

    fn establish(&mut self, listener: usize, slot: usize, transport: &mut Transport) {
        let Some(connection) = transport.connection(slot) else { return };
        let (id, local, remote) = (connection.id(), connection.local(), connection.remote());
        let descriptor = self.table.vacant_key();
        let Ok((pipe, end)) = Stream::new(self.limits.pipe, &self.memory, self.doorbell.bell(descriptor)) else {
            // Nobody will ever hold it: it ends as a connection whose program is gone does.
            connection.abort();
            transport.mark(slot);
            if let Some(Socket::Listener { slot, end }) = self.table.get(listener).map(|entry| &entry.socket) {
                transport.set_waiting(*slot, end.waiting());
            }
            return;
        };
        let handle = self.insert(Socket::Stream { slot, end, connecting: None, lingering: None });
        transport.adopt(slot, descriptor);
        let socket = StreamSocket { handle, id, local, remote, pipe };
        if let Some(Descriptor { socket: Socket::Listener { end, .. }, .. }) = self.table.get(listener) {
            end.deliver(socket);
        }
    }

    fn connected(&mut self, slot: usize, transport: &mut Transport) {
        let Some(descriptor) = transport.connection(slot).and_then(|connection| connection.descriptor()) else {
            return;
        };
        if let Some(Socket::Stream { connecting, .. }) = self.table.get_mut(descriptor).map(|entry| &mut entry.socket)
            && let Some(connecting) = connecting.take()
        {
            let Connecting { ticket, socket } = *connecting;
            self.completions.push_back(Completion { ticket, result: Ok(Outcome::Stream(socket)) });
        }
    }

    fn service_datagram(&mut self, now: Time, descriptor: usize, transport: &mut Transport, below: &mut Below<'_>) {
        let Some(&Descriptor { socket: Socket::Datagram { slot, ref end }, .. }) = self.table.get(descriptor) else {
            return;
        };
        end.answer();
        transport.datagram(slot).receive(|bytes, peer, local| end.deliver(bytes, peer, local));
        for _ in 0..DATAGRAMS_PER_ROUND {
            if below.packets.bytes_used() >= BYTES_PER_ROUND {
                break;
            }
            let sent = end.take(|bytes, peer, source| transport.send_udp(now, slot, bytes, peer, source, below));
            match sent {
                Some(Ok(())) => {}
                Some(Err(error)) => end.fail(error),
                None => break,
            }
        }
        if end.is_dropped() {
            transport.close_udp(now, slot, below);
            self.table.remove(descriptor);
        } else if end.has_unsent() {
            end.ring();
        }
    }

    /// Looks after one connection: bytes up, bytes down, ends, and then what it sends.
    pub fn service(
        &mut self,
        now: Time,
        slot: usize,
        descriptor: Option<usize>,
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) {
        self.end_linger(slot, descriptor, transport);
        let entry = descriptor.and_then(|descriptor| self.table.get_mut(descriptor));
        if let Some(Socket::Stream { end, .. }) = entry.map(|entry| &mut entry.socket)
            && move_bytes(now, slot, end, transport) == Hold::LetGo
        {
            self.release(descriptor, slot, transport);
        }
        let over = transport.service(now, slot, below.packets);
        match over {
            Some(end) if end.is_drained => self.finish(descriptor, slot, end, transport),
            Some(over) => {
                // What came before is still there to be read; whoever writes must not wait until it is.
                let entry = descriptor.and_then(|descriptor| self.table.get_mut(descriptor));
                if let (Some(Socket::Stream { end, .. }), Some(error)) =
                    (entry.map(|entry| &mut entry.socket), told(&over))
                {
                    end.break_off(error);
                }
            }
            None => {}
        }
    }

    /// Tells a close that lingers when there is nothing left to wait for.
    fn end_linger(&mut self, slot: usize, descriptor: Option<usize>, transport: &mut Transport) {
        let entry = descriptor.and_then(|descriptor| self.table.get_mut(descriptor));
        let Some(Socket::Stream { lingering, .. }) = entry.map(|entry| &mut entry.socket) else { return };
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
        let entry = descriptor.and_then(|descriptor| self.table.try_remove(descriptor));
        if let Some(Socket::Stream { lingering: Some(ticket), .. }) = entry.map(|entry| entry.socket) {
            // It could have waited, and has not.
            self.completions.push_back(Completion { ticket, result: Ok(Outcome::Done) });
        }
    }

    /// The connection is over: the program is told how.
    fn finish(&mut self, descriptor: Option<usize>, slot: usize, end: End, transport: &mut Transport) {
        let error = told(&end);
        let Some(entry) = descriptor.and_then(|descriptor| self.table.try_remove(descriptor)) else { return };
        if let Some(connection) = transport.connection(slot) {
            connection.disown();
            // In TIME-WAIT it needs less, now that nobody holds it.
            transport.mark(slot);
        }
        let Socket::Stream { mut end, connecting, lingering, .. } = entry.socket else { return };
        self.completions.extend(lingering.map(|ticket| Completion { ticket, result: Ok(Outcome::Done) }));
        match error {
            Some(error) => end.fail(error),
            None => end.finish(),
        }
        if let Some(Connecting { ticket, .. }) = connecting.map(|connecting| *connecting) {
            let error = error.unwrap_or(Error::ConnectionAborted);
            self.completions.push_back(Completion { ticket, result: Err(error) });
        }
    }

    /// The stack stops: every program is told.
    pub fn shut_down(&mut self) {
        for entry in self.table.drain() {
            match entry.socket {
                Socket::Listener { end, .. } => end.finish(),
                Socket::Datagram { end, .. } => end.finish(),
                Socket::Stream { mut end, connecting, lingering, .. } => {
                    end.fail(Error::NetworkDown);
                    self.completions.extend(lingering.map(|ticket| Completion { ticket, result: Ok(Outcome::Done) }));
                    if let Some(Connecting { ticket, .. }) = connecting.map(|connecting| *connecting) {
                        self.completions.push_back(Completion { ticket, result: Err(Error::NetworkDown) });
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

fn move_bytes(now: Time, slot: usize, end: &mut StreamEnd, transport: &mut Transport) -> Hold {
    let is_short = transport.memory().is_exhausted();
    let Some(connection) = transport.connection(slot) else { return Hold::Keep };
    let is_dropped = end.is_dropped();
    if is_dropped && (end.unread() > 0 || connection.unread() > 0 || connection.is_abortive()) {
        // RFC 1122 §4.2.2.13, RFC 2525 §2.17: closing with unread data is told to the peer by a RST; so is closing
        // with SO_LINGER at zero.
        connection.abort();
        return Hold::LetGo;
    }
    connection.receive(|bytes| end.deliver(bytes));
    if connection.is_at_end() {
        end.end_of_stream();
    }
    connection.send(|buffer| end.take(buffer));
    if end.is_writing_over() && end.unsent() == 0 {
        connection.close();
        if is_dropped {
            return Hold::LetGo;
        }
    } else if is_dropped {
        connection.abandon();
    }
    if connection.rest(now, end.holds_memory(), is_short) {
        end.rest();
    }
    Hold::Keep
}
