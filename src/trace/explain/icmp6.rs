//! ICMPv6: errors and echo (RFC 4443), neighbour discovery (RFC 4861), multicast listeners (RFC 2710, RFC 3810).

use std::ops::Range;

use super::decode::{Carrier, Decoder, check};
use super::reader::{Reader, decimal, hex16, octets};

/// What follows the message.
enum Rest {
    Nothing,
    Data,
    Quotation,
}

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>, carrier: &Carrier) {
    let mut reader = decoder.reader("ICMPv6", span);
    let rest = fields(&mut reader, carrier);
    let span = reader.at..reader.end;
    decoder.push(reader);
    match rest {
        Some(Rest::Quotation) if !carrier.is_fragment => decoder.quotation(span, true),
        Some(Rest::Nothing | Rest::Data | Rest::Quotation) => decoder.data(span),
        None => {}
    }
}

fn name(kind: u64) -> String {
    let name = match kind {
        1 => "destination unreachable",
        2 => "packet too big",
        3 => "time exceeded",
        4 => "parameter problem",
        128 => "echo request",
        129 => "echo reply",
        130 => "multicast listener query",
        131 => "multicast listener report",
        132 => "multicast listener done",
        133 => "router solicitation",
        134 => "router advertisement",
        135 => "neighbour solicitation",
        136 => "neighbour advertisement",
        137 => "redirect",
        143 => "multicast listener report, version 2",
        _ => return kind.to_string(),
    };
    format!("{kind} {name}")
}

fn code_name(kind: u64, code: u64) -> String {
    let name = match (kind, code) {
        (1, 0) => "no route to the destination",
        (1, 1) => "administratively prohibited",
        (1, 3) => "address unreachable",
        (1, 4) => "port unreachable",
        (3, 0) => "hop limit exceeded",
        (3, 1) => "reassembly time exceeded",
        (4, 0) => "erroneous header field",
        (4, 1) => "unknown next header",
        (4, 2) => "unknown option",
        _ => return code.to_string(),
    };
    format!("{code} {name}")
}

fn seconds(value: u64) -> String {
    if value == u64::from(u32::MAX) { "for ever".into() } else { format!("{value} s") }
}

fn milliseconds(value: u64) -> String {
    if value == 0 { "0: not said".into() } else { format!("{value} ms") }
}

fn fields(reader: &mut Reader<'_>, carrier: &Carrier) -> Option<Rest> {
    let over = reader.at..reader.end;
    let kind = reader.uint(1, "icmpv6.type", "type", name)?;
    reader.uint(1, "icmpv6.code", "code", |code| code_name(kind, code))?;
    reader.uint(2, "icmpv6.checksum", "checksum", hex16)?;
    let working = check(reader, over, carrier, true, 2, ["the message before the checksum", "the message after it"]);
    reader.layer().checksum = working;
    match kind {
        1 | 3 => {
            reader.bytes(4, "", "unused", octets)?;
            return Some(Rest::Quotation);
        }
        2 => {
            reader.uint(4, "icmpv6.mtu", "MTU", decimal)?;
            return Some(Rest::Quotation);
        }
        4 => {
            reader.uint(4, "icmpv6.pointer", "pointer", decimal)?;
            return Some(Rest::Quotation);
        }
        128 | 129 => {
            reader.uint(2, "icmpv6.echo.identifier", "identifier", decimal)?;
            reader.uint(2, "icmpv6.echo.sequence_number", "sequence number", decimal)?;
            return Some(Rest::Data);
        }
        130..=132 => {
            reader.uint(2, "icmpv6.mld.maximum_response_delay", "maximum response delay", decimal)?;
            reader.bytes(2, "", "reserved", octets)?;
            reader.ip6("icmpv6.mld.multicast_address", "multicast address")?;
            if kind == 130 && reader.left() >= 4 {
                query2(reader)?;
            }
            return Some(Rest::Nothing);
        }
        143 => {
            records(reader)?;
            return Some(Rest::Nothing);
        }
        133 => {
            reader.bytes(4, "", "reserved", octets)?;
        }
        134 => {
            reader.uint(1, "icmpv6.nd.ra.cur_hop_limit", "hop limit", decimal)?;
            reader.flag(0, "icmpv6.nd.ra.flag.m", "managed addresses")?;
            reader.flag(1, "icmpv6.nd.ra.flag.o", "other configuration")?;
            reader.bits(2..8, "", "other flags", decimal)?;
            reader.skip(1)?;
            reader.uint(2, "icmpv6.nd.ra.router_lifetime", "router lifetime", seconds)?;
            reader.uint(4, "icmpv6.nd.ra.reachable_time", "reachable time", milliseconds)?;
            reader.uint(4, "icmpv6.nd.ra.retrans_timer", "retransmission timer", milliseconds)?;
        }
        135 => {
            reader.bytes(4, "", "reserved", octets)?;
            reader.ip6("icmpv6.nd.ns.target_address", "target")?;
        }
        136 => {
            reader.flag(0, "icmpv6.nd.na.flag.r", "router")?;
            reader.flag(1, "icmpv6.nd.na.flag.s", "solicited")?;
            reader.flag(2, "icmpv6.nd.na.flag.o", "override")?;
            reader.bits(3..32, "", "reserved", decimal)?;
            reader.skip(4)?;
            reader.ip6("icmpv6.nd.na.target_address", "target")?;
        }
        137 => {
            reader.bytes(4, "", "reserved", octets)?;
            reader.ip6("icmpv6.nd.rd.target_address", "target")?;
            reader.ip6("icmpv6.rd.na.destination_address", "destination")?;
        }
        _ => return Some(Rest::Data),
    }
    while reader.left() > 0 {
        option(reader)?;
    }
    Some(Rest::Nothing)
}

fn option_name(kind: u64) -> &'static str {
    match kind {
        1 => "source link-layer address",
        2 => "target link-layer address",
        3 => "prefix information",
        4 => "redirected header",
        5 => "MTU",
        14 => "nonce",
        25 => "recursive DNS servers",
        31 => "DNS search list",
        _ => "option",
    }
}

/// An option of neighbour discovery (RFC 4861 §4.6).
fn option(reader: &mut Reader<'_>) -> Option<()> {
    let begin = reader.at;
    let kind = reader.uint(1, "icmpv6.opt.type", "option", |kind| format!("{kind} {}", option_name(kind)))?;
    let units =
        reader.uint(1, "icmpv6.opt.length", "length", |units| format!("{units} units of 8: {} bytes", units * 8))?;
    let end = begin + units as usize * 8;
    if units == 0 || end > reader.end {
        reader.problem(format!("an option of {} bytes does not fit", units * 8));
        return None;
    }
    match (kind, units) {
        (1, 1) => {
            reader.station("icmpv6.opt.src_linkaddr", "address")?;
        }
        (2, 1) => {
            reader.station("icmpv6.opt.target_linkaddr", "address")?;
        }
        (3, 4) => {
            reader.uint(1, "icmpv6.opt.prefix.length", "prefix length", decimal)?;
            reader.flag(0, "icmpv6.opt.prefix.flag.l", "on-link")?;
            reader.flag(1, "icmpv6.opt.prefix.flag.a", "autonomous")?;
            reader.bits(2..8, "", "reserved", decimal)?;
            reader.skip(1)?;
            reader.uint(4, "icmpv6.opt.prefix.valid_lifetime", "valid lifetime", seconds)?;
            reader.uint(4, "icmpv6.opt.prefix.preferred_lifetime", "preferred lifetime", seconds)?;
            reader.bytes(4, "", "reserved", octets)?;
            reader.ip6("icmpv6.opt.prefix", "prefix")?;
        }
        (5, 1) => {
            reader.bytes(2, "", "reserved", octets)?;
            reader.uint(4, "icmpv6.opt.mtu", "MTU", decimal)?;
        }
        (14, 1) => {
            reader.bytes(6, "icmpv6.opt.nonce", "nonce", octets)?;
        }
        (25, 3..) => {
            reader.bytes(2, "", "reserved", octets)?;
            reader.uint(4, "icmpv6.opt.rdnss.lifetime", "lifetime", seconds)?;
            while reader.at + 16 <= end {
                reader.ip6("icmpv6.opt.rdnss", "server")?;
            }
        }
        _ => {}
    }
    if reader.at < end {
        reader.bytes(end - reader.at, "", "data", |bytes| format!("{} bytes", bytes.len()))?;
    }
    Some(())
}

/// What a query of version 2 adds (RFC 3810 §5.1).
fn query2(reader: &mut Reader<'_>) -> Option<()> {
    reader.bits(0..4, "", "reserved", decimal)?;
    reader.flag(4, "icmpv6.mld.flag.s", "suppress router-side processing")?;
    reader.bits(5..8, "icmpv6.mld.flag.qrv", "querier's robustness variable", decimal)?;
    reader.skip(1)?;
    reader.uint(1, "icmpv6.mld.qqi", "querier's query interval code", decimal)?;
    let sources = reader.uint(2, "icmpv6.mld.nb_sources", "number of sources", decimal)?;
    for _ in 0..sources {
        reader.ip6("icmpv6.mld.source_address", "source")?;
    }
    Some(())
}

/// A report of version 2 (RFC 3810 §5.2).
fn records(reader: &mut Reader<'_>) -> Option<()> {
    reader.bytes(2, "", "reserved", octets)?;
    let records = reader.uint(2, "icmpv6.mldr.nb_mcast_records", "number of records", decimal)?;
    for _ in 0..records {
        reader.uint(1, "icmpv6.mldr.mar.record_type", "record type", super::igmp::record_name)?;
        let words = reader.uint(1, "icmpv6.mldr.mar.aux_data_len", "length of auxiliary data", decimal)?;
        let sources = reader.uint(2, "icmpv6.mldr.mar.nb_sources", "number of sources", decimal)?;
        reader.ip6("icmpv6.mldr.mar.multicast_address", "multicast address")?;
        for _ in 0..sources {
            reader.ip6("icmpv6.mldr.mar.source_address", "source")?;
        }
        if words > 0 {
            let count = words as usize * 4;
            reader.bytes(count, "", "auxiliary data", |bytes| format!("{} bytes", bytes.len()))?;
        }
    }
    Some(())
}
