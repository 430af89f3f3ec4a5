use std::io::{IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::budget::{Budget, Postage};
use super::joined::{Carried, Tally};
use super::lock;
use super::queue::{MOST_DATAGRAMS, Queue, Received, gather};
use super::waiters::Waiters;
use crate::error::{Error, Result};
use crate::memory::Memory;

/// Everybody may send.
const EVERYBODY: u64 = 0;

/// Whom a message is from, and what it took of the sender's budget.
type Sender<A> = (A, Postage);

#[derive(Debug)]
struct Shared<A> {
    /// The owner's number.
    number: u64,
    queue: Mutex<Queue<Sender<A>>>,
    /// The only one that may send, by its number.
    heard: AtomicU64,
    /// The errno that the receiver's next call is told; 0: none.
    error: AtomicI32,
    /// Nothing more will be received.
    shut: AtomicBool,
    /// The owner sends nothing more.
    sending_over: AtomicBool,
    /// The receiver is gone.
    gone: AtomicBool,
    /// The stack has stopped.
    stopped: AtomicBool,
    readers: Waiters,
    writers: Waiters,
    /// What the owner has on its way, to whomever.
    budget: Arc<Budget>,
    /// What the owner has sent, to whomever.
    sent: Mutex<Tally>,
}

impl<A> Shared<A> {
    fn wake_all(&self) {
        self.readers.wake(None);
        self.writers.wake(None);
        self.budget.writers.wake(None);
    }

    /// Whether `sender` has to wait until something is read. Who hears one sender only, or itself, is bounded by that
    /// sender's budget alone, as on Linux. Others may go beyond the capacity by one message: the longest that can be sent
    /// fits into a mailbox that is empty. So does one at the limit on memory.
    fn is_full(&self, queue: &Queue<Sender<A>>, sender: u64) -> bool {
        let is_short = !queue.datagrams.is_empty() && queue.charge.is_exhausted_for_program();
        let is_crowded = queue.datagrams.len() >= MOST_DATAGRAMS || queue.used() >= queue.capacity;
        let is_bounded = self.heard.load(Ordering::Acquire) != sender && self.number != sender;
        is_short || (is_crowded && is_bounded)
    }

    fn take_error(&self) -> Result<()> {
        if self.error.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        match self.error.swap(0, Ordering::AcqRel) {
            0 => Ok(()),
            errno => Err(Error::from_errno(errno).unwrap_or(Error::ConnectionReset)),
        }
    }
}

/// What a socket of messages receives, from anybody who has a [`MailSlot`] of it, and by what it sends to others. The
/// stack is not on the way.
///
/// ```
/// use tapsock::{memory::Memory, pipe::Mailbox};
/// use std::io::{IoSlice, IoSliceMut};
/// let memory = Memory::new(1 << 20);
/// let [alice, bob] = [1, 2].map(|number| Mailbox::new(number, 4096, &memory));
/// alice.try_send(&bob.slot(), &[IoSlice::new(b"hello")], "alice")?;
/// let mut buffer = [0; 16];
/// let message = bob.try_receive(&mut [IoSliceMut::new(&mut buffer)], false)?;
/// assert_eq!(message.map(|message| (message.count, message.addresses)), Some((5, "alice")));
/// # Ok::<(), tapsock::error::Error>(())
/// ```
#[derive(Debug)]
pub struct Mailbox<A> {
    shared: Arc<Shared<A>>,
}

/// A way to send to a [`Mailbox`].
#[derive(Debug)]
pub struct MailSlot<A> {
    shared: Arc<Shared<A>>,
}

impl<A> Clone for MailSlot<A> {
    fn clone(&self) -> MailSlot<A> {
        MailSlot { shared: Arc::clone(&self.shared) }
    }
}

impl<A: Clone> Mailbox<A> {
    /// An empty one of the socket of this number, for about `capacity` bytes, of which as many may be on their way from
    /// it. What waits counts in `memory`.
    pub fn new(number: u64, capacity: usize, memory: &Memory) -> Mailbox<A> {
        let shared = Shared {
            number,
            queue: Queue::new(capacity, memory),
            heard: AtomicU64::new(EVERYBODY),
            error: AtomicI32::new(0),
            shut: AtomicBool::new(false),
            sending_over: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            readers: Waiters::default(),
            writers: Waiters::default(),
            budget: Budget::new(capacity),
            sent: Mutex::default(),
        };
        Mailbox { shared: Arc::new(shared) }
    }

    /// A way to send to it.
    pub fn slot(&self) -> MailSlot<A> {
        MailSlot { shared: Arc::clone(&self.shared) }
    }

    /// Takes one message, or with `peek` a copy of it (MSG_PEEK); `None` after [`Mailbox::shutdown_read`], when it is
    /// empty.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if there is none; what the socket is to be told, once; [`Error::NetworkDown`] after the
    /// stack has stopped.
    pub fn try_receive(&self, buffers: &mut [IoSliceMut<'_>], peek: bool) -> Result<Option<Received<A>>> {
        let shared = &*self.shared;
        shared.take_error()?;
        let is_over = shared.shut.load(Ordering::Acquire);
        let read = lock(&shared.queue).read(buffers, peek, |(from, _)| from.clone());
        let Some((received, taken)) = read else {
            return match is_over {
                true if shared.stopped.load(Ordering::Acquire) => Err(Error::NetworkDown),
                true => Ok(None),
                false => Err(Error::WouldBlock),
            };
        };
        if taken.is_some() {
            shared.writers.wake(None);
        }
        Ok(Some(received))
    }

    /// [`Mailbox::try_receive`], or wakes the task later.
    pub fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Poll<Result<Option<Received<A>>>> {
        self.shared.readers.poll(context, || self.try_receive(buffers, peek))
    }

    /// Takes what the socket is to be told, if nobody was told yet (SO_ERROR).
    ///
    /// # Errors
    ///
    /// That.
    pub fn take_error(&self) -> Result<()> {
        self.shared.take_error()
    }

    /// Whether the owner may send a message of so many bytes, to whomever.
    ///
    /// # Errors
    ///
    /// In this order, as on Linux: [`Error::MessageTooLong`] if it is longer than all that may be on its way; what the
    /// socket is to be told, once; [`Error::BrokenPipe`] after [`Mailbox::shutdown_write`]; [`Error::WouldBlock`] while
    /// too much is on its way; [`Error::NetworkDown`] after the stack has stopped.
    pub fn try_room(&self, length: usize) -> Result<()> {
        let shared = &*self.shared;
        if !shared.budget.fits(length) {
            return Err(Error::MessageTooLong);
        }
        shared.take_error()?;
        if shared.stopped.load(Ordering::Acquire) {
            return Err(Error::NetworkDown);
        }
        if shared.sending_over.load(Ordering::Acquire) {
            return Err(Error::BrokenPipe);
        }
        if shared.budget.has_room() { Ok(()) } else { Err(Error::WouldBlock) }
    }

    /// [`Mailbox::try_room`], or wakes the task later: when three quarters of what may be on its way are free again.
    pub fn poll_room(&self, context: &mut Context<'_>, length: usize) -> Poll<Result<()>> {
        self.shared.budget.writers.poll(context, || self.try_room(length))
    }

    /// Sends the bytes of all buffers as one message of the owner, which is called `from`.
    ///
    /// # Errors
    ///
    /// As [`Mailbox::try_room`]; then [`Error::NotPermitted`] if the mailbox hears somebody else only;
    /// [`Error::ConnectionRefused`] if its owner is gone; [`Error::BrokenPipe`] if it receives no more;
    /// [`Error::WouldBlock`] while too many wait in it.
    pub fn try_send(&self, to: &MailSlot<A>, buffers: &[IoSlice<'_>], from: A) -> Result<()> {
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        self.try_room(length)?;
        to.put(buffers, length, (from, self.shared.number), &self.shared.budget)?;
        lock(&self.shared.sent).add(length);
        Ok(())
    }

    /// [`Mailbox::try_send`], or wakes the task later.
    pub fn poll_send(
        &self,
        context: &mut Context<'_>,
        to: &MailSlot<A>,
        buffers: &[IoSlice<'_>],
        from: &A,
    ) -> Poll<Result<()>> {
        let send = || self.try_send(to, buffers, from.clone());
        match self.shared.budget.writers.poll(context, send) {
            Poll::Pending => to.shared.writers.poll(context, send),
            sent => sent,
        }
    }

    /// How many bytes may be on their way, from here on (SO_SNDBUF).
    pub fn set_send_capacity(&self, capacity: usize) {
        self.shared.budget.set_most(capacity);
    }

    /// Whether sending to `peer`, or to nobody that is known, does not have to wait. As on Linux that is not yet so when
    /// the first message has been read.
    pub fn is_writable(&self, peer: Option<&MailSlot<A>>) -> bool {
        self.shared.budget.is_mostly_free() && peer.is_none_or(|peer| peer.has_room_for(self.shared.number))
    }

    /// The next time that there is room to send to `peer`, or it ends, `waker` is woken.
    pub fn watch_writable(&self, waker: &Waker, peer: Option<&MailSlot<A>>) {
        self.shared.budget.writers.register(waker);
        if let Some(peer) = peer {
            peer.shared.writers.register(waker);
        }
    }

    /// The owner sends nothing more.
    pub fn shutdown_write(&self) {
        self.shared.sending_over.store(true, Ordering::Release);
        self.shared.wake_all();
    }

    /// Whether neither direction goes on.
    pub fn is_over(&self) -> bool {
        self.is_shut() && self.shared.sending_over.load(Ordering::Acquire)
    }

    /// Whether an error waits to be told; asking does not take it.
    pub fn has_error(&self) -> bool {
        self.shared.error.load(Ordering::Acquire) != 0
    }

    /// Whether receiving does not have to wait.
    pub fn is_readable(&self) -> bool {
        self.has_error() || self.shared.shut.load(Ordering::Acquire) || self.next_length().is_some()
    }

    /// The next time that something comes or ends, `waker` is woken.
    pub fn watch(&self, waker: &Waker) {
        self.shared.readers.register(waker);
    }

    /// Whether nothing more will be received.
    pub fn is_shut(&self) -> bool {
        self.shared.shut.load(Ordering::Acquire)
    }

    /// The length of the next message (FIONREAD); `None` if there is none.
    pub fn next_length(&self) -> Option<usize> {
        lock(&self.shared.queue).datagrams.front().map(|(_, bytes)| bytes.len())
    }

    /// Nothing more will be received; what waits can be. Whoever sends is told a broken pipe.
    pub fn shutdown_read(&self) {
        self.shared.shut.store(true, Ordering::Release);
        self.shared.wake_all();
    }
}

impl<A> Drop for Mailbox<A> {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::Release);
        // What nobody will read needs no memory, however long others keep their slots.
        let unread = lock(&self.shared.queue).take_all();
        drop(unread);
        self.shared.writers.wake(None);
    }
}

impl<A> MailSlot<A> {
    fn put(
        &self,
        buffers: &[IoSlice<'_>],
        length: usize,
        (from, number): (A, u64),
        budget: &Arc<Budget>,
    ) -> Result<()> {
        let shared = &*self.shared;
        let mut queue = lock(&shared.queue);
        let heard = shared.heard.load(Ordering::Acquire);
        // Under the lock: the owner empties the queue after it has said that it is gone.
        if shared.gone.load(Ordering::Acquire) {
            return Err(Error::ConnectionRefused);
        }
        if heard != EVERYBODY && heard != number {
            return Err(Error::NotPermitted);
        }
        if shared.shut.load(Ordering::Acquire) {
            let is_stopped = shared.stopped.load(Ordering::Acquire);
            return Err(if is_stopped { Error::NetworkDown } else { Error::BrokenPipe });
        }
        if shared.is_full(&queue, number) {
            return Err(Error::WouldBlock);
        }
        queue.push((from, budget.pay(length)), gather(buffers, length));
        drop(queue);
        shared.readers.wake(None);
        Ok(())
    }

    /// Whether the one of this number does not have to wait.
    fn has_room_for(&self, sender: u64) -> bool {
        let is_over = self.is_gone() || self.shared.shut.load(Ordering::Acquire);
        is_over || !self.shared.is_full(&lock(&self.shared.queue), sender)
    }

    /// Whether the owner of the mailbox is gone.
    pub fn is_gone(&self) -> bool {
        self.shared.gone.load(Ordering::Acquire)
    }

    /// From here on the mailbox hears only the one of this number; `None`: everybody.
    pub fn hear_only(&self, sender: Option<u64>) {
        self.shared.heard.store(sender.unwrap_or(EVERYBODY), Ordering::Release);
        self.shared.writers.wake(None);
    }

    /// Throws away what waits; says whether anything did.
    pub fn clear(&self) -> bool {
        let unread = lock(&self.shared.queue).take_all();
        self.shared.writers.wake(None);
        !unread.is_empty()
    }

    /// The next call of the mailbox's owner is told this.
    pub fn fail(&self, error: Error) {
        self.shared.error.store(error.errno(), Ordering::Release);
        self.shared.wake_all();
    }

    /// What the owner of the mailbox has received and sent, and what waits.
    pub fn carried(&self) -> Carried {
        let sent = *lock(&self.shared.sent);
        let queue = lock(&self.shared.queue);
        Carried { received: queue.taken, sent, unread: queue.waiting() }
    }

    /// The stack stops.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.shut.store(true, Ordering::Release);
        self.shared.wake_all();
    }
}

#[cfg(test)]
mod tests;
