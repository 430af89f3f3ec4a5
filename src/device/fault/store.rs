use crate::device::Offload;
use crate::observe::Time;

/// How many frames may be on their way in one direction.
const CAPACITY: usize = 1024;

/// Frames on their way, until each is due.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// In the order in which they entered.
    held: Vec<Held>,
    /// Buffers of frames that left, for the next ones.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Held {
    frame: Vec<u8>,
    offload: Offload,
    /// When it has been long enough on its way.
    due: Time,
    /// How many later frames are still to pass it.
    behind: u32,
    /// When it leaves even if they did not come.
    latest: Time,
}

impl Held {
    fn leaves(&self) -> Time {
        if self.behind == 0 { self.due } else { self.latest }
    }
}

impl Store {
    /// Keeps a copy of the frame and gives it to be damaged; `None` if too many are on their way.
    pub(super) fn admit(
        &mut self,
        frame: &[u8],
        offload: Offload,
        due: Time,
        latest: Time,
        behind: u32,
    ) -> Option<&mut [u8]> {
        if self.is_full() {
            return None;
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(frame);
        self.held.push(Held { frame: copy, offload, due, behind, latest });
        self.held.last_mut().map(|held| held.frame.as_mut_slice())
    }

    pub(super) fn is_full(&self) -> bool {
        self.held.len() >= CAPACITY
    }

    /// Which frame leaves next at `now`, if one does: the earliest due, of those the first to enter.
    pub(super) fn due(&self, now: Time) -> Option<usize> {
        let ready = self.held.iter().enumerate().filter(|(_, held)| held.leaves() <= now);
        ready.min_by_key(|(place, held)| (held.leaves(), *place)).map(|(place, _)| place)
    }

    /// The frame at this place.
    pub(super) fn frame(&self, place: usize) -> (&[u8], Offload) {
        (&self.held[place].frame, self.held[place].offload)
    }

    /// The frame at this place leaves, and passes those that entered before it.
    pub(super) fn release(&mut self, place: usize) {
        let gone = self.held.remove(place);
        self.spare.push(gone.frame);
        for earlier in &mut self.held[..place] {
            earlier.behind = earlier.behind.saturating_sub(1);
        }
    }

    /// When the next frame leaves.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.held.iter().map(Held::leaves).min()
    }
}
