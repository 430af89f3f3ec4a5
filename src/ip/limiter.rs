//! A bound on answers that a stranger can provoke.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::config::Limits;
use crate::observe::Time;

const SECOND: u64 = 1_000_000;

/// A token bucket on virtual time: so many a second, and at most one second's worth at once.
///
/// Used for ICMP errors (RFC 1812 §4.3.2.8, RFC 4443 §2.4), for RSTs and for challenge ACKs (RFC 5961 §7).
///
/// ```
/// use std::time::Duration;
/// use tapsock::{ip::Limiter, observe::Time};
/// let mut limiter = Limiter::new(2);
/// assert!(limiter.allow(Time::ZERO) && limiter.allow(Time::ZERO));
/// assert!(!limiter.allow(Time::ZERO));
/// assert!(limiter.allow(Time::ZERO + Duration::from_millis(500)));
/// ```
#[derive(Debug, Clone)]
pub struct Limiter {
    per_second: u64,
    /// In millionths, so that a microsecond's refill is a whole number.
    tokens: u64,
    last: Time,
}

impl Limiter {
    /// A full bucket that refills with `per_second` tokens a second; 0 allows nothing.
    pub fn new(per_second: u32) -> Limiter {
        let per_second = u64::from(per_second);
        Limiter { per_second, tokens: per_second * SECOND, last: Time::ZERO }
    }

    /// Whether one more is allowed at `now`; takes a token if so. Time that runs backwards refills nothing.
    pub fn allow(&mut self, now: Time) -> bool {
        let elapsed = now.micros().saturating_sub(self.last.micros()).min(SECOND);
        self.last = self.last.max(now);
        self.tokens = (self.tokens + elapsed * self.per_second).min(self.per_second * SECOND);
        match self.tokens.checked_sub(SECOND) {
            Some(rest) => {
                self.tokens = rest;
                true
            }
            None => false,
        }
    }
}

/// How many buckets peers share. A peer shares its bucket with others by chance only: which is whose is secret.
const PEERS: usize = 256;

/// A bound on all errors, and within it on those to each peer, so that who provokes many does not silence us for
/// everybody else.
#[derive(Debug)]
pub(super) struct ErrorLimiter {
    all: Limiter,
    peers: Vec<Limiter>,
    seed: u64,
}

impl ErrorLimiter {
    /// `seed` is secret and random.
    pub(super) fn new(limits: &Limits, seed: u64) -> ErrorLimiter {
        ErrorLimiter {
            all: Limiter::new(limits.errors_per_second),
            peers: vec![Limiter::new(limits.errors_per_second_and_peer); PEERS],
            seed,
        }
    }

    /// Whether one more error may go to `peer`.
    pub(super) fn allow(&mut self, now: Time, peer: IpAddr) -> bool {
        let mut hasher = SipHasher13::new_with_keys(self.seed, PEERS as u64);
        peer.hash(&mut hasher);
        let bucket = hasher.finish() as usize % PEERS;
        self.peers[bucket].allow(now) && self.all.allow(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_rate_holds_over_a_long_time() {
        let mut limiter = Limiter::new(100);
        let mut allowed = 0;
        for micros in (0..10 * SECOND).step_by(137) {
            allowed += u32::from(limiter.allow(Time::from_micros(micros)));
        }
        assert!((1095..=1100).contains(&allowed), "{allowed}");
    }

    #[test]
    fn a_long_silence_saves_up_one_second_and_no_more() {
        let mut limiter = Limiter::new(5);
        let late = Time::ZERO + Duration::from_secs(1 << 40);
        assert_eq!((0..100).filter(|_| limiter.allow(late)).count(), 5);
    }

    #[test]
    fn time_that_runs_backwards_refills_nothing() {
        let mut limiter = Limiter::new(1);
        assert!(limiter.allow(Time::from_micros(5 * SECOND)));
        assert!(!limiter.allow(Time::ZERO));
        assert!(!limiter.allow(Time::from_micros(5 * SECOND)));
        assert!(limiter.allow(Time::from_micros(6 * SECOND)));
    }

    #[test]
    fn a_limit_of_zero_allows_nothing_and_the_greatest_does_not_overflow() {
        assert!(!Limiter::new(0).allow(Time::from_micros(u64::MAX)));
        assert!(Limiter::new(u32::MAX).allow(Time::from_micros(u64::MAX)));
    }

    #[test]
    fn a_peer_that_provokes_many_errors_does_not_use_up_those_of_others() {
        let limits = Limits { errors_per_second: 20, errors_per_second_and_peer: 5, ..Limits::default() };
        let mut limiter = ErrorLimiter::new(&limits, 42);
        let peer = |last: u8| IpAddr::from([192, 0, 2, last]);
        let mut allowed = |last: u8| (0..100).filter(|_| limiter.allow(Time::ZERO, peer(last))).count();
        assert_eq!([allowed(1), allowed(2), allowed(3)], [5, 5, 5]);
        assert_eq!((4..100).map(allowed).sum::<usize>(), 5, "and the bound on all of them holds");
    }
}
