//! One to many: multicast groups and broadcast (`ip(7)`, `ipv6(7)`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::error::Error;
use tapsock::net::Type;

use super::check::fails;
use super::sock::Sock;
use super::world::{Side, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    an_address_that_is_no_group_cannot_be_joined,
    a_group_is_joined_once_and_left_once,
    several_groups_are_joined_by_one_socket,
    what_is_sent_to_a_group_reaches_those_who_joined,
    a_broadcast_needs_permission,
];

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x1234);

fn join(side: &Side, socket: &Sock, group: IpAddr) -> std::io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4(&group, &side.v4()),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, side.interface()),
    }
}

fn leave(side: &Side, socket: &Sock, group: IpAddr) -> std::io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.leave_multicast_v4(&group, &side.v4()),
        IpAddr::V6(group) => socket.leave_multicast_v6(&group, side.interface()),
    }
}

fn group(world: &World) -> IpAddr {
    if world.server_ip().is_ipv4() { GROUP_V4.into() } else { GROUP_V6.into() }
}

fn an_address_that_is_no_group_cannot_be_joined(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Dgram);
        fails(join(side, &socket, world.nowhere().ip()), Error::InvalidInput);
    }
}

fn a_group_is_joined_once_and_left_once(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Dgram);
        fails(leave(side, &socket, group(world)), Error::AddressNotAvailable);
        join(side, &socket, group(world)).unwrap();
        fails(join(side, &socket, group(world)), Error::AddressInUse);
        leave(side, &socket, group(world)).unwrap();
        fails(leave(side, &socket, group(world)), Error::AddressNotAvailable);
        join(side, &socket, group(world)).unwrap();
    }
}

fn several_groups_are_joined_by_one_socket(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Dgram);
        for last in 1..5 {
            let group: IpAddr = match group(world) {
                IpAddr::V4(_) => Ipv4Addr::new(239, 1, 9, last).into(),
                IpAddr::V6(_) => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 9, last.into()).into(),
            };
            join(side, &socket, group).unwrap();
        }
    }
}

fn what_is_sent_to_a_group_reaches_those_who_joined(world: &World) {
    let is_mixed = world.client.is_kernel() != world.server.is_kernel();
    if is_mixed || (world.client.is_kernel() && world.server_ip().is_ipv6()) {
        // The kernel's `lo` has no route for groups of IPv6, and its TAP has them only some time after the first packets
        // went by it: tests/tap/groups.rs waits for that.
        return;
    }
    let port = world.port();
    let server = world.server.socket(world.domain(), Type::Dgram);
    server.bind(world.wildcard(port)).unwrap();
    join(&world.server, &server, group(world)).unwrap();
    let client = world.udp_client();
    // The kernel has many links, a stack of ours has one.
    match world.server_ip() {
        _ if !world.client.is_kernel() => {}
        IpAddr::V4(_) => client.set_multicast_if_v4(&world.client.v4()).unwrap(),
        IpAddr::V6(_) => client.set_multicast_if_v6(world.client.interface()).unwrap(),
    }
    client.send_to(b"everybody", (group(world), port).into()).unwrap();
    let mut buffer = [0; 16];
    let count = server.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"everybody");
}

fn a_broadcast_needs_permission(world: &World) {
    if world.server_ip().is_ipv6() {
        // IPv6 has no broadcast.
        return;
    }
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Dgram);
        let everybody = SocketAddr::new(Ipv4Addr::BROADCAST.into(), world.port());
        let refused = socket.send_to(b"x", everybody);
        if side.is_kernel() {
            // No route is looked for before the permission; where there is only lo, there is none.
            let error = refused.unwrap_err().raw_os_error();
            assert!([Error::PermissionDenied, Error::NetworkUnreachable].map(Error::errno).contains(&error.unwrap()));
        } else {
            // Ours gives the message to another thread: the next call is told.
            refused.unwrap();
            fails(socket.recv(&mut [0; 1]), Error::PermissionDenied);
        }
    }
}
