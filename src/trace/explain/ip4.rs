//! IPv4 (RFC 791) and its options.

use std::net::Ipv4Addr;
use std::ops::Range;

use etherparse::IpNumber;

use super::decode::{Carrier, Decoder};
use super::reader::{Reader, decimal, hex16};
use super::sum::Working;

/// The shortest header.
const HEADER: usize = 20;
/// What shorter Ethernet frames are filled up to, without the check sequence.
const SHORTEST_FRAME: usize = 60;

/// The number of a protocol in IP, and its name.
pub(super) fn protocol(number: u64) -> String {
    let named = u8::try_from(number).ok().and_then(|number| IpNumber(number).keyword_str());
    named.map_or_else(|| number.to_string(), |name| format!("{number} {name}"))
}

/// The six bits of DiffServ (RFC 2474) and the two of ECN (RFC 3168) that follow.
pub(super) fn code_point(value: u64) -> String {
    let name = match value {
        0 => "default",
        46 => "EF",
        8 | 16 | 24 | 32 | 40 | 48 | 56 => return format!("{value} CS{}", value / 8),
        10..=38 if value.is_multiple_of(2) => return format!("{value} AF{}{}", value >> 3, value >> 1 & 3),
        _ => return value.to_string(),
    };
    format!("{value} {name}")
}

pub(super) fn congestion(value: u64) -> String {
    let name = ["not ECN-capable", "ECT(1)", "ECT(0)", "congestion experienced"];
    name.get(value as usize).map_or_else(|| value.to_string(), |name| format!("{value} {name}"))
}

struct Header {
    carrier: Carrier,
    is_first: bool,
    payload: Range<usize>,
    end: usize,
}

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let behind = span.end;
    let mut reader = decoder.reader("IPv4", span);
    let header = fields(&mut reader);
    decoder.push(reader);
    if let Some(header) = header {
        decoder.carried(header.payload, &header.carrier, header.is_first);
        if decoder.quotes == 0 {
            decoder.opaque("padding", header.end..behind);
        }
    }
}

fn fields(reader: &mut Reader<'_>) -> Option<Header> {
    let (begin, first, behind) = (reader.at, reader.at * 8, reader.end);
    let version = reader.bits(0..4, "ip.version", "version", decimal)?;
    if version != 4 {
        reader.problem_in(first..first + 4, 4, format!("version {version} where 4 was announced"));
    }
    let words =
        reader.bits(4..8, "ip.hdr_len", "header length", |words| format!("{words} words: {} bytes", words * 4))?;
    let length = words as usize * 4;
    reader.skip(1)?;
    reader.bits(0..6, "ip.dsfield.dscp", "differentiated services", code_point)?;
    reader.bits(6..8, "ip.dsfield.ecn", "congestion notification", congestion)?;
    reader.skip(1)?;
    let total = reader.uint(2, "ip.len", "total length", decimal)? as usize;
    reader.uint(2, "ip.id", "identification", hex16)?;
    let is_evil = reader.flag(0, "ip.flags.rb", "reserved")?;
    reader.flag(1, "ip.flags.df", "do not fragment")?;
    let more = reader.flag(2, "ip.flags.mf", "more fragments")?;
    let offset = reader.bits(3..16, "ip.frag_offset", "fragment offset", |offset| {
        if offset == 0 { "0".into() } else { format!("{offset} units of 8: byte {}", offset * 8) }
    })?;
    reader.skip(2)?;
    reader.uint(1, "ip.ttl", "time to live", decimal)?;
    let protocol = reader.uint(1, "ip.proto", "protocol", protocol)? as u8;
    reader.uint(2, "ip.checksum", "header checksum", hex16)?;
    let source = reader.ip4("ip.src", "source")?;
    let mut destination = reader.ip4("ip.dst", "destination")?;

    if is_evil {
        reader.remark("the reserved flag is set, which must be zero (RFC 791 §3.1)".into());
    }
    if length < HEADER {
        reader.problem(format!("a header of {length} bytes: the shortest has {HEADER}"));
        return None;
    }
    if length > HEADER {
        let end = begin + length;
        reader.peek(end - reader.at)?;
        options(reader, end, &mut destination);
        reader.at = end;
    }
    let packet = reader.packet();
    let working = Working::of(
        packet,
        ["the header before the checksum", "the header after it"],
        begin..begin + length,
        begin + 10,
    );
    reader.layer().checksum = working;
    let there = behind - begin;
    if total < length {
        let text = format!("a total length of {total} is shorter than the header");
        reader.problem_in(first + 16..first + 32, there as u64, text);
        return None;
    }
    let end = begin + total;
    if !reader.is_quoted() {
        let bits = first + 16..first + 32;
        if total > there {
            reader.problem_in(bits, there as u64, format!("a total length of {total}, but {there} bytes came"));
        } else if total < there && behind > SHORTEST_FRAME {
            // An Ethernet check sequence, or a total length that was changed.
            reader.remark(format!(
                "{} bytes follow the packet, and a frame of this length needs no padding",
                there - total
            ));
        }
    }
    let carrier = Carrier { between: (source.into(), destination.into()), protocol, is_fragment: more || offset != 0 };
    Some(Header { carrier, is_first: offset == 0, payload: begin + length..end.min(behind), end: end.min(behind) })
}

fn option_name(kind: u8) -> &'static str {
    match kind {
        0 => "end of options",
        1 => "no operation",
        7 => "record route",
        68 => "timestamp",
        130 => "security",
        131 => "loose source route",
        136 => "stream identifier",
        137 => "strict source route",
        148 => "router alert",
        _ => "option",
    }
}

/// What is wrong with options is told, and ends them. A source route that is not used up tells the last destination,
/// which is the one of the pseudo-header (RFC 1122 §4.2.3.8).
fn options(reader: &mut Reader<'_>, end: usize, destination: &mut Ipv4Addr) {
    let behind = std::mem::replace(&mut reader.end, end);
    while reader.left() > 0 {
        if option(reader, destination).is_none() {
            break;
        }
    }
    reader.end = behind;
}

fn option(reader: &mut Reader<'_>, destination: &mut Ipv4Addr) -> Option<()> {
    let kind = reader.peek(1)?[0];
    reader.uint(1, "ip.opt.type", "option", |kind| format!("{kind} {}", option_name(kind as u8)))?;
    match kind {
        0 => {
            reader.rest("", "padding of the header");
            return Some(());
        }
        1 => return Some(()),
        _ => {}
    }
    let length = reader.uint(1, "ip.opt.len", "length", decimal)?;
    let Some(count) = (length as usize).checked_sub(2).filter(|&count| count <= reader.left()) else {
        reader.problem(format!("an option of {length} bytes does not fit"));
        return None;
    };
    let end = reader.at + count;
    match kind {
        7 | 131 | 137 if count >= 1 => {
            let pointer = reader.uint(1, "ip.opt.ptr", "pointer", decimal)?;
            let mut at = 4;
            while end - reader.at >= 4 {
                let name = if at < pointer { "address, recorded" } else { "address" };
                let address = reader.ip4("", name)?;
                if kind != 7 && at >= pointer {
                    *destination = address;
                }
                at += 4;
            }
        }
        148 if count == 2 => {
            reader.uint(2, "ip.opt.ra", "value", decimal)?;
        }
        68 if count >= 2 => {
            reader.uint(1, "ip.opt.ptr", "pointer", decimal)?;
            reader.bits(0..4, "ip.opt.overflow", "overflow", decimal)?;
            let flag = reader.bits(4..8, "ip.opt.flag", "flag", |flag| {
                let name = ["timestamps only", "each with its address", "", "addresses prescribed"];
                format!("{flag} {}", name.get(flag as usize).unwrap_or(&""))
            })?;
            reader.skip(1)?;
            while end - reader.at >= if flag == 0 { 4 } else { 8 } {
                if flag != 0 {
                    reader.ip4("ip.opt.time_stamp_addr", "address")?;
                }
                reader.uint(4, "ip.opt.time_stamp", "timestamp", |ms| format!("{ms} ms since midnight UTC"))?;
            }
        }
        _ => {}
    }
    if reader.at < end {
        reader.bytes(end - reader.at, "", "data", |bytes| format!("{} bytes", bytes.len()))?;
    }
    Some(())
}
