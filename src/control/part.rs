//! A file in parts. The control socket carries it, and does not know what is in it.

use std::io;

use super::{Hello, Tracing};
use crate::observe::Record;

/// Makes a file of records, part by part.
///
/// The daemon has one made for each client that asks for `"encoding":"pcapng"`: a capture is made where the packets are,
/// and whoever wants it has only to write it down.
pub trait Packer: Send {
    /// What the record gives to the file. Its packet was `length` bytes long; there may be less of it. Says how many
    /// packets it gives.
    ///
    /// # Errors
    ///
    /// If it can be in no file.
    fn pack(&mut self, record: &Record<'_>, length: usize) -> io::Result<u64>;

    /// So many records are missing here.
    fn miss(&mut self, records: u64);

    /// The file since this was emptied last; in the beginning, what a file begins with.
    fn part(&mut self) -> &mut Vec<u8>;
}

/// Makes a [`Packer`] for the daemon that says this of itself, and the client that asks for this.
pub type Pack = fn(&Hello, &Tracing) -> io::Result<Box<dyn Packer>>;
