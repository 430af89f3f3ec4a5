use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use super::ready::hops;
use super::{TcpStream, poll_fairly};
use crate::net::{self, BACKLOG, Stack};
use crate::socket::Verb;

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
        let (socket, peer) = ready!(poll_fairly(context, |context| self.0.0.poll_accept(context)))?;
        Poll::Ready(Ok((TcpStream::from_std(socket.into()), peer.inet()?)))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The listener of a program that blocks, for one that does not.
    pub fn from_std(listener: net::TcpListener) -> TcpListener {
        TcpListener(listener)
    }

    /// The same listener for a program that blocks.
    pub fn into_std(self) -> net::TcpListener {
        self.0
    }
}

hops!(TcpListener);
