//! The observer that writes the log.

use log::Level;

use super::flood::Floods;
use super::frame::Frame;
use super::kind::Kind;
use super::layers::Layers;
use super::line::Line;
use super::summary::Summary;
use super::{ADDRESS, CALL, DEVICE, LAYERS, NEIGHBOUR, PACKET, SEGMENT, SOCKET};
use crate::observe::{Depth, Direction, Event, Fate, Observer, Record, Rule, Time};

/// An observer that writes text through the macros of [`log`]. Nothing is written until a program installs a logger.
///
/// ```
/// use tapsock::observe::{Depth, Observer};
/// use tapsock::trace::Text;
///
/// let text = Text::new();
/// assert_eq!(text.depth(), Depth::Nothing); // no logger, no work
/// ```
#[derive(Debug, Default)]
pub struct Text {
    packets: Floods<&'static str>,
    segments: Floods<&'static str>,
    others: Floods<Kind>,
}

impl Text {
    /// A new one. It counts the lines of each rule and of each kind, and keeps nothing else.
    pub const fn new() -> Text {
        Text { packets: Floods::new(), segments: Floods::new(), others: Floods::new() }
    }

    /// Says how much was kept back in seconds that are over by `now`; `None`: at all.
    fn tell_kept_back(&mut self, now: Option<Time>) {
        for (rule, count) in self.packets.kept_back(now) {
            log::debug!(target: PACKET, "… and {count} more by {rule}");
        }
        for (rule, count) in self.segments.kept_back(now) {
            log::trace!(target: SEGMENT, "… and {count} more by {rule}");
        }
        for (kind, count) in self.others.kept_back(now) {
            log::log!(target: kind.target, kind.level, "… and {count} more {kind}");
        }
    }

    fn write_frame<'a>(&mut self, (at, direction, fate): (Time, Direction, &Fate), decode: impl FnOnce() -> Frame<'a>) {
        let (packet, layers) =
            (log::log_enabled!(target: PACKET, Level::Debug), log::log_enabled!(target: LAYERS, Level::Trace));
        if !(packet || layers) || !is_admitted(&mut self.packets, fate.rule, at) {
            return;
        }
        let frame = decode();
        if packet {
            log::debug!(target: PACKET, "{}", Summary { direction, frame: &frame, fate });
        }
        if layers {
            log::trace!(target: LAYERS, "{}", Layers { direction, frame: &frame, fate });
        }
    }
}

fn is_admitted(floods: &mut Floods<&'static str>, rule: Option<Rule>, at: Time) -> bool {
    rule.is_none_or(|rule| floods.admits(rule.name(), at))
}

impl Observer for Text {
    fn depth(&self) -> Depth {
        depth(|target, level| log::log_enabled!(target: target, level))
    }

    /// The moment is left to the formatter, which shows one for the lines of every module.
    fn observe(&mut self, record: &Record<'_>) {
        let at = record.at;
        self.tell_kept_back(Some(at));
        match &record.event {
            Event::Frame { direction, bytes, fate } => {
                self.write_frame((at, *direction, fate), || Frame::decode(bytes));
            }
            Event::Loopback { direction, bytes, fate } => {
                self.write_frame((at, *direction, fate), || Frame::decode_local(bytes));
            }
            event @ Event::Segment { rule, .. } => {
                if log::log_enabled!(target: SEGMENT, Level::Trace) && is_admitted(&mut self.segments, *rule, at) {
                    // Not the numbers of other events: the log shows no event's own.
                    log::trace!(target: SEGMENT, "{:#}", Line(event));
                }
            }
            event @ Event::Datagram { rule, .. } => {
                if log::log_enabled!(target: PACKET, Level::Debug) && is_admitted(&mut self.packets, *rule, at) {
                    log::debug!(target: PACKET, "{}", Line(event));
                }
            }
            event => {
                if let Some(kind @ Kind { target, level, .. }) = Kind::of(event)
                    && log::log_enabled!(target: target, level)
                    && self.others.admits(kind, at)
                {
                    log::log!(target: target, level, "{}", Line(event));
                }
            }
        }
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.tell_kept_back(None);
    }
}

/// How closely to look, from what would be written.
pub(super) fn depth(enabled: impl Fn(&str, Level) -> bool) -> Depth {
    if enabled(LAYERS, Level::Trace) {
        Depth::Bytes
    } else if enabled(PACKET, Level::Debug) {
        Depth::Frame
    } else if enabled(SEGMENT, Level::Debug) {
        Depth::Segment
    } else if enabled(CALL, Level::Debug) {
        Depth::Call
    } else if [SOCKET, ADDRESS, NEIGHBOUR].iter().any(|target| enabled(target, Level::Info))
        || enabled(DEVICE, Level::Warn)
    {
        Depth::Life
    } else {
        Depth::Nothing
    }
}
