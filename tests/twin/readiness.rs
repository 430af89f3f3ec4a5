//! poll(2) and epoll(7): what a socket is ready for, and who is told.

use std::net::Shutdown;
use std::time::Duration;

use tapsock::error::Error;
use tapsock::net::{Interest, Readiness, Trigger, Type};

use super::check::{eventually, fails, pending};
use super::sock::Sock;
use super::watch::Watch;
use super::world::{PATIENCE, SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    a_socket_that_is_not_connected_hangs_up,
    a_connection_can_be_written_and_not_read,
    bytes_make_it_readable_and_reading_ends_that,
    the_peers_end_is_readable_and_no_hang_up,
    the_end_of_both_directions_is_a_hang_up,
    shutting_down_writing_leaves_it_writable,
    a_reset_is_an_error_and_everything,
    so_error_takes_the_error_away_and_leaves_the_hang_up,
    a_listener_is_readable_when_a_connection_waits,
    a_connect_in_progress_is_not_writable_until_it_stands,
    a_refused_connect_is_an_error_and_a_hang_up,
    a_full_pipe_is_not_writable_until_it_is_read,
    a_datagram_makes_it_readable,
    a_refused_datagram_is_an_error,
    who_waits_is_woken_by_bytes,
    level_tells_again_until_it_is_read,
    edge_tells_once_and_again_for_more,
    an_edge_listener_tells_for_each_connection,
    a_hang_up_is_told_to_those_who_did_not_ask,
    what_is_not_asked_for_is_not_told,
    modifying_asks_for_something_else,
    what_is_removed_is_silent,
    adding_twice_and_removing_twice_fail,
    a_closed_socket_leaves_by_itself,
    one_thread_serves_many_clients,
];

const READABLE: Readiness = Readiness { readable: true, writable: false, hang_up: false, error: false };
const WRITABLE: Readiness = Readiness { readable: false, writable: true, hang_up: false, error: false };
const BOTH: Readiness = Readiness { readable: true, writable: true, hang_up: false, error: false };
const HUNG_UP: Readiness = Readiness { readable: true, writable: true, hang_up: true, error: false };
const FAILED: Readiness = Readiness { readable: true, writable: true, hang_up: true, error: true };

#[track_caller]
fn becomes(socket: &Sock, wanted: Readiness) {
    eventually(&format!("{wanted:?}"), || socket.readiness() == wanted);
}

fn a_socket_that_is_not_connected_hangs_up(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Stream);
        assert_eq!(socket.readiness(), Readiness { hang_up: true, ..WRITABLE });
        socket.bind(world.wildcard(0)).unwrap();
        assert_eq!(socket.readiness(), Readiness { hang_up: true, ..WRITABLE });
        // There is nothing to hang up where there are no connections.
        assert_eq!(side.socket(world.domain(), Type::Dgram).readiness(), WRITABLE);
    }
}

fn a_connection_can_be_written_and_not_read(world: &World) {
    let (client, server) = world.connected();
    assert_eq!(client.readiness(), WRITABLE);
    assert_eq!(server.readiness(), WRITABLE);
}

fn bytes_make_it_readable_and_reading_ends_that(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"xy").unwrap();
    becomes(&server, BOTH);
    server.recv_exact(1).unwrap();
    assert_eq!(server.readiness(), BOTH);
    server.recv_exact(1).unwrap();
    assert_eq!(server.readiness(), WRITABLE);
}

fn the_peers_end_is_readable_and_no_hang_up(world: &World) {
    let (client, server) = world.connected();
    client.shutdown(Shutdown::Write).unwrap();
    becomes(&server, BOTH);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    assert_eq!(server.readiness(), BOTH, "the end does not go away");
}

fn the_end_of_both_directions_is_a_hang_up(world: &World) {
    let (client, server) = world.connected();
    client.shutdown(Shutdown::Write).unwrap();
    becomes(&server, BOTH);
    server.shutdown(Shutdown::Write).unwrap();
    becomes(&server, HUNG_UP);
    becomes(&client, HUNG_UP);
}

fn shutting_down_writing_leaves_it_writable(world: &World) {
    let (client, _server) = world.connected();
    client.shutdown(Shutdown::Write).unwrap();
    // Writing fails, and does so at once.
    assert_eq!(client.readiness(), WRITABLE);
    fails(client.send(b"x"), Error::BrokenPipe);
}

fn reset(world: &World) -> Sock {
    let (client, server) = world.connected();
    client.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    server
}

fn a_reset_is_an_error_and_everything(world: &World) {
    let server = reset(world);
    becomes(&server, FAILED);
    fails(server.recv(&mut [0; 1]), Error::ConnectionReset);
    assert_eq!(server.readiness(), HUNG_UP);
}

fn so_error_takes_the_error_away_and_leaves_the_hang_up(world: &World) {
    let server = reset(world);
    becomes(&server, FAILED);
    assert_eq!(pending(server.take_error()), Some(Error::ConnectionReset));
    assert_eq!(server.readiness(), HUNG_UP);
}

fn a_listener_is_readable_when_a_connection_waits(world: &World) {
    let (listener, address) = world.listener();
    assert_eq!(listener.readiness(), Readiness::default());
    let client = world.tcp_client();
    client.connect(address).unwrap();
    becomes(&listener, READABLE);
    listener.accept().unwrap();
    assert_eq!(listener.readiness(), Readiness::default());
}

fn a_connect_in_progress_is_not_writable_until_it_stands(world: &World) {
    // Nobody answers while the backlog is full.
    let listener = world.tcp_server();
    let address = world.server_at(world.port());
    listener.bind(address).unwrap();
    listener.listen(0).unwrap();
    let first = world.tcp_client();
    first.connect(address).unwrap();
    let client = world.tcp_client();
    client.set_nonblocking(true).unwrap();
    fails(client.connect(address), Error::InProgress);
    assert_eq!(client.readiness(), Readiness::default());
    assert_eq!(client.wait_ready(Interest::Either, SILENCE), None);
    listener.accept().unwrap();
    assert_eq!(client.wait_ready(Interest::Writable, PATIENCE), Some(WRITABLE));
    assert_eq!(pending(client.take_error()), None);
}

fn a_refused_connect_is_an_error_and_a_hang_up(world: &World) {
    let client = world.tcp_client();
    client.set_nonblocking(true).unwrap();
    fails(client.connect(world.server_at(world.port())), Error::InProgress);
    becomes(&client, FAILED);
    assert_eq!(pending(client.take_error()), Some(Error::ConnectionRefused));
}

fn a_full_pipe_is_not_writable_until_it_is_read(world: &World) {
    let (client, server) = world.connected();
    client.set_nonblocking(true).unwrap();
    let chunk = vec![7; 64 * 1024];
    // Full when it stays so: the network takes some of it away at first.
    let mut quiet = 0;
    while quiet < 20 {
        match client.send(&chunk) {
            Ok(_) => quiet = 0,
            Err(_) => {
                quiet += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    assert_eq!(client.readiness(), Readiness::default());
    let mut buffer = vec![0; 64 * 1024];
    server.set_nonblocking(true).unwrap();
    eventually("room", || {
        while server.recv(&mut buffer).is_ok() {}
        client.readiness() == WRITABLE
    });
    client.send(b"x").unwrap();
}

fn a_datagram_makes_it_readable(world: &World) {
    let (server, address) = world.udp_server();
    assert_eq!(server.readiness(), WRITABLE);
    world.udp_client().send_to(b"", address).unwrap();
    becomes(&server, BOTH);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    assert_eq!(server.readiness(), WRITABLE);
}

fn a_refused_datagram_is_an_error(world: &World) {
    let client = world.udp_client();
    client.connect(world.server_at(world.port())).unwrap();
    client.send(b"anybody?").unwrap();
    eventually("an error", || client.readiness().error);
    assert!(client.readiness().writable);
    assert_eq!(pending(client.take_error()), Some(Error::ConnectionRefused));
    assert_eq!(client.readiness(), WRITABLE);
}

fn who_waits_is_woken_by_bytes(world: &World) {
    let (client, server) = world.connected();
    assert_eq!(server.wait_ready(Interest::Readable, SILENCE), None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(10));
            client.send_all(b"x").unwrap();
        });
        assert_eq!(server.wait_ready(Interest::Readable, PATIENCE), Some(BOTH));
    });
}

fn level_tells_again_until_it_is_read(world: &World) {
    let (client, server) = world.connected();
    let watch = Watch::of(&world.server);
    watch.add(&server, 5, Interest::Readable, Trigger::Level).unwrap();
    assert_eq!(watch.wait(SILENCE), []);
    client.send_all(b"x").unwrap();
    for _ in 0..3 {
        let events = watch.wait(PATIENCE);
        assert_eq!((events.len(), events[0].key, events[0].readiness), (1, 5, READABLE));
    }
    server.recv_exact(1).unwrap();
    assert_eq!(watch.wait(SILENCE), []);
}

fn edge_tells_once_and_again_for_more(world: &World) {
    let (client, server) = world.connected();
    let watch = Watch::of(&world.server);
    watch.add(&server, 5, Interest::Readable, Trigger::Edge).unwrap();
    for _ in 0..3 {
        client.send_all(b"x").unwrap();
        assert_eq!(watch.wait(PATIENCE).len(), 1);
        // Nobody reads, and nothing more happens.
        assert_eq!(watch.wait(SILENCE), []);
    }
    assert_eq!(server.recv_exact(3).unwrap(), b"xxx");
}

fn an_edge_listener_tells_for_each_connection(world: &World) {
    let (listener, address) = world.listener();
    let watch = Watch::of(&world.server);
    watch.add(&listener, 1, Interest::Readable, Trigger::Edge).unwrap();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = world.tcp_client();
        client.connect(address).unwrap();
        clients.push(client);
        assert_eq!(watch.wait(PATIENCE).len(), 1);
    }
    assert_eq!(watch.wait(SILENCE), []);
}

fn a_hang_up_is_told_to_those_who_did_not_ask(world: &World) {
    let (client, server) = world.connected();
    let watch = Watch::of(&world.server);
    server.shutdown(Shutdown::Write).unwrap();
    watch.add(&server, 9, Interest::Readable, Trigger::Level).unwrap();
    drop(client);
    eventually("a hang-up", || watch.wait(PATIENCE).iter().any(|event| event.key == 9 && event.readiness.hang_up));
}

fn what_is_not_asked_for_is_not_told(world: &World) {
    let (client, server) = world.connected();
    let watch = Watch::of(&world.server);
    watch.add(&server, 1, Interest::Writable, Trigger::Level).unwrap();
    client.send_all(b"x").unwrap();
    becomes(&server, BOTH);
    let events = watch.wait(PATIENCE);
    assert_eq!((events.len(), events[0].readiness), (1, WRITABLE));
}

fn modifying_asks_for_something_else(world: &World) {
    let (client, server) = world.connected();
    let watch = Watch::of(&world.server);
    watch.add(&server, 1, Interest::Readable, Trigger::Edge).unwrap();
    assert_eq!(watch.wait(SILENCE), []);
    watch.modify(&server, 2, Interest::Writable, Trigger::Edge).unwrap();
    let events = watch.wait(PATIENCE);
    assert_eq!((events.len(), events[0].key, events[0].readiness), (1, 2, WRITABLE));
    client.send_all(b"x").unwrap();
    becomes(&server, BOTH);
    watch.modify(&server, 3, Interest::Readable, Trigger::Level).unwrap();
    let events = watch.wait(PATIENCE);
    assert_eq!((events.len(), events[0].key, events[0].readiness), (1, 3, READABLE));
}

fn what_is_removed_is_silent(world: &World) {
    let (client, server) = world.connected();
    let watch = Watch::of(&world.server);
    watch.add(&server, 1, Interest::Either, Trigger::Level).unwrap();
    assert_eq!(watch.wait(PATIENCE).len(), 1);
    watch.remove(&server).unwrap();
    client.send_all(b"x").unwrap();
    assert_eq!(watch.wait(SILENCE), []);
}

fn adding_twice_and_removing_twice_fail(world: &World) {
    let (_client, server) = world.connected();
    let watch = Watch::of(&world.server);
    watch.add(&server, 1, Interest::Readable, Trigger::Level).unwrap();
    let again = watch.add(&server, 2, Interest::Readable, Trigger::Level).unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    watch.remove(&server).unwrap();
    assert_eq!(watch.remove(&server).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

fn a_closed_socket_leaves_by_itself(world: &World) {
    let (client, server) = world.connected();
    let watch = Watch::of(&world.server);
    watch.add(&server, 1, Interest::Readable, Trigger::Level).unwrap();
    client.send_all(b"x").unwrap();
    assert_eq!(watch.wait(PATIENCE).len(), 1);
    drop(server);
    assert_eq!(watch.wait(SILENCE), []);
}

/// The server of every book: one listener, one poller, and a client's bytes come back to it.
fn one_thread_serves_many_clients(world: &World) {
    const CLIENTS: usize = 40;
    let listener = world.tcp_server();
    let address = world.server_at(world.port());
    listener.bind(address).unwrap();
    listener.listen(128).unwrap();
    listener.set_nonblocking(true).unwrap();
    let watch = Watch::of(&world.server);
    watch.add(&listener, 0, Interest::Readable, Trigger::Level).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connections: Vec<Option<Sock>> = Vec::new();
            let mut ended = 0;
            while ended < CLIENTS {
                let events = watch.wait(PATIENCE);
                assert!(!events.is_empty(), "{ended} clients were served");
                for event in events {
                    let Some(index) = event.key.checked_sub(1) else {
                        let (server, _) = listener.accept().unwrap();
                        server.set_nonblocking(true).unwrap();
                        connections.push(Some(server));
                        let (key, server) = (connections.len() as u64, connections.last().unwrap().as_ref().unwrap());
                        watch.add(server, key, Interest::Readable, Trigger::Level).unwrap();
                        continue;
                    };
                    let slot = &mut connections[usize::try_from(index).unwrap()];
                    let Some(server) = slot else { continue };
                    let mut buffer = [0; 100];
                    match server.recv(&mut buffer).unwrap() {
                        0 => {
                            *slot = None;
                            ended += 1;
                        }
                        count => server.send_all(&buffer[..count]).unwrap(),
                    }
                }
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let client = world.tcp_client();
                client.connect(address).unwrap();
                client
            })
            .collect();
        for round in 0..3 {
            for (number, client) in clients.iter().enumerate() {
                client.send_all(format!("{round}:{number:3}").as_bytes()).unwrap();
            }
            for (number, client) in clients.iter().enumerate() {
                assert_eq!(client.recv_exact(5).unwrap(), format!("{round}:{number:3}").as_bytes());
            }
        }
    });
}
