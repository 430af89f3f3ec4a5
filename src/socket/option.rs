//! The options of a socket: what `setsockopt(2)` sets and `getsockopt(2)` gives back.

use std::sync::Arc;
use std::time::Duration;

use super::{Descriptor, Domain, Handle, Kind, Outcome, Protocol, Sockets, State};
use crate::error::{Error, Result};
use crate::transport::{GroupOption, Keepalive, PacketOptions, Sharing, TcpOption, Transport};

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident / $field:ident: $value:ty = $default:expr;)*) => {
        /// An option with its value.
        ///
        /// ```
        /// use tapsock::socket::{OptionName, SocketOption};
        /// assert_eq!(SocketOption::Nodelay(true).name(), OptionName::Nodelay);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum SocketOption { $($(#[$doc])* $name($value),)* }

        /// Which option.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum OptionName { $($(#[$doc])* $name,)* }

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
    /// SO_BROADCAST: it may send to broadcast addresses.
    Broadcast / broadcast: bool = false;
    /// IP_RECVERR, IPV6_RECVERR: it is told of every ICMP error that a datagram of its caused, also of those that may
    /// pass, and also while it is not connected.
    ReceiveErrors / receive_errors: bool = false;
    /// IP_TTL: over how many routers what it sends may go.
    Ttl / ttl: u32 = 64;
    /// IPV6_UNICAST_HOPS: the same for IPv6.
    UnicastHops / unicast_hops: u32 = 64;
    /// IP_TOS: the type of service, DSCP and ECN (RFC 2474, RFC 3168).
    Tos / tos: u32 = 0;
    /// IPV6_TCLASS: the same for IPv6.
    TrafficClass / traffic_class: u32 = 0;
    /// IP_HDRINCL, IPV6_HDRINCL: what a raw socket sends begins with an IP header.
    HeaderIncluded / header_included: bool = false;
    /// ICMP_FILTER, ICMP6_FILTER (RFC 3542 §3.2): a bit that is set keeps ICMP messages of its type from a raw socket.
    IcmpFilter / icmp_filter: [u32; 8] = [0; 8];
    /// IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP: what it sends to groups is also for the sockets of this stack.
    MulticastLoop / multicast_loop: bool = true;
    /// IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS: how many routers away groups are reached. 0: only on this stack.
    MulticastHops / multicast_hops: u8 = 1;
}

impl Options {
    pub(super) fn sharing(&self) -> Sharing {
        Sharing { reuse_address: self.reuse_address, reuse_port: self.reuse_port }
    }

    fn keepalive(&self) -> TcpOption {
        TcpOption::Keepalive(self.keepalive.then_some(Keepalive {
            idle: self.keepalive_idle,
            interval: self.keepalive_interval,
            count: self.keepalive_count,
        }))
    }

    /// Tells a connection what differs from the defaults.
    pub(super) fn apply_to_connection(self: &Arc<Options>, slot: usize, transport: &mut Transport) {
        let Some(connection) = transport.connection(slot) else { return };
        connection.set(TcpOption::Nodelay(self.nodelay));
        connection.set(self.keepalive());
        connection.set(TcpOption::UserTimeout(self.user_timeout));
        connection.set(TcpOption::Linger(self.linger));
    }

    /// Tells a UDP socket.
    pub(super) fn apply_to_datagram(&self, slot: usize, transport: &mut Transport) {
        transport.set_group_option(slot, GroupOption::Broadcast(self.broadcast));
        transport.set_group_option(slot, GroupOption::Loopback(self.multicast_loop));
        transport.set_group_option(slot, GroupOption::Hops(self.multicast_hops));
        transport.datagram(slot).set_receive_errors(self.receive_errors);
    }

    /// Tells an echo socket or a raw socket.
    pub(super) fn apply_to_packet(&self, is_v4: bool, slot: usize, transport: &mut Transport) {
        let options = PacketOptions {
            hops: octet(if is_v4 { self.ttl } else { self.unicast_hops }),
            multicast_hops: self.multicast_hops,
            traffic_class: octet(if is_v4 { self.tos } else { self.traffic_class }),
            broadcast: self.broadcast,
            header_included: self.header_included,
            receive_errors: self.receive_errors,
            icmp_filter: self.icmp_filter,
        };
        transport.set_packet_options(slot, options);
    }
}

impl OptionName {
    /// Whether sockets of this kind have it: options of TCP are for TCP (`tcp(7)`), and those of IPv6 for IPv6.
    fn fits(self, domain: Domain, kind: Kind) -> bool {
        match self {
            OptionName::V6Only => domain == Domain::Inet6,
            OptionName::ReusePort
            | OptionName::ReceiveErrors
            | OptionName::MulticastLoop
            | OptionName::MulticastHops => domain != Domain::Unix,
            OptionName::Nodelay
            | OptionName::UserTimeout
            | OptionName::KeepaliveIdle
            | OptionName::KeepaliveInterval
            | OptionName::KeepaliveCount => kind == Kind::Tcp,
            OptionName::HeaderIncluded => matches!(kind, Kind::Raw(_)),
            OptionName::IcmpFilter => matches!(kind, Kind::Raw(Protocol::ICMP | Protocol::ICMPV6)),
            _ => true,
        }
    }
}

/// A value that was checked.
fn octet(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

/// What Linux says of an option that is not there: Unix sockets know those of SOL_SOCKET only.
fn missing(domain: Domain) -> Error {
    if domain == Domain::Unix { Error::NotSupported } else { Error::ProtocolNotAvailable }
}

fn check(option: SocketOption) -> Result<()> {
    let is_allowed = match option {
        SocketOption::KeepaliveIdle(span) | SocketOption::KeepaliveInterval(span) => {
            (1..=32_767).contains(&span.as_secs())
        }
        SocketOption::Ttl(hops) => (1..=255).contains(&hops),
        SocketOption::UnicastHops(value) | SocketOption::Tos(value) | SocketOption::TrafficClass(value) => value <= 255,
        SocketOption::KeepaliveCount(count) => (1..=127).contains(&count),
        _ => true,
    };
    if is_allowed { Ok(()) } else { Err(Error::InvalidInput) }
}

impl Sockets {
    /// `setsockopt(2)`.
    pub(super) fn set_option(
        &mut self,
        socket: Handle,
        option: SocketOption,
        transport: &mut Transport,
    ) -> Result<Outcome> {
        let Descriptor { domain, kind, options, bound, state, .. } =
            self.find_mut(socket).ok_or(Error::BadDescriptor)?;
        if !option.name().fits(*domain, *kind) {
            return Err(missing(*domain));
        }
        check(option)?;
        if matches!(option, SocketOption::V6Only(_)) && (!state.is_fresh() || bound.is_some()) {
            // `ipv6(7)`: before it is bound.
            return Err(Error::InvalidInput);
        }
        if options.get(option.name()) != option {
            Arc::make_mut(options).set(option);
        }
        let linger = options.linger;
        match *state {
            State::Stream { slot, .. } => {
                options.apply_to_connection(slot, transport);
                transport.mark(slot);
            }
            State::Datagram { slot: Some(slot), .. } => options.apply_to_datagram(slot, transport),
            State::Joined { slot } => self.loopback.set_abortive(slot, linger == Some(Duration::ZERO)),
            State::Packet { slot: Some(slot), .. } => {
                options.apply_to_packet(*domain == Domain::Inet, slot, transport);
            }
            _ => {}
        }
        Ok(Outcome::Done)
    }

    /// `getsockopt(2)`.
    pub(super) fn get_option(&self, socket: Handle, name: OptionName) -> Result<Outcome> {
        let descriptor = self.find(socket).ok_or(Error::BadDescriptor)?;
        if !name.fits(descriptor.domain, descriptor.kind) {
            return Err(missing(descriptor.domain));
        }
        Ok(Outcome::Option(descriptor.options.get(name)))
    }
}
