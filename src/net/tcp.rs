use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use super::cover::{handle, hops, read_write, timeouts};
use super::{BACKLOG, Domain, Keepalive, SockAddr, Socket, Stack, TcpInfo, Type};
use crate::error::Error;
use crate::socket::{Outcome, Verb};

/// A TCP socket that listens, like `std::net::TcpListener`.
#[derive(Debug)]
pub struct TcpListener(pub(super) Socket);

impl TcpListener {
    /// Listens on `local`; port 0 stands for any that is free. `0.0.0.0` is every address of IPv4, `[::]` every address
    /// of both families.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<TcpListener> {
        let verb = Verb::OpenListener { local, backlog: BACKLOG, v6_only: false };
        TcpListener::from_outcome(stack, stack.call_blocking(verb))
    }

    pub(super) fn from_outcome(stack: &Stack, outcome: Result<Outcome, Error>) -> io::Result<TcpListener> {
        match outcome? {
            Outcome::Listener(socket) => Ok(TcpListener(Socket::of_listener(stack, socket))),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// Waits for the next connection; gives it with the peer's address.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the stack stops; `WouldBlock` after [`TcpListener::set_nonblocking`].
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = self.0.accept()?;
        Ok((TcpStream(socket), peer.inet()?))
    }

    /// Connections, one after the other, without end.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<TcpStream>> + '_ {
        std::iter::from_fn(|| Some(self.accept().map(|(stream, _)| stream)))
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.inet()
    }
}

hops!(TcpListener);
handle!(TcpListener);

/// A TCP connection, like `std::net::TcpStream`: read it, write it, drop it to close it.
#[derive(Debug)]
pub struct TcpStream(pub(super) Socket);

impl TcpStream {
    /// Connects to `remote`.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `NetworkUnreachable`, `AddrNotAvailable`.
    pub fn connect(stack: &Stack, remote: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::from_outcome(stack, stack.call_blocking(Verb::OpenStream { local: None, remote }))
    }

    /// [`TcpStream::connect`], and gives up after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`]; `InvalidInput` for a zero duration.
    pub fn connect_timeout(stack: &Stack, remote: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(Error::InvalidInput.into());
        }
        let domain = if remote.is_ipv4() { Domain::Inet } else { Domain::Inet6 };
        let socket = Socket::new(stack, domain, Type::Stream, None)?;
        socket.connect_timeout(&SockAddr::Inet(*remote), timeout)?;
        Ok(TcpStream(socket))
    }

    pub(super) fn from_outcome(stack: &Stack, outcome: Result<Outcome, Error>) -> io::Result<TcpStream> {
        match outcome? {
            Outcome::Stream(socket) => Ok(TcpStream(Socket::of_stream(stack, socket))),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// The peer's end.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()?.inet()
    }

    /// Our end.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.inet()
    }

    /// What lies behind it: state, sequence numbers, windows, what came and went (`TCP_INFO`, RFC 4898).
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub fn info(&self) -> io::Result<TcpInfo> {
        self.0.info()
    }

    /// Reads what is there, and leaves it there (MSG_PEEK).
    ///
    /// # Errors
    ///
    /// As reading.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer)
    }

    /// Closes one direction or both.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// TCP_NODELAY: whether small segments go out at once (RFC 9293 §3.7.4, Nagle's algorithm off).
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.set_tcp_nodelay(nodelay)
    }

    /// What [`TcpStream::set_nodelay`] was told.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.0.tcp_nodelay()
    }

    /// SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT: whether a silent peer is asked if it is still
    /// there (RFC 9293 §3.8.4). `None`, the default: never.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for values that Linux refuses; `NetworkDown` if the stack has stopped.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.0.set_tcp_keepalive(keepalive)
    }

    /// TCP_USER_TIMEOUT (RFC 5482): how long what was sent may stay unacknowledged before the connection is given up.
    /// `None`, the default: about a quarter of an hour. An idle connection is not affected.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_tcp_user_timeout(timeout)
    }

    /// SO_LINGER: see [`Socket::set_linger`].
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.0.set_linger(linger)
    }

    /// What [`TcpStream::set_linger`] was told.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.0.linger()
    }
}

read_write!(TcpStream);
timeouts!(TcpStream);
hops!(TcpStream);
handle!(TcpStream);
