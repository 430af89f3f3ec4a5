use std::hash::{BuildHasher, Hash};

use rand::Rng;
use siphasher::sip::SipHasher13;

/// A keyed hash (SipHash-1-3): without the key nobody outside can aim at a bucket, a port or a sequence number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(u64, u64);

impl Key {
    pub(crate) fn new(rng: &mut impl Rng) -> Key {
        Key(rng.next_u64(), rng.next_u64())
    }

    pub(super) fn hash(&self, value: &impl Hash) -> u64 {
        self.hash_one(value)
    }
}

impl BuildHasher for Key {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}
