//! UDP (RFC 768).

use std::ops::Range;

use super::decode::{Carrier, Decoder, check};
use super::reader::{Reader, decimal, hex16};

const HEADER: usize = 8;

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>, carrier: &Carrier) {
    let mut reader = decoder.reader("UDP", span);
    let header = fields(&mut reader, carrier);
    let rest = reader.at..reader.end;
    decoder.push(reader);
    match header {
        Some((67, 67 | 68) | (68, 67)) if !carrier.is_fragment => super::dhcp::decode(decoder, rest),
        Some(_) => decoder.data(rest),
        None => {}
    }
}

fn fields(reader: &mut Reader<'_>, carrier: &Carrier) -> Option<(u64, u64)> {
    let (begin, first, behind) = (reader.at, reader.at * 8, reader.end);
    let source = reader.uint(2, "udp.srcport", "source port", decimal)?;
    let destination = reader.uint(2, "udp.dstport", "destination port", decimal)?;
    let length = reader.uint(2, "udp.length", "length", decimal)? as usize;
    let carried = reader.uint(2, "udp.checksum", "checksum", hex16)?;
    let there = behind - begin;
    let is_six = carrier.between.0.is_ipv6();
    if !carrier.is_fragment && !reader.is_quoted() {
        // The length of a jumbogram is that of IP alone (RFC 2675 §4).
        if length != there && (length != 0 || there <= u16::MAX.into()) {
            let text = format!("a length of {length}, where IP carries {there} bytes");
            reader.problem_in(first + 32..first + 48, there as u64, text);
        }
        if is_six && carried == 0 {
            reader.problem("the checksum is zero, which says that there is none: not over IPv6 (RFC 8200 §8.1)".into());
        }
    }
    let what = ["the datagram before the checksum", "the datagram after it"];
    if length == there || length < HEADER || length > there {
        let working = check(reader, begin..behind, carrier, true, 6, what).map(|working| working.of_udp(!is_six));
        reader.layer().checksum = working;
    } else {
        // RFC 768 says nothing about what follows: the checksum covers what the length says.
        let end = begin + length;
        let working = check(reader, begin..end, carrier, true, 6, what).map(|working| working.of_udp(!is_six));
        reader.layer().checksum = working;
        reader.end = end;
    }
    Some((source, destination))
}
