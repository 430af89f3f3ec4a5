//! Who wants which group.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::error::{Error, Result};

/// Groups with the number of those who want them.
#[derive(Debug)]
pub(super) struct Memberships {
    groups: BTreeMap<IpAddr, usize>,
    limit: usize,
    edition: u64,
}

impl Memberships {
    pub(super) fn new(limit: usize) -> Memberships {
        Memberships { groups: BTreeMap::new(), limit, edition: 0 }
    }

    /// Says whether the group is new.
    pub(super) fn join(&mut self, group: IpAddr) -> Result<bool> {
        if self.groups.len() >= self.limit && !self.groups.contains_key(&group) {
            return Err(Error::NoBufferSpace);
        }
        Ok(self.join_always(group))
    }

    /// [`Memberships::join`] without a limit.
    pub(super) fn join_always(&mut self, group: IpAddr) -> bool {
        let count = self.groups.entry(group).or_insert(0);
        *count += 1;
        let is_new = *count == 1;
        self.edition += u64::from(is_new);
        is_new
    }

    /// Says whether nobody wants it any more.
    pub(super) fn leave(&mut self, group: IpAddr) -> bool {
        let Some(count) = self.groups.get_mut(&group) else { return false };
        *count -= 1;
        let is_over = *count == 0;
        if is_over {
            self.groups.remove(&group);
            self.edition += 1;
        }
        is_over
    }

    pub(super) fn contains(&self, group: IpAddr) -> bool {
        self.groups.contains_key(&group)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.groups.keys().copied()
    }

    pub(super) fn edition(&self) -> u64 {
        self.edition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lasts_as_long_as_somebody_wants_it() {
        let mut members = Memberships::new(1);
        let (one, other) = ("239.1.2.3".parse().unwrap(), "ff05::1".parse().unwrap());
        assert_eq!((members.join(one), members.join(one)), (Ok(true), Ok(false)));
        assert_eq!(members.join(other), Err(Error::NoBufferSpace));
        assert!(!members.leave(one) && members.contains(one));
        assert!(members.leave(one) && !members.contains(one));
        assert!(!members.leave(one), "nobody was in it");
        assert_eq!(members.join(other), Ok(true));
        assert_eq!(members.edition(), 3);
    }
}
