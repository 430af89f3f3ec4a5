//! How much may be on its way: CUBIC (RFC 9438) or Reno (RFC 5681), with the initial window of RFC 6928.

use std::time::Duration;

use crate::observe::Time;

const BETA: f64 = 0.7;
const C: f64 = 0.4;
/// RFC 9438 §4.3.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);

/// TCP_CONGESTION: how the window grows and shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum CongestionControl {
    /// `cubic`: back to where it was in a time that does not depend on the round trip (RFC 9438).
    #[default]
    Cubic,
    /// `reno`: one segment more in each round trip, and half of it after a loss (RFC 5681).
    Reno,
}

impl CongestionControl {
    /// All of them.
    pub const ALL: [CongestionControl; 2] = [CongestionControl::Cubic, CongestionControl::Reno];

    /// What Linux calls it.
    ///
    /// ```
    /// use tapsock::socket::CongestionControl;
    /// assert_eq!(CongestionControl::default().name(), "cubic");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            CongestionControl::Cubic => "cubic",
            CongestionControl::Reno => "reno",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<CongestionControl> {
        CongestionControl::ALL.into_iter().find(|control| control.name() == name)
    }

    /// What is left of the window after a loss.
    fn beta(self) -> f64 {
        match self {
            CongestionControl::Cubic => BETA,
            CongestionControl::Reno => 0.5,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Congestion {
    control: CongestionControl,
    mss: usize,
    window: usize,
    threshold: usize,
    /// The window before the last reduction, in bytes.
    plateau: f64,
    /// What RFC 5681 would have made of it (RFC 9438 §4.3).
    friendly: f64,
    /// When this stage of congestion avoidance began.
    epoch: Option<Time>,
    /// Seconds from there to the plateau.
    k: f64,
    /// Reno: bytes acknowledged since the window grew last (RFC 3465 §2.1).
    acknowledged: usize,
}

impl Congestion {
    pub(super) fn new(mss: usize, control: CongestionControl) -> Congestion {
        Congestion {
            control,
            mss,
            window: initial(mss),
            threshold: usize::MAX,
            plateau: 0.0,
            friendly: 0.0,
            epoch: None,
            k: 0.0,
            acknowledged: 0,
        }
    }

    pub(super) fn control(&self) -> CongestionControl {
        self.control
    }

    /// The window stays, and begins a stage of the other kind.
    pub(super) fn set_control(&mut self, control: CongestionControl) {
        if self.control != control {
            self.control = control;
            self.plateau = 0.0;
            self.epoch = None;
            self.acknowledged = 0;
        }
    }

    /// The congestion window, in bytes.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// New data was acknowledged, and the window had been used.
    pub(super) fn on_ack(&mut self, now: Time, acknowledged: usize, rtt: Duration) {
        if self.window < self.threshold {
            // RFC 5681 §3.1 with the limit of RFC 3465: an ACK of many segments counts for two.
            self.window = self.window.saturating_add(acknowledged.min(2 * self.mss));
            return;
        }
        match self.control {
            CongestionControl::Cubic => self.grow_cubic(now, acknowledged, rtt),
            CongestionControl::Reno => self.grow_reno(acknowledged),
        }
    }

    /// RFC 5681 §3.1, by bytes: one segment more for each window that was acknowledged.
    fn grow_reno(&mut self, acknowledged: usize) {
        self.acknowledged = self.acknowledged.saturating_add(acknowledged);
        if self.acknowledged >= self.window {
            self.acknowledged -= self.window;
            self.window = self.window.saturating_add(self.mss);
        }
    }

    fn grow_cubic(&mut self, now: Time, acknowledged: usize, rtt: Duration) {
        let mss = self.mss as f64;
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => {
                // Without a reduction before: the curve begins at its plateau (RFC 9438 §4.8).
                if self.plateau <= self.window as f64 {
                    self.plateau = self.window as f64;
                    self.k = 0.0;
                } else {
                    self.k = ((self.plateau - self.window as f64) / mss / C).cbrt();
                }
                self.friendly = self.window as f64;
                self.epoch = Some(now);
                now
            }
        };
        let window = self.window as f64;
        self.friendly += ALPHA * mss * acknowledged.min(2 * self.mss) as f64 / window;
        let after = (now - epoch + rtt).as_secs_f64() - self.k;
        let target = (C * after * after * after * mss + self.plateau).clamp(window, 1.5 * window);
        let grown = window + (target - window) * acknowledged as f64 / window;
        self.window = grown.max(self.friendly) as usize;
    }

    /// A loss: once for each round of losses.
    pub(super) fn on_loss(&mut self, in_flight: usize) {
        self.reduce(in_flight);
        self.window = self.threshold;
    }

    /// The retransmission timer went off; `first`: for this data for the first time (RFC 5681 §3.1).
    pub(super) fn on_timeout(&mut self, in_flight: usize, first: bool) {
        if first {
            self.reduce(in_flight);
        }
        self.window = self.mss;
    }

    /// The losses were none: what was taken away is given back (RFC 9438 §4.9.1).
    pub(super) fn restore(&mut self, before: Congestion) {
        self.window = self.window.max(before.window);
        self.threshold = before.threshold;
        self.plateau = before.plateau;
        self.epoch = None;
    }

    /// Nothing was sent for longer than a timeout: what was known of the path is old (RFC 5681 §4.1).
    pub(super) fn on_idle(&mut self) {
        self.window = self.window.min(initial(self.mss));
        self.epoch = None;
    }

    fn reduce(&mut self, in_flight: usize) {
        let window = self.window as f64;
        // RFC 9438 §4.7: somebody else wants a share.
        self.plateau = if window < self.plateau { window * (1.0 + BETA) / 2.0 } else { window };
        self.threshold = ((in_flight as f64 * self.control.beta()) as usize).max(2 * self.mss);
        self.epoch = None;
        self.acknowledged = 0;
    }
}

/// RFC 6928 §2.
fn initial(mss: usize) -> usize {
    (10 * mss).min((2 * mss).max(14_600))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: usize = 1460;
    const RTT: Duration = Duration::from_millis(10);

    #[test]
    fn the_window_begins_at_ten_segments_and_doubles_in_a_round_trip() {
        let mut congestion = Congestion::new(MSS, CongestionControl::Cubic);
        assert_eq!(congestion.window(), 14_600);
        for _ in 0..10 {
            congestion.on_ack(Time::ZERO, MSS, RTT);
        }
        assert_eq!(congestion.window(), 29_200);
    }

    #[test]
    fn a_loss_takes_three_tenths_and_the_window_grows_back_to_its_plateau() {
        let mut congestion = Congestion::new(MSS, CongestionControl::Cubic);
        congestion.window = 100 * MSS;
        congestion.on_loss(100 * MSS);
        assert_eq!(congestion.window(), 70 * MSS);
        let mut now = Time::ZERO;
        for _ in 0..400 {
            now = now + RTT;
            for _ in 0..congestion.window() / MSS {
                congestion.on_ack(now, MSS, RTT);
            }
        }
        assert!(congestion.window() >= 99 * MSS, "{}", congestion.window());
    }

    #[test]
    fn reno_halves_the_window_and_adds_a_segment_in_each_round_trip() {
        let mut congestion = Congestion::new(MSS, CongestionControl::Reno);
        congestion.window = 100 * MSS;
        congestion.on_loss(100 * MSS);
        assert_eq!(congestion.window(), 50 * MSS);
        for round in 1..=10 {
            for _ in 0..congestion.window() / MSS {
                congestion.on_ack(Time::ZERO, MSS, RTT);
            }
            assert_eq!(congestion.window(), (50 + round) * MSS);
        }
        congestion.on_timeout(60 * MSS, true);
        assert_eq!((congestion.window(), congestion.threshold), (MSS, 30 * MSS));
    }

    #[test]
    fn who_changes_the_control_keeps_the_window() {
        let mut congestion = Congestion::new(MSS, CongestionControl::Cubic);
        congestion.on_loss(100 * MSS);
        congestion.set_control(CongestionControl::Reno);
        assert_eq!((congestion.window(), congestion.control()), (70 * MSS, CongestionControl::Reno));
        for control in CongestionControl::ALL {
            assert_eq!(CongestionControl::of_name(control.name()), Some(control));
        }
        assert_eq!(CongestionControl::of_name("bbr"), None);
    }

    #[test]
    fn a_timeout_leaves_one_segment_and_a_second_one_keeps_the_threshold() {
        let mut congestion = Congestion::new(MSS, CongestionControl::Cubic);
        congestion.on_timeout(20 * MSS, true);
        assert_eq!((congestion.window(), congestion.threshold), (MSS, 14 * MSS));
        congestion.on_timeout(MSS, false);
        assert_eq!(congestion.threshold, 14 * MSS);
    }
}
