//! Threads that stand still: job control, and the pause of the whole pod.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::status::WaitStatus;
use super::{Process, Task, lock};
use crate::signal::send::tell_parent;
use crate::signal::state::{Job, ProcessState};

impl Task {
    /// If the process stops, stops with it until it goes on or ends. The last thread to stop tells the parent.
    pub(crate) fn take_part_in_stop(&self) {
        let mut counted = false;
        while !self.doomed() {
            let mut told = None;
            {
                let threads = lock(&self.process.threads).len();
                let mut state = self.process.signals.lock();
                if state.job == Job::Runs {
                    break;
                }
                state.stopped += usize::from(!counted);
                counted = true;
                if let Some(status) = complete(&mut state, threads) {
                    told = Some(status);
                }
            }
            if let Some(status) = told {
                tell_parent(&self.process, status);
            }
            self.parker.park(None);
        }
        if counted {
            let mut state = self.process.signals.lock();
            state.stopped = state.stopped.saturating_sub(1);
        }
    }
}

/// Whether all of `threads` have stopped now; then the process has, and this is its status.
fn complete(state: &mut ProcessState, threads: usize) -> Option<WaitStatus> {
    let Job::Stops(signal) = state.job else {
        return None;
    };
    if state.stopped < threads {
        return None;
    }
    state.job = Job::Stopped(signal);
    state.report = Some(WaitStatus::stopped(signal));
    state.report
}

/// A thread has ended: perhaps all others have stopped.
pub(crate) fn thread_ended(process: &Process) {
    let threads = lock(&process.threads).len();
    let status = complete(&mut process.signals.lock(), threads);
    if let Some(status) = status.filter(|_| threads > 0) {
        tell_parent(process, status);
    }
}

/// The gate that all threads pass before they run guest code: closed while the pod is paused.
#[derive(Default)]
pub struct PauseGate {
    closed: AtomicBool,
    held: Mutex<Vec<std::sync::Arc<crate::wait::Parker>>>,
}

impl PauseGate {
    /// Waits while it is closed, unless the thread has to end.
    pub fn pass(&self, task: &Task) {
        while self.closed.load(Ordering::SeqCst) && !task.doomed() {
            let mut held = lock(&self.held);
            if !held.iter().any(|parker| std::sync::Arc::ptr_eq(parker, &task.parker)) {
                held.push(task.parker.clone());
            }
            drop(held);
            if self.closed.load(Ordering::SeqCst) {
                task.parker.park(None);
            }
        }
    }

    /// Closes it; the caller then kicks all threads.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Opens it.
    pub fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        for parker in std::mem::take(&mut *lock(&self.held)) {
            parker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_stopped_when_its_last_thread_has() {
        let mut state = ProcessState { job: Job::Stops(libc::SIGTSTP), stopped: 1, ..ProcessState::default() };
        assert_eq!(complete(&mut state, 2), None);
        state.stopped = 2;
        assert_eq!(complete(&mut state, 2), Some(WaitStatus::stopped(libc::SIGTSTP)));
        assert_eq!(state.job, Job::Stopped(libc::SIGTSTP));
        assert_eq!(complete(&mut state, 2), None, "told once");
    }
}
