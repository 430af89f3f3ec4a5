//! The link below a whole stack: what it refuses, and what that does not change.

use std::net::IpAddr;

use super::fragments::{inject, inject_frame, packets};
use super::wire::here_is_b;
use super::*;
use crate::ip::fixture::{HOST6, OURS6, addr, fragment, icmp};
use crate::observe::Rule;

const NOBODY: &str = "192.168.69.77";

fn is_arp(bytes: &[u8]) -> bool {
    bytes[12..14] == [8, 6]
}

/// What A sent by this rule.
fn sent_by(net: &Net, rule: Rule) -> Vec<Vec<u8>> {
    let sent = net.a.seen.frames.iter().filter(|(_, way, _, fate)| *way == Direction::Out && fate.rule == Some(rule));
    sent.map(|(_, _, bytes, _)| bytes.clone()).collect()
}

fn conflicts(net: &Net) -> usize {
    net.a.events("Address").iter().filter(|event| event.contains("Conflict")).count()
}

/// A neighbour message, its checksum right and its hop limit 255.
fn ndp(source: IpAddr, destination: IpAddr, kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let mut packet = icmp(source, destination, kind, 0, &body.concat());
    packet[7] = 255;
    packet
}

fn octets(address: &str) -> [u8; 16] {
    address.parse::<std::net::Ipv6Addr>().unwrap().octets()
}

#[test]
fn a_frame_of_ours_that_comes_back_is_no_conflict_and_one_like_it_of_another_station_is() {
    let mut net = Net::new();
    let sent = |(_, way, bytes, _): &&(Time, Direction, Vec<u8>, Fate)| *way == Direction::Out && is_arp(bytes);
    let mut frame = net.a.seen.frames.iter().find(sent).unwrap().2.clone();
    assert_eq!(inject_frame(&mut net, &frame).rule, Some(Rule::EthOwn));
    assert_eq!(conflicts(&net), 0);
    frame[11] ^= 1;
    frame[27] ^= 1; // the sender in the ARP packet too
    assert_eq!(inject_frame(&mut net, &frame).rule, Some(Rule::ArpConflict));
    assert_eq!(conflicts(&net), 1);
}

#[test]
fn an_arp_reply_that_cannot_be_teaches_nothing_and_a_right_one_does() {
    let mut net = Net::new();
    net.b.is_mute = true;
    let a = net.bind_a(at("0.0.0.0", 0));
    a.pipe.try_send(b"waits", at(B, 9), None).unwrap();
    net.settle();
    let reply = here_is_b();
    assert_eq!(inject_frame(&mut net, &reply[..reply.len() - 1]).rule, Some(Rule::ArpMalformed));
    let mut from_group = reply.clone();
    from_group[22..28].fill(0xff);
    assert_eq!(inject_frame(&mut net, &from_group).rule, Some(Rule::ArpSource));
    assert_eq!(packets(&net.a, Direction::Out), []);
    assert_eq!(inject_frame(&mut net, &reply).rule, Some(Rule::ArpLearned));
    assert_eq!(packets(&net.a, Direction::Out).len(), 1);
}

#[test]
fn a_neighbour_solicitation_that_breaks_a_rule_or_asks_for_another_is_not_answered() {
    let mut net = Net::new();
    let source = [&[1, 1][..], &config_b().mac.0].concat();
    // In the group of our address there may be others: the last three bytes are the same.
    let group = addr("ff02::1:ff00:1");
    let ask = |to, target: &str, option: &[u8]| ndp(HOST6, to, 135, &[&[0; 4], &octets(target), option]);
    let endless = [&[1, 0][..], &config_b().mac.0].concat();
    let whole = ask(OURS6, A6, &source);
    for (packet, rule) in [
        (ask(OURS6, A6, &endless), Rule::NdpMalformed),
        (ask(group, "fd69::5:0:1", &source), Rule::NdpForeign),
        // RFC 6980 §5: also in a fragment that is all of it.
        (fragment(&whole, 7, 0, whole.len() - 40, false), Rule::Ip6FragmentNeighbour),
    ] {
        assert_eq!(inject(&mut net, &packet).rule, Some(rule));
        assert_eq!(sent_by(&net, Rule::NdpAnswered).len(), 0);
    }
    for packet in [whole, ask(group, A6, &source)] {
        assert_eq!(inject(&mut net, &packet).rule, Some(Rule::NdpAnswered));
    }
    assert_eq!(sent_by(&net, Rule::NdpAnswered).len(), 2);
}

#[test]
fn a_redirect_leads_nobody_astray() {
    let mut net = Net::new();
    let redirect = ndp(HOST6, OURS6, 137, &[&[0; 4], &octets("fe80::66"), &octets("fd69::200")]);
    assert_eq!(inject(&mut net, &redirect).rule, Some(Rule::NdpRedirect));
    let a = net.bind_a(at("::", 0));
    a.pipe.try_send(b"x", at("fd69::200", 9), None).unwrap();
    net.settle();
    let asked: Vec<_> = sent_by(&net, Rule::NdpSolicit).iter().map(|frame| frame[62..78].to_vec()).collect();
    assert_eq!(asked, [octets("fd69::200")]);
}

#[test]
fn an_ipv6_address_of_ours_that_another_station_advertises_is_defended() {
    let mut net = Net::new();
    let before = sent_by(&net, Rule::NdpAdvertise).len();
    let claim = ndp(HOST6, addr("ff02::1"), 136, &[&[0x20, 0, 0, 0], &octets(A6), &[2, 1], &config_b().mac.0]);
    assert_eq!(inject(&mut net, &claim).rule, Some(Rule::NdpConflict));
    assert_eq!((conflicts(&net), sent_by(&net, Rule::NdpAdvertise).len()), (1, before + 1));
    assert_eq!(inject(&mut net, &claim).rule, Some(Rule::NdpConflict));
    assert_eq!(sent_by(&net, Rule::NdpAdvertise).len(), before + 1, "not twice within ten seconds");
    let ping = icmp(HOST6, OURS6, 128, 0, &[0; 8]);
    assert_eq!(inject(&mut net, &ping).rule, Some(Rule::IcmpEcho), "it is still used");
}

fn limited(change: impl FnOnce(&mut Limits)) -> Net {
    let mut config = config_a();
    change(&mut config.limits);
    Net::with(FaultConfig::default(), config, config_b())
}

#[test]
fn for_a_neighbour_that_is_asked_for_the_first_packets_wait_and_the_others_are_dropped() {
    let mut net = limited(|limits| limits.packets_per_neighbour = 2);
    let a = net.bind_a(at("0.0.0.0", 0));
    for number in 0..5 {
        a.pipe.try_send(&[number], at(NOBODY, 9), None).unwrap();
    }
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::NeighbourQueueFull), 3);
    let mut reply = here_is_b();
    reply[31] = 77;
    assert_eq!(inject_frame(&mut net, &reply).rule, Some(Rule::ArpLearned));
    let sent: Vec<u8> = packets(&net.a, Direction::Out).iter().map(|(packet, _)| packet[28]).collect();
    assert_eq!(sent, [0, 1]);
}

#[test]
fn when_too_many_neighbours_are_asked_for_those_that_are_go_on_and_no_other_begins() {
    let mut net = limited(|limits| limits.neighbours = 1);
    let a = net.bind_a(at("0.0.0.0", 0));
    for host in [NOBODY, "192.168.69.78", "192.168.69.79"] {
        a.pipe.try_send(b"x", at(host, 9), None).unwrap();
    }
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::NeighbourTableFull), 2);
    let asked: Vec<u8> = sent_by(&net, Rule::ArpRequest).iter().map(|frame| frame[41]).collect();
    assert_eq!(asked, [77]);
}

/// Without an address of ours there is no route, and no packet comes this far. If `ip` and the link ever disagreed about
/// which addresses are ours, a neighbour would still not be asked for in the name of nobody.
#[test]
fn a_neighbour_is_not_asked_for_from_no_address() {
    let mut net = Net::new();
    let a = net.bind_a(at("0.0.0.0", 0));
    net.a.stack.link.remove_address(A.parse().unwrap());
    a.pipe.try_send(b"x", at(B, 9), None).unwrap();
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::NeighbourNoSource), 1);
    assert_eq!(sent_by(&net, Rule::ArpRequest).len(), 0);
}
