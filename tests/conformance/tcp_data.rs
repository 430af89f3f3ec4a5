//! An established connection (RFC 9293 §3.10.7.4, RFC 5961, RFC 7323, RFC 2018).

use std::time::Duration;

use crate::wire::*;

/// An established connection.
fn connect(wire: &mut dyn Wire, family: Family, port: u16) -> Client {
    let mut client = Client::new(family, port);
    client.open(wire);
    wire.settle();
    client
}

fn line_31_the_peers_mss_and_window_are_never_exceeded(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for (mss, window, shift) in [(100_u16, 250_u16, None), (536, 5000, None), (1000, 64, Some(5)), (88, 40, None)] {
            let mut client = Client::new(family, CHARGEN);
            client.window = if shift.is_some() { 2048 } else { window };
            let mut options = vec![2, 4];
            options.extend_from_slice(&mss.to_be_bytes());
            if let Some(shift) = shift {
                options.extend_from_slice(&[1, 3, 3, shift]);
            }
            client.open_with(wire, options);
            // From the ACK on the window is scaled.
            client.window = window;
            let limit = u32::from(window) << shift.unwrap_or(0);
            wire.send(&client.segment(ACK).frame());
            let mut edge = client.ack.wrapping_add(limit.max(if shift.is_some() { 2048 } else { 0 }));
            let mut taken = 0;
            while taken < 20 * limit.min(2000) {
                for segment in client.next(wire, "data", |segment| !segment.payload.is_empty()) {
                    assert!(segment.payload.len() <= usize::from(mss), "{} bytes for MSS {mss}", segment.payload.len());
                    let beyond = segment.end().wrapping_sub(edge) as i32;
                    assert!(beyond <= 0, "{family:?}: {beyond} bytes beyond a window of {limit}");
                    if segment.seq == client.ack {
                        client.ack = segment.end();
                        taken += segment.payload.len() as u32;
                    }
                }
                edge = client.ack.wrapping_add(limit);
                wire.send(&client.segment(ACK).frame());
            }
            client.reset(wire);
        }
    }
}

fn line_34_a_closed_window_is_probed(pair: &mut Pair) {
    for family in FAMILIES {
        let mut client = Client::new(family, CHARGEN);
        client.window = 0;
        client.open(pair);
        // Data waits; nothing but probes comes, and they go on, ever more seldom.
        let mut times = Vec::new();
        let began = pair.now();
        while pair.now() < began + Duration::from_secs(120) {
            let answers = pair.listen(Duration::from_secs(120), &mut |answers| !client.of(answers).is_empty());
            for segment in client.of(&answers) {
                assert!(segment.payload.len() <= 1, "{family:?}: {} bytes into a closed window", segment.payload.len());
                times.push(pair.now());
            }
            // Each is answered: the window is still closed.
            pair.send(&client.segment(ACK).frame());
        }
        assert!((4..=40).contains(&times.len()), "{family:?}: probes at {times:?}");
        let gaps: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps[0] >= Duration::from_millis(200), "{gaps:?}");
        assert!(gaps.windows(2).all(|pair| pair[1] >= pair[0] || pair[1] >= Duration::from_secs(59)), "{gaps:?}");
        assert!(gaps.last() > gaps.first(), "{gaps:?}");
        // When it opens, the stream goes on where it was.
        client.window = 10_000;
        pair.send(&client.segment(ACK).frame());
        let bytes = client.read(pair, 3000);
        assert_eq!(bytes[..3000], pattern(4096)[..3000]);
        client.reset(pair);
    }
}

/// The other direction: our window closes, because a program does not read.
fn line_34_our_closed_window_answers_probes(wire: &mut dyn Wire) {
    let family = V4;
    let mut client = connect(wire, family, NEVER_READS);
    let mut window = 1;
    let mut sent = 0;
    while window > 0 {
        client.say(wire, &[7; 1000]);
        sent += 1000;
        assert!(sent < 4 << 20, "a program that never reads took {sent} bytes");
        let ack = client.next(wire, "ACK", |segment| segment.flags & ACK != 0).pop().unwrap();
        client.seq = ack.ack;
        window = ack.window;
    }
    // A probe of one byte is answered and not taken.
    for _ in 0..3 {
        let answers = client.ask(wire, &client.data(b"?"));
        let last = answers.last().expect("an answer to the probe");
        assert_eq!((last.ack, last.window), (client.seq, 0));
    }
    client.reset(wire);
}

fn line_35_data_in_any_order_is_delivered_once_and_whole(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let bytes = pattern(1400);
        let orders: [&[(usize, usize)]; 7] = [
            &[(700, 1400), (0, 700)],
            &[(1050, 1400), (350, 700), (700, 1050), (0, 350)],
            &[(0, 700), (0, 700), (700, 1400), (700, 1400)],
            &[(0, 840), (560, 1400)],
            &[(560, 1400), (0, 840)],
            &[(350, 490), (420, 1050), (0, 1400)],
            &[(140, 280), (420, 560), (700, 840), (980, 1120), (0, 700), (630, 1400)],
        ];
        let mut client = connect(wire, family, ECHO);
        for order in orders {
            for &(from, to) in order {
                wire.send(&client.data_at(from as u32, &bytes[from..to]).frame());
            }
            client.seq = client.seq.wrapping_add(1400);
            assert!(client.read(wire, 1400) == bytes, "{family:?}: {order:?}");
            let rest = wire.settle();
            assert!(client.of(&rest).iter().all(|segment| segment.payload.is_empty()), "{order:?}: bytes twice");
        }
        client.reset(wire);
    }
}

fn line_35_20_segments_reversed(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        let bytes = pattern(20 * 536);
        for (i, part) in bytes.chunks(536).enumerate().collect::<Vec<_>>().into_iter().rev() {
            wire.send(&client.data_at(i as u32 * 536, part).frame());
        }
        client.seq = client.seq.wrapping_add(bytes.len() as u32);
        assert!(client.read(wire, bytes.len()) == bytes, "{family:?}");
        client.reset(wire);
    }
}

fn line_35_sequence_numbers_wrap(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for before in [0, 1, 2, 500, 1500] {
            let mut client = Client::new(family, ECHO);
            client.seq = 0_u32.wrapping_sub(before);
            client.open(wire);
            let bytes = pattern(3000);
            // The second half first, across the end of the numbers.
            wire.send(&client.data_at(1000, &bytes[1000..2000]).frame());
            wire.send(&client.data_at(2000, &bytes[2000..]).frame());
            wire.send(&client.data_at(0, &bytes[..1000]).frame());
            client.seq = client.seq.wrapping_add(3000);
            assert!(client.read(wire, 3000) == bytes, "{family:?}, {before}");
            client.reset(wire);
        }
    }
}

fn line_36_a_gap_is_told_at_once(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let client = connect(wire, family, DISCARD);
        for i in 1..=4 {
            // RFC 5681 §4.2: each of them, without delay.
            let answers = client.ask(wire, &client.data_at(i * 1000, &[1; 1000]));
            assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
            assert!(answers[0].is(ACK));
            assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq));
        }
        // And so is the segment that fills it.
        let answers = client.ask(wire, &client.data(&[1; 1000]));
        assert_eq!(answers.last().map(|segment| segment.ack), Some(client.seq.wrapping_add(5000)));
        client.reset(wire);
    }
}

fn line_37_data_outside_the_window_is_acknowledged_and_not_delivered(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        assert!(client.echoes(wire, b"before"));
        // A long time ago, just now, just beyond the window, far beyond, half the space away.
        for offset in
            [0_u32.wrapping_sub(70_000), 0_u32.wrapping_sub(6), 70_000, 200_000_000, 1 << 30, 1 << 31, 3 << 30]
        {
            let answers = client.ask(wire, &client.data_at(offset, b"lost"));
            assert_eq!(answers.len(), 1, "{family:?}, {offset}: {answers:?}");
            assert!(answers[0].is(ACK));
            assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq), "{offset}");
            assert!(answers[0].payload.is_empty());
        }
        assert!(client.echoes(wire, b"after"), "{family:?}");
        client.reset(wire);
    }
}

fn line_37_a_segment_without_ack_is_dropped(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        for flags in [0, PSH, FIN, FIN | PSH] {
            let segment = Segment { flags, ack: 0, ..client.data(b"dropped") };
            assert!(client.ask(wire, &segment).is_empty(), "{flags}");
        }
        assert!(client.echoes(wire, b"alive"), "{family:?}");
        client.reset(wire);
    }
}

fn line_38_only_the_exact_rst_kills(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        // Within the window: a challenge, and the connection lives (RFC 5961 §3.2).
        for offset in [1, 100, 4000] {
            let rst = Segment { seq: client.seq.wrapping_add(offset), ..client.segment(RST) };
            let answers = client.ask(wire, &rst);
            assert_eq!(answers.len(), 1, "{family:?}, {offset}: {answers:?}");
            assert!(answers[0].is(ACK));
            assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq));
        }
        // Outside: nothing at all.
        for offset in [0_u32.wrapping_sub(1), 0_u32.wrapping_sub(1000), 100_000, 1 << 30, 1 << 31] {
            for flags in [RST, RST | ACK] {
                let rst = Segment { seq: client.seq.wrapping_add(offset), ..client.segment(flags) };
                assert!(client.ask(wire, &rst).is_empty(), "{family:?}, {offset}");
            }
        }
        assert!(client.echoes(wire, b"alive"));
        assert!(client.ask(wire, &client.segment(RST)).is_empty());
        assert!(client.is_forgotten(wire), "{family:?}");
    }
}

fn line_39_a_syn_on_a_connection_is_challenged(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        for (flags, seq) in [
            (SYN, client.seq),
            (SYN, client.seq.wrapping_add(100)),
            (SYN, 5),
            (SYN, client.seq.wrapping_sub(1)),
            (SYN | ACK, client.seq),
        ] {
            let answers = client.ask(wire, &Segment { seq, ..client.segment(flags) });
            assert_eq!(answers.len(), 1, "{family:?}, {seq}: {answers:?}");
            assert!(answers[0].is(ACK), "{answers:?}");
            assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq));
        }
        assert!(client.echoes(wire, b"alive"), "{family:?}");
        client.reset(wire);
    }
}

fn line_40_an_ack_of_unsent_data_is_answered_and_dropped(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        assert!(client.echoes(wire, b"some"));
        for beyond in [1, 1000, 1 << 30] {
            let segment = Segment { ack: client.ack.wrapping_add(beyond), ..client.data(b"dropped") };
            let answers = client.ask(wire, &segment);
            assert_eq!(answers.len(), 1, "{family:?}, {beyond}: {answers:?}");
            assert!(answers[0].is(ACK));
            assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq), "{beyond}");
        }
        assert!(client.echoes(wire, b"alive"), "{family:?}");
        client.reset(wire);
    }
}

fn line_41_a_keepalive_probe_is_answered(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        assert!(client.echoes(wire, b"then silence"));
        // RFC 1122 §4.2.3.6: the number before the next, with no byte or with one of garbage.
        for garbage in [&b""[..], b"?"] {
            let probe = Segment { seq: client.seq.wrapping_sub(1), payload: garbage.to_vec(), ..client.segment(ACK) };
            let answers = client.ask(wire, &probe);
            assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
            assert!(answers[0].is(ACK) && answers[0].payload.is_empty());
            assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq));
        }
        assert!(client.echoes(wire, b"alive"));
        client.reset(wire);
    }
}

/// A connection with timestamps; its clock stands at `now`.
fn with_timestamps(wire: &mut dyn Wire, family: Family, port: u16, now: u32) -> (Client, u32) {
    let mut client = Client::new(family, port);
    let syn_ack = client.begin_with(wire, timestamps(now, 0));
    let (theirs, echo) = syn_ack.timestamps().expect("timestamps were offered");
    assert_eq!(echo, now);
    let ack = Segment { options: timestamps(now, theirs), ..client.segment(ACK) };
    wire.send(&ack.frame());
    wire.settle();
    (client, theirs)
}

fn line_49_timestamps_are_consistent(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let (mut client, theirs) = with_timestamps(wire, family, ECHO, 5000);
        let mut last = theirs;
        for (i, word) in [b"one", b"two", b"six"].into_iter().enumerate() {
            let now = 5010 + i as u32;
            wire.send(&Segment { options: timestamps(now, last), ..client.data(word) }.frame());
            client.seq = client.seq.wrapping_add(3);
            let echo = client.first(wire, "echo", |segment| !segment.payload.is_empty());
            // On every segment, never backwards, and with the time of what it acknowledges.
            let (value, reply) = echo.timestamps().expect("a timestamp on every segment");
            assert!(value.wrapping_sub(last) < 1 << 20, "{family:?}: {last}, then {value}");
            assert_eq!(reply, now);
            last = value;
            client.ack = echo.end();
            wire.send(&Segment { options: timestamps(now, last), ..client.segment(ACK) }.frame());
        }
        client.reset(wire);
    }
}

fn line_49_an_old_timestamp_is_dropped_and_acknowledged(wire: &mut dyn Wire) {
    for family in FAMILIES {
        for now in [1 << 20, 10] {
            let (mut client, theirs) = with_timestamps(wire, family, ECHO, now);
            // Older, also across the end of the numbers (RFC 7323 §5.2).
            for age in [1, 9, 1000, 1 << 30] {
                let old = Segment { options: timestamps(now.wrapping_sub(age), theirs), ..client.data(b"old") };
                let answers = client.ask(wire, &old);
                assert_eq!(answers.len(), 1, "{family:?}, {age}: {answers:?}");
                assert!(answers[0].is(ACK) && answers[0].payload.is_empty());
                assert_eq!(answers[0].ack, client.seq);
            }
            // A RST is not subject to it (§5.3); data that is as new as the last is taken.
            wire.send(&Segment { options: timestamps(now, theirs), ..client.data(b"new") }.frame());
            client.seq = client.seq.wrapping_add(3);
            let echo = client.first(wire, "echo", |segment| !segment.payload.is_empty());
            assert_eq!(echo.payload, b"new");
            client.reset(wire);
            client.ack = echo.end();
            assert!(client.is_forgotten(wire), "{family:?}");
        }
    }
}

fn line_50_sack_blocks_tell_what_was_received(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = Client::new(family, DISCARD);
        let syn_ack = client.open_with(wire, vec![4, 2, 0, 0]);
        assert!(syn_ack.option(4).is_some(), "SACK was offered");
        wire.settle();
        let at = |offset: u32| client.seq.wrapping_add(offset);
        let block = |from: u32, to: u32| (at(from), at(to));
        let send = |wire: &mut dyn Wire, offset, length| {
            let answers = client.ask(wire, &client.data_at(offset, &vec![1; length]));
            assert_eq!(answers.len(), 1, "{answers:?}");
            answers[0].clone()
        };
        // The first block is always the one that the latest segment is in (RFC 2018 §4).
        assert_eq!(send(wire, 1000, 500).sack(), [block(1000, 1500)]);
        assert_eq!(send(wire, 3000, 500).sack(), [block(3000, 3500), block(1000, 1500)]);
        assert_eq!(send(wire, 5000, 500).sack(), [block(5000, 5500), block(3000, 3500), block(1000, 1500)]);
        let joined = send(wire, 1500, 500);
        assert_eq!(joined.sack()[0], block(1000, 2000));
        assert_eq!(joined.ack, client.seq);
        // Filling the first gap acknowledges what was reported, and takes it from the blocks.
        let filled = send(wire, 0, 1000);
        assert_eq!(filled.ack, at(2000));
        let mut blocks = filled.sack();
        blocks.sort_unstable();
        assert!(blocks.iter().all(|block| [(at(3000), at(3500)), (at(5000), at(5500))].contains(block)), "{blocks:?}");
        client.reset(wire);
        // Who did not offer it gets none.
        let plain = connect(wire, family, DISCARD);
        assert!(plain.ask_one(wire, &plain.data_at(1000, b"x")).options.is_empty());
        plain.reset(wire);
    }
}

fn line_53_an_ack_waits_less_than_500_ms(pair: &mut Pair) {
    for family in FAMILIES {
        for port in [DISCARD, NEVER_READS] {
            let mut client = connect(pair, family, port);
            // One small segment, with nothing to send back.
            let began = pair.now();
            client.say(pair, b"x");
            client.first(pair, "ACK", |segment| segment.ack == client.seq);
            assert!(pair.now() - began < Duration::from_millis(500), "{family:?}");
            // Of full segments every second at least is acknowledged at once (RFC 9293 §3.8.6.3).
            for _ in 0..10 {
                client.say(pair, &[1; 1000]);
                client.say(pair, &[2; 1000]);
                let answers = pair.settle();
                assert!(
                    client
                        .of(&answers)
                        .iter()
                        .any(|segment| segment.ack.wrapping_sub(client.seq.wrapping_sub(1000)) as i32 >= 0),
                    "{answers:?}"
                );
            }
            client.reset(pair);
        }
    }
}

lines! {
    both {
        line_31_the_peers_mss_and_window_are_never_exceeded
        line_35_data_in_any_order_is_delivered_once_and_whole
        line_37_data_outside_the_window_is_acknowledged_and_not_delivered
        line_38_only_the_exact_rst_kills
        line_39_a_syn_on_a_connection_is_challenged
        line_49_an_old_timestamp_is_dropped_and_acknowledged
        line_50_sack_blocks_tell_what_was_received
    }
    embedded {
        line_34_our_closed_window_answers_probes
    }
    pair {
        line_34_a_closed_window_is_probed
        line_35_20_segments_reversed
        line_35_sequence_numbers_wrap
        line_36_a_gap_is_told_at_once
        line_37_a_segment_without_ack_is_dropped
        line_40_an_ack_of_unsent_data_is_answered_and_dropped
        line_41_a_keepalive_probe_is_answered
        line_53_an_ack_waits_less_than_500_ms
        line_49_timestamps_are_consistent
    }
}
