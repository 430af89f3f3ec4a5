//! What can be typed after `tapsock replay`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::observe;
use crate::recording::Changes;
use crate::tools::replay;

const AFTER: &str = "\
How to get one:
  tapsock daemon --record session.rec     and what you want to see again; stop it with Ctrl-C
  tapsock daemon --fault loss=2%,seed=7 --record lossy.rec

What to see:
  tapsock replay session.rec                      whether the same leaves, byte for byte
  tapsock replay session.rec --depth segment      and what happened: each call, change of state, segment and timer
  tapsock replay session.rec -w session.pcapng    for Wireshark
  tapsock replay lossy.rec --without-loss         what the stack would have done
  tapsock replay session.rec --drop 17            and without the 17th frame that came in

What if: from the first change on, the answers of the programs do not fit any more. Then each program reads all
that comes at once, and writes what it wrote and closes when it closed, at the same times. The other hosts are not
there: what they sent comes as it came, and they do not answer what is new.

Exit codes: 0 the same, or changed as it was asked for; 1 it is not, and the first difference is told; 2 the file
is no recording.";

/// The arguments of `tapsock replay`.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Replay {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,

    /// Write what happens, so much of it; without it only how it went
    #[arg(long, value_name = "DEPTH")]
    pub depth: Option<Depth>,

    /// Write the packets to a file, as pcapng
    #[arg(short = 'w', long = "write", value_name = "FILE.pcapng")]
    pub capture: Option<PathBuf>,

    /// Leave out the Nth frame that came in, counted from 1; may be given several times
    #[arg(long = "drop", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub dropped: Vec<u64>,

    /// Let the frames come in that 'daemon --fault' has lost
    #[arg(long)]
    pub without_loss: bool,
}

/// How much is told; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// Calls and changes of state
    Call,
    /// Segments and timers
    Segment,
    /// Frames
    Frame,
    /// Frames with all their bytes
    Bytes,
}

impl From<Replay> for replay::Replay {
    fn from(arguments: Replay) -> replay::Replay {
        replay::Replay {
            file: arguments.file,
            depth: match arguments.depth {
                None => observe::Depth::Nothing,
                Some(Depth::Call) => observe::Depth::Call,
                Some(Depth::Segment) => observe::Depth::Segment,
                Some(Depth::Frame) => observe::Depth::Frame,
                Some(Depth::Bytes) => observe::Depth::Bytes,
            },
            capture: arguments.capture,
            changes: Changes { dropped: BTreeSet::from_iter(arguments.dropped), without_loss: arguments.without_loss },
        }
    }
}
