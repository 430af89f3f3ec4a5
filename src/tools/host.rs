//! Whom a person means: an address, or a name that the host's own resolver knows.

use std::net::{IpAddr, ToSocketAddrs};

use crate::config::Config;
use crate::daemon::Failure;

/// Which addresses of a host are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// Those that the stack has an address of its own for.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn fits(self, address: IpAddr, config: &Config) -> bool {
        let has = |is_v4| match is_v4 {
            true => config.dhcp || config.addresses.iter().any(|cidr| cidr.address().is_ipv4()),
            false => config.slaac || config.addresses.iter().any(|cidr| cidr.address().is_ipv6()),
        };
        match self {
            Family::Any => has(address.is_ipv4()),
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// The first address of `host` that fits.
///
/// # Errors
///
/// [`Failure::Mistake`] if it has none.
pub(super) fn resolve(host: &str, family: Family, config: &Config) -> Result<IpAddr, Failure> {
    let mistake = |sentence: String| Err(Failure::Mistake(sentence));
    let found: Vec<IpAddr> = match host.parse() {
        Ok(address) => vec![address],
        // The port is of no interest; a name needs one to be asked for.
        Err(_) => match (host, 0).to_socket_addrs() {
            Ok(addresses) => addresses.map(|address| address.ip()).collect(),
            Err(error) => return mistake(format!("'{host}' is no address, and the host knows no such name: {error}")),
        },
    };
    match found.iter().find(|address| family.fits(**address, config)) {
        Some(address) => Ok(*address),
        None if family == Family::Any => {
            mistake(format!("{host} has no address of a family that the stack has one of; give another --addr"))
        }
        None => mistake(format!("{host} has no address of the family that was asked for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_itself_if_the_stack_speaks_its_family() {
        let four = Config { addresses: vec!["10.0.0.2/8".parse().unwrap()], ..Config::default() };
        assert_eq!(resolve("10.0.0.1", Family::Any, &four), Ok("10.0.0.1".parse().unwrap()));
        assert!(matches!(resolve("fd00::1", Family::Any, &four), Err(Failure::Mistake(_))));
        assert!(matches!(resolve("10.0.0.1", Family::V6, &Config::default()), Err(Failure::Mistake(_))));
        assert_eq!(resolve("fd00::1", Family::V6, &four), Ok("fd00::1".parse().unwrap()));
        let slaac = Config { addresses: Vec::new(), slaac: true, ..Config::default() };
        assert_eq!(resolve("fd00::1", Family::Any, &slaac), Ok("fd00::1".parse().unwrap()));
    }
}
