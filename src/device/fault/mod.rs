//! A device around a device, whose wire is bad on purpose.
//!
//! Each direction has a [`Wire`] of its own that loses, doubles, reorders, delays and damages frames. All
//! chances come from one generator that the seed determines, and a frame draws the same number of them
//! whatever becomes of it: the same frames at the same times meet the same fate in every run.
//!
//! Every frame passes through a bounded store and leaves it when it is due. A delayed frame is due later; a
//! reordered one waits until up to three later frames have passed it, but no longer than
//! [`LONGEST_HOLD`], so that the last frame of a burst arrives as well.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::Waker;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Device, HEADER, Offload};
use crate::config::Invalid;
use crate::observe::Time;

mod store;
mod typed;

use store::Store;

/// How long a reordered frame waits for others to pass it.
pub const LONGEST_HOLD: Duration = Duration::from_millis(10);

/// So many lost frames are kept, between two times that they are taken.
const MOST_LOST: usize = 1024;

/// How long to leave a device alone that was full.
const RETRY: Duration = Duration::from_millis(1);

/// What one direction does to frames. Chances are between 0 and 1, for each frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Wire {
    /// The chance that a frame is lost.
    pub loss: f64,
    /// The chance that it arrives twice.
    pub duplication: f64,
    /// The chance that later frames overtake it.
    pub reordering: f64,
    /// The chance that one of its bits is flipped.
    pub corruption: f64,
    /// How long every frame is on its way.
    pub delay: Duration,
    /// By how much longer at most; each frame draws its own, so that frames may overtake each other.
    pub jitter: Duration,
}

/// What a [`Fault`] does.
///
/// ```
/// use tapsock::device::{Fault, FaultConfig, fault::Wire, pair};
/// let (end, _other) = pair(1500);
/// let lossy = Wire { loss: 0.1, ..Wire::default() };
/// assert!(Fault::new(end, FaultConfig { seed: 1, receive: lossy, transmit: lossy }).is_ok());
/// let (end, _other) = pair(1500);
/// let impossible = Wire { loss: 1.5, ..Wire::default() };
/// assert!(Fault::new(end, FaultConfig { seed: 1, receive: impossible, transmit: lossy }).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FaultConfig {
    /// Determines every chance.
    pub seed: u64,
    /// What happens to frames that come from the device.
    pub receive: Wire,
    /// What happens to frames that go to it.
    pub transmit: Wire,
}

/// What a direction has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Frames that entered it.
    pub frames: u64,
    /// Of those, lost.
    pub lost: u64,
    /// Of those, doubled.
    pub duplicated: u64,
    /// Of those and their doubles, held back behind later frames.
    pub reordered: u64,
    /// Of those and their doubles, with one bit flipped.
    pub corrupted: u64,
    /// Lost because too many were on their way.
    pub overflowed: u64,
}

/// The device of this module.
#[derive(Debug)]
pub struct Fault<D> {
    device: D,
    generator: StdRng,
    receive: Lane,
    transmit: Lane,
    /// The device was full: not before then.
    blocked: Option<Time>,
    /// Frames that were lost on their way in, for those who want to know.
    lost: Option<Vec<Vec<u8>>>,
}

#[derive(Debug)]
struct Lane {
    wire: Wire,
    counts: Counts,
    store: Store,
}

impl<D: Device> Fault<D> {
    /// Puts a bad wire before `device`.
    ///
    /// # Errors
    ///
    /// A chance that is not between 0 and 1.
    pub fn new(device: D, config: FaultConfig) -> Result<Fault<D>, Invalid> {
        for wire in [config.receive, config.transmit] {
            for (what, chance) in [
                ("loss", wire.loss),
                ("duplication", wire.duplication),
                ("reordering", wire.reordering),
                ("corruption", wire.corruption),
            ] {
                if !(0.0..=1.0).contains(&chance) {
                    return Err(Invalid(format!("the chance of {what} is {chance}; take one between 0 and 1")));
                }
            }
        }
        let lane = |wire| Lane { wire, counts: Counts::default(), store: Store::default() };
        Ok(Fault {
            device,
            generator: StdRng::seed_from_u64(config.seed),
            receive: lane(config.receive),
            transmit: lane(config.transmit),
            blocked: None,
            lost: None,
        })
    }

    /// What happened to frames that came from the device.
    pub fn received(&self) -> Counts {
        self.receive.counts
    }

    /// What happened to frames that went to it.
    pub fn transmitted(&self) -> Counts {
        self.transmit.counts
    }

    /// Hands what is due to the device.
    fn pump(&mut self, now: Time) -> io::Result<()> {
        if self.blocked.is_some_and(|until| now < until) {
            return Ok(());
        }
        self.blocked = None;
        while let Some(due) = self.transmit.store.due(now) {
            let (frame, offload) = self.transmit.store.frame(due);
            let sent = self.device.transmit(now, frame, offload);
            if matches!(sent, Ok(false)) {
                self.blocked = Some(now + RETRY);
                return Ok(());
            }
            self.transmit.store.release(due);
            sent?;
        }
        Ok(())
    }
}

impl Lane {
    /// Decides what becomes of one frame. Each frame draws twelve numbers whatever becomes of it, so that
    /// the next frame's fate does not depend on this one's, nor on which other faults are switched on.
    fn admit(&mut self, now: Time, frame: &[u8], offload: Offload, generator: &mut StdRng) {
        self.counts.frames += 1;
        let wire = self.wire;
        let lost = chance(wire.loss, generator);
        let doubled = chance(wire.duplication, generator);
        let mut copies = [Copy::draw(wire, generator), Copy::draw(wire, generator)];
        if lost {
            self.counts.lost += 1;
            return;
        }
        self.counts.duplicated += u64::from(doubled);
        for copy in &mut copies[..1 + usize::from(doubled)] {
            let latest = if copy.behind > 0 { LONGEST_HOLD } else { Duration::ZERO };
            let due = now + wire.delay + copy.jitter;
            let Some(stored) = self.store.admit(frame, offload, due, due + latest, copy.behind) else {
                self.counts.overflowed += 1;
                continue;
            };
            self.counts.reordered += u64::from(copy.behind > 0);
            if let Some(number) = copy.flip.filter(|_| !stored.is_empty()) {
                let bit = (number % (stored.len() as u64 * 8)) as usize;
                stored[bit / 8] ^= 1 << (bit % 8);
                self.counts.corrupted += 1;
            }
        }
    }
}

/// Draws exactly one number, also for 0 and 1, which `random_bool` does not.
fn chance(chance: f64, generator: &mut StdRng) -> bool {
    generator.random::<f64>() < chance
}

/// What becomes of one copy of a frame.
struct Copy {
    /// How many later frames pass it.
    behind: u32,
    /// Chooses the bit that is flipped.
    flip: Option<u64>,
    jitter: Duration,
}

impl Copy {
    fn draw(wire: Wire, generator: &mut StdRng) -> Copy {
        let reordered = chance(wire.reordering, generator);
        let behind = 1 + generator.random::<u32>() % 3;
        let corrupted = chance(wire.corruption, generator);
        let bit = generator.random::<u64>();
        let share = generator.random::<f64>();
        Copy {
            behind: if reordered { behind } else { 0 },
            flip: corrupted.then_some(bit),
            jitter: wire.jitter.mul_f64(share),
        }
    }
}

impl<D: Device> Device for Fault<D> {
    fn receive(&mut self, now: Time, frame: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        self.pump(now)?;
        loop {
            if let Some(due) = self.receive.store.due(now) {
                let (bytes, offload) = self.receive.store.frame(due);
                let length = bytes.len().min(frame.len());
                frame[..length].copy_from_slice(&bytes[..length]);
                self.receive.store.release(due);
                return Ok(Some((length, offload)));
            }
            let Some((length, offload)) = self.device.receive(now, frame)? else { return Ok(None) };
            let before = self.receive.counts.lost;
            self.receive.admit(now, &frame[..length], offload, &mut self.generator);
            if let Some(lost) = &mut self.lost
                && self.receive.counts.lost > before
                && lost.len() < MOST_LOST
            {
                lost.push(frame[..length].to_vec());
            }
        }
    }

    /// A frame that was taken may still meet a full device later; it then stays in the store.
    fn transmit(&mut self, now: Time, frame: &[u8], offload: Offload) -> io::Result<bool> {
        if frame.len() > self.device.mtu() + HEADER {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.pump(now)?;
        if self.transmit.store.is_full() {
            return Ok(false);
        }
        self.transmit.admit(now, frame, offload, &mut self.generator);
        self.pump(now)?;
        Ok(true)
    }

    fn mtu(&self) -> usize {
        self.device.mtu()
    }

    fn name(&self) -> &str {
        self.device.name()
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.device.readiness()
    }

    fn set_waker(&mut self, waker: &Waker) {
        self.device.set_waker(waker);
    }

    fn keep_lost(&mut self) {
        self.lost.get_or_insert_default();
    }

    fn take_lost(&mut self) -> Vec<Vec<u8>> {
        self.lost.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn deadline(&self, now: Time) -> Option<Time> {
        let transmit = self.transmit.store.deadline().map(|due| self.blocked.map_or(due, |until| until.max(due)));
        [self.device.deadline(now), self.receive.store.deadline(), transmit].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
