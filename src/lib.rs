//! A userspace TCP/IP stack on a Linux TAP that explains every packet.
//!
//! Data goes down and up one column of layers, and no layer calls one above it:
//!
//! | module | owns |
//! |---|---|
//! | [`observe`] | what can be seen: events, rules, counters |
//! | [`ip`] | validation, extension headers, routes, cutting and checksums, ICMP echo and errors |
//! | [`error`], [`config`] | one errno-shaped error; resolved settings and limits |

pub mod config;
pub mod error;
pub mod ip;
pub mod observe;
