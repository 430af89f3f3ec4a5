//! Segments in and out of one connection: smoltcp is run here, and nowhere else.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};

use smoltcp::iface::{Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{TcpRepr, TcpSeqNumber};

use super::{Connection, Handshaken, Peer};
use crate::error::{Error, Result};
use crate::ip::Packets;
use crate::observe::{Close, Fate, TcpState, Time};
use crate::transport::handshake::Handshake;
use crate::transport::medium::{Discard, Port, Sent, TcpOutlet, instant, time};
use crate::transport::segment::{self, Segment};

/// How many bytes one connection may send in one round, so that it cannot starve the others.
const BYTES_PER_ROUND: usize = 64 * 1024;

impl Connection {
    /// The next sequence number that we expect; `None` before the peer's SYN.
    pub(in crate::transport) fn rcv_nxt(&self) -> Option<TcpSeqNumber> {
        let fin =
            matches!(self.state(), TcpState::CloseWait | TcpState::LastAck | TcpState::Closing | TcpState::TimeWait);
        let received = self.consumed as usize + self.socket().recv_queue() + 1 + usize::from(fin);
        self.irs.map(|irs| TcpSeqNumber(irs.0.wrapping_add(received as i32)))
    }

    pub(in crate::transport) fn snd_nxt(&self) -> TcpSeqNumber {
        self.snd_nxt
    }

    /// The end of the window: what the buffer can take, and no more than we have advertised.
    pub(in crate::transport) fn receive_edge(&self) -> Option<TcpSeqNumber> {
        let rcv_nxt = self.rcv_nxt()?;
        let free = self.socket().recv_capacity() - self.socket().recv_queue();
        let buffer_edge = rcv_nxt + free;
        match self.advertised {
            Some((ack, window)) => Some(buffer_edge.min(ack + window as usize)),
            None => Some(buffer_edge),
        }
    }

    pub(in crate::transport) fn receive_window(&self) -> u16 {
        let free = self.socket().recv_capacity() - self.socket().recv_queue();
        u16::try_from(free).unwrap_or(u16::MAX)
    }

    /// What the peer's SYN says.
    pub(in crate::transport) fn note_syn(&mut self, segment: &Segment<'_>) {
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
    pub(in crate::transport) fn note_handshake(&mut self, handshake: &Handshake) {
        self.irs = Some(handshake.irs);
        self.peer = Peer {
            mss: handshake.mss,
            window_scale: handshake.window_scale,
            sack: handshake.sack,
            window: u32::from(handshake.window),
            first_checksum: handshake.checksum,
        };
        self.summary.packets_in = u64::from(handshake.syns);
        self.summary.packets_out = u64::from(handshake.tries + handshake.repeats);
        self.summary.retransmitted = u64::from((handshake.tries + handshake.repeats).saturating_sub(1));
    }

    /// Our own ACK, for a segment that must not be fed.
    pub(in crate::transport) fn challenge(&self) -> TcpRepr<'static> {
        TcpRepr {
            seq_number: self.snd_nxt,
            ack_number: self.rcv_nxt(),
            window_len: self.receive_window(),
            ..segment::bare(self.agreed.local, self.agreed.remote)
        }
    }

    /// The MSS of our own segments.
    pub(in crate::transport) fn send_mss(&self) -> u16 {
        let offered = if self.peer.mss == 0 { default_mss(self.agreed.remote) } else { self.peer.mss };
        offered.min(self.agreed.link_mss).min(self.path_mss)
    }

    /// Lets smoltcp see a segment that has passed the guards. `packet` is the IP packet with it.
    pub(in crate::transport) fn feed(
        &mut self,
        now: Time,
        interface: &mut Interface,
        packet: &[u8],
        out: &mut Packets,
    ) {
        let fate = Fate { states: None, ..self.fate_so_far() };
        self.run(packet, fate, out, |port, set| {
            interface.poll_ingress_single(instant(now), port, set);
        });
    }

    /// Sends what is due: data, ACKs, retransmissions, probes. Says whether there is more than one round may take.
    pub(in crate::transport) fn transmit(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) -> bool {
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
    pub(in crate::transport) fn replay_syn(&mut self, now: Time, interface: &mut Interface, syn: &[u8]) -> Result<()> {
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
    pub(in crate::transport) fn connect(
        &mut self,
        now: Time,
        interface: &mut Interface,
        out: &mut Packets,
    ) -> Result<()> {
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
            self.break_off();
        }
    }

    /// Its state machine has panicked. What that left behind is not looked at again: an empty one takes its place.
    fn break_off(&mut self) {
        self.ended = Some(Close::Panicked);
        let nothing = || tcp::SocketBuffer::new(Vec::new());
        *self.set = SocketSet::new(vec![SocketStorage::EMPTY]);
        self.handle = self.set.add(tcp::Socket::new(nothing(), nothing()));
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
    pub(in crate::transport) fn note_received(&mut self, segment: &Segment<'_>, before: TcpState) {
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
    pub(in crate::transport) fn settle(&mut self) {
        match self.state() {
            // Both directions are done; what is left is to wait for stray segments.
            TcpState::TimeWait => {
                self.ended.get_or_insert(self.closer.unwrap_or(Close::ByUs));
            }
            // Neither an orderly end nor a RST has been noted: smoltcp's own timer gave up.
            TcpState::Closed => {
                let told = self.soft_error.unwrap_or(Error::TimedOut);
                self.end(Close::TimedOut, told);
            }
            _ => {}
        }
    }

    /// When it wants to be looked at again; `None`: only when something happens.
    pub(in crate::transport) fn deadline(&mut self, now: Time, interface: &mut Interface) -> Option<Time> {
        let set = &self.set;
        // FACTS §1, panic 3, is one of this call.
        match catch_unwind(AssertUnwindSafe(|| interface.poll_at(instant(now), set))) {
            Ok(at) => at.map(time),
            Err(_) => {
                self.break_off();
                Some(now)
            }
        }
    }
}

/// What the peer's SYN offers, or the default of its family.
pub(in crate::transport) fn offered_mss(segment: &Segment<'_>) -> u16 {
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
