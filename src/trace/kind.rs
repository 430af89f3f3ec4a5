//! Lines that are like each other, for the log's limit.

use std::cmp::Ordering;
use std::fmt;

use log::Level;

use super::life::Life;
use super::{CALL, SEGMENT};
use crate::observe::{CallKind, Event, TcpState};

/// What a line in the log tells of, where that is no packet and no segment: lines of one kind have a share of each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) target: &'static str,
    pub(super) level: Level,
    /// Many of them.
    words: &'static str,
    /// A change of state, by itself: a flood of SYNs must not hide what becomes of others.
    states: Option<(TcpState, TcpState)>,
}

impl Kind {
    /// The kind of an event; `None` for packets and segments, whose kinds are their rules.
    pub(super) fn of(event: &Event<'_>) -> Option<Kind> {
        let words = words(event)?;
        let (target, level) = match event {
            Event::Timer { .. } => (SEGMENT, Level::Debug),
            event => Life::of(event).map_or((CALL, Level::Debug), |life| (life.target(), life.level())),
        };
        let states = match event {
            Event::State { from, to, .. } => Some((*from, *to)),
            _ => None,
        };
        Some(Kind { target, level, words, states })
    }

    fn key(&self) -> (&'static str, Level, Option<(u8, u8)>) {
        (self.words, self.level, self.states.map(|(from, to)| (from as u8, to as u8)))
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Kind) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Kind) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.states {
            Some((from, to)) => write!(f, "{from} ⇒ {to}"),
            None => f.write_str(self.words),
        }
    }
}

fn words(event: &Event<'_>) -> Option<&'static str> {
    Some(match event {
        Event::Frame { .. } | Event::Loopback { .. } | Event::Datagram { .. } | Event::Segment { .. } => return None,
        Event::Call { call, .. } => match call {
            CallKind::Socket => "calls of socket",
            CallKind::Bind { .. } | CallKind::UnixBind { .. } => "calls of bind",
            CallKind::Listen { .. } => "calls of listen",
            CallKind::Connect { .. } | CallKind::UnixConnect { .. } => "calls of connect",
            CallKind::Accept => "calls of accept",
            CallKind::Read { .. } => "calls of read",
            CallKind::ReadEnd => "ends read",
            CallKind::Write { .. } => "calls of write",
            CallKind::ShutdownRead | CallKind::ShutdownWrite => "calls of shutdown",
            CallKind::Close => "calls of close",
            CallKind::Option { .. } => "options",
        },
        Event::Return { error: None, .. } => "calls that return",
        Event::Return { error: Some(_), .. } => "calls that fail",
        Event::State { .. } => "changes of state",
        Event::Delivered { .. } => "deliveries",
        Event::Timer { .. } => "timers",
        Event::Address { .. } => "changes of addresses",
        Event::Router { .. } => "changes of routers",
        Event::Lease { .. } => "changes of leases",
        Event::Neighbour { .. } => "changes of neighbours",
        Event::Opened { .. } => "sockets opened",
        Event::Bound { backlog: Some(_), .. } | Event::UnixBound { backlog: Some(_), .. } => "sockets that listen",
        Event::Bound { .. } | Event::UnixBound { .. } => "sockets bound",
        Event::Accepted { .. } | Event::UnixAccepted { .. } => "connections accepted",
        Event::Connected { .. } => "connections made",
        Event::Joined { .. } => "connections joined",
        Event::Closed { .. } => "sockets closed",
        Event::Device { .. } => "errors of the device",
    })
}
