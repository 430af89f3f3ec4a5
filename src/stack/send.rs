//! The way down: packets find their next hop, are cut for the link and become frames, or take the loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Stack;
use super::loopback::Batch;
use crate::ip::{Form, Outgoing};
use crate::link::Frames;
use crate::observe::{Observer, Rule, Time};
use crate::transport::Below;

impl Stack {
    /// Sends every packet that waits.
    pub(super) fn flush(&mut self, now: Time, out: &mut Frames, observer: &mut dyn Observer) {
        if self.packets.is_empty() {
            return;
        }
        let sent = out.len();
        let mut failed = Vec::new();
        let mut packets = std::mem::take(&mut self.packets);
        let mut batch = Batch::new(&self.loopback);
        packets.retain_mut(|packet, fate, form| {
            if self.follows() {
                fate.cause = self.follow_out(now, packet, fate, observer);
            }
            let first = out.len();
            let outgoing = Outgoing { packet, fate: *fate, form };
            let sent = self.send(now, &outgoing, out);
            if let Some(cause) = fate.cause {
                // A question to a neighbour, too.
                out.because_of(first, cause);
            }
            let rule = match sent {
                Ok(Sent::ByLink) => return false,
                Ok(Sent::ToOurselves) => match self.send_local(now, (packet, fate, form), &mut batch, observer) {
                    Ok(is_kept) => return is_kept,
                    Err(rule) => rule,
                },
                Err(rule) => rule,
            };
            self.counters.count(rule);
            // The neighbour failed a moment ago; whoever asks now is told at once.
            if rule == Rule::NeighbourFailed {
                failed.extend(self.ip.undelivered(packet));
            }
            false
        });
        self.loopback.take(&mut packets, &batch);
        self.packets = packets;
        for error in failed {
            let mut below = Below { ip: &mut self.ip, packets: &mut self.packets };
            self.transport.receive_error(now, &error, &mut below);
        }
        self.show_frames(now, sent, out, observer);
    }

    fn send(&mut self, now: Time, outgoing: &Outgoing<'_>, out: &mut Frames) -> Result<Sent, Rule> {
        if outgoing.form == Form::Looped {
            return Ok(Sent::ToOurselves);
        }
        let destination = destination(outgoing.packet).ok_or(Rule::IpNoRoute)?;
        // A group is on the link, also for a report of ours from no address yet (RFC 3590 §4).
        let next_hop = if destination.is_multicast() {
            destination
        } else {
            let hop = self.ip.route(destination)?;
            if hop.is_local {
                return Ok(Sent::ToOurselves);
            }
            hop.next_hop
        };
        if !self.is_linked {
            return Err(Rule::IpNoRoute);
        }
        if is_from_loopback(outgoing.packet) {
            return Err(Rule::IpLoopback);
        }
        let link = &mut self.link;
        for piece in self.ip.pieces_as(outgoing.packet, outgoing.form)? {
            link.send(now, next_hop, piece.len(), outgoing.fate, out, |buffer| piece.write(buffer))?;
        }
        Ok(Sent::ByLink)
    }
}

/// Where a packet went.
enum Sent {
    ByLink,
    /// It is to take the loopback, and is still to be written.
    ToOurselves,
}

/// Whether its source is a loopback address, which nobody on the link may see (RFC 1122 §3.2.1.3 (g)).
fn is_from_loopback(packet: &[u8]) -> bool {
    match packet.first() {
        Some(first) if first >> 4 == 4 => packet.get(12) == Some(&127),
        _ => packet.get(8..24) == Some(&Ipv6Addr::LOCALHOST.octets()),
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
