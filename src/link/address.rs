//! Our own addresses. Few, so that a list is searched faster than anything else.

use std::net::IpAddr;
use std::time::Duration;

use crate::observe::Time;

/// DEFEND_INTERVAL of RFC 5227 §1.1.
const DEFEND: Duration = Duration::from_secs(10);

/// ANNOUNCE_INTERVAL of RFC 5227 §1.1. ANNOUNCE_NUM is 2: one alone may be lost.
const ANNOUNCE: Duration = Duration::from_secs(2);

/// PROBE_NUM of RFC 5227 §1.1. One alone may be lost: a bridge forwards nothing in a port's first moments.
const PROBES: u32 = 3;

#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<Own>);

#[derive(Debug)]
struct Own {
    address: IpAddr,
    /// We only ask about it; `None` once it is ours.
    tentative: Option<Probing>,
    /// When it is announced for the second time.
    announce: Option<Time>,
    /// When we last defended it.
    defended: Option<Time>,
}

#[derive(Debug)]
struct Probing {
    /// When the next probe is due, or, after the last one, when the address is ours.
    due: Time,
    /// Between two probes, and after the last.
    interval: Duration,
    left: u32,
}

/// What is due for an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask whether somebody has it.
    Probe(IpAddr),
    /// Nobody objected in time; it is ours from now on.
    Preferred(IpAddr),
    /// It has been ours for a moment; say so once more.
    Announce(IpAddr),
}

impl Addresses {
    /// A new one, to be asked about for `span` from now on. Does nothing and says `false` if it is there already.
    pub(super) fn add(&mut self, address: IpAddr, now: Time, span: Duration) -> bool {
        let is_new = self.find(address).is_none();
        if is_new {
            let left = if span.is_zero() { 0 } else { PROBES };
            let probing = Probing { due: now, interval: span / PROBES, left };
            self.0.push(Own { address, tentative: Some(probing), announce: None, defended: None });
        }
        is_new
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

    /// The next thing that is due. What nobody was asked about is announced once only, as is IPv6, where the second
    /// announcement is optional (RFC 4861 §7.2.6).
    pub(super) fn due(&mut self, now: Time) -> Option<Due> {
        if let Some(own) = self.0.iter_mut().find(|own| own.announce.is_some_and(|at| at <= now)) {
            own.announce = None;
            return Some(Due::Announce(own.address));
        }
        let is_due = |own: &&mut Own| own.tentative.as_ref().is_some_and(|probing| probing.due <= now);
        let own = self.0.iter_mut().find(is_due)?;
        let probing = own.tentative.as_mut()?;
        if probing.left == 0 {
            let was_asked_about = !probing.interval.is_zero();
            own.tentative = None;
            own.announce = (was_asked_about && own.address.is_ipv4()).then(|| now + ANNOUNCE);
            return Some(Due::Preferred(own.address));
        }
        probing.left -= 1;
        probing.due = now + probing.interval;
        Some(Due::Probe(own.address))
    }

    /// Whether it may be defended now; if so, not again for a while. `false`: somebody contests it for the second time.
    pub(super) fn defend(&mut self, now: Time, address: IpAddr) -> bool {
        let Some(own) = self.0.iter_mut().find(|own| own.address == address) else { return false };
        let may = own.defended.is_none_or(|last| now - last >= DEFEND);
        if may {
            own.defended = Some(now);
        }
        may
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.0.iter().flat_map(|own| [own.tentative.as_ref().map(|probing| probing.due), own.announce]).flatten().min()
    }

    fn find(&self, address: IpAddr) -> Option<&Own> {
        self.0.iter().find(|own| own.address == address)
    }
}
