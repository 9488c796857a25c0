//! Robust futexes: the locks that a thread holds when it ends are marked, so that others don't wait for them in vain.

use std::sync::Arc;

use quark_host::platform::Context;

use super::lock::{OWNER_DIED, TID, WAITERS, owner_died};
use super::{Word, wake_one};
use crate::call::Call;
use crate::task::{Task, lock};
use crate::{Errno, Result};

/// Of `struct robust_list_head`.
const HEAD_SIZE: u64 = 24;
/// As many entries as Linux looks at: the list may be a ring.
const ENTRIES_MAX: usize = 2048;

/// `set_robust_list(2)`.
pub fn set_robust_list(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(1) != HEAD_SIZE {
        return Err(Errno::INVAL);
    }
    lock(&call.task.own).robust_list = call.arg(0);
    Ok(0)
}

/// `get_robust_list(2)`.
pub fn get_robust_list(call: &mut Call<'_>) -> Result<u64> {
    let list = match call.int(0) {
        0 => lock(&call.task.own).robust_list,
        tid => {
            let other = call.task.process.container.pids.task(tid)?;
            let (mine, theirs) = (call.task.credentials(), other.credentials());
            if mine.uid != theirs.uid && !mine.capable(19) {
                return Err(Errno::PERM);
            }
            lock(&other.own).robust_list
        }
    };
    call.write_value(call.arg(1), &list)?;
    call.write_value(call.arg(2), &HEAD_SIZE)?;
    Ok(0)
}

/// What a thread that ends leaves in its memory: robust locks are marked, CLONE_CHILD_CLEARTID's word is zeroed and woken, and
/// locks that others wait for go on to them. Does nothing if the memory is gone.
pub fn thread_ends(task: &Arc<Task>, context: &mut Context) {
    let own = lock(&task.own).clone();
    if own.robust_list != 0 {
        let _ = mark_all(task, context, own.robust_list);
    }
    let space = Arc::as_ptr(&task.memory()) as usize;
    for (key, address) in task.kernel().futexes.held_by(space, task.tid()) {
        owner_died(task, context, &Word { address, key });
    }
    // Nobody is left who could look at it: it stays, as on Linux.
    let threads = lock(&task.process.threads).len();
    let watched = threads > 1 || task.process.shares_memory();
    if own.clear_tid != 0 && watched && context.write(own.clear_tid, &[0; 4]).is_ok() {
        wake_one(context, own.clear_tid);
    }
    let mut own = lock(&task.own);
    (own.robust_list, own.clear_tid) = (0, 0);
}

fn read_word(context: &mut Context, address: u64) -> Result<u64> {
    let mut bytes = [0; 8];
    context.read(address, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Walks the list. Bit 0 of a pointer says that its lock is one of FUTEX_LOCK_PI.
fn mark_all(task: &Task, context: &mut Context, head: u64) -> Result<()> {
    let mut entry = read_word(context, head)?;
    let offset = read_word(context, head.wrapping_add(8))?;
    let pending = read_word(context, head.wrapping_add(16))?;
    for _ in 0..ENTRIES_MAX {
        if entry & !1 == head {
            break;
        }
        // The lock may be gone once it is marked.
        let next = read_word(context, entry & !1);
        if entry & !1 != pending & !1 {
            mark(task, context, (entry & !1).wrapping_add(offset), entry & 1 != 0, false)?;
        }
        entry = next?;
    }
    if pending & !1 != 0 {
        mark(task, context, (pending & !1).wrapping_add(offset), pending & 1 != 0, true)?;
    }
    Ok(())
}

/// What a lock's word becomes when its owner `tid` ends: `None` if it isn't the owner.
fn marked(value: u32, tid: i32) -> Option<u32> {
    (value & TID == tid as u32).then_some(value & WAITERS | OWNER_DIED)
}

fn mark(task: &Task, context: &mut Context, address: u64, inherits: bool, pending: bool) -> Result<()> {
    let word = Word::new(task, address, false)?;
    let mut value = word.value(task)?;
    loop {
        // It had unlocked, but not yet woken who waits.
        if pending && !inherits && value & TID == 0 {
            wake_one(context, address);
            return Ok(());
        }
        let Some(desired) = marked(value, task.tid()) else {
            return Ok(());
        };
        if inherits && value & WAITERS != 0 {
            owner_died(task, context, &word);
            return Ok(());
        }
        let found = word.exchange(context, value, desired)?;
        if found == value {
            break;
        }
        value = found;
    }
    if !inherits && value & WAITERS != 0 {
        wake_one(context, address);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owners_locks_are_marked() {
        assert_eq!(marked(7, 7), Some(OWNER_DIED));
        assert_eq!(marked(7 | WAITERS, 7), Some(OWNER_DIED | WAITERS));
        assert_eq!(marked(8, 7), None);
    }
}
