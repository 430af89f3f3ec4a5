//! `setsockopt(2)` and `getsockopt(2)`: what was set is read back, and what cannot be is refused.

use std::net::Ipv4Addr;
use std::time::Duration;

use tapsock::error::Error;
use tapsock::net::{Domain, MtuDiscovery, Type};

use super::check::fails;
use super::sock::Sock;
use super::world::World;
use super::{Bodies, bodies};

pub(crate) const BODIES: Bodies = bodies![
    switches_are_off_at_first_and_read_back,
    switches_can_be_set_on_a_connection,
    time_limits_are_read_back_and_zero_is_none,
    linger_is_read_back,
    keepalive_times_are_read_back,
    keepalive_times_have_bounds,
    the_user_timeout_is_read_back,
    multicast_hops_are_1_at_first_and_read_back,
    multicast_loops_back_at_first,
    hop_limits_are_64_at_first_and_read_back,
    the_type_of_service_is_read_back,
    the_traffic_class_is_read_back,
    ecn_is_not_for_programs_where_it_is_tcps,
    path_mtu_discovery_is_wanted_at_first_and_read_back,
    an_mtu_is_that_of_a_way_to_a_peer,
    errors_are_received_on_demand,
    the_interface_of_groups_is_read_back_and_must_be_there,
    only_raw_sockets_include_headers,
    buffers_become_about_as_large_as_asked,
    congestion_control_has_a_name,
    udp_has_no_options_of_tcp,
    an_ipv4_socket_has_no_options_of_ipv6,
];

/// An option that is on or off.
type Switch = (fn(&Sock, bool) -> std::io::Result<()>, fn(&Sock) -> std::io::Result<bool>);

const SWITCHES: &[Switch] = &[
    (Sock::set_reuse_address, Sock::reuse_address),
    (Sock::set_reuse_port, Sock::reuse_port),
    (Sock::set_keepalive, Sock::keepalive),
    (Sock::set_broadcast, Sock::broadcast),
];

fn check_switches(socket: &Sock, switches: &[Switch]) {
    for (index, (set, get)) in switches.iter().enumerate() {
        assert!(!get(socket).unwrap(), "switch {index}");
        set(socket, true).unwrap();
        assert!(get(socket).unwrap(), "switch {index}");
        set(socket, false).unwrap();
        assert!(!get(socket).unwrap(), "switch {index}");
    }
}

fn switches_are_off_at_first_and_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            check_switches(&side.socket(world.domain(), kind), SWITCHES);
        }
        check_switches(&side.socket(world.domain(), Type::Stream), &[(Sock::set_tcp_nodelay, Sock::tcp_nodelay)]);
        check_switches(&side.socket(Domain::Inet6, Type::Dgram), &[(Sock::set_only_v6, Sock::only_v6)]);
    }
}

fn switches_can_be_set_on_a_connection(world: &World) {
    let (client, server) = world.connected();
    for socket in [&client, &server] {
        check_switches(socket, &[(Sock::set_tcp_nodelay, Sock::tcp_nodelay), (Sock::set_keepalive, Sock::keepalive)]);
    }
    client.send_all(b"x").unwrap();
    assert_eq!(server.recv_exact(1).unwrap(), b"x");
}

fn time_limits_are_read_back_and_zero_is_none(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            let socket = side.socket(world.domain(), kind);
            let limit = Some(Duration::from_millis(1500));
            socket.set_read_timeout(limit).unwrap();
            socket.set_write_timeout(limit).unwrap();
            assert_eq!(socket.read_timeout().unwrap(), limit);
            assert_eq!(socket.write_timeout().unwrap(), limit);
            socket.set_read_timeout(None).unwrap();
            assert_eq!(socket.read_timeout().unwrap(), None);
        }
    }
}

fn linger_is_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Stream);
        assert_eq!(socket.linger().unwrap(), None);
        for linger in [Some(Duration::ZERO), Some(Duration::from_secs(7)), None] {
            socket.set_linger(linger).unwrap();
            assert_eq!(socket.linger().unwrap(), linger);
        }
    }
}

fn keepalive_times_are_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Stream);
        // The defaults of Linux (tcp(7)).
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7200));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(75));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 9);
        socket.set_tcp_keepalive(Duration::from_secs(11), Duration::from_secs(5), 3).unwrap();
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(11));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
    }
}

fn keepalive_times_have_bounds(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Stream);
        let (second, long) = (Duration::from_secs(1), Duration::from_secs(32_768));
        fails(socket.set_tcp_keepalive(long, second, 1), Error::InvalidInput);
        fails(socket.set_tcp_keepalive(second, long, 1), Error::InvalidInput);
        fails(socket.set_tcp_keepalive(second, second, 0), Error::InvalidInput);
        fails(socket.set_tcp_keepalive(second, second, 128), Error::InvalidInput);
    }
}

fn the_user_timeout_is_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Stream);
        // socket2 cannot say that there is none; zero is the kernel's word for it.
        assert!(socket.tcp_user_timeout().unwrap().is_none_or(|timeout| timeout.is_zero()));
        socket.set_tcp_user_timeout(Some(Duration::from_millis(2500))).unwrap();
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(2500)));
        socket.set_tcp_user_timeout(None).unwrap();
        assert!(socket.tcp_user_timeout().unwrap().is_none_or(|timeout| timeout.is_zero()));
    }
}

fn multicast_hops_are_1_at_first_and_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet, Type::Dgram);
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 1);
        socket.set_multicast_ttl_v4(7).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 7);
        fails(socket.set_multicast_ttl_v4(256), Error::InvalidInput);
        let socket = side.socket(Domain::Inet6, Type::Dgram);
        assert_eq!(socket.multicast_hops_v6().unwrap(), 1);
        socket.set_multicast_hops_v6(9).unwrap();
        assert_eq!(socket.multicast_hops_v6().unwrap(), 9);
        fails(socket.set_multicast_hops_v6(256), Error::InvalidInput);
    }
}

fn multicast_loops_back_at_first(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet, Type::Dgram);
        assert!(socket.multicast_loop_v4().unwrap());
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap());
        let socket = side.socket(Domain::Inet6, Type::Dgram);
        assert!(socket.multicast_loop_v6().unwrap());
        socket.set_multicast_loop_v6(false).unwrap();
        assert!(!socket.multicast_loop_v6().unwrap());
    }
}

fn hop_limits_are_64_at_first_and_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            let socket = side.socket(Domain::Inet, kind);
            assert_eq!(socket.ttl_v4().unwrap(), 64);
            socket.set_ttl_v4(7).unwrap();
            assert_eq!(socket.ttl_v4().unwrap(), 7);
            fails(socket.set_ttl_v4(0), Error::InvalidInput);
            fails(socket.set_ttl_v4(256), Error::InvalidInput);
            let socket = side.socket(Domain::Inet6, kind);
            assert_eq!(socket.unicast_hops_v6().unwrap(), 64);
            socket.set_unicast_hops_v6(9).unwrap();
            assert_eq!(socket.unicast_hops_v6().unwrap(), 9);
            fails(socket.set_unicast_hops_v6(256), Error::InvalidInput);
        }
    }
}

fn the_type_of_service_is_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet, Type::Dgram);
        assert_eq!(socket.tos_v4().unwrap(), 0);
        socket.set_tos_v4(0x28).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x28);
    }
}

fn the_traffic_class_is_read_back(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet6, Type::Dgram);
        assert_eq!(socket.tclass_v6().unwrap(), 0);
        socket.set_tclass_v6(0x29).unwrap();
        assert_eq!(socket.tclass_v6().unwrap(), 0x29);
        fails(socket.set_tclass_v6(256), Error::InvalidInput);
    }
}

fn ecn_is_not_for_programs_where_it_is_tcps(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet, Type::Stream);
        socket.set_tos_v4(0x2b).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x28);
        let socket = side.socket(Domain::Inet6, Type::Stream);
        socket.set_tclass_v6(0x2b).unwrap();
        assert_eq!(socket.tclass_v6().unwrap(), 0x28);
        let socket = side.socket(Domain::Inet, Type::Dgram);
        socket.set_tos_v4(0x2b).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x2b);
    }
}

fn path_mtu_discovery_is_wanted_at_first_and_read_back(world: &World) {
    let all = [MtuDiscovery::Dont, MtuDiscovery::Want, MtuDiscovery::Do, MtuDiscovery::Probe];
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            let socket = side.socket(Domain::Inet6, kind);
            assert_eq!(socket.mtu_discover().unwrap(), MtuDiscovery::Want);
            assert_eq!(socket.mtu_discover_v6().unwrap(), MtuDiscovery::Want);
            for value in all {
                socket.set_mtu_discover(value).unwrap();
                socket.set_mtu_discover_v6(value).unwrap();
                assert_eq!((socket.mtu_discover().unwrap(), socket.mtu_discover_v6().unwrap()), (value, value));
            }
        }
    }
}

fn an_mtu_is_that_of_a_way_to_a_peer(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            fails(side.socket(world.domain(), kind).mtu(), Error::NotConnected);
        }
    }
    let (_server, address) = world.udp_server();
    let client = world.udp_client();
    client.connect(address).unwrap();
    let mtu = client.mtu().unwrap();
    if world.has_link() {
        assert_eq!(mtu, 1500);
    } else {
        // The kernel's `lo` has one byte more than a packet of IPv4 can have.
        assert!([65_535, 65_536].contains(&mtu), "{mtu}");
    }
}

fn errors_are_received_on_demand(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            check_switches(&side.socket(world.domain(), kind), &[(Sock::set_receive_errors, Sock::receive_errors)]);
        }
    }
}

fn the_interface_of_groups_is_read_back_and_must_be_there(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet, Type::Dgram);
        assert_eq!(socket.multicast_if_v4().unwrap(), Ipv4Addr::UNSPECIFIED);
        socket.set_multicast_if_v4(&side.v4()).unwrap();
        assert_eq!(socket.multicast_if_v4().unwrap(), side.v4());
        let nowhere = Ipv4Addr::new(203, 0, 113, 1);
        fails(socket.set_multicast_if_v4(&nowhere), Error::AddressNotAvailable);
        let socket = side.socket(Domain::Inet6, Type::Dgram);
        assert_eq!(socket.multicast_if_v6().unwrap(), 0);
        socket.set_multicast_if_v6(side.interface()).unwrap();
        assert_eq!(socket.multicast_if_v6().unwrap(), side.interface());
        fails(socket.set_multicast_if_v6(9999), Error::NoDevice);
    }
}

fn only_raw_sockets_include_headers(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            fails(side.socket(Domain::Inet, kind).set_header_included_v4(true), Error::ProtocolNotAvailable);
        }
        let raw = |protocol| side.try_socket(Domain::Inet, Type::Raw, Some(protocol)).unwrap();
        check_switches(&raw(253), &[(Sock::set_header_included_v4, Sock::header_included_v4)]);
        assert!(raw(255).header_included_v4().unwrap(), "what IPPROTO_RAW sends has a header");
    }
}

fn buffers_become_about_as_large_as_asked(world: &World) {
    for side in [&world.server, &world.client] {
        for kind in [Type::Stream, Type::Dgram] {
            let socket = side.socket(world.domain(), kind);
            socket.set_recv_buffer_size(32 * 1024).unwrap();
            socket.set_send_buffer_size(32 * 1024).unwrap();
            // Linux doubles it, for what it needs besides.
            for size in [socket.recv_buffer_size().unwrap(), socket.send_buffer_size().unwrap()] {
                assert!((32 * 1024..=64 * 1024).contains(&size), "{size}");
            }
        }
    }
}

fn congestion_control_has_a_name(world: &World) {
    let text = |name: Vec<u8>| String::from_utf8(name).unwrap().trim_end_matches('\0').to_owned();
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Stream);
        assert!(!text(socket.tcp_congestion().unwrap()).is_empty());
        socket.set_tcp_congestion(b"reno").unwrap();
        assert_eq!(text(socket.tcp_congestion().unwrap()), "reno");
        // ENOENT, which no socket call has but this.
        assert!(socket.set_tcp_congestion(b"no such").is_err());
    }
}

/// What there is no option of cannot be read either. The kernel's IPv4 has another errno for that than for setting it,
/// and than its IPv6; ours is the same everywhere.
fn no_such_option(socket: &Sock, domain: Domain, got: std::io::Result<bool>) {
    let is_odd = socket.is_kernel() && domain == Domain::Inet;
    fails(got, if is_odd { Error::NotSupported } else { Error::ProtocolNotAvailable });
}

fn udp_has_no_options_of_tcp(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(world.domain(), Type::Dgram);
        fails(socket.set_tcp_nodelay(true), Error::ProtocolNotAvailable);
        no_such_option(&socket, world.domain(), socket.tcp_nodelay());
    }
}

fn an_ipv4_socket_has_no_options_of_ipv6(world: &World) {
    for side in [&world.server, &world.client] {
        let socket = side.socket(Domain::Inet, Type::Dgram);
        fails(socket.set_only_v6(true), Error::ProtocolNotAvailable);
        no_such_option(&socket, Domain::Inet, socket.only_v6());
    }
}
