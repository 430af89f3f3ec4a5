//! epoll(7) of the kernel, and what we have in its place.

use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tapsock::net::{Event, Interest, Poller, Readiness, Trigger};

use super::sock::Sock;
use super::world::Side;

/// epoll, or a [`Poller`].
pub(crate) enum Watch {
    Kernel(Epoll),
    Ours(Poller),
}

impl Watch {
    /// For sockets of this side.
    pub(crate) fn of(side: &Side) -> Watch {
        if side.is_kernel() {
            Watch::Kernel(Epoll::new(EpollCreateFlags::empty()).unwrap())
        } else {
            Watch::Ours(Poller::new())
        }
    }

    pub(crate) fn add(&self, socket: &Sock, key: u64, interest: Interest, trigger: Trigger) -> std::io::Result<()> {
        match (self, socket) {
            (Watch::Kernel(epoll), Sock::Kernel(socket)) => {
                Ok(epoll.add(socket, EpollEvent::new(flags(interest, trigger), key))?)
            }
            (Watch::Ours(poller), Sock::Ours(socket)) => poller.register(socket, key, interest, trigger),
            _ => panic!("the socket is of the other side"),
        }
    }

    pub(crate) fn modify(&self, socket: &Sock, key: u64, interest: Interest, trigger: Trigger) -> std::io::Result<()> {
        match (self, socket) {
            (Watch::Kernel(epoll), Sock::Kernel(socket)) => {
                Ok(epoll.modify(socket, &mut EpollEvent::new(flags(interest, trigger), key))?)
            }
            (Watch::Ours(poller), Sock::Ours(socket)) => poller.modify(socket, key, interest, trigger),
            _ => panic!("the socket is of the other side"),
        }
    }

    pub(crate) fn remove(&self, socket: &Sock) -> std::io::Result<()> {
        match (self, socket) {
            (Watch::Kernel(epoll), Sock::Kernel(socket)) => Ok(epoll.delete(socket)?),
            (Watch::Ours(poller), Sock::Ours(socket)) => poller.deregister(socket),
            _ => panic!("the socket is of the other side"),
        }
    }

    /// What is ready, at most after `patience`.
    pub(crate) fn wait(&self, patience: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        match self {
            Watch::Kernel(epoll) => {
                let mut got = [EpollEvent::empty(); 64];
                let count = epoll.wait(&mut got, EpollTimeout::try_from(patience).unwrap()).unwrap();
                events.extend(got[..count].iter().map(|event| {
                    let flags = event.events();
                    let readiness = Readiness {
                        readable: flags.contains(EpollFlags::EPOLLIN),
                        writable: flags.contains(EpollFlags::EPOLLOUT),
                        hang_up: flags.contains(EpollFlags::EPOLLHUP),
                        error: flags.contains(EpollFlags::EPOLLERR),
                    };
                    Event { key: event.data(), readiness }
                }));
            }
            Watch::Ours(poller) => {
                poller.wait(&mut events, Some(patience)).unwrap();
            }
        }
        events
    }
}

fn flags(interest: Interest, trigger: Trigger) -> EpollFlags {
    let wanted = match interest {
        Interest::Readable => EpollFlags::EPOLLIN,
        Interest::Writable => EpollFlags::EPOLLOUT,
        Interest::Either => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
    };
    match trigger {
        Trigger::Level => wanted,
        Trigger::Edge => wanted | EpollFlags::EPOLLET,
    }
}
