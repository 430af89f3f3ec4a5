use super::*;

fn nobody4() -> Sent {
    asked4(Mac::BROADCAST, Rule::ArpRequest)
}

fn asked4(to: Mac, rule: Rule) -> Sent {
    Sent::Arp { to, rule, repr: arp_message(ArpOperation::Request, (US, V4), (Mac([0; 6]), PEER4)) }
}

fn data(to: Mac, number: u8) -> Sent {
    Sent::Data { to, packet: packet4(number) }
}

fn state(state: Neighbour) -> Notice {
    Notice::Neighbour { address: PEER4.into(), state }
}

/// The peer is known and has just answered.
fn reachable() -> Station {
    let mut station = Station::new();
    station.send(PEER4, &packet4(0)).unwrap();
    station.done(&reply(PEER)).unwrap();
    station.sent();
    station.notices();
    assert_eq!(station.link.deadline(), None);
    station
}

#[test]
fn packets_wait_for_the_answer_and_leave_in_order() {
    let mut station = Station::new();
    for number in 1..=3 {
        station.send(PEER4, &packet4(number)).unwrap();
    }
    assert_eq!(station.sent(), [nobody4()], "one request for all three");
    assert_eq!(station.done(&reply(PEER)), Ok(Rule::ArpLearned));
    assert_eq!(station.sent(), [data(PEER, 1), data(PEER, 2), data(PEER, 3)]);
    assert_eq!(station.notices(), [state(Neighbour::Incomplete), state(Neighbour::Reachable { mac: PEER })]);
    assert_eq!(station.link.deadline(), None);
}

#[test]
fn a_request_from_a_neighbour_that_we_ask_is_as_good_as_its_answer() {
    let mut station = Station::new();
    station.send(PEER4, &packet4(1)).unwrap();
    station.sent();
    assert_eq!(station.done(&request(V4)), Ok(Rule::ArpAnswered));
    assert!(station.sent().contains(&data(PEER, 1)));
    assert_eq!(station.link.deadline(), Some(station.now + 5 * SECOND), "but it is verified");
}

#[test]
fn a_silent_neighbour_is_asked_three_times_and_the_packets_come_back() {
    let mut station = Station::new();
    station.send(PEER4, &packet4(1)).unwrap();
    station.send(PEER4, &packet4(2)).unwrap();
    for _ in 0..3 {
        assert_eq!(station.sent(), [nobody4()]);
        station.pass(SECOND);
    }
    assert!(station.sent().is_empty());
    let undelivered = |number| Notice::Undelivered { next_hop: PEER4.into(), fate: FATE, packet: packet4(number) };
    assert_eq!(
        station.notices(),
        [state(Neighbour::Incomplete), state(Neighbour::Failed), undelivered(1), undelivered(2)]
    );
    assert_eq!(station.link.deadline(), None);
}

#[test]
fn a_neighbour_that_failed_is_not_asked_again_for_a_second() {
    let mut station = Station::new();
    station.send(PEER4, &packet4(1)).unwrap();
    station.pass(3 * SECOND);
    station.sent();
    station.notices();
    for _ in 0..1000 {
        assert_eq!(station.send(PEER4, &packet4(2)), Err(Rule::NeighbourFailed));
    }
    assert!(station.sent().is_empty() && station.notices().is_empty());
    station.pass(SECOND);
    assert_eq!(station.send(PEER4, &packet4(3)), Ok(()));
    assert_eq!(station.sent(), [nobody4()]);
    assert_eq!(station.done(&reply(PEER)), Ok(Rule::ArpLearned));
    assert_eq!(station.sent(), [data(PEER, 3)]);
}

#[test]
fn an_answer_that_comes_too_late_is_still_believed() {
    let mut station = Station::new();
    station.send(PEER4, &packet4(1)).unwrap();
    station.pass(3 * SECOND);
    station.sent();
    assert_eq!(station.done(&reply(PEER)), Ok(Rule::ArpLearned));
    assert_eq!(station.send(PEER4, &packet4(2)), Ok(()));
    assert_eq!(station.sent(), [data(PEER, 2)]);
}

#[test]
fn too_many_waiting_packets_are_refused_and_the_oldest_stay() {
    let mut station = Station::with(&Limits { packets_per_neighbour: 2, ..Limits::default() });
    assert_eq!(station.send(PEER4, &packet4(1)), Ok(()));
    assert_eq!(station.send(PEER4, &packet4(2)), Ok(()));
    assert_eq!(station.send(PEER4, &packet4(3)), Err(Rule::NeighbourQueueFull));
    station.sent();
    station.done(&reply(PEER)).unwrap();
    assert_eq!(station.sent(), [data(PEER, 1), data(PEER, 2)]);

    let mut station = Station::with(&Limits { packets_per_neighbour: 0, ..Limits::default() });
    assert_eq!(station.send(PEER4, &packet4(1)), Err(Rule::NeighbourQueueFull));
    assert_eq!(station.link.deadline(), None);
}

#[test]
fn what_waits_for_all_neighbours_together_is_bounded_and_the_bound_is_free_again_when_they_fail() {
    let (bytes, other) = (3 * packet4(0).len(), std::net::Ipv4Addr::new(192, 168, 69, 101));
    let mut station = Station::with(&Limits { neighbour_queue_bytes: bytes, ..Limits::default() });
    for number in 0..3 {
        assert_eq!(station.send(PEER4, &packet4(number)), Ok(()));
    }
    assert_eq!(station.send(PEER4, &packet4(4)), Err(Rule::NeighbourQueueFull));
    assert_eq!(station.send(other, &packet4(4)), Err(Rule::NeighbourQueueFull));
    station.done(&reply(PEER)).unwrap();
    assert_eq!(station.send(other, &packet4(5)), Ok(()), "the first three have gone");
    for _ in 0..4 {
        station.pass(SECOND);
    }
    for number in 0..3 {
        assert_eq!(
            station.send(std::net::Ipv4Addr::new(192, 168, 69, 102), &packet4(number)),
            Ok(()),
            "the fifth was given up"
        );
    }
}

#[test]
fn a_known_neighbour_is_used_without_asking_for_thirty_seconds() {
    let mut station = reachable();
    for number in 0..29 {
        station.pass(SECOND);
        station.send(PEER4, &packet4(number)).unwrap();
        assert_eq!(station.sent(), [data(PEER, number)]);
        assert_eq!(station.link.deadline(), None, "nothing to wait for while it is reachable");
    }
}

#[test]
fn a_stale_neighbour_is_used_at_once_and_asked_alone_five_seconds_later() {
    let mut station = reachable();
    station.pass(31 * SECOND);
    assert_eq!(station.link.deadline(), None, "it became stale without a timer");
    station.send(PEER4, &packet4(1)).unwrap();
    assert_eq!(station.sent(), [data(PEER, 1)]);
    assert_eq!(station.link.deadline(), Some(station.now + 5 * SECOND));
    station.pass(5 * SECOND);
    assert_eq!(station.sent(), [asked4(PEER, Rule::ArpPoll)]);
    station.send(PEER4, &packet4(2)).unwrap();
    assert_eq!(station.sent(), [data(PEER, 2)], "data flows while it is asked");
    assert_eq!(station.done(&reply(PEER)), Ok(Rule::ArpLearned));
    assert_eq!(station.link.deadline(), None);
    assert!(station.notices().is_empty(), "nothing changed");
    station.pass(29 * SECOND);
    station.send(PEER4, &packet4(3)).unwrap();
    assert_eq!(station.link.deadline(), None, "it is reachable again");
}

#[test]
fn a_stale_neighbour_that_does_not_answer_is_forgotten_and_asked_for_anew() {
    let mut station = reachable();
    station.pass(31 * SECOND);
    station.send(PEER4, &packet4(1)).unwrap();
    station.sent();
    station.pass(8 * SECOND);
    assert_eq!(station.sent(), [(); 3].map(|()| asked4(PEER, Rule::ArpPoll)));
    assert_eq!(station.notices(), [state(Neighbour::Failed)]);
    assert_eq!((station.link.deadline(), station.link.neighbours.len()), (None, 0));
    // It may have moved: everybody is asked, without a pause.
    station.send(PEER4, &packet4(2)).unwrap();
    assert_eq!(station.sent(), [nobody4()]);
    station.done(&reply(OTHER)).unwrap();
    assert_eq!(station.sent(), [data(OTHER, 2)]);
    assert_eq!(station.notices(), [state(Neighbour::Incomplete), state(Neighbour::Reachable { mac: OTHER })]);
}

#[test]
fn a_request_comes_from_the_address_of_the_packet_that_waits() {
    let mut station = Station::new();
    let second = Ipv4Addr::new(10, 0, 0, 1);
    station.link.add_address(station.now, second.into(), Duration::ZERO, &mut station.out);
    station.sent();
    let mut packet = packet4(1);
    packet[12..16].copy_from_slice(&second.octets());
    station.send(PEER4, &packet).unwrap();
    let from_second = Sent::Arp {
        to: Mac::BROADCAST,
        rule: Rule::ArpRequest,
        repr: arp_message(ArpOperation::Request, (US, second), (Mac([0; 6]), PEER4)),
    };
    assert_eq!(station.sent(), [from_second]);
    // What is not ours is never claimed.
    packet[12..16].copy_from_slice(&[8, 8, 8, 8]);
    let other = Ipv4Addr::new(192, 168, 69, 101);
    station.send(other, &packet).unwrap();
    let Some(Sent::Arp { repr: ArpRepr::EthernetIpv4 { source_protocol_addr, .. }, .. }) = station.sent().pop() else {
        panic!("no request")
    };
    assert_eq!(source_protocol_addr, V4);
}

#[test]
fn a_packet_without_a_header_can_wait_too() {
    let mut station = Station::new();
    assert_eq!(station.send(PEER4, &[]), Ok(()));
    assert_eq!(station.send(PEER6, &[0x60; 10]), Ok(()));
    assert_eq!(station.out.len(), 2);
}

fn host(number: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + u32::from(number))
}

/// `number` answers, having been sent a packet.
fn meet(station: &mut Station, number: u16) {
    station.send(host(number), &packet4(0)).unwrap();
    let frame = arp_frame(US, ArpOperation::Reply, (PEER, host(number)), (US, V4));
    assert_eq!(station.done(&frame), Ok(Rule::ArpLearned));
}

fn asks(station: &mut Station, number: u16) {
    let frame = arp_frame(US, ArpOperation::Request, (PEER, host(number)), (US, V4));
    assert_eq!(station.done(&frame), Ok(Rule::ArpAnswered));
}

fn is_known(station: &Station, number: u16) -> bool {
    station.link.neighbours.mac(host(number).into()).is_some()
}

#[test]
fn a_full_table_forgets_the_neighbour_that_was_used_longest_ago() {
    let mut station = Station::with(&Limits { neighbours: 3, ..Limits::default() });
    for number in 0..3 {
        meet(&mut station, number);
        station.pass(SECOND);
    }
    station.send(host(0), &packet4(1)).unwrap();
    meet(&mut station, 3);
    assert_eq!([0, 1, 2, 3].map(|number| is_known(&station, number)), [true, false, true, true]);
    assert_eq!(station.link.neighbours.len(), 3);
}

#[test]
fn a_full_table_of_open_questions_refuses_new_ones_and_keeps_their_packets() {
    let mut station = Station::with(&Limits { neighbours: 3, ..Limits::default() });
    for number in 0..3 {
        station.send(host(number), &packet4(0)).unwrap();
    }
    assert_eq!(station.send(host(3), &packet4(0)), Err(Rule::NeighbourTableFull));
    // Also while they count as failed, so that a scan is not a storm.
    station.pass(3 * SECOND);
    assert_eq!(station.notices().iter().filter(|notice| matches!(notice, Notice::Undelivered { .. })).count(), 3);
    assert_eq!(station.send(host(3), &packet4(0)), Err(Rule::NeighbourTableFull));
    station.pass(SECOND);
    assert_eq!(station.send(host(3), &packet4(0)), Ok(()));
}

#[test]
fn those_who_only_talk_to_us_push_out_nobody_whom_we_use() {
    let mut station = Station::with(&Limits { neighbours: 3, ..Limits::default() });
    meet(&mut station, 0);
    meet(&mut station, 1);
    for number in 100..1000 {
        asks(&mut station, number);
    }
    assert!(is_known(&station, 0) && is_known(&station, 1));
    assert_eq!(station.link.neighbours.len(), 3);
    meet(&mut station, 2);
    assert!(is_known(&station, 0) && is_known(&station, 1) && is_known(&station, 2));
    asks(&mut station, 100);
    assert!(!is_known(&station, 100), "answered, but not remembered");
}

#[test]
fn an_idle_link_has_nothing_to_wait_for_whatever_it_knows() {
    let mut station = Station::new();
    for number in 0..100 {
        meet(&mut station, number);
        asks(&mut station, 500 + number);
    }
    station.pass(60 * SECOND);
    for number in 0..100 {
        station.send(host(number), &packet4(0)).unwrap();
    }
    assert!(station.link.deadline().is_some());
    station.pass(60 * SECOND);
    assert_eq!(station.link.deadline(), None);
}
