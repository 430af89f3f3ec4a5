//! Addresses of every domain, and IPv4 addresses as an IPv6 socket shows them: `::ffff:192.0.2.1` (RFC 3493 §3.7,
//! RFC 4291 §2.5.5.2).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::kind::Domain;
use super::unix::UnixAddress;
use crate::error::{Error, Result};
use crate::transport::Place;

/// Where a socket is: of any domain.
///
/// ```
/// use std::net::SocketAddr;
/// use tapsock::net::SockAddr;
/// let inet: SocketAddr = "192.0.2.1:80".parse()?;
/// assert_eq!(SockAddr::from(inet).as_socket(), Some(inet));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// AF_INET, AF_INET6: address and port.
    Inet(SocketAddr),
    /// AF_UNIX: a name.
    Unix(UnixAddress),
}

impl Address {
    /// Address and port; `None` if it is a name.
    pub fn as_socket(&self) -> Option<SocketAddr> {
        match self {
            Address::Inet(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// The name as std has it; `None` if it is address and port.
    pub fn as_unix(&self) -> Option<std::os::unix::net::SocketAddr> {
        match self {
            Address::Inet(_) => None,
            Address::Unix(name) => name.to_std(),
        }
    }

    pub(super) fn into_inet(self) -> Result<SocketAddr> {
        self.as_socket().ok_or(Error::FamilyNotSupported)
    }

    pub(super) fn into_unix(self) -> Result<UnixAddress> {
        match self {
            Address::Inet(_) => Err(Error::InvalidInput),
            Address::Unix(name) => Ok(name),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Inet(address)
    }
}

impl From<UnixAddress> for Address {
    fn from(name: UnixAddress) -> Address {
        Address::Unix(name)
    }
}

impl From<std::os::unix::net::SocketAddr> for Address {
    fn from(name: std::os::unix::net::SocketAddr) -> Address {
        Address::Unix(name.into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => address.fmt(f),
            Address::Unix(name) => name.fmt(f),
        }
    }
}

/// `address` as programs see it that have a socket of `domain`.
pub(super) fn shown(domain: Domain, address: SocketAddr) -> SocketAddr {
    match (domain, address.ip()) {
        (Domain::Inet6, IpAddr::V4(v4)) => SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), address.port()),
        _ => address,
    }
}

/// The same for an address without a port.
pub(super) fn shown_ip(domain: Domain, address: IpAddr) -> IpAddr {
    shown(domain, SocketAddr::new(address, 0)).ip()
}

/// What a program with a socket of `domain` means by `address`.
///
/// # Errors
///
/// [`Error::FamilyNotSupported`] for an address of the other family; [`Error::NetworkUnreachable`] for IPv4 through a
/// socket that has IPV6_V6ONLY.
pub(super) fn meant(domain: Domain, v6_only: bool, address: SocketAddr) -> Result<SocketAddr> {
    match (domain, address.ip()) {
        (Domain::Inet, IpAddr::V4(_)) => Ok(address),
        (Domain::Inet6, IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(_) if v6_only => Err(Error::NetworkUnreachable),
            Some(v4) => Ok(SocketAddr::new(IpAddr::V4(v4), address.port())),
            None => Ok(address),
        },
        _ => Err(Error::FamilyNotSupported),
    }
}

/// The same for an address to bind to.
///
/// # Errors
///
/// [`Error::FamilyNotSupported`]; [`Error::InvalidInput`] for IPv4 with IPV6_V6ONLY.
pub(super) fn place(domain: Domain, v6_only: bool, address: SocketAddr) -> Result<Place> {
    let local = meant(domain, v6_only, address).map_err(|error| match error {
        Error::NetworkUnreachable => Error::InvalidInput,
        error => error,
    })?;
    Ok(Place { local, is_dual: domain == Domain::Inet6 && !v6_only && address.ip() == Ipv6Addr::UNSPECIFIED })
}

/// Every address of the domain, any port. (A Unix socket has none, and nobody asks.)
pub(super) fn wildcard(domain: Domain) -> SocketAddr {
    match domain {
        Domain::Inet => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        Domain::Inet6 | Domain::Unix => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}
