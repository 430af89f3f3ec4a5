//! `socket(2)`: which combinations there are, and what the socket then says of itself.

use tapsock::error::Error;
use tapsock::net::{Domain, Type};

use super::check::fails;
use super::world::World;
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    a_stream_is_tcp_and_a_datagram_is_udp,
    every_combination_is_there_or_fails_as_the_kernels,
    a_socket_says_what_it_is,
    a_new_socket_is_at_no_address_and_has_no_peer,
    a_new_socket_blocks_and_has_no_time_limit_and_no_error,
    a_clone_is_the_same_socket,
];

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

fn a_stream_is_tcp_and_a_datagram_is_udp(world: &World) {
    for side in [&world.server, &world.client] {
        side.try_socket(world.domain(), Type::Stream, Some(TCP)).unwrap();
        side.try_socket(world.domain(), Type::Dgram, Some(UDP)).unwrap();
    }
}

/// What `socket(2)` of Linux says to the combination.
fn answer(domain: Domain, kind: Type, protocol: u8) -> Option<Error> {
    let echo = if domain == Domain::Inet { ICMP } else { ICMPV6 };
    let fits = match kind {
        Type::SeqPacket => return Some(Error::TypeNotSupported),
        Type::Stream => [0, TCP].contains(&protocol),
        Type::Dgram => [0, UDP, echo].contains(&protocol),
        Type::Raw => protocol != 0,
    };
    (!fits).then_some(Error::ProtocolNotSupported)
}

/// Protocols that Linux has in modules, so that it depends on the machine: DCCP, SCTP and UDP-Lite.
const MODULES: [u8; 3] = [33, 132, 136];

fn every_combination_is_there_or_fails_as_the_kernels(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram, Type::SeqPacket, Type::Raw] {
            for protocol in (0..=255).filter(|protocol| kind == Type::Raw || !MODULES.contains(protocol)) {
                let socket = side.try_socket(world.domain(), kind, Some(protocol));
                match answer(world.domain(), kind, protocol) {
                    Some(error) => fails(socket, error),
                    None => assert_eq!(socket.unwrap().r#type().unwrap(), kind),
                }
            }
            // No protocol is protocol 0.
            match answer(world.domain(), kind, 0) {
                Some(error) => fails(side.try_socket(world.domain(), kind, None), error),
                None => drop(side.try_socket(world.domain(), kind, None).unwrap()),
            }
        }
    }
}

fn a_socket_says_what_it_is(world: &World) {
    let echo = if world.domain() == Domain::Inet { ICMP } else { ICMPV6 };
    for side in [&world.server, &world.client] {
        for (kind, asked, has) in [
            (Type::Stream, None, TCP),
            (Type::Stream, Some(0), TCP),
            (Type::Dgram, None, UDP),
            (Type::Dgram, Some(echo), echo),
            (Type::Raw, Some(253), 253),
        ] {
            let socket = side.try_socket(world.domain(), kind, asked).unwrap();
            let is = (socket.domain().unwrap(), socket.r#type().unwrap(), socket.protocol().unwrap());
            assert_eq!(is, (world.domain(), kind, Some(has)));
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
