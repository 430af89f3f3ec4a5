//! Which sockets there are, and what they are called.

use tapsock::error::Error;
use tapsock::net::{Domain, Type};

use super::twins;
use super::world::{Name, World, fails};

twins! {
    fn there_are_streams_datagrams_and_sequenced_packets_and_raw_means_datagram(world: &World) {
        for (asked, is) in [
            (Type::Stream, Type::Stream),
            (Type::Dgram, Type::Dgram),
            (Type::SeqPacket, Type::SeqPacket),
            (Type::Raw, Type::Dgram),
        ] {
            for protocol in [None, Some(0), Some(1)] {
                assert_eq!(world.try_socket(asked, protocol).unwrap().what(), (is, None));
            }
            fails(world.try_socket(asked, Some(6)), Error::ProtocolNotSupported);
        }
    }

    fn a_new_socket_has_no_name_and_no_peer(world: &World) {
        for of in [Type::Stream, Type::Dgram, Type::SeqPacket] {
            let socket = world.socket(of);
            assert_eq!(socket.local_addr().unwrap(), Name::NONE);
            fails(socket.peer_addr(), Error::NotConnected);
            assert_eq!((socket.is_listener().unwrap(), socket.pending()), (false, None));
        }
    }

    fn a_name_is_given_once_and_to_one_socket(world: &World) {
        let (path, hidden) = (world.path("a"), world.abstract_name("a"));
        for name in [&path, &hidden] {
            let socket = world.bound(Type::Stream, name);
            assert_eq!(socket.local_addr().unwrap(), *name);
            fails(world.socket(Type::Stream).bind(name), Error::AddressInUse);
            fails(socket.bind(&world.path("another")), Error::InvalidInput);
            fails(socket.bind(&world.abstract_name("another")), Error::InvalidInput);
        }
        // The names of paths are one space; abstract names are one for each type.
        let kept = world.bound(Type::Stream, &world.path("b"));
        fails(world.socket(Type::Dgram).bind(&world.path("b")), Error::AddressInUse);
        let hidden = world.abstract_name("b");
        let others = [world.bound(Type::Stream, &hidden), world.bound(Type::Dgram, &hidden)];
        drop((kept, others));
    }

    fn a_path_is_free_again_when_its_socket_is_closed_and_on_linux_when_it_is_unlinked(world: &World) {
        let path = world.path("a");
        drop(world.listener(Type::Stream, &path, 1));
        if world.is_kernel() {
            fails(world.socket(Type::Stream).connect(&path), Error::ConnectionRefused);
            fails(world.socket(Type::Stream).bind(&path), Error::AddressInUse);
        } else {
            // There is no file that could stay.
            fails(world.socket(Type::Stream).connect(&path), Error::NotFound);
            world.bound(Type::Stream, &path);
        }
        let hidden = world.abstract_name("a");
        drop(world.listener(Type::Stream, &hidden, 1));
        fails(world.socket(Type::Stream).connect(&hidden), Error::ConnectionRefused);
        world.bound(Type::Stream, &hidden);
    }

    fn who_binds_to_no_name_gets_an_abstract_one_of_five_digits(world: &World) {
        let (first, second) = (world.bound(Type::Dgram, &Name::NONE), world.bound(Type::Dgram, &Name::NONE));
        let [one, other] = [first.local_addr().unwrap(), second.local_addr().unwrap()];
        assert_ne!(one, other);
        assert_eq!((one.0.len(), one.0[0]), (6, 0));
        assert!(one.0[1..].iter().all(|digit| b"0123456789abcdef".contains(digit)));
        first.bind(&Name::NONE).unwrap();
        assert_eq!(first.local_addr().unwrap(), one, "once is enough");
        second.send_to(b"found", &one).unwrap();
        assert_eq!(first.recv_from(9).unwrap(), (b"found".to_vec(), other));
    }

    fn the_shortest_and_the_longest_names_fit(world: &World) {
        let long = "x".repeat(107 - world.path("").0.len());
        for name in [world.path(&long), Name(vec![0]), Name([&[0], &[7; 107][..]].concat())] {
            let socket = world.bound(Type::SeqPacket, &name);
            assert_eq!(socket.local_addr().unwrap(), name);
        }
    }

    fn addresses_of_other_domains_are_invalid(world: &World) {
        fails(world.socket(Type::Stream).bind_inet("127.0.0.1:80".parse().unwrap()), Error::InvalidInput);
        fails(world.socket(Type::Stream).connect(&Name::NONE), Error::InvalidInput);
    }

    fn pairs_are_connected_and_have_no_names_and_other_domains_have_none(world: &World) {
        for of in [Type::Stream, Type::Dgram, Type::SeqPacket] {
            let pair = world.pair(of);
            for (one, other) in [(0, 1), (1, 0)] {
                assert_eq!(pair[one].local_addr().unwrap(), Name::NONE);
                assert_eq!(pair[one].peer_addr().unwrap(), Name::NONE);
                pair[one].send(b"hello").unwrap();
                assert_eq!(pair[other].recv(9).unwrap(), b"hello");
            }
        }
        fails(world.try_pair(Domain::Inet, Type::Stream), Error::NotSupported);
    }

    fn options_of_tcp_are_not_for_them(world: &World) {
        fails(world.socket(Type::Stream).set_tcp_nodelay(true), Error::NotSupported);
    }
}
