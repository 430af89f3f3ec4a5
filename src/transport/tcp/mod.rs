//! A segment's way: check it, find its connection, handshake or listener, pass the guards, and let the state
//! machine see it; or answer as RFC 9293 §3.10.7 says for what nobody owns.

mod icmp;
mod upkeep;
mod verbs;

pub use upkeep::End;

use std::net::SocketAddr;

use super::connection::{Connection, Handshaken, buffers};
use super::guard::{self, Admission};
use super::handshake::{Handshake, Listener};
use super::segment::{self, Segment};
use super::{Alarm, Below, Bound, FourTuple, Life, Notice, Owner, Transport, isn, new_interface};
use crate::error::Result;
use crate::ip::{IcmpError, Packet, Packets};
use crate::observe::{Cast, Fate, Ownership, Protocol, Rule, SocketId, TcpState, Time};

impl Transport {
    /// A TCP or UDP packet came.
    pub fn receive(&mut self, now: Time, packet: &Packet<'_>, below: &mut Below<'_>) -> Fate {
        match packet.protocol {
            6 => self.receive_tcp(now, packet, below.packets),
            _ => self.receive_udp(now, packet, below),
        }
    }

    /// An ICMP error about a packet of ours came.
    pub fn receive_error(&mut self, now: Time, error: &IcmpError, below: &mut Below<'_>) -> Fate {
        match error.protocol {
            6 => self.tcp_error(now, error, below),
            17 => self.udp_error(now, error, below),
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

    pub(super) fn agree(&self, id: SocketId, local: SocketAddr, remote: SocketAddr, now: Time) -> Handshaken {
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
        if self.memory.is_exhausted() {
            return handshake.fate(Some(Rule::TcpMemoryLimit));
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

    pub(super) fn forget_handshake(&mut self, slot: usize) {
        let handshake = self.handshakes.remove(slot);
        self.tuples.remove(&FourTuple { local: handshake.agreed.local, remote: handshake.agreed.remote });
    }

    /// Makes a connection of a SYN entry, as smoltcp would have if it had seen the SYN.
    fn establish(&mut self, now: Time, slot: usize) -> Result<usize> {
        let buffers = buffers(&self.limits, &self.memory)?;
        let handshake = self.handshakes.remove(slot);
        let agreed = handshake.agreed;
        let tuple = FourTuple { local: agreed.local, remote: agreed.remote };
        self.tuples.remove(&tuple);
        let syn = handshake.syn();
        let ip = segment::header(agreed.remote, agreed.local, syn.buffer_len());
        self.scratch.clear();
        self.scratch.resize(ip.header_len() + syn.buffer_len(), 0);
        segment::write(&ip, &syn, &mut self.scratch);
        let mut connection = Connection::new(buffers, agreed, TcpState::SynReceived);
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
        if connection.is_short_for(segment) {
            // As if it had been lost: the peer sends it again, and its window stays as it was promised.
            return Fate { rule: Some(Rule::TcpMemoryLimit), ..connection.fate() };
        }
        connection.note_extent(segment);
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
}
