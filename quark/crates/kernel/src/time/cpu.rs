//! Processor time. A guest thread's user time is what its host thread in the stub used, its system time what its kernel half used.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use crate::task::Task;
use crate::{Errno, Result};

/// The host threads of a guest thread, by their ids in the kernel's pid namespace; 0 before they are known.
#[derive(Default)]
pub struct HostThreads {
    stub: AtomicI32,
    half: AtomicI32,
}

/// Processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct CpuTimes {
    pub user: Duration,
    pub system: Duration,
}

impl CpuTimes {
    /// Both.
    pub fn total(self) -> Duration {
        self.user + self.system
    }

    /// The sum with others.
    pub fn plus(self, other: CpuTimes) -> CpuTimes {
        CpuTimes { user: self.user + other.user, system: self.system + other.system }
    }
}

impl HostThreads {
    /// Called by the kernel half when it starts: its own id and the stub thread's.
    pub fn set(&self, stub: i32, half: i32) {
        self.stub.store(stub, Ordering::Relaxed);
        self.half.store(half, Ordering::Relaxed);
    }

    /// What both have used; zero for a thread that has ended.
    pub fn times(&self) -> CpuTimes {
        let of = |thread: &AtomicI32| match thread.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            tid => quark_host::time::thread_cpu_time(tid).unwrap_or_default(),
        };
        CpuTimes { user: of(&self.stub), system: of(&self.half) }
    }
}

/// The processor time of the thread or process `id`, 0 for the caller's, as the caller may ask for: EINVAL for others' threads and for what isn't there.
pub fn of(task: &Arc<Task>, thread: bool, id: i32) -> Result<Duration> {
    if thread && (id == 0 || id == task.tid()) {
        return Ok(task.host_threads.times().total());
    }
    let _ = (thread, id);
    Err(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threads_time_is_the_hosts() {
        let threads = HostThreads::default();
        assert_eq!(threads.times(), CpuTimes::default());
        let me = rustix::thread::gettid().as_raw_nonzero().get();
        threads.set(me, me);
        let before = threads.times();
        let mut sum = 0u64;
        while threads.times().user < before.user + Duration::from_millis(20) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(threads.times().total() >= Duration::from_millis(40));
    }
}
