//! From effect to cause: what the layers did is compared with what was known before, and told in the order in which it
//! came about.
//!
//! Nothing here changes what the stack does. It is called where frames come in and packets go out, around every call, and
//! around the care of every connection, and only while somebody looks closely enough ([`Depth::Call`]).

use std::borrow::Cow;
use std::net::SocketAddr;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TcpPacket};

use super::Stack;
use super::causes::Waiting;
use crate::error::Error;
use crate::ip::Packet;
use crate::link::Frames;
use crate::observe::{
    CallKind, Depth, Direction, Event, EventId, Fate, Observer, Ownership, Protocol, Rule, SocketId, TcpState, Time,
    TimerKind,
};
use crate::pipe::{Attempt, Deed};
use crate::socket::Call;
use crate::transport::{Holder, Life, Notice};

/// A connection before it was looked after.
pub(super) struct Before {
    pub(super) socket: SocketId,
    local: SocketAddr,
    remote: SocketAddr,
    state: TcpState,
}

/// A call before it was done.
pub(super) struct Called {
    id: Option<EventId>,
    socket: Option<SocketId>,
    ticket: u64,
    name: Cow<'static, str>,
    address: Option<SocketAddr>,
    /// What the program has asked for as well, and what is told if it goes well.
    next: Option<CallKind>,
    /// How many packets waited.
    waiting: usize,
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
        track.came = self.trail.cause();
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
                timer.or(fate.cause).or(track.came)
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

    /// A program calls.
    pub(super) fn begin_call(&mut self, now: Time, call: &Call, observer: &mut dyn Observer) -> Called {
        let socket = call.verb.socket().and_then(|handle| self.sockets.name_in_call(handle));
        let (told, next) = (call.verb.told(), call.verb.told_next());
        let name = told.as_ref().map(CallKind::name).unwrap_or_default();
        let address = told.as_ref().and_then(CallKind::address);
        let id = told.and_then(|call| self.trail.tell(now, Event::Call { socket, call }, observer));
        self.note_call(socket, id);
        self.trail.because_of(id);
        Called { id, socket, ticket: call.ticket, name, address, next, waiting: self.packets.len() }
    }

    /// It was done, has failed, or takes time.
    pub(super) fn end_call(&mut self, now: Time, called: Called, observer: &mut dyn Observer) {
        self.blame(called.waiting);
        let Called { id, socket, ticket, name: call, address, next, waiting } = called;
        let finished = self.sockets.finished().find(|(finished, _)| *finished == ticket);
        if let (Some((_, None)), Some(call)) = (finished, next) {
            let id = self.trail.tell_for(now, None, Event::Call { socket, call }, observer);
            self.trail.because_of(id);
        }
        self.show_lives(now, observer);
        match finished {
            _ if id.is_none() => {}
            None => {
                let made = self.packets.iter_from(waiting).next().and_then(|packet| packet.fate.owner);
                let socket = socket.or(made.map(|owner| owner.socket()));
                self.causes.wait(ticket, Waiting { id, socket, call, address });
            }
            Some((_, Some(error))) => {
                let error = Some(error.name().into());
                self.trail.tell_for(now, id, Event::Return { socket, call, address, error }, observer);
            }
            Some((_, None)) => {}
        }
        self.trail.because_of(None);
    }

    fn note_call(&mut self, socket: Option<SocketId>, id: Option<EventId>) {
        if let (Some(socket), Some(_)) = (socket, id) {
            let track = self.causes.track(socket);
            (track.call, track.is_called) = (id, true);
        }
    }

    /// Tells which calls that took time are done.
    pub(super) fn follow_returns(&mut self, now: Time, observer: &mut dyn Observer) {
        if self.causes.calls.is_empty() {
            return;
        }
        for (ticket, error) in self.sockets.finished() {
            if let Some(Waiting { id, socket, call, address }) = self.causes.calls.remove(&ticket) {
                let cause = socket.and_then(|socket| self.causes.find(socket)).and_then(|track| track.life);
                let event = Event::Return { socket, call, address, error: error.map(|error| error.name().into()) };
                self.trail.tell_for(now, cause.or(id), event, observer);
            }
        }
    }

    /// Tells what programs have done at their ends of the pipes.
    pub(super) fn follow_deeds(&mut self, now: Time, observer: &mut dyn Observer) {
        let mut deeds = std::mem::take(&mut self.causes.deeds);
        let lost = self.sockets.take_deeds(&mut deeds);
        for (descriptor, deed) in deeds.drain(..) {
            let known = self.sockets.name_of(descriptor);
            let Some(socket) = self.causes.name(descriptor, known) else { continue };
            let track = self.causes.track(socket);
            if deed == Deed::Close && std::mem::replace(&mut track.is_closed, true) {
                continue;
            }
            let (call, cause) = match deed {
                Deed::Accept => match track.accepted.pop_front() {
                    None => (CallKind::Accept, None),
                    Some((accepted, id)) => {
                        self.causes.track(accepted).listener = None;
                        (CallKind::Accept, Some(id))
                    }
                },
                Deed::Read(bytes) => (CallKind::Read { bytes }, track.delivered),
                Deed::End => (CallKind::ReadEnd, track.ended),
                Deed::Write(bytes) => (CallKind::Write { bytes }, None),
                Deed::ShutdownRead => (CallKind::ShutdownRead, None),
                Deed::ShutdownWrite => (CallKind::ShutdownWrite, None),
                Deed::Close => (CallKind::Close, None),
                Deed::Failed(attempt, errno) => {
                    let error = Error::from_errno(errno);
                    let cause = match error {
                        // It is the call's own fault.
                        Some(Error::MessageTooLong) => None,
                        _ => track.take_failure(attempt, error == Some(Error::BrokenPipe)),
                    };
                    let error = error.map(|error| error.name().into());
                    let event = Event::Return { socket: Some(socket), call: name_of(attempt), address: None, error };
                    self.trail.tell_for(now, cause, event, observer);
                    continue;
                }
            };
            let Some(id) = self.trail.tell_for(now, cause, Event::Call { socket: Some(socket), call }, observer) else {
                continue;
            };
            let track = self.causes.track(socket);
            match deed {
                Deed::Accept | Deed::End | Deed::Failed(..) => {}
                Deed::Read(_) => track.read = Some(id),
                Deed::Write(bytes) => {
                    (track.call, track.is_called) = (Some(id), true);
                    if socket.protocol != Protocol::Tcp {
                        track.note_message(bytes, id);
                    }
                    track.note_written(bytes, id);
                }
                Deed::ShutdownRead | Deed::ShutdownWrite | Deed::Close => {
                    (track.call, track.is_called) = (Some(id), true);
                    self.follow_end(socket, deed, id);
                }
            }
        }
        self.causes.deeds = deeds;
        if lost > 0 {
            self.causes.lose_count();
        }
    }

    /// A program has ended a direction of its socket, or both, by this call.
    fn follow_end(&mut self, socket: SocketId, deed: Deed, id: EventId) {
        let track = self.causes.track(socket);
        match deed {
            Deed::ShutdownRead => track.note_end(id),
            Deed::ShutdownWrite => track.broken = track.broken.or(Some(id)),
            _ => {}
        }
        // No segment says so to the one that it is joined to.
        if let Some(peer) = track.joined {
            let peer = self.causes.track(peer);
            match deed {
                Deed::ShutdownRead if socket.protocol == Protocol::Unix => peer.broken = peer.broken.or(Some(id)),
                Deed::ShutdownWrite => peer.note_end(id),
                Deed::Close => peer.note_death(id),
                _ => {}
            }
        }
        if deed != Deed::ShutdownWrite {
            self.causes.unlisten(socket, id);
        }
    }

    /// What becomes of a socket because of what is happening, or of what its program did.
    pub(super) fn cause_of(&mut self, life: &Life) -> Option<EventId> {
        match *life {
            Life::Datagram { socket, length, .. } => {
                self.causes.track(socket).take_message(|written| written == length).or(self.trail.cause())
            }
            Life::Closed { socket, .. } if self.trail.cause().is_none() => self.causes.track(socket).call,
            _ => self.trail.cause(),
        }
    }

    /// What became of a socket was told.
    pub(super) fn note_life(&mut self, life: &Life, id: Option<EventId>) {
        match *life {
            Life::Accepted { socket, listener: Holder { id: listener, .. }, .. }
            | Life::UnixAccepted { socket, listener: Holder { id: listener, .. }, .. } => {
                self.causes.track(socket).life = id;
                self.causes.track(socket).listener = Some(listener.number);
                if let Some(id) = id {
                    self.causes.track(listener).note_accepted(socket, id);
                }
            }
            Life::Connected { socket, .. } | Life::Opened { socket: Holder { id: socket, .. }, .. } => {
                self.causes.track(socket).life = id;
            }
            Life::Closed { socket, .. } => {
                let track = self.causes.track(socket);
                track.life = id;
                id.into_iter().for_each(|id| track.note_death(id));
            }
            Life::Joined { socket, peer } => {
                self.causes.track(socket).joined = Some(peer);
                self.causes.track(peer).joined = Some(socket);
            }
            Life::Datagram { peer, rule: None, .. } => self.causes.track(peer).delivered = id,
            Life::Bound { .. } | Life::UnixBound { .. } | Life::Datagram { .. } => {}
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

/// What the man pages call it.
const fn name_of(attempt: Attempt) -> Cow<'static, str> {
    Cow::Borrowed(match attempt {
        Attempt::Accept => "accept",
        Attempt::Connect => "connect",
        Attempt::Read => "read",
        Attempt::Write => "write",
        Attempt::Error => "SO_ERROR",
    })
}

/// Whether a segment that came is used, by this rule.
fn is_used(rule: Option<Rule>) -> bool {
    matches!(rule, None | Some(Rule::TcpCookieAccepted | Rule::TcpTimeWait | Rule::TcpRemnantAck))
}

/// Whether a segment with this rule is sent because a timer went off, or because something came that said as much.
fn is_by_timer(rule: Rule) -> bool {
    matches!(
        rule,
        Rule::TcpRetransmitTimeout
            | Rule::TcpRetransmitFast
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
