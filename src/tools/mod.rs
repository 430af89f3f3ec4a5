//! Programs in small: each is a subcommand that brings a stack of its own, uses it and goes.
//!
//! - [`nc`]: a socket from a shell.
//! - [`bench`](mod@bench): how fast this machine moves bytes from one socket to another.
//!
//! [`attach`] gives a tool its stack on a TAP, with the checks and the sentences of the daemon.

pub mod attach;
pub mod bench;
pub mod nc;
