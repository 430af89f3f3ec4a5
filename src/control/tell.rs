//! What a client that watches is told, in the form it asked for.

use std::io;
use std::mem;

use super::queue::Told;
use super::session::Out;
use super::{Message, Packer};

/// How large a part becomes before it is sent; a packet more may be in it.
const PART: usize = 128 << 10;

pub(super) enum Teller {
    /// A line for each record. The queue counts them.
    Lines,
    /// A file.
    Parts(Parts),
}

pub(super) struct Parts {
    packer: Box<dyn Packer>,
    /// Packets in the part.
    packets: u64,
    /// How many more are wanted.
    left: Option<u64>,
}

impl Teller {
    /// Of `count` packets, or so many more as one record gives.
    pub(super) fn parts(packer: Box<dyn Packer>, count: Option<u64>) -> Teller {
        Teller::Parts(Parts { packer, packets: 0, left: count })
    }

    pub(super) async fn tell(&mut self, told: Told<'_>, out: &mut Out) -> io::Result<()> {
        match (self, told) {
            (Teller::Lines, Told::Record(record, _)) => out.say(&Message::Record(record)).await,
            (Teller::Lines, Told::Dropped(records)) => out.say(&Message::Dropped { records }).await,
            (Teller::Parts(parts), _) if parts.left == Some(0) => Ok(()),
            (Teller::Parts(parts), Told::Record(record, length)) => {
                let packets = parts.packer.pack(&record, length)?;
                parts.packets += packets;
                parts.left = parts.left.map(|left| left.saturating_sub(packets));
                if parts.packer.part().len() < PART { Ok(()) } else { parts.send(out).await }
            }
            (Teller::Parts(parts), Told::Dropped(records)) => {
                parts.send(out).await?;
                parts.packer.miss(records);
                out.say(&Message::Dropped { records }).await
            }
        }
    }

    /// Nothing follows for now: what was told goes to the client.
    pub(super) async fn finish(&mut self, out: &mut Out) -> io::Result<()> {
        match self {
            Teller::Lines => Ok(()),
            Teller::Parts(parts) => parts.send(out).await,
        }
    }

    /// Whether nothing more is wanted.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Teller::Parts(Parts { left: Some(0), .. }))
    }
}

impl Parts {
    async fn send(&mut self, out: &mut Out) -> io::Result<()> {
        let packets = mem::take(&mut self.packets);
        let part = self.packer.part();
        if part.is_empty() {
            return Ok(());
        }
        out.say_with(&Message::Part { packets, bytes: part.len() }, part).await?;
        part.clear();
        Ok(())
    }
}
