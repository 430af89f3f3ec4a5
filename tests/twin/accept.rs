//! `listen(2)` and `accept(2)`.

use std::time::Duration;

use tapsock::error::Error;
use tapsock::net::{Domain, Type};

use super::check::{eventually, fails};
use super::world::World;
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    accept_gives_the_connection_and_the_peer,
    connections_are_accepted_in_the_order_they_came,
    a_listener_that_did_not_bind_gets_a_port,
    listening_twice_changes_the_backlog,
    a_socket_that_does_not_listen_cannot_accept,
    udp_neither_listens_nor_accepts,
    a_connected_socket_cannot_listen,
    accept_does_not_wait_when_it_must_not,
    accept_waits_as_long_as_the_read_timeout,
    a_listener_has_no_peer_and_no_bytes,
    an_accepted_socket_blocks_whatever_its_listener_does,
    an_accepted_socket_inherits_options,
    bytes_that_came_before_accept_are_there,
    a_connection_that_ended_before_accept_is_accepted,
    closing_the_listener_resets_what_nobody_accepted,
    a_dual_stack_listener_shows_mapped_addresses,
    a_full_backlog_lets_nobody_else_in_until_one_is_accepted,
];

fn accept_gives_the_connection_and_the_peer(world: &World) {
    let (listener, address) = world.listener();
    assert!(listener.is_listener().unwrap());
    assert_eq!(listener.local_addr().unwrap(), address);
    let client = world.tcp_client();
    client.connect(address).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(peer.ip(), world.client_ip());
    assert_eq!(server.peer_addr().unwrap(), peer);
    assert_eq!(server.local_addr().unwrap(), address);
    assert_eq!(client.peer_addr().unwrap(), address);
    assert!(!server.is_listener().unwrap());
}

fn connections_are_accepted_in_the_order_they_came(world: &World) {
    let (listener, address) = world.listener();
    let clients: Vec<_> = std::iter::repeat_with(|| {
        let client = world.tcp_client();
        client.connect(address).unwrap();
        // Its handshake is over at the server as well once the server has answered.
        client.send_all(b"x").unwrap();
        client
    })
    .take(5)
    .collect();
    for client in &clients {
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        drop(server);
    }
}

fn a_listener_that_did_not_bind_gets_a_port(world: &World) {
    let listener = world.tcp_server();
    listener.listen(1).unwrap();
    let local = listener.local_addr().unwrap();
    assert!(local.ip().is_unspecified() && local.port() != 0, "{local}");
    world.tcp_client().connect(world.server_at(local.port())).unwrap();
    listener.accept().unwrap();
}

fn listening_twice_changes_the_backlog(world: &World) {
    let (listener, address) = world.listener();
    listener.listen(4).unwrap();
    assert!(listener.is_listener().unwrap());
    world.tcp_client().connect(address).unwrap();
    listener.accept().unwrap();
}

fn a_socket_that_does_not_listen_cannot_accept(world: &World) {
    let socket = world.tcp_server();
    fails(socket.accept(), Error::InvalidInput);
    socket.bind(world.server_at(0)).unwrap();
    fails(socket.accept(), Error::InvalidInput);
    let (client, server) = world.connected();
    fails(client.accept(), Error::InvalidInput);
    fails(server.accept(), Error::InvalidInput);
}

fn udp_neither_listens_nor_accepts(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Dgram);
        fails(socket.listen(1), Error::NotSupported);
        fails(socket.accept(), Error::NotSupported);
    }
}

fn a_connected_socket_cannot_listen(world: &World) {
    let (client, server) = world.connected();
    fails(client.listen(1), Error::InvalidInput);
    fails(server.listen(1), Error::InvalidInput);
}

fn accept_does_not_wait_when_it_must_not(world: &World) {
    let (listener, address) = world.listener();
    listener.set_nonblocking(true).unwrap();
    fails(listener.accept(), Error::WouldBlock);
    world.tcp_client().connect(address).unwrap();
    eventually("a connection to accept", || listener.accept().is_ok());
    fails(listener.accept(), Error::WouldBlock);
}

fn accept_waits_as_long_as_the_read_timeout(world: &World) {
    let (listener, _) = world.listener();
    listener.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    fails(listener.accept(), Error::WouldBlock);
}

fn a_listener_has_no_peer_and_no_bytes(world: &World) {
    let (listener, _) = world.listener();
    fails(listener.peer_addr(), Error::NotConnected);
    fails(listener.recv(&mut [0; 1]), Error::NotConnected);
    fails(listener.send(b"x"), Error::BrokenPipe);
}

fn an_accepted_socket_blocks_whatever_its_listener_does(world: &World) {
    let (listener, address) = world.listener();
    listener.set_nonblocking(true).unwrap();
    world.tcp_client().connect(address).unwrap();
    let mut accepted = None;
    eventually("a connection to accept", || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    assert!(!accepted.unwrap().0.nonblocking().unwrap());
}

fn an_accepted_socket_inherits_options(world: &World) {
    let (listener, address) = world.listener();
    listener.set_tcp_nodelay(true).unwrap();
    listener.set_keepalive(true).unwrap();
    listener.set_linger(Some(Duration::from_secs(3))).unwrap();
    world.tcp_client().connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    assert!(server.tcp_nodelay().unwrap());
    assert!(server.keepalive().unwrap());
    assert_eq!(server.linger().unwrap(), Some(Duration::from_secs(3)));
    server.set_linger(None).unwrap();
}

fn bytes_that_came_before_accept_are_there(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    client.send_all(b"early").unwrap();
    let (server, _) = listener.accept().unwrap();
    assert_eq!(server.recv_exact(5).unwrap(), b"early");
}

fn a_connection_that_ended_before_accept_is_accepted(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    client.send_all(b"last words").unwrap();
    drop(client);
    let (server, _) = listener.accept().unwrap();
    assert_eq!(server.recv_to_end().unwrap(), b"last words");
}

fn closing_the_listener_resets_what_nobody_accepted(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    client.send_all(b"hello?").unwrap();
    drop(listener);
    fails(client.recv(&mut [0; 1]), Error::ConnectionReset);
}

fn a_dual_stack_listener_shows_mapped_addresses(world: &World) {
    let listener = world.server.socket(Domain::Inet6, Type::Stream);
    let port = world.port();
    listener.bind((std::net::Ipv6Addr::UNSPECIFIED, port).into()).unwrap();
    listener.listen(1).unwrap();
    let client = world.tcp_client();
    client.connect(world.server_at(port)).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert!(peer.is_ipv6());
    assert_eq!(peer.ip().to_canonical(), world.client_ip());
    assert_eq!(server.peer_addr().unwrap(), peer);
    assert_eq!(server.local_addr().unwrap().ip().to_canonical(), world.server_ip());
}

fn a_full_backlog_lets_nobody_else_in_until_one_is_accepted(world: &World) {
    let listener = world.tcp_server();
    let address = world.server_at(world.port());
    listener.bind(address).unwrap();
    listener.listen(1).unwrap();
    // Linux lets one more wait than it was told; ours as many as it was told.
    let room = if listener.is_kernel() { 2 } else { 1 };
    let waiting: Vec<_> = std::iter::repeat_with(|| {
        let client = world.tcp_client();
        client.connect(address).unwrap();
        client
    })
    .take(room)
    .collect();
    let late = world.tcp_client();
    late.set_nonblocking(true).unwrap();
    fails(late.connect(address), Error::InProgress);
    for client in waiting {
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
    // The client's retransmission finds the room, after about a second.
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer.port(), late.local_addr().unwrap().port());
}
