use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// The addresses of the host's own interfaces, each with the interface's name.
///
/// The stack must not take one of them: the host would answer for it, and nothing would reach the stack.
///
/// ```no_run
/// for (interface, address) in tapsock::device::host_addresses()? {
///     eprintln!("{interface} has {address}");
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// What `getifaddrs(3)` says.
pub fn host_addresses() -> io::Result<Vec<(String, IpAddr)>> {
    let addresses = getifaddrs().map_err(io::Error::from)?;
    Ok(addresses
        .filter_map(|entry| {
            let address = entry.address?;
            let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
            let v6 = || address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip()));
            Some((entry.interface_name, v4.or_else(v6)?))
        })
        .collect())
}

/// The Ethernet address of one of the host's interfaces; `None` if there is none of this name.
///
/// # Errors
///
/// What `getifaddrs(3)` says.
pub fn host_mac(interface: &str) -> io::Result<Option<[u8; 6]>> {
    let mut entries = getifaddrs().map_err(io::Error::from)?.filter(|entry| entry.interface_name == interface);
    Ok(entries.find_map(|entry| entry.address?.as_link_addr()?.addr()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_address_has_an_interface_name() {
        for (name, address) in host_addresses().unwrap() {
            assert!(!name.is_empty());
            assert!(!address.is_multicast(), "{address}");
        }
    }
}
