//! How much a process may map.

use std::sync::LazyLock;

use super::area::{Area, Backing, Flags, ObjectKind, Protection};
use super::map::Totals;
use crate::task::{Task, lock};
use crate::{Errno, Result};

/// CAP_IPC_LOCK.
const CAP_IPC_LOCK: u32 = 14;
/// CAP_SYS_RAWIO.
const CAP_SYS_RAWIO: u32 = 17;

/// Bytes of memory and swap that the machine has.
static MACHINE: LazyLock<u64> = LazyLock::new(|| {
    let info = rustix::system::sysinfo();
    (info.totalram + info.totalswap).saturating_mul(u64::from(info.mem_unit))
});

/// What a process' limits and capabilities allow; bytes, `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// RLIMIT_AS.
    pub total: u64,
    /// RLIMIT_DATA.
    pub data: u64,
    /// RLIMIT_STACK.
    pub stack: u64,
    /// RLIMIT_MEMLOCK; no limit with CAP_IPC_LOCK.
    pub locked: u64,
    /// More than this at once is refused, unless it is MAP_NORESERVE: the machine's memory and swap, as with `vm.overcommit_memory` at 0.
    pub reserve: u64,
    /// CAP_SYS_RAWIO: may map below [`super::map::Map::lowest`], as far as that goes.
    pub low: bool,
}

impl Allowance {
    /// No limits.
    pub const ALL: Allowance =
        Allowance { total: u64::MAX, data: u64::MAX, stack: u64::MAX, locked: u64::MAX, reserve: u64::MAX, low: false };

    /// A thread's.
    pub fn of(task: &Task) -> Allowance {
        let credentials = task.credentials();
        let limits = *lock(&task.process.limits);
        let soft = |which: u32| limits.get(which as usize).map_or(u64::MAX, |limit| limit.soft);
        Allowance {
            total: soft(libc::RLIMIT_AS),
            data: soft(libc::RLIMIT_DATA),
            stack: soft(libc::RLIMIT_STACK),
            locked: if credentials.capable(CAP_IPC_LOCK) { u64::MAX } else { soft(libc::RLIMIT_MEMLOCK) },
            reserve: *MACHINE,
            low: credentials.capable(CAP_SYS_RAWIO),
        }
    }

    /// Whether `more` bytes may be mapped, of which `data` count as data: ENOMEM.
    pub fn check_growth(&self, now: Totals, more: u64, data: u64) -> Result<()> {
        let fits = now.all.saturating_add(more) <= self.total && (data == 0 || now.data.saturating_add(data) <= self.data);
        if fits { Ok(()) } else { Err(Errno::NOMEM) }
    }

    /// Whether `length` more bytes of an area could ever be there: ENOMEM.
    pub fn check_reserve(&self, area: &Area, length: u64) -> Result<()> {
        let private = area.protection.contains(Protection::WRITE) && !area.flags.contains(Flags::SHARED);
        let shared = matches!(&area.backing, Backing::Object(object, _) if matches!(object.kind, ObjectKind::Anonymous));
        let counts = (private || shared) && !area.flags.contains(Flags::NO_RESERVE);
        if counts && length > self.reserve { Err(Errno::NOMEM) } else { Ok(()) }
    }

    /// Whether `more` bytes may be locked when a mapping is made or grows: EAGAIN.
    pub fn check_locked(&self, now: Totals, more: u64) -> Result<()> {
        if now.locked.saturating_add(more) <= self.locked { Ok(()) } else { Err(Errno::AGAIN) }
    }
}
