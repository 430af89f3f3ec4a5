//! Reads a header field by field, and says why where it cannot go on.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::super::frame::Station;
use super::field::{Field, Layer, Problem, number};

/// The bytes from `at` to `end`, as the layer that carries them has it. `end` may lie behind what was captured.
pub(super) struct Reader<'a> {
    packet: &'a [u8],
    begin: usize,
    pub(super) at: usize,
    pub(super) end: usize,
    layer: Layer,
}

/// A number as people write it.
pub(super) fn decimal(value: u64) -> String {
    value.to_string()
}

/// A number of 16 bits as people write it where it is no amount.
pub(super) fn hex16(value: u64) -> String {
    format!("{value:#06x}")
}

/// Bytes that are no number, as the column beside them has them.
pub(super) fn octets(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'a [u8], name: &'static str, span: Range<usize>, is_quoted: bool) -> Reader<'a> {
        let layer = Layer {
            name,
            bytes: span.clone(),
            fields: Vec::new(),
            checksum: None,
            problems: Vec::new(),
            remarks: Vec::new(),
            is_quoted,
        };
        Reader { packet, begin: span.start, at: span.start, end: span.end, layer }
    }

    /// The layer, from where it began to where the reader is.
    pub(super) fn finish(mut self) -> Layer {
        self.layer.bytes = self.begin..self.at;
        self.layer
    }

    pub(super) fn layer(&mut self) -> &mut Layer {
        &mut self.layer
    }

    pub(super) fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// What is left of the layer, captured or not.
    pub(super) fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    pub(super) fn is_quoted(&self) -> bool {
        self.layer.is_quoted
    }

    /// What the layer is called when its kind is known.
    pub(super) fn rename(&mut self, name: &'static str) {
        self.layer.name = name;
    }

    /// The next bytes, without taking them.
    pub(super) fn peek(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        if end <= self.end
            && let Some(bytes) = self.packet.get(self.at..end)
        {
            return Some(bytes);
        }
        let name = self.layer.name;
        let (from, left) = (self.at, self.left());
        if end > self.end && !self.layer.is_quoted {
            self.problem(format!("{name}: {count} bytes are needed from byte {from} on, {left} are left"));
        } else if end > self.end {
            self.remark("the quotation ends here".into());
        } else {
            self.remark("the capture ends here".into());
        }
        None
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.peek(count)?;
        self.at += count;
        Some(())
    }

    /// Something cannot be. In a quotation it is no more than remarkable.
    pub(super) fn problem(&mut self, text: String) {
        if self.layer.is_quoted {
            self.remark(text);
        } else {
            self.layer.problems.push(Problem { text, would_be: None });
        }
    }

    /// A field has a value that cannot be, and there is one that would be right.
    pub(super) fn problem_in(&mut self, bits: Range<usize>, would_be: u64, text: String) {
        if self.layer.is_quoted {
            self.remark(text);
        } else {
            self.layer.problems.push(Problem { text, would_be: Some((bits, would_be)) });
        }
    }

    pub(super) fn remark(&mut self, text: String) {
        if !self.layer.remarks.contains(&text) {
            self.layer.remarks.push(text);
        }
    }

    fn push(&mut self, key: &'static str, name: Cow<'static, str>, bits: Range<usize>, text: String) {
        self.layer.fields.push(Field { key, name, bits, text });
    }

    /// Bits from the reader's place on, which stays where it is.
    pub(super) fn bits(
        &mut self,
        range: Range<usize>,
        key: &'static str,
        name: &'static str,
        say: impl FnOnce(u64) -> String,
    ) -> Option<u64> {
        self.peek(range.end.div_ceil(8))?;
        let bits = self.at * 8 + range.start..self.at * 8 + range.end;
        let value = number(self.packet, &bits)?;
        self.push(key, name.into(), bits, say(value));
        Some(value)
    }

    /// One bit that is set or not.
    pub(super) fn flag(&mut self, bit: usize, key: &'static str, name: &'static str) -> Option<bool> {
        let value = self.bits(bit..bit + 1, key, name, |set| if set == 1 { "set".into() } else { "not set".into() })?;
        Some(value == 1)
    }

    /// Bits that mean nothing yet.
    pub(super) fn reserved(&mut self, range: Range<usize>, key: &'static str) -> Option<()> {
        let value = self.bits(range, key, "reserved", decimal)?;
        if value != 0 {
            self.remark(format!("reserved bits are set ({value:#x})"));
        }
        Some(())
    }

    /// A number of 1 to 8 bytes.
    pub(super) fn uint(
        &mut self,
        bytes: usize,
        key: &'static str,
        name: impl Into<Cow<'static, str>>,
        say: impl FnOnce(u64) -> String,
    ) -> Option<u64> {
        self.peek(bytes)?;
        let bits = self.at * 8..(self.at + bytes) * 8;
        let value = number(self.packet, &bits)?;
        self.push(key, name.into(), bits, say(value));
        self.at += bytes;
        Some(value)
    }

    pub(super) fn bytes(
        &mut self,
        count: usize,
        key: &'static str,
        name: impl Into<Cow<'static, str>>,
        say: impl FnOnce(&[u8]) -> String,
    ) -> Option<&'a [u8]> {
        let bytes = self.peek(count)?;
        self.push(key, name.into(), self.at * 8..(self.at + count) * 8, say(bytes));
        self.at += count;
        Some(bytes)
    }

    pub(super) fn station(&mut self, key: &'static str, name: impl Into<Cow<'static, str>>) -> Option<[u8; 6]> {
        let address: [u8; 6] = *self.peek(6)?.first_chunk()?;
        self.bytes(6, key, name, |_| Station(address).to_string())?;
        Some(address)
    }

    pub(super) fn ip4(&mut self, key: &'static str, name: impl Into<Cow<'static, str>>) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_octets(*self.peek(4)?.first_chunk()?);
        self.bytes(4, key, name, |_| address.to_string())?;
        Some(address)
    }

    pub(super) fn ip6(&mut self, key: &'static str, name: impl Into<Cow<'static, str>>) -> Option<Ipv6Addr> {
        let address = Ipv6Addr::from_octets(*self.peek(16)?.first_chunk()?);
        self.bytes(16, key, name, |_| address.to_string())?;
        Some(address)
    }

    /// What is left and captured, as one field. Nothing where nothing is left.
    pub(super) fn rest(&mut self, key: &'static str, name: impl Into<Cow<'static, str>>) {
        let count = self.left();
        let there = count.min(self.packet.len().saturating_sub(self.at));
        if there > 0 {
            let _ = self.bytes(there, key, name, |bytes| format!("{} bytes", bytes.len()));
        }
        if there < count {
            self.remark(format!("{} more bytes were not captured", count - there));
        }
    }
}
