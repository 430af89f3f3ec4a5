//! Neighbour discovery for IPv6 (RFC 4861 §7), and the duplicate address detection of RFC 4862 §5.4.
//!
//! The groups of the solicited-node addresses are not joined here: that is MLD, and belongs to `ip`.

use std::net::{IpAddr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscNeighborFlags,
    NdiscRepr,
};

use super::neighbour::{Answer, Answered};
use super::{Frames, Link, Notice, ethernet};
use crate::config::Mac;
use crate::observe::{Fate, Rule, Time};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const REDIRECT: u8 = 137;

pub(super) const SOURCE_LINK_ADDRESS: u8 = 1;
const TARGET_LINK_ADDRESS: u8 = 2;

/// Type, code, checksum, flags or reserved, target.
const FIXED: usize = 24;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// An ICMPv6 message of types 133 to 137, whose checksum `ip` has verified. It is to be given back before the
/// next frame is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighbourMessage<'p> {
    /// Where the packet came from.
    pub source: Ipv6Addr,
    /// Where it went.
    pub destination: Ipv6Addr,
    /// Its hop limit: 255, or it crossed a router.
    pub hop_limit: u8,
    /// The ICMPv6 message from its type to its last byte.
    pub body: &'p [u8],
}

impl Link {
    /// Deals with a neighbour message: answers it, learns from it, or notices that somebody has our address.
    /// Gives the rule that it was handled by.
    ///
    /// # Errors
    ///
    /// Why the message was dropped.
    pub fn neighbour_message(
        &mut self,
        now: Time,
        message: NeighbourMessage<'_>,
        out: &mut Frames,
    ) -> Result<Rule, Rule> {
        if message.hop_limit != 255 {
            return Err(Rule::NdpHopLimit);
        }
        let &[kind, code, ..] = message.body else { return Err(Rule::NdpMalformed) };
        if code != 0 {
            return Err(Rule::NdpMalformed);
        }
        match kind {
            SOLICITATION | ADVERTISEMENT => {}
            ROUTER_ADVERTISEMENT => return self.router_advertisement(now, message, out),
            ROUTER_SOLICITATION => return Err(Rule::NdpUnused),
            REDIRECT => return Err(Rule::NdpRedirect),
            _ => return Err(Rule::NdpMalformed),
        }
        let (fixed, options) = message.body.split_at_checked(FIXED).ok_or(Rule::NdpMalformed)?;
        let target = fixed.last_chunk().map(|octets| Ipv6Addr::from_octets(*octets)).ok_or(Rule::NdpMalformed)?;
        if target.is_multicast() || message.source.is_multicast() {
            return Err(Rule::NdpMalformed);
        }
        if kind == SOLICITATION {
            let link = self.link_address(options, SOURCE_LINK_ADDRESS)?;
            self.solicitation(now, message, target, link, out)
        } else {
            let link = self.link_address(options, TARGET_LINK_ADDRESS)?;
            let flags = NdiscNeighborFlags::from_bits_truncate(fixed[4]);
            self.advertisement(now, message, target, flags, link, out)
        }
    }

    /// RFC 4861 §7.1.1, §7.2.3, §7.2.4; RFC 4862 §5.4.3.
    fn solicitation(
        &mut self,
        now: Time,
        message: NeighbourMessage<'_>,
        target: Ipv6Addr,
        link: Option<Mac>,
        out: &mut Frames,
    ) -> Result<Rule, Rule> {
        let ours = self.addresses.is_preferred(target.into());
        let fate = Fate::nobody(Rule::NdpAnswered);
        if message.source.is_unspecified() {
            // Somebody wants to use the address, and asks whether it may.
            if link.is_some() || message.destination != solicited_node(target) {
                return Err(Rule::NdpMalformed);
            }
            if self.addresses.is_tentative(target.into()) {
                self.duplicate(target.into(), self.last_source);
                return Ok(Rule::NdpDuplicate);
            }
            if !ours {
                return Err(Rule::NdpForeign);
            }
            let answer = Message::advertisement(self.mac, target, ALL_NODES, NdiscNeighborFlags::OVERRIDE);
            answer.push(out, group_mac(ALL_NODES), self.mac, fate);
            return Ok(Rule::NdpAnswered);
        }
        // Who resolves an address does not mean ours while we only ask about it (RFC 4862 §5.4.3).
        if !ours {
            return Err(Rule::NdpForeign);
        }
        let source = IpAddr::V6(message.source);
        if self.addresses.is_preferred(source) {
            self.conflict(now, source, link.unwrap_or(self.last_source), out);
            return Ok(Rule::NdpConflict);
        }
        let flags = NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE;
        let answer = Message::advertisement(self.mac, target, message.source, flags);
        if let Some(mac) = link {
            let (_, waiting) = self.neighbours.heard(now, source, mac, Some(target.into()), &mut self.notices);
            self.release(source, mac, waiting, out);
        }
        match link.or_else(|| self.neighbours.mac(source)) {
            Some(mac) => answer.push(out, mac, self.mac, fate),
            // It did not say where it is: ask, and let the answer wait.
            None => self.send(now, source, answer.len(), fate, out, |bytes| answer.write(bytes))?,
        }
        Ok(Rule::NdpAnswered)
    }

    /// RFC 4861 §7.1.2, §7.2.5; RFC 4862 §5.4.4.
    fn advertisement(
        &mut self,
        now: Time,
        message: NeighbourMessage<'_>,
        target: Ipv6Addr,
        flags: NdiscNeighborFlags,
        link: Option<Mac>,
        out: &mut Frames,
    ) -> Result<Rule, Rule> {
        let solicited = flags.contains(NdiscNeighborFlags::SOLICITED);
        if solicited && message.destination.is_multicast() {
            return Err(Rule::NdpMalformed);
        }
        let address = IpAddr::V6(target);
        if self.addresses.is_tentative(address) {
            self.duplicate(address, link.unwrap_or(self.last_source));
            return Ok(Rule::NdpDuplicate);
        }
        if self.addresses.is_preferred(address) {
            self.conflict(now, address, link.unwrap_or(self.last_source), out);
            return Ok(Rule::NdpConflict);
        }
        let answer = Answer { mac: link, solicited, overriding: flags.contains(NdiscNeighborFlags::OVERRIDE) };
        let waiting = self.neighbours.answered(now, address, answer, &mut self.notices).map_err(|why| match why {
            Answered::Unasked => Rule::NdpUnasked,
            Answered::Useless => Rule::NdpMalformed,
        })?;
        if let Some(mac) = self.neighbours.mac(address) {
            self.release(address, mac, waiting, out);
        }
        if self.heard_prefixes.is_some() && !flags.contains(NdiscNeighborFlags::ROUTER) {
            self.notices.push(Notice::NotRouter(target));
        }
        Ok(Rule::NdpLearned)
    }

    /// The Ethernet address in the first option of this kind. Options of other kinds are skipped whatever
    /// they hold (RFC 4861 §7.1.1), which smoltcp's parser does not do.
    pub(super) fn link_address(&self, options: &[u8], kind: u8) -> Result<Option<Mac>, Rule> {
        let mut found = None;
        for option in Options(options) {
            let option = option?;
            if option[0] != kind || found.is_some() {
                continue;
            }
            // RFC 2464 §6: for Ethernet it is one unit long.
            let &[_, 1, a, b, c, d, e, f] = option else { return Err(Rule::NdpMalformed) };
            let mac = Mac([a, b, c, d, e, f]);
            if mac.is_group() || mac.0 == [0; 6] || mac == self.mac {
                return Err(Rule::NdpMalformed);
            }
            found = Some(mac);
        }
        Ok(found)
    }
}

/// The options of a neighbour message, one after the other, from their types on. Ends with an error where a length is
/// wrong (RFC 4861 §4.6).
pub(super) struct Options<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Result<&'a [u8], Rule>;

    fn next(&mut self) -> Option<Self::Item> {
        let &units = match self.0 {
            [] => return None,
            [_, units, ..] => units,
            [_] => &0,
        };
        match self.0.split_at_checked(usize::from(units) * 8) {
            Some((option, rest)) if units > 0 => {
                self.0 = rest;
                Some(Ok(option))
            }
            _ => {
                self.0 = &[];
                Some(Err(Rule::NdpMalformed))
            }
        }
    }
}

/// Is there a router? (RFC 4861 §4.1)
pub(super) fn solicit_routers(mac: Mac, source: Ipv6Addr, out: &mut Frames) {
    let lladdr = Some(EthernetAddress(mac.0).into());
    let message = Message { source, destination: ALL_ROUTERS, ndp: NdiscRepr::RouterSolicit { lladdr } };
    message.push(out, group_mac(ALL_ROUTERS), mac, Fate::nobody(Rule::NdpRouterSolicit));
}

/// Who has `address`? Asked of its group, or of the one who had it.
pub(super) fn solicit(mac: Mac, source: Ipv6Addr, address: Ipv6Addr, to: Option<Mac>, out: &mut Frames) {
    let (rule, destination) = match to {
        Some(_) => (Rule::NdpProbe, address),
        None => (Rule::NdpSolicit, solicited_node(address)),
    };
    let lladdr = Some(EthernetAddress(mac.0).into());
    let question = NdiscRepr::NeighborSolicit { target_addr: address, lladdr };
    let to = to.unwrap_or(group_mac(destination));
    Message { source, destination, ndp: question }.push(out, to, mac, Fate::nobody(rule));
}

/// Has anybody `address`? From ::, so that no cache learns it yet (RFC 4862 §5.4.2).
pub(super) fn probe(mac: Mac, address: Ipv6Addr, out: &mut Frames) {
    let destination = solicited_node(address);
    let question = NdiscRepr::NeighborSolicit { target_addr: address, lladdr: None };
    let message = Message { source: Ipv6Addr::UNSPECIFIED, destination, ndp: question };
    message.push(out, group_mac(destination), mac, Fate::nobody(Rule::NdpDad));
}

/// `address` is here (RFC 4861 §7.2.6).
pub(super) fn announce(mac: Mac, address: Ipv6Addr, out: &mut Frames) {
    let message = Message::advertisement(mac, address, ALL_NODES, NdiscNeighborFlags::OVERRIDE);
    message.push(out, group_mac(ALL_NODES), mac, Fate::nobody(Rule::NdpAdvertise));
}

/// A message of ours with its IPv6 header.
struct Message {
    source: Ipv6Addr,
    destination: Ipv6Addr,
    ndp: NdiscRepr<'static>,
}

impl Message {
    fn advertisement(mac: Mac, target: Ipv6Addr, destination: Ipv6Addr, flags: NdiscNeighborFlags) -> Message {
        let lladdr = Some(EthernetAddress(mac.0).into());
        let ndp = NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr };
        Message { source: target, destination, ndp }
    }

    fn header(&self) -> Ipv6Repr {
        Ipv6Repr {
            src_addr: self.source,
            dst_addr: self.destination,
            next_header: IpProtocol::Icmpv6,
            payload_len: self.ndp.buffer_len(),
            hop_limit: 255,
        }
    }

    fn len(&self) -> usize {
        self.header().buffer_len() + self.ndp.buffer_len()
    }

    fn write(&self, bytes: &mut [u8]) {
        let mut packet = Ipv6Packet::new_unchecked(bytes);
        self.header().emit(&mut packet);
        let mut message = Icmpv6Packet::new_unchecked(packet.payload_mut());
        let checksums = ChecksumCapabilities::default();
        Icmpv6Repr::Ndisc(self.ndp).emit(&self.source, &self.destination, &mut message, &checksums);
    }

    fn push(&self, out: &mut Frames, to: Mac, from: Mac, fate: Fate) {
        ethernet::push(out, to, from, EthernetProtocol::Ipv6, self.len(), fate, |bytes| self.write(bytes));
    }
}

/// The group in which every station with this address listens (RFC 4291 §2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from_octets([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The Ethernet address of a group that is known to be one.
fn group_mac(group: Ipv6Addr) -> Mac {
    ethernet::group(group.into()).unwrap_or(Mac::BROADCAST)
}
