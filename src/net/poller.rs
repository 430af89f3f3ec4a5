//! Many sockets and one thread that waits for all of them.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use super::Socket;
use super::socket::Inner;
use crate::pipe::{Interest, Readiness};

/// How often a [`Poller`] tells of a socket that is ready (`epoll(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trigger {
    /// Each time, as long as it is ready.
    #[default]
    Level,
    /// Once, and again when something more has happened to it: read or write until `WouldBlock` (EPOLLET).
    Edge,
}

/// A socket is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What [`Poller::register`] was given.
    pub key: u64,
    /// For what: of reading and writing only what was asked for, and ends and errors in any case.
    pub readiness: Readiness,
}

/// Waits for many sockets at once, like epoll: one thread serves them all. The sockets may be of several stacks.
///
/// A socket that is closed, because its last handle was dropped, leaves by itself.
///
/// ```
/// use std::io::{Read, Write};
/// use tapsock::net::{Interest, Poller, Stack, TcpListener, TcpStream, Trigger};
///
/// let stack = Stack::builder().loopback_only()?;
/// let listener = TcpListener::bind(&stack, "127.0.0.1:0".parse()?)?;
/// let mut client = TcpStream::connect(&stack, listener.local_addr()?)?;
/// let (mut server, _) = listener.accept()?;
///
/// let poller = Poller::new();
/// poller.register(&server, 7, Interest::Readable, Trigger::Level)?;
/// client.write_all(b"hello")?;
/// let mut events = Vec::new();
/// poller.wait(&mut events, None)?;
/// assert_eq!(events[0].key, 7);
/// assert_eq!(server.read(&mut [0; 16])?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct Poller {
    shared: Arc<Shared>,
    entries: Mutex<Entries>,
}

/// The registrations, by the address of what all handles of a socket share; no other gets it while the entry is there.
#[derive(Debug, Default)]
struct Entries {
    table: HashMap<usize, Entry>,
    /// When there are so many, those of closed sockets are looked for.
    enough: usize,
}

impl Entries {
    /// Forgets closed sockets, so rarely that it costs next to nothing for each.
    fn sweep(&mut self) {
        if self.table.len() >= self.enough {
            self.table.retain(|_, entry| entry.socket.strong_count() > 0);
            self.enough = 2 * self.table.len() + FEW;
        }
    }
}

/// So many registrations are not worth a look.
const FEW: usize = 64;

#[derive(Debug)]
struct Entry {
    socket: Weak<Inner>,
    key: u64,
    interest: Interest,
    trigger: Trigger,
    token: Arc<Token>,
}

/// Those to whom something has happened, in that order.
#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<VecDeque<Arc<Token>>>,
    arrived: Condvar,
}

/// One registration, as its socket knows it.
#[derive(Debug)]
struct Token {
    address: usize,
    is_queued: AtomicBool,
    shared: Weak<Shared>,
}

impl Wake for Token {
    fn wake(self: Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel)
            && let Some(shared) = self.shared.upgrade()
        {
            lock(&shared.queue).push_back(self);
            shared.arrived.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(socket: &Socket) -> usize {
    Arc::as_ptr(&socket.inner).addr()
}

impl Poller {
    /// One that waits for nothing yet.
    pub fn new() -> Poller {
        Poller::default()
    }

    /// Waits for `socket` as well, from now on; its events carry `key` (EPOLL_CTL_ADD).
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if it does so already.
    pub fn register(
        &self,
        socket: &impl AsRef<Socket>,
        key: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        let (socket, mut entries) = (socket.as_ref(), lock(&self.entries));
        let address = address(socket);
        entries.sweep();
        if entries.table.contains_key(&address) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let (is_queued, shared) = (AtomicBool::new(false), Arc::downgrade(&self.shared));
        let token = Arc::new(Token { address, is_queued, shared });
        let entry = Entry { socket: Arc::downgrade(&socket.inner), key, interest, trigger, token };
        // The first look is taken when somebody waits.
        Arc::clone(&entry.token).wake();
        entries.table.insert(address, entry);
        Ok(())
    }

    /// Changes what is waited for (EPOLL_CTL_MOD). Of what it is ready for already there is another event.
    ///
    /// # Errors
    ///
    /// `NotFound` if it is not registered.
    pub fn modify(
        &self,
        socket: &impl AsRef<Socket>,
        key: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        let mut entries = lock(&self.entries);
        let entry = entries.table.get_mut(&address(socket.as_ref())).ok_or(ErrorKind::NotFound)?;
        (entry.key, entry.interest, entry.trigger) = (key, interest, trigger);
        Arc::clone(&entry.token).wake();
        Ok(())
    }

    /// Does not wait for `socket` any more (EPOLL_CTL_DEL).
    ///
    /// # Errors
    ///
    /// `NotFound` if it is not registered.
    pub fn deregister(&self, socket: &impl AsRef<Socket>) -> io::Result<()> {
        let removed = lock(&self.entries).table.remove(&address(socket.as_ref()));
        removed.map(|_| ()).ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Waits until something is ready, at most for `timeout`, and replaces what is in `events` by all that is. Gives how
    /// many there are; none after the timeout (`epoll_wait(2)`).
    ///
    /// # Errors
    ///
    /// None; what such calls give elsewhere.
    pub fn wait(&self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<usize> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        events.clear();
        while events.is_empty() {
            let Some(tokens) = self.arrived(deadline) else { return Ok(0) };
            for token in tokens {
                events.extend(self.look(&token));
            }
        }
        Ok(events.len())
    }

    /// Those to whom something has happened; `None` if it has not before the deadline.
    fn arrived(&self, deadline: Option<Instant>) -> Option<VecDeque<Arc<Token>>> {
        let mut queue = lock(&self.shared.queue);
        while queue.is_empty() {
            queue = match deadline {
                None => self.shared.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return None;
                    }
                    let waited = self.shared.arrived.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Some(std::mem::take(&mut *queue))
    }

    /// What there is to be told of one registration.
    fn look(&self, token: &Arc<Token>) -> Option<Event> {
        // Before the look: what happens after it brings the token back.
        token.is_queued.store(false, Ordering::Release);
        let mut entries = lock(&self.entries);
        let entry = entries.table.get(&token.address).filter(|entry| Arc::ptr_eq(&entry.token, token))?;
        let (key, interest, trigger) = (entry.key, entry.interest, entry.trigger);
        let Some(inner) = entry.socket.upgrade() else {
            entries.table.remove(&token.address);
            return None;
        };
        drop(entries);
        let socket = Socket { inner };
        socket.watch(&Waker::from(Arc::clone(token)), interest);
        let readiness = socket.readiness();
        if !interest.is_met(readiness) {
            return None;
        }
        if trigger == Trigger::Level {
            // It is looked at again the next time, and then either told of or watched.
            Arc::clone(token).wake();
        }
        let asked = Readiness {
            readable: readiness.readable && interest != Interest::Writable,
            writable: readiness.writable && interest != Interest::Readable,
            ..readiness
        };
        Some(Event { key, readiness: asked })
    }
}
