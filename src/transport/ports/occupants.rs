//! Connections and their remnants, as far as somebody minds who wants to be bound to their port.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::{Place, Sharing};
use crate::transport::keys::Key;

/// How many connections there are at each port, by address and by what their sockets would share. One who binds looks at
/// as many entries as the stack has addresses, however many connections there are.
#[derive(Debug)]
pub(super) struct Occupants {
    ports: HashMap<u16, Vec<Occupied>, Key>,
}

#[derive(Debug)]
struct Occupied {
    address: IpAddr,
    /// By the number that [`number`] gives to what they would share.
    counts: [u32; 4],
}

const KINDS: [Sharing; 4] = [
    Sharing { reuse_address: false, reuse_port: false },
    Sharing { reuse_address: true, reuse_port: false },
    Sharing { reuse_address: false, reuse_port: true },
    Sharing { reuse_address: true, reuse_port: true },
];

fn number(sharing: Sharing) -> usize {
    usize::from(sharing.reuse_address) + 2 * usize::from(sharing.reuse_port)
}

impl Occupants {
    pub(super) fn new(key: Key) -> Occupants {
        Occupants { ports: HashMap::with_hasher(key) }
    }

    /// A connection begins at `local`.
    pub(super) fn add(&mut self, local: SocketAddr, sharing: Sharing) {
        let occupied = self.ports.entry(local.port()).or_default();
        let address = local.ip();
        let entry = match occupied.iter().position(|entry| entry.address == address) {
            Some(entry) => entry,
            None => {
                occupied.push(Occupied { address, counts: [0; 4] });
                occupied.len() - 1
            }
        };
        occupied[entry].counts[number(sharing)] += 1;
    }

    /// Nothing is left of one of them.
    pub(super) fn remove(&mut self, local: SocketAddr, sharing: Sharing) {
        let Some(occupied) = self.ports.get_mut(&local.port()) else { return };
        if let Some(entry) = occupied.iter_mut().find(|entry| entry.address == local.ip()) {
            let count = &mut entry.counts[number(sharing)];
            *count = count.saturating_sub(1);
        }
        occupied.retain(|entry| entry.counts != [0; 4]);
        if occupied.is_empty() {
            self.ports.remove(&local.port());
        }
    }

    /// Whether all that are at `place` share it with a socket of this `sharing` that does not listen yet.
    pub(super) fn allow(&self, place: Place, sharing: Sharing) -> bool {
        self.at(place).all(|entry| {
            KINDS.iter().zip(entry.counts).all(|(&kind, count)| count == 0 || sharing.allows(kind, false))
        })
    }

    /// Whether none is at `place`.
    pub(super) fn is_free(&self, place: Place) -> bool {
        self.at(place).next().is_none()
    }

    fn at(&self, place: Place) -> impl Iterator<Item = &Occupied> {
        let occupied = self.ports.get(&place.local.port());
        occupied.into_iter().flatten().filter(move |entry| place.hears(entry.address))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ports.len()
    }
}
