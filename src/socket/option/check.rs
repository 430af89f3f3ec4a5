//! Which option is for which socket, and what its value may be, as Linux says.

use std::net::IpAddr;
use std::time::Duration;

use super::{OptionName, SocketOption};
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::socket::kind::{Domain, Kind, Protocol};
use crate::transport::Below;

/// SOCK_MIN_RCVBUF and SOCK_MIN_SNDBUF: no less is ever read back.
const LEAST_RECEIVE: usize = 2304;
const LEAST_SEND: usize = 4608;

/// TCP_MAXSEG is from TCP_MIN_MSS to MAX_TCP_WINDOW.
const SEGMENTS: std::ops::RangeInclusive<u32> = 88..=32_767;

/// The wait for the answer to a SYN-ACK, at first and at most (TCP_TIMEOUT_INIT, TCP_RTO_MAX).
const FIRST_WAIT: u64 = 1;
const LONGEST_WAIT: u64 = 120;

/// The last two bits of the type of service are TCP's own (RFC 3168).
const ECN: u32 = 3;

/// Whom an option is addressed to: the `level` of `setsockopt(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Socket,
    Tcp,
    Ip,
    Ipv6,
    Raw,
}

impl OptionName {
    fn level(self) -> Level {
        match self {
            OptionName::ReuseAddress
            | OptionName::ReusePort
            | OptionName::Linger
            | OptionName::Keepalive
            | OptionName::ReceiveBuffer
            | OptionName::SendBuffer
            | OptionName::Broadcast => Level::Socket,
            OptionName::KeepaliveIdle
            | OptionName::KeepaliveInterval
            | OptionName::KeepaliveCount
            | OptionName::Nodelay
            | OptionName::UserTimeout
            | OptionName::MaxSegment
            | OptionName::Congestion
            | OptionName::DeferAccept => Level::Tcp,
            // IP_RECVERR and IPV6_RECVERR are one, and so are IP_MTU and IPV6_MTU.
            OptionName::ReceiveErrors
            | OptionName::Mtu
            | OptionName::Ttl
            | OptionName::Tos
            | OptionName::MtuDiscover
            | OptionName::MulticastLoop
            | OptionName::MulticastTtl
            | OptionName::MulticastInterface => Level::Ip,
            OptionName::V6Only
            | OptionName::UnicastHops
            | OptionName::TrafficClass
            | OptionName::MtuDiscoverV6
            | OptionName::MulticastLoopV6
            | OptionName::MulticastHops
            | OptionName::MulticastInterfaceV6 => Level::Ipv6,
            OptionName::HeaderIncluded | OptionName::IcmpFilter => Level::Raw,
        }
    }

    /// Whether such a socket has it: options of TCP are for TCP, those of IPv6 for IPv6, and those of IPv4 for both,
    /// because an IPv6 socket may have IPv4 peers.
    ///
    /// # Errors
    ///
    /// [`Error::ProtocolNotAvailable`]; [`Error::NotSupported`] of Unix sockets.
    pub(super) fn check_for(self, domain: Domain, kind: Kind) -> Result<()> {
        if domain == Domain::Unix {
            // `unix(7)`: those of SOL_SOCKET, without SO_REUSEPORT.
            let fits = self.level() == Level::Socket && self != OptionName::ReusePort;
            return if fits { Ok(()) } else { Err(Error::NotSupported) };
        }
        let fits = match self.level() {
            Level::Socket | Level::Ip => true,
            // `raw(7)`: of either level, and of raw sockets only.
            Level::Raw => match self {
                OptionName::IcmpFilter => matches!(kind, Kind::Raw(Protocol::ICMP | Protocol::ICMPV6)),
                _ => matches!(kind, Kind::Raw(_)),
            },
            Level::Tcp => kind == Kind::Tcp,
            Level::Ipv6 => domain == Domain::Inet6,
        };
        if fits { Ok(()) } else { Err(Error::ProtocolNotAvailable) }
    }

    /// Whether such a socket may be told it: TCP knows no groups.
    ///
    /// # Errors
    ///
    /// Those of Linux, which are not the same for both families: [`Error::InvalidInput`],
    /// [`Error::ProtocolNotAvailable`].
    pub(super) fn check_settable(self, domain: Domain, kind: Kind) -> Result<()> {
        self.check_for(domain, kind)?;
        match self {
            OptionName::MulticastTtl | OptionName::MulticastInterface if kind == Kind::Tcp => Err(Error::InvalidInput),
            OptionName::MulticastHops | OptionName::MulticastInterfaceV6 if kind == Kind::Tcp => {
                Err(Error::ProtocolNotAvailable)
            }
            OptionName::Mtu => Err(Error::ProtocolNotAvailable),
            _ => Ok(()),
        }
    }
}

impl SocketOption {
    /// The value as a socket of this kind keeps it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] if it cannot be; [`Error::AddressNotAvailable`], [`Error::NoDevice`] for a link that is
    /// not there.
    pub(super) fn checked(self, kind: Kind, limits: &Limits, below: &Below<'_>) -> Result<SocketOption> {
        let is_allowed = match self {
            SocketOption::KeepaliveIdle(span) | SocketOption::KeepaliveInterval(span) => {
                (1..=32_767).contains(&span.as_secs())
            }
            SocketOption::KeepaliveCount(count) => (1..=127).contains(&count),
            SocketOption::MaxSegment(size) => size == super::UNBOUNDED || SEGMENTS.contains(&size),
            SocketOption::Ttl(hops) => (1..=255).contains(&hops),
            SocketOption::UnicastHops(hops) | SocketOption::MulticastTtl(hops) | SocketOption::MulticastHops(hops) => {
                hops <= 255
            }
            SocketOption::TrafficClass(class) => class <= 255,
            SocketOption::MulticastInterface(address) => {
                if !address.is_unspecified() && !below.ip.is_bindable(IpAddr::V4(address)) {
                    return Err(Error::AddressNotAvailable);
                }
                true
            }
            SocketOption::MulticastInterfaceV6(index) => {
                if index > 1 {
                    return Err(Error::NoDevice);
                }
                true
            }
            _ => true,
        };
        if !is_allowed {
            return Err(Error::InvalidInput);
        }
        let [receive, send] = largest_buffers(kind, limits);
        Ok(match self {
            SocketOption::ReceiveBuffer(bytes) => {
                SocketOption::ReceiveBuffer((2 * bytes.min(receive)).max(LEAST_RECEIVE))
            }
            SocketOption::SendBuffer(bytes) => SocketOption::SendBuffer((2 * bytes.min(send)).max(LEAST_SEND)),
            // In milliseconds, of which 0 stands for the system's default (`tcp(7)`).
            SocketOption::UserTimeout(span) => SocketOption::UserTimeout(span.filter(|span| span.as_millis() > 0)),
            SocketOption::DeferAccept(span) => SocketOption::DeferAccept(moment(syn_acks(span))),
            // `ip(7)` takes no more than the byte of it.
            SocketOption::Tos(class) if kind == Kind::Tcp => SocketOption::Tos(class & 0xff & !ECN),
            SocketOption::Tos(class) => SocketOption::Tos(class & 0xff),
            SocketOption::TrafficClass(class) if kind == Kind::Tcp => SocketOption::TrafficClass(class & !ECN),
            other => other,
        })
    }
}

/// The largest buffers that a program can ask for (Linux: `net.core.rmem_max` and `wmem_max`).
fn largest_buffers(kind: Kind, limits: &Limits) -> [usize; 2] {
    match kind {
        Kind::Tcp => [limits.receive_buffer, limits.send_buffer],
        _ => [limits.datagram_buffer; 2],
    }
}

/// What is read back of buffers that nobody has chosen. A connection has two of them behind each other, one at each end
/// of the pipe to its program.
pub(super) fn usual_buffers(kind: Kind, limits: &Limits) -> [usize; 2] {
    match kind {
        Kind::Tcp => [limits.receive_buffer + limits.pipe, limits.send_buffer + limits.pipe],
        _ => [limits.datagram_buffer; 2],
    }
}

/// How many SYN-ACKs are sent in `span` (Linux: secs_to_retrans).
pub(super) fn syn_acks(span: Duration) -> u32 {
    (0..=255).find(|&count| moment(count) >= Duration::from_secs(span.as_secs())).unwrap_or(255)
}

/// When so many SYN-ACKs have gone unanswered (Linux: retrans_to_secs).
fn moment(count: u32) -> Duration {
    let waits = (0..count).map(|count| FIRST_WAIT.checked_shl(count).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT));
    Duration::from_secs(waits.sum())
}
