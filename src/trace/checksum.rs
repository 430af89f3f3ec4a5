//! A checksum as the frame carries it, and as etherparse computes it from the bytes of the frame.

use std::fmt;
use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

/// What a checksum is computed over.
#[derive(Clone, Copy)]
enum Over {
    /// The header alone (IPv4).
    Header,
    /// The message alone (ICMP, IGMP).
    Message { length: usize },
    /// A pseudo-header (source, destination, zero, protocol, length), then the message (RFC 9293 §3.1, RFC 768).
    Pseudo4 { protocol: u8, length: usize },
    /// A pseudo-header (source, destination, length, next header), then the message (RFC 8200 §8.1).
    Pseudo6 { protocol: u8, length: usize },
}

/// Both values, and whether they agree.
pub(super) struct Checksum {
    carried: u16,
    computed: u16,
    over: Over,
    right: bool,
}

impl Checksum {
    /// Of an IPv4 header (RFC 791 §3.1).
    pub(super) fn of_header(header: &[u8]) -> Option<Checksum> {
        Checksum::new(Sum16BitWords::new(), header, 10, Over::Header)
    }

    /// Of a message without a pseudo-header: ICMP for IPv4, IGMP.
    pub(super) fn of_message(message: &[u8]) -> Option<Checksum> {
        Checksum::new(Sum16BitWords::new(), message, 2, Over::Message { length: message.len() })
    }

    /// Of a TCP segment.
    pub(super) fn of_tcp(between: (IpAddr, IpAddr), segment: &[u8]) -> Option<Checksum> {
        Checksum::with_pseudo_header(between, 6, segment, 16)
    }

    /// Of an ICMPv6 message.
    pub(super) fn of_icmp6(between: (IpAddr, IpAddr), message: &[u8]) -> Option<Checksum> {
        Checksum::with_pseudo_header(between, 58, message, 2)
    }

    /// Of a UDP datagram. Zero means that none is carried, which only IPv4 allows; a computed zero is carried as
    /// 0xffff (RFC 768, RFC 8200 §8.1).
    pub(super) fn of_udp(between: (IpAddr, IpAddr), datagram: &[u8]) -> Option<Checksum> {
        let mut checksum = Checksum::with_pseudo_header(between, 17, datagram, 6)?;
        if checksum.computed == 0 {
            checksum.computed = 0xffff;
        }
        checksum.right = checksum.carried == checksum.computed;
        Some(checksum)
    }

    fn with_pseudo_header(
        (source, destination): (IpAddr, IpAddr),
        protocol: u8,
        message: &[u8],
        field: usize,
    ) -> Option<Checksum> {
        let length = message.len();
        let octets = u32::try_from(length).ok()?.to_be_bytes();
        let rest = Sum16BitWords::new().add_4bytes(octets).add_2bytes([0, protocol]);
        let (pseudo, over) = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                (rest.add_slice(&source.octets()).add_slice(&destination.octets()), Over::Pseudo4 { protocol, length })
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                (rest.add_slice(&source.octets()).add_slice(&destination.octets()), Over::Pseudo6 { protocol, length })
            }
            _ => return None,
        };
        Checksum::new(pseudo, message, field, over)
    }

    /// `field` is where the checksum stands in `message`; it counts as zero.
    fn new(pseudo: Sum16BitWords, message: &[u8], field: usize, over: Over) -> Option<Checksum> {
        let (before, rest) = message.split_at_checked(field)?;
        let (&carried, after) = rest.split_first_chunk::<2>()?;
        let carried = u16::from_be_bytes(carried);
        let computed = u16::from_be(pseudo.add_slice(before).add_slice(after).ones_complement());
        // In one's complement 0x0000 and 0xffff are both zero: a receiver that adds everything up cannot tell them
        // apart, and a computed 0xffff would need a message of zeros only.
        let right = carried == computed || (carried == 0xffff && computed == 0);
        Some(Checksum { carried, computed, over, right })
    }

    /// `right`, or both values.
    pub(super) fn verdict(&self) -> Verdict<'_> {
        Verdict(self)
    }

    /// Whether a receiver accepts it.
    #[cfg(test)]
    pub(super) fn is_right(&self) -> bool {
        self.right
    }
}

/// What a checksum is worth, in a word or a few.
pub(super) struct Verdict<'a>(&'a Checksum);

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.right {
            true => f.write_str("right"),
            false => write!(f, "{:#06x} WRONG, computed {:#06x}", self.0.carried, self.0.computed),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}, computed {:#06x}", self.carried, self.computed)?;
        match self.over {
            Over::Header => Ok(()),
            Over::Message { length } => write!(f, " over {length} bytes"),
            Over::Pseudo4 { protocol, length } => {
                write!(f, " over pseudo-header (src, dst, 0, {protocol}, {length}) + {length} bytes")
            }
            Over::Pseudo6 { protocol, length } => {
                write!(f, " over pseudo-header (src, dst, {length}, {protocol}) + {length} bytes")
            }
        }?;
        f.write_str(if self.right { ": right" } else { ": WRONG" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header that RFC 1071's readers know from textbooks: its checksum is 0xb861.
    const HEADER: [u8; 20] =
        [0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7];

    #[test]
    fn a_right_header_checksum_is_called_right() {
        let checksum = Checksum::of_header(&HEADER).unwrap();
        assert_eq!(checksum.to_string(), "0xb861, computed 0xb861: right");
    }

    #[test]
    fn a_damaged_byte_is_called_wrong_with_the_value_it_should_have() {
        let mut header = HEADER;
        header[8] -= 1; // the TTL, as a router that forgets the checksum would leave it
        let checksum = Checksum::of_header(&header).unwrap();
        assert!(!checksum.is_right());
        assert_eq!(checksum.to_string(), "0xb861, computed 0xb961: WRONG");
    }

    #[test]
    fn a_udp_checksum_that_computes_to_zero_is_carried_as_all_ones() {
        let between = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        // The payload is chosen so that everything adds up to 0xffff.
        let mut datagram = [0, 1, 0, 2, 0, 10, 0, 0, 0, 0];
        let first = Checksum::of_udp(between, &datagram).unwrap().computed;
        datagram[8..].copy_from_slice(&first.to_be_bytes());
        let checksum = Checksum::of_udp(between, &datagram).unwrap();
        assert_eq!(checksum.computed, 0xffff);
        assert!(!checksum.is_right(), "0 says that there is none");
        datagram[6..8].copy_from_slice(&[0xff, 0xff]);
        assert!(Checksum::of_udp(between, &datagram).unwrap().is_right());
    }

    #[test]
    fn an_odd_last_byte_counts_as_the_high_half_of_a_word() {
        let between = ("fd69::1".parse().unwrap(), "fd69::100".parse().unwrap());
        let odd = Checksum::of_icmp6(between, &[128, 0, 0, 0, 0, 1, 0, 1, 0xab]).unwrap();
        let even = Checksum::of_icmp6(between, &[128, 0, 0, 0, 0, 1, 0, 1, 0xab, 0]).unwrap();
        assert_eq!(odd.computed, even.computed + 1, "only the length differs");
    }

    #[test]
    fn what_is_too_short_to_carry_a_checksum_has_none() {
        assert!(Checksum::of_header(&HEADER[..11]).is_none());
        assert!(Checksum::of_message(&[]).is_none());
        let mixed = ("10.0.0.1".parse().unwrap(), "fd69::1".parse().unwrap());
        assert!(Checksum::of_tcp(mixed, &[0; 20]).is_none());
    }
}
