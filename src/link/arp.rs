//! ARP (RFC 826), with the care of RFC 5227 for addresses that two stations want.

use std::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetProtocol};

use super::neighbour::Answer;
use super::{Frames, Link, ethernet};
use crate::config::Mac;
use crate::observe::{Fate, Rule, Time};

const NOBODY: Mac = Mac([0; 6]);

/// A well-formed ARP packet.
struct Packet {
    operation: ArpOperation,
    sender_mac: Mac,
    sender: Ipv4Addr,
    target: Ipv4Addr,
}

impl Packet {
    fn parse(packet: &[u8]) -> Result<Packet, Rule> {
        let packet = ArpPacket::new_checked(packet).map_err(|_| Rule::ArpMalformed)?;
        match ArpRepr::parse(&packet) {
            Ok(ArpRepr::EthernetIpv4 {
                operation: operation @ (ArpOperation::Request | ArpOperation::Reply),
                source_hardware_addr,
                source_protocol_addr,
                target_protocol_addr,
                ..
            }) => Ok(Packet {
                operation,
                sender_mac: Mac(source_hardware_addr.0),
                sender: source_protocol_addr,
                target: target_protocol_addr,
            }),
            _ => Err(Rule::ArpMalformed),
        }
    }

    /// Whether the sender can be a station. One without an address yet may ask (RFC 5227 §1.1), not answer.
    fn has_a_possible_sender(&self, own: Mac) -> bool {
        let address = self.sender;
        let unspecified = self.operation == ArpOperation::Request && address.is_unspecified();
        let host =
            address.octets()[0] != 0 && !address.is_multicast() && !address.is_broadcast() && !address.is_loopback();
        let mac = self.sender_mac;
        (unspecified || host) && !mac.is_group() && mac != NOBODY && mac != own
    }

    /// Whether it says "this is where I am" to whom it may concern (RFC 5227 §3).
    fn is_announcement(&self) -> bool {
        self.sender == self.target
    }
}

impl Link {
    /// Deals with an ARP packet and says how.
    pub(super) fn receive_arp(&mut self, now: Time, packet: &[u8], out: &mut Frames) -> Result<Rule, Rule> {
        let packet = Packet::parse(packet)?;
        if !packet.has_a_possible_sender(self.mac) {
            return Err(Rule::ArpSource);
        }
        let (sender, target) = (IpAddr::V4(packet.sender), IpAddr::V4(packet.target));
        if self.addresses.is_preferred(sender) {
            self.conflict(now, sender, packet.sender_mac, out);
            return Ok(Rule::ArpConflict);
        }
        // Somebody has it, or asks about it at the same moment as we do (RFC 5227 §2.1.1).
        let probed = packet.operation == ArpOperation::Request && packet.sender.is_unspecified();
        for wanted in [Some(sender), probed.then_some(target)].into_iter().flatten() {
            if self.addresses.is_tentative(wanted) {
                self.duplicate(wanted, packet.sender_mac);
                return Ok(Rule::ArpConflict);
            }
        }
        match packet.operation {
            ArpOperation::Reply if !packet.is_announcement() => self.arp_reply(now, &packet, out),
            _ => self.arp_request(now, &packet, out),
        }
    }

    /// A request, or an announcement of either kind.
    fn arp_request(&mut self, now: Time, packet: &Packet, out: &mut Frames) -> Result<Rule, Rule> {
        let (sender, target) = (IpAddr::V4(packet.sender), IpAddr::V4(packet.target));
        let for_us = self.addresses.is_preferred(target);
        let mut learned = false;
        if !packet.sender.is_unspecified() {
            // RFC 826's merge: who is known is updated by any request, who is not only by one for us.
            let create = for_us.then_some(target);
            let waiting;
            (learned, waiting) = self.neighbours.heard(now, sender, packet.sender_mac, create, &mut self.notices);
            self.release(sender, packet.sender_mac, waiting, out);
        }
        if for_us {
            let fate = Fate::nobody(Rule::ArpAnswered);
            let reply = message(ArpOperation::Reply, (self.mac, packet.target), (packet.sender_mac, packet.sender));
            push(out, packet.sender_mac, self.mac, fate, reply);
            return Ok(Rule::ArpAnswered);
        }
        if learned { Ok(Rule::ArpLearned) } else { Err(Rule::ArpForeign) }
    }

    fn arp_reply(&mut self, now: Time, packet: &Packet, out: &mut Frames) -> Result<Rule, Rule> {
        let (sender, target) = (IpAddr::V4(packet.sender), IpAddr::V4(packet.target));
        if !self.addresses.is_preferred(target) {
            return Err(Rule::ArpForeign);
        }
        if !self.neighbours.asked(sender) {
            return Err(Rule::ArpUnasked);
        }
        let answer = Answer { mac: Some(packet.sender_mac), solicited: true, overriding: true };
        let waiting = self.neighbours.answered(now, sender, answer, &mut self.notices).map_err(|_| Rule::ArpUnasked)?;
        self.release(sender, packet.sender_mac, waiting, out);
        Ok(Rule::ArpLearned)
    }
}

/// Who has `address`? Asked of everybody, or as a unicast poll (RFC 1122 §2.3.2.1) of the one who had it.
pub(super) fn solicit(mac: Mac, source: Ipv4Addr, address: Ipv4Addr, to: Option<Mac>, out: &mut Frames) {
    let rule = if to.is_some() { Rule::ArpPoll } else { Rule::ArpRequest };
    let request = message(ArpOperation::Request, (mac, source), (NOBODY, address));
    push(out, to.unwrap_or(Mac::BROADCAST), mac, Fate::nobody(rule), request);
}

/// Has anybody `address`? From 0.0.0.0, so that no cache learns it yet (RFC 5227 §2.1.1).
pub(super) fn probe(mac: Mac, address: Ipv4Addr, out: &mut Frames) {
    let request = message(ArpOperation::Request, (mac, Ipv4Addr::UNSPECIFIED), (NOBODY, address));
    push(out, Mac::BROADCAST, mac, Fate::nobody(Rule::ArpProbe), request);
}

/// `address` is here (RFC 5227 §2.3).
pub(super) fn announce(mac: Mac, address: Ipv4Addr, out: &mut Frames) {
    let request = message(ArpOperation::Request, (mac, address), (NOBODY, address));
    push(out, Mac::BROADCAST, mac, Fate::nobody(Rule::ArpAnnounce), request);
}

fn message(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(sender.0.0),
        source_protocol_addr: sender.1,
        target_hardware_addr: EthernetAddress(target.0.0),
        target_protocol_addr: target.1,
    }
}

fn push(out: &mut Frames, to: Mac, from: Mac, fate: Fate, message: ArpRepr) {
    ethernet::push(out, to, from, EthernetProtocol::Arp, message.buffer_len(), fate, |bytes| {
        message.emit(&mut ArpPacket::new_unchecked(bytes));
    });
}
