//! One TCP connection: smoltcp's state machine, alone in its own set, with what a host needs around it.
//!
//! A segment passes [`guard`](super::guard) before smoltcp sees it. What smoltcp sends is noted on its way
//! out, so that the connection always knows its own sequence numbers; smoltcp does not show them.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use smoltcp::iface::{Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{TcpRepr, TcpSeqNumber};

use super::handshake::Handshake;
use super::medium::{Discard, Port, Sent, TcpOutlet, instant, time};
use super::segment::{self, Segment};
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::ip::Packets;
use crate::observe::{Close, Fate, Numbers, Ownership, SocketId, Summary, TcpState, Time};

/// A connection is given up when sent data stays unacknowledged for this long (RFC 9293 §3.8.3: R2 is at
/// least 100 s; Linux's tcp_retries2 comes to about as much as this).
const GIVE_UP_DATA: Duration = Duration::from_secs(900);

/// The same for a connection that is being asked for (RFC 9293: R2 of a SYN is at least 3 minutes).
const GIVE_UP_SYN: Duration = Duration::from_secs(180);

/// A connection that no program holds any more and whose peer is silent (Linux: tcp_fin_timeout).
const GIVE_UP_ORPHAN: Duration = Duration::from_secs(60);

/// How many bytes one connection may send in one round, so that it cannot starve the others.
const BYTES_PER_ROUND: usize = 256 * 1024;

/// What both ends agreed on in their SYNs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handshaken {
    pub(super) id: SocketId,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// Our initial sequence number.
    pub(super) isn: TcpSeqNumber,
    /// Payload bytes that fit into one segment on the link.
    pub(super) link_mss: u16,
    pub(super) created: Time,
}

/// A TCP connection.
#[derive(Debug)]
pub struct Connection {
    set: SocketSet<'static>,
    handle: SocketHandle,
    agreed: Handshaken,
    /// The peer's initial sequence number, once its SYN has come.
    irs: Option<TcpSeqNumber>,
    pub(super) peer: Peer,
    /// Bytes that the application's side has taken out of the receive buffer.
    consumed: u64,
    /// The end of the sequence space that we have sent.
    snd_nxt: TcpSeqNumber,
    /// The acknowledgment and window of our last segment.
    advertised: Option<(TcpSeqNumber, u32)>,
    /// The state that the trace has shown last.
    shown: TcpState,
    /// Who closed first.
    closer: Option<Close>,
    /// How it ended.
    pub(super) ended: Option<Close>,
    pub(super) summary: Summary,
    /// A program of ours asked for it, and has not been told that it stands.
    pub(super) is_asked_for: bool,
    /// The observer has been told that it ended.
    pub(super) was_over: bool,
    /// The descriptor in the socket room; `None` once the program has let go.
    pub(super) descriptor: Option<usize>,
    /// Waits to be looked after.
    pub(super) is_dirty: bool,
    /// The entry in the timer heap that counts.
    pub(super) armed: Option<Time>,
    sent: Vec<Sent>,
}

/// What the peer said in its SYN and since.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peer {
    /// As offered; 536 for IPv4 and 1220 for IPv6 if it was silent (RFC 9293 §3.7.1).
    pub(super) mss: u16,
    pub(super) window_scale: Option<u8>,
    pub(super) sack: bool,
    /// In bytes, unscaled.
    pub(super) window: u32,
    /// Of its first segment, as carried.
    pub(super) first_checksum: u16,
}

/// A snapshot of a connection. Sequence numbers are relative to the initial ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpInfo {
    /// The name of the socket in the trace.
    pub socket: SocketId,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The state of the connection.
    pub state: TcpState,
    /// Payload bytes in our largest segment: the smaller of the peer's MSS and what the link takes.
    pub send_mss: u16,
    /// The MSS that we announced.
    pub receive_mss: u16,
    /// The window the peer advertised last, in bytes.
    pub send_window: u32,
    /// The window we advertised last, in bytes.
    pub receive_window: u32,
    /// How many bits the peer's window field is shifted by; `None`: it did not offer window scaling.
    pub send_scale: Option<u8>,
    /// How many bits ours is shifted by; `None`: not agreed.
    pub receive_scale: Option<u8>,
    /// Whether the peer understands selective acknowledgments.
    pub sack: bool,
    /// Our initial sequence number.
    pub local_isn: u32,
    /// The peer's.
    pub remote_isn: u32,
    /// The next sequence number we send, relative.
    pub send_next: u32,
    /// The next sequence number we expect, relative.
    pub receive_next: u32,
    /// Bytes handed to the connection and not yet acknowledged.
    pub send_queue: usize,
    /// Bytes received and not yet taken by the program's side.
    pub receive_queue: usize,
    /// The checksum of the peer's first segment. It was verified in software before anything else was believed.
    pub first_checksum: u16,
    /// What went in and out so far.
    pub summary: Summary,
}

fn state_of(state: tcp::State) -> TcpState {
    match state {
        tcp::State::Closed => TcpState::Closed,
        tcp::State::Listen => TcpState::Listen,
        tcp::State::SynSent => TcpState::SynSent,
        tcp::State::SynReceived => TcpState::SynReceived,
        tcp::State::Established => TcpState::Established,
        tcp::State::FinWait1 => TcpState::FinWait1,
        tcp::State::FinWait2 => TcpState::FinWait2,
        tcp::State::CloseWait => TcpState::CloseWait,
        tcp::State::Closing => TcpState::Closing,
        tcp::State::LastAck => TcpState::LastAck,
        tcp::State::TimeWait => TcpState::TimeWait,
    }
}

/// A socket of its own set, as smoltcp wants it.
pub(super) fn new_socket(limits: &Limits) -> tcp::Socket<'static> {
    let mut socket = tcp::Socket::new(
        tcp::SocketBuffer::new(vec![0; limits.receive_buffer]),
        tcp::SocketBuffer::new(vec![0; limits.send_buffer]),
    );
    socket.set_congestion_control(tcp::CongestionControl::Cubic);
    socket
}

impl Connection {
    pub(super) fn new(socket: tcp::Socket<'static>, agreed: Handshaken, state: TcpState) -> Connection {
        let mut set = SocketSet::new(vec![SocketStorage::EMPTY]);
        let handle = set.add(socket);
        Connection {
            set,
            handle,
            agreed,
            irs: None,
            peer: Peer::default(),
            consumed: 0,
            snd_nxt: agreed.isn,
            advertised: None,
            shown: state,
            closer: None,
            ended: None,
            summary: Summary::default(),
            is_asked_for: false,
            was_over: false,
            descriptor: None,
            is_dirty: false,
            armed: None,
            sent: Vec::new(),
        }
    }

    fn socket(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    fn socket_mut(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    /// Its name in the trace.
    pub fn id(&self) -> SocketId {
        self.agreed.id
    }

    /// Our end.
    pub fn local(&self) -> SocketAddr {
        self.agreed.local
    }

    /// The peer's end.
    pub fn remote(&self) -> SocketAddr {
        self.agreed.remote
    }

    /// The descriptor of its program; `None` once the program has let go.
    pub fn descriptor(&self) -> Option<usize> {
        self.descriptor
    }

    /// The program has let go: what still comes is nobody's.
    pub fn disown(&mut self) {
        self.descriptor = None;
    }

    /// The state of RFC 9293.
    pub fn state(&self) -> TcpState {
        state_of(self.socket().state())
    }

    /// How it ended; `None` while it lives.
    pub fn ended(&self) -> Option<Close> {
        self.ended
    }

    /// Takes received bytes in order: `take` says how many of those it is shown it took. Ends when it takes
    /// none or nothing is left.
    pub fn receive(&mut self, mut take: impl FnMut(&[u8]) -> usize) {
        while self.socket().can_recv() {
            let taken = self.socket_mut().recv(|bytes| {
                let count = take(bytes);
                (count, count)
            });
            match taken {
                Ok(count) if count > 0 => {
                    self.consumed += count as u64;
                    self.summary.bytes_in += count as u64;
                }
                _ => return,
            }
        }
    }

    /// Hands bytes over to be sent: `fill` writes into what it is given and says how many bytes it wrote.
    /// Ends when it writes none or nothing more fits.
    pub fn send(&mut self, mut fill: impl FnMut(&mut [u8]) -> usize) {
        while self.socket().can_send() {
            let filled = self.socket_mut().send(|buffer| {
                let count = fill(buffer);
                (count, count)
            });
            match filled {
                Ok(count) if count > 0 => self.summary.bytes_out += count as u64,
                _ => return,
            }
        }
    }

    /// Whether the peer's FIN has come and everything before it was taken.
    pub fn is_at_end(&self) -> bool {
        matches!(self.state(), TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait)
            && !self.socket().can_recv()
    }

    /// Whether a program may still hand bytes over.
    pub fn may_send(&self) -> bool {
        self.socket().may_send()
    }

    /// Sends a FIN after what is in the send buffer.
    pub fn close(&mut self) {
        if self.may_send() {
            self.note_closer(Close::ByUs);
            self.socket_mut().close();
        }
    }

    /// Sends a RST and forgets everything.
    pub fn abort(&mut self) {
        if self.state() != TcpState::Closed {
            self.ended.get_or_insert(Close::Aborted);
            self.socket_mut().abort();
        }
    }

    /// TCP_NODELAY: sends small segments at once.
    pub fn set_nodelay(&mut self, nodelay: bool) {
        self.socket_mut().set_nagle_enabled(!nodelay);
    }

    fn note_closer(&mut self, who: Close) {
        if matches!(self.state(), TcpState::Established | TcpState::SynReceived) {
            self.closer.get_or_insert(who);
        }
    }

    /// What the trace calls it.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            local: self.agreed.isn.0 as u32,
            remote: self.irs.map_or(0, |irs| irs.0 as u32),
            local_shift: 0,
            remote_shift: self.peer.window_scale.unwrap_or(0),
        }
    }

    /// The fate of a frame of this connection that came in; shows each state change once.
    pub(super) fn fate(&mut self) -> Fate {
        let fate = self.fate_so_far();
        self.shown = self.state();
        fate
    }

    /// The same for a frame that may be sent: the change counts as shown once the frame has left.
    fn fate_so_far(&self) -> Fate {
        Fate {
            owner: Some(Ownership::FourTuple { socket: self.agreed.id }),
            rule: None,
            states: Some((self.shown, self.state())),
            numbers: Some(self.numbers()),
        }
    }

    /// The next sequence number that we expect; `None` before the peer's SYN.
    pub(super) fn rcv_nxt(&self) -> Option<TcpSeqNumber> {
        let fin =
            matches!(self.state(), TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait);
        let received = self.consumed as usize + self.socket().recv_queue() + 1 + usize::from(fin);
        self.irs.map(|irs| TcpSeqNumber(irs.0.wrapping_add(received as i32)))
    }

    pub(super) fn snd_nxt(&self) -> TcpSeqNumber {
        self.snd_nxt
    }

    /// The end of the window: what the buffer can take, and no more than we have advertised.
    pub(super) fn receive_edge(&self) -> Option<TcpSeqNumber> {
        let rcv_nxt = self.rcv_nxt()?;
        let free = self.socket().recv_capacity() - self.socket().recv_queue();
        let buffer_edge = rcv_nxt + free;
        match self.advertised {
            Some((ack, window)) => Some(buffer_edge.min(ack + window as usize)),
            None => Some(buffer_edge),
        }
    }

    pub(super) fn receive_window(&self) -> u16 {
        let free = self.socket().recv_capacity() - self.socket().recv_queue();
        u16::try_from(free).unwrap_or(u16::MAX)
    }

    /// What the peer's SYN says.
    pub(super) fn note_syn(&mut self, segment: &Segment<'_>) {
        self.irs = Some(segment.repr.seq_number);
        self.peer = Peer {
            mss: offered_mss(segment),
            window_scale: segment.repr.window_scale,
            sack: segment.repr.sack_permitted,
            window: u32::from(segment.repr.window_len),
            first_checksum: segment.checksum,
        };
    }

    /// What the SYN entry knew: both SYNs, and how often they were sent.
    pub(super) fn note_handshake(&mut self, handshake: &Handshake) {
        self.irs = Some(handshake.irs);
        self.peer = Peer {
            mss: handshake.mss,
            window_scale: handshake.window_scale,
            sack: handshake.sack,
            window: u32::from(handshake.window),
            first_checksum: handshake.checksum,
        };
        self.summary.packets_in = u64::from(handshake.syns);
        self.summary.packets_out = u64::from(handshake.tries);
        self.summary.retransmitted = u64::from(handshake.tries.saturating_sub(1));
    }

    /// Our own ACK, for a segment that must not be fed.
    pub(super) fn challenge(&self) -> TcpRepr<'static> {
        TcpRepr {
            seq_number: self.snd_nxt,
            ack_number: self.rcv_nxt(),
            window_len: self.receive_window(),
            ..segment::bare(self.agreed.local, self.agreed.remote)
        }
    }

    /// The MSS of our own segments.
    pub(super) fn send_mss(&self) -> u16 {
        let offered = if self.peer.mss == 0 { default_mss(self.agreed.remote) } else { self.peer.mss };
        offered.min(self.agreed.link_mss)
    }

    /// Lets smoltcp see a segment that has passed the guards. `packet` is the IP packet with it.
    pub(super) fn feed(&mut self, now: Time, interface: &mut Interface, packet: &[u8], out: &mut Packets) {
        let fate = Fate { states: None, ..self.fate_so_far() };
        self.run(packet, fate, out, |port, set| {
            interface.poll_ingress_single(instant(now), port, set);
        });
    }

    /// Sends what is due: data, ACKs, retransmissions, probes. Says whether there is more than one round may take.
    pub(super) fn transmit(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) -> bool {
        let give_up = match self.state() {
            TcpState::SynSent | TcpState::SynReceived => Some(GIVE_UP_SYN),
            _ if self.descriptor.is_none() => Some(GIVE_UP_ORPHAN),
            _ if self.socket().send_queue() > 0 => Some(GIVE_UP_DATA),
            _ => None,
        };
        self.socket_mut()
            .set_timeout(give_up.map(|span| smoltcp::time::Duration::from_micros(span.as_micros() as u64)));
        let start = out.bytes_used();
        loop {
            let before = out.len();
            let fate = self.fate_so_far();
            self.run(&[], fate, out, |port, set| {
                interface.poll_egress(instant(now), port, set);
            });
            if out.len() == before || self.ended == Some(Close::Panicked) {
                return false;
            }
            if let Some((_, shown)) = fate.states {
                self.shown = shown;
            }
            if out.bytes_used() - start > BYTES_PER_ROUND {
                return true;
            }
        }
    }

    /// The handshake of a connection that a peer asked for, replayed: smoltcp sees the SYN, and its SYN-ACK,
    /// which was sent long ago, is thrown away. `interface` draws our initial sequence number.
    ///
    /// # Errors
    ///
    /// If smoltcp did not do what it should; then nobody may use this connection.
    pub(super) fn replay_syn(&mut self, now: Time, interface: &mut Interface, syn: &[u8]) -> Result<()> {
        let local = self.agreed.local;
        self.socket_mut().listen((local.ip(), local.port())).map_err(|_| Error::InvalidInput)?;
        let mut sent = Vec::new();
        let mut port = Port { incoming: Some(syn), outlet: Discard { scratch: Vec::new(), sent: &mut sent } };
        interface.poll_ingress_single(instant(now), &mut port, &mut self.set);
        interface.poll_egress(instant(now), &mut port, &mut self.set);
        match sent.as_slice() {
            [syn_ack] if syn_ack.syn && syn_ack.seq == self.agreed.isn => {
                self.note_sent(*syn_ack);
                Ok(())
            }
            _ => Err(Error::ConnectionAborted),
        }
    }

    /// Asks for a connection. `interface` draws our initial sequence number.
    pub(super) fn connect(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) -> Result<()> {
        let Handshaken { local, remote, .. } = self.agreed;
        self.is_asked_for = true;
        let context = interface.context();
        self.set
            .get_mut::<tcp::Socket<'_>>(self.handle)
            .connect(context, (remote.ip(), remote.port()), (local.ip(), local.port()))
            .map_err(|_| Error::AddressNotAvailable)?;
        // At once: a SYN of the peer that comes before ours has left makes smoltcp panic.
        self.transmit(now, interface, out);
        if self.snd_nxt == self.agreed.isn + 1 { Ok(()) } else { Err(Error::ConnectionAborted) }
    }

    fn run(
        &mut self,
        packet: &[u8],
        fate: Fate,
        out: &mut Packets,
        poll: impl FnOnce(&mut Port<'_, TcpOutlet<'_>>, &mut SocketSet<'static>),
    ) {
        let segment = NonZeroU16::new(self.send_mss()).unwrap_or(NonZeroU16::MIN);
        let mut sent = std::mem::take(&mut self.sent);
        let outlet = TcpOutlet { out, fate, segment, announced_mss: self.agreed.link_mss, sent: &mut sent };
        let mut port = Port { incoming: (!packet.is_empty()).then_some(packet), outlet };
        let set = &mut self.set;
        let survived = catch_unwind(AssertUnwindSafe(|| poll(&mut port, set))).is_ok();
        for &segment in &sent {
            self.note_sent(segment);
        }
        sent.clear();
        self.sent = sent;
        if !survived {
            self.ended = Some(Close::Panicked);
        }
    }

    fn note_sent(&mut self, sent: Sent) {
        let length = sent.payload + usize::from(sent.syn) + usize::from(sent.fin);
        let end = sent.seq + length;
        let segments = sent.payload.div_ceil(usize::from(self.send_mss().max(1))).max(1) as u64;
        self.summary.packets_out += segments;
        if length > 0 && end > self.snd_nxt {
            self.snd_nxt = end;
        } else if length > 0 {
            self.summary.retransmitted += segments;
        }
        if let (Some(ack), false) = (sent.ack, sent.rst) {
            self.advertised = Some((ack, u32::from(sent.window)));
        }
    }

    /// Takes note of what a segment changed: `before` is the state before it was fed.
    pub(super) fn note_received(&mut self, segment: &Segment<'_>, before: TcpState) {
        let shift = if segment.is_syn() { 0 } else { self.peer.window_scale.unwrap_or(0) };
        self.peer.window = u32::from(segment.repr.window_len) << shift;
        match (before, self.state()) {
            (TcpState::Established | TcpState::SynReceived, TcpState::CloseWait) => {
                self.closer.get_or_insert(Close::ByPeer);
            }
            (TcpState::SynSent, TcpState::Closed) if segment.is_rst() => {
                self.ended.get_or_insert(Close::Refused);
            }
            // LAST-ACK ends with an ACK, and a RST that comes then takes nothing away.
            (TcpState::LastAck | TcpState::Closing | TcpState::TimeWait, TcpState::Closed) => {
                self.ended.get_or_insert(self.closer.unwrap_or(Close::ByPeer));
            }
            (_, TcpState::Closed) if segment.is_rst() => {
                self.ended.get_or_insert(Close::Reset);
            }
            _ => {}
        }
    }

    /// Looks whether the connection is over, and how it ended.
    pub(super) fn settle(&mut self) {
        match self.state() {
            // Both directions are done; what is left is to wait for stray segments.
            TcpState::TimeWait => {
                self.ended.get_or_insert(self.closer.unwrap_or(Close::ByUs));
            }
            // Neither an orderly end nor a RST has been noted: smoltcp's own timer gave up.
            TcpState::Closed => {
                self.ended.get_or_insert(Close::TimedOut);
            }
            _ => {}
        }
    }

    /// When it wants to be looked at again; `None`: only when something happens.
    pub(super) fn deadline(&mut self, now: Time, interface: &mut Interface) -> Option<Time> {
        interface.poll_at(instant(now), &self.set).map(time)
    }

    pub(super) fn age(&self, now: Time) -> Duration {
        now - self.agreed.created
    }

    /// Bytes received that nobody has taken.
    pub fn unread(&self) -> usize {
        self.socket().recv_queue()
    }

    /// What a program may know about it.
    pub fn info(&self, now: Time) -> TcpInfo {
        let relative = |number: TcpSeqNumber, start: TcpSeqNumber| number.0.wrapping_sub(start.0) as u32;
        let irs = self.irs.unwrap_or_default();
        TcpInfo {
            socket: self.agreed.id,
            local: self.agreed.local,
            remote: self.agreed.remote,
            state: self.state(),
            send_mss: self.send_mss(),
            receive_mss: self.agreed.link_mss,
            send_window: self.peer.window,
            receive_window: self.advertised.map_or(0, |(_, window)| window),
            send_scale: self.peer.window_scale,
            receive_scale: self.peer.window_scale.map(|_| 0),
            sack: self.peer.sack,
            local_isn: self.agreed.isn.0 as u32,
            remote_isn: irs.0 as u32,
            send_next: relative(self.snd_nxt, self.agreed.isn),
            receive_next: self.rcv_nxt().map_or(0, |next| relative(next, irs)),
            send_queue: self.socket().send_queue(),
            receive_queue: self.socket().recv_queue(),
            first_checksum: self.peer.first_checksum,
            summary: Summary { age: self.age(now), ..self.summary },
        }
    }
}

/// What the peer's SYN offers, or the default of its family.
pub(super) fn offered_mss(segment: &Segment<'_>) -> u16 {
    match segment.repr.max_seg_size {
        // smoltcp ignores 0 too; tiny ones would make each byte a packet.
        Some(size) if size >= 48 => size,
        Some(_) => 48,
        None => default_mss(segment.remote),
    }
}

/// RFC 9293 §3.7.1: what an endpoint takes that did not say.
fn default_mss(remote: SocketAddr) -> u16 {
    if remote.is_ipv4() { 536 } else { 1220 }
}
