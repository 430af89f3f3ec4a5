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
    to.slot.try_send(&[IoSlice::new(&[7; 1000])], pair[0].name.clone(), pair[0].number()).unwrap();
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
    let [Some(UnixPipe::Datagram(_, Some(to))), Some(UnixPipe::Datagram(mailbox, _))] = [&pair[0].pipe, &pair[1].pipe]
    else {
        panic!()
    };
    let send = || to.slot.try_send(&[IoSlice::new(&[7; 20_000])], pair[0].name.clone(), pair[0].number());
    for _ in 0..3 {
        assert_eq!(send(), Ok(()));
        assert_eq!(send(), Err(Error::WouldBlock));
        let mut buffer = [0; 20_000];
        let received = mailbox.try_receive(&mut [IoSliceMut::new(&mut buffer)], false).unwrap().unwrap();
        assert_eq!(received.count, 20_000);
    }
}
