//! Where a packet goes next, and from which of our addresses.
//!
//! There is one link, and there is the loopback: what is for an address of our own, or for a loopback address, never
//! reaches the link. Any other destination is a neighbour, a group on the link, or behind a gateway of its family;
//! sources are chosen by the rules of RFC 6724 §5 that can matter here: appropriate scope, no deprecated address
//! where there is another, the network of the next hop for IPv4, longest matching prefix for IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::{Addresses, Own};
use crate::config::Cidr;

/// The first step of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hop {
    /// The neighbour to give it to. 255.255.255.255 for every kind of broadcast; for multicast the group itself.
    pub next_hop: IpAddr,
    /// The address of ours to send it from.
    pub source: IpAddr,
    /// It is for ourselves, and takes the loopback.
    pub is_local: bool,
}

impl Hop {
    /// By the link.
    const fn to(next_hop: IpAddr, source: IpAddr) -> Hop {
        Hop { next_hop, source, is_local: false }
    }
}

/// The ways that are not in our addresses themselves.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// In the order in which they are tried.
    gateways: Vec<IpAddr>,
    /// IPv6 networks that a router says are on the link (RFC 4861 §6.3.4). An address that we made from an
    /// advertised prefix says nothing about that.
    prefixes: Vec<Cidr>,
}

impl Routes {
    pub(super) fn new(gateways: &[IpAddr]) -> Routes {
        Routes { gateways: gateways.to_vec(), prefixes: Vec::new() }
    }

    /// Adds a gateway behind the others; one that is there keeps its place.
    pub(super) fn add_gateway(&mut self, gateway: IpAddr) {
        if !self.gateways.contains(&gateway) {
            self.gateways.push(gateway);
        }
    }

    /// Says whether it was there.
    pub(super) fn remove_gateway(&mut self, gateway: IpAddr) -> bool {
        let place = self.gateways.iter().position(|&other| other == gateway);
        place.map(|place| self.gateways.remove(place)).is_some()
    }

    /// A gateway that does not answer is tried after those that may (RFC 4861 §6.3.6).
    pub(super) fn demote_gateway(&mut self, gateway: IpAddr) {
        if let Some(place) = self.gateways.iter().position(|&other| other == gateway) {
            self.gateways[place..].rotate_left(1);
        }
    }

    pub(super) fn set_on_link(&mut self, prefix: Cidr, is_on_link: bool) {
        self.prefixes.retain(|&other| other != prefix);
        if is_on_link {
            self.prefixes.push(prefix);
        }
    }

    fn gateway(&self, is_ipv4: bool) -> Option<IpAddr> {
        self.gateways.iter().copied().find(|gateway| gateway.is_ipv4() == is_ipv4)
    }
}

/// `None`: no route. An address of our own that is not usable has none.
pub(super) fn route(addresses: &Addresses, routes: &Routes, destination: IpAddr) -> Option<Hop> {
    if let Some(source) = addresses.source_to_own(destination) {
        return Some(Hop { next_hop: destination, source, is_local: true });
    }
    if destination.is_unspecified() || addresses.find(destination).is_some() {
        return None;
    }
    match destination {
        IpAddr::V4(to) => route4(addresses, routes, to),
        IpAddr::V6(to) => route6(addresses, routes, to),
    }
}

fn route4(addresses: &Addresses, routes: &Routes, to: Ipv4Addr) -> Option<Hop> {
    let destination = IpAddr::V4(to);
    let first = || nearest(addresses.usable(), destination);
    let broadcast = IpAddr::V4(Ipv4Addr::BROADCAST);
    if to.is_broadcast() || to.is_multicast() {
        return Some(Hop::to(destination, first()?));
    }
    if let Some(network) = addresses.usable().find(|own| own.cidr.broadcast() == Some(to)) {
        return Some(Hop::to(broadcast, network.cidr.address()));
    }
    if let Some(source) = on_link(addresses, destination) {
        return Some(Hop::to(destination, source));
    }
    if to.is_link_local() {
        // RFC 3927 §2.6.2: always on the link, never through a router.
        return Some(Hop::to(destination, first()?));
    }
    let gateway = routes.gateway(true)?;
    Some(Hop::to(gateway, on_link(addresses, gateway)?))
}

fn route6(addresses: &Addresses, routes: &Routes, to: Ipv6Addr) -> Option<Hop> {
    let destination = IpAddr::V6(to);
    let wide = || nearest(addresses.usable().filter(|own| !is_link_local(own.cidr.address())), destination);
    let local = || nearest(addresses.usable().filter(|own| is_link_local(own.cidr.address())), destination);
    if to.is_multicast() {
        // RFC 4291 §2.7: scopes 1 and 2 end on this link.
        let source = if to.octets()[1] & 0xf <= 2 { local().or_else(wide) } else { wide().or_else(local) };
        return Some(Hop::to(destination, source?));
    }
    if to.is_unicast_link_local() {
        return Some(Hop::to(destination, local()?));
    }
    if on_link(addresses, destination).is_some() || routes.prefixes.iter().any(|prefix| prefix.contains(destination)) {
        return Some(Hop::to(destination, wide()?));
    }
    let gateway = routes.gateway(false)?;
    if !is_link_local(gateway) && !routes.prefixes.iter().any(|prefix| prefix.contains(gateway)) {
        on_link(addresses, gateway)?;
    }
    Some(Hop::to(gateway, wide()?))
}

/// Our address in the longest network that has this host on the link; of several, the one most like it.
fn on_link(addresses: &Addresses, host: IpAddr) -> Option<IpAddr> {
    let mut networks = addresses.usable().filter(|own| own.cidr.contains(host));
    let first = networks.next()?;
    if networks.next().is_none() {
        return Some(first.cidr.address());
    }
    let longest = addresses.usable().map(|own| own.cidr).filter(|cidr| cidr.contains(host)).map(Cidr::prefix).max()?;
    nearest(addresses.usable().filter(|own| own.cidr.contains(host) && own.cidr.prefix() == longest), host)
}

/// An address that is not deprecated before one that is (RFC 6724 §5, rule 3), then the one with the longest common
/// prefix (rule 8); of several, the first. IPv4 addresses are taken in the order of the settings.
fn nearest<'a>(candidates: impl Iterator<Item = &'a Own>, destination: IpAddr) -> Option<IpAddr> {
    let mut best: Option<((bool, u32), IpAddr)> = None;
    for own in candidates {
        let address = own.cidr.address();
        let common = match (address, destination) {
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V4(_)) => 0,
            _ => continue,
        };
        let merit = (!own.is_deprecated(), common);
        if best.is_none_or(|(most, _)| merit > most) {
            best = Some((merit, address));
        }
    }
    best.map(|(_, address)| address)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// `destination > next hop from source`, or `-`.
    fn check(own: &[&str], gateways: &[&str], table: &[(&str, &str)]) {
        let cidrs: Vec<Cidr> = own.iter().map(|text| text.parse().unwrap()).collect();
        let mut addresses = Addresses::new(&cidrs);
        for cidr in cidrs {
            addresses.set_state(cidr.address(), observe::Address::Preferred);
        }
        let gateways: Vec<IpAddr> = gateways.iter().map(|text| ip(text)).collect();
        let routes = Routes::new(&gateways);
        for &(destination, expected) in table {
            let hop = route(&addresses, &routes, ip(destination));
            let by = |hop: &Hop| if hop.is_local { " by lo" } else { "" };
            let shown = hop.map_or("-".into(), |hop| format!("{} from {}{}", hop.next_hop, hop.source, by(&hop)));
            assert_eq!(shown, expected, "{destination}");
        }
    }

    #[test]
    fn neighbours_groups_and_gateways_of_ipv4() {
        check(
            &["192.168.69.1/24", "10.0.0.1/8", "10.1.0.1/16"],
            &["192.168.69.100"],
            &[
                ("192.168.69.100", "192.168.69.100 from 192.168.69.1"),
                ("10.1.2.3", "10.1.2.3 from 10.1.0.1"),
                ("10.2.2.3", "10.2.2.3 from 10.0.0.1"),
                ("203.0.113.9", "192.168.69.100 from 192.168.69.1"),
                ("255.255.255.255", "255.255.255.255 from 192.168.69.1"),
                ("192.168.69.255", "255.255.255.255 from 192.168.69.1"),
                ("10.255.255.255", "255.255.255.255 from 10.0.0.1"),
                ("224.0.0.251", "224.0.0.251 from 192.168.69.1"),
                ("169.254.3.4", "169.254.3.4 from 192.168.69.1"),
                ("192.168.69.1", "192.168.69.1 from 192.168.69.1 by lo"),
                ("10.1.0.1", "10.1.0.1 from 10.1.0.1 by lo"),
                ("127.0.0.1", "127.0.0.1 from 127.0.0.1 by lo"),
                ("127.1.2.3", "127.1.2.3 from 127.0.0.1 by lo"),
                ("::1", "::1 from ::1 by lo"),
                ("0.0.0.0", "-"),
                ("fd69::1", "-"),
                ("ff02::1", "-"),
            ],
        );
    }

    #[test]
    fn neighbours_groups_and_gateways_of_ipv6() {
        check(
            &["fe80::5eff:fe10:1/64", "fd69::1/64", "2001:db8::1/64"],
            &["fe80::1"],
            &[
                ("fd69::100", "fd69::100 from fd69::1"),
                ("2001:db8::2", "2001:db8::2 from 2001:db8::1"),
                ("2001:db8:1::2", "fe80::1 from 2001:db8::1"),
                ("fd70::2", "fe80::1 from fd69::1"),
                ("fe80::2", "fe80::2 from fe80::5eff:fe10:1"),
                ("fe80:0:0:1::2", "fe80:0:0:1::2 from fe80::5eff:fe10:1"),
                ("ff02::1", "ff02::1 from fe80::5eff:fe10:1"),
                ("ff0e::1234", "ff0e::1234 from fd69::1"),
                ("fd69::1", "fd69::1 from fd69::1 by lo"),
                ("fe80::5eff:fe10:1", "fe80::5eff:fe10:1 from fe80::5eff:fe10:1 by lo"),
                ("::1", "::1 from ::1 by lo"),
                ("::", "-"),
                ("10.0.0.1", "-"),
            ],
        );
    }

    #[test]
    fn without_a_gateway_only_the_link_is_reached() {
        check(
            &["192.168.69.1/24", "fd69::1/64"],
            &[],
            &[
                ("192.168.69.2", "192.168.69.2 from 192.168.69.1"),
                ("192.168.70.2", "-"),
                ("fd69:1::1", "-"),
                ("fe80::2", "-"),
                ("ff02::1", "ff02::1 from fd69::1"),
            ],
        );
        check(&["192.168.69.1/24"], &["10.0.0.1"], &[("203.0.113.9", "-")]);
        check(&["fe80::1/64"], &["fe80::2"], &[("2001:db8::1", "-")]);
    }

    #[test]
    fn an_address_that_is_not_ours_yet_routes_nothing() {
        let mut addresses = Addresses::new(&["192.168.69.1/24".parse().unwrap()]);
        assert_eq!(route(&addresses, &Routes::default(), ip("192.168.69.2")), None);
        assert_eq!(route(&addresses, &Routes::default(), ip("255.255.255.255")), None);
        assert_eq!(route(&addresses, &Routes::default(), ip("192.168.69.1")), None, "and is not asked for on the link");
        addresses.set_state(ip("192.168.69.1"), observe::Address::Preferred);
        assert!(route(&addresses, &Routes::default(), ip("192.168.69.2")).is_some());
    }

    /// RFC 6724 §5, rule 3.
    #[test]
    fn a_deprecated_address_is_the_last_to_be_chosen() {
        let own = ["2001:db8::1/64", "2001:db8:1::1/64", "192.168.69.1/24", "192.168.69.2/24"];
        let cidrs: Vec<Cidr> = own.iter().map(|text| text.parse().unwrap()).collect();
        let mut addresses = Addresses::new(&cidrs);
        for cidr in &cidrs {
            addresses.set_state(cidr.address(), observe::Address::Preferred);
        }
        let source =
            |addresses: &Addresses, to: &str| route(addresses, &Routes::default(), ip(to)).map(|hop| hop.source);
        for (deprecated, to, other) in
            [("2001:db8::1", "2001:db8::2", "2001:db8:1::1"), ("192.168.69.1", "192.168.69.9", "192.168.69.2")]
        {
            assert_eq!(source(&addresses, to), Some(ip(deprecated)));
            addresses.set_state(ip(deprecated), observe::Address::Deprecated);
            assert_eq!(source(&addresses, to), Some(ip(other)));
            addresses.remove(ip(other));
            assert_eq!(source(&addresses, to), Some(ip(deprecated)), "better than none");
        }
    }

    #[test]
    fn an_advertised_prefix_is_on_the_link_while_it_lasts() {
        let cidrs: [Cidr; 1] = ["2001:db8::1/128".parse().unwrap()];
        let mut addresses = Addresses::new(&cidrs);
        addresses.set_state(cidrs[0].address(), observe::Address::Preferred);
        let mut routes = Routes::new(&[ip("fe80::1")]);
        let hop = |routes: &Routes| route(&addresses, routes, ip("2001:db8::2")).unwrap().next_hop;
        assert_eq!(hop(&routes), ip("fe80::1"));
        let prefix = Cidr::new(ip("2001:db8::"), 64).unwrap();
        routes.set_on_link(prefix, true);
        assert_eq!(hop(&routes), ip("2001:db8::2"));
        routes.set_on_link(prefix, false);
        assert_eq!(hop(&routes), ip("fe80::1"));
    }

    #[test]
    fn a_gateway_that_fails_gives_way_to_the_next() {
        let cidrs: [Cidr; 1] = ["192.168.69.1/24".parse().unwrap()];
        let mut addresses = Addresses::new(&cidrs);
        addresses.set_state(cidrs[0].address(), observe::Address::Preferred);
        let mut routes = Routes::new(&[ip("192.168.69.100")]);
        routes.add_gateway(ip("192.168.69.101"));
        routes.add_gateway(ip("192.168.69.100"));
        let hop = |routes: &Routes| route(&addresses, routes, ip("203.0.113.9")).map(|hop| hop.next_hop);
        assert_eq!(hop(&routes), Some(ip("192.168.69.100")));
        routes.demote_gateway(ip("192.168.69.100"));
        assert_eq!(hop(&routes), Some(ip("192.168.69.101")));
        routes.remove_gateway(ip("192.168.69.101"));
        routes.remove_gateway(ip("192.168.69.100"));
        assert_eq!(hop(&routes), None);
    }
}
