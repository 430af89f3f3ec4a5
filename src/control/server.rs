//! The daemon's end of the control socket.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::session::Session;
use super::{Audience, Hello, PROTOCOL, Pack, Taken};
use crate::config::Config;
use crate::engine::Handle;
use crate::net::Stack;

/// How long clients have to read the last words when a daemon ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long to leave clients alone when the system has no descriptor for one more.
const RETRY: Duration = Duration::from_millis(100);

/// What a daemon says about itself, and what it puts up with.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What it is called.
    pub name: String,
    /// The interface that it is attached to.
    pub interface: String,
    /// What its stack is made from; the bounds of its clients are there too.
    pub config: Config,
    /// A client that takes nothing for so long is cut off.
    pub patience: Duration,
    /// How packets become a file.
    pub pack: Pack,
    /// Where errands run: at the stack.
    pub home: runtime::Handle,
}

/// A control socket that is served. Dropping it ends that and removes the socket.
#[derive(Debug)]
pub struct Served {
    /// Dropping it tells the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // What a panic there said stands in the log.
            let _ = thread.join();
        }
    }
}

/// What every session has.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) stack: Stack,
    pub(super) handle: Handle,
    pub(super) audience: Audience,
    pub(super) hello: Hello,
    pub(super) terms: Terms,
}

/// Answers clients, on a thread of its own.
///
/// # Errors
///
/// If the system gives no thread or no event loop.
pub fn serve(taken: Taken, stack: &Stack, audience: Audience, terms: Terms) -> io::Result<Served> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        UnixListener::from_std(taken.listener()?)?
    };
    let (stack, handle) = (stack.clone(), stack.handle());
    let hello = Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        name: terms.name.clone(),
        interface: terms.interface.clone(),
        pid: std::process::id(),
        started: since_1970(&handle),
    };
    let shared = Arc::new(Shared { stack, handle, audience, hello, terms });
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = std::thread::Builder::new().name("tapsock-control".into()).spawn(move || {
        runtime.block_on(accept(&listener, shared, stopped));
        drop(taken);
    })?;
    Ok(Served { stop: Some(stop), thread: Some(thread) })
}

/// When the stack was made.
fn since_1970(handle: &Handle) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = now.saturating_sub(Duration::from_micros(handle.now().micros()));
    u64::try_from(started.as_micros()).unwrap_or(u64::MAX)
}

async fn accept(listener: &UnixListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let is_full = sessions.len() >= shared.terms.config.limits.control_clients;
                    let session = Session::new(stream, Arc::clone(&shared));
                    if is_full {
                        session.turn_away();
                    } else if is_friend(session.stream()) {
                        sessions.spawn(session.run());
                    }
                }
                Err(_) => sleep(RETRY).await,
            },
        }
        shared.audience.set_clients(sessions.len());
    }
    shared.audience.dismiss();
    let all_done = async { while sessions.join_next().await.is_some() {} };
    let _ = timeout(LAST_WORDS, all_done).await;
}

/// Whether it is ourselves or root. Others cannot open the socket; but one that a person made room for by hand is not
/// theirs either.
fn is_friend(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw())
}
