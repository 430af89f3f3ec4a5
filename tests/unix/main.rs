//! Unix-domain sockets of the kernel and of ours: one body for each behaviour, and it runs over both.
//!
//! A body asks a [`World`] for sockets and names and does not know whose they are. Where we differ from Linux on
//! purpose, it asks, and says why.

// Clippy excuses the functions marked #[test] only, and not what they are made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Both suites ask the same sockets; each has methods that the other has no use for.
#[allow(dead_code)]
#[path = "../twin/check.rs"]
mod check;
#[path = "../twin/poll.rs"]
mod poll;
#[allow(dead_code)]
#[path = "../twin/sock.rs"]
mod sock;
mod world;

mod asynchronous;
mod budget;
mod connection;
mod message;
mod name;
mod shutdown;

/// Makes two tests of each body.
macro_rules! twins {
    ($($(#[doc = $about:literal])* fn $name:ident($world:ident: &World) $body:block)*) => {
        $(mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[doc = $about])*
            fn body($world: &World) $body

            #[test]
            fn kernel() {
                body(&World::kernel());
            }

            #[test]
            fn tapsock() {
                body(&World::ours());
            }
        })*
    };
}
pub(crate) use twins;
