//! One line for a step in the life of a socket, an address or a neighbour.

use std::fmt;
use std::time::Duration;

use log::Level;

use super::quantity::{Bytes, Count, Span};
use super::reason::Row;
use super::{ADDRESS, DEVICE, NEIGHBOUR, PACKET, SOCKET};
use crate::observe::{
    Address, Close, Depth, Direction, Event, Lease, Neighbour, Owner, Protocol, Router, SocketId, Summary,
};

/// An event that is neither a frame nor a packet.
pub(super) struct Life<'a>(&'a Event<'a>);

impl<'a> Life<'a> {
    pub(super) fn of(event: &'a Event<'a>) -> Option<Life<'a>> {
        let is_shown = event.depth() == Depth::Life || matches!(event, Event::Datagram { .. });
        is_shown.then_some(Life(event))
    }

    pub(super) fn target(&self) -> &'static str {
        match self.0 {
            Event::Address { .. } | Event::Router { .. } | Event::Lease { .. } => ADDRESS,
            Event::Neighbour { .. } => NEIGHBOUR,
            Event::Device { .. } => DEVICE,
            Event::Datagram { .. } => PACKET,
            _ => SOCKET,
        }
    }

    /// What a person must look into is a warning. That a neighbour is asked for is a step on the way to its being
    /// found or not, and not worth a line of its own at *info*; a datagram is seen as a packet is.
    pub(super) fn level(&self) -> Level {
        match self.0 {
            Event::Device { .. } => Level::Warn,
            Event::Address { state: Address::Duplicate { .. } | Address::Conflict { .. }, .. } => Level::Warn,
            Event::Lease { state: Lease::Expired | Lease::Refused | Lease::Declined, .. } => Level::Warn,
            Event::Neighbour { state: Neighbour::Incomplete, .. } => Level::Debug,
            Event::Datagram { .. } | Event::Opened { .. } => Level::Debug,
            _ => Level::Info,
        }
    }
}

impl fmt::Display for Life<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Address { address, state } => match state {
                Address::Tentative => write!(f, "{address} is tentative: the link is asked whether somebody has it"),
                Address::Preferred => write!(f, "{address} is ours"),
                Address::Deprecated => write!(f, "{address} is deprecated: nothing new begins from it"),
                Address::Removed => write!(f, "{address} is not ours any more"),
                Address::Duplicate { owner } => write!(f, "{address} is not used: {owner} has it already"),
                Address::Conflict { owner } => write!(f, "{address} is ours, but {owner} uses it too"),
            },
            Event::Router { address, state } => match state {
                Router::Learned { lifetime: None } => write!(f, "{address} is a router for other networks"),
                Router::Learned { lifetime: Some(lifetime) } => {
                    write!(f, "{address} is a router for other networks, for {}", Span(*lifetime))
                }
                Router::Lost => write!(f, "{address} is not used as a router any more"),
            },
            Event::Lease { address, server, state } => match state {
                Lease::Obtained { duration } => {
                    write!(f, "{address} was leased by the DHCP server {server}, {}", ForAsLong(*duration))
                }
                Lease::Renewed { duration } => {
                    write!(f, "{address} stays leased by the DHCP server {server}, {}", ForAsLong(*duration))
                }
                Lease::Expired => write!(f, "{address}: the lease has expired; no DHCP server has extended it"),
                Lease::Refused => write!(f, "{address} is refused by the DHCP server {server}; we ask for another one"),
                Lease::Declined => {
                    write!(f, "{address} is taken already, though the DHCP server {server} gave it; the server is told")
                }
            },
            Event::Neighbour { address, state } => match state {
                Neighbour::Incomplete => write!(f, "{address} is asked for its Ethernet address"),
                Neighbour::Reachable { mac } => write!(f, "{address} is at {mac}"),
                Neighbour::Failed => write!(f, "{address} does not answer: packets for it cannot be sent"),
            },
            Event::Bound { socket, local, backlog: Some(backlog), owner } => {
                write!(f, "{socket} listens on {local}, backlog {backlog}{}", For(owner))
            }
            Event::Bound { socket, local, owner, .. } if socket.protocol == Protocol::Raw => {
                write!(f, "{socket} hears protocol {} at {}{}", local.port(), local.ip(), For(owner))
            }
            Event::Bound { socket, local, backlog: None, owner } => {
                write!(f, "{socket} is bound to {local}{}", For(owner))
            }
            Event::Accepted { socket, listener, listening, local, remote, waiting, backlog, owner } => {
                write!(f, "{socket} {local} ← {remote} accepted by {listener} ({listening}, backlog ")?;
                write!(f, "{waiting}/{backlog}){}", For(owner))
            }
            Event::Connected { socket, local, remote, owner } => {
                write!(f, "{socket} {local} → {remote} connected{}", For(owner))
            }
            Event::Opened { socket, kind, owner } => write!(f, "{socket} is opened, AF_UNIX {kind}{}", For(owner)),
            Event::UnixBound { socket, name, backlog: Some(backlog) } => {
                write!(f, "{socket} listens at {name}, backlog {backlog}")
            }
            Event::UnixBound { socket, name, backlog: None } => write!(f, "{socket} is bound to {name}"),
            Event::UnixAccepted { socket, listener, name, waiting, backlog, owner } => {
                write!(f, "{socket} accepted by {listener} ({name}, backlog {waiting}/{backlog}){}", For(owner))
            }
            Event::Datagram { socket, peer, source, destination, length, rule }
                if socket.protocol == Protocol::Icmp =>
            {
                let (from, id, to) = (source.ip(), source.port(), destination.ip());
                write!(f, "lo  {socket} {from} > {to} echo request id {id} len {length} · ")?;
                match rule {
                    Some(rule) => write!(f, "the reply for {peer} dropped, {}", Row(*rule)),
                    None => write!(f, "the reply handed to {peer}, loopback fast: skipped are both packets"),
                }
            }
            Event::Datagram { socket, peer, source, destination, length, rule } => {
                write!(f, "lo  {socket} {source} > {destination} udp len {length} · ")?;
                match rule {
                    Some(rule) => write!(f, "for {peer}, dropped, {}", Row(*rule)),
                    None => write!(f, "handed to {peer}, loopback fast: skipped are packet and checksums"),
                }
            }
            Event::Joined { socket, peer } if socket.protocol == Protocol::Unix => {
                write!(f, "{socket} and {peer} are joined, without any network")
            }
            Event::Joined { socket, peer } => write!(
                f,
                "{socket} and {peer} are joined, loopback fast: skipped are handshake, segments, checksums, windows and ACKs"
            ),
            Event::Closed { socket, how, summary } => fmt_closed(f, *socket, *how, summary),
            Event::Device { direction: Direction::In, error } => {
                write!(f, "the device could not give a frame: {error}")
            }
            Event::Device { direction: Direction::Out, error } => {
                write!(f, "the device did not take a frame, it is lost: {error}")
            }
            // Not of this depth.
            Event::Frame { .. }
            | Event::Loopback { .. }
            | Event::Call { .. }
            | Event::Return { .. }
            | Event::State { .. }
            | Event::Delivered { .. }
            | Event::Timer { .. }
            | Event::Segment { .. } => Ok(()),
        }
    }
}

fn fmt_closed(f: &mut fmt::Formatter<'_>, socket: SocketId, how: Close, summary: &Summary) -> fmt::Result {
    let unit = match socket.protocol {
        Protocol::Tcp => "segment",
        Protocol::Udp => "datagram",
        Protocol::Icmp | Protocol::Unix => "message",
        Protocol::Raw => "packet",
    };
    match (socket.protocol, how) {
        (Protocol::Unix, Close::Aborted) => write!(f, "{socket} aborted by us")?,
        _ => write!(f, "{socket} {how}")?,
    }
    let (bytes_in, bytes_out) = (Bytes(summary.bytes_in), Bytes(summary.bytes_out));
    write!(f, " after {}: {bytes_in} in, {bytes_out} out", Span(summary.age))?;
    if socket.protocol == Protocol::Unix && (summary.packets_in, summary.packets_out) == (0, 0) {
        return Ok(());
    }
    write!(f, ", {} in, {} out", Count(summary.packets_in, unit), summary.packets_out)?;
    match (socket.protocol, summary.retransmitted) {
        (Protocol::Udp | Protocol::Icmp | Protocol::Raw | Protocol::Unix, _) => Ok(()),
        (Protocol::Tcp, 0) => f.write_str(", none retransmitted"),
        (Protocol::Tcp, count) => write!(f, ", {count} retransmitted"),
    }
}

/// Whose socket it is, where that is known.
struct For<'a>(&'a Option<Owner>);

impl fmt::Display for For<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |owner| write!(f, " · {owner}"))
    }
}

/// How long a lease is.
struct ForAsLong(Option<Duration>);

impl fmt::Display for ForAsLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => write!(f, "for {}", Span(duration)),
            None => f.write_str("for ever"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mac;
    use crate::observe::Rule;

    fn line(event: &Event<'_>) -> String {
        let life = Life::of(event).unwrap();
        format!("{} {} {life}", life.level(), life.target())
    }

    const CONNECTION: SocketId = SocketId { protocol: Protocol::Tcp, number: 3 };
    const LISTENER: SocketId = SocketId { protocol: Protocol::Tcp, number: 1 };

    #[test]
    fn an_echo_socket_and_a_raw_socket_say_what_they_hear_and_count_what_they_carry() {
        let icmp = SocketId { protocol: Protocol::Icmp, number: 4 };
        let raw = SocketId { protocol: Protocol::Raw, number: 5 };
        let bound =
            |socket, local: &str| Event::Bound { socket, local: local.parse().unwrap(), backlog: None, owner: None };
        assert!(line(&bound(icmp, "0.0.0.0:77")).ends_with("icmp#4 is bound to 0.0.0.0:77"));
        assert!(line(&bound(raw, "0.0.0.0:1")).ends_with("raw#5 hears protocol 1 at 0.0.0.0"));
        let summary = Summary { packets_in: 2, ..Summary::default() };
        for (socket, unit) in [(icmp, "2 messages in"), (raw, "2 packets in")] {
            let said = line(&Event::Closed { socket, how: Close::ByUs, summary });
            assert!(said.contains(unit), "{said}");
        }
    }

    #[test]
    fn a_connection_is_accepted_in_one_line() {
        let event = Event::Accepted {
            socket: CONNECTION,
            listener: LISTENER,
            listening: "0.0.0.0:80".parse().unwrap(),
            local: "192.168.69.1:80".parse().unwrap(),
            remote: "192.168.69.100:43210".parse().unwrap(),
            waiting: 1,
            backlog: 128,
            owner: Some(Owner::new("service:http")),
        };
        assert_eq!(
            line(&event),
            "INFO tapsock::socket tcp#3 192.168.69.1:80 ← 192.168.69.100:43210 accepted by tcp#1 (0.0.0.0:80, backlog 1/128) · service:http"
        );
    }

    #[test]
    fn a_connection_is_closed_in_one_line() {
        let summary = Summary {
            age: Duration::from_micros(3_200),
            bytes_in: 78,
            bytes_out: 1946,
            packets_in: 6,
            packets_out: 5,
            retransmitted: 0,
        };
        assert_eq!(
            line(&Event::Closed { socket: CONNECTION, how: Close::ByPeer, summary }),
            "INFO tapsock::socket tcp#3 closed by the peer after 3.2 ms: 78 B in, 1.9 KiB out, 6 segments in, 5 out, none retransmitted"
        );
        let summary = Summary { packets_in: 1, retransmitted: 2, ..summary };
        assert!(
            line(&Event::Closed { socket: CONNECTION, how: Close::TimedOut, summary })
                .ends_with("1 segment in, 5 out, 2 retransmitted")
        );
        let socket = SocketId { protocol: Protocol::Udp, number: 2 };
        assert!(line(&Event::Closed { socket, how: Close::ByUs, summary }).ends_with("1 datagram in, 5 out"));
    }

    #[test]
    fn unix_sockets_are_told_of_by_name_and_their_messages_are_counted() {
        let [server, client, accepted] = [1, 2, 3].map(|number| SocketId { protocol: Protocol::Unix, number });
        let told = [
            line(&Event::Opened { socket: server, kind: "SOCK_STREAM".into(), owner: None }),
            line(&Event::UnixBound { socket: server, name: "@echo".into(), backlog: None }),
            line(&Event::UnixBound { socket: server, name: "@echo".into(), backlog: Some(4) }),
            line(&Event::UnixAccepted {
                socket: accepted,
                listener: server,
                name: "@echo".into(),
                waiting: 1,
                backlog: 4,
                owner: None,
            }),
            line(&Event::Joined { socket: client, peer: accepted }),
        ];
        assert_eq!(
            told,
            [
                "DEBUG tapsock::socket unix#1 is opened, AF_UNIX SOCK_STREAM",
                "INFO tapsock::socket unix#1 is bound to @echo",
                "INFO tapsock::socket unix#1 listens at @echo, backlog 4",
                "INFO tapsock::socket unix#3 accepted by unix#1 (@echo, backlog 1/4)",
                "INFO tapsock::socket unix#2 and unix#3 are joined, without any network",
            ]
        );
        let closed = |how, summary| line(&Event::Closed { socket: client, how, summary });
        let stream = Summary { bytes_out: 5, ..Summary::default() };
        assert!(closed(Close::ByUs, stream).ends_with("unix#2 closed by us after 0 µs: 0 B in, 5 B out"));
        let messages = Summary { packets_out: 2, ..stream };
        assert!(closed(Close::Aborted, messages).ends_with("0 B in, 5 B out, 0 messages in, 2 out"));
        assert!(!closed(Close::Aborted, messages).contains("RST"));
    }

    #[test]
    fn a_datagram_without_a_packet_stands_among_the_packets_and_says_what_was_skipped() {
        let socket = |number| SocketId { protocol: Protocol::Udp, number };
        let (source, destination) = ("127.0.0.1:5000".parse().unwrap(), "127.0.0.1:9".parse().unwrap());
        let datagram =
            |rule| line(&Event::Datagram { socket: socket(1), peer: socket(2), source, destination, length: 5, rule });
        assert_eq!(
            datagram(None),
            "DEBUG tapsock::packet lo  udp#1 127.0.0.1:5000 > 127.0.0.1:9 udp len 5 · handed to udp#2, loopback fast: skipped are packet and checksums"
        );
        assert!(datagram(Some(Rule::UdpBufferFull)).contains("· for udp#2, dropped, udp.drop.buffer-full: "));
    }

    #[test]
    fn an_echo_request_without_a_packet_says_whose_the_reply_is() {
        let socket = |number| SocketId { protocol: Protocol::Icmp, number };
        let (source, destination) = ("[::1]:7".parse().unwrap(), "[::1]:0".parse().unwrap());
        let request =
            |rule| line(&Event::Datagram { socket: socket(1), peer: socket(2), source, destination, length: 5, rule });
        assert_eq!(
            request(None),
            "DEBUG tapsock::packet lo  icmp#1 ::1 > ::1 echo request id 7 len 5 · the reply handed to icmp#2, loopback fast: skipped are both packets"
        );
        assert!(
            request(Some(Rule::EchoBufferFull)).contains("· the reply for icmp#2 dropped, icmp.drop.buffer-full: ")
        );
    }

    #[test]
    fn sockets_begin_in_one_line() {
        let local = "[fd69::1]:80".parse().unwrap();
        assert_eq!(
            line(&Event::Bound { socket: LISTENER, local, backlog: Some(128), owner: None }),
            "INFO tapsock::socket tcp#1 listens on [fd69::1]:80, backlog 128"
        );
        let socket = SocketId { protocol: Protocol::Udp, number: 2 };
        assert_eq!(
            line(&Event::Bound { socket, local, backlog: None, owner: None }),
            "INFO tapsock::socket udp#2 is bound to [fd69::1]:80"
        );
        let remote = "[fd69::100]:8080".parse().unwrap();
        assert_eq!(
            line(&Event::Connected { socket: CONNECTION, local, remote, owner: None }),
            "INFO tapsock::socket tcp#3 [fd69::1]:80 → [fd69::100]:8080 connected"
        );
    }

    #[test]
    fn trouble_with_addresses_and_the_device_is_a_warning() {
        let address = "192.168.69.1".parse().unwrap();
        let owner = Mac([2, 0, 0, 0, 0, 9]);
        assert_eq!(
            line(&Event::Address { address, state: Address::Preferred }),
            "INFO tapsock::address 192.168.69.1 is ours"
        );
        assert_eq!(
            line(&Event::Address { address, state: Address::Duplicate { owner } }),
            "WARN tapsock::address 192.168.69.1 is not used: 02:00:00:00:00:09 has it already"
        );
        assert_eq!(
            line(&Event::Device { direction: Direction::Out, error: "No buffer space available".into() }),
            "WARN tapsock::device the device did not take a frame, it is lost: No buffer space available"
        );
    }

    #[test]
    fn leases_and_routers_come_and_go() {
        let (address, server) = ("192.168.69.7".parse().unwrap(), "192.168.69.100".parse().unwrap());
        let lease = |state| line(&Event::Lease { address, server, state });
        assert_eq!(
            lease(Lease::Obtained { duration: Some(Duration::from_secs(3600)) }),
            "INFO tapsock::address 192.168.69.7 was leased by the DHCP server 192.168.69.100, for 1 h 0 min"
        );
        assert!(
            lease(Lease::Renewed { duration: None })
                .ends_with("stays leased by the DHCP server 192.168.69.100, for ever")
        );
        assert!(lease(Lease::Expired).starts_with("WARN"));
        let router = |state| line(&Event::Router { address: server, state });
        assert_eq!(
            router(Router::Learned { lifetime: Some(Duration::from_secs(30)) }),
            "INFO tapsock::address 192.168.69.100 is a router for other networks, for 30.0 s"
        );
        assert!(router(Router::Lost).ends_with("is not used as a router any more"));
    }

    #[test]
    fn a_neighbour_is_asked_for_found_or_missing() {
        let address = "192.168.69.100".parse().unwrap();
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        assert_eq!(
            line(&Event::Neighbour { address, state: Neighbour::Incomplete }),
            "DEBUG tapsock::neighbour 192.168.69.100 is asked for its Ethernet address"
        );
        assert_eq!(
            line(&Event::Neighbour { address, state: Neighbour::Reachable { mac } }),
            "INFO tapsock::neighbour 192.168.69.100 is at 02:00:00:00:00:09"
        );
        assert_eq!(
            line(&Event::Neighbour { address, state: Neighbour::Failed }),
            "INFO tapsock::neighbour 192.168.69.100 does not answer: packets for it cannot be sent"
        );
    }
}
