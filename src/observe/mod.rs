//! What can be seen of the stack.
//!
//! The layers do not print, count for display or keep history. They return what happened; `stack` turns
//! that into [`Event`]s at one choke point for each direction and gives them to one [`Observer`]. Events
//! borrow the frame they tell about; an observer that wants to keep something copies it.
//!
//! - [`Observer`], [`NoObserver`], [`Depth`]: who looks, and how closely.
//! - [`Event`], [`Fate`]: what there is to see.
//! - [`Rule`]: the table of reasons. Every drop, answer and refusal names one of its rows.
//! - [`Counters`]: what the stack counts even when nobody looks.

mod counters;
mod event;
mod rule;
mod socket;
mod time;

pub use counters::Counters;
pub use event::{Address, Cast, Close, Direction, Event, Fate, Lease, Neighbour, Numbers, Ownership, Router, Summary};
pub use rule::Rule;
pub use socket::{Protocol, SocketId, TcpState};
pub use time::Time;

/// How much an observer wants to be told. Each depth includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Depth {
    /// Nothing.
    #[default]
    Nothing,
    /// The life of addresses, sockets and neighbours.
    Life,
    /// Every frame, with its fate.
    Packet,
    /// Every frame with all its layers, fields and checksums.
    Layers,
}

/// Something that is told what happens in a stack.
///
/// It is called on the engine's thread, between two packets: it must not block and must not panic.
///
/// ```
/// use tapsock::observe::{Depth, Event, Observer, Time};
///
/// struct CountFrames(u64);
///
/// impl Observer for CountFrames {
///     fn depth(&self) -> Depth {
///         Depth::Packet
///     }
///     fn observe(&mut self, _at: Time, event: &Event<'_>) {
///         if let Event::Frame { .. } = event {
///             self.0 += 1;
///         }
///     }
/// }
/// ```
pub trait Observer: Send {
    /// How closely it looks. Asked once for each step, so that an absent observer costs one comparison.
    fn depth(&self) -> Depth;

    /// Something happened at `at`.
    fn observe(&mut self, at: Time, event: &Event<'_>);
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn depth(&self) -> Depth {
        Depth::Nothing
    }

    fn observe(&mut self, _at: Time, _event: &Event<'_>) {}
}
