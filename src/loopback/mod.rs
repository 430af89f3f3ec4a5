//! Connections between two programs of one stack, without packets.
//!
//! Who connects to an address of this very stack where somebody listens gets, in the mode
//! [`fast`](crate::config::Loopback::Fast), a pipe whose other end is the accepted socket: a byte goes from the writer's
//! buffer into a ring and from there into the reader's, and neither the engine nor the network has a part in it.
//! Addresses, ports, the backlog and the bound on sockets are those of all connections, and so is what programs are
//! told: the kernel does not tell them either whether there was a wire.
//!
//! What cannot be joined goes the long way, by packets: where nobody listens, where the accept queue is full, and where
//! the listener waits for data first (TCP_DEFER_ACCEPT).
//!
//! Datagrams go from queue to queue, and an echo request of an echo socket has its reply in the queue at once. While a raw
//! socket hears ICMP of that family, echo goes by packets, for raw sockets are shown packets.

use std::net::SocketAddr;

use slab::Slab;

use crate::error::{Error, Result};
use crate::observe::{Close, SocketId, Summary, TcpState, Time};
use crate::pipe::{Bell, JoinedEnd, Joint, Stream, StreamEnd};
use crate::transport::{Ends, Holder, Joined, Sending, TcpInfo, Transport};

/// One of the two sockets of a joined connection, as the engine sees it.
#[derive(Debug)]
pub struct End {
    id: SocketId,
    local: SocketAddr,
    remote: SocketAddr,
    state: TcpState,
    created: Time,
    /// The other one, until it is gone.
    peer: Option<usize>,
    pipe: JoinedEnd,
    /// How many bytes may wait to be read by it, and to be sent by it (SO_RCVBUF, SO_SNDBUF).
    bounds: [usize; 2],
    /// The largest segment that either program has asked for before they met (TCP_MAXSEG).
    max_segment: Option<u32>,
    /// Its program has let go of it.
    is_dropped: bool,
}

/// All joined connections.
#[derive(Debug, Default)]
pub struct Loopback {
    ends: Slab<End>,
}

/// The bytes of the timestamps option, padded (RFC 7323 appendix A).
const TIMESTAMPS: u32 = 12;

/// A connection that was just joined.
#[derive(Debug)]
pub struct Fresh {
    /// The end of the program that asked.
    pub connector: usize,
    /// The end that waits to be accepted.
    pub acceptor: usize,
    /// The acceptor's pipe.
    pub pipe: Stream,
    /// Names, and the listener's descriptor.
    pub joined: Joined,
}

impl End {
    /// Its name in the trace.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The peer's end.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// By the names of RFC 9293. There are no states that wait for a packet.
    pub fn state(&self) -> TcpState {
        self.state
    }

    /// Whether its program has let go of it.
    pub fn is_dropped(&self) -> bool {
        self.is_dropped
    }

    /// Its pipe.
    pub fn pipe(&self) -> &JoinedEnd {
        &self.pipe
    }

    /// What a segment of it would carry, if there were any and if their way took so many bytes at once: with timestamps,
    /// as those of other connections have them.
    pub fn segment_size(&self, mtu: usize) -> u32 {
        let headers = if self.remote.is_ipv4() { 40 } else { 60 };
        let largest = u32::try_from(mtu.saturating_sub(headers)).unwrap_or(u32::MAX);
        self.max_segment.map_or(largest, |bytes| bytes.min(largest)).saturating_sub(TIMESTAMPS)
    }

    /// What a program may know about it. There are no segments, and so no numbers, windows or options.
    pub fn info(&self, now: Time) -> TcpInfo {
        TcpInfo {
            socket: self.id,
            local: self.local,
            remote: self.remote,
            state: self.state,
            send_mss: u16::MAX,
            receive_mss: u16::MAX,
            send_window: 0,
            receive_window: 0,
            send_scale: None,
            receive_scale: None,
            sack: false,
            local_isn: 0,
            remote_isn: 0,
            send_next: 0,
            receive_next: 0,
            send_queue: self.pipe.unsent(),
            receive_queue: self.pipe.unread(),
            first_checksum: 0,
            summary: self.summary(now),
            sending: Sending::default(),
        }
    }

    /// What it has carried.
    pub fn summary(&self, now: Time) -> Summary {
        let carried = self.pipe.carried();
        Summary {
            age: now - self.created,
            bytes_in: carried.received.bytes,
            bytes_out: carried.sent.bytes,
            ..Summary::default()
        }
    }
}

impl Loopback {
    /// Joins the pipe of a program that connects to the socket that will be accepted, which rings `bell`. `None`, with
    /// the pipe: it cannot be joined at this moment.
    pub fn join(
        &mut self,
        now: Time,
        ends: &Ends,
        connector: Holder,
        pipe: StreamEnd,
        bell: Bell,
        transport: &mut Transport,
    ) -> std::result::Result<Fresh, StreamEnd> {
        let Some(joined) = transport.join(ends, connector) else { return Err(pipe) };
        let (pipe, [accepted, connected]) = pipe.join(Joint::Tcp, bell);
        let mut insert = |id, local, remote, pipe| {
            let state = TcpState::Established;
            self.ends.insert(End {
                id,
                local,
                remote,
                state,
                created: now,
                peer: None,
                pipe,
                bounds: [usize::MAX; 2],
                max_segment: None,
                is_dropped: false,
            })
        };
        let connector = insert(connector.id, ends.local, ends.remote, connected);
        let acceptor = insert(joined.acceptor, ends.remote, ends.local, accepted);
        self.ends[connector].peer = Some(acceptor);
        self.ends[acceptor].peer = Some(connector);
        Ok(Fresh { connector, acceptor, pipe, joined })
    }

    /// The end of a slot.
    ///
    /// # Errors
    ///
    /// [`Error::NotConnected`] if it is gone.
    pub fn end(&self, slot: usize) -> Result<&End> {
        self.ends.get(slot).ok_or(Error::NotConnected)
    }

    /// A number that is larger than every slot.
    pub fn slots(&self) -> usize {
        self.ends.capacity()
    }

    /// The other end of the one in this slot, until it is gone.
    pub fn peer(&self, slot: usize) -> Option<SocketId> {
        Some(self.ends.get(self.ends.get(slot)?.peer?)?.id)
    }

    /// Whether dropping the end of this slot kills the connection (SO_LINGER at zero).
    pub fn set_abortive(&self, slot: usize, aborts: bool) {
        if let Some(end) = self.ends.get(slot) {
            end.pipe.set_abortive(aborts);
        }
    }

    /// The program of the end of this slot wants no larger segments; the smaller choice of the two counts for both.
    pub fn set_max_segment(&mut self, slot: usize, bytes: u32) {
        let peer = self.ends.get(slot).and_then(|end| end.peer);
        for slot in [Some(slot), peer].into_iter().flatten() {
            if let Some(end) = self.ends.get_mut(slot) {
                end.max_segment = Some(end.max_segment.map_or(bytes, |other| other.min(bytes)));
            }
        }
    }

    /// How many bytes may wait to be read by the end of this slot, and to be sent by it. There is one ring for what one
    /// end sends and the other reads, and so the two bounds of it are added.
    pub fn set_bounds(&mut self, slot: usize, bounds: [usize; 2]) {
        let Some(end) = self.ends.get_mut(slot) else { return };
        end.bounds = bounds;
        let (end, [receive, send]) = (&self.ends[slot], bounds);
        let Some(peer) = end.peer.and_then(|peer| self.ends.get(peer)) else { return };
        let [peer_receive, peer_send] = peer.bounds;
        end.pipe.set_most_unsent(send.saturating_add(peer_receive));
        peer.pipe.set_most_unsent(peer_send.saturating_add(receive));
    }

    /// A program has closed, shut down or dropped its end. Says whether the end is dropped, and so its slot given up.
    pub fn answer(&mut self, now: Time, slot: usize, transport: &mut Transport) -> bool {
        let Some(end) = self.ends.get_mut(slot) else { return true };
        end.pipe.answer();
        end.is_dropped = end.pipe.is_dropped();
        let (is_dropped, is_dead, has_closed, peer) =
            (end.is_dropped, end.pipe.is_dead(), end.pipe.has_closed(), end.peer);
        match end.state {
            _ if end.state == TcpState::Closed => {}
            _ if is_dead => {
                // Whoever is told of a reset did not send it.
                self.part(now, slot, if is_dropped { Close::Aborted } else { Close::Reset }, transport);
                if let Some(peer) = peer {
                    self.part(now, peer, if is_dropped { Close::Reset } else { Close::Aborted }, transport);
                }
            }
            TcpState::Established if has_closed => {
                end.state = TcpState::FinWait2;
                if let Some(peer) = peer.and_then(|peer| self.ends.get_mut(peer)) {
                    peer.state = TcpState::CloseWait;
                }
            }
            TcpState::CloseWait if has_closed => {
                self.part(now, slot, Close::ByPeer, transport);
                if let Some(peer) = peer {
                    self.part(now, peer, Close::ByUs, transport);
                }
            }
            _ => {}
        }
        self.forget(slot);
        is_dropped
    }

    /// This end of a connection is over.
    fn part(&mut self, now: Time, slot: usize, how: Close, transport: &mut Transport) {
        let Some(end) = self.ends.get_mut(slot).filter(|end| end.state != TcpState::Closed) else { return };
        end.state = TcpState::Closed;
        let (ends, summary) = ((end.id, end.local, end.remote), end.summary(now));
        transport.part(now, ends, how, summary);
        self.forget(slot);
    }

    /// An end that is over and that no program holds is gone.
    fn forget(&mut self, slot: usize) {
        if let Some(&End { is_dropped: true, state: TcpState::Closed, peer, .. }) = self.ends.get(slot) {
            self.ends.remove(slot);
            if let Some(peer) = peer.and_then(|peer| self.ends.get_mut(peer)) {
                peer.peer = None;
            }
        }
    }

    /// Ends every connection that `concerns` names, and tells both programs.
    pub fn end_all(
        &mut self,
        now: Time,
        (how, error): (Close, Error),
        concerns: impl Fn(&End) -> bool,
        transport: &mut Transport,
    ) {
        let slots: Vec<usize> = self.ends.iter().filter(|(_, end)| concerns(end)).map(|(slot, _)| slot).collect();
        for slot in slots {
            let Some(end) = self.ends.get(slot).filter(|end| end.state != TcpState::Closed) else { continue };
            end.pipe.fail(error);
            let peer = end.peer;
            self.part(now, slot, how, transport);
            if let Some(peer) = peer {
                self.part(now, peer, how, transport);
            }
        }
    }
}
