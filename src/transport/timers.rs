use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::observe::Time;

/// So many stale entries are nobody's concern.
const SLACK: usize = 1024;

/// A lazy heap of deadlines: arming is a push, disarming is nothing. Whoever is due too early looks and
/// arms again; each owner remembers the one deadline that counts, so at most a few entries of it are stale.
#[derive(Debug)]
pub(super) struct Timers<T> {
    heap: BinaryHeap<Reverse<(Time, T)>>,
}

impl<T: Ord> Timers<T> {
    pub(super) fn new() -> Timers<T> {
        Timers { heap: BinaryHeap::new() }
    }

    pub(super) fn arm(&mut self, at: Time, owner: T) {
        self.heap.push(Reverse((at, owner)));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// How many entries there are, stale ones too.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Throws the stale entries away once they are many: `owners` have an entry that counts. Without that, a connection
    /// that is long gone keeps its entry until then.
    pub(super) fn sweep(&mut self, owners: usize, mut counts: impl FnMut(Time, &T) -> bool) {
        if self.heap.len() > 4 * owners + SLACK {
            self.heap.retain(|Reverse((at, owner))| counts(*at, owner));
        }
    }

    /// Takes one entry that is due.
    pub(super) fn due(&mut self, now: Time) -> Option<(Time, T)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_those_that_are_gone_do_not_pile_up() {
        let mut timers = Timers::new();
        for owner in 0..1_000_000_u64 {
            timers.arm(Time::from_micros(owner + 7_200_000_000), owner);
            timers.sweep(10, |_, &counts| counts + 10 > owner);
            assert!(timers.heap.len() <= 4 * 10 + SLACK + 1);
        }
        assert!(timers.next().is_some_and(|at| at >= Time::from_micros(7_200_999_990 - SLACK as u64 - 40)));
    }
}
