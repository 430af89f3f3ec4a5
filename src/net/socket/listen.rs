//! Whoever listens, and whom it accepts.

use std::io;
use std::task::{Context, Poll};

use super::{Pipe, Socket, lock};
use crate::error::{Error, Result};
use crate::net::SockAddr;
use crate::pipe::wait::block_on;
use crate::pipe::{Accepts, Attempt};
use crate::socket::{ListenerSocket, Outcome, StreamSocket, Verb};

impl Socket {
    /// `listen(2)`. A negative backlog stands for the largest.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another socket listens there; `InvalidInput` if it is connected, or was, or no call of
    /// [`Socket::connect`] was told yet how it failed; errno EOPNOTSUPP if it is a socket of messages.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        block_on(self.listen_async(backlog), None).unwrap_or(Err(Error::Interrupted.into()))
    }

    pub(in crate::net) async fn listen_async(&self, backlog: usize) -> io::Result<()> {
        // After a connection, or a try of which nobody was told how it ended (Linux: SS_UNCONNECTED).
        if matches!(self.inner.pipe.get(), Some(Pipe::Stream(_))) && !self.has_failed() {
            return Err(Error::InvalidInput.into());
        }
        match self.inner.stack.call(Verb::Listen { socket: self.inner.handle, backlog }).await? {
            Outcome::Listener(ListenerSocket { local, queue, .. }) => {
                lock(&self.inner.addresses).local = Some(local);
                self.inner.accepts.set(queue).map_err(|_| Error::InvalidInput)?;
                self.wake_watchers();
            }
            Outcome::UnixListener(queue) => {
                self.set_pipe(Pipe::UnixAccepts(queue))?;
                self.shut_what_was_shut();
            }
            _ => {}
        }
        Ok(())
    }

    fn queue(&self) -> Result<&Accepts<StreamSocket>> {
        match (self.inner.accepts.get(), self.inner.pipe.get()) {
            (Some(queue), _) => Ok(queue),
            (None, Some(Pipe::Datagrams(_) | Pipe::Letters(_))) => Err(Error::NotSupported),
            _ => Err(Error::InvalidInput),
        }
    }

    /// `accept(2)`: waits for a connection; gives it with the peer's address.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is non-blocking or the read timeout has passed; `InvalidInput` if it does not listen;
    /// `NetworkDown` when the stack stops.
    pub fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        if let Some(Pipe::UnixAccepts(queue)) = self.inner.pipe.get() {
            let accepted = self.wait_read(|context| queue.poll_accept(context));
            return match accepted {
                // Linux: who does not wait is not told that nobody will come.
                Err(Error::InvalidInput) if self.is_nonblocking() => Err(Error::WouldBlock.into()),
                Err(error @ Error::InvalidInput) => Err(self.failed(Attempt::Accept, error).into()),
                accepted => Ok(self.accepted_unix(accepted?)),
            };
        }
        let queue = self.queue()?;
        let socket = self.wait_read(|context| queue.poll_accept(context))?;
        Ok(self.accepted(socket))
    }

    /// [`Socket::accept`] for those who poll by hand.
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Socket, SockAddr)>> {
        if let Some(Pipe::UnixAccepts(queue)) = self.inner.pipe.get() {
            return queue.poll_accept(context).map(|accepted| match accepted {
                Err(error @ Error::InvalidInput) => Err(self.failed(Attempt::Accept, error).into()),
                accepted => Ok(self.accepted_unix(accepted?)),
            });
        }
        let accepted = self.queue().map_or_else(|error| Poll::Ready(Err(error)), |queue| queue.poll_accept(context));
        accepted.map(|socket| Ok(self.accepted(socket?)))
    }

    fn accepted(&self, socket: StreamSocket) -> (Socket, SockAddr) {
        let remote = socket.remote;
        let accepted = Socket::of_stream(&self.inner.stack, socket);
        // What Linux keeps in the socket, and we at its handle, is inherited as well.
        *lock(&accepted.inner.linger) = *lock(&self.inner.linger);
        (accepted, remote.into())
    }

    /// Whether it listens (SO_ACCEPTCONN).
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn is_listener(&self) -> io::Result<bool> {
        let is_tcp = self.inner.accepts.get().is_some_and(|queue| !queue.is_shut());
        Ok(is_tcp || matches!(self.inner.pipe.get(), Some(Pipe::UnixAccepts(_))))
    }
}
