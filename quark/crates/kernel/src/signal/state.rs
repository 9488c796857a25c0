//! What of signals belongs to a thread, and to a process.

use std::sync::{Arc, Mutex, MutexGuard};

use super::action::{Action, Actions};
use super::queue::Queue;
use super::set::SignalSet;
use crate::task::lock;
use crate::task::status::WaitStatus;

/// What of signals belongs to one thread.
#[derive(Default)]
pub struct TaskSignals {
    state: Mutex<TaskState>,
}

/// Under the lock of [`TaskSignals`].
#[derive(Debug, Default)]
pub struct TaskState {
    /// Its mask.
    pub blocked: SignalSet,
    /// The mask to go back to when the call that changed it for its duration ends (`sigsuspend`, `ppoll`).
    pub saved: Option<SignalSet>,
    /// What `sigtimedwait` waits for now: these end its wait, but are not delivered.
    pub awaited: SignalSet,
    /// For this thread alone.
    pub pending: Queue,
    /// `sigaltstack(2)`.
    pub stack: AlternateStack,
}

/// `stack_t` of x86-64, less its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlternateStack {
    /// Where it starts.
    pub address: u64,
    /// SS_DISABLE, SS_AUTODISARM.
    pub flags: u32,
    /// Bytes.
    pub size: u64,
}

/// There is none.
pub const SS_DISABLE: u32 = 2;
/// It is disabled while a handler runs on it.
pub const SS_AUTODISARM: u32 = 1 << 31;

impl Default for AlternateStack {
    fn default() -> AlternateStack {
        AlternateStack { address: 0, flags: SS_DISABLE, size: 0 }
    }
}

impl AlternateStack {
    /// Whether a stack pointer is on it.
    pub fn holds(&self, stack_pointer: u64) -> bool {
        self.flags & (SS_DISABLE | SS_AUTODISARM) == 0 && stack_pointer.wrapping_sub(self.address).wrapping_sub(1) < self.size
    }
}

/// What of signals belongs to a whole process.
#[derive(Default)]
pub struct ProcessSignals {
    state: Mutex<ProcessState>,
    actions: Mutex<Arc<Mutex<Actions>>>,
}

/// Under the lock of [`ProcessSignals`].
#[derive(Debug, Default)]
pub struct ProcessState {
    /// For any of its threads.
    pub pending: Queue,
    /// Whether it is stopped.
    pub job: Job,
    /// Threads that have stopped.
    pub stopped: usize,
    /// A stop or continuation that no parent has waited for yet.
    pub report: Option<WaitStatus>,
    /// It ends, with this status.
    pub exit: Option<WaitStatus>,
}

/// Job control's view of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Job {
    /// Nothing special.
    #[default]
    Runs,
    /// Its threads are about to stop for this signal.
    Stops(i32),
    /// All have.
    Stopped(i32),
}

impl TaskSignals {
    /// Locks it. A process' lock is taken first, if both are.
    pub fn lock(&self) -> MutexGuard<'_, TaskState> {
        lock(&self.state)
    }

    /// Its mask.
    pub fn blocked(&self) -> SignalSet {
        self.lock().blocked
    }

    /// Whether something is pending that is not blocked, or the process stops.
    pub fn deliverable(&self, process: &ProcessSignals) -> bool {
        let shared = process.lock();
        let own = self.lock();
        shared.job != Job::Runs
            || shared.exit.is_some()
            || !own.pending.pending().or(shared.pending.pending()).without(own.blocked).is_empty()
    }

    /// What is pending for the thread and its process, blocked or not.
    pub fn pending(&self, process: &ProcessSignals) -> SignalSet {
        let shared = process.lock();
        self.lock().pending.pending().or(shared.pending.pending())
    }
}

impl ProcessSignals {
    /// With these handlers.
    pub fn new(actions: Arc<Mutex<Actions>>) -> ProcessSignals {
        ProcessSignals { actions: Mutex::new(actions), ..ProcessSignals::default() }
    }

    /// Locks it.
    pub fn lock(&self) -> MutexGuard<'_, ProcessState> {
        lock(&self.state)
    }

    /// The table of handlers, for CLONE_SIGHAND.
    pub fn actions(&self) -> Arc<Mutex<Actions>> {
        lock(&self.actions).clone()
    }

    /// A copy of the table, no longer shared with anybody, in its place (execve).
    pub fn unshare_actions(&self) {
        let mut place = lock(&self.actions);
        let copy = *lock(&place);
        *place = Arc::new(Mutex::new(copy));
    }

    /// What it does with a signal.
    pub fn action(&self, signal: i32) -> Action {
        lock(&lock(&self.actions)).get(signal)
    }
}
