//! What options do for sockets of packets, and that what they send to groups is heard here too.

use smoltcp::wire::Ipv4Packet;

use super::super::echo::{next, open_a, open_b, packets_of_a, set_a};
use super::*;
use crate::error::Error;
use crate::observe::Rule;
use crate::socket::{Domain, ErrorOrigin, Kind, MtuDiscovery, OptionName, Protocol, QueuedError, SocketOption};

const GROUP: &str = "239.1.2.3";
const GROUP6: &str = "ff15::99";
const TESTING: Kind = Kind::Raw(Protocol::TESTING);

fn get(net: &mut Net, socket: &DatagramSocket, name: OptionName) -> Result<SocketOption> {
    match net.call_a(Verb::GetOption { socket: socket.handle, name })? {
        Outcome::Option(option) => Ok(option),
        other => panic!("{other:?}"),
    }
}

fn join_a(net: &mut Net, socket: &DatagramSocket, group: &str) {
    let group = group.parse().unwrap();
    net.call_a(Verb::JoinGroup { socket: socket.handle, group, interface: None }).unwrap();
}

/// An echo request with data, or any payload of as many bytes.
fn message(kind: u8, length: usize) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 1][..], &vec![7; length - 8]].concat()
}

/// Of IPv4 and its sockets: whether routers may cut what goes out, and what does not go out at all.
#[test]
fn who_may_cut_a_packet_is_the_sockets_choice() {
    for kind in [Kind::Echo, TESTING] {
        let mut net = Net::new();
        let _there = open_b(&mut net, Domain::Inet, TESTING);
        let socket = open_a(&mut net, Domain::Inet, kind);
        let send = |net: &mut Net, discovery, bytes| {
            set_a(net, &socket, SocketOption::MtuDiscover(discovery));
            net.a.seen.frames.clear();
            socket.pipe.try_send(&message(8, bytes), at(B, 0), None).unwrap();
            net.settle();
            let sent = packets_of_a(net);
            let cuttable = sent.iter().filter(|packet| !Ipv4Packet::new_unchecked(packet).dont_frag()).count();
            let told = socket.pipe.take_error();
            while next(&socket).is_ok() {}
            told.map(|()| (sent.len(), cuttable))
        };
        discovers(&mut net, 1480, send);
    }
}

#[test]
fn a_probe_of_ipv6_has_its_checksum_and_arrives() {
    let mut net = Net::new();
    let datagrams = net.bind_a(at("::", 5000));
    let echo = open_a(&mut net, Domain::Inet6, Kind::Echo);
    let there = net.bind_b(at("::", 9));
    for socket in [&datagrams, &echo] {
        set_a(&mut net, socket, SocketOption::MtuDiscoverV6(MtuDiscovery::Probe));
    }
    let now = net.now;
    assert!(net.a.stack.ip.learn_path_mtu(now, B6.parse().unwrap(), 1300));
    datagrams.pipe.try_send(&[7; 1400], at(B6, 9), None).unwrap();
    echo.pipe.try_send(&message(128, 1400), at(B6, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&there), Ok((vec![7; 1400], at(A6, 5000))));
    assert_eq!(next(&echo).map(|(reply, _)| (reply[0], reply.len())), Ok((129, 1400)));
    assert_eq!(packets_of_a(&net).iter().filter(|packet| packet.len() > 1300).count(), 2, "neither was cut");
}

#[test]
fn what_is_too_long_to_be_sent_uncut_is_told_with_what_would_fit() {
    let mut net = Net::new();
    let socket = open_a(&mut net, Domain::Inet, TESTING);
    set_a(&mut net, &socket, SocketOption::MtuDiscover(MtuDiscovery::Do));
    set_a(&mut net, &socket, SocketOption::ReceiveErrors(true));
    socket.pipe.try_send(&[0; 1481], at(B, 0), None).unwrap();
    net.settle();
    assert_eq!(socket.pipe.take_error(), Err(Error::MessageTooLong));
    let Ok(Outcome::QueuedError(Some(error))) = net.call_a(Verb::TakeQueuedError { socket: socket.handle }) else {
        panic!()
    };
    let QueuedError { error, origin, info, destination, .. } = *error;
    assert_eq!((error, origin, info), (Error::MessageTooLong, ErrorOrigin::Local, 1500));
    assert_eq!(destination, at(B, 0));
}

#[test]
fn the_mtu_of_a_connected_socket_of_packets_is_that_of_its_way() {
    let mut net = Net::new();
    for kind in [Kind::Echo, TESTING] {
        let socket = open_a(&mut net, Domain::Inet, kind);
        assert_eq!(get(&mut net, &socket, OptionName::Mtu), Err(Error::NotConnected));
        net.call_a(Verb::Connect { socket: socket.handle, remote: at(B, 0).into() }).unwrap();
        assert_eq!(get(&mut net, &socket, OptionName::Mtu), Ok(SocketOption::Mtu(1500)));
    }
}

#[test]
fn a_group_is_sent_to_from_the_address_that_was_chosen() {
    let second = "192.168.69.7";
    let mut config = config_a();
    config.addresses.push(format!("{second}/24").parse().unwrap());
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    for kind in [Kind::Echo, TESTING] {
        let socket = open_a(&mut net, Domain::Inet, kind);
        for (chosen, source) in [("0.0.0.0", A), (second, second)] {
            set_a(&mut net, &socket, SocketOption::MulticastInterface(chosen.parse().unwrap()));
            net.a.seen.frames.clear();
            socket.pipe.try_send(&message(8, 20), at(GROUP, 0), None).unwrap();
            net.settle();
            let sent = packets_of_a(&net);
            assert_eq!(sent.len(), 1);
            assert_eq!(Ipv4Packet::new_unchecked(&sent[0]).src_addr().to_string(), source, "{kind:?}");
        }
    }
}

/// As on Linux, where a group's packets are looped whole: to whatever sockets hear such packets.
#[test]
fn what_is_sent_to_a_group_is_heard_by_members_on_this_stack_of_every_kind() {
    for (domain, group, request) in [(Domain::Inet, GROUP, 8), (Domain::Inet6, GROUP6, 128)] {
        let mut net = Net::new();
        let (icmp, header) = match domain {
            Domain::Inet => (Protocol::ICMP, 20),
            _ => (Protocol::ICMPV6, 0),
        };
        let wildcard = if domain == Domain::Inet { "0.0.0.0" } else { "::" };
        let hears_testing = open_a(&mut net, domain, TESTING);
        let hears_icmp = open_a(&mut net, domain, Kind::Raw(icmp));
        let hears_udp = open_a(&mut net, domain, Kind::Raw(Protocol::UDP));
        let datagrams = net.bind_a(at(wildcard, 4000));
        join_a(&mut net, &hears_testing, group);
        let echo = open_a(&mut net, domain, Kind::Echo);
        while next(&hears_icmp).is_ok() {}
        net.a.seen.frames.clear();

        hears_testing.pipe.try_send(b"to all", at(group, 0), None).unwrap();
        echo.pipe.try_send(&message(request, 20), at(group, 0), None).unwrap();
        datagrams.pipe.try_send(b"datagram", at(group, 4000), None).unwrap();
        // From port 9 to 4000, without a checksum, which IPv6 does not allow.
        hears_udp.pipe.try_send(&[0, 9, 15, 160, 0, 9, 0, 0, b'x'], at(group, 0), None).unwrap();
        net.settle();
        assert_eq!(next(&hears_testing).map(|(packet, _)| packet[header..].to_vec()), Ok(b"to all".to_vec()));
        let (heard, _) = next(&hears_icmp).unwrap();
        assert_eq!((heard[header], heard.len() - header), (request, 20));
        assert_eq!(next(&datagrams).map(|(bytes, _)| bytes), Ok(b"datagram".to_vec()));
        let other = if domain == Domain::Inet { Ok(b"x".to_vec()) } else { Err(Error::WouldBlock) };
        assert_eq!(next(&datagrams).map(|(bytes, _)| bytes), other);
        let heard: Vec<u8> =
            std::iter::from_fn(|| next(&hears_udp).ok()).map(|(packet, _)| packet[header + 8]).collect();
        assert_eq!(heard, b"dx");
        let to_group = packets_of_a(&net);
        let to_group = to_group.iter().filter(|packet| header == 0 || packet[16] == 239).count();
        assert!(to_group >= 4, "the link has them too: {to_group}");
    }
}

#[test]
fn what_must_not_be_looped_is_not_and_what_has_no_hops_stays() {
    let mut net = Net::new();
    let socket = open_a(&mut net, Domain::Inet, TESTING);
    join_a(&mut net, &socket, GROUP);
    for (hops, looped, is_sent) in [(1, true, 1), (1, false, 1), (0, true, 0), (0, false, 0)] {
        set_a(&mut net, &socket, SocketOption::MulticastTtl(hops));
        set_a(&mut net, &socket, SocketOption::MulticastLoop(looped));
        net.a.seen.frames.clear();
        socket.pipe.try_send(b"to all", at(GROUP, 0), None).unwrap();
        net.settle();
        assert_eq!((next(&socket).is_ok(), packets_of_a(&net).len()), (looped, is_sent), "{hops} {looped}");
    }
}

#[test]
fn a_small_receive_buffer_bounds_what_waits_for_the_program_and_one_message_always_may() {
    let mut net = Net::new();
    let raw = open_a(&mut net, Domain::Inet, TESTING);
    let udp = net.bind_a(at("0.0.0.0", 4000));
    let sender = open_b(&mut net, Domain::Inet, TESTING);
    let datagrams = net.bind_b(at("0.0.0.0", 4000));
    for (socket, send, to, rule) in
        [(&raw, &sender, at(A, 0), Rule::RawBufferFull), (&udp, &datagrams, at(A, 4000), Rule::UdpBufferFull)]
    {
        // Half of it in the stack, and half of it at the program, where `net::Socket` sets it.
        set_a(&mut net, socket, SocketOption::ReceiveBuffer(4096));
        socket.pipe.set_receive_capacity(4096);
        for _ in 0..40 {
            send.pipe.try_send(&[1; 1000], to, None).unwrap();
            net.settle();
        }
        let waiting = std::iter::from_fn(|| {
            let message = next(socket).ok();
            net.settle();
            message
        });
        let waiting = waiting.count();
        assert!((6..=8).contains(&waiting), "{waiting}");
        assert_eq!(net.a.stack.counters().of(rule), 40 - waiting as u64);
        send.pipe.try_send(&[2; 20_000], to, None).unwrap();
        net.settle();
        assert!(next(socket).is_ok_and(|(bytes, _)| bytes.len() >= 20_000));
    }
}
