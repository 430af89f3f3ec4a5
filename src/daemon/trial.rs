//! What a person tries out: a wire that is bad on purpose, and a recording.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::task::Waker;

use super::{Failure, refused};
use crate::device::{Device, Fault, FaultConfig, Offload, Tap};
use crate::observe::Time;
use crate::recording::Recorder;

/// What is tried.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trial {
    /// The file in which all that enters the stack is written down.
    pub record: Option<PathBuf>,
    /// What happens to frames between the TAP and the stack.
    pub fault: Option<FaultConfig>,
}

impl Trial {
    /// Begins a recording, if one is wanted. There is what programs say in it: nobody else may read it.
    pub(super) fn recorder(&self) -> Result<Option<Recorder>, Failure> {
        let Some(path) = &self.record else { return Ok(None) };
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path).map_err(|error| {
            Failure::Mistake(format!("--record {}: {error}; name a file that you may write", path.display()))
        })?;
        Recorder::new(file).map(Some).map_err(|error| refused("a thread", &error))
    }

    /// Puts the wire that is wanted before the TAP.
    pub(super) fn wire(&self, tap: Tap) -> Result<Wire, Failure> {
        match self.fault {
            None => Ok(Wire::Good(tap)),
            Some(config) => Fault::new(tap, config)
                .map(|fault| Wire::Bad(Box::new(fault)))
                .map_err(|error| Failure::Mistake(error.to_string())),
        }
    }
}

/// A TAP, with a wire before it or without.
#[derive(Debug)]
pub(super) enum Wire {
    Good(Tap),
    Bad(Box<Fault<Tap>>),
}

impl Wire {
    fn device(&self) -> &dyn Device {
        match self {
            Wire::Good(tap) => tap,
            Wire::Bad(fault) => &**fault,
        }
    }
}

impl Device for Wire {
    fn receive(&mut self, now: Time, frame: &mut [u8]) -> io::Result<Option<(usize, Offload)>> {
        match self {
            Wire::Good(tap) => tap.receive(now, frame),
            Wire::Bad(fault) => fault.receive(now, frame),
        }
    }

    fn transmit(&mut self, now: Time, frame: &[u8], offload: Offload) -> io::Result<bool> {
        match self {
            Wire::Good(tap) => tap.transmit(now, frame, offload),
            Wire::Bad(fault) => fault.transmit(now, frame, offload),
        }
    }

    fn mtu(&self) -> usize {
        self.device().mtu()
    }

    fn name(&self) -> &str {
        self.device().name()
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.device().readiness()
    }

    fn set_waker(&mut self, waker: &Waker) {
        match self {
            Wire::Good(tap) => tap.set_waker(waker),
            Wire::Bad(fault) => fault.set_waker(waker),
        }
    }

    fn keep_lost(&mut self) {
        if let Wire::Bad(fault) = self {
            fault.keep_lost();
        }
    }

    fn take_lost(&mut self) -> Vec<Vec<u8>> {
        match self {
            Wire::Good(_) => Vec::new(),
            Wire::Bad(fault) => fault.take_lost(),
        }
    }

    fn deadline(&self, now: Time) -> Option<Time> {
        self.device().deadline(now)
    }
}
