//! Which routers a packet passes, found by packets that may pass one, two, three of them.
//!
//! Probes are UDP datagrams to ports where nobody listens, made whole by a raw socket, or echo requests. What routers and
//! the host say about them is heard by another raw socket.

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
use crate::ip::transport_checksum;
use crate::net::tokio::{IcmpSocket, RawSocket, UdpSocket};
use crate::net::{Domain, Message, Protocol, Stack};
use crate::observe::notation::micros;

/// Where the first probe goes; every other one to the next port.
const FIRST_PORT: u16 = 33_434;
const UDP_HEADER: usize = 8;
const ICMP_HEADER: usize = 8;
/// Data of a probe: with its headers an IPv4 packet of 60 bytes, as traceroute has it.
const DATA: usize = 32;
/// Errors that may come between two probes, and are not about the second.
const TOLD: usize = 8;
/// What is received of a message: an error is no longer than this.
const LONGEST: usize = 2048;

/// What the probes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// UDP datagrams.
    #[default]
    Udp,
    /// ICMP echo requests.
    Icmp,
}

/// What a person wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traceroute {
    /// What the person calls the host; if it is empty, its address stands for it.
    #[serde(default)]
    pub host: String,
    /// Its addresses: the first of a family that the stack has one of is meant.
    pub addresses: Vec<IpAddr>,
    /// What to send.
    #[serde(default)]
    pub probe: Probe,
    /// How many probes for each hop.
    #[serde(default = "Traceroute::queries")]
    pub queries: u16,
    /// How many hops at most.
    #[serde(default = "Traceroute::max_hops")]
    pub max_hops: u16,
    /// How long to wait for answers to the probes of a hop.
    #[serde(default = "Traceroute::wait", with = "micros")]
    pub wait: Duration,
}

impl Traceroute {
    fn queries() -> u16 {
        3
    }

    fn max_hops() -> u16 {
        30
    }

    fn wait() -> Duration {
        Duration::from_secs(5)
    }

    /// To one of these addresses, as `traceroute` does it when it is told nothing else.
    pub fn new(host: impl Into<String>, addresses: Vec<IpAddr>) -> Traceroute {
        let (queries, max_hops) = (Traceroute::queries(), Traceroute::max_hops());
        Traceroute { host: host.into(), addresses, probe: Probe::Udp, queries, max_hops, wait: Traceroute::wait() }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        host::validate(&self.host, &self.addresses)?;
        check("queries of", self.queries, 1..=10)?;
        check("hops of", self.max_hops, 1..=255)?;
        check_span("wait", Some(self.wait))
    }

    /// Finds the way, a line for each hop.
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
        run.until_done(enough).await.unwrap_or_else(|error| Outcome::broken(format!("traceroute ends: {error}")))
    }
}

fn refused(peer: IpAddr, error: &io::Error) -> String {
    host::refused(peer, error).unwrap_or_else(|| format!("no way to {peer} can be looked for: {error}"))
}

/// Who sends the probes.
enum Sender {
    /// From the port of a socket that hears nothing: nobody else has it meanwhile.
    Udp(RawSocket, UdpSocket),
    Icmp(IcmpSocket, u16),
}

/// What came of a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    from: IpAddr,
    after: Duration,
    mark: Option<&'static str>,
    is_end: bool,
}

struct Run<'a> {
    traceroute: &'a Traceroute,
    peer: IpAddr,
    local: IpAddr,
    sender: Sender,
    errors: RawSocket,
    voice: Voice,
}

impl<'a> Run<'a> {
    async fn begin(stack: &Stack, traceroute: &'a Traceroute, peer: IpAddr, voice: Voice) -> io::Result<Run<'a>> {
        let errors = report::listen(stack, peer, &[]).await?;
        let (sender, local) = match traceroute.probe {
            Probe::Icmp => {
                let wildcard = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = IcmpSocket::bind(stack, SocketAddr::new(wildcard, 0)).await?;
                socket.connect(peer).await?;
                socket.set_receive_errors(true)?;
                let local = socket.local_addr().await?;
                (Sender::Icmp(socket, local.port()), local.ip())
            }
            Probe::Udp => {
                let domain = if peer.is_ipv4() { Domain::Inet } else { Domain::Inet6 };
                let socket = RawSocket::open(stack, domain, Protocol::UDP).await?;
                socket.connect(peer).await?;
                socket.set_receive_errors(true)?;
                let local = socket.local_addr().await?.ip();
                let port = UdpSocket::bind(stack, SocketAddr::new(local, 0)).await?;
                (Sender::Udp(socket, port), local)
            }
        };
        Ok(Run { traceroute, peer, local, sender, errors, voice })
    }

    async fn until_done(&mut self, enough: impl Future<Output = ()> + Send) -> io::Result<Outcome> {
        let mut enough = pin!(enough);
        let (host, max_hops) = (host::shown(&self.traceroute.host, self.peer), self.traceroute.max_hops);
        let length = DATA + UDP_HEADER + if self.peer.is_ipv4() { 20 } else { 40 };
        let headline = format!("traceroute to {host} ({}), {max_hops} hops max, {length} byte packets", self.peer);
        self.voice.line(headline).await?;
        for hop in 1..=max_hops {
            let answers = tokio::select! {
                answers = self.ask(hop) => answers?,
                () = &mut enough => break,
            };
            self.voice.line(line_of(hop, &answers)).await?;
            if answers.iter().flatten().any(|answer| answer.is_end) {
                let is_reached = answers.iter().flatten().any(|answer| answer.from == self.peer);
                return Ok(if is_reached { Outcome::Reached } else { Outcome::NotReached });
            }
        }
        Ok(Outcome::NotReached)
    }

    /// Sends the probes of one hop, and waits for what comes of them.
    async fn ask(&mut self, hop: u16) -> io::Result<Vec<Option<Answer>>> {
        let queries = self.traceroute.queries;
        let first = (hop - 1).wrapping_mul(queries);
        self.set_hops(hop)?;
        let mut answers: Vec<Option<Answer>> = vec![None; usize::from(queries)];
        let mut sent = Vec::new();
        for query in 0..queries {
            self.send(first.wrapping_add(query)).await?;
            sent.push(Instant::now());
        }
        let deadline = Instant::now() + self.traceroute.wait;
        let (mut error, mut reply) = (vec![0; LONGEST], vec![0; LONGEST]);
        while answers.contains(&None) {
            let (number, answer) = tokio::select! {
                biased;
                heard = self.errors.recv_message(&mut error) => {
                    let heard = heard?;
                    let Some(heard) = Heard::read(&heard, &error[..heard.count]) else { continue };
                    if heard.is_error() {
                        // The sender was told too, whosever probe it is about: a raw socket hears of all to this peer.
                        let _ = self.sender.take_error();
                    }
                    let Some(number) = self.number(&heard) else { continue };
                    (number, (heard.from, heard.mark(), heard.is_end()))
                }
                came = self.sender.recv_message(&mut reply) => match came {
                    Ok(message) => match self.number_of_reply(&message, &reply) {
                        Some(number) => (number, (message.peer.ip(), None, true)),
                        None => continue,
                    },
                    Err(told) if told.kind() == io::ErrorKind::HostUnreachable => {
                        // The stack itself: the neighbour does not answer.
                        for (answer, sent) in answers.iter_mut().zip(&sent) {
                            let lost = Answer { from: self.local, after: sent.elapsed(), mark: Some("!H"), is_end: true };
                            answer.get_or_insert(lost);
                        }
                        break;
                    }
                    Err(_) => continue,
                },
                () = sleep_until(deadline) => break,
            };
            let (from, mark, is_end) = answer;
            let query = usize::from(number.wrapping_sub(first));
            if let (Some(answer), Some(sent)) = (answers.get_mut(query), sent.get(query)) {
                answer.get_or_insert(Answer { from, after: sent.elapsed(), mark, is_end });
            }
        }
        Ok(answers)
    }

    fn set_hops(&self, hops: u16) -> io::Result<()> {
        match &self.sender {
            Sender::Udp(socket, _) => socket.set_ttl(hops.into()),
            Sender::Icmp(socket, _) => socket.set_ttl(hops.into()),
        }
    }

    /// Sends a probe. What earlier ones were told, of this traceroute or of another, comes out of the next call.
    async fn send(&self, number: u16) -> io::Result<()> {
        for _ in 0..TOLD {
            if self.try_send(number).await.is_ok() {
                return Ok(());
            }
        }
        self.try_send(number).await
    }

    async fn try_send(&self, number: u16) -> io::Result<()> {
        let [high, low] = number.to_be_bytes();
        match &self.sender {
            Sender::Icmp(socket, _) => {
                let kind = if self.peer.is_ipv4() { 8 } else { 128 };
                let mut request = [0; ICMP_HEADER + DATA];
                request[..ICMP_HEADER].copy_from_slice(&[kind, 0, 0, 0, 0, 0, high, low]);
                socket.send(&request).await?;
            }
            Sender::Udp(socket, port) => {
                let mut datagram = [0; UDP_HEADER + DATA];
                datagram[..2].copy_from_slice(&port.local_addr()?.port().to_be_bytes());
                datagram[2..4].copy_from_slice(&FIRST_PORT.wrapping_add(number).to_be_bytes());
                datagram[5] = (UDP_HEADER + DATA) as u8;
                let sum = transport_checksum(self.local, self.peer, Protocol::UDP.number(), &datagram);
                // 0 would say that there is none (RFC 768).
                let sum = if sum == 0 { u16::MAX } else { sum };
                datagram[6..8].copy_from_slice(&sum.to_be_bytes());
                socket.send(&datagram).await?;
            }
        }
        Ok(())
    }

    /// Which probe an error is about.
    fn number(&self, heard: &Heard<'_>) -> Option<u16> {
        if !heard.is_error() {
            return None;
        }
        let (protocol, &[a, b, c, d, e, f, g, h, ..]) = heard.quoted(self.peer)? else { return None };
        match &self.sender {
            Sender::Udp(_, port) => {
                let is_ours = protocol == 17 && [a, b] == port.local_addr().ok()?.port().to_be_bytes();
                is_ours.then(|| u16::from_be_bytes([c, d]).wrapping_sub(FIRST_PORT))
            }
            Sender::Icmp(_, identifier) => {
                let is_ours = matches!((protocol, a), (1, 8) | (58, 128)) && [e, f] == identifier.to_be_bytes();
                is_ours.then(|| u16::from_be_bytes([g, h]))
            }
        }
    }

    /// Which probe an echo reply answers. Of UDP every datagram between the two hosts comes here, and none is one.
    fn number_of_reply(&self, message: &Message, bytes: &[u8]) -> Option<u16> {
        match (&self.sender, bytes.get(..message.count)?) {
            (Sender::Icmp(..), &[_, _, _, _, _, _, high, low, ..]) => Some(u16::from_be_bytes([high, low])),
            _ => None,
        }
    }
}

impl Sender {
    async fn recv_message(&self, buffer: &mut [u8]) -> io::Result<Message> {
        match self {
            Sender::Udp(socket, _) => socket.recv_message(buffer).await,
            Sender::Icmp(socket, _) => socket.recv_message(buffer).await,
        }
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Sender::Udp(socket, _) => socket.take_error(),
            Sender::Icmp(socket, _) => socket.take_error(),
        }
    }
}

/// As traceroute does: the address where it changes, and a star for a probe of which nothing was heard.
fn line_of(hop: u16, answers: &[Option<Answer>]) -> String {
    let mut line = format!("{hop:2} ");
    let mut last = None;
    for answer in answers {
        let Some(Answer { from, after, mark, .. }) = answer else {
            line.push_str(" *");
            continue;
        };
        if last != Some(*from) {
            let _ = write!(line, " {from}");
            last = Some(*from);
        }
        let _ = write!(line, "  {:.3} ms", after.as_secs_f64() * 1000.0);
        if let Some(mark) = mark {
            let _ = write!(line, " {mark}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_a_line_as_traceroute_writes_it() {
        let answer = |from: &str, microseconds, mark| {
            let from = from.parse().unwrap();
            Some(Answer { from, after: Duration::from_micros(microseconds), mark, is_end: false })
        };
        for (answers, line) in [
            (vec![answer("10.0.0.1", 1234, None); 3], " 1  10.0.0.1  1.234 ms  1.234 ms  1.234 ms"),
            (vec![None, None, None], " 1  * * *"),
            (
                vec![answer("10.0.0.1", 10, None), None, answer("fd00::2", 20, Some("!H"))],
                " 1  10.0.0.1  0.010 ms * fd00::2  0.020 ms !H",
            ),
        ] {
            assert_eq!(line_of(1, &answers), line);
        }
    }
}
