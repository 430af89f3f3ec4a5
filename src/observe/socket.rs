use std::fmt;

/// The protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// The state of a TCP connection, by the names of RFC 9293 §3.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TcpState {
    /// Waits for connection requests.
    Listen,
    /// Asked for a connection, waits for the answer.
    SynSent,
    /// Answered a request, waits for the confirmation.
    SynReceived,
    /// Both sides may send.
    Established,
    /// We have closed, our FIN is not acknowledged yet.
    FinWait1,
    /// We have closed, the peer may still send.
    FinWait2,
    /// The peer has closed, we may still send.
    CloseWait,
    /// Both have closed at once, our FIN is not acknowledged yet.
    Closing,
    /// Both have closed, the peer first; our FIN is not acknowledged yet.
    LastAck,
    /// Both have closed, we first; waits until no old segment can be on its way.
    TimeWait,
    /// There is no connection.
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
