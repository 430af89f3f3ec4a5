//! Datagrams larger than a frame, and than a path.

use std::collections::HashMap;

use super::*;
use crate::device::fault::Wire;
use crate::error::Error;
use crate::ip::transport_checksum;
use crate::observe::{Ownership, Protocol, Rule, SocketId};
use crate::socket::SocketOption;

fn data(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|i| ((i + seed) * 31 % 251) as u8).collect()
}

/// The IP packets that went one way, without their Ethernet headers; neighbours and groups are not looked at.
pub(super) fn packets(host: &Host, direction: Direction) -> Vec<(Vec<u8>, Fate)> {
    let is_ip = |frame: &[u8]| match frame[12..14] {
        [8, 0] => true,
        [0x86, 0xdd] => frame[20] != 0 && (frame[20] != 58 || !(133..=137).contains(&frame[54])),
        _ => false,
    };
    let seen = host.seen.frames.iter().filter(|(_, way, frame, _)| *way == direction && is_ip(frame));
    seen.map(|(_, _, frame, fate)| (frame[14..].to_vec(), *fate)).collect()
}

/// Gives A a packet as if B's Ethernet address had sent it.
pub(super) fn inject(net: &mut Net, packet: &[u8]) -> Fate {
    let kind: [u8; 2] = if packet[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
    inject_frame(net, &[&config_a().mac.0[..], &config_b().mac.0, &kind, packet].concat())
}

/// Gives A a frame.
pub(super) fn inject_frame(net: &mut Net, frame: &[u8]) -> Fate {
    let mut out = Frames::new();
    let step = net.a.stack.step(net.now, [frame], &mut Vec::new(), &mut out, &mut net.a.seen);
    net.a.deadline = step.deadline;
    for (frame, _) in out.iter() {
        net.a.device.transmit(net.now, frame, Offload::None).unwrap();
    }
    net.a.seen.frames.iter().rfind(|(_, way, ..)| *way == Direction::In).unwrap().3
}

/// An ICMP error from B about a packet of A's, with valid checksums.
pub(super) fn icmp_error(kind: u8, code: u8, word: u32, about: &[u8]) -> Vec<u8> {
    let (is_v4, length) = (about[0] >> 4 == 4, about.len().min(500));
    let mut message = [&[kind, code, 0, 0], &word.to_be_bytes()[..], &about[..length]].concat();
    let mut sum = |source: &str, destination: &str, protocol| {
        let sum = transport_checksum(source.parse().unwrap(), destination.parse().unwrap(), protocol, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message.clone()
    };
    if is_v4 {
        // Without a pseudo-header: that of nothing but zeros, and its length taken away again.
        let mut bytes = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0, 192, 168, 69, 100, 192, 168, 69, 1];
        bytes[2..4].copy_from_slice(&((20 + message.len()) as u16).to_be_bytes());
        let header = smoltcp::wire::checksum::data(&bytes);
        bytes[10..12].copy_from_slice(&(!header).to_be_bytes());
        let sum = !smoltcp::wire::checksum::data(&message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        [bytes, message].concat()
    } else {
        let message = sum(B6, A6, 58);
        let mut bytes = vec![0x60, 0, 0, 0, 0, 0, 58, 64];
        bytes[4..6].copy_from_slice(&(message.len() as u16).to_be_bytes());
        for address in [B6, A6] {
            bytes.extend_from_slice(&address.parse::<std::net::Ipv6Addr>().unwrap().octets());
        }
        [bytes, message].concat()
    }
}

#[test]
fn the_largest_datagrams_go_there_and_come_back() {
    for (host, wildcard, largest) in [(A, "0.0.0.0", 65_507), (A6, "::", 65_527)] {
        let mut net = Net::new();
        let (a, b) = (net.bind_a(at(wildcard, 7)), net.bind_b(at(wildcard, 0)));
        let mut buffer = vec![0; 65_536];
        for length in [8000, 1473, largest] {
            let sent = data(length, length);
            // The first one waits for the neighbour, all 46 fragments of it.
            b.pipe.try_send(&sent, at(host, 7), None).unwrap();
            net.settle();
            let (count, peer, local) = a.pipe.try_receive(&mut buffer).unwrap();
            assert_eq!(buffer[..count], sent, "WIRE 16");
            a.pipe.try_send(&buffer[..count], peer, local).unwrap();
            net.settle();
            let (count, ..) = b.pipe.try_receive(&mut buffer).unwrap();
            assert_eq!(buffer[..count], sent);
        }
        assert!(net.a.seen.frames.iter().all(|(_, _, frame, _)| frame.len() <= 1514));
        assert_eq!(b.pipe.try_send(&vec![0; largest + 1], at(host, 7), None), Err(Error::MessageTooLong));
    }
}

#[test]
fn every_fragment_says_that_it_waits_and_the_last_one_whose_the_datagram_is() {
    let mut net = Net::new();
    let (_a, b) = (net.bind_a(at("0.0.0.0", 7)), net.bind_b(at("0.0.0.0", 0)));
    b.pipe.try_send(&data(4000, 0), at(A, 7), None).unwrap();
    net.settle();
    let seen = packets(&net.a, Direction::In);
    let fates: Vec<Fate> = seen.iter().map(|(_, fate)| *fate).collect();
    let bound = at("0.0.0.0", 7);
    let socket = SocketId { protocol: Protocol::Udp, number: 1 };
    let owner = Fate::of(Ownership::Port { socket, bound });
    assert_eq!(fates, [Fate::nobody(Rule::Ip4FragmentWaits), Fate::nobody(Rule::Ip4FragmentWaits), owner]);
    // On their way out they all belong to the socket that sent them.
    let sent = packets(&net.b, Direction::Out);
    assert!(sent.iter().all(|(_, fate)| fate.owner.is_some_and(|owner| owner.socket() == socket)));
}

#[test]
fn a_datagram_to_a_port_that_nobody_has_is_refused_in_fragments_too() {
    for (host, wildcard) in [(A, "0.0.0.0"), (A6, "::")] {
        let mut net = Net::new();
        let b = net.bind_b(at(wildcard, 0));
        net.call_b(Verb::Connect { socket: b.handle, remote: at(host, 9).into() }).unwrap();
        b.pipe.try_send(&data(20_000, 0), at(host, 9), None).unwrap();
        net.settle();
        assert_eq!(net.a.stack.counters().of(Rule::UdpNoSocket), 1, "WIRE 27, 61");
        assert_eq!(b.pipe.try_receive(&mut [0; 8]), Err(Error::ConnectionRefused));
    }
}

#[test]
fn a_datagram_that_never_becomes_whole_is_given_up_and_its_sender_told() {
    let mut net = Net::new();
    let b = net.bind_b(at("0.0.0.0", 0));
    b.pipe.try_send(&data(4000, 0), at(A, 7), None).unwrap();
    net.settle();
    let fragments = packets(&net.b, Direction::Out);
    net.run(Duration::from_secs(100));
    let errors = |net: &Net| packets(&net.a, Direction::Out).iter().filter(|(packet, _)| packet[20] == 11).count();
    assert_eq!(errors(&net), 0, "that one was whole");
    // The second fragment of another one is lost.
    for fragment in [&fragments[0].0, &fragments[2].0] {
        let mut fragment = fragment.clone();
        fragment[4] ^= 1;
        fragment[10..12].fill(0);
        let sum = !smoltcp::wire::checksum::data(&fragment[..20]);
        fragment[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(inject(&mut net, &fragment).rule, Some(Rule::Ip4FragmentWaits));
    }
    let begun = net.now;
    net.run(Duration::from_secs(29));
    assert_eq!(errors(&net), 0);
    net.run_until(Duration::from_secs(2), |net| errors(net) == 1);
    assert_eq!(net.now - begun, Duration::from_secs(30), "WIRE 15");
    let (packet, fate) = packets(&net.a, Direction::Out).pop().unwrap();
    assert_eq!((&packet[20..22], fate.rule), (&[11, 1][..], Some(Rule::IpReassemblyExceeded)));
    assert_eq!(net.a.stack.counters().of(Rule::IpReassemblyExceeded), 1);
}

#[test]
fn a_path_that_carries_less_is_learned_for_ten_minutes() {
    for (peer, wildcard, kind, overhead) in [(B, "0.0.0.0", (3, 4), 28), (B6, "::", (2, 0), 48)] {
        let mut net = Net::new();
        let (a, b) = (net.bind_a(at(wildcard, 0)), net.bind_b(at(wildcard, 7)));
        let mut buffer = vec![0; 2000];
        let sent = data(1452, 3);
        // The sizes of the packets with which a datagram arrives.
        let mut send = |net: &mut Net| -> Vec<usize> {
            net.a.seen.frames.clear();
            a.pipe.try_send(&sent, at(peer, 7), None).unwrap();
            net.settle();
            let (count, ..) = b.pipe.try_receive(&mut buffer).unwrap();
            assert_eq!(buffer[..count], sent);
            let sent = packets(&net.a, Direction::Out).into_iter().map(|(packet, _)| packet);
            sent.filter(|packet| packet.len() > 100).map(|packet| packet.len()).collect()
        };
        assert_eq!(send(&mut net), [1452 + overhead]);
        let about = packets(&net.a, Direction::Out).pop().unwrap().0;
        let mut forged = about.clone();
        let port = if overhead == 28 { 20 } else { 40 };
        forged[port] ^= 1; // the source port
        assert_eq!(inject(&mut net, &icmp_error(kind.0, kind.1, 1300, &forged)).rule, Some(Rule::IcmpErrorUnmatched));
        assert_eq!(send(&mut net), [1452 + overhead]);

        // To somebody whom the socket never sent anything, and about something smaller than what was too big.
        let mut stranger = about.clone();
        stranger[port - 1] ^= 2;
        let fate = inject(&mut net, &icmp_error(kind.0, kind.1, 1300, &stranger));
        assert_eq!(fate.rule, Some(Rule::IcmpErrorUnmatched));
        assert_eq!(inject(&mut net, &icmp_error(kind.0, kind.1, 1500, &about)).rule, Some(Rule::IcmpErrorUnmatched));
        assert_eq!(send(&mut net), [1452 + overhead]);

        let fate = inject(&mut net, &icmp_error(kind.0, kind.1, 1300, &about));
        assert_eq!(fate.rule, Some(Rule::IcmpErrorDelivered));
        assert!(send(&mut net).iter().all(|&size| size <= 1300));
        net.run(Duration::from_secs(590));
        assert_eq!(send(&mut net).len(), 2);
        net.run(Duration::from_secs(11));
        assert_eq!(send(&mut net), [1452 + overhead], "the link's MTU is tried again");
    }
}

#[test]
fn a_connected_socket_hears_that_a_datagram_was_too_big_and_then_it_is_cut() {
    let mut net = Net::new();
    let (a, b) = (net.bind_a(at("0.0.0.0", 0)), net.bind_b(at("0.0.0.0", 7)));
    net.call_a(Verb::Connect { socket: a.handle, remote: at(B, 7).into() }).unwrap();
    a.pipe.try_send(&data(1400, 0), at(B, 7), None).unwrap();
    net.settle();
    let about = packets(&net.a, Direction::Out).pop().unwrap().0;
    inject(&mut net, &icmp_error(3, 4, 1000, &about));
    assert_eq!(a.pipe.try_receive(&mut [0; 8]), Err(Error::MessageTooLong));
    assert_eq!(b.pipe.try_receive(&mut [0; 2000]).map(|(count, ..)| count), Ok(1400));
    a.pipe.try_send(&data(1400, 0), at(B, 7), None).unwrap();
    net.settle();
    assert_eq!(b.pipe.try_receive(&mut [0; 2000]).map(|(count, ..)| count), Ok(1400));
    assert!(net.a.seen.frames.iter().rfind(|(_, way, ..)| *way == Direction::Out).unwrap().2.len() <= 1014);
}

#[test]
fn an_unconnected_socket_hears_of_errors_when_it_asked_and_soft_ones_only_then() {
    for connected in [false, true] {
        for wants in [false, true] {
            for (code, error, is_hard) in [(3, Error::ConnectionRefused, true), (1, Error::HostUnreachable, false)] {
                let mut net = Net::new();
                let a = net.bind_a(at("0.0.0.0", 0));
                if connected {
                    net.call_a(Verb::Connect { socket: a.handle, remote: at(B, 7).into() }).unwrap();
                }
                net.call_a(Verb::SetOption { socket: a.handle, option: SocketOption::ReceiveErrors(wants) }).unwrap();
                a.pipe.try_send(b"x", at(B, 7), None).unwrap();
                // Before B's own answer comes.
                let a_sent = |net: &mut Net| {
                    net.a.round(net.now);
                    packets(&net.a, Direction::Out).pop()
                };
                net.settle();
                let about = a_sent(&mut net).unwrap().0;
                let _ = a.pipe.try_receive(&mut [0; 8]);
                inject(&mut net, &icmp_error(3, code, 0, &about));
                let told = a.pipe.try_receive(&mut [0; 8]).unwrap_err();
                let expected = if wants || (connected && is_hard) { error } else { Error::WouldBlock };
                assert_eq!(told, expected, "connected {connected}, wants {wants}, code {code}");
            }
        }
    }
}

#[test]
fn one_socket_that_sends_large_datagrams_leaves_the_others_their_turn() {
    let mut net = Net::new();
    let (a, b) = (net.bind_a(at("0.0.0.0", 0)), net.bind_b(at("0.0.0.0", 9)));
    a.pipe.try_send(b"x", at(B, 9), None).unwrap();
    net.settle();
    let count = (0..100).take_while(|_| a.pipe.try_send(&[7; 60_000], at(B, 9), None).is_ok()).count();
    assert!(count > 1);
    let (mut out, mut rounds) = (Frames::new(), 0);
    while net.a.doorbell.is_rung() {
        out.clear();
        net.a.stack.step(net.now, [], &mut Vec::new(), &mut out, &mut net.a.seen);
        assert!(out.bytes_used() < 130_000, "{} bytes in one step", out.bytes_used());
        rounds += 1;
    }
    assert!(rounds >= count / 2 && b.pipe.try_receive(&mut [0; 8]).is_ok());
    assert_eq!(a.pipe.try_send(&[7; 60_000], at(B, 9), None), Ok(()), "everything was sent");
}

#[test]
fn over_a_bad_link_every_datagram_that_arrives_is_one_that_was_sent() {
    let wire = Wire {
        loss: 0.01,
        duplication: 0.05,
        reordering: 0.2,
        corruption: 0.002,
        delay: Duration::from_millis(1),
        jitter: Duration::from_micros(500),
    };
    for (host, wildcard, seed) in [(A, "0.0.0.0", 1), (A6, "::", 2)] {
        let mut net = Net::with(FaultConfig { seed, receive: wire, transmit: wire }, config_a(), config_b());
        let (a, b) = (net.bind_a(at(wildcard, 7)), net.bind_b(at(wildcard, 0)));
        let mut buffer = vec![0; 65_536];
        let (mut sent, mut received) = (HashMap::new(), 0);
        for number in 0..300usize {
            let length = 2 + number * 7919 % 20_000;
            let mut datagram = data(length, number);
            datagram[..2].copy_from_slice(&(number as u16).to_be_bytes());
            if b.pipe.try_send(&datagram, at(host, 7), None).is_ok() {
                sent.insert(number, datagram);
            }
            // Several are on their way at once, and mixed up.
            net.run(Duration::from_micros(200));
            while let Ok((count, ..)) = a.pipe.try_receive(&mut buffer) {
                let number = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
                assert_eq!(sent.get(&number).map(Vec::as_slice), Some(&buffer[..count]));
                received += 1;
            }
        }
        net.run(Duration::from_secs(1));
        while let Ok((count, ..)) = a.pipe.try_receive(&mut buffer) {
            let number = usize::from(u16::from_be_bytes([buffer[0], buffer[1]]));
            assert_eq!(sent.get(&number).map(Vec::as_slice), Some(&buffer[..count]));
            received += 1;
        }
        assert!(received > 150, "{received} of {}", sent.len());
        net.run(Duration::from_secs(100));
        assert!(net.a.stack.counters().of(Rule::IpReassemblyExceeded) > 0, "what lost a fragment was given up");
    }
}
