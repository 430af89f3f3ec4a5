//! Whose a packet is, or why it is nobody's.

use std::fmt;

use super::frame::Frame;
use crate::observe::{Direction, Fate, Ownership, Protocol, Rule};

/// A row of the table: name, sentence, source.
pub(super) struct Row(pub(super) Rule);

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.name(), self.0.sentence())?;
        match self.0.source() {
            "" => Ok(()), // a bug of ours follows no text
            source => write!(f, " ({source})"),
        }
    }
}

/// What was done, by the rule's name and the way the frame went.
fn deed(direction: Direction, rule: Rule, owned: bool) -> Option<&'static str> {
    let name = rule.name();
    match direction {
        _ if name.contains(".drop.") => Some("dropped"),
        _ if owned => None,
        Direction::Out => Some("sent by the stack itself"),
        Direction::In if name.contains(".answer") || name.contains(".rst.") => Some("answered by the stack itself"),
        Direction::In => Some("taken by the stack itself"),
    }
}

/// The end of a packet's line: nothing for a packet that was simply delivered or sent.
pub(super) struct Reason<'a> {
    pub(super) direction: Direction,
    pub(super) fate: &'a Fate,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owned = self.fate.owner.is_some();
        match self.fate.rule {
            Some(rule) => {
                f.write_str(" · ")?;
                if let Some(deed) = deed(self.direction, rule, owned) {
                    write!(f, "{deed}, ")?;
                }
                write!(f, "{}", Row(rule))
            }
            None if owned => Ok(()),
            None => f.write_str(" · no socket, and no rule says why: a bug, please report it"),
        }
    }
}

/// The last line of a frame's layers.
pub(super) struct Owner<'a> {
    pub(super) direction: Direction,
    pub(super) frame: &'a Frame<'a>,
    pub(super) fate: &'a Fate,
}

impl Owner<'_> {
    /// Our own port, where the reason is that nobody has it. The ICMP error that answers a datagram has no port.
    fn nobodys_port(&self, rule: Rule) -> Option<(Protocol, u16)> {
        let protocol = match rule {
            Rule::TcpRstClosedPort | Rule::TcpRstLimited | Rule::TcpRstNoSocket => Protocol::Tcp,
            Rule::UdpNoSocket | Rule::UdpNoSocketGroup => Protocol::Udp,
            _ => return None,
        };
        let (source, destination) = self.frame.ports()?;
        Some((protocol, if self.direction == Direction::In { destination } else { source }))
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(owner) = self.fate.owner else { return self.fmt_nobody(f) };
        match owner {
            Ownership::FourTuple { socket } => write!(f, "both addresses and both ports are those of {socket}")?,
            Ownership::Listener { listener, listening, .. } => {
                write!(f, "port {} of TCP belongs to {listener}, listening on {listening}", listening.port())?;
            }
            Ownership::Port { socket, bound } if socket.protocol == Protocol::Raw => {
                write!(f, "protocol {} is heard by {socket} at {}", bound.port(), bound.ip())?;
            }
            Ownership::Port { socket, bound } if socket.protocol == Protocol::Icmp => {
                write!(f, "identifier {} of ICMP echo belongs to {socket}, bound to {}", bound.port(), bound.ip())?;
            }
            Ownership::Port { socket, bound } => {
                let protocol = name(socket.protocol);
                write!(f, "port {} of {protocol} belongs to {socket}, bound to {bound}", bound.port())?;
            }
        }
        match self.fate.rule {
            Some(rule) => match deed(self.direction, rule, true) {
                Some(deed) => write!(f, "; {deed}: rule {}", Row(rule)),
                None => write!(f, "; rule {}", Row(rule)),
            },
            None => Ok(()),
        }
    }
}

impl Owner<'_> {
    fn fmt_nobody(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rule) = self.fate.rule else {
            return f.write_str("it belongs to no socket, and no rule says why: a bug, please report it");
        };
        match self.nobodys_port(rule) {
            Some((protocol, port)) => {
                write!(f, "port {port} of {} belongs to nobody: rule {}", name(protocol), Row(rule))
            }
            None => {
                let deed = deed(self.direction, rule, false).unwrap_or_default();
                write!(f, "{deed}: rule {}", Row(rule))
            }
        }
    }
}

/// As a sentence writes it.
const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Icmp => "ICMP",
        Protocol::Raw => "IP",
        Protocol::Unix => "Unix",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::SocketId;

    #[test]
    fn every_rule_of_the_table_says_what_was_done() {
        for &rule in Rule::ALL {
            let fate = Fate::nobody(rule);
            let came = Reason { direction: Direction::In, fate: &fate }.to_string();
            assert!(came.contains(rule.name()) && came.contains(rule.sentence()), "{came}");
            assert_eq!(came.starts_with(" · dropped, "), rule.name().contains(".drop."), "{came}");
            let frame = Frame::decode(&[]);
            let owner = Owner { direction: Direction::Out, frame: &frame, fate: &fate }.to_string();
            assert!(owner.contains(rule.source()) && !owner.starts_with(':'), "{owner}");
        }
    }

    #[test]
    fn an_identifier_and_a_protocol_are_named_as_what_they_are() {
        let frame = Frame::decode(&[]);
        for (protocol, said) in [
            (Protocol::Icmp, "identifier 9 of ICMP echo belongs to icmp#1, bound to 10.0.0.1"),
            (Protocol::Raw, "protocol 9 is heard by raw#1 at 10.0.0.1"),
        ] {
            let socket = SocketId { protocol, number: 1 };
            let fate = Fate::of(Ownership::Port { socket, bound: "10.0.0.1:9".parse().unwrap() });
            assert_eq!(Owner { direction: Direction::In, frame: &frame, fate: &fate }.to_string(), said);
        }
    }

    #[test]
    fn a_bug_of_ours_names_no_text() {
        assert!(Row(Rule::TcpPanicked).to_string().ends_with("this connection alone was ended"));
    }

    #[test]
    fn a_frame_without_owner_and_rule_is_reported_as_a_bug() {
        let fate = Fate { rule: None, ..Fate::nobody(Rule::TcpPanicked) };
        assert!(Reason { direction: Direction::In, fate: &fate }.to_string().contains("bug"));
    }
}
