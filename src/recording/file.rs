use std::fmt;
use std::hash::Hasher;
use std::io::{self, BufRead, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use siphasher::sip::SipHasher13;

use crate::config::Config;
use crate::observe::Time;
use crate::stack::Call;

/// The first line of a file. Whoever changes what comes behind it counts on.
const FIRST_LINE: &[u8] = b"tapsock recording 2\n";

/// No record is longer: what says so is damaged.
const LONGEST: u32 = 256 << 20;

/// The longest header.
const LONGEST_HEADER: u64 = 1 << 20;

/// What the stack was made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of tapsock and the commit it was built from, as `tapsock --version` prints them. Another one may do
    /// otherwise.
    pub version: String,
    /// The interface; empty where it had no name.
    #[serde(default)]
    pub interface: String,
    /// When the stack was made, since 1970.
    pub started: Duration,
    /// The largest packet of its link.
    pub mtu: usize,
    /// Whether it had a link.
    pub is_linked: bool,
    /// Where its randomness came from.
    pub seed: [u8; 32],
    /// Its settings.
    pub config: Config,
}

/// A step of the stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Microseconds since the stack was made.
    pub now: u64,
    /// What it was.
    pub what: What,
    /// Frames that came in.
    pub frames: Vec<ByteBuf>,
    /// Frames that a wire that is bad on purpose has lost before they came in.
    pub lost: Vec<ByteBuf>,
    /// What programs asked for.
    pub calls: Vec<Call>,
    /// Whether frames of earlier steps still waited for the device.
    pub is_behind: bool,
    /// What programs answered.
    pub answers: ByteBuf,
    /// What they did at their pipes; it changes nothing.
    pub deeds: ByteBuf,
    /// Frames that left.
    pub sent: Vec<Sent>,
}

/// What a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A step.
    Step,
    /// The stack stopped.
    ShutDown,
    /// The recording stopped before the stack did, because of this.
    Ended(String),
}

/// A frame that left. The bytes are those of the replay, or this is another frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its length.
    pub length: usize,
    /// SipHash-1-3 of its bytes, with the key 0.
    pub hash: u64,
}

impl Sent {
    /// What is written down of a frame.
    pub fn of(frame: &[u8]) -> Sent {
        let mut hasher = SipHasher13::new();
        hasher.write(frame);
        Sent { length: frame.len(), hash: hasher.finish() }
    }
}

impl Header {
    /// The beginning of a file.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = FIRST_LINE.to_vec();
        serde_json::to_writer(&mut bytes, self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl Entry {
    /// One with nothing in it yet.
    pub(super) fn new(now: Time, what: What) -> Entry {
        Entry {
            now: now.micros(),
            what,
            frames: Vec::new(),
            lost: Vec::new(),
            calls: Vec::new(),
            is_behind: false,
            answers: ByteBuf::new(),
            deeds: ByteBuf::new(),
            sent: Vec::new(),
        }
    }

    /// A record with its length.
    pub(super) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = postcard::to_extend(self, vec![0; 4]).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len() - 4).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or(io::ErrorKind::InvalidData)?;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        Ok(bytes)
    }
}

/// Why a file cannot be replayed: one sentence for a person.
#[derive(Debug)]
pub enum NotARecording {
    /// It is something else.
    Other,
    /// It is of another format.
    Format(String),
    /// Its header cannot be read.
    Header(serde_json::Error),
    /// A record cannot be read; how many were read before.
    Damaged(u64),
    /// The system refused to read it.
    System(io::Error),
}

impl fmt::Display for NotARecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotARecording::Other => {
                f.write_str("this is no recording of tapsock; make one with 'tapsock daemon --record FILE'")
            }
            NotARecording::Format(line) => {
                write!(f, "this says that it is a '{line}', which this version of tapsock cannot read; record again")
            }
            NotARecording::Header(error) => {
                write!(
                    f,
                    "the header of the recording cannot be read ({error}); the version that made it can replay it"
                )
            }
            NotARecording::Damaged(before) => {
                write!(f, "the recording is damaged behind {before} steps; they are as far as a replay can go")
            }
            NotARecording::System(error) => write!(f, "the recording cannot be read: {error}"),
        }
    }
}

impl std::error::Error for NotARecording {}

impl From<io::Error> for NotARecording {
    fn from(error: io::Error) -> NotARecording {
        NotARecording::System(error)
    }
}

/// A recording that is read.
pub struct Recording {
    /// What the stack was made of.
    pub header: Header,
    reader: Box<dyn BufRead>,
    entries: u64,
    /// It ends in the middle of a record.
    is_cut_off: bool,
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("header", &self.header).finish_non_exhaustive()
    }
}

impl Recording {
    /// Reads the beginning of a recording.
    ///
    /// # Errors
    ///
    /// [`NotARecording`].
    pub fn open(reader: impl BufRead + 'static) -> Result<Recording, NotARecording> {
        let mut reader = reader;
        let mut line = Vec::new();
        (&mut reader).take(FIRST_LINE.len() as u64 + 8).read_until(b'\n', &mut line)?;
        if line != FIRST_LINE {
            return Err(match line.strip_prefix(b"tapsock recording ") {
                Some(_) => NotARecording::Format(String::from_utf8_lossy(line.trim_ascii()).into_owned()),
                None => NotARecording::Other,
            });
        }
        line.clear();
        (&mut reader).take(LONGEST_HEADER).read_until(b'\n', &mut line)?;
        let header = serde_json::from_slice(&line).map_err(NotARecording::Header)?;
        Ok(Recording { header, reader: Box::new(reader), entries: 0, is_cut_off: false })
    }

    /// Whether the file ended in the middle of a record.
    pub fn is_cut_off(&self) -> bool {
        self.is_cut_off
    }

    fn read(&mut self) -> Result<Option<Entry>, NotARecording> {
        if self.reader.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut length = [0; 4];
        let mut bytes = Vec::new();
        if !fill(&mut self.reader, &mut length)? {
            self.is_cut_off = true;
            return Ok(None);
        }
        let length = u32::from_le_bytes(length);
        if length > LONGEST {
            return Err(NotARecording::Damaged(self.entries));
        }
        (&mut self.reader).take(length.into()).read_to_end(&mut bytes)?;
        if bytes.len() < length as usize {
            self.is_cut_off = true;
            return Ok(None);
        }
        let entry = postcard::from_bytes(&bytes).map_err(|_| NotARecording::Damaged(self.entries))?;
        self.entries += 1;
        Ok(Some(entry))
    }
}

/// Whether there was enough to fill `buffer`.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Iterator for Recording {
    type Item = Result<Entry, NotARecording>;

    fn next(&mut self) -> Option<Result<Entry, NotARecording>> {
        self.read().transpose()
    }
}
