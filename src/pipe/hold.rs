use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::deed::Deed;
use super::{Bell, Carried, MailSlot};
use crate::tape::{Question, Witness};

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
    witness: Witness,
}

impl Hold {
    /// Rings `bell` when it is dropped.
    pub fn new(bell: Bell) -> (Hold, HoldEnd) {
        let (is_dropped, witness) = (Arc::new(AtomicBool::new(false)), bell.witness());
        (Hold { is_dropped: Arc::clone(&is_dropped), bell }, HoldEnd { is_dropped, witness })
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
        self.witness.ask(Question::Dropped, || self.is_dropped.load(Ordering::Acquire))
    }

    /// Whether the program has let go of the mailbox that it holds too.
    pub fn is_gone<A: Clone>(&self, slot: &MailSlot<A>) -> bool {
        self.witness.ask(Question::ReadingOver, || slot.is_gone())
    }

    /// What has gone through that mailbox.
    pub fn carried<A: Clone>(&self, slot: &MailSlot<A>) -> Carried {
        self.witness.ask(Question::Carried, || slot.carried())
    }
}
