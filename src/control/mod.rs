//! The control socket: how another process looks into a running stack, and works by it.
//!
//! A daemon listens on a Unix socket of the kernel's, and speaks JSON, one object a line; `docs/control.md` describes
//! it. Everything here runs on a thread of its own: the engine answers short questions, and hands events to bounded
//! queues; what a client does with them, and how slowly, is no concern of it. Only [`errands`](crate::errands), which it runs
//! for its clients, have sockets, and are where the stack is.
//!
//! - [`Request`], [`Message`]: what is asked and what is answered.
//! - [`Filter`]: which events a client wants to be told.
//! - [`Place`]: where the socket is, and who may have it.
//! - [`Packer`]: what makes a file of records, for clients that want packets in one.
//! - [`Fanout`], [`Audience`]: one observer that tells the log and everybody who watches.
//! - [`serve`]: the daemon's end.
//! - [`Client`]: the other end.

mod audience;
mod client;
mod counted;
mod errand;
mod filter;
mod lines;
mod listed;
mod message;
mod packet;
mod part;
mod place;
mod queue;
mod server;
mod session;
mod tell;
#[cfg(test)]
mod tests;

pub use audience::{Audience, Fanout};
pub use client::{Client, Heard, Speaker, Unanswered};
pub use counted::{Counted, Rounds, Tally};
pub use filter::{Filter, Kind};
pub use listed::{Details, Family, Listed, Network, Pending};
pub use message::{BadRequest, Bound, Encoding, Hello, Message, PROTOCOL, Request, Tracing};
pub use part::{Pack, Packer};
pub use place::{Place, Taken, Unavailable};
pub use server::{Served, Terms, serve};
