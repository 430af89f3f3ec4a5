use super::*;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);
const GROUP_MAC: Mac = Mac([0x33, 0x33, 0xff, 0, 0, 1]);

fn our_advertisement(rule: Rule, to: Mac, destination: Ipv6Addr, flags: NdiscNeighborFlags) -> Sent {
    let lladdr = Some(EthernetAddress(US.0).into());
    let repr = NdiscRepr::NeighborAdvert { flags, target_addr: V6, lladdr };
    Sent::Ndp { to, rule, source: V6, destination, repr }
}

fn our_answer() -> Sent {
    our_advertisement(Rule::NdpAnswered, PEER, PEER6, answered())
}

fn our_announcement() -> Sent {
    our_advertisement(Rule::NdpAdvertise, ALL_NODES_MAC, ALL_NODES, NdiscNeighborFlags::OVERRIDE)
}

/// Our question for the peer, to everybody or to one.
fn our_question(to: Option<Mac>) -> Sent {
    let lladdr = Some(EthernetAddress(US.0).into());
    let repr = NdiscRepr::NeighborSolicit { target_addr: PEER6, lladdr };
    match to {
        None => Sent::Ndp {
            to: Mac([0x33, 0x33, 0xff, 0, 1, 0]),
            rule: Rule::NdpSolicit,
            source: V6,
            destination: group_of(PEER6),
            repr,
        },
        Some(to) => Sent::Ndp { to, rule: Rule::NdpProbe, source: V6, destination: PEER6, repr },
    }
}

fn data(to: Mac, number: u8) -> Sent {
    Sent::Data { to, packet: packet6(number) }
}

/// A question with everything in it to be chosen.
fn question(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    icmp_frame(US, PEER, source, destination, hop_limit, body)
}

/// The peer is known and has just answered.
fn reachable() -> Station {
    let mut station = Station::new();
    station.send(PEER6, &packet6(0)).unwrap();
    station.neighbour(&advertisement(answered(), Some(PEER))).unwrap();
    station.sent();
    station.notices();
    station
}

fn goes_to(station: &mut Station) -> Mac {
    station.send(PEER6, &packet6(9)).unwrap();
    let Some(Sent::Data { to, .. }) = station.sent().pop() else { panic!("it waits") };
    to
}

#[test]
fn wire_54_a_solicitation_is_answered_to_the_group_and_to_us_alone() {
    let mut station = Station::new();
    assert_eq!(station.neighbour(&solicitation(V6)), Ok(Rule::NdpAnswered));
    assert_eq!(station.sent(), [our_answer()]);
    let unicast = question(PEER6, V6, 255, &ns_body(V6, Some(PEER)));
    assert_eq!(station.neighbour(&unicast), Ok(Rule::NdpAnswered));
    assert_eq!(station.sent(), [our_answer()]);
}

#[test]
fn wire_54_a_solicitation_is_answered_only_with_hop_limit_255() {
    let mut station = Station::new();
    for hop_limit in [0, 1, 64, 254] {
        let frame = question(PEER6, V6, hop_limit, &ns_body(V6, Some(PEER)));
        assert_eq!(station.neighbour(&frame), Err(Rule::NdpHopLimit));
    }
    assert!(station.out.is_empty());
    assert_eq!(station.link.neighbours.len(), 0);
}

#[test]
fn wire_54_duplicate_address_detection_is_answered_to_all_nodes() {
    let mut station = Station::new();
    let frame = icmp_frame(GROUP_MAC, PEER, Ipv6Addr::UNSPECIFIED, group_of(V6), 255, &ns_body(V6, None));
    assert_eq!(station.neighbour(&frame), Ok(Rule::NdpAnswered));
    let answer = our_advertisement(Rule::NdpAnswered, ALL_NODES_MAC, ALL_NODES, NdiscNeighborFlags::OVERRIDE);
    assert_eq!(station.sent(), [answer]);
    assert_eq!(station.link.neighbours.len(), 0, ":: is nobody's address");
}

#[test]
fn wire_54_other_targets_are_ignored() {
    let mut station = Station::new();
    // Its group is ours, it is not.
    let cousin = Ipv6Addr::new(0xfd69, 0, 0, 0, 7, 0, 0, 1);
    for target in [cousin, PEER6, Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED] {
        assert_eq!(station.neighbour(&solicitation(target)), Err(Rule::NdpForeign), "{target}");
    }
    assert!(station.out.is_empty());
    assert_eq!(station.link.neighbours.len(), 0);
}

#[test]
fn wire_54_solicitations_that_break_a_validity_rule_are_dropped() {
    let mut station = Station::new();
    let valid = ns_body(V6, Some(PEER));
    for length in 0..valid.len() {
        let frame = question(PEER6, V6, 255, &valid[..length]);
        // Without the option it is complete again, and only lacks the sender's Ethernet address.
        let expected = if length == 24 { Ok(Rule::NdpAnswered) } else { Err(Rule::NdpMalformed) };
        assert_eq!(Station::new().neighbour(&frame), expected, "{length} bytes");
    }
    let with = |place: usize, byte: u8| {
        let mut body = valid.clone();
        body[place] = byte;
        body
    };
    let unspecified = Ipv6Addr::UNSPECIFIED;
    for (what, frame) in [
        ("code", question(PEER6, V6, 255, &with(1, 1))),
        ("option of length 0", question(PEER6, V6, 255, &with(25, 0))),
        // Skipped by its length, an unknown one would be skipped for ever.
        ("unknown option of length 0", question(PEER6, V6, 255, &[&valid[..], &[99, 0, 0, 0, 0, 0, 0, 0]].concat())),
        ("option too long", question(PEER6, V6, 255, &with(25, 2))),
        ("multicast target", question(PEER6, V6, 255, &ns_body(group_of(V6), Some(PEER)))),
        ("multicast source", question(group_of(PEER6), V6, 255, &valid)),
        ("link address from ::", question(unspecified, group_of(V6), 255, &valid)),
        ("from :: to us alone", question(unspecified, V6, 255, &ns_body(V6, None))),
        ("link address of a group", question(PEER6, V6, 255, &ns_body(V6, Some(Mac::BROADCAST)))),
        ("link address zero", question(PEER6, V6, 255, &ns_body(V6, Some(Mac([0; 6]))))),
        ("link address ours", question(PEER6, V6, 255, &ns_body(V6, Some(US)))),
        ("link address of two units", question(PEER6, V6, 255, &[&with(25, 2)[..], &[0; 8]].concat())),
    ] {
        assert_eq!(station.neighbour(&frame), Err(Rule::NdpMalformed), "{what}");
    }
    assert!(station.out.is_empty() && station.notices().is_empty());
}

#[test]
fn unknown_options_are_skipped_whatever_they_hold() {
    let mut station = Station::new();
    // A nonce, a prefix and a redirected header too short for their kinds, then the sender's address.
    let fixed = ns_body(V6, None);
    let option = |kind: u8| [kind, 1, 9, 9, 9, 9, 9, 9];
    let body = [&fixed[..], &option(14), &option(3), &option(4), &ns_body(V6, Some(PEER))[24..]].concat();
    assert_eq!(station.neighbour(&question(PEER6, V6, 255, &body)), Ok(Rule::NdpAnswered));
    assert_eq!(station.sent(), [our_answer()]);
}

#[test]
fn who_does_not_say_where_it_is_is_asked_before_it_is_answered() {
    let mut station = Station::new();
    let frame = question(PEER6, V6, 255, &ns_body(V6, None));
    assert_eq!(station.neighbour(&frame), Ok(Rule::NdpAnswered));
    assert_eq!(station.sent(), [our_question(None)]);
    assert_eq!(station.neighbour(&advertisement(answered(), Some(PEER))), Ok(Rule::NdpLearned));
    assert_eq!(station.sent(), [our_answer()]);
    // Now it is known.
    assert_eq!(station.neighbour(&frame), Ok(Rule::NdpAnswered));
    assert_eq!(station.sent(), [our_answer()]);
}

#[test]
fn who_asked_for_us_needs_no_question_of_ours() {
    let mut station = Station::new();
    station.neighbour(&solicitation(V6)).unwrap();
    station.sent();
    assert_eq!(goes_to(&mut station), PEER);
}

#[test]
fn router_messages_are_not_used_unasked_and_redirects_never() {
    let mut station = Station::new();
    for (kind, rule) in [(133, Rule::NdpUnused), (134, Rule::NdpUnused), (137, Rule::NdpRedirect)] {
        let mut body = vec![0; 40];
        body[0] = kind;
        assert_eq!(station.neighbour(&question(PEER6, V6, 255, &body)), Err(rule));
        assert_eq!(station.neighbour(&question(PEER6, V6, 64, &body)), Err(Rule::NdpHopLimit));
    }
}

#[test]
fn packets_wait_for_the_advertisement_and_a_silent_neighbour_fails() {
    let mut station = Station::new();
    station.send(PEER6, &packet6(1)).unwrap();
    assert_eq!(station.sent(), [our_question(None)]);
    station.neighbour(&advertisement(answered(), Some(PEER))).unwrap();
    assert_eq!(station.sent(), [data(PEER, 1)]);
    assert_eq!(station.link.deadline(), None);

    let mut station = Station::new();
    station.send(PEER6, &packet6(1)).unwrap();
    station.pass(3 * SECOND);
    assert_eq!(station.sent(), [(); 3].map(|()| our_question(None)));
    let undelivered = Notice::Undelivered { next_hop: PEER6.into(), fate: FATE, packet: packet6(1) };
    assert_eq!(station.notices().last(), Some(&undelivered));
}

#[test]
fn a_stale_neighbour_is_probed_alone() {
    let mut station = reachable();
    station.pass(31 * SECOND);
    station.send(PEER6, &packet6(1)).unwrap();
    station.sent();
    station.pass(5 * SECOND);
    assert_eq!(station.sent(), [our_question(Some(PEER))]);
    // A unicast question may be answered without the address (RFC 4861 §7.2.4).
    assert_eq!(station.neighbour(&advertisement(answered(), None)), Ok(Rule::NdpLearned));
    assert_eq!(station.link.deadline(), None);
}

#[test]
fn an_advertisement_that_nobody_asked_for_makes_no_entry() {
    let mut station = Station::new();
    assert_eq!(station.neighbour(&advertisement(answered(), Some(PEER))), Err(Rule::NdpUnasked));
    assert_eq!(station.link.neighbours.len(), 0);
}

#[test]
fn an_answer_without_the_address_that_we_asked_for_is_useless() {
    let mut station = Station::new();
    station.send(PEER6, &packet6(1)).unwrap();
    assert_eq!(station.neighbour(&advertisement(answered(), None)), Err(Rule::NdpMalformed));
    assert_eq!(station.neighbour(&advertisement(answered(), Some(PEER))), Ok(Rule::NdpLearned));
}

#[test]
fn an_unsolicited_answer_to_a_question_is_used_and_verified() {
    let mut station = Station::new();
    station.send(PEER6, &packet6(1)).unwrap();
    station.sent();
    station.neighbour(&advertisement(NdiscNeighborFlags::OVERRIDE, Some(PEER))).unwrap();
    assert_eq!(station.sent(), [data(PEER, 1)]);
    station.pass(5 * SECOND);
    assert_eq!(station.sent(), [our_question(Some(PEER))]);
}

#[test]
fn without_the_override_flag_a_known_address_is_doubted_and_kept() {
    let mut station = reachable();
    let frame = advertisement(NdiscNeighborFlags::empty(), Some(OTHER));
    assert_eq!(station.neighbour(&frame), Err(Rule::NdpUnasked));
    assert_eq!(goes_to(&mut station), PEER);
    assert_eq!(station.link.deadline(), Some(station.now + 5 * SECOND), "it is stale now");
}

#[test]
fn with_the_override_flag_a_known_address_moves_and_must_prove_itself() {
    for flags in [NdiscNeighborFlags::OVERRIDE, answered()] {
        let mut station = reachable();
        assert_eq!(station.neighbour(&advertisement(flags, Some(OTHER))), Ok(Rule::NdpLearned));
        assert_eq!(goes_to(&mut station), OTHER);
        station.pass(5 * SECOND);
        assert_eq!(station.sent(), [our_question(Some(OTHER))]);
        let state = Neighbour::Reachable { mac: OTHER };
        assert_eq!(station.notices(), [Notice::Neighbour { address: PEER6.into(), state }]);
    }
}

#[test]
fn a_solicited_advertisement_to_a_group_is_malformed() {
    let mut station = reachable();
    let frame = icmp_frame(ALL_NODES_MAC, OTHER, PEER6, ALL_NODES, 255, &na_body(PEER6, answered(), Some(OTHER)));
    assert_eq!(station.neighbour(&frame), Err(Rule::NdpMalformed));
    assert_eq!(goes_to(&mut station), PEER);
}

#[test]
fn a_new_address_is_asked_about_then_announced_then_preferred() {
    let mut station = Station::bare(&Limits::default());
    station.link.add_address(station.now, V6.into(), SECOND, &mut station.out);
    let repr = NdiscRepr::NeighborSolicit { target_addr: V6, lladdr: None };
    let source = Ipv6Addr::UNSPECIFIED;
    let dad = || Sent::Ndp { to: GROUP_MAC, rule: Rule::NdpDad, source, destination: group_of(V6), repr };
    assert_eq!(station.sent(), [dad()]);
    assert_eq!(station.neighbour(&solicitation(V6)), Err(Rule::NdpForeign), "it is not ours yet");
    for _ in 0..2 {
        station.pass(SECOND / 3);
        assert_eq!(station.sent(), [dad()], "one may be lost");
    }
    station.pass(SECOND / 3);
    assert_eq!(station.sent(), [our_announcement()]);
    let state = |state| Notice::Address { address: V6.into(), state };
    assert_eq!(station.notices(), [state(observe::Address::Tentative), state(observe::Address::Preferred)]);
    assert_eq!(station.link.deadline(), None);
}

#[test]
fn an_address_that_somebody_has_or_wants_too_is_not_used() {
    let has = |link| {
        let body = na_body(V6, NdiscNeighborFlags::OVERRIDE, link);
        icmp_frame(ALL_NODES_MAC, OTHER, V6, ALL_NODES, 255, &body)
    };
    let wants = icmp_frame(GROUP_MAC, OTHER, Ipv6Addr::UNSPECIFIED, group_of(V6), 255, &ns_body(V6, None));
    for objection in [has(Some(OTHER)), has(None), wants] {
        let mut station = Station::bare(&Limits::default());
        station.link.add_address(station.now, V6.into(), SECOND, &mut station.out);
        station.sent();
        station.notices();
        assert_eq!(station.neighbour(&objection), Ok(Rule::NdpDuplicate));
        let state = observe::Address::Duplicate { owner: OTHER };
        assert_eq!(station.notices(), [Notice::Address { address: V6.into(), state }]);
        station.pass(2 * SECOND);
        assert!(station.sent().is_empty());
        assert_eq!(station.link.deadline(), None);
        assert_eq!(station.neighbour(&solicitation(V6)), Err(Rule::NdpForeign));
    }
}

#[test]
fn a_conflict_is_noticed_and_defended_once_in_ten_seconds() {
    let mut station = Station::new();
    let frame = icmp_frame(ALL_NODES_MAC, OTHER, V6, ALL_NODES, 255, &na_body(V6, answered(), Some(OTHER)));
    // Solicited to a group is malformed; the conflict is told by an announcement.
    assert_eq!(station.neighbour(&frame), Err(Rule::NdpMalformed));
    let body = na_body(V6, NdiscNeighborFlags::OVERRIDE, Some(OTHER));
    let frame = icmp_frame(ALL_NODES_MAC, OTHER, V6, ALL_NODES, 255, &body);
    for _ in 0..2 {
        for first in [true, false, false] {
            assert_eq!(station.neighbour(&frame), Ok(Rule::NdpConflict));
            let state = observe::Address::Conflict { owner: OTHER };
            let conflict = Notice::Address { address: V6.into(), state };
            let contested = Notice::Contested { address: V6.into(), owner: OTHER };
            assert_eq!(station.notices(), [if first { conflict } else { contested }]);
            assert_eq!(station.sent(), if first { vec![our_announcement()] } else { vec![] });
        }
        station.pass(10 * SECOND);
    }
    assert_eq!(station.neighbour(&solicitation(V6)), Ok(Rule::NdpAnswered), "the address stays ours");
}
