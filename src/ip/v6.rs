//! Is this IPv6 packet whole, and is it for us? (RFC 8200 §3)

use smoltcp::wire::{IPV6_HEADER_LEN, Ipv6Packet};

use super::address::Addresses;
use super::packet::Packet;
use crate::observe::{Cast, Rule};

/// Checks the fixed header. The payload of the result still begins with the extension headers.
///
/// The second value is a reason to drop the packet unless it is a neighbour message: those come from `::`, and
/// concern addresses that we do not own yet, exactly when a duplicate address is looked for (RFC 4862 §5.4).
pub(super) fn validate<'p>(
    bytes: &'p [u8],
    link: Cast,
    addresses: &Addresses,
) -> Result<(Packet<'p>, Option<Rule>), Rule> {
    if bytes.len() < IPV6_HEADER_LEN {
        return Err(Rule::Ip6Truncated);
    }
    let header = Ipv6Packet::new_unchecked(bytes);
    if header.version() != 6 {
        return Err(Rule::Ip6Version);
    }
    // A payload length of 0 with a jumbo option (RFC 2675) is not for links like ours.
    let total_length = header.total_len();
    if total_length > bytes.len() {
        return Err(Rule::Ip6Truncated);
    }
    let (source, destination) = (header.src_addr(), header.dst_addr());
    // A mapped IPv4 address on the wire would pass for another host in a dual-stack socket.
    if source.is_multicast() || source.is_loopback() || source.to_ipv4_mapped().is_some() {
        return Err(Rule::Ip6Source);
    }
    let mut doubt = None;
    let group = addresses.is_member(destination.into());
    if !group {
        let own = addresses.find(destination.into()).ok_or(Rule::IpForeign)?;
        if !own.is_usable() {
            doubt = Some(Rule::IpTentative);
        }
    }
    if source.is_unspecified() || addresses.is_own_source(source.into()) {
        doubt = Some(Rule::Ip6Source);
    }
    let packet = Packet {
        source: source.into(),
        destination: destination.into(),
        protocol: bytes[6],
        hop_limit: header.hop_limit(),
        traffic_class: header.traffic_class(),
        cast: if group { Cast::Group } else { link },
        bytes: &bytes[..total_length],
        payload: &bytes[IPV6_HEADER_LEN..total_length],
    };
    Ok((packet, doubt))
}
