//! What carries IP: Ethernet with VLAN tags, and the headers that captures have in its place.

use std::ops::Range;

use super::decode::{Decoder, Link};
use super::reader::{Reader, decimal, hex16, octets};

/// Tags that are followed; more are a sign that something is wrong.
const TAGS: usize = 8;

const IP4: u64 = 0x0800;
const ARP: u64 = 0x0806;
const IP6: u64 = 0x86dd;

/// An Ethernet type in words.
pub(super) fn ether_type(kind: u64) -> String {
    let name = match kind {
        IP4 => "IPv4",
        ARP => "ARP",
        IP6 => "IPv6",
        0x8035 => "RARP",
        0x8100 => "802.1Q VLAN tag",
        0x88a8 => "802.1ad VLAN tag",
        0x88cc => "LLDP",
        0x8863 => "PPPoE discovery",
        0x8864 => "PPPoE session",
        0x8847 => "MPLS",
        ..=1500 => return format!("{kind} bytes: a length (IEEE 802.3)"),
        _ => return format!("{kind:#06x}"),
    };
    format!("{kind:#06x} {name}")
}

/// Begins with whatever the capture begins with.
pub(super) fn decode(decoder: &mut Decoder<'_>, link: Link) {
    let span = 0..decoder.wire;
    match link {
        Link::Ethernet => ethernet(decoder, span),
        Link::Ip => ip(decoder, span),
        Link::Null => null(decoder, span),
        Link::Cooked => cooked(decoder, span),
        Link::Cooked2 => cooked2(decoder, span),
        Link::Other(number) => {
            let mut reader = decoder.reader("data", span);
            reader.remark(format!("link type {number} is not one of those that are explained here"));
            reader.rest("", "frame");
            decoder.push(reader);
        }
    }
}

fn ethernet(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let mut reader = decoder.reader("Ethernet II", span);
    let kind = ethernet_fields(&mut reader);
    let rest = reader.at..reader.end;
    decoder.push(reader);
    if let Some(kind) = kind {
        behind(decoder, rest, kind);
    }
}

fn ethernet_fields(reader: &mut Reader<'_>) -> Option<u64> {
    reader.station("eth.dst", "destination")?;
    reader.station("eth.src", "source")?;
    let kind = reader.uint(2, "eth.type", "type", ether_type)?;
    if kind <= 1500 {
        reader.rename("Ethernet (802.3)");
    }
    Some(kind)
}

/// What an Ethernet type announces, behind its VLAN tags.
fn behind(decoder: &mut Decoder<'_>, mut rest: Range<usize>, mut kind: u64) {
    for _ in 0..TAGS {
        if !matches!(kind, 0x8100 | 0x88a8) {
            break;
        }
        let mut reader = decoder.reader("VLAN tag", rest);
        let next = tag(&mut reader, kind == 0x88a8);
        rest = reader.at..reader.end;
        decoder.push(reader);
        match next {
            Some(next) => kind = next,
            None => return,
        }
    }
    match kind {
        IP4 => super::ip4::decode(decoder, rest),
        IP6 => super::ip6::decode(decoder, rest),
        ARP => super::arp::decode(decoder, rest),
        _ => decoder.data(rest),
    }
}

fn tag(reader: &mut Reader<'_>, is_of_provider: bool) -> Option<u64> {
    let [priority, dei, id, kind] = if is_of_provider {
        ["ieee8021ad.priority", "ieee8021ad.dei", "ieee8021ad.id", ""]
    } else {
        ["vlan.priority", "vlan.dei", "vlan.id", "vlan.etype"]
    };
    reader.bits(0..3, priority, "priority", decimal)?;
    reader.flag(3, dei, "drop eligible")?;
    reader.bits(4..16, id, "VLAN identifier", decimal)?;
    reader.skip(2)?;
    reader.uint(2, kind, "type", ether_type)
}

fn ip(decoder: &mut Decoder<'_>, span: Range<usize>) {
    match decoder.packet.first().map(|byte| byte >> 4) {
        Some(4) => super::ip4::decode(decoder, span),
        Some(6) => super::ip6::decode(decoder, span),
        version => {
            let mut reader = decoder.reader("IP", span);
            match version {
                Some(version) => {
                    reader.problem(format!("version {version}: an IP packet begins with 4 or 6"));
                    let _ = reader.bits(0..4, "", "version", decimal);
                    reader.rest("", "packet");
                }
                None => reader.problem("there are no bytes".into()),
            }
            decoder.push(reader);
        }
    }
}

/// BSD's loopback: the address family, in the byte order of the machine that captured.
fn null(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let mut reader = decoder.reader("loopback header", span);
    let family = reader.bytes(4, "", "address family", |bytes| format!("{}", bytes[0].max(bytes[3])));
    let rest = reader.at..reader.end;
    decoder.push(reader);
    match family {
        Some([2, 0, 0, 0] | [0, 0, 0, 2]) => super::ip4::decode(decoder, rest),
        Some([10 | 24 | 28 | 30, 0, 0, 0] | [0, 0, 0, 10 | 24 | 28 | 30]) => super::ip6::decode(decoder, rest),
        Some(_) => decoder.data(rest),
        None => {}
    }
}

fn packet_type(value: u64) -> String {
    let name = match value {
        0 => "to us",
        1 => "broadcast",
        2 => "multicast",
        3 => "to somebody else",
        4 => "sent by us",
        _ => return value.to_string(),
    };
    format!("{value} {name}")
}

/// `tcpdump -i any`.
fn cooked(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let mut reader = decoder.reader("Linux cooked capture v1", span);
    let mut fields = || {
        reader.uint(2, "sll.pkttype", "packet type", packet_type)?;
        reader.uint(2, "sll.hatype", "device type", decimal)?;
        reader.uint(2, "sll.halen", "address length", decimal)?;
        reader.bytes(8, "", "source address", octets)?;
        reader.uint(2, "sll.etype", "protocol", ether_type)
    };
    let kind = fields();
    let rest = reader.at..reader.end;
    decoder.push(reader);
    if let Some(kind) = kind {
        behind(decoder, rest, kind);
    }
}

/// `tcpdump -i any`, since libpcap 1.10.
fn cooked2(decoder: &mut Decoder<'_>, span: Range<usize>) {
    let mut reader = decoder.reader("Linux cooked capture v2", span);
    let mut fields = || {
        let kind = reader.uint(2, "sll.etype", "protocol", ether_type)?;
        reader.uint(2, "", "reserved", hex16)?;
        reader.uint(4, "sll.ifindex", "interface index", decimal)?;
        reader.uint(2, "sll.hatype", "device type", decimal)?;
        reader.uint(1, "sll.pkttype", "packet type", packet_type)?;
        reader.uint(1, "sll.halen", "address length", decimal)?;
        reader.bytes(8, "", "source address", octets)?;
        Some(kind)
    };
    let kind = fields();
    let rest = reader.at..reader.end;
    decoder.push(reader);
    if let Some(kind) = kind {
        behind(decoder, rest, kind);
    }
}
