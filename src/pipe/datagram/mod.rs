mod end;
#[cfg(test)]
mod tests;

pub use end::DatagramEnd;

use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use serde::{Deserialize, Serialize};

use super::deed::{Attempt, Deed};
use super::joined::JoinedEnd;
use super::link::{Link, Side};
use super::queue::{COST, Queue, Received, gather};
use super::readiness::{Interest, Readiness};
use super::{Bell, lock};
use crate::error::{Error, Result};
use crate::memory::Memory;

/// The longest payload that IP can carry behind a UDP header: an IPv4 packet counts its own header, an IPv6 packet
/// does not (RFC 768, RFC 8200 §3).
const fn largest(is_v4: bool) -> usize {
    if is_v4 { 65_535 - 20 - 8 } else { 65_535 - 8 }
}

/// Whom a datagram is from or for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// The other host's.
    pub peer: SocketAddr,
    /// Ours, if it is known or chosen.
    pub local: Option<IpAddr>,
    /// Of one that came, where they are kept.
    pub header: Option<HeaderFields>,
}

/// What else was in the IP header (IP_RECVTTL, IP_RECVTOS, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderFields {
    /// The TTL or the hop limit.
    pub hop_limit: u8,
    /// The type of service or the traffic class.
    pub traffic_class: u8,
}

type Shared<A> = Arc<Link<Mutex<Queue<A>>>>;

/// The application's end of a socket whose messages keep their boundaries: UDP, and with other addresses whatever else
/// does.
#[derive(Debug)]
pub struct Datagrams<A = Addresses> {
    link: Shared<A>,
    side: Side,
    /// Whether there is a UDP header before what is sent.
    is_behind_udp: bool,
}

impl<A: Clone> Datagrams<A> {
    /// Two queues of `capacity` bytes, with a little for each datagram besides its payload. None of it is taken
    /// before datagrams come; what is taken counts in `memory`.
    pub fn new(capacity: usize, memory: &Memory, bell: Bell) -> (Datagrams<A>, DatagramEnd<A>) {
        let witness = bell.witness();
        let link = Arc::new(Link::new([Queue::new(capacity, memory), Queue::new(capacity, memory)], bell));
        let end = DatagramEnd::new(Arc::clone(&link), witness);
        (Datagrams { link, side: Side::Left, is_behind_udp: true }, end)
    }

    /// Two applications' ends, joined: what one sends the other receives, as with a pair of SOCK_SEQPACKET
    /// (`unix(7)`). A message is copied when it is sent and when it is received. The bells ring when an end is shut
    /// down or dropped, and for nothing else.
    ///
    /// ```
    /// use tapsock::{memory::Memory, pipe::{Datagrams, Doorbell}};
    /// let (memory, doorbell) = (Memory::new(1 << 20), Doorbell::default());
    /// let (a, b) = Datagrams::joined(4096, &memory, [doorbell.bell(0), doorbell.bell(1)]);
    /// a.try_send_message(&[std::io::IoSlice::new(b"hello")], ())?;
    /// drop(a);
    /// let mut buffer = [0; 16];
    /// let mut buffers = [std::io::IoSliceMut::new(&mut buffer)];
    /// assert_eq!(b.try_receive_message(&mut buffers, false)?.map(|message| message.length), Some(5));
    /// assert_eq!(b.try_receive_message(&mut buffers, false)?, None, "the end");
    /// # Ok::<(), tapsock::error::Error>(())
    /// ```
    pub fn joined(capacity: usize, memory: &Memory, bells: [Bell; 2]) -> (Datagrams<A>, Datagrams<A>) {
        let [left, right] = bells;
        let (application, end) = Datagrams::new(capacity, memory, left);
        (application, end.join(right))
    }

    /// What the engine keeps of this end and of the other, where two are joined.
    pub fn joined_ends(&self) -> Option<[JoinedEnd; 2]>
    where
        A: fmt::Debug + Send + 'static,
    {
        self.link.is_joined().then(|| JoinedEnd::both(&self.link, self.side))
    }

    /// Takes one message, or with `peek` a copy of it (MSG_PEEK); `None` when nothing more will come.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if there is none; what the socket is to be told, once; [`Error::NetworkDown`] after the
    /// stack has stopped.
    pub fn try_receive_message(&self, buffers: &mut [IoSliceMut<'_>], peek: bool) -> Result<Option<Received<A>>> {
        let failed = |error| self.link.failed(self.side, Attempt::Read, error);
        self.link.take_error(self.side).map_err(failed)?;
        let is_over = self.link.is_reading_over(self.side);
        let incoming = self.link.incoming(self.side);
        let Some((received, taken)) = lock(&incoming.queue).read(buffers, peek, A::clone) else {
            return match is_over {
                false => Err(Error::WouldBlock),
                true if self.is_stopped() => Err(failed(Error::NetworkDown)),
                true => {
                    if !peek {
                        self.link.note(self.side, Deed::End);
                    }
                    Ok(None)
                }
            };
        };
        if taken.is_some() {
            self.link.note(self.side, Deed::Read(received.count));
            incoming.writers.wake(self.link.bell(self.side));
        }
        Ok(Some(received))
    }

    /// Sends the bytes of all buffers as one message.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`] if the queue cannot hold it; [`Error::WouldBlock`] while too many wait;
    /// [`Error::BrokenPipe`] if this direction is over; what the socket is to be told, once; [`Error::NetworkDown`]
    /// after the stack has stopped.
    pub fn try_send_message(&self, buffers: &[IoSlice<'_>], addresses: A) -> Result<()> {
        let failed = |error| self.link.failed(self.side, Attempt::Write, error);
        self.link.take_error(self.side).map_err(failed)?;
        if self.link.is_writing_over(self.side) {
            return Err(failed(if self.is_stopped() { Error::NetworkDown } else { Error::BrokenPipe }));
        }
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        let outgoing = self.link.outgoing(self.side);
        let mut queue = lock(&outgoing.queue);
        if length + COST > queue.capacity {
            return Err(failed(Error::MessageTooLong));
        }
        // At the limit on memory one may still go its way: the stack takes it at once.
        let is_short = queue.charge.is_exhausted_for_program() && !queue.datagrams.is_empty();
        if is_short || !queue.has_room(length) {
            return Err(Error::WouldBlock);
        }
        queue.push(addresses, gather(buffers, length));
        drop(queue);
        self.link.note(self.side, Deed::Write(length));
        outgoing.readers.wake(None);
        self.link.ring_stack(self.side);
        if self.link.is_joined() && self.link.is_gone(self.side.other()) && !lock(&outgoing.queue).datagrams.is_empty()
        {
            // It went while we wrote.
            self.link.reset(self.side.other());
        }
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        !self.link.is_joined() && self.link.is_dead()
    }

    /// [`Datagrams::try_receive_message`], or wakes the task later.
    pub fn poll_receive_message(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Poll<Result<Option<Received<A>>>> {
        self.link.incoming(self.side).readers.poll(context, || self.try_receive_message(buffers, peek))
    }

    /// [`Datagrams::try_send_message`], or wakes the task later.
    pub fn poll_send_message(
        &self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
        addresses: &A,
    ) -> Poll<Result<()>> {
        let send = || self.try_send_message(buffers, addresses.clone());
        self.link.outgoing(self.side).writers.poll(context, send)
    }

    /// Takes what the socket is to be told, if nobody was told yet (SO_ERROR).
    ///
    /// # Errors
    ///
    /// That.
    pub fn take_error(&self) -> Result<()> {
        self.link.take_error(self.side).map_err(|error| self.link.failed(self.side, Attempt::Error, error))
    }

    /// The length of the next message (FIONREAD); `None` if there is none.
    pub fn next_length(&self) -> Option<usize> {
        lock(&self.link.incoming(self.side).queue).datagrams.front().map(|(_, bytes)| bytes.len())
    }

    /// How many bytes may wait to be received, from here on (SO_RCVBUF). What waits already stays.
    pub fn set_receive_capacity(&self, capacity: usize) {
        let incoming = self.link.incoming(self.side);
        lock(&incoming.queue).capacity = capacity;
        incoming.writers.wake(self.link.bell(self.side));
    }

    /// How many bytes may wait to be sent, from here on (SO_SNDBUF).
    pub fn set_send_capacity(&self, capacity: usize) {
        let outgoing = self.link.outgoing(self.side);
        lock(&outgoing.queue).capacity = capacity;
        outgoing.writers.wake(None);
    }

    /// Nothing more will be sent; what waits still is.
    pub fn shutdown_write(&self) {
        self.link.note(self.side, Deed::ShutdownWrite);
        self.link.shut_down_write(self.side);
    }

    /// Nothing more will be received.
    pub fn shutdown_read(&self) {
        self.link.note(self.side, Deed::ShutdownRead);
        self.link.shut_down_read(self.side);
    }

    /// What a call would find at this moment (`poll(2)`).
    pub fn readiness(&self) -> Readiness {
        let (link, side) = (&*self.link, self.side);
        let (is_reading_over, is_writing_over) = (link.is_reading_over(side), link.is_writing_over(side));
        let error = link.error(side).is_some();
        Readiness {
            // An error is told as such (Linux: datagram_poll).
            readable: is_reading_over || self.next_length().is_some(),
            writable: is_writing_over || lock(&link.outgoing(side).queue).has_room(0),
            hang_up: is_reading_over && is_writing_over,
            error,
        }
    }

    /// The next time that something happens to what `interest` names, `waker` is woken: for those who want to know of
    /// changes, and not only of what is.
    pub fn watch(&self, waker: &Waker, interest: Interest) {
        self.link.watch(self.side, waker, interest);
    }

    /// [`Datagrams::readiness`] once `interest` is met; until then the task is woken later.
    pub fn poll_ready(&self, context: &mut Context<'_>, interest: Interest) -> Poll<Readiness> {
        self.link.poll_ready(self.side, context, interest, || self.readiness())
    }
}

impl Datagrams {
    /// The same for messages with no UDP header before them: they may be as long as a packet.
    pub fn of_packets(capacity: usize, memory: &Memory, bell: Bell) -> (Datagrams, DatagramEnd) {
        let (mut application, end) = Datagrams::new(capacity, memory, bell);
        application.is_behind_udp = false;
        (application, end)
    }

    /// Takes one datagram: how many bytes of it fitted into `buffer` (the rest is lost), who sent it, and to
    /// which of our addresses.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if there is none; an ICMP error that a datagram of ours caused, once;
    /// [`Error::NetworkDown`] after the stack has stopped; [`Error::BrokenPipe`] after [`Datagrams::shutdown_read`].
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr, Option<IpAddr>)> {
        let received = self.try_receive_message(&mut [IoSliceMut::new(buffer)], false)?.ok_or(Error::BrokenPipe)?;
        Ok((received.count, received.addresses.peer, received.addresses.local))
    }

    /// Hands one datagram to the stack, to be sent from `local` if it is given.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`] if IP or the queue cannot hold it; [`Error::WouldBlock`] while too many wait; an ICMP error that an earlier
    /// one caused, once; [`Error::NetworkDown`] after the stack has stopped.
    pub fn try_send(&self, bytes: &[u8], peer: SocketAddr, local: Option<IpAddr>) -> Result<()> {
        self.try_send_vectored(&[IoSlice::new(bytes)], Addresses { peer, local, header: None })
    }

    /// [`Datagrams::try_send`] of the bytes of all buffers as one datagram.
    ///
    /// # Errors
    ///
    /// As [`Datagrams::try_send`].
    pub fn try_send_vectored(&self, buffers: &[IoSlice<'_>], addresses: Addresses) -> Result<()> {
        let is_ipv4 = addresses.peer.is_ipv4();
        let largest = if self.is_behind_udp { largest(is_ipv4) } else { usize::from(u16::MAX) };
        if buffers.iter().map(|buffer| buffer.len()).sum::<usize>() > largest {
            let failed = |error| self.link.failed(self.side, Attempt::Write, error);
            self.link.take_error(self.side).map_err(failed)?;
            return Err(failed(Error::MessageTooLong));
        }
        self.try_send_message(buffers, addresses)
    }

    /// [`Datagrams::try_receive`], or wakes the task later.
    pub fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<(usize, SocketAddr, Option<IpAddr>)>> {
        self.link.incoming(self.side).readers.poll(context, || self.try_receive(buffer))
    }

    /// [`Datagrams::try_send_vectored`], or wakes the task later.
    pub fn poll_send_vectored(
        &self,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
        addresses: Addresses,
    ) -> Poll<Result<()>> {
        self.link.outgoing(self.side).writers.poll(context, || self.try_send_vectored(buffers, addresses))
    }

    /// [`Datagrams::try_send`], or wakes the task later.
    pub fn poll_send(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        peer: SocketAddr,
        local: Option<IpAddr>,
    ) -> Poll<Result<()>> {
        self.link.outgoing(self.side).writers.poll(context, || self.try_send(bytes, peer, local))
    }
}

impl<A> Drop for Datagrams<A> {
    fn drop(&mut self) {
        self.link.note(self.side, Deed::Close);
        self.link.drop_end(self.side, || lock(&self.link.incoming(self.side).queue).datagrams.is_empty());
    }
}
