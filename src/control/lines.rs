//! What a client says, line by line.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::time::sleep;

use super::Message;

/// The longest request.
const LONGEST: usize = 64 * 1024;

/// How often to look whether a client that says no more still listens.
const GLANCE: Duration = Duration::from_secs(1);

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line that is not empty.
    Text(String),
    /// One that is too long to be kept.
    TooLong,
    /// No more will come.
    Over,
}

/// What a client is told about a line that is too long.
pub(super) fn too_long() -> Message<'static> {
    Message::Error { error: format!("a request has at most {LONGEST} bytes") }
}

/// The client's direction.
pub(super) struct Lines {
    reader: BufReader<OwnedReadHalf>,
    /// Of the line that is coming.
    begun: Vec<u8>,
    /// It is too long, and its rest is thrown away.
    is_skipping: bool,
    /// The client says no more.
    is_over: bool,
}

impl Lines {
    pub(super) fn new(reader: OwnedReadHalf) -> Lines {
        Lines { reader: BufReader::new(reader), begun: Vec::new(), is_skipping: false, is_over: false }
    }

    /// The next line. Whoever waits no more has lost nothing.
    pub(super) async fn next(&mut self) -> io::Result<Line> {
        loop {
            let available = self.reader.fill_buf().await?;
            self.is_over = available.is_empty();
            let end = available.iter().position(|&byte| byte == b'\n');
            let count = end.map_or(available.len(), |at| at + 1);
            let is_too_long = self.begun.len() + count > LONGEST;
            if !self.is_skipping && !is_too_long {
                self.begun.extend_from_slice(&available[..count]);
            }
            self.reader.consume(count);
            if is_too_long && !self.is_skipping {
                (self.begun, self.is_skipping) = (Vec::new(), end.is_none());
                return Ok(Line::TooLong);
            }
            if end.is_some() || self.is_over {
                self.is_skipping = false;
                let line = String::from_utf8_lossy(&self.begun).trim().to_owned();
                self.begun.clear();
                match (line.is_empty(), self.is_over) {
                    (false, _) => return Ok(Line::Text(line)),
                    (true, true) => return Ok(Line::Over),
                    (true, false) => {}
                }
            }
        }
    }

    /// Waits until the client asks for something else (false), or has closed altogether (true). One that only says that it
    /// will ask no more, as `echo … | socat - UNIX-CONNECT:…` does, still listens.
    pub(super) async fn wait(&mut self) -> bool {
        if !self.is_over {
            match self.reader.fill_buf().await {
                Ok([]) => self.is_over = true,
                Ok(_) => return false,
                Err(_) => return true,
            }
        }
        self.closed().await;
        true
    }

    /// Whether the client has closed, and not only the direction towards us.
    pub(super) fn is_closed(&self) -> bool {
        let written = self.reader.get_ref().as_ref().try_write(&[]);
        written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Waits until then.
    pub(super) async fn closed(&self) {
        while !self.is_closed() {
            sleep(GLANCE).await;
        }
    }
}
