//! Connections between two programs of this stack give the memory of their rings back when nothing moves over them.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Descriptor, Handle, Sockets, State};
use crate::observe::Time;
use crate::pipe::JoinedEnd;

/// A connection over which nothing has moved for so long gives its memory back.
const REST: Duration = Duration::from_secs(1);

/// Joined sockets whose rings hold memory, and when to look whether it can be given back; the earliest first.
#[derive(Debug, Default)]
pub(super) struct Resting {
    queue: VecDeque<Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    at: Time,
    socket: Handle,
    /// What had moved when it was looked at last.
    moved: u64,
}

/// How many bytes have moved, in either direction.
fn moved(end: &JoinedEnd) -> u64 {
    let carried = end.carried();
    carried.sent.bytes.wrapping_add(carried.received.bytes)
}

impl Sockets {
    /// The socket's end, if it is joined to another.
    fn joined_end<'a>(&'a self, entry: &'a Descriptor) -> Option<&'a JoinedEnd> {
        match &entry.state {
            State::Joined { slot } => self.loopback.end(*slot).ok().map(|end| end.pipe()),
            State::Unix(unix) => unix.joined_end(),
            _ => None,
        }
    }

    /// A program has rung: if it has written into a ring, somebody must look whether that is still needed.
    pub(super) fn watch_memory(&mut self, now: Time, descriptor: usize) {
        let Some(entry) = self.table.get(descriptor).filter(|entry| !entry.is_resting) else { return };
        let Some(end) = self.joined_end(entry).filter(|end| end.holds_memory()) else { return };
        let socket = Handle { descriptor, number: entry.id.number };
        self.resting.queue.push_back(Rest { at: now + REST, socket, moved: moved(end) });
        self.table[descriptor].is_resting = true;
    }

    /// When something is to be done without anybody asking.
    pub fn deadline(&self) -> Option<Time> {
        self.resting.queue.front().map(|rest| rest.at)
    }

    /// Gives the memory of connections back over which nothing moves.
    pub fn poll(&mut self, now: Time) {
        while let Some(rest) = self.resting.queue.front().copied().filter(|rest| rest.at <= now) {
            self.resting.queue.pop_front();
            let Some(entry) = self.find(rest.socket) else { continue };
            let Some(end) = self.joined_end(entry) else { continue };
            let moved = moved(end);
            if moved == rest.moved && end.rest() {
                // Whoever writes the next byte rings.
                self.table[rest.socket.descriptor].is_resting = false;
            } else {
                self.resting.queue.push_back(Rest { at: now + REST, moved, ..rest });
            }
        }
    }
}
