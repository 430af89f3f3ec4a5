//! From the first byte to the last, layer by layer.

use std::net::IpAddr;
use std::ops::Range;

use super::field::Layer;
use super::reader::Reader;
use super::sum::Working;

/// What the first header of a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Ethernet.
    Ethernet,
    /// None: IP, of either version.
    Ip,
    /// BSD's loopback.
    Null,
    /// Linux's "any" interface.
    Cooked,
    /// The same, as newer captures have it.
    Cooked2,
    /// One that is not explained here, by its number.
    Other(u32),
}

impl Link {
    /// By the numbers of <https://www.tcpdump.org/linktypes.html>.
    pub fn of(number: u32) -> Link {
        match number {
            1 => Link::Ethernet,
            12 | 14 | 101 | 228 | 229 => Link::Ip,
            0 | 108 => Link::Null,
            113 => Link::Cooked,
            276 => Link::Cooked2,
            other => Link::Other(other),
        }
    }
}

/// What IP says about what it carries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carrier {
    /// Source and destination; the last destination where a routing header names several.
    pub(super) between: (IpAddr, IpAddr),
    pub(super) protocol: u8,
    pub(super) is_fragment: bool,
}

/// Takes a packet apart.
pub(super) struct Decoder<'a> {
    pub(super) packet: &'a [u8],
    pub(super) wire: usize,
    pub(super) layers: Vec<Layer>,
    /// How many ICMP errors it is inside of.
    pub(super) quotes: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn reader(&self, name: &'static str, span: Range<usize>) -> Reader<'a> {
        Reader::new(self.packet, name, span, self.quotes > 0)
    }

    pub(super) fn push(&mut self, reader: Reader<'_>) {
        self.layers.push(reader.finish());
    }

    /// Bytes that no header takes.
    pub(super) fn data(&mut self, span: Range<usize>) {
        self.opaque("data", span);
    }

    pub(super) fn opaque(&mut self, name: &'static str, span: Range<usize>) {
        if span.is_empty() {
            return;
        }
        let mut reader = self.reader(name, span);
        reader.rest("", name);
        self.push(reader);
    }

    /// What IP carries.
    pub(super) fn carried(&mut self, span: Range<usize>, carrier: &Carrier, is_first: bool) {
        if !is_first {
            self.data(span);
            return;
        }
        match carrier.protocol {
            1 => super::icmp4::decode(self, span, carrier),
            2 => super::igmp::decode(self, span, carrier),
            6 => super::tcp::decode(self, span, carrier),
            17 => super::udp::decode(self, span, carrier),
            58 => super::icmp6::decode(self, span, carrier),
            _ => self.data(span),
        }
    }

    /// The packet that an ICMP error is about: of the version of IP whose ICMP it is, whatever its first bits say.
    pub(super) fn quotation(&mut self, span: Range<usize>, is_six: bool) {
        if self.quotes > 0 || span.is_empty() {
            self.data(span);
            return;
        }
        self.quotes += 1;
        if is_six {
            super::ip6::decode(self, span);
        } else {
            super::ip4::decode(self, span);
        }
        self.quotes -= 1;
    }
}

/// Works out the checksum of a message in IP, if everything it covers is there. `field` is where in the message it is.
pub(super) fn check(
    reader: &mut Reader<'_>,
    over: Range<usize>,
    carrier: &Carrier,
    has_pseudo_header: bool,
    field: usize,
    what: [&'static str; 2],
) -> Option<Working> {
    let packet = reader.packet();
    if carrier.is_fragment {
        reader.remark(
            "a fragment: the checksum covers the whole datagram, and can be worked out when all is there".into(),
        );
        return None;
    }
    if over.end > packet.len() {
        let why = if reader.is_quoted() { "quoted" } else { "captured" };
        reader.remark(format!("the checksum covers {} bytes, of which not all were {why}", over.len()));
        return None;
    }
    let at = over.start + field;
    if has_pseudo_header {
        Working::with_pseudo_header(packet, carrier.between, carrier.protocol, what, over, at)
    } else {
        Working::of(packet, what, over, at)
    }
}
