use std::io::{IoSlice, IoSliceMut};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use super::datagram::{COST, Queue, Received, gather, scatter};
use super::joined::{Carried, Tally};
use super::lock;
use super::waiters::Waiters;
use crate::error::{Error, Result};
use crate::memory::Memory;

/// Everybody may send.
const EVERYBODY: u64 = 0;

#[derive(Debug)]
struct Shared<A> {
    queue: Mutex<Queue<A>>,
    /// The only one that may send, by its number.
    heard: AtomicU64,
    /// The errno that the receiver's next call is told; 0: none.
    error: AtomicI32,
    /// Nothing more will be received.
    shut: AtomicBool,
    /// The receiver is gone.
    gone: AtomicBool,
    /// The stack has stopped.
    stopped: AtomicBool,
    readers: Waiters,
    writers: Waiters,
    /// What the owner has sent, to whomever.
    sent: Mutex<Tally>,
}

impl<A> Shared<A> {
    fn wake_all(&self) {
        self.readers.wake(None);
        self.writers.wake(None);
    }

    fn take_error(&self) -> Result<()> {
        match self.error.swap(0, Ordering::AcqRel) {
            0 => Ok(()),
            errno => Err(Error::from_errno(errno).unwrap_or(Error::ConnectionReset)),
        }
    }
}

/// What a socket of messages receives, from anybody who has a [`MailSlot`] of it. The stack is not on the way.
///
/// ```
/// use tapsock::{memory::Memory, pipe::Mailbox};
/// use std::io::{IoSlice, IoSliceMut};
/// let mailbox = Mailbox::new(4096, &Memory::new(1 << 20));
/// mailbox.slot().try_send(&[IoSlice::new(b"hello")], "alice", 1)?;
/// let mut buffer = [0; 16];
/// let message = mailbox.try_receive(&mut [IoSliceMut::new(&mut buffer)], false)?;
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
    /// An empty one, for `capacity` bytes with a little for each message besides. What waits counts in `memory`.
    pub fn new(capacity: usize, memory: &Memory) -> Mailbox<A> {
        let shared = Shared {
            queue: Queue::new(capacity, memory),
            heard: AtomicU64::new(EVERYBODY),
            error: AtomicI32::new(0),
            shut: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            readers: Waiters::default(),
            writers: Waiters::default(),
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
        let mut queue = lock(&shared.queue);
        let taken;
        let next = if peek {
            queue.datagrams.front()
        } else {
            taken = queue.receive();
            taken.as_ref()
        };
        let Some((addresses, bytes)) = next else {
            return match is_over {
                true if shared.stopped.load(Ordering::Acquire) => Err(Error::NetworkDown),
                true => Ok(None),
                false => Err(Error::WouldBlock),
            };
        };
        let count = scatter(bytes, buffers);
        let received = Received { count, length: bytes.len(), addresses: addresses.clone() };
        drop(queue);
        if !peek {
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

    /// The owner has sent a message of so many bytes to somebody else's mailbox.
    pub fn note_sent(&self, bytes: usize) {
        lock(&self.shared.sent).add(bytes);
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
        let mut queue = lock(&self.shared.queue);
        while queue.pop().is_some() {}
        drop(queue);
        self.shared.writers.wake(None);
    }
}

impl<A> MailSlot<A> {
    /// Sends the bytes of all buffers as one message of `from`, whose number is `sender`.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`] if the mailbox cannot hold it; [`Error::NotPermitted`] if it hears somebody else only;
    /// [`Error::ConnectionRefused`] if its owner is gone; [`Error::BrokenPipe`] if it receives no more;
    /// [`Error::WouldBlock`] while too many wait; [`Error::NetworkDown`] after the stack has stopped.
    pub fn try_send(&self, buffers: &[IoSlice<'_>], from: A, sender: u64) -> Result<()> {
        let shared = &*self.shared;
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        let mut queue = lock(&shared.queue);
        if length + COST > queue.capacity {
            return Err(Error::MessageTooLong);
        }
        let heard = shared.heard.load(Ordering::Acquire);
        // Under the lock: the owner empties the queue after it has said that it is gone.
        if shared.gone.load(Ordering::Acquire) {
            return Err(Error::ConnectionRefused);
        }
        if heard != EVERYBODY && heard != sender {
            return Err(Error::NotPermitted);
        }
        if shared.shut.load(Ordering::Acquire) {
            let is_stopped = shared.stopped.load(Ordering::Acquire);
            return Err(if is_stopped { Error::NetworkDown } else { Error::BrokenPipe });
        }
        if !takes(&queue, length) {
            return Err(Error::WouldBlock);
        }
        queue.push(from, gather(buffers, length));
        drop(queue);
        shared.readers.wake(None);
        Ok(())
    }

    /// [`MailSlot::try_send`], or wakes the task later.
    pub fn poll_send(
        &self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
        from: &A,
        sender: u64,
    ) -> Poll<Result<()>>
    where
        A: Clone,
    {
        self.shared.writers.poll(context, || self.try_send(buffers, from.clone(), sender))
    }

    /// Whether sending does not have to wait.
    pub fn is_writable(&self) -> bool {
        let is_over = self.is_gone() || self.shared.shut.load(Ordering::Acquire);
        is_over || takes(&lock(&self.shared.queue), 0)
    }

    /// The next time that there is room or nobody to send to, `waker` is woken.
    pub fn watch(&self, waker: &Waker) {
        self.shared.writers.register(waker);
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
        let mut queue = lock(&self.shared.queue);
        let had_some = !queue.datagrams.is_empty();
        while queue.pop().is_some() {}
        drop(queue);
        self.shared.writers.wake(None);
        had_some
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

/// Whether there is room. At the limit on memory each mailbox may still have one message.
fn takes<A>(queue: &Queue<A>, length: usize) -> bool {
    queue.has_room(length) && (queue.datagrams.is_empty() || !queue.charge.is_exhausted_for_program())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(slot: &MailSlot<u8>, bytes: &[u8], sender: u64) -> Result<()> {
        slot.try_send(&[IoSlice::new(bytes)], 7, sender)
    }

    fn receive(mailbox: &Mailbox<u8>, room: usize) -> Result<Option<Received<u8>>> {
        mailbox.try_receive(&mut [IoSliceMut::new(&mut vec![0; room])], false)
    }

    #[test]
    fn messages_of_many_senders_come_in_order_and_whole() {
        let mailbox = Mailbox::new(1024, &Memory::new(usize::MAX));
        send(&mailbox.slot(), b"one", 1).unwrap();
        send(&mailbox.slot(), b"", 2).unwrap();
        assert_eq!(receive(&mailbox, 2), Ok(Some(Received { count: 2, length: 3, addresses: 7 })));
        assert_eq!(receive(&mailbox, 2), Ok(Some(Received { count: 0, length: 0, addresses: 7 })));
        assert_eq!(receive(&mailbox, 2), Err(Error::WouldBlock));
    }

    #[test]
    fn who_is_not_heard_is_refused_and_who_is_gone_refuses() {
        let mailbox = Mailbox::new(1024, &Memory::new(usize::MAX));
        let slot = mailbox.slot();
        slot.hear_only(Some(1));
        assert_eq!(send(&slot, b"x", 1), Ok(()));
        assert_eq!(send(&slot, b"x", 2), Err(Error::NotPermitted));
        slot.hear_only(None);
        assert_eq!(send(&slot, b"x", 2), Ok(()));
        mailbox.shutdown_read();
        assert_eq!(send(&slot, b"x", 1), Err(Error::BrokenPipe));
        assert!(receive(&mailbox, 1).is_ok_and(|message| message.is_some()));
        drop(mailbox);
        assert_eq!(send(&slot, b"x", 1), Err(Error::ConnectionRefused));
    }

    #[test]
    fn a_mailbox_is_bounded_and_its_messages_are_counted() {
        let memory = Memory::new(10_000);
        let mailbox = Mailbox::new(100_000, &memory);
        let slot = mailbox.slot();
        assert_eq!(send(&slot, &[0; 100_000 - COST + 1], 1), Err(Error::MessageTooLong));
        assert_eq!(send(&slot, &[0; 20_000], 1), Ok(()), "the first may go beyond the limit");
        assert_eq!(memory.used(), 20_000 + COST);
        assert_eq!((send(&slot, b"", 1), slot.is_writable()), (Err(Error::WouldBlock), false));
        assert!(slot.clear());
        assert_eq!((memory.used(), send(&slot, &[0; 5], 1)), (0, Ok(())));
        drop(mailbox);
        assert_eq!(memory.used(), 0, "though a slot is left");
    }
}
