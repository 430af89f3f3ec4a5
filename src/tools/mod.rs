//! One file per subcommand that uses the stack as a program does, looks into a daemon's, or explains what came of it.
//!
//! - `errand`: ping and traceroute, by a stack of their own or by a daemon's.
//! - `nc`: a socket from a shell, by either.
//! - `ss`: the sockets of a running daemon.
//! - `trace`: what happens in a running daemon.
//! - `stats`: what a running daemon has counted.
//! - `bench`: how fast this machine moves bytes from one socket to another.
//! - `why`: the reason that a trace has named.
//! - `explain`: the packets of a capture, to the last bit.
//! - `host`: whom a person means.
//! - `replay`: a recording once more.
//! - `signals`: Ctrl-C.

pub mod bench;
pub mod errand;
pub mod explain;
mod host;
pub mod nc;
pub mod replay;
mod signals;
pub mod ss;
pub mod stats;
pub mod trace;
pub mod why;

pub use errand::Whose;
pub use host::{Family, resolve};

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The host answered; each packet is sound.
    Reached,
    /// It did not; one is not.
    NotReached,
}
