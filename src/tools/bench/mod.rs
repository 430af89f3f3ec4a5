//! `tapsock bench loopback`: what lies between two sockets of one machine, and how fast each kind of it is, here.
//!
//! Everything is measured in one run and in turns, because a machine has moods: what counts is the ratios.

mod stock;
mod ways;

use std::io;
use std::time::Duration;

use crate::config::Loopback;
use crate::daemon::Failure;
use ways::{Ends, Way};

/// What was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How often each figure is taken; the middle one counts.
    pub runs: usize,
    /// How long each time.
    pub span: Duration,
}

/// The columns: what the others are compared with first.
const COLUMNS: [Column; 6] = [
    Column { name: "fast", way: Some(Way::Ours(Loopback::Fast)) },
    Column { name: "wire", way: Some(Way::Ours(Loopback::Wire)) },
    Column { name: "smoltcp", way: None },
    Column { name: "TCP", way: Some(Way::KernelTcp) },
    Column { name: "AF_UNIX", way: Some(Way::Unix) },
    Column { name: "pipe", way: Some(Way::Pipe) },
];

/// One kind of loopback; smoltcp's runs in one thread and has no ends.
struct Column {
    name: &'static str,
    way: Option<Way>,
}

/// The rows.
#[derive(Clone, Copy)]
enum Row {
    /// Bytes a second, in writes of so many.
    Throughput(usize),
    /// Seconds from sending one byte to having it back.
    RoundTrip { is_busy: bool },
}

const ROWS: [Row; 5] = [
    Row::Throughput(64 * 1024),
    Row::Throughput(4096),
    Row::Throughput(64),
    Row::RoundTrip { is_busy: false },
    Row::RoundTrip { is_busy: true },
];

impl Row {
    fn measure(self, column: &Column, span: Duration) -> io::Result<Option<f64>> {
        match (column.way, self) {
            (Some(way), Row::Throughput(block)) => Ends::open(way)?.throughput(block, span).map(Some),
            (Some(way), Row::RoundTrip { is_busy }) => Ends::open(way)?.round_trip(is_busy, span).map(Some),
            (None, Row::Throughput(block)) => stock::throughput(block, span).map(Some),
            // One thread has nobody to wait for.
            (None, Row::RoundTrip { is_busy: false }) => Ok(None),
            (None, Row::RoundTrip { is_busy: true }) => stock::round_trip(span).map(Some),
        }
    }

    fn title(self) -> String {
        match self {
            Row::Throughput(block) if block >= 1024 => format!("{} KiB a write, GB/s", block / 1024),
            Row::Throughput(block) => format!("{block} B a write, GB/s"),
            Row::RoundTrip { is_busy: false } => "1 B there and back, µs".to_owned(),
            Row::RoundTrip { is_busy: true } => "  the same, busy, µs".to_owned(),
        }
    }

    fn figure(self, value: f64) -> String {
        match self {
            Row::Throughput(_) => format!("{:.3}", value / 1e9),
            Row::RoundTrip { .. } => format!("{:.2}", value * 1e6),
        }
    }

    /// How many times better the first is than this one.
    fn times(self, first: f64, value: f64) -> f64 {
        match self {
            Row::Throughput(_) => first / value,
            Row::RoundTrip { .. } => value / first,
        }
    }
}

/// Measures, and gives the table as text, line by line as it is known.
///
/// # Errors
///
/// [`Failure::Broken`] if the system refuses a socket or a thread.
pub fn loopback(settings: Settings, mut print: impl FnMut(&str)) -> Result<(), Failure> {
    let Settings { runs, span } = settings;
    print(&format!(
        "Two threads of one process. Medians of {runs} runs of {} ms each, in turns; about {:.0} s in all.\n\
         fast, wire: two sockets of a tapsock without a link (--loopback). smoltcp: its own loopback device, in one\n\
         thread, with checksums. TCP: the kernel's on 127.0.0.1. pipe: of 1 MiB. busy: asks again instead of waiting.\n\
         Under each figure: how many times as good fast is; above ×1, fast is better.\n",
        span.as_millis(),
        (ROWS.len() * COLUMNS.len() * runs) as f64 * span.as_secs_f64() * 1.1,
    ));
    print(&line("", COLUMNS.iter().map(|column| column.name.to_owned())));
    for row in ROWS {
        let medians = in_turns(row, runs, span).map_err(|error| Failure::Broken(format!("cannot measure: {error}")))?;
        let figure = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| row.figure(value));
        print(&line(&row.title(), medians.iter().map(figure)));
        let first = medians.first().copied().flatten().unwrap_or(f64::NAN);
        let times = |value: &Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("×{:.2}", row.times(first, value)))
        };
        print(&line("    fast against it", medians.iter().map(times)));
    }
    Ok(())
}

fn line(title: &str, cells: impl Iterator<Item = String>) -> String {
    let mut text = format!("{title:<24}");
    for cell in cells {
        text.push_str(&format!(" {cell:>9}"));
    }
    text
}

fn in_turns(row: Row, runs: usize, span: Duration) -> io::Result<Vec<Option<f64>>> {
    let mut all = vec![Vec::new(); COLUMNS.len()];
    for _ in 0..runs {
        for (column, figures) in COLUMNS.iter().zip(&mut all) {
            figures.extend(row.measure(column, span)?);
        }
    }
    Ok(all.into_iter().map(median).collect())
}

/// The middle one.
fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_carries_bytes_and_the_table_has_all_its_rows() {
        let mut lines = Vec::new();
        let settings = Settings { runs: 1, span: Duration::from_millis(1) };
        loopback(settings, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines.len(), 2 + 2 * ROWS.len(), "{lines:#?}");
        for row in lines[2..].chunks(2) {
            let figures: Vec<_> = row[0][24..].split_whitespace().collect();
            assert_eq!(figures.len(), COLUMNS.len(), "{}", row[0]);
            let is_figure = |figure: &&str| *figure == "-" || figure.parse::<f64>().is_ok_and(|value| value >= 0.0);
            assert!(figures.iter().all(is_figure), "{}", row[0]);
            assert!(row[1].contains("×1.00"), "the first against itself: {}", row[1]);
        }
    }

    #[test]
    fn the_middle_figure_counts() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
