//! What a ping has counted, and the lines at its end.

use std::fmt::Write;
use std::time::Duration;

use tokio::time::Instant;

/// Requests and answers.
#[derive(Debug)]
pub(super) struct Tally {
    began: Instant,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) duplicates: u64,
    pub(super) errors: u64,
    times: Option<Times>,
}

/// Of the answers, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Times {
    least: f64,
    most: f64,
    sum: f64,
    squares: f64,
}

impl Tally {
    pub(super) fn new() -> Tally {
        Tally { began: Instant::now(), sent: 0, received: 0, duplicates: 0, errors: 0, times: None }
    }

    /// An answer came after this time.
    pub(super) fn answer(&mut self, time: Duration) {
        self.received += 1;
        let time = time.as_secs_f64() * 1000.0;
        let Times { least, most, sum, squares } =
            self.times.unwrap_or(Times { least: time, most: time, sum: 0.0, squares: 0.0 });
        self.times = Some(Times {
            least: least.min(time),
            most: most.max(time),
            sum: sum + time,
            squares: time.mul_add(time, squares),
        });
    }

    /// The longest that an answer took.
    pub(super) fn slowest(&self) -> Option<Duration> {
        self.times.map(|times| Duration::from_secs_f64(times.most / 1000.0))
    }

    /// The lines at the end.
    pub(super) fn lines(&self, host: &str) -> [String; 4] {
        let Tally { sent, received, duplicates, errors, .. } = *self;
        let mut counts = format!("{sent} packets transmitted, {received} received");
        if duplicates > 0 {
            let _ = write!(counts, ", +{duplicates} duplicates");
        }
        if errors > 0 {
            let _ = write!(counts, ", +{errors} errors");
        }
        if sent > 0 {
            let lost = (sent.saturating_sub(received)) as f64 * 100.0 / sent as f64;
            let lost = (lost * 1e4).round() / 1e4;
            let _ = write!(counts, ", {lost}% packet loss, time {}ms", self.began.elapsed().as_millis());
        }
        let times = self.times.map(|Times { least, most, sum, squares }| {
            let count = received as f64;
            let average = sum / count;
            let deviation = (squares / count - average * average).max(0.0).sqrt();
            format!("rtt min/avg/max/mdev = {least:.3}/{average:.3}/{most:.3}/{deviation:.3} ms")
        });
        [String::new(), format!("--- {host} ping statistics ---"), counts, times.unwrap_or_default()]
    }
}

/// As ping writes a time: about three digits.
pub(super) fn milliseconds(time: Duration) -> String {
    let time = time.as_secs_f64() * 1000.0;
    let digits = match time {
        time if time < 1.0 => 3,
        time if time < 10.0 => 2,
        time if time < 100.0 => 1,
        _ => 0,
    };
    format!("{time:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(tally: &Tally) -> String {
        tally.lines("host").join("\n")
    }

    #[test]
    fn the_end_is_written_as_ping_does() {
        let mut tally = Tally::new();
        tally.sent = 3;
        for time in [1.0, 3.0] {
            tally.answer(Duration::from_secs_f64(time / 1000.0));
        }
        tally.errors = 1;
        let said = lines(&tally);
        assert!(said.starts_with("\n--- host ping statistics ---\n3 packets transmitted, 2 received, +1 errors, 33.3333% packet loss, time "), "{said}");
        assert!(said.ends_with("\nrtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms"), "{said}");
        assert_eq!(tally.slowest(), Some(Duration::from_millis(3)));
    }

    #[test]
    fn without_an_answer_there_are_no_times() {
        let mut tally = Tally::new();
        tally.sent = 1;
        assert!(lines(&tally).contains("1 packets transmitted, 0 received, 100% packet loss, time "));
        assert!(!lines(&tally).contains("rtt") && tally.slowest().is_none());
    }

    #[test]
    fn times_have_about_three_digits() {
        for (microseconds, text) in [(12, "0.012"), (1234, "1.23"), (12_340, "12.3"), (123_400, "123")] {
            assert_eq!(milliseconds(Duration::from_micros(microseconds)), text);
        }
    }
}
