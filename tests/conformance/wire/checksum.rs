//! The Internet checksum (RFC 1071), written here once more: what is checked must not check itself.

use std::net::IpAddr;

fn sum(bytes: &[u8], start: u32) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let mut sum = words.fold(start, |sum, word| sum + word);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What stands in the checksum field if it was 0; 0 over a message with a valid one.
pub(crate) fn of(bytes: &[u8]) -> u16 {
    !sum(bytes, 0)
}

/// The same over the pseudo-header and a message.
pub(crate) fn with_pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, message: &[u8]) -> u16 {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let length = message.len() as u32;
    let addresses = u32::from(sum(&octets(source), 0)) + u32::from(sum(&octets(destination), 0));
    !sum(message, addresses + (length >> 16) + (length & 0xffff) + u32::from(protocol))
}
