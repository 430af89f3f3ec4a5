//! What happens in a stack, as lines of text on [`log`].
//!
//! [`Text`] is an [`Observer`] that explains. It decodes each frame again with etherparse, from the first byte to the
//! last, and shares no code with the layers that made or took the frame: when the two disagree, one of them is wrong.
//! Each checksum is shown as the frame carries it and as etherparse computes it.
//!
//! # What is written where
//!
//! | target | level | what |
//! |---|---|---|
//! | `tapsock::socket` | info, debug | a socket listens, is bound, is accepted, is connected, is joined, is closed (info); a Unix socket is opened (debug) |
//! | `tapsock::address` | info, warn | one of our addresses is asked for, ours, or somebody else's too |
//! | `tapsock::neighbour` | info, debug | a neighbour is found or does not answer (info), is asked for (debug) |
//! | `tapsock::device` | warn | the device refused a frame |
//! | `tapsock::packet` | debug | one line for each frame, and for each datagram that needs none: whose it is and what became of it |
//! | `tapsock::layers` | trace | the layers of each frame, one line for each |
//!
//! So `RUST_LOG=tapsock=debug` shows every packet, `RUST_LOG=tapsock=trace` its layers as well,
//! `RUST_LOG=tapsock::socket=info` only the life of connections, and `RUST_LOG=tapsock=debug,tapsock::neighbour=off`
//! everything but the search for neighbours. [`Text::depth`] follows from what is enabled, so a stack
//! nobody reads decodes nothing, and a line that is not written is not formatted.
//!
//! # How to read it
//!
//! ```text
//! info   tcp#3 192.168.69.1:80 ← 192.168.69.100:43210 accepted by tcp#1 (0.0.0.0:80, backlog 1/128)
//! debug  in  tcp#3 192.168.69.100:43210 > 192.168.69.1:80 [S] seq 0 win 64240 mss 1460 ws 7 · LISTEN ⇒ SYN-RECEIVED
//! trace      eth 2e:5a:01:77:03:9c > 02:00:5e:10:00:01  0x0800 IPv4
//!            ip4 192.168.69.100 > 192.168.69.1 ttl 64 len 48 DF · header checksum 0x2f12, computed 0x2f12: right
//!            tcp 43210 > 80 · checksum 0x49bf, computed 0x49bf over pseudo-header (src, dst, 0, 6, 28) + 28 bytes: right
//!                [S] seq 2000000 (the peer's first + 0) · window 64240 · header 28 bytes, options mss 1460 ws 7
//!            port 80 of TCP belongs to tcp#1, listening on 0.0.0.0:80
//! info   tcp#3 closed by the peer after 3.2 ms: 78 B in, 1.9 KiB out, 6 segments in, 5 out, none retransmitted
//! ```
//!
//! - A line about a packet begins with its socket. Where there is none it begins with the protocol, and ends with the
//!   [`Rule`](crate::observe::Rule) that says why: its name, its sentence, and the text it follows.
//! - `lo` stands before what the stack sends to itself. Each such packet is there twice, when it leaves its socket (`out`)
//!   and when it arrives (`in`); it has no Ethernet header, and the TAP never sees it. A datagram that goes from socket to
//!   socket without a packet is there once, with the names of both.
//! - What two joined sockets write to each other is not seen: the stack has no part in it. How much it was is said when
//!   each of them is closed.
//! - Flags are written as tcpdump writes them: `S` SYN, `F` FIN, `R` RST, `P` PSH, `.` ACK.
//! - Sequence numbers count from the first one of their connection; `(absolute)` marks those whose first is not known.
//! - A window is in bytes, already shifted by the scale that the handshake agreed on.
//! - Fields that are zero and mean nothing by it are left out.
//!
//! # One record for a frame
//!
//! The layers of a frame are *one* record of several lines, so that no other line comes between them. Its first line
//! begins with four blanks, each other line with eleven: they are aligned where the formatter writes
//! `{level:<6} {message}`, as that of `cli` does. A formatter that writes more before the message indents what
//! follows a newline by as much.

mod arp;
mod capture;
mod checksum;
mod dhcp;
pub mod explain;
mod frame;
mod icmp;
mod ladder;
mod layers;
mod life;
mod line;
mod quantity;
mod reason;
mod summary;
mod tcp;
#[cfg(test)]
mod tests;
mod tree;

use log::Level;

pub use capture::Capture;
pub use ladder::{Ladder, Rung};
pub use line::{Line, Links, Tone};
pub use tree::Tree;

use crate::observe::{Depth, Direction, Event, Fate, Observer, Record};
use frame::Frame;
use layers::Layers;
use life::Life;
use summary::Summary;

const SOCKET: &str = "tapsock::socket";
const ADDRESS: &str = "tapsock::address";
const NEIGHBOUR: &str = "tapsock::neighbour";
const DEVICE: &str = "tapsock::device";
const PACKET: &str = "tapsock::packet";
const LAYERS: &str = "tapsock::layers";

/// An observer that writes text through the macros of [`log`]. Nothing is written until a program installs a logger.
///
/// ```
/// use tapsock::observe::{Depth, Observer};
/// use tapsock::trace::Text;
///
/// let text = Text::new();
/// assert_eq!(text.depth(), Depth::Nothing); // no logger, no work
/// ```
#[derive(Debug, Clone, Default)]
pub struct Text {
    _private: (),
}

impl Text {
    /// A new one; it has no state.
    pub const fn new() -> Text {
        Text { _private: () }
    }
}

impl Observer for Text {
    fn depth(&self) -> Depth {
        depth(|target, level| log::log_enabled!(target: target, level))
    }

    /// The moment is left to the formatter, which shows one for the lines of every module.
    fn observe(&mut self, record: &Record<'_>) {
        match &record.event {
            Event::Frame { direction, bytes, fate } => write_frame(*direction, fate, || Frame::decode(bytes)),
            Event::Loopback { direction, bytes, fate } => {
                write_frame(*direction, fate, || Frame::decode_local(bytes));
            }
            event => {
                if let Some(life) = Life::of(event) {
                    log::log!(target: life.target(), life.level(), "{life}");
                }
            }
        }
    }
}

/// How closely to look, from what would be written.
fn depth(enabled: impl Fn(&str, Level) -> bool) -> Depth {
    if enabled(LAYERS, Level::Trace) {
        Depth::Bytes
    } else if enabled(PACKET, Level::Debug) {
        Depth::Frame
    } else if [SOCKET, ADDRESS, NEIGHBOUR].iter().any(|target| enabled(target, Level::Info))
        || enabled(DEVICE, Level::Warn)
    {
        Depth::Life
    } else {
        Depth::Nothing
    }
}

fn write_frame<'a>(direction: Direction, fate: &Fate, decode: impl FnOnce() -> Frame<'a>) {
    let (packet, layers) =
        (log::log_enabled!(target: PACKET, Level::Debug), log::log_enabled!(target: LAYERS, Level::Trace));
    if !packet && !layers {
        return;
    }
    let frame = decode();
    if packet {
        log::debug!(target: PACKET, "{}", Summary { direction, frame: &frame, fate });
    }
    if layers {
        log::trace!(target: LAYERS, "{}", Layers { direction, frame: &frame, fate });
    }
}
