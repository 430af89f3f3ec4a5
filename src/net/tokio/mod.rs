//! The sockets for async programs, with the methods and traits of `tokio::net`.
//!
//! They need no particular runtime: readiness comes from wakers. Every method is cancel safe: a future that is
//! dropped has taken nothing.

mod packet;
mod tcp;
mod udp;

pub use packet::{IcmpSocket, RawSocket};
pub use tcp::{Inspector, TcpListener, TcpStream};
pub use udp::UdpSocket;
