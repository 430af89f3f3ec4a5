//! `shutdown(2)` where nothing is connected, and what of a connection is told first.

use std::net::Shutdown;
use std::thread;

use tapsock::error::Error;
use tapsock::net::{Flags, Readiness, Type};

use super::twins;
use super::world::{SILENCE, World, fails};

const BOTH: [Type; 2] = [Type::Stream, Type::SeqPacket];
const HOWS: [Shutdown; 3] = [Shutdown::Read, Shutdown::Write, Shutdown::Both];
const NOTHING: Readiness = Readiness { readable: false, writable: false, hang_up: false, error: false };

/// Whether this ends reading, and whether it ends writing.
fn ends(how: Shutdown) -> [bool; 2] {
    [how != Shutdown::Write, how != Shutdown::Read]
}

twins! {
    fn what_is_shut_down_before_there_is_a_connection_is_when_there_is_one(world: &World) {
        for (index, of) in BOTH.into_iter().enumerate() {
            let name = world.path(&format!("server{index}"));
            let listener = world.listener(of, &name, 4);
            for how in HOWS {
                let [reading, writing] = ends(how);
                let client = world.socket(of);
                client.shutdown(how).unwrap();
                let fresh = Readiness { readable: reading, writable: true, hang_up: true, error: false };
                assert_eq!(client.readiness(), fresh);
                fails(client.send(b"x"), Error::NotConnected);
                client.connect(&name).unwrap();
                assert_eq!(client.readiness(), Readiness { hang_up: reading && writing, ..fresh });
                let (server, _) = listener.accept().unwrap();
                if reading {
                    assert_eq!(client.recv(9).unwrap(), b"");
                    fails(server.send(b"x"), Error::BrokenPipe);
                } else {
                    server.send(b"x").unwrap();
                    assert_eq!(client.recv(9).unwrap(), b"x");
                }
                if !writing {
                    client.send(b"x").unwrap();
                    assert_eq!(server.recv(9).unwrap(), b"x");
                    continue;
                }
                fails(client.send(b"x"), Error::BrokenPipe);
                server.set_nonblocking(true).unwrap();
                if world.is_kernel() {
                    // It forgets to tell the peer, who would wait for ever.
                    fails(server.recv(9), Error::WouldBlock);
                } else {
                    assert_eq!(server.recv(9).unwrap(), b"");
                }
            }
        }
    }

    fn who_shuts_down_reading_and_listens_then_hears_nobody(world: &World) {
        for (index, of) in BOTH.into_iter().enumerate() {
            for how in HOWS {
                let name = world.path(&format!("server{index}{how:?}"));
                let [reading, writing] = ends(how);
                let socket = world.bound(of, &name);
                socket.shutdown(how).unwrap();
                socket.listen(1).unwrap();
                let hang_up = reading && writing;
                assert_eq!(socket.readiness(), Readiness { readable: reading, hang_up, ..NOTHING });
                let called = world.socket(of).connect(&name);
                socket.set_nonblocking(true).unwrap();
                if reading {
                    fails(called, Error::ConnectionRefused);
                    fails(socket.accept(), Error::WouldBlock);
                } else {
                    called.unwrap();
                    socket.accept().unwrap();
                }
            }
        }
    }

    fn a_listener_that_is_shut_down_gives_those_who_wait_and_then_says_that_nobody_will_come(world: &World) {
        for (index, of) in BOTH.into_iter().enumerate() {
            for how in [Shutdown::Read, Shutdown::Both] {
                let name = world.path(&format!("server{index}{how:?}"));
                let listener = world.listener(of, &name, 4);
                let waiting = [world.connected(of, &name), world.connected(of, &name)];
                listener.shutdown(how).unwrap();
                let over = Readiness { readable: true, hang_up: how == Shutdown::Both, ..NOTHING };
                assert_eq!((listener.readiness(), listener.is_listener().unwrap()), (over, true));
                fails(world.socket(of).connect(&name), Error::ConnectionRefused);
                let (first, _) = listener.accept().unwrap();
                listener.set_nonblocking(true).unwrap();
                let (second, _) = listener.accept().unwrap();
                for (socket, client) in [first, second].iter().zip(&waiting) {
                    socket.send(b"hello").unwrap();
                    assert_eq!(client.recv(9).unwrap(), b"hello");
                }
                // Who does not wait is not told that waiting is in vain.
                fails(listener.accept(), Error::WouldBlock);
                listener.set_nonblocking(false).unwrap();
                fails(listener.accept(), Error::InvalidInput);
                assert_eq!(listener.readiness(), over);
                listener.shutdown(how).unwrap();
                // Listening once more changes nothing.
                listener.listen(4).unwrap();
                fails(world.socket(of).connect(&name), Error::ConnectionRefused);
            }
        }
    }

    fn shutting_down_wakes_who_accepts_and_writing_of_a_listener_means_nothing(world: &World) {
        let name = world.path("server");
        let listener = world.listener(Type::Stream, &name, 4);
        listener.shutdown(Shutdown::Write).unwrap();
        assert_eq!(listener.readiness(), NOTHING);
        let client = world.connected(Type::Stream, &name);
        listener.accept().unwrap();
        thread::scope(|scope| {
            let accepts = scope.spawn(|| listener.accept());
            thread::sleep(SILENCE);
            listener.shutdown(Shutdown::Read).unwrap();
            fails(accepts.join().unwrap(), Error::InvalidInput);
        });
        assert!(listener.readiness().hang_up, "now that both are");
        drop(client);
    }

    fn of_sequenced_packets_what_the_connection_died_of_comes_first(world: &World) {
        for how in [None, Some(Shutdown::Read), Some(Shutdown::Both)] {
            for own in [false, true] {
                for does_not_wait in [false, true] {
                    let [left, right] = world.pair(Type::SeqPacket);
                    left.set_nonblocking(does_not_wait).unwrap();
                    if own {
                        right.send(b"own").unwrap();
                    }
                    left.send(b"unread").unwrap();
                    if let Some(how) = how {
                        left.shutdown(how).unwrap();
                    }
                    drop(right);
                    let all = Readiness { readable: true, writable: true, hang_up: true, error: true };
                    assert_eq!(left.readiness(), all);
                    fails(left.recv(9), Error::ConnectionReset);
                    if own {
                        assert_eq!(left.recv(9).unwrap(), b"own");
                    }
                    assert_eq!(left.recv(9).unwrap(), b"");
                    fails(left.send(b"x"), Error::BrokenPipe);
                    assert_eq!(left.recv(9).unwrap(), b"");
                }
            }
        }
    }

    fn reading_nothing_of_a_stream_waits_on_linux_and_never_with_us(world: &World) {
        let [left, right] = world.pair(Type::Stream);
        for flags in [Flags::DONTWAIT, Flags::DONTWAIT | Flags::PEEK] {
            let read = left.recv_with_flags(&mut [], flags);
            if world.is_kernel() {
                fails(read, Error::WouldBlock);
            } else {
                // `std::io::Read` and tokio's `AsyncRead` know no read of nothing that waits.
                assert_eq!(read.unwrap(), 0);
            }
        }
        right.send(b"x").unwrap();
        assert_eq!(left.recv_with_flags(&mut [], Flags::PEEK).unwrap(), 0);
        assert_eq!((left.recv(0).unwrap(), left.recv(9).unwrap()), (vec![], b"x".to_vec()), "none is lost");
        // A message of which nothing is read is read all the same.
        let [left, right] = world.pair(Type::SeqPacket);
        left.set_nonblocking(true).unwrap();
        fails(left.recv(0), Error::WouldBlock);
        right.send(b"x").unwrap();
        assert_eq!(left.recv(0).unwrap(), b"");
        fails(left.recv(9), Error::WouldBlock);
    }
}
