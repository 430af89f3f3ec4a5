//! Raw sockets.

use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

use super::echo::{next, open_a, open_b, packets_of_a, set_a};
use super::*;
use crate::error::Error;
use crate::observe::Rule;
use crate::socket::{Domain, Kind, Protocol, SocketOption};

const UNKNOWN: Protocol = Protocol::TESTING;

fn raw(protocol: Protocol) -> Kind {
    Kind::Raw(protocol)
}

/// What came to A as IP packets.
fn packets_to_a(net: &Net) -> Vec<Vec<u8>> {
    let is_ip = |bytes: &[u8]| matches!(bytes[12..14], [8, 0] | [0x86, 0xdd]);
    let came = net.a.seen.frames.iter().filter(|(_, way, bytes, _)| *way == Direction::In && is_ip(bytes));
    came.map(|(_, _, bytes, _)| bytes[14..].to_vec()).collect()
}

#[test]
fn a_raw_socket_sees_packets_as_they_were_on_the_wire_and_others_get_them_too() {
    let mut net = Net::new();
    let icmp = open_a(&mut net, Domain::Inet, raw(Protocol::ICMP));
    let udp = open_a(&mut net, Domain::Inet, raw(Protocol::UDP));
    let tcp = open_a(&mut net, Domain::Inet, raw(Protocol::TCP));
    assert_eq!(icmp.local, at("0.0.0.0", 1), "as on Linux the port is the protocol");
    let owner = net.bind_a(at("0.0.0.0", 7));
    let (_a, _b, _listener) = net.connected();
    net.a.seen.frames.clear();
    let peer = net.bind_b(at(B, 9));
    peer.pipe.try_send(b"datagram", at(A, 7), None).unwrap();
    let ping = open_b(&mut net, Domain::Inet, Kind::Echo);
    ping.pipe.try_send(&[8, 0, 0, 0, 0, 0, 0, 1, 42], at(A, 0), None).unwrap();
    net.settle();
    let came = packets_to_a(&net);
    let with = |protocol| came.iter().find(|packet| packet[9] == protocol).unwrap().clone();
    assert_eq!(next(&icmp), Ok((with(1), at(B, 0))));
    assert_eq!(next(&udp), Ok((with(17), at(B, 0))));
    assert_eq!(next(&owner).map(|(bytes, _)| bytes), Ok(b"datagram".to_vec()));
    assert_eq!(next(&ping).map(|(bytes, _)| bytes[8]), Ok(42), "it was answered");
    // The handshake: SYN and ACK.
    let flags: Vec<u8> = std::iter::from_fn(|| next(&tcp).ok()).map(|(packet, _)| packet[33]).collect();
    assert_eq!(flags, [0x02, 0x10]);
}

#[test]
fn of_ipv6_a_raw_socket_sees_the_payload() {
    let mut net = Net::new();
    let icmp = open_a(&mut net, Domain::Inet6, raw(Protocol::ICMPV6));
    let udp = open_a(&mut net, Domain::Inet6, raw(Protocol::UDP));
    let peer = net.bind_b(at(B6, 9));
    let ping = open_b(&mut net, Domain::Inet6, Kind::Echo);
    net.a.seen.frames.clear();
    peer.pipe.try_send(b"datagram", at(A6, 7), None).unwrap();
    ping.pipe.try_send(&[128, 0, 0, 0, 0, 0, 0, 1, 42], at(A6, 0), None).unwrap();
    net.settle();
    let came = packets_to_a(&net);
    let datagram = came.iter().find(|packet| packet[6] == 17).unwrap();
    assert_eq!(next(&udp), Ok((datagram[40..].to_vec(), at(B6, 0))));
    assert_eq!(net.a.stack.counters().of(Rule::UdpNoSocket), 1, "a copy does not make the port anybody's");
    let all: Vec<_> = std::iter::from_fn(|| next(&icmp).ok()).collect();
    assert!(all.iter().any(|(message, from)| message[0] == 128 && message[8] == 42 && from.ip() == at(B6, 0).ip()));
    assert!(all.iter().any(|(message, _)| matches!(message[0], 135 | 136)), "also neighbour messages");
    assert_eq!(next(&ping).map(|(bytes, _)| bytes[8]), Ok(42));
}

#[test]
fn an_unknown_protocol_is_unreachable_unless_a_raw_socket_hears_it() {
    let mut net = Net::new();
    for (domain, own, rule) in [(Domain::Inet, A, Rule::IpUnknownProtocol), (Domain::Inet6, A6, Rule::Ip6NextHeader)] {
        let sender = open_b(&mut net, domain, raw(UNKNOWN));
        let told = |net: &mut Net| {
            let before = net.a.stack.counters().of(rule);
            sender.pipe.try_send(b"payload", at(own, 0), None).unwrap();
            net.run(Duration::from_secs(2));
            net.a.stack.counters().of(rule) - before
        };
        assert_eq!(told(&mut net), 1);
        let socket = open_a(&mut net, domain, raw(UNKNOWN));
        assert_eq!(told(&mut net), 0);
        let (bytes, _) = next(&socket).unwrap();
        let header = if domain == Domain::Inet { 20 } else { 0 };
        assert_eq!(bytes[header..], b"payload"[..]);
        net.call_a(Verb::Connect {
            socket: socket.handle,
            remote: at(if own == A { "192.168.69.9" } else { "fd69::9" }, 0).into(),
        })
        .unwrap();
        assert_eq!(told(&mut net), 1, "it does not want packets from there");
        drop(socket);
        net.settle();
        assert_eq!(told(&mut net), 1);
    }
}

#[test]
fn a_payload_gets_the_header_that_the_options_say_and_is_itself_not_touched() {
    let mut net = Net::new();
    let b = open_b(&mut net, Domain::Inet, raw(Protocol::UDP));
    let a = open_a(&mut net, Domain::Inet, raw(Protocol::UDP));
    set_a(&mut net, &a, SocketOption::Ttl(9));
    set_a(&mut net, &a, SocketOption::Tos(0x2e));
    // Its checksum is wrong and its length too: nobody corrects them.
    let datagram = [0, 7, 0, 9, 0, 99, 0xab, 0xcd, 1, 2, 3];
    a.pipe.try_send(&datagram, at(B, 0), None).unwrap();
    net.settle();
    let (packet, from) = next(&b).unwrap();
    let header = Ipv4Packet::new_checked(&packet[..]).unwrap();
    assert!(header.verify_checksum() && header.dont_frag());
    assert_eq!((packet[1], packet[8], packet[9], from), (0x2e, 9, 17, at(A, 0)));
    assert_eq!(packet[20..], datagram);
}

#[test]
fn a_payload_that_is_too_large_is_cut_whatever_it_is() {
    let mut net = Net::new();
    for (domain, a_to_b) in [(Domain::Inet, B), (Domain::Inet6, B6)] {
        for protocol in [UNKNOWN, Protocol::TCP] {
            let b = open_b(&mut net, domain, raw(protocol));
            let a = open_a(&mut net, domain, raw(protocol));
            for size in [1480, 1481, 4000, 60_000] {
                let payload: Vec<u8> = (0..size).map(|i| (i / 3) as u8).collect();
                a.pipe.try_send(&payload, at(a_to_b, 0), None).unwrap();
                net.settle();
                let (packet, _) = next(&b).unwrap();
                let header = if domain == Domain::Inet { 20 } else { 0 };
                assert_eq!(packet[header..], payload[..], "{domain:?} {protocol:?} {size}");
            }
            a.pipe.try_send(&[0; 65_535], at(a_to_b, 0), None).unwrap();
            net.settle();
            let told = if domain == Domain::Inet { Error::MessageTooLong } else { Error::WouldBlock };
            assert_eq!(next(&a), Err(told));
        }
    }
}

/// An IPv4 packet from A to B with an option, most fields left to the stack.
fn own_header() -> Vec<u8> {
    let mut packet = vec![0x46, 0x10, 0, 0, 0, 0, 0x20, 0x02, 5, 253, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(&[192, 168, 69, 100, 1, 1, 1, 0]);
    packet.extend_from_slice(b"its payload");
    packet
}

#[test]
fn with_its_own_header_a_packet_goes_out_as_it_is_but_for_what_linux_fills_in() {
    let mut net = Net::new();
    for kind in [raw(Protocol::RAW), raw(UNKNOWN)] {
        let a = open_a(&mut net, Domain::Inet, kind);
        if kind == raw(UNKNOWN) {
            set_a(&mut net, &a, SocketOption::HeaderIncluded(true));
        }
        net.a.seen.frames.clear();
        let given = own_header();
        a.pipe.try_send(&given, at(B, 0), None).unwrap();
        net.settle();
        let sent = packets_of_a(&net).remove(0);
        assert!(Ipv4Packet::new_checked(&sent[..]).unwrap().verify_checksum());
        assert_eq!((sent[..2].to_vec(), &sent[6..10], &sent[16..]), (given[..2].to_vec(), &given[6..10], &given[16..]));
        assert_eq!((&sent[2..4], &sent[12..16]), (&[0, 35][..], &[192, 168, 69, 1][..]));
        assert_ne!(sent[4..6], [0, 0]);

        let mut given = own_header();
        given[4..6].copy_from_slice(&[0x77, 0x66]);
        given[12..16].copy_from_slice(&[203, 0, 113, 5]);
        given[2..4].copy_from_slice(&[9, 9]);
        a.pipe.try_send(&given, at(B, 0), None).unwrap();
        net.settle();
        let sent = packets_of_a(&net).remove(1);
        assert_eq!((&sent[2..6], &sent[12..16]), (&[0, 35, 0x77, 0x66][..], &[203, 0, 113, 5][..]));
    }
}

#[test]
fn what_cannot_be_a_packet_is_refused_and_none_is_cut() {
    let mut net = Net::new();
    let a = open_a(&mut net, Domain::Inet, raw(Protocol::RAW));
    let six = open_a(&mut net, Domain::Inet6, raw(Protocol::RAW));
    let mut long = own_header();
    long.resize(1501, 0);
    let mut options = own_header();
    options[0] = 0x4f;
    let mut short = own_header();
    short[0] = 0x44;
    let mut version = own_header();
    version[0] = 0x66;
    for (bytes, error) in [
        (&long[..], Error::MessageTooLong),
        (&options[..30], Error::InvalidInput),
        (&short, Error::InvalidInput),
        (&version, Error::InvalidInput),
        (&own_header()[..19], Error::InvalidInput),
        (&[], Error::InvalidInput),
    ] {
        a.pipe.try_send(bytes, at(B, 0), None).unwrap();
        net.settle();
        assert_eq!(next(&a), Err(error), "{} bytes", bytes.len());
    }
    six.pipe.try_send(&own_header(), at(B6, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&six), Err(Error::InvalidInput));
    long.truncate(1500);
    net.a.seen.frames.clear();
    a.pipe.try_send(&long, at(B, 0), None).unwrap();
    net.settle();
    assert_eq!(packets_of_a(&net)[0].len(), 1500);
}

#[test]
fn an_ipv6_packet_with_its_own_header_is_not_touched() {
    let mut net = Net::new();
    let b = open_b(&mut net, Domain::Inet6, raw(UNKNOWN));
    let a = open_a(&mut net, Domain::Inet6, raw(Protocol::RAW));
    let mut packet = vec![0; 48];
    let mut header = Ipv6Packet::new_unchecked(&mut packet[..]);
    header.set_version(6);
    header.set_flow_label(0x12345);
    header.set_payload_len(8);
    header.set_next_header(UNKNOWN.number().into());
    header.set_hop_limit(7);
    header.set_src_addr(A6.parse().unwrap());
    header.set_dst_addr(B6.parse().unwrap());
    packet[40..].copy_from_slice(b"payload!");
    net.a.seen.frames.clear();
    a.pipe.try_send(&packet, at(B6, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&b), Ok((b"payload!".to_vec(), at(A6, 0))));
    assert!(packets_of_a(&net).contains(&packet));
}

#[test]
fn the_stack_makes_the_checksum_of_icmpv6_alone() {
    let mut net = Net::new();
    let a = open_a(&mut net, Domain::Inet6, raw(Protocol::ICMPV6));
    let b = open_b(&mut net, Domain::Inet6, raw(Protocol::ICMPV6));
    a.pipe.try_send(&[128, 0, 0, 0, 0, 1, 0, 2, 9], at(B6, 0), None).unwrap();
    net.settle();
    let answers: Vec<_> = std::iter::from_fn(|| next(&a).ok()).filter(|(message, _)| message[0] == 129).collect();
    assert_eq!(answers.len(), 1, "it was right, and is answered");
    assert!(std::iter::from_fn(|| next(&b).ok()).any(|(message, _)| message[0] == 128 && message[8] == 9));
    a.pipe.try_send(&[128, 0, 0], at(B6, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&a), Err(Error::InvalidInput), "no room for a checksum");

    let a = open_a(&mut net, Domain::Inet, raw(Protocol::ICMP));
    a.pipe.try_send(&[8, 0, 1, 1, 0, 1, 0, 2], at(B, 0), None).unwrap();
    net.settle();
    assert_eq!(net.b.stack.counters().of(Rule::IcmpChecksum), 1, "of ICMP it is the program's");
}

#[test]
fn a_filter_keeps_icmp_messages_away_by_their_type() {
    let mut net = Net::new();
    for (domain, own, protocol, request, checksum) in
        [(Domain::Inet, A, Protocol::ICMP, 8u8, [0xf7, 0xff]), (Domain::Inet6, A6, Protocol::ICMPV6, 128, [0, 0])]
    {
        let socket = open_a(&mut net, domain, raw(protocol));
        let sender = open_b(&mut net, domain, raw(protocol));
        let ask = |net: &mut Net| {
            sender.pipe.try_send(&[request, 0, checksum[0], checksum[1], 0, 0, 0, 0], at(own, 0), None).unwrap();
            net.settle();
            let header = if domain == Domain::Inet { 20 } else { 0 };
            std::iter::from_fn(|| next(&socket).ok()).filter(|(bytes, _)| bytes[header] == request).count()
        };
        assert_eq!(ask(&mut net), 1);
        let mut filter = [0; 8];
        filter[usize::from(request) / 32] = 1 << (request % 32);
        set_a(&mut net, &socket, SocketOption::IcmpFilter(filter));
        assert_eq!(ask(&mut net), 0);
        filter = [u32::MAX; 8];
        filter[usize::from(request) / 32] = !(1 << (request % 32));
        set_a(&mut net, &socket, SocketOption::IcmpFilter(filter));
        assert_eq!(ask(&mut net), 1);
    }
    let udp = open_a(&mut net, Domain::Inet, raw(Protocol::UDP));
    let option = SocketOption::IcmpFilter([0; 8]);
    let refused = net.call_a(Verb::SetOption { socket: udp.handle, option });
    assert_eq!(refused.unwrap_err(), Error::ProtocolNotAvailable);
}

#[test]
fn bound_and_connected_it_hears_less() {
    let mut config = config_a();
    config.addresses.push("192.168.69.2/24".parse().unwrap());
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let [all, bound, connected] = [0; 3].map(|_| open_a(&mut net, Domain::Inet, raw(UNKNOWN)));
    let bind = |net: &mut Net, local: SocketAddr| net.call_a(Verb::Bind { socket: bound.handle, local: local.into() });
    assert_eq!(bind(&mut net, at("192.0.2.1", 0)).unwrap_err(), Error::AddressNotAvailable);
    let Ok(Outcome::Address(local)) = bind(&mut net, at("192.168.69.2", 99)) else { panic!() };
    assert_eq!(local, at("192.168.69.2", 253).into());
    net.call_a(Verb::Connect { socket: connected.handle, remote: at("192.168.69.50", 0).into() }).unwrap();
    let sender = open_b(&mut net, Domain::Inet, raw(UNKNOWN));
    for own in [A, "192.168.69.2"] {
        sender.pipe.try_send(b"x", at(own, 0), None).unwrap();
    }
    net.settle();
    let count = |socket| std::iter::from_fn(|| next(socket).ok()).count();
    assert_eq!((count(&all), count(&bound), count(&connected)), (2, 1, 0));
    // And it sends from where it is bound.
    bound.pipe.try_send(b"x", at(B, 0), None).unwrap();
    net.settle();
    assert_eq!(next(&sender).map(|(_, from)| from), Ok(at("192.168.69.2", 0)));
}

#[test]
fn packets_that_nobody_reads_are_bounded_and_their_owner_gets_them_all_the_same() {
    let mut net = Net::new();
    let raw = open_a(&mut net, Domain::Inet, raw(Protocol::UDP));
    let owner = net.bind_a(at("0.0.0.0", 7));
    let peer = net.bind_b(at(B, 9));
    for _ in 0..600 {
        peer.pipe.try_send(&[1; 500], at(A, 7), None).unwrap();
        net.settle();
        assert!(next(&owner).is_ok());
    }
    let seen = std::iter::from_fn(|| {
        let one = next(&raw).ok();
        net.settle();
        one
    })
    .count() as u64;
    assert_eq!(seen + net.a.stack.counters().of(Rule::RawBufferFull), 600);
    assert!(seen > 100 && seen < 600);
    drop(raw);
    net.settle();
    assert_eq!(net.a.stack.memory_used(), 16 * 1024, "the buffer of the UDP socket");
}

#[test]
fn what_it_sends_to_ourselves_arrives() {
    let mut net = Net::new();
    let one = open_a(&mut net, Domain::Inet, raw(UNKNOWN));
    let mut given = own_header();
    given[16..20].copy_from_slice(&[192, 168, 69, 1]);
    given[6..8].copy_from_slice(&[0, 0]);
    let whole = open_a(&mut net, Domain::Inet, raw(Protocol::RAW));
    for own in [A, "127.0.0.1"] {
        one.pipe.try_send(b"hello", at(own, 0), None).unwrap();
        net.run(Duration::from_millis(10));
        let (packet, from) = next(&one).unwrap();
        assert_eq!((from, &packet[20..]), (at(own, 0), &b"hello"[..]));
    }
    whole.pipe.try_send(&given, at(A, 0), None).unwrap();
    net.run(Duration::from_millis(10));
    assert_eq!(next(&one).map(|(packet, _)| packet[24..].to_vec()), Ok(b"its payload".to_vec()));
}

#[test]
fn an_error_about_what_it_sent_reaches_the_socket_as_it_wants() {
    let mut net = Net::new();
    for (domain, peer, error) in
        [(Domain::Inet, B, Error::ProtocolNotAvailable), (Domain::Inet6, B6, Error::ProtocolError)]
    {
        let socket = open_a(&mut net, domain, raw(UNKNOWN));
        let send = |net: &mut Net| {
            socket.pipe.try_send(b"x", at(peer, 0), None).unwrap();
            net.run(Duration::from_secs(2));
            next(&socket).unwrap_err()
        };
        assert_eq!(send(&mut net), Error::WouldBlock, "it is not connected");
        net.call_a(Verb::Connect { socket: socket.handle, remote: at(peer, 0).into() }).unwrap();
        let Ok(Outcome::Address(local)) = net.call_a(Verb::LocalAddress { socket: socket.handle }) else { panic!() };
        assert_eq!(local, at(if domain == Domain::Inet { A } else { A6 }, 253).into(), "as on Linux");
        assert_eq!(send(&mut net), error);
        net.call_a(Verb::Disconnect { socket: socket.handle }).unwrap();
        assert_eq!(send(&mut net), Error::WouldBlock);
        set_a(&mut net, &socket, SocketOption::ReceiveErrors(true));
        assert_eq!(send(&mut net), error);
    }
}

#[test]
fn fragments_are_seen_when_they_are_whole() {
    let mut net = Net::new();
    let socket = open_a(&mut net, Domain::Inet, raw(Protocol::UDP));
    let peer = net.bind_b(at(B, 9));
    peer.pipe.try_send(&[7; 4000], at(A, 7), None).unwrap();
    net.settle();
    let (packet, _) = next(&socket).unwrap();
    let header = Ipv4Packet::new_checked(&packet[..]).unwrap();
    assert_eq!((packet.len(), header.more_frags(), header.frag_offset()), (4028, false, 0));
    assert_eq!(next(&socket), Err(Error::WouldBlock));
}

#[test]
fn a_damaged_message_of_icmp_is_seen_and_one_of_icmpv6_is_not() {
    let mut net = Net::new();
    let [four, six] =
        [(Domain::Inet, Protocol::ICMP), (Domain::Inet6, Protocol::ICMPV6)].map(|(d, p)| open_a(&mut net, d, raw(p)));
    let filter = [u32::MAX, u32::MAX, u32::MAX, u32::MAX, !1, u32::MAX, u32::MAX, u32::MAX];
    set_a(&mut net, &six, SocketOption::IcmpFilter(filter));
    let sender = open_b(&mut net, Domain::Inet, raw(Protocol::ICMP));
    sender.pipe.try_send(&[8, 0, 1, 2, 3, 4, 5, 6], at(A, 0), None).unwrap();
    let whole = open_b(&mut net, Domain::Inet6, raw(Protocol::RAW));
    let mut packet = vec![0x60, 0, 0, 0, 0, 8, 58, 64];
    for address in [B6, A6] {
        packet.extend_from_slice(&address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    packet.extend_from_slice(&[128, 0, 1, 2, 3, 4, 5, 6]);
    whole.pipe.try_send(&packet, at(A6, 0), None).unwrap();
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::IcmpChecksum), 2);
    assert_eq!(next(&four).map(|(packet, _)| packet[20]), Ok(8));
    assert_eq!(next(&six), Err(Error::WouldBlock));
}

#[test]
fn only_the_combinations_of_linux_are_sockets() {
    use crate::socket::Type;
    for (domain, kind, protocol, expected) in [
        (Domain::Inet, Type::Dgram, Some(Protocol::ICMP), Ok(Kind::Echo)),
        (Domain::Inet6, Type::Dgram, Some(Protocol::ICMPV6), Ok(Kind::Echo)),
        (Domain::Inet, Type::Dgram, Some(Protocol::ICMPV6), Err(Error::ProtocolNotSupported)),
        (Domain::Inet6, Type::Dgram, Some(Protocol::ICMP), Err(Error::ProtocolNotSupported)),
        (Domain::Inet, Type::Raw, Some(Protocol::TCP), Ok(raw(Protocol::TCP))),
        (Domain::Inet6, Type::Raw, Some(Protocol::RAW), Ok(raw(Protocol::RAW))),
        (Domain::Inet, Type::Raw, None, Err(Error::ProtocolNotSupported)),
        (Domain::Inet, Type::Raw, Some(Protocol::from(0)), Err(Error::ProtocolNotSupported)),
    ] {
        assert_eq!(Kind::of(domain, kind, protocol), expected, "{domain:?} {kind:?} {protocol:?}");
        if let Ok(made) = expected {
            assert_eq!((made.r#type(), Some(made.protocol(domain))), (kind, protocol));
        }
    }
}

#[test]
fn a_group_is_heard_by_who_joins_it_and_left_when_the_last_one_is_closed() {
    let mut net = Net::new();
    for (domain, group) in [(Domain::Inet, "224.0.0.77"), (Domain::Inet6, "ff02::77")] {
        let socket = open_a(&mut net, domain, raw(UNKNOWN));
        let sender = open_b(&mut net, domain, raw(UNKNOWN));
        let heard = |net: &mut Net, socket: &DatagramSocket| {
            sender.pipe.try_send(b"x", at(group, 0), None).unwrap();
            net.run(Duration::from_secs(1));
            next(socket).is_ok()
        };
        assert!(!heard(&mut net, &socket));
        let join = Verb::JoinGroup { socket: socket.handle, group: at(group, 0).ip(), interface: None };
        net.call_a(join.clone()).unwrap();
        assert_eq!(net.call_a(join.clone()).unwrap_err(), Error::AddressInUse);
        assert!(heard(&mut net, &socket));
        let leave = Verb::LeaveGroup { socket: socket.handle, group: at(group, 0).ip(), interface: None };
        net.call_a(leave.clone()).unwrap();
        assert_eq!(net.call_a(leave).unwrap_err(), Error::AddressNotAvailable);
        assert!(!heard(&mut net, &socket));
        net.call_a(join).unwrap();
        drop(socket);
        let other = open_a(&mut net, domain, raw(UNKNOWN));
        assert!(!heard(&mut net, &other), "nobody is in it any more");
    }
}

/// Programs may write whatever they like; the stack, and the one that receives it, go on.
#[test]
fn whatever_a_program_sends_nobody_panics() {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    let mut net = Net::new();
    let mut rng = StdRng::seed_from_u64(0x7ab);
    let mut senders = Vec::new();
    for domain in [Domain::Inet, Domain::Inet6] {
        for protocol in [0xff, 1, 2, 6, 17, 43, 44, 58, 60, 0x3b].map(Protocol::from) {
            senders.push((domain, open_a(&mut net, domain, raw(protocol))));
            senders.push((domain, open_b(&mut net, domain, raw(protocol))));
        }
        senders.push((domain, open_a(&mut net, domain, Kind::Echo)));
    }
    for round in 0..4000 {
        let (domain, socket) = &senders[rng.random_range(0..senders.len())];
        let [ours, theirs] = if *domain == Domain::Inet { [A, B] } else { [A6, B6] };
        let peer = if rng.random_bool(0.5) { ours } else { theirs };
        let mut bytes = vec![0; rng.random_range(0..120)];
        rng.fill(&mut bytes[..]);
        // Often a header that is almost one.
        match (domain, peer.parse().unwrap()) {
            (Domain::Inet, std::net::IpAddr::V4(peer)) if bytes.len() >= 20 => {
                bytes[0] = 0x40 | rng.random_range(4..8);
                bytes[6..8].copy_from_slice(&[[0, 0], [0x20, 0], [0, 1]][rng.random_range(0..3)]);
                bytes[9] = [1, 2, 6, 17, 89][rng.random_range(0..5)];
                bytes[12..16].fill(0);
                bytes[16..20].copy_from_slice(&peer.octets());
            }
            (Domain::Inet6, std::net::IpAddr::V6(peer)) if bytes.len() >= 40 => {
                bytes[0] = 0x60;
                let length = (bytes.len() - 40) as u8;
                bytes[4..6].copy_from_slice(&[0, length]);
                bytes[6] = [0, 6, 17, 43, 44, 58, 60, 59][rng.random_range(0..8)];
                bytes[24..40].copy_from_slice(&peer.octets());
            }
            _ => {}
        }
        let _ = socket.pipe.try_send(&bytes, at(peer, 0), None);
        net.settle();
        if round % 64 == 0 {
            net.run(Duration::from_millis(100));
            for (_, socket) in &senders {
                while !matches!(next(socket), Err(Error::WouldBlock)) {}
            }
        }
    }
    drop(senders);
    net.settle();
    assert_eq!((net.a.stack.sockets(), net.b.stack.sockets()), (0, 0));
    assert_eq!((net.a.stack.memory_used(), net.b.stack.memory_used()), (0, 0));
}
