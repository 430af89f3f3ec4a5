//! The table of our addresses: where each comes from, how long it lasts, and what became of it.
//!
//! `link` keeps what it asks about and defends, `ip` what packets may use; this table is where both are told from.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::Cidr;
use crate::observe::{Address, Time};

/// Who wants us to have an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A person, by the settings or at run time.
    Chosen,
    /// It comes from the Ethernet address (RFC 4862 §5.3).
    LinkLocal,
    /// A router advertised its prefix (RFC 4862 §5.5).
    Advertised,
    /// A DHCP server gave it (RFC 2131).
    Leased,
}

/// How long an address lasts (RFC 4862 §5.5.4). `None`: for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// Until when new connections begin from it.
    pub preferred: Option<Time>,
    /// Until when it is ours.
    pub valid: Option<Time>,
}

impl Lifetime {
    /// No end in sight.
    pub const FOREVER: Lifetime = Lifetime { preferred: None, valid: None };

    /// Ends that are so far from `now`; `None` stands for never.
    pub fn from(now: Time, preferred: Option<Duration>, valid: Option<Duration>) -> Lifetime {
        Lifetime { preferred: preferred.map(|span| now + span), valid: valid.map(|span| now + span) }
    }
}

#[derive(Debug, Clone, Copy)]
pub(in crate::stack) struct Entry {
    pub(in crate::stack) address: IpAddr,
    pub(in crate::stack) origin: Origin,
    pub(in crate::stack) lifetime: Lifetime,
    pub(in crate::stack) state: Address,
}

/// What a moment brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stack) enum Due {
    Deprecated(IpAddr),
    Expired(IpAddr),
}

/// A handful of addresses, looked through in order.
#[derive(Debug, Default)]
pub(in crate::stack) struct Table(Vec<Entry>);

impl Table {
    /// Adds a tentative address; `false` if it is there already.
    pub(in crate::stack) fn add(&mut self, cidr: Cidr, origin: Origin, lifetime: Lifetime) -> bool {
        let address = cidr.address();
        let is_new = self.get(address).is_none();
        if is_new {
            self.0.push(Entry { address, origin, lifetime, state: Address::Tentative });
        }
        is_new
    }

    pub(in crate::stack) fn get(&self, address: IpAddr) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.address == address)
    }

    pub(in crate::stack) fn remove(&mut self, address: IpAddr) -> Option<Entry> {
        let place = self.0.iter().position(|entry| entry.address == address)?;
        Some(self.0.remove(place))
    }

    pub(in crate::stack) fn set_state(&mut self, address: IpAddr, state: Address) {
        if let Some(entry) = self.get_mut(address) {
            entry.state = state;
        }
    }

    /// A new lifetime. Says whether a deprecated address is preferred again.
    pub(in crate::stack) fn extend(&mut self, now: Time, address: IpAddr, lifetime: Lifetime) -> bool {
        let Some(entry) = self.get_mut(address) else { return false };
        entry.lifetime = lifetime;
        let is_revived = entry.state == Address::Deprecated && lifetime.preferred.is_none_or(|until| until > now);
        if is_revived {
            entry.state = Address::Preferred;
        }
        is_revived
    }

    pub(in crate::stack) fn count(&self, origin: Origin) -> usize {
        self.0.iter().filter(|entry| entry.origin == origin).count()
    }

    pub(in crate::stack) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// The next thing that is due. What is expired is to be removed by the caller.
    pub(in crate::stack) fn due(&mut self, now: Time) -> Option<Due> {
        let is_over = |until: Option<Time>| until.is_some_and(|until| until <= now);
        if let Some(entry) = self.0.iter().find(|entry| is_over(entry.lifetime.valid)) {
            return Some(Due::Expired(entry.address));
        }
        // What is tentative still becomes ours first.
        let entry = self.0.iter_mut().find(|entry| is_young(entry) && is_over(entry.lifetime.preferred))?;
        entry.state = Address::Deprecated;
        Some(Due::Deprecated(entry.address))
    }

    pub(in crate::stack) fn deadline(&self) -> Option<Time> {
        self.0
            .iter()
            .flat_map(|entry| [entry.lifetime.valid, entry.lifetime.preferred.filter(|_| is_young(entry))])
            .flatten()
            .min()
    }

    fn get_mut(&mut self, address: IpAddr) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.address == address)
    }
}

/// Whether it can become deprecated.
fn is_young(entry: &Entry) -> bool {
    matches!(entry.state, Address::Preferred | Address::Conflict { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn an_address_grows_old_and_goes() {
        let mut table = Table::default();
        let cidr: Cidr = "fd69::1/64".parse().unwrap();
        let address = cidr.address();
        let lifetime = Lifetime { preferred: Some(at(10)), valid: Some(at(20)) };
        assert!(table.add(cidr, Origin::Advertised, lifetime));
        assert!(!table.add(cidr, Origin::Chosen, Lifetime::FOREVER));
        assert_eq!(table.due(at(15)), None, "it is not even ours yet");
        table.set_state(address, Address::Preferred);
        assert_eq!(table.deadline(), Some(at(10)));
        assert_eq!(table.due(at(10)), Some(Due::Deprecated(address)));
        assert_eq!(table.due(at(10)), None);
        assert!(table.extend(at(12), address, Lifetime { preferred: Some(at(14)), valid: Some(at(20)) }));
        assert_eq!(table.due(at(14)), Some(Due::Deprecated(address)));
        assert!(!table.extend(at(15), address, Lifetime { preferred: Some(at(15)), valid: Some(at(20)) }));
        assert_eq!((table.deadline(), table.due(at(20))), (Some(at(20)), Some(Due::Expired(address))));
        assert!(table.remove(address).is_some() && table.remove(address).is_none());
        assert_eq!(table.deadline(), None);
    }

    #[test]
    fn what_lasts_for_ever_has_no_deadline() {
        let mut table = Table::default();
        let cidr: Cidr = "192.168.69.1/24".parse().unwrap();
        table.add(cidr, Origin::Chosen, Lifetime::FOREVER);
        table.set_state(cidr.address(), Address::Preferred);
        assert_eq!((table.deadline(), table.due(at(1_000_000))), (None, None));
    }
}
