//! The loopback: packets for our own addresses, from the way down to the way up.
//!
//! [`Stack::flush`] takes them off the way down, with their checksums filled in like those of any packet, and they wait
//! here, in the arena that they were written in. [`Stack::arrive`] hands them to `ip` a burst at a time, as if they had
//! come in. Nothing calls itself: what they lead to is sent by the next flush and arrives in the next burst, and a step
//! that has done its share leaves the rest to the next step.

use super::Stack;
use crate::ip::{Form, Outgoing, Packets};
use crate::link::Frames;
use crate::observe::{Depth, Direction, Event, Fate, Observer, Rule, Time};

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

    /// Takes `packets`, and leaves an empty arena. The first ones move with their arena; what joins those that wait is
    /// copied.
    pub(super) fn take(&mut self, packets: &mut Packets) {
        if self.waiting.is_empty() {
            std::mem::swap(&mut self.waiting, packets);
        } else {
            self.waiting.append(packets);
        }
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

impl Stack {
    /// Sends one packet to ourselves. `used` are the bytes on the loopback so far.
    pub(super) fn send_local(
        &mut self,
        now: Time,
        (packet, fate, form): (&mut [u8], Fate, Form),
        used: usize,
        depth: Depth,
        observer: &mut dyn Observer,
    ) -> Result<(), Rule> {
        self.ip.complete(packet, form)?;
        let is_full = used + packet.len() > self.config.limits.loopback_bytes;
        if depth >= Depth::Packet {
            let fate = if is_full { Fate { rule: Some(Rule::LoopbackFull), ..fate } } else { fate };
            observer.observe(now, &Event::Loopback { direction: Direction::Out, bytes: packet, fate });
        }
        if is_full {
            return Err(Rule::LoopbackFull);
        }
        self.counters.loopback_packets += 1;
        self.counters.loopback_bytes += packet.len() as u64;
        Ok(())
    }

    /// Lets a burst of packets arrive, and sends what they lead to. Gives the bytes that came.
    pub(super) fn arrive(&mut self, now: Time, out: &mut Frames, depth: Depth, observer: &mut dyn Observer) -> usize {
        let Loopback { arriving, waiting, .. } = &mut self.loopback;
        if arriving.is_empty() {
            std::mem::swap(arriving, waiting);
        }
        let packets = std::mem::take(arriving);
        let mut bytes = 0;
        for Outgoing { packet, .. } in packets.iter_from(self.loopback.arrived).take(BURST) {
            self.arrive_one(now, packet, depth, observer);
            self.loopback.arrived += 1;
            bytes += packet.len();
        }
        self.loopback.arriving = packets;
        self.loopback.tidy();
        self.flush(now, out, depth, observer);
        self.show_lives(now, depth, observer);
        bytes
    }

    fn arrive_one(&mut self, now: Time, packet: &[u8], depth: Depth, observer: &mut dyn Observer) {
        let verdict = self.ip.receive_local(now, packet, &mut self.packets);
        let fate = self.deliver(now, verdict, None);
        if let Some(rule) = fate.rule {
            self.counters.count(rule);
        }
        if depth >= Depth::Packet {
            observer.observe(now, &Event::Loopback { direction: Direction::In, bytes: packet, fate });
        }
        self.take_transport_notices(now);
    }
}
