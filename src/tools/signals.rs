//! Ctrl-C, while something else is waited for.

use std::io;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use crate::control::Speaker;
use crate::daemon::Failure;

/// On a thread of its own: the first SIGINT or SIGTERM asks the daemon for no more, the second does not wait for its answer.
pub(super) fn listen(speaker: Speaker) -> Result<(), Failure> {
    spawn(speaker).map_err(|error| Failure::Broken(format!("no thread to listen on: {error}")))
}

fn spawn(speaker: Speaker) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("tapsock-signals".into()).spawn(move || {
        let heard = runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            for end in [Speaker::stop, Speaker::hang_up] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                end(&speaker);
            }
            Ok::<(), io::Error>(())
        });
        // Without signals, as without Ctrl-C: it goes on.
        drop(heard);
    })?;
    Ok(())
}
