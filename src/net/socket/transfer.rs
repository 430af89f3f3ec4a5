//! Bytes and messages, in and out.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::BitOr;
use std::sync::PoisonError;
use std::task::{Context, Poll};

use super::{Pipe, Socket, lock};
use crate::error::{Error, Result};
use crate::net::SockAddr;
use crate::pipe::wait::block_on;
use crate::pipe::{Datagrams, Stream};

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

impl Socket {
    fn stream(&self) -> Result<&Stream> {
        match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) => Ok(pipe),
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
    pub(super) fn wait_read<T>(
        &self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T>>,
        attempt: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if self.is_nonblocking() {
            return attempt();
        }
        block_on(poll_fn(|context| poll(context)), self.inner.read_timeout.deadline()).unwrap_or(Err(Error::WouldBlock))
    }

    pub(super) fn wait_write<T>(
        &self,
        is_nonblocking: bool,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Result<T>>,
        attempt: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if is_nonblocking {
            return attempt();
        }
        block_on(poll_fn(|context| poll(context)), self.inner.write_timeout.deadline())
            .unwrap_or(Err(Error::WouldBlock))
    }

    pub(super) fn is_nonblocking(&self) -> bool {
        self.inner.is_nonblocking.load(std::sync::atomic::Ordering::Acquire)
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
            return self.receive_unix(&mut [IoSliceMut::new(buffer)], flags).map(|received| received.count);
        }
        if matches!(self.inner.pipe.get(), Some(Pipe::Datagrams(_))) {
            return self.recv_from_with_flags(buffer, flags).map(|(count, _)| count);
        }
        let count = self.recv_some(buffer, flags)?;
        if !flags.contains(Flags::WAITALL) || count == 0 || count == buffer.len() {
            return Ok(count);
        }
        let mut filled = count;
        while filled < buffer.len() {
            match self.recv_some(&mut buffer[filled..], flags) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        Ok(filled)
    }

    fn recv_some(&self, buffer: &mut [u8], flags: Flags) -> Result<usize> {
        let pipe = self.stream()?;
        if flags.contains(Flags::DONTWAIT) || self.is_nonblocking() {
            return pipe.try_read(buffer);
        }
        block_on(poll_fn(|context| pipe.poll_read(context, buffer)), self.inner.read_timeout.deadline())
            .unwrap_or(Err(Error::WouldBlock))
    }

    /// `recvfrom(2)`: one message, and who sent it.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
        self.recv_from_with_flags(buffer, Flags::NONE)
    }

    /// [`Socket::recv_from`] with flags.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_from_with_flags(&self, buffer: &mut [u8], flags: Flags) -> io::Result<(usize, SockAddr)> {
        if self.has_unix_messages() {
            let received = self.receive_unix(&mut [IoSliceMut::new(buffer)], flags)?;
            return Ok((received.count, received.addresses.into()));
        }
        if let Some(Pipe::Stream(_)) | None = self.inner.pipe.get() {
            let count = self.recv_with_flags(buffer, flags)?;
            return Ok((count, self.peer_addr()?));
        }
        let (count, peer, _) = self.receive(buffer, flags)?;
        Ok((count, peer.into()))
    }

    /// [`Socket::recv_from`], and to which of our addresses it was sent: where an answer should come from
    /// (RFC 1122 §4.1.3.5; IP_PKTINFO).
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_to(&self, buffer: &mut [u8]) -> io::Result<(usize, SockAddr, Option<IpAddr>)> {
        let (count, peer, local) = self.receive(buffer, Flags::NONE)?;
        Ok((count, peer.into(), local))
    }

    fn receive(&self, buffer: &mut [u8], flags: Flags) -> Result<(usize, SocketAddr, Option<IpAddr>)> {
        let pipe = self.datagrams()?;
        if flags.contains(Flags::DONTWAIT) || self.is_nonblocking() {
            return pipe.try_receive(buffer);
        }
        block_on(poll_fn(|context| pipe.poll_receive(context, buffer)), self.inner.read_timeout.deadline())
            .unwrap_or(Err(Error::WouldBlock))
    }

    /// `readv(2)`: fills the buffers one after the other.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`].
    pub fn recv_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut whole = vec![0; buffers.iter().map(|buffer| buffer.len()).sum()];
        let count = self.recv(&mut whole)?;
        let mut rest = &whole[..count];
        for buffer in buffers {
            let (head, tail) = rest.split_at(rest.len().min(buffer.len()));
            buffer[..head.len()].copy_from_slice(head);
            rest = tail;
        }
        Ok(count)
    }

    /// `send(2)`: bytes, as many as fit; or one message, whole, to the connected peer.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` after the end; `WouldBlock`; errno EDESTADDRREQ, EMSGSIZE; what the connection died of, once.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_with_flags(bytes, Flags::NONE)
    }

    /// [`Socket::send`] with flags. A blocking socket sends everything, as on Linux.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`].
    pub fn send_with_flags(&self, bytes: &[u8], flags: Flags) -> io::Result<usize> {
        let is_nonblocking = flags.contains(Flags::DONTWAIT) || self.is_nonblocking();
        if self.has_unix_messages() {
            return Ok(self.send_unix(&[IoSlice::new(bytes)], None, is_nonblocking)?);
        }
        match self.inner.pipe.get() {
            Some(Pipe::Datagrams(_)) => {
                let peer = lock(&self.inner.addresses).peer.ok_or(Error::DestinationRequired)?;
                Ok(self.send_message(bytes, peer, None, is_nonblocking)?)
            }
            Some(Pipe::Stream(pipe)) => Ok(self.wait_write(
                is_nonblocking,
                |context| pipe.poll_write(context, bytes),
                || pipe.try_write(bytes),
            )?),
            _ if self.inner.unix.is_some() => Err(Error::NotConnected.into()),
            _ => Err(Error::BrokenPipe.into()),
        }
    }

    /// `sendto(2)`: one message to `address`.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`]; errno EISCONN for a stream.
    pub fn send_to(&self, bytes: &[u8], address: &SockAddr) -> io::Result<usize> {
        self.send_from(bytes, address, None)
    }

    /// [`Socket::send_to`], from this address of ours (IP_PKTINFO).
    ///
    /// # Errors
    ///
    /// As [`Socket::send_to`].
    pub fn send_from(&self, bytes: &[u8], address: &SockAddr, local: Option<IpAddr>) -> io::Result<usize> {
        if self.has_unix_messages() {
            return Ok(self.send_unix(&[IoSlice::new(bytes)], Some(address), self.is_nonblocking())?);
        }
        match self.inner.pipe.get() {
            _ if self.is_unconnected_unix() => Err(Error::NotSupported.into()),
            Some(Pipe::Stream(_)) => Err(Error::AlreadyConnected.into()),
            Some(Pipe::Datagrams(_)) => Ok(self.send_message(bytes, address.inet()?, local, self.is_nonblocking())?),
            _ => Err(Error::BrokenPipe.into()),
        }
    }

    fn send_message(
        &self,
        bytes: &[u8],
        peer: SocketAddr,
        local: Option<IpAddr>,
        is_nonblocking: bool,
    ) -> Result<usize> {
        let pipe = self.datagrams()?;
        self.wait_write(
            is_nonblocking,
            |context| pipe.poll_send(context, bytes, peer, local),
            || pipe.try_send(bytes, peer, local),
        )?;
        Ok(bytes.len())
    }

    /// `writev(2)`: the buffers one after the other, as one message where there are messages.
    ///
    /// # Errors
    ///
    /// As [`Socket::send`].
    pub fn send_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(&buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect::<Vec<u8>>())
    }

    /// [`Socket::recv`] of a stream, for those who poll by hand.
    pub fn poll_recv(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.stream() {
            Ok(pipe) => pipe.poll_read(context, buffer).map_err(Into::into),
            Err(error) => Poll::Ready(Err(error.into())),
        }
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
        match self.datagrams() {
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
