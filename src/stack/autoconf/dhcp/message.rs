//! DHCP messages (RFC 2131 §2, RFC 2132): what we say as whole IPv4 packets, and what a server answers.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpOpCode, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress,
    IPV4_HEADER_LEN, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::config::{Cidr, Mac};
use crate::observe::Rule;

const SUBNET_MASK: u8 = 1;
const ROUTER: u8 = 3;
const HOST_NAME: u8 = 12;
const MTU: u8 = 26;
const LEASE_TIME: u8 = 51;
const MESSAGE_TYPE: u8 = 53;
const SERVER: u8 = 54;
const RENEWAL_TIME: u8 = 58;
const REBINDING_TIME: u8 = 59;

const MAGIC: u32 = 0x6382_5363;
const UDP_HEADER: usize = 8;
/// The smallest DHCP message that old relays pass on (RFC 1542 §2.1).
const LENGTH: usize = 300;
/// What we call ourselves.
const NAME: &[u8] = b"tapsock";

/// A question of ours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) kind: DhcpMessageType,
    pub(super) mac: Mac,
    pub(super) xid: u32,
    /// Seconds since we began to ask.
    pub(super) seconds: u16,
    /// Our address, if it is ours and can receive; else 0.0.0.0.
    pub(super) client: Ipv4Addr,
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) server: Option<Ipv4Addr>,
    /// From where and to whom the packet goes.
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
}

impl Question {
    /// The IPv4 packet.
    pub(super) fn packet(&self) -> Vec<u8> {
        // RFC 2131 table 5: what declines or releases asks for nothing.
        let asks = matches!(self.kind, DhcpMessageType::Discover | DhcpMessageType::Request);
        let name = [DhcpOption { kind: HOST_NAME, data: NAME }];
        let message = DhcpRepr {
            message_type: self.kind,
            transaction_id: self.xid,
            secs: self.seconds,
            client_hardware_address: EthernetAddress(self.mac.0),
            client_ip: self.client,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            // What has no address cannot be answered by ARP; answers to the offered address are understood as well.
            broadcast: asks && self.client.is_unspecified(),
            requested_ip: self.requested,
            client_identifier: Some(EthernetAddress(self.mac.0)),
            server_identifier: self.server,
            parameter_request_list: asks.then_some(&[
                SUBNET_MASK,
                ROUTER,
                MTU,
                LEASE_TIME,
                SERVER,
                RENEWAL_TIME,
                REBINDING_TIME,
            ]),
            dns_servers: None,
            max_size: asks.then_some(1472),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: if asks { &name } else { &[] },
        };
        let ip = Ipv4Repr {
            src_addr: self.source,
            dst_addr: self.destination,
            next_header: IpProtocol::Udp,
            payload_len: UDP_HEADER + LENGTH,
            hop_limit: 64,
        };
        let mut bytes = vec![0; IPV4_HEADER_LEN + UDP_HEADER + LENGTH];
        let checksums = ChecksumCapabilities::default();
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
        ip.emit(&mut packet, &checksums);
        let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
        let udp = UdpRepr { src_port: DHCP_CLIENT_PORT, dst_port: DHCP_SERVER_PORT };
        let (from, to) = (self.source.into(), self.destination.into());
        let write = |buffer: &mut [u8]| {
            // The options are ours and fit.
            let written = message.emit(&mut DhcpPacket::new_unchecked(buffer));
            debug_assert!(written.is_ok());
        };
        udp.emit(&mut datagram, &from, &to, LENGTH, write, &checksums);
        bytes
    }
}

/// What a server says, checked as far as one message can be alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: DhcpMessageType,
    pub(super) xid: u32,
    pub(super) mac: Mac,
    pub(super) address: Ipv4Addr,
    pub(super) server: Option<Ipv4Addr>,
    pub(super) mask: Option<Ipv4Addr>,
    pub(super) router: Option<Ipv4Addr>,
    /// In seconds; `u32::MAX` is for ever.
    pub(super) lease: Option<u32>,
    pub(super) renewal: Option<u32>,
    pub(super) rebinding: Option<u32>,
}

/// The DHCP message in an IPv4 packet that goes from a server's port to a client's. `None`: it is none, or is damaged,
/// and the way of all packets will say what is wrong with it.
pub(in crate::stack) fn carried(packet: &[u8]) -> Option<&[u8]> {
    let packet = Ipv4Packet::new_checked(packet).ok()?;
    let is_fragment = packet.more_frags() || packet.frag_offset() != 0;
    let source = packet.src_addr();
    let is_host = !(source.octets()[0] == 0 || source.is_loopback() || source.is_multicast() || source.is_broadcast());
    if packet.version() != 4 || packet.next_header() != IpProtocol::Udp || is_fragment || !is_host {
        return None;
    }
    let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
    if datagram.src_port() != DHCP_SERVER_PORT || datagram.dst_port() != DHCP_CLIENT_PORT || !packet.verify_checksum() {
        return None;
    }
    let is_whole = datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into());
    is_whole.then(|| datagram.into_inner()).and_then(|bytes| {
        let length = usize::from(u16::from_be_bytes([*bytes.get(4)?, *bytes.get(5)?]));
        bytes.get(UDP_HEADER..length)
    })
}

impl Answer {
    /// Reads a message. Options of a wrong length make it malformed; options that we do not use are skipped.
    pub(super) fn read(message: &[u8]) -> Result<Answer, Rule> {
        let packet = DhcpPacket::new_checked(message).map_err(|_| Rule::DhcpMalformed)?;
        let is_ethernet = message[1] == 1 && packet.hardware_len() == 6;
        if packet.opcode() != DhcpOpCode::Reply || !is_ethernet || packet.magic_number() != MAGIC {
            return Err(Rule::DhcpMalformed);
        }
        let mut answer = Answer {
            kind: DhcpMessageType::Unknown(0),
            xid: packet.transaction_id(),
            mac: Mac(packet.client_hardware_address().0),
            address: packet.your_ip(),
            server: None,
            mask: None,
            router: None,
            lease: None,
            renewal: None,
            rebinding: None,
        };
        for DhcpOption { kind, data } in packet.options() {
            let word = || data.try_into().map(u32::from_be_bytes).map_err(|_| Rule::DhcpMalformed);
            match kind {
                MESSAGE_TYPE => match *data {
                    [kind] => answer.kind = DhcpMessageType::from(kind),
                    _ => return Err(Rule::DhcpMalformed),
                },
                SERVER => answer.server = Some(Ipv4Addr::from_bits(word()?)),
                SUBNET_MASK => answer.mask = Some(Ipv4Addr::from_bits(word()?)),
                // In the order of preference; one is enough.
                ROUTER => match *data {
                    [a, b, c, d, ..] if data.len() % 4 == 0 => answer.router = Some(Ipv4Addr::new(a, b, c, d)),
                    _ => return Err(Rule::DhcpMalformed),
                },
                LEASE_TIME => answer.lease = Some(word()?),
                RENEWAL_TIME => answer.renewal = Some(word()?),
                REBINDING_TIME => answer.rebinding = Some(word()?),
                // Among them OVERLOAD (RFC 2132 §9.3): servers put nothing that we need into the boot file's fields.
                _ => {}
            }
        }
        Ok(answer)
    }

    /// The address with its network, if a host can have it (RFC 1122 §3.2.1.3).
    pub(super) fn cidr(&self) -> Option<Cidr> {
        let mask = self.mask?.to_bits();
        let prefix = u8::try_from(mask.leading_ones()).ok()?;
        let address = self.address;
        let is_contiguous = mask.count_ones() == mask.leading_ones();
        let is_host = address.octets()[0] != 0
            && address.octets()[0] < 224
            && !address.is_loopback()
            && (prefix >= 31 || address.to_bits() & !mask != 0);
        let cidr = Cidr::new(address.into(), prefix)?;
        (is_contiguous && prefix > 0 && is_host && cidr.broadcast() != Some(address)).then_some(cidr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            kind: DhcpMessageType::Discover,
            mac: Mac([2, 0, 0x5e, 0x10, 0, 1]),
            xid: 0x1234_5678,
            seconds: 3,
            client: Ipv4Addr::UNSPECIFIED,
            requested: None,
            server: None,
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::BROADCAST,
        }
    }

    fn answer() -> Answer {
        Answer {
            kind: DhcpMessageType::Offer,
            xid: 1,
            mac: Mac([2; 6]),
            address: Ipv4Addr::new(192, 168, 69, 7),
            server: None,
            mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            router: None,
            lease: None,
            renewal: None,
            rebinding: None,
        }
    }

    #[test]
    fn a_discover_is_a_whole_packet_that_names_us() {
        let bytes = question().packet();
        let packet = Ipv4Packet::new_checked(&bytes[..]).unwrap();
        assert!(packet.verify_checksum());
        let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
        assert!(datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
        let message = DhcpPacket::new_checked(datagram.payload()).unwrap();
        let options: Vec<_> = message.options().map(|option| (option.kind, option.data.to_vec())).collect();
        assert!(options.contains(&(61, vec![1, 2, 0, 0x5e, 0x10, 0, 1])), "{options:?}");
        assert!(options.contains(&(12, b"tapsock".to_vec())) && options.iter().any(|(kind, _)| *kind == 55));
        assert_eq!((message.secs(), message.transaction_id()), (3, 0x1234_5678));
        assert_eq!(carried(&bytes), None, "it does not come from a server");
    }

    #[test]
    fn no_truncation_and_no_wrong_length_panics() {
        let mut message = vec![0; 240];
        (message[0], message[1], message[2]) = (2, 1, 6);
        message[236..240].copy_from_slice(&MAGIC.to_be_bytes());
        for kind in 0..=255 {
            for length in 0..=9 {
                let mut message = message.clone();
                message.extend([kind, length]);
                message.extend([1; 5]);
                let _ = Answer::read(&message);
            }
        }
        for length in 0..message.len() {
            assert_eq!(Answer::read(&message[..length]), Err(Rule::DhcpMalformed));
        }
        let bytes = question().packet();
        for length in 0..bytes.len() {
            assert_eq!(carried(&bytes[..length]), None);
        }
    }

    #[test]
    fn only_what_a_host_can_have_is_taken() {
        let with = |address: [u8; 4], mask: [u8; 4]| {
            Answer { address: address.into(), mask: Some(mask.into()), ..answer() }.cidr().map(|cidr| cidr.to_string())
        };
        assert_eq!(with([192, 168, 69, 7], [255, 255, 255, 0]).as_deref(), Some("192.168.69.7/24"));
        assert_eq!(with([10, 0, 0, 0], [255, 255, 255, 254]).as_deref(), Some("10.0.0.0/31"));
        for (address, mask) in [
            ([192, 168, 69, 255], [255, 255, 255, 0]),
            ([192, 168, 69, 0], [255, 255, 255, 0]),
            ([192, 168, 69, 7], [255, 0, 255, 0]),
            ([192, 168, 69, 7], [0, 0, 0, 0]),
            ([127, 0, 0, 1], [255, 0, 0, 0]),
            ([224, 0, 0, 1], [255, 0, 0, 0]),
            ([255, 255, 255, 255], [255, 255, 255, 255]),
            ([0, 0, 0, 0], [255, 255, 255, 0]),
        ] {
            assert_eq!(with(address, mask), None, "{address:?} {mask:?}");
        }
        assert_eq!(Answer { mask: None, ..answer() }.cidr(), None);
    }
}
