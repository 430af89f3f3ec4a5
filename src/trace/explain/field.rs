//! What an explanation consists of: layers, and fields with the bits they stand in.

use std::borrow::Cow;
use std::ops::Range;

use super::sum::Working;

/// A packet, taken apart.
#[derive(Debug, Clone)]
pub struct Packet<'a> {
    /// The bytes that were captured.
    pub bytes: &'a [u8],
    /// How many there were on the wire.
    pub wire: usize,
    /// From the outermost to the innermost.
    pub layers: Vec<Layer>,
    /// What would have to be otherwise for nothing to be wrong, the likeliest first; empty where nothing is wrong.
    pub repairs: Vec<super::Repair>,
}

impl Packet<'_> {
    /// Whether a checksum is wrong or a field says what cannot be. What an ICMP error quotes does not count: routers
    /// quote packets that they have changed. Nor does a checksum that was left to the interface.
    pub fn is_damaged(&self) -> bool {
        self.layers.iter().any(Layer::is_damaged)
    }
}

/// A header, or the data behind the last one.
#[derive(Debug, Clone)]
pub struct Layer {
    /// As a person calls it.
    pub name: &'static str,
    /// Where it stands in the packet.
    pub bytes: Range<usize>,
    /// In the order of the packet.
    pub fields: Vec<Field>,
    /// Its checksum, if it has one that could be worked out.
    pub checksum: Option<Working>,
    /// What cannot be; nothing in a quotation.
    pub problems: Vec<Problem>,
    /// What a reader should know.
    pub remarks: Vec<String>,
    /// It is a part of what an ICMP error quotes.
    pub is_quoted: bool,
}

impl Layer {
    /// Whether its checksum is wrong or a field says what cannot be.
    pub fn is_damaged(&self) -> bool {
        !self.problems.is_empty() || !self.is_quoted && self.checksum.as_ref().is_some_and(Working::is_wrong)
    }

    /// The first field that Wireshark calls so.
    pub fn field(&self, key: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.key == key)
    }
}

/// A field of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What Wireshark's display filters call it; empty where they have no name for it.
    pub key: &'static str,
    /// What its RFC calls it.
    pub name: Cow<'static, str>,
    /// Its first bit and the one behind its last, counted from the first of the packet.
    pub bits: Range<usize>,
    /// What it says.
    pub text: String,
}

impl Field {
    /// The bytes it stands in.
    pub fn bytes(&self) -> Range<usize> {
        self.bits.start / 8..self.bits.end.div_ceil(8)
    }

    /// Whether it begins or ends within a byte.
    pub fn is_partial(&self) -> bool {
        !self.bits.start.is_multiple_of(8) || !self.bits.end.is_multiple_of(8)
    }
}

/// Something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A sentence.
    pub text: String,
    /// Which bits would have to be what, where only one value can be right.
    pub would_be: Option<(Range<usize>, u64)>,
}

/// The bits of `range` as a number; the low 64 of them where there are more. `None` where they are not all there.
pub(super) fn number(bytes: &[u8], range: &Range<usize>) -> Option<u64> {
    let taken = bytes.get(range.start / 8..range.end.div_ceil(8))?;
    let value = taken.iter().fold(0_u128, |value, &byte| value << 8 | u128::from(byte));
    let (tail, width) = ((8 - range.end % 8) % 8, range.len());
    let value = (value >> tail) as u64;
    Some(if width >= 64 { value } else { value & ((1 << width) - 1) })
}

/// Writes a number into the bits of `range`, which are at most 32.
pub(super) fn put(bytes: &mut [u8], range: &Range<usize>, value: u64) -> Option<()> {
    let taken = bytes.get_mut(range.start / 8..range.end.div_ceil(8)).filter(|taken| taken.len() <= 8)?;
    let tail = (8 - range.end % 8) % 8;
    let mask = ((1_u64 << range.len().min(56)) - 1) << tail;
    let old = taken.iter().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    let new = old & !mask | value << tail & mask;
    let length = taken.len();
    for (i, byte) in taken.iter_mut().enumerate() {
        *byte = (new >> (8 * (length - 1 - i))) as u8;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_and_written_across_bytes() {
        let mut bytes = [0x45, 0xff, 0x12, 0x34];
        assert_eq!(number(&bytes, &(0..4)), Some(4));
        assert_eq!(number(&bytes, &(4..8)), Some(5));
        assert_eq!(number(&bytes, &(19..32)), Some(0x1234));
        assert_eq!(number(&bytes, &(24..40)), None);
        put(&mut bytes, &(4..12), 0x6a).unwrap();
        assert_eq!(bytes, [0x46, 0xaf, 0x12, 0x34]);
        assert_eq!(number(&bytes, &(4..12)), Some(0x6a));
        assert!(put(&mut bytes, &(24..40), 0).is_none());
    }
}
