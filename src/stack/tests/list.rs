//! The list of sockets, as those see it who show it.

use std::io::IoSlice;

use smoltcp::wire::TcpControl;

use super::wire::{Bench, segment};
use super::*;
use crate::config::Loopback;
use crate::observe::TcpState;
use crate::socket::{Address, Domain, Handle, Kind, Page, Protocol, SocketRow, Type, UnixAddress, UnixPipe, Way};

/// The whole list, by age, and in how many parts it came.
fn pages(net: &mut Net) -> (Vec<SocketRow>, usize) {
    let (mut all, mut parts, mut next) = (Vec::new(), 0, Some(Page::default()));
    while let Some(page) = next {
        let Ok(Outcome::List(rows, rest)) = net.call_a(Verb::List { page }) else { panic!() };
        all.extend(rows);
        (parts, next) = (parts + 1, rest);
    }
    all.sort_by_key(|row| row.id.number);
    (all, parts)
}

fn list(net: &mut Net) -> Vec<SocketRow> {
    net.settle();
    pages(net).0
}

/// What is the same for every run: name, state, ends, queues.
fn short(row: &SocketRow) -> String {
    let peer = row.peer.as_ref().map_or("-".into(), Address::to_string);
    let held = if row.is_held { "" } else { " unheld" };
    format!("{} {} {} {} {} {peer}{held}", row.id, row.state, row.recv_q, row.send_q, row.local)
}

fn shorts(net: &mut Net) -> Vec<String> {
    list(net).iter().map(short).collect()
}

fn open(net: &mut Net, domain: Domain, kind: Kind) -> Outcome {
    net.call_a(Verb::Open { domain, kind }).unwrap()
}

fn unix(net: &mut Net, kind: Kind) -> crate::socket::UnixSocket {
    match open(net, Domain::Unix, kind) {
        Outcome::Unix(socket) => *socket,
        other => panic!("{other:?}"),
    }
}

fn bind_unix(net: &mut Net, socket: Handle, name: &str) {
    net.call_a(Verb::Bind { socket, local: UnixAddress::path(name).unwrap().into() }).unwrap();
}

#[test]
fn sockets_of_every_kind_are_in_the_list_from_the_moment_they_are_opened() {
    let mut net = Net::new();
    let held = [
        open(&mut net, Domain::Inet6, Kind::Tcp),
        open(&mut net, Domain::Inet, Kind::Udp),
        open(&mut net, Domain::Inet, Kind::Echo),
        open(&mut net, Domain::Inet6, Kind::Raw(Protocol::TESTING)),
        open(&mut net, Domain::Unix, Kind::UnixStream),
        open(&mut net, Domain::Unix, Kind::UnixDatagram),
        open(&mut net, Domain::Unix, Kind::UnixSeqPacket),
    ];
    let rows = list(&mut net);
    assert_eq!(
        rows.iter().map(short).collect::<Vec<_>>(),
        [
            "tcp#1 CLOSED 0 0 [::]:0 -",
            "udp#2 CLOSED 0 0 0.0.0.0:0 -",
            "icmp#3 CLOSED 0 0 0.0.0.0:0 -",
            "raw#4 CLOSED 0 0 [::]:253 -",
            "unix#5 CLOSED 0 0 * -",
            "unix#6 CLOSED 0 0 * -",
            "unix#7 CLOSED 0 0 * -",
        ]
    );
    let kinds: Vec<_> = rows.iter().map(|row| (row.domain, row.r#type, row.protocol.number())).collect();
    assert_eq!(kinds[0], (Domain::Inet6, Type::Stream, 6));
    assert_eq!(kinds[2], (Domain::Inet, Type::Dgram, 1));
    assert_eq!(kinds[3], (Domain::Inet6, Type::Raw, 253));
    assert_eq!(kinds[6], (Domain::Unix, Type::SeqPacket, 0));
    let Outcome::Fresh(tcp) = held[0] else { panic!() };
    drop(held);
    net.call_a(Verb::Close { socket: tcp }).unwrap();
    assert_eq!(list(&mut net), []);
}

#[test]
fn a_socket_keeps_its_name_from_its_opening_to_its_connection_and_in_the_trace() {
    let mut net = Net::new();
    let Outcome::Fresh(socket) = open(&mut net, Domain::Inet, Kind::Tcp) else { panic!() };
    net.call_a(Verb::Bind { socket, local: at("0.0.0.0", 80).into() }).unwrap();
    assert_eq!(shorts(&mut net), ["tcp#1 CLOSED 0 0 0.0.0.0:80 -"]);
    let Ok(Outcome::Listener(listener)) = net.call_a(Verb::Listen { socket, backlog: 3 }) else { panic!() };
    let peer = net.connect_b(at(A, 80)).unwrap();
    let rows = list(&mut net);
    let expected = ["tcp#1 LISTEN 1 3 0.0.0.0:80 -".into(), format!("tcp#2 ESTABLISHED 0 0 {A}:80 {}", peer.local)];
    assert_eq!(rows.iter().map(short).collect::<Vec<_>>(), expected);
    assert_eq!((rows[0].backlog, rows[1].backlog), (Some(3), None));
    assert_eq!((rows[0].way, rows[1].way), (Way::Wire, Way::Wire));
    let bound = net.a.events("Bound");
    assert!(bound.len() == 1 && bound[0].contains("protocol: Tcp, number: 1"), "{bound:?}");
    drop(listener);
}

#[test]
fn queues_hold_what_is_unread_and_what_is_not_acknowledged() {
    let mut net = Net::new();
    let (a, b, listener) = net.connected();
    b.pipe.try_write(&[1; 3000]).unwrap();
    net.settle();
    // What A sends is taken by B's stack, and acknowledged; what B's program cannot take fills the buffers on the way.
    while a.pipe.try_write(&[2; 10_000]).is_ok() {
        net.run(Duration::from_secs(1));
    }
    let rows = list(&mut net);
    let row = rows.iter().find(|row| row.state == TcpState::Established).unwrap();
    assert_eq!(row.recv_q, 3000);
    assert!(row.send_q > 10_000, "{row:?}");
    let sending = &row.info.as_ref().unwrap().sending;
    assert_eq!(sending.on_its_way + sending.unsent, row.send_q, "{row:?}");
    assert_eq!((row.summary.bytes_in, row.summary.bytes_out > 10_000), (3000, true));
    let (one, other) = (net.bind_a(at(A, 7)), net.bind_b(at(B, 9)));
    net.call_a(Verb::Connect { socket: one.handle, remote: at(B, 9).into() }).unwrap();
    for length in [5, 7] {
        other.pipe.try_send(&vec![0; length], at(A, 7), None).unwrap();
    }
    net.settle();
    assert_eq!(shorts(&mut net).last().unwrap(), &format!("udp#3 ESTABLISHED 12 0 {A}:7 {B}:9"));
    drop((a, b, listener, one, other));
}

#[test]
fn handshakes_connections_of_nobody_and_remnants_are_in_the_list() {
    let mut bench = Bench::new();
    let syn = smoltcp::wire::TcpRepr { src_port: 7000, ..segment(TcpControl::Syn, 1, None) };
    bench.send(&syn, Duration::ZERO);
    let listening = "tcp#1 LISTEN 0 16 0.0.0.0:80 -";
    assert_eq!(
        shorts(&mut bench.net),
        [listening.to_owned(), format!("tcp#2 SYN-RECEIVED 0 0 {A}:80 {B}:7000 unheld")]
    );
    let theirs = bench.establish(1000).wrapping_add(1);
    drop(bench.listener.queue.try_accept().unwrap());
    bench.idle(Duration::from_millis(50));
    let state = |bench: &mut Bench| shorts(&mut bench.net).pop().unwrap();
    assert_eq!(state(&mut bench), format!("tcp#3 FIN-WAIT-1 0 0 {A}:80 {B}:5000 unheld"));
    let ours = theirs.wrapping_add(1);
    bench.send(&segment(TcpControl::None, 1001, Some(ours)), Duration::from_millis(1));
    assert_eq!(state(&mut bench), format!("tcp#3 FIN-WAIT-2 0 0 {A}:80 {B}:5000 unheld"));
    bench.send(&segment(TcpControl::Fin, 1001, Some(ours)), Duration::ZERO);
    assert_eq!(state(&mut bench), format!("tcp#3 TIME-WAIT 0 0 {A}:80 {B}:5000 unheld"));
    bench.idle(Duration::from_secs(300));
    assert_eq!(shorts(&mut bench.net), [listening]);
}

/// The same program over either loopback.
fn at_home(mode: Loopback) -> (Net, Vec<Vec<SocketRow>>) {
    let mut net = Net::with(FaultConfig::default(), Config { loopback: mode, ..config_a() }, config_b());
    let mut seen = Vec::new();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let from = Some(at("127.0.0.1", 5000));
    let verb = Verb::OpenStream { local: from, remote: at("127.0.0.1", 80) };
    let Ok(Outcome::Stream(client)) = net.call_a(verb) else { panic!() };
    seen.push(list(&mut net));
    let server = listener.queue.try_accept().unwrap();
    client.pipe.try_write(&[1; 500]).unwrap();
    seen.push(list(&mut net));
    assert_eq!(server.pipe.try_read(&mut [0; 500]), Ok(500));
    drop(client);
    seen.push(list(&mut net));
    drop(server);
    seen.push(list(&mut net));
    (net, seen)
}

#[test]
fn both_ways_of_the_loopback_list_the_same_and_say_which_way_it_is() {
    let [wire, fast] = [Loopback::Wire, Loopback::Fast].map(|mode| at_home(mode).1);
    let texts = |seen: &[Vec<SocketRow>]| {
        seen.iter().map(|rows| rows.iter().map(short).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let client = |state: &str| format!("tcp#2 {state} 0 0 127.0.0.1:5000 127.0.0.1:80");
    let server = |state: &str, unread| format!("tcp#3 {state} {unread} 0 127.0.0.1:80 127.0.0.1:5000");
    let listening = |waiting| format!("tcp#1 LISTEN {waiting} 16 0.0.0.0:80 -");
    let expected = [
        vec![listening(1), client("ESTABLISHED"), server("ESTABLISHED", 0)],
        vec![listening(0), client("ESTABLISHED"), server("ESTABLISHED", 500)],
        vec![listening(0), client("FIN-WAIT-2") + " unheld", server("CLOSE-WAIT", 0)],
        vec![listening(0), client("TIME-WAIT") + " unheld"],
    ];
    assert_eq!(texts(&wire), expected);
    assert_eq!(texts(&fast), expected);
    assert!(wire.iter().flatten().all(|row| row.way == Way::Wire));
    let rows = &fast[1];
    let joined = |other: usize| Way::Joined { peer: Some(rows[other].id) };
    assert_eq!([rows[0].way, rows[1].way, rows[2].way], [Way::Wire, joined(2), joined(1)]);
    assert_eq!(fast[2][1].way, joined(2), "the program is gone, and the connection is still to that one");
    assert_eq!((rows[1].summary.bytes_out, fast[2][2].summary.bytes_in), (500, 500));
}

#[test]
fn unix_sockets_are_listed_with_names_queues_and_peers() {
    let mut net = Net::new();
    let listener = unix(&mut net, Kind::UnixStream);
    bind_unix(&mut net, listener.handle, "/server");
    let Ok(Outcome::UnixListener(queue)) = net.call_a(Verb::Listen { socket: listener.handle, backlog: 4 }) else {
        panic!()
    };
    let client = unix(&mut net, Kind::UnixStream);
    let remote = UnixAddress::path("/server").unwrap().into();
    let Ok(Outcome::UnixConnected(UnixPipe::Stream(pipe), _)) =
        net.call_a(Verb::Connect { socket: client.handle, remote })
    else {
        panic!()
    };
    pipe.try_write(b"hello").unwrap();
    let rows = list(&mut net);
    assert_eq!(
        rows.iter().map(short).collect::<Vec<_>>(),
        ["unix#1 LISTEN 1 4 /server -", "unix#2 ESTABLISHED 0 0 * /server", "unix#3 ESTABLISHED 5 0 /server *"]
    );
    let peers: Vec<_> = rows.iter().map(|row| row.way).collect();
    let joined = |row: usize| Way::Joined { peer: Some(rows[row].id) };
    assert_eq!(peers, [Way::Joined { peer: None }, joined(2), joined(1)]);
    assert_eq!((rows[0].backlog, rows[1].summary.bytes_out), (Some(4), 5));
    drop((client, pipe));
    let rows = list(&mut net);
    assert_eq!(rows.iter().map(short).collect::<Vec<_>>()[1..], ["unix#3 ESTABLISHED 5 0 /server *"]);
    assert_eq!(rows[1].way, Way::Joined { peer: None }, "gone");
    drop((listener, queue));
    assert_eq!(list(&mut net), []);
}

#[test]
fn a_unix_socket_of_messages_shows_what_waits_and_whom_it_is_connected_to() {
    let mut net = Net::new();
    let receiver = unix(&mut net, Kind::UnixDatagram);
    bind_unix(&mut net, receiver.handle, "/log");
    let sender = unix(&mut net, Kind::UnixDatagram);
    let remote = UnixAddress::path("/log").unwrap().into();
    let Ok(Outcome::Recipient(to)) = net.call_a(Verb::Connect { socket: sender.handle, remote }) else { panic!() };
    let Some(UnixPipe::Datagram(mailbox, _)) = &sender.pipe else { panic!() };
    mailbox.try_send(&to.slot, &[IoSlice::new(b"seven b")], sender.name.clone()).unwrap();
    assert_eq!(shorts(&mut net), ["unix#1 CLOSED 7 0 /log -", "unix#2 ESTABLISHED 0 0 * /log"]);
}

#[test]
fn a_long_list_comes_in_parts_with_every_socket_once() {
    let limits = Limits { sockets: 4000, ..Limits::default() };
    let mut net = Net::with(FaultConfig::default(), Config { limits, ..config_a() }, config_b());
    let held: Vec<_> = (0..3000).map(|_| open(&mut net, Domain::Unix, Kind::UnixDatagram)).collect();
    let (rows, parts) = pages(&mut net);
    assert!(rows.iter().map(|row| row.id.number).eq(1..=3000));
    assert!((3..10).contains(&parts), "{parts}");
    drop(held);
    assert_eq!(list(&mut net), []);
}

#[test]
fn who_holds_a_socket_is_in_its_row_and_in_its_story_and_what_is_accepted_is_its_listener_s() {
    use crate::observe::Owner;
    let mut net = Net::new();
    net.a.seen.records = Some(Vec::new());
    let server = || Some(Owner::new("service:http"));
    let client = || Some(Owner::new("nc"));
    net.a.owner = server();
    let listener = net.listen_a(at("0.0.0.0", 80), 16);
    let log = unix(&mut net, Kind::UnixStream);
    bind_unix(&mut net, log.handle, "/log");
    let queue = net.call_a(Verb::Listen { socket: log.handle, backlog: 4 }).unwrap();
    // One by packets, one without, and one that has no network at all.
    let remote = net.connect_b(at(A, 80)).unwrap();
    net.a.owner = client();
    let local = net.call_a(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) }).unwrap();
    let writer = unix(&mut net, Kind::UnixStream);
    let name = UnixAddress::path("/log").unwrap();
    let connected = net.call_a(Verb::Connect { socket: writer.handle, remote: name.into() }).unwrap();
    net.a.owner = None;
    let nobody = open(&mut net, Domain::Inet, Kind::Udp);
    let owners: Vec<_> = list(&mut net).iter().map(|row| (row.id.to_string(), row.owner.clone())).collect();
    let expected = [
        ("tcp#1", server()),
        ("unix#2", server()),
        ("tcp#3", server()),
        ("tcp#4", client()),
        ("tcp#5", server()),
        ("unix#6", client()),
        ("unix#7", server()),
        ("udp#8", None),
    ];
    assert_eq!(owners, expected.map(|(id, owner)| (id.to_owned(), owner)));
    let told: Vec<_> = (net.a.seen.records.take().unwrap().into_iter())
        .filter_map(|record| match record.event {
            Event::Bound { socket, owner, .. }
            | Event::Opened { socket, owner, .. }
            | Event::Accepted { socket, owner, .. }
            | Event::Connected { socket, owner, .. }
            | Event::UnixAccepted { socket, owner, .. } => Some((socket.to_string(), owner)),
            _ => None,
        })
        .collect();
    for (id, owner) in told {
        assert!(owners.contains(&(id.clone(), owner.clone())), "{id} {owner:?}");
    }
    drop((listener, log, queue, remote, local, writer, connected, nobody));
}
