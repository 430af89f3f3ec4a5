//! A frame, decoded by etherparse as far as it can be.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use etherparse::err::ip::LaxHeaderSliceError;
use etherparse::err::packet::SliceError;
use etherparse::err::{Layer, LenError};
use etherparse::{
    EtherType, Ethernet2Slice, IpNumber, Ipv6ExtensionSlice, LaxIpv6Slice, LaxNetSlice, LaxSlicedPacket, LinkSlice,
    TransportSlice,
};

/// Borrows the bytes; nothing is copied.
pub(super) struct Frame<'a> {
    pub(super) bytes: &'a [u8],
    /// It is a bare IP packet, of the loopback.
    pub(super) is_local: bool,
    packet: Option<LaxSlicedPacket<'a>>,
    stopped: Option<SliceError>,
}

impl<'a> Frame<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Frame<'a> {
        match LaxSlicedPacket::from_ethernet(bytes) {
            Ok(packet) => {
                let stopped = packet.stop_err.as_ref().map(|(error, _)| error.clone());
                Frame { bytes, is_local: false, packet: Some(packet), stopped }
            }
            Err(error) => Frame { bytes, is_local: false, packet: None, stopped: Some(SliceError::Len(error)) },
        }
    }

    /// The same for a packet of the loopback, which has no Ethernet header.
    pub(super) fn decode_local(bytes: &'a [u8]) -> Frame<'a> {
        match LaxSlicedPacket::from_ip(bytes) {
            Ok(packet) => {
                let stopped = packet.stop_err.as_ref().map(|(error, _)| error.clone());
                Frame { bytes, is_local: true, packet: Some(packet), stopped }
            }
            Err(error) => {
                let stopped = match error {
                    LaxHeaderSliceError::Len(error) => SliceError::Len(error),
                    LaxHeaderSliceError::Content(error) => SliceError::Ip(error),
                };
                Frame { bytes, is_local: true, packet: None, stopped: Some(stopped) }
            }
        }
    }

    pub(super) fn ethernet(&self) -> Option<&Ethernet2Slice<'a>> {
        match self.packet.as_ref()?.link.as_ref()? {
            LinkSlice::Ethernet2(ethernet) => Some(ethernet),
            _ => None,
        }
    }

    /// The type of what the frame carries, behind any VLAN tags.
    pub(super) fn ether_type(&self) -> Option<EtherType> {
        Some(self.packet.as_ref()?.ether_payload()?.ether_type)
    }

    pub(super) fn vlans(&self) -> impl Iterator<Item = u16> {
        self.packet.as_ref().map(LaxSlicedPacket::vlan_ids).unwrap_or_default().into_iter().map(|id| id.value())
    }

    pub(super) fn net(&self) -> Option<&LaxNetSlice<'a>> {
        self.packet.as_ref()?.net.as_ref()
    }

    pub(super) fn transport(&self) -> Option<&TransportSlice<'a>> {
        self.packet.as_ref()?.transport.as_ref()
    }

    /// Why decoding ended before the last layer.
    pub(super) fn stopped(&self) -> Option<Stopped<'a>> {
        self.stopped.clone().map(|error| Stopped { error, bytes: self.undecoded() })
    }

    /// The bytes that no layer took.
    fn undecoded(&self) -> &'a [u8] {
        match (self.net().and_then(LaxNetSlice::ip_payload_ref), self.ethernet()) {
            (Some(payload), _) => payload.payload,
            (None, Some(ethernet)) => ethernet.payload_slice(),
            (None, None) => self.bytes,
        }
    }

    /// Source and destination port, where the packet is TCP or UDP and long enough to tell.
    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        ports(self.net()?)
    }
}

/// An Ethernet address: `2e:5a:01:77:03:9c`.
pub(super) struct Station(pub(super) [u8; 6]);

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// `2e:5a:01:77:03:9c > 02:00:5e:10:00:01`
pub(super) struct Stations {
    source: Station,
    destination: Station,
}

impl Stations {
    pub(super) fn of(ethernet: &Ethernet2Slice<'_>) -> Stations {
        Stations { source: Station(ethernet.source()), destination: Station(ethernet.destination()) }
    }
}

impl fmt::Display for Stations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} > {}", self.source, self.destination)
    }
}

/// Source and destination of an IP packet.
pub(super) fn between(net: &LaxNetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        LaxNetSlice::Ipv4(ip) => Some((ip.header().source_addr().into(), ip.header().destination_addr().into())),
        LaxNetSlice::Ipv6(ip) => Some((ip.header().source_addr().into(), ip.header().destination_addr().into())),
        LaxNetSlice::Arp(_) => None,
    }
}

/// The first four bytes of TCP and of UDP. An ICMP error may quote no more than eight (RFC 792).
fn ports(net: &LaxNetSlice<'_>) -> Option<(u16, u16)> {
    let payload = net.ip_payload_ref()?;
    if !matches!(payload.ip_number, IpNumber::TCP | IpNumber::UDP)
        || fragment(net).is_some_and(|fragment| fragment.offset > 0)
    {
        return None;
    }
    let &[a, b, c, d] = payload.payload.first_chunk()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// `192.168.69.100:43210 > 192.168.69.1:80`, or without ports.
pub(super) struct Between {
    pub(super) addresses: (IpAddr, IpAddr),
    pub(super) ports: Option<(u16, u16)>,
}

impl Between {
    pub(super) fn of(net: &LaxNetSlice<'_>) -> Option<Between> {
        Some(Between { addresses: between(net)?, ports: ports(net) })
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, destination) = self.addresses;
        match self.ports {
            Some((from, to)) => {
                write!(f, "{} > {}", SocketAddr::new(source, from), SocketAddr::new(destination, to))
            }
            None => write!(f, "{source} > {destination}"),
        }
    }
}

/// Which part of a datagram a packet carries.
pub(super) struct Fragment {
    pub(super) id: u32,
    pub(super) offset: u16,
    pub(super) length: usize,
    pub(super) more: bool,
}

/// `None` for a whole datagram.
pub(super) fn fragment(net: &LaxNetSlice<'_>) -> Option<Fragment> {
    let payload = net.ip_payload_ref()?;
    if !payload.fragmented {
        return None;
    }
    let length = payload.payload.len();
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let offset = header.fragments_offset().byte_offset();
            Some(Fragment { id: header.identification().into(), offset, length, more: header.more_fragments() })
        }
        LaxNetSlice::Ipv6(ip) => extensions(ip).find_map(|extension| match extension {
            Ipv6ExtensionSlice::Fragment(header) => {
                let offset = header.fragment_offset().byte_offset();
                Some(Fragment { id: header.identification(), offset, length, more: header.more_fragments() })
            }
            _ => None,
        }),
        LaxNetSlice::Arp(_) => None,
    }
}

/// The extension headers that could be decoded.
pub(super) fn extensions<'a>(ip: &LaxIpv6Slice<'a>) -> impl Iterator<Item = Ipv6ExtensionSlice<'a>> {
    let mut left = ip.extensions().slice().len();
    let mut all = ip.extensions().clone().into_iter();
    std::iter::from_fn(move || {
        // etherparse 0.21 does not stop here by itself: where the next header is one that could not be decoded, it
        // reads beyond the end.
        if left == 0 {
            return None;
        }
        let next = all.next()?;
        left = left.saturating_sub(bytes_of(&next).len());
        Some(next)
    })
}

/// The bytes of one of them.
pub(super) fn bytes_of<'a>(extension: &Ipv6ExtensionSlice<'a>) -> &'a [u8] {
    match extension {
        Ipv6ExtensionSlice::HopByHop(header)
        | Ipv6ExtensionSlice::Routing(header)
        | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice(),
        Ipv6ExtensionSlice::Fragment(header) => header.slice(),
        Ipv6ExtensionSlice::Authentication(header) => header.slice(),
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = usize::from(self.offset) + self.length;
        write!(f, "fragment id {:#06x} bytes {}..{end}", self.id, self.offset)?;
        f.write_str(if self.more { ", more follow" } else { ", the last" })
    }
}

/// The short name of a protocol in IP, as the trace writes it.
pub(super) struct Named(pub(super) IpNumber);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpNumber::TCP => f.write_str("tcp"),
            IpNumber::UDP => f.write_str("udp"),
            IpNumber::ICMP => f.write_str("icmp"),
            IpNumber::IPV6_ICMP => f.write_str("icmp6"),
            IpNumber::IGMP => f.write_str("igmp"),
            IpNumber(number) => write!(f, "protocol {number}"),
        }
    }
}

/// Where decoding ended, and the bytes it ended at.
pub(super) struct Stopped<'a> {
    error: SliceError,
    bytes: &'a [u8],
}

impl fmt::Display for Stopped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot be decoded: ")?;
        match &self.error {
            SliceError::Len(LenError { required_len, len, layer, .. }) if required_len > len => {
                let name = match layer {
                    Layer::Ethernet2Header => &"Ethernet header" as &dyn fmt::Display,
                    Layer::Arp => &"ARP packet",
                    layer => layer,
                };
                write!(f, "the {name} needs {required_len} bytes, {len} are there")?;
            }
            other => write!(f, "{other}")?,
        }
        write!(f, ": {}", Hex(self.bytes))
    }
}

/// The first 16 bytes, and how many there are.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        if self.0.is_empty() {
            return f.write_str("no bytes");
        }
        for (i, byte) in self.0.iter().take(SHOWN).enumerate() {
            let blank = if i == 0 { "" } else { " " };
            write!(f, "{blank}{byte:02x}")?;
        }
        if self.0.len() > SHOWN { write!(f, " … ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_short_and_says_how_much_there_is() {
        assert_eq!(Hex(&[]).to_string(), "no bytes");
        assert_eq!(Hex(&[1, 0xab]).to_string(), "01 ab");
        assert!(Hex(&[0; 17]).to_string().ends_with("00 00 … (17 bytes)"));
    }

    /// Found by fuzzing: the frame ends where the next header says that destination options follow.
    #[test]
    fn an_extension_header_that_is_not_there_is_not_read() {
        let mut frame = vec![0; 14 + 40 + 8];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[14] = 0x60;
        frame[19] = 8;
        frame[20] = 60;
        frame[54] = 60;
        let decoded = Frame::decode(&frame);
        let Some(LaxNetSlice::Ipv6(ip)) = decoded.net() else { panic!("no IPv6") };
        assert_eq!(extensions(ip).count(), 1);
        assert!(decoded.stopped().is_some());
    }

    #[test]
    fn a_frame_shorter_than_its_header_says_so() {
        let frame = Frame::decode(&[2, 0, 0x5e]);
        assert_eq!(
            frame.stopped().unwrap().to_string(),
            "cannot be decoded: the Ethernet header needs 14 bytes, 3 are there: 02 00 5e"
        );
        assert!(frame.ethernet().is_none() && frame.net().is_none() && frame.ports().is_none());
    }
}
