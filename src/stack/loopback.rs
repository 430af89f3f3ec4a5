//! The loopback: packets for our own addresses, from the way down to the way up.
//!
//! [`Stack::flush`] takes them off the way down, with their checksums filled in like those of any packet, and they wait
//! here, in the arena that they were written in. [`Stack::arrive`] hands them to `ip` a burst at a time, as if they had
//! come in. Nothing calls itself: what they lead to is sent by the next flush and arrives in the next burst, and a step
//! that has done its share leaves the rest to the next step.

use super::Stack;
use crate::ip::{Form, Outgoing, Packets};
use crate::link::Frames;
use crate::observe::{Depth, Direction, Event, EventId, Fate, Observer, Rule, Time};

/// How many packets arrive before the connections that they changed have a turn: as many as the engine reads frames.
const BURST: usize = 64;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Loopback {
    /// The burst that is arriving, and how many of its packets have.
    arriving: Packets,
    arrived: usize,
    /// What was sent since.
    waiting: Packets,
}

impl Loopback {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.arriving.is_empty()
    }

    /// The bytes of what waits, give or take a burst that has begun to arrive.
    pub(super) fn bytes_used(&self) -> usize {
        self.arriving.bytes_used() + self.waiting.bytes_used()
    }

    /// Takes `packets` and what stands behind them, and leaves an empty arena. The first ones move with their arena; what
    /// joins those that wait is copied.
    pub(super) fn take(&mut self, packets: &mut Packets, batch: &Batch) {
        if self.waiting.is_empty() && !packets.is_empty() {
            std::mem::swap(&mut self.waiting, packets);
        } else {
            self.waiting.append(packets);
        }
        self.waiting.append(&batch.copies);
        packets.clear();
    }

    /// The memory of a burst is free again when all of it has arrived.
    fn tidy(&mut self) {
        if self.arrived >= self.arriving.len() {
            self.arriving.clear();
            self.arrived = 0;
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.arriving.clear();
        self.arrived = 0;
        self.waiting.clear();
    }
}

/// What one flush sends to ourselves, beside the packets that stay where they are.
#[derive(Debug)]
pub(super) struct Batch {
    /// The bytes on the loopback so far.
    used: usize,
    /// The pieces of a packet that had to be cut, and, so that the order stays, everything behind it.
    copies: Packets,
}

impl Batch {
    pub(super) fn new(loopback: &Loopback) -> Batch {
        Batch { used: loopback.bytes_used(), copies: Packets::new() }
    }
}

impl Stack {
    /// Sends one packet to ourselves. Says whether it stays in the arena that it was written in.
    pub(super) fn send_local(
        &mut self,
        now: Time,
        (packet, fate, form): (&mut [u8], &mut Fate, Form),
        batch: &mut Batch,
        observer: &mut dyn Observer,
    ) -> Result<bool, Rule> {
        let Some(pieces) = self.ip.local_pieces(packet, form)? else {
            self.ip.complete(packet, form)?;
            fate.cause = self.admit_local(now, (packet, *fate), batch.used, observer)?;
            batch.used += packet.len();
            if batch.copies.is_empty() {
                return Ok(true);
            }
            batch.copies.push_as(packet.len(), *fate, form, |copy| copy.copy_from_slice(packet));
            return Ok(false);
        };
        for piece in pieces {
            let length = piece.len();
            batch.copies.push(length, Fate { cause: None, ..*fate }, None, |buffer| piece.write(buffer));
            let Some(Outgoing { packet, .. }) = batch.copies.last() else { break };
            match self.admit_local(now, (packet, *fate), batch.used, observer) {
                Ok(Some(told)) => batch.copies.because_of(batch.copies.len() - 1, told),
                Ok(None) => {}
                Err(rule) => {
                    batch.copies.pop();
                    return Err(rule);
                }
            }
            batch.used += length;
        }
        Ok(false)
    }

    /// Shows a packet that leaves, and sees whether the loopback, which holds `used` bytes, takes it. Gives what it arrives
    /// because of.
    fn admit_local(
        &mut self,
        now: Time,
        (packet, fate): (&[u8], Fate),
        used: usize,
        observer: &mut dyn Observer,
    ) -> Result<Option<EventId>, Rule> {
        let is_full = used + packet.len() > self.config.limits.loopback_bytes;
        let (cause, rule) = (fate.cause, if is_full { Some(Rule::LoopbackFull) } else { fate.rule });
        let fate = Fate { rule, cause: None, ..fate };
        let event = Event::Loopback { direction: Direction::Out, bytes: packet.into(), fate };
        let id = self.trail.tell_for(now, cause.or(self.trail.cause()), event, observer);
        if is_full {
            return Err(Rule::LoopbackFull);
        }
        self.counters.loopback_packets += 1;
        self.counters.loopback_bytes += packet.len() as u64;
        Ok(id.or(cause))
    }

    /// Lets a burst of packets arrive, and sends what they lead to. Gives the bytes that came.
    pub(super) fn arrive(&mut self, now: Time, out: &mut Frames, observer: &mut dyn Observer) -> usize {
        let Loopback { arriving, waiting, .. } = &mut self.loopback;
        if arriving.is_empty() {
            std::mem::swap(arriving, waiting);
        }
        let packets = std::mem::take(arriving);
        let mut bytes = 0;
        for Outgoing { packet, fate, .. } in packets.iter_from(self.loopback.arrived).take(BURST) {
            self.arrive_one(now, packet, fate.cause, observer);
            self.loopback.arrived += 1;
            bytes += packet.len();
        }
        self.loopback.arriving = packets;
        self.loopback.tidy();
        self.flush(now, out, observer);
        self.show_lives(now, observer);
        bytes
    }

    fn arrive_one(&mut self, now: Time, packet: &[u8], cause: Option<EventId>, observer: &mut dyn Observer) {
        let id = self.trail.number_at(Depth::Frame);
        let before = self.trail.because_of(id.or(cause));
        let verdict = self.ip.receive_local(now, packet, &mut self.packets);
        let fate = self.deliver(now, verdict, None);
        if let Some(rule) = fate.rule {
            self.counters.count(rule);
        }
        let event = Event::Loopback { direction: Direction::In, bytes: packet.into(), fate };
        self.trail.tell_as(id, (now, cause), event, observer);
        self.take_transport_notices(now);
        if self.follows() {
            self.blame(0);
            self.show_lives(now, observer);
        }
        self.trail.because_of(before);
    }
}
