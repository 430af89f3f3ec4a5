//! Which event caused which.

mod failures;
mod timers;

use std::collections::HashMap;

use smoltcp::wire::TcpControl;

use super::wire::{Bench, frame, segment};
use super::*;
use crate::config::Loopback;
use crate::device::fault::Wire;
use crate::observe::{CallKind, EventId, Rule, TcpState, TimerKind};

/// What one host's observer was told.
struct Story(Vec<Record<'static>>);

impl Story {
    /// From the beginning.
    fn of(host: &Host) -> Story {
        let records = host.seen.records.clone().unwrap();
        for (at, record) in records.iter().enumerate() {
            let causes = [record.cause].into_iter().chain(match record.event {
                Event::Segment { original, acknowledges, .. } => {
                    [original, acknowledges.map(|ids| ids[0]), acknowledges.map(|ids| ids[1])]
                }
                _ => [None; 3],
            });
            for cause in causes.flatten() {
                assert!(cause < record.id, "{record:?}");
                assert!(records[..at].iter().any(|earlier| earlier.id == cause), "never told: the cause of {record:?}");
            }
        }
        Story(records)
    }

    fn by_id(&self, id: EventId) -> &Record<'static> {
        self.0.iter().find(|record| record.id == id).unwrap()
    }

    /// The only one, or the first of several.
    fn first(&self, what: impl Fn(&Event<'static>) -> bool) -> &Record<'static> {
        self.0.iter().find(|record| what(&record.event)).unwrap()
    }

    fn last(&self, what: impl Fn(&Event<'static>) -> bool) -> &Record<'static> {
        self.0.iter().rev().find(|record| what(&record.event)).unwrap()
    }

    /// An event, what caused it, what caused that, and so on.
    fn chain(&self, record: &Record<'static>) -> String {
        let mut words = vec![word(&record.event)];
        let mut cause = record.cause;
        while let Some(id) = cause {
            let record = self.by_id(id);
            words.push(word(&record.event));
            cause = record.cause;
        }
        words.join(" < ")
    }
}

fn word(event: &Event<'_>) -> String {
    match event {
        Event::Frame { direction, fate, .. } => match fate.rule {
            Some(rule) => format!("frame {direction} ({rule})"),
            None => format!("frame {direction}"),
        },
        Event::Loopback { direction, .. } => format!("loopback {direction}"),
        Event::Segment { direction, seq, length, .. } => format!("segment {direction} {seq}+{length}"),
        Event::State { to, .. } => to.to_string(),
        Event::Call { call, .. } => match call {
            CallKind::Read { bytes } => format!("read {bytes}"),
            CallKind::Write { bytes } => format!("write {bytes}"),
            CallKind::Listen { .. } => "listen".into(),
            CallKind::Connect { .. } => "connect".into(),
            CallKind::Bind { .. } => "bind".into(),
            CallKind::ReadEnd => "read = 0".into(),
            other => format!("{other:?}"),
        },
        Event::Return { call, error, .. } => format!("{call} = {}", error.as_deref().unwrap_or("0")),
        Event::Delivered { bytes, .. } => format!("delivered {bytes}"),
        Event::Timer { timer, .. } => format!("{timer:?}"),
        Event::Accepted { .. } => "accepted".into(),
        Event::Connected { .. } => "connected".into(),
        Event::Closed { .. } => "closed".into(),
        Event::Bound { .. } => "bound".into(),
        other => format!("{other:?}"),
    }
}

fn watched(mut net: Net) -> Net {
    for host in [&mut net.a, &mut net.b] {
        host.seen.records = Some(Vec::new());
    }
    net
}

fn net() -> Net {
    watched(Net::new())
}

fn is_segment(event: &Event<'_>, way: Direction, data: usize) -> bool {
    matches!(event, Event::Segment { direction, length, .. } if *direction == way && *length == data)
}

fn is_data_frame(event: &Event<'_>, way: Direction, payload: &[u8]) -> bool {
    matches!(event, Event::Frame { direction, bytes, .. } if *direction == way && bytes.ends_with(payload))
}

#[test]
fn one_byte_is_followed_from_the_write_to_the_frame_and_from_the_frame_to_the_read() {
    let mut net = net();
    let (a, b, _listener) = net.connected();
    b.pipe.try_write(b"?").unwrap();
    net.settle();
    a.pipe.try_read(&mut [0; 8]).unwrap();
    a.pipe.try_write(b"!").unwrap();
    net.settle();
    b.pipe.try_read(&mut [0; 8]).unwrap();
    net.settle();
    let story = Story::of(&net.b);
    let sent = story.first(|event| is_data_frame(event, Direction::Out, b"?"));
    assert_eq!(story.chain(sent), "frame out < segment out 1+1 < write 1");
    let read = story.last(|event| matches!(event, Event::Call { call: CallKind::Read { .. }, .. }));
    assert_eq!(story.chain(read), "read 1 < delivered 1 < segment in 1+1 < frame in");
    let story = Story::of(&net.a);
    let read = story.first(|event| matches!(event, Event::Call { call: CallKind::Read { .. }, .. }));
    assert_eq!(story.chain(read), "read 1 < delivered 1 < segment in 1+1 < frame in");
    let sent = story.first(|event| is_data_frame(event, Direction::Out, b"!"));
    assert_eq!(story.chain(sent), "frame out < segment out 1+1 < write 1");
}

#[test]
fn a_handshake_is_followed_from_the_call_over_both_hosts_to_its_return() {
    let mut net = net();
    let _ends = net.connected();
    let story = Story::of(&net.b);
    let syn = story.first(|event| is_segment(event, Direction::Out, 0));
    assert_eq!(story.chain(syn), "segment out 0+0 < SYN-SENT < connect");
    let done = story.first(|event| matches!(event, Event::Return { .. }));
    assert_eq!(story.chain(done), "connect = 0 < connected < ESTABLISHED < segment in 0+0 < frame in");
    let ack = story.last(|event| is_segment(event, Direction::Out, 0));
    assert_eq!(story.chain(ack), "segment out 1+0 < ESTABLISHED < segment in 0+0 < frame in");
    let story = Story::of(&net.a);
    let syn_ack = story.first(|event| is_segment(event, Direction::Out, 0));
    assert_eq!(story.chain(syn_ack), "segment out 0+0 < SYN-RECEIVED < segment in 0+0 < frame in");
    let accept = story.first(|event| matches!(event, Event::Call { call: CallKind::Accept, .. }));
    let way = "accepted < ESTABLISHED < segment in 1+0 < frame in";
    assert_eq!(story.chain(accept), format!("Accept < {way}"));
    let bound = story.first(|event| matches!(event, Event::Bound { .. }));
    assert_eq!(story.chain(bound), "bound < listen");
}

#[test]
fn an_orderly_end_is_the_work_of_two_calls() {
    let mut net = net();
    let (a, b, _listener) = net.connected();
    b.pipe.shutdown_write();
    net.settle();
    drop(a);
    net.settle();
    drop(b);
    net.run(Duration::from_secs(100));
    let story = Story::of(&net.b);
    let fin = story.first(|event| matches!(event, Event::State { to: TcpState::FinWait1, .. }));
    assert_eq!(story.chain(fin), "FIN-WAIT-1 < ShutdownWrite");
    let wait = story.first(|event| matches!(event, Event::State { to: TcpState::TimeWait, .. }));
    assert_eq!(story.chain(wait), "TIME-WAIT < segment in 1+0 < frame in");
    let end = story.first(|event| matches!(event, Event::State { to: TcpState::Closed, .. }));
    assert!(story.chain(end).starts_with("CLOSED < TimeWait < TIME-WAIT < segment in"), "{}", story.chain(end));
    let states: Vec<_> =
        story.0.iter().filter(|record| matches!(record.event, Event::State { .. })).map(|r| word(&r.event)).collect();
    assert_eq!(states, ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSED"]);
    let story = Story::of(&net.a);
    let last = story.first(|event| matches!(event, Event::State { to: TcpState::LastAck, .. }));
    assert_eq!(story.chain(last), "LAST-ACK < Close");
    let closed = story.last(|event| matches!(event, Event::Closed { .. }));
    assert_eq!(story.chain(closed), "closed < CLOSED < segment in 2+0 < frame in");
}

#[test]
fn each_segment_of_a_burst_is_caused_by_the_write_that_gave_its_first_byte() {
    let mut net = net();
    let (_a, b, _listener) = net.connected();
    for count in [3000, 100, 20] {
        assert_eq!(b.pipe.try_write(&vec![7; count]), Ok(count));
    }
    net.run(Duration::from_secs(1));
    let story = Story::of(&net.b);
    let chains: Vec<_> = (story.0.iter())
        .filter(|record| matches!(record.event, Event::Segment { direction: Direction::Out, length: 1.., .. }))
        .map(|record| story.chain(record))
        .collect();
    assert_eq!(chains[0], "segment out 1+3120 < write 3000");
    let frames = story.0.iter().filter(|record| {
        matches!(record.event, Event::Frame { direction: Direction::Out, .. })
            && story.chain(record).ends_with(&chains[0])
    });
    assert_eq!(frames.count(), 3, "one segment of the connection, cut for the link");
    b.pipe.try_write(b"more").unwrap();
    net.settle();
    let story = Story::of(&net.b);
    let more = story.last(|event| is_segment(event, Direction::Out, 4));
    assert_eq!(story.chain(more), "segment out 3121+4 < write 4");
}

#[test]
fn an_ack_names_the_first_and_the_last_segment_that_it_acknowledges() {
    let mut net = net();
    let (a, b, _listener) = net.connected();
    for text in [b"one", b"two"] {
        b.pipe.try_write(text).unwrap();
        net.settle();
    }
    net.run(Duration::from_millis(100));
    drop(a);
    let sender = Story::of(&net.b);
    let sent: Vec<_> = sender.0.iter().filter(|r| is_segment(&r.event, Direction::Out, 3)).map(|r| r.id).collect();
    let acknowledged: Vec<_> = sender
        .0
        .iter()
        .filter_map(|record| match record.event {
            Event::Segment { direction: Direction::In, seq: 1, acknowledges, .. } => acknowledges,
            _ => None,
        })
        .collect();
    assert_eq!(sent.len(), 2);
    assert_eq!(acknowledged.iter().flatten().filter(|id| sent.contains(id)).count(), 2 * acknowledged.len());
    assert_eq!((acknowledged[0][0], acknowledged[acknowledged.len() - 1][1]), (sent[0], sent[1]));
    let receiver = Story::of(&net.a);
    let ack = receiver.last(|event| is_segment(event, Direction::Out, 0));
    let Event::Segment { acknowledges: Some([first, last]), .. } = ack.event else { panic!("{ack:?}") };
    for id in [first, last] {
        assert!(is_segment(&receiver.by_id(id).event, Direction::In, 3));
    }
}

#[test]
fn a_reset_names_its_rule_and_what_it_answers_or_who_asked_for_it() {
    let mut net = net();
    assert!(net.connect_b(at(A, 81)).is_err());
    let story = Story::of(&net.a);
    let reset = story.first(|event| {
        matches!(event, Event::Frame { direction: Direction::Out, fate, .. } if fate.rule == Some(Rule::TcpRstClosedPort))
    });
    assert_eq!(story.chain(reset), "frame out (tcp.rst.closed-port) < frame in (tcp.rst.closed-port)");
    let story = Story::of(&net.b);
    let refused = story.first(|event| matches!(event, Event::Return { .. }));
    assert_eq!(story.chain(refused), "connect = ECONNREFUSED < closed < CLOSED < segment in 0+0 < frame in");

    let (a, b, _listener) = net.connected();
    b.pipe.try_write(b"unread").unwrap();
    net.settle();
    drop(a);
    net.settle();
    let story = Story::of(&net.a);
    let reset = story.last(|event| matches!(event, Event::Frame { direction: Direction::Out, .. }));
    assert_eq!(story.chain(reset), "frame out < segment out 1+0 < CLOSED < Close");
}

#[test]
fn a_datagram_is_followed_too() {
    let mut net = net();
    let a = net.bind_a(at("0.0.0.0", 7));
    let b = net.bind_b(at("0.0.0.0", 0));
    b.pipe.try_send(b"first", at(A, 7), None).unwrap();
    b.pipe.try_send(b"second", at(A, 7), None).unwrap();
    net.settle();
    while a.pipe.try_receive(&mut [0; 8]).is_ok() {}
    net.settle();
    let story = Story::of(&net.b);
    let asked = story.first(|event| {
        matches!(event, Event::Frame { direction: Direction::Out, fate, .. } if fate.rule == Some(Rule::ArpRequest))
    });
    assert_eq!(story.chain(asked), "frame out (arp.request) < write 5");
    for (text, length) in [(&b"first"[..], 5), (b"second", 6)] {
        let sent = story.first(|event| is_data_frame(event, Direction::Out, text));
        assert_eq!(story.chain(sent), format!("frame out < write {length}"));
    }
    let story = Story::of(&net.a);
    let read = story.last(|event| matches!(event, Event::Call { call: CallKind::Read { .. }, .. }));
    assert_eq!(story.chain(read), "read 6 < delivered 6 < frame in");
}

#[test]
fn what_a_stack_sends_to_itself_is_one_story() {
    let mut net =
        watched(Net::with(FaultConfig::default(), Config { loopback: Loopback::Wire, ..config_a() }, config_b()));
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let Ok(Outcome::Stream(client)) = net.call_a(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) }) else {
        panic!()
    };
    net.settle();
    let server = listener.queue.try_accept().unwrap();
    client.pipe.try_write(b"hello").unwrap();
    net.settle();
    server.pipe.try_read(&mut [0; 8]).unwrap();
    net.settle();
    let story = Story::of(&net.a);
    let read = story.last(|event| matches!(event, Event::Call { call: CallKind::Read { .. }, .. }));
    let way = "loopback in < loopback out < segment out 1+5 < write 5";
    assert_eq!(story.chain(read), format!("read 5 < delivered 5 < segment in 1+5 < {way}"));
    let accepted = story.first(|event| matches!(event, Event::Accepted { .. }));
    assert!(story.chain(accepted).ends_with("loopback out < segment out 0+0 < SYN-SENT < connect"));
}

#[test]
fn joined_sockets_have_calls_and_no_segments() {
    let mut net = net();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let Ok(Outcome::Stream(client)) = net.call_a(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) }) else {
        panic!()
    };
    let server = listener.queue.try_accept().unwrap();
    client.pipe.try_write(b"hello").unwrap();
    server.pipe.try_read(&mut [0; 8]).unwrap();
    drop(client);
    net.settle();
    let story = Story::of(&net.a);
    let words: Vec<_> = (story.0.iter())
        .filter(|record| matches!(record.event, Event::Call { .. } | Event::Segment { .. } | Event::Loopback { .. }))
        .map(|record| word(&record.event))
        .collect();
    assert_eq!(words, ["bind", "listen", "connect", "Accept", "write 5", "read 5", "Close"]);
}

#[test]
fn a_datagram_of_a_socket_that_is_not_bound_yet_and_one_without_a_packet_are_caused_by_their_writes() {
    use crate::socket::{Domain, Kind};
    let mut net = net();
    let receiver = net.bind_b(at("0.0.0.0", 7));
    let Ok(Outcome::Datagram(sender)) = net.call_a(Verb::Open { domain: Domain::Inet, kind: Kind::Udp }) else {
        panic!()
    };
    sender.pipe.try_send(b"by wire", at(B, 7), None).unwrap();
    net.settle();
    let local = net.bind_a(at("127.0.0.1", 7));
    sender.pipe.try_send(b"joined", local.local, None).unwrap();
    net.settle();
    assert_eq!(local.pipe.try_receive(&mut [0; 16]).map(|(count, ..)| count), Ok(6));
    net.settle();
    drop(sender);
    net.settle();
    let story = Story::of(&net.a);
    let sent = story.first(|event| is_data_frame(event, Direction::Out, b"by wire"));
    assert_eq!(story.chain(sent), "frame out < write 7");
    let read = story.last(|event| matches!(event, Event::Call { call: CallKind::Read { .. }, .. }));
    assert!(story.chain(read).starts_with("read 6 < Datagram"), "{}", story.chain(read));
    assert!(story.chain(read).ends_with(" < write 6"), "{}", story.chain(read));
    let closed = story.last(|event| matches!(event, Event::Closed { .. }));
    assert_eq!(story.chain(closed), "closed < Close");
    drop(receiver);
}

#[test]
fn unix_sockets_have_calls_and_nothing_else() {
    use crate::socket::{Kind, UnixPipe};
    let mut net = net();
    let Ok(Outcome::UnixPair(pair)) = net.call_a(Verb::OpenPair { kind: Kind::UnixStream }) else { panic!() };
    let [mut left, mut right] = *pair;
    let (Some(UnixPipe::Stream(l)), Some(UnixPipe::Stream(r))) = (left.pipe.take(), right.pipe.take()) else {
        panic!()
    };
    l.try_write(b"hello").unwrap();
    r.try_read(&mut [0; 8]).unwrap();
    drop((l, left));
    net.settle();
    let story = Story::of(&net.a);
    let words: Vec<_> = (story.0.iter())
        .filter(|record| !matches!(record.event, Event::Frame { .. } | Event::Timer { .. }))
        .map(|record| story.chain(record))
        .collect();
    let words: Vec<_> = words.iter().map(|word| word.split(' ').next().unwrap()).collect();
    assert_eq!(words, ["Socket", "Opened", "Opened", "Joined", "write", "read", "Close", "closed"]);
    drop((r, right));
}

/// A transfer over a bad link, and every frame that the two hosts sent.
fn transfer(depth: Depth) -> (Net, Vec<Vec<u8>>) {
    let wire = Wire {
        loss: 0.05,
        duplication: 0.01,
        reordering: 0.02,
        delay: Duration::from_millis(1),
        jitter: Duration::from_micros(300),
        ..Wire::default()
    };
    let mut net = Net::with(FaultConfig { seed: 5, receive: wire, transmit: wire }, config_a(), config_b());
    for host in [&mut net.a, &mut net.b] {
        host.seen.records = (depth >= Depth::Bytes).then(Vec::new);
        host.seen.depth = depth;
        host.wire = Some(Vec::new());
    }
    let (a, b, _listener) = net.connected();
    let (mut sent, mut received) = (0, 0);
    net.run_until(Duration::from_secs(600), |net| {
        // Programs are as quick as ever, whoever looks.
        if net.now.micros() % 3 == 0 {
            while sent < 400_000 {
                let Ok(count) = b.pipe.try_write(&[(sent % 251) as u8; 5000][..5000.min(400_000 - sent)]) else {
                    break;
                };
                sent += count;
            }
        }
        while let Ok(count) = a.pipe.try_read(&mut [0; 4096]) {
            received += count;
        }
        received == 400_000
    });
    drop((a, b));
    net.run(Duration::from_secs(300));
    let wire = [&mut net.a, &mut net.b].into_iter().flat_map(|host| host.wire.take().unwrap()).collect();
    (net, wire)
}

#[test]
fn every_cause_was_told_before_what_it_caused_however_bad_the_link_is() {
    let (net, _) = transfer(Depth::Bytes);
    for host in [&net.a, &net.b] {
        let story = Story::of(host);
        assert!(story.0.windows(2).all(|pair| pair[0].id < pair[1].id), "told in the order of their numbers");
        let mut kinds: HashMap<&str, usize> = HashMap::new();
        for record in &story.0 {
            match &record.event {
                Event::Segment { direction: Direction::Out, rule, original, .. } => {
                    assert!(record.cause.is_some(), "{record:?}");
                    let is_again =
                        matches!(rule, Some(Rule::TcpRetransmitFast | Rule::TcpRetransmitTimeout | Rule::TcpProbeTail));
                    assert_eq!(original.is_some(), is_again, "{record:?}");
                    *kinds.entry(if is_again { "again" } else { "new" }).or_default() += 1;
                }
                Event::Segment { direction: Direction::In, .. } | Event::Delivered { .. } | Event::State { .. } => {
                    assert!(record.cause.is_some(), "{record:?}");
                }
                Event::Timer { socket: Some(_), .. } => assert!(record.cause.is_some(), "{record:?}"),
                _ => {}
            }
        }
        assert!(kinds["new"] > 10);
    }
    let again = Story::of(&net.b).0.into_iter().filter(|r| matches!(r.event, Event::Segment { original: Some(_), .. }));
    assert!(again.count() > 10);
}

#[test]
fn whoever_looks_changes_nothing_of_what_is_sent() {
    let (unseen, quiet) = transfer(Depth::Nothing);
    let (_, watched) = transfer(Depth::Bytes);
    assert_eq!(quiet.len(), watched.len());
    assert!(quiet == watched);
    assert_eq!(unseen.a.stack.causes.remembered(), 0, "nothing is remembered where nobody looks");
}

#[test]
fn who_begins_to_look_later_is_told_the_causes_from_then_on_and_who_looks_away_costs_nothing() {
    let mut net = Net::new();
    net.a.seen.depth = Depth::Nothing;
    let (a, b, _listener) = net.connected();
    a.pipe.try_write(b"before").unwrap();
    net.run(Duration::from_secs(1));
    net.a.seen.records = Some(Vec::new());
    net.a.seen.depth = Depth::Bytes;
    net.a.doorbell.wake();
    net.settle();
    a.pipe.try_write(b"after").unwrap();
    net.settle();
    let story = Story::of(&net.a);
    let sent = story.first(|event| is_data_frame(event, Direction::Out, b"after"));
    assert_eq!(story.chain(sent), "frame out < segment out 7+5 < write 5");
    net.a.seen.depth = Depth::Nothing;
    net.a.doorbell.wake();
    net.settle();
    assert_eq!(net.a.stack.causes.remembered(), 0);
    a.pipe.try_write(b"unseen").unwrap();
    let mut deeds = Vec::new();
    assert_eq!((net.a.doorbell.take_deeds(&mut deeds), deeds.len()), (0, 0));
    drop(b);
}

#[test]
fn less_depth_tells_less_and_its_causes_are_told_as_well() {
    for depth in [Depth::Life, Depth::Call, Depth::Segment] {
        let mut net = Net::new();
        net.a.seen.records = Some(Vec::new());
        net.a.seen.depth = depth;
        net.run(Duration::from_secs(1));
        net.a.seen.records = Some(Vec::new());
        let (a, b, _listener) = net.connected();
        b.pipe.try_write(b"hello").unwrap();
        net.settle();
        a.pipe.try_read(&mut [0; 8]).unwrap();
        net.settle();
        let story = Story::of(&net.a);
        assert!(story.0.iter().all(|record| record.event.depth() <= depth));
        assert!(!story.0.is_empty());
        if depth >= Depth::Call {
            let read = story.last(|event| matches!(event, Event::Call { call: CallKind::Read { .. }, .. }));
            let tail = if depth == Depth::Call { "" } else { " < segment in 1+5" };
            assert_eq!(story.chain(read), format!("read 5 < delivered 5{tail}"));
        }
    }
}
