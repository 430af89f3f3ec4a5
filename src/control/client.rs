//! The other end of the control socket, for programs that block.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::place::{self, Place, Unavailable};
use super::{Bound, Counted, Encoding, Hello, Listed, Message, PROTOCOL, Request, Tracing};
use crate::errands::Errand;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest line: a packet of 64 KiB in digits, and all that is said about it.
const LONGEST: u64 = 1 << 20;

/// The largest part of a file.
const LARGEST: usize = 1 << 20;

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
    /// How long it waits for the daemon.
    patience: Option<Duration>,
    line: Vec<u8>,
    /// Only the beginning of the line has come.
    is_cut: bool,
    part: Part,
}

/// The bytes behind a [`Message::Part`]: the first `length` of what there is room for.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    length: usize,
    /// So many have come.
    filled: usize,
    packets: u64,
}

/// What there is to react to.
#[derive(Debug)]
pub enum Heard {
    /// The daemon says something.
    Message(Message<'static>),
    /// It has said nothing for a while.
    Nothing,
    /// It has closed.
    Over,
}

/// Speaks to the daemon from another thread, while something is under way.
#[derive(Debug)]
pub struct Speaker(UnixStream);

impl Speaker {
    /// Waits until there is room for it.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn say(&self, request: &Request) -> Result<(), Unanswered> {
        (&self.0).write_all(format!("{request}\n").as_bytes()).map_err(|error| broken(&error))
    }

    /// Asks for no more. What has happened so far still comes, and then [`Message::End`].
    pub fn stop(&self) {
        // Whom this does not reach has ended.
        let _ = self.say(&Request::Enough);
    }

    /// Does not wait for that.
    pub fn hang_up(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
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
                    Tried::Foreign => Unanswered::Nobody(format!(
                        "the daemon at {} belongs to somebody else; ask as that user, or as root",
                        place.path().display()
                    )),
                    Tried::Failed(why) => why,
                })
            }
            None => Client::only(),
        }
    }

    /// The only daemon of this user. `None`: there is none, or there are several.
    ///
    /// # Errors
    ///
    /// [`Unanswered`]: it speaks another version of the protocol, or does not answer.
    pub fn lone() -> Result<Option<Client>, Unanswered> {
        let Ok(directory) = place::directory() else { return Ok(None) };
        let mut found = Client::all(&directory)?;
        Ok(found.pop().filter(|_| found.is_empty()).map(|(_, client)| client))
    }

    /// Those that have their sockets here, with their names.
    fn all(directory: &Path) -> Result<Vec<(String, Client)>, Unanswered> {
        let mut found = Vec::new();
        for name in names(directory) {
            match Client::at(&directory.join(format!("{name}.sock"))) {
                Ok(client) => found.push((name, client)),
                Err(Tried::Absent(_) | Tried::Foreign) => {}
                Err(Tried::Failed(why)) => return Err(why),
            }
        }
        Ok(found)
    }

    /// The only daemon there is.
    fn only() -> Result<Client, Unanswered> {
        let directory = place::directory()?;
        let mut found = Client::all(&directory)?;
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
            ErrorKind::PermissionDenied => Tried::Foreign,
            _ => Tried::Failed(Unanswered::Broken(format!("{} cannot be reached: {error}", path.display()))),
        })?;
        Client::on(stream).map_err(Tried::Failed)
    }

    /// On a socket that is connected.
    pub(super) fn on(stream: UnixStream) -> Result<Client, Unanswered> {
        stream.set_write_timeout(Some(PATIENCE)).map_err(|error| broken(&error))?;
        let nobody = Hello {
            protocol: 0,
            version: String::new(),
            name: String::new(),
            interface: String::new(),
            pid: 0,
            started: 0,
        };
        let mut client = Client {
            hello: nobody,
            reader: BufReader::with_capacity(ROOM, stream),
            patience: None,
            line: Vec::new(),
            is_cut: false,
            part: Part::default(),
        };
        client.wait_for(Some(PATIENCE))?;
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

    /// Begins to watch: [`Client::next`] gives what happens from now on, and waits for it as long as it takes. Gives the
    /// form in which it comes, which is JSON where the daemon knows no other.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn trace(&mut self, tracing: Tracing) -> Result<Encoding, Unanswered> {
        match self.ask(&Request::Trace(tracing))? {
            Message::Tracing { encoding } => self.wait_for(None).map(|()| encoding),
            other => Err(unexpected(&other)),
        }
    }

    /// Begins an errand: [`Client::next`] gives what it says, and waits for it as long as it takes; the last is
    /// [`Message::Done`], or a [`Message::Error`] if it is none.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn begin(&mut self, errand: Errand) -> Result<(), Unanswered> {
        self.reader.get_ref().set_write_timeout(None).map_err(|error| broken(&error))?;
        self.wait_for(None)?;
        self.speaker()?.say(&errand.into())
    }

    /// What another thread can speak with.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`]: there is no descriptor left for it.
    pub fn speaker(&self) -> Result<Speaker, Unanswered> {
        self.reader.get_ref().try_clone().map(Speaker).map_err(|error| broken(&error))
    }

    /// The next message; `None`: the daemon has closed.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    #[expect(clippy::should_implement_trait, reason = "an iterator over borrowed messages is none of std's")]
    pub fn next(&mut self) -> Result<Option<Message<'static>>, Unanswered> {
        self.receive().map_err(Trouble::into_answer)
    }

    /// The next message, if it comes within this time.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn next_within(&mut self, time: Duration) -> Result<Heard, Unanswered> {
        self.wait_for(Some(time))?;
        match self.receive() {
            Ok(Some(message)) => Ok(Heard::Message(message)),
            Ok(None) => Ok(Heard::Over),
            Err(Trouble::System(error)) if is_late(&error) => Ok(Heard::Nothing),
            Err(trouble) => Err(trouble.into_answer()),
        }
    }

    /// The bytes behind the [`Message::Part`] that came last.
    pub fn part(&self) -> &[u8] {
        &self.part.bytes[..self.part.length]
    }

    /// The next message as it was written; `None`: the daemon has closed.
    ///
    /// # Errors
    ///
    /// [`Unanswered::Broken`].
    pub fn next_line(&mut self) -> Result<Option<&str>, Unanswered> {
        self.read_line().map_err(Trouble::into_answer)
    }

    /// What comes next. Where that takes too long, it goes on next time.
    fn receive(&mut self) -> Result<Option<Message<'static>>, Trouble> {
        if self.part.filled == self.part.length {
            let Some(line) = self.read_line()? else { return Ok(None) };
            let message = serde_json::from_str(line).map_err(|error| {
                Trouble::Said(format!("the daemon says what this program does not understand: {error}"))
            })?;
            let Message::Part { packets, bytes } = message else { return Ok(Some(message)) };
            if bytes > LARGEST {
                return Err(Trouble::Said(format!(
                    "a part of a file has at most {LARGEST} bytes, and this one {bytes}"
                )));
            }
            (self.part.packets, self.part.length, self.part.filled) = (packets, bytes, 0);
            if self.part.bytes.len() < bytes {
                self.part.bytes.resize(bytes, 0);
            }
        }
        let Part { bytes, length, filled, packets } = &mut self.part;
        while *filled < *length {
            match self.reader.read(&mut bytes[*filled..*length]) {
                Ok(0) => return Err(Trouble::Said("the daemon ended in the middle of a part".into())),
                Ok(read) => *filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::System(error)),
            }
        }
        Ok(Some(Message::Part { packets: *packets, bytes: *length }))
    }

    fn read_line(&mut self) -> Result<Option<&str>, Trouble> {
        if !self.is_cut {
            self.line.clear();
        }
        self.is_cut = true;
        (&mut self.reader).take(LONGEST).read_until(b'\n', &mut self.line).map_err(Trouble::System)?;
        self.is_cut = false;
        if self.line.is_empty() {
            return Ok(None);
        }
        match str::from_utf8(&self.line) {
            Ok(line) if line.ends_with('\n') => Ok(Some(line.trim_end())),
            _ => Err(Trouble::Said("the daemon ended in the middle of a line".into())),
        }
    }

    fn wait_for(&mut self, patience: Option<Duration>) -> Result<(), Unanswered> {
        if self.patience != patience {
            self.reader.get_ref().set_read_timeout(patience).map_err(|error| broken(&error))?;
            self.patience = patience;
        }
        Ok(())
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

/// Why there is no next message.
enum Trouble {
    System(io::Error),
    /// The daemon says what it should not: one sentence.
    Said(String),
}

impl Trouble {
    fn into_answer(self) -> Unanswered {
        match self {
            Trouble::System(error) => broken(&error),
            Trouble::Said(sentence) => Unanswered::Broken(sentence),
        }
    }
}

/// Why one socket does not do.
enum Tried {
    /// Nobody is there for us.
    Absent(String),
    /// Somebody may be, but not for this user.
    Foreign,
    Failed(Unanswered),
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn broken(error: &io::Error) -> Unanswered {
    Unanswered::Broken(match is_late(error) {
        true => "the daemon does not answer".into(),
        false => format!("the conversation with the daemon broke: {error}"),
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
