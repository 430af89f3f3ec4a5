//! What an ICMP error quotes: the beginning of a packet that we sent.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::packet::{ErrorKind, IcmpError, Told, protocol};
use crate::observe::Rule;

/// The ends of a segment or datagram, read from its first bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quote {
    pub(super) source: SocketAddr,
    destination: SocketAddr,
    protocol: u8,
    sequence: Option<u32>,
}

impl Quote {
    /// Only the IP header and 8 bytes need be there (RFC 792). Of what we send in fragments the first one says whose
    /// it is; we send no extension headers but that, so a quote with another one is not ours.
    pub(super) fn read(packet: &[u8]) -> Result<Quote, Rule> {
        let (source, destination, protocol, transport) = match packet.first().map(|byte| byte >> 4) {
            Some(4) => read4(packet)?,
            Some(6) => read6(packet)?,
            _ => return Err(Rule::IcmpMalformed),
        };
        let (ports, sequence) = match (protocol, transport) {
            (protocol::TCP, &[a, b, c, d, s1, s2, s3, s4, ..]) => ([[a, b], [c, d]], Some([s1, s2, s3, s4])),
            (protocol::UDP, &[a, b, c, d, _, _, _, _, ..]) => ([[a, b], [c, d]], None),
            // Only requests are sent by sockets that have an identifier.
            (protocol::ICMP, &[8, _, _, _, a, b, _, _, ..]) if source.is_ipv4() => ([[a, b], [0, 0]], None),
            (protocol::ICMPV6, &[128, _, _, _, a, b, _, _, ..]) if source.is_ipv6() => ([[a, b], [0, 0]], None),
            (protocol::TCP | protocol::UDP, _) => return Err(Rule::IcmpMalformed),
            _ => ([[0, 0], [0, 0]], None),
        };
        Ok(Quote {
            source: SocketAddr::new(source, u16::from_be_bytes(ports[0])),
            destination: SocketAddr::new(destination, u16::from_be_bytes(ports[1])),
            protocol,
            sequence: sequence.map(u32::from_be_bytes),
        })
    }

    /// The error of this kind about it, told by `from`.
    pub(super) fn into_error(self, kind: ErrorKind, told: Told, from: IpAddr) -> IcmpError {
        let Quote { source, destination, protocol, sequence } = self;
        IcmpError { kind, told, from, source, destination, protocol, sequence }
    }
}

fn read4(packet: &[u8]) -> Result<(IpAddr, IpAddr, u8, &[u8]), Rule> {
    let header = packet.first_chunk::<20>().ok_or(Rule::IcmpMalformed)?;
    let header_length = usize::from(header[0] & 0xf) * 4;
    if header_length < 20 {
        return Err(Rule::IcmpMalformed);
    }
    let transport = packet.get(header_length..).ok_or(Rule::IcmpMalformed)?;
    let [_, _, _, _, _, _, flags, offset, _, protocol, _, _, a, b, c, d, e, f, g, h] = *header;
    if u16::from_be_bytes([flags & 0x1f, offset]) != 0 {
        return Err(Rule::IcmpErrorUnmatched);
    }
    let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
    Ok((source.into(), destination.into(), protocol, transport))
}

fn read6(packet: &[u8]) -> Result<(IpAddr, IpAddr, u8, &[u8]), Rule> {
    let (header, behind) = packet.split_first_chunk::<40>().ok_or(Rule::IcmpMalformed)?;
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        IpAddr::V6(Ipv6Addr::from_octets(octets))
    };
    let (protocol, transport) = match header[6] {
        protocol::FRAGMENT => {
            let (&[next, _, high, low, ..], rest) = behind.split_first_chunk::<8>().ok_or(Rule::IcmpMalformed)?;
            if u16::from_be_bytes([high, low]) & !7 != 0 {
                return Err(Rule::IcmpErrorUnmatched);
            }
            (next, rest)
        }
        next => (next, behind),
    };
    Ok((address(8), address(24), protocol, transport))
}
