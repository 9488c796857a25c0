//! Who is who: ids of processes, users and groups, capabilities. And the table of all calls about tasks.

use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::credentials::Ids;
use super::{Credentials, Process, Task, clone, execute, exit, limits, lock, pidfd, prctl, schedule, usage, wait};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::{Errno, Result};

/// Tasks' system calls.
pub const CALLS: Calls = &[
    (libc::SYS_clone, clone::clone),
    (libc::SYS_clone3, clone::clone3),
    (libc::SYS_fork, clone::fork),
    (libc::SYS_vfork, clone::vfork),
    (libc::SYS_execve, execute::execve),
    (libc::SYS_execveat, execute::execveat),
    (libc::SYS_exit, exit::exit),
    (libc::SYS_exit_group, exit::exit_group),
    (libc::SYS_wait4, wait::wait4),
    (libc::SYS_waitid, wait::waitid),
    (libc::SYS_getrusage, usage::getrusage),
    (libc::SYS_times, usage::times),
    (libc::SYS_pidfd_open, pidfd::pidfd_open),
    (libc::SYS_pidfd_send_signal, pidfd::pidfd_send_signal),
    (libc::SYS_pidfd_getfd, pidfd::pidfd_getfd),
    (libc::SYS_kcmp, super::compare::kcmp),
    (libc::SYS_getpid, getpid),
    (libc::SYS_gettid, gettid),
    (libc::SYS_getppid, getppid),
    (libc::SYS_getpgid, getpgid),
    (libc::SYS_getpgrp, getpgrp),
    (libc::SYS_getsid, getsid),
    (libc::SYS_setpgid, setpgid),
    (libc::SYS_setsid, setsid),
    (libc::SYS_set_tid_address, set_tid_address),
    (libc::SYS_getuid, |call| Ok(call.task.credentials().uid.into())),
    (libc::SYS_geteuid, |call| Ok(call.task.credentials().euid.into())),
    (libc::SYS_getgid, |call| Ok(call.task.credentials().gid.into())),
    (libc::SYS_getegid, |call| Ok(call.task.credentials().egid.into())),
    (libc::SYS_getresuid, getresuid),
    (libc::SYS_getresgid, getresgid),
    (libc::SYS_setuid, |call| change(call, |ids, call| ids.set_user(call.arg(0) as u32))),
    (libc::SYS_setgid, |call| change(call, |ids, call| ids.set_group(call.arg(0) as u32))),
    (libc::SYS_setreuid, |call| change(call, |ids, call| ids.set_users(call.arg(0) as u32, call.arg(1) as u32))),
    (libc::SYS_setregid, |call| change(call, |ids, call| ids.set_groups(call.arg(0) as u32, call.arg(1) as u32))),
    (libc::SYS_setresuid, |call| change(call, |ids, call| ids.set_all_users([0, 1, 2].map(|at| call.arg(at) as u32)))),
    (libc::SYS_setresgid, |call| change(call, |ids, call| ids.set_all_groups([0, 1, 2].map(|at| call.arg(at) as u32)))),
    (libc::SYS_setfsuid, setfsuid),
    (libc::SYS_setfsgid, setfsgid),
    (libc::SYS_getgroups, getgroups),
    (libc::SYS_setgroups, setgroups),
    (libc::SYS_capget, capget),
    (libc::SYS_capset, capset),
    (libc::SYS_prctl, prctl::prctl),
    (libc::SYS_arch_prctl, prctl::arch_prctl),
    (libc::SYS_getrlimit, limits::getrlimit),
    (libc::SYS_setrlimit, limits::setrlimit),
    (libc::SYS_prlimit64, limits::prlimit64),
    (libc::SYS_getpriority, schedule::getpriority),
    (libc::SYS_setpriority, schedule::setpriority),
    (libc::SYS_sched_yield, schedule::sched_yield),
    (libc::SYS_sched_getscheduler, schedule::sched_getscheduler),
    (libc::SYS_sched_setscheduler, schedule::sched_setscheduler),
    (libc::SYS_sched_getparam, schedule::sched_getparam),
    (libc::SYS_sched_setparam, schedule::sched_setparam),
    (libc::SYS_sched_getattr, schedule::sched_getattr),
    (libc::SYS_sched_setattr, schedule::sched_setattr),
    (libc::SYS_sched_get_priority_max, schedule::sched_get_priority_max),
    (libc::SYS_sched_get_priority_min, schedule::sched_get_priority_min),
    (libc::SYS_sched_rr_get_interval, schedule::sched_rr_get_interval),
    (libc::SYS_sched_getaffinity, schedule::sched_getaffinity),
    (libc::SYS_sched_setaffinity, schedule::sched_setaffinity),
    (libc::SYS_getcpu, schedule::getcpu),
    (libc::SYS_ioprio_get, schedule::ioprio_get),
    (libc::SYS_ioprio_set, schedule::ioprio_set),
];

const CAP_SETGID: u32 = 6;
const CAP_SYS_PTRACE: u32 = 19;
/// NGROUPS_MAX.
const GROUPS_MAX: usize = 65536;

fn getpid(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.task.process.pid as u64)
}

fn gettid(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.task.tid() as u64)
}

fn getppid(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.task.process.parent_id() as u64)
}

fn getpgrp(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.task.process.group() as u64)
}

/// The process `pid`, or the caller's for 0.
fn named(call: &Call<'_>, pid: i32) -> Result<Arc<Process>> {
    match pid {
        0 => Ok(call.task.process.clone()),
        pid if pid < 0 => Err(Errno::SRCH),
        pid => call.task.process.container.pids.process(pid),
    }
}

/// The thread `tid`, or the caller for 0.
pub(super) fn named_thread(call: &Call<'_>, tid: i32) -> Result<Arc<Task>> {
    match tid {
        0 => Ok(call.task.clone()),
        tid if tid < 0 => Err(Errno::INVAL),
        tid => call.task.process.container.pids.task(tid),
    }
}

fn getpgid(call: &mut Call<'_>) -> Result<u64> {
    Ok(named(call, call.int(0))?.group() as u64)
}

fn getsid(call: &mut Call<'_>) -> Result<u64> {
    Ok(named(call, call.int(0))?.session().ok_or(Errno::SRCH)?.id as u64)
}

fn setpgid(call: &mut Call<'_>) -> Result<u64> {
    let caller = call.task.process.pid;
    let pid = if call.int(0) == 0 { caller } else { call.int(0) };
    let group = if call.int(1) == 0 { pid } else { call.int(1) };
    if group < 0 {
        return Err(Errno::INVAL);
    }
    let mut table = call.task.process.container.pids.table();
    table.family.set_group(caller, pid, group)?;
    if let Some(process) = table.processes.get(&pid) {
        table.publish_all(process);
    }
    Ok(0)
}

fn setsid(call: &mut Call<'_>) -> Result<u64> {
    let pid = call.task.process.pid;
    let mut table = call.task.process.container.pids.table();
    table.new_session(pid)?;
    table.publish_all(&call.task.process);
    Ok(pid as u64)
}

fn set_tid_address(call: &mut Call<'_>) -> Result<u64> {
    lock(&call.task.own).clear_tid = call.arg(0);
    Ok(call.task.tid() as u64)
}

fn getresuid(call: &mut Call<'_>) -> Result<u64> {
    let who = call.task.credentials();
    store(call, [who.uid, who.euid, who.suid])
}

fn getresgid(call: &mut Call<'_>) -> Result<u64> {
    let who = call.task.credentials();
    store(call, [who.gid, who.egid, who.sgid])
}

fn store(call: &mut Call<'_>, ids: [u32; 3]) -> Result<u64> {
    for (argument, id) in ids.iter().enumerate() {
        call.write_value(call.arg(argument), id)?;
    }
    Ok(0)
}

/// Changes the caller's credentials by a pure step.
fn change(call: &mut Call<'_>, step: impl FnOnce(&mut Ids, &Call<'_>) -> Result<()>) -> Result<u64> {
    let mut ids = Ids { who: (*call.task.credentials()).clone() };
    step(&mut ids, call)?;
    set_credentials(call.task, ids.who);
    Ok(0)
}

/// Gives a thread other credentials. A change of users or groups makes the process one that others may not look into
/// (`PR_SET_DUMPABLE`), and forgets PR_SET_PDEATHSIG.
pub(crate) fn set_credentials(task: &Task, new: Credentials) {
    let mut place = lock(&task.credentials);
    let changed = place.euid != new.euid || place.egid != new.egid || place.fsuid != new.fsuid || place.fsgid != new.fsgid;
    *place = Arc::new(new);
    drop(place);
    task.publish();
    if changed {
        lock(&task.process.details).dumpable = 0;
        lock(&task.own).parent_death_signal = 0;
    }
}

fn setfsuid(call: &mut Call<'_>) -> Result<u64> {
    let before = call.task.credentials().fsuid;
    let wanted = call.arg(0) as u32;
    // It tells the old one whether or not it could.
    let _ = change(call, |ids, _| ids.set_file_user(wanted));
    Ok(before.into())
}

fn setfsgid(call: &mut Call<'_>) -> Result<u64> {
    let before = call.task.credentials().fsgid;
    let wanted = call.arg(0) as u32;
    let _ = change(call, |ids, _| ids.set_file_group(wanted));
    Ok(before.into())
}

fn getgroups(call: &mut Call<'_>) -> Result<u64> {
    let groups = call.task.credentials().groups.clone();
    let room = call.int(0);
    if room < 0 {
        return Err(Errno::INVAL);
    }
    if room > 0 {
        if (room as usize) < groups.len() {
            return Err(Errno::INVAL);
        }
        call.write(call.arg(1), groups.as_bytes())?;
    }
    Ok(groups.len() as u64)
}

fn setgroups(call: &mut Call<'_>) -> Result<u64> {
    let mut who = (*call.task.credentials()).clone();
    if !who.capable(CAP_SETGID) {
        return Err(Errno::PERM);
    }
    let count = call.arg(0) as usize;
    if count > GROUPS_MAX {
        return Err(Errno::INVAL);
    }
    let mut bytes = vec![0; count * 4];
    call.read(call.arg(1), &mut bytes)?;
    let mut groups: Vec<u32> = bytes.chunks_exact(4).filter_map(|word| word.try_into().ok()).map(u32::from_le_bytes).collect();
    groups.sort_unstable();
    who.groups = groups.into();
    set_credentials(call.task, who);
    Ok(0)
}

/// `struct __user_cap_header_struct`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// `_LINUX_CAPABILITY_VERSION_*`, with how many words each set has.
fn words_of(version: u32) -> Option<usize> {
    match version {
        0x1998_0330 => Some(1),
        0x2007_1026 | 0x2008_0522 => Some(2),
        _ => None,
    }
}

/// Checks the version; for one that isn't known stores the newest, and EINVAL unless only that was asked for.
fn cap_header(call: &mut Call<'_>) -> Result<(CapHeader, Option<usize>)> {
    let header: CapHeader = call.read_value(call.arg(0))?;
    let words = words_of(header.version);
    if words.is_none() {
        call.write_value(call.arg(0), &0x2008_0522u32)?;
        if call.arg(1) != 0 {
            return Err(Errno::INVAL);
        }
    }
    Ok((header, words))
}

/// `capget(2)`.
fn capget(call: &mut Call<'_>) -> Result<u64> {
    let (header, words) = cap_header(call)?;
    let (Some(words), true) = (words, call.arg(1) != 0) else {
        return Ok(0);
    };
    let who = named_thread(call, header.pid)?.credentials();
    let mut data = Vec::new();
    for word in 0..words as u32 {
        let half = |set: u64| (set >> (32 * word)) as u32;
        data.extend([half(who.effective), half(who.permitted), half(who.inheritable)]);
    }
    call.write(call.arg(1), data.as_bytes())?;
    Ok(0)
}

/// `capset(2)`: of the caller only.
fn capset(call: &mut Call<'_>) -> Result<u64> {
    let (header, words) = cap_header(call)?;
    let words = words.ok_or(Errno::INVAL)?;
    if header.pid != 0 && header.pid != call.task.tid() {
        return Err(Errno::PERM);
    }
    let data: Vec<[u32; 3]> = call.read_values(call.arg(1), words)?;
    let whole = |set: usize| {
        let halves = data.iter().enumerate().map(|(word, sets)| u64::from(sets.get(set).copied().unwrap_or(0)) << (32 * word));
        halves.fold(0, |all, half| all | half)
    };
    let (effective, permitted, inheritable) = (whole(0), whole(1), whole(2));
    change(call, |ids, _| ids.set_capabilities(effective, permitted, inheritable))
}

/// Whether a thread may see another's secrets: the same user, or CAP_SYS_PTRACE.
pub fn may_look_into(mine: &Credentials, theirs: &Credentials) -> bool {
    let same = [theirs.uid, theirs.euid, theirs.suid].iter().all(|uid| *uid == mine.uid)
        && [theirs.gid, theirs.egid, theirs.sgid].iter().all(|gid| *gid == mine.gid);
    same || mine.capable(CAP_SYS_PTRACE)
}
