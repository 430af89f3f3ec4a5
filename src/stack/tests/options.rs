//! Socket options: what is set is read back, and shows on the wire.

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
fn a_connection_writes_what_was_chosen_into_every_header_from_the_syn_to_the_last_ack() {
    for (domain, ours, theirs) in [(Domain::Inet, A, B), (Domain::Inet6, A6, B6)] {
        for listens in [true, false] {
            let mut net = Net::new();
            let socket = open(&mut net, domain, Kind::Tcp);
            let both = |domain| match domain {
                Domain::Inet => [SocketOption::Ttl(33), SocketOption::Tos(0x88)],
                _ => [SocketOption::UnicastHops(33), SocketOption::TrafficClass(0x88)],
            };
            for option in both(domain) {
                set(&mut net, socket, option).unwrap();
            }
            let (a, b, _listener);
            if listens {
                let listener = listen(&mut net, socket, at(ours, 80));
                b = net.connect_b(at(ours, 80)).unwrap();
                net.settle();
                a = listener.queue.try_accept().unwrap().pipe;
                _listener = Some(listener);
            } else {
                let there = match net.call_b(Verb::OpenListener { local: at(theirs, 80), backlog: 1, v6_only: true }) {
                    Ok(Outcome::Listener(listener)) => listener,
                    other => panic!("{other:?}"),
                };
                a = connect(&mut net, socket, at(theirs, 80));
                net.settle();
                b = there.queue.try_accept().unwrap();
                _listener = Some(there);
            }
            a.try_write(&[1; 3000]).unwrap();
            b.pipe.try_write(&[2; 3000]).unwrap();
            net.run(Duration::from_secs(1));
            let mut buffer = [0; 4000];
            assert_eq!((a.try_read(&mut buffer), b.pipe.try_read(&mut buffer)), (Ok(3000), Ok(3000)));
            drop(a);
            drop(b);
            // A has closed first: its FIN, its ACK of the other FIN, and that again from TIME-WAIT.
            net.run(Duration::from_secs(1));
            let packets = sent(&net, 6);
            assert!(packets.len() >= 5, "{}", packets.len());
            for packet in packets {
                assert_eq!(header(&packet), (33, 0x88), "{packet:?}");
            }
        }
    }
}

#[test]
fn datagrams_carry_what_was_chosen_and_groups_have_hops_of_their_own() {
    let mut net = Net::new();
    let socket = net.bind_a(at("0.0.0.0", 5000));
    let _peer = net.bind_b(at("0.0.0.0", 9));
    for option in [SocketOption::Ttl(5), SocketOption::Tos(0xb9), SocketOption::MulticastTtl(3)] {
        set(&mut net, socket.handle, option).unwrap();
    }
    for to in [B, "224.0.0.251"] {
        socket.pipe.try_send(b"hello", at(to, 9), None).unwrap();
    }
    net.settle();
    let headers: Vec<_> = sent(&net, 17).iter().map(|packet| header(packet)).collect();
    assert_eq!(headers, [(3, 0xb9), (5, 0xb9)], "the neighbour's address has to be asked for, and a group's does not");
}

#[test]
fn a_datagram_that_must_not_be_cut_is_refused_when_its_way_is_known_to_be_too_narrow() {
    let mut net = Net::new();
    let socket = net.bind_a(at("0.0.0.0", 5000));
    let _peer = net.bind_b(at("0.0.0.0", 9));
    let send = |net: &mut Net, discovery: MtuDiscovery, bytes: usize| {
        set(net, socket.handle, SocketOption::MtuDiscover(discovery)).unwrap();
        net.a.seen.frames.clear();
        socket.pipe.try_send(&vec![7; bytes], at(B, 9), None).unwrap();
        net.settle();
        let sent = sent(net, 17);
        let cuttable = sent.iter().filter(|packet| !Ipv4Packet::new_unchecked(packet).dont_frag()).count();
        socket.pipe.take_error().map(|()| (sent.len(), cuttable))
    };
    for (discovery, small, large) in [
        (MtuDiscovery::Want, Ok((1, 0)), Ok((2, 2))),
        (MtuDiscovery::Dont, Ok((1, 1)), Ok((2, 2))),
        (MtuDiscovery::Do, Ok((1, 0)), Err(Error::MessageTooLong)),
        (MtuDiscovery::Probe, Ok((1, 0)), Err(Error::MessageTooLong)),
    ] {
        assert_eq!(send(&mut net, discovery, 1000), small, "{discovery:?}");
        assert_eq!(send(&mut net, discovery, 1472), small, "{discovery:?}");
        assert_eq!(send(&mut net, discovery, 1473), large, "{discovery:?}");
    }
    let now = net.now;
    assert!(net.a.stack.ip.learn_path_mtu(now, B.parse().unwrap(), 1000));
    for (discovery, result) in [
        (MtuDiscovery::Want, Ok((2, 2))),
        (MtuDiscovery::Dont, Ok((2, 2))),
        (MtuDiscovery::Do, Err(Error::MessageTooLong)),
        (MtuDiscovery::Probe, Ok((1, 0))),
    ] {
        assert_eq!(send(&mut net, discovery, 1400), result, "{discovery:?}");
    }
}

#[test]
fn the_mtu_of_a_connected_socket_is_that_of_its_way() {
    let mut net = Net::new();
    let socket = net.bind_a(at("0.0.0.0", 5000));
    net.call_a(Verb::Connect { socket: socket.handle, remote: at(B, 9).into() }).unwrap();
    assert_eq!(get(&mut net, socket.handle, OptionName::Mtu), Ok(SocketOption::Mtu(1500)));
    let now = net.now;
    assert!(net.a.stack.ip.learn_path_mtu(now, B.parse().unwrap(), 1300));
    assert_eq!(get(&mut net, socket.handle, OptionName::Mtu), Ok(SocketOption::Mtu(1300)));
}

/// The MSS that A's SYN or SYN-ACK offers.
fn offered(net: &Net) -> Option<u16> {
    sent(net, 6).iter().find_map(|packet| {
        let segment = TcpPacket::new_checked(&packet[20..]).unwrap();
        let mut options = segment.options();
        while segment.syn() && !options.is_empty() {
            let (rest, option) = TcpOption::parse(options).unwrap();
            if let TcpOption::MaxSegmentSize(size) = option {
                return Some(size);
            }
            options = rest;
        }
        None
    })
}

#[test]
fn a_largest_segment_is_offered_and_kept_to_and_what_is_read_back_is_what_a_segment_carries() {
    for listens in [true, false] {
        let mut net = Net::new();
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        assert_eq!(get(&mut net, socket, OptionName::MaxSegment), Ok(SocketOption::MaxSegment(536)));
        set(&mut net, socket, SocketOption::MaxSegment(512)).unwrap();
        assert_eq!(get(&mut net, socket, OptionName::MaxSegment), Ok(SocketOption::MaxSegment(512)));
        let (a, connection, b, _listener);
        if listens {
            let listener = listen(&mut net, socket, at(A, 80));
            b = net.connect_b(at(A, 80)).unwrap();
            net.settle();
            let accepted = listener.queue.try_accept().unwrap();
            (a, connection) = (accepted.pipe, accepted.handle);
            _listener = listener;
        } else {
            let Ok(Outcome::Listener(there)) =
                net.call_b(Verb::OpenListener { local: at(B, 80), backlog: 1, v6_only: true })
            else {
                panic!()
            };
            (a, connection) = (connect(&mut net, socket, at(B, 80)), socket);
            net.settle();
            b = there.queue.try_accept().unwrap();
            _listener = there;
        }
        assert_eq!(offered(&net), Some(512));
        assert_eq!(get(&mut net, connection, OptionName::MaxSegment), Ok(SocketOption::MaxSegment(500)), "timestamps");
        net.a.seen.frames.clear();
        a.try_write(&[1; 5000]).unwrap();
        b.pipe.try_write(&[1; 5000]).unwrap();
        net.run(Duration::from_secs(1));
        let largest = |direction| {
            let of = net.a.seen.frames.iter().filter(|(_, way, bytes, _)| *way == direction && bytes[12..14] == [8, 0]);
            of.map(|(_, _, bytes, _)| bytes.len() - 14 - 20 - 32).max()
        };
        assert_eq!((largest(Direction::Out), largest(Direction::In)), (Some(500), Some(500)));
    }
}

#[test]
fn a_deferred_accept_waits_for_data_or_for_the_time_that_was_chosen() {
    for (writes, accepted_after) in [(true, Duration::from_millis(500)), (false, Duration::from_secs(7))] {
        let mut net = Net::new();
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        set(&mut net, socket, SocketOption::DeferAccept(Duration::from_secs(5))).unwrap();
        let rounded = SocketOption::DeferAccept(Duration::from_secs(7));
        assert_eq!(get(&mut net, socket, OptionName::DeferAccept), Ok(rounded));
        let listener = listen(&mut net, socket, at(A, 80));
        let begin = net.now;
        let b = net.connect_b(at(A, 80)).unwrap();
        net.run(Duration::from_millis(500));
        assert_eq!(listener.queue.try_accept().err(), Some(Error::WouldBlock));
        assert_eq!(net.a.stack.counters().of(crate::observe::Rule::TcpDeferAccept), 1);
        if writes {
            b.pipe.try_write(b"hello").unwrap();
        }
        let mut a = None;
        net.run_until(Duration::from_secs(10), |_| {
            a = listener.queue.try_accept().ok();
            a.is_some()
        });
        let took = net.now - begin;
        assert!(took >= accepted_after && took < accepted_after + Duration::from_millis(100), "{took:?}");
        b.pipe.try_write(b"more").unwrap();
        net.run(Duration::from_secs(1));
        let mut buffer = [0; 16];
        let count = a.unwrap().pipe.try_read(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], if writes { &b"hellomore"[..] } else { b"more" });
    }
}

#[test]
fn a_peer_that_is_gone_before_its_connection_was_accepted_is_forgotten() {
    let mut net = Net::new();
    let socket = open(&mut net, Domain::Inet, Kind::Tcp);
    set(&mut net, socket, SocketOption::DeferAccept(Duration::from_secs(1000))).unwrap();
    let listener = listen(&mut net, socket, at(A, 80));
    let b = net.connect_b(at(A, 80)).unwrap();
    net.run(Duration::from_secs(1));
    net.call_b(Verb::SetOption { socket: b.handle, option: SocketOption::Linger(Some(Duration::ZERO)) }).unwrap();
    drop(b);
    net.run(Duration::from_secs(2000));
    assert_eq!(listener.queue.try_accept().err(), Some(Error::WouldBlock));
    drop(listener);
    net.run(Duration::from_secs(1));
    let left = net.a.stack.transport.left();
    assert!(
        left.iter().filter(|(what, _)| ["handshakes", "tuples", "ports"].contains(what)).all(|(_, count)| *count == 0),
        "{left:?}"
    );
}

/// Two sockets of A with SO_REUSEADDR, bound to one port, each connected to another port of B.
#[test]
fn one_source_port_serves_connections_to_two_peers_and_not_two_to_one() {
    let mut net = Net::new();
    for port in [80, 81] {
        std::mem::forget(net.call_b(Verb::OpenListener { local: at(B, port), backlog: 4, v6_only: true }).unwrap());
    }
    let mut pipes = Vec::new();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        set(&mut net, socket, SocketOption::ReuseAddress(true)).unwrap();
        net.call_a(Verb::Bind { socket, local: at(A, 4000).into() }).unwrap();
        sockets.push(socket);
    }
    for (&socket, port) in sockets.iter().zip([80, 81]) {
        pipes.push(connect(&mut net, socket, at(B, port)));
        net.run(Duration::from_millis(100));
        assert_eq!(pipes.last().unwrap().try_connected(), Ok(()));
    }
    let again = net.call_a(Verb::Connect { socket: sockets[2], remote: at(B, 80).into() });
    assert_eq!(again.map(|_| ()), Err(Error::AddressNotAvailable));
}

/// Linux: inet_csk_bind_conflict counts connections and TIME-WAIT.
#[test]
fn a_port_with_a_connection_or_time_wait_left_of_it_is_for_those_who_reuse_it() {
    let bind = |net: &mut Net, reuse: bool| {
        let socket = open(net, Domain::Inet, Kind::Tcp);
        set(net, socket, SocketOption::ReuseAddress(reuse)).unwrap();
        let bound = net.call_a(Verb::Bind { socket, local: at("0.0.0.0", 80).into() }).map(|_| ());
        net.call_a(Verb::Close { socket }).unwrap();
        bound
    };
    for reuse in [true, false] {
        let mut net = Net::new();
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        set(&mut net, socket, SocketOption::ReuseAddress(reuse)).unwrap();
        let listener = listen(&mut net, socket, at(A, 80));
        let b = net.connect_b(at(A, 80)).unwrap();
        net.settle();
        let a = listener.queue.try_accept().unwrap();
        assert_eq!(bind(&mut net, true), Err(Error::AddressInUse), "somebody listens");
        drop(listener);
        net.settle();
        let shared = if reuse { Ok(()) } else { Err(Error::AddressInUse) };
        assert_eq!(bind(&mut net, true), shared, "a connection is left");
        assert_eq!(bind(&mut net, false), Err(Error::AddressInUse));
        drop(a);
        net.run(Duration::from_millis(100));
        drop(b);
        net.run(Duration::from_secs(1));
        assert_eq!(bind(&mut net, true), shared, "TIME-WAIT is left");
        assert_eq!(bind(&mut net, false), Err(Error::AddressInUse));
        net.run(Duration::from_secs(61));
        assert_eq!(bind(&mut net, false), Ok(()));
    }
}

#[test]
fn datagrams_are_spread_over_those_who_reuse_a_port_and_a_peer_stays_with_one() {
    let mut net = Net::new();
    let mut members = Vec::new();
    for _ in 0..3 {
        let Ok(Outcome::Datagram(socket)) = net.call_a(Verb::Open { domain: Domain::Inet, kind: Kind::Udp }) else {
            panic!()
        };
        set(&mut net, socket.handle, SocketOption::ReusePort(true)).unwrap();
        net.call_a(Verb::Bind { socket: socket.handle, local: at("0.0.0.0", 53).into() }).unwrap();
        members.push(socket);
    }
    let peers: Vec<_> = (0..30).map(|_| net.bind_b(at("0.0.0.0", 0))).collect();
    let mut shares = [0; 3];
    for peer in &peers {
        for _ in 0..4 {
            peer.pipe.try_send(b"query", at(A, 53), None).unwrap();
        }
        net.settle();
        let counts = [0, 1, 2]
            .map(|member: usize| std::iter::from_fn(|| members[member].pipe.try_receive(&mut [0; 8]).ok()).count());
        let whose = counts.iter().position(|&count| count == 4);
        shares[whose.unwrap_or_else(|| panic!("a peer has one: {counts:?}"))] += 1;
    }
    assert!(shares.iter().all(|&share| share > 0), "{shares:?}");
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

#[test]
fn buffers_are_read_back_doubled_and_within_the_limits() {
    use SocketOption as O;
    let mut net = Net::new();
    let tcp = open(&mut net, Domain::Inet, Kind::Tcp);
    let udp = open(&mut net, Domain::Inet, Kind::Udp);
    assert_eq!(get(&mut net, udp, OptionName::ReceiveBuffer), Ok(O::ReceiveBuffer(212_992)), "as on Linux");
    for (socket, set_to, read) in [
        (tcp, O::ReceiveBuffer(4096), O::ReceiveBuffer(8192)),
        (tcp, O::SendBuffer(4096), O::SendBuffer(8192)),
        (udp, O::ReceiveBuffer(4096), O::ReceiveBuffer(8192)),
        (tcp, O::ReceiveBuffer(0), O::ReceiveBuffer(2304)),
        (udp, O::SendBuffer(1), O::SendBuffer(4608)),
        (tcp, O::ReceiveBuffer(usize::MAX), O::ReceiveBuffer(131_070)),
        (tcp, O::SendBuffer(1 << 30), O::SendBuffer(512 * 1024)),
        (udp, O::ReceiveBuffer(1 << 30), O::ReceiveBuffer(425_984)),
    ] {
        set(&mut net, socket, set_to).unwrap();
        assert_eq!(get(&mut net, socket, set_to.name()), Ok(read), "{set_to:?}");
    }
}

/// How many bytes B gets rid of towards a program of A that does not read.
fn stuck(net: &mut Net, b: &StreamSocket) -> usize {
    let mut written = 0;
    loop {
        let before = written;
        while let Ok(count) = b.pipe.try_write(&[7; 4096]) {
            written += count;
        }
        net.run(Duration::from_secs(2));
        if written == before {
            return written;
        }
    }
}

#[test]
fn a_small_receive_buffer_bounds_the_window_and_what_waits_and_everything_still_arrives() {
    for before in [true, false] {
        let mut net = Net::new();
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        let small = SocketOption::ReceiveBuffer(4096);
        if before {
            set(&mut net, socket, small).unwrap();
        }
        let listener = listen(&mut net, socket, at(A, 80));
        let b = net.connect_b(at(A, 80)).unwrap();
        net.settle();
        let a = listener.queue.try_accept().unwrap();
        set(&mut net, a.handle, small).unwrap();
        let written = stuck(&mut net, &b);
        let Ok(Outcome::Info(info)) = net.call_b(Verb::Info { socket: b.handle }) else { panic!() };
        let taken = info.summary.bytes_out as usize - info.send_queue;
        // In the ring of the connection, which was made before it was told, and in the pipe.
        let most = if before { 2 * 4096 } else { 65_535 + 4096 };
        assert!(taken <= most && taken > most / 2, "{taken} of {most}");
        let mut read = 0;
        let mut buffer = [0; 4096];
        // No slower than the reader, who makes room four times in a second.
        for _ in 0..written / 4096 + 20 {
            while let Ok(count) = a.pipe.try_read(&mut buffer) {
                read += count;
            }
            net.run(Duration::from_millis(250));
        }
        assert_eq!(read, written);
    }
}

#[test]
fn a_small_send_buffer_bounds_what_waits_to_be_acknowledged() {
    for before in [true, false] {
        let mut net = Net::new();
        let Ok(Outcome::Listener(there)) =
            net.call_b(Verb::OpenListener { local: at(B, 80), backlog: 1, v6_only: true })
        else {
            panic!()
        };
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        let small = SocketOption::SendBuffer(8192);
        if before {
            set(&mut net, socket, small).unwrap();
        }
        let a = connect(&mut net, socket, at(B, 80));
        net.settle();
        set(&mut net, socket, small).unwrap();
        let b = there.queue.try_accept().unwrap();
        let mut written = 0;
        let mut received = 0;
        for _ in 0..100 {
            while let Ok(count) = a.try_write(&[7; 4096]) {
                written += count;
            }
            net.settle();
            let Ok(Outcome::Info(info)) = net.call_a(Verb::Info { socket }) else { panic!() };
            assert!(info.send_queue <= 8192, "{}", info.send_queue);
            net.run(Duration::from_millis(20));
            let mut buffer = [0; 65_536];
            while let Ok(count) = b.pipe.try_read(&mut buffer) {
                received += count;
            }
        }
        assert!(received > 100_000 && written >= received);
    }
}
