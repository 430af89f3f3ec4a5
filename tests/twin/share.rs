//! Several sockets at one port: who gets what (SO_REUSEADDR and SO_REUSEPORT in `socket(7)`), and ports that are not
//! free yet, or not any more.

use std::collections::HashSet;
use std::net::SocketAddr;

use tapsock::error::Error;
use tapsock::net::Type;

use super::check::{eventually, fails};
use super::sock::Sock;
use super::world::{PATIENCE, SILENCE, Side, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    reuse_port_spreads_connections,
    a_listener_that_closes_leaves_the_port_to_the_other,
    reuse_port_spreads_messages_and_keeps_a_flow_together,
    of_those_who_reuse_an_address_the_last_gets_the_messages,
    a_connected_socket_takes_its_peers_messages_from_a_wildcard,
    a_port_in_time_wait_is_not_free_without_reuse_address,
    the_same_four_numbers_are_one_connection,
    when_no_port_is_left_the_address_is_not_available,
];

fn shared(side: &Side, world: &World, kind: Type, address: SocketAddr) -> Sock {
    let socket = side.socket(world.domain(), kind);
    socket.set_reuse_port(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

fn reuse_port_spreads_connections(world: &World) {
    let address = world.server_at(world.port());
    let listeners: Vec<_> = (0..2).map(|_| shared(&world.server, world, Type::Stream, address)).collect();
    for listener in &listeners {
        listener.listen(64).unwrap();
        listener.set_nonblocking(true).unwrap();
    }
    let mut clients = HashSet::new();
    let mut kept = Vec::new();
    for _ in 0..48 {
        let client = world.tcp_client();
        client.connect(address).unwrap();
        clients.insert(client.local_addr().unwrap());
        kept.push(client);
    }
    let mut counts = [0; 2];
    eventually("all connections", || {
        for (listener, count) in listeners.iter().zip(&mut counts) {
            while let Ok((_, peer)) = listener.accept() {
                assert!(clients.remove(&peer), "{peer} came twice");
                *count += 1;
            }
        }
        clients.is_empty()
    });
    // By chance alone one of them gets fewer than six once in many millions of times.
    assert!(counts.iter().all(|&count| count >= 6), "{counts:?}");
}

fn a_listener_that_closes_leaves_the_port_to_the_other(world: &World) {
    let address = world.server_at(world.port());
    let first = shared(&world.server, world, Type::Stream, address);
    let second = shared(&world.server, world, Type::Stream, address);
    first.listen(64).unwrap();
    second.listen(64).unwrap();
    drop(first);
    // Ours closes in the background, and is done with it when it answers the next call.
    second.reuse_port().unwrap();
    for _ in 0..8 {
        let client = world.tcp_client();
        client.connect(address).unwrap();
        let (_, peer) = second.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}

fn reuse_port_spreads_messages_and_keeps_a_flow_together(world: &World) {
    let address = world.server_at(world.port());
    let servers: Vec<_> = (0..2).map(|_| shared(&world.server, world, Type::Dgram, address)).collect();
    for server in &servers {
        server.set_nonblocking(true).unwrap();
    }
    let clients: Vec<_> = (0..48).map(|_| world.udp_client()).collect();
    for client in &clients {
        client.connect(address).unwrap();
        for _ in 0..2 {
            client.send(b"x").unwrap();
        }
    }
    let mut heard = [HashSet::new(), HashSet::new()];
    let mut count = 0;
    eventually("all messages", || {
        for (server, peers) in servers.iter().zip(&mut heard) {
            while let Ok((_, peer)) = server.recv_from(&mut [0; 1]) {
                peers.insert(peer);
                count += 1;
            }
        }
        count == 96
    });
    assert!(heard.iter().all(|peers| peers.len() >= 6), "{} and {}", heard[0].len(), heard[1].len());
    assert!(heard[0].is_disjoint(&heard[1]), "what one client sends goes to one server");
}

fn of_those_who_reuse_an_address_the_last_gets_the_messages(world: &World) {
    let address = world.server_at(world.port());
    let servers: Vec<_> = (0..3)
        .map(|_| {
            let socket = world.server.socket(world.domain(), Type::Dgram);
            socket.set_reuse_address(true).unwrap();
            socket.bind(address).unwrap();
            socket
        })
        .collect();
    world.udp_client().send_to(b"x", address).unwrap();
    assert_eq!(servers[2].recv(&mut [0; 1]).unwrap(), 1);
    for server in &servers[..2] {
        server.set_read_timeout(Some(SILENCE)).unwrap();
        fails(server.recv(&mut [0; 1]), Error::WouldBlock);
    }
}

fn a_connected_socket_takes_its_peers_messages_from_a_wildcard(world: &World) {
    let port = world.port();
    let bound = |address| {
        let socket = world.server.socket(world.domain(), Type::Dgram);
        socket.set_reuse_address(true).unwrap();
        socket.bind(address).unwrap();
        socket
    };
    let connected = bound(world.server_at(port));
    let everybodys = bound(world.wildcard(port));
    let (friend, stranger) = (world.udp_client(), world.udp_client());
    friend.connect(world.server_at(port)).unwrap();
    connected.connect(friend.local_addr().unwrap()).unwrap();
    friend.send(b"x").unwrap();
    assert_eq!(connected.recv(&mut [0; 4]).unwrap(), 1);
    stranger.send_to(b"yy", world.server_at(port)).unwrap();
    assert_eq!(everybodys.recv(&mut [0; 4]).unwrap(), 2);
}

/// A port of the server's with a connection that the server has closed first.
fn left_in_time_wait(world: &World) -> SocketAddr {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.recv(&mut [0; 1]).unwrap(), 0);
    drop(client);
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    address
}

fn a_port_in_time_wait_is_not_free_without_reuse_address(world: &World) {
    let address = left_in_time_wait(world);
    fails(world.tcp_server().bind(address), Error::AddressInUse);
    // Both must have wanted to share: see close::a_listener_binds_again_in_time_wait_with_reuse_address.
    let again = world.tcp_server();
    again.set_reuse_address(true).unwrap();
    fails(again.bind(address), Error::AddressInUse);
}

fn the_same_four_numbers_are_one_connection(world: &World) {
    let (listener, address) = world.listener();
    let local = world.client_at(world.port());
    let client = || {
        let socket = world.tcp_client();
        socket.set_reuse_address(true).unwrap();
        socket.bind(local).unwrap();
        socket
    };
    let (first, second) = (client(), client());
    first.connect(address).unwrap();
    fails(second.connect(address), Error::AddressNotAvailable);
    listener.accept().unwrap();
    // To another server it may go from the same port.
    let (other, elsewhere) = world.listener();
    second.connect(elsewhere).unwrap();
    assert_eq!(other.accept().unwrap().1, local);
}

fn when_no_port_is_left_the_address_is_not_available(world: &World) {
    if world.has_link() {
        // The ports of these stacks are everybody's.
        return;
    }
    let ports = 40_000..=40_001;
    let world = world.with_ports(ports.clone());
    let (_listener, address) = world.listener();
    let mut clients = Vec::new();
    let error = loop {
        let client = world.tcp_client();
        client.limit_ports(&ports);
        if let Err(error) = client.connect(address) {
            break error;
        }
        assert!(ports.contains(&client.local_addr().unwrap().port()));
        clients.push(client);
    };
    assert_eq!(error.raw_os_error(), Some(Error::AddressNotAvailable.errno()));
    // Fewer if another body has one of them.
    assert!(clients.len() <= 2, "{}", clients.len());
    let bound = |client: Sock| {
        client.limit_ports(&ports);
        client.bind(world.client_at(0)).map(|()| client)
    };
    let _kept = (bound(world.udp_client()), bound(world.udp_client()));
    // Linux says of a bind that the address is in use. Here the same cause has the same errno everywhere.
    let is_kernel = world.client.is_kernel();
    fails(bound(world.udp_client()), if is_kernel { Error::AddressInUse } else { Error::AddressNotAvailable });
}
