//! When to report a group, and when others have said it already (RFC 3376 §5, §7.2; RFC 2236 §3; RFC 3810 §6, §8.2).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use super::{Heard, Kind, Message, Query, Record, Version};
use crate::observe::Time;

/// The Robustness Variable, unless a querier tells another: how often a change is told (RFC 3376 §8.1).
const ROBUSTNESS: u8 = 2;

/// The Query Interval, unless a querier tells another (RFC 3376 §8.2).
const QUERY_INTERVAL: Duration = Duration::from_secs(125);

/// The Query Response Interval (RFC 3376 §8.3).
const RESPONSE_INTERVAL: Duration = Duration::from_secs(10);

/// The Unsolicited Report Interval of version 3 (RFC 3376 §8.11, RFC 3810 §9.11).
const UNSOLICITED: Duration = Duration::from_secs(1);

/// That of versions 1 and 2 (RFC 2236 §8.10, RFC 2710 §7.10).
const UNSOLICITED_OLD: Duration = Duration::from_secs(10);

/// Sources of one group that are remembered until a query about them is answered. A query about more is answered as if
/// it were about the group, which says more than was asked.
const MOST_SOURCES: usize = 64;

/// Groups that were left and not yet told so; beyond that the routers find out by asking.
const MOST_LEAVING: usize = 256;

#[derive(Debug)]
struct Group {
    /// `false`: it was left, and the routers are still being told.
    is_member: bool,
    change: Option<Change>,
    response: Option<Response>,
    /// Nobody else has reported it since we did (RFC 2236 §3): who leaves last says so.
    is_last_reporter: bool,
}

/// A change that is told several times, in case a report is lost.
#[derive(Debug, Clone, Copy)]
struct Change {
    due: Time,
    left: u8,
    is_told: bool,
}

/// A query about one group waits for its answer.
#[derive(Debug)]
struct Response {
    due: Time,
    sources: Vec<IpAddr>,
}

/// The host's side of the protocol on one link.
#[derive(Debug)]
pub(super) struct Reporter {
    groups: BTreeMap<IpAddr, Group>,
    /// When a query about all groups is to be answered.
    general: Option<Time>,
    /// Until when queriers of version 1 and 2 are believed to be there.
    older: [Option<Time>; 2],
    mode: Version,
    robustness: u8,
    interval: Duration,
    rng: StdRng,
    /// No timer runs out before this.
    next: Option<Time>,
}

impl Reporter {
    pub(super) fn new(rng: StdRng) -> Reporter {
        Reporter {
            groups: BTreeMap::new(),
            general: None,
            older: [None; 2],
            mode: Version::Three,
            robustness: ROBUSTNESS,
            interval: QUERY_INTERVAL,
            rng,
            next: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.next
    }

    /// The first member of a group is there: it is reported at once, unasked.
    pub(super) fn join(&mut self, now: Time, group: IpAddr) {
        let change = Some(Change { due: now, left: self.robustness, is_told: false });
        self.groups.insert(group, Group { is_member: true, change, response: None, is_last_reporter: true });
        self.wake(now);
    }

    /// The last member is gone.
    pub(super) fn leave(&mut self, now: Time, group: IpAddr) {
        let leaving = self.groups.values().filter(|group| !group.is_member).count();
        let Some(entry) = self.groups.get_mut(&group) else { return };
        if leaving >= MOST_LEAVING {
            self.groups.remove(&group);
            return;
        }
        entry.is_member = false;
        entry.response = None;
        entry.change = Some(Change { due: now, left: self.robustness, is_told: false });
        self.wake(now);
    }

    /// Reports all groups as if they had just been joined.
    pub(super) fn report_all(&mut self, now: Time) {
        let left = self.robustness;
        for group in self.groups.values_mut().filter(|group| group.is_member) {
            group.change = Some(Change { due: now, left, is_told: false });
        }
        if !self.groups.is_empty() {
            self.wake(now);
        }
    }

    /// Takes what another station says.
    pub(super) fn hear(&mut self, now: Time, heard: Heard) {
        match heard {
            Heard::Query(query) => self.hear_query(now, query),
            Heard::Report(group) => {
                // Among speakers of version 3 nobody is silent because of others.
                self.enter_mode(now);
                if self.mode < Version::Three
                    && let Some(group) = self.groups.get_mut(&group)
                    && group.response.is_some()
                {
                    group.response = None;
                    group.is_last_reporter = false;
                }
            }
        }
    }

    fn hear_query(&mut self, now: Time, query: Query) {
        let Query { version, group, sources, within, robustness, interval } = query;
        if version == Version::Three {
            self.robustness = robustness.unwrap_or(ROBUSTNESS);
            self.interval = interval.unwrap_or(QUERY_INTERVAL);
        } else if group.is_none() {
            let span = self.interval * u32::from(self.robustness) + RESPONSE_INTERVAL;
            self.older[if version == Version::One { 0 } else { 1 }] = Some(now + span);
        }
        self.enter_mode(now);
        if self.mode < Version::Three {
            self.schedule_each(now, group, within);
        } else if let Some(group) = group {
            self.schedule_group(now, group, sources, within);
        } else {
            let due = now + self.random(within);
            if self.general.is_none_or(|general| due < general) {
                self.general = Some(due);
                self.wake(due);
            }
        }
    }

    /// RFC 3376 §5.2, rules 1 and 3 to 5.
    fn schedule_group(&mut self, now: Time, group: IpAddr, sources: Vec<IpAddr>, within: Duration) {
        let mut due = now + self.random(within);
        if self.general.is_some_and(|general| general <= due) {
            return;
        }
        let Some(entry) = self.groups.get_mut(&group).filter(|group| group.is_member) else { return };
        let mut asked = sources;
        if let Some(waiting) = entry.response.take() {
            due = due.min(waiting.due);
            if waiting.sources.is_empty() {
                asked.clear();
            } else if !asked.is_empty() {
                asked.extend(waiting.sources);
                asked.sort_unstable();
                asked.dedup();
            }
        }
        if asked.len() > MOST_SOURCES {
            asked.clear();
        }
        entry.response = Some(Response { due, sources: asked });
        self.wake(due);
    }

    /// RFC 2236 §3, RFC 2710 §4: each group has a timer of its own.
    fn schedule_each(&mut self, now: Time, asked: Option<IpAddr>, within: Duration) {
        let concerned: Vec<IpAddr> = match asked {
            Some(group) => vec![group],
            None => self.groups.keys().copied().collect(),
        };
        for address in concerned {
            let due = now + self.random(within);
            let Some(group) = self.groups.get_mut(&address).filter(|group| group.is_member) else { continue };
            if group.response.as_ref().is_none_or(|waiting| waiting.due > now + within) {
                group.response = Some(Response { due, sources: Vec::new() });
                self.wake(due);
            }
        }
    }

    /// What is to be sent now.
    pub(super) fn poll(&mut self, now: Time) -> Vec<Message> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.enter_mode(now);
        let messages = if self.mode == Version::Three { self.records(now) } else { self.old_messages(now) };
        self.groups.retain(|_, group| group.is_member || group.change.is_some());
        let timers = self.groups.values().flat_map(|group| {
            [group.change.map(|change| change.due), group.response.as_ref().map(|waiting| waiting.due)]
        });
        self.next = timers.chain([self.general]).flatten().min();
        messages
    }

    fn records(&mut self, now: Time) -> Vec<Message> {
        let mut records = Vec::new();
        let is_general_due = self.general.is_some_and(|due| due <= now);
        if is_general_due {
            self.general = None;
        }
        for (&address, group) in &mut self.groups {
            let mut record = |kind, sources| records.push(Record { kind, group: address, sources });
            match group.response.take_if(|waiting| is_general_due || waiting.due <= now) {
                _ if is_general_due && group.is_member => record(Kind::IsExclude, Vec::new()),
                Some(Response { sources, .. }) if sources.is_empty() => record(Kind::IsExclude, sources),
                // We want all sources, so also each of those.
                Some(Response { sources, .. }) => record(Kind::IsInclude, sources),
                None => {}
            }
            if due_change(&mut group.change, now, UNSOLICITED, &mut self.rng) {
                record(if group.is_member { Kind::ToExclude } else { Kind::ToInclude }, Vec::new());
            }
        }
        if records.is_empty() { Vec::new() } else { vec![Message::Records(records)] }
    }

    fn old_messages(&mut self, now: Time) -> Vec<Message> {
        let mut messages = Vec::new();
        for (&address, group) in &mut self.groups {
            if !group.is_member {
                group.change = None;
                if self.mode == Version::Two && group.is_last_reporter {
                    messages.push(Message::Leave(address));
                }
                continue;
            }
            let is_asked = group.response.take_if(|waiting| waiting.due <= now).is_some();
            if due_change(&mut group.change, now, UNSOLICITED_OLD, &mut self.rng) || is_asked {
                group.is_last_reporter = true;
                messages.push(Message::Report(self.mode, address));
            }
        }
        messages
    }

    /// Speaks as the oldest querier does that was heard not long ago. With the version all timers stop, but for
    /// changes that nobody has been told about at all (RFC 3376 §7.2.1, RFC 3810 §8.2.1).
    fn enter_mode(&mut self, now: Time) {
        let is_there = |until: Option<Time>| until.is_some_and(|until| until > now);
        let mode = match self.older {
            [one, _] if is_there(one) => Version::One,
            [_, two] if is_there(two) => Version::Two,
            _ => Version::Three,
        };
        if mode == self.mode {
            return;
        }
        self.mode = mode;
        self.general = None;
        for group in self.groups.values_mut() {
            group.response = None;
            group.change = group.change.filter(|change| !change.is_told);
        }
        self.groups.retain(|_, group| group.is_member || group.change.is_some());
    }

    fn wake(&mut self, at: Time) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn random(&mut self, within: Duration) -> Duration {
        random(within, &mut self.rng)
    }
}

/// Whether the change is to be told now; if so, the next time is set.
fn due_change(change: &mut Option<Change>, now: Time, interval: Duration, rng: &mut StdRng) -> bool {
    let Some(due) = change.as_mut().filter(|change| change.due <= now) else { return false };
    due.left = due.left.saturating_sub(1);
    due.is_told = true;
    due.due = now + random(interval, rng);
    if due.left == 0 {
        *change = None;
    }
    true
}

fn random(within: Duration, rng: &mut StdRng) -> Duration {
    let micros = u64::try_from(within.as_micros()).unwrap_or(u64::MAX).max(1);
    Duration::from_micros(rng.next_u64() % micros)
}
