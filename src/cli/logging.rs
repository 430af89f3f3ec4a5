//! What is written to stderr: one record a line, the moment first.
//!
//! ```text
//! 0.123456 info   tcp#3 192.168.69.1:80 ← 192.168.69.100:43210 accepted by tcp#1 (0.0.0.0:80, backlog 1/128)
//! ```
//!
//! The moment is in seconds since the program began. Lines of a record after its first are indented to where the
//! first one's message begins.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use env_logger::{Builder, Env, Target, WriteStyle};
use log::Level;

use super::stderr::Patient;

/// How much is written. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only warnings.
    Warnings,
    /// The life of addresses, neighbours and connections.
    Life,
    /// Every call of a program, what it is given, and every change of a connection's state.
    Calls,
    /// A line for each packet.
    Packets,
    /// The layers of each packet.
    Layers,
}

impl Verbosity {
    /// What so many `-v` stand for.
    pub const fn of(count: u8) -> Option<Verbosity> {
        match count {
            0 => None,
            1 => Some(Verbosity::Calls),
            2 => Some(Verbosity::Packets),
            _ => Some(Verbosity::Layers),
        }
    }

    /// smoltcp logs too: what its state machines think is not what this program promises to explain.
    const fn filter(self) -> &'static str {
        match self {
            Verbosity::Warnings => "warn",
            Verbosity::Life => "warn,tapsock=info",
            Verbosity::Calls => "warn,tapsock=info,tapsock::call=debug",
            Verbosity::Packets => "warn,tapsock=debug",
            Verbosity::Layers => "warn,tapsock=trace",
        }
    }
}

/// Writes records to stderr from here on, by way of `target` if there is one: those that `RUST_LOG` chooses, or else
/// `verbosity` does. Coloured where stderr is a terminal.
pub fn install(verbosity: Verbosity, target: Option<Patient>) {
    let started = Instant::now();
    let mut builder = Builder::from_env(Env::default().default_filter_or(verbosity.filter()));
    if let Some(target) = target {
        builder.target(Target::Pipe(Box::new(target)));
        // What it leads to is out of env_logger's sight.
        let is_unsaid = ["RUST_LOG_STYLE", "NO_COLOR"].iter().all(|name| std::env::var_os(name).is_none());
        if is_unsaid && io::stderr().is_terminal() {
            builder.write_style(WriteStyle::Always);
        }
    }
    builder.format(move |buffer, record| {
        let style = buffer.default_level_style(record.level());
        let level = name(record.level());
        let moment = Moment(started.elapsed());
        let from = Origin(record.target());
        let text = format!("{from}{}", record.args());
        let text = Indented { text: &text, by: moment.to_string().len() + 1 };
        writeln!(buffer, "{moment} {style}{level:<5}{style:#}  {text}")
    });
    // A program that embeds this has a logger of its own already, and keeps it.
    let _ = builder.try_init();
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

struct Moment(Duration);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// Says whose record it is, where it is not ours.
struct Origin<'a>(&'a str);

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == "tapsock" || self.0.starts_with("tapsock::") { Ok(()) } else { write!(f, "{}: ", self.0) }
    }
}

/// A text whose lines after the first begin with more blanks. The text has brought seven of its own, the width of
/// `info   `.
struct Indented<'a> {
    text: &'a str,
    by: usize,
}

impl fmt::Display for Indented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.text.split('\n').enumerate() {
            if i > 0 {
                write!(f, "\n{:1$}", "", self.by)?;
            }
            f.write_str(line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use log::Log;

    use super::*;

    #[test]
    fn moments_have_microseconds_and_later_lines_are_aligned() {
        assert_eq!(Moment(Duration::from_micros(123_456)).to_string(), "0.123456");
        assert_eq!(Moment(Duration::from_micros(12_000_007)).to_string(), "12.000007");
        let text = Indented { text: "    eth\n           ip4\n           tcp", by: 9 }.to_string();
        let blanks: Vec<usize> = text.lines().map(|line| line.len() - line.trim_start().len()).collect();
        assert_eq!(blanks, [4, 20, 20]);
    }

    #[test]
    fn each_depth_of_the_log_includes_the_ones_before() {
        let counted: Vec<Verbosity> = (1..=4).filter_map(Verbosity::of).collect();
        assert_eq!(Verbosity::of(0), None);
        assert_eq!(counted, [Verbosity::Calls, Verbosity::Packets, Verbosity::Layers, Verbosity::Layers]);
        // What is let through at each, by topic.
        let topics = ["socket", "call", "segment", "packet", "layers"];
        let levels = [Level::Info, Level::Debug, Level::Debug, Level::Debug, Level::Trace];
        let shown = |verbosity: Verbosity| {
            let filter = env_logger::Builder::new().parse_filters(verbosity.filter()).build();
            let is_shown = |(topic, level): (&str, Level)| {
                let target = format!("tapsock::{topic}");
                filter.enabled(&log::Metadata::builder().target(&target).level(level).build())
            };
            topics.into_iter().zip(levels).map(is_shown).filter(|&is_shown| is_shown).count()
        };
        use Verbosity::*;
        assert_eq!([Warnings, Life, Calls, Packets, Layers].map(shown), [0, 1, 2, 4, 5]);
    }

    #[test]
    fn records_of_others_name_their_origin() {
        assert_eq!(Origin("tapsock::packet").to_string(), "");
        assert_eq!(Origin("smoltcp::iface").to_string(), "smoltcp::iface: ");
    }
}
