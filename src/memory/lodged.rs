//! A value that lives in buffers.
#![allow(unsafe_code)] // a slice of a slot is handed out for as long as the slot is held

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;

use super::Buffer;

/// A value made of buffers, and the buffers, which outlive it: smoltcp's sockets borrow theirs, and a connection
/// must own both.
///
/// The value must not be moved out from here (swapped, for instance) while it holds the slices: that is why this type
/// is for this crate alone.
pub(crate) struct Lodged<T, const N: usize> {
    /// Dropped first.
    value: T,
    slots: [Buffer; N],
}

impl<T, const N: usize> Lodged<T, N> {
    /// Makes a value of the bytes of `slots`, and gives it with what else `build` gives. The value is all that may
    /// keep the slices.
    pub(crate) fn new<R>(
        slots: [Buffer; N],
        build: impl FnOnce([&'static mut [u8]; N]) -> (T, R),
    ) -> (Lodged<T, N>, R) {
        let slices = slots.each_ref().map(|slot| {
            // SAFETY: the slot is readable and writable memory of at least this length, initialised by the kernel, and
            // belongs to this buffer alone. The slice is not really 'static: it lives in `value`, which is
            // dropped before the buffer is, and nothing else makes a reference to these bytes meanwhile.
            unsafe { slice::from_raw_parts_mut(slot.start().as_ptr(), slot.len()) }
        });
        let (value, rest) = build(slices);
        (Lodged { value, slots }, rest)
    }

    /// The buffers, to count what is written into them. Their memory may be released while the value needs
    /// nothing of what is in them.
    pub(crate) fn slots(&self) -> &[Buffer; N] {
        &self.slots
    }
}

impl<T, const N: usize> Deref for Lodged<T, N> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T, const N: usize> DerefMut for Lodged<T, N> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Lodged<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
