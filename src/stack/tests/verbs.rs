//! A descriptor's life, verb by verb.

use super::*;
use crate::error::Error;
use crate::socket::{Domain, Handle, Kind, OptionName, SocketOption};

fn open(net: &mut Net, domain: Domain) -> Handle {
    match net.call_a(Verb::Open { domain, kind: Kind::Tcp }) {
        Ok(Outcome::Fresh(socket)) => socket,
        other => panic!("{other:?}"),
    }
}

fn done(result: Result<Outcome>) -> Result<()> {
    result.map(|_| ())
}

fn listener(net: &mut Net, domain: Domain, local: SocketAddr) -> (Handle, ListenerSocket) {
    let socket = open(net, domain);
    done(net.call_a(Verb::Bind { socket, local: local.into() })).unwrap();
    match net.call_a(Verb::Listen { socket, backlog: 4 }) {
        Ok(Outcome::Listener(listener)) => (socket, listener),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_socket_is_opened_bound_and_listens_and_its_name_is_not_used_again() {
    let mut net = Net::new();
    let (socket, listener) = listener(&mut net, Domain::Inet, at("0.0.0.0", 80));
    assert_eq!(listener.local, at("0.0.0.0", 80));
    assert_eq!(done(net.call_a(Verb::Bind { socket, local: at("0.0.0.0", 81).into() })), Err(Error::InvalidInput));
    assert_eq!(done(net.call_a(Verb::Connect { socket, remote: at(B, 80).into() })), Err(Error::AlreadyConnected));
    assert!(matches!(net.call_a(Verb::Listen { socket, backlog: 9 }), Ok(Outcome::Done)), "another backlog");
    let b = net.connect_b(at(A, 80)).unwrap();
    assert_eq!(listener.queue.try_accept().unwrap().remote, b.local);
    drop(listener);
    net.settle();
    let option = SocketOption::Nodelay(true);
    assert_eq!(done(net.call_a(Verb::SetOption { socket, option })), Err(Error::BadDescriptor));
    let again = open(&mut net, Domain::Inet);
    assert_ne!(again, socket);
    assert_eq!(done(net.call_a(Verb::Bind { socket, local: at("0.0.0.0", 80).into() })), Err(Error::BadDescriptor));
}

#[test]
fn a_bound_socket_that_is_closed_gives_its_port_back() {
    let mut net = Net::new();
    let (first, second) = (open(&mut net, Domain::Inet), open(&mut net, Domain::Inet));
    let local = at("0.0.0.0", 80);
    assert_eq!(done(net.call_a(Verb::Bind { socket: first, local: local.into() })), Ok(()));
    assert_eq!(done(net.call_a(Verb::Bind { socket: second, local: local.into() })), Err(Error::AddressInUse));
    assert_eq!(done(net.call_a(Verb::Close { socket: first })), Ok(()));
    assert_eq!(done(net.call_a(Verb::Bind { socket: second, local: local.into() })), Ok(()));
}

#[test]
fn a_connect_does_not_wait_and_a_refused_one_may_be_tried_again() {
    let mut net = Net::new();
    let socket = open(&mut net, Domain::Inet);
    let Ok(Outcome::Connecting(Some(pipe))) = net.call_a(Verb::Connect { socket, remote: at(B, 80).into() }) else {
        panic!()
    };
    net.run(Duration::from_secs(1));
    let _listener = net.call_b(Verb::OpenListener { local: at(B, 80), backlog: 1, v6_only: true }).unwrap();
    let again = Verb::Connect { socket, remote: at(B, 80).into() };
    assert_eq!(done(net.call_a(again)), Err(Error::AlreadyInProgress), "until somebody has been told");
    assert_eq!(pipe.try_connected(), Err(Error::ConnectionRefused));
    assert!(matches!(net.call_a(Verb::Connect { socket, remote: at(B, 80).into() }), Ok(Outcome::Connecting(None))));
    net.run(Duration::from_secs(1));
    assert_eq!(pipe.try_connected(), Ok(()));
    assert_eq!(pipe.try_write(b"hello"), Ok(5));
    assert_eq!(done(net.call_a(Verb::Connect { socket, remote: at(B, 80).into() })), Err(Error::AlreadyConnected));
}

#[test]
fn an_ipv6_socket_hears_ipv4_and_shows_it_mapped_unless_it_is_told_not_to() {
    let mut net = Net::new();
    let (socket, both) = listener(&mut net, Domain::Inet6, at("::", 80));
    let b = net.connect_b(at(A, 80)).unwrap();
    let a = both.queue.try_accept().unwrap();
    assert_eq!(a.remote, at(&format!("::ffff:{}", b.local.ip()), b.local.port()));
    let option = SocketOption::V6Only(true);
    assert_eq!(done(net.call_a(Verb::SetOption { socket, option })), Err(Error::InvalidInput), "it is bound");

    let only = open(&mut net, Domain::Inet6);
    done(net.call_a(Verb::SetOption { socket: only, option })).unwrap();
    let other = open(&mut net, Domain::Inet);
    assert_eq!(done(net.call_a(Verb::Bind { socket: only, local: at("::", 81).into() })), Ok(()));
    assert_eq!(done(net.call_a(Verb::Bind { socket: other, local: at("0.0.0.0", 81).into() })), Ok(()));
    let mapped = at("::ffff:192.168.69.100", 80);
    assert_eq!(done(net.call_a(Verb::Connect { socket: only, remote: mapped.into() })), Err(Error::NetworkUnreachable));
}

#[test]
fn an_accepted_socket_has_the_options_of_its_listener() {
    let mut net = Net::new();
    let (socket, listener) = listener(&mut net, Domain::Inet, at("0.0.0.0", 80));
    done(net.call_a(Verb::SetOption { socket, option: SocketOption::Nodelay(true) })).unwrap();
    let _b = net.connect_b(at(A, 80)).unwrap();
    let a = listener.queue.try_accept().unwrap();
    let read = |net: &mut Net, socket| match net.call_a(Verb::GetOption { socket, name: OptionName::Nodelay }) {
        Ok(Outcome::Option(SocketOption::Nodelay(on))) => on,
        other => panic!("{other:?}"),
    };
    assert!(read(&mut net, a.handle));
    done(net.call_a(Verb::SetOption { socket: a.handle, option: SocketOption::Nodelay(false) })).unwrap();
    assert!(!read(&mut net, a.handle) && read(&mut net, socket), "from then on each has its own");
}

#[test]
fn a_udp_socket_that_was_not_bound_is_bound_by_its_first_datagram() {
    let mut net = Net::new();
    let b = net.bind_b(at(B, 9));
    let Ok(Outcome::Datagram(a)) = net.call_a(Verb::Open { domain: Domain::Inet6, kind: Kind::Udp }) else { panic!() };
    a.pipe.try_send(b"hello", at("::ffff:192.168.69.100", 9), None).unwrap();
    net.settle();
    let mut buffer = [0; 8];
    let (count, from, _) = b.pipe.try_receive(&mut buffer).unwrap();
    assert_eq!((count, from.ip()), (5, at(A, 0).ip()));
    b.pipe.try_send(b"back", from, None).unwrap();
    net.settle();
    let (count, from, _) = a.pipe.try_receive(&mut buffer).unwrap();
    assert_eq!((count, from), (4, at("::ffff:192.168.69.100", 9)));
}

#[test]
fn what_a_program_closes_is_closed_for_its_next_call() {
    let mut net = Net::new();
    for _ in 0..2 {
        // Not settled in between.
        drop(net.listen_a(at("0.0.0.0", 80), 16));
        drop(net.bind_a(at("0.0.0.0", 80)));
    }
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    listener.queue.shut_down(false);
    let connect = net.call_a(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) });
    assert_eq!(connect.map(|_| ()), Err(Error::ConnectionRefused));
}

#[test]
fn a_syn_that_comes_after_its_listener_was_closed_is_refused() {
    let mut net = Net::new();
    // The neighbours know each other.
    drop(net.connected());
    let listener = net.listen_a(at("0.0.0.0", 81), 16);
    net.settle();
    let ticket = net.b.begin(Verb::OpenStream { local: None, remote: at(A, 81) });
    net.b.round(net.now);
    // The SYN is on its way, and `a` has not run since.
    drop(listener);
    net.settle();
    let connected = net.b.finished(ticket).map(|result| result.map(|_| ()));
    assert_eq!(connected, Some(Err(Error::ConnectionRefused)));
}
