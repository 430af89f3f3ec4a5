//! How a socket gets its peer, and loses it again.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{Addresses, Pipe, Socket, lock};
use crate::error::{Error, Result};
use crate::net::SockAddr;
use crate::pipe::wait::block_on_with;
use crate::socket::{Kind, Outcome, Verb};

impl Socket {
    /// `connect(2)`. For UDP only the peer is heard from here on, and its ICMP errors are reported.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `NetworkUnreachable`, `AddrNotAvailable`; errno EISCONN;
    /// errno EINPROGRESS if it is non-blocking (then [`Socket::take_error`] says how it ended, once it is writable, and so
    /// does the next call of this), and EALREADY while it goes on.
    ///
    /// Of a Unix socket, also: `NotFound` if nobody has this path; errno EPROTOTYPE if a socket of another type has it,
    /// EPERM if it is a socket of messages that is connected to another; `WouldBlock` if it is non-blocking and the
    /// queue is full.
    pub fn connect(&self, address: &SockAddr) -> io::Result<()> {
        if self.inner.unix.is_some() {
            let deadline = self.inner.write_timeout.deadline();
            return self.connect_unix_until(address, !self.nonblocking()?, deadline, Error::WouldBlock);
        }
        if let Some(earlier) = self.earlier_connect() {
            return earlier;
        }
        self.begin_connect(address)?;
        if self.inner.kind != Kind::Tcp {
            return Ok(());
        }
        if self.nonblocking()? {
            return Err(Error::InProgress.into());
        }
        let deadline = self.inner.write_timeout.deadline();
        self.end_connect(deadline, Error::InProgress)
    }

    /// What came of a connection that was begun, if it has come and no call of `connect` was told: this one is, whatever
    /// address it names, as on Linux (`inet_stream_connect`).
    fn earlier_connect(&self) -> Option<io::Result<()>> {
        let Some(Pipe::Stream(pipe)) = self.inner.pipe.get() else { return None };
        if pipe.is_connecting() || !self.inner.is_begun.swap(false, Ordering::AcqRel) {
            return None;
        }
        Some(self.told(match pipe.try_connected() {
            // It failed, and somebody has asked for the error already.
            Ok(()) if pipe.is_over() => Err(Error::ConnectionAborted),
            ended => ended,
        }))
    }

    /// [`Socket::connect`], and gives up after `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Socket::connect`]; `TimedOut`.
    pub fn connect_timeout(&self, address: &SockAddr, timeout: Duration) -> io::Result<()> {
        if self.inner.unix.is_some() {
            let deadline = Instant::now().checked_add(timeout);
            return self.connect_unix_until(address, true, deadline, Error::TimedOut);
        }
        if let Some(earlier) = self.earlier_connect() {
            return earlier;
        }
        self.begin_connect(address)?;
        if self.inner.kind != Kind::Tcp {
            return Ok(());
        }
        self.end_connect(Instant::now().checked_add(timeout), Error::TimedOut)
    }

    fn begin_connect(&self, address: &SockAddr) -> io::Result<()> {
        let remote = address.inet()?;
        let outcome = self.call(Verb::Connect { socket: self.inner.handle, remote: remote.into() })?;
        if let Outcome::Connecting(Some(pipe)) = outcome {
            self.set_pipe(Pipe::Stream(pipe))?;
        }
        self.inner.is_begun.store(true, Ordering::Release);
        self.inner.has_failed.store(false, Ordering::Release);
        // Which address it got is known to the engine, and asked of it when somebody wants to know.
        *lock(&self.inner.addresses) = Addresses { local: None, peer: Some(remote) };
        if remote.ip().to_canonical().is_unspecified() {
            // This host: by IPv4 it is reached at the very address that it is reached from.
            let ip = match remote.ip() {
                IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                _ => self.local_addr()?.inet()?.ip(),
            };
            lock(&self.inner.addresses).peer = Some(SocketAddr::new(ip, remote.port()));
        }
        Ok(())
    }

    fn end_connect(&self, deadline: Option<Instant>, late: Error) -> io::Result<()> {
        let Some(Pipe::Stream(pipe)) = self.inner.pipe.get() else { return Err(Error::NotConnected.into()) };
        let connected = poll_fn(|context| pipe.poll_connected(context));
        let Some(ended) = block_on_with(self.spin(), connected, deadline) else {
            return Err(late.into());
        };
        self.inner.is_begun.store(false, Ordering::Release);
        self.told(ended)
    }

    /// A call of `connect` is told how it ended.
    fn told(&self, ended: Result<()>) -> io::Result<()> {
        self.inner.has_failed.store(ended.is_err(), Ordering::Release);
        Ok(ended?)
    }

    /// Whether there is no connection because the last try has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.inner.has_failed.load(Ordering::Acquire)
    }

    /// How a connection that was begun has ended.
    pub(in crate::net) fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) => pipe.poll_connected(context).map_err(Into::into),
            _ => Poll::Ready(Err(Error::NotConnected.into())),
        }
    }

    /// [`Socket::connect`] of a socket of messages, for async programs.
    pub(in crate::net) async fn connect_datagram(&self, peer: SocketAddr) -> io::Result<()> {
        self.inner.stack.call(Verb::Connect { socket: self.inner.handle, remote: peer.into() }).await?;
        *lock(&self.inner.addresses) = Addresses { local: None, peer: Some(peer) };
        Ok(())
    }

    /// `connect(2)` with AF_UNSPEC: a socket of messages hears everybody again.
    ///
    /// # Errors
    ///
    /// Errno EOPNOTSUPP if it is no socket of messages.
    pub fn disconnect(&self) -> io::Result<()> {
        self.call(Verb::Disconnect { socket: self.inner.handle })?;
        if let Some(Pipe::Letters(letters)) = self.inner.pipe.get() {
            letters.forget_peer();
        }
        lock(&self.inner.addresses).peer = None;
        Ok(())
    }
}
