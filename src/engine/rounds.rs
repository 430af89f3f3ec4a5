use std::time::Duration;

/// How long the rounds of an engine took in which something was done: frames came, frames went, or programs called.
///
/// ```
/// use std::time::Duration;
/// use tapsock::engine::Rounds;
/// let mut rounds = Rounds::default();
/// rounds.add(Duration::from_micros(12));
/// assert_eq!((rounds.count(), rounds.total()), (1, Duration::from_micros(12)));
/// assert_eq!(rounds.buckets().find(|&(_, count)| count > 0), Some((Some(Duration::from_micros(20)), 1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rounds {
    counts: [u64; BOUNDS.len() + 1],
    total: Duration,
}

/// In microseconds. A round is a burst of up to 64 frames and what follows from it.
const BOUNDS: [u64; 16] =
    [10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

impl Rounds {
    /// One more took so long.
    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[BOUNDS.partition_point(|&bound| bound < micros)] += 1;
        self.total += took;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    pub fn total(&self) -> Duration {
        self.total
    }

    /// How many took at most so long, and longer than the bound before; the last is of those that took longer still.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS.iter().map(|&micros| Some(Duration::from_micros(micros))).chain([None]);
        bounds.zip(self.counts.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_counted_below_the_bound_that_it_reaches_and_no_length_is_too_much() {
        let mut rounds = Rounds::default();
        for micros in [0, 10, 11, 1_000_000, 1_000_001, 3_600_000_000] {
            rounds.add(Duration::from_micros(micros));
        }
        let counted: Vec<_> = rounds.buckets().filter(|&(_, count)| count > 0).collect();
        let at = |micros| Some(Duration::from_micros(micros));
        assert_eq!(counted, [(at(10), 2), (at(20), 1), (at(1_000_000), 1), (None, 2)]);
        assert_eq!(rounds.count(), 6);
    }
}
