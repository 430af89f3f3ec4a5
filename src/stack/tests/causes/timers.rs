//! What was lost, and what time brings about.

use super::*;

#[test]
fn a_retransmission_points_at_the_original_and_at_the_timer() {
    let mut net = net();
    let (_a, b, _listener) = net.connected();
    // A round trip is measured.
    b.pipe.try_write(b"first").unwrap();
    net.run(Duration::from_secs(1));
    net.b.is_mute = true;
    b.pipe.try_write(b"lost").unwrap();
    net.run(Duration::from_secs(3));
    net.b.is_mute = false;
    net.run(Duration::from_secs(10));
    let story = Story::of(&net.b);
    let all: Vec<_> = story.0.iter().filter(|r| is_segment(&r.event, Direction::Out, 4)).collect();
    let (original, again) = (all[0], &all[1..]);
    assert_eq!(story.chain(original), "segment out 6+4 < write 4");
    assert!(again.len() >= 2);
    for (at, record) in again.iter().enumerate() {
        let Event::Segment { original: first, rule, .. } = record.event else { panic!() };
        assert_eq!(first, Some(original.id), "the first, and not the one before");
        let (timer, told) = match at {
            0 => ("TailLoss", Rule::TcpProbeTail),
            _ => ("Retransmission", Rule::TcpRetransmitTimeout),
        };
        assert_eq!(rule, Some(told));
        assert_eq!(story.chain(record), format!("segment out 6+4 < {timer} < segment out 6+4 < write 4"));
    }
}

#[test]
fn a_fast_retransmission_is_caused_by_the_segment_that_told_of_the_loss() {
    let mut net = net();
    let (_a, b, _listener) = net.connected();
    b.pipe.try_write(&[1; 1000]).unwrap();
    net.run(Duration::from_secs(1));
    net.b.is_mute = true;
    b.pipe.try_write(&[2; 1000]).unwrap();
    net.settle();
    net.b.is_mute = false;
    for _ in 0..6 {
        b.pipe.try_write(&[3; 1000]).unwrap();
        net.settle();
    }
    net.run(Duration::from_millis(5));
    let story = Story::of(&net.b);
    let again = story.first(|event| {
        matches!(event, Event::Segment { direction: Direction::Out, rule: Some(Rule::TcpRetransmitFast), .. })
    });
    let Event::Segment { original: Some(original), .. } = again.event else { panic!("{again:?}") };
    assert_eq!(story.chain(story.by_id(original)), "segment out 1001+1000 < write 1000");
    assert!(story.chain(again).contains(" < segment in 1+0 < frame in"), "{}", story.chain(again));
}

#[test]
fn a_syn_that_nobody_answers_is_sent_again_by_its_timer_until_the_call_fails() {
    let mut net = net();
    // The neighbour is known, and says nothing.
    assert!(net.connect_b(at(A, 81)).is_err());
    net.b.is_mute = true;
    net.b.seen.records = Some(Vec::new());
    let ticket = net.b.begin(Verb::OpenStream { local: None, remote: at(A, 80) });
    net.run(Duration::from_secs(200));
    assert!(net.b.finished(ticket).is_some_and(|result| result.is_err()));
    let story = Story::of(&net.b);
    let all: Vec<_> = story.0.iter().filter(|r| is_segment(&r.event, Direction::Out, 0)).collect();
    assert!(all.len() >= 3);
    for again in &all[1..] {
        let Event::Segment { original, rule, .. } = again.event else { panic!() };
        assert_eq!((original, rule), (Some(all[0].id), Some(Rule::TcpRetransmitTimeout)));
        assert_eq!(story.chain(again), "segment out 0+0 < Retransmission < segment out 0+0 < SYN-SENT < connect");
    }
    let done = story.first(|event| matches!(event, Event::Return { .. }));
    assert!(story.chain(done).starts_with("connect = E"), "{}", story.chain(done));
    assert!(story.chain(done).contains(" < closed < CLOSED < Neighbour { "), "{}", story.chain(done));
}

#[test]
fn a_handshake_that_is_not_completed_is_repeated_by_its_timer() {
    let mut bench = Bench::new();
    bench.net.a.seen.records = Some(Vec::new());
    bench.send(&segment(TcpControl::Syn, 7, None), Duration::from_secs(4));
    let story = Story::of(&bench.net.a);
    let all: Vec<_> = story.0.iter().filter(|r| is_segment(&r.event, Direction::Out, 0)).collect();
    assert_eq!(all.len(), 3);
    let first = "segment out 0+0 < SYN-RECEIVED < segment in 0+0 < frame in";
    assert_eq!(story.chain(all[0]), first);
    for again in &all[1..] {
        assert_eq!(story.chain(again), format!("segment out 0+0 < SynAck < {first}"));
        let Event::Segment { original, rule, .. } = again.event else { panic!() };
        assert_eq!((original, rule), (Some(all[0].id), Some(Rule::TcpSynAckTimeout)));
    }
}

#[test]
fn a_silent_peer_is_asked_and_given_up_by_timers() {
    use crate::socket::SocketOption;
    let mut net = net();
    let (a, b, _listener) = net.connected();
    for option in [
        SocketOption::Keepalive(true),
        SocketOption::KeepaliveIdle(Duration::from_secs(10)),
        SocketOption::KeepaliveInterval(Duration::from_secs(1)),
        SocketOption::KeepaliveCount(2),
    ] {
        net.call_b(Verb::SetOption { socket: b.handle, option }).unwrap();
    }
    net.b.is_mute = true;
    net.run(Duration::from_secs(30));
    let story = Story::of(&net.b);
    let probe = story.first(|event| matches!(event, Event::Segment { rule: Some(Rule::TcpKeepalive), .. }));
    assert!(story.chain(probe).starts_with("segment out 0+0 < Keepalive < ESTABLISHED"), "{}", story.chain(probe));
    let end = story.first(|event| matches!(event, Event::Closed { .. }));
    assert!(story.chain(end).starts_with("closed < CLOSED < GiveUp < ESTABLISHED"), "{}", story.chain(end));
    drop(a);
}

#[test]
fn a_delayed_ack_is_the_work_of_a_timer() {
    let mut net = net();
    let (_a, b, _listener) = net.connected();
    b.pipe.try_write(b"one").unwrap();
    net.run(Duration::from_secs(1));
    let story = Story::of(&net.a);
    let timer = story.last(|event| matches!(event, Event::Timer { timer: TimerKind::DelayedAck, .. }));
    assert_eq!(story.chain(timer), "DelayedAck < segment in 1+3 < frame in");
    let ack = story.last(|event| is_segment(event, Direction::Out, 0));
    assert_eq!(ack.cause, Some(timer.id));
}

#[test]
fn a_segment_that_is_dropped_is_not_the_cause_of_what_the_one_before_it_caused() {
    let mut bench = Bench::new();
    bench.net.a.seen.records = Some(Vec::new());
    let theirs = bench.establish(1000);
    let mut data = segment(TcpControl::Psh, 1001, Some(theirs.wrapping_add(1)));
    data.payload = b"once";
    let (frame, now) = (frame(&data), bench.net.now);
    let host = &mut bench.net.a;
    let twice = [frame.as_slice(), frame.as_slice()];
    host.stack.step(now, twice, &mut host.calls, &mut Frames::new(), &mut host.seen);
    assert_eq!(host.stack.counters().of(Rule::TcpOldData), 1);
    let story = Story::of(&bench.net.a);
    let delivered = story.last(|event| matches!(event, Event::Delivered { .. }));
    let cause = story.by_id(delivered.cause.unwrap());
    assert!(matches!(cause.event, Event::Segment { rule: None, length: 4, .. }), "{cause:?}");
}

#[test]
fn a_probe_of_a_closed_window_is_caused_by_the_write_that_finds_it_closed() {
    let mut bench = Bench::new();
    bench.net.a.seen.records = Some(Vec::new());
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    stream.pipe.try_write(b"twenty bytes of data").unwrap();
    bench.idle(Duration::from_millis(330));
    let mut closed = segment(TcpControl::Psh, 1001, Some(theirs.wrapping_add(21)));
    (closed.window_len, closed.payload) = (0, b"hello");
    bench.send(&closed, Duration::ZERO);
    bench.net.now = bench.net.now + Duration::from_micros(300);
    stream.pipe.try_read(&mut [0; 8]).unwrap();
    stream.pipe.try_write(b"x").unwrap();
    bench.idle(Duration::from_secs(3));
    let story = Story::of(&bench.net.a);
    let probe = story.first(|event| matches!(event, Event::Segment { rule: Some(Rule::TcpProbeZeroWindow), .. }));
    assert_eq!(word(&story.by_id(probe.cause.unwrap()).event), "write 1");
}
