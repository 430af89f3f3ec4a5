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
    bound: HashMap<(Protocol, u16), Vec<Binding<T>>, Key>,
    ephemeral: RangeInclusive<u16>,
    key: Key,
    /// The counter of RFC 6056 algorithm 3.
    next: u16,
}

/// A socket at a port.
#[derive(Debug, Clone, Copy)]
struct Binding<T> {
    address: IpAddr,
    socket: T,
    /// It lets others have the same address, if they do so too (SO_REUSEADDR of a UDP socket).
    shares: bool,
}

impl<T> Binding<T> {
    /// Whether a packet to `address` is for it.
    fn hears(&self, address: IpAddr) -> bool {
        self.address == address || (self.address.is_unspecified() && self.address.is_ipv4() == address.is_ipv4())
    }
}

impl<T: Copy + PartialEq> Ports<T> {
    pub(super) fn new(ephemeral: RangeInclusive<u16>, key: Key) -> Ports<T> {
        Ports { bound: HashMap::with_hasher(key), ephemeral, key, next: 0 }
    }

    /// Whether `local` collides with a bound address: the same one, or a wildcard of its family on either side.
    pub(super) fn is_taken(&self, protocol: Protocol, local: SocketAddr) -> bool {
        self.colliding(protocol, local).next().is_some()
    }

    fn colliding(&self, protocol: Protocol, local: SocketAddr) -> impl Iterator<Item = &Binding<T>> {
        self.bound.get(&(protocol, local.port())).into_iter().flatten().filter(move |bound| {
            bound.hears(local.ip()) || (local.ip().is_unspecified() && bound.address.is_ipv4() == local.is_ipv4())
        })
    }

    /// Binds `socket` to `local`.
    pub(super) fn bind(&mut self, protocol: Protocol, local: SocketAddr, socket: T) -> Result<()> {
        self.bind_shared(protocol, local, socket, false)
    }

    /// Binds `socket` to `local`, which others may have that share it too, if this one does.
    pub(super) fn bind_shared(&mut self, protocol: Protocol, local: SocketAddr, socket: T, shares: bool) -> Result<()> {
        if self.colliding(protocol, local).any(|bound| !(shares && bound.shares)) {
            return Err(Error::AddressInUse);
        }
        self.bound.entry((protocol, local.port())).or_default().push(Binding { address: local.ip(), socket, shares });
        Ok(())
    }

    /// Gives back what [`Ports::bind`] took.
    pub(super) fn release(&mut self, protocol: Protocol, local: SocketAddr, socket: T) {
        if let Some(sockets) = self.bound.get_mut(&(protocol, local.port())) {
            sockets.retain(|bound| (bound.address, bound.socket) != (local.ip(), socket));
            if sockets.is_empty() {
                self.bound.remove(&(protocol, local.port()));
            }
        }
    }

    /// The socket bound to `local`: to this very address, or else to its family's wildcard.
    pub(super) fn owner(&self, protocol: Protocol, local: SocketAddr) -> Option<T> {
        let sockets = self.bound.get(&(protocol, local.port()))?;
        let exact = sockets.iter().find(|bound| bound.address == local.ip());
        exact.or_else(|| sockets.iter().find(|bound| bound.hears(local.ip()))).map(|bound| bound.socket)
    }

    /// All sockets that hear what is sent to `local`, with whether they are bound to this very address; the last one
    /// bound comes first.
    pub(super) fn hearers(&self, protocol: Protocol, local: SocketAddr) -> impl Iterator<Item = (T, bool)> {
        let sockets = self.bound.get(&(protocol, local.port())).map_or(&[][..], Vec::as_slice);
        let address = local.ip();
        sockets
            .iter()
            .rev()
            .filter(move |bound| bound.hears(address))
            .map(move |bound| (bound.socket, bound.address == address))
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

    /// How many ports are taken.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.bound.len()
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
    fn a_port_is_shared_by_those_who_all_agree() {
        let mut ports = ports();
        let all = at("0.0.0.0:5353");
        ports.bind_shared(Protocol::Udp, all, 1, true).unwrap();
        assert_eq!(ports.bind(Protocol::Udp, all, 2), Err(Error::AddressInUse));
        ports.bind_shared(Protocol::Udp, at("224.0.0.251:5353"), 3, true).unwrap();
        ports.bind_shared(Protocol::Udp, all, 4, true).unwrap();
        let hearers = |to: &str| ports.hearers(Protocol::Udp, at(to)).collect::<Vec<_>>();
        assert_eq!(hearers("224.0.0.251:5353"), [(4, false), (3, true), (1, false)]);
        assert_eq!(hearers("192.0.2.1:5353"), [(4, false), (1, false)]);
        assert_eq!(hearers("[ff02::fb]:5353"), []);
        ports.release(Protocol::Udp, all, 4);
        ports.release(Protocol::Udp, all, 1);
        ports.release(Protocol::Udp, at("224.0.0.251:5353"), 3);
        assert_eq!(ports.bind(Protocol::Udp, all, 5), Ok(()));
        assert_eq!(ports.bind_shared(Protocol::Udp, all, 6, true), Err(Error::AddressInUse));
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
