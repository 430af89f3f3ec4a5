//! The daemon's control socket.

use std::time::Duration;

use super::{Failure, refused};
use crate::config::Limits;
use crate::control::{self, Audience, Place, Served, Taken, Terms, Unanswered, Unavailable};
use crate::net::Stack;

/// A client that takes nothing for so long is cut off.
const PATIENCE: Duration = Duration::from_secs(30);

impl From<Unavailable> for Failure {
    fn from(why: Unavailable) -> Failure {
        Failure::Mistake(why.to_string())
    }
}

impl From<Unanswered> for Failure {
    fn from(why: Unanswered) -> Failure {
        match why {
            Unanswered::Nobody(sentence) => Failure::Mistake(sentence),
            Unanswered::Broken(sentence) => Failure::Broken(sentence),
        }
    }
}

/// Makes the socket under the name that a person chose, or under that of the TAP. Where nobody chose and there can be none,
/// the daemon does without.
pub(super) fn take(name: Option<&str>, tap: &str) -> Result<Option<Taken>, Failure> {
    match Place::of(name.unwrap_or(tap)).and_then(|place| place.take()) {
        Ok(taken) => Ok(Some(taken)),
        Err(why @ Unavailable::Taken(_)) => Err(why.into()),
        Err(why) if name.is_some() => Err(why.into()),
        Err(why) => {
            log::warn!("{why}; without it, tapsock ss and tapsock trace do not find this daemon");
            Ok(None)
        }
    }
}

/// Serves it, until what this gives is dropped.
pub(super) fn serve(
    taken: Taken,
    stack: &Stack,
    audience: Audience,
    (name, tap, limits): (Option<&str>, &str, Limits),
) -> Result<Served, Failure> {
    let terms = Terms { name: name.unwrap_or(tap).to_owned(), interface: tap.to_owned(), limits, patience: PATIENCE };
    control::serve(taken, stack.handle(), audience, terms).map_err(|error| refused("a thread", &error))
}
