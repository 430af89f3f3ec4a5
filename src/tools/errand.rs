//! `tapsock ping` and `tapsock traceroute`: an [errand](crate::errands) for a stack, and its lines as they come.
//!
//! The stack is one of its own on a TAP, as one more host there, or that of a running daemon, which is asked over its control
//! socket.

use std::io::{self, Write};

use tokio::sync::mpsc;

use super::{Outcome, signals};
use crate::control::{Client, Message};
use crate::daemon::{Attachment, Failure, with_stack};
use crate::errands::{self, Said};
pub use crate::errands::{Errand, Ping, Probe, Traceroute};

/// Whose stack is to do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// One of its own.
    Own(Box<Attachment>),
    /// That of the daemon of this name.
    Daemon(String),
    /// That of the daemon, if one runs; else one of its own, as it is when nothing is chosen.
    Whoever,
}

/// Who does it.
pub(super) enum Found {
    Own(Box<Attachment>),
    Daemon(Box<Client>),
}

impl Whose {
    pub(super) fn find(self) -> Result<Found, Failure> {
        Ok(match self {
            Whose::Own(attachment) => Found::Own(attachment),
            Whose::Daemon(name) => Found::Daemon(Client::connect(Some(&name))?.into()),
            Whose::Whoever => match Client::lone()? {
                Some(client) => Found::Daemon(client.into()),
                None => Found::Own(Box::default()),
            },
        })
    }
}

/// Has it done, and writes what it says.
///
/// # Errors
///
/// [`Failure`].
pub fn run(errand: Errand, whose: Whose, out: &mut dyn Write) -> Result<Outcome, Failure> {
    match whose.find()? {
        Found::Own(attachment) => by_own_stack(errand, &attachment, out),
        Found::Daemon(mut client) => by_daemon(errand, &mut client, out),
    }
}

fn by_own_stack(errand: Errand, attachment: &Attachment, out: &mut dyn Write) -> Result<Outcome, Failure> {
    with_stack(attachment, async |stack, mut interrupt| {
        let (_nothing, given) = mpsc::channel(1);
        let (say, said) = mpsc::channel(1);
        let enough = async {
            interrupt.wait().await;
        };
        let errand = errand.run(stack, attachment.config.clone(), given, enough, say);
        let (outcome, ()) = tokio::join!(errand, write(said, out));
        judged(outcome)
    })
}

/// Writes lines as they come. Where they cannot be written the errand is told by the end of its channel.
async fn write(mut said: mpsc::Receiver<Said>, out: &mut dyn Write) {
    while let Some(said) = said.recv().await {
        if let Said::Line(line) = said
            && write_line(&line, out).is_err()
        {
            return;
        }
    }
}

fn write_line(line: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{line}").and_then(|()| out.flush())
}

fn by_daemon(errand: Errand, client: &mut Client, out: &mut dyn Write) -> Result<Outcome, Failure> {
    signals::listen(client.speaker()?)?;
    client.begin(errand)?;
    loop {
        match client.next()? {
            Some(Message::Text { text }) => {
                write_line(&text, out).map_err(|error| Failure::Broken(format!("nobody reads it: {error}")))?;
            }
            Some(Message::Done(outcome)) => return judged(outcome),
            Some(Message::Error { error }) => return Err(Failure::Broken(format!("the daemon answers: {error}"))),
            // What a later daemon says besides.
            Some(_) => {}
            None => return Err(ended()),
        }
    }
}

/// The daemon has closed before the end.
pub(super) fn ended() -> Failure {
    Failure::Broken("the daemon has ended".into())
}

/// What came of it, for the exit code.
pub(super) fn judged(outcome: errands::Outcome) -> Result<Outcome, Failure> {
    match outcome {
        errands::Outcome::Reached => Ok(Outcome::Reached),
        errands::Outcome::NotReached => Ok(Outcome::NotReached),
        errands::Outcome::Mistake { error } => Err(Failure::Mistake(error)),
        errands::Outcome::Broken { error } => Err(Failure::Broken(error)),
    }
}
