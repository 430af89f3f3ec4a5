//! A captured packet, explained to the last bit.
//!
//! [`explain`] takes a packet apart: every layer, every field with the bits it stands in, and each checksum worked out
//! step by step. It goes on where a decoder for a stack would stop, since it is damaged packets that need explaining,
//! and for those it tells which field would have to be otherwise ([`Repair`]).
//!
//! It reads the bytes itself: etherparse, which the rest of the trace decodes with, gives values but not where they
//! stand, and ends at the first thing that is wrong. The tests hold the sums to etherparse's and the fields to those of
//! tshark. [`line()`] is the line that the trace would write about the packet.
//!
//! ```
//! use tapsock::trace::explain::{Link, explain};
//!
//! let header = [0x45, 0, 0, 20, 0, 0, 0x40, 0, 63, 6, 0x26, 0xe2, 10, 0, 0, 1, 10, 0, 0, 2];
//! let packet = explain(Link::Ip, &header, header.len());
//! let checksum = packet.layers[0].checksum.as_ref().unwrap();
//! assert_eq!((checksum.carried, checksum.computed), (0x26e2, 0x27e2));
//! ```

mod arp;
mod decode;
mod dhcp;
mod field;
mod icmp4;
mod icmp6;
mod igmp;
mod ip4;
mod ip6;
mod link;
mod reader;
mod repair;
mod sum;
mod tcp;
#[cfg(test)]
mod tests;
mod text;
mod udp;

pub use decode::Link;
pub use field::{Field, Layer, Packet, Problem};
pub use repair::{Because, Repair};
pub use sum::{Part, Verdict, Working, fold};
pub use text::Shown;

use super::frame::Frame;
use super::summary::Said;
use decode::Decoder;

/// The longest packet that is looked at: more than any IP packet, and a bound on the work.
pub const LONGEST: usize = 256 * 1024;

/// Takes a packet apart that had `wire` bytes when it was captured; `bytes` are those that were kept.
pub fn explain(link: Link, bytes: &[u8], wire: usize) -> Packet<'_> {
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let wire = wire.clamp(bytes.len(), LONGEST.max(bytes.len()));
    let layers = layers(link, bytes, wire);
    let repairs = repair::find(link, bytes, wire, &layers);
    Packet { bytes, wire, layers, repairs }
}

/// The packet in one line, as the trace writes it; numbers are those of the packet, since no connection is known. `wire`
/// is how long it was where a capture has only its beginning.
pub fn line(link: Link, bytes: &[u8], wire: usize) -> Option<String> {
    let decode: fn(&[u8]) -> Frame<'_> = match link {
        Link::Ethernet => |bytes| Frame::decode(bytes),
        Link::Ip => |bytes| Frame::decode_local(bytes),
        Link::Null | Link::Cooked | Link::Cooked2 | Link::Other(_) => return None,
    };
    let frame = decode(bytes);
    let said = Said(&frame).to_string();
    if wire <= bytes.len() {
        return Some(said);
    }
    if frame.stopped().is_some() {
        return Some(format!("{said} · the capture ends there"));
    }
    // Its headers are whole, and what they carry is as long as it was.
    let mut whole = bytes.to_vec();
    whole.resize(wire.min(LONGEST).max(bytes.len()), 0);
    Some(Said(&decode(&whole)).to_string())
}

fn layers(link: Link, bytes: &[u8], wire: usize) -> Vec<Layer> {
    let mut decoder = Decoder { packet: bytes, wire, layers: Vec::new(), quotes: 0 };
    link::decode(&mut decoder, link);
    decoder.layers
}
