//! The async covers, as tokio's own behave.

use std::future::Future;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, Ready};
use tokio::time::timeout;

use super::{RawSocket, TcpListener, TcpStream, UdpSocket, UnixStream};
use crate::config::{Config, Limits};
use crate::device::pair;
use crate::net::{Domain, Protocol, Stack};

const PATIENCE: Duration = Duration::from_secs(20);

fn run<F: Future<Output = ()>>(body: impl FnOnce(Stack) -> F) {
    let stack = Stack::builder().loopback_only().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, body(stack.clone())).await.unwrap() });
    stack.shut_down();
}

async fn joined(stack: &Stack) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(stack, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let client = TcpStream::connect(stack, listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[test]
fn a_dropped_write_half_ends_its_direction_and_the_other_goes_on() {
    run(|stack| async move {
        let (client, mut server) = joined(&stack).await;
        let (mut reader, mut writer) = client.into_split();
        writer.write_all(b"all").await.unwrap();
        drop(writer);
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "all");
        server.write_all(b"and back").await.unwrap();
        drop(server);
        heard.clear();
        reader.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "and back");
    });
}

#[test]
fn a_forgotten_or_reunited_half_ends_nothing() {
    run(|stack| async move {
        let (client, mut server) = joined(&stack).await;
        let (reader, writer) = client.into_split();
        let mut client = reader.reunite(writer).unwrap();
        client.write_all(b"one").await.unwrap();
        let (reader, writer) = client.into_split();
        writer.forget();
        let mut buffer = [0; 8];
        assert_eq!(server.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(server.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(reader);
        assert_eq!(server.read(&mut buffer).await.unwrap(), 0, "the last handle closes it");
    });
}

#[test]
fn halves_of_different_streams_do_not_join() {
    run(|stack| async move {
        let ((a, b), (c, _d)) = (joined(&stack).await, joined(&stack).await);
        let ((reader, _writer), (other, writer)) = (a.into_split(), c.into_split());
        let error = writer.reunite(reader).unwrap_err();
        assert_eq!(error.to_string(), "tried to reunite halves that are not from the same socket");
        assert!(other.reunite(error.1).is_ok());
        drop(b);
    });
}

#[test]
fn a_read_that_is_given_up_has_taken_nothing() {
    run(|stack| async move {
        let (mut client, mut server) = joined(&stack).await;
        let mut buffer = [0; 8];
        assert!(timeout(Duration::from_millis(10), client.read(&mut buffer)).await.is_err());
        server.write_all(b"late").await.unwrap();
        client.read_exact(&mut buffer[..4]).await.unwrap();
        assert_eq!(&buffer[..4], b"late");

        let listener = TcpListener::bind(&stack, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        assert!(timeout(Duration::from_millis(10), listener.accept()).await.is_err());
        let caller = TcpStream::connect(&stack, listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, caller.local_addr().unwrap());
    });
}

#[test]
fn both_borrowed_halves_work_at_once() {
    run(|stack| async move {
        let (mut client, mut server) = joined(&stack).await;
        let bytes = vec![7; 1_000_000];
        let echo = async {
            let (mut reader, mut writer) = server.split();
            tokio::io::copy(&mut reader, &mut writer).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let (mut reader, mut writer) = client.split();
        let send = async {
            writer.write_all(&bytes).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (_, _, count) = tokio::join!(echo, send, reader.read_to_end(&mut heard));
        assert_eq!(count.unwrap(), bytes.len());
        assert!(heard == bytes);
    });
}

#[test]
fn an_option_is_set_before_what_is_asked_next() {
    run(|stack| async move {
        let (client, _server) = joined(&stack).await;
        for nodelay in [true, false, true] {
            client.set_nodelay(nodelay).unwrap();
            assert_eq!(client.nodelay().await.unwrap(), nodelay);
        }
    });
}

#[test]
fn an_option_is_set_before_what_is_sent_next_and_after_what_was_sent_before() {
    run(|stack| async move {
        let open = || RawSocket::open(&stack, Domain::Inet, Protocol::TESTING);
        let (sender, receiver) = (open().await.unwrap(), open().await.unwrap());
        let to_self = "127.0.0.1".parse().unwrap();
        for hops in 1..50 {
            sender.set_ttl(hops).unwrap();
            sender.send_to(b"probe", to_self).await.unwrap();
        }
        let mut packet = [0; 64];
        for hops in 1..50 {
            receiver.recv_from(&mut packet).await.unwrap();
            assert_eq!(packet[8], hops);
        }
    });
}

#[test]
fn datagrams_can_be_tried_and_polled_as_well() {
    run(|stack| async move {
        let a = UdpSocket::bind(&stack, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let b = UdpSocket::bind(&stack, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(a.try_recv_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        a.connect(b.local_addr().unwrap()).await.unwrap();
        assert_eq!(a.try_send(b"one").unwrap(), 3);
        let mut whole = tokio::io::ReadBuf::new(&mut buffer);
        let from = std::future::poll_fn(|context| b.poll_recv_from(context, &mut whole)).await.unwrap();
        assert_eq!((from, whole.filled()), (a.local_addr().unwrap(), b"one".as_slice()));
    });
}

#[test]
fn a_socket_says_when_it_can_be_read_and_written_as_tokios_do() {
    run(|stack| async move {
        let (client, mut server) = joined(&stack).await;
        let either = Interest::READABLE | Interest::WRITABLE;
        assert_eq!(client.ready(either).await.unwrap(), Ready::WRITABLE);
        assert!(timeout(Duration::from_millis(10), client.readable()).await.is_err());
        server.write_all(b"all").await.unwrap();
        client.readable().await.unwrap();
        assert_eq!(client.ready(Interest::READABLE).await.unwrap(), Ready::READABLE);
        let mut buffer = [0; 8];
        assert_eq!((client.try_read(&mut buffer).unwrap(), &buffer[..3]), (3, b"all".as_slice()));
        assert_eq!(client.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(server);
        client.readable().await.unwrap();
        assert_eq!(client.try_read(&mut buffer).unwrap(), 0, "the end is something to be read");
    });
}

#[test]
fn what_is_peeked_at_stays() {
    run(|stack| async move {
        let (mut client, mut server) = joined(&stack).await;
        let mut buffer = [0; 8];
        assert!(timeout(Duration::from_millis(10), client.peek(&mut buffer)).await.is_err());
        server.write_all(b"bytes").await.unwrap();
        assert_eq!(client.peek(&mut buffer).await.unwrap(), 5);
        assert_eq!(client.read(&mut buffer).await.unwrap(), 5);

        let a = UdpSocket::bind(&stack, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let b = UdpSocket::bind(&stack, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        assert_eq!(a.try_send_to(b"letter", b.local_addr().unwrap()).unwrap(), 6);
        b.readable().await.unwrap();
        assert_eq!(b.peek_from(&mut buffer).await.unwrap(), (6, a.local_addr().unwrap()));
        assert_eq!((b.try_recv(&mut buffer).unwrap(), &buffer[..6]), (6, b"letter".as_slice()));
        assert_eq!(b.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn what_is_set_is_read_back() {
    run(|stack| async move {
        let udp = UdpSocket::bind(&stack, "[::1]:0".parse().unwrap()).await.unwrap();
        udp.set_ttl(9).unwrap();
        udp.set_broadcast(true).unwrap();
        udp.set_multicast_loop_v6(false).unwrap();
        assert_eq!(udp.set_ttl(0).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!((udp.ttl().await.unwrap(), udp.broadcast().await.unwrap()), (9, true));
        assert!(!udp.multicast_loop_v6().await.unwrap() && udp.multicast_loop_v4().await.unwrap());
    });
}

#[test]
fn a_unix_stream_is_split_as_a_connection_is() {
    run(|stack| async move {
        let (client, mut server) = UnixStream::pair(&stack).await.unwrap();
        let (mut reader, mut writer) = client.into_split();
        writer.write_all(b"all").await.unwrap();
        drop(writer);
        let mut heard = String::new();
        server.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "all");
        assert_eq!(server.try_write(b"and back").unwrap(), 8);
        drop(server);
        heard.clear();
        reader.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "and back");
    });
}

#[test]
fn a_connect_that_is_given_up_leaves_no_socket_behind() {
    let limits = Limits { sockets: 4, ..Limits::default() };
    let addresses = vec!["192.0.2.1/24".parse().unwrap()];
    let (device, _silence) = pair(1500);
    let stack = Stack::builder().config(Config { addresses, limits, ..Config::default() }).device(device).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        stack.ready().await.unwrap();
        for _ in 0..20 {
            let connect = TcpStream::connect(&stack, "192.0.2.99:80".parse().unwrap());
            let given_up = timeout(Duration::from_millis(2), connect).await.map(|done| done.map(|_| ()));
            assert!(given_up.is_err(), "{given_up:?}");
        }
    });
}

#[test]
fn a_reader_who_always_finds_something_lets_others_have_a_turn() {
    run(|stack| async move {
        let (mut left, mut right) = UnixStream::pair(&stack).await.unwrap();
        left.write_all(&[7; 10_000]).await.unwrap();
        let turn = Arc::new(AtomicBool::new(false));
        let other = tokio::spawn({
            let turn = Arc::clone(&turn);
            async move { turn.store(true, Ordering::Relaxed) }
        });
        let mut read = 0;
        while !turn.load(Ordering::Relaxed) {
            read += right.read(&mut [0]).await.unwrap();
            assert!(read < 10_000, "it was never asked to wait");
        }
        other.await.unwrap();
    });
}
