//! Who is bound to which port, and which port a socket gets that did not choose one.

mod occupants;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use rand::Rng;

use super::keys::Key;
use crate::error::{Error, Result};
use crate::observe::Protocol;
use occupants::Occupants;

/// Bound addresses, by protocol and port. `T` names the socket.
#[derive(Debug)]
pub(super) struct Ports<T> {
    bound: HashMap<(Protocol, u16), Vec<Binding<T>>, Key>,
    /// TCP connections.
    occupants: Occupants,
    ephemeral: RangeInclusive<u16>,
    key: Key,
    /// The counter of RFC 6056 algorithm 3.
    next: u16,
}

/// A socket at a port.
#[derive(Debug, Clone, Copy)]
struct Binding<T> {
    place: Place,
    socket: T,
    sharing: Sharing,
    is_listening: bool,
}

/// What a socket is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Address and port; an unspecified address is every address of its family.
    pub local: SocketAddr,
    /// The unspecified address of IPv6 is every address of IPv4 as well (RFC 3493 §3.7; IPV6_V6ONLY is off).
    pub is_dual: bool,
}

impl Place {
    /// This address, and what it stands for in its own family.
    pub fn one_family(local: SocketAddr) -> Place {
        Place { local, is_dual: false }
    }

    /// Whether a packet to `address` is for it.
    fn hears(&self, address: IpAddr) -> bool {
        let own = self.local.ip();
        own == address || (own.is_unspecified() && (self.is_dual || own.is_ipv4() == address.is_ipv4()))
    }

    /// How well it fits a packet to `address` that it hears.
    fn merit(&self, address: IpAddr) -> u8 {
        match self.local.ip() {
            own if own == address => 2,
            own if own.is_ipv4() == address.is_ipv4() => 1,
            _ => 0,
        }
    }

    /// Whether there is a packet that is for both.
    fn overlaps(&self, other: &Place) -> bool {
        self.hears(other.local.ip()) || other.hears(self.local.ip())
    }
}

/// With whom a socket shares its port (`socket(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sharing {
    /// SO_REUSEADDR: with others that say so too; of TCP sockets only one listens.
    pub reuse_address: bool,
    /// SO_REUSEPORT: with others that say so too, all of which may listen.
    pub reuse_port: bool,
}

impl Sharing {
    /// Whether two sockets may overlap. A listener needs more than SO_REUSEADDR.
    fn allows(self, other: Sharing, either_listens: bool) -> bool {
        (self.reuse_address && other.reuse_address && !either_listens) || (self.reuse_port && other.reuse_port)
    }
}

impl<T: Copy + PartialEq> Ports<T> {
    pub(super) fn new(ephemeral: RangeInclusive<u16>, key: Key) -> Ports<T> {
        Ports { bound: HashMap::with_hasher(key), occupants: Occupants::new(key), ephemeral, key, next: 0 }
    }

    /// Whether `place` overlaps with a bound one.
    pub(super) fn is_taken(&self, protocol: Protocol, place: Place) -> bool {
        self.overlapping(protocol, place).next().is_some()
    }

    fn overlapping(&self, protocol: Protocol, place: Place) -> impl Iterator<Item = &Binding<T>> {
        let bound = self.bound.get(&(protocol, place.local.port()));
        bound.into_iter().flatten().filter(move |bound| bound.place.overlaps(&place))
    }

    /// Binds `socket` to `place`. Connections at that port, and what is left of them, have to agree as well.
    pub(super) fn bind(&mut self, protocol: Protocol, place: Place, socket: T, sharing: Sharing) -> Result<()> {
        let is_free = self.overlapping(protocol, place).all(|bound| sharing.allows(bound.sharing, bound.is_listening));
        if !is_free || (protocol == Protocol::Tcp && !self.occupants.allow(place, sharing)) {
            return Err(Error::AddressInUse);
        }
        let binding = Binding { place, socket, sharing, is_listening: false };
        self.bound.entry((protocol, place.local.port())).or_default().push(binding);
        Ok(())
    }

    /// A connection begins at `local`.
    pub(super) fn occupy(&mut self, local: SocketAddr, sharing: Sharing) {
        self.occupants.add(local, sharing);
    }

    /// Nothing is left of what [`Ports::occupy`] was told of.
    pub(super) fn vacate(&mut self, local: SocketAddr, sharing: Sharing) {
        self.occupants.remove(local, sharing);
    }

    /// What is bound to `place` would share it with others from here on.
    pub(super) fn set_sharing(&mut self, protocol: Protocol, place: Place, socket: T, sharing: Sharing) {
        let bound = self.bound.get_mut(&(protocol, place.local.port()));
        if let Some(own) =
            bound.and_then(|bound| bound.iter_mut().find(|own| (own.place, own.socket) == (place, socket)))
        {
            own.sharing = sharing;
        }
    }

    /// What was bound as `reserved` listens from here on, as `listener`.
    pub(super) fn listen(&mut self, protocol: Protocol, place: Place, reserved: T, listener: T) -> Result<()> {
        let Some(sockets) = self.bound.get_mut(&(protocol, place.local.port())) else {
            return Err(Error::InvalidInput);
        };
        let Some(own) = sockets.iter().position(|bound| (bound.place, bound.socket) == (place, reserved)) else {
            return Err(Error::InvalidInput);
        };
        let sharing = sockets[own].sharing;
        let others = sockets.iter().enumerate().filter(|&(i, bound)| i != own && bound.place.overlaps(&place));
        let is_alone = others.into_iter().all(|(_, bound)| !bound.is_listening || sharing.allows(bound.sharing, true));
        if !is_alone {
            return Err(Error::AddressInUse);
        }
        sockets[own].socket = listener;
        sockets[own].is_listening = true;
        Ok(())
    }

    /// Gives back what [`Ports::bind`] took.
    pub(super) fn release(&mut self, protocol: Protocol, place: Place, socket: T) {
        if let Some(sockets) = self.bound.get_mut(&(protocol, place.local.port())) {
            sockets.retain(|bound| (bound.place, bound.socket) != (place, socket));
            if sockets.is_empty() {
                self.bound.remove(&(protocol, place.local.port()));
            }
        }
    }

    /// The listener for what `remote` sends to `local`: at this very address, or else at one that stands for it. Of
    /// several that share one each gets its part of the peers, and a peer is always one listener's (SO_REUSEPORT).
    pub(super) fn listener(&self, local: SocketAddr, remote: SocketAddr) -> Option<T> {
        let address = local.ip();
        let sockets = self.bound.get(&(Protocol::Tcp, local.port()))?;
        let hears = sockets.iter().filter(|bound| bound.is_listening && bound.place.hears(address));
        let most = hears.clone().map(|bound| bound.place.merit(address)).max()?;
        let mut equals = hears.filter(|bound| bound.place.merit(address) == most);
        let part = match equals.clone().count() {
            0 | 1 => 0,
            count => self.part(local, remote, count),
        };
        equals.nth(part).map(|bound| bound.socket)
    }

    /// Which of `count` parts of all peers `remote` is in.
    pub(super) fn part(&self, local: SocketAddr, remote: SocketAddr, count: usize) -> usize {
        (self.key.hash(&(local, remote)) % count.max(1) as u64) as usize
    }

    /// All sockets that hear what is sent to `local`, with whether they are bound to this very address; the last one
    /// bound comes first.
    pub(super) fn hearers(&self, protocol: Protocol, local: SocketAddr) -> impl Iterator<Item = (T, bool)> {
        let sockets = self.bound.get(&(protocol, local.port())).map_or(&[][..], Vec::as_slice);
        let address = local.ip();
        sockets
            .iter()
            .rev()
            .filter(move |bound| bound.place.hears(address))
            .map(move |bound| (bound.socket, bound.place.local.ip() == address))
    }

    /// A random free port (RFC 6056 §3.3.1).
    pub(super) fn random(&self, protocol: Protocol, place: Place, rng: &mut impl Rng) -> Result<u16> {
        let offset = rng.next_u32();
        self.search(offset, |port| {
            let local = SocketAddr::new(place.local.ip(), port);
            let place = Place { local, ..place };
            !self.is_taken(protocol, place) && (protocol != Protocol::Tcp || self.occupants.is_free(place))
        })
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
            is_free(port) && !self.is_taken(Protocol::Tcp, Place::one_family(SocketAddr::new(local, port)))
        })?;
        self.next = self.next.wrapping_add(1);
        Ok(port)
    }

    /// How many ports are taken.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.bound.len() + self.occupants.len()
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

    fn place(text: &str) -> Place {
        Place::one_family(at(text))
    }

    const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)), 9);

    const ALONE: Sharing = Sharing { reuse_address: false, reuse_port: false };
    const REUSE: Sharing = Sharing { reuse_address: true, reuse_port: false };
    const REUSE_PORT: Sharing = Sharing { reuse_address: false, reuse_port: true };

    #[test]
    fn a_wildcard_takes_the_port_of_every_address_of_its_family() {
        let mut ports = ports();
        ports.bind(Protocol::Tcp, place("0.0.0.0:80"), 1, ALONE).unwrap();
        assert_eq!(ports.bind(Protocol::Tcp, place("192.0.2.1:80"), 2, ALONE), Err(Error::AddressInUse));
        assert_eq!(ports.bind(Protocol::Tcp, place("[::]:80"), 2, ALONE), Ok(()));
        assert_eq!(ports.bind(Protocol::Udp, place("192.0.2.1:80"), 3, ALONE), Ok(()));
        assert_eq!(ports.bind(Protocol::Udp, place("0.0.0.0:80"), 4, ALONE), Err(Error::AddressInUse));
        ports.listen(Protocol::Tcp, place("0.0.0.0:80"), 1, 11).unwrap();
        assert_eq!(ports.listener(at("192.0.2.9:80"), PEER), Some(11));
        assert_eq!(ports.listener(at("[fd69::1]:80"), PEER), None, "bound, and does not listen");
        ports.release(Protocol::Tcp, place("0.0.0.0:80"), 11);
        assert_eq!(ports.listener(at("192.0.2.9:80"), PEER), None);
    }

    #[test]
    fn the_wildcard_of_both_families_collides_with_either() {
        let mut ports = ports();
        let both = Place { local: at("[::]:80"), is_dual: true };
        ports.bind(Protocol::Udp, both, 1, ALONE).unwrap();
        for other in ["0.0.0.0:80", "192.0.2.1:80", "[::]:80", "[fd69::1]:80"] {
            assert_eq!(ports.bind(Protocol::Udp, place(other), 2, ALONE), Err(Error::AddressInUse), "{other}");
        }
        assert_eq!(ports.hearers(Protocol::Udp, at("192.0.2.1:80")).collect::<Vec<_>>(), [(1, false)]);
        ports.release(Protocol::Udp, both, 1);
        ports.bind(Protocol::Udp, place("192.0.2.1:80"), 2, ALONE).unwrap();
        assert_eq!(ports.bind(Protocol::Udp, both, 1, ALONE), Err(Error::AddressInUse));
    }

    #[test]
    fn a_port_is_shared_by_those_who_all_agree() {
        let mut ports = ports();
        let all = place("0.0.0.0:5353");
        ports.bind(Protocol::Udp, all, 1, REUSE).unwrap();
        assert_eq!(ports.bind(Protocol::Udp, all, 2, ALONE), Err(Error::AddressInUse));
        ports.bind(Protocol::Udp, place("224.0.0.251:5353"), 3, REUSE).unwrap();
        ports.bind(Protocol::Udp, all, 4, REUSE).unwrap();
        let hearers = |to: &str| ports.hearers(Protocol::Udp, at(to)).collect::<Vec<_>>();
        assert_eq!(hearers("224.0.0.251:5353"), [(4, false), (3, true), (1, false)]);
        assert_eq!(hearers("192.0.2.1:5353"), [(4, false), (1, false)]);
        assert_eq!(hearers("[ff02::fb]:5353"), []);
        ports.release(Protocol::Udp, all, 4);
        ports.release(Protocol::Udp, all, 1);
        ports.release(Protocol::Udp, place("224.0.0.251:5353"), 3);
        assert_eq!(ports.bind(Protocol::Udp, all, 5, ALONE), Ok(()));
        assert_eq!(ports.bind(Protocol::Udp, all, 6, REUSE), Err(Error::AddressInUse));
    }

    #[test]
    fn of_sockets_that_reuse_an_address_one_listens_and_of_those_that_reuse_a_port_all_may() {
        let mut ports = ports();
        let all = place("0.0.0.0:80");
        ports.bind(Protocol::Tcp, all, 1, REUSE).unwrap();
        ports.bind(Protocol::Tcp, all, 2, REUSE).unwrap();
        assert_eq!(ports.listen(Protocol::Tcp, all, 1, 11), Ok(()));
        assert_eq!(ports.listen(Protocol::Tcp, all, 2, 12), Err(Error::AddressInUse));
        assert_eq!(ports.bind(Protocol::Tcp, all, 3, REUSE), Err(Error::AddressInUse));
        let all = place("0.0.0.0:81");
        for socket in [1, 2] {
            ports.bind(Protocol::Tcp, all, socket, REUSE_PORT).unwrap();
            assert_eq!(ports.listen(Protocol::Tcp, all, socket, 10 + socket), Ok(()));
        }
    }

    /// `socket(7)`, and Linux's inet_csk_bind_conflict.
    #[test]
    fn a_port_with_connections_is_for_those_who_share_it_with_them() {
        for (theirs, ours, shared) in [
            (ALONE, ALONE, false),
            (ALONE, REUSE, false),
            (REUSE, ALONE, false),
            (REUSE, REUSE, true),
            (REUSE, REUSE_PORT, false),
            (REUSE_PORT, REUSE_PORT, true),
            (Sharing { reuse_address: true, reuse_port: true }, REUSE_PORT, true),
        ] {
            let mut ports = ports();
            ports.occupy(at("192.0.2.1:80"), theirs);
            let expected = if shared { Ok(()) } else { Err(Error::AddressInUse) };
            for (text, overlaps) in [("192.0.2.1:80", true), ("0.0.0.0:80", true), ("192.0.2.2:80", false)] {
                let expected = if overlaps { expected } else { Ok(()) };
                assert_eq!(ports.bind(Protocol::Tcp, place(text), 1, ours), expected, "{theirs:?} {ours:?} {text}");
                ports.release(Protocol::Tcp, place(text), 1);
            }
            assert_eq!(ports.bind(Protocol::Udp, place("192.0.2.1:80"), 1, ours), Ok(()));
            ports.vacate(at("192.0.2.1:80"), theirs);
            assert_eq!(ports.bind(Protocol::Tcp, place("192.0.2.1:80"), 1, ours), Ok(()));
        }
    }

    #[test]
    fn a_port_that_is_chosen_for_a_program_has_no_connections() {
        let mut ports = ports();
        for port in 40_000..40_003 {
            ports.occupy(at(&format!("192.0.2.1:{port}")), REUSE);
        }
        let mut rng = StdRng::seed_from_u64(9);
        assert_eq!(ports.random(Protocol::Tcp, place("0.0.0.0:0"), &mut rng), Ok(40_003));
        ports.occupy(at("192.0.2.1:40003"), ALONE);
        assert_eq!(ports.random(Protocol::Tcp, place("0.0.0.0:0"), &mut rng), Err(Error::AddressNotAvailable));
        assert!(ports.random(Protocol::Udp, place("0.0.0.0:0"), &mut rng).is_ok());
    }

    #[test]
    fn listeners_that_reuse_a_port_share_the_peers_and_each_peer_has_one() {
        let mut ports = ports();
        let all = place("0.0.0.0:80");
        for socket in 0..4 {
            ports.bind(Protocol::Tcp, all, socket, REUSE_PORT).unwrap();
            ports.listen(Protocol::Tcp, all, socket, 10 + socket).unwrap();
        }
        let mut shares = [0; 4];
        for port in 1..=1000 {
            let peer = SocketAddr::new(PEER.ip(), port);
            let listener = ports.listener(at("192.0.2.1:80"), peer).unwrap();
            assert_eq!(ports.listener(at("192.0.2.1:80"), peer), Some(listener));
            shares[listener as usize - 10] += 1;
        }
        assert!(shares.iter().all(|share| (150..350).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_listener_of_the_very_address_comes_before_the_wildcard() {
        let mut ports = ports();
        for (text, socket) in [("0.0.0.0:53", 1), ("192.0.2.2:53", 2), ("192.0.2.3:53", 3)] {
            ports.bind(Protocol::Tcp, place(text), socket, REUSE_PORT).unwrap();
        }
        ports.listen(Protocol::Tcp, place("0.0.0.0:53"), 1, 11).unwrap();
        ports.listen(Protocol::Tcp, place("192.0.2.2:53"), 2, 12).unwrap();
        assert_eq!(ports.listener(at("192.0.2.2:53"), PEER), Some(12));
        assert_eq!(ports.listener(at("192.0.2.3:53"), PEER), Some(11), "who is only bound hears nothing");
    }

    #[test]
    fn when_no_ephemeral_port_is_free_the_address_is_not_available() {
        let mut ports = ports();
        let mut rng = StdRng::seed_from_u64(9);
        let any = place("0.0.0.0:0");
        for socket in 0..4 {
            let port = ports.random(Protocol::Udp, any, &mut rng).unwrap();
            assert!((40_000..=40_003).contains(&port));
            let place = Place::one_family(SocketAddr::new(any.local.ip(), port));
            ports.bind(Protocol::Udp, place, socket, ALONE).unwrap();
        }
        assert_eq!(ports.random(Protocol::Udp, any, &mut rng), Err(Error::AddressNotAvailable));
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
