//! A DHCP server in the hands of the test.

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame,
    EthernetProtocol, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use super::*;

/// What the client said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) at: Time,
    pub(super) kind: DhcpMessageType,
    pub(super) xid: u32,
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
    pub(super) client: Ipv4Addr,
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) server: Option<Ipv4Addr>,
}

pub(super) struct Server {
    /// Questions that it does not hear, from the next one on.
    pub(super) deaf_for: usize,
    pub(super) refuses: bool,
    /// Answers go to the offered address and the client's Ethernet address.
    pub(super) unicasts: bool,
    /// In seconds.
    pub(super) lease: u32,
    pub(super) address: Ipv4Addr,
    /// Somebody else answers for these.
    pub(super) taken: Vec<Ipv4Addr>,
    pub(super) heard: Vec<Heard>,
}

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 100);

impl Server {
    pub(super) fn new() -> Server {
        Server {
            deaf_for: 0,
            refuses: false,
            unicasts: false,
            lease: 3600,
            address: Ipv4Addr::new(192, 168, 69, 7),
            taken: Vec::new(),
            heard: Vec::new(),
        }
    }

    /// How often it heard this kind of message.
    pub(super) fn count(&self, kind: DhcpMessageType) -> usize {
        self.heard.iter().filter(|heard| heard.kind == kind).count()
    }

    /// Hears a frame of the client's, and gives the frames that answer it.
    pub(super) fn hear(&mut self, at: Time, bytes: &[u8]) -> Option<Vec<u8>> {
        let frame = EthernetFrame::new_checked(bytes).unwrap();
        match frame.ethertype() {
            EthernetProtocol::Arp => self.hear_arp(frame.payload()),
            EthernetProtocol::Ipv4 => self.hear_dhcp(at, frame.payload()),
            _ => None,
        }
    }

    fn hear_arp(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let ArpRepr::EthernetIpv4 { operation: ArpOperation::Request, target_protocol_addr: wanted, .. } =
            ArpRepr::parse(&ArpPacket::new_checked(bytes).unwrap()).unwrap()
        else {
            return None;
        };
        self.taken.contains(&wanted).then(|| claim(wanted))
    }

    fn hear_dhcp(&mut self, at: Time, bytes: &[u8]) -> Option<Vec<u8>> {
        let packet = Ipv4Packet::new_checked(bytes).unwrap();
        if packet.next_header() != IpProtocol::Udp {
            return None;
        }
        let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
        if datagram.dst_port() != 67 {
            return None;
        }
        assert!(packet.verify_checksum());
        assert!(datagram.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
        let message = DhcpPacket::new_checked(datagram.payload()).unwrap();
        let said = DhcpRepr::parse(&message).unwrap();
        assert_eq!(said.client_identifier, Some(EthernetAddress(config_a().mac.0)));
        self.heard.push(Heard {
            at,
            kind: said.message_type,
            xid: said.transaction_id,
            from: packet.src_addr(),
            to: packet.dst_addr(),
            client: said.client_ip,
            requested: said.requested_ip,
            server: said.server_identifier,
        });
        if self.deaf_for > 0 {
            self.deaf_for -= 1;
            return None;
        }
        let kind = match said.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request if self.refuses => DhcpMessageType::Nak,
            DhcpMessageType::Request => DhcpMessageType::Ack,
            _ => return None,
        };
        Some(self.answer(kind, said.transaction_id, |_| {}))
    }

    /// A message of the server's, which `edit` may spoil.
    pub(super) fn answer(&self, kind: DhcpMessageType, xid: u32, edit: impl FnOnce(&mut DhcpRepr<'_>)) -> Vec<u8> {
        let mut message = DhcpRepr {
            message_type: kind,
            transaction_id: xid,
            secs: 0,
            client_hardware_address: EthernetAddress(config_a().mac.0),
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: self.address,
            server_ip: SERVER,
            router: Some(Ipv4Addr::new(192, 168, 69, 100)),
            subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(SERVER),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: Some(self.lease),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        };
        edit(&mut message);
        let (destination, mac) = if self.unicasts {
            (self.address, EthernetAddress(config_a().mac.0))
        } else {
            (Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST)
        };
        let udp = UdpRepr { src_port: 67, dst_port: 68 };
        let ip = Ipv4Repr {
            src_addr: SERVER,
            dst_addr: destination,
            next_header: IpProtocol::Udp,
            payload_len: 8 + message.buffer_len(),
            hop_limit: 64,
        };
        let mut payload = vec![0; message.buffer_len()];
        message.emit(&mut DhcpPacket::new_unchecked(&mut payload[..])).unwrap();
        let caps = ChecksumCapabilities::default();
        let mut bytes = vec![0; 14 + 20 + ip.payload_len];
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
        ip.emit(&mut packet, &caps);
        let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
        let (from, to) = (SERVER.into(), destination.into());
        udp.emit(&mut datagram, &from, &to, payload.len(), |buffer| buffer.copy_from_slice(&payload), &caps);
        ethernet(mac, config_b().mac, EthernetProtocol::Ipv4, &mut bytes);
        bytes
    }
}

fn ethernet(to: EthernetAddress, from: Mac, kind: EthernetProtocol, bytes: &mut [u8]) {
    let mut frame = EthernetFrame::new_unchecked(bytes);
    frame.set_dst_addr(to);
    frame.set_src_addr(EthernetAddress(from.0));
    frame.set_ethertype(kind);
}

/// Another station has the address.
pub(super) fn claim(address: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(OTHER.0),
        source_protocol_addr: address,
        target_hardware_addr: EthernetAddress(config_a().mac.0),
        target_protocol_addr: Ipv4Addr::UNSPECIFIED,
    };
    let mut bytes = vec![0; 14 + repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[14..]));
    ethernet(EthernetAddress(config_a().mac.0), OTHER, EthernetProtocol::Arp, &mut bytes);
    bytes
}
