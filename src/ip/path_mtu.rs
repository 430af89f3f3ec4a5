//! What the way to each destination can carry (RFC 1191, RFC 8201).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use crate::observe::Time;

/// How long a discovered value holds. Afterwards the link's MTU is tried again (RFC 1191 §6.3, RFC 8201 §4).
const LIFETIME: Duration = Duration::from_secs(600);

/// Below this a router's word is not followed, because tiny segments cost more than they carry: Linux's
/// `net.ipv4.route.min_pmtu`.
const LEAST_4: usize = 552;

/// Every IPv6 link carries this; a smaller value is a mistake or a forgery (RFC 8201 §4).
const LEAST_6: usize = 1280;

/// MTUs of the links that there are. A router that does not tell its own gets the next smaller one assumed
/// (RFC 1191 §7.1).
const PLATEAUS: [usize; 9] = [65_535, 32_000, 17_914, 8166, 4352, 2002, 1492, 1006, LEAST_4];

/// Destinations that are reached through a narrower link than ours.
///
/// Only who can quote a packet of ours gets an entry, so the table is small; when it is full, the entry that would
/// expire next goes, and that destination's way is discovered again.
#[derive(Debug)]
pub(super) struct PathMtus {
    entries: BTreeMap<IpAddr, Entry>,
    /// The same entries by the moment at which they expire.
    ages: BTreeSet<(Time, IpAddr)>,
    limit: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    mtu: usize,
    expires: Time,
    is_narrow: bool,
}

/// How large a packet to one destination may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathMtu {
    pub(super) mtu: usize,
    /// Some link carries even less than the least that we send: routers must be allowed to fragment.
    pub(super) is_narrow: bool,
}

impl PathMtus {
    pub(super) fn new(limit: usize) -> PathMtus {
        PathMtus { entries: BTreeMap::new(), ages: BTreeSet::new(), limit }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// `link` is the MTU of our own link. Costs one comparison while nothing was ever learned.
    pub(super) fn get(&self, destination: IpAddr, link: usize) -> PathMtu {
        let known = if self.is_empty() { None } else { self.entries.get(&destination) };
        match known {
            Some(entry) => PathMtu { mtu: entry.mtu.min(link), is_narrow: entry.is_narrow },
            None => PathMtu { mtu: link, is_narrow: false },
        }
    }

    /// Takes a router's word; `mtu` 0 means that it did not say. Whether that lowered anything.
    pub(super) fn learn(&mut self, now: Time, destination: IpAddr, mtu: u32, link: usize) -> bool {
        let present = self.get(destination, link);
        let told = usize::try_from(mtu).unwrap_or(usize::MAX);
        let told = match destination {
            IpAddr::V4(_) if told == 0 => PLATEAUS.into_iter().find(|&mtu| mtu < present.mtu).unwrap_or(LEAST_4),
            IpAddr::V6(_) if told < LEAST_6 => return false,
            _ => told,
        };
        let least = if destination.is_ipv4() { LEAST_4 } else { LEAST_6 };
        let (mtu, is_narrow) = (told.max(least), told < least);
        if self.limit == 0 || (mtu >= present.mtu && is_narrow <= present.is_narrow) {
            return false;
        }
        self.forget(destination);
        while self.entries.len() >= self.limit {
            let Some((_, oldest)) = self.ages.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        let expires = now + LIFETIME;
        self.entries.insert(destination, Entry { mtu: mtu.min(present.mtu), expires, is_narrow });
        self.ages.insert((expires, destination));
        true
    }

    fn forget(&mut self, destination: IpAddr) {
        if let Some(entry) = self.entries.remove(&destination) {
            self.ages.remove(&(entry.expires, destination));
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.ages.first().map(|&(expires, _)| expires)
    }

    /// Forgets what is too old.
    pub(super) fn poll(&mut self, now: Time) {
        while let Some(&(expires, destination)) = self.ages.first()
            && expires <= now
        {
            self.ages.pop_first();
            self.entries.remove(&destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: usize = 1500;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn mtu(paths: &PathMtus, to: &str) -> usize {
        paths.get(ip(to), LINK).mtu
    }

    #[test]
    fn a_learned_mtu_holds_for_ten_minutes_and_for_one_destination() {
        let mut paths = PathMtus::new(8);
        assert_eq!((mtu(&paths, "192.0.2.1"), paths.deadline()), (1500, None));
        assert!(paths.learn(at(0), ip("192.0.2.1"), 1400, LINK));
        assert_eq!((mtu(&paths, "192.0.2.1"), mtu(&paths, "192.0.2.2")), (1400, 1500));
        assert_eq!(paths.deadline(), Some(at(600)));
        paths.poll(at(599));
        assert_eq!(mtu(&paths, "192.0.2.1"), 1400);
        paths.poll(at(600));
        assert_eq!((mtu(&paths, "192.0.2.1"), paths.deadline()), (1500, None));
    }

    #[test]
    fn a_value_that_lowers_nothing_changes_nothing() {
        let mut paths = PathMtus::new(8);
        for told in [1500, 1501, 9000, u32::MAX] {
            assert!(!paths.learn(at(0), ip("192.0.2.1"), told, LINK) && !paths.learn(at(0), ip("fd69::9"), told, LINK));
        }
        assert!(paths.learn(at(0), ip("192.0.2.1"), 1400, LINK));
        assert!(!paths.learn(at(100), ip("192.0.2.1"), 1400, LINK));
        assert!(!paths.learn(at(100), ip("192.0.2.1"), 1450, LINK));
        assert_eq!((mtu(&paths, "192.0.2.1"), paths.deadline()), (1400, Some(at(600))));
        assert!(paths.learn(at(100), ip("192.0.2.1"), 1300, LINK));
        assert_eq!((mtu(&paths, "192.0.2.1"), paths.deadline()), (1300, Some(at(700))));
        assert_eq!(paths.get(ip("192.0.2.1"), 1200).mtu, 1200, "never above the link");
    }

    #[test]
    fn an_old_router_steps_down_the_plateaus() {
        let mut paths = PathMtus::new(8);
        let mut steps = Vec::new();
        while paths.learn(at(0), ip("192.0.2.1"), 0, LINK) {
            steps.push(mtu(&paths, "192.0.2.1"));
        }
        assert_eq!(steps, [1492, 1006, 552]);
        assert!(!paths.learn(at(0), ip("fd69::9"), 0, LINK), "IPv6 routers always say");
    }

    #[test]
    fn a_forged_tiny_mtu_does_not_make_tiny_packets() {
        let mut paths = PathMtus::new(8);
        assert!(paths.learn(at(0), ip("192.0.2.1"), 68, LINK));
        assert_eq!(paths.get(ip("192.0.2.1"), LINK), PathMtu { mtu: 552, is_narrow: true });
        assert!(paths.learn(at(0), ip("192.0.2.2"), 552, LINK));
        assert_eq!(paths.get(ip("192.0.2.2"), LINK), PathMtu { mtu: 552, is_narrow: false });
        assert!(paths.learn(at(0), ip("192.0.2.2"), 300, LINK), "the packets were too big even so");
        assert!(!paths.learn(at(0), ip("fd69::9"), 1279, LINK) && mtu(&paths, "fd69::9") == 1500);
        assert!(paths.learn(at(0), ip("fd69::9"), 1280, LINK) && mtu(&paths, "fd69::9") == 1280);
    }

    #[test]
    fn a_full_table_forgets_what_would_expire_next() {
        let mut paths = PathMtus::new(2);
        for (second, to) in [(0, "192.0.2.1"), (1, "192.0.2.2"), (2, "192.0.2.3")] {
            assert!(paths.learn(at(second), ip(to), 1000, LINK));
        }
        assert_eq!(["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(|to| mtu(&paths, to)), [1500, 1000, 1000]);
        assert_eq!((paths.entries.len(), paths.ages.len()), (2, 2));
        assert!(!PathMtus::new(0).learn(at(0), ip("192.0.2.1"), 1000, LINK));
    }
}
