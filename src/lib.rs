//! A userspace TCP/IP stack on a Linux TAP that explains every packet.
//!
//! Data goes down and up one column of layers, and no layer calls one above it:
//!
//! | module | owns |
//! |---|---|
//! | [`link`] | Ethernet, ARP, NDP: who on the link has which address, and packets that wait for the answer |
//! | [`device`] | frames in and out: the TAP, linked pairs in memory, faults on purpose |
//! | [`observe`] | what can be seen: events, rules, counters |
//! | [`error`], [`config`] | one errno-shaped error; resolved settings and limits |

pub mod config;
pub mod device;
pub mod error;
pub mod link;
pub mod observe;
