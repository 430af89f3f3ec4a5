//! Ethernet, and who on it has which address.
//!
//! [`Link`] stands between IP packets and Ethernet frames. Inwards, [`Link::receive`] checks that a frame is
//! for us, answers ARP itself and passes IP packets on. Outwards, [`Link::send`] finds the next hop's
//! Ethernet address; while that is unknown the packet waits, bounded, and a request goes out. Neighbour
//! messages of IPv6 are ICMP and come back from `ip` by way of `stack` to [`Link::neighbour_message`].
//!
//! - `ethernet`: which frames are for us; the header; the Ethernet addresses of groups.
//! - `arp`, `ndp`: the two protocols that ask and answer for addresses.
//! - `router`: router advertisements, read and checked; what follows from them is for `stack` to decide.
//! - `neighbour`: the cache that both fill, and its timers.
//! - `address`: our own addresses, asked about before they are used and defended afterwards.
//! - [`Frames`]: what is to be sent.
//!
//! Nothing here reads a clock or draws randomness. [`Link::deadline`] is `None` when there is nothing to wait
//! for, also while neighbours are known, so that an idle stack sleeps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use smoltcp::wire::EthernetProtocol;

use crate::config::{Limits, Mac};
use crate::observe::{self, Cast, Fate, Neighbour, Rule, Time};

mod address;
mod arp;
mod ethernet;
mod frames;
mod ndp;
mod neighbour;
mod router;

pub use frames::Frames;
pub use ndp::NeighbourMessage;
pub use router::{Prefix, RouterAdvertisement};

use address::Addresses;
use neighbour::{Due, Route, Table, Waiting};

/// What a received frame was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received<'f> {
    /// An IP packet of the version that Ethernet announced, with the padding that Ethernet may have put behind it.
    Ip {
        /// From its first byte to the end of the frame.
        packet: &'f [u8],
        /// How the frame was addressed.
        cast: Cast,
    },
    /// The link's own business, done for this reason.
    Done(Rule),
}

/// Something the layers above should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An own address changed its state.
    Address {
        /// Which.
        address: IpAddr,
        /// Into this.
        state: observe::Address,
    },
    /// Somebody contests an own address again, right after it was defended (RFC 5227 §2.4 (b)).
    Contested {
        /// Which.
        address: IpAddr,
        /// Who.
        owner: Mac,
    },
    /// A router told about itself; only if [`Link::hear_routers`] was called.
    Router(Box<RouterAdvertisement>),
    /// A neighbour that was asked says that it is no router; only if [`Link::hear_routers`] was called.
    NotRouter(Ipv6Addr),
    /// What is known of a neighbour changed.
    Neighbour {
        /// Who.
        address: IpAddr,
        /// What.
        state: Neighbour,
    },
    /// The neighbour did not answer, and this packet was never sent (RFC 4861 §7.2.2).
    Undelivered {
        /// Who did not answer.
        next_hop: IpAddr,
        /// The packet's fate as it was given to [`Link::send`].
        fate: Fate,
        /// The packet, from its IP header.
        packet: Vec<u8>,
    },
}

/// One Ethernet link, seen from one station on it.
///
/// ```
/// use std::time::Duration;
/// use tapsock::config::{Config, Mac};
/// use tapsock::link::{Frames, Link};
/// use tapsock::observe::{Fate, Rule, Time};
///
/// let config = Config::default();
/// let mut link = Link::new(config.mac, 1500, &config.limits, [1, 2]);
/// let mut out = Frames::new();
/// link.add_address(Time::ZERO, "192.168.69.1".parse()?, Duration::ZERO, &mut out);
/// out.clear();
///
/// // The neighbour is unknown, so the packet waits and a request goes out.
/// let fate = Fate::nobody(Rule::IcmpEcho);
/// link.send(Time::ZERO, "192.168.69.100".parse()?, 28, fate, &mut out, |packet| packet.fill(0)).expect("room");
/// let (request, fate) = out.iter().next().expect("a request");
/// assert_eq!(&request[..6], &Mac::BROADCAST.0);
/// assert_eq!(fate.rule, Some(Rule::ArpRequest));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct Link {
    mac: Mac,
    mtu: usize,
    neighbours: Table,
    addresses: Addresses,
    notices: Vec<Notice>,
    /// Who sent the last frame. A neighbour message comes back to us while its frame is still the last one;
    /// where it does not say whose it is, its frame does.
    last_source: Mac,
    /// Advertisements of routers are of interest, with at most so many prefixes.
    heard_prefixes: Option<usize>,
}

impl Link {
    /// A station with this Ethernet address and no IP address yet. `hash_keys` are secret and random: they
    /// keep a station from choosing addresses that collide in the cache.
    pub fn new(mac: Mac, mtu: usize, limits: &Limits, hash_keys: [u64; 2]) -> Link {
        Link {
            mac,
            mtu,
            neighbours: Table::new(limits, hash_keys),
            addresses: Addresses::default(),
            notices: Vec::new(),
            last_source: Mac([0; 6]),
            heard_prefixes: None,
        }
    }

    /// Our Ethernet address.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// How many neighbours are known or asked for, and bytes of packets that wait for them.
    pub fn usage(&self) -> (usize, usize) {
        (self.neighbours.len(), self.neighbours.waiting_bytes())
    }

    /// The largest IP packet a frame may carry.
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// Starts to use an own address. Asks three times within `probe` whether somebody has it (RFC 5227 §2.1.1,
    /// RFC 4862 §5.4.2), then announces it (RFC 5227 §2.3, RFC 4861 §7.2.6), IPv4 twice; with a `probe` of zero it is
    /// announced at once. Gives a notice that it is tentative, and later one that it is preferred or a
    /// duplicate. Does nothing if the address is ours already.
    pub fn add_address(&mut self, now: Time, address: IpAddr, probe: Duration, out: &mut Frames) {
        if self.addresses.add(address, now, probe) {
            self.notices.push(Notice::Address { address, state: observe::Address::Tentative });
            self.probe_addresses(now, out);
        }
    }

    /// Lets go of an own address: it is neither answered for nor defended any more.
    pub fn remove_address(&mut self, address: IpAddr) {
        self.addresses.remove(address);
    }

    /// From here on router advertisements become notices, with at most `prefixes` prefixes each.
    pub fn hear_routers(&mut self, prefixes: usize) {
        self.heard_prefixes = Some(prefixes);
    }

    /// How long a neighbour's answer is believed and how long it is waited for, as a router says (RFC 4861 §6.3.4).
    /// Held within bounds: an hour, and 0.1 to 10 s.
    pub fn set_neighbour_times(&mut self, reachable: Option<Duration>, retry: Option<Duration>) {
        self.neighbours.set_times(reachable, retry);
    }

    /// Asks the routers of the link to tell about themselves (RFC 4861 §6.3.7).
    pub fn solicit_routers(&self, source: Ipv6Addr, out: &mut Frames) {
        ndp::solicit_routers(self.mac, source, out);
    }

    /// Takes one frame from the device. Answers to it are added to `out`.
    ///
    /// # Errors
    ///
    /// Why the frame was dropped.
    pub fn receive<'f>(&mut self, now: Time, frame: &'f [u8], out: &mut Frames) -> Result<Received<'f>, Rule> {
        let frame = ethernet::accept(frame, self.mac)?;
        self.last_source = frame.source;
        // What nothing stands in is for `ip` to call truncated.
        let version = frame.payload.first().map(|first| first >> 4);
        match frame.protocol {
            EthernetProtocol::Ipv4 if version.is_some_and(|version| version != 4) => Err(Rule::Ip4Version),
            EthernetProtocol::Ipv6 if version.is_some_and(|version| version != 6) => Err(Rule::Ip6Version),
            EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => {
                Ok(Received::Ip { packet: frame.payload, cast: frame.cast })
            }
            EthernetProtocol::Arp => self.receive_arp(now, frame.payload, out).map(Received::Done),
            EthernetProtocol::Unknown(_) => Err(Rule::EthType),
        }
    }

    /// Sends an IP packet of `length` bytes, which `write` fills in completely. `next_hop` is a neighbour, a
    /// multicast group, or 255.255.255.255, which also stands for directed broadcasts.
    ///
    /// `Ok`: the packet is in `out`, or waits for its neighbour's answer and will appear in the `out` of a
    /// later call with the same fate, or in a [`Notice::Undelivered`].
    ///
    /// # Errors
    ///
    /// Why the packet cannot even wait; `write` may or may not have been called.
    pub fn send(
        &mut self,
        now: Time,
        next_hop: IpAddr,
        length: usize,
        fate: Fate,
        out: &mut Frames,
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), Rule> {
        if length > self.mtu {
            return Err(Rule::IpTooLarge);
        }
        let mac = match ethernet::group(next_hop) {
            Some(group) => group,
            None => match self.neighbours.route(now, next_hop)? {
                Route::Known(mac) => mac,
                Route::Asked => {
                    let packet = written(length, write);
                    self.neighbours.wait(next_hop, Waiting { fate, packet });
                    return Ok(());
                }
                Route::Unknown => {
                    let packet = written(length, write);
                    let source = self.addresses.source(source_of(&packet), next_hop.is_ipv4());
                    let source = source.ok_or(Rule::NeighbourNoSource)?;
                    self.neighbours.ask(now, next_hop, source, &mut self.notices)?;
                    self.neighbours.wait(next_hop, Waiting { fate, packet });
                    self.solicit(next_hop, source, None, out);
                    return Ok(());
                }
            },
        };
        ethernet::push(out, mac, self.mac, protocol(next_hop), length, fate, write);
        Ok(())
    }

    /// Does what is due: asks again, gives up, ends the probing of own addresses.
    pub fn poll(&mut self, now: Time, out: &mut Frames) {
        self.probe_addresses(now, out);
        while let Some(due) = self.neighbours.due(now, &mut self.notices) {
            match due {
                Due::Ask { address, source, to } => {
                    // The address from which we asked first may be gone.
                    if let Some(source) = self.addresses.source(Some(source), address.is_ipv4()) {
                        self.solicit(address, source, to, out);
                    }
                }
                Due::Failed { address, waiting } => {
                    self.notices.extend(waiting.into_iter().map(|Waiting { fate, packet }| Notice::Undelivered {
                        next_hop: address,
                        fate,
                        packet,
                    }));
                }
            }
        }
    }

    /// When to call [`Link::poll`] next; `None` when there is nothing to wait for.
    pub fn deadline(&self) -> Option<Time> {
        [self.neighbours.deadline(), self.addresses.deadline()].into_iter().flatten().min()
    }

    /// Whether packets wait for a neighbour to answer.
    pub fn has_waiting(&self) -> bool {
        self.neighbours.has_waiting()
    }

    /// Whether something happened since the last call of [`Link::notices`].
    pub fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    /// What happened since the last call.
    pub fn notices(&mut self) -> impl Iterator<Item = Notice> {
        self.notices.drain(..)
    }

    fn probe_addresses(&mut self, now: Time, out: &mut Frames) {
        while let Some(due) = self.addresses.due(now) {
            match due {
                address::Due::Probe(IpAddr::V4(address)) => arp::probe(self.mac, address, out),
                address::Due::Probe(IpAddr::V6(address)) => ndp::probe(self.mac, address, out),
                address::Due::Announce(address) => self.announce(address, out),
                address::Due::Preferred(address) => {
                    self.announce(address, out);
                    self.notices.push(Notice::Address { address, state: observe::Address::Preferred });
                }
            }
        }
    }

    fn announce(&mut self, address: IpAddr, out: &mut Frames) {
        match address {
            IpAddr::V4(address) => arp::announce(self.mac, address, out),
            IpAddr::V6(address) => ndp::announce(self.mac, address, out),
        }
    }

    /// Asks everybody for a neighbour's Ethernet address, or the one who had it (`to`) whether it still does.
    fn solicit(&self, address: IpAddr, source: IpAddr, to: Option<Mac>, out: &mut Frames) {
        match (address, source) {
            (IpAddr::V4(address), IpAddr::V4(source)) => arp::solicit(self.mac, source, address, to, out),
            (IpAddr::V6(address), IpAddr::V6(source)) => ndp::solicit(self.mac, source, address, to, out),
            _ => {}
        }
    }

    /// Packets whose neighbour is known now leave.
    fn release(&self, neighbour: IpAddr, mac: Mac, waiting: Vec<Waiting>, out: &mut Frames) {
        for Waiting { fate, packet } in waiting {
            ethernet::push(out, mac, self.mac, protocol(neighbour), packet.len(), fate, |bytes| {
                bytes.copy_from_slice(&packet);
            });
        }
    }

    /// Somebody wants the address that we only asked about: it is not ours.
    fn duplicate(&mut self, address: IpAddr, owner: Mac) {
        self.addresses.remove(address);
        self.notices.push(Notice::Address { address, state: observe::Address::Duplicate { owner } });
    }

    /// Somebody uses the address that we use. We say so and claim it once more, both at most once in ten
    /// seconds (RFC 5227 §2.4 (c)), and keep it, unless the layers above let it go.
    fn conflict(&mut self, now: Time, address: IpAddr, owner: Mac, out: &mut Frames) {
        if self.addresses.defend(now, address) {
            self.notices.push(Notice::Address { address, state: observe::Address::Conflict { owner } });
            self.announce(address, out);
        } else {
            self.notices.push(Notice::Contested { address, owner });
        }
    }
}

const fn protocol(neighbour: IpAddr) -> EthernetProtocol {
    match neighbour {
        IpAddr::V4(_) => EthernetProtocol::Ipv4,
        IpAddr::V6(_) => EthernetProtocol::Ipv6,
    }
}

/// A packet that must wait is the one case that needs memory of its own.
fn written(length: usize, write: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut packet = vec![0; length];
    write(&mut packet);
    packet
}

/// The source address of an IP packet, from which its neighbour is best asked for (RFC 4861 §7.2.2).
fn source_of(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => Some(IpAddr::V4(Ipv4Addr::from_octets(*packet.get(12..)?.first_chunk()?))),
        6 => Some(IpAddr::V6(Ipv6Addr::from_octets(*packet.get(8..)?.first_chunk()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
