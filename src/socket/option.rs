//! The options of a socket: what `setsockopt(2)` sets and `getsockopt(2)` gives back.

mod apply;
mod check;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::transport::{CongestionControl, HOP_LIMIT, MtuDiscovery};

/// A buffer of the size that the limits say.
const SYSTEMS: usize = 0;

/// Segments as large as the link takes them.
const UNBOUNDED: u32 = 0;

macro_rules! options {
    ($($(#[doc = $about:literal])+ $name:ident / $field:ident: $value:ty = $default:expr;)*) => {
        /// An option with its value.
        ///
        /// ```
        /// use tapsock::socket::{OptionName, SocketOption};
        /// assert_eq!(SocketOption::Nodelay(true).name(), OptionName::Nodelay);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum SocketOption { $($(#[doc = $about])+ $name($value),)* }

        /// Which option.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum OptionName { $($(#[doc = $about])+ $name,)* }

        impl OptionName {
            /// What the man pages call it; the first of its names, if it has several.
            ///
            /// ```
            /// use tapsock::socket::OptionName;
            /// assert_eq!(OptionName::ReuseAddress.constant(), "SO_REUSEADDR");
            /// ```
            pub fn constant(self) -> &'static str {
                // Its documentation begins with it.
                let about = match self { $(OptionName::$name => concat!($($about,)+).trim_start(),)* };
                let end = about.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(about.len());
                &about[..end]
            }
        }

        impl SocketOption {
            /// Which it is.
            pub const fn name(self) -> OptionName {
                match self { $(SocketOption::$name(_) => OptionName::$name,)* }
            }
        }

        /// The values of all options of one socket.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(super) struct Options { $(pub(super) $field: $value,)* }

        impl Default for Options {
            fn default() -> Options {
                Options { $($field: $default,)* }
            }
        }

        impl Options {
            fn get(&self, name: OptionName) -> SocketOption {
                match name { $(OptionName::$name => SocketOption::$name(self.$field),)* }
            }

            fn set(&mut self, option: SocketOption) {
                match option { $(SocketOption::$name(value) => self.$field = value,)* }
            }
        }
    };
}

options! {
    /// SO_REUSEADDR (`socket(7)`): shares its address with others that do so too; of TCP sockets one may listen.
    ReuseAddress / reuse_address: bool = false;
    /// SO_REUSEPORT: shares its address with others that do so too; all of them may listen.
    ReusePort / reuse_port: bool = false;
    /// IPV6_V6ONLY (`ipv6(7)`): no IPv4.
    V6Only / v6_only: bool = false;
    /// SO_LINGER; zero: closing discards what is unsent and sends a RST.
    Linger / linger: Option<Duration> = None;
    /// SO_RCVBUF: bytes that may wait to be read. Twice as many are read back, as on Linux: so many that what the
    /// connection keeps and what the program has not fetched from it are counted (see [`SocketOption`]).
    ReceiveBuffer / receive_buffer: usize = SYSTEMS;
    /// SO_SNDBUF: the same for what waits to be sent.
    SendBuffer / send_buffer: usize = SYSTEMS;
    /// SO_KEEPALIVE (RFC 9293 §3.8.4).
    Keepalive / keepalive: bool = false;
    /// TCP_KEEPIDLE: how long the connection must be idle before the peer is asked.
    KeepaliveIdle / keepalive_idle: Duration = Duration::from_secs(7200);
    /// TCP_KEEPINTVL: how long to wait for an answer before asking again.
    KeepaliveInterval / keepalive_interval: Duration = Duration::from_secs(75);
    /// TCP_KEEPCNT: how often to ask before the connection is given up.
    KeepaliveCount / keepalive_count: u32 = 9;
    /// TCP_NODELAY: small segments go out at once (RFC 9293 §3.7.4: Nagle's algorithm is off).
    Nodelay / nodelay: bool = false;
    /// TCP_USER_TIMEOUT (RFC 5482); `None`: the system's default.
    UserTimeout / user_timeout: Option<Duration> = None;
    /// TCP_MAXSEG: no larger segments than this, in either direction, options included. Before it is connected. What is
    /// read back is what a segment of the connection carries; 536 before there is one.
    MaxSegment / max_segment: u32 = UNBOUNDED;
    /// TCP_CONGESTION: how the congestion window grows and shrinks.
    Congestion / congestion: CongestionControl = CongestionControl::Cubic;
    /// TCP_DEFER_ACCEPT: how long a connection without data is kept from being accepted; zero: it is not. As on Linux it
    /// is rounded up to the moment at which a SYN-ACK would be sent again: 1, 3, 7, 15 seconds and so on.
    DeferAccept / defer_accept: Duration = Duration::ZERO;
    /// IP_TTL: how many routers a packet passes; 1 to 255.
    Ttl / ttl: u32 = HOP_LIMIT as u32;
    /// IP_TOS: the type of service; of TCP the last two bits, which are ECN's, stay as they are (RFC 2474, RFC 3168).
    Tos / tos: u32 = 0;
    /// IPV6_UNICAST_HOPS: [`Ttl`](SocketOption::Ttl) for IPv6; 0 to 255.
    UnicastHops / unicast_hops: u32 = HOP_LIMIT as u32;
    /// IPV6_TCLASS: [`Tos`](SocketOption::Tos) for IPv6.
    TrafficClass / traffic_class: u32 = 0;
    /// IP_MTU_DISCOVER.
    MtuDiscover / mtu_discover: MtuDiscovery = MtuDiscovery::Want;
    /// IPV6_MTU_DISCOVER.
    MtuDiscoverV6 / mtu_discover_v6: MtuDiscovery = MtuDiscovery::Want;
    /// IP_MTU, IPV6_MTU: the bytes that a packet to the peer may have on its whole way, as far as it is known. To be
    /// read only, and only of a socket that is connected.
    Mtu / mtu: u32 = 0;
    /// SO_BROADCAST: it may send to broadcast addresses.
    Broadcast / broadcast: bool = false;
    /// IP_RECVERR, IPV6_RECVERR: it is told of every ICMP error that a datagram of its caused, also of those that may
    /// pass, and also while it is not connected.
    ReceiveErrors / receive_errors: bool = false;
    /// IP_HDRINCL, IPV6_HDRINCL: what a raw socket sends begins with an IP header.
    HeaderIncluded / header_included: bool = false;
    /// ICMP_FILTER, ICMP6_FILTER (RFC 3542 §3.2): a bit that is set keeps ICMP messages of its type from a raw socket.
    IcmpFilter / icmp_filter: [u32; 8] = [0; 8];
    /// IP_MULTICAST_LOOP: what it sends to groups is also for the sockets of this stack.
    MulticastLoop / multicast_loop: bool = true;
    /// IPV6_MULTICAST_LOOP.
    MulticastLoopV6 / multicast_loop_v6: bool = true;
    /// IP_MULTICAST_TTL: how many routers away groups are reached. 0: only on this stack.
    MulticastTtl / multicast_ttl: u32 = 1;
    /// IPV6_MULTICAST_HOPS.
    MulticastHops / multicast_hops: u32 = 1;
    /// IP_MULTICAST_IF: the address of ours from which groups are sent to; 0.0.0.0: any.
    MulticastInterface / multicast_interface: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
    /// IPV6_MULTICAST_IF: the index of the link by which groups are sent to. There is one, whose index is 1; 0: any.
    MulticastInterfaceV6 / multicast_interface_v6: u32 = 0;
}
