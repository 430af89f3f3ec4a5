//! The command line: arguments as typed, then [settings](crate::daemon::Settings), then the daemon, then an exit code.
//!
//! - [`arguments`]: what can be typed, and the help that teaches it.
//! - [`tools`]: the same for ping and traceroute; [`nc`]: for nc and bench; [`explain`]: for explain.
//! - [`look`]: for what looks into a running daemon: ss, trace and stats.
//! - [`manual`]: the man page and the completions of shells.
//! - [`replay`]: for replay.
//! - [`exit`]: the one map of exit codes.
//! - [`logging`]: what is written to stderr, and how.
//! - [`stderr`]: how it is written without ever waiting for whoever reads.

pub mod arguments;
pub mod exit;
pub mod explain;
pub mod logging;
pub mod look;
pub mod manual;
pub mod nc;
pub mod replay;
pub mod stderr;
pub mod tools;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::daemon::{self, Ended, Failure};
use crate::tools::errand;
use arguments::{Arguments, Command, list_of_limits};
use logging::Verbosity;
use stderr::Patient;

/// How long the end waits for somebody to read the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs the program with these arguments; the first is its name.
///
/// ```
/// use std::process::ExitCode;
/// let code = tapsock::cli::run(["tapsock", "daemon", "--addr", "nonsense"].map(Into::into));
/// assert_eq!(code, ExitCode::from(2));
/// ```
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and go to stdout. Nobody may be there to read them.
            let _ = error.print();
            return exit::of_arguments(&error);
        }
    };
    match arguments.command {
        Command::Daemon(arguments) => {
            let verbosity = Verbosity::of(arguments.verbose).unwrap_or(Verbosity::Life);
            explained(verbosity, || daemon::run(arguments.into()))
        }
        Command::Ping(arguments) => {
            exit::of_tool(&arguments.parse().and_then(|(ping, whose)| errand::run(ping, whose, &mut io::stdout())))
        }
        Command::Traceroute(arguments) => {
            exit::of_tool(&arguments.parse().and_then(|(way, whose)| errand::run(way, whose, &mut io::stdout())))
        }
        Command::Nc(arguments) => {
            let verbosity = Verbosity::of(arguments.verbose).unwrap_or(Verbosity::Warnings);
            let (nc, whose) = arguments.into();
            explained(verbosity, || crate::tools::nc::run(nc, whose))
        }
        Command::Ss(arguments) => {
            exit::of_look(&arguments.parse().and_then(|ss| crate::tools::ss::run(&ss, &mut io::stdout().lock())))
        }
        Command::Trace(arguments) => {
            exit::of_look(&crate::tools::trace::run(arguments.into(), &mut io::stdout().lock()))
        }
        Command::Stats(arguments) => {
            exit::of_look(&crate::tools::stats::run(&arguments.into(), &mut io::stdout().lock()))
        }
        Command::Bench(arguments) => explained(Verbosity::Warnings, || {
            crate::tools::bench::loopback(arguments.into(), say).map(|()| Ended::Asked)
        }),
        Command::Why { rule } => explained(Verbosity::Warnings, || {
            let text = crate::tools::why::explain(rule.as_deref())?;
            print(|out| out.write_all(text.as_bytes()))
        }),
        Command::Explain(arguments) => {
            exit::of_tool(&crate::tools::explain::run(&arguments.into(), &mut BufWriter::new(io::stdout().lock())))
        }
        Command::Replay(arguments) => {
            let mut out = BufWriter::new(io::stdout());
            let outcome = crate::tools::replay::run(&arguments.into(), &mut out);
            let printed = written(out.flush());
            exit::of_tool(&outcome.and_then(|outcome| printed.map(|()| outcome)))
        }
        Command::Limits => explained(Verbosity::Warnings, || print(|out| out.write_all(list_of_limits().as_bytes()))),
        Command::Completions(arguments) => {
            explained(Verbosity::Warnings, || print(|out| manual::write_completions(arguments.shell, out)))
        }
        Command::Manual(arguments) => match arguments.dir {
            None => explained(Verbosity::Warnings, || print(manual::write_page)),
            Some(dir) => explained(Verbosity::Warnings, || match manual::write_pages(&dir) {
                Ok(()) => Ok(Ended::Asked),
                Err(error) => Err(Failure::Mistake(format!(
                    "the pages cannot be written into {}: {error}; make the directory first",
                    dir.display()
                ))),
            }),
        },
    }
}

/// Writes what was asked for to stdout.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Ended, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    written(write(&mut out).and_then(|()| out.flush())).map(|()| Ended::Asked)
}

/// What became of stdout. Whoever reads no more does not want to know.
fn written(outcome: io::Result<()>) -> Result<(), Failure> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Broken(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line on stdout, which may have nobody to read it.
fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Runs what explains itself on stderr.
fn explained(verbosity: Verbosity, run: impl FnOnce() -> Result<Ended, Failure>) -> ExitCode {
    let patient = Patient::new(io::stderr()).ok();
    logging::install(verbosity, patient.clone());
    let ended = run();
    if let Err(failure) = &ended {
        // Not eprintln, which panics where stderr is closed.
        let _ = match patient.clone() {
            Some(mut patient) => patient.write_all(format!("tapsock: {failure}\n").as_bytes()),
            None => writeln!(io::stderr().lock(), "tapsock: {failure}"),
        };
    }
    if let Some(patient) = patient {
        patient.finish(LAST_WORDS);
    }
    exit::of_daemon(&ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_and_a_reader_who_has_gone_is_not() {
        let of = |kind: io::ErrorKind| print(|_| Err(kind.into()));
        assert!(matches!(of(io::ErrorKind::StorageFull), Err(Failure::Broken(_))));
        assert!(matches!(of(io::ErrorKind::BrokenPipe), Ok(Ended::Asked)));
    }
}
