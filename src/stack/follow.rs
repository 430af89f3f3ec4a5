//! From effect to cause: what the layers did is compared with what was known before, and told in the order in which it
//! came about.
//!
//! Nothing here changes what the stack does. It is called where frames come in and packets go out, around every call, and
//! around the care of every connection, and only while somebody looks closely enough ([`Depth::Call`]). What programs do
//! is in `calls`.

use std::net::SocketAddr;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket};

use super::Stack;
use crate::ip::Packet;
use crate::link::Frames;
use crate::observe::{
    Depth, Direction, Event, EventId, Fate, Observer, Ownership, Rule, SocketId, TcpState, Time, TimerKind,
};
use crate::transport::Notice;

/// A connection before it was looked after.
pub(super) struct Before {
    pub(super) socket: SocketId,
    local: SocketAddr,
    remote: SocketAddr,
    state: TcpState,
}

impl Stack {
    /// Whether somebody looks so closely that causes are to be known.
    pub(super) fn follows(&self) -> bool {
        self.trail.shows(Depth::Call)
    }

    /// Somebody begins to look, or looks away.
    pub(super) fn follow(&mut self) {
        if self.causes.is_following != self.follows() {
            self.causes.follow(self.follows());
            self.sockets.want_deeds(self.follows());
        }
    }

    /// What was pushed, from the `first` packet on, leaves because of what is happening.
    pub(super) fn blame(&mut self, first: usize) {
        if let Some(cause) = self.trail.cause() {
            self.packets.because_of(first, cause);
        }
    }

    /// A packet was given to the transport, and this became of it. What happens from here on is because of that.
    pub(super) fn follow_in(&mut self, now: Time, packet: &Packet<'_>, fate: &Fate) {
        let socket = match fate.owner {
            Some(Ownership::Port { socket, .. }) => {
                let header = if packet.protocol == 17 { 8 } else { 0 };
                if fate.rule.is_none() {
                    self.follow_delivered(now, socket, packet.payload.len().saturating_sub(header));
                }
                return;
            }
            Some(Ownership::FourTuple { socket }) => socket,
            Some(Ownership::Listener { socket, .. }) if fate.states.is_some() => socket,
            _ => return,
        };
        let (Some(shape), Some(numbers)) = (Shape::of_segment(packet.payload), fate.numbers) else { return };
        let is_used = is_used(fate.rule);
        if let Some(Ownership::Listener { listener, .. }) = fate.owner {
            self.causes.track(listener).is_listener = true;
            self.causes.track(socket).listener = Some(listener.number);
        }
        let track = self.causes.track(socket);
        let change = fate.states.map(|(from, to)| (track.state.unwrap_or(from), to));
        if let Some((from, to)) = change {
            track.enter(from, to);
        }
        let mut acknowledges = None;
        if let (Some(ack), true) = (shape.ack, is_used) {
            acknowledges = track.sent.take_before(ack);
            track.written.take_before(ack.wrapping_sub(numbers.local));
        }
        let event = Event::Segment {
            socket,
            direction: Direction::In,
            seq: shape.seq.wrapping_sub(numbers.remote),
            length: shape.length,
            rule: fate.rule,
            original: None,
            acknowledges,
        };
        if let Some(id) = self.trail.note(now, event) {
            if is_used && shape.space() > 0 {
                track.note_received([shape.seq, shape.end()], id);
            }
            self.trail.because_of(Some(id));
        }
        if let Some((from, to)) = change
            && from != to
            && let Some(id) = self.trail.note(now, Event::State { socket, from, to })
        {
            track.note_state(to, id);
            self.trail.because_of(Some(id));
        }
        // What was dropped has caused its answer, and nothing of what those before it are still to cause.
        if is_used || change.is_some_and(|(from, to)| from != to) || track.came.is_none() {
            track.came = self.trail.cause();
        }
    }

    /// A datagram was put where its program reads.
    pub(super) fn follow_delivered(&mut self, now: Time, socket: SocketId, bytes: usize) {
        let id = self.trail.note(now, Event::Delivered { socket, bytes });
        self.causes.track(socket).delivered = id;
    }

    /// A connection was told an error, because of this.
    pub(super) fn follow_error(&mut self, fate: &Fate, cause: Option<EventId>) {
        if let Some(Ownership::FourTuple { socket }) = fate.owner {
            self.causes.track(socket).came = cause;
        }
    }

    /// The next call of a program is told an error, because of what is happening.
    pub(super) fn follow_notice(&mut self, notice: &Notice) {
        if let Notice::Undelivered { descriptor, error: Some(_), .. } = *notice
            && let Some(socket) = self.sockets.name_of(descriptor)
        {
            self.causes.track(socket).failed = self.trail.cause();
        }
    }

    /// A packet leaves. Tells the segment in it, and gives what its frames leave because of.
    pub(super) fn follow_out(
        &mut self,
        now: Time,
        packet: &[u8],
        fate: &Fate,
        observer: &mut dyn Observer,
    ) -> Option<EventId> {
        match fate.owner {
            Some(Ownership::FourTuple { socket }) => match Shape::of_packet(packet) {
                Some(shape) => self.follow_segment(now, socket, shape, fate, observer),
                None => fate.cause,
            },
            Some(Ownership::Port { socket, .. }) => {
                let header = header_len(packet);
                let is_length = |length: usize| {
                    packet.len().checked_sub(length).is_some_and(|rest| [0, header, header + 8].contains(&rest))
                };
                self.causes.track(socket).take_message(is_length).or(fate.cause)
            }
            _ => fate.cause,
        }
    }

    fn follow_segment(
        &mut self,
        now: Time,
        socket: SocketId,
        shape: Shape,
        fate: &Fate,
        observer: &mut dyn Observer,
    ) -> Option<EventId> {
        let numbers = fate.numbers?;
        let is_serving = self.causes.serving == Some(socket.number);
        let track = self.causes.track(socket);
        // While it is looked after, its state was told already.
        if let (Some((from, to)), false) = (fate.states, is_serving) {
            let from = track.state.unwrap_or(from);
            track.enter(from, to);
            if from != to {
                let cause = fate.cause.or(track.call).or(track.came);
                if let Some(id) = self.trail.tell_for(now, cause, Event::State { socket, from, to }, observer) {
                    track.note_state(to, id);
                }
            }
        }
        let original = if shape.space() > 0 { track.sent.find(shape.seq) } else { None };
        let timer = if is_serving { track.timer } else { track.timer.take() };
        let cause = match fate.rule {
            Some(rule) if original.is_some() || is_by_timer(rule) => {
                // smoltcp keeps the timer of a SYN itself.
                let timer = match rule {
                    Rule::TcpRetransmitTimeout if timer.is_none() && shape.syn => {
                        let timer = Event::Timer { socket: Some(socket), timer: TimerKind::Retransmission };
                        self.trail.tell_for(now, original, timer, observer)
                    }
                    _ => timer,
                };
                // A closed window is asked about at once when there is something to send.
                timer.or(fate.cause).or(track.came).or(track.call)
            }
            _ if shape.length > 0 => {
                let written = track.written.find(shape.seq.wrapping_sub(numbers.local));
                written.or(fate.cause).or(track.call).or(track.came)
            }
            _ if shape.space() > 0 || shape.rst => track.changed.or(fate.cause).or(track.call).or(track.came),
            _ => match fate.cause.or(track.came).or(track.read).or(timer) {
                Some(cause) => Some(cause),
                None if is_serving && track.state != Some(TcpState::SynSent) => {
                    let timer = Event::Timer { socket: Some(socket), timer: TimerKind::DelayedAck };
                    self.trail.tell_for(now, track.received.last().or(track.entered), timer, observer)
                }
                None => track.call,
            },
        };
        let event = Event::Segment {
            socket,
            direction: Direction::Out,
            seq: shape.seq.wrapping_sub(numbers.local),
            length: shape.length,
            rule: fate.rule,
            original,
            acknowledges: shape.ack.and_then(|ack| track.received.take_before(ack)),
        };
        let id = self.trail.tell_for(now, cause, event, observer);
        if let (Some(id), None) = (id, original)
            && shape.space() > 0
        {
            track.note_sent([shape.seq, shape.end()], id);
        }
        id.or(cause)
    }

    /// A connection is going to be looked after.
    pub(super) fn begin_service(&mut self, slot: usize) -> Option<Before> {
        let connection = self.transport.connection(slot)?;
        let (socket, local, remote) = (connection.id(), connection.local(), connection.remote());
        let state = connection.state();
        self.causes.serving = Some(socket.number);
        Some(Before { socket, local, remote, state })
    }

    /// It has been looked after, and its segments are still to leave.
    pub(super) fn follow_service(&mut self, now: Time, before: &Before, delivered: usize, observer: &mut dyn Observer) {
        self.follow_timers(now, observer);
        let &Before { socket, local, remote, state } = before;
        let after = self.transport.tcp_state(local, remote);
        let track = self.causes.track(socket);
        if delivered > 0 {
            let cause = track.came.or(track.read).or(track.received.last());
            track.delivered = self.trail.tell_for(now, cause, Event::Delivered { socket, bytes: delivered }, observer);
        }
        let from = track.state.unwrap_or(state);
        track.enter(from, after);
        if from != after {
            let fresh = track.call.filter(|_| track.is_called);
            let cause = fresh.or(track.timer).or(track.came).or(track.call);
            if let Some(id) = self.trail.tell_for(now, cause, Event::State { socket, from, to: after }, observer) {
                track.note_state(after, id);
            }
        }
    }

    /// Its segments have left.
    pub(super) fn end_service(&mut self, now: Time, socket: SocketId, observer: &mut dyn Observer) {
        let track = self.causes.track(socket);
        let before = self.trail.because_of(track.changed.or(track.timer).or(track.came).or(track.call));
        track.rest();
        self.causes.serving = None;
        self.show_lives(now, observer);
        self.trail.because_of(before);
    }

    /// Tells the timers of sockets that went off.
    pub(super) fn follow_timers(&mut self, now: Time, observer: &mut dyn Observer) {
        while let Some((socket, timer)) = self.transport.next_fired() {
            if !self.follows() {
                continue;
            }
            let track = self.causes.track(socket);
            let cause = if timer == TimerKind::TimeWait { track.entered } else { track.sent.first().or(track.entered) };
            let id = self.trail.tell_for(now, cause, Event::Timer { socket: Some(socket), timer }, observer);
            track.timer = id;
            if let (TimerKind::TimeWait, Some(from)) = (timer, track.state) {
                let to = TcpState::Closed;
                track.state = Some(to);
                track.entered = self.trail.tell_for(now, id.or(cause), Event::State { socket, from, to }, observer);
            }
        }
    }

    /// Frames that the link was asked for by time alone, from the `first` on, leave because of its timer.
    pub(super) fn show_timed_frames(
        &mut self,
        now: Time,
        timer: TimerKind,
        (first, out): (usize, &Frames),
        observer: &mut dyn Observer,
    ) {
        if out.len() > first {
            let id = self.trail.tell(now, Event::Timer { socket: None, timer }, observer);
            let before = self.trail.because_of(id);
            self.show_frames(now, first, out, observer);
            self.trail.because_of(before);
        }
    }

    /// The same for packets, which leave later.
    pub(super) fn follow_timed_packets(
        &mut self,
        now: Time,
        timer: TimerKind,
        first: usize,
        observer: &mut dyn Observer,
    ) {
        if self.packets.len() > first
            && let Some(id) = self.trail.tell(now, Event::Timer { socket: None, timer }, observer)
        {
            self.packets.because_of(first, id);
        }
    }
}

impl super::causes::Track {
    /// Its state is `to`. While a connection begins, nothing has been written, and nothing of an earlier one counts.
    fn enter(&mut self, from: TcpState, to: TcpState) {
        use TcpState::{Closed, Established, Listen, SynReceived, SynSent};
        self.state = Some(to);
        if matches!((from, to), (Closed | Listen, SynSent | SynReceived)) {
            (self.sent, self.received, self.written) = Default::default();
            (self.ended, self.broken, self.failed) = (None, None, None);
            self.written_to = Some(1);
        } else if matches!((from, to), (SynSent | SynReceived, Established)) && self.written_to.is_none() {
            self.written_to = Some(1);
        }
    }
}

/// Whether a segment that came is used, by this rule.
fn is_used(rule: Option<Rule>) -> bool {
    matches!(rule, None | Some(Rule::TcpCookieAccepted | Rule::TcpTimeWait | Rule::TcpRemnantAck | Rule::TcpAfterFin))
}

/// Whether a segment with this rule is sent because a timer went off, or because something came that said as much.
fn is_by_timer(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::TcpRetransmitTimeout
            | Rule::TcpRetransmitFast
            | Rule::TcpRetransmitPathMtu
            | Rule::TcpProbeTail
            | Rule::TcpProbeZeroWindow
            | Rule::TcpKeepalive
            | Rule::TcpSynAckTimeout
    )
}

/// How long the IP header is.
fn header_len(packet: &[u8]) -> usize {
    match packet.first() {
        Some(first) if first >> 4 == 4 => usize::from(first & 15) * 4,
        _ => 40,
    }
}

/// What a segment looks like.
#[derive(Debug, Clone, Copy)]
struct Shape {
    seq: u32,
    ack: Option<u32>,
    length: usize,
    syn: bool,
    fin: bool,
    rst: bool,
}

impl Shape {
    fn of_segment(bytes: &[u8]) -> Option<Shape> {
        let tcp = TcpPacket::new_checked(bytes).ok()?;
        Some(Shape {
            seq: tcp.seq_number().0 as u32,
            ack: tcp.ack().then(|| tcp.ack_number().0 as u32),
            length: tcp.payload().len(),
            syn: tcp.syn(),
            fin: tcp.fin(),
            rst: tcp.rst(),
        })
    }

    /// Of a packet of ours, whose lengths and checksums may still be missing.
    fn of_packet(packet: &[u8]) -> Option<Shape> {
        let is_tcp = match packet.first()? >> 4 {
            4 if packet.len() >= 20 => Ipv4Packet::new_unchecked(packet).next_header() == IpProtocol::Tcp,
            6 if packet.len() >= 40 => Ipv6Packet::new_unchecked(packet).next_header() == IpProtocol::Tcp,
            _ => false,
        };
        if !is_tcp {
            return None;
        }
        Shape::of_segment(packet.get(header_len(packet)..)?)
    }

    /// How many sequence numbers it takes.
    fn space(&self) -> usize {
        self.length + usize::from(self.syn) + usize::from(self.fin)
    }

    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.space() as u32)
    }
}
