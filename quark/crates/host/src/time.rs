//! Clocks of the host that rustix has not.

use std::time::Duration;

use rustix::io::Errno;

/// The processor time that a thread of this pid namespace has used: `clock_gettime` of the clock id that
/// `pthread_getcpuclockid(3)` makes of its id. EINVAL if there is no such thread.
pub fn thread_cpu_time(tid: i32) -> Result<Duration, Errno> {
    // CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED, in the bits that the inverted id leaves.
    let clock = (!tid << 3) | 4 | 2;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec, the only memory that the call writes.
    let answer = unsafe { libc::clock_gettime(clock, &mut time) };
    if answer != 0 {
        return Err(Errno::INVAL);
    }
    Ok(Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thread_has_no_time() {
        assert_eq!(thread_cpu_time(i32::MAX >> 4), Err(Errno::INVAL));
    }
}
