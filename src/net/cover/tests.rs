//! The covers, beside those of the standard library: one body for both.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use crate::net::Stack;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a body with the sockets of std and with ours, which are opened by the macro `open`.
macro_rules! both {
    ($body:ident) => {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        {
            use std::net::{TcpListener, TcpStream, UdpSocket};
            let listener = TcpListener::bind(any).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let udp = [UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap()];
            $body!(listener, client, udp);
        }
        {
            use crate::net::{TcpListener, TcpStream, UdpSocket};
            let stack = Stack::builder().loopback_only().unwrap();
            let listener = TcpListener::bind(&stack, any).unwrap();
            let client = TcpStream::connect(&stack, listener.local_addr().unwrap()).unwrap();
            let udp = [UdpSocket::bind(&stack, any).unwrap(), UdpSocket::bind(&stack, any).unwrap()];
            $body!(listener, client, udp);
            stack.shut_down();
        }
    };
}

#[test]
fn every_cover_has_a_time_to_live_that_cannot_be_zero() {
    macro_rules! body {
        ($listener:ident, $client:ident, $udp:ident) => {
            macro_rules! check {
                ($socket:expr) => {
                    assert_eq!($socket.ttl().unwrap(), 64);
                    $socket.set_ttl(7).unwrap();
                    for wrong in [0, 256] {
                        assert_eq!($socket.set_ttl(wrong).unwrap_err().kind(), ErrorKind::InvalidInput);
                    }
                    assert_eq!($socket.ttl().unwrap(), 7);
                };
            }
            check!($listener);
            check!($client);
            check!($udp[0]);
        };
    }
    both!(body);
}

#[test]
fn what_is_peeked_at_is_still_there_to_be_read() {
    macro_rules! body {
        ($listener:ident, $client:ident, $udp:ident) => {
            let (mut server, _) = $listener.accept().unwrap();
            server.set_read_timeout(Some(PATIENCE)).unwrap();
            (&$client).write_all(b"bytes").unwrap();
            let mut buffer = [0; 8];
            let count = server.peek(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"bytes");
            let count = server.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"bytes");

            let [a, b] = &$udp;
            b.set_read_timeout(Some(PATIENCE)).unwrap();
            a.send_to(b"datagram", b.local_addr().unwrap()).unwrap();
            let from = a.local_addr().unwrap();
            assert_eq!(b.peek_from(&mut buffer).unwrap(), (8, from));
            b.connect(from).unwrap();
            assert_eq!(b.peek(&mut buffer[..4]).unwrap(), 4);
            assert_eq!((b.recv(&mut buffer).unwrap(), &buffer), (8, b"datagram"));
        };
    }
    both!(body);
}

#[test]
fn a_socket_of_ipv6_chooses_for_both_families() {
    use crate::net::{IcmpSocket, UdpSocket};
    let stack = Stack::builder().loopback_only().unwrap();
    let udp = UdpSocket::bind(&stack, "[::]:0".parse().unwrap()).unwrap();
    udp.set_ttl(9).unwrap();
    let socket = udp.as_ref();
    assert_eq!((udp.ttl().unwrap(), socket.ttl_v4().unwrap(), socket.unicast_hops_v6().unwrap()), (9, 9, 9));
    let echo = IcmpSocket::bind(&stack, "[::]:0".parse().unwrap()).unwrap();
    assert_eq!(echo.set_ttl(0).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(echo.ttl().unwrap(), 64);
    stack.shut_down();
}
