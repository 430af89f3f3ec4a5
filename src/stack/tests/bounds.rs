//! What happens at the bounds: the newcomer is refused by a rule that says so, and what is there stays.
//!
//! Where a bound has a file of its own (cookies, remnants, datagrams, reassembly, neighbours, path MTUs) its tests are there; here
//! are the others, and a stack all of whose bounds are tiny.

use smoltcp::wire::{TcpControl, TcpRepr};

use super::wire::{Bench, segment};
use super::*;
use crate::config::Limits;
use crate::observe::Rule;

fn with(change: impl FnOnce(&mut Limits)) -> Config {
    let mut config = config_a();
    change(&mut config.limits);
    config
}

#[test]
fn resets_for_nobody_are_limited_and_connections_are_not() {
    let mut bench = Bench::with(with(|limits| limits.errors_per_second = 5));
    let theirs = bench.establish(1000);
    let stream = bench.listener.queue.try_accept().unwrap();
    let stray = TcpRepr { dst_port: 81, ..segment(TcpControl::Syn, 7, None) };
    let answers: usize = (0..50).map(|_| bench.send(&stray, Duration::ZERO).len()).sum();
    assert!((1..=10).contains(&answers), "{answers}");
    assert_eq!(bench.net.a.stack.counters().of(Rule::TcpRstLimited), 50 - answers as u64);
    let data = TcpRepr { payload: b"data", ..segment(TcpControl::Psh, 1001, Some(theirs.wrapping_add(1))) };
    bench.send(&data, Duration::from_millis(100));
    assert_eq!(stream.pipe.try_read(&mut [0; 8]), Ok(4));
    bench.idle(Duration::from_secs(2));
    assert_eq!(bench.send(&stray, Duration::ZERO).len(), 1, "the next second has its own");
}

#[test]
fn port_unreachables_are_limited_and_datagrams_for_a_socket_are_not() {
    let mut net = Net::with(FaultConfig::default(), with(|limits| limits.errors_per_second = 5), config_b());
    let (a, b) = (net.bind_a(at("0.0.0.0", 7)), net.bind_b(at("0.0.0.0", 0)));
    for _ in 0..50 {
        // The error that comes back is told to the next call.
        while b.pipe.try_send(b"x", at(A, 9), None).is_err() {}
        net.settle();
    }
    let counters = net.a.stack.counters();
    assert!(counters.of(Rule::IcmpErrorLimited) >= 40, "{}", counters.of(Rule::IcmpErrorLimited));
    while b.pipe.try_send(b"to a socket", at(A, 7), None).is_err() {}
    net.settle();
    assert_eq!(a.pipe.try_receive(&mut [0; 64]).map(|(count, ..)| count), Ok(11));
}

#[test]
fn a_call_beyond_the_limit_on_sockets_fails_and_closing_one_makes_room() {
    let mut net = Net::with(FaultConfig::default(), with(|limits| limits.sockets = 2), config_b());
    let first = net.bind_a(at("0.0.0.0", 7));
    let _second = net.listen_a(at("0.0.0.0", 80), 1);
    assert!(net.call_a(Verb::OpenDatagram { local: at("0.0.0.0", 8), reuse_address: false, v6_only: true }).is_err());
    assert!(net.call_a(Verb::OpenListener { local: at("0.0.0.0", 81), backlog: 1, v6_only: true }).is_err());
    assert!(net.call_a(Verb::OpenStream { local: None, remote: at(B, 80) }).is_err());
    assert_eq!(net.a.stack.sockets(), 2);
    drop(first);
    net.settle();
    net.bind_a(at("0.0.0.0", 8));
}

#[test]
fn a_stack_whose_bounds_are_as_small_as_can_be_still_carries_a_stream() {
    let mut limits = Limits::default();
    for limit in Limits::table() {
        limits.set(&limit.name, *limit.range.start()).unwrap();
    }
    // A listener and its connection are two, and the first packet waits for its neighbour.
    (limits.sockets, limits.packets_per_neighbour, limits.neighbour_queue_bytes) = (2, 1, 2048);
    let mut net = Net::with(FaultConfig::default(), Config { limits, ..config_a() }, config_b());
    let (a, b, _listener) = net.connected();
    let sent: Vec<u8> = (0..5000_u32).map(|i| (i % 251) as u8).collect();
    let (mut written, mut read) = (0, Vec::new());
    net.run_until(Duration::from_secs(600), |_| {
        if let Ok(count) = b.pipe.try_write(&sent[written..]) {
            written += count;
        }
        let mut buffer = [0; 4096];
        while let Ok(count) = a.pipe.try_read(&mut buffer) {
            read.extend_from_slice(&buffer[..count]);
        }
        read.len() == sent.len()
    });
    assert_eq!(read, sent);
}
