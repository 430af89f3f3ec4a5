//! Who is bound to which port, and which port a socket gets that did not choose one.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use rand::Rng;

use super::keys::Key;
use crate::error::{Error, Result};
use crate::observe::Protocol;

/// Bound addresses, by protocol and port. `T` names the socket.
#[derive(Debug)]
pub(super) struct Ports<T> {
    bound: HashMap<(Protocol, u16), Vec<(IpAddr, T)>, Key>,
    ephemeral: RangeInclusive<u16>,
    key: Key,
    /// The counter of RFC 6056 algorithm 3.
    next: u16,
}

impl<T: Copy + PartialEq> Ports<T> {
    pub(super) fn new(ephemeral: RangeInclusive<u16>, key: Key) -> Ports<T> {
        Ports { bound: HashMap::with_hasher(key), ephemeral, key, next: 0 }
    }

    /// Whether `local` collides with a bound address: the same one, or a wildcard of its family on either side.
    pub(super) fn is_taken(&self, protocol: Protocol, local: SocketAddr) -> bool {
        self.bound.get(&(protocol, local.port())).is_some_and(|sockets| {
            sockets.iter().any(|&(address, _)| {
                address.is_ipv4() == local.is_ipv4()
                    && (address == local.ip() || address.is_unspecified() || local.ip().is_unspecified())
            })
        })
    }

    /// Binds `socket` to `local`.
    pub(super) fn bind(&mut self, protocol: Protocol, local: SocketAddr, socket: T) -> Result<()> {
        if self.is_taken(protocol, local) {
            return Err(Error::AddressInUse);
        }
        self.bound.entry((protocol, local.port())).or_default().push((local.ip(), socket));
        Ok(())
    }

    /// Gives back what [`Ports::bind`] took.
    pub(super) fn release(&mut self, protocol: Protocol, local: SocketAddr, socket: T) {
        if let Some(sockets) = self.bound.get_mut(&(protocol, local.port())) {
            sockets.retain(|&(address, other)| (address, other) != (local.ip(), socket));
            if sockets.is_empty() {
                self.bound.remove(&(protocol, local.port()));
            }
        }
    }

    /// The socket bound to `local`: to this very address, or else to its family's wildcard.
    pub(super) fn owner(&self, protocol: Protocol, local: SocketAddr) -> Option<T> {
        let sockets = self.bound.get(&(protocol, local.port()))?;
        let exact = sockets.iter().find(|(address, _)| *address == local.ip());
        let wildcard =
            || sockets.iter().find(|(address, _)| address.is_unspecified() && address.is_ipv4() == local.is_ipv4());
        exact.or_else(wildcard).map(|&(_, socket)| socket)
    }

    /// A random free port (RFC 6056 §3.3.1).
    pub(super) fn random(&self, protocol: Protocol, local: IpAddr, rng: &mut impl Rng) -> Result<u16> {
        let offset = rng.next_u32();
        self.search(offset, |port| !self.is_taken(protocol, SocketAddr::new(local, port)))
    }

    /// A port for a connection to `remote` (RFC 6056 §3.3.3, simple hash-based selection): unpredictable from
    /// outside, and not used again for the same peer before the others were. `is_free` knows the 4-tuples.
    pub(super) fn for_connection(
        &mut self,
        local: IpAddr,
        remote: SocketAddr,
        is_free: impl Fn(u16) -> bool,
    ) -> Result<u16> {
        let offset = self.key.hash(&(local, remote)) as u32;
        let port = self.search(offset.wrapping_add(u32::from(self.next)), |port| {
            is_free(port) && !self.is_taken(Protocol::Tcp, SocketAddr::new(local, port))
        })?;
        self.next = self.next.wrapping_add(1);
        Ok(port)
    }

    fn search(&self, offset: u32, is_free: impl Fn(u16) -> bool) -> Result<u16> {
        let (start, end) = (u32::from(*self.ephemeral.start()), u32::from(*self.ephemeral.end()));
        let count = end - start + 1;
        (0..count)
            .map(|step| (start + offset.wrapping_add(step) % count) as u16)
            .find(|&port| is_free(port))
            .ok_or(Error::AddressNotAvailable)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn ports() -> Ports<u32> {
        Ports::new(40_000..=40_003, Key::new(&mut StdRng::seed_from_u64(7)))
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_wildcard_takes_the_port_of_every_address_of_its_family() {
        let mut ports = ports();
        ports.bind(Protocol::Tcp, at("0.0.0.0:80"), 1).unwrap();
        assert_eq!(ports.bind(Protocol::Tcp, at("192.0.2.1:80"), 2), Err(Error::AddressInUse));
        assert_eq!(ports.bind(Protocol::Tcp, at("[::]:80"), 2), Ok(()));
        assert_eq!(ports.bind(Protocol::Udp, at("192.0.2.1:80"), 3), Ok(()));
        assert_eq!(ports.bind(Protocol::Udp, at("0.0.0.0:80"), 4), Err(Error::AddressInUse));
        assert_eq!(ports.owner(Protocol::Tcp, at("192.0.2.9:80")), Some(1));
        assert_eq!(ports.owner(Protocol::Tcp, at("[fd69::1]:80")), Some(2));
        ports.release(Protocol::Tcp, at("0.0.0.0:80"), 1);
        assert_eq!(ports.owner(Protocol::Tcp, at("192.0.2.9:80")), None);
    }

    #[test]
    fn the_owner_of_the_very_address_comes_before_the_wildcard() {
        let mut ports = ports();
        ports.bind(Protocol::Udp, at("192.0.2.1:53"), 1).unwrap();
        ports.bind(Protocol::Udp, at("192.0.2.2:53"), 2).unwrap();
        assert_eq!(ports.owner(Protocol::Udp, at("192.0.2.2:53")), Some(2));
        assert_eq!(ports.owner(Protocol::Udp, at("192.0.2.3:53")), None);
    }

    #[test]
    fn when_no_ephemeral_port_is_free_the_address_is_not_available() {
        let mut ports = ports();
        let mut rng = StdRng::seed_from_u64(9);
        let local = at("0.0.0.0:0").ip();
        for socket in 0..4 {
            let port = ports.random(Protocol::Udp, local, &mut rng).unwrap();
            assert!((40_000..=40_003).contains(&port));
            ports.bind(Protocol::Udp, SocketAddr::new(local, port), socket).unwrap();
        }
        assert_eq!(ports.random(Protocol::Udp, local, &mut rng), Err(Error::AddressNotAvailable));
    }

    #[test]
    fn connections_to_one_peer_take_turns_through_the_range() {
        let mut ports = ports();
        let mut taken = Vec::new();
        for _ in 0..4 {
            let port = ports
                .for_connection(at("192.0.2.1:0").ip(), at("192.0.2.2:80"), |port| !taken.contains(&port))
                .unwrap();
            taken.push(port);
        }
        taken.sort_unstable();
        assert_eq!(taken, [40_000, 40_001, 40_002, 40_003]);
    }
}
