//! `tapsock nc`: a socket from a shell, as netcat does it.
//!
//! What comes in on stdin goes out of the socket, and what comes out of the socket goes to stdout. At the end of stdin
//! our direction is shut down, and the other goes on until the peer ends it too. If the peer ends first, the rest of a file
//! or a pipe is still sent.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::host::{Family, resolve};
use crate::daemon::{Attachment, Ended, Failure, with_stack};
use crate::net::{Socket, Stack, TcpListener, TcpStream, UdpSocket};

/// What is read from stdin at once, and so what becomes one datagram: netcat's choice.
const CHUNK: usize = 16 * 1024;
/// The largest datagram there is.
const LARGEST: usize = 65_535;
/// How long the end waits for the peer to acknowledge what was sent.
const FAREWELL: Duration = Duration::from_secs(5);

/// What was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nc {
    /// Whom to call, or, with `listen`, the address to wait at.
    pub host: Option<String>,
    /// And the port there.
    pub port: u16,
    /// Wait for a call instead of calling.
    pub listen: bool,
    /// Datagrams instead of a stream.
    pub udp: bool,
    /// Only see whether somebody accepts.
    pub zero: bool,
    /// How long to wait for the connection, and later for anything to happen.
    pub timeout: Option<Duration>,
}

/// Runs until both directions have ended, the time is over or a signal comes.
///
/// # Errors
///
/// [`Failure`]: nobody could be reached, or the connection broke.
pub fn run(nc: Nc, attachment: &Attachment) -> Result<Ended, Failure> {
    let host = match &nc.host {
        Some(host) => resolve(host, Family::Any, &attachment.config)?,
        None => Ipv6Addr::UNSPECIFIED.into(),
    };
    with_stack(attachment, async |stack, mut interrupt| {
        let (done, ended) = oneshot::channel();
        // It blocks, and must not hold up the stack. It may go on when nobody waits for it any more: the process ends.
        thread::spawn(move || {
            let _ = done.send(call_or_wait(&stack, &nc, host));
        });
        tokio::select! {
            ended = ended => ended.unwrap_or_else(|_| Err(Failure::Broken("nc panicked: a bug, please report it".into()))),
            signal = interrupt.wait() => Ok(Ended::Interrupted(signal)),
        }
    })
}

fn call_or_wait(stack: &Stack, nc: &Nc, host: IpAddr) -> Result<Ended, Failure> {
    let Some(socket) = open(stack, nc, SocketAddr::new(host, nc.port))? else { return Ok(Ended::Asked) };
    if !nc.udp {
        // The stack goes with the socket: what was sent must have arrived by then.
        socket.set_linger(Some(FAREWELL)).map_err(|error| unreachable("the stack", &error))?;
    }
    carry(socket, !nc.udp, nc.timeout)?;
    Ok(Ended::Asked)
}

/// What a failed attempt to reach `remote` means to a person.
fn unreachable(remote: impl Display, error: &io::Error) -> Failure {
    Failure::Broken(format!("{remote}: {error}"))
}

/// A socket that is connected; `None` if that was all there was to see.
fn open(stack: &Stack, nc: &Nc, address: SocketAddr) -> Result<Option<Socket>, Failure> {
    let failed = |error: io::Error| unreachable(address, &error);
    let socket: Socket = match (nc.udp, nc.listen) {
        (false, false) => {
            let stream = match nc.timeout {
                Some(timeout) => TcpStream::connect_timeout(stack, &address, timeout),
                None => TcpStream::connect(stack, address),
            };
            let stream = stream.map_err(failed)?;
            log::info!("connected to {address}");
            if nc.zero {
                return Ok(None);
            }
            stream.into()
        }
        (false, true) => {
            let listener = TcpListener::bind(stack, address).map_err(failed)?;
            log::info!("waiting at {}", listener.local_addr().map_err(failed)?);
            let (stream, peer) = listener.accept().map_err(failed)?;
            log::info!("{peer} calls");
            stream.into()
        }
        (true, false) => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(stack, any).map_err(failed)?;
            socket.connect(address).map_err(failed)?;
            socket.into()
        }
        (true, true) => {
            let socket = UdpSocket::bind(stack, address).map_err(failed)?;
            log::info!("waiting at {}", socket.local_addr().map_err(failed)?);
            let mut datagram = vec![0; LARGEST];
            let (length, peer) = socket.recv_from(&mut datagram).map_err(failed)?;
            log::info!("{peer} writes");
            // From here on nobody else is heard.
            socket.connect(peer).map_err(failed)?;
            let _ = print(&datagram[..length]);
            socket.into()
        }
    };
    Ok(Some(socket))
}

/// When something was last carried, in either direction.
#[derive(Clone)]
struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    fn note(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Both directions, until the peer has ended its own.
fn carry(socket: Socket, is_stream: bool, timeout: Option<Duration>) -> Result<(), Failure> {
    let activity = Activity(Arc::new(Mutex::new(Instant::now())));
    let name = socket.peer_addr().map_or_else(|_| "the peer".to_owned(), |peer| peer.to_string());
    let socket = Arc::new(socket);
    let (sender, noted) = (Arc::downgrade(&socket), activity.clone());
    let (finished, input_ends) = mpsc::channel::<()>();
    // It keeps nothing open: reading from a terminal may take for ever.
    thread::spawn(move || {
        send_stdin(&sender, is_stream, &noted);
        drop(finished);
    });
    socket.set_read_timeout(timeout).map_err(|error| unreachable(&name, &error))?;
    let mut buffer = vec![0; LARGEST];
    loop {
        match socket.recv(&mut buffer) {
            Ok(0) if is_stream => {
                // A person at a terminal has nobody to type for any more; a file is still sent to its end.
                if !io::stdin().is_terminal() {
                    await_end(&input_ends, &activity, timeout);
                }
                return Ok(());
            }
            Ok(count) => {
                activity.note();
                if print(&buffer[..count]).is_err() {
                    // Whoever read has gone, as `head` does.
                    return Ok(());
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && timeout.is_some() => {
                if timeout.is_some_and(|timeout| activity.age() >= timeout) {
                    log::info!("nothing has happened for a while");
                    return Ok(());
                }
            }
            Err(error) => return Err(unreachable(&name, &error)),
        }
    }
}

/// Waits until stdin has ended and is sent, or the time is over.
fn await_end(input_ends: &mpsc::Receiver<()>, activity: &Activity, timeout: Option<Duration>) {
    let Some(timeout) = timeout else {
        let _ = input_ends.recv();
        return;
    };
    while activity.age() < timeout && input_ends.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {}
}

fn send_stdin(socket: &Weak<Socket>, is_stream: bool, activity: &Activity) {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match input.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let Some(socket) = socket.upgrade() else { return };
        if count == 0 {
            if is_stream {
                // Whoever has no connection any more needs not be told.
                let _ = socket.shutdown(Shutdown::Write);
            }
            return;
        }
        activity.note();
        let sent =
            if is_stream { send_all(&socket, &buffer[..count]) } else { socket.send(&buffer[..count]).map(|_| ()) };
        if let Err(error) = sent {
            // The reading side meets the end of the connection too, and says it.
            log::info!("cannot send: {error}");
            return;
        }
    }
}

fn send_all(socket: &Socket, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        bytes = &bytes[socket.send(bytes)?..];
    }
    Ok(())
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
