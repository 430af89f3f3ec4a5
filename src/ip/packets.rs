//! Where packets wait on their way down to the link.

use std::num::NonZeroU16;

use crate::observe::{EventId, Fate};

/// IP packets of up to 64 KiB on their way down, in one reused arena: once it is warm, nothing is allocated
/// for a packet.
///
/// Their checksums are not filled in; [`Ip::pieces`](super::Ip::pieces) does that on the last copy.
///
/// ```
/// use tapsock::{ip::Packets, observe::{Fate, Rule}};
/// let mut packets = Packets::new();
/// packets.push(20, Fate::nobody(Rule::IcmpEcho), None, |buffer| buffer.fill(0x45));
/// assert_eq!(packets.len(), 1);
/// assert_eq!(packets.iter().next().map(|outgoing| outgoing.packet.len()), Some(20));
/// packets.clear();
/// assert!(packets.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Packets {
    /// Its length only grows: clearing moves `used` back, so that no byte is zeroed twice.
    bytes: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    start: usize,
    end: usize,
    fate: Fate,
    form: Form,
}

/// What is still to be written into a packet on its way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its lengths and all checksums. A TCP super-segment is to be cut into segments of so many payload bytes.
    Ours(Option<NonZeroU16>),
    /// The same for a datagram that goes as it is by whatever way, and finds out if it fits (IP_PMTUDISC_PROBE).
    Probe,
    /// Only what belongs to the IP header: the payload is a program's (`raw(7)`).
    Payload,
    /// The same for one that finds out if it fits.
    ProbePayload,
    /// Nothing: all of it is a program's (IP_HDRINCL).
    Whole,
    /// Nothing, and it goes no further than this stack: what a socket sent to a group, for our own members.
    Looped,
}

/// One packet in [`Packets`].
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'p> {
    /// From the IP header to the last byte of data.
    pub packet: &'p [u8],
    /// Whose it is, or why it is sent.
    pub fate: Fate,
    /// What is still to be written.
    pub form: Form,
}

impl Packets {
    /// Room for packets; allocates when the first one comes.
    pub fn new() -> Packets {
        Packets::default()
    }

    /// Adds a packet of `length` bytes. `write` must set every one of them: the buffer holds whatever an
    /// earlier packet left there. `segment` are the TCP payload bytes of each segment, if this is a
    /// super-segment that is to be cut. Gives what `write` gives.
    pub fn push<R>(
        &mut self,
        length: usize,
        fate: Fate,
        segment: Option<NonZeroU16>,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        self.push_as(length, fate, Form::Ours(segment), write)
    }

    /// The same for a packet of which less may be written later.
    pub fn push_as<R>(&mut self, length: usize, fate: Fate, form: Form, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let start = self.used;
        let end = start + length;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let result = write(&mut self.bytes[start..end]);
        self.used = end;
        self.entries.push(Entry { start, end, fate, form });
        result
    }

    /// Takes back the packet that was pushed last.
    pub fn pop(&mut self) {
        if let Some(entry) = self.entries.pop() {
            self.used = entry.start;
        }
    }

    /// Keeps the packets that `keep` wants. It may write into them, and into their fates. The memory of the others is
    /// free again with [`clear`](Packets::clear).
    pub fn retain_mut(&mut self, mut keep: impl FnMut(&mut [u8], &mut Fate, Form) -> bool) {
        let bytes = &mut self.bytes;
        self.entries.retain_mut(|entry| keep(&mut bytes[entry.start..entry.end], &mut entry.fate, entry.form));
    }

    /// What has no cause yet, from the `first` on, leaves because of this.
    pub fn because_of(&mut self, first: usize, cause: EventId) {
        for entry in self.entries.get_mut(first..).unwrap_or_default() {
            entry.fate.cause.get_or_insert(cause);
        }
    }

    /// Copies the packets of `other` behind these.
    pub fn append(&mut self, other: &Packets) {
        for Outgoing { packet, fate, form } in other.iter() {
            self.push_as(packet.len(), fate, form, |buffer| buffer.copy_from_slice(packet));
        }
    }

    /// Whether no packet waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many packets wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many bytes they have together.
    pub fn bytes_used(&self) -> usize {
        self.used
    }

    /// Forgets all packets and keeps their memory.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.used = 0;
    }

    /// The packets, first pushed first.
    pub fn iter(&self) -> impl Iterator<Item = Outgoing<'_>> {
        self.iter_from(0)
    }

    /// The same from the `first` on, without a look at those before.
    pub fn iter_from(&self, first: usize) -> impl Iterator<Item = Outgoing<'_>> {
        self.entries.get(first..).unwrap_or_default().iter().map(|entry| self.outgoing(entry))
    }

    /// The packet that was pushed last.
    pub fn last(&self) -> Option<Outgoing<'_>> {
        self.entries.last().map(|entry| self.outgoing(entry))
    }

    fn outgoing(&self, entry: &Entry) -> Outgoing<'_> {
        Outgoing { packet: &self.bytes[entry.start..entry.end], fate: entry.fate, form: entry.form }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Rule;

    const FATE: Fate = Fate::nobody(Rule::IcmpEcho);

    #[test]
    fn packets_come_out_as_they_went_in() {
        let mut packets = Packets::new();
        let segment = NonZeroU16::new(1460);
        packets.push(3, FATE, None, |buffer| buffer.copy_from_slice(b"one"));
        packets.push(0, FATE, None, |_| ());
        packets.push(5, Fate::nobody(Rule::UdpNoSocket), segment, |buffer| buffer.copy_from_slice(b"three"));
        assert_eq!((packets.len(), packets.bytes_used(), packets.is_empty()), (3, 8, false));
        let all: Vec<_> = packets.iter().collect();
        assert_eq!((all[0].packet, all[1].packet, all[2].packet), (&b"one"[..], &b""[..], &b"three"[..]));
        assert_eq!((all[0].form, all[2].form), (Form::Ours(None), Form::Ours(segment)));
        assert_eq!(all[2].fate, Fate::nobody(Rule::UdpNoSocket));
        packets.pop();
        assert_eq!((packets.len(), packets.bytes_used()), (2, 3));
    }

    #[test]
    fn packets_are_kept_changed_and_copied_behind_others() {
        let mut packets = Packets::new();
        for text in [b"one", b"two", b"six"] {
            packets.push(3, FATE, None, |buffer| buffer.copy_from_slice(text));
        }
        packets.retain_mut(|packet, _, _| {
            packet[0] = b'_';
            packet[1] != b'w'
        });
        assert_eq!((packets.len(), packets.bytes_used()), (2, 9));
        let mut others = Packets::new();
        others.push(1, FATE, None, |buffer| buffer[0] = b'x');
        others.append(&packets);
        assert_eq!(others.iter().map(|outgoing| outgoing.packet).collect::<Vec<_>>(), [&b"x"[..], b"_ne", b"_ix"]);
        assert_eq!(others.bytes_used(), 7);
    }

    #[test]
    fn a_warm_arena_allocates_nothing() {
        let mut packets = Packets::new();
        let fill = |packets: &mut Packets| {
            for _ in 0..8 {
                packets.push(65_535, FATE, None, |buffer| buffer[0] = 1);
            }
        };
        fill(&mut packets);
        let warm = (packets.bytes.as_ptr(), packets.bytes.capacity(), packets.entries.capacity());
        for _ in 0..100 {
            packets.clear();
            assert_eq!((packets.len(), packets.bytes_used()), (0, 0));
            fill(&mut packets);
        }
        assert_eq!((packets.bytes.as_ptr(), packets.bytes.capacity(), packets.entries.capacity()), warm);
    }
}
