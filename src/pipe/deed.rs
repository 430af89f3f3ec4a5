use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::lock;

/// So many wait to be told at most; what does not fit is counted.
const MOST: usize = 16 * 1024;

/// What a program has done at its end of a pipe, for which it needed no engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Deed {
    /// It took a connection from the queue.
    Accept,
    /// It took so many bytes, or a message of so many.
    Read(usize),
    /// It gave so many bytes, or a message of so many.
    Write(usize),
    /// It will read nothing more, or not listen any more.
    ShutdownRead,
    /// It will write nothing more.
    ShutdownWrite,
    /// It let go.
    Close,
}

/// What programs have done and nobody has been told. Where nobody looks, a deed costs one load, from a line of memory
/// that nobody writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Deeds {
    is_wanted: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    /// By descriptor.
    deeds: Vec<(usize, Deed)>,
    lost: u64,
}

impl Deeds {
    pub(super) fn want(&self, is_wanted: bool) {
        self.is_wanted.store(is_wanted, Ordering::Relaxed);
        // What came between the last look and this is nobody's.
        *lock(&self.log) = Log::default();
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted.load(Ordering::Relaxed)
    }

    #[cold]
    pub(super) fn push(&self, descriptor: usize, deed: Deed) {
        let mut log = lock(&self.log);
        if log.deeds.len() < MOST {
            log.deeds.push((descriptor, deed));
        } else {
            log.lost += 1;
        }
    }

    /// Moves them to `deeds`, and gives how many were lost behind them.
    pub(super) fn take(&self, deeds: &mut Vec<(usize, Deed)>) -> u64 {
        let mut log = lock(&self.log);
        deeds.append(&mut log.deeds);
        std::mem::take(&mut log.lost)
    }
}
