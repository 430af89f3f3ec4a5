//! LISTEN and SYN-RECEIVED: what a SYN, and the third segment of its handshake, become.

use std::net::SocketAddr;

use smoltcp::wire::TcpSeqNumber;

use crate::error::Result;
use crate::ip::{Packet, Packets};
use crate::memory::Buffer;
use crate::observe::{Fate, Ownership, Protocol, Rule, SocketId, TcpState, Time};
use crate::transport::connection::{Connection, Handshaken, buffers};
use crate::transport::handshake::{Handshake, Listener};
use crate::transport::segment::{self, Segment};
use crate::transport::{Alarm, FourTuple, Life, Notice, Owner, Transport, isn, new_interface};

impl Transport {
    /// RFC 9293 §3.10.7.2: the LISTEN state.
    pub(super) fn receive_listener(
        &mut self,
        now: Time,
        slot: usize,
        segment: &Segment<'_>,
        least_isn: Option<TcpSeqNumber>,
        out: &mut Packets,
    ) -> Fate {
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
        let agreed = self.agree(id, segment.local, segment.remote, now, least_isn);
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

    /// `least_isn`: where an earlier connection of the same ends had got to.
    pub(in crate::transport) fn agree(
        &self,
        id: SocketId,
        local: SocketAddr,
        remote: SocketAddr,
        now: Time,
        least_isn: Option<TcpSeqNumber>,
    ) -> Handshaken {
        let chosen = isn::choose(&self.isn_key, now, local, remote);
        let isn = least_isn.filter(|&least| least > chosen).unwrap_or(chosen);
        Handshaken { id, local, remote, isn, link_mss: self.link_mss(remote), created: now }
    }

    /// RFC 9293 §3.10.7.4, SYN-RECEIVED: the third segment of the handshake, or something else.
    pub(super) fn receive_handshake(
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
        let buffers = match buffers(&self.limits, &self.memory) {
            Ok(buffers) if !self.memory.is_exhausted() => buffers,
            _ => return handshake.fate(Some(Rule::TcpMemoryLimit)),
        };
        match self.establish(now, slot, buffers) {
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

    pub(in crate::transport) fn forget_handshake(&mut self, slot: usize) {
        let handshake = self.handshakes.remove(slot);
        self.tuples.remove(&FourTuple { local: handshake.agreed.local, remote: handshake.agreed.remote });
    }

    /// Makes a connection of a SYN entry, as smoltcp would have if it had seen the SYN.
    fn establish(&mut self, now: Time, slot: usize, buffers: [Buffer; 2]) -> Result<usize> {
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
}
