//! The memory of buffers: one reserved slab of slots for each stack.
//!
//! A connection has four buffers, half a MiB together, and most connections never use more than a page of each.
//! So address space is reserved in a few large pieces, which costs nothing, and cut into slots; the kernel backs
//! a page when it is first written. (A mapping for each buffer would end at 65 530 mappings, and an allocator
//! would give small ones from a heap that never shrinks.) A page that was written is given back when its
//! connection rests or ends. The last slots to come back are kept as they are, because the next connection of a
//! busy server would ask for their pages again at once.
//!
//! How much has been written is counted by the owners of the buffers ([`Buffer::touch`]), so that there is a bound
//! on what is really used ([`Memory::is_exhausted`]) and not on what is reserved. Datagrams come from the allocator,
//! each in a piece of its own; they count against the same bound ([`Charge`]).
//!
//! A slot holds whatever its last owner left there. Nobody may ever be shown a byte that was not written by the
//! present owner: the rings show only what was put into them, and smoltcp, which can be led to deliver the bytes of
//! a hole that was never filled (FACTS §1, panic 1), is kept from it by `transport::guard` and by receive buffers
//! below 64 KiB.

mod lodged;
mod slots;

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use lodged::Lodged;
use slots::{Slot, Slots};

use crate::error::Result;
use crate::tape::{Question, Tape, Witness};

/// What is counted. (On a machine with larger pages the kernel backs more than this.)
const PAGE: usize = 4096;

/// A slab of buffers. Clones are handles to the same slab.
///
/// ```
/// use tapsock::memory::Memory;
/// let memory = Memory::new(1 << 20);
/// let buffer = memory.buffer(65_535)?;
/// assert_eq!((buffer.len(), memory.used()), (65_535, 0));
/// buffer.touch(1);
/// assert_eq!(memory.used(), 4096);
/// drop(buffer);
/// assert_eq!(memory.used(), 0);
/// # Ok::<(), tapsock::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Memory {
    shared: Arc<Shared>,
}

struct Shared {
    slots: Mutex<Slots>,
    /// Bytes of the pages that live buffers have written, and of what is charged besides.
    used: AtomicUsize,
    limit: usize,
    /// How the engine's questions are answered.
    witness: Witness,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("used", &self.used).field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Lists of slots are pushed and popped, nothing in between can be seen half done.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_exhausted(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.limit
    }

    fn charge(&self, before: usize, after: usize) {
        if after > before {
            self.used.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.used.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

impl Memory {
    /// An empty slab. From `limit` bytes in use on it calls itself exhausted.
    pub fn new(limit: usize) -> Memory {
        Memory::with_tape(limit, &Tape::default())
    }

    /// The same, with what depends on what programs have written on a tape.
    pub fn with_tape(limit: usize, tape: &Tape) -> Memory {
        let (slots, used, witness) = (Mutex::new(Slots::new()), AtomicUsize::new(0), Witness::single(tape));
        Memory { shared: Arc::new(Shared { slots, used, limit, witness }) }
    }

    /// A buffer of `length` bytes of no particular value.
    ///
    /// # Errors
    ///
    /// [`Error::NoBufferSpace`](crate::error::Error::NoBufferSpace) if the kernel has no address space left for
    /// this process.
    pub fn buffer(&self, length: usize) -> Result<Buffer> {
        let slot = self.shared.slots().take(length)?;
        Ok(self.buffer_in(slot, length))
    }

    /// Two buffers at once, one for each direction.
    ///
    /// # Errors
    ///
    /// As [`Memory::buffer`]; then neither is taken.
    pub fn pair(&self, lengths: [usize; 2]) -> Result<[Buffer; 2]> {
        let mut slots = self.shared.slots();
        let first = slots.take(lengths[0])?;
        let second = match slots.take(lengths[1]) {
            Ok(second) => second,
            Err(error) => {
                slots.give_back(first, lengths[0]);
                return Err(error);
            }
        };
        drop(slots);
        Ok([self.buffer_in(first, lengths[0]), self.buffer_in(second, lengths[1])])
    }

    fn buffer_in(&self, slot: Slot, length: usize) -> Buffer {
        let buffer = Buffer { slot, length, written: AtomicUsize::new(0), shared: Arc::clone(&self.shared) };
        // Whose slot it was depends on when programs let go of theirs.
        buffer.touch_to(self.shared.witness.ask(Question::Touched, || slot.touched));
        buffer
    }

    /// An account for memory that is not of the slab, with nothing in it yet.
    pub fn account(&self) -> Charge {
        Charge { bytes: 0, shared: Arc::clone(&self.shared) }
    }

    /// Bytes of the pages that buffers have written, rounded up to pages for each, and those of all accounts.
    pub fn used(&self) -> usize {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Whether the limit is reached: then nobody who can wait or be refused should get more. Asked by the engine.
    pub fn is_exhausted(&self) -> bool {
        self.shared.witness.ask(Question::Exhausted, || self.shared.is_exhausted())
    }
}

/// What somebody has from the allocator, counted against the limit of a slab. Dropped, it counts no more.
///
/// ```
/// use tapsock::memory::Memory;
/// let memory = Memory::new(1 << 20);
/// let mut charge = memory.account();
/// charge.set(1 << 20);
/// assert!(charge.is_exhausted() && memory.used() == 1 << 20);
/// drop(charge);
/// assert_eq!(memory.used(), 0);
/// ```
pub struct Charge {
    bytes: usize,
    shared: Arc<Shared>,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Charge {
    /// It is so many bytes now. Whoever can be refused asks [`Charge::is_exhausted`] first.
    pub fn set(&mut self, bytes: usize) {
        self.shared.charge(self.bytes, bytes);
        self.bytes = bytes;
    }

    /// As [`Memory::is_exhausted`].
    pub fn is_exhausted(&self) -> bool {
        self.shared.witness.ask(Question::Exhausted, || self.shared.is_exhausted())
    }

    /// The same, asked by a program.
    pub fn is_exhausted_for_program(&self) -> bool {
        self.shared.is_exhausted()
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A buffer of a slab. Dropped, its slot goes back.
pub struct Buffer {
    slot: Slot,
    length: usize,
    /// An upper bound of how many bytes have been written since the pages were last given back.
    written: AtomicUsize,
    shared: Arc<Shared>,
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("length", &self.length).field("written", &self.written).finish_non_exhaustive()
    }
}

/// The bytes of the pages that `written` bytes lie in, wherever in the buffer they begin.
fn pages(written: usize) -> usize {
    written.next_multiple_of(PAGE)
}

impl Buffer {
    /// Its size in bytes.
    #[allow(clippy::len_without_is_empty)] // it is a place, not a collection
    pub fn len(&self) -> usize {
        self.length
    }

    /// Where it begins. It stays there as long as the buffer lives.
    pub fn start(&self) -> NonNull<u8> {
        self.slot.start
    }

    /// This many more bytes were written, one after the other.
    pub fn touch(&self, bytes: usize) {
        self.touch_to(self.touched().saturating_add(bytes));
    }

    /// Altogether this many bytes were written, at most, since the memory was last given back.
    pub fn touch_to(&self, end: usize) {
        let before = self.touched();
        let after = end.min(self.length);
        if after > before {
            // One side writes and the same side gives back: nobody else stores here.
            self.written.store(after, Ordering::Relaxed);
            self.shared.charge(pages(before), pages(after));
        }
    }

    /// How many bytes have been written, at most.
    pub fn touched(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether bytes up to `end` would need memory that is not there yet, while there is none left.
    pub fn is_short_of(&self, end: usize) -> bool {
        pages(end.min(self.length)) > pages(self.touched())
            && self.shared.witness.ask(Question::Exhausted, || self.shared.is_exhausted())
    }

    /// Gives the memory back to the kernel and keeps the buffer. What is in it is lost.
    pub(crate) fn release(&self) {
        let before = self.touched();
        if before > 0 {
            self.slot.discard(self.length);
            self.written.store(0, Ordering::Relaxed);
            self.shared.charge(pages(before), 0);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let touched = self.touched();
        self.shared.charge(pages(touched), 0);
        self.shared.slots().give_back(Slot { touched, ..self.slot }, self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(buffer: &mut Lodged<&'static mut [u8], 1>, length: usize, value: u8) {
        buffer[..length].fill(value);
        buffer.slots()[0].touch(length);
    }

    fn lodge(memory: &Memory, length: usize) -> Lodged<&'static mut [u8], 1> {
        Lodged::new([memory.buffer(length).unwrap()], |[bytes]| (bytes, ())).0
    }

    #[test]
    fn a_small_buffer_comes_back_as_it_was_and_is_counted_again() {
        let memory = Memory::new(usize::MAX);
        let mut first = lodge(&memory, 65_535);
        write(&mut first, 10, 7);
        let place = first.slots()[0].start();
        drop(first);
        assert_eq!(memory.used(), 0);
        let second = lodge(&memory, 65_535);
        assert_eq!(second.slots()[0].start(), place);
        // The page is still there, and somebody must give it back one day.
        assert_eq!(memory.used(), PAGE);
        second.slots()[0].release();
        assert_eq!((memory.used(), second[0]), (0, 0));
    }

    #[test]
    fn a_large_buffer_is_given_back_to_the_kernel_at_once() {
        let memory = Memory::new(usize::MAX);
        let mut first = lodge(&memory, 65_535);
        write(&mut first, 65_535, 7);
        assert_eq!(memory.used(), 65_536);
        let place = first.slots()[0].start();
        drop(first);
        let second = lodge(&memory, 65_535);
        assert_eq!((second.slots()[0].start(), memory.used()), (place, 0));
        assert!(second.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn buffers_do_not_overlap_and_slots_are_used_again() {
        let memory = Memory::new(usize::MAX);
        let all = |value: u8| -> Vec<_> {
            let mut all: Vec<_> =
                [4096, 65_535, 65_537].into_iter().cycle().take(300).map(|length| lodge(&memory, length)).collect();
            for (i, buffer) in all.iter_mut().enumerate() {
                let end = buffer.len();
                buffer[0] = value.wrapping_add(i as u8);
                buffer[end - 1] = value.wrapping_add(i as u8);
            }
            for (i, buffer) in all.iter().enumerate() {
                assert_eq!([buffer[0], buffer[buffer.len() - 1]], [value.wrapping_add(i as u8); 2]);
            }
            all.iter().map(|buffer| buffer.slots()[0].start().addr()).collect()
        };
        let (mut first, mut second): (Vec<_>, Vec<_>) = (all(1), all(2));
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, second);
    }

    #[test]
    fn at_the_limit_what_has_its_pages_may_use_them() {
        let memory = Memory::new(2 * PAGE);
        let (a, b) = (memory.buffer(65_535).unwrap(), memory.buffer(65_535).unwrap());
        a.touch(1);
        assert!(!memory.is_exhausted() && !b.is_short_of(1));
        a.touch(PAGE);
        assert!(memory.is_exhausted());
        assert!(b.is_short_of(1) && !a.is_short_of(2 * PAGE) && a.is_short_of(2 * PAGE + 1));
        a.release();
        assert!(!memory.is_exhausted() && !b.is_short_of(1));
    }
}
