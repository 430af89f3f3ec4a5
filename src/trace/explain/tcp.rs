//! TCP (RFC 9293 §3.1) and its options.

use std::ops::Range;

use super::decode::{Carrier, Decoder, check};
use super::reader::{Reader, decimal, hex16};

const HEADER: usize = 20;

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>, carrier: &Carrier) {
    let mut reader = decoder.reader("TCP", span);
    let is_whole = fields(&mut reader, carrier).is_some();
    let rest = reader.at..reader.end;
    decoder.push(reader);
    if is_whole {
        decoder.data(rest);
    }
}

fn fields(reader: &mut Reader<'_>, carrier: &Carrier) -> Option<()> {
    let (begin, first, behind) = (reader.at, reader.at * 8, reader.end);
    reader.uint(2, "tcp.srcport", "source port", decimal)?;
    reader.uint(2, "tcp.dstport", "destination port", decimal)?;
    reader.uint(4, "tcp.seq_raw", "sequence number", decimal)?;
    reader.uint(4, "tcp.ack_raw", "acknowledgment number", decimal)?;
    let words =
        reader.bits(0..4, "tcp.hdr_len", "data offset", |words| format!("{words} words: {} bytes", words * 4))?;
    reader.reserved(4..7, "tcp.flags.res")?;
    for (bit, key, name) in [
        (7, "tcp.flags.ae", "AE (once NS)"),
        (8, "tcp.flags.cwr", "CWR"),
        (9, "tcp.flags.ece", "ECE"),
        (10, "tcp.flags.urg", "URG"),
        (11, "tcp.flags.ack", "ACK"),
        (12, "tcp.flags.push", "PSH"),
        (13, "tcp.flags.reset", "RST"),
        (14, "tcp.flags.syn", "SYN"),
        (15, "tcp.flags.fin", "FIN"),
    ] {
        reader.flag(bit, key, name)?;
    }
    reader.skip(2)?;
    reader.uint(2, "tcp.window_size_value", "window", decimal)?;
    reader.uint(2, "tcp.checksum", "checksum", hex16)?;
    reader.uint(2, "tcp.urgent_pointer", "urgent pointer", decimal)?;

    let working =
        check(reader, begin..behind, carrier, true, 16, ["the segment before the checksum", "the segment after it"]);
    reader.layer().checksum = working;
    let length = words as usize * 4;
    if length < HEADER {
        reader.problem_in(first + 96..first + 100, 5, format!("a header of {length} bytes: the shortest has {HEADER}"));
        return None;
    }
    if begin + length > behind && !reader.is_quoted() && !carrier.is_fragment {
        reader.problem(format!("a header of {length} bytes, in a segment of {}", behind - begin));
        return None;
    }
    let end = begin + length;
    let outer = std::mem::replace(&mut reader.end, end.min(behind));
    while reader.left() > 0 {
        if option(reader).is_none() {
            break;
        }
    }
    reader.end = outer;
    reader.at = end.min(outer);
    Some(())
}

fn option_name(kind: u64) -> &'static str {
    match kind {
        0 => "end of options",
        1 => "no operation",
        2 => "maximum segment size",
        3 => "window scale",
        4 => "selective acknowledgment permitted",
        5 => "selective acknowledgment",
        8 => "timestamps",
        19 => "MD5 signature",
        28 => "user timeout",
        29 => "authentication",
        30 => "multipath TCP",
        34 => "fast open",
        _ => "option",
    }
}

fn option(reader: &mut Reader<'_>) -> Option<()> {
    let begin = reader.at;
    let kind = reader.uint(1, "tcp.option_kind", "option", |kind| format!("{kind} {}", option_name(kind)))?;
    match kind {
        0 => {
            reader.rest("", "padding of the header");
            return Some(());
        }
        1 => return Some(()),
        _ => {}
    }
    let length = reader.uint(1, "tcp.option_len", "length", decimal)? as usize;
    let Some(count) = length.checked_sub(2).filter(|&count| count <= reader.left()) else {
        reader.problem(format!("an option of {length} bytes does not fit"));
        return None;
    };
    // The lengths that the RFCs fix: another one is a field that was changed.
    let right = match kind {
        2 => Some(4),
        3 => Some(3),
        4 => Some(2),
        8 => Some(10),
        _ => None,
    };
    if let Some(right) = right.filter(|&right| right != length) {
        let text = format!("the option {} has {right} bytes, not {length}", option_name(kind));
        reader.problem_in((begin + 1) * 8..(begin + 2) * 8, right as u64, text);
    }
    if kind == 5 && (count == 0 || !count.is_multiple_of(8)) {
        reader.problem(format!("the option {} has 8 bytes for each block, not {count}", option_name(kind)));
    }
    match (kind, count) {
        (2, 2) => {
            reader.uint(2, "tcp.options.mss_val", "maximum segment size", decimal)?;
        }
        (3, 1) => {
            reader.uint(1, "tcp.options.wscale.shift", "shift", |shift| {
                format!("{shift}: windows count {} bytes", 1_u64 << shift.min(14))
            })?;
        }
        (5, 8 | 16 | 24 | 32) => {
            for _ in 0..count / 8 {
                reader.uint(4, "tcp.options.sack_le", "left edge", decimal)?;
                reader.uint(4, "tcp.options.sack_re", "right edge", decimal)?;
            }
        }
        (8, 8) => {
            reader.uint(4, "tcp.options.timestamp.tsval", "timestamp value", decimal)?;
            reader.uint(4, "tcp.options.timestamp.tsecr", "timestamp echo reply", decimal)?;
        }
        (_, 0) => {}
        _ => {
            reader.bytes(count, "", "data", |bytes| format!("{} bytes", bytes.len()))?;
        }
    }
    Some(())
}
