use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::poll_fairly;
use super::ready::{readiness, stream_readiness};
use super::unix::{self, OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::unix::{as_unix, named};
use crate::net::{self, BACKLOG, Domain, SockAddr, Socket, Stack, Type};

/// A Unix socket that listens, like `tokio::net::UnixListener`.
#[derive(Debug)]
pub struct UnixListener(net::UnixListener);

impl UnixListener {
    /// As [`net::UnixListener::bind`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixListener::bind`].
    pub async fn bind(stack: &Stack, path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::bind_to(stack, named(path)?).await
    }

    /// As [`net::UnixListener::bind_addr`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixListener::bind_addr`].
    pub async fn bind_addr(stack: &Stack, address: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::bind_to(stack, address.clone().into()).await
    }

    async fn bind_to(stack: &Stack, name: SockAddr) -> io::Result<UnixListener> {
        let socket = Socket::open(stack, Domain::Unix, Type::Stream, None).await?;
        socket.bind_async(name).await?;
        socket.listen_async(BACKLOG).await?;
        Ok(UnixListener(socket.into()))
    }

    /// Waits for the next connection; gives it with the peer's name, if it has one.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the stack stops.
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// [`UnixListener::accept`] for those who poll by hand.
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let (socket, peer) = ready!(poll_fairly(context, |context| self.0.0.poll_accept(context)))?;
        Poll::Ready(Ok((UnixStream(socket.into()), as_unix(&peer)?)))
    }

    /// What it is called.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection between two programs of one stack, like `tokio::net::UnixStream`.
///
/// ```
/// use tapsock::device::pair;
/// use tapsock::net::{Stack, tokio::UnixStream};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (ours, _theirs) = pair(1500);
/// let stack = Stack::builder().device(ours)?;
/// let (mut left, mut right) = UnixStream::pair(&stack).await?;
/// left.write_all(b"hello").await?;
/// drop(left);
/// let mut heard = String::new();
/// right.read_to_string(&mut heard).await?;
/// assert_eq!(heard, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnixStream(net::UnixStream);

impl UnixStream {
    /// As [`net::UnixStream::connect`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixStream::connect`].
    pub async fn connect(stack: &Stack, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_to(stack, named(path)?).await
    }

    /// As [`net::UnixStream::connect_addr`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixStream::connect_addr`].
    pub async fn connect_addr(stack: &Stack, address: &SocketAddr) -> io::Result<UnixStream> {
        UnixStream::connect_to(stack, address.clone().into()).await
    }

    async fn connect_to(stack: &Stack, name: SockAddr) -> io::Result<UnixStream> {
        let socket = Socket::open(stack, Domain::Unix, Type::Stream, None).await?;
        socket.connect_unix(&name, true).await?;
        Ok(UnixStream(socket.into()))
    }

    /// As [`net::UnixStream::pair`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixStream::pair`].
    pub async fn pair(stack: &Stack) -> io::Result<(UnixStream, UnixStream)> {
        let (left, right) = Socket::pair_async(stack, Domain::Unix, Type::Stream).await?;
        Ok((UnixStream(left.into()), UnixStream(right.into())))
    }

    /// What it is called.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// What its peer is called.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// As [`net::UnixStream::take_error`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// A half that reads and one that writes, borrowed: cheap, and for one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        unix::split(self)
    }

    /// A half that reads and one that writes, each for a task of its own. Dropping the one that writes shuts that
    /// direction down.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        unix::into_split(self)
    }

    /// The same connection for a program that blocks.
    pub fn into_std(self) -> net::UnixStream {
        self.0
    }
}

stream_readiness!(UnixStream);

/// A Unix socket of messages, like `tokio::net::UnixDatagram`.
#[derive(Debug)]
pub struct UnixDatagram(net::UnixDatagram);

impl UnixDatagram {
    /// As [`net::UnixDatagram::bind`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::bind`].
    pub async fn bind(stack: &Stack, path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound(stack).await?;
        socket.0.0.bind_async(named(path)?).await?;
        Ok(socket)
    }

    /// As [`net::UnixDatagram::unbound`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::unbound`].
    pub async fn unbound(stack: &Stack) -> io::Result<UnixDatagram> {
        let socket = Socket::open(stack, Domain::Unix, Type::Dgram, None).await?;
        Ok(UnixDatagram(socket.into()))
    }

    /// As [`net::UnixDatagram::pair`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::pair`].
    pub async fn pair(stack: &Stack) -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (left, right) = Socket::pair_async(stack, Domain::Unix, Type::Dgram).await?;
        Ok((UnixDatagram(left.into()), UnixDatagram(right.into())))
    }

    /// As [`net::UnixDatagram::connect`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::connect`].
    pub async fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        Ok(self.0.0.connect_unix(&named(path)?, true).await?)
    }

    /// As [`net::UnixDatagram::recv_from`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::recv_from`].
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let mut buffers = [IoSliceMut::new(buffer)];
        let received =
            poll_fn(|context| poll_fairly(context, |context| self.0.0.poll_receive_unix(context, &mut buffers, false)))
                .await?;
        let (count, from) = received.map(|received| (received.count, received.addresses)).unwrap_or_default();
        Ok((count, as_unix(&from.into())?))
    }

    /// As [`net::UnixDatagram::recv`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::recv_from`].
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_from(buffer).await.map(|(count, _)| count)
    }

    /// As [`net::UnixDatagram::send_to`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::send_to`].
    pub async fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let name = named(path)?;
        Ok(self.0.0.send_unix_message(&[IoSlice::new(bytes)], Some(&name), true).await?)
    }

    /// As [`net::UnixDatagram::send`].
    ///
    /// # Errors
    ///
    /// As [`net::UnixDatagram::send`].
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.0.send_unix_message(&[IoSlice::new(bytes)], None, true).await?)
    }

    /// What it is called.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// What its peer is called.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// As [`net::UnixDatagram::shutdown`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// The same socket for a program that blocks.
    pub fn into_std(self) -> net::UnixDatagram {
        self.0
    }
}

readiness!(UnixDatagram);
