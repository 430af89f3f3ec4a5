//! Which events a client wants to be told.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::packet;
use crate::observe::{Event, Protocol, Record, Rule, SocketId};

/// Entries of each list of a filter.
const ENTRIES: usize = 64;

/// Sockets that one filter remembers.
const FOLLOWED: usize = 4096;

/// Those among them that are gone.
const GONE: usize = 256;

/// Which events a client wants to be told: those that fit every list that is not empty. A list fits if one of its entries
/// does. Without any, everything is told.
///
/// Events that name no address, such as a change of state, belong to their socket: they are told if the addresses of
/// that socket have fitted before.
///
/// ```
/// use tapsock::control::Filter;
/// let filter: Filter = serde_json::from_str(r#"{"ports":[80],"protocols":["tcp"]}"#)?;
/// assert!(filter.hosts.is_empty() && !filter.drops);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
// A filter that is understood in part shows too much, and nobody would know.
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// An address on either side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<IpAddr>,
    /// A port of TCP or UDP on either side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// What a frame carries, or a socket speaks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<Kind>,
    /// Sockets by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<SocketId>,
    /// Rules by their names, or by how these begin: `tcp.rst` is all that begin with `tcp.rst.`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// Only what was dropped.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drops: bool,
}

impl Filter {
    /// Checks that it is short: the engine looks at every entry for each frame.
    ///
    /// # Errors
    ///
    /// One sentence.
    pub fn validate(&self) -> Result<(), String> {
        let Filter { hosts, ports, protocols, sockets, rules, drops: _ } = self;
        let longest = [hosts.len(), ports.len(), protocols.len(), sockets.len(), rules.len()].into_iter().max();
        match longest {
            Some(longest) if longest > ENTRIES => Err(format!("a list of a filter has at most {ENTRIES} entries")),
            _ => Ok(()),
        }
    }
}

/// What a frame carries, or a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// RFC 826.
    Arp,
    /// ICMP of both families, neighbour discovery and MLD with it.
    Icmp,
    /// RFC 9776.
    Igmp,
    /// RFC 9293.
    Tcp,
    /// RFC 768.
    Udp,
    /// Raw sockets.
    Raw,
    /// Unix sockets of the stack.
    Unix,
}

impl Kind {
    /// All there are, with their names.
    pub const ALL: [(Kind, &'static str); 7] = [
        (Kind::Arp, "arp"),
        (Kind::Icmp, "icmp"),
        (Kind::Igmp, "igmp"),
        (Kind::Tcp, "tcp"),
        (Kind::Udp, "udp"),
        (Kind::Raw, "raw"),
        (Kind::Unix, "unix"),
    ];

    /// By its number in an IP header.
    pub(super) const fn of_number(number: u8) -> Option<Kind> {
        match number {
            1 | 58 => Some(Kind::Icmp),
            2 => Some(Kind::Igmp),
            6 => Some(Kind::Tcp),
            17 => Some(Kind::Udp),
            _ => None,
        }
    }

    const fn of_socket(protocol: Protocol) -> Kind {
        match protocol {
            Protocol::Tcp => Kind::Tcp,
            Protocol::Udp => Kind::Udp,
            Protocol::Icmp => Kind::Icmp,
            Protocol::Raw => Kind::Raw,
            Protocol::Unix => Kind::Unix,
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Kind, UnknownKind> {
        let known = Kind::ALL.into_iter().find(|(_, name)| *name == text);
        known.map(|(kind, _)| kind).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Kind::ALL.into_iter().find(|(kind, _)| kind == self);
        f.pad(known.map_or("", |(_, name)| name))
    }
}

/// A protocol that no filter knows: one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Kind::ALL.map(|(_, name)| name).join(", ");
        write!(f, "there is no protocol '{}'; there are {names}", self.0)
    }
}

impl std::error::Error for UnknownKind {}

/// A filter at work: it remembers which sockets have fitted.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    filter: Filter,
    only_packets: bool,
    followed: HashSet<SocketId>,
    /// Those of them that are gone, the oldest first: their programs are told so by later calls.
    gone: VecDeque<SocketId>,
}

/// What an event is about.
#[derive(Debug, Default)]
struct Subject {
    sockets: [Option<SocketId>; 2],
    ends: [Option<(IpAddr, Option<u16>)>; 2],
    kind: Option<Kind>,
    rule: Option<Rule>,
}

impl Sieve {
    pub(super) fn new(filter: Filter) -> Sieve {
        Sieve { filter, ..Sieve::default() }
    }

    /// Nothing else passes, whatever fits.
    pub(super) fn only_packets(mut self) -> Sieve {
        self.only_packets = true;
        self
    }

    /// Whether it makes a difference which sockets there are.
    pub(super) fn wants_introductions(&self) -> bool {
        !self.filter.hosts.is_empty() || !self.filter.ports.is_empty()
    }

    /// From here on this socket's events are told, if its addresses fit.
    pub(super) fn meet(&mut self, socket: SocketId, ends: [Option<SocketAddr>; 2]) {
        let ends = ends.map(|end| end.map(|end| (end.ip(), Some(end.port()))));
        if self.fits_addresses(&ends) {
            self.follow(socket);
        }
    }

    /// Whether it is to be told.
    pub(super) fn passes(&mut self, record: &Record<'_>) -> bool {
        // A packet has its addresses with it: nothing must be known of its socket.
        if self.only_packets && !matches!(record.event, Event::Frame { .. } | Event::Loopback { .. }) {
            return false;
        }
        if self.filter == Filter::default() {
            return true;
        }
        let subject = Subject::of(&record.event);
        let Filter { hosts, ports, protocols, sockets, rules, drops } = &self.filter;
        let named = |socket: &SocketId| subject.sockets.contains(&Some(*socket));
        if !sockets.is_empty() && !sockets.iter().any(named) {
            return false;
        }
        let kinds = subject.sockets.iter().flatten().map(|socket| Kind::of_socket(socket.protocol)).chain(subject.kind);
        if !protocols.is_empty() && !kinds.into_iter().any(|kind| protocols.contains(&kind)) {
            return false;
        }
        let names_rule = |rule: Rule| rules.is_empty() || rules.iter().any(|name| begins(rule, name));
        let fits_rule = match subject.rule {
            Some(rule) => names_rule(rule) && (!drops || is_drop(rule)),
            None => rules.is_empty() && !drops,
        };
        // Whatever its rule, it may be the first that tells whose socket this is.
        let fits = (hosts.is_empty() && ports.is_empty()) || self.fits(&subject);
        if let Event::Closed { socket, .. } = record.event
            && self.followed.contains(&socket)
        {
            self.gone.push_back(socket);
            if self.gone.len() > GONE {
                self.forget_oldest();
            }
        }
        fits && fits_rule
    }

    /// Whether its addresses fit, or those of its socket have before.
    fn fits(&mut self, subject: &Subject) -> bool {
        if subject.ends == [None; 2] {
            return subject.sockets.iter().flatten().any(|socket| self.followed.contains(socket));
        }
        let fits = self.fits_addresses(&subject.ends);
        if fits && let Some(socket) = subject.sockets[0] {
            self.follow(socket);
        }
        fits
    }

    fn fits_addresses(&self, ends: &[Option<(IpAddr, Option<u16>)>; 2]) -> bool {
        let Filter { hosts, ports, .. } = &self.filter;
        let ends = || ends.iter().flatten();
        (hosts.is_empty() || ends().any(|(host, _)| hosts.contains(host)))
            && (ports.is_empty() || ends().any(|(_, port)| port.is_some_and(|port| ports.contains(&port))))
    }

    fn forget_oldest(&mut self) {
        if let Some(socket) = self.gone.pop_front() {
            self.followed.remove(&socket);
        }
    }

    fn follow(&mut self, socket: SocketId) {
        if self.followed.len() >= FOLLOWED {
            self.forget_oldest();
        }
        if self.followed.len() < FOLLOWED {
            self.followed.insert(socket);
        }
    }
}

fn is_drop(rule: Rule) -> bool {
    rule.name().split('.').any(|word| word == "drop")
}

/// Whether the rule's name is this one, or begins with it and a dot.
fn begins(rule: Rule, name: &str) -> bool {
    rule.name().strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || name.ends_with('.'))
}

impl Subject {
    fn of(event: &Event<'_>) -> Subject {
        let addressed = |end: SocketAddr| Some((end.ip(), Some(end.port())));
        let sockets = |first, second| Subject { sockets: [Some(first), second], ..Subject::default() };
        let of_frame = |ends: Option<packet::Ends>, fate: &crate::observe::Fate| Subject {
            sockets: [fate.owner.map(|owner| owner.socket()), None],
            ends: [ends.map(|ends| ends.source), ends.map(|ends| ends.destination)],
            kind: ends.and_then(|ends| ends.kind),
            rule: fate.rule,
        };
        match *event {
            Event::Frame { ref bytes, ref fate, .. } => of_frame(packet::of_frame(bytes), fate),
            Event::Loopback { ref bytes, ref fate, .. } => of_frame(packet::of_packet(bytes), fate),
            Event::Address { address, .. } | Event::Router { address, .. } | Event::Neighbour { address, .. } => {
                Subject { ends: [Some((address, None)), None], ..Subject::default() }
            }
            Event::Lease { address, server, .. } => {
                Subject { ends: [Some((address, None)), Some((server, None))], ..Subject::default() }
            }
            Event::Bound { socket, local, .. } => Subject { ends: [addressed(local), None], ..sockets(socket, None) },
            Event::Accepted { socket, listener, local, remote, .. } => {
                Subject { ends: [addressed(local), addressed(remote)], ..sockets(socket, Some(listener)) }
            }
            Event::Connected { socket, local, remote, .. } => {
                Subject { ends: [addressed(local), addressed(remote)], ..sockets(socket, None) }
            }
            Event::Datagram { socket, peer, source, destination, rule, .. } => {
                Subject { ends: [addressed(source), addressed(destination)], rule, ..sockets(socket, Some(peer)) }
            }
            Event::Opened { socket, .. } | Event::UnixBound { socket, .. } => sockets(socket, None),
            Event::UnixAccepted { socket, listener, .. } => sockets(socket, Some(listener)),
            Event::Joined { socket, peer } => sockets(socket, Some(peer)),
            Event::Closed { socket, .. } | Event::State { socket, .. } | Event::Delivered { socket, .. } => {
                sockets(socket, None)
            }
            Event::Segment { socket, rule, .. } => Subject { rule, ..sockets(socket, None) },
            Event::Call { socket, ref call } => Subject {
                sockets: [socket, None],
                ends: [call.address().and_then(addressed), None],
                ..Subject::default()
            },
            Event::Return { socket, address, .. } => {
                Subject { sockets: [socket, None], ends: [address.and_then(addressed), None], ..Subject::default() }
            }
            Event::Timer { socket, .. } => Subject { sockets: [socket, None], ..Subject::default() },
            Event::Device { .. } => Subject::default(),
        }
    }
}
