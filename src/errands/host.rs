//! Which address of a host it is (the first of a family that the stack has an address of its own for), and why it cannot be
//! reached at all.

use std::io;
use std::net::IpAddr;

use super::{ADDRESSES, Outcome};
use crate::config::Config;

/// The longest name that DNS has.
const LONGEST: usize = 255;

/// Checks the addresses of a host, and what a person calls it.
pub(super) fn validate(host: &str, addresses: &[IpAddr]) -> Result<(), String> {
    if addresses.len() > ADDRESSES {
        return Err(format!("a host has at most {ADDRESSES} addresses here"));
    }
    if host.len() > LONGEST || host.chars().any(char::is_control) {
        return Err(format!("the name of a host has at most {LONGEST} bytes, and no control characters"));
    }
    Ok(())
}

/// The one of `addresses` that it is, for a stack with these settings.
pub(super) fn choose(addresses: &[IpAddr], config: &Config) -> Result<IpAddr, Outcome> {
    let own = |is_v4: bool| config.addresses.iter().any(|cidr| cidr.address().is_ipv4() == is_v4);
    let (has_v4, has_v6) = (config.dhcp || own(true), config.slaac || own(false));
    let fits = |address: &&IpAddr| if address.is_ipv4() { has_v4 } else { has_v6 };
    match (addresses.iter().find(fits), addresses.first()) {
        (Some(address), _) => Ok(*address),
        (None, Some(other)) => Err(Outcome::mistake(format!(
            "{other} is of a family that the stack has no address of; it needs another --addr"
        ))),
        (None, None) => Err(Outcome::mistake("there is no address to go to")),
    }
}

/// What a person calls it, or else the address.
pub(super) fn shown(host: &str, address: IpAddr) -> String {
    if host.is_empty() { address.to_string() } else { host.to_owned() }
}

/// Why nothing can be sent to a host, if that is the same for whatever is sent.
pub(super) fn refused(peer: IpAddr, error: &io::Error) -> Option<String> {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => {
            Some(format!("no route leads to {peer}; the stack needs a --gateway, or another --addr"))
        }
        io::ErrorKind::PermissionDenied => Some(format!("{peer} is a broadcast address, and not one host")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_of_a_family_that_the_stack_speaks_is_taken() {
        let all: Vec<IpAddr> = ["fd00::1", "10.0.0.1", "10.0.0.9"].map(|text| text.parse().unwrap()).into();
        let four = Config { addresses: vec!["10.0.0.2/8".parse().unwrap()], ..Config::default() };
        assert_eq!(choose(&all, &four), Ok(all[1]));
        assert_eq!(choose(&all, &Config::default()), Ok(all[0]));
        let Err(Outcome::Mistake { error }) = choose(&all[..1], &four) else { panic!() };
        assert!(error.contains("fd00::1") && error.contains("--addr"), "{error}");
        let slaac = Config { addresses: Vec::new(), slaac: true, ..Config::default() };
        assert_eq!(choose(&all, &slaac), Ok(all[0]));
        assert!(choose(&[], &slaac).is_err());
    }
}
