use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::task::{Context, Poll, Waker};

use super::{Bell, lock};
use crate::error::{Error, Result};

/// Tasks wait.
const TASKS: u8 = 1;

/// The stack waits, and its bell is to be rung.
const BELL: u8 = 2;

/// So many wait at most: one more, and all are woken and ask again. What is left behind by tasks that are gone does
/// not add up.
const CROWD: usize = 64;

/// Whoever waits for one thing to happen: any number of tasks and threads, and the stack.
///
/// To wake nobody costs a fence and a load. A waiter registers and then asks once more; who makes the thing happen does
/// so first and wakes then. Between the two steps on either side stands a fence, so one of them sees the other.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: AtomicU8,
    tasks: Mutex<Vec<Waker>>,
}

impl Waiters {
    /// The task is woken the next time. A waker that does nothing, as that of a thread that spins, is nobody's.
    pub(super) fn register(&self, waker: &Waker) {
        if waker.will_wake(Waker::noop()) {
            return;
        }
        let mut tasks = lock(&self.tasks);
        let crowd = if tasks.len() < CROWD { Vec::new() } else { std::mem::take(&mut *tasks) };
        if !tasks.iter().any(|task| task.will_wake(waker)) {
            tasks.push(waker.clone());
        }
        self.waiting.fetch_or(TASKS, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        drop(tasks);
        crowd.into_iter().for_each(Waker::wake);
    }

    /// The stack waits: the bell given to [`Waiters::wake`] is rung the next time.
    pub(super) fn register_bell(&self) {
        self.waiting.fetch_or(BELL, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Wakes everybody.
    pub(super) fn wake(&self, bell: Option<&Bell>) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.wake_all(bell);
        }
    }

    #[cold]
    fn wake_all(&self, bell: Option<&Bell>) {
        let mut tasks = lock(&self.tasks);
        // Under the lock, so that the flag and the list agree.
        let waiting = self.waiting.swap(0, Ordering::Relaxed);
        let woken = std::mem::take(&mut *tasks);
        drop(tasks);
        woken.into_iter().for_each(Waker::wake);
        if waiting & BELL != 0
            && let Some(bell) = bell
        {
            bell.ring();
        }
    }

    /// Tries, registers, and tries again, so that what happens in between is not missed.
    pub(super) fn poll<T>(&self, context: &Context<'_>, mut attempt: impl FnMut() -> Result<T>) -> Poll<Result<T>> {
        match attempt() {
            Err(Error::WouldBlock) => {}
            done => return Poll::Ready(done),
        }
        if context.waker().will_wake(Waker::noop()) {
            return Poll::Pending;
        }
        self.register(context.waker());
        match attempt() {
            Err(Error::WouldBlock) => Poll::Pending,
            done => Poll::Ready(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::super::Doorbell;
    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    #[test]
    fn everybody_is_woken_once_however_often_they_registered() {
        let waiters = Waiters::default();
        let tasks: Vec<_> = (0..3).map(|_| task()).collect();
        for (_, waker) in tasks.iter().chain(&tasks) {
            waiters.register(waker);
        }
        waiters.wake(None);
        waiters.wake(None);
        assert!(tasks.iter().all(|(count, _)| count.0.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn the_bell_rings_when_the_stack_waits_and_only_then() {
        let (doorbell, waiters) = (Doorbell::default(), Waiters::default());
        let bell = doorbell.bell(0);
        waiters.wake(Some(&bell));
        assert!(!doorbell.is_rung());
        waiters.register_bell();
        waiters.wake(Some(&bell));
        assert!(doorbell.is_rung());
    }

    #[test]
    fn tasks_that_are_gone_do_not_add_up() {
        let waiters = Waiters::default();
        let (first, waker) = task();
        waiters.register(&waker);
        for _ in 0..10 * CROWD {
            waiters.register(&task().1);
            assert!(lock(&waiters.tasks).len() <= CROWD);
        }
        assert_eq!(first.0.load(Ordering::Relaxed), 1, "whoever makes room is woken, and asks again");
    }
}
