use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::observe::Time;

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

    /// Takes one entry that is due.
    pub(super) fn due(&mut self, now: Time) -> Option<(Time, T)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}
