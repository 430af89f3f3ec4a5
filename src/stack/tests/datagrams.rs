use super::*;
use crate::error::Error;
use crate::observe::Rule;

#[test]
fn a_datagram_goes_there_and_an_answer_comes_back() {
    let mut net = Net::new();
    let a = net.bind_a(at("0.0.0.0", 7));
    let b = net.bind_b(at("0.0.0.0", 0));
    assert_ne!(b.local.port(), 0);
    b.pipe.try_send(b"ping", at(A, 7), None).unwrap();
    net.settle();
    let mut buffer = [0; 64];
    let (count, peer, local) = a.pipe.try_receive(&mut buffer).unwrap();
    assert_eq!((count, peer), (4, at(B, b.local.port())));
    assert_eq!(local, Some(A.parse().unwrap()));
    a.pipe.try_send(b"pong", peer, local).unwrap();
    net.settle();
    assert_eq!(b.pipe.try_receive(&mut buffer).map(|(count, peer, _)| (count, peer)), Ok((4, at(A, 7))));
}

#[test]
fn what_was_sent_before_a_close_arrives_however_much_it_is() {
    for to in [A, B] {
        let mut net = Net::new();
        let receiver = if to == A { net.bind_a(at("0.0.0.0", 7)) } else { net.bind_b(at("0.0.0.0", 7)) };
        let sender = net.bind_b(at("0.0.0.0", 0));
        // The neighbour is asked: only so many would wait for its answer.
        sender.pipe.try_send(b"first", at(to, 7), None).unwrap();
        net.settle();
        for _ in 0..200 {
            sender.pipe.try_send(b"x", at(to, 7), None).unwrap();
        }
        drop(sender);
        net.settle();
        let arrived = std::iter::from_fn(|| receiver.pipe.try_receive(&mut [0; 8]).ok()).count();
        assert_eq!(arrived, 1 + 200);
    }
}

#[test]
fn a_port_that_nobody_has_is_told_to_a_connected_socket() {
    let mut net = Net::new();
    let b = net.bind_b(at("0.0.0.0", 0));
    net.call_b(Verb::Connect { socket: b.handle, remote: at(A, 9).into() }).unwrap();
    b.pipe.try_send(b"x", at(A, 9), None).unwrap();
    net.settle();
    assert_eq!(net.a.stack.counters().of(Rule::UdpNoSocket), 1);
    assert_eq!(b.pipe.try_receive(&mut [0; 8]), Err(Error::ConnectionRefused));
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    let mut net = Net::new();
    let a = net.bind_a(at("0.0.0.0", 7));
    net.call_a(Verb::Connect { socket: a.handle, remote: at(B, 1000).into() }).unwrap();
    let friend = net.bind_b(at("0.0.0.0", 1000));
    let stranger = net.bind_b(at("0.0.0.0", 1001));
    stranger.pipe.try_send(b"stranger", at(A, 7), None).unwrap();
    friend.pipe.try_send(b"friend", at(A, 7), None).unwrap();
    net.settle();
    assert_eq!(a.pipe.try_receive(&mut [0; 64]).map(|(count, _, _)| count), Ok(6));
    assert_eq!(a.pipe.try_receive(&mut [0; 64]).unwrap_err(), Error::WouldBlock);
}

#[test]
fn datagrams_beyond_the_buffer_are_dropped_with_a_reason_and_the_rest_arrives() {
    let mut net = Net::new();
    let a = net.bind_a(at("0.0.0.0", 9));
    let b = net.bind_b(at("0.0.0.0", 0));
    let mut sent = 0;
    for _ in 0..600 {
        if b.pipe.try_send(&[1; 1400], at(A, 9), None).is_ok() {
            sent += 1;
        }
        net.settle();
    }
    let mut received = 0;
    while a.pipe.try_receive(&mut [0; 1500]).is_ok() {
        received += 1;
        net.settle();
    }
    let dropped = net.a.stack.counters().of(Rule::UdpBufferFull);
    assert!(dropped > 0 && received > 100, "{received} received, {dropped} dropped");
    assert_eq!(received + dropped, sent);
}
