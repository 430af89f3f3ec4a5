//! When nothing comes, or news of a failure (RFC 6298, RFC 5681, RFC 1122 §4.2.3.9, RFC 5927).

use std::net::SocketAddr;
use std::time::Duration;

use tapsock::stack::Verb;

use crate::wire::*;

/// When segments like this were sent within `span`.
fn times(pair: &mut Pair, client: &Client, span: Duration, is_it: impl Fn(&Segment) -> bool) -> Vec<Duration> {
    let answers = pair.wait(span);
    let ours = |answer: &&Answer| client.of(std::slice::from_ref(answer)).iter().any(&is_it);
    answers.iter().filter(ours).map(|answer| answer.at).collect()
}

/// Fails the test unless each gap is twice the one before, the first being a second.
fn back_off(times: &[Duration], least: usize, what: &str) {
    assert!(times.len() >= least, "{what}: {times:?}");
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert!((0.9..=1.1).contains(&gaps[0]), "{what}: the first wait is {} s", gaps[0]);
    for pair in gaps.windows(2) {
        // Up to a bound of a minute or more (RFC 6298 §2.5).
        assert!((1.8..=2.2).contains(&(pair[1] / pair[0])) || pair[1] >= 59.0, "{what}: {gaps:?}");
    }
}

fn line_45_syn_acks_back_off_from_a_second(pair: &mut Pair) {
    for family in FAMILIES {
        // One after the other: what one has waited is nothing to the next.
        for round in 0..3 {
            let client = Client::new(family, ECHO);
            let began = pair.now();
            pair.send(&client.syn().frame());
            let times = times(pair, &client, Duration::from_secs(200), |segment| segment.is(SYN | ACK));
            assert_eq!(times[0], began);
            back_off(&times, 4, &format!("{family:?}, round {round}"));
        }
    }
}

fn line_45_data_backs_off_from_a_second(pair: &mut Pair) {
    for family in FAMILIES {
        for round in 0..3 {
            let mut client = Client::new(family, ECHO);
            client.open(pair);
            pair.wait(Duration::from_secs(1));
            client.say(pair, b"x");
            let times = times(pair, &client, Duration::from_secs(100), |segment| !segment.payload.is_empty());
            back_off(&times, 5, &format!("{family:?}, round {round}"));
            client.reset(pair);
        }
    }
}

fn line_46_three_duplicate_acks_bring_the_segment_again(pair: &mut Pair) {
    for family in FAMILIES {
        let mut client = Client::new(family, CHARGEN);
        client.open(pair);
        pair.wait(Duration::from_millis(10));
        // The window grows until a few segments are under way at once.
        for _ in 0..20 {
            client.read(pair, 536);
        }
        pair.settle();
        pair.wait(Duration::from_millis(10));
        pair.send(&client.segment(ACK).frame());
        pair.settle();
        let now = pair.now();
        let head = |answers: &[Segment]| {
            answers.iter().any(|segment| segment.seq == client.ack && !segment.payload.is_empty())
        };
        let mut again = Vec::new();
        for duplicate in 1..=4 {
            let answers = client.ask(pair, &client.segment(ACK));
            if head(&answers) {
                again.push(duplicate);
            }
        }
        assert_eq!(pair.now(), now, "no time has passed");
        // The ACK before these was the first of its number or a duplicate, too.
        assert!(again.len() == 1 && (2..=3).contains(&again[0]), "{family:?}: sent again after {again:?} duplicates");
        client.reset(pair);
    }
}

/// What a router quotes of this segment.
fn quote(segment: &Segment, length: usize) -> Vec<u8> {
    let mut bytes = segment.packet().bytes();
    bytes.truncate(length);
    bytes
}

/// Errors of a kind that may pass.
fn soft(family: Family) -> &'static [(u8, u8)] {
    match family {
        V4 => &[(3, 0), (3, 1), (3, 5), (3, 6), (3, 7), (3, 11), (3, 12), (11, 0), (11, 1), (12, 0), (4, 0)],
        V6 => &[(1, 0), (1, 2), (1, 3), (3, 0), (3, 1), (4, 0), (4, 2)],
    }
}

/// Errors that say that nobody will ever answer.
fn hard(family: Family) -> &'static [(u8, u8)] {
    match family {
        V4 => &[(3, 2), (3, 3), (3, 9), (3, 10), (3, 13)],
        V6 => &[(1, 1), (1, 4), (4, 1)],
    }
}

fn line_47_soft_icmp_errors_do_not_abort(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = Client::new(family, ECHO);
        client.open(wire);
        client.say(wire, b"under way");
        let sent = client.first(wire, "echo", |segment| !segment.payload.is_empty());
        for &(kind, code) in soft(family) {
            for length in [family.header() + 8, 200] {
                wire.ask(&icmp_packet(family, kind, code, [0; 4], &quote(&sent, length)).frame());
            }
        }
        client.ack = sent.end();
        assert!(client.echoes(wire, b"alive"), "{family:?}");
        client.reset(wire);
    }
}

fn line_47_forged_icmp_errors_are_ignored(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = Client::new(family, ECHO);
        client.open_with(wire, vec![2, 4, 0x05, 0xa0]);
        client.say(wire, b"under way");
        let sent = client.first(wire, "echo", |segment| !segment.payload.is_empty());
        // Numbers that are not under way, and connections that are not there.
        let forged = [
            Segment { seq: sent.seq.wrapping_add(100_000), ..sent.clone() },
            Segment { seq: sent.seq.wrapping_sub(100_000), ..sent.clone() },
            Segment { seq: sent.seq ^ 1 << 31, ..sent.clone() },
            Segment { to: SocketAddr::new(family.peer(), 1), ..sent.clone() },
        ];
        for segment in forged {
            for &(kind, code) in hard(family).iter().chain(soft(family)) {
                wire.ask(&icmp_packet(family, kind, code, [0; 4], &quote(&segment, 200)).frame());
            }
            let (kind, code) = if family == V4 { (3, 4) } else { (2, 0) };
            let mtu = if family == V4 { [0, 0, 0x02, 0x40] } else { [0, 0, 0x05, 0x00] };
            wire.ask(&icmp_packet(family, kind, code, mtu, &quote(&segment, 200)).frame());
        }
        client.ack = sent.end();
        assert!(client.echoes(wire, b"alive"), "{family:?}");
        // The path is still believed to carry what it did.
        client.say(wire, &pattern(1400));
        let longest = client.next(wire, "data", |segment| !segment.payload.is_empty());
        let longest = longest.iter().map(|segment| segment.payload.len()).max();
        assert_eq!(longest, Some(1400), "{family:?}");
        client.reset(wire);
    }
}

/// A connection that the stack asks for. Here any error that is true may end the attempt, as on Linux (RFC 5461
/// §4.1), so that a program tries another address at once; one that is forged does nothing.
fn line_47_a_connect_survives_forged_errors(pair: &mut Pair) {
    for family in FAMILIES {
        let remote = SocketAddr::new(family.peer(), 5555);
        let ticket = pair.begin(Verb::OpenStream { local: None, remote });
        let answers = pair.until("SYN", &mut |answer| answer.tcp().is_some());
        let syn = answers.iter().find_map(Answer::tcp).unwrap();
        for seq in [syn.seq.wrapping_add(1), syn.seq.wrapping_sub(1), 0] {
            for &(kind, code) in hard(family).iter().chain(soft(family)) {
                let forged = Segment { seq, ..syn.clone() };
                pair.ask(&icmp_packet(family, kind, code, [0; 4], &quote(&forged, 200)).frame());
            }
        }
        assert!(pair.finished(ticket).is_none(), "{family:?}: the connect has failed");
        // The peer does answer, after all.
        let mut client = Client { port: 5555, to: syn.from.port(), ..Client::new(family, 0) };
        client.ack = syn.seq.wrapping_add(1);
        let answers = client.ask(pair, &client.segment(SYN | ACK));
        assert!(answers[0].is(ACK), "{answers:?}");
        assert!(matches!(pair.finished(ticket), Some(Ok(_))), "{family:?}");
        client.seq += 1;
        client.reset(pair);
        // One that is true ends it.
        let ticket = pair.begin(Verb::OpenStream { local: None, remote });
        let answers = pair.until("SYN", &mut |answer| answer.tcp().is_some_and(|segment| segment.is(SYN)));
        let syn = answers.iter().filter_map(Answer::tcp).find(|segment| segment.is(SYN)).unwrap();
        let (kind, code) = if family == V4 { (3, 3) } else { (1, 4) };
        pair.ask(&icmp_packet(family, kind, code, [0; 4], &quote(&syn, 200)).frame());
        assert!(matches!(pair.finished(ticket), Some(Err(_))), "{family:?}");
    }
}

lines! {
    both {
        line_47_soft_icmp_errors_do_not_abort
    }
    embedded {}
    pair {
        line_45_syn_acks_back_off_from_a_second
        line_45_data_backs_off_from_a_second
        line_46_three_duplicate_acks_bring_the_segment_again
        line_47_forged_icmp_errors_are_ignored
        line_47_a_connect_survives_forged_errors
    }
}
