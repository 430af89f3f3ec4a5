//! `connect(2)`: how it ends, at once or later.

use std::net::Shutdown;
use std::time::Duration;

use tapsock::error::Error;

use super::check::{eventually, fails, pending};
use super::world::{Family, Mode, SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    a_port_where_nobody_listens_refuses,
    a_refused_socket_may_try_again,
    a_refused_socket_may_listen_once_it_was_told,
    a_network_that_no_route_leads_to_is_unreachable,
    nobody_connects_to_a_group,
    port_0_refuses,
    the_unspecified_address_is_this_host,
    a_connect_within_its_time_is_like_any_other,
    a_connect_gives_up_after_its_time,
    the_write_timeout_limits_connect_as_well,
    a_non_blocking_connect_is_in_progress_and_ends_by_itself,
    a_non_blocking_connect_that_is_refused_says_so_in_so_error,
    a_connect_under_way_is_already_in_progress,
    the_next_connect_tells_how_one_that_was_in_progress_ended,
    what_is_not_connected_cannot_be_shut_down_or_read,
    a_connected_socket_is_connected_already,
    a_socket_has_one_connection_in_its_life,
    a_listener_is_connected_already,
    an_address_of_the_other_family_is_refused,
    the_clients_port_can_be_chosen,
    while_it_is_in_progress_there_is_no_peer_and_nothing_to_read,
    a_mapped_address_reaches_ipv4_from_an_ipv6_socket,
];

fn a_port_where_nobody_listens_refuses(world: &World) {
    fails(world.tcp_client().connect(world.server_at(world.port())), Error::ConnectionRefused);
}

fn a_refused_socket_may_try_again(world: &World) {
    let (_listener, address) = world.listener();
    let client = world.tcp_client();
    fails(client.connect(world.server_at(world.port())), Error::ConnectionRefused);
    fails(client.peer_addr(), Error::NotConnected);
    client.connect(address).unwrap();
    assert_eq!(client.peer_addr().unwrap(), address);
}

fn a_network_that_no_route_leads_to_is_unreachable(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), tapsock::net::Type::Stream);
        fails(socket.connect(world.nowhere()), Error::NetworkUnreachable);
    }
}

fn nobody_connects_to_a_group(world: &World) {
    let groups = match world.family {
        Family::V4 => ["239.1.2.3:9", "255.255.255.255:9"],
        Family::V6 => ["[ff05::9]:9", "[ff02::1]:9"],
    };
    for side in [&world.server, &world.client] {
        for group in groups {
            let socket = side.socket(world.domain(), tapsock::net::Type::Stream);
            fails(socket.connect(group.parse().unwrap()), Error::NetworkUnreachable);
        }
    }
}

fn port_0_refuses(world: &World) {
    if world.mode == Mode::TapServer {
        // Ours does not answer a segment to port 0, which no host sends in earnest; the kernel would wait for long.
        return;
    }
    fails(world.tcp_client().connect(world.server_at(0)), Error::ConnectionRefused);
}

fn the_unspecified_address_is_this_host(world: &World) {
    let listener = world.tcp_server();
    let port = world.port();
    listener.bind(world.wildcard(port)).unwrap();
    listener.listen(1).unwrap();
    let client = world.server.socket(world.domain(), tapsock::net::Type::Stream);
    client.connect(world.wildcard(port)).unwrap();
    let peer = client.peer_addr().unwrap();
    assert!(peer.ip().is_loopback() && peer.port() == port, "{peer}");
    assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    let client = world.server.socket(world.domain(), tapsock::net::Type::Dgram);
    client.connect(world.wildcard(port)).unwrap();
    assert_eq!(client.peer_addr().unwrap(), peer);
}

fn a_connect_within_its_time_is_like_any_other(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.connect_timeout(address, Duration::from_secs(10)).unwrap();
    assert_eq!(client.peer_addr().unwrap(), address);
    assert!(!client.nonblocking().unwrap());
    listener.accept().unwrap();
    let refused = world.tcp_client();
    fails(refused.connect_timeout(world.server_at(world.port()), Duration::from_secs(10)), Error::ConnectionRefused);
}

/// A listener that lets nobody in any more.
fn full(world: &World) -> (super::sock::Sock, std::net::SocketAddr, Vec<super::sock::Sock>) {
    let listener = world.tcp_server();
    let address = world.server_at(world.port());
    listener.bind(address).unwrap();
    listener.listen(0).unwrap();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    (listener, address, vec![client])
}

fn a_connect_gives_up_after_its_time(world: &World) {
    let (_listener, address, _waiting) = full(world);
    let late = world.tcp_client();
    let error = late.connect_timeout(address, Duration::from_millis(100)).unwrap_err();
    // socket2 makes this one itself, without an errno.
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

fn the_write_timeout_limits_connect_as_well(world: &World) {
    let (_listener, address, _waiting) = full(world);
    let late = world.tcp_client();
    late.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    fails(late.connect(address), Error::InProgress);
    fails(late.connect(address), Error::AlreadyInProgress);
}

fn a_non_blocking_connect_is_in_progress_and_ends_by_itself(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.set_nonblocking(true).unwrap();
    fails(client.connect(address), Error::InProgress);
    let (server, peer) = listener.accept().unwrap();
    eventually("the connection", || client.peer_addr().is_ok());
    assert_eq!(pending(client.take_error()), None);
    assert_eq!(client.local_addr().unwrap(), peer);
    client.send_all(b"hello").unwrap();
    assert_eq!(server.recv_exact(5).unwrap(), b"hello");
}

fn a_non_blocking_connect_that_is_refused_says_so_in_so_error(world: &World) {
    let client = world.tcp_client();
    client.set_nonblocking(true).unwrap();
    match client.connect(world.server_at(world.port())) {
        Err(error) if error.raw_os_error() == Some(Error::InProgress.errno()) => {}
        other => panic!("{other:?}"),
    }
    let mut error = None;
    eventually("an error", || {
        error = error.or_else(|| pending(client.take_error()));
        error.is_some()
    });
    assert_eq!(error, Some(Error::ConnectionRefused));
    assert_eq!(pending(client.take_error()), None, "it is told once");
}

fn a_connect_under_way_is_already_in_progress(world: &World) {
    let (_listener, address, _waiting) = full(world);
    let late = world.tcp_client();
    late.set_nonblocking(true).unwrap();
    fails(late.connect(address), Error::InProgress);
    fails(late.connect(address), Error::AlreadyInProgress);
}

fn the_next_connect_tells_how_one_that_was_in_progress_ended(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.set_nonblocking(true).unwrap();
    fails(client.connect(address), Error::InProgress);
    listener.accept().unwrap();
    eventually("the connection", || client.peer_addr().is_ok());
    client.connect(address).unwrap();
    fails(client.connect(address), Error::AlreadyConnected);

    let refused = world.tcp_client();
    refused.set_nonblocking(true).unwrap();
    let nobody = world.server_at(world.port());
    fails(refused.connect(nobody), Error::InProgress);
    eventually("the refusal", || match refused.connect(nobody) {
        Err(error) if error.raw_os_error() == Some(Error::AlreadyInProgress.errno()) => false,
        told => {
            fails(told, Error::ConnectionRefused);
            true
        }
    });
    fails(refused.connect(nobody), Error::InProgress);
    eventually("an error", || pending(refused.take_error()).is_some());
    fails(refused.connect(address), Error::ConnectionAborted);
    refused.set_nonblocking(false).unwrap();
    refused.connect(address).unwrap();
}

fn what_is_not_connected_cannot_be_shut_down_or_read(world: &World) {
    let refused = world.tcp_client();
    fails(refused.connect(world.server_at(world.port())), Error::ConnectionRefused);
    fails(refused.recv(&mut [0; 1]), Error::NotConnected);
    fails(refused.send(b"x"), Error::BrokenPipe);
    fails(refused.shutdown(Shutdown::Both), Error::NotConnected);
    let (listener, _) = world.listener();
    listener.shutdown(Shutdown::Read).unwrap();
    fails(listener.shutdown(Shutdown::Read), Error::NotConnected);
}

fn a_connected_socket_is_connected_already(world: &World) {
    let (client, server) = world.connected();
    fails(client.connect(server.local_addr().unwrap()), Error::AlreadyConnected);
    fails(server.connect(client.local_addr().unwrap()), Error::AlreadyConnected);
}

fn a_listener_is_connected_already(world: &World) {
    let (listener, _) = world.listener();
    fails(listener.connect(world.client_at(world.port())), Error::AlreadyConnected);
}

fn an_address_of_the_other_family_is_refused(world: &World) {
    let client = world.tcp_client();
    let address = world.other_server_at(world.port());
    match world.domain() {
        tapsock::net::Domain::Inet => fails(client.connect(address), Error::FamilyNotSupported),
        // The kernel looks at the length of the address first, ours has none.
        _ if client.is_kernel() => fails(client.connect(address), Error::InvalidInput),
        _ => fails(client.connect(address), Error::FamilyNotSupported),
    }
}

fn the_clients_port_can_be_chosen(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    let chosen = world.client_at(world.port());
    client.bind(chosen).unwrap();
    client.connect(address).unwrap();
    assert_eq!(client.local_addr().unwrap(), chosen);
    assert_eq!(listener.accept().unwrap().1, chosen);
}

fn while_it_is_in_progress_there_is_no_peer_and_nothing_to_read(world: &World) {
    let (_listener, address, _waiting) = full(world);
    let late = world.tcp_client();
    late.set_nonblocking(true).unwrap();
    fails(late.connect(address), Error::InProgress);
    fails(late.peer_addr(), Error::NotConnected);
    fails(late.recv(&mut [0; 1]), Error::WouldBlock);
    fails(late.send(b"x"), Error::WouldBlock);
    assert_eq!(pending(late.take_error()), None);
}

fn a_mapped_address_reaches_ipv4_from_an_ipv6_socket(world: &World) {
    let (listener, address) = world.listener();
    let client = world.client.socket(tapsock::net::Domain::Inet6, tapsock::net::Type::Stream);
    let ip = match address.ip() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        v6 => v6,
    };
    client.connect((ip, address.port()).into()).unwrap();
    assert_eq!(client.peer_addr().unwrap().ip(), ip);
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(client.local_addr().unwrap().ip().to_canonical(), peer.ip());
}

fn a_socket_has_one_connection_in_its_life(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    drop(listener.accept().unwrap());
    assert_eq!(client.recv_to_end().unwrap(), b"");
    client.shutdown(Shutdown::Write).unwrap();
    for _ in 0..2 {
        fails(client.connect(address), Error::AlreadyConnected);
        // Until the last segment has come, and after that.
        std::thread::sleep(SILENCE);
    }
}

fn a_refused_socket_may_listen_once_it_was_told(world: &World) {
    let nobody = || world.client_at(world.port());
    let called = |listener: &super::sock::Sock| {
        assert!(listener.is_listener().unwrap());
        assert_eq!(listener.readiness(), tapsock::net::Readiness::default());
        let client = world.tcp_client();
        client.connect(world.server_at(listener.local_addr().unwrap().port())).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.send_all(b"x").unwrap();
        assert_eq!(client.recv_exact(1).unwrap(), b"x");
        listener.set_nonblocking(true).unwrap();
        fails(listener.accept(), Error::WouldBlock);
    };
    let socket = world.tcp_server();
    fails(socket.connect(nobody()), Error::ConnectionRefused);
    socket.listen(1).unwrap();
    called(&socket);
    // Where it was bound it stays.
    let bound = world.tcp_server();
    let address = world.server_at(world.port());
    bound.bind(address).unwrap();
    fails(bound.connect(nobody()), Error::ConnectionRefused);
    bound.listen(1).unwrap();
    assert_eq!(bound.local_addr().unwrap(), address);
    called(&bound);
    // SO_ERROR tells what came of it, and connect alone ends it.
    let late = world.tcp_server();
    late.set_nonblocking(true).unwrap();
    fails(late.connect(nobody()), Error::InProgress);
    eventually("an error", || {
        fails(late.listen(1), Error::InvalidInput);
        pending(late.take_error()).is_some()
    });
    fails(late.listen(1), Error::InvalidInput);
    fails(late.connect(nobody()), Error::ConnectionAborted);
    late.listen(1).unwrap();
    late.set_nonblocking(false).unwrap();
    called(&late);
    let (client, server) = world.connected();
    drop(client);
    assert_eq!(server.recv_to_end().unwrap(), b"");
    server.shutdown(Shutdown::Write).unwrap();
    fails(server.listen(1), Error::InvalidInput);
}
