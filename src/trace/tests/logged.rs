//! What the log writes.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

use super::*;
use crate::observe::{Close, Summary};

thread_local! {
    /// What this thread lets through, and what it wrote. Other tests of this process see a logger that is off.
    static WRITTEN: RefCell<(LevelFilter, Vec<String>)> = const { RefCell::new((LevelFilter::Off, Vec::new())) };
}

struct PerThread;

impl Log for PerThread {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        WRITTEN.with_borrow(|(filter, _)| metadata.level() <= *filter) && metadata.target().starts_with("tapsock")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("{} {} {}", record.level(), record.target(), record.args());
            WRITTEN.with_borrow_mut(|(_, written)| written.push(line));
        }
    }

    fn flush(&self) {}
}

/// The only logger of the unit tests.
fn install_logger() {
    let _ = log::set_logger(&PerThread); // by whichever test comes first
    log::set_max_level(LevelFilter::Trace);
}

#[test]
fn text_writes_one_record_for_a_life_one_for_a_packet_and_one_for_its_layers() {
    install_logger();
    let mut text = Text::new();
    let bytes = syn();
    let frame = Event::Frame { direction: In, bytes: bytes.into(), fate: accepted() };
    let bound =
        Event::Bound { socket: LISTENER, local: "0.0.0.0:80".parse().unwrap(), backlog: Some(128), owner: None };
    let mut written = |filter: LevelFilter| {
        WRITTEN.with_borrow_mut(|state| *state = (filter, Vec::new()));
        let depth = text.depth();
        let mut trail = Trail::default();
        trail.set_depth(Depth::Bytes);
        trail.tell(Time::ZERO, bound.clone(), &mut text);
        trail.tell(Time::ZERO, frame.clone(), &mut text);
        WRITTEN.with_borrow_mut(|state| (depth, std::mem::replace(state, (LevelFilter::Off, Vec::new())).1))
    };

    assert_eq!(written(LevelFilter::Off), (Depth::Nothing, vec![]));
    let (depth, lines) = written(LevelFilter::Info);
    assert_eq!(depth, Depth::Life);
    assert_eq!(lines, ["INFO tapsock::socket tcp#1 listens on 0.0.0.0:80, backlog 128"]);
    let (depth, lines) = written(LevelFilter::Debug);
    assert_eq!((depth, lines.len()), (Depth::Frame, 2));
    assert!(lines[1].starts_with("DEBUG tapsock::packet in  tcp#3 "), "{}", lines[1]);
    let (depth, lines) = written(LevelFilter::Trace);
    assert_eq!((depth, lines.len()), (Depth::Bytes, 3));
    assert!(lines[2].starts_with("TRACE tapsock::layers     eth ") && lines[2].contains("\n           ip4 "));
}

/// What is written at this level while a stack tells these events, and then ends.
fn written(filter: LevelFilter, events: &[(Time, Event<'_>)]) -> Vec<String> {
    install_logger();
    WRITTEN.with_borrow_mut(|state| *state = (filter, Vec::new()));
    let mut text = Text::new();
    let mut trail = Trail::default();
    trail.set_depth(Depth::Bytes);
    for (at, event) in events {
        trail.tell(*at, event.clone(), &mut text);
    }
    drop(text);
    WRITTEN.with_borrow_mut(|state| std::mem::replace(state, (LevelFilter::Off, Vec::new())).1)
}

#[test]
fn calls_states_and_timers_are_written_at_debug_and_segments_without_numbers_at_trace() {
    let socket = CONNECTION;
    let mut trail = Trail::default();
    trail.set_depth(Depth::Bytes);
    let again = Event::Segment {
        socket,
        direction: Out,
        seq: 1,
        length: 10,
        rule: Some(Rule::TcpRetransmitFast),
        original: trail.number(),
        acknowledges: None,
    };
    let events = [
        Event::Call { socket: Some(socket), call: CallKind::Read { bytes: 78 } },
        Event::State { socket, from: TcpState::Established, to: TcpState::CloseWait },
        Event::Timer { socket: Some(socket), timer: TimerKind::TailLoss },
        again,
    ];
    let events = events.map(|event| (Time::ZERO, event));
    assert_eq!(written(LevelFilter::Info, &events), [""; 0]);
    let debug = written(LevelFilter::Debug, &events);
    assert_eq!(
        debug[..2],
        ["DEBUG tapsock::call tcp#3 read 78 B", "DEBUG tapsock::call tcp#3 ESTABLISHED ⇒ CLOSE-WAIT"]
    );
    assert!(debug.len() == 3 && debug[2].starts_with("DEBUG tapsock::segment tcp#3 timer: "), "{debug:?}");
    let trace = written(LevelFilter::Trace, &events);
    assert!(trace[3].starts_with("TRACE tapsock::segment tcp#3 segment out seq 1 len 10 · again · tcp."), "{trace:?}");
}

#[test]
fn a_flood_is_cut_short_and_counted_and_what_has_no_rule_is_written_whole() {
    let frame = |fate| Event::Frame { direction: In, bytes: syn().into(), fate };
    let second = |seconds: u64| Time::from_micros(seconds * 1_000_000);
    let mut events = vec![(second(0), frame(Fate::nobody(Rule::TcpRstClosedPort))); 1000];
    events.extend(vec![(second(0), frame(connection())); 100]);
    events.push((second(1), frame(connection())));
    events.extend(vec![(second(5), frame(Fate::nobody(Rule::TcpRstClosedPort))); 30]);
    let lines = written(LevelFilter::Debug, &events);
    let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    assert_eq!(count("tcp.rst.closed-port: "), 20 + 20);
    assert_eq!(count(" tcp#3 "), 101);
    assert_eq!(lines[120], "DEBUG tapsock::packet … and 980 more by tcp.rst.closed-port");
    assert_eq!(lines.last().unwrap(), "DEBUG tapsock::packet … and 10 more by tcp.rst.closed-port", "as it ends");
    assert_eq!(count("more by"), 2);
}

#[test]
fn a_flood_of_syns_does_not_fill_the_log_with_states_and_hides_no_other_state() {
    let second = |seconds: u64| Time::from_micros(seconds * 1_000_000);
    let state = |number, from, to| Event::State { socket: SocketId { number, ..CONNECTION }, from, to };
    let mut events: Vec<_> =
        (0..4731).map(|n| (second(0), state(n, TcpState::Listen, TcpState::SynReceived))).collect();
    events.push((second(0), state(7, TcpState::Established, TcpState::CloseWait)));
    events.push((second(1), state(7, TcpState::CloseWait, TcpState::LastAck)));
    let lines = written(LevelFilter::Debug, &events);
    assert_eq!(lines.len(), 20 + 1 + 1 + 1, "{lines:#?}");
    assert_eq!(lines[20], "DEBUG tapsock::call tcp#7 ESTABLISHED ⇒ CLOSE-WAIT");
    assert_eq!(lines[21], "DEBUG tapsock::call … and 4711 more LISTEN ⇒ SYN-RECEIVED");
}

#[test]
fn each_kind_of_line_has_a_share_of_its_own_and_what_it_loses_is_counted_at_its_own_level() {
    let socket = Some(CONNECTION);
    let local = "0.0.0.0:80".parse().unwrap();
    let call = |call| Event::Call { socket, call };
    let closed = || Event::Closed { socket: CONNECTION, how: Close::ByPeer, summary: Summary::default() };
    let refused = || Event::Return { socket, call: "write".into(), address: None, error: Some("EPIPE".into()) };
    let kinds = [
        (call(CallKind::Read { bytes: 1 }), "DEBUG tapsock::call … and 30 more calls of read"),
        (call(CallKind::Write { bytes: 1 }), "DEBUG tapsock::call … and 30 more calls of write"),
        (refused(), "DEBUG tapsock::call … and 30 more calls that fail"),
        (Event::Delivered { socket: CONNECTION, bytes: 1 }, "DEBUG tapsock::call … and 30 more deliveries"),
        (Event::Timer { socket, timer: TimerKind::SynAck }, "DEBUG tapsock::segment … and 30 more timers"),
        (
            Event::Bound { socket: LISTENER, local, backlog: None, owner: None },
            "INFO tapsock::socket … and 30 more sockets bound",
        ),
        (closed(), "INFO tapsock::socket … and 30 more sockets closed"),
        (
            Event::Device { direction: Out, error: "no buffer space".into() },
            "WARN tapsock::device … and 30 more errors of the device",
        ),
    ];
    let events: Vec<_> = kinds.iter().flat_map(|(event, _)| vec![(Time::ZERO, event.clone()); 50]).collect();
    let lines = written(LevelFilter::Debug, &events);
    assert_eq!(lines.len(), kinds.len() * 21);
    for (_, line) in kinds {
        assert!(lines.iter().any(|written| written == line), "{line}: {lines:#?}");
    }
    let info = written(LevelFilter::Info, &events);
    assert_eq!(info.len(), 3 * 21, "what is not written is not counted: {info:#?}");
}
