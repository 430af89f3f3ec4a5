//! Readiness, and what is peeked at, in tokio's words.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use tokio::io::{Interest, Ready};

use super::poll_fairly;
use crate::net::{self, Readiness, Socket};

/// What tokio's interest is in ours.
fn interest(wanted: Interest) -> net::Interest {
    match (wanted.is_readable(), wanted.is_writable()) {
        (true, false) => net::Interest::Readable,
        (false, true) => net::Interest::Writable,
        _ => net::Interest::Either,
    }
}

/// What is found, as far as it is wanted. Ends and errors are told to everybody.
fn ready(found: Readiness, wanted: Interest) -> Ready {
    let Readiness { readable, writable, hang_up, error } = found;
    let mut ready = Ready::EMPTY;
    if readable && wanted.is_readable() {
        ready |= Ready::READABLE;
    }
    if writable && wanted.is_writable() {
        ready |= Ready::WRITABLE;
    }
    if hang_up {
        ready |= Ready::READ_CLOSED | Ready::WRITE_CLOSED;
    }
    if error {
        ready |= Ready::ERROR;
    }
    ready
}

pub(super) async fn wait(socket: &Socket, wanted: Interest) -> io::Result<Ready> {
    let interest = interest(wanted);
    let found = poll_fn(|context| poll_fairly(context, |context| socket.poll_ready(context, interest))).await?;
    Ok(ready(found, wanted))
}

pub(super) fn poll(socket: &Socket, context: &mut Context<'_>, wanted: net::Interest) -> Poll<io::Result<()>> {
    poll_fairly(context, |context| socket.poll_ready(context, wanted)).map_ok(|_| ())
}

/// The methods by which tokio's sockets say that a `try_` call may succeed.
macro_rules! readiness {
    ($name:ident) => {
        impl $name {
            /// Waits until what `interest` names can be done without waiting, or the socket is over; says what. It may
            /// be untrue again by the time of the call.
            ///
            /// # Errors
            ///
            /// None; tokio's signature.
            pub async fn ready(&self, interest: ::tokio::io::Interest) -> io::Result<::tokio::io::Ready> {
                $crate::net::tokio::ready::wait(&self.0.0, interest).await
            }

            /// Waits until there is something to be received, an end or an error.
            ///
            /// # Errors
            ///
            /// None; tokio's signature.
            pub async fn readable(&self) -> io::Result<()> {
                self.ready(::tokio::io::Interest::READABLE).await.map(|_| ())
            }

            /// Waits until something can be sent, or sending fails at once.
            ///
            /// # Errors
            ///
            /// None; tokio's signature.
            pub async fn writable(&self) -> io::Result<()> {
                self.ready(::tokio::io::Interest::WRITABLE).await.map(|_| ())
            }
        }
    };
}

/// The same for streams, by hand.
macro_rules! stream_readiness {
    ($name:ident) => {
        readiness!($name);

        impl $name {
            /// [`readable`](Self::readable) for those who poll by hand.
            pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                $crate::net::tokio::ready::poll(&self.0.0, context, $crate::net::Interest::Readable)
            }

            /// [`writable`](Self::writable) for those who poll by hand.
            pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                $crate::net::tokio::ready::poll(&self.0.0, context, $crate::net::Interest::Writable)
            }

            /// Reads what is there, without waiting; 0 is the end of the stream.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if nothing is there yet.
            pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.0.recv_with_flags(buffer, $crate::net::Flags::DONTWAIT)
            }

            /// Writes as much as fits, without waiting.
            ///
            /// # Errors
            ///
            /// `WouldBlock` if nothing fits.
            pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                self.0.0.send_with_flags(bytes, $crate::net::Flags::DONTWAIT)
            }

            pub(super) fn poll_read_shared(
                &self,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let receive = |context: &mut Context<'_>| self.0.0.poll_recv(context, buffer.initialize_unfilled());
                let count = ready!($crate::net::tokio::poll_fairly(context, receive))?;
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }

            pub(super) fn poll_write_shared(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                $crate::net::tokio::poll_fairly(context, |context| self.0.0.poll_send(context, bytes))
            }

            pub(super) fn shutdown_write(&self) -> io::Result<()> {
                self.0.shutdown(Shutdown::Write)
            }
        }

        impl AsyncRead for $name {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.poll_read_shared(context, buffer)
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                self.poll_write_shared(context, bytes)
            }

            fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.shutdown_write())
            }
        }
    };
}

/// How many routers the packets of an internet socket pass.
macro_rules! hops {
    ($name:ident) => {
        impl $name {
            /// How many routers its packets pass (IP_TTL), at first 64; of an IPv6 socket also those to IPv6 peers
            /// (IPV6_UNICAST_HOPS).
            ///
            /// # Errors
            ///
            /// `InvalidInput` if it is not from 1 to 255.
            pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
                self.0.0.tell_hops(ttl)
            }

            /// How many routers its packets pass. The stack is asked, so it is a future where tokio's is not.
            ///
            /// # Errors
            ///
            /// `NetworkDown` if the stack has stopped.
            pub async fn ttl(&self) -> io::Result<u32> {
                self.0.0.ask_hops().await
            }
        }
    };
}

pub(super) use {hops, readiness, stream_readiness};
