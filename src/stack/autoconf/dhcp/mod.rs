//! A DHCP client (RFC 2131 §4.4), without INIT-REBOOT: nothing is remembered between two runs.
//!
//! ```text
//!        ┌──────────── NAK, no answer ─────────────┐
//!        ▼                                         │
//!  INIT ────► SELECTING ── offer ──► REQUESTING ───┤
//!   ▲ ▲                                  │ ack     │
//!   │ └── taken: decline, 10 s ──── CHECKING       │
//!   │                                    │ free    │
//!   │                                    ▼         │
//!   │      ┌────────── ack ─────────── BOUND       │
//!   │      │                             │ T1      │
//!   │      ├────────── ack ────────── RENEWING ────┤
//!   │      │                             │ T2      │
//!   │      └────────── ack ───────── REBINDING ────┘
//!   └───────────────── expired ──────────┘
//! ```
//!
//! The first DISCOVER is not delayed at random (§4.4.1): a TAP has one station behind it. The machine is pure: what is
//! to be done is a list of [`Action`]s.

mod message;

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use smoltcp::wire::DhcpMessageType as Kind;

pub(in crate::stack) use message::carried;
use message::{Answer, Question};

use crate::config::{Cidr, Mac};
use crate::observe::{self, Rule, Time};

/// RFC 2131 §4.1: 4 s, doubled up to 64 s, each time a second more or less.
const FIRST_WAIT: Duration = Duration::from_secs(4);
const LAST_DOUBLING: u32 = 4;
/// Requests for an offer before it is given up.
const REQUESTS: u32 = 4;
/// Questions without an answer after which nobody seems to be there.
const PATIENCE: u32 = 2;
/// RFC 2131 §3.1 (5): after a decline.
const AFTER_DECLINE: Duration = Duration::from_secs(10);
/// RFC 5227 §2.1.1: after so many addresses that somebody had, each further one only after a minute.
const MANY_DECLINES: u32 = 10;
const AFTER_MANY_DECLINES: Duration = Duration::from_secs(60);
/// After a refusal, so that a server that refuses everything is not asked in a loop.
const AFTER_NAK: Duration = Duration::from_secs(1);
/// RFC 2131 §4.4.5: the least time between two requests for an extension.
const LEAST_WAIT: Duration = Duration::from_secs(60);
/// A shorter lease is nonsense, and would keep us asking.
const SHORTEST_LEASE: u32 = 10;

/// What a server gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stack) struct Lease {
    pub(in crate::stack) cidr: Cidr,
    pub(in crate::stack) address: Ipv4Addr,
    pub(in crate::stack) server: Ipv4Addr,
    pub(in crate::stack) router: Option<Ipv4Addr>,
    pub(in crate::stack) duration: Option<Duration>,
    /// T1, T2 and the end; `None`: it lasts for ever.
    ends: Option<Ends>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ends {
    renewal: Time,
    rebinding: Time,
    expiry: Time,
}

impl Lease {
    /// From an ACK to a request that was sent at `asked`: that is when the lease begins (RFC 2131 §4.4.1).
    fn new(answer: &Answer, server: Ipv4Addr, asked: Time) -> Result<Lease, Rule> {
        let cidr = answer.cidr().ok_or(Rule::DhcpUnusable)?;
        let seconds = answer.lease.filter(|&seconds| seconds >= SHORTEST_LEASE).ok_or(Rule::DhcpUnusable)?;
        let span = |seconds: u32| Duration::from_secs(seconds.into());
        let duration = (seconds != u32::MAX).then(|| span(seconds));
        let ends = duration.map(|duration| {
            // §4.4.5: 0.5 and 0.875 of the lease, unless the server says better.
            let rebinding = answer.rebinding.map(span).filter(|&at| at < duration).unwrap_or(duration * 7 / 8);
            let renewal =
                answer.renewal.map(span).filter(|&at| at < rebinding).unwrap_or((duration / 2).min(rebinding));
            Ends { renewal: asked + renewal, rebinding: asked + rebinding, expiry: asked + duration }
        });
        let router = answer.router.filter(|&router| cidr.contains(router.into()) && router != answer.address);
        Ok(Lease { cidr, address: answer.address, server, router, duration, ends })
    }
}

/// Something for the stack to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::stack) enum Action {
    /// Send this packet towards this address: a broadcast, or the server.
    Send { packet: Vec<u8>, to: Ipv4Addr, rule: Rule },
    /// Ask the link about the address, and tell us what came of it.
    Check(Lease),
    /// The address is ours; its router is to be used.
    Use(Lease),
    /// The lease goes on; its router may be another.
    Extend { old: Lease, new: Lease },
    /// The address is not ours any more.
    Leave { lease: Lease, why: observe::Lease },
}

#[derive(Debug, Clone, Copy)]
enum State {
    Init { at: Time },
    Selecting { again: Time },
    Requesting { address: Ipv4Addr, server: Ipv4Addr, asked: Time, again: Time },
    Checking { lease: Lease },
    Bound { lease: Lease },
    Renewing { lease: Lease, asked: Time, again: Time },
    Rebinding { lease: Lease, asked: Time, again: Time },
}

#[derive(Debug)]
pub(in crate::stack) struct Dhcp {
    mac: Mac,
    state: State,
    xid: u32,
    began: Time,
    /// Questions of this kind so far.
    asked: u32,
    /// Whether somebody has ever answered, or should have by now.
    is_patient: bool,
    /// Addresses in a row that somebody had.
    declined: u32,
}

impl Dhcp {
    /// A client that begins at once.
    pub(in crate::stack) fn new(mac: Mac) -> Dhcp {
        let state = State::Init { at: Time::ZERO };
        Dhcp { mac, state, xid: 0, began: Time::ZERO, asked: 0, is_patient: true, declined: 0 }
    }

    /// Whether an answer of a server is awaited, also one that is sent to an address that is not ours yet.
    pub(in crate::stack) fn is_listening(&self) -> bool {
        !matches!(self.state, State::Init { .. } | State::Checking { .. } | State::Bound { .. })
    }

    /// Whether it has no address yet, and one may come soon.
    pub(in crate::stack) fn is_waiting(&self) -> bool {
        let is_asking = matches!(
            self.state,
            State::Init { .. } | State::Selecting { .. } | State::Requesting { .. } | State::Checking { .. }
        );
        is_asking && self.is_patient
    }

    pub(in crate::stack) fn deadline(&self) -> Option<Time> {
        match self.state {
            State::Init { at } => Some(at),
            State::Selecting { again } | State::Requesting { again, .. } => Some(again),
            State::Checking { .. } => None,
            State::Bound { lease } => lease.ends.map(|ends| ends.renewal),
            State::Renewing { lease, again, .. } => lease.ends.map(|ends| ends.rebinding.min(again)),
            State::Rebinding { lease, again, .. } => lease.ends.map(|ends| ends.expiry.min(again)),
        }
    }

    /// Does what is due. To be called until it says `None`.
    pub(in crate::stack) fn due(&mut self, now: Time, rng: &mut StdRng) -> Option<Action> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        match self.state {
            State::Init { .. } => {
                (self.xid, self.began, self.asked) = (rng.next_u32(), now, 0);
                Some(self.discover(now, rng))
            }
            State::Selecting { .. } => {
                self.is_patient &= self.asked < PATIENCE;
                Some(self.discover(now, rng))
            }
            State::Requesting { .. } if self.asked >= REQUESTS => {
                self.state = State::Init { at: now };
                self.due(now, rng)
            }
            State::Requesting { address, server, .. } => Some(self.request(now, address, server, rng)),
            State::Checking { .. } => None,
            State::Bound { lease } => {
                (self.xid, self.began) = (rng.next_u32(), now);
                self.renew(now, lease)
            }
            State::Renewing { lease, .. } => self.renew(now, lease),
            State::Rebinding { lease, .. } => self.rebind(now, lease),
        }
    }

    fn discover(&mut self, now: Time, rng: &mut StdRng) -> Action {
        self.state = State::Selecting { again: now + self.backoff(rng) };
        self.send(now, Kind::Discover, Rule::DhcpDiscover, |_| {})
    }

    fn request(&mut self, now: Time, address: Ipv4Addr, server: Ipv4Addr, rng: &mut StdRng) -> Action {
        self.state = State::Requesting { address, server, asked: now, again: now + self.backoff(rng) };
        self.send(now, Kind::Request, Rule::DhcpRequest, |question| {
            (question.requested, question.server) = (Some(address), Some(server));
        })
    }

    fn renew(&mut self, now: Time, lease: Lease) -> Option<Action> {
        let ends = lease.ends?;
        if now >= ends.rebinding {
            return self.rebind(now, lease);
        }
        self.state = State::Renewing { lease, asked: now, again: between(now, ends.rebinding) };
        Some(self.send(now, Kind::Request, Rule::DhcpRenew, |question| {
            (question.client, question.source, question.destination) = (lease.address, lease.address, lease.server);
        }))
    }

    fn rebind(&mut self, now: Time, lease: Lease) -> Option<Action> {
        let ends = lease.ends?;
        if now >= ends.expiry {
            self.state = State::Init { at: now };
            return Some(Action::Leave { lease, why: observe::Lease::Expired });
        }
        self.state = State::Rebinding { lease, asked: now, again: between(now, ends.expiry) };
        Some(self.send(now, Kind::Request, Rule::DhcpRebind, |question| {
            (question.client, question.source) = (lease.address, lease.address);
        }))
    }

    /// A DHCP message came, while [`Dhcp::is_listening`]. Gives the rule that says what it was, and what follows.
    ///
    /// # Errors
    ///
    /// Why it was dropped.
    pub(in crate::stack) fn receive(
        &mut self,
        now: Time,
        message: &[u8],
        rng: &mut StdRng,
    ) -> Result<(Rule, Option<Action>), Rule> {
        let answer = Answer::read(message)?;
        if answer.xid != self.xid || answer.mac != self.mac {
            return Err(Rule::DhcpForeign);
        }
        match (self.state, answer.kind) {
            (State::Selecting { .. }, Kind::Offer) => {
                let server = answer.server.filter(|server| !server.is_unspecified()).ok_or(Rule::DhcpUnusable)?;
                // An offer that the later ACK could not make good is not worth a request.
                Lease::new(&answer, server, now)?;
                self.asked = 0;
                Ok((Rule::DhcpOffer, Some(self.request(now, answer.address, server, rng))))
            }
            (State::Requesting { address, server, asked, .. }, Kind::Ack) if answer.server == Some(server) => {
                if answer.address != address {
                    return Err(Rule::DhcpUnusable);
                }
                let lease = Lease::new(&answer, server, asked)?;
                self.state = State::Checking { lease };
                Ok((Rule::DhcpAck, Some(Action::Check(lease))))
            }
            (State::Requesting { server, .. }, Kind::Nak) if answer.server == Some(server) => {
                self.state = State::Init { at: now + AFTER_NAK };
                Ok((Rule::DhcpNak, None))
            }
            (State::Renewing { lease, asked, .. } | State::Rebinding { lease, asked, .. }, Kind::Ack)
                if self.may_extend(&lease, &answer) =>
            {
                if answer.address != lease.address {
                    return Err(Rule::DhcpUnusable);
                }
                let new = Lease::new(&answer, answer.server.unwrap_or(lease.server), asked)?;
                self.state = State::Bound { lease: new };
                Ok((Rule::DhcpAck, Some(Action::Extend { old: lease, new })))
            }
            (State::Renewing { lease, .. } | State::Rebinding { lease, .. }, Kind::Nak)
                if self.may_extend(&lease, &answer) =>
            {
                self.state = State::Init { at: now + AFTER_NAK };
                Ok((Rule::DhcpNak, Some(Action::Leave { lease, why: observe::Lease::Refused })))
            }
            _ => Err(Rule::DhcpUnasked),
        }
    }

    /// The link was asked about the address, and nobody has it.
    pub(in crate::stack) fn checked(&mut self) -> Option<Action> {
        let State::Checking { lease } = self.state else { return None };
        self.state = State::Bound { lease };
        self.declined = 0;
        Some(Action::Use(lease))
    }

    /// Somebody else has the address: the server is told, and we begin again later (RFC 2131 §3.1 (5)).
    pub(in crate::stack) fn taken(&mut self, now: Time, rng: &mut StdRng) -> Option<[Action; 2]> {
        let lease = self.lease()?;
        self.declined = self.declined.saturating_add(1);
        let wait = if self.declined < MANY_DECLINES { AFTER_DECLINE } else { AFTER_MANY_DECLINES };
        self.state = State::Init { at: now + wait };
        self.xid = rng.next_u32();
        let decline = self.send(now, Kind::Decline, Rule::DhcpDecline, |question| {
            (question.requested, question.server) = (Some(lease.address), Some(lease.server));
        });
        Some([decline, Action::Leave { lease, why: observe::Lease::Declined }])
    }

    /// The stack stops: the address is given back (RFC 2131 §4.4.6).
    pub(in crate::stack) fn release(&mut self, now: Time, rng: &mut StdRng) -> Option<Action> {
        let lease = self.lease().filter(|_| !matches!(self.state, State::Checking { .. }))?;
        self.xid = rng.next_u32();
        Some(self.send(now, Kind::Release, Rule::DhcpRelease, |question| {
            (question.client, question.source, question.destination) = (lease.address, lease.address, lease.server);
            question.server = Some(lease.server);
        }))
    }

    fn lease(&self) -> Option<Lease> {
        match self.state {
            State::Checking { lease }
            | State::Bound { lease }
            | State::Renewing { lease, .. }
            | State::Rebinding { lease, .. } => Some(lease),
            State::Init { .. } | State::Selecting { .. } | State::Requesting { .. } => None,
        }
    }

    /// The lease's own server, or, when all are asked, any.
    fn may_extend(&self, lease: &Lease, answer: &Answer) -> bool {
        match self.state {
            State::Rebinding { .. } => answer.server.is_some(),
            _ => answer.server == Some(lease.server),
        }
    }

    fn send(&mut self, now: Time, kind: Kind, rule: Rule, edit: impl FnOnce(&mut Question)) -> Action {
        let mut question = Question {
            kind,
            mac: self.mac,
            xid: self.xid,
            seconds: u16::try_from((now - self.began).as_secs()).unwrap_or(u16::MAX),
            client: Ipv4Addr::UNSPECIFIED,
            requested: None,
            server: None,
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::BROADCAST,
        };
        edit(&mut question);
        Action::Send { packet: question.packet(), to: question.destination, rule }
    }

    /// How long to wait for an answer, longer each time.
    fn backoff(&mut self, rng: &mut StdRng) -> Duration {
        let base = FIRST_WAIT * (1 << self.asked.min(LAST_DOUBLING));
        self.asked = self.asked.saturating_add(1);
        base - Duration::from_secs(1) + Duration::from_millis(u64::from(rng.next_u32() % 2001))
    }
}

/// Half of the time that is left, but not too soon, and not after `end`.
fn between(now: Time, end: Time) -> Time {
    (now + ((end - now) / 2).max(LEAST_WAIT)).min(end)
}
