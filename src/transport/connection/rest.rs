//! What a connection's buffers cost: which pages have been written, and when they are given back.

use std::time::Duration;

use smoltcp::wire::TcpSeqNumber;

use super::Connection;
use crate::observe::Time;
use crate::transport::segment::Segment;

/// How long a connection's buffers must have been empty before their pages are given back: a program that asks and
/// is answered many times a second pays no system call for that.
const REST: Duration = Duration::from_secs(1);

/// What is known of the pages.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// When bytes moved last, while pages are held.
    since: Option<Time>,
    /// Bytes in and out at that time.
    moved: u64,
    /// When to look again.
    due: Option<Time>,
    /// The sequence number of the first byte that was received into the present pages; `None`: the first of all.
    first: Option<TcpSeqNumber>,
    /// The end of the furthest segment that smoltcp has seen: what lies beyond a hole is in the receive buffer
    /// too, and smoltcp does not show it.
    furthest: Option<TcpSeqNumber>,
    /// Where in the send buffer the next byte goes: from the start whenever it was empty.
    filled: usize,
}

impl Connection {
    /// Where in the receive buffer a segment ends.
    fn extent(&self, segment: &Segment<'_>) -> usize {
        if segment.repr.payload.is_empty() {
            return 0;
        }
        let first = self.rest.first.or(self.irs.map(|irs| irs + 1)).unwrap_or(segment.repr.seq_number);
        let end = segment.repr.seq_number + segment.repr.payload.len();
        usize::try_from(end.0.wrapping_sub(first.0)).unwrap_or(0)
    }

    /// Whether a segment would need memory while there is none left.
    pub(in crate::transport) fn is_short_for(&self, segment: &Segment<'_>) -> bool {
        self.set.slots()[0].is_short_of(self.extent(segment))
    }

    /// A segment goes into the receive buffer.
    pub(in crate::transport) fn note_extent(&mut self, segment: &Segment<'_>) {
        if segment.repr.payload.is_empty() {
            return;
        }
        self.set.slots()[0].touch_to(self.extent(segment));
        let end = segment.repr.seq_number + segment.repr.payload.len();
        if self.rest.furthest.is_none_or(|furthest| end.0.wrapping_sub(furthest.0) > 0) {
            self.rest.furthest = Some(end);
        }
    }

    /// Bytes went into the send buffer. `was_empty`: it was empty before.
    pub(super) fn note_filled(&mut self, count: usize, was_empty: bool) {
        self.rest.filled = if was_empty { count } else { self.rest.filled.saturating_add(count) };
        self.set.slots()[1].touch_to(self.rest.filled);
    }

    fn is_empty(&self) -> bool {
        // Without data beyond a hole, the furthest byte is one before the next that is expected.
        let is_whole = match (self.rest.furthest, self.rcv_nxt()) {
            (Some(furthest), Some(next)) => furthest.0.wrapping_sub(next.0) <= 0,
            _ => true,
        };
        self.unread() == 0 && self.socket().send_queue() == 0 && is_whole
    }

    /// Looks whether the buffers rest, and gives their pages back if they have rested long enough, or at once if
    /// memory is short. `pipe_holds`: the pipe to the program holds pages too. Says whether it is time for the pipe.
    pub fn rest(&mut self, now: Time, pipe_holds: bool, is_short: bool) -> bool {
        let [receive, send] = self.set.slots();
        self.rest.due = None;
        if receive.touched() == 0 && send.touched() == 0 && !pipe_holds {
            self.rest.since = None;
            return false;
        }
        let moved = self.summary.bytes_in + self.summary.bytes_out;
        if self.rest.since.is_none() || self.rest.moved != moved {
            self.rest.since = Some(now);
            self.rest.moved = moved;
        }
        // What empties them is a segment or the program, and then this is looked at again.
        if !self.is_empty() {
            return false;
        }
        let at = self.rest.since.unwrap_or(now) + REST;
        if now < at && !is_short {
            self.rest.due = Some(at);
            return false;
        }
        let [receive, send] = self.set.slots();
        receive.release();
        send.release();
        self.rest.first = self.rcv_nxt();
        self.rest.filled = 0;
        self.rest.since = None;
        true
    }

    /// When to look again whether it rests.
    pub(in crate::transport) fn take_rest_deadline(&mut self) -> Option<Time> {
        self.rest.due.take()
    }
}
