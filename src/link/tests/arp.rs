use super::*;

const NOBODY: Mac = Mac([0; 6]);

fn announcement(mac: Mac, address: Ipv4Addr) -> Vec<u8> {
    arp_frame(Mac::BROADCAST, ArpOperation::Request, (mac, address), (NOBODY, address))
}

fn probe_of(address: Ipv4Addr) -> Vec<u8> {
    arp_frame(Mac::BROADCAST, ArpOperation::Request, (PEER, Ipv4Addr::UNSPECIFIED), (NOBODY, address))
}

fn our_answer(address: Ipv4Addr) -> Sent {
    Sent::Arp { to: PEER, rule: Rule::ArpAnswered, repr: arp_message(ArpOperation::Reply, (US, V4), (PEER, address)) }
}

fn our_announcement() -> Sent {
    Sent::Arp {
        to: Mac::BROADCAST,
        rule: Rule::ArpAnnounce,
        repr: arp_message(ArpOperation::Request, (US, V4), (NOBODY, V4)),
    }
}

fn conflict() -> Notice {
    Notice::Address { address: V4.into(), state: observe::Address::Conflict { owner: OTHER } }
}

#[test]
fn wire_1_arp_answers_only_for_its_own_addresses() {
    let mut station = Station::new();
    assert_eq!(station.done(&request(V4)), Ok(Rule::ArpAnswered));
    assert_eq!(station.sent(), [our_answer(PEER4)]);
    for other in ["192.168.69.2", "192.168.69.0", "192.168.69.255", "0.0.0.0", "255.255.255.255", "127.0.0.1"] {
        assert_eq!(station.done(&request(other.parse().unwrap())), Err(Rule::ArpForeign), "{other}");
    }
    assert!(station.out.is_empty());
}

#[test]
fn wire_2_arp_answers_a_unicast_request() {
    let mut station = Station::new();
    let frame = arp_frame(US, ArpOperation::Request, (PEER, PEER4), (US, V4));
    assert_eq!(station.done(&frame), Ok(Rule::ArpAnswered));
    assert_eq!(station.sent(), [our_answer(PEER4)]);
}

#[test]
fn wire_3_frames_to_another_mac_are_ignored() {
    let mut station = Station::new();
    let frame = arp_frame(OTHER, ArpOperation::Request, (PEER, PEER4), (NOBODY, V4));
    assert_eq!(station.receive(&frame), Err(Rule::EthForeign));
    assert!(station.out.is_empty());
}

#[test]
fn wire_4_malformed_arp_is_survived() {
    let mut station = Station::new();
    let whole = request(V4);
    for length in HEADER..HEADER + 28 {
        assert_eq!(station.done(&whole[..length]), Err(Rule::ArpMalformed), "{length} bytes");
    }
    // Hardware, protocol, their lengths, operation: each wrong by one value and by all of its bits.
    for (place, rule) in (HEADER..HEADER + 8).map(|place| (place, Rule::ArpMalformed)) {
        for bits in [0x40, 0xff] {
            let mut frame = whole.clone();
            frame[place] ^= bits;
            assert_eq!(station.done(&frame), Err(rule), "byte {place}");
        }
    }
    for (mac, address) in [
        (Mac::BROADCAST, PEER4),
        (Mac([0x01, 0, 0x5e, 0, 0, 1]), PEER4),
        (NOBODY, PEER4),
        (US, PEER4),
        (PEER, Ipv4Addr::BROADCAST),
        (PEER, Ipv4Addr::new(224, 0, 0, 1)),
        (PEER, Ipv4Addr::LOCALHOST),
        (PEER, Ipv4Addr::new(0, 0, 0, 1)),
    ] {
        let mut frame = arp_frame(US, ArpOperation::Request, (mac, address), (NOBODY, V4));
        frame[6..12].copy_from_slice(&PEER.0);
        assert_eq!(station.done(&frame), Err(Rule::ArpSource), "{mac} {address}");
    }
    let unspecified = arp_frame(US, ArpOperation::Reply, (PEER, Ipv4Addr::UNSPECIFIED), (US, V4));
    assert_eq!(station.done(&unspecified), Err(Rule::ArpSource));
    assert!(station.out.is_empty() && station.notices().is_empty());
    assert_eq!(station.done(&whole), Ok(Rule::ArpAnswered), "it still answers");
}

#[test]
fn who_asked_for_us_needs_no_request_of_ours() {
    let mut station = Station::new();
    station.done(&request(V4)).unwrap();
    station.sent();
    station.send(PEER4, &packet4(1)).unwrap();
    assert_eq!(station.sent(), [Sent::Data { to: PEER, packet: packet4(1) }]);
}

#[test]
fn who_asked_for_somebody_else_is_not_remembered() {
    let mut station = Station::new();
    assert_eq!(station.done(&request("192.168.69.7".parse().unwrap())), Err(Rule::ArpForeign));
    assert_eq!(station.link.neighbours.len(), 0);
}

#[test]
fn a_reply_that_nobody_asked_for_changes_nothing() {
    let mut station = Station::new();
    assert_eq!(station.done(&reply(OTHER)), Err(Rule::ArpUnasked));
    assert_eq!(station.link.neighbours.len(), 0);

    station.send(PEER4, &packet4(1)).unwrap();
    assert_eq!(station.done(&reply(PEER)), Ok(Rule::ArpLearned));
    station.sent();
    assert_eq!(station.done(&reply(OTHER)), Err(Rule::ArpUnasked), "the second answer is somebody else's");
    station.send(PEER4, &packet4(2)).unwrap();
    assert_eq!(station.sent(), [Sent::Data { to: PEER, packet: packet4(2) }]);
}

#[test]
fn a_reply_to_somebody_else_is_not_for_us() {
    let mut station = Station::new();
    station.send(PEER4, &packet4(1)).unwrap();
    let frame = arp_frame(US, ArpOperation::Reply, (PEER, PEER4), (US, Ipv4Addr::new(192, 168, 69, 7)));
    assert_eq!(station.done(&frame), Err(Rule::ArpForeign));
}

#[test]
fn an_announcement_moves_a_known_neighbour_and_makes_no_unknown_one_known() {
    let mut station = Station::new();
    for operation in [ArpOperation::Request, ArpOperation::Reply] {
        let unknown = arp_frame(Mac::BROADCAST, operation, (OTHER, PEER4), (NOBODY, PEER4));
        assert_eq!(station.done(&unknown), Err(Rule::ArpForeign));
        assert_eq!(station.link.neighbours.len(), 0);
    }
    station.done(&request(V4)).unwrap();
    assert_eq!(station.done(&announcement(OTHER, PEER4)), Ok(Rule::ArpLearned));
    station.sent();
    station.send(PEER4, &packet4(1)).unwrap();
    assert_eq!(station.sent(), [Sent::Data { to: OTHER, packet: packet4(1) }]);
    // It was only heard of, so after a while it is asked whether it is really there.
    station.pass(5 * SECOND);
    let poll = Sent::Arp {
        to: OTHER,
        rule: Rule::ArpPoll,
        repr: arp_message(ArpOperation::Request, (US, V4), (NOBODY, PEER4)),
    };
    assert_eq!(station.sent(), [poll]);
}

#[test]
fn a_new_address_is_probed_then_preferred_and_announced_twice() {
    let mut station = Station::bare(&Limits::default());
    station.link.add_address(station.now, V4.into(), SECOND, &mut station.out);
    let probe = || Sent::Arp {
        to: Mac::BROADCAST,
        rule: Rule::ArpProbe,
        repr: arp_message(ArpOperation::Request, (US, Ipv4Addr::UNSPECIFIED), (NOBODY, V4)),
    };
    assert_eq!(station.sent(), [probe()]);
    let state = |state| Notice::Address { address: V4.into(), state };
    assert_eq!(station.notices(), [state(observe::Address::Tentative)]);
    assert_eq!(station.done(&request(V4)), Err(Rule::ArpForeign), "it is not ours yet");
    assert_eq!(station.send(PEER4, &packet4(1)), Err(Rule::NeighbourNoSource));
    assert_eq!(station.link.deadline(), Some(Time::ZERO + SECOND / 3));

    for _ in 0..2 {
        station.pass(SECOND / 3);
        assert_eq!(station.sent(), [probe()], "a probe may be lost");
        assert_eq!(station.notices(), []);
    }
    station.pass(SECOND / 3);
    assert_eq!(station.sent(), [our_announcement()]);
    assert_eq!(station.notices(), [state(observe::Address::Preferred)]);
    assert_eq!(station.done(&request(V4)), Ok(Rule::ArpAnswered));
    station.sent();
    station.pass(2 * SECOND);
    assert_eq!(station.sent(), [our_announcement()], "RFC 5227 §2.3: twice");
    assert_eq!((station.link.deadline(), station.notices()), (None, vec![]));
}

#[test]
fn without_probing_an_address_is_announced_at_once_and_only_once() {
    let mut station = Station::bare(&Limits::default());
    for _ in 0..2 {
        station.link.add_address(station.now, V4.into(), Duration::ZERO, &mut station.out);
    }
    assert_eq!(station.sent(), [our_announcement()]);
    assert_eq!(station.notices().len(), 2, "tentative, preferred");
}

#[test]
fn an_address_that_somebody_has_or_probes_too_is_not_used() {
    let has = arp_frame(US, ArpOperation::Reply, (PEER, V4), (US, Ipv4Addr::UNSPECIFIED));
    for objection in [has, announcement(PEER, V4), probe_of(V4)] {
        let mut station = Station::bare(&Limits::default());
        station.link.add_address(station.now, V4.into(), SECOND, &mut station.out);
        station.sent();
        station.notices();
        assert_eq!(station.done(&objection), Ok(Rule::ArpConflict));
        let state = observe::Address::Duplicate { owner: PEER };
        assert_eq!(station.notices(), [Notice::Address { address: V4.into(), state }]);
        assert_eq!(station.link.deadline(), None);
        station.pass(2 * SECOND);
        assert!(station.sent().is_empty());
        assert_eq!(station.done(&request(V4)), Err(Rule::ArpForeign));
    }
}

#[test]
fn a_probe_of_our_address_is_answered() {
    let mut station = Station::new();
    assert_eq!(station.done(&probe_of(V4)), Ok(Rule::ArpAnswered));
    assert_eq!(station.sent(), [our_answer(Ipv4Addr::UNSPECIFIED)]);
    assert_eq!(station.link.neighbours.len(), 0, "0.0.0.0 is nobody's address");
}

#[test]
fn a_conflict_is_noticed_and_defended_once_in_ten_seconds() {
    let mut station = Station::new();
    station.now = Time::from_micros(1);
    for millis in 0..9999 {
        assert_eq!(station.done(&announcement(OTHER, V4)), Ok(Rule::ArpConflict));
        let first = millis == 0;
        assert_eq!(station.sent(), if first { vec![our_announcement()] } else { vec![] });
        let contested = Notice::Contested { address: V4.into(), owner: OTHER };
        assert_eq!(station.notices(), [if first { conflict() } else { contested }]);
        station.pass(Duration::from_millis(1));
    }
    station.pass(Duration::from_millis(1));
    station.done(&arp_frame(US, ArpOperation::Reply, (OTHER, V4), (US, V4))).unwrap();
    assert_eq!(station.sent(), [our_announcement()]);
    assert_eq!(station.notices(), [conflict()]);
    assert_eq!(station.done(&request(V4)), Ok(Rule::ArpAnswered), "the address stays ours");
}
