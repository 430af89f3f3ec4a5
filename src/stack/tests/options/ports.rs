//! Who shares a port, and how.

use super::*;

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
