//! A segment's way: check it, find its connection, handshake or listener, pass the guards, and let the state
//! machine see it; or answer as RFC 9293 §3.10.7 says for what nobody owns.

mod icmp;
mod joined;
mod listen;
mod remnant;
mod unheld;
mod upkeep;
mod verbs;

pub use joined::Joined;
pub use unheld::{Shelf, Unheld};
pub use upkeep::End;
pub use verbs::Ends;

use super::guard::{self, Admission};
use super::header::Header;
use super::segment::{self, Segment};
use super::{Below, Bound, FourTuple, Life, Notice, Owner, Transport};
use crate::ip::{IcmpError, Packet, Packets};
use crate::observe::{Cast, Fate, Ownership, Rule, TcpState, Time};

impl Transport {
    /// A packet came: TCP, UDP or an echo reply.
    pub fn receive(&mut self, now: Time, packet: &Packet<'_>, below: &mut Below<'_>) -> Fate {
        match packet.protocol {
            6 => self.receive_tcp(now, packet, below),
            1 | 58 => self.receive_echo(packet),
            _ => self.receive_udp(now, packet, below),
        }
    }

    /// An ICMP error about a packet of ours came.
    pub fn receive_error(&mut self, now: Time, error: &IcmpError, below: &mut Below<'_>) -> Fate {
        let raw = self.raw_error(now, error, below);
        let fate = match error.protocol {
            6 => self.tcp_error(now, error, below),
            17 => self.udp_error(now, error, below),
            1 | 58 => self.echo_error(now, error, below),
            _ => Fate::nobody(Rule::IcmpErrorUnmatched),
        };
        raw.filter(|_| fate.owner.is_none()).unwrap_or(fate)
    }

    fn receive_tcp(&mut self, now: Time, packet: &Packet<'_>, below: &mut Below<'_>) -> Fate {
        if packet.cast == Cast::Group {
            return Fate::nobody(Rule::TcpGroup);
        }
        let segment = match Segment::parse(packet) {
            Ok(segment) => segment,
            Err(rule) => return Fate::nobody(rule),
        };
        let tuple = FourTuple { local: segment.local, remote: segment.remote };
        let least_isn = match self.tuples.get(&tuple) {
            Some(&Owner::Connection(slot)) => {
                return self.receive_connection(now, slot, packet, &segment, below.packets);
            }
            Some(&Owner::Handshake(slot)) => return self.receive_handshake(now, slot, packet, &segment, below),
            Some(&Owner::Remnant(slot)) => match self.receive_remnant(now, slot, &segment, below.packets) {
                Ok(fate) => return fate,
                Err(least_isn) => Some(least_isn),
            },
            Some(&Owner::Joined(socket, _)) => {
                let owner = Ownership::FourTuple { socket };
                return Fate { owner: Some(owner), ..Fate::nobody(Rule::TcpJoined) };
            }
            None => None,
        };
        match self.ports.listener(segment.local, segment.remote) {
            Some(Bound::Listener(slot)) => self.receive_listener(now, slot, packet, &segment, least_isn, below),
            _ => self.receive_closed(now, &segment, below.packets),
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
        // A program of our own is no stranger, and is to hear it at once.
        if !segment.is_local && !self.resets.allow(now) {
            return Rule::TcpRstLimited;
        }
        let reset = segment::reset_for(segment);
        segment::send(segment.local, segment.remote, &reset, Header::default(), Fate::nobody(rule), out);
        rule
    }

    fn challenge(
        &mut self,
        now: Time,
        segment: &Segment<'_>,
        ack: &smoltcp::wire::TcpRepr<'_>,
        fate: Fate,
        out: &mut Packets,
    ) -> Fate {
        // What carries data is answered with no more than came, and a peer that probes a closed window must hear us.
        let is_limited = segment.repr.payload.is_empty();
        let tuple = FourTuple { local: segment.local, remote: segment.remote };
        let (is_allowed, header) = match self.tuples.get(&tuple) {
            Some(&Owner::Connection(slot)) => {
                let connection = &mut self.connections[slot];
                (connection.challenges.allow(now), connection.header())
            }
            Some(&Owner::Handshake(slot)) => {
                let handshake = &mut self.handshakes[slot];
                (handshake.challenges.allow(now), handshake.agreed.header)
            }
            Some(&Owner::Remnant(slot)) => (true, self.remnants[slot].header),
            Some(&Owner::Joined(..)) | None => (true, Header::default()),
        };
        if is_limited && !(is_allowed && self.challenges.allow(now)) {
            return Fate { rule: Some(Rule::TcpChallengeLimited), ..fate };
        }
        segment::send(segment.local, segment.remote, ack, header, fate, out);
        fate
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
        if before == TcpState::Closed {
            // It ended a moment ago, and is still to be put away.
            return self.receive_closed(now, segment, out);
        }
        connection.summary.packets_in += 1;
        let keep = match guard::admit(connection, segment, now) {
            Admission::Admit => None,
            Admission::Cut { keep } => Some(keep),
            Admission::Challenge(rule) => {
                if rule == Rule::TcpOldData {
                    connection.note_duplicate(segment);
                }
                if rule == Rule::TcpKeepaliveAnswer {
                    let what = (packet, segment);
                    connection.feed_probe(now, &mut self.interface, what, &mut self.scratch, out);
                    connection.note_received(segment, before);
                }
                let challenge = connection.challenge(now);
                let fate = Fate { rule: Some(rule), ..connection.fate() };
                self.mark(slot);
                return self.challenge(now, segment, &challenge, fate, out);
            }
            Admission::Drop(rule) => return Fate { rule: Some(rule), ..connection.fate() },
        };
        let is_short = connection.is_short_for(segment);
        if is_short && before != TcpState::SynReceived {
            // As if it had been lost: the peer sends it again, and its window stays as it was promised.
            return Fate { rule: Some(Rule::TcpMemoryLimit), ..connection.fate() };
        }
        // What establishes a connection does so without its data.
        let keep = if is_short { Some(0) } else { keep };
        if !is_short {
            connection.note_extent(segment);
        }
        let una = connection.snd_una();
        let what = (packet, segment, keep);
        let rule = connection.feed(now, &mut self.interface, what, &mut self.scratch, out);
        let is_behind_fin = keep == Some(0) && guard::has_ended(before) && !segment.repr.payload.is_empty();
        let rule = match (is_short, is_behind_fin) {
            (true, _) => Some(Rule::TcpMemoryLimit),
            (_, true) => Some(Rule::TcpAfterFin),
            _ => rule,
        };
        connection.note_received(segment, before);
        connection.note_heard(now, connection.snd_una() != una);
        let fate = Fate { rule, ..connection.fate() };
        // A FIN may come with the segment that establishes the connection.
        if connection.is_asked_for && matches!(connection.state(), TcpState::Established | TcpState::CloseWait) {
            connection.is_asked_for = false;
            let (socket, local, remote) = (connection.id(), connection.local(), connection.remote());
            let descriptor = connection.descriptor();
            self.notices.push_back(Notice::Connected { connection: slot });
            self.lives.push_back(Life::Connected { socket, descriptor, local, remote });
        }
        self.mark(slot);
        fate
    }
}
