use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::ready::{hops, readiness};
use crate::net::{self, Domain, Message, Protocol, Socket, Stack, Type};
use crate::socket::{SocketOption, Verb};

/// An ICMP echo socket: [`net::IcmpSocket`] for async programs.
///
/// ```
/// use tapsock::net::Stack;
/// use tapsock::net::tokio::IcmpSocket;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stack = Stack::builder().loopback_only()?;
/// let socket = IcmpSocket::bind(&stack, "[::]:7".parse()?).await?;
/// socket.set_ttl(9)?;
/// socket.send_to(&[128, 0, 0, 0, 0, 0, 0, 1, b'h', b'i'], "::1".parse()?).await?;
/// let mut reply = [0; 64];
/// let message = socket.recv_message(&mut reply).await?;
/// assert_eq!(reply[4..message.count], [0, 7, 0, 1, b'h', b'i']);
/// assert_eq!(message.hop_limit, Some(64)); // of the reply
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IcmpSocket(net::IcmpSocket);

/// A raw socket: [`net::RawSocket`] for async programs.
#[derive(Debug)]
pub struct RawSocket(net::RawSocket);

impl IcmpSocket {
    /// As [`net::IcmpSocket::bind`].
    ///
    /// # Errors
    ///
    /// As [`net::IcmpSocket::bind`].
    pub async fn bind(stack: &Stack, local: SocketAddr) -> io::Result<IcmpSocket> {
        let (domain, protocol) =
            if local.is_ipv4() { (Domain::Inet, Protocol::ICMP) } else { (Domain::Inet6, Protocol::ICMPV6) };
        let socket = Socket::open(stack, domain, Type::Dgram, Some(protocol)).await?;
        stack.call(Verb::Bind { socket: socket.inner.handle, local: local.into() }).await?;
        Ok(IcmpSocket(socket.into()))
    }
}

impl RawSocket {
    /// As [`net::RawSocket::open`].
    ///
    /// # Errors
    ///
    /// As [`net::RawSocket::open`].
    pub async fn open(stack: &Stack, domain: Domain, protocol: Protocol) -> io::Result<RawSocket> {
        Ok(RawSocket(Socket::open(stack, domain, Type::Raw, Some(protocol)).await?.into()))
    }

    /// As [`net::RawSocket::bind`].
    ///
    /// # Errors
    ///
    /// As [`net::RawSocket::bind`].
    pub async fn bind(&self, local: IpAddr) -> io::Result<()> {
        let local = SocketAddr::new(local, 0);
        self.0.0.stack().call(Verb::Bind { socket: self.0.0.inner.handle, local: local.into() }).await?;
        Ok(())
    }

    /// As [`net::RawSocket::set_header_included`].
    ///
    /// # Errors
    ///
    /// As [`net::RawSocket::set_header_included`].
    pub fn set_header_included(&self, on: bool) -> io::Result<()> {
        self.option(SocketOption::HeaderIncluded(on))
    }

    /// As [`net::RawSocket::set_icmp_filter`].
    ///
    /// # Errors
    ///
    /// As [`net::RawSocket::set_icmp_filter`].
    pub fn set_icmp_filter(&self, filter: [u32; 8]) -> io::Result<()> {
        self.option(SocketOption::IcmpFilter(filter))
    }
}

/// What both have, with tokio's names.
macro_rules! packets {
    ($($name:ident)*) => {
        $(
            impl $name {
                /// As the blocking socket's `connect`.
                ///
                /// # Errors
                ///
                /// `NetworkUnreachable`.
                pub async fn connect(&self, peer: IpAddr) -> io::Result<()> {
                    self.0.0.connect_datagram(SocketAddr::new(peer, 0)).await
                }

                /// As the blocking socket's `local_addr`, which asks the engine.
                ///
                /// # Errors
                ///
                /// `NetworkDown` if the stack has stopped.
                pub async fn local_addr(&self) -> io::Result<SocketAddr> {
                    self.0.0.ask_local_addr().await
                }

                /// Sends one message to `peer`.
                ///
                /// # Errors
                ///
                /// As the blocking socket's `send_to`.
                pub async fn send_to(&self, bytes: &[u8], peer: IpAddr) -> io::Result<usize> {
                    let peer = SocketAddr::new(peer, 0);
                    poll_fn(|context| self.0.0.poll_send_from(context, bytes, peer, None)).await
                }

                /// Sends one message to the connected peer.
                ///
                /// # Errors
                ///
                /// As the blocking socket's `send`.
                pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
                    let peer = self.0.0.connected_peer()?;
                    poll_fn(|context| self.0.0.poll_send_from(context, bytes, peer, None)).await
                }

                /// Waits for a message: how many bytes fitted into `buffer`, and who sent it.
                ///
                /// # Errors
                ///
                /// As the blocking socket's `recv_from`.
                pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
                    self.recv_message(buffer).await.map(|message| (message.count, message.peer.ip()))
                }

                /// Waits for a message, and leaves it there (MSG_PEEK).
                ///
                /// # Errors
                ///
                /// As the blocking socket's `recv_from`.
                pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
                    let (count, peer) = poll_fn(|context| self.0.0.poll_peek_from(context, buffer)).await?;
                    Ok((count, peer.ip()))
                }

                /// Waits for a message, and gives what is known of it: see [`Socket::recv_message`].
                ///
                /// # Errors
                ///
                /// As the blocking socket's `recv_from`.
                pub async fn recv_message(&self, buffer: &mut [u8]) -> io::Result<Message> {
                    poll_fn(|context| self.0.0.poll_recv_message(context, buffer)).await
                }

                /// As the blocking socket's `set_broadcast`.
                ///
                /// # Errors
                ///
                /// `NetworkDown` if the stack has stopped.
                pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
                    self.option(SocketOption::Broadcast(on))
                }

                /// As the blocking socket's `set_receive_errors`.
                ///
                /// # Errors
                ///
                /// `NetworkDown` if the stack has stopped.
                pub fn set_receive_errors(&self, on: bool) -> io::Result<()> {
                    self.option(SocketOption::ReceiveErrors(on))
                }

                /// SO_ERROR: an error that nobody was told yet. Asking takes it.
                ///
                /// # Errors
                ///
                /// None; std's signature.
                pub fn take_error(&self) -> io::Result<Option<io::Error>> {
                    self.0.take_error()
                }

                fn option(&self, option: SocketOption) -> io::Result<()> {
                    self.0.0.tell_option(option);
                    Ok(())
                }
            }

            readiness!($name);
            hops!($name);
        )*
    };
}

packets! { IcmpSocket RawSocket }
