//! Options that somebody sets without waiting for the answer, as async sockets do.
//!
//! The stack looks at what is sent before it hears what is said, so a datagram that is sent behind such an option would
//! overtake it. It waits here instead.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker, ready};

use tokio::sync::oneshot;

use super::lock;
use crate::error::Result;
use crate::socket::Outcome;

#[derive(Debug, Default)]
pub(super) struct Told {
    is_pending: AtomicBool,
    /// To the last one: the stack takes them in order.
    answer: Mutex<Option<oneshot::Receiver<Result<Outcome>>>>,
    crowd: Arc<Crowd>,
}

/// Everybody who waits for one answer.
#[derive(Debug, Default)]
struct Crowd(Mutex<Vec<Waker>>);

impl Wake for Crowd {
    fn wake(self: Arc<Crowd>) {
        let wakers = std::mem::take(&mut *lock(&self.0));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Told {
    /// The stack was told something, and will answer here.
    pub(super) fn await_later(&self, answer: oneshot::Receiver<Result<Outcome>>) {
        *lock(&self.answer) = Some(answer);
        self.is_pending.store(true, Ordering::Release);
    }

    /// Waits until the stack has taken what it was told.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_pending.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let mut place = lock(&self.answer);
        if let Some(answer) = place.as_mut() {
            let mut crowd = lock(&self.crowd.0);
            if !crowd.iter().any(|waker| waker.will_wake(context.waker())) {
                crowd.push(context.waker().clone());
            }
            drop(crowd);
            let waker = Waker::from(Arc::clone(&self.crowd));
            // What came of it nobody wanted to know.
            let _ = ready!(Pin::new(answer).poll(&mut Context::from_waker(&waker)));
        }
        *place = None;
        self.is_pending.store(false, Ordering::Release);
        drop(place);
        Arc::clone(&self.crowd).wake();
        Poll::Ready(())
    }
}
