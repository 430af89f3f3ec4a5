//! What a socket remembers of the datagrams it sent, to tell a forged Packet Too Big from an honest one.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// Destinations of large datagrams that a socket remembers.
const LARGE: usize = 32;

/// Every way carries this much; what is no larger is never too big (RFC 8200 §5, and our own least for IPv4).
const NEVER_TOO_BIG: usize = 552;

/// To whom a socket sent large datagrams of late, and how many bytes of IP packet the largest had.
#[derive(Debug, Default)]
pub(super) struct Sent {
    large: VecDeque<(SocketAddr, usize)>,
}

impl Sent {
    /// An IP packet of so many bytes went to `peer`.
    pub(super) fn note(&mut self, peer: SocketAddr, packet: usize) {
        if packet <= NEVER_TOO_BIG {
            return;
        }
        match self.large.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, largest)) => *largest = packet.max(*largest),
            None => {
                if self.large.len() >= LARGE {
                    self.large.pop_front();
                }
                self.large.push_back((peer, packet));
            }
        }
    }

    /// Whether something was sent to `peer` that was too big for a way of `mtu` bytes. Who forges an error must know
    /// whom we send to, and not only a port (RFC 5927 §7.1).
    pub(super) fn may_have_been(&self, peer: SocketAddr, mtu: u32) -> bool {
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
        self.large.iter().any(|&(known, largest)| known == peer && largest > mtu)
    }
}
