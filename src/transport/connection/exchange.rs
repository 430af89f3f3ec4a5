//! Segments in and out of one connection: smoltcp is run here, and nowhere else.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use smoltcp::iface::{Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::wire::{TcpControl, TcpRepr, TcpSeqNumber, TcpTimestampRepr};

use super::shadow::fed_mss;
use super::{Connection, Handshaken};
use crate::error::{Error, Result};
use crate::ip::{Packet, Packets};
use crate::observe::{Close, Fate, Rule, TcpState, Time};
use crate::transport::medium::{Discard, Kind, Noted, Plan, Port, Sent, TcpOutlet, instant, time};
use crate::transport::options::Options;
use crate::transport::segment::{self, Segment};
use crate::transport::sequence::{add, is_after, later, span};
use crate::transport::timestamp;

/// How many bytes one connection may send in one round, so that it cannot starve the others.
const BYTES_PER_ROUND: usize = 64 * 1024;

/// How long smoltcp waits before it sends an ACK alone.
const ACK_DELAY: Duration = Duration::from_millis(10);

/// When a connection wants to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum Next {
    /// There is more than one round may take.
    AtOnce,
    /// At this moment; `None`: only when something happens.
    At(Option<Time>),
}

impl Connection {
    /// Lets smoltcp see a segment that has passed the guards; `keep`: no more of its payload than this, and no FIN.
    /// Gives a rule if smoltcp did not do with it what it should.
    pub(in crate::transport) fn feed(
        &mut self,
        now: Time,
        interface: &mut Interface,
        (packet, segment, keep): (&Packet<'_>, &Segment<'_>, Option<usize>),
        scratch: &mut Vec<u8>,
        out: &mut Packets,
    ) -> Option<Rule> {
        match self.state() {
            TcpState::SynSent if segment.is_syn() => {
                self.note_syn(segment, now);
                let control = TcpControl::Syn;
                let mss = fed_mss(self.send_mss(), self.timestamps.is_some());
                let repr = TcpRepr {
                    control,
                    seq_number: segment.repr.seq_number,
                    ack_number: segment.repr.ack_number,
                    window_len: segment.repr.window_len,
                    max_seg_size: Some(mss),
                    window_scale: Some(self.shift),
                    ..segment::bare(segment.remote, segment.local)
                };
                self.feed_repr(now, interface, &repr, out);
                None
            }
            TcpState::SynSent => {
                self.feed_bytes(now, interface, (packet, segment), scratch, out);
                None
            }
            // smoltcp answers an ACK of something else in SYN-RECEIVED with a RST.
            TcpState::SynReceived if segment.repr.ack_number != Some(add(self.agreed.isn, 1)) => {
                self.feed_bytes(now, interface, (packet, segment), scratch, out);
                None
            }
            _ if segment.is_rst() || segment.is_syn() => {
                self.feed_bytes(now, interface, (packet, segment), scratch, out);
                None
            }
            _ => self.feed_synchronized(now, interface, (packet, segment, keep), scratch, out),
        }
    }

    /// The acknowledgment of a segment that is old by one number, and otherwise not used: two ends that probe each
    /// other's window at the same time both acknowledge with the number of their own probe, and neither would listen.
    pub(in crate::transport) fn feed_probe(
        &mut self,
        now: Time,
        interface: &mut Interface,
        (packet, segment): (&Packet<'_>, &Segment<'_>),
        scratch: &mut Vec<u8>,
        out: &mut Packets,
    ) {
        let is_news = |ack| is_after(ack, self.snd_una()) && !is_after(ack, self.snd_nxt());
        if self.is_synchronized() && segment.repr.ack_number.is_some_and(is_news) {
            self.feed_synchronized(now, interface, (packet, segment, Some(0)), scratch, out);
        }
    }

    fn feed_synchronized(
        &mut self,
        now: Time,
        interface: &mut Interface,
        (packet, segment, keep): (&Packet<'_>, &Segment<'_>, Option<usize>),
        scratch: &mut Vec<u8>,
        out: &mut Packets,
    ) -> Option<Rule> {
        let repr = &segment.repr;
        let (Some(ack), Some(rcv_nxt)) = (repr.ack_number, self.rcv_nxt()) else { return Some(Rule::TcpUnclassified) };
        let payload = keep.unwrap_or(repr.payload.len());
        let is_bare = payload == 0 && (repr.control != TcpControl::Fin || keep.is_some());
        let una = self.recovery.una();
        let edge = self.recovery.edge();
        let scale = self.peer.window_scale.unwrap_or(0);
        self.recovery.note_window(repr.seq_number, ack, usize::from(repr.window_len) << scale);
        let is_copy = is_bare && ack == una && edge == self.recovery.edge() && self.recovery.is_outstanding();
        let acknowledged = later(ack, una);
        self.recovery.on_ack(now, acknowledged, &repr.sack_ranges, is_copy);
        if is_after(ack, una) {
            // Whatever an ICMP error said has passed.
            self.soft_error = None;
        }
        if let (Some(timestamps), Some(option), Some((last_ack, _))) =
            (&mut self.timestamps, repr.timestamp, self.advertised)
        {
            timestamps.note(option.tsval, repr.seq_number, last_ack, now);
        }
        let before = self.state();
        let expected = if is_bare {
            let is_news = is_after(ack, una) || before == TcpState::SynReceived;
            // smoltcp would count duplicates, and what is lost is not its business.
            if is_news {
                self.feed_ack(now, interface, acknowledged, out);
            }
            rcv_nxt
        } else {
            let end = add(repr.seq_number, payload);
            let mut expected = rcv_nxt;
            if is_after(repr.seq_number, rcv_nxt) {
                self.gaps.add(repr.seq_number, end);
            } else if is_after(end, rcv_nxt) {
                expected = self.gaps.fill(end);
            }
            let window = repr.window_len.max(self.least_field());
            self.believed = usize::from(window) << self.shift;
            if repr.control == TcpControl::Fin && keep.is_none() && end == rcv_nxt && payload > 0 {
                // Sent again with data that is here already: smoltcp does not count a FIN as part of a segment, and
                // would take this one for old.
                let fin = TcpRepr {
                    control: TcpControl::Fin,
                    seq_number: rcv_nxt,
                    ack_number: Some(acknowledged),
                    window_len: window,
                    ..segment::bare(segment.remote, segment.local)
                };
                self.feed_repr(now, interface, &fin, out);
            } else if acknowledged == ack && keep.is_none() && window == repr.window_len {
                self.feed_bytes(now, interface, (packet, segment), scratch, out);
            } else {
                let kept = (payload, keep.is_some());
                segment::rebuild_cut(packet, segment, kept, (acknowledged, window), scratch);
                self.run(scratch, self.fate_unshown(), (now, now), None, out, interface);
            }
            expected
        };
        let is_alive = !matches!(self.state(), TcpState::Closed | TcpState::TimeWait) && self.ended.is_none();
        let is_late = self.rcv_nxt().is_none_or(|rcv_nxt| is_after(expected, rcv_nxt));
        (is_alive && before != TcpState::TimeWait && (is_late || !self.is_queue_right()))
            .then_some(Rule::TcpUnclassified)
    }

    /// Whether smoltcp holds what was handed over and is not acknowledged.
    fn is_queue_right(&self) -> bool {
        let acknowledged = span(add(self.agreed.isn, 1), self.recovery.una()) as u32;
        let left = (self.summary.bytes_out as u32).wrapping_sub(acknowledged);
        // The FIN has a number and no byte.
        self.socket().send_queue() as u32 == left || left == u32::MAX
    }

    /// The segment as it came, behind a plain header and without options that smoltcp would refuse it for.
    fn feed_bytes(
        &mut self,
        now: Time,
        interface: &mut Interface,
        (packet, segment): (&Packet<'_>, &Segment<'_>),
        scratch: &mut Vec<u8>,
        out: &mut Packets,
    ) {
        let header = packet.bytes.len() - packet.payload.len();
        let simple = if packet.source.is_ipv4() { 20 } else { 40 };
        let bytes = if header == simple && !segment.has_odd_options {
            packet.bytes
        } else {
            segment::rebuild(packet, packet.payload, scratch);
            if segment.has_odd_options {
                segment::mute_options(&mut scratch[simple..]);
            }
            scratch
        };
        self.run(bytes, self.fate_unshown(), (now, now), None, out, interface);
    }

    /// A segment with nothing but an acknowledgment and the window that smoltcp may use.
    pub(super) fn feed_ack(&mut self, now: Time, interface: &mut Interface, ack: TcpSeqNumber, out: &mut Packets) {
        let field = self.window_field(now);
        self.feed_window(now, interface, ack, field, out);
    }

    pub(super) fn feed_window(
        &mut self,
        now: Time,
        interface: &mut Interface,
        ack: TcpSeqNumber,
        field: u16,
        out: &mut Packets,
    ) {
        let Some(rcv_nxt) = self.rcv_nxt() else { return };
        self.acknowledge_fin(now, rcv_nxt, interface, out);
        self.believed = usize::from(field) << self.shift;
        let repr = TcpRepr {
            seq_number: rcv_nxt,
            ack_number: Some(ack),
            window_len: field,
            ..segment::bare(self.agreed.remote, self.agreed.local)
        };
        self.feed_repr(now, interface, &repr, out);
    }

    /// A FIN may stand right behind a full window. Until smoltcp has acknowledged it, its window ends before the number
    /// that it expects, and it takes no segment at all.
    fn acknowledge_fin(&mut self, now: Time, rcv_nxt: TcpSeqNumber, interface: &mut Interface, out: &mut Packets) {
        let is_beyond = self.advertised.is_some_and(|(ack, window)| is_after(rcv_nxt, add(ack, window as usize)));
        if is_beyond {
            let mut plan = self.plan(now, Vec::new(), None);
            self.run(&[], self.fate_unshown(), (now, now + ACK_DELAY), Some(&mut plan), out, interface);
            self.is_rewound |= plan.is_unexpected;
            self.note_reached(&plan);
        }
    }

    fn feed_repr(&mut self, now: Time, interface: &mut Interface, repr: &TcpRepr<'_>, out: &mut Packets) {
        let ip = segment::header(self.agreed.remote, self.agreed.local, repr.buffer_len());
        let mut packet = [0; 40 + 60];
        let packet = &mut packet[..ip.header_len() + repr.buffer_len()];
        segment::write(&ip, repr, packet);
        self.run(packet, self.fate_unshown(), (now, now), None, out, interface);
    }

    #[cfg(test)]
    pub(in crate::transport) fn feed_unguarded(
        &mut self,
        now: Time,
        interface: &mut Interface,
        packet: &[u8],
        out: &mut Packets,
    ) {
        self.run(packet, self.fate_unshown(), (now, now), None, out, interface);
    }

    pub(super) fn fate_unshown(&self) -> Fate {
        Fate { states: None, ..self.fate_so_far() }
    }

    /// The window that smoltcp may use, as it stands in a header: not 0 unless the peer's is, and never more than the
    /// peer's, except for what is on its way.
    fn window_field(&mut self, now: Time) -> u16 {
        let (wanted, allowed) = self.recovery.window(now);
        let field = (wanted >> self.shift).max(1).min(allowed >> self.shift);
        u16::try_from(field).unwrap_or(u16::MAX).max(self.least_field())
    }

    /// A peer may take back what it has allowed (RFC 9293 §3.8.6). smoltcp is not told so of what is on its way: with a
    /// closed window it gives up its retransmission timer, and could not be made to send that again.
    fn least_field(&self) -> u16 {
        if !self.recovery.is_outstanding() {
            return 0;
        }
        let outstanding = span(self.recovery.una(), self.recovery.nxt());
        u16::try_from((outstanding >> self.shift).max(1)).unwrap_or(u16::MAX)
    }

    /// Tells smoltcp a window that reaches to `end`, so that it can send again what lies before; the field counts in
    /// steps, so that this may be a few bytes more than is on its way.
    pub(super) fn tell_window_until(
        &mut self,
        now: Time,
        end: TcpSeqNumber,
        interface: &mut Interface,
        out: &mut Packets,
    ) {
        let una = self.recovery.una();
        let (_, allowed) = self.recovery.window(now);
        let field = span(una, end).div_ceil(1 << self.shift).min(allowed >> self.shift);
        let field = u16::try_from(field).unwrap_or(u16::MAX);
        if self.believed < usize::from(field) << self.shift && self.state() != TcpState::LastAck {
            self.feed_window(now, interface, una, field, out);
        }
    }

    pub(super) fn is_synchronized(&self) -> bool {
        use TcpState::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck};
        matches!(self.state(), Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck)
    }

    /// Tells smoltcp the window, if it would send more or less than it may.
    pub(super) fn tell_window(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) {
        let queue = self.socket().send_queue();
        // In LAST-ACK smoltcp takes a segment that acknowledges nothing new for an error.
        if queue == 0 || self.state() == TcpState::LastAck {
            return;
        }
        let allowed = usize::from(self.window_field(now)) << self.shift;
        if self.believed != allowed && self.believed.min(queue) != allowed.min(queue) {
            self.feed_ack(now, interface, self.recovery.una(), out);
        }
    }

    /// In LAST-ACK smoltcp can no longer be told that a closed window has opened; so it enters that state when
    /// everything before the FIN can leave in this round.
    fn close_late(&mut self, now: Time) {
        if !self.is_closing || self.state() != TcpState::CloseWait {
            return;
        }
        let queue = self.socket().send_queue();
        let room = (usize::from(self.window_field(now)) << self.shift).min(BYTES_PER_ROUND);
        let unsent = queue.saturating_sub(span(self.recovery.una(), self.recovery.nxt()));
        if unsent == 0 || queue <= room {
            self.socket_mut().close();
        }
    }

    /// Sends what is due: data, ACKs, retransmissions, probes.
    pub(in crate::transport) fn transmit(&mut self, now: Time, interface: &mut Interface, out: &mut Packets) -> Next {
        let start = out.bytes_used();
        if self.is_synchronized() {
            self.recovery.on_time(now);
            self.resend(now, interface, out);
            self.tell_window(now, interface, out);
            self.close_late(now);
            let is_closed = if self.recovery.is_outstanding() {
                self.recovery.is_closed()
            } else {
                self.socket().send_queue() > 0 && self.window_field(now) == 0
            };
            if self.recovery.probes_window(now, is_closed) {
                self.probe_window(now, interface, out);
            }
        }
        if self.waits_for_reader() {
            return Next::At(None);
        }
        loop {
            let deadline = self.deadline(now, interface);
            if self.ended == Some(Close::Panicked) || deadline.is_none_or(|at| at > now) {
                return Next::At(self.with_recovery(deadline));
            }
            let before = out.len();
            let fate = self.fate_so_far();
            let is_closed = self.believed == 0;
            let is_special = is_closed || self.is_rewound || self.recovery.is_overdue(now) || !self.is_synchronized();
            let mut plan = is_special.then(|| self.plan(now, Vec::new(), None));
            self.run(&[], fate, (now, now), plan.as_mut(), out, interface);
            if self.ended == Some(Close::Panicked) {
                return Next::At(None);
            }
            let was_dropped = plan.as_ref().is_some_and(|plan| plan.reached.is_some());
            if let Some(plan) = plan {
                self.note_reached(&plan);
                if plan.is_unexpected {
                    // smoltcp's own timer has gone off before ours.
                    self.is_rewound = true;
                    self.recovery.on_timeout(now);
                    self.resend(now, interface, out);
                    self.tell_window(now, interface, out);
                    continue;
                }
            }
            if out.len() == before && !was_dropped {
                let deadline = self.deadline(now, interface);
                return Next::At(self.with_recovery(deadline));
            }
            if let Some((_, shown)) = fate.states {
                self.shown = shown;
            }
            if out.bytes_used() - start > BYTES_PER_ROUND {
                return Next::AtOnce;
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
        let mut sent = Noted::default();
        let mut port = Port { incoming: Some(syn), outlet: Discard { sent: &mut sent } };
        interface.poll_ingress_single(instant(now), &mut port, &mut self.set);
        interface.poll_egress(instant(now), &mut port, &mut self.set);
        match (sent.iter().next(), sent.iter().count()) {
            (Some(syn_ack), 1) if syn_ack.syn && syn_ack.seq == self.agreed.isn => {
                self.note_sent(*syn_ack, now);
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
        if self.has_sent_syn { Ok(()) } else { Err(Error::ConnectionAborted) }
    }

    /// Lets smoltcp see `packet`, or, if it is empty, do what is due at the second of the moments.
    pub(super) fn run(
        &mut self,
        packet: &[u8],
        fate: Fate,
        (now, moment): (Time, Time),
        plan: Option<&mut Plan>,
        out: &mut Packets,
        interface: &mut Interface,
    ) {
        let mut options = Options::default();
        if let Some(timestamps) = &self.timestamps {
            options.timestamp(timestamps.option(now));
        }
        let reports = self.peer.sack && !self.gaps.is_empty();
        if reports {
            options.sack(self.gaps.report());
        }
        let segment = usize::from(self.send_mss()).saturating_sub(options.len()) as u16;
        let segment = NonZeroU16::new(segment).unwrap_or(NonZeroU16::MIN);
        let mut sent = Noted::default();
        let outlet = TcpOutlet { out, fate, segment, options, sent: &mut sent, plan };
        let mut port = Port { incoming: (!packet.is_empty()).then_some(packet), outlet };
        let set = &mut self.set;
        let survived = catch_unwind(AssertUnwindSafe(|| {
            if packet.is_empty() {
                interface.poll_egress(instant(moment), &mut port, set);
            } else {
                interface.poll_ingress_single(instant(moment), &mut port, set);
            }
        }))
        .is_ok();
        if reports && !sent.is_empty() {
            self.gaps.reported();
        }
        for &segment in sent.iter() {
            self.note_sent(segment, now);
        }
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

    /// What smoltcp's segments are compared with on their way out.
    pub(super) fn plan(&self, now: Time, due: Vec<(TcpSeqNumber, TcpSeqNumber)>, rule: Option<Rule>) -> Plan {
        Plan {
            syn: self.syn_options(now),
            una: self.recovery.una(),
            nxt: self.recovery.nxt(),
            is_closed: self.believed == 0,
            due,
            rule,
            is_expected: self.is_rewound,
            is_unexpected: false,
            reached: None,
            scratch: Vec::new(),
        }
    }

    /// Our SYN offers everything; our SYN-ACK what the peer has offered.
    fn syn_options(&self, now: Time) -> Options {
        let clock = self.agreed.clock;
        if self.irs.is_none() {
            let timestamp = TcpTimestampRepr::new(timestamp::value(clock, now), 0);
            return Options::syn(self.agreed.link_mss, Some(0), true, Some(timestamp));
        }
        let timestamp = self.timestamps.map(|timestamps| timestamps.option(now));
        Options::syn(self.agreed.link_mss, self.peer.window_scale.map(|_| 0), self.peer.sack, timestamp)
    }

    /// Whether smoltcp has come back to where it was before it went back.
    pub(super) fn note_reached(&mut self, plan: &Plan) {
        if plan.reached.is_some_and(|reached| !is_after(self.recovery.nxt(), reached)) {
            self.is_rewound = false;
        }
    }

    fn note_sent(&mut self, sent: Sent, now: Time) {
        let length = sent.payload + usize::from(sent.syn) + usize::from(sent.fin);
        let end = add(sent.seq, length);
        let segments = sent.payload.div_ceil(usize::from(self.send_mss().max(1))).max(1) as u64;
        self.summary.packets_out += segments;
        if sent.syn {
            self.summary.retransmitted += u64::from(self.has_sent_syn);
            self.has_sent_syn = sent.seq == self.agreed.isn;
        } else if length > 0 && !sent.rst {
            match sent.kind {
                Kind::New if is_after(end, self.recovery.nxt()) => {
                    self.recovery.on_sent(self.recovery.nxt(), end, now);
                }
                Kind::WindowProbe => self.recovery.on_window_probe(end),
                Kind::New | Kind::Again => {
                    self.recovery.on_sent_again(sent.seq, end, now);
                    self.summary.retransmitted += segments;
                }
            }
        }
        // smoltcp does not take note of the window that it advertises in a probe: what lies beyond the one before, it
        // would cut off.
        if let (Some(ack), false) = (sent.ack, sent.rst || sent.kind == Kind::WindowProbe) {
            self.advertised = Some((ack, u32::from(sent.window)));
        }
    }

    /// Takes note of what a segment changed: `before` is the state before it was fed.
    pub(in crate::transport) fn note_received(&mut self, segment: &Segment<'_>, before: TcpState) {
        self.peer.window = span(self.recovery.una(), self.recovery.edge()) as u32;
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

    /// Whether all that is left is a program that has not read everything yet. smoltcp's TIME-WAIT ends after ten
    /// seconds, and what is unread would end with it.
    fn waits_for_reader(&self) -> bool {
        self.state() == TcpState::TimeWait && self.unread() > 0 && self.has_acknowledged()
    }

    /// When smoltcp has something to do; a moment that has passed: now. `None`: only when something happens.
    fn deadline(&mut self, now: Time, interface: &mut Interface) -> Option<Time> {
        let set = &self.set;
        // FACTS §1, panic 3, is one of this call.
        match catch_unwind(AssertUnwindSafe(|| interface.poll_at(instant(now), set))) {
            Ok(at) => at.map(time),
            Err(_) => {
                self.break_off();
                None
            }
        }
    }

    fn with_recovery(&self, deadline: Option<Time>) -> Option<Time> {
        let recovery = if self.is_synchronized() { self.recovery.deadline() } else { None };
        [recovery, deadline].into_iter().flatten().min()
    }
}
