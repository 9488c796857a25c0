//! `seccomp(2)`, and what `prctl` has of it.

use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Filter, Instruction, LENGTH_MAX, Mode, Program};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::task::Task;
use crate::task::identity::set_credentials;
use crate::{Errno, Result};

/// The calls of seccomp.
pub const CALLS: Calls = &[(libc::SYS_seccomp, seccomp)];

const CAP_SYS_ADMIN: u32 = 21;
const FLAG_TSYNC: u64 = 1;
const FLAG_LOG: u64 = 2;
const FLAG_SPEC_ALLOW: u64 = 4;
const FLAG_TSYNC_ESRCH: u64 = 16;

/// A `struct sock_fprog`.
#[repr(C)]
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
struct ProgramAt {
    length: u16,
    padding: [u16; 3],
    code: u64,
}

fn seccomp(call: &mut Call<'_>) -> Result<u64> {
    let (flags, address) = (call.arg(1), call.arg(2));
    match call.int(0) as u32 {
        libc::SECCOMP_SET_MODE_STRICT if flags == 0 && address == 0 => set_strict(call),
        libc::SECCOMP_SET_MODE_FILTER => set_filter(call, flags, address),
        libc::SECCOMP_GET_ACTION_AVAIL if flags == 0 => is_available(call, address),
        _ => Err(Errno::INVAL),
    }
}

/// `prctl(PR_SET_SECCOMP, MODE, PROGRAM)`.
pub fn set_by_prctl(call: &mut Call<'_>) -> Result<u64> {
    match call.arg(1) as u32 {
        libc::SECCOMP_MODE_STRICT => set_strict(call),
        libc::SECCOMP_MODE_FILTER => set_filter(call, 0, call.arg(2)),
        _ => Err(Errno::INVAL),
    }
}

fn set_strict(call: &mut Call<'_>) -> Result<u64> {
    let seccomp = &call.task.seccomp;
    if matches!(seccomp.mode(), Mode::Filter(_)) {
        return Err(Errno::INVAL);
    }
    seccomp.set(Mode::Strict);
    call.task.publish();
    Ok(0)
}

fn is_available(call: &mut Call<'_>, address: u64) -> Result<u64> {
    let action: u32 = call.read_value(address)?;
    match action {
        libc::SECCOMP_RET_KILL_PROCESS
        | libc::SECCOMP_RET_KILL_THREAD
        | libc::SECCOMP_RET_TRAP
        | libc::SECCOMP_RET_ERRNO
        | libc::SECCOMP_RET_TRACE
        | libc::SECCOMP_RET_LOG
        | libc::SECCOMP_RET_ALLOW => Ok(0),
        _ => Err(Errno::OPNOTSUPP),
    }
}

fn set_filter(call: &mut Call<'_>, flags: u64, address: u64) -> Result<u64> {
    // Listeners (SECCOMP_FILTER_FLAG_NEW_LISTENER) are not offered.
    if flags & !(FLAG_TSYNC | FLAG_LOG | FLAG_SPEC_ALLOW | FLAG_TSYNC_ESRCH) != 0 {
        return Err(Errno::INVAL);
    }
    let at: ProgramAt = call.read_value(address)?;
    if at.length == 0 || usize::from(at.length) > LENGTH_MAX {
        return Err(Errno::INVAL);
    }
    let who = call.task.credentials();
    if !who.no_new_privileges && !who.capable(CAP_SYS_ADMIN) {
        return Err(Errno::ACCESS);
    }
    let code: Vec<Instruction> = call.read_values(at.code, at.length.into())?;
    let program = Program::check(code)?;
    let before = match call.task.seccomp.mode() {
        Mode::Disabled => None,
        Mode::Strict => return Err(Errno::INVAL),
        Mode::Filter(filter) => Some(filter),
    };
    let filter = Filter::add(program, before).ok_or(Errno::NOMEM)?;
    if flags & FLAG_TSYNC != 0 {
        return set_for_all(call, filter, flags & FLAG_TSYNC_ESRCH != 0);
    }
    call.task.seccomp.set(Mode::Filter(filter));
    call.task.publish();
    Ok(0)
}

/// Gives every thread of the process the filter; if one has other filters than the caller's, none gets it: its id, or ESRCH.
fn set_for_all(call: &Call<'_>, filter: Arc<Filter>, esrch: bool) -> Result<u64> {
    let threads = call.task.process.threads();
    let is_other = |task: &&Arc<Task>| match task.seccomp.mode() {
        Mode::Disabled => false,
        Mode::Strict => true,
        Mode::Filter(own) => !filter.descends_from(&own),
    };
    if let Some(other) = threads.iter().find(is_other) {
        return if esrch { Err(Errno::SRCH) } else { Ok(other.tid() as u64) };
    }
    let no_new_privileges = call.task.credentials().no_new_privileges;
    for task in &threads {
        task.seccomp.set(Mode::Filter(filter.clone()));
        task.publish();
        if no_new_privileges && !task.credentials().no_new_privileges {
            let mut who = (*task.credentials()).clone();
            who.no_new_privileges = true;
            set_credentials(task, who);
        }
    }
    Ok(0)
}
