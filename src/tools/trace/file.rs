//! Packets into a pcapng file.

use std::fmt;
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control::{Encoding, Hello};
use crate::daemon::Failure;
use crate::observe::Record;
use crate::trace::Capture;

/// A file that grows with each packet.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    way: Way,
    packets: u64,
    missing: u64,
}

/// How packets come into it.
#[derive(Debug)]
enum Way {
    /// Records become packets here.
    Records(Capture<BufWriter<fs::File>>),
    /// The daemon makes the file, and it comes in parts.
    Parts(fs::File),
}

impl File {
    /// Opens it; `-` is stdout.
    pub(super) fn open(path: &Path) -> Result<fs::File, Failure> {
        let opened = match path.to_str() {
            // Not by std's, which looks for the ends of lines.
            Some("-") => io::stdout().as_fd().try_clone_to_owned().map(fs::File::from),
            _ => fs::File::create(path),
        };
        opened.map_err(|error| Failure::Mistake(format!("{} cannot be written: {error}", path.display())))
    }

    /// Begins it, in the form in which packets come.
    pub(super) fn begin(
        (path, out): (PathBuf, fs::File),
        encoding: Encoding,
        about: &Hello,
        synthesise: bool,
    ) -> Result<File, Failure> {
        let way = match encoding {
            Encoding::Pcapng => Way::Parts(out),
            Encoding::Json => {
                let started = Duration::from_micros(about.started);
                let begun = Capture::new(BufWriter::new(out), &about.interface, started);
                let mut capture = begun.map_err(|error| broken(&path, &error))?;
                if synthesise {
                    capture.synthesise();
                }
                Way::Records(capture)
            }
        };
        let mut file = File { path, way, packets: 0, missing: 0 };
        // Whoever reads along can begin.
        file.flush()?;
        Ok(file)
    }

    pub(super) fn is_stdout(&self) -> bool {
        self.path.to_str() == Some("-")
    }

    /// One more record. Says whether nobody reads the file any more.
    pub(super) fn write(&mut self, record: &Record<'_>) -> Result<bool, Failure> {
        let written = match &mut self.way {
            Way::Records(capture) => capture.write(record),
            Way::Parts(_) => Ok(0),
        };
        self.note(written)
    }

    /// One more part. Says whether nobody reads the file any more.
    pub(super) fn append(&mut self, packets: u64, part: &[u8]) -> Result<bool, Failure> {
        let written = match &mut self.way {
            Way::Parts(out) => out.write_all(part).map(|()| packets),
            Way::Records(_) => Ok(0),
        };
        self.note(written)
    }

    /// So many records are missing here.
    pub(super) fn miss(&mut self, records: u64) {
        self.missing += records;
        if let Way::Records(capture) = &mut self.way {
            capture.miss(records);
        }
    }

    /// Says whether nobody reads the file any more.
    pub(super) fn flush(&mut self) -> Result<bool, Failure> {
        let flushed = match &mut self.way {
            Way::Records(capture) => capture.get_mut().flush().map(|()| 0),
            Way::Parts(_) => Ok(0),
        };
        self.note(flushed)
    }

    fn note(&mut self, written: io::Result<u64>) -> Result<bool, Failure> {
        match written {
            Ok(packets) => {
                self.packets += packets;
                Ok(false)
            }
            // It is a pipe.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
            Err(error) => Err(broken(&self.path, &error)),
        }
    }
}

fn broken(path: &Path, error: &io::Error) -> Failure {
    Failure::Broken(format!("{} cannot be written: {error}", path.display()))
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets, path) = (self.packets, self.path.display());
        write!(f, "{packets} packets in {path}; look at them: tapsock explain {path}, or: wireshark {path}")?;
        match (self.missing, &self.way) {
            (0, _) => Ok(()),
            (missing, Way::Parts(_)) => write!(f, "\n{missing} packets are missing: they came too fast"),
            (missing, Way::Records(_)) => write!(f, "\n{missing} records are missing: they came too fast"),
        }
    }
}
