//! Sockets of the kernel or of ours, behind the same methods, and names for them.

use std::io;
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tapsock::config::Config;
use tapsock::error::Error;
use tapsock::net::{Domain, SockAddr, Socket, Stack, Type};
use tapsock::socket::UnixAddress;
use tempfile::TempDir;

pub(crate) use super::check::fails;
use super::check::pending;
use super::sock::{self, Sock::Kernel, Sock::Ours};

/// What must come is waited for at most so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What must not come is waited for so long.
pub(crate) const SILENCE: Duration = Duration::from_millis(60);

/// Who makes the sockets.
#[derive(Debug)]
pub(crate) enum World {
    Kernel(TempDir),
    Ours(Stack),
}

/// A name: a path, or an abstract name behind a zero, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) Vec<u8>);

impl Name {
    pub(crate) const NONE: Name = Name(Vec::new());

    fn kernel(&self) -> socket2::SockAddr {
        socket2::SockAddr::unix(std::ffi::OsStr::from_bytes(&self.0)).unwrap()
    }

    fn ours(&self) -> SockAddr {
        SockAddr::Unix(match self.0.split_first() {
            None => UnixAddress::Unnamed,
            Some((0, rest)) => UnixAddress::abstract_name(rest).unwrap(),
            Some(_) => UnixAddress::path(std::ffi::OsString::from_vec(self.0.clone())).unwrap(),
        })
    }

    fn of_std(address: &SocketAddr) -> Name {
        match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => Name(path.as_os_str().as_bytes().to_vec()),
            (None, Some(name)) => Name([&[0], name].concat()),
            (None, None) => Name::NONE,
        }
    }

    fn of_kernel(address: &socket2::SockAddr) -> Name {
        match (address.as_pathname(), address.as_abstract_namespace()) {
            (Some(path), _) => Name(path.as_os_str().as_bytes().to_vec()),
            (None, Some(name)) => Name([&[0], name].concat()),
            (None, None) => Name::NONE,
        }
    }

    fn of_ours(address: &SockAddr) -> Name {
        Name::of_std(&address.as_unix().unwrap())
    }
}

impl World {
    pub(crate) fn kernel() -> World {
        World::Kernel(tempfile::tempdir().unwrap())
    }

    pub(crate) fn ours() -> World {
        World::Ours(Stack::builder().config(Config::default()).loopback_only().unwrap())
    }

    pub(crate) fn is_kernel(&self) -> bool {
        matches!(self, World::Kernel(_))
    }

    pub(crate) fn path(&self, name: &str) -> Name {
        match self {
            World::Kernel(directory) => Name(directory.path().join(name).into_os_string().into_vec()),
            World::Ours(_) => Name(format!("/{name}").into_bytes()),
        }
    }

    /// An abstract name that nobody else has: the kernel's are those of the whole machine.
    pub(crate) fn abstract_name(&self, name: &str) -> Name {
        match self {
            World::Kernel(directory) => Name([&[0], directory.path().as_os_str().as_bytes(), name.as_bytes()].concat()),
            World::Ours(_) => Name([&[0], name.as_bytes()].concat()),
        }
    }

    pub(crate) fn try_socket(&self, r#type: Type, protocol: Option<u8>) -> io::Result<Sock> {
        let stack = match self {
            World::Kernel(_) => None,
            World::Ours(stack) => Some(stack),
        };
        sock::Sock::new(stack, Domain::Unix, r#type, protocol).map(Sock)
    }

    /// What blocks gives up after [`PATIENCE`].
    pub(crate) fn socket(&self, r#type: Type) -> Sock {
        self.try_socket(r#type, None).unwrap().patient()
    }

    pub(crate) fn bound(&self, r#type: Type, name: &Name) -> Sock {
        let socket = self.socket(r#type);
        socket.bind(name).unwrap();
        socket
    }

    pub(crate) fn listener(&self, r#type: Type, name: &Name, backlog: i32) -> Sock {
        let socket = self.bound(r#type, name);
        socket.listen(backlog).unwrap();
        socket
    }

    pub(crate) fn connected(&self, r#type: Type, name: &Name) -> Sock {
        let socket = self.socket(r#type);
        socket.connect(name).unwrap();
        socket
    }

    pub(crate) fn try_pair(&self, domain: Domain, r#type: Type) -> io::Result<[Sock; 2]> {
        match self {
            World::Kernel(_) => {
                let (left, right) = socket2::Socket::pair(sock::domain(domain), sock::kind(r#type), None)?;
                Ok([left, right].map(sock::Sock::Kernel).map(Sock))
            }
            World::Ours(stack) => {
                let (left, right) = Socket::pair(stack, domain, r#type, None)?;
                Ok([left, right].map(sock::Sock::Ours).map(Sock))
            }
        }
    }

    pub(crate) fn pair(&self, r#type: Type) -> [Sock; 2] {
        self.try_pair(Domain::Unix, r#type).unwrap().map(Sock::patient)
    }
}

/// A socket with names for addresses; what has nothing to do with names is as in tests/twin.
#[derive(Debug)]
pub(crate) struct Sock(sock::Sock);

impl Deref for Sock {
    type Target = sock::Sock;

    fn deref(&self) -> &sock::Sock {
        &self.0
    }
}

impl Sock {
    fn patient(self) -> Sock {
        self.set_read_timeout(Some(PATIENCE)).unwrap();
        self.set_write_timeout(Some(PATIENCE)).unwrap();
        self
    }

    pub(crate) fn bind(&self, name: &Name) -> io::Result<()> {
        match &self.0 {
            Kernel(socket) => socket.bind(&name.kernel()),
            Ours(socket) => socket.bind(&name.ours()),
        }
    }

    pub(crate) fn bind_inet(&self, address: std::net::SocketAddr) -> io::Result<()> {
        self.0.bind(address)
    }

    pub(crate) fn connect(&self, name: &Name) -> io::Result<()> {
        match &self.0 {
            Kernel(socket) => socket.connect(&name.kernel()),
            Ours(socket) => socket.connect(&name.ours()),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Sock, Name)> {
        let (socket, peer) = match &self.0 {
            Kernel(socket) => socket.accept().map(|(socket, peer)| (Kernel(socket), Name::of_kernel(&peer))),
            Ours(socket) => socket.accept().map(|(socket, peer)| (Ours(socket), Name::of_ours(&peer))),
        }?;
        Ok((Sock(socket).patient(), peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<Name> {
        match &self.0 {
            Kernel(socket) => Ok(Name::of_kernel(&socket.local_addr()?)),
            Ours(socket) => Ok(Name::of_ours(&socket.local_addr()?)),
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<Name> {
        match &self.0 {
            Kernel(socket) => Ok(Name::of_kernel(&socket.peer_addr()?)),
            Ours(socket) => Ok(Name::of_ours(&socket.peer_addr()?)),
        }
    }

    pub(crate) fn send_to(&self, bytes: &[u8], name: &Name) -> io::Result<usize> {
        match &self.0 {
            Kernel(socket) => socket.send_to(bytes, &name.kernel()),
            Ours(socket) => socket.send_to(bytes, &name.ours()),
        }
    }

    /// What one call gives that has room for `room` bytes.
    pub(crate) fn recv(&self, room: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; room];
        let count = self.0.recv(&mut buffer)?;
        buffer.truncate(count);
        Ok(buffer)
    }

    pub(crate) fn recv_from(&self, room: usize) -> io::Result<(Vec<u8>, Name)> {
        match &self.0 {
            Kernel(socket) => {
                let mut buffer = vec![0; room];
                let same = UnixDatagram::from(OwnedFd::from(socket.try_clone()?));
                let (count, from) = same.recv_from(&mut buffer)?;
                Ok((buffer[..count].to_vec(), Name::of_std(&from)))
            }
            Ours(socket) => {
                let mut buffer = vec![0; room];
                let (count, from) = socket.recv_from(&mut buffer)?;
                Ok((buffer[..count].to_vec(), Name::of_ours(&from)))
            }
        }
    }

    /// SO_TYPE and SO_PROTOCOL.
    pub(crate) fn what(&self) -> (Type, Option<u8>) {
        (self.r#type().unwrap(), self.protocol().unwrap())
    }

    /// What SO_ERROR had to say.
    #[track_caller]
    pub(crate) fn pending(&self) -> Option<Error> {
        pending(self.take_error())
    }
}
