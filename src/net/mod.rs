//! What programs hold: a stack of their own, and sockets shaped like those of the standard library.
//!
//! - [`Stack`] and [`Builder`]: a stack on a TAP, on one end of an in-memory pair, or with no link at all.
//! - [`Socket`]: every domain, type and protocol, like the `socket2` crate.
//! - [`TcpListener`], [`TcpStream`], [`UdpSocket`]: blocking, like `std::net`.
//! - [`UnixListener`], [`UnixStream`], [`UnixDatagram`]: like `std::os::unix::net`, with names of the stack's own: no
//!   network, and no file.
//! - [`IcmpSocket`], [`RawSocket`]: echo requests, and whole packets.
//! - [`tokio`]: the same for async programs, like `tokio::net`.
//!
//! A socket lives in the engine; what a program holds is its end of the pipe. [`TcpStream::info`] is a plain
//! snapshot of what lies behind it.
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use tapsock::net::{Stack, TcpListener};
//!
//! let stack = Stack::builder().tap("tap0")?;
//! let listener = TcpListener::bind(&stack, "0.0.0.0:7".parse()?)?;
//! let (mut stream, peer) = listener.accept()?;
//! println!("{peer} is here: {:?}", stream.info()?);
//! let mut buffer = [0; 1024];
//! let count = stream.read(&mut buffer)?;
//! stream.write_all(&buffer[..count])?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod builder;
mod packet;
mod socket;
mod stack;
mod tcp;
mod timeout;
pub mod tokio;
mod udp;
mod unix;

pub use address::SockAddr;
pub use builder::{Builder, StartError};
pub use packet::{IcmpSocket, RawSocket};
pub use socket::{Flags, Message, Socket};
pub use stack::Stack;
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};

pub use crate::socket::{Domain, Keepalive, MtuDiscovery, Protocol, TcpInfo, Type};

/// How many connections may wait to be accepted when the program did not say (std's choice for Linux).
const BACKLOG: usize = 128;
