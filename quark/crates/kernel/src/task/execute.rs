//! `execve(2)`: what of it is about the process. Loading is [`crate::exec`]'s, before anything here has changed.

use std::sync::Arc;

use super::credentials::secure;
use super::{Task, exit, lock};
use crate::call::{Call, restart};
use crate::exec::{Loaded, read_execve, read_execveat};
use crate::signal::state::AlternateStack;
use crate::{Errno, Result, futex};

/// `execve(2)`.
pub fn execve(call: &mut Call<'_>) -> Result<u64> {
    let personality = lock(&call.task.process.details).personality;
    let kernel = call.task.kernel().clone();
    let container = call.task.process.container.clone();
    let loaded = read_execve(call, container.platform(&kernel), personality)?;
    replace(call, loaded)
}

/// `execveat(2)`.
pub fn execveat(call: &mut Call<'_>) -> Result<u64> {
    let personality = lock(&call.task.process.details).personality;
    let kernel = call.task.kernel().clone();
    let container = call.task.process.container.clone();
    let loaded = read_execveat(call, container.platform(&kernel), personality)?;
    replace(call, loaded)
}

/// Puts a loaded program in the place of the caller's. From here on nothing fails but the end of the process.
fn replace(call: &mut Call<'_>, loaded: Loaded) -> Result<u64> {
    let task = call.task;
    let process = &task.process;
    if let Err(error) = end_other_threads(task) {
        loaded.memory.space.kill();
        return Err(error);
    }
    // Locks that it holds are marked while the old memory is still there.
    futex::thread_ends(task, call.context);
    become_leader(task);
    let old_context = std::mem::replace(call.context, loaded.context);
    *lock(&task.interrupter) = Some(call.context.interrupter());
    let old_memory = std::mem::replace(&mut *lock(&process.memory), loaded.memory.clone());
    let used = exit::used_by_others(&process.container.pids.table(), process, &old_memory);
    if !used {
        process.keep_stub_time(&old_memory);
    }
    old_context.exit();
    if !used {
        old_memory.space.kill();
    }
    process.release_vfork_parent();
    unshare_files(task);
    process.timers.execute();
    reset_signals(task);
    reset_own(task, loaded.secure);
    let mut credentials = loaded.credentials;
    credentials.secure_bits &= !secure::KEEP_CAPS;
    *lock(&task.credentials) = Arc::new(credentials);
    *lock(&task.name) = loaded.name;
    if let Some(member) = process.container.pids.table().family.get_mut(process.pid) {
        member.executed = true;
        // Whatever clone asked for, the parent of a program gets SIGCHLD.
        member.exit_signal = libc::SIGCHLD;
    }
    task.publish();
    task.publish_actions();
    *call.registers = loaded.registers;
    // An interrupt of the old thread may have been lost with it.
    task.want_attention();
    Ok(call.registers.rax)
}

/// Ends the other threads and waits until they have. EAGAIN (never seen by the guest) if the process ends meanwhile.
fn end_other_threads(task: &Arc<Task>) -> Result<()> {
    let process = &task.process;
    {
        let threads = lock(&process.threads);
        let state = process.signals.lock();
        if state.exit.is_some() || task.doomed() {
            return Err(restart::NO_INTERRUPT);
        }
        if threads.len() == 1 {
            return Ok(());
        }
        threads.iter().filter(|other| !Arc::ptr_eq(other, task)).for_each(|other| other.doom());
    }
    let alone = || (lock(&process.threads).len() == 1).then_some(());
    task.block_until_doomed(&process.ended, alone).ok_or(Errno::AGAIN)
}

/// The only thread left has the process' number, whichever it had.
fn become_leader(task: &Arc<Task>) {
    let process = &task.process;
    let mut table = process.container.pids.table();
    let before = task.tid();
    if before == process.pid {
        return;
    }
    table.tasks.remove(&before);
    task.set_tid(process.pid);
    table.tasks.insert(process.pid, task.clone());
    lock(&process.details).leader_status = None;
}

/// A descriptor table of its own, without those that close.
fn unshare_files(task: &Task) {
    let old = task.files();
    let mut files = lock(&task.files);
    // `old` and the one in place are two.
    if Arc::strong_count(&old) > 2 {
        *files = Arc::new(old.copy());
    }
    let own = files.clone();
    drop(files);
    drop(old);
    own.close_for_exec();
}

fn reset_signals(task: &Task) {
    let signals = &task.process.signals;
    signals.unshare_actions();
    lock(&signals.actions()).reset_handlers();
    let mut own = task.signals.lock();
    own.stack = AlternateStack::default();
    if let Some(saved) = own.saved.take() {
        own.blocked = saved;
    }
}

fn reset_own(task: &Task, gained: bool) {
    *lock(&task.restart) = None;
    {
        let mut own = lock(&task.own);
        (own.clear_tid, own.robust_list, own.fault) = (0, 0, None);
        own.exit_status = None;
        if gained {
            own.parent_death_signal = 0;
        }
    }
    let mut details = lock(&task.process.details);
    details.barriers = false;
    details.dumpable = i32::from(!gained);
}
