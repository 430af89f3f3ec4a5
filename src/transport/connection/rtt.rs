//! Round-trip times and the retransmission timeout (RFC 6298), in microseconds.

use std::time::Duration;

/// RFC 6298 §2.1: the timeout before anything was measured.
const FIRST: Duration = Duration::from_secs(1);

/// The least one afterwards. RFC 6298 §2.4 asks for a second, because clocks were coarse; Linux waits as long as this.
const LEAST: Duration = Duration::from_millis(200);

/// RFC 6298 §2.5.
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rtt {
    measured: Option<Measured>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    smoothed: Duration,
    variance: Duration,
    least: Duration,
    /// Without a timeout before it. It is asked for many times before there is another sample.
    timeout: Duration,
}

impl Measured {
    fn new(smoothed: Duration, variance: Duration, least: Duration) -> Measured {
        Measured { smoothed, variance, least, timeout: (smoothed + variance * 4).clamp(LEAST, LONGEST) }
    }
}

impl Rtt {
    /// RFC 6298 §2.2, §2.3.
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.measured = Some(match self.measured {
            None => Measured::new(rtt, rtt / 2, rtt),
            Some(Measured { smoothed, variance, least, .. }) => {
                let variance = (variance * 3 + smoothed.abs_diff(rtt)) / 4;
                Measured::new((smoothed * 7 + rtt) / 8, variance, least.min(rtt))
            }
        });
    }

    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.measured.map(|measured| measured.smoothed)
    }

    /// Smoothed, variance, least.
    pub(super) fn measured(&self) -> Option<[Duration; 3]> {
        self.measured.map(|Measured { smoothed, variance, least, .. }| [smoothed, variance, least])
    }

    pub(super) fn least(&self) -> Duration {
        self.measured.map_or(Duration::ZERO, |measured| measured.least)
    }

    /// After `backoff` timeouts in a row (RFC 6298 §5.5).
    pub(super) fn timeout(&self, backoff: u32) -> Duration {
        let base = self.measured.map_or(FIRST, |measured| measured.timeout);
        if backoff == 0 {
            return base;
        }
        base.saturating_mul(1 << backoff.min(8)).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_starts_at_one_second_and_doubles_up_to_sixty() {
        let mut rtt = Rtt::default();
        let seconds = |rtt: &Rtt, backoff| rtt.timeout(backoff).as_secs_f64();
        assert_eq!([0, 1, 2, 6, 40].map(|n| seconds(&rtt, n)), [1.0, 2.0, 4.0, 60.0, 60.0]);
        rtt.sample(Duration::from_millis(800));
        assert_eq!(rtt.timeout(0), Duration::from_millis(2400));
        for _ in 0..100 {
            rtt.sample(Duration::from_micros(50));
        }
        assert_eq!(seconds(&rtt, 0), 0.2);
        assert!(rtt.smoothed().unwrap() < Duration::from_micros(100));
        assert_eq!(rtt.least(), Duration::from_micros(50));
    }
}
