//! A stack of its own for a command: on a TAP, for as long as the command runs.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::signal::{Signal, Signals};
use super::{Engine, Failure, address, refused};
use crate::config::Config;
use crate::device::Tap;
use crate::net::{Stack, StartError};
use crate::trace;

/// Where a command attaches, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name of the TAP.
    pub tap: String,
    /// What the stack is made from.
    pub config: Config,
}

impl Default for Attachment {
    /// What a person gets who has said nothing else.
    fn default() -> Attachment {
        Attachment { tap: "tap0".into(), config: Config::default() }
    }
}

/// Says when a person has had enough: SIGINT or SIGTERM.
#[derive(Debug)]
pub struct Interrupt(Signals);

impl Interrupt {
    /// Waits until then.
    pub async fn wait(&mut self) -> Signal {
        self.0.next().await
    }
}

/// Runs `command` with a stack that answers and tells the log, if there is one, what happens.
/// Stops the stack when the command is done.
///
/// # Errors
///
/// [`Failure`]: the stack cannot be started, the interface vanishes, or what `command` fails with.
pub fn with_stack<T>(
    attachment: &Attachment,
    command: impl AsyncFnOnce(Stack, Interrupt) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let Attachment { tap, config } = attachment;
    config.validate().map_err(|invalid| Failure::Mistake(invalid.to_string()))?;
    address::refuse_those_of_the_host(config)?;
    address::refuse_the_mac_of_the_host(tap, config.mac)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| refused("an event loop", &error))?;
    runtime.block_on(async {
        let interrupt = Interrupt(Signals::new().map_err(|error| refused("signal handlers", &error))?);
        let device = Tap::open(tap).map_err(StartError::from)?;
        let (stack, engine) =
            Stack::builder().config(config.clone()).observer(Box::new(trace::Text::new())).drive(device)?;
        let mut engine = Engine { task: tokio::spawn(engine), tap: tap.clone() };
        let done = tokio::select! {
            done = begin_and_run(stack.clone(), interrupt, attachment, command) => done,
            stopped = engine.stopped() => return Err(stopped),
        };
        stack.stop();
        wait(&mut engine.task).await;
        done
    })
}

/// Runs `work`, which blocks, on a thread of its own. Gives what it gives; or the signal, if a person has had enough before,
/// and then it is not waited for.
///
/// # Errors
///
/// [`Failure::Broken`]: there is no thread or no signal handler for it, or it panicked.
pub fn until_signal<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Result<T, Signal>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|error| refused("an event loop", &error))?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(|error| refused("signal handlers", &error))?;
        let (done, given) = oneshot::channel();
        let thread = std::thread::Builder::new();
        thread.spawn(move || done.send(work())).map_err(|error| refused("a thread", &error))?;
        tokio::select! {
            given = given => given.map(Ok).map_err(|_| Failure::Broken("it panicked: a bug, please report it".into())),
            signal = signals.next() => Ok(Err(signal)),
        }
    })
}

async fn begin_and_run<T>(
    stack: Stack,
    mut interrupt: Interrupt,
    attachment: &Attachment,
    command: impl AsyncFnOnce(Stack, Interrupt) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let duplicates = tokio::select! {
        ready = stack.ready() => ready.map_err(|error| refused("the stack's start", &error))?,
        never = address::hint(&stack, &attachment.tap) => match never {},
        _ = interrupt.wait() => return Err(Failure::Broken("interrupted before the stack had its addresses".into())),
    };
    address::refuse_those_of_neighbours(&attachment.config, &attachment.tap, &duplicates)?;
    command(stack, interrupt).await
}

/// How the engine ends when it was asked to is of no interest.
async fn wait<T>(task: &mut JoinHandle<T>) {
    let _ = task.await;
}
