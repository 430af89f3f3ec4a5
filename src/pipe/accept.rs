use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::deed::{Attempt, Deed};
use super::waiters::Waiters;
use super::{Bell, lock};
use crate::error::{Error, Result};
use crate::tape::{Question, Witness};

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<T>,
    /// The stack has stopped.
    closed: bool,
    /// The application has shut it down: it does not listen.
    shut: bool,
    /// Those that waited then can still be accepted.
    keeps: bool,
    /// The application's end is gone.
    dropped: bool,
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    acceptors: Waiters,
    /// Programs of this stack that wait to connect, without the stack.
    connectors: Waiters,
    /// From more than so many on they wait.
    most: AtomicUsize,
}

impl<T> Shared<T> {
    fn is_full(&self) -> bool {
        lock(&self.queue).waiting.len() > self.most.load(Ordering::Acquire)
    }
}

/// The application's end of a listening socket: the queue of connections that wait to be accepted.
#[derive(Debug)]
pub struct Accepts<T> {
    shared: Arc<Shared<T>>,
    bell: Arc<Bell>,
}

/// The stack's end of a listening socket.
#[derive(Debug)]
pub struct AcceptEnd<T> {
    shared: Arc<Shared<T>>,
    bell: Arc<Bell>,
    witness: Witness,
}

impl<T> Accepts<T> {
    /// An empty queue. How many may wait is the stack's business.
    pub fn new(bell: Bell) -> (Accepts<T>, AcceptEnd<T>) {
        let (witness, bell) = (bell.witness(), Arc::new(bell));
        let queue =
            Mutex::new(Queue { waiting: VecDeque::new(), closed: false, shut: false, keeps: false, dropped: false });
        let shared = Arc::new(Shared {
            queue,
            acceptors: Waiters::default(),
            connectors: Waiters::default(),
            most: AtomicUsize::new(usize::MAX),
        });
        (Accepts { shared: Arc::clone(&shared), bell: Arc::clone(&bell) }, AcceptEnd { shared, bell, witness })
    }

    /// Takes the connection that has waited longest.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if none waits; [`Error::InvalidInput`] after [`Accepts::shut_down`]; [`Error::NetworkDown`]
    /// after the stack has stopped.
    pub fn try_accept(&self) -> Result<T> {
        let mut queue = lock(&self.shared.queue);
        if queue.shut && (!queue.keeps || queue.waiting.is_empty()) {
            // Of Unix sockets who does not wait is told something else, and the caller tells whoever looks.
            return Err(if queue.keeps { Error::InvalidInput } else { self.failed(Error::InvalidInput) });
        }
        match queue.waiting.pop_front() {
            Some(connection) => {
                drop(queue);
                self.shared.connectors.wake(None);
                self.bell.note(Deed::Accept);
                self.bell.ring();
                Ok(connection)
            }
            None if queue.closed => Err(self.failed(Error::NetworkDown)),
            None => Err(Error::WouldBlock),
        }
    }

    /// Tells whoever looks why nothing was accepted. Gives the error back.
    fn failed(&self, error: Error) -> Error {
        self.bell.note(Deed::Failed(Attempt::Accept, error.errno()));
        error
    }

    /// Does not listen any more: whoever waits to accept is told, and so is the stack. With `keeps`, connections that wait
    /// already can still be accepted.
    pub fn shut_down(&self, keeps: bool) {
        self.bell.note(Deed::ShutdownRead);
        {
            let mut queue = lock(&self.shared.queue);
            (queue.shut, queue.keeps) = (true, keeps);
        }
        self.shared.acceptors.wake(None);
        self.shared.connectors.wake(None);
        self.bell.ring();
    }

    /// Whether it has been shut down.
    pub fn is_shut(&self) -> bool {
        lock(&self.shared.queue).shut
    }

    /// Whether a connection waits, or none will come: then accepting does not have to wait (`accept(2)`).
    pub fn is_ready(&self) -> bool {
        let queue = lock(&self.shared.queue);
        queue.closed || queue.shut || !queue.waiting.is_empty()
    }

    /// The next time that something happens, `waker` is woken.
    pub fn watch(&self, waker: &Waker) {
        self.shared.acceptors.register(waker);
    }

    /// [`Accepts::is_ready`], or wakes the task later.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let ready = || if self.is_ready() { Ok(()) } else { Err(Error::WouldBlock) };
        self.shared.acceptors.poll(context, ready).map(|_| ())
    }

    /// [`Accepts::try_accept`], or wakes the task later.
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<Result<T>> {
        self.shared.acceptors.poll(context, || self.try_accept())
    }
}

impl<T> Drop for Accepts<T> {
    fn drop(&mut self) {
        self.bell.note(Deed::Close);
        lock(&self.shared.queue).dropped = true;
        self.shared.connectors.wake(None);
        self.bell.ring();
    }
}

/// What a program waits for that wants to connect to a full queue.
#[derive(Debug)]
pub struct Vacancy<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Vacancy<T> {
    /// Waits until connecting may be tried again: somebody was accepted, or nobody will be any more.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let look = || {
            let is_over = {
                let queue = lock(&self.shared.queue);
                queue.dropped || queue.shut || queue.closed
            };
            if is_over || !self.shared.is_full() { Ok(()) } else { Err(Error::WouldBlock) }
        };
        self.shared.connectors.poll(context, look).map(|_| ())
    }
}

impl<T> AcceptEnd<T> {
    /// How many may wait where programs wait for room ([`AcceptEnd::is_full`]); without it, any number.
    pub fn set_most(&self, most: usize) {
        self.shared.most.store(most, Ordering::Release);
        self.shared.connectors.wake(None);
    }

    /// How many may wait; see [`AcceptEnd::set_most`].
    pub fn most(&self) -> usize {
        self.shared.most.load(Ordering::Acquire)
    }

    /// Whether more wait than may.
    pub fn is_full(&self) -> bool {
        self.witness.ask(Question::Full, || self.shared.is_full())
    }

    /// For a program that would be one too many: to be told when it would not be any more.
    pub fn vacancy(&self) -> Vacancy<T> {
        Vacancy { shared: Arc::clone(&self.shared) }
    }

    /// Looks after the socket: what the application does from here on rings again.
    pub fn answer(&self) {
        self.bell.reset();
    }

    /// Lets a connection wait to be accepted.
    pub fn deliver(&self, connection: T) {
        lock(&self.shared.queue).waiting.push_back(connection);
        self.shared.acceptors.wake(None);
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        let waiting = self.witness.ask_or(Question::Waiting, 0, || lock(&self.shared.queue).waiting.len());
        self.keep(waiting);
        waiting
    }

    /// Without programs nobody accepts: what somebody has accepted by now, by the tape, is let go of.
    fn keep(&self, waiting: usize) {
        if self.witness.is_playing() {
            let mut queue = lock(&self.shared.queue);
            let gone = queue.waiting.len().saturating_sub(waiting);
            let gone: Vec<T> = queue.waiting.drain(..gone).collect();
            drop(queue);
            drop(gone);
        }
    }

    /// The stack stops.
    pub fn finish(&self) {
        lock(&self.shared.queue).closed = true;
        self.shared.acceptors.wake(None);
        self.shared.connectors.wake(None);
    }

    /// Takes what still waits, when nobody will accept it any more.
    pub fn take(&self) -> Option<T> {
        let mut next = None;
        let waiting = self.witness.ask_or(Question::Waiting, 0, || {
            let mut queue = lock(&self.shared.queue);
            let waiting = queue.waiting.len();
            next = queue.waiting.pop_front();
            waiting
        });
        if self.witness.is_playing() {
            self.keep(waiting);
            next = lock(&self.shared.queue).waiting.pop_front();
        }
        next
    }

    /// Listens again.
    pub fn reopen(&self) {
        lock(&self.shared.queue).shut = false;
    }

    /// Whether the application has shut it down.
    pub fn is_shut(&self) -> bool {
        self.witness.ask(Question::Shut, || lock(&self.shared.queue).shut)
    }

    /// Whether the application has dropped its end. What still waits is dropped with this end.
    pub fn is_dropped(&self) -> bool {
        self.witness.ask(Question::Dropped, || lock(&self.shared.queue).dropped)
    }
}
