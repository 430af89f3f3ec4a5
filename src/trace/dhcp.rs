//! DHCP (RFC 2131) in words. etherparse does not know it.

use std::fmt;
use std::net::Ipv4Addr;

use etherparse::UdpSlice;

const MAGIC: [u8; 4] = [0x63, 0x82, 0x53, 0x63];

/// A DHCP message.
pub(super) struct Dhcp<'a> {
    fixed: &'a [u8; 236],
    options: &'a [u8],
}

impl<'a> Dhcp<'a> {
    /// What goes between the two ports of DHCP and has its mark.
    pub(super) fn of(datagram: &UdpSlice<'a>) -> Option<Dhcp<'a>> {
        if !matches!((datagram.source_port(), datagram.destination_port()), (67, 68) | (68, 67) | (67, 67)) {
            return None;
        }
        let (fixed, rest) = datagram.payload().split_first_chunk()?;
        Some(Dhcp { fixed, options: rest.strip_prefix(&MAGIC)? })
    }

    fn address(&self, at: usize) -> Option<Ipv4Addr> {
        let octets: [u8; 4] = *self.fixed.get(at..)?.first_chunk()?;
        Some(Ipv4Addr::from_octets(octets)).filter(|address| !address.is_unspecified())
    }

    /// The first option of this kind.
    fn option(&self, kind: u8) -> Option<&'a [u8]> {
        let mut rest = self.options;
        loop {
            match *rest {
                [0, ref after @ ..] => rest = after,
                [255, ..] | [] | [_] => return None,
                [this, length, ref after @ ..] => {
                    let (data, after) = after.split_at_checked(length.into())?;
                    if this == kind {
                        return Some(data);
                    }
                    rest = after;
                }
            }
        }
    }

    fn word(&self, kind: u8) -> Option<u32> {
        self.option(kind)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
    }
}

impl fmt::Display for Dhcp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.option(53) {
            Some([1]) => "discover",
            Some([2]) => "offer",
            Some([3]) => "request",
            Some([4]) => "decline",
            Some([5]) => "ack",
            Some([6]) => "nak",
            Some([7]) => "release",
            Some([8]) => "inform",
            Some(_) => "of an unknown type",
            None => "without a type",
        };
        let [_, _, _, _, a, b, c, d, ..] = *self.fixed;
        write!(f, "dhcp {kind} xid {:#010x}", u32::from_be_bytes([a, b, c, d]))?;
        // ciaddr and yiaddr; what is asked for is an option.
        let address = |kind| self.word(kind).map(Ipv4Addr::from_bits);
        for (name, address) in [
            ("from", self.address(12)),
            ("for", self.address(16)),
            ("wants", address(50)),
            ("mask", address(1)),
            ("router", address(3)),
            ("server", address(54)),
        ] {
            if let Some(address) = address {
                write!(f, " {name} {address}")?;
            }
        }
        match self.word(51) {
            Some(u32::MAX) => f.write_str(" lease for ever"),
            Some(seconds) => write!(f, " lease {seconds} s"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(to_server: bool, options: &[u8]) -> Option<String> {
        let mut payload = vec![0; 236];
        payload[4..8].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
        payload[16..20].copy_from_slice(&[192, 168, 69, 7]);
        payload.extend(MAGIC);
        payload.extend(options);
        let ports: [u8; 4] = if to_server { [0, 68, 0, 67] } else { [0, 67, 0, 68] };
        let length = (8 + payload.len() as u16).to_be_bytes();
        let datagram = [&ports[..], &length, &[0, 0], &payload].concat();
        let slice = UdpSlice::from_slice(&datagram).unwrap();
        Dhcp::of(&slice).map(|dhcp| dhcp.to_string())
    }

    #[test]
    fn an_offer_names_the_address_and_its_terms() {
        let options = [
            53, 1, 2, 0, 1, 4, 255, 255, 255, 0, 3, 4, 192, 168, 69, 100, 54, 4, 192, 168, 69, 100, 51, 4, 0, 0, 14,
            16, 255,
        ];
        assert_eq!(
            said(false, &options).unwrap(),
            "dhcp offer xid 0x12345678 for 192.168.69.7 mask 255.255.255.0 router 192.168.69.100 server 192.168.69.100 lease 3600 s"
        );
    }

    #[test]
    fn options_that_end_too_soon_are_left_out() {
        for options in [&[53][..], &[53, 1], &[53, 200, 1], &[], &[255, 53, 1, 2]] {
            assert_eq!(said(true, options).unwrap(), "dhcp without a type xid 0x12345678 for 192.168.69.7");
        }
        assert!(said(true, &[53, 1, 9, 51, 4, 255, 255, 255, 255]).unwrap().ends_with("lease for ever"));
    }
}
