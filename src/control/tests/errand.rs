//! What clients have done by the stack.

use super::*;
use crate::errands::{Connect, Errand, Listen, Manner, Outcome, Ping, Probe, Traceroute};

/// A conversation by hand.
struct Talk {
    lines: BufReader<UnixStream>,
}

impl Talk {
    fn begin(daemon: &Daemon) -> Talk {
        let mut talk = Talk { lines: BufReader::new(daemon.connect()) };
        assert!(matches!(talk.hear(), Message::Hello(_)));
        talk
    }

    fn say(&mut self, line: &str) {
        self.lines.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn give(&mut self, bytes: &[u8]) {
        self.say(&Request::Data { bytes: bytes.to_vec().into() }.to_string());
    }

    #[track_caller]
    fn hear(&mut self) -> Message<'static> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a message: {line}"))
    }

    #[track_caller]
    fn refusal(&mut self) -> String {
        match self.hear() {
            Message::Error { error } => error,
            other => panic!("{other:?}"),
        }
    }

    /// All that the peer sends, to its end.
    #[track_caller]
    fn data(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.hear() {
                Message::Data { bytes } => all.extend_from_slice(&bytes),
                Message::Shutdown => return all,
                other => panic!("{other:?}"),
            }
        }
    }
}

const CONNECT: &str = r#"{"request":"connect","addresses":["127.0.0.1"],"port":7}"#;

fn listener(daemon: &Daemon) -> TcpListener {
    TcpListener::bind(&daemon.stack, "127.0.0.1:7".parse().unwrap()).unwrap()
}

/// Waits until the stack has only so many sockets.
#[track_caller]
fn until_sockets(daemon: &Daemon, count: usize) {
    let begun = Instant::now();
    loop {
        let rows = daemon.stack.wait_sockets().unwrap();
        if rows.len() <= count {
            return;
        }
        assert!(begun.elapsed() < WITHIN, "{rows:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn errands_and_what_they_say_are_written_as_the_document_says() {
    let document = include_str!("../../../docs/control.md");
    let written = |text: &str| assert!(document.contains(text), "docs/control.md does not show {text}");
    let host = || vec!["192.168.69.100".parse().unwrap()];
    let manner = Manner { udp: true, timeout: Some(Duration::from_secs(3)), ends_with_peer: true };
    let ping =
        Ping { count: Some(3), ttl: Some(5), timeout: Some(Duration::from_secs(1)), ..Ping::new("host", host()) };
    for errand in [
        Errand::Ping(ping),
        Errand::Traceroute(Traceroute { probe: Probe::Icmp, ..Traceroute::new("host", host()) }),
        Errand::Connect(Connect { addresses: host(), port: 80, zero: true, manner }),
        Errand::Listen(Listen { addresses: host(), port: 80, manner }),
    ] {
        assert_eq!(errand.validate(), Ok(()));
        let request = Request::from(errand);
        assert_eq!(request.to_string().parse(), Ok(request.clone()));
        let value: serde_json::Value = serde_json::from_str(&request.to_string()).unwrap();
        for (field, _) in value.as_object().unwrap().iter().filter(|(field, _)| *field != "request") {
            written(&format!("`{field}`"));
        }
    }
    for request in [
        Request::Ping(Ping { count: Some(3), ..Ping::new("", host()) }),
        Request::Data { bytes: b"hello\n"[..].into() },
        Request::Shutdown,
    ] {
        // Whatever is as usual is left out there.
        let text = request.to_string().replace(r#""host":"","#, "").replace(r#","interval":1000000,"size":56"#, "");
        written(&text);
        assert_eq!(text.parse(), Ok(request));
    }
    for message in [
        Message::Text { text: "PING 192.168.69.100 (192.168.69.100) 56(84) bytes of data.".into() },
        Message::Listening { local: "[::]:4950".parse().unwrap() },
        Message::Connected { peer: "192.168.69.100:80".parse().unwrap() },
        Message::Data { bytes: b"hello\n"[..].into() },
        Message::Shutdown,
        Message::Done(Outcome::Reached),
        Message::Done(Outcome::NotReached),
        Message::Done(Outcome::Mistake {
            error: "no route leads to 10.0.0.1; the stack needs a --gateway, or another --addr".into(),
        }),
        Message::Done(Outcome::Broken { error: "192.168.69.100:81: Connection refused (os error 111)".into() }),
    ] {
        let text = serde_json::to_string(&message).unwrap();
        written(&text);
        assert_eq!(serde_json::from_str::<Message<'_>>(&text).unwrap(), message);
    }
}

#[test]
fn a_ping_is_told_line_by_line_and_ends_by_its_count_or_when_it_is_enough() {
    let daemon = Daemon::new();
    let mut client = daemon.client();
    for count in [Some(3), None] {
        let ping =
            Ping { count, interval: Duration::from_millis(1), ..Ping::new("me", vec!["127.0.0.1".parse().unwrap()]) };
        client.begin(Errand::Ping(ping)).unwrap();
        let mut lines = Vec::new();
        let outcome = loop {
            match client.next().unwrap().unwrap() {
                Message::Text { text } => lines.push(text),
                Message::Done(outcome) => break outcome,
                other => panic!("{other:?}"),
            }
            if count.is_none() && lines.len() == 5 {
                client.speaker().unwrap().stop();
            }
        };
        assert_eq!(outcome, Outcome::Reached);
        assert_eq!(lines[0], "PING me (127.0.0.1) 56(84) bytes of data.");
        assert!(lines[3].starts_with("64 bytes from 127.0.0.1: icmp_seq=3 ttl=64 time="), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains(" received, 0% packet loss")), "{lines:?}");
    }
    // The same conversation goes on, and nothing is left of that.
    client.stats().unwrap();
    until_sockets(&daemon, 0);
}

#[test]
fn a_call_carries_both_ways_and_each_direction_ends_by_itself() {
    let daemon = Daemon::new();
    let listener = listener(&daemon);
    let mut talk = Talk::begin(&daemon);
    talk.say(CONNECT);
    assert_eq!(talk.hear(), Message::Connected { peer: "127.0.0.1:7".parse().unwrap() });
    let (mut peer, _) = listener.accept().unwrap();
    talk.give(b"hello");
    talk.give(b"");
    talk.say(r#"{"request":"shutdown"}"#);
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    let answer: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
    peer.write_all(&answer).unwrap();
    drop(peer);
    assert!(talk.data() == answer);
    assert_eq!(talk.hear(), Message::Done(Outcome::Reached));
    // Nobody listens there any more.
    drop(listener);
    talk.say(CONNECT);
    assert_eq!(
        talk.hear(),
        Message::Done(Outcome::Broken { error: "127.0.0.1:7: Connection refused (os error 111)".into() })
    );
}

#[test]
fn a_call_is_waited_for_and_datagrams_stay_whole() {
    let daemon = Daemon::new();
    let mut talk = Talk::begin(&daemon);
    talk.say(r#"{"request":"listen","addresses":["127.0.0.1"],"port":0}"#);
    let Message::Listening { local } = talk.hear() else { panic!() };
    let mut caller = TcpStream::connect(&daemon.stack, local).unwrap();
    assert_eq!(talk.hear(), Message::Connected { peer: caller.local_addr().unwrap() });
    talk.give(b"from here");
    talk.say(r#"{"request":"shutdown"}"#);
    let mut heard = String::new();
    caller.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "from here");
    caller.write_all(b"from there").unwrap();
    drop(caller);
    assert_eq!(talk.data(), b"from there");
    assert_eq!(talk.hear(), Message::Done(Outcome::Reached));

    talk.say(r#"{"request":"listen","port":53,"udp":true,"timeout":200000}"#);
    assert_eq!(talk.hear(), Message::Listening { local: "[::]:53".parse().unwrap() });
    let writer = UdpSocket::bind(&daemon.stack, "127.0.0.1:0".parse().unwrap()).unwrap();
    let letter = vec![7; 60_000];
    for letter in [&letter[..], b"", b"short"] {
        writer.send_to(letter, "127.0.0.1:53".parse().unwrap()).unwrap();
    }
    assert!(matches!(talk.hear(), Message::Connected { peer } if peer.port() == writer.local_addr().unwrap().port()));
    for letter in [&letter[..], b"", b"short"] {
        assert_eq!(talk.hear(), Message::Data { bytes: letter.to_vec().into() });
    }
    for letter in [&b"one"[..], b"", b"two"] {
        talk.give(letter);
        let mut buffer = [0; 64];
        let (length, _) = writer.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], letter);
    }
    // Silence ends it.
    assert_eq!(talk.hear(), Message::Text { text: "nothing has happened for a while".into() });
    assert_eq!(talk.hear(), Message::Done(Outcome::Reached));
}

#[test]
fn mistakes_are_answered_in_words_and_the_conversation_goes_on() {
    let daemon = Daemon::new();
    let mut talk = Talk::begin(&daemon);
    let data = r#"{"request":"data","bytes":"00"}"#;
    for (line, sentence) in [
        (data, "nothing is connected"),
        (r#"{"request":"shutdown"}"#, "nothing is connected"),
        (r#"{"request":"ping","addresses":["localhost"]}"#, "this is no request: invalid IP address"),
        (r#"{"request":"ping"}"#, "missing field `addresses`"),
        (r#"{"request":"ping","addresses":["::1"],"interval":0}"#, "the interval is from 1000"),
        (r#"{"request":"ping","addresses":["::1"],"size":65508}"#, "a size of 65508 is not from 0 to 65507"),
        (r#"{"request":"ping","addresses":["::1"],"ttl":0}"#, "a ttl of 0"),
        (r#"{"request":"ping","addresses":["::1"],"host":"a\nb"}"#, "no control characters"),
        (r#"{"request":"traceroute","addresses":["::1"],"max_hops":256}"#, "hops of 256"),
        (r#"{"request":"traceroute","addresses":["::1"],"wait":18446744073709551615}"#, "the wait is from 1000"),
        (r#"{"request":"connect","addresses":["::1"],"port":0}"#, "port 0"),
        (r#"{"request":"connect","addresses":["::1"],"port":65536}"#, "this is no request"),
    ] {
        talk.say(line);
        let error = talk.refusal();
        assert!(error.contains(sentence), "{line}: {error}");
    }
    talk.say(r#"{"request":"ping","addresses":["8.8.8.8"]}"#);
    let Message::Done(Outcome::Mistake { error }) = talk.hear() else { panic!() };
    assert!(error.contains("no route leads to 8.8.8.8"), "{error}");

    let listener = listener(&daemon);
    talk.say(CONNECT);
    assert!(matches!(talk.hear(), Message::Connected { .. }));
    let (mut peer, _) = listener.accept().unwrap();
    let long = format!(r#"{{"request":"data","bytes":"{}"}}"#, "00".repeat(40_000));
    for (line, sentence) in [
        (r#"{"request":"data","bytes":"0g"}"#, "not a string of hexadecimal digits"),
        (r#"{"request":"data","bytes":"000"}"#, "not a string of hexadecimal digits"),
        (&long, "a request has at most 65536 bytes"),
        ("nonsense", "this is no request"),
        (r#"{"request":"stats"}"#, "something else is under way"),
        (CONNECT, "something else is under way"),
    ] {
        talk.say(line);
        let error = talk.refusal();
        assert!(error.contains(sentence), "{line}: {error}");
    }
    talk.give(b"hello");
    peer.read_exact(&mut [0; 5]).unwrap();
    talk.say(r#"{"request":"shutdown"}"#);
    talk.say(data);
    assert!(talk.refusal().contains("nothing that this could be sent to"));
    talk.say(r#"{"request":"enough"}"#);
    assert_eq!(talk.hear(), Message::Done(Outcome::NotReached));
    // What is left is the listener, and the peer.
    until_sockets(&daemon, 2);
    talk.say(r#"{"request":"limits"}"#);
    assert!(matches!(talk.hear(), Message::Limits { .. }));
}

#[test]
fn a_client_that_closes_ends_what_it_has_begun_and_its_sockets() {
    let daemon = Daemon::new();
    let listener = listener(&daemon);
    for line in [
        CONNECT,
        r#"{"request":"listen","port":4950}"#,
        r#"{"request":"listen","port":4950,"udp":true}"#,
        r#"{"request":"ping","addresses":["127.0.0.1"],"interval":1000}"#,
    ] {
        let mut talk = Talk::begin(&daemon);
        talk.say(line);
        talk.hear();
        assert!(daemon.stack.wait_sockets().unwrap().len() > 1, "{line}");
        drop(talk);
        if line == CONNECT {
            let (mut peer, _) = listener.accept().unwrap();
            assert_eq!(peer.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        }
        until_sockets(&daemon, 1);
    }
}

#[test]
fn a_client_that_says_no_more_has_ended_its_direction_only() {
    let daemon = Daemon::new();
    let listener = listener(&daemon);
    let mut talk = Talk::begin(&daemon);
    talk.say(CONNECT);
    talk.give(b"hello");
    talk.lines.get_ref().shutdown(Shutdown::Write).unwrap();
    let (mut peer, _) = listener.accept().unwrap();
    let mut heard = String::new();
    peer.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    peer.write_all(b"goodbye").unwrap();
    drop(peer);
    assert!(matches!(talk.hear(), Message::Connected { .. }));
    assert_eq!(talk.data(), b"goodbye");
    assert_eq!(talk.hear(), Message::Done(Outcome::Reached));
    assert_eq!(talk.lines.read_to_end(&mut Vec::new()).unwrap(), 0);
}

/// Writes until nothing has been taken for a while; gives how much was.
fn stuff(mut write: impl FnMut(&[u8]) -> std::io::Result<usize>) -> usize {
    let (mut total, mut last) = (0, Instant::now());
    while last.elapsed() < Duration::from_millis(300) {
        match write(&[7; 16_384]) {
            Ok(count) => (total, last) = (total + count, Instant::now()),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(total < 32 << 20, "it takes everything");
    }
    total
}

#[test]
fn a_side_that_takes_nothing_makes_the_other_wait_and_nothing_is_lost() {
    let daemon = Daemon::new();
    let listener = listener(&daemon);
    let mut talk = Talk::begin(&daemon);
    talk.say(CONNECT);
    let (mut peer, _) = listener.accept().unwrap();
    // The client does not read, and so the peer cannot write on.
    peer.set_nonblocking(true).unwrap();
    let total = stuff(|bytes| peer.write(bytes));
    peer.set_nonblocking(false).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(matches!(talk.hear(), Message::Connected { .. }));
    assert_eq!(talk.data().len(), total);

    // The peer does not read, and so the client cannot write on.
    let line = format!("{}\n", Request::Data { bytes: vec![7; 1000].into() });
    let stream = talk.lines.get_ref().try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut sent = Vec::new();
    stuff(|_| {
        let rest = &line.as_bytes()[sent.len() % line.len()..];
        let count = (&stream).write(rest)?;
        sent.resize(sent.len() + count, 0);
        Ok(count)
    });
    // It goes while nobody takes anything: that is seen all the same.
    drop((talk, stream));
    until_sockets(&daemon, 2);
    drop(peer);
    until_sockets(&daemon, 1);
}

#[test]
fn a_client_that_takes_nothing_for_too_long_is_cut_off_and_its_call_with_it() {
    let daemon = Daemon::start(Limits::default(), Duration::from_millis(50));
    let listener = listener(&daemon);
    let mut talk = Talk::begin(&daemon);
    talk.say(CONNECT);
    let (mut peer, _) = listener.accept().unwrap();
    let ended = (0..1000).find_map(|_| peer.write_all(&[7; 65_536]).err()).unwrap();
    assert!(matches!(ended.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{ended}");
}
