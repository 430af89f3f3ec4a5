//! What is noted of segments: what they mean for our own numbers, and how the connection ended.

use super::Connection;
use crate::error::Error;
use crate::observe::{Close, TcpState, Time};
use crate::transport::medium::{Kind, Plan, Sent};
use crate::transport::segment::Segment;
use crate::transport::sequence::{add, is_after, span};

impl Connection {
    /// Whether smoltcp has come back to where it was before it went back.
    pub(super) fn note_reached(&mut self, plan: &Plan) {
        if plan.reached.is_some_and(|reached| !is_after(self.recovery.nxt(), reached)) {
            self.is_rewound = false;
        }
    }

    pub(super) fn note_sent(&mut self, sent: Sent, now: Time) {
        let length = sent.payload + usize::from(sent.syn) + usize::from(sent.fin);
        let end = add(sent.seq, length);
        let segments = sent.payload.div_ceil(usize::from(self.send_mss().max(1))).max(1) as u64;
        self.summary.packets_out += segments;
        if sent.syn {
            self.summary.retransmitted += u64::from(self.has_sent_syn);
            self.has_sent_syn = sent.seq == self.agreed.isn;
        } else if length > 0 && !sent.rst {
            match sent.kind {
                Kind::New if is_after(end, self.recovery.nxt()) => {
                    self.recovery.on_sent(self.recovery.nxt(), end, now);
                }
                Kind::WindowProbe => self.recovery.on_window_probe(end),
                Kind::New | Kind::Again => {
                    self.recovery.on_sent_again(sent.seq, end, now);
                    self.summary.retransmitted += segments;
                }
            }
        }
        // smoltcp does not take note of the window that it advertises in a probe: what lies beyond the one before, it
        // would cut off.
        if let (Some(ack), false) = (sent.ack, sent.rst || sent.kind == Kind::WindowProbe) {
            self.advertised = Some((ack, u32::from(sent.window)));
        }
    }

    /// Takes note of what a segment changed: `before` is the state before it was fed.
    pub(in crate::transport) fn note_received(&mut self, segment: &Segment<'_>, before: TcpState) {
        self.peer.window = span(self.recovery.una(), self.recovery.edge()) as u32;
        match (before, self.state()) {
            (TcpState::Established | TcpState::SynReceived, TcpState::CloseWait) => {
                self.closer.get_or_insert(Close::ByPeer);
            }
            (TcpState::SynSent, TcpState::Closed) if segment.is_rst() => {
                self.ended.get_or_insert(Close::Refused);
            }
            // LAST-ACK ends with an ACK, and a RST that comes then takes nothing away.
            (TcpState::LastAck | TcpState::Closing | TcpState::TimeWait, TcpState::Closed) => {
                self.ended.get_or_insert(self.closer.unwrap_or(Close::ByPeer));
            }
            (_, TcpState::Closed) if segment.is_rst() => {
                self.ended.get_or_insert(Close::Reset);
            }
            _ => {}
        }
    }

    /// Looks whether the connection is over, and how it ended.
    pub(in crate::transport) fn settle(&mut self) {
        match self.state() {
            // Both directions are done; what is left is to wait for stray segments.
            TcpState::TimeWait => {
                self.ended.get_or_insert(self.closer.unwrap_or(Close::ByUs));
            }
            // Neither an orderly end nor a RST has been noted: smoltcp's own timer gave up.
            TcpState::Closed => {
                let told = self.soft_error.unwrap_or(Error::TimedOut);
                self.end(Close::TimedOut, told);
            }
            _ => {}
        }
    }
}
