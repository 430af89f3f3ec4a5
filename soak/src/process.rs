//! What the daemon uses, as the kernel says.

use std::fmt;
use std::fs;

/// A look at a process.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    resident_kib: u64,
    descriptors: usize,
}

/// How much more memory than before is still as before: allocators keep some, tables keep their size.
const SLACK_KIB: u64 = 16 * 1024;

impl Usage {
    /// `None` if there is no such process.
    pub fn of(pid: u32) -> Option<Usage> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let resident_kib = line.split_whitespace().next()?.parse().ok()?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
        Some(Usage { resident_kib, descriptors })
    }

    /// Whether it is what it was.
    pub fn is_back_at(&self, before: &Usage) -> bool {
        self.descriptors <= before.descriptors
            && self.resident_kib <= before.resident_kib + before.resident_kib / 4 + SLACK_KIB
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB resident, {} descriptors", self.resident_kib, self.descriptors)
    }
}
