use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::Bell;
use super::super::joined::{Carrier, JoinedEnd};
use super::super::link::{Joint, Link, Side};
use super::super::ring::Ring;
use super::{LOW_WATER, Stream};
use crate::error::Error;
use crate::tape::{Question, Witness};

/// The stack's end of a stream socket.
pub struct StreamEnd {
    link: Arc<Link<Ring>>,
    witness: Witness,
    /// The application was told, or will be, what the connection died of.
    is_broken: bool,
    /// The connection stood.
    has_stood: bool,
    /// Not all that was to be delivered last had room.
    is_full: bool,
}

/// What is on the other side.
const APPLICATION: Side = Side::Left;

impl StreamEnd {
    pub(super) fn new(link: Arc<Link<Ring>>, witness: Witness) -> StreamEnd {
        StreamEnd { link, witness, is_broken: false, has_stood: true, is_full: false }
    }

    /// Looks after the socket: what the application does from here on rings again.
    pub fn answer(&self) {
        if let Some(bell) = self.link.bell(APPLICATION) {
            bell.reset();
        }
    }

    /// The peer has been asked. An earlier try on the same pipe is forgotten.
    pub fn begin_connect(&mut self) {
        (self.is_broken, self.has_stood) = (false, false);
        self.link.begin_connect();
    }

    /// The connection stands.
    pub fn connected(&mut self) {
        self.has_stood = true;
        self.link.end_connect();
    }

    /// Whether the application has not been told yet what the connection died of.
    pub fn has_untold_error(&self) -> bool {
        self.link.error(APPLICATION).is_some()
    }

    /// Whether there was a connection, and not only a try to connect.
    pub fn has_stood(&self) -> bool {
        self.has_stood
    }

    /// Makes this end another application's: from here on the two are joined and there is no stack in between. What is
    /// in the rings stays there. Gives what the engine keeps of the new end and of the other.
    pub fn join(self, joint: Joint, bell: Bell) -> (Stream, [JoinedEnd; 2]) {
        if self.link.is_over() {
            // An earlier try to connect has failed on the same pipe.
            self.link.begin_connect();
            self.link.end_connect();
        }
        self.link.join(joint, bell);
        let ends = JoinedEnd::both(&self.link, Side::Right);
        (Stream::at(&self.link, Side::Right), ends)
    }

    /// Puts received bytes into the ring and says how many fitted. If not all did, reading rings the bell.
    /// Bytes for an application that is gone are accepted and discarded; one that has only said that it does not read any
    /// more may still read what comes, as on Linux.
    pub fn deliver(&mut self, bytes: &[u8]) -> usize {
        let link = &self.link;
        let count = self.witness.ask_or(Question::Deliver, bytes.len(), || {
            if link.is_gone(APPLICATION) {
                return bytes.len();
            }
            let incoming = link.incoming(APPLICATION);
            let mut count = incoming.queue.writer().push(bytes);
            if count < bytes.len() {
                incoming.writers.register_bell();
                // The reader may have emptied the ring between the two lines above.
                count += incoming.queue.writer().push(&bytes[count..]);
            }
            if count > 0 {
                incoming.readers.wake(None);
            }
            count
        });
        // What a tape says may be anything.
        let count = count.min(bytes.len());
        self.is_full = count < bytes.len();
        count
    }

    /// [`StreamEnd::deliver`], as long as no more than `most` bytes wait to be read.
    pub fn deliver_within(&mut self, bytes: &[u8], most: usize) -> usize {
        let room = most.saturating_sub(self.unread());
        if bytes.len() <= room || self.is_dropped() {
            return self.deliver(bytes);
        }
        let count = self.deliver(&bytes[..room]);
        self.is_full = true;
        self.link.incoming(APPLICATION).writers.register_bell();
        // The reader may have made room between the lines above.
        let room = most.saturating_sub(self.unread()).min(bytes.len() - count);
        if room > 0 { count + self.deliver(&bytes[count..count + room]) } else { count }
    }

    /// Moves bytes that the application wrote into `buffer`.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        self.witness.ask_bytes(buffer, |buffer| {
            let outgoing = self.link.outgoing(APPLICATION);
            let mut reader = outgoing.queue.reader();
            let count = reader.pop(buffer);
            let room = reader.room();
            drop(reader);
            if count > 0 && room >= outgoing.queue.most() / LOW_WATER {
                outgoing.writers.wake(None);
            }
            count
        })
    }

    /// Bytes that the application wrote and the stack has not taken.
    pub fn unsent(&self) -> usize {
        self.witness.ask_unsent(|| self.link.outgoing(APPLICATION).queue.len())
    }

    /// Bytes that the stack delivered and the application has not read.
    pub fn unread(&self) -> usize {
        self.witness.ask_or(Question::Unread, 0, || self.link.incoming(APPLICATION).queue.len())
    }

    /// Whether the rings hold memory that was written.
    pub fn holds_memory(&self) -> bool {
        self.witness.ask(Question::HoldsMemory, || self.really_holds_memory())
    }

    fn really_holds_memory(&self) -> bool {
        [self.link.incoming(APPLICATION), self.link.outgoing(APPLICATION)].iter().any(|way| way.queue.holds_memory())
    }

    /// Gives the memory of empty rings back to the kernel. Says whether nothing is left to be given back.
    pub fn rest(&mut self) -> bool {
        self.witness.ask(Question::Rested, || {
            self.link.incoming(APPLICATION).queue.rest();
            self.link.outgoing(APPLICATION).queue.rest();
            let is_done = !self.really_holds_memory();
            if !is_done {
                // What the application has still to read: reading it brings the stack back here.
                self.link.incoming(APPLICATION).writers.register_bell();
            }
            is_done
        })
    }

    /// Nothing will come after what is in the ring.
    pub fn end_of_stream(&self) {
        let incoming = self.link.incoming(APPLICATION);
        if !incoming.over.load(Ordering::Acquire) {
            incoming.whole.store(true, Ordering::Release);
            incoming.over.store(true, Ordering::Release);
            incoming.readers.wake(None);
        }
    }

    /// The next call is told this, once, and the connection goes on (SO_ERROR, with IP_RECVERR).
    pub fn tell(&self, error: Error) {
        if self.is_broken {
            return;
        }
        self.link.set_passing_error(APPLICATION, error);
        self.link.incoming(APPLICATION).readers.wake(None);
        self.link.outgoing(APPLICATION).writers.wake(None);
    }

    /// The connection is dead: both directions are over, and the next call is told why, once. If the peer had closed
    /// its direction before, nothing that could be read is missing: reading goes on to say so, and only writing
    /// fails, as on Linux.
    pub fn fail(&mut self, error: Error) {
        self.break_off(error);
        self.finish();
    }

    /// The connection is dead, and there is still something to be read. Writing fails from here on.
    pub fn break_off(&mut self, error: Error) {
        if !std::mem::replace(&mut self.is_broken, true) {
            let is_whole = self.link.incoming(APPLICATION).whole.load(Ordering::Acquire);
            // A RST behind the peer's FIN says that nobody reads (Linux: tcp_reset).
            let told = if is_whole && error == Error::ConnectionReset { Error::BrokenPipe } else { error };
            self.link.set_error(APPLICATION, told);
            let outgoing = self.link.outgoing(APPLICATION);
            outgoing.over.store(true, Ordering::Release);
            outgoing.writers.wake(None);
        }
    }

    /// Both directions are over.
    pub fn finish(&self) {
        self.link.finish();
    }

    /// Whether the application has said that it will not write any more.
    pub fn is_writing_over(&self) -> bool {
        self.witness.ask(Question::WritingOver, || self.link.outgoing(APPLICATION).over.load(Ordering::Acquire))
    }

    /// Whether the application has said that it will not read any more.
    pub fn is_reading_over(&self) -> bool {
        self.witness.ask(Question::ReadingOver, || self.link.incoming(APPLICATION).shut.load(Ordering::Acquire))
    }

    /// Whether bytes that came before still wait for room.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether the application has dropped its end.
    pub fn is_dropped(&self) -> bool {
        self.witness.ask(Question::Dropped, || self.link.is_gone(APPLICATION))
    }
}

impl fmt::Debug for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamEnd").field("link", &self.link).finish_non_exhaustive()
    }
}
