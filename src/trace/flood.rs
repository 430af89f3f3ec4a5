//! How often the log repeats itself.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::observe::Time;

/// So many lines of one kind are written in a second. An even number: what comes and what answers it go by the same rule.
pub(super) const LINES_A_SECOND: u64 = 20;

const SECOND: Duration = Duration::from_secs(1);

/// What one kind has done in its present second.
#[derive(Debug)]
struct Second {
    begins: Time,
    count: u64,
}

impl Second {
    fn more(&self) -> u64 {
        self.count.saturating_sub(LINES_A_SECOND)
    }

    fn is_over(&self, now: Time) -> bool {
        now - self.begins >= SECOND
    }
}

/// Counts lines by their kinds, such as the rule that they tell of, so that a flood, which is the same line again and
/// again, does not fill the log. A kind's second begins with its first line.
#[derive(Debug)]
pub(super) struct Floods<K> {
    seconds: BTreeMap<K, Second>,
}

impl<K> Default for Floods<K> {
    fn default() -> Floods<K> {
        Floods::new()
    }
}

impl<K> Floods<K> {
    pub(super) const fn new() -> Floods<K> {
        Floods { seconds: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Floods<K> {
    /// Whether one more line of this kind is to be written. Seconds that are over must have been asked for.
    pub(super) fn admits(&mut self, kind: K, now: Time) -> bool {
        let second = self.seconds.entry(kind).or_insert(Second { begins: now, count: 0 });
        second.count = second.count.saturating_add(1);
        second.count <= LINES_A_SECOND
    }

    /// Of which kinds, and how many lines each, were not written in seconds that are over by `now`; `None`: at all.
    pub(super) fn kept_back(&mut self, now: Option<Time>) -> Vec<(K, u64)> {
        let mut kept = Vec::new();
        self.seconds.retain(|&kind, second| {
            let is_over = now.is_none_or(|now| second.is_over(now));
            if is_over && second.more() > 0 {
                kept.push((kind, second.more()));
            }
            !is_over
        });
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "one";

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    /// How many of `count` lines are written.
    fn written(floods: &mut Floods<&'static str>, kind: &'static str, now: Time, count: u64) -> u64 {
        (0..count).map(|_| u64::from(floods.admits(kind, now))).sum()
    }

    #[test]
    fn a_flood_has_its_share_of_each_second_and_the_rest_is_counted() {
        let mut floods = Floods::new();
        assert_eq!(written(&mut floods, KIND, at(500), 5000), LINES_A_SECOND);
        assert_eq!(floods.kept_back(Some(at(1499))), []);
        assert_eq!(written(&mut floods, KIND, at(1499), 1), 0);
        assert_eq!(floods.kept_back(Some(at(1500))), [(KIND, 5001 - LINES_A_SECOND)]);
        assert_eq!(floods.kept_back(Some(at(1500))), [], "told once");
        assert_eq!(
            written(&mut floods, KIND, at(1500), 5000),
            LINES_A_SECOND,
            "the next second has a share of its own"
        );
    }

    #[test]
    fn what_is_seldom_is_never_kept_back_however_long_it_goes_on() {
        let mut floods = Floods::new();
        for tenth in 0..1000 {
            assert_eq!(floods.kept_back(Some(at(tenth * 100))), []);
            assert!(floods.admits(KIND, at(tenth * 100)));
        }
    }

    #[test]
    fn one_kind_does_not_take_from_another() {
        let mut floods = Floods::new();
        written(&mut floods, KIND, at(0), 5000);
        assert_eq!(written(&mut floods, "another", at(0), 4), 4);
        assert_eq!(floods.kept_back(None), [(KIND, 5000 - LINES_A_SECOND)], "at the end nothing is owed");
        assert_eq!(floods.kept_back(None), []);
    }
}
