use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde_bytes::ByteBuf;

use super::file::{Entry, NotARecording, Recording, Sent, What};
use crate::observe::{Observer, Time};
use crate::pipe::Doorbell;
use crate::stack::{Frames, Stack, Step};
use crate::tape::{Mismatch, Parts, Tape};

/// How many steps the stack has for itself between two of the recording, when it does something else.
const STEPS_BETWEEN: usize = 100_000;

/// What is to be other than it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// These of the frames that came in are left out; the first is 1.
    pub dropped: BTreeSet<u64>,
    /// Frames that a bad wire lost come in.
    pub without_loss: bool,
}

impl Changes {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.dropped.is_empty() && !self.without_loss
    }
}

/// How a replay went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Steps of the recording.
    pub steps: u64,
    /// Frames that came in.
    pub frames_in: u64,
    /// Frames that left.
    pub frames_out: u64,
    /// Frames that left in the recording.
    pub recorded_out: u64,
    /// How long it was, in the stack's time.
    pub span: Duration,
    /// Frames that were left out, and lost ones that came in: from the first on it is another session.
    pub changed: u64,
    /// Why the recording ended before the stack did.
    pub ended: Option<String>,
    /// The file ends in the middle of a record.
    pub is_cut_off: bool,
}

/// Where a replay was first another one than the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A frame that left is not the one of the recording: its number, the time, and the two. `None`: there is none.
    Frame {
        /// Counted from 1, among those that left.
        number: u64,
        /// When.
        at: Time,
        /// What left in the recording.
        recorded: Option<Sent>,
        /// What left now.
        replayed: Option<Sent>,
    },
    /// The stack asked something else than it did then.
    Question {
        /// The step, counted from 1.
        step: u64,
        /// When.
        at: Time,
        /// What.
        mismatch: Mismatch,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Frame { number, at, recorded: Some(recorded), replayed: Some(replayed) } => {
                let (was, is) = (recorded.length, replayed.length);
                write!(f, "at {at} s the outgoing frame {number}, of {was} bytes, is another one of {is} bytes now")
            }
            Difference::Frame { number, at, recorded: Some(recorded), .. } => {
                write!(f, "at {at} s the outgoing frame {number}, of {} bytes, is missing now", recorded.length)
            }
            Difference::Frame { number, at, replayed, .. } => {
                let length = replayed.map_or(0, |replayed| replayed.length);
                write!(f, "at {at} s an outgoing frame {number}, of {length} bytes, is there that was not")
            }
            Difference::Question { step, at, mismatch } => {
                write!(f, "at {at} s, in step {step}, the stack looks ")?;
                match mismatch.asked {
                    Some((question, witness)) => write!(f, "for {question:?} of the pipe {witness}")?,
                    None => f.write_str("for nothing more")?,
                }
                match mismatch.recorded {
                    Some((question, witness)) => {
                        write!(f, ", and looked for {question:?} of the pipe {witness} then")
                    }
                    None => f.write_str(", and looked for nothing more then"),
                }
            }
        }
    }
}

/// Runs the stack of a recording again.
#[derive(Debug)]
pub struct Player {
    stack: Stack,
    tape: Tape,
    frames: Frames,
    changes: Changes,
    summary: Summary,
    /// It does something else than the recording.
    has_parted: bool,
    step: Option<Step>,
    now: Time,
}

impl Player {
    /// The stack of `recording`, before its first step.
    pub fn new(recording: &Recording, changes: Changes) -> Player {
        let header = &recording.header;
        let tape = Tape::played();
        let doorbell = Doorbell::with_tape(tape.clone());
        let config = header.config.clone();
        let stack = match header.is_linked {
            true => Stack::new(config, header.mtu, header.seed, doorbell),
            false => Stack::without_link(config, header.seed, doorbell),
        };
        Player {
            stack,
            tape,
            frames: Frames::new(),
            changes,
            summary: Summary::default(),
            has_parted: false,
            step: None,
            now: Time::ZERO,
        }
    }

    /// Runs all of it, tells `observer`, and says where it first was another one, if it was. What was to be changed makes
    /// no difference: then the two are not compared.
    ///
    /// # Errors
    ///
    /// [`NotARecording`], where the file is damaged.
    pub fn run(
        mut self,
        mut recording: Recording,
        observer: &mut dyn Observer,
    ) -> Result<(Summary, Option<Difference>), NotARecording> {
        if self.changes.is_none() {
            while let Some(entry) = recording.next().transpose()? {
                if let Some(difference) = self.play(&entry, observer) {
                    return Ok((self.summary, Some(difference)));
                }
            }
            self.summary.is_cut_off = recording.is_cut_off();
            return Ok((self.summary, None));
        }
        let entries = (&mut recording).collect::<Result<Vec<Entry>, NotARecording>>()?;
        self.summary.is_cut_off = recording.is_cut_off();
        for (at, entry) in entries.iter().enumerate() {
            if !self.has_parted && self.is_changed(entry) {
                self.part(&entries, at);
            }
            if self.has_parted {
                self.play_on(entry, observer);
            } else if let Some(difference) = self.play(entry, observer) {
                return Ok((self.summary, Some(difference)));
            }
        }
        Ok((self.summary, None))
    }

    /// A step as it was; where it was not.
    fn play(&mut self, entry: &Entry, observer: &mut dyn Observer) -> Option<Difference> {
        let Entry { answers, deeds, .. } = entry;
        self.tape.load(answers.to_vec(), deeds.to_vec());
        let before = self.enter(entry, &entry.frames.iter().collect::<Vec<_>>(), observer)?;
        let at = self.now;
        let replayed: Vec<Sent> = self.frames.iter_from(before).map(|(frame, _)| Sent::of(frame)).collect();
        let number = self.summary.frames_out;
        self.summary.frames_out += replayed.len() as u64;
        self.summary.recorded_out += entry.sent.len() as u64;
        let differs = (0..replayed.len().max(entry.sent.len())).find(|&i| replayed.get(i) != entry.sent.get(i));
        if let Some(i) = differs {
            let (recorded, replayed) = (entry.sent.get(i).copied(), replayed.get(i).copied());
            return Some(Difference::Frame { number: number + i as u64 + 1, at, recorded, replayed });
        }
        let step = self.summary.steps;
        self.tape.mismatch().map(|mismatch| Difference::Question { step, at, mismatch })
    }

    /// Gives the stack what it got. Gives how many frames waited before; `None` where there was no step.
    fn enter(&mut self, entry: &Entry, frames: &[&ByteBuf], observer: &mut dyn Observer) -> Option<usize> {
        if let What::Ended(why) = &entry.what {
            self.summary.ended = Some(why.clone());
            return None;
        }
        if !entry.is_behind {
            self.frames.clear();
        }
        let before = self.frames.len();
        self.now = Time::from_micros(entry.now);
        self.summary.span = self.now - Time::ZERO;
        self.summary.steps += 1;
        self.summary.frames_in += frames.len() as u64;
        if entry.what == What::ShutDown {
            self.stack.shut_down(self.now, &mut self.frames, observer);
            self.step = None;
        } else {
            let frames = frames.iter().map(|frame| frame.as_slice());
            let mut calls = entry.calls.clone();
            self.step = Some(self.stack.step(self.now, frames, &mut calls, &mut self.frames, observer));
        }
        // There is no program.
        while self.stack.next_completion().is_some() {}
        Some(before)
    }

    /// Whether something of this step is to be other than it was.
    fn is_changed(&self, entry: &Entry) -> bool {
        let first = self.summary.frames_in + 1;
        let last = self.summary.frames_in + entry.frames.len() as u64;
        let is_dropped = first <= last && self.changes.dropped.range(first..=last).next().is_some();
        is_dropped || (self.changes.without_loss && !entry.lost.is_empty())
    }

    /// From the step `at` on it is another session.
    fn part(&mut self, entries: &[Entry], at: usize) {
        self.has_parted = true;
        let mut parts = Parts::default();
        for (i, entry) in entries.iter().enumerate() {
            parts.add(entry.now, &entry.answers, i < at);
        }
        self.tape.part(parts);
    }

    /// A step of the recording, and those that the stack needs before it, when it does something else.
    fn play_on(&mut self, entry: &Entry, observer: &mut dyn Observer) {
        let until = Time::from_micros(entry.now);
        for _ in 0..STEPS_BETWEEN {
            let Some(Step { deadline, has_more }) = self.step else { break };
            let due = if has_more { Some(self.now) } else { deadline.map(|at| at.max(self.now)) };
            let Some(now) = due.filter(|now| *now < until) else { break };
            self.now = now;
            self.frames.clear();
            self.tape.advance(now.micros());
            self.tape.load(Vec::new(), Vec::new());
            self.step = Some(self.stack.step(now, [], &mut Vec::new(), &mut self.frames, observer));
            self.summary.frames_out += self.frames.len() as u64;
        }
        let first = self.summary.frames_in + 1;
        let is_kept = |i: usize| !self.changes.dropped.contains(&(first + i as u64));
        let came: Vec<&ByteBuf> =
            entry.frames.iter().enumerate().filter(|(i, _)| is_kept(*i)).map(|(_, frame)| frame).collect();
        let left_out = entry.frames.len() - came.len();
        let lost: &[ByteBuf] = if self.changes.without_loss { &entry.lost } else { &[] };
        self.summary.changed += (left_out + lost.len()) as u64;
        self.tape.advance(entry.now);
        self.tape.load(entry.answers.to_vec(), entry.deeds.to_vec());
        // What was lost would have come before what came behind it.
        let frames: Vec<&ByteBuf> = lost.iter().chain(came).collect();
        let before = self.enter(entry, &frames, observer);
        // The numbers are those of the recording.
        self.summary.frames_in = self.summary.frames_in + left_out as u64 - lost.len() as u64;
        let sent = before.map_or(0, |before| self.frames.len() - before.min(self.frames.len()));
        self.summary.frames_out += sent as u64;
        self.summary.recorded_out += entry.sent.len() as u64;
    }
}
