//! Which groups we belong to, and telling the routers and switches of the link about it.
//!
//! - `membership`: who wants a group: sockets, and our own addresses by their solicited-node groups.
//! - `reporter`: when to report and when to be silent. IGMP and MLD are one state machine in two notations.
//! - `igmp`, `mld`: the two notations.
//!
//! Only any-source memberships are made: a group is in mode EXCLUDE with no sources, or not there at all.

mod igmp;
mod membership;
pub(super) mod mld;
mod reporter;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use self::membership::Memberships;
use self::reporter::Reporter;
use super::address::{Addresses, solicited_node};
use super::{Ip, Packets};
use crate::config::Limits;
use crate::error::Result;
use crate::observe::Time;

/// Every host is in these, and nobody reports them (RFC 3376 §5, RFC 3810 §6).
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Which protocol a querier speaks, in the numbers of IGMP. MLDv1 is IGMPv2 and MLDv2 is IGMPv3 in the notation of
/// ICMPv6 (RFC 2710 §1, RFC 3810 §1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    One,
    Two,
    Three,
}

/// What a message of another station says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Query(Query),
    /// A report of version 1 or 2: somebody else is in this group too.
    Report(IpAddr),
}

/// Which groups are you in?
#[derive(Debug, Clone, PartialEq, Eq)]
struct Query {
    version: Version,
    /// `None`: in any.
    group: Option<IpAddr>,
    /// And do you want it from these sources? None: from anybody.
    sources: Vec<IpAddr>,
    /// Within this time.
    within: Duration,
    /// The querier's Robustness Variable, if it tells.
    robustness: Option<u8>,
    /// The querier's Query Interval, if it tells.
    interval: Option<Duration>,
}

/// What a record says about a group (RFC 3376 §4.2.12, RFC 3810 §5.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    IsInclude = 1,
    IsExclude = 2,
    ToInclude = 3,
    ToExclude = 4,
}

/// One group in a report of version 3.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    kind: Kind,
    group: IpAddr,
    sources: Vec<IpAddr>,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Message {
    Records(Vec<Record>),
    /// Of version 1 or 2.
    Report(Version, IpAddr),
    /// Of version 2.
    Leave(IpAddr),
}

/// The groups of both families.
#[derive(Debug)]
pub(super) struct Groups {
    members: Memberships,
    igmp: Reporter,
    mld: Reporter,
    /// The solicited-node groups that our addresses are in.
    solicited: Vec<IpAddr>,
    /// Our addresses have changed since they were looked at.
    has_news: bool,
    /// Reports have a source that routers accept.
    has_source4: bool,
    has_source6: bool,
}

impl Groups {
    pub(super) fn new(limits: &Limits, seed: u64) -> Groups {
        Groups {
            members: Memberships::new(limits.groups),
            igmp: Reporter::new(StdRng::seed_from_u64(seed)),
            mld: Reporter::new(StdRng::seed_from_u64(!seed)),
            solicited: Vec::new(),
            has_news: true,
            has_source4: false,
            has_source6: false,
        }
    }

    pub(super) fn is_member(&self, group: IpAddr) -> bool {
        self.members.contains(group)
    }

    /// Our addresses are not what they were.
    pub(super) fn addresses_changed(&mut self) {
        self.has_news = true;
    }

    fn join(&mut self, now: Time, group: IpAddr) -> Result<()> {
        if self.members.join(group)? && is_reported(group) {
            self.reporter(group).join(now, group);
        }
        Ok(())
    }

    fn leave(&mut self, now: Time, group: IpAddr) {
        if self.members.leave(group) && is_reported(group) {
            self.reporter(group).leave(now, group);
        }
    }

    fn reporter(&mut self, group: IpAddr) -> &mut Reporter {
        if group.is_ipv4() { &mut self.igmp } else { &mut self.mld }
    }

    /// Follows our addresses: their solicited-node groups, and the source of reports.
    fn follow(&mut self, now: Time, addresses: &Addresses) {
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        let mut wanted: Vec<IpAddr> =
            addresses.iter().filter_map(|own| solicited_node(own.cidr.address())).map(IpAddr::V6).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let old = std::mem::replace(&mut self.solicited, wanted.clone());
        for &group in wanted.iter().filter(|group| !old.contains(group)) {
            // Few and our own, so they stand outside the limit.
            if self.members.join_always(group) {
                self.mld.join(now, group);
            }
        }
        for group in old.into_iter().filter(|group| !wanted.contains(group)) {
            self.leave(now, group);
        }
        // What was reported from the unspecified address was for switches; routers hear it now (RFC 3590 §4).
        let (source4, source6) = (source4(addresses), source6(addresses));
        if source4.is_some() && !self.has_source4 {
            self.igmp.report_all(now);
        }
        if source6.is_some() && !self.has_source6 {
            self.mld.report_all(now);
        }
        (self.has_source4, self.has_source6) = (source4.is_some(), source6.is_some());
    }
}

/// Whether routers are told about it: not what every host is in, and nothing that ends inside a host (RFC 3810 §6).
fn is_reported(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group != ALL_SYSTEMS,
        IpAddr::V6(group) => group != ALL_NODES && group.octets()[1] & 0xf > 1,
    }
}

/// IGMP is sent from any address of the link (RFC 3376 §4.2.13).
fn source4(addresses: &Addresses) -> Option<Ipv4Addr> {
    addresses.usable().find_map(|own| match own.cidr.address() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

/// MLD is sent from a link-local address (RFC 3810 §5.2.13).
fn source6(addresses: &Addresses) -> Option<Ipv6Addr> {
    addresses.usable().find_map(|own| match own.cidr.address() {
        IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
        _ => None,
    })
}

impl Ip {
    /// A socket wants what is sent to `group`. Sockets are counted; the first one causes a report.
    ///
    /// # Errors
    ///
    /// [`Error::NoBufferSpace`](crate::error::Error::NoBufferSpace) if the stack is in as many groups as it may be.
    ///
    /// ```
    /// use tapsock::{config::Config, ip::{Ip, Packets}, observe::Time};
    ///
    /// let (mut ip, mut out) = (Ip::new(&Config::default(), 1500, 0), Packets::new());
    /// let group = "239.1.2.3".parse()?;
    /// ip.join_group(Time::ZERO, group)?;
    /// assert!(ip.is_member(group) && ip.group_deadline() == Some(Time::ZERO));
    /// ip.leave_group(Time::ZERO, group);
    /// assert!(!ip.is_member(group));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_group(&mut self, now: Time, group: IpAddr) -> Result<()> {
        self.groups.join(now, group)
    }

    /// One socket less wants it.
    pub fn leave_group(&mut self, now: Time, group: IpAddr) {
        self.groups.leave(now, group);
    }

    /// Whether what is sent to this group or broadcast address is for us too.
    pub fn is_member(&self, group: IpAddr) -> bool {
        self.addresses.is_member(group) || self.groups.is_member(group)
    }

    /// Every group that a socket or an address of ours is in, but for those that all hosts are in.
    pub fn groups(&self) -> impl Iterator<Item = IpAddr> {
        self.groups.members.iter()
    }

    /// A number that changes whenever [`Ip::groups`] does.
    pub fn groups_edition(&self) -> u64 {
        self.groups.members.edition()
    }

    /// Reports what has changed and answers the queries that are due.
    pub fn poll_groups(&mut self, now: Time, out: &mut Packets) {
        self.groups.follow(now, &self.addresses);
        let mtu = self.mtu;
        let source = source4(&self.addresses).unwrap_or(Ipv4Addr::UNSPECIFIED);
        for message in self.groups.igmp.poll(now) {
            igmp::send(&message, source, mtu, out);
        }
        let source = source6(&self.addresses).unwrap_or(Ipv6Addr::UNSPECIFIED);
        for message in self.groups.mld.poll(now) {
            mld::send(&message, source, mtu, out);
        }
    }

    /// When [`Ip::poll_groups`] has something to do.
    pub fn group_deadline(&self) -> Option<Time> {
        if self.groups.has_news {
            return Some(Time::ZERO);
        }
        [self.groups.igmp.deadline(), self.groups.mld.deadline()].into_iter().flatten().min()
    }
}
