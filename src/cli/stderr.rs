//! stderr, for a program that must not wait for whoever reads it.
//!
//! A pipe that nobody reads, or a terminal that was stopped with Ctrl-S, takes no more after a while, and a write to it
//! waits. The stack shares its thread with what describes it, so another thread writes. What it has not written
//! yet is bounded; what comes beyond that is lost, counted, and told of where it would have stood.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that wait at most: thousands of packets with all their layers.
const MOST: usize = 1 << 20;

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Writes that found no room since there was some.
    lost: u64,
    is_writing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where to write without waiting. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct Patient {
    shared: Arc<Shared>,
}

impl Patient {
    /// Has a thread write to `target` what is written here.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn new(mut target: impl Write + Send + 'static) -> io::Result<Patient> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("tapsock-stderr".into()).spawn(move || {
            let mut bytes = Vec::new();
            loop {
                let lost = take(&theirs, &mut bytes);
                // Nobody may be there to read it.
                let _ = target.write_all(&bytes);
                if lost > 0 {
                    let _ = writeln!(target, "{lost} records are missing here: nobody read them in time");
                }
                bytes.clear();
            }
        })?;
        Ok(Patient { shared })
    }

    /// Waits until all of it is written, or `span` is over.
    pub fn finish(&self, span: Duration) {
        let state = self.shared.lock();
        let is_busy = |state: &mut State| state.is_writing || !state.waiting.is_empty() || state.lost > 0;
        drop(self.shared.changed.wait_timeout_while(state, span, is_busy));
    }
}

/// Waits for bytes, and takes them all.
fn take(shared: &Shared, bytes: &mut Vec<u8>) -> u64 {
    let mut state = shared.lock();
    state.is_writing = false;
    while state.waiting.is_empty() && state.lost == 0 {
        shared.changed.notify_all();
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.is_writing = true;
    std::mem::swap(&mut state.waiting, bytes);
    std::mem::take(&mut state.lost)
}

impl Write for Patient {
    /// Takes all of it or nothing, and never waits.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.lock();
        // Once something is lost, so is what follows, until the thread has told of it: the gap is where it says.
        if state.lost > 0 || state.waiting.len() + record.len() > MOST {
            state.lost += 1;
        } else {
            state.waiting.extend_from_slice(record);
        }
        drop(state);
        self.shared.changed.notify_all();
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A reader that takes one write whenever it is asked to.
    struct Slow {
        may: Receiver<()>,
        text: SyncSender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.may.recv();
            let _ = self.text.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_reads_is_bounded_and_the_gap_is_told_of() {
        let (let_it, may) = sync_channel(100);
        let (text, written) = sync_channel(100);
        let mut patient = Patient::new(Slow { may, text }).unwrap();
        let record = [b'x'; 1000];
        patient.write_all(&record).unwrap();
        // The thread has it, and waits for the reader from here on.
        while !patient.shared.lock().waiting.is_empty() {
            thread::yield_now();
        }
        for _ in 1..10_000 {
            assert_eq!(patient.write(&record).unwrap(), 1000);
        }
        patient.finish(Duration::from_millis(1));
        assert!(patient.shared.lock().waiting.len() <= MOST);
        let mut all = Vec::new();
        while !all.ends_with(b"in time\n") {
            let_it.send(()).unwrap();
            all.extend(written.recv().unwrap());
        }
        let all = String::from_utf8(all).unwrap();
        let (kept, told) = all.split_at(all.rfind('x').unwrap() + 1);
        let lost: usize = told.split(' ').next().unwrap().parse().unwrap();
        assert_eq!((kept.len() / 1000 + lost, kept.len() % 1000), (10_000, 0));
        // And it goes on.
        patient.write_all(b"again").unwrap();
        let_it.send(()).unwrap();
        assert_eq!(written.recv().unwrap(), b"again");
        patient.finish(Duration::from_secs(60));
    }
}
