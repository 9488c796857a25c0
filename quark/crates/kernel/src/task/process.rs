//! Processes: what threads of a group share.

use std::sync::{Arc, Mutex};

use super::session::Session;
use super::{Task, lock};
use crate::kernel::{Container, Kernel};
use crate::memory::Memory;
use crate::signal::ProcessSignals;
use crate::wait::WaitQueue;

/// `RLIMIT_*`: soft and hard, `u64::MAX` is RLIM_INFINITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

/// A guest process (thread group).
pub struct Process {
    /// Its id in its container's pid namespace: the tid of its first thread.
    pub pid: i32,
    /// What it is in.
    pub container: Arc<Container>,
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// Its address space; replaced by execve, shared between processes after vfork.
    pub memory: Mutex<Arc<Memory>>,
    /// Handlers and signals for the whole process.
    pub signals: ProcessSignals,
    /// By `RLIMIT_*`.
    pub limits: Mutex<[Limit; 16]>,
    /// Those who wait for a child of it to change state.
    pub children_changed: WaitQueue,
    /// Those who wait for the process to end (pidfd) or for its threads to.
    pub ended: WaitQueue,
    /// Its living threads.
    pub(crate) threads: Mutex<Vec<Arc<Task>>>,
    /// What else it has.
    pub details: Mutex<Details>,
}

/// What is rarely looked at of a process.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// `/proc/PID/oom_score_adj`.
    pub oom_score_adjust: i32,
    /// PR_SET_DUMPABLE's value; 1 is usual.
    pub dumpable: i32,
    /// PR_SET_THP_DISABLE.
    pub no_huge_pages: bool,
    /// When it started, by the kernel's monotonic clock, nanoseconds.
    pub started: u64,
    /// Clears of its threads that have ended and of former address spaces: user and system nanoseconds.
    pub past_time: (u64, u64),
    /// Of its children that were waited for.
    pub children_time: (u64, u64),
}

impl Process {
    /// The soft limit `RLIMIT_*` now; no limit for what isn't one.
    pub fn limit(&self, resource: u32) -> u64 {
        usize::try_from(resource).ok().and_then(|at| lock(&self.limits).get(at).copied()).map_or(u64::MAX, |limit| limit.soft)
    }

    /// Its living threads, the first one first if it lives.
    pub fn threads(&self) -> Vec<Arc<Task>> {
        lock(&self.threads).clone()
    }

    /// Its first thread, or another one if that has ended; none if the process has.
    pub fn leader(&self) -> Option<Arc<Task>> {
        lock(&self.threads).first().cloned()
    }

    /// Its process group.
    pub fn group(&self) -> i32 {
        self.container.pids.table().family.get(self.pid).map_or(0, |member| member.group)
    }

    /// Its session; none after it was waited for.
    pub fn session(&self) -> Option<Arc<Session>> {
        let table = self.container.pids.table();
        let session = table.family.get(self.pid)?.session;
        table.sessions.get(&session).cloned()
    }

    /// Its parent's id; 0 for what the kernel itself started.
    pub fn parent_id(&self) -> i32 {
        self.container.pids.table().family.get(self.pid).map_or(0, |member| member.parent)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        lock(&self.threads).is_empty()
    }
}
