//! Options, set and read back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::{Pipe, Socket, lock};
use crate::error::Error;
use crate::pipe::Attempt;
use crate::socket::{
    CongestionControl, Domain, Keepalive, MtuDiscovery, OptionName, Outcome, QueuedError, SocketOption, TcpInfo, Verb,
};

/// Makes a setter and its getter of one option each.
macro_rules! options {
    ($($(#[$doc:meta])* $set:ident, $get:ident: $name:ident($value:ty);)*) => {
        impl Socket {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// `InvalidInput` if the value cannot be; errno ENOPROTOOPT if the socket has no such option;
                /// `NetworkDown` if the stack has stopped.
                pub fn $set(&self, value: $value) -> io::Result<()> {
                    self.set(SocketOption::$name(value))
                }

                /// What it is set to:
                $(#[$doc])*
                ///
                /// # Errors
                ///
                /// Errno ENOPROTOOPT if the socket has no such option; `NetworkDown` if the stack has stopped.
                pub fn $get(&self) -> io::Result<$value> {
                    match self.get(OptionName::$name)? {
                        SocketOption::$name(value) => Ok(value),
                        _ => Err(Error::InvalidInput.into()),
                    }
                }
            )*
        }
    };
}

options! {
    /// SO_REUSEADDR (`socket(7)`): shares its address with others that do so too; of TCP sockets one may listen.
    set_reuse_address, reuse_address: ReuseAddress(bool);
    /// SO_REUSEPORT: shares its address with others that do so too; all of them may listen.
    set_reuse_port, reuse_port: ReusePort(bool);
    /// IPV6_V6ONLY (`ipv6(7)`): no IPv4. Before it is bound.
    set_only_v6, only_v6: V6Only(bool);
    /// SO_KEEPALIVE (RFC 9293 §3.8.4): whether a silent peer is asked if it is still there.
    set_keepalive, keepalive: Keepalive(bool);
    /// TCP_KEEPIDLE: how long the connection must be idle before the peer is asked.
    set_tcp_keepalive_time, tcp_keepalive_time: KeepaliveIdle(Duration);
    /// TCP_KEEPINTVL: how long to wait for an answer before asking again.
    set_tcp_keepalive_interval, tcp_keepalive_interval: KeepaliveInterval(Duration);
    /// TCP_KEEPCNT: how often to ask before the connection is given up.
    set_tcp_keepalive_retries, tcp_keepalive_retries: KeepaliveCount(u32);
    /// TCP_NODELAY: whether small segments go out at once (RFC 9293 §3.7.4, Nagle's algorithm off).
    set_tcp_nodelay, tcp_nodelay: Nodelay(bool);
    /// TCP_USER_TIMEOUT (RFC 5482): how long what was sent may stay unacknowledged before the connection is given up.
    /// `None`, the default: about a quarter of an hour. An idle connection is not affected.
    set_tcp_user_timeout, tcp_user_timeout: UserTimeout(Option<Duration>);
    /// SO_BROADCAST: whether it may send to broadcast addresses. At first it may not, and the error is
    /// `PermissionDenied`.
    set_broadcast, broadcast: Broadcast(bool);
    /// IP_RECVERR, IPV6_RECVERR: whether it is told of every ICMP error that a datagram of its caused, also of those
    /// that may pass, and also while it is not connected.
    set_receive_errors, receive_errors: ReceiveErrors(bool);
    /// SO_RCVBUF: how many bytes may wait to be read. Twice as many are read back, as on Linux. Before it connects or
    /// listens it chooses the size of the buffers, within the limits `receive-buffer` or `datagram-buffer`; from then on
    /// it bounds what is used of them. Where two programs of one stack share a ring, the reader's SO_RCVBUF and the
    /// writer's SO_SNDBUF together bound what is in it, within the limit `pipe`. Of Unix sockets it has no effect
    /// (`unix(7)`).
    set_recv_buffer_size, recv_buffer_size: ReceiveBuffer(usize);
    /// SO_SNDBUF: how many bytes may wait to be sent. Twice as many are read back, as on Linux. Within the limits
    /// `send-buffer` or `datagram-buffer`. Of Unix sockets of messages it bounds what they have sent to all whom they
    /// send to and what nobody has read yet, 576 bytes for each message besides; a message cannot be longer. It is
    /// writable again when three quarters are free.
    set_send_buffer_size, send_buffer_size: SendBuffer(usize);
    /// TCP_MAXSEG: no larger segments than this, in either direction, options included; 88 to 32 767, before it
    /// connects. What is read back is the payload of a full segment of the connection, and 536 before there is one.
    set_tcp_mss, tcp_mss: MaxSegment(u32);
    /// TCP_DEFER_ACCEPT: how long a connection without data is kept from being accepted; zero, the default: it is not.
    /// Rounded up to 1, 3, 7, 15 … seconds, when a SYN-ACK is sent again.
    set_tcp_defer_accept, tcp_defer_accept: DeferAccept(Duration);
    /// IP_TTL: how many routers a packet to an IPv4 peer passes; 1 to 255, 64 at first.
    set_ttl_v4, ttl_v4: Ttl(u32);
    /// IP_TOS: the type of service of packets to IPv4 peers (RFC 2474). Of TCP the last two bits stay as they are.
    set_tos_v4, tos_v4: Tos(u32);
    /// IPV6_UNICAST_HOPS: how many routers a packet to an IPv6 peer passes; 0 to 255, 64 at first.
    set_unicast_hops_v6, unicast_hops_v6: UnicastHops(u32);
    /// IPV6_TCLASS: the traffic class of packets to IPv6 peers (RFC 2474). Of TCP the last two bits stay as they are.
    set_tclass_v6, tclass_v6: TrafficClass(u32);
    /// IP_MTU_DISCOVER: whether routers may cut its packets to IPv4 peers, and whether it minds what is known of their
    /// way.
    set_mtu_discover, mtu_discover: MtuDiscover(MtuDiscovery);
    /// IPV6_MTU_DISCOVER: the same for packets to IPv6 peers, which routers never cut.
    set_mtu_discover_v6, mtu_discover_v6: MtuDiscoverV6(MtuDiscovery);
    /// IP_HDRINCL, IPV6_HDRINCL: whether what a raw socket sends begins with an IP header. It goes out as it is, but that
    /// of IPv4 gets its length, its checksum, and a source and an identification if they are 0 (`raw(7)`). At first only
    /// that of [`Protocol::RAW`](crate::net::Protocol::RAW) does.
    set_header_included_v4, header_included_v4: HeaderIncluded(bool);
    /// ICMP_FILTER, ICMP6_FILTER (RFC 3542 §3.2): which ICMP messages a raw socket does not hear: bit `n % 32` of word
    /// `n / 32` stands for type `n`. Of ICMP the first word counts.
    set_icmp_filter, icmp_filter: IcmpFilter([u32; 8]);
    /// IP_MULTICAST_LOOP: whether sockets of this stack hear what it sends to groups that they are in.
    set_multicast_loop_v4, multicast_loop_v4: MulticastLoop(bool);
    /// IPV6_MULTICAST_LOOP: whether sockets of this stack hear what it sends to groups that they are in.
    set_multicast_loop_v6, multicast_loop_v6: MulticastLoopV6(bool);
    /// IP_MULTICAST_TTL: how far datagrams to IPv4 groups go; 0 to 255. 1, as at first, keeps them on the link.
    set_multicast_ttl_v4, multicast_ttl_v4: MulticastTtl(u32);
    /// IPV6_MULTICAST_HOPS: how far datagrams to IPv6 groups go; 0 to 255. 1, as at first, keeps them on the link.
    set_multicast_hops_v6, multicast_hops_v6: MulticastHops(u32);
    /// IPV6_MULTICAST_IF: the index of the link by which IPv6 groups are sent to. There is one link, whose index is 1;
    /// 0, as at first, leaves the choice to the stack.
    set_multicast_if_v6, multicast_if_v6: MulticastInterfaceV6(u32);
}

impl Socket {
    fn set(&self, option: SocketOption) -> io::Result<()> {
        self.call(Verb::SetOption { socket: self.inner.handle, option })?;
        if !matches!(option, SocketOption::ReceiveBuffer(_) | SocketOption::SendBuffer(_)) {
            return Ok(());
        }
        // The queues of a socket of messages are at this end.
        match (self.inner.pipe.get(), self.get(option.name())?) {
            (Some(Pipe::Datagrams(pipe)), SocketOption::ReceiveBuffer(bytes)) => {
                // As much again may wait in the stack.
                pipe.set_receive_capacity(bytes / 2);
            }
            (Some(Pipe::Datagrams(pipe)), SocketOption::SendBuffer(bytes)) => pipe.set_send_capacity(bytes),
            (Some(Pipe::Letters(letters)), SocketOption::SendBuffer(bytes)) => letters.mailbox.set_send_capacity(bytes),
            _ => {}
        }
        Ok(())
    }

    fn get(&self, name: OptionName) -> io::Result<SocketOption> {
        match self.call(Verb::GetOption { socket: self.inner.handle, name })? {
            Outcome::Option(option) => Ok(option),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// IP_TTL, and of an IPv6 socket IPV6_UNICAST_HOPS as well.
    pub(in crate::net) fn set_hops(&self, ttl: u32) -> io::Result<()> {
        self.set_ttl_v4(ttl)?;
        if self.inner.domain == Domain::Inet6 { self.set_unicast_hops_v6(ttl) } else { Ok(()) }
    }

    pub(in crate::net) fn hops(&self) -> io::Result<u32> {
        if self.inner.domain == Domain::Inet6 { self.unicast_hops_v6() } else { self.ttl_v4() }
    }

    /// Sets an option for those who do not wait: the stack is told, in the order of the calls.
    pub(in crate::net) fn tell_option(&self, option: SocketOption) {
        let answer = self.inner.stack.begin(Verb::SetOption { socket: self.inner.handle, option });
        self.inner.told.await_later(answer);
    }

    /// Sets an option and waits for the answer, for async programs.
    pub(in crate::net) async fn set_option(&self, option: SocketOption) -> io::Result<()> {
        self.inner.stack.call(Verb::SetOption { socket: self.inner.handle, option }).await?;
        Ok(())
    }

    /// Reads an option, for async programs.
    pub(in crate::net) async fn ask_option(&self, name: OptionName) -> io::Result<SocketOption> {
        match self.inner.stack.call(Verb::GetOption { socket: self.inner.handle, name }).await? {
            Outcome::Option(option) => Ok(option),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    pub(in crate::net) fn tell_hops(&self, ttl: u32) -> io::Result<()> {
        if !(1..=255).contains(&ttl) {
            return Err(Error::InvalidInput.into());
        }
        self.tell_option(SocketOption::Ttl(ttl));
        if self.inner.domain == Domain::Inet6 {
            self.tell_option(SocketOption::UnicastHops(ttl));
        }
        Ok(())
    }

    pub(in crate::net) async fn ask_hops(&self) -> io::Result<u32> {
        let is_v6 = self.inner.domain == Domain::Inet6;
        match self.ask_option(if is_v6 { OptionName::UnicastHops } else { OptionName::Ttl }).await? {
            SocketOption::Ttl(hops) | SocketOption::UnicastHops(hops) => Ok(hops),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// SO_RCVTIMEO: how long a read waits; `None`: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a zero duration.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.read_timeout.set(timeout)
    }

    /// What [`Socket::set_read_timeout`] was told.
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn read_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.inner.read_timeout.get())
    }

    /// SO_SNDTIMEO: how long a write waits; `None`: for ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a zero duration.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.write_timeout.set(timeout)
    }

    /// What [`Socket::set_write_timeout`] was told.
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        Ok(self.inner.write_timeout.get())
    }

    /// SO_LINGER (`socket(7)`). `None`, the default: closing returns at once, and what was written is sent in the
    /// background. Zero: closing discards what is unsent and sends a RST. Else closing waits, at most this long, until
    /// everything has arrived; what has not by then is still sent in the background.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.set(SocketOption::Linger(linger))?;
        *lock(&self.inner.linger) = linger;
        Ok(())
    }

    /// What [`Socket::set_linger`] was told.
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(*lock(&self.inner.linger))
    }

    /// SO_KEEPALIVE with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT at once; `None`, the default: off.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for values that Linux refuses; `NetworkDown` if the stack has stopped.
    pub fn set_tcp_keepalive(&self, keepalive: Option<Keepalive>) -> io::Result<()> {
        if let Some(Keepalive { idle, interval, count }) = keepalive {
            self.set(SocketOption::KeepaliveIdle(idle))?;
            self.set(SocketOption::KeepaliveInterval(interval))?;
            self.set(SocketOption::KeepaliveCount(count))?;
        }
        self.set(SocketOption::Keepalive(keepalive.is_some()))
    }

    /// TCP_CONGESTION: by which algorithm the congestion window grows and shrinks: `cubic`, the default (RFC 9438), or
    /// `reno` (RFC 5681).
    ///
    /// # Errors
    ///
    /// `NotFound` (errno ENOENT) for another name; errno ENOPROTOOPT if it is not TCP; `NetworkDown`.
    ///
    /// ```
    /// # use tapsock::{device::pair, net::{Domain, Socket, Stack, Type}};
    /// # let stack = Stack::builder().device(pair(1500).0)?;
    /// let socket = Socket::new(&stack, Domain::Inet, Type::Stream, None)?;
    /// socket.set_tcp_congestion(b"reno")?;
    /// assert_eq!(socket.tcp_congestion()?, b"reno");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_tcp_congestion(&self, name: &[u8]) -> io::Result<()> {
        let control = std::str::from_utf8(name).ok().and_then(CongestionControl::of_name).ok_or(Error::NotFound)?;
        self.set(SocketOption::Congestion(control))
    }

    /// What [`Socket::set_tcp_congestion`] was told.
    ///
    /// # Errors
    ///
    /// Errno ENOPROTOOPT if it is not TCP; `NetworkDown` if the stack has stopped.
    pub fn tcp_congestion(&self) -> io::Result<Vec<u8>> {
        match self.get(OptionName::Congestion)? {
            SocketOption::Congestion(control) => Ok(control.name().into()),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// IP_MTU, IPV6_MTU: the bytes that a packet to the peer may have on its whole way, as far as it is known.
    ///
    /// # Errors
    ///
    /// `NotConnected`; `NetworkDown` if the stack has stopped.
    pub fn mtu(&self) -> io::Result<u32> {
        match self.get(OptionName::Mtu)? {
            SocketOption::Mtu(bytes) => Ok(bytes),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// IP_MULTICAST_IF: the address of ours from which IPv4 groups are sent to; 0.0.0.0, as at first: any.
    ///
    /// # Errors
    ///
    /// `AddrNotAvailable` if it is not ours; `InvalidInput` for TCP; `NetworkDown` if the stack has stopped.
    pub fn set_multicast_if_v4(&self, interface: &Ipv4Addr) -> io::Result<()> {
        self.set(SocketOption::MulticastInterface(*interface))
    }

    /// What [`Socket::set_multicast_if_v4`] was told.
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn multicast_if_v4(&self) -> io::Result<Ipv4Addr> {
        match self.get(OptionName::MulticastInterface)? {
            SocketOption::MulticastInterface(address) => Ok(address),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// IP_ADD_MEMBERSHIP. `interface` is an address of ours or 0.0.0.0; there is one link only. A socket hears every
    /// group that any socket of the stack has joined, if its address and port fit, as on Linux (IP_MULTICAST_ALL); to
    /// hear one group only, bind to the group's address.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no group; `AddrInUse` if this socket has joined it; `AddrNotAvailable` if `interface`
    /// is not ours; errno ENOBUFS if it is one group too many.
    pub fn join_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.call(self.joining_v4(group, interface))?;
        Ok(())
    }

    /// IP_DROP_MEMBERSHIP.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is no group; `AddrNotAvailable` if this socket has not joined it.
    pub fn leave_multicast_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> io::Result<()> {
        self.call(self.leaving_v4(group, interface))?;
        Ok(())
    }

    /// IPV6_ADD_MEMBERSHIP. The stack has one link, whose index is 1; 0 leaves the choice to the stack.
    ///
    /// # Errors
    ///
    /// As [`Socket::join_multicast_v4`]; errno ENODEV for another index.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.call(self.joining_v6(group, interface)?)?;
        Ok(())
    }

    /// IPV6_DROP_MEMBERSHIP.
    ///
    /// # Errors
    ///
    /// As [`Socket::leave_multicast_v4`].
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.call(self.leaving_v6(group, interface)?)?;
        Ok(())
    }

    pub(in crate::net) fn joining_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Verb {
        let interface = Some(IpAddr::V4(*interface)).filter(|address| !address.is_unspecified());
        Verb::JoinGroup { socket: self.inner.handle, group: IpAddr::V4(*group), interface }
    }

    pub(in crate::net) fn leaving_v4(&self, group: &Ipv4Addr, interface: &Ipv4Addr) -> Verb {
        let interface = Some(IpAddr::V4(*interface)).filter(|address| !address.is_unspecified());
        Verb::LeaveGroup { socket: self.inner.handle, group: IpAddr::V4(*group), interface }
    }

    pub(in crate::net) fn joining_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<Verb, Error> {
        check_index(interface)?;
        Ok(Verb::JoinGroup { socket: self.inner.handle, group: IpAddr::V6(*group), interface: None })
    }

    pub(in crate::net) fn leaving_v6(&self, group: &Ipv6Addr, interface: u32) -> Result<Verb, Error> {
        check_index(interface)?;
        Ok(Verb::LeaveGroup { socket: self.inner.handle, group: IpAddr::V6(*group), interface: None })
    }

    /// SO_ERROR: what the connection died of, or an ICMP error that a datagram caused, if nobody was told yet. Asking
    /// takes it.
    ///
    /// # Errors
    ///
    /// None; socket2's signature.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        let error = match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) => pipe.take_error(),
            Some(Pipe::Datagrams(pipe)) => pipe.take_error(),
            Some(Pipe::SeqPacket(pipe)) => pipe.take_error(),
            Some(Pipe::Letters(letters)) => {
                letters.mailbox.take_error().map_err(|error| self.failed(Attempt::Error, error))
            }
            Some(Pipe::UnixAccepts(_)) | None => Ok(()),
        };
        Ok(error.err().map(io::Error::from))
    }

    /// The oldest error that waits for a program that asked for them all with [`Socket::set_receive_errors`], with who
    /// said it of which packet (`recvmsg(2)` with MSG_ERRQUEUE). `None` if there is none. At most 64 wait
    /// (`queued-errors`).
    ///
    /// # Errors
    ///
    /// `NetworkDown` if the stack has stopped.
    pub fn take_queued_error(&self) -> io::Result<Option<QueuedError>> {
        match self.call(Verb::TakeQueuedError { socket: self.inner.handle })? {
            Outcome::QueuedError(error) => Ok(error.map(|error| *error)),
            _ => Err(Error::InvalidInput.into()),
        }
    }

    /// TCP_INFO: state, sequence numbers, windows, what came and went (RFC 4898).
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is no connection, or none any more; errno ENOPROTOOPT if it is not TCP.
    pub fn info(&self) -> io::Result<TcpInfo> {
        match self.call(Verb::Info { socket: self.inner.handle })? {
            Outcome::Info(info) => Ok(*info),
            _ => Err(Error::InvalidInput.into()),
        }
    }
}

/// The only link is number 1.
fn check_index(interface: u32) -> Result<(), Error> {
    if interface > 1 { Err(Error::NoDevice) } else { Ok(()) }
}
