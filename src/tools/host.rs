//! Whom a person means: an address, or a name that the host's own resolver knows.

use std::net::{IpAddr, ToSocketAddrs};

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
    fn fits(self, address: IpAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

/// So many addresses of one host are tried.
const MOST: usize = 16;

/// The addresses of `host` that are wanted. The stack takes the first that it has an address of its own for.
///
/// # Errors
///
/// [`Failure::Mistake`] if it has none.
pub fn resolve(host: &str, family: Family) -> Result<Vec<IpAddr>, Failure> {
    let mut found: Vec<IpAddr> = match host.parse() {
        Ok(address) => vec![address],
        // The port is of no interest; a name needs one to be asked for.
        Err(_) => match (host, 0).to_socket_addrs() {
            Ok(addresses) => addresses.map(|address| address.ip()).collect(),
            Err(error) => {
                return Err(Failure::Mistake(format!(
                    "'{host}' is no address, and the host knows no such name: {error}"
                )));
            }
        },
    };
    found.retain(|address| family.fits(*address));
    // The same for each kind of socket.
    found.dedup();
    found.truncate(MOST);
    if found.is_empty() {
        return Err(Failure::Mistake(format!("{host} has no address of the family that was asked for")));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_stands_for_itself_if_its_family_is_wanted() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(resolve("10.0.0.1", Family::Any), Ok(vec![address("10.0.0.1")]));
        assert_eq!(resolve("10.0.0.1", Family::V4), Ok(vec![address("10.0.0.1")]));
        assert!(matches!(resolve("10.0.0.1", Family::V6), Err(Failure::Mistake(_))));
        assert_eq!(resolve("fd00::1", Family::V6), Ok(vec![address("fd00::1")]));
    }
}
