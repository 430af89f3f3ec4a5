//! The end of a connection (RFC 9293 §3.6, §3.10.7.4; RFC 1122 §4.2.2.13; RFC 1337; RFC 6191).

use std::time::Duration;

use tapsock::socket::StreamSocket;

use crate::wire::*;

fn connect(wire: &mut dyn Wire, family: Family, port: u16) -> Client {
    let mut client = Client::new(family, port);
    client.open(wire);
    client
}

/// A connection whose FIN the stack has sent first, and the neighbour has acknowledged.
fn closed_first(wire: &mut dyn Wire, family: Family) -> Client {
    let mut client = connect(wire, family, CLOSES);
    assert!(client.read_to_end(wire).is_empty());
    wire.settle();
    client
}

fn line_42_half_close_leaves_the_other_direction_open(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, CHARGEN);
        wire.send(&client.segment(FIN | ACK).frame());
        client.seq = client.seq.wrapping_add(1);
        // Long after our FIN was acknowledged, data comes.
        let bytes = client.read(wire, 300_000);
        assert!(bytes.len() >= 300_000, "{family:?}");
        client.reset(wire);
    }
}

fn line_42_a_fin_with_data_is_taken_with_its_data(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        let last = Segment { flags: FIN | PSH | ACK, ..client.data(b"the last words") };
        wire.send(&last.frame());
        client.seq = last.end();
        assert_eq!(client.read_to_end(wire), b"the last words", "{family:?}");
        assert!(client.is_forgotten(wire), "the FIN was acknowledged, so nothing is left");
    }
}

fn line_42_a_fin_out_of_order_waits_for_the_data_before_it(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let mut client = connect(wire, family, ECHO);
        let bytes = pattern(1500);
        let fin = Segment { flags: FIN | PSH | ACK, ..client.data_at(1000, &bytes[1000..]) };
        let answers = client.ask(wire, &fin);
        assert!(answers.iter().all(|segment| segment.ack == client.seq && segment.flags & FIN == 0), "{answers:?}");
        wire.send(&client.data(&bytes[..1000]).frame());
        client.seq = client.seq.wrapping_add(1000);
        // Whether it was kept or has to be sent again is the stack's choice; here it is sent again.
        wire.send(&fin.frame());
        client.seq = fin.end();
        assert!(client.read_to_end(wire) == bytes, "{family:?}");
        assert!(client.is_forgotten(wire));
    }
}

fn line_42_a_fin_sent_again_is_acknowledged_again(wire: &mut dyn Wire) {
    for family in FAMILIES {
        // While the stack has not closed its own direction.
        let mut client = connect(wire, family, NEVER_READS);
        wire.settle();
        let fin = client.segment(FIN | ACK);
        client.seq = fin.end();
        for _ in 0..3 {
            wire.send(&fin.frame());
            let ack = client.first(wire, "ACK of the FIN", |segment| segment.ack == client.seq);
            assert!(ack.is(ACK), "{family:?}: {ack:?}");
        }
        client.reset(wire);
        // While it waits for the ACK of its own FIN.
        let mut client = connect(wire, family, CLOSES);
        let theirs = client.first(wire, "FIN", |segment| segment.flags & FIN != 0);
        client.ack = theirs.seq;
        let fin = client.segment(FIN | ACK);
        client.seq = fin.end();
        for _ in 0..2 {
            let answers = client.ask(wire, &fin);
            assert!(answers.iter().any(|segment| segment.ack == client.seq), "{family:?}: {answers:?}");
        }
        client.ack = theirs.end();
        wire.ask(&client.segment(ACK).frame());
    }
}

fn line_43_after_close_new_data_gets_a_rst(wire: &mut dyn Wire) {
    for family in FAMILIES {
        // Its FIN is acknowledged: FIN-WAIT-2. Its program is gone, so data can reach nobody.
        let client = closed_first(wire, family);
        let answers = client.ask(wire, &client.data(b"too late"));
        assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
        assert_eq!((answers[0].flags & !ACK, answers[0].seq), (RST, client.ack));
        assert!(client.is_forgotten(wire));
        // The same while its FIN is still on its way.
        let mut client = connect(wire, family, CLOSES);
        let fin = client.first(wire, "FIN", |segment| segment.flags & FIN != 0);
        assert_eq!(fin.seq, client.ack);
        let answers = client.ask(wire, &client.data(b"too late"));
        assert!(answers.iter().any(|segment| segment.flags & RST != 0), "{family:?}: {answers:?}");
        client.ack = fin.end();
        assert!(client.is_forgotten(wire));
    }
}

/// What a program can read now, and whether it was told of the end.
fn read_all(pair: &mut Pair, stream: &StreamSocket, bytes: &mut Vec<u8>) -> bool {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match stream.pipe.try_read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(_) if pair.settle().is_empty() => return false,
            // What had no room has moved up.
            Err(_) => {}
        }
    }
}

fn line_42_a_fin_cut_off_by_the_window_loses_nothing(pair: &mut Pair) {
    for family in FAMILIES {
        let mut client = connect(pair, family, BY_HAND);
        let stream = pair.accept();
        let bytes = pattern(1_000_000);
        // As much as there is room for while nobody reads.
        let mut sent = 0;
        let mut window = usize::MAX;
        while window >= 1400 {
            client.say(pair, &bytes[sent..sent + 1400]);
            sent += 1400;
            let answers = pair.wait(Duration::from_millis(600));
            let ack = client.of(&answers).pop().expect("an ACK");
            assert_eq!(ack.ack, client.seq);
            window = usize::from(ack.window);
        }
        // The last segment has room in part, and its end does not.
        let last = Segment { flags: FIN | PSH | ACK, ..client.data(&bytes[sent..sent + 1400]) };
        let total = sent + 1400;
        pair.send(&last.frame());
        let answers = pair.wait(Duration::from_millis(600));
        let ack = client.of(&answers).pop().expect("an ACK");
        let taken = ack.ack.wrapping_sub(client.seq) as usize;
        assert!(taken <= window, "{taken} of {window} bytes are acknowledged");
        let mut read = Vec::new();
        assert!(!read_all(pair, &stream, &mut read), "{family:?}: the stream has ended early");
        assert!(read == bytes[..sent + taken]);
        // Now there is room.
        client.seq = ack.ack;
        let rest = Segment { flags: FIN | PSH | ACK, ..client.data(&bytes[sent + taken..total]) };
        pair.send(&rest.frame());
        pair.settle();
        assert!(read_all(pair, &stream, &mut read), "{family:?}: no end of the stream");
        assert!(read == bytes[..total]);
        client.reset(pair);
    }
}

/// Only a program that is gone makes data vain: one that has closed its own direction still reads.
fn line_43_after_half_close_new_data_is_read(pair: &mut Pair) {
    for family in FAMILIES {
        let mut client = connect(pair, family, BY_HAND);
        let stream = pair.accept();
        stream.pipe.shutdown_write();
        assert!(client.read_to_end(pair).is_empty());
        client.say(pair, b"not too late");
        let ack = client.first(pair, "ACK", |segment| segment.ack == client.seq);
        assert!(ack.is(ACK), "{ack:?}");
        let mut read = Vec::new();
        assert!(!read_all(pair, &stream, &mut read));
        assert_eq!(read, b"not too late", "{family:?}");
        client.reset(pair);
    }
}

/// A connection that the stack closed first and the neighbour second: TIME-WAIT is the stack's.
fn time_wait(wire: &mut dyn Wire, family: Family) -> (Client, Segment) {
    let mut client = closed_first(wire, family);
    let fin = client.segment(FIN | ACK);
    client.seq = fin.end();
    let answers = client.ask(wire, &fin);
    assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
    assert!(answers[0].is(ACK));
    assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq));
    (client, fin)
}

fn line_44_time_wait_acknowledges_a_fin_again(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let (client, fin) = time_wait(wire, family);
        for _ in 0..3 {
            let answers = client.ask(wire, &fin);
            assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
            assert!(answers[0].is(ACK));
            assert_eq!((answers[0].seq, answers[0].ack), (client.ack, client.seq));
        }
    }
}

fn line_44_time_wait_survives_a_stray_rst(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let (client, fin) = time_wait(wire, family);
        // RFC 1337: not even the exact one.
        for offset in [0, 1, 1000, u32::MAX, 1 << 31] {
            let rst = Segment { seq: client.seq.wrapping_add(offset), ..client.segment(RST) };
            let answers = client.ask(wire, &rst);
            assert!(answers.iter().all(|segment| segment.is(ACK)), "{family:?}, {offset}: {answers:?}");
        }
        let answers = client.ask(wire, &fin);
        assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
        assert!(answers[0].is(ACK), "TIME-WAIT is over: {answers:?}");
    }
}

fn line_44_a_newer_syn_takes_time_wait_over(wire: &mut dyn Wire) {
    for family in FAMILIES {
        let (mut client, _) = time_wait(wire, family);
        // An old one is a duplicate, and gets the last ACK.
        let old = Segment { seq: client.seq.wrapping_sub(100_000), ..client.syn() };
        let answers = client.ask(wire, &old);
        assert_eq!(answers.len(), 1, "{family:?}: {answers:?}");
        assert!(answers[0].is(ACK), "{answers:?}");
        // A newer one begins anew (RFC 9293 §3.6.1), beyond all that was sent before.
        let before = client.ack;
        client.seq = client.seq.wrapping_add(100_000);
        client.open(wire);
        assert!((client.isn.wrapping_sub(before) as i32) > 0, "{family:?}: {before}, then {}", client.isn);
        assert!(client.read_to_end(wire).is_empty());
        client.reset(wire);
    }
}

fn line_44_time_wait_ends(pair: &mut Pair) {
    for family in FAMILIES {
        let (client, fin) = time_wait(pair, family);
        pair.wait(Duration::from_secs(5));
        assert_eq!(client.ask(pair, &fin).len(), 1);
        // 2 MSL are between a minute and four, counted from the last FIN.
        pair.wait(Duration::from_secs(245));
        assert!(client.is_forgotten(pair), "{family:?}");
    }
}

lines! {
    both {
        line_42_half_close_leaves_the_other_direction_open
        line_42_a_fin_with_data_is_taken_with_its_data
        line_42_a_fin_out_of_order_waits_for_the_data_before_it
    }
    embedded {
        line_43_after_close_new_data_gets_a_rst
        line_44_a_newer_syn_takes_time_wait_over
        line_44_time_wait_acknowledges_a_fin_again
    }
    pair {
        line_42_a_fin_cut_off_by_the_window_loses_nothing
        line_43_after_half_close_new_data_is_read
        line_44_time_wait_ends
        line_44_time_wait_survives_a_stray_rst
        line_42_a_fin_sent_again_is_acknowledged_again
    }
}
