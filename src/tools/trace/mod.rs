//! `tapsock trace`: what happens in a running daemon, as it happens.
//!
//! - `picture`: lines, JSON, a tree of causes, a sequence diagram.
//! - `file`: a pcapng file beside it.
//! - `input`: records, or Ctrl-C, whatever comes first.

mod file;
mod input;
mod picture;

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

pub use crate::control::{Filter, Kind, Tracing};
pub use crate::observe::{Depth, SocketId};
pub use picture::Form;

use crate::control::{Client, Message};
use crate::daemon::Failure;
use file::File;
use input::Input;
use picture::Picture;

/// When nothing has happened for so long, a tree is drawn, and what was written is in the file.
const QUIET: Duration = Duration::from_millis(200);

/// What a person wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// Of which daemon; `None`: of the only one.
    pub name: Option<String>,
    /// Of what, and how closely.
    pub tracing: Tracing,
    /// In which form. `None`: only into the file.
    pub form: Option<Form>,
    /// Whether the form has colours.
    pub colour: bool,
    /// Where packets are written to, as pcapng.
    pub file: Option<PathBuf>,
    /// What is written for bytes that had no packet: made-up ones, marked as such.
    pub synthesise: bool,
}

/// Shows what happens until there is enough, the daemon ends, Ctrl-C comes or nobody reads any more.
///
/// # Errors
///
/// [`Failure`]: there is no daemon, the file cannot be written, or the conversation breaks.
pub fn run(trace: Trace, out: &mut dyn Write) -> Result<(), Failure> {
    let mut client = Client::connect(trace.name.as_deref())?;
    let mut file = trace.file.map(|path| File::create(path, client.hello(), trace.synthesise)).transpose()?;
    let mut picture = Picture::new(trace.form, trace.colour, trace.tracing.depth);
    client.trace(trace.tracing)?;
    // Who types a command in another terminal next must know that it is seen. Nobody may be there to be told.
    let _ = writeln!(io::stderr().lock(), "watching {}; Ctrl-C ends it", client.hello().name);
    let inputs = input::listen(client).map_err(|error| Failure::Broken(format!("no thread to listen on: {error}")))?;
    let ended = loop {
        match inputs.recv_timeout(QUIET) {
            Ok(Input::Message(Message::Record(record))) => {
                if let Some(file) = &mut file {
                    file.write(&record)?;
                }
                if is_over(picture.show(record, out))? {
                    break Ok(());
                }
            }
            Ok(Input::Message(Message::Dropped { records })) => {
                if is_over(picture.miss(records, out))? {
                    break Ok(());
                }
            }
            Ok(Input::Message(Message::Error { error })) => break Err(Failure::Broken(error)),
            Ok(Input::Message(Message::End) | Input::Over(Ok(())) | Input::Interrupted) => break Ok(()),
            Ok(Input::Message(_)) => {}
            Ok(Input::Over(Err(why))) => break Err(why.into()),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(file) = &mut file {
                    file.flush()?;
                }
                if is_over(picture.rest(out))? {
                    break Ok(());
                }
            }
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
        }
    };
    let is_gone = is_over(picture.rest(out))?;
    if let Some(mut file) = file {
        file.flush()?;
        if !is_gone && trace.form.is_none() && !file.is_stdout() {
            is_over(writeln!(out, "{file}"))?;
        }
    }
    ended
}

/// Whether nobody reads what is written.
fn is_over(written: io::Result<()>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(true),
        Err(error) => Err(Failure::Broken(format!("the trace cannot be written: {error}"))),
    }
}
