use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Bell;
use super::deed::Deed;

/// A program's hold on a socket that has no pipe to the stack: dropped, the stack is told.
#[derive(Debug)]
pub struct Hold {
    is_dropped: Arc<AtomicBool>,
    bell: Bell,
}

/// The stack's end of it.
#[derive(Debug)]
pub struct HoldEnd {
    is_dropped: Arc<AtomicBool>,
}

impl Hold {
    /// Rings `bell` when it is dropped.
    pub fn new(bell: Bell) -> (Hold, HoldEnd) {
        let is_dropped = Arc::new(AtomicBool::new(false));
        (Hold { is_dropped: Arc::clone(&is_dropped), bell }, HoldEnd { is_dropped })
    }
}

impl Hold {
    /// Keeps for the engine what the program has done by another way than a pipe to the stack, if somebody looks.
    pub fn note(&self, deed: Deed) {
        self.bell.note(deed);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.bell.note(Deed::Close);
        self.is_dropped.store(true, Ordering::Release);
        self.bell.ring();
    }
}

impl HoldEnd {
    /// Whether the program has let go.
    pub fn is_dropped(&self) -> bool {
        self.is_dropped.load(Ordering::Acquire)
    }
}
