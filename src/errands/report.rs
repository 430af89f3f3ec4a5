//! What an ICMP error says about a packet of ours, read from a raw socket.

use std::net::IpAddr;

use crate::net::tokio::RawSocket;
use crate::net::{Domain, Message, Protocol, Stack};

/// Lets through the errors that can be about a packet of ours.
const ERRORS_4: [u8; 3] = [3, 11, 12];
const ERRORS_6: [u8; 4] = [1, 2, 3, 4];

const FRAGMENT: u8 = 44;

/// A raw socket that hears ICMP errors of the family of `peer`, and of other ICMP messages those of `kinds`.
pub(super) async fn listen(stack: &Stack, peer: IpAddr, kinds: &[u8]) -> std::io::Result<RawSocket> {
    let (domain, protocol, errors) = match peer {
        IpAddr::V4(_) => (Domain::Inet, Protocol::ICMP, &ERRORS_4[..]),
        IpAddr::V6(_) => (Domain::Inet6, Protocol::ICMPV6, &ERRORS_6[..]),
    };
    let socket = RawSocket::open(stack, domain, protocol).await?;
    let mut filter = [u32::MAX; 8];
    for kind in errors.iter().chain(kinds) {
        filter[usize::from(kind / 32)] &= !(1 << (kind % 32));
    }
    socket.set_icmp_filter(filter)?;
    Ok(socket)
}

/// What a raw socket heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard<'p> {
    pub(super) from: IpAddr,
    pub(super) kind: u8,
    pub(super) code: u8,
    /// The second word of the message.
    pub(super) word: [u8; 4],
    /// What is behind it: of an error, the packet that it is about.
    pub(super) rest: &'p [u8],
}

impl<'p> Heard<'p> {
    /// Reads what [`listen`]'s socket received.
    pub(super) fn read(message: &Message, bytes: &'p [u8]) -> Option<Heard<'p>> {
        let from = message.peer.ip();
        let icmp = match from {
            IpAddr::V4(_) => bytes.get(usize::from(bytes.first()? & 0xf) * 4..)?,
            IpAddr::V6(_) => bytes,
        };
        match icmp {
            &[kind, code, _, _, a, b, c, d, ref rest @ ..] => {
                Some(Heard { from, kind, code, word: [a, b, c, d], rest })
            }
            _ => None,
        }
    }

    /// Whether it is an error.
    pub(super) fn is_error(&self) -> bool {
        match self.from {
            IpAddr::V4(_) => ERRORS_4.contains(&self.kind),
            IpAddr::V6(_) => ERRORS_6.contains(&self.kind),
        }
    }

    /// Of an error: the protocol and the first bytes behind the IP header of the packet it is about, if that went to
    /// `peer`.
    pub(super) fn quoted(&self, peer: IpAddr) -> Option<(u8, &'p [u8])> {
        let quote = self.rest;
        match peer {
            IpAddr::V4(peer) => {
                let header = quote.get(..20)?;
                (header[16..20] == peer.octets()).then_some((header[9], quote.get(usize::from(header[0] & 0xf) * 4..)?))
            }
            IpAddr::V6(peer) => {
                let header = quote.get(..40)?;
                // Of what was cut, the first piece says whose it is.
                let (protocol, behind) = match (header[6], &quote[40..]) {
                    (FRAGMENT, &[next, _, 0, 0 | 1, _, _, _, _, ref behind @ ..]) => (next, behind),
                    (next, behind) => (next, behind),
                };
                (header[24..40] == peer.octets()).then_some((protocol, behind))
            }
        }
    }

    /// As `ping` says it.
    pub(super) fn sentence(&self) -> &'static str {
        match (self.from.is_ipv4(), self.kind, self.code) {
            (true, 3, 0) => "Destination Net Unreachable",
            (true, 3, 1) => "Destination Host Unreachable",
            (true, 3, 2) => "Destination Protocol Unreachable",
            (true, 3, 3) => "Destination Port Unreachable",
            (true, 3, 4) => "Frag needed and DF set",
            (true, 3, 5) => "Source Route Failed",
            (true, 3, 9 | 10 | 13) => "Packet filtered",
            (true, 11, 0) => "Time to live exceeded",
            (false, 3, 0) => "Time exceeded: Hop limit",
            (true, 11, _) | (false, 3, _) => "Frag reassembly time exceeded",
            (true, 12, _) | (false, 4, _) => "Parameter problem",
            (false, 1, 0) => "Destination unreachable: No route",
            (false, 1, 1) => "Destination unreachable: Administratively prohibited",
            (false, 1, 3) => "Destination unreachable: Address unreachable",
            (false, 1, 4) => "Destination unreachable: Port unreachable",
            (false, 2, _) => "Packet too big",
            _ => "Destination unreachable",
        }
    }

    /// As `traceroute` marks it; nothing for a router on the way, and for the port at its end.
    pub(super) fn mark(&self) -> Option<&'static str> {
        match (self.from.is_ipv4(), self.kind, self.code) {
            (true, 11, _) | (false, 3, _) | (true, 3, 3) | (false, 1, 4) => None,
            (true, 3, 0) | (false, 1, 0) => Some("!N"),
            (true, 3, 1) | (false, 1, 3) => Some("!H"),
            (true, 3, 2) | (false, 4, 1) => Some("!P"),
            (true, 3, 4) | (false, 2, _) => Some("!F"),
            (true, 3, 5) => Some("!S"),
            (true, 3, 9 | 10 | 13) | (false, 1, 1) => Some("!X"),
            _ => Some("!"),
        }
    }

    /// Whether the packet got no further, whatever its hop limit.
    pub(super) fn is_end(&self) -> bool {
        !matches!((self.from.is_ipv4(), self.kind), (true, 11) | (false, 3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(from: &str, bytes: &[u8]) -> Option<(u8, u8, Vec<u8>)> {
        let message = Message::unmarked(bytes.len(), from.parse().unwrap());
        let heard = Heard::read(&message, bytes)?;
        Some((heard.kind, heard.code, heard.rest.to_vec()))
    }

    #[test]
    fn an_error_is_read_behind_whatever_header_the_packet_has() {
        let mut packet = vec![0x46; 24];
        packet.extend_from_slice(&[11, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
        assert_eq!(heard("10.0.0.1", &packet), Some((11, 0, vec![1, 2, 3])));
        assert_eq!(heard("fd00::1", &packet[24..]), Some((11, 0, vec![1, 2, 3])));
        for length in 0..32 {
            assert_eq!(heard("10.0.0.1", &packet[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_quote_is_ours_if_it_went_to_the_peer() {
        let read = |from: &str, rest: &[u8], peer: &str| {
            let from = from.parse().unwrap();
            let heard = Heard { from, kind: 11, code: 0, word: [0; 4], rest };
            heard.quoted(peer.parse().unwrap()).map(|(protocol, bytes)| (protocol, bytes.to_vec()))
        };
        let mut four = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        four.extend_from_slice(b"UDP");
        assert_eq!(read("10.0.0.9", &four, "10.0.0.2"), Some((17, b"UDP".to_vec())));
        assert_eq!(read("10.0.0.9", &four, "10.0.0.3"), None);
        assert_eq!(read("10.0.0.9", &four[..19], "10.0.0.2"), None);
        four[0] = 0x4f;
        assert_eq!(read("10.0.0.9", &four, "10.0.0.2"), None, "its header is longer than the quote");
        let mut six = vec![0; 40];
        six[6] = 17;
        six[39] = 1;
        six.extend_from_slice(b"UDP");
        assert_eq!(read("fd00::9", &six, "::1"), Some((17, b"UDP".to_vec())));
        six[6] = FRAGMENT;
        six.splice(40..40, [58, 0, 0, 1, 9, 9, 9, 9]);
        assert_eq!(read("fd00::9", &six, "::1"), Some((58, b"UDP".to_vec())));
        six[43] = 8;
        assert_eq!(read("fd00::9", &six, "::1").map(|(protocol, _)| protocol), Some(FRAGMENT), "a later piece");
    }
}
