//! What connections cost in memory: the idle nothing, all together no more than the limit.

use super::echo::{next, open_a, open_b};
use super::*;
use crate::config::Limits;
use crate::error::Error;
use crate::observe::Rule;
use crate::socket::{Domain, Kind, Protocol};

/// A's end writes, B's end reads and compares, in chunks.
fn transfer(net: &mut Net, from: &StreamSocket, to: &StreamSocket, total: usize) {
    let chunk: Vec<u8> = (0..=255).cycle().take(8192).collect();
    let (mut sent, mut received) = (0, 0);
    let mut buffer = [0; 8192];
    net.run_until(Duration::from_secs(600), |_| {
        while sent < total
            && let Ok(count) = from.pipe.try_write(&chunk[sent % 256..][..(total - sent).min(4096)])
        {
            sent += count;
        }
        while let Ok(count) = to.pipe.try_read(&mut buffer) {
            assert!(buffer[..count].iter().enumerate().all(|(i, &byte)| byte == ((received + i) % 256) as u8));
            received += count;
        }
        received == total
    });
}

#[test]
fn a_connection_gives_its_memory_back_when_it_rests_and_goes_on_afterwards() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    for total in [1, 100_000, 300, 1_000_001] {
        transfer(&mut net, &b, &a, total);
        transfer(&mut net, &a, &b, total);
        assert!(net.a.stack.memory_used() > 0 && net.b.stack.memory_used() > 0);
        net.run(Duration::from_secs(2));
        assert_eq!((net.a.stack.memory_used(), net.b.stack.memory_used()), (0, 0));
    }
}

#[test]
fn bytes_that_the_program_has_not_read_keep_their_memory_until_it_does() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    b.pipe.try_write(&[7; 9000]).unwrap();
    net.run(Duration::from_secs(10));
    assert_eq!(net.a.stack.memory_used(), 12_288);
    let mut buffer = [0; 9000];
    assert_eq!((a.pipe.try_read(&mut buffer), buffer), (Ok(9000), [7; 9000]));
    net.run(Duration::from_secs(2));
    assert_eq!(net.a.stack.memory_used(), 0);
}

#[test]
fn a_busy_connection_keeps_its_memory_and_an_idle_stack_has_no_deadline() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    for _ in 0..20 {
        transfer(&mut net, &b, &a, 1);
        let used = net.a.stack.memory_used();
        net.run(Duration::from_millis(700));
        assert!(net.a.stack.memory_used() >= used && used > 0);
    }
    net.run(Duration::from_secs(100));
    assert_eq!((net.a.stack.memory_used(), net.a.deadline), (0, None));
}

fn small(memory: usize) -> Config {
    Config { limits: Limits { memory, ..Limits::default() }, ..config_a() }
}

#[test]
fn at_the_limit_new_connections_are_refused_and_those_that_are_there_go_on() {
    let mut net = Net::with(FaultConfig::default(), small(4096), config_b());
    let (a, b, listener) = net.connected();
    b.pipe.try_write(&[1; 1000]).unwrap();
    net.run(Duration::from_millis(100));
    assert!(net.a.stack.memory_used() >= 4096);
    // Nobody gets in, and nobody gets out.
    let ticket = net.b.begin(Verb::OpenStream { local: None, remote: at(A, 80) });
    net.run(Duration::from_millis(500));
    assert_eq!(listener.queue.try_accept().map(|_| ()), Err(Error::WouldBlock));
    assert!(net.a.stack.counters().of(Rule::TcpMemoryLimit) > 0);
    assert_eq!(net.call_a(Verb::OpenStream { local: None, remote: at(B, 9) }).map(|_| ()), Err(Error::NoBufferSpace));
    // Reading makes room, and what was refused comes by itself.
    let mut received = 0;
    let mut buffer = [0; 9000];
    net.run_until(Duration::from_secs(60), |_| {
        received += a.pipe.try_read(&mut buffer).unwrap_or(0);
        received == 1000
    });
    net.run(Duration::from_secs(30));
    assert!(net.b.finished(ticket).is_some_and(|result| result.is_ok()));
    assert!(listener.queue.try_accept().is_ok());
}

#[test]
fn transfers_end_exactly_under_a_limit_that_they_reach_all_the_time() {
    let mut net = Net::with(FaultConfig::default(), small(64 * 1024), config_b());
    let (a, b, _listener) = net.connected();
    transfer(&mut net, &b, &a, 500_000);
    transfer(&mut net, &a, &b, 500_000);
}

#[test]
fn datagrams_count_and_at_the_limit_they_are_dropped_by_a_rule_that_says_so() {
    let mut net = Net::with(FaultConfig::default(), small(128 * 1024), config_b());
    let sockets: Vec<_> = (1..=4).map(|port| net.bind_a(at("0.0.0.0", port))).collect();
    let idle = net.a.stack.memory_used();
    assert_eq!(idle, 4 * 16 * 1024);
    let b = net.bind_b(at("0.0.0.0", 0));
    for number in 0..400 {
        b.pipe.try_send(&[1; 1400], at(A, 1 + number % 4), None).unwrap();
        net.settle();
        assert!(net.a.stack.memory_used() < 128 * 1024 + 1500);
    }
    let dropped = net.a.stack.counters().of(Rule::UdpMemoryLimit);
    assert!(dropped > 300, "{dropped}");
    assert!(matches!(
        net.call_a(Verb::OpenDatagram { local: at(A, 9), reuse_address: false, v6_only: true }),
        Err(Error::NoBufferSpace)
    ));
    // What was kept is whole, and reading it makes room.
    let mut received = 0;
    let mut buffer = [0; 1500];
    for socket in &sockets {
        while let Ok((1400, ..)) = socket.pipe.try_receive(&mut buffer) {
            received += 1;
            net.settle();
        }
    }
    assert_eq!((received + dropped, net.a.stack.memory_used()), (400, idle));
    b.pipe.try_send(b"again", at(A, 1), None).unwrap();
    net.settle();
    assert_eq!(sockets[0].pipe.try_receive(&mut buffer).map(|(count, ..)| count), Ok(5));
    drop(sockets);
    net.settle();
    assert_eq!(net.a.stack.memory_used(), 0);
}

#[test]
fn packets_for_raw_sockets_count_too() {
    let mut net = Net::with(FaultConfig::default(), small(64 * 1024), config_b());
    let sockets: Vec<_> = (0..2).map(|_| open_a(&mut net, Domain::Inet, Kind::Raw(Protocol::TESTING))).collect();
    let peer = open_b(&mut net, Domain::Inet, Kind::Raw(Protocol::TESTING));
    for _ in 0..200 {
        peer.pipe.try_send(&[7; 1400], at(A, 0), None).unwrap();
        net.settle();
        assert!(net.a.stack.memory_used() < 64 * 1024 + 2 * 1500);
    }
    assert!(net.a.stack.counters().of(Rule::RawMemoryLimit) > 100);
    // Reading makes room.
    for socket in &sockets {
        while next(socket).is_ok() {
            net.settle();
        }
    }
    peer.pipe.try_send(b"again", at(A, 0), None).unwrap();
    net.settle();
    for socket in &sockets {
        assert_eq!(next(socket).map(|(packet, _)| packet[20..].to_vec()), Ok(b"again".to_vec()));
    }
}
