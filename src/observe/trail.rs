use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::{Depth, Event, Observer, Time};

/// The number of an event. Counts up from 1 in the life of a stack, and is never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(NonZeroU64);

impl EventId {
    /// The number.
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}", self.0)
    }
}

/// An event with its number, its moment and what caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Its own number.
    pub id: EventId,
    /// The event without which it would not have happened. `None`: it came from outside, or its cause was not observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<EventId>,
    /// When.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub event: Event<'a>,
}

impl Record<'_> {
    /// The same, which borrows nothing.
    pub fn into_owned(self) -> Record<'static> {
        Record { id: self.id, cause: self.cause, at: self.at, event: self.event.into_owned() }
    }
}

/// The way back from what happens to what caused it.
///
/// A stack has one. It gives events their numbers, and knows which event everything that happens at present is the
/// consequence of: the frame that is being received, the call that is being served, the timer that went off. What the
/// layers note is kept until the stack hands it to the observer, in the order of their numbers. Where nobody looks,
/// nothing is numbered and nothing is kept.
///
/// ```
/// use tapsock::observe::{CallKind, Depth, Event, Time, Trail};
///
/// let mut trail = Trail::default();
/// let call = |call| Event::Call { socket: None, call };
/// assert!(trail.note(Time::ZERO, call(CallKind::Socket)).is_none()); // nobody looks
///
/// trail.set_depth(Depth::Call);
/// let first = trail.note(Time::ZERO, call(CallKind::Listen { backlog: 8 }));
/// trail.because_of(first);
/// trail.note(Time::ZERO, call(CallKind::Accept));
/// let noted: Vec<_> = trail.drain().collect();
/// assert_eq!((noted[0].id.number(), noted[0].cause), (1, None));
/// assert_eq!((noted[1].id.number(), noted[1].cause), (2, first));
/// ```
#[derive(Debug, Default)]
pub struct Trail {
    depth: Depth,
    last: u64,
    cause: Option<EventId>,
    notes: Vec<Record<'static>>,
}

impl Trail {
    /// How closely somebody looks from here on.
    pub fn set_depth(&mut self, depth: Depth) {
        self.depth = depth;
    }

    /// How closely somebody looks.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Whether somebody looks so closely.
    pub fn shows(&self, depth: Depth) -> bool {
        self.depth >= depth
    }

    /// A number for an event that is told later, if somebody looks at all.
    pub fn number(&mut self) -> Option<EventId> {
        if self.depth == Depth::Nothing {
            return None;
        }
        self.last += 1;
        NonZeroU64::new(self.last).map(EventId)
    }

    /// The same, if somebody looks as closely as that: who does not is not told the event either.
    pub fn number_at(&mut self, depth: Depth) -> Option<EventId> {
        if self.shows(depth) { self.number() } else { None }
    }

    /// What happens from here on happens because of this. Gives what it was before.
    pub fn because_of(&mut self, cause: Option<EventId>) -> Option<EventId> {
        std::mem::replace(&mut self.cause, cause)
    }

    /// What everything happens because of at present.
    pub fn cause(&self) -> Option<EventId> {
        self.cause
    }

    /// Keeps an event for the observer, if it looks as closely as that. Gives its number.
    pub fn note(&mut self, at: Time, event: Event<'static>) -> Option<EventId> {
        if self.depth < event.depth() {
            return None;
        }
        let id = self.number()?;
        self.notes.push(Record { id, cause: self.cause, at, event });
        Some(id)
    }

    /// Tells the observer an event at once, if it looks as closely as that. Gives its number.
    pub fn tell(&mut self, at: Time, event: Event<'_>, observer: &mut dyn Observer) -> Option<EventId> {
        self.tell_for(at, self.cause, event, observer)
    }

    /// The same for an event that has a cause of its own.
    pub fn tell_for(
        &mut self,
        at: Time,
        cause: Option<EventId>,
        event: Event<'_>,
        observer: &mut dyn Observer,
    ) -> Option<EventId> {
        if self.depth < event.depth() {
            return None;
        }
        let id = self.number()?;
        observer.observe(&Record { id, cause, at, event });
        Some(id)
    }

    /// The same for an event that has its number already, and its cause.
    pub fn tell_as(
        &mut self,
        id: Option<EventId>,
        (at, cause): (Time, Option<EventId>),
        event: Event<'_>,
        observer: &mut dyn Observer,
    ) {
        if let Some(id) = id
            && self.depth >= event.depth()
        {
            observer.observe(&Record { id, cause, at, event });
        }
    }

    /// Tells the observer everything that was noted, in the order in which it happened.
    pub fn tell_notes(&mut self, observer: &mut dyn Observer) {
        for record in self.notes.drain(..) {
            observer.observe(&record);
        }
    }

    /// Takes what was noted.
    pub fn drain(&mut self) -> impl Iterator<Item = Record<'static>> + '_ {
        self.notes.drain(..)
    }
}
