use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use super::Stack;
use crate::error::Error;
use crate::pipe::wait::block_on;
use crate::socket::{DatagramSocket, Outcome, Verb};

/// A UDP socket, like `std::net::UdpSocket`.
#[derive(Debug)]
pub struct UdpSocket {
    pub(super) stack: Stack,
    pub(super) socket: DatagramSocket,
    peer: OnceLock<SocketAddr>,
}

impl UdpSocket {
    /// Binds to `local`; port 0 stands for any that is free. `0.0.0.0` and `[::]` are each all addresses of
    /// their own family.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::from_outcome(stack, stack.call_blocking(Verb::BindUdp { local }))
    }

    pub(super) fn from_outcome(stack: &Stack, outcome: Result<Outcome, Error>) -> io::Result<UdpSocket> {
        match outcome? {
            Outcome::Datagram(socket) => Ok(UdpSocket { stack: stack.clone(), socket, peer: OnceLock::new() }),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// From here on only `peer` is heard, [`UdpSocket::send`] goes to it, and its ICMP errors are reported.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`; `AlreadyConnected` (errno EISCONN) the second time.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let outcome = self.stack.call_blocking(Verb::ConnectUdp { socket: self.socket.handle, peer });
        self.connected(peer, outcome)
    }

    pub(super) fn connected(&self, peer: SocketAddr, outcome: Result<Outcome, Error>) -> io::Result<()> {
        outcome?;
        self.peer.set(peer).map_err(|_| Error::AlreadyConnected.into())
    }

    pub(super) fn peer(&self) -> Result<SocketAddr, Error> {
        self.peer.get().copied().ok_or(Error::DestinationRequired)
    }

    /// Whether it is told of every ICMP error that a datagram of its caused: also of those that may pass, and also
    /// while it is not connected (IP_RECVERR, `ip(7)`). At first it is not.
    ///
    /// # Errors
    ///
    /// `NetworkDown` after the stack has stopped.
    pub fn set_receive_errors(&self, on: bool) -> io::Result<()> {
        self.stack.call_blocking(Verb::SetReceiveErrors { socket: self.socket.handle, on })?;
        Ok(())
    }

    /// What it is bound to.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.socket.local)
    }

    /// Waits for a datagram: how many bytes fitted into `buffer`, and who sent it.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the stack stops; an ICMP error, once, on a connected
    /// socket or after [`UdpSocket::set_receive_errors`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.receive(buffer).map(|(count, peer, _)| (count, peer))
    }

    /// [`UdpSocket::recv_from`], and to which of our addresses it was sent: where an answer should come from
    /// (RFC 1122 §4.1.3.5).
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn recv_to(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        self.receive(buffer)
    }

    /// Waits for a datagram from the connected peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer).map(|(count, _, _)| count)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        let pipe = &self.socket.pipe;
        Ok(block_on(poll_fn(|context| pipe.poll_receive(context, buffer)), None).unwrap_or(Err(Error::Interrupted))?)
    }

    /// Sends a datagram to `peer`.
    ///
    /// # Errors
    ///
    /// `MessageTooLong` (errno EMSGSIZE); on a connected socket, an ICMP error that an earlier one caused.
    pub fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.send_from(bytes, peer, None)
    }

    /// [`UdpSocket::send_to`], from this address of ours.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_to`].
    pub fn send_from(&self, bytes: &[u8], peer: SocketAddr, local: Option<IpAddr>) -> io::Result<usize> {
        let pipe = &self.socket.pipe;
        block_on(poll_fn(|context| pipe.poll_send(context, bytes, peer, local)), None)
            .unwrap_or(Err(Error::Interrupted))?;
        Ok(bytes.len())
    }

    /// Sends a datagram to the connected peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_to`]; errno EDESTADDRREQ if it is not connected.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_from(bytes, self.peer()?, None)
    }
}
