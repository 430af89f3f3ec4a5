//! Stacks without a link, over the sockets that programs hold.
#![allow(clippy::unwrap_used)] // the functions beside the tests are of the tests too

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tapsock::config::{Config, Loopback};
use tapsock::net::{self, Stack, TcpListener, TcpStream, UdpSocket};
use tapsock::observe::Counters;

/// Everything waits at most so long for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

const OURSELVES: [&str; 4] = ["127.0.0.1", "192.168.69.1", "::1", "fd69::1"];

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn stack() -> Stack {
    Stack::builder().config(Config { loopback: Loopback::Wire, ..Config::default() }).loopback_only().unwrap()
}

fn connected(stack: &Stack, address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(stack, at(address, 0)).unwrap();
    let client = TcpStream::connect(stack, listener.local_addr().unwrap()).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
    }
    (client, server)
}

/// Whatever was done: nothing was made for a device that is not there.
fn stopped(stack: &Stack) -> Counters {
    stack.shut_down();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let counters = runtime.block_on(stack.counters());
    assert_eq!((counters.frames_in, counters.frames_out), (0, 0));
    counters
}

#[test]
fn ten_mebibytes_arrive_exactly_at_every_address_of_ours() {
    let stack = stack();
    let data: Vec<u8> = (0..10u32 << 20).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect();
    for address in OURSELVES {
        let (mut client, mut server) = connected(&stack, address);
        let got = thread::scope(|scope| {
            scope.spawn(|| {
                client.write_all(&data).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            server.read_to_end(&mut got).unwrap();
            got
        });
        assert!(got == data, "{address}");
    }
    let counters = stopped(&stack);
    assert!(counters.loopback_bytes > 40 << 20);
}

#[test]
fn nobody_at_the_port_is_told_at_once_for_both_protocols() {
    let stack = stack();
    for address in OURSELVES {
        let refused = TcpStream::connect(&stack, at(address, 81)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        let socket = UdpSocket::bind(&stack, at(address, 0)).unwrap();
        socket.connect(at(address, 9)).unwrap();
        socket.send(b"anybody?").unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{address}");
    }
    let elsewhere = TcpStream::connect(&stack, at("192.168.69.100", 80)).unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::NetworkUnreachable);
    stopped(&stack);
}

#[test]
fn stacks_of_one_process_know_nothing_of_each_other() {
    let stacks: Vec<Stack> = (0..8).map(|_| stack()).collect();
    let listeners: Vec<_> = stacks.iter().map(|stack| TcpListener::bind(stack, at("127.0.0.1", 80)).unwrap()).collect();
    for (number, stack) in stacks.iter().enumerate() {
        let mut client = TcpStream::connect(stack, at("127.0.0.1", 80)).unwrap();
        client.write_all(&[number as u8]).unwrap();
    }
    for (number, (listener, stack)) in listeners.iter().zip(&stacks).enumerate() {
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
        assert_eq!(usize::from(byte[0]), number);
        stopped(stack);
    }
}

#[test]
fn a_stack_needs_no_address_but_those_of_the_loopback() {
    let config = Config { addresses: Vec::new(), ..Config::default() };
    let stack = Stack::builder().config(config.clone()).loopback_only().unwrap();
    assert_eq!(stack.wait_ready().unwrap(), []);
    for address in ["127.0.0.1", "::1"] {
        let (mut client, mut server) = connected(&stack, address);
        client.write_all(b"!").unwrap();
        server.read_exact(&mut [0]).unwrap();
    }
    stopped(&stack);
    let asks = Stack::builder().config(Config { dhcp: true, ..config }).loopback_only().unwrap_err();
    assert!(asks.to_string().contains("nobody to ask"), "{asks}");
}

#[test]
fn who_waits_when_the_stack_stops_is_told() {
    let stack = stack();
    let (mut client, _server) = connected(&stack, "127.0.0.1");
    let listener = TcpListener::bind(&stack, at("127.0.0.1", 80)).unwrap();
    thread::scope(|scope| {
        let (told, waiting) = mpsc::channel();
        let (accept, read) = (told.clone(), told);
        scope.spawn(move || accept.send(listener.accept().map(|_| ()).unwrap_err().kind()).unwrap());
        scope.spawn(move || read.send(client.read(&mut [0]).unwrap_err().kind()).unwrap());
        stack.shut_down();
        for _ in 0..2 {
            assert_eq!(waiting.recv_timeout(PATIENCE).unwrap(), ErrorKind::NetworkDown);
        }
    });
    assert_eq!(TcpListener::bind(&stack, at("127.0.0.1", 81)).unwrap_err().kind(), ErrorKind::NetworkDown);
}

/// A call that comes while the engine answers a bell is heard: it used to sleep over it until a timer woke it.
#[test]
fn no_call_is_slept_over_however_it_meets_the_engine() {
    let stack = Stack::builder().loopback_only().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let listener = net::tokio::TcpListener::bind(&stack, at("127.0.0.1", 80)).await.unwrap();
        for _ in 0..20_000 {
            let connecting = net::tokio::TcpStream::connect(&stack, at("127.0.0.1", 80));
            let client = tokio::time::timeout(PATIENCE, connecting).await.expect("the engine answers").unwrap();
            let (server, _) = listener.accept().await.unwrap();
            drop((client, server));
        }
    });
    stack.shut_down();
}
