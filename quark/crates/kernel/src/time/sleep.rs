//! Sleeping (`man 2 nanosleep`, `man 2 clock_nanosleep`).

use std::time::{Duration, Instant};

use super::clock::{Clock, SleepClock, now};
use super::timers::deadline_after;
use super::value::TimeSpec;
use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::task::Task;
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[(libc::SYS_nanosleep, nanosleep), (libc::SYS_clock_nanosleep, clock_nanosleep)];

fn nanosleep(call: &mut Call<'_>) -> Result<u64> {
    let wanted = call.read_value::<TimeSpec>(call.arg(0))?.duration()?;
    sleep_for(call, deadline_after(wanted), call.arg(1))
}

fn clock_nanosleep(call: &mut Call<'_>) -> Result<u64> {
    let clock = match Clock::parse(call.int(0))? {
        Clock::Wall(clock) => clock,
        // A thread can't wait for its own processor time to pass; that of others isn't waited for either.
        Clock::Processor { thread: true, .. } if call.int(0) != libc::CLOCK_THREAD_CPUTIME_ID => return Err(Errno::INVAL),
        Clock::Processor { .. } => return Err(Errno::OPNOTSUPP),
    };
    let (sleep_clock, offset) = clock.for_sleep()?;
    let wanted = call.read_value::<TimeSpec>(call.arg(2))?.duration()?;
    if call.int(1) & libc::TIMER_ABSTIME == 0 {
        return sleep_for(call, deadline_after(wanted), call.arg(3));
    }
    if sleep_until(call.task, sleep_clock, offset.apply(wanted)) { Ok(0) } else { Err(restart::NO_HANDLER) }
}

/// Sleeps until `deadline`. After a signal without a handler, `restart_syscall` goes on to the same deadline; what is left is written to
/// `left_at` if that isn't NULL.
fn sleep_for(call: &mut Call<'_>, deadline: Option<Instant>, left_at: u64) -> Result<u64> {
    while !call.task.interrupted() {
        if !call.task.parker.park(deadline) {
            return Ok(0);
        }
    }
    let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_zero() {
        return Ok(0);
    }
    if left_at != 0 {
        call.write_value(left_at, &TimeSpec::from(left))?;
    }
    call.task.set_restart(move |call| sleep_for(call, deadline, left_at));
    Err(restart::BLOCK)
}

/// Sleeps until a clock shows `at`; false if a signal came first.
fn sleep_until(task: &Task, clock: SleepClock, at: Duration) -> bool {
    while !task.interrupted() {
        let woken = match clock {
            SleepClock::Realtime => task.parker.park_until_realtime(at),
            SleepClock::Monotonic => task.parker.park(deadline_after(at.saturating_sub(now(clock)))),
        };
        if !woken {
            return true;
        }
    }
    now(clock) >= at
}
