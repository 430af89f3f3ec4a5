mod end;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;

pub use end::StreamEnd;

use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use super::Bell;
use super::deed::{Attempt, Deed};
use super::joined::{Carrier, JoinedEnd};
use super::link::{Joint, Link, Side};
use super::readiness::{Interest, Readiness};
use super::ring::Ring;
use crate::error::{Error, Result};
use crate::memory::Memory;

/// Whoever waits to write is woken when this part of the ring is free, a half, and not for every byte that is read:
/// a sleeping thread is worth waking for some work only (compare `unix_writable` in Linux).
const LOW_WATER: usize = 2;

/// The application's end of a stream socket. All methods take `&self`: each direction has a lock of its own.
pub struct Stream {
    link: Arc<Link<Ring>>,
    side: Side,
}

impl Stream {
    /// Two rings of `capacity` bytes of `memory`, and the two ends that join them.
    ///
    /// # Errors
    ///
    /// If there is no memory for them.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    ///
    /// ```
    /// use tapsock::{memory::Memory, pipe::{Doorbell, Stream}};
    /// let memory = Memory::new(1 << 20);
    /// let (application, mut stack) = Stream::new(1024, &memory, Doorbell::default().bell(0))?;
    /// assert_eq!(stack.deliver(b"hello"), 5);
    /// let mut buffer = [0; 16];
    /// assert_eq!(application.try_read(&mut buffer), Ok(5));
    /// # Ok::<(), tapsock::error::Error>(())
    /// ```
    pub fn new(capacity: usize, memory: &Memory, bell: Bell) -> Result<(Stream, StreamEnd)> {
        Stream::with_capacities([capacity; 2], memory, bell)
    }

    /// The same with two rings of different sizes: for what the application reads, and for what it writes.
    ///
    /// # Errors
    ///
    /// If there is no memory for them.
    ///
    /// # Panics
    ///
    /// If one of them is 0.
    pub fn with_capacities(
        [incoming, outgoing]: [usize; 2],
        memory: &Memory,
        bell: Bell,
    ) -> Result<(Stream, StreamEnd)> {
        let witness = bell.witness();
        let link = Arc::new(Link::new(memory.pair([outgoing, incoming])?.map(Ring::new), bell));
        Ok((Stream::at(&link, Side::Left), StreamEnd::new(link, witness)))
    }

    /// Two application's ends, joined: what one writes the other reads, and there is no stack in between. A byte is
    /// copied from the writer's buffer into the ring, and from there into the reader's.
    ///
    /// The bells ring when an end is shut down or dropped, and when a ring takes memory, which [`JoinedEnd::rest`] gives
    /// back; for nothing else.
    ///
    /// # Errors
    ///
    /// If there is no memory for them.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    ///
    /// ```
    /// use tapsock::{memory::Memory, pipe::{Doorbell, Joint, Stream}};
    /// let (memory, doorbell) = (Memory::new(1 << 20), Doorbell::default());
    /// let (a, b) = Stream::joined(Joint::Tcp, 1024, &memory, [doorbell.bell(0), doorbell.bell(1)])?;
    /// assert_eq!(a.try_write(b"hello"), Ok(5));
    /// drop(a);
    /// let mut buffer = [0; 16];
    /// assert_eq!(b.try_read(&mut buffer), Ok(5));
    /// assert_eq!(b.try_read(&mut buffer), Ok(0), "the end of the stream");
    /// # Ok::<(), tapsock::error::Error>(())
    /// ```
    pub fn joined(joint: Joint, capacity: usize, memory: &Memory, bells: [Bell; 2]) -> Result<(Stream, Stream)> {
        let [left, right] = bells;
        let (stream, end) = Stream::new(capacity, memory, left)?;
        Ok((stream, end.join(joint, right).0))
    }

    fn at(link: &Arc<Link<Ring>>, side: Side) -> Stream {
        Stream { link: Arc::clone(link), side }
    }

    /// What the engine keeps of this end and of the other, where two are joined.
    pub fn joined_ends(&self) -> Option<[JoinedEnd; 2]> {
        self.link.is_joined().then(|| JoinedEnd::both(&self.link, self.side))
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if nothing is there yet; what the connection died of, once.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        self.try_read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    /// [`Stream::try_read`] into several buffers, one after the other (`readv(2)`).
    ///
    /// # Errors
    ///
    /// As [`Stream::try_read`].
    pub fn try_read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> Result<usize> {
        if buffers.iter().all(|buffer| buffer.is_empty()) {
            return Ok(0);
        }
        // The flags first: if they say that nothing more will come, everything is in the ring already.
        let is_over = self.link.is_reading_over(self.side);
        let incoming = self.link.incoming(self.side);
        let mut reader = incoming.queue.reader();
        let mut count = 0;
        for buffer in buffers {
            let here = reader.pop(buffer);
            count += here;
            if here < buffer.len() {
                break;
            }
        }
        let room = reader.room();
        drop(reader);
        if count > 0 {
            self.link.note(self.side, Deed::Read(count));
            if room >= incoming.queue.most() / LOW_WATER {
                incoming.writers.wake(self.link.bell(self.side));
            }
            return Ok(count);
        }
        self.nothing_to_read(is_over)?;
        self.link.note(self.side, Deed::End);
        Ok(0)
    }

    /// Copies what is there and leaves it there (MSG_PEEK); 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// As [`Stream::try_read`].
    pub fn try_peek(&self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let is_over = self.link.is_reading_over(self.side);
        match self.link.incoming(self.side).queue.reader().peek(buffer) {
            0 => self.nothing_to_read(is_over).map(|()| 0),
            count => Ok(count),
        }
    }

    /// [`Stream::try_peek`] once the buffer can be filled or there is no room for more; until then, and until the stream
    /// ends or an error waits, the task is woken later (MSG_PEEK with MSG_WAITALL).
    pub fn poll_peek_whole(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        let (link, incoming) = (&self.link, self.link.incoming(self.side));
        incoming.readers.poll(context, || {
            let is_over = link.is_reading_over(self.side) || link.error(self.side).is_some();
            let there = incoming.queue.len();
            if !is_over && there < buffer.len() && there < incoming.queue.most() {
                return Err(Error::WouldBlock);
            }
            self.try_peek(buffer)
        })
    }

    /// An error, or the end.
    fn nothing_to_read(&self, is_over: bool) -> Result<()> {
        let failed = |error| self.link.failed(self.side, Attempt::Read, error);
        if !is_over {
            self.link.take_passing_error(self.side).map_err(failed)?;
            return Err(Error::WouldBlock);
        }
        // Where nothing is missing, only those who write are told of a reset, as on Linux. Unix sockets tell readers.
        let is_whole = self.link.incoming(self.side).whole.load(Ordering::Acquire);
        if !is_whole || self.link.joint() == Some(Joint::Unix) {
            self.link.take_error(self.side).map_err(failed)?;
        }
        Ok(())
    }

    /// Writes as much as fits.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if nothing fits; [`Error::BrokenPipe`] after [`Stream::shutdown_write`] or the
    /// death of the connection; what it died of, once.
    pub fn try_write(&self, buffer: &[u8]) -> Result<usize> {
        self.try_write_vectored(&[IoSlice::new(buffer)])
    }

    /// [`Stream::try_write`] from several buffers, one after the other (`writev(2)`).
    ///
    /// # Errors
    ///
    /// As [`Stream::try_write`].
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> Result<usize> {
        let (link, side) = (&*self.link, self.side);
        if link.joint() != Some(Joint::Unix) {
            // Unix sockets tell it to readers only.
            link.take_error(side).map_err(|error| link.failed(side, Attempt::Write, error))?;
        }
        if link.is_writing_over(side) {
            return Err(link.failed(side, Attempt::Write, Error::BrokenPipe));
        }
        if link.is_connecting() {
            return Err(Error::WouldBlock);
        }
        let wanted = buffers.iter().map(|buffer| buffer.len()).sum();
        if wanted == 0 {
            return Ok(0);
        }
        if link.is_joined() && link.is_in_vain(side) {
            return Ok(self.write_in_vain(wanted));
        }
        let outgoing = link.outgoing(side);
        let mut writer = outgoing.queue.writer();
        // While we hold it, nobody gives memory back.
        let is_first = !outgoing.queue.holds_memory();
        let mut count = 0;
        for buffer in buffers {
            let here = writer.push(buffer);
            count += here;
            if here < buffer.len() {
                break;
            }
        }
        drop(writer);
        if count == 0 {
            return Err(Error::WouldBlock);
        }
        link.note(side, Deed::Write(count));
        outgoing.readers.wake(None);
        if is_first || !link.is_joined() {
            // The stack takes the bytes; between two applications it only sees to it that the memory is given back.
            link.ring(side);
        }
        if link.is_joined() && link.is_gone(side.other()) && outgoing.queue.len() > 0 {
            // It went while we wrote.
            link.reset(side.other());
        }
        Ok(count)
    }

    /// The peer would answer with a RST, which is noticed after the write that caused it.
    fn write_in_vain(&self, count: usize) -> usize {
        let (link, peer) = (&*self.link, self.side.other());
        link.note(self.side, Deed::Write(count));
        link.reset(peer);
        link.ring(self.side);
        if !link.is_gone(peer) {
            // Data after both of its directions were closed: it is told as well (RFC 9293 §3.10.7.4).
            link.set_error(peer, Error::ConnectionReset);
        }
        count
    }

    /// Takes what the connection died of, if nobody was told yet (SO_ERROR).
    ///
    /// # Errors
    ///
    /// That.
    pub fn take_error(&self) -> Result<()> {
        self.link.take_error(self.side).map_err(|error| self.link.failed(self.side, Attempt::Error, error))
    }

    /// Whether the connection stands.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] while the peer has not answered; why it failed, once.
    pub fn try_connected(&self) -> Result<()> {
        if self.is_connecting() {
            return Err(Error::WouldBlock);
        }
        self.link.take_error(self.side).map_err(|error| self.link.failed(self.side, Attempt::Connect, error))
    }

    /// Whether the peer has not answered yet.
    pub fn is_connecting(&self) -> bool {
        self.link.is_connecting()
    }

    /// Whether both ends have ended, or the connection has died or never stood.
    pub fn is_over(&self) -> bool {
        self.link.is_over()
    }

    /// [`Stream::try_connected`], or wakes the task later.
    pub fn poll_connected(&self, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.link.outgoing(self.side).writers.poll(context, || self.try_connected())
    }

    /// Bytes that can be read at once (FIONREAD).
    pub fn unread(&self) -> usize {
        self.link.incoming(self.side).queue.len()
    }

    /// Bytes that were written and that the other end has not taken (SIOCOUTQ).
    pub fn unsent(&self) -> usize {
        self.link.outgoing(self.side).queue.len()
    }

    /// What a call would find at this moment (`poll(2)`).
    pub fn readiness(&self) -> Readiness {
        let (link, side) = (&*self.link, self.side);
        let (is_reading_over, is_writing_over) = (link.is_reading_over(side), link.is_writing_over(side));
        let outgoing = &link.outgoing(side).queue;
        let most = outgoing.most();
        let room = most.saturating_sub(outgoing.len());
        let error = link.error(side).is_some();
        Readiness {
            readable: is_reading_over || error || self.unread() > 0,
            writable: is_writing_over
                || error
                || (room >= most.div_ceil(LOW_WATER) && !link.is_connecting())
                || (link.is_joined() && link.is_in_vain(side)),
            hang_up: is_reading_over && is_writing_over,
            error,
        }
    }

    /// The next time that something happens to what `interest` names, `waker` is woken: for those who want to know of
    /// changes, and not only of what is.
    pub fn watch(&self, waker: &Waker, interest: Interest) {
        self.link.watch(self.side, waker, interest);
    }

    /// [`Stream::readiness`] once `interest` is met; until then the task is woken later.
    pub fn poll_ready(&self, context: &mut Context<'_>, interest: Interest) -> Poll<Readiness> {
        self.link.poll_ready(self.side, context, interest, || self.readiness())
    }

    /// [`Stream::try_read`], or wakes the task later.
    pub fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.link.incoming(self.side).readers.poll(context, || self.try_read(buffer))
    }

    /// [`Stream::try_read_vectored`], or wakes the task later.
    pub fn poll_read_vectored(&self, context: &mut Context<'_>, buffers: &mut [IoSliceMut<'_>]) -> Poll<Result<usize>> {
        self.link.incoming(self.side).readers.poll(context, || self.try_read_vectored(buffers))
    }

    /// [`Stream::try_peek`], or wakes the task later.
    pub fn poll_peek(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        self.link.incoming(self.side).readers.poll(context, || self.try_peek(buffer))
    }

    /// [`Stream::try_write`], or wakes the task later.
    pub fn poll_write(&self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        self.link.outgoing(self.side).writers.poll(context, || self.try_write(buffer))
    }

    /// [`Stream::try_write_vectored`], or wakes the task later.
    pub fn poll_write_vectored(&self, context: &mut Context<'_>, buffers: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        self.link.outgoing(self.side).writers.poll(context, || self.try_write_vectored(buffers))
    }

    /// Nothing more will be written; what is in the ring is still sent, then a FIN.
    pub fn shutdown_write(&self) {
        self.link.note(self.side, Deed::ShutdownWrite);
        self.link.shut_down_write(self.side);
    }

    /// Nothing more will be read.
    pub fn shutdown_read(&self) {
        self.link.note(self.side, Deed::ShutdownRead);
        self.link.shut_down_read(self.side);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("side", &self.side).field("link", &self.link).finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link.note(self.side, Deed::Close);
        if self.link.joint() == Some(Joint::Tcp) && self.link.is_abortive(self.side) {
            self.link.reset(self.side);
        }
        self.link.drop_end(self.side, || self.link.incoming(self.side).queue.len() == 0);
    }
}
