//! Options of TCP and what they change (`tcp(7)`).

use std::time::Duration;

use tapsock::error::Error;
use tapsock::observe::TcpState;

use super::check::{eventually, fails};
use super::sock::Sock;
use super::world::{SILENCE, World};
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    the_largest_segment_is_536_before_there_is_a_connection,
    the_largest_segment_has_bounds,
    a_connection_has_segments_as_large_as_its_way,
    the_smaller_choice_of_both_ends_counts,
    a_listener_chooses_for_those_who_come,
    defer_accept_is_rounded_up_to_when_a_syn_ack_would_be_sent_again,
    a_deferred_connection_is_accepted_when_its_first_bytes_come,
    info_tells_the_state_and_what_came_and_went,
    info_of_a_listener_and_of_what_is_not_connected,
];

fn the_largest_segment_is_536_before_there_is_a_connection(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), tapsock::net::Type::Stream);
        assert_eq!(socket.tcp_mss().unwrap(), 536);
        socket.set_tcp_mss(1000).unwrap();
        let shown = socket.tcp_mss().unwrap();
        assert!([536, 1000].contains(&shown), "{shown}");
    }
}

fn the_largest_segment_has_bounds(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), tapsock::net::Type::Stream);
        for bytes in [1, 87, 32_768, u32::MAX] {
            fails(socket.set_tcp_mss(bytes), Error::InvalidInput);
        }
        for bytes in [88, 32_767, 0] {
            socket.set_tcp_mss(bytes).unwrap();
        }
    }
}

/// Bytes of the headers of a segment with timestamps.
fn headers(world: &World) -> u32 {
    let ip = if world.domain() == tapsock::net::Domain::Inet { 20 } else { 40 };
    ip + 20 + 12
}

fn a_connection_has_segments_as_large_as_its_way(world: &World) {
    let (client, server) = world.connected();
    for socket in [&client, &server] {
        let (segment, mtu) = (socket.tcp_mss().unwrap(), socket.mtu().unwrap());
        assert!(segment <= mtu - headers(world) + 12, "{segment} of {mtu}");
        // The kernel's `lo` has packets that are larger than it lets a segment be.
        assert!(segment >= (mtu - headers(world)).min(32_728), "{segment} of {mtu}");
    }
}

/// Of 700 bytes, options take 12.
fn check_segments(client: &Sock, server: &Sock) {
    assert_eq!([client.tcp_mss().unwrap(), server.tcp_mss().unwrap()], [688, 688]);
}

fn the_smaller_choice_of_both_ends_counts(world: &World) {
    let (listener, address) = world.listener();
    let client = world.tcp_client();
    client.set_tcp_mss(700).unwrap();
    client.connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    check_segments(&client, &server);
}

fn a_listener_chooses_for_those_who_come(world: &World) {
    let listener = world.tcp_server();
    listener.set_tcp_mss(700).unwrap();
    let address = world.server_at(world.port());
    listener.bind(address).unwrap();
    listener.listen(1).unwrap();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    let (server, _) = listener.accept().unwrap();
    check_segments(&client, &server);
}

fn defer_accept_is_rounded_up_to_when_a_syn_ack_would_be_sent_again(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), tapsock::net::Type::Stream);
        assert_eq!(socket.tcp_defer_accept().unwrap(), Duration::ZERO);
        for (asked, shown) in [(1, 1), (2, 3), (3, 3), (5, 7), (10, 15), (60, 63), (0, 0)] {
            socket.set_tcp_defer_accept(Duration::from_secs(asked)).unwrap();
            assert_eq!(socket.tcp_defer_accept().unwrap(), Duration::from_secs(shown), "{asked}");
        }
    }
}

fn a_deferred_connection_is_accepted_when_its_first_bytes_come(world: &World) {
    let (listener, address) = world.listener();
    listener.set_tcp_defer_accept(Duration::from_secs(30)).unwrap();
    let client = world.tcp_client();
    client.connect(address).unwrap();
    listener.set_read_timeout(Some(SILENCE)).unwrap();
    fails(listener.accept(), Error::WouldBlock);
    client.send_all(b"now").unwrap();
    listener.set_read_timeout(Some(super::world::PATIENCE)).unwrap();
    let (server, _) = listener.accept().unwrap();
    assert_eq!(server.recv_exact(3).unwrap(), b"now");
}

fn info_tells_the_state_and_what_came_and_went(world: &World) {
    let (client, server) = world.connected();
    client.send_all(&[7; 5000]).unwrap();
    server.recv_exact(5000).unwrap();
    server.send_all(&[7; 300]).unwrap();
    client.recv_exact(300).unwrap();
    for (socket, came, went) in [(&client, 300, 5000), (&server, 5000, 300)] {
        eventually("the bytes", || {
            let info = socket.info().unwrap();
            // The kernel counts the SYN as well.
            info.bytes_in == came && [went, went + 1].contains(&info.bytes_out)
        });
        assert_eq!(socket.info().unwrap().state, TcpState::Established);
    }
    client.shutdown(std::net::Shutdown::Write).unwrap();
    eventually("the FIN", || server.info().unwrap().state == TcpState::CloseWait);
    eventually("its acknowledgment", || client.info().unwrap().state == TcpState::FinWait2);
}

fn info_of_a_listener_and_of_what_is_not_connected(world: &World) {
    let (listener, _) = world.listener();
    let fresh = world.tcp_client();
    for socket in [&listener, &fresh] {
        if socket.is_kernel() {
            // Zeros, mostly.
            assert_eq!(socket.info().unwrap().bytes_in, 0);
        } else {
            // There is nothing to tell, and an error is more than zeros.
            fails(socket.info(), Error::NotConnected);
        }
    }
}
