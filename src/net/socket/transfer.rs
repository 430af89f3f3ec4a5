//! Bytes and messages, in and out.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::BitOr;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker, ready};

use super::{Kind, Pipe, Socket, domain_of, lock};
use crate::error::{Error, Result};
use crate::net::SockAddr;
use crate::net::timeout::Timeout;
use crate::pipe::wait::{Spin, block_on_with};
use crate::pipe::{Addresses, Datagrams, Interest, Received, Stream};

/// The flags of `send(2)` and `recv(2)`.
///
/// ```
/// use tapsock::net::Flags;
/// let flags = Flags::DONTWAIT | Flags::WAITALL;
/// assert!(flags.contains(Flags::DONTWAIT));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u8);

impl Flags {
    /// None of them.
    pub const NONE: Flags = Flags(0);
    /// MSG_DONTWAIT: as if the socket were non-blocking.
    pub const DONTWAIT: Flags = Flags(1);
    /// MSG_WAITALL: waits until the buffer is full, the stream has ended, or an error comes.
    pub const WAITALL: Flags = Flags(2);
    /// MSG_PEEK: what is received stays there for the next call. Together with [`Flags::WAITALL`] TCP waits until the
    /// buffer can be filled, or nothing more can come before something is read; to others it means nothing then, as on
    /// Linux.
    pub const PEEK: Flags = Flags(4);
    /// MSG_TRUNC: of a message, its whole length is given even if the buffer is shorter. Of a stream, the bytes are
    /// thrown away, and what the buffer holds then is not specified (`tcp(7)`).
    pub const TRUNC: Flags = Flags(8);

    /// Whether all of `flags` are set.
    pub const fn contains(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Waits as `timeout` says, or not at all (`None`).
fn wait<T>(
    spin: Option<Spin>,
    timeout: &Timeout,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T>>,
) -> Result<T> {
    let Some(spin) = spin else {
        return match poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => Err(Error::WouldBlock),
        };
    };
    block_on_with(spin, poll_fn(poll), timeout.deadline()).unwrap_or(Err(Error::WouldBlock))
}

/// What a call gives that received a message.
fn length<A>(received: &Received<A>, flags: Flags) -> usize {
    if flags.contains(Flags::TRUNC) { received.length } else { received.count }
}

/// What a call that has moved `count` bytes already has to say of its end: an error is for the next call.
fn partial(count: usize, last: Result<()>) -> Result<usize> {
    match last {
        Err(error) if count == 0 => Err(error),
        _ => Ok(count),
    }
}

/// Whether this is said before the stack has seen the message.
fn is_refused(error: Error) -> bool {
    matches!(error, Error::DestinationRequired | Error::InvalidInput | Error::MessageTooLong | Error::BrokenPipe)
}

impl Socket {
    fn stream(&self) -> Result<&Stream> {
        match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) if !self.has_failed() => Ok(pipe),
            // `unix_stream_read_generic` in Linux.
            _ if self.inner.unix.is_some() => Err(Error::InvalidInput),
            _ => Err(Error::NotConnected),
        }
    }

    fn datagrams(&self) -> Result<&Datagrams> {
        match self.inner.pipe.get() {
            Some(Pipe::Datagrams(pipe)) => Ok(pipe),
            _ => Err(Error::NotSupported),
        }
    }

    /// Waits as the socket's mode and its read timeout say.
    pub(super) fn wait_read<T>(&self, poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T>>) -> Result<T> {
        wait(self.waits_unless(self.is_nonblocking()), &self.inner.read_timeout, poll)
    }

    pub(super) fn is_nonblocking(&self) -> bool {
        self.inner.is_nonblocking.load(std::sync::atomic::Ordering::Acquire)
    }

    fn waits_unless(&self, is_nonblocking: bool) -> Option<Spin> {
        (!is_nonblocking).then(|| self.spin())
    }

    pub(super) fn does_not_wait(&self, flags: Flags) -> bool {
        flags.contains(Flags::DONTWAIT) || self.is_nonblocking()
    }

    /// `recv(2)`: bytes, 0 at the end of the stream; or one message, of which what does not fit is lost.
    ///
    /// # Errors
    ///
    /// `WouldBlock`; what the connection died of, once; `NotConnected`.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(buffer, Flags::NONE)
    }

    /// [`Socket::recv`] with flags.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_with_flags(&self, buffer: &mut [u8], flags: Flags) -> io::Result<usize> {
        if self.has_unix_messages() {
            let received = self.receive_unix(&mut [IoSliceMut::new(buffer)], flags)?;
            return Ok(length(&received, flags));
        }
        if let Some(Pipe::Datagrams(_)) = self.inner.pipe.get() {
            let received = self.receive(&mut [IoSliceMut::new(buffer)], flags)?;
            return Ok(received.map_or(0, |received| length(&received, flags)));
        }
        Ok(self.recv_stream(buffer, flags)?)
    }

    /// `recv(2)` that leaves there what it receives (MSG_PEEK).
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_with_flags(buffer, Flags::PEEK)
    }

    fn recv_stream(&self, buffer: &mut [u8], flags: Flags) -> Result<usize> {
        let pipe = self.stream()?;
        let is_nonblocking = self.does_not_wait(flags);
        if flags.contains(Flags::PEEK | Flags::WAITALL) && !is_nonblocking && self.inner.kind == Kind::Tcp {
            let whole = wait(self.waits_unless(false), &self.inner.read_timeout, |context| {
                pipe.poll_peek_whole(context, buffer)
            });
            // What is there when the time is over.
            return if whole == Err(Error::WouldBlock) { pipe.try_peek(buffer) } else { whole };
        }
        if flags.contains(Flags::PEEK) {
            return wait(self.waits_unless(is_nonblocking), &self.inner.read_timeout, |context| {
                pipe.poll_peek(context, buffer)
            });
        }
        if !flags.contains(Flags::WAITALL) || is_nonblocking {
            return wait(self.waits_unless(is_nonblocking), &self.inner.read_timeout, |context| {
                pipe.poll_read(context, buffer)
            });
        }
        let mut filled = 0;
        let last = wait(Some(self.spin()), &self.inner.read_timeout, |context| {
            while filled < buffer.len() {
                // Once there are bytes to give, an error stays where it is, for the next call.
                if filled > 0 && pipe.poll_ready(context, Interest::Readable).is_pending() {
                    return Poll::Pending;
                }
                if filled > 0 && pipe.unread() == 0 {
                    break;
                }
                match pipe.poll_read(context, &mut buffer[filled..]) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0)) => break,
                    Poll::Ready(Ok(count)) => filled += count,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                }
            }
            Poll::Ready(Ok(()))
        });
        partial(filled, last)
    }

    /// `recvfrom(2)`: one message, and who sent it. Of a stream, bytes and the peer.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_with_flags(buffer, Flags::NONE)
    }

    /// [`Socket::recv_from`] that leaves there what it receives (MSG_PEEK).
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_with_flags(buffer, Flags::PEEK)
    }

    /// [`Socket::recv_from`] with flags.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_from_with_flags(&self, buffer: &mut [u8], flags: Flags) -> io::Result<(usize, SockAddr)> {
        if let Some(Pipe::Datagrams(_)) = self.inner.pipe.get() {
            let received = self.receive(&mut [IoSliceMut::new(buffer)], flags)?.ok_or(Error::BrokenPipe)?;
            return Ok((length(&received, flags), received.addresses.peer.into()));
        }
        if self.has_unix_messages() {
            let received = self.receive_unix(&mut [IoSliceMut::new(buffer)], flags)?;
            return Ok((length(&received, flags), received.addresses.into()));
        }
        let count = self.recv_with_flags(buffer, flags)?;
        if self.inner.unix.is_some() {
            return Ok((count, self.peer_addr()?));
        }
        let peer = lock(&self.inner.addresses).peer.ok_or(Error::NotConnected)?;
        Ok((count, peer.into()))
    }

    /// [`Socket::recv_from`], and to which of our addresses it was sent: where an answer should come from
    /// (RFC 1122 §4.1.3.5; IP_PKTINFO).
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_to(&self, buffer: &mut [u8]) -> io::Result<(usize, SockAddr, Option<IpAddr>)> {
        let received = self.receive(&mut [IoSliceMut::new(buffer)], Flags::NONE)?.ok_or(Error::BrokenPipe)?;
        Ok((received.count, received.addresses.peer.into(), received.addresses.local))
    }

    /// One message; `None` when the program has said that it reads nothing more.
    fn receive(&self, buffers: &mut [IoSliceMut<'_>], flags: Flags) -> Result<Option<Received<Addresses>>> {
        let (pipe, peek) = (self.datagrams()?, flags.contains(Flags::PEEK));
        let received = wait(self.waits_unless(self.does_not_wait(flags)), &self.inner.read_timeout, |context| {
            pipe.poll_receive_message(context, buffers, peek)
        })?;
        // Linux: who does not wait is not told that its own direction is shut down.
        if received.is_none() && self.does_not_wait(flags) { Err(Error::WouldBlock) } else { Ok(received) }
    }

    /// `readv(2)`: fills the buffers one after the other.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if self.has_unix_messages() {
            return Ok(self.receive_unix(buffers, Flags::NONE)?.count);
        }
        if let Some(Pipe::Datagrams(_)) = self.inner.pipe.get() {
            return Ok(self.receive(buffers, Flags::NONE)?.map_or(0, |received| received.count));
        }
        let pipe = self.stream()?;
        Ok(self.wait_read(|context| pipe.poll_read_vectored(context, buffers))?)
    }

    /// `send(2)`: bytes, as many as fit; or one message, whole, to the connected peer.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` after the end; `WouldBlock`; errno EDESTADDRREQ, EMSGSIZE; what the connection died of, once.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_with_flags(bytes, Flags::NONE)
    }

    /// [`Socket::send`] with flags. A blocking socket sends everything, as on Linux, unless the write timeout passes or
    /// the connection ends meanwhile; then it says how much it has sent.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`].
    pub fn send_with_flags(&self, bytes: &[u8], flags: Flags) -> io::Result<usize> {
        self.send_buffers(&[IoSlice::new(bytes)], flags)
    }

    /// `writev(2)`: the buffers one after the other, as one message where there are messages.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`].
    pub fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_buffers(buffers, Flags::NONE)
    }

    fn send_buffers(&self, buffers: &[IoSlice<'_>], flags: Flags) -> io::Result<usize> {
        let is_nonblocking = self.does_not_wait(flags);
        if self.has_unix_messages() {
            return Ok(self.send_unix(buffers, None, is_nonblocking)?);
        }
        match self.inner.pipe.get() {
            Some(Pipe::Datagrams(_)) => {
                let peer = lock(&self.inner.addresses).peer.ok_or(Error::DestinationRequired);
                Ok(self.send_message(buffers, peer, None, is_nonblocking)?)
            }
            Some(Pipe::Stream(pipe)) => Ok(self.send_stream(pipe, buffers, is_nonblocking)?),
            _ if self.inner.unix.is_some() => Err(Error::NotConnected.into()),
            _ => Err(Error::BrokenPipe.into()),
        }
    }

    fn send_stream(&self, pipe: &Stream, buffers: &[IoSlice<'_>], is_nonblocking: bool) -> Result<usize> {
        let (mut sent, mut skipped) = (0, 0);
        let mut rest = buffers;
        let last = wait(self.waits_unless(is_nonblocking), &self.inner.write_timeout, |context| {
            loop {
                // Once bytes have gone, an error stays where it is, for the next call.
                if sent > 0 {
                    match pipe.poll_ready(context, Interest::Writable) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(ready) if ready.error || ready.hang_up => return Poll::Ready(Ok(())),
                        Poll::Ready(_) => {}
                    }
                }
                let begun = rest.first().filter(|_| skipped > 0).map(|first| &first[skipped..]);
                let written = match begun {
                    Some(first) => pipe.poll_write(context, first),
                    None => pipe.poll_write_vectored(context, rest),
                };
                let mut count = match written {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(written) => written?,
                };
                sent += count;
                while let Some(first) = rest.first() {
                    let left = first.len() - skipped;
                    if count < left {
                        skipped += count;
                        break;
                    }
                    (rest, skipped, count) = (&rest[1..], 0, count - left);
                }
                if rest.is_empty() || is_nonblocking {
                    return Poll::Ready(Ok(()));
                }
            }
        });
        partial(sent, last)
    }

    /// `sendto(2)`: one message to `address`. A stream sends to its peer, whatever the address says, as on Linux.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`]; errno EISCONN for a Unix stream; what [`Socket::connect`] says of names.
    pub fn send_to(&self, bytes: &[u8], address: &SockAddr) -> io::Result<usize> {
        self.send_from(bytes, address, None)
    }

    /// [`Socket::send_to`], from this address of ours (IP_PKTINFO).
    ///
    /// # Errors
    ///
    /// As [`Socket::send_to`].
    pub fn send_from(&self, bytes: &[u8], address: &SockAddr, local: Option<IpAddr>) -> io::Result<usize> {
        let buffers = &[IoSlice::new(bytes)];
        match self.inner.pipe.get() {
            _ if self.has_unix_messages() => Ok(self.send_unix(buffers, Some(address), self.is_nonblocking())?),
            Some(Pipe::Stream(_)) if self.inner.unix.is_some() => Err(Error::AlreadyConnected.into()),
            _ if self.inner.unix.is_some() => Err(Error::NotSupported.into()),
            Some(Pipe::Datagrams(_)) => {
                Ok(self.send_message(buffers, Ok(address.inet()?), local, self.is_nonblocking())?)
            }
            _ => self.send_buffers(buffers, Flags::NONE),
        }
    }

    /// [`Socket::try_send_message`]. Whoever sends is bound, whatever comes of it (Linux: inet_send_prepare).
    fn send_message(
        &self,
        buffers: &[IoSlice<'_>],
        peer: Result<SocketAddr>,
        local: Option<IpAddr>,
        is_nonblocking: bool,
    ) -> Result<usize> {
        let sent = peer.and_then(|peer| self.try_send_message(buffers, peer, local, is_nonblocking));
        if sent.is_err_and(is_refused)
            && self.inner.kind == Kind::Udp
            && let Ok(local) = self.local_addr()
            && local.inet().is_ok_and(|local| local.port() == 0)
        {
            // What the call is told is what was wrong with the message.
            let _ = self.bind(&local);
        }
        sent
    }

    fn try_send_message(
        &self,
        buffers: &[IoSlice<'_>],
        peer: SocketAddr,
        local: Option<IpAddr>,
        is_nonblocking: bool,
    ) -> Result<usize> {
        let pipe = self.datagrams()?;
        self.check_destination(peer)?;
        let addresses = Addresses { peer, local, header: None };
        wait(self.waits_unless(is_nonblocking), &self.inner.write_timeout, |context| {
            pipe.poll_send_vectored(context, buffers, addresses)
        })?;
        Ok(buffers.iter().map(|buffer| buffer.len()).sum())
    }

    /// What can be said before the stack looks at a message. What the stack then says, such as that no route leads
    /// there, is told to the next call.
    fn check_destination(&self, peer: SocketAddr) -> Result<()> {
        if domain_of(peer) != self.inner.domain {
            return Err(Error::FamilyNotSupported);
        }
        if self.inner.kind == Kind::Udp && peer.port() == 0 { Err(Error::InvalidInput) } else { Ok(()) }
    }

    /// [`Socket::recv`] of a stream, for those who poll by hand.
    pub fn poll_recv(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.stream() {
            Ok(pipe) => pipe.poll_read(context, buffer).map_err(Into::into),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// [`Socket::peek`] of a stream, for those who poll by hand.
    pub fn poll_peek(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.stream() {
            Ok(pipe) => pipe.poll_peek(context, buffer).map_err(Into::into),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// [`Socket::peek_from`] of a datagram, for those who poll by hand.
    pub fn poll_peek_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let pipe = match self.datagrams() {
            Ok(pipe) => pipe,
            Err(error) => return Poll::Ready(Err(error.into())),
        };
        pipe.poll_receive_message(context, &mut [IoSliceMut::new(buffer)], true).map(|peeked| {
            let received = peeked?.ok_or(Error::BrokenPipe)?;
            Ok((received.count, received.addresses.peer))
        })
    }

    /// [`Socket::send`] of a stream, for those who poll by hand.
    pub fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.stream() {
            Ok(pipe) => pipe.poll_write(context, bytes).map_err(Into::into),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// [`Socket::recv_to`] for those who poll by hand.
    pub fn poll_recv_to(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, Option<IpAddr>)>> {
        match self.datagrams() {
            Ok(pipe) => pipe.poll_receive(context, buffer).map_err(Into::into),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// [`Socket::send_from`] for those who poll by hand.
    pub fn poll_send_from(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        peer: SocketAddr,
        local: Option<IpAddr>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.inner.told.poll(context));
        match self.datagrams().and_then(|pipe| self.check_destination(peer).map(|()| pipe)) {
            Ok(pipe) => pipe.poll_send(context, bytes, peer, local).map(|sent| Ok(sent.map(|()| bytes.len())?)),
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }

    /// The peer that `send` goes to.
    pub(in crate::net) fn connected_peer(&self) -> io::Result<SocketAddr> {
        let peer = self.inner.addresses.lock().unwrap_or_else(PoisonError::into_inner).peer;
        Ok(peer.ok_or(Error::DestinationRequired)?)
    }
}
