//! The other end of the control socket, for programs that block.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::place::{self, Place, Unavailable};
use super::{Bound, Counted, Hello, Listed, Message, PROTOCOL, Request, Tracing};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest line: a packet of 64 KiB in digits, and all that is said about it.
const LONGEST: u64 = 1 << 20;

/// How much is read at once.
const ROOM: usize = 64 << 10;

/// Why there is no answer: one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// No daemon can be asked; the sentence says what to do.
    Nobody(String),
    /// It could, and something went wrong.
    Broken(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::Nobody(sentence) | Unanswered::Broken(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Unanswered {}

impl From<Unavailable> for Unanswered {
    fn from(why: Unavailable) -> Unanswered {
        Unanswered::Nobody(why.to_string())
    }
}

/// A conversation with a running daemon.
///
/// ```no_run
/// use tapsock::control::{Client, Message, Tracing};
/// use tapsock::observe::Depth;
///
/// let mut client = Client::connect(None)?;
/// println!("{} is attached to {}", client.hello().name, client.hello().interface);
/// client.trace(Tracing { depth: Depth::Frame, ..Tracing::default() })?;
/// while let Some(Message::Record(record)) = client.next()? {
///     println!("{} {:?}", record.at, record.event);
/// }
/// # Ok::<(), tapsock::control::Unanswered>(())
/// ```
#[derive(Debug)]
pub struct Client {
    hello: Hello,
    reader: BufReader<UnixStream>,
    line: Vec<u8>,
}

impl Client {
    /// Finds a daemon of this user: the one of that name, or the only one there is.
    ///
    /// # Errors
    ///
    /// [`Unanswered`]: there is none, there are several, or it speaks another version of the protocol.
    pub fn connect(name: Option<&str>) -> Result<Client, Unanswered> {
        match name {
            Some(name) => {
                let place = Place::of(name)?;
                Client::at(place.path()).map_err(|error| match error {
                    Tried::Absent(why) => Unanswered::Nobody(format!(
                        "no daemon '{name}' answers at {} ({why}); start one: tapsock daemon --name {name}",
                        place.path().display()
                    )),
                    Tried::Failed(why) => why,
                })
            }
            None => Client::only(),
        }
    }

    /// The only daemon there is.
    fn only() -> Result<Client, Unanswered> {
        let directory = place::directory()?;
        let mut found = Vec::new();
        for name in names(&directory) {
            match Client::at(&directory.join(format!("{name}.sock"))) {
                Ok(client) => found.push((name, client)),
                Err(Tried::Absent(_)) => {}
                Err(Tried::Failed(why)) => return Err(why),
            }
        }
        let several: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        match several.len() {
            0 => Err(Unanswered::Nobody(format!(
                "no daemon of yours runs (looked in {}); start one: tapsock daemon",
                directory.display()
            ))),
            1 => found.pop().map(|(_, client)| client).ok_or_else(|| Unanswered::Broken("no daemon".into())),
            _ => Err(Unanswered::Nobody(format!("several daemons run; say which: --name {}", several.join(" or ")))),
        }
    }

    fn at(path: &Path) -> Result<Client, Tried> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Tried::Absent("there is no such socket".into()),
            ErrorKind::ConnectionRefused => Tried::Absent("it has died".into()),
            ErrorKind::PermissionDenied => Tried::Absent("it belongs to somebody else".into()),
            _ => Tried::Failed(Unanswered::Broken(format!("{} cannot be reached: {error}", path.display()))),
        })?;
        Client::on(stream).map_err(Tried::Failed)
    }

    /// On a socket that is connected.
    pub(super) fn on(stream: UnixStream) -> Result<Client, Unanswered> {
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| broken(&error))?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(|error| broken(&error))?;
        let nobody = Hello {
            protocol: 0,
            version: String::new(),
            name: String::new(),
            interface: String::new(),
            pid: 0,
            started: 0,
        };
        let mut client = Client { hello: nobody, reader: BufReader::with_capacity(ROOM, stream), line: Vec::new() };
        match client.next()? {
            Some(Message::Hello(hello)) if hello.protocol == PROTOCOL => {
                client.hello = hello;
                Ok(client)
            }
            Some(Message::Hello(hello)) => Err(Unanswered::Nobody(format!(
                "the daemon '{}' (tapsock {}) speaks version {} of the control protocol, and this program version {PROTOCOL}; use the same tapsock for both",
                hello.name, hello.version, hello.protocol
            ))),
            Some(Message::Error { error }) => Err(Unanswered::Nobody(error)),
            None => Err(Unanswered::Nobody("the daemon does not talk to this user".into())),
            Some(_) => Err(Unanswered::Broken("the daemon does not begin with hello".into())),
        }
    }

    /// Who answers.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// What the stack has counted.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn stats(&mut self) -> Result<Counted, Unanswered> {
        match self.ask(&Request::Stats)? {
            Message::Stats(counted) => Ok(*counted),
            other => Err(unexpected(&other)),
        }
    }

    /// The sockets there are, by age. `details`: with all that is known of each TCP connection.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn sockets(&mut self, details: bool) -> Result<Vec<Listed>, Unanswered> {
        let mut all = Vec::new();
        let mut message = self.ask(&Request::Sockets { details })?;
        loop {
            match message {
                Message::Socket(listed) => all.push(*listed),
                Message::End => break,
                other => return Err(unexpected(&other)),
            }
            message = self.next()?.ok_or_else(|| Unanswered::Broken("the daemon has ended".into()))?;
        }
        all.sort_by_key(|listed| listed.id.number);
        Ok(all)
    }

    /// Every bound of the stack.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn limits(&mut self) -> Result<Vec<Bound>, Unanswered> {
        match self.ask(&Request::Limits)? {
            Message::Limits { limits } => Ok(limits),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins to watch: [`Client::next`] gives what happens from now on, and waits for it as long as it takes.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn trace(&mut self, tracing: Tracing) -> Result<(), Unanswered> {
        match self.ask(&Request::Trace(tracing))? {
            Message::Tracing => self.reader.get_ref().set_read_timeout(None).map_err(|error| broken(&error)),
            other => Err(unexpected(&other)),
        }
    }

    /// The next message; `None`: the daemon has closed.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    #[expect(clippy::should_implement_trait, reason = "an iterator over borrowed messages is none of std's")]
    pub fn next(&mut self) -> Result<Option<Message<'static>>, Unanswered> {
        match self.next_line()? {
            Some(line) => serde_json::from_str(line).map(Some).map_err(|error| {
                Unanswered::Broken(format!("the daemon says what this program does not understand: {error}"))
            }),
            None => Ok(None),
        }
    }

    /// The next message as it was written; `None`: the daemon has closed.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn next_line(&mut self) -> Result<Option<&str>, Unanswered> {
        self.line.clear();
        let read =
            (&mut self.reader).take(LONGEST).read_until(b'\n', &mut self.line).map_err(|error| broken(&error))?;
        if read == 0 {
            return Ok(None);
        }
        match str::from_utf8(&self.line) {
            Ok(line) if line.ends_with('\n') => Ok(Some(line.trim_end())),
            _ => Err(Unanswered::Broken("the daemon ended in the middle of a line".into())),
        }
    }

    /// Whether all that has come so far was taken: a good moment to show it.
    pub fn is_drained(&self) -> bool {
        self.reader.buffer().is_empty()
    }

    fn ask(&mut self, request: &Request) -> Result<Message<'static>, Unanswered> {
        let line = format!("{request}\n");
        self.reader.get_ref().write_all(line.as_bytes()).map_err(|error| broken(&error))?;
        match self.next()? {
            Some(Message::Error { error }) => Err(Unanswered::Broken(format!("the daemon answers: {error}"))),
            Some(message) => Ok(message),
            None => Err(Unanswered::Broken("the daemon has closed the control socket".into())),
        }
    }
}

/// Why one socket does not do.
enum Tried {
    /// Nobody is there for us.
    Absent(String),
    Failed(Unanswered),
}

fn broken(error: &io::Error) -> Unanswered {
    Unanswered::Broken(match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "the daemon does not answer".into(),
        _ => format!("the conversation with the daemon broke: {error}"),
    })
}

fn unexpected(message: &Message<'_>) -> Unanswered {
    let line = serde_json::to_string(message).unwrap_or_default();
    Unanswered::Broken(format!("the daemon answers something else: {line}"))
}

/// The names of the sockets in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = directory.read_dir() else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".sock")?.to_owned()))
        .collect();
    names.sort();
    names
}
