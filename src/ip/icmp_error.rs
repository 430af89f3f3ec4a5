//! ICMP errors that we send (RFC 792, RFC 1122 §3.2.2, RFC 4443 §2.4).

use super::header::Header;
use super::packet::{Packet, protocol};
use super::packets::Packets;
use super::{Ip, extension};
use crate::observe::{Cast, Fate, Rule, Time};

const DESTINATION_UNREACHABLE: u8 = 3;
const DESTINATION_UNREACHABLE_6: u8 = 1;
const TIME_EXCEEDED: u8 = 11;
const TIME_EXCEEDED_6: u8 = 3;
const PARAMETER_PROBLEM_6: u8 = 4;
const REDIRECT_6: u8 = 137;

/// An error is no longer than what every host must be able to receive (RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)).
const LONGEST_4: usize = 576;
const LONGEST_6: usize = 1280;
const ICMP_HEADER: usize = 8;

/// An error to be sent, without the packet it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) code: u8,
    /// The second word of the message: a pointer, or unused.
    pub(super) parameter: u32,
    /// What this says about the packet that caused it.
    rule: Rule,
    /// RFC 4443 §2.4 (e.3) has an exception for one kind of option.
    even_to_group: bool,
    /// It is about a fragment header, behind which nothing can be read.
    about_fragment: bool,
}

impl Message {
    /// ICMPv6 Parameter Problem about the field at `pointer` (RFC 4443 §3.4).
    pub(super) fn parameter_problem(code: u8, pointer: usize, rule: Rule) -> Message {
        // The work for a chain of headers is bounded, so the pointer is small.
        let parameter = u32::try_from(pointer).unwrap_or(u32::MAX);
        Message { kind: PARAMETER_PROBLEM_6, code, parameter, rule, even_to_group: false, about_fragment: false }
    }

    /// Whether it says that nobody speaks the protocol behind the extension headers.
    pub(super) fn is_about_next_header(self) -> bool {
        self.rule == Rule::Ip6NextHeader
    }

    pub(super) fn about_fragment(self) -> Message {
        Message { about_fragment: true, ..self }
    }

    /// Time Exceeded in reassembly (RFC 1122 §3.3.2, RFC 8200 §4.5).
    pub(super) fn reassembly_time_exceeded(is_v4: bool) -> Message {
        let kind = if is_v4 { TIME_EXCEEDED } else { TIME_EXCEEDED_6 };
        let rule = Rule::IpReassemblyExceeded;
        Message { kind, code: 1, parameter: 0, rule, even_to_group: false, about_fragment: false }
    }

    pub(super) fn even_to_group(self) -> Message {
        Message { even_to_group: true, ..self }
    }

    /// Protocol Unreachable (RFC 1122 §3.2.2.1); IPv6 has Parameter Problem for it.
    pub(super) fn protocol_unreachable() -> Message {
        let rule = Rule::IpUnknownProtocol;
        Message {
            kind: DESTINATION_UNREACHABLE,
            code: 2,
            parameter: 0,
            rule,
            even_to_group: false,
            about_fragment: false,
        }
    }

    fn port_unreachable(about: &Packet<'_>) -> Message {
        let (kind, code) =
            if about.source.is_ipv4() { (DESTINATION_UNREACHABLE, 3) } else { (DESTINATION_UNREACHABLE_6, 4) };
        Message { kind, code, parameter: 0, rule: Rule::UdpNoSocket, even_to_group: false, about_fragment: false }
    }
}

impl Ip {
    /// Answers a datagram for a port that nobody is bound to, if an answer is allowed. The rule says what
    /// happened: [`Rule::UdpNoSocket`] when Port Unreachable was sent.
    pub fn port_unreachable(&mut self, now: Time, about: &Packet<'_>, out: &mut Packets) -> Rule {
        if about.cast == Cast::Group {
            return Rule::UdpNoSocketGroup;
        }
        self.send_error(now, about, Message::port_unreachable(about), out).unwrap_or_else(|rule| rule)
    }

    /// Sends an error about a packet whose header is valid. `Ok` is the rule of the error, `Err` says why none
    /// was sent.
    pub(super) fn send_error(
        &mut self,
        now: Time,
        about: &Packet<'_>,
        message: Message,
        out: &mut Packets,
    ) -> Result<Rule, Rule> {
        if self.is_error_forbidden(about, message) {
            return Err(Rule::IcmpErrorForbidden);
        }
        // RFC 4443 §2.2 (a), (b): from the address that was asked, if it is one host's.
        let source =
            if self.is_usable(about.destination) { about.destination } else { self.route(about.source)?.source };
        // Who provokes it is no stranger (as in Linux: icmpv4_xrlim_allow).
        if !about.is_local && !self.errors.allow(now, about.source) {
            return Err(Rule::IcmpErrorLimited);
        }
        let (longest, protocol) =
            if source.is_ipv4() { (LONGEST_4, protocol::ICMP) } else { (LONGEST_6, protocol::ICMPV6) };
        let header = Header { source, destination: about.source, protocol, traffic_class: about.traffic_class };
        let before = header.len() + ICMP_HEADER;
        let quote = &about.original[..about.original.len().min(longest.min(self.mtu).saturating_sub(before))];
        out.push(before + quote.len(), Fate::nobody(message.rule), None, |packet| {
            header.write(packet);
            let (fields, rest) = packet[header.len()..].split_at_mut(ICMP_HEADER);
            fields[..4].copy_from_slice(&[message.kind, message.code, 0, 0]);
            fields[4..].copy_from_slice(&message.parameter.to_be_bytes());
            rest.copy_from_slice(quote);
        });
        Ok(message.rule)
    }

    /// RFC 1122 §3.2.2, RFC 4443 §2.4 (e): never about an error, a group or a packet that names no single
    /// sender. Of fragments only the first comes this far, and for IPv6 one whose own header is wrong.
    fn is_error_forbidden(&self, about: &Packet<'_>, message: Message) -> bool {
        let source = about.source;
        let about_icmp_error = if source.is_ipv4() {
            about.protocol == protocol::ICMP && about.payload.first().is_none_or(|&kind| is_icmp_error(kind))
        } else {
            match extension::upper(about.original) {
                Some((protocol::ICMPV6, at)) => {
                    about.original.get(at).is_none_or(|&kind| kind < 128 || kind == REDIRECT_6)
                }
                Some(_) => false,
                None => !message.about_fragment,
            }
        };
        about_icmp_error
            || (about.cast == Cast::Group && !message.even_to_group)
            || source.is_unspecified()
            || self.is_group(source)
            || (self.addresses.is_own_source(source) && !about.is_local)
    }
}

/// ICMP messages that are no errors are echo, timestamps, information and address masks (RFC 792, RFC 950), and router
/// discovery (RFC 1256); what is unknown may be an error.
fn is_icmp_error(kind: u8) -> bool {
    !matches!(kind, 0 | 8 | 9 | 10 | 13..=18)
}
