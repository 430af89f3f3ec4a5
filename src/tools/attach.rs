//! A stack for as long as one tool runs.

use std::net::IpAddr;
use std::thread;

use tokio::sync::oneshot;

use crate::config::Config;
use crate::daemon::{Ended, Failure, Signals, await_addresses, check_addresses, refused};
use crate::net::Stack;
use crate::trace;

/// Where a tool's stack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name of the TAP.
    pub tap: String,
    /// What the stack is made from.
    pub config: Config,
}

impl Attachment {
    /// Runs `work` on a thread of its own, with a stack on the TAP that lives as long. A signal ends both: every
    /// connection is told with a RST.
    ///
    /// # Errors
    ///
    /// [`Failure`]: the TAP or an address is not to be had, or what the work says.
    pub fn run(self, work: impl FnOnce(&Stack) -> Result<(), Failure> + Send + 'static) -> Result<Ended, Failure> {
        check_addresses(&self.tap, &self.config)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| refused("an event loop", &error))?;
        let builder = Stack::builder().config(self.config.clone()).observer(Box::new(trace::Text::new()));
        let stack = builder.tap(&self.tap)?;
        let ended = runtime.block_on(async {
            let mut signals = Signals::new().map_err(|error| refused("signal handlers", &error))?;
            tokio::select! {
                ready = await_addresses(&stack, &self.tap, &self.config) => ready?,
                signal = signals.next() => return Ok(Ended::Interrupted(signal)),
            }
            tokio::select! {
                done = beside(work, stack.clone()) => done.map(|()| Ended::Asked),
                signal = signals.next() => Ok(Ended::Interrupted(signal)),
            }
        });
        stack.shut_down();
        ended
    }
}

/// Waits for work that blocks. It may go on when nobody waits any more; the end of the process ends it too.
async fn beside(
    work: impl FnOnce(&Stack) -> Result<(), Failure> + Send + 'static,
    stack: Stack,
) -> Result<(), Failure> {
    let (done, ended) = oneshot::channel();
    thread::Builder::new()
        .name("tool".into())
        .spawn(move || {
            let _ = done.send(work(&stack));
        })
        .map_err(|error| refused("a thread", &error))?;
    ended.await.unwrap_or_else(|_| Err(Failure::Broken("the tool panicked: a bug, please report it".into())))
}

/// What a failed attempt to reach `remote` means to a person.
pub fn unreachable(remote: impl std::fmt::Display, error: &std::io::Error) -> Failure {
    Failure::Broken(format!("{remote}: {error}"))
}

/// The wildcard of the same family.
pub fn any_of(family: IpAddr) -> IpAddr {
    match family {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}
