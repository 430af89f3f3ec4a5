//! Initial sequence numbers (RFC 6528), and how smoltcp is made to use them.
//!
//! smoltcp draws a connection's initial sequence number from the small generator of its `Interface`, which
//! is seeded by us and made afresh for each connection. The generator can be run backwards, so there is a
//! seed for every number that we want.

use smoltcp::wire::TcpSeqNumber;

use super::FourTuple;
use super::keys::Key;
use crate::observe::Time;

/// smoltcp's generator steps by `state · MULTIPLIER + INCREMENT` (smoltcp 0.14, rand.rs).
const MULTIPLIER: u64 = 0xbb2e_fcec_3c39_611d;
const INCREMENT: u64 = 0x7590_ef39;

/// `MULTIPLIER · INVERSE = 1` modulo 2⁶⁴.
const INVERSE: u64 = inverse(MULTIPLIER);

/// Newton's iteration: each round doubles the number of right bits, and an odd number is its own inverse in
/// the lowest three.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut bits = 3;
    while bits < 64 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

const fn back(state: u64) -> u64 {
    state.wrapping_sub(INCREMENT).wrapping_mul(INVERSE)
}

/// The initial sequence number of a connection: a clock of 4 µs ticks plus a keyed hash of the 4-tuple
/// (RFC 6528 §3).
pub(super) fn choose(key: &Key, now: Time, ends: &FourTuple) -> TcpSeqNumber {
    let clock = (now.micros() / 4) as u32;
    let hash = key.hash(ends) as u32;
    TcpSeqNumber(clock.wrapping_add(hash) as i32)
}

/// The seed of an `Interface` whose next connection starts at `isn`. The first draw is `Interface::new`'s
/// own (an IPv4 identification that must not be 0, or it draws again); the second is the connection's.
pub(super) fn seed(isn: TcpSeqNumber) -> u64 {
    // With the three top bits 0, the generator's output is the state shifted right by 29; the low 29 bits are free.
    let wanted = u64::from(isn.0 as u32) << 29;
    let mut state = back(back(wanted));
    for low in 1..16 {
        if first_draw_is_kept(state) {
            break;
        }
        state = back(back(wanted | low));
    }
    state
}

fn first_draw_is_kept(seed: u64) -> bool {
    let state = seed.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
    let draw = (state >> (29 - (state >> 61))) as u32;
    (draw ^ (draw >> 16)) as u16 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_undoes_a_step() {
        for state in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(back(state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT)), state);
        }
    }

    #[test]
    fn numbers_differ_between_connections_and_rise_within_one() {
        use rand::SeedableRng;
        let key = Key::new(&mut rand::rngs::StdRng::seed_from_u64(1));
        let local = "192.0.2.1:80".parse().unwrap();
        let to = |remote: &str| FourTuple { local, remote: remote.parse().unwrap() };
        let a = |at| choose(&key, Time::from_micros(at), &to("192.0.2.2:1000"));
        let b = choose(&key, Time::from_micros(0), &to("192.0.2.2:1001"));
        assert_ne!(a(0), b);
        assert_eq!(a(4_000_000) - a(0), 1_000_000);
    }
}
