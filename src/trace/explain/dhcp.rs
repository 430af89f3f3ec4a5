//! DHCP (RFC 2131) and its options (RFC 2132).

use std::net::Ipv4Addr;
use std::ops::Range;

use super::decode::Decoder;
use super::reader::{Reader, decimal, octets};

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let mut reader = decoder.reader("DHCP", span);
    let _ = fields(&mut reader);
    let rest = reader.at..reader.end;
    decoder.push(reader);
    decoder.data(rest);
}

fn operation(value: u64) -> String {
    match value {
        1 => "1 request".into(),
        2 => "2 reply".into(),
        _ => value.to_string(),
    }
}

/// Up to the first zero, as far as it can be printed.
fn text(bytes: &[u8]) -> String {
    let said = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    if said.is_empty() { "not given".into() } else { format!("\"{}\"", said.escape_ascii()) }
}

fn fields(reader: &mut Reader<'_>) -> Option<()> {
    reader.uint(1, "dhcp.type", "operation", operation)?;
    reader.uint(1, "dhcp.hw.type", "hardware type", decimal)?;
    let length = reader.uint(1, "dhcp.hw.len", "hardware address length", decimal)?;
    reader.uint(1, "dhcp.hops", "hops", decimal)?;
    reader.uint(4, "dhcp.id", "transaction", |value| format!("{value:#010x}"))?;
    reader.uint(2, "dhcp.secs", "seconds", decimal)?;
    reader.flag(0, "dhcp.flags.bc", "broadcast")?;
    reader.bits(1..16, "dhcp.flags.reserved", "reserved", decimal)?;
    reader.skip(2)?;
    reader.ip4("dhcp.ip.client", "client's address")?;
    reader.ip4("dhcp.ip.your", "your address")?;
    reader.ip4("dhcp.ip.server", "next server's address")?;
    reader.ip4("dhcp.ip.relay", "relay's address")?;
    if length == 6 {
        reader.station("dhcp.hw.mac_addr", "client's hardware address")?;
        reader.bytes(10, "dhcp.hw.addr_padding", "padding", |_| "10 bytes".into())?;
    } else {
        reader.bytes(16, "", "client's hardware address", octets)?;
    }
    reader.bytes(64, "", "server's name", text)?;
    reader.bytes(128, "", "boot file", text)?;
    let cookie = reader.uint(4, "dhcp.cookie", "magic cookie", |value| format!("{value:#010x}"))?;
    if cookie != 0x6382_5363 {
        reader.remark("not the cookie of DHCP: what follows is BOOTP's".into());
        return Some(());
    }
    while reader.left() > 0 {
        let kind = reader.uint(1, "dhcp.option.type", "option", |kind| format!("{kind} {}", option_name(kind)))?;
        match kind {
            0 => continue,
            255 => break,
            _ => {}
        }
        let length = reader.uint(1, "dhcp.option.length", "length", decimal)? as usize;
        if length > reader.left() {
            reader.problem(format!("an option of {length} bytes does not fit"));
            return None;
        }
        if length > 0 {
            reader.bytes(length, "", "value", |bytes| value(kind, bytes))?;
        }
    }
    if reader.left() > 0 {
        reader.rest("", "padding");
    }
    Some(())
}

fn option_name(kind: u64) -> &'static str {
    match kind {
        0 => "pad",
        1 => "subnet mask",
        3 => "router",
        6 => "domain name servers",
        12 => "host name",
        15 => "domain name",
        26 => "interface MTU",
        28 => "broadcast address",
        50 => "requested address",
        51 => "lease time",
        53 => "message type",
        54 => "server identifier",
        55 => "parameters asked for",
        56 => "message",
        57 => "longest message",
        58 => "renewal time",
        59 => "rebinding time",
        60 => "vendor class",
        61 => "client identifier",
        255 => "end",
        _ => "",
    }
}

fn message_type(kind: u8) -> &'static str {
    let names = ["", "discover", "offer", "request", "decline", "ack", "nak", "release", "inform"];
    names.get(usize::from(kind)).copied().unwrap_or("")
}

fn value(kind: u64, bytes: &[u8]) -> String {
    match (kind, bytes) {
        (53, &[kind]) => format!("{kind} {}", message_type(kind)),
        (1 | 3 | 6 | 28 | 50 | 54, _) if bytes.len().is_multiple_of(4) => {
            let addresses = bytes.as_chunks().0.iter().map(|&octets| Ipv4Addr::from_octets(octets).to_string());
            addresses.collect::<Vec<_>>().join(", ")
        }
        (51 | 58 | 59, &[a, b, c, d]) => match u32::from_be_bytes([a, b, c, d]) {
            u32::MAX => "for ever".into(),
            seconds => format!("{seconds} s"),
        },
        (26 | 57, &[a, b]) => u16::from_be_bytes([a, b]).to_string(),
        (12 | 15 | 56 | 60, _) => format!("\"{}\"", bytes.escape_ascii()),
        (55, _) => bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", "),
        _ => format!("{} bytes", bytes.len()),
    }
}
