//! How a connection ends, and what its program is told.

use smoltcp::wire::TcpSeqNumber;

use super::Connection;
use crate::error::Error;
use crate::observe::{Close, Time};
use crate::transport::remnant::Remnant;
use crate::transport::segment::Segment;

impl Connection {
    /// It is over; the first reason counts.
    pub(in crate::transport) fn end(&mut self, how: Close, told: Error) {
        if self.ended.is_none() {
            self.ended = Some(how);
            self.reason = Some(told);
        }
    }

    /// Whether a segment that begins at `sequence` is on its way: sent, and not acknowledged.
    pub(in crate::transport) fn is_outstanding(&self, sequence: u32) -> bool {
        let from_una = sequence.wrapping_sub(self.snd_una.0 as u32);
        from_una < self.snd_nxt.0.wrapping_sub(self.snd_una.0) as u32
    }

    /// What must be remembered of it once no program holds it and its FIN is acknowledged.
    pub(in crate::transport) fn remnant(&self) -> Option<Remnant> {
        Some(Remnant {
            id: self.agreed.id,
            local: self.agreed.local,
            remote: self.agreed.remote,
            state: self.state(),
            numbers: self.numbers(),
            snd_nxt: self.snd_nxt,
            rcv_nxt: self.rcv_nxt()?,
            window: self.receive_window(),
            timestamps: None,
            expires: Time::ZERO,
        })
    }

    /// Whether our last segment acknowledged everything that has come.
    pub(in crate::transport) fn has_acknowledged(&self) -> bool {
        self.advertised.map(|(ack, _)| ack) == self.rcv_nxt()
    }

    /// The path carries segments of `mss` payload bytes at most.
    pub(in crate::transport) fn narrow(&mut self, mss: u16) {
        self.path_mss = mss;
    }

    /// The peer has received everything before the segment's acknowledgment: whatever an ICMP error said has passed.
    pub(super) fn note_acknowledged(&mut self, segment: &Segment<'_>) {
        let Some(ack) = segment.repr.ack_number else { return };
        let TcpSeqNumber(advance) = TcpSeqNumber(ack.0.wrapping_sub(self.snd_una.0));
        if advance > 0 && ack <= self.snd_nxt {
            self.snd_una = ack;
            self.soft_error = None;
        }
    }
}
