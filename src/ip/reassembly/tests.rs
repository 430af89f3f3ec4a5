//! Fragments into the whole layer: what comes out is the datagram that was sent, or nothing.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use crate::config::Config;
use crate::ip::fixture::*;
use crate::ip::{Ip, Packets, Verdict};
use crate::observe::{Address, Cast, Rule, Time};

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 % 251) as u8).collect()
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

/// What a fragment led to: the payload of a whole datagram, or the rule.
fn feed(ip: &mut Ip, now: Time, fragment: &[u8]) -> Result<Vec<u8>, Rule> {
    let mut out = Packets::new();
    let outcome = match ip.receive(now, fragment, Cast::Unicast, &mut out) {
        Ok(Verdict::Whole(whole)) => match ip.receive_whole(now, &whole, &mut out) {
            Ok(Verdict::Transport(packet)) => Ok(packet.payload.to_vec()),
            other => panic!("{other:?}"),
        },
        Ok(Verdict::Done(rule)) | Err(rule) => Err(rule),
        // Atomic.
        Ok(Verdict::Transport(packet)) => Ok(packet.payload.to_vec()),
        other => panic!("{other:?}"),
    };
    assert!(out.is_empty());
    outcome
}

const WAITS: [Rule; 2] = [Rule::Ip4FragmentWaits, Rule::Ip6FragmentWaits];
const PEERS: [(IpAddr, IpAddr); 2] = [(HOST, OURS), (HOST6, OURS6)];

fn payload(whole: &[u8]) -> &[u8] {
    &whole[if whole[0] >> 4 == 4 { 20 } else { 40 }..]
}

// ---- order, duplicates, overlaps ----

#[test]
fn fragments_in_reverse_order_make_the_datagram() {
    for ((host, ours), waits) in PEERS.into_iter().zip(WAITS) {
        let mut ip = ready();
        let whole = udp(host, ours, &data(8000));
        let mut fragments = fragments(&whole, 7, 1400);
        let last = fragments.remove(0);
        for fragment in fragments.iter().rev() {
            assert_eq!(feed(&mut ip, at(0), fragment), Err(waits), "WIRE 13, 59");
        }
        assert_eq!(feed(&mut ip, at(0), &last).as_deref(), Ok(payload(&whole)));
        assert_eq!(ip.deadline(), None, "nothing is left of it");
    }
}

#[test]
fn interleaved_datagrams_do_not_mix() {
    for (host, ours) in PEERS {
        let mut ip = ready();
        let wholes: Vec<_> = (0..9).map(|i| udp(host, ours, &vec![i; 4000])).collect();
        let cut: Vec<_> = wholes.iter().zip(1..).map(|(whole, id)| fragments(whole, id, 1000)).collect();
        for part in 0..cut[0].len() {
            for (whole, fragments) in wholes.iter().zip(&cut) {
                let outcome = feed(&mut ip, at(0), &fragments[part]);
                if part + 1 == fragments.len() {
                    assert_eq!(outcome.as_deref(), Ok(payload(whole)), "WIRE 13");
                } else {
                    assert!(outcome.is_err());
                }
            }
        }
    }
}

#[test]
fn the_largest_datagrams_of_both_families_come_through() {
    let mut ip = ready();
    for (host, ours, length) in [(HOST, OURS, 65_507), (HOST6, OURS6, 65_527)] {
        let whole = udp(host, ours, &data(length));
        let outcome: Vec<_> = fragments(&whole, 1, 1480).iter().map(|part| feed(&mut ip, at(0), part)).collect();
        assert_eq!(outcome.last().unwrap().as_deref(), Ok(payload(&whole)));
    }
}

#[test]
fn a_duplicate_changes_nothing() {
    for ((host, ours), rule) in PEERS.into_iter().zip([Rule::Ip4FragmentDuplicate, Rule::Ip6FragmentDuplicate]) {
        let mut ip = ready();
        let whole = udp(host, ours, &data(3000));
        let fragments = fragments(&whole, 7, 1000);
        let (last, others) = fragments.split_last().unwrap();
        for fragment in others {
            assert!(feed(&mut ip, at(0), fragment).is_err());
            assert_eq!(feed(&mut ip, at(0), fragment), Err(rule), "WIRE 14");
        }
        assert_eq!(feed(&mut ip, at(0), last).as_deref(), Ok(payload(&whole)));
    }
}

#[test]
fn an_overlap_that_agrees_is_harmless_to_ipv4_and_fatal_to_ipv6() {
    let parts = [(0, 1000), (504, 2000), (1992, 3008), (16, 3008)];
    let mut ip = ready();
    let whole = udp(HOST, OURS, &data(3000));
    let outcomes = parts.map(|(from, to)| feed(&mut ip, at(0), &fragment(&whole, 7, from, to, to < 3008)));
    assert_eq!(outcomes[2].as_deref(), Ok(payload(&whole)), "WIRE 14");

    let whole = udp(HOST6, OURS6, &data(3000));
    let outcomes = parts.map(|(from, to)| feed(&mut ip, at(0), &fragment(&whole, 7, from, to, to < 3008)));
    let overlap = Err(Rule::Ip6FragmentOverlap);
    assert_eq!(outcomes[1..], [overlap.clone(), overlap.clone(), overlap.clone()], "WIRE 59");
    for part in fragments(&whole, 7, 1000) {
        assert_eq!(feed(&mut ip, at(59), &part), overlap, "RFC 5722: not even those that are yet to come");
    }
    ip.poll(at(60), &mut Packets::new());
    assert_eq!(ip.next_given_up(), Some(Rule::IpReassemblyTimeout));
    let outcomes: Vec<_> = fragments(&whole, 7, 1000).iter().map(|part| feed(&mut ip, at(60), part)).collect();
    assert_eq!(outcomes.last().unwrap().as_deref(), Ok(payload(&whole)));
}

#[test]
fn an_overlap_that_differs_drops_the_datagram() {
    let (whole, other) = (udp(HOST, OURS, &data(3000)), udp(HOST, OURS, &[0xff; 3000]));
    for (from, to) in [(0, 3000), (992, 1008), (0, 16), (2000, 3008), (8, 16)] {
        let mut ip = ready();
        assert!(feed(&mut ip, at(0), &fragment(&whole, 7, 0, 2000, true)).is_err());
        assert!(feed(&mut ip, at(0), &fragment(&whole, 7, 2400, 3008, false)).is_err());
        let outcome = feed(&mut ip, at(0), &fragment(&other, 7, from, to, to < 3008));
        assert_eq!(outcome, Err(Rule::Ip4FragmentConflict));
        assert_eq!(ip.deadline(), None, "nothing is left of it");
    }
}

/// RFC 1858 §3, §4: a first fragment that a filter lets pass, and a second that would change what it said.
#[test]
fn a_tcp_header_cannot_be_rewritten_by_an_overlapping_fragment() {
    let mut ip = ready();
    let tcp =
        |flags: u8| packet(HOST, OURS, 6, &[0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 1, 0, 0, 0, 0]);
    let (harmless, syn) = (tcp(0x10), tcp(0x02));
    assert_eq!(feed(&mut ip, at(0), &fragment(&harmless, 3, 0, 16, true)), Err(Rule::Ip4FragmentWaits));
    assert_eq!(feed(&mut ip, at(0), &fragment(&syn, 3, 8, 20, false)), Err(Rule::Ip4FragmentConflict));
    assert_eq!(ip.deadline(), None);
}

#[test]
fn fragments_that_disagree_about_the_end_drop_the_datagram() {
    for ((host, ours), rule) in PEERS.into_iter().zip([Rule::Ip4FragmentConflict, Rule::Ip6FragmentOverlap]) {
        let whole = udp(host, ours, &data(3000));
        let ends = [
            ((2000, 3000, false), (1000, 2008, false)),
            ((2000, 3000, false), (2400, 3008, true)),
            ((2000, 3008, true), (1000, 2000, false)),
            ((1000, 2000, false), (2000, 3008, false)),
        ];
        for ((from, to, more), (from2, to2, more2)) in ends {
            let mut ip = ready();
            assert!(feed(&mut ip, at(0), &fragment(&whole, 1, from, to, more)).is_err());
            assert_eq!(feed(&mut ip, at(0), &fragment(&whole, 1, from2, to2, more2)), Err(rule), "{from2}..{to2}");
        }
    }
}

// ---- what a fragment must look like ----

#[test]
fn malformed_ipv4_fragments_are_dropped_in_silence() {
    let mut ip = ready();
    let whole = udp(HOST, OURS, &data(100));
    assert_eq!(dropped(&mut ip, &fragment(&whole, 1, 0, 12, true)), Rule::Ip4FragmentMalformed);
    assert_eq!(dropped(&mut ip, &fragment(&whole, 1, 8, 8, true)), Rule::Ip4FragmentMalformed);
    assert_eq!(dropped(&mut ip, &fragment(&whole, 1, 8, 8, false)), Rule::Ip4FragmentMalformed);
    let mut beyond = fragment(&whole, 1, 8, 24, false);
    (beyond[6], beyond[7]) = (0x1f, 0xff); // the ping of death
    repair(&mut beyond);
    assert_eq!(dropped(&mut ip, &beyond), Rule::Ip4FragmentTooLarge);
    assert_eq!(ip.deadline(), None);
}

#[test]
fn an_unaligned_ipv6_fragment_is_answered_with_a_pointer_to_the_payload_length() {
    let mut ip = ready();
    let whole = udp(HOST6, OURS6, &data(100));
    for bytes in [fragment(&whole, 1, 0, 12, true), fragment(&whole, 1, 8, 21, true)] {
        let (rule, answer) = answered(&mut ip, &bytes);
        assert_eq!((rule, &answer[40..42], answer[47]), (Rule::Ip6FragmentUnaligned, &[4, 0][..], 4), "WIRE 59");
        assert_eq!(answer[48..], bytes);
    }
    let to_group = udp(HOST6, addr("ff02::1"), &data(100));
    assert_eq!(dropped(&mut ip, &fragment(&to_group, 1, 0, 12, true)), Rule::IcmpErrorForbidden);
    assert_eq!(dropped(&mut ip, &fragment(&whole, 1, 8, 8, false)), Rule::Ip6FragmentMalformed);
    assert_eq!(ip.deadline(), None);
}

#[test]
fn an_ipv6_fragment_beyond_the_longest_payload_is_answered_with_a_pointer_to_its_offset() {
    let mut ip = ready();
    let mut bytes = fragment(&udp(HOST6, OURS6, &data(100)), 1, 0, 16, true);
    (bytes[42], bytes[43]) = (0xff, 0xf8);
    let (rule, answer) = answered(&mut ip, &bytes);
    assert_eq!((rule, &answer[40..42], answer[47]), (Rule::Ip6FragmentTooLarge, &[4, 0][..], 42), "WIRE 59");
}

#[test]
fn a_first_fragment_without_the_transport_header_is_answered() {
    let mut ip = ready();
    let tcp = packet(HOST6, OURS6, 6, &[0; 40]);
    let options = [&[17, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &udp(HOST6, OURS6, b"12345678")[40..]].concat();
    for (id, whole) in [tcp, packet(HOST6, OURS6, 60, &options)].iter().enumerate() {
        let id = id as u32;
        let (rule, answer) = answered(&mut ip, &fragment(whole, id, 0, 16, true));
        assert_eq!((rule, &answer[40..42], answer[47]), (Rule::Ip6FragmentHeaders, &[4, 3][..], 0));
        assert_eq!(feed(&mut ip, at(0), &fragment(whole, id, 0, 24, true)), Err(Rule::Ip6FragmentWaits));
    }
}

#[test]
fn an_atomic_fragment_is_whole_beside_fragments_of_the_same_number() {
    let mut ip = ready();
    let (whole, atomic) = (udp(HOST6, OURS6, &data(3000)), udp(HOST6, OURS6, &data(40)));
    let mut cut = fragments(&whole, 9, 1504);
    assert!(feed(&mut ip, at(0), &cut[0]).is_err());
    assert_eq!(feed(&mut ip, at(0), &fragment(&atomic, 9, 0, 48, false)).as_deref(), Ok(payload(&atomic)), "RFC 6946");
    assert_eq!(feed(&mut ip, at(0), &cut.remove(1)).as_deref(), Ok(payload(&whole)));
}

#[test]
fn headers_around_the_fragment_header_are_obeyed_where_they_stand() {
    let mut ip = ready();
    let datagram = udp(HOST6, OURS6, &data(3000));
    // A hop-by-hop header in front; the fragment header names destination options, which name UDP.
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0], &datagram[40..]].concat();
    let cut = |part: &[u8], offset: u16, more: u16| {
        let [high, low] = (offset | more).to_be_bytes();
        let headers = [44, 0, 1, 4, 0, 0, 0, 0, 60, 0, high, low, 0, 0, 0, 5];
        packet(HOST6, OURS6, 0, &[&headers, part].concat())
    };
    assert_eq!(feed(&mut ip, at(0), &cut(&options[1496..], 1496, 0)), Err(Rule::Ip6FragmentWaits));
    assert_eq!(feed(&mut ip, at(0), &cut(&options[..1496], 0, 1)).as_deref(), Ok(payload(&datagram)));
}

#[test]
fn neighbour_messages_in_fragments_are_dropped() {
    let mut ip = ready();
    let whole = icmp(HOST6, OURS6, 135, 0, &[0; 60]);
    let mut out = Packets::new();
    let [first, second] = [fragment(&whole, 1, 0, 32, true), fragment(&whole, 1, 32, 64, false)];
    assert!(ip.receive(at(0), &first, Cast::Unicast, &mut out).is_ok());
    let Ok(Verdict::Whole(all)) = ip.receive(at(0), &second, Cast::Unicast, &mut out) else { panic!() };
    assert_eq!(ip.receive_whole(at(0), &all, &mut out).err(), Some(Rule::Ip6FragmentNeighbour));
}

#[test]
fn a_group_fragment_makes_a_group_datagram() {
    let mut ip = ready();
    let whole = udp(HOST, OURS, &data(100));
    let mut out = Packets::new();
    ip.receive(at(0), &fragment(&whole, 1, 0, 56, true), Cast::Group, &mut out).unwrap();
    let last = fragment(&whole, 1, 56, 108, false);
    let Ok(Verdict::Whole(all)) = ip.receive(at(0), &last, Cast::Unicast, &mut out) else { panic!() };
    let Ok(Verdict::Transport(packet)) = ip.receive_whole(at(0), &all, &mut out) else { panic!() };
    assert_eq!(packet.cast, Cast::Group);
}

// ---- answers ----

#[test]
fn a_fragmented_ping_is_answered_with_all_of_its_data() {
    for (host, ours, kinds) in [(HOST, OURS, (8, 0)), (HOST6, OURS6, (128, 129))] {
        let mut ip = ready();
        let body = data(1400);
        let whole = icmp(host, ours, kinds.0, 0, &body);
        let cut = fragments(&whole, 1, 704);
        let mut out = Packets::new();
        assert!(ip.receive(at(0), &cut[1], Cast::Unicast, &mut out).is_ok());
        let Ok(Verdict::Whole(all)) = ip.receive(at(0), &cut[0], Cast::Unicast, &mut out) else { panic!() };
        assert!(matches!(ip.receive_whole(at(0), &all, &mut out), Ok(Verdict::Done(Rule::IcmpEcho))));
        let answer = &written(&mut ip, &out)[0];
        assert_eq!((payload(answer)[0], &payload(answer)[4..]), (kinds.1, &body[..]), "WIRE 16, 17");
    }
}

#[test]
fn an_error_about_a_reassembled_datagram_quotes_the_first_fragment_as_it_came() {
    for (host, ours) in PEERS {
        let mut ip = ready();
        let whole = udp(host, ours, &data(3000));
        let cut = fragments(&whole, 1, 1000);
        let mut out = Packets::new();
        for part in &cut[..3] {
            ip.receive(at(0), part, Cast::Unicast, &mut out).unwrap();
        }
        let Ok(Verdict::Whole(all)) = ip.receive(at(0), &cut[3], Cast::Unicast, &mut out) else { panic!() };
        let Ok(Verdict::Transport(packet)) = ip.receive_whole(at(0), &all, &mut out) else { panic!() };
        assert_eq!(ip.port_unreachable(at(0), &packet, &mut out), Rule::UdpNoSocket);
        let answer = written(&mut ip, &out).remove(0);
        let quote = &payload(&answer)[8..];
        assert_eq!(quote, &cut[0][..quote.len()], "WIRE 21");
        assert!(quote.len() >= 548);
    }
}

#[test]
fn time_exceeded_is_sent_only_if_the_first_fragment_came() {
    for (host, ours, lifetime, kind) in [(HOST, OURS, 30, [11, 1]), (HOST6, OURS6, 60, [3, 1])] {
        let mut ip = ready();
        let cut = fragments(&udp(host, ours, &data(3000)), 1, 1000);
        let other = fragments(&udp(host, ours, &data(3000)), 2, 1000);
        feed(&mut ip, at(1), &cut[0]).unwrap_err();
        feed(&mut ip, at(1), &other[1]).unwrap_err();
        feed(&mut ip, at(20), &cut[2]).unwrap_err();
        assert_eq!(ip.deadline(), Some(at(1 + lifetime)));
        let mut out = Packets::new();
        ip.poll(at(lifetime), &mut out);
        assert_eq!((out.len(), ip.next_given_up()), (0, None));
        ip.poll(at(1 + lifetime), &mut out);
        assert_eq!(out.iter().next().unwrap().fate.rule, Some(Rule::IpReassemblyExceeded));
        let frames = written(&mut ip, &out);
        assert_eq!(frames.len(), 1, "WIRE 15");
        let (message, quote) = payload(&frames[0]).split_at(8);
        assert_eq!((&message[..2], &message[4..]), (&kind[..], &[0; 4][..]));
        assert_eq!(quote, &cut[0][..quote.len()], "WIRE 21");
        assert_eq!(ip.deadline(), None);
        let mut rules = [ip.next_given_up(), ip.next_given_up()];
        rules.sort_by_key(|rule| rule.map(Rule::name));
        assert_eq!(rules, [Some(Rule::IpReassemblyExceeded), Some(Rule::IpReassemblyTimeout)]);
        // What comes too late begins anew.
        assert_eq!(feed(&mut ip, at(100), &cut[1]).unwrap_err(), WAITS[usize::from(lifetime == 60)]);
    }
}

#[test]
fn a_timeout_tells_nobody_about_groups_and_errors() {
    let mut ip = ready();
    let to_all = udp(HOST, addr("192.168.69.255"), &data(100));
    let error = icmp(HOST, OURS, 3, 3, &[&[0; 4], &quote(OURS, HOST, 17)[..]].concat());
    let ping = icmp(HOST, OURS, 8, 0, &data(40));
    for (id, whole) in [to_all, error, ping].iter().enumerate() {
        assert!(
            ip.receive(at(0), &fragment(whole, id as u32, 0, 16, true), Cast::Unicast, &mut Packets::new()).is_ok()
        );
    }
    let mut out = Packets::new();
    ip.poll(at(30), &mut out);
    assert_eq!(out.len(), 1, "about the ping alone");
    assert_eq!(payload(&written(&mut ip, &out)[0])[8 + 9], 1);
}

// ---- bounds ----

#[test]
fn six_hundred_incomplete_datagrams_do_not_stop_the_next() {
    for ((host, ours), waits) in PEERS.into_iter().zip(WAITS) {
        let mut ip = ready();
        for id in 0..600 {
            let whole = udp(host, ours, &data(3000));
            assert_eq!(feed(&mut ip, at(0), &fragment(&whole, id, 0, 1480, true)), Err(waits));
        }
        let whole = udp(host, ours, &data(8000));
        let outcome: Vec<_> = fragments(&whole, 1000, 1400).iter().map(|part| feed(&mut ip, at(0), part)).collect();
        assert_eq!(outcome.last().unwrap().as_deref(), Ok(payload(&whole)), "WIRE 14");
    }
}

fn small(total: usize, share: usize) -> Ip {
    let mut config = Config::default();
    config.limits.reassembly_bytes = total;
    config.limits.reassembly_bytes_per_source = share;
    let mut ip = Ip::new(&config, 1500, 0);
    for address in [OURS, OURS6] {
        ip.set_address_state(address, Address::Preferred);
    }
    ip
}

#[test]
fn one_source_loses_its_own_oldest_and_never_another_sources() {
    let mut ip = small(200_000, 50_000);
    let honest = udp(addr("192.168.69.7"), OURS, &data(2000));
    let cut = fragments(&honest, 1, 1000);
    assert!(feed(&mut ip, at(0), &cut[0]).is_err() && feed(&mut ip, at(0), &cut[1]).is_err());
    let garbage = udp(HOST, OURS, &data(3000));
    for id in 0..10_000 {
        assert_eq!(feed(&mut ip, at(0), &fragment(&garbage, id, 0, 1480, true)), Err(Rule::Ip4FragmentWaits));
        assert!(ip.reassembly.bytes <= 60_000);
    }
    assert_eq!(feed(&mut ip, at(0), &cut[2]).as_deref(), Ok(payload(&honest)));
    let mut given_up = 0;
    while let Some(rule) = ip.next_given_up() {
        assert_eq!(rule, Rule::IpReassemblyShare);
        given_up += 1;
    }
    assert!(given_up > 9900);
}

#[test]
fn when_everything_is_full_the_oldest_of_all_makes_room() {
    let mut ip = small(50_000, 20_000);
    for number in 0..2000u32 {
        let source = IpAddr::from([192, 168, 69, 50 + (number % 50) as u8]);
        let whole = udp(source, OURS, &data(3000));
        assert_eq!(feed(&mut ip, at(0), &fragment(&whole, number, 0, 1480, true)), Err(Rule::Ip4FragmentWaits));
        assert!(ip.reassembly.bytes <= 50_000);
    }
    assert_eq!(ip.next_given_up(), Some(Rule::IpReassemblyFull));
    let honest = udp(HOST, OURS, &data(8000));
    let outcome: Vec<_> = fragments(&honest, 1, 1400).iter().map(|part| feed(&mut ip, at(0), part)).collect();
    assert_eq!(outcome.last().unwrap().as_deref(), Ok(payload(&honest)));
}

#[test]
fn a_datagram_larger_than_the_share_is_dropped_and_leaves_nothing() {
    let mut ip = small(50_000, 20_000);
    let whole = udp(HOST, OURS, &data(60_000));
    let outcomes: Vec<_> = fragments(&whole, 1, 1480).iter().map(|part| feed(&mut ip, at(0), part)).collect();
    assert!(outcomes.contains(&Err(Rule::IpReassemblyShare)) && outcomes.iter().all(Result::is_err));
    assert!(ip.reassembly.bytes <= 20_000);
    ip.poll(at(100), &mut Packets::new());
    assert_eq!((ip.reassembly.bytes, ip.reassembly.sources.len(), ip.deadline()), (0, 0, None));
}

#[test]
fn tiny_fragments_cost_what_they_need() {
    let mut ip = small(100_000, 100_000);
    let whole = udp(HOST, OURS, &data(60_000));
    for part in fragments(&whole, 1, 8) {
        let _ = feed(&mut ip, at(0), &part);
        assert!(ip.reassembly.bytes <= 100_000);
        let pieces: usize = ip.reassembly.partials.values().map(|partial| partial.cost()).sum();
        assert!(pieces <= ip.reassembly.bytes);
    }
}

proptest! {
    /// Whatever the order, however often, with whatever overlaps: IPv4 delivers the datagram exactly once all is there.
    #[test]
    fn ipv4_delivers_what_was_sent_in_any_order_with_any_agreeing_overlap(
        length in 9usize..6000,
        mut cuts in proptest::collection::vec((0usize..750, 1usize..300), 1..60),
        size in 1usize..100,
        order in any::<u64>(),
    ) {
        let whole = udp(HOST, OURS, &data(length));
        let total = length + 8;
        let mut parts: Vec<_> = (0..total).step_by(size * 8).map(|at| (at, total.min(at + size * 8))).collect();
        parts.extend(cuts.drain(..).map(|(at, size)| ((at * 8).min(total / 8 * 8), total.min((at + size) * 8))));
        parts.retain(|(from, to)| from < to && (*from, *to) != (0, total));
        shuffle(&mut parts, order);
        let mut ip = ready();
        let mut delivered = 0;
        let mut held = vec![false; total];
        for (from, to) in parts {
            held[from..to].fill(true);
            match feed(&mut ip, at(0), &fragment(&whole, 5, from, to, to < total)) {
                Ok(received) => {
                    prop_assert_eq!(&received[..], payload(&whole));
                    prop_assert!(held.iter().all(|held| *held));
                    held.fill(false);
                    delivered += 1;
                }
                Err(rule) => prop_assert!(matches!(rule, Rule::Ip4FragmentWaits | Rule::Ip4FragmentDuplicate)),
            }
        }
        prop_assert!(delivered > 0 || size * 8 >= total);
    }

    /// Fragments of two datagrams under one number: what is delivered is one of them, or its checksum is wrong.
    #[test]
    fn contradicting_fragments_never_make_a_wrong_datagram(
        v4: bool,
        parts in proptest::collection::vec((0usize..16, 1usize..16, any::<bool>()), 1..80),
    ) {
        let (host, ours) = PEERS[usize::from(!v4)];
        let wholes = [udp(host, ours, &data(120)), udp(host, ours, &[0xff; 120])];
        let mut ip = ready();
        for (at_block, blocks, which) in parts {
            let (from, to) = (at_block * 8, ((at_block + blocks) * 8).min(128));
            let whole = &wholes[usize::from(which)];
            if (from, to) == (0, 128) {
                continue;
            }
            if let Ok(received) = feed(&mut ip, at(0), &fragment(whole, 5, from, to, to < 128)) {
                let sum = crate::ip::transport_checksum(host, ours, 17, &received);
                prop_assert!(sum != 0 || wholes.iter().any(|whole| payload(whole) == received));
            }
        }
    }

    /// RFC 5722: IPv6 fragments in any order and with exact duplicates are delivered; once parts overlap, never.
    #[test]
    fn ipv6_delivers_only_what_was_cut_once(
        length in 9usize..6000, size in 1usize..100, order in any::<u64>(), copies in 1usize..3, overlap in any::<bool>(),
    ) {
        let whole = udp(HOST6, OURS6, &data(length));
        let mut parts = fragments(&whole, 5, size * 8);
        prop_assume!(parts.len() > 2);
        if overlap {
            // First of all, so that the rest comes upon it.
            parts.insert(0, fragment(&whole, 5, 0, size * 16, true));
        } else {
            parts = parts.iter().cycle().take(parts.len() * copies).cloned().collect();
            shuffle(&mut parts, order);
        }
        let mut ip = ready();
        let received: Vec<_> = parts.iter().filter_map(|part| feed(&mut ip, at(0), part).ok()).collect();
        prop_assert!(received.iter().all(|received| received == payload(&whole)));
        prop_assert_eq!(received.is_empty(), overlap);
    }

    #[test]
    fn random_fragments_never_panic_and_never_pass_the_bound(
        parts in proptest::collection::vec((any::<u8>(), any::<u16>(), 0usize..200, any::<u8>(), 0u64..100), 1..200),
    ) {
        let mut ip = small(30_000, 12_000);
        for (id, offset_and_more, length, byte, seconds) in parts {
            let mut four = packet(HOST, OURS, 17, &vec![byte; length]);
            four[4..8].copy_from_slice(&[0, id % 4, (offset_and_more >> 11) as u8 & 0x3f, (offset_and_more >> 3) as u8]);
            repair(&mut four);
            let [high, low] = offset_and_more.to_be_bytes();
            let six = packet(HOST6, OURS6, 44, &[&[17, 0, high, low, 0, 0, 0, id % 4], &vec![byte; length][..]].concat());
            for bytes in [four, six] {
                let mut out = Packets::new();
                ip.poll(at(seconds), &mut out);
                if let Ok(Verdict::Whole(whole)) = ip.receive(at(seconds), &bytes, Cast::Unicast, &mut out) {
                    let _ = ip.receive_whole(at(seconds), &whole, &mut out);
                }
                written(&mut ip, &out);
                prop_assert!(ip.reassembly.bytes <= 30_000);
            }
        }
        ip.poll(at(1000), &mut Packets::new());
        prop_assert_eq!((ip.reassembly.bytes, ip.reassembly.sources.len(), ip.reassembly.ages.len()), (0, 0, 0));
    }
}

/// The same shuffle for the same number.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for at in (1..items.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(at, (seed >> 33) as usize % (at + 1));
    }
}
