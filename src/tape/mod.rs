//! What the engine learns from programs and from the machine while it works, written down and read back.
//!
//! A stack does nothing but what it is told to: the moment, frames and calls are arguments. What it finds while it works
//! is not: how much a program has written by now, whether it has let go, whether memory is short. Each such question goes
//! by [`Witness::ask`]. Without a tape the answer is the real one. While a tape records it is that too, and is written
//! down. While a tape plays, nobody is asked: the answer is the one of the recording, in the same order, and so the same
//! machine does the same again, with no program at all.
//!
//! Once the questions are no longer those of the recording (a frame was left out, or the code is another), the answers in
//! order fit no more. From there on each witness says what it had said by that time, reads all, and writes what it wrote.

mod reel;

pub use reel::{Mismatch, Parts};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use reel::Reel;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Question {
    /// Who has rung.
    Rung = 1,
    /// What a program has written: bytes.
    Take,
    /// The same: a message.
    Message,
    /// A message that was taken could not go yet.
    GiveBack,
    /// How much of what came had room.
    Deliver,
    /// What a program has not read.
    Unread,
    /// What it has written and nobody has taken.
    Unsent,
    /// Whether it writes no more.
    WritingOver,
    /// Whether it reads no more.
    ReadingOver,
    /// Whether it has let go.
    Dropped,
    /// Whether its rings hold memory.
    HoldsMemory,
    /// Whether nothing was left to be given back.
    Rested,
    /// How many connections wait to be accepted.
    Waiting,
    /// Whether too many do.
    Full,
    /// Whether a listener was shut down.
    Shut,
    /// Whether a joined connection was killed.
    Dead,
    /// What has gone through a joined pipe.
    Carried,
    /// How much was written to it.
    Written,
    /// How much was read from it.
    Read,
    /// Whether the limit on memory is reached.
    Exhausted,
    /// How much of a slot its last owner has written.
    Touched,
}

/// A recording that is made or played. Clones are handles to the same; the default is none.
#[derive(Debug, Clone, Default)]
pub struct Tape(Option<Arc<Mutex<Reel>>>);

impl Tape {
    /// One that records.
    pub fn blank() -> Tape {
        Tape(Some(Arc::new(Mutex::new(Reel::recording()))))
    }

    /// One that plays what [`Tape::load`] gives it.
    pub fn played() -> Tape {
        Tape(Some(Arc::new(Mutex::new(Reel::playing()))))
    }

    fn reel(&self) -> Option<MutexGuard<'_, Reel>> {
        // An answer is appended or taken whole.
        self.0.as_ref().map(|reel| reel.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it plays: there are no programs.
    pub fn is_playing(&self) -> bool {
        self.reel().is_some_and(|reel| reel.is_playing())
    }

    /// Whether it records.
    pub fn is_recording(&self) -> bool {
        self.reel().is_some_and(|reel| reel.is_recording())
    }

    /// Takes what was written down since the last time: the answers, and what programs did.
    pub fn cut(&self) -> (Vec<u8>, Vec<u8>) {
        self.reel().map(|mut reel| reel.cut()).unwrap_or_default()
    }

    /// Writes nothing more down.
    pub fn stop(&self) {
        if let Some(mut reel) = self.reel() {
            reel.stop();
        }
    }

    /// The answers of the next step, and what programs did by then.
    pub fn load(&self, answers: Vec<u8>, aside: Vec<u8>) {
        if let Some(mut reel) = self.reel() {
            reel.load(answers, aside);
        }
    }

    /// Writes down what changes nothing.
    pub fn write_aside<T: Serialize>(&self, what: &T) {
        if let Some(mut reel) = self.reel() {
            reel.write_aside(what);
        }
    }

    /// Reads the next of that.
    pub fn read_aside<T: DeserializeOwned>(&self) -> Option<T> {
        self.reel()?.read_aside()
    }

    /// From here on the answers in order do not fit any more: each witness says what it had said by that time.
    pub fn part(&self, parts: Parts) {
        if let Some(mut reel) = self.reel() {
            reel.part(parts);
        }
    }

    /// It is this many microseconds after the start now, for witnesses that no longer answer in order.
    pub fn advance(&self, now: u64) {
        if let Some(mut reel) = self.reel() {
            reel.advance(now);
        }
    }

    /// Where the questions first were not those of the recording, after a step; asking takes it.
    pub fn mismatch(&self) -> Option<Mismatch> {
        self.reel().and_then(|mut reel| reel.take_mismatch())
    }

    /// Somebody new who can be asked.
    pub fn witness(&self) -> Witness {
        Witness { number: self.reel().map_or(0, |mut reel| reel.number()), tape: self.clone() }
    }
}

/// Somebody whose answers are on the tape, by the number of its making: one end of a pipe.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    tape: Tape,
    number: u32,
}

impl Witness {
    /// One for what there is once only.
    pub fn single(tape: &Tape) -> Witness {
        Witness { tape: tape.clone(), number: 0 }
    }

    /// Whether the tape plays: there are no programs.
    pub fn is_playing(&self) -> bool {
        self.tape.is_on() && self.tape.is_playing()
    }

    /// The answer: `real`, or the one on the tape.
    pub fn ask<T>(&self, question: Question, real: impl FnOnce() -> T) -> T
    where
        T: Serialize + DeserializeOwned + Default,
    {
        if self.tape.0.is_none() { real() } else { self.ask_tape(question, None, real) }
    }

    /// The same, where a program that does not follow the tape any more would answer `free`.
    pub fn ask_or<T>(&self, question: Question, free: T, real: impl FnOnce() -> T) -> T
    where
        T: Serialize + DeserializeOwned + Default,
    {
        if self.tape.0.is_none() { real() } else { self.ask_tape(question, Some(free), real) }
    }

    #[cold]
    fn ask_tape<T>(&self, question: Question, free: Option<T>, real: impl FnOnce() -> T) -> T
    where
        T: Serialize + DeserializeOwned + Default,
    {
        let Some(mut reel) = self.tape.reel() else { return real() };
        if !reel.is_playing() {
            // Nobody is kept waiting by a lock that only the engine takes; but what it asks may ask in turn.
            drop(reel);
            let answer = real();
            if let Some(mut reel) = self.tape.reel() {
                reel.write(question, self.number, &answer);
            }
            return answer;
        }
        match reel.read(question, self.number) {
            Some(answer) => answer,
            None => free.unwrap_or_else(|| reel.known(question, self.number)),
        }
    }

    /// Bytes that a program has written, as many as fit.
    pub fn ask_bytes(&self, buffer: &mut [u8], real: impl FnOnce(&mut [u8]) -> usize) -> usize {
        if self.tape.0.is_none() { real(buffer) } else { self.ask_tape_bytes(buffer, real) }
    }

    #[cold]
    fn ask_tape_bytes(&self, buffer: &mut [u8], real: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let Some(mut reel) = self.tape.reel() else { return real(buffer) };
        if !reel.is_playing() {
            drop(reel);
            let count = real(buffer);
            if let (Some(mut reel), Some(bytes)) = (self.tape.reel(), buffer.get(..count)) {
                reel.write_bytes(Question::Take, self.number, bytes);
            }
            return count;
        }
        reel.read_bytes(self.number, buffer)
    }

    /// The next message that a program has written.
    pub fn ask_message<T>(&self, real: impl FnOnce() -> Option<T>) -> Option<T>
    where
        T: Serialize + DeserializeOwned,
    {
        if self.tape.0.is_none() { real() } else { self.ask_tape_message(real) }
    }

    #[cold]
    fn ask_tape_message<T>(&self, real: impl FnOnce() -> Option<T>) -> Option<T>
    where
        T: Serialize + DeserializeOwned,
    {
        let Some(mut reel) = self.tape.reel() else { return real() };
        if !reel.is_playing() {
            drop(reel);
            let message = real();
            if let Some(mut reel) = self.tape.reel() {
                reel.write(Question::Message, self.number, &message);
            }
            return message;
        }
        match reel.read(Question::Message, self.number) {
            Some(message) => message,
            None => reel.next_message(self.number),
        }
    }

    /// A message that was taken cannot go yet: it is the next one again, by `real` where there is a program.
    pub fn give_back<T: Serialize>(&self, message: T, real: impl FnOnce(T)) {
        if self.tape.0.is_none() { real(message) } else { self.give_back_to_tape(message, real) }
    }

    #[cold]
    fn give_back_to_tape<T: Serialize>(&self, message: T, real: impl FnOnce(T)) {
        let Some(mut reel) = self.tape.reel() else { return real(message) };
        if reel.is_playing() {
            return reel.give_back(self.number, &message);
        }
        reel.write_bytes(Question::GiveBack, self.number, &[]);
        drop(reel);
        real(message);
    }

    /// How much a program has written that nobody has taken.
    pub fn ask_unsent(&self, real: impl FnOnce() -> usize) -> usize {
        if self.tape.0.is_none() { real() } else { self.ask_tape_unsent(real) }
    }

    #[cold]
    fn ask_tape_unsent(&self, real: impl FnOnce() -> usize) -> usize {
        let left = self.tape.reel().filter(|reel| reel.has_parted()).map(|mut reel| reel.left(self.number));
        left.unwrap_or_else(|| self.ask_tape(Question::Unsent, None, real))
    }
}

#[cfg(test)]
mod tests;
