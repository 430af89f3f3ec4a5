//! What smoltcp is shown: segments that have passed the guards, and the window that it may use.

use std::time::Duration;

use smoltcp::iface::Interface;
use smoltcp::wire::{TcpControl, TcpRepr, TcpSeqNumber};

use super::Connection;
use super::exchange::BYTES_PER_ROUND;
use super::shadow::fed_mss;
use crate::ip::{Packet, Packets};
use crate::observe::{Fate, Rule, TcpState, Time};
use crate::transport::segment::{self, Segment};
use crate::transport::sequence::{add, is_after, later, span};

/// How long smoltcp waits before it sends an ACK alone.
const ACK_DELAY: Duration = Duration::from_millis(10);

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
    pub(super) fn window_field(&mut self, now: Time) -> u16 {
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
    pub(super) fn close_late(&mut self, now: Time) {
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
}
