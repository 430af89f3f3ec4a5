//! How stacks end, and what those are told who wait.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::*;
use crate::config::{Config, Loopback};
use crate::device::{Device, pair};
use crate::observe::{self, CallKind, Depth, Event, Observer, Record};
use crate::recording::{Changes, Player, Recorder, Recording};

/// Everything waits at most so long for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// Goes with its engine, and says so.
struct Companion(Sender<()>);

impl Observer for Companion {
    fn depth(&self) -> Depth {
        Depth::Nothing
    }

    fn observe(&mut self, _record: &Record<'_>) {}
}

impl Drop for Companion {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn watched() -> (Builder, Receiver<()>) {
    let (tell, told) = channel();
    (Stack::builder().observer(Box::new(Companion(tell))), told)
}

fn host(address: &str, last: u8) -> Config {
    let mac = format!("02:00:00:00:00:{last:02x}").parse().unwrap();
    Config { addresses: vec![address.parse().unwrap()], mac, ..Config::default() }
}

fn two_hosts(device: impl Device + 'static, other: impl Device + 'static) -> (Stack, Stack, Receiver<()>) {
    let (builder, gone) = watched();
    let stack = builder.config(host("10.0.0.1/24", 1)).device(device).unwrap();
    let peer = Stack::builder().config(host("10.0.0.2/24", 2)).device(other).unwrap();
    stack.wait_ready().unwrap();
    peer.wait_ready().unwrap();
    (stack, peer, gone)
}

#[test]
fn a_stack_that_nobody_holds_is_gone() {
    let (builder, gone) = watched();
    let stack = builder.loopback_only().unwrap();
    let listener = TcpListener::bind(&stack, at("127.0.0.1:80")).unwrap();
    let client = TcpStream::connect(&stack, at("127.0.0.1:80")).unwrap();
    let names = UnixListener::bind(&stack, "/name").unwrap();
    let udp = UdpSocket::bind(&stack, at("127.0.0.1:80")).unwrap();
    drop(stack);
    udp.send_to(b"still here", udp.local_addr().unwrap()).unwrap();
    assert_eq!(udp.recv_from(&mut [0; 16]).unwrap().0, 10, "its sockets hold it");
    drop((listener, client, names, udp));
    gone.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn what_was_written_arrives_though_nobody_holds_the_stack_any_more() {
    let (device, other) = pair(1500);
    let (stack, peer, gone) = two_hosts(device, other);
    let listener = TcpListener::bind(&peer, at("0.0.0.0:80")).unwrap();
    let mut client = TcpStream::connect(&stack, at("10.0.0.2:80")).unwrap();
    drop(stack);
    let writer = thread::spawn(move || client.write_all(&[7; 200_000]).unwrap());
    let (mut server, _) = listener.accept().unwrap();
    let mut bytes = Vec::new();
    server.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 200_000);
    writer.join().unwrap();
    drop(server);
    gone.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn who_waits_is_told_when_the_future_that_runs_the_stack_is_dropped() {
    let (device, _other) = pair(1500);
    let (stack, run) = Stack::builder().drive(device).unwrap();
    let (drop_it, dropped) = ::tokio::sync::oneshot::channel::<()>();
    let driver = thread::spawn(move || {
        let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            ::tokio::select! {
                _ = run => panic!("it was not asked to stop"),
                _ = dropped => {}
            }
        });
    });
    let listener = TcpListener::bind(&stack, at("127.0.0.1:80")).unwrap();
    let mut client = TcpStream::connect(&stack, at("127.0.0.1:80")).unwrap();
    let _server = listener.accept().unwrap();
    let udp = UdpSocket::bind(&stack, at("127.0.0.1:80")).unwrap();
    let names = UnixListener::bind(&stack, "/name").unwrap();
    let letters = UnixDatagram::bind(&stack, "/letters").unwrap();
    let (tell, told) = channel();
    let wait = |call: Box<dyn FnOnce() -> ErrorKind + Send>| {
        let tell = tell.clone();
        thread::spawn(move || tell.send(call()));
    };
    wait(Box::new(move || listener.accept().unwrap_err().kind()));
    wait(Box::new(move || client.read(&mut [0]).unwrap_err().kind()));
    wait(Box::new(move || udp.recv_from(&mut [0]).unwrap_err().kind()));
    wait(Box::new(move || names.accept().unwrap_err().kind()));
    wait(Box::new(move || letters.recv(&mut [0]).unwrap_err().kind()));
    drop_it.send(()).unwrap();
    for _ in 0..5 {
        assert_eq!(told.recv_timeout(PATIENCE), Ok(ErrorKind::NetworkDown));
    }
    driver.join().unwrap();
}

#[test]
fn a_drop_on_the_thread_that_runs_the_stack_does_not_linger() {
    let (device, _other) = pair(1500);
    let (stack, run) = Stack::builder().drive(device).unwrap();
    let (give, given) = ::tokio::sync::oneshot::channel::<TcpStream>();
    let (tell, told) = channel();
    let driver = thread::spawn(move || {
        let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            ::tokio::select! {
                _ = run => panic!("it was not asked to stop"),
                stream = given => drop(stream),
            }
        });
        tell.send(()).unwrap();
    });
    let listener = TcpListener::bind(&stack, at("127.0.0.1:80")).unwrap();
    let mut client = TcpStream::connect(&stack, at("127.0.0.1:80")).unwrap();
    let _server = listener.accept().unwrap();
    client.as_ref().set_linger(Some(Duration::from_secs(3600))).unwrap();
    client.write_all(b"unread").unwrap();
    give.send(client).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(()));
    driver.join().unwrap();
}

#[test]
fn the_list_of_sockets_counts_what_went_by_in_every_family() {
    let stack = Stack::builder().loopback_only().unwrap();
    let letters = UnixDatagram::bind(&stack, "/letters").unwrap();
    let writer = UnixDatagram::unbound(&stack).unwrap();
    for _ in 0..3 {
        writer.send_to(b"four", "/letters").unwrap();
    }
    letters.recv(&mut [0; 2]).unwrap();
    let (near, far) = UnixStream::pair(&stack).unwrap();
    (&near).write_all(b"hello").unwrap();
    let (one, other) = (at("127.0.0.1:1"), at("127.0.0.1:2"));
    let (one, other) = (UdpSocket::bind(&stack, one).unwrap(), UdpSocket::bind(&stack, other).unwrap());
    one.send_to(b"datagram", other.local_addr().unwrap()).unwrap();
    other.recv_from(&mut [0; 8]).unwrap();
    let rows = stack.wait_sockets().unwrap();
    let carried: Vec<_> = rows
        .iter()
        .map(|row| {
            let sum = row.summary;
            (row.id.to_string(), row.recv_q, [sum.bytes_in, sum.packets_in, sum.bytes_out, sum.packets_out])
        })
        .collect();
    let expected = [
        ("unix#1", 8, [4, 1, 0, 0]),
        ("unix#2", 0, [0, 0, 12, 3]),
        ("unix#3", 0, [0, 0, 5, 0]),
        ("unix#4", 5, [0, 0, 0, 0]),
        ("udp#5", 0, [0, 0, 8, 1]),
        ("udp#6", 0, [8, 1, 0, 0]),
    ];
    assert_eq!(carried, expected.map(|(name, unread, sums)| (name.to_owned(), unread, sums)));
    stack.shut_down();
    assert_eq!(stack.wait_sockets().unwrap_err().kind(), ErrorKind::NetworkDown);
    drop((letters, writer, near, far, one, other));
}

#[test]
fn a_poller_that_looks_often_at_a_new_socket_leaves_nothing_there() {
    let stack = Stack::builder().loopback_only().unwrap();
    let socket = Socket::new(&stack, Domain::Inet, Type::Stream, None).unwrap();
    let poller = Poller::new();
    poller.register(&socket, 1, Interest::Readable, Trigger::Level).unwrap();
    let mut events = Vec::new();
    for _ in 0..100 {
        assert_eq!(poller.wait(&mut events, None).unwrap(), 1, "a hang-up");
    }
    assert_eq!(socket.watchers(), 1);
}

/// Passes on what programs call.
struct Listener(Sender<Record<'static>>);

impl Observer for Listener {
    fn depth(&self) -> Depth {
        Depth::Call
    }

    fn observe(&mut self, record: &Record<'_>) {
        let _ = self.0.send(record.clone().into_owned());
    }
}

#[test]
fn what_programs_do_with_unix_messages_is_told_though_no_engine_has_a_part_in_it() {
    let (tell, told) = channel();
    let stack = Stack::builder().observer(Box::new(Listener(tell))).loopback_only().unwrap();
    let (left, right) = Socket::pair(&stack, Domain::Unix, Type::Dgram, None).unwrap();
    left.send(b"hello").unwrap();
    assert_eq!(right.recv(&mut [0; 16]).unwrap(), 5);
    let mut calls = std::iter::from_fn(|| told.recv_timeout(PATIENCE).ok()).filter_map(|record| match record.event {
        Event::Call { socket: Some(socket), call: call @ (CallKind::Write { .. } | CallKind::Read { .. }) } => {
            Some((socket.protocol, call))
        }
        _ => None,
    });
    assert_eq!(calls.next(), Some((observe::Protocol::Unix, CallKind::Write { bytes: 5 })));
    assert_eq!(calls.next(), Some((observe::Protocol::Unix, CallKind::Read { bytes: 5 })));
}

#[test]
fn a_stack_without_a_link_is_recorded_and_is_the_same_in_its_replay() {
    for loopback in [Loopback::Wire, Loopback::Fast] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let recorder = Recorder::new(file.reopen().unwrap()).unwrap();
        let config = Config { loopback, ..Config::default() };
        let stack = Stack::builder().config(config).record(recorder).loopback_only().unwrap();
        let listener = TcpListener::bind(&stack, at("127.0.0.1:80")).unwrap();
        let mut client = TcpStream::connect(&stack, at("127.0.0.1:80")).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        for _ in 0..20 {
            client.write_all(&[7; 5000]).unwrap();
            server.read_exact(&mut [0; 5000]).unwrap();
        }
        drop((client, server, listener));
        stack.shut_down();

        let recording = Recording::open(std::io::BufReader::new(file.reopen().unwrap())).unwrap();
        assert!(!recording.header.is_linked && recording.header.version == env!("TAPSOCK_VERSION"));
        let mut seen = Packets(0);
        let player = Player::new(&recording, Changes::default());
        let (summary, difference) = player.run(recording, &mut seen).unwrap();
        assert_eq!(difference, None);
        assert!(summary.steps > 1 && !summary.is_cut_off, "{summary:?}");
        // Nothing leaves; what the stack says to itself is said again.
        assert!(if loopback == Loopback::Wire { seen.0 > 40 } else { seen.0 == 0 }, "{}", seen.0);
    }
}

/// How many packets went over the loopback.
struct Packets(u64);

impl Observer for Packets {
    fn depth(&self) -> Depth {
        Depth::Frame
    }

    fn observe(&mut self, record: &Record<'_>) {
        self.0 += u64::from(matches!(record.event, Event::Loopback { .. }));
    }
}
