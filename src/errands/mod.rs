//! What a person sends a stack for: to ask a host whether it is there, to find the way to it, to call it.
//!
//! An errand is a client as a [service](crate::services) is a server: a program like any other, which holds sockets of
//! [`net`](crate::net) and knows nothing of what is below. It runs on the stack that it is given: one of its own on a TAP
//! (`tools`), or a daemon's, for a client of the control socket (`control`). It is the same code both times.
//!
//! What it has to say goes into a channel of bounded room, and so does what it is given to send: whoever reads slowly makes it
//! wait, and a connection its peer. Dropping its future ends it, and its sockets, at once.
//!
//! - [`Ping`]: echo requests, one a second, and what became of them.
//! - [`Traceroute`]: which routers a packet passes.
//! - [`Connect`], [`Listen`]: a socket by hand, of TCP or UDP.
//! - `call`: what these two have in common.
//! - `host`: which address of a host it is.
//! - `report`: what an ICMP error says about a packet of ours.

mod call;
mod host;
mod ping;
mod report;
mod traceroute;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use call::{Connect, Listen, Manner};
pub use ping::Ping;
pub use traceroute::{Probe, Traceroute};

use crate::config::Config;
use crate::net::Stack;

/// The spans that an errand can be given.
const SPANS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

/// Addresses that one host can have here.
const ADDRESSES: usize = 64;

/// What is to be done.
///
/// ```
/// use tapsock::config::Config;
/// use tapsock::errands::{Errand, Outcome, Ping, Said};
/// use tapsock::net::Stack;
/// use tokio::sync::mpsc;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stack = Stack::builder().loopback_only()?;
/// let ping = Ping { count: Some(1), ..Ping::new("myself", vec!["127.0.0.1".parse()?]) };
/// let (_nothing, given) = mpsc::channel(1);
/// let (say, mut said) = mpsc::channel(1);
/// let errand = Errand::Ping(ping).run(stack, Config::default(), given, std::future::pending(), say);
/// let lines = async {
///     let mut lines = Vec::new();
///     while let Some(Said::Line(line)) = said.recv().await {
///         lines.push(line);
///     }
///     lines
/// };
/// let (outcome, lines) = tokio::join!(errand, lines);
/// assert_eq!(outcome, Outcome::Reached);
/// assert!(lines[1].starts_with("64 bytes from 127.0.0.1: icmp_seq=1 ttl=64 time="));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Ask a host whether it is there.
    Ping(Ping),
    /// Find the way to it.
    Traceroute(Traceroute),
    /// Call it.
    Connect(Connect),
    /// Wait for a call.
    Listen(Listen),
}

/// What an errand says on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line for a person.
    Line(String),
    /// It waits for a call here.
    Listening(SocketAddr),
    /// It has this peer, from now on.
    Connected(SocketAddr),
    /// The peer has sent this: a piece of a stream, or one datagram.
    Data(Vec<u8>),
    /// The peer sends no more. What is given is still sent.
    Shutdown,
}

/// What came of an errand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// The host answered; both directions of a call have ended.
    Reached,
    /// It did not; or it was enough before.
    NotReached,
    /// Something must be set right first.
    Mistake {
        /// One sentence.
        error: String,
    },
    /// Something broke.
    Broken {
        /// One sentence.
        error: String,
    },
}

impl Outcome {
    fn mistake(sentence: impl Into<String>) -> Outcome {
        Outcome::Mistake { error: sentence.into() }
    }

    fn broken(sentence: impl Into<String>) -> Outcome {
        Outcome::Broken { error: sentence.into() }
    }
}

impl Errand {
    /// Checks what it was given.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub fn validate(&self) -> Result<(), String> {
        match self {
            Errand::Ping(ping) => ping.validate(),
            Errand::Traceroute(traceroute) => traceroute.validate(),
            Errand::Connect(connect) => connect.validate(),
            Errand::Listen(listen) => listen.validate(),
        }
    }

    /// Whether it is given bytes to send.
    pub fn is_call(&self) -> bool {
        matches!(self, Errand::Connect(_) | Errand::Listen(_))
    }

    /// Does it, on a stack with these settings.
    ///
    /// `given` is what is to be sent, in pieces that become a datagram each; its end is the end of our direction. `enough`
    /// is when it is to come to an end before its own.
    pub async fn run(
        self,
        stack: Stack,
        config: Config,
        given: mpsc::Receiver<Vec<u8>>,
        enough: impl Future<Output = ()> + Send,
        said: mpsc::Sender<Said>,
    ) -> Outcome {
        let (voice, mut enough) = (Voice(said), pin!(enough));
        // A daemon can be asked before it has its addresses.
        tokio::select! {
            ready = stack.ready() => if let Err(error) = ready {
                return Outcome::broken(format!("the stack does not answer: {error}"));
            },
            () = &mut enough => return Outcome::NotReached,
        }
        match self {
            Errand::Ping(ping) => ping.run(&stack, &config, enough, voice).await,
            Errand::Traceroute(traceroute) => traceroute.run(&stack, &config, enough, voice).await,
            Errand::Connect(connect) => tokio::select! {
                outcome = connect.run(&stack, &config, given, &voice) => outcome,
                () = enough => Outcome::NotReached,
            },
            Errand::Listen(listen) => tokio::select! {
                outcome = listen.run(&stack, &config, given, &voice) => outcome,
                () = enough => Outcome::NotReached,
            },
        }
    }
}

/// Where an errand says what it has to say.
struct Voice(mpsc::Sender<Said>);

impl Voice {
    /// Waits until there is room for it.
    async fn say(&self, said: Said) -> io::Result<()> {
        self.0.send(said).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn line(&self, line: impl Into<String>) -> io::Result<()> {
        self.say(Said::Line(line.into())).await
    }
}

/// Checks a span that was given.
fn check_span(what: &str, span: Option<Duration>) -> Result<(), String> {
    match span {
        Some(span) if !SPANS.contains(&span) => Err(format!("the {what} is from 1000 to 86400000000 microseconds")),
        _ => Ok(()),
    }
}

/// Checks a number that was given.
fn check<T: PartialOrd + Copy + std::fmt::Display>(
    what: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), String> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(format!("{what} {value} is not from {} to {}", range.start(), range.end())),
    }
}
