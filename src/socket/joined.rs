//! Connections to sockets of this very stack, without packets: a pipe whose other end is the accepted socket.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Handle, Kind, Mode, Sockets, State, StreamSocket, address};
use crate::error::Error;
use crate::loopback::Fresh;
use crate::observe::{Close, Time};
use crate::pipe::StreamEnd;
use crate::transport::{Ends, Transport};

impl Sockets {
    /// Joins the socket that connects to one that is accepted. If that cannot be done, the pipe comes back.
    pub(super) fn join(
        &mut self,
        now: Time,
        socket: Handle,
        ends: &Ends,
        pipe: StreamEnd,
        transport: &mut Transport,
    ) -> Result<(), StreamEnd> {
        if self.mode != Mode::Fast || !transport.can_join(ends) {
            return Err(pipe);
        }
        let accepted = self.table.vacant_key();
        let bell = self.doorbell.bell(accepted);
        let Fresh { connector, acceptor, pipe, joined } = self.loopback.join(now, ends, pipe, bell, transport)?;
        if let Some(descriptor) = self.find_mut(socket) {
            descriptor.state = State::Joined { slot: connector };
            let linger = descriptor.options.linger;
            self.loopback.set_abortive(connector, linger.is_some_and(|span| span.is_zero()));
        }
        let Some(parent) = self.table.get(joined.listener) else { return Ok(()) };
        // An accepted socket has what its listener was told (`accept(2)`, Linux).
        let (domain, options) = (parent.domain, Arc::clone(&parent.options));
        self.loopback.set_abortive(acceptor, options.linger.is_some_and(|span| span.is_zero()));
        let handle = self.insert(domain, Kind::Tcp, options, State::Joined { slot: acceptor });
        let (local, remote) = (address::shown(domain, ends.remote), address::shown(domain, ends.local));
        let socket = StreamSocket { handle, id: joined.acceptor, local, remote, pipe };
        if let Some(State::Listener { end, .. }) = self.table.get(joined.listener).map(|entry| &entry.state) {
            end.deliver(socket);
        }
        Ok(())
    }

    /// A program has closed, shut down or dropped its end of a joined connection.
    pub(super) fn answer_joined(&mut self, now: Time, descriptor: usize, slot: usize, transport: &mut Transport) {
        if self.loopback.answer(now, slot, transport) {
            self.remove(descriptor, transport);
        }
    }

    /// An address of ours is gone, and with it the connections between our own programs that use it.
    pub fn address_gone(&mut self, now: Time, address: IpAddr, transport: &mut Transport) {
        let concerns = |end: &crate::loopback::End| end.local().ip() == address;
        self.loopback.end_all(now, (Close::AddressGone, Error::AddressNotAvailable), concerns, transport);
    }
}
