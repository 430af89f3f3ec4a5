//! Which sockets there are: the combinations of domain, type and protocol (`socket(2)`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::observe;

/// The family of addresses that a socket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Domain {
    /// AF_INET: IPv4 (`ip(7)`).
    Inet,
    /// AF_INET6: IPv6, and IPv4 unless IPV6_V6ONLY is set (`ipv6(7)`, RFC 3493 §3.7).
    Inet6,
    /// AF_UNIX: names of this stack, and no network (`unix(7)`).
    Unix,
}

/// What a socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// SOCK_STREAM: bytes in order, both ways, between two ends.
    Stream,
    /// SOCK_DGRAM: messages that may be lost, each to an address of its own.
    Dgram,
    /// SOCK_SEQPACKET: messages in order, between two ends.
    SeqPacket,
    /// SOCK_RAW: packets with their IP header (`raw(7)`).
    Raw,
}

impl Type {
    /// As `socket(2)` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Type::Stream => "SOCK_STREAM",
            Type::Dgram => "SOCK_DGRAM",
            Type::SeqPacket => "SOCK_SEQPACKET",
            Type::Raw => "SOCK_RAW",
        }
    }
}

/// The protocol number of an IP packet.
///
/// ```
/// use tapsock::socket::Protocol;
/// assert_eq!(Protocol::from(17), Protocol::UDP);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Protocol(u8);

impl Protocol {
    /// The usual one of a domain and a type (IPPROTO_IP); what Unix sockets say they have.
    pub const UNSPECIFIED: Protocol = Protocol(0);
    /// PF_UNIX, which Unix sockets may be asked for with: no protocol of IP, though the number is that of ICMP.
    pub const UNIX: Protocol = Protocol(1);
    /// ICMP (RFC 792).
    pub const ICMP: Protocol = Protocol(1);
    /// TCP (RFC 9293).
    pub const TCP: Protocol = Protocol(6);
    /// UDP (RFC 768).
    pub const UDP: Protocol = Protocol(17);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Protocol = Protocol(58);
    /// One of the two that RFC 3692 keeps free for experiments.
    pub const TESTING: Protocol = Protocol(253);
    /// IPPROTO_RAW: hears nothing, and sends packets with their IP header (`raw(7)`).
    pub const RAW: Protocol = Protocol(255);

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Protocol {
        Protocol(number)
    }
}

/// A kind of socket that this stack has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A TCP connection, or what waits for them.
    Tcp,
    /// A UDP socket.
    Udp,
    /// A stream between two programs of this stack (`unix(7)`).
    UnixStream,
    /// Messages between programs of this stack, any number of them at one name.
    UnixDatagram,
    /// Messages in order between two programs of this stack.
    UnixSeqPacket,
    /// An ICMP echo socket: identifiers are its ports (`icmp(7)`).
    Echo,
    /// A raw socket for this protocol (`raw(7)`).
    Raw(Protocol),
}

impl Kind {
    /// The kind that `socket(2)` gives for these three; no protocol, or protocol 0, stands for the usual one.
    ///
    /// ```
    /// use tapsock::error::Error;
    /// use tapsock::socket::{Domain, Kind, Protocol, Type};
    /// assert_eq!(Kind::of(Domain::Inet, Type::Stream, None), Ok(Kind::Tcp));
    /// let mismatch = Kind::of(Domain::Inet, Type::Stream, Some(Protocol::UDP));
    /// assert_eq!(mismatch, Err(Error::ProtocolNotSupported));
    /// ```
    ///
    /// # Errors
    ///
    /// As Linux: [`Error::TypeNotSupported`] if the domain has no such type, [`Error::ProtocolNotSupported`] if the
    /// type has no such protocol.
    pub fn of(domain: Domain, kind: Type, protocol: Option<Protocol>) -> Result<Kind> {
        if domain == Domain::Unix {
            return Kind::of_unix(kind, protocol);
        }
        let protocol = protocol.filter(|protocol| *protocol != Protocol::UNSPECIFIED);
        match (kind, protocol) {
            (Type::Stream, None | Some(Protocol::TCP)) => Ok(Kind::Tcp),
            (Type::Dgram, None | Some(Protocol::UDP)) => Ok(Kind::Udp),
            (Type::Dgram, Some(Protocol::ICMP)) if domain == Domain::Inet => Ok(Kind::Echo),
            (Type::Dgram, Some(Protocol::ICMPV6)) if domain == Domain::Inet6 => Ok(Kind::Echo),
            (Type::Raw, Some(protocol)) => Ok(Kind::Raw(protocol)),
            (Type::SeqPacket, _) => Err(Error::TypeNotSupported),
            (Type::Stream | Type::Dgram | Type::Raw, _) => Err(Error::ProtocolNotSupported),
        }
    }

    /// Linux: `unix_create`.
    fn of_unix(kind: Type, protocol: Option<Protocol>) -> Result<Kind> {
        if protocol.is_some_and(|protocol| ![Protocol::UNSPECIFIED, Protocol::UNIX].contains(&protocol)) {
            return Err(Error::ProtocolNotSupported);
        }
        match kind {
            Type::Stream => Ok(Kind::UnixStream),
            // What was written for BSD asks for SOCK_RAW and means this.
            Type::Dgram | Type::Raw => Ok(Kind::UnixDatagram),
            Type::SeqPacket => Ok(Kind::UnixSeqPacket),
        }
    }

    /// What its name in the trace begins with.
    pub(super) fn spoken(self) -> observe::Protocol {
        match self {
            Kind::Tcp => observe::Protocol::Tcp,
            Kind::Udp => observe::Protocol::Udp,
            Kind::Echo => observe::Protocol::Icmp,
            Kind::Raw(_) => observe::Protocol::Raw,
            Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSeqPacket => observe::Protocol::Unix,
        }
    }

    /// Its type.
    pub fn r#type(self) -> Type {
        match self {
            Kind::Tcp | Kind::UnixStream => Type::Stream,
            Kind::Udp | Kind::Echo | Kind::UnixDatagram => Type::Dgram,
            Kind::UnixSeqPacket => Type::SeqPacket,
            Kind::Raw(_) => Type::Raw,
        }
    }

    /// Its protocol in this domain.
    pub fn protocol(self, domain: Domain) -> Protocol {
        match self {
            Kind::Tcp => Protocol::TCP,
            Kind::Udp => Protocol::UDP,
            Kind::UnixStream | Kind::UnixDatagram | Kind::UnixSeqPacket => Protocol::UNSPECIFIED,
            Kind::Echo if domain == Domain::Inet => Protocol::ICMP,
            Kind::Echo => Protocol::ICMPV6,
            Kind::Raw(protocol) => protocol,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Tcp => f.write_str("TCP"),
            Kind::Udp => f.write_str("UDP"),
            Kind::Echo => f.write_str("ICMP echo"),
            Kind::Raw(protocol) => write!(f, "raw {}", protocol.number()),
            Kind::UnixStream => f.write_str("Unix stream"),
            Kind::UnixDatagram => f.write_str("Unix datagram"),
            Kind::UnixSeqPacket => f.write_str("Unix seqpacket"),
        }
    }
}
