//! SYN cookies (RFC 4987 §3.6): when no more handshakes can be remembered, the peer remembers them for us.
//!
//! The initial sequence number of the SYN-ACK holds what a SYN entry would, and the ACK brings it back:
//!
//! | bits | what |
//! |---|---|
//! | 31 to 27 | the slot of 64 s in which it was sent |
//! | 26 to 24 | the peer's MSS, as one of eight |
//! | 23 to 0 | a keyed hash of the 4-tuple, the peer's initial sequence number and the bits above |
//!
//! If the peer sends timestamps, the lowest bits of ours hold what else its SYN offered, and it echoes them (as Linux
//! does): bits 3 to 0 the shift of its window, 15 for none, and bit 4 whether it takes selective acknowledgments.
//! They need no proof: a peer that changes them lies about itself. Without timestamps the SYN-ACK agrees to neither.
//!
//! All of it is moved by another keyed hash of the 4-tuple, so that no bits can be read from outside. Whoever has not
//! seen the SYN-ACK hits a valid number once in 2²⁸ guesses, and only while there is a flood.

use std::net::SocketAddr;
use std::time::Duration;

use smoltcp::wire::TcpSeqNumber;

use super::keys::Key;
use crate::observe::Time;

/// A cookie is taken in the slot in which it was made and in the next.
const SLOT: Duration = Duration::from_secs(64);

/// The peer's MSS is rounded down to one of these. The first two of the larger ones are the defaults of both families.
const MSS: [u16; 8] = [48, 536, 1220, 1300, 1400, 1440, 1460, 8940];

/// What makes cookies and knows them again.
#[derive(Debug)]
pub(super) struct Cookies {
    key: Key,
    /// When the last one was sent.
    sent: Option<Time>,
}

/// What a timestamp of ours says to ourselves.
const STAMP: u32 = 31;

/// What a SYN offered beside its MSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) window_scale: Option<u8>,
    pub(super) sack: bool,
}

impl Offer {
    /// From the timestamp that the peer echoes.
    pub(super) fn read(echoed: u32) -> Offer {
        let scale = (echoed & 15) as u8;
        Offer { window_scale: (scale < 15).then_some(scale), sack: echoed & 16 != 0 }
    }

    /// The latest timestamp that says it, and is not after `value`.
    pub(super) fn stamp(self, value: u32) -> u32 {
        let says = u32::from(self.window_scale.unwrap_or(15).min(15)) | u32::from(self.sack) << 4;
        let back = (value & STAMP).wrapping_sub(says) & STAMP;
        value.wrapping_sub(back)
    }
}

/// Which handshake a cookie belongs to.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Request {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// The peer's initial sequence number.
    pub(super) irs: u32,
}

impl Cookies {
    pub(super) fn new(key: Key) -> Cookies {
        Cookies { key, sent: None }
    }

    /// The initial sequence number that tells us later what `request` was about.
    pub(super) fn make(&mut self, now: Time, request: &Request, mss: u16) -> TcpSeqNumber {
        self.sent = Some(now);
        let index = MSS.partition_point(|&size| size <= mss).saturating_sub(1) as u32;
        let content = (slot(now) & 31) << 27 | index << 24;
        let number = content | self.proof(request, slot(now), index);
        TcpSeqNumber(number.wrapping_add(self.shift(request)) as i32)
    }

    /// The peer's MSS, if `isn` is a cookie that we made for `request` a short while ago.
    pub(super) fn read(&self, now: Time, request: &Request, isn: TcpSeqNumber) -> Option<u16> {
        // Without a flood nobody can have one.
        self.sent.filter(|&sent| now - sent < 2 * SLOT)?;
        let number = (isn.0 as u32).wrapping_sub(self.shift(request));
        let age = slot(now).wrapping_sub(number >> 27) & 31;
        let (made, index) = (slot(now).wrapping_sub(age), number >> 24 & 7);
        let is_ours = age < 2 && number & 0xff_ffff == self.proof(request, made, index);
        is_ours.then(|| MSS[index as usize])
    }

    fn proof(&self, request: &Request, slot: u32, index: u32) -> u32 {
        self.key.hash(&("proof", request, slot, index)) as u32 & 0xff_ffff
    }

    fn shift(&self, request: &Request) -> u32 {
        self.key.hash(&("shift", request.local, request.remote)) as u32
    }
}

fn slot(now: Time) -> u32 {
    (now.micros() / SLOT.as_micros() as u64) as u32
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const START: Time = Time::from_micros(1_000_000_000);

    fn cookies(seed: u64) -> Cookies {
        Cookies::new(Key::new(&mut StdRng::seed_from_u64(seed)))
    }

    fn request(port: u16, irs: u32) -> Request {
        Request { local: "192.0.2.1:80".parse().unwrap(), remote: SocketAddr::new([192, 0, 2, 2].into(), port), irs }
    }

    #[test]
    fn a_cookie_brings_the_mss_back_rounded_down() {
        let mut cookies = cookies(1);
        for (offered, kept) in [(48, 48), (535, 48), (536, 536), (1459, 1440), (1460, 1460), (8940, 8940), (9000, 8940)]
        {
            for port in 1..50 {
                let request = request(port, u32::from(port) * 7919);
                let isn = cookies.make(START, &request, offered);
                assert_eq!(cookies.read(START, &request, isn), Some(kept), "{offered}");
            }
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_slot_and_the_next() {
        let mut cookies = cookies(1);
        let isn = cookies.make(START, &request(1, 1), 1460);
        let mut good = Vec::new();
        for seconds in 0..3000 {
            let now = START + Duration::from_secs(seconds);
            // There is a flood all the time.
            cookies.make(now, &request(2, 2), 1460);
            if cookies.read(now, &request(1, 1), isn).is_some() {
                good.push(seconds);
            }
        }
        assert!((64..=128).contains(&good.len()), "{} s", good.len());
        assert_eq!(good.last().copied(), Some(good.len() as u64 - 1), "it does not come to life again");
    }

    #[test]
    fn without_a_flood_no_cookie_is_taken() {
        let mut made = cookies(1);
        let isn = made.make(START, &request(1, 1), 1460);
        assert_eq!(cookies(1).read(START, &request(1, 1), isn), None);
        assert_eq!(made.read(START + 2 * SLOT, &request(1, 1), isn), None);
    }

    #[test]
    fn a_cookie_is_of_one_request_and_one_key() {
        let mut cookies_of_ours = cookies(1);
        let isn = cookies_of_ours.make(START, &request(1, 1), 1460);
        assert_eq!(cookies_of_ours.read(START, &request(1, 2), isn), None);
        assert_eq!(cookies_of_ours.read(START, &request(2, 1), isn), None);
        let mut others = cookies(2);
        others.make(START, &request(1, 1), 1460);
        assert_eq!(others.read(START, &request(1, 1), isn), None);
    }

    #[test]
    fn a_timestamp_holds_the_offer_and_is_hardly_older() {
        for scale in (0..=14).map(Some).chain([None]) {
            for sack in [false, true] {
                let offer = Offer { window_scale: scale, sack };
                for value in [0, 1, 30, 31, 32, 0x1234_5678, u32::MAX] {
                    let stamp = offer.stamp(value);
                    assert_eq!(Offer::read(stamp), offer);
                    assert!(value.wrapping_sub(stamp) < 32, "{value} {stamp}");
                }
            }
        }
    }

    #[test]
    fn guesses_fail() {
        let mut cookies = cookies(3);
        let isn = cookies.make(START, &request(1, 1), 1460);
        let guess = |step: i32| TcpSeqNumber(isn.0.wrapping_add(step.wrapping_mul(4001)));
        let is_hit = |step: &i32| cookies.read(START, &request(1, 1), guess(*step)).is_some();
        let hits = (1..1_000_000).filter(is_hit).count();
        assert!(hits < 3, "{hits} of a million guesses");
    }
}
