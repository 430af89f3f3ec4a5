//! `tapsock ping`: echo requests, one after the other, and what became of each.
//!
//! The requests go through an echo socket. What routers say about them is heard by a raw socket; a neighbour that does
//! not answer is told by the echo socket itself.

mod tally;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Outcome;
use super::host::{Family, resolve};
use super::report::{self, Heard};
use crate::daemon::{Attachment, Failure, Interrupt, with_stack};
use crate::net::tokio::{IcmpSocket, RawSocket};
use crate::net::{Message, Stack};
use tally::Tally;

/// How long the last answers may take when nobody has answered yet and the person did not say.
const PATIENCE: Duration = Duration::from_secs(10);
/// The header of an echo message.
const HEADER: usize = 8;
const REQUEST_4: u8 = 8;
const REQUEST_6: u8 = 128;
/// Requests without an answer that are still remembered.
const REMEMBERED: usize = 1024;

/// What a person wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// An address or a name.
    pub host: String,
    /// Which addresses of it.
    pub family: Family,
    /// After how many requests to stop.
    pub count: Option<u64>,
    /// How long to wait between two requests.
    pub interval: Duration,
    /// Bytes of data in each.
    pub size: usize,
    /// How many routers they may pass.
    pub ttl: Option<u32>,
    /// How long to wait for the last answers.
    pub timeout: Option<Duration>,
}

/// Pings until it is done or interrupted.
///
/// # Errors
///
/// [`Failure`].
pub fn run(ping: &Ping, attachment: &Attachment, out: &mut dyn Write) -> Result<Outcome, Failure> {
    let peer = resolve(&ping.host, ping.family, &attachment.config)?;
    with_stack(attachment, async |stack, interrupt| {
        let begun = Run::begin(&stack, ping, peer, out).await;
        let mut run = begun.map_err(|error| refused(peer, &error))?;
        run.until_done(interrupt).await.map_err(|error| Failure::Broken(format!("ping ends: {error}")))
    })
}

fn refused(peer: IpAddr, error: &io::Error) -> Failure {
    Failure::Mistake(match error.kind() {
        io::ErrorKind::NetworkUnreachable => format!("no route leads to {peer}; give a --gateway, or another --addr"),
        io::ErrorKind::PermissionDenied => format!("{peer} is a broadcast address, and not one host"),
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
    out: &'a mut dyn Write,
    tally: Tally,
    /// When each request left that has no answer.
    open: BTreeMap<u16, Instant>,
    next: u16,
}

impl<'a> Run<'a> {
    async fn begin(stack: &Stack, ping: &'a Ping, peer: IpAddr, out: &'a mut dyn Write) -> io::Result<Run<'a>> {
        let wildcard = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let echo = IcmpSocket::bind(stack, SocketAddr::new(wildcard, 0)).await?;
        if let Some(ttl) = ping.ttl {
            echo.set_ttl(ttl)?;
        }
        echo.connect(peer).await?;
        echo.set_receive_errors(true)?;
        let errors = report::listen(stack, peer, &[]).await?;
        let local = echo.local_addr().await?;
        Ok(Run { ping, peer, local, echo, errors, out, tally: Tally::new(), open: BTreeMap::new(), next: 1 })
    }

    async fn until_done(&mut self, mut interrupt: Interrupt) -> io::Result<Outcome> {
        self.headline()?;
        let (mut reply, mut error) = (vec![0; 65_536], vec![0; 65_536]);
        let mut due = Instant::now();
        loop {
            let is_sending = self.ping.count.is_none_or(|count| self.tally.sent < count);
            if !is_sending && self.open.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                _ = interrupt.wait() => break,
                heard = self.errors.recv_message(&mut error) => self.hear(&heard?, &error)?,
                came = self.echo.recv_message(&mut reply) => match came {
                    Ok(message) => self.answer(&message, &reply)?,
                    Err(told) => self.fail(&told)?,
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
        let name = self.ping.host.clone();
        self.tally.write(&name, self.out)?;
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

    fn headline(&mut self) -> io::Result<()> {
        let Ping { host, size, .. } = self.ping;
        match self.peer {
            IpAddr::V4(peer) => {
                writeln!(self.out, "PING {host} ({peer}) {size}({}) bytes of data.", size + HEADER + 20)
            }
            IpAddr::V6(peer) => writeln!(self.out, "PING {host} ({peer}) {size} data bytes"),
        }?;
        self.out.flush()
    }

    async fn ask(&mut self) -> io::Result<()> {
        let kind = if self.peer.is_ipv4() { REQUEST_4 } else { REQUEST_6 };
        let [high, low] = self.next.to_be_bytes();
        let mut request = vec![kind, 0, 0, 0, 0, 0, high, low];
        request.extend((0..self.ping.size).map(pattern));
        // What an earlier request was told comes out of the next call, and this one is sent all the same.
        if let Err(told) = self.echo.send(&request).await {
            self.fail(&told)?;
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

    fn answer(&mut self, message: &Message, bytes: &[u8]) -> io::Result<()> {
        let bytes = &bytes[..message.count];
        let &[_, _, _, _, _, _, high, low, ref data @ ..] = bytes else { return Ok(()) };
        let sequence = u16::from_be_bytes([high, low]);
        write!(self.out, "{} bytes from {}: icmp_seq={sequence}", bytes.len(), message.peer.ip())?;
        if let Some(hop_limit) = message.hop_limit {
            write!(self.out, " ttl={hop_limit}")?;
        }
        match self.open.remove(&sequence) {
            Some(sent) => {
                let time = sent.elapsed();
                self.tally.answer(time);
                write!(self.out, " time={} ms", tally::milliseconds(time))?;
            }
            None => {
                self.tally.duplicates += 1;
                write!(self.out, " (DUP!)")?;
            }
        }
        let wrong = data.iter().enumerate().find(|&(at, &byte)| byte != pattern(at));
        if let Some((at, byte)) = wrong {
            write!(self.out, "\nwrong data byte #{at} should be {:#x} but was {byte:#x}", pattern(at))?;
        } else if data.len() != self.ping.size {
            write!(self.out, " (truncated)")?;
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    /// A router or the host says that a request went no further.
    fn hear(&mut self, message: &Message, bytes: &[u8]) -> io::Result<()> {
        let Some(heard) = Heard::read(message, &bytes[..message.count]) else { return Ok(()) };
        let request = if self.peer.is_ipv4() { REQUEST_4 } else { REQUEST_6 };
        let Some((1 | 58, &[kind, _, _, _, a, b, high, low, ..])) = heard.quoted(self.peer) else { return Ok(()) };
        if kind != request || u16::from_be_bytes([a, b]) != self.local.port() {
            return Ok(());
        }
        let sequence = u16::from_be_bytes([high, low]);
        if self.open.remove(&sequence).is_some() {
            self.complain(heard.from, sequence, heard.sentence())?;
        }
        // The echo socket was told too.
        let _ = self.echo.take_error();
        Ok(())
    }

    /// The stack itself says that nothing it has sent arrives: the neighbour does not answer.
    fn fail(&mut self, told: &io::Error) -> io::Result<()> {
        if told.kind() != io::ErrorKind::HostUnreachable {
            return writeln!(self.out, "ping: {told}").and_then(|()| self.out.flush());
        }
        for (sequence, _) in std::mem::take(&mut self.open) {
            self.complain(self.local.ip(), sequence, "Destination Host Unreachable")?;
        }
        Ok(())
    }

    fn complain(&mut self, from: IpAddr, sequence: u16, sentence: &str) -> io::Result<()> {
        self.tally.errors += 1;
        writeln!(self.out, "From {from} icmp_seq={sequence} {sentence}")?;
        self.out.flush()
    }
}

/// The data of a request, by which a damaged reply shows.
fn pattern(at: usize) -> u8 {
    (at & 0xff) as u8
}
