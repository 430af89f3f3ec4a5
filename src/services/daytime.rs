//! Daytime (RFC 867).

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::AsyncWriteExt;

use super::accept::say_goodbye;
use crate::net::tokio::TcpStream;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Says what time it is and closes.
pub(super) async fn stream(mut stream: TcpStream) -> io::Result<()> {
    // A clock before 1970 is a clock that was never set.
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    stream.write_all(sentence(seconds).as_bytes()).await?;
    say_goodbye(stream).await
}

/// The moment, `seconds` after the beginning of 1970, in the first form that the RFC suggests.
fn sentence(seconds: u64) -> String {
    let (days, seconds) = (seconds / 86_400, seconds % 86_400);
    // The first day of 1970 was a Thursday.
    let weekday = WEEKDAYS[((days + 3) % 7) as usize];
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let month = MONTHS[month];
    format!("{weekday}, {month} {day}, {year} {hour:02}:{minute:02}:{second:02}-UTC\r\n")
}

/// Year, month (from 0) and day (from 1) of the Gregorian calendar, `days` after the first day of 1970.
fn civil(days: u64) -> (u64, usize, u64) {
    // Counted from 1 March of the year 0, leap days come last in their year, century and cycle of 400 years.
    let days = days + 719_468;
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // From March on, months of 31 30 31 30 31 days repeat: 153 days for five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let year = 400 * cycle + year_of_cycle + u64::from(month_from_march >= 10);
    (year, (month_from_march as usize + 2) % 12, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_have_their_known_dates() {
        for (seconds, text) in [
            (0, "Thursday, January 1, 1970 00:00:00-UTC\r\n"),
            (951_782_399, "Monday, February 28, 2000 23:59:59-UTC\r\n"),
            (951_782_400, "Tuesday, February 29, 2000 00:00:00-UTC\r\n"),
            (1_795_434_723, "Monday, November 23, 2026 11:52:03-UTC\r\n"),
            (4_107_542_400, "Monday, March 1, 2100 00:00:00-UTC\r\n"),
        ] {
            assert_eq!(sentence(seconds), text);
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        let (mut year, mut month, mut day) = (1970, 0, 1);
        for days in 0..400 * 366 {
            assert_eq!(civil(days), (year, month, day));
            let february = if leap(year) { 29 } else { 28 };
            let length = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month];
            (year, month, day) = match (month, day) {
                (11, 31) => (year + 1, 0, 1),
                _ if day == length => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }
}
