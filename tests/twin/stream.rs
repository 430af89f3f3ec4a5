//! Bytes in order: `send(2)` and `recv(2)` of TCP.

use std::io::{IoSlice, IoSliceMut};
use std::thread;
use std::time::Duration;

use tapsock::error::Error;
use tapsock::net::Flags;

use super::check::{eventually, fails, noise};
use super::world::{PATIENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    bytes_arrive_in_order_both_ways,
    a_short_buffer_leaves_the_rest,
    a_read_waits_for_the_first_byte,
    nothing_to_read_would_block,
    reading_nothing_waits_on_linux_and_never_with_us,
    a_read_gives_up_after_its_time,
    a_write_that_nobody_reads_fills_up_and_would_block,
    a_write_gives_up_after_its_time,
    a_blocking_write_is_whole,
    dont_wait_is_non_blocking_for_one_call,
    wait_all_fills_the_buffer,
    wait_all_gives_what_came_before_the_end,
    wait_all_gives_what_came_before_its_time,
    buffers_are_gathered_and_scattered,
    an_empty_write_sends_nothing,
    an_unconnected_socket_carries_nothing,
    recv_from_of_a_stream_names_nobody,
    send_to_of_a_stream_ignores_the_address,
    peek_leaves_the_bytes_there,
    peek_waits_for_the_first_byte_and_sees_the_end,
    peek_with_wait_all_waits_for_the_whole_buffer,
    trunc_throws_bytes_away,
];

fn bytes_arrive_in_order_both_ways(world: &World) {
    let (client, server) = world.connected();
    let bytes = noise(300_000);
    for (from, to) in [(&client, &server), (&server, &client)] {
        thread::scope(|scope| {
            scope.spawn(|| from.send_all(&bytes).unwrap());
            assert!(to.recv_exact(bytes.len()).unwrap() == bytes);
        });
    }
}

fn a_short_buffer_leaves_the_rest(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"abcdef").unwrap();
    assert_eq!(server.recv_exact(1).unwrap(), b"a");
    assert_eq!(server.recv_exact(2).unwrap(), b"bc");
    assert_eq!(server.recv_exact(3).unwrap(), b"def");
}

fn a_read_waits_for_the_first_byte(world: &World) {
    let (client, server) = world.connected();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(10));
            client.send_all(b"x").unwrap();
        });
        let mut buffer = [0; 10];
        assert_eq!(server.recv(&mut buffer).unwrap(), 1);
    });
}

fn nothing_to_read_would_block(world: &World) {
    let (client, server) = world.connected();
    for socket in [&client, &server] {
        socket.set_nonblocking(true).unwrap();
        fails(socket.recv(&mut [0; 1]), Error::WouldBlock);
    }
}

fn a_read_gives_up_after_its_time(world: &World) {
    let (client, server) = world.connected();
    for socket in [&client, &server] {
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        fails(socket.recv(&mut [0; 1]), Error::WouldBlock);
    }
}

fn a_write_that_nobody_reads_fills_up_and_would_block(world: &World) {
    let (client, server) = world.connected();
    client.set_nonblocking(true).unwrap();
    let chunk = vec![7; 64 * 1024];
    let mut sent = 0;
    // Full for good only when it stays so: the network takes some of it away at first.
    let mut quiet = 0;
    while quiet < 20 {
        match client.send(&chunk) {
            Ok(count) => {
                sent += count;
                quiet = 0;
            }
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Error::WouldBlock.errno()));
                quiet += 1;
                thread::sleep(Duration::from_millis(5));
            }
        }
        assert!(sent < 64 << 20, "nothing holds it back");
    }
    // Reading makes room.
    let mut buffer = vec![0; 64 * 1024];
    eventually("room", || {
        server.recv(&mut buffer).unwrap();
        client.send(b"x").is_ok()
    });
}

fn a_write_gives_up_after_its_time(world: &World) {
    let (client, _server) = world.connected();
    client.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
    let chunk = vec![7; 64 * 1024];
    for _ in 0..2000 {
        match client.send(&chunk) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(Error::WouldBlock.errno()));
                return;
            }
        }
    }
    panic!("nothing holds it back");
}

fn a_blocking_write_is_whole(world: &World) {
    let (client, server) = world.connected();
    let bytes = noise(20 << 20);
    thread::scope(|scope| {
        // One call: it returns when all of it is on its way.
        scope.spawn(|| assert_eq!(client.send(&bytes).unwrap(), bytes.len()));
        assert!(server.recv_exact(bytes.len()).unwrap() == bytes);
    });
}

fn dont_wait_is_non_blocking_for_one_call(world: &World) {
    let (client, server) = world.connected();
    fails(server.recv_with_flags(&mut [0; 1], Flags::DONTWAIT), Error::WouldBlock);
    assert_eq!(client.send_with_flags(b"x", Flags::DONTWAIT).unwrap(), 1);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 1);
    assert!(!server.nonblocking().unwrap());
}

fn wait_all_fills_the_buffer(world: &World) {
    let (client, server) = world.connected();
    thread::scope(|scope| {
        scope.spawn(|| {
            for byte in b"12345" {
                client.send_all(&[*byte]).unwrap();
                thread::sleep(Duration::from_millis(3));
            }
        });
        let mut buffer = [0; 5];
        assert_eq!(server.recv_with_flags(&mut buffer, Flags::WAITALL).unwrap(), 5);
        assert_eq!(&buffer, b"12345");
    });
}

fn wait_all_gives_what_came_before_the_end(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"123").unwrap();
    drop(client);
    let mut buffer = [0; 5];
    assert_eq!(server.recv_with_flags(&mut buffer, Flags::WAITALL).unwrap(), 3);
    assert_eq!(server.recv_with_flags(&mut buffer, Flags::WAITALL).unwrap(), 0);
}

fn wait_all_gives_what_came_before_its_time(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"123").unwrap();
    server.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 5];
    assert_eq!(server.recv_with_flags(&mut buffer, Flags::WAITALL).unwrap(), 3);
    fails(server.recv_with_flags(&mut buffer, Flags::WAITALL), Error::WouldBlock);
}

fn buffers_are_gathered_and_scattered(world: &World) {
    let (client, server) = world.connected();
    assert_eq!(client.send_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")]).unwrap(), 6);
    let (mut first, mut second) = ([0; 4], [0; 4]);
    let mut count = 0;
    // Six bytes may come in two segments, but they do not.
    eventually("all six", || {
        count = server.recv_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]).unwrap();
        true
    });
    assert_eq!((count, &first, &second[..2]), (6, b"abcd", &b"ef"[..]));
}

fn an_empty_write_sends_nothing(world: &World) {
    let (client, server) = world.connected();
    assert_eq!(client.send(b"").unwrap(), 0);
    client.send_all(b"x").unwrap();
    assert_eq!(server.recv_exact(1).unwrap(), b"x");
    assert_eq!(server.recv(&mut []).unwrap(), 0);
}

fn an_unconnected_socket_carries_nothing(world: &World) {
    for socket in [world.tcp_client(), world.tcp_server()] {
        fails(socket.recv(&mut [0; 1]), Error::NotConnected);
        fails(socket.send(b"x"), Error::BrokenPipe);
    }
}

fn recv_from_of_a_stream_names_nobody(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"x").unwrap();
    if server.is_kernel() {
        // The kernel leaves the address alone: there is nothing to look at.
        return;
    }
    // Ours has to give an address, and gives the peer's.
    assert_eq!(server.recv_from(&mut [0; 1]).unwrap(), (1, client.local_addr().unwrap()));
}

fn send_to_of_a_stream_ignores_the_address(world: &World) {
    let (client, server) = world.connected();
    assert_eq!(client.send_to(b"x", world.nowhere()).unwrap(), 1);
    assert_eq!(server.recv_exact(1).unwrap(), b"x");
}

fn peek_leaves_the_bytes_there(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"hello").unwrap();
    let mut buffer = [0; 3];
    assert_eq!(server.recv_with_flags(&mut buffer, Flags::PEEK).unwrap(), 3);
    assert_eq!(&buffer, b"hel");
    assert_eq!(server.recv_with_flags(&mut buffer, Flags::PEEK).unwrap(), 3);
    assert_eq!(server.recv_exact(5).unwrap(), b"hello");
    fails(server.recv_with_flags(&mut buffer, Flags::PEEK | Flags::DONTWAIT), Error::WouldBlock);
}

fn peek_waits_for_the_first_byte_and_sees_the_end(world: &World) {
    let (client, server) = world.connected();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(10));
            client.send_all(b"x").unwrap();
        });
        assert_eq!(server.recv_with_flags(&mut [0; 3], Flags::PEEK).unwrap(), 1);
    });
    assert_eq!(server.recv_exact(1).unwrap(), b"x");
    drop(client);
    assert_eq!(server.recv_with_flags(&mut [0; 3], Flags::PEEK).unwrap(), 0);
}

fn trunc_throws_bytes_away(world: &World) {
    let (client, server) = world.connected();
    client.send_all(b"0123456789").unwrap();
    assert_eq!(server.recv_exact(1).unwrap(), b"0");
    assert_eq!(server.recv_with_flags(&mut [0; 4], Flags::TRUNC).unwrap(), 4);
    assert_eq!(server.recv_exact(5).unwrap(), b"56789");
}

fn peek_with_wait_all_waits_for_the_whole_buffer(world: &World) {
    let (client, server) = world.connected();
    let flags = Flags::PEEK | Flags::WAITALL;
    client.send_all(b"ab").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            client.send_all(b"cd").unwrap();
        });
        for _ in 0..2 {
            let mut buffer = [0; 4];
            assert_eq!(server.recv_with_flags(&mut buffer, flags).unwrap(), 4);
            assert_eq!(&buffer, b"abcd");
        }
    });
    server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(server.recv_with_flags(&mut [0; 10], flags).unwrap(), 4, "the time is over");
    drop(client);
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(server.recv_with_flags(&mut [0; 10], flags).unwrap(), 4, "the end");
    assert_eq!(server.recv_to_end().unwrap(), b"abcd");
}

fn reading_nothing_waits_on_linux_and_never_with_us(world: &World) {
    let (client, server) = world.connected();
    for (socket, other) in [(&client, &server), (&server, &client)] {
        for flags in [Flags::DONTWAIT, Flags::DONTWAIT | Flags::PEEK] {
            let read = socket.recv_with_flags(&mut [], flags);
            if socket.is_kernel() {
                fails(read, Error::WouldBlock);
            } else {
                // `std::io::Read` and tokio's `AsyncRead` know no read of nothing that waits.
                assert_eq!(read.unwrap(), 0);
            }
        }
        other.send_all(b"x").unwrap();
        assert_eq!(socket.recv_with_flags(&mut [], Flags::PEEK).unwrap(), 0);
        assert_eq!(socket.recv(&mut []).unwrap(), 0);
        assert_eq!(socket.recv_exact(1).unwrap(), b"x", "none is lost");
    }
}
