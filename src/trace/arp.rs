//! ARP (RFC 826) in words.

use std::fmt;
use std::net::Ipv4Addr;

use etherparse::{ArpHardwareId, ArpOperation, ArpPacketSlice, EtherType};

use super::frame::{Hex, Station};

/// The one kind of ARP that is spoken here: IPv4 over Ethernet.
struct Fields {
    operation: ArpOperation,
    sender: (Station, Ipv4Addr),
    target: (Station, Ipv4Addr),
}

fn fields(packet: &ArpPacketSlice<'_>) -> Option<Fields> {
    if packet.hw_addr_type() != ArpHardwareId::ETHERNET || packet.proto_addr_type() != EtherType::IPV4 {
        return None;
    }
    let party = |hardware: &[u8], protocol: &[u8]| {
        let station: [u8; 6] = hardware.try_into().ok()?;
        let address: [u8; 4] = protocol.try_into().ok()?;
        Some((Station(station), Ipv4Addr::from_octets(address)))
    };
    Some(Fields {
        operation: packet.operation(),
        sender: party(packet.sender_hw_addr(), packet.sender_protocol_addr())?,
        target: party(packet.target_hw_addr(), packet.target_protocol_addr())?,
    })
}

/// `who has 192.168.69.1? tell 192.168.69.100`
pub(super) struct Arp<'a>(pub(super) &'a ArpPacketSlice<'a>);

impl fmt::Display for Arp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Fields { operation, sender, target }) = fields(self.0) else {
            return write!(f, "not for Ethernet and IPv4: {}", Hex(self.0.slice()));
        };
        match operation {
            ArpOperation::REQUEST if sender.1.is_unspecified() => {
                write!(f, "who has {}? (a probe of {})", target.1, sender.0)
            }
            ArpOperation::REQUEST if sender.1 == target.1 => write!(f, "{} is at {} (announced)", sender.1, sender.0),
            ArpOperation::REQUEST => write!(f, "who has {}? tell {}", target.1, sender.1),
            ArpOperation::REPLY => write!(f, "{} is at {}", sender.1, sender.0),
            ArpOperation(other) => write!(f, "operation {other} from {} to {}", sender.1, target.1),
        }
    }
}

/// Every field.
pub(super) struct ArpFields<'a>(pub(super) &'a ArpPacketSlice<'a>);

impl fmt::Display for ArpFields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packet = self.0;
        let operation = match packet.operation() {
            ArpOperation::REQUEST => "request",
            ArpOperation::REPLY => "reply",
            _ => "unknown",
        };
        write!(f, "hardware {}, protocol {:#06x}, ", packet.hw_addr_type().0, packet.proto_addr_type().0)?;
        write!(f, "lengths {} and {}, ", packet.hw_addr_size(), packet.proto_addr_size())?;
        write!(f, "operation {} ({operation})", packet.operation().0)?;
        match fields(packet) {
            Some(Fields { sender, target, .. }) => {
                write!(f, " · sender {} {} · target {} {}", sender.0, sender.1, target.0, target.1)
            }
            None => Ok(()),
        }
    }
}
