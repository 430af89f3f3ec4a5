//! Two sockets of one stack, by packets that never reach the device.

use std::net::IpAddr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket, TcpRepr};

use super::*;
use crate::config::Loopback;
use crate::error::Error;
use crate::observe::{Counters, Rule};

/// Every way to name ourselves, with the address that a connection to it comes from.
const OURSELVES: [(&str, &str); 5] =
    [("127.0.0.1", "127.0.0.1"), ("127.9.8.7", "127.0.0.1"), (A, A), ("::1", "::1"), (A6, A6)];

/// A alone: B sees nothing, and says nothing. With what A had counted before.
struct Alone(Net, Counters);

impl Alone {
    fn new() -> Alone {
        Alone::with(config_a())
    }

    fn with(config: Config) -> Alone {
        Alone::by(Loopback::Wire, config)
    }

    /// What a program sees is the same whether there are packets or not.
    fn both() -> [Alone; 2] {
        [Loopback::Wire, Loopback::Fast].map(|way| Alone::by(way, config_a()))
    }

    fn by(loopback: Loopback, config: Config) -> Alone {
        let config = Config { loopback, ..config };
        let mut net = Net::with(FaultConfig::default(), config, config_b());
        // The link-local address announces itself, and its group is reported twice.
        net.run(Duration::from_secs(30));
        net.a.seen = Seen::default();
        let counters = net.a.stack.counters().clone();
        Alone(net, counters)
    }

    fn connect(&mut self, remote: SocketAddr) -> Result<StreamSocket> {
        self.connect_from(None, remote)
    }

    fn connect_from(&mut self, local: Option<SocketAddr>, remote: SocketAddr) -> Result<StreamSocket> {
        match self.0.call_a(Verb::OpenStream { local, remote })? {
            Outcome::Stream(stream) => Ok(stream),
            other => panic!("{other:?}"),
        }
    }

    /// The connecting end, the accepted one, and the listener.
    fn connected(&mut self, remote: SocketAddr) -> (StreamSocket, StreamSocket, ListenerSocket) {
        let wildcard = if remote.is_ipv4() { "0.0.0.0" } else { "::" };
        let listener = self.0.listen_a(at(wildcard, remote.port()), 16);
        let client = self.connect(remote).unwrap();
        let server = listener.queue.try_accept().unwrap();
        (client, server, listener)
    }

    fn connect_udp(&mut self, socket: &DatagramSocket, peer: SocketAddr) {
        self.0.call_a(Verb::Connect { socket: socket.handle, remote: peer.into() }).unwrap();
    }

    fn run(&mut self, milliseconds: u64) {
        self.0.run(Duration::from_millis(milliseconds));
    }

    fn count(&self, rule: Rule) -> u64 {
        self.0.a.stack.counters().of(rule) - self.1.of(rule)
    }

    fn packets(&self) -> &[(Direction, Vec<u8>, Fate)] {
        &self.0.a.seen.packets
    }

    /// The segments that arrived over IPv4, their checksums verified.
    fn segments(&self) -> Vec<(TcpControl, usize, Option<u16>)> {
        let arrived = self
            .packets()
            .iter()
            .filter(|(direction, bytes, _)| *direction == Direction::In && bytes[0] >> 4 == 4 && bytes[9] == 6);
        arrived.map(|(_, bytes, _)| read_segment(bytes)).collect()
    }
}

/// Its flags, payload and MSS.
fn read_segment(bytes: &[u8]) -> (TcpControl, usize, Option<u16>) {
    let ip = Ipv4Packet::new_checked(bytes).unwrap();
    assert!(ip.verify_checksum());
    let (source, destination) = (IpAddress::Ipv4(ip.src_addr()), IpAddress::Ipv4(ip.dst_addr()));
    let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
    let repr = TcpRepr::parse(&tcp, &source, &destination, &ChecksumCapabilities::default()).unwrap();
    (repr.control, repr.payload.len(), repr.max_seg_size)
}

/// Whatever a test does: nothing reached the device, and nothing on the loopback was damaged or nobody's.
impl Drop for Alone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let sent: Vec<_> =
            self.0.a.seen.frames.iter().filter(|(_, direction, ..)| *direction == Direction::Out).collect();
        assert!(sent.is_empty(), "{sent:?}");
        let (sent, arrived): (Vec<_>, Vec<_>) = self.packets().iter().partition(|(way, ..)| *way == Direction::Out);
        assert_eq!(sent.len(), arrived.len());
        for ((_, sent, _), (_, arrived, fate)) in sent.iter().zip(&arrived) {
            assert_eq!(sent, arrived, "it arrives as it was sent");
            assert!(fate.owner.is_some() || fate.rule.is_some());
        }
        for rule in [Rule::TcpChecksum, Rule::UdpChecksum, Rule::Ip4HeaderChecksum, Rule::Ip4Source, Rule::IpForeign] {
            assert_eq!(self.count(rule), 0, "{rule}");
        }
    }
}

fn read_all(stream: &StreamSocket) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 70_000]);
    while let Ok(count @ 1..) = stream.pipe.try_read(&mut buffer) {
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

#[test]
fn a_listener_on_the_wildcard_is_reached_by_every_address_of_ours() {
    for mut alone in Alone::both() {
        for (port, (to, from)) in (8000..).zip(OURSELVES) {
            let (client, server, _listener) = alone.connected(at(to, port));
            assert_eq!(client.local.ip(), from.parse::<IpAddr>().unwrap(), "{to}");
            assert_eq!((client.local, client.remote), (server.remote, server.local));
            assert_eq!(server.local, at(to, port));
            client.pipe.try_write(b"to ourselves").unwrap();
            alone.run(5);
            assert_eq!(read_all(&server), b"to ourselves");
            server.pipe.try_write(b"and back").unwrap();
            alone.run(5);
            assert_eq!(read_all(&client), b"and back");
        }
    }
}

#[test]
fn a_listener_hears_only_the_loopback_address_that_it_is_bound_to() {
    for mut alone in Alone::both() {
        for (bound, other) in [("127.0.0.1", A), ("127.0.0.2", "127.0.0.1"), ("::1", A6), (A, "127.0.0.1")] {
            let listener = alone.0.listen_a(at(bound, 80), 1);
            alone.connect(at(bound, 80)).unwrap();
            assert!(listener.queue.try_accept().is_ok());
            assert_eq!(alone.connect(at(other, 80)).unwrap_err(), Error::ConnectionRefused, "{other}");
        }
    }
}

#[test]
fn a_closed_port_refuses_at_once_however_often() {
    let config = Config { limits: Limits { errors_per_second: 3, ..Limits::default() }, ..config_a() };
    let mut alone = Alone::with(config);
    let before = alone.0.now;
    for (to, _) in OURSELVES.iter().cycle().take(20) {
        assert_eq!(alone.connect(at(to, 81)).unwrap_err(), Error::ConnectionRefused);
    }
    assert_eq!(alone.count(Rule::TcpRstClosedPort), 20);
    assert!(alone.0.now - before < Duration::from_millis(1), "the limit is for strangers");
}

#[test]
fn the_unspecified_address_means_ourselves() {
    for mut alone in Alone::both() {
        for (family, expected) in [("0.0.0.0", "127.0.0.1"), ("::", "::1")] {
            let listener = alone.0.listen_a(at(family, 80), 1);
            let _client = alone.connect(at(family, 80)).unwrap();
            assert_eq!(listener.queue.try_accept().unwrap().local, at(expected, 80));
        }
        let listener = alone.0.listen_a(at(A, 81), 1);
        alone.connect_from(Some(at(A, 0)), at("0.0.0.0", 81)).unwrap();
        assert_eq!(
            listener.queue.try_accept().unwrap().remote.ip(),
            at(A, 0).ip(),
            "bound first, it means that address"
        );
    }
}

#[test]
fn a_loopback_address_is_nobody_to_another_host() {
    for mut alone in Alone::both() {
        for (bound, other) in [("127.0.0.1", B), ("::1", B6)] {
            assert_eq!(alone.connect_from(Some(at(bound, 0)), at(other, 80)).unwrap_err(), Error::InvalidInput);
            let socket = alone.0.bind_a(at(bound, 0));
            socket.pipe.try_send(b"x", at(other, 9), None).unwrap();
            alone.run(1);
            assert_eq!(socket.pipe.try_receive(&mut [0; 8]).unwrap_err(), Error::InvalidInput);
            let connect = Verb::Connect { socket: socket.handle, remote: at(other, 9).into() };
            assert_eq!(alone.0.call_a(connect).unwrap_err(), Error::InvalidInput);
        }
    }
}

#[test]
fn each_packet_is_built_shown_and_verified_and_as_large_as_on_linux() {
    let mut alone = Alone::new();
    let (client, server, _listener) = alone.connected(at("127.0.0.1", 80));
    client.pipe.try_write(&[7; 60_000]).unwrap();
    alone.run(5);
    assert_eq!(read_all(&server).len(), 60_000);
    let segments = alone.segments();
    assert_eq!(segments[0], (TcpControl::Syn, 0, Some(65_495)));
    assert_eq!(segments[1], (TcpControl::Syn, 0, Some(65_495)));
    assert!(segments.iter().any(|(_, payload, _)| *payload == 60_000), "in one piece: {segments:?}");
    let owners: Vec<_> = alone.packets().iter().map(|(_, _, fate)| fate.owner.unwrap().socket()).collect();
    assert!(owners.contains(&client.id) && owners.contains(&server.id));
    let Ok(Outcome::Info(info)) = alone.0.call_a(Verb::Info { socket: client.handle }) else { panic!() };
    assert_eq!((info.send_mss, info.summary.retransmitted), (65_495, 0));
    let (_six, server, _listener) = alone.connected(at("::1", 80));
    let Ok(Outcome::Info(info)) = alone.0.call_a(Verb::Info { socket: server.handle }) else { panic!() };
    assert_eq!(info.send_mss, 65_476);
}

/// A SYN cookie remembers only a few sizes, so that the server takes a smaller MSS for the client's.
#[test]
fn who_wants_shorter_segments_gets_them_in_order() {
    let config = Config { limits: Limits { syn_entries: 0, ..Limits::default() }, ..config_a() };
    let mut alone = Alone::with(config);
    let (client, server, _listener) = alone.connected(at("127.0.0.1", 80));
    let Ok(Outcome::Info(info)) = alone.0.call_a(Verb::Info { socket: server.handle }) else { panic!() };
    assert!(info.send_mss < 10_000, "{}", info.send_mss);
    alone.0.a.seen.packets.clear();
    let data: Vec<u8> = (0..60_000u32).map(|at| (at ^ at >> 8) as u8).collect();
    server.pipe.try_write(&data).unwrap();
    alone.run(50);
    assert!(read_all(&client) == data);
    let longest = alone.segments().iter().map(|(_, payload, _)| *payload).max();
    assert!(longest <= Some(usize::from(info.send_mss)), "{longest:?}");
    let out_of_order = [Rule::TcpOldData, Rule::TcpRetransmitFast, Rule::TcpRetransmitTimeout];
    assert_eq!(out_of_order.map(|rule| alone.count(rule)), [0; 3]);
    let Ok(Outcome::Info(info)) = alone.0.call_a(Verb::Info { socket: server.handle }) else { panic!() };
    assert_eq!(info.summary.retransmitted, 0);
}

#[test]
fn ten_mebibytes_arrive_exactly_both_ways_at_once() {
    for (to, _) in [("127.0.0.1", ""), (A6, "")] {
        for mut alone in Alone::both() {
            let (client, server, _listener) = alone.connected(at(to, 80));
            let data: Vec<u8> = (0..10u32 << 20).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect();
            let (mut sent, mut got) = ([0, 0], [Vec::new(), Vec::new()]);
            let began = alone.0.now;
            while got.iter().any(|got| got.len() < data.len()) {
                for (side, stream) in [&client, &server].into_iter().enumerate() {
                    if let Ok(count) = stream.pipe.try_write(&data[sent[side]..]) {
                        sent[side] += count;
                    }
                    got[1 - side].extend(read_all(if side == 0 { &server } else { &client }));
                }
                alone.run(1);
                assert!(alone.0.now - began < Duration::from_secs(10), "{:?}", got.map(|got| got.len()));
            }
            assert!(got[0] == data && got[1] == data);
            assert_eq!(alone.count(Rule::LoopbackFull) + alone.count(Rule::TcpRetransmitTimeout), 0);
        }
    }
}

#[test]
fn half_closed_the_other_direction_goes_on_and_then_both_end() {
    for (to, _) in OURSELVES {
        for mut alone in Alone::both() {
            let (client, server, listener) = alone.connected(at(to, 80));
            client.pipe.try_write(b"question").unwrap();
            client.pipe.shutdown_write();
            alone.run(5);
            let mut buffer = [0; 64];
            assert_eq!(server.pipe.try_read(&mut buffer), Ok(8));
            assert_eq!(server.pipe.try_read(&mut buffer), Ok(0));
            server.pipe.try_write(b"answer").unwrap();
            drop(server);
            alone.run(5);
            assert_eq!(client.pipe.try_read(&mut buffer), Ok(6));
            assert_eq!(client.pipe.try_read(&mut buffer), Ok(0));
            drop((client, listener));
            alone.run(5);
            let closed = alone.0.a.events("Closed");
            assert!(closed.iter().any(|event| event.contains("how: ByUs")), "{closed:?}");
            assert!(closed.iter().any(|event| event.contains("how: ByPeer")), "{closed:?}");
            alone.run(120_000);
            assert_eq!(alone.0.a.stack.sockets(), 0, "TIME-WAIT is over");
        }
    }
}

#[test]
fn closing_with_unread_data_resets_the_other_end() {
    for (to, _) in OURSELVES {
        for mut alone in Alone::both() {
            let (client, server, _listener) = alone.connected(at(to, 80));
            client.pipe.try_write(b"never read").unwrap();
            alone.run(5);
            drop(server);
            alone.run(5);
            assert_eq!(client.pipe.try_read(&mut [0; 8]), Err(Error::ConnectionReset));
        }
    }
}

#[test]
fn a_full_accept_queue_makes_the_next_one_wait() {
    for mut alone in Alone::both() {
        let listener = alone.0.listen_a(at("127.0.0.1", 80), 1);
        let _first = alone.connect(at("127.0.0.1", 80)).unwrap();
        let second = alone.0.a.begin(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) });
        alone.run(500);
        assert!(alone.0.a.finished(second).is_none());
        assert_eq!(alone.count(Rule::TcpBacklogFull), 1);
        drop(listener.queue.try_accept().unwrap());
        alone.run(3000);
        assert!(alone.0.a.finished(second).unwrap().is_ok());
    }
}

#[test]
fn many_local_connections_share_a_listener_and_none_gets_the_port_of_another() {
    let config = Config { ephemeral_ports: 40_000..=40_099, ..config_a() };
    let mut alone = Alone::with(config);
    let _listener = alone.0.listen_a(at("127.0.0.1", 40_050), 4096);
    let streams: Vec<_> = (0..99).map(|_| alone.connect(at("127.0.0.1", 40_050)).unwrap()).collect();
    let mut ports: Vec<_> = streams.iter().map(|stream| stream.local.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!((ports.len(), ports.contains(&40_050)), (99, false));
    assert_eq!(alone.connect(at("127.0.0.1", 40_050)).unwrap_err(), Error::AddressNotAvailable);
}

/// Both ends of such a connection are one socket (RFC 9293 §3.5, simultaneous open); what matters is that it ends.
#[test]
fn a_socket_that_connects_to_itself_does_no_harm() {
    for to in ["127.0.0.1", "::1"] {
        let mut alone = Alone::new();
        let ticket = alone.0.a.begin(Verb::OpenStream { local: Some(at(to, 7000)), remote: at(to, 7000) });
        alone.run(1000);
        match alone.0.a.finished(ticket) {
            Some(Ok(Outcome::Stream(stream))) => {
                stream.pipe.try_write(b"echo").unwrap();
                alone.run(50);
                assert_eq!(read_all(&stream), b"echo");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn datagrams_between_our_own_sockets() {
    let mut alone = Alone::new();
    for (to, from) in OURSELVES {
        let wildcard = if to.contains(':') { "::" } else { "0.0.0.0" };
        let (one, other) = (alone.0.bind_a(at(wildcard, 0)), alone.0.bind_a(at(wildcard, 0)));
        let longest = if to.contains(':') { 65_527 } else { 65_507 };
        let mut buffer = vec![0; 65_536];
        for length in [0, 1, 1472, longest] {
            one.pipe.try_send(&vec![3; length], at(to, other.local.port()), None).unwrap();
            alone.run(1);
            let (count, peer, local) = other.pipe.try_receive(&mut buffer).unwrap();
            assert_eq!((count, peer), (length, at(from, one.local.port())), "{to}");
            assert_eq!(local, Some(to.parse().unwrap()));
        }
    }
}

#[test]
fn a_connected_datagram_socket_is_told_that_nobody_is_at_the_port() {
    let config = Config { limits: Limits { errors_per_second: 3, ..Limits::default() }, ..config_a() };
    let mut alone = Alone::with(config);
    for (to, _) in OURSELVES.iter().cycle().take(10) {
        let socket = alone.0.bind_a(at(if to.contains(':') { "::" } else { "0.0.0.0" }, 0));
        alone.connect_udp(&socket, at(to, 9));
        socket.pipe.try_send(b"anybody?", at(to, 9), None).unwrap();
        alone.run(1);
        assert_eq!(socket.pipe.try_receive(&mut [0; 8]).unwrap_err(), Error::ConnectionRefused, "{to}");
    }
    assert_eq!(alone.count(Rule::UdpNoSocket), 10);
}

#[test]
fn a_broadcast_on_the_loopback_needs_permission_and_reaches_all() {
    let mut alone = Alone::new();
    let hearer = alone.0.bind_a(at("0.0.0.0", 5000));
    let sender = alone.0.bind_a(at("127.0.0.1", 0));
    sender.pipe.try_send(b"all", at("127.255.255.255", 5000), None).unwrap();
    alone.run(1);
    assert_eq!(sender.pipe.try_receive(&mut [0; 8]).unwrap_err(), Error::PermissionDenied);
    let option = crate::socket::SocketOption::Broadcast(true);
    alone.0.call_a(Verb::SetOption { socket: sender.handle, option }).unwrap();
    sender.pipe.try_send(b"all", at("127.255.255.255", 5000), None).unwrap();
    alone.run(1);
    assert_eq!(hearer.pipe.try_receive(&mut [0; 8]).map(|(count, ..)| count), Ok(3));
    assert_eq!(hearer.pipe.try_receive(&mut [0; 8]).unwrap_err(), Error::WouldBlock, "once");
}

#[test]
fn a_group_is_reached_from_a_loopback_address_and_stays_within_the_stack() {
    let mut alone = Alone::new();
    for (from, wildcard, group) in [("127.0.0.1", "0.0.0.0", "239.1.2.3"), ("::1", "::", "ff15::1:2")] {
        let member = alone.0.bind_a(at(wildcard, 5000));
        let interface = Some(from.parse().unwrap());
        let join = Verb::JoinGroup { socket: member.handle, group: group.parse().unwrap(), interface };
        alone.0.call_a(join).unwrap();
        let sender = alone.0.bind_a(at(from, 0));
        // The stack tells the link that it is in the group; that is all that is ever seen there.
        alone.run(30_000);
        alone.0.a.seen.frames.clear();
        sender.pipe.try_send(b"all", at(group, 5000), None).unwrap();
        alone.run(1);
        assert_eq!(member.pipe.try_receive(&mut [0; 8]).map(|(count, peer, _)| (count, peer)), Ok((3, sender.local)));
    }
}

/// Nagle's algorithm at one end would wait for the ACK that the other end delays.
#[test]
fn small_writes_one_after_the_other_do_not_wait() {
    let mut alone = Alone::new();
    let (client, server, _listener) = alone.connected(at("127.0.0.1", 80));
    let began = alone.0.now;
    for _ in 0..100 {
        client.pipe.try_write(b"a").unwrap();
        alone.0.settle();
        client.pipe.try_write(b"b").unwrap();
        alone.0.settle();
        assert_eq!(read_all(&server), b"ab");
    }
    assert_eq!(alone.0.now, began);
}

/// An echo request from ourselves, as a program with a raw socket would send it.
fn ping(alone: &mut Alone, to: IpAddr) {
    let (protocol, kind) = if to.is_ipv4() { (IpProtocol::Icmp, 8) } else { (IpProtocol::Icmpv6, 128) };
    let message = [kind, 0, 0, 0, 0, 7, 0, 1, b'p', b'i', b'n', b'g'];
    let ip = smoltcp::wire::IpRepr::new(IpAddress::from(to), IpAddress::from(to), protocol, message.len(), 64);
    let fate = Fate::nobody(Rule::IcmpEcho);
    alone.0.a.stack.packets.push(ip.buffer_len(), fate, None, |packet| {
        ip.emit(&mut *packet, &ChecksumCapabilities::ignored());
        packet[ip.header_len()..].copy_from_slice(&message);
    });
    alone.0.a.deadline = Some(alone.0.now);
    alone.run(1);
}

#[test]
fn we_answer_our_own_ping() {
    let mut alone = Alone::new();
    for to in ["127.0.0.1", A, "::1", A6] {
        alone.0.a.seen.packets.clear();
        ping(&mut alone, to.parse().unwrap());
        let arrived: Vec<_> = alone.packets().iter().filter(|(direction, ..)| *direction == Direction::In).collect();
        let rules: Vec<_> = arrived.iter().map(|(_, _, fate)| fate.rule.unwrap()).collect();
        assert_eq!(rules, [Rule::IcmpEcho, Rule::IcmpEchoReply], "{to}");
        let (bytes, is_v4) = (&arrived[1].1, arrived[1].1[0] >> 4 == 4);
        let payload = if is_v4 { &bytes[20..] } else { Ipv6Packet::new_checked(&bytes[..]).unwrap().payload() };
        assert_eq!((payload[0], &payload[4..]), (if is_v4 { 0 } else { 129 }, &b"\0\x07\0\x01ping"[..]));
    }
}

#[test]
fn loopback_addresses_on_the_link_are_martians() {
    use super::wire::{Bench, frame, segment};
    let mut bench = Bench::new();
    let syn = frame(&segment(TcpControl::Syn, 1000, None));
    let rewrite = |field: usize, address: [u8; 4]| {
        let mut frame = syn.clone();
        frame[14 + field..14 + field + 4].copy_from_slice(&address);
        Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
        frame
    };
    for (frame, rule) in [
        (rewrite(12, [127, 0, 0, 1]), Rule::Ip4Source),
        (rewrite(12, [192, 168, 69, 1]), Rule::Ip4Source),
        (rewrite(16, [127, 0, 0, 1]), Rule::IpLoopback),
        (rewrite(16, [127, 255, 255, 255]), Rule::IpLoopback),
    ] {
        assert_eq!(bench.inject(&frame, Duration::ZERO), []);
        assert_eq!(bench.fate().rule, Some(rule));
    }
}

/// Two connections of one program, through a loopback that holds next to nothing.
#[test]
fn what_the_loopback_cannot_hold_is_lost_by_name_and_comes_again() {
    let limits = Limits { loopback_bytes: 70_000, ..Limits::default() };
    let config = Config { limits, loopback: Loopback::Wire, ..config_a() };
    let mut net = Net::with(FaultConfig::default(), config, config_b());
    let listener = net.listen_a(at("127.0.0.1", 80), 16);
    let mut pairs = Vec::new();
    for _ in 0..4 {
        let Ok(Outcome::Stream(client)) = net.call_a(Verb::OpenStream { local: None, remote: at("127.0.0.1", 80) })
        else {
            panic!()
        };
        pairs.push((client, listener.queue.try_accept().unwrap(), 0));
    }
    for (client, ..) in &pairs {
        assert_eq!(client.pipe.try_write(&[1; 60_000]), Ok(60_000));
    }
    net.run_until(Duration::from_secs(60), |_| {
        for (_, server, got) in &mut pairs {
            *got += read_all(server).len();
        }
        pairs.iter().all(|(.., got)| *got == 60_000)
    });
    assert!(net.a.stack.counters().of(Rule::LoopbackFull) > 0);
}

#[test]
fn a_step_does_a_bounded_share_and_the_rest_comes_with_the_next() {
    let mut alone = Alone::new();
    let socket = alone.0.bind_a(at("127.0.0.1", 0));
    let sinks: Vec<_> = (0..40).map(|_| alone.0.bind_a(at("127.0.0.1", 0))).collect();
    let packet = [0u8; 1];
    for sink in &sinks {
        for _ in 0..50 {
            alone.0.a.stack.packets.push(28 + packet.len(), Fate::nobody(Rule::IcmpEcho), None, |bytes| {
                let repr = smoltcp::wire::UdpRepr { src_port: socket.local.port(), dst_port: sink.local.port() };
                let address = IpAddress::v4(127, 0, 0, 1);
                let ip = smoltcp::wire::IpRepr::new(address, address, IpProtocol::Udp, 9, 64);
                ip.emit(&mut *bytes, &ChecksumCapabilities::ignored());
                let mut udp = smoltcp::wire::UdpPacket::new_unchecked(&mut bytes[20..]);
                let fill = |payload: &mut [u8]| payload.copy_from_slice(&packet);
                repr.emit(&mut udp, &address, &address, 1, fill, &ChecksumCapabilities::ignored());
            });
        }
    }
    let host = &mut alone.0.a;
    let mut arrived = Vec::new();
    loop {
        let mut out = Frames::new();
        let step = host.stack.step(alone.0.now, [], &mut host.calls, &mut out, &mut host.seen);
        let count = |host: &Host| host.seen.packets.iter().filter(|(way, ..)| *way == Direction::In).count();
        arrived.push(count(host));
        if !step.has_more {
            break;
        }
    }
    assert_eq!(arrived, [1024, 2000]);
}

#[test]
fn when_the_stack_stops_both_ends_are_told() {
    let mut alone = Alone::new();
    let (client, server, _listener) = alone.connected(at("127.0.0.1", 80));
    let mut out = Frames::new();
    let host = &mut alone.0.a;
    host.stack.shut_down(alone.0.now, &mut out, &mut host.seen);
    for stream in [&client, &server] {
        assert_eq!(stream.pipe.try_read(&mut [0; 8]), Err(Error::NetworkDown));
    }
    // The RSTs leave, and nobody is left whom they could reach.
    host.seen.packets.clear();
}

#[test]
fn a_stack_without_a_link_is_ready_at_once_makes_no_frame_and_comes_to_rest() {
    for addresses in [Vec::new(), Config::default().addresses] {
        let mut stack = Stack::without_link(Config { addresses, ..Config::default() }, [3; 32], Doorbell::default());
        let (mut now, mut seen, mut out) = (Time::ZERO, Seen::default(), Frames::new());
        let mut steps = 0;
        loop {
            let step = stack.step(now, [], &mut Vec::new(), &mut out, &mut seen);
            assert!(stack.is_ready());
            steps += 1;
            match step.deadline {
                Some(due) => now = due,
                None => break,
            }
            assert!(steps < 20, "it has nothing to do");
        }
        assert!(out.is_empty() && seen.frames.is_empty() && seen.packets.is_empty());
    }
}
