//! How a socket ends: a direction, or all of it.

use std::io;
use std::net::Shutdown;
use std::sync::PoisonError;
use std::time::Instant;

use super::{Inner, Pipe, Socket, lock};
use crate::error::Error;
use crate::pipe::wait::block_on;
use crate::socket::{Kind, Verb};

impl Socket {
    /// `shutdown(2)`: closes one direction or both. A listener stops to listen when its reading is shut down;
    /// of Unix sockets those who wait already can still be accepted. What a Unix socket shuts down before it is connected
    /// stays shut down when it is.
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is no Unix socket, also once both directions are over. Nothing has happened then, but that
    /// whoever waits for a message is woken (Linux remembers it of TCP sockets, and tells the peer nothing).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        if let Some(queue) = self.inner.accepts.get() {
            // It does not listen any more, whoever waits to accept is told, and it may listen again.
            return match queue.is_shut() {
                true => Err(Error::NotConnected.into()),
                false if read => {
                    queue.shut_down(false);
                    Ok(())
                }
                false => Ok(()),
            };
        }
        match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) if self.inner.kind == Kind::Tcp && pipe.is_over() => {
                Err(Error::NotConnected.into())
            }
            _ if self.inner.unix.is_some() => {
                self.shut_unix(how);
                Ok(())
            }
            Some(Pipe::Stream(pipe)) => {
                if read {
                    pipe.shutdown_read();
                }
                // Where nobody has answered yet, either of the two gives the connection up (Linux: inet_shutdown).
                if write || pipe.is_connecting() {
                    pipe.shutdown_write();
                }
                Ok(())
            }
            Some(Pipe::Datagrams(pipe)) => {
                if read {
                    pipe.shutdown_read();
                }
                if write {
                    pipe.shutdown_write();
                }
                // Whoever waits is woken all the same (Linux: inet_shutdown).
                let peer = lock(&self.inner.addresses).peer;
                Ok(peer.map(|_| ()).ok_or(Error::NotConnected)?)
            }
            _ => Err(Error::NotConnected.into()),
        }
    }
}

impl Drop for Inner {
    /// `close(2)`. With SO_LINGER it waits until everything has arrived, but not on the thread that runs the stack.
    fn drop(&mut self) {
        let linger = *self.linger.get_mut().unwrap_or_else(PoisonError::into_inner);
        match self.pipe.get() {
            Some(Pipe::Stream(pipe)) => {
                // The engine's own thread would wait in vain, and everybody with it.
                if let Some(span) = linger.filter(|span| !span.is_zero() && !self.stack.is_on_its_thread()) {
                    pipe.shutdown_write();
                    let arrived = self.stack.call(Verb::Linger { socket: self.handle });
                    // Whether it has arrived or the time is over: a drop cannot say it.
                    let _ = block_on(arrived, Instant::now().checked_add(span));
                }
            }
            // The other ends ring when they are dropped.
            Some(_) => {}
            None if self.unix.is_some() || self.accepts.get().is_some() => {}
            None => self.stack.tell(Verb::Close { socket: self.handle }),
        }
    }
}
