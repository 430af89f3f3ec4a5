//! How a plain thread waits: it looks again for a moment, then it becomes the waker and parks.
//!
//! To put a thread to sleep and to wake it costs 30 to 60 µs on a machine that has nothing else to do; a stream whose
//! ends sleep for each other moves a tenth of what it could (FACTS §4). On a busy machine whoever is waited for may
//! need the very processor that the waiting thread keeps: a thread that has looked in vain looks shorter the next time.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread looks again before it parks: longer than the other side takes to wake up and to answer. Were it
/// shorter, two that sleep for each other would do so for ever; so, after one of them has found the other's answer,
/// both are awake.
const BRIEFLY: Duration = Duration::from_micros(100);

/// How long a thread that never parks looks before it lets others run in between.
const POLITE: Duration = Duration::from_micros(5);

/// How often it looks between two looks at the clock.
const LOOKS: u32 = 32;

/// After so many waits in vain a thread tries again whether looking longer helps.
const RETRY: u32 = 64;

/// How a thread waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spin {
    /// It looks again for at most some 100 µs, then it sleeps until it is woken.
    #[default]
    Briefly,
    /// It looks again until there is something: no answer is faster, and nothing else uses the processor meanwhile
    /// (compare SO_BUSY_POLL, `socket(7)`).
    Always,
}

/// A thread that parks, and whether it has been woken: the token of [`thread::park`] may be taken by somebody else.
struct Parked {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

thread_local! {
    /// One for each thread, so that whoever is asked to wake it twice sees that it is the same.
    static PARKED: Cell<Option<Arc<Parked>>> = const { Cell::new(None) };
}

/// [`block_on_with`], spinning briefly.
///
/// ```
/// use tapsock::pipe::wait::block_on;
/// assert_eq!(block_on(async { 6 * 7 }, None), Some(42));
/// ```
pub fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    block_on_with(Spin::Briefly, future, deadline)
}

/// Runs `future` on this thread, which waits while there is nothing to do; `None` when `deadline` passes first.
pub fn block_on_with<F: Future>(spin: Spin, future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    match look(spin, future.as_mut(), deadline) {
        Look::Done(output) => output,
        Look::InVain => {
            learn(false);
            park(future, deadline)
        }
    }
}

/// What came of looking.
enum Look<T> {
    Done(Option<T>),
    /// There was nothing for as long as this thread had patience.
    InVain,
}

/// Polls again and again. A thread that looks by itself need not be woken, so nobody has to know of it.
fn look<F: Future>(spin: Spin, mut future: Pin<&mut F>, deadline: Option<Instant>) -> Look<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    let mut look = || future.as_mut().poll(&mut context);
    if let Poll::Ready(output) = look() {
        return Look::Done(Some(output));
    }
    let (began, patience) = (Instant::now(), PATIENCE.get());
    loop {
        let now = Instant::now();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Look::Done(None);
        }
        match spin {
            Spin::Briefly if is_alone() || now - began >= patience => return Look::InVain,
            // Whoever is waited for may need this processor.
            Spin::Always if is_alone() || now - began >= POLITE => thread::yield_now(),
            Spin::Briefly | Spin::Always => {}
        }
        for _ in 0..LOOKS {
            std::hint::spin_loop();
            if let Poll::Ready(output) = look() {
                learn(true);
                return Look::Done(Some(output));
            }
        }
    }
}

thread_local! {
    /// How long this thread looks before it parks.
    static PATIENCE: Cell<Duration> = const { Cell::new(BRIEFLY) };
    /// How often it has looked in vain.
    static IN_VAIN: Cell<u32> = const { Cell::new(0) };
}

/// Looking was worth while, or it was not and the thread parks.
fn learn(has_helped: bool) {
    let patience = PATIENCE.get();
    if has_helped {
        PATIENCE.set((patience * 2).min(BRIEFLY));
        return;
    }
    let waits = IN_VAIN.get().wrapping_add(1);
    IN_VAIN.set(waits);
    PATIENCE.set(if waits.is_multiple_of(RETRY) { BRIEFLY } else { patience / 2 });
}

/// Whether there is one processor only: then nothing happens while we look.
fn is_alone() -> bool {
    static ALONE: OnceLock<bool> = OnceLock::new();
    *ALONE.get_or_init(|| thread::available_parallelism().is_ok_and(|count| count.get() == 1))
}

fn park<F: Future>(mut future: Pin<&mut F>, deadline: Option<Instant>) -> Option<F::Output> {
    // A future that blocks in its turn finds none here, and makes its own.
    let parked = PARKED.take().unwrap_or_else(|| {
        let is_woken = AtomicBool::new(false);
        Arc::new(Parked { thread: thread::current(), is_woken })
    });
    let waker = Waker::from(Arc::clone(&parked));
    let mut context = Context::from_waker(&waker);
    let output = 'wait: loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            break Some(output);
        }
        while !parked.is_woken.swap(false, Ordering::Acquire) {
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break 'wait None;
                    }
                    thread::park_timeout(left);
                }
            }
        }
    };
    PARKED.set(Some(parked));
    output
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_deadline_ends_the_wait_and_what_is_ready_comes_first() {
        let past = Some(Instant::now());
        assert_eq!(block_on(async { 1 }, past), Some(1));
        assert_eq!(block_on(pending::<()>(), past), None);
        for spin in [Spin::Briefly, Spin::Always] {
            let soon = Some(Instant::now() + Duration::from_millis(2));
            assert_eq!(block_on_with(spin, pending::<()>(), soon), None);
        }
    }

    #[test]
    fn a_wake_up_is_not_lost_to_a_future_that_blocks_itself() {
        let (tell, told) = mpsc::channel::<Waker>();
        let helper = thread::spawn(move || told.iter().for_each(Waker::wake));
        let mut polls = 0;
        let outer = poll_fn(|context| {
            polls += 1;
            if !context.waker().will_wake(Waker::noop()) {
                return Poll::Ready(());
            }
            tell.send(context.waker().clone()).unwrap();
            // Parks, and so takes the thread's token, which may be the outer one's.
            block_on(pending::<()>(), Some(Instant::now() + Duration::from_micros(100)));
            Poll::Pending
        });
        assert_eq!(block_on(outer, Some(Instant::now() + Duration::from_secs(60))), Some(()));
        drop(tell);
        helper.join().unwrap();
    }
}
