//! Echo (RFC 862).

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::BUFFER;
use crate::net::tokio::{TcpStream, UdpSocket};

/// Sends back what comes until the peer closes its direction, and then closes ours.
pub(super) async fn stream(mut stream: TcpStream) -> io::Result<()> {
    // A person who types a line wants it back at once.
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..count]).await?;
    }
}

/// Sends each datagram back from the address it was sent to, until the stack stops.
pub(super) async fn datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match socket.recv_to(&mut buffer).await {
            Ok((count, peer, local)) if may_answer(peer, local) => {
                // An answer that cannot be sent is lost, as any datagram may be.
                let _ = socket.send_from(&buffer[..count], peer, local).await;
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => return,
            // An earlier answer did not get through.
            Err(_) => {}
        }
    }
}

/// Whether an answer cannot start a loop or a storm.
///
/// Two services that answer every datagram, made to talk to each other by one forged source, would go on for ever.
/// Programs that ask have ports that the system chose; those below 1024 are services (RFC 6335 §6): echo, daytime,
/// quotd, chargen, time, DNS and others would answer us. And one question to a group is not to be answered by all.
fn may_answer(peer: SocketAddr, local: Option<IpAddr>) -> bool {
    let to_group = match local {
        Some(IpAddr::V4(address)) => address.is_multicast() || address.is_broadcast(),
        Some(IpAddr::V6(address)) => address.is_multicast(),
        None => false,
    };
    peer.port() >= 1024 && !to_group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_groups_are_not_answered() {
        let ask = |port: u16, local: &str| {
            may_answer(SocketAddr::new("192.0.2.1".parse().unwrap(), port), Some(local.parse().unwrap()))
        };
        for port in [0, 7, 9, 13, 17, 19, 37, 53, 69, 123, 1023] {
            assert!(!ask(port, "192.0.2.2"), "{port}");
        }
        assert!(ask(1024, "192.0.2.2"));
        assert!(ask(43_210, "fd69::1"));
        assert!(!ask(43_210, "255.255.255.255"));
        assert!(!ask(43_210, "224.0.0.1"));
        assert!(!ask(43_210, "ff02::1"));
    }
}
