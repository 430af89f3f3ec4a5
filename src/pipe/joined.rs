use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::link::{Link, Side};
use crate::error::Error;
use crate::tape::{Question, Witness};

/// How much went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Messages; 0 where bytes have no boundaries.
    pub messages: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}

/// What an application's end has to do with its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Carried {
    /// What the application has received.
    pub received: Tally,
    /// What it has sent.
    pub sent: Tally,
    /// Bytes that wait to be received.
    pub unread: usize,
}

/// What carries bytes or messages from one end to the other, as the engine sees it.
pub(super) trait Carrier: fmt::Debug + Send + Sync {
    /// What was put into it.
    fn given(&self) -> Tally;

    /// What was taken out of it and read.
    fn taken(&self) -> Tally;

    /// Bytes that wait in it.
    fn waiting(&self) -> usize;

    /// From here on it takes no more than so many, or what it has room for. What is in it stays.
    fn set_most(&self, bytes: usize);

    /// Whether it holds memory that [`Carrier::rest`] can give back once it is empty.
    fn holds_memory(&self) -> bool;

    /// Gives its memory back, if it is empty and nobody is at work on it.
    fn rest(&self);
}

/// A link, whatever it carries.
trait Ends: fmt::Debug + Send + Sync {
    fn answer(&self, side: Side);
    fn is_gone(&self, side: Side) -> bool;
    fn has_closed(&self, side: Side) -> bool;
    fn is_dead(&self) -> bool;
    fn set_abortive(&self, side: Side, aborts: bool);
    fn fail(&self, error: Error);
    fn wake_writers(&self, side: Side);
    /// What this side writes into.
    fn outgoing(&self, side: Side) -> &dyn Carrier;
}

impl<Q: Carrier> Ends for Link<Q> {
    fn answer(&self, side: Side) {
        if let Some(bell) = self.bell(side) {
            bell.reset();
        }
    }

    fn is_gone(&self, side: Side) -> bool {
        Link::is_gone(self, side)
    }

    fn has_closed(&self, side: Side) -> bool {
        Link::outgoing(self, side).over.load(Ordering::Acquire)
    }

    fn is_dead(&self) -> bool {
        Link::is_dead(self)
    }

    fn set_abortive(&self, side: Side, aborts: bool) {
        Link::set_abortive(self, side, aborts);
    }

    fn fail(&self, error: Error) {
        for side in [Side::Left, Side::Right] {
            self.set_error(side, error);
        }
        self.stop();
    }

    fn wake_writers(&self, side: Side) {
        Link::outgoing(self, side).writers.wake(None);
    }

    fn outgoing(&self, side: Side) -> &dyn Carrier {
        &Link::outgoing(self, side).queue
    }
}

/// What the engine keeps of an application's end that is joined to another's. It moves no bytes; it sees what became of
/// the end.
#[derive(Clone)]
pub struct JoinedEnd {
    link: Arc<dyn Ends>,
    side: Side,
    witness: Witness,
}

impl JoinedEnd {
    /// This side's and the other's.
    pub(super) fn both<Q: Carrier + 'static>(link: &Arc<Link<Q>>, side: Side) -> [JoinedEnd; 2] {
        let end = |side| JoinedEnd { link: Arc::<Link<Q>>::clone(link), side, witness: link.witness(side) };
        [side, side.other()].map(end)
    }

    fn outgoing(&self) -> &dyn Carrier {
        self.link.outgoing(self.side)
    }

    fn incoming(&self) -> &dyn Carrier {
        self.link.outgoing(self.side.other())
    }

    /// Looks after the end: what the application does from here on rings again.
    pub fn answer(&self) {
        self.link.answer(self.side);
    }

    /// Whether the application has dropped it.
    pub fn is_dropped(&self) -> bool {
        self.witness.ask(Question::Dropped, || self.link.is_gone(self.side))
    }

    /// Whether the application has said that it will not write any more.
    pub fn has_closed(&self) -> bool {
        self.witness.ask(Question::WritingOver, || self.link.has_closed(self.side))
    }

    /// Whether the connection was killed, from either end.
    pub fn is_dead(&self) -> bool {
        self.witness.ask(Question::Dead, || self.link.is_dead())
    }

    /// What it has to do with its queues.
    pub fn carried(&self) -> Carried {
        let (incoming, outgoing) = (self.incoming(), self.outgoing());
        let carried = || Carried { received: incoming.taken(), sent: outgoing.given(), unread: incoming.waiting() };
        self.witness.ask(Question::Carried, carried)
    }

    /// How many bytes wait to be read by it.
    pub fn unread(&self) -> usize {
        self.witness.ask(Question::Unread, || self.incoming().waiting())
    }

    /// How many bytes the peer has not read yet.
    pub fn unsent(&self) -> usize {
        self.witness.ask(Question::Unsent, || self.outgoing().waiting())
    }

    /// Whether dropping the end kills the connection, as by a RST (SO_LINGER at zero). Between Unix sockets it does
    /// not, as on Linux.
    pub fn set_abortive(&self, aborts: bool) {
        self.link.set_abortive(self.side, aborts);
    }

    /// How many bytes may be on their way from this end to the other, from here on (SO_SNDBUF, SO_RCVBUF): more than
    /// there is room for is as much as there is room for. What is on its way already stays.
    pub fn set_most_unsent(&self, bytes: usize) {
        self.outgoing().set_most(bytes);
        self.link.wake_writers(self.side);
    }

    /// Kills the connection, with this error at both ends: the stack stops, or its address is gone.
    pub fn fail(&self, error: Error) {
        self.link.fail(error);
    }

    /// Whether something of the connection, in either direction, holds memory that can be given back.
    pub fn holds_memory(&self) -> bool {
        self.witness.ask(Question::HoldsMemory, || self.really_holds_memory())
    }

    fn really_holds_memory(&self) -> bool {
        self.outgoing().holds_memory() || self.incoming().holds_memory()
    }

    /// Gives the memory of empty rings back to the kernel. Says whether nothing is left to be given back.
    pub fn rest(&self) -> bool {
        self.witness.ask(Question::Rested, || {
            self.outgoing().rest();
            self.incoming().rest();
            !self.really_holds_memory()
        })
    }
}

impl fmt::Debug for JoinedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinedEnd").field("side", &self.side).finish_non_exhaustive()
    }
}
