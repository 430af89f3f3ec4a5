//! What became of what was sent: the error queue of IP_RECVERR (`ip(7)`), and neighbours that do not answer.

use tapsock::error::Error;
use tapsock::net::{ErrorOrigin, MtuDiscovery};

use super::check::{eventually, fails, pending};
use super::sock::Sock;
use super::sockopt::Told;
use super::world::{Family, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    the_queue_is_empty_at_first_and_without_the_option,
    a_refusal_is_in_the_queue_with_who_said_it,
    who_receives_errors_is_told_without_being_connected,
    turning_it_off_empties_the_queue,
    what_may_not_be_cut_and_is_too_long_is_refused,
    what_may_be_cut_is_cut,
    a_neighbour_that_does_not_answer_is_unreachable,
    a_neighbour_that_does_not_answer_is_told_to_who_receives_errors,
];

fn queued(socket: &Sock) -> Told {
    let mut told = None;
    eventually("an error in the queue", || {
        told = socket.take_queued_error().unwrap();
        told.is_some()
    });
    told.unwrap()
}

fn the_queue_is_empty_at_first_and_without_the_option(world: &World) {
    let client = world.udp_client();
    client.connect(world.server_at(world.port())).unwrap();
    assert_eq!(client.take_queued_error().unwrap(), None);
    client.send(b"x").unwrap();
    eventually("a refusal", || pending(client.take_error()) == Some(Error::ConnectionRefused));
    assert_eq!(client.take_queued_error().unwrap(), None);
}

fn port_unreachable(world: &World, destination: std::net::SocketAddr) -> Told {
    let (origin, message) = match world.family {
        Family::V4 => (ErrorOrigin::Icmp, (3, 3)),
        Family::V6 => (ErrorOrigin::Icmpv6, (1, 4)),
    };
    let offender = Some(world.server_ip());
    Told { error: Error::ConnectionRefused, origin, message, info: 0, offender, destination }
}

fn a_refusal_is_in_the_queue_with_who_said_it(world: &World) {
    let client = world.udp_client();
    client.set_receive_errors(true).unwrap();
    let address = world.server_at(world.port());
    client.connect(address).unwrap();
    client.send(b"x").unwrap();
    assert_eq!(queued(&client), port_unreachable(world, address));
    assert_eq!(client.take_queued_error().unwrap(), None);
}

fn who_receives_errors_is_told_without_being_connected(world: &World) {
    let client = world.udp_client();
    client.set_receive_errors(true).unwrap();
    let address = world.server_at(world.port());
    client.send_to(b"x", address).unwrap();
    fails(client.recv(&mut [0; 1]), Error::ConnectionRefused);
    assert_eq!(queued(&client), port_unreachable(world, address));
}

fn turning_it_off_empties_the_queue(world: &World) {
    let client = world.udp_client();
    client.set_receive_errors(true).unwrap();
    client.send_to(b"x", world.server_at(world.port())).unwrap();
    fails(client.recv(&mut [0; 1]), Error::ConnectionRefused);
    client.set_receive_errors(false).unwrap();
    assert_eq!(client.take_queued_error().unwrap(), None);
}

fn never_cut(world: &World, socket: &Sock) {
    match world.family {
        Family::V4 => socket.set_mtu_discover(MtuDiscovery::Do).unwrap(),
        Family::V6 => socket.set_mtu_discover_v6(MtuDiscovery::Do).unwrap(),
    }
}

fn what_may_not_be_cut_and_is_too_long_is_refused(world: &World) {
    if !world.has_link() {
        // The way is as wide as the largest message.
        return;
    }
    let (server, address) = world.udp_server();
    let client = world.udp_client();
    never_cut(world, &client);
    client.set_receive_errors(true).unwrap();
    client.connect(address).unwrap();
    let room = if world.family == Family::V4 { 1500 - 20 - 8 } else { 1500 - 40 - 8 };
    let sent = client.send(&vec![7; room + 1]);
    if client.is_kernel() {
        fails(sent, Error::MessageTooLong);
    } else {
        // Ours gives the message to another thread: the next call is told.
        sent.unwrap();
        eventually("the error", || pending(client.take_error()) == Some(Error::MessageTooLong));
    }
    let told = queued(&client);
    assert_eq!((told.error, told.origin, told.info), (Error::MessageTooLong, ErrorOrigin::Local, 1500));
    assert_eq!((told.destination, told.offender), (address, None));
    client.send(&vec![7; room]).unwrap();
    assert_eq!(server.recv(&mut vec![0; 2000]).unwrap(), room);
}

fn what_may_be_cut_is_cut(world: &World) {
    for value in [MtuDiscovery::Want, MtuDiscovery::Dont] {
        let (server, address) = world.udp_server();
        let client = world.udp_client();
        match world.family {
            Family::V4 => client.set_mtu_discover(value).unwrap(),
            Family::V6 => client.set_mtu_discover_v6(value).unwrap(),
        }
        client.send_to(&vec![7; 9000], address).unwrap();
        assert_eq!(server.recv(&mut vec![0; 10_000]).unwrap(), 9000);
    }
}

fn a_neighbour_that_does_not_answer_is_unreachable(world: &World) {
    let Some(nobody) = world.nobody() else { return };
    fails(world.tcp_client().connect(nobody), Error::HostUnreachable);
}

fn a_neighbour_that_does_not_answer_is_told_to_who_receives_errors(world: &World) {
    let Some(nobody) = world.nobody() else { return };
    let client = world.udp_client();
    client.set_receive_errors(true).unwrap();
    client.send_to(b"x", nobody).unwrap();
    fails(client.recv(&mut [0; 1]), Error::HostUnreachable);
    let told = queued(&client);
    assert_eq!((told.error, told.destination), (Error::HostUnreachable, nobody));
}
