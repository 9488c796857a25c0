//! How much a process may map.

use super::map::Totals;
use crate::task::{Task, lock};
use crate::{Errno, Result};

/// CAP_IPC_LOCK.
const CAP_IPC_LOCK: u32 = 14;
/// CAP_SYS_RAWIO.
const CAP_SYS_RAWIO: u32 = 17;

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
    /// CAP_SYS_RAWIO: may map below [`super::map::Map::lowest`], as far as that goes.
    pub low: bool,
}

impl Allowance {
    /// No limits.
    pub const ALL: Allowance = Allowance { total: u64::MAX, data: u64::MAX, stack: u64::MAX, locked: u64::MAX, low: false };

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
            low: credentials.capable(CAP_SYS_RAWIO),
        }
    }

    /// Whether `more` bytes may be mapped, of which `data` count as data: ENOMEM.
    pub fn check_growth(&self, now: Totals, more: u64, data: u64) -> Result<()> {
        let fits = now.all.saturating_add(more) <= self.total && (data == 0 || now.data.saturating_add(data) <= self.data);
        if fits { Ok(()) } else { Err(Errno::NOMEM) }
    }

    /// Whether `more` bytes may be locked when a mapping is made or grows: EAGAIN.
    pub fn check_locked(&self, now: Totals, more: u64) -> Result<()> {
        if now.locked.saturating_add(more) <= self.locked { Ok(()) } else { Err(Errno::AGAIN) }
    }
}
