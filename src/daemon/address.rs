//! Addresses that somebody has already.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use super::{Failure, refused};
use crate::config::{Config, Mac};
use crate::device::{host_addresses, host_mac};
use crate::net::Stack;
use crate::stack::Awaited;

/// How long an answer may take before a person wonders.
const PATIENCE: Duration = Duration::from_secs(8);

/// The host would answer for its own address, and nothing would reach the stack.
pub(super) fn refuse_those_of_the_host(config: &Config) -> Result<(), Failure> {
    let hosts = host_addresses().map_err(|error| refused("the list of the host's addresses", &error))?;
    check_host(config, &hosts)
}

fn check_host(config: &Config, hosts: &[(String, IpAddr)]) -> Result<(), Failure> {
    for own in config.addresses.iter().map(|cidr| cidr.address()) {
        if let Some((interface, _)) = hosts.iter().find(|&&(_, address)| address == own) {
            return Err(Failure::Mistake(format!(
                "{own} is the host's own address (on {interface}); choose another --addr"
            )));
        }
    }
    Ok(())
}

/// The host takes a frame from its own Ethernet address for one that came back, and drops it.
pub(super) fn refuse_the_mac_of_the_host(tap: &str, mac: Mac) -> Result<(), Failure> {
    let host = host_mac(tap).map_err(|error| refused("the host's Ethernet address", &error))?;
    if host != Some(mac.0) {
        return Ok(());
    }
    Err(Failure::Mistake(format!("{mac} is the Ethernet address of the host's side of {tap}; choose another --mac")))
}

/// Two stations with one address would take each other's packets. The link-local address, which nobody chose, is
/// just not used then.
pub(super) fn refuse_those_of_neighbours(
    config: &Config,
    tap: &str,
    duplicates: &[(IpAddr, Mac)],
) -> Result<(), Failure> {
    let chosen = |address: IpAddr| config.addresses.iter().any(|cidr| cidr.address() == address);
    match duplicates.iter().find(|&&(address, _)| chosen(address)) {
        None => Ok(()),
        Some((address, owner)) => Err(Failure::Mistake(format!(
            "{address} is taken: the station {owner} on {tap} answers for it; choose another --addr"
        ))),
    }
}

/// Says, after a while and once more after a minute, what a daemon that is not ready is waiting for.
pub(super) async fn hint(stack: &Stack, tap: &str) -> Infallible {
    for patience in [PATIENCE, PATIENCE * 7] {
        tokio::time::sleep(patience).await;
        for line in missing(stack.awaited(), tap) {
            log::warn!("{line}");
        }
    }
    std::future::pending().await
}

fn missing(awaited: Awaited, tap: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if awaited.dhcp {
        lines.push(format!(
            "no DHCP server on {tap} has given an address yet; we ask on. Is one running on the host's side, and is {tap} up?"
        ));
    }
    if awaited.slaac {
        lines.push(format!(
            "no router on {tap} has advertised a prefix yet; we listen on. Is one running on the host's side, and is {tap} up?"
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_of_the_host_is_refused_with_its_interface() {
        let hosts = |text: &str| [("lo".to_owned(), address("127.0.0.1")), ("tap0".to_owned(), address(text))];
        assert_eq!(check_host(&Config::default(), &hosts("192.168.69.100")), Ok(()));
        let refused = check_host(&Config::default(), &hosts("192.168.69.1")).unwrap_err();
        let sentence = "192.168.69.1 is the host's own address (on tap0); choose another --addr";
        assert_eq!(refused, Failure::Mistake(sentence.into()));
        assert!(check_host(&Config::default(), &hosts("fd69::1")).is_err());
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_look_for() {
        assert_eq!(missing(Awaited::default(), "tap0"), Vec::<String>::new());
        let lines = missing(Awaited { dhcp: true, slaac: true }, "tap7");
        assert!(lines[0].contains("DHCP server on tap7") && lines[1].contains("router on tap7"), "{lines:?}");
    }

    #[test]
    fn an_address_of_a_neighbour_is_refused_unless_nobody_chose_it() {
        let owner = Mac([2, 0, 0, 0, 0, 9]);
        let check = |text: &str| refuse_those_of_neighbours(&Config::default(), "tap0", &[(address(text), owner)]);
        assert_eq!(check("fe80::5eff:fe10:1"), Ok(()));
        let refused = check("fd69::1").unwrap_err().to_string();
        assert_eq!(
            refused,
            "fd69::1 is taken: the station 02:00:00:00:00:09 on tap0 answers for it; choose another --addr"
        );
    }
}
