//! The daemon: one device, one stack, its services and its trace, on one thread.
//!
//! This is the composition root. It names the concrete parts and joins them: a [`Tap`], a [`Stack`] that
//! tells [`trace::Text`] and those who watch over the [control socket](crate::control) what happens, and the
//! [`services`]. The engine and the services are tasks of one
//! current-thread runtime and share its epoll, so a request is answered without a thread switch, and an idle daemon
//! sleeps.
//!
//! Its life: the addresses are checked against the host's own, the TAP is opened, the stack asks whether somebody
//! has its addresses, the services are bound, `ready` goes to stdout and to systemd. SIGINT or SIGTERM ends every
//! connection with a RST and prints what the stack has counted; a second one does not wait for that. SIGUSR1 writes the
//! list of sockets into the log.

mod address;
mod attach;
mod control;
mod metrics;
mod signal;
mod sockets;
mod summary;
mod trial;

use std::fmt;
use std::io::{self, Write};
use std::time::Instant;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;

pub use crate::services::{Service, UnknownService};
pub use attach::{Attachment, Interrupt, until_signal, with_stack};
pub use control::pack;
pub use metrics::text as metrics;
pub use signal::Signal;
pub use trial::Trial;

use crate::config::Config;
use crate::control::{Audience, Fanout};
use crate::device::Tap;
use crate::engine::Stopped;
use crate::net::{Stack, StartError};
use crate::services::{self, http::Metrics};
use crate::trace;
use signal::Signals;

/// What a person chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the daemon is called, for those who look at it: the name of its control socket. `None`: as the TAP is.
    pub name: Option<String>,
    /// The name of the TAP.
    pub tap: String,
    /// What the stack is made from.
    pub config: Config,
    /// What it offers.
    pub services: Vec<Service>,
    /// What is tried out with it.
    pub trial: Trial,
}

/// How a daemon came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A signal asked for it, and every connection was told.
    Asked,
    /// A second signal did not want to wait.
    Interrupted(Signal),
}

/// Why a daemon could not go on: one sentence for a person, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Something must be set right before it can start.
    Mistake(String),
    /// Something broke that nobody chose.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Mistake(sentence) | Failure::Broken(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Failure {}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Device(_) | StartError::Config(_) => Failure::Mistake(error.to_string()),
            StartError::System(_) | StartError::Build(_) => Failure::Broken(error.to_string()),
        }
    }
}

/// With all sockets listening, none is left for a connection.
fn refuse_too_few_sockets(settings: &Settings) -> Result<(), Failure> {
    let listening: usize = settings.services.iter().map(|service| service.sockets()).sum();
    let limit = settings.config.limits.sockets;
    if listening == 0 || limit > listening {
        return Ok(());
    }
    Err(Failure::Mistake(format!(
        "the services listen on {listening} sockets, and --limit sockets={limit} leaves none for connections; allow more, or choose fewer with --services"
    )))
}

fn refused(what: &str, error: &io::Error) -> Failure {
    Failure::Broken(format!("the system refused {what}: {error}"))
}

/// Runs until a signal comes, the interface vanishes or something breaks.
///
/// ```no_run
/// use tapsock::config::Config;
/// use tapsock::daemon::{self, Service, Settings, Trial};
///
/// let settings = Settings {
///     name: None,
///     tap: "tap0".into(),
///     config: Config::default(),
///     services: Service::ALL.to_vec(),
///     trial: Trial::default(),
/// };
/// if let Err(failure) = daemon::run(settings) {
///     eprintln!("{failure}");
/// }
/// ```
///
/// # Errors
///
/// [`Failure`]; nothing was changed that would have to be restored.
pub fn run(settings: Settings) -> Result<Ended, Failure> {
    settings.config.validate().map_err(|invalid| Failure::Mistake(invalid.to_string()))?;
    refuse_too_few_sockets(&settings)?;
    address::refuse_those_of_the_host(&settings.config)?;
    address::refuse_the_mac_of_the_host(&settings.tap, settings.config.mac)?;
    // A connection that panics is ended alone; what is said about it stands among what else happened.
    std::panic::set_hook(Box::new(|bug| {
        log::error!(target: "tapsock::panic", "a bug in tapsock, please report it: {bug}");
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| refused("an event loop", &error))?;
    runtime.block_on(live(settings))
}

async fn live(settings: Settings) -> Result<Ended, Failure> {
    let started = Instant::now();
    let mut signals = Signals::new().map_err(|error| refused("signal handlers", &error))?;
    let mut questions = signal::questions().map_err(|error| refused("a signal handler", &error))?;
    let Settings { name, tap, config, services, trial } = settings;
    let device = trial.wire(Tap::open(&tap).map_err(StartError::from)?)?;
    let taken = control::take(name.as_deref(), &tap)?;
    let audience = Audience::default();
    let observer = Fanout::new(Box::new(trace::Text::new()), audience.clone());
    let builder = Stack::builder().config(config.clone()).observer(Box::new(observer));
    let builder = match trial.recorder()? {
        Some(recorder) => builder.record(recorder),
        None => builder,
    };
    let (stack, engine) = builder.drive(device)?;
    let mut engine = Engine { task: tokio::spawn(engine), tap: tap.clone() };
    let about = (name.as_deref(), tap.as_str(), config.clone());
    let shown = metrics::of(&stack, &audience, &config.limits);
    let _served = taken.map(|taken| control::serve(taken, &stack, audience, about)).transpose()?;

    let begun = begin(&stack, &tap, &config, (&services, shown));
    tokio::select! {
        begun = begun => begun?,
        stopped = engine.stopped() => return Err(stopped),
        _ = signals.next() => return end(&stack, &mut engine, &mut signals, started).await,
    }
    loop {
        tokio::select! {
            stopped = engine.stopped() => return Err(stopped),
            _ = signals.next() => return end(&stack, &mut engine, &mut signals, started).await,
            _ = questions.recv() => show_sockets(&stack).await,
        }
    }
}

/// Writes the list of sockets into the log.
async fn show_sockets(stack: &Stack) {
    // If the stack has just stopped, that is told by others.
    let Ok(rows) = stack.sockets().await else { return };
    for line in sockets::lines(&rows) {
        log::info!("{line}");
    }
}

/// From the first question about an address to `ready`.
async fn begin(
    stack: &Stack,
    tap: &str,
    config: &Config,
    (services, metrics): (&[Service], Metrics),
) -> Result<(), Failure> {
    let duplicates = tokio::select! {
        ready = stack.ready() => ready.map_err(|error| refused("the stack's start", &error))?,
        never = address::hint(stack, tap) => match never {},
    };
    address::refuse_those_of_neighbours(config, tap, &duplicates)?;
    let run = services::run_with(stack.clone(), services, Some(metrics)).await;
    run.map_err(|error| Failure::Broken(error.to_string()))?;
    announce();
    Ok(())
}

/// Says that the stack answers, to those who wait for it.
fn announce() {
    // Whoever closed stdout, or runs no systemd, does not want to know.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(b"ready\n").and_then(|()| stdout.flush());
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

async fn end(stack: &Stack, engine: &mut Engine, signals: &mut Signals, started: Instant) -> Result<Ended, Failure> {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    stack.stop();
    let ended = tokio::select! {
        _ = &mut engine.task => Ended::Asked,
        signal = signals.next() => return Ok(Ended::Interrupted(signal)),
    };
    for line in summary::lines(started.elapsed(), &stack.counters().await) {
        log::info!("{line}");
    }
    Ok(ended)
}

/// The task that drives the stack.
struct Engine {
    task: JoinHandle<io::Result<Stopped>>,
    tap: String,
}

impl Engine {
    /// Waits for an end that nobody asked for.
    async fn stopped(&mut self) -> Failure {
        let tap = &self.tap;
        Failure::Broken(match (&mut self.task).await {
            Ok(Ok(Stopped::DeviceVanished(error))) => {
                format!("the interface {tap} has vanished ({error}); run scripts/tap-up.sh and start tapsock again")
            }
            Ok(Ok(Stopped::Asked)) => "the stack stopped without being asked: a bug, please report it".into(),
            Ok(Err(error)) => format!("the interface {tap} cannot be waited on: {error}"),
            Err(_) => "the stack panicked: a bug, please report it with the lines above".into(),
        })
    }
}
