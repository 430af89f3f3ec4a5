//! The proof that tapsock is right on the wire: a test for each line of the table in docs/conformance.md.
//!
//! A test sends crafted frames and looks at what comes back, as another host would: nothing of the stack's inside is
//! asked. Every frame that the stack sends in any of the tests is checked (`wire::answer`). Most tests run in virtual
//! time (`pair::line_…`); a good third run again on a real TAP, in a network of their own (`tap::line_…`).

// Clippy excuses the functions marked #[test] only, and not what they are made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[allow(dead_code)]
#[path = "../tap/host.rs"]
mod host;
#[path = "../tap/namespace.rs"]
mod namespace;

mod wire;

mod arp;
mod fragments;
mod hostile;
mod icmp;
mod ip4;
mod ip6;
mod tcp_close;
mod tcp_data;
mod tcp_listen;
mod tcp_loss;
mod udp;

mod catalogue;
