//! Timestamps (RFC 7323): our clock for each connection, and what is remembered of the peer's.

use std::time::Duration;

use smoltcp::wire::{TcpSeqNumber, TcpTimestampRepr};

use super::FourTuple;
use super::keys::Key;
use crate::observe::Time;

/// What a peer said so long ago tells nothing any more (RFC 7323 §5.5: 24 days).
const OUTDATED: Duration = Duration::from_secs(24 * 24 * 3600);

/// Bytes of the option in a segment, padded to a multiple of four (RFC 7323, appendix A).
pub(super) const LENGTH: usize = 12;

/// Where the clock of a connection starts: a keyed hash of the 4-tuple, so that no peer learns how long we
/// are up, and a later connection of the same 4-tuple continues where the earlier one ended (RFC 7323 §5.4, §7.1).
pub(super) fn offset(key: &Key, ends: &FourTuple) -> u32 {
    key.hash(ends) as u32
}

/// Our clock ticks once a millisecond (RFC 7323 §5.4 demands 1 ms to 1 s).
pub(super) fn value(offset: u32, now: Time) -> u32 {
    offset.wrapping_add((now.micros() / 1000) as u32)
}

/// The timestamps of one connection, once both SYNs have carried one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamps {
    offset: u32,
    /// TS.Recent: what we echo.
    recent: u32,
    /// When it came.
    recent_at: Time,
}

impl Timestamps {
    /// `recent` is the value in the peer's SYN, which came at `now`.
    pub(super) fn new(offset: u32, recent: u32, now: Time) -> Timestamps {
        Timestamps { offset, recent, recent_at: now }
    }

    /// TS.Recent.
    pub(super) fn recent(&self) -> u32 {
        self.recent
    }

    /// What a segment that leaves now carries.
    pub(super) fn option(&self, now: Time) -> TcpTimestampRepr {
        TcpTimestampRepr::new(value(self.offset, now), self.recent)
    }

    /// PAWS (RFC 7323 §5.3): whether a segment with this value is a stray from an earlier turn of the sequence space.
    pub(super) fn is_old(&self, value: u32, now: Time) -> bool {
        is_before(value, self.recent) && now - self.recent_at < OUTDATED
    }

    /// Remembers the value of an acceptable segment that starts at `seq`, if it is the one to echo: it must not
    /// lie behind what we have acknowledged (RFC 7323 §4.3).
    pub(super) fn note(&mut self, value: u32, seq: TcpSeqNumber, last_ack_sent: TcpSeqNumber, now: Time) {
        let is_next = seq.0.wrapping_sub(last_ack_sent.0) <= 0;
        let is_newer = !is_before(value, self.recent) || now - self.recent_at >= OUTDATED;
        if is_next && is_newer {
            self.recent = value;
            self.recent_at = now;
        }
    }
}

fn is_before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Time = Time::from_micros(5_000_000);
    const SEQ: TcpSeqNumber = TcpSeqNumber(1000);

    #[test]
    fn the_clock_ticks_once_a_millisecond_from_a_start_of_its_own() {
        use rand::SeedableRng;
        let key = Key::new(&mut rand::rngs::StdRng::seed_from_u64(1));
        let local = "192.0.2.1:80".parse().unwrap();
        let to = |remote: &str| FourTuple { local, remote: remote.parse().unwrap() };
        let a = offset(&key, &to("192.0.2.2:1000"));
        assert_ne!(a, offset(&key, &to("192.0.2.2:1001")));
        assert_eq!(value(a, Time::from_micros(7_000_999)).wrapping_sub(value(a, Time::ZERO)), 7000);
    }

    #[test]
    fn an_older_value_is_old_even_when_the_number_has_wrapped() {
        let timestamps = Timestamps::new(0, 3, START);
        assert!(timestamps.is_old(2, START));
        assert!(timestamps.is_old(u32::MAX, START));
        assert!(!timestamps.is_old(3, START));
        assert!(!timestamps.is_old(4, START));
    }

    #[test]
    fn after_24_days_no_value_is_old() {
        let mut timestamps = Timestamps::new(0, 1000, START);
        let later = START + OUTDATED;
        assert!(!timestamps.is_old(5, later));
        timestamps.note(5, SEQ, SEQ, later);
        assert_eq!(timestamps.recent(), 5);
    }

    #[test]
    fn what_is_echoed_is_the_value_of_the_oldest_segment_not_yet_acknowledged() {
        let mut timestamps = Timestamps::new(0, 10, START);
        timestamps.note(12, SEQ + 1, SEQ, START);
        assert_eq!(timestamps.recent(), 10, "a segment behind a gap");
        timestamps.note(11, SEQ, SEQ, START);
        assert_eq!(timestamps.recent(), 11);
        timestamps.note(9, SEQ, SEQ, START);
        assert_eq!(timestamps.recent(), 11, "an older value");
        assert_eq!(timestamps.option(START).tsecr, 11);
    }
}
