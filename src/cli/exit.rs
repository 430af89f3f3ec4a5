//! The one map of exit codes.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for ping and traceroute, the host answered; for explain, no packet is damaged; a daemon that was asked to stop has told its peers |
//! | 1 | for ping and traceroute, no answer; for explain, a packet is damaged; else something broke: the interface vanished, the system refused something |
//! | 2 | something must be set right first: the arguments, the TAP, an address; the sentence says how |
//! | 130, 143 | SIGINT or SIGTERM ended nc, or a second one did not wait for a daemon's end (128 and the signal's number, as shells do) |

use std::io::{self, Write};
use std::process::ExitCode;

use crate::daemon::{Ended, Failure};
use crate::tools::Outcome;

const DONE: u8 = 0;
const BROKEN: u8 = 1;
const MISTAKE: u8 = 2;
const SIGNAL: u8 = 128;

/// For what clap says: an error, or the help that was asked for.
pub fn of_arguments(error: &clap::Error) -> ExitCode {
    ExitCode::from(if error.use_stderr() { MISTAKE } else { DONE })
}

/// For the end of a tool, and says why it failed.
pub fn of_tool(ended: &Result<Outcome, Failure>) -> ExitCode {
    if let Err(failure) = ended {
        // Not eprintln, which panics where stderr is closed.
        let _ = writeln!(io::stderr().lock(), "tapsock: {failure}");
    }
    ExitCode::from(match ended {
        Ok(Outcome::Reached) => DONE,
        Ok(Outcome::NotReached) | Err(Failure::Broken(_)) => BROKEN,
        Err(Failure::Mistake(_)) => MISTAKE,
    })
}

/// For the end of a daemon, of nc and of bench.
pub fn of_daemon(ended: &Result<Ended, Failure>) -> ExitCode {
    ExitCode::from(match ended {
        Ok(Ended::Asked) => DONE,
        Ok(Ended::Interrupted(signal)) => SIGNAL + signal.number(),
        Err(Failure::Broken(_)) => BROKEN,
        Err(Failure::Mistake(_)) => MISTAKE,
    })
}
