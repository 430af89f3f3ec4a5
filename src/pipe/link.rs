use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering, fence};
use std::task::{Context, Poll, Waker};

use super::Bell;
use super::deed::{Attempt, Deed};
use super::readiness::{Interest, Readiness};
use super::waiters::Waiters;
use crate::error::{Error, Result};
use crate::tape::Witness;

/// One of the two ends of a link, by its place in a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The application; of two applications, the first.
    Left = 0,
    /// The stack; of two applications, the second.
    Right = 1,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }
}

/// How two applications that are joined end to end learn of each other's end. Each kind does what the kernel does
/// on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// As TCP on 127.0.0.1: what is written to a peer that is gone is taken and then answered by a reset.
    Tcp,
    /// As Unix-domain sockets (`unix(7)`): writing to a peer that is gone is a broken pipe at once.
    Unix,
}

/// What goes from one end to the other, and what both know about it.
#[derive(Debug)]
pub(super) struct Direction<Q> {
    pub(super) queue: Q,
    /// The writer: nothing will come after what is in the queue.
    pub(super) over: AtomicBool,
    /// And nothing is missing: the writer has closed this direction itself.
    pub(super) whole: AtomicBool,
    /// The reader: nothing more will be read.
    pub(super) shut: AtomicBool,
    pub(super) readers: Waiters,
    pub(super) writers: Waiters,
}

impl<Q> Direction<Q> {
    fn new(queue: Q) -> Direction<Q> {
        Direction {
            queue,
            over: AtomicBool::new(false),
            whole: AtomicBool::new(false),
            shut: AtomicBool::new(false),
            readers: Waiters::default(),
            writers: Waiters::default(),
        }
    }
}

/// What belongs to one end.
#[derive(Debug)]
struct End {
    /// The errno that the next call is told; 0: none. Negative: it ends nothing.
    error: AtomicI32,
    /// It was dropped.
    gone: AtomicBool,
    /// Dropping it discards what the peer has not read (SO_LINGER at zero).
    aborts: AtomicBool,
    /// Its way to tell the engine; the stack's end has none.
    bell: OnceLock<Bell>,
}

/// Two directions between two ends.
#[derive(Debug)]
pub(super) struct Link<Q> {
    /// By the side that writes.
    directions: [Direction<Q>; 2],
    ends: [End; 2],
    /// Two applications are joined; without it, the application and the stack.
    joint: OnceLock<Joint>,
    /// The peer has not answered yet.
    connecting: AtomicBool,
    /// The connection died, or the stack has stopped; both ends know of it.
    dead: AtomicBool,
}

impl<Q> Link<Q> {
    /// The application on the left, which rings `bell`, and the stack on the right.
    pub(super) fn new(queues: [Q; 2], bell: Bell) -> Link<Q> {
        let end =
            |bell| End { error: AtomicI32::new(0), gone: AtomicBool::new(false), aborts: AtomicBool::new(false), bell };
        Link {
            directions: queues.map(Direction::new),
            ends: [end(OnceLock::from(bell)), end(OnceLock::new())],
            joint: OnceLock::new(),
            connecting: AtomicBool::new(false),
            dead: AtomicBool::new(false),
        }
    }

    /// Another application takes the stack's place.
    pub(super) fn join(&self, joint: Joint, bell: Bell) {
        // There is one stack's end, and it ends here: nobody has joined before.
        let _ = self.ends[Side::Right as usize].bell.set(bell);
        let _ = self.joint.set(joint);
    }

    /// What this side reads.
    pub(super) fn incoming(&self, side: Side) -> &Direction<Q> {
        &self.directions[side.other() as usize]
    }

    /// What this side writes.
    pub(super) fn outgoing(&self, side: Side) -> &Direction<Q> {
        &self.directions[side as usize]
    }

    pub(super) fn joint(&self) -> Option<Joint> {
        self.joint.get().copied()
    }

    pub(super) fn is_joined(&self) -> bool {
        self.joint().is_some()
    }

    pub(super) fn bell(&self, side: Side) -> Option<&Bell> {
        self.ends[side as usize].bell.get()
    }

    /// The peer has been asked. What came of an earlier question is forgotten.
    pub(super) fn begin_connect(&self) {
        self.connecting.store(true, Ordering::Release);
        for (end, direction) in self.ends.iter().zip(&self.directions) {
            end.error.store(0, Ordering::Release);
            direction.whole.store(false, Ordering::Release);
            direction.over.store(false, Ordering::Release);
            direction.shut.store(false, Ordering::Release);
        }
    }

    /// The connection stands, or has failed.
    pub(super) fn end_connect(&self) {
        self.connecting.store(false, Ordering::Release);
        for direction in &self.directions {
            direction.readers.wake(None);
            direction.writers.wake(None);
        }
    }

    pub(super) fn is_connecting(&self) -> bool {
        self.connecting.load(Ordering::Acquire)
    }

    /// Tells the engine that something has changed at this end.
    pub(super) fn ring(&self, side: Side) {
        if let Some(bell) = self.bell(side) {
            bell.ring();
        }
    }

    /// Somebody new at this end, who can be asked by the engine.
    pub(super) fn witness(&self, side: Side) -> Witness {
        self.bell(side).map(Bell::witness).unwrap_or_default()
    }

    /// What the program at this end has done, for whoever looks.
    pub(super) fn note(&self, side: Side, deed: Deed) {
        if let Some(bell) = self.bell(side) {
            bell.note(deed);
        }
    }

    /// Tells whoever looks why a call of the program at this end fails. Gives the error back.
    #[cold]
    pub(super) fn failed(&self, side: Side, attempt: Attempt, error: Error) -> Error {
        self.note(side, Deed::Failed(attempt, error.errno()));
        error
    }

    /// Tells the stack, if that is the other end.
    pub(super) fn ring_stack(&self, side: Side) {
        if !self.is_joined() {
            self.ring(side);
        }
    }

    /// What the next call of this side is to be told; asking does not take it.
    pub(super) fn error(&self, side: Side) -> Option<Error> {
        match self.ends[side as usize].error.load(Ordering::Acquire) {
            0 => None,
            errno => Some(Error::from_errno(errno.abs()).unwrap_or(Error::ConnectionReset)),
        }
    }

    /// Takes what this side is to be told.
    pub(super) fn take_error(&self, side: Side) -> Result<()> {
        match self.ends[side as usize].error.swap(0, Ordering::AcqRel) {
            0 => Ok(()),
            errno => Err(Error::from_errno(errno.abs()).unwrap_or(Error::ConnectionReset)),
        }
    }

    /// Takes what this side is to be told, if it ends nothing.
    pub(super) fn take_passing_error(&self, side: Side) -> Result<()> {
        if self.ends[side as usize].error.load(Ordering::Acquire) < 0 { self.take_error(side) } else { Ok(()) }
    }

    /// The next call of this side is told this, and everything goes on.
    pub(super) fn set_passing_error(&self, side: Side, error: Error) {
        self.ends[side as usize].error.store(-error.errno(), Ordering::Release);
    }

    /// The next call of this side is told this.
    pub(super) fn set_error(&self, side: Side, error: Error) {
        self.ends[side as usize].error.store(error.errno(), Ordering::Release);
    }

    pub(super) fn set_abortive(&self, side: Side, aborts: bool) {
        self.ends[side as usize].aborts.store(aborts, Ordering::Release);
    }

    pub(super) fn is_abortive(&self, side: Side) -> bool {
        self.ends[side as usize].aborts.load(Ordering::Acquire)
    }

    pub(super) fn is_gone(&self, side: Side) -> bool {
        self.ends[side as usize].gone.load(Ordering::Acquire)
    }

    /// Whether this side will read nothing after what is there.
    pub(super) fn is_reading_over(&self, side: Side) -> bool {
        let incoming = self.incoming(side);
        incoming.over.load(Ordering::Acquire) || incoming.shut.load(Ordering::Acquire)
    }

    /// Whether whatever this side writes is refused.
    pub(super) fn is_writing_over(&self, side: Side) -> bool {
        self.outgoing(side).over.load(Ordering::Acquire) || (self.joint() == Some(Joint::Unix) && self.is_unheard(side))
    }

    /// Whether the peer has said that it does not read.
    fn is_unheard(&self, side: Side) -> bool {
        self.outgoing(side).shut.load(Ordering::Acquire)
    }

    /// Whether what this side writes meets nobody: the peer is gone, or has closed both directions, and answers with a
    /// reset.
    pub(super) fn is_in_vain(&self, side: Side) -> bool {
        self.is_gone(side.other()) || (self.is_unheard(side) && self.incoming(side).over.load(Ordering::Acquire))
    }

    /// Nothing more will be written by this side.
    pub(super) fn shut_down_write(&self, side: Side) {
        let outgoing = self.outgoing(side);
        outgoing.whole.store(true, Ordering::Release);
        outgoing.over.store(true, Ordering::Release);
        outgoing.readers.wake(None);
        // The other end may wait for this one to be over altogether, and others at this end to write.
        self.wake_writers();
        self.ring(side);
    }

    /// Nothing more will be read by this side.
    pub(super) fn shut_down_read(&self, side: Side) {
        let incoming = self.incoming(side);
        incoming.shut.store(true, Ordering::Release);
        incoming.readers.wake(None);
        self.wake_writers();
        self.ring(side);
    }

    /// The stack stops.
    pub(super) fn stop(&self) {
        self.dead.store(true, Ordering::Release);
        self.finish();
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Whether nothing will be written any more, by either end.
    pub(super) fn is_over(&self) -> bool {
        self.directions.iter().all(|direction| direction.over.load(Ordering::Acquire))
    }

    fn wake_writers(&self) {
        for direction in &self.directions {
            direction.writers.wake(None);
        }
    }

    /// Both directions are over.
    pub(super) fn finish(&self) {
        for direction in &self.directions {
            direction.over.store(true, Ordering::Release);
        }
        self.end_connect();
    }

    /// This side kills the connection, as by a RST: the other is told, once, and nothing more can be written.
    ///
    /// Linux tells those who had been told the end of the stream before only when they write (`tcp_reset`). To Unix
    /// sockets it makes no difference.
    pub(super) fn reset(&self, side: Side) {
        if self.dead.swap(true, Ordering::AcqRel) {
            return;
        }
        let [has_closed, was_closed] =
            [side, side.other()].map(|side| self.outgoing(side).whole.load(Ordering::Acquire));
        match self.joint() {
            // Both FINs have gone: there is no connection any more to be reset.
            Some(Joint::Tcp) if has_closed && was_closed => {}
            Some(Joint::Tcp) if has_closed => self.set_error(side.other(), Error::BrokenPipe),
            _ => self.set_error(side.other(), Error::ConnectionReset),
        }
        self.finish();
    }

    /// The next time that something happens to what `interest` names, `waker` is woken.
    pub(super) fn watch(&self, side: Side, waker: &Waker, interest: Interest) {
        if interest != Interest::Writable {
            self.incoming(side).readers.register(waker);
        }
        if interest != Interest::Readable {
            self.outgoing(side).writers.register(waker);
        }
    }

    /// What this side would find, once `interest` is met; until then the task is woken later.
    pub(super) fn poll_ready(
        &self,
        side: Side,
        context: &Context<'_>,
        interest: Interest,
        readiness: impl Fn() -> Readiness,
    ) -> Poll<Readiness> {
        let now = readiness();
        if interest.is_met(now) {
            return Poll::Ready(now);
        }
        self.watch(side, context.waker(), interest);
        let now = readiness();
        if interest.is_met(now) { Poll::Ready(now) } else { Poll::Pending }
    }

    /// This side is dropped. `is_all_read` is asked once nothing more can be read.
    pub(super) fn drop_end(&self, side: Side, is_all_read: impl FnOnce() -> bool) {
        self.ends[side as usize].gone.store(true, Ordering::Release);
        self.incoming(side).shut.store(true, Ordering::Release);
        // A writer writes and then looks whether the reader is gone: one of the two sees the other.
        fence(Ordering::SeqCst);
        if self.is_joined() && !is_all_read() {
            // RFC 1122 §4.2.2.13, RFC 2525 §2.17, unix(7): closing with unread data is told to the peer.
            self.reset(side);
        }
        if self.is_dead() {
            self.ring(side);
        } else {
            self.shut_down_write(side);
        }
    }
}
