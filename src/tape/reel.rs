use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Question;

/// What is on a tape at present. Each answer is its question, the number of its witness, its length, and itself.
#[derive(Debug)]
pub(super) struct Reel {
    mode: Mode,
    /// The next witness has this number; 0 is for those that are always there.
    next: u32,
    /// What programs have done, beside the answers: not every stack asks for it.
    aside: Vec<u8>,
    aside_at: usize,
}

#[derive(Debug)]
enum Mode {
    Recording(Vec<u8>),
    /// It recorded, and does not any more.
    Stopped,
    Playing {
        answers: Vec<u8>,
        at: usize,
        mismatch: Option<Mismatch>,
        parts: Option<Parts>,
    },
}

/// The questions are not those of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// What was asked, of which witness; `None`: nothing more.
    pub asked: Option<(Question, u32)>,
    /// What comes next on the tape; `None`: nothing.
    pub recorded: Option<(Question, u32)>,
}

/// One answer on a tape.
struct Answer<'a> {
    question: Question,
    witness: u32,
    payload: &'a [u8],
    /// Where the next one begins.
    end: usize,
}

impl Question {
    const ALL: [Question; 21] = [
        Question::Rung,
        Question::Take,
        Question::Message,
        Question::GiveBack,
        Question::Deliver,
        Question::Unread,
        Question::Unsent,
        Question::WritingOver,
        Question::ReadingOver,
        Question::Dropped,
        Question::HoldsMemory,
        Question::Rested,
        Question::Waiting,
        Question::Full,
        Question::Shut,
        Question::Dead,
        Question::Carried,
        Question::Written,
        Question::Read,
        Question::Exhausted,
        Question::Touched,
    ];

    fn from_byte(byte: u8) -> Option<Question> {
        Question::ALL.into_iter().find(|question| *question as u8 == byte)
    }
}

impl<'a> Answer<'a> {
    /// The answer that begins at `at`; `None` at the end, and where there is none.
    fn at(answers: &'a [u8], at: usize) -> Option<Answer<'a>> {
        let (&question, rest) = answers.get(at..)?.split_first()?;
        let question = Question::from_byte(question)?;
        let (witness, rest) = postcard::take_from_bytes::<u32>(rest).ok()?;
        let (length, rest) = postcard::take_from_bytes::<u64>(rest).ok()?;
        let length = usize::try_from(length).ok()?;
        let payload = rest.get(..length)?;
        Some(Answer { question, witness, payload, end: answers.len() - rest.len() + length })
    }
}

/// Appends what `value` is; what cannot be written is of no length, and no answer when it is read.
fn append<T: Serialize + ?Sized>(bytes: &mut Vec<u8>, value: &T) {
    let before = bytes.len();
    if postcard::to_extend(value, Appending(bytes)).is_err() {
        bytes.truncate(before);
    }
}

/// [`postcard::to_extend`] keeps what it extends: here a borrow of it.
struct Appending<'a>(&'a mut Vec<u8>);

impl Extend<u8> for Appending<'_> {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

impl Reel {
    pub(super) fn recording() -> Reel {
        Reel { mode: Mode::Recording(Vec::new()), next: 1, aside: Vec::new(), aside_at: 0 }
    }

    pub(super) fn playing() -> Reel {
        let mode = Mode::Playing { answers: Vec::new(), at: 0, mismatch: None, parts: None };
        Reel { mode, next: 1, aside: Vec::new(), aside_at: 0 }
    }

    pub(super) fn is_playing(&self) -> bool {
        matches!(self.mode, Mode::Playing { .. })
    }

    pub(super) fn is_recording(&self) -> bool {
        matches!(self.mode, Mode::Recording(_))
    }

    pub(super) fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    pub(super) fn cut(&mut self) -> (Vec<u8>, Vec<u8>) {
        let aside = std::mem::take(&mut self.aside);
        match &mut self.mode {
            Mode::Recording(written) => (std::mem::take(written), aside),
            _ => (Vec::new(), aside),
        }
    }

    pub(super) fn stop(&mut self) {
        self.mode = Mode::Stopped;
        self.aside = Vec::new();
    }

    pub(super) fn write<T: Serialize + ?Sized>(&mut self, question: Question, witness: u32, answer: &T) {
        if self.is_recording() {
            let mut payload = Vec::new();
            append(&mut payload, answer);
            self.write_bytes(question, witness, &payload);
        }
    }

    pub(super) fn write_bytes(&mut self, question: Question, witness: u32, payload: &[u8]) {
        if let Mode::Recording(written) = &mut self.mode {
            written.push(question as u8);
            append(written, &witness);
            append(written, &(payload.len() as u64));
            written.extend_from_slice(payload);
        }
    }

    pub(super) fn write_aside<T: Serialize>(&mut self, what: &T) {
        if self.is_recording() {
            append(&mut self.aside, what);
        }
    }

    pub(super) fn read_aside<T: DeserializeOwned>(&mut self) -> Option<T> {
        let rest = self.aside.get(self.aside_at..).filter(|rest| !rest.is_empty())?;
        let (what, rest) = postcard::take_from_bytes(rest).ok()?;
        self.aside_at = self.aside.len() - rest.len();
        Some(what)
    }

    pub(super) fn load(&mut self, new: Vec<u8>, aside: Vec<u8>) {
        (self.aside, self.aside_at) = (aside, 0);
        if let Mode::Playing { answers, at, .. } = &mut self.mode {
            (*answers, *at) = (new, 0);
        }
    }

    pub(super) fn part(&mut self, new: Parts) {
        if let Mode::Playing { parts, mismatch, .. } = &mut self.mode {
            *parts = Some(new);
            *mismatch = None;
        }
    }

    pub(super) fn advance(&mut self, now: u64) {
        if let Some(parts) = self.parts() {
            parts.advance(now);
        }
    }

    pub(super) fn has_parted(&self) -> bool {
        matches!(self.mode, Mode::Playing { parts: Some(_), .. })
    }

    fn parts(&mut self) -> Option<&mut Parts> {
        match &mut self.mode {
            Mode::Playing { parts, .. } => parts.as_mut(),
            _ => None,
        }
    }

    /// The mismatch of this step, if there was one. Questions that were not asked are one.
    pub(super) fn take_mismatch(&mut self) -> Option<Mismatch> {
        let Mode::Playing { answers, at, mismatch, parts: None } = &mut self.mode else { return None };
        let left = Answer::at(answers, *at).map(|answer| (answer.question, answer.witness));
        mismatch.take().or_else(|| left.map(|left| Mismatch { asked: None, recorded: Some(left) }))
    }

    /// The next answer, if this is the next question.
    fn next(&mut self, question: Question, witness: u32) -> Option<&[u8]> {
        let Mode::Playing { answers, at, mismatch, parts: None } = &mut self.mode else { return None };
        if mismatch.is_some() {
            return None;
        }
        match Answer::at(answers, *at) {
            Some(answer) if (answer.question, answer.witness) == (question, witness) => {
                *at = answer.end;
                Some(answer.payload)
            }
            other => {
                let recorded = other.map(|answer| (answer.question, answer.witness));
                *mismatch = Some(Mismatch { asked: Some((question, witness)), recorded });
                None
            }
        }
    }

    pub(super) fn read<T: DeserializeOwned>(&mut self, question: Question, witness: u32) -> Option<T> {
        if self.has_parted() && question == Question::Rung {
            return self.rung().and_then(|payload| postcard::from_bytes(payload).ok());
        }
        postcard::from_bytes(self.next(question, witness)?).ok()
    }

    /// Who rang next in this step.
    fn rung(&mut self) -> Option<&[u8]> {
        let Mode::Playing { answers, at, .. } = &mut self.mode else { return None };
        while let Some(Answer { question, payload, end, .. }) = Answer::at(answers, *at) {
            *at = end;
            if question == Question::Rung {
                return Some(payload);
            }
        }
        None
    }

    pub(super) fn read_bytes(&mut self, witness: u32, buffer: &mut [u8]) -> usize {
        if let Some(parts) = self.parts() {
            return parts.take(witness, buffer);
        }
        let Some(payload) = self.next(Question::Take, witness) else { return 0 };
        let count = payload.len().min(buffer.len());
        buffer[..count].copy_from_slice(&payload[..count]);
        count
    }

    /// What was answered last by now, where there is no order any more.
    pub(super) fn known<T: DeserializeOwned + Default>(&mut self, question: Question, witness: u32) -> T {
        let known = self.parts().and_then(|parts| parts.witnesses.get(&witness)?.known.get(&question));
        known.and_then(|payload| postcard::from_bytes(payload).ok()).unwrap_or_default()
    }

    pub(super) fn next_message<T: DeserializeOwned>(&mut self, witness: u32) -> Option<T> {
        let payload = self.parts()?.witnesses.get_mut(&witness)?.messages.pop_front()?;
        postcard::from_bytes(&payload).ok().flatten()
    }

    pub(super) fn give_back<T: Serialize>(&mut self, witness: u32, message: &T) {
        match self.parts() {
            Some(parts) => {
                let mut payload = Vec::new();
                append(&mut payload, &Some(message));
                parts.witnesses.entry(witness).or_default().messages.push_front(payload);
            }
            None => {
                self.next(Question::GiveBack, witness);
            }
        }
    }

    /// How many bytes, or messages, a witness still has to give.
    pub(super) fn left(&mut self, witness: u32) -> usize {
        let part = self.parts().and_then(|parts| parts.witnesses.get(&witness));
        part.map_or(0, |part| part.bytes.len() + part.messages.len())
    }
}

/// What each witness says and gives, and when: for questions in another order than those of the recording.
#[derive(Debug, Default)]
pub struct Parts {
    /// What will be known, by time.
    coming: VecDeque<(u64, u32, Question, Vec<u8>)>,
    witnesses: BTreeMap<u32, Part>,
}

#[derive(Debug, Default)]
struct Part {
    known: BTreeMap<Question, Vec<u8>>,
    bytes: VecDeque<u8>,
    messages: VecDeque<Vec<u8>>,
}

impl Parts {
    /// The answers of one step of the recording, in order. Those of a step that has been played already only count as
    /// known: what was written then has been taken.
    pub fn add(&mut self, now: u64, answers: &[u8], is_played: bool) {
        let mut at = 0;
        while let Some(Answer { question, witness, payload, end }) = Answer::at(answers, at) {
            at = end;
            match question {
                Question::Take | Question::Message if is_played => {}
                Question::Take if payload.is_empty() => {}
                // Postcard's None.
                Question::Message if payload == [0] => {}
                Question::GiveBack if is_played => {}
                Question::GiveBack => {
                    let last =
                        self.coming.iter().rposition(|(_, of, what, _)| (*of, *what) == (witness, Question::Message));
                    last.and_then(|last| self.coming.remove(last));
                }
                Question::Rung | Question::Touched | Question::Exhausted => {}
                _ => self.coming.push_back((now, witness, question, payload.to_vec())),
            }
        }
    }

    fn advance(&mut self, now: u64) {
        while self.coming.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, witness, question, payload)) = self.coming.pop_front() else { break };
            let part = self.witnesses.entry(witness).or_default();
            match question {
                Question::Take => part.bytes.extend(payload),
                Question::Message => part.messages.push_back(payload),
                _ => {
                    part.known.insert(question, payload);
                }
            }
        }
    }

    fn take(&mut self, witness: u32, buffer: &mut [u8]) -> usize {
        let Some(part) = self.witnesses.get_mut(&witness) else { return 0 };
        let count = part.bytes.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(part.bytes.drain(..count)) {
            *place = byte;
        }
        count
    }
}
