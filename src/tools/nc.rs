//! `tapsock nc`: a socket from a shell, as netcat does it.
//!
//! What comes in on stdin goes out of the socket, and what comes out of the socket goes to stdout. At the end of stdin
//! our direction is shut down, and the other goes on until the peer ends it too. If the peer ends first, the rest of a file
//! or a pipe is still sent. The socket is of a stack of its own, or of a running daemon's.

use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use super::errand::{Found, ended, judged};
use super::host::{Family, resolve};
use super::{Outcome, Whose};
use crate::control::{Client, Message, Request};
use crate::daemon::{Attachment, Ended, Failure, until_signal, with_stack};
use crate::errands::{Connect, Errand, Listen, Manner, Said};
use crate::net::{Stack, Type};
use crate::observe::TcpState;

/// What is read from stdin at once, and so what becomes one datagram: netcat's choice.
const CHUNK: usize = 16 * 1024;
/// How long the end waits for the peer to acknowledge what was sent.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often it looks.
const GLANCE: Duration = Duration::from_millis(5);

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

impl Nc {
    fn errand(&self) -> Result<Errand, Failure> {
        let Nc { port, udp, zero, timeout, .. } = *self;
        let addresses = self.host.as_deref().map_or(Ok(Vec::new()), |host| resolve(host, Family::Any))?;
        let manner = Manner { udp, timeout, ends_with_peer: io::stdin().is_terminal() };
        Ok(match self.listen {
            true => Errand::Listen(Listen { addresses, port, manner }),
            false => Errand::Connect(Connect { addresses, port, zero, manner }),
        })
    }
}

/// Runs until both directions have ended, the time is over or a signal comes.
///
/// # Errors
///
/// [`Failure`]: nobody could be reached, or the connection broke.
pub fn run(nc: Nc, whose: Whose) -> Result<Ended, Failure> {
    let errand = nc.errand()?;
    match whose.find()? {
        Found::Own(attachment) => by_own_stack(nc, errand, &attachment),
        Found::Daemon(mut client) => match until_signal(move || by_daemon(&nc, errand, &mut client))? {
            Ok(outcome) => outcome.map(|_| Ended::Asked),
            // The daemon sees that this end is closed, and ends the call.
            Err(signal) => Ok(Ended::Interrupted(signal)),
        },
    }
}

fn by_own_stack(nc: Nc, errand: Errand, attachment: &Attachment) -> Result<Ended, Failure> {
    with_stack(attachment, async |stack, mut interrupt| {
        let (give, given) = mpsc::channel(1);
        let (say, mut said) = mpsc::channel(1);
        let (done, shown) = oneshot::channel::<()>();
        // These block, and must not hold up the stack. They may go on when nobody waits for them any more: the process ends.
        thread::spawn(move || read_stdin(|bytes| give.blocking_send(bytes).is_ok()));
        thread::spawn(move || {
            // Whoever read has gone, as `head` does: the errand is told by the end of its channel.
            while said.blocking_recv().is_some_and(|said| show(&nc, said).is_ok()) {}
            drop((said, done));
        });
        let call = async {
            let enough = std::future::pending();
            let outcome = errand.run(stack.clone(), attachment.config.clone(), given, enough, say).await;
            let _ = shown.await;
            // The stack goes with the socket: what was sent must have arrived by then.
            settle(&stack).await;
            judged(outcome)
        };
        tokio::select! {
            outcome = call => outcome.map(|_| Ended::Asked),
            signal = interrupt.wait() => Ok(Ended::Interrupted(signal)),
        }
    })
}

/// Waits until the peer has acknowledged everything, and our end of it.
async fn settle(stack: &Stack) {
    let deadline = Instant::now() + FAREWELL;
    while Instant::now() < deadline {
        // Of one that has stopped nothing will be sent.
        let Ok(rows) = stack.sockets().await else { return };
        let is_sent = |state| matches!(state, TcpState::FinWait2 | TcpState::TimeWait | TcpState::Closed);
        if rows.iter().filter(|row| row.r#type == Type::Stream).all(|row| is_sent(row.state)) {
            return;
        }
        sleep(GLANCE).await;
    }
}

fn by_daemon(nc: &Nc, errand: Errand, client: &mut Client) -> Result<Outcome, Failure> {
    let speaker = client.speaker()?;
    client.begin(errand)?;
    thread::spawn(move || {
        let is_said = read_stdin(|bytes| speaker.say(&Request::Data { bytes: bytes.into() }).is_ok());
        if is_said {
            // Where this fails, the other side meets the end of the conversation too, and says it.
            let _ = speaker.say(&Request::Shutdown);
        }
    });
    loop {
        let said = match client.next()? {
            Some(Message::Text { text }) => Said::Line(text.into_owned()),
            Some(Message::Listening { local }) => Said::Listening(local),
            Some(Message::Connected { peer }) => Said::Connected(peer),
            Some(Message::Data { bytes }) => Said::Data(bytes.into_owned()),
            Some(Message::Done(outcome)) => return judged(outcome),
            Some(Message::Error { error }) => return Err(Failure::Broken(format!("the daemon answers: {error}"))),
            // That the peer has ended its direction, and what a later daemon says besides.
            Some(_) => continue,
            None => return Err(ended()),
        };
        if show(nc, said).is_err() {
            // Whoever read has gone, as `head` does.
            return Ok(Outcome::Reached);
        }
    }
}

/// Gives what comes in on stdin, to its end (true), or until it is not taken (false).
fn read_stdin(mut give: impl FnMut(Vec<u8>) -> bool) -> bool {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) if give(buffer[..count].to_vec()) => {}
            Ok(_) => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

/// Bytes go to stdout, and everything else is for those who have asked to be told more.
fn show(nc: &Nc, said: Said) -> io::Result<()> {
    match said {
        Said::Data(bytes) => {
            let mut stdout = io::stdout().lock();
            return stdout.write_all(&bytes).and_then(|()| stdout.flush());
        }
        Said::Listening(local) => log::info!("waiting at {local}"),
        Said::Connected(peer) if !nc.listen => log::info!("connected to {peer}"),
        Said::Connected(peer) if nc.udp => log::info!("{peer} writes"),
        Said::Connected(peer) => log::info!("{peer} calls"),
        Said::Line(line) => log::info!("{line}"),
        Said::Shutdown => {}
    }
    Ok(())
}
