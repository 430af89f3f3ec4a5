//! What must be remembered of events so that later ones can name their causes.
//!
//! All of it is beside the layers, in a table that is filled while somebody looks and empty otherwise: the layers know
//! nothing of it, and who is not observed does not pay for it. What a socket has been touched by since it was looked
//! after last, which call wrote which byte, which segment carried which number: [`Track`] keeps that of one socket.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

use crate::config::Limits;
use crate::observe::{EventId, SocketId, TcpState};
use crate::pipe::{Attempt, Deed};

#[derive(Debug, Default)]
pub(super) struct Causes {
    /// Sockets that are followed, and calls that wait; beyond that the oldest socket is forgotten, and what happens to it
    /// has fewer causes.
    most: usize,
    /// Of each kind of thing that is remembered of one socket; beyond that the oldest is forgotten.
    most_steps: usize,
    /// By the number of the socket: the lowest is the oldest.
    tracks: BTreeMap<u64, Track>,
    /// What descriptors were called last: a program's last deed may be told when its socket is gone.
    names: HashMap<usize, SocketId>,
    /// Calls that take time, by their tickets.
    pub(super) calls: HashMap<u64, Waiting>,
    /// The connection that is being looked after.
    pub(super) serving: Option<u64>,
    /// What programs have done, while it is told.
    pub(super) deeds: Vec<(usize, Deed)>,
    /// What was told of a neighbour last.
    pub(super) neighbour: Option<EventId>,
    pub(super) is_following: bool,
}

/// A call that takes time and is to be told when it is done.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: Option<EventId>,
    pub(super) socket: Option<SocketId>,
    pub(super) call: Cow<'static, str>,
    pub(super) address: Option<SocketAddr>,
}

impl Causes {
    /// What is remembered at most is in the limits.
    pub(super) fn new(limits: &Limits) -> Causes {
        Causes { most: limits.traced_sockets, most_steps: limits.traced_steps, ..Causes::default() }
    }

    /// Begins anew.
    pub(super) fn follow(&mut self, is_following: bool) {
        *self = Causes { is_following, most: self.most, most_steps: self.most_steps, ..Causes::default() };
    }

    pub(super) fn track(&mut self, socket: SocketId) -> &mut Track {
        if self.tracks.len() >= self.most && !self.tracks.contains_key(&socket.number) {
            self.tracks.pop_first();
        }
        let most = self.most_steps;
        self.tracks.entry(socket.number).or_insert_with(|| Track { most, ..Track::default() })
    }

    /// How many sockets are followed.
    pub(super) fn tracked(&self) -> usize {
        self.tracks.len()
    }

    /// What is known of a socket that may not be followed.
    pub(super) fn find(&self, socket: SocketId) -> Option<&Track> {
        self.tracks.get(&socket.number)
    }

    /// What the socket of a descriptor is called, or was while there was one.
    pub(super) fn name(&mut self, descriptor: usize, known: Option<SocketId>) -> Option<SocketId> {
        match known {
            Some(name) => {
                if self.names.len() < self.most || self.names.contains_key(&descriptor) {
                    self.names.insert(descriptor, name);
                }
                Some(name)
            }
            None => self.names.get(&descriptor).copied(),
        }
    }

    /// A call takes time.
    pub(super) fn wait(&mut self, ticket: u64, call: Waiting) {
        if self.calls.len() < self.most {
            self.calls.insert(ticket, call);
        }
    }

    /// A listener is closed or shut down by this call, and with it whatever came by it and was not accepted.
    pub(super) fn unlisten(&mut self, listener: SocketId, id: EventId) {
        if self.find(listener).is_some_and(|track| track.is_listener) {
            for track in self.tracks.values_mut().filter(|track| track.listener == Some(listener.number)) {
                (track.call, track.is_called) = (Some(id), true);
            }
        }
    }

    /// Which call wrote which byte is not known any more: some calls were not told.
    pub(super) fn lose_count(&mut self) {
        for track in self.tracks.values_mut() {
            track.written.clear();
            track.messages.clear();
            track.written_to = None;
            // Nor which connections were accepted.
            track.accepted.clear();
            track.listener = None;
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
    /// What is remembered of each kind at most.
    most: usize,
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
    /// Because of what nothing more comes to be read, and nothing more can be written; and what the error that its
    /// program is told of next came from.
    pub(super) ended: Option<EventId>,
    pub(super) broken: Option<EventId>,
    pub(super) failed: Option<EventId>,
    /// The one that it is joined to, without any packet.
    pub(super) joined: Option<SocketId>,
    /// By which listener it came, as long as nobody has accepted it.
    pub(super) listener: Option<u64>,
    pub(super) is_listener: bool,
    /// Of a listener: connections that wait to be accepted, each with the event that says so.
    pub(super) accepted: VecDeque<(SocketId, EventId)>,
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
        push(&mut self.messages, (length, id), self.most);
    }

    /// A segment was sent, with the numbers from `start` up to `end`.
    pub(super) fn note_sent(&mut self, [start, end]: [u32; 2], id: EventId) {
        push(&mut self.sent.0, Span { start, end, id }, self.most);
    }

    /// One came.
    pub(super) fn note_received(&mut self, [start, end]: [u32; 2], id: EventId) {
        push(&mut self.received.0, Span { start, end, id }, self.most);
    }

    /// A program wrote to a stream.
    pub(super) fn note_written(&mut self, bytes: usize, id: EventId) {
        if let Some(start) = self.written_to {
            let end = start.wrapping_add(bytes as u32);
            push(&mut self.written.0, Span { start, end, id }, self.most);
            self.written_to = Some(end);
        }
    }

    /// The call that gave a message of one of these lengths. Those before it were refused.
    pub(super) fn take_message(&mut self, is_length: impl Fn(usize) -> bool) -> Option<EventId> {
        let at = self.messages.iter().position(|&(length, _)| is_length(length))?;
        self.messages.drain(..=at).next_back().map(|(_, id)| id)
    }

    /// A connection was established.
    pub(super) fn note_accepted(&mut self, socket: SocketId, id: EventId) {
        self.is_listener = true;
        push(&mut self.accepted, (socket, id), self.most);
    }

    /// Its state is another one, by this event.
    pub(super) fn note_state(&mut self, to: TcpState, id: EventId) {
        use TcpState::{CloseWait, Closed, Closing, LastAck, TimeWait};
        (self.entered, self.changed) = (Some(id), Some(id));
        match to {
            CloseWait | Closing | LastAck | TimeWait => self.note_end(id),
            Closed => self.note_death(id),
            _ => {}
        }
    }

    /// Nothing more comes.
    pub(super) fn note_end(&mut self, id: EventId) {
        self.ended.get_or_insert(id);
    }

    /// Nothing more comes, and nothing more can be written.
    pub(super) fn note_death(&mut self, id: EventId) {
        self.note_end(id);
        self.broken.get_or_insert(id);
        self.failed = Some(id);
    }

    /// Because of what its program is refused what it wanted. An error that waited is told once.
    pub(super) fn take_failure(&mut self, attempt: Attempt, is_broken_pipe: bool) -> Option<EventId> {
        match attempt {
            Attempt::Write if is_broken_pipe => self.broken.or(self.failed),
            _ => self.failed.take().or(self.ended),
        }
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

/// Remembers one more, and forgets the oldest for it if there are so many.
fn push<T>(kept: &mut VecDeque<T>, new: T, most: usize) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(new);
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
            spans.0.push_back(Span { start: start.wrapping_add(at), end: start.wrapping_add(at + 100), id });
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
        let mut causes = Causes::new(&Limits { traced_sockets: 5, traced_steps: 7, ..Limits::default() });
        causes.follow(true);
        for number in 0..100 {
            let socket = SocketId { protocol: crate::observe::Protocol::Tcp, number };
            let track = causes.track(socket);
            track.written_to = Some(1);
            for start in 0..100 {
                track.note_sent([start, start + 1], id);
                track.note_received([start, start + 1], id);
                track.note_written(1, id);
                track.note_message(1, id);
                track.note_accepted(socket, id);
            }
            causes.wait(number, Waiting { id: None, socket: None, call: "connect".into(), address: None });
            causes.name(number as usize, Some(socket));
        }
        assert_eq!((causes.tracks.len(), causes.calls.len(), causes.names.len()), (5, 5, 5));
        let track = causes.tracks.values().next().unwrap();
        assert_eq!(causes.tracks.keys().next(), Some(&95), "the oldest are forgotten");
        assert_eq!([&track.sent, &track.received, &track.written].map(|spans| spans.0.len()), [7; 3]);
        assert_eq!((track.messages.len(), track.accepted.len()), (7, 7));
    }
}
