use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use ringbuf::traits::{Consumer, Observer, Producer};

use super::ring::{Reader, Writer, rings};
use super::{Bell, lock};
use crate::error::{Error, Result};
use crate::memory::{Buffer, Memory};

/// What both ends have: the application's ends of the rings, their memory, and flags.
struct Shared {
    /// The application's ends. The stack locks them to give memory back, and never waits for that.
    incoming: Mutex<Reader<0>>,
    outgoing: Mutex<Writer<1>>,
    /// What the rings are made of, incoming first. Every end of a ring is dropped before them.
    memory: [Buffer; 2],
    bell: Bell,
    flags: Flags,
}

/// What both ends see without touching the rings.
#[derive(Debug, Default)]
struct Flags {
    /// The stack: nothing will come after what is in the ring.
    end_of_stream: AtomicBool,
    /// The stack: and nothing that the peer sent is missing.
    is_whole: AtomicBool,
    /// The stack: the connection died of this errno; 0: it has not, or somebody was told already.
    error: AtomicI32,
    /// The application will not write any more.
    writing_over: AtomicBool,
    /// The application will not read any more.
    reading_over: AtomicBool,
    /// The application's end is gone.
    dropped: AtomicBool,
    /// The peer has not answered yet.
    connecting: AtomicBool,
    /// The stack holds bytes that did not fit into the ring: reading must ring the bell.
    stack_waits: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Flags {
    fn take_error(&self) -> Result<()> {
        match self.error.swap(0, Ordering::AcqRel) {
            0 => Ok(()),
            errno => Err(Error::from_errno(errno).unwrap_or(Error::ConnectionReset)),
        }
    }
}

/// The application's end of a stream socket. All methods take `&self`: each direction has its own lock.
pub struct Stream {
    shared: Arc<Shared>,
}

/// The stack's end of a stream socket.
pub struct StreamEnd {
    incoming: Writer<0>,
    outgoing: Reader<1>,
    /// The application was told, or will be, what the connection died of.
    is_broken: bool,
    /// Last: it holds the memory of the rings.
    shared: Arc<Shared>,
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
        let memory = memory.pair([capacity; 2])?;
        let ((stack_writes, application_reads), (application_writes, stack_reads)) = rings(&memory);
        let shared = Arc::new(Shared {
            incoming: Mutex::new(application_reads),
            outgoing: Mutex::new(application_writes),
            memory,
            bell,
            flags: Flags::default(),
        });
        let application = Stream { shared: Arc::clone(&shared) };
        Ok((application, StreamEnd { incoming: stack_writes, outgoing: stack_reads, is_broken: false, shared }))
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if nothing is there yet; what the connection died of, once.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // The flags first: if they say that nothing more will come, everything is in the ring already.
        let over = self.shared.flags.end_of_stream.load(Ordering::Acquire)
            || self.shared.flags.reading_over.load(Ordering::Acquire);
        let count = lock(&self.shared.incoming).pop_slice(buffer);
        if count > 0 {
            if self.shared.flags.stack_waits.swap(false, Ordering::AcqRel) {
                self.shared.bell.ring();
            }
            return Ok(count);
        }
        if !over {
            return Err(Error::WouldBlock);
        }
        if !self.shared.flags.is_whole.load(Ordering::Acquire) {
            self.shared.flags.take_error()?;
        }
        Ok(0)
    }

    /// Writes as much as fits.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if nothing fits; [`Error::BrokenPipe`] after [`Stream::shutdown_write`] or the
    /// death of the connection; what it died of, once.
    pub fn try_write(&self, buffer: &[u8]) -> Result<usize> {
        self.shared.flags.take_error()?;
        if self.shared.flags.writing_over.load(Ordering::Acquire) {
            return Err(Error::BrokenPipe);
        }
        if self.shared.flags.connecting.load(Ordering::Acquire) {
            return Err(Error::WouldBlock);
        }
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut outgoing = lock(&self.shared.outgoing);
        let count = outgoing.push_slice(buffer);
        if count == 0 {
            return Err(Error::WouldBlock);
        }
        // Under the lock: the stack gives memory back under it.
        self.shared.memory[1].touch(count);
        drop(outgoing);
        self.shared.bell.ring();
        Ok(count)
    }

    /// Takes what the connection died of, if nobody was told yet (SO_ERROR).
    ///
    /// # Errors
    ///
    /// That.
    pub fn take_error(&self) -> Result<()> {
        self.shared.flags.take_error()
    }

    /// Whether the connection stands.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] while the peer has not answered; why it failed, once.
    pub fn try_connected(&self) -> Result<()> {
        if self.shared.flags.connecting.load(Ordering::Acquire) {
            return Err(Error::WouldBlock);
        }
        self.shared.flags.take_error()
    }

    /// Whether the peer has not answered yet.
    pub fn is_connecting(&self) -> bool {
        self.shared.flags.connecting.load(Ordering::Acquire)
    }

    /// [`Stream::try_connected`], or wakes the task later.
    pub fn poll_connected(&self, context: &mut Context<'_>) -> Poll<Result<()>> {
        poll(&self.shared.flags.writer, context, || self.try_connected())
    }

    /// [`Stream::try_read`], or wakes the task later.
    pub fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize>> {
        poll(&self.shared.flags.reader, context, || self.try_read(buffer))
    }

    /// [`Stream::try_write`], or wakes the task later.
    pub fn poll_write(&self, context: &mut Context<'_>, buffer: &[u8]) -> Poll<Result<usize>> {
        poll(&self.shared.flags.writer, context, || self.try_write(buffer))
    }

    /// Nothing more will be written; what is in the ring is still sent, then a FIN.
    pub fn shutdown_write(&self) {
        self.shared.flags.writing_over.store(true, Ordering::Release);
        self.shared.flags.writer.wake();
        self.shared.bell.ring();
    }

    /// Nothing more will be read.
    pub fn shutdown_read(&self) {
        self.shared.flags.reading_over.store(true, Ordering::Release);
        self.shared.flags.reader.wake();
        self.shared.bell.ring();
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("flags", &self.shared.flags).finish_non_exhaustive()
    }
}

impl fmt::Debug for StreamEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamEnd").field("flags", &self.shared.flags).finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.flags.reading_over.store(true, Ordering::Release);
        self.shared.flags.writing_over.store(true, Ordering::Release);
        self.shared.flags.dropped.store(true, Ordering::Release);
        self.shared.bell.ring();
    }
}

/// Tries, registers, and tries again, so that what happens in between is not missed.
pub(super) fn poll<T>(
    slot: &AtomicWaker,
    context: &Context<'_>,
    mut attempt: impl FnMut() -> Result<T>,
) -> Poll<Result<T>> {
    match attempt() {
        Err(Error::WouldBlock) => {}
        done => return Poll::Ready(done),
    }
    slot.register(context.waker());
    match attempt() {
        Err(Error::WouldBlock) => Poll::Pending,
        done => Poll::Ready(done),
    }
}

impl StreamEnd {
    /// Looks after the socket: what the application does from here on rings again.
    pub fn answer(&self) {
        self.shared.bell.reset();
    }

    /// The peer has been asked. An earlier try on the same pipe is forgotten.
    pub fn begin_connect(&mut self) {
        self.is_broken = false;
        let flags = &self.shared.flags;
        flags.is_whole.store(false, Ordering::Release);
        flags.connecting.store(true, Ordering::Release);
        flags.error.store(0, Ordering::Release);
        flags.end_of_stream.store(false, Ordering::Release);
        flags.writing_over.store(false, Ordering::Release);
    }

    /// The connection stands.
    pub fn connected(&self) {
        self.shared.flags.connecting.store(false, Ordering::Release);
        self.shared.flags.reader.wake();
        self.shared.flags.writer.wake();
    }

    /// Puts received bytes into the ring and says how many fitted. If not all did, reading rings the bell.
    /// Bytes for an application that does not read any more are accepted and discarded.
    pub fn deliver(&mut self, bytes: &[u8]) -> usize {
        if self.is_reading_over() {
            return bytes.len();
        }
        let mut count = self.incoming.push_slice(bytes);
        if count < bytes.len() {
            self.shared.flags.stack_waits.store(true, Ordering::Release);
            // The reader may have emptied the ring between the two lines above.
            count += self.incoming.push_slice(&bytes[count..]);
        }
        if count > 0 {
            self.shared.memory[0].touch(count);
            self.shared.flags.reader.wake();
        }
        count
    }

    /// Moves bytes that the application wrote into `buffer`.
    pub fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.outgoing.pop_slice(buffer);
        if count > 0 {
            self.shared.flags.writer.wake();
        }
        count
    }

    /// Bytes that the application wrote and the stack has not taken.
    pub fn unsent(&self) -> usize {
        self.outgoing.occupied_len()
    }

    /// Bytes that the stack delivered and the application has not read.
    pub fn unread(&self) -> usize {
        self.incoming.occupied_len()
    }

    /// Whether the rings hold memory that was written.
    pub fn holds_memory(&self) -> bool {
        self.shared.memory.iter().any(|buffer| buffer.touched() > 0)
    }

    /// Gives the memory of empty rings back to the kernel. Says whether nothing is left to be given back.
    pub fn rest(&mut self) -> bool {
        // Whoever holds the lock of an application's end is at work there. A lock that is free and taken by us
        // keeps that end still; the other end is ours.
        if let Ok(reader) = self.shared.incoming.try_lock()
            && reader.is_empty()
        {
            self.shared.memory[0].release();
        }
        if let Ok(_writer) = self.shared.outgoing.try_lock()
            && self.outgoing.is_empty()
        {
            self.shared.memory[1].release();
        }
        let is_done = !self.holds_memory();
        if !is_done {
            // What the application has still to read: reading it brings the stack back here.
            self.shared.flags.stack_waits.store(true, Ordering::Release);
        }
        is_done
    }

    /// Nothing will come after what is in the ring.
    pub fn end_of_stream(&self) {
        if !self.shared.flags.end_of_stream.load(Ordering::Acquire) {
            self.shared.flags.is_whole.store(true, Ordering::Release);
            self.shared.flags.end_of_stream.store(true, Ordering::Release);
            self.shared.flags.reader.wake();
        }
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
            let is_whole = self.shared.flags.is_whole.load(Ordering::Acquire);
            // A RST behind the peer's FIN says that nobody reads (Linux: tcp_reset).
            let told = if is_whole && error == Error::ConnectionReset { Error::BrokenPipe } else { error };
            self.shared.flags.error.store(told.errno(), Ordering::Release);
            self.shared.flags.writing_over.store(true, Ordering::Release);
            self.shared.flags.writer.wake();
        }
    }

    /// Both directions are over.
    pub fn finish(&self) {
        self.shared.flags.writing_over.store(true, Ordering::Release);
        self.shared.flags.end_of_stream.store(true, Ordering::Release);
        self.connected();
    }

    /// Whether the application has said that it will not write any more.
    pub fn is_writing_over(&self) -> bool {
        self.shared.flags.writing_over.load(Ordering::Acquire)
    }

    /// Whether the application has said that it will not read any more.
    pub fn is_reading_over(&self) -> bool {
        self.shared.flags.reading_over.load(Ordering::Acquire)
    }

    /// Whether the application has dropped its end.
    pub fn is_dropped(&self) -> bool {
        self.shared.flags.dropped.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::thread;

    use super::super::Doorbell;
    use super::super::wait::block_on;
    use super::*;

    fn pipe(capacity: usize) -> (Stream, StreamEnd) {
        Stream::new(capacity, &Memory::new(usize::MAX), Doorbell::default().bell(0)).unwrap()
    }

    #[test]
    fn bytes_before_the_end_are_read_before_it() {
        let (application, mut stack) = pipe(8);
        stack.deliver(b"last");
        stack.end_of_stream();
        let mut buffer = [0; 8];
        assert_eq!(application.try_read(&mut buffer), Ok(4));
        assert_eq!(application.try_read(&mut buffer), Ok(0));
    }

    #[test]
    fn a_reset_is_told_once_after_the_bytes_that_came_before_it() {
        let (application, mut stack) = pipe(8);
        stack.deliver(b"x");
        stack.fail(Error::ConnectionReset);
        let mut buffer = [0; 8];
        assert_eq!(application.try_read(&mut buffer), Ok(1));
        assert_eq!(application.try_read(&mut buffer), Err(Error::ConnectionReset));
        assert_eq!(application.try_read(&mut buffer), Ok(0));
        assert_eq!(application.try_write(b"y"), Err(Error::BrokenPipe));
    }

    #[test]
    fn a_full_ring_holds_back_and_reading_rings_the_bell() {
        let doorbell = Doorbell::default();
        let (application, mut stack) = Stream::new(4, &Memory::new(usize::MAX), doorbell.bell(3)).unwrap();
        assert_eq!(stack.deliver(b"123456"), 4);
        let mut rung = Vec::new();
        doorbell.answer(&mut rung);
        assert!(rung.is_empty());
        let mut buffer = [0; 2];
        assert_eq!(application.try_read(&mut buffer), Ok(2));
        doorbell.answer(&mut rung);
        assert_eq!(rung, [3]);
    }

    #[test]
    fn writing_after_shutdown_is_a_broken_pipe_and_what_was_written_stays() {
        let (application, mut stack) = pipe(8);
        assert_eq!(application.try_write(b"abc"), Ok(3));
        application.shutdown_write();
        assert_eq!(application.try_write(b"d"), Err(Error::BrokenPipe));
        assert!(stack.is_writing_over());
        assert!(!stack.is_dropped());
        let mut buffer = [0; 8];
        assert_eq!(stack.take(&mut buffer), 3);
        drop(application);
        assert!(stack.is_dropped());
    }

    #[test]
    fn empty_rings_give_their_memory_back_and_full_ones_keep_it() {
        let memory = Memory::new(usize::MAX);
        let (application, mut stack) = Stream::new(65_536, &memory, Doorbell::default().bell(0)).unwrap();
        let mut buffer = [0; 10_000];
        assert_eq!(stack.deliver(&[1; 10_000]), 10_000);
        assert_eq!(application.try_write(&[2; 5000]), Ok(5000));
        assert!(!stack.rest());
        assert_eq!(memory.used(), 12_288 + 8192);
        assert_eq!(stack.take(&mut buffer), 5000);
        assert!(!stack.rest());
        assert_eq!(memory.used(), 12_288);
        assert_eq!((application.try_read(&mut buffer), buffer), (Ok(10_000), [1; 10_000]));
        assert!(stack.rest());
        assert_eq!(memory.used(), 0);
        // And go on where they were.
        assert_eq!(application.try_write(b"again"), Ok(5));
        assert_eq!((stack.take(&mut buffer), &buffer[..5]), (5, &b"again"[..]));
    }

    #[test]
    fn two_threads_move_bytes_exactly() {
        const TOTAL: usize = 1 << 20;
        let (application, mut stack) = pipe(4096);
        let writer = thread::spawn(move || {
            let mut sent = 0;
            while sent < TOTAL {
                let chunk: Vec<u8> = (sent..TOTAL.min(sent + 1000)).map(|i| (i % 251) as u8).collect();
                let count =
                    block_on(poll_fn(|context| application.poll_write(context, &chunk)), None).unwrap().unwrap();
                sent += count;
            }
        });
        let mut received = 0;
        let mut buffer = [0; 700];
        while received < TOTAL {
            let count = stack.take(&mut buffer);
            for (i, &byte) in buffer[..count].iter().enumerate() {
                assert_eq!(byte, ((received + i) % 251) as u8);
            }
            received += count;
            if count == 0 {
                thread::yield_now();
            }
        }
        writer.join().unwrap();
    }
}
