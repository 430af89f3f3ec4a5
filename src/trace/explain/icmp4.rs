//! ICMP (RFC 792).

use std::ops::Range;

use super::decode::{Carrier, Decoder, check};
use super::reader::{Reader, decimal, hex16, octets};

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>, carrier: &Carrier) {
    let mut reader = decoder.reader("ICMP", span);
    let kind = fields(&mut reader, carrier);
    let rest = reader.at..reader.end;
    decoder.push(reader);
    match kind {
        Some(3 | 4 | 5 | 11 | 12) if !carrier.is_fragment => decoder.quotation(rest, false),
        Some(_) => decoder.data(rest),
        None => {}
    }
}

fn name(kind: u64) -> String {
    let name = match kind {
        0 => "echo reply",
        3 => "destination unreachable",
        4 => "source quench",
        5 => "redirect",
        8 => "echo request",
        9 => "router advertisement",
        10 => "router solicitation",
        11 => "time exceeded",
        12 => "parameter problem",
        13 => "timestamp request",
        14 => "timestamp reply",
        17 => "address mask request",
        18 => "address mask reply",
        _ => return kind.to_string(),
    };
    format!("{kind} {name}")
}

fn code_name(kind: u64, code: u64) -> String {
    let name = match (kind, code) {
        (3, 0) => "network unreachable",
        (3, 1) => "host unreachable",
        (3, 2) => "protocol unreachable",
        (3, 3) => "port unreachable",
        (3, 4) => "fragmentation needed",
        (3, 5) => "source route failed",
        (3, 9 | 10 | 13) => "administratively prohibited",
        (5, 0) => "for the network",
        (5, 1) => "for the host",
        (11, 0) => "time to live exceeded",
        (11, 1) => "reassembly time exceeded",
        (12, 0) => "the pointer tells where",
        _ => return code.to_string(),
    };
    format!("{code} {name}")
}

fn fields(reader: &mut Reader<'_>, carrier: &Carrier) -> Option<u64> {
    let over = reader.at..reader.end;
    let kind = reader.uint(1, "icmp.type", "type", name)?;
    let code = reader.uint(1, "icmp.code", "code", |code| code_name(kind, code))?;
    reader.uint(2, "icmp.checksum", "checksum", hex16)?;
    let working = check(reader, over, carrier, false, 2, ["the message before the checksum", "the message after it"]);
    reader.layer().checksum = working;
    let milliseconds = |ms| format!("{ms} ms since midnight UTC");
    match (kind, code) {
        (0 | 8 | 13 | 14 | 17 | 18, _) => {
            reader.uint(2, "icmp.ident", "identifier", decimal)?;
            reader.uint(2, "icmp.seq", "sequence number", decimal)?;
            if matches!(kind, 13 | 14) {
                reader.uint(4, "icmp.originate_timestamp", "originate timestamp", milliseconds)?;
                reader.uint(4, "icmp.receive_timestamp", "receive timestamp", milliseconds)?;
                reader.uint(4, "icmp.transmit_timestamp", "transmit timestamp", milliseconds)?;
            }
        }
        (3, 4) => {
            reader.uint(2, "", "unused", hex16)?;
            reader.uint(2, "icmp.mtu", "MTU of the next hop", decimal)?;
        }
        (5, _) => {
            reader.ip4("icmp.redir_gw", "gateway")?;
        }
        (12, 0) => {
            reader.uint(1, "icmp.pointer", "pointer", decimal)?;
            reader.bytes(3, "", "unused", octets)?;
        }
        _ => {
            reader.bytes(4, "", "unused", octets)?;
        }
    }
    Some(kind)
}
