use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Gives a frame to the link, and what it passes on back to it as a neighbour message, as `stack` might.
fn feed(station: &mut Station, frame: &[u8]) {
    if let Ok(Received::Ip { packet, .. }) = station.receive(frame)
        && let Ok(packet) = Ipv6Packet::new_checked(packet)
    {
        let message = NeighbourMessage {
            source: packet.src_addr(),
            destination: packet.dst_addr(),
            hop_limit: packet.hop_limit(),
            body: packet.payload(),
        };
        let _ = station.link.neighbour_message(station.now, message, &mut station.out);
    }
    // Whatever was sent is well-formed.
    station.sent();
    station.notices();
}

fn valid_frames() -> Vec<Vec<u8>> {
    let dad = ns_body(V6, None);
    vec![
        request(V4),
        request(PEER4),
        reply(PEER),
        reply(OTHER),
        arp_frame(Mac::BROADCAST, ArpOperation::Reply, (OTHER, V4), (OTHER, V4)),
        solicitation(V6),
        solicitation(PEER6),
        advertisement(answered(), Some(PEER)),
        advertisement(NdiscNeighborFlags::empty(), Some(OTHER)),
        advertisement(answered(), None),
        icmp_frame(Mac([0x33, 0x33, 0xff, 0, 0, 1]), PEER, Ipv6Addr::UNSPECIFIED, group_of(V6), 255, &dad),
        ethernet(US, PEER, 0x0800, &packet4(1)),
        router::full(),
    ]
}

/// Still answers both families.
fn answers(station: &mut Station) {
    station.sent();
    assert_eq!(station.done(&request(V4)), Ok(Rule::ArpAnswered));
    assert_eq!(station.neighbour(&solicitation(V6)), Ok(Rule::NdpAnswered));
}

#[test]
fn wire_64_every_truncation_and_bit_flip_of_every_valid_frame_is_survived() {
    let mut station = Station::new();
    station.link.hear_routers(2);
    for frame in valid_frames() {
        for length in 0..=frame.len() {
            feed(&mut station, &frame[..length]);
        }
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            feed(&mut station, &flipped);
        }
    }
    answers(&mut station);
}

#[test]
fn wire_64_random_and_mutated_frames_between_our_own_packets_are_survived() {
    let limits = Limits { neighbours: 8, packets_per_neighbour: 2, ..Limits::default() };
    let mut station = Station::with(&limits);
    station.link.hear_routers(2);
    let mut random = StdRng::seed_from_u64(64);
    let valid = valid_frames();
    for _ in 0..200_000 {
        let mut frame = valid[random.random_range(0..valid.len())].clone();
        match random.random_range(0..4) {
            0 => {
                frame = (0..random.random_range(0..100)).map(|_| random.random()).collect();
                if random.random_bool(0.8) && frame.len() > 14 {
                    let kind: [u8; 2] = [[0x08, 0x06], [0x86, 0xdd], [0x08, 0x00]][random.random_range(0..3)];
                    frame[..6].copy_from_slice(&US.0);
                    frame[6] &= 0xfe;
                    frame[12..14].copy_from_slice(&kind);
                }
            }
            1 => {}
            _ => {
                for _ in 0..random.random_range(1..4) {
                    let place = random.random_range(14..frame.len());
                    frame[place] = random.random();
                }
            }
        }
        feed(&mut station, &frame);
        let host = Ipv4Addr::new(10, 0, 0, random.random_range(0..16));
        let _ = match random.random_range(0..4) {
            0 => station.send(PEER4, &packet4(1)),
            1 => station.send(PEER6, &packet6(1)),
            2 => station.send(host, &packet4(2)),
            _ => Ok(()),
        };
        station.pass(Duration::from_micros(random.random_range(0..100_000)));
        assert!(station.link.neighbours.len() <= 8);
        station.sent();
        station.notices();
    }
    station.pass(60 * SECOND);
    assert_eq!(station.link.deadline(), None, "something is waited for that never comes");
    answers(&mut station);
}

#[test]
fn every_packet_that_was_taken_is_sent_or_given_back_exactly_once() {
    let mut random = StdRng::seed_from_u64(1);
    let mut station = Station::with(&Limits { neighbours: 4, packets_per_neighbour: 3, ..Limits::default() });
    let (mut taken, mut left) = (0u32, 0u32);
    for _ in 0..20_000 {
        let number: u8 = random.random_range(0..8);
        let host = Ipv4Addr::new(10, 0, 0, number);
        if station.send(host, &packet4(number)).is_ok() {
            taken += 1;
        }
        if random.random_bool(0.3) {
            let number = random.random_range(0..8);
            let mac = Mac([2, 0, 0, 0, 1, number]);
            let operation = if random.random() { ArpOperation::Reply } else { ArpOperation::Request };
            let _ = station.done(&arp_frame(US, operation, (mac, Ipv4Addr::new(10, 0, 0, number)), (US, V4)));
        }
        station.pass(Duration::from_millis(random.random_range(0..2000)));
        left += count(&mut station);
    }
    station.pass(60 * SECOND);
    left += count(&mut station);
    assert_eq!(taken, left);

    fn count(station: &mut Station) -> u32 {
        let sent = station.sent().into_iter().filter(|sent| {
            let Sent::Data { to, packet } = sent else { return false };
            assert_eq!(*to, Mac([2, 0, 0, 0, 1, packet[1]]), "to the wrong neighbour");
            true
        });
        let sent = sent.count();
        let back = station.notices().iter().filter(|notice| matches!(notice, Notice::Undelivered { .. })).count();
        (sent + back) as u32
    }
}
