//! What Unix sockets do differently: names instead of addresses, and messages that go straight to their receiver.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::{Addresses, Flags, Pipe, Socket, lock};
use crate::error::{Error, Result};
use crate::net::{SockAddr, Stack};
use crate::pipe::wait::block_on_with;
use crate::pipe::{Attempt, Deed, Hold, Interest, Mailbox, Readiness, Received};
use crate::socket::{
    Domain, Kind, Outcome, Protocol, Recipient, Type, UnixAddress, UnixName, UnixPipe, UnixSocket, Verb,
};

/// What a Unix socket has besides.
#[derive(Debug)]
pub(in crate::net) struct UnixSide {
    name: UnixName,
    peer: Mutex<Option<UnixName>>,
    /// What was shut down, which may be before there is anything to be read or written.
    shut: Shut,
    /// Dropping it closes the socket.
    hold: Hold,
}

/// The directions that a socket has shut down. As on Linux they stay so when it listens or connects.
#[derive(Debug, Default)]
struct Shut {
    reading: AtomicBool,
    writing: AtomicBool,
}

impl UnixSide {
    pub(super) fn name(&self) -> UnixAddress {
        self.name.get()
    }

    pub(super) fn is_reading_shut(&self) -> bool {
        self.shut.reading.load(Ordering::Acquire)
    }

    fn is_writing_shut(&self) -> bool {
        self.shut.writing.load(Ordering::Acquire)
    }

    /// Of a listener (Linux: unix_poll).
    pub(super) fn listening(&self, is_ready: bool) -> Readiness {
        let hang_up = self.is_reading_shut() && self.is_writing_shut();
        Readiness { readable: is_ready, hang_up, ..Readiness::default() }
    }
}

/// The program's end of a socket of messages.
#[derive(Debug)]
pub(super) struct Letters {
    pub(super) mailbox: Mailbox<UnixName>,
    /// Whom it is connected to.
    peer: Mutex<Option<Recipient>>,
    /// To whom it sent last without being connected: who sends again need not ask again.
    recent: Mutex<Option<(UnixAddress, Recipient)>>,
}

impl Letters {
    fn new(mailbox: Mailbox<UnixName>, peer: Option<Recipient>) -> Letters {
        Letters { mailbox, peer: Mutex::new(peer), recent: Mutex::new(None) }
    }

    pub(super) fn forget_peer(&self) {
        lock(&self.peer).take();
    }

    /// Linux: `unix_dgram_poll`.
    pub(super) fn readiness(&self) -> Readiness {
        Readiness {
            readable: self.mailbox.is_readable(),
            writable: self.mailbox.is_writable(lock(&self.peer).as_ref().map(|peer| &peer.slot)),
            hang_up: self.mailbox.is_over(),
            error: self.mailbox.has_error(),
        }
    }

    /// The next time that something happens to what `interest` names, `waker` is woken.
    pub(super) fn watch(&self, waker: &Waker, interest: Interest) {
        // Ends and errors, which are for everybody, come to who waits to receive.
        self.mailbox.watch(waker);
        if interest != Interest::Readable {
            self.mailbox.watch_writable(waker, lock(&self.peer).as_ref().map(|peer| &peer.slot));
        }
    }

    fn recent(&self, name: &UnixAddress) -> Option<Recipient> {
        let recent = lock(&self.recent);
        recent.as_ref().filter(|(last, to)| last == name && !to.slot.is_gone()).map(|(_, to)| to.clone())
    }
}

impl Pipe {
    fn of_unix(pipe: UnixPipe) -> Pipe {
        match pipe {
            UnixPipe::Stream(stream) => Pipe::Stream(stream),
            UnixPipe::SeqPacket(messages) => Pipe::SeqPacket(messages),
            UnixPipe::Datagram(mailbox, peer) => Pipe::Letters(Letters::new(mailbox, peer)),
        }
    }
}

impl Socket {
    pub(super) fn of_unix(stack: &Stack, socket: UnixSocket) -> Socket {
        let UnixSocket { handle, kind, name, peer, pipe, hold } = socket;
        let unix = UnixSide { name, peer: Mutex::new(peer), shut: Shut::default(), hold };
        let pipe = pipe.map(Pipe::of_unix);
        Socket::made_with(stack, handle, (Domain::Unix, kind), pipe, Addresses::default(), Some(Box::new(unix)))
    }

    pub(super) fn accepted_unix(&self, socket: UnixSocket) -> (Socket, SockAddr) {
        let peer = socket.peer.as_ref().map(UnixName::get).unwrap_or_default();
        (Socket::of_unix(&self.inner.stack, socket), peer.into())
    }

    /// `socketpair(2)`: two Unix sockets that are connected to each other and have no names.
    ///
    /// ```
    /// use tapsock::device::pair;
    /// use tapsock::net::{Domain, Socket, Stack, Type};
    /// let (ours, _theirs) = pair(1500);
    /// let stack = Stack::builder().device(ours)?;
    /// let (left, right) = Socket::pair(&stack, Domain::Unix, Type::Stream, None)?;
    /// left.send(b"hello")?;
    /// let mut buffer = [0; 16];
    /// assert_eq!(right.recv(&mut buffer)?, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Socket::new`]; errno EOPNOTSUPP in other domains.
    pub fn pair(
        stack: &Stack,
        domain: Domain,
        r#type: Type,
        protocol: Option<Protocol>,
    ) -> io::Result<(Socket, Socket)> {
        let kind = Kind::of(domain, r#type, protocol)?;
        Socket::from_pair(stack, stack.call_blocking(Verb::OpenPair { kind }))
    }

    /// [`Socket::pair`] for async programs.
    pub(in crate::net) async fn pair_async(
        stack: &Stack,
        domain: Domain,
        r#type: Type,
    ) -> io::Result<(Socket, Socket)> {
        let kind = Kind::of(domain, r#type, None)?;
        Socket::from_pair(stack, stack.call(Verb::OpenPair { kind }).await)
    }

    fn from_pair(stack: &Stack, outcome: Result<Outcome>) -> io::Result<(Socket, Socket)> {
        match outcome? {
            Outcome::UnixPair(pair) => {
                let [left, right] = *pair;
                Ok((Socket::of_unix(stack, left), Socket::of_unix(stack, right)))
            }
            _ => Err(Error::InvalidInput.into()),
        }
    }

    fn unix(&self) -> Result<&UnixSide> {
        self.inner.unix.as_deref().ok_or(Error::FamilyNotSupported)
    }

    /// Whether it sends and receives messages to and from names, or will when it is connected.
    pub(super) fn has_unix_messages(&self) -> bool {
        matches!(self.inner.kind, Kind::UnixDatagram | Kind::UnixSeqPacket)
    }

    /// Connects, and waits for a place in the queue if it is to.
    pub(in crate::net) async fn connect_unix(&self, address: &SockAddr, waits: bool) -> Result<()> {
        loop {
            let verb = Verb::Connect { socket: self.inner.handle, remote: address.clone() };
            match self.inner.stack.call(verb).await? {
                Outcome::UnixConnected(pipe, peer) => {
                    *lock(&self.unix()?.peer) = Some(peer);
                    self.set_pipe(Pipe::of_unix(pipe)).map_err(|_| Error::AlreadyConnected)?;
                    self.shut_what_was_shut();
                    return Ok(());
                }
                Outcome::Recipient(peer) => {
                    if let Some(Pipe::Letters(letters)) = self.inner.pipe.get() {
                        *lock(&letters.peer) = Some(peer);
                    }
                    return Ok(());
                }
                Outcome::Full(vacancy) if waits => poll_fn(|context| vacancy.poll(context)).await,
                Outcome::Full(_) => return Err(Error::WouldBlock),
                _ => return Err(Error::InvalidInput),
            }
        }
    }

    pub(super) fn connect_unix_until(
        &self,
        address: &SockAddr,
        waits: bool,
        deadline: Option<Instant>,
        late: Error,
    ) -> io::Result<()> {
        Ok(block_on_with(self.spin(), self.connect_unix(address, waits), deadline).unwrap_or(Err(late))?)
    }

    /// What its peer is called.
    pub(super) fn unix_peer(&self) -> Result<UnixAddress> {
        let name = match self.inner.pipe.get() {
            Some(Pipe::Letters(letters)) => lock(&letters.peer).as_ref().map(|peer| peer.name.get()),
            _ => lock(&self.unix()?.peer).as_ref().map(UnixName::get),
        };
        name.ok_or(Error::NotConnected)
    }

    /// `shutdown(2)`; without a connection it is for the one that comes.
    pub(super) fn shut_unix(&self, how: Shutdown) {
        let Some(unix) = &self.inner.unix else { return };
        unix.shut.reading.fetch_or(how != Shutdown::Write, Ordering::AcqRel);
        unix.shut.writing.fetch_or(how != Shutdown::Read, Ordering::AcqRel);
        self.shut_what_was_shut();
    }

    /// There is something to be read or written: what was shut down before it was there is.
    pub(super) fn shut_what_was_shut(&self) {
        let Some(unix) = &self.inner.unix else { return };
        let (reading, writing) = (unix.is_reading_shut(), unix.is_writing_shut());
        match self.inner.pipe.get() {
            Some(Pipe::Stream(pipe)) => {
                if reading {
                    pipe.shutdown_read();
                }
                if writing {
                    pipe.shutdown_write();
                }
            }
            Some(Pipe::SeqPacket(pipe)) => {
                if reading {
                    pipe.shutdown_read();
                }
                if writing {
                    pipe.shutdown_write();
                }
            }
            Some(Pipe::Letters(letters)) => {
                if reading {
                    letters.mailbox.shutdown_read();
                }
                if writing {
                    letters.mailbox.shutdown_write();
                }
            }
            // Who waits to accept is told, and who connects is refused.
            Some(Pipe::UnixAccepts(queue)) if reading => queue.shut_down(true),
            // Who watches it looks again.
            None => self.wake_watchers(),
            _ => {}
        }
    }

    /// One message, and who sent it; nothing at the end.
    pub(super) fn receive_unix(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        flags: Flags,
    ) -> io::Result<Received<UnixAddress>> {
        let peek = flags.contains(Flags::PEEK);
        let received = if self.does_not_wait(flags) {
            match self.try_receive_unix(buffers, peek)? {
                // Linux: who does not wait is not told that its own direction is shut down.
                None if self.inner.kind == Kind::UnixDatagram => Err(Error::WouldBlock),
                received => Ok(received),
            }
        } else {
            let receive = poll_fn(|context| self.poll_receive_unix(context, buffers, peek));
            block_on_with(self.spin(), receive, self.inner.read_timeout.deadline()).unwrap_or(Err(Error::WouldBlock))
        };
        Ok(received?.unwrap_or(Received { count: 0, length: 0, addresses: UnixAddress::Unnamed }))
    }

    fn try_receive_unix(&self, buffers: &mut [IoSliceMut<'_>], peek: bool) -> Result<Option<Received<UnixAddress>>> {
        match self.inner.pipe.get() {
            Some(Pipe::Letters(letters)) => {
                let received = letters.mailbox.try_receive(buffers, peek);
                let received = received.map_err(|error| self.failed(Attempt::Read, error))?;
                Ok(received.map(|received| self.signed(received, peek)))
            }
            Some(Pipe::SeqPacket(pipe)) => {
                let received = pipe.try_receive_message(buffers, peek)?;
                Ok(received.map(|received| self.signed_by_peer(received)))
            }
            _ => Err(Error::NotConnected),
        }
    }

    pub(in crate::net) fn poll_receive_unix(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        peek: bool,
    ) -> Poll<Result<Option<Received<UnixAddress>>>> {
        match self.inner.pipe.get() {
            Some(Pipe::Letters(letters)) => letters
                .mailbox
                .poll_receive(context, buffers, peek)
                .map_err(|error| self.failed(Attempt::Read, error))
                .map_ok(|received| received.map(|received| self.signed(received, peek))),
            Some(Pipe::SeqPacket(pipe)) => pipe
                .poll_receive_message(context, buffers, peek)
                .map_ok(|received| received.map(|received| self.signed_by_peer(received))),
            _ => Poll::Ready(Err(Error::NotConnected)),
        }
    }

    /// Tells whoever looks why a call fails that has no way to the stack. Gives the error back.
    pub(super) fn failed(&self, attempt: Attempt, error: Error) -> Error {
        if let (Some(unix), true) = (&self.inner.unix, error != Error::WouldBlock) {
            unix.hold.note(Deed::Failed(attempt, error.errno()));
        }
        error
    }

    /// What was received, and what its sender is called at this moment.
    fn signed(&self, received: Received<UnixName>, peek: bool) -> Received<UnixAddress> {
        let Received { count, length, addresses } = received;
        if let (Some(unix), false) = (&self.inner.unix, peek) {
            unix.hold.note(Deed::Read(count));
        }
        Received { count, length, addresses: addresses.get() }
    }

    fn signed_by_peer(&self, received: Received<()>) -> Received<UnixAddress> {
        let Received { count, length, addresses: () } = received;
        Received { count, length, addresses: self.unix_peer().unwrap_or_default() }
    }

    /// Sends one message: to `address`, if one is given and it is a socket that may choose.
    pub(super) fn send_unix(
        &self,
        buffers: &[IoSlice<'_>],
        address: Option<&SockAddr>,
        is_nonblocking: bool,
    ) -> Result<usize> {
        let send = self.send_unix_message(buffers, address, !is_nonblocking);
        block_on_with(self.spin(), send, self.inner.write_timeout.deadline()).unwrap_or(Err(Error::WouldBlock))
    }

    pub(in crate::net) async fn send_unix_message(
        &self,
        buffers: &[IoSlice<'_>],
        address: Option<&SockAddr>,
        waits: bool,
    ) -> Result<usize> {
        match self.inner.pipe.get() {
            // There is one peer, and an address is not looked at (Linux: unix_seqpacket_sendmsg).
            Some(Pipe::SeqPacket(pipe)) if waits => {
                poll_fn(|context| pipe.poll_send_message(context, buffers, &())).await?;
            }
            Some(Pipe::SeqPacket(pipe)) => pipe.try_send_message(buffers, ())?,
            Some(Pipe::Letters(letters)) => {
                let sent = self.send_letter(letters, buffers, address, waits).await;
                sent.map_err(|error| self.failed(Attempt::Write, error))?;
            }
            _ => return Err(Error::NotConnected),
        }
        Ok(buffers.iter().map(|buffer| buffer.len()).sum())
    }

    async fn send_letter(
        &self,
        letters: &Letters,
        buffers: &[IoSlice<'_>],
        address: Option<&SockAddr>,
        waits: bool,
    ) -> Result<()> {
        let name = match address {
            Some(SockAddr::Unix(name)) => Some(name),
            Some(SockAddr::Inet(_)) => return Err(Error::InvalidInput),
            None => None,
        };
        let (unix, mailbox) = (self.unix()?, &letters.mailbox);
        let length = buffers.iter().map(|buffer| buffer.len()).sum();
        loop {
            // Before anybody asks who it is for (Linux: unix_dgram_sendmsg).
            if waits {
                poll_fn(|context| mailbox.poll_room(context, length)).await?;
            } else {
                mailbox.try_room(length)?;
            }
            let to = match name {
                Some(name) => self.find(letters, name).await?,
                None => lock(&letters.peer).clone().ok_or(Error::NotConnected)?,
            };
            let sent = if waits {
                poll_fn(|context| mailbox.poll_send(context, &to.slot, buffers, &unix.name)).await
            } else {
                mailbox.try_send(&to.slot, buffers, unix.name.clone())
            };
            match sent {
                // Somebody else may have the name by now; if not, the search says so.
                Err(Error::ConnectionRefused) if name.is_some() => {}
                Err(Error::ConnectionRefused) => {
                    letters.forget_peer();
                    self.inner.stack.tell(Verb::Disconnect { socket: self.inner.handle });
                    return Err(Error::ConnectionRefused);
                }
                sent => {
                    if sent.is_ok() {
                        unix.hold.note(Deed::Write(length));
                    }
                    return sent;
                }
            }
        }
    }

    async fn find(&self, letters: &Letters, name: &UnixAddress) -> Result<Recipient> {
        if let Some(to) = letters.recent(name) {
            return Ok(to);
        }
        let verb = Verb::Find { socket: self.inner.handle, name: name.clone() };
        let Outcome::Recipient(to) = self.inner.stack.call(verb).await? else { return Err(Error::InvalidInput) };
        *lock(&letters.recent) = Some((name.clone(), to.clone()));
        Ok(to)
    }
}
