//! Processor time: `getrusage(2)`, `times(2)`.
//!
//! User time is that of the stub process: guest code, and the host kernel's work for its memory. System time is that of the kernel halves.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quark_host::clock;
use zerocopy::{Immutable, IntoBytes};

use super::{Process, Task, lock};
use crate::call::Call;
use crate::{Errno, Result};

/// Time that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Times {
    pub user: Duration,
    pub system: Duration,
}

/// USER_HZ.
const TICK: Duration = Duration::from_millis(10);

impl Times {
    /// Of the calling kernel half: system time only.
    pub fn of_calling_thread() -> Times {
        Times { user: Duration::ZERO, system: clock::thread_time(rustix::thread::gettid().as_raw_nonzero().get()) }
    }

    /// `utime` in clock ticks.
    pub fn user_ticks(&self) -> i64 {
        ticks(self.user)
    }

    /// `stime` in clock ticks.
    pub fn system_ticks(&self) -> i64 {
        ticks(self.system)
    }

    /// Both together.
    pub fn plus(&self, other: &Times) -> Times {
        Times { user: self.user + other.user, system: self.system + other.system }
    }
}

fn ticks(time: Duration) -> i64 {
    i64::try_from(time.as_nanos() / TICK.as_nanos()).unwrap_or(i64::MAX)
}

impl Process {
    /// What all of its threads have used, those that ended included.
    pub fn times(&self) -> Times {
        let past = lock(&self.details).past_time;
        let threads = lock(&self.threads);
        let halves = threads.iter().map(|task| task.half_time()).sum();
        let user = if threads.is_empty() { Duration::ZERO } else { clock::process_time(lock(&self.memory).space.pid()) };
        past.plus(&Times { user, system: halves })
    }
}

impl Task {
    fn half_time(&self) -> Duration {
        match self.half.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            tid => clock::thread_time(tid),
        }
    }

    /// What it has used. The host doesn't tell the parts of a stub's threads, so they are taken to be equal.
    pub fn times(&self) -> Times {
        let threads = lock(&self.process.threads).len().max(1) as u32;
        Times { user: self.process.times().user / threads, system: self.half_time() }
    }
}

/// `struct rusage`.
#[derive(Clone, Copy, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
struct Usage {
    user: [i64; 2],
    system: [i64; 2],
    /// ru_maxrss and the others.
    others: [i64; 14],
}

/// As `struct rusage`.
pub fn encode_usage(times: &Times) -> [u8; size_of::<libc::rusage>()] {
    let usage = Usage { user: timeval(times.user), system: timeval(times.system), ..Usage::default() };
    let mut bytes = [0; size_of::<libc::rusage>()];
    bytes.copy_from_slice(usage.as_bytes());
    bytes
}

fn timeval(time: Duration) -> [i64; 2] {
    [i64::try_from(time.as_secs()).unwrap_or(i64::MAX), i64::from(time.subsec_micros())]
}

/// `getrusage(2)`.
pub fn getrusage(call: &mut Call<'_>) -> Result<u64> {
    let process = &call.task.process;
    let times = match call.int(0) {
        libc::RUSAGE_SELF => process.times(),
        libc::RUSAGE_CHILDREN => lock(&process.details).children_time,
        libc::RUSAGE_THREAD => call.task.times(),
        _ => return Err(Errno::INVAL),
    };
    call.write(call.arg(1), &encode_usage(&times))?;
    Ok(0)
}

/// `times(2)`: clock ticks since an arbitrary moment, which is the host's start.
pub fn times(call: &mut Call<'_>) -> Result<u64> {
    let process = &call.task.process;
    if call.arg(0) != 0 {
        let own = process.times();
        let children = lock(&process.details).children_time;
        let answer = [own.user_ticks(), own.system_ticks(), children.user_ticks(), children.system_ticks()];
        call.write_value(call.arg(0), &answer)?;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Ok((now.tv_sec as u64).wrapping_mul(100).wrapping_add(now.tv_nsec as u64 / 10_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_laid_out_as_the_c_library_reads_it() {
        let times = Times { user: Duration::from_micros(1_500_000), system: Duration::from_micros(7) };
        let bytes = encode_usage(&times);
        assert_eq!(bytes[..8], 1i64.to_le_bytes());
        assert_eq!(bytes[8..16], 500_000i64.to_le_bytes());
        assert_eq!(bytes[24..32], 7i64.to_le_bytes());
        assert_eq!(times.user_ticks(), 150);
    }

    #[test]
    fn a_thread_that_works_uses_time() {
        let before = Times::of_calling_thread();
        let mut sum = 0u64;
        while Times::of_calling_thread().system < before.system + Duration::from_millis(3) {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        assert!(sum > 0);
    }
}
