//! IGMP on the wire (RFC 3376 §4, RFC 2236 §2, RFC 1112 appendix I).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{ALL_SYSTEMS, Heard, Message, Query, Record, Version};
use crate::ip::packet::protocol;
use crate::ip::{Ip, Packet, Packets, checksum};
use crate::observe::{Fate, Rule, Time};

const QUERY: u8 = 0x11;
const REPORT_1: u8 = 0x12;
const REPORT_2: u8 = 0x16;
const LEAVE: u8 = 0x17;
const REPORT_3: u8 = 0x22;

/// Where reports of version 3 go (RFC 3376 §4.2.14).
const ROUTERS_3: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// Where a Leave of version 2 goes (RFC 2236 §9).
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);

/// RFC 2113: routers, look at this.
const ROUTER_ALERT: [u8; 4] = [148, 4, 0, 0];
const IP_HEADER: usize = 20 + ROUTER_ALERT.len();
/// Of a message of any version, and of what precedes the sources or the records in version 3.
const HEADER: usize = 8;
const RECORD_HEADER: usize = 8;

impl Ip {
    /// An IGMP message came. `Err`: it is none that a host has a use for.
    pub(in crate::ip) fn receive_igmp(&mut self, now: Time, packet: &Packet<'_>) -> Result<Rule, Rule> {
        let heard = read(packet)?;
        let rule = match heard {
            Heard::Query(_) => Rule::IgmpQuery,
            Heard::Report(_) => Rule::IgmpHeard,
        };
        self.groups.igmp.hear(now, heard);
        Ok(rule)
    }
}

fn read(packet: &Packet<'_>) -> Result<Heard, Rule> {
    let message = packet.payload;
    let &[kind, code, _, _, a, b, c, d, ref rest @ ..] = message else { return Err(Rule::IgmpMalformed) };
    if checksum::of(message) != 0 {
        return Err(Rule::IgmpChecksum);
    }
    let group = Ipv4Addr::new(a, b, c, d);
    match kind {
        QUERY => query(packet, code, group, rest),
        REPORT_1 | REPORT_2 if packet.hop_limit != 1 || !group.is_multicast() => Err(Rule::IgmpInvalid),
        REPORT_1 | REPORT_2 => Ok(Heard::Report(group.into())),
        _ => Err(Rule::IgmpType),
    }
}

/// A query, of the version that its length and its Max Resp Code tell (RFC 3376 §7.1).
fn query(packet: &Packet<'_>, code: u8, group: Ipv4Addr, rest: &[u8]) -> Result<Heard, Rule> {
    let is_general = group.is_unspecified();
    let destination = packet.destination;
    // RFC 3376 §9.1, against queries from beyond the link: all that was sent by the RFCs has TTL 1, and versions 2 and
    // 3 have the option.
    let is_to_all = destination == IpAddr::V4(ALL_SYSTEMS);
    let is_plausible = packet.hop_limit == 1
        && (is_general || group.is_multicast())
        && (is_to_all || !is_general || matches!(destination, IpAddr::V4(address) if !address.is_multicast()));
    if !is_plausible {
        return Err(Rule::IgmpInvalid);
    }
    let header = packet.bytes.len() - packet.payload.len();
    let has_alert = has_router_alert(packet.bytes.get(20..header).unwrap_or(&[]));
    let asked = (!is_general).then_some(IpAddr::V4(group));
    let old = |version, within| Query {
        version,
        group: asked,
        sources: Vec::new(),
        within,
        robustness: None,
        interval: None,
    };
    match *rest {
        [] if code == 0 && is_general && is_to_all => Ok(Heard::Query(old(Version::One, Duration::from_secs(10)))),
        [] if code != 0 && has_alert => {
            Ok(Heard::Query(old(Version::Two, Duration::from_millis(100) * u32::from(code))))
        }
        [] => Err(Rule::IgmpInvalid),
        [flags, interval, high, low, ref list @ ..] => {
            if !has_alert {
                return Err(Rule::IgmpInvalid);
            }
            let count = usize::from(u16::from_be_bytes([high, low]));
            let list = list.get(..count * 4).ok_or(Rule::IgmpMalformed)?;
            if is_general && count > 0 {
                return Err(Rule::IgmpMalformed);
            }
            let sources = list.as_chunks().0.iter().map(|&octets| IpAddr::V4(Ipv4Addr::from_octets(octets))).collect();
            Ok(Heard::Query(Query {
                sources,
                robustness: Some(flags & 7).filter(|&robustness| robustness > 0),
                interval: Some(Duration::from_secs(floating(interval).into())).filter(|interval| !interval.is_zero()),
                ..old(Version::Three, Duration::from_millis(100) * floating(code))
            }))
        }
        _ => Err(Rule::IgmpMalformed),
    }
}

/// The floating-point notation of RFC 3376 §4.1.1 and §4.1.7.
pub(super) fn floating(code: u8) -> u32 {
    let code = u32::from(code);
    if code < 128 { code } else { (code & 0xf | 0x10) << ((code >> 4 & 7) + 3) }
}

/// The options are well-formed: that was looked at on the way in.
fn has_router_alert(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        match *kind {
            0 => return false,
            1 => options = rest,
            148 => return true,
            _ => {
                let length = rest.first().map_or(0, |&length| usize::from(length)).max(2);
                options = options.get(length..).unwrap_or(&[]);
            }
        }
    }
    false
}

/// Sends a message, or as many as its records need.
pub(super) fn send(message: &Message, source: Ipv4Addr, mtu: usize, out: &mut Packets) {
    match message {
        Message::Report(version, group) => {
            let kind = if *version == Version::One { REPORT_1 } else { REPORT_2 };
            let IpAddr::V4(group) = *group else { return };
            push(source, group, Rule::IgmpReport, &old(kind, group), out);
        }
        Message::Leave(group) => {
            let IpAddr::V4(group) = *group else { return };
            push(source, ALL_ROUTERS, Rule::IgmpLeave, &old(LEAVE, group), out);
        }
        Message::Records(records) => {
            let room = mtu.saturating_sub(IP_HEADER);
            let mut body = header_3();
            let mut count = 0u16;
            for record in records {
                if body.len() + RECORD_HEADER + 4 * record.sources.len() > room && count > 0 {
                    finish_3(&mut body, count);
                    push(source, ROUTERS_3, Rule::IgmpReport, &body, out);
                    (body, count) = (header_3(), 0);
                }
                write_record(record, &mut body);
                count += 1;
            }
            finish_3(&mut body, count);
            push(source, ROUTERS_3, Rule::IgmpReport, &body, out);
        }
    }
}

fn old(kind: u8, group: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![kind, 0, 0, 0];
    body.extend_from_slice(&group.octets());
    body
}

fn header_3() -> Vec<u8> {
    let mut body = vec![0; HEADER];
    body[0] = REPORT_3;
    body
}

fn finish_3(body: &mut [u8], count: u16) {
    body[6..8].copy_from_slice(&count.to_be_bytes());
}

fn write_record(record: &Record, body: &mut Vec<u8>) {
    let [high, low] = u16::try_from(record.sources.len()).unwrap_or(u16::MAX).to_be_bytes();
    body.extend_from_slice(&[record.kind as u8, 0, high, low]);
    for address in std::iter::once(&record.group).chain(&record.sources) {
        if let IpAddr::V4(address) = address {
            body.extend_from_slice(&address.octets());
        }
    }
}

/// TTL 1, precedence Internetwork Control, Router Alert (RFC 3376 §4).
fn push(source: Ipv4Addr, destination: Ipv4Addr, rule: Rule, body: &[u8], out: &mut Packets) {
    out.push(IP_HEADER + body.len(), Fate::nobody(rule), None, |packet| {
        let (header, message) = packet.split_at_mut(IP_HEADER);
        let words = (IP_HEADER / 4) as u8;
        header[..12].copy_from_slice(&[0x40 | words, 0xc0, 0, 0, 0, 0, 0, 0, 1, protocol::IGMP, 0, 0]);
        header[12..16].copy_from_slice(&source.octets());
        header[16..20].copy_from_slice(&destination.octets());
        header[20..].copy_from_slice(&ROUTER_ALERT);
        message.copy_from_slice(body);
        let sum = checksum::of(message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    });
}
