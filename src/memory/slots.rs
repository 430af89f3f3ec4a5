//! Address space, cut into slots of a few sizes.
#![allow(unsafe_code)] // mmap(2), madvise(2), munmap(2)

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::libc::c_void;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use crate::error::{Error, Result};

/// Slots are multiples of this: the largest page there is on Linux, because memory is given back in pages.
const GRAIN: usize = 64 * 1024;

/// The first mapping; each further one is twice as large, up to [`LARGEST_MAPPING`]: few mappings, and a small
/// stack reserves little.
const FIRST_MAPPING: usize = 16 << 20;

const LARGEST_MAPPING: usize = 1 << 30;

/// How many slots of each size are kept as they are when they come back.
const HOT: usize = 1024;

/// A slot with more bytes written than this is not kept as it is.
const HOT_BYTES: usize = 8192;

/// A piece of address space.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) start: NonNull<u8>,
    /// How many bytes were written since the kernel last took its pages, at most.
    pub(super) touched: usize,
}

// SAFETY: a slot is a number of an address; whoever holds it decides who uses the memory. Its pointer is used by
// `discard` alone, with a system call that any thread may make.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    /// Gives the pages of the slot back to the kernel; they read as zeros from here on. Whoever holds the slot needs nothing
    /// of what is in it.
    pub(super) fn discard(&self, length: usize) {
        // SAFETY: the range is one slot of a private anonymous mapping that lives as long as any slot, and its owner
        // has said that the bytes in it are of no value. It is still mapped, readable and writable afterwards.
        let result =
            unsafe { madvise(self.start.cast::<c_void>(), length.next_multiple_of(GRAIN), MmapAdvise::MADV_DONTNEED) };
        debug_assert_eq!(result, Ok(()));
    }
}

#[derive(Debug)]
struct Class {
    size: usize,
    /// Slots with a page or two that were just used, the last to come back first.
    hot: Vec<Slot>,
    /// Slots without pages.
    cold: Vec<Slot>,
}

/// All slots that nobody has.
#[derive(Debug)]
pub(super) struct Slots {
    classes: Vec<Class>,
    /// What is left of the last mapping.
    fresh: Option<(Slot, usize)>,
    mappings: Vec<(Slot, usize)>,
}

impl Slots {
    pub(super) fn new() -> Slots {
        Slots { classes: Vec::new(), fresh: None, mappings: Vec::new() }
    }

    fn class(&mut self, length: usize) -> usize {
        let size = length.max(1).next_multiple_of(GRAIN);
        // As many sizes as there are kinds of buffers: a handful.
        self.classes.iter().position(|class| class.size == size).unwrap_or_else(|| {
            self.classes.push(Class { size, hot: Vec::new(), cold: Vec::new() });
            self.classes.len() - 1
        })
    }

    /// A slot of at least `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Result<Slot> {
        let class = self.class(length);
        let class = &mut self.classes[class];
        if let Some(slot) = class.hot.pop().or_else(|| class.cold.pop()) {
            return Ok(slot);
        }
        let size = class.size;
        let (slot, rest) = match self.fresh.take() {
            Some((slot, rest)) if rest >= size => (slot, rest),
            left => {
                // What is left is too small for this size; a smaller one can use it.
                self.keep_rest(left);
                self.map(size)?
            }
        };
        if rest > size {
            // SAFETY: `rest` bytes are left of the mapping from here on, and `size` is less.
            let start = unsafe { slot.start.add(size) };
            self.fresh = Some((Slot { start, touched: 0 }, rest - size));
        }
        Ok(slot)
    }

    fn keep_rest(&mut self, left: Option<(Slot, usize)>) {
        let Some((mut slot, mut rest)) = left else { return };
        while let Some(class) =
            self.classes.iter_mut().filter(|class| class.size <= rest).max_by_key(|class| class.size)
        {
            class.cold.push(slot);
            rest -= class.size;
            // SAFETY: at most at the end of the mapping.
            slot.start = unsafe { slot.start.add(class.size) };
        }
    }

    fn map(&mut self, least: usize) -> Result<(Slot, usize)> {
        let last = self.mappings.last().map_or(FIRST_MAPPING / 2, |(_, length)| *length);
        let length = (last * 2).min(LARGEST_MAPPING).max(least);
        let length_wanted = NonZeroUsize::new(length).ok_or(Error::NoBufferSpace)?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new private anonymous mapping wherever the kernel likes aliases nothing.
        let start = unsafe { mmap_anonymous(None, length_wanted, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags) };
        let start = start.map_err(|_| Error::NoBufferSpace)?;
        // SAFETY: the whole mapping that was just made. Huge pages would make a written byte cost 2 MiB.
        // A kernel without huge pages says EINVAL, and there is nothing to advise then.
        let _ = unsafe { madvise(start, length, MmapAdvise::MADV_NOHUGEPAGE) };
        let slot = Slot { start: start.cast(), touched: 0 };
        self.mappings.push((slot, length));
        Ok((slot, length))
    }

    /// Takes a slot back. The kernel gets its pages, unless there are few and somebody may want them at once.
    pub(super) fn give_back(&mut self, slot: Slot, length: usize) {
        let class = self.class(length);
        let class = &mut self.classes[class];
        if slot.touched == 0 {
            class.cold.push(slot);
        } else if slot.touched <= HOT_BYTES && class.hot.len() < HOT {
            class.hot.push(slot);
        } else {
            slot.discard(length);
            class.cold.push(Slot { touched: 0, ..slot });
        }
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        for (slot, length) in self.mappings.drain(..) {
            // SAFETY: a whole mapping of ours, once. Every buffer holds the slab, so none is left.
            let result = unsafe { munmap(slot.start.cast::<c_void>(), length) };
            debug_assert_eq!(result, Ok(()));
        }
    }
}
