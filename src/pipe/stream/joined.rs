use std::fmt;
use std::sync::Arc;

use super::super::link::{Link, Side};
use super::super::ring::Ring;
use crate::error::Error;

/// What the engine keeps of an application's end that is joined to another's. It moves no bytes; it sees what became of
/// the end.
pub struct JoinedEnd {
    link: Arc<Link<Ring>>,
    side: Side,
}

impl JoinedEnd {
    pub(super) fn new(link: Arc<Link<Ring>>, side: Side) -> JoinedEnd {
        JoinedEnd { link, side }
    }

    /// Looks after the end: what the application does from here on rings again.
    pub fn answer(&self) {
        if let Some(bell) = self.link.bell(self.side) {
            bell.reset();
        }
    }

    /// Whether the application has dropped it.
    pub fn is_dropped(&self) -> bool {
        self.link.is_gone(self.side)
    }

    /// Whether the application will not write any more.
    pub fn has_closed(&self) -> bool {
        self.link.is_writing_over(self.side)
    }

    /// Whether the connection was killed, from either end.
    pub fn is_dead(&self) -> bool {
        self.link.is_dead()
    }

    /// How many bytes the application has written, modulo the size of the number.
    pub fn written(&self) -> usize {
        self.link.outgoing(self.side).queue.written()
    }

    /// How many bytes it has read, likewise.
    pub fn read(&self) -> usize {
        self.link.incoming(self.side).queue.read()
    }

    /// How many bytes wait to be read by it.
    pub fn unread(&self) -> usize {
        self.link.incoming(self.side).queue.len()
    }

    /// How many bytes the peer has not read yet.
    pub fn unsent(&self) -> usize {
        self.link.outgoing(self.side).queue.len()
    }

    /// Whether dropping the end kills the connection, as by a RST (SO_LINGER at zero). Between Unix sockets it does
    /// not, as on Linux.
    pub fn set_abortive(&self, aborts: bool) {
        self.link.set_abortive(self.side, aborts);
    }

    /// Kills the connection, with this error at both ends: the stack stops, or its address is gone.
    pub fn fail(&self, error: Error) {
        for side in [self.side, self.side.other()] {
            self.link.set_error(side, error);
        }
        self.link.stop();
    }

    /// Whether the rings hold memory that was written.
    pub fn holds_memory(&self) -> bool {
        [Side::Left, Side::Right].iter().any(|&side| self.link.outgoing(side).queue.holds_memory())
    }

    /// Gives the memory of empty rings back to the kernel. Says whether nothing is left to be given back.
    pub fn rest(&self) -> bool {
        let rings = [Side::Left, Side::Right].map(|side| &self.link.outgoing(side).queue);
        rings.iter().for_each(|ring| ring.rest());
        rings.iter().all(|ring| !ring.holds_memory())
    }
}

impl fmt::Debug for JoinedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedEnd").field("side", &self.side).finish_non_exhaustive()
    }
}
