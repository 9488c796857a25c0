//! Signals. (The core owner's; the shapes that others use are here.)

use std::sync::Arc;

use crate::task::{Process, Task};

/// What of signals belongs to one thread.
#[derive(Default)]
pub struct TaskSignals {}

/// What of signals belongs to a whole process.
#[derive(Default)]
pub struct ProcessSignals {}

/// What a receiver is told about a signal (`siginfo_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Origin {
    /// `kill`, `tgkill` (SI_USER, SI_TKILL), `sigqueue` (`code`, `value`).
    User { code: i32, pid: i32, uid: u32, value: u64 },
    /// The kernel, without more (SI_KERNEL).
    Kernel,
    /// A fault.
    Fault { code: i32, address: u64 },
    /// SIGCHLD.
    Child { code: i32, pid: i32, uid: u32, status: i32 },
    /// A POSIX timer.
    Timer { id: i32, overrun: i32, value: u64 },
    /// SIGIO and such.
    Poll { band: u32, fd: i32 },
}

impl TaskSignals {
    /// Whether something is pending that is not blocked.
    pub fn deliverable(&self, process: &ProcessSignals) -> bool {
        let _ = process;
        false
    }
}

/// Sends a signal to a thread. It is woken or interrupted if it takes it now.
pub fn send_to_task(task: &Arc<Task>, signal: i32, origin: Origin) {
    let _ = (task, signal, origin);
    unimplemented!("core")
}

/// Sends a signal to a process: to any of its threads that does not block it.
pub fn send_to_process(process: &Arc<Process>, signal: i32, origin: Origin) {
    let _ = (process, signal, origin);
    unimplemented!("core")
}
