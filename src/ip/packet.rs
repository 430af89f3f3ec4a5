//! What a packet turned out to be.

use std::net::{IpAddr, SocketAddr};

use super::raw::Heard;
use super::reassembly::Whole;
use crate::error::Error;
use crate::observe::{Cast, Rule};

/// Protocol numbers (RFC 5237, IANA) that this room tells apart.
pub(super) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IGMP: u8 = 2;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const NO_NEXT_HEADER: u8 = 59;
    pub(crate) const DESTINATION_OPTIONS: u8 = 60;
}

/// How a packet came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the link, in a frame that was addressed like this.
    Link(Cast),
    /// From ourselves: it was to go to one of our own addresses.
    Loopback,
}

/// A valid packet for this host.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'p> {
    /// Who sent it.
    pub source: IpAddr,
    /// One of our addresses, or a group that we belong to.
    pub destination: IpAddr,
    /// What its payload is: behind the extension headers, for IPv6.
    pub protocol: u8,
    /// The TTL of IPv4, the hop limit of IPv6.
    pub hop_limit: u8,
    /// The type of service of IPv4, the traffic class of IPv6: DSCP and ECN (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// `Group` if the link address or the destination address is that of a group or a broadcast.
    pub cast: Cast,
    /// It came over the loopback: a socket of this very stack sent it.
    pub is_local: bool,
    /// The whole packet, Ethernet padding cut off.
    pub bytes: &'p [u8],
    /// Transport header and data.
    pub payload: &'p [u8],
    /// What came on the wire, for an error to quote: the same as `bytes`, or the beginning of the first fragment.
    pub original: &'p [u8],
}

/// What is to be done with a packet.
#[derive(Debug)]
pub enum Verdict<'p> {
    /// TCP, UDP or an echo reply: for `transport`.
    Transport(Packet<'p>),
    /// A neighbour message, ICMPv6 type 133 to 137, its checksum verified: for `link`. The payload starts at the
    /// ICMPv6 type. Its source may be `::` or even one of our own addresses, and its destination a tentative one:
    /// that is how a duplicate address shows (RFC 4862 §5.4).
    Neighbour(Packet<'p>),
    /// Raw sockets hear its protocol: it is for them first, and then for
    /// [`Ip::receive_heard`](super::Ip::receive_heard).
    Heard(Heard<'p>),
    /// Only raw sockets wanted it.
    Taken,
    /// An ICMP error about something we seem to have sent: for `transport`, which knows whether we did.
    Error(IcmpError),
    /// The last missing fragment of a datagram came: the datagram is for [`Ip::receive_whole`](super::Ip::receive_whole).
    Whole(Whole),
    /// It was answered here, or an error about it was sent, or it is a fragment and waits for others.
    Done(Rule),
}

/// An ICMP error that quotes a packet from one of our addresses.
///
/// Nothing in it can be trusted before the quote is compared with a socket (RFC 5927 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// What a program is told of it.
    pub told: Told,
    /// Who says so: the destination, or a router on the way.
    pub from: IpAddr,
    /// Our end, as quoted. An echo request has its identifier for a port, and other protocols have none: 0.
    pub source: SocketAddr,
    /// The other end, as quoted.
    pub destination: SocketAddr,
    /// Of the quoted packet.
    pub protocol: u8,
    /// The quoted sequence number, for TCP.
    pub sequence: Option<u32>,
}

/// An ICMP error as a program sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The error number that Linux gives it.
    pub error: Error,
    /// It will not pass: a program that is connected is told unasked.
    pub is_hard: bool,
}

impl Told {
    pub(super) const fn hard(error: Error) -> Told {
        Told { error, is_hard: true }
    }

    pub(super) const fn soft(error: Error) -> Told {
        Told { error, is_hard: false }
    }
}

/// What an ICMP error complains about. Which of them are soft errors is for the transport to say
/// (RFC 1122 §4.2.3.9, RFC 5461).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A router knows no way to the network.
    NetworkUnreachable,
    /// The last router gets no answer from the host.
    HostUnreachable,
    /// The host does not speak the protocol.
    ProtocolUnreachable,
    /// Nobody is at the port.
    PortUnreachable,
    /// The packet does not fit a link on the way and must not be fragmented.
    PacketTooBig {
        /// The MTU of that link as carried; 0 from a router older than RFC 1191.
        mtu: u32,
    },
    /// The hop limit ran out, or the time for reassembly.
    TimeExceeded,
    /// A filter or a policy forbids it.
    Prohibited,
    /// A field of the header makes no sense to the sender of the error.
    ParameterProblem,
    /// The source route cannot be followed.
    SourceRouteFailed,
}
