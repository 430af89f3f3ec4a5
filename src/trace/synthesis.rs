//! Packets that never existed, for what joined sockets said to each other.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use etherparse::PacketBuilder;

use crate::observe::{CallKind, Event, Rule, SocketId};

/// A packet that might have been.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MadeUp {
    /// Its headers; the stack has not seen the bytes behind them.
    pub(super) headers: Vec<u8>,
    /// How long it would have been.
    pub(super) length: usize,
    /// What it stands for.
    pub(super) text: String,
}

/// So many connections are known at most; those that come later have no packets.
const MOST: usize = 10_000;

/// The most bytes that one packet stands for: what fits into IPv4 with its headers.
const LARGEST: usize = 65_535 - 40;

/// What is known of joined connections.
#[derive(Debug, Default)]
pub(super) struct Synthesis {
    ends: HashMap<SocketId, End>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    local: SocketAddr,
    remote: SocketAddr,
    peer: Option<SocketId>,
    /// How many bytes it has written, modulo 2³².
    written: u32,
}

impl Synthesis {
    /// The packets that an event would have been, had there been any.
    pub(super) fn packets(&mut self, event: &Event<'_>) -> Vec<MadeUp> {
        match *event {
            Event::Connected { socket, local, remote, .. } | Event::Accepted { socket, local, remote, .. } => {
                if self.ends.len() < MOST {
                    self.ends.insert(socket, End { local, remote, peer: None, written: 0 });
                }
                Vec::new()
            }
            Event::Joined { socket, peer } => self.join(socket, peer),
            Event::Call { socket: Some(socket), call: CallKind::Write { bytes } } => self.write(socket, bytes),
            Event::Closed { socket, .. } => self.close(socket),
            Event::Datagram { source, destination, length, rule, .. } => {
                datagram(source, destination, length, rule).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn join(&mut self, socket: SocketId, peer: SocketId) -> Vec<MadeUp> {
        for (one, other) in [(socket, peer), (peer, socket)] {
            if let Some(end) = self.ends.get_mut(&one) {
                end.peer = Some(other);
            }
        }
        let Some(&End { local, remote, .. }) = self.ends.get(&socket) else { return Vec::new() };
        let text = format!("{socket} and {peer} are joined");
        let syn = segment((local, remote), (0, None), Flags { syn: true, fin: false }, 0, &text);
        let syn_ack = segment((remote, local), (0, Some(1)), Flags { syn: true, fin: false }, 0, &text);
        let ack = segment((local, remote), (1, Some(1)), Flags::default(), 0, &text);
        [syn, syn_ack, ack].into_iter().flatten().collect()
    }

    /// What the peer has written so far.
    fn acknowledged(&self, end: &End) -> Option<u32> {
        Some(self.ends.get(&end.peer?)?.written.wrapping_add(1))
    }

    fn write(&mut self, socket: SocketId, bytes: usize) -> Vec<MadeUp> {
        let mut packets = Vec::new();
        let mut left = bytes;
        while left > 0 {
            let Some(end) = self.ends.get(&socket).copied().filter(|end| end.peer.is_some()) else { return packets };
            let length = left.min(LARGEST);
            let numbers = (end.written.wrapping_add(1), self.acknowledged(&end));
            let text = format!("{socket} writes {bytes} bytes");
            packets.extend(segment((end.local, end.remote), numbers, Flags::default(), length, &text));
            if let Some(end) = self.ends.get_mut(&socket) {
                // At most 65 495.
                end.written = end.written.wrapping_add(length as u32);
            }
            left -= length;
        }
        packets
    }

    fn close(&mut self, socket: SocketId) -> Vec<MadeUp> {
        let Some(end) = self.ends.remove(&socket).filter(|end| end.peer.is_some()) else { return Vec::new() };
        let numbers = (end.written.wrapping_add(1), self.acknowledged(&end));
        let fin = Flags { syn: false, fin: true };
        segment((end.local, end.remote), numbers, fin, 0, &format!("{socket} is closed")).into_iter().collect()
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    syn: bool,
    fin: bool,
}

fn segment(
    (from, to): (SocketAddr, SocketAddr),
    (seq, ack): (u32, Option<u32>),
    flags: Flags,
    length: usize,
    text: &str,
) -> Option<MadeUp> {
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => return None,
    };
    let mut tcp = ip.tcp(from.port(), to.port(), seq, u16::MAX);
    if flags.syn {
        tcp = tcp.syn();
    }
    if flags.fin {
        tcp = tcp.fin();
    }
    if let Some(ack) = ack {
        tcp = tcp.ack(ack);
    }
    let whole = tcp.size(length);
    let mut headers = Vec::with_capacity(whole);
    // Only the length of the payload is known; as zeros it is right in the headers' length fields.
    tcp.write(&mut headers, &vec![0; length]).ok()?;
    headers.truncate(whole - length);
    Some(MadeUp { headers, length: whole, text: text.to_owned() })
}

fn datagram(from: SocketAddr, to: SocketAddr, length: usize, rule: Option<Rule>) -> Option<MadeUp> {
    let ip = match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => return None,
    };
    let udp = ip.udp(from.port(), to.port());
    let whole = udp.size(length);
    let mut headers = Vec::with_capacity(whole);
    udp.write(&mut headers, &vec![0; length]).ok()?;
    headers.truncate(whole - length);
    let text = match rule {
        Some(rule) => format!("dropped by {}: {}", rule.name(), rule.sentence()),
        None => format!("a datagram of {length} bytes was handed on"),
    };
    Some(MadeUp { headers, length: whole, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Close, Protocol, Summary};

    const fn tcp(number: u64) -> SocketId {
        SocketId { protocol: Protocol::Tcp, number }
    }

    fn said(packets: &[MadeUp]) -> Vec<(usize, u32, u32, String)> {
        let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
        packets
            .iter()
            .map(|made| (made.length, number(&made.headers[24..28]), number(&made.headers[28..32]), made.text.clone()))
            .collect()
    }

    #[test]
    fn a_joined_connection_is_told_as_the_segments_that_it_saved() {
        let (client, server) = ("127.0.0.1:5000".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        let mut synthesis = Synthesis::default();
        let accepted = Event::Accepted {
            socket: tcp(3),
            listener: tcp(1),
            listening: server,
            local: server,
            remote: client,
            waiting: 1,
            backlog: 8,
            owner: None,
        };
        assert_eq!(
            synthesis.packets(&Event::Connected { socket: tcp(2), local: client, remote: server, owner: None }),
            []
        );
        assert_eq!(synthesis.packets(&accepted), []);
        let write = |socket, bytes| Event::Call { socket: Some(socket), call: CallKind::Write { bytes } };
        assert_eq!(synthesis.packets(&write(tcp(2), 5)), [], "not joined yet, so it may have packets");
        let joined = synthesis.packets(&Event::Joined { socket: tcp(2), peer: tcp(3) });
        assert_eq!(joined.len(), 3);
        let sent = synthesis.packets(&write(tcp(2), 100_000));
        let text = "tcp#2 writes 100000 bytes".to_owned();
        assert_eq!(said(&sent), [(65_535, 1, 1, text.clone()), (34_545, 65_496, 1, text)]);
        assert!(sent.iter().all(|made| made.headers.len() == 40));
        let answered = synthesis.packets(&write(tcp(3), 7));
        assert_eq!(said(&answered), [(47, 1, 100_001, "tcp#3 writes 7 bytes".into())]);
        let closed =
            synthesis.packets(&Event::Closed { socket: tcp(2), how: Close::ByUs, summary: Summary::default() });
        assert_eq!(said(&closed), [(40, 100_001, 8, "tcp#2 is closed".into())]);
    }

    #[test]
    fn a_datagram_that_was_handed_on_is_told_as_one_packet() {
        let socket = |number| SocketId { protocol: Protocol::Udp, number };
        let (source, destination) = ("[::1]:5000".parse().unwrap(), "[::1]:9".parse().unwrap());
        let event = Event::Datagram { socket: socket(1), peer: socket(2), source, destination, length: 5, rule: None };
        let packets = Synthesis::default().packets(&event);
        assert_eq!((packets.len(), packets[0].length, packets[0].headers.len()), (1, 53, 48));
    }
}
