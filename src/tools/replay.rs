//! The stack of a recording once more, in virtual time.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Outcome;
use crate::daemon::Failure;
use crate::observe::{Depth, Event, Observer, Record};
use crate::recording::{Changes, NotARecording, Player, Recording, Summary};
use crate::trace::{Capture, Line};

/// What `tapsock --version` prints.
const OURS: &str = env!("TAPSOCK_VERSION");

/// What to replay, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The recording.
    pub file: PathBuf,
    /// How much of what happens is written; `Nothing`: only how it went.
    pub depth: Depth,
    /// Where the packets go, as pcapng.
    pub capture: Option<PathBuf>,
    /// What is to be other than it was.
    pub changes: Changes,
}

/// Replays it.
///
/// # Errors
///
/// [`Failure`]: a file cannot be read or written, or is none.
pub fn run(replay: &Replay, out: &mut (dyn Write + Send)) -> Result<Outcome, Failure> {
    let name = replay.file.display();
    if replay.capture.as_deref() == Some(Path::new("-")) {
        return Err(Failure::Mistake("-w -: stdout is for what happened; name a file".into()));
    }
    let file = File::open(&replay.file).map_err(|error| {
        Failure::Mistake(format!("{name}: {error}; name a file that 'tapsock daemon --record' made"))
    })?;
    let recording =
        Recording::open(BufReader::with_capacity(1 << 20, file)).map_err(|error| refused(replay, &error))?;
    let (started, interface) = (recording.header.started, recording.header.interface.clone());
    let capture = replay.capture.as_ref().map(|path| {
        let wrong = |error| Failure::Mistake(format!("-w {}: {error}; name a file that you may write", path.display()));
        let file = File::create(path).map_err(wrong)?;
        Capture::new(BufWriter::new(file), &interface, started).map_err(wrong)
    });
    let mut shown = Shown { depth: replay.depth, out, capture: capture.transpose()?, error: None };
    let made_by = &recording.header.version;
    if let Some(other) = other_build(made_by, OURS) {
        shown.say(&format!("recorded by tapsock {made_by}; this is {OURS}: {other}, and may do otherwise"));
    }
    let player = Player::new(&recording, replay.changes.clone());
    let (summary, difference) = player.run(recording, &mut shown).map_err(|error| refused(replay, &error))?;
    for line in lines(&summary, replay) {
        shown.say(&line);
    }
    let outcome = match &difference {
        Some(difference) => {
            shown.say(&format!("not the same: {difference}"));
            Outcome::NotReached
        }
        None => {
            if replay.changes.is_none() {
                shown.say("the same, byte for byte");
            }
            Outcome::Reached
        }
    };
    shown.finish().map(|()| outcome)
}

fn refused(replay: &Replay, error: &NotARecording) -> Failure {
    Failure::Mistake(format!("{}: {error}", replay.file.display()))
}

/// What this program is, beside the one that made the recording. `None`: the same.
fn other_build(recorded: &str, ours: &str) -> Option<&'static str> {
    // `0.1.0 (0123456789ab)`, or the version alone where the commit is not known.
    let parts = |build: &str| {
        let (version, commit) = build.split_once(' ').unwrap_or((build, ""));
        (version.to_owned(), commit.to_owned())
    };
    let ((version, commit), (our_version, our_commit)) = (parts(recorded), parts(ours));
    if version != our_version {
        Some("another version")
    } else if commit == our_commit {
        None
    } else if commit.is_empty() || our_commit.is_empty() {
        Some("the same version, perhaps of another commit")
    } else {
        Some("another commit of the same version")
    }
}

/// How it went.
fn lines(summary: &Summary, replay: &Replay) -> Vec<String> {
    let Summary { steps, frames_in, frames_out, recorded_out, span, changed, ended, is_cut_off } = summary;
    let mut lines = vec![format!("{steps} steps in {} s: {frames_in} frames in, {frames_out} out", span.as_secs_f64())];
    if !replay.changes.is_none() {
        lines.push(match changed {
            0 => "nothing of what was to be changed is in the recording".into(),
            _ => format!("{changed} frames changed on the way in; {recorded_out} went out without that"),
        });
    }
    if let Some(why) = ended {
        lines.push(format!("the recording ended before the stack did: {why}"));
    }
    if *is_cut_off {
        lines.push("the file ends in the middle of a record: the daemon was killed, or still runs".into());
    }
    lines
}

/// What happens, on a terminal and in a file.
struct Shown<'a> {
    depth: Depth,
    out: &'a mut (dyn Write + Send),
    capture: Option<Capture<BufWriter<File>>>,
    /// The first trouble with the file.
    error: Option<io::Error>,
}

impl Shown<'_> {
    /// A line for whoever still reads.
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}");
    }

    fn finish(mut self) -> Result<(), Failure> {
        let flushed = self.capture.as_mut().map_or(Ok(()), |capture| capture.get_mut().flush());
        match self.error.take().or(flushed.err()) {
            Some(error) => Err(Failure::Broken(format!("the capture cannot be written: {error}"))),
            None => Ok(()),
        }
    }
}

impl Observer for Shown<'_> {
    fn depth(&self) -> Depth {
        if self.capture.is_some() { self.depth.max(Depth::Frame) } else { self.depth }
    }

    fn observe(&mut self, record: &Record<'_>) {
        if let Some(capture) = &mut self.capture
            && let Err(error) = capture.write(record)
        {
            self.error.get_or_insert(error);
        }
        if record.event.depth() <= self.depth {
            self.say(&format!("{} {}", record.at, Line(&record.event)));
            if self.depth == Depth::Bytes
                && let Event::Frame { bytes, .. } | Event::Loopback { bytes, .. } = &record.event
            {
                for (i, row) in bytes.chunks(16).enumerate() {
                    let digits: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                    self.say(&format!("         {:04x}  {}", 16 * i, digits.join(" ")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(bytes: &[u8]) -> Result<Outcome, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let replay =
            Replay { file: file.path().into(), depth: Depth::Nothing, capture: None, changes: Changes::default() };
        run(&replay, &mut io::sink())
    }

    #[test]
    fn another_build_is_told_by_what_it_differs_in() {
        let this = "0.1.0 (0123456789ab)";
        for (recorded, other) in [
            (this, None),
            ("0.1.0 (ba9876543210)", Some("another commit of the same version")),
            ("0.1.0", Some("the same version, perhaps of another commit")),
            ("0.2.0 (0123456789ab)", Some("another version")),
        ] {
            assert_eq!((other_build(recorded, this), other_build(this, recorded)), (other, other));
        }
    }

    #[test]
    fn what_is_no_recording_gets_a_sentence() {
        for (bytes, sentence) in [
            (&b""[..], "no recording of tapsock"),
            (b"\x7fELF", "no recording of tapsock"),
            (b"tapsock recording 1\n", "cannot read; record again"),
            (b"tapsock recording 2\n{}\n", "header of the recording"),
        ] {
            let Err(Failure::Mistake(said)) = run_on(bytes) else { panic!("{bytes:?}") };
            assert!(said.contains(sentence), "{said}");
        }
    }

    #[test]
    fn packets_do_not_go_where_what_happened_is_written() {
        let capture = Some("-".into());
        let replay = Replay { file: "none".into(), depth: Depth::Nothing, capture, changes: Changes::default() };
        let refused = run(&replay, &mut io::sink()).unwrap_err().to_string();
        assert!(refused.contains("name a file"), "{refused}");
    }
}
