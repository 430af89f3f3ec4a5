//! A userspace TCP/IP stack on a Linux TAP that explains every packet.
//!
//! Data goes down and up one column of layers, and no layer calls one above it:
//!
//! | module | owns |
//! |---|---|
//! | [`observe`] | what can be seen: events, rules, counters |
//! | [`trace`] | events as lines of text, frames decoded a second time by etherparse |
//! | [`error`], [`config`] | one errno-shaped error; resolved settings and limits |

pub mod config;
pub mod error;
pub mod observe;
pub mod trace;
