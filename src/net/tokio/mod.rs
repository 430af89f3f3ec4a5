//! The sockets for async programs, with the methods and traits of `tokio::net`.
//!
//! They need no particular runtime: readiness comes from wakers. Every method is cancel safe: a future that is
//! dropped has taken nothing.

mod tcp;
mod udp;
mod unix;

pub use tcp::{Inspector, TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
