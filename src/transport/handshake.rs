//! Listeners, and connections that are asked for but not established: a SYN creates no socket.

use std::time::Duration;

use smoltcp::wire::{TcpControl, TcpRepr, TcpSeqNumber};

use super::challenge::PER_CONNECTION;
use super::connection::{Handshaken, fed_mss, offered_mss};
use super::cookie::{Offer, Request};
use super::ports::Place;
use super::segment::{self, Segment};
use super::terms::Terms;
use super::timestamp::Timestamps;
use crate::ip::{Limiter, Packets};
use crate::observe::{Fate, Numbers, Ownership, Rule, SocketId, TcpState, Time};

/// How often a SYN-ACK is sent (Linux: tcp_synack_retries is 5, and the first).
const SYN_ACKS: u32 = 6;

/// The first wait for an answer; doubles each time (RFC 6298 §2.1).
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How many repeated SYNs are answered before the SYN-ACK is due again. A peer repeats its own about as often as we
/// do; whoever sends more makes us shout at somebody else.
const REPEATS: u32 = 3;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    pub(super) id: SocketId,
    pub(super) place: Place,
    pub(super) backlog: usize,
    /// Established connections that wait to be accepted.
    pub(super) waiting: usize,
    pub(super) descriptor: usize,
    /// Of the connections through it.
    pub(super) terms: Terms,
    /// Its SYN entries; each knows its place in here.
    pub(super) under_way: Vec<usize>,
}

impl Listener {
    pub(super) fn is_full(&self) -> bool {
        self.waiting >= self.backlog
    }
}

/// A SYN entry: all that is kept of a connection in SYN-RECEIVED.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) agreed: Handshaken,
    pub(super) listener: usize,
    pub(super) irs: TcpSeqNumber,
    pub(super) window: u16,
    pub(super) mss: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) sack: bool,
    /// If the SYN carried one.
    pub(super) timestamps: Option<Timestamps>,
    pub(super) checksum: u16,
    /// The window we announce: of the receive buffer that the connection will have.
    pub(super) receive_window: u16,
    /// SYN-ACKs sent when they were due.
    pub(super) tries: u32,
    /// SYN-ACKs sent because the SYN came again.
    pub(super) repeats: u32,
    /// The same, since one was due.
    repeats_since: u32,
    /// Answers to segments that do not fit (RFC 5961 §7).
    pub(super) challenges: Limiter,
    /// Its place among the listener's entries.
    pub(super) place: usize,
    /// SYNs received.
    pub(super) syns: u32,
    pub(super) resend_at: Time,
}

impl Handshake {
    pub(super) fn new(segment: &Segment<'_>, agreed: Handshaken, listener: usize, receive_window: u16) -> Handshake {
        Handshake {
            agreed,
            listener,
            irs: segment.repr.seq_number,
            window: segment.repr.window_len,
            mss: offered_mss(segment),
            window_scale: segment.repr.window_scale,
            sack: segment.repr.sack_permitted,
            timestamps: segment
                .repr
                .timestamp
                .map(|option| Timestamps::new(agreed.clock, option.tsval, agreed.created)),
            checksum: segment.checksum,
            receive_window,
            tries: 0,
            repeats: 0,
            repeats_since: 0,
            challenges: Limiter::new(PER_CONNECTION),
            place: 0,
            syns: 1,
            resend_at: Time::ZERO,
        }
    }

    /// What a cookie for it is bound to.
    pub(super) fn request(&self) -> Request {
        Request { local: self.agreed.local, remote: self.agreed.remote, irs: self.irs.0 as u32 }
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            local: self.agreed.isn.0 as u32,
            remote: self.irs.0 as u32,
            local_shift: 0,
            remote_shift: self.window_scale.unwrap_or(0),
        }
    }

    /// The entry as it would be, had it been kept: `segment` is the ACK that brings a cookie back.
    pub(super) fn from_cookie(
        segment: &Segment<'_>,
        agreed: Handshaken,
        listener: usize,
        receive_window: u16,
        (mss, offer): (u16, Option<Offer>),
    ) -> Handshake {
        let irs = TcpSeqNumber(segment.repr.seq_number.0.wrapping_sub(1));
        let (window_scale, sack) = offer.map_or((None, false), |offer| (offer.window_scale, offer.sack));
        let entry = Handshake::new(segment, agreed, listener, receive_window);
        Handshake { irs, mss, window_scale, sack, tries: 1, ..entry }
    }

    /// Agrees to no more than a cookie can hold.
    pub(super) fn with_cookie(self) -> Handshake {
        match self.timestamps {
            Some(_) => self,
            None => Handshake { window_scale: None, sack: false, ..self },
        }
    }

    /// The SYN-ACK with a cookie; it is sent once.
    pub(super) fn send_cookie(&self, now: Time, out: &mut Packets) {
        let mut repr = self.syn_ack(now);
        if let Some(timestamp) = &mut repr.timestamp {
            let offer = Offer { window_scale: self.window_scale, sack: self.sack };
            timestamp.tsval = offer.stamp(timestamp.tsval);
        }
        self.emit(&repr, Rule::TcpCookieSent, out);
    }

    /// The SYN came again: sends the SYN-ACK again, but not any number of times. The next one is due when it was
    /// before.
    pub(super) fn repeat_syn_ack(&mut self, now: Time, out: &mut Packets) -> Rule {
        self.syns += 1;
        if self.repeats_since == REPEATS {
            return Rule::TcpSynRepeated;
        }
        self.repeats_since += 1;
        self.repeats += 1;
        self.emit(&self.syn_ack(now), Rule::TcpSynRetransmit, out);
        Rule::TcpSynRetransmit
    }

    /// Sends the SYN-ACK, and says when the next one is due; `None`: the peer had its chances.
    pub(super) fn send_syn_ack(&mut self, now: Time, rule: Rule, out: &mut Packets) -> Option<Time> {
        if self.tries == SYN_ACKS {
            return None;
        }
        self.emit(&self.syn_ack(now), rule, out);
        self.repeats_since = 0;
        self.resend_at = now + FIRST_WAIT * (1 << self.tries);
        self.tries += 1;
        Some(self.resend_at)
    }

    fn syn_ack(&self, now: Time) -> TcpRepr<'static> {
        let Handshaken { local, remote, isn, link_mss, .. } = self.agreed;
        TcpRepr {
            control: TcpControl::Syn,
            seq_number: isn,
            ack_number: Some(self.irs + 1),
            window_len: self.receive_window,
            max_seg_size: Some(link_mss),
            window_scale: self.window_scale.map(|_| 0),
            sack_permitted: self.sack,
            timestamp: self.timestamps.map(|timestamps| timestamps.option(now)),
            ..segment::bare(local, remote)
        }
    }

    fn emit(&self, repr: &TcpRepr<'_>, rule: Rule, out: &mut Packets) {
        let fate = Fate { rule: Some(rule), numbers: Some(self.numbers()), ..Fate::of(self.owner()) };
        segment::send(self.agreed.local, self.agreed.remote, repr, self.agreed.header, fate, out);
    }

    /// Whether the peer's clock says that this is a stray (RFC 7323 §5.3).
    pub(super) fn is_stray(&self, segment: &Segment<'_>, now: Time) -> bool {
        match (&self.timestamps, segment.repr.timestamp) {
            (Some(timestamps), Some(option)) => timestamps.is_old(option.tsval, now),
            _ => false,
        }
    }

    /// Tells the peer that nothing will come of it.
    pub(super) fn send_reset(&self, rule: Option<Rule>, out: &mut Packets) {
        let Handshaken { local, remote, isn, header, .. } = self.agreed;
        let repr = TcpRepr {
            control: TcpControl::Rst,
            seq_number: isn + 1,
            ack_number: Some(self.irs + 1),
            ..segment::bare(local, remote)
        };
        let states = Some((TcpState::SynReceived, TcpState::Closed));
        let fate = Fate { rule, states, numbers: Some(self.numbers()), ..Fate::of(self.owner()) };
        segment::send(local, remote, &repr, header, fate, out);
    }

    pub(super) fn owner(&self) -> Ownership {
        Ownership::FourTuple { socket: self.agreed.id }
    }

    pub(super) fn fate(&self, rule: Option<Rule>) -> Fate {
        Fate {
            rule,
            states: Some((TcpState::SynReceived, TcpState::SynReceived)),
            numbers: Some(self.numbers()),
            ..Fate::of(self.owner())
        }
    }

    /// Our own ACK, for a segment that does not fit.
    pub(super) fn challenge(&self) -> TcpRepr<'static> {
        TcpRepr {
            seq_number: self.agreed.isn + 1,
            ack_number: Some(self.irs + 1),
            window_len: self.receive_window,
            ..segment::bare(self.agreed.local, self.agreed.remote)
        }
    }

    /// The SYN as smoltcp shall see it, when the handshake is replayed: `shift` is how it takes windows afterwards.
    /// Options are our business.
    pub(super) fn syn(&self, shift: u8) -> TcpRepr<'static> {
        TcpRepr {
            control: TcpControl::Syn,
            seq_number: self.irs,
            window_len: self.window,
            max_seg_size: Some(fed_mss(self.mss.min(self.agreed.link_mss), self.timestamps.is_some())),
            window_scale: Some(shift),
            ..segment::bare(self.agreed.remote, self.agreed.local)
        }
    }
}
