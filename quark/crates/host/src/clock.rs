//! Processor time of other processes and threads. (rustix knows only the clocks that have a name.)

use std::time::Duration;

/// CPUCLOCK_SCHED of a whole process.
const PROCESS: i32 = 2;
/// CPUCLOCK_SCHED of one thread of the calling process.
const THREAD: i32 = 6;

/// What the process `pid` has used since it started; zero if it has ended.
pub fn process_time(pid: i32) -> Duration {
    time(pid, PROCESS)
}

/// What the thread `tid` of the calling process has used; zero if it has ended.
pub fn thread_time(tid: i32) -> Duration {
    time(tid, THREAD)
}

fn time(id: i32, kind: i32) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call; a clock id of no process is refused with EINVAL.
    let result = unsafe { libc::clock_gettime(!id << 3 | kind, &mut time) };
    if result != 0 {
        return Duration::ZERO;
    }
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time_and_nobody_has_not() {
        let pid = std::process::id() as i32;
        let start = process_time(pid);
        while process_time(pid) < start + Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        assert_eq!(process_time(i32::MAX >> 4), Duration::ZERO);
    }
}
