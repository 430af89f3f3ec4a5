use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::waiters::Waiters;

/// What Linux counts of a datagram besides its bytes: `struct sk_buff` and `struct skb_shared_info` (SKB_TRUESIZE).
const OVERHEAD: usize = 576;

/// So much less than all of it is the longest message (Linux: unix_dgram_sendmsg).
const RESERVE: usize = 32;

/// What a socket has sent and nobody has read, wherever it waits (SO_SNDBUF; Linux: `sk_wmem_alloc`).
#[derive(Debug)]
pub(super) struct Budget {
    most: AtomicUsize,
    used: AtomicUsize,
    /// Those who wait until it is mostly free again.
    pub(super) writers: Waiters,
}

/// The part of it that one message takes, until it is read or thrown away.
#[derive(Debug)]
pub(super) struct Postage {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Arc<Budget> {
        Arc::new(Budget { most: AtomicUsize::new(most), used: AtomicUsize::new(0), writers: Waiters::default() })
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Acquire)
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// What is on its way already stays.
    pub(super) fn set_most(&self, bytes: usize) {
        self.most.store(bytes, Ordering::Release);
        self.writers.wake(None);
    }

    /// Whether a message of so many bytes can ever be sent.
    pub(super) fn fits(&self, length: usize) -> bool {
        length.saturating_add(RESERVE) <= self.most()
    }

    /// Whether another may be sent, however long it is, as on Linux.
    pub(super) fn has_room(&self) -> bool {
        self.used() < self.most()
    }

    /// Whether those who wait are told: they are when three quarters are free (Linux: unix_writable).
    pub(super) fn is_mostly_free(&self) -> bool {
        self.used().saturating_mul(4) <= self.most()
    }

    /// Pays for a message of so many bytes.
    pub(super) fn pay(self: &Arc<Budget>, length: usize) -> Postage {
        let bytes = length + OVERHEAD;
        self.used.fetch_add(bytes, Ordering::AcqRel);
        Postage { budget: Arc::clone(self), bytes }
    }
}

impl Drop for Postage {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::AcqRel);
        if self.budget.is_mostly_free() {
            self.budget.writers.wake(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_may_be_overdrawn_by_one_message_and_is_given_back_message_by_message() {
        let budget = Budget::new(2 * OVERHEAD);
        assert_eq!((budget.fits(2 * OVERHEAD - RESERVE), budget.fits(2 * OVERHEAD - RESERVE + 1)), (true, false));
        let first = budget.pay(OVERHEAD - 1);
        assert_eq!((budget.has_room(), budget.is_mostly_free()), (true, false));
        let second = budget.pay(100);
        assert!(!budget.has_room());
        drop(first);
        assert_eq!((budget.has_room(), budget.is_mostly_free()), (true, false));
        budget.set_most(4 * (OVERHEAD + 100));
        assert!(budget.is_mostly_free());
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
