//! The neighbour cache: which Ethernet address a neighbour has, how far we trust that, and the packets that
//! wait for it. One machine for ARP and NDP; it makes no frames, it says what to ask and what to send.
//!
//! The states are those of RFC 4861 §7.3.2:
//!
//! ```text
//!             packet            answer              30 s, lazily
//!  (nothing) ────────► INCOMPLETE ────► REACHABLE ─────────────► STALE ◄─── heard of, address changed
//!                     │ 3 × 1 s              ▲                     │ packet
//!                     ▼                      │ answer              ▼
//!                   FAILED ── 1 s, lazily    └──── PROBE ◄─5 s── DELAY
//!                                                 │ 3 × 1 s
//!                                                 ▼ (nothing)
//! ```
//!
//! REACHABLE ends without a timer: the next packet looks at the clock. So a stack that sends nothing has
//! nothing to wait for. FAILED is ours: for one second after a neighbour did not answer, packets for it are
//! refused at once, so that a program that sends in a loop to a host that is off makes three requests in
//! four seconds and not one for each packet.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher13;

use super::Notice;
use crate::config::{Limits, Mac};
use crate::observe::{Fate, Neighbour, Rule, Time};

/// REACHABLE_TIME of RFC 4861 §10.
const REACHABLE: Duration = Duration::from_secs(30);
/// DELAY_FIRST_PROBE_TIME.
const DELAY: Duration = Duration::from_secs(5);
/// RETRANS_TIMER.
const RETRY: Duration = Duration::from_secs(1);
/// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT.
const ATTEMPTS: u8 = 3;
/// How long a neighbour that did not answer is not asked again.
const HOLD_OFF: Duration = Duration::from_secs(1);

/// Addresses come from the link, so the hash that spreads them has secret keys.
#[derive(Debug)]
struct Keys([u64; 2]);

impl BuildHasher for Keys {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

/// A packet that waits for its neighbour's Ethernet address.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) fate: Fate,
    pub(super) packet: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `asked` requests to everybody, no answer yet.
    Incomplete {
        asked: u8,
    },
    Reachable {
        mac: Mac,
        until: Time,
    },
    Stale {
        mac: Mac,
    },
    Delay {
        mac: Mac,
    },
    /// `asked` requests to the neighbour alone, no answer yet.
    Probe {
        mac: Mac,
        asked: u8,
    },
    Failed {
        until: Time,
    },
}

impl State {
    const fn mac(self) -> Option<Mac> {
        match self {
            State::Reachable { mac, .. } | State::Stale { mac } | State::Delay { mac } | State::Probe { mac, .. } => {
                Some(mac)
            }
            State::Incomplete { .. } | State::Failed { .. } => None,
        }
    }

    /// Whether a request of ours is under way, or its answer is merely late.
    const fn asked(self) -> bool {
        matches!(self, State::Incomplete { .. } | State::Probe { .. } | State::Failed { .. })
    }
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// The entry's place in `Table::timers`.
    due: Option<Time>,
    /// When we last sent something to it; `None` if it only ever talked to us.
    used: Option<Time>,
    /// What the last notice said of it.
    told: Option<Mac>,
    /// The own address from which we ask for it.
    source: IpAddr,
    waiting: Vec<Waiting>,
}

/// What to do with a packet for a neighbour.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Send it there.
    Known(Mac),
    /// Its address has been asked for; [`Table::wait`] has room.
    Asked,
    /// Nothing is known; [`Table::ask`] can begin.
    Unknown,
}

/// What a timer demands.
#[derive(Debug)]
pub(super) enum Due {
    /// Ask `address` from `source`: everybody, or the one who had it (`to`).
    Ask { address: IpAddr, source: IpAddr, to: Option<Mac> },
    /// It did not answer; these packets were never sent.
    Failed { address: IpAddr, waiting: Vec<Waiting> },
}

/// The cache.
#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<IpAddr, Entry, Keys>,
    /// What waits for a moment, the earliest first.
    timers: BTreeSet<(Time, IpAddr)>,
    limit: usize,
    waiting_limit: usize,
    /// The bytes of all packets that wait, and how many there may be.
    waiting_bytes: usize,
    bytes_limit: usize,
    /// REACHABLE and RETRY for IPv6, where a router says otherwise.
    times6: (Duration, Duration),
}

impl Table {
    pub(super) fn new(limits: &Limits, keys: [u64; 2]) -> Table {
        Table {
            entries: HashMap::with_hasher(Keys(keys)),
            timers: BTreeSet::new(),
            limit: limits.neighbours,
            waiting_limit: limits.packets_per_neighbour,
            waiting_bytes: 0,
            bytes_limit: limits.neighbour_queue_bytes,
            times6: (REACHABLE, RETRY),
        }
    }

    /// A router says how long answers of IPv6 neighbours are good for, and how long to wait for one. A router that
    /// says nonsense can make us ask rarely or often, within these bounds.
    pub(super) fn set_times(&mut self, reachable: Option<Duration>, retry: Option<Duration>) {
        let (known_reachable, known_retry) = self.times6;
        self.times6 = (
            reachable.map_or(known_reachable, |span| span.clamp(RETRY, Duration::from_secs(3600))),
            retry.map_or(known_retry, |span| span.clamp(RETRY / 10, RETRY * 10)),
        );
    }

    /// How long an answer is good for, and how long to wait for one.
    fn times(&self, address: IpAddr) -> (Duration, Duration) {
        if address.is_ipv6() { self.times6 } else { (REACHABLE, RETRY) }
    }

    /// Bytes of packets that wait for link addresses.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// How many neighbours there are, in any state.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.timers.first().map(|&(due, _)| due)
    }

    /// Where a packet for this neighbour goes. A use: what was REACHABLE long ago becomes STALE, what is STALE
    /// begins its DELAY.
    pub(super) fn route(&mut self, now: Time, address: IpAddr) -> Result<Route, Rule> {
        let Some(entry) = self.entries.get_mut(&address) else {
            let has_room = self.waiting_limit > 0 && self.waiting_bytes < self.bytes_limit;
            return if has_room { Ok(Route::Unknown) } else { Err(Rule::NeighbourQueueFull) };
        };
        entry.used = Some(now);
        match entry.state {
            State::Reachable { mac, until } if now < until => Ok(Route::Known(mac)),
            State::Delay { mac } | State::Probe { mac, .. } => Ok(Route::Known(mac)),
            State::Reachable { mac, .. } | State::Stale { mac } => {
                entry.state = State::Delay { mac };
                set_timer(&mut self.timers, address, entry, Some(now + DELAY));
                Ok(Route::Known(mac))
            }
            State::Incomplete { .. }
                if entry.waiting.len() < self.waiting_limit && self.waiting_bytes < self.bytes_limit =>
            {
                Ok(Route::Asked)
            }
            State::Incomplete { .. } => Err(Rule::NeighbourQueueFull),
            State::Failed { until } if now < until => Err(Rule::NeighbourFailed),
            State::Failed { .. } => Ok(Route::Unknown),
        }
    }

    /// The Ethernet address of this neighbour, if any is known. Not a use.
    pub(super) fn mac(&self, address: IpAddr) -> Option<Mac> {
        self.entries.get(&address)?.state.mac()
    }

    /// One more packet waits. Only after [`Route::Asked`] or [`Table::ask`].
    pub(super) fn wait(&mut self, address: IpAddr, waiting: Waiting) {
        if let Some(entry) = self.entries.get_mut(&address) {
            self.waiting_bytes += waiting.packet.len();
            entry.waiting.push(waiting);
        }
    }

    /// The first request for this neighbour goes out now, from `source`; makes room for it if need be.
    pub(super) fn ask(
        &mut self,
        now: Time,
        address: IpAddr,
        source: IpAddr,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Rule> {
        if !self.entries.contains_key(&address) && !self.make_room(now, true) {
            return Err(Rule::NeighbourTableFull);
        }
        let (_, retry) = self.times(address);
        let state = State::Incomplete { asked: 1 };
        let mut entry = Entry { state, due: None, used: Some(now), told: None, source, waiting: Vec::new() };
        set_timer(&mut self.timers, address, &mut entry, Some(now + retry));
        self.entries.insert(address, entry);
        notices.push(Notice::Neighbour { address, state: Neighbour::Incomplete });
        Ok(())
    }

    /// A neighbour said in passing, in a request or an announcement, that it has `mac` (RFC 826's merge,
    /// RFC 4861 §7.2.3). That does not show that it hears us: the entry becomes STALE where this is new.
    /// `create`: it asked for this own address of ours, so an answer is due and an entry is worth its room.
    ///
    /// Gives whether anything changed, and the packets that can go now.
    pub(super) fn heard(
        &mut self,
        now: Time,
        address: IpAddr,
        mac: Mac,
        create: Option<IpAddr>,
        notices: &mut Vec<Notice>,
    ) -> (bool, Vec<Waiting>) {
        if let Some(entry) = self.entries.get_mut(&address) {
            if entry.state.mac() == Some(mac) {
                return (false, Vec::new());
            }
            let released = stale(&mut self.timers, now, address, entry, mac, notices);
            return (true, self.release(released));
        }
        // An entry that only somebody else's talk would fill may not push out one that we use: it is an
        // optimisation, and a station could talk under a thousand names.
        if let Some(source) = create
            && self.make_room(now, false)
        {
            let state = State::Stale { mac };
            let entry = Entry { state, due: None, used: None, told: None, source, waiting: Vec::new() };
            self.entries.insert(address, entry);
            return (true, Vec::new());
        }
        (false, Vec::new())
    }

    /// A neighbour answered (RFC 4861 §7.2.5); an ARP reply counts as a solicited, overriding answer. `Err`: it
    /// was never asked for, or has not said what it should. Otherwise the packets that can go now.
    ///
    /// More careful than the RFC in one point: "solicited" is believed only while a request of ours is under
    /// way. Otherwise it counts as unsolicited, and a new address has to prove itself by a probe.
    pub(super) fn answered(
        &mut self,
        now: Time,
        address: IpAddr,
        answer: Answer,
        notices: &mut Vec<Notice>,
    ) -> Result<Vec<Waiting>, Answered> {
        let until = now + self.times(address).0;
        let entry = self.entries.get_mut(&address).ok_or(Answered::Unasked)?;
        let solicited = answer.solicited && entry.state.asked();
        let Some(known) = entry.state.mac() else {
            let mac = answer.mac.ok_or(Answered::Useless)?;
            let released = if solicited {
                reachable(&mut self.timers, until, address, entry, mac, notices)
            } else {
                stale(&mut self.timers, now, address, entry, mac, notices)
            };
            return Ok(self.release(released));
        };
        let mac = answer.mac.unwrap_or(known);
        if mac != known && !answer.overriding {
            // Somebody else answers too. Doubt what is known, keep it.
            if let State::Reachable { mac, .. } = entry.state {
                entry.state = State::Stale { mac };
            }
            return Err(Answered::Unasked);
        }
        let released = if solicited {
            reachable(&mut self.timers, until, address, entry, mac, notices)
        } else if mac != known {
            stale(&mut self.timers, now, address, entry, mac, notices)
        } else {
            return Err(Answered::Unasked);
        };
        Ok(self.release(released))
    }

    /// These packets wait no longer.
    /// Whether packets wait.
    pub(super) fn has_waiting(&self) -> bool {
        self.waiting_bytes > 0
    }

    fn release(&mut self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        self.waiting_bytes -= waiting.iter().map(|waiting| waiting.packet.len()).sum::<usize>();
        waiting
    }

    /// Whether a request of ours for this neighbour is under way.
    pub(super) fn asked(&self, address: IpAddr) -> bool {
        self.entries.get(&address).is_some_and(|entry| entry.state.asked())
    }

    /// What the next timer that has run out demands. To be called until `None`.
    pub(super) fn due(&mut self, now: Time, notices: &mut Vec<Notice>) -> Option<Due> {
        loop {
            let &(due, address) = self.timers.first().filter(|(due, _)| *due <= now)?;
            self.timers.remove(&(due, address));
            let (_, retry) = self.times(address);
            let Some(entry) = self.entries.get_mut(&address) else { continue };
            entry.due = None;
            let (state, to) = match entry.state {
                State::Incomplete { asked } if asked < ATTEMPTS => (State::Incomplete { asked: asked + 1 }, None),
                State::Delay { mac } => (State::Probe { mac, asked: 1 }, Some(mac)),
                State::Probe { mac, asked } if asked < ATTEMPTS => (State::Probe { mac, asked: asked + 1 }, Some(mac)),
                State::Incomplete { .. } => {
                    entry.state = State::Failed { until: now + HOLD_OFF };
                    entry.told = None;
                    let waiting = std::mem::take(&mut entry.waiting);
                    notices.push(Notice::Neighbour { address, state: Neighbour::Failed });
                    return Some(Due::Failed { address, waiting: self.release(waiting) });
                }
                State::Probe { .. } => {
                    // The next packet asks everybody (RFC 4861 §7.3.3): the address may have moved.
                    self.entries.remove(&address);
                    notices.push(Notice::Neighbour { address, state: Neighbour::Failed });
                    return Some(Due::Failed { address, waiting: Vec::new() });
                }
                State::Reachable { .. } | State::Stale { .. } | State::Failed { .. } => continue,
            };
            entry.state = state;
            let source = entry.source;
            set_timer(&mut self.timers, address, entry, Some(now + retry));
            return Some(Due::Ask { address, source, to });
        }
    }

    /// Whether one more entry fits, after the least valuable one was forgotten if need be: first what failed,
    /// then what we never sent to, then, if `used` entries may go as well, what we sent to longest ago. What
    /// waits for an answer stays. Looks at every entry, but only when a full table meets a new neighbour.
    fn make_room(&mut self, now: Time, used: bool) -> bool {
        if self.entries.len() < self.limit {
            return true;
        }
        let value = |entry: &Entry| match entry.state {
            State::Failed { until } if until <= now => Some((0, entry.used)),
            State::Reachable { .. } | State::Stale { .. } if entry.used.is_none() => Some((1, entry.used)),
            State::Reachable { .. } | State::Stale { .. } if used => Some((2, entry.used)),
            _ => None,
        };
        let least = self.entries.iter().filter_map(|(&address, entry)| Some((value(entry)?, address))).min();
        let Some((_, address)) = least else { return false };
        self.entries.remove(&address);
        true
    }
}

/// What a neighbour's answer says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) mac: Option<Mac>,
    pub(super) solicited: bool,
    pub(super) overriding: bool,
}

/// Why an answer was of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nobody asked, and it changes nothing.
    Unasked,
    /// We asked for an Ethernet address, and it has none.
    Useless,
}

fn reachable(
    timers: &mut BTreeSet<(Time, IpAddr)>,
    until: Time,
    address: IpAddr,
    entry: &mut Entry,
    mac: Mac,
    notices: &mut Vec<Notice>,
) -> Vec<Waiting> {
    entry.state = State::Reachable { mac, until };
    set_timer(timers, address, entry, None);
    tell(address, entry, mac, notices);
    std::mem::take(&mut entry.waiting)
}

/// The entry becomes STALE; if packets waited, sending them is its first use, so it goes on to DELAY.
fn stale(
    timers: &mut BTreeSet<(Time, IpAddr)>,
    now: Time,
    address: IpAddr,
    entry: &mut Entry,
    mac: Mac,
    notices: &mut Vec<Notice>,
) -> Vec<Waiting> {
    let waiting = std::mem::take(&mut entry.waiting);
    if waiting.is_empty() {
        entry.state = State::Stale { mac };
        set_timer(timers, address, entry, None);
    } else {
        entry.state = State::Delay { mac };
        set_timer(timers, address, entry, Some(now + DELAY));
    }
    tell(address, entry, mac, notices);
    waiting
}

fn tell(address: IpAddr, entry: &mut Entry, mac: Mac, notices: &mut Vec<Notice>) {
    if entry.told != Some(mac) {
        entry.told = Some(mac);
        notices.push(Notice::Neighbour { address, state: Neighbour::Reachable { mac } });
    }
}

fn set_timer(timers: &mut BTreeSet<(Time, IpAddr)>, address: IpAddr, entry: &mut Entry, due: Option<Time>) {
    if let Some(old) = entry.due.take() {
        timers.remove(&(old, address));
    }
    if let Some(due) = due {
        timers.insert((due, address));
    }
    entry.due = due;
}
