//! Is this IPv6 packet whole, and is it for us? (RFC 8200 §3)

use std::net::Ipv6Addr;

use smoltcp::wire::{IPV6_HEADER_LEN, Ipv6Packet};

use super::address::{Addresses, Martian};
use super::extension::{self, Cut, Stop};
use super::group::Groups;
use super::icmp_error::Message;
use super::packet::{Packet, Way};
use super::reassembly::{Fragment, Key};
use crate::observe::{Cast, Rule};

const FRAGMENT_HEADER: usize = 8;
const PAYLOAD_LENGTH_FIELD: usize = 4;

/// Checks the fixed header. The payload of the result still begins with the extension headers.
///
/// The second value is a reason to drop the packet unless it is a neighbour message: those come from `::`, and
/// concern addresses that we do not own yet, exactly when a duplicate address is looked for (RFC 4862 §5.4).
pub(super) fn validate<'p>(
    bytes: &'p [u8],
    way: Way,
    addresses: &Addresses,
    groups: &Groups,
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
    let (cast, doubt) = match way {
        Way::Link(cast) => check_ends(source, destination, cast, addresses, groups)?,
        Way::Loopback => match addresses.check_local(source.into(), destination.into(), groups) {
            Ok(cast) => (cast, None),
            Err(Martian::Source) => return Err(Rule::Ip6Source),
            Err(Martian::Destination) => return Err(Rule::IpForeign),
        },
    };
    let packet = Packet {
        source: source.into(),
        destination: destination.into(),
        protocol: bytes[6],
        hop_limit: header.hop_limit(),
        traffic_class: header.traffic_class(),
        cast,
        is_local: way == Way::Loopback,
        bytes: &bytes[..total_length],
        payload: &bytes[IPV6_HEADER_LEN..total_length],
        original: &bytes[..total_length],
    };
    Ok((packet, doubt))
}

/// Who may send what to us by the link; the second value is the doubt of [`validate`].
fn check_ends(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    link: Cast,
    addresses: &Addresses,
    groups: &Groups,
) -> Result<(Cast, Option<Rule>), Rule> {
    // A mapped IPv4 address on the wire would pass for another host in a dual-stack socket.
    if source.is_multicast() || source.is_loopback() || source.to_ipv4_mapped().is_some() {
        return Err(Rule::Ip6Source);
    }
    if destination.is_loopback() {
        return Err(Rule::IpLoopback);
    }
    let mut doubt = None;
    let group = addresses.is_member(destination.into()) || groups.is_member(destination.into());
    if !group {
        let own = addresses.find(destination.into()).ok_or(Rule::IpForeign)?;
        if !own.is_usable() {
            doubt = Some(Rule::IpTentative);
        }
    }
    if source.is_unspecified() || addresses.is_own_source(source.into()) {
        doubt = Some(Rule::Ip6Source);
    }
    Ok((if group { Cast::Group } else { link }, doubt))
}

/// What a packet is a part of that was cut here, by its fragment header (RFC 8200 §4.5).
pub(super) fn fragment<'p>(packet: &Packet<'p>, cut: Cut) -> Result<Fragment<'p>, Stop> {
    let whole = packet.bytes;
    let header = whole.get(cut.at..).and_then(|rest| rest.first_chunk::<FRAGMENT_HEADER>());
    let &[_, _, high, low, a, b, c, d] = header.ok_or(Stop::Drop(Rule::Ip6Extension))?;
    let offset_and_more = u16::from_be_bytes([high, low]);
    let (offset, more) = (usize::from(offset_and_more & !7), offset_and_more & 1 != 0);
    let data = &whole[cut.at + FRAGMENT_HEADER..];
    let problem = |code, pointer, rule| Stop::Answer(Message::parameter_problem(code, pointer, rule).about_fragment());
    if more && !data.len().is_multiple_of(8) {
        return Err(problem(0, PAYLOAD_LENGTH_FIELD, Rule::Ip6FragmentUnaligned));
    }
    if cut.at - IPV6_HEADER_LEN + offset + data.len() > usize::from(u16::MAX) {
        return Err(problem(0, cut.at + 2, Rule::Ip6FragmentTooLarge));
    }
    if data.is_empty() {
        return Err(Stop::Drop(Rule::Ip6FragmentMalformed));
    }
    if offset == 0 && !extension::is_chain_whole(whole) {
        return Err(problem(3, 0, Rule::Ip6FragmentHeaders));
    }
    let identification = u32::from_be_bytes([a, b, c, d]);
    let key = Key { source: packet.source, destination: packet.destination, protocol: 0, identification };
    Ok(Fragment { key, offset, more, data, packet: whole, head: cut.at, next_field: cut.next_field, cast: packet.cast })
}

/// A datagram of which only the beginning of the first fragment is left; or one that was put together.
pub(super) fn read(bytes: &[u8], cast: Cast) -> Option<Packet<'_>> {
    let (header, payload) = bytes.split_at_checked(IPV6_HEADER_LEN)?;
    let fields = Ipv6Packet::new_unchecked(header);
    Some(Packet {
        source: fields.src_addr().into(),
        destination: fields.dst_addr().into(),
        protocol: header[6],
        hop_limit: fields.hop_limit(),
        traffic_class: fields.traffic_class(),
        cast,
        is_local: false,
        bytes,
        payload,
        original: bytes,
    })
}
