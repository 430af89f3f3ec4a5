//! Two sockets of one stack, joined: no packet exists.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{TcpControl, TcpPacket, TcpRepr};

use super::echo::open_a;
use super::wire::segment;
use super::*;
use crate::error::Error;
use crate::ip::fixture;
use crate::observe::{Rule, TcpState};
use crate::socket::{Domain, Kind, Protocol, SocketOption};

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

/// By the link no packet from an address of ours comes in; a program with a raw socket can write one.
#[test]
fn a_segment_for_a_joined_connection_changes_nothing_and_says_whose_it_would_be() {
    let mut net = Net::new();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let Ok(Outcome::Stream(client)) = net.call_a(Verb::OpenStream { local: None, remote: at(A, 80) }) else { panic!() };
    let server = listener.queue.try_accept().unwrap();
    let reset = TcpRepr { src_port: client.local.port(), ..segment(TcpControl::Rst, 1, None) };
    let (source, destination) = (fixture::OURS.into(), fixture::OURS.into());
    let mut bytes = vec![0; reset.buffer_len()];
    let mut packet = TcpPacket::new_unchecked(&mut bytes);
    reset.emit(&mut packet, &source, &destination, &ChecksumCapabilities::default());
    let writer = open_a(&mut net, Domain::Inet, Kind::Raw(Protocol::TCP));
    net.a.seen.packets.clear();
    writer.pipe.try_send(&bytes, at(A, 0), None).unwrap();
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::TcpJoined), 1);
    let (_, _, fate) = net.a.seen.packets.iter().rfind(|(way, ..)| *way == Direction::In).unwrap();
    assert!(fate.owner.is_some() && fate.rule == Some(Rule::TcpJoined), "{fate:?}");
    client.pipe.try_write(b"still here").unwrap();
    assert_eq!(server.pipe.try_read(&mut [0; 16]), Ok(10));
}
