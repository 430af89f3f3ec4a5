//! The trace of a run: written for a person who looks for a cause, and formatted for nobody otherwise, because the
//! decoders of the trace see hostile frames too.

use std::fmt::Write;
use std::sync::Once;

use log::{LevelFilter, Log, Metadata, Record};

/// The environment variable that shows the trace.
pub const VARIABLE: &str = "FUZZ_TRACE";

struct Logger {
    is_shown: bool,
}

/// Counts what is written and keeps nothing.
struct Sink(usize);

impl Write for Sink {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if self.is_shown {
            eprintln!("{:<6} {}", record.level().as_str().to_lowercase(), record.args());
        } else {
            let _ = write!(Sink(0), "{}", record.args());
        }
    }

    fn flush(&self) {}
}

/// Chooses whether what happens from here on is traced.
pub fn trace(wanted: bool) {
    static ONCE: Once = Once::new();
    static SHOWN: Logger = Logger { is_shown: true };
    static HIDDEN: Logger = Logger { is_shown: false };
    let shown = std::env::var_os(VARIABLE);
    ONCE.call_once(|| {
        let _ = log::set_logger(if shown.is_some() { &SHOWN } else { &HIDDEN });
    });
    let level = match shown.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("trace") => LevelFilter::Trace,
        Some(_) => LevelFilter::Debug,
        None if wanted => LevelFilter::Trace,
        None => LevelFilter::Off,
    };
    log::set_max_level(level);
}
