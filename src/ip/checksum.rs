//! The Internet checksum (RFC 1071) over pseudo-headers and packets.
//!
//! smoltcp's sum is public and the compiler vectorises it; what is missing there is a pseudo-header that does
//! not panic when it is given two families.

use std::net::IpAddr;

use smoltcp::wire::checksum;

/// The Internet checksum over the pseudo-header and `payload` as it stands, the checksum field included.
///
/// It is 0 when the carried checksum is right. With the field set to zero first, it is the value to put there.
/// The pseudo-header is that of RFC 9293 §3.1 for IPv4 and of RFC 8200 §8.1 for IPv6.
///
/// ```
/// use tapsock::ip::transport_checksum;
/// let (ours, theirs) = ("192.168.69.1".parse()?, "192.168.69.100".parse()?);
/// let mut datagram = [0x04, 0xd2, 0x00, 0x07, 0x00, 0x09, 0x00, 0x00, b'!'];
/// let checksum = transport_checksum(theirs, ours, 17, &datagram);
/// datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
/// assert_eq!(transport_checksum(theirs, ours, 17, &datagram), 0);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> u16 {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => checksum::data(&address.octets()),
        IpAddr::V6(address) => checksum::data(&address.octets()),
    };
    let addresses = checksum::combine(&[octets(source), octets(destination)]);
    over_pseudo_header(addresses, protocol, payload)
}

/// The same with the sum of both addresses already made, for callers that have them side by side in a header.
pub(super) fn over_pseudo_header(addresses: u16, protocol: u8, payload: &[u8]) -> u16 {
    of_sums(addresses, protocol, payload.len(), checksum::data(payload))
}

/// The same with the sum of the payload made too.
pub(super) fn of_sums(addresses: u16, protocol: u8, length: usize, payload: u16) -> u16 {
    // No IP packet is longer than 2^17 bytes, and both pseudo-headers give the length as its low 16 bits and,
    // at most, as a high half besides.
    let halves = [(length >> 16) as u16, length as u16];
    !checksum::combine(&[addresses, u16::from(protocol), halves[0], halves[1], payload])
}

/// The Internet checksum over `data` alone: IPv4 headers and ICMP.
pub(super) fn of(data: &[u8]) -> u16 {
    !checksum::data(data)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 §1, word by word.
    fn naive(parts: &[&[u8]]) -> u16 {
        let mut sum = 0u64;
        for part in parts {
            for word in part.chunks(2) {
                sum += u64::from(word[0]) << 8 | u64::from(word.get(1).copied().unwrap_or(0));
            }
        }
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !(sum as u16)
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_naive_one(data in proptest::collection::vec(any::<u8>(), 0..3000), skip in 0usize..9) {
            let data = data.get(skip..).unwrap_or(&[]);
            prop_assert_eq!(of(data), naive(&[data]));
        }

        #[test]
        fn pseudo_headers_are_those_of_the_rfcs(
            data in proptest::collection::vec(any::<u8>(), 0..200),
            from4: [u8; 4], to4: [u8; 4], from6: [u8; 16], to6: [u8; 16], protocol: u8,
        ) {
            let length = (data.len() as u32).to_be_bytes();
            let v4 = naive(&[&from4, &to4, &[0, protocol], &length[2..], &data]);
            prop_assert_eq!(transport_checksum(from4.into(), to4.into(), protocol, &data), v4);
            let v6 = naive(&[&from6, &to6, &length, &[0, 0, 0, protocol], &data]);
            prop_assert_eq!(transport_checksum(from6.into(), to6.into(), protocol, &data), v6);
        }
    }

    #[test]
    fn the_longest_packet_of_ones_does_not_overflow_the_sum() {
        for length in [65_535, 65_536, 65_575] {
            let data = vec![0xff; length];
            assert_eq!(of(&data), naive(&[&data]), "{length}");
        }
    }
}
