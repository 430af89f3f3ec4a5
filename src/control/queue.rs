//! What waits for a client that watches: bounded, and never waited for by the engine.

use std::borrow::Cow;
use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::observe::{Event, Record};

/// One entry on its way to a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told<'a> {
    /// A record, and how long its packet is: there may be less of it.
    Record(Record<'a>, usize),
    /// So many are missing here.
    Dropped(u64),
}

/// Entries in their order. The bytes of all packets stand one behind the other: a packet costs the engine's thread a copy,
/// and no allocation where there was one as large before.
#[derive(Debug, Default)]
pub(super) struct Batch {
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Entry {
    Record {
        /// Without the bytes of its packet.
        record: Record<'static>,
        /// How many of these are kept.
        kept: usize,
        /// How long the packet is.
        length: usize,
    },
    Dropped(u64),
}

impl Batch {
    /// A record with so many of the bytes of its packet.
    fn push(&mut self, record: &Record<'_>, bytes: &[u8]) {
        let length = bytes_of(&record.event).len();
        let none = Cow::Borrowed(&[][..]);
        let event = match record.event {
            Event::Frame { direction, fate, .. } => Event::Frame { direction, bytes: none, fate },
            Event::Loopback { direction, fate, .. } => Event::Loopback { direction, bytes: none, fate },
            ref event => event.clone().into_owned(),
        };
        self.bytes.extend_from_slice(bytes);
        let record = Record { id: record.id, cause: record.cause, at: record.at, event };
        self.entries.push(Entry::Record { record, kept: bytes.len(), length });
    }

    /// Takes all there are.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Told<'_>> {
        let mut rest = &self.bytes[..];
        self.entries.drain(..).map(move |entry| match entry {
            Entry::Record { record: Record { id, cause, at, event }, kept, length } => {
                let (bytes, behind) = rest.split_at(kept);
                rest = behind;
                let bytes = Cow::Borrowed(bytes);
                let event = match event {
                    Event::Frame { direction, fate, .. } => Event::Frame { direction, bytes, fate },
                    Event::Loopback { direction, fate, .. } => Event::Loopback { direction, bytes, fate },
                    event => event,
                };
                Told::Record(Record { id, cause, at, event }, length)
            }
            Entry::Dropped(records) => Told::Dropped(records),
        })
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes.clear();
    }

    /// What it takes in memory, nearly.
    fn weight(&self) -> usize {
        self.entries.len() * size_of::<Entry>() + self.bytes.len()
    }
}

fn bytes_of<'a>(event: &'a Event<'_>) -> &'a [u8] {
    match event {
        Event::Frame { bytes, .. } | Event::Loopback { bytes, .. } => bytes,
        _ => &[],
    }
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// Lost since there was room.
    dropped: u64,
    /// How many more are wanted.
    left: Option<u64>,
}

/// Events from the engine's thread to the one that serves clients.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    most: usize,
    /// So much is kept of a packet.
    snap: usize,
    filled: Notify,
}

impl Queue {
    /// Holds `most` bytes.
    pub(super) fn new(most: usize) -> Queue {
        Queue { state: Mutex::default(), most, snap: usize::MAX, filled: Notify::new() }
    }

    /// Takes so many records in all.
    pub(super) fn up_to(mut self, count: Option<u64>) -> Queue {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).left = count;
        self
    }

    /// Keeps so many bytes of a packet at most.
    pub(super) fn snap(mut self, bytes: Option<usize>) -> Queue {
        self.snap = bytes.unwrap_or(usize::MAX);
        self
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a copy, if there is room, or else counts what is lost. Says whether more are wanted after it.
    pub(super) fn push(&self, record: &Record<'_>, lost: &AtomicU64) -> bool {
        let mut state = self.lock();
        if state.left == Some(0) {
            return false;
        }
        let bytes = bytes_of(&record.event);
        let bytes = &bytes[..bytes.len().min(self.snap)];
        if state.waiting.weight() + size_of::<Entry>() + bytes.len() > self.most {
            state.dropped += 1;
            lost.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let was_empty = state.waiting.entries.is_empty();
        // Where room was found again, the gap is told before what comes after it.
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            state.waiting.entries.push(Entry::Dropped(dropped));
        }
        state.waiting.push(record, bytes);
        state.left = state.left.map(|left| left - 1);
        let is_last = state.left == Some(0);
        drop(state);
        if was_empty || is_last {
            self.filled.notify_one();
        }
        !is_last
    }

    /// Waits for entries and takes all there are, in exchange for a batch that is done with. False: all that were wanted
    /// have been taken.
    pub(super) async fn take(&self, batch: &mut Batch) -> bool {
        batch.clear();
        loop {
            if let Some(is_more) = self.take_now(batch) {
                return is_more;
            }
            self.filled.notified().await;
        }
    }

    /// Nothing more is wanted.
    pub(super) fn close(&self) {
        self.lock().left = Some(0);
        self.filled.notify_one();
    }

    /// Takes what there is. `None`: nothing yet; false: nothing any more.
    fn take_now(&self, batch: &mut Batch) -> Option<bool> {
        let mut state = self.lock();
        if state.waiting.entries.is_empty() {
            return (state.left == Some(0)).then_some(false);
        }
        std::mem::swap(&mut state.waiting, batch);
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        if dropped > 0 {
            batch.entries.push(Entry::Dropped(dropped));
        }
        Some(true)
    }
}
