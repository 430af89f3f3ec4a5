use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_bytes::ByteBuf;

use super::file::{Entry, Header, Sent, What};
use crate::observe::{Observer, Time};
use crate::pipe::Doorbell;
use crate::stack::{Call, Frames, Stack, Step};
use crate::tape::Tape;

/// So many bytes may wait to be written. With more the recording ends: the traffic does not wait for a disk.
const MOST_WAITING: usize = 64 << 20;

/// Writes down what enters a stack.
///
/// The file is written by a thread of its own. If it is too slow, or the disk is full, the recording ends, with a sentence
/// in the log and in the file, and the stack goes on.
#[derive(Debug)]
pub struct Recorder {
    doorbell: Doorbell,
    /// `None`: the recording has ended.
    sink: Option<Sink>,
    lost: Vec<ByteBuf>,
}

/// The way to the thread that writes.
#[derive(Debug)]
struct Sink {
    records: Sender<Vec<u8>>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    failed: Mutex<Option<io::Error>>,
}

impl Sink {
    fn new(out: impl Write + Send + 'static) -> io::Result<Sink> {
        let (records, incoming) = mpsc::channel();
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("tapsock-record".into())
            .spawn(move || write_all(BufWriter::with_capacity(1 << 20, out), &incoming, &theirs))?;
        Ok(Sink { records, shared, thread })
    }

    /// Why nothing more can be written.
    fn trouble(&self) -> Option<String> {
        if let Some(error) = &*self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Some(format!("the file cannot be written: {error}"));
        }
        let is_full = self.shared.waiting.load(Ordering::Relaxed) > MOST_WAITING;
        is_full.then(|| "the disk is slower than the traffic".into())
    }

    fn write(&self, bytes: Vec<u8>) {
        self.shared.waiting.fetch_add(bytes.len(), Ordering::Relaxed);
        // If the thread is gone, it has said why.
        let _ = self.records.send(bytes);
    }

    /// Waits until all is written.
    fn close(self) {
        drop(self.records);
        // It does not panic: it writes bytes.
        let _ = self.thread.join();
    }
}

fn write_all(mut out: BufWriter<impl Write>, records: &Receiver<Vec<u8>>, shared: &Shared) {
    let fail = |error| *shared.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    for record in records {
        shared.waiting.fetch_sub(record.len(), Ordering::Relaxed);
        if let Err(error) = out.write_all(&record) {
            return fail(error);
        }
    }
    if let Err(error) = out.flush() {
        fail(error);
    }
}

impl Recorder {
    /// Records to `out`.
    ///
    /// # Errors
    ///
    /// If there can be no thread.
    pub fn new(out: impl Write + Send + 'static) -> io::Result<Recorder> {
        Ok(Recorder { doorbell: Doorbell::with_tape(Tape::blank()), sink: Some(Sink::new(out)?), lost: Vec::new() })
    }

    /// Where programs ring, so that what they answer is written down too.
    pub fn doorbell(&self) -> Doorbell {
        self.doorbell.clone()
    }

    /// Writes down what the stack is made of. Before its first step.
    pub fn begin(&mut self, header: &Header) {
        match (header.to_bytes(), &self.sink) {
            (Ok(bytes), Some(sink)) => sink.write(bytes),
            (Err(error), _) => self.end(format!("its header cannot be written: {error}")),
            (Ok(_), None) => {}
        }
    }

    /// A frame was lost before it came in.
    pub fn note_lost(&mut self, frame: Vec<u8>) {
        if self.sink.is_some() {
            self.lost.push(ByteBuf::from(frame));
        }
    }

    /// Whether nothing more is written down.
    pub fn has_ended(&self) -> bool {
        self.sink.is_none()
    }

    /// [`Stack::step`], written down.
    pub fn step<'f>(
        &mut self,
        stack: &mut Stack,
        now: Time,
        frames: impl IntoIterator<Item = &'f [u8]> + Clone,
        calls: &mut Vec<Call>,
        out: &mut Frames,
        observer: &mut dyn Observer,
    ) -> Step {
        if self.sink.is_none() {
            return stack.step(now, frames, calls, out, observer);
        }
        let mut entry = Entry::new(now, What::Step);
        entry.frames = frames.clone().into_iter().map(ByteBuf::from).collect();
        entry.lost = std::mem::take(&mut self.lost);
        entry.calls = calls.clone();
        entry.is_behind = !out.is_empty();
        let sent = out.len();
        let step = stack.step(now, frames, calls, out, observer);
        self.finish(&mut entry, sent, out);
        step
    }

    /// [`Stack::shut_down`], written down.
    pub fn shut_down(&mut self, stack: &mut Stack, now: Time, out: &mut Frames, observer: &mut dyn Observer) {
        let mut entry = Entry::new(now, What::ShutDown);
        entry.is_behind = !out.is_empty();
        let sent = out.len();
        stack.shut_down(now, out, observer);
        self.finish(&mut entry, sent, out);
        self.close();
    }

    fn finish(&mut self, entry: &mut Entry, sent: usize, out: &Frames) {
        // What nobody of the stack asked for: every deed is written down.
        self.doorbell.take_deeds(&mut Vec::new());
        let (answers, deeds) = self.doorbell.tape().cut();
        (entry.answers, entry.deeds) = (ByteBuf::from(answers), ByteBuf::from(deeds));
        entry.sent = out.iter_from(sent).map(|(frame, _)| Sent::of(frame)).collect();
        let Some(sink) = &self.sink else { return };
        match (sink.trouble(), entry.to_bytes()) {
            (None, Ok(bytes)) => sink.write(bytes),
            (Some(trouble), _) => self.end(trouble),
            (None, Err(error)) => self.end(format!("a step cannot be written: {error}")),
        }
    }

    /// The recording ends here.
    fn end(&mut self, why: String) {
        log::warn!(target: "tapsock::record", "the recording has ended, and the stack goes on: {why}");
        self.doorbell.tape().stop();
        // Whoever observes asks for it again.
        self.doorbell.want_deeds(false);
        // The thread ends by itself: nobody waits for the disk.
        if let Some(sink) = self.sink.take()
            && let Ok(bytes) = Entry::new(Time::ZERO, What::Ended(why)).to_bytes()
        {
            sink.write(bytes);
        }
    }

    /// Waits until everything is in the file.
    pub fn close(&mut self) {
        if let Some(sink) = self.sink.take() {
            let shared = Arc::clone(&sink.shared);
            sink.close();
            if let Some(error) = &*shared.failed.lock().unwrap_or_else(PoisonError::into_inner) {
                log::warn!(target: "tapsock::record", "the end of the recording is missing: {error}");
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}
