use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use atomic_waker::AtomicWaker;

use super::deed::{Deed, Deeds};
use super::lock;
use crate::tape::{Question, Tape, Witness};

/// Tells the engine which sockets need it, and wakes it if it sleeps.
///
/// ```
/// use tapsock::pipe::Doorbell;
/// let doorbell = Doorbell::default();
/// let bell = doorbell.bell(7);
/// bell.ring();
/// bell.ring(); // once is enough until the engine has answered
/// let mut rung = Vec::new();
/// doorbell.answer(&mut rung);
/// assert_eq!(rung, [7]);
/// ```
#[derive(Debug, Clone)]
pub struct Doorbell {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What the engine learns here is on this tape, if there is one.
    tape: Tape,
    rung: Mutex<Vec<usize>>,
    waiting: AtomicBool,
    engine: AtomicWaker,
    deeds: Deeds,
}

impl Default for Doorbell {
    fn default() -> Doorbell {
        Doorbell::with_tape(Tape::default())
    }
}

impl Doorbell {
    /// One whose engine's questions, and those of every pipe with a bell of it, are on `tape`.
    pub fn with_tape(tape: Tape) -> Doorbell {
        let deeds = Deeds::default();
        deeds.want(tape.is_recording());
        let (rung, waiting, engine) = (Mutex::default(), AtomicBool::new(false), AtomicWaker::new());
        Doorbell { shared: Arc::new(Shared { tape, rung, waiting, engine, deeds }) }
    }

    /// The tape.
    pub fn tape(&self) -> &Tape {
        &self.shared.tape
    }

    /// A bell that rings for the socket of this descriptor.
    pub fn bell(&self, descriptor: usize) -> Bell {
        Bell { descriptor, rung: AtomicBool::new(false), doorbell: self.clone() }
    }

    /// Wakes the engine without naming a socket.
    pub fn wake(&self) {
        // Whoever rang first wakes it; until it has answered, it does not sleep.
        if !self.shared.waiting.swap(true, Ordering::AcqRel) {
            self.shared.engine.wake();
        }
    }

    /// The engine's waker: called when a bell rings.
    pub fn register(&self, engine: &Waker) {
        self.shared.engine.register(engine);
    }

    /// Whether somebody has rung since the last [`Doorbell::answer`].
    pub fn is_rung(&self) -> bool {
        self.shared.waiting.load(Ordering::Acquire)
    }

    /// From here on, or no longer, what programs do at their ends is kept until [`Doorbell::take_deeds`], and every deed
    /// wakes the engine: somebody looks.
    pub fn want_deeds(&self, is_wanted: bool) {
        self.shared.deeds.want(is_wanted || self.shared.tape.is_recording());
    }

    /// So many deeds wait at most; what does not fit is counted.
    pub fn bound_deeds(&self, most: usize) {
        self.shared.deeds.bound(most);
    }

    /// Appends what programs have done, each with the descriptor of its socket, in the order in which they did it. Gives
    /// how many deeds are missing at the end, because too many waited.
    ///
    /// ```
    /// use tapsock::{memory::Memory, pipe::{Deed, Doorbell, Stream}};
    /// let doorbell = Doorbell::default();
    /// let (application, _stack) = Stream::new(1024, &Memory::new(1 << 20), doorbell.bell(7))?;
    /// application.try_write(b"nobody looks")?;
    /// doorbell.want_deeds(true);
    /// application.try_write(b"hello")?;
    /// let mut deeds = Vec::new();
    /// assert_eq!(doorbell.take_deeds(&mut deeds), 0);
    /// assert_eq!(deeds, [(7, Deed::Write(5))]);
    /// # Ok::<(), tapsock::error::Error>(())
    /// ```
    pub fn take_deeds(&self, deeds: &mut Vec<(usize, Deed)>) -> u64 {
        let tape = &self.shared.tape;
        if tape.is_playing() {
            deeds.extend(std::iter::from_fn(|| tape.read_aside::<(usize, Deed)>()));
            return 0;
        }
        let before = deeds.len();
        let lost = self.shared.deeds.take(deeds);
        if tape.is_on() {
            deeds.iter().skip(before).for_each(|deed| tape.write_aside(deed));
        }
        lost
    }

    /// Appends the descriptors that rang, each once. Their bells can ring again after [`Bell::reset`].
    pub fn answer(&self, rung: &mut Vec<usize>) {
        let shared = &*self.shared;
        let really = |rung: &mut Vec<usize>| {
            if shared.waiting.swap(false, Ordering::AcqRel) {
                rung.append(&mut lock(&shared.rung));
            }
        };
        if !shared.tape.is_on() {
            return really(rung);
        }
        if shared.tape.is_playing() {
            // Those who ring are nobody: what programs were given is dropped at once.
            lock(&shared.rung).clear();
        }
        rung.append(&mut Witness::single(&shared.tape).ask(Question::Rung, || {
            let mut rung = Vec::new();
            really(&mut rung);
            rung
        }));
    }
}

/// The bell of one socket.
#[derive(Debug)]
pub struct Bell {
    descriptor: usize,
    rung: AtomicBool,
    doorbell: Doorbell,
}

impl Bell {
    /// Asks the engine to look after the socket. Cheap when it has been asked already.
    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            lock(&self.doorbell.shared.rung).push(self.descriptor);
            self.doorbell.wake();
        }
    }

    /// Keeps for the engine what the program has done, if somebody looks.
    pub(super) fn note(&self, deed: Deed) {
        if self.doorbell.shared.deeds.is_wanted() {
            self.doorbell.shared.deeds.push(self.descriptor, deed);
            self.doorbell.wake();
        }
    }

    /// Somebody new at the pipe that it is of, who can be asked by the engine.
    pub(super) fn witness(&self) -> Witness {
        self.doorbell.shared.tape.witness()
    }

    /// The engine looks after the socket now: what happens from here on rings again.
    pub fn reset(&self) {
        // A swap like that of `ring`: whoever found the bell rung has written before, and it is seen from here on.
        self.rung.swap(false, Ordering::AcqRel);
    }
}
