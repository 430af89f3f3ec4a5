//! Which names are taken, and by whom.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rand::RngExt;
use rand::rngs::StdRng;

use super::UnixAddress;
use crate::error::{Error, Result};
use crate::socket::{Handle, Kind};

/// How many abstract names there are for sockets that do not choose: five hexadecimal digits (`unix(7)`, autobind).
const CHOICES: u32 = 1 << 20;

/// All names. Paths are one space for all kinds; abstract names are one for each, as on Linux.
#[derive(Debug, Default)]
pub(in crate::socket) struct Names {
    taken: BTreeMap<(UnixAddress, Option<Kind>), Handle>,
}

fn key(name: &UnixAddress, kind: Kind) -> (UnixAddress, Option<Kind>) {
    (name.clone(), (!matches!(name, UnixAddress::Path(_))).then_some(kind))
}

impl Names {
    /// Who has this name.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for a path and [`Error::ConnectionRefused`] for an abstract name that nobody has;
    /// [`Error::InvalidInput`] for none.
    pub(in crate::socket) fn find(&self, name: &UnixAddress, kind: Kind) -> Result<Handle> {
        let nobody = match name {
            UnixAddress::Unnamed => return Err(Error::InvalidInput),
            UnixAddress::Path(_) => Error::NotFound,
            UnixAddress::Abstract(_) => Error::ConnectionRefused,
        };
        name.check()?;
        self.taken.get(&key(name, kind)).copied().ok_or(nobody)
    }

    /// Gives it a name.
    ///
    /// # Errors
    ///
    /// [`Error::AddressInUse`].
    pub(super) fn take(&mut self, name: &UnixAddress, kind: Kind, socket: Handle) -> Result<()> {
        match self.taken.entry(key(name, kind)) {
            Entry::Occupied(_) => Err(Error::AddressInUse),
            Entry::Vacant(entry) => {
                entry.insert(socket);
                Ok(())
            }
        }
    }

    /// Gives it any abstract name that is free, as five hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`Error::AddressInUse`] if all are taken.
    pub(super) fn take_any(&mut self, kind: Kind, socket: Handle, rng: &mut StdRng) -> Result<UnixAddress> {
        let first = rng.random_range(0..CHOICES);
        for step in 0..CHOICES {
            let name = UnixAddress::Abstract(format!("{:05x}", (first + step) % CHOICES).into_bytes().into());
            if self.take(&name, kind, socket).is_ok() {
                return Ok(name);
            }
        }
        Err(Error::AddressInUse)
    }

    /// The name is free again, if it is this socket's: what a listener accepts shows the listener's.
    pub(super) fn give_back(&mut self, name: &UnixAddress, kind: Kind, socket: Handle) {
        if let Entry::Occupied(entry) = self.taken.entry(key(name, kind))
            && *entry.get() == socket
        {
            entry.remove();
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(in crate::socket) fn len(&self) -> usize {
        self.taken.len()
    }
}
