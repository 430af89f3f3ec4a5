//! Raw sockets (`raw(7)`, RFC 3542 §3), and what they see of the headers that other sockets send.

use std::net::{IpAddr, SocketAddr};

use tapsock::error::Error;
use tapsock::net::{Domain, Type};

use super::check::{eventually, fails, noise};
use super::sock::Sock;
use super::sockopt::Marked;
use super::world::{Family, SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    a_payload_arrives_with_its_header_over_ipv4_and_without_over_ipv6,
    hops_and_class_stand_in_the_header,
    a_long_payload_is_cut_and_put_together,
    every_socket_of_the_protocol_gets_a_copy,
    a_bound_socket_hears_its_address_only,
    a_connected_socket_hears_its_peer_only_and_needs_no_address_to_send,
    a_header_of_ones_own_is_sent_as_it_is,
    a_header_that_is_none_is_refused,
    the_protocol_of_own_headers_hears_nothing,
    a_filter_keeps_other_messages_of_icmp_away,
    there_is_nothing_to_listen_to_or_to_shut_down,
    the_headers_of_udp_have_what_its_socket_chose,
    the_headers_of_tcp_have_what_its_socket_chose,
];

/// An address without a port: a raw socket has none.
fn at(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 0)
}

/// Where the payload begins in what a raw socket gives.
fn header(world: &World) -> usize {
    if world.family == Family::V4 { 20 } else { 0 }
}

fn received(socket: &Sock) -> Vec<u8> {
    let mut buffer = vec![0; 70_000];
    let count = socket.recv(&mut buffer).unwrap();
    buffer.truncate(count);
    buffer
}

fn a_payload_arrives_with_its_header_over_ipv4_and_without_over_ipv6(world: &World) {
    let (client, server, protocol) = world.raw_pair();
    assert_eq!(client.send_to(b"payload", at(world.server_ip())).unwrap(), 7);
    let mut buffer = [0; 100];
    let (count, peer) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(peer, at(world.client_ip()));
    assert_eq!(&buffer[header(world)..count], b"payload");
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (world.client_ip(), world.server_ip()) {
        assert_eq!((buffer[0], buffer[8], buffer[9]), (0x45, 64, protocol));
        assert_eq!(
            (&buffer[2..4], &buffer[12..16], &buffer[16..20]),
            (&[0, 27][..], &from.octets()[..], &to.octets()[..])
        );
    }
}

fn choose(world: &World, socket: &Sock, hops: u32, class: u32) {
    match world.family {
        Family::V4 => {
            socket.set_ttl_v4(hops).unwrap();
            socket.set_tos_v4(class).unwrap();
        }
        Family::V6 => {
            socket.set_unicast_hops_v6(hops).unwrap();
            socket.set_tclass_v6(class).unwrap();
        }
    }
}

fn hops_and_class_stand_in_the_header(world: &World) {
    let (client, server, _) = world.raw_pair();
    choose(world, &client, 7, 0x28);
    client.send_to(b"x", at(world.server_ip())).unwrap();
    let Marked { bytes, hop_limit, traffic_class, .. } = server.recv_marked().unwrap();
    assert_eq!((hop_limit, traffic_class), (7, 0x28));
    if world.family == Family::V4 {
        assert_eq!((bytes[8], bytes[1]), (7, 0x28));
    }
}

fn a_long_payload_is_cut_and_put_together(world: &World) {
    let (client, server, _) = world.raw_pair();
    let bytes = noise(9000);
    client.send_to(&bytes, at(world.server_ip())).unwrap();
    assert!(received(&server)[header(world)..] == bytes);
}

fn every_socket_of_the_protocol_gets_a_copy(world: &World) {
    let (client, server, protocol) = world.raw_pair();
    let second = world.server.socket_of(world.domain(), Type::Raw, Some(protocol));
    client.send_to(b"x", at(world.server_ip())).unwrap();
    for socket in [&server, &second] {
        assert_eq!(&received(socket)[header(world)..], b"x");
    }
}

fn a_bound_socket_hears_its_address_only(world: &World) {
    let (client, server, protocol) = world.raw_pair();
    fails(server.bind(at(world.nowhere().ip())), Error::AddressNotAvailable);
    server.bind(at(world.server_ip())).unwrap();
    // As on Linux, the port is the protocol.
    assert_eq!(server.local_addr().unwrap(), SocketAddr::new(world.server_ip(), protocol.into()));
    client.send_to(b"x", at(world.server_ip())).unwrap();
    assert_eq!(&received(&server)[header(world)..], b"x");
}

fn a_connected_socket_hears_its_peer_only_and_needs_no_address_to_send(world: &World) {
    let (client, server, protocol) = world.raw_pair();
    fails(client.send(b"x"), Error::DestinationRequired);
    fails(client.peer_addr(), Error::NotConnected);
    // Without a port Linux keeps it to itself that there is a peer.
    client.connect(world.server_at(1)).unwrap();
    assert_eq!(client.peer_addr().unwrap(), world.server_at(1));
    assert_eq!(client.local_addr().unwrap(), SocketAddr::new(world.client_ip(), protocol.into()));
    assert_eq!(client.send(b"x").unwrap(), 1);
    assert_eq!(&received(&server)[header(world)..], b"x");
    server.send_to(b"answer", at(world.client_ip())).unwrap();
    let mut heard = received(&client);
    if !world.has_link() {
        // Both are on one host, and it is its own peer.
        assert_eq!(heard[header(world)..], *b"x");
        heard = received(&client);
    }
    assert_eq!(&heard[header(world)..], b"answer");
}

/// A header of IPv4 with everything that the stack would fill in.
fn own_header(world: &World, protocol: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (world.client_ip(), world.server_ip()) else { return None };
    let length = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut packet = vec![0x45, 0x10, length[0], length[1], 0xab, 0xcd, 0x40, 0, 33, protocol, 0, 0];
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.octets());
    packet.extend_from_slice(payload);
    Some(packet)
}

fn a_header_of_ones_own_is_sent_as_it_is(world: &World) {
    let (client, server, protocol) = world.raw_pair();
    let Some(packet) = own_header(world, protocol, b"payload") else {
        // What is received over IPv6 has no header: there is nothing to compare.
        return;
    };
    client.set_header_included_v4(true).unwrap();
    assert_eq!(client.send_to(&packet, at(world.server_ip())).unwrap(), packet.len());
    let mut got = received(&server);
    assert_ne!(got[10..12], [0, 0], "the checksum is the stack's");
    got[10..12].fill(0);
    assert_eq!(got, packet);
}

/// The error of a message that was sent: ours gives it to another thread, and the next call is told.
#[track_caller]
fn refused(socket: &Sock, sent: std::io::Result<usize>, error: Error) {
    if socket.is_kernel() {
        fails(sent, error);
    } else {
        sent.unwrap();
        eventually("the error", || super::check::pending(socket.take_error()) == Some(error));
    }
}

fn a_header_that_is_none_is_refused(world: &World) {
    let (client, _server, protocol) = world.raw_pair();
    let Some(mut packet) = own_header(world, protocol, b"payload") else { return };
    client.set_header_included_v4(true).unwrap();
    let address = at(world.server_ip());
    refused(&client, client.send_to(&packet[..12], address), Error::InvalidInput);
    packet[0] = 0x4f;
    refused(&client, client.send_to(&packet, address), Error::InvalidInput);
    if world.has_link() {
        let long = own_header(world, protocol, &[7; 1481]).unwrap();
        refused(&client, client.send_to(&long, address), Error::MessageTooLong);
    }
}

fn the_protocol_of_own_headers_hears_nothing(world: &World) {
    let server = world.server.socket_of(world.domain(), Type::Raw, Some(255));
    let (client, hears, protocol) = world.raw_pair();
    client.send_to(b"x", at(world.server_ip())).unwrap();
    received(&hears);
    server.set_read_timeout(Some(SILENCE)).unwrap();
    fails(server.recv(&mut [0; 1]), Error::WouldBlock);
    // What it sends begins with a header.
    let Some(packet) = own_header(world, protocol, b"y") else { return };
    let sends = world.client.socket_of(world.domain(), Type::Raw, Some(255));
    sends.send_to(&packet, at(world.server_ip())).unwrap();
    assert_eq!(&received(&hears)[20..], b"y");
}

fn a_filter_keeps_other_messages_of_icmp_away(world: &World) {
    let raw = world.server.socket_of(world.domain(), Type::Raw, Some(world.icmp()));
    // Router solicitations of IPv6, and of IPv4 router advertisements: nobody sends them here.
    let rare = if world.family == Family::V4 { 9 } else { 133 };
    raw.hear_only(rare).unwrap();
    let request = if world.family == Family::V4 { 8 } else { 128 };
    let echo = world.echo_client();
    let ping = [request, 0, 0, 0, 0, 0, 0, 1];
    echo.send_to(&ping, at(world.server_ip())).unwrap();
    assert!(echo.recv(&mut [0; 64]).unwrap() > 0);
    raw.set_read_timeout(Some(SILENCE)).unwrap();
    fails(raw.recv(&mut [0; 1]), Error::WouldBlock);
    raw.hear_only(request).unwrap();
    raw.set_read_timeout(Some(super::world::PATIENCE)).unwrap();
    echo.send_to(&ping, at(world.server_ip())).unwrap();
    assert_eq!(received(&raw)[header(world)], request);
}

fn there_is_nothing_to_listen_to_or_to_shut_down(world: &World) {
    let (client, _server, _) = world.raw_pair();
    fails(client.listen(1), Error::NotSupported);
    fails(client.accept(), Error::NotSupported);
    fails(client.shutdown(std::net::Shutdown::Both), Error::NotConnected);
    client.set_nonblocking(true).unwrap();
    fails(client.recv(&mut [0; 1]), Error::WouldBlock);
    let other = world.other_server_at(0);
    if world.domain() == Domain::Inet {
        fails(client.send_to(b"x", other), Error::FamilyNotSupported);
    }
}

/// What a raw socket of the server hears of the protocol that `fits`, while `again` makes it be sent. Other bodies send
/// meanwhile, and more than a buffer can hold.
fn heard(world: &World, protocol: u8, mut again: impl FnMut(), fits: impl Fn(&[u8]) -> bool) -> Marked {
    let raw = world.server.socket_of(world.domain(), Type::Raw, Some(protocol));
    raw.set_read_timeout(Some(SILENCE)).unwrap();
    let mut found = None;
    eventually("the packet", || {
        again();
        for _ in 0..1000 {
            match raw.recv_marked() {
                Ok(packet) if fits(&packet.bytes[header(world)..]) => {
                    found = Some(packet);
                    return true;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    });
    found.unwrap()
}

/// Whether it goes to this port.
fn to_port(port: u16) -> impl Fn(&[u8]) -> bool {
    move |segment| segment.get(2..4) == Some(&port.to_be_bytes()[..])
}

fn the_headers_of_udp_have_what_its_socket_chose(world: &World) {
    if world.is_joined() {
        // There is no packet that could have a header.
        return;
    }
    let (_server, address) = world.udp_server();
    let client = world.udp_client();
    choose(world, &client, 9, 0xb9);
    client.connect(address).unwrap();
    let packet = heard(world, 17, || drop(client.send(b"x")), to_port(address.port()));
    assert_eq!((packet.hop_limit, packet.traffic_class), (9, 0xb9));
}

fn the_headers_of_tcp_have_what_its_socket_chose(world: &World) {
    if world.is_joined() {
        return;
    }
    let (listener, address) = world.listener();
    let call = || {
        let client = world.tcp_client();
        choose(world, &client, 11, 0x20);
        client.connect(address).unwrap();
        drop(listener.accept().unwrap());
    };
    let packet = heard(world, 6, call, to_port(address.port()));
    assert_eq!((packet.hop_limit, packet.traffic_class & !3), (11, 0x20));
}
