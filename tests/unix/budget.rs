//! How much a socket of messages may have on its way: SO_SNDBUF, over all to whom it sends.

use std::net::Shutdown;
use std::thread;

use tapsock::error::Error;
use tapsock::net::{Interest, Type};

use super::twins;
use super::world::{PATIENCE, SILENCE, Sock, World, fails};

const DGRAM: Type = Type::Dgram;

/// Sends until there is no room; says how many went.
#[track_caller]
fn fill(sender: &Sock, length: usize) -> usize {
    sender.set_nonblocking(true).unwrap();
    let mut sent = 0;
    let full = loop {
        match sender.send(&vec![7; length]) {
            Ok(_) => sent += 1,
            Err(error) => break Err::<(), _>(error),
        }
        assert!(sent < 100_000, "there is a bound");
    };
    fails(full, Error::WouldBlock);
    sender.set_nonblocking(false).unwrap();
    sent
}

twins! {
    fn a_message_is_shorter_than_the_buffer_by_32_bytes_or_does_not_go(world: &World) {
        let [left, right] = world.pair(DGRAM);
        for asked in [0, 5000, 50_000] {
            left.set_send_buffer_size(asked).unwrap();
            let bytes = left.send_buffer_size().unwrap();
            assert_eq!(bytes, (2 * asked).max(4608));
            fails(left.send(&vec![0; bytes - 31]), Error::MessageTooLong);
            left.send(&vec![0; bytes - 32]).unwrap();
            assert_eq!(right.recv(bytes).unwrap().len(), bytes - 32);
        }
    }

    fn a_larger_buffer_holds_more_and_a_message_counts_with_what_it_costs(world: &World) {
        let [left, right] = world.pair(DGRAM);
        let counts = [2304, 9216, 36_864].map(|asked| {
            left.set_send_buffer_size(asked).unwrap();
            let [small, large] = [1, 1000].map(|length| {
                let sent = fill(&left, length);
                (0..sent).for_each(|_| assert_eq!(right.recv(2000).unwrap().len(), length));
                sent
            });
            // Linux counts whole pieces of its memory: 768 bytes of this one. We count the bytes and 576 more.
            let (bytes, least) = (2 * asked, if world.is_kernel() { 768 } else { 577 });
            assert_eq!(small, bytes.div_ceil(least));
            assert!(large > 1 && small > large, "{small} {large}");
            small
        });
        assert!(counts.is_sorted_by(|one, other| 3 * one < *other), "{counts:?}");
    }

    fn all_whom_it_sends_to_share_its_budget_and_others_have_their_own(world: &World) {
        let names = [world.path("a"), world.path("b"), world.path("c")];
        let receivers = names.each_ref().map(|name| world.bound(DGRAM, name));
        let sender = world.socket(DGRAM);
        sender.set_send_buffer_size(0).unwrap();
        sender.set_nonblocking(true).unwrap();
        let mut sent = [0; 3];
        for number in 0.. {
            match sender.send_to(b"x", &names[number % 3]) {
                Ok(_) => sent[number % 3] += 1,
                Err(error) => {
                    fails(Err::<(), _>(error), Error::WouldBlock);
                    break;
                }
            }
        }
        assert!(sent.iter().sum::<usize>() < 10, "{sent:?}");
        for name in &names {
            fails(sender.send_to(b"x", name), Error::WouldBlock);
            world.socket(DGRAM).send_to(b"other", name).unwrap();
        }
        // Nobody asks who it is for before there is room.
        fails(sender.send_to(b"x", &world.path("nobody")), Error::WouldBlock);
        fails(sender.send_to(&[0; 10_000], &world.path("nobody")), Error::MessageTooLong);
        // A receiver that dies gives back what it has not read.
        drop(receivers);
        fails(sender.send_to(b"x", &world.abstract_name("nobody")), Error::ConnectionRefused);
    }

    fn it_is_writable_and_who_waits_goes_on_when_three_quarters_are_free(world: &World) {
        let [left, right] = world.pair(DGRAM);
        assert!(left.readiness().writable);
        let sent = fill(&left, 1000);
        assert!(!left.readiness().writable);
        thread::scope(|scope| {
            let late = scope.spawn(|| left.send(b"late").unwrap());
            let watch = scope.spawn(|| left.wait_ready(Interest::Writable, PATIENCE).unwrap());
            thread::sleep(SILENCE);
            for read in 1..=sent {
                assert_eq!(right.recv(2000).unwrap().len(), 1000);
                if 2 * read <= sent {
                    assert!(!left.readiness().writable);
                }
            }
            assert!(watch.join().unwrap().writable);
            assert_eq!((late.join().unwrap(), right.recv(9).unwrap()), (4, b"late".to_vec()));
        });
    }

    fn who_waits_is_told_when_the_buffer_grows_when_it_shuts_down_and_when_the_receiver_dies(world: &World) {
        let [left, right] = world.pair(DGRAM);
        left.set_send_buffer_size(0).unwrap();
        fill(&left, 1);
        thread::scope(|scope| {
            let late = scope.spawn(|| left.send(b"late"));
            thread::sleep(SILENCE);
            assert!(!late.is_finished());
            left.set_send_buffer_size(10_000).unwrap();
            assert_eq!(late.join().unwrap().unwrap(), 4);
        });
        fill(&left, 1);
        thread::scope(|scope| {
            let late = scope.spawn(|| left.send(b"late"));
            thread::sleep(SILENCE);
            drop(right);
            fails(late.join().unwrap(), Error::ConnectionRefused);
        });
        let [left, right] = world.pair(DGRAM);
        fill(&left, 1);
        thread::scope(|scope| {
            let late = scope.spawn(|| left.send(b"late"));
            thread::sleep(SILENCE);
            left.shutdown(Shutdown::Write).unwrap();
            fails(late.join().unwrap(), Error::BrokenPipe);
        });
        assert!(!left.readiness().writable, "it is still full");
        drop(right);
    }

    fn a_peer_that_hears_nobody_else_is_as_large_as_the_budget_and_so_is_who_sends_to_itself(world: &World) {
        let name = world.path("receiver");
        let receiver = world.bound(DGRAM, &name);
        let strangers = fill(&world.connected(DGRAM, &name), 0);
        (0..strangers).for_each(|_| drop(receiver.recv(9).unwrap()));
        let [left, right] = world.pair(DGRAM);
        let friends = fill(&left, 0);
        assert!(friends > strangers, "{friends} {strangers}");
        drop(right);
        let itself = world.bound(DGRAM, &world.path("self"));
        itself.connect(&world.path("self")).unwrap();
        assert_eq!(fill(&itself, 0), friends);
    }

    fn who_turns_to_another_peer_gives_the_earlier_one_its_budget_back(world: &World) {
        let [a, b, c] = [world.path("a"), world.path("b"), world.path("c")];
        let (first, second, _third) = (world.bound(DGRAM, &a), world.bound(DGRAM, &b), world.bound(DGRAM, &c));
        first.connect(&b).unwrap();
        second.connect(&a).unwrap();
        second.set_send_buffer_size(0).unwrap();
        fill(&second, 1);
        assert!(!second.readiness().writable);
        // What had come from the second is forgotten.
        first.connect(&c).unwrap();
        assert!(second.readiness().writable);
    }

    fn what_is_wrong_is_told_in_the_kernels_order(world: &World) {
        let [left, right] = world.pair(DGRAM);
        left.set_send_buffer_size(0).unwrap();
        fill(&left, 1);
        left.shutdown(Shutdown::Write).unwrap();
        fails(left.send(&[0; 10_000]), Error::MessageTooLong);
        fails(left.send(b"x"), Error::BrokenPipe);
        fails(left.send_to(b"x", &world.path("nobody")), Error::BrokenPipe);
        drop(right);
    }
}
