//! A userspace TCP/IP stack on a Linux TAP that explains every packet.
//!
//! Data goes down and up one column of layers, and no layer calls one above it:
//!
//! | module | owns |
//! |---|---|
//! | [`cli`] | arguments, help, the log's format, exit codes |
//! | [`tools`] | subcommands that use the stack as a program does: ping, traceroute, nc, bench |
//! | [`daemon`] | the composition root: one TAP, one stack, its services and its trace, on one thread |
//! | [`control`] | the control socket: how another process looks into a running stack, and works by it |
//! | [`errands`] | ping, traceroute and calls, as they run on whatever stack they are given |
//! | [`services`] | echo, discard, daytime, chargen, and HTTP with a page about its own connection |
//! | [`net`] | what programs hold: a stack, TCP and UDP sockets, blocking and async |
//! | [`engine`] | the one loop around a stack: device, clock, calls |
//! | [`stack`] | the column below, composed: one pure step |
//! | [`socket`] | descriptors and verbs |
//! | [`transport`] | who owns a segment or a datagram; TCP and UDP |
//! | [`ip`] | what is for us, what goes where, and what is answered on the spot: validation, routes, ICMP |
//! | [`link`] | Ethernet, ARP, NDP: who on the link has which address, and packets that wait for the answer |
//! | [`device`] | frames in and out: the TAP, linked pairs in memory, faults on purpose |
//! | [`trace`] | events in words, through `log`; captured packets, to the last bit |
//! | [`pipe`] | what joins a program to its socket |
//! | [`recording`], [`tape`] | what enters a stack, in a file, and the same stack again |
//! | [`memory`] | the slab that buffers come from |
//! | [`observe`] | what can be seen: events, rules, counters |
//! | [`error`], [`config`] | one errno-shaped error; resolved settings and limits |

pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod device;
pub mod engine;
pub mod errands;
pub mod error;
pub mod ip;
pub mod link;
pub mod loopback;
pub mod memory;
pub mod net;
pub mod observe;
pub mod pipe;
pub mod recording;
pub mod services;
pub mod socket;
pub mod stack;
pub mod tape;
pub mod tools;
pub mod trace;
pub mod transport;
