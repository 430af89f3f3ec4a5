//! Ctrl-C, while something else is waited for.

use std::io;
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

use crate::control::Stopper;

/// On a thread of its own: the first SIGINT or SIGTERM asks the daemon for no more, the second does not wait for its answer.
pub(super) fn listen(stopper: Stopper) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("tapsock-signals".into()).spawn(move || {
        let heard = runtime.block_on(async {
            let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            for end in [Stopper::stop, Stopper::hang_up] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                end(&stopper);
            }
            Ok::<(), io::Error>(())
        });
        // Without signals, as without Ctrl-C: it goes on.
        drop(heard);
    })?;
    Ok(())
}
