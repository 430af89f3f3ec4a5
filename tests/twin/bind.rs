//! `bind(2)`: who may have which address and port.

use tapsock::error::Error;
use tapsock::net::{Domain, Type};

use super::check::fails;
use super::sock::Sock;
use super::world::{Side, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    port_0_gives_a_free_port_of_the_ephemeral_range,
    a_second_bind_is_refused,
    an_address_that_is_not_ours_is_not_available,
    a_group_can_be_bound_to_but_not_by_tcp_over_ipv6,
    an_address_of_the_other_family_is_refused,
    a_port_belongs_to_one_socket_without_reuse,
    a_wildcard_meets_every_address,
    tcp_and_udp_have_ports_of_their_own,
    reuse_address_shares_a_port_until_one_listens,
    reuse_port_shares_a_port_also_to_listen,
    both_must_want_to_share,
    a_port_is_free_again_when_its_socket_is_gone,
    a_dual_stack_wildcard_meets_the_other_family,
    only_v6_leaves_the_other_family_alone,
    only_v6_is_too_late_after_bind,
];

fn both(world: &World) -> [(&Side, std::net::IpAddr); 2] {
    [(&world.server, world.server_ip()), (&world.client, world.client_ip())]
}

const KINDS: [Type; 2] = [Type::Stream, Type::Dgram];

fn port_0_gives_a_free_port_of_the_ephemeral_range(world: &World) {
    for (side, ip) in both(world) {
        for kind in KINDS {
            let socket = side.socket(world.domain(), kind);
            socket.bind((ip, 0).into()).unwrap();
            let local = socket.local_addr().unwrap();
            assert_eq!(local.ip(), ip);
            assert!((32_768..61_000).contains(&local.port()), "{local}");
            let other = side.socket(world.domain(), kind);
            other.bind((ip, 0).into()).unwrap();
            assert_ne!(other.local_addr().unwrap(), local);
        }
    }
}

fn a_second_bind_is_refused(world: &World) {
    for (side, ip) in both(world) {
        for kind in KINDS {
            let socket = side.socket(world.domain(), kind);
            socket.bind((ip, 0).into()).unwrap();
            fails(socket.bind((ip, 0).into()), Error::InvalidInput);
        }
    }
}

fn an_address_that_is_not_ours_is_not_available(world: &World) {
    for (side, _) in both(world) {
        for kind in KINDS {
            let socket = side.socket(world.domain(), kind);
            fails(socket.bind(world.nowhere()), Error::AddressNotAvailable);
            // It may try again.
            socket.bind(world.wildcard(0)).unwrap();
        }
    }
}

fn an_address_of_the_other_family_is_refused(world: &World) {
    for (side, _) in both(world) {
        for kind in KINDS {
            let socket = side.socket(world.domain(), kind);
            let address = world.other_server_at(world.port());
            match world.domain() {
                Domain::Inet => fails(socket.bind(address), Error::FamilyNotSupported),
                // The kernel looks at the length of the address first: a sockaddr_in is too short.
                _ if side.is_kernel() => fails(socket.bind(address), Error::InvalidInput),
                // Our addresses have no length.
                _ => fails(socket.bind(address), Error::FamilyNotSupported),
            }
        }
    }
}

fn bound(side: &Side, kind: Type, address: std::net::SocketAddr, prepare: fn(&Sock)) -> std::io::Result<Sock> {
    let domain = if address.is_ipv4() { Domain::Inet } else { Domain::Inet6 };
    let socket = side.socket(domain, kind);
    prepare(&socket);
    socket.bind(address)?;
    Ok(socket)
}

fn plain(_: &Sock) {}

fn reuse_address(socket: &Sock) {
    socket.set_reuse_address(true).unwrap();
}

fn reuse_port(socket: &Sock) {
    socket.set_reuse_port(true).unwrap();
}

fn only_v6(socket: &Sock) {
    socket.set_only_v6(true).unwrap();
}

fn a_port_belongs_to_one_socket_without_reuse(world: &World) {
    for (side, ip) in both(world) {
        for kind in KINDS {
            let address = (ip, world.port()).into();
            let _first = bound(side, kind, address, plain).unwrap();
            fails(bound(side, kind, address, plain), Error::AddressInUse);
        }
    }
}

fn a_wildcard_meets_every_address(world: &World) {
    for (side, ip) in both(world) {
        for kind in KINDS {
            let port = world.port();
            let one = bound(side, kind, (ip, port).into(), plain).unwrap();
            fails(bound(side, kind, world.wildcard(port), plain), Error::AddressInUse);
            drop(one);
            let port = world.port();
            let _all = bound(side, kind, world.wildcard(port), plain).unwrap();
            fails(bound(side, kind, (ip, port).into(), plain), Error::AddressInUse);
        }
    }
}

fn tcp_and_udp_have_ports_of_their_own(world: &World) {
    for (side, ip) in both(world) {
        let address = (ip, world.port()).into();
        let _tcp = bound(side, Type::Stream, address, plain).unwrap();
        let _udp = bound(side, Type::Dgram, address, plain).unwrap();
    }
}

fn reuse_address_shares_a_port_until_one_listens(world: &World) {
    for (side, ip) in both(world) {
        let address = (ip, world.port()).into();
        let first = bound(side, Type::Stream, address, reuse_address).unwrap();
        let second = bound(side, Type::Stream, address, reuse_address).unwrap();
        first.listen(1).unwrap();
        fails(second.listen(1), Error::AddressInUse);
        fails(bound(side, Type::Stream, address, reuse_address), Error::AddressInUse);
        // A port of UDP has no such end.
        let address = (ip, world.port()).into();
        let _first = bound(side, Type::Dgram, address, reuse_address).unwrap();
        let _second = bound(side, Type::Dgram, address, reuse_address).unwrap();
    }
}

fn reuse_port_shares_a_port_also_to_listen(world: &World) {
    for (side, ip) in both(world) {
        let address = (ip, world.port()).into();
        let first = bound(side, Type::Stream, address, reuse_port).unwrap();
        let second = bound(side, Type::Stream, address, reuse_port).unwrap();
        first.listen(1).unwrap();
        second.listen(1).unwrap();
        let _third = bound(side, Type::Stream, address, reuse_port).unwrap();
        fails(bound(side, Type::Stream, address, reuse_address), Error::AddressInUse);
    }
}

fn both_must_want_to_share(world: &World) {
    for (side, ip) in both(world) {
        for kind in KINDS {
            for prepare in [reuse_address, reuse_port] {
                let address = (ip, world.port()).into();
                let _first = bound(side, kind, address, plain).unwrap();
                fails(bound(side, kind, address, prepare), Error::AddressInUse);
                let address = (ip, world.port()).into();
                let _first = bound(side, kind, address, prepare).unwrap();
                fails(bound(side, kind, address, plain), Error::AddressInUse);
            }
        }
    }
}

fn a_port_is_free_again_when_its_socket_is_gone(world: &World) {
    for (side, ip) in both(world) {
        for kind in KINDS {
            let address = (ip, world.port()).into();
            drop(bound(side, kind, address, plain).unwrap());
            drop(bound(side, kind, address, plain).unwrap());
        }
        let address = (ip, world.port()).into();
        let listener = bound(side, Type::Stream, address, plain).unwrap();
        listener.listen(1).unwrap();
        drop(listener);
        drop(bound(side, Type::Stream, address, plain).unwrap());
    }
}

fn a_dual_stack_wildcard_meets_the_other_family(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in KINDS {
            let port = world.port();
            let v4 = (std::net::Ipv4Addr::UNSPECIFIED, port).into();
            let v6 = (std::net::Ipv6Addr::UNSPECIFIED, port).into();
            let _first = bound(side, kind, v6, plain).unwrap();
            fails(bound(side, kind, v4, plain), Error::AddressInUse);
        }
    }
}

fn only_v6_leaves_the_other_family_alone(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in KINDS {
            let port = world.port();
            let v4 = (std::net::Ipv4Addr::UNSPECIFIED, port).into();
            let v6 = (std::net::Ipv6Addr::UNSPECIFIED, port).into();
            let _first = bound(side, kind, v6, only_v6).unwrap();
            let _second = bound(side, kind, v4, plain).unwrap();
            fails(bound(side, kind, v6, plain), Error::AddressInUse);
        }
    }
}

fn only_v6_is_too_late_after_bind(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet6, Type::Stream);
        socket.bind((std::net::Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
        fails(socket.set_only_v6(true), Error::InvalidInput);
        assert!(!socket.only_v6().unwrap());
    }
}

fn a_group_can_be_bound_to_but_not_by_tcp_over_ipv6(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in KINDS {
            for group in ["127.255.255.255", "224.0.0.1"] {
                let socket = side.socket(Domain::Inet, kind);
                socket.bind((group.parse::<std::net::IpAddr>().unwrap(), 0).into()).unwrap();
                if kind == Type::Stream {
                    socket.listen(1).unwrap();
                }
            }
        }
        let socket = side.socket(Domain::Inet6, Type::Stream);
        fails(socket.bind("[ff05::7]:0".parse().unwrap()), Error::InvalidInput);
    }
}
