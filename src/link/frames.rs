use std::ops::Range;

use crate::observe::{EventId, Fate};

/// Ethernet frames on their way to the device.
///
/// They lie one after the other in one arena that grows to what the busiest moment needed and is then used
/// again: once warm, nothing allocates.
///
/// ```
/// use tapsock::link::Frames;
/// use tapsock::observe::{Fate, Rule};
/// let mut frames = Frames::new();
/// frames.push(60, Fate::nobody(Rule::ArpAnswered), |frame| frame.fill(7));
/// let (frame, fate) = frames.iter().next().expect("one frame");
/// assert_eq!((frame, fate.rule), (&[7; 60][..], Some(Rule::ArpAnswered)));
/// frames.clear();
/// assert!(frames.is_empty());
/// ```
#[derive(Debug, Default)]
pub struct Frames {
    /// Never shrinks; the first `used` bytes hold the frames.
    arena: Vec<u8>,
    used: usize,
    frames: Vec<(Range<usize>, Fate)>,
}

impl Frames {
    /// None, and no memory.
    pub const fn new() -> Frames {
        Frames { arena: Vec::new(), used: 0, frames: Vec::new() }
    }

    /// Adds a frame of `len` bytes, which `write` fills in. It must write each of them: the memory holds what
    /// earlier frames left there (0xa5 in debug builds), and nobody should read that on the wire.
    pub fn push(&mut self, len: usize, fate: Fate, write: impl FnOnce(&mut [u8])) {
        let range = self.used..self.used + len;
        if self.arena.len() < range.end {
            self.arena.resize(range.end, 0);
        }
        let bytes = &mut self.arena[range.clone()];
        if cfg!(debug_assertions) {
            bytes.fill(0xa5);
        }
        write(bytes);
        self.used = range.end;
        self.frames.push((range, fate));
    }

    /// What has no cause yet, from the `first` on, leaves because of this.
    pub fn because_of(&mut self, first: usize, cause: EventId) {
        for (_, fate) in self.frames.get_mut(first..).unwrap_or_default() {
            fate.cause.get_or_insert(cause);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The bytes of all of them together.
    pub fn bytes_used(&self) -> usize {
        self.used
    }

    /// Each frame with its fate, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Fate)> {
        self.iter_from(0)
    }

    /// The same from the `first` on, without a look at those before.
    pub fn iter_from(&self, first: usize) -> impl Iterator<Item = (&[u8], &Fate)> {
        let frames = self.frames.get(first..).unwrap_or_default();
        frames.iter().map(|(range, fate)| (&self.arena[range.clone()], fate))
    }

    /// Forgets the frames and keeps the memory.
    pub fn clear(&mut self) {
        self.used = 0;
        self.frames.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Rule;

    #[test]
    fn frames_come_out_in_order_with_their_fates() {
        let mut frames = Frames::new();
        frames.push(2, Fate::nobody(Rule::ArpRequest), |frame| frame.copy_from_slice(&[1, 2]));
        frames.push(0, Fate::nobody(Rule::ArpProbe), |_| {});
        frames.push(3, Fate::nobody(Rule::NdpDad), |frame| frame.fill(9));
        let all: Vec<_> = frames.iter().map(|(frame, fate)| (frame.to_vec(), fate.rule.unwrap())).collect();
        assert_eq!(all, [(vec![1, 2], Rule::ArpRequest), (vec![], Rule::ArpProbe), (vec![9, 9, 9], Rule::NdpDad)]);
        assert_eq!((frames.len(), frames.bytes_used()), (3, 5));
        assert_eq!(frames.iter_from(2).map(|(frame, _)| frame).collect::<Vec<_>>(), [&[9; 3]]);
        assert_eq!(frames.iter_from(4).count(), 0);
    }

    #[test]
    fn a_warm_arena_does_not_grow() {
        let mut frames = Frames::new();
        for _ in 0..3 {
            for _ in 0..64 {
                frames.push(1514, Fate::nobody(Rule::ArpRequest), |frame| frame.fill(1));
            }
            frames.clear();
        }
        let (arena, list) = (frames.arena.capacity(), frames.frames.capacity());
        for _ in 0..64 {
            frames.push(1514, Fate::nobody(Rule::ArpRequest), |frame| frame.fill(1));
        }
        assert_eq!((frames.arena.capacity(), frames.frames.capacity()), (arena, list));
    }

    #[test]
    fn bytes_that_were_not_written_are_not_those_of_an_earlier_frame() {
        let mut frames = Frames::new();
        frames.push(4, Fate::nobody(Rule::ArpRequest), |frame| frame.fill(1));
        frames.clear();
        frames.push(4, Fate::nobody(Rule::ArpRequest), |_| {});
        assert_eq!(frames.iter().next().unwrap().0, [0xa5; 4]);
    }
}
