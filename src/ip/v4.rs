//! Is this IPv4 packet whole, and is it for us? (RFC 791, RFC 1122 §3.2.1)

use std::net::Ipv4Addr;

use smoltcp::wire::{IPV4_HEADER_LEN, Ipv4Packet};

use super::address::{Addresses, Martian};
use super::checksum;
use super::group::Groups;
use super::packet::{Packet, Way, protocol};
use super::reassembly::{Fragment, Key};
use crate::observe::{Cast, Rule};

const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;

/// Checks everything up to the payload. TTL 0 and 1 are as good as any: we are where the packet wants to be.
pub(super) fn validate<'p>(
    bytes: &'p [u8],
    way: Way,
    addresses: &Addresses,
    groups: &Groups,
) -> Result<Packet<'p>, Rule> {
    if bytes.len() < IPV4_HEADER_LEN {
        return Err(Rule::Ip4Truncated);
    }
    let header = Ipv4Packet::new_unchecked(bytes);
    if header.version() != 4 {
        return Err(Rule::Ip4Version);
    }
    let header_length = usize::from(header.header_len());
    if header_length < IPV4_HEADER_LEN || header_length > bytes.len() {
        return Err(Rule::Ip4HeaderLength);
    }
    // Before the total length, because a damaged length is explained best by the checksum.
    if checksum::of(&bytes[..header_length]) != 0 {
        return Err(Rule::Ip4HeaderChecksum);
    }
    let total_length = usize::from(header.total_len());
    if total_length < header_length || total_length > bytes.len() {
        return Err(Rule::Ip4Truncated);
    }
    let (source, destination) = (header.src_addr(), header.dst_addr());
    let cast = match way {
        Way::Link(cast) => check_ends(source, destination, (bytes[9], cast), addresses, groups)?,
        Way::Loopback => addresses.check_local(source.into(), destination.into(), groups).map_err(|end| match end {
            Martian::Source => Rule::Ip4Source,
            Martian::Destination => Rule::IpForeign,
        })?,
    };
    check_options(&bytes[IPV4_HEADER_LEN..header_length])?;
    Ok(Packet {
        source: source.into(),
        destination: destination.into(),
        protocol: bytes[9],
        hop_limit: header.hop_limit(),
        traffic_class: bytes[1],
        cast,
        is_local: way == Way::Loopback,
        bytes: &bytes[..total_length],
        payload: &bytes[header_length..total_length],
        original: &bytes[..total_length],
    })
}

/// Who may send what to us by the link.
fn check_ends(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    (protocol, link): (u8, Cast),
    addresses: &Addresses,
    groups: &Groups,
) -> Result<Cast, Rule> {
    // 0.0.0.0/8 and 127.0.0.0/8 never leave a host (RFC 1122 §3.2.1.3 (a), (b), (g)).
    // Switches without an address ask for groups from 0.0.0.0 (RFC 4541 §2.1.1).
    let is_switch = source.is_unspecified() && destination.is_multicast() && protocol == protocol::IGMP;
    if (source.octets()[0] == 0 && !is_switch)
        || source.is_loopback()
        || addresses.is_group(source.into())
        || addresses.is_own_source(source.into())
    {
        return Err(Rule::Ip4Source);
    }
    if destination.is_loopback() {
        return Err(Rule::IpLoopback);
    }
    if addresses.is_member(destination.into()) || groups.is_member(destination.into()) {
        return Ok(Cast::Group);
    }
    let own = addresses.find(destination.into()).ok_or(Rule::IpForeign)?;
    if own.is_usable() { Ok(link) } else { Err(Rule::IpTentative) }
}

/// What a valid packet is a part of; `None` if it is whole.
pub(super) fn fragment<'p>(packet: &Packet<'p>) -> Option<Result<Fragment<'p>, Rule>> {
    let header = Ipv4Packet::new_unchecked(packet.bytes);
    let (offset, more) = (usize::from(header.frag_offset()), header.more_frags());
    (more || offset != 0).then(|| {
        let head = packet.bytes.len() - packet.payload.len();
        if packet.payload.is_empty() || (more && !packet.payload.len().is_multiple_of(8)) {
            return Err(Rule::Ip4FragmentMalformed);
        }
        if head + offset + packet.payload.len() > usize::from(u16::MAX) {
            return Err(Rule::Ip4FragmentTooLarge);
        }
        let key = Key {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            identification: header.ident().into(),
        };
        let (data, cast) = (packet.payload, packet.cast);
        Ok(Fragment { key, offset, more, data, packet: packet.bytes, head, next_field: 0, cast })
    })
}

/// A datagram of which only the first fragment, or its beginning, is left; or one that was put together.
pub(super) fn read(bytes: &[u8], cast: Cast) -> Option<Packet<'_>> {
    let header = bytes.first_chunk::<IPV4_HEADER_LEN>()?;
    let header_length = usize::from(header[0] & 0xf) * 4;
    let fields = Ipv4Packet::new_unchecked(&header[..]);
    Some(Packet {
        source: fields.src_addr().into(),
        destination: fields.dst_addr().into(),
        protocol: header[9],
        hop_limit: fields.hop_limit(),
        traffic_class: header[1],
        cast,
        is_local: false,
        bytes,
        payload: bytes.get(header_length..)?,
        original: bytes,
    })
}

/// Options are ignored, but they must be well-formed, and a source route must end here.
fn check_options(mut options: &[u8]) -> Result<(), Rule> {
    while let [kind, rest @ ..] = options {
        match *kind {
            END_OF_OPTIONS => break,
            NO_OPERATION => options = rest,
            kind => {
                let length = rest.first().map_or(0, |&length| usize::from(length));
                if length < 2 || length > options.len() {
                    return Err(Rule::Ip4Options);
                }
                let (option, after) = options.split_at(length);
                if matches!(kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
                    // RFC 791: the pointer counts from 1; beyond the option's end the route is used up.
                    let pointer = usize::from(*option.get(2).ok_or(Rule::Ip4Options)?);
                    if pointer <= length {
                        return Err(Rule::Ip4SourceRoute);
                    }
                }
                options = after;
            }
        }
    }
    Ok(())
}
