//! A ring of bytes in a slot of the slab.
#![allow(unsafe_code)] // two threads use disjoint parts of one buffer

use std::cmp::min;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use super::joined::{Carrier, Tally};
use super::lock;
use crate::memory::Buffer;

/// Bytes are copied in pieces of this length. Copied at once, large blocks take twenty times as long on some
/// processors when source and destination begin at certain distances (FACTS §2).
const PIECE: usize = 2048;

/// After so many bytes the other end is shown what there is, so that it can go on while this one does.
const SHOWN: usize = 16 * PIECE;

/// On a line of the cache of its own, so that the two ends do not take it from each other.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Line<T>(T);

/// Where one end is.
#[derive(Debug, Default)]
struct Cursor {
    /// How many bytes it has written or read, modulo the size of the number.
    count: usize,
    /// How many the other end had, when it was last looked at.
    seen: usize,
    /// Where in the buffer the next byte is.
    position: usize,
}

/// A ring between two ends, each with a lock of its own; between them there is none.
///
/// Neither moves beyond what the other has shown: the bytes from `read` to `written` belong to whoever holds the
/// reader's lock, all others to whoever holds the writer's.
pub(super) struct Ring {
    memory: Buffer,
    /// How many bytes it takes, where fewer than it has room for were asked for.
    most: AtomicUsize,
    writer: Line<Mutex<Cursor>>,
    written: Line<AtomicUsize>,
    read: Line<AtomicUsize>,
    reader: Line<Mutex<Cursor>>,
}

/// The writing end, locked.
pub(super) struct Writer<'a> {
    ring: &'a Ring,
    cursor: MutexGuard<'a, Cursor>,
}

/// The reading end, locked.
pub(super) struct Reader<'a> {
    ring: &'a Ring,
    cursor: MutexGuard<'a, Cursor>,
}

impl Ring {
    /// An empty ring in `memory`.
    ///
    /// # Panics
    ///
    /// If the buffer has no bytes.
    pub(super) fn new(memory: Buffer) -> Ring {
        assert!(memory.len() > 0, "a ring has room for a byte");
        Ring {
            most: AtomicUsize::new(memory.len()),
            memory,
            writer: Line::default(),
            written: Line::default(),
            read: Line::default(),
            reader: Line::default(),
        }
    }

    fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// How many bytes may be in it.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    pub(super) fn writer(&self) -> Writer<'_> {
        Writer { ring: self, cursor: lock(&self.writer.0) }
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { ring: self, cursor: lock(&self.reader.0) }
    }

    /// How many bytes are in it.
    pub(super) fn len(&self) -> usize {
        // What was read was written before: in this order the difference is never negative.
        let read = self.read.0.load(Ordering::Acquire);
        min(self.written.0.load(Ordering::Acquire).wrapping_sub(read), self.capacity())
    }
}

impl Carrier for Ring {
    fn given(&self) -> Tally {
        Tally { messages: 0, bytes: self.written.0.load(Ordering::Acquire) as u64 }
    }

    fn taken(&self) -> Tally {
        Tally { messages: 0, bytes: self.read.0.load(Ordering::Acquire) as u64 }
    }

    fn waiting(&self) -> usize {
        self.len()
    }

    fn set_most(&self, bytes: usize) {
        self.most.store(bytes.clamp(1, self.capacity()), Ordering::Relaxed);
    }

    fn holds_memory(&self) -> bool {
        self.memory.touched() > 0
    }

    fn rest(&self) {
        let (Ok(mut writer), Ok(mut reader)) = (self.writer.0.try_lock(), self.reader.0.try_lock()) else { return };
        if writer.count == reader.count && self.holds_memory() {
            self.memory.release();
            // From the start again: a few bytes then need one page, and always the same.
            (writer.position, reader.position) = (0, 0);
        }
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} of {})", self.len(), self.capacity())
    }
}

impl Cursor {
    /// Goes on by `count`, from the end of the buffer to its beginning.
    fn advance(&mut self, count: usize, capacity: usize) {
        self.count = self.count.wrapping_add(count);
        self.position += count;
        if self.position == capacity {
            self.position = 0;
        }
    }
}

impl Writer<'_> {
    /// Puts as many of `bytes` into the ring as fit, and says how many.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let (cursor, ring, capacity) = (&mut *self.cursor, self.ring, self.ring.capacity());
        let (most, mut done) = (ring.most(), 0);
        while done < bytes.len() {
            let mut room = most.saturating_sub(cursor.count.wrapping_sub(cursor.seen));
            if room < bytes.len() - done {
                cursor.seen = ring.read.0.load(Ordering::Acquire);
                room = most.saturating_sub(cursor.count.wrapping_sub(cursor.seen));
            }
            let block = min(min(room, bytes.len() - done), SHOWN);
            if block == 0 {
                break;
            }
            let end = done + block;
            ring.memory.touch(block);
            while done < end {
                let piece = min(min(end - done, PIECE), capacity - cursor.position);
                // SAFETY: `piece` bytes from `position` on are inside the buffer and vacant, so they are the writer's,
                // and we hold its lock. `bytes` is somebody else's memory.
                unsafe {
                    let place = ring.memory.start().as_ptr().add(cursor.position);
                    place.copy_from_nonoverlapping(bytes.as_ptr().add(done), piece);
                }
                cursor.advance(piece, capacity);
                done += piece;
            }
            ring.written.0.store(cursor.count, Ordering::Release);
        }
        done
    }
}

impl Reader<'_> {
    /// Moves bytes from the ring to `buffer`, and says how many.
    pub(super) fn pop(&mut self, buffer: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buffer.len() {
            let block = min(min(self.available(buffer.len() - done), buffer.len() - done), SHOWN);
            if block == 0 {
                break;
            }
            self.copy(&mut buffer[done..done + block]);
            done += block;
            self.ring.read.0.store(self.cursor.count, Ordering::Release);
        }
        done
    }

    /// Copies bytes from the ring to `buffer` and leaves them there; says how many.
    pub(super) fn peek(&mut self, buffer: &mut [u8]) -> usize {
        let count = min(self.available(buffer.len()), buffer.len());
        let (start, position) = (self.cursor.count, self.cursor.position);
        self.copy(&mut buffer[..count]);
        (self.cursor.count, self.cursor.position) = (start, position);
        count
    }

    /// How many bytes are there, at least; looks again if it knows of fewer than `wanted`.
    fn available(&mut self, wanted: usize) -> usize {
        let cursor = &mut *self.cursor;
        if cursor.seen.wrapping_sub(cursor.count) < wanted {
            cursor.seen = self.ring.written.0.load(Ordering::Acquire);
        }
        cursor.seen.wrapping_sub(cursor.count)
    }

    /// For how many bytes there is room, at most: the writer may have used some of it meanwhile.
    pub(super) fn room(&self) -> usize {
        self.ring.most().saturating_sub(self.cursor.seen.wrapping_sub(self.cursor.count))
    }

    /// Copies what is there into the whole of `buffer`, which is not longer.
    fn copy(&mut self, buffer: &mut [u8]) {
        let (ring, capacity) = (self.ring, self.ring.capacity());
        let mut done = 0;
        while done < buffer.len() {
            let piece = min(min(buffer.len() - done, PIECE), capacity - self.cursor.position);
            // SAFETY: `piece` bytes from `position` on are inside the buffer and were written, so they are the reader's,
            // and we hold its lock. `buffer` is somebody else's memory.
            unsafe {
                let place = ring.memory.start().as_ptr().add(self.cursor.position);
                place.copy_to_nonoverlapping(buffer.as_mut_ptr().add(done), piece);
            }
            self.cursor.advance(piece, capacity);
            done += piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    fn ring(capacity: usize) -> Ring {
        Ring::new(Memory::new(usize::MAX).buffer(capacity).unwrap())
    }

    #[test]
    fn bytes_come_out_as_they_went_in_across_every_edge() {
        for capacity in [1, 7, PIECE, PIECE + 1, 2 * SHOWN + 3] {
            let ring = ring(capacity);
            let (mut written, mut read) = (0_usize, 0_usize);
            let mut step = 1;
            while read < 5 * capacity + 100 {
                step = step * 7 % 10_007;
                let bytes: Vec<u8> = (written..written + step).map(|i| (i % 251) as u8).collect();
                let count = ring.writer().push(&bytes);
                assert_eq!(count, min(step, capacity - (written - read)));
                written += count;
                assert_eq!(ring.len(), written - read);
                let (mut seen, mut taken) = (vec![0; step / 2 + 1], vec![0; step / 2 + 1]);
                let peeked = ring.reader().peek(&mut seen);
                let count = ring.reader().pop(&mut taken);
                assert_eq!((peeked, &seen[..peeked]), (count, &taken[..count]));
                assert_eq!(count, min(step / 2 + 1, written - read));
                assert!(taken[..count].iter().enumerate().all(|(i, &byte)| byte == ((read + i) % 251) as u8));
                read += count;
            }
        }
    }

    #[test]
    fn a_ring_takes_no_more_than_it_was_told_to_and_keeps_what_it_has() {
        let (ring, mut buffer) = (ring(64), [0; 64]);
        assert_eq!(ring.writer().push(&[1; 40]), 40);
        ring.set_most(16);
        assert_eq!((ring.writer().push(&[2; 40]), ring.len()), (0, 40));
        let mut reader = ring.reader();
        assert_eq!((reader.pop(&mut buffer[..30]), reader.room()), (30, 6));
        drop(reader);
        assert_eq!((ring.writer().push(&[2; 40]), ring.len()), (6, 16));
        ring.set_most(1000);
        assert_eq!((ring.writer().push(&[3; 100]), ring.len()), (48, 64), "what there is room for");
        assert_eq!(ring.reader().pop(&mut buffer), 64);
        assert!(buffer[..10] == [1; 10] && buffer[10..16] == [2; 6] && buffer[16..] == [3; 48]);
    }

    #[test]
    fn an_empty_ring_begins_at_its_start_after_a_rest() {
        let memory = Memory::new(usize::MAX);
        let ring = Ring::new(memory.buffer(65_536).unwrap());
        let mut buffer = [0; 10_000];
        assert_eq!(ring.writer().push(&[1; 10_000]), 10_000);
        ring.rest();
        assert_eq!(memory.used(), 12_288, "there is something in it");
        assert_eq!(ring.reader().pop(&mut buffer), 10_000);
        ring.rest();
        assert_eq!(memory.used(), 0);
        assert_eq!(ring.writer().push(b"again"), 5);
        assert_eq!(memory.used(), 4096);
        assert_eq!((ring.reader().pop(&mut buffer), &buffer[..5]), (5, &b"again"[..]));
    }
}
