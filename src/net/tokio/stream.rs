use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::poll_fairly;
use super::ready::{hops, readiness, stream_readiness};
use super::tcp::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::error::Error;
use crate::net::{self, Keepalive, Stack, TcpInfo};
use crate::socket::{OptionName, Outcome, SocketOption, Verb};

/// A TCP connection, like `tokio::net::TcpStream`.
#[derive(Debug)]
pub struct TcpStream(net::TcpStream);

impl TcpStream {
    /// As [`net::TcpStream::connect`].
    ///
    /// # Errors
    ///
    /// As [`net::TcpStream::connect`].
    pub async fn connect(stack: &Stack, remote: SocketAddr) -> io::Result<TcpStream> {
        let outcome = stack.call(Verb::BeginStream { remote }).await;
        // Held here: if nobody waits any more, dropping it ends the try.
        let stream = net::TcpStream::from_outcome(stack, outcome)?;
        poll_fn(|context| stream.0.poll_connected(context)).await?;
        Ok(TcpStream(stream))
    }

    /// The peer's end.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// Our end.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// As [`net::TcpStream::info`].
    ///
    /// # Errors
    ///
    /// As [`net::TcpStream::info`].
    pub async fn info(&self) -> io::Result<TcpInfo> {
        self.inspector().info().await
    }

    /// Something that can be asked for [`TcpStream::info`] while the stream itself is in other hands.
    pub fn inspector(&self) -> Inspector {
        Inspector { stack: self.0.0.stack().clone(), socket: self.0.0.inner.handle }
    }

    /// TCP_NODELAY: see [`net::TcpStream::set_nodelay`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.0.tell_option(SocketOption::Nodelay(nodelay));
        Ok(())
    }

    /// What [`TcpStream::set_nodelay`] was told. The stack is asked, so it is a future where tokio's is not.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub async fn nodelay(&self) -> io::Result<bool> {
        match self.0.0.ask_option(OptionName::Nodelay).await? {
            SocketOption::Nodelay(nodelay) => Ok(nodelay),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// As [`net::TcpStream::set_keepalive`]: values may be refused, so it waits for the answer.
    ///
    /// # Errors
    ///
    /// As [`net::TcpStream::set_keepalive`].
    pub async fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        if let Some(Keepalive { idle, interval, count }) = keepalive {
            self.0.0.set_option(SocketOption::KeepaliveIdle(idle)).await?;
            self.0.0.set_option(SocketOption::KeepaliveInterval(interval)).await?;
            self.0.0.set_option(SocketOption::KeepaliveCount(count)).await?;
        }
        self.0.0.set_option(SocketOption::Keepalive(keepalive.is_some())).await
    }

    /// As [`net::TcpStream::set_user_timeout`].
    ///
    /// # Errors
    ///
    /// As [`net::TcpStream::set_user_timeout`].
    pub async fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.0.set_option(SocketOption::UserTimeout(timeout)).await
    }

    /// SO_LINGER at zero: dropping the stream discards what is unsent and sends a RST. A longer time would make the
    /// drop wait, which a task must not.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.0.0.tell_option(SocketOption::Linger(Some(Duration::ZERO)));
        Ok(())
    }

    /// SO_LINGER: zero as [`TcpStream::set_zero_linger`], nothing takes that back. It waits for the stack: from then on
    /// it holds, however soon the stream is dropped. A longer time is refused, because no drop waits here.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time that is not zero; `NetworkDown` if the stack has stopped.
    pub async fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        if linger.is_some_and(|span| !span.is_zero()) {
            return Err(Error::InvalidInput.into());
        }
        self.0.0.set_option(SocketOption::Linger(linger)).await
    }

    /// As [`net::TcpStream::take_error`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Waits for bytes, and leaves them there (MSG_PEEK); 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| poll_fairly(context, |context| self.0.0.poll_peek(context, buffer))).await
    }

    /// [`TcpStream::peek`] for those who poll by hand.
    pub fn poll_peek(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let count = ready!(self.0.0.poll_peek(context, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(count))
    }

    /// A half that reads and one that writes, borrowed: cheap, and for one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        tcp::split(self)
    }

    /// A half that reads and one that writes, each for a task of its own. Dropping the one that writes shuts that
    /// direction down.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        tcp::into_split(self)
    }

    /// The connection of a program that blocks, for one that does not.
    pub fn from_std(stream: net::TcpStream) -> TcpStream {
        TcpStream(stream)
    }

    /// The same connection for a program that blocks.
    pub fn into_std(self) -> net::TcpStream {
        self.0
    }
}

/// Asks a connection about itself.
#[derive(Debug, Clone)]
pub struct Inspector {
    stack: Stack,
    socket: crate::socket::Handle,
}

impl Inspector {
    /// As [`net::TcpStream::info`].
    ///
    /// # Errors
    ///
    /// As [`net::TcpStream::info`].
    pub async fn info(&self) -> io::Result<TcpInfo> {
        match self.stack.call(Verb::Info { socket: self.socket }).await? {
            Outcome::Info(info) => Ok(*info),
            _ => Err(Error::InvalidInput.into()),
        }
    }
}

stream_readiness!(TcpStream);
hops!(TcpStream);
