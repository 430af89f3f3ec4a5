use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::poll_fairly;
use super::tcp::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::error::Error;
use crate::net::{self, Flags, Keepalive, Stack, TcpInfo};
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
        self.tell(SocketOption::Nodelay(nodelay));
        Ok(())
    }

    /// What [`TcpStream::set_nodelay`] was told. The stack is asked, so it is a future where tokio's is not.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub async fn nodelay(&self) -> io::Result<bool> {
        let verb = Verb::GetOption { socket: self.0.0.inner.handle, name: OptionName::Nodelay };
        match self.0.0.stack().call(verb).await? {
            Outcome::Option(SocketOption::Nodelay(nodelay)) => Ok(nodelay),
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
            self.set(SocketOption::KeepaliveIdle(idle)).await?;
            self.set(SocketOption::KeepaliveInterval(interval)).await?;
            self.set(SocketOption::KeepaliveCount(count)).await?;
        }
        self.set(SocketOption::Keepalive(keepalive.is_some())).await
    }

    /// As [`net::TcpStream::set_user_timeout`].
    ///
    /// # Errors
    ///
    /// As [`net::TcpStream::set_user_timeout`].
    pub async fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(SocketOption::UserTimeout(timeout)).await
    }

    /// SO_LINGER at zero: dropping the stream discards what is unsent and sends a RST. A longer time would make the
    /// drop wait, which a task must not.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.tell(SocketOption::Linger(Some(Duration::ZERO)));
        Ok(())
    }

    /// As [`net::TcpStream::take_error`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// Reads what is there, without waiting; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there yet.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.0.recv_with_flags(buffer, Flags::DONTWAIT)
    }

    /// Writes as much as fits, without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing fits.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.send_with_flags(bytes, Flags::DONTWAIT)
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

    pub(super) fn poll_read_shared(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = ready!(poll_fairly(context, |context| self.0.0.poll_recv(context, buffer.initialize_unfilled())))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write_shared(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        poll_fairly(context, |context| self.0.0.poll_send(context, bytes))
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// Tells the stack, and does not wait for its answer.
    fn tell(&self, option: SocketOption) {
        self.0.0.stack().tell(Verb::SetOption { socket: self.0.0.inner.handle, option });
    }

    async fn set(&self, option: SocketOption) -> io::Result<()> {
        self.0.0.stack().call(Verb::SetOption { socket: self.0.0.inner.handle, option }).await?;
        Ok(())
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

impl AsyncRead for TcpStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_read_shared(context, buffer)
    }
}

impl AsyncWrite for TcpStream {
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
