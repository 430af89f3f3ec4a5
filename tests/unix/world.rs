//! Sockets of the kernel or of ours, behind the same methods, and names for them.

use std::fmt::Debug;
use std::io::{self, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tapsock::config::Config;
use tapsock::error::Error;
use tapsock::net::{Domain, Protocol, SockAddr, Socket, Stack, Type};
use tapsock::socket::UnixAddress;
use tempfile::TempDir;

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
        match self {
            World::Kernel(_) => {
                let protocol = protocol.map(|number| socket2::Protocol::from(i32::from(number)));
                socket2::Socket::new(socket2::Domain::UNIX, kind(r#type), protocol).map(Sock::Kernel)
            }
            World::Ours(stack) => {
                Socket::new(stack, Domain::Unix, r#type, protocol.map(Protocol::from)).map(Sock::Ours)
            }
        }
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
                let domain = if domain == Domain::Unix { socket2::Domain::UNIX } else { socket2::Domain::IPV4 };
                let (left, right) = socket2::Socket::pair(domain, kind(r#type), None)?;
                Ok([Sock::Kernel(left), Sock::Kernel(right)])
            }
            World::Ours(stack) => {
                let (left, right) = Socket::pair(stack, domain, r#type, None)?;
                Ok([Sock::Ours(left), Sock::Ours(right)])
            }
        }
    }

    pub(crate) fn pair(&self, r#type: Type) -> [Sock; 2] {
        self.try_pair(Domain::Unix, r#type).unwrap().map(Sock::patient)
    }
}

fn kind(kind: Type) -> socket2::Type {
    match kind {
        Type::Stream => socket2::Type::STREAM,
        Type::Dgram => socket2::Type::DGRAM,
        Type::SeqPacket => socket2::Type::SEQPACKET,
        Type::Raw => socket2::Type::RAW,
    }
}

#[derive(Debug)]
pub(crate) enum Sock {
    Kernel(socket2::Socket),
    Ours(Socket),
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
    is_listener() -> bool;
    send(bytes: &[u8]) -> usize;
    send_vectored(buffers: &[IoSlice<'_>]) -> usize;
    set_read_timeout(timeout: Option<Duration>) -> ();
    set_write_timeout(timeout: Option<Duration>) -> ();
    set_tcp_nodelay(on: bool) -> ();
}

impl Sock {
    fn patient(self) -> Sock {
        self.set_read_timeout(Some(PATIENCE)).unwrap();
        self.set_write_timeout(Some(PATIENCE)).unwrap();
        self
    }

    pub(crate) fn bind(&self, name: &Name) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => socket.bind(&name.kernel()),
            Sock::Ours(socket) => socket.bind(&name.ours()),
        }
    }

    pub(crate) fn bind_inet(&self, address: std::net::SocketAddr) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => socket.bind(&address.into()),
            Sock::Ours(socket) => socket.bind(&address.into()),
        }
    }

    pub(crate) fn connect(&self, name: &Name) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => socket.connect(&name.kernel()),
            Sock::Ours(socket) => socket.connect(&name.ours()),
        }
    }

    pub(crate) fn accept(&self) -> io::Result<(Sock, Name)> {
        let (socket, peer) = match self {
            Sock::Kernel(socket) => {
                socket.accept().map(|(socket, peer)| (Sock::Kernel(socket), Name::of_kernel(&peer)))
            }
            Sock::Ours(socket) => socket.accept().map(|(socket, peer)| (Sock::Ours(socket), Name::of_ours(&peer))),
        }?;
        Ok((socket.patient(), peer))
    }

    pub(crate) fn local_addr(&self) -> io::Result<Name> {
        match self {
            Sock::Kernel(socket) => Ok(Name::of_kernel(&socket.local_addr()?)),
            Sock::Ours(socket) => Ok(Name::of_ours(&socket.local_addr()?)),
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<Name> {
        match self {
            Sock::Kernel(socket) => Ok(Name::of_kernel(&socket.peer_addr()?)),
            Sock::Ours(socket) => Ok(Name::of_ours(&socket.peer_addr()?)),
        }
    }

    pub(crate) fn send_to(&self, bytes: &[u8], name: &Name) -> io::Result<usize> {
        match self {
            Sock::Kernel(socket) => socket.send_to(bytes, &name.kernel()),
            Sock::Ours(socket) => socket.send_to(bytes, &name.ours()),
        }
    }

    /// What one call gives that has room for `room` bytes.
    pub(crate) fn recv(&self, room: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; room];
        let count = match self {
            Sock::Kernel(socket) => (&*socket).read(&mut buffer)?,
            Sock::Ours(socket) => socket.recv(&mut buffer)?,
        };
        buffer.truncate(count);
        Ok(buffer)
    }

    pub(crate) fn recv_from(&self, room: usize) -> io::Result<(Vec<u8>, Name)> {
        match self {
            Sock::Kernel(socket) => {
                let mut buffer = vec![0; room];
                let same = UnixDatagram::from(OwnedFd::from(socket.try_clone()?));
                let (count, from) = same.recv_from(&mut buffer)?;
                Ok((buffer[..count].to_vec(), Name::of_std(&from)))
            }
            Sock::Ours(socket) => {
                let mut buffer = vec![0; room];
                let (count, from) = socket.recv_from(&mut buffer)?;
                Ok((buffer[..count].to_vec(), Name::of_ours(&from)))
            }
        }
    }

    /// SO_TYPE and SO_PROTOCOL.
    pub(crate) fn what(&self) -> (Type, Option<i32>) {
        match self {
            Sock::Kernel(socket) => {
                let types = [Type::Stream, Type::Dgram, Type::SeqPacket, Type::Raw];
                let theirs = socket.r#type().unwrap();
                let protocol = socket.protocol().unwrap().map(i32::from);
                (types.into_iter().find(|of| kind(*of) == theirs).unwrap(), protocol)
            }
            Sock::Ours(socket) => {
                (socket.r#type().unwrap(), socket.protocol().unwrap().map(|protocol| protocol.number().into()))
            }
        }
    }

    /// What SO_ERROR had to say.
    #[track_caller]
    pub(crate) fn pending(&self) -> Option<Error> {
        self.take_error().unwrap().map(|error| Error::from_errno(error.raw_os_error().unwrap()).unwrap())
    }
}

/// The call failed, with this errno.
#[track_caller]
pub(crate) fn fails<T: Debug>(result: io::Result<T>, error: Error) {
    match result {
        Ok(value) => panic!("it gave {value:?} instead of {error:?}"),
        Err(got) => assert_eq!(got.raw_os_error(), Some(error.errno()), "it gave {got:?} instead of {error:?}"),
    }
}
