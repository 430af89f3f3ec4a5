//! IP headers of the packets that this room makes itself.

use std::net::IpAddr;

use smoltcp::wire::{IPV4_HEADER_LEN, IPV6_HEADER_LEN, Ipv4Packet, Ipv6Packet};

/// RFC 1700's default TTL, which everybody uses.
const HOP_LIMIT: u8 = 64;

/// Both addresses, which are of one family, and what is behind the header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// ECN is left out: nobody answers our congestion marks.
    pub(super) traffic_class: u8,
}

impl Header {
    pub(super) fn len(&self) -> usize {
        if self.destination.is_ipv4() { IPV4_HEADER_LEN } else { IPV6_HEADER_LEN }
    }

    /// Writes the header in front of `packet`. Lengths, identification and checksum are set when it is
    /// written as a piece; the lengths are right here too, for who looks at it before.
    pub(super) fn write(&self, packet: &mut [u8]) {
        let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet[..IPV4_HEADER_LEN].fill(0);
                let mut header = Ipv4Packet::new_unchecked(packet);
                header.set_version(4);
                header.set_header_len(IPV4_HEADER_LEN as u8);
                header.set_dscp(self.traffic_class >> 2);
                header.set_total_len(length);
                header.set_hop_limit(HOP_LIMIT);
                header.set_next_header(self.protocol.into());
                header.set_src_addr(source);
                header.set_dst_addr(destination);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                packet[..IPV6_HEADER_LEN].fill(0);
                let mut header = Ipv6Packet::new_unchecked(packet);
                header.set_version(6);
                header.set_traffic_class(self.traffic_class & 0xfc);
                header.set_payload_len(length.saturating_sub(IPV6_HEADER_LEN as u16));
                header.set_next_header(self.protocol.into());
                header.set_hop_limit(HOP_LIMIT);
                header.set_src_addr(source);
                header.set_dst_addr(destination);
            }
            // A source is always chosen for its destination's family.
            _ => debug_assert!(false, "{self:?}"),
        }
    }
}
