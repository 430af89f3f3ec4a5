//! Amounts as a person says them: `78 B`, `1.9 KiB`, `3.2 ms`, `1 segment`.

use std::fmt;
use std::time::Duration;

/// Bytes, in powers of 1024, with one decimal from a KiB on.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        // In tenths of the unit, rounded; integers, so that 1 048 575 B is not called 1024.0 KiB.
        let tenths = |shift: usize| ((u128::from(self.0) * 10) + (1 << shift >> 1)) >> shift;
        let mut unit = 0;
        while unit + 1 < UNITS.len() && tenths(10 * (unit + 1)) >= 10_240 {
            unit += 1;
        }
        let tenths = tenths(10 * (unit + 1));
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
    }
}

/// A span of time, in the unit that keeps it short, with one decimal.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        let decimal = |f: &mut fmt::Formatter<'_>, unit_in_micros: u128, unit: &str| {
            let tenths = (micros * 10 + unit_in_micros / 2) / unit_in_micros;
            write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
        };
        match micros {
            0..1_000 => write!(f, "{micros} µs"),
            1_000..999_950 => decimal(f, 1_000, "ms"),
            999_950..59_950_000 => decimal(f, 1_000_000, "s"),
            _ => {
                let seconds = (micros + 500_000) / 1_000_000;
                match seconds {
                    0..3_600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
                    _ => write!(f, "{} h {} min", seconds / 3_600, seconds / 60 % 60),
                }
            }
        }
    }
}

/// A number of things: `1 segment`, `6 segments`.
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_the_largest_unit_that_fits() {
        let said = [
            (0, "0 B"),
            (78, "78 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1946, "1.9 KiB"),
            (1_048_575, "1.0 MiB"),
            (100 << 20, "100.0 MiB"),
            (3 << 40, "3.0 TiB"),
            (u64::MAX, "16777216.0 TiB"),
        ];
        for (bytes, text) in said {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn spans_are_said_in_the_unit_that_keeps_them_short() {
        let said = [
            (0, "0 µs"),
            (999, "999 µs"),
            (3_200, "3.2 ms"),
            (999_949, "999.9 ms"),
            (999_950, "1.0 s"),
            (59_949_999, "59.9 s"),
            (59_950_000, "1 min 0 s"),
            (61_000_000, "1 min 1 s"),
            (3_600_000_000, "1 h 0 min"),
            (90_061_000_000, "25 h 1 min"),
        ];
        for (micros, text) in said {
            assert_eq!(Span(Duration::from_micros(micros)).to_string(), text);
        }
        assert!(Span(Duration::MAX).to_string().ends_with(" min"));
    }

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!(Count(0, "segment").to_string(), "0 segments");
        assert_eq!(Count(1, "segment").to_string(), "1 segment");
        assert_eq!(Count(6, "segment").to_string(), "6 segments");
    }
}
