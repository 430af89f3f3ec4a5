use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// ICMP echo (RFC 792, RFC 4443), of both families: identifiers are its ports.
    Icmp,
    /// Any protocol: the packets as they are (`raw(7)`).
    Raw,
    /// None: between programs of one stack (`unix(7)`).
    Unix,
}

impl Protocol {
    /// All there are.
    pub const ALL: &'static [Protocol] = &[Protocol::Tcp, Protocol::Udp, Protocol::Icmp, Protocol::Raw, Protocol::Unix];
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Icmp => "icmp",
            Protocol::Raw => "raw",
            Protocol::Unix => "unix",
        })
    }
}

/// The name of a socket in everything that is shown: `tcp#3`. A number is never used twice.
///
/// ```
/// use tapsock::observe::{Protocol, SocketId};
/// assert_eq!(SocketId { protocol: Protocol::Tcp, number: 3 }.to_string(), "tcp#3");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketId {
    /// What it speaks.
    pub protocol: Protocol,
    /// Counts up from 1, over all sockets of a stack.
    pub number: u64,
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.protocol, self.number)
    }
}

impl FromStr for SocketId {
    type Err = ();

    fn from_str(text: &str) -> Result<SocketId, ()> {
        let (protocol, number) = text.split_once('#').ok_or(())?;
        let protocol = Protocol::ALL.iter().copied().find(|known| known.to_string() == protocol).ok_or(())?;
        Ok(SocketId { protocol, number: number.parse().map_err(|_| ())? })
    }
}

/// Who holds a socket, by a name that its holder gave: `service:http`. What one accepts has the name of its listener.
///
/// ```
/// use tapsock::observe::Owner;
/// assert_eq!(Owner::new("service:http").as_str(), "service:http");
/// assert_eq!(Owner::new("two\nlines").as_str(), "two?lines", "it is written on terminals");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(Arc<str>);

impl Owner {
    /// Longer names are cut: so many characters are kept.
    pub const LONGEST: usize = 64;

    /// A holder of this name. What is no text for a line becomes a question mark, and so do quotation marks.
    pub fn new(name: &str) -> Owner {
        let plain = |c: char| if c.is_control() || c == '"' { '?' } else { c };
        Owner(name.chars().take(Owner::LONGEST).map(plain).collect::<String>().into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Owner, D::Error> {
        String::deserialize(deserializer).map(|name| Owner::new(&name))
    }
}

/// The state of a TCP connection, by the names of RFC 9293 §3.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TcpState {
    /// Waits for connection requests.
    #[serde(rename = "LISTEN")]
    Listen,
    /// Asked for a connection, waits for the answer.
    #[serde(rename = "SYN-SENT")]
    SynSent,
    /// Answered a request, waits for the confirmation.
    #[serde(rename = "SYN-RECEIVED")]
    SynReceived,
    /// Both sides may send.
    #[serde(rename = "ESTABLISHED")]
    Established,
    /// We have closed, our FIN is not acknowledged yet.
    #[serde(rename = "FIN-WAIT-1")]
    FinWait1,
    /// We have closed, the peer may still send.
    #[serde(rename = "FIN-WAIT-2")]
    FinWait2,
    /// The peer has closed, we may still send.
    #[serde(rename = "CLOSE-WAIT")]
    CloseWait,
    /// Both have closed at once, our FIN is not acknowledged yet.
    #[serde(rename = "CLOSING")]
    Closing,
    /// Both have closed, the peer first; our FIN is not acknowledged yet.
    #[serde(rename = "LAST-ACK")]
    LastAck,
    /// Both have closed, we first; waits until no old segment can be on its way.
    #[serde(rename = "TIME-WAIT")]
    TimeWait,
    /// There is no connection.
    #[serde(rename = "CLOSED")]
    Closed,
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TcpState::Listen => "LISTEN",
            TcpState::SynSent => "SYN-SENT",
            TcpState::SynReceived => "SYN-RECEIVED",
            TcpState::Established => "ESTABLISHED",
            TcpState::FinWait1 => "FIN-WAIT-1",
            TcpState::FinWait2 => "FIN-WAIT-2",
            TcpState::CloseWait => "CLOSE-WAIT",
            TcpState::Closing => "CLOSING",
            TcpState::LastAck => "LAST-ACK",
            TcpState::TimeWait => "TIME-WAIT",
            TcpState::Closed => "CLOSED",
        })
    }
}
