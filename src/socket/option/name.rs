//! What the man pages call an option.

use std::fmt;

use super::OptionName;

/// As `socket(7)`, `tcp(7)`, `ip(7)` and `ipv6(7)` have it; of two names for both families, that of IPv4.
impl fmt::Display for OptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OptionName::ReuseAddress => "SO_REUSEADDR",
            OptionName::ReusePort => "SO_REUSEPORT",
            OptionName::V6Only => "IPV6_V6ONLY",
            OptionName::Linger => "SO_LINGER",
            OptionName::ReceiveBuffer => "SO_RCVBUF",
            OptionName::SendBuffer => "SO_SNDBUF",
            OptionName::Keepalive => "SO_KEEPALIVE",
            OptionName::KeepaliveIdle => "TCP_KEEPIDLE",
            OptionName::KeepaliveInterval => "TCP_KEEPINTVL",
            OptionName::KeepaliveCount => "TCP_KEEPCNT",
            OptionName::Nodelay => "TCP_NODELAY",
            OptionName::UserTimeout => "TCP_USER_TIMEOUT",
            OptionName::MaxSegment => "TCP_MAXSEG",
            OptionName::Congestion => "TCP_CONGESTION",
            OptionName::DeferAccept => "TCP_DEFER_ACCEPT",
            OptionName::Ttl => "IP_TTL",
            OptionName::Tos => "IP_TOS",
            OptionName::UnicastHops => "IPV6_UNICAST_HOPS",
            OptionName::TrafficClass => "IPV6_TCLASS",
            OptionName::MtuDiscover => "IP_MTU_DISCOVER",
            OptionName::MtuDiscoverV6 => "IPV6_MTU_DISCOVER",
            OptionName::Mtu => "IP_MTU",
            OptionName::Broadcast => "SO_BROADCAST",
            OptionName::ReceiveErrors => "IP_RECVERR",
            OptionName::HeaderIncluded => "IP_HDRINCL",
            OptionName::IcmpFilter => "ICMP_FILTER",
            OptionName::MulticastLoop => "IP_MULTICAST_LOOP",
            OptionName::MulticastLoopV6 => "IPV6_MULTICAST_LOOP",
            OptionName::MulticastTtl => "IP_MULTICAST_TTL",
            OptionName::MulticastHops => "IPV6_MULTICAST_HOPS",
            OptionName::MulticastInterface => "IP_MULTICAST_IF",
            OptionName::MulticastInterfaceV6 => "IPV6_MULTICAST_IF",
        })
    }
}
