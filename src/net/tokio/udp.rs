use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::ReadBuf;

use super::poll_fairly;
use super::ready::{hops, readiness};
use crate::error::Error;
use crate::net::{self, Flags, Stack};
use crate::socket::{OptionName, SocketOption, Verb};

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
        UdpSocket::open(stack, Verb::OpenDatagram { local, reuse_address: false, v6_only: false }).await
    }

    /// [`UdpSocket::bind`] with IPV6_V6ONLY: `[::]` is every address of IPv6 only.
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::bind`].
    pub async fn bind_one_family(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::open(stack, Verb::OpenDatagram { local, reuse_address: false, v6_only: true }).await
    }

    async fn open(stack: &Stack, verb: Verb) -> io::Result<UdpSocket> {
        net::UdpSocket::from_outcome(stack, stack.call(verb).await).map(UdpSocket)
    }

    /// As [`net::UdpSocket::bind_reusable`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::bind`].
    pub async fn bind_reusable(stack: &Stack, local: SocketAddr) -> io::Result<UdpSocket> {
        UdpSocket::open(stack, Verb::OpenDatagram { local, reuse_address: true, v6_only: false }).await
    }

    /// As [`net::UdpSocket::connect`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::connect`].
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.0.0.connect_datagram(peer).await
    }

    /// As [`net::UdpSocket::set_receive_errors`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn set_receive_errors(&self, on: bool) -> io::Result<()> {
        self.0.0.tell_option(SocketOption::ReceiveErrors(on));
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
        poll_fn(|context| poll_fairly(context, |context| self.0.0.poll_recv_to(context, buffer))).await
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
        poll_fn(|context| poll_fairly(context, |context| self.0.0.poll_send_from(context, bytes, peer, local))).await
    }

    /// As [`net::UdpSocket::send`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::send`].
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_from(bytes, self.0.0.connected_peer()?, None).await
    }

    /// [`UdpSocket::recv_from`] that leaves the datagram there (MSG_PEEK).
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|context| poll_fairly(context, |context| self.0.0.poll_peek_from(context, buffer))).await
    }

    /// [`UdpSocket::recv`] that leaves the datagram there (MSG_PEEK).
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::recv_from`].
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.peek_from(buffer).await.map(|(count, _)| count)
    }

    /// [`UdpSocket::send_to`] without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while too much waits to be sent; as [`UdpSocket::send_to`].
    pub fn try_send_to(&self, bytes: &[u8], peer: SocketAddr) -> io::Result<usize> {
        let mut context = Context::from_waker(Waker::noop());
        match self.0.0.poll_send_from(&mut context, bytes, peer, None) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Err(Error::WouldBlock.into()),
        }
    }

    /// [`UdpSocket::recv`] without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; as [`UdpSocket::recv`].
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.0.recv_with_flags(buffer, Flags::DONTWAIT)
    }

    /// [`UdpSocket::recv_from`] without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; as [`UdpSocket::recv_from`].
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, peer) = self.0.0.recv_from_with_flags(buffer, Flags::DONTWAIT)?;
        Ok((count, peer.inet()?))
    }

    /// [`UdpSocket::send`] without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while too much waits to be sent; as [`UdpSocket::send`].
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.send_with_flags(bytes, Flags::DONTWAIT)
    }

    /// [`UdpSocket::recv`] for those who poll by hand.
    pub fn poll_recv(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_recv_from(context, buffer).map_ok(|_| ())
    }

    /// [`UdpSocket::recv_from`] for those who poll by hand.
    pub fn poll_recv_from(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        let (count, peer, _) =
            ready!(poll_fairly(context, |context| self.0.0.poll_recv_to(context, buffer.initialize_unfilled())))?;
        buffer.advance(count);
        Poll::Ready(Ok(peer))
    }

    /// [`UdpSocket::peek_from`] for those who poll by hand.
    pub fn poll_peek_from(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<SocketAddr>> {
        let (count, peer) = ready!(self.0.0.poll_peek_from(context, buffer.initialize_unfilled()))?;
        buffer.advance(count);
        Poll::Ready(Ok(peer))
    }

    /// Whether something is there to be received, for those who poll by hand.
    pub fn poll_recv_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        super::ready::poll(&self.0.0, context, net::Interest::Readable)
    }

    /// Whether something can be sent, for those who poll by hand.
    pub fn poll_send_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        super::ready::poll(&self.0.0, context, net::Interest::Writable)
    }

    /// [`UdpSocket::send`] for those who poll by hand.
    pub fn poll_send(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.0.0.connected_peer() {
            Ok(peer) => self.poll_send_to(context, bytes, peer),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// [`UdpSocket::send_to`] for those who poll by hand.
    pub fn poll_send_to(&self, context: &mut Context<'_>, bytes: &[u8], peer: SocketAddr) -> Poll<io::Result<usize>> {
        poll_fairly(context, |context| self.0.0.poll_send_from(context, bytes, peer, None))
    }

    /// Whom it is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// SO_ERROR: see [`net::UdpSocket::take_error`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    /// The socket of a program that blocks, for one that does not.
    pub fn from_std(socket: net::UdpSocket) -> UdpSocket {
        UdpSocket(socket)
    }

    /// The same socket for a program that blocks.
    pub fn into_std(self) -> net::UdpSocket {
        self.0
    }

    /// As [`net::UdpSocket::join_multicast_v4`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::join_multicast_v4`].
    pub async fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.set(self.0.0.joining_v4(&multiaddr, &interface)).await
    }

    /// As [`net::UdpSocket::leave_multicast_v4`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::leave_multicast_v4`].
    pub async fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.set(self.0.0.leaving_v4(&multiaddr, &interface)).await
    }

    /// As [`net::UdpSocket::join_multicast_v6`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::join_multicast_v6`].
    pub async fn join_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set(self.0.0.joining_v6(multiaddr, interface)?).await
    }

    /// As [`net::UdpSocket::leave_multicast_v6`].
    ///
    /// # Errors
    ///
    /// As [`net::UdpSocket::leave_multicast_v6`].
    pub async fn leave_multicast_v6(&self, multiaddr: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.set(self.0.0.leaving_v6(multiaddr, interface)?).await
    }

    /// As [`net::UdpSocket::set_broadcast`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.0.0.tell_option(SocketOption::Broadcast(broadcast));
        Ok(())
    }

    /// As [`net::UdpSocket::set_multicast_loop_v4`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.0.0.tell_option(SocketOption::MulticastLoop(on));
        Ok(())
    }

    /// As [`net::UdpSocket::set_multicast_loop_v6`].
    ///
    /// # Errors
    ///
    /// None; tokio's signature.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.0.0.tell_option(SocketOption::MulticastLoopV6(on));
        Ok(())
    }

    /// As [`net::UdpSocket::set_multicast_ttl_v4`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` above 255.
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        let ttl = u8::try_from(ttl).map_err(|_| Error::InvalidInput)?;
        self.0.0.tell_option(SocketOption::MulticastTtl(ttl.into()));
        Ok(())
    }

    async fn set(&self, verb: Verb) -> io::Result<()> {
        self.0.0.stack().call(verb).await?;
        Ok(())
    }
}

readiness!(UdpSocket);
hops!(UdpSocket);

/// Getters, which ask the stack.
macro_rules! getters {
    ($($(#[$doc:meta])* $get:ident: $name:ident($value:ty);)*) => {
        impl UdpSocket {
            $(
                $(#[$doc])*
                /// The stack is asked, so it is a future where tokio's is not.
                ///
                /// # Errors
                ///
                /// `NetworkDown` if the stack has stopped.
                pub async fn $get(&self) -> io::Result<$value> {
                    match self.0.0.ask_option(OptionName::$name).await? {
                        SocketOption::$name(value) => Ok(value),
                        _ => Err(Error::InvalidInput.into()),
                    }
                }
            )*
        }
    };
}

getters! {
    /// What [`UdpSocket::set_broadcast`] was told.
    broadcast: Broadcast(bool);
    /// What [`UdpSocket::set_multicast_loop_v4`] was told.
    multicast_loop_v4: MulticastLoop(bool);
    /// What [`UdpSocket::set_multicast_loop_v6`] was told.
    multicast_loop_v6: MulticastLoopV6(bool);
    /// What [`UdpSocket::set_multicast_ttl_v4`] was told.
    multicast_ttl_v4: MulticastTtl(u32);
}
