//! The Internet checksum (RFC 1071), with every step kept.
//!
//! All 16-bit words are added up, the field of the checksum itself counting as zero. What is carried beyond 16 bits is
//! added in again until nothing is, and the complement of that goes into the field.

use std::net::IpAddr;
use std::ops::Range;

/// What some of the words are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// In words.
    pub what: &'static str,
    /// Where its first byte stands in the packet, if it stands there as it is.
    pub at: Option<usize>,
    /// The words; an odd last byte is the high half of one.
    pub words: Vec<u16>,
}

impl Part {
    fn new(what: &'static str, at: Option<usize>, bytes: &[u8]) -> Part {
        let words = bytes.chunks(2).map(|pair| match *pair {
            [high, low] => u16::from_be_bytes([high, low]),
            [high] => u16::from_be_bytes([high, 0]),
            _ => 0,
        });
        Part { what, at, words: words.collect() }
    }

    /// All of its words together. A jumbogram has more words than 32 bits are enough for.
    pub fn sum(&self) -> u64 {
        self.words.iter().map(|&word| u64::from(word)).sum()
    }
}

/// What became of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The packet carries what it should.
    Right,
    /// It carries another value.
    Wrong,
    /// It carries zero, by which UDP over IPv4 says that there is none (RFC 768).
    NotCarried,
    /// It carries the sum of the pseudo-header, not complemented: the packet was captured on its way out, and the
    /// interface, or its driver, adds the rest.
    LeftToInterface,
}

/// A checksum, worked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Working {
    /// The words, in the order they are added up.
    pub parts: Vec<Part>,
    /// How many of the parts are the pseudo-header.
    pub pseudo: usize,
    /// The bytes of the packet that are summed, besides any pseudo-header.
    pub over: Range<usize>,
    /// Where in the packet the checksum stands.
    pub field: usize,
    /// What it says there.
    pub carried: u16,
    /// What should.
    pub computed: u16,
    /// Whether both are one.
    pub verdict: Verdict,
}

/// Adds what is carried beyond 16 bits, until nothing is.
pub fn fold(sum: u64) -> u16 {
    let mut sum = sum;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

impl Working {
    /// Over the bytes of `over` alone; `None` where they are not all there. `field` is where in the packet it stands.
    pub(super) fn of(packet: &[u8], what: [&'static str; 2], over: Range<usize>, field: usize) -> Option<Working> {
        let before = packet.get(over.start..field)?;
        let carried = u16::from_be_bytes(*packet.get(field..over.end)?.first_chunk()?);
        let after = packet.get(field + 2..over.end)?;
        let parts = vec![Part::new(what[0], Some(over.start), before), Part::new(what[1], Some(field + 2), after)];
        Some(Working { parts, pseudo: 0, over, field, carried, computed: 0, verdict: Verdict::Wrong }.judged())
    }

    /// Over a pseudo-header as well (RFC 9293 §3.1, RFC 768, RFC 8200 §8.1).
    pub(super) fn with_pseudo_header(
        packet: &[u8],
        (source, destination): (IpAddr, IpAddr),
        protocol: u8,
        what: [&'static str; 2],
        over: Range<usize>,
        field: usize,
    ) -> Option<Working> {
        let mut working = Working::of(packet, what, over, field)?;
        let length = u32::try_from(working.over.len()).ok()?.to_be_bytes();
        let mut parts = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => vec![
                Part::new("source", None, &source.octets()),
                Part::new("destination", None, &destination.octets()),
                Part::new("zero, protocol", None, &[0, protocol]),
                Part::new("length", None, &length[2..]),
            ],
            (IpAddr::V6(source), IpAddr::V6(destination)) => vec![
                Part::new("source", None, &source.octets()),
                Part::new("destination", None, &destination.octets()),
                Part::new("length", None, &length),
                Part::new("zero, next header", None, &[0, 0, 0, protocol]),
            ],
            _ => return None,
        };
        working.pseudo = parts.len();
        parts.append(&mut working.parts);
        working.parts = parts;
        Some(working.judged())
    }

    /// For UDP: zero says that none is carried, so a computed zero is sent as 0xffff.
    pub(super) fn of_udp(mut self, may_be_absent: bool) -> Working {
        if self.computed == 0 {
            self.computed = 0xffff;
        }
        self.verdict = match self.carried {
            0 if may_be_absent => Verdict::NotCarried,
            carried if carried == self.computed => Verdict::Right,
            carried if carried == self.pseudo_sum() => Verdict::LeftToInterface,
            _ => Verdict::Wrong,
        };
        self
    }

    fn judged(mut self) -> Working {
        self.computed = !fold(self.sum());
        // In one's complement both 0x0000 and 0xffff are zero, and a receiver that adds everything up cannot tell them
        // apart.
        self.verdict = if self.carried == self.computed || (self.carried == 0xffff && self.computed == 0) {
            Verdict::Right
        } else if self.pseudo > 0 && self.carried == self.pseudo_sum() {
            Verdict::LeftToInterface
        } else {
            Verdict::Wrong
        };
        self
    }

    /// All words together.
    pub fn sum(&self) -> u64 {
        self.parts.iter().map(Part::sum).sum()
    }

    /// The sum of the pseudo-header, folded.
    pub fn pseudo_sum(&self) -> u16 {
        fold(self.parts.iter().take(self.pseudo).map(Part::sum).sum())
    }

    /// Whether a receiver would drop the packet.
    pub fn is_wrong(&self) -> bool {
        self.verdict == Verdict::Wrong
    }

    /// By how much the words add up to more than those the carried value was made for, in one's complement: 1 to
    /// 0xfffe. Zero where both are the same.
    pub fn excess(&self) -> u16 {
        let (now, then) = (u32::from(!self.computed) % 0xffff, u32::from(!self.carried) % 0xffff);
        ((now + 0xffff - then) % 0xffff) as u16
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::checksum::Checksum;
    use super::*;

    /// The header that RFC 1071's readers know from textbooks: its checksum is 0xb861.
    const HEADER: [u8; 20] =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];

    #[test]
    fn each_step_of_the_textbook_header_is_the_textbook_s() {
        let working = Working::of(&HEADER, ["", ""], 0..20, 10).unwrap();
        assert_eq!(working.sum(), 0x2479c);
        assert_eq!(fold(working.sum()), 0x479e);
        assert_eq!((working.computed, working.verdict), (0xb861, Verdict::Right));
        assert_eq!(working.excess(), 0);
    }

    #[test]
    fn a_lower_ttl_makes_the_sum_too_small_by_as_much() {
        let mut header = HEADER;
        header[8] -= 3;
        let working = Working::of(&header, ["", ""], 0..20, 10).unwrap();
        assert!(working.is_wrong());
        assert_eq!(working.excess(), 0xffff - 0x0300);
    }

    #[test]
    fn what_is_too_short_has_no_checksum() {
        assert!(Working::of(&HEADER, ["", ""], 0..11, 10).is_none());
        assert!(Working::of(&HEADER, ["", ""], 0..21, 10).is_none());
        assert!(Working::of(&HEADER, ["", ""], 12..20, 10).is_none());
    }

    proptest! {
        /// Two sums that were written apart: this one, and that of etherparse, which the trace shows.
        #[test]
        fn the_trace_comes_to_the_same_verdict(
            mut message in prop::collection::vec(any::<u8>(), 8..200),
            four in any::<([u8; 4], [u8; 4])>(), six in any::<([u8; 16], [u8; 16])>(), is_six: bool, is_right: bool,
        ) {
            let between: (IpAddr, IpAddr) =
                if is_six { (six.0.into(), six.1.into()) } else { (four.0.into(), four.1.into()) };
            let make = |message: &[u8]| {
                Working::with_pseudo_header(message, between, 17, ["", ""], 0..message.len(), 6).unwrap()
            };
            if is_right {
                let computed = make(&message).of_udp(false).computed;
                message[6..8].copy_from_slice(&computed.to_be_bytes());
            }
            let working = make(&message).of_udp(false);
            let trace = Checksum::of_udp(between, &message).unwrap();
            prop_assert_eq!(working.verdict == Verdict::Right, trace.is_right());
            let said = format!("computed {:#06x} ", working.computed);
            prop_assert!(trace.to_string().contains(&said));
        }
    }
}
