//! What a file system in memory may use.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Errno, Result};

/// Bytes are counted in pages of this size, as tmpfs does.
pub const PAGE: u64 = 4096;

/// Limits of a file system in memory, and what of them is used. `u64::MAX` is no limit.
pub struct Quota {
    bytes_max: AtomicU64,
    bytes: AtomicU64,
    inodes_max: AtomicU64,
    inodes: AtomicU64,
}

impl Quota {
    /// Limits in bytes and inodes.
    pub fn new(bytes_max: u64, inodes_max: u64) -> Quota {
        Quota { bytes_max: bytes_max.into(), bytes: 0.into(), inodes_max: inodes_max.into(), inodes: 0.into() }
    }

    /// Most bytes, and those used.
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_max.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    /// Most inodes, and those used.
    pub fn inodes(&self) -> (u64, u64) {
        (self.inodes_max.load(Ordering::Relaxed), self.inodes.load(Ordering::Relaxed))
    }

    /// Takes `bytes` (whole pages): ENOSPC.
    pub fn take(&self, bytes: u64) -> Result<()> {
        take(&self.bytes, bytes, self.bytes_max.load(Ordering::Relaxed))
    }

    /// Takes `bytes` that are in use already, limit or not.
    pub fn take_anyway(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back.
    pub fn give(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes an inode: ENOSPC.
    pub fn take_inode(&self) -> Result<()> {
        take(&self.inodes, 1, self.inodes_max.load(Ordering::Relaxed))
    }

    /// Gives an inode back.
    pub fn give_inode(&self) {
        self.inodes.fetch_sub(1, Ordering::Relaxed);
    }
}

fn take(used: &AtomicU64, more: u64, limit: u64) -> Result<()> {
    let taken = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| used.checked_add(more).filter(|sum| *sum <= limit));
    taken.map(|_| ()).map_err(|_| Errno::NOSPC)
}

/// Rounded up to whole pages.
pub fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE).saturating_mul(PAGE)
}
