//! The way down: packets find their next hop, are cut for the link and become frames.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Stack;
use crate::ip::Outgoing;
use crate::link::Frames;
use crate::observe::{Depth, Observer, Rule, Time};
use crate::transport::Below;

impl Stack {
    /// Sends every packet that waits.
    pub(super) fn flush(&mut self, now: Time, out: &mut Frames, depth: Depth, observer: &mut dyn Observer) {
        if self.packets.is_empty() {
            return;
        }
        let sent = out.len();
        let mut failed = Vec::new();
        let mut packets = std::mem::take(&mut self.packets);
        for packet in packets.iter() {
            if let Err(rule) = self.send(now, &packet, out) {
                self.counters.count(rule);
                // The neighbour failed a moment ago; whoever asks now is told at once.
                if rule == Rule::NeighbourFailed {
                    failed.extend(self.ip.undelivered(packet.packet));
                }
            }
        }
        packets.clear();
        self.packets = packets;
        for error in failed {
            let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
            self.transport.receive_error(now, &error, &mut below);
        }
        self.show_frames(now, sent, out, depth, observer);
    }

    fn send(&mut self, now: Time, outgoing: &Outgoing<'_>, out: &mut Frames) -> Result<(), Rule> {
        let destination = destination(outgoing.packet).ok_or(Rule::IpNoRoute)?;
        // A group is on the link, also for a report of ours from no address yet (RFC 3590 §4).
        let next_hop = if destination.is_multicast() { destination } else { self.ip.route(destination)?.next_hop };
        let link = &mut self.link;
        let pieces = if outgoing.tries_path {
            self.ip.pieces_of_probe(outgoing.packet)?
        } else {
            self.ip.pieces(outgoing.packet, outgoing.segment)?
        };
        for piece in pieces {
            link.send(now, next_hop, piece.len(), outgoing.fate, out, |buffer| piece.write(buffer))?;
        }
        Ok(())
    }
}

/// Where a packet of our own making goes.
fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => {
            let octets: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            Some(IpAddr::V4(Ipv4Addr::from(octets)))
        }
        _ => {
            let octets: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        }
    }
}
