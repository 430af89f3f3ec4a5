//! ICMP (RFC 792) and ICMPv6 (RFC 4443, RFC 4861) in words.

use std::fmt;
use std::net::Ipv6Addr;

use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice, NdpOptionsIterator, NeighborAdvertisementHeader};
use etherparse::{Icmpv4Slice, Icmpv6Slice, LaxSlicedPacket, icmpv4, icmpv6};

use super::frame::{Between, Named, Station};

/// A message of ICMP for IPv4.
pub(super) struct Icmp4<'a>(pub(super) &'a Icmpv4Slice<'a>);

impl fmt::Display for Icmp4<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, code) = (self.0.type_u8(), self.0.code_u8());
        let rest = self.0.bytes5to8();
        let after = self.0.slice().get(8..).unwrap_or_default();
        match kind {
            icmpv4::TYPE_ECHO_REQUEST => Echo("request", rest, after.len()).fmt(f),
            icmpv4::TYPE_ECHO_REPLY => Echo("reply", rest, after.len()).fmt(f),
            icmpv4::TYPE_DEST_UNREACH => {
                let what = match code {
                    0 => "network unreachable",
                    1 => "host unreachable",
                    2 => "protocol unreachable",
                    3 => "port unreachable",
                    4 => "fragmentation needed",
                    5 => "source route failed",
                    9 | 10 | 13 => "administratively prohibited",
                    _ => "destination unreachable",
                };
                write!(f, "{what} ({kind}/{code})")?;
                if code == 4 {
                    write!(f, " mtu {}", u16::from_be_bytes([rest[2], rest[3]]))?;
                }
                Quote(after).fmt(f)
            }
            icmpv4::TYPE_TIME_EXCEEDED => {
                let what = if code == 1 { "reassembly time exceeded" } else { "TTL exceeded" };
                write!(f, "{what} ({kind}/{code}){}", Quote(after))
            }
            icmpv4::TYPE_PARAMETER_PROBLEM => {
                write!(f, "parameter problem ({kind}/{code}) at byte {}{}", rest[0], Quote(after))
            }
            icmpv4::TYPE_REDIRECT => write!(f, "redirect ({kind}/{code}){}", Quote(after)),
            icmpv4::TYPE_TIMESTAMP => Echo("timestamp request", rest, after.len()).fmt(f),
            icmpv4::TYPE_TIMESTAMP_REPLY => Echo("timestamp reply", rest, after.len()).fmt(f),
            _ => write!(f, "type {kind} code {code} len {}", after.len()),
        }
    }
}

/// A message of ICMPv6, neighbour discovery included.
pub(super) struct Icmp6<'a>(pub(super) &'a Icmpv6Slice<'a>);

impl fmt::Display for Icmp6<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, code) = (self.0.type_u8(), self.0.code_u8());
        let rest = self.0.bytes5to8();
        let after = self.0.slice().get(8..).unwrap_or_default();
        let value = u32::from_be_bytes(rest);
        match kind {
            icmpv6::TYPE_ECHO_REQUEST => Echo("request", rest, after.len()).fmt(f),
            icmpv6::TYPE_ECHO_REPLY => Echo("reply", rest, after.len()).fmt(f),
            icmpv6::TYPE_DST_UNREACH => {
                let what = match code {
                    0 => "no route to the destination",
                    1 => "administratively prohibited",
                    3 => "address unreachable",
                    4 => "port unreachable",
                    _ => "destination unreachable",
                };
                write!(f, "{what} ({kind}/{code}){}", Quote(after))
            }
            icmpv6::TYPE_PACKET_TOO_BIG => write!(f, "packet too big ({kind}/{code}) mtu {value}{}", Quote(after)),
            icmpv6::TYPE_TIME_EXCEEDED => {
                let what = if code == 1 { "reassembly time exceeded" } else { "hop limit exceeded" };
                write!(f, "{what} ({kind}/{code}){}", Quote(after))
            }
            icmpv6::TYPE_PARAMETER_PROBLEM => {
                write!(f, "parameter problem ({kind}/{code}) at byte {value}{}", Quote(after))
            }
            130 => write!(f, "multicast listener query len {}", after.len()),
            131 | 143 => write!(f, "multicast listener report len {}", after.len()),
            132 => write!(f, "multicast listener done len {}", after.len()),
            icmpv6::TYPE_ROUTER_SOLICITATION => f.write_str("router solicitation"),
            _ => match self.0.payload_slice() {
                Ok(Icmpv6PayloadSlice::NeighborSolicitation(message)) => {
                    write!(f, "neighbour solicitation: who has {}?", message.target_address())?;
                    match link_address(message.options_iterator()) {
                        Some(station) => write!(f, " tell {station}"),
                        None => Ok(()), // a probe of the asker's own address (RFC 4862 §5.4.2), or a unicast one
                    }
                }
                Ok(Icmpv6PayloadSlice::NeighborAdvertisement(message)) => {
                    write!(f, "neighbour advertisement: {} is", message.target_address())?;
                    match link_address(message.options_iterator()) {
                        Some(station) => write!(f, " at {station}")?,
                        None => f.write_str(" here")?,
                    }
                    let flags = NeighborAdvertisementHeader::from_bytes(rest);
                    let set =
                        [(flags.router, "router"), (flags.solicited, "solicited"), (flags.r#override, "override")];
                    for (_, flag) in set.iter().filter(|(set, _)| *set) {
                        write!(f, " {flag}")?;
                    }
                    Ok(())
                }
                Ok(Icmpv6PayloadSlice::RouterAdvertisement(message)) => {
                    f.write_str("router advertisement: ")?;
                    match u16::from_be_bytes([rest[2], rest[3]]) {
                        0 => f.write_str("no default router")?,
                        lifetime => write!(f, "a default router for {lifetime} s")?,
                    }
                    Offered(message.options()).fmt(f)
                }
                Ok(Icmpv6PayloadSlice::Redirect(message)) => {
                    write!(f, "redirect: {} is behind {}", message.destination_address(), message.target_address())
                }
                _ => write!(f, "type {kind} code {code} len {}", after.len()),
            },
        }
    }
}

/// The prefixes and the MTU that a router tells of, as far as its options can be read.
struct Offered<'a>(&'a [u8]);

impl fmt::Display for Offered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for option in NdpOptionsIterator::from_slice(self.0).map_while(Result::ok) {
            match option {
                NdpOptionSlice::PrefixInformation(prefix) => {
                    let network = Ipv6Addr::from_octets(prefix.prefix());
                    write!(f, ", prefix {network}/{}", prefix.prefix_length())?;
                    let set =
                        [(prefix.on_link(), " on-link"), (prefix.autonomous_address_configuration(), " autonomous")];
                    set.iter().filter(|(set, _)| *set).try_for_each(|(_, flag)| f.write_str(flag))?;
                    for (name, seconds) in
                        [("valid", prefix.valid_lifetime()), ("preferred", prefix.preferred_lifetime())]
                    {
                        match seconds {
                            u32::MAX => write!(f, " {name} for ever")?,
                            seconds => write!(f, " {name} {seconds} s")?,
                        }
                    }
                }
                NdpOptionSlice::Mtu(option) => write!(f, ", mtu {}", option.mtu())?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The first link-layer address among the options of a neighbour message.
fn link_address(options: NdpOptionsIterator<'_>) -> Option<Station> {
    options.map_while(Result::ok).find_map(|option| {
        let address = match &option {
            NdpOptionSlice::SourceLinkLayerAddress(option) => option.link_layer_address(),
            NdpOptionSlice::TargetLinkLayerAddress(option) => option.link_layer_address(),
            _ => return None,
        };
        address.first_chunk().copied().map(Station)
    })
}

/// Kind, identifier and sequence number, length of the data.
struct Echo(&'static str, [u8; 4], usize);

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Echo(kind, [a, b, c, d], length) = *self;
        let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let echo = if kind.starts_with("timestamp") { "" } else { "echo " };
        write!(f, "{echo}{kind} id {id} seq {sequence} len {length}")
    }
}

/// The packet that an error is about, as far as it is quoted.
struct Quote<'a>(&'a [u8]);

impl fmt::Display for Quote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packet = LaxSlicedPacket::from_ip(self.0).ok();
        let Some(net) = packet.as_ref().and_then(|packet| packet.net.as_ref()) else {
            return f.write_str(", quoting nothing that can be decoded");
        };
        match (Between::of(net), net.ip_payload_ref()) {
            (Some(between), Some(payload)) => write!(f, ", quoting {} {between}", Named(payload.ip_number)),
            _ => Ok(()),
        }
    }
}
