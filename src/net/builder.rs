use std::fmt;
use std::future::Future;
use std::io;

use rand::TryRng;
use rand::rngs::SysRng;

use super::Stack;
use crate::config::{Cidr, Config, Invalid};
use crate::device::{Device, OpenError, Tap, pair};
use crate::engine::{Engine, Stopped};
use crate::observe::{NoObserver, Observer};
use crate::recording::Recorder;
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
    recorder: Option<Recorder>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder { config: Config::default(), seed: None, observer: Box::new(NoObserver), recorder: None }
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

    /// Where all that enters the stack is written down, to be replayed.
    pub fn record(mut self, recorder: Recorder) -> Builder {
        self.recorder = Some(recorder);
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

    /// Starts a stack without a link, on a thread of its own: its sockets reach each other, at 127.0.0.1, at ::1 and at
    /// the addresses of the configuration, and nobody else reaches them. No privilege is needed, and a process may have
    /// any number of such stacks.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the configuration cannot be, such as one that asks a DHCP server for an address.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use tapsock::net::{Stack, TcpListener, TcpStream};
    ///
    /// let stack = Stack::builder().loopback_only()?;
    /// let listener = TcpListener::bind(&stack, "127.0.0.1:0".parse()?)?;
    /// let mut client = TcpStream::connect(&stack, listener.local_addr()?)?;
    /// let (mut server, peer) = listener.accept()?;
    /// assert_eq!(peer, client.local_addr()?);
    /// client.write_all(b"hello, myself")?;
    /// let mut buffer = [0; 13];
    /// server.read_exact(&mut buffer)?;
    /// assert_eq!(&buffer, b"hello, myself");
    /// stack.shut_down();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn loopback_only(mut self) -> Result<Stack, StartError> {
        self.config.validate_without_link()?;
        // There is no network around an address.
        for cidr in &mut self.config.addresses {
            *cidr = Cidr::host(cidr.address());
        }
        let seed = self.prepare()?;
        let (engine, handle) = Engine::without_link(self.config, seed, self.observer, self.recorder);
        let thread = engine.spawn()?;
        Ok(Stack::new(handle, Some(thread)))
    }

    fn engine<D: Device + 'static>(self, device: D) -> Result<(Engine<D>, crate::engine::Handle), StartError> {
        self.config.validate()?;
        let seed = self.prepare()?;
        Ok(match self.recorder {
            Some(recorder) => Engine::recorded(self.config, device, seed, self.observer, recorder),
            None => Engine::new(self.config, device, seed, self.observer),
        })
    }

    /// Looks whether this build can be relied on, and where its randomness comes from.
    fn prepare(&self) -> Result<[u8; 32], StartError> {
        self_test()?;
        if let Some(seed) = self.seed {
            return Ok(seed);
        }
        let mut seed = [0; 32];
        SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
        Ok(seed)
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
