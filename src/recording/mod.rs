//! Recordings: all that enters a stack, in a file; and the same stack again, in virtual time.
//!
//! A [`Recorder`] stands between an engine and its stack. Each step goes through it and is written down: the moment, the
//! frames, the calls, what programs answered ([`tape`](crate::tape)), and what left. A [`Player`] gives the same to a
//! stack of the same settings and the same seed, and sees whether the same frames leave, byte for byte.
//!
//! A file is a line that says what it is, a [`Header`] as a line of JSON, and records: the length in four bytes, little
//! end first, and an [`Entry`] in postcard's form. One that ends in the middle of a record was cut off; what is before is
//! good.

mod file;
mod player;
mod recorder;

pub use file::{Entry, Header, NotARecording, Recording, Sent, What};
pub use player::{Changes, Difference, Player, Summary};
pub use recorder::Recorder;
