use std::net::Ipv4Addr;

use smoltcp::wire::DhcpMessageType as Kind;

use super::server::{SERVER, claim};
use super::*;
use crate::error::Error;

const GIVEN: &str = "192.168.69.7";

fn config() -> Config {
    Config { addresses: Vec::new(), dhcp: true, probe: SECOND, ..config_a() }
}

/// A client that has its address, two seconds after it began.
fn bound(server: Server) -> Lan {
    let mut lan = Lan::new(config(), server);
    lan.run(2 * SECOND);
    assert!(lan.is_ours(GIVEN), "{}", lan.told());
    lan
}

#[test]
fn an_address_is_discovered_requested_asked_about_and_used() {
    let mut lan = Lan::new(config(), Server::new());
    assert!(!lan.net.a.stack.is_ready());
    assert_eq!(lan.net.a.stack.awaited(), Awaited { dhcp: true, slaac: false });
    let [discover, request] = &lan.server.heard[..] else { panic!("{:?}", lan.server.heard) };
    assert_eq!(
        (discover.kind, discover.from, discover.to),
        (Kind::Discover, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST)
    );
    assert_eq!((request.kind, request.from, request.to), (Kind::Request, Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST));
    assert_eq!((request.xid, request.client), (discover.xid, Ipv4Addr::UNSPECIFIED));
    assert_eq!((request.requested, request.server), (Some(lan.server.address), Some(SERVER)));
    assert!(!lan.is_ours(GIVEN), "the link is asked first");
    lan.run(2 * SECOND);
    assert_eq!((lan.count(Rule::ArpProbe), lan.count(Rule::ArpAnnounce)), (3, 1));
    assert!(lan.is_ours(GIVEN) && lan.net.a.stack.is_ready());
    assert_eq!(lan.net.a.stack.awaited(), Awaited::default());
    lan.run(2 * SECOND);
    assert_eq!(lan.count(Rule::ArpAnnounce), 2);
    let hop = lan.net.a.stack.ip.route(ip("203.0.113.9")).unwrap();
    assert_eq!((hop.next_hop, hop.source), (ip("192.168.69.100"), ip(GIVEN)));
    let (a, b, _listener) = lan.connect(GIVEN);
    b.pipe.try_write(b"hello").unwrap();
    lan.run(SECOND);
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Ok(5));
}

#[test]
fn an_answer_to_the_address_that_is_not_ours_yet_is_taken_while_it_is_awaited() {
    let mut lan = bound(Server { unicasts: true, ..Server::new() });
    let late = lan.server.answer(Kind::Ack, lan.server.heard[0].xid, |_| {});
    lan.inject(&late);
    assert_eq!(lan.verdict(), Some(Rule::UdpNoSocket), "nobody waits: port 68 is a port like all others");
}

/// RFC 2131 §4.1.
#[test]
fn a_server_that_does_not_answer_is_asked_again_ever_more_rarely() {
    let mut lan = Lan::new(config(), Server { deaf_for: 7, ..Server::new() });
    lan.run(Duration::from_secs(400));
    let times: Vec<Time> = lan.sent(Rule::DhcpDiscover).iter().map(|(at, _)| *at).collect();
    for (i, seconds) in [4, 8, 16, 32, 64, 64].into_iter().enumerate() {
        let waited = times[i + 1] - times[i];
        let (least, most) = (Duration::from_secs(seconds - 1), Duration::from_secs(seconds + 1));
        assert!((least..=most).contains(&waited), "{waited:?}, not {seconds} s");
    }
    assert!(lan.is_ours(GIVEN));
    assert!(lan.server.heard.windows(2).all(|pair| pair[0].xid == pair[1].xid), "one transaction");
}

#[test]
fn a_lost_request_is_repeated_and_given_up_after_a_while() {
    let mut lan = Lan::new(config(), Server { deaf_for: usize::MAX, ..Server::new() });
    let xid = lan.server.heard[0].xid;
    let offer = lan.server.answer(Kind::Offer, xid, |_| {});
    lan.inject(&offer);
    lan.run(Duration::from_secs(70));
    assert_eq!(lan.server.count(Kind::Request), 4);
    assert!(lan.server.count(Kind::Discover) >= 2, "then it begins again");
    lan.server.deaf_for = 0;
    lan.run(Duration::from_secs(70));
    assert!(lan.is_ours(GIVEN));
}

#[test]
fn a_refusal_begins_again_with_a_new_transaction() {
    let mut lan = Lan::new(config(), Server { refuses: true, ..Server::new() });
    assert_eq!(lan.verdict(), Some(Rule::DhcpNak));
    lan.run(SECOND / 2);
    assert_eq!(lan.server.count(Kind::Discover), 1, "not in a loop");
    lan.server.refuses = false;
    lan.run(4 * SECOND);
    assert!(lan.is_ours(GIVEN));
    assert_ne!(lan.server.heard[0].xid, lan.server.heard.last().unwrap().xid);
}

#[test]
fn a_lease_is_renewed_at_half_its_time_by_its_server_alone() {
    let mut lan = bound(Server::new());
    let (a, b, _listener) = lan.connect(GIVEN);
    lan.run(Duration::from_secs(5 * 3600));
    let renewals: Vec<_> = lan.server.heard.iter().skip(2).collect();
    assert_eq!(renewals.len(), 10, "each 30 minutes of an hour's lease");
    for renewal in renewals {
        assert_eq!((renewal.kind, renewal.to), (Kind::Request, SERVER));
        let given: Ipv4Addr = GIVEN.parse().unwrap();
        assert_eq!((renewal.from, renewal.client, renewal.requested, renewal.server), (given, given, None, None));
    }
    b.pipe.try_write(b"on").unwrap();
    lan.run(SECOND);
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Ok(2));
    assert!(!lan.told().contains("Removed"));
}

#[test]
fn a_lease_whose_server_is_gone_is_extended_by_any_other() {
    let mut lan = bound(Server::new());
    lan.server.deaf_for = usize::MAX;
    lan.run(Duration::from_secs(3600 * 7 / 8 - 3));
    assert_eq!(lan.count(Rule::DhcpRebind), 0);
    // At 1800, and then at half of the rest of the way to 3150, but not more often than each minute.
    assert_eq!(lan.count(Rule::DhcpRenew), 6, "{:?}", lan.server.heard);
    lan.server.deaf_for = 0;
    lan.run(2 * SECOND);
    assert_eq!(lan.count(Rule::DhcpRebind), 1);
    assert_eq!(lan.server.heard.last().unwrap().to, Ipv4Addr::BROADCAST);
    lan.run(Duration::from_secs(1000));
    assert!(lan.is_ours(GIVEN));
}

#[test]
fn a_lease_that_nobody_extends_ends_with_its_connections() {
    let mut lan = bound(Server::new());
    let (a, _b, _listener) = lan.connect(GIVEN);
    lan.server.deaf_for = usize::MAX;
    lan.run(Duration::from_secs(3599));
    assert!(!lan.is_ours(GIVEN));
    assert!(lan.told().contains("state: Expired") && lan.told().contains("state: Removed"));
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Err(Error::AddressNotAvailable));
    assert!(lan.net.a.stack.ip.route(ip("203.0.113.9")).is_err(), "its router is gone too");
    lan.server.deaf_for = 0;
    lan.server.address = Ipv4Addr::new(192, 168, 69, 8);
    lan.run(Duration::from_secs(70));
    assert!(lan.is_ours("192.168.69.8"), "it asks on");
    let again = lan.net.connect_b(at("192.168.69.8", 80));
    assert!(again.is_ok(), "the listener on the wildcard goes on");
}

#[test]
fn a_refused_renewal_ends_the_lease_at_once() {
    let mut lan = bound(Server::new());
    lan.server.refuses = true;
    lan.run(Duration::from_secs(1799));
    assert!(!lan.is_ours(GIVEN));
    assert!(lan.told().contains("state: Refused"));
}

#[test]
fn an_address_that_somebody_has_is_declined_and_another_one_asked_for_later() {
    let taken = vec![GIVEN.parse().unwrap()];
    let mut lan = Lan::new(config(), Server { taken, ..Server::new() });
    lan.run(SECOND);
    let decline = lan.server.heard.last().unwrap().clone();
    assert_eq!((decline.kind, decline.server), (Kind::Decline, Some(SERVER)));
    assert_eq!((decline.requested, decline.client), (Some(lan.server.address), Ipv4Addr::UNSPECIFIED));
    assert!(!lan.is_ours(GIVEN) && lan.net.a.stack.duplicates().is_empty());
    lan.server.address = Ipv4Addr::new(192, 168, 69, 8);
    lan.run(12 * SECOND);
    assert!(lan.is_ours("192.168.69.8"));
    let again = lan.server.heard.iter().filter(|heard| heard.kind == Kind::Discover).nth(1).unwrap();
    assert!(again.at - decline.at >= 10 * SECOND);
}

/// RFC 5227 §2.1.1.
#[test]
fn a_server_that_gives_nothing_but_taken_addresses_is_asked_once_a_minute_in_the_end() {
    let taken = vec![GIVEN.parse().unwrap()];
    let mut lan = Lan::new(config(), Server { taken, ..Server::new() });
    lan.run(Duration::from_secs(3600));
    let declines = lan.server.count(Kind::Decline);
    assert!((60..=75).contains(&declines), "{declines}");
}

/// RFC 5227 §2.4 (b).
#[test]
fn a_leased_address_is_defended_once_and_then_declined() {
    let mut lan = bound(Server::new());
    let announced = lan.count(Rule::ArpAnnounce);
    lan.inject(&claim(GIVEN.parse().unwrap()));
    assert_eq!(lan.count(Rule::ArpAnnounce), announced + 1);
    assert!(lan.is_ours(GIVEN));
    lan.run(SECOND);
    lan.inject(&claim(GIVEN.parse().unwrap()));
    assert!(!lan.is_ours(GIVEN));
    assert!(lan.told().contains("state: Lost"), "nor is its router ours");
    lan.serve();
    assert_eq!(lan.server.heard.last().unwrap().kind, Kind::Decline);
}

#[test]
fn answers_that_cannot_be_ours_are_dropped_by_a_rule() {
    let mut lan = Lan::new(config(), Server { deaf_for: usize::MAX, ..Server::new() });
    let xid = lan.server.heard[0].xid;
    let offer = |edit: &dyn Fn(&mut smoltcp::wire::DhcpRepr<'_>)| Server::new().answer(Kind::Offer, xid, edit);
    let spoiled = [
        (offer(&|offer| offer.transaction_id ^= 1), Rule::DhcpForeign),
        (offer(&|offer| offer.client_hardware_address.0[5] ^= 1), Rule::DhcpForeign),
        (offer(&|offer| offer.server_identifier = None), Rule::DhcpUnusable),
        (offer(&|offer| offer.subnet_mask = None), Rule::DhcpUnusable),
        (offer(&|offer| offer.lease_duration = None), Rule::DhcpUnusable),
        (offer(&|offer| offer.lease_duration = Some(0)), Rule::DhcpUnusable),
        (offer(&|offer| offer.your_ip = Ipv4Addr::new(192, 168, 69, 255)), Rule::DhcpUnusable),
        (offer(&|offer| offer.your_ip = Ipv4Addr::UNSPECIFIED), Rule::DhcpUnusable),
        (offer(&|offer| offer.message_type = Kind::Ack), Rule::DhcpUnasked),
        (offer(&|offer| offer.message_type = Kind::Nak), Rule::DhcpUnasked),
    ];
    for (frame, rule) in spoiled {
        lan.inject(&frame);
        assert_eq!(lan.verdict(), Some(rule));
    }
    let mut damaged = offer(&|_| {});
    damaged[14 + 20 + 8 + 16] ^= 1;
    lan.inject(&damaged);
    assert_eq!(lan.verdict(), Some(Rule::UdpChecksum));
    assert_eq!(lan.server.count(Kind::Request), 0);
}

/// Every octet of an offer, with every bit of it flipped, the checksum left out as IPv4 allows.
#[test]
fn no_offer_however_mangled_does_harm() {
    let mut lan = Lan::new(config(), Server { deaf_for: usize::MAX, ..Server::new() });
    let xid = lan.server.heard[0].xid;
    let mut offer = lan.server.answer(Kind::Offer, xid, |_| {});
    offer[14 + 20 + 6..14 + 20 + 8].fill(0);
    for place in 14 + 20 + 8..offer.len() {
        for bit in 0..8 {
            let mut mangled = offer.clone();
            mangled[place] ^= 1 << bit;
            lan.inject(&mangled);
        }
    }
    lan.server.deaf_for = 0;
    lan.run(Duration::from_secs(200));
    assert!(lan.net.a.stack.is_ready(), "{}", lan.told());
}

#[test]
fn a_lease_for_ever_arms_nothing() {
    let mut lan = bound(Server { lease: u32::MAX, ..Server::new() });
    lan.run(Duration::from_secs(60));
    assert_eq!(lan.net.a.deadline, None);
}

#[test]
fn a_stack_that_stops_gives_its_address_back() {
    let mut lan = bound(Server::new());
    // A renewal has told it the server's Ethernet address.
    lan.run(Duration::from_secs(1800));
    let mut out = Frames::new();
    lan.net.a.stack.shut_down(lan.net.now, &mut out, &mut lan.net.a.seen);
    lan.serve();
    let release = lan.server.heard.last().unwrap();
    assert_eq!((release.kind, release.to, release.server), (Kind::Release, SERVER, Some(SERVER)));
    assert_eq!(release.client, lan.server.address);
}

#[test]
fn a_person_who_chose_an_address_does_not_wait_for_a_server() {
    let chosen = Config { addresses: vec!["192.168.69.1/24".parse().unwrap()], ..config() };
    let mut lan = Lan::new(chosen, Server { deaf_for: 1, ..Server::new() });
    lan.run(2 * SECOND);
    assert!(lan.net.a.stack.is_ready() && lan.net.a.stack.awaited().dhcp);
    lan.run(10 * SECOND);
    assert!(lan.is_ours("192.168.69.1") && lan.is_ours(GIVEN));
}

#[test]
fn an_address_that_a_person_chose_and_a_server_gives_stays_the_persons() {
    let chosen = Config { addresses: vec![format!("{GIVEN}/24").parse().unwrap()], ..config() };
    let mut lan = Lan::new(chosen, Server::new());
    lan.run(5 * SECOND);
    assert!(lan.is_ours(GIVEN));
    assert_eq!(lan.server.count(Kind::Decline), 1);
}
