//! Discard (RFC 863).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::BUFFER;
use crate::net::tokio::{TcpStream, UdpSocket};

/// Takes what comes until the peer closes its direction, and then closes ours.
pub(super) async fn stream(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while stream.read(&mut buffer).await? > 0 {}
    stream.shutdown().await
}

/// Takes datagrams and never answers, until the stack stops.
pub(super) async fn datagrams(socket: UdpSocket) {
    // What does not fit is lost, and that is all that happens here anyway.
    let mut buffer = [0];
    while !matches!(socket.recv_from(&mut buffer).await, Err(error) if error.kind() == io::ErrorKind::NetworkDown) {}
}
