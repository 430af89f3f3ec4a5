//! What waits for a client that watches: bounded, and never waited for by the engine.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::observe::{Event, Record};

/// One entry on its way to a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Record(Record<'static>),
    /// So many are missing here.
    Dropped(u64),
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Told>,
    bytes: usize,
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
    filled: Notify,
}

impl Queue {
    /// Holds `most` bytes, and takes `count` records in all.
    pub(super) fn new(most: usize, count: Option<u64>) -> Queue {
        let state = State { left: count, ..State::default() };
        Queue { state: Mutex::new(state), most, filled: Notify::new() }
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
        let bytes = weight(record);
        if state.bytes + bytes > self.most {
            state.dropped += 1;
            lost.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let was_empty = state.waiting.is_empty();
        // Where room was found again, the gap is told before what comes after it.
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            state.waiting.push_back(Told::Dropped(dropped));
        }
        state.bytes += bytes;
        state.waiting.push_back(Told::Record(record.clone().into_owned()));
        state.left = state.left.map(|left| left - 1);
        let is_last = state.left == Some(0);
        drop(state);
        if was_empty || is_last {
            self.filled.notify_one();
        }
        !is_last
    }

    /// Waits for entries and takes all there are; `None` when all that were wanted have been taken.
    pub(super) async fn take(&self) -> Option<VecDeque<Told>> {
        loop {
            if let Some(taken) = self.take_now() {
                return taken;
            }
            self.filled.notified().await;
        }
    }

    /// Nothing more is wanted.
    pub(super) fn close(&self) {
        self.lock().left = Some(0);
        self.filled.notify_one();
    }

    /// What there is; `None`: nothing yet; `Some(None)`: nothing any more.
    fn take_now(&self) -> Option<Option<VecDeque<Told>>> {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            return (state.left == Some(0)).then_some(None);
        }
        state.bytes = 0;
        let mut taken = std::mem::take(&mut state.waiting);
        let dropped = std::mem::take(&mut state.dropped);
        if dropped > 0 {
            taken.push_back(Told::Dropped(dropped));
        }
        Some(Some(taken))
    }
}

/// What an entry takes in memory, nearly.
fn weight(record: &Record<'_>) -> usize {
    let behind = match &record.event {
        Event::Frame { bytes, .. } | Event::Loopback { bytes, .. } => bytes.len(),
        _ => 0,
    };
    size_of::<Told>() + behind
}
