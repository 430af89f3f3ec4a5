//! Unix-domain sockets as the engine has them: what it keeps, and for how long.

use std::io::{IoSlice, IoSliceMut};

use super::*;
use crate::error::Error;
use crate::pipe::Accepts;
use crate::socket::{Domain, Handle, Kind, UnixAddress, UnixPipe, UnixSocket};

fn open(net: &mut Net, kind: Kind) -> Result<UnixSocket> {
    match net.call_a(Verb::Open { domain: Domain::Unix, kind }) {
        Ok(Outcome::Unix(socket)) => Ok(*socket),
        Err(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn path(name: &str) -> UnixAddress {
    UnixAddress::path(name).unwrap()
}

fn bind(net: &mut Net, socket: Handle, name: &str) -> Result<()> {
    net.call_a(Verb::Bind { socket, local: path(name).into() }).map(|_| ())
}

fn listener(net: &mut Net, kind: Kind, name: &str) -> (UnixSocket, Accepts<UnixSocket>) {
    let socket = open(net, kind).unwrap();
    bind(net, socket.handle, name).unwrap();
    match net.call_a(Verb::Listen { socket: socket.handle, backlog: 4 }) {
        Ok(Outcome::UnixListener(queue)) => (socket, queue),
        other => panic!("{other:?}"),
    }
}

fn connect(net: &mut Net, socket: &UnixSocket, name: &str) -> Result<UnixPipe> {
    match net.call_a(Verb::Connect { socket: socket.handle, remote: path(name).into() }) {
        Ok(Outcome::UnixConnected(pipe, _)) => Ok(pipe),
        Err(error) => Err(error),
        other => panic!("{other:?}"),
    }
}

fn assert_nothing_is_left(net: &Net) {
    let left = net.a.stack.sockets.left();
    assert!(left.iter().all(|(_, count)| *count == 0), "{left:?}");
    assert_eq!(net.a.stack.memory_used(), 0);
}

#[test]
fn what_is_closed_leaves_no_name_no_descriptor_and_no_memory() {
    let mut net = Net::new();
    for kind in [Kind::UnixStream, Kind::UnixSeqPacket] {
        let (socket, queue) = listener(&mut net, kind, "/server");
        let clients = [open(&mut net, kind).unwrap(), open(&mut net, kind).unwrap()];
        let pipes = clients.each_ref().map(|client| connect(&mut net, client, "/server").unwrap());
        for pipe in &pipes {
            match pipe {
                UnixPipe::Stream(stream) => drop(stream.try_write(&[7; 10_000])),
                UnixPipe::SeqPacket(messages) => messages.try_send_message(&[IoSlice::new(&[7; 10_000])], ()).unwrap(),
                UnixPipe::Datagram(..) => {}
            }
        }
        assert!(net.a.stack.memory_used() >= 20_000);
        let accepted = queue.try_accept().unwrap();
        drop((socket, queue));
        net.settle();
        drop((clients, pipes, accepted));
        net.settle();
        assert_nothing_is_left(&net);
    }
    let receiver = open(&mut net, Kind::UnixDatagram).unwrap();
    bind(&mut net, receiver.handle, "/receiver").unwrap();
    let Ok(Outcome::UnixPair(pair)) = net.call_a(Verb::OpenPair { kind: Kind::UnixDatagram }) else { panic!() };
    let find = Verb::Find { socket: pair[0].handle, name: path("/receiver") };
    let Ok(Outcome::Recipient(to)) = net.call_a(find) else { panic!() };
    let Some(UnixPipe::Datagram(mailbox, _)) = &pair[0].pipe else { panic!() };
    mailbox.try_send(&to.slot, &[IoSlice::new(&[7; 1000])], pair[0].name.clone()).unwrap();
    drop((receiver, pair));
    net.settle();
    assert_nothing_is_left(&net);
}

#[test]
fn a_connection_that_would_be_one_socket_too_many_is_refused_and_may_be_tried_again() {
    let mut config = config_a();
    config.limits.sockets = 3;
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let (_socket, _queue) = listener(&mut net, Kind::UnixStream, "/server");
    let (client, other) = (open(&mut net, Kind::UnixStream).unwrap(), open(&mut net, Kind::UnixStream).unwrap());
    assert_eq!(open(&mut net, Kind::UnixDatagram).unwrap_err(), Error::TooManySockets);
    assert_eq!(connect(&mut net, &client, "/server").unwrap_err(), Error::TooManySockets);
    drop(other);
    net.settle();
    connect(&mut net, &client, "/server").unwrap();
}

#[test]
fn a_name_is_free_as_soon_as_its_program_has_let_go() {
    let mut net = Net::new();
    let first = open(&mut net, Kind::UnixDatagram).unwrap();
    bind(&mut net, first.handle, "/name").unwrap();
    let second = open(&mut net, Kind::UnixDatagram).unwrap();
    assert_eq!(bind(&mut net, second.handle, "/name"), Err(Error::AddressInUse));
    drop(first);
    // The call is looked at before the bell.
    assert_eq!(bind(&mut net, second.handle, "/name"), Ok(()));
    net.settle();
    let third = open(&mut net, Kind::UnixDatagram).unwrap();
    assert_eq!(bind(&mut net, third.handle, "/name"), Err(Error::AddressInUse), "the bell took nobody else's");
}

#[test]
fn who_gave_up_before_the_answer_came_leaves_nothing() {
    let mut net = Net::new();
    let (socket, queue) = listener(&mut net, Kind::UnixStream, "/server");
    let client = open(&mut net, Kind::UnixStream).unwrap();
    let connected = net.call_a(Verb::Connect { socket: client.handle, remote: path("/server").into() });
    drop((connected, client));
    let accepted = queue.try_accept().unwrap();
    let Some(UnixPipe::Stream(stream)) = &accepted.pipe else { panic!() };
    assert_eq!(stream.try_read(&mut [0]), Ok(0));
    drop((net.call_a(Verb::OpenPair { kind: Kind::UnixSeqPacket }), accepted, socket, queue));
    net.settle();
    assert_nothing_is_left(&net);
}

#[test]
fn at_the_limit_on_memory_a_receiver_still_gets_one_message_at_a_time() {
    let mut config = config_a();
    config.limits.memory = 10_000;
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let Ok(Outcome::UnixPair(pair)) = net.call_a(Verb::OpenPair { kind: Kind::UnixDatagram }) else { panic!() };
    let [Some(UnixPipe::Datagram(own, Some(to))), Some(UnixPipe::Datagram(mailbox, _))] =
        [&pair[0].pipe, &pair[1].pipe]
    else {
        panic!()
    };
    let send = || own.try_send(&to.slot, &[IoSlice::new(&[7; 20_000])], pair[0].name.clone());
    for _ in 0..3 {
        assert_eq!(send(), Ok(()));
        assert_eq!(send(), Err(Error::WouldBlock));
        let mut buffer = [0; 20_000];
        let received = mailbox.try_receive(&mut [IoSliceMut::new(&mut buffer)], false).unwrap().unwrap();
        assert_eq!(received.count, 20_000);
    }
}

/// What was told of Unix sockets since the last look.
fn kinds(net: &mut Net) -> Vec<String> {
    let events = std::mem::take(&mut net.a.seen.events);
    let unix = events.into_iter().filter(|event| event.contains("protocol: Unix"));
    unix.map(|event| event.replace("SocketId { protocol: Unix, number: ", "unix#").replace(" }, ", ", ")).collect()
}

#[test]
fn the_trace_tells_the_life_of_a_connection_by_name_and_what_either_end_carried() {
    for kind in [Kind::UnixStream, Kind::UnixSeqPacket] {
        let mut net = Net::new();
        let (socket, queue) = listener(&mut net, kind, "/server");
        let client = open(&mut net, kind).unwrap();
        let pipe = connect(&mut net, &client, "/server").unwrap();
        let accepted = queue.try_accept().unwrap();
        let begun = kinds(&mut net);
        let words: Vec<_> = begun.iter().map(|event| event.split(' ').next().unwrap()).collect();
        let expected = ["Opened", "UnixBound", "UnixBound", "Opened", "Opened", "UnixAccepted", "Joined"];
        assert_eq!(words, expected, "{begun:?}");
        assert!(begun[0].contains(kind.r#type().name()));
        assert!(begun[1].contains("name: \"/server\", backlog: None"));
        assert!(begun[2].contains("name: \"/server\", backlog: Some(4)"));
        assert!(begun[5].contains("socket: unix#3, listener: unix#1, name: \"/server\", waiting: 1, backlog: 4"));
        assert!(begun[6].contains("socket: unix#2, peer: unix#3"));
        let messages = match (&pipe, accepted.pipe.as_ref().unwrap()) {
            (UnixPipe::Stream(near), UnixPipe::Stream(far)) => {
                near.try_write(b"question").unwrap();
                far.try_read(&mut [0; 16]).unwrap();
                0
            }
            (UnixPipe::SeqPacket(near), UnixPipe::SeqPacket(far)) => {
                near.try_send_message(&[IoSlice::new(b"question")], ()).unwrap();
                far.try_receive_message(&mut [IoSliceMut::new(&mut [0; 16])], false).unwrap();
                1
            }
            other => panic!("{other:?}"),
        };
        drop((pipe, client));
        net.settle();
        drop((accepted, socket, queue));
        net.settle();
        let ended = kinds(&mut net);
        assert_eq!(ended.len(), 3, "{ended:?}");
        let (near, far) = (&ended[0], ended.iter().find(|event| event.contains("unix#3")).unwrap());
        assert!(near.contains("unix#2, how: ByUs") && far.contains("how: ByPeer"), "{ended:?}");
        assert!(near.contains(&format!("bytes_in: 0, bytes_out: 8, packets_in: 0, packets_out: {messages}")), "{near}");
        assert!(far.contains(&format!("bytes_in: 8, bytes_out: 0, packets_in: {messages}, packets_out: 0")), "{far}");
    }
}

#[test]
fn who_shuts_down_first_has_closed_first_and_unread_data_aborts() {
    let mut net = Net::new();
    let mut ends = |first: fn(&UnixPipe), second: fn(&UnixPipe)| {
        let Ok(Outcome::UnixPair(pair)) = net.call_a(Verb::OpenPair { kind: Kind::UnixStream }) else { panic!() };
        let [left, right] = *pair;
        kinds(&mut net);
        first(left.pipe.as_ref().unwrap());
        net.settle();
        second(right.pipe.as_ref().unwrap());
        drop(right);
        net.settle();
        drop(left);
        net.settle();
        kinds(&mut net)
            .iter()
            .map(|event| event.split("how: ").nth(1).unwrap().split(',').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let stream = |pipe: &UnixPipe| match pipe {
        UnixPipe::Stream(stream) => stream.shutdown_write(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ends(stream, |_| ()), ["ByPeer", "ByUs"]);
    assert_eq!(ends(|_| (), |_| ()), ["ByUs", "ByPeer"]);
    let write = |pipe: &UnixPipe| match pipe {
        UnixPipe::Stream(stream) => drop(stream.try_write(b"unread")),
        other => panic!("{other:?}"),
    };
    assert_eq!(ends(write, |_| ()), ["Aborted", "Reset"]);
}

#[test]
fn a_socket_of_messages_is_closed_with_what_it_sent_and_what_was_read_of_it() {
    let mut net = Net::new();
    let Ok(Outcome::UnixPair(pair)) = net.call_a(Verb::OpenPair { kind: Kind::UnixDatagram }) else { panic!() };
    let [Some(UnixPipe::Datagram(own, Some(to))), Some(UnixPipe::Datagram(mailbox, _))] =
        [&pair[0].pipe, &pair[1].pipe]
    else {
        panic!()
    };
    for _ in 0..3 {
        own.try_send(&to.slot, &[IoSlice::new(b"four")], pair[0].name.clone()).unwrap();
    }
    for peek in [true, false, false] {
        mailbox.try_receive(&mut [IoSliceMut::new(&mut [0; 2])], peek).unwrap();
    }
    drop(pair);
    net.settle();
    let ended = kinds(&mut net);
    assert!(ended.iter().any(|event| event.contains("bytes_in: 0, bytes_out: 12, packets_in: 0, packets_out: 3")));
    assert!(ended.iter().any(|event| event.contains("bytes_in: 8, bytes_out: 0, packets_in: 2, packets_out: 0")));
}

#[test]
fn sockets_that_are_open_when_the_stack_stops_are_closed_by_that() {
    let mut net = Net::new();
    let held = listener(&mut net, Kind::UnixStream, "/server");
    kinds(&mut net);
    let now = net.now;
    net.a.stack.shut_down(now, &mut Frames::new(), &mut net.a.seen);
    let ended = kinds(&mut net);
    assert!(ended.len() == 1 && ended[0].contains("Shutdown"), "{ended:?}");
    drop(held);
}
