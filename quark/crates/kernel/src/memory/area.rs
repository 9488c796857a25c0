//! One mapping of a guest's memory, and what is behind it.

use std::sync::Arc;

use bitflags::bitflags;

use crate::file::MapSource;
use crate::memory::shm::Attachment;
use crate::vfs::open::OpenFile;

/// The size of a page.
pub const PAGE: u64 = 4096;

/// What is kept free below memory that grows down, in bytes: Linux' `stack_guard_gap`, 256 pages.
pub const GUARD: u64 = 256 * PAGE;

bitflags! {
    /// What a mapping may be used for: `PROT_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// PROT_READ.
        const READ = 1;
        /// PROT_WRITE.
        const WRITE = 2;
        /// PROT_EXEC.
        const EXEC = 4;
    }
}

bitflags! {
    /// What else is true of a mapping. Adjacent mappings with different flags stay apart.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// MAP_SHARED: others see what is written.
        const SHARED = 1;
        /// MAP_GROWSDOWN, and the stack: grows when touched below its start.
        const GROWS_DOWN = 1 << 1;
        /// `mlock`, MAP_LOCKED.
        const LOCKED = 1 << 2;
        /// MLOCK_ONFAULT.
        const LOCKED_ON_FAULT = 1 << 3;
        /// MAP_NORESERVE.
        const NO_RESERVE = 1 << 4;
        /// MADV_DONTFORK.
        const DONT_FORK = 1 << 5;
        /// MADV_WIPEONFORK.
        const WIPE_ON_FORK = 1 << 6;
        /// MADV_DONTDUMP.
        const DONT_DUMP = 1 << 7;
        /// MADV_SEQUENTIAL.
        const SEQUENTIAL = 1 << 8;
        /// MADV_RANDOM.
        const RANDOM = 1 << 9;
        /// MADV_HUGEPAGE.
        const HUGE = 1 << 10;
        /// MADV_NOHUGEPAGE, MAP_STACK.
        const NO_HUGE = 1 << 11;
        /// `mprotect` may not add PROT_WRITE: a shared mapping of a file that is open for reading only.
        const NEVER_WRITE = 1 << 12;
        /// `mprotect` may not add PROT_EXEC: a file of a mount with MS_NOEXEC.
        const NEVER_EXEC = 1 << 13;
        /// The main thread's stack.
        const STACK = 1 << 14;
    }
}

/// What is mapped, as far as it is not private memory without a file. Kept while a mapping of it exists.
pub struct Object {
    /// What the host maps.
    pub source: MapSource,
    /// The guest's file.
    pub kind: ObjectKind,
    /// Device and inode number that `/proc/self/maps` tells.
    pub identity: (u64, u64),
}

/// What kind of object it is.
pub enum ObjectKind {
    /// An open file of the guest.
    File(Arc<OpenFile>),
    /// Shared memory without a name (MAP_SHARED | MAP_ANONYMOUS): `/dev/zero (deleted)`.
    Anonymous,
    /// A System V segment, attached.
    Segment(Attachment),
}

/// Where the bytes of a mapping come from.
#[derive(Clone)]
pub enum Backing {
    /// Private memory, zero at first.
    Anonymous,
    /// An object, from this offset on (in bytes, page aligned, before [`MapSource::offset`] is added).
    Object(Arc<Object>, u64),
    /// The host's vDSO and its data, by the name that `/proc/self/maps` shows.
    Host(&'static str),
}

/// A range of guest addresses that is mapped in one way.
#[derive(Clone)]
pub struct Area {
    /// The first byte, page aligned.
    pub start: u64,
    /// Behind the last byte, page aligned.
    pub end: u64,
    /// What it may be used for.
    pub protection: Protection,
    /// What else is true of it.
    pub flags: Flags,
    /// What is mapped.
    pub backing: Backing,
}

impl Backing {
    /// What is mapped `distance` bytes further on.
    fn advanced(&self, distance: u64) -> Backing {
        match self {
            Backing::Object(object, offset) => Backing::Object(object.clone(), offset.wrapping_add(distance)),
            other => other.clone(),
        }
    }

    /// Whether `next` is what follows `length` bytes of this.
    fn followed_by(&self, length: u64, next: &Backing) -> bool {
        match (self, next) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (Backing::Object(object, offset), Backing::Object(other, at)) => {
                Arc::ptr_eq(object, other) && offset.wrapping_add(length) == *at
            }
            _ => false,
        }
    }
}

impl Area {
    /// Bytes.
    pub fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it is private memory that may be written, which RLIMIT_DATA limits.
    pub fn is_data(&self) -> bool {
        self.protection.contains(Protection::WRITE) && !self.flags.intersects(Flags::SHARED | Flags::GROWS_DOWN)
    }

    /// Whether it is program text, which VmExe and VmLib count.
    pub fn is_text(&self) -> bool {
        self.protection & (Protection::EXEC | Protection::WRITE) == Protection::EXEC && !self.flags.contains(Flags::GROWS_DOWN)
    }

    /// From where on addresses below it are not to be used: memory that grows down keeps a gap ([`GUARD`]) free.
    pub fn guarded_start(&self) -> u64 {
        let guard = if self.flags.contains(Flags::GROWS_DOWN) { GUARD } else { 0 };
        self.start.saturating_sub(guard)
    }

    /// The part of it that is in `start..end`; the caller knows that there is one.
    pub(super) fn part(&self, start: u64, end: u64) -> Area {
        let start = start.max(self.start);
        Area {
            start,
            end: end.min(self.end),
            protection: self.protection,
            flags: self.flags,
            backing: self.backing.advanced(start - self.start),
        }
    }

    /// Whether `next` continues it, so that both can be one.
    pub(super) fn joins(&self, next: &Area) -> bool {
        self.end == next.start
            && self.protection == next.protection
            && self.flags == next.flags
            && self.backing.followed_by(self.length(), &next.backing)
    }
}
