//! The bound on challenge ACKs (RFC 5961 §7): for each connection, and for all together.

use super::keys::Key;
use crate::observe::Time;

const SECOND: u64 = 1_000_000;

/// For one connection in a second. Linux allows two; a peer that lost its state needs one.
pub(super) const PER_CONNECTION: u32 = 10;

/// The bound for all connections together. It is another number in each second, and no peer can know it: whoever can
/// count how many are left learns from it whether a guess at somebody else's connection was right (CVE-2016-5696).
#[derive(Debug)]
pub(super) struct Challenges {
    key: Key,
    per_second: u32,
    second: u64,
    left: u32,
}

impl Challenges {
    /// Between half of `per_second` and one and a half times as many.
    pub(super) fn new(key: Key, per_second: u32) -> Challenges {
        Challenges { key, per_second, second: u64::MAX, left: 0 }
    }

    /// Whether one more is allowed at `now`.
    pub(super) fn allow(&mut self, now: Time) -> bool {
        let second = now.micros() / SECOND;
        if second != self.second {
            self.second = second;
            self.left = self.per_second / 2;
            if self.per_second > 0 {
                self.left += (self.key.hash(&second) % (u64::from(self.per_second) + 1)) as u32;
            }
        }
        let is_allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn the_bound_is_near_the_limit_and_another_one_each_second() {
        let mut challenges = Challenges::new(Key::new(&mut StdRng::seed_from_u64(1)), 100);
        let allowed: Vec<usize> = (0..200)
            .map(|second| (0..1000).filter(|_| challenges.allow(Time::from_micros(second * SECOND))).count())
            .collect();
        assert!(allowed.iter().all(|count| (50..=150).contains(count)), "{allowed:?}");
        assert!(allowed.iter().collect::<HashSet<_>>().len() > 50, "{allowed:?}");
    }

    #[test]
    fn a_limit_of_none_allows_none() {
        let mut challenges = Challenges::new(Key::new(&mut StdRng::seed_from_u64(1)), 0);
        assert!((0..100).all(|second| !challenges.allow(Time::from_micros(second * SECOND))));
    }
}
