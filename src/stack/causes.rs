//! What must be remembered of events so that later ones can name their causes.
//!
//! All of it is beside the layers, in a table that is filled while somebody looks and empty otherwise: the layers know
//! nothing of it, and who is not observed does not pay for it. What a socket has been touched by since it was looked
//! after last, which call wrote which byte, which segment carried which number: [`Track`] keeps that of one socket.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::observe::{EventId, SocketId, TcpState};
use crate::pipe::Deed;

/// Sockets that are followed; beyond that the oldest is forgotten, and what happens to it has fewer causes.
const SOCKETS: usize = 4096;

/// Segments, writes and messages that are remembered of one socket; beyond that the oldest is forgotten.
const SPANS: usize = 1024;

/// Calls that take time and are to be told when they are done.
const CALLS: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Causes {
    /// By the number of the socket: the lowest is the oldest.
    tracks: BTreeMap<u64, Track>,
    /// What descriptors were called last: a program's last deed may be told when its socket is gone.
    names: HashMap<usize, SocketId>,
    /// Calls that take time, by their tickets.
    pub(super) calls: HashMap<u64, Option<SocketId>>,
    /// The connection that is being looked after.
    pub(super) serving: Option<u64>,
    /// What programs have done, while it is told.
    pub(super) deeds: Vec<(usize, Deed)>,
    /// What was told of a neighbour last.
    pub(super) neighbour: Option<EventId>,
    pub(super) is_following: bool,
}

impl Causes {
    /// Begins anew.
    pub(super) fn follow(&mut self, is_following: bool) {
        *self = Causes { is_following, ..Causes::default() };
    }

    pub(super) fn track(&mut self, socket: SocketId) -> &mut Track {
        if self.tracks.len() >= SOCKETS && !self.tracks.contains_key(&socket.number) {
            self.tracks.pop_first();
        }
        self.tracks.entry(socket.number).or_default()
    }

    /// What is known of a socket that may not be followed.
    pub(super) fn find(&self, socket: SocketId) -> Option<&Track> {
        self.tracks.get(&socket.number)
    }

    /// What the socket of a descriptor is called, or was while there was one.
    pub(super) fn name(&mut self, descriptor: usize, known: Option<SocketId>) -> Option<SocketId> {
        match known {
            Some(name) => {
                if self.names.len() < SOCKETS || self.names.contains_key(&descriptor) {
                    self.names.insert(descriptor, name);
                }
                Some(name)
            }
            None => self.names.get(&descriptor).copied(),
        }
    }

    /// A call takes time.
    pub(super) fn wait(&mut self, ticket: u64, socket: Option<SocketId>) {
        if self.calls.len() < CALLS {
            self.calls.insert(ticket, socket);
        }
    }

    /// Which call wrote which byte is not known any more: some calls were not told.
    pub(super) fn lose_count(&mut self) {
        for track in self.tracks.values_mut() {
            track.written.clear();
            track.messages.clear();
            track.written_to = None;
        }
    }
}

#[cfg(test)]
impl Causes {
    /// How many things are remembered.
    pub(super) fn remembered(&self) -> usize {
        self.tracks.len() + self.names.len() + self.calls.len() + self.deeds.len()
    }
}

/// One socket.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// The state that was told last, and by which event.
    pub(super) state: Option<TcpState>,
    pub(super) entered: Option<EventId>,
    /// What it was touched by since it was looked after last: by a segment or what that changed, by a program that read,
    /// by a timer; and a change of its state since then.
    pub(super) came: Option<EventId>,
    pub(super) read: Option<EventId>,
    pub(super) timer: Option<EventId>,
    pub(super) changed: Option<EventId>,
    /// The last call that may have something sent, and whether it came since then.
    pub(super) call: Option<EventId>,
    pub(super) is_called: bool,
    /// Its program has let go, which several ends of one socket may say.
    pub(super) is_closed: bool,
    /// When something was put where the program reads, last.
    pub(super) delivered: Option<EventId>,
    /// What became of the socket last.
    pub(super) life: Option<EventId>,
    /// Of a listener: connections that wait to be accepted.
    pub(super) accepted: VecDeque<EventId>,
    /// Our segments that are not acknowledged, and those of the peer that we have not acknowledged.
    pub(super) sent: Spans,
    pub(super) received: Spans,
    /// What programs have written, by the numbers that the bytes will have, counted from the initial one; and where the
    /// next write begins. `None`: it was followed too late to know.
    pub(super) written: Spans,
    pub(super) written_to: Option<u32>,
    /// Messages that programs have written, with their lengths.
    pub(super) messages: VecDeque<(usize, EventId)>,
}

impl Track {
    /// A program gave a message.
    pub(super) fn note_message(&mut self, length: usize, id: EventId) {
        if self.messages.len() >= SPANS {
            self.messages.pop_front();
        }
        self.messages.push_back((length, id));
    }

    /// The call that gave a message of one of these lengths. Those before it were refused.
    pub(super) fn take_message(&mut self, is_length: impl Fn(usize) -> bool) -> Option<EventId> {
        let at = self.messages.iter().position(|&(length, _)| is_length(length))?;
        self.messages.drain(..=at).next_back().map(|(_, id)| id)
    }

    /// A connection was established.
    pub(super) fn note_accepted(&mut self, id: EventId) {
        if self.accepted.len() >= SPANS {
            self.accepted.pop_front();
        }
        self.accepted.push_back(id);
    }

    /// It has been looked after.
    pub(super) fn rest(&mut self) {
        (self.came, self.read, self.timer, self.changed) = (None, None, None, None);
        self.is_called = false;
        if self.state == Some(TcpState::Closed) {
            (self.sent, self.received, self.written) = Default::default();
        }
    }
}

/// Whether `a` lies behind `b` (RFC 9293 §3.4).
fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

/// Ranges of sequence numbers, one behind the other, each with the event that it belongs to.
#[derive(Debug, Default)]
pub(super) struct Spans(VecDeque<Span>);

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
    id: EventId,
}

impl Spans {
    pub(super) fn push(&mut self, start: u32, end: u32, id: EventId) {
        if self.0.len() >= SPANS {
            self.0.pop_front();
        }
        self.0.push_back(Span { start, end, id });
    }

    /// The event of the range that a number lies in.
    pub(super) fn find(&self, number: u32) -> Option<EventId> {
        self.0.iter().find(|span| is_after(span.end, number) && !is_after(span.start, number)).map(|span| span.id)
    }

    pub(super) fn first(&self) -> Option<EventId> {
        self.0.front().map(|span| span.id)
    }

    pub(super) fn last(&self) -> Option<EventId> {
        self.0.back().map(|span| span.id)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Everything before `number` is done with. Gives the events of the first and the last range that some of it was in.
    pub(super) fn take_before(&mut self, number: u32) -> Option<[EventId; 2]> {
        let mut taken: Option<[EventId; 2]> = None;
        while let Some(span) = self.0.front_mut()
            && is_after(number, span.start)
        {
            taken = Some([taken.map_or(span.id, |[first, _]| first), span.id]);
            if is_after(span.end, number) {
                span.start = number;
                break;
            }
            self.0.pop_front();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Depth, Trail};

    fn ids<const N: usize>() -> [EventId; N] {
        let mut trail = Trail::default();
        trail.set_depth(Depth::Life);
        [(); N].map(|()| trail.number().unwrap())
    }

    #[test]
    fn what_is_acknowledged_names_the_first_and_the_last_of_it_also_where_the_numbers_begin_anew() {
        let [a, b, c] = ids();
        let mut spans = Spans::default();
        let start = u32::MAX - 150;
        for (at, id) in [(0, a), (100, b), (200, c)] {
            spans.push(start.wrapping_add(at), start.wrapping_add(at + 100), id);
        }
        assert_eq!(spans.find(start.wrapping_add(199)), Some(b));
        assert_eq!(spans.take_before(start), None);
        assert_eq!(spans.take_before(start.wrapping_add(150)), Some([a, b]));
        assert_eq!(spans.take_before(start.wrapping_add(150)), None, "only what is new");
        assert_eq!((spans.find(start), spans.find(start.wrapping_add(150))), (None, Some(b)));
        assert_eq!(spans.take_before(start.wrapping_add(300)), Some([b, c]));
        assert_eq!(spans.last(), None);
    }

    #[test]
    fn what_is_remembered_has_its_bound() {
        let [id] = ids();
        let (mut spans, mut track, mut causes) = (Spans::default(), Track::default(), Causes::default());
        for number in 0..3 * SOCKETS as u32 {
            spans.push(number, number + 1, id);
            track.note_message(1, id);
            track.note_accepted(id);
            causes.track(SocketId { protocol: crate::observe::Protocol::Tcp, number: number.into() });
            causes.wait(number.into(), None);
        }
        assert_eq!((spans.0.len(), track.messages.len(), track.accepted.len()), (SPANS, SPANS, SPANS));
        assert_eq!((causes.tracks.len(), causes.calls.len()), (SOCKETS, CALLS));
    }
}
