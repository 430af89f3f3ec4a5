use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of a stack's life: microseconds since it was made.
///
/// The column from `link` to `socket` reads no clock; every entry takes the moment as an argument, so that
/// tests and replays decide what time it is.
///
/// ```
/// use std::time::Duration;
/// use tapsock::observe::Time;
/// let later = Time::ZERO + Duration::from_millis(1500);
/// assert_eq!(later - Time::ZERO, Duration::from_millis(1500));
/// assert_eq!(later.to_string(), "1.500000");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Time(u64);

impl Time {
    /// The moment the stack was made.
    pub const ZERO: Time = Time(0);

    /// `micros` microseconds after the stack was made.
    pub const fn from_micros(micros: u64) -> Time {
        Time(micros)
    }

    /// Microseconds since the stack was made.
    pub const fn micros(self) -> u64 {
        self.0
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at the end of time, half a million years from the start.
    fn add(self, span: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Time {
    type Output = Duration;

    /// Zero where `earlier` is not earlier.
    fn sub(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
