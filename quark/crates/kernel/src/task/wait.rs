//! `wait4(2)` and `waitid(2)`.

use std::sync::Arc;
use std::time::Duration;

use bitflags::bitflags;

use super::namespace::Table;
use super::pidfd::PidFile;
use super::status::WaitStatus;
use super::usage::{Times, encode_usage};
use super::{Process, lock};
use crate::call::Call;
use crate::signal::info::Signal;
use crate::wait::Events;
use crate::{Errno, Result};

bitflags! {
    /// `W*` options.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Options: u32 {
        const NOHANG = 1;
        const STOPPED = 2;
        const EXITED = 4;
        const CONTINUED = 8;
        const NOWAIT = 0x0100_0000;
        const NOTHREAD = 0x2000_0000;
        const ALL = 0x4000_0000;
        const CLONE = 0x8000_0000;
    }
}

/// Which children are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Any,
    Process(i32),
    Group(i32),
}

/// A child that changed.
struct Found {
    pid: i32,
    uid: u32,
    status: WaitStatus,
    times: Times,
}

/// `wait4(2)`.
pub fn wait4(call: &mut Call<'_>) -> Result<u64> {
    let options = Options::from_bits(call.arg(2) as u32).filter(|options| !options.intersects(Options::EXITED | Options::NOWAIT));
    let options = options.ok_or(Errno::INVAL)? | Options::EXITED;
    let which = which(call.int(0), call.task.process.group())?;
    let Some(found) = wait(call, which, options)? else {
        return Ok(0);
    };
    if call.arg(1) != 0 {
        call.write_value(call.arg(1), &found.status.0)?;
    }
    if call.arg(3) != 0 {
        call.write(call.arg(3), &encode_usage(&found.times))?;
    }
    Ok(found.pid as u64)
}

/// Whom `wait4`'s first argument means.
fn which(pid: i32, own_group: i32) -> Result<Which> {
    match pid {
        i32::MIN => Err(Errno::SRCH),
        -1 => Ok(Which::Any),
        0 => Ok(Which::Group(own_group)),
        group if group < 0 => Ok(Which::Group(-group)),
        pid => Ok(Which::Process(pid)),
    }
}

/// `waitid(2)`.
pub fn waitid(call: &mut Call<'_>) -> Result<u64> {
    let options = Options::from_bits(call.arg(3) as u32).ok_or(Errno::INVAL)?;
    if !options.intersects(Options::EXITED | Options::STOPPED | Options::CONTINUED) {
        return Err(Errno::INVAL);
    }
    let (which, options) = waitid_target(call, options)?;
    let Some(found) = wait(call, which, options)? else {
        if call.arg(2) != 0 {
            // Nobody has changed: si_signo and si_pid are 0.
            call.write(call.arg(2), &[0; 128])?;
        }
        return Ok(0);
    };
    if call.arg(4) != 0 {
        call.write(call.arg(4), &encode_usage(&found.times))?;
    }
    if call.arg(2) != 0 {
        let (code, status) = found.status.told();
        let origin = crate::signal::Origin::Child { code, pid: found.pid, uid: found.uid, status, user: 0, system: 0 };
        call.write(call.arg(2), &Signal { number: libc::SIGCHLD, origin }.encode())?;
    }
    Ok(0)
}

fn waitid_target(call: &mut Call<'_>, options: Options) -> Result<(Which, Options)> {
    let id = call.int(1);
    let which = match call.arg(0) as u32 {
        libc::P_ALL => Which::Any,
        libc::P_PID if id > 0 => Which::Process(id),
        libc::P_PGID if id > 0 => Which::Group(id),
        libc::P_PGID if id == 0 => Which::Group(call.task.process.group()),
        libc::P_PIDFD if id >= 0 => {
            let file = call.task.files().get(id)?;
            let pid = file.file.as_any().downcast_ref::<PidFile>().ok_or(Errno::BADF)?.pid_in(&call.task.process.container.pids);
            let which = Which::Process(pid.ok_or(Errno::CHILD)?);
            if file.non_blocking() && !options.contains(Options::NOHANG) {
                return wait_non_blocking(call, which, options);
            }
            which
        }
        _ => return Err(Errno::INVAL),
    };
    Ok((which, options))
}

/// A pidfd opened with PIDFD_NONBLOCK: EAGAIN where others wait.
fn wait_non_blocking(call: &Call<'_>, which: Which, options: Options) -> Result<(Which, Options)> {
    let _told = call.task.process.container.pids.telling();
    let mut table = call.task.process.container.pids.table();
    match look(&mut table, &call.task.process, which, options | Options::NOWAIT)? {
        Some(_) => Ok((which, options)),
        None => Err(Errno::AGAIN),
    }
}

/// Waits for a child; `None` for WNOHANG. ECHILD if there is none to wait for.
fn wait(call: &Call<'_>, which: Which, options: Options) -> Result<Option<Found>> {
    let process = &call.task.process;
    let look = || {
        let _told = process.container.pids.telling();
        look(&mut process.container.pids.table(), process, which, options).transpose()
    };
    if options.contains(Options::NOHANG) {
        return look().transpose();
    }
    let found = call.task.block_on(&process.children_changed, Events::IN, None, look)?;
    found.transpose()
}

/// Looks for a child that has changed; `None` if there are children but none has.
fn look(table: &mut Table, process: &Arc<Process>, which: Which, options: Options) -> Result<Option<Found>> {
    let me = table.family.get(process.pid).ok_or(Errno::CHILD)?;
    let children: Vec<i32> = me.children.iter().copied().filter(|pid| eligible(table, *pid, which, options)).collect();
    if children.is_empty() {
        return Err(Errno::CHILD);
    }
    for pid in children {
        let Some(child) = table.processes.get(&pid).cloned() else {
            continue;
        };
        let ended = table.family.get(pid).and_then(|member| member.ended);
        let status = match ended {
            Some(status) if options.contains(Options::EXITED) => Some(status),
            Some(_) => None,
            None => report(&child, options),
        };
        let Some(status) = status else {
            continue;
        };
        let found = Found { pid, uid: child.uid(), status, times: child.times() };
        if ended.is_some() && !options.contains(Options::NOWAIT) {
            lock(&process.details).add_child(&found.times, &lock(&child.details).children_time);
            table.reap(pid);
        }
        return Ok(Some(found));
    }
    Ok(None)
}

fn eligible(table: &Table, pid: i32, which: Which, options: Options) -> bool {
    let Some(member) = table.family.get(pid) else {
        return false;
    };
    let named = match which {
        Which::Any => true,
        Which::Process(wanted) => wanted == pid,
        Which::Group(group) => member.group == group,
    };
    let clone = member.exit_signal != libc::SIGCHLD;
    named && (options.contains(Options::ALL) || clone == options.contains(Options::CLONE))
}

/// A stop or continuation that was not waited for yet.
fn report(child: &Process, options: Options) -> Option<WaitStatus> {
    let mut state = child.signals.lock();
    let status = state.report?;
    let wanted = if status == WaitStatus::continued() { Options::CONTINUED } else { Options::STOPPED };
    if !options.contains(wanted) {
        return None;
    }
    if !options.contains(Options::NOWAIT) {
        state.report = None;
    }
    Some(status)
}

impl super::process::Details {
    fn add_child(&mut self, times: &Times, grandchildren: &Times) {
        for part in [times, grandchildren] {
            self.children_time.user += part.user;
            self.children_time.system += part.system;
        }
        debug_assert!(self.children_time.user >= Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_wait4_means() {
        assert_eq!(which(-1, 5), Ok(Which::Any));
        assert_eq!(which(0, 5), Ok(Which::Group(5)));
        assert_eq!(which(-7, 5), Ok(Which::Group(7)));
        assert_eq!(which(7, 5), Ok(Which::Process(7)));
        assert_eq!(which(i32::MIN, 5), Err(Errno::SRCH));
    }

    #[test]
    fn options_of_the_manual_are_known() {
        let bits = libc::WNOHANG | libc::WUNTRACED | libc::WCONTINUED | libc::WNOWAIT | libc::__WALL | libc::__WCLONE | libc::WEXITED;
        assert!(Options::from_bits(bits as u32).is_some());
        assert!(Options::from_bits(0x10).is_none());
    }
}
