use std::fmt;
use std::future::Future;
use std::io;

use rand::TryRng;
use rand::rngs::SysRng;

use super::Stack;
use crate::config::{Config, Invalid};
use crate::device::{Device, OpenError, Tap, pair};
use crate::engine::{Engine, Stopped};
use crate::observe::{NoObserver, Observer};
use crate::stack::{SelfTestFailed, self_test};

/// Makes a [`Stack`].
///
/// ```
/// use tapsock::device::pair;
/// use tapsock::net::Stack;
///
/// let (ours, _theirs) = pair(1500);
/// let stack = Stack::builder().device(ours)?;
/// stack.shut_down();
/// # Ok::<(), tapsock::net::StartError>(())
/// ```
pub struct Builder {
    config: Config,
    seed: Option<[u8; 32]>,
    observer: Box<dyn Observer>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { config: Config::default(), seed: None, observer: Box::new(NoObserver) }
    }
}

impl Builder {
    /// Addresses, gateway, limits.
    pub fn config(mut self, config: Config) -> Builder {
        self.config = config;
        self
    }

    /// Where all randomness of the stack comes from; without it, from the system. With the same seed, the same
    /// frames at the same times give the same answers.
    pub fn seed(mut self, seed: [u8; 32]) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// Who is told what happens.
    pub fn observer(mut self, observer: Box<dyn Observer>) -> Builder {
        self.observer = observer;
        self
    }

    /// Starts the stack on the TAP of this name, on a thread of its own.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the TAP cannot be opened, or the configuration cannot be.
    pub fn tap(self, name: &str) -> Result<Stack, StartError> {
        let tap = Tap::open(name)?;
        self.device(tap)
    }

    /// Starts the stack on a device, on a thread of its own.
    ///
    /// # Errors
    ///
    /// As [`Builder::tap`].
    pub fn device(self, device: impl Device + 'static) -> Result<Stack, StartError> {
        let (engine, handle) = self.engine(device)?;
        let thread = engine.spawn()?;
        Ok(Stack::new(handle, Some(thread)))
    }

    /// Gives the stack and the future that runs it, for a runtime of the caller's: services that run on the same
    /// thread are reached without a thread switch.
    ///
    /// # Errors
    ///
    /// As [`Builder::tap`].
    pub fn drive(
        self,
        device: impl Device + 'static,
    ) -> Result<(Stack, impl Future<Output = io::Result<Stopped>>), StartError> {
        let (engine, handle) = self.engine(device)?;
        Ok((Stack::new(handle, None), engine.run()))
    }

    /// Two stacks joined by an in-memory link, for tests and experiments: the first has this builder's
    /// configuration, the second `other`. No privilege is needed.
    ///
    /// # Errors
    ///
    /// As [`Builder::tap`].
    pub fn pair(self, other: Builder) -> Result<(Stack, Stack), StartError> {
        let (a, b) = pair(1500);
        Ok((self.device(a)?, other.device(b)?))
    }

    fn engine<D: Device + 'static>(self, device: D) -> Result<(Engine<D>, crate::engine::Handle), StartError> {
        self.config.validate()?;
        self_test()?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => {
                let mut seed = [0; 32];
                SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
                seed
            }
        };
        Ok(Engine::new(self.config, device, seed, self.observer))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why a stack could not be started: one sentence for a person.
#[derive(Debug)]
pub enum StartError {
    /// The TAP cannot be opened.
    Device(OpenError),
    /// The configuration cannot be.
    Config(Invalid),
    /// This build cannot be relied on.
    Build(SelfTestFailed),
    /// The system refused a thread, a descriptor or randomness.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Device(error) => error.fmt(f),
            StartError::Config(error) => error.fmt(f),
            StartError::Build(error) => error.fmt(f),
            StartError::System(error) => write!(f, "the system refused what a stack needs: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> StartError {
        StartError::Device(error)
    }
}

impl From<Invalid> for StartError {
    fn from(error: Invalid) -> StartError {
        StartError::Config(error)
    }
}

impl From<SelfTestFailed> for StartError {
    fn from(error: SelfTestFailed) -> StartError {
        StartError::Build(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> StartError {
        StartError::System(error)
    }
}
