//! One to many: multicast groups and broadcast (`ip(7)`, `ipv6(7)`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::error::Error;
use tapsock::net::{Domain, Type};

use super::check::{eventually, fails};
use super::sock::Sock;
use super::world::{Family, PATIENCE, SILENCE, Side, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    an_address_that_is_no_group_cannot_be_joined,
    a_group_is_joined_once_and_left_once,
    several_groups_are_joined_by_one_socket,
    what_is_sent_to_a_group_reaches_those_who_joined,
    who_connects_to_a_group_has_the_address_of_the_interface,
    every_member_gets_a_copy,
    who_has_left_hears_nothing,
    who_is_bound_to_a_group_hears_that_group_only,
    a_group_is_for_members_on_this_host_too_unless_its_sender_says_no,
    no_hops_are_for_this_host_only,
    the_hops_to_a_group_stand_in_the_header,
    a_broadcast_needs_permission,
    a_broadcast_reaches_the_whole_link,
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

/// Whether this side can send to groups of the world's family: the kernel's `lo` has no route for those of IPv6.
fn has_groups(world: &World, side: &Side) -> bool {
    world.has_link() || !side.is_kernel() || world.family == Family::V4
}

/// A UDP socket that has joined the group, at this port.
fn member(world: &World, side: &Side, group: IpAddr, port: u16) -> Sock {
    let socket = side.socket(world.domain(), Type::Dgram);
    socket.set_reuse_address(true).unwrap();
    socket.bind(world.wildcard(port)).unwrap();
    join(side, &socket, group).unwrap();
    socket
}

/// A UDP socket that sends to groups by the link of this world: the kernel has several, a stack of ours has one.
fn sender(world: &World, side: &Side) -> Sock {
    let socket = side.socket(world.domain(), Type::Dgram);
    match world.family {
        Family::V4 => socket.set_multicast_if_v4(&side.v4()).unwrap(),
        Family::V6 => socket.set_multicast_if_v6(side.interface()).unwrap(),
    }
    socket
}

fn send(socket: &Sock, bytes: &[u8], to: (IpAddr, u16)) {
    socket.send_to(bytes, to.into()).unwrap();
}

#[track_caller]
fn hears(socket: &Sock, message: &[u8]) {
    let mut buffer = [0; 64];
    let count = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], message);
}

#[track_caller]
fn hears_nothing(socket: &Sock) {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    fails(socket.recv(&mut [0; 64]), Error::WouldBlock);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn what_is_sent_to_a_group_reaches_those_who_joined(world: &World) {
    if !has_groups(world, &world.client) {
        return;
    }
    let (group, port) = (group(world), world.port());
    let server = member(world, &world.server, group, port);
    let client = sender(world, &world.client);
    send(&client, b"everybody", (group, port));
    let mut buffer = [0; 16];
    let (count, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"everybody");
    if world.family == Family::V4 {
        assert_eq!(from.ip(), world.client_ip(), "the interface says from which address");
    }
}

fn who_connects_to_a_group_has_the_address_of_the_interface(world: &World) {
    if world.family == Family::V6 {
        // There an interface has several addresses, and the kernel takes a link-local one.
        return;
    }
    let (group, port) = (group(world), world.port());
    let server = member(world, &world.server, group, port);
    let client = sender(world, &world.client);
    client.connect((group, port).into()).unwrap();
    assert_eq!(client.local_addr().unwrap().ip(), world.client_ip());
    client.send(b"you all").unwrap();
    hears(&server, b"you all");
}

fn every_member_gets_a_copy(world: &World) {
    if !has_groups(world, &world.client) {
        return;
    }
    let (group, port) = (group(world), world.port());
    let members = [0; 3].map(|_| member(world, &world.server, group, port));
    send(&sender(world, &world.client), b"all of you", (group, port));
    for member in &members {
        hears(member, b"all of you");
        hears_nothing(member);
    }
}

/// A group that no other body joins: on Linux, and here, a socket hears every group that anybody on its host has joined.
fn own_group(world: &World, port: u16) -> IpAddr {
    let [high, low] = port.to_be_bytes();
    match world.family {
        Family::V4 => Ipv4Addr::new(239, 2, high, low).into(),
        Family::V6 => Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 2, port).into(),
    }
}

fn who_has_left_hears_nothing(world: &World) {
    if !has_groups(world, &world.client) {
        return;
    }
    let port = world.port();
    let group = own_group(world, port);
    let server = member(world, &world.server, group, port);
    let client = sender(world, &world.client);
    send(&client, b"first", (group, port));
    hears(&server, b"first");
    leave(&world.server, &server, group).unwrap();
    send(&client, b"second", (group, port));
    hears_nothing(&server);
    join(&world.server, &server, group).unwrap();
    send(&client, b"third", (group, port));
    hears(&server, b"third");
}

fn who_is_bound_to_a_group_hears_that_group_only(world: &World) {
    if !has_groups(world, &world.client) || (world.server.is_kernel() && world.family == Family::V6) {
        // A link-local group of the kernel's is one of each link, and must be bound to with its number.
        return;
    }
    let port = world.port();
    let (group, other) = (own_group(world, port), own_group(world, world.port()));
    let server = world.server.socket(world.domain(), Type::Dgram);
    server.bind((group, port).into()).unwrap();
    join(&world.server, &server, group).unwrap();
    join(&world.server, &server, other).unwrap();
    let client = sender(world, &world.client);
    send(&client, b"others", (other, port));
    send(&client, b"ours", (group, port));
    hears(&server, b"ours");
}

fn set_loop(world: &World, socket: &Sock, on: bool) {
    match world.family {
        Family::V4 => socket.set_multicast_loop_v4(on).unwrap(),
        Family::V6 => socket.set_multicast_loop_v6(on).unwrap(),
    }
}

fn set_hops(world: &World, socket: &Sock, hops: u32) {
    match world.family {
        Family::V4 => socket.set_multicast_ttl_v4(hops).unwrap(),
        Family::V6 => socket.set_multicast_hops_v6(hops).unwrap(),
    }
}

fn a_group_is_for_members_on_this_host_too_unless_its_sender_says_no(world: &World) {
    for side in [&world.server, &world.client] {
        if !world.has_link() && side.is_kernel() {
            // What the kernel sends by `lo` comes back from there in any case.
            continue;
        }
        let port = world.port();
        let group = own_group(world, port);
        let (member, sender) = (member(world, side, group, port), sender(world, side));
        send(&sender, b"also for us", (group, port));
        hears(&member, b"also for us");
        set_loop(world, &sender, false);
        send(&sender, b"only for others", (group, port));
        hears_nothing(&member);
        set_loop(world, &sender, true);
        send(&sender, b"also for us", (group, port));
        hears(&member, b"also for us");
    }
}

fn no_hops_are_for_this_host_only(world: &World) {
    if !world.has_link() {
        return;
    }
    let port = world.port();
    let group = own_group(world, port);
    let (here, there) = (member(world, &world.client, group, port), member(world, &world.server, group, port));
    let client = sender(world, &world.client);
    set_hops(world, &client, 0);
    send(&client, b"here", (group, port));
    hears(&here, b"here");
    hears_nothing(&there);
    set_hops(world, &client, 1);
    send(&client, b"everywhere", (group, port));
    hears(&here, b"everywhere");
    hears(&there, b"everywhere");
}

fn the_hops_to_a_group_stand_in_the_header(world: &World) {
    if !world.has_link() {
        return;
    }
    let port = world.port();
    let group = own_group(world, port);
    let _member = member(world, &world.server, group, port);
    let raw = world.server.socket_of(world.domain(), Type::Raw, Some(17));
    raw.set_read_timeout(Some(SILENCE)).unwrap();
    let header = if world.family == Family::V4 { 20 } else { 0 };
    let client = sender(world, &world.client);
    set_hops(world, &client, 5);
    let mut hops = None;
    eventually("the packet", || {
        // Its buffer may be full of what other bodies have sent.
        send(&client, b"x", (group, port));
        hops = (0..1000)
            .map_while(|_| raw.recv_marked().ok())
            .find_map(|packet| (packet.bytes[header..][2..4] == port.to_be_bytes()).then_some(packet.hop_limit));
        hops.is_some()
    });
    assert_eq!(hops, Some(5));
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

fn a_broadcast_reaches_the_whole_link(world: &World) {
    let (true, IpAddr::V4(server)) = (world.has_link(), world.server_ip()) else { return };
    let [a, b, c, _] = server.octets();
    let port = world.port();
    let member = world.server.socket(Domain::Inet, Type::Dgram);
    member.bind(world.wildcard(port)).unwrap();
    let client = world.udp_client();
    client.set_broadcast(true).unwrap();
    client.send_to(b"everybody", (Ipv4Addr::new(a, b, c, 255), port).into()).unwrap();
    hears(&member, b"everybody");
}
