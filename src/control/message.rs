//! What is said on the control socket: `docs/control.md` is about these types.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Counted, Filter, Listed};
use crate::config::Limits;
use crate::engine::Usage;
use crate::errands::{Connect, Errand, Listen, Outcome, Ping, Said, Traceroute};
use crate::observe::notation::hex;
use crate::observe::{Depth, Record};

/// The version of the protocol. It changes when something that was there means something else; what is only added does
/// not change it, so a reader skips what it does not know.
pub const PROTOCOL: u32 = 1;

/// What a client asks: one line.
///
/// ```
/// use tapsock::control::Request;
/// let request: Request = r#"{"request":"stats"}"#.parse()?;
/// assert_eq!(request, Request::Stats);
/// assert_eq!(request.to_string(), r#"{"request":"stats"}"#);
/// # Ok::<(), tapsock::control::BadRequest>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// The sockets there are. The answer is a [`Message::Socket`] for each, and [`Message::End`].
    Sockets {
        /// With all that is known of each TCP connection.
        #[serde(default)]
        details: bool,
    },
    /// What has been counted. The answer is [`Message::Stats`].
    Stats,
    /// Every bound of the stack. The answer is [`Message::Limits`].
    Limits,
    /// What happens from now on: [`Message::Record`] after [`Message::Record`], or [`Message::Part`] after part, until
    /// `count` have come or the client has enough. The answer begins with [`Message::Tracing`].
    Trace(Tracing),
    /// A host is to be asked whether it is there. The answer is a [`Message::Text`] for each line, and [`Message::Done`].
    Ping(Ping),
    /// The way to a host is to be found. The answer is as that to [`Request::Ping`].
    Traceroute(Traceroute),
    /// A host is to be called. The answer is [`Message::Connected`], what the peer sends, and [`Message::Done`].
    Connect(Connect),
    /// A call is to be waited for. The answer begins with [`Message::Listening`], and goes on as that to
    /// [`Request::Connect`].
    Listen(Listen),
    /// The peer is to be sent this: more of a stream, or one datagram.
    Data {
        /// As hexadecimal digits.
        #[serde(with = "hex")]
        bytes: Cow<'static, [u8]>,
    },
    /// Nothing more is to be sent.
    Shutdown,
    /// Enough of that. What has happened so far is still told, and then [`Message::End`]; of an errand its last lines, and
    /// then [`Message::Done`]. Where nothing is under way it means nothing.
    Enough,
}

/// What a client wants to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tracing {
    /// How closely.
    pub depth: Depth,
    /// Of what.
    #[serde(default)]
    pub filter: Filter,
    /// How many records at most, or packets; then [`Message::End`] follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// In which form.
    #[serde(default, skip_serializing_if = "Encoding::is_json")]
    pub encoding: Encoding,
    /// In a file: what is made up for bytes that had no packet, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub synthesise: bool,
    /// In a file: so many bytes of a packet at most. `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snaplen: Option<usize>,
}

/// In which form a client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// A [`Message::Record`] for each event.
    #[default]
    Json,
    /// Packets only, as a pcapng file that comes in parts ([`Message::Part`]).
    Pcapng,
}

impl Encoding {
    fn is_json(&self) -> bool {
        *self == Encoding::Json
    }
}

/// What a daemon says: one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "kebab-case")]
pub enum Message<'a> {
    /// The first line, before anything was asked.
    Hello(Hello),
    /// One of the answers to [`Request::Sockets`].
    Socket(Box<Listed>),
    /// The answer to [`Request::Stats`].
    Stats(Box<Counted>),
    /// The answer to [`Request::Limits`].
    Limits {
        /// In the order of `tapsock limits`.
        limits: Vec<Bound>,
    },
    /// From here on everything that happens is told.
    Tracing {
        /// In this form. A daemon of an earlier version knows one only, whatever it is asked for.
        #[serde(default, skip_serializing_if = "Encoding::is_json")]
        encoding: Encoding,
    },
    /// Something happened.
    Record(Record<'a>),
    /// What follows this line is no line: the file goes on.
    Part {
        /// By so many packets,
        packets: u64,
        /// in so many bytes. The next line begins behind them.
        bytes: usize,
    },
    /// Here, between the record before and the one after, so many are missing: the client did not read them in time.
    Dropped {
        /// How many.
        records: u64,
    },
    /// An errand says a line.
    Text {
        /// Without its end.
        text: Cow<'a, str>,
    },
    /// It waits for a call.
    Listening {
        /// Here.
        local: SocketAddr,
    },
    /// It has a peer, from now on.
    Connected {
        /// This one.
        peer: SocketAddr,
    },
    /// The peer has sent something: more of a stream, or one datagram.
    Data {
        /// As hexadecimal digits.
        #[serde(with = "hex")]
        bytes: Cow<'a, [u8]>,
    },
    /// The peer sends no more.
    Shutdown,
    /// The errand has come to its end.
    Done(Outcome),
    /// The answer that consists of several lines is complete.
    End,
    /// A request is not answered, for this reason.
    Error {
        /// One sentence.
        error: String,
    },
}

impl From<Errand> for Request {
    fn from(errand: Errand) -> Request {
        match errand {
            Errand::Ping(ping) => Request::Ping(ping),
            Errand::Traceroute(traceroute) => Request::Traceroute(traceroute),
            Errand::Connect(connect) => Request::Connect(connect),
            Errand::Listen(listen) => Request::Listen(listen),
        }
    }
}

impl From<Said> for Message<'static> {
    fn from(said: Said) -> Message<'static> {
        match said {
            Said::Line(text) => Message::Text { text: text.into() },
            Said::Listening(local) => Message::Listening { local },
            Said::Connected(peer) => Message::Connected { peer },
            Said::Data(bytes) => Message::Data { bytes: bytes.into() },
            Said::Shutdown => Message::Shutdown,
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the daemon.
    pub protocol: u32,
    /// The daemon's own version.
    pub version: String,
    /// What it is called (`--name`).
    pub name: String,
    /// The interface that it is attached to.
    pub interface: String,
    /// Its process.
    pub pid: u32,
    /// When the stack was made: the moment that its times count from, in microseconds since 1970 (UTC).
    pub started: u64,
}

/// One bound of a stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// As `--limit` knows it.
    pub name: String,
    /// What it is in this daemon.
    pub value: u64,
    /// What it is when nobody chose.
    pub default: u64,
    /// How much of it is used; `null` for those of one socket, of one peer or of one second, which have no total.
    #[serde(default)]
    pub used: Option<u64>,
}

impl Bound {
    /// The bounds of a stack with these settings, of which so much is used, and whose control socket serves so many
    /// clients.
    pub fn all(limits: &Limits, usage: &Usage, clients: usize) -> Vec<Bound> {
        let rows = Limits::table().into_iter();
        rows.filter_map(|row| {
            let value = limits.get(&row.name)?;
            let used = if row.name == "control-clients" { Some(clients as u64) } else { usage.of(&row.name) };
            Some(Bound { name: row.name, value, default: row.default, used })
        })
        .collect()
    }
}

/// A line that is no request: one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest(pub String);

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadRequest {}

impl std::str::FromStr for Request {
    type Err = BadRequest;

    fn from_str(line: &str) -> Result<Request, BadRequest> {
        serde_json::from_str(line).map_err(|error| {
            let error = error.to_string();
            // Where in the line it stands is of no use to whoever made it by a program.
            let sentence = error.split(" at line ").next().unwrap_or_default();
            BadRequest(format!("this is no request: {sentence}"))
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
