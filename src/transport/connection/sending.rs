use std::time::Duration;

use super::Connection;
use super::congestion::CongestionControl;
use crate::observe::{TcpState, Time, TimerKind};
use crate::transport::sequence::{is_after, span};

/// How a connection sends: how much may be on its way, and what it waits for. Sizes are bytes of payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sending {
    /// How the congestion window grows and shrinks.
    pub congestion_control: CongestionControl,
    /// How much may be on its way.
    pub congestion_window: usize,
    /// Below it the window grows by what is acknowledged (RFC 5681 §3.1); `None` before the first loss.
    pub slow_start_threshold: Option<usize>,
    /// What is on its way.
    pub on_its_way: usize,
    /// What the peer has behind a gap.
    pub arrived: usize,
    /// What is lost and waits to be sent again.
    pub lost: usize,
    /// What waits to be sent for the first time.
    pub unsent: usize,
    /// A full segment.
    pub segment: usize,
    /// The largest packet that the path carries, as far as that is known.
    pub path_mtu: usize,
    /// The smoothed round trip, its variance, and the least one (RFC 6298 §2); `None` before one was measured.
    pub round_trip: Option<[Duration; 3]>,
    /// How long an acknowledgment may take.
    pub timeout: Duration,
    /// How often in a row it took longer.
    pub backoff: u32,
    /// When something was sent last.
    pub last_sent: Time,
    /// What happens next if the peer is silent, and when.
    pub timer: Option<(TimerKind, Time)>,
    /// Whether small segments wait (RFC 9293 §3.7.4).
    pub nagle: bool,
    /// Whether segments carry timestamps (RFC 7323).
    pub timestamps: bool,
    /// Why nothing more is sent at present.
    pub hold: Hold,
}

/// Why a connection does not send more than it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Hold {
    /// It does not hold back: what is there leaves in the next round.
    #[default]
    Nothing,
    /// The handshake is not complete.
    Handshake,
    /// Everything that the program has written has left: it is the program that does not send.
    Application,
    /// The program has said that it will send no more, and everything has left.
    Finished,
    /// The peer's window has no room.
    Window,
    /// The congestion window has no room.
    Congestion,
    /// What was lost is sent first.
    Recovery,
    /// Less than a full segment waits for the acknowledgment of the one before (Nagle's algorithm).
    Nagle,
}

impl Hold {
    /// All of them, with their names.
    pub const ALL: [(Hold, &'static str); 8] = [
        (Hold::Nothing, "nothing"),
        (Hold::Handshake, "handshake"),
        (Hold::Application, "application"),
        (Hold::Finished, "finished"),
        (Hold::Window, "window"),
        (Hold::Congestion, "congestion"),
        (Hold::Recovery, "recovery"),
        (Hold::Nagle, "nagle"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Hold::ALL.into_iter().find(|(hold, _)| *hold == self).map_or("", |(_, name)| name)
    }
}

impl Connection {
    /// How it sends.
    pub(super) fn sending(&self) -> Sending {
        let recovery = &self.recovery;
        // Of what is outstanding, a FIN is no byte of the queue.
        let outstanding = span(recovery.una(), recovery.nxt());
        let unsent = self.socket().send_queue().saturating_sub(outstanding);
        let headers = if self.agreed.remote.is_ipv4() { 40 } else { 60 };
        let sending = Sending {
            unsent,
            path_mtu: usize::from(self.agreed.link_mss.min(self.path_mss)) + headers,
            timer: self.timer(),
            nagle: self.socket().nagle_enabled(),
            timestamps: self.timestamps.is_some(),
            ..recovery.sending()
        };
        Sending { hold: self.hold(&sending, outstanding), ..sending }
    }

    fn hold(&self, sending: &Sending, outstanding: usize) -> Hold {
        use TcpState::{CloseWait, Closed, Established, SynReceived, SynSent};
        let state = self.state();
        if matches!(state, SynSent | SynReceived) {
            return Hold::Handshake;
        }
        if sending.unsent == 0 {
            return match state {
                Established | CloseWait => Hold::Application,
                Closed => Hold::Nothing,
                _ => Hold::Finished,
            };
        }
        let (nxt, edge) = (self.recovery.nxt(), self.recovery.edge());
        let room = if is_after(edge, nxt) { span(nxt, edge) } else { 0 };
        if sending.lost > 0 {
            return Hold::Recovery;
        }
        if outstanding > 0 && sending.congestion_window.saturating_sub(sending.on_its_way) < sending.segment {
            return Hold::Congestion;
        }
        // A sender waits for room for a full segment, too (RFC 9293 §3.8.6.2.1).
        if room == 0 || (outstanding > 0 && room < sending.unsent.min(sending.segment)) {
            return Hold::Window;
        }
        if outstanding > 0 && sending.nagle && sending.unsent < sending.segment {
            return Hold::Nagle;
        }
        Hold::Nothing
    }

    /// What happens next if the peer is silent, and when.
    fn timer(&self) -> Option<(TimerKind, Time)> {
        if self.ended.is_some() {
            return None;
        }
        if self.is_synchronized()
            && let Some(timer) = self.recovery.timer()
        {
            return Some(timer);
        }
        let waiting = self.waiting();
        let kind = if waiting.outstanding { TimerKind::GiveUp } else { TimerKind::Keepalive };
        self.patience.next(waiting).map(|at| (kind, at))
    }
}
