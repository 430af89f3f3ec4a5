//! Fragments of IPv4, and what both versions reassemble (RFC 791 §3.2, RFC 815, RFC 1122 §3.3.2, RFC 8200 §4.5).

use std::time::Duration;

use crate::wire::*;

/// Whether these fragments together are answered like the ping they were cut from.
fn is_answered(wire: &mut dyn Wire, whole: &Packet, fragments: &[Packet]) -> bool {
    for (i, fragment) in fragments.iter().enumerate() {
        let answers = wire.ask(&fragment.frame());
        if i + 1 < fragments.len() {
            assert!(answers.is_empty(), "an answer to a part: {answers:?}");
            continue;
        }
        return match answers.as_slice() {
            [answer] => answer.icmp().is_some_and(|icmp| icmp.is_echo_reply() && icmp.data == whole.payload[8..]),
            [] => false,
            more => panic!("{} answers", more.len()),
        };
    }
    false
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for order in orders(count - 1) {
        for at in 0..count {
            let mut longer = order.clone();
            longer.insert(at, count - 1);
            all.push(longer);
        }
    }
    all
}

fn line_13_fragments_are_put_together_in_any_order(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for (id, order) in (100..).zip(orders(4)) {
            let whole = Packet { id, ..ping(family, id as u16, &pattern(50)) };
            let pieces = whole.fragments(16);
            assert_eq!(pieces.len(), 4);
            let pieces: Vec<Packet> = order.iter().map(|&i| pieces[i].clone()).collect();
            assert!(is_answered(wire, &whole, &pieces), "{family:?}: {order:?}");
        }
        // The same for a datagram, whose checksum spans them all.
        let whole = Packet { id: 9, ..Datagram::new(family, ECHO, &pattern(1400)).packet() };
        for piece in whole.fragments(504).iter().rev() {
            wire.send(&piece.frame());
        }
        let answers = wire.until("datagram", &mut |answer| answer.udp().is_some());
        assert_eq!(answers[0].udp().unwrap().payload, pattern(1400));
    }
}

fn line_13_interleaved_datagrams_do_not_mix(wire: &mut dyn Wire) {
    for family in FAMILIES {
        // Three at once. Of IPv4 two differ in their protocol alone; IPv6 does not look at that (RFC 8200 §4.5).
        let a = Packet { id: 1, ..ping(family, 1, &[b'a'; 100]) };
        let b = Packet { id: 2, ..ping(family, 2, &[b'b'; 100]) };
        let id = if family == V4 { 1 } else { 3 };
        let c = Packet { id, ..Datagram::new(family, CLOSED, &[b'c'; 100]).packet() };
        let (a, b, c) = (a.fragments(40), b.fragments(40), c.fragments(40));
        for i in 0..2 {
            for piece in [&a[i], &b[2 - i], &c[i]] {
                assert!(wire.ask(&piece.frame()).is_empty());
            }
        }
        for (last, byte, reply) in [(&a[2], b'a', true), (&b[0], b'b', true), (&c[2], b'c', false)] {
            let answers = wire.ask(&last.frame());
            assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
            let icmp = answers[0].icmp().unwrap();
            assert_eq!(icmp.is_echo_reply(), reply);
            assert!(icmp.data.ends_with(&[byte; 20]), "{icmp:?}");
        }
        // The same identification from another neighbour.
        let whole = Packet { id: 4, ..ping(family, 3, &pattern(60)) };
        let pieces = whole.fragments(32);
        let stranger = if family == V4 { [192, 168, 69, 90].into() } else { "fd69::90".parse().unwrap() };
        assert!(wire.ask(&pieces[0].frame()).is_empty());
        assert!(wire.ask(&Packet { source: stranger, ..pieces[1].clone() }.frame()).is_empty());
        assert!(wire.ask(&pieces[1].frame()).is_empty());
        assert!(is_answered(wire, &whole, &pieces[2..]));
    }
}

fn line_14_duplicates_and_consistent_overlaps_are_safe(wire: &mut dyn Wire) {
    // Every fragment twice (RFC 8200 allows it for exact duplicates).
    for family in FAMILIES {
        let whole = Packet { id: 20, ..ping(family, 1, &pattern(90)) };
        let pieces = whole.fragments(24);
        let twice: Vec<Packet> = pieces[..pieces.len() - 1]
            .iter()
            .flat_map(|piece| [piece.clone(), piece.clone()])
            .chain(pieces.last().cloned())
            .collect();
        assert!(is_answered(wire, &whole, &twice), "{family:?}");
    }
    // Pieces that overlap and agree (IPv4): the datagram is either right or not there.
    let whole = Packet { id: 21, ..ping(V4, 2, &pattern(120)) };
    let part = |from: usize, to: usize| Packet {
        offset: from,
        more: to < whole.payload.len(),
        payload: whole.payload[from..to].to_vec(),
        ..whole.clone()
    };
    for (i, cuts) in [
        vec![(0, 64), (32, 96), (80, 128)],
        vec![(80, 128), (32, 96), (0, 64)],
        vec![(8, 128), (0, 64)],
        vec![(0, 128)],
    ]
    .iter()
    .enumerate()
    {
        let pieces: Vec<Packet> =
            cuts.iter().map(|&(from, to)| Packet { id: 30 + i as u32, ..part(from, to) }).collect();
        let mut echoed = 0;
        for piece in &pieces {
            for answer in wire.ask(&piece.frame()) {
                let icmp = answer.icmp().unwrap();
                assert!(icmp.is_echo_reply());
                assert_eq!(icmp.data, whole.payload[8..], "{cuts:?}");
                echoed += 1;
            }
        }
        assert!(echoed <= 1);
    }
    // Pieces that overlap and do not agree: no mixture gets through, which the checksum would not notice.
    let mut other = part(8, 128);
    other.payload.swap(20, 24);
    other.payload.swap(21, 25);
    for pieces in [[part(0, 64), other.clone()], [other.clone(), part(0, 64)]] {
        for piece in pieces {
            for answer in wire.ask(&Packet { id: 40, ..piece }.frame()) {
                let data = answer.icmp().unwrap().data;
                let forged = [&whole.payload[8..8], &other.payload].concat();
                assert!(data == whole.payload[8..] || data == forged, "a mixture: {data:?}");
            }
        }
    }
    // A last fragment that ends before the datagram does, and one that ends twice.
    for (id, pieces) in [(50, [(64, 128), (0, 64)]), (51, [(0, 64), (64, 96)])] {
        for (from, to) in pieces {
            wire.ask(&Packet { id, more: false, ..part(from, to) }.frame());
        }
    }
    wire.is_well();
}

fn line_14_600_incomplete_datagrams_do_not_stop_the_next(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for id in 0..600 {
            let pieces = Packet { id: 1000 + id, ..ping(family, 1, &pattern(700)) }.fragments(600);
            // Every other one lacks its beginning.
            wire.send(&pieces[id as usize % 2].frame());
            if id % 50 == 0 {
                wire.settle();
            }
        }
        let whole = Packet { id: 9999, ..ping(family, 2, &pattern(2000)) };
        assert!(is_answered(wire, &whole, &whole.fragments(504)), "{family:?}");
        wire.settle();
        assert!(wire.pings(&ping(family, 3, b"unfragmented")));
    }
}

fn line_15_a_reassembly_that_takes_too_long_is_told(pair: &mut Pair) {
    for family in FAMILIES {
        let whole = Packet { id: 77, ..ping(family, 1, &pattern(200)) };
        let pieces = whole.fragments(64);
        let with_first = &pieces[..2];
        for piece in with_first {
            assert!(pair.ask(&piece.frame()).is_empty());
        }
        // 60 to 120 s (RFC 1122 §3.3.2) or, as Linux, 30; 60 for IPv6. Not at once, and once.
        assert!(pair.wait(Duration::from_secs(14)).is_empty());
        let answers = pair.wait(Duration::from_secs(110));
        assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
        let error = answers[0].icmp().unwrap();
        assert_eq!((error.kind, error.code), if family == V4 { (11, 1) } else { (3, 1) });
        assert_eq!((error.source, error.destination), (family.us(), family.peer()));
        assert!(error.data.len() >= 28);
        assert_eq!(error.data, pieces[0].bytes()[..error.data.len()], "the quote is the first fragment");
        // What comes now is another datagram.
        for piece in &pieces[2..] {
            assert!(pair.ask(&piece.frame()).is_empty());
        }
        // Without its first fragment nobody is told (RFC 1122, RFC 8200 §4.5).
        assert!(pair.wait(Duration::from_secs(130)).is_empty(), "{family:?}");
    }
}

fn line_16_large_datagrams_go_both_ways(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let payload = pattern(8000);
        let whole = Packet { id: 88, ..Datagram::new(family, ECHO, &payload).packet() };
        for piece in whole.fragments(1448) {
            wire.send(&piece.frame());
        }
        let answers = wire.until("datagram", &mut |answer| answer.udp().is_some());
        assert_eq!(answers.len(), 1);
        assert!(answers[0].udp().unwrap().payload == payload, "{family:?}");
        assert!((6..=7).contains(&answers[0].pieces), "{} pieces", answers[0].pieces);

        let whole = Packet { id: 89, ..ping(family, 1, &pattern(65_000)) };
        for piece in whole.fragments(1448) {
            wire.send(&piece.frame());
        }
        let answers = wire.until("echo", &mut |answer| answer.icmp().is_some());
        assert_eq!(answers.len(), 1);
        assert!(answers[0].icmp().unwrap().data == whole.payload[8..], "{family:?}");
        assert!((44..=48).contains(&answers[0].pieces), "{} pieces", answers[0].pieces);
    }
    // The largest there is, and one byte more than an IPv4 packet can be.
    let whole = Packet { id: 90, ..ping(V4, 1, &pattern(65_535 - 28)) };
    for piece in whole.fragments(1480) {
        wire.send(&piece.frame());
    }
    let answers = wire.until("echo", &mut |answer| answer.icmp().is_some());
    assert_eq!(answers[0].icmp().unwrap().data.len(), 65_507);
    let beyond = Packet { id: 91, offset: 65_528, payload: vec![0; 100], ..ping(V4, 1, b"") };
    assert!(wire.ask(&beyond.frame()).is_empty());
}

lines! {
    both {
        line_13_fragments_are_put_together_in_any_order
        line_16_large_datagrams_go_both_ways
    }
    embedded {}
    pair {
        line_13_interleaved_datagrams_do_not_mix
        line_14_duplicates_and_consistent_overlaps_are_safe
        line_14_600_incomplete_datagrams_do_not_stop_the_next
        line_15_a_reassembly_that_takes_too_long_is_told
    }
}
