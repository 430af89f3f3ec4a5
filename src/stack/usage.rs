//! How much of each bound is used.

use super::Stack;

/// How much of the bounds of a stack ([`Limits`](crate::config::Limits)) is used. Those of one socket, of one neighbour or
/// of one second have no total and are not here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    rows: Vec<(&'static str, u64)>,
}

impl Usage {
    /// How much of the bound of this name is used; `None`: it has no total.
    pub fn of(&self, name: &str) -> Option<u64> {
        self.rows.iter().find(|(known, _)| *known == name).map(|&(_, used)| used)
    }

    /// All that have a total.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.rows.iter().copied()
    }
}

impl Stack {
    /// How much of each bound is used.
    pub fn usage(&self) -> Usage {
        let (handshakes, remnants) = self.transport.half_connections();
        let (neighbours, waiting) = self.link.usage();
        let (path_mtus, fragments, groups) = self.ip.usage();
        let (addresses, prefixes, routers) = self.autoconf.usage();
        let rows = [
            ("sockets", self.transport.sockets()),
            ("syn-entries", handshakes),
            ("remnants", remnants),
            ("neighbours", neighbours),
            ("neighbour-queue-bytes", waiting),
            ("reassembly-bytes", fragments),
            ("path-mtus", path_mtus),
            ("loopback-bytes", self.loopback.bytes_used()),
            ("groups", groups),
            ("learned-addresses", addresses),
            ("prefixes", prefixes),
            ("routers", routers),
            ("traced-sockets", self.causes.tracked()),
            ("memory", self.memory_used()),
        ];
        Usage { rows: rows.map(|(name, used)| (name, used as u64)).to_vec() }
    }
}
