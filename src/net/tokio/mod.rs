//! The sockets for async programs, with the methods and traits of `tokio::net`.
//!
//! They need no particular runtime: readiness comes from wakers. Every method is cancel safe: a future that is
//! dropped has taken nothing. What speaks over a stream of tokio's speaks over one of these: hyper, tokio-rustls,
//! tokio-tungstenite, and `axum::serve` with this crate's feature `axum`; `examples/` has one of each.
//!
//! Setters of options return at once, as tokio's do: the stack is told, in the order of the calls, and whoever shares a
//! thread with it never waits for it.
//!
//! ```
//! use tapsock::net::Stack;
//! use tapsock::net::tokio::{TcpListener, TcpStream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let stack = Stack::builder().loopback_only()?;
//! let listener = TcpListener::bind(&stack, "127.0.0.1:0".parse()?).await?;
//! let client = TcpStream::connect(&stack, listener.local_addr()?).await?;
//! let (mut server, _peer) = listener.accept().await?;
//!
//! let (mut reader, mut writer) = client.into_split();
//! writer.write_all(b"hello").await?;
//! drop(writer); // shuts this direction down, as tokio's does
//! let mut heard = String::new();
//! server.read_to_string(&mut heard).await?;
//! assert_eq!(heard, "hello");
//!
//! server.write_all(b"goodbye").await?;
//! drop(server);
//! heard.clear();
//! reader.read_to_string(&mut heard).await?;
//! assert_eq!(heard, "goodbye");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "axum")]
mod axum;
mod listener;
mod packet;
mod ready;
mod split;
mod stream;
mod udp;
mod unix_socket;

pub use listener::TcpListener;
pub use packet::{IcmpSocket, RawSocket};
pub use split::{tcp, unix};
pub use stream::{Inspector, TcpStream};
pub use udp::UdpSocket;
pub use unix_socket::{UnixDatagram, UnixListener, UnixStream};

#[cfg(test)]
mod tests;

use std::task::{Context, Poll, ready};

use ::tokio::task::coop;

/// Lets the other tasks of the thread run after so many calls that had nothing to wait for, as tokio's own sockets do: a
/// peer on a thread of its own may never let a reader find nothing.
fn poll_fairly<T>(context: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    let turn = ready!(coop::poll_proceed(context));
    let done = poll(context);
    if done.is_ready() {
        turn.made_progress();
    }
    done
}
