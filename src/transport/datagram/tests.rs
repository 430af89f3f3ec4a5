use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::observe::Protocol;
use crate::transport::Place;

/// A whole packet with a datagram of `length` bytes from port 9 to port 7.
fn packet(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes[2..4].copy_from_slice(&((28 + length) as u16).to_be_bytes());
    bytes.extend_from_slice(&[0, 9, 0, 7]);
    bytes.extend_from_slice(&((8 + length) as u16).to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend((0..length).map(|i| i as u8));
    bytes
}

struct Bench {
    interface: Interface,
    socket: Datagram,
}

impl Bench {
    fn new() -> Bench {
        let id = SocketId { protocol: Protocol::Udp, number: 1 };
        let place = Place::one_family("0.0.0.0:7".parse().unwrap());
        let socket = Datagram::new(Holder { descriptor: 0, id }, place, &Memory::new(usize::MAX), Time::ZERO);
        Bench { interface: crate::transport::new_interface(1, Time::ZERO), socket }
    }

    fn arrive(&mut self, length: usize) -> bool {
        let has_room = self.socket.make_room(length).is_ok();
        if has_room {
            let mut out = Packets::new();
            self.socket.feed(Time::ZERO, &mut self.interface, &packet(length), &mut out);
            assert!(out.is_empty());
        }
        has_room
    }

    fn read(&mut self, most: usize) -> Vec<Vec<u8>> {
        let mut read = Vec::new();
        self.socket.receive(|bytes, _, _| {
            let takes = read.len() < most;
            if takes {
                read.push(bytes.to_vec());
            }
            takes
        });
        read
    }

    fn capacity(&mut self) -> usize {
        self.socket.socket_mut().payload_recv_capacity()
    }
}

#[test]
fn a_slow_reader_keeps_no_more_than_the_queue_and_loses_none_of_it() {
    for length in [0, 1, 1000, 1400, 8000, 30_000, 65_507] {
        let mut bench = Bench::new();
        let taken = (0..1000).filter(|_| bench.arrive(length)).count();
        assert!((1..=QUEUE).contains(&taken), "{length}: {taken}");
        assert!(bench.capacity() <= LARGEST_BUFFER);
        let read = bench.read(usize::MAX);
        assert_eq!(read.len(), taken, "what has room is not lost: {length}");
        assert!(read.iter().all(|datagram| datagram.len() == length));
        assert!(bench.arrive(length), "there is room again");
    }
}

#[test]
fn only_a_socket_in_which_large_datagrams_wait_has_a_large_buffer() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        assert!(bench.arrive(1472));
        assert_eq!(bench.read(1).len(), 1);
    }
    assert_eq!(bench.capacity(), SMALLEST_BUFFER);
    assert!(bench.arrive(100) && bench.arrive(60_000));
    assert_eq!(bench.capacity(), LARGEST_BUFFER);
    let read = bench.read(9);
    assert_eq!((read[0].len(), read[1].len()), (100, 60_000));
    assert!(read[1].iter().enumerate().all(|(i, &byte)| byte == i as u8));
    assert_eq!(bench.capacity(), SMALLEST_BUFFER);
}

#[test]
fn any_mixture_of_sizes_and_reads_arrives_in_order() {
    let mut bench = Bench::new();
    let mut rng = StdRng::seed_from_u64(3);
    let mut expected = std::collections::VecDeque::new();
    for _ in 0..5000 {
        let draw = rand::Rng::next_u32(&mut rng) as usize;
        if draw.is_multiple_of(3) {
            for datagram in bench.read(draw / 3 % 9) {
                assert_eq!(Some(datagram.len()), expected.pop_front());
            }
        } else {
            let length = if draw.is_multiple_of(7) { draw / 21 % 60_000 } else { draw / 21 % 1500 };
            if bench.arrive(length) {
                expected.push_back(length);
            }
        }
        assert_eq!(bench.socket.waiting, expected.len());
    }
}
