//! A socket by hand, as netcat does it: what is given goes out of it, and what comes out of it is said.
//!
//! At the end of what is given our direction is shut down, and the other goes on until the peer ends it too. If the peer ends
//! first, the rest is still sent.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout};

use super::{Outcome, Said, Voice, check, check_span, host};
use crate::config::Config;
use crate::error::Error;
use crate::net::Stack;
use crate::net::tokio::{TcpListener, TcpStream, UdpSocket, tcp};
use crate::observe::notation::micros_or_none;

/// What is received of a stream at once.
const CHUNK: usize = 32 * 1024;
/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Connect {
    /// The host's addresses: the first of a family that the stack has one of is called.
    pub addresses: Vec<IpAddr>,
    /// And the port there.
    pub port: u16,
    /// Only see whether somebody accepts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zero: bool,
    /// How.
    #[serde(flatten)]
    pub manner: Manner,
}

/// Where to wait for a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listen {
    /// The first that the stack can have is it; without any, all of the stack's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// And the port; 0 stands for any that is free.
    pub port: u16,
    /// How.
    #[serde(flatten)]
    pub manner: Manner,
}

/// How to have a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Manner {
    /// By datagrams instead of a stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub udp: bool,
    /// How long to wait for the connection, and later for anything to happen.
    #[serde(default, with = "micros_or_none", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// When the peer has ended, nothing more is to be sent, as where a person types it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_with_peer: bool,
}

impl Connect {
    pub(super) fn validate(&self) -> Result<(), String> {
        host::validate("", &self.addresses)?;
        check("port", self.port, 1..=u16::MAX)?;
        check_span("timeout", self.manner.timeout)
    }

    pub(super) async fn run(&self, stack: &Stack, config: &Config, given: Receiver<Vec<u8>>, voice: &Voice) -> Outcome {
        let address = match host::choose(&self.addresses, config) {
            Ok(address) => SocketAddr::new(address, self.port),
            Err(mistake) => return mistake,
        };
        match self.open(stack, address, voice).await {
            Ok(Some(line)) => carry(line, address, self.manner, given, voice).await,
            Ok(None) => Outcome::Reached,
            Err(error) => unreachable(address, &error),
        }
    }

    /// A socket that is connected; `None` if that was all there was to see.
    async fn open(&self, stack: &Stack, address: SocketAddr, voice: &Voice) -> io::Result<Option<Line>> {
        if self.manner.udp {
            let any: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind(stack, SocketAddr::new(any, 0)).await?;
            socket.connect(address).await?;
            voice.say(Said::Connected(address)).await?;
            return Ok(Some(Line::Datagrams(socket)));
        }
        let call = TcpStream::connect(stack, address);
        let stream = match self.manner.timeout {
            Some(span) => timeout(span, call).await.unwrap_or_else(|_| Err(Error::TimedOut.into()))?,
            None => call.await?,
        };
        voice.say(Said::Connected(address)).await?;
        Ok((!self.zero).then_some(Line::Stream(stream)))
    }
}

impl Listen {
    pub(super) fn validate(&self) -> Result<(), String> {
        host::validate("", &self.addresses)?;
        check_span("timeout", self.manner.timeout)
    }

    pub(super) async fn run(&self, stack: &Stack, config: &Config, given: Receiver<Vec<u8>>, voice: &Voice) -> Outcome {
        let address = match self.addresses.is_empty() {
            true => Ok(Ipv6Addr::UNSPECIFIED.into()),
            false => host::choose(&self.addresses, config),
        };
        let address = match address {
            Ok(address) => SocketAddr::new(address, self.port),
            Err(mistake) => return mistake,
        };
        match self.open(stack, address, voice).await {
            Ok((line, peer)) => carry(line, peer, self.manner, given, voice).await,
            Err(error) => unreachable(address, &error),
        }
    }

    /// Waits for a call, and gives who calls.
    async fn open(&self, stack: &Stack, address: SocketAddr, voice: &Voice) -> io::Result<(Line, SocketAddr)> {
        if self.manner.udp {
            let socket = UdpSocket::bind(stack, address).await?;
            voice.say(Said::Listening(socket.local_addr()?)).await?;
            let mut datagram = vec![0; LARGEST];
            let (length, peer) = socket.recv_from(&mut datagram).await?;
            // From here on nobody else is heard.
            socket.connect(peer).await?;
            voice.say(Said::Connected(peer)).await?;
            datagram.truncate(length);
            voice.say(Said::Data(datagram)).await?;
            return Ok((Line::Datagrams(socket), peer));
        }
        let listener = TcpListener::bind(stack, address).await?;
        voice.say(Said::Listening(listener.local_addr()?)).await?;
        let (stream, peer) = listener.accept().await?;
        voice.say(Said::Connected(peer)).await?;
        Ok((Line::Stream(stream), peer))
    }
}

/// What a failed attempt to reach `remote` means to a person.
fn unreachable(remote: impl Display, error: &io::Error) -> Outcome {
    Outcome::broken(format!("{remote}: {error}"))
}

/// A socket with a peer.
enum Line {
    Stream(TcpStream),
    Datagrams(UdpSocket),
}

/// Both directions, until both have ended, or the time is over.
async fn carry(line: Line, peer: SocketAddr, manner: Manner, given: Receiver<Vec<u8>>, voice: &Voice) -> Outcome {
    let carried = match line {
        Line::Stream(mut stream) => carry_stream(&mut stream, manner, given, voice).await,
        Line::Datagrams(socket) => {
            let (mut source, mut sink) = (Source::Datagrams(&socket), Sink::Datagrams(&socket));
            converse(&mut source, &mut sink, manner, given, voice).await
        }
    };
    match carried {
        Ok(()) => Outcome::Reached,
        Err(error) => unreachable(peer, &error),
    }
}

/// A call that is broken off before its end is reset, so that nothing is left of it.
async fn carry_stream(
    stream: &mut TcpStream,
    manner: Manner,
    given: Receiver<Vec<u8>>,
    voice: &Voice,
) -> io::Result<()> {
    // Of one that is over already, reading tells it.
    let _ = stream.set_linger(Some(Duration::ZERO)).await;
    let (reader, writer) = stream.split();
    converse(&mut Source::Stream(reader), &mut Sink::Stream(writer), manner, given, voice).await?;
    let _ = stream.set_linger(None).await;
    Ok(())
}

/// Where what is said comes from.
enum Source<'a> {
    Stream(tcp::ReadHalf<'a>),
    Datagrams(&'a UdpSocket),
}

impl Source<'_> {
    /// The next piece; `None`: the peer sends no more. Nothing is lost where nobody waits for it any more.
    async fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Source::Datagrams(socket) => socket.recv(buffer).await.map(Some),
            Source::Stream(reader) => loop {
                reader.as_ref().readable().await?;
                match reader.try_read(buffer) {
                    Ok(count) => return Ok((count > 0).then_some(count)),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            },
        }
    }
}

/// Where what is given goes.
enum Sink<'a> {
    Stream(tcp::WriteHalf<'a>),
    Datagrams(&'a UdpSocket),
}

impl Sink<'_> {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stream(writer) => writer.write_all(bytes).await,
            Sink::Datagrams(socket) => socket.send(bytes).await.map(|_| ()),
        }
    }

    async fn end(&mut self) {
        if let Sink::Stream(writer) = self {
            // Whoever has no connection any more needs not be told.
            let _ = writer.shutdown().await;
        }
    }
}

/// When something was last carried, in either direction.
struct Activity(Mutex<Instant>);

impl Activity {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

async fn converse(
    source: &mut Source<'_>,
    sink: &mut Sink<'_>,
    manner: Manner,
    given: Receiver<Vec<u8>>,
    voice: &Voice,
) -> io::Result<()> {
    let activity = Activity(Mutex::new(Instant::now()));
    let mut sending = pin!(send(sink, given, &activity, voice));
    let mut receiving = pin!(receive(source, manner.timeout, &activity, voice));
    let mut is_sent = false;
    let is_ended = loop {
        tokio::select! {
            () = &mut sending, if !is_sent => is_sent = true,
            is_ended = &mut receiving => break is_ended?,
        }
    };
    // A person at a terminal has nobody to type for any more; a file is still sent to its end.
    if !is_ended || manner.ends_with_peer || is_sent {
        return Ok(());
    }
    let Some(span) = manner.timeout else {
        sending.await;
        return Ok(());
    };
    loop {
        tokio::select! {
            () = &mut sending => return Ok(()),
            () = sleep(span) => if activity.age() >= span {
                return Ok(());
            }
        }
    }
}

/// Sends what is given, to its end.
async fn send(sink: &mut Sink<'_>, mut given: Receiver<Vec<u8>>, activity: &Activity, voice: &Voice) {
    while let Some(bytes) = given.recv().await {
        activity.note();
        if let Err(error) = sink.send(&bytes).await {
            // The receiving side meets the end of the connection too, and says it.
            let _ = voice.line(format!("cannot send: {error}")).await;
            return;
        }
    }
    sink.end().await;
}

/// Says what comes, until the peer has ended its direction (true), or there is nobody to be told or nothing to wait for
/// (false).
async fn receive(
    source: &mut Source<'_>,
    span: Option<Duration>,
    activity: &Activity,
    voice: &Voice,
) -> io::Result<bool> {
    let mut buffer = vec![0; if matches!(source, Source::Stream(_)) { CHUNK } else { LARGEST }];
    loop {
        let next = source.next(&mut buffer);
        let next = match span {
            None => next.await?,
            Some(span) => match timeout(span, next).await {
                Ok(next) => next?,
                Err(_) if activity.age() < span => continue,
                Err(_) => {
                    let _ = voice.line("nothing has happened for a while").await;
                    return Ok(false);
                }
            },
        };
        let Some(count) = next else {
            let _ = voice.say(Said::Shutdown).await;
            return Ok(true);
        };
        if voice.say(Said::Data(buffer[..count].to_vec())).await.is_err() {
            // Whoever read has gone, as `head` does.
            return Ok(false);
        }
        activity.note();
    }
}
