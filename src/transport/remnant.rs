//! What is left of a connection that no program holds any more: FIN-WAIT-2 and TIME-WAIT, without buffers and without
//! a state machine.
//!
//! We have sent everything and the peer has acknowledged it; all that can still come is the peer's FIN, copies of old
//! segments, or a new connection of the same two ends. A few numbers are enough to answer each of them.

use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::wire::{TcpControl, TcpRepr, TcpSeqNumber};

use super::header::Header;
use super::segment::{self, Segment};
use super::timestamp::Timestamps;
use crate::observe::{Fate, Numbers, Ownership, Rule, SocketId, TcpState, Time};

/// How long the peer may take to close its direction when nobody reads any more (Linux: tcp_fin_timeout).
const FIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Twice the maximum segment lifetime: until then copies of old segments may come (RFC 9293 §3.4.2; 60 s as Linux).
const TWO_MSL: Duration = Duration::from_secs(60);

/// A new connection of the same ends begins beyond what the old one could have sent (as Linux: one unscaled window).
const ISN_GAP: usize = 65_535 + 2;

#[derive(Debug)]
pub(super) struct Remnant {
    pub(super) id: SocketId,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: TcpState,
    pub(super) numbers: Numbers,
    /// Behind our FIN.
    pub(super) snd_nxt: TcpSeqNumber,
    /// What we expect: the peer's FIN, or what would come behind it.
    pub(super) rcv_nxt: TcpSeqNumber,
    /// The window that we advertised last.
    pub(super) window: u16,
    pub(super) header: Header,
    pub(super) timestamps: Option<Timestamps>,
    /// It had no segments, so no old ones can come.
    pub(super) was_joined: bool,
    pub(super) expires: Time,
}

/// What to do about a segment for a remnant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Drop it.
    Nothing(Rule),
    /// Answer with our own ACK.
    Ack(Rule),
    /// The same, rate-limited: it may be forged.
    Challenge(Rule),
    /// Answer with a RST, and forget the remnant.
    Reset(Rule),
    /// Forget the remnant.
    Forget(Rule),
    /// It begins a new connection: forget the remnant, and let the listener see it.
    Renew,
}

impl Remnant {
    /// Begins to wait, as long as its state demands.
    pub(super) fn wait(&mut self, now: Time) {
        self.expires = now + if self.state == TcpState::TimeWait { TWO_MSL } else { FIN_TIMEOUT };
    }

    /// RFC 6191 §3: a second later, a new connection's timestamps are newer than all of this one.
    pub(super) fn may_be_followed(&self, now: Time) -> bool {
        if self.was_joined {
            return true;
        }
        let rest = self.expires - now;
        self.state == TcpState::TimeWait && self.timestamps.is_some() && rest + Duration::from_secs(1) < TWO_MSL
    }

    /// RFC 9293 §3.10.7.4 for the two states, with RFC 5961 (RST, SYN), RFC 7323 (PAWS), RFC 1337 (a RST does not end
    /// TIME-WAIT) and RFC 6191 (a newer SYN does).
    pub(super) fn receive(&mut self, now: Time, segment: &Segment<'_>) -> Answer {
        let repr = &segment.repr;
        let distance = repr.seq_number.0.wrapping_sub(self.rcv_nxt.0);
        let is_old = self.is_old(segment, now);
        if segment.is_rst() {
            return match (self.state, distance) {
                (TcpState::TimeWait, _) => Answer::Nothing(Rule::TcpTimeWaitReset),
                (_, 0) => Answer::Forget(Rule::TcpRemnantReset),
                (_, 1..) if distance < i32::from(self.window) => Answer::Challenge(Rule::TcpChallengeReset),
                _ => Answer::Nothing(Rule::TcpSequenceFar),
            };
        }
        if segment.is_syn() {
            let is_newer = self.was_joined
                || match (self.timestamps, repr.timestamp) {
                    (Some(timestamps), Some(option)) if option.tsval != timestamps.recent() => !is_old,
                    _ => distance > 0,
                };
            let is_request = repr.ack_number.is_none() && self.state == TcpState::TimeWait;
            return if is_request && is_newer { Answer::Renew } else { Answer::Challenge(Rule::TcpChallengeSyn) };
        }
        let Some(ack) = repr.ack_number else { return Answer::Nothing(Rule::TcpNoAck) };
        if is_old {
            return Answer::Ack(Rule::TcpPaws);
        }
        if ack.0.wrapping_sub(self.snd_nxt.0) > 0 {
            return Answer::Challenge(Rule::TcpChallengeAck);
        }
        let fresh = distance.wrapping_add(repr.payload.len() as i32);
        match self.state {
            // Nobody is there to read it (RFC 1122 §4.2.2.13).
            TcpState::FinWait2 if !repr.payload.is_empty() && fresh > 0 => Answer::Reset(Rule::TcpRstClosed),
            TcpState::FinWait2 if repr.control == TcpControl::Fin && fresh == 0 => {
                self.rcv_nxt += 1;
                self.state = TcpState::TimeWait;
                self.note(now, segment);
                self.wait(now);
                Answer::Ack(Rule::TcpTimeWait)
            }
            TcpState::TimeWait if repr.control == TcpControl::Fin && fresh == -1 => {
                // Our ACK of it was lost.
                self.wait(now);
                Answer::Ack(Rule::TcpTimeWaitAck)
            }
            _ if segment.len() == 0 && distance == 0 => Answer::Nothing(Rule::TcpRemnantAck),
            TcpState::TimeWait => Answer::Challenge(Rule::TcpTimeWaitAck),
            _ => Answer::Ack(Rule::TcpChallengeSequence),
        }
    }

    fn is_old(&self, segment: &Segment<'_>, now: Time) -> bool {
        match (self.timestamps, segment.repr.timestamp) {
            (Some(timestamps), Some(option)) => timestamps.is_old(option.tsval, now),
            _ => false,
        }
    }

    fn note(&mut self, now: Time, segment: &Segment<'_>) {
        if let (Some(timestamps), Some(option)) = (&mut self.timestamps, segment.repr.timestamp) {
            timestamps.note(option.tsval, segment.repr.seq_number, self.rcv_nxt, now);
        }
    }

    /// Our own ACK.
    pub(super) fn ack(&self, now: Time) -> TcpRepr<'static> {
        TcpRepr {
            seq_number: self.snd_nxt,
            ack_number: Some(self.rcv_nxt),
            window_len: self.window,
            timestamp: self.timestamps.map(|timestamps| timestamps.option(now)),
            ..segment::bare(self.local, self.remote)
        }
    }

    /// Where a new connection of the same ends must begin at the earliest.
    pub(super) fn next_isn(&self) -> TcpSeqNumber {
        self.snd_nxt + ISN_GAP
    }

    pub(super) fn fate(&self, before: TcpState, rule: Rule) -> Fate {
        Fate {
            rule: Some(rule),
            states: Some((before, self.state)),
            numbers: Some(self.numbers),
            ..Fate::of(Ownership::FourTuple { socket: self.id })
        }
    }
}
