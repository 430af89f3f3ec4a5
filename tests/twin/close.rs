//! `close(2)`, with and without SO_LINGER, and what the other side sees of it.

use std::time::Duration;

use tapsock::error::Error;

use super::check::{eventually, fails, noise, pending};
use super::world::World;
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    who_calls_after_a_listener_was_closed_is_refused,
    the_peer_reads_everything_and_then_the_end,
    the_peer_may_write_once_and_is_reset,
    unread_bytes_turn_the_close_into_a_reset,
    linger_zero_resets,
    linger_waits_until_everything_has_arrived,
    a_reset_is_read_once_and_then_the_end,
    a_reset_breaks_the_pipe_of_who_writes,
    so_error_takes_the_reset,
    bytes_before_a_reset_are_lost,
    a_closed_listener_refuses,
    a_listener_binds_again_in_time_wait_with_reuse_address,
    everybody_closes_at_once,
];

fn the_peer_reads_everything_and_then_the_end(world: &World) {
    let (client, server) = world.connected();
    let bytes = noise(50_000);
    client.send_all(&bytes).unwrap();
    drop(client);
    assert!(server.recv_to_end().unwrap() == bytes);
}

fn the_peer_may_write_once_and_is_reset(world: &World) {
    let (client, server) = world.connected();
    drop(client);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    server.send_all(b"is anybody there?").unwrap();
    eventually("the RST", || server.send(b"x").is_err());
    fails(server.send(b"x"), Error::BrokenPipe);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
}

fn unread_bytes_turn_the_close_into_a_reset(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"unread").unwrap();
    assert_eq!(server.recv_exact(1).unwrap(), b"u");
    drop(server);
    fails(client.recv(&mut [0; 1]), Error::ConnectionReset);
}

fn linger_zero_resets(world: &World) {
    let (client, server) = world.connected();
    client.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    fails(server.recv(&mut [0; 1]), Error::ConnectionReset);
    let (client, server) = world.connected();
    server.set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    fails(client.recv(&mut [0; 1]), Error::ConnectionReset);
}

fn linger_waits_until_everything_has_arrived(world: &World) {
    let (client, server) = world.connected();
    client.set_linger(Some(Duration::from_secs(10))).unwrap();
    client.send_all(b"all of it").unwrap();
    drop(client);
    server.set_nonblocking(true).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(server.recv(&mut buffer).unwrap(), 9);
}

fn reset(world: &World) -> super::sock::Sock {
    let (client, server) = world.connected();
    client.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    server
}

fn a_reset_is_read_once_and_then_the_end(world: &World) {
    let server = reset(world);
    fails(server.recv(&mut [0; 1]), Error::ConnectionReset);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    fails(server.send(b"x"), Error::BrokenPipe);
    fails(server.peer_addr(), Error::NotConnected);
}

fn a_reset_breaks_the_pipe_of_who_writes(world: &World) {
    let server = reset(world);
    let mut first = None;
    eventually("the RST", || {
        first = server.send(b"x").err();
        first.is_some()
    });
    assert_eq!(first.unwrap().raw_os_error(), Some(Error::ConnectionReset.errno()));
    fails(server.send(b"x"), Error::BrokenPipe);
}

fn so_error_takes_the_reset(world: &World) {
    let server = reset(world);
    let mut error = None;
    eventually("the RST", || {
        error = pending(server.take_error());
        error.is_some()
    });
    assert_eq!(error, Some(Error::ConnectionReset));
    assert_eq!(pending(server.take_error()), None);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
}

fn bytes_before_a_reset_are_lost(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"x").unwrap();
    assert_eq!(server.recv_exact(1).unwrap(), b"x");
    client.send_all(b"never read").unwrap();
    client.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    // The kernel throws away what it has received; so Linux may give them or not, and a program cannot rely on it.
    let mut buffer = [0; 16];
    match server.recv(&mut buffer) {
        Ok(count) => {
            assert_eq!(&buffer[..count], &b"never read"[..count]);
            eventually("the RST", || server.recv(&mut buffer).is_err());
        }
        Err(error) => assert_eq!(error.raw_os_error(), Some(Error::ConnectionReset.errno())),
    }
}

fn a_closed_listener_refuses(world: &World) {
    let (listener, address) = world.listener();
    drop(listener);
    eventually("a refusal", || {
        let refused = world.tcp_client().connect(address);
        refused.is_err_and(|error| error.raw_os_error() == Some(Error::ConnectionRefused.errno()))
    });
}

/// A connection of the server's `port` that the server has closed first.
fn served(world: &World, reuse: bool) -> std::net::SocketAddr {
    let address = world.server_at(world.port());
    let listener = world.tcp_server();
    listener.set_reuse_address(reuse).unwrap();
    listener.bind(address).unwrap();
    listener.listen(1).unwrap();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    drop(server);
    assert_eq!(client.recv(&mut [0; 1]).unwrap(), 0);
    drop(client);
    // The server has the client's FIN when nobody listens and the port answers with a reset.
    drop(listener);
    address
}

fn a_listener_binds_again_in_time_wait_with_reuse_address(world: &World) {
    let address = served(world, true);
    let again = world.tcp_server();
    again.set_reuse_address(true).unwrap();
    again.bind(address).unwrap();
    again.listen(1).unwrap();
    world.tcp_client().connect(address).unwrap();
    again.accept().unwrap();
}

fn everybody_closes_at_once(world: &World) {
    for _ in 0..20 {
        let (client, server) = world.connected();
        client.send_all(b"x").unwrap();
        server.send_all(b"y").unwrap();
        assert_eq!(client.recv_exact(1).unwrap(), b"y");
        assert_eq!(server.recv_exact(1).unwrap(), b"x");
        std::thread::scope(|scope| {
            scope.spawn(move || drop(client));
            scope.spawn(move || drop(server));
        });
    }
}

fn who_calls_after_a_listener_was_closed_is_refused(world: &World) {
    for _ in 0..50 {
        let (listener, address) = world.listener();
        drop(listener);
        fails(world.tcp_client().connect(address), Error::ConnectionRefused);
    }
}
