//! Two sockets of one stack, joined: no packet exists.

use std::io::IoSlice;

use super::echo::{echo_a, next, request};
use super::*;
use crate::error::Error;
use crate::observe::{Rule, TcpState};
use crate::pipe::Stream;
use crate::socket::{Domain, Kind, SocketOption, UnixPipe};

/// A stack alone. Whatever a test does: there was no packet, and at the end nothing is left.
struct Alone(Net);

impl Alone {
    fn new() -> Alone {
        Alone::with(Limits::default())
    }

    fn with(limits: Limits) -> Alone {
        let mut net = Net::with(FaultConfig::default(), Config { limits, ..config_a() }, config_b());
        // The link-local address announces itself.
        net.run(Duration::from_secs(30));
        net.a.seen = Seen::default();
        Alone(net)
    }

    fn connect(&mut self, local: Option<SocketAddr>) -> Result<StreamSocket> {
        match self.0.call_a(Verb::OpenStream { local, remote: at("127.0.0.1", 80) })? {
            Outcome::Stream(stream) => Ok(stream),
            other => panic!("{other:?}"),
        }
    }

    /// The connecting end, the accepted one, and the listener.
    fn connected(&mut self) -> (StreamSocket, StreamSocket, ListenerSocket) {
        let listener = self.0.listen_a(at("0.0.0.0", 80), 16);
        let client = self.connect(None).unwrap();
        let server = listener.queue.try_accept().unwrap();
        (client, server, listener)
    }

    fn state(&mut self, stream: &StreamSocket) -> TcpState {
        self.0.settle();
        let Ok(Outcome::Info(info)) = self.0.call_a(Verb::Info { socket: stream.handle }) else { panic!() };
        assert_eq!((info.local, info.remote), (stream.local, stream.remote));
        info.state
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // TIME-WAIT.
        self.0.run(Duration::from_secs(100));
        assert!(self.0.a.seen.packets.is_empty());
        assert!(self.0.a.seen.frames.iter().all(|(_, direction, ..)| *direction == Direction::In));
        assert_eq!(self.0.a.stack.sockets(), 0);
        self.0.a.stack.transport.check();
    }
}

#[test]
fn the_trace_names_both_ends_and_what_is_skipped_and_how_they_ended() {
    let mut alone = Alone::new();
    let (client, server, listener) = alone.connected();
    client.pipe.try_write(b"question").unwrap();
    assert_eq!(server.pipe.try_read(&mut [0; 16]), Ok(8), "before the engine looks");
    drop(client);
    alone.0.settle();
    drop((server, listener));
    alone.0.settle();
    let events = &alone.0.a.seen.events;
    let kinds: Vec<_> = events.iter().map(|event| event.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["Bound", "Connected", "Accepted", "Joined", "Closed", "Closed", "Closed"]);
    let closed: Vec<_> =
        alone.0.a.events("Closed").into_iter().filter(|event| event.contains("bytes_out: 8")).collect();
    assert!(closed.len() == 1 && closed[0].contains("ByUs"), "{events:?}");
}

#[test]
fn the_states_are_those_of_every_connection_and_the_port_waits_behind_it() {
    let mut alone = Alone::new();
    let (client, server, listener) = alone.connected();
    assert_eq!((alone.state(&client), alone.state(&server)), (TcpState::Established, TcpState::Established));
    client.pipe.shutdown_write();
    assert_eq!((alone.state(&client), alone.state(&server)), (TcpState::FinWait2, TcpState::CloseWait));
    let local = client.local;
    // Nobody else may use both ends while one of them is open.
    assert_eq!(alone.connect(Some(local)).unwrap_err(), Error::AddressNotAvailable);
    drop(server);
    assert_eq!(alone.state(&client), TcpState::Closed);
    drop(client);
    alone.0.settle();
    let remnants =
        |alone: &Alone| alone.0.a.stack.transport.left().into_iter().find(|(name, _)| *name == "remnants").unwrap().1;
    assert_eq!(remnants(&alone), 1, "TIME-WAIT");
    // No old segment can come: the next one may follow at once.
    let again = alone.connect(Some(local)).unwrap();
    assert_eq!(remnants(&alone), 0);
    drop((again, listener));
}

#[test]
fn a_reset_ends_both_at_once_and_nothing_waits() {
    let mut alone = Alone::new();
    let (client, server, listener) = alone.connected();
    alone
        .0
        .call_a(Verb::SetOption { socket: server.handle, option: SocketOption::Linger(Some(Duration::ZERO)) })
        .unwrap();
    server.pipe.try_write(b"last").unwrap();
    drop(server);
    alone.0.settle();
    assert_eq!(alone.state(&client), TcpState::Closed);
    let mut buffer = [0; 8];
    assert_eq!(client.pipe.try_read(&mut buffer), Ok(4));
    assert_eq!(client.pipe.try_read(&mut buffer), Err(Error::ConnectionReset));
    assert_eq!(client.pipe.try_write(b"x"), Err(Error::BrokenPipe));
    drop((client, listener));
    alone.0.settle();
    let closed = alone.0.a.events("Closed");
    assert!(closed[0].contains("Aborted") && closed[1].contains("Reset"), "{closed:?}");
    assert_eq!(alone.0.a.stack.transport.left().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>(), []);
}

#[test]
fn connections_that_nobody_accepted_are_reset_with_their_listener() {
    let mut alone = Alone::new();
    let listener = alone.0.listen_a(at("127.0.0.1", 80), 16);
    let client = alone.connect(None).unwrap();
    drop(listener);
    alone.0.settle();
    assert_eq!(client.pipe.try_read(&mut [0; 8]), Err(Error::ConnectionReset));
    drop(client);
    alone.0.settle();
}

#[test]
fn joined_connections_count_as_sockets_and_find_a_bound() {
    let mut alone = Alone::with(Limits { sockets: 5, ..Limits::default() });
    let (client, server, listener) = alone.connected();
    let second = alone.connect(None).unwrap();
    assert_eq!(alone.0.a.stack.sockets(), 5);
    assert_eq!(alone.connect(None).unwrap_err(), Error::TooManySockets);
    drop((client, server));
    alone.0.settle();
    let third = alone.connect(None).unwrap();
    drop((second, third, listener));
    alone.0.settle();
}

#[test]
fn both_ends_are_told_when_their_address_goes() {
    let mut alone = Alone::new();
    let listener = alone.0.listen_a(at("0.0.0.0", 80), 16);
    let Ok(Outcome::Stream(client)) = alone.0.call_a(Verb::OpenStream { local: None, remote: at(A, 80) }) else {
        panic!()
    };
    let server = listener.queue.try_accept().unwrap();
    let now = alone.0.now;
    alone.0.a.stack.remove_address(now, A.parse().unwrap(), &mut alone.0.a.seen).unwrap();
    for stream in [&client, &server] {
        assert_eq!(stream.pipe.try_read(&mut [0; 8]), Err(Error::AddressNotAvailable));
        assert_eq!(stream.pipe.try_write(b"x"), Err(Error::BrokenPipe));
    }
    drop((client, server, listener));
    alone.0.settle();
    assert_eq!(alone.0.a.events("Closed").iter().filter(|event| event.contains("AddressGone")).count(), 2);
}

#[test]
fn a_lingering_close_has_nothing_to_wait_for() {
    let mut alone = Alone::new();
    let (client, server, listener) = alone.connected();
    client.pipe.try_write(b"unread").unwrap();
    client.pipe.shutdown_write();
    let before = alone.0.now;
    alone.0.call_a(Verb::Linger { socket: client.handle }).unwrap();
    assert_eq!(alone.0.now, before);
    drop((client, listener));
    assert_eq!(server.pipe.try_read(&mut [0; 8]), Ok(6));
    drop(server);
    alone.0.settle();
}

#[test]
fn ten_thousand_are_open_at_once_and_all_of_them_end() {
    const COUNT: usize = 10_000;
    let limits = Limits { sockets: 2 * COUNT + 1, backlog: COUNT, ..Limits::default() };
    let mut alone = Alone::with(limits);
    let listener = alone.0.listen_a(at("127.0.0.1", 80), COUNT);
    for _ in 0..COUNT {
        alone.0.a.begin(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) });
    }
    alone.0.settle();
    let done = std::mem::take(&mut alone.0.a.done);
    let clients: Vec<StreamSocket> = done
        .into_iter()
        .map(|(_, result)| match result {
            Ok(Outcome::Stream(stream)) => stream,
            other => panic!("{other:?}"),
        })
        .collect();
    let servers: Vec<StreamSocket> = std::iter::from_fn(|| listener.queue.try_accept().ok()).collect();
    assert_eq!((clients.len(), servers.len()), (COUNT, COUNT));
    for (number, (client, server)) in clients.iter().zip(&servers).enumerate() {
        let (question, mut buffer) = (number.to_be_bytes(), [0; 16]);
        assert_eq!(client.pipe.try_write(&question), Ok(8));
        assert_eq!((server.pipe.try_read(&mut buffer), &buffer[..8]), (Ok(8), &question[..]));
        assert_eq!(server.pipe.try_write(&buffer[..8]), Ok(8));
        assert_eq!((client.pipe.try_read(&mut buffer), &buffer[..8]), (Ok(8), &question[..]));
    }
    assert_eq!(alone.0.a.stack.sockets(), 2 * COUNT + 1);
    drop((clients, servers, listener));
    alone.0.settle();
    assert_eq!(alone.0.a.stack.counters().of(Rule::TcpRemnantLimit), 0);
}

#[test]
fn datagrams_go_from_queue_to_queue_and_the_addresses_are_those_of_packets() {
    let mut alone = Alone::new();
    for (to, from) in [("127.0.0.1", "127.0.0.1"), (A, A), ("::1", "::1"), (A6, A6)] {
        let wildcard = if to.contains(':') { "::" } else { "0.0.0.0" };
        let (one, other) = (alone.0.bind_a(at(wildcard, 0)), alone.0.bind_a(at(wildcard, 0)));
        let mut buffer = vec![0; 65_536];
        for length in [0, 1, 1472, 65_507] {
            one.pipe.try_send(&vec![3; length], at(to, other.local.port()), None).unwrap();
            alone.0.settle();
            let (count, peer, local) = other.pipe.try_receive(&mut buffer).unwrap();
            assert_eq!((count, peer), (length, at(from, one.local.port())), "{to}");
            assert_eq!(local, Some(to.parse().unwrap()));
        }
        drop((one, other));
        alone.0.settle();
        let closed = alone.0.a.events("Closed").split_off(0);
        assert!(closed.iter().any(|event| event.contains("bytes_in: 66980") && event.contains("packets_in: 4")));
        assert!(closed.iter().any(|event| event.contains("bytes_out: 66980") && event.contains("packets_out: 4")));
        alone.0.a.seen.events.clear();
    }
}

#[test]
fn a_datagram_without_a_packet_is_seen_with_both_its_sockets_and_so_is_one_that_is_lost() {
    let mut alone = Alone::new();
    let (one, other) = (alone.0.bind_a(at("127.0.0.1", 5000)), alone.0.bind_a(at("127.0.0.1", 5001)));
    one.pipe.try_send(b"hello", other.local, None).unwrap();
    alone.0.settle();
    let seen = |alone: &Alone| alone.0.a.events("Datagram").into_iter().cloned().collect::<Vec<_>>();
    let id = |number| format!("SocketId {{ protocol: Udp, number: {number} }}");
    let expected = format!(
        "Datagram {{ socket: {}, peer: {}, source: 127.0.0.1:5000, destination: 127.0.0.1:5001, length: 5, rule: None }}",
        id(1),
        id(2)
    );
    assert_eq!(seen(&alone), [expected]);
    for _ in 0..600 {
        one.pipe.try_send(b"", other.local, None).unwrap();
        alone.0.settle();
    }
    let lost = seen(&alone).iter().filter(|event| event.contains("rule: Some(UdpBufferFull)")).count() as u64;
    assert!(lost > 0);
    assert_eq!((seen(&alone).len(), lost), (601, alone.0.a.stack.counters().of(Rule::UdpBufferFull)));
    drop((one, other));
    alone.0.settle();
}

#[test]
fn a_full_queue_loses_datagrams_by_name_and_a_connected_socket_hears_its_peer_only() {
    let mut alone = Alone::new();
    let (one, other) = (alone.0.bind_a(at("127.0.0.1", 0)), alone.0.bind_a(at("127.0.0.1", 0)));
    for _ in 0..600 {
        one.pipe.try_send(b"", other.local, None).unwrap();
        alone.0.settle();
    }
    let received = std::iter::from_fn(|| other.pipe.try_receive(&mut [0; 8]).ok()).count() as u64;
    assert!(received > 0);
    assert_eq!(alone.0.a.stack.counters().of(Rule::UdpBufferFull), 600 - received);
    alone.0.call_a(Verb::Connect { socket: other.handle, remote: at("127.0.0.1", 9).into() }).unwrap();
    let third = alone.0.bind_a(at("127.0.0.1", 9));
    third.pipe.try_send(b"mine", other.local, None).unwrap();
    alone.0.settle();
    assert_eq!(other.pipe.try_receive(&mut [0; 8]).map(|(count, from, _)| (count, from)), Ok((4, third.local)));
    drop((one, other, third));
    alone.0.settle();
}

#[test]
fn an_echo_request_to_ourselves_has_its_reply_at_once() {
    let mut alone = Alone::new();
    let ourselves =
        [(Domain::Inet, A, 8), (Domain::Inet, "127.9.8.7", 8), (Domain::Inet6, A6, 128), (Domain::Inet6, "::1", 128)];
    for (number, (domain, own, kind)) in (1..).zip(ourselves) {
        alone.0.a.seen.events.clear();
        let socket = echo_a(&mut alone.0, domain, 7);
        socket.pipe.try_send(&request(kind, 5, b"hello"), at(own, 0), None).unwrap();
        alone.0.settle();
        let (reply, from) = next(&socket).unwrap();
        assert_eq!(
            (from, reply[0], &reply[4..]),
            (at(own, 0), if kind == 8 { 0 } else { 129 }, &b"\0\x07\0\x05hello"[..])
        );
        assert_eq!(next(&socket), Err(Error::WouldBlock));
        let source = if own == "127.9.8.7" { "127.0.0.1" } else { own };
        let id = format!("SocketId {{ protocol: Icmp, number: {number} }}");
        let ends = format!("source: {}, destination: {}", at(source, 7), at(own, 0));
        let expected = format!("Datagram {{ socket: {id}, peer: {id}, {ends}, length: 5, rule: None }}");
        assert_eq!(alone.0.a.events("Datagram"), [&expected]);
        drop(socket);
        alone.0.settle();
        let closed = alone.0.a.events("Closed");
        let carried = ["bytes_in: 13", "bytes_out: 13", "packets_in: 1", "packets_out: 1"];
        assert!(carried.iter().all(|part| closed[0].contains(part)), "{closed:?}");
    }
}

#[test]
fn echo_replies_that_nobody_reads_are_bounded_and_lost_by_name() {
    let mut alone = Alone::new();
    let socket = echo_a(&mut alone.0, Domain::Inet, 1);
    for _ in 0..600 {
        socket.pipe.try_send(&request(8, 0, &[0; 1000]), at("127.0.0.1", 0), None).unwrap();
        alone.0.settle();
    }
    let received = std::iter::from_fn(|| next(&socket).ok()).count() as u64;
    assert!(received > 100);
    assert_eq!(alone.0.a.stack.counters().of(Rule::EchoBufferFull), 600 - received);
    let lost = alone.0.a.events("Datagram").iter().filter(|event| event.contains("Some(EchoBufferFull)")).count();
    assert_eq!(lost as u64, 600 - received);
    // It goes on.
    socket.pipe.try_send(&request(8, 9, b""), at("127.0.0.1", 0), None).unwrap();
    alone.0.settle();
    assert_eq!(next(&socket).map(|(reply, _)| reply[7]), Ok(9));
}

#[test]
fn at_the_limit_on_memory_no_echo_reply_is_kept() {
    let mut alone = Alone::with(Limits { memory: 100_000, ..Limits::default() });
    let sockets = [0; 2].map(|_| echo_a(&mut alone.0, Domain::Inet, 0));
    for socket in sockets.iter().cycle().take(400) {
        let _ = socket.pipe.try_send(&request(8, 0, &[0; 1000]), at(A, 0), None);
        alone.0.settle();
        assert!(alone.0.a.stack.memory_used() <= 102_200);
    }
    assert!(alone.0.a.stack.counters().of(Rule::EchoMemoryLimit) > 0);
    drop(sockets);
    alone.0.settle();
    assert_eq!(alone.0.a.stack.memory_used(), 0);
}

/// As of packets: an identifier that is shared is that of the last one who took it.
#[test]
fn the_echo_reply_is_for_who_would_hear_it_in_a_packet() {
    let mut alone = Alone::new();
    let [first, last] = [0; 2].map(|_| echo_a(&mut alone.0, Domain::Inet, 7));
    first.pipe.try_send(&request(8, 3, b""), at(A, 0), None).unwrap();
    alone.0.settle();
    assert_eq!(next(&first), Err(Error::WouldBlock));
    assert_eq!(next(&last).map(|(reply, _)| reply[7]), Ok(3));
}

#[test]
fn memory_is_given_back_when_nothing_moves_and_nothing_is_due_after_that() {
    let mut alone = Alone::new();
    let (client, server, listener) = alone.connected();
    let before = alone.0.a.stack.memory_used();
    for _ in 0..2 {
        assert_eq!(client.pipe.try_write(&[1; 20_000]), Ok(20_000));
        assert_eq!(server.pipe.try_read(&mut [0; 15_000]), Ok(15_000));
        alone.0.run(Duration::from_secs(5));
        assert!(alone.0.a.stack.memory_used() >= before + 20_000, "it is still to be read");
        assert_eq!(server.pipe.try_read(&mut [0; 5000]), Ok(5000));
        alone.0.run(Duration::from_secs(5));
        assert_eq!(alone.0.a.stack.memory_used(), before);
        assert!(alone.0.a.deadline.is_none_or(|at| at > alone.0.now + Duration::from_secs(5)));
    }
    drop((client, server, listener));
    alone.0.settle();
}

#[test]
fn idle_unix_streams_give_their_memory_back_as_well() {
    let mut alone = Alone::new();
    let Ok(Outcome::UnixPair(pair)) = alone.0.call_a(Verb::OpenPair { kind: Kind::UnixStream }) else { panic!() };
    let [Some(UnixPipe::Stream(one)), Some(UnixPipe::Stream(other))] =
        pair.each_ref().map(|socket| socket.pipe.as_ref())
    else {
        panic!()
    };
    let before = alone.0.a.stack.memory_used();
    for _ in 0..2 {
        assert_eq!(one.try_write(&[1; 20_000]), Ok(20_000));
        assert_eq!(other.try_read(&mut [0; 20_000]), Ok(20_000));
        alone.0.settle();
        assert!(alone.0.a.stack.memory_used() >= before + 20_000);
        alone.0.run(Duration::from_secs(5));
        assert_eq!(alone.0.a.stack.memory_used(), before);
        assert!(alone.0.a.deadline.is_none_or(|at| at > alone.0.now + Duration::from_secs(5)));
    }
    drop(pair);
    alone.0.settle();
}

/// How many bytes `stream` takes of which nobody reads any.
fn taken(stream: &Stream) -> usize {
    std::iter::from_fn(|| stream.try_write(&[0; 1000]).ok()).sum()
}

#[test]
fn buffers_bound_what_is_on_its_way_whenever_they_are_chosen() {
    let mut alone = Alone::new();
    let set = |alone: &mut Alone, socket, option| {
        alone.0.call_a(Verb::SetOption { socket, option }).unwrap();
    };
    // Before it connects: of the listener, whose choice goes to who is accepted, and of the client.
    let fresh = |alone: &mut Alone| match alone.0.call_a(Verb::Open { domain: Domain::Inet, kind: Kind::Tcp }) {
        Ok(Outcome::Fresh(socket)) => socket,
        other => panic!("{other:?}"),
    };
    let (listening, connecting) = (fresh(&mut alone), fresh(&mut alone));
    set(&mut alone, listening, SocketOption::ReceiveBuffer(4096));
    set(&mut alone, connecting, SocketOption::SendBuffer(8192));
    let remote = at("127.0.0.1", 80);
    alone.0.call_a(Verb::Bind { socket: listening, local: remote.into() }).unwrap();
    let Ok(Outcome::Listener(listener)) = alone.0.call_a(Verb::Listen { socket: listening, backlog: 4 }) else {
        panic!()
    };
    let verb = Verb::Connect { socket: connecting, remote: remote.into() };
    let Ok(Outcome::Connecting(Some(client))) = alone.0.call_a(verb) else { panic!() };
    let server = listener.queue.try_accept().unwrap();
    assert_eq!(taken(&client), 4096 + 8192);
    assert!(!client.readiness().writable);
    let ring = Limits::default().pipe;
    assert_eq!(taken(&server.pipe), ring, "the other way nobody has chosen");
    // After that, in both directions: what is there stays, and there is room when enough of it is read.
    set(&mut alone, server.handle, SocketOption::ReceiveBuffer(2048));
    let mut buffer = vec![0; ring];
    assert_eq!(server.pipe.try_read(&mut buffer[..2048]), Ok(2048));
    assert_eq!(client.try_write(b"x"), Err(Error::WouldBlock));
    assert_eq!(server.pipe.try_read(&mut buffer), Ok(10_240));
    assert_eq!(taken(&client), 2048 + 8192);
    set(&mut alone, connecting, SocketOption::SendBuffer(16_384));
    assert_eq!(taken(&client), 8192);
    set(&mut alone, connecting, SocketOption::SendBuffer(1 << 20));
    assert_eq!(taken(&client), ring - 2048 - 16_384);
    drop((client, server, listener));
    alone.0.settle();
}

#[test]
fn the_send_buffer_bounds_unix_sockets_too() {
    let mut alone = Alone::new();
    for (kind, most) in [(Kind::UnixStream, 8192), (Kind::UnixSeqPacket, 2 * 8192)] {
        let Ok(Outcome::UnixPair(pair)) = alone.0.call_a(Verb::OpenPair { kind }) else { panic!() };
        let option = SocketOption::SendBuffer(8192);
        alone.0.call_a(Verb::SetOption { socket: pair[0].handle, option }).unwrap();
        // unix(7): the receiver's has no effect.
        let option = SocketOption::ReceiveBuffer(4096);
        alone.0.call_a(Verb::SetOption { socket: pair[1].handle, option }).unwrap();
        let sent: usize = match &pair[0].pipe {
            Some(UnixPipe::Stream(stream)) => taken(stream),
            Some(UnixPipe::SeqPacket(messages)) => {
                let message = [0; 1000];
                assert_eq!(messages.try_send_message(&[IoSlice::new(&[0; 20_000])], ()), Err(Error::MessageTooLong));
                let send = || messages.try_send_message(&[IoSlice::new(&message)], ()).ok().map(|()| 1000);
                std::iter::from_fn(send).sum()
            }
            other => panic!("{other:?}"),
        };
        assert!((most - 1500..=most).contains(&sent), "{kind:?} {sent}");
        drop(pair);
        alone.0.settle();
    }
}

#[test]
fn what_was_sent_before_an_option_is_set_goes_out_as_the_socket_was_then() {
    let mut alone = Alone::new();
    let (one, other) = (alone.0.bind_a(at("127.0.0.1", 0)), alone.0.bind_a(at("0.0.0.0", 0)));
    let option = |permission| Verb::SetOption { socket: one.handle, option: SocketOption::Broadcast(permission) };
    alone.0.call_a(option(true)).unwrap();
    // More than one round of them.
    for _ in 0..200 {
        one.pipe.try_send(b"x", at("127.0.0.1", other.local.port()), None).unwrap();
    }
    one.pipe.try_send(b"all", at("127.255.255.255", other.local.port()), None).unwrap();
    alone.0.call_a(option(false)).unwrap();
    one.pipe.try_send(b"none", at("127.255.255.255", other.local.port()), None).unwrap();
    alone.0.settle();
    let lengths: Vec<_> = std::iter::from_fn(|| other.pipe.try_receive(&mut [0; 8]).ok()).map(|got| got.0).collect();
    assert_eq!((lengths.len(), lengths.last()), (201, Some(&3)));
    assert_eq!(one.pipe.take_error(), Err(Error::PermissionDenied));
    drop((one, other));
    alone.0.settle();
    // A broadcast is for many, and so it went by packets.
    alone.0.a.seen.packets.clear();
}

#[test]
fn what_is_deferred_is_not_joined_but_waits_for_data() {
    let mut net = Net::new();
    let Ok(Outcome::Fresh(socket)) = net.call_a(Verb::Open { domain: Domain::Inet, kind: Kind::Tcp }) else { panic!() };
    let option = SocketOption::DeferAccept(Duration::from_secs(7));
    net.call_a(Verb::SetOption { socket, option }).unwrap();
    net.call_a(Verb::Bind { socket, local: at("127.0.0.1", 80).into() }).unwrap();
    let Ok(Outcome::Listener(listener)) = net.call_a(Verb::Listen { socket, backlog: 4 }) else { panic!() };
    let verb = Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) };
    let Ok(Outcome::Stream(client)) = net.call_a(verb) else { panic!() };
    net.settle();
    assert!(listener.queue.try_accept().is_err());
    client.pipe.try_write(b"data").unwrap();
    net.settle();
    let server = listener.queue.try_accept().unwrap();
    assert_eq!(server.pipe.try_read(&mut [0; 8]), Ok(4));
}
