//! LISTEN and SYN-RECEIVED: what a SYN, and the third segment of its handshake, become.

use std::net::SocketAddr;

use smoltcp::wire::TcpSeqNumber;

use crate::error::Error;
use crate::ip::{Ip, Packet, Packets};
use crate::observe::{Fate, Ownership, Protocol, Rule, SocketId, TcpState, Time};
use crate::transport::connection::{Connection, Handshaken, TcpOption, fed_shift};
use crate::transport::cookie::{Offer, Request};
use crate::transport::handshake::{Handshake, Listener};
use crate::transport::segment::{self, Segment};
use crate::transport::{
    Alarm, Below, FourTuple, Holder, Life, Notice, Owner, Terms, Transport, isn, link_mss, new_interface,
    segment_payload, timestamp,
};

impl Transport {
    /// RFC 9293 §3.10.7.2: the LISTEN state.
    pub(super) fn receive_listener(
        &mut self,
        now: Time,
        slot: usize,
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        least_isn: Option<TcpSeqNumber>,
        below: &mut Below<'_>,
    ) -> Fate {
        let listener = &self.listeners[slot];
        let (listener_id, listening) = (listener.id, listener.place.local);
        let owner = |socket| Ownership::Listener { socket, listener: listener_id, listening };
        let nobody = |rule| Fate { owner: Some(owner(listener_id)), ..Fate::nobody(rule) };
        if segment.is_rst() {
            return nobody(Rule::TcpListenFlags);
        }
        if segment.repr.ack_number.is_some() {
            let mut fate = match self.handshake_of_cookie(now, slot, segment, below.ip) {
                Some(handshake) => self.complete(now, &handshake, packet, segment, below),
                None => nobody(self.reset(now, segment, Rule::TcpRstListen, below.packets)),
            };
            fate.owner.get_or_insert(owner(listener_id));
            return fate;
        }
        if !segment.is_syn() {
            return nobody(Rule::TcpListenFlags);
        }
        if listener.is_full() {
            return nobody(Rule::TcpBacklogFull);
        }
        let id = self.new_id(Protocol::Tcp);
        let terms = self.listeners[slot].terms;
        let agreed = self.agree(id, (segment.local, segment.remote), now, least_isn, &terms, below.ip);
        let mut handshake = Handshake::new(segment, agreed, slot, self.first_window(&terms));
        if self.handshakes.len() >= self.limits.syn_entries {
            handshake = handshake.with_cookie();
            handshake.agreed.isn = self.cookies.make(now, &handshake.request(), handshake.mss);
            handshake.send_cookie(now, below.packets);
            return Fate { numbers: Some(handshake.numbers()), ..nobody(Rule::TcpCookieSent) };
        }
        handshake.defer = terms.defer;
        let numbers = Some(handshake.numbers());
        let due = handshake.send_syn_ack(now, Rule::TcpSynAck, below.packets);
        let handshake_slot = self.remember_handshake(handshake);
        if let Some(due) = due {
            self.timers.arm(due, Alarm::Handshake { slot: handshake_slot, number: id.number });
        }
        Fate { states: Some((TcpState::Listen, TcpState::SynReceived)), numbers, ..Fate::of(owner(id)) }
    }

    /// The window that a SYN-ACK announces: of the buffer that the connection will have.
    fn first_window(&self, terms: &Terms) -> u16 {
        u16::try_from(terms.receive_bytes(&self.limits)).unwrap_or(u16::MAX)
    }

    /// The handshake that an ACK completes of which we remember nothing, if it brings a cookie of ours.
    fn handshake_of_cookie(&mut self, now: Time, listener: usize, segment: &Segment<'_>, ip: &Ip) -> Option<Handshake> {
        if segment.is_syn() {
            return None;
        }
        let isn = TcpSeqNumber(segment.repr.ack_number?.0.wrapping_sub(1));
        let irs = segment.repr.seq_number.0.wrapping_sub(1) as u32;
        let offer = segment.repr.timestamp.map(|timestamp| Offer::read(timestamp.tsecr));
        let request = Request { local: segment.local, remote: segment.remote, irs };
        let mss = self.cookies.read(now, &request, isn)?;
        let id = self.new_id(Protocol::Tcp);
        let terms = self.listeners[listener].terms;
        let agreed = Handshaken { isn, ..self.agree(id, (segment.local, segment.remote), now, None, &terms, ip) };
        Some(Handshake::from_cookie(segment, agreed, listener, self.first_window(&terms), (mss, offer)))
    }

    /// `least_isn`: where an earlier connection of the same ends had got to.
    pub(in crate::transport) fn agree(
        &self,
        id: SocketId,
        (local, remote): (SocketAddr, SocketAddr),
        now: Time,
        least_isn: Option<TcpSeqNumber>,
        terms: &Terms,
        ip: &Ip,
    ) -> Handshaken {
        let ends = FourTuple { local, remote };
        let chosen = isn::choose(&self.isn_key, now, &ends);
        let isn = least_isn.filter(|&least| least > chosen).unwrap_or(chosen);
        let clock = timestamp::offset(&self.clock_key, &ends);
        let (link_mss, header) = (terms.mss(link_mss(ip, remote)), terms.header(remote));
        let is_local = ip.is_local(remote.ip());
        Handshaken { id, local, remote, isn, link_mss, is_local, clock, header, created: now }
    }

    /// RFC 9293 §3.10.7.4, SYN-RECEIVED: the third segment of the handshake, or something else.
    pub(super) fn receive_handshake(
        &mut self,
        now: Time,
        slot: usize,
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        below: &mut Below<'_>,
    ) -> Fate {
        let handshake = &mut self.handshakes[slot];
        let next = TcpSeqNumber(handshake.irs.0.wrapping_add(1));
        let distance = segment.repr.seq_number.0.wrapping_sub(next.0);
        let is_in_window = (0..i32::from(handshake.receive_window)).contains(&distance);
        if segment.is_rst() {
            if !is_in_window {
                return handshake.fate(Some(Rule::TcpSequenceFar));
            }
            if distance != 0 {
                return self.challenge_handshake(now, slot, segment, Rule::TcpChallengeReset, below.packets);
            }
            let fate = Fate {
                states: Some((TcpState::SynReceived, TcpState::Listen)),
                ..handshake.fate(Some(Rule::TcpSynReset))
            };
            self.forget_handshake(slot);
            return fate;
        }
        if segment.is_syn() && segment.repr.seq_number == handshake.irs && segment.repr.ack_number.is_none() {
            let rule = handshake.repeat_syn_ack(now, below.packets);
            return handshake.fate(Some(rule));
        }
        if segment.is_syn() {
            // RFC 5961 §4.2: a peer that has begun anew answers our ACK with a RST that fits, and its SYN comes again.
            return self.challenge_handshake(now, slot, segment, Rule::TcpChallengeSyn, below.packets);
        }
        if handshake.is_stray(segment, now) {
            return self.challenge_handshake(now, slot, segment, Rule::TcpPaws, below.packets);
        }
        let Some(ack) = segment.repr.ack_number else { return handshake.fate(Some(Rule::TcpNoAck)) };
        if !is_in_window {
            return self.challenge_handshake(now, slot, segment, Rule::TcpChallengeSequence, below.packets);
        }
        if ack.0 != handshake.agreed.isn.0.wrapping_add(1) {
            let fate = handshake.fate(None);
            return Fate { rule: Some(self.reset(now, segment, Rule::TcpRstSynReceived, below.packets)), ..fate };
        }
        if handshake.defers(segment) {
            return handshake.fate(Some(Rule::TcpDeferAccept));
        }
        let listener = handshake.listener;
        if let Err(rule) = self.has_room(listener) {
            return self.handshakes[slot].fate(Some(rule));
        }
        let handshake = self.take_handshake(slot);
        self.establish(now, &handshake, packet, segment, below)
    }

    /// An ACK brought a cookie back.
    fn complete(
        &mut self,
        now: Time,
        handshake: &Handshake,
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        below: &mut Below<'_>,
    ) -> Fate {
        if let Err(rule) = self.has_room(handshake.listener) {
            return Fate::nobody(rule);
        }
        let fate = self.establish(now, handshake, packet, segment, below);
        Fate { rule: fate.rule.or(Some(Rule::TcpCookieAccepted)), ..fate }
    }

    /// Whether one more connection can wait to be accepted. If not the ACK is dropped and nothing else happens: the
    /// peer's data or our SYN-ACK, sent again, completes the handshake once there is room.
    fn has_room(&self, listener: usize) -> Result<(), Rule> {
        if self.listeners.get(listener).is_none_or(Listener::is_full) {
            return Err(Rule::TcpAckBacklogFull);
        }
        if self.sockets() >= self.limits.sockets {
            return Err(Rule::TcpSocketLimit);
        }
        if self.memory.is_exhausted() {
            return Err(Rule::TcpMemoryLimit);
        }
        Ok(())
    }

    fn challenge_handshake(
        &mut self,
        now: Time,
        slot: usize,
        segment: &Segment<'_>,
        rule: Rule,
        out: &mut Packets,
    ) -> Fate {
        let handshake = &self.handshakes[slot];
        let (challenge, fate) = (handshake.challenge(), handshake.fate(Some(rule)));
        self.challenge(now, segment, &challenge, fate, out)
    }

    fn remember_handshake(&mut self, mut handshake: Handshake) -> usize {
        let tuple = FourTuple { local: handshake.agreed.local, remote: handshake.agreed.remote };
        let slot = self.handshakes.vacant_key();
        if let Some(listener) = self.listeners.get_mut(handshake.listener) {
            handshake.place = listener.under_way.len();
            listener.under_way.push(slot);
        }
        self.handshakes.insert(handshake);
        self.tuples.insert(tuple, Owner::Handshake(slot));
        slot
    }

    /// Takes an entry out of all tables.
    pub(in crate::transport) fn forget_handshake(&mut self, slot: usize) -> Handshake {
        let handshake = self.take_handshake(slot);
        self.tuples.remove(&FourTuple { local: handshake.agreed.local, remote: handshake.agreed.remote });
        handshake
    }

    /// The same, for somebody who takes its place: its ends still point to it.
    fn take_handshake(&mut self, slot: usize) -> Handshake {
        let handshake = self.handshakes.remove(slot);
        if let Some(listener) = self.listeners.get_mut(handshake.listener)
            && listener.under_way.get(handshake.place) == Some(&slot)
        {
            listener.under_way.swap_remove(handshake.place);
            if let Some(&moved) = listener.under_way.get(handshake.place) {
                self.handshakes[moved].place = handshake.place;
            }
        }
        handshake
    }

    /// The handshake is complete: a connection takes its place, and sees the segment that completed it.
    fn establish(
        &mut self,
        now: Time,
        handshake: &Handshake,
        packet: &Packet<'_>,
        segment: &Segment<'_>,
        below: &mut Below<'_>,
    ) -> Fate {
        match self.connection_of(now, handshake, below) {
            Ok(slot) => {
                let fate = self.receive_connection(now, slot, packet, segment, below.packets);
                self.mark(slot);
                fate
            }
            Err(error) => {
                self.tuples.remove(&FourTuple { local: handshake.agreed.local, remote: handshake.agreed.remote });
                let why = if error == Error::NoBufferSpace { Rule::TcpMemoryLimit } else { Rule::TcpPanicked };
                let rule = self.reset(now, segment, why, below.packets);
                Fate { rule: Some(rule), ..handshake.fate(None) }
            }
        }
    }

    /// Makes a connection of a SYN entry, as smoltcp would have if it had seen the SYN.
    fn connection_of(&mut self, now: Time, handshake: &Handshake, below: &Below<'_>) -> Result<usize, Error> {
        let agreed = handshake.agreed;
        // Its listener may have been told something else since.
        let terms = self.listeners.get(handshake.listener).map_or_else(Terms::default, |listener| listener.terms);
        let send_bytes = terms.send_bytes(&self.limits);
        let syn = handshake.syn(fed_shift(send_bytes));
        let ip = segment::header(agreed.remote, agreed.local, syn.buffer_len());
        self.scratch.clear();
        self.scratch.resize(ip.header_len() + syn.buffer_len(), 0);
        segment::write(&ip, &syn, &mut self.scratch);
        let buffers = self.memory.pair([usize::from(handshake.receive_window), send_bytes])?;
        let mut connection = Connection::new(buffers, agreed, TcpState::SynReceived);
        connection.set(TcpOption::Congestion(terms.congestion));
        connection.sharing = terms.sharing;
        let mut interface = new_interface(isn::seed(agreed.isn), now);
        connection.replay_syn(now, &mut interface, &self.scratch)?;
        connection.note_handshake(handshake);
        connection.narrow(segment_payload(below.ip.path_mtu(agreed.remote.ip()), agreed.remote));
        let slot = self.keep(connection);
        if let Some(listener) = self.listeners.get_mut(handshake.listener) {
            listener.waiting += 1;
            let (listener_id, descriptor) = (listener.id, listener.descriptor);
            self.notices.push_back(Notice::Established { listener: descriptor, connection: slot });
            self.lives.push_back(Life::Accepted {
                socket: agreed.id,
                listener: Holder { descriptor, id: listener_id },
                listening: listener.place.local,
                local: agreed.local,
                remote: agreed.remote,
                waiting: listener.waiting,
                backlog: listener.backlog,
            });
        }
        Ok(slot)
    }
}
