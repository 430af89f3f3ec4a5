//! ARP (RFC 826, RFC 5227).

use crate::wire::*;

const US: [u8; 4] = OUR_V4.octets();
const PEER: [u8; 4] = PEER_V4.octets();

fn replies(answers: &[Answer]) -> Vec<Arp> {
    answers.iter().filter_map(Answer::arp).filter(|arp| arp.operation == 2).collect()
}

fn line_01_arp_answers_only_for_its_own_addresses(wire: &mut dyn Wire) {
    let answers = wire.ask(&who_has(US));
    let ours = Arp { operation: 2, sender_mac: OUR_MAC, sender: US, target_mac: PEER_MAC, target: PEER };
    assert_eq!(replies(&answers), [ours]);
    assert_eq!(answers[0].to, PEER_MAC);
    for other in [
        [192, 168, 69, 2],
        PEER,
        [192, 168, 69, 255],
        [192, 168, 69, 0],
        [255; 4],
        [0; 4],
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [224, 0, 0, 1],
    ] {
        assert!(wire.ask(&who_has(other)).is_empty(), "{other:?}");
    }
    // A probe (RFC 5227) of our address is answered too: it is taken.
    let answers = wire.ask(&arp_frame(BROADCAST, 1, (PEER_MAC, [0; 4]), ([0; 6], US)));
    assert!(replies(&answers).iter().any(|arp| (arp.sender_mac, arp.sender) == (OUR_MAC, US)));
}

fn line_02_arp_answers_a_unicast_request(wire: &mut dyn Wire) {
    let answers = wire.ask(&arp_frame(OUR_MAC, 1, (PEER_MAC, PEER), ([0; 6], US)));
    assert_eq!(replies(&answers).len(), 1);
    assert_eq!(replies(&answers)[0].sender_mac, OUR_MAC);
    // What stands in the target's hardware address does not matter.
    let answers = wire.ask(&arp_frame(OUR_MAC, 1, (PEER_MAC, PEER), (OUR_MAC, US)));
    assert_eq!(replies(&answers).len(), 1);
}

fn line_03_frames_to_another_mac_are_ignored(wire: &mut dyn Wire) {
    for other in [[0x02, 0, 0, 0, 0, 5], [0x02, 0, 0x5e, 0x10, 0, 2]] {
        assert!(wire.ask(&arp_frame(other, 1, (PEER_MAC, PEER), ([0; 6], US))).is_empty(), "{other:02x?}");
        for family in FAMILIES {
            assert!(wire.ask(&ping(family, 1, b"x").frame_to(other)).is_empty(), "{other:02x?}");
            let syn = Segment::new(family, 9999, ECHO, SYN, 1, 0);
            assert!(wire.ask(&syn.packet().frame_to(other)).is_empty(), "{other:02x?}");
        }
    }
    wire.is_well();
}

fn line_04_malformed_arp_is_survived(wire: &mut dyn Wire) {
    wire.is_well();
    let good = arp_bytes(1, (PEER_MAC, PEER), ([0; 6], US));
    let silent = |wire: &mut dyn Wire, bytes: &[u8], what: &str| {
        let answers = wire.ask(&ethernet(BROADCAST, PEER_MAC, ARP, bytes));
        assert!(replies(&answers).is_empty(), "{what}: {answers:?}");
    };
    for length in 0..good.len() {
        silent(wire, &good[..length], &format!("{length} bytes"));
    }
    // Hardware, protocol, their lengths, and operations that nobody knows.
    for (at, value) in
        [(0, 1), (1, 6), (2, 0x86), (3, 0xdd), (4, 0), (4, 255), (5, 0), (5, 16), (6, 1), (7, 0), (7, 3), (7, 9)]
    {
        let mut bytes = good.clone();
        bytes[at] = value;
        silent(wire, &bytes, &format!("byte {at} is {value}"));
    }
    // Senders that cannot be: our own address is told about, and never learned.
    for (mac, address) in [
        (BROADCAST, PEER),
        ([0x01, 0, 0x5e, 0, 0, 1], PEER),
        (PEER_MAC, [255; 4]),
        (PEER_MAC, [224, 0, 0, 1]),
        (PEER_MAC, [127, 0, 0, 1]),
    ] {
        let answers = wire.ask(&arp_frame(BROADCAST, 1, (mac, address), ([0; 6], US)));
        assert!(answers.iter().all(|answer| answer.to == PEER_MAC), "{mac:02x?} {address:?}: {answers:?}");
    }
    // Nobody asked, so an answer changes nothing: what is for the neighbour still goes there.
    let liar = [0x02, 0, 0, 0, 0, 0x66];
    wire.ask(&arp_frame(OUR_MAC, 2, (liar, [192, 168, 69, 66]), (OUR_MAC, US)));
    wire.is_well();
}

lines! {
    both {
        line_01_arp_answers_only_for_its_own_addresses
        line_02_arp_answers_a_unicast_request
        line_03_frames_to_another_mac_are_ignored
        line_04_malformed_arp_is_survived
    }
    embedded {}
    pair {}
}
