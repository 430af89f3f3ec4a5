//! Options and messages that socket2 has no method for, at the kernel and at ours.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{
    ControlMessageOwned, GetSockOpt, MsgFlags, SetSockOpt, SockaddrStorage, getsockopt, recvmsg, setsockopt, sockopt,
};
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};
use tapsock::error::Error;
use tapsock::net::{Domain, ErrorOrigin, MtuDiscovery};
use tapsock::observe::TcpState;

use super::sock::{Sock, std_address};

sockopt_impl!(
    /// Seconds, and never quite as many as were asked for (`tcp(7)`).
    TcpDeferAccept, Both, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, u32
);
sockopt_impl!(
    /// What is known of a connection.
    TcpInfo, GetOnly, libc::IPPROTO_TCP, libc::TCP_INFO, libc::tcp_info
);
sockopt_impl!(
    /// Whether IPv4 may be cut.
    IpMtuDiscover, Both, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, i32
);
sockopt_impl!(
    /// Whether IPv6 may be cut.
    Ipv6MtuDiscover, Both, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, i32
);
sockopt_impl!(
    /// How large a packet to the peer may be.
    Ipv6Mtu, GetOnly, libc::IPPROTO_IPV6, libc::IPV6_MTU, i32
);
sockopt_impl!(
    /// Which ICMP messages a raw socket does not hear.
    IcmpFilter, Both, libc::IPPROTO_RAW, ICMP_FILTER, u32
);
sockopt_impl!(
    /// The same of ICMPv6 (RFC 3542 §3.2).
    Icmp6Filter, Both, libc::IPPROTO_ICMPV6, ICMP6_FILTER, [u32; 8]
);
sockopt_impl!(
    /// The ports that this socket is given one of: the lowest, and in the upper half the highest.
    IpLocalPortRange, Both, libc::IPPROTO_IP, IP_LOCAL_PORT_RANGE, u32
);

/// `linux/icmp.h`, `linux/icmpv6.h`, `linux/in.h`; the crate libc has not got them.
const ICMP_FILTER: i32 = 1;
const ICMP6_FILTER: i32 = 1;
const IP_LOCAL_PORT_RANGE: i32 = 51;

/// What TCP_INFO has to say that both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) state: TcpState,
    pub(crate) bytes_in: u64,
    /// That were acknowledged.
    pub(crate) bytes_out: u64,
}

/// A message with what its header said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) bytes: Vec<u8>,
    pub(crate) peer: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: u8,
}

/// What the error queue has to say that both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) error: Error,
    pub(crate) origin: ErrorOrigin,
    pub(crate) message: (u8, u8),
    pub(crate) info: u32,
    pub(crate) offender: Option<IpAddr>,
    pub(crate) destination: SocketAddr,
}

fn set<O: SetSockOpt>(socket: &socket2::Socket, option: O, value: &O::Val) -> io::Result<()> {
    Ok(setsockopt(socket, option, value)?)
}

fn get<O: GetSockOpt>(socket: &socket2::Socket, option: O) -> io::Result<O::Val> {
    Ok(getsockopt(socket, option)?)
}

fn discovery(number: i32) -> MtuDiscovery {
    match number {
        libc::IP_PMTUDISC_DONT => MtuDiscovery::Dont,
        libc::IP_PMTUDISC_WANT => MtuDiscovery::Want,
        libc::IP_PMTUDISC_DO => MtuDiscovery::Do,
        libc::IP_PMTUDISC_PROBE => MtuDiscovery::Probe,
        other => panic!("{other} is no MtuDiscovery"),
    }
}

fn number(discovery: MtuDiscovery) -> i32 {
    match discovery {
        MtuDiscovery::Dont => libc::IP_PMTUDISC_DONT,
        MtuDiscovery::Want => libc::IP_PMTUDISC_WANT,
        MtuDiscovery::Do => libc::IP_PMTUDISC_DO,
        MtuDiscovery::Probe => libc::IP_PMTUDISC_PROBE,
    }
}

/// By its number in `netinet/tcp.h`.
fn state(number: u8) -> TcpState {
    match number {
        1 => TcpState::Established,
        2 => TcpState::SynSent,
        3 | 12 => TcpState::SynReceived,
        4 => TcpState::FinWait1,
        5 => TcpState::FinWait2,
        6 => TcpState::TimeWait,
        8 => TcpState::CloseWait,
        9 => TcpState::LastAck,
        // Linux has a state for sockets that have no connection.
        7 | 10 => TcpState::Listen,
        11 => TcpState::Closing,
        other => panic!("{other} is the number of no state of a connection"),
    }
}

impl Sock {
    /// TCP_DEFER_ACCEPT.
    pub(crate) fn set_tcp_defer_accept(&self, span: Duration) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => set(socket, TcpDeferAccept, &u32::try_from(span.as_secs()).unwrap()),
            Sock::Ours(socket) => socket.set_tcp_defer_accept(span),
        }
    }

    pub(crate) fn tcp_defer_accept(&self) -> io::Result<Duration> {
        match self {
            Sock::Kernel(socket) => get(socket, TcpDeferAccept).map(|seconds| Duration::from_secs(seconds.into())),
            Sock::Ours(socket) => socket.tcp_defer_accept(),
        }
    }

    /// TCP_INFO.
    pub(crate) fn info(&self) -> io::Result<Info> {
        match self {
            Sock::Kernel(socket) => {
                let info = get(socket, TcpInfo)?;
                Ok(Info {
                    state: state(info.tcpi_state),
                    bytes_in: info.tcpi_bytes_received,
                    bytes_out: info.tcpi_bytes_acked,
                })
            }
            Sock::Ours(socket) => {
                let info = socket.info()?;
                Ok(Info { state: info.state, bytes_in: info.summary.bytes_in, bytes_out: info.summary.bytes_out })
            }
        }
    }

    /// IP_MTU, IPV6_MTU.
    pub(crate) fn mtu(&self) -> io::Result<u32> {
        match self {
            Sock::Kernel(socket) => {
                let bytes = match self.domain()? {
                    Domain::Inet => get(socket, sockopt::IpMtu)?,
                    _ => get(socket, Ipv6Mtu)?,
                };
                Ok(u32::try_from(bytes).unwrap())
            }
            Sock::Ours(socket) => socket.mtu(),
        }
    }

    /// IP_MTU_DISCOVER.
    pub(crate) fn set_mtu_discover(&self, value: MtuDiscovery) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => set(socket, IpMtuDiscover, &number(value)),
            Sock::Ours(socket) => socket.set_mtu_discover(value),
        }
    }

    pub(crate) fn mtu_discover(&self) -> io::Result<MtuDiscovery> {
        match self {
            Sock::Kernel(socket) => get(socket, IpMtuDiscover).map(discovery),
            Sock::Ours(socket) => socket.mtu_discover(),
        }
    }

    /// IPV6_MTU_DISCOVER.
    pub(crate) fn set_mtu_discover_v6(&self, value: MtuDiscovery) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => set(socket, Ipv6MtuDiscover, &number(value)),
            Sock::Ours(socket) => socket.set_mtu_discover_v6(value),
        }
    }

    pub(crate) fn mtu_discover_v6(&self) -> io::Result<MtuDiscovery> {
        match self {
            Sock::Kernel(socket) => get(socket, Ipv6MtuDiscover).map(discovery),
            Sock::Ours(socket) => socket.mtu_discover_v6(),
        }
    }

    /// ICMP_FILTER, ICMP6_FILTER: only messages of this type are heard from here on.
    pub(crate) fn hear_only(&self, r#type: u8) -> io::Result<()> {
        let mut filter = [u32::MAX; 8];
        filter[usize::from(r#type >> 5)] &= !(1 << (r#type & 31));
        match self {
            Sock::Kernel(socket) => match self.domain()? {
                Domain::Inet => set(socket, IcmpFilter, &filter[0]),
                _ => set(socket, Icmp6Filter, &filter),
            },
            Sock::Ours(socket) => socket.set_icmp_filter(filter),
        }
    }

    /// A message, and the TTL and the type of service that it came with. Of ours, echo sockets and raw sockets know them.
    pub(crate) fn recv_marked(&self) -> io::Result<Marked> {
        let mut buffer = vec![0; 65_536];
        match self {
            Sock::Kernel(socket) => {
                if self.domain()? == Domain::Inet {
                    set(socket, sockopt::Ipv4RecvTtl, &true)?;
                    set(socket, sockopt::IpRecvTos, &true)?;
                } else {
                    set(socket, sockopt::Ipv6RecvHopLimit, &true)?;
                    set(socket, sockopt::Ipv6RecvTClass, &true)?;
                }
                let mut control = vec![0; 1024];
                let mut buffers = [IoSliceMut::new(&mut buffer)];
                let flags = MsgFlags::empty();
                let got = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
                let (mut hop_limit, mut traffic_class) = (None, None);
                for message in got.cmsgs()? {
                    match message {
                        ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                            hop_limit = u8::try_from(hops).ok();
                        }
                        ControlMessageOwned::Ipv4Tos(class) => traffic_class = Some(class),
                        ControlMessageOwned::Ipv6TClass(class) => traffic_class = u8::try_from(class).ok(),
                        _ => {}
                    }
                }
                let (count, peer) = (got.bytes, got.address.as_ref().and_then(std_address).unwrap().ip());
                buffer.truncate(count);
                let (hop_limit, traffic_class) = (hop_limit.unwrap(), traffic_class.unwrap());
                Ok(Marked { bytes: buffer, peer, hop_limit, traffic_class })
            }
            Sock::Ours(socket) => {
                let got = socket.recv_message(&mut buffer)?;
                buffer.truncate(got.count);
                let (hop_limit, traffic_class) = (got.hop_limit.unwrap(), got.traffic_class.unwrap());
                Ok(Marked { bytes: buffer, peer: got.peer.ip(), hop_limit, traffic_class })
            }
        }
    }

    /// IP_RECVERR, IPV6_RECVERR: of an IPv6 socket of the kernel both, as ours has one for both.
    pub(crate) fn set_receive_errors(&self, on: bool) -> io::Result<()> {
        match self {
            Sock::Kernel(socket) => {
                if self.domain()? == Domain::Inet6 {
                    set(socket, sockopt::Ipv6RecvErr, &on)?;
                }
                set(socket, sockopt::Ipv4RecvErr, &on)
            }
            Sock::Ours(socket) => socket.set_receive_errors(on),
        }
    }

    pub(crate) fn receive_errors(&self) -> io::Result<bool> {
        match self {
            Sock::Kernel(socket) => match self.domain()? {
                Domain::Inet => get(socket, sockopt::Ipv4RecvErr),
                _ => get(socket, sockopt::Ipv6RecvErr),
            },
            Sock::Ours(socket) => socket.receive_errors(),
        }
    }

    /// The oldest error of the queue (MSG_ERRQUEUE).
    pub(crate) fn take_queued_error(&self) -> io::Result<Option<Told>> {
        match self {
            Sock::Kernel(socket) => {
                let (mut buffer, mut control) = ([0; 1500], vec![0; 1024]);
                let mut buffers = [IoSliceMut::new(&mut buffer)];
                let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
                let got = match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags)
                {
                    Err(nix::Error::EAGAIN) => return Ok(None),
                    got => got?,
                };
                let destination = got.address.as_ref().and_then(std_address).unwrap();
                let (error, offender) = got
                    .cmsgs()?
                    .find_map(|message| match message {
                        ControlMessageOwned::Ipv4RecvErr(error, offender) => {
                            Some((error, offender.map(|from| IpAddr::V4(u32::from_be(from.sin_addr.s_addr).into()))))
                        }
                        ControlMessageOwned::Ipv6RecvErr(error, offender) => {
                            Some((error, offender.map(|from| IpAddr::V6(from.sin6_addr.s6_addr.into()))))
                        }
                        _ => None,
                    })
                    .unwrap();
                Ok(Some(Told {
                    error: Error::from_errno(i32::try_from(error.ee_errno).unwrap()).unwrap(),
                    origin: match error.ee_origin {
                        libc::SO_EE_ORIGIN_LOCAL => ErrorOrigin::Local,
                        libc::SO_EE_ORIGIN_ICMP => ErrorOrigin::Icmp,
                        libc::SO_EE_ORIGIN_ICMP6 => ErrorOrigin::Icmpv6,
                        other => panic!("{other} is no ErrorOrigin"),
                    },
                    message: (error.ee_type, error.ee_code),
                    info: error.ee_info,
                    // A local error has an address of family 0.
                    offender: offender.filter(|from| !from.is_unspecified()),
                    destination,
                }))
            }
            Sock::Ours(socket) => Ok(socket.take_queued_error()?.map(|told| Told {
                error: told.error,
                origin: told.origin,
                message: (told.r#type, told.code),
                info: told.info,
                offender: told.offender,
                destination: told.destination,
            })),
        }
    }

    /// From which ports a socket of the kernel is given one; ours are given those of their stack.
    pub(crate) fn limit_ports(&self, ports: &RangeInclusive<u16>) {
        if let Sock::Kernel(socket) = self {
            let (lowest, highest) = (u32::from(*ports.start()), u32::from(*ports.end()));
            set(socket, IpLocalPortRange, &(lowest | highest << 16)).unwrap();
        }
    }
}
