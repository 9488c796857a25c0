//! The end of threads and processes (`man 2 exit`, `man 2 exit_group`).

use std::sync::Arc;

use quark_host::platform::Context;

use super::family::INIT;
use super::namespace::Table;
use super::session::ControllingTerminal;
use super::status::WaitStatus;
use super::{Process, Task, lock, stop};
use crate::call::Call;
use crate::ipc::semaphore::leave_undo_list;
use crate::memory::Memory;
use crate::signal::action::{Action, ActionFlags, IGNORE};
use crate::signal::info::{Origin, SI_KERNEL};
use crate::signal::send::{begin_exit, send_to_process};
use crate::signal::state::Job;
use crate::wait::{Events, WaitQueue};
use crate::{Result, futex};

/// What is done once all locks are released.
#[derive(Default)]
struct News {
    signals: Vec<(Arc<Process>, i32, Origin)>,
    queues: Vec<Arc<Process>>,
    terminal: Option<Arc<dyn ControllingTerminal>>,
}

/// `exit(2)`: ends the thread; the process if it is the last one.
pub fn exit(call: &mut Call<'_>) -> Result<u64> {
    let task = call.task;
    let status = WaitStatus::exited(call.int(0));
    lock(&task.own).exit_status = Some(status);
    task.doom();
    Ok(0)
}

/// `exit_group(2)`.
pub fn exit_group(call: &mut Call<'_>) -> Result<u64> {
    begin_exit(&call.task.process, WaitStatus::exited(call.int(0)));
    Ok(0)
}

/// The end of a thread, on its kernel half, after its last guest instruction.
pub(crate) fn end(task: &Arc<Task>, mut context: Context) {
    let process = &task.process;
    futex::thread_ends(task, &mut context);
    leave_undo_list(task);
    *lock(&task.interrupter) = None;
    let own = lock(&task.own).clone();
    if task.tid() == process.pid && own.exit_status.is_some() {
        lock(&process.details).leader_status = own.exit_status;
    }
    // The last thread's descriptors are closed before anybody learns that the process has ended: pipes end first, as on Linux.
    *lock(&task.files) = Arc::default();
    process.take_times();
    lock(&process.details).last_uid = task.credentials().uid;
    let last = leave(task);
    context.exit();
    if last {
        end_process(process, own.exit_status);
    } else {
        tell_children_of_thread(process, task.tid());
        stop::thread_ended(process);
        process.ended.notify(Events::IN);
    }
}

/// Takes a thread out of its process; whether it was the last one.
fn leave(task: &Arc<Task>) -> bool {
    let process = &task.process;
    let mut table = process.container.pids.table();
    let mut threads = lock(&process.threads);
    threads.retain(|other| !Arc::ptr_eq(other, task));
    if table.tasks.get(&task.tid()).is_some_and(|known| Arc::ptr_eq(known, task)) {
        table.tasks.remove(&task.tid());
    }
    threads.is_empty()
}

fn end_process(process: &Arc<Process>, last_status: Option<WaitStatus>) {
    process.timers.end();
    release_memory(process);
    process.release_vfork_parent();
    if process.pid == INIT || process.is_container_init() {
        end_container(process);
    }
    let status = final_status(process, last_status);
    let mut news = News::default();
    let telling = process.container.pids.telling();
    {
        let mut table = process.container.pids.table();
        process.signals.lock().exit = Some(status);
        // Nobody sets it twice: a process has one last thread.
        let _ = process.end.set(status);
        hang_up(process, &mut table, &mut news);
        orphan_children(process, &mut table, &mut news);
        bequeath(process, status, &mut table, &mut news);
    }
    for (receiver, signal, origin) in news.signals {
        send_to_process(&receiver, signal, origin);
    }
    drop(telling);
    if let Some(terminal) = news.terminal {
        terminal.released();
    }
    for parent in news.queues {
        parent.children_changed.notify(Events::IN);
    }
    process.ended.notify(Events::all());
    process.container.pids.changed.notify(Events::IN);
}

/// `exit_group` or a signal decides; else the first thread's `exit`, else the last one's.
fn final_status(process: &Process, last: Option<WaitStatus>) -> WaitStatus {
    let group = process.signals.lock().exit;
    group.or(lock(&process.details).leader_status).or(last).unwrap_or(WaitStatus::signaled(libc::SIGKILL))
}

/// Kills the stub process, and lets go what is mapped, unless another process still runs in it (after vfork).
fn release_memory(process: &Arc<Process>) {
    let memory = lock(&process.memory).clone();
    {
        let table = process.container.pids.table();
        if used_by_others(&table, process, &memory) {
            return;
        }
        process.keep_stub_time(&memory);
        memory.space.kill();
    }
    memory.let_go();
}

/// Whether a living process other than `process` is in this memory.
pub(crate) fn used_by_others(table: &Table, process: &Process, memory: &Arc<Memory>) -> bool {
    let shares = |other: &&Arc<Process>| other.pid != process.pid && !other.has_ended() && Arc::ptr_eq(&lock(&other.memory), memory);
    table.processes.values().any(|other| shares(&other))
}

/// The init of a pid namespace takes all with it, the init of a container that shares its ids with others all of that container.
/// Waits until they have ended.
fn end_container(init: &Arc<Process>) {
    let pids = &init.container.pids;
    let doomed = |other: &Arc<Process>| {
        other.pid != init.pid && !other.has_ended() && (init.pid == INIT || Arc::ptr_eq(&other.container, &init.container))
    };
    let alone = || {
        let left: Vec<_> = pids.processes().into_iter().filter(doomed).collect();
        left.iter().for_each(|process| process.kill());
        left.is_empty().then_some(())
    };
    wait_plainly(&pids.changed, alone);
}

/// Waits on a parker of its own: the thread that ends has no use for signals any more.
fn wait_plainly(queue: &WaitQueue, mut ready: impl FnMut() -> Option<()>) {
    let parker = Arc::new(crate::wait::Parker::default());
    let waiter: Arc<dyn crate::wait::Waiter> = parker.clone();
    let key = queue.register(Events::all(), &waiter);
    while ready().is_none() {
        parker.park(None);
    }
    queue.remove(key);
}

/// The leader of a session loses its terminal: those in the foreground get SIGHUP and SIGCONT.
fn hang_up(process: &Arc<Process>, table: &mut Table, news: &mut News) {
    let Some(session) = table.sessions.get(&process.pid).cloned() else {
        return;
    };
    let Some((terminal, foreground)) = session.drop_terminal() else {
        return;
    };
    for member in table.group(foreground) {
        news.signals.push((member.clone(), libc::SIGHUP, Origin::Kernel));
        news.signals.push((member, libc::SIGCONT, Origin::Kernel));
    }
    news.terminal = Some(terminal);
}

/// Gives the children to their new parent. Groups that are orphaned by it and have stopped members get SIGHUP and SIGCONT.
fn orphan_children(process: &Arc<Process>, table: &mut Table, news: &mut News) {
    let Some(me) = table.family.get(process.pid).cloned() else {
        return;
    };
    let mut groups: Vec<i32> = me.children.iter().filter_map(|child| table.family.get(*child)).map(|child| child.group).collect();
    groups.push(me.group);
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|group| !table.family.orphaned(*group, None));
    let (reaper, orphans) = table.family.orphan_children_of(process.pid);
    let new_parent = table.processes.get(&reaper).cloned();
    for orphan in orphans {
        let Some(child) = table.processes.get(&orphan).cloned() else {
            continue;
        };
        table.publish_all(&child);
        if let Some(signal) = child.parent_death_signal() {
            news.signals.push((child.clone(), signal, Origin::User { code: SI_KERNEL, pid: process.pid, uid: 0, value: 0 }));
        }
        if let Some(status) = table.family.get(orphan).and_then(|member| member.ended) {
            match &new_parent {
                Some(parent) => tell_of_end(&child, parent, status, libc::SIGCHLD, table, news),
                None => table.reap(orphan),
            }
        }
    }
    groups.retain(|group| table.family.orphaned(*group, Some(process.pid)));
    for member in groups.iter().flat_map(|group| stopped_group(table, *group)) {
        news.signals.push((member.clone(), libc::SIGHUP, Origin::Kernel));
        news.signals.push((member, libc::SIGCONT, Origin::Kernel));
    }
}

/// The members of a group if one of them has stopped, else nobody.
fn stopped_group(table: &Table, group: i32) -> Vec<Arc<Process>> {
    let members = table.group(group);
    let stopped = members.iter().any(|member| matches!(member.signals.lock().job, Job::Stopped(_)));
    if stopped { members } else { Vec::new() }
}

/// Becomes a zombie that the parent is told of, or vanishes.
fn bequeath(process: &Arc<Process>, status: WaitStatus, table: &mut Table, news: &mut News) {
    let Some(member) = table.family.get_mut(process.pid) else {
        return;
    };
    member.ended = Some(status);
    let (parent, signal) = (member.parent, member.exit_signal);
    match table.processes.get(&parent).cloned() {
        Some(parent) => tell_of_end(process, &parent, status, signal, table, news),
        // Started by the kernel: `Kernel::wait` forgets it. An orphan of a dead init is waited for by nobody.
        None if process.container.awaits(process.pid) => {}
        None => table.reap(process.pid),
    }
}

/// Whether a parent with this action for SIGCHLD never waits: its children leave no zombies.
pub(crate) fn leaves_no_zombies(action: &Action) -> bool {
    action.handler == IGNORE || action.flags().contains(ActionFlags::NOCLDWAIT)
}

fn tell_of_end(child: &Arc<Process>, parent: &Arc<Process>, status: WaitStatus, signal: i32, table: &mut Table, news: &mut News) {
    let action = parent.signals.action(libc::SIGCHLD);
    if signal != 0 && !(signal == libc::SIGCHLD && action.handler == IGNORE) {
        news.signals.push((parent.clone(), signal, child.end_origin(status)));
    }
    if signal == libc::SIGCHLD && leaves_no_zombies(&action) {
        table.reap(child.pid);
    }
    news.queues.push(parent.clone());
}

/// PR_SET_PDEATHSIG counts from the end of the thread that made a child, not of its process.
fn tell_children_of_thread(process: &Arc<Process>, tid: i32) {
    let children: Vec<Arc<Process>> = {
        let table = process.container.pids.table();
        let member = table.family.get(process.pid);
        member.into_iter().flat_map(|member| &member.children).filter_map(|child| table.processes.get(child)).cloned().collect()
    };
    for child in children {
        let maker = child.leader().map_or(0, |leader| lock(&leader.own).maker);
        if let Some(signal) = child.parent_death_signal().filter(|_| maker == tid) {
            send_to_process(&child, signal, Origin::User { code: SI_KERNEL, pid: process.pid, uid: 0, value: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_said_so_leave_no_zombies() {
        assert!(!leaves_no_zombies(&Action::default()));
        assert!(leaves_no_zombies(&Action { handler: IGNORE, ..Action::default() }));
        assert!(leaves_no_zombies(&Action { flags: ActionFlags::NOCLDWAIT.bits(), ..Action::default() }));
    }
}
