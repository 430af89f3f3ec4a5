//! What joins an application to its socket.
//!
//! A socket is read and written like a file, by a program that runs on another thread than the stack. The
//! two meet here and nowhere else:
//!
//! - [`Stream`] and [`StreamEnd`]: two byte rings, one each way. Each end of a ring has a lock of its own, so that
//!   `&TcpStream` may be used by several threads; the stack's end belongs to the engine.
//! - [`Stream::joined`]: two applications' ends and no stack in between: the bytes of one program to another of the same
//!   stack take this way, and it is no longer than a pipe's.
//! - [`Datagrams`] and [`DatagramEnd`]: the same for whole datagrams with their addresses.
//! - [`Mailbox`] and [`MailSlot`]: messages from any number of programs to one, without the stack; [`Hold`] and
//!   [`HoldEnd`] tell the stack when a program lets go of a socket that has no other way to say it.
//! - [`Accepts`] and [`AcceptEnd`]: the queue of connections that wait to be accepted.
//! - [`Doorbell`]: how an application tells a sleeping engine which socket needs it; and, if somebody looks, what it does
//!   at its end of a pipe ([`Deed`]).
//!
//! An application waits on a [`Waker`](std::task::Waker); [`wait`] lets a plain thread be one.

mod accept;
mod budget;
mod datagram;
mod deed;
mod doorbell;
mod hold;
mod joined;
mod link;
mod mailbox;
mod queue;
mod readiness;
mod ring;
mod stream;
pub mod wait;
mod waiters;

pub use accept::{AcceptEnd, Accepts, Vacancy};
pub use datagram::{Addresses, DatagramEnd, Datagrams, HeaderFields};
pub use deed::{Attempt, Deed};
pub use doorbell::{Bell, Doorbell};
pub use hold::{Hold, HoldEnd};
pub use joined::{Carried, JoinedEnd, Tally};
pub use link::Joint;
pub use mailbox::{MailSlot, Mailbox};
pub use queue::{MOST_DATAGRAMS, Received};
pub use readiness::{Interest, Readiness};
pub use stream::{Stream, StreamEnd};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. A thread that panicked while it held the lock has not left a ring half written: the
/// indices move last.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
