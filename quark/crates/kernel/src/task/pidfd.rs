//! Descriptors of processes: `pidfd_open(2)` and its relatives.

use std::any::Any;
use std::sync::Arc;

use super::namespace::PidNamespace;
use super::{Process, lock};
use crate::call::Call;
use crate::file::File;
use crate::signal::calls::{may_signal, queue_checked};
use crate::signal::info::{INFO_SIZE, Origin, SI_USER, Signal};
use crate::vfs::open::OpenFile;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// A pidfd. It is readable once its process has ended.
pub struct PidFile {
    process: Arc<Process>,
}

const PIDFD_NONBLOCK: u32 = libc::O_NONBLOCK as u32;
/// PIDFD_THREAD, which we don't have.
const PIDFD_THREAD: u32 = libc::O_EXCL as u32;

impl PidFile {
    /// Of a process.
    pub fn of(process: &Arc<Process>) -> PidFile {
        PidFile { process: process.clone() }
    }

    /// Its process.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The process' id if it is in this namespace.
    pub fn pid_in(&self, namespace: &Arc<PidNamespace>) -> Option<i32> {
        Arc::ptr_eq(&self.process.container.pids, namespace).then_some(self.process.pid)
    }
}

impl File for PidFile {
    fn poll(&self, interest: Events) -> Events {
        let ready = if self.process.status().is_some() { Events::IN | Events::RDNORM } else { Events::empty() };
        ready & interest
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.process.ended)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[pidfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `pidfd_open(2)`.
pub fn pidfd_open(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.arg(1) as u32;
    if flags & !(PIDFD_NONBLOCK | PIDFD_THREAD) != 0 || flags & PIDFD_THREAD != 0 || call.int(0) <= 0 {
        return Err(Errno::INVAL);
    }
    let pids = &call.task.process.container.pids;
    let process = match pids.process(call.int(0)) {
        Ok(process) => process,
        // A thread that is no process is EINVAL.
        Err(_) if pids.task(call.int(0)).is_ok() => return Err(Errno::INVAL),
        Err(error) => return Err(error),
    };
    let file = OpenFile::anonymous(Arc::new(PidFile::of(&process)), libc::O_RDWR as u32 | flags & PIDFD_NONBLOCK);
    let fd = call.task.files().install(file, 0, true, call.task.process.limit(libc::RLIMIT_NOFILE))?;
    Ok(fd as u64)
}

fn process_of(call: &Call<'_>, fd: i32) -> Result<Arc<Process>> {
    let file = call.task.files().get(fd)?;
    let pidfd = file.file.as_any().downcast_ref::<PidFile>().ok_or(Errno::BADF)?;
    Ok(pidfd.process.clone())
}

/// `pidfd_send_signal(2)`.
pub fn pidfd_send_signal(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(3) != 0 {
        return Err(Errno::INVAL);
    }
    let process = process_of(call, call.int(0))?;
    let signal = call.int(1);
    let origin = if call.arg(2) == 0 {
        Origin::User { code: SI_USER, pid: call.task.process.pid, uid: call.task.credentials().uid, value: 0 }
    } else {
        let bytes: [u8; INFO_SIZE] = call.read_value(call.arg(2))?;
        if bytes.get(..4) != Some(signal.to_le_bytes().as_slice()) {
            return Err(Errno::INVAL);
        }
        let origin = Signal::decode(signal, &bytes).origin;
        if (origin.code() >= 0 || origin.code() == crate::signal::info::SI_TKILL) && process.pid != call.task.process.pid {
            return Err(Errno::PERM);
        }
        origin
    };
    if process.has_ended() && process.container.pids.process(process.pid).is_err() {
        return Err(Errno::SRCH);
    }
    queue_checked(call.task, &process, None, signal, origin)
}

/// `pidfd_getfd(2)`: what of it is about tracing asks for the same user, or CAP_SYS_PTRACE.
pub fn pidfd_getfd(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(2) != 0 {
        return Err(Errno::INVAL);
    }
    let process = process_of(call, call.int(0))?;
    let leader = process.leader().ok_or(Errno::SRCH)?;
    if !may_trace(call, &process) {
        return Err(Errno::PERM);
    }
    let file = leader.files().get_any(call.int(1))?;
    let fd = call.task.files().install(file, 0, true, call.task.process.limit(libc::RLIMIT_NOFILE))?;
    Ok(fd as u64)
}

/// PTRACE_MODE_ATTACH_REALCREDS of Linux, less its security modules.
fn may_trace(call: &Call<'_>, process: &Arc<Process>) -> bool {
    const CAP_SYS_PTRACE: u32 = 19;
    let mine = call.task.credentials();
    let Some(leader) = process.leader() else {
        return false;
    };
    if Arc::ptr_eq(&call.task.process, process) || mine.capable(CAP_SYS_PTRACE) {
        return true;
    }
    let theirs = leader.credentials();
    let same_user = [theirs.uid, theirs.euid, theirs.suid].iter().all(|uid| *uid == mine.uid);
    let same_group = [theirs.gid, theirs.egid, theirs.sgid].iter().all(|gid| *gid == mine.gid);
    same_user && same_group && lock(&process.details).dumpable == 1 && may_signal(&mine, &theirs)
}
