use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Builder;
use crate::config::Mac;
use crate::engine::{Handle, Stopped};
use crate::error::{Error, Result};
use crate::observe::{Counters, Owner};
use crate::pipe::wait::block_on;
use crate::socket::{Outcome, Page, SocketRow, Verb};
use crate::stack::Awaited;

type Thread = JoinHandle<io::Result<Stopped>>;

/// A running stack. Cheap to clone; sockets hold on to it by themselves.
///
/// When the last handle and the last socket are dropped, a stack with a thread of its own ends by itself, as soon as what
/// was written to its sockets has been sent; then its TAP can be opened again. [`Stack::shut_down`] ends it at once and
/// waits for that.
#[derive(Debug, Clone)]
pub struct Stack {
    shared: Arc<Shared>,
    /// Who holds the sockets that are made by this handle.
    owner: Option<Owner>,
}

#[derive(Debug)]
struct Shared {
    handle: Handle,
    thread: Mutex<Option<Thread>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Whoever drives the engine himself decides when it ends.
        if self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).is_some() {
            self.handle.leave();
        }
    }
}

impl Stack {
    pub(super) fn new(handle: Handle, thread: Option<Thread>) -> Stack {
        Stack { shared: Arc::new(Shared { handle, thread: Mutex::new(thread) }), owner: None }
    }

    /// Begins to make one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Another handle of the same stack: the sockets that are made by it, and those that are accepted by them, are held by
    /// `owner`. That is what `tapsock ss -p` and a trace show; it is a name and nothing more.
    ///
    /// ```
    /// use tapsock::net::{Stack, UdpSocket};
    ///
    /// let stack = Stack::builder().loopback_only()?;
    /// let _socket = UdpSocket::bind(&stack.labelled("my resolver"), "127.0.0.1:53".parse()?)?;
    /// let rows = stack.wait_sockets()?;
    /// assert_eq!(rows[0].owner.as_ref().map(|owner| owner.as_str()), Some("my resolver"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn labelled(&self, owner: &str) -> Stack {
        Stack { shared: Arc::clone(&self.shared), owner: Some(Owner::new(owner)) }
    }

    /// Waits until the stack answers: each address has been asked about, and where none was chosen, a router or a DHCP
    /// server has given one, which may take for ever. Gives the addresses that somebody else
    /// has, which the stack does not use, and who has them.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack stops first.
    pub async fn ready(&self) -> io::Result<Vec<(IpAddr, Mac)>> {
        Ok(self.shared.handle.ready().await?)
    }

    /// [`Stack::ready`], for programs that block.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack stops first.
    pub fn wait_ready(&self) -> io::Result<Vec<(IpAddr, Mac)>> {
        block_on(self.ready(), None).unwrap_or(Err(Error::NetworkDown.into()))
    }

    /// What routers and DHCP servers were asked for and have not given yet.
    pub fn awaited(&self) -> Awaited {
        self.shared.handle.awaited()
    }

    /// What it has counted.
    pub async fn counters(&self) -> Counters {
        self.shared.handle.counters().await
    }

    /// All sockets there are, by the order in which they were made: what `ss(8)` shows of a machine.
    ///
    /// The list is made in parts, between which the stack goes on: a socket whose program lets go of it meanwhile may be
    /// listed twice, or not at all.
    ///
    /// ```
    /// use tapsock::net::{Stack, UdpSocket};
    ///
    /// let stack = Stack::builder().loopback_only()?;
    /// let socket = UdpSocket::bind(&stack, "127.0.0.1:53".parse()?)?;
    /// let rows = stack.wait_sockets()?;
    /// assert_eq!(rows[0].local, socket.local_addr()?.into());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub async fn sockets(&self) -> io::Result<Vec<SocketRow>> {
        let mut all = Vec::new();
        let mut page = Some(Page::default());
        while let Some(from) = page {
            let Outcome::List(rows, next) = self.call(Verb::List { page: from }).await? else { break };
            all.extend(rows);
            page = next;
        }
        all.sort_by_key(|row: &SocketRow| row.id.number);
        Ok(all)
    }

    /// [`Stack::sockets`], for programs that block.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn wait_sockets(&self) -> io::Result<Vec<SocketRow>> {
        block_on(self.sockets(), None).unwrap_or(Err(Error::NetworkDown.into()))
    }

    /// How others that are neither program nor socket reach the engine: the control socket.
    pub fn handle(&self) -> Handle {
        self.shared.handle.clone()
    }

    /// Tells the engine to end every connection with a RST and to return.
    pub fn stop(&self) {
        self.shared.handle.stop();
    }

    /// [`Stack::stop`], and waits until the engine's thread, if it has one, has returned.
    pub fn shut_down(&self) {
        self.stop();
        // Held while it waits: whoever else shuts the stack down waits as well.
        let mut thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take_if(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic of the engine was reported when it happened.
            let _ = thread.join();
        }
    }

    pub(super) async fn call(&self, verb: Verb) -> Result<Outcome> {
        self.shared.handle.call_as(self.owner.clone(), verb).await
    }

    pub(super) fn begin(&self, verb: Verb) -> oneshot::Receiver<Result<Outcome>> {
        self.shared.handle.begin(verb)
    }

    pub(super) fn tell(&self, verb: Verb) {
        self.shared.handle.tell(verb);
    }

    /// Whether this thread runs the engine, and so must not wait for it.
    pub(super) fn is_on_its_thread(&self) -> bool {
        self.shared.handle.is_on_its_thread()
    }

    pub(super) fn call_blocking(&self, verb: Verb) -> Result<Outcome> {
        block_on(self.call(verb), None).unwrap_or(Err(Error::Interrupted))
    }
}
