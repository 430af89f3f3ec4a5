//! What IGMPv3 and MLDv2 have in common: the same fields, with addresses of their own family (RFC 9776, RFC 3810).

use super::reader::{Reader, decimal};

/// Of either protocol: how Wireshark calls its fields, and how its addresses are read.
pub(super) struct Protocol {
    pub(super) suppress: &'static str,
    pub(super) robustness: &'static str,
    pub(super) interval: &'static str,
    pub(super) query_sources: &'static str,
    pub(super) query_source: &'static str,
    pub(super) records: &'static str,
    pub(super) record_type: &'static str,
    pub(super) auxiliary: &'static str,
    pub(super) record_sources: &'static str,
    pub(super) group: &'static str,
    pub(super) record_source: &'static str,
    pub(super) address: fn(&mut Reader<'_>, &'static str, &'static str) -> Option<()>,
}

/// What a query has behind its group (RFC 9776 §4.1.5, RFC 3810 §5.1.6).
pub(super) fn query(reader: &mut Reader<'_>, protocol: &Protocol) -> Option<()> {
    reader.bits(0..4, "", "reserved", decimal)?;
    reader.flag(4, protocol.suppress, "suppress router-side processing")?;
    reader.bits(5..8, protocol.robustness, "querier's robustness variable", decimal)?;
    reader.skip(1)?;
    reader.uint(1, protocol.interval, "querier's query interval code", decimal)?;
    let sources = reader.uint(2, protocol.query_sources, "number of sources", decimal)?;
    for _ in 0..sources {
        (protocol.address)(reader, protocol.query_source, "source")?;
    }
    Some(())
}

/// What a report has behind its checksum and the reserved field (RFC 9776 §4.2.4, RFC 3810 §5.2.4).
pub(super) fn report(reader: &mut Reader<'_>, protocol: &Protocol) -> Option<()> {
    let records = reader.uint(2, protocol.records, "number of records", decimal)?;
    for _ in 0..records {
        reader.uint(1, protocol.record_type, "record type", record_name)?;
        let words = reader.uint(1, protocol.auxiliary, "length of auxiliary data", decimal)?;
        let sources = reader.uint(2, protocol.record_sources, "number of sources", decimal)?;
        (protocol.address)(reader, protocol.group, "multicast address")?;
        for _ in 0..sources {
            (protocol.address)(reader, protocol.record_source, "source")?;
        }
        if words > 0 {
            let count = words as usize * 4;
            reader.bytes(count, "", "auxiliary data", |bytes| format!("{} bytes", bytes.len()))?;
        }
    }
    Some(())
}

fn record_name(kind: u64) -> String {
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
