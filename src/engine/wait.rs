//! How the engine sleeps: until a frame comes, somebody rings, or a deadline passes.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::time::Sleep;

use crate::device::Device;
use crate::pipe::Doorbell;

pub(super) struct Wait {
    /// A duplicate of the device's descriptor, in the runtime's epoll; `None` for in-memory devices.
    descriptor: Option<AsyncFd<OwnedFd>>,
    timer: Pin<Box<Sleep>>,
    doorbell: Doorbell,
}

impl Wait {
    pub(super) fn new(device: &impl Device, doorbell: Doorbell) -> io::Result<Wait> {
        let descriptor = match device.readiness() {
            Some(descriptor) => {
                let interest = Interest::READABLE | Interest::WRITABLE;
                Some(AsyncFd::register_with_interest(descriptor.try_clone_to_owned()?, interest)?)
            }
            None => None,
        };
        Ok(Wait { descriptor, timer: Box::pin(tokio::time::sleep_until(Instant::now().into())), doorbell })
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

    /// Sleeps. The device was empty when it was read last, so its readiness begins anew here.
    pub(super) async fn until(
        &mut self,
        device: &mut impl Device,
        deadline: Option<Instant>,
        is_congested: bool,
    ) -> io::Result<()> {
        if let Some(deadline) = deadline {
            self.timer.as_mut().reset(deadline.into());
        }
        let (descriptor, timer, doorbell) = (&self.descriptor, &mut self.timer, &self.doorbell);
        poll_fn(|context| {
            doorbell.register(context.waker());
            if doorbell.is_rung() {
                return Poll::Ready(Ok(()));
            }
            match descriptor {
                Some(descriptor) => {
                    if let Poll::Ready(ready) = descriptor.poll_read_ready(context) {
                        // What `receive` finds empty next time ends this readiness; a frame that comes in between
                        // starts a new one.
                        ready?.clear_ready();
                        return Poll::Ready(Ok(()));
                    }
                    if is_congested && let Poll::Ready(ready) = descriptor.poll_write_ready(context) {
                        ready?.clear_ready();
                        return Poll::Ready(Ok(()));
                    }
                }
                None => device.set_waker(context.waker()),
            }
            if deadline.is_some() && timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(Ok(()));
            }
            Poll::Pending
        })
        .await
    }
}
