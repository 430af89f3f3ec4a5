//! One client of the control socket.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::{sleep, timeout};

use super::filter::Sieve;
use super::lines::{self, Line, Lines};
use super::queue::{Batch, Queue};
use super::server::Shared;
use super::tell::Teller;
use super::{Bound, Counted, Encoding, Listed, Message, Request, Tracing};
use crate::engine::{Address, Page};
use crate::errands::Errand;

/// How much is put together before it is written.
const BATCH: usize = 64 * 1024;

/// How long events may gather before the engine's thread has to wake this one again.
const GATHER: Duration = Duration::from_millis(1);

pub(super) struct Session {
    stream: UnixStream,
    shared: Arc<Shared>,
}

impl Session {
    pub(super) fn new(stream: UnixStream, shared: Arc<Shared>) -> Session {
        Session { stream, shared }
    }

    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Says that there is no room, to somebody who may read it.
    pub(super) fn turn_away(self) {
        let most = self.shared.terms.config.limits.control_clients;
        let error = format!("{most} clients look at this daemon already (--limit control-clients)");
        let mut line = Vec::new();
        add(&mut line, &Message::Error { error });
        // A new connection has room for a line.
        let _ = self.stream.try_write(&line);
    }

    /// Answers until the client has gone or is cut off.
    pub(super) async fn run(self) {
        let patience = self.shared.terms.patience;
        let (reader, writer) = self.stream.into_split();
        let mut conversation = Conversation {
            lines: Lines::new(reader),
            out: Out { writer, patience, batch: Vec::new() },
            shared: self.shared,
        };
        // An error says that it has gone, or is cut off: nobody is left to be told.
        let _ = conversation.hold().await;
    }
}

/// What goes to the client.
pub(super) struct Out {
    writer: OwnedWriteHalf,
    patience: Duration,
    batch: Vec<u8>,
}

impl Out {
    pub(super) async fn say(&mut self, message: &Message<'_>) -> io::Result<()> {
        add(&mut self.batch, message);
        if self.batch.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    /// Writes what was said. A client that takes nothing for too long is cut off.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let said = mem::take(&mut self.batch);
        self.write(&said).await?;
        self.batch = said;
        self.batch.clear();
        Ok(())
    }

    /// Says something with bytes behind it.
    pub(super) async fn say_with(&mut self, message: &Message<'_>, bytes: &[u8]) -> io::Result<()> {
        add(&mut self.batch, message);
        self.flush().await?;
        self.write(bytes).await
    }

    async fn write(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            let written = timeout(self.patience, self.writer.write(rest)).await??;
            rest = &rest[written..];
        }
        Ok(())
    }
}

/// Appends a line.
fn add(batch: &mut Vec<u8>, message: &Message<'_>) {
    // No type of ours refuses to be written, and a vector takes everything.
    if serde_json::to_writer(&mut *batch, message).is_ok() {
        batch.push(b'\n');
    }
}

pub(super) struct Conversation {
    pub(super) lines: Lines,
    pub(super) out: Out,
    pub(super) shared: Arc<Shared>,
}

impl Conversation {
    async fn hold(&mut self) -> io::Result<()> {
        self.out.say(&Message::Hello(self.shared.hello.clone())).await?;
        self.out.flush().await?;
        loop {
            match self.lines.next().await? {
                Line::Over => return Ok(()),
                Line::TooLong => self.out.say(&lines::too_long()).await?,
                Line::Text(line) => match line.parse() {
                    Ok(request) => self.answer(request).await?,
                    Err(error) => self.out.say(&Message::Error { error: error.to_string() }).await?,
                },
            }
            self.out.flush().await?;
        }
    }

    async fn answer(&mut self, request: Request) -> io::Result<()> {
        match request {
            Request::Sockets { details } => self.list(details).await,
            Request::Stats => {
                let Shared { handle, audience, terms, .. } = &*self.shared;
                let counted = Counted::gather(handle, audience, &terms.config.limits).await;
                self.out.say(&Message::Stats(Box::new(counted))).await
            }
            Request::Limits => {
                let Shared { handle, audience, terms, .. } = &*self.shared;
                let usage = handle.latest().await.usage;
                let limits = Bound::all(&terms.config.limits, &usage, audience.clients());
                self.out.say(&Message::Limits { limits }).await
            }
            Request::Trace(tracing) => self.trace(tracing).await,
            Request::Ping(ping) => self.run(Errand::Ping(ping)).await,
            Request::Traceroute(traceroute) => self.run(Errand::Traceroute(traceroute)).await,
            Request::Connect(connect) => self.run(Errand::Connect(connect)).await,
            Request::Listen(listen) => self.run(Errand::Listen(listen)).await,
            Request::Data { .. } | Request::Shutdown => {
                let error = "nothing is connected that could send; ask to connect or to listen first".into();
                self.out.say(&Message::Error { error }).await
            }
            // It has ended already.
            Request::Enough => Ok(()),
        }
    }

    /// Tells of each socket, part by part: the engine goes on between them, and waits for nobody.
    async fn list(&mut self, details: bool) -> io::Result<()> {
        let mut next = Some(Page::default());
        while let Some(page) = next {
            let Ok((rows, rest)) = self.shared.handle.sockets(page).await else { break };
            let now = self.shared.handle.now();
            for row in &rows {
                self.out.say(&Message::Socket(Box::new(Listed::new(row, now, details)))).await?;
            }
            next = rest;
        }
        self.out.say(&Message::End).await
    }

    /// Tells a filter of the sockets that are there already.
    async fn introduce(&self, sieve: &mut Sieve) {
        let mut next = sieve.wants_introductions().then(Page::default);
        while let Some(page) = next {
            let Ok((rows, rest)) = self.shared.handle.sockets(page).await else { break };
            for row in &rows {
                let peer = row.peer.as_ref().and_then(Address::as_socket);
                sieve.meet(row.id, [row.local.as_socket(), peer]);
            }
            next = rest;
        }
    }

    /// Tells what happens until it was enough, or the client says something else.
    async fn trace(&mut self, tracing: Tracing) -> io::Result<()> {
        if let Err(error) = tracing.filter.validate() {
            return self.out.say(&Message::Error { error }).await;
        }
        let terms = &self.shared.terms;
        let (mut sieve, queue) = (Sieve::new(tracing.filter.clone()), Queue::new(terms.config.limits.control_queue));
        let (queue, mut teller) = match tracing.encoding {
            Encoding::Json => (queue.up_to(tracing.count), Teller::Lines),
            Encoding::Pcapng => {
                if !tracing.synthesise {
                    // What is made up is made of everything else.
                    sieve = sieve.only_packets();
                }
                let packer = (terms.pack)(&self.shared.hello, &tracing)?;
                (queue.snap(tracing.snaplen), Teller::parts(packer, tracing.count))
            }
        };
        self.introduce(&mut sieve).await;
        let watching = self.shared.audience.sit(tracing.depth, sieve, queue);
        let queue = Arc::clone(&watching.queue);
        // An engine that sleeps looks who watches when it wakes.
        self.shared.handle.wake();
        self.out.say(&Message::Tracing { encoding: tracing.encoding }).await?;
        teller.finish(&mut self.out).await?;
        self.out.flush().await?;
        let (mut batch, mut is_enough) = (Batch::default(), false);
        while !teller.is_done() {
            let is_more = tokio::select! {
                biased;
                is_closed = self.lines.wait(), if !is_enough => {
                    if is_closed {
                        return Ok(());
                    }
                    // What has happened before is told.
                    is_enough = true;
                    queue.close();
                    continue;
                }
                is_more = queue.take(&mut batch) => is_more,
            };
            if !is_more {
                break;
            }
            for told in batch.drain() {
                teller.tell(told, &mut self.out).await?;
            }
            teller.finish(&mut self.out).await?;
            self.out.flush().await?;
            if !is_enough {
                sleep(GATHER).await;
            }
        }
        drop(watching);
        self.shared.handle.wake();
        self.out.say(&Message::End).await
    }
}
