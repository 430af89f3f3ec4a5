use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Builder;
use crate::config::Mac;
use crate::engine::{Handle, Stopped};
use crate::error::{Error, Result};
use crate::observe::Counters;
use crate::pipe::wait::block_on;
use crate::socket::{Outcome, Verb};
use crate::stack::Awaited;

type Thread = JoinHandle<io::Result<Stopped>>;

/// A running stack. Cheap to clone; sockets hold on to it by themselves.
#[derive(Debug, Clone)]
pub struct Stack {
    handle: Handle,
    thread: Arc<Mutex<Option<Thread>>>,
}

impl Stack {
    pub(super) fn new(handle: Handle, thread: Option<Thread>) -> Stack {
        Stack { handle, thread: Arc::new(Mutex::new(thread)) }
    }

    /// Begins to make one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Waits until the stack answers: each address has been asked about, and where none was chosen, a router or a DHCP
    /// server has given one, which may take for ever. Gives the addresses that somebody else
    /// has, which the stack does not use, and who has them.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack stops first.
    pub async fn ready(&self) -> io::Result<Vec<(IpAddr, Mac)>> {
        Ok(self.handle.ready().await?)
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
        self.handle.awaited()
    }

    /// What it has counted.
    pub async fn counters(&self) -> Counters {
        self.handle.counters().await
    }

    /// How others that are neither program nor socket reach the engine: the control socket.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Tells the engine to end every connection with a RST and to return.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// [`Stack::stop`], and waits until the engine's thread, if it has one, has returned.
    pub fn shut_down(&self) {
        self.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the engine was reported when it happened.
            let _ = thread.join();
        }
    }

    pub(super) async fn call(&self, verb: Verb) -> Result<Outcome> {
        self.handle.call(verb).await
    }

    pub(super) fn tell(&self, verb: Verb) {
        self.handle.tell(verb);
    }

    pub(super) fn call_blocking(&self, verb: Verb) -> Result<Outcome> {
        block_on(self.call(verb), None).unwrap_or(Err(Error::Interrupted))
    }
}
