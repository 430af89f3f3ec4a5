//! What can be seen of the stack.
//!
//! The layers do not print, count for display or keep history. They return what happened; `stack` turns
//! that into [`Event`]s at one choke point for each direction and gives them to one [`Observer`]. Events
//! borrow the frame they tell about; an observer that wants to keep something copies it.
//!
//! - [`Observer`], [`NoObserver`], [`Depth`]: who looks, and how closely.
//! - [`Event`], [`Fate`], [`CallKind`]: what there is to see.
//! - [`Record`], [`EventId`], [`Trail`]: which event caused which.
//! - [`Rule`]: the table of reasons. Every drop, answer and refusal names one of its rows.
//! - [`Counters`]: what the stack counts even when nobody looks.

mod call;
mod counters;
mod event;
pub(crate) mod notation;
#[cfg(test)]
mod provoked;
mod rule;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod time;
mod trail;

pub use call::{CallKind, TimerKind};
pub use counters::Counters;
pub use event::{Address, Cast, Close, Direction, Event, Fate, Lease, Neighbour, Numbers, Ownership, Router, Summary};
pub use rule::Rule;
pub use socket::{Owner, Protocol, SocketId, TcpState};
pub use time::Time;
pub use trail::{EventId, Record, Trail};

use serde::{Deserialize, Serialize};

/// How much an observer wants to be told. Each depth includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Nothing.
    #[default]
    Nothing,
    /// The life of addresses, sockets and neighbours.
    Life,
    /// Every call of a program, what it was given, and every change of a connection's state.
    Call,
    /// Every segment, with its reason, and every timer that goes off.
    Segment,
    /// Every frame, with its fate.
    Frame,
    /// Every frame with all its layers, fields and checksums.
    Bytes,
}

/// Something that is told what happens in a stack.
///
/// It is called on the engine's thread, between two packets: it must not block and must not panic.
///
/// ```
/// use tapsock::observe::{Depth, Event, Observer, Record};
///
/// struct CountFrames(u64);
///
/// impl Observer for CountFrames {
///     fn depth(&self) -> Depth {
///         Depth::Frame
///     }
///     fn observe(&mut self, record: &Record<'_>) {
///         if let Event::Frame { .. } = record.event {
///             self.0 += 1;
///         }
///     }
/// }
/// ```
pub trait Observer: Send {
    /// How closely it looks. Asked once for each step, so that an absent observer costs one comparison.
    fn depth(&self) -> Depth;

    /// Something happened.
    fn observe(&mut self, record: &Record<'_>);
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn depth(&self) -> Depth {
        Depth::Nothing
    }

    fn observe(&mut self, _record: &Record<'_>) {}
}
