//! `shutdown(2)`: one direction ends and the other goes on.

use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use tapsock::error::Error;
use tapsock::net::Type;

use super::check::{eventually, fails};
use super::world::{SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    the_peer_reads_what_was_written_and_then_the_end,
    writing_after_shutdown_is_a_broken_pipe,
    the_other_direction_goes_on,
    a_server_answers_after_the_end_of_the_question,
    reading_after_shutdown_is_the_end,
    bytes_after_shutting_down_reading_may_come,
    shutting_down_reading_wakes_who_reads,
    what_was_there_before_shutting_down_reading_can_be_read,
    shutdown_of_both_is_both,
    shutdown_twice_is_harmless,
    an_unconnected_socket_has_nothing_to_shut_down,
    shutting_down_a_listener_ends_it,
    shutting_down_a_listener_wakes_who_accepts,
];

fn the_peer_reads_what_was_written_and_then_the_end(world: &World) {
    let (client, server) = world.connected();
    for (from, to) in [(&client, &server), (&server, &client)] {
        from.send_all(b"the end").unwrap();
        from.shutdown(Shutdown::Write).unwrap();
        assert_eq!(to.recv_to_end().unwrap(), b"the end");
        assert_eq!(to.recv(&mut [0; 1]).unwrap(), 0, "it stays so");
    }
}

fn writing_after_shutdown_is_a_broken_pipe(world: &World) {
    let (client, server) = world.connected();
    for socket in [&client, &server] {
        socket.shutdown(Shutdown::Write).unwrap();
        fails(socket.send(b"x"), Error::BrokenPipe);
        fails(socket.send(b"x"), Error::BrokenPipe);
    }
}

fn the_other_direction_goes_on(world: &World) {
    let (client, server) = world.connected();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    for _ in 0..3 {
        server.send_all(b"more").unwrap();
        assert_eq!(client.recv_exact(4).unwrap(), b"more");
    }
}

fn a_server_answers_after_the_end_of_the_question(world: &World) {
    let (client, server) = world.connected();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut question = server.recv_to_end().unwrap();
            question.reverse();
            server.send_all(&question).unwrap();
            server.shutdown(Shutdown::Write).unwrap();
        });
        client.send_all(b"stressed").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.recv_to_end().unwrap(), b"desserts");
    });
}

fn reading_after_shutdown_is_the_end(world: &World) {
    for turn in [false, true] {
        let (client, server) = world.connected();
        let (socket, other) = if turn { (client, server) } else { (server, client) };
        socket.shutdown(Shutdown::Read).unwrap();
        assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 0);
        // Writing goes on.
        socket.send_all(b"x").unwrap();
        assert_eq!(other.recv_exact(1).unwrap(), b"x");
    }
}

fn bytes_after_shutting_down_reading_may_come(world: &World) {
    let (client, server) = world.connected();
    server.shutdown(Shutdown::Read).unwrap();
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    client.send_all(b"x").unwrap();
    if server.is_kernel() || world.is_joined() {
        // Linux goes on to receive, and gives what comes; so do joined pipes, where the bytes take no room of the stack.
        eventually("a byte", || server.recv(&mut [0; 1]).unwrap() == 1);
    } else {
        // POSIX lets us disable what follows: a direction that is over stays so, and nothing fills up that nobody reads.
        thread::sleep(SILENCE);
        assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    }
}

fn shutting_down_reading_wakes_who_reads(world: &World) {
    let (client, _server) = world.connected();
    let reader = client.try_clone().unwrap();
    thread::scope(|scope| {
        let reads = scope.spawn(move || reader.recv(&mut [0; 1]));
        thread::sleep(Duration::from_millis(20));
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reads.join().unwrap().unwrap(), 0);
    });
}

fn what_was_there_before_shutting_down_reading_can_be_read(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"there").unwrap();
    assert_eq!(server.recv_exact(1).unwrap(), b"t");
    server.shutdown(Shutdown::Read).unwrap();
    assert_eq!(server.recv_to_end().unwrap(), b"here");
}

fn shutdown_of_both_is_both(world: &World) {
    let (client, server) = world.connected();
    client.shutdown(Shutdown::Both).unwrap();
    assert_eq!(client.recv(&mut [0; 1]).unwrap(), 0);
    fails(client.send(b"x"), Error::BrokenPipe);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
}

fn shutdown_twice_is_harmless(world: &World) {
    let (client, _server) = world.connected();
    for how in [Shutdown::Write, Shutdown::Write, Shutdown::Read, Shutdown::Both] {
        client.shutdown(how).unwrap();
    }
}

fn an_unconnected_socket_has_nothing_to_shut_down(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
                fails(side.socket(world.domain(), kind).shutdown(how), Error::NotConnected);
            }
        }
    }
}

fn shutting_down_a_listener_ends_it(world: &World) {
    let (listener, address) = world.listener();
    listener.shutdown(Shutdown::Both).unwrap();
    assert!(!listener.is_listener().unwrap());
    fails(listener.accept(), Error::InvalidInput);
    eventually("a refusal", || {
        let refused = world.tcp_client().connect(address);
        refused.is_err_and(|error| error.raw_os_error() == Some(Error::ConnectionRefused.errno()))
    });
    // It may listen again.
    listener.listen(1).unwrap();
    world.tcp_client().connect(address).unwrap();
    listener.accept().unwrap();
}

fn shutting_down_a_listener_wakes_who_accepts(world: &World) {
    let (listener, _) = world.listener();
    thread::scope(|scope| {
        let accepts = scope.spawn(|| listener.accept());
        thread::sleep(Duration::from_millis(20));
        listener.shutdown(Shutdown::Both).unwrap();
        fails(accepts.join().unwrap(), Error::InvalidInput);
    });
}
