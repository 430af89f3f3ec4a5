//! What becomes of sockets when an address of ours is taken away.

use std::net::IpAddr;

use super::Transport;
use crate::observe::Close;

impl Transport {
    /// `address` is not ours any more. Connections from it end without a word to their peers, because nothing may be
    /// sent from it; handshakes and what is left of old connections are forgotten. Listeners and UDP sockets stay: on the wildcard they go on with the
    /// other addresses, and on this very address they wait for it to come back.
    ///
    /// Looks at every connection: an address goes once in a lease, and each connection on it has to be ended anyway.
    pub fn address_gone(&mut self, address: IpAddr) {
        let concerned: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.local().ip() == address)
            .map(|(slot, _)| slot)
            .collect();
        for slot in concerned {
            if let Some(connection) = self.connections.get_mut(slot) {
                connection.ended.get_or_insert(Close::AddressGone);
            }
            self.mark(slot);
        }
        let under_way: Vec<usize> = self
            .handshakes
            .iter()
            .filter(|(_, handshake)| handshake.agreed.local.ip() == address)
            .map(|(slot, _)| slot)
            .collect();
        for slot in under_way {
            self.forget_handshake(slot);
        }
        let remnants: Vec<usize> =
            self.remnants.iter().filter(|(_, remnant)| remnant.local.ip() == address).map(|(slot, _)| slot).collect();
        for slot in remnants {
            self.forget_remnant(slot);
        }
    }
}
