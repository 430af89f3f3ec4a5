//! `tapsock trace`: what happens in a running daemon, as it happens.

use std::io::{ErrorKind, Write};

pub use crate::control::{Filter, Kind, Tracing};
pub use crate::observe::{Depth, SocketId};

use crate::control::{Client, Message};
use crate::daemon::Failure;

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
    loop {
        let Some(message) = client.next()? else { return Ok(()) };
        let line = match &message {
            Message::Record(record) => serde_json::to_string(record),
            Message::End => return Ok(()),
            other => serde_json::to_string(other),
        };
        let line = line.map_err(|error| Failure::Broken(format!("a record cannot be written: {error}")))?;
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::Broken(format!("the trace cannot be written: {error}"))),
        }
    }
}
