//! UDP: messages, whole or not at all.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::time::Duration;

use tapsock::error::Error;
use tapsock::net::{Domain, Flags, Type};

use super::check::{eventually, fails, noise, pending};
use super::sock::Sock;
use super::world::{SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    a_message_arrives_whole_and_names_its_sender,
    an_answer_finds_the_way_back,
    an_empty_message_is_a_message,
    what_does_not_fit_the_buffer_is_lost,
    messages_stay_apart,
    sending_without_a_destination_needs_one,
    a_connected_socket_sends_to_its_peer,
    a_connected_socket_may_send_elsewhere,
    a_connected_socket_hears_its_peer_only,
    connecting_again_changes_the_peer,
    peek_leaves_the_message_there,
    trunc_tells_the_whole_length,
    a_connected_socket_can_be_shut_down,
    shutting_an_unconnected_socket_down_fails_and_has_its_effect,
    a_refusal_is_told_to_a_connected_socket_once,
    an_unconnected_socket_is_told_nothing,
    the_largest_message_passes_and_a_larger_one_is_refused,
    nothing_to_read_would_block,
    a_read_gives_up_after_its_time,
    a_network_that_no_route_leads_to_is_unreachable,
    an_address_of_the_other_family_is_refused,
    the_first_send_binds,
    a_send_that_fails_binds_all_the_same,
    connect_chooses_the_local_address,
    buffers_are_gathered_and_scattered_as_one_message,
    a_dual_stack_socket_shows_mapped_addresses,
    an_only_v6_socket_does_not_hear_ipv4,
    port_0_cannot_be_sent_to,
];

fn a_message_arrives_whole_and_names_its_sender(world: &World) {
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    client.bind(world.client_at(world.port())).unwrap();
    assert_eq!(client.send_to(b"hello", address).unwrap(), 5);
    let mut buffer = [0; 64];
    let (count, peer) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"hello");
    assert_eq!(peer, client.local_addr().unwrap());
}

fn an_answer_finds_the_way_back(world: &World) {
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    client.send_to(b"question", address).unwrap();
    let mut buffer = [0; 64];
    let (_, peer) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(peer.ip(), world.client_ip());
    server.send_to(b"answer", peer).unwrap();
    assert_eq!(client.recv_from(&mut buffer).unwrap(), (6, address));
}

fn an_empty_message_is_a_message(world: &World) {
    let (server, address) = world.udp_server();
    assert_eq!(world.udp_client().send_to(b"", address).unwrap(), 0);
    assert_eq!(server.recv(&mut [0; 4]).unwrap(), 0);
}

fn what_does_not_fit_the_buffer_is_lost(world: &World) {
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    client.send_to(b"0123456789", address).unwrap();
    client.send_to(b"next", address).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(server.recv(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"0123");
    assert_eq!(server.recv(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer, b"next");
}

fn messages_stay_apart(world: &World) {
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    for message in ["one", "two", "three"] {
        client.send_to(message.as_bytes(), address).unwrap();
    }
    let mut buffer = [0; 64];
    for message in ["one", "two", "three"] {
        let count = server.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], message.as_bytes());
    }
}

fn sending_without_a_destination_needs_one(world: &World) {
    for side in [&world.server, &world.client] {
        fails(side.socket(world.domain(), Type::Dgram).send(b"x"), Error::DestinationRequired);
    }
}

fn a_connected_socket_sends_to_its_peer(world: &World) {
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    assert_eq!(client.peer_addr().unwrap(), address);
    assert_eq!(client.send(b"hello").unwrap(), 5);
    let (count, peer) = server.recv_from(&mut [0; 64]).unwrap();
    assert_eq!((count, peer), (5, client.local_addr().unwrap()));
}

fn a_connected_socket_may_send_elsewhere(world: &World) {
    let (_server, address) = world.udp_server();
    let (other, elsewhere) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    client.send_to(b"x", elsewhere).unwrap();
    assert_eq!(other.recv(&mut [0; 4]).unwrap(), 1);
}

fn a_connected_socket_hears_its_peer_only(world: &World) {
    let (server, address) = world.udp_server();
    let (stranger, _) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    let local = client.local_addr().unwrap();
    stranger.send_to(b"psst", local).unwrap();
    server.send_to(b"hello", local).unwrap();
    let mut buffer = [0; 8];
    let count = client.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"hello");
}

fn connecting_again_changes_the_peer(world: &World) {
    let (_first, address) = world.udp_server();
    let (second, elsewhere) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    client.connect(elsewhere).unwrap();
    assert_eq!(client.peer_addr().unwrap(), elsewhere);
    client.send(b"x").unwrap();
    assert_eq!(second.recv(&mut [0; 4]).unwrap(), 1);
}

fn peek_leaves_the_message_there(world: &World) {
    let (server, address) = world.udp_server();
    world.udp_client().send_to(b"hello", address).unwrap();
    let mut buffer = [0; 8];
    for flags in [Flags::PEEK, Flags::PEEK, Flags::NONE] {
        assert_eq!(server.recv_with_flags(&mut buffer, flags).unwrap(), 5);
    }
    fails(server.recv_with_flags(&mut buffer, Flags::PEEK | Flags::DONTWAIT), Error::WouldBlock);
}

fn trunc_tells_the_whole_length(world: &World) {
    let (server, address) = world.udp_server();
    world.udp_client().send_to(b"0123456789", address).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(server.recv_with_flags(&mut buffer, Flags::PEEK | Flags::TRUNC).unwrap(), 10);
    assert_eq!(server.recv_with_flags(&mut buffer, Flags::TRUNC).unwrap(), 10);
    assert_eq!(&buffer, b"0123");
}

fn a_connected_socket_can_be_shut_down(world: &World) {
    let (_server, address) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    fails(client.send(b"x"), Error::BrokenPipe);
    client.shutdown(Shutdown::Read).unwrap();
    assert_eq!(client.recv(&mut [0; 1]).unwrap(), 0);
}

fn shutting_an_unconnected_socket_down_fails_and_has_its_effect(world: &World) {
    let (server, address) = world.udp_server();
    fails(server.shutdown(Shutdown::Read), Error::NotConnected);
    assert_eq!(server.recv(&mut [0; 1]).unwrap(), 0, "whoever waits is told");
    // What comes later is there to be read.
    world.udp_client().send_to(b"late", address).unwrap();
    eventually("the late one", || server.recv(&mut [0; 8]).unwrap() == 4);
    server.set_nonblocking(true).unwrap();
    fails(server.recv(&mut [0; 1]), Error::WouldBlock);
    fails(server.shutdown(Shutdown::Write), Error::NotConnected);
    fails(server.send_to(b"x", address), Error::BrokenPipe);
}

fn a_refusal_is_told_to_a_connected_socket_once(world: &World) {
    let client = world.udp_client();
    client.connect(world.server_at(world.port())).unwrap();
    client.send(b"anybody?").unwrap();
    fails(client.recv(&mut [0; 1]), Error::ConnectionRefused);
    client.set_nonblocking(true).unwrap();
    fails(client.recv(&mut [0; 1]), Error::WouldBlock);
    // The same by SO_ERROR.
    client.send(b"anybody?").unwrap();
    let mut error = None;
    eventually("the refusal", || {
        error = pending(client.take_error());
        error.is_some()
    });
    assert_eq!(error, Some(Error::ConnectionRefused));
    assert_eq!(pending(client.take_error()), None);
}

fn an_unconnected_socket_is_told_nothing(world: &World) {
    let client = world.udp_client();
    client.send_to(b"anybody?", world.server_at(world.port())).unwrap();
    client.set_read_timeout(Some(SILENCE)).unwrap();
    fails(client.recv(&mut [0; 1]), Error::WouldBlock);
    assert_eq!(pending(client.take_error()), None);
}

fn the_largest_message_passes_and_a_larger_one_is_refused(world: &World) {
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    // 65 535 less the headers that count: IPv6's own does not (RFC 8200 §3).
    let largest = if address.is_ipv4() { 65_507 } else { 65_527 };
    let message = noise(largest + 1);
    fails(client.send_to(&message, address), Error::MessageTooLong);
    assert_eq!(client.send_to(&message[..largest], address).unwrap(), largest);
    let mut buffer = vec![0; 70_000];
    let count = server.recv(&mut buffer).unwrap();
    assert!(buffer[..count] == message[..largest]);
}

fn nothing_to_read_would_block(world: &World) {
    let (server, _) = world.udp_server();
    fails(server.recv_with_flags(&mut [0; 1], Flags::DONTWAIT), Error::WouldBlock);
    server.set_nonblocking(true).unwrap();
    fails(server.recv(&mut [0; 1]), Error::WouldBlock);
}

fn a_read_gives_up_after_its_time(world: &World) {
    let (server, _) = world.udp_server();
    server.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    fails(server.recv(&mut [0; 1]), Error::WouldBlock);
}

/// What became of a message that has no way. The kernel looks for the way in the call that sends. With ours the call has
/// given the message to another thread, and the next call is told, as of an ICMP error.
fn late_error(socket: &Sock, sent: std::io::Result<usize>) -> std::io::Result<usize> {
    if socket.is_kernel() {
        return sent;
    }
    sent.unwrap();
    socket.recv(&mut [0; 1])
}

fn a_network_that_no_route_leads_to_is_unreachable(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Dgram);
        fails(late_error(&socket, socket.send_to(b"x", world.nowhere())), Error::NetworkUnreachable);
        fails(socket.connect(world.nowhere()), Error::NetworkUnreachable);
    }
}

fn an_address_of_the_other_family_is_refused(world: &World) {
    let client = world.udp_client();
    let address = world.other_server_at(world.port());
    match world.domain() {
        Domain::Inet => fails(client.send_to(b"x", address), Error::FamilyNotSupported),
        // An IPv6 socket of Linux takes a sockaddr_in: to send to, for the sake of old programs.
        _ if client.is_kernel() => assert_eq!(client.send_to(b"x", address).unwrap(), 1),
        // Ours wants the mapped address: one way to say it is enough.
        _ => fails(client.send_to(b"x", address), Error::FamilyNotSupported),
    }
}

fn the_first_send_binds(world: &World) {
    let (_server, address) = world.udp_server();
    let client = world.udp_client();
    assert_eq!(client.local_addr().unwrap().port(), 0);
    client.send_to(b"x", address).unwrap();
    let local = client.local_addr().unwrap();
    assert!(local.ip().is_unspecified() && local.port() != 0, "{local}");
}

fn connect_chooses_the_local_address(world: &World) {
    let (_server, address) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    let local = client.local_addr().unwrap();
    assert_eq!(local.ip(), world.client_ip());
    assert_ne!(local.port(), 0);
}

fn buffers_are_gathered_and_scattered_as_one_message(world: &World) {
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    assert_eq!(client.send_vectored(&[IoSlice::new(b"abc"), IoSlice::new(b"def")]).unwrap(), 6);
    let (mut first, mut second) = ([0; 2], [0; 10]);
    assert_eq!(server.recv_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]).unwrap(), 6);
    assert_eq!((&first, &second[..4]), (b"ab", &b"cdef"[..]));
}

fn a_dual_stack_socket_shows_mapped_addresses(world: &World) {
    let server = world.server.socket(Domain::Inet6, Type::Dgram);
    let port = world.port();
    server.bind((Ipv6Addr::UNSPECIFIED, port).into()).unwrap();
    let client = world.udp_client();
    client.send_to(b"x", world.server_at(port)).unwrap();
    let (_, peer) = server.recv_from(&mut [0; 4]).unwrap();
    assert!(peer.is_ipv6());
    assert_eq!(peer.ip().to_canonical(), world.client_ip());
    // And takes them.
    server.send_to(b"yy", peer).unwrap();
    assert_eq!(client.recv_from(&mut [0; 4]).unwrap(), (2, world.server_at(port)));
}

fn an_only_v6_socket_does_not_hear_ipv4(world: &World) {
    let server = world.server.socket(Domain::Inet6, Type::Dgram);
    server.set_only_v6(true).unwrap();
    let port = world.port();
    server.bind((Ipv6Addr::UNSPECIFIED, port).into()).unwrap();
    server.set_read_timeout(Some(SILENCE)).unwrap();
    let client = world.udp_client();
    client.send_to(b"x", world.server_at(port)).unwrap();
    match world.server_ip() {
        IpAddr::V4(v4) => {
            fails(server.recv(&mut [0; 4]), Error::WouldBlock);
            let sent = server.send_to(b"x", (v4.to_ipv6_mapped(), port).into());
            fails(late_error(&server, sent), Error::NetworkUnreachable);
        }
        IpAddr::V6(_) => assert_eq!(server.recv(&mut [0; 4]).unwrap(), 1),
    }
}

fn port_0_cannot_be_sent_to(world: &World) {
    fails(world.udp_client().send_to(b"x", world.server_at(0)), Error::InvalidInput);
}

fn a_send_that_fails_binds_all_the_same(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = || side.socket(world.domain(), Type::Dgram);
        let (aimless, nowhere, long, shut) = (socket(), socket(), socket(), socket());
        fails(aimless.send(b"x"), Error::DestinationRequired);
        fails(nowhere.send_to(b"x", world.server_at(0)), Error::InvalidInput);
        fails(long.send_to(&[0; 70_000], world.server_at(9)), Error::MessageTooLong);
        fails(shut.shutdown(Shutdown::Write), Error::NotConnected);
        fails(shut.send_to(b"x", world.server_at(9)), Error::BrokenPipe);
        for bound in [aimless, nowhere, long, shut] {
            let local = bound.local_addr().unwrap();
            assert_eq!(local, world.wildcard(local.port()));
            assert_ne!(local.port(), 0);
            fails(bound.bind(world.wildcard(0)), Error::InvalidInput);
        }
    }
}
