//! Messages with what is known of them (`recvmsg(2)`).

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use super::{Pipe, Socket};
use crate::error::{Error, Result};
use crate::pipe::wait::block_on_with;
use crate::pipe::{Datagrams, Received};

/// A received message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// How many bytes of it are in the buffer.
    pub count: usize,
    /// How many it had (MSG_TRUNC); the rest is lost.
    pub length: usize,
    /// Who sent it.
    pub peer: SocketAddr,
    /// To which of our addresses, or to which group (IP_PKTINFO).
    pub local: Option<IpAddr>,
    /// The TTL or the hop limit that it came with (IP_RECVTTL, IPV6_RECVHOPLIMIT): of echo sockets and raw sockets.
    pub hop_limit: Option<u8>,
    /// Its type of service or traffic class (IP_RECVTOS, IPV6_RECVTCLASS): of echo sockets and raw sockets.
    pub traffic_class: Option<u8>,
}

#[cfg(test)]
impl Message {
    /// One of so many bytes of which nothing more is known.
    pub(crate) fn unmarked(count: usize, peer: IpAddr) -> Message {
        let peer = SocketAddr::new(peer, 0);
        Message { count, length: count, peer, local: None, hop_limit: None, traffic_class: None }
    }
}

impl Socket {
    fn messages(&self) -> Result<&Datagrams> {
        match self.inner.pipe.get() {
            Some(Pipe::Datagrams(pipe)) => Ok(pipe),
            _ => Err(Error::NotSupported),
        }
    }

    /// `recvmsg(2)`: one message, with what is known of it.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv`]; errno EOPNOTSUPP if the socket has no messages.
    pub fn recv_message(&self, buffer: &mut [u8]) -> io::Result<Message> {
        let pipe = self.messages()?;
        let mut buffers = [IoSliceMut::new(buffer)];
        let received = if self.nonblocking()? {
            pipe.try_receive_message(&mut buffers, false)
        } else {
            let receive = poll_fn(|context| pipe.poll_receive_message(context, &mut buffers, false));
            block_on_with(self.spin(), receive, self.inner.read_timeout.deadline()).unwrap_or(Err(Error::WouldBlock))
        };
        Ok(message(received)?)
    }

    /// [`Socket::recv_message`] for those who poll by hand.
    pub fn poll_recv_message(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Message>> {
        match self.messages() {
            Ok(pipe) => {
                let received = pipe.poll_receive_message(context, &mut [IoSliceMut::new(buffer)], false);
                received.map(|received| Ok(message(received)?))
            }
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

fn message(received: Result<Option<Received>>) -> Result<Message> {
    let Received { count, length, addresses } = received?.ok_or(Error::BrokenPipe)?;
    Ok(Message {
        count,
        length,
        peer: addresses.peer,
        local: addresses.local,
        hop_limit: addresses.header.map(|header| header.hop_limit),
        traffic_class: addresses.header.map(|header| header.traffic_class),
    })
}
