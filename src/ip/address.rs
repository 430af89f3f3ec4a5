//! The stack's own addresses and the groups it belongs to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::group::Groups;
use crate::config::Cidr;
use crate::observe::{self, Cast};

/// What 127.0.0.0/8 has for a broadcast address, as on Linux.
const LOOPBACK_BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// Whether it is an address that every host has for itself: 127.0.0.0/8 and ::1 (RFC 1122 §3.2.1.3 (g),
/// RFC 4291 §2.5.3). They stand in no table, and none of them is ever seen on a link.
pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback() && address != IpAddr::V4(LOOPBACK_BROADCAST)
}

/// One of our addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) cidr: Cidr,
    pub(super) state: observe::Address,
}

impl Own {
    /// Whether packets may be sent from it and are accepted for it.
    pub(super) fn is_usable(&self) -> bool {
        match self.state {
            observe::Address::Preferred | observe::Address::Deprecated | observe::Address::Conflict { .. } => true,
            observe::Address::Tentative | observe::Address::Duplicate { .. } | observe::Address::Removed => false,
        }
    }

    /// Whether something new should rather begin from another one (RFC 6724 §5, rule 3).
    pub(super) fn is_deprecated(&self) -> bool {
        self.state == observe::Address::Deprecated
    }
}

/// A handful of addresses (at most 8 of a person's, the link-local one, and the few that
/// [`Limits`](crate::config::Limits) lets us learn), looked through in order.
#[derive(Debug)]
pub(super) struct Addresses(Vec<Own>);

impl Addresses {
    pub(super) fn new(cidrs: &[Cidr]) -> Addresses {
        let mut addresses = Addresses(Vec::with_capacity(cidrs.len() + 1));
        for &cidr in cidrs {
            addresses.add(cidr);
        }
        addresses
    }

    /// Adds a tentative address; one that is there stays as it is.
    pub(super) fn add(&mut self, cidr: Cidr) {
        if self.find(cidr.address()).is_none() {
            self.0.push(Own { cidr, state: observe::Address::Tentative });
        }
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        self.0.retain(|own| own.cidr.address() != address);
    }

    /// A conflict does not make a deprecated address young again.
    pub(super) fn set_state(&mut self, address: IpAddr, state: observe::Address) {
        if let Some(own) = self.0.iter_mut().find(|own| own.cidr.address() == address)
            && !(own.is_deprecated() && matches!(state, observe::Address::Conflict { .. }))
        {
            own.state = state;
        }
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<&Own> {
        self.0.iter().find(|own| own.cidr.address() == address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Own> {
        self.0.iter()
    }

    pub(super) fn usable(&self) -> impl Iterator<Item = &Own> {
        self.0.iter().filter(|own| own.is_usable())
    }

    /// Whether packets may be sent from it and are accepted for it.
    pub(super) fn is_usable(&self, address: IpAddr) -> bool {
        is_loopback(address) || self.find(address).is_some_and(Own::is_usable)
    }

    /// The address that a packet to one of our own comes from (RFC 6724 §5, rule 1); `None` if it is not for ourselves.
    pub(super) fn source_to_own(&self, destination: IpAddr) -> Option<IpAddr> {
        match destination {
            IpAddr::V4(address) if address.is_loopback() => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            _ => Some(destination).filter(|&address| self.is_usable(address)),
        }
    }

    /// Checks the ends of a packet that came over the loopback.
    pub(super) fn check_local(&self, source: IpAddr, destination: IpAddr, groups: &Groups) -> Result<Cast, Martian> {
        if !self.is_usable(source) {
            return Err(Martian::Source);
        }
        match destination {
            IpAddr::V4(LOOPBACK_BROADCAST) => Ok(Cast::Group),
            _ if self.is_member(destination) || groups.is_member(destination) => Ok(Cast::Group),
            _ if self.is_usable(destination) => Ok(Cast::Unicast),
            _ => Err(Martian::Destination),
        }
    }

    /// Whether a packet from this address can only be ours, come back. From a duplicate address it is the
    /// other station's, whose address it rightly is.
    pub(super) fn is_own_source(&self, address: IpAddr) -> bool {
        self.find(address).is_some_and(|own| !matches!(own.state, observe::Address::Duplicate { .. }))
    }

    /// Whether it is the directed broadcast address of one of our networks (RFC 919).
    pub(super) fn is_directed_broadcast(&self, address: Ipv4Addr) -> bool {
        self.0.iter().any(|own| own.cidr.broadcast() == Some(address))
    }

    /// Multicast, 255.255.255.255, or the directed broadcast of one of our networks.
    pub(super) fn is_group(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                address.is_multicast()
                    || address.is_broadcast()
                    || address == LOOPBACK_BROADCAST
                    || self.is_directed_broadcast(address)
            }
            IpAddr::V6(address) => address.is_multicast(),
        }
    }

    /// Whether we belong to the group: all hosts, and for IPv6 the solicited-node groups of our addresses,
    /// tentative ones included (RFC 1112 §4, RFC 4291 §2.8).
    pub(super) fn is_member(&self, group: IpAddr) -> bool {
        match group {
            IpAddr::V4(group) => {
                group == Ipv4Addr::new(224, 0, 0, 1) || group.is_broadcast() || self.is_directed_broadcast(group)
            }
            IpAddr::V6(group) => {
                group == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)
                    || group == Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1)
                    || self.0.iter().any(|own| solicited_node(own.cidr.address()) == Some(group))
            }
        }
    }
}

/// Which end of a packet on the loopback is not ours (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Martian {
    Source,
    Destination,
}

/// The group that is asked who has this address (RFC 4291 §2.7.1).
pub(super) fn solicited_node(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => {
            let [.., a, b, c] = address.octets();
            Some(Ipv6Addr::from_octets([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mac;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn addresses() -> Addresses {
        Addresses::new(&["192.168.69.1/24".parse().unwrap(), "fd69::12:3456/64".parse().unwrap()])
    }

    #[test]
    fn an_address_is_usable_once_it_is_ours() {
        let mut addresses = addresses();
        let (ours, owner) = (ip("192.168.69.1"), Mac([2; 6]));
        assert!(!addresses.is_usable(ours));
        addresses.set_state(ours, observe::Address::Preferred);
        assert!(addresses.is_usable(ours) && addresses.is_own_source(ours));
        addresses.set_state(ours, observe::Address::Conflict { owner });
        assert!(addresses.is_usable(ours) && addresses.is_own_source(ours));
        addresses.set_state(ours, observe::Address::Duplicate { owner });
        assert!(!addresses.is_usable(ours) && !addresses.is_own_source(ours));
        addresses.set_state(ours, observe::Address::Deprecated);
        addresses.set_state(ours, observe::Address::Conflict { owner });
        assert!(addresses.is_usable(ours) && addresses.find(ours).unwrap().is_deprecated());
        addresses.remove(ours);
        assert!(addresses.find(ours).is_none());
        addresses.set_state(ip("10.0.0.1"), observe::Address::Preferred);
        assert!(addresses.find(ip("10.0.0.1")).is_none(), "states do not make addresses");
    }

    #[test]
    fn an_address_that_is_added_twice_keeps_its_state() {
        let mut addresses = addresses();
        addresses.set_state(ip("192.168.69.1"), observe::Address::Preferred);
        addresses.add("192.168.69.1/16".parse().unwrap());
        assert_eq!(addresses.iter().count(), 2);
        assert!(addresses.is_usable(ip("192.168.69.1")));
    }

    #[test]
    fn groups_and_membership_are_two_things() {
        let addresses = addresses();
        for group in ["224.0.0.1", "255.255.255.255", "192.168.69.255", "ff02::1", "ff01::1", "ff02::1:ff12:3456"] {
            assert!(addresses.is_group(ip(group)) && addresses.is_member(ip(group)), "{group}");
        }
        for group in ["224.0.0.2", "239.1.2.3", "ff02::2", "ff05::1", "ff02::1:ff12:3457"] {
            assert!(addresses.is_group(ip(group)) && !addresses.is_member(ip(group)), "{group}");
        }
        for host in ["192.168.69.1", "192.168.69.100", "192.168.68.255", "fd69::12:3456", "fe80::1"] {
            assert!(!addresses.is_group(ip(host)) && !addresses.is_member(ip(host)), "{host}");
        }
    }
}
