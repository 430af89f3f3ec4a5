//! MLD on the wire (RFC 3810 §5, RFC 2710 §3).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::igmp::floating;
use super::{ALL_NODES, Heard, Message, Query, Record, Version};
use crate::ip::packet::protocol;
use crate::ip::{Ip, Packet, Packets};
use crate::observe::{Fate, Rule, Time};

const QUERY: u8 = 130;
const REPORT_1: u8 = 131;
const DONE_1: u8 = 132;
const REPORT_2: u8 = 143;

/// Where reports of version 2 go (RFC 3810 §5.2.14).
const ROUTERS_2: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// Where a Done of version 1 goes (RFC 2710 §5).
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// A hop-by-hop header with the Router Alert for MLD (RFC 2711) and padding.
const ROUTER_ALERT: [u8; 8] = [protocol::ICMPV6, 0, 5, 2, 0, 0, 1, 0];
const IP_HEADER: usize = 40 + ROUTER_ALERT.len();
/// Of a query or a report of version 1.
const HEADER_1: usize = 24;
/// Of a report of version 2, and of one record in it.
const HEADER_2: usize = 8;
const RECORD_HEADER: usize = 20;

/// Whether the type is one of MLD.
pub(in crate::ip) fn is_mld(kind: u8) -> bool {
    matches!(kind, QUERY | REPORT_1 | DONE_1 | REPORT_2)
}

impl Ip {
    /// An MLD message came, its checksum right. `Err`: it is none that a host has a use for.
    pub(in crate::ip) fn receive_mld(&mut self, now: Time, packet: &Packet<'_>) -> Result<Rule, Rule> {
        let heard = read(packet)?;
        let rule = match heard {
            Heard::Query(_) => Rule::MldQuery,
            Heard::Report(_) => Rule::MldHeard,
        };
        self.groups.mld.hear(now, heard);
        Ok(rule)
    }
}

fn read(packet: &Packet<'_>) -> Result<Heard, Rule> {
    let message = packet.payload;
    let kind = message.first().copied().unwrap_or(0);
    if matches!(kind, DONE_1 | REPORT_2) {
        return Err(Rule::MldType);
    }
    let Some((&[_, _, _, _, high, low, _, _], rest)) = message.split_first_chunk() else {
        return Err(Rule::MldMalformed);
    };
    let Some((&group, rest)) = rest.split_first_chunk() else { return Err(Rule::MldMalformed) };
    let group = Ipv6Addr::from_octets(group);
    let is_from_neighbour = matches!(packet.source, IpAddr::V6(source) if source.is_unicast_link_local());
    if packet.hop_limit != 1 || !is_from_neighbour || !has_router_alert(packet.bytes) {
        return Err(Rule::MldInvalid);
    }
    if kind == REPORT_1 {
        return if group.is_multicast() { Ok(Heard::Report(group.into())) } else { Err(Rule::MldInvalid) };
    }
    query(packet, u16::from_be_bytes([high, low]), group, rest)
}

/// A query, of the version that its length tells (RFC 3810 §8.1).
fn query(packet: &Packet<'_>, code: u16, group: Ipv6Addr, rest: &[u8]) -> Result<Heard, Rule> {
    let is_general = group.is_unspecified();
    let is_to_others = matches!(packet.destination, IpAddr::V6(to) if to.is_multicast() && to != ALL_NODES);
    if !(is_general || group.is_multicast()) || (is_general && is_to_others) {
        return Err(Rule::MldInvalid);
    }
    let asked = (!is_general).then_some(IpAddr::V6(group));
    match *rest {
        [] => Ok(Heard::Query(Query {
            version: Version::Two,
            group: asked,
            sources: Vec::new(),
            within: Duration::from_millis(code.into()),
            robustness: None,
            interval: None,
        })),
        [flags, interval, high, low, ref list @ ..] => {
            let count = usize::from(u16::from_be_bytes([high, low]));
            let list = list.get(..count * 16).ok_or(Rule::MldMalformed)?;
            if is_general && count > 0 {
                return Err(Rule::MldMalformed);
            }
            Ok(Heard::Query(Query {
                version: Version::Three,
                group: asked,
                sources: list.as_chunks().0.iter().map(|&octets| Ipv6Addr::from_octets(octets).into()).collect(),
                within: Duration::from_millis(response_code(code)),
                robustness: Some(flags & 7).filter(|&robustness| robustness > 0),
                interval: Some(Duration::from_secs(floating(interval).into())).filter(|interval| !interval.is_zero()),
            }))
        }
        _ => Err(Rule::MldMalformed),
    }
}

/// The floating-point notation of RFC 3810 §5.1.3.
fn response_code(code: u16) -> u64 {
    let code = u64::from(code);
    if code < 0x8000 { code } else { (code & 0xfff | 0x1000) << ((code >> 12 & 7) + 3) }
}

/// Whether the first extension header is hop-by-hop and has the option. Its options are well-formed: that was looked
/// at on the way in.
fn has_router_alert(packet: &[u8]) -> bool {
    if packet.get(6) != Some(&protocol::HOP_BY_HOP) {
        return false;
    }
    let end = 40 + packet.get(41).map_or(0, |&length| (usize::from(length) + 1) * 8);
    let mut options = packet.get(42..end).unwrap_or(&[]);
    while let [kind, rest @ ..] = options {
        match *kind {
            0 => options = rest,
            5 => return true,
            _ => options = options.get(2 + rest.first().map_or(0, |&length| usize::from(length))..).unwrap_or(&[]),
        }
    }
    false
}

/// Sends a message, or as many as its records need.
pub(super) fn send(message: &Message, source: Ipv6Addr, mtu: usize, out: &mut Packets) {
    match message {
        Message::Report(_, group) => {
            let IpAddr::V6(group) = *group else { return };
            push(source, group, Rule::MldReport, &old(REPORT_1, group), out);
        }
        Message::Leave(group) => {
            let IpAddr::V6(group) = *group else { return };
            push(source, ALL_ROUTERS, Rule::MldDone, &old(DONE_1, group), out);
        }
        Message::Records(records) => {
            let room = mtu.saturating_sub(IP_HEADER);
            let mut body = header_2();
            let mut count = 0u16;
            for record in records {
                if body.len() + RECORD_HEADER + 16 * record.sources.len() > room && count > 0 {
                    finish_2(&mut body, count);
                    push(source, ROUTERS_2, Rule::MldReport, &body, out);
                    (body, count) = (header_2(), 0);
                }
                write_record(record, &mut body);
                count += 1;
            }
            finish_2(&mut body, count);
            push(source, ROUTERS_2, Rule::MldReport, &body, out);
        }
    }
}

fn old(kind: u8, group: Ipv6Addr) -> Vec<u8> {
    let mut body = vec![0; HEADER_1];
    body[0] = kind;
    body[8..].copy_from_slice(&group.octets());
    body
}

fn header_2() -> Vec<u8> {
    let mut body = vec![0; HEADER_2];
    body[0] = REPORT_2;
    body
}

fn finish_2(body: &mut [u8], count: u16) {
    body[6..8].copy_from_slice(&count.to_be_bytes());
}

fn write_record(record: &Record, body: &mut Vec<u8>) {
    let [high, low] = u16::try_from(record.sources.len()).unwrap_or(u16::MAX).to_be_bytes();
    body.extend_from_slice(&[record.kind as u8, 0, high, low]);
    for address in std::iter::once(&record.group).chain(&record.sources) {
        if let IpAddr::V6(address) = address {
            body.extend_from_slice(&address.octets());
        }
    }
}

/// Hop limit 1 and Router Alert (RFC 3810 §5). The checksum is filled in on the way down.
fn push(source: Ipv6Addr, destination: Ipv6Addr, rule: Rule, body: &[u8], out: &mut Packets) {
    out.push(IP_HEADER + body.len(), Fate::nobody(rule), None, |packet| {
        let (header, message) = packet.split_at_mut(IP_HEADER);
        header[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, protocol::HOP_BY_HOP, 1]);
        header[8..24].copy_from_slice(&source.octets());
        header[24..40].copy_from_slice(&destination.octets());
        header[40..].copy_from_slice(&ROUTER_ALERT);
        message.copy_from_slice(body);
    });
}
