//! IP: what is for us, what goes where, and what is answered on the spot.
//!
//! A packet from the link enters [`Ip::receive`] and comes out as a [`Verdict`], or as the one [`Rule`] by which
//! it was dropped. Echo requests are answered and errors are sent from here, into [`Packets`]. A packet on its
//! way down asks [`Ip::route`] for its next hop, and [`Ip::pieces`] writes it into frames.
//!
//! - [`Packet`], [`Verdict`], [`IcmpError`]: what a packet turned out to be.
//! - `v4`, `v6`, `extension`: validation.
//! - `icmp`, `icmp_error`: ICMP in and out.
//! - `address`, `route`: our addresses, and the way to others.
//! - [`Packets`], [`Pieces`]: the way down.
//! - [`Limiter`], [`transport_checksum`]: also used by the transport.
//!
//! - `reassembly`: fragments in; `identification`, `piece`: fragments out.
//! - `group`: the groups we are in, IGMP and MLD.
//! - `raw`: what raw sockets hear and send.
//! - `path_mtu`: what the way to each destination can carry.

mod address;
mod checksum;
mod extension;
mod group;
mod header;
mod icmp;
mod icmp_error;
mod identification;
mod limiter;
mod packet;
mod packets;
mod path_mtu;
mod piece;
mod quote;
mod raw;
mod reassembly;
mod route;
mod v4;
mod v6;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use self::address::Addresses;
pub use self::checksum::transport_checksum;
use self::extension::{Stop, Upper};
use self::group::Groups;
pub use self::icmp::turn_round;
use self::icmp_error::Message;
use self::identification::Identifications;
use self::limiter::ErrorLimiter;
pub use self::limiter::Limiter;
pub use self::packet::{ErrorKind, IcmpError, Packet, Told, Verdict};
use self::packet::{Way, protocol};
pub use self::packets::{Form, Outgoing, Packets};
use self::path_mtu::PathMtus;
pub use self::piece::{Piece, Pieces};
use self::quote::Quote;
pub use self::raw::{Heard, PayloadHeader};
use self::raw::{Hearers, Next};
pub use self::reassembly::Whole;
use self::reassembly::{Fragment, Progress, Reassembly};
pub use self::route::Hop;
use self::route::Routes;
use crate::config::{Cidr, Config};
use crate::error::Error;
use crate::observe::{self, Cast, Rule, Time};

/// How many incomplete datagrams are given up at once; if more are due, the deadline stays in the past.
const EXPIRED_PER_POLL: usize = 256;

/// The MTU of the loopback: that of Linux's `lo`.
const LOOPBACK_MTU: usize = 65_536;

/// The length of an IPv4 packet has 16 bits.
const LONGEST_IP4: usize = 65_535;

/// The IP layer of one stack.
///
/// ```
/// use tapsock::config::Config;
/// use tapsock::ip::Ip;
/// use tapsock::observe::Address;
///
/// let mut ip = Ip::new(&Config::default(), 1500, 0);
/// let ours = "192.168.69.1".parse()?;
/// assert!(ip.is_own(ours) && !ip.is_usable(ours)); // nobody has asked yet who else has it
/// ip.set_address_state(ours, Address::Preferred);
/// assert_eq!(ip.route("192.168.69.100".parse()?).map(|hop| hop.source), Ok(ours));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Ip {
    addresses: Addresses,
    groups: Groups,
    routes: Routes,
    mtu: usize,
    /// For IPv6, where a router asks for less.
    mtu6: usize,
    identifications: Identifications,
    errors: ErrorLimiter,
    paths: PathMtus,
    reassembly: Reassembly,
    hearers: Hearers,
    /// Rules of datagrams that were never whole, until they are counted.
    given_up: Vec<Rule>,
}

impl Ip {
    /// A layer with the addresses, gateways and limits of `config`, all addresses tentative, over a link whose
    /// packets have at most `mtu` bytes. `seed` is secret and random: what the identifications of fragments are
    /// made from, and what keeps peers from choosing whom they share a bound with.
    pub fn new(config: &Config, mtu: usize, seed: u64) -> Ip {
        Ip {
            addresses: Addresses::new(&config.addresses),
            groups: Groups::new(&config.limits, seed),
            routes: Routes::new(&config.gateways),
            mtu,
            mtu6: mtu,
            identifications: Identifications::new(seed),
            errors: ErrorLimiter::new(&config.limits, seed),
            paths: PathMtus::new(config.limits.path_mtus),
            reassembly: Reassembly::new(&config.limits),
            hearers: Hearers::new(),
            given_up: Vec::new(),
        }
    }

    /// Destinations whose path is known to be narrow, bytes of incomplete datagrams, and groups.
    pub fn usage(&self) -> (usize, usize, usize) {
        (self.paths.len(), self.reassembly.bytes(), self.groups().count())
    }

    /// Adds an address that is not in the settings, such as the link-local one; it starts tentative.
    pub fn add_address(&mut self, cidr: Cidr) {
        self.addresses.add(cidr);
        self.groups.addresses_changed();
    }

    /// Takes an address away: packets for it are another host's from here on.
    pub fn remove_address(&mut self, address: IpAddr) {
        self.addresses.remove(address);
        self.groups.addresses_changed();
    }

    /// A router that was learned; those of the settings are tried first.
    pub fn add_gateway(&mut self, gateway: IpAddr) {
        self.routes.add_gateway(gateway);
    }

    /// A router that is not to be used any more. Says whether it was one.
    pub fn remove_gateway(&mut self, gateway: IpAddr) -> bool {
        self.routes.remove_gateway(gateway)
    }

    /// A neighbour does not answer; if it is a gateway, another one is tried first (RFC 4861 §6.3.6).
    pub fn demote_gateway(&mut self, gateway: IpAddr) {
        self.routes.demote_gateway(gateway);
    }

    /// Whether the hosts of an IPv6 network are on the link (RFC 4861 §6.3.4).
    pub fn set_on_link(&mut self, prefix: Cidr, is_on_link: bool) {
        self.routes.set_on_link(prefix, is_on_link);
    }

    /// The bytes that an IPv6 packet may have on the link.
    pub fn mtu6(&self) -> usize {
        self.mtu6
    }

    /// The bytes that an IPv6 packet may have on the link, as a router says (RFC 4861 §6.3.4): at least 1280, at most
    /// what the link itself can carry.
    pub fn set_mtu6(&mut self, mtu: u32) {
        self.mtu6 = usize::try_from(mtu).unwrap_or(usize::MAX).clamp(1280, self.mtu.max(1280)).min(self.mtu);
    }

    /// What became of one of our addresses. A preferred one is usable, and so is one in conflict.
    pub fn set_address_state(&mut self, address: IpAddr, state: observe::Address) {
        self.addresses.set_state(address, state);
        self.groups.addresses_changed();
    }

    /// Our addresses, and whether each is usable.
    pub fn addresses(&self) -> impl Iterator<Item = (Cidr, bool)> {
        self.addresses.iter().map(|own| (own.cidr, own.is_usable()))
    }

    /// Whether it is one of our addresses, in any state.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.find(address).is_some()
    }

    /// Whether it is one of our addresses and may be used. The loopback addresses always are.
    pub fn is_usable(&self, address: IpAddr) -> bool {
        self.addresses.is_usable(address)
    }

    /// Whether what is sent to it takes the loopback.
    pub fn is_local(&self, destination: IpAddr) -> bool {
        self.addresses.source_to_own(destination).is_some()
    }

    /// Whether a socket may be bound to it: it is ours, or will be if nobody objects.
    pub fn is_bindable(&self, address: IpAddr) -> bool {
        address::is_loopback(address)
            || self.addresses.find(address).is_some_and(|own| !matches!(own.state, observe::Address::Duplicate { .. }))
    }

    /// Whether it names several hosts: multicast, 255.255.255.255, or the directed broadcast of one of our
    /// networks.
    pub fn is_group(&self, address: IpAddr) -> bool {
        self.addresses.is_group(address)
    }

    /// The bytes that a packet may have on the link.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// The bytes that a packet to `destination` may have on its whole way, as far as we know: never more than
    /// [`first_mtu`](Ip::first_mtu). One comparison more while no path is known to be narrower than the link.
    pub fn path_mtu(&self, destination: IpAddr) -> usize {
        self.paths.get(destination, self.first_mtu(destination)).mtu
    }

    /// The bytes that a packet to `destination` may have at its first step: on the link, or on the loopback.
    pub fn first_mtu(&self, destination: IpAddr) -> usize {
        match (self.is_local(destination), destination) {
            (true, IpAddr::V4(_)) => LOOPBACK_MTU.min(LONGEST_IP4),
            (true, IpAddr::V6(_)) => LOOPBACK_MTU,
            (false, IpAddr::V4(_)) => self.mtu,
            (false, IpAddr::V6(_)) => self.mtu6,
        }
    }

    /// Takes the word of a router that a packet to `destination` was too big, and whether that lowered its path
    /// MTU (RFC 1191 §6.3, RFC 8201 §4). `mtu` is the value as carried; 0, from a router older than RFC 1191,
    /// means the next smaller size of link (§7). A value that lowers nothing changes nothing.
    ///
    /// The caller has compared the quoted packet with a socket that sent it (RFC 5927 §7.1).
    ///
    /// ```
    /// use tapsock::{config::Config, ip::Ip, observe::Time};
    ///
    /// let mut ip = Ip::new(&Config::default(), 1500, 0);
    /// let far = "203.0.113.9".parse()?;
    /// assert!(ip.learn_path_mtu(Time::ZERO, far, 1400));
    /// assert_eq!(ip.path_mtu(far), 1400);
    /// assert!(!ip.learn_path_mtu(Time::ZERO, far, 1450));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn learn_path_mtu(&mut self, now: Time, destination: IpAddr, mtu: u32) -> bool {
        self.paths.learn(now, destination, mtu, self.mtu)
    }

    /// When [`poll`](Ip::poll) has something to do; `None` while nothing that expires is known.
    pub fn deadline(&self) -> Option<Time> {
        [self.paths.deadline(), self.reassembly.deadline()].into_iter().flatten().min()
    }

    /// Lets go of what has expired. Whose first fragment came is told (RFC 1122 §3.3.2, RFC 8200 §4.5).
    pub fn poll(&mut self, now: Time, out: &mut Packets) {
        self.paths.poll(now);
        for _ in 0..EXPIRED_PER_POLL {
            let Some(expired) = self.reassembly.expire(now) else { break };
            let is_v4 = expired.key.source.is_ipv4();
            let original = expired.original.as_deref();
            let read = if is_v4 { v4::read } else { v6::read };
            let told = match original.and_then(|original| read(original, expired.cast)) {
                Some(about) => self.send_error(now, &about, Message::reassembly_time_exceeded(is_v4), out),
                None => Err(Rule::IpReassemblyTimeout),
            };
            self.given_up.push(told.unwrap_or_else(|rule| rule));
        }
    }

    /// Why a datagram was given up that no frame at hand belongs to: for the counters.
    pub fn next_given_up(&mut self) -> Option<Rule> {
        self.given_up.pop().or_else(|| self.reassembly.next_dropped())
    }

    /// The first step towards `destination`, and the address of ours to send from: the longest network on the
    /// link, else the gateway of the family. To our own addresses it is the loopback.
    ///
    /// # Errors
    ///
    /// [`Rule::IpNoRoute`] if nothing leads there, no usable address of ours fits, or it is an address of our own that is
    /// not usable.
    pub fn route(&self, destination: IpAddr) -> Result<Hop, Rule> {
        route::route(&self.addresses, &self.routes, destination).ok_or(Rule::IpNoRoute)
    }

    /// What is to be told of a packet of ours that no neighbour took: the error that a router would have sent.
    /// `None` for what no socket sent.
    pub fn undelivered(&self, packet: &[u8]) -> Option<IcmpError> {
        let quote = Quote::read(packet).ok()?;
        let told = Told::soft(Error::HostUnreachable);
        let message = if quote.source.is_ipv4() { (3, 1) } else { (1, 3) };
        Some(quote.into_error(ErrorKind::HostUnreachable, told, quote.source.ip(), message))
    }

    /// Judges a packet from the link. `cast` says how the frame was addressed. Answers go to `out`.
    ///
    /// # Errors
    ///
    /// The rule by which the packet was dropped without an answer.
    ///
    /// ```
    /// use tapsock::config::Config;
    /// use tapsock::ip::{Ip, Packets};
    /// use tapsock::observe::{Cast, Rule, Time};
    ///
    /// let (mut ip, mut out) = (Ip::new(&Config::default(), 1500, 0), Packets::new());
    /// let verdict = ip.receive(Time::ZERO, &[0x45, 0, 0, 20], Cast::Unicast, &mut out);
    /// assert_eq!(verdict.err(), Some(Rule::Ip4Truncated));
    /// ```
    pub fn receive<'p>(
        &mut self,
        now: Time,
        packet: &'p [u8],
        cast: Cast,
        out: &mut Packets,
    ) -> Result<Verdict<'p>, Rule> {
        // The link has looked that it is the version which Ethernet announced; one that is neither fails as IPv4.
        self.receive_by(now, packet, Way::Link(cast), out)
    }

    /// Judges a packet that this stack has sent to one of its own addresses, as [`receive`](Ip::receive) judges one from
    /// the link. Its ends must be addresses of ours: what only we can have sent, only we can receive.
    ///
    /// # Errors
    ///
    /// The rule by which the packet was dropped without an answer.
    pub fn receive_local<'p>(&mut self, now: Time, packet: &'p [u8], out: &mut Packets) -> Result<Verdict<'p>, Rule> {
        self.receive_by(now, packet, Way::Loopback, out)
    }

    fn receive_by<'p>(
        &mut self,
        now: Time,
        packet: &'p [u8],
        way: Way,
        out: &mut Packets,
    ) -> Result<Verdict<'p>, Rule> {
        match packet.first().map(|first| first >> 4) {
            Some(6) => self.receive6(now, packet, way, out),
            _ => self.receive4(now, packet, way, out),
        }
    }

    /// Judges a datagram that was put together, after [`Verdict::Whole`], as [`receive`](Ip::receive) judges a packet.
    ///
    /// # Errors
    ///
    /// The rule by which the datagram was dropped without an answer.
    pub fn receive_whole<'p>(&mut self, now: Time, whole: &'p Whole, out: &mut Packets) -> Result<Verdict<'p>, Rule> {
        let original = &whole.original[..];
        // From an address of ours nothing gets past the checks of the link.
        match whole.bytes.first().map(|first| first >> 4) {
            Some(6) => {
                let packet = v6::read(&whole.bytes, whole.cast).ok_or(Rule::Ip6Truncated)?;
                let is_local = self.is_usable(packet.source);
                self.deliver6(now, Packet { original, is_local, ..packet }, None, Cutting::Reassembled, out)
            }
            _ => {
                let packet = v4::read(&whole.bytes, whole.cast).ok_or(Rule::Ip4Truncated)?;
                let is_local = self.is_usable(packet.source);
                self.deliver4(now, Packet { original, is_local, ..packet }, out)
            }
        }
    }

    fn receive4<'p>(&mut self, now: Time, packet: &'p [u8], way: Way, out: &mut Packets) -> Result<Verdict<'p>, Rule> {
        let packet = v4::validate(packet, way, &self.addresses, &self.groups)?;
        match v4::fragment(&packet) {
            None => self.deliver4(now, packet, out),
            Some(fragment) => self.receive_fragment(now, &fragment?, Rule::Ip4FragmentWaits),
        }
    }

    fn deliver4<'p>(&mut self, now: Time, packet: Packet<'p>, out: &mut Packets) -> Result<Verdict<'p>, Rule> {
        if self.hearers.hear(true, packet.protocol) {
            return Ok(Verdict::Heard(Heard { packet, next: Next::V4 }));
        }
        self.pass_on4(now, packet, false, out)
    }

    /// `is_taken`: a raw socket has it, so that nobody need be told that we do not speak its protocol.
    fn pass_on4<'p>(
        &mut self,
        now: Time,
        packet: Packet<'p>,
        is_taken: bool,
        out: &mut Packets,
    ) -> Result<Verdict<'p>, Rule> {
        match packet.protocol {
            protocol::TCP | protocol::UDP => Ok(Verdict::Transport(packet)),
            protocol::ICMP => self.receive_icmp(packet, out),
            protocol::IGMP => match self.receive_igmp(now, &packet) {
                // Who asks one host whether it speaks the protocol, and does not speak it well, is no router.
                Err(_) if packet.cast == Cast::Unicast && !is_taken => {
                    self.send_error(now, &packet, Message::protocol_unreachable(), out).map(Verdict::Done)
                }
                heard => heard.map(Verdict::Done),
            },
            _ if is_taken => Ok(Verdict::Taken),
            _ => self.send_error(now, &packet, Message::protocol_unreachable(), out).map(Verdict::Done),
        }
    }

    fn receive6<'p>(&mut self, now: Time, packet: &'p [u8], way: Way, out: &mut Packets) -> Result<Verdict<'p>, Rule> {
        let (packet, doubt) = v6::validate(packet, way, &self.addresses, &self.groups)?;
        self.deliver6(now, packet, doubt, Cutting::AsItCame, out)
    }

    fn deliver6<'p>(
        &mut self,
        now: Time,
        mut packet: Packet<'p>,
        doubt: Option<Rule>,
        cutting: Cutting,
        out: &mut Packets,
    ) -> Result<Verdict<'p>, Rule> {
        let upper = match (extension::walk(packet.bytes), doubt) {
            (Ok(upper), _) => upper,
            (Err(_), Some(rule)) | (Err(Stop::Drop(rule)), None) => return Err(rule),
            (Err(Stop::Answer(message)), None) => {
                return match self.unknown_but_heard(packet, message) {
                    Some(heard) => Ok(Verdict::Heard(heard)),
                    None => self.send_error(now, &packet, message, out).map(Verdict::Done),
                };
            }
            (Err(Stop::Fragment(cut)), None) => match (v6::fragment(&packet, cut), cutting) {
                (Ok(fragment), Cutting::AsItCame) => {
                    return self.receive_fragment(now, &fragment, Rule::Ip6FragmentWaits);
                }
                // A fragment of fragments: nobody makes that in earnest.
                (Ok(_), Cutting::Reassembled) => return Err(Rule::Ip6Extension),
                (Err(Stop::Answer(message)), _) => {
                    return self.send_error(now, &packet, message, out).map(Verdict::Done);
                }
                (Err(Stop::Drop(rule)), _) => return Err(rule),
                (Err(Stop::Fragment(_)), _) => return Err(Rule::Ip6Extension),
            },
        };
        let Upper { protocol, offset, fragment_header } = upper;
        packet.protocol = protocol;
        packet.payload = &packet.bytes[offset..];
        let is_fragmented = fragment_header || cutting == Cutting::Reassembled;
        match doubt {
            Some(rule) if !icmp::is_neighbour(&packet) => Err(rule),
            None if self.hearers.hear(false, protocol) => {
                Ok(Verdict::Heard(Heard { packet, next: Next::V6 { is_fragmented } }))
            }
            _ => self.pass_on6(now, packet, is_fragmented, out),
        }
    }

    fn pass_on6<'p>(
        &mut self,
        now: Time,
        packet: Packet<'p>,
        is_fragmented: bool,
        out: &mut Packets,
    ) -> Result<Verdict<'p>, Rule> {
        match packet.protocol {
            protocol::ICMPV6 => self.receive_icmp6(now, packet, is_fragmented, out),
            _ => Ok(Verdict::Transport(packet)),
        }
    }

    fn receive_fragment<'p>(&mut self, now: Time, fragment: &Fragment<'_>, waits: Rule) -> Result<Verdict<'p>, Rule> {
        match self.reassembly.receive(now, fragment)? {
            Progress::Waits => Ok(Verdict::Done(waits)),
            Progress::Whole(whole) => Ok(Verdict::Whole(whole)),
        }
    }
}

/// Whether a packet was put together from fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cutting {
    AsItCame,
    Reassembled,
}
