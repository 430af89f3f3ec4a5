//! ICMP echo sockets (`icmp(7)`): the identifier is the port.

use std::net::{IpAddr, SocketAddr};

use tapsock::error::Error;
use tapsock::net::Type;

use super::check::{eventually, fails, noise, pending};
use super::sock::Sock;
use super::world::{Family, SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    a_request_is_answered_with_its_data,
    the_identifier_is_the_port_whatever_the_program_writes,
    an_identifier_can_be_chosen_and_is_free_at_first,
    everybody_hears_the_replies_to_his_own_requests,
    a_connected_socket_needs_no_address,
    a_reply_says_how_far_it_came,
    a_long_request_comes_back_whole,
    only_requests_can_be_sent,
    a_network_that_no_route_leads_to_is_unreachable,
    an_address_that_is_not_ours_is_not_available,
    there_is_nothing_to_listen_to,
    a_reply_makes_it_readable,
];

fn at(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 0)
}

fn request(world: &World, sequence: u8, data: &[u8]) -> Vec<u8> {
    let kind = if world.family == Family::V4 { 8 } else { 128 };
    [&[kind, 0, 0, 0, 0, 0, 0, sequence], data].concat()
}

fn reply(world: &World) -> u8 {
    if world.family == Family::V4 { 0 } else { 129 }
}

fn identifier(socket: &Sock) -> u16 {
    socket.local_addr().unwrap().port()
}

fn a_request_is_answered_with_its_data(world: &World) {
    let socket = world.echo_client();
    assert_eq!(socket.send_to(&request(world, 7, b"data"), at(world.server_ip())).unwrap(), 12);
    let mut buffer = [0; 64];
    let (count, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!((count, from), (12, at(world.server_ip())));
    assert_eq!((buffer[0], buffer[1], &buffer[6..12]), (reply(world), 0, &[0, 7, b'd', b'a', b't', b'a'][..]));
}

fn the_identifier_is_the_port_whatever_the_program_writes(world: &World) {
    let socket = world.echo_client();
    let mut message = request(world, 1, b"");
    message[4..6].copy_from_slice(&[0xde, 0xad]);
    socket.send_to(&message, at(world.server_ip())).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 8);
    assert_ne!(identifier(&socket), 0);
    assert_eq!(buffer[4..6], identifier(&socket).to_be_bytes());
}

fn an_identifier_can_be_chosen_and_is_free_at_first(world: &World) {
    let socket = world.echo_client();
    assert_eq!(socket.local_addr().unwrap(), world.wildcard(0));
    let chosen = world.client_at(world.port());
    socket.bind(chosen).unwrap();
    assert_eq!(socket.local_addr().unwrap(), chosen);
    fails(socket.bind(world.client_at(world.port())), Error::InvalidInput);
    socket.send_to(&request(world, 1, b""), at(world.server_ip())).unwrap();
    let mut buffer = [0; 64];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 8);
    assert_eq!(buffer[4..6], chosen.port().to_be_bytes());
    // Echo sockets share what they have bound to (INET_PROTOSW_REUSE) until one of them does not want to.
    let second = world.echo_client();
    second.set_reuse_address(false).unwrap();
    fails(second.bind(chosen), Error::AddressInUse);
    second.bind(world.client_at(0)).unwrap();
    assert_ne!(identifier(&second), 0);
}

fn everybody_hears_the_replies_to_his_own_requests(world: &World) {
    let sockets = [world.echo_client(), world.echo_client(), world.echo_client()];
    for (sequence, socket) in (0..).zip(&sockets) {
        socket.send_to(&request(world, sequence, b""), at(world.server_ip())).unwrap();
    }
    for (sequence, socket) in (0..).zip(&sockets) {
        let mut buffer = [0; 64];
        assert_eq!((socket.recv(&mut buffer).unwrap(), buffer[7]), (8, sequence));
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        fails(socket.recv(&mut buffer), Error::WouldBlock);
    }
}

fn a_connected_socket_needs_no_address(world: &World) {
    let socket = world.echo_client();
    fails(socket.send(&request(world, 1, b"")), Error::DestinationRequired);
    fails(socket.peer_addr(), Error::NotConnected);
    // Without a port Linux keeps it to itself that there is a peer.
    socket.connect(world.server_at(1)).unwrap();
    assert_eq!(socket.peer_addr().unwrap(), world.server_at(1));
    assert_eq!(socket.local_addr().unwrap().ip(), world.client_ip());
    assert_eq!(socket.send(&request(world, 1, b"x")).unwrap(), 9);
    assert_eq!(socket.recv(&mut [0; 64]).unwrap(), 9);
}

fn a_reply_says_how_far_it_came(world: &World) {
    let socket = world.echo_client();
    socket.connect(at(world.server_ip())).unwrap();
    if socket.is_kernel() {
        // The kernel says it of what comes after it was asked to.
        socket.set_nonblocking(true).unwrap();
        fails(socket.recv_marked(), Error::WouldBlock);
        socket.set_nonblocking(false).unwrap();
    }
    socket.send(&request(world, 1, b"x")).unwrap();
    let got = socket.recv_marked().unwrap();
    assert_eq!((got.bytes.len(), got.peer, got.hop_limit), (9, world.server_ip(), 64));
}

fn a_long_request_comes_back_whole(world: &World) {
    let socket = world.echo_client();
    let data = noise(8000);
    socket.send_to(&request(world, 1, &data), at(world.server_ip())).unwrap();
    let mut buffer = vec![0; 9000];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 8008);
    assert!(buffer[8..8008] == data);
}

fn only_requests_can_be_sent(world: &World) {
    let socket = world.echo_client();
    let mut answer = request(world, 1, b"");
    answer[0] = reply(world);
    for message in [&answer, &request(world, 1, b"")[..7].to_vec()] {
        let sent = socket.send_to(message, at(world.server_ip()));
        if socket.is_kernel() {
            fails(sent, Error::InvalidInput);
        } else {
            // Ours gives the message to another thread: the next call is told.
            sent.unwrap();
            eventually("the error", || pending(socket.take_error()) == Some(Error::InvalidInput));
        }
    }
}

fn a_network_that_no_route_leads_to_is_unreachable(world: &World) {
    let socket = world.echo_client();
    let sent = socket.send_to(&request(world, 1, b""), at(world.nowhere().ip()));
    if socket.is_kernel() {
        fails(sent, Error::NetworkUnreachable);
    } else {
        sent.unwrap();
        fails(socket.recv(&mut [0; 1]), Error::NetworkUnreachable);
    }
    fails(socket.connect(at(world.nowhere().ip())), Error::NetworkUnreachable);
}

fn an_address_that_is_not_ours_is_not_available(world: &World) {
    fails(world.echo_client().bind(at(world.nowhere().ip())), Error::AddressNotAvailable);
}

fn there_is_nothing_to_listen_to(world: &World) {
    let socket = world.echo_client();
    fails(socket.listen(1), Error::NotSupported);
    fails(socket.accept(), Error::NotSupported);
    assert_eq!(socket.r#type().unwrap(), Type::Dgram);
}

fn a_reply_makes_it_readable(world: &World) {
    let socket = world.echo_client();
    assert!(!socket.readiness().readable);
    socket.send_to(&request(world, 1, b""), at(world.server_ip())).unwrap();
    eventually("a reply", || socket.readiness().readable);
    socket.set_nonblocking(true).unwrap();
    assert_eq!(socket.recv(&mut [0; 64]).unwrap(), 8);
    fails(socket.recv(&mut [0; 64]), Error::WouldBlock);
}
