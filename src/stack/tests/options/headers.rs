//! What stands in the headers, and how long packets may be.

use super::*;

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
    let send = |net: &mut Net, discovery, bytes| {
        set(net, socket.handle, SocketOption::MtuDiscover(discovery)).unwrap();
        net.a.seen.frames.clear();
        socket.pipe.try_send(&vec![7; bytes], at(B, 9), None).unwrap();
        net.settle();
        let sent = sent(net, 17);
        let cuttable = sent.iter().filter(|packet| !Ipv4Packet::new_unchecked(packet).dont_frag()).count();
        socket.pipe.take_error().map(|()| (sent.len(), cuttable))
    };
    discovers(&mut net, 1472, send);
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
