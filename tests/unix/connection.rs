//! Streams and sequenced packets: listen, connect, accept, and how they end.

use std::io::IoSlice;
use std::net::Shutdown;
use std::thread;

use tapsock::error::Error;
use tapsock::net::Type;

use super::twins;
use super::world::{Name, SILENCE, World, fails};

const BOTH: [Type; 2] = [Type::Stream, Type::SeqPacket];

twins! {
    fn a_stream_sends_to_no_name(world: &World) {
        let name = world.path("listener");
        let listener = world.listener(Type::Stream, &name, 8);
        fails(listener.send_to(b"x", &name), Error::NotSupported);
        fails(world.socket(Type::Stream).send_to(b"x", &name), Error::NotSupported);
        fails(world.connected(Type::Stream, &name).send_to(b"x", &name), Error::AlreadyConnected);
    }

    fn both_ends_show_the_names_of_both(world: &World) {
        for (index, of) in BOTH.into_iter().enumerate() {
            let name = world.path(&format!("server{index}"));
            let listener = world.listener(of, &name, 4);
            assert!(listener.is_listener().unwrap());
            let client = world.connected(of, &name);
            let (server, peer) = listener.accept().unwrap();
            assert_eq!((client.local_addr().unwrap(), client.peer_addr().unwrap()), (Name::NONE, name.clone()));
            assert_eq!((server.local_addr().unwrap(), server.peer_addr().unwrap()), (name.clone(), Name::NONE));
            assert_eq!(peer, Name::NONE);
            // A name that is given later is seen from then on.
            let late = world.abstract_name(&format!("client{index}"));
            client.bind(&late).unwrap();
            assert_eq!(server.peer_addr().unwrap(), late);
            // What was accepted has the listener's name, and gives it to nobody.
            fails(server.bind(&world.path("other")), Error::InvalidInput);
            drop(server);
            world.connected(of, &name);
        }
    }

    fn who_is_not_there_does_not_listen_or_is_of_another_type_cannot_be_connected_to(world: &World) {
        let path = world.path("bound");
        let bound = world.bound(Type::Stream, &path);
        let hidden = world.abstract_name("bound");
        let kept = world.bound(Type::Stream, &hidden);
        let client = world.socket(Type::Stream);
        fails(client.connect(&world.path("nobody")), Error::NotFound);
        fails(client.connect(&world.abstract_name("nobody")), Error::ConnectionRefused);
        fails(client.connect(&path), Error::ConnectionRefused);
        bound.listen(1).unwrap();
        kept.listen(1).unwrap();
        fails(world.socket(Type::SeqPacket).connect(&path), Error::WrongType);
        fails(world.socket(Type::Dgram).connect(&path), Error::WrongType);
        fails(world.socket(Type::SeqPacket).connect(&hidden), Error::ConnectionRefused);
        client.connect(&path).unwrap();
    }

    fn calls_in_the_wrong_state_are_refused(world: &World) {
        for (index, of) in BOTH.into_iter().enumerate() {
            let name = world.path(&format!("server{index}"));
            let fresh = world.socket(of);
            fails(fresh.listen(1), Error::InvalidInput);
            fails(fresh.accept(), Error::InvalidInput);
            fails(fresh.send(b"x"), Error::NotConnected);
            let nobody = if of == Type::Stream { Error::InvalidInput } else { Error::NotConnected };
            fails(fresh.recv(1), nobody);
            let listener = world.listener(of, &name, 4);
            fails(listener.connect(&name), Error::InvalidInput);
            let client = world.connected(of, &name);
            fails(client.connect(&name), Error::AlreadyConnected);
            client.bind(&world.path(&format!("client{index}"))).unwrap();
            fails(client.listen(1), Error::InvalidInput);
            fails(client.accept(), Error::InvalidInput);
        }
        let dgram = world.bound(Type::Dgram, &world.path("dgram"));
        fails(dgram.listen(1), Error::NotSupported);
        fails(dgram.accept(), Error::NotSupported);
    }

    fn an_address_is_for_no_stream_and_sequenced_packets_do_not_look_at_it(world: &World) {
        let name = world.path("nobody");
        fails(world.socket(Type::Stream).send_to(b"x", &name), Error::NotSupported);
        let [stream, _other] = world.pair(Type::Stream);
        fails(stream.send_to(b"x", &name), Error::AlreadyConnected);
        let [packets, other] = world.pair(Type::SeqPacket);
        packets.send_to(b"x", &name).unwrap();
        assert_eq!(other.recv(9).unwrap(), b"x");
    }

    fn one_more_than_the_backlog_may_wait_and_whoever_comes_then_waits(world: &World) {
        for (index, of) in BOTH.into_iter().enumerate() {
            let name = world.path(&format!("server{index}"));
            let listener = world.listener(of, &name, 1);
            let waiting = [world.connected(of, &name), world.connected(of, &name)];
            let late = world.socket(of);
            late.set_nonblocking(true).unwrap();
            fails(late.connect(&name), Error::WouldBlock);
            late.set_nonblocking(false).unwrap();
            late.set_write_timeout(Some(SILENCE)).unwrap();
            fails(late.connect(&name), Error::WouldBlock);
            let patient = world.socket(of);
            thread::scope(|scope| {
                let connected = scope.spawn(|| patient.connect(&name));
                thread::sleep(SILENCE);
                assert!(!connected.is_finished());
                listener.accept().unwrap();
                connected.join().unwrap().unwrap();
            });
            // A longer queue lets somebody in as well.
            let patient = world.socket(of);
            thread::scope(|scope| {
                let connected = scope.spawn(|| patient.connect(&name));
                thread::sleep(SILENCE);
                listener.listen(2).unwrap();
                connected.join().unwrap().unwrap();
            });
            drop(waiting);
        }
    }

    fn a_listener_that_is_closed_resets_who_waits_to_be_accepted(world: &World) {
        for (index, of) in BOTH.into_iter().enumerate() {
            let name = world.path(&format!("server{index}"));
            let listener = world.listener(of, &name, 0);
            let waiting = world.connected(of, &name);
            let patient = world.socket(of);
            thread::scope(|scope| {
                let connected = scope.spawn(|| patient.connect(&name));
                thread::sleep(SILENCE);
                drop(listener);
                // With us the name goes with the socket.
                let error = if world.is_kernel() { Error::ConnectionRefused } else { Error::NotFound };
                fails(connected.join().unwrap(), error);
            });
            fails(waiting.recv(1), Error::ConnectionReset);
            assert_eq!(waiting.recv(1).unwrap(), b"");
            fails(waiting.send(b"x"), Error::BrokenPipe);
        }
    }

    fn an_acceptor_that_does_not_wait_is_told_that_nobody_is_there(world: &World) {
        let listener = world.listener(Type::Stream, &world.path("server"), 1);
        listener.set_nonblocking(true).unwrap();
        fails(listener.accept(), Error::WouldBlock);
        listener.set_nonblocking(false).unwrap();
        listener.set_read_timeout(Some(SILENCE)).unwrap();
        fails(listener.accept(), Error::WouldBlock);
        let client = world.connected(Type::Stream, &world.path("server"));
        client.send(b"before it is accepted").unwrap();
        assert_eq!(listener.accept().unwrap().0.recv(99).unwrap(), b"before it is accepted");
    }

    fn a_stream_has_no_boundaries_and_packets_keep_theirs(world: &World) {
        let [left, right] = world.pair(Type::Stream);
        left.send(b"one").unwrap();
        left.send_vectored(&[IoSlice::new(b"tw"), IoSlice::new(b"o")]).unwrap();
        assert_eq!(right.recv(5).unwrap(), b"onetw");
        assert_eq!(right.recv(5).unwrap(), b"o");
        let [left, right] = world.pair(Type::SeqPacket);
        left.send(b"one").unwrap();
        left.send(b"").unwrap();
        left.send_vectored(&[IoSlice::new(b"tw"), IoSlice::new(b"o")]).unwrap();
        assert_eq!(right.recv(2).unwrap(), b"on", "the rest is lost");
        assert_eq!(right.recv(5).unwrap(), b"");
        assert_eq!(right.recv(5).unwrap(), b"two");
        fails(left.send(&vec![0; 400_000]), Error::MessageTooLong);
    }

    fn a_direction_that_is_shut_down_ends_for_both(world: &World) {
        for of in BOTH {
            let [left, right] = world.pair(of);
            left.send(b"last").unwrap();
            left.shutdown(Shutdown::Write).unwrap();
            fails(left.send(b"x"), Error::BrokenPipe);
            assert_eq!(right.recv(9).unwrap(), b"last");
            assert_eq!(right.recv(9).unwrap(), b"");
            right.send(b"answer").unwrap();
            assert_eq!(left.recv(9).unwrap(), b"answer");
            left.shutdown(Shutdown::Read).unwrap();
            assert_eq!(left.recv(9).unwrap(), b"");
            fails(right.send(b"x"), Error::BrokenPipe);
        }
        world.socket(Type::Stream).shutdown(Shutdown::Both).unwrap();
    }

    fn a_peer_that_closes_ends_the_stream_and_with_unread_bytes_resets_it(world: &World) {
        for of in BOTH {
            let [left, right] = world.pair(of);
            left.send(b"last").unwrap();
            drop(left);
            fails(right.send(b"x"), Error::BrokenPipe);
            assert_eq!(right.recv(9).unwrap(), b"last");
            assert_eq!(right.recv(9).unwrap(), b"");
            assert_eq!(right.peer_addr().unwrap(), Name::NONE);
            let [left, right] = world.pair(of);
            right.send(b"unread").unwrap();
            drop(left);
            fails(right.recv(9), Error::ConnectionReset);
            assert_eq!(right.recv(9).unwrap(), b"");
        }
    }

    fn a_full_pipe_holds_the_writer_back_until_somebody_reads(world: &World) {
        for of in BOTH {
            let [left, right] = world.pair(of);
            left.set_nonblocking(true).unwrap();
            let mut sent = 0;
            let full = loop {
                match left.send(&[7; 8192]) {
                    Ok(count) => sent += count,
                    Err(error) => break Err::<(), _>(error),
                }
                assert!(sent < 64 << 20, "there is a bound");
            };
            fails(full, Error::WouldBlock);
            left.set_nonblocking(false).unwrap();
            let read = thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    left.send(&[8; 8192]).unwrap();
                    left.shutdown(Shutdown::Write).unwrap();
                });
                let mut read = 0;
                loop {
                    match right.recv(8192).unwrap().len() {
                        0 => break,
                        count => read += count,
                    }
                }
                writer.join().unwrap();
                read
            });
            // A blocking write of a stream may be a part on our side; of a packet it is all.
            assert!(read > sent && read <= sent + 8192, "{read} of {sent}");
        }
    }
}
