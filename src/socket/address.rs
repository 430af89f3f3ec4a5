//! IPv4 addresses as an IPv6 socket shows them: `::ffff:192.0.2.1` (RFC 3493 §3.7, RFC 4291 §2.5.5.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::kind::Domain;
use crate::error::{Error, Result};
use crate::transport::Place;

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

/// Every address of the domain, any port.
pub(super) fn wildcard(domain: Domain) -> SocketAddr {
    match domain {
        Domain::Inet => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        Domain::Inet6 => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}
