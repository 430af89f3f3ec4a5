use std::net::Ipv6Addr;

use smoltcp::wire::Icmpv6Packet;

use super::*;
use crate::error::Error;
use crate::observe::Address;

/// What the prefix of [`said`] makes of A's Ethernet address.
const GIVEN: &str = "2001:db8::5eff:fe10:1";
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

fn config() -> Config {
    Config { addresses: Vec::new(), slaac: true, ..config_a() }
}

/// B's link-local address: it plays the router.
fn router() -> Ipv6Addr {
    config_b().mac.link_local()
}

fn icmp(source: Ipv6Addr, hop_limit: u8, mut body: Vec<u8>) -> Vec<u8> {
    Icmpv6Packet::new_unchecked(&mut body[..]).fill_checksum(&source, &ALL_NODES);
    let mut frame = [&[0x33, 0x33, 0, 0, 0, 1], &config_b().mac.0[..], &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    frame.extend((body.len() as u16).to_be_bytes());
    frame.extend([58, hop_limit]);
    frame.extend(source.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(body);
    frame
}

fn advertisement(lifetime: u16, options: &[u8]) -> Vec<u8> {
    let mut body = vec![134, 0, 0, 0, 64, 0];
    body.extend(lifetime.to_be_bytes());
    body.extend([0; 8]);
    body.extend(options);
    body
}

fn prefix(network: Ipv6Addr, flags: u8, valid: u32, preferred: u32) -> Vec<u8> {
    let mut option = vec![3, 4, 64, flags];
    option.extend(valid.to_be_bytes());
    option.extend(preferred.to_be_bytes());
    option.extend([0; 4]);
    option.extend(network.octets());
    option
}

const NETWORK: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);

/// A router for half an hour, and a prefix with these lifetimes.
fn said(valid: u32, preferred: u32) -> Vec<u8> {
    icmp(router(), 255, advertisement(1800, &prefix(NETWORK, 0xc0, valid, preferred)))
}

/// A has its address, and B one in the same network.
fn configured(valid: u32, preferred: u32) -> Lan {
    let mut lan = Lan::new(config(), Server::new());
    lan.inject(&said(valid, preferred));
    let (now, b) = (lan.net.now, &mut lan.net.b);
    let beside = "2001:db8::100/64".parse().unwrap();
    let mut out = Frames::new();
    b.stack.add_address(now, beside, Origin::Chosen, Lifetime::FOREVER, &mut out, &mut b.seen).unwrap();
    lan
}

#[test]
fn routers_are_solicited_and_their_prefix_makes_an_address() {
    let mut lan = Lan::new(Config { probe: SECOND, ..config() }, Server::new());
    assert_eq!(lan.count(Rule::NdpRouterSolicit), 0, "the link-local address is not ours yet");
    lan.run(2 * SECOND);
    let sent = lan.sent(Rule::NdpRouterSolicit);
    let (_, solicitation) = sent[0];
    assert_eq!(sent.len(), 1);
    assert_eq!((solicitation[14 + 7], &solicitation[..6]), (255, &[0x33, 0x33, 0, 0, 0, 2][..]));
    assert_eq!(solicitation[14 + 8..14 + 24], config_a().mac.link_local().octets());
    assert_eq!(lan.net.a.stack.awaited(), Awaited { dhcp: false, slaac: true });

    lan.inject(&said(7200, 3600));
    assert_eq!(lan.verdict(), Some(Rule::NdpRouter));
    assert!(!lan.is_ours(GIVEN) && !lan.net.a.stack.is_ready(), "the link is asked first");
    lan.run(2 * SECOND);
    assert!(lan.is_ours(GIVEN) && lan.net.a.stack.is_ready());
    assert_eq!(lan.count(Rule::NdpRouterSolicit), 1, "a router has answered");
    let hop = |to: &str| lan.net.a.stack.ip.route(ip(to)).map(|hop| (hop.next_hop, hop.source));
    assert_eq!(hop("2001:db8:1::1"), Ok((router().into(), ip(GIVEN))));
    assert_eq!(hop("2001:db8::99"), Ok((ip("2001:db8::99"), ip(GIVEN))));
}

#[test]
fn a_silent_link_is_solicited_three_times_and_a_late_router_is_still_heard() {
    let mut lan = Lan::new(config(), Server::new());
    lan.run(Duration::from_secs(600));
    let times: Vec<Time> = lan.sent(Rule::NdpRouterSolicit).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [at_second(0), at_second(4), at_second(8)]);
    assert_eq!(lan.net.a.deadline, None);
    lan.inject(&said(7200, 3600));
    assert!(lan.is_ours(GIVEN) && lan.net.a.stack.is_ready());
}

#[test]
fn a_prefix_that_is_not_on_the_link_is_reached_through_the_router() {
    let mut lan = Lan::new(config(), Server::new());
    lan.inject(&icmp(router(), 255, advertisement(1800, &prefix(NETWORK, 0x40, 7200, 3600))));
    assert!(lan.is_ours(GIVEN));
    let hop = lan.net.a.stack.ip.route(ip("2001:db8::99")).unwrap();
    assert_eq!(hop.next_hop, IpAddr::V6(router()));
}

#[test]
fn a_deprecated_address_is_still_answered_for_and_not_chosen_any_more() {
    let mut lan = configured(7200, 60);
    let (a, b, _listener) = lan.connect(GIVEN);
    lan.inject(&icmp(router(), 255, advertisement(1800, &prefix("2001:db8:1::".parse().unwrap(), 0x40, 9000, 9000))));
    let source = |lan: &Lan| lan.net.a.stack.ip.route(ip("2001:db8::100")).unwrap().source;
    assert_eq!(source(&lan), ip(GIVEN));
    lan.run(61 * SECOND);
    assert!(lan.told().contains("state: Deprecated") && lan.is_ours(GIVEN));
    assert_eq!(source(&lan), ip("2001:db8:1::5eff:fe10:1"));
    b.pipe.try_write(b"on").unwrap();
    lan.run(SECOND);
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Ok(2), "what there is goes on");
    assert!(lan.net.connect_b(at(GIVEN, 80)).is_ok(), "and who knows it may begin anew");
    lan.inject(&said(7200, 60));
    assert_eq!(source(&lan), ip(GIVEN), "a router can make it young again");
}

#[test]
fn an_address_whose_lifetime_is_over_ends_with_its_connections_and_sockets_on_it_cannot_send() {
    let mut lan = configured(60, 30);
    let (a, _b, _listener) = lan.connect(GIVEN);
    let bound = lan.net.bind_a(at(GIVEN, 9));
    let wildcard = lan.net.bind_a(at("::", 10));
    lan.run(61 * SECOND);
    assert!(!lan.is_ours(GIVEN) && lan.told().contains("state: Removed"));
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Err(Error::AddressNotAvailable));
    for socket in [&bound, &wildcard] {
        socket.pipe.try_send(b"x", at("fe80::5eff:fe10:2", 9), None).unwrap();
    }
    lan.run(SECOND);
    let mut buffer = [0; 8];
    assert_eq!(bound.pipe.try_receive(&mut buffer), Err(Error::AddressNotAvailable));
    assert_eq!(wildcard.pipe.try_receive(&mut buffer).unwrap_err(), Error::WouldBlock);
    assert!(lan.net.a.stack.ip.route(ip("2001:db8::100")).is_err(), "the prefix is not on the link any more");
}

#[test]
fn a_router_that_says_nothing_more_is_not_used_any_more() {
    let mut lan = configured(7200, 7200);
    lan.run(Duration::from_secs(1801));
    assert!(lan.told().contains("state: Lost"));
    assert!(lan.net.a.stack.ip.route(ip("2001:db8:1::1")).is_err());
    assert!(lan.is_ours(GIVEN), "its prefix lives on");
}

#[test]
fn an_advertisement_that_no_router_of_the_link_sent_changes_nothing() {
    let mut lan = Lan::new(config(), Server::new());
    let body = advertisement(1800, &prefix(NETWORK, 0xc0, 7200, 3600));
    for (source, hop_limit, rule) in
        [(router(), 254, Rule::NdpHopLimit), ("2001:db8::9".parse().unwrap(), 255, Rule::NdpRouterSource)]
    {
        lan.inject(&icmp(source, hop_limit, body.clone()));
        assert_eq!(lan.verdict(), Some(rule));
    }
    let mut damaged = said(7200, 3600);
    damaged[14 + 40 + 20] ^= 1;
    lan.inject(&damaged);
    assert_eq!(lan.verdict(), Some(Rule::IcmpChecksum));
    assert!(!lan.is_ours(GIVEN));
}

#[test]
fn a_stack_that_was_not_told_to_hears_no_router() {
    let mut lan = Lan::new(config_a(), Server::new());
    lan.inject(&said(7200, 3600));
    assert_eq!(lan.verdict(), Some(Rule::NdpUnused));
    assert!(!lan.is_ours(GIVEN));
}

#[test]
fn an_advertised_address_that_somebody_has_is_not_used_and_not_tried_again() {
    let mut lan = Lan::new(Config { probe: SECOND, ..config() }, Server::new());
    lan.run(2 * SECOND);
    lan.inject(&said(7200, 3600));
    // Somebody else's question about the same address (RFC 4862 §5.4.3).
    let IpAddr::V6(given) = ip(GIVEN) else { unreachable!() };
    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(given.octets());
    body.extend([2, 1]);
    body.extend(OTHER.0);
    lan.inject(&icmp(router(), 255, body));
    assert_eq!(lan.verdict(), Some(Rule::NdpDuplicate));
    lan.inject(&said(7200, 3600));
    lan.run(5 * SECOND);
    assert!(!lan.is_ours(GIVEN));
    let state = lan.net.a.stack.autoconf.state_of(ip(GIVEN));
    assert_eq!(state, Some(Address::Duplicate { owner: OTHER }));
    assert!(lan.net.a.stack.duplicates().is_empty(), "nobody chose it");
}

#[test]
fn a_router_can_lower_the_mtu_of_ipv6_alone() {
    let mut lan = configured(7200, 3600);
    let mtu = |lan: &Lan| (lan.net.a.stack.ip.path_mtu(ip("2001:db8::100")), lan.net.a.stack.ip.path_mtu(ip(B)));
    let say = |lan: &mut Lan, mtu: u32| {
        let [a, b, c, d] = mtu.to_be_bytes();
        lan.inject(&icmp(router(), 255, advertisement(1800, &[5, 1, 0, 0, a, b, c, d])));
    };
    for (said, expected) in [(1400, 1400), (1279, 1400), (9000, 1500), (1280, 1280)] {
        say(&mut lan, said);
        assert_eq!(mtu(&lan), (expected, 1500), "{said}");
    }
    let (_a, b, _listener) = lan.connect(GIVEN);
    let is_syn_ack =
        |bytes: &&[u8]| bytes.len() > 67 && bytes[12..14] == [0x86, 0xdd] && bytes[20] == 6 && bytes[67] & 0x12 == 0x12;
    let mut frames = lan.net.a.seen.frames.iter().map(|(_, _, bytes, _)| bytes.as_slice());
    let syn_ack = frames.rfind(is_syn_ack).unwrap();
    assert_eq!(syn_ack[74..78], [2, 4, 0x04, 0xc4], "an MSS of 1280 - 60");
    drop(b);
}

#[test]
fn a_flood_of_prefixes_and_routers_is_bounded() {
    let mut lan = Lan::new(config(), Server::new());
    let limits = Config::default().limits;
    for number in 0..500_u16 {
        let network = Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, 0);
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number + 1);
        lan.inject(&icmp(router, 255, advertisement(1800, &prefix(network, 0xc0, 7200, 3600))));
    }
    let addresses = lan.net.a.stack.ip.addresses().count();
    assert_eq!(addresses, limits.learned_addresses + 1, "and the link-local one");
    assert_eq!(lan.net.a.events("Router").len(), limits.routers);
    let ignored = lan.net.a.stack.counters().rules().find(|(rule, _)| *rule == Rule::NdpLearnLimit);
    assert!(ignored.is_some_and(|(_, count)| count >= 3 * 480));
}

/// RFC 4861 §6.3.6.
#[test]
fn a_router_that_does_not_answer_gives_way_to_another() {
    let mut lan = Lan::new(config(), Server::new());
    let silent: Ipv6Addr = "fe80::77".parse().unwrap();
    for router in [silent, router()] {
        lan.inject(&icmp(router, 255, advertisement(1800, &prefix(NETWORK, 0xc0, 7200, 3600))));
    }
    let socket = lan.net.bind_a(at("::", 9));
    let hop = |lan: &Lan| lan.net.a.stack.ip.route(ip("2001:db8:1::1")).unwrap().next_hop;
    assert_eq!(hop(&lan), IpAddr::V6(silent));
    socket.pipe.try_send(b"x", at("2001:db8:1::1", 9), None).unwrap();
    lan.run(5 * SECOND);
    assert_eq!(hop(&lan), IpAddr::V6(router()));
}

#[test]
fn a_router_that_says_it_is_none_any_more_is_not_used() {
    let mut lan = configured(7200, 3600);
    let socket = lan.net.bind_a(at("::", 9));
    assert!(lan.net.a.stack.ip.route(ip("2001:db8:1::1")).is_ok());
    // B answers as the host that it is.
    socket.pipe.try_send(b"x", at("fe80::5eff:fe10:2", 9), None).unwrap();
    lan.run(SECOND);
    assert!(lan.told().contains("state: Lost"));
    assert!(lan.net.a.stack.ip.route(ip("2001:db8:1::1")).is_err());
}

/// RFC 4862 §5.4.5: the identifier itself is a duplicate.
#[test]
fn without_a_link_local_address_no_router_is_asked() {
    let mut lan = Lan::new(Config { probe: SECOND, ..config() }, Server::new());
    let ours = config_a().mac.link_local();
    let mut body = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    body.extend(ours.octets());
    body.extend([2, 1]);
    body.extend(OTHER.0);
    lan.inject(&icmp(router(), 255, body));
    lan.run(Duration::from_secs(20));
    assert_eq!(lan.count(Rule::NdpRouterSolicit), 0);
    assert_eq!(lan.net.a.deadline, None);
}
