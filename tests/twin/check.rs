//! What bodies say about results.

use std::fmt::Debug;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::error::Error;

use super::world::PATIENCE;

/// The call failed, with this errno.
#[track_caller]
pub(crate) fn fails<T: Debug>(result: io::Result<T>, error: Error) {
    match result {
        Ok(value) => panic!("it gave {value:?} instead of {error:?}"),
        Err(got) => assert_eq!(got.raw_os_error(), Some(error.errno()), "it gave {got:?} instead of {error:?}"),
    }
}

/// What SO_ERROR had to say, as an errno.
#[track_caller]
pub(crate) fn pending(result: io::Result<Option<io::Error>>) -> Option<Error> {
    result.unwrap().map(|error| Error::from_errno(error.raw_os_error().unwrap()).unwrap())
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Bytes that nobody makes by accident.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
