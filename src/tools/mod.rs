//! One file per subcommand that uses the stack as a program does, or explains what came of it.
//!
//! - `ping`: echo requests, one a second, and what became of them.
//! - `traceroute`: which routers a packet passes.
//! - `nc`: a socket from a shell.
//! - `bench`: how fast this machine moves bytes from one socket to another.
//! - `explain`: the packets of a capture, to the last bit.
//! - `host`: whom a person means.
//! - `replay`: a recording once more.
//! - `report`: what an ICMP error says about a packet of ours.

pub mod bench;
pub mod explain;
mod host;
pub mod nc;
pub mod ping;
pub mod replay;
mod report;
pub mod traceroute;

pub use host::Family;

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The host answered; each packet is sound.
    Reached,
    /// It did not; one is not.
    NotReached,
}
