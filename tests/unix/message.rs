//! Datagrams: from anybody to a name, or between two.

use std::net::Shutdown;
use std::thread;

use tapsock::error::Error;
use tapsock::net::Type;

use super::twins;
use super::world::{Name, SILENCE, World, fails};

const DGRAM: Type = Type::Dgram;

twins! {
    fn messages_of_many_senders_come_whole_in_order_and_with_their_names(world: &World) {
        let name = world.path("receiver");
        let receiver = world.bound(DGRAM, &name);
        let [path, hidden] = [world.path("sender"), world.abstract_name("sender")];
        let (first, second, third) = (world.bound(DGRAM, &path), world.bound(DGRAM, &hidden), world.socket(DGRAM));
        for (round, sender) in [&first, &second, &third, &first].into_iter().enumerate() {
            assert_eq!(sender.send_to(&vec![round as u8; round * 10], &name).unwrap(), round * 10);
        }
        assert_eq!(receiver.recv_from(100).unwrap(), (vec![], path.clone()));
        assert_eq!(receiver.recv_from(100).unwrap(), (vec![1; 10], hidden));
        assert_eq!(receiver.recv_from(5).unwrap(), (vec![2; 5], Name::NONE), "the rest is lost");
        assert_eq!(receiver.recv_from(100).unwrap(), (vec![3; 30], path));
        receiver.set_nonblocking(true).unwrap();
        fails(receiver.recv(9), Error::WouldBlock);
        receiver.set_nonblocking(false).unwrap();
        receiver.set_read_timeout(Some(SILENCE)).unwrap();
        fails(receiver.recv(9), Error::WouldBlock);
    }

    fn a_receiver_that_waits_is_woken(world: &World) {
        let name = world.path("receiver");
        let receiver = world.bound(DGRAM, &name);
        thread::scope(|scope| {
            let received = scope.spawn(|| receiver.recv(9).unwrap());
            thread::sleep(SILENCE);
            world.socket(DGRAM).send_to(b"hello", &name).unwrap();
            assert_eq!(received.join().unwrap(), b"hello");
        });
    }

    fn what_is_for_nobody_is_refused(world: &World) {
        let sender = world.socket(DGRAM);
        fails(sender.send(b"x"), Error::NotConnected);
        fails(sender.send_to(b"x", &world.path("nobody")), Error::NotFound);
        fails(sender.send_to(b"x", &world.abstract_name("nobody")), Error::ConnectionRefused);
        let stream = world.bound(Type::Stream, &world.path("stream"));
        fails(sender.send_to(b"x", &world.path("stream")), Error::WrongType);
        drop(stream);
        let name = world.abstract_name("receiver");
        let receiver = world.bound(DGRAM, &name);
        sender.send_to(b"x", &name).unwrap();
        fails(sender.send_to(&vec![0; 400_000], &name), Error::MessageTooLong);
        drop(receiver);
        fails(sender.send_to(b"x", &name), Error::ConnectionRefused);
        let again = world.bound(DGRAM, &name);
        sender.send_to(b"y", &name).unwrap();
        assert_eq!(again.recv(9).unwrap(), b"y", "the name is somebody else's now");
    }

    fn who_is_connected_hears_its_peer_only(world: &World) {
        let [a, b] = [world.path("a"), world.path("b")];
        let (first, second) = (world.bound(DGRAM, &a), world.bound(DGRAM, &b));
        first.connect(&b).unwrap();
        assert_eq!(first.peer_addr().unwrap(), b);
        let third = world.socket(DGRAM);
        fails(third.send_to(b"x", &a), Error::NotPermitted);
        fails(third.connect(&a), Error::NotPermitted);
        third.send_to(b"third", &b).unwrap();
        second.connect(&a).unwrap();
        // What had come before is still there: nobody was connected then.
        assert_eq!(second.recv(9).unwrap(), b"third");
        first.send(b"first").unwrap();
        second.send(b"second").unwrap();
        assert_eq!(second.recv_from(9).unwrap(), (b"first".to_vec(), a));
        assert_eq!(first.recv_from(9).unwrap(), (b"second".to_vec(), b));
        // And may send to others all the same.
        let elsewhere = world.path("elsewhere");
        let other = world.bound(DGRAM, &elsewhere);
        first.send_to(b"aside", &elsewhere).unwrap();
        assert_eq!(other.recv(9).unwrap(), b"aside");
    }

    fn a_peer_that_is_gone_refuses_once_and_then_there_is_none(world: &World) {
        let name = world.path("receiver");
        let receiver = world.bound(DGRAM, &name);
        let sender = world.connected(DGRAM, &name);
        sender.send(b"unread").unwrap();
        drop(receiver);
        fails(sender.send(b"x"), Error::ConnectionRefused);
        fails(sender.send(b"x"), Error::NotConnected);
        fails(sender.peer_addr(), Error::NotConnected);
        let [left, right] = world.pair(DGRAM);
        left.send(b"last").unwrap();
        drop(left);
        assert_eq!(right.recv(9).unwrap(), b"last");
        right.set_nonblocking(true).unwrap();
        fails(right.recv(9), Error::WouldBlock);
    }

    fn who_turns_to_another_peer_forgets_what_came_and_the_earlier_one_is_told(world: &World) {
        let [a, b, c] = [world.path("a"), world.path("b"), world.path("c")];
        let (first, second, _third) = (world.bound(DGRAM, &a), world.bound(DGRAM, &b), world.bound(DGRAM, &c));
        first.connect(&b).unwrap();
        second.connect(&a).unwrap();
        second.send(b"for nobody").unwrap();
        first.connect(&c).unwrap();
        assert_eq!(second.pending(), Some(Error::ConnectionReset));
        fails(second.send(b"x"), Error::NotPermitted);
        first.set_nonblocking(true).unwrap();
        fails(first.recv(9), Error::WouldBlock);
    }

    fn a_direction_that_is_shut_down_is_a_broken_pipe_for_who_sends(world: &World) {
        let name = world.path("receiver");
        let receiver = world.bound(DGRAM, &name);
        let sender = world.connected(DGRAM, &name);
        sender.send(b"before").unwrap();
        receiver.shutdown(Shutdown::Read).unwrap();
        fails(sender.send(b"x"), Error::BrokenPipe);
        assert_eq!(receiver.recv(9).unwrap(), b"before");
        assert_eq!(receiver.recv(9).unwrap(), b"");
        receiver.set_nonblocking(true).unwrap();
        fails(receiver.recv(9), Error::WouldBlock);
        sender.shutdown(Shutdown::Write).unwrap();
        fails(sender.send(b"x"), Error::BrokenPipe);
        fails(sender.send_to(b"x", &world.path("nobody")), Error::BrokenPipe);
    }

    fn a_full_receiver_holds_the_sender_back_until_it_receives(world: &World) {
        let name = world.path("receiver");
        let receiver = world.bound(DGRAM, &name);
        let sender = world.socket(DGRAM);
        sender.set_nonblocking(true).unwrap();
        let mut sent = 0;
        let full = loop {
            match sender.send_to(b"x", &name) {
                Ok(_) => sent += 1,
                Err(error) => break Err::<(), _>(error),
            }
            assert!(sent < 100_000, "there is a bound");
        };
        fails(full, Error::WouldBlock);
        sender.set_nonblocking(false).unwrap();
        sender.set_write_timeout(Some(SILENCE)).unwrap();
        fails(sender.send_to(b"x", &name), Error::WouldBlock);
        sender.set_write_timeout(None).unwrap();
        thread::scope(|scope| {
            let late = scope.spawn(|| sender.send_to(b"late", &name).unwrap());
            thread::sleep(SILENCE);
            assert!(!late.is_finished());
            for _ in 0..sent {
                assert_eq!(receiver.recv(9).unwrap(), b"x");
            }
            assert_eq!(receiver.recv(9).unwrap(), b"late");
            late.join().unwrap();
        });
    }

    fn a_sender_that_waits_for_room_is_told_that_the_receiver_is_gone(world: &World) {
        let name = world.path("receiver");
        let receiver = world.bound(DGRAM, &name);
        let sender = world.connected(DGRAM, &name);
        sender.set_nonblocking(true).unwrap();
        while sender.send(b"x").is_ok() {}
        sender.set_nonblocking(false).unwrap();
        thread::scope(|scope| {
            let late = scope.spawn(|| sender.send(b"late"));
            thread::sleep(SILENCE);
            drop(receiver);
            fails(late.join().unwrap(), Error::ConnectionRefused);
        });
    }
}
