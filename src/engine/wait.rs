//! How the engine sleeps: until a frame comes, somebody rings, or a deadline passes.

// tokio asks for a promise that a descriptor stays open while the epoll knows it.
#![allow(unsafe_code)]

use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::sleep_until;

use crate::device::Device;
use crate::pipe::Doorbell;

/// How long to wait for a device that takes no more frames. A TAP hardly ever does that, and asking its
/// descriptor for writability would wake the engine after each frame.
const CONGESTED: Duration = Duration::from_millis(1);

pub(super) struct Wait {
    /// A duplicate of the device's descriptor, in the runtime's epoll; `None` for in-memory devices.
    descriptor: Option<AsyncFd<OwnedFd>>,
    doorbell: Doorbell,
}

impl Wait {
    pub(super) fn new(device: &impl Device, doorbell: Doorbell) -> io::Result<Wait> {
        let descriptor = match device.readiness() {
            Some(descriptor) => {
                let duplicate = descriptor.try_clone_to_owned()?;
                // ERROR: a TAP that is deleted reports nothing else.
                let interest = Interest::READABLE | Interest::ERROR;
                // SAFETY: the OwnedFd belongs to the AsyncFd and is closed by it alone; its number does not change.
                Some(unsafe { AsyncFd::register_with_interest(duplicate, interest) }?)
            }
            None => None,
        };
        Ok(Wait { descriptor, doorbell })
    }

    /// Lets the other tasks of the thread run once, and comes back.
    pub(super) async fn give_way(&self) {
        let mut has_waited = false;
        poll_fn(|context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            // Into the run queue, and not `yield_now`: that would ask the epoll each time.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Sleeps. The device was empty when it was read last.
    pub(super) async fn until(
        &mut self,
        device: &mut impl Device,
        deadline: Option<Instant>,
        is_congested: bool,
    ) -> io::Result<()> {
        let retry = is_congested.then(|| Instant::now() + CONGESTED);
        let deadline = deadline.into_iter().chain(retry).min();
        let timer = async {
            match deadline {
                Some(deadline) => sleep_until(deadline.into()).await,
                None => pending().await,
            }
        };
        let (descriptor, doorbell) = (&self.descriptor, &self.doorbell);
        let frame = async {
            match descriptor {
                Some(descriptor) => {
                    // The next burst reads until the device is empty, so this readiness ends here; a frame that comes
                    // in between begins a new one.
                    descriptor.ready(Interest::READABLE | Interest::ERROR).await?.clear_ready();
                    Ok(())
                }
                None => pending().await,
            }
        };
        let mut has_slept = false;
        let rung = poll_fn(|context| {
            doorbell.register(context.waker());
            if descriptor.is_none() {
                // An in-memory device wakes by the waker alone: being here again is the news.
                if std::mem::replace(&mut has_slept, true) {
                    return Poll::Ready(());
                }
                device.set_waker(context.waker());
            }
            if doorbell.is_rung() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            biased;
            () = rung => Ok(()),
            ready = frame => ready,
            () = timer => Ok(()),
        }
    }
}
