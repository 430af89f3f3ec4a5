//! Echo sockets and raw sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::cover::{handle, hops, timeouts};
use super::{Domain, Message, Protocol, Socket, Stack, Type};

/// An ICMP echo socket (`icmp(7)`, Linux's ping sockets): what it sends are echo requests, what it receives their
/// replies.
///
/// A message is an ICMP header of 8 bytes and data. The identifier in it is the socket's port: who binds to one chooses
/// it. Identifier and checksum are written by the stack; the sequence number is the program's.
///
/// ```
/// use tapsock::net::{IcmpSocket, Stack};
///
/// let stack = Stack::builder().loopback_only()?;
/// let socket = IcmpSocket::bind(&stack, "0.0.0.0:0".parse()?)?;
/// let request = [8, 0, 0, 0, 0, 0, 0, 1, b'h', b'i'];
/// socket.send_to(&request, "127.0.0.1".parse()?)?;
/// let mut reply = [0; 64];
/// let (count, from) = socket.recv_from(&mut reply)?;
/// assert_eq!((reply[0], &reply[6..count], from.is_loopback()), (0, &request[6..], true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct IcmpSocket(pub(super) Socket);

/// A raw socket (`raw(7)`): every packet of one protocol that comes to the stack, as it is, and packets of one's own.
///
/// Over IPv4 what is received begins with the IP header, exactly as it was on the wire; over IPv6 with what is behind the
/// headers. What the kernel-like part of the stack does with the packets it does all the same: raw sockets see copies.
///
/// ```
/// use tapsock::net::{Domain, Protocol, RawSocket, Stack};
///
/// let stack = Stack::builder().loopback_only()?;
/// let socket = RawSocket::open(&stack, Domain::Inet, Protocol::TESTING)?;
/// socket.set_ttl(7)?;
/// socket.send_to(b"payload", "127.0.0.1".parse()?)?;
/// let mut packet = [0; 64];
/// let (count, from) = socket.recv_from(&mut packet)?;
/// assert_eq!((packet[8], packet[9], &packet[20..count]), (7, 253, &b"payload"[..]));
/// assert!(from.is_loopback());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RawSocket(pub(super) Socket);

impl IcmpSocket {
    /// Binds to an address and an identifier, which is the port; port 0 stands for any that is free. The address says
    /// the family: `0.0.0.0` for ICMP, `[::]` for ICMPv6.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, `AddrNotAvailable`.
    pub fn bind(stack: &Stack, local: SocketAddr) -> io::Result<IcmpSocket> {
        let (domain, protocol) =
            if local.is_ipv4() { (Domain::Inet, Protocol::ICMP) } else { (Domain::Inet6, Protocol::ICMPV6) };
        let socket = Socket::new(stack, domain, Type::Dgram, Some(protocol))?;
        socket.bind(&local.into())?;
        Ok(IcmpSocket(socket))
    }
}

impl RawSocket {
    /// Hears `protocol` from here on. [`Protocol::RAW`] hears nothing, and what it sends begins with an IP header.
    ///
    /// # Errors
    ///
    /// Errno EPROTONOSUPPORT for protocol 0; EMFILE.
    pub fn open(stack: &Stack, domain: Domain, protocol: Protocol) -> io::Result<RawSocket> {
        Socket::new(stack, domain, Type::Raw, Some(protocol)).map(RawSocket)
    }

    /// From here on only what is sent to `local` is heard, and packets are sent from there.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable`.
    pub fn bind(&self, local: IpAddr) -> io::Result<()> {
        self.0.bind(&SocketAddr::new(local, 0).into())
    }

    /// Whether what it sends begins with an IP header (IP_HDRINCL).
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_header_included(&self, on: bool) -> io::Result<()> {
        self.0.set_header_included_v4(on)
    }

    /// Which ICMP messages it does not hear: see [`Socket::set_icmp_filter`].
    ///
    /// # Errors
    ///
    /// Errno ENOPROTOOPT if its protocol is not ICMP or ICMPv6.
    pub fn set_icmp_filter(&self, filter: [u32; 8]) -> io::Result<()> {
        self.0.set_icmp_filter(filter)
    }
}

/// What both have, with std's names.
macro_rules! packets {
    ($($name:ident)*) => {
        $(
            impl $name {
                /// From here on only `peer` is heard, `send` goes to it, and its ICMP errors are reported.
                ///
                /// # Errors
                ///
                /// `NetworkUnreachable`.
                pub fn connect(&self, peer: IpAddr) -> io::Result<()> {
                    self.0.connect(&SocketAddr::new(peer, 0).into())
                }

                /// Whom it is connected to.
                ///
                /// # Errors
                ///
                /// `NotConnected`.
                pub fn peer_addr(&self) -> io::Result<IpAddr> {
                    Ok(self.0.peer_addr()?.inet()?.ip())
                }

                /// What it is bound to; the port is the identifier, or of a raw socket the protocol.
                ///
                /// # Errors
                ///
                /// `NetworkDown` if the stack has stopped.
                pub fn local_addr(&self) -> io::Result<SocketAddr> {
                    self.0.local_addr()?.inet()
                }

                /// Sends one message to `peer`.
                ///
                /// # Errors
                ///
                /// `MessageTooLong` (errno EMSGSIZE). What is found out later is told by the next call: `InvalidInput` if it
                /// was no message, `NetworkUnreachable`, an ICMP error.
                pub fn send_to(&self, bytes: &[u8], peer: IpAddr) -> io::Result<usize> {
                    self.0.send_to(bytes, &SocketAddr::new(peer, 0).into())
                }

                /// Sends one message to the connected peer.
                ///
                /// # Errors
                ///
                /// As `send_to`; errno EDESTADDRREQ if it is not connected.
                pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
                    self.0.send(bytes)
                }

                /// Waits for a message: how many bytes fitted into `buffer`, and who sent it.
                ///
                /// # Errors
                ///
                /// `WouldBlock` after `set_nonblocking` or the read timeout; an ICMP error, once, if it is connected or
                /// after `set_receive_errors`; `NetworkDown` when the stack stops.
                pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, IpAddr)> {
                    let (count, peer) = self.0.recv_from(buffer)?;
                    Ok((count, peer.inet()?.ip()))
                }

                /// Waits for a message.
                ///
                /// # Errors
                ///
                /// As `recv_from`.
                pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
                    self.0.recv(buffer)
                }

                /// Waits for a message, and gives what is known of it: see [`Socket::recv_message`].
                ///
                /// # Errors
                ///
                /// As `recv_from`.
                pub fn recv_message(&self, buffer: &mut [u8]) -> io::Result<Message> {
                    self.0.recv_message(buffer)
                }

                /// The type of service, or traffic class, of what it sends (IP_TOS, IPV6_TCLASS).
                ///
                /// # Errors
                ///
                /// `InvalidInput` above 255.
                pub fn set_tos(&self, tos: u32) -> io::Result<()> {
                    match self.0.domain()? {
                        Domain::Inet => self.0.set_tos_v4(tos),
                        _ => self.0.set_tclass_v6(tos),
                    }
                }

                /// Whether it may send to broadcast addresses.
                ///
                /// # Errors
                ///
                /// `NetworkDown` if the stack has stopped.
                pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
                    self.0.set_broadcast(on)
                }

                /// Whether it is told of every ICMP error about what it sent: see [`Socket::set_receive_errors`].
                ///
                /// # Errors
                ///
                /// `NetworkDown` if the stack has stopped.
                pub fn set_receive_errors(&self, on: bool) -> io::Result<()> {
                    self.0.set_receive_errors(on)
                }

            }

            timeouts!($name);
            hops!($name);
            handle!($name);
        )*
    };
}

packets! { IcmpSocket RawSocket }
