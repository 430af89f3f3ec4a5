//! The one map of exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; a daemon that was asked to stop has told its peers |
//! | 1 | something broke: the interface vanished, the system refused something; a tool could not reach the other end |
//! | 2 | something must be set right first: the arguments, the TAP, an address; the sentence says how |
//! | 130, 143 | SIGINT or SIGTERM ended a tool, or a second one did not wait for a daemon's end (128 and the signal's number, as shells do) |

use std::process::ExitCode;

use crate::daemon::{Ended, Failure};

const DONE: u8 = 0;
const BROKEN: u8 = 1;
const MISTAKE: u8 = 2;
const SIGNAL: u8 = 128;

/// For what clap says: an error, or the help that was asked for.
pub fn of_arguments(error: &clap::Error) -> ExitCode {
    ExitCode::from(if error.use_stderr() { MISTAKE } else { DONE })
}

/// For the end of a daemon or a tool.
pub fn of_daemon(ended: &Result<Ended, Failure>) -> ExitCode {
    ExitCode::from(match ended {
        Ok(Ended::Asked) => DONE,
        Ok(Ended::Interrupted(signal)) => SIGNAL + signal.number(),
        Err(Failure::Broken(_)) => BROKEN,
        Err(Failure::Mistake(_)) => MISTAKE,
    })
}
