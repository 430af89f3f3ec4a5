//! Which field would have to be otherwise for nothing to be wrong.
//!
//! A checksum that is wrong says by how much the words add up to too much. For each field it covers there is at most
//! one other value that would make it right. Each of these is put into a copy of the packet, which is taken apart
//! again: only those are kept with which nothing else becomes wrong. So the checksum of TCP tells that it was not an
//! address that changed, and the length of a frame that it was the length of the packet.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use super::decode::Link;
use super::field::{Field, Layer, number, put};
use super::sum::{Verdict, Working};

/// Values that are tried for one packet.
const TRIED: usize = 1024;
/// Fields that are read for all of them together: a packet of very many fields is not read that often.
const FIELDS: usize = 1 << 20;
/// Longer fields are data: of their words only those are tried that one flipped bit would make right.
const DATA: usize = 16 * 8;

/// A value that would make everything right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The name of the layer.
    pub layer: &'static str,
    /// The name of the field, and which part of it where it is long.
    pub field: Cow<'static, str>,
    /// Where it stands.
    pub bits: Range<usize>,
    /// What it is.
    pub is: u64,
    /// What it would be.
    pub would_be: u64,
    /// How many checksums are right then.
    pub right: usize,
    /// How much speaks for it, besides the checksums.
    pub because: Because,
}

/// What speaks for a repair, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Because {
    /// Nothing but the sum.
    Sum,
    /// One bit is enough.
    OneBit,
    /// A router lowers the time to live, and this one has forgotten the checksum.
    Router,
    /// What the rest of the packet says.
    Structure,
}

impl Repair {
    /// How many bits differ.
    pub fn flips(&self) -> u32 {
        (self.is ^ self.would_be).count_ones()
    }

    /// Which bits of the packet differ.
    fn changed(&self) -> Vec<usize> {
        let differs = |bit: &usize| (self.is ^ self.would_be) >> (self.bits.end - 1 - bit) & 1 == 1;
        self.bits.clone().filter(differs).collect()
    }

    /// It is a part of what a program sent.
    pub fn is_data(&self) -> bool {
        self.layer == "data"
    }
}

/// How many checksums are wrong, with what cannot be; and how many are right.
fn judge(layers: &[Layer]) -> (usize, usize) {
    let own = || layers.iter().filter(|layer| !layer.is_quoted);
    let wrong =
        own().map(|layer| layer.problems.len() + usize::from(layer.checksum.as_ref().is_some_and(Working::is_wrong)));
    let right = own().filter(|layer| layer.checksum.as_ref().is_some_and(|sum| sum.verdict == Verdict::Right));
    (wrong.sum(), right.count())
}

pub(super) fn find(link: Link, bytes: &[u8], wire: usize, layers: &[Layer]) -> Vec<Repair> {
    let (before, _) = judge(layers);
    if before == 0 {
        return Vec::new();
    }
    let fields: usize = layers.iter().map(|layer| layer.fields.len()).sum();
    let most = (FIELDS / (fields + bytes.len() / 16 + 1)).clamp(16, TRIED);
    let mut candidates = Candidates { bytes, most, found: Vec::new() };
    candidates.of_structure(layers, wire);
    for (i, layer) in layers.iter().enumerate() {
        if let Some(working) = layer.checksum.as_ref().filter(|sum| sum.is_wrong() && !layer.is_quoted) {
            candidates.of_sum(&layers[..=i], &layers[i..], working);
        }
    }
    let mut copy = bytes.to_vec();
    let mut kept: Vec<(usize, Repair)> = Vec::new();
    for mut repair in candidates.found {
        if put(&mut copy, &repair.bits, repair.would_be).is_none() {
            continue;
        }
        let (wrong, right) = judge(&super::layers(link, &copy, wire));
        let _ = put(&mut copy, &repair.bits, repair.is);
        if wrong < before {
            repair.right = right;
            kept.push((wrong, repair));
        }
    }
    // A checksum that has become right speaks for a repair: one value in 65 536 would have done so by chance. A repair
    // after which it is not there any more, as with another protocol, has nothing to say against that.
    let best = kept.iter().map(|(wrong, repair)| (*wrong, std::cmp::Reverse(repair.right))).min();
    let mut kept: Vec<Repair> = kept
        .into_iter()
        .filter(|(wrong, repair)| Some((*wrong, std::cmp::Reverse(repair.right))) == best)
        .map(|(_, repair)| repair)
        .collect();
    // A byte that several fields share was tried as one too; where only one of them differs, that one is named.
    let mut changes = BTreeSet::new();
    kept.retain(|repair| changes.insert(repair.changed()));
    kept.sort_by_key(|repair| (std::cmp::Reverse(repair.because), repair.is_data(), repair.flips(), repair.bits.start));
    kept
}

struct Candidates<'a> {
    bytes: &'a [u8],
    most: usize,
    found: Vec<Repair>,
}

impl Candidates<'_> {
    fn add(&mut self, layer: &Layer, field: &Field, bits: Range<usize>, would_be: u64, because: Because) {
        let Some(is) = number(self.bytes, &bits) else { return };
        if is == would_be || self.found.len() >= self.most {
            return;
        }
        if let Some(same) = self.found.iter_mut().find(|repair| repair.bits == bits && repair.would_be == would_be) {
            same.because = same.because.max(because);
            return;
        }
        let because = if (is ^ would_be).count_ones() == 1 { because.max(Because::OneBit) } else { because };
        let name = if bits == field.bits {
            field.name.clone()
        } else {
            let first = bits.start / 8 - field.bits.start / 8;
            let last = bits.end.div_ceil(8) - field.bits.start / 8;
            let place =
                if first + 1 == last { format!("byte {first}") } else { format!("bytes {first} and {}", last - 1) };
            format!("{} ({place})", field.name).into()
        };
        self.found.push(Repair { layer: layer.name, field: name, bits, is, would_be, right: 0, because });
    }

    /// What the packet itself says some fields must be, and header lengths, of which there are few.
    fn of_structure(&mut self, layers: &[Layer], wire: usize) {
        for layer in layers.iter().filter(|layer| !layer.is_quoted) {
            for (bits, value) in layer.problems.iter().filter_map(|problem| problem.would_be.clone()) {
                if let Some(field) = layer.fields.iter().find(|field| field.bits == bits) {
                    self.add(layer, field, bits, value, Because::Structure);
                }
            }
            for field in &layer.fields {
                let there = wire - layer.bytes.start.min(wire);
                match field.key {
                    "ip.len" => self.add(layer, field, field.bits.clone(), there as u64, Because::Structure),
                    "ipv6.plen" => {
                        self.add(layer, field, field.bits.clone(), there.saturating_sub(40) as u64, Because::Structure);
                    }
                    "ip.hdr_len" | "tcp.hdr_len" => {
                        let byte = field.bits.start / 8;
                        let both = shared_bytes(layer, &(byte..byte + 1));
                        for words in 5..=15 {
                            self.add(layer, field, field.bits.clone(), words, Because::Sum);
                            if let (Some(both), "ip.hdr_len") = (both.first(), field.key) {
                                self.add(layer, both, both.bits.clone(), 0x40 | words, Because::Sum); // and the version
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The values that would make a sum right. `outer` are the layers up to the one it belongs to, `inner` from it on.
    fn of_sum(&mut self, outer: &[Layer], inner: &[Layer], working: &Working) {
        let excess = u64::from(working.excess());
        for layer in inner {
            for field in &layer.fields {
                let bytes = field.bytes();
                if bytes.start < working.over.start || bytes.end > working.over.end {
                    continue;
                }
                if bytes.start == working.field {
                    self.add(layer, field, field.bits.clone(), working.computed.into(), Because::Sum);
                    continue;
                }
                self.of_field(layer, field, working.over.start, excess);
            }
            for byte in shared_bytes(layer, &working.over) {
                self.of_field(layer, &byte, working.over.start, excess);
            }
        }
        if working.pseudo == 0 {
            return;
        }
        let Some(ip) = outer.iter().rev().find(|layer| matches!(layer.name, "IPv4" | "IPv6")) else { return };
        for field in &ip.fields {
            match field.key {
                "ip.src" | "ip.dst" | "ipv6.src" | "ipv6.dst" => self.of_field(ip, field, field.bits.start / 8, excess),
                _ => {}
            }
        }
    }

    /// `base` is where the words of the sum begin. A number in the middle of a word counts shifted, and one that spans
    /// two words does too: 2 to the 16th is 1 in this arithmetic.
    fn of_field(&mut self, layer: &Layer, field: &Field, base: usize, excess: u64) {
        const ONES: u64 = 0xffff;
        let is_data = field.bits.len() > DATA;
        let mut start = field.bits.start;
        while start < field.bits.end {
            // Longer than a word: by the words of the sum, so that a byte is never in two pieces.
            let word = start + 16 - (start - base * 8) % 16;
            let end = if field.bits.len() > 16 { field.bits.end.min(word) } else { field.bits.end };
            let bits = start..end;
            start = end;
            let Some(is) = number(self.bytes, &bits) else { return };
            let shift = (16 - (bits.end - base * 8) % 16) % 16;
            let change = (ONES - excess) * (1 << (16 - shift)) % ONES;
            let most = (1 << bits.len()) - 1;
            for would_be in [is + change, (is + change).wrapping_sub(ONES)] {
                if would_be <= most && (!is_data || (is ^ would_be).count_ones() == 1) {
                    let because = match field.key {
                        "ip.ttl" if would_be > is && (would_be - is <= 3 || [32, 64, 128, 255].contains(&would_be)) => {
                            Because::Router
                        }
                        _ => Because::Sum,
                    };
                    self.add(layer, field, bits.clone(), would_be, because);
                }
            }
        }
    }
}

/// The bytes that several fields share, each as one: damage to a byte may be damage to all of them.
fn shared_bytes(layer: &Layer, over: &Range<usize>) -> Vec<Field> {
    let mut shared: Vec<(Field, usize)> = Vec::new();
    for field in layer.fields.iter().filter(|field| field.is_partial()) {
        for at in field.bytes().filter(|at| over.contains(at)) {
            let bits = at * 8..at * 8 + 8;
            match shared.iter_mut().find(|(same, _)| same.bits == bits) {
                Some((same, count)) => {
                    same.name = format!("{}, {}", same.name, field.name).into();
                    *count += 1;
                }
                None => shared.push((Field { key: "", name: field.name.clone(), bits, text: String::new() }, 1)),
            }
        }
    }
    shared.into_iter().filter(|(_, count)| *count > 1).map(|(field, _)| field).collect()
}
