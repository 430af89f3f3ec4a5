//! ICMP messages that come in (RFC 792, RFC 1122 §3.2.2, RFC 4443).

use std::net::IpAddr;

use super::address::Addresses;
use super::group::mld;
use super::header::Header;
use super::packet::{ErrorKind, IcmpError, Packet, Told, Verdict, protocol};
use super::packets::Packets;
use super::quote::Quote;
use super::{Ip, checksum};
use crate::error::Error;
use crate::observe::{Cast, Fate, Rule, Time};

const HEADER: usize = 8;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST_6: u8 = 128;
const ECHO_REPLY_6: u8 = 129;

/// Whether it is a neighbour discovery message, of any quality (RFC 4861 §4).
pub(super) fn is_neighbour(packet: &Packet<'_>) -> bool {
    packet.protocol == protocol::ICMPV6 && matches!(packet.payload.first(), Some(133..=137))
}

impl Ip {
    pub(super) fn receive_icmp<'p>(&self, packet: Packet<'p>, out: &mut Packets) -> Result<Verdict<'p>, Rule> {
        let message = packet.payload;
        let &[kind, code, _, _, _, _, c, d, ..] = message else { return Err(Rule::IcmpMalformed) };
        if checksum::of(message) != 0 {
            return Err(Rule::IcmpChecksum);
        }
        let meaning = match (kind, code) {
            (ECHO_REPLY, _) => return Ok(Verdict::Transport(packet)),
            // A group ping would make every host of the network answer at once.
            (ECHO_REQUEST, _) if packet.cast == Cast::Group => return Err(Rule::IcmpEchoGroup),
            (ECHO_REQUEST, _) => {
                echo(&packet, packet.destination, ECHO_REPLY, out);
                return Ok(Verdict::Done(Rule::IcmpEcho));
            }
            // RFC 1191 §4: the MTU is in the second half of the word.
            (3, 4) => {
                (ErrorKind::PacketTooBig { mtu: u32::from_be_bytes([0, 0, c, d]) }, Told::hard(Error::MessageTooLong))
            }
            (3, code) => unreachable4(code).ok_or(Rule::IcmpType)?,
            (11, _) => (ErrorKind::TimeExceeded, Told::soft(Error::HostUnreachable)),
            (12, _) => (ErrorKind::ParameterProblem, Told::hard(Error::ProtocolError)),
            _ => return Err(Rule::IcmpType),
        };
        error(&packet, meaning, &self.addresses).map(Verdict::Error)
    }

    /// `fragment_header`: the message came in fragments, or in an atomic one.
    pub(super) fn receive_icmp6<'p>(
        &mut self,
        now: Time,
        packet: Packet<'p>,
        fragment_header: bool,
        out: &mut Packets,
    ) -> Result<Verdict<'p>, Rule> {
        let message = packet.payload;
        let &[kind, code, _, _, ref body @ ..] = message else { return Err(Rule::IcmpMalformed) };
        if checksum::transport_checksum(packet.source, packet.destination, protocol::ICMPV6, message) != 0 {
            return Err(Rule::IcmpChecksum);
        }
        if is_neighbour(&packet) {
            // RFC 6980 §5.
            return if fragment_header { Err(Rule::Ip6FragmentNeighbour) } else { Ok(Verdict::Neighbour(packet)) };
        }
        if mld::is_mld(kind) {
            return self.receive_mld(now, &packet).map(Verdict::Done);
        }
        let &[a, b, c, d, ..] = body else { return Err(Rule::IcmpMalformed) };
        let meaning = match (kind, code) {
            (ECHO_REPLY_6, _) => return Ok(Verdict::Transport(packet)),
            (ECHO_REQUEST_6, _) => {
                let asked = packet.destination;
                let source = if self.is_usable(asked) { asked } else { self.route(packet.source)?.source };
                echo(&packet, source, ECHO_REPLY_6, out);
                return Ok(Verdict::Done(Rule::IcmpEcho));
            }
            (1, code) => unreachable6(code).ok_or(Rule::IcmpType)?,
            (2, _) => {
                (ErrorKind::PacketTooBig { mtu: u32::from_be_bytes([a, b, c, d]) }, Told::hard(Error::MessageTooLong))
            }
            (3, _) => (ErrorKind::TimeExceeded, Told::soft(Error::HostUnreachable)),
            // RFC 4443 §3.4: the next header that is not known there is our transport protocol.
            (4, 1) => (ErrorKind::ProtocolUnreachable, Told::hard(Error::ProtocolError)),
            (4, _) => (ErrorKind::ParameterProblem, Told::hard(Error::ProtocolError)),
            _ => return Err(Rule::IcmpType),
        };
        error(&packet, meaning, &self.addresses).map(Verdict::Error)
    }
}

/// The same identifier, number and data back to who asked, at any size (RFC 1122 §3.2.2.6, RFC 4443 §4.2).
fn echo(request: &Packet<'_>, source: IpAddr, kind: u8, out: &mut Packets) {
    let header = Header {
        source,
        destination: request.source,
        protocol: request.protocol,
        traffic_class: request.traffic_class,
    };
    let length = header.len() + request.payload.len();
    out.push(length, Fate::nobody(Rule::IcmpEcho), None, |packet| {
        header.write(packet);
        let message = &mut packet[header.len()..];
        message[..4].copy_from_slice(&[kind, 0, 0, 0]);
        message[4..].copy_from_slice(&request.payload[4..]);
    });
}

/// Makes an echo request the reply that `source` sends to `destination`, its checksum included.
pub fn turn_round(message: &mut [u8], source: IpAddr, destination: IpAddr) {
    let Some(start) = message.first_chunk_mut::<4>() else { return };
    let kind = if source.is_ipv4() { ECHO_REPLY } else { ECHO_REPLY_6 };
    *start = [kind, 0, 0, 0];
    let sum = match kind {
        ECHO_REPLY => checksum::of(message),
        _ => checksum::transport_checksum(source, destination, protocol::ICMPV6, message),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// Destination Unreachable of IPv4: what it means, and Linux's table of what a program is told (`icmp_err_convert`).
fn unreachable4(code: u8) -> Option<(ErrorKind, Told)> {
    Some(match code {
        0 | 11 => (ErrorKind::NetworkUnreachable, Told::soft(Error::NetworkUnreachable)),
        1 | 12 => (ErrorKind::HostUnreachable, Told::soft(Error::HostUnreachable)),
        2 => (ErrorKind::ProtocolUnreachable, Told::hard(Error::ProtocolNotAvailable)),
        3 => (ErrorKind::PortUnreachable, Told::hard(Error::ConnectionRefused)),
        5 => (ErrorKind::SourceRouteFailed, Told::soft(Error::NotSupported)),
        6 => (ErrorKind::NetworkUnreachable, Told::hard(Error::NetworkUnreachable)),
        7 => (ErrorKind::HostUnreachable, Told::hard(Error::HostDown)),
        8 => (ErrorKind::HostUnreachable, Told::hard(Error::HostIsolated)),
        9 => (ErrorKind::Prohibited, Told::hard(Error::NetworkUnreachable)),
        10 | 13..=15 => (ErrorKind::Prohibited, Told::hard(Error::HostUnreachable)),
        _ => return None,
    })
}

/// The same for IPv6 (`icmpv6_err_convert`).
fn unreachable6(code: u8) -> Option<(ErrorKind, Told)> {
    Some(match code {
        0 => (ErrorKind::NetworkUnreachable, Told::soft(Error::NetworkUnreachable)),
        1 | 5 | 6 => (ErrorKind::Prohibited, Told::hard(Error::PermissionDenied)),
        2 | 3 => (ErrorKind::HostUnreachable, Told::soft(Error::HostUnreachable)),
        4 => (ErrorKind::PortUnreachable, Told::hard(Error::ConnectionRefused)),
        _ => return None,
    })
}

/// The error, if it is about something that we sent.
fn error(packet: &Packet<'_>, (kind, told): (ErrorKind, Told), addresses: &Addresses) -> Result<IcmpError, Rule> {
    let quote = Quote::read(&packet.payload[HEADER..])?;
    // What we sent came from the address that the error was sent to; this also refuses errors to groups.
    if quote.source.ip() != packet.destination || !addresses.is_usable(packet.destination) {
        return Err(Rule::IcmpErrorUnmatched);
    }
    let &[message, code, ..] = packet.payload else { return Err(Rule::IcmpMalformed) };
    Ok(quote.into_error(kind, told, packet.source, (message, code)))
}

#[cfg(test)]
mod tests;
