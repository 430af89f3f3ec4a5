//! How a connection ends, and what its program is told.

use std::time::Duration;

use smoltcp::wire::{TcpRepr, TcpSeqNumber};

use super::shadow::fed_mss;
use super::{Connection, Due, Waiting};
use crate::error::Error;
use crate::observe::{Close, TcpState, Time, TimerKind};
use crate::transport::remnant::Remnant;

impl Connection {
    /// It is over; the first reason counts.
    pub(in crate::transport) fn end(&mut self, how: Close, told: Error) {
        if self.ended.is_none() {
            self.ended = Some(how);
            self.reason = Some(told);
        }
    }

    pub(super) fn waiting(&self) -> Waiting {
        let state = self.state();
        let is_asking = matches!(state, TcpState::SynSent | TcpState::SynReceived);
        Waiting {
            state,
            outstanding: is_asking || self.snd_una() != self.snd_nxt() || self.socket().send_queue() > 0,
            shut_out: !is_asking && self.recovery.is_closed(),
            orphaned: self.descriptor.is_none() || self.is_abandoned,
        }
    }

    /// Whether its patience with a silent peer is at an end, or a keepalive is due; and when to ask again.
    pub(in crate::transport) fn patience_due(&mut self, now: Time) -> (Option<Due>, Option<Time>) {
        let waiting = self.waiting();
        self.patience.due(now, waiting)
    }

    /// Takes the timer that went off last.
    pub(in crate::transport) fn take_fired(&mut self) -> Option<TimerKind> {
        self.recovery.take_fired()
    }

    /// The peer has been silent for too long.
    pub(in crate::transport) fn give_up(&mut self) {
        let told = self.soft_error.unwrap_or(Error::TimedOut);
        self.end(Close::TimedOut, told);
        self.abort();
    }

    /// RFC 9293 §3.8.4: a segment that the peer has long had, which it must answer.
    pub(in crate::transport) fn keepalive(&mut self, now: Time) -> TcpRepr<'static> {
        let ack = self.challenge(now);
        TcpRepr { seq_number: TcpSeqNumber(ack.seq_number.0.wrapping_sub(1)), ..ack }
    }

    /// Whether its program has let go with SO_LINGER at zero: everything is discarded.
    pub fn is_abortive(&self) -> bool {
        self.linger == Some(Duration::ZERO)
    }

    /// Its program is gone, and has left something to be sent.
    pub fn abandon(&mut self) {
        self.is_abandoned = true;
    }

    /// Whether everything that its program wrote, and the FIN behind it, has arrived; or never will.
    pub fn is_sending_over(&self) -> bool {
        self.ended.is_some() || matches!(self.state(), TcpState::FinWait2 | TcpState::TimeWait | TcpState::Closed)
    }

    /// Whether a segment that begins at `sequence` is on its way: sent, and not acknowledged.
    pub(in crate::transport) fn is_outstanding(&self, sequence: u32) -> bool {
        let from_una = sequence.wrapping_sub(self.snd_una().0 as u32);
        from_una < self.snd_nxt().0.wrapping_sub(self.snd_una().0) as u32
    }

    /// What must be remembered of it once no program holds it and its FIN is acknowledged.
    pub(in crate::transport) fn remnant(&self) -> Option<Remnant> {
        Some(Remnant {
            id: self.agreed.id,
            local: self.agreed.local,
            remote: self.agreed.remote,
            state: self.state(),
            numbers: self.numbers(),
            snd_nxt: self.snd_nxt(),
            rcv_nxt: self.rcv_nxt()?,
            window: self.receive_window(),
            header: self.agreed.header,
            sharing: self.sharing,
            timestamps: self.timestamps,
            was_joined: false,
            expires: Time::ZERO,
        })
    }

    /// Whether our last segment acknowledged everything that has come.
    pub(in crate::transport) fn has_acknowledged(&self) -> bool {
        self.advertised.map(|(ack, _)| ack) == self.rcv_nxt()
    }

    /// The path carries segments of `mss` payload bytes at most: what is on its way will not arrive, and is sent again
    /// at once, because that is nobody's congestion (RFC 1191 §6.5).
    pub(in crate::transport) fn narrow(&mut self, mss: u16) {
        self.path_mss = mss;
        let mss = fed_mss(self.send_mss(), self.timestamps.is_some());
        self.recovery.narrow(usize::from(mss));
    }

    /// An acceptable segment came: the peer is there. `is_progress`: it acknowledged something new.
    pub(in crate::transport) fn note_heard(&mut self, now: Time, is_progress: bool) {
        let waiting = self.waiting();
        self.patience.heard(now, waiting, is_progress);
    }
}
