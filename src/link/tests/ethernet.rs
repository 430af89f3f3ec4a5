use super::*;

#[test]
fn ip_packets_for_us_are_passed_on_with_their_padding() {
    let mut station = Station::new();
    for (kind, payload) in [(0x0800, [0x45; 46]), (0x86dd, [0x60; 46])] {
        let frame = ethernet(US, PEER, kind, &payload);
        assert_eq!(station.receive(&frame), Ok(Received::Ip { packet: &payload, cast: Cast::Unicast }));
    }
    for group in [Mac::BROADCAST, Mac([0x33, 0x33, 0, 0, 0, 1]), Mac([0x01, 0, 0x5e, 0, 0, 1])] {
        let frame = ethernet(group, PEER, 0x0800, &[0x45; 46]);
        assert_eq!(station.receive(&frame), Ok(Received::Ip { packet: &[0x45; 46], cast: Cast::Group }));
    }
    assert!(station.out.is_empty());
}

#[test]
fn frames_that_are_not_for_us_are_dropped_with_their_reason() {
    let mut station = Station::new();
    for (frame, rule) in [
        (ethernet(OTHER, PEER, 0x0800, &[0; 46]), Rule::EthForeign),
        // A group that carries neither IPv4 nor IPv6: spanning tree.
        (ethernet(Mac([0x01, 0x80, 0xc2, 0, 0, 0]), PEER, 0x0800, &[0; 46]), Rule::EthForeign),
        (ethernet(Mac([0x01, 0, 0x5e, 0x80, 0, 1]), PEER, 0x0800, &[0; 46]), Rule::EthForeign),
        (ethernet(US, Mac::BROADCAST, 0x0800, &[0; 46]), Rule::EthSource),
        (ethernet(US, Mac([0x33, 0x33, 0, 0, 0, 1]), 0x86dd, &[0; 46]), Rule::EthSource),
        (ethernet(Mac::BROADCAST, US, 0x0800, &[0; 46]), Rule::EthOwn),
        // 802.1Q.
        (ethernet(US, PEER, 0x8100, &[0; 46]), Rule::EthType),
        (ethernet(US, PEER, 0x88cc, &[0; 46]), Rule::EthType),
        // The length of an 802.3 frame.
        (ethernet(US, PEER, 46, &[0; 46]), Rule::EthType),
        (Vec::new(), Rule::EthTruncated),
        (ethernet(US, PEER, 0x0800, &[])[..13].to_vec(), Rule::EthTruncated),
    ] {
        assert_eq!(station.receive(&frame), Err(rule));
    }
    assert!(station.out.is_empty() && station.notices().is_empty());
}

#[test]
fn groups_and_broadcasts_need_no_neighbour() {
    let mut station = Station::new();
    for (to, mac) in [
        ("255.255.255.255", Mac::BROADCAST),
        ("224.0.0.251", Mac([0x01, 0, 0x5e, 0, 0, 251])),
        ("239.129.2.3", Mac([0x01, 0, 0x5e, 1, 2, 3])),
        ("ff02::1", Mac([0x33, 0x33, 0, 0, 0, 1])),
        ("ff02::1:ff12:3456", Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56])),
    ] {
        station.send(to.parse::<IpAddr>().unwrap(), &packet4(1)).unwrap();
        assert_eq!(station.sent(), [Sent::Data { to: mac, packet: packet4(1) }], "{to}");
    }
    assert_eq!(station.link.deadline(), None);
}

#[test]
fn a_packet_beyond_the_mtu_is_refused() {
    let mut station = Station::new();
    assert_eq!(station.send(Ipv4Addr::BROADCAST, &[0; 1501]), Err(Rule::IpTooLarge));
    assert_eq!(station.send(PEER4, &[0; 1501]), Err(Rule::IpTooLarge));
    assert_eq!(station.send(Ipv4Addr::BROADCAST, &[0; 1500]), Ok(()));
    assert_eq!(station.out.bytes_used(), 1500 + HEADER);
    assert_eq!(station.out.len(), 1);
}
