//! File systems.

pub mod cgroup;
pub mod dev;
pub mod host;
pub mod memory;
pub mod proc;
pub mod pseudo;
pub mod sys;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::vfs::inode::TimeStamp;

/// A device number for a file system without a device: major 0, as Linux gives them.
pub fn next_device() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(32);
    let minor = NEXT.fetch_add(1, Ordering::Relaxed);
    rustix::fs::makedev(0, (minor & 0xf_ffff) as u32)
}

/// The time that files are stamped with: the clock's last tick, as Linux does.
pub fn now() -> TimeStamp {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    TimeStamp { seconds: now.tv_sec, nanoseconds: now.tv_nsec as u32 }
}
