//! IPv6 (RFC 8200) and its extension headers.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::decode::{Carrier, Decoder};
use super::ip4::{code_point, congestion, protocol};
use super::reader::{Reader, decimal, octets};

const HEADER: usize = 40;
/// Extension headers that are followed.
const EXTENSIONS: usize = 32;
const SHORTEST_FRAME: usize = 60;

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let behind = span.end;
    let mut reader = decoder.reader("IPv6", span);
    let header = fields(&mut reader);
    decoder.push(reader);
    let Some((mut carrier, mut rest)) = header else { return };
    let end = rest.end;
    let mut is_first = true;
    for _ in 0..EXTENSIONS {
        let mut reader = match carrier.protocol {
            0 => decoder.reader("hop-by-hop options", rest.clone()),
            43 => decoder.reader("routing header", rest.clone()),
            44 => decoder.reader("fragment header", rest.clone()),
            60 => decoder.reader("destination options", rest.clone()),
            51 => decoder.reader("authentication header", rest.clone()),
            _ => break,
        };
        let next = match carrier.protocol {
            0 => options(&mut reader, ["ipv6.hopopts.nxt", "ipv6.hopopts.len"]),
            60 => options(&mut reader, ["ipv6.dstopts.nxt", "ipv6.dstopts.len"]),
            43 => routing(&mut reader, &mut carrier),
            44 => fragment(&mut reader, &mut carrier, &mut is_first),
            _ => authentication(&mut reader),
        };
        rest.start = reader.at;
        decoder.push(reader);
        match next {
            Some(next) => carrier.protocol = next,
            None => return,
        }
        if !is_first {
            break;
        }
    }
    match carrier.protocol {
        59 => decoder.data(rest),
        _ => decoder.carried(rest, &carrier, is_first),
    }
    if decoder.quotes == 0 {
        decoder.opaque("padding", end..behind);
    }
}

fn fields(reader: &mut Reader<'_>) -> Option<(Carrier, Range<usize>)> {
    let (begin, first, behind) = (reader.at, reader.at * 8, reader.end);
    let version = reader.bits(0..4, "ipv6.version", "version", decimal)?;
    if version != 6 {
        reader.problem_in(first..first + 4, 6, format!("version {version} where 6 was announced"));
    }
    reader.bits(4..10, "ipv6.tclass.dscp", "differentiated services", code_point)?;
    reader.bits(10..12, "ipv6.tclass.ecn", "congestion notification", congestion)?;
    reader.bits(12..32, "ipv6.flow", "flow label", |label| format!("{label:#07x}"))?;
    reader.skip(4)?;
    let length = reader.uint(2, "ipv6.plen", "payload length", decimal)? as usize;
    let next = reader.uint(1, "ipv6.nxt", "next header", protocol)? as u8;
    reader.uint(1, "ipv6.hlim", "hop limit", decimal)?;
    let source = reader.ip6("ipv6.src", "source")?;
    let destination = reader.ip6("ipv6.dst", "destination")?;
    reader.remark("IPv6 has no header checksum".into());
    let there = behind - begin - HEADER;
    let length = match length {
        0 if next == 0 => jumbo(reader.packet(), begin + HEADER).unwrap_or(0),
        _ => length,
    };
    if !reader.is_quoted() {
        let bits = first + 32..first + 48;
        if length > there {
            reader.problem_in(bits, there as u64, format!("a payload length of {length}, but {there} bytes came"));
        } else if length < there && behind > SHORTEST_FRAME {
            reader.remark(format!(
                "{} bytes follow the packet, and a frame of this length needs no padding",
                there - length
            ));
        }
    }
    let carrier = Carrier { between: (source.into(), destination.into()), protocol: next, is_fragment: false };
    let begin = begin + HEADER;
    Some((carrier, begin..behind.min(begin + length)))
}

/// Next header and length in units of 8 bytes, without the first 8. Gives where the header ends.
fn beginning(reader: &mut Reader<'_>, keys: [&'static str; 2]) -> Option<(u8, usize)> {
    let begin = reader.at;
    let next = reader.uint(1, keys[0], "next header", protocol)? as u8;
    let units = reader
        .uint(1, keys[1], "length", |units| format!("{units} units of 8 beyond the first: {} bytes", units * 8 + 8))?;
    let length = units as usize * 8 + 8;
    if begin + length > reader.end && !reader.is_quoted() {
        reader.problem(format!("an extension header of {length} bytes does not fit"));
        return None;
    }
    Some((next, begin + length))
}

/// The length of a packet whose own field cannot tell it, from the first of the options that `at` begins (RFC 2675 §3).
fn jumbo(packet: &[u8], at: usize) -> Option<usize> {
    let option = packet.get(at + 2..at + 8)?;
    let (kind, value) = option.split_first_chunk::<2>()?;
    let length = u32::from_be_bytes(*value.first_chunk()?);
    (*kind == [0xc2, 4] && length > u16::MAX.into()).then_some(length as usize)
}

fn option_name(kind: u64) -> &'static str {
    match kind {
        0 => "Pad1",
        1 => "PadN",
        5 => "router alert (RFC 2711)",
        0xc2 => "jumbo payload (RFC 2675)",
        0xc9 => "home address",
        _ => "option",
    }
}

fn options(reader: &mut Reader<'_>, keys: [&'static str; 2]) -> Option<u8> {
    let (next, end) = beginning(reader, keys)?;
    while reader.at < end {
        let kind = reader.uint(1, "ipv6.opt.type", "option", |kind| format!("{kind:#04x} {}", option_name(kind)))?;
        if kind == 0 {
            continue;
        }
        let length = reader.uint(1, "ipv6.opt.length", "length", decimal)? as usize;
        if reader.at + length > end {
            reader.problem(format!("an option of {length} bytes of data does not fit"));
            return None;
        }
        match (kind, length) {
            (_, 0) => {}
            (5, 2) => {
                reader.uint(2, "ipv6.opt.router_alert", "value", |value| {
                    if value == 0 { "0 multicast listener discovery".into() } else { value.to_string() }
                })?;
            }
            (0xc2, 4) => {
                reader.uint(4, "ipv6.opt.jumbo", "payload length", decimal)?;
            }
            (1, _) => {
                reader.bytes(length, "ipv6.opt.padn", "padding", |bytes| format!("{} bytes", bytes.len()))?;
            }
            _ => {
                reader.bytes(length, "", "data", |bytes| format!("{} bytes", bytes.len()))?;
            }
        }
    }
    Some(next)
}

fn routing(reader: &mut Reader<'_>, carrier: &mut Carrier) -> Option<u8> {
    let (next, end) = beginning(reader, ["ipv6.routing.nxt", "ipv6.routing.len"])?;
    let kind = reader.uint(1, "ipv6.routing.type", "routing type", decimal)?;
    let left = reader.uint(1, "ipv6.routing.segleft", "segments left", decimal)?;
    let last_entry = reader.bytes(4, "", "type-specific data", octets)?[0];
    if matches!(kind, 0 | 2 | 4) {
        // What follows the segments of type 4 are its own options (RFC 8754 §2).
        let behind = if kind == 4 { end.min(reader.at + (usize::from(last_entry) + 1) * 16) } else { end };
        let (mut first, mut last) = (None, None);
        while reader.at + 16 <= behind {
            last = Some(reader.ip6("", "address")?);
            first = first.or(last);
        }
        // The pseudo-header has the final destination (RFC 8200 §8.1): type 4 lists it first.
        let is_final = if kind == 4 { first } else { last };
        if let (Some(destination), true) = (is_final, left > 0) {
            carrier.between.1 = Ipv6Addr::into(destination);
        }
    }
    if reader.at < end {
        reader.bytes(end - reader.at, "", "data", |bytes| format!("{} bytes", bytes.len()))?;
    }
    Some(next)
}

fn fragment(reader: &mut Reader<'_>, carrier: &mut Carrier, is_first: &mut bool) -> Option<u8> {
    let next = reader.uint(1, "ipv6.fraghdr.nxt", "next header", protocol)? as u8;
    reader.uint(1, "ipv6.fraghdr.reserved_octet", "reserved", decimal)?;
    let offset = reader.bits(0..13, "ipv6.fraghdr.offset", "fragment offset", |offset| {
        if offset == 0 { "0".into() } else { format!("{offset} units of 8: byte {}", offset * 8) }
    })?;
    reader.bits(13..15, "ipv6.fraghdr.reserved_bits", "reserved", decimal)?;
    let more = reader.flag(15, "ipv6.fraghdr.more", "more fragments")?;
    reader.skip(2)?;
    reader.uint(4, "ipv6.fraghdr.ident", "identification", |value| format!("{value:#010x}"))?;
    // An atomic fragment is a whole datagram (RFC 6946).
    carrier.is_fragment = more || offset != 0;
    *is_first = offset == 0;
    Some(next)
}

fn authentication(reader: &mut Reader<'_>) -> Option<u8> {
    let begin = reader.at;
    let next = reader.uint(1, "ah.next_header", "next header", protocol)? as u8;
    let units =
        reader.uint(1, "ah.length", "length", |units| format!("{units} words beyond two: {} bytes", units * 4 + 8))?;
    reader.uint(2, "ah.reserved", "reserved", decimal)?;
    reader.uint(4, "ah.spi", "security parameters index", |value| format!("{value:#010x}"))?;
    reader.uint(4, "ah.sequence", "sequence number", decimal)?;
    let end = begin + units as usize * 4 + 8;
    if end > reader.at {
        reader.bytes(end - reader.at, "ah.icv", "integrity check value", |bytes| format!("{} bytes", bytes.len()))?;
    }
    Some(next)
}
