use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::net::{self, Stack};
use crate::socket::{GroupOption, Verb};

/// A UDP socket, like `tokio::net::UdpSocket`.
#[derive(Debug)]
pub struct UdpSocket(net::UdpSocket);

impl UdpSocket {
    /// As [`net::UdpSocket::bind`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::bind`].
    pub async fn bind(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        let outcome = stack.call(Verb::BindUdp { local, reuse_address: false }).await;
        net::UdpSocket::from_outcome(stack, outcome).map(UdpSocket)
    }

    /// As [`net::UdpSocket::bind_reusable`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::bind`].
    pub async fn bind_reusable(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        let outcome = stack.call(Verb::BindUdp { local, reuse_address: true }).await;
        net::UdpSocket::from_outcome(stack, outcome).map(UdpSocket)
    }

    /// As [`net::UdpSocket::connect`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::connect`].
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let outcome = self.0.stack.call(Verb::ConnectUdp { socket: self.0.socket.handle, peer }).await;
        self.0.connected(peer, outcome)
    }

    /// As [`net::UdpSocket::set_receive_errors`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::set_receive_errors`].
    pub async fn set_receive_errors(&self, on: bool) -> io::Result<()> {
        self.0.stack.call(Verb::SetReceiveErrors { socket: self.0.socket.handle, on }).await?;
        Ok(())
    }

    /// What it is bound to.
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// As [`net::UdpSocket::recv_from`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::recv_from`].
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_to(buffer).await.map(|(count, peer, _)| (count, peer))
    }

    /// As [`net::UdpSocket::recv_to`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::recv_from`].
    pub async fn recv_to(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        Ok(poll_fn(|context| self.0.socket.pipe.poll_receive(context, buffer)).await?)
    }

    /// As [`net::UdpSocket::recv`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::recv_from`].
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv_to(buffer).await.map(|(count, _, _)| count)
    }

    /// As [`net::UdpSocket::send_to`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::send_to`].
    pub async fn send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        self.send_from(bytes, peer, None).await
    }

    /// As [`net::UdpSocket::send_from`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::send_to`].
    pub async fn send_from(&self, bytes: &[u8], peer: SocketAddr, local: Option<IpAddr>) -> io::Result<usize> {
        poll_fn(|context| self.0.socket.pipe.poll_send(context, bytes, peer, local)).await?;
        Ok(bytes.len())
    }

    /// As [`net::UdpSocket::send`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::send`].
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_from(bytes, self.0.peer()?, None).await
    }

    /// As [`net::UdpSocket::join_multicast_v4`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::join_multicast_v4`].
    pub async fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.set(self.0.join_v4(&multiaddr, &interface)).await
    }

    /// As [`net::UdpSocket::leave_multicast_v4`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::leave_multicast_v4`].
    pub async fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.set(self.0.leave_v4(&multiaddr, &interface)).await
    }

    /// As [`net::UdpSocket::join_multicast_v6`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::join_multicast_v6`].
    pub async fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set(self.0.join_v6(multiaddr, interface)?).await
    }

    /// As [`net::UdpSocket::leave_multicast_v6`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::leave_multicast_v6`].
    pub async fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set(self.0.leave_v6(multiaddr, interface)?).await
    }

    /// As [`net::UdpSocket::set_broadcast`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::set_broadcast`].
    pub async fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.set(self.0.option(GroupOption::Broadcast(broadcast))).await
    }

    /// As [`net::UdpSocket::set_multicast_loop_v4`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::set_multicast_loop_v4`].
    pub async fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.set(self.0.option(GroupOption::Loopback(on))).await
    }

    /// As [`net::UdpSocket::set_multicast_loop_v6`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::set_multicast_loop_v6`].
    pub async fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.set(self.0.option(GroupOption::Loopback(on))).await
    }

    /// As [`net::UdpSocket::set_multicast_ttl_v4`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::set_multicast_ttl_v4`].
    pub async fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.set(self.0.ttl_v4(ttl)?).await
    }

    async fn set(&self, verb: Verb) -> io::Result<()> {
        self.0.stack.call(verb).await?;
        Ok(())
    }
}
