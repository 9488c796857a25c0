//! System calls that send signals.

use std::sync::Arc;

use super::info::{INFO_SIZE, Origin, SI_TKILL, SI_USER, Signal};
use super::send::{queue_to_process, queue_to_task};
use super::set::is_signal;
use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::family::INIT;
use crate::task::{Credentials, Process, Task};
use crate::{Errno, Result};

use super::mask::{
    pause, restart_syscall, rt_sigaction, rt_sigpending, rt_sigprocmask, rt_sigreturn, rt_sigsuspend, rt_sigtimedwait, sigaltstack,
};

/// Signals' system calls.
pub const CALLS: Calls = &[
    (libc::SYS_kill, kill),
    (libc::SYS_tkill, tkill),
    (libc::SYS_tgkill, tgkill),
    (libc::SYS_rt_sigqueueinfo, rt_sigqueueinfo),
    (libc::SYS_rt_tgsigqueueinfo, rt_tgsigqueueinfo),
    (libc::SYS_rt_sigaction, rt_sigaction),
    (libc::SYS_rt_sigprocmask, rt_sigprocmask),
    (libc::SYS_rt_sigpending, rt_sigpending),
    (libc::SYS_rt_sigsuspend, rt_sigsuspend),
    (libc::SYS_rt_sigtimedwait, rt_sigtimedwait),
    (libc::SYS_rt_sigreturn, rt_sigreturn),
    (libc::SYS_sigaltstack, sigaltstack),
    (libc::SYS_pause, pause),
    (libc::SYS_restart_syscall, restart_syscall),
];

const CAP_KILL: u32 = 5;

/// Whether one may signal another: the real or effective user is the other's real or saved one.
pub fn may_signal(sender: &Credentials, receiver: &Credentials) -> bool {
    let same = |uid: u32| uid == receiver.uid || uid == receiver.suid;
    same(sender.uid) || same(sender.euid) || sender.capable(CAP_KILL)
}

/// Sends after checking the number and permission; 0 only checks. SIGCONT within a session is always allowed.
pub fn queue_checked(sender: &Task, process: &Arc<Process>, thread: Option<&Arc<Task>>, signal: i32, origin: Origin) -> Result<u64> {
    if signal != 0 && !is_signal(signal) {
        return Err(Errno::INVAL);
    }
    let receiver = thread.cloned().or_else(|| process.leader());
    if let Some(receiver) = receiver.filter(|receiver| !Arc::ptr_eq(&receiver.process, &sender.process)) {
        let allowed =
            may_signal(&sender.credentials(), &receiver.credentials()) || signal == libc::SIGCONT && same_session(&sender.process, process);
        if !allowed {
            return Err(Errno::PERM);
        }
    }
    if signal == 0 {
        return Ok(0);
    }
    match thread {
        Some(thread) => queue_to_task(thread, signal, origin)?,
        None => queue_to_process(process, signal, origin)?,
    }
    Ok(0)
}

fn same_session(one: &Process, other: &Process) -> bool {
    let session = |process: &Process| process.session().map(|session| session.id);
    session(one) == session(other)
}

fn from_user(sender: &Task, code: i32) -> Origin {
    Origin::User { code, pid: sender.process.pid, uid: sender.credentials().uid, value: 0 }
}

/// `kill(2)`.
fn kill(call: &mut Call<'_>) -> Result<u64> {
    let (pid, signal) = (call.int(0), call.int(1));
    let task = call.task;
    let origin = from_user(task, SI_USER);
    let pids = &task.process.container.pids;
    match pid {
        i32::MIN => Err(Errno::SRCH),
        -1 => {
            let all = pids.processes().into_iter().filter(|process| process.pid != INIT && process.pid != task.process.pid);
            kill_many(task, all.collect(), signal, origin)
        }
        pid if pid > 0 => queue_checked(task, &process_by_id(task, pid)?, None, signal, origin),
        0 => kill_many(task, pids.group(task.process.group()), signal, origin),
        group => kill_many(task, pids.group(-group), signal, origin),
    }
}

/// A process by its id, or by the id of one of its threads, as `kill` takes it.
fn process_by_id(task: &Task, pid: i32) -> Result<Arc<Process>> {
    let pids = &task.process.container.pids;
    pids.process(pid).or_else(|_| pids.task(pid).map(|thread| thread.process.clone()))
}

/// Succeeds if one of them could be signalled.
fn kill_many(task: &Task, processes: Vec<Arc<Process>>, signal: i32, origin: Origin) -> Result<u64> {
    let mut answer = Err(Errno::SRCH);
    for process in processes {
        match queue_checked(task, &process, None, signal, origin) {
            Ok(_) => answer = Ok(0),
            Err(error) if answer.is_err() => answer = Err(error),
            Err(_) => {}
        }
    }
    answer
}

/// `tkill(2)`.
fn tkill(call: &mut Call<'_>) -> Result<u64> {
    send_to_thread(call, None, call.int(0), call.int(1), None)
}

/// `tgkill(2)`.
fn tgkill(call: &mut Call<'_>) -> Result<u64> {
    if call.int(0) <= 0 {
        return Err(Errno::INVAL);
    }
    send_to_thread(call, Some(call.int(0)), call.int(1), call.int(2), None)
}

fn send_to_thread(call: &Call<'_>, pid: Option<i32>, tid: i32, signal: i32, origin: Option<Origin>) -> Result<u64> {
    if tid <= 0 {
        return Err(Errno::INVAL);
    }
    let thread = call.task.process.container.pids.task(tid)?;
    if pid.is_some_and(|pid| pid != thread.process.pid) {
        return Err(Errno::SRCH);
    }
    let origin = origin.unwrap_or_else(|| from_user(call.task, SI_TKILL));
    queue_checked(call.task, &thread.process, Some(&thread), signal, origin)
}

/// `rt_sigqueueinfo(2)`.
fn rt_sigqueueinfo(call: &mut Call<'_>) -> Result<u64> {
    let (pid, signal) = (call.int(0), call.int(1));
    let origin = read_info(call, 2, signal, pid)?;
    queue_checked(call.task, &process_by_id(call.task, pid)?, None, signal, origin)
}

/// `rt_tgsigqueueinfo(2)`.
fn rt_tgsigqueueinfo(call: &mut Call<'_>) -> Result<u64> {
    let (pid, tid, signal) = (call.int(0), call.int(1), call.int(2));
    if pid <= 0 {
        return Err(Errno::INVAL);
    }
    let origin = read_info(call, 3, signal, tid)?;
    send_to_thread(call, Some(pid), tid, signal, Some(origin))
}

/// What a program makes up; nobody may pose as the kernel or `kill` to others.
fn read_info(call: &mut Call<'_>, argument: usize, signal: i32, receiver: i32) -> Result<Origin> {
    let bytes: [u8; INFO_SIZE] = call.read_value(call.arg(argument))?;
    let origin = Signal::decode(signal, &bytes).origin;
    if (origin.code() >= 0 || origin.code() == SI_TKILL) && receiver != call.task.process.pid && receiver != call.task.tid() {
        return Err(Errno::PERM);
    }
    Ok(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_is_by_real_and_saved_user() {
        let user = |uid: u32| Credentials { uid, euid: uid, suid: uid, ..Credentials::default() };
        assert!(may_signal(&user(5), &user(5)));
        assert!(!may_signal(&user(5), &user(6)));
        assert!(may_signal(&user(5), &Credentials { suid: 5, ..user(6) }));
        assert!(!may_signal(&user(5), &Credentials { euid: 5, ..user(6) }));
        assert!(may_signal(&Credentials { effective: 1 << CAP_KILL, ..user(5) }, &user(6)));
    }
}
