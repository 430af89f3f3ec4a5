//! `shutdown(2)`: one direction ends and the other goes on.

use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use tapsock::error::Error;
use tapsock::net::{Flags, Readiness, Type};

use super::check::{eventually, fails, pending};
use super::world::{SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    the_peer_reads_what_was_written_and_then_the_end,
    writing_after_shutdown_is_a_broken_pipe,
    the_other_direction_goes_on,
    a_server_answers_after_the_end_of_the_question,
    reading_after_shutdown_is_the_end,
    bytes_after_shutting_down_reading_come_all_the_same,
    who_writes_to_someone_who_does_not_read_is_held_back,
    bytes_after_shutting_down_both_are_answered_with_a_reset,
    shutting_down_reading_wakes_who_reads,
    what_was_there_before_shutting_down_reading_can_be_read,
    shutdown_of_both_is_both,
    shutdown_twice_is_harmless,
    an_unconnected_socket_has_nothing_to_shut_down,
    a_shutdown_that_failed_is_remembered_by_linux_and_not_by_us,
    shutting_down_a_listener_ends_it,
    shutting_down_a_listener_wakes_who_accepts,
    a_listener_that_is_shut_down_is_like_a_fresh_socket,
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

fn bytes_after_shutting_down_reading_come_all_the_same(world: &World) {
    for turn in [false, true] {
        let (client, server) = world.connected();
        let (reader, writer) = if turn { (client, server) } else { (server, client) };
        reader.shutdown(Shutdown::Read).unwrap();
        assert_eq!(reader.recv(&mut [0; 1]).unwrap(), 0);
        writer.send_all(b"x").unwrap();
        eventually("a byte", || reader.recv(&mut [0; 1]).unwrap() == 1);
        // It does not wait for one.
        assert_eq!(reader.recv(&mut [0; 1]).unwrap(), 0);
    }
}

fn who_writes_to_someone_who_does_not_read_is_held_back(world: &World) {
    let (client, server) = world.connected();
    server.shutdown(Shutdown::Read).unwrap();
    client.set_write_timeout(Some(SILENCE)).unwrap();
    let chunk = vec![7; 64 * 1024];
    let held_back = (0..2000).find_map(|_| client.send(&chunk).err());
    fails(Err::<(), _>(held_back.unwrap()), Error::WouldBlock);
}

fn bytes_after_shutting_down_both_are_answered_with_a_reset(world: &World) {
    let (client, server) = world.connected();
    client.shutdown(Shutdown::Both).unwrap();
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0);
    server.send_all(b"is anybody there?").unwrap();
    eventually("the RST", || server.send(b"x").is_err());
    fails(server.send(b"x"), Error::BrokenPipe);
    // Who did not want to hear is told that there was something.
    eventually("the error", || pending(client.take_error()) == Some(Error::ConnectionReset));
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

fn a_shutdown_that_failed_is_remembered_by_linux_and_not_by_us(world: &World) {
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let (listener, address) = world.listener();
        let client = world.tcp_client();
        fails(client.shutdown(how), Error::NotConnected);
        // A call that has failed has done nothing. Linux has done something: for the connection that comes as well, and
        // the peer is told nothing of it.
        let remembers = client.is_kernel();
        let [reading, writing] = [how != Shutdown::Write, how != Shutdown::Read].map(|shuts| shuts && remembers);
        let fresh = Readiness { readable: reading, writable: true, hang_up: true, error: false };
        assert_eq!(client.readiness(), fresh);
        match reading {
            true => assert_eq!(client.recv(&mut [0; 1]).unwrap(), 0),
            false => fails(client.recv(&mut [0; 1]), Error::NotConnected),
        }
        client.connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(client.readiness(), Readiness { hang_up: reading && writing, ..fresh });
        match client.recv_with_flags(&mut [0; 1], Flags::DONTWAIT) {
            Ok(count) => assert_eq!((count, reading), (0, true)),
            Err(error) => assert_eq!((error.kind(), reading), (std::io::ErrorKind::WouldBlock, false)),
        }
        match client.send(b"x") {
            Ok(_) => assert_eq!((server.recv_exact(1).unwrap(), writing), (b"x".to_vec(), false)),
            Err(error) => assert_eq!((error.kind(), writing), (std::io::ErrorKind::BrokenPipe, true)),
        }
    }
}

fn a_listener_that_is_shut_down_is_like_a_fresh_socket(world: &World) {
    for how in [Shutdown::Read, Shutdown::Both] {
        let (listener, _) = world.listener();
        listener.shutdown(Shutdown::Write).unwrap();
        assert_eq!(listener.readiness(), Readiness::default(), "writing means nothing to it");
        listener.shutdown(how).unwrap();
        let fresh = Readiness { readable: false, writable: true, hang_up: true, error: false };
        assert_eq!(listener.readiness(), fresh);
        fails(listener.accept(), Error::InvalidInput);
        fails(listener.recv(&mut [0; 1]), Error::NotConnected);
        fails(listener.send(b"x"), Error::BrokenPipe);
        fails(listener.shutdown(how), Error::NotConnected);
        listener.listen(1).unwrap();
        assert_eq!(listener.readiness(), Readiness::default());
    }
}
