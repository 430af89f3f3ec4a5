//! Before a connection is established: closed ports, LISTEN and SYN-RECEIVED (RFC 9293 §3.10.7.1 to §3.10.7.4).

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tapsock::config::Config;

use crate::wire::*;

/// MSS 1460, SACK permitted, timestamps, NOP, window scale 7: what Linux offers.
fn everything() -> Vec<u8> {
    let mut options = vec![2, 4, 0x05, 0xb4, 4, 2, 8, 10];
    options.extend_from_slice(&0x0102_0304_u32.to_be_bytes());
    options.extend_from_slice(&[0, 0, 0, 0, 1, 3, 3, 7]);
    options
}

fn line_28_the_rst_of_a_closed_port_has_the_right_numbers(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut port = 30_000;
        let mut ask = |wire: &mut dyn Wire, flags, seq, ack, payload: &[u8]| {
            port += 1;
            let segment = Segment { payload: payload.to_vec(), ..Segment::new(family, port, CLOSED, flags, seq, ack) };
            let answers = wire.ask(&segment.frame());
            assert!(answers.len() <= 1, "{answers:?}");
            answers.first().map(|answer| {
                let reset = answer.tcp().unwrap();
                assert_eq!((reset.from, reset.to), (segment.to, segment.from));
                assert!(reset.payload.is_empty() && reset.options.is_empty());
                (reset.flags, reset.seq, reset.ack)
            })
        };
        // Without an ACK: seq 0, and all of the segment is acknowledged, SYN and FIN with it.
        assert_eq!(ask(wire, SYN, 5000, 0, b""), Some((RST | ACK, 0, 5001)), "{family:?}");
        assert_eq!(ask(wire, SYN, 5000, 0, b"four"), Some((RST | ACK, 0, 5005)));
        assert_eq!(ask(wire, SYN, u32::MAX, 0, b""), Some((RST | ACK, 0, 0)));
        assert_eq!(ask(wire, FIN, 5000, 0, b""), Some((RST | ACK, 0, 5001)));
        assert_eq!(ask(wire, FIN | PSH, 5000, 0, b"four"), Some((RST | ACK, 0, 5005)));
        assert_eq!(ask(wire, 0, 5000, 0, b"four"), Some((RST | ACK, 0, 5004)));
        // With one: its number, and nothing is acknowledged.
        assert_eq!(ask(wire, ACK, 5000, 777, b""), Some((RST, 777, 0)));
        assert_eq!(ask(wire, ACK | PSH, 5000, 777, b"four"), Some((RST, 777, 0)));
        assert_eq!(ask(wire, SYN | ACK, 5000, 777, b""), Some((RST, 777, 0)));
        assert_eq!(ask(wire, FIN | ACK, 5000, u32::MAX, b""), Some((RST, u32::MAX, 0)));
        assert_eq!(ask(wire, RST, 5000, 0, b""), None);
        assert_eq!(ask(wire, RST | ACK, 5000, 777, b""), None);
    }
}

fn line_29_listen_answers_an_ack_with_a_reset_and_ignores_the_rest(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let client = Client::new(family, ECHO);
        for flags in [ACK, ACK | PSH, SYN | ACK, FIN | ACK] {
            let answers = client.ask(wire, &Segment { ack: 4242, ..client.segment(flags) });
            assert_eq!(answers.len(), 1, "{flags}: {answers:?}");
            assert_eq!((answers[0].flags, answers[0].seq), (RST, 4242), "{flags}");
        }
        for flags in [RST, RST | ACK, FIN, 0, PSH, FIN | PSH] {
            let segment = Segment { payload: b"x".to_vec(), ..client.segment(flags) };
            assert!(wire.ask(&segment.frame()).is_empty(), "{flags}");
        }
    }
    // TCP is between two: no SYN that went to many is answered, by whatever address it did.
    let groups: [IpAddr; 5] = [
        Ipv4Addr::BROADCAST.into(),
        Ipv4Addr::new(192, 168, 69, 255).into(),
        Ipv4Addr::new(224, 0, 0, 1).into(),
        "ff02::1".parse().unwrap(),
        "ff02::1:ff00:1".parse().unwrap(),
    ];
    for group in groups {
        let family = if group.is_ipv4() { V4 } else { V6 };
        for port in [ECHO, CLOSED] {
            let syn = Segment { to: (group, port).into(), ..Segment::new(family, 31_000, port, SYN, 1, 0) };
            let answers = wire.ask(&syn.frame());
            assert!(answers.is_empty(), "{group}: {answers:?}");
        }
    }
    for (family, to) in [(V4, BROADCAST), (V6, [0x33, 0x33, 0, 0, 0, 1])] {
        let syn = Segment::new(family, 31_001, ECHO, SYN, 1, 0).packet();
        assert!(wire.ask(&syn.frame_to(to)).is_empty());
    }
}

fn line_30_our_mss_is_sent_and_the_default_is_assumed(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let (ours, default) = if family == V4 { (1460, 536) } else { (1440, 1220) };
        // Who offers none can take the default, and gets it.
        let mut client = Client::new(family, CHARGEN);
        assert_eq!(client.open(wire).mss(), Some(ours));
        let answers = client.collect(wire, 4);
        let longest = answers.iter().map(|segment| segment.payload.len()).max();
        assert_eq!(longest, Some(default), "{family:?}");
        client.reset(wire);
        // Who offers more than the link takes does not get it.
        let mut client = Client::new(family, CHARGEN);
        client.open_with(wire, vec![2, 4, 0xff, 0xff]);
        let answers = client.collect(wire, 1);
        let longest = answers.iter().map(|segment| segment.payload.len()).max();
        assert_eq!(longest, Some(usize::from(ours)), "{family:?}");
        client.reset(wire);
    }
}

fn line_32_options_only_when_offered(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = Client::new(family, ECHO);
        let bare = client.open(wire);
        assert_eq!((bare.window_scale(), bare.timestamps(), bare.option(4)), (None, None, None));
        assert!(client.echoes(wire, b"plain"));
        client.say(wire, b"x");
        let echo = client.first(wire, "echo", |segment| !segment.payload.is_empty());
        assert!(echo.options.is_empty(), "{echo:?}");
        client.reset(wire);
        // Each by itself is answered by nothing but itself.
        for (kind, option) in [(3, vec![3, 3, 7, 0]), (4, vec![4, 2, 0, 0]), (8, timestamps(1, 0))] {
            let mut client = Client::new(family, ECHO);
            let syn_ack = client.begin_with(wire, option);
            for other in [3, 4, 8] {
                assert!(syn_ack.option(other).is_none() || other == kind, "{kind} was offered: {syn_ack:?}");
            }
            client.reset(wire);
        }
        let mut client = Client::new(family, ECHO);
        let all = client.begin_with(wire, everything());
        assert!(all.window_scale().is_some_and(|shift| shift <= 14));
        client.reset(wire);
    }
}

fn line_32_unknown_and_malformed_options_are_ignored(wire: &mut dyn Wire) {
    let strange: [&[u8]; 12] = [
        &[254, 4, 1, 2],
        &[30, 8, 0, 0, 0, 0, 0, 0],
        &[1, 1, 1, 1],
        &[0, 2, 4, 0],
        &[34, 2, 1, 0],
        &[2, 3, 5, 0],
        &[3, 4, 7, 0],
        &[2, 0, 0, 0],
        &[2, 1, 0, 0],
        &[2, 200, 5, 0],
        &[1, 1, 1, 8],
        &[8, 10, 0, 0],
    ];
    for family in FAMILIES {
        for options in strange {
            let mut client = Client::new(family, ECHO);
            client.open_with(wire, options.to_vec());
            assert!(client.echoes(wire, b"as if nothing were"), "{options:?}");
            // The same on an established connection.
            let data = Segment { options: options.to_vec(), ..client.data(b"with options") };
            wire.send(&data.frame());
            client.seq = client.seq.wrapping_add(12);
            assert_eq!(client.read(wire, 12), b"with options", "{options:?}");
            client.reset(wire);
        }
        // A shift beyond 14 is taken as 14 (RFC 7323 §2.3).
        let mut client = Client::new(family, ECHO);
        client.open_with(wire, vec![3, 3, 200, 0]);
        assert!(client.echoes(wire, b"x"));
        client.reset(wire);
    }
}

fn line_33_the_window_of_a_syn_ack_is_not_scaled(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for options in [vec![], everything()] {
            let mut client = Client::new(family, DISCARD);
            let syn_ack = client.open_with(wire, options);
            let shift = syn_ack.window_scale().unwrap_or(0);
            let announced = u32::from(syn_ack.window);
            assert!(announced >= 8192, "{announced}");
            // The first ACK announces as much, scaled: nothing has been taken, or very little.
            client.say(wire, b"x");
            let ack = client.first(wire, "ACK", |segment| segment.ack == client.seq);
            let now = u32::from(ack.window) << shift;
            let step = 1 << shift;
            assert!(now + 1 + step >= announced, "{family:?}: {announced}, then {now}");
            client.reset(wire);
        }
    }
}

fn line_48_initial_sequence_numbers_are_unpredictable(pair: &mut Pair) {
    for family in FAMILIES {
        let isn = |pair: &mut Pair| {
            let mut client = Client::new(family, ECHO);
            let isn = client.begin_with(pair, vec![]).seq;
            client.reset(pair);
            isn
        };
        // Ports one after the other, at the same moment: differences have no pattern, and all bits move.
        let isns: Vec<u32> = (0..256).map(|_| isn(pair)).collect();
        let differences: HashSet<u32> = isns.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert!(differences.len() > 250, "{} different steps", differences.len());
        for bit in 0..32 {
            let ones = isns.iter().filter(|&&isn| isn >> bit & 1 == 1).count();
            assert!((64..192).contains(&ones), "bit {bit} is set {ones} times of 256");
        }
        let near = isns.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) < 1 << 24).count();
        assert!(near < 16, "{near} of 255 are near the one before");
        // The same four-tuple: its numbers go up with the clock of RFC 6528, about one in 4 µs.
        let mut client = Client::new(family, ECHO);
        let first = client.begin_with(pair, vec![]).seq;
        client.reset(pair);
        pair.wait(Duration::from_secs(10));
        client.seq = 90_000;
        let later = client.begin_with(pair, vec![]).seq;
        client.reset(pair);
        let step = later.wrapping_sub(first);
        assert!((1_000_000..100_000_000).contains(&step), "{step} in 10 s");
    }
    // Another stack has another secret: what one tells says nothing of the other.
    let syn = Segment::new(V4, 5555, ECHO, SYN, 1, 0);
    let mut seen = HashSet::new();
    for seed in 0..16 {
        let mut other = Pair::bare(Config { probe: Duration::ZERO, ..Config::default() }, seed);
        let local = "0.0.0.0:7".parse().unwrap();
        let _listener = other.call(tapsock::stack::Verb::OpenListener { local, backlog: 1, v6_only: true }).unwrap();
        other.settle();
        let answers = other.ask(&syn.frame());
        seen.insert(answers[0].tcp().unwrap().seq);
    }
    assert_eq!(seen.len(), 16);
}

fn line_51_a_duplicate_syn_gets_the_same_syn_ack(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = Client::new(family, ECHO);
        let syn = Segment { options: everything(), ..client.syn() };
        let first = client.ask_one(wire, &syn);
        let again = client.ask_one(wire, &syn);
        assert_eq!((again.flags, again.seq, again.ack), (first.flags, first.seq, first.ack), "{family:?}");
        client.seq += 1;
        client.ack = first.seq.wrapping_add(1);
        wire.send(&client.segment(ACK).frame());
        assert!(client.echoes(wire, b"established"));
        client.reset(wire);
    }
}

fn line_51_a_bad_ack_in_syn_received_gets_a_reset(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = Client::new(family, ECHO);
        client.begin_with(wire, vec![]);
        for wrong in
            [client.isn, client.isn.wrapping_add(2), client.isn.wrapping_sub(1000), client.isn.wrapping_add(1 << 31)]
        {
            let answers = client.ask(wire, &Segment { ack: wrong, ..client.segment(ACK) });
            assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
            assert_eq!((answers[0].flags & !ACK, answers[0].seq), (RST, wrong), "{family:?}");
        }
        // It was not the peer's fault: the right one still establishes.
        wire.send(&client.segment(ACK).frame());
        assert!(client.echoes(wire, b"now"), "{family:?}");
        client.reset(wire);
    }
}

fn line_51_a_reset_in_syn_received_returns_to_listen(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = Client::new(family, ECHO);
        client.begin_with(wire, vec![]);
        assert!(client.ask(wire, &client.segment(RST)).is_empty());
        assert!(client.is_forgotten(wire), "{family:?}");
        // The next SYN from the same port is a new beginning.
        client.seq = 777_777;
        client.open(wire);
        assert!(client.echoes(wire, b"again"));
        client.reset(wire);
    }
}

fn line_52_300_half_open_connections_do_not_stop_the_301st_client(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for i in 0..300 {
            let client = Client::new(family, ECHO);
            wire.send(&client.syn().frame());
            if i % 30 == 0 {
                wire.settle();
            }
        }
        wire.settle();
        let mut client = Client::new(family, ECHO);
        client.open(wire);
        assert!(client.echoes(wire, b"the 301st"), "{family:?}");
        client.reset(wire);
    }
}

/// A flood that fills every table there is.
fn line_52_no_number_of_half_open_connections_stops_the_next_client(pair: &mut Pair) {
    for i in 0..20_000_u32 {
        let source = IpAddr::from(Ipv4Addr::new(192, 168, 69, 2 + (i % 200) as u8));
        let from = (source, 1024 + (i / 200) as u16).into();
        pair.send(&Segment { from, ..Segment::new(V4, 1, ECHO, SYN, i, 0) }.frame());
    }
    pair.settle();
    for family in FAMILIES {
        let mut client = Client::new(family, ECHO);
        client.open_with(pair, everything());
        assert!(client.echoes(pair, b"in spite of all"), "{family:?}");
        client.reset(pair);
    }
}

lines! {
    both {
        line_28_the_rst_of_a_closed_port_has_the_right_numbers
        line_29_listen_answers_an_ack_with_a_reset_and_ignores_the_rest
        line_30_our_mss_is_sent_and_the_default_is_assumed
        line_51_a_reset_in_syn_received_returns_to_listen
        line_52_300_half_open_connections_do_not_stop_the_301st_client
    }
    embedded {}
    pair {
        line_32_options_only_when_offered
        line_33_the_window_of_a_syn_ack_is_not_scaled
        line_48_initial_sequence_numbers_are_unpredictable
        line_51_a_duplicate_syn_gets_the_same_syn_ack
        line_51_a_bad_ack_in_syn_received_gets_a_reset
        line_52_no_number_of_half_open_connections_stops_the_next_client
        line_32_unknown_and_malformed_options_are_ignored
    }
}
