//! The layers of a frame, one line for each.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use etherparse::{EtherType, Ipv6ExtensionSlice, LaxIpv4Slice, LaxIpv6Slice, LaxNetSlice, TransportSlice, UdpSlice};

use super::arp::{Arp, ArpFields};
use super::checksum::Checksum;
use super::dhcp::Dhcp;
use super::frame::{Frame, Hex, Named, Stations, between, bytes_of, extensions, fragment};
use super::icmp::{Icmp4, Icmp6};
use super::reason::Owner;
use super::tcp::{Header, Scale};
use crate::observe::{Direction, Fate};

/// Under the level and its blanks, `trace  `, and four more.
const NEXT: &str = "\n           ";

/// A frame from its first byte to its owner. Its text has several lines; see the module for how they are aligned.
pub(super) struct Layers<'a> {
    pub(super) direction: Direction,
    pub(super) frame: &'a Frame<'a>,
    pub(super) fate: &'a Fate,
}

impl fmt::Display for Layers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.frame.is_local { "    lo  no Ethernet header on the loopback" } else { "    eth " })?;
        if let Some(ethernet) = self.frame.ethernet() {
            write!(f, "{}  {}", Stations::of(ethernet), Kind(ethernet.ether_type()))?;
            for vlan in self.frame.vlans() {
                write!(f, "{NEXT}vlan {vlan}")?;
            }
        }
        match self.frame.net() {
            Some(LaxNetSlice::Arp(packet)) => {
                write!(f, "{NEXT}arp {}{NEXT}    {}", Arp(packet), ArpFields(packet))?;
                write!(f, "{NEXT}    ARP carries no checksum")?;
            }
            Some(net @ LaxNetSlice::Ipv4(ip)) => {
                fmt_ip4(f, ip)?;
                self.fmt_payload(f, net)?;
            }
            Some(net @ LaxNetSlice::Ipv6(ip)) => {
                fmt_ip6(f, ip)?;
                self.fmt_payload(f, net)?;
            }
            None => {}
        }
        match self.frame.stopped() {
            Some(stopped) if self.frame.ethernet().is_none() && !self.frame.is_local => write!(f, "{stopped}")?,
            Some(stopped) => write!(f, "{NEXT}{stopped}")?,
            None => {}
        }
        write!(f, "{NEXT}{}", Owner { direction: self.direction, frame: self.frame, fate: self.fate })
    }
}

impl Layers<'_> {
    fn fmt_payload(&self, f: &mut fmt::Formatter<'_>, net: &LaxNetSlice<'_>) -> fmt::Result {
        let (Some(between), Some(payload)) = (between(net), net.ip_payload_ref()) else { return Ok(()) };
        if let Some(fragment) = fragment(net) {
            write!(f, "{NEXT}{} {fragment}: ", Named(payload.ip_number))?;
            return f.write_str("its checksum can be verified when all are together");
        }
        match self.frame.transport() {
            Some(TransportSlice::Tcp(tcp)) => {
                write!(f, "{NEXT}tcp {} > {}", tcp.source_port(), tcp.destination_port())?;
                fmt_checksum(f, Checksum::of_tcp(between, tcp.slice()))?;
                let (scale, direction) = (Scale::of(self.direction, self.fate.numbers, tcp), self.direction);
                write!(f, "{NEXT}    {}", Header { tcp, scale: &scale, direction })?;
                fmt_data(f, tcp.payload())
            }
            Some(TransportSlice::Udp(udp)) => {
                fmt_udp(f, between, udp)?;
                match Dhcp::of(udp) {
                    Some(dhcp) => write!(f, "{NEXT}{dhcp}"),
                    None => fmt_data(f, udp.payload()),
                }
            }
            Some(TransportSlice::Icmpv4(message)) => {
                write!(f, "{NEXT}icmp {}", Icmp4(message))?;
                fmt_checksum(f, Checksum::of_message(message.slice()))
            }
            Some(TransportSlice::Icmpv6(message)) => {
                write!(f, "{NEXT}icmp6 {}", Icmp6(message))?;
                fmt_checksum(f, Checksum::of_icmp6(between, message.slice()))
            }
            Some(TransportSlice::Igmp(_)) => {
                write!(f, "{NEXT}igmp len {}", payload.payload.len())?;
                fmt_checksum(f, Checksum::of_message(payload.payload))
            }
            None if self.frame.stopped().is_some() => Ok(()), // said at the end
            None => write!(f, "{NEXT}{} {}", Named(payload.ip_number), Hex(payload.payload)),
        }
    }
}

fn fmt_checksum(f: &mut fmt::Formatter<'_>, checksum: Option<Checksum>) -> fmt::Result {
    checksum.map_or(Ok(()), |checksum| write!(f, " · checksum {checksum}"))
}

fn fmt_ip4(f: &mut fmt::Formatter<'_>, ip: &LaxIpv4Slice<'_>) -> fmt::Result {
    let header = ip.header();
    write!(f, "{NEXT}ip4 {} > {}", header.source_addr(), header.destination_addr())?;
    write!(f, " ttl {} len {}", header.ttl(), header.total_len())?;
    if header.identification() != 0 {
        write!(f, " id {:#06x}", header.identification())?;
    }
    if header.dont_fragment() {
        f.write_str(" DF")?;
    }
    let service = header.slice()[1];
    if service != 0 {
        write!(f, " tos {service:#04x}")?;
    }
    if !header.options().is_empty() {
        write!(f, " options {}", Hex(header.options()))?;
    }
    if ip.payload().incomplete {
        write!(f, " but only {} are there", header.slice().len() + ip.payload().payload.len())?;
    }
    match Checksum::of_header(header.slice()) {
        Some(checksum) => write!(f, " · header checksum {checksum}"),
        None => Ok(()),
    }
}

fn fmt_ip6(f: &mut fmt::Formatter<'_>, ip: &LaxIpv6Slice<'_>) -> fmt::Result {
    let header = ip.header();
    write!(f, "{NEXT}ip6 {} > {}", header.source_addr(), header.destination_addr())?;
    write!(f, " hop limit {} payload {}", header.hop_limit(), header.payload_length())?;
    if header.traffic_class() != 0 {
        write!(f, " class {:#04x}", header.traffic_class())?;
    }
    if header.flow_label().value() != 0 {
        write!(f, " flow {:#07x}", header.flow_label().value())?;
    }
    if ip.payload().incomplete {
        write!(f, " but only {} are there", ip.extensions().slice().len() + ip.payload().payload.len())?;
    }
    f.write_str(" · IPv6 has no header checksum")?;
    for extension in extensions(ip) {
        let name = match &extension {
            Ipv6ExtensionSlice::HopByHop(_) => "hop-by-hop options",
            Ipv6ExtensionSlice::Routing(_) => "routing header",
            Ipv6ExtensionSlice::Fragment(_) => "fragment header",
            Ipv6ExtensionSlice::DestinationOptions(_) => "destination options",
            Ipv6ExtensionSlice::Authentication(_) => "authentication header",
        };
        write!(f, "{NEXT}    {name} {}", Hex(bytes_of(&extension)))?;
    }
    Ok(())
}

fn fmt_udp(f: &mut fmt::Formatter<'_>, between: (IpAddr, IpAddr), udp: &UdpSlice<'_>) -> fmt::Result {
    write!(f, "{NEXT}udp {} > {} len {}", udp.source_port(), udp.destination_port(), udp.length())?;
    let there = udp.slice().len();
    if usize::from(udp.length()) != there {
        return write!(f, " but {there} are there · checksum {:#06x} cannot be verified", udp.checksum());
    }
    if udp.checksum() == 0 && between.0.is_ipv4() {
        return f.write_str(" · checksum none carried, as RFC 768 allows over IPv4");
    }
    fmt_checksum(f, Checksum::of_udp(between, udp.slice()))
}

/// The payload's length and its beginning, as numbers and as far as it can be read.
fn fmt_data(f: &mut fmt::Formatter<'_>, data: &[u8]) -> fmt::Result {
    if data.is_empty() {
        return Ok(());
    }
    write!(f, "{NEXT}    data {} · \"", Hex(data))?;
    for &byte in data.iter().take(16) {
        let printable = byte == b' ' || byte.is_ascii_graphic();
        f.write_char(if printable { byte.into() } else { '.' })?;
    }
    f.write_str("\"")
}

/// `0x0800 IPv4`
struct Kind(EtherType);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            EtherType::IPV4 => " IPv4",
            EtherType::IPV6 => " IPv6",
            EtherType::ARP => " ARP",
            EtherType::VLAN_TAGGED_FRAME | EtherType::PROVIDER_BRIDGING => " VLAN",
            _ => "",
        };
        write!(f, "{:#06x}{name}", self.0.0)
    }
}
