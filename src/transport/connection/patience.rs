//! How long a connection waits for a silent peer: retransmissions, keepalives, the user timeout.
//!
//! smoltcp's own timeout counts idle time as well, and its keepalive never gives up; so both are off, and this decides.

use std::time::Duration;

use crate::observe::{TcpState, Time};

/// RFC 9293 §3.8.3: R2 is at least 100 s; Linux's 15 retries (tcp_retries2) come to this.
const DATA: Duration = Duration::from_secs(924);

/// RFC 9293 §3.8.3 asks for 3 minutes; Linux's 6 retries (tcp_syn_retries) come to 127 s, and people are used to that.
const SYN: Duration = Duration::from_secs(127);

/// Nobody waits for the outcome any more (Linux: tcp_orphan_retries).
const ORPHAN: Duration = Duration::from_secs(100);

/// SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT (RFC 9293 §3.8.4).
///
/// ```
/// use tapsock::transport::Keepalive;
/// assert_eq!(Keepalive::default().idle.as_secs(), 7200);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keepalive {
    /// How long the connection must be idle before the peer is asked whether it is still there.
    pub idle: Duration,
    /// How long to wait for an answer before asking again.
    pub interval: Duration,
    /// How often to ask before the connection is given up.
    pub count: u32,
}

impl Default for Keepalive {
    /// Linux's: two hours, 75 s, 9 times.
    fn default() -> Keepalive {
        Keepalive { idle: Duration::from_secs(7200), interval: Duration::from_secs(75), count: 9 }
    }
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Due {
    /// Ask whether the peer is still there.
    Probe,
    /// It is not.
    GiveUp,
}

/// What the connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) struct Waiting {
    pub(in crate::transport) state: TcpState,
    /// Something was sent, or stands in the queue, that the peer has not acknowledged.
    pub(in crate::transport) outstanding: bool,
    /// The peer's window is closed.
    pub(in crate::transport) shut_out: bool,
    /// No program holds the connection.
    pub(in crate::transport) orphaned: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(in crate::transport) struct Patience {
    pub(in crate::transport) keepalive: Option<Keepalive>,
    /// TCP_USER_TIMEOUT (RFC 5482).
    pub(in crate::transport) user_timeout: Option<Duration>,
    /// When the peer was heard last or, if that is later, when something began to be outstanding.
    since: Time,
    /// When it last acknowledged something new or, if that is later, something began to be outstanding.
    progress: Time,
    was_outstanding: bool,
    was_shut_out: bool,
    /// Keepalives since then.
    probes: u32,
}

impl Patience {
    pub(super) fn new(now: Time) -> Patience {
        Patience { since: now, progress: now, ..Patience::default() }
    }

    /// An acceptable segment came. One that acknowledges nothing new does not help a connection that nobody holds: a
    /// peer that keeps its window closed for ever must not keep it for ever (RFC 9293 §3.8.6.1 asks for patience only
    /// on a program's behalf).
    pub(super) fn heard(&mut self, now: Time, waiting: Waiting, is_progress: bool) {
        if is_progress {
            self.progress = now;
        }
        if is_progress || !waiting.orphaned {
            self.since = now;
            self.probes = 0;
        }
    }

    /// Whether something is due, and when to ask next.
    pub(super) fn due(&mut self, now: Time, waiting: Waiting) -> (Option<Due>, Option<Time>) {
        if waiting.outstanding && !self.was_outstanding {
            (self.since, self.progress) = (now, now);
            self.probes = 0;
        }
        self.was_outstanding = waiting.outstanding;
        // What was held back by the window gets its own time, once it may leave.
        if self.was_shut_out && !waiting.shut_out && !waiting.orphaned {
            self.progress = now;
        }
        self.was_shut_out = waiting.shut_out;
        let Some(at) = self.next(waiting) else { return (None, None) };
        if now < at {
            return (None, Some(at));
        }
        let is_enough = match (self.keepalive, self.user_timeout) {
            _ if waiting.outstanding => true,
            // As Linux: the user timeout takes the place of the count.
            (Some(_), Some(limit)) => self.probes > 0 && now - self.since >= limit,
            (Some(keepalive), None) => self.probes >= keepalive.count,
            (None, _) => false,
        };
        if is_enough {
            return (Some(Due::GiveUp), None);
        }
        self.probes += 1;
        (Some(Due::Probe), self.next(waiting))
    }

    /// When something is due, if nothing is heard before.
    pub(super) fn next(&self, waiting: Waiting) -> Option<Time> {
        if waiting.outstanding {
            let limit = match waiting.state {
                TcpState::SynSent | TcpState::SynReceived => SYN,
                _ if waiting.orphaned => ORPHAN,
                _ => DATA,
            };
            return Some(match self.user_timeout {
                Some(timeout) if waiting.orphaned => self.progress + timeout.min(limit),
                // tcp(7): a closed window is no excuse.
                Some(timeout) => self.progress + timeout,
                // RFC 9293 §3.8.6.1: a peer may keep its window closed for as long as it answers.
                None if waiting.shut_out && !waiting.orphaned => self.since + limit,
                None => self.progress + limit,
            });
        }
        let keepalive = self.keepalive?;
        let is_idle = matches!(waiting.state, TcpState::Established | TcpState::CloseWait | TcpState::FinWait2)
            && !waiting.orphaned;
        is_idle.then(|| self.since + keepalive.idle + keepalive.interval * self.probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Waiting =
        Waiting { state: TcpState::Established, outstanding: false, shut_out: false, orphaned: false };
    const SENDING: Waiting = Waiting { outstanding: true, ..IDLE };

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn an_idle_connection_waits_for_ever() {
        assert_eq!(Patience::new(at(0)).due(at(1_000_000), IDLE), (None, None));
        let mut patience = Patience { user_timeout: Some(Duration::from_secs(5)), ..Patience::new(at(0)) };
        assert_eq!(patience.due(at(1_000_000), IDLE), (None, None));
    }

    #[test]
    fn the_clock_begins_when_something_is_outstanding_and_anew_when_the_peer_acknowledges_some_of_it() {
        let mut patience = Patience { user_timeout: Some(Duration::from_secs(5)), ..Patience::new(at(0)) };
        assert_eq!(patience.due(at(100), SENDING), (None, Some(at(105))));
        patience.heard(at(104), SENDING, true);
        assert_eq!(patience.due(at(108), SENDING), (None, Some(at(109))));
        assert_eq!(patience.due(at(109), SENDING).0, Some(Due::GiveUp));
    }

    /// tcp(7), TCP_USER_TIMEOUT: for how long "transmitted data may remain unacknowledged, or buffered data may remain
    /// untransmitted (due to zero window size)".
    #[test]
    fn a_peer_that_talks_and_takes_nothing_does_not_put_the_user_timeout_off() {
        for shut_out in [false, true] {
            let waiting = Waiting { shut_out, ..SENDING };
            let mut patience = Patience { user_timeout: Some(Duration::from_secs(20)), ..Patience::new(at(0)) };
            for second in 0..20 {
                assert_eq!(patience.due(at(second), waiting).0, None, "{second}");
                patience.heard(at(second), waiting, false);
            }
            assert_eq!(patience.due(at(20), waiting).0, Some(Due::GiveUp));
        }
    }

    #[test]
    fn a_closed_window_has_all_the_time_that_its_peer_answers_and_what_leaves_when_it_opens_has_its_own() {
        let shut_out = Waiting { shut_out: true, ..SENDING };
        let mut patience = Patience::new(at(0));
        for second in 0..5000 {
            assert_eq!(patience.due(at(second), shut_out).0, None, "{second}");
            patience.heard(at(second), shut_out, false);
        }
        for second in 5000..5924 {
            assert_eq!(patience.due(at(second), SENDING).0, None, "{second}");
            patience.heard(at(second), SENDING, false);
        }
        assert_eq!(patience.due(at(5924), SENDING).0, Some(Due::GiveUp), "a peer that talks and takes nothing");
    }

    #[test]
    fn the_user_timeout_of_an_orphan_counts_if_it_is_the_shorter_one() {
        let orphan = Waiting { orphaned: true, ..SENDING };
        for (timeout, end) in [(30, 30), (3000, 100)] {
            let mut patience = Patience { user_timeout: Some(Duration::from_secs(timeout)), ..Patience::new(at(0)) };
            assert_eq!(patience.due(at(0), orphan), (None, Some(at(end))));
        }
    }

    #[test]
    fn keepalives_are_sent_by_interval_and_counted() {
        let keepalive = Keepalive { idle: Duration::from_secs(10), interval: Duration::from_secs(2), count: 3 };
        let mut patience = Patience { keepalive: Some(keepalive), ..Patience::new(at(0)) };
        for (due, next) in [(10, 12), (12, 14), (14, 16)] {
            assert_eq!(patience.due(at(due - 1), IDLE), (None, Some(at(due))));
            assert_eq!(patience.due(at(due), IDLE), (Some(Due::Probe), Some(at(next))));
        }
        assert_eq!(patience.due(at(16), IDLE), (Some(Due::GiveUp), None));
        patience.heard(at(16), IDLE, false);
        assert_eq!(patience.due(at(16), IDLE), (None, Some(at(26))));
    }

    #[test]
    fn an_orphan_is_given_up_although_its_peer_answers_without_taking_anything() {
        let orphan = Waiting { orphaned: true, ..SENDING };
        let mut patience = Patience::new(at(0));
        for second in 0..100 {
            assert_eq!(patience.due(at(second), orphan).0, None, "{second}");
            patience.heard(at(second), orphan, false);
        }
        assert_eq!(patience.due(at(100), orphan).0, Some(Due::GiveUp));
    }
}
