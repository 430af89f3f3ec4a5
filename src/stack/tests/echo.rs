//! ICMP echo sockets.

use std::io::IoSliceMut;

use super::icmp::unreachable;
use super::*;
use crate::config::Loopback;
use crate::error::Error;
use crate::observe::Rule;
use crate::pipe::Received;
use crate::socket::{Domain, Kind, Protocol, SocketOption};

/// A socket of A that is neither TCP nor UDP.
pub(super) fn open_a(net: &mut Net, domain: Domain, kind: Kind) -> DatagramSocket {
    opened(net.call_a(Verb::Open { domain, kind }))
}

/// The same of B.
pub(super) fn open_b(net: &mut Net, domain: Domain, kind: Kind) -> DatagramSocket {
    opened(net.call_b(Verb::Open { domain, kind }))
}

fn opened(outcome: Result<Outcome>) -> DatagramSocket {
    match outcome {
        Ok(Outcome::Datagram(socket)) => socket,
        other => panic!("{other:?}"),
    }
}

pub(super) fn set_a(net: &mut Net, socket: &DatagramSocket, option: SocketOption) {
    net.call_a(Verb::SetOption { socket: socket.handle, option }).unwrap();
}

/// What the next call of its program gives: the bytes, and from whom.
pub(super) fn next(socket: &DatagramSocket) -> Result<(Vec<u8>, SocketAddr)> {
    let mut buffer = vec![0; 65_536];
    let (count, peer, _) = socket.pipe.try_receive(&mut buffer)?;
    Ok((buffer[..count].to_vec(), peer))
}

/// The IP packets that A has sent.
pub(super) fn packets_of_a(net: &Net) -> Vec<Vec<u8>> {
    let is_ip = |bytes: &[u8]| matches!(bytes[12..14], [8, 0] | [0x86, 0xdd]);
    let out = net.a.seen.frames.iter().filter(|(_, way, bytes, _)| *way == Direction::Out && is_ip(bytes));
    out.map(|(_, _, bytes, _)| bytes[14..].to_vec()).collect()
}

const FAMILIES: [(Domain, &str, u8, u8); 2] = [(Domain::Inet, B, 8, 0), (Domain::Inet6, B6, 128, 129)];

/// A request whose identifier and checksum are nonsense.
pub(super) fn request(kind: u8, sequence: u8, data: &[u8]) -> Vec<u8> {
    [&[kind, 0, 9, 9, 9, 9, 0, sequence], data].concat()
}

pub(super) fn echo_a(net: &mut Net, domain: Domain, identifier: u16) -> DatagramSocket {
    let socket = open_a(net, domain, Kind::Echo);
    let wildcard = if domain == Domain::Inet { "0.0.0.0" } else { "::" };
    net.call_a(Verb::Bind { socket: socket.handle, local: at(wildcard, identifier).into() }).unwrap();
    socket
}

#[test]
fn a_request_is_sent_with_the_sockets_identifier_and_the_reply_comes_back() {
    let mut net = Net::new();
    for (domain, peer, kind, reply) in FAMILIES {
        let socket = echo_a(&mut net, domain, 0x1234);
        for size in [0, 1, 56, 8000, 65_000] {
            let data: Vec<u8> = (0..size).map(|i| i as u8).collect();
            socket.pipe.try_send(&request(kind, 7, &data), at(peer, 0), None).unwrap();
            net.settle();
            let (message, from) = next(&socket).unwrap();
            assert_eq!(from, at(peer, 0));
            assert_eq!((&message[..2], &message[4..8]), (&[reply, 0][..], &[0x12, 0x34, 0, 7][..]));
            assert_eq!(message[8..], data[..], "{domain:?} {size}");
            assert_eq!(next(&socket), Err(Error::WouldBlock));
        }
    }
    assert_eq!(net.a.stack.counters().of(Rule::IcmpEchoReply), 0);
}

#[test]
fn a_socket_that_did_not_choose_gets_an_identifier_and_each_hears_its_own_replies() {
    let mut net = Net::new();
    let sockets: Vec<_> = (0..5).map(|_| open_a(&mut net, Domain::Inet, Kind::Echo)).collect();
    for (number, socket) in sockets.iter().enumerate() {
        socket.pipe.try_send(&request(8, number as u8, b"data"), at(B, 0), None).unwrap();
    }
    net.settle();
    let mut identifiers = Vec::new();
    for (number, socket) in sockets.iter().enumerate() {
        let (message, _) = next(socket).unwrap();
        assert_eq!((message[7], next(socket)), (number as u8, Err(Error::WouldBlock)));
        let Ok(Outcome::Address(local)) = net.call_a(Verb::LocalAddress { socket: socket.handle }) else { panic!() };
        let local = local.as_socket().unwrap();
        assert_eq!(local.port().to_be_bytes(), message[4..6]);
        identifiers.push(local.port());
    }
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 5);
}

#[test]
fn an_identifier_that_is_not_shared_belongs_to_one_socket_until_it_is_closed() {
    let mut net = Net::new();
    let (first, second) = (echo_a(&mut net, Domain::Inet, 7), open_a(&mut net, Domain::Inet, Kind::Echo));
    set_a(&mut net, &second, SocketOption::ReuseAddress(false));
    let local = at("0.0.0.0", 7);
    let again = net.call_a(Verb::Bind { socket: second.handle, local: local.into() });
    assert_eq!(again.unwrap_err(), Error::AddressInUse);
    assert_eq!(net.call_a(Verb::Bind { socket: first.handle, local: local.into() }).unwrap_err(), Error::InvalidInput);
    let foreign = net.call_a(Verb::Bind { socket: second.handle, local: at("192.0.2.1", 8).into() });
    assert_eq!(foreign.unwrap_err(), Error::AddressNotAvailable);
    drop(first);
    net.settle();
    net.call_a(Verb::Bind { socket: second.handle, local: local.into() }).unwrap();
    let _udp = net.bind_a(local);
    drop(second);
    net.settle();
    assert_eq!(net.a.stack.sockets(), 1, "the UDP socket");
}

/// As Linux 6.18 does it.
#[test]
fn an_identifier_is_shared_unless_somebody_minds_and_the_last_one_bound_hears() {
    let mut net = Net::new();
    let [first, last] = [0; 2].map(|_| echo_a(&mut net, Domain::Inet, 7));
    first.pipe.try_send(&request(8, 0, b""), at(B, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&first), Err(Error::WouldBlock));
    assert!(next(&last).is_ok());
}

#[test]
fn a_reply_that_nobody_asked_for_is_dropped_by_name() {
    let mut net = Net::new();
    let socket = echo_a(&mut net, Domain::Inet, 7);
    net.call_a(Verb::Connect { socket: socket.handle, remote: at("192.168.69.200", 0).into() }).unwrap();
    let raw = open_b(&mut net, Domain::Inet, Kind::Raw(crate::socket::Protocol::ICMP));
    // Checksums that are right: one for another identifier, one not from the peer that the socket is connected to.
    for reply in [[0, 0, 0xff, 0xf6, 0, 9, 0, 0], [0, 0, 0xff, 0xf8, 0, 7, 0, 0]] {
        raw.pipe.try_send(&reply, at(A, 0), None).unwrap();
    }
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::IcmpEchoReply), 2);
    assert_eq!(next(&socket), Err(Error::WouldBlock));
    net.call_a(Verb::Disconnect { socket: socket.handle }).unwrap();
    raw.pipe.try_send(&[0, 0, 0xff, 0xf8, 0, 7, 0, 0], at(A, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&socket).map(|(message, _)| message.len()), Ok(8));
}

#[test]
fn what_is_no_echo_request_is_refused() {
    let mut net = Net::new();
    for (domain, peer, kind, reply) in FAMILIES {
        let socket = echo_a(&mut net, domain, 3);
        let long = vec![kind; 65_534];
        for (bytes, error) in [
            (&[kind, 0, 0, 0, 0, 0, 0][..], Error::InvalidInput),
            (&[], Error::InvalidInput),
            (&[kind, 1, 0, 0, 0, 0, 0, 0], Error::InvalidInput),
            (&[reply, 0, 0, 0, 0, 0, 0, 0], Error::InvalidInput),
            (&long, Error::InvalidInput),
        ] {
            socket.pipe.try_send(bytes, at(peer, 0), None).unwrap();
            net.settle();
            assert_eq!(next(&socket), Err(error), "{domain:?} {}", bytes.len());
        }
        let other = if domain == Domain::Inet { B6 } else { B };
        socket.pipe.try_send(&request(kind, 0, b""), at(other, 0), None).unwrap();
        net.settle();
        assert_eq!(next(&socket), Err(Error::FamilyNotSupported));
        if domain == Domain::Inet6 {
            socket.pipe.try_send(&request(kind, 0, b""), at("::ffff:192.168.69.100", 0), None).unwrap();
            net.settle();
            assert_eq!(next(&socket), Err(Error::InvalidInput));
        }
    }
    let socket = echo_a(&mut net, Domain::Inet, 3);
    socket.pipe.try_send(&request(8, 0, &[0; 65_520]), at(B, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&socket), Err(Error::MessageTooLong));
    socket.pipe.try_send(&request(8, 0, b""), at("192.168.69.255", 0), None).unwrap();
    net.settle();
    assert_eq!(next(&socket), Err(Error::PermissionDenied), "SO_BROADCAST");
}

#[test]
fn its_options_are_in_the_header() {
    let mut net = Net::new();
    let four = echo_a(&mut net, Domain::Inet, 1);
    set_a(&mut net, &four, SocketOption::Ttl(3));
    set_a(&mut net, &four, SocketOption::Tos(0xb8));
    let six = echo_a(&mut net, Domain::Inet6, 1);
    set_a(&mut net, &six, SocketOption::UnicastHops(4));
    set_a(&mut net, &six, SocketOption::TrafficClass(0xb8));
    net.a.seen.frames.clear();
    four.pipe.try_send(&request(8, 0, b""), at(B, 0), None).unwrap();
    six.pipe.try_send(&request(128, 0, b""), at(B6, 0), None).unwrap();
    net.settle();
    let sent = packets_of_a(&net);
    let request =
        |first: u8, at: usize, kind| sent.iter().find(|packet| packet[0] >> 4 == first && packet[at] == kind).unwrap();
    let (four, six) = (request(4, 20, 8), request(6, 40, 128));
    assert_eq!((four[0], four[1], four[8], four[9]), (0x45, 0xb8, 3, 1));
    assert_eq!((six[0], six[1], six[6], six[7]), (0x6b, 0x80, 58, 4));
}

/// The first echo request that A has sent.
fn request_of_a(net: &Net) -> Vec<u8> {
    packets_of_a(net).into_iter().find(|packet| packet[0] == 0x45 && packet[9] == 1 && packet[20] == 8).unwrap()
}

#[test]
fn an_icmp_error_about_a_request_reaches_the_socket_as_it_wants() {
    let mut bench = super::wire::Bench::new();
    let socket = echo_a(&mut bench.net, Domain::Inet, 0x4321);
    bench.net.a.seen.frames.clear();
    socket.pipe.try_send(&request(8, 1, b"data"), at(B, 0), None).unwrap();
    bench.idle(Duration::ZERO);
    let sent = request_of_a(&bench.net);
    // Not connected: nothing. Connected: what will not pass. With IP_RECVERR: everything.
    let told = |bench: &mut super::wire::Bench, code| {
        bench.inject(&unreachable(code, 0, &sent), Duration::ZERO);
        assert_eq!(bench.fate().rule, Some(Rule::IcmpErrorDelivered));
        next(&socket).unwrap_err()
    };
    assert_eq!(told(&mut bench, 3), Error::WouldBlock);
    let call = |bench: &mut super::wire::Bench, verb| {
        bench.net.a.begin(verb);
        bench.idle(Duration::ZERO);
        bench.completion().unwrap().result.unwrap();
    };
    call(&mut bench, Verb::Connect { socket: socket.handle, remote: at(B, 0).into() });
    assert_eq!(told(&mut bench, 1), Error::WouldBlock);
    assert_eq!(told(&mut bench, 3), Error::ConnectionRefused);
    call(&mut bench, Verb::SetOption { socket: socket.handle, option: SocketOption::ReceiveErrors(true) });
    assert_eq!(told(&mut bench, 1), Error::HostUnreachable);
    let mut other = sent.clone();
    other[24] ^= 1;
    bench.inject(&unreachable(1, 0, &other), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::IcmpErrorUnmatched), "another identifier");
    bench.inject(&unreachable(4, 600, &sent), Duration::ZERO);
    assert_eq!(bench.fate().rule, Some(Rule::IcmpErrorUnmatched), "nothing so large was sent");
}

#[test]
fn a_neighbour_that_does_not_answer_is_told_to_who_wants_errors() {
    let mut net = Net::new();
    for (domain, dead, kind) in [(Domain::Inet, "192.168.69.77", 8), (Domain::Inet6, "fd69::77", 128)] {
        let socket = echo_a(&mut net, domain, 1);
        set_a(&mut net, &socket, SocketOption::ReceiveErrors(true));
        socket.pipe.try_send(&request(kind, 0, b""), at(dead, 0), None).unwrap();
        net.run(Duration::from_secs(10));
        assert_eq!(next(&socket), Err(Error::HostUnreachable));
    }
}

#[test]
fn replies_that_nobody_reads_are_bounded_and_dropped_by_name() {
    let mut net = Net::new();
    let socket = echo_a(&mut net, Domain::Inet, 1);
    let mut sent = 0;
    for _ in 0..600 {
        sent += u64::from(socket.pipe.try_send(&request(8, 0, &[0; 1000]), at(B, 0), None).is_ok());
        net.settle();
    }
    let mut received = 0;
    while next(&socket).is_ok() {
        received += 1;
        net.settle();
    }
    let dropped = net.a.stack.counters().of(Rule::EchoBufferFull);
    assert!(dropped > 0 && received > 100, "{received} received, {dropped} dropped");
    assert_eq!(received + dropped, sent);
}

#[test]
fn at_the_limit_on_memory_no_reply_is_kept_and_what_waits_is_counted() {
    let mut config = config_a();
    config.limits.memory = 100_000;
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let socket = echo_a(&mut net, Domain::Inet, 1);
    for _ in 0..200 {
        let _ = socket.pipe.try_send(&request(8, 0, &[0; 1000]), at(B, 0), None);
        net.settle();
        assert!(net.a.stack.memory_used() <= 102_200);
    }
    assert!(net.a.stack.counters().of(Rule::EchoMemoryLimit) > 0);
    drop(socket);
    net.settle();
    assert_eq!(net.a.stack.memory_used(), 0);
}

#[test]
fn ourselves_can_be_asked_too() {
    let mut net = Net::new();
    for (domain, own, kind) in
        [(Domain::Inet, A, 8), (Domain::Inet, "127.0.0.1", 8), (Domain::Inet6, A6, 128), (Domain::Inet6, "::1", 128)]
    {
        let socket = open_a(&mut net, domain, Kind::Echo);
        socket.pipe.try_send(&request(kind, 5, b"hello"), at(own, 0), None).unwrap();
        net.run(Duration::from_millis(10));
        let (message, from) = next(&socket).unwrap();
        assert_eq!((from, &message[6..]), (at(own, 0), &b"\0\x05hello"[..]));
    }
}

/// The reply to a request to ourselves with all that is told of it, and how many packets it took.
fn own_reply(net: &mut Net, socket: &DatagramSocket, (own, kind): (&str, u8)) -> (Vec<u8>, Received, usize) {
    net.a.seen.packets.clear();
    socket.pipe.try_send(&request(kind, 5, b"hello"), at(own, 0), None).unwrap();
    net.run(Duration::from_millis(10));
    let mut buffer = [0; 64];
    let received = socket.pipe.try_receive_message(&mut [IoSliceMut::new(&mut buffer)], false).unwrap().unwrap();
    (buffer[..received.count].to_vec(), received, net.a.seen.packets.len())
}

#[test]
fn our_own_reply_is_the_same_with_packets_and_without_and_raw_sockets_make_it_packets() {
    for (domain, own, kind) in
        [(Domain::Inet, A, 8), (Domain::Inet, "127.9.8.7", 8), (Domain::Inet6, A6, 128), (Domain::Inet6, "::1", 128)]
    {
        let [wire, fast] = [Loopback::Wire, Loopback::Fast].map(|loopback| {
            let config = Config { loopback, ..config_a() };
            let mut net = Net::with(FaultConfig::default(), config, config_b());
            let socket = echo_a(&mut net, domain, 7);
            for option in [SocketOption::Ttl(3), SocketOption::Tos(0xb8)] {
                set_a(&mut net, &socket, option);
            }
            if domain == Domain::Inet6 {
                set_a(&mut net, &socket, SocketOption::UnicastHops(3));
                set_a(&mut net, &socket, SocketOption::TrafficClass(0xb8));
            }
            let before = own_reply(&mut net, &socket, (own, kind));
            let icmp = if domain == Domain::Inet { Protocol::ICMP } else { Protocol::ICMPV6 };
            let raw = open_a(&mut net, domain, Kind::Raw(icmp));
            let heard = own_reply(&mut net, &socket, (own, kind));
            assert_eq!((heard.2, next(&raw).is_ok(), next(&raw).is_ok()), (4, true, true), "two, out and in");
            assert_eq!((&before.0, before.1), (&heard.0, heard.1));
            drop(raw);
            net.settle();
            assert_eq!(own_reply(&mut net, &socket, (own, kind)), before);
            before
        });
        assert_eq!((&wire.0, wire.1), (&fast.0, fast.1), "{own}");
        assert_eq!((wire.2, fast.2), (4, 0));
        assert_eq!(
            fast.1.addresses.header.map(|header| header.hop_limit),
            Some(64),
            "a reply is a packet of the stack"
        );
    }
}
