use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::lock;

/// In a build that can tell nothing there is nothing to ask (see `observe::Trail`).
const IS_MUTE: bool = option_env!("TAPSOCK_MUTE").is_some();

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
    /// It read, and met the end.
    End,
    /// It was refused something, with this errno(3). That there is nothing yet is no refusal, and nobody is told: a
    /// program may ask any number of times.
    Failed(Attempt, i32),
}

/// What a program was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attempt {
    /// To take a connection from the queue.
    Accept,
    /// A connection that was begun before.
    Connect,
    /// To take bytes.
    Read,
    /// To give bytes.
    Write,
    /// Nothing: it asked what went wrong (SO_ERROR).
    Error,
}

/// What programs have done and nobody has been told. Where nobody looks, a deed costs one load, from a line of memory
/// that nobody writes.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Deeds {
    is_wanted: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    /// By descriptor.
    deeds: Vec<(usize, Deed)>,
    /// So many wait to be told at most.
    most: usize,
    /// What did not fit.
    lost: u64,
}

impl Default for Log {
    fn default() -> Log {
        Log { deeds: Vec::new(), most: usize::MAX, lost: 0 }
    }
}

impl Deeds {
    pub(super) fn want(&self, is_wanted: bool) {
        self.is_wanted.store(is_wanted, Ordering::Relaxed);
        // What came between the last look and this is nobody's.
        let mut log = lock(&self.log);
        (log.deeds, log.lost) = (Vec::new(), 0);
    }

    pub(super) fn bound(&self, most: usize) {
        lock(&self.log).most = most;
    }

    pub(super) fn is_wanted(&self) -> bool {
        !IS_MUTE && self.is_wanted.load(Ordering::Relaxed)
    }

    #[cold]
    pub(super) fn push(&self, descriptor: usize, deed: Deed) {
        let mut log = lock(&self.log);
        if log.deeds.len() < log.most {
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
