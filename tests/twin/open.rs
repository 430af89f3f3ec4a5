//! `socket(2)`: which combinations there are, and what the socket then says of itself.

use tapsock::error::Error;
use tapsock::net::{Domain, Type};

use super::check::fails;
use super::world::World;
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    a_stream_is_tcp_and_a_datagram_is_udp,
    a_protocol_of_another_type_is_refused,
    a_new_socket_is_at_no_address_and_has_no_peer,
    a_new_socket_blocks_and_has_no_time_limit_and_no_error,
    a_clone_is_the_same_socket,
];

const TCP: u8 = 6;
const UDP: u8 = 17;

fn a_stream_is_tcp_and_a_datagram_is_udp(world: &World) {
    for side in [&world.server, &world.client] {
        side.try_socket(world.domain(), Type::Stream, Some(TCP)).unwrap();
        side.try_socket(world.domain(), Type::Dgram, Some(UDP)).unwrap();
    }
}

fn a_protocol_of_another_type_is_refused(world: &World) {
    for side in [&world.server, &world.client] {
        for domain in [Domain::Inet, Domain::Inet6] {
            fails(side.try_socket(domain, Type::Stream, Some(UDP)), Error::ProtocolNotSupported);
            fails(side.try_socket(domain, Type::Dgram, Some(TCP)), Error::ProtocolNotSupported);
        }
    }
}

fn a_new_socket_is_at_no_address_and_has_no_peer(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            let socket = side.socket(world.domain(), kind);
            assert_eq!(socket.local_addr().unwrap(), world.wildcard(0));
            fails(socket.peer_addr(), Error::NotConnected);
            assert!(!socket.is_listener().unwrap());
        }
    }
}

fn a_new_socket_blocks_and_has_no_time_limit_and_no_error(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            let socket = side.try_socket(world.domain(), kind, None).unwrap();
            assert!(!socket.nonblocking().unwrap());
            assert_eq!(socket.read_timeout().unwrap(), None);
            assert_eq!(socket.write_timeout().unwrap(), None);
            assert!(socket.take_error().unwrap().is_none());
        }
    }
}

fn a_clone_is_the_same_socket(world: &World) {
    let (client, server) = world.connected();
    let clone = client.try_clone().unwrap();
    assert_eq!(clone.local_addr().unwrap(), client.local_addr().unwrap());
    clone.set_nonblocking(true).unwrap();
    assert!(client.nonblocking().unwrap());
    // It stays open until both are gone.
    drop(client);
    clone.send_all(b"still").unwrap();
    assert_eq!(server.recv_exact(5).unwrap(), b"still");
    drop(clone);
    assert_eq!(server.recv_to_end().unwrap(), b"");
}
