//! Stateless address autoconfiguration (RFC 4862 §5.5) and what a host keeps of its routers (RFC 4861 §6.3).
//!
//! Addresses end in the modified EUI-64 of the Ethernet address (RFC 4291 appendix A), so that they are the same in
//! each run; a person who wants another one chooses another Ethernet address. Solicitations are not delayed at
//! random (RFC 4861 §6.3.7): they follow the questions about the link-local address, and a TAP has one station.
//!
//! The hop limit that a router advertises is not taken: 64 reaches everything, and a forged 1 would cut us off
//! (CVE-2015-2922).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::table::{Lifetime, Table};
use crate::config::{Cidr, Limits, Mac};
use crate::link::{Prefix, RouterAdvertisement};
use crate::observe::Time;

/// MAX_RTR_SOLICITATIONS of RFC 4861 §10.
const SOLICITATIONS: u32 = 3;
/// RTR_SOLICITATION_INTERVAL, and MAX_RTR_SOLICITATION_DELAY after the last one, in which an answer may still come.
const INTERVAL: Duration = Duration::from_secs(4);
/// The lifetime that an unauthenticated advertisement cannot shorten (RFC 4862 §5.5.3 (e)).
const TWO_HOURS: Duration = Duration::from_secs(7200);
/// The smallest MTU of an IPv6 link (RFC 8200 §5).
const SMALLEST_MTU: u32 = 1280;

/// What the stack is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stack) enum Change {
    Solicit,
    Router {
        address: Ipv6Addr,
        lifetime: Duration,
    },
    NoRouter(Ipv6Addr),
    OnLink(Cidr),
    OffLink(Cidr),
    NewAddress {
        cidr: Cidr,
        lifetime: Lifetime,
    },
    Lifetime {
        address: IpAddr,
        lifetime: Lifetime,
    },
    Mtu(u32),
    Times {
        reachable: Option<Duration>,
        retransmit: Option<Duration>,
    },
    /// A bound is reached; something was ignored.
    Ignored,
}

#[derive(Debug)]
pub(in crate::stack) struct Slaac {
    mac: Mac,
    /// Solicitations that are left, and when the next thing about them is due.
    left: u32,
    due: Option<Time>,
    is_answered: bool,
    routers: Vec<(Ipv6Addr, Time)>,
    prefixes: Vec<(Cidr, Option<Time>)>,
    most_routers: usize,
    most_prefixes: usize,
    most_addresses: usize,
    known_mtu: Option<u32>,
}

impl Slaac {
    pub(in crate::stack) fn new(mac: Mac, limits: &Limits) -> Slaac {
        Slaac {
            mac,
            left: SOLICITATIONS,
            due: None,
            is_answered: false,
            routers: Vec::new(),
            prefixes: Vec::new(),
            most_routers: limits.routers,
            most_prefixes: limits.prefixes,
            most_addresses: limits.learned_addresses,
            known_mtu: None,
        }
    }

    /// How many prefixes and routers are known.
    pub(in crate::stack) fn usage(&self) -> (usize, usize) {
        (self.prefixes.len(), self.routers.len())
    }

    /// The link-local address is ours: routers can be asked from it.
    pub(in crate::stack) fn begin(&mut self, now: Time) {
        if self.left == SOLICITATIONS {
            self.due = Some(now);
        }
    }

    /// Somebody else has our link-local address, and with it our interface identifier (RFC 4862 §5.4.5).
    pub(in crate::stack) fn give_up(&mut self) {
        (self.left, self.due) = (0, None);
    }

    /// Whether an answer may still come that was asked for.
    pub(in crate::stack) fn is_waiting(&self) -> bool {
        !self.is_answered && (self.due.is_some() || self.left == SOLICITATIONS)
    }

    pub(in crate::stack) fn deadline(&self) -> Option<Time> {
        let routers = self.routers.iter().map(|&(_, until)| until);
        let prefixes = self.prefixes.iter().filter_map(|&(_, until)| until);
        routers.chain(prefixes).chain(self.due).min()
    }

    /// The next thing that is due.
    pub(in crate::stack) fn due(&mut self, now: Time) -> Option<Change> {
        if self.due.is_some_and(|due| due <= now) {
            if self.left == 0 {
                self.due = None;
            } else {
                self.left -= 1;
                self.due = Some(now + INTERVAL);
                return Some(Change::Solicit);
            }
        }
        if let Some(place) = self.routers.iter().position(|&(_, until)| until <= now) {
            return Some(Change::NoRouter(self.routers.remove(place).0));
        }
        let place = self.prefixes.iter().position(|&(_, until)| until.is_some_and(|until| until <= now))?;
        Some(Change::OffLink(self.prefixes.remove(place).0))
    }

    /// A neighbour says that it is no router (RFC 4861 §7.2.5).
    pub(in crate::stack) fn not_router(&mut self, address: Ipv6Addr) -> Option<Change> {
        let place = self.routers.iter().position(|&(router, _)| router == address)?;
        Some(Change::NoRouter(self.routers.remove(place).0))
    }

    /// What follows from an advertisement, `table` being the addresses that we have.
    pub(in crate::stack) fn receive(&mut self, now: Time, said: &RouterAdvertisement, table: &Table) -> Vec<Change> {
        let mut changes = Vec::new();
        self.is_answered = true;
        // RFC 4861 §6.3.7: one that serves as a router ends the asking.
        if !said.lifetime.is_zero() {
            (self.left, self.due) = (0, None);
        }
        self.router(now, said, &mut changes);
        if said.reachable.is_some() || said.retransmit.is_some() {
            changes.push(Change::Times { reachable: said.reachable, retransmit: said.retransmit });
        }
        if let Some(mtu) = said.mtu.filter(|&mtu| mtu >= SMALLEST_MTU && self.known_mtu != Some(mtu)) {
            self.known_mtu = Some(mtu);
            changes.push(Change::Mtu(mtu));
        }
        let mut room = self.most_addresses.saturating_sub(table.count(super::Origin::Advertised));
        for prefix in &said.prefixes {
            // Link-local addresses come from nobody's word (§6.3.4, RFC 4862 §5.5.3 (b)).
            if matches!(prefix.network.address(), IpAddr::V6(network) if network.is_unicast_link_local() || network.is_multicast())
            {
                continue;
            }
            if prefix.on_link {
                self.on_link(now, prefix, &mut changes);
            }
            if prefix.autonomous {
                self.address(now, prefix, table, &mut room, &mut changes);
            }
        }
        changes
    }

    /// RFC 4861 §6.3.4: the default router list.
    fn router(&mut self, now: Time, said: &RouterAdvertisement, changes: &mut Vec<Change>) {
        let place = self.routers.iter().position(|&(address, _)| address == said.router);
        let (address, lifetime) = (said.router, said.lifetime);
        match place {
            Some(place) if lifetime.is_zero() => {
                self.routers.remove(place);
                changes.push(Change::NoRouter(address));
            }
            Some(place) => self.routers[place].1 = now + lifetime,
            None if lifetime.is_zero() => {}
            None if self.routers.len() >= self.most_routers => changes.push(Change::Ignored),
            None => {
                self.routers.push((address, now + lifetime));
                changes.push(Change::Router { address, lifetime });
            }
        }
    }

    /// RFC 4861 §6.3.4: the prefix list.
    fn on_link(&mut self, now: Time, prefix: &Prefix, changes: &mut Vec<Change>) {
        let until = prefix.valid.map(|span| now + span);
        let is_over = prefix.valid.is_some_and(|span| span.is_zero());
        match self.prefixes.iter().position(|&(network, _)| network == prefix.network) {
            Some(place) if is_over => {
                self.prefixes.remove(place);
                changes.push(Change::OffLink(prefix.network));
            }
            Some(place) => self.prefixes[place].1 = until,
            None if is_over => {}
            None if self.prefixes.len() >= self.most_prefixes => changes.push(Change::Ignored),
            None => {
                self.prefixes.push((prefix.network, until));
                changes.push(Change::OnLink(prefix.network));
            }
        }
    }

    /// RFC 4862 §5.5.3 (c) to (e): an address of ours in the prefix.
    fn address(&self, now: Time, prefix: &Prefix, table: &Table, room: &mut usize, changes: &mut Vec<Change>) {
        let longer = |a: Option<Duration>, b: Option<Duration>| a.unwrap_or(Duration::MAX) > b.unwrap_or(Duration::MAX);
        if longer(prefix.preferred, prefix.valid) || prefix.network.prefix() != 64 {
            return;
        }
        let IpAddr::V6(network) = prefix.network.address() else { return };
        let identifier = self.mac.link_local().to_bits() & u128::from(u64::MAX);
        let address = IpAddr::V6(Ipv6Addr::from_bits(network.to_bits() | identifier));
        let told = Lifetime::from(now, prefix.preferred, prefix.valid);
        let Some(known) = table.get(address) else {
            // Whether its hosts are on the link is said by the L flag alone, and kept in the prefix list.
            let Some(cidr) = Cidr::new(address, 128) else { return };
            let is_new = |change: &Change| !matches!(change, Change::NewAddress { cidr: other, .. } if *other == cidr);
            if prefix.valid.is_some_and(|span| span.is_zero()) || !changes.iter().all(is_new) {
                return;
            }
            if *room == 0 {
                changes.push(Change::Ignored);
                return;
            }
            *room -= 1;
            changes.push(Change::NewAddress { cidr, lifetime: told });
            return;
        };
        if known.origin != super::Origin::Advertised {
            return;
        }
        let remaining = known.lifetime.valid.map(|until| until - now);
        let valid = if longer(prefix.valid, Some(TWO_HOURS)) || longer(prefix.valid, remaining) {
            told.valid
        } else if longer(remaining, Some(TWO_HOURS)) {
            Some(now + TWO_HOURS)
        } else {
            known.lifetime.valid
        };
        changes.push(Change::Lifetime { address, lifetime: Lifetime { preferred: told.preferred, valid } });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::*;

    const ROUTER: &str = "fe80::1";

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn seconds(span: u64) -> Option<Duration> {
        Some(Duration::from_secs(span))
    }

    fn slaac() -> Slaac {
        Slaac::new(
            Mac([2, 0, 0x5e, 0x10, 0, 1]),
            &Limits { routers: 2, prefixes: 2, learned_addresses: 2, ..Limits::default() },
        )
    }

    fn said(prefixes: &[Prefix]) -> RouterAdvertisement {
        RouterAdvertisement {
            router: ROUTER.parse().unwrap(),
            lifetime: Duration::from_secs(1800),
            reachable: None,
            retransmit: None,
            mtu: None,
            prefixes: prefixes.to_vec(),
        }
    }

    fn prefix(network: &str, valid: Option<Duration>, preferred: Option<Duration>) -> Prefix {
        let (network, length) = network.split_once('/').unwrap();
        let network = Cidr::new(network.parse().unwrap(), length.parse().unwrap()).unwrap();
        Prefix { network, on_link: false, autonomous: true, valid, preferred }
    }

    /// The valid lifetime that is left after the prefix said `valid`, of an address that had `remaining`.
    fn valid_after(remaining: u64, valid: u64) -> Option<Time> {
        let mut table = Table::default();
        let address: Cidr = "2001:db8::5eff:fe10:1/128".parse().unwrap();
        table.add(address, Origin::Advertised, Lifetime::from(at(0), seconds(1), seconds(remaining)));
        let changes = slaac().receive(at(0), &said(&[prefix("2001:db8::/64", seconds(valid), seconds(0))]), &table);
        match changes.last() {
            Some(Change::Lifetime { lifetime, .. }) => lifetime.valid,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn routers_are_asked_three_times_and_then_no_more() {
        let mut slaac = slaac();
        assert!(slaac.is_waiting() && slaac.deadline().is_none());
        slaac.begin(at(1));
        for second in [1, 5, 9] {
            assert_eq!(slaac.deadline(), Some(at(second)));
            assert_eq!(slaac.due(at(second)), Some(Change::Solicit));
            assert_eq!(slaac.due(at(second)), None);
        }
        assert!(slaac.is_waiting(), "the last question may still be answered");
        assert_eq!(slaac.due(at(13)), None);
        assert!(!slaac.is_waiting() && slaac.deadline().is_none());
    }

    #[test]
    fn a_prefix_makes_an_address_that_ends_like_the_ethernet_address() {
        let changes = slaac().receive(at(0), &said(&[prefix("2001:db8::/64", seconds(60), None)]), &Table::default());
        assert!(!changes.iter().any(|change| matches!(change, Change::NewAddress { .. })), "preferred beyond valid");
        let changes = slaac().receive(at(0), &said(&[prefix("2001:db8::/64", None, seconds(60))]), &Table::default());
        let lifetime = Lifetime { preferred: Some(at(60)), valid: None };
        let cidr = Cidr::new("2001:db8::5eff:fe10:1".parse().unwrap(), 128).unwrap();
        assert_eq!(changes.last(), Some(&Change::NewAddress { cidr, lifetime }));
    }

    #[test]
    fn prefixes_that_cannot_make_an_address_make_none() {
        for (network, valid) in [("2001:db8::/63", 60), ("2001:db8::/65", 60), ("fe80::/64", 60), ("2001:db8::/64", 0)]
        {
            let told = said(&[prefix(network, seconds(valid), seconds(0))]);
            let changes = slaac().receive(at(0), &told, &Table::default());
            assert_eq!(changes.len(), 1, "{network} {valid}: the router alone, not {changes:?}");
        }
    }

    /// RFC 4862 §5.5.3 (e).
    #[test]
    fn an_advertisement_cannot_take_an_address_away_in_less_than_two_hours() {
        assert_eq!(valid_after(86_400, 10), Some(at(7200)));
        assert_eq!(valid_after(3600, 10), Some(at(3600)));
        assert_eq!(valid_after(3600, 3601), Some(at(3601)));
        assert_eq!(valid_after(86_400, 7201), Some(at(7201)));
    }

    #[test]
    fn a_router_goes_when_it_says_so_or_says_nothing() {
        let mut slaac = slaac();
        let router = ROUTER.parse().unwrap();
        let lifetime = Duration::from_secs(1800);
        let first = slaac.receive(at(0), &said(&[]), &Table::default());
        assert_eq!(first, [Change::Router { address: router, lifetime }]);
        assert_eq!(slaac.receive(at(100), &said(&[]), &Table::default()), []);
        assert_eq!(slaac.due(at(1899)), None);
        assert_eq!(slaac.due(at(1900)), Some(Change::NoRouter(router)));
        slaac.receive(at(2000), &said(&[]), &Table::default());
        let bye = RouterAdvertisement { lifetime: Duration::ZERO, ..said(&[]) };
        assert_eq!(slaac.receive(at(2001), &bye, &Table::default()), [Change::NoRouter(router)]);
        assert_eq!(slaac.deadline(), None);
    }

    #[test]
    fn what_can_be_learned_is_bounded() {
        let mut slaac = slaac();
        for number in 0..100_u16 {
            let network =
                |part: u16| Prefix { on_link: true, ..prefix(&format!("2001:db8:{part:x}::/64"), None, None) };
            let told = RouterAdvertisement {
                router: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number + 1),
                ..said(&[network(number * 3), network(number * 3 + 1), network(number * 3 + 2)])
            };
            let changes = slaac.receive(at(0), &told, &Table::default());
            assert!(changes.iter().filter(|change| matches!(change, Change::NewAddress { .. })).count() <= 2);
        }
        assert_eq!((slaac.routers.len(), slaac.prefixes.len()), (2, 2));
    }

    #[test]
    fn an_mtu_below_the_smallest_of_ipv6_is_ignored() {
        let mut slaac = slaac();
        let mut with =
            |mtu| slaac.receive(at(0), &RouterAdvertisement { mtu: Some(mtu), ..said(&[]) }, &Table::default());
        assert_eq!(with(1279).len(), 1);
        assert_eq!(with(1400), [Change::Mtu(1400)]);
        assert_eq!(with(1400), []);
    }
}
