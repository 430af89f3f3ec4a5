use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;

use super::{Bell, lock, stream};
use crate::error::{Error, Result};
use crate::memory::{Charge, Memory};

/// How many datagrams wait at most, however small they are.
const DATAGRAMS: usize = 256;

/// What a waiting datagram costs besides its bytes.
const COST: usize = 64;

/// The longest payload that IP can carry behind a UDP header: an IPv4 packet counts its own header, an IPv6 packet
/// does not (RFC 768, RFC 8200 §3).
const fn largest(is_v4: bool) -> usize {
    if is_v4 { 65_535 - 20 - 8 } else { 65_535 - 8 }
}

/// Whom a datagram is from or for.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    peer: SocketAddr,
    local: Option<IpAddr>,
}

/// Datagrams in order. Each has memory of its own, so that a socket through which one large datagram went keeps
/// nothing of it.
#[derive(Debug)]
struct Queue {
    datagrams: VecDeque<(Addresses, Box<[u8]>)>,
    bytes: usize,
    capacity: usize,
    /// `bytes`, where all that buffers use is counted.
    charge: Charge,
}

impl Queue {
    fn new(capacity: usize, memory: &Memory) -> Mutex<Queue> {
        Mutex::new(Queue { datagrams: VecDeque::new(), bytes: 0, capacity, charge: memory.account() })
    }

    /// Says whether there was room.
    fn push(&mut self, addresses: Addresses, bytes: &[u8]) -> bool {
        let cost = bytes.len() + COST;
        if self.datagrams.len() >= DATAGRAMS || self.bytes + cost > self.capacity {
            return false;
        }
        self.bytes += cost;
        self.charge.set(self.bytes);
        self.datagrams.push_back((addresses, bytes.into()));
        true
    }

    fn pop(&mut self) -> Option<(Addresses, Box<[u8]>)> {
        let (addresses, bytes) = self.datagrams.pop_front()?;
        self.bytes -= bytes.len() + COST;
        self.charge.set(self.bytes);
        Some((addresses, bytes))
    }
}

#[derive(Debug)]
struct Shared {
    incoming: Mutex<Queue>,
    outgoing: Mutex<Queue>,
    error: AtomicI32,
    /// The stack has stopped.
    closed: AtomicBool,
    /// The application's end is gone.
    dropped: AtomicBool,
    /// The stack holds a datagram that did not fit: receiving must ring the bell.
    stack_waits: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// The application's end of a datagram socket.
#[derive(Debug)]
pub struct Datagrams {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    capacity: usize,
}

/// The stack's end of a datagram socket.
#[derive(Debug)]
pub struct DatagramEnd {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
}

impl Datagrams {
    /// Two queues of `capacity` bytes, with a little for each datagram besides its payload. None of it is taken
    /// before datagrams come; what is taken counts in `memory`.
    pub fn new(capacity: usize, memory: &Memory, bell: Bell) -> (Datagrams, DatagramEnd) {
        let bell = Arc::new(bell);
        let shared = Arc::new(Shared {
            incoming: Queue::new(capacity, memory),
            outgoing: Queue::new(capacity, memory),
            error: AtomicI32::new(0),
            closed: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            stack_waits: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
        });
        (Datagrams { shared: Arc::clone(&shared), bell: Arc::clone(&bell), capacity }, DatagramEnd { shared, bell })
    }

    /// Takes an ICMP error that a datagram caused, if nobody was told yet (SO_ERROR).
    ///
    /// # Errors
    ///
    /// That.
    pub fn take_error(&self) -> Result<()> {
        match self.shared.error.swap(0, Ordering::AcqRel) {
            0 => Ok(()),
            errno => Err(Error::from_errno(errno).unwrap_or(Error::ConnectionRefused)),
        }
    }

    /// Takes one datagram: how many bytes of it fitted into `buffer` (the rest is lost), who sent it, and to
    /// which of our addresses.
    ///
    /// # Errors
    ///
    /// [`Error::WouldBlock`] if there is none; an ICMP error that a datagram of ours caused, once;
    /// [`Error::NetworkDown`] after the stack has stopped.
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr, Option<IpAddr>)> {
        self.take_error()?;
        let next = lock(&self.shared.incoming).pop();
        match next {
            Some((addresses, bytes)) => {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                let received = (count, addresses.peer, addresses.local);
                if self.shared.stack_waits.swap(false, Ordering::AcqRel) {
                    self.bell.ring();
                }
                Ok(received)
            }
            None if self.shared.closed.load(Ordering::Acquire) => Err(Error::NetworkDown),
            None => Err(Error::WouldBlock),
        }
    }

    /// Hands one datagram to the stack, to be sent from `local` if it is given.
    ///
    /// # Errors
    ///
    /// [`Error::MessageTooLong`] if IP or the queue cannot hold it; [`Error::WouldBlock`] while too many wait; an ICMP error that an earlier
    /// one caused, once; [`Error::NetworkDown`] after the stack has stopped.
    pub fn try_send(&self, bytes: &[u8], peer: SocketAddr, local: Option<IpAddr>) -> Result<()> {
        self.take_error()?;
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(Error::NetworkDown);
        }
        if bytes.len() > largest(peer.is_ipv4()) || bytes.len() + COST > self.capacity {
            return Err(Error::MessageTooLong);
        }
        let mut outgoing = lock(&self.shared.outgoing);
        // At the limit on memory one datagram may still go its way: the stack takes it at once.
        let is_short = outgoing.charge.is_exhausted() && !outgoing.datagrams.is_empty();
        if is_short || !outgoing.push(Addresses { peer, local }, bytes) {
            return Err(Error::WouldBlock);
        }
        drop(outgoing);
        self.bell.ring();
        Ok(())
    }

    /// [`Datagrams::try_receive`], or wakes the task later.
    pub fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<(usize, SocketAddr, Option<IpAddr>)>> {
        stream::poll(&self.shared.reader, context, || self.try_receive(buffer))
    }

    /// [`Datagrams::try_send`], or wakes the task later.
    pub fn poll_send(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        peer: SocketAddr,
        local: Option<IpAddr>,
    ) -> Poll<Result<()>> {
        stream::poll(&self.shared.writer, context, || self.try_send(bytes, peer, local))
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.shared.dropped.store(true, Ordering::Release);
        self.bell.ring();
    }
}

impl DatagramEnd {
    /// Looks after the socket: what the application does from here on rings again.
    pub fn answer(&self) {
        self.bell.reset();
    }

    /// Queues a received datagram, which the limit on memory has let in; `false` if there is no room, and then the bell rings when there is.
    pub fn deliver(&self, bytes: &[u8], peer: SocketAddr, local: IpAddr) -> bool {
        let mut incoming = lock(&self.shared.incoming);
        if !incoming.push(Addresses { peer, local: Some(local) }, bytes) {
            self.shared.stack_waits.store(true, Ordering::Release);
            return false;
        }
        drop(incoming);
        self.shared.reader.wake();
        true
    }

    /// Takes a datagram that the application sent and gives it to `send`; `None` if there is none.
    pub fn take<R>(&self, send: impl FnOnce(&[u8], SocketAddr, Option<IpAddr>) -> R) -> Option<R> {
        let (addresses, bytes) = lock(&self.shared.outgoing).pop()?;
        let result = send(&bytes, addresses.peer, addresses.local);
        self.shared.writer.wake();
        Some(result)
    }

    /// Whether the application has sent what the stack has not taken.
    pub fn has_unsent(&self) -> bool {
        !lock(&self.shared.outgoing).datagrams.is_empty()
    }

    /// Asks the engine to come back in its next round.
    pub fn ring(&self) {
        self.bell.ring();
    }

    /// The next call of the application is told this.
    pub fn fail(&self, error: Error) {
        self.shared.error.store(error.errno(), Ordering::Release);
        self.shared.reader.wake();
        self.shared.writer.wake();
    }

    /// The stack stops.
    pub fn finish(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.reader.wake();
        self.shared.writer.wake();
    }

    /// Whether the application has dropped its end.
    pub fn is_dropped(&self) -> bool {
        self.shared.dropped.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Doorbell;
    use super::*;

    fn memory() -> Memory {
        Memory::new(usize::MAX)
    }

    #[test]
    fn datagrams_keep_their_boundaries_and_their_addresses() {
        let (application, stack) = Datagrams::new(1024, &memory(), Doorbell::default().bell(0));
        let peer = "192.0.2.1:9".parse().unwrap();
        let local = "192.0.2.2".parse().unwrap();
        assert!(stack.deliver(b"one", peer, local));
        assert!(stack.deliver(b"", peer, local));
        let mut buffer = [0; 2];
        assert_eq!(application.try_receive(&mut buffer), Ok((2, peer, Some(local))));
        assert_eq!(application.try_receive(&mut buffer), Ok((0, peer, Some(local))));
        assert_eq!(application.try_receive(&mut buffer), Err(Error::WouldBlock));
        assert_eq!(application.try_send(&[0; 961], peer, None), Err(Error::MessageTooLong));
        assert_eq!(application.try_send(b"two", peer, None), Ok(()));
        assert_eq!(stack.take(|bytes, to, _| (bytes.to_vec(), to)), Some((b"two".to_vec(), peer)));
        stack.fail(Error::ConnectionRefused);
        assert_eq!(application.try_receive(&mut buffer), Err(Error::ConnectionRefused));
        assert_eq!(application.try_receive(&mut buffer), Err(Error::WouldBlock));
    }

    #[test]
    fn the_longest_datagrams_of_both_families_can_be_sent_and_longer_ones_cannot() {
        let (application, stack) = Datagrams::new(208 * 1024, &memory(), Doorbell::default().bell(0));
        for (peer, longest) in [("192.0.2.1:9", 65_507), ("[fd69::1]:9", 65_527)] {
            let peer = peer.parse().unwrap();
            assert_eq!(application.try_send(&vec![0; longest + 1], peer, None), Err(Error::MessageTooLong));
            assert_eq!(application.try_send(&vec![0; longest], peer, None), Ok(()));
            assert_eq!(stack.take(|bytes, _, _| bytes.len()), Some(longest));
        }
    }

    #[test]
    fn a_queue_is_bounded_in_bytes_and_in_datagrams() {
        let peer = "192.0.2.1:9".parse().unwrap();
        let (application, stack) = Datagrams::new(10_000, &memory(), Doorbell::default().bell(0));
        let sent = (0..1000).filter(|_| application.try_send(&[0; 936], peer, None).is_ok()).count();
        assert_eq!(sent, 10);
        assert_eq!(stack.take(|_, _, _| ()), Some(()));
        assert_eq!(application.try_send(&[0; 936], peer, None), Ok(()), "there is room again");
        let (_application, stack) = Datagrams::new(1 << 20, &memory(), Doorbell::default().bell(0));
        let delivered = (0..1000).filter(|_| stack.deliver(b"", peer, peer.ip())).count();
        assert_eq!(delivered, DATAGRAMS);
    }

    #[test]
    fn what_waits_is_counted_and_at_the_limit_one_datagram_goes_at_a_time() {
        let peer = "192.0.2.1:9".parse().unwrap();
        let memory = Memory::new(10_000);
        let (application, stack) = Datagrams::new(208 * 1024, &memory, Doorbell::default().bell(0));
        let sent = (0..100).filter(|_| application.try_send(&[0; 936], peer, None).is_ok()).count();
        assert_eq!((sent, memory.used()), (10, 10_000));
        assert!(stack.deliver(&[0; 36], peer, peer.ip()), "it was let in by somebody else");
        assert_eq!(memory.used(), 10_100);
        while stack.take(|_, _, _| ()).is_some() {}
        let mut other = memory.account();
        other.set(10_000);
        assert_eq!(application.try_send(&[0; 936], peer, None), Ok(()));
        assert_eq!(application.try_send(&[0; 936], peer, None), Err(Error::WouldBlock));
        drop((application, stack, other));
        assert_eq!(memory.used(), 0);
    }
}
