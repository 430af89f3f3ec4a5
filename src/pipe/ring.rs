//! Two rings of bytes in slots of the slab.
#![allow(unsafe_code)] // ringbuf asks for storage by an unsafe trait

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::Arc;

use ringbuf::SharedRb;
use ringbuf::rb::RbRef;
use ringbuf::storage::Storage;
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

/// Both rings of a pipe: one allocation, because there are as many as there are connections.
struct Rings([SharedRb<Place>; 2]);

/// One of the two.
#[derive(Clone)]
pub(super) struct Ring<const N: usize>(Arc<Rings>);

impl<const N: usize> AsRef<SharedRb<Place>> for Ring<N> {
    fn as_ref(&self) -> &SharedRb<Place> {
        &self.0.0[N]
    }
}

// SAFETY: a clone has the same rings and the same number, so that it is the same ring, which lives as long as they do.
unsafe impl<const N: usize> RbRef for Ring<N> {
    type Rb = SharedRb<Place>;
}

pub(super) type Writer<const N: usize> = CachingProd<Ring<N>>;
pub(super) type Reader<const N: usize> = CachingCons<Ring<N>>;

/// The two ends of one ring in each of the `buffers`, which must outlive all of them.
///
/// # Panics
///
/// If a buffer has no bytes.
pub(super) fn rings(buffers: &[Buffer; 2]) -> ((Writer<0>, Reader<0>), (Writer<1>, Reader<1>)) {
    let rings = buffers.each_ref().map(|buffer| {
        let place = Place { start: buffer.start(), length: buffer.len() };
        // SAFETY: both indices are 0: the ring is empty, and nothing in it needs to be initialised.
        unsafe { SharedRb::from_raw_parts(place, 0, 0) }
    });
    let rings = Arc::new(Rings(rings));
    (ends(Ring(Arc::clone(&rings))), ends(Ring(rings)))
}

fn ends<const N: usize>(ring: Ring<N>) -> (Writer<N>, Reader<N>) {
    (CachingProd::new(ring.clone()), CachingCons::new(ring))
}
