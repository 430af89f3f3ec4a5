use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Error;
use crate::net::{self, BACKLOG, Keepalive, Stack, TcpInfo};
use crate::socket::{Outcome, SocketOption, Verb};

/// A TCP socket that listens, like `tokio::net::TcpListener`.
#[derive(Debug)]
pub struct TcpListener(net::TcpListener);

impl TcpListener {
    /// As [`net::TcpListener::bind`].
    ///
    /// # Errors
    ///
    /// As [`net::TcpListener::bind`].
    pub async fn bind(stack: &Stack, local: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::open(stack, local, false).await
    }

    /// [`TcpListener::bind`] with IPV6_V6ONLY: `[::]` is every address of IPv6 only.
    ///
    /// # Errors
    ///
    /// As [`net::TcpListener::bind`].
    pub async fn bind_one_family(stack: &Stack, local: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::open(stack, local, true).await
    }

    async fn open(stack: &Stack, local: SocketAddr, v6_only: bool) -> io::Result<TcpListener> {
        let outcome = stack.call(Verb::OpenListener { local, backlog: BACKLOG, v6_only }).await;
        net::TcpListener::from_outcome(stack, outcome).map(TcpListener)
    }

    /// Waits for the next connection; gives it with the peer's address.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the stack stops.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// [`TcpListener::accept`] for those who poll by hand.
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let (socket, peer) = ready!(self.0.0.poll_accept(context))?;
        Poll::Ready(Ok((TcpStream(socket.into()), peer.inet()?)))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

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
        let outcome = stack.call(Verb::OpenStream { local: None, remote }).await;
        net::TcpStream::from_outcome(stack, outcome).map(TcpStream)
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

    /// As [`net::TcpStream::set_nodelay`].
    ///
    /// # Errors
    ///
    /// As [`net::TcpStream::set_nodelay`].
    pub async fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set(SocketOption::Nodelay(nodelay)).await
    }

    /// As [`net::TcpStream::set_keepalive`].
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
    /// `NetworkDown` if the stack has stopped.
    pub async fn set_zero_linger(&self) -> io::Result<()> {
        self.set(SocketOption::Linger(Some(Duration::ZERO))).await
    }

    /// As [`net::TcpStream::take_error`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    async fn set(&self, option: SocketOption) -> io::Result<()> {
        self.0.0.stack().call(Verb::SetOption { socket: self.0.0.inner.handle, option }).await?;
        Ok(())
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
        let count = ready!(self.0.0.poll_recv(context, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.0.0.poll_send(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(std::net::Shutdown::Write))
    }
}
