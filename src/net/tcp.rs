use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{BACKLOG, Keepalive, Stack, TcpInfo};
use crate::error::Error;
use crate::pipe::wait::block_on;
use crate::socket::{ListenerSocket, Outcome, StreamSocket, TcpOption, Verb};

/// A TCP socket that listens, like `std::net::TcpListener`.
#[derive(Debug)]
pub struct TcpListener {
    pub(super) stack: Stack,
    pub(super) socket: ListenerSocket,
}

impl TcpListener {
    /// Listens on `local`; port 0 stands for any that is free. `0.0.0.0` and `[::]` are each all addresses of
    /// their own family.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::from_outcome(stack, stack.call_blocking(Verb::Listen { local, backlog: BACKLOG }))
    }

    pub(super) fn from_outcome(stack: &Stack, outcome: Result<Outcome, Error>) -> io::Result<TcpListener> {
        match outcome? {
            Outcome::Listener(socket) => Ok(TcpListener { stack: stack.clone(), socket }),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// Waits for the next connection; gives it with the peer's address.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the stack stops.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let socket = block_on(poll_fn(|context| self.socket.queue.poll_accept(context)), None)
            .unwrap_or(Err(Error::Interrupted))?;
        let remote = socket.remote;
        Ok((TcpStream::new(&self.stack, socket), remote))
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
        Ok(self.socket.local)
    }
}

/// A TCP connection, like `std::net::TcpStream`: read it, write it, drop it to close it.
#[derive(Debug)]
pub struct TcpStream {
    pub(super) stack: Stack,
    pub(super) socket: StreamSocket,
    read_timeout: Timeout,
    write_timeout: Timeout,
    linger: Mutex<Option<Duration>>,
}

/// Nanoseconds; 0: none.
#[derive(Debug, Default)]
struct Timeout(AtomicU64);

impl Timeout {
    fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(Error::InvalidInput.into());
        }
        let nanos = timeout.map_or(0, |span| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
        self.0.store(nanos, Ordering::Relaxed);
        Ok(())
    }

    fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.get().and_then(|span| Instant::now().checked_add(span))
    }
}

impl TcpStream {
    pub(super) fn new(stack: &Stack, socket: StreamSocket) -> TcpStream {
        TcpStream {
            stack: stack.clone(),
            socket,
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            linger: Mutex::new(None),
        }
    }

    /// Connects to `remote`.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `HostUnreachable`, `NetworkUnreachable`, `AddrNotAvailable`.
    pub fn connect(stack: &Stack, remote: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::from_outcome(stack, stack.call_blocking(Verb::Connect { local: None, remote }))
    }

    pub(super) fn from_outcome(stack: &Stack, outcome: Result<Outcome, Error>) -> io::Result<TcpStream> {
        match outcome? {
            Outcome::Stream(socket) => Ok(TcpStream::new(stack, socket)),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// The peer's end.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.remote)
    }

    /// Our end.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local)
    }

    /// What lies behind it: state, sequence numbers, windows, what came and went (`TCP_INFO`, RFC 4898).
    ///
    /// # Errors
    ///
    /// `NotConnected` once the connection is over.
    pub fn info(&self) -> io::Result<TcpInfo> {
        match self.stack.call_blocking(Verb::Info { socket: self.socket.handle })? {
            Outcome::Info(info) => Ok(*info),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// Closes one direction or both.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.socket.pipe.shutdown_read();
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.socket.pipe.shutdown_write();
        }
        Ok(())
    }

    /// TCP_NODELAY: whether small segments go out at once (RFC 9293 §3.7.4, Nagle's algorithm off).
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.set(TcpOption::Nodelay(nodelay))
    }

    /// SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT: whether a silent peer is asked if it is still
    /// there (RFC 9293 §3.8.4). `None`, the default: never.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        self.set(TcpOption::Keepalive(keepalive))
    }

    /// TCP_USER_TIMEOUT (RFC 5482): how long what was sent may stay unacknowledged before the connection is given up.
    /// `None`, the default: about a quarter of an hour. An idle connection is not affected.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set(TcpOption::UserTimeout(timeout))
    }

    /// SO_LINGER (`socket(7)`). `None`, the default: dropping the stream returns at once, and what was written is sent
    /// in the background. Zero: dropping it discards what is unsent and sends a RST. Else dropping it waits, at most
    /// this long, until everything has arrived; what has not by then is still sent in the background.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set(TcpOption::Linger(linger))?;
        *self.linger.lock().unwrap_or_else(PoisonError::into_inner) = linger;
        Ok(())
    }

    /// What [`TcpStream::set_linger`] was told.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(*self.linger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// SO_ERROR: what the connection died of, if nobody was told yet. Asking takes it.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.socket.pipe.take_error().err().map(io::Error::from))
    }

    fn set(&self, option: TcpOption) -> io::Result<()> {
        self.stack.call_blocking(Verb::SetOption { socket: self.socket.handle, option })?;
        Ok(())
    }

    /// How long a read waits; `None`: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a zero duration.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.set(timeout)
    }

    /// How long a write waits; `None`: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a zero duration.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout.set(timeout)
    }

    /// What [`TcpStream::set_read_timeout`] was told.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.read_timeout.get())
    }

    /// What [`TcpStream::set_write_timeout`] was told.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.write_timeout.get())
    }
}

impl Drop for TcpStream {
    fn drop(&mut self) {
        let linger = *self.linger.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(span) = linger.filter(|span| !span.is_zero()) {
            self.socket.pipe.shutdown_write();
            let arrived = self.stack.call(Verb::Linger { socket: self.socket.handle });
            // Whether it has arrived or the time is over: a drop cannot say it.
            let _ = block_on(arrived, Instant::now().checked_add(span));
        }
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pipe = &self.socket.pipe;
        let read = block_on(poll_fn(|context| pipe.poll_read(context, buffer)), self.read_timeout.deadline());
        Ok(read.unwrap_or(Err(Error::WouldBlock))?)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let pipe = &self.socket.pipe;
        let written = block_on(poll_fn(|context| pipe.poll_write(context, buffer)), self.write_timeout.deadline());
        Ok(written.unwrap_or(Err(Error::WouldBlock))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for TcpStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
