//! Locks that the kernel hands from owner to owner: FUTEX_LOCK_PI and its relatives. Nobody's priority is raised (the host schedules
//! all alike), the rest of the protocol is kept: the word has the owner's thread id, and tells if it died.

use std::sync::Arc;
use std::time::Instant;

use quark_host::platform::Context;

use super::Word;
use super::table::Waiter;
use crate::call::{Call, restart};
use crate::task::Task;
use crate::{Errno, Result};

/// FUTEX_WAITERS.
pub const WAITERS: u32 = 0x8000_0000;
/// FUTEX_OWNER_DIED.
pub const OWNER_DIED: u32 = 0x4000_0000;
/// FUTEX_TID_MASK.
pub const TID: u32 = 0x3fff_ffff;

/// What to do about a lock word when `tid` wants the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Store this: the lock is taken.
    Take(u32),
    /// Store this, then wait.
    Mark(u32),
    /// Wait.
    Wait,
    /// EDEADLK.
    Deadlock,
}

/// Decides by the word's value; `waited` if others are queued.
fn step(value: u32, tid: u32, waited: bool) -> Step {
    let owner = value & TID;
    if owner == tid {
        Step::Deadlock
    } else if owner == 0 {
        Step::Take(tid | value & OWNER_DIED | if waited { WAITERS } else { 0 })
    } else if value & WAITERS == 0 {
        Step::Mark(value | WAITERS)
    } else {
        Step::Wait
    }
}

/// FUTEX_LOCK_PI.
pub fn lock(call: &mut Call<'_>, word: &Word, deadline: Option<Instant>) -> Result<u64> {
    let Some(waiter) = take_or_queue(call, word, true)? else {
        return Ok(0);
    };
    match super::sleep(call.task, &waiter, deadline) {
        Err(restart::SYS) => Err(restart::NO_INTERRUPT),
        other => other,
    }
}

/// FUTEX_TRYLOCK_PI: EAGAIN if it is held.
pub fn try_lock(call: &mut Call<'_>, word: &Word) -> Result<u64> {
    take_or_queue(call, word, false).map(|_| 0)
}

/// Takes the lock (`None`), or queues for it.
fn take_or_queue(call: &mut Call<'_>, word: &Word, wait: bool) -> Result<Option<Arc<Waiter>>> {
    let task = call.task;
    let tid = task.tid();
    let mut bucket = task.kernel().futexes.bucket(&word.key);
    let mut value = word.value(task)?;
    loop {
        let waited = bucket.first(&word.key).is_some();
        let desired = match step(value, tid as u32, waited) {
            Step::Deadlock => return Err(Errno::DEADLK),
            Step::Take(desired) => desired,
            _ if !wait => return Err(Errno::AGAIN),
            Step::Mark(desired) => desired,
            Step::Wait => break,
        };
        let found = word.exchange(call.context, value, desired)?;
        if found == value && value & TID == 0 {
            return Ok(None);
        }
        value = if found == value { desired } else { found };
        if task.doomed() {
            return Err(restart::NO_INTERRUPT);
        }
    }
    let owner = (value & TID) as i32;
    task.process.container.pids.task(owner)?;
    let waiter = Waiter::new(task, word.key, word.address, owner);
    bucket.push(&waiter);
    Ok(Some(waiter))
}

/// FUTEX_UNLOCK_PI: EPERM if the caller hasn't it.
pub fn unlock(call: &mut Call<'_>, word: &Word) -> Result<u64> {
    let value = word.value(call.task)?;
    if value & TID != call.task.tid() as u32 {
        return Err(Errno::PERM);
    }
    pass_on(call.task, call.context, word, 0)?;
    Ok(0)
}

/// The end of an owner gives the lock to the next one, who learns of it.
pub fn owner_died(task: &Task, context: &mut Context, word: &Word) {
    // If the memory is gone, so is the lock.
    let _ = pass_on(task, context, word, OWNER_DIED);
}

/// Gives the lock to who waits first, or to nobody; `died` is added to the word.
fn pass_on(task: &Task, context: &mut Context, word: &Word, died: u32) -> Result<()> {
    let mut bucket = task.kernel().futexes.bucket(&word.key);
    let next = bucket.first(&word.key);
    let desired = match &next {
        Some((waiter, more)) => waiter.tid as u32 | if *more { WAITERS } else { 0 } | died,
        None => died,
    };
    let mut value = word.value(task)?;
    loop {
        if value & TID != task.tid() as u32 {
            return Ok(());
        }
        let found = word.exchange(context, value, desired)?;
        if found == value {
            break;
        }
        value = found;
    }
    if let Some((waiter, _)) = next {
        bucket.hand_over(&waiter);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_taken_marked_or_waited_for() {
        assert_eq!(step(0, 7, false), Step::Take(7));
        assert_eq!(step(0, 7, true), Step::Take(7 | WAITERS));
        assert_eq!(step(OWNER_DIED, 7, false), Step::Take(7 | OWNER_DIED));
        assert_eq!(step(5, 7, false), Step::Mark(5 | WAITERS));
        assert_eq!(step(5 | WAITERS, 7, true), Step::Wait);
        assert_eq!(step(7 | WAITERS, 7, true), Step::Deadlock);
    }
}
