//! One line for a packet.

use std::fmt;

use etherparse::{IpNumber, LaxNetSlice, TransportSlice};

use super::arp::Arp;
use super::dhcp::Dhcp;
use super::frame::{Between, Frame, Named, Stations, fragment};
use super::icmp::{Icmp4, Icmp6};
use super::reason::Reason;
use super::tcp::{Scale, Segment};
use crate::observe::{Direction, Fate, Protocol};

/// Which way it went, whose it is, what it says, what it changed, and by what rule.
pub(super) struct Summary<'a> {
    pub(super) direction: Direction,
    pub(super) frame: &'a Frame<'a>,
    pub(super) fate: &'a Fate,
}

/// What a packet says by itself, where no stack of ours has seen it.
pub(super) struct Said<'a>(pub(super) &'a Frame<'a>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Summary { direction: Direction::In, frame: self.0, fate: &Fate::default() }.fmt_packet(f)
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<3} ", self.direction)?;
        if self.frame.is_local {
            f.write_str("lo ")?;
        }
        if let Some(owner) = &self.fate.owner {
            write!(f, "{} ", owner.socket())?;
        }
        self.fmt_packet(f)?;
        if let Some((before, after)) = self.fate.states.filter(|(before, after)| before != after) {
            write!(f, " · {before} ⇒ {after}")?;
        }
        write!(f, "{}", Reason { direction: self.direction, fate: self.fate })
    }
}

impl Summary<'_> {
    fn fmt_packet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.frame.net() {
            Some(LaxNetSlice::Arp(packet)) => write!(f, "arp {}", Arp(packet)),
            Some(net) => self.fmt_ip(f, net),
            None if self.frame.is_local => self.frame.stopped().map_or(Ok(()), |stopped| write!(f, "ip {stopped}")),
            None => self.fmt_ethernet(f),
        }
    }

    fn fmt_ethernet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("eth")?;
        if let Some(ethernet) = self.frame.ethernet() {
            write!(f, " {}", Stations::of(ethernet))?;
        }
        match (self.frame.stopped(), self.frame.ether_type()) {
            (Some(stopped), _) => write!(f, " {stopped}"),
            (None, Some(kind)) => write!(f, " {:#06x} len {}", kind.0, self.frame.bytes.len()),
            (None, None) => Ok(()),
        }
    }

    fn fmt_ip(&self, f: &mut fmt::Formatter<'_>, net: &LaxNetSlice<'_>) -> fmt::Result {
        let (Some(between), Some(payload)) = (Between::of(net), net.ip_payload_ref()) else { return Ok(()) };
        let protocol = Named(payload.ip_number);
        // The name of a socket says its protocol already; a packet of another one, such as an ICMP error about the
        // socket, says its own.
        let said = self.fate.owner.is_some_and(|owner| match owner.socket().protocol {
            Protocol::Tcp => payload.ip_number == IpNumber::TCP,
            Protocol::Udp => payload.ip_number == IpNumber::UDP,
            Protocol::Icmp => matches!(payload.ip_number, IpNumber::ICMP | IpNumber::IPV6_ICMP),
            Protocol::Raw | Protocol::Unix => false,
        });
        if !said {
            write!(f, "{protocol} ")?;
        }
        write!(f, "{between} ")?;
        match self.frame.transport() {
            Some(TransportSlice::Tcp(tcp)) => {
                let scale = Scale::of(self.direction, self.fate.numbers, tcp);
                write!(f, "{}", Segment { tcp, scale: &scale })
            }
            Some(TransportSlice::Udp(udp)) => match Dhcp::of(udp) {
                Some(dhcp) => write!(f, "{dhcp}"),
                None => write!(f, "len {}", udp.payload().len()),
            },
            Some(TransportSlice::Icmpv4(message)) => write!(f, "{}", Icmp4(message)),
            Some(TransportSlice::Icmpv6(message)) => write!(f, "{}", Icmp6(message)),
            Some(TransportSlice::Igmp(_)) => write!(f, "len {}", payload.payload.len()),
            None => match (self.frame.stopped(), fragment(net)) {
                (Some(stopped), _) => write!(f, "{stopped}"),
                (None, Some(fragment)) => write!(f, "{fragment}"),
                (None, None) => write!(f, "len {}", payload.payload.len()),
            },
        }
    }
}
