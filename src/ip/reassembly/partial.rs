use std::collections::BTreeMap;

use super::{Fragment, Whole};
use crate::observe::{Cast, Time};

/// What a piece costs besides its bytes: its place in the map and its allocation.
const PIECE_COST: usize = 64;

/// As much of the first fragment as an ICMPv6 error may quote; ICMP quotes less.
const ORIGINAL: usize = 1232;

/// The longest IPv4 packet, and the longest payload of an IPv6 packet.
const LONGEST: usize = 65_535;
const IPV6_HEADER: usize = 40;

/// What has come of one datagram.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) number: u64,
    pub(super) deadline: Time,
    /// By offset; no two overlap.
    pieces: BTreeMap<usize, Box<[u8]>>,
    /// The bytes in all pieces together.
    held: usize,
    /// Where the datagram ends, once its last fragment has come.
    end: Option<usize>,
    first: Option<First>,
    cast: Cast,
    /// Fragments contradicted each other: nothing of it is kept, and nothing is taken any more.
    is_spoilt: bool,
}

/// What only the fragment at offset 0 tells.
#[derive(Debug)]
struct First {
    original: Vec<u8>,
    head: usize,
    next_field: usize,
}

/// What a fragment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    Waits,
    Complete,
    /// It brought nothing new.
    Duplicate,
    /// It says something else than an earlier one, or, for IPv6, anything twice.
    Conflict,
}

impl Partial {
    pub(super) fn new(number: u64, deadline: Time, cast: Cast) -> Partial {
        Partial { number, deadline, pieces: BTreeMap::new(), held: 0, end: None, first: None, cast, is_spoilt: false }
    }

    /// The memory that its pieces need.
    pub(super) fn cost(&self) -> usize {
        let original = self.first.as_ref().map_or(0, |first| first.original.len());
        self.pieces.len() * PIECE_COST + self.held + original
    }

    /// What a fragment costs; more, if it is cut around what is held.
    pub(super) fn cost_of(fragment: &Fragment<'_>) -> usize {
        let original = if fragment.offset == 0 { fragment.packet.len().min(original_length(fragment)) } else { 0 };
        PIECE_COST + fragment.data.len() + original
    }

    pub(super) fn cast(&self) -> Cast {
        self.cast
    }

    pub(super) fn into_original(self) -> Option<Vec<u8>> {
        self.first.map(|first| first.original)
    }

    pub(super) fn add(&mut self, fragment: &Fragment<'_>) -> Added {
        if self.is_spoilt || self.contradicts_end(fragment) {
            return self.spoil();
        }
        let end = fragment.offset + fragment.data.len();
        let gaps = match self.gaps(fragment.offset, fragment.data, fragment.key.source.is_ipv4()) {
            Some(gaps) => gaps,
            None => return self.spoil(),
        };
        let is_news = !gaps.is_empty() || (!fragment.more && self.end.is_none());
        if !is_news {
            return Added::Duplicate;
        }
        for (from, to) in gaps {
            self.pieces.insert(from, fragment.data[from - fragment.offset..to - fragment.offset].into());
            self.held += to - from;
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if fragment.cast == Cast::Group {
            self.cast = Cast::Group;
        }
        if fragment.offset == 0 && self.first.is_none() {
            let length = fragment.packet.len().min(original_length(fragment));
            self.first = Some(First {
                original: fragment.packet[..length].to_vec(),
                head: fragment.head,
                next_field: fragment.next_field,
            });
        }
        if self.end == Some(self.held) && self.first.is_some() { Added::Complete } else { Added::Waits }
    }

    /// Whether it puts the end of the datagram elsewhere than other fragments do.
    fn contradicts_end(&self, fragment: &Fragment<'_>) -> bool {
        let end = fragment.offset + fragment.data.len();
        let reach = self.pieces.last_key_value().map_or(0, |(at, piece)| at + piece.len());
        match self.end {
            Some(known) if fragment.more => end >= known,
            Some(known) => end != known,
            None => !fragment.more && end < reach,
        }
    }

    /// The parts of `data` that are not held yet. `None`: it overlaps what is held, and that is not allowed. IPv4
    /// allows it where both say the same (RFC 791 leaves it open; what differs is an attack, RFC 1858); IPv6 allows
    /// nothing but an exact duplicate (RFC 5722, RFC 8200 §4.5).
    fn gaps(&self, offset: usize, data: &[u8], is_v4: bool) -> Option<Vec<(usize, usize)>> {
        let end = offset + data.len();
        if !is_v4 && self.pieces.get(&offset).is_some_and(|piece| piece[..] == *data) {
            return Some(Vec::new());
        }
        let mut gaps = Vec::new();
        let mut to = end;
        // From the back: pieces do not overlap, so the first one that ends before `offset` ends the search.
        for (&at, piece) in self.pieces.range(..end).rev() {
            let piece_end = at + piece.len();
            if piece_end <= offset {
                break;
            }
            let (from, until) = (at.max(offset), piece_end.min(end));
            if !is_v4 || piece[from - at..until - at] != data[from - offset..until - offset] {
                return None;
            }
            if until < to {
                gaps.push((until, to));
            }
            to = from;
        }
        if offset < to {
            gaps.push((offset, to));
        }
        Some(gaps)
    }

    fn spoil(&mut self) -> Added {
        self.pieces.clear();
        self.held = 0;
        self.first = None;
        self.is_spoilt = true;
        Added::Conflict
    }

    /// The datagram as if it had never been cut; `None` if it would be longer than IP can say.
    pub(super) fn into_whole(self, is_v4: bool) -> Option<Whole> {
        let First { original, head, next_field } = self.first?;
        let length = head + self.held;
        if length - if is_v4 { 0 } else { IPV6_HEADER } > LONGEST {
            return None;
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&original[..head]);
        for piece in self.pieces.values() {
            bytes.extend_from_slice(piece);
        }
        if is_v4 {
            bytes[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            bytes[6..8].fill(0);
        } else {
            bytes[4..6].copy_from_slice(&((length - IPV6_HEADER) as u16).to_be_bytes());
            // The fragment header names what follows it; now what named the fragment header does.
            bytes[next_field] = original[head];
        }
        Some(Whole { bytes, original, cast: self.cast })
    }
}

/// How much of a first fragment is kept for a quote, and for the header of the whole.
fn original_length(fragment: &Fragment<'_>) -> usize {
    ORIGINAL.max(fragment.head + 16)
}
