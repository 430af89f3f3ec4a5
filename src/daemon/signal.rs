//! The two signals that ask a daemon to end, and the one that asks for its sockets.

use std::io;

use tokio::signal::unix::{self, SignalKind};

/// SIGINT or SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`, systemd.
    Terminate,
}

impl Signal {
    /// Its number in Linux.
    pub const fn number(self) -> u8 {
        match self {
            Signal::Interrupt => 2,
            Signal::Terminate => 15,
        }
    }
}

/// From here on SIGUSR1 does not kill, it asks.
pub(super) fn questions() -> io::Result<unix::Signal> {
    unix::signal(SignalKind::user_defined1())
}

/// From here on these signals do not kill, they are told.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: unix::signal(SignalKind::interrupt())?,
            terminate: unix::signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
    }
}
