//! One observer for the log and for everybody who watches.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::filter::Sieve;
use super::queue::Queue;
use crate::observe::{Depth, Observer, Record};

/// The depths by their numbers, as an atomic keeps them.
const DEPTHS: [Depth; 6] = [Depth::Nothing, Depth::Life, Depth::Call, Depth::Segment, Depth::Frame, Depth::Bytes];

/// Everybody who watches a stack over its control socket. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The greatest depth of all seats: what the engine reads each step.
    depth: AtomicU8,
    seats: Mutex<Vec<Seat>>,
    /// Records that somebody would have been told, had there been room.
    lost: AtomicU64,
    /// Clients of the control socket, whether they watch or not.
    clients: AtomicUsize,
}

/// Where one client watches from.
#[derive(Debug)]
struct Seat {
    depth: Depth,
    sieve: Sieve,
    queue: Arc<Queue>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, seats: &[Seat]) {
        let depth = seats.iter().map(|seat| seat.depth).max().unwrap_or_default();
        self.depth.store(depth as u8, Ordering::Relaxed);
    }
}

impl Audience {
    /// How closely somebody looks.
    pub fn depth(&self) -> Depth {
        DEPTHS.get(usize::from(self.shared.depth.load(Ordering::Relaxed))).copied().unwrap_or_default()
    }

    /// How many look, and how many records they have not been told, because they read too slowly.
    pub fn figures(&self) -> (usize, u64) {
        (self.shared.lock().len(), self.shared.lost.load(Ordering::Relaxed))
    }

    /// How many clients the control socket serves, whether they look or not.
    pub fn clients(&self) -> usize {
        self.shared.clients.load(Ordering::Relaxed)
    }

    pub(super) fn set_clients(&self, clients: usize) {
        self.shared.clients.store(clients, Ordering::Relaxed);
    }

    /// Takes a seat: from the engine's next step on, what passes comes to the queue.
    pub(super) fn sit(&self, depth: Depth, sieve: Sieve, queue: Queue) -> Watching {
        let queue = Arc::new(queue);
        let mut seats = self.shared.lock();
        seats.push(Seat { depth, sieve, queue: Arc::clone(&queue) });
        self.shared.measure(&seats);
        drop(seats);
        Watching { audience: self.clone(), queue }
    }

    /// The stack has stopped: everybody gets what waits, and nothing after it.
    pub(super) fn dismiss(&self) {
        for seat in self.shared.lock().iter() {
            seat.queue.close();
        }
    }

    /// Tells everybody who wants to know. The lock is held by others only while they sit down or get up.
    fn tell(&self, record: &Record<'_>) {
        let depth = record.event.depth();
        let mut seats = self.shared.lock();
        let before = seats.len();
        let lost = &self.shared.lost;
        seats.retain_mut(|seat| seat.depth < depth || !seat.sieve.passes(record) || seat.queue.push(record, lost));
        if seats.len() < before {
            self.shared.measure(&seats);
        }
    }
}

/// A seat that is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Watching {
    audience: Audience,
    pub(super) queue: Arc<Queue>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let shared = &self.audience.shared;
        let mut seats = shared.lock();
        seats.retain(|seat| !Arc::ptr_eq(&seat.queue, &self.queue));
        shared.measure(&seats);
    }
}

/// Tells one observer, as closely as it looks, and the audience.
///
/// ```
/// use tapsock::control::{Audience, Fanout};
/// use tapsock::observe::{Depth, NoObserver, Observer};
///
/// let fanout = Fanout::new(Box::new(NoObserver), Audience::default());
/// assert_eq!(fanout.depth(), Depth::Nothing); // nobody looks
/// ```
pub struct Fanout {
    first: Box<dyn Observer>,
    audience: Audience,
}

impl Fanout {
    /// From here on both are told.
    pub fn new(first: Box<dyn Observer>, audience: Audience) -> Fanout {
        Fanout { first, audience }
    }
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl Observer for Fanout {
    fn depth(&self) -> Depth {
        self.first.depth().max(self.audience.depth())
    }

    fn observe(&mut self, record: &Record<'_>) {
        let depth = record.event.depth();
        if self.first.depth() >= depth {
            self.first.observe(record);
        }
        if self.audience.depth() >= depth {
            self.audience.tell(record);
        }
    }
}
