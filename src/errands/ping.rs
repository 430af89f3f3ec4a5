//! Echo requests, one after the other, and what became of each.
//!
//! The requests go through an echo socket. What routers say about them is heard by a raw socket; a neighbour that does
//! not answer is told by the echo socket itself.

mod tally;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::report::{self, Heard};
use super::{Outcome, Voice, check, check_span, host};
use crate::config::Config;
use crate::net::tokio::{IcmpSocket, RawSocket};
use crate::net::{Message, Stack};
use crate::observe::notation::{micros, micros_or_none};
use tally::Tally;

/// How long the last answers may take when nobody has answered yet and the person did not say.
const PATIENCE: Duration = Duration::from_secs(10);
/// The header of an echo message.
const HEADER: usize = 8;
/// The most that an IPv4 packet holds beside its header and that of the message.
const MOST: usize = 65_507;
const REQUEST_4: u8 = 8;
const REQUEST_6: u8 = 128;
/// Requests without an answer that are still remembered.
const REMEMBERED: usize = 1024;

/// What a person wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// What the person calls the host; if it is empty, its address stands for it.
    #[serde(default)]
    pub host: String,
    /// Its addresses: the first of a family that the stack has one of is asked.
    pub addresses: Vec<IpAddr>,
    /// After how many requests to stop. `None`: when it is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How long to wait between two requests.
    #[serde(default = "Ping::interval", with = "micros")]
    pub interval: Duration,
    /// Bytes of data in each.
    #[serde(default = "Ping::size")]
    pub size: usize,
    /// How many routers they may pass. `None`: as many as usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
    /// How long to wait for the last answers. `None`: as long as it seems worthwhile.
    #[serde(default, with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

impl Ping {
    fn interval() -> Duration {
        Duration::from_secs(1)
    }

    fn size() -> usize {
        56
    }

    /// To one of these addresses, as `ping` does it when it is told nothing else.
    pub fn new(host: impl Into<String>, addresses: Vec<IpAddr>) -> Ping {
        let (interval, size) = (Ping::interval(), Ping::size());
        Ping { host: host.into(), addresses, count: None, interval, size, ttl: None, timeout: None }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        host::validate(&self.host, &self.addresses)?;
        check("a count of", self.count.unwrap_or(1), 1..=u64::MAX)?;
        check("a size of", self.size, 0..=MOST)?;
        check("a ttl of", self.ttl.unwrap_or(1), 1..=255)?;
        check_span("interval", Some(self.interval))?;
        check_span("timeout", self.timeout)
    }

    /// Pings until it is done or it is enough.
    pub(super) async fn run(
        &self,
        stack: &Stack,
        config: &Config,
        enough: impl Future<Output = ()> + Send,
        voice: Voice,
    ) -> Outcome {
        let peer = match host::choose(&self.addresses, config) {
            Ok(peer) => peer,
            Err(mistake) => return mistake,
        };
        let mut run = match Run::begin(stack, self, peer, voice).await {
            Ok(run) => run,
            Err(error) => return Outcome::mistake(refused(peer, &error)),
        };
        run.until_done(enough).await.unwrap_or_else(|error| Outcome::broken(format!("ping ends: {error}")))
    }
}

fn refused(peer: IpAddr, error: &io::Error) -> String {
    host::refused(peer, error).unwrap_or_else(|| match error.kind() {
        io::ErrorKind::InvalidInput => format!("the options cannot be: {error}"),
        _ => format!("{peer} cannot be pinged: {error}"),
    })
}

struct Run<'a> {
    ping: &'a Ping,
    peer: IpAddr,
    /// Where requests come from, with their identifier.
    local: SocketAddr,
    echo: IcmpSocket,
    errors: RawSocket,
    voice: Voice,
    tally: Tally,
    /// When each request left that has no answer.
    open: BTreeMap<u16, Instant>,
    next: u16,
}

impl<'a> Run<'a> {
    async fn begin(stack: &Stack, ping: &'a Ping, peer: IpAddr, voice: Voice) -> io::Result<Run<'a>> {
        let wildcard = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let echo = IcmpSocket::bind(stack, SocketAddr::new(wildcard, 0)).await?;
        if let Some(ttl) = ping.ttl {
            echo.set_ttl(ttl)?;
        }
        echo.connect(peer).await?;
        echo.set_receive_errors(true)?;
        let errors = report::listen(stack, peer, &[]).await?;
        let local = echo.local_addr().await?;
        Ok(Run { ping, peer, local, echo, errors, voice, tally: Tally::new(), open: BTreeMap::new(), next: 1 })
    }

    async fn until_done(&mut self, enough: impl Future<Output = ()> + Send) -> io::Result<Outcome> {
        let mut enough = pin!(enough);
        self.headline().await?;
        let (mut reply, mut error) = (vec![0; 65_536], vec![0; 65_536]);
        let mut due = Instant::now();
        loop {
            let is_sending = self.ping.count.is_none_or(|count| self.tally.sent < count);
            if !is_sending && self.open.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = &mut enough => break,
                heard = self.errors.recv_message(&mut error) => self.hear(&heard?, &error).await?,
                came = self.echo.recv_message(&mut reply) => match came {
                    Ok(message) => self.answer(&message, &reply).await?,
                    Err(told) => self.fail(&told).await?,
                },
                () = sleep_until(due) => {
                    if !is_sending {
                        break;
                    }
                    self.ask().await?;
                    let is_last = self.ping.count.is_some_and(|count| self.tally.sent >= count);
                    due = Instant::now() + if is_last { self.patience() } else { self.ping.interval };
                }
            }
        }
        for line in self.tally.lines(&host::shown(&self.ping.host, self.peer)) {
            self.voice.line(line).await?;
        }
        Ok(if self.tally.received > 0 { Outcome::Reached } else { Outcome::NotReached })
    }

    /// As ping does: who has answered answers again within twice the time, and within a second at any rate.
    fn patience(&self) -> Duration {
        match (self.ping.timeout, self.tally.slowest()) {
            (Some(timeout), _) => timeout,
            (None, Some(slowest)) => (2 * slowest).max(Duration::from_secs(1)),
            (None, None) => PATIENCE,
        }
    }

    async fn headline(&mut self) -> io::Result<()> {
        let (host, size) = (host::shown(&self.ping.host, self.peer), self.ping.size);
        let line = match self.peer {
            IpAddr::V4(peer) => format!("PING {host} ({peer}) {size}({}) bytes of data.", size + HEADER + 20),
            IpAddr::V6(peer) => format!("PING {host} ({peer}) {size} data bytes"),
        };
        self.voice.line(line).await
    }

    async fn ask(&mut self) -> io::Result<()> {
        let kind = if self.peer.is_ipv4() { REQUEST_4 } else { REQUEST_6 };
        let [high, low] = self.next.to_be_bytes();
        let mut request = vec![kind, 0, 0, 0, 0, 0, high, low];
        request.extend((0..self.ping.size).map(pattern));
        // What an earlier request was told comes out of the next call, and this one is sent all the same.
        if let Err(told) = self.echo.send(&request).await {
            self.fail(&told).await?;
            self.echo.send(&request).await?;
        }
        self.open.insert(self.next, Instant::now());
        if self.open.len() > REMEMBERED {
            self.open.pop_first();
        }
        self.tally.sent += 1;
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    async fn answer(&mut self, message: &Message, bytes: &[u8]) -> io::Result<()> {
        let bytes = &bytes[..message.count];
        let &[_, _, _, _, _, _, high, low, ref data @ ..] = bytes else { return Ok(()) };
        let sequence = u16::from_be_bytes([high, low]);
        let mut line = format!("{} bytes from {}: icmp_seq={sequence}", bytes.len(), message.peer.ip());
        if let Some(hop_limit) = message.hop_limit {
            let _ = write!(line, " ttl={hop_limit}");
        }
        match self.open.remove(&sequence) {
            Some(sent) => {
                let time = sent.elapsed();
                self.tally.answer(time);
                let _ = write!(line, " time={} ms", tally::milliseconds(time));
            }
            None => {
                self.tally.duplicates += 1;
                line.push_str(" (DUP!)");
            }
        }
        let wrong = data.iter().enumerate().find(|&(at, &byte)| byte != pattern(at));
        if let Some((at, byte)) = wrong {
            self.voice.line(line).await?;
            line = format!("wrong data byte #{at} should be {:#x} but was {byte:#x}", pattern(at));
        } else if data.len() != self.ping.size {
            line.push_str(" (truncated)");
        }
        self.voice.line(line).await
    }

    /// A router or the host says that a request went no further.
    async fn hear(&mut self, message: &Message, bytes: &[u8]) -> io::Result<()> {
        let Some(heard) = Heard::read(message, &bytes[..message.count]) else { return Ok(()) };
        let request = if self.peer.is_ipv4() { REQUEST_4 } else { REQUEST_6 };
        let Some((1 | 58, &[kind, _, _, _, a, b, high, low, ..])) = heard.quoted(self.peer) else { return Ok(()) };
        if kind != request || u16::from_be_bytes([a, b]) != self.local.port() {
            return Ok(());
        }
        let sequence = u16::from_be_bytes([high, low]);
        if self.open.remove(&sequence).is_some() {
            self.complain(heard.from, sequence, heard.sentence()).await?;
        }
        // The echo socket was told too.
        let _ = self.echo.take_error();
        Ok(())
    }

    /// The stack itself says that nothing it has sent arrives: the neighbour does not answer.
    async fn fail(&mut self, told: &io::Error) -> io::Result<()> {
        if told.kind() != io::ErrorKind::HostUnreachable {
            return self.voice.line(format!("ping: {told}")).await;
        }
        for (sequence, _) in std::mem::take(&mut self.open) {
            self.complain(self.local.ip(), sequence, "Destination Host Unreachable").await?;
        }
        Ok(())
    }

    async fn complain(&mut self, from: IpAddr, sequence: u16, sentence: &str) -> io::Result<()> {
        self.tally.errors += 1;
        self.voice.line(format!("From {from} icmp_seq={sequence} {sentence}")).await
    }
}

/// The data of a request, by which a damaged reply shows.
fn pattern(at: usize) -> u8 {
    (at & 0xff) as u8
}
