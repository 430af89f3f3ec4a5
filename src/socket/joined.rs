//! To sockets of this very stack without packets: a connection is a pipe whose other end is the accepted socket, a datagram
//! goes from queue to queue, and an echo request is answered where it is sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::{Descriptor, Handle, Kind, Mode, Sockets, State, StreamSocket, address, packet};
use crate::error::{Error, Result};
use crate::loopback::Fresh;
use crate::observe::{Close, Rule, Time};
use crate::pipe::{Addresses, StreamEnd};
use crate::transport::{Below, Ends, Transport};

impl Sockets {
    /// Joins the socket that connects to one that is accepted. If that cannot be done, the pipe comes back.
    pub(super) fn join(
        &mut self,
        now: Time,
        socket: Handle,
        ends: &Ends,
        pipe: StreamEnd,
        transport: &mut Transport,
    ) -> std::result::Result<(), StreamEnd> {
        if self.mode != Mode::Fast || !transport.can_join(ends) {
            return Err(pipe);
        }
        let accepted = self.table.vacant_key();
        let bell = self.doorbell.bell(accepted);
        let Some(holder) = self.find(socket).map(|entry| entry.holder(socket)) else { return Err(pipe) };
        let Fresh { connector, acceptor, pipe, joined } =
            self.loopback.join(now, ends, holder, pipe, bell, transport)?;
        if let Some(descriptor) = self.table.get_mut(socket.descriptor) {
            descriptor.state = State::Joined { slot: connector };
            descriptor.options.begin_joined(connector, &self.limits, &mut self.loopback);
        }
        let Some(parent) = self.table.get(joined.listener) else { return Ok(()) };
        // An accepted socket has what its listener was told (`accept(2)`, Linux).
        let (domain, options, owner) = (parent.domain, Arc::clone(&parent.options), parent.owner.clone());
        options.begin_joined(acceptor, &self.limits, &mut self.loopback);
        let handle =
            self.insert_as(joined.acceptor, domain, Kind::Tcp, options, State::Joined { slot: acceptor }, owner);
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
        } else {
            self.watch_memory(now, descriptor);
        }
    }

    /// Sends a datagram: to a socket of this very stack by handing its memory on, to all others by a packet.
    pub(super) fn send_datagram(
        &self,
        now: Time,
        slot: usize,
        bytes: Box<[u8]>,
        ends: (SocketAddr, Option<IpAddr>),
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<()> {
        let length = bytes.len();
        let receiver = match self.mode {
            Mode::Fast => transport.local_receiver(slot, length, ends, below),
            Mode::Wire => None,
        };
        let entry = receiver.and_then(|receiver| self.table.get(receiver.descriptor));
        if let (Some(receiver), Some(Descriptor { domain, state: State::Datagram { end, .. }, .. })) = (receiver, entry)
        {
            let peer = address::shown(*domain, receiver.from);
            let local = Some(address::shown_ip(*domain, receiver.to.ip()));
            let has_arrived = end.deliver_owned(bytes, Addresses { peer, local, header: None }).is_ok();
            transport.note_local(slot, &receiver, length, has_arrived);
            return Ok(());
        }
        transport.send_udp(now, slot, &bytes, ends.0, ends.1, below)
    }

    /// Sends an echo request: to ourselves by handing over the reply, to all others by a packet.
    pub(super) fn send_echo(
        &self,
        slot: usize,
        mut bytes: Box<[u8]>,
        (peer, source): (IpAddr, Option<IpAddr>),
        transport: &mut Transport,
        below: &mut Below<'_>,
    ) -> Result<()> {
        let length = bytes.len();
        let reply = match self.mode {
            Mode::Fast => transport.local_reply(slot, &bytes, (peer, source), below),
            Mode::Wire => None,
        };
        let entry = reply.and_then(|reply| self.table.get(reply.descriptor));
        if let (Some(reply), Some(Descriptor { state: State::Packet { end, .. }, .. })) = (reply, entry) {
            reply.write(&mut bytes);
            let rule = if self.memory.is_exhausted() {
                Some(Rule::EchoMemoryLimit)
            } else {
                end.deliver_owned(bytes, packet::addresses(reply.arrival)).err().map(|_| Rule::EchoBufferFull)
            };
            transport.note_reply(slot, &reply, length, rule);
            return Ok(());
        }
        transport.send_echo(slot, &bytes, peer, source, below)
    }

    /// An address of ours is gone, and with it the connections between our own programs that use it.
    pub fn address_gone(&mut self, now: Time, address: IpAddr, transport: &mut Transport) {
        let concerns = |end: &crate::loopback::End| end.local().ip() == address;
        self.loopback.end_all(now, (Close::AddressGone, Error::AddressNotAvailable), concerns, transport);
    }
}
