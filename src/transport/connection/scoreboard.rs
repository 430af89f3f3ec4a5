//! What is on its way, and what became of it (RFC 6675 §3, RFC 8985 §5).
//!
//! A *flight* is a range that left at one moment: a whole super-segment, until a selective acknowledgment
//! makes a difference within it. On a path without loss there are few flights, and none is ever looked at
//! but the first and the last.

use std::time::Duration;

use smallvec::SmallVec;
use smoltcp::wire::TcpSeqNumber;

use crate::observe::Time;
use crate::transport::sequence::{add, earlier, is_after, later, span};

/// A peer that acknowledges single bytes cannot make the list longer.
const MOST: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) start: TcpSeqNumber,
    pub(super) end: TcpSeqNumber,
    pub(super) sent_at: Time,
    pub(super) fate: Now,
    /// Its acknowledgment does not tell which of its copies arrived.
    pub(super) again: bool,
}

impl Flight {
    pub(super) fn len(&self) -> usize {
        span(self.start, self.end)
    }
}

/// What is believed of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    OnItsWay,
    /// The peer has it.
    Arrived,
    /// And not sent again yet.
    Lost,
}

/// What an acknowledgment says has arrived.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Arrivals {
    pub(super) bytes: usize,
    /// Of the youngest among them: when it was sent, where it ends, and whether it was sent more than once.
    pub(super) youngest: Option<(Time, TcpSeqNumber, bool)>,
    /// The end of one that was sent once.
    pub(super) first_copy: Option<TcpSeqNumber>,
    /// When the youngest of those that were sent once was sent.
    pub(super) sampled: Option<Time>,
}

impl Arrivals {
    fn add(&mut self, flight: &Flight) {
        self.bytes += flight.len();
        if self.youngest.is_none_or(|(at, end, _)| is_younger((flight.sent_at, flight.end), (at, end))) {
            self.youngest = Some((flight.sent_at, flight.end, flight.again));
        }
        if !flight.again {
            self.sampled = self.sampled.max(Some(flight.sent_at));
            self.first_copy.get_or_insert(flight.end);
        }
    }
}

/// RFC 8985 §6.2: what left later; in one burst, what lies behind.
pub(super) fn is_younger(a: (Time, TcpSeqNumber), b: (Time, TcpSeqNumber)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && is_after(a.1, b.1))
}

#[derive(Debug, Default)]
pub(super) struct Scoreboard {
    /// In the order of their sequence numbers, without gaps. Two need no allocation: a response and the FIN behind it.
    flights: SmallVec<[Flight; 2]>,
    on_its_way: usize,
    arrived: usize,
    lost: usize,
}

impl Scoreboard {
    pub(super) fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// RFC 6675's pipe, in bytes.
    pub(super) fn on_its_way(&self) -> usize {
        self.on_its_way
    }

    /// Bytes behind a gap that the peer has.
    pub(super) fn arrived(&self) -> usize {
        self.arrived
    }

    /// Bytes to be sent again.
    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    pub(super) fn first(&self) -> Option<&Flight> {
        self.flights.first()
    }

    fn count(&mut self, fate: Now) -> &mut usize {
        match fate {
            Now::OnItsWay => &mut self.on_its_way,
            Now::Arrived => &mut self.arrived,
            Now::Lost => &mut self.lost,
        }
    }

    fn set(&mut self, at: usize, fate: Now) {
        let flight = self.flights[at];
        *self.count(flight.fate) -= flight.len();
        *self.count(fate) += flight.len();
        self.flights[at].fate = fate;
    }

    /// New data left.
    pub(super) fn send(&mut self, start: TcpSeqNumber, end: TcpSeqNumber, now: Time) {
        self.on_its_way += span(start, end);
        let is_crowded = self.flights.len() >= MOST;
        if let Some(last) = self.flights.last_mut()
            && last.fate == Now::OnItsWay
            && (is_crowded || (last.sent_at == now && !last.again))
        {
            last.end = end;
            return;
        }
        self.flights.push(Flight { start, end, sent_at: now, fate: Now::OnItsWay, again: false });
    }

    /// Everything before `una` has arrived.
    pub(super) fn acknowledge(&mut self, una: TcpSeqNumber, arrivals: &mut Arrivals) {
        let mut whole = 0;
        while let Some(&flight) = self.flights.get(whole) {
            if !is_after(una, flight.start) {
                break;
            }
            let done = Flight { end: earlier(flight.end, una), ..flight };
            *self.count(flight.fate) -= done.len();
            if flight.fate != Now::Arrived {
                arrivals.add(&done);
            }
            if done.end != flight.end {
                self.flights[whole].start = una;
                break;
            }
            whole += 1;
        }
        self.flights.drain(..whole);
    }

    /// The peer has `left..right`.
    pub(super) fn arrive(&mut self, left: TcpSeqNumber, right: TcpSeqNumber, arrivals: &mut Arrivals) {
        self.each_within(left, right, |board, at| {
            let flight = board.flights[at];
            if flight.fate != Now::Arrived {
                arrivals.add(&flight);
                board.set(at, Now::Arrived);
            }
        });
    }

    /// Calls `each` with the index of every flight within `left..right`; splits those at its ends.
    fn each_within(&mut self, left: TcpSeqNumber, right: TcpSeqNumber, mut each: impl FnMut(&mut Scoreboard, usize)) {
        let mut at = self.flights.partition_point(|flight| !is_after(flight.end, left));
        while let Some(&flight) = self.flights.get(at) {
            if !is_after(right, flight.start) {
                return;
            }
            if is_after(left, flight.start) {
                if !self.split(at, left) {
                    return;
                }
                at += 1;
                continue;
            }
            if is_after(flight.end, right) && !self.split(at, right) {
                return;
            }
            each(self, at);
            at += 1;
        }
    }

    fn split(&mut self, at: usize, middle: TcpSeqNumber) -> bool {
        if self.flights.len() >= MOST {
            return false;
        }
        let flight = self.flights[at];
        self.flights[at].end = middle;
        self.flights.insert(at + 1, Flight { start: middle, ..flight });
        true
    }

    /// RFC 8985 §6.2, step 5: what left before something that has arrived, and had time to arrive as well, is
    /// lost. Says whether something was, and when to look again for the rest.
    pub(super) fn find_lost(
        &mut self,
        now: Time,
        youngest: (Time, TcpSeqNumber),
        patience: Duration,
    ) -> (bool, Option<Time>) {
        let (mut found, mut again_at) = (false, None::<Time>);
        for at in 0..self.flights.len() {
            let flight = self.flights[at];
            if flight.fate != Now::OnItsWay || !is_younger(youngest, (flight.sent_at, flight.end)) {
                continue;
            }
            let due = flight.sent_at + patience;
            if due <= now {
                self.set(at, Now::Lost);
                found = true;
            } else {
                again_at = Some(again_at.map_or(due, |at| at.min(due)));
            }
        }
        (found, again_at)
    }

    /// Gives up `left..right`.
    pub(super) fn lose(&mut self, left: TcpSeqNumber, right: TcpSeqNumber) {
        self.each_within(left, right, |board, at| {
            if board.flights[at].fate == Now::OnItsWay {
                board.set(at, Now::Lost);
            }
        });
    }

    /// Gives up all that has not arrived; with `forget`, also what the peer said it had (RFC 2018 §8: it may
    /// have thrown it away).
    pub(super) fn lose_all(&mut self, forget: bool) {
        for at in 0..self.flights.len() {
            if forget || self.flights[at].fate != Now::Arrived {
                self.set(at, Now::Lost);
            }
        }
    }

    /// `left..right` has left again.
    pub(super) fn resend(&mut self, left: TcpSeqNumber, right: TcpSeqNumber, now: Time) {
        self.each_within(left, right, |board, at| {
            if board.flights[at].fate != Now::Arrived {
                board.set(at, Now::OnItsWay);
                board.flights[at].sent_at = now;
                board.flights[at].again = true;
            }
        });
    }

    /// The lost ranges, first ones first, together at most `quota` bytes in pieces of at most `mss`; the first
    /// piece is whole.
    pub(super) fn due(&self, mss: usize, quota: usize) -> Vec<(TcpSeqNumber, TcpSeqNumber)> {
        let mut ranges: Vec<(TcpSeqNumber, TcpSeqNumber)> = Vec::new();
        let mut left = quota.max(mss);
        for flight in self.flights.iter().filter(|flight| flight.fate == Now::Lost) {
            if left == 0 {
                break;
            }
            let length = flight.len().min(left);
            // Half a segment saves nothing.
            let length = if length < flight.len() { length / mss * mss } else { length };
            if length == 0 {
                break;
            }
            left -= length;
            let end = add(flight.start, length);
            match ranges.last_mut() {
                Some(last) if last.1 == flight.start => last.1 = end,
                _ => ranges.push((flight.start, end)),
            }
        }
        ranges
    }

    /// The last bytes that have not arrived, one segment of them.
    pub(super) fn tail(&self, mss: usize) -> Option<(TcpSeqNumber, TcpSeqNumber)> {
        let flight = self.flights.iter().rev().find(|flight| flight.fate != Now::Arrived)?;
        Some((later(flight.start, TcpSeqNumber(flight.end.0.wrapping_sub(mss as i32))), flight.end))
    }

    /// The end of the last range that the peer has behind a gap.
    pub(super) fn highest_arrived(&self) -> Option<TcpSeqNumber> {
        self.flights.iter().rev().find(|flight| flight.fate == Now::Arrived).map(|flight| flight.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seq(number: i32) -> TcpSeqNumber {
        TcpSeqNumber(number)
    }

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    fn ten_segments() -> Scoreboard {
        let mut board = Scoreboard::default();
        for i in 0..10 {
            board.send(seq(i * 100), seq(i * 100 + 100), at(0));
        }
        board
    }

    fn counts(board: &Scoreboard) -> (usize, usize, usize) {
        (board.on_its_way(), board.arrived(), board.lost())
    }

    #[test]
    fn a_burst_is_one_flight_until_a_part_of_it_has_arrived() {
        let mut board = ten_segments();
        assert_eq!(board.flights.len(), 1);
        let mut arrivals = Arrivals::default();
        board.arrive(seq(300), seq(500), &mut arrivals);
        board.arrive(seq(300), seq(500), &mut arrivals);
        assert_eq!((board.flights.len(), arrivals.bytes, counts(&board)), (3, 200, (800, 200, 0)));
    }

    #[test]
    fn what_left_before_an_arrival_is_lost_once_it_had_its_time() {
        let mut board = ten_segments();
        let mut arrivals = Arrivals::default();
        board.arrive(seq(300), seq(500), &mut arrivals);
        let (sent_at, end, _) = arrivals.youngest.unwrap();
        assert_eq!(board.find_lost(at(1), (sent_at, end), Duration::from_millis(2)), (false, Some(at(2))));
        assert_eq!(board.find_lost(at(2), (sent_at, end), Duration::from_millis(2)), (true, None));
        assert_eq!(counts(&board), (500, 200, 300));
        assert_eq!(board.due(100, 250), [(seq(0), seq(200))]);
        board.resend(seq(0), seq(200), at(2));
        assert_eq!(board.due(100, 1000), [(seq(200), seq(300))]);
        assert_eq!(counts(&board), (700, 200, 100));
    }

    #[test]
    fn an_acknowledgment_takes_away_what_it_covers() {
        let mut board = ten_segments();
        let mut arrivals = Arrivals::default();
        board.arrive(seq(300), seq(500), &mut arrivals);
        board.acknowledge(seq(450), &mut arrivals);
        assert_eq!((arrivals.bytes, counts(&board)), (500, (500, 50, 0)));
        board.acknowledge(seq(1000), &mut arrivals);
        assert_eq!((arrivals.bytes, counts(&board), board.is_empty()), (1000, (0, 0, 0), true));
    }

    #[test]
    fn single_bytes_do_not_make_the_list_longer_than_its_bound() {
        let mut board = Scoreboard::default();
        board.send(seq(0), seq(100_000), at(0));
        for i in 0..2000 {
            board.arrive(seq(i * 3), seq(i * 3 + 1), &mut Arrivals::default());
        }
        assert!(board.flights.len() <= MOST);
        let (way, arrived, lost) = counts(&board);
        assert_eq!(way + arrived + lost, 100_000);
        let sum: usize = board.flights.iter().map(Flight::len).sum();
        assert_eq!(sum, 100_000);
    }
}
