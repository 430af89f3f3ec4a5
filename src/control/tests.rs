//! A stack without a link, its control socket, and clients of every manner.

mod capture;
mod errand;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::oneshot;

use super::filter::Sieve;
use super::*;
use crate::config::{Config, Limits, Loopback};
use crate::engine::Hold;
use crate::net::{Stack, TcpListener, TcpStream, UdpSocket};
use crate::observe::{
    CallKind, Close, Depth, Direction, Event, Fate, NoObserver, Ownership, Protocol, Record, Rule, SocketId, Summary,
    TcpState, Time, Trail,
};

/// A test that would hang fails instead.
const WITHIN: Duration = Duration::from_secs(20);

struct Daemon {
    stack: Stack,
    _home: Home,
    audience: Audience,
    served: Option<Served>,
    directory: tempfile::TempDir,
}

/// Where errands run.
struct Home {
    runtime: runtime::Handle,
    /// Dropping it ends it.
    _stop: oneshot::Sender<()>,
}

impl Home {
    fn new() -> Home {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let home = Home { runtime: runtime.handle().clone(), _stop: stop };
        std::thread::spawn(move || runtime.block_on(stopped));
        home
    }
}

impl Daemon {
    fn start(limits: Limits, patience: Duration) -> Daemon {
        Daemon::with(Loopback::Wire, limits, patience)
    }

    fn with(loopback: Loopback, limits: Limits, patience: Duration) -> Daemon {
        let directory = tempfile::tempdir().unwrap();
        let audience = Audience::default();
        let observer = Fanout::new(Box::new(NoObserver), audience.clone());
        let config = Config { loopback, limits, ..Config::default() };
        let stack = Stack::builder().config(config.clone()).observer(Box::new(observer)).loopback_only().unwrap();
        let path = directory.path().join("control.sock");
        let taken = Place::of(path.to_str().unwrap()).unwrap().take().unwrap();
        let home = Home::new();
        let terms = Terms {
            name: "test".into(),
            interface: "none".into(),
            config,
            patience,
            pack: crate::daemon::pack,
            home: home.runtime.clone(),
        };
        let served = serve(taken, &stack, audience.clone(), terms).unwrap();
        Daemon { stack, _home: home, audience, served: Some(served), directory }
    }

    fn new() -> Daemon {
        Daemon::start(Limits::default(), WITHIN)
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.path().join("control.sock")).unwrap();
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        stream
    }

    fn client(&self) -> Client {
        Client::on(self.connect()).unwrap()
    }

    fn tracing(&self, tracing: Tracing) -> Client {
        let mut client = self.client();
        client.trace(tracing).unwrap();
        client
    }

    /// Sends so many datagrams over the loopback.
    fn chatter(&self, datagrams: usize) {
        let receiver = UdpSocket::bind(&self.stack, "127.0.0.1:9".parse().unwrap()).unwrap();
        let sender = UdpSocket::bind(&self.stack, "127.0.0.1:0".parse().unwrap()).unwrap();
        for _ in 0..datagrams {
            sender.send_to(&[7; 1000], "127.0.0.1:9".parse().unwrap()).unwrap();
            receiver.recv_from(&mut [0; 1000]).unwrap();
        }
    }

    #[track_caller]
    fn until_depth(&self, depth: Depth) {
        let begun = Instant::now();
        while self.audience.depth() != depth {
            assert!(begun.elapsed() < WITHIN, "it stays at {:?}", self.audience.depth());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stack.shut_down();
        self.served.take();
    }
}

fn depth(depth: Depth) -> Tracing {
    Tracing { depth, ..Tracing::default() }
}

fn records(client: &mut Client) -> Vec<Record<'static>> {
    let mut records = Vec::new();
    while let Some(message) = client.next().unwrap() {
        match message {
            Message::Record(record) => records.push(record),
            Message::End => break,
            other => panic!("{other:?}"),
        }
    }
    records
}

#[test]
fn messages_are_written_as_the_document_says() {
    let document = include_str!("../../docs/control.md");
    let written = |text: &str| assert!(document.contains(text), "docs/control.md does not show {text}");
    let trace = Request::Trace(Tracing {
        depth: Depth::Frame,
        filter: Filter { ports: vec![80], drops: true, ..Filter::default() },
        count: Some(10),
        ..Tracing::default()
    });
    written(&trace.to_string());
    assert_eq!(trace.to_string().parse(), Ok(trace));
    let capture = Request::Trace(Tracing {
        encoding: Encoding::Pcapng,
        synthesise: true,
        snaplen: Some(96),
        ..depth(Depth::Frame)
    });
    let capture: serde_json::Value = serde_json::from_str(&capture.to_string()).unwrap();
    for (field, value) in capture.as_object().unwrap().iter().filter(|(field, _)| *field != "request") {
        written(&format!("`{field}`"));
        if let Some(value) = value.as_str() {
            written(&format!("`{value}`"));
        }
    }
    written(&Request::Enough.to_string());
    written(&Request::Stats.to_string());
    written(&Request::Sockets { details: true }.to_string());
    for (_, name) in Hold::ALL {
        written(&format!("`{name}`"));
    }
    let fields = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        value.as_object().unwrap().keys().for_each(|field| written(&format!("`{field}`")));
    };
    let daemon = Daemon::new();
    let _client = (
        TcpListener::bind(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap(),
        TcpStream::connect(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap(),
    );
    let listed = daemon.client().sockets(true).unwrap().pop().unwrap();
    fields(&serde_json::to_string(&listed).unwrap());
    fields(&serde_json::to_string(&listed.tcp.unwrap()).unwrap());
    fields(&serde_json::to_string(daemon.client().hello()).unwrap());
    written(&Request::Limits.to_string());
    for message in [
        Message::Tracing { encoding: Encoding::Json },
        Message::Part { packets: 40, bytes: 65210 },
        Message::End,
        Message::Dropped { records: 17 },
        Message::Error { error: "this is no request: expected value".into() },
    ] {
        let text = serde_json::to_string(&message).unwrap();
        written(&text);
        assert_eq!(serde_json::from_str::<Message<'_>>(&text).unwrap(), message);
    }
    for (_, name) in Kind::ALL {
        written(&format!("`{name}`"));
        let kind: Kind = name.parse().unwrap();
        assert_eq!((kind.to_string(), serde_json::to_string(&kind).unwrap()), (name.into(), format!("\"{name}\"")));
    }
}

#[test]
fn a_record_comes_out_of_a_message_as_it_went_in() {
    let mut trail = Trail::default();
    trail.set_depth(Depth::Bytes);
    let socket = SocketId { protocol: Protocol::Tcp, number: 3 };
    trail.note(Time::from_micros(5), Event::State { socket, from: TcpState::SynSent, to: TcpState::Established });
    let record = trail.drain().next().unwrap();
    let text = serde_json::to_string(&Message::Record(record.clone())).unwrap();
    assert!(text.starts_with(r#"{"message":"record","id":1,"at":5,"event":"state","socket":"tcp#3""#), "{text}");
    assert_eq!(serde_json::from_str::<Message<'_>>(&text).unwrap(), Message::Record(record));
}

#[test]
fn what_is_no_request_is_answered_in_words() {
    for (line, sentence) in [
        ("nonsense", "this is no request: expected"),
        (r#"{"request":"tea"}"#, "unknown variant `tea`, expected one of `sockets`, `stats`"),
        (r#"{"request":"trace"}"#, "missing field `depth`"),
        (r#"{"request":"trace","depth":"deep"}"#, "unknown variant `deep`"),
        (r#"{"request":"trace","depth":"frame","filter":{"port":80}}"#, "unknown field `port`"),
        (r#"{"request":"trace","depth":"frame","filter":{"sockets":["tcp3"]}}"#, "'tcp3' is no socket"),
    ] {
        let BadRequest(error) = line.parse::<Request>().unwrap_err();
        assert!(error.contains(sentence) && !error.contains("line 1"), "{error}");
    }
}

#[test]
fn whoever_asks_is_answered_and_whoever_watches_sees_what_happens() {
    let daemon = Daemon::new();
    let mut client = daemon.client();
    assert_eq!((client.hello().name.as_str(), client.hello().pid), ("test", std::process::id()));
    daemon.chatter(3);
    let _listener = TcpListener::bind(&daemon.stack, "127.0.0.1:80".parse().unwrap()).unwrap();
    let counted = client.stats().unwrap();
    assert_eq!(counted.loopback_packets, 3);
    let listening = |tally: &&Tally| tally.network == Network::Tcp && tally.state == TcpState::Listen;
    assert_eq!(counted.sockets.iter().find(listening).map(|tally| tally.count), Some(1));
    assert!(counted.rounds.count > 0 && counted.limits.iter().any(|bound| bound.used == Some(1)), "{counted:?}");
    let limits = client.limits().unwrap();
    assert_eq!(limits.len(), Limits::table().len());
    let used = |name: &str| limits.iter().find(|limit| limit.name == name).unwrap().used;
    assert_eq!((used("sockets"), used("backlog")), (Some(1), None));
    client.trace(Tracing { count: Some(8), ..depth(Depth::Frame) }).unwrap();
    daemon.chatter(3);
    let records = records(&mut client);
    assert_eq!(records.len(), 8);
    assert!(records.is_sorted_by_key(|record| record.id));
    assert!(matches!(records[0].event, Event::Call { .. }), "{records:?}");
    assert!(matches!(records[1].event, Event::Bound { .. }) && records[1].cause == Some(records[0].id), "{records:?}");
    assert!(records.iter().any(|record| matches!(record.event, Event::Loopback { .. })));
    // The same conversation goes on.
    assert_eq!(client.stats().unwrap().loopback_packets, 6);
    let long = Filter { ports: (0..65).collect(), ..Filter::default() };
    let refused = client.trace(Tracing { filter: long, ..depth(Depth::Frame) }).unwrap_err();
    assert!(refused.to_string().contains("at most 64 entries"), "{refused}");
    assert_eq!(client.stats().unwrap().loopback_packets, 6);
}

#[test]
fn nobody_is_told_more_than_was_asked_for_and_the_depth_follows_those_who_watch() {
    let mut daemon = Daemon::new();
    assert_eq!(daemon.audience.depth(), Depth::Nothing);
    let mut life = daemon.tracing(depth(Depth::Life));
    daemon.until_depth(Depth::Life);
    let mut frames = daemon.tracing(depth(Depth::Frame));
    daemon.until_depth(Depth::Frame);
    daemon.chatter(1);
    while !matches!(frames.next().unwrap(), Some(Message::Record(Record { event: Event::Loopback { .. }, .. }))) {}
    drop(frames);
    // The seat of whoever has gone is given back without anything to tell it.
    daemon.until_depth(Depth::Life);
    daemon.stack.shut_down();
    daemon.served.take();
    let seen = records(&mut life);
    assert!(seen.len() >= 4, "{seen:?}");
    assert!(seen.iter().all(|record| record.event.depth() == Depth::Life), "{seen:?}");
    assert_eq!(daemon.audience.depth(), Depth::Nothing);
}

#[test]
fn a_client_that_does_not_read_is_cut_off_and_holds_nobody_up() {
    let daemon = Daemon::start(Limits { control_queue: 256 << 10, ..Limits::default() }, Duration::from_millis(50));
    let mut stream = daemon.connect();
    stream.write_all(b"{\"request\":\"trace\",\"depth\":\"frame\"}\n").unwrap();
    daemon.until_depth(Depth::Frame);
    daemon.chatter(2000);
    daemon.until_depth(Depth::Nothing);
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(all.len() > 1000 && all.len() < 4_000_000, "{}", all.len());
}

#[test]
fn a_gap_is_told_where_it_is() {
    let daemon = Daemon::start(Limits { control_queue: 64 << 10, ..Limits::default() }, WITHIN);
    let mut client = daemon.tracing(depth(Depth::Frame));
    daemon.chatter(2000);
    let (mut last, mut told, mut dropped) = (None, 0, 0);
    while told + dropped < 4000 {
        match client.next().unwrap().unwrap() {
            Message::Record(record) => {
                told += 1;
                let id = record.id.number();
                // Every event has a number, and this client asked for all: what is missing is what was told.
                if let Some(last) = last {
                    assert!(id > last);
                }
                last = Some(id);
            }
            Message::Dropped { records } => {
                dropped += records;
                last = last.map(|last| last + records);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(told > 50 && dropped > 50, "{told} {dropped}");
    let counted = daemon.client().stats().unwrap();
    assert_eq!((counted.watchers, counted.untold), (1, dropped));
}

#[test]
fn a_client_that_says_no_more_still_listens_until_it_has_closed() {
    let daemon = Daemon::new();
    let mut stream = daemon.connect();
    stream.write_all(b"{\"request\":\"trace\",\"depth\":\"life\"}\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    daemon.until_depth(Depth::Life);
    daemon.chatter(0);
    let mut lines = BufReader::new(stream).lines();
    assert!(lines.any(|line| line.unwrap().contains("\"bound\"")));
    drop(lines);
    daemon.until_depth(Depth::Nothing);
}

#[test]
fn a_line_without_an_end_is_not_kept_and_the_next_one_is_answered() {
    let daemon = Daemon::new();
    let mut stream = daemon.connect();
    for length in [65_537, 200_000] {
        stream.write_all(&vec![b'x'; length]).unwrap();
        stream.write_all(b"\n{\"request\":\"limits\"}\n").unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let messages: Vec<Message<'_>> =
        BufReader::new(stream).lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let refused = Message::Error { error: "a request has at most 65536 bytes".into() };
    assert!(
        matches!(&messages[..], [Message::Hello(_), first, Message::Limits { .. }, second, Message::Limits { .. }]
        if (first, second) == (&refused, &refused)),
        "{messages:?}"
    );
}

#[test]
fn a_client_refuses_whom_it_does_not_understand() {
    for (line, sentence) in [
        (
            r#"{"message":"hello","protocol":2,"version":"9.1","name":"tap0","interface":"tap0","pid":1,"started":0}"#,
            "speaks version 2 of the control protocol, and this program version 1",
        ),
        (r#"{"message":"error","error":"32 clients look already"}"#, "32 clients look already"),
        (r#"{"message":"end"}"#, "does not begin with hello"),
        ("HTTP/1.1 400 Bad Request", "does not understand"),
    ] {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(format!("{line}\n").as_bytes()).unwrap();
        let error = Client::on(ours).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert!(matches!(Client::on(ours), Err(Unanswered::Nobody(_))));
}

/// Tells `events` to a filter; gives which pass.
fn sifted(filter: &str, events: &[Event<'static>]) -> Vec<bool> {
    let mut sieve = Sieve::new(serde_json::from_str(filter).unwrap());
    let mut trail = Trail::default();
    trail.set_depth(Depth::Bytes);
    for event in events {
        trail.note(Time::ZERO, event.clone());
    }
    trail.drain().map(|record| sieve.passes(&record)).collect()
}

fn tcp(number: u64) -> SocketId {
    SocketId { protocol: Protocol::Tcp, number }
}

/// A TCP segment on the loopback, of a socket or of none.
fn segment(ports: (u16, u16), fate: Fate) -> Event<'static> {
    let mut bytes = vec![0x45; 40];
    (bytes[6], bytes[7], bytes[9]) = (0, 0, 6);
    bytes[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    bytes[20..22].copy_from_slice(&ports.0.to_be_bytes());
    bytes[22..24].copy_from_slice(&ports.1.to_be_bytes());
    Event::Loopback { direction: Direction::In, bytes: bytes.into(), fate }
}

#[test]
fn lists_of_a_filter_must_all_fit_and_one_entry_of_each_is_enough() {
    let events = [
        segment((80, 1), Fate::nobody(Rule::TcpRstClosedPort)),
        segment((81, 2), Fate::nobody(Rule::TcpChecksum)),
        segment((2, 82), Fate::of(Ownership::FourTuple { socket: tcp(3) })),
        Event::Address { address: "10.0.0.2".parse().unwrap(), state: crate::observe::Address::Preferred },
        Event::Device { direction: Direction::Out, error: "no".into() },
    ];
    for (filter, expected) in [
        ("{}", [true; 5]),
        (r#"{"ports":[80,82]}"#, [true, false, true, false, false]),
        (r#"{"hosts":["10.0.0.2"]}"#, [true, true, true, true, false]),
        (r#"{"hosts":["10.0.0.3"]}"#, [false; 5]),
        (r#"{"hosts":["10.0.0.1"],"ports":[82]}"#, [false, false, true, false, false]),
        (r#"{"protocols":["udp"]}"#, [false; 5]),
        (r#"{"protocols":["udp","tcp"]}"#, [true, true, true, false, false]),
        (r#"{"sockets":["tcp#3"]}"#, [false, false, true, false, false]),
        (r#"{"rules":["tcp.rst.closed-port"]}"#, [true, false, false, false, false]),
        (r#"{"rules":["tcp"]}"#, [true, true, false, false, false]),
        (r#"{"rules":["tc"]}"#, [false; 5]),
        (r#"{"drops":true}"#, [false, true, false, false, false]),
    ] {
        assert_eq!(sifted(filter, &events), expected, "{filter}");
    }
}

#[test]
fn events_without_an_address_belong_to_the_socket_whose_addresses_have_fitted() {
    let state = |socket| Event::State { socket, from: TcpState::Established, to: TcpState::CloseWait };
    let closed = |socket| Event::Closed { socket, how: Close::ByPeer, summary: Summary::default() };
    let refused = |socket| Event::Return {
        socket: Some(socket),
        call: "write".into(),
        address: None,
        error: Some("EPIPE".into()),
    };
    let events = [
        state(tcp(3)),
        Event::Connected {
            socket: tcp(3),
            local: "10.0.0.1:4000".parse().unwrap(),
            remote: "10.0.0.2:80".parse().unwrap(),
            owner: None,
        },
        state(tcp(3)),
        state(tcp(4)),
        Event::Call { socket: Some(tcp(4)), call: CallKind::Connect { remote: "10.0.0.2:80".parse().unwrap() } },
        state(tcp(4)),
        closed(tcp(3)),
        refused(tcp(3)),
        refused(tcp(5)),
        Event::Return {
            socket: None,
            call: "bind".into(),
            address: Some("0.0.0.0:80".parse().unwrap()),
            error: Some("EADDRINUSE".into()),
        },
    ];
    assert_eq!(sifted(r#"{"ports":[80]}"#, &events), [false, true, true, false, true, true, true, true, false, true]);
}

#[test]
fn sockets_that_are_gone_are_not_remembered_for_ever() {
    let connected = |number| Event::Connected {
        socket: tcp(number),
        local: "10.0.0.1:4000".parse().unwrap(),
        remote: "10.0.0.2:80".parse().unwrap(),
        owner: None,
    };
    let closed = |number| Event::Closed { socket: tcp(number), how: Close::ByPeer, summary: Summary::default() };
    let mut events: Vec<_> = (0..10_000).flat_map(|number| [connected(number), closed(number)]).collect();
    assert!(sifted(r#"{"ports":[80]}"#, &events).iter().all(|&fits| fits), "the table is never full of them");
    events.extend([closed(0), closed(9_999)]);
    assert_eq!(sifted(r#"{"ports":[80]}"#, &events)[20_000..], [false, true]);
}

#[test]
fn a_connection_that_was_there_before_the_trace_is_known_by_its_port() {
    let daemon = Daemon::new();
    let listener = TcpListener::bind(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap();
    let stream = TcpStream::connect(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    let filter = Filter { ports: vec![7], ..Filter::default() };
    let mut client = daemon.tracing(Tracing { filter, ..depth(Depth::Life) });
    drop((stream, peer));
    // Nothing but its end is told, and that names no port.
    for _ in 0..2 {
        let Some(Message::Record(record)) = client.next().unwrap() else { panic!() };
        assert!(matches!(record.event, Event::Closed { .. }), "{record:?}");
    }
}

#[test]
fn a_list_longer_than_the_engine_gives_at_once_is_whole() {
    let daemon = Daemon::new();
    let held: Vec<_> =
        (0..3000).map(|_| UdpSocket::bind(&daemon.stack, "127.0.0.1:0".parse().unwrap()).unwrap()).collect();
    let listed = daemon.client().sockets(false).unwrap();
    assert_eq!(listed.len(), held.len());
    assert!(listed.is_sorted_by_key(|socket| socket.id.number));
    assert!(listed.iter().zip(&held).all(|(socket, held)| socket.local == held.local_addr().unwrap().to_string()));
    assert!(listed.iter().all(|socket| socket.network == Network::Udp && socket.held));
}

#[test]
fn a_connection_of_two_programs_is_seen_by_its_port_from_the_first_call_to_the_end() {
    let daemon = Daemon::new();
    let filter = Filter { ports: vec![7], ..Filter::default() };
    let mut client = daemon.tracing(Tracing { filter, ..depth(Depth::Frame) });
    let listener = TcpListener::bind(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap();
    daemon.chatter(5);
    let stream = TcpStream::connect(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    drop((stream, peer));
    let mut closed = 0;
    while closed < 2 {
        let Some(Message::Record(record)) = client.next().unwrap() else { panic!() };
        match record.event {
            Event::Closed { .. } => closed += 1,
            Event::Loopback { bytes, .. } => assert_eq!(bytes[9], 6),
            Event::Bound { local, .. } => assert_eq!(local.port(), 7),
            _ => {}
        }
    }
}
