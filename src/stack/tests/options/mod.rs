//! Socket options: what is set is read back, and shows on the wire.

mod buffers;
mod headers;
mod packets;
mod ports;
mod tcp;

use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpOption, TcpPacket};

use super::*;
use crate::error::Error;
use crate::socket::{
    CongestionControl, Domain, ErrorOrigin, Handle, Kind, MtuDiscovery, OptionName, QueuedError, SocketOption,
};

fn open(net: &mut Net, domain: Domain, kind: Kind) -> Handle {
    match net.call_a(Verb::Open { domain, kind }) {
        Ok(Outcome::Fresh(socket)) => socket,
        // Its pipe is dropped, which closes it when the engine looks; these tests ask before that.
        Ok(Outcome::Datagram(socket)) => {
            let handle = socket.handle;
            std::mem::forget(socket.pipe);
            handle
        }
        other => panic!("{other:?}"),
    }
}

fn set(net: &mut Net, socket: Handle, option: SocketOption) -> Result<()> {
    net.call_a(Verb::SetOption { socket, option }).map(|_| ())
}

fn get(net: &mut Net, socket: Handle, name: OptionName) -> Result<SocketOption> {
    match net.call_a(Verb::GetOption { socket, name })? {
        Outcome::Option(option) => Ok(option),
        other => panic!("{other:?}"),
    }
}

fn connect(net: &mut Net, socket: Handle, remote: SocketAddr) -> crate::pipe::Stream {
    match net.call_a(Verb::Connect { socket, remote: remote.into() }) {
        Ok(Outcome::Connecting(Some(pipe))) => pipe,
        other => panic!("{other:?}"),
    }
}

fn listen(net: &mut Net, socket: Handle, local: SocketAddr) -> ListenerSocket {
    net.call_a(Verb::Bind { socket, local: local.into() }).unwrap();
    match net.call_a(Verb::Listen { socket, backlog: 8 }) {
        Ok(Outcome::Listener(listener)) => listener,
        other => panic!("{other:?}"),
    }
}

/// The IP packets of this protocol that A has sent.
fn sent(net: &Net, protocol: u8) -> Vec<Vec<u8>> {
    let is_of = |bytes: &[u8]| match bytes[12..14] {
        [8, 0] => bytes[23] == protocol,
        [0x86, 0xdd] => bytes[20] == protocol,
        _ => false,
    };
    let frames =
        net.a.seen.frames.iter().filter(|(_, direction, bytes, _)| *direction == Direction::Out && is_of(bytes));
    frames.map(|(_, _, bytes, _)| bytes[14..].to_vec()).collect()
}

/// Hop limit and traffic class.
fn header(packet: &[u8]) -> (u8, u8) {
    match packet[0] >> 4 {
        4 => (Ipv4Packet::new_unchecked(packet).hop_limit(), packet[1]),
        _ => {
            let packet = Ipv6Packet::new_unchecked(packet);
            (packet.hop_limit(), packet.traffic_class())
        }
    }
}

#[test]
fn what_is_set_is_read_back_on_every_kind_of_socket_that_has_it() {
    use SocketOption as O;
    let mut net = Net::new();
    let everybodys = [
        O::ReuseAddress(true),
        O::ReusePort(true),
        O::Keepalive(true),
        O::Broadcast(true),
        O::Linger(Some(Duration::from_secs(3))),
        O::Ttl(7),
        O::Tos(0x20),
        O::MtuDiscover(MtuDiscovery::Probe),
        O::MulticastLoop(false),
        O::ReceiveErrors(true),
    ];
    let tcps = [
        O::Nodelay(true),
        O::KeepaliveIdle(Duration::from_secs(30)),
        O::KeepaliveInterval(Duration::from_secs(3)),
        O::KeepaliveCount(4),
        O::UserTimeout(Some(Duration::from_secs(5))),
        O::MaxSegment(1000),
        O::Congestion(CongestionControl::Reno),
        O::DeferAccept(Duration::from_secs(7)),
    ];
    let datagrams = [O::MulticastTtl(9), O::MulticastInterface(A.parse().unwrap())];
    let ipv6s = [
        O::V6Only(true),
        O::UnicastHops(0),
        O::TrafficClass(0x40),
        O::MtuDiscoverV6(MtuDiscovery::Do),
        O::MulticastLoopV6(false),
    ];
    let datagrams6 = [O::MulticastHops(11), O::MulticastInterfaceV6(1)];
    for domain in [Domain::Inet, Domain::Inet6] {
        for kind in [Kind::Tcp, Kind::Udp] {
            let socket = open(&mut net, domain, kind);
            let mut check = |options: &[SocketOption], allowed: bool| {
                for &option in options {
                    let done = set(&mut net, socket, option);
                    if allowed {
                        assert_eq!(done, Ok(()), "{option:?} {domain:?} {kind:?}");
                        assert_eq!(get(&mut net, socket, option.name()), Ok(option));
                    } else {
                        assert!(
                            matches!(done, Err(Error::ProtocolNotAvailable | Error::InvalidInput)),
                            "{option:?} {domain:?} {kind:?} {done:?}"
                        );
                    }
                }
            };
            check(&everybodys, true);
            check(&tcps, kind == Kind::Tcp);
            check(&datagrams, kind == Kind::Udp);
            check(&ipv6s, domain == Domain::Inet6);
            check(&datagrams6, domain == Domain::Inet6 && kind == Kind::Udp);
        }
    }
}

/// `ip(7)`, `ipv6(7)`, `tcp(7)`, and what Linux 6.18 says to each.
#[test]
fn values_that_cannot_be_are_refused_as_linux_refuses_them() {
    use SocketOption as O;
    let mut net = Net::new();
    let tcp = open(&mut net, Domain::Inet6, Kind::Tcp);
    let udp = open(&mut net, Domain::Inet6, Kind::Udp);
    for option in [
        O::Ttl(0),
        O::Ttl(256),
        O::UnicastHops(256),
        O::TrafficClass(256),
        O::MaxSegment(87),
        O::MaxSegment(32_768),
        O::KeepaliveIdle(Duration::ZERO),
        O::KeepaliveCount(128),
        O::MulticastTtl(1),
        O::MulticastInterface(A.parse().unwrap()),
    ] {
        assert_eq!(set(&mut net, tcp, option), Err(Error::InvalidInput), "{option:?}");
    }
    for option in [O::MulticastHops(1), O::MulticastInterfaceV6(1), O::Mtu(1500)] {
        assert_eq!(set(&mut net, tcp, option), Err(Error::ProtocolNotAvailable), "{option:?}");
    }
    let foreign = O::MulticastInterface("203.0.113.1".parse().unwrap());
    assert_eq!(set(&mut net, udp, foreign), Err(Error::AddressNotAvailable));
    assert_eq!(set(&mut net, udp, O::MulticastInterfaceV6(2)), Err(Error::NoDevice));
    assert_eq!(get(&mut net, udp, OptionName::Nodelay), Err(Error::ProtocolNotAvailable));
    assert_eq!(get(&mut net, udp, OptionName::Mtu), Err(Error::NotConnected));
    assert_eq!(get(&mut net, tcp, OptionName::Mtu), Err(Error::NotConnected));
}

#[test]
fn the_last_two_bits_of_the_type_of_service_are_tcps_own_and_a_datagrams_are_the_programs() {
    let mut net = Net::new();
    for (kind, kept) in [(Kind::Tcp, 0xfc), (Kind::Udp, 0xff)] {
        let socket = open(&mut net, Domain::Inet6, kind);
        set(&mut net, socket, SocketOption::Tos(0xff)).unwrap();
        set(&mut net, socket, SocketOption::TrafficClass(0xff)).unwrap();
        assert_eq!(get(&mut net, socket, OptionName::Tos), Ok(SocketOption::Tos(kept)));
        assert_eq!(get(&mut net, socket, OptionName::TrafficClass), Ok(SocketOption::TrafficClass(kept)));
    }
}

#[test]
fn who_asks_for_errors_is_told_who_said_what_of_which_packet() {
    let mut net = Net::new();
    let take = |net: &mut Net, socket| match net.call_a(Verb::TakeQueuedError { socket }) {
        Ok(Outcome::QueuedError(error)) => error.map(|error| *error),
        other => panic!("{other:?}"),
    };
    let socket = net.bind_a(at("0.0.0.0", 5000));
    set(&mut net, socket.handle, SocketOption::ReceiveErrors(true)).unwrap();
    set(&mut net, socket.handle, SocketOption::MtuDiscover(MtuDiscovery::Do)).unwrap();
    socket.pipe.try_send(b"hello", at(B, 9), None).unwrap();
    net.settle();
    assert_eq!(socket.pipe.take_error(), Err(Error::ConnectionRefused));
    socket.pipe.try_send(&[0; 1473], at(B, 9), None).unwrap();
    net.settle();
    let refused = QueuedError {
        error: Error::ConnectionRefused,
        origin: ErrorOrigin::Icmp,
        r#type: 3,
        code: 3,
        info: 0,
        offender: Some(B.parse().unwrap()),
        destination: at(B, 9),
    };
    assert_eq!(take(&mut net, socket.handle), Some(refused));
    let too_long = QueuedError {
        error: Error::MessageTooLong,
        origin: ErrorOrigin::Local,
        r#type: 0,
        code: 0,
        info: 1500,
        offender: None,
        destination: at(B, 9),
    };
    assert_eq!(take(&mut net, socket.handle), Some(too_long));
    assert_eq!(take(&mut net, socket.handle), None);
    for _ in 0..100 {
        let _ = socket.pipe.take_error();
        socket.pipe.try_send(b"hello", at(B, 9), None).unwrap();
        net.settle();
    }
    let waiting = std::iter::from_fn(|| take(&mut net, socket.handle)).count();
    assert_eq!(waiting, 64, "queued-errors");
    let _ = socket.pipe.take_error();
    socket.pipe.try_send(b"hello", at(B, 9), None).unwrap();
    net.settle();
    set(&mut net, socket.handle, SocketOption::ReceiveErrors(false)).unwrap();
    assert_eq!(take(&mut net, socket.handle), None, "who does not want them any more has none");
}

/// `ip(7)`, IP_MTU_DISCOVER, before and after the way is known to be narrow: `send` sends so many bytes, of which `most`
/// fit into a packet of the link, and says how many packets left and how many of them routers may cut.
fn discovers(
    net: &mut Net,
    most: usize,
    mut send: impl FnMut(&mut Net, MtuDiscovery, usize) -> Result<(usize, usize)>,
) {
    for (discovery, small, large) in [
        (MtuDiscovery::Want, Ok((1, 0)), Ok((2, 2))),
        (MtuDiscovery::Dont, Ok((1, 1)), Ok((2, 2))),
        (MtuDiscovery::Do, Ok((1, 0)), Err(Error::MessageTooLong)),
        (MtuDiscovery::Probe, Ok((1, 0)), Err(Error::MessageTooLong)),
    ] {
        assert_eq!(send(net, discovery, 1000), small, "{discovery:?}");
        assert_eq!(send(net, discovery, most), small, "{discovery:?}");
        assert_eq!(send(net, discovery, most + 1), large, "{discovery:?}");
    }
    let now = net.now;
    assert!(net.a.stack.ip.learn_path_mtu(now, B.parse().unwrap(), 1000));
    for (discovery, result) in [
        (MtuDiscovery::Want, Ok((2, 2))),
        (MtuDiscovery::Dont, Ok((2, 2))),
        (MtuDiscovery::Do, Err(Error::MessageTooLong)),
        (MtuDiscovery::Probe, Ok((1, 0))),
    ] {
        assert_eq!(send(net, discovery, 1400), result, "{discovery:?}");
    }
}
