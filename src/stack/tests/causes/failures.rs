//! Calls that fail, and what ends: each with what did it.

use super::*;
use crate::error::Error;
use crate::socket::{Domain, Kind, UnixAddress, UnixSocket};

/// What a program was told, and why, of the last call of this name.
fn told(story: &Story, name: &str) -> String {
    story.chain(story.last(|event| match event {
        Event::Return { call, .. } => call == name,
        Event::Call { call: call @ CallKind::ReadEnd, .. } => call.name() == name,
        _ => false,
    }))
}

#[test]
fn the_end_of_a_stream_is_told_with_the_fin_that_made_it_and_a_poll_that_finds_nothing_is_not() {
    let mut net = net();
    let (a, b, _listener) = net.connected();
    assert_eq!(b.pipe.try_read(&mut [0; 8]), Err(Error::WouldBlock));
    a.pipe.shutdown_write();
    net.settle();
    assert_eq!(b.pipe.try_read(&mut [0; 8]), Ok(0));
    net.settle();
    let story = Story::of(&net.b);
    assert_eq!(told(&story, "read"), "read = 0 < CLOSE-WAIT < segment in 1+0 < frame in");
    let reads = story.0.iter().filter(|record| matches!(&record.event, Event::Return { call, .. } if call == "read"));
    assert_eq!(reads.count(), 0, "EAGAIN is not told");
    assert_eq!(a.pipe.try_write(b"x"), Err(Error::BrokenPipe));
    net.settle();
    assert_eq!(told(&Story::of(&net.a), "write"), "write = EPIPE < ShutdownWrite");
}

#[test]
fn a_call_that_fails_because_of_a_rst_names_it() {
    let mut net = net();
    let (a, b, _listener) = net.connected();
    b.pipe.try_write(b"unread").unwrap();
    net.settle();
    drop(a);
    net.settle();
    assert_eq!(b.pipe.try_read(&mut [0; 8]), Err(Error::ConnectionReset));
    assert_eq!(b.pipe.try_write(b"x"), Err(Error::BrokenPipe));
    net.settle();
    let story = Story::of(&net.b);
    let rst = "CLOSED < segment in 1+0 < frame in";
    assert_eq!(told(&story, "read"), format!("read = ECONNRESET < closed < {rst}"));
    assert_eq!(told(&story, "write"), format!("write = EPIPE < {rst}"));
}

#[test]
fn a_write_that_waits_is_told_of_the_rst_of_a_peer_that_goes_away_in_the_middle() {
    let mut net = net();
    let (a, b, _listener) = net.connected();
    let fill = |net: &mut Net| {
        while a.pipe.try_write(&[7; 5000]).is_ok() {
            net.settle();
        }
    };
    fill(&mut net);
    b.pipe.try_read(&mut [0; 1000]).unwrap();
    drop(b);
    net.settle();
    assert_eq!(a.pipe.try_write(b"x"), Err(Error::ConnectionReset));
    net.settle();
    let story = Story::of(&net.a);
    let way = "closed < CLOSED < segment in 1+0 < frame in";
    assert_eq!(told(&story, "write"), format!("write = ECONNRESET < {way}"));
}

#[test]
fn a_connect_that_is_begun_fails_where_its_program_asks_and_so_does_so_error() {
    let mut net = net();
    for asks_how in [true, false] {
        let Ok(Outcome::Stream(stream)) = net.call_b(Verb::BeginStream { remote: at(A, 81) }) else { panic!() };
        net.settle();
        let asked = if asks_how { stream.pipe.take_error() } else { stream.pipe.try_connected() };
        assert_eq!(asked, Err(Error::ConnectionRefused));
        net.settle();
        let story = Story::of(&net.b);
        let call = if asks_how { "SO_ERROR" } else { "connect" };
        let way = "closed < CLOSED < segment in 0+0 < frame in";
        assert_eq!(told(&story, call), format!("{call} = ECONNREFUSED < {way}"));
    }
}

#[test]
fn a_verb_that_fails_is_told_with_its_result_and_its_address() {
    let mut net = net();
    let _listener = net.listen_a(at("0.0.0.0", 80), 16);
    let verb = Verb::OpenListener { local: at("0.0.0.0", 80), backlog: 16, v6_only: false };
    assert_eq!(net.call_a(verb).unwrap_err(), Error::AddressInUse);
    let verb = Verb::OpenStream { local: None, remote: at("127.0.0.1", 0) };
    assert_eq!(net.call_a(verb).unwrap_err(), Error::ConnectionRefused);
    let story = Story::of(&net.a);
    assert_eq!(told(&story, "bind"), "bind = EADDRINUSE < bind");
    assert_eq!(told(&story, "connect"), "connect = ECONNREFUSED < connect");
    let bind = story.last(|event| matches!(event, Event::Return { call, .. } if call == "bind"));
    assert!(matches!(bind.event, Event::Return { address: Some(address), .. } if address == at("0.0.0.0", 80)));
    let listens = story.0.iter().filter(|record| word(&record.event) == "listen");
    assert_eq!(listens.count(), 1, "the one that succeeded");
}

#[test]
fn an_icmp_error_is_the_cause_of_the_call_that_is_told() {
    let mut net = net();
    let a = net.bind_a(at("0.0.0.0", 7));
    net.call_a(Verb::Connect { socket: a.handle, remote: at(B, 9).into() }).unwrap();
    a.pipe.try_send(b"nobody", at(B, 9), None).unwrap();
    net.settle();
    assert_eq!(a.pipe.try_receive(&mut [0; 8]).unwrap_err(), Error::ConnectionRefused);
    net.settle();
    assert_eq!(told(&Story::of(&net.a), "read"), "read = ECONNREFUSED < frame in (icmp.error)");
}

#[test]
fn joined_sockets_are_told_of_their_end_by_the_calls_of_each_other() {
    let mut net = net();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let Ok(Outcome::Stream(client)) = net.call_a(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) }) else {
        panic!()
    };
    let server = listener.queue.try_accept().unwrap();
    client.pipe.shutdown_write();
    assert_eq!(server.pipe.try_read(&mut [0; 8]), Ok(0));
    net.settle();
    assert_eq!(told(&Story::of(&net.a), "read"), "read = 0 < ShutdownWrite");
    drop(client);
    assert_eq!(server.pipe.try_write(b"in vain"), Ok(7));
    assert_eq!(server.pipe.try_write(b"x"), Err(Error::BrokenPipe));
    net.settle();
    assert_eq!(told(&Story::of(&net.a), "write"), "write = EPIPE < Close");
}

#[test]
fn the_rst_of_what_waits_in_a_listener_is_caused_by_its_close() {
    let mut bench = Bench::new();
    bench.net.a.seen.records = Some(Vec::new());
    bench.send(&segment(TcpControl::Syn, 7, None), Duration::ZERO);
    let Bench { mut net, listener } = bench;
    drop(listener);
    net.settle();
    let story = Story::of(&net.a);
    let reset = story.last(|event| {
        matches!(event, Event::Frame { direction: Direction::Out, fate, .. } if fate.rule == Some(Rule::TcpListenerClosed))
    });
    assert_eq!(story.chain(reset), "frame out (tcp.rst.listener-closed) < segment out 1+0 < CLOSED < Close");
}

#[test]
fn a_connection_that_nobody_has_accepted_is_reset_by_the_close_of_its_listener() {
    let mut net = net();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let _client = net.connect_b(at(A, 80)).unwrap();
    net.settle();
    drop(listener);
    net.settle();
    let story = Story::of(&net.a);
    let reset = story.last(|event| matches!(event, Event::Frame { direction: Direction::Out, .. }));
    assert_eq!(story.chain(reset), "frame out < segment out 1+0 < CLOSED < Close");
}

fn log() -> UnixAddress {
    UnixAddress::path("/log").unwrap()
}

/// Two Unix sockets, of which one has a name.
fn a_server_named_log_and_a_client(net: &mut Net) -> (UnixSocket, UnixSocket) {
    let mut open = || match net.call_a(Verb::Open { domain: Domain::Unix, kind: Kind::UnixStream }) {
        Ok(Outcome::Unix(socket)) => *socket,
        other => panic!("{other:?}"),
    };
    let (server, client) = (open(), open());
    net.call_a(Verb::Bind { socket: server.handle, local: log().into() }).unwrap();
    (server, client)
}

#[test]
fn unix_sockets_are_bound_and_connected_by_name_and_refused_by_it() {
    let mut net = net();
    let (_server, client) = a_server_named_log_and_a_client(&mut net);
    let refused = net.call_a(Verb::Connect { socket: client.handle, remote: log().into() });
    assert_eq!(refused.unwrap_err(), Error::ConnectionRefused, "nobody listens");
    let story = Story::of(&net.a);
    let way = r#"UnixConnect { name: "/log" }"#;
    assert_eq!(told(&story, "connect"), format!("connect = ECONNREFUSED < {way}"));
    let bind = CallKind::UnixBind { name: "/log".into() };
    story.first(|event| matches!(event, Event::Call { socket: Some(_), call } if *call == bind));
}

#[test]
fn what_a_unix_listener_has_not_accepted_ends_by_its_close() {
    use crate::socket::UnixPipe;
    let mut net = net();
    let (server, client) = a_server_named_log_and_a_client(&mut net);
    let queue = net.call_a(Verb::Listen { socket: server.handle, backlog: 4 }).unwrap();
    let connected = net.call_a(Verb::Connect { socket: client.handle, remote: log().into() });
    let Ok(Outcome::UnixConnected(UnixPipe::Stream(stream), _)) = connected else { panic!("{connected:?}") };
    drop((queue, server));
    net.settle();
    assert_eq!(stream.try_read(&mut [0; 8]), Err(Error::ConnectionReset));
    net.settle();
    let story = Story::of(&net.a);
    let ends: Vec<_> = (story.0.iter())
        .filter(|record| matches!(record.event, Event::Closed { .. }))
        .map(|record| story.chain(record))
        .collect();
    assert_eq!(ends, ["closed < Close", "closed < Close"]);
    assert_eq!(told(&story, "read"), "read = ECONNRESET < closed < Close");
}

#[test]
fn more_deeds_than_may_wait_are_not_told_and_what_is_sent_names_no_wrong_write() {
    use crate::config::Limits;
    let limits = Limits { traced_deeds: 2, ..Limits::default() };
    let mut net = watched(Net::with(FaultConfig::default(), config_a(), Config { limits, ..config_b() }));
    let (_a, b, _listener) = net.connected();
    for _ in 0..5 {
        b.pipe.try_write(b"x").unwrap();
    }
    net.settle();
    let is_write = |record: &&Record<'_>| matches!(record.event, Event::Call { call: CallKind::Write { .. }, .. });
    assert_eq!(Story::of(&net.b).0.iter().filter(is_write).count(), 2);
    // Nagle: what is small waits for the acknowledgment of what went before.
    net.run(Duration::from_secs(1));
    b.pipe.try_write(b"later!").unwrap();
    net.settle();
    let story = Story::of(&net.b);
    let later = story.last(|event| is_segment(event, Direction::Out, 6));
    // Which byte is which is not known any more; that a program has written last is.
    assert_eq!(story.chain(later), "segment out 6+6 < write 6");
}
