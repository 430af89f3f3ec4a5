//! What happens in a stack, as lines of text on [`log`].
//!
//! [`Text`] is an [`Observer`](crate::observe::Observer) that explains. It decodes each frame again with etherparse,
//! from the first byte to the last, and shares no code with the layers that made or took the frame: when the two
//! disagree, one of them is wrong. Each checksum is shown as the frame carries it and as etherparse computes it.
//!
//! # What is written where
//!
//! | target | level | what |
//! |---|---|---|
//! | `tapsock::socket` | info, debug | a socket listens, is bound, is accepted, is connected, is joined, is closed (info); a Unix socket is opened (debug) |
//! | `tapsock::address` | info, warn | one of our addresses is asked for, ours, or somebody else's too |
//! | `tapsock::neighbour` | info, debug | a neighbour is found or does not answer (info), is asked for (debug) |
//! | `tapsock::device` | warn | the device refused a frame |
//! | `tapsock::call` | debug | what a program calls and is given, and each change of a connection's state |
//! | `tapsock::packet` | debug | one line for each frame, and for each datagram that needs none: whose it is and what became of it |
//! | `tapsock::segment` | debug, trace | a timer goes off (debug); a connection takes a segment or hands one down, before it is cut (trace) |
//! | `tapsock::layers` | trace | the layers of each frame, one line for each |
//!
//! So `RUST_LOG=tapsock=debug` shows every call and every packet, `RUST_LOG=tapsock=trace` its layers as well,
//! `RUST_LOG=tapsock=info,tapsock::call=debug` the calls alone, `RUST_LOG=tapsock::socket=info` only the life of
//! connections, and `RUST_LOG=tapsock=debug,tapsock::neighbour=off` everything but the search for neighbours.
//! How closely [`Text`] looks follows from what is enabled, so a stack nobody reads decodes nothing, and a line that is
//! not written is not formatted.
//!
//! Packets that go by one rule are written 20 times a second, and so is each other kind of line: calls of one name, changes
//! from one state to another, sockets that are closed, and so on. How many more there were is said in one line, when that
//! second is over and the next thing happens. Packets that go by no rule, which are the ordinary ones, are all written. So a flood does not fill the log, and is not hidden by it.
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
//! debug  tcp#3 read 78 B
//! info   tcp#3 closed by the peer after 3.2 ms: 78 B in, 1.9 KiB out, 6 segments in, 5 out, none retransmitted
//! ```
//!
//! - A line about a packet begins with its socket. Where there is none it begins with the protocol, and ends with the
//!   [`Rule`](crate::observe::Rule) that says why: its name, its sentence, and the text it follows.
//! - `lo` stands before what the stack sends to itself. Each such packet is there twice, when it leaves its socket (`out`)
//!   and when it arrives (`in`); it has no Ethernet header, and the TAP never sees it. A datagram that goes from socket to
//!   socket without a packet is there once, with the names of both.
//! - What two joined sockets write to each other makes no packets: there are the calls, and how much it was is said when
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
mod flood;
mod frame;
mod icmp;
mod kind;
mod ladder;
mod layers;
mod life;
mod line;
mod quantity;
mod reason;
mod summary;
mod synthesis;
mod tcp;
#[cfg(test)]
mod tests;
mod text;
mod tree;

pub use capture::Capture;
pub use ladder::{Ladder, Rung};
pub use line::{Detail, Line, Links, Tone};
pub use text::Text;
pub use tree::Tree;

const SOCKET: &str = "tapsock::socket";
const ADDRESS: &str = "tapsock::address";
const NEIGHBOUR: &str = "tapsock::neighbour";
const DEVICE: &str = "tapsock::device";
const CALL: &str = "tapsock::call";
const PACKET: &str = "tapsock::packet";
const SEGMENT: &str = "tapsock::segment";
const LAYERS: &str = "tapsock::layers";
