use std::cell::Cell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::Rounds;
use crate::config::Mac;
use crate::error::{Error, Result};
use crate::observe::{Counters, Owner, Time};
use crate::pipe::Doorbell;
use crate::stack::{Awaited, Outcome, Page, SocketRow, Usage, Verb};

/// What a handle tells the engine.
#[derive(Debug)]
pub enum Command {
    /// A socket call.
    Call {
        /// Who asks, if that is to be known.
        owner: Option<Owner>,
        /// What is asked.
        verb: Verb,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Outcome>>,
    },
    /// Nobody will ask for anything more: return when everything is sent.
    Leave,
    /// Close everything and return.
    Stop,
}

/// What the engine tells about itself.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Every own address has been asked about.
    pub is_ready: bool,
    /// Own addresses that somebody else has, and who.
    pub duplicates: Vec<(IpAddr, Mac)>,
    /// What was asked for and has not been given.
    pub awaited: Awaited,
    /// As of the last time somebody asked, or the end.
    pub counters: Counters,
    /// The same.
    pub usage: Usage,
    /// The same: how long the engine's rounds took.
    pub rounds: Rounds,
    /// The same: how many frames wait for the device to take them.
    pub untransmitted: usize,
}

#[derive(Debug)]
struct Shared {
    /// `None` once the engine has stopped.
    commands: Mutex<Option<Vec<Command>>>,
    wants_counters: AtomicBool,
    /// The thread that the engine ran on last, by [`here`].
    thread: AtomicUsize,
}

/// A number of this thread; 0 is none's. A thread that is over may leave it to another.
fn here() -> usize {
    thread_local!(static HERE: Cell<u8> = const { Cell::new(0) });
    HERE.with(|here| std::ptr::from_ref(here).addr())
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Command>>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A way to talk to an engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    doorbell: Doorbell,
    status: watch::Receiver<Status>,
    started: Instant,
}

/// The engine's end of its handles.
#[derive(Debug)]
pub(super) struct Inbox {
    shared: Arc<Shared>,
}

pub(super) fn pair(doorbell: Doorbell, status: watch::Receiver<Status>, started: Instant) -> (Handle, Inbox) {
    let shared = Arc::new(Shared {
        commands: Mutex::new(Some(Vec::new())),
        wants_counters: AtomicBool::new(false),
        thread: AtomicUsize::new(0),
    });
    (Handle { shared: Arc::clone(&shared), doorbell, status, started }, Inbox { shared })
}

impl Handle {
    /// Asks the stack for something, and waits for its answer.
    ///
    /// # Errors
    ///
    /// What the call reports; [`Error::NetworkDown`] if the engine has stopped.
    pub async fn call(&self, verb: Verb) -> Result<Outcome> {
        self.call_as(None, verb).await
    }

    /// The same for `owner`, who holds what is made.
    ///
    /// # Errors
    ///
    /// As [`Handle::call`].
    pub async fn call_as(&self, owner: Option<Owner>, verb: Verb) -> Result<Outcome> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Call { owner, verb, reply })?;
        answer.await.unwrap_or(Err(Error::NetworkDown))
    }

    /// Whether this is the engine's own thread: then it does not answer while somebody waits for it.
    pub fn is_on_its_thread(&self) -> bool {
        self.shared.thread.load(Ordering::Relaxed) == here()
    }

    /// Asks the stack for something; the answer can be waited for later.
    pub fn begin(&self, verb: Verb) -> oneshot::Receiver<Result<Outcome>> {
        let (reply, answer) = oneshot::channel();
        // If it has stopped already, the answer says so.
        let _ = self.send(Command::Call { owner: None, verb, reply });
        answer
    }

    /// Asks the stack for something, and does not wait for its answer.
    pub fn tell(&self, verb: Verb) {
        let (reply, _) = oneshot::channel();
        // If it has stopped already, nothing is left of what this is about.
        let _ = self.send(Command::Call { owner: None, verb, reply });
    }

    /// Tells the engine to close everything and return.
    pub fn stop(&self) {
        // If it has stopped already, there is nothing to stop.
        let _ = self.send(Command::Stop);
    }

    /// Tells the engine that nobody will ask for anything more: it returns when what there is has been sent.
    pub fn leave(&self) {
        // If it has stopped already, so much the better.
        let _ = self.send(Command::Leave);
    }

    fn send(&self, command: Command) -> Result<()> {
        self.shared.lock().as_mut().ok_or(Error::NetworkDown)?.push(command);
        self.doorbell.wake();
        Ok(())
    }

    /// Waits until every own address has been asked about; gives those that somebody else has.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkDown`] if the engine stops first.
    pub async fn ready(&self) -> Result<Vec<(IpAddr, Mac)>> {
        let mut status = self.status.clone();
        let ready = status.wait_for(|status| status.is_ready).await.map_err(|_| Error::NetworkDown)?;
        Ok(ready.duplicates.clone())
    }

    /// The moment of the stack's life that it is now.
    pub fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Has the engine look around: it asks who watches, and how closely.
    pub fn wake(&self) {
        self.doorbell.wake();
    }

    /// What routers and DHCP servers were asked for and have not given yet.
    pub fn awaited(&self) -> Awaited {
        self.status.borrow().awaited
    }

    /// What the stack has counted up to now, or up to its end.
    pub async fn counters(&self) -> Counters {
        self.latest().await.counters
    }

    /// What the stack has counted, and how much of its bounds is used, up to now or up to its end.
    pub async fn latest(&self) -> Status {
        let mut status = self.status.clone();
        status.mark_unchanged();
        self.shared.wants_counters.store(true, Ordering::Release);
        self.doorbell.wake();
        // An error says that the engine has stopped: then the last figures are the final ones.
        let _ = status.changed().await;
        status.borrow().clone()
    }

    /// A part of the list of sockets, and where it goes on.
    ///
    /// # Errors
    ///
    /// [`Error::NetworkDown`] if the engine has stopped.
    pub async fn sockets(&self, page: Page) -> Result<(Vec<SocketRow>, Option<Page>)> {
        match self.call(Verb::List { page }).await? {
            Outcome::List(rows, next) => Ok((rows, next)),
            _ => Err(Error::NotSupported),
        }
    }
}

impl Inbox {
    pub(super) fn take(&self) -> Vec<Command> {
        self.shared.thread.store(here(), Ordering::Relaxed);
        self.shared.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether a command waits. One that came after the last [`Inbox::take`] may have rung before the step answered the
    /// bell: then nothing else tells of it.
    pub(super) fn is_empty(&self) -> bool {
        self.shared.lock().as_ref().is_none_or(Vec::is_empty)
    }

    pub(super) fn wants_counters(&self) -> bool {
        self.shared.wants_counters.swap(false, Ordering::AcqRel)
    }

    /// From here on every call is refused, and those that wait are told.
    pub(super) fn close(&self) {
        self.shared.lock().take();
    }
}

impl Drop for Inbox {
    /// An engine that is dropped without an end, with its runtime, must not leave callers waiting.
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_came_after_the_last_look_still_waits_when_its_bell_has_been_answered() {
        let doorbell = Doorbell::default();
        let (_status, watched) = watch::channel(Status::default());
        let (handle, inbox) = pair(doorbell.clone(), watched, Instant::now());
        assert!(inbox.take().is_empty());
        handle.stop();
        doorbell.answer(&mut Vec::new());
        assert!(!doorbell.is_rung() && !inbox.is_empty());
        assert!(matches!(inbox.take()[..], [Command::Stop]));
        assert!(inbox.is_empty());
    }
}
