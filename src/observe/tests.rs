//! What a person or a script reads in the JSON of events.

use std::net::SocketAddr;

use super::*;

fn record(event: Event<'_>) -> Record<'_> {
    let mut trail = Trail::default();
    trail.set_depth(Depth::Bytes);
    let cause = trail.number();
    let id = trail.number().unwrap();
    Record { id, cause, at: Time::from_micros(1_500_000), event }
}

fn there_and_back(event: Event<'_>) -> String {
    let record = record(event);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record<'_>>(&text).unwrap(), record.into_owned());
    text
}

#[test]
fn a_frame_is_written_with_its_bytes_its_owner_and_its_rule_by_name() {
    let socket = SocketId { protocol: Protocol::Tcp, number: 3 };
    let fate = Fate {
        rule: Some(Rule::TcpRetransmitTimeout),
        states: Some((TcpState::SynReceived, TcpState::Established)),
        ..Fate::of(Ownership::FourTuple { socket })
    };
    let bytes = [0x45u8, 0, 0xff];
    assert_eq!(
        there_and_back(Event::Frame { direction: Direction::Out, bytes: bytes[..].into(), fate }),
        r#"{"id":2,"cause":1,"at":1500000,"event":"frame","direction":"out","bytes":"4500ff","fate":{"owner":{"by":"four-tuple","socket":"tcp#3"},"rule":"tcp.retransmit.timeout","states":["SYN-RECEIVED","ESTABLISHED"],"numbers":null}}"#
    );
}

/// One of each, with all that it can have.
pub(crate) fn of_every_kind(socket: SocketId) -> Vec<Event<'static>> {
    let mac = crate::config::Mac([2, 0, 0x5e, 0, 0, 1]);
    let local: SocketAddr = "[fd69::1]:80".parse().unwrap();
    let remote: SocketAddr = "10.0.0.2:4000".parse().unwrap();
    let address = local.ip();
    let close = Summary { age: std::time::Duration::from_micros(9), ..Summary::default() };
    let mut trail = Trail::default();
    trail.set_depth(Depth::Life);
    let id = trail.number();
    let listener = Ownership::Listener { socket, listener: socket, listening: local };
    let numbers = Some(Numbers { local: 1, remote: 2, local_shift: 3, remote_shift: 4 });
    let states = Some((TcpState::Listen, TcpState::SynReceived));
    let fate = Fate { numbers, states, rule: Some(Rule::TcpPaws), ..Fate::of(listener) };
    let bound = Fate::of(Ownership::Port { socket, bound: remote });
    vec![
        Event::Frame { direction: Direction::In, bytes: vec![1, 2, 3].into(), fate },
        Event::Frame { direction: Direction::Out, bytes: vec![].into(), fate: bound },
        Event::Loopback { direction: Direction::In, bytes: vec![1].into(), fate: Fate::nobody(Rule::IcmpEcho) },
        Event::Address { address, state: Address::Duplicate { owner: mac } },
        Event::Router { address, state: Router::Learned { lifetime: None } },
        Event::Lease { address, server: address, state: Lease::Obtained { duration: Some(close.age) } },
        Event::Neighbour { address, state: Neighbour::Reachable { mac } },
        Event::Datagram {
            socket,
            peer: socket,
            source: local,
            destination: remote,
            length: 9,
            rule: Some(Rule::UdpChecksum),
        },
        Event::Opened { socket, kind: "SOCK_STREAM".into(), owner: None },
        Event::UnixBound { socket, name: "@name".into(), backlog: None },
        Event::UnixAccepted { socket, listener: socket, name: "/run/x".into(), waiting: 1, backlog: 5, owner: None },
        Event::Bound { socket, local, backlog: Some(3), owner: Some(Owner::new("service:http")) },
        Event::Accepted {
            socket,
            listener: socket,
            listening: local,
            local,
            remote,
            waiting: 1,
            backlog: 2,
            owner: None,
        },
        Event::Connected { socket, local, remote, owner: None },
        Event::Joined { socket, peer: socket },
        Event::Closed { socket, how: Close::ByPeer, summary: close },
        Event::Call { socket: Some(socket), call: CallKind::Write { bytes: 5 } },
        Event::Return { socket: Some(socket), call: "bind".into(), address: Some(local), error: Some("EINVAL".into()) },
        Event::Return { socket: Some(socket), call: "connect".into(), address: None, error: None },
        Event::State { socket, from: TcpState::FinWait1, to: TcpState::FinWait2 },
        Event::Delivered { socket, bytes: 7 },
        Event::Timer { socket: None, timer: TimerKind::TailLoss },
        Event::Segment {
            socket,
            direction: Direction::Out,
            seq: 1,
            length: 2,
            rule: Some(Rule::TcpRetransmitFast),
            original: id,
            acknowledges: id.map(|id| [id, id]),
        },
        Event::Device { direction: Direction::Out, error: "no buffer space".into() },
    ]
}

#[test]
fn every_kind_of_event_comes_back_as_it_was() {
    let events = of_every_kind(SocketId { protocol: Protocol::Udp, number: 7 });
    let names: std::collections::HashSet<_> = events.iter().map(std::mem::discriminant).collect();
    // As many as docs/control.md lists by their depth.
    assert_eq!(names.len(), 22);
    for event in events {
        there_and_back(event);
    }
}

#[test]
fn what_is_no_event_is_refused_in_words() {
    for (text, sentence) in [
        (
            r#"{"id":1,"at":0,"event":"bound","socket":"tpc#1","local":"1.2.3.4:5","backlog":null}"#,
            "'tpc#1' is no socket",
        ),
        (r#"{"id":0,"at":0,"event":"joined","socket":"tcp#1","peer":"tcp#2"}"#, "nonzero"),
        (
            r#"{"id":1,"at":0,"event":"loopback","direction":"in","bytes":"4","fate":{"owner":null,"rule":null,"states":null,"numbers":null}}"#,
            "hexadecimal",
        ),
    ] {
        let error = serde_json::from_str::<Record<'_>>(text).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }
}
