//! IGMP: versions 1 and 2 (RFC 2236), and 3 (RFC 9776).

use std::ops::Range;

use super::decode::{Carrier, Decoder, check};
use super::membership::{self, Protocol};
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

const IGMP: Protocol = Protocol {
    suppress: "igmp.s",
    robustness: "igmp.qrv",
    interval: "igmp.qqic",
    query_sources: "igmp.num_src",
    query_source: "igmp.saddr",
    records: "igmp.num_grp_recs",
    record_type: "igmp.record_type",
    auxiliary: "igmp.aux_data_len",
    record_sources: "igmp.num_src",
    group: "igmp.maddr",
    record_source: "igmp.saddr",
    address: |reader, key, name| reader.ip4(key, name).map(|_| ()),
};

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
        return membership::report(reader, &IGMP);
    }
    reader.ip4("igmp.maddr", "multicast address")?;
    if kind == 0x11 && reader.left() >= 4 {
        membership::query(reader, &IGMP)?;
    }
    Some(())
}
