//! fork, clone, exit, wait; sessions, groups, prctl and limits.

pub mod attributes;
pub mod making;
pub mod naming;
pub mod waiting;

use libc::*;

fn info_line(info: &siginfo_t, pid: i32) -> String {
    // SAFETY: the kernel filled in the part for SIGCHLD.
    let (from, status) = unsafe { (info.si_pid(), info.si_status()) };
    format!("signal {} code {} own {} status {status}", info.si_signo, info.si_code, from == pid)
}
