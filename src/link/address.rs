//! Our own addresses. Few, so that a list is searched faster than anything else.

use std::net::IpAddr;
use std::time::Duration;

use crate::observe::Time;

/// DEFEND_INTERVAL of RFC 5227 §1.1.
const DEFEND: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<Own>);

#[derive(Debug)]
struct Own {
    address: IpAddr,
    /// Until then we only ask about it; `None` once it is ours.
    tentative: Option<Time>,
    /// When we last defended it.
    defended: Option<Time>,
}

impl Addresses {
    /// A new one that is tentative until then. `false`: it is there already.
    pub(super) fn add(&mut self, address: IpAddr, until: Time) -> bool {
        let new = self.find(address).is_none();
        if new {
            self.0.push(Own { address, tentative: Some(until), defended: None });
        }
        new
    }

    pub(super) fn remove(&mut self, address: IpAddr) {
        self.0.retain(|own| own.address != address);
    }

    /// Whether we ask about it and do not use it yet.
    pub(super) fn is_tentative(&self, address: IpAddr) -> bool {
        self.find(address).is_some_and(|own| own.tentative.is_some())
    }

    /// Whether it is ours to use.
    pub(super) fn is_preferred(&self, address: IpAddr) -> bool {
        self.find(address).is_some_and(|own| own.tentative.is_none())
    }

    /// From where to ask: `wanted` if it is ours to use, or else the first address of the family that is.
    pub(super) fn source(&self, wanted: Option<IpAddr>, v4: bool) -> Option<IpAddr> {
        wanted.filter(|&wanted| wanted.is_ipv4() == v4 && self.is_preferred(wanted)).or_else(|| {
            self.0.iter().find(|own| own.tentative.is_none() && own.address.is_ipv4() == v4).map(|own| own.address)
        })
    }

    /// One that nobody objected to in time; it is ours from now on.
    pub(super) fn finish(&mut self, now: Time) -> Option<IpAddr> {
        let own = self.0.iter_mut().find(|own| own.tentative.is_some_and(|until| until <= now))?;
        own.tentative = None;
        Some(own.address)
    }

    /// Whether it may be defended now; if so, not again for a while.
    pub(super) fn defend(&mut self, now: Time, address: IpAddr) -> bool {
        let Some(own) = self.0.iter_mut().find(|own| own.address == address) else { return false };
        let may = own.defended.is_none_or(|last| now - last >= DEFEND);
        if may {
            own.defended = Some(now);
        }
        may
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.iter().filter_map(|own| own.tentative).min()
    }

    fn find(&self, address: IpAddr) -> Option<&Own> {
        self.0.iter().find(|own| own.address == address)
    }
}
