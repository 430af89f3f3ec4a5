//! A segment's way: check it, find its connection, handshake or listener, pass the guards, and let the state
//! machine see it; or answer as RFC 9293 §3.10.7 says for what nobody owns.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;

use super::connection::{Connection, Handshaken, new_socket};
use super::guard::{self, Admission};
use super::handshake::{Handshake, Listener};
use super::segment::{self, Segment};
use super::{Alarm, Below, Bound, FourTuple, Life, Notice, Owner, Transport, isn, new_interface};
use crate::error::{Error, Result};
use crate::ip::{IcmpError, Packet, Packets};
use crate::observe::{Cast, Close, Fate, Ownership, Protocol, Rule, SocketId, Summary, TcpState, Time};

impl Transport {
    /// A TCP or UDP packet came.
    pub fn receive(&mut self, now: Time, packet: &Packet<'_>, below: &mut Below<'_>) -> Fate {
        match packet.protocol {
            6 => self.receive_tcp(now, packet, below.packets),
            _ => self.receive_udp(now, packet, below),
        }
    }

    /// An ICMP error about a packet of ours came.
    pub fn receive_error(&mut self, error: &IcmpError) -> Fate {
        match error.protocol {
            6 => self.tcp_error(error),
            17 => self.udp_error(error),
            _ => Fate::nobody(Rule::IcmpErrorUnmatched),
        }
    }

    fn receive_tcp(&mut self, now: Time, packet: &Packet<'_>, out: &mut Packets) -> Fate {
        if packet.cast == Cast::Group {
            return Fate::nobody(Rule::TcpGroup);
        }
        let segment = match Segment::parse(packet) {
            Ok(segment) => segment,
            Err(rule) => return Fate::nobody(rule),
        };
        let tuple = FourTuple { local: segment.local, remote: segment.remote };
        match self.tuples.get(&tuple) {
            Some(&Owner::Connection(slot)) => self.receive_connection(now, slot, packet, &segment, out),
            Some(&Owner::Handshake(slot)) => self.receive_handshake(now, slot, packet, &segment, out),
            None => match self.ports.owner(Protocol::Tcp, segment.local) {
                Some(Bound::Listener(slot)) => self.receive_listener(now, slot, &segment, out),
                _ => self.receive_closed(now, &segment, out),
            },
        }
    }

    /// RFC 9293 §3.10.7.1: the CLOSED state.
    fn receive_closed(&mut self, now: Time, segment: &Segment<'_>, out: &mut Packets) -> Fate {
        if segment.is_rst() {
            return Fate::nobody(Rule::TcpRstNoSocket);
        }
        Fate::nobody(self.reset(now, segment, Rule::TcpRstClosedPort, out))
    }

    fn reset(&mut self, now: Time, segment: &Segment<'_>, rule: Rule, out: &mut Packets) -> Rule {
        if !self.resets.allow(now) {
            return Rule::TcpRstLimited;
        }
        segment::send(segment.local, segment.remote, &segment::reset_for(segment), Fate::nobody(rule), out);
        rule
    }

    /// RFC 9293 §3.10.7.2: the LISTEN state.
    fn receive_listener(&mut self, now: Time, slot: usize, segment: &Segment<'_>, out: &mut Packets) -> Fate {
        let listener = &self.listeners[slot];
        let (listener_id, listening) = (listener.id, listener.local);
        let owner = |socket| Ownership::Listener { socket, listener: listener_id, listening };
        let nobody = |rule| Fate { owner: Some(owner(listener_id)), ..Fate::nobody(rule) };
        if segment.is_rst() {
            return nobody(Rule::TcpListenFlags);
        }
        if segment.repr.ack_number.is_some() {
            return nobody(self.reset(now, segment, Rule::TcpRstListen, out));
        }
        if !segment.is_syn() {
            return nobody(Rule::TcpListenFlags);
        }
        if listener.is_full() {
            return nobody(Rule::TcpBacklogFull);
        }
        if self.handshakes.len() >= self.limits.syn_entries {
            return nobody(Rule::TcpSynTableFull);
        }
        let id = self.new_id(Protocol::Tcp);
        let agreed = self.agree(id, segment.local, segment.remote, now);
        let receive_window = u16::try_from(self.limits.receive_buffer).unwrap_or(u16::MAX);
        let mut handshake = Handshake::new(segment, agreed, slot, receive_window);
        let numbers = Some(handshake.numbers());
        let due = handshake.send_syn_ack(now, Rule::TcpSynAck, out);
        let handshake_slot = self.handshakes.insert(handshake);
        let tuple = FourTuple { local: segment.local, remote: segment.remote };
        self.tuples.insert(tuple, Owner::Handshake(handshake_slot));
        if let Some(due) = due {
            self.timers.arm(due, Alarm::Handshake { slot: handshake_slot, number: id.number });
        }
        Fate { owner: Some(owner(id)), rule: None, states: Some((TcpState::Listen, TcpState::SynReceived)), numbers }
    }

    fn agree(&self, id: SocketId, local: SocketAddr, remote: SocketAddr, now: Time) -> Handshaken {
        let isn = isn::choose(&self.isn_key, now, local, remote);
        Handshaken { id, local, remote, isn, link_mss: self.link_mss(remote), created: now }
    }

    /// RFC 9293 §3.10.7.4, SYN-RECEIVED: the third segment of the handshake, or something else.
    fn receive_handshake(
        &mut self,
        now: Time,
        slot: usize,
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        out: &mut Packets,
    ) -> Fate {
        let handshake = &mut self.handshakes[slot];
        let next = handshake.irs + 1;
        if segment.is_rst() {
            if segment.repr.seq_number != next {
                return handshake.fate(Some(Rule::TcpSequenceFar));
            }
            let fate = Fate {
                states: Some((TcpState::SynReceived, TcpState::Listen)),
                ..handshake.fate(Some(Rule::TcpSynReset))
            };
            self.forget_handshake(slot);
            return fate;
        }
        if segment.is_syn() && segment.repr.seq_number == handshake.irs && segment.repr.ack_number.is_none() {
            handshake.syns += 1;
            handshake.send_syn_ack(now, Rule::TcpSynRetransmit, out);
            return handshake.fate(Some(Rule::TcpSynRetransmit));
        }
        let Some(ack) = segment.repr.ack_number else { return handshake.fate(Some(Rule::TcpNoAck)) };
        let window_end = next + usize::from(handshake.receive_window);
        let is_in_window = segment.repr.seq_number >= next && segment.repr.seq_number < window_end;
        if segment.is_syn() || !is_in_window {
            let challenge = handshake.challenge();
            let fate = handshake.fate(Some(Rule::TcpChallengeSequence));
            return self.challenge(now, segment, &challenge, fate, out);
        }
        if ack != handshake.agreed.isn + 1 {
            let fate = handshake.fate(None);
            return Fate { rule: Some(self.reset(now, segment, Rule::TcpRstSynReceived, out)), ..fate };
        }
        let handshake = &self.handshakes[slot];
        if self.listeners.get(handshake.listener).is_none_or(Listener::is_full) {
            return handshake.fate(Some(Rule::TcpBacklogFull));
        }
        if self.sockets() >= self.limits.sockets {
            return handshake.fate(Some(Rule::TcpSocketLimit));
        }
        match self.establish(now, slot) {
            Ok(connection) => {
                let fate = self.receive_connection(now, connection, packet, segment, out);
                self.mark(connection);
                fate
            }
            Err(_) => {
                Fate { rule: Some(self.reset(now, segment, Rule::TcpPanicked, out)), ..Fate::nobody(Rule::TcpPanicked) }
            }
        }
    }

    fn challenge(
        &mut self,
        now: Time,
        segment: &Segment<'_>,
        ack: &smoltcp::wire::TcpRepr<'_>,
        fate: Fate,
        out: &mut Packets,
    ) -> Fate {
        if !self.challenges.allow(now) {
            return Fate { rule: Some(Rule::TcpChallengeLimited), ..fate };
        }
        segment::send(segment.local, segment.remote, ack, fate, out);
        fate
    }

    fn forget_handshake(&mut self, slot: usize) {
        let handshake = self.handshakes.remove(slot);
        self.tuples.remove(&FourTuple { local: handshake.agreed.local, remote: handshake.agreed.remote });
    }

    /// Makes a connection of a SYN entry, as smoltcp would have if it had seen the SYN.
    fn establish(&mut self, now: Time, slot: usize) -> Result<usize> {
        let handshake = self.handshakes.remove(slot);
        let agreed = handshake.agreed;
        let tuple = FourTuple { local: agreed.local, remote: agreed.remote };
        self.tuples.remove(&tuple);
        let syn = handshake.syn();
        let ip = segment::header(agreed.remote, agreed.local, syn.buffer_len());
        self.scratch.clear();
        self.scratch.resize(ip.header_len() + syn.buffer_len(), 0);
        segment::write(&ip, &syn, &mut self.scratch);
        let mut connection = Connection::new(new_socket(&self.limits), agreed, TcpState::SynReceived);
        let mut interface = new_interface(isn::seed(agreed.isn), now);
        connection.replay_syn(now, &mut interface, &self.scratch)?;
        connection.note_handshake(&handshake);
        let slot = self.connections.insert(connection);
        self.tuples.insert(tuple, Owner::Connection(slot));
        if let Some(listener) = self.listeners.get_mut(handshake.listener) {
            listener.waiting += 1;
            let (listener_id, descriptor) = (listener.id, listener.descriptor);
            self.notices.push_back(Notice::Established { listener: descriptor, connection: slot });
            self.lives.push_back(Life::Accepted {
                socket: agreed.id,
                listener: listener_id,
                listening: listener.local,
                local: agreed.local,
                remote: agreed.remote,
                waiting: listener.waiting,
                backlog: listener.backlog,
            });
        }
        Ok(slot)
    }

    fn receive_connection(
        &mut self,
        now: Time,
        slot: usize,
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        out: &mut Packets,
    ) -> Fate {
        let connection = &mut self.connections[slot];
        let before = connection.state();
        connection.summary.packets_in += 1;
        if before == TcpState::SynSent && segment.is_syn() {
            connection.note_syn(segment);
        }
        let packet = match guard::admit(connection, segment) {
            Admission::Admit => {
                let header = packet.bytes.len() - packet.payload.len();
                let simple = if packet.source.is_ipv4() { 20 } else { 40 };
                if header == simple && !segment.is_syn() {
                    packet.bytes
                } else {
                    segment::rebuild(packet, packet.payload, &mut self.scratch);
                    let tcp = simple + 20;
                    let end = simple + usize::from(packet.payload[12] >> 4) * 4;
                    segment::clamp_mss(&mut self.scratch[tcp..end], self.connections[slot].send_mss());
                    &self.scratch
                }
            }
            Admission::Cut { keep } => {
                segment::rebuild_cut(packet, segment, keep, &mut self.scratch);
                &self.scratch
            }
            Admission::Challenge(rule) => {
                let challenge = connection.challenge();
                let fate = Fate { rule: Some(rule), ..connection.fate() };
                return self.challenge(now, segment, &challenge, fate, out);
            }
            Admission::Drop(rule) => return Fate { rule: Some(rule), ..connection.fate() },
        };
        let connection = &mut self.connections[slot];
        connection.feed(now, &mut self.interface, packet, out);
        connection.note_received(segment, before);
        let fate = connection.fate();
        // A FIN may come with the segment that establishes the connection.
        if connection.is_asked_for && matches!(connection.state(), TcpState::Established | TcpState::CloseWait) {
            connection.is_asked_for = false;
            let (socket, local, remote) = (connection.id(), connection.local(), connection.remote());
            self.notices.push_back(Notice::Connected { connection: slot });
            self.lives.push_back(Life::Connected { socket, local, remote });
        }
        self.mark(slot);
        fate
    }

    /// An ICMP error about a segment of ours. It ends a connection that is only asked for; an established one
    /// goes on, because the error may be forged or pass (RFC 1122 §4.2.3.9, RFC 5927 §5.2).
    fn tcp_error(&mut self, error: &IcmpError) -> Fate {
        let tuple = FourTuple { local: error.source, remote: error.destination };
        let Some(&Owner::Connection(slot)) = self.tuples.get(&tuple) else {
            return Fate::nobody(Rule::IcmpErrorUnmatched);
        };
        let connection = &mut self.connections[slot];
        let is_quoted = error.sequence.is_none_or(|sequence| sequence == connection.numbers().local);
        let fate = Fate { rule: Some(Rule::IcmpErrorDelivered), ..connection.fate() };
        if connection.state() == TcpState::SynSent && is_quoted {
            connection.ended.get_or_insert(Close::Unreachable);
            self.mark(slot);
        }
        fate
    }

    /// Makes a listener.
    ///
    /// # Errors
    ///
    /// [`Error::AddressNotAvailable`] for an address that is not ours, or if no port is free;
    /// [`Error::AddressInUse`]; [`Error::TooManySockets`].
    pub fn listen(
        &mut self,
        local: SocketAddr,
        backlog: usize,
        descriptor: usize,
        below: &Below<'_>,
        rng: &mut StdRng,
    ) -> Result<usize> {
        let local = self.bindable(Protocol::Tcp, local, below, rng)?;
        let slot = self.listeners.vacant_key();
        self.ports.bind(Protocol::Tcp, local, Bound::Listener(slot))?;
        let id = self.new_id(Protocol::Tcp);
        let backlog = backlog.clamp(1, self.limits.backlog);
        self.listeners.insert(Listener { id, local, backlog, waiting: 0, descriptor });
        self.lives.push_back(Life::Bound { socket: id, local, backlog: Some(backlog) });
        Ok(slot)
    }

    /// Where a listener listens.
    pub fn listening(&self, slot: usize) -> SocketAddr {
        self.listeners[slot].local
    }

    /// The program has accepted connections: this many still wait.
    pub fn set_waiting(&mut self, slot: usize, waiting: usize) {
        self.listeners[slot].waiting = waiting;
    }

    /// Closes a listener. Handshakes that are under way end in a RST.
    pub fn close_listener(&mut self, slot: usize) {
        let listener = self.listeners.remove(slot);
        self.ports.release(Protocol::Tcp, listener.local, Bound::Listener(slot));
        let under_way: Vec<usize> =
            self.handshakes.iter().filter(|(_, handshake)| handshake.listener == slot).map(|(slot, _)| slot).collect();
        for slot in under_way {
            self.forget_handshake(slot);
        }
        self.lives.push_back(Life::Closed { socket: listener.id, how: Close::ByUs, summary: Summary::default() });
    }

    /// Asks for a connection to `remote`.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkUnreachable`], [`Error::AddressNotAvailable`], [`Error::AddressInUse`],
    /// [`Error::TooManySockets`].
    pub fn connect(
        &mut self,
        now: Time,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        descriptor: usize,
        below: &mut Below<'_>,
    ) -> Result<usize> {
        if self.sockets() >= self.limits.sockets {
            return Err(Error::TooManySockets);
        }
        if remote.port() == 0 || remote.ip().is_unspecified() || below.ip.is_group(remote.ip()) {
            return Err(Error::AddressNotAvailable);
        }
        let hop = below.ip.route(remote.ip()).map_err(|_| Error::NetworkUnreachable)?;
        let address = local.map(|local| local.ip()).filter(|address| !address.is_unspecified()).unwrap_or(hop.source);
        if address.is_ipv4() != remote.is_ipv4() {
            return Err(Error::FamilyNotSupported);
        }
        if !below.ip.is_usable(address) {
            return Err(Error::AddressNotAvailable);
        }
        let tuples = &self.tuples;
        let is_free = |port| !tuples.contains_key(&FourTuple { local: SocketAddr::new(address, port), remote });
        let port = match local.map_or(0, |local| local.port()) {
            0 => self.ports.for_connection(address, remote, is_free)?,
            port if is_free(port) => port,
            _ => return Err(Error::AddressInUse),
        };
        let local = SocketAddr::new(address, port);
        let id = self.new_id(Protocol::Tcp);
        let agreed = self.agree(id, local, remote, now);
        let mut connection = Connection::new(new_socket(&self.limits), agreed, TcpState::Closed);
        connection.descriptor = Some(descriptor);
        let mut interface = new_interface(isn::seed(agreed.isn), now);
        connection.connect(now, &mut interface, below.packets)?;
        let slot = self.connections.insert(connection);
        self.tuples.insert(FourTuple { local, remote }, Owner::Connection(slot));
        self.mark(slot);
        Ok(slot)
    }

    /// The connection of a slot; `None` once it is gone.
    pub fn connection(&mut self, slot: usize) -> Option<&mut Connection> {
        self.connections.get_mut(slot)
    }

    /// Joins a connection to the descriptor of its program.
    pub fn adopt(&mut self, slot: usize, descriptor: usize) {
        if let Some(connection) = self.connections.get_mut(slot) {
            connection.descriptor = Some(descriptor);
        }
        self.mark(slot);
    }

    /// Puts a connection into the dirty list.
    pub fn mark(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push_back(slot);
        }
    }

    /// Takes a connection out of the dirty list, with its descriptor.
    pub fn next_dirty(&mut self) -> Option<(usize, Option<usize>)> {
        let slot = self.dirty.pop_front()?;
        let connection = self.connections.get_mut(slot)?;
        connection.is_dirty = false;
        Some((slot, connection.descriptor))
    }

    /// Whether connections wait to be looked after.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Lets a connection send what is due, arms its timer, and removes it if it is over. How it ended is returned
    /// when its program has taken everything; in TIME-WAIT the connection lives on without its program.
    pub fn service(&mut self, now: Time, slot: usize, out: &mut Packets) -> Option<Close> {
        let connection = self.connections.get_mut(slot)?;
        if connection.descriptor.is_none() && connection.unread() > 0 {
            // RFC 1122 §4.2.2.13: nobody will read this any more, and the peer must know.
            connection.abort();
        }
        let has_more = match connection.ended {
            Some(Close::Panicked | Close::Unreachable) => false,
            _ => connection.transmit(now, &mut self.interface, out),
        };
        let was_over = connection.was_over;
        connection.settle();
        let over = connection.ended();
        if let (Some(how), false) = (over, was_over) {
            connection.was_over = true;
            let summary = Summary { age: connection.age(now), ..connection.summary };
            self.lives.push_back(Life::Closed { socket: connection.id(), how, summary });
        }
        let is_gone =
            connection.state() == TcpState::Closed || matches!(over, Some(Close::Panicked | Close::Unreachable));
        // What came before the end is still there for a program that has not read it yet.
        let is_drained = connection.descriptor.is_none() || connection.unread() == 0;
        if is_gone {
            let tuple = FourTuple { local: connection.local(), remote: connection.remote() };
            if self.tuples.get(&tuple) == Some(&Owner::Connection(slot)) {
                self.tuples.remove(&tuple);
            }
            if is_drained {
                self.connections.remove(slot);
            }
        } else if has_more {
            self.mark(slot);
        } else if let Some(at) = connection.deadline(now, &mut self.interface) {
            // It has just sent all it could: what is due "now" waits for something that has not come.
            let at = at.max(now + Duration::from_millis(1));
            if connection.armed.is_none_or(|armed| at < armed) {
                connection.armed = Some(at);
                self.timers.arm(at, Alarm::Connection { slot, number: connection.id().number });
            }
        }
        over.filter(|_| is_drained)
    }

    /// Deadlines that have come: marks connections dirty, sends SYN-ACKs again.
    pub fn poll(&mut self, now: Time, out: &mut Packets) {
        while let Some((at, alarm)) = self.timers.due(now) {
            match alarm {
                Alarm::Connection { slot, number } => {
                    let Some(connection) = self.connections.get_mut(slot) else { continue };
                    if connection.id().number == number && connection.armed == Some(at) {
                        connection.armed = None;
                        self.mark(slot);
                    }
                }
                Alarm::Handshake { slot, number } => {
                    let Some(handshake) = self.handshakes.get_mut(slot) else { continue };
                    if handshake.agreed.id.number != number {
                        continue;
                    }
                    let due = if handshake.resend_at > at {
                        Some(handshake.resend_at)
                    } else {
                        handshake.send_syn_ack(now, Rule::TcpSynAckTimeout, out)
                    };
                    match due {
                        Some(due) => self.timers.arm(due, alarm),
                        None => self.forget_handshake(slot),
                    }
                }
            }
        }
    }

    /// Ends every connection with a RST, because the stack stops.
    pub fn shut_down(&mut self, now: Time, out: &mut Packets) {
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            if let Some(connection) = self.connections.get_mut(slot)
                && connection.ended.is_none()
            {
                connection.ended = Some(Close::Shutdown);
                connection.abort();
            }
            self.service(now, slot, out);
        }
    }
}
