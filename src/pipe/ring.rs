//! A ring of bytes in a slot of the slab.
#![allow(unsafe_code)] // ringbuf asks for storage by an unsafe trait

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

use ringbuf::SharedRb;
use ringbuf::storage::Storage;
use ringbuf::traits::Split;
use ringbuf::wrap::caching::{CachingCons, CachingProd};

use crate::memory::Buffer;

/// The bytes of a buffer that is kept elsewhere.
pub(super) struct Place {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a place is an address and a length; the ring decides which end may use which bytes, as with a heap of its own.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

// SAFETY: the memory is outside of this value, `length` bytes of it, and both never change.
unsafe impl Storage for Place {
    type Item = u8;

    fn len(&self) -> usize {
        self.length
    }

    fn as_mut_ptr(&self) -> *mut MaybeUninit<u8> {
        self.start.as_ptr().cast()
    }
}

pub(super) type Writer = CachingProd<Arc<SharedRb<Place>>>;
pub(super) type Reader = CachingCons<Arc<SharedRb<Place>>>;

/// The two ends of a ring in `buffer`, which must outlive them.
///
/// # Panics
///
/// If the buffer has no bytes.
pub(super) fn ring(buffer: &Buffer) -> (Writer, Reader) {
    let place = Place { start: buffer.start(), length: buffer.len() };
    // SAFETY: both indices are 0: the ring is empty, and nothing in it needs to be initialised.
    unsafe { SharedRb::from_raw_parts(place, 0, 0) }.split()
}
