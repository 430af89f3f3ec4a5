//! The daemon on a real TAP, against the kernel's own stack and the programs everybody has.
//!
//! Each test runs in a network of its own (`namespace`), in which `Host` stands for the machine: it makes the
//! TAP with scripts/tap-up.sh and starts the daemon. A missing tool or right fails the test with what to do.

// Clippy excuses the functions marked #[test] only, and not what they are made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod autoconf;
mod host;
mod namespace;

mod control;
mod groups;
mod http;
mod idle;
mod life;
mod metrics;
mod mistakes;
mod nc;
mod nmap;
mod pcapng;
mod ping;
mod probes;
mod replay;
mod scripts;
mod services;
mod storm;
mod through;
