use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::cover::{handle, read_write, timeouts};
use super::{BACKLOG, Domain, SockAddr, Socket, Stack, Type};
use crate::error::Error;

/// The name of a path.
pub(super) fn named(path: impl AsRef<Path>) -> io::Result<SockAddr> {
    SocketAddr::from_pathname(path).map(SockAddr::from)
}

pub(super) fn as_unix(address: &SockAddr) -> io::Result<SocketAddr> {
    address.as_unix().ok_or_else(|| Error::FamilyNotSupported.into())
}

/// What all three have.
macro_rules! common {
    ($type:ident) => {
        handle!($type);

        impl $type {
            /// What it is called.
            ///
            /// # Errors
            ///
            /// None; std's signature.
            pub fn local_addr(&self) -> io::Result<SocketAddr> {
                as_unix(&self.0.local_addr()?)
            }
        }
    };
}

/// What the two have that are read and written.
macro_rules! connected {
    ($type:ident) => {
        common!($type);
        timeouts!($type);

        impl $type {
            /// Two of them, connected to each other, without names.
            ///
            /// # Errors
            ///
            /// Errno EMFILE; `NetworkDown` if the stack has stopped.
            pub fn pair(stack: &Stack) -> io::Result<($type, $type)> {
                let (left, right) = Socket::pair(stack, Domain::Unix, $type::TYPE, None)?;
                Ok(($type(left), $type(right)))
            }

            /// What its peer is called.
            ///
            /// # Errors
            ///
            /// `NotConnected`.
            pub fn peer_addr(&self) -> io::Result<SocketAddr> {
                as_unix(&self.0.peer_addr()?)
            }

            /// Closes one direction or both.
            ///
            /// # Errors
            ///
            /// None; std's signature.
            pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.0.shutdown(how)
            }
        }
    };
}

/// A Unix socket that listens, like `std::os::unix::net::UnixListener`.
///
/// ```
/// use std::io::{Read, Write};
/// use tapsock::device::pair;
/// use tapsock::net::{Stack, UnixListener, UnixStream};
///
/// let (ours, _theirs) = pair(1500);
/// let stack = Stack::builder().device(ours)?;
/// let listener = UnixListener::bind(&stack, "/run/greeter")?;
/// let mut client = UnixStream::connect(&stack, "/run/greeter")?;
/// listener.accept()?.0.write_all(b"hello")?;
/// let mut greeting = String::new();
/// client.read_to_string(&mut greeting)?;
/// assert_eq!(greeting, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UnixListener(pub(super) Socket);

impl UnixListener {
    /// Listens at `path`, a name of the stack: no file is made, and the name is free again when the listener is closed.
    ///
    /// # Errors
    ///
    /// `AddrInUse`; `InvalidInput` for a path with a zero in it or of more than 107 bytes.
    pub fn bind(stack: &Stack, path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::bind_to(stack, &named(path)?)
    }

    /// [`UnixListener::bind`] for any name.
    ///
    /// # Errors
    ///
    /// As [`UnixListener::bind`].
    pub fn bind_addr(stack: &Stack, address: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::bind_to(stack, &address.clone().into())
    }

    fn bind_to(stack: &Stack, name: &SockAddr) -> io::Result<UnixListener> {
        let socket = Socket::new(stack, Domain::Unix, Type::Stream, None)?;
        socket.bind(name)?;
        socket.listen(BACKLOG as i32)?;
        Ok(UnixListener(socket))
    }

    /// Waits for the next connection; gives it with the peer's name, if it has one.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the stack stops; `WouldBlock` after [`UnixListener::set_nonblocking`].
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (socket, peer) = self.0.accept()?;
        Ok((UnixStream(socket), as_unix(&peer)?))
    }

    /// Connections, one after the other, without end.
    pub fn incoming(&self) -> impl Iterator<Item = io::Result<UnixStream>> + '_ {
        std::iter::from_fn(|| Some(self.accept().map(|(stream, _)| stream)))
    }
}

common!(UnixListener);

/// A connection between two programs of one stack, like `std::os::unix::net::UnixStream`.
#[derive(Debug)]
pub struct UnixStream(pub(super) Socket);

impl UnixStream {
    const TYPE: Type = Type::Stream;

    /// Connects to whoever listens at `path`; waits while too many wait already.
    ///
    /// # Errors
    ///
    /// `NotFound` if nobody has this path; `ConnectionRefused` if who has it does not listen; errno EPROTOTYPE if it is
    /// of another type.
    pub fn connect(stack: &Stack, path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_to(stack, &named(path)?)
    }

    /// [`UnixStream::connect`] for any name.
    ///
    /// # Errors
    ///
    /// As [`UnixStream::connect`]; `ConnectionRefused` if nobody has this abstract name.
    pub fn connect_addr(stack: &Stack, address: &SocketAddr) -> io::Result<UnixStream> {
        UnixStream::connect_to(stack, &address.clone().into())
    }

    fn connect_to(stack: &Stack, name: &SockAddr) -> io::Result<UnixStream> {
        let socket = Socket::new(stack, Domain::Unix, Type::Stream, None)?;
        socket.connect(name)?;
        Ok(UnixStream(socket))
    }
}

read_write!(UnixStream);
connected!(UnixStream);

/// A Unix socket of messages, like `std::os::unix::net::UnixDatagram`. They come in order and none is lost: whoever
/// sends to a full one waits.
#[derive(Debug)]
pub struct UnixDatagram(pub(super) Socket);

impl UnixDatagram {
    const TYPE: Type = Type::Dgram;

    /// Receives at `path`, a name of the stack: no file is made, and the name is free again when the socket is closed.
    ///
    /// # Errors
    ///
    /// `AddrInUse`; `InvalidInput` for a path with a zero in it or of more than 107 bytes.
    pub fn bind(stack: &Stack, path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_to(stack, &named(path)?)
    }

    /// [`UnixDatagram::bind`] for any name.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::bind`].
    pub fn bind_addr(stack: &Stack, address: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_to(stack, &address.clone().into())
    }

    fn bind_to(stack: &Stack, name: &SockAddr) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound(stack)?;
        socket.0.bind(name)?;
        Ok(socket)
    }

    /// One without a name.
    ///
    /// # Errors
    ///
    /// Errno EMFILE; `NetworkDown` if the stack has stopped.
    pub fn unbound(stack: &Stack) -> io::Result<UnixDatagram> {
        Socket::new(stack, Domain::Unix, Type::Dgram, None).map(UnixDatagram)
    }

    /// From here on [`UnixDatagram::send`] goes to whoever has this path, and only it is heard.
    ///
    /// # Errors
    ///
    /// `NotFound` if nobody has it; errno EPROTOTYPE if it is of another type, EPERM if it is connected to another.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.0.connect(&named(path)?)
    }

    /// [`UnixDatagram::connect`] for any name.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::connect`]; `ConnectionRefused` if nobody has this abstract name.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.0.connect(&address.clone().into())
    }

    /// Waits for a message: how many bytes fitted into `buffer`, and what its sender is called.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after [`UnixDatagram::set_nonblocking`] or the read timeout; `NetworkDown` when the stack stops.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = self.0.recv_from(buffer)?;
        Ok((count, as_unix(&from)?))
    }

    /// Waits for a message: how many bytes fitted into `buffer`.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::recv_from`].
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }

    /// Sends a message to whoever has this path.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::connect`]; errno EMSGSIZE; `WouldBlock` after [`UnixDatagram::set_nonblocking`] or the write
    /// timeout, if it is full; `BrokenPipe` if it has shut down its receiving side.
    pub fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.0.send_to(bytes, &named(path)?)
    }

    /// [`UnixDatagram::send_to`] for any name.
    ///
    /// # Errors
    ///
    /// As [`UnixDatagram::send_to`]; `ConnectionRefused` if nobody has this abstract name.
    pub fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        self.0.send_to(bytes, &address.clone().into())
    }

    /// Sends a message to the connected peer.
    ///
    /// # Errors
    ///
    /// `NotConnected`; `ConnectionRefused`, once, if the peer is gone; as [`UnixDatagram::send_to`].
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }
}

connected!(UnixDatagram);
