//! ARP (RFC 826).

use std::ops::Range;

use super::decode::Decoder;
use super::link::ether_type;
use super::reader::{Reader, decimal, octets};

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let mut reader = decoder.reader("ARP", span);
    let is_whole = fields(&mut reader).is_some();
    let rest = reader.at..reader.end;
    decoder.push(reader);
    if is_whole {
        decoder.opaque("padding", rest);
    }
}

fn operation(value: u64) -> String {
    let name = match value {
        1 => "request",
        2 => "reply",
        3 => "reverse request",
        4 => "reverse reply",
        _ => return value.to_string(),
    };
    format!("{value} {name}")
}

fn fields(reader: &mut Reader<'_>) -> Option<()> {
    let first = reader.at * 8;
    let hardware = reader.uint(2, "arp.hw.type", "hardware type", |kind| {
        if kind == 1 { "1 Ethernet".into() } else { kind.to_string() }
    })?;
    let protocol = reader.uint(2, "arp.proto.type", "protocol type", ether_type)?;
    let size = reader.uint(1, "arp.hw.size", "hardware address length", decimal)?;
    let length = reader.uint(1, "arp.proto.size", "protocol address length", decimal)?;
    let operation = reader.uint(2, "arp.opcode", "operation", operation)?;
    // What is spoken on Ethernet: other sizes would say that a field was changed.
    if hardware == 1 && protocol == 0x0800 {
        if size != 6 {
            reader.problem_in(first + 32..first + 40, 6, format!("an Ethernet address has 6 bytes, not {size}"));
        }
        if length != 4 {
            reader.problem_in(first + 40..first + 48, 4, format!("an IPv4 address has 4 bytes, not {length}"));
        }
    } else if size == 6 && length == 4 {
        if hardware != 1 {
            reader.remark("Ethernet would be hardware type 1".into());
        }
        if protocol != 0x0800 {
            reader.remark("IPv4 would be protocol type 0x0800".into());
        }
    }
    if operation == 0 {
        reader.problem("operation 0 is reserved (RFC 5494)".into());
    }
    if (hardware, protocol, size, length) == (1, 0x0800, 6, 4) {
        reader.station("arp.src.hw_mac", "sender's hardware address")?;
        reader.ip4("arp.src.proto_ipv4", "sender's protocol address")?;
        reader.station("arp.dst.hw_mac", "target's hardware address")?;
        reader.ip4("arp.dst.proto_ipv4", "target's protocol address")?;
    } else {
        for (hardware, protocol) in [
            ("sender's hardware address", "sender's protocol address"),
            ("target's hardware address", "target's protocol address"),
        ] {
            for (size, name) in [(size, hardware), (length, protocol)] {
                if size > 0 {
                    reader.bytes(size as usize, "", name, octets)?;
                }
            }
        }
    }
    Some(())
}
