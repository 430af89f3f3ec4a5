//! Telling the observer.

use super::Stack;
use crate::link::Frames;
use crate::observe::{Depth, Direction, Event, Fate, Observer, Time};
use crate::transport::{Holder, Life};

impl Stack {
    /// Counts and shows the frames of `out` from `first` on.
    pub(super) fn show_frames(&mut self, now: Time, first: usize, out: &Frames, observer: &mut dyn Observer) {
        let is_shown = self.trail.shows(Depth::Frame);
        for (bytes, fate) in out.iter_from(first) {
            self.counters.frames_out += 1;
            self.counters.bytes_out += bytes.len() as u64;
            if let Some(rule) = fate.rule {
                self.counters.count_sent(rule);
            }
            if !is_shown {
                continue;
            }
            let (cause, fate) = (fate.cause.or(self.trail.cause()), Fate { cause: None, ..*fate });
            let event = Event::Frame { direction: Direction::Out, bytes: bytes.into(), fate };
            self.trail.tell_for(now, cause, event, observer);
        }
    }

    /// Shows what became of sockets.
    pub(super) fn show_lives(&mut self, now: Time, observer: &mut dyn Observer) {
        self.trail.tell_notes(observer);
        while let Some(life) = self.transport.next_life() {
            let event = match life {
                Life::Opened { socket: Holder { descriptor, id }, kind } => {
                    let owner = self.sockets.owner_of(descriptor, id);
                    Event::Opened { socket: id, kind: kind.into(), owner }
                }
                Life::UnixBound { socket, ref name, backlog } => {
                    Event::UnixBound { socket, name: (&**name).into(), backlog }
                }
                Life::UnixAccepted { socket, listener: Holder { descriptor, id }, ref name, waiting, backlog } => {
                    let (name, owner) = ((&**name).into(), self.sockets.owner_of(descriptor, id));
                    Event::UnixAccepted { socket, listener: id, name, waiting, backlog, owner }
                }
                Life::Datagram { socket, peer, source, destination, length, rule } => {
                    Event::Datagram { socket, peer, source, destination, length, rule }
                }
                Life::Bound { socket: Holder { descriptor, id }, local, backlog } => {
                    Event::Bound { socket: id, local, backlog, owner: self.sockets.owner_of(descriptor, id) }
                }
                Life::Accepted { socket, listener, listening, local, remote, waiting, backlog } => {
                    let Holder { descriptor, id: listener } = listener;
                    let owner = self.sockets.owner_of(descriptor, listener);
                    Event::Accepted { socket, listener, listening, local, remote, waiting, backlog, owner }
                }
                Life::Connected { socket, descriptor, local, remote } => {
                    let owner = descriptor.and_then(|descriptor| self.sockets.owner_of(descriptor, socket));
                    Event::Connected { socket, local, remote, owner }
                }
                Life::Joined { socket, peer } => Event::Joined { socket, peer },
                Life::Closed { socket, how, summary } => Event::Closed { socket, how, summary },
            };
            if self.follows() {
                let cause = self.cause_of(&life);
                let id = self.trail.tell_for(now, cause, event, observer);
                self.note_life(&life, id);
            } else {
                self.trail.tell(now, event, observer);
            }
        }
    }
}
