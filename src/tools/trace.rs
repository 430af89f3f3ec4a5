//! `tapsock trace`: what happens in a running daemon, as it happens.

use std::io::{self, BufWriter, ErrorKind, Write};

pub use crate::control::{Filter, Kind, Tracing};
pub use crate::observe::{Depth, SocketId};

use crate::control::{Client, Message};
use crate::daemon::Failure;

/// How the line of a record begins.
const RECORD: &str = r#"{"message":"record","#;

/// What a person wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Of which daemon; `None`: of the only one.
    pub name: Option<String>,
    /// Of what, and how closely.
    pub tracing: Tracing,
}

/// Writes each record as a line of JSON, until there are enough, the daemon ends or nobody reads any more.
///
/// # Errors
///
/// [`Failure`]: there is no daemon, or the conversation breaks.
pub fn run(trace: Trace, out: &mut dyn Write) -> Result<(), Failure> {
    let mut client = Client::connect(trace.name.as_deref())?;
    client.trace(trace.tracing)?;
    let mut out = BufWriter::new(out);
    while let Some(line) = client.next_line()? {
        // A record is written as it came, without the word that says that it is one.
        let written = match line.strip_prefix(RECORD) {
            Some(rest) => writeln!(out, "{{{rest}"),
            None if matches!(serde_json::from_str(line), Ok(Message::End)) => break,
            None => writeln!(out, "{line}"),
        };
        let shown = if client.is_drained() { written.and_then(|()| out.flush()) } else { written };
        if let Err(error) = shown {
            return finished(&error);
        }
    }
    out.flush().or_else(|error| finished(&error))
}

/// Whoever has read enough, such as head(1), is content.
fn finished(error: &io::Error) -> Result<(), Failure> {
    match error.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Failure::Broken(format!("the trace cannot be written: {error}"))),
    }
}
