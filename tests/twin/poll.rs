//! poll(2) of the kernel, and what we have in its place.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tapsock::net::{Interest, Readiness};
use tapsock::pipe::wait::block_on;

use super::sock::Sock;

impl Sock {
    /// What a call would find at this moment.
    pub(crate) fn readiness(&self) -> Readiness {
        match self {
            Sock::Kernel(socket) => {
                let mut one = [PollFd::new(socket.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
                poll(&mut one, PollTimeout::ZERO).unwrap();
                let got = one[0].revents().unwrap();
                Readiness {
                    readable: got.contains(PollFlags::POLLIN),
                    writable: got.contains(PollFlags::POLLOUT),
                    hang_up: got.contains(PollFlags::POLLHUP),
                    error: got.contains(PollFlags::POLLERR),
                }
            }
            Sock::Ours(socket) => socket.readiness(),
        }
    }

    /// Waits for it; `None` when it does not come in time.
    pub(crate) fn wait_ready(&self, interest: Interest, patience: Duration) -> Option<Readiness> {
        match self {
            Sock::Kernel(socket) => {
                let flags = match interest {
                    Interest::Readable => PollFlags::POLLIN,
                    Interest::Writable => PollFlags::POLLOUT,
                    Interest::Either => PollFlags::POLLIN | PollFlags::POLLOUT,
                };
                let mut one = [PollFd::new(socket.as_fd(), flags)];
                let timeout = PollTimeout::try_from(patience).unwrap();
                (poll(&mut one, timeout).unwrap() > 0).then(|| self.readiness())
            }
            Sock::Ours(socket) => {
                let ready = std::future::poll_fn(|context| socket.poll_ready(context, interest));
                block_on(ready, Some(Instant::now() + patience)).map(Result::unwrap)
            }
        }
    }
}
