//! The Ethernet header: which frames are for us, and what goes before a packet.

use std::net::IpAddr;

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr};

use super::Frames;
use crate::config::Mac;
use crate::observe::{Cast, Fate, Rule};

/// The bytes of the header.
pub(super) const HEADER: usize = EthernetFrame::<&[u8]>::header_len();

/// A frame for us.
pub(super) struct Accepted<'f> {
    pub(super) source: Mac,
    pub(super) cast: Cast,
    pub(super) protocol: EthernetProtocol,
    pub(super) payload: &'f [u8],
}

/// Whether the frame is for us. Groups are taken as a whole: to filter them is a network card's work, and
/// `ip` looks at every destination address anyway.
pub(super) fn accept(frame: &[u8], own: Mac) -> Result<Accepted<'_>, Rule> {
    let frame = EthernetFrame::new_checked(frame).map_err(|_| Rule::EthTruncated)?;
    let destination = Mac(frame.dst_addr().0);
    let source = Mac(frame.src_addr().0);
    if source.is_group() {
        return Err(Rule::EthSource);
    }
    if source == own {
        return Err(Rule::EthOwn);
    }
    let cast = match destination.0 {
        _ if destination == own => Cast::Unicast,
        _ if destination == Mac::BROADCAST => Cast::Group,
        // RFC 2464 §7 and RFC 1112 §6.4.
        [0x33, 0x33, ..] | [0x01, 0x00, 0x5e, 0..=0x7f, ..] => Cast::Group,
        _ => return Err(Rule::EthForeign),
    };
    Ok(Accepted { source, cast, protocol: frame.ethertype(), payload: frame.payload() })
}

/// Adds a frame to `out`; `write` fills in its payload.
pub(super) fn push(
    out: &mut Frames,
    destination: Mac,
    source: Mac,
    protocol: EthernetProtocol,
    length: usize,
    fate: Fate,
    write: impl FnOnce(&mut [u8]),
) {
    let header = EthernetRepr {
        src_addr: EthernetAddress(source.0),
        dst_addr: EthernetAddress(destination.0),
        ethertype: protocol,
    };
    out.push(HEADER + length, fate, |bytes| {
        let mut frame = EthernetFrame::new_unchecked(bytes);
        header.emit(&mut frame);
        write(frame.payload_mut());
    });
}

/// The Ethernet address of a group; `None` for an address of one host.
pub(super) fn group(address: IpAddr) -> Option<Mac> {
    match address {
        IpAddr::V4(address) if address.is_broadcast() => Some(Mac::BROADCAST),
        // RFC 1112 §6.4: the low 23 bits.
        IpAddr::V4(address) if address.is_multicast() => {
            let [_, b, c, d] = address.octets();
            Some(Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
        }
        // RFC 2464 §7: the low 32 bits.
        IpAddr::V6(address) if address.is_multicast() => {
            let [.., a, b, c, d] = address.octets();
            Some(Mac([0x33, 0x33, a, b, c, d]))
        }
        _ => None,
    }
}
