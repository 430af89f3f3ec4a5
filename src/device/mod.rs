//! Where frames come from and go to.
//!
//! A [`Device`] moves whole Ethernet frames, one a call, and never waits: it says that nothing is there, or
//! that it is full, and the engine comes back when [`Device::readiness`] or the waker says so.
//!
//! - [`tap`]: the Linux TAP, the way to the host.
//! - [`pair`](mod@pair): two linked devices in memory, for tests and for programs that join two stacks.
//! - [`fault`]: a device around a device that loses, doubles, reorders, delays and damages frames, the same
//!   way for the same seed.
//! - [`Unplugged`]: none, for a stack that talks to itself only.
//! - [`host_addresses`], [`host_mac`]: what the host has already, so that nobody gives the stack the same address.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::Waker;

use crate::observe::Time;

pub mod fault;
mod host;
pub mod pair;
pub mod tap;
mod unplugged;

pub use fault::{Fault, FaultConfig};
pub use host::{host_addresses, host_mac};
pub use pair::pair;
pub use tap::{OpenError, Tap, vanished};
pub use unplugged::Unplugged;

/// The bytes of an Ethernet header: a frame is this much longer than the packet in it.
pub const HEADER: usize = 14;

/// What travels beside a frame and is not in its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Offload {
    /// Nothing: every checksum is in the frame, and one frame carries one packet.
    #[default]
    None,
}

/// Something that takes and gives Ethernet frames without ever waiting.
///
/// ```
/// use tapsock::device::{Device, Offload, pair};
/// use tapsock::observe::Time;
///
/// let (mut left, mut right) = pair(1500);
/// assert!(left.transmit(Time::ZERO, &[7; 60], Offload::None)?);
/// let mut frame = [0; 1514];
/// assert_eq!(right.receive(Time::ZERO, &mut frame)?, Some((60, Offload::None)));
/// assert_eq!(right.receive(Time::ZERO, &mut frame)?, None);
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Device: Send {
    /// Reads one frame into the front of `frame`, which has room for at least `mtu() + HEADER` bytes and
    /// best begins at a page boundary (FACTS §2). `None`: nothing is there now.
    ///
    /// # Errors
    ///
    /// What the kernel says. [`vanished`] tells whether trying again is of use.
    fn receive(&mut self, now: Time, frame: &mut [u8]) -> io::Result<Option<(usize, Offload)>>;

    /// Sends one frame. `false`: the device is full now and did not take it.
    ///
    /// # Errors
    ///
    /// What the kernel says; the frame is lost. [`vanished`] tells whether the next one has a chance.
    fn transmit(&mut self, now: Time, frame: &[u8], offload: Offload) -> io::Result<bool>;

    /// The largest IP packet a frame may carry.
    fn mtu(&self) -> usize;

    /// What the host calls it; empty where it has no name.
    fn name(&self) -> &str {
        ""
    }

    /// A descriptor that polls readable while frames wait. `None`: a device in memory, which wakes the waker.
    ///
    /// A TAP that vanished polls as an error and not as readable: wait for both.
    fn readiness(&self) -> Option<BorrowedFd<'_>>;

    /// For devices without a descriptor: who is woken when a frame arrives. A waker that is set while
    /// frames wait is woken at once.
    fn set_waker(&mut self, waker: &Waker);

    /// From here on frames that are lost on purpose before they come in are kept for [`Device::take_lost`].
    fn keep_lost(&mut self) {}

    /// Takes them.
    fn take_lost(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// When a frame that is being held back becomes due: call [`Device::receive`] then, even if nothing is
    /// readable.
    fn deadline(&self, now: Time) -> Option<Time> {
        let _ = now;
        None
    }
}
