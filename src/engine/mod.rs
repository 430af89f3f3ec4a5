//! The one loop around a stack: bursts of frames, the clock, one epoll, calls from handles.
//!
//! The engine is a future. It runs alone on a thread of its own ([`Engine::spawn`]), or shares a thread and its
//! epoll with the programs it serves, as tasks of one current-thread runtime ([`Engine::run`]): then a byte
//! goes from the wire to a service and back without a thread switch. It sleeps when there is nothing to do.

mod handle;
mod rounds;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{oneshot, watch};

pub use handle::{Command, Handle, Status};
pub use rounds::Rounds;

pub use crate::stack::{Address, Hold, Page, Sending, SocketRow, TcpInfo, Type, Usage, Way};

use crate::config::Config;
use crate::device::{self, Device, Unplugged};
use crate::error::Result;
use crate::observe::{Direction, Event, Observer, Rule, Time};
use crate::pipe::Doorbell;
use crate::recording::{Header, Recorder};
use crate::stack::{Call, Frames, Outcome, Stack, Step};
use wait::Wait;

/// Frames read in one burst before the stack steps.
const BURST: usize = 64;

/// How long an engine that just had frames or calls looks for more before it sleeps: the next burst of a stream comes sooner
/// than a sleeping thread wakes.
const SPIN: Duration = Duration::from_micros(30);

/// Bytes of frames that may wait for a device that takes none.
const BACKLOG: usize = 4 << 20;

/// Why an engine stopped.
#[derive(Debug)]
pub enum Stopped {
    /// It was told to.
    Asked,
    /// The interface is gone.
    DeviceVanished(io::Error),
}

/// A stack, its device, its observer, and the loop that joins them.
pub struct Engine<D: Device + 'static> {
    stack: Stack,
    device: D,
    observer: Box<dyn Observer>,
    recorder: Option<Recorder>,
    doorbell: Doorbell,
    inbox: handle::Inbox,
    status: watch::Sender<Status>,
    replies: HashMap<u64, oneshot::Sender<Result<Outcome>>>,
    next_ticket: u64,
    calls: Vec<Call>,
    burst: Burst,
    frames: Frames,
    /// Frames of `frames` that the device has not taken yet begin here.
    untransmitted: usize,
    rounds: Rounds,
    started: Instant,
    /// No handle is left: it stops when nothing is left to be done for those who had one.
    is_left: bool,
    has_stopped: bool,
}

/// What is written down of a stack that is made of this now.
fn header(device: &impl Device, seed: [u8; 32], config: &Config) -> Header {
    Header {
        version: env!("TAPSOCK_VERSION").into(),
        interface: device.name().into(),
        started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        mtu: device.mtu(),
        is_linked: true,
        seed,
        config: config.clone(),
    }
}

/// Room for one burst of frames: slots of one allocation.
struct Burst {
    memory: Vec<u8>,
    slot: usize,
    lengths: Vec<usize>,
}

impl Burst {
    fn new(mtu: usize) -> Burst {
        // A power of two, so that frames begin where copies are cheap (FACTS §2).
        let slot = (mtu + 14 + 64).next_power_of_two();
        Burst { memory: vec![0; slot * BURST], slot, lengths: Vec::with_capacity(BURST) }
    }

    fn frames(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.lengths.iter().enumerate().map(|(i, &length)| &self.memory[i * self.slot..][..length])
    }
}

impl Engine<Unplugged> {
    /// A stack without a link, whose sockets reach each other only, told to `observer`. All its randomness comes from
    /// `seed`. With a recorder, all that enters it is written down.
    pub fn without_link(
        config: Config,
        seed: [u8; 32],
        observer: Box<dyn Observer>,
        mut recorder: Option<Recorder>,
    ) -> (Engine<Unplugged>, Handle) {
        let doorbell = match &mut recorder {
            Some(recorder) => {
                recorder.begin(&Header { is_linked: false, ..header(&Unplugged, seed, &config) });
                recorder.doorbell()
            }
            None => Doorbell::default(),
        };
        let stack = Stack::without_link(config, seed, doorbell.clone());
        Engine::around(stack, Unplugged, doorbell, observer, recorder)
    }
}

impl<D: Device + 'static> Engine<D> {
    /// A stack on `device`, told to `observer`. All its randomness comes from `seed`.
    pub fn new(config: Config, device: D, seed: [u8; 32], observer: Box<dyn Observer>) -> (Engine<D>, Handle) {
        let doorbell = Doorbell::default();
        let stack = Stack::new(config, device.mtu(), seed, doorbell.clone());
        Engine::around(stack, device, doorbell, observer, None)
    }

    /// The same, and all that enters the stack is written down.
    pub fn recorded(
        config: Config,
        mut device: D,
        seed: [u8; 32],
        observer: Box<dyn Observer>,
        mut recorder: Recorder,
    ) -> (Engine<D>, Handle) {
        let (doorbell, mtu) = (recorder.doorbell(), device.mtu());
        recorder.begin(&header(&device, seed, &config));
        device.keep_lost();
        let stack = Stack::new(config, mtu, seed, doorbell.clone());
        Engine::around(stack, device, doorbell, observer, Some(recorder))
    }

    fn around(
        stack: Stack,
        device: D,
        doorbell: Doorbell,
        observer: Box<dyn Observer>,
        recorder: Option<Recorder>,
    ) -> (Engine<D>, Handle) {
        let mtu = device.mtu();
        let (status, watched) = watch::channel(Status::default());
        let started = Instant::now();
        let (handle, inbox) = handle::pair(doorbell.clone(), watched, started);
        let engine = Engine {
            stack,
            device,
            observer,
            recorder,
            doorbell,
            inbox,
            status,
            replies: HashMap::new(),
            next_ticket: 0,
            calls: Vec::new(),
            burst: Burst::new(mtu),
            frames: Frames::new(),
            untransmitted: 0,
            rounds: Rounds::default(),
            started,
            is_left: false,
            has_stopped: false,
        };
        (engine, handle)
    }

    fn now(&self) -> Time {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> Time {
        Time::from_micros(u64::try_from((moment - self.started).as_micros()).unwrap_or(u64::MAX))
    }

    /// Runs until it is told to stop or the device is gone. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    ///
    /// If the device's descriptor cannot be waited on.
    pub async fn run(mut self) -> io::Result<Stopped> {
        let mut wait = Wait::new(&self.device, self.doorbell.clone())?;
        let mut busy_at = self.started;
        let stopped = loop {
            let began = Instant::now();
            let is_full = match self.receive(self.at(began)) {
                Ok(is_full) => is_full,
                Err(error) => break Stopped::DeviceVanished(error),
            };
            let wants_stop = self.take_commands();
            let had_calls = !self.calls.is_empty();
            let step = self.step();
            let has_made = !self.frames.is_empty();
            if let Err(error) = self.transmit() {
                break Stopped::DeviceVanished(error);
            }
            self.publish();
            if wants_stop {
                break Stopped::Asked;
            }
            let is_asked = self.doorbell.is_rung() || !self.inbox.is_empty();
            let is_done = self.untransmitted == self.frames.len() && self.stack.is_quiet();
            if self.is_left && is_done && !step.has_more && !is_asked {
                break Stopped::Asked;
            }
            let was_busy = had_calls || !self.burst.lengths.is_empty();
            let ended = Instant::now();
            if was_busy {
                busy_at = ended;
            }
            if was_busy || has_made {
                self.rounds.add(ended - began);
            }
            if is_full || step.has_more || is_asked || ended - busy_at < SPIN {
                wait.give_way().await;
            } else {
                let now = self.now();
                let deadline = [step.deadline, self.device.deadline(now)].into_iter().flatten().min();
                let deadline = deadline.map(|at| self.started + (at - Time::ZERO));
                wait.until(&mut self.device, deadline, self.untransmitted < self.frames.len()).await?;
            }
        };
        self.stop();
        Ok(stopped)
    }

    /// Runs on a thread of its own.
    ///
    /// # Errors
    ///
    /// If the thread or its runtime cannot be made.
    pub fn spawn(self) -> io::Result<std::thread::JoinHandle<io::Result<Stopped>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("tapsock".into()).spawn(move || runtime.block_on(self.run()))
    }

    /// Reads a burst. Says whether there may be more.
    fn receive(&mut self, now: Time) -> io::Result<bool> {
        let burst = &mut self.burst;
        burst.lengths.clear();
        while burst.lengths.len() < BURST {
            let start = burst.lengths.len() * burst.slot;
            match self.device.receive(now, &mut burst.memory[start..start + burst.slot]) {
                Ok(Some((length, _offload))) => burst.lengths.push(length),
                Ok(None) => return Ok(false),
                Err(error) if device::vanished(&error) => return Err(error),
                Err(error) => {
                    self.stack.counters_mut().device_errors_in += 1;
                    let event = Event::Device { direction: Direction::In, error: error.to_string().into() };
                    self.stack.tell(now, event, &mut *self.observer);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn take_commands(&mut self) -> bool {
        let mut wants_stop = false;
        for command in self.inbox.take() {
            match command {
                Command::Call { owner, verb, reply } => {
                    let ticket = self.next_ticket;
                    self.next_ticket += 1;
                    self.replies.insert(ticket, reply);
                    self.calls.push(Call { ticket, owner, verb });
                }
                Command::Leave => self.is_left = true,
                Command::Stop => wants_stop = true,
            }
        }
        wants_stop
    }

    fn step(&mut self) -> Step {
        let now = self.now();
        let (stack, frames, calls) = (&mut self.stack, self.burst.frames(), &mut self.calls);
        let step = match &mut self.recorder {
            Some(recorder) => {
                self.device.take_lost().into_iter().for_each(|frame| recorder.note_lost(frame));
                recorder.step(stack, now, frames, calls, &mut self.frames, &mut *self.observer)
            }
            None => stack.step(now, frames, calls, &mut self.frames, &mut *self.observer),
        };
        self.complete();
        step
    }

    fn complete(&mut self) {
        while let Some(completion) = self.stack.next_completion() {
            if let Some(reply) = self.replies.remove(&completion.ticket) {
                // Nobody waits any more: what the call gave is dropped here, and so closed.
                let _ = reply.send(completion.result);
            }
        }
    }

    /// Writes what the stack has made, until the device is full.
    fn transmit(&mut self) -> io::Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let mut is_full = false;
        for (frame, _) in self.frames.iter_from(self.untransmitted) {
            match self.device.transmit(now, frame, device::Offload::None) {
                Ok(true) => {}
                Ok(false) => {
                    is_full = true;
                    break;
                }
                Err(error) if device::vanished(&error) => return Err(error),
                Err(error) => {
                    self.stack.counters_mut().device_errors_out += 1;
                    let event = Event::Device { direction: Direction::Out, error: error.to_string().into() };
                    self.stack.tell(now, event, &mut *self.observer);
                }
            }
            self.untransmitted += 1;
        }
        if is_full && self.frames.bytes_used() <= BACKLOG {
            return Ok(());
        }
        // A device that takes nothing must not make us keep everything: beyond the bound what waits is lost, as in the
        // queue of any interface.
        for _ in self.untransmitted..self.frames.len() {
            self.stack.counters_mut().count(Rule::DeviceFull);
        }
        self.frames.clear();
        self.untransmitted = 0;
        Ok(())
    }

    /// Tells the handles what has changed.
    fn publish(&mut self) {
        let awaited = self.stack.awaited();
        let has_changed = {
            let status = self.status.borrow();
            status.is_ready != self.stack.is_ready() || status.awaited != awaited
        };
        if self.inbox.wants_counters() || has_changed {
            let status = Status {
                awaited,
                is_ready: self.stack.is_ready(),
                duplicates: self.stack.duplicates().to_vec(),
                counters: self.stack.counters().clone(),
                usage: self.stack.usage(),
                rounds: self.rounds.clone(),
                untransmitted: self.frames.len() - self.untransmitted,
            };
            self.status.send_replace(status);
        }
    }

    fn stop(&mut self) {
        if std::mem::replace(&mut self.has_stopped, true) {
            return;
        }
        let now = self.now();
        match &mut self.recorder {
            Some(recorder) => recorder.shut_down(&mut self.stack, now, &mut self.frames, &mut *self.observer),
            None => self.stack.shut_down(now, &mut self.frames, &mut *self.observer),
        }
        self.complete();
        self.replies.clear();
        self.inbox.close();
        // The last RSTs; an interface that is gone does not take them.
        let _ = self.transmit();
        self.status.send_modify(|status| status.counters = self.stack.counters().clone());
    }
}

impl<D: Device + 'static> Drop for Engine<D> {
    /// A future that is dropped before its end, with its runtime, must not leave programs waiting.
    fn drop(&mut self) {
        // After a panic the stack is in no state to be asked anything.
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
