//! Groups: who hears what is sent to them, and what routers are told, in virtual time.
//!
//! B plays the host beside A, and the router by crafted queries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{Icmpv6Packet, Ipv4Packet};

use super::*;
use crate::error::Error;
use crate::observe::Rule;
use crate::socket::{Handle, SocketOption};

const GROUP: &str = "239.1.2.3";
const GROUP6: &str = "ff05::123";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn join(net: &mut Net, socket: Handle, group: &str) -> Result<()> {
    net.call_a(Verb::JoinGroup { socket, group: ip(group), interface: None }).map(|_| ())
}

fn leave(net: &mut Net, socket: Handle, group: &str) -> Result<()> {
    net.call_a(Verb::LeaveGroup { socket, group: ip(group), interface: None }).map(|_| ())
}

fn shared(net: &mut Net, local: SocketAddr) -> DatagramSocket {
    match net.call_a(Verb::OpenDatagram { local, reuse_address: true, v6_only: true }) {
        Ok(Outcome::Datagram(socket)) => socket,
        other => panic!("{other:?}"),
    }
}

fn received(socket: &DatagramSocket) -> Option<(Vec<u8>, SocketAddr, IpAddr)> {
    let mut buffer = [0; 2048];
    let (count, peer, local) = socket.pipe.try_receive(&mut buffer).ok()?;
    Some((buffer[..count].to_vec(), peer, local.unwrap()))
}

/// A frame to A from a router, with an IP packet to the group or host `to`.
fn frame(to: IpAddr, packet: &[u8]) -> Vec<u8> {
    let mut mac = config_a().mac.0;
    let kind: [u8; 2] = if to.is_ipv4() { [8, 0] } else { [0x86, 0xdd] };
    match to {
        IpAddr::V4(to) if to.is_multicast() => {
            let [_, b, c, d] = to.octets();
            mac = [1, 0, 0x5e, b & 0x7f, c, d];
        }
        IpAddr::V6(to) if to.is_multicast() => {
            let [.., a, b, c, d] = to.octets();
            mac = [0x33, 0x33, a, b, c, d];
        }
        _ => {}
    }
    [&mac[..], &config_b().mac.0, &kind, packet].concat()
}

fn igmp(to: &str, ttl: u8, alert: bool, message: &[u8]) -> Vec<u8> {
    let to: Ipv4Addr = to.parse().unwrap();
    let options: &[u8] = if alert { &[148, 4, 0, 0] } else { &[] };
    let mut packet = vec![0; 20];
    packet.extend_from_slice(options);
    packet.extend_from_slice(message);
    packet[0] = 0x45 + (options.len() / 4) as u8;
    let length = packet.len() as u16;
    let mut header = Ipv4Packet::new_unchecked(&mut packet[..]);
    header.set_total_len(length);
    header.set_hop_limit(ttl);
    header.set_next_header(smoltcp::wire::IpProtocol::Igmp);
    header.set_src_addr(B.parse().unwrap());
    header.set_dst_addr(to);
    header.fill_checksum();
    let start = 20 + options.len();
    packet[start + 2..start + 4].fill(0);
    let sum = !smoltcp::wire::checksum::data(&packet[start..]);
    packet[start + 2..start + 4].copy_from_slice(&sum.to_be_bytes());
    frame(to.into(), &packet)
}

/// A query of version 3, its Max Resp Code in tenths of a second.
fn query3(group: &str, tenths: u8, sources: &[&str]) -> Vec<u8> {
    let group: Ipv4Addr = group.parse().unwrap();
    let mut message = vec![0x11, tenths, 0, 0];
    message.extend_from_slice(&group.octets());
    message.extend_from_slice(&[2, 125, 0, sources.len() as u8]);
    for source in sources {
        message.extend_from_slice(&source.parse::<Ipv4Addr>().unwrap().octets());
    }
    let to = if group.is_unspecified() { "224.0.0.1".into() } else { group.to_string() };
    igmp(&to, 1, true, &message)
}

fn query2(group: &str, tenths: u8) -> Vec<u8> {
    let group: Ipv4Addr = group.parse().unwrap();
    let message = [&[0x11, tenths, 0, 0][..], &group.octets()].concat();
    let to = if group.is_unspecified() { "224.0.0.1".into() } else { group.to_string() };
    igmp(&to, 1, true, &message)
}

/// An MLD message, with hop limit and source as they should be, or not.
fn mld(source: &str, to: &str, hops: u8, alert: bool, message: &[u8]) -> Vec<u8> {
    let (source, to): (Ipv6Addr, Ipv6Addr) = (source.parse().unwrap(), to.parse().unwrap());
    let mut message = message.to_vec();
    Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&source, &to);
    let option: &[u8] = if alert { &[58, 0, 5, 2, 0, 0, 1, 0] } else { &[] };
    let mut packet = vec![0x60, 0, 0, 0, 0, (option.len() + message.len()) as u8, if alert { 0 } else { 58 }, hops];
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&to.octets());
    packet.extend_from_slice(option);
    packet.extend_from_slice(&message);
    frame(to.into(), &packet)
}

fn mld_query(version: u8, group: &str, millis: u16) -> Vec<u8> {
    let group: Ipv6Addr = group.parse().unwrap();
    let [high, low] = millis.to_be_bytes();
    let mut message = vec![130, 0, 0, 0, high, low, 0, 0];
    message.extend_from_slice(&group.octets());
    if version == 2 {
        message.extend_from_slice(&[2, 125, 0, 0]);
    }
    message
}

const ROUTER: &str = "fe80::ff";

/// What A has sent as IGMP or MLD since the frame of this number: when, to whom, and the message.
fn reports(net: &Net, after: usize, v4: bool) -> Vec<(Time, IpAddr, Vec<u8>)> {
    let sent = net.a.seen.frames[after..].iter().filter(|(_, direction, _, _)| *direction == Direction::Out);
    sent.filter_map(|(at, _, bytes, _)| {
        let packet = &bytes[14..];
        match packet[0] >> 4 {
            4 if v4 && bytes[12..14] == [8, 0] && packet[9] == 2 => {
                assert_eq!((packet[0], packet[8], &packet[20..24]), (0x46, 1, &[148, 4, 0, 0][..]), "option and TTL");
                assert_eq!(smoltcp::wire::checksum::data(&packet[24..]), 0xffff, "checksum");
                assert_eq!(smoltcp::wire::checksum::data(&packet[..24]), 0xffff, "header checksum");
                let to = Ipv4Addr::from_octets(*packet[16..].first_chunk().unwrap());
                Some((*at, to.into(), packet[24..].to_vec()))
            }
            6 if !v4 && packet[6] == 0 => {
                assert_eq!((packet[7], &packet[40..48]), (1, &[58, 0, 5, 2, 0, 0, 1, 0][..]), "option and hop limit");
                let source = Ipv6Addr::from_octets(*packet[8..].first_chunk().unwrap());
                assert!(source.is_unicast_link_local() || source.is_unspecified(), "{source}");
                let to = Ipv6Addr::from_octets(*packet[24..].first_chunk().unwrap());
                assert!(Icmpv6Packet::new_unchecked(&packet[48..]).verify_checksum(&source, &to));
                Some((*at, to.into(), packet[48..].to_vec()))
            }
            _ => None,
        }
    })
    .collect()
}

/// Records of a report of IGMPv3 or MLDv2: kind, group, sources.
fn records(message: &[u8]) -> Vec<(u8, IpAddr, usize)> {
    let size = if message[0] == 0x22 { 4 } else { 16 };
    assert!(matches!(message[0], 0x22 | 143));
    let mut rest = &message[8..];
    let mut records = Vec::new();
    for _ in 0..u16::from_be_bytes([message[6], message[7]]) {
        let sources = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let group: IpAddr = if size == 4 {
            Ipv4Addr::from_octets(*rest[4..].first_chunk().unwrap()).into()
        } else {
            Ipv6Addr::from_octets(*rest[4..].first_chunk().unwrap()).into()
        };
        records.push((rest[0], group, sources));
        rest = &rest[4 + size * (1 + sources)..];
    }
    assert!(rest.is_empty());
    records
}

/// A's stack takes a frame, as if B's side of the link had sent it.
fn feed(net: &mut Net, frame: &[u8]) {
    net.b.device.transmit(net.now, frame, Offload::None).unwrap();
    net.settle();
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Two stacks at rest: what the start has to tell is told.
fn rested() -> Net {
    let mut net = Net::new();
    net.run(seconds(3));
    net
}

#[test]
fn every_socket_that_matches_hears_a_group() {
    let mut net = rested();
    let everywhere = shared(&mut net, at("0.0.0.0", 5000));
    let second = shared(&mut net, at("0.0.0.0", 5000));
    let at_group = shared(&mut net, at(GROUP, 5000));
    let at_other = shared(&mut net, at("239.9.9.9", 5000));
    let at_host = shared(&mut net, at(A, 5000));
    let b = net.bind_b(at("0.0.0.0", 6000));
    b.pipe.try_send(b"nobody joined", at(GROUP, 5000), None).unwrap();
    net.settle();
    assert_eq!(received(&everywhere), None);

    join(&mut net, second.handle, GROUP).unwrap();
    b.pipe.try_send(b"all", at(GROUP, 5000), None).unwrap();
    net.settle();
    for socket in [&everywhere, &second, &at_group] {
        assert_eq!(received(socket), Some((b"all".to_vec(), at(B, 6000), ip(GROUP))));
        assert_eq!(received(socket), None);
    }
    assert_eq!((received(&at_other), received(&at_host)), (None, None));

    // What is sent to one host goes to the best match only.
    b.pipe.try_send(b"one", at(A, 5000), None).unwrap();
    net.settle();
    assert_eq!(received(&at_host).map(|(bytes, ..)| bytes), Some(b"one".to_vec()));
    assert_eq!((received(&everywhere), received(&second), received(&at_group)), (None, None, None));
}

#[test]
fn a_connected_socket_comes_before_one_that_is_not() {
    let mut net = rested();
    let connected = shared(&mut net, at("0.0.0.0", 5000));
    let bound = shared(&mut net, at(A, 5000));
    let b = net.bind_b(at("0.0.0.0", 6000));
    net.call_a(Verb::Connect { socket: connected.handle, remote: at(B, 6000).into() }).unwrap();
    b.pipe.try_send(b"x", at(A, 5000), None).unwrap();
    net.settle();
    assert!(received(&connected).is_some() && received(&bound).is_none());
}

#[test]
fn the_socket_calls_fail_as_on_linux() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    assert_eq!(join(&mut net, a.handle, "192.0.2.1"), Err(Error::InvalidInput));
    assert_eq!(join(&mut net, a.handle, GROUP6), Err(Error::FamilyNotSupported));
    assert_eq!(leave(&mut net, a.handle, GROUP), Err(Error::AddressNotAvailable));
    assert_eq!(join(&mut net, a.handle, GROUP), Ok(()));
    assert_eq!(join(&mut net, a.handle, GROUP), Err(Error::AddressInUse));
    for last in 0..19 {
        assert_eq!(join(&mut net, a.handle, &format!("239.0.0.{last}")), Ok(()));
    }
    assert_eq!(join(&mut net, a.handle, "239.0.0.99"), Err(Error::NoBufferSpace));
    assert_eq!(leave(&mut net, a.handle, GROUP), Ok(()));
    assert_eq!(join(&mut net, a.handle, "239.0.0.99"), Ok(()));
    let elsewhere = Verb::JoinGroup { socket: a.handle, group: ip(GROUP), interface: Some(ip(B)) };
    assert_eq!(net.call_a(elsewhere).unwrap_err(), Error::AddressNotAvailable);
}

#[test]
fn broadcast_needs_permission_and_reaches_everybody() {
    let mut net = rested();
    let hears = net.bind_a(at("0.0.0.0", 5000));
    let b = net.bind_b(at("0.0.0.0", 6000));
    for to in ["255.255.255.255", "192.168.69.255"] {
        b.pipe.try_send(b"x", at(to, 5000), None).unwrap();
        net.settle();
        assert_eq!(b.pipe.try_receive(&mut [0; 8]), Err(Error::PermissionDenied), "{to}");
        assert_eq!(received(&hears), None);
    }
    net.call_b(Verb::SetOption { socket: b.handle, option: SocketOption::Broadcast(true) }).unwrap();
    for to in ["255.255.255.255", "192.168.69.255"] {
        b.pipe.try_send(b"all", at(to, 5000), None).unwrap();
        net.settle();
        assert_eq!(received(&hears), Some((b"all".to_vec(), at(B, 6000), ip(to))));
        b.pipe.try_send(b"nobody", at(to, 5001), None).unwrap();
        net.settle();
    }
    assert_eq!(net.a.stack.counters().of(Rule::UdpNoSocketGroup), 2);
    assert_eq!(b.pipe.try_receive(&mut [0; 8]), Err(Error::WouldBlock), "no error is sent about a broadcast");
}

#[test]
fn what_we_send_to_our_groups_comes_back_to_us_unless_it_shall_not() {
    let mut net = rested();
    type Of<T> = fn(T) -> SocketOption;
    let v4: (Of<bool>, Of<u32>) = (SocketOption::MulticastLoop, SocketOption::MulticastTtl);
    let v6: (Of<bool>, Of<u32>) = (SocketOption::MulticastLoopV6, SocketOption::MulticastHops);
    for (group, any, (looped, hops)) in [(GROUP, "0.0.0.0", v4), (GROUP6, "::", v6)] {
        let (sender, member) = (net.bind_a(at(any, 6000)), net.bind_a(at(any, 5000)));
        let neighbour = net.bind_b(at(any, 5000));
        sender.pipe.try_send(b"not yet", at(group, 5000), None).unwrap();
        net.settle();
        assert_eq!(received(&member), None);
        join(&mut net, member.handle, group).unwrap();
        net.call_b(Verb::JoinGroup { socket: neighbour.handle, group: ip(group), interface: None }).unwrap();
        let send = |net: &mut Net, option: SocketOption| {
            net.call_a(Verb::SetOption { socket: sender.handle, option }).unwrap();
            sender.pipe.try_send(b"hello", at(group, 5000), None).unwrap();
            net.settle();
            (received(&member).is_some(), received(&neighbour).is_some())
        };
        assert_eq!(send(&mut net, looped(true)), (true, true));
        assert_eq!(send(&mut net, looped(false)), (false, true));
        send(&mut net, hops(0));
        assert_eq!(send(&mut net, looped(true)), (true, false), "a hop count of 0 stays here");
    }
}

#[test]
fn datagrams_to_groups_go_one_hop_unless_they_are_told_otherwise() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 6000));
    for (hops, option) in [(1, None), (7, Some(SocketOption::MulticastTtl(7)))] {
        if let Some(option) = option {
            net.call_a(Verb::SetOption { socket: a.handle, option }).unwrap();
        }
        a.pipe.try_send(b"hello", at(GROUP, 5000), None).unwrap();
        net.settle();
        let (_, _, frame, _) = net.a.seen.frames.last().unwrap();
        assert_eq!((&frame[..6], frame[14 + 8]), (&[1, 0, 0x5e, 1, 2, 3][..], hops));
    }
}

#[test]
fn joining_and_leaving_are_reported_twice_within_a_second() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    let b = net.bind_a(at("0.0.0.0", 5001));
    for (kind, first) in [(4, true), (3, false)] {
        let (seen, start) = (net.a.seen.frames.len(), net.now);
        for socket in [&a, &b] {
            if first {
                join(&mut net, socket.handle, GROUP).unwrap();
            } else {
                leave(&mut net, socket.handle, GROUP).unwrap();
            }
        }
        net.run(seconds(3));
        let reports = reports(&net, seen, true);
        assert_eq!(reports.len(), 2, "the sockets are counted: {reports:?}");
        assert_eq!(reports[0].0, start);
        assert!(reports[1].0 > start && reports[1].0 <= start + seconds(1));
        for (_, to, message) in &reports {
            assert_eq!((*to, records(message)), (ip("224.0.0.22"), vec![(kind, ip(GROUP), 0)]));
        }
    }
}

#[test]
fn a_closed_socket_leaves_its_groups() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    join(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(3));
    let seen = net.a.seen.frames.len();
    drop(a);
    net.run(seconds(3));
    let reports = reports(&net, seen, true);
    assert_eq!(reports.iter().map(|(_, _, message)| records(message)).collect::<Vec<_>>(), [[(3, ip(GROUP), 0)]; 2]);
}

#[test]
fn a_general_query_is_answered_after_a_random_delay_by_every_group_but_all_hosts() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    for group in [GROUP, "239.0.0.1", "224.0.0.1"] {
        join(&mut net, a.handle, group).unwrap();
    }
    net.run(seconds(3));
    let mut delays = Vec::new();
    for _ in 0..8 {
        let (seen, start) = (net.a.seen.frames.len(), net.now);
        feed(&mut net, &query3("0.0.0.0", 100, &[]));
        net.run(seconds(11));
        let reports = reports(&net, seen, true);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(records(&reports[0].2), [(2, ip("239.0.0.1"), 0), (2, ip(GROUP), 0)]);
        assert!(reports[0].0 - start <= seconds(10));
        delays.push(reports[0].0 - start);
    }
    delays.sort_unstable();
    assert!(delays[7] - delays[0] > seconds(1), "{delays:?} are not random");
}

#[test]
fn a_query_about_a_group_is_answered_for_that_group_and_its_sources() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    join(&mut net, a.handle, GROUP).unwrap();
    join(&mut net, a.handle, "239.0.0.1").unwrap();
    net.run(seconds(3));
    let answers = |net: &mut Net, queries: &[Vec<u8>]| {
        let seen = net.a.seen.frames.len();
        for query in queries {
            feed(net, query);
        }
        net.run(seconds(3));
        reports(net, seen, true).iter().map(|(_, _, message)| records(message)).collect::<Vec<_>>()
    };
    assert_eq!(answers(&mut net, &[query3(GROUP, 10, &[])]), [[(2, ip(GROUP), 0)]]);
    assert_eq!(answers(&mut net, &[query3(GROUP, 10, &["192.0.2.1", "192.0.2.2"])]), [[(1, ip(GROUP), 2)]]);
    let twice = [query3(GROUP, 10, &["192.0.2.1", "192.0.2.2"]), query3(GROUP, 10, &["192.0.2.2", "192.0.2.3"])];
    assert_eq!(answers(&mut net, &twice), [[(1, ip(GROUP), 3)]], "the sources of both");
    let wider = [query3(GROUP, 10, &["192.0.2.1"]), query3(GROUP, 10, &[])];
    assert_eq!(answers(&mut net, &wider), [[(2, ip(GROUP), 0)]]);
    assert_eq!(answers(&mut net, &[query3("239.9.9.9", 10, &[])]), [] as [Vec<(u8, IpAddr, usize)>; 0]);
}

#[test]
fn an_old_querier_is_answered_in_its_own_language_and_hosts_speak_for_each_other() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    join(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(3));
    let seen = net.a.seen.frames.len();
    feed(&mut net, &query2("0.0.0.0", 100));
    net.run(seconds(11));
    let report = [&[0x16, 0, 0xfa, 0xf8][..], &[239, 1, 2, 3]].concat();
    let told = reports(&net, seen, true);
    assert_eq!(told.iter().map(|(_, to, message)| (*to, message[0])).collect::<Vec<_>>(), [(ip(GROUP), 0x16)]);
    assert_eq!(told[0].2[4..], report[4..]);

    // Somebody else answers first.
    let seen = net.a.seen.frames.len();
    feed(&mut net, &query2("0.0.0.0", 100));
    feed(&mut net, &igmp(GROUP, 1, true, &report));
    net.run(seconds(11));
    assert_eq!(reports(&net, seen, true), []);
    leave(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(3));
    assert_eq!(reports(&net, seen, true), [], "the other one was the last to report");

    // We are the last to report, and say so when we leave.
    join(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(21));
    leave(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(3));
    let kinds: Vec<_> = reports(&net, seen, true).iter().map(|(_, to, message)| (*to, message[0])).collect();
    assert_eq!(kinds, [(ip(GROUP), 0x16), (ip(GROUP), 0x16), (ip("224.0.0.2"), 0x17)]);
}

#[test]
fn version_1_knows_no_leave_and_is_forgotten_after_a_while() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    feed(&mut net, &igmp("224.0.0.1", 1, false, &[0x11, 0, 0, 0, 0, 0, 0, 0]));
    let seen = net.a.seen.frames.len();
    join(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(25));
    leave(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(25));
    let kinds: Vec<_> = reports(&net, seen, true).iter().map(|(_, to, message)| (*to, message[0])).collect();
    assert_eq!(kinds, [(ip(GROUP), 0x12), (ip(GROUP), 0x12)]);
    // The Older Version Querier Present Timeout is 260 s.
    net.run(seconds(211));
    let seen = net.a.seen.frames.len();
    join(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(3));
    assert_eq!(reports(&net, seen, true).iter().map(|(_, _, message)| message[0]).collect::<Vec<_>>(), [0x22, 0x22]);
}

#[test]
fn what_no_router_on_the_link_would_send_is_not_answered() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    join(&mut net, a.handle, GROUP).unwrap();
    net.run(seconds(3));
    let seen = net.a.seen.frames.len();
    let mut damaged = query3("0.0.0.0", 10, &[]);
    *damaged.last_mut().unwrap() ^= 1;
    let message = [0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    for (bytes, rule) in [
        (damaged, Rule::IgmpChecksum),
        (igmp("224.0.0.1", 2, true, &message), Rule::IgmpInvalid),
        (igmp("224.0.0.1", 1, false, &message), Rule::IgmpInvalid),
        (igmp(GROUP, 1, true, &message), Rule::IgmpInvalid),
        (igmp("224.0.0.1", 1, true, &message[..7]), Rule::IgmpMalformed),
        (igmp("224.0.0.1", 1, true, &message[..10]), Rule::IgmpMalformed),
        (igmp("224.0.0.1", 1, true, &[0x11, 10, 0, 0, 239, 1, 2, 3, 2, 125, 0, 9]), Rule::IgmpMalformed),
        (igmp("224.0.0.1", 1, true, &[0x17, 0, 0, 0, 239, 1, 2, 3]), Rule::IgmpType),
    ] {
        let before = net.a.stack.counters().of(rule);
        feed(&mut net, &bytes);
        assert_eq!(net.a.stack.counters().of(rule), before + 1, "{rule}");
    }
    net.run(seconds(30));
    assert_eq!(reports(&net, seen, true), []);
}

#[test]
fn a_scan_of_protocols_is_told_that_igmp_is_not_one_of_ours() {
    let mut net = rested();
    let a = net.bind_a(at("0.0.0.0", 5000));
    join(&mut net, a.handle, GROUP).unwrap();
    // As nmap -sO sends it.
    feed(&mut net, &igmp(A, 49, false, &[0x11, 0, 0, 0, 0, 0, 0, 0]));
    feed(&mut net, &igmp(A, 49, false, &[0x11, 0, 0, 0]));
    assert_eq!(net.a.stack.counters().of(Rule::IpUnknownProtocol), 2);
    assert_eq!(net.a.stack.counters().of(Rule::IgmpQuery), 0);
}

#[test]
fn the_solicited_node_groups_of_our_addresses_are_reported() {
    let mut net = Net::new();
    net.run(seconds(3));
    let told = reports(&net, 0, false);
    let groups: Vec<IpAddr> = told.iter().flat_map(|(_, _, message)| records(message)).map(|record| record.1).collect();
    assert!(groups.contains(&ip("ff02::1:ff00:1")) && !groups.contains(&ip("ff02::1")), "{groups:?}");
    assert!(told.iter().all(|(_, to, _)| *to == ip("ff02::16")));

    let seen = net.a.seen.frames.len();
    feed(&mut net, &mld(ROUTER, "ff02::1", 1, true, &mld_query(2, "::", 1000)));
    net.run(seconds(2));
    let told = reports(&net, seen, false);
    assert_eq!(told.len(), 1);
    assert!(records(&told[0].2).contains(&(2, ip("ff02::1:ff00:1"), 0)));
}

#[test]
fn mld_joins_leaves_and_answers() {
    let mut net = rested();
    let a = net.bind_a(at("::", 5000));
    let seen = net.a.seen.frames.len();
    join(&mut net, a.handle, GROUP6).unwrap();
    net.run(seconds(3));
    feed(&mut net, &mld(ROUTER, GROUP6, 1, true, &mld_query(2, GROUP6, 1000)));
    net.run(seconds(3));
    leave(&mut net, a.handle, GROUP6).unwrap();
    net.run(seconds(3));
    let told: Vec<_> = reports(&net, seen, false).iter().flat_map(|(_, _, message)| records(message)).collect();
    let expected = [4, 4, 2, 3, 3].map(|kind| (kind, ip(GROUP6), 0));
    assert_eq!(told, expected);
}

#[test]
fn an_old_mld_querier_is_answered_in_its_own_language() {
    let mut net = rested();
    let a = net.bind_a(at("::", 5000));
    join(&mut net, a.handle, GROUP6).unwrap();
    net.run(seconds(3));
    let seen = net.a.seen.frames.len();
    feed(&mut net, &mld(ROUTER, "ff02::1", 1, true, &mld_query(1, "::", 1000)));
    net.run(seconds(2));
    let mine = |net: &Net| -> Vec<(IpAddr, u8)> {
        let told = reports(net, seen, false).into_iter();
        let group = ip(GROUP6);
        told.filter(|(_, _, message)| matches!(group, IpAddr::V6(group) if message[8..24] == group.octets()))
            .map(|(_, to, message)| (to, message[0]))
            .collect()
    };
    assert_eq!(mine(&net), [(ip(GROUP6), 131)]);
    leave(&mut net, a.handle, GROUP6).unwrap();
    net.run(seconds(1));
    assert_eq!(mine(&net), [(ip(GROUP6), 131), (ip("ff02::2"), 132)]);
}

#[test]
fn an_mld_query_from_beyond_the_link_is_not_answered() {
    let mut net = rested();
    let seen = net.a.seen.frames.len();
    let query = mld_query(2, "::", 1000);
    for bytes in [
        mld("fd69::ff", "ff02::1", 1, true, &query),
        mld(ROUTER, "ff02::1", 255, true, &query),
        mld(ROUTER, "ff02::1", 1, false, &query),
    ] {
        let before = net.a.stack.counters().of(Rule::MldInvalid);
        feed(&mut net, &bytes);
        assert_eq!(net.a.stack.counters().of(Rule::MldInvalid), before + 1);
    }
    feed(&mut net, &mld(ROUTER, "ff02::1", 1, true, &query[..20]));
    assert_eq!(net.a.stack.counters().of(Rule::MldMalformed), 1);
    net.run(seconds(3));
    assert_eq!(reports(&net, seen, false), []);
}

/// An MLDv1 report or Done, or the header of an MLDv2 report, about GROUP6.
fn mld_from_host(kind: u8) -> Vec<u8> {
    let group: Ipv6Addr = GROUP6.parse().unwrap();
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &group.octets()].concat()
}

#[test]
fn with_an_old_mld_querier_another_hosts_report_stands_for_ours() {
    let mut net = rested();
    let a = net.bind_a(at("::", 5000));
    join(&mut net, a.handle, GROUP6).unwrap();
    net.run(seconds(3));
    feed(&mut net, &mld(ROUTER, "ff02::1", 1, true, &mld_query(1, "::", 1000)));
    let seen = net.a.seen.frames.len();
    feed(&mut net, &mld("fe80::77", GROUP6, 1, true, &mld_from_host(131)));
    assert_eq!(net.a.stack.counters().of(Rule::MldHeard), 1);
    net.run(seconds(2));
    let group: Ipv6Addr = GROUP6.parse().unwrap();
    assert!(reports(&net, seen, false).iter().all(|(_, _, message)| message[8..24] != group.octets()));
}

/// A Done of version 1 and a report of version 2, sent where we hear them.
#[test]
fn what_other_hosts_tell_mld_routers_is_not_for_us() {
    let mut net = rested();
    for kind in [132, 143] {
        feed(&mut net, &mld("fe80::77", "ff02::1", 1, true, &mld_from_host(kind)));
    }
    assert_eq!(net.a.stack.counters().of(Rule::MldType), 2);
}
