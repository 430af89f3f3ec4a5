//! What a socket chooses of the IP headers of its packets (`ip(7)`, `ipv6(7)`).
//!
//! The state machines write headers that nobody has chosen anything about; what a socket has chosen is written over
//! that on the way out. Who has chosen nothing pays one comparison.

use std::net::IpAddr;

use super::Below;

/// How many routers a packet passes unless somebody says otherwise (RFC 1700, and everybody).
pub const HOP_LIMIT: u8 = 64;

/// The Don't Fragment bit, in the byte behind the identification.
const DONT_FRAGMENT: u8 = 0x40;

/// IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: whether routers may cut its packets, and whether it minds what is known of
/// their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum MtuDiscovery {
    /// IP_PMTUDISC_DONT: routers may cut everything.
    Dont,
    /// IP_PMTUDISC_WANT: what fits must not be cut by anybody (RFC 1191); a datagram that does not is cut here.
    #[default]
    Want,
    /// IP_PMTUDISC_DO: nothing is cut. A datagram that does not fit its way is refused with EMSGSIZE.
    Do,
    /// IP_PMTUDISC_PROBE: nothing is cut, and whatever the link carries is sent (RFC 4821).
    Probe,
}

impl MtuDiscovery {
    /// The bytes that a packet to `destination` may have, if its socket does not want it to be cut.
    pub(super) fn room(self, destination: IpAddr, below: &Below<'_>) -> usize {
        match self {
            MtuDiscovery::Dont | MtuDiscovery::Want => usize::MAX,
            MtuDiscovery::Do => below.ip.path_mtu(destination),
            MtuDiscovery::Probe => below.ip.first_mtu(destination),
        }
    }
}

/// The choices about packets of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// IP_TTL, IPV6_UNICAST_HOPS.
    pub hop_limit: u8,
    /// IP_TOS, IPV6_TCLASS: the differentiated services codepoint and, in the last two bits, ECN (RFC 2474, RFC 3168).
    pub traffic_class: u8,
    /// IP_MTU_DISCOVER, IPV6_MTU_DISCOVER.
    pub discovery: MtuDiscovery,
}

impl Default for Header {
    fn default() -> Header {
        Header { hop_limit: HOP_LIMIT, traffic_class: 0, discovery: MtuDiscovery::Want }
    }
}

/// The choices about packets of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers {
    /// Of IPv4.
    pub v4: Header,
    /// Of IPv6.
    pub v6: Header,
}

impl Headers {
    /// Those about packets to `destination`.
    pub(super) fn towards(&self, destination: IpAddr) -> Header {
        if destination.is_ipv4() { self.v4 } else { self.v6 }
    }
}

impl Header {
    /// Writes the choices into a packet that was made without any.
    #[inline]
    pub(super) fn write(&self, packet: &mut [u8]) {
        if *self != Header::default() {
            self.write_chosen(packet);
        }
    }

    fn write_chosen(&self, packet: &mut [u8]) {
        match packet {
            [first, class, _, _, _, _, flags, _, hop_limit, ..] if *first >> 4 == 4 => {
                *class = self.traffic_class;
                *hop_limit = self.hop_limit;
                if self.discovery == MtuDiscovery::Dont {
                    *flags &= !DONT_FRAGMENT;
                }
            }
            [first, second, _, _, _, _, _, hop_limit, ..] => {
                *first = *first & 0xf0 | self.traffic_class >> 4;
                *second = self.traffic_class << 4 | *second & 0x0f;
                *hop_limit = self.hop_limit;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

    use super::*;

    const CHOSEN: Header = Header { hop_limit: 7, traffic_class: 0xb9, discovery: MtuDiscovery::Dont };

    #[test]
    fn the_choices_stand_in_the_header_and_nothing_else_is_changed() {
        let mut v4 = [0x45, 0, 0, 20, 1, 2, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        CHOSEN.write(&mut v4);
        assert_eq!(v4, [0x45, 0xb9, 0, 20, 1, 2, 0, 0, 7, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        let mut v6 = [0; 40];
        v6[..8].copy_from_slice(&[0x60, 0x0f, 0xab, 0xcd, 0, 0, 6, 64]);
        CHOSEN.write(&mut v6);
        assert_eq!(v6[..8], [0x6b, 0x9f, 0xab, 0xcd, 0, 0, 6, 7]);
        let header = Ipv6Packet::new_unchecked(&v6);
        assert_eq!((header.traffic_class(), header.flow_label(), header.hop_limit()), (0xb9, 0xf_abcd, 7));
        Header { discovery: MtuDiscovery::Do, ..CHOSEN }.write(&mut v4);
        assert!(!Ipv4Packet::new_unchecked(&v4).dont_frag(), "nobody sets the bit who may not");
    }

    #[test]
    fn who_has_chosen_nothing_changes_nothing() {
        let mut packet = [0x45, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        Header::default().write(&mut packet);
        assert_eq!(packet, [0x45, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
