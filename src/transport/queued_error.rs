use std::net::{IpAddr, SocketAddr};

use crate::error::Error;
use crate::ip::{ErrorKind, IcmpError};

/// An error about something that a socket sent, with all that is known of it: what `ip(7)` calls `sock_extended_err`,
/// for sockets that asked for it (IP_RECVERR, IPV6_RECVERR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedError {
    /// The error number.
    pub error: Error,
    /// Who found it.
    pub origin: ErrorOrigin,
    /// The type of the ICMP message; 0 if there was none.
    pub r#type: u8,
    /// Its code.
    pub code: u8,
    /// Of a packet that was too big: how big it may be.
    pub info: u32,
    /// Whose ICMP message it was: the destination's, or a router's on the way.
    pub offender: Option<IpAddr>,
    /// Whom the packet was for.
    pub destination: SocketAddr,
}

/// Who found an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorOrigin {
    /// This stack: the packet has not been sent (SO_EE_ORIGIN_LOCAL).
    Local,
    /// An ICMP message said it (SO_EE_ORIGIN_ICMP).
    Icmp,
    /// An ICMPv6 message said it (SO_EE_ORIGIN_ICMP6).
    Icmpv6,
}

impl QueuedError {
    pub(super) fn of(error: &IcmpError) -> QueuedError {
        let info = if let ErrorKind::PacketTooBig { mtu } = error.kind { mtu } else { 0 };
        let origin = if error.from.is_ipv4() { ErrorOrigin::Icmp } else { ErrorOrigin::Icmpv6 };
        let (r#type, code) = error.message;
        let (error, destination, offender) = (error.told.error, error.destination, Some(error.from));
        QueuedError { error, origin, r#type, code, info, offender, destination }
    }

    /// A datagram that may not be cut is larger than its way can carry.
    pub fn too_long(destination: SocketAddr, mtu: usize) -> QueuedError {
        QueuedError {
            error: Error::MessageTooLong,
            origin: ErrorOrigin::Local,
            r#type: 0,
            code: 0,
            info: u32::try_from(mtu).unwrap_or(u32::MAX),
            offender: None,
            destination,
        }
    }
}
