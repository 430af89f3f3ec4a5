//! Putting fragments together (RFC 791 §3.2, RFC 8200 §4.5, RFC 5722).
//!
//! Incomplete datagrams cost memory that any stranger can make us spend, so there is a bound on all of it and on the
//! share of one source. An honest datagram is complete a moment after its first fragment, so the oldest one is the one
//! that will hardly ever be whole: at the share of a source its own oldest makes room, at the bound on everything the
//! oldest of all. A newcomer is never refused for what is there, and one source never costs another its place.
//!
//! - [`Reassembly`]: the table, its bounds and its clock.
//! - `partial`: what has come of one datagram, and what is done when fragments overlap.

mod partial;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use self::partial::{Added, Partial};
use crate::config::Limits;
use crate::observe::{Cast, Rule, Time};

/// How long the fragments of one datagram are kept, from the first that came: as Linux does.
const LIFETIME_4: Duration = Duration::from_secs(30);
/// RFC 8200 §4.5.
const LIFETIME_6: Duration = Duration::from_secs(60);

/// What an incomplete datagram costs besides its pieces: its places in all tables.
const PARTIAL_COST: usize = 768;

/// Which datagram a fragment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// 0 for IPv6, where the first fragment alone says it.
    pub(super) protocol: u8,
    pub(super) identification: u32,
}

/// A part of a datagram, its own header checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment<'p> {
    pub(super) key: Key,
    /// Where `data` belongs, in bytes.
    pub(super) offset: usize,
    /// Whether it is not the last.
    pub(super) more: bool,
    pub(super) data: &'p [u8],
    /// As it came.
    pub(super) packet: &'p [u8],
    /// The bytes of `packet` that every fragment has in common: the header without the fragment header.
    pub(super) head: usize,
    /// For IPv6, where in the head it says that a fragment header follows.
    pub(super) next_field: usize,
    pub(super) cast: Cast,
}

/// A datagram whose last missing fragment has come; [`Ip::receive_whole`](super::Ip::receive_whole) takes it from here.
#[derive(Debug)]
pub struct Whole {
    /// As if it had never been cut.
    pub(super) bytes: Vec<u8>,
    /// The first fragment, as far as an error would quote it.
    pub(super) original: Vec<u8>,
    pub(super) cast: Cast,
}

/// What a fragment led to.
#[derive(Debug)]
pub(super) enum Progress {
    /// More must come.
    Waits,
    /// It was the last that was missing.
    Whole(Whole),
}

/// A datagram that was given up because its time had run out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) key: Key,
    /// The first fragment, if it had come.
    pub(super) original: Option<Vec<u8>>,
    pub(super) cast: Cast,
}

/// All incomplete datagrams.
#[derive(Debug)]
pub(super) struct Reassembly {
    partials: BTreeMap<Key, Partial>,
    /// By age: numbers are given in the order of arrival.
    ages: BTreeMap<u64, Key>,
    deadlines: BTreeSet<(Time, u64)>,
    sources: BTreeMap<IpAddr, Source>,
    bytes: usize,
    limit: usize,
    share: usize,
    next_number: u64,
    /// Why datagrams were given up; taken after each call.
    dropped: Vec<Rule>,
}

/// What one source's datagrams cost.
#[derive(Debug, Default)]
struct Source {
    bytes: usize,
    ages: BTreeSet<u64>,
}

impl Reassembly {
    pub(super) fn new(limits: &Limits) -> Reassembly {
        Reassembly {
            partials: BTreeMap::new(),
            ages: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            sources: BTreeMap::new(),
            bytes: 0,
            limit: limits.reassembly_bytes,
            share: limits.reassembly_bytes_per_source.min(limits.reassembly_bytes),
            next_number: 0,
            dropped: Vec::new(),
        }
    }

    /// What is kept costs so many bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a fragment. The error is the rule by which it was dropped, alone or with its whole datagram.
    pub(super) fn receive(&mut self, now: Time, fragment: &Fragment<'_>) -> Result<Progress, Rule> {
        let is_v4 = fragment.key.source.is_ipv4();
        let known = self.partials.get(&fragment.key);
        let cost = known.map_or(PARTIAL_COST, |_| 0) + Partial::cost_of(fragment);
        self.make_room(fragment.key, cost)?;
        let partial = match self.partials.get_mut(&fragment.key) {
            Some(partial) => partial,
            None => self.begin(now, fragment),
        };
        let before = partial.cost();
        let added = partial.add(fragment);
        let after = partial.cost();
        self.charge(fragment.key.source, before, after);
        match added {
            Added::Waits => self.make_room(fragment.key, 0).map(|()| Progress::Waits),
            Added::Duplicate if is_v4 => Err(Rule::Ip4FragmentDuplicate),
            Added::Duplicate => Err(Rule::Ip6FragmentDuplicate),
            Added::Conflict if is_v4 => {
                self.remove(fragment.key);
                Err(Rule::Ip4FragmentConflict)
            }
            // What is left of it stays until its time is over: its other fragments must go too (RFC 5722 §4).
            Added::Conflict => Err(Rule::Ip6FragmentOverlap),
            Added::Complete => {
                let partial = self.remove(fragment.key).ok_or(Rule::IpReassemblyFull)?;
                let too_large = if is_v4 { Rule::Ip4FragmentTooLarge } else { Rule::Ip6FragmentTooLarge };
                partial.into_whole(is_v4).map(Progress::Whole).ok_or(too_large)
            }
        }
    }

    fn begin(&mut self, now: Time, fragment: &Fragment<'_>) -> &mut Partial {
        let key = fragment.key;
        let number = self.next_number;
        self.next_number += 1;
        let deadline = now + if key.source.is_ipv4() { LIFETIME_4 } else { LIFETIME_6 };
        self.ages.insert(number, key);
        self.deadlines.insert((deadline, number));
        self.sources.entry(key.source).or_default().ages.insert(number);
        self.charge(key.source, 0, PARTIAL_COST);
        self.partials.entry(key).or_insert(Partial::new(number, deadline, fragment.cast))
    }

    fn charge(&mut self, source: IpAddr, before: usize, after: usize) {
        self.bytes = self.bytes + after - before;
        if let Some(source) = self.sources.get_mut(&source) {
            source.bytes = source.bytes + after - before;
        }
    }

    /// Gives up the oldest datagrams until `cost` more is allowed for `key`; but not `key`'s own, which goes only if it
    /// alone is too much.
    fn make_room(&mut self, key: Key, cost: usize) -> Result<(), Rule> {
        while let Some(source) = self.sources.get(&key.source)
            && source.bytes + cost > self.share
        {
            let oldest = source.ages.iter().filter_map(|number| self.ages.get(number)).find(|&&other| other != key);
            self.give_up(oldest.copied(), key, Rule::IpReassemblyShare)?;
        }
        while self.bytes + cost > self.limit {
            let oldest = self.ages.values().find(|&&other| other != key);
            self.give_up(oldest.copied(), key, Rule::IpReassemblyFull)?;
        }
        if cost > self.share { Err(Rule::IpReassemblyShare) } else { Ok(()) }
    }

    fn give_up(&mut self, oldest: Option<Key>, newest: Key, rule: Rule) -> Result<(), Rule> {
        match oldest {
            Some(oldest) => {
                self.remove(oldest);
                self.dropped.push(rule);
                Ok(())
            }
            None => {
                self.remove(newest);
                Err(rule)
            }
        }
    }

    fn remove(&mut self, key: Key) -> Option<Partial> {
        let partial = self.partials.remove(&key)?;
        self.ages.remove(&partial.number);
        self.deadlines.remove(&(partial.deadline, partial.number));
        self.charge(key.source, PARTIAL_COST + partial.cost(), 0);
        if let Some(source) = self.sources.get_mut(&key.source) {
            source.ages.remove(&partial.number);
            if source.ages.is_empty() {
                self.sources.remove(&key.source);
            }
        }
        Some(partial)
    }

    /// When the next datagram is given up.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Gives up one datagram whose time has run out.
    pub(super) fn expire(&mut self, now: Time) -> Option<Expired> {
        let &(deadline, number) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        let key = *self.ages.get(&number)?;
        let partial = self.remove(key)?;
        Some(Expired { key, cast: partial.cast(), original: partial.into_original() })
    }

    /// Why a datagram was given up that no frame at hand belongs to.
    pub(super) fn next_dropped(&mut self) -> Option<Rule> {
        self.dropped.pop()
    }
}
