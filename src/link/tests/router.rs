use super::*;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 1]);

/// An advertisement with a lifetime of half an hour, and these options.
fn advertisement(options: &[u8]) -> Vec<u8> {
    [&[134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8], options].concat()
}

fn frame(source: Ipv6Addr, hop_limit: u8, body: &[u8]) -> Vec<u8> {
    icmp_frame(ALL_NODES_MAC, PEER, source, ALL_NODES, hop_limit, body)
}

/// 2001:db8::/64, on the link, for an hour and half an hour.
fn prefix(length: u8, flags: u8) -> Vec<u8> {
    let mut option = vec![3, 4, length, flags, 0, 0, 0x0e, 0x10, 0, 0, 0x07, 0x08, 0, 0, 0, 0];
    option.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).octets());
    option
}

/// With every option that is read.
pub(super) fn full() -> Vec<u8> {
    let options = [prefix(64, 0xc0), vec![5, 1, 0, 0, 0, 0, 0x05, 0x78], vec![1, 1, 2, 0, 0, 0, 0, 0x77]].concat();
    frame(ROUTER, 255, &advertisement(&options))
}

fn listening() -> Station {
    let mut station = Station::new();
    station.link.hear_routers(4);
    station
}

fn heard(station: &mut Station, options: &[u8]) -> RouterAdvertisement {
    assert_eq!(station.neighbour(&frame(ROUTER, 255, &advertisement(options))), Ok(Rule::NdpRouter));
    match station.notices().pop() {
        Some(Notice::Router(said)) => *said,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_advertisement_is_read_with_its_prefix_and_mtu() {
    let mut station = listening();
    let options = [prefix(64, 0xc0), vec![5, 1, 0, 0, 0, 0, 0x05, 0x78]].concat();
    let said = heard(&mut station, &options);
    let network = Cidr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).into(), 64).unwrap();
    let valid = Some(Duration::from_secs(3600));
    let preferred = Some(Duration::from_secs(1800));
    let expected = RouterAdvertisement {
        router: ROUTER,
        lifetime: Duration::from_secs(1800),
        reachable: Some(Duration::from_secs(30)),
        retransmit: Some(SECOND),
        mtu: Some(1400),
        prefixes: vec![Prefix { network, on_link: true, autonomous: true, valid, preferred }],
    };
    assert_eq!(said, expected);
}

#[test]
fn a_router_is_at_the_ethernet_address_that_it_says() {
    let mut station = listening();
    heard(&mut station, &[1, 1, 2, 0, 0, 0, 0, 0x77]);
    station.send(ROUTER, &packet6(1)).unwrap();
    assert_eq!(station.sent(), [Sent::Data { to: OTHER, packet: packet6(1) }]);
}

/// RFC 4861 §7.2.5.
#[test]
fn a_neighbour_says_whether_it_is_a_router_when_it_answers() {
    for (flags, is_router) in [(answered(), false), (answered() | NdiscNeighborFlags::ROUTER, true)] {
        let mut station = listening();
        station.send(PEER6, &packet6(1)).unwrap();
        station.notices();
        station.neighbour(&super::advertisement(flags, Some(PEER))).unwrap();
        assert_eq!(station.notices().contains(&Notice::NotRouter(PEER6)), !is_router);
    }
}

#[test]
fn what_no_router_of_the_link_can_have_sent_is_dropped() {
    let mut station = listening();
    let body = advertisement(&[]);
    assert_eq!(station.neighbour(&frame(PEER6, 255, &body)), Err(Rule::NdpRouterSource));
    assert_eq!(station.neighbour(&frame(ROUTER, 254, &body)), Err(Rule::NdpHopLimit));
    let mut coded = body.clone();
    coded[1] = 1;
    assert_eq!(station.neighbour(&frame(ROUTER, 255, &coded)), Err(Rule::NdpMalformed));
    for length in 4..body.len() {
        assert_eq!(station.neighbour(&frame(ROUTER, 255, &body[..length])), Err(Rule::NdpMalformed), "{length}");
    }
    for options in [&[3, 0][..], &[3, 4, 64], &[0], &[5, 2, 0, 0, 0, 0, 5, 120]] {
        assert_eq!(station.neighbour(&frame(ROUTER, 255, &advertisement(options))), Err(Rule::NdpMalformed));
    }
    assert_eq!(station.notices(), []);
}

/// RFC 4861 §4.6: an option that is wrong inside is ignored alone.
#[test]
fn options_of_strange_sizes_are_skipped_and_prefixes_are_bounded() {
    let mut station = listening();
    assert_eq!(heard(&mut station, &prefix(129, 0xc0)).prefixes, []);
    assert_eq!(heard(&mut station, &[3, 1, 64, 0xc0, 0, 0, 0, 0]).prefixes, []);
    assert_eq!(heard(&mut station, &[200, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]).prefixes, []);
    assert_eq!(heard(&mut station, &prefix(64, 0x80).repeat(9)).prefixes.len(), 4);
    let every = heard(&mut station, &prefix(0, 0xc0)).prefixes;
    assert_eq!(every[0].network.to_string(), "::/0");
}

#[test]
fn a_routers_times_hold_within_bounds() {
    let mut station = listening();
    station.link.set_neighbour_times(Some(Duration::from_millis(1)), Some(Duration::from_millis(1)));
    station.send(PEER6, &packet6(1)).unwrap();
    station.sent();
    assert_eq!(station.link.deadline(), Some(Time::ZERO + SECOND / 10));
    station.link.set_neighbour_times(None, Some(Duration::from_secs(1000)));
    station.send(PEER4, &packet4(1)).unwrap();
    assert_eq!(station.link.deadline(), Some(Time::ZERO + SECOND / 10), "IPv4 asks as before");
    station.pass(SECOND / 10);
    station.sent();
    assert_eq!(station.link.deadline(), Some(Time::ZERO + SECOND), "the next IPv6 question is 10 s away");
}

#[test]
fn routers_are_asked_from_the_address_that_is_given() {
    let mut station = Station::new();
    let ours = US.link_local();
    station.link.solicit_routers(ours, &mut station.out);
    let repr = NdiscRepr::RouterSolicit { lladdr: Some(EthernetAddress(US.0).into()) };
    let destination = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
    let to = Mac([0x33, 0x33, 0, 0, 0, 2]);
    assert_eq!(station.sent(), [Sent::Ndp { to, rule: Rule::NdpRouterSolicit, source: ours, destination, repr }]);
}

#[test]
fn an_address_that_was_removed_is_neither_answered_for_nor_asked_about() {
    let mut station = Station::new();
    station.link.remove_address(V6.into());
    station.link.remove_address(V4.into());
    assert_eq!(station.neighbour(&solicitation(V6)), Err(Rule::NdpForeign));
    assert_eq!(station.done(&request(V4)), Err(Rule::ArpForeign));
    station.link.add_address(station.now, V6.into(), SECOND, &mut station.out);
    station.link.remove_address(V6.into());
    assert_eq!(station.link.deadline(), None);
}
