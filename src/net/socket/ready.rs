//! Whether a call would have to wait (`poll(2)`).

use std::io;
use std::task::{Context, Poll, Waker};

use super::{Pipe, Socket, lock};
use crate::pipe::{Interest, Readiness};

/// A TCP socket that neither listens nor has connected, as Linux sees it: there is no connection to wait for.
const UNCONNECTED: Readiness = Readiness { readable: false, writable: true, hang_up: true, error: false };

impl Socket {
    /// What a call would find at this moment. A listener is readable when a connection waits to be accepted; a socket
    /// that connects becomes writable when it stands, and has an error and a hang-up when it failed.
    ///
    /// ```
    /// use tapsock::net::{Stack, TcpListener, TcpStream};
    ///
    /// let stack = Stack::builder().loopback_only()?;
    /// let listener = TcpListener::bind(&stack, "127.0.0.1:0".parse()?)?;
    /// let client = TcpStream::connect(&stack, listener.local_addr()?)?;
    /// let ready = client.as_ref().readiness();
    /// assert!(ready.writable && !ready.readable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn readiness(&self) -> Readiness {
        match self.inner.accepts.get() {
            Some(queue) if queue.is_shut() => return UNCONNECTED,
            Some(queue) => return Readiness { readable: queue.is_ready(), ..Readiness::default() },
            None => {}
        }
        match self.inner.pipe.get() {
            Some(Pipe::Stream(_)) if self.has_failed() => UNCONNECTED,
            Some(Pipe::Stream(pipe)) => pipe.readiness(),
            Some(Pipe::Datagrams(pipe)) => pipe.readiness(),
            Some(Pipe::UnixAccepts(queue)) => {
                let readable = queue.is_ready();
                self.inner.unix.as_ref().map(|unix| unix.listening(readable)).unwrap_or_default()
            }
            Some(Pipe::SeqPacket(pipe)) => pipe.readiness(),
            Some(Pipe::Letters(letters)) => letters.readiness(),
            None => {
                let is_shut = self.inner.unix.as_ref().is_some_and(|unix| unix.is_reading_shut());
                Readiness { readable: is_shut, ..UNCONNECTED }
            }
        }
    }

    /// [`Socket::readiness`] once `interest` is met; until then the task is woken later. Ends and errors are told
    /// whatever the interest is.
    ///
    /// # Errors
    ///
    /// None; what calls give that poll.
    pub fn poll_ready(&self, context: &mut Context<'_>, interest: Interest) -> Poll<io::Result<Readiness>> {
        let now = self.readiness();
        if interest.is_met(now) {
            return Poll::Ready(Ok(now));
        }
        self.watch(context.waker(), interest);
        // What came between the two looks.
        let now = self.readiness();
        if interest.is_met(now) { Poll::Ready(Ok(now)) } else { Poll::Pending }
    }

    /// The next time that something happens to what `interest` names, `waker` is woken.
    pub(in crate::net) fn watch(&self, waker: &Waker, interest: Interest) {
        if let Some(queue) = self.inner.accepts.get() {
            return queue.watch(waker);
        }
        if self.inner.pipe.get().is_none() {
            let mut watchers = lock(&self.inner.watchers);
            if !watchers.iter().any(|watcher| watcher.will_wake(waker)) {
                watchers.push(waker.clone());
            }
        }
        match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) => pipe.watch(waker, interest),
            Some(Pipe::Datagrams(pipe)) => pipe.watch(waker, interest),
            Some(Pipe::UnixAccepts(queue)) => queue.watch(waker),
            Some(Pipe::SeqPacket(pipe)) => pipe.watch(waker, interest),
            Some(Pipe::Letters(letters)) => letters.watch(waker, interest),
            None => {}
        }
    }

    /// It listens or connects: those who watch it look again.
    pub(super) fn set_pipe(&self, pipe: Pipe) -> io::Result<()> {
        self.inner.pipe.set(pipe).map_err(|_| crate::error::Error::InvalidInput)?;
        self.wake_watchers();
        Ok(())
    }

    pub(super) fn wake_watchers(&self) {
        let watchers = std::mem::take(&mut *lock(&self.inner.watchers));
        watchers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
impl Socket {
    /// How many watch it until it has a pipe.
    pub(in crate::net) fn watchers(&self) -> usize {
        lock(&self.inner.watchers).len()
    }
}
