//! From a connection to its remnant, and a segment's way to one.

use smoltcp::wire::TcpSeqNumber;

use crate::ip::Packets;
use crate::observe::{Close, Fate, Rule, Summary, TcpState, Time, TimerKind};
use crate::transport::remnant::{Answer, Remnant};
use crate::transport::segment::{self, Segment};
use crate::transport::{Alarm, FourTuple, Life, Owner, Transport};

impl Transport {
    /// Replaces a connection by its remnant, if there is nothing else left to do: nobody holds it, we have sent
    /// everything, and it has said what it had to say.
    pub(super) fn settle_remnant(&mut self, now: Time, slot: usize, out: &mut Packets) {
        let Some(connection) = self.connections.get(slot) else { return };
        let state = connection.state();
        let is_held = connection.descriptor().is_some();
        if is_held || connection.unread() > 0 || !matches!(state, TcpState::FinWait2 | TcpState::TimeWait) {
            return;
        }
        let Some(mut remnant) = connection.remnant() else { return };
        let is_acknowledged = connection.has_acknowledged();
        let tuple = FourTuple { local: remnant.local, remote: remnant.remote };
        if connection.ended().is_none() {
            let summary = Summary { age: connection.age(now), ..connection.summary };
            self.lives.push_back(Life::Closed { socket: remnant.id, how: Close::ByUs, summary });
        }
        self.connections.remove(slot);
        if !is_acknowledged {
            segment::send(
                remnant.local,
                remnant.remote,
                &remnant.ack(now),
                remnant.header,
                remnant.fate(state, Rule::TcpTimeWaitAck),
                out,
            );
        }
        if self.remnants.len() >= self.limits.remnants {
            self.tuples.remove(&tuple);
            self.ports.vacate(remnant.local, remnant.sharing);
            self.given_up.push_back(Rule::TcpRemnantLimit);
            return;
        }
        remnant.wait(now);
        let (number, expires) = (remnant.id.number, remnant.expires);
        let slot = self.remnants.insert(remnant);
        self.tuples.insert(tuple, Owner::Remnant(slot));
        self.timers.arm(expires, Alarm::Remnant { slot, number });
    }

    /// A segment for a remnant; `Err`: it begins a new connection, the remnant has made
    /// way, and the new one begins at this number at the earliest.
    pub(super) fn receive_remnant(
        &mut self,
        now: Time,
        slot: usize,
        segment: &Segment<'_>,
        out: &mut Packets,
    ) -> std::result::Result<Fate, TcpSeqNumber> {
        let remnant = &mut self.remnants[slot];
        let before = remnant.state;
        let answer = remnant.receive(now, segment);
        let fate = |rule, remnant: &Remnant| Ok(remnant.fate(before, rule));
        match answer {
            Answer::Nothing(rule) => fate(rule, remnant),
            Answer::Ack(rule) => {
                let told = remnant.fate(before, rule);
                segment::send(remnant.local, remnant.remote, &remnant.ack(now), remnant.header, told, out);
                fate(rule, remnant)
            }
            Answer::Challenge(rule) => {
                let (ack, fate) = (remnant.ack(now), remnant.fate(before, rule));
                Ok(self.challenge(now, segment, &ack, fate, out))
            }
            Answer::Reset(rule) => {
                let fate = remnant.fate(before, rule);
                self.forget_remnant(slot);
                Ok(Fate { rule: Some(self.reset(now, segment, rule, out)), ..fate })
            }
            Answer::Forget(rule) => {
                let fate = remnant.fate(before, rule);
                self.forget_remnant(slot);
                Ok(fate)
            }
            Answer::Renew => {
                let least_isn = remnant.next_isn();
                self.forget_remnant(slot);
                Err(least_isn)
            }
        }
    }

    /// A remnant's time has come, or its FIN has put it off.
    pub(super) fn expire_remnant(&mut self, now: Time, slot: usize, number: u64) {
        let Some(remnant) = self.remnants.get(slot).filter(|remnant| remnant.id.number == number) else { return };
        if remnant.expires > now {
            self.timers.arm(remnant.expires, Alarm::Remnant { slot, number });
        } else {
            self.fired.push_back((remnant.id, TimerKind::TimeWait));
            self.forget_remnant(slot);
        }
    }

    /// Whether a new connection may use the ends of an old one, if `slot` is its remnant: with timestamps that have
    /// ticked on, the peer tells the two apart (RFC 6191 §3; Linux: tcp_tw_reuse).
    pub(super) fn may_follow(&self, now: Time, slot: usize) -> bool {
        self.remnants.get(slot).is_some_and(|remnant| remnant.may_be_followed(now))
    }

    pub(in crate::transport) fn forget_remnant(&mut self, slot: usize) {
        let remnant = self.remnants.remove(slot);
        self.tuples.remove(&FourTuple { local: remnant.local, remote: remnant.remote });
        self.ports.vacate(remnant.local, remnant.sharing);
    }
}
