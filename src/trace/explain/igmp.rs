//! IGMP: versions 1 and 2 (RFC 2236), and 3 (RFC 9776).

use std::ops::Range;

use super::decode::{Carrier, Decoder, check};
use super::reader::{Reader, decimal, hex16};

pub(super) fn decode(decoder: &mut Decoder<'_>, span: Range<usize>, carrier: &Carrier) {
    let mut reader = decoder.reader("IGMP", span);
    let is_whole = fields(&mut reader, carrier).is_some();
    let rest = reader.at..reader.end;
    decoder.push(reader);
    if is_whole {
        decoder.data(rest);
    }
}

fn name(kind: u64) -> String {
    let name = match kind {
        0x11 => "membership query",
        0x12 => "membership report, version 1",
        0x16 => "membership report, version 2",
        0x17 => "leave group",
        0x22 => "membership report, version 3",
        _ => return format!("{kind:#04x}"),
    };
    format!("{kind:#04x} {name}")
}

/// The type of a record in a report of IGMPv3 or MLDv2.
pub(super) fn record_name(kind: u64) -> String {
    let name = match kind {
        1 => "mode is include",
        2 => "mode is exclude",
        3 => "change to include",
        4 => "change to exclude",
        5 => "allow new sources",
        6 => "block old sources",
        _ => return kind.to_string(),
    };
    format!("{kind} {name}")
}

fn fields(reader: &mut Reader<'_>, carrier: &Carrier) -> Option<()> {
    let over = reader.at..reader.end;
    let kind = reader.uint(1, "igmp.type", "type", name)?;
    let is_report3 = kind == 0x22;
    if is_report3 {
        reader.uint(1, "", "reserved", decimal)?;
    } else {
        reader.uint(1, "igmp.max_resp", "maximum response time", |tenths| format!("{tenths} tenths of a second"))?;
    }
    reader.uint(2, "igmp.checksum", "checksum", hex16)?;
    let working = check(reader, over, carrier, false, 2, ["the message before the checksum", "the message after it"]);
    reader.layer().checksum = working;
    if is_report3 {
        reader.uint(2, "", "reserved", hex16)?;
        let records = reader.uint(2, "igmp.num_grp_recs", "number of records", decimal)?;
        for _ in 0..records {
            reader.uint(1, "igmp.record_type", "record type", record_name)?;
            let words = reader.uint(1, "igmp.aux_data_len", "length of auxiliary data", decimal)?;
            let sources = reader.uint(2, "igmp.num_src", "number of sources", decimal)?;
            reader.ip4("igmp.maddr", "multicast address")?;
            for _ in 0..sources {
                reader.ip4("igmp.saddr", "source")?;
            }
            if words > 0 {
                let count = words as usize * 4;
                reader.bytes(count, "", "auxiliary data", |bytes| format!("{} bytes", bytes.len()))?;
            }
        }
        return Some(());
    }
    reader.ip4("igmp.maddr", "multicast address")?;
    if kind == 0x11 && reader.left() >= 4 {
        reader.bits(0..4, "", "reserved", decimal)?;
        reader.flag(4, "igmp.s", "suppress router-side processing")?;
        reader.bits(5..8, "igmp.qrv", "querier's robustness variable", decimal)?;
        reader.skip(1)?;
        reader.uint(1, "igmp.qqic", "querier's query interval code", decimal)?;
        let sources = reader.uint(2, "igmp.num_src", "number of sources", decimal)?;
        for _ in 0..sources {
            reader.ip4("igmp.saddr", "source")?;
        }
    }
    Some(())
}
