//! What programs hold: a stack of their own, and sockets shaped like those of the standard library.
//!
//! A *socket* is one end of a conversation, and the program's handle of it. It is named by a protocol, an address and a
//! port; it is read and written like a file, and is not one. Many sockets share one stack, and one set of verbs serves
//! them all, whatever is behind: another host, this very stack, or no network at all. What a socket is at all, with
//! commands that show it, is told in `docs/what-is-a-socket.md`.
//!
//! # Organization
//!
//! - [`Stack`] and [`Builder`]: a stack on a TAP, on one end of an in-memory pair, or with no link at all.
//! - [`TcpListener`] and [`TcpStream`]: bytes in order between two ends, like `std::net`.
//! - [`UdpSocket`]: messages, like `std::net`; also to groups.
//! - [`UnixListener`], [`UnixStream`], [`UnixDatagram`]: like `std::os::unix::net`, with names of the stack's own: no
//!   network, and no file.
//! - [`IcmpSocket`] and [`RawSocket`]: echo requests, and whole packets.
//! - [`Socket`]: every domain, type and protocol, with every verb and option, like the `socket2` crate. The others are
//!   made of it and turn into it.
//! - [`Poller`]: waits for many sockets at once, like epoll.
//! - [`Stack::sockets`]: the list of all of them, each a [`SocketRow`], as `ss` shows it.
//! - [`tokio`]: all of this for async programs, like `tokio::net`.
//!
//! # Which sockets there are
//!
//! What [`Socket::new`] takes: any other combination gets the error that Linux gives.
//!
//! | | [`Domain::Inet`], [`Domain::Inet6`] | [`Domain::Unix`] |
//! |---|---|---|
//! | [`Type::Stream`] | TCP: [`TcpListener`], [`TcpStream`] | [`UnixListener`], [`UnixStream`] |
//! | [`Type::Dgram`] | UDP: [`UdpSocket`]; with [`Protocol::ICMP`] or [`Protocol::ICMPV6`]: [`IcmpSocket`] | [`UnixDatagram`] |
//! | [`Type::SeqPacket`] | – | [`Socket`] |
//! | [`Type::Raw`] | any protocol: [`RawSocket`] | as [`Type::Dgram`] |
//!
//! # Verbs
//!
//! | man page | [`Socket`] | of |
//! |---|---|---|
//! | `socket(2)`, `socketpair(2)` | [`new`](Socket::new), [`pair`](Socket::pair) | all; pairs are Unix |
//! | `bind(2)` | [`bind`](Socket::bind) | all |
//! | `listen(2)`, `accept(2)` | [`listen`](Socket::listen), [`accept`](Socket::accept) | streams, sequenced packets |
//! | `connect(2)` | [`connect`](Socket::connect), [`connect_timeout`](Socket::connect_timeout), [`disconnect`](Socket::disconnect) | all; messages may, and need not |
//! | `send(2)`, `sendto(2)`, `writev(2)` | [`send`](Socket::send), [`send_to`](Socket::send_to), [`send_vectored`](Socket::send_vectored), [`send_with_flags`](Socket::send_with_flags) | all |
//! | `recv(2)`, `recvfrom(2)`, `readv(2)` | [`recv`](Socket::recv), [`recv_from`](Socket::recv_from), [`recv_vectored`](Socket::recv_vectored), [`recv_with_flags`](Socket::recv_with_flags) | all |
//! | `recvmsg(2)` | [`recv_message`](Socket::recv_message), [`take_queued_error`](Socket::take_queued_error) | messages |
//! | MSG_PEEK | [`peek`](Socket::peek), [`peek_from`](Socket::peek_from) | all |
//! | `shutdown(2)` | [`shutdown`](Socket::shutdown) | whatever is connected or listens |
//! | `getsockname(2)`, `getpeername(2)` | [`local_addr`](Socket::local_addr), [`peer_addr`](Socket::peer_addr) | all |
//! | `setsockopt(2)`, `getsockopt(2)` | [the options](Socket#options) | as each says |
//! | `poll(2)`, `epoll(7)` | [`readiness`](Socket::readiness), [`poll_ready`](Socket::poll_ready), [`Poller`] | all |
//! | `dup(2)`, `close(2)` | [`try_clone`](Socket::try_clone), `drop` | all |
//!
//! Calls wait, unless [`set_nonblocking`](Socket::set_nonblocking), a timeout or [`Flags::DONTWAIT`] says otherwise.
//! Errors are those of Linux, as std names them.
//!
//! # A tour
//!
//! A [`Stack`] is a host: it has addresses, and sockets of its own. Here is one without any network, which needs no
//! privilege. Everything below works the same on a TAP ([`Builder::tap`]), where the whole machine can reach it.
//!
//! A stream is a telephone line. One end waits at an address, the other calls:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::Shutdown;
//! use tapsock::net::{Stack, TcpListener, TcpStream};
//!
//! let stack = Stack::builder().loopback_only()?;
//! let listener = TcpListener::bind(&stack, "127.0.0.1:7".parse()?)?;
//! let mut caller = TcpStream::connect(&stack, "127.0.0.1:7".parse()?)?;
//! let (mut line, peer) = listener.accept()?;
//! assert_eq!(peer, caller.local_addr()?);
//!
//! caller.write_all(b"hello")?;
//! caller.shutdown(Shutdown::Write)?; // that was all; now we listen
//! let mut heard = String::new();
//! line.read_to_string(&mut heard)?;
//! assert_eq!(heard, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A datagram is a letter: it stays whole, it may get lost, and nobody has to call first.
//!
//! ```
//! use tapsock::net::{Stack, UdpSocket};
//!
//! let stack = Stack::builder().loopback_only()?;
//! let letter_box = UdpSocket::bind(&stack, "127.0.0.1:4950".parse()?)?;
//! let writer = UdpSocket::bind(&stack, "127.0.0.1:0".parse()?)?;
//! writer.send_to(b"dear reader", letter_box.local_addr()?)?;
//! let mut buffer = [0; 64];
//! let (length, sender) = letter_box.recv_from(&mut buffer)?;
//! assert_eq!((&buffer[..length], sender), (&b"dear reader"[..], writer.local_addr()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Errors are those of Linux, as std names them; a door where nobody is refuses:
//!
//! ```
//! use std::io::ErrorKind;
//! use tapsock::net::{Stack, TcpListener, TcpStream};
//!
//! let stack = Stack::builder().loopback_only()?;
//! let refused = TcpStream::connect(&stack, "127.0.0.1:81".parse()?).unwrap_err();
//! assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
//! let _listener = TcpListener::bind(&stack, "127.0.0.1:81".parse()?)?;
//! let taken = TcpListener::bind(&stack, "0.0.0.0:81".parse()?).unwrap_err();
//! assert_eq!(taken.kind(), ErrorKind::AddrInUse);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whoever wants every verb and every option, one at a time, takes a [`Socket`]; the others are made of it and turn into
//! it:
//!
//! ```
//! use tapsock::net::{Domain, SockAddr, Socket, Stack, TcpListener, TcpStream, Type};
//!
//! let stack = Stack::builder().loopback_only()?;
//! let listener = TcpListener::bind(&stack, "127.0.0.1:80".parse()?)?;
//! let socket = Socket::new(&stack, Domain::Inet, Type::Stream, None)?;
//! socket.set_tcp_nodelay(true)?;
//! socket.connect(&SockAddr::from(listener.local_addr()?))?;
//! let stream = TcpStream::from(socket);
//! assert!(stream.nodelay()?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A socket lives in the engine; what a program holds is its end of the pipe. [`TcpStream::info`] is a plain snapshot of
//! what lies behind it, and [`Stack::sockets`] the list of all sockets there are. Programs to read and to change are in
//! `examples/`.

mod address;
mod builder;
mod cover;
mod packet;
mod poller;
mod socket;
mod stack;
mod tcp;
#[cfg(test)]
mod tests;
mod timeout;
pub mod tokio;
mod udp;
mod unix;

pub use address::SockAddr;
pub use builder::{Builder, StartError};
pub use packet::{IcmpSocket, RawSocket};
pub use poller::{Event, Poller, Trigger};
pub use socket::{Flags, Message, Socket};
pub use stack::Stack;
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};

pub use crate::pipe::{Interest, Readiness};
pub use crate::socket::{
    Domain, ErrorOrigin, Hold, Keepalive, MtuDiscovery, Protocol, QueuedError, Sending, SocketRow, TcpInfo, Type,
    UnixAddress, Way,
};

/// How many connections may wait to be accepted when the program did not say (std's choice for Linux).
const BACKLOG: usize = 128;
