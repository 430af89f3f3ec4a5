//! `tapsock explain`: the packets of a capture, each to its last bit.
//!
//! - `capture`: packets of pcap and pcapng files.
//! - `hex`: packets written as hexadecimal numbers, as tcpdump, xxd and people write them.

mod capture;
mod hex;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Outcome;
use crate::daemon::Failure;
use crate::trace::explain::{Link, Shown, explain, line};

/// What a person wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explain {
    /// Where the packets are; `-` is stdin.
    pub file: PathBuf,
    /// Only this one, the first being 1, with all its data.
    pub packet: Option<u64>,
    /// The file is text: hexadecimal numbers.
    pub is_hex: bool,
}

/// A packet as it was found.
struct Captured {
    link: Link,
    bytes: Vec<u8>,
    /// How many there were on the wire.
    wire: usize,
    /// Since 1970, if it is known.
    at: Option<Duration>,
    /// What else the capture says, one line each.
    notes: Vec<String>,
}

/// Explains until the file ends.
///
/// # Errors
///
/// [`Failure`]: the file cannot be read, or is no capture.
pub fn run(asked: &Explain, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let is_stdin = asked.file == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { format!("'{}'", asked.file.display()) };
    let source: Box<dyn Read> = if is_stdin {
        Box::new(io::stdin().lock())
    } else {
        let file =
            File::open(&asked.file).map_err(|error| Failure::Mistake(format!("{name} cannot be opened: {error}")))?;
        Box::new(file)
    };
    let mut report = Report { out, asked, seen: 0, shown: 0, damaged: 0 };
    let read = if asked.is_hex {
        hex::read(BufReader::new(source), |packet| report.packet(&packet))
    } else {
        capture::read(source, |packet| report.packet(&packet))
    };
    match read {
        Ok(()) | Err(Stop::Enough) => report.end(),
        Err(Stop::Out(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Reached),
        Err(Stop::Out(error)) => Err(Failure::Broken(format!("the explanation cannot be written: {error}"))),
        Err(Stop::Read(error)) => Err(Failure::Broken(format!("{name} cannot be read: {error}"))),
        Err(Stop::Nonsense(why)) => {
            let before = report.seen;
            let seen = if before > 0 { format!(" after packet {before}") } else { String::new() };
            Err(Failure::Mistake(format!("{name}{seen}: {why}")))
        }
    }
}

/// Why reading ended.
enum Stop {
    /// The packet that was asked for has been shown.
    Enough,
    /// Nobody takes the text.
    Out(io::Error),
    /// The file gives no more.
    Read(io::Error),
    /// It is not what it should be.
    Nonsense(String),
}

struct Report<'a> {
    out: &'a mut dyn Write,
    asked: &'a Explain,
    seen: u64,
    shown: u64,
    damaged: u64,
}

impl Report<'_> {
    fn packet(&mut self, captured: &Captured) -> Result<(), Stop> {
        self.seen += 1;
        if self.asked.packet.is_some_and(|number| number != self.seen) {
            return Ok(());
        }
        let packet = explain(captured.link, &captured.bytes, captured.wire);
        self.shown += 1;
        self.damaged += u64::from(packet.is_damaged());
        let shown = Shown { packet: &packet, is_full: self.asked.packet.is_some() };
        self.heading(captured, packet.is_damaged()).and_then(|()| writeln!(self.out, "{shown}")).map_err(Stop::Out)?;
        if self.asked.packet.is_some() { Err(Stop::Enough) } else { Ok(()) }
    }

    fn heading(&mut self, captured: &Captured, is_damaged: bool) -> io::Result<()> {
        write!(self.out, "packet {}", self.seen)?;
        if let Some(at) = captured.at {
            let (seconds, nanos) = (at.as_secs(), at.subsec_nanos());
            let day = seconds % 86_400;
            write!(
                self.out,
                " · {} {:02}:{:02}:{:02}.{nanos:09} UTC",
                date(seconds / 86_400),
                day / 3600,
                day / 60 % 60,
                day % 60
            )?;
        }
        write!(self.out, " · {} bytes", captured.wire)?;
        if captured.bytes.len() < captured.wire {
            write!(self.out, ", {} captured", captured.bytes.len())?;
        }
        writeln!(self.out, "{}", if is_damaged { " · DAMAGED" } else { "" })?;
        if let Some(line) = line(captured.link, &captured.bytes, captured.wire) {
            writeln!(self.out, "  {line}")?;
        }
        captured.notes.iter().try_for_each(|note| writeln!(self.out, "  {note}"))
    }

    fn end(&mut self) -> Result<Outcome, Failure> {
        if let Some(number) = self.asked.packet.filter(|_| self.shown == 0) {
            return Err(Failure::Mistake(format!("there is no packet {number}: the file has {}", self.seen)));
        }
        if self.asked.is_hex && self.seen == 0 {
            return Err(Failure::Mistake("there are no hexadecimal numbers in it".into()));
        }
        if self.asked.packet.is_none() {
            let many = |count: u64| if count == 1 { "packet" } else { "packets" };
            // Whoever reads may have left already.
            let _ = writeln!(self.out, "{} {}, {} damaged", self.seen, many(self.seen), self.damaged);
        }
        Ok(if self.damaged == 0 { Outcome::Reached } else { Outcome::NotReached })
    }
}

/// The date of a day since 1970, as `2026-11-24`.
fn date(days: u64) -> String {
    // Counted in eras of 400 years from 1 March of the year 0, so that leap days come last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        for (days, text) in [
            (0, "1970-01-01"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_781, "2026-11-24"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(days), text);
        }
    }
}
