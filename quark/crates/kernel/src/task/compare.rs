//! `kcmp(2)`: whether two processes share what a descriptor or a clone can share.

use std::cmp::Ordering;
use std::sync::Arc;

use super::{Task, lock};
use crate::call::Call;
use crate::{Errno, Result};

const CAP_SYS_PTRACE: u32 = 19;

/// What is compared (`linux/kcmp.h`).
const FILE: i32 = 0;
const VM: i32 = 1;
const FILES: i32 = 2;
const FS: i32 = 3;
const SIGHAND: i32 = 4;
const IO: i32 = 5;
const SYSVSEM: i32 = 6;

/// `kcmp(2)`: 0 for the same, 1 and 2 for an order that means nothing. ESRCH, EPERM, EBADF, EINVAL.
pub fn kcmp(call: &mut Call<'_>) -> Result<u64> {
    let [_, _, kind, first, second, _] = call.args;
    let tasks = [call.int(0), call.int(1)].map(|pid| if pid <= 0 { Err(Errno::SRCH) } else { call.task.process.container.pids.task(pid) });
    let [one, other] = tasks;
    let (one, other) = (one?, other?);
    for task in [&one, &other] {
        let (mine, theirs) = (call.task.credentials(), task.credentials());
        let same = [theirs.uid, theirs.euid, theirs.suid].iter().all(|uid| *uid == mine.uid);
        if !Arc::ptr_eq(task, call.task) && !same && !mine.capable(CAP_SYS_PTRACE) {
            return Err(Errno::PERM);
        }
    }
    let (one, other) = (address(&one, kind as i32, first)?, address(&other, kind as i32, second)?);
    Ok(match one.cmp(&other) {
        Ordering::Equal => 0,
        Ordering::Less => 1,
        Ordering::Greater => 2,
    })
}

/// Where it is in our memory.
fn address(task: &Arc<Task>, kind: i32, index: u64) -> Result<usize> {
    Ok(match kind {
        FILE => Arc::as_ptr(&task.files().get_any(index as i32)?).addr(),
        VM => Arc::as_ptr(&task.memory()).addr(),
        FILES => Arc::as_ptr(&task.files()).addr(),
        FS => Arc::as_ptr(&task.fs()).addr(),
        SIGHAND => Arc::as_ptr(&task.process.signals.actions()).addr(),
        // Nobody has a context of its own.
        IO => 0,
        SYSVSEM => lock(&task.semaphore_undo).as_ref().map_or(0, |list| Arc::as_ptr(list).addr()),
        _ => return Err(Errno::INVAL),
    })
}
