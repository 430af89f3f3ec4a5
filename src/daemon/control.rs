//! The daemon's control socket.

use std::io;
use std::time::Duration;

use tokio::runtime::Handle;

use super::{Failure, refused};
use crate::config::Config;
use crate::control::{self, Audience, Hello, Packer, Place, Served, Taken, Terms, Tracing, Unanswered, Unavailable};
use crate::net::Stack;
use crate::observe::Record;
use crate::trace::Capture;

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

/// Serves it, until what this gives is dropped. Errands run on the runtime that this is called in.
pub(super) fn serve(
    taken: Taken,
    stack: &Stack,
    audience: Audience,
    (name, tap, config): (Option<&str>, &str, Config),
) -> Result<Served, Failure> {
    let (name, interface) = (name.unwrap_or(tap).to_owned(), tap.to_owned());
    let terms = Terms { name, interface, config, patience: PATIENCE, pack, home: Handle::current() };
    control::serve(taken, stack, audience, terms).map_err(|error| refused("a thread", &error))
}

/// How packets become a file for a client of the control socket.
///
/// # Errors
///
/// None: what it writes to takes everything.
pub fn pack(about: &Hello, asked: &Tracing) -> io::Result<Box<dyn Packer>> {
    let mut capture = Capture::new(Vec::new(), &about.interface, Duration::from_micros(about.started))?;
    if asked.synthesise {
        capture.synthesise();
    }
    Ok(Box::new(capture))
}

impl Packer for Capture<Vec<u8>> {
    fn pack(&mut self, record: &Record<'_>, length: usize) -> io::Result<u64> {
        self.write_cut(record, length)
    }

    fn miss(&mut self, records: u64) {
        Capture::miss(self, records);
    }

    fn part(&mut self) -> &mut Vec<u8> {
        self.get_mut()
    }
}
