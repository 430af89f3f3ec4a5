//! No device at all, for a stack that talks to itself only.

use std::io;
use std::os::fd::BorrowedFd;
use std::task::Waker;

use super::{Device, Offload};
use crate::observe::Time;

/// Frames never come, and what is sent is lost, as with a cable that is not plugged in.
///
/// ```
/// use tapsock::device::{Device, Offload, Unplugged};
/// use tapsock::observe::Time;
/// let mut device = Unplugged;
/// assert!(device.transmit(Time::ZERO, &[7; 60], Offload::None)?);
/// assert_eq!(device.receive(Time::ZERO, &mut [0; 1514])?, None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Unplugged;

impl Device for Unplugged {
    fn receive(&mut self, _now: Time, _frame: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        Ok(None)
    }

    fn transmit(&mut self, _now: Time, _frame: &[u8], _offload: Offload) -> io::Result<bool> {
        Ok(true)
    }

    fn mtu(&self) -> usize {
        1500
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Nothing ever wakes it.
    fn set_waker(&mut self, _waker: &Waker) {}
}
