use super::*;
use crate::error::Error;
use crate::observe::{Rule, TcpState};

#[test]
fn a_connection_is_established_accepted_and_carries_bytes_both_ways() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    assert_eq!((a.local, a.remote), (b.remote, b.local));
    assert_eq!(b.pipe.try_write(b"request"), Ok(7));
    net.run(Duration::from_millis(50));
    let mut buffer = [0; 64];
    assert_eq!(a.pipe.try_read(&mut buffer), Ok(7));
    assert_eq!(a.pipe.try_write(b"answer"), Ok(6));
    net.run(Duration::from_millis(50));
    assert_eq!(b.pipe.try_read(&mut buffer), Ok(6));
}

#[test]
fn the_same_over_ipv6() {
    let mut net = Net::new();
    let listener = net.listen_a(at("::", 80), 16);
    let b = net.connect_b(at(A6, 80)).unwrap();
    net.settle();
    let a = listener.queue.try_accept().unwrap();
    assert_eq!(a.remote.ip(), B6.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(b.pipe.try_write(b"six"), Ok(3));
    net.run(Duration::from_millis(50));
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Ok(3));
}

#[test]
fn closing_one_side_after_the_other_ends_both_in_order() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    b.pipe.try_write(b"last words").unwrap();
    drop(b);
    net.run(Duration::from_millis(50));
    let mut buffer = [0; 64];
    assert_eq!(a.pipe.try_read(&mut buffer), Ok(10));
    assert_eq!(a.pipe.try_read(&mut buffer), Ok(0));
    drop(a);
    net.run(Duration::from_millis(50));
    assert!(net.a.events("Closed")[0].contains("how: ByPeer"), "{:?}", net.a.seen.events);
    assert!(net.b.events("Closed")[0].contains("how: ByUs"), "{:?}", net.b.seen.events);
    net.run(Duration::from_secs(60));
    assert_eq!((net.a.stack.sockets(), net.b.stack.sockets()), (1, 0));
}

#[test]
fn half_closed_the_other_direction_goes_on() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    b.pipe.shutdown_write();
    net.run(Duration::from_millis(50));
    assert_eq!(a.pipe.try_read(&mut [0; 8]), Ok(0));
    a.pipe.try_write(b"still here").unwrap();
    net.run(Duration::from_millis(50));
    assert_eq!(b.pipe.try_read(&mut [0; 64]), Ok(10));
}

#[test]
fn dropping_unread_data_resets_the_peer() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    b.pipe.try_write(b"never read").unwrap();
    net.run(Duration::from_millis(50));
    drop(a);
    net.run(Duration::from_millis(50));
    assert_eq!(b.pipe.try_read(&mut [0; 8]), Err(Error::ConnectionReset));
    assert!(net.a.events("Closed")[0].contains("how: Aborted"));
    assert!(net.b.events("Closed")[0].contains("how: Reset"));
}

#[test]
fn data_for_a_program_that_is_gone_is_answered_with_a_reset() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    drop(a);
    net.run(Duration::from_millis(50));
    b.pipe.try_write(b"hello?").unwrap();
    net.run(Duration::from_millis(50));
    assert_eq!(b.pipe.try_read(&mut [0; 8]), Ok(0));
    assert!(net.b.events("Closed")[0].contains("how: Reset"), "{:?}", net.b.seen.events);
}

#[test]
fn a_closed_port_refuses() {
    let mut net = Net::new();
    assert_eq!(net.connect_b(at(A, 81)).unwrap_err(), Error::ConnectionRefused);
    assert_eq!(net.a.stack.counters().of(Rule::TcpRstClosedPort), 1);
    assert!(net.now < Time::ZERO + Duration::from_millis(10), "at once, not after a timeout");
}

#[test]
fn a_neighbour_that_does_not_answer_makes_the_host_unreachable() {
    let mut net = Net::new();
    assert_eq!(net.connect_b(at("192.168.69.77", 80)).unwrap_err(), Error::HostUnreachable);
    assert_eq!(net.connect_b(at("192.168.69.77", 81)).unwrap_err(), Error::HostUnreachable, "again, at once");
    assert_eq!(net.connect_b(at("10.0.0.1", 80)).unwrap_err(), Error::NetworkUnreachable);
}

#[test]
fn a_full_accept_queue_drops_and_lets_the_client_try_again() {
    let mut net = Net::new();
    let listener = net.listen_a(at("0.0.0.0", 80), 2);
    let first = net.connect_b(at(A, 80)).unwrap();
    let second = net.connect_b(at(A, 80)).unwrap();
    let third = net.b.begin(Verb::OpenStream { local: None, remote: at(A, 80) });
    net.run(Duration::from_secs(2));
    assert!(net.b.finished(third).is_none(), "the third waits");
    assert!(net.a.stack.counters().of(Rule::TcpBacklogFull) > 0);
    drop(listener.queue.try_accept().unwrap());
    let mut result = None;
    net.run_until(Duration::from_secs(10), |net| {
        result = net.b.finished(third);
        result.is_some()
    });
    assert!(result.unwrap().is_ok());
    drop((first, second));
}

#[test]
fn what_a_connection_tells_about_itself_is_what_was_on_the_wire() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    b.pipe.try_write(&[7; 5000]).unwrap();
    net.run(Duration::from_millis(100));
    let Ok(Outcome::Info(info)) = net.call_a(Verb::Info { socket: a.handle }) else { panic!() };
    assert_eq!(info.state, TcpState::Established);
    assert_eq!((info.local, info.remote), (a.local, a.remote));
    assert_eq!((info.send_mss, info.receive_mss), (1460, 1460));
    assert_eq!(info.receive_next, 5001);
    assert_eq!(info.send_next, 1);
    assert_eq!(info.summary.bytes_in, 5000);
    let id = a.id;
    let seen =
        |direction| {
            net.a.seen.frames.iter().filter(move |(_, way, _, fate)| {
                *way == direction && fate.owner.is_some_and(|owner| owner.socket() == id)
            })
        };
    assert_eq!(info.summary.packets_in, seen(Direction::In).count() as u64);
    assert_eq!(info.summary.packets_out, seen(Direction::Out).count() as u64);
    assert_eq!(info.summary.retransmitted, 0);
    assert_ne!(info.first_checksum, 0);
}

#[test]
fn a_listener_that_is_closed_refuses_and_frees_its_port() {
    let mut net = Net::new();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    assert_eq!(
        net.call_a(Verb::OpenListener { local: at(A, 80), backlog: 1, v6_only: true }).unwrap_err(),
        Error::AddressInUse
    );
    drop(listener);
    net.settle();
    assert_eq!(net.connect_b(at(A, 80)).unwrap_err(), Error::ConnectionRefused);
    net.listen_a(at(A, 80), 1);
}

#[test]
fn an_address_that_is_not_ours_cannot_be_bound() {
    let mut net = Net::new();
    let error = net.call_a(Verb::OpenListener { local: at("10.0.0.1", 80), backlog: 1, v6_only: true }).unwrap_err();
    assert_eq!(error, Error::AddressNotAvailable);
}

#[test]
fn a_reader_that_stops_holds_the_writer_back_and_loses_nothing() {
    let mut net = Net::new();
    let (a, b, _listener) = net.connected();
    let mut written = 0_usize;
    loop {
        let chunk: Vec<u8> = (written..written + 4096).map(|i| (i % 251) as u8).collect();
        match b.pipe.try_write(&chunk) {
            Ok(count) => written += count,
            Err(Error::WouldBlock) => {
                let before = net.a.stack.counters().bytes_in;
                net.run(Duration::from_millis(200));
                if net.a.stack.counters().bytes_in == before {
                    break;
                }
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(written < 2_000_000, "{written} bytes are on their way and nobody reads");
    net.run(Duration::from_secs(30));
    let mut read = 0;
    let mut buffer = [0; 3000];
    net.run_until(Duration::from_secs(60), |_| {
        while let Ok(count) = a.pipe.try_read(&mut buffer) {
            for (i, &byte) in buffer[..count].iter().enumerate() {
                assert_eq!(byte, ((read + i) % 251) as u8);
            }
            read += count;
        }
        read == written
    });
}
