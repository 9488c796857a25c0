//! Guest threads and processes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use quark_host::platform::Interrupter;

use crate::kernel::{Container, Kernel};
use crate::memory::Memory;
use crate::signal::{ProcessSignals, TaskSignals};
use crate::vfs::open::{FdTable, FsContext};
use crate::wait::{Events, Parker, WaitQueue, Waiter};
use crate::{Result, call::restart};

/// Locks a mutex whose holder may have panicked: the state is consistent between our steps, and one guest's bad luck is not another's.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who a thread is, in its container. Capability sets are bit masks of `CAP_*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    pub groups: Arc<[u32]>,
    pub permitted: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub bounding: u64,
    pub ambient: u64,
    pub secure_bits: u32,
    pub no_new_privileges: bool,
}

impl Credentials {
    /// Whether a capability (`CAP_*`, its number) is effective.
    pub fn capable(&self, capability: u32) -> bool {
        self.effective >> capability & 1 == 1
    }
}

/// `RLIMIT_*`: soft and hard, `u64::MAX` is RLIM_INFINITY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Limit {
    pub soft: u64,
    pub hard: u64,
}

/// A guest thread.
pub struct Task {
    /// Its id in its container's pid namespace.
    pub tid: i32,
    /// Its process.
    pub process: Arc<Process>,
    /// Replaced as a whole when changed.
    pub credentials: Mutex<Arc<Credentials>>,
    /// Descriptors; shared with others after CLONE_FILES.
    pub files: Mutex<Arc<FdTable>>,
    /// Root, working directory, umask; shared after CLONE_FS.
    pub fs: Mutex<Arc<FsContext>>,
    /// Blocked and pending signals, the alternate stack.
    pub signals: TaskSignals,
    /// What its kernel half sleeps on.
    pub parker: Arc<Parker>,
    /// Stops it when it runs.
    pub interrupter: Mutex<Option<Interrupter>>,
    /// `comm`, at most 15 bytes.
    pub name: Mutex<Vec<u8>>,
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
}

impl Task {
    /// Who it is now.
    pub fn credentials(&self) -> Arc<Credentials> {
        lock(&self.credentials).clone()
    }

    /// Its descriptors.
    pub fn files(&self) -> Arc<FdTable> {
        lock(&self.files).clone()
    }

    /// Its root, working directory and umask.
    pub fn fs(&self) -> Arc<FsContext> {
        lock(&self.fs).clone()
    }

    /// Its address space.
    pub fn memory(&self) -> Arc<Memory> {
        lock(&self.process.memory).clone()
    }

    /// The kernel.
    pub fn kernel(&self) -> &Arc<Kernel> {
        &self.process.kernel
    }

    /// Whether a signal that it does not block is pending, or it has to die or stop: a wait has to end.
    pub fn interrupted(&self) -> bool {
        self.signals.deliverable(&self.process.signals)
    }

    /// Waits until `ready` answers something, looking again whenever `queue` is notified of `interest`.
    /// `restart::SYS` if a signal came first (callers choose another pseudo-errno where Linux does); `None` when the deadline has passed.
    pub fn block_on<T>(
        &self,
        queue: &WaitQueue,
        interest: Events,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        let waiter: Arc<dyn Waiter> = self.parker.clone();
        let key = queue.register(interest, &waiter);
        let answer = loop {
            if let Some(value) = ready() {
                break Ok(Some(value));
            }
            if self.interrupted() {
                break Err(restart::SYS);
            }
            if !self.parker.park(deadline) {
                break Ok(ready());
            }
        };
        queue.remove(key);
        answer
    }
}
