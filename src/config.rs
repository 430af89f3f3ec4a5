//! Resolved settings and limits.
//!
//! What a person may choose, parsed and validated, with no trace of the command line it came from. `cli`
//! and `net::Builder` both end in a [`Config`]; everything below them starts from one.

mod limits;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use limits::{Chosen, Limit, Limits, Size};

/// An address with the length of its network prefix, as in `192.168.69.1/24`.
///
/// ```
/// use tapsock::config::Cidr;
/// let cidr: Cidr = "192.168.69.1/24".parse()?;
/// assert!(cidr.contains("192.168.69.100".parse()?));
/// assert!("192.168.69.1".parse::<Cidr>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// An address and its prefix length in bits; `None` if the prefix is longer than the address.
    pub const fn new(address: IpAddr, prefix: u8) -> Option<Cidr> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix <= bits { Some(Cidr { address, prefix }) } else { None }
    }

    /// An address that is a network by itself.
    pub const fn host(address: IpAddr) -> Cidr {
        Cidr { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// The address itself.
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// The prefix length in bits: at most 32 for IPv4, 128 for IPv6.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `address` is of this network.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (net.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (net.to_bits() ^ address.to_bits()) & mask == 0
            }
            _ => false,
        }
    }

    /// The address whose host part is zero, which no host has (RFC 1122 §3.2.1.3), or any router (RFC 4291 §2.6.1);
    /// `None` for prefixes that leave no room for one.
    pub fn network(self) -> Option<IpAddr> {
        match self.address {
            IpAddr::V4(address) if (1..31).contains(&self.prefix) => {
                Some(Ipv4Addr::from_bits(address.to_bits() & u32::MAX << (32 - self.prefix)).into())
            }
            IpAddr::V6(address) if (1..127).contains(&self.prefix) => {
                Some(Ipv6Addr::from_bits(address.to_bits() & u128::MAX << (128 - self.prefix)).into())
            }
            _ => None,
        }
    }

    /// The directed broadcast address of an IPv4 network (RFC 919); `None` for IPv6 and for /31 and /32.
    pub fn broadcast(self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(address) if self.prefix < 31 => {
                let host = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
                Some(Ipv4Addr::from_bits(address.to_bits() | host))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Cidr, Invalid> {
        let malformed = || {
            Invalid(format!("'{text}' is not an address with a prefix; write it like 192.168.69.1/24 or fd69::1/64"))
        };
        let (address, prefix) = text.split_once('/').ok_or_else(malformed)?;
        let address: IpAddr = address.parse().map_err(|_| malformed())?;
        // Also parsed would be '+8'.
        let digits = Some(prefix).filter(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()));
        let prefix: u8 = digits.and_then(|prefix| prefix.parse().ok()).ok_or_else(malformed)?;
        let cidr = Cidr::new(address, prefix).ok_or_else(malformed)?;
        if cidr.network() == Some(address) && !address.is_unspecified() {
            return Err(Invalid(format!("{text} is a network and not a host of it; write it like 192.168.69.1/24")));
        }
        let broadcast = cidr.broadcast().map(IpAddr::V4);
        let is_reserved = match address {
            // RFC 1122 §3.2.1.3: this network, and what was class E.
            IpAddr::V4(address) => matches!(address.octets()[0], 0 | 240..),
            IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
        };
        if is_reserved
            || address.is_unspecified()
            || address.is_multicast()
            || address.is_loopback()
            || Some(address) == broadcast
        {
            return Err(Invalid(format!(
                "{address} cannot be the address of a host; take a unicast address of your TAP's network"
            )));
        }
        Ok(cidr)
    }
}

/// An Ethernet address.
///
/// ```
/// use tapsock::config::Mac;
/// let mac: Mac = "02:00:5e:10:00:01".parse()?;
/// assert_eq!(mac.to_string(), "02:00:5e:10:00:01");
/// # Ok::<(), tapsock::config::Invalid>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All ones: every station of the link.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Whether the group bit is set: broadcast and multicast.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// The link-local IPv6 address that RFC 4291 appendix A derives from it.
    pub const fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from_octets([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Mac, Invalid> {
        let malformed = || Invalid(format!("'{text}' is not an Ethernet address; write it like 02:00:5e:10:00:01"));
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(malformed)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| malformed())?;
        }
        if parts.next().is_some() {
            return Err(malformed());
        }
        if Mac(octets).is_group() || octets == [0; 6] {
            let what = if Mac(octets).is_group() { "a group address" } else { "nobody's address" };
            return Err(Invalid(format!(
                "{text} is {what}; take one whose first octet is even, such as 02:00:5e:10:00:01"
            )));
        }
        Ok(Mac(octets))
    }
}

/// A setting that cannot be, as one sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// How two sockets of one stack reach each other: at a loopback address, or at an address of the stack itself. Neither
/// way ever reaches the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Loopback {
    /// Both programs' pipes are joined end to end, and no packet exists. What cannot be joined goes by `Wire`.
    #[default]
    Fast,
    /// Every packet is built, checksummed, traced, parsed and verified: the honest long way, for seeing and for tests.
    Wire,
}

impl fmt::Display for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Loopback::Fast => "fast",
            Loopback::Wire => "wire",
        })
    }
}

impl FromStr for Loopback {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Loopback, Invalid> {
        match text {
            "fast" => Ok(Loopback::Fast),
            "wire" => Ok(Loopback::Wire),
            text => Err(Invalid(format!("'{text}' is no loopback; there are fast and wire"))),
        }
    }
}

/// What one stack is made from.
///
/// ```
/// use tapsock::config::Config;
/// let config = Config::default();
/// assert_eq!(config.addresses[0].to_string(), "192.168.69.1/24");
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The stack's own addresses. Where there is an IPv6 one, the stack adds its link-local address.
    pub addresses: Vec<Cidr>,
    /// Ask a DHCP server for an IPv4 address and a gateway (RFC 2131).
    pub dhcp: bool,
    /// Make IPv6 addresses from what routers advertise, and use those routers (RFC 4862).
    pub slaac: bool,
    /// Where packets for other networks go; at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// The stack's own Ethernet address.
    pub mac: Mac,
    /// How long each address is probed before it is used (RFC 4862 §5.4, RFC 5227 §2.1.1); zero: at once.
    pub probe: Duration,
    /// Ports for sockets that did not choose one (RFC 6056).
    pub ephemeral_ports: RangeInclusive<u16>,
    /// How the stack's sockets reach each other.
    pub loopback: Loopback,
    /// The bounds.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        const V4: Cidr = Cidr { address: IpAddr::V4(Ipv4Addr::new(192, 168, 69, 1)), prefix: 24 };
        const V6: Cidr = Cidr { address: IpAddr::V6(Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 1)), prefix: 64 };
        Config {
            addresses: vec![V4, V6],
            dhcp: false,
            slaac: false,
            gateways: Vec::new(),
            mac: Mac([0x02, 0x00, 0x5e, 0x10, 0x00, 0x01]),
            probe: Duration::from_secs(1),
            ephemeral_ports: 32_768..=60_999,
            loopback: Loopback::default(),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Checks what each setting alone cannot know.
    ///
    /// # Errors
    ///
    /// A sentence for the person who chose them: no address, an address twice, a gateway that no address's
    /// network contains, an empty port range or a buffer outside its bounds.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.addresses.is_empty() && !self.dhcp && !self.slaac {
            return Err(Invalid("a stack needs an address; give --addr 192.168.69.1/24, or --addr dhcp".into()));
        }
        self.validate_values()
    }

    /// [`validate`](Config::validate), for a stack without a link: it needs no address beside those of the loopback, and
    /// there is nobody to ask for one.
    ///
    /// # Errors
    ///
    /// A sentence for the person who chose them.
    pub fn validate_without_link(&self) -> Result<(), Invalid> {
        if self.dhcp || self.slaac {
            return Err(Invalid(
                "a stack without a link has nobody to ask for an address; choose the addresses".into(),
            ));
        }
        self.validate_values()
    }

    fn validate_values(&self) -> Result<(), Invalid> {
        let refuse = |text: String| Err(Invalid(text));
        if self.addresses.len() > 8 {
            return refuse("a stack has at most 8 addresses; leave some --addr out".into());
        }
        for (i, cidr) in self.addresses.iter().enumerate() {
            if self.addresses[..i].iter().any(|other| other.address == cidr.address) {
                return refuse(format!("{} is given twice; leave one out", cidr.address));
            }
        }
        for (i, &gateway) in self.gateways.iter().enumerate() {
            if self.gateways[..i].iter().any(|other| other.is_ipv4() == gateway.is_ipv4()) {
                return refuse(format!("{gateway} is a second gateway of its family; leave one out"));
            }
            let link_local = matches!(gateway, IpAddr::V6(address) if address.is_unicast_link_local());
            // Whether it is on the link, only a DHCP server or a router will tell.
            let is_learned = if gateway.is_ipv4() { self.dhcp } else { self.slaac };
            if !link_local && !is_learned && !self.addresses.iter().any(|cidr| cidr.contains(gateway)) {
                return refuse(format!(
                    "the gateway {gateway} is not in the network of any --addr; give an address beside it"
                ));
            }
            let is_nobody =
                |cidr: &Cidr| cidr.network() == Some(gateway) || cidr.broadcast().map(IpAddr::V4) == Some(gateway);
            if self.addresses.iter().any(is_nobody) {
                return refuse(format!(
                    "{gateway} is no host of that network; the gateway is another machine, for instance the host side of the TAP"
                ));
            }
            if self.addresses.iter().any(|cidr| cidr.address == gateway) {
                return refuse(format!(
                    "{gateway} is the stack's own address; the gateway is another machine, for instance the host side of the TAP"
                ));
            }
        }
        if self.ephemeral_ports.is_empty() || *self.ephemeral_ports.start() == 0 {
            return refuse("the range of ephemeral ports is empty or contains port 0".into());
        }
        self.limits.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_names_the_hosts_of_its_network() {
        let cidr: Cidr = "10.1.2.3/8".parse().unwrap();
        assert!(cidr.contains("10.255.0.1".parse().unwrap()));
        assert!(!cidr.contains("11.0.0.1".parse().unwrap()));
        assert!(!cidr.contains("fd69::1".parse().unwrap()));
        assert_eq!(cidr.broadcast(), Some(Ipv4Addr::new(10, 255, 255, 255)));
        let all: Cidr = "10.1.2.3/0".parse().unwrap();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
    }

    #[test]
    fn malformed_addresses_are_refused_with_a_sentence() {
        for text in [
            "",
            "1.2.3.4",
            "1.2.3.4/33",
            "fd69::1/129",
            "1.2.3/24",
            "0.0.0.0/0",
            "224.0.0.1/24",
            "192.168.69.255/24",
            "127.0.0.1/8",
            "192.168.69.0/24",
            "fd69::/64",
            "10.0.0.1/+8",
            "0.0.0.5/8",
            "240.0.0.1/8",
            "255.255.255.255/32",
            "::ffff:10.0.0.1/96",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        for text in ["10.0.0.0/31", "10.0.0.0/32", "10.0.0.1/0", "fd69::/127", "fd69::/128", "fe80::7/64"] {
            assert!(text.parse::<Cidr>().is_ok(), "{text}");
        }
        for text in
            ["", "02:00:5e:10:00", "02:00:5e:10:00:01:02", "03:00:5e:10:00:01", "00:00:00:00:00:00", "2:0:5e:10:0:1"]
        {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_gateway_must_be_on_the_link_and_not_be_us() {
        let with = |gateway: &str| Config { gateways: vec![gateway.parse().unwrap()], ..Config::default() }.validate();
        assert!(with("192.168.69.100").is_ok());
        assert!(with("fe80::1").is_ok());
        assert!(with("10.0.0.1").is_err());
        assert!(with("192.168.69.1").is_err());
        assert!(with("192.168.69.255").is_err() && with("192.168.69.0").is_err() && with("fd69::").is_err());
    }

    /// FACTS §1, panic 1: from 65 536 bytes on, smoltcp forgets to shift the window of a SYN.
    #[test]
    fn a_receive_buffer_that_smoltcp_cannot_handle_is_refused() {
        let with = |receive_buffer| {
            let limits = Limits { receive_buffer, ..Limits::default() };
            Config { limits, ..Config::default() }.validate()
        };
        assert!(with(65_535).is_ok());
        assert!(with(65_536).is_err());
        assert!(with(0).is_err());
    }

    #[test]
    fn a_link_local_address_comes_from_the_mac() {
        assert_eq!(Mac([0x02, 0, 0x5e, 0x10, 0, 1]).link_local().to_string(), "fe80::5eff:fe10:1");
    }
}
