use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::cover::{handle, hops, timeouts};
use super::{Socket, Stack};
use crate::error::Error;
use crate::socket::{Outcome, Verb};

/// A UDP socket, like `std::net::UdpSocket`.
#[derive(Debug)]
pub struct UdpSocket(pub(super) Socket);

impl UdpSocket {
    /// Binds to `local`; port 0 stands for any that is free. `0.0.0.0` is every address of IPv4, `[::]` every address
    /// of both families.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        let verb = Verb::OpenDatagram { local, reuse_address: false, v6_only: false };
        UdpSocket::from_outcome(stack, stack.call_blocking(verb))
    }

    /// [`UdpSocket::bind`] with SO_REUSEADDR: several sockets may have the same address, if each was bound so. What
    /// is sent to a group goes to all of them, and what is sent to the address itself to the last one bound.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::bind`].
    pub fn bind_reusable(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        let verb = Verb::OpenDatagram { local, reuse_address: true, v6_only: false };
        UdpSocket::from_outcome(stack, stack.call_blocking(verb))
    }

    pub(super) fn from_outcome(stack: &Stack, outcome: Result<Outcome, Error>) -> io::Result<UdpSocket> {
        match outcome? {
            Outcome::Datagram(socket) => Ok(UdpSocket(Socket::of_datagram(stack, socket))),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// From here on only `peer` is heard, [`UdpSocket::send`] goes to it, and its ICMP errors are reported.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.0.connect(&peer.into())
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()?.inet()
    }

    /// What it is bound to.
    ///
    /// # Errors
    ///
    /// None; std's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.inet()
    }

    /// Waits for a datagram: how many bytes fitted into `buffer`, and who sent it.
    ///
    /// # Errors
    ///
    /// `NetworkDown` when the stack stops; `WouldBlock` after [`UdpSocket::set_nonblocking`] or the read timeout; an
    /// ICMP error, once, on a connected socket or after [`UdpSocket::set_receive_errors`].
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, peer) = self.0.recv_from(buffer)?;
        Ok((count, peer.inet()?))
    }

    /// [`UdpSocket::recv_from`], and to which of our addresses it was sent: where an answer should come from
    /// (RFC 1122 §4.1.3.5).
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn recv_to(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        let (count, peer, local) = self.0.recv_to(buffer)?;
        Ok((count, peer.inet()?, local))
    }

    /// Waits for a datagram from the connected peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }

    /// [`UdpSocket::recv_from`] that leaves the datagram there (MSG_PEEK).
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, peer) = self.0.peek_from(buffer)?;
        Ok((count, peer.inet()?))
    }

    /// [`UdpSocket::recv`] that leaves the datagram there (MSG_PEEK).
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer)
    }

    /// Sends a datagram to `peer`.
    ///
    /// # Errors
    ///
    /// `MessageTooLong` (errno EMSGSIZE); on a connected socket, an ICMP error that an earlier one caused.
    pub fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.0.send_to(bytes, &peer.into())
    }

    /// [`UdpSocket::send_to`], from this address of ours.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_to`].
    pub fn send_from(&self, bytes: &[u8], peer: SocketAddr, local: Option<IpAddr>) -> io::Result<usize> {
        self.0.send_from(bytes, &peer.into(), local)
    }

    /// Sends a datagram to the connected peer.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::send_to`]; errno EDESTADDRREQ if it is not connected.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes)
    }

    /// Whether it is told of every ICMP error that a datagram of its caused: see [`Socket::set_receive_errors`].
    ///
    /// # Errors
    ///
    /// `NetworkDown` after the stack has stopped.
    pub fn set_receive_errors(&self, on: bool) -> io::Result<()> {
        self.0.set_receive_errors(on)
    }

    /// Joins a group: see [`Socket::join_multicast_v4`].
    ///
    /// # Errors
    ///
    /// As [`Socket::join_multicast_v4`].
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.join_multicast_v4(multiaddr, interface)
    }

    /// Leaves a group.
    ///
    /// # Errors
    ///
    /// As [`Socket::leave_multicast_v4`].
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.0.leave_multicast_v4(multiaddr, interface)
    }

    /// Joins a group: see [`Socket::join_multicast_v6`].
    ///
    /// # Errors
    ///
    /// As [`Socket::join_multicast_v4`].
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.join_multicast_v6(multiaddr, interface)
    }

    /// Leaves a group.
    ///
    /// # Errors
    ///
    /// As [`Socket::leave_multicast_v4`].
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.0.leave_multicast_v6(multiaddr, interface)
    }

    /// Whether it may send to broadcast addresses: see [`Socket::set_broadcast`].
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.0.set_broadcast(broadcast)
    }

    /// What [`UdpSocket::set_broadcast`] was told.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.0.broadcast()
    }

    /// Whether sockets of this stack hear what it sends to groups that they are in (IP_MULTICAST_LOOP); at first they
    /// do.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.0.set_multicast_loop_v4(multicast_loop_v4)
    }

    /// What [`UdpSocket::set_multicast_loop_v4`] was told.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.0.multicast_loop_v4()
    }

    /// The same for IPv6 (IPV6_MULTICAST_LOOP).
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.0.set_multicast_loop_v6(multicast_loop_v6)
    }

    /// What [`UdpSocket::set_multicast_loop_v6`] was told.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.0.multicast_loop_v6()
    }

    /// How far datagrams to groups go (IP_MULTICAST_TTL): 1, as at first, keeps them on the link.
    ///
    /// # Errors
    ///
    /// `InvalidInput` above 255; `NetworkDown` if the stack has stopped.
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.0.set_multicast_ttl_v4(multicast_ttl_v4)
    }

    /// What [`UdpSocket::set_multicast_ttl_v4`] was told.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.0.multicast_ttl_v4()
    }
}

timeouts!(UdpSocket);
hops!(UdpSocket);
handle!(UdpSocket);
