//! How smoltcp is made to give out again what was lost.
//!
//! smoltcp can send two things again: its first segment, after three duplicate ACKs, and everything, after its
//! retransmission timer. The second is made to happen at will, by letting it look at a clock that is far
//! ahead; of what it then gives out, the outlet lets pass what is due and drops the rest. Its congestion control is
//! off: how much leaves is decided by `recovery`, through the window that smoltcp is told.

use std::time::Duration;

use smoltcp::iface::Interface;

use super::Connection;
use super::recovery::Due;
use crate::ip::Packets;
use crate::observe::{Rule, TcpState, Time};
use crate::transport::sequence::{add, is_after};

/// Later than any retransmission timer of smoltcp's.
const AHEAD: Duration = Duration::from_secs(120);

/// A full send buffer leaves in so many super-segments, and in some more if the peer's window is narrow.
const MOST_PACKETS: usize = 64;

impl Connection {
    /// Sends what was lost.
    pub(super) fn resend(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) {
        if let Some(due) = self.recovery.due() {
            self.send_again(now, interface, due, out);
        }
    }

    fn send_again(&mut self, now: Time, interface: &mut Interface, due: Due, out: &mut Packets) {
        let Due { ranges, rule } = due;
        self.tell_window(now, interface, out);
        if let Some(&(_, end)) = ranges.last() {
            self.tell_window_until(now, end, interface, out);
        }
        let before = self.summary.retransmitted;
        let nagle = self.socket().nagle_enabled();
        self.socket_mut().set_nagle_enabled(false);
        let end = self.recovery.nxt();
        self.is_rewound = true;
        let mut plan = self.plan(now, ranges, Some(rule));
        for round in 0..MOST_PACKETS {
            let reached = plan.reached;
            let moment = if round == 0 { self.far_ahead(now) } else { now };
            self.run(&[], self.fate_unshown(), (now, moment), Some(&mut plan), out, interface);
            if plan.reached == reached || plan.reached.is_some_and(|reached| !is_after(end, reached)) {
                break;
            }
        }
        if self.summary.retransmitted == before && self.state() != TcpState::LastAck {
            self.ask_for_head(now, interface, out);
            self.run(&[], self.fate_unshown(), (now, now), Some(&mut plan), out, interface);
        }
        self.is_rewound = plan.reached.is_some();
        self.note_reached(&plan);
        self.socket_mut().set_nagle_enabled(nagle);
    }

    /// A moment at which any timer of smoltcp's has gone off, those included that it has set at such a moment before.
    fn far_ahead(&mut self, now: Time) -> Time {
        self.ahead = self.ahead.max(now) + AHEAD;
        self.ahead
    }

    /// Sends one byte beyond the closed window of the peer: the first that is on its way, if the peer has taken back
    /// what it allowed, or if only a FIN is.
    pub(super) fn probe_window(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) {
        if self.recovery.is_outstanding() {
            let una = self.recovery.una();
            let due = Due { ranges: vec![(una, add(una, 1))], rule: Rule::TcpProbeZeroWindow };
            return self.send_again(now, interface, due, out);
        }
        let before = out.len();
        for _ in 0..2 {
            let mut plan = self.plan(now, Vec::new(), None);
            let moment = self.far_ahead(now);
            self.run(&[], self.fate_unshown(), (now, moment), Some(&mut plan), out, interface);
            if out.len() > before {
                break;
            }
            // Its timer did not run; now it runs for the window.
            if self.state() != TcpState::LastAck {
                self.feed_ack(now, interface, self.recovery.una(), out);
            }
        }
    }

    /// Three duplicate ACKs. Before them smoltcp forgets how many it has counted, because the window changes.
    fn ask_for_head(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) {
        let una = self.recovery.una();
        let field = (self.believed >> self.shift) as u16;
        self.feed_window(now, interface, una, field.saturating_sub(1), out);
        for _ in 0..4 {
            self.feed_window(now, interface, una, field, out);
        }
    }
}
