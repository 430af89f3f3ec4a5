//! An errand for a client: what it says goes to the client, and what the client gives goes to it.
//!
//! It runs where the stack does, on the runtime of whoever serves the control socket: what else clients ask for, and how
//! slowly they take it, does not disturb the times that a ping takes. The client's end of the conversation is here. There is
//! room for one piece between the two, each way: a client that takes nothing makes the errand wait, and a connection's peer
//! by its window; where the peer takes nothing, the client is not read.

use std::io;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::lines::{self, Line, Lines};
use super::session::{Conversation, Out};
use super::{Message, Request};
use crate::errands::{Errand, Outcome, Said};

/// An errand under way. Dropping it ends it.
struct Running(JoinHandle<Outcome>);

impl Running {
    /// Ends it, and waits until nothing is left of it.
    async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Conversation {
    /// Does it, until its end, or until the client has closed.
    pub(super) async fn run(&mut self, errand: Errand) -> io::Result<()> {
        if let Err(error) = errand.validate() {
            return self.out.say(&Message::Error { error }).await;
        }
        let (give, given) = mpsc::channel(1);
        let (say, said) = mpsc::channel(1);
        let (complain, complaints) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let mut to = Given { give: errand.is_call().then_some(give), stop: Some(stop), complain };
        let enough = async {
            let _ = stopped.await;
        };
        let terms = &self.shared.terms;
        let errand = errand.run(self.shared.stack.clone(), terms.config.clone(), given, enough, say);
        let mut running = Running(terms.home.spawn(errand));
        let told = tokio::select! {
            told = tell(&mut self.out, said, complaints) => told,
            heard = hear(&mut self.lines, &mut to) => heard.and(Err(io::ErrorKind::BrokenPipe.into())),
        };
        if told.is_err() {
            // Before what is given ends for it: a call is broken off, and its peer is told no end.
            running.stop().await;
            return told;
        }
        let outcome = (&mut running.0).await.unwrap_or_else(|_| Outcome::Broken {
            error: "it panicked: a bug in tapsock, please report it with what the daemon's log says".into(),
        });
        self.out.say(&Message::Done(outcome)).await
    }
}

/// What a client's lines lead to.
struct Given {
    /// What is to be sent; `None`: nothing can be, or no more.
    give: Option<mpsc::Sender<Vec<u8>>>,
    stop: Option<oneshot::Sender<()>>,
    complain: mpsc::Sender<Message<'static>>,
}

/// Takes what the client says, until it has closed.
async fn hear(lines: &mut Lines, to: &mut Given) -> io::Result<()> {
    loop {
        let complaint = match lines.next().await? {
            // Whoever has gone breaks it off; the peer is told no end.
            Line::Over if lines.is_closed() => return Ok(()),
            Line::Over => break,
            Line::TooLong => lines::too_long(),
            Line::Text(line) => match line.parse() {
                Ok(Request::Data { bytes }) => match &to.give {
                    Some(give) => {
                        tokio::select! {
                            // One that sends no more does not take it; why has been said.
                            _ = give.send(bytes.into_owned()) => {}
                            () = lines.closed() => return Ok(()),
                        }
                        continue;
                    }
                    None => Message::Error { error: "there is nothing that this could be sent to".into() },
                },
                Ok(Request::Shutdown) => {
                    to.give = None;
                    continue;
                }
                Ok(Request::Enough) => {
                    to.stop = None;
                    continue;
                }
                Ok(_) => {
                    Message::Error { error: "something else is under way; wait for its end, or say enough".into() }
                }
                Err(error) => Message::Error { error: error.to_string() },
            },
        };
        // The other side takes it as long as this one runs.
        let _ = to.complain.send(complaint).await;
    }
    // That was all that is to be sent. What comes back is still wanted.
    to.give = None;
    lines.closed().await;
    Ok(())
}

/// Tells the client what the errand says, until it has nothing more to say.
async fn tell(
    out: &mut Out,
    mut said: mpsc::Receiver<Said>,
    mut complaints: mpsc::Receiver<Message<'static>>,
) -> io::Result<()> {
    loop {
        tokio::select! {
            biased;
            next = said.recv() => match next {
                Some(said) => out.say(&said.into()).await?,
                None => return Ok(()),
            },
            Some(complaint) = complaints.recv() => out.say(&complaint).await?,
        }
        out.flush().await?;
    }
}
