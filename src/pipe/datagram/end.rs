use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::link::{Joint, Side};
use super::super::{Bell, lock};
use super::{Addresses, Datagrams, Shared};
use crate::error::Error;
use crate::tape::{Question, Witness};

/// The stack's end of such a socket.
#[derive(Debug)]
pub struct DatagramEnd<A = Addresses> {
    link: Shared<A>,
    witness: Witness,
}

/// What is on the other side.
const APPLICATION: Side = Side::Left;

impl<A> DatagramEnd<A> {
    pub(super) fn new(link: Shared<A>, witness: Witness) -> DatagramEnd<A> {
        DatagramEnd { link, witness }
    }

    /// Looks after the socket: what the application does from here on rings again.
    pub fn answer(&self) {
        if let Some(bell) = self.link.bell(APPLICATION) {
            bell.reset();
        }
    }

    /// Makes this end another application's, as [`Datagrams::joined`] does. What waits stays.
    pub fn join(self, bell: Bell) -> Datagrams<A> {
        self.link.join(Joint::Unix, bell);
        Datagrams { link: self.link, side: Side::Right, is_behind_udp: true }
    }

    /// Queues a received message, whose memory goes with it. If there is no room, it comes back, and the bell rings when
    /// there is.
    ///
    /// # Errors
    ///
    /// The message.
    pub fn deliver_owned(&self, bytes: Box<[u8]>, addresses: A) -> std::result::Result<(), Box<[u8]>> {
        let mut message = Some((addresses, bytes));
        let has_room = self.witness.ask_or(Question::Deliver, true, || {
            let incoming = self.link.incoming(APPLICATION);
            let mut queue = lock(&incoming.queue);
            if !message.as_ref().is_some_and(|(_, bytes)| queue.admits(bytes.len())) {
                incoming.writers.register_bell();
                return false;
            }
            message.take().into_iter().for_each(|(addresses, bytes)| queue.push(addresses, bytes));
            drop(queue);
            incoming.readers.wake(None);
            true
        });
        match message {
            Some((_, bytes)) if !has_room => Err(bytes),
            _ => Ok(()),
        }
    }

    /// Takes a message that the application sent, with its memory; `None` if there is none.
    pub fn take_owned(&self) -> Option<(Box<[u8]>, A)>
    where
        A: Serialize + DeserializeOwned,
    {
        self.witness.ask_message(|| {
            let outgoing = self.link.outgoing(APPLICATION);
            let (addresses, bytes) = lock(&outgoing.queue).pop()?;
            outgoing.writers.wake(None);
            Some((bytes, addresses))
        })
    }

    /// Puts a message that was taken last back in front of the others: it cannot go yet.
    pub fn give_back(&self, bytes: Box<[u8]>, addresses: A)
    where
        A: Serialize,
    {
        self.witness.give_back((bytes, addresses), |(bytes, addresses)| {
            lock(&self.link.outgoing(APPLICATION).queue).give_back(addresses, bytes);
        });
    }

    /// Bytes that wait to be received by the application.
    pub fn unread(&self) -> usize {
        self.witness.ask_or(Question::Unread, 0, || lock(&self.link.incoming(APPLICATION).queue).waiting())
    }

    /// Bytes that the application has sent and the stack has not taken.
    pub fn unsent(&self) -> usize {
        self.witness.ask_unsent(|| lock(&self.link.outgoing(APPLICATION).queue).waiting())
    }

    /// Whether the application has sent what the stack has not taken.
    pub fn has_unsent(&self) -> bool {
        self.witness.ask_unsent(|| lock(&self.link.outgoing(APPLICATION).queue).datagrams.len()) > 0
    }

    /// Asks the engine to come back in its next round.
    pub fn ring(&self) {
        self.link.ring(APPLICATION);
    }

    /// The next call of the application is told this.
    pub fn fail(&self, error: Error) {
        self.link.set_error(APPLICATION, error);
        self.link.incoming(APPLICATION).readers.wake(None);
        self.link.outgoing(APPLICATION).writers.wake(None);
    }

    /// The stack stops.
    pub fn finish(&self) {
        self.link.stop();
    }

    /// Whether the application receives nothing more.
    pub fn is_reading_over(&self) -> bool {
        self.witness.ask(Question::ReadingOver, || self.link.is_reading_over(APPLICATION))
    }

    /// Whether the application has dropped its end.
    pub fn is_dropped(&self) -> bool {
        self.witness.ask(Question::Dropped, || self.link.is_gone(APPLICATION))
    }
}

impl DatagramEnd {
    /// Queues a received datagram, which the limit on memory has let in; `false` if there is no room, and then the bell rings when there is.
    pub fn deliver(&self, bytes: &[u8], peer: SocketAddr, local: IpAddr) -> bool {
        self.witness.ask_or(Question::Deliver, true, || {
            let incoming = self.link.incoming(APPLICATION);
            let mut queue = lock(&incoming.queue);
            if !queue.admits(bytes.len()) {
                incoming.writers.register_bell();
                return false;
            }
            queue.push(Addresses { peer, local: Some(local), header: None }, bytes.into());
            drop(queue);
            incoming.readers.wake(None);
            true
        })
    }

    /// Takes a datagram that the application sent and gives it to `send`; `None` if there is none.
    pub fn take<R>(&self, send: impl FnOnce(&[u8], SocketAddr, Option<IpAddr>) -> R) -> Option<R> {
        let (bytes, addresses) = self.take_owned()?;
        Some(send(&bytes, addresses.peer, addresses.local))
    }
}
