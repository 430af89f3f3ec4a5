//! Records, or Ctrl-C, whatever comes first.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use crate::control::{Client, Message, Unanswered};

/// So many messages wait at most; what comes beyond them waits in the socket, and then the daemon drops and counts.
const MOST: usize = 1024;

/// What there is to react to.
#[derive(Debug)]
pub(super) enum Input {
    /// The daemon says something.
    Message(Message<'static>),
    /// It says nothing more.
    Over(Result<(), Unanswered>),
    /// SIGINT or SIGTERM.
    Interrupted,
}

/// Listens to the daemon and to signals, each on a thread of its own.
pub(super) fn listen(client: Client) -> io::Result<Receiver<Input>> {
    let (sender, inputs) = sync_channel(MOST);
    let to_daemon = sender.clone();
    thread::Builder::new().name("tapsock-records".into()).spawn(move || listen_to_daemon(client, &to_daemon))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("tapsock-signals".into()).spawn(move || {
        let heard = runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            Ok::<(), io::Error>(())
        });
        if heard.is_ok() {
            // Whoever has stopped to listen has ended.
            let _ = sender.send(Input::Interrupted);
        }
    })?;
    Ok(inputs)
}

fn listen_to_daemon(mut client: Client, inputs: &SyncSender<Input>) {
    loop {
        let input = match client.next() {
            Ok(Some(message)) => Input::Message(message),
            Ok(None) => Input::Over(Ok(())),
            Err(why) => Input::Over(Err(why)),
        };
        let is_over = matches!(input, Input::Over(_) | Input::Message(Message::End));
        if inputs.send(input).is_err() || is_over {
            return;
        }
    }
}
