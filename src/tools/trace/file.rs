//! Packets into a pcapng file.

use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use crate::control::Hello;
use crate::daemon::Failure;
use crate::observe::Record;
use crate::trace::Capture;

/// A file that grows with each packet.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    capture: Capture<BufWriter<Box<dyn Write>>>,
    packets: u64,
}

impl File {
    /// Begins it; `-` is stdout.
    pub(super) fn create(path: PathBuf, about: &Hello, synthesise: bool) -> Result<File, Failure> {
        let mistake = |error: io::Error| Failure::Mistake(format!("{} cannot be written: {error}", path.display()));
        let out: Box<dyn Write> = match path.to_str() {
            Some("-") => Box::new(io::stdout()),
            _ => Box::new(fs::File::create(&path).map_err(mistake)?),
        };
        let started = Duration::from_micros(about.started);
        let mut capture = Capture::new(BufWriter::new(out), &about.interface, started).map_err(mistake)?;
        if synthesise {
            capture.synthesise();
        }
        let mut file = File { path, capture, packets: 0 };
        // Whoever reads along can begin.
        file.flush()?;
        Ok(file)
    }

    pub(super) fn is_stdout(&self) -> bool {
        self.path.to_str() == Some("-")
    }

    pub(super) fn write(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        match self.capture.write(record) {
            Ok(packets) => {
                self.packets += packets;
                Ok(())
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.capture.get_mut().flush();
        flushed.map_err(|error| self.broken(&error))
    }

    fn broken(&self, error: &io::Error) -> Failure {
        Failure::Broken(format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packets, path) = (self.packets, self.path.display());
        write!(f, "{packets} packets in {path}; look at them: tapsock explain {path}, or: wireshark {path}")
    }
}
