//! Addresses that mean this host, and what becomes of sockets when an address of ours is taken away.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Transport;
use crate::error::{Error, Result};
use crate::ip::Hop;
use crate::observe::Close;

/// Whom a program means by the unspecified address: the host itself, as on Linux, at the address that the socket is
/// bound to if that is an IPv4 one, or else at the loopback address.
pub(super) fn this_host(remote: SocketAddr, bound: Option<IpAddr>) -> SocketAddr {
    if !remote.ip().is_unspecified() {
        return remote;
    }
    let address = match remote {
        SocketAddr::V4(_) => bound.filter(IpAddr::is_ipv4).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(address, remote.port())
}

/// A loopback address is nobody to another host: it must not be seen on a link (RFC 1122 §3.2.1.3 (g),
/// RFC 4291 §2.5.3).
///
/// # Errors
///
/// [`Error::InvalidInput`], as on Linux for IPv4; for IPv6 Linux sends such packets, which nobody can answer.
pub(super) fn leave_host(source: IpAddr, hop: Hop) -> Result<()> {
    if source.is_loopback() && !hop.is_local { Err(Error::InvalidInput) } else { Ok(()) }
}

impl Transport {
    /// `address` is not ours any more. Connections from it end without a word to their peers, because nothing may be
    /// sent from it; handshakes and what is left of old connections are forgotten. Listeners and UDP sockets stay: on the wildcard they go on with the
    /// other addresses, and on this very address they wait for it to come back.
    ///
    /// Looks at every connection: an address goes once in a lease, and each connection on it has to be ended anyway.
    pub fn address_gone(&mut self, address: IpAddr) {
        let concerned: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.local().ip() == address)
            .map(|(slot, _)| slot)
            .collect();
        for slot in concerned {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.ended.get_or_insert(Close::AddressGone);
            }
            self.mark(slot);
        }
        let under_way: Vec<usize> = self
            .handshakes
            .iter()
            .filter(|(_, handshake)| handshake.agreed.local.ip() == address)
            .map(|(slot, _)| slot)
            .collect();
        for slot in under_way {
            self.forget_handshake(slot);
        }
        let remnants: Vec<usize> =
            self.remnants.iter().filter(|(_, remnant)| remnant.local.ip() == address).map(|(slot, _)| slot).collect();
        for slot in remnants {
            self.forget_remnant(slot);
        }
    }
}
