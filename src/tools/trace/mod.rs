//! `tapsock trace`: what happens in a running daemon, as it happens.
//!
//! - `picture`: lines, JSON, a tree of causes, a sequence diagram.
//! - `file`: a pcapng file beside it.

mod file;
mod picture;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::control::{Filter, Kind, Tracing};
pub use crate::observe::{Depth, SocketId};
pub use picture::Form;

use crate::control::{Client, Encoding, Heard, Message};
use crate::daemon::Failure;
use file::File;
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
    if trace.form.is_some() && trace.file.as_deref() == Some(Path::new("-")) {
        let why = "-w - is for the packets alone: what is drawn goes to stdout too; write them into a file";
        return Err(Failure::Mistake(why.into()));
    }
    let mut client = Client::connect(trace.name.as_deref())?;
    let opened = trace.file.as_deref().map(File::open).transpose()?;
    let mut picture = Picture::new(trace.form, trace.colour, trace.tracing.depth);
    let mut tracing = trace.tracing;
    if trace.form.is_none() {
        // Only the file is wanted: the daemon makes it.
        (tracing.encoding, tracing.synthesise) = (Encoding::Pcapng, trace.synthesise);
    }
    let encoding = client.trace(tracing)?;
    let file = trace.file.zip(opened);
    let mut file = file.map(|file| File::begin(file, encoding, client.hello(), trace.synthesise)).transpose()?;
    super::signals::listen(client.speaker()?)?;
    // Who types a command in another terminal next must know that it is seen. Nobody may be there to be told.
    let _ = writeln!(io::stderr().lock(), "watching {}; Ctrl-C ends it", client.hello().name);
    // A line at a time would be a write at a time.
    let out = &mut BufWriter::new(out);
    let ended = loop {
        let is_gone = match client.next_within(QUIET) {
            Ok(Heard::Message(Message::Part { packets, .. })) => match &mut file {
                Some(file) => file.append(packets, client.part())?,
                None => false,
            },
            Ok(Heard::Message(Message::Record(record))) => {
                let is_file_gone = file.as_mut().map_or(Ok(false), |file| file.write(&record))?;
                is_over(picture.show(record, out))? || is_file_gone
            }
            Ok(Heard::Message(Message::Dropped { records })) => {
                file.iter_mut().for_each(|file| file.miss(records));
                is_over(picture.miss(records, out))?
            }
            Ok(Heard::Message(Message::Error { error })) => break Err(Failure::Broken(error)),
            Ok(Heard::Message(Message::End) | Heard::Over) => break Ok(()),
            Ok(Heard::Message(_)) => false,
            Ok(Heard::Nothing) => {
                let is_file_gone = file.as_mut().map_or(Ok(false), File::flush)?;
                is_over(picture.rest(out))? || is_file_gone
            }
            Err(why) => break Err(why.into()),
        };
        if is_gone || client.is_drained() && is_over(out.flush())? {
            break Ok(());
        }
    };
    let is_gone = is_over(picture.rest(out))?;
    if let Some(mut file) = file {
        let is_gone = file.flush()? || is_gone;
        if !is_gone && trace.form.is_none() && !file.is_stdout() {
            is_over(writeln!(out, "{file}"))?;
        }
    }
    is_over(out.flush())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_a_picture_do_not_both_go_to_stdout() {
        let trace = Trace {
            name: None,
            tracing: Tracing::default(),
            form: Some(Form::Json),
            colour: false,
            file: Some("-".into()),
            synthesise: false,
        };
        let refused = run(trace, &mut Vec::new()).unwrap_err();
        assert!(matches!(&refused, Failure::Mistake(why) if why.contains("-w -")), "{refused}");
    }
}
