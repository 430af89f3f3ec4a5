//! A socket of the kernel or of ours, behind the same methods.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, SockaddrStorage, recv, recvfrom};
use socket2::TcpKeepalive;
use tapsock::net::{Domain, Flags, Protocol, Socket, Stack, Type};

pub(crate) enum Sock {
    Kernel(socket2::Socket),
    Ours(Socket),
}

/// Short: what is behind it fills a screen.
impl fmt::Debug for Sock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_kernel() { "a socket of the kernel" } else { "a socket of ours" })
    }
}

/// Methods that have the same name and the same types at both.
macro_rules! alike {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Sock {
            $(pub(crate) fn $name(&self $(, $argument: $type)*) -> io::Result<$result> {
                match self {
                    Sock::Kernel(socket) => socket.$name($($argument),*),
                    Sock::Ours(socket) => socket.$name($($argument),*),
                }
            })*
        }
    };
}

alike! {
    listen(backlog: i32) -> ();
    shutdown(how: Shutdown) -> ();
    take_error() -> Option<io::Error>;
    set_nonblocking(nonblocking: bool) -> ();
    nonblocking() -> bool;
    is_listener() -> bool;
    send(bytes: &[u8]) -> usize;
    send_vectored(buffers: &[IoSlice<'_>]) -> usize;
    set_read_timeout(timeout: Option<Duration>) -> ();
    read_timeout() -> Option<Duration>;
    set_write_timeout(timeout: Option<Duration>) -> ();
    write_timeout() -> Option<Duration>;
    set_linger(linger: Option<Duration>) -> ();
    linger() -> Option<Duration>;
    set_reuse_address(on: bool) -> ();
    reuse_address() -> bool;
    set_reuse_port(on: bool) -> ();
    reuse_port() -> bool;
    set_only_v6(on: bool) -> ();
    only_v6() -> bool;
    set_keepalive(on: bool) -> ();
    keepalive() -> bool;
    tcp_keepalive_time() -> Duration;
    tcp_keepalive_interval() -> Duration;
    tcp_keepalive_retries() -> u32;
    set_tcp_nodelay(on: bool) -> ();
    tcp_nodelay() -> bool;
    set_tcp_user_timeout(timeout: Option<Duration>) -> ();
    tcp_user_timeout() -> Option<Duration>;
    set_ttl_v4(hops: u32) -> ();
    ttl_v4() -> u32;
    set_tos_v4(tos: u32) -> ();
    tos_v4() -> u32;
    set_unicast_hops_v6(hops: u32) -> ();
    unicast_hops_v6() -> u32;
    set_recv_buffer_size(bytes: usize) -> ();
    recv_buffer_size() -> usize;
    set_send_buffer_size(bytes: usize) -> ();
    send_buffer_size() -> usize;
    set_tcp_mss(bytes: u32) -> ();
    tcp_mss() -> u32;
    set_tclass_v6(class: u32) -> ();
    tclass_v6() -> u32;
    set_header_included_v4(on: bool) -> ();
    header_included_v4() -> bool;
    set_tcp_congestion(name: &[u8]) -> ();
    tcp_congestion() -> Vec<u8>;
    join_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    leave_multicast_v4(group: &Ipv4Addr, interface: &Ipv4Addr) -> ();
    join_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
    leave_multicast_v6(group: &Ipv6Addr, interface: u32) -> ();
    set_multicast_if_v4(interface: &Ipv4Addr) -> ();
    multicast_if_v4() -> Ipv4Addr;
    set_multicast_if_v6(interface: u32) -> ();
    multicast_if_v6() -> u32;
    set_broadcast(on: bool) -> ();
    broadcast() -> bool;
    set_multicast_ttl_v4(hops: u32) -> ();
    multicast_ttl_v4() -> u32;
    set_multicast_hops_v6(hops: u32) -> ();
    multicast_hops_v6() -> u32;
    set_multicast_loop_v4(on: bool) -> ();
    multicast_loop_v4() -> bool;
    set_multicast_loop_v6(on: bool) -> ();
    multicast_loop_v6() -> bool;
}

pub(crate) fn domain(domain: Domain) -> socket2::Domain {
    match domain {
        Domain::Inet => socket2::Domain::IPV4,
        Domain::Inet6 => socket2::Domain::IPV6,
        Domain::Unix => socket2::Domain::UNIX,
    }
}

pub(crate) fn kind(kind: Type) -> socket2::Type {
    match kind {
        Type::Stream => socket2::Type::STREAM,
        Type::Dgram => socket2::Type::DGRAM,
        Type::SeqPacket => socket2::Type::SEQPACKET,
        Type::Raw => socket2::Type::RAW,
    }
}

fn message_flags(flags: Flags) -> MsgFlags {
    let table = [
        (Flags::DONTWAIT, MsgFlags::MSG_DONTWAIT),
        (Flags::WAITALL, MsgFlags::MSG_WAITALL),
        (Flags::PEEK, MsgFlags::MSG_PEEK),
        (Flags::TRUNC, MsgFlags::MSG_TRUNC),
    ];
    table.iter().filter(|(ours, _)| flags.contains(*ours)).map(|&(_, theirs)| theirs).collect()
}

impl Sock {
    /// Of the kernel if there is no stack.
    pub(crate) fn new(stack: Option<&Stack>, of: Domain, r#type: Type, protocol: Option<u8>) -> io::Result<Sock> {
        match stack {
            Some(stack) => Socket::new(stack, of, r#type, protocol.map(Protocol::from)).map(Sock::Ours),
            None => {
                let protocol = protocol.map(|number| socket2::Protocol::from(i32::from(number)));
                socket2::Socket::new(domain(of), kind(r#type), protocol).map(Sock::Kernel)
            }
        }
    }

    pub(crate) fn is_kernel(&self) -> bool {
        matches!(self, Sock::Kernel(_))
    }

    /// SO_DOMAIN.
    pub(crate) fn domain(&self) -> io::Result<Domain> {
        match self {
            Sock::Kernel(socket) => {
                let domains = [Domain::Inet, Domain::Inet6, Domain::Unix];
                let theirs = socket.domain()?;
                Ok(domains.into_iter().find(|of| domain(*of) == theirs).unwrap())
            }
            Sock::Ours(socket) => socket.domain(),
        }
    }

    /// SO_TYPE.
    pub(crate) fn r#type(&self) -> io::Result<Type> {
        match self {
            Sock::Kernel(socket) => {
                let types = [Type::Stream, Type::Dgram, Type::SeqPacket, Type::Raw];
                let theirs = socket.r#type()?;
                Ok(types.into_iter().find(|of| kind(*of) == theirs).unwrap())
            }
            Sock::Ours(socket) => socket.r#type(),
        }
    }

    /// SO_PROTOCOL.
    pub(crate) fn protocol(&self) -> io::Result<Option<u8>> {
        match self {
            Sock::Kernel(socket) => Ok(socket.protocol()?.map(|protocol| u8::try_from(i32::from(protocol)).unwrap())),
            Sock::Ours(socket) => Ok(socket.protocol()?.map(Protocol::number)),
        }
    }

    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => socket.bind(&address.into()),
            Sock::Ours(socket) => socket.bind(&address.into()),
        }
    }

    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => socket.connect(&address.into()),
            Sock::Ours(socket) => socket.connect(&address.into()),
        }
    }

    pub(crate) fn connect_timeout(&self, address: SocketAddr, timeout: Duration) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => socket.connect_timeout(&address.into(), timeout),
            Sock::Ours(socket) => socket.connect_timeout(&address.into(), timeout),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Sock, SocketAddr)> {
        match self {
            Sock::Kernel(socket) => {
                socket.accept().map(|(socket, peer)| (Sock::Kernel(socket), peer.as_socket().unwrap()))
            }
            Sock::Ours(socket) => socket.accept().map(|(socket, peer)| (Sock::Ours(socket), peer.as_socket().unwrap())),
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Sock::Kernel(socket) => socket.local_addr().map(|address| address.as_socket().unwrap()),
            Sock::Ours(socket) => socket.local_addr().map(|address| address.as_socket().unwrap()),
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Sock::Kernel(socket) => socket.peer_addr().map(|address| address.as_socket().unwrap()),
            Sock::Ours(socket) => socket.peer_addr().map(|address| address.as_socket().unwrap()),
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Sock> {
        match self {
            Sock::Kernel(socket) => socket.try_clone().map(Sock::Kernel),
            Sock::Ours(socket) => socket.try_clone().map(Sock::Ours),
        }
    }

    pub(crate) fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(buffer, Flags::NONE)
    }

    pub(crate) fn recv_with_flags(&self, buffer: &mut [u8], flags: Flags) -> io::Result<usize> {
        match self {
            Sock::Kernel(socket) => Ok(recv(socket.as_raw_fd(), buffer, message_flags(flags))?),
            Sock::Ours(socket) => socket.recv_with_flags(buffer, flags),
        }
    }

    pub(crate) fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        match self {
            // Not `peek`: nix's recvfrom has no flags.
            Sock::Kernel(socket) => {
                let (count, peer) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?;
                Ok((count, peer.and_then(|peer| std_address(&peer)).unwrap()))
            }
            Sock::Ours(socket) => socket.recv_from(buffer).map(|(count, peer)| (count, peer.as_socket().unwrap())),
        }
    }

    pub(crate) fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        match self {
            Sock::Kernel(socket) => (&*socket).read_vectored(buffers),
            Sock::Ours(socket) => socket.recv_vectored(buffers),
        }
    }

    pub(crate) fn send_to(&self, bytes: &[u8], address: SocketAddr) -> io::Result<usize> {
        match self {
            Sock::Kernel(socket) => socket.send_to(bytes, &address.into()),
            Sock::Ours(socket) => socket.send_to(bytes, &address.into()),
        }
    }

    pub(crate) fn send_with_flags(&self, bytes: &[u8], flags: Flags) -> io::Result<usize> {
        match self {
            Sock::Kernel(socket) => socket.send_with_flags(bytes, message_flags(flags).bits()),
            Sock::Ours(socket) => socket.send_with_flags(bytes, flags),
        }
    }

    /// TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT.
    pub(crate) fn set_tcp_keepalive(&self, idle: Duration, interval: Duration, count: u32) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => {
                let keepalive = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(count);
                socket.set_tcp_keepalive(&keepalive)
            }
            Sock::Ours(socket) => socket.set_tcp_keepalive(Some(tapsock::net::Keepalive { idle, interval, count })),
        }
    }

    /// Reads until the stream ends.
    pub(crate) fn recv_to_end(&self) -> io::Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
        loop {
            match self.recv(&mut buffer)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Reads exactly so many bytes.
    pub(crate) fn recv_exact(&self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match self.recv(&mut bytes[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(bytes)
    }

    /// Writes all of it.
    pub(crate) fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.send(bytes)?;
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

pub(crate) fn std_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|address| SocketAddr::from(std::net::SocketAddrV4::from(*address)));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| std::net::SocketAddrV6::from(*address).into()))
}
