use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;

use super::Stack;
use crate::error::Error;
use crate::pipe::wait::block_on;
use crate::socket::{DatagramSocket, GroupOption, Outcome, Verb};

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
        UdpSocket::from_outcome(stack, stack.call_blocking(Verb::BindUdp { local, reuse_address: false }))
    }

    /// [`UdpSocket::bind`] with SO_REUSEADDR: several sockets may have the same address, if each was bound so. What
    /// is sent to a group goes to all of them, and what is sent to the address itself to the last one bound.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::bind`].
    pub fn bind_reusable(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::from_outcome(stack, stack.call_blocking(Verb::BindUdp { local, reuse_address: true }))
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

    /// Joins a group, as `std::net::UdpSocket::join_multicast_v4` does. `interface` is an address of ours or
    /// 0.0.0.0; there is one link only. A socket hears every group that any socket of the stack has joined, if its
    /// address and port fit, as on Linux (IP_MULTICAST_ALL); to hear one group only, bind to the group's address.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no group; `AddrInUse` if this socket has joined it; `AddrNotAvailable` if `interface`
    /// is not ours; errno ENOBUFS if it is one group too many.
    pub fn join_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.set(self.join_v4(multiaddr, interface))
    }

    /// Leaves a group.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no group; `AddrNotAvailable` if this socket has not joined it.
    pub fn leave_multicast_v4(&self, multiaddr: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.set(self.leave_v4(multiaddr, interface))
    }

    /// Joins a group, as `std::net::UdpSocket::join_multicast_v6` does. The stack has one link, whose index is 1; 0
    /// leaves the choice to the stack.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::join_multicast_v4`].
    pub fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set(self.join_v6(multiaddr, interface)?)
    }

    /// Leaves a group.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::leave_multicast_v4`].
    pub fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set(self.leave_v6(multiaddr, interface)?)
    }

    /// Whether it may send to broadcast addresses (SO_BROADCAST). At first it may not, and the error is
    /// `PermissionDenied`.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.set(self.option(GroupOption::Broadcast(broadcast)))
    }

    /// Whether sockets of this stack hear what it sends to groups that they are in (IP_MULTICAST_LOOP); at first they
    /// do.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_multicast_loop_v4(&self, multicast_loop_v4: bool) -> io::Result<()> {
        self.set(self.option(GroupOption::Loopback(multicast_loop_v4)))
    }

    /// The same for IPv6 (IPV6_MULTICAST_LOOP).
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_multicast_loop_v6(&self, multicast_loop_v6: bool) -> io::Result<()> {
        self.set(self.option(GroupOption::Loopback(multicast_loop_v6)))
    }

    /// How far datagrams to groups go (IP_MULTICAST_TTL): 1, as at first, keeps them on the link.
    ///
    /// # Errors
    ///
    /// `InvalidInput` above 255; `NetworkDown` if the stack has stopped.
    pub fn set_multicast_ttl_v4(&self, multicast_ttl_v4: u32) -> io::Result<()> {
        self.set(self.ttl_v4(multicast_ttl_v4)?)
    }

    fn set(&self, verb: Verb) -> io::Result<()> {
        self.stack.call_blocking(verb)?;
        Ok(())
    }

    pub(super) fn join_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Verb {
        let interface = Some(IpAddr::V4(*interface)).filter(|address| !address.is_unspecified());
        Verb::JoinGroup { socket: self.socket.handle, group: IpAddr::V4(*group), interface }
    }

    pub(super) fn leave_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Verb {
        let interface = Some(IpAddr::V4(*interface)).filter(|address| !address.is_unspecified());
        Verb::LeaveGroup { socket: self.socket.handle, group: IpAddr::V4(*group), interface }
    }

    pub(super) fn join_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<Verb, Error> {
        check_index(interface)?;
        Ok(Verb::JoinGroup { socket: self.socket.handle, group: IpAddr::V6(*group), interface: None })
    }

    pub(super) fn leave_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<Verb, Error> {
        check_index(interface)?;
        Ok(Verb::LeaveGroup { socket: self.socket.handle, group: IpAddr::V6(*group), interface: None })
    }

    pub(super) fn ttl_v4(&self, ttl: u32) -> Result<Verb, Error> {
        let hops = u8::try_from(ttl).map_err(|_| Error::InvalidInput)?;
        Ok(self.option(GroupOption::Hops(hops)))
    }

    pub(super) fn option(&self, option: GroupOption) -> Verb {
        Verb::SetGroupOption { socket: self.socket.handle, option }
    }
}

/// The only link is number 1.
fn check_index(interface: u32) -> Result<(), Error> {
    if interface > 1 { Err(Error::AddressNotAvailable) } else { Ok(()) }
}
