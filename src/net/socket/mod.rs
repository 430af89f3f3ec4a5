//! One handle for every domain, type and protocol, shaped like the `socket2` crate.

mod message;
mod options;
mod ready;
mod told;
mod transfer;
mod unix;

pub use message::Message;
pub use transfer::Flags;

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::timeout::Timeout;
use super::{SockAddr, Stack};
use crate::error::{Error, Result};
use crate::pipe::wait::{Spin, block_on, block_on_with};
use crate::pipe::{Accepts, Datagrams, Stream};
use crate::socket::{
    DatagramSocket, Domain, Handle, Kind, ListenerSocket, Outcome, Protocol, StreamSocket, Type, UnixSocket, Verb,
};
use told::Told;
use unix::{Letters, UnixSide};

/// A socket of a [`Stack`]: any domain, any type, any protocol, with the verbs of the man pages.
///
/// The same methods as in the `socket2` crate, and the same errors as those of Linux. [`TcpStream`](super::TcpStream),
/// [`TcpListener`](super::TcpListener), [`UdpSocket`](super::UdpSocket) and the others are made of it and turn into it.
/// [`Socket::try_clone`] gives another handle of the same socket; the last one that is dropped closes it. A
/// [table](super#verbs) says which verb is which man page's.
///
/// ```
/// use std::net::Shutdown;
/// use tapsock::net::{Domain, Socket, SockAddr, Stack, Type};
///
/// // One function for every kind of stream: what differs is the domain and the address.
/// fn greet(stack: &Stack, domain: Domain, address: &SockAddr) -> std::io::Result<Vec<u8>> {
///     let listener = Socket::new(stack, domain, Type::Stream, None)?;
///     listener.bind(address)?;
///     listener.listen(1)?;
///     let client = Socket::new(stack, domain, Type::Stream, None)?;
///     client.connect(&listener.local_addr()?)?;
///     client.send(b"hello")?;
///     client.shutdown(Shutdown::Write)?;
///     let (server, _peer) = listener.accept()?;
///     let mut heard = [0; 16];
///     let count = server.recv(&mut heard)?;
///     Ok(heard[..count].to_vec())
/// }
///
/// let stack = Stack::builder().loopback_only()?;
/// let inet: std::net::SocketAddr = "127.0.0.1:0".parse()?;
/// assert_eq!(greet(&stack, Domain::Inet, &inet.into())?, b"hello");
/// let name = std::os::unix::net::SocketAddr::from_pathname("/run/greeter")?;
/// assert_eq!(greet(&stack, Domain::Unix, &name.into())?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Options
///
/// What is set is read back by the getter of the same name without `set_`.
///
/// | option | setter | of |
/// |---|---|---|
/// | SO_REUSEADDR, SO_REUSEPORT | [`set_reuse_address`](Self::set_reuse_address), [`set_reuse_port`](Self::set_reuse_port) | all; the second not of Unix |
/// | SO_RCVBUF, SO_SNDBUF | [`set_recv_buffer_size`](Self::set_recv_buffer_size), [`set_send_buffer_size`](Self::set_send_buffer_size) | all |
/// | SO_RCVTIMEO, SO_SNDTIMEO | [`set_read_timeout`](Self::set_read_timeout), [`set_write_timeout`](Self::set_write_timeout) | all |
/// | SO_LINGER | [`set_linger`](Self::set_linger) | all; with effect on TCP |
/// | SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT | [`set_tcp_keepalive`](Self::set_tcp_keepalive), or each by itself | TCP |
/// | SO_BROADCAST | [`set_broadcast`](Self::set_broadcast) | UDP, echo, raw |
/// | SO_ERROR | [`take_error`](Self::take_error) | all |
/// | SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN | [`r#type`](Self::type), [`domain`](Self::domain), [`protocol`](Self::protocol), [`is_listener`](Self::is_listener) | all |
/// | TCP_NODELAY | [`set_tcp_nodelay`](Self::set_tcp_nodelay) | TCP |
/// | TCP_MAXSEG | [`set_tcp_mss`](Self::set_tcp_mss) | TCP |
/// | TCP_CONGESTION | [`set_tcp_congestion`](Self::set_tcp_congestion) | TCP |
/// | TCP_USER_TIMEOUT | [`set_tcp_user_timeout`](Self::set_tcp_user_timeout) | TCP |
/// | TCP_DEFER_ACCEPT | [`set_tcp_defer_accept`](Self::set_tcp_defer_accept) | TCP listeners |
/// | TCP_INFO | [`info`](Self::info) | TCP |
/// | IP_TTL, IPV6_UNICAST_HOPS | [`set_ttl_v4`](Self::set_ttl_v4), [`set_unicast_hops_v6`](Self::set_unicast_hops_v6) | internet |
/// | IP_TOS, IPV6_TCLASS | [`set_tos_v4`](Self::set_tos_v4), [`set_tclass_v6`](Self::set_tclass_v6) | internet |
/// | IP_MTU, IPV6_MTU | [`mtu`](Self::mtu) | internet, connected |
/// | IP_MTU_DISCOVER, IPV6_MTU_DISCOVER | [`set_mtu_discover`](Self::set_mtu_discover), [`set_mtu_discover_v6`](Self::set_mtu_discover_v6) | internet |
/// | IP_RECVERR, IPV6_RECVERR | [`set_receive_errors`](Self::set_receive_errors), [`take_queued_error`](Self::take_queued_error) | internet |
/// | IPV6_V6ONLY | [`set_only_v6`](Self::set_only_v6) | IPv6 |
/// | IP_HDRINCL | [`set_header_included_v4`](Self::set_header_included_v4) | raw |
/// | ICMP_FILTER, ICMP6_FILTER | [`set_icmp_filter`](Self::set_icmp_filter) | raw ICMP |
/// | IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP | [`join_multicast_v4`](Self::join_multicast_v4), [`leave_multicast_v4`](Self::leave_multicast_v4) | UDP, echo, raw |
/// | IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP | [`join_multicast_v6`](Self::join_multicast_v6), [`leave_multicast_v6`](Self::leave_multicast_v6) | UDP, echo, raw |
/// | IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS | [`set_multicast_ttl_v4`](Self::set_multicast_ttl_v4), [`set_multicast_hops_v6`](Self::set_multicast_hops_v6) | UDP, echo, raw |
/// | IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP | [`set_multicast_loop_v4`](Self::set_multicast_loop_v4), [`set_multicast_loop_v6`](Self::set_multicast_loop_v6) | UDP, echo, raw |
/// | IP_MULTICAST_IF, IPV6_MULTICAST_IF | [`set_multicast_if_v4`](Self::set_multicast_if_v4), [`set_multicast_if_v6`](Self::set_multicast_if_v6) | UDP, echo, raw |
#[derive(Debug, Clone)]
pub struct Socket {
    pub(super) inner: Arc<Inner>,
}

/// What all handles of one socket share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) stack: Stack,
    pub(super) handle: Handle,
    domain: Domain,
    kind: Kind,
    /// A TCP socket gets it when it listens or connects.
    pipe: OnceLock<Pipe>,
    /// Those who wait for something to happen to it, until there is a pipe that they can watch.
    watchers: Mutex<Vec<Waker>>,
    addresses: Mutex<Addresses>,
    is_nonblocking: AtomicBool,
    /// Whoever waits keeps looking.
    is_busy: AtomicBool,
    /// A TCP connection was begun, and no call has been told yet what came of it.
    is_begun: AtomicBool,
    /// A call of `connect` was told that it has failed: there is no connection, and there was none.
    has_failed: AtomicBool,
    read_timeout: Timeout,
    write_timeout: Timeout,
    linger: Mutex<Option<Duration>>,
    /// Options that nobody waited for; what is sent behind them does.
    told: Told,
    /// What a Unix socket has besides.
    unix: Option<Box<UnixSide>>,
}

/// The program's end.
#[derive(Debug)]
enum Pipe {
    Stream(Stream),
    Accepts(Accepts<StreamSocket>),
    Datagrams(Datagrams),
    UnixAccepts(Accepts<UnixSocket>),
    SeqPacket(Datagrams<()>),
    Letters(Letters),
}

/// What is known without asking.
#[derive(Debug, Clone, Copy, Default)]
struct Addresses {
    local: Option<SocketAddr>,
    peer: Option<SocketAddr>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Socket {
    fn made(
        stack: &Stack,
        handle: Handle,
        (domain, kind): (Domain, Kind),
        pipe: Option<Pipe>,
        addresses: Addresses,
    ) -> Socket {
        Socket::made_with(stack, handle, (domain, kind), pipe, addresses, None)
    }

    fn made_with(
        stack: &Stack,
        handle: Handle,
        (domain, kind): (Domain, Kind),
        pipe: Option<Pipe>,
        addresses: Addresses,
        unix: Option<Box<UnixSide>>,
    ) -> Socket {
        let inner = Inner {
            stack: stack.clone(),
            handle,
            domain,
            kind,
            pipe: pipe.map_or_else(OnceLock::new, OnceLock::from),
            watchers: Mutex::default(),
            addresses: Mutex::new(addresses),
            is_nonblocking: AtomicBool::new(false),
            is_busy: AtomicBool::new(false),
            is_begun: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            read_timeout: Timeout::default(),
            write_timeout: Timeout::default(),
            linger: Mutex::new(None),
            told: Told::default(),
            unix,
        };
        Socket { inner: Arc::new(inner) }
    }

    pub(super) fn of_stream(stack: &Stack, socket: StreamSocket) -> Socket {
        let StreamSocket { handle, local, remote, pipe, .. } = socket;
        let addresses = Addresses { local: Some(local), peer: Some(remote) };
        Socket::made(stack, handle, (domain_of(local), Kind::Tcp), Some(Pipe::Stream(pipe)), addresses)
    }

    pub(super) fn of_listener(stack: &Stack, socket: ListenerSocket) -> Socket {
        let ListenerSocket { handle, local, queue } = socket;
        let addresses = Addresses { local: Some(local), peer: None };
        Socket::made(stack, handle, (domain_of(local), Kind::Tcp), Some(Pipe::Accepts(queue)), addresses)
    }

    pub(super) fn of_datagram(stack: &Stack, socket: DatagramSocket) -> Socket {
        let DatagramSocket { handle, local, pipe } = socket;
        let addresses = Addresses { local: Some(local), peer: None };
        Socket::made(stack, handle, (domain_of(local), Kind::Udp), Some(Pipe::Datagrams(pipe)), addresses)
    }

    /// `socket(2)`.
    ///
    /// # Errors
    ///
    /// Errno ESOCKTNOSUPPORT if the domain has no such type, EPROTONOSUPPORT if the type has no such protocol; EMFILE.
    pub fn new(stack: &Stack, domain: Domain, r#type: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
        let kind = Kind::of(domain, r#type, protocol)?;
        Socket::of_open(stack, (domain, kind), stack.call_blocking(Verb::Open { domain, kind })?)
    }

    /// [`Socket::new`] for async programs.
    pub(super) async fn open(
        stack: &Stack,
        domain: Domain,
        r#type: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<Socket> {
        let kind = Kind::of(domain, r#type, protocol)?;
        Socket::of_open(stack, (domain, kind), stack.call(Verb::Open { domain, kind }).await?)
    }

    fn of_open(stack: &Stack, (domain, kind): (Domain, Kind), opened: Outcome) -> io::Result<Socket> {
        match opened {
            Outcome::Fresh(handle) => Ok(Socket::made(stack, handle, (domain, kind), None, Addresses::default())),
            Outcome::Datagram(DatagramSocket { handle, pipe, .. }) => {
                let pipe = Some(Pipe::Datagrams(pipe));
                Ok(Socket::made(stack, handle, (domain, kind), pipe, Addresses::default()))
            }
            Outcome::Unix(socket) => Ok(Socket::of_unix(stack, *socket)),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// Another handle of the same socket (`dup(2)`).
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn try_clone(&self) -> io::Result<Socket> {
        Ok(self.clone())
    }

    fn call(&self, verb: Verb) -> Result<Outcome> {
        self.inner.stack.call_blocking(verb)
    }

    /// `bind(2)`: port 0 stands for any that is free.
    ///
    /// A Unix socket gets a name of this stack, which is free again when the socket is closed: it is no file, and there
    /// is nothing to unlink. No name stands for any abstract one.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`; `InvalidInput` if it is bound already; errno EAFNOSUPPORT.
    pub fn bind(&self, address: &SockAddr) -> io::Result<()> {
        block_on(self.bind_async(address.clone()), None).unwrap_or(Err(Error::Interrupted.into()))
    }

    pub(super) async fn bind_async(&self, local: SockAddr) -> io::Result<()> {
        let verb = Verb::Bind { socket: self.inner.handle, local };
        if let Outcome::Address(SockAddr::Inet(local)) = self.inner.stack.call(verb).await? {
            lock(&self.inner.addresses).local = Some(local);
        }
        Ok(())
    }

    /// `listen(2)`. A negative backlog stands for the largest.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if another socket listens there; `InvalidInput` if it is connected; errno EOPNOTSUPP if it is not
    /// TCP.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        block_on(self.listen_async(backlog), None).unwrap_or(Err(Error::Interrupted.into()))
    }

    pub(super) async fn listen_async(&self, backlog: usize) -> io::Result<()> {
        match self.inner.stack.call(Verb::Listen { socket: self.inner.handle, backlog }).await? {
            Outcome::Listener(ListenerSocket { local, queue, .. }) => {
                lock(&self.inner.addresses).local = Some(local);
                self.set_pipe(Pipe::Accepts(queue))?;
            }
            Outcome::UnixListener(queue) => {
                self.set_pipe(Pipe::UnixAccepts(queue))?;
                self.shut_what_was_shut();
            }
            _ => {}
        }
        Ok(())
    }

    fn queue(&self) -> Result<&Accepts<StreamSocket>> {
        match self.inner.pipe.get() {
            Some(Pipe::Accepts(queue)) => Ok(queue),
            Some(Pipe::Datagrams(_) | Pipe::Letters(_)) => Err(Error::NotSupported),
            _ => Err(Error::InvalidInput),
        }
    }

    /// `accept(2)`: waits for a connection; gives it with the peer's address.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if it is non-blocking or the read timeout has passed; `InvalidInput` if it does not listen;
    /// `NetworkDown` when the stack stops.
    pub fn accept(&self) -> io::Result<(Socket, SockAddr)> {
        if let Some(Pipe::UnixAccepts(queue)) = self.inner.pipe.get() {
            let accepted = self.wait_read(|context| queue.poll_accept(context));
            return match accepted {
                // Linux: who does not wait is not told that nobody will come.
                Err(Error::InvalidInput) if self.is_nonblocking() => Err(Error::WouldBlock.into()),
                accepted => Ok(self.accepted_unix(accepted?)),
            };
        }
        let queue = self.queue()?;
        let socket = self.wait_read(|context| queue.poll_accept(context))?;
        Ok(self.accepted(socket))
    }

    /// [`Socket::accept`] for those who poll by hand.
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<(Socket, SockAddr)>> {
        if let Some(Pipe::UnixAccepts(queue)) = self.inner.pipe.get() {
            return queue.poll_accept(context).map(|socket| Ok(self.accepted_unix(socket?)));
        }
        let accepted = self.queue().map_or_else(|error| Poll::Ready(Err(error)), |queue| queue.poll_accept(context));
        accepted.map(|socket| Ok(self.accepted(socket?)))
    }

    fn accepted(&self, socket: StreamSocket) -> (Socket, SockAddr) {
        let remote = socket.remote;
        let accepted = Socket::of_stream(&self.inner.stack, socket);
        // What Linux keeps in the socket, and we at its handle, is inherited as well.
        *lock(&accepted.inner.linger) = *lock(&self.inner.linger);
        (accepted, remote.into())
    }

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
    fn has_failed(&self) -> bool {
        self.inner.has_failed.load(Ordering::Acquire)
    }

    /// How a connection that was begun has ended.
    pub(super) fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) => pipe.poll_connected(context).map_err(Into::into),
            _ => Poll::Ready(Err(Error::NotConnected.into())),
        }
    }

    /// [`Socket::connect`] of a socket of messages, for async programs.
    pub(super) async fn connect_datagram(&self, peer: SocketAddr) -> io::Result<()> {
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

    /// `shutdown(2)`: closes one direction or both. A listener stops to listen when its reading is shut down.
    ///
    /// # Errors
    ///
    /// `NotConnected`, also once both directions are over.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
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
            // It does not listen any more, whoever waits to accept is told, and it may listen again.
            Some(Pipe::Accepts(queue)) if queue.is_shut() => Err(Error::NotConnected.into()),
            Some(Pipe::Accepts(queue)) if read => {
                queue.shut_down(false);
                Ok(())
            }
            Some(Pipe::Accepts(_)) => Ok(()),
            _ => Err(Error::NotConnected.into()),
        }
    }

    /// `getsockname(2)`: our end.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped before the answer was known.
    pub fn local_addr(&self) -> io::Result<SockAddr> {
        if let Some(unix) = &self.inner.unix {
            return Ok(unix.name().into());
        }
        if let Some(local) = lock(&self.inner.addresses).local {
            return Ok(local.into());
        }
        match self.call(Verb::LocalAddress { socket: self.inner.handle })? {
            Outcome::Address(local) => Ok(local),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// [`Socket::local_addr`] for async programs.
    pub(super) async fn ask_local_addr(&self) -> io::Result<SocketAddr> {
        match self.inner.stack.call(Verb::LocalAddress { socket: self.inner.handle }).await? {
            Outcome::Address(SockAddr::Inet(local)) => Ok(local),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// `getpeername(2)`: the other end.
    ///
    /// # Errors
    ///
    /// `NotConnected`, also once both directions are over.
    pub fn peer_addr(&self) -> io::Result<SockAddr> {
        if self.inner.unix.is_some() {
            return Ok(self.unix_peer()?.into());
        }
        if let Some(Pipe::Stream(pipe)) = self.inner.pipe.get()
            && (pipe.is_connecting() || pipe.is_over())
        {
            return Err(Error::NotConnected.into());
        }
        let peer = lock(&self.inner.addresses).peer;
        Ok(peer.ok_or(Error::NotConnected)?.into())
    }

    /// Whether calls return at once instead of waiting (O_NONBLOCK).
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.inner.is_nonblocking.store(nonblocking, Ordering::Release);
        Ok(())
    }

    /// What [`Socket::set_nonblocking`] was told.
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn nonblocking(&self) -> io::Result<bool> {
        Ok(self.inner.is_nonblocking.load(Ordering::Acquire))
    }

    /// Whether calls that wait keep looking instead of sleeping until they are woken (compare SO_BUSY_POLL, `socket(7)`).
    /// No answer comes sooner, and a processor does nothing else meanwhile: for programs that have one to spare. What
    /// goes through the stack also waits for the stack, which sleeps when nothing is to be done.
    ///
    /// # Errors
    ///
    /// None; as [`Socket::set_nonblocking`].
    ///
    /// ```
    /// use tapsock::net::{Domain, Socket, Stack, Type};
    ///
    /// let stack = Stack::builder().loopback_only()?;
    /// let (left, right) = Socket::pair(&stack, Domain::Unix, Type::Stream, None)?;
    /// right.set_busy_poll(true)?;
    /// let answer = std::thread::spawn(move || right.send(b"pong"));
    /// left.set_busy_poll(true)?;
    /// assert_eq!(left.recv(&mut [0; 4])?, 4); // no system call, if the answer is quick
    /// # assert_eq!(answer.join().map_err(|_| "panic")??, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_busy_poll(&self, busy: bool) -> io::Result<()> {
        self.inner.is_busy.store(busy, Ordering::Release);
        Ok(())
    }

    /// What [`Socket::set_busy_poll`] was told.
    ///
    /// # Errors
    ///
    /// None; as [`Socket::nonblocking`].
    pub fn busy_poll(&self) -> io::Result<bool> {
        Ok(self.inner.is_busy.load(Ordering::Acquire))
    }

    /// How a thread waits for something to happen to it.
    fn spin(&self) -> Spin {
        if self.inner.is_busy.load(Ordering::Acquire) { Spin::Always } else { Spin::Briefly }
    }

    /// The domain it was made with (SO_DOMAIN).
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn domain(&self) -> io::Result<Domain> {
        Ok(self.inner.domain)
    }

    /// The type it was made with (SO_TYPE).
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn r#type(&self) -> io::Result<Type> {
        Ok(self.inner.kind.r#type())
    }

    /// The protocol it was made with (SO_PROTOCOL); `None` of a Unix socket.
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn protocol(&self) -> io::Result<Option<Protocol>> {
        let protocol = self.inner.kind.protocol(self.inner.domain);
        Ok(Some(protocol).filter(|protocol| *protocol != Protocol::UNSPECIFIED))
    }

    /// Whether it listens (SO_ACCEPTCONN).
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn is_listener(&self) -> io::Result<bool> {
        Ok(match self.inner.pipe.get() {
            Some(Pipe::Accepts(queue)) => !queue.is_shut(),
            Some(Pipe::UnixAccepts(_)) => true,
            _ => false,
        })
    }

    /// The stack it belongs to.
    pub fn stack(&self) -> &Stack {
        &self.inner.stack
    }
}

impl AsRef<Socket> for Socket {
    fn as_ref(&self) -> &Socket {
        self
    }
}

fn domain_of(address: SocketAddr) -> Domain {
    if address.is_ipv4() { Domain::Inet } else { Domain::Inet6 }
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
            None if self.unix.is_some() => {}
            None => self.stack.tell(Verb::Close { socket: self.handle }),
        }
    }
}
