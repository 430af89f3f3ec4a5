use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::task::{Context, Poll, Waker};

use super::{Bell, lock};
use crate::error::{Error, Result};

/// Tasks wait.
const TASKS: u8 = 1;

/// The stack waits, and its bell is to be rung.
const BELL: u8 = 2;

/// When so many wait, all are woken and ask again: what is left behind by tasks that are gone does not add up. Those who
/// really wait come back, so the next time there is room for twice as many.
const CROWD: usize = 64;

/// Where the doubling ends: as much may be left behind.
const CROWDS: usize = 8192;

/// Whoever waits for one thing to happen: any number of tasks and threads, and the stack.
///
/// To wake nobody costs a fence and a load. A waiter registers and then asks once more; who makes the thing happen does
/// so first and wakes then. Between the two steps on either side stands a fence, so one of them sees the other.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: AtomicU8,
    tasks: Mutex<Tasks>,
}

#[derive(Debug)]
struct Tasks {
    wakers: Vec<Waker>,
    /// From so many on all are woken.
    most: usize,
}

impl Default for Tasks {
    fn default() -> Tasks {
        Tasks { wakers: Vec::new(), most: CROWD }
    }
}

impl Waiters {
    /// The task is woken the next time. A waker that does nothing, as that of a thread that spins, is nobody's.
    pub(super) fn register(&self, waker: &Waker) {
        if waker.will_wake(Waker::noop()) {
            return;
        }
        let mut tasks = lock(&self.tasks);
        let mut crowd = Vec::new();
        if !tasks.wakers.iter().any(|task| task.will_wake(waker)) {
            if tasks.wakers.len() >= tasks.most {
                crowd = std::mem::take(&mut tasks.wakers);
                tasks.most = CROWDS.min(2 * tasks.most);
            }
            tasks.wakers.push(waker.clone());
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
        let woken = std::mem::take(&mut tasks.wakers);
        tasks.most = CROWD.max(woken.len().next_power_of_two());
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
        }
        assert_eq!(first.0.load(Ordering::Relaxed), 1, "whoever makes room is woken, and asks again");
        for _ in 0..3 * CROWDS {
            waiters.register(&task().1);
        }
        assert!(lock(&waiters.tasks).wakers.len() <= CROWDS);
    }

    #[test]
    fn a_crowd_that_really_waits_comes_to_rest() {
        let waiters = Waiters::default();
        let tasks: Vec<_> = (0..5 * CROWD).map(|_| task()).collect();
        let mut seen = vec![0; tasks.len()];
        for (_, waker) in &tasks {
            waiters.register(waker);
        }
        for round in 0.. {
            assert!(round < 10, "they wake each other for ever");
            let mut is_quiet = true;
            for ((count, waker), seen) in tasks.iter().zip(&mut seen) {
                let woken = count.0.load(Ordering::Relaxed);
                if std::mem::replace(seen, woken) != woken {
                    is_quiet = false;
                    waiters.register(waker);
                }
            }
            if is_quiet {
                break;
            }
        }
        assert_eq!(lock(&waiters.tasks).wakers.len(), tasks.len());
    }
}
