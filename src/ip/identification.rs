//! Identifications: what tells the fragments of one datagram from those of another.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// How many counters IPv4 datagrams share. Each is as good as a counter for its source, destination and protocol
/// alone, and none of them tells a host how much we send to others, unless by chance.
const COUNTERS: usize = 256;

/// Where identifications come from.
#[derive(Debug)]
pub(super) struct Identifications {
    seed: u64,
    counters: Box<[u16; COUNTERS]>,
    drawn: u64,
}

impl Identifications {
    /// `seed` is secret and random.
    pub(super) fn new(seed: u64) -> Identifications {
        let mut counters = Box::new([0; COUNTERS]);
        for (at, counter) in counters.iter_mut().enumerate() {
            *counter = hash(seed, b"4", &at.to_be_bytes()) as u16;
        }
        Identifications { seed, counters, drawn: 0 }
    }

    /// For `count` IPv4 packets that routers may cut: the first of as many consecutive numbers, different from those of
    /// the last 65 535 packets with the same source, destination and protocol (RFC 791 §3.2, RFC 6864 §4.2). `flow` is
    /// these three as bytes.
    pub(super) fn next4(&mut self, flow: &[u8], count: usize) -> u16 {
        let counter = &mut self.counters[hash(self.seed, b"flow", flow) as usize % COUNTERS];
        let first = *counter;
        // At most 65 535 pieces come from one packet.
        *counter = first.wrapping_add(count as u16);
        first
    }

    /// For one IPv6 datagram that we cut: a number that nobody can guess (RFC 7739 §5.2).
    pub(super) fn next6(&mut self) -> u32 {
        self.drawn += 1;
        hash(self.seed, b"6", &self.drawn.to_be_bytes()) as u32
    }
}

fn hash(seed: u64, use_of_it: &[u8], bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, !seed);
    hasher.write(use_of_it);
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_flow_counts_from_an_unknown_start_and_keeps_its_numbers_apart() {
        let mut ids = Identifications::new(9);
        let first = ids.next4(b"flow a", 1);
        assert_eq!(ids.next4(b"flow a", 3), first.wrapping_add(1));
        assert_eq!(ids.next4(b"flow a", 1), first.wrapping_add(4));
        assert_ne!(Identifications::new(10).next4(b"flow a", 1), first);
        let others: HashSet<u16> = (0..100u8).map(|flow| ids.next4(&[flow], 1)).collect();
        assert!(others.len() > 60, "they have counters of their own");
    }

    #[test]
    fn ipv6_numbers_do_not_follow_each_other() {
        let mut ids = Identifications::new(9);
        let drawn: Vec<u32> = (0..1000).map(|_| ids.next6()).collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 1000);
        assert!(drawn.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1));
        assert_ne!(Identifications::new(10).next6(), drawn[0]);
    }
}
