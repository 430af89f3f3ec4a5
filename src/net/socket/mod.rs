//! One handle for every domain, type and protocol, shaped like the `socket2` crate.

mod close;
mod connect;
mod listen;
mod message;
mod options;
mod ready;
mod told;
mod transfer;
mod unix;

pub use message::Message;
pub use transfer::Flags;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use super::timeout::Timeout;
use super::{SockAddr, Stack};
use crate::error::{Error, Result};
use crate::pipe::wait::{Spin, block_on};
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
    /// A TCP socket gets it when it connects, a Unix socket also when it listens.
    pipe: OnceLock<Pipe>,
    /// A TCP socket gets it when it listens, which it may do after a try to connect has failed.
    accepts: OnceLock<Accepts<StreamSocket>>,
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
            accepts: OnceLock::new(),
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
        let socket = Socket::made(stack, handle, (domain_of(local), Kind::Tcp), None, addresses);
        // It is new: there is none yet.
        let _ = socket.inner.accepts.set(queue);
        socket
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
