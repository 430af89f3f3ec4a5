//! Options of TCP.

use super::*;

/// The MSS that A's SYN or SYN-ACK offers.
fn offered(net: &Net) -> Option<u16> {
    sent(net, 6).iter().find_map(|packet| {
        let segment = TcpPacket::new_checked(&packet[20..]).unwrap();
        let mut options = segment.options();
        while segment.syn() && !options.is_empty() {
            let (rest, option) = TcpOption::parse(options).unwrap();
            if let TcpOption::MaxSegmentSize(size) = option {
                return Some(size);
            }
            options = rest;
        }
        None
    })
}

#[test]
fn a_largest_segment_is_offered_and_kept_to_and_what_is_read_back_is_what_a_segment_carries() {
    for listens in [true, false] {
        let mut net = Net::new();
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        assert_eq!(get(&mut net, socket, OptionName::MaxSegment), Ok(SocketOption::MaxSegment(536)));
        set(&mut net, socket, SocketOption::MaxSegment(512)).unwrap();
        assert_eq!(get(&mut net, socket, OptionName::MaxSegment), Ok(SocketOption::MaxSegment(512)));
        let (a, connection, b, _listener);
        if listens {
            let listener = listen(&mut net, socket, at(A, 80));
            b = net.connect_b(at(A, 80)).unwrap();
            net.settle();
            let accepted = listener.queue.try_accept().unwrap();
            (a, connection) = (accepted.pipe, accepted.handle);
            _listener = listener;
        } else {
            let Ok(Outcome::Listener(there)) =
                net.call_b(Verb::OpenListener { local: at(B, 80), backlog: 1, v6_only: true })
            else {
                panic!()
            };
            (a, connection) = (connect(&mut net, socket, at(B, 80)), socket);
            net.settle();
            b = there.queue.try_accept().unwrap();
            _listener = there;
        }
        assert_eq!(offered(&net), Some(512));
        assert_eq!(get(&mut net, connection, OptionName::MaxSegment), Ok(SocketOption::MaxSegment(500)), "timestamps");
        net.a.seen.frames.clear();
        a.try_write(&[1; 5000]).unwrap();
        b.pipe.try_write(&[1; 5000]).unwrap();
        net.run(Duration::from_secs(1));
        let largest = |direction| {
            let of = net.a.seen.frames.iter().filter(|(_, way, bytes, _)| *way == direction && bytes[12..14] == [8, 0]);
            of.map(|(_, _, bytes, _)| bytes.len() - 14 - 20 - 32).max()
        };
        assert_eq!((largest(Direction::Out), largest(Direction::In)), (Some(500), Some(500)));
    }
}

#[test]
fn a_deferred_accept_waits_for_data_or_for_the_time_that_was_chosen() {
    for (writes, accepted_after) in [(true, Duration::from_millis(500)), (false, Duration::from_secs(7))] {
        let mut net = Net::new();
        let socket = open(&mut net, Domain::Inet, Kind::Tcp);
        set(&mut net, socket, SocketOption::DeferAccept(Duration::from_secs(5))).unwrap();
        let rounded = SocketOption::DeferAccept(Duration::from_secs(7));
        assert_eq!(get(&mut net, socket, OptionName::DeferAccept), Ok(rounded));
        let listener = listen(&mut net, socket, at(A, 80));
        let begin = net.now;
        let b = net.connect_b(at(A, 80)).unwrap();
        net.run(Duration::from_millis(500));
        assert_eq!(listener.queue.try_accept().err(), Some(Error::WouldBlock));
        assert_eq!(net.a.stack.counters().of(crate::observe::Rule::TcpDeferAccept), 1);
        if writes {
            b.pipe.try_write(b"hello").unwrap();
        }
        let mut a = None;
        net.run_until(Duration::from_secs(10), |_| {
            a = listener.queue.try_accept().ok();
            a.is_some()
        });
        let took = net.now - begin;
        assert!(took >= accepted_after && took < accepted_after + Duration::from_millis(100), "{took:?}");
        b.pipe.try_write(b"more").unwrap();
        net.run(Duration::from_secs(1));
        let mut buffer = [0; 16];
        let count = a.unwrap().pipe.try_read(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], if writes { &b"hellomore"[..] } else { b"more" });
    }
}

#[test]
fn a_peer_that_is_gone_before_its_connection_was_accepted_is_forgotten() {
    let mut net = Net::new();
    let socket = open(&mut net, Domain::Inet, Kind::Tcp);
    set(&mut net, socket, SocketOption::DeferAccept(Duration::from_secs(1000))).unwrap();
    let listener = listen(&mut net, socket, at(A, 80));
    let b = net.connect_b(at(A, 80)).unwrap();
    net.run(Duration::from_secs(1));
    net.call_b(Verb::SetOption { socket: b.handle, option: SocketOption::Linger(Some(Duration::ZERO)) }).unwrap();
    drop(b);
    net.run(Duration::from_secs(2000));
    assert_eq!(listener.queue.try_accept().err(), Some(Error::WouldBlock));
    drop(listener);
    net.run(Duration::from_secs(1));
    let left = net.a.stack.transport.left();
    assert!(
        left.iter().filter(|(what, _)| ["handshakes", "tuples", "ports"].contains(what)).all(|(_, count)| *count == 0),
        "{left:?}"
    );
}
