//! Telling the observer.

use super::Stack;
use crate::link::Frames;
use crate::observe::{Direction, Event, Fate, Observer, Time};
use crate::transport::Life;

impl Stack {
    /// Counts and shows the frames of `out` from `first` on.
    pub(super) fn show_frames(&mut self, now: Time, first: usize, out: &Frames, observer: &mut dyn Observer) {
        for (bytes, &fate) in out.iter_from(first) {
            self.counters.frames_out += 1;
            self.counters.bytes_out += bytes.len() as u64;
            let (cause, fate) = (fate.cause.or(self.trail.cause()), Fate { cause: None, ..fate });
            let event = Event::Frame { direction: Direction::Out, bytes: bytes.into(), fate };
            self.trail.tell_for(now, cause, event, observer);
        }
    }

    /// Shows what became of sockets.
    pub(super) fn show_lives(&mut self, now: Time, observer: &mut dyn Observer) {
        self.trail.tell_notes(observer);
        while let Some(life) = self.transport.next_life() {
            let event = match life {
                Life::Opened { socket, kind } => Event::Opened { socket, kind: kind.into() },
                Life::UnixBound { socket, ref name, backlog } => {
                    Event::UnixBound { socket, name: (&**name).into(), backlog }
                }
                Life::UnixAccepted { socket, listener, ref name, waiting, backlog } => {
                    Event::UnixAccepted { socket, listener, name: (&**name).into(), waiting, backlog }
                }
                Life::Datagram { socket, peer, source, destination, length, rule } => {
                    Event::Datagram { socket, peer, source, destination, length, rule }
                }
                Life::Bound { socket, local, backlog } => Event::Bound { socket, local, backlog },
                Life::Accepted { socket, listener, listening, local, remote, waiting, backlog } => {
                    Event::Accepted { socket, listener, listening, local, remote, waiting, backlog }
                }
                Life::Connected { socket, local, remote } => Event::Connected { socket, local, remote },
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
