use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet,
    NdiscNeighborFlags, NdiscRepr,
};

use super::ethernet::HEADER;
use super::*;
use crate::config::Cidr;

mod arp;
mod ethernet;
mod hostile;
mod ndp;
mod neighbour;
mod router;

const US: Mac = Mac([0x02, 0, 0x5e, 0x10, 0, 1]);
const PEER: Mac = Mac([0x02, 0, 0, 0, 0, 0x64]);
const OTHER: Mac = Mac([0x02, 0, 0, 0, 0, 0x77]);
const V4: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 1);
const PEER4: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 100);
const V6: Ipv6Addr = Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 1);
const PEER6: Ipv6Addr = Ipv6Addr::new(0xfd69, 0, 0, 0, 0, 0, 0, 0x100);
const SECOND: Duration = Duration::from_secs(1);
const FATE: Fate = Fate::nobody(Rule::IcmpEcho);

/// A link with its clock.
struct Station {
    link: Link,
    now: Time,
    out: Frames,
}

/// One frame that the link sent, with every checksum and length verified.
#[derive(Debug, PartialEq)]
enum Sent {
    Arp { to: Mac, rule: Rule, repr: ArpRepr },
    Ndp { to: Mac, rule: Rule, source: Ipv6Addr, destination: Ipv6Addr, repr: NdiscRepr<'static> },
    Data { to: Mac, packet: Vec<u8> },
}

impl Station {
    /// Without an address.
    fn bare(limits: &Limits) -> Station {
        Station { link: Link::new(US, 1500, limits, [3, 5]), now: Time::ZERO, out: Frames::new() }
    }

    /// With both addresses in use, and quiet.
    fn new() -> Station {
        Station::with(&Limits::default())
    }

    fn with(limits: &Limits) -> Station {
        let mut station = Station::bare(limits);
        for address in [IpAddr::V4(V4), IpAddr::V6(V6)] {
            station.link.add_address(station.now, address, Duration::ZERO, &mut station.out);
        }
        station.out.clear();
        station.notices();
        station
    }

    fn receive<'f>(&mut self, frame: &'f [u8]) -> Result<Received<'f>, Rule> {
        self.link.receive(self.now, frame, &mut self.out)
    }

    /// Receives what the link is to deal with itself; gives the rule either way.
    fn done(&mut self, frame: &[u8]) -> Result<Rule, Rule> {
        match self.receive(frame)? {
            Received::Done(rule) => Ok(rule),
            Received::Ip { .. } => panic!("an IP packet"),
        }
    }

    /// Receives a neighbour message as `ip` and `stack` would hand it back.
    fn neighbour(&mut self, frame: &[u8]) -> Result<Rule, Rule> {
        let Received::Ip { packet, .. } = self.receive(frame)? else { panic!("not IP") };
        let packet = Ipv6Packet::new_checked(packet).unwrap();
        let message = NeighbourMessage {
            source: packet.src_addr(),
            destination: packet.dst_addr(),
            hop_limit: packet.hop_limit(),
            body: packet.payload(),
        };
        self.link.neighbour_message(self.now, message, &mut self.out)
    }

    fn send(&mut self, to: impl Into<IpAddr>, packet: &[u8]) -> Result<(), Rule> {
        self.link.send(self.now, to.into(), packet.len(), FATE, &mut self.out, |bytes| bytes.copy_from_slice(packet))
    }

    /// Lets time pass, with a poll at every deadline on the way.
    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.link.deadline().filter(|&due| due <= end) {
            assert!(due > self.now || due == Time::ZERO, "a deadline that a poll does not move");
            self.now = due;
            self.link.poll(self.now, &mut self.out);
        }
        self.now = end;
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.link.notices().collect()
    }

    /// What was sent since the last look.
    fn sent(&mut self) -> Vec<Sent> {
        let sent = self.out.iter().map(|(frame, fate)| decode(frame, fate)).collect();
        self.out.clear();
        sent
    }
}

fn decode(frame: &[u8], fate: &Fate) -> Sent {
    let frame = EthernetFrame::new_checked(frame).unwrap();
    assert_eq!(frame.src_addr().0, US.0);
    let to = Mac(frame.dst_addr().0);
    if *fate == FATE {
        return Sent::Data { to, packet: frame.payload().to_vec() };
    }
    let rule = fate.rule.expect("a frame of nobody has a rule");
    match frame.ethertype() {
        EthernetProtocol::Arp => {
            assert_eq!(frame.payload().len(), 28);
            let repr = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()).unwrap();
            Sent::Arp { to, rule, repr }
        }
        EthernetProtocol::Ipv6 => {
            let packet = Ipv6Packet::new_checked(frame.payload()).unwrap();
            assert_eq!((packet.version(), packet.traffic_class(), packet.flow_label()), (6, 0, 0));
            assert_eq!((packet.hop_limit(), packet.next_header()), (255, IpProtocol::Icmpv6));
            assert_eq!(packet.total_len(), frame.payload().len());
            let (source, destination) = (packet.src_addr(), packet.dst_addr());
            let message = Icmpv6Packet::new_checked(packet.payload()).unwrap();
            assert!(message.verify_checksum(&source, &destination));
            match NdiscRepr::parse(&message).unwrap() {
                NdiscRepr::NeighborSolicit { target_addr, lladdr } => {
                    let repr = NdiscRepr::NeighborSolicit { target_addr, lladdr };
                    Sent::Ndp { to, rule, source, destination, repr }
                }
                NdiscRepr::NeighborAdvert { flags, target_addr, lladdr } => {
                    let repr = NdiscRepr::NeighborAdvert { flags, target_addr, lladdr };
                    Sent::Ndp { to, rule, source, destination, repr }
                }
                NdiscRepr::RouterSolicit { lladdr } => {
                    let repr = NdiscRepr::RouterSolicit { lladdr };
                    Sent::Ndp { to, rule, source, destination, repr }
                }
                other => panic!("{other:?}"),
            }
        }
        other => panic!("{other}"),
    }
}

fn ethernet(destination: Mac, source: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&destination.0[..], &source.0, &kind.to_be_bytes(), payload].concat()
}

fn arp_message(operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> ArpRepr {
    ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(sender.0.0),
        source_protocol_addr: sender.1,
        target_hardware_addr: EthernetAddress(target.0.0),
        target_protocol_addr: target.1,
    }
}

/// An ARP frame from `sender`'s station.
fn arp_frame(destination: Mac, operation: ArpOperation, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> Vec<u8> {
    let mut payload = [0; 28];
    arp_message(operation, sender, target).emit(&mut ArpPacket::new_unchecked(&mut payload[..]));
    // As a real card does, with padding to 60 bytes.
    ethernet(destination, sender.0, 0x0806, &[&payload[..], &[0; 18]].concat())
}

/// Who has `target`? Asked by the peer.
fn request(target: Ipv4Addr) -> Vec<u8> {
    arp_frame(Mac::BROADCAST, ArpOperation::Request, (PEER, PEER4), (Mac([0; 6]), target))
}

/// The peer's answer to us.
fn reply(mac: Mac) -> Vec<u8> {
    arp_frame(US, ArpOperation::Reply, (mac, PEER4), (US, V4))
}

/// An IPv6 frame with an ICMPv6 message, whose checksum is right.
fn icmp_frame(
    destination_mac: Mac,
    source_mac: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    hop_limit: u8,
    body: &[u8],
) -> Vec<u8> {
    let mut packet = vec![0; 40 + body.len()];
    packet[0] = 0x60;
    packet[4..6].copy_from_slice(&(body.len() as u16).to_be_bytes());
    packet[6] = 58;
    packet[7] = hop_limit;
    packet[8..24].copy_from_slice(&source.octets());
    packet[24..40].copy_from_slice(&destination.octets());
    packet[40..].copy_from_slice(body);
    if body.len() >= 4 {
        Icmpv6Packet::new_unchecked(&mut packet[40..]).fill_checksum(&source, &destination);
    }
    ethernet(destination_mac, source_mac, 0x86dd, &packet)
}

fn ndp_body(repr: NdiscRepr<'_>) -> Vec<u8> {
    let mut body = vec![0; repr.buffer_len()];
    let checksums = smoltcp::phy::ChecksumCapabilities::ignored();
    Icmpv6Repr::Ndisc(repr).emit(&V6, &V6, &mut Icmpv6Packet::new_unchecked(&mut body[..]), &checksums);
    body
}

fn ns_body(target: Ipv6Addr, link: Option<Mac>) -> Vec<u8> {
    let lladdr = link.map(|mac| EthernetAddress(mac.0).into());
    ndp_body(NdiscRepr::NeighborSolicit { target_addr: target, lladdr })
}

fn na_body(target: Ipv6Addr, flags: NdiscNeighborFlags, link: Option<Mac>) -> Vec<u8> {
    let lladdr = link.map(|mac| EthernetAddress(mac.0).into());
    ndp_body(NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr })
}

fn group_of(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = target.octets();
    Ipv6Addr::from_octets([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

/// The peer asks for `target`, as Linux does.
fn solicitation(target: Ipv6Addr) -> Vec<u8> {
    let group = group_of(target);
    let mac = super::ethernet::group(group.into()).unwrap();
    icmp_frame(mac, PEER, PEER6, group, 255, &ns_body(target, Some(PEER)))
}

/// The peer answers us.
fn advertisement(flags: NdiscNeighborFlags, link: Option<Mac>) -> Vec<u8> {
    icmp_frame(US, link.unwrap_or(PEER), PEER6, V6, 255, &na_body(PEER6, flags, link))
}

fn answered() -> NdiscNeighborFlags {
    NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE
}

/// An IPv4 packet of ours, as far as the link looks at it.
fn packet4(number: u8) -> Vec<u8> {
    let mut packet = vec![number; 40];
    packet[0] = 0x45;
    packet[12..16].copy_from_slice(&V4.octets());
    packet
}

fn packet6(number: u8) -> Vec<u8> {
    let mut packet = vec![number; 60];
    packet[0] = 0x60;
    packet[8..24].copy_from_slice(&V6.octets());
    packet
}
