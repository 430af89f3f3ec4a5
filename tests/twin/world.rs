//! Whose sockets a body is given, and where they are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tapsock::config::{Config, Loopback, Mac};
use tapsock::net::{Domain, Stack, Type};

use super::check::eventually;
use super::sock::Sock;

/// Which sockets talk to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The kernel with itself, on `lo`.
    Kernel,
    /// Two stacks of ours on an in-memory pair.
    Pair,
    /// On a TAP; the server is ours, the client the kernel's.
    TapServer,
    /// On a TAP; the client is ours, the server the kernel's.
    TapClient,
    /// One stack of ours with itself, by packets.
    Wire,
    /// One stack of ours with itself, by joined pipes.
    Fast,
}

impl Mode {
    pub(crate) const ALL: [Mode; 6] =
        [Mode::Kernel, Mode::Pair, Mode::TapServer, Mode::TapClient, Mode::Wire, Mode::Fast];
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Kernel => "kernel",
            Mode::Pair => "pair",
            Mode::TapServer => "tap_server",
            Mode::TapClient => "tap_client",
            Mode::Wire => "wire",
            Mode::Fast => "fast",
        })
    }
}

/// Which addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "v4",
            Family::V6 => "v6",
        })
    }
}

/// One end of the wire: who makes its sockets, and its addresses.
#[derive(Debug, Clone)]
pub(crate) struct Side {
    /// `None`: the kernel.
    stack: Option<Stack>,
    addresses: [IpAddr; 2],
    /// Of the kernel's.
    link: &'static str,
}

impl Side {
    fn new(stack: Option<Stack>, v4: &str, v6: &str) -> Side {
        let link = if v4 == "127.0.0.1" { "lo" } else { "tap0" };
        Side { stack, addresses: [v4.parse().unwrap(), v6.parse().unwrap()], link }
    }

    pub(crate) fn is_kernel(&self) -> bool {
        self.stack.is_none()
    }

    pub(crate) fn v4(&self) -> Ipv4Addr {
        match self.addresses[0] {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// The number of its link. A stack has one.
    pub(crate) fn interface(&self) -> u32 {
        if self.is_kernel() { nix::net::if_::if_nametoindex(self.link).unwrap() } else { 1 }
    }

    /// `socket(2)`. What blocks gives up after [`PATIENCE`].
    pub(crate) fn socket(&self, domain: Domain, kind: Type) -> Sock {
        self.socket_of(domain, kind, None)
    }

    /// The same, of this protocol.
    pub(crate) fn socket_of(&self, domain: Domain, kind: Type, protocol: Option<u8>) -> Sock {
        let socket = Sock::new(self.stack.as_ref(), domain, kind, protocol).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// `socket(2)`, for those who want to see it fail.
    pub(crate) fn try_socket(&self, domain: Domain, kind: Type, protocol: Option<u8>) -> std::io::Result<Sock> {
        Sock::new(self.stack.as_ref(), domain, kind, protocol)
    }
}

/// Two sides that reach each other, and a family to do it by.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) mode: Mode,
    pub(crate) family: Family,
    pub(crate) server: Side,
    pub(crate) client: Side,
}

/// What must come is waited for at most so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What must not come is waited for so long.
pub(crate) const SILENCE: Duration = Duration::from_millis(60);

/// Everybody's next port: below those that the kernel and we give ourselves.
static PORT: AtomicU16 = AtomicU16::new(1100);

static PROTOCOL: AtomicU16 = AtomicU16::new(0);

fn config(v4: &str, v6: &str, mac: u8) -> Config {
    Config {
        addresses: vec![format!("{v4}/24").parse().unwrap(), format!("{v6}/64").parse().unwrap()],
        mac: Mac([2, 0, 0, 0, 0, mac]),
        probe: Duration::ZERO,
        ..Config::default()
    }
}

const LEFT: [&str; 2] = ["10.0.7.1", "fd07::1"];
const RIGHT: [&str; 2] = ["10.0.7.2", "fd07::2"];

static PAIR: LazyLock<[Side; 2]> = LazyLock::new(|| {
    let builder = |[v4, v6]: [&str; 2], mac| Stack::builder().config(config(v4, v6, mac));
    let (left, right) = builder(LEFT, 1).pair(builder(RIGHT, 2)).unwrap();
    let side = |stack: Stack, [v4, v6]: [&str; 2]| {
        assert_eq!(stack.wait_ready().unwrap(), []);
        Side::new(Some(stack), v4, v6)
    };
    [side(left, LEFT), side(right, RIGHT)]
});

/// The stack's side and the kernel's.
static TAP: LazyLock<[Side; 2]> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/tap-up.sh");
    let made = Command::new(script).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let stack = Stack::builder().config(config("192.168.69.1", "fd69::1", 1)).tap("tap0").unwrap();
    assert_eq!(stack.wait_ready().unwrap(), []);
    await_kernel();
    [Side::new(Some(stack), "192.168.69.1", "fd69::1"), Side::new(None, "192.168.69.100", "fd69::100")]
});

/// Frames are lost until the kernel has noticed that somebody has opened the TAP, and it sends nothing to groups of IPv6
/// until it knows that its link-local address is nobody else's.
fn await_kernel() {
    let stack = "192.168.69.1:9".parse().unwrap();
    eventually("an answer of the stack", || {
        let call = std::net::TcpStream::connect_timeout(&stack, Duration::from_millis(100));
        call.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    let index = nix::net::if_::if_nametoindex("tap0").unwrap();
    let group = std::net::SocketAddrV6::new("ff02::9999".parse().unwrap(), 9, 0, index);
    let socket = std::net::UdpSocket::bind("[::]:0").unwrap();
    eventually("a link-local address of the kernel", || socket.send_to(b"", group).is_ok());
}

static WIRE: LazyLock<[Side; 2]> = LazyLock::new(|| both(Config { loopback: Loopback::Wire, ..Config::default() }));
static FAST: LazyLock<[Side; 2]> = LazyLock::new(|| both(Config { loopback: Loopback::Fast, ..Config::default() }));

/// A stack without a link, which is on both sides.
fn both(config: Config) -> [Side; 2] {
    let stack = Stack::builder().config(config).loopback_only().unwrap();
    let side = Side::new(Some(stack), "127.0.0.1", "::1");
    [side.clone(), side]
}

impl World {
    /// The world of this mode. Its stacks are those of all bodies, which is why they take their ports from
    /// [`World::port`].
    pub(crate) fn of(mode: Mode, family: Family) -> World {
        let [server, client] = match mode {
            Mode::Kernel => [Side::new(None, "127.0.0.1", "::1"), Side::new(None, "127.0.0.1", "::1")],
            Mode::Pair => PAIR.clone(),
            Mode::TapServer => TAP.clone(),
            Mode::TapClient => {
                let [stack, kernel] = TAP.clone();
                [kernel, stack]
            }
            Mode::Wire => WIRE.clone(),
            Mode::Fast => FAST.clone(),
        };
        World { mode, family, server, client }
    }

    /// A host whose sockets are given one of these ports, unless they choose: the kernel says it to each socket, by
    /// [`Sock::limit_ports`]; ours is another stack.
    pub(crate) fn with_ports(&self, ports: RangeInclusive<u16>) -> World {
        let loopback = match self.mode {
            Mode::Wire => Loopback::Wire,
            Mode::Fast => Loopback::Fast,
            _ => return self.clone(),
        };
        let [server, client] = both(Config { loopback, ephemeral_ports: ports, ..Config::default() });
        World { server, client, ..*self }
    }

    /// Whether there are no packets between the sides.
    pub(crate) fn is_joined(&self) -> bool {
        self.mode == Mode::Fast
    }

    /// Whether there is a link between the sides: Ethernet with an MTU of 1500.
    pub(crate) fn has_link(&self) -> bool {
        matches!(self.mode, Mode::Pair | Mode::TapServer | Mode::TapClient)
    }

    pub(crate) fn domain(&self) -> Domain {
        match self.family {
            Family::V4 => Domain::Inet,
            Family::V6 => Domain::Inet6,
        }
    }

    fn ip(&self, side: &Side) -> IpAddr {
        side.addresses[usize::from(self.family == Family::V6)]
    }

    pub(crate) fn server_ip(&self) -> IpAddr {
        self.ip(&self.server)
    }

    pub(crate) fn client_ip(&self) -> IpAddr {
        self.ip(&self.client)
    }

    /// The server's address with this port.
    pub(crate) fn server_at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.server_ip(), port)
    }

    /// The client's address with this port.
    pub(crate) fn client_at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.client_ip(), port)
    }

    /// An address of the other family that is the server's as well.
    pub(crate) fn other_server_at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.server.addresses[usize::from(self.family == Family::V4)], port)
    }

    /// Every address of the family.
    pub(crate) fn wildcard(&self, port: u16) -> SocketAddr {
        match self.family {
            Family::V4 => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
            Family::V6 => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
        }
    }

    /// An address that no route leads to (RFC 5737, RFC 3849).
    pub(crate) fn nowhere(&self) -> SocketAddr {
        match self.family {
            Family::V4 => "203.0.113.1:9".parse().unwrap(),
            Family::V6 => "[2001:db8::1]:9".parse().unwrap(),
        }
    }

    /// A neighbour that there is not, where there is a link.
    pub(crate) fn nobody(&self) -> Option<SocketAddr> {
        match (self.mode, self.family) {
            (Mode::Pair, Family::V4) => Some("10.0.7.99:9".parse().unwrap()),
            (Mode::Pair, Family::V6) => Some("[fd07::99]:9".parse().unwrap()),
            (Mode::TapServer | Mode::TapClient, Family::V4) => Some("192.168.69.99:9".parse().unwrap()),
            (Mode::TapServer | Mode::TapClient, Family::V6) => Some("[fd69::99]:9".parse().unwrap()),
            _ => None,
        }
    }

    /// A port that nobody else is given.
    pub(crate) fn port(&self) -> u16 {
        PORT.fetch_add(1, Ordering::Relaxed)
    }

    /// A protocol of IP that nobody else is given meanwhile: one of those that IANA has not assigned.
    pub(crate) fn protocol(&self) -> u8 {
        148 + u8::try_from(PROTOCOL.fetch_add(1, Ordering::Relaxed) % 100).unwrap()
    }

    /// Two raw sockets for a protocol: the client's, the server's.
    pub(crate) fn raw_pair(&self) -> (Sock, Sock, u8) {
        let protocol = self.protocol();
        let raw = |side: &Side| side.socket_of(self.domain(), Type::Raw, Some(protocol));
        (raw(&self.client), raw(&self.server), protocol)
    }

    /// An ICMP echo socket of the client.
    pub(crate) fn echo_client(&self) -> Sock {
        self.client.socket_of(self.domain(), Type::Dgram, Some(self.icmp()))
    }

    /// ICMP or ICMPv6.
    pub(crate) fn icmp(&self) -> u8 {
        if self.family == Family::V4 { 1 } else { 58 }
    }

    pub(crate) fn tcp_client(&self) -> Sock {
        self.client.socket(self.domain(), Type::Stream)
    }

    pub(crate) fn tcp_server(&self) -> Sock {
        self.server.socket(self.domain(), Type::Stream)
    }

    /// A TCP socket of the server that listens, and where.
    pub(crate) fn listener(&self) -> (Sock, SocketAddr) {
        let listener = self.tcp_server();
        let address = self.server_at(self.port());
        listener.bind(address).unwrap();
        listener.listen(16).unwrap();
        (listener, address)
    }

    /// The two ends of a connection: the client's, the server's.
    pub(crate) fn connected(&self) -> (Sock, Sock) {
        let (listener, address) = self.listener();
        let client = self.tcp_client();
        client.connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        server.set_write_timeout(Some(PATIENCE)).unwrap();
        (client, server)
    }

    /// A UDP socket of the server that is bound, and where.
    pub(crate) fn udp_server(&self) -> (Sock, SocketAddr) {
        let socket = self.server.socket(self.domain(), Type::Dgram);
        let address = self.server_at(self.port());
        socket.bind(address).unwrap();
        (socket, address)
    }

    pub(crate) fn udp_client(&self) -> Sock {
        self.client.socket(self.domain(), Type::Dgram)
    }
}
