//! Timers to wait for (`man 2 timerfd_create`).
//!
//! TFD_TIMER_CANCEL_ON_SET is accepted, but nobody is told that the host's clock was set.

use std::any::Any;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use super::clock::{Clock, Offset, SleepClock, now};
use super::schedule::Schedule;
use super::timers::{Alarm, Armed, arm, disarm};
use super::value::TimerSpec;
use crate::call::Call;
use crate::dispatch::Calls;
use crate::file::File;
use crate::task::lock;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[
    (libc::SYS_timerfd_create, timerfd_create),
    (libc::SYS_timerfd_settime, timerfd_settime),
    (libc::SYS_timerfd_gettime, timerfd_gettime),
];

/// A timer that is a file.
pub struct TimerFd {
    clock: SleepClock,
    offset: Offset,
    state: Mutex<State>,
    queue: WaitQueue,
    me: Weak<TimerFd>,
}

#[derive(Default)]
struct State {
    schedule: Schedule,
    /// Expiries that nobody has read.
    expired: u64,
    armed: Option<Armed>,
}

impl TimerFd {
    fn new(clock: SleepClock, offset: Offset) -> Arc<TimerFd> {
        Arc::new_cyclic(|me| TimerFd { clock, offset, state: Mutex::default(), queue: WaitQueue::default(), me: me.clone() })
    }

    /// Sets it, `value` from now on or (`absolute`) as a time of its clock, zero to disarm it. What it was set to before is returned.
    fn set(&self, value: Duration, interval: Duration, absolute: bool) -> Result<TimerSpec> {
        let before = self.left();
        let now = now(self.clock);
        let at = if absolute { self.offset.apply(value) } else { now.saturating_add(value) };
        let mut state = lock(&self.state);
        let next = (!value.is_zero()).then_some(at);
        state.schedule = Schedule { next, interval };
        state.expired = 0;
        self.rearm(&mut state)?;
        Ok(before)
    }

    /// What is left until the next expiry, and the interval.
    fn left(&self) -> TimerSpec {
        let mut state = lock(&self.state);
        let now = now(self.clock);
        let expired = state.schedule.advance(now);
        if expired > 0 {
            state.expired += expired;
            // It can only fail where the thread of the timers doesn't run yet.
            let _ = self.rearm(&mut state);
        }
        TimerSpec { interval: state.schedule.interval.into(), value: state.schedule.remaining(now).into() }
    }

    fn rearm(&self, state: &mut State) -> Result<()> {
        if let Some(armed) = state.armed.take() {
            disarm(armed);
        }
        if let Some(at) = state.schedule.next {
            let me: Weak<dyn Alarm> = self.me.clone();
            state.armed = Some(arm(self.clock, at, me)?);
        }
        Ok(())
    }
}

impl Drop for TimerFd {
    fn drop(&mut self) {
        if let Some(armed) = lock(&self.state).armed.take() {
            disarm(armed);
        }
    }
}

impl Alarm for TimerFd {
    /// Counts the first expiry only; a read counts the others since, so that a timer that nobody reads costs nothing.
    fn expired(&self) {
        let state = lock(&self.state);
        let due = state.schedule.next.is_some_and(|next| next <= now(self.clock));
        drop(state);
        if due {
            self.queue.notify(Events::IN | Events::RDNORM);
        }
    }
}

impl File for TimerFd {
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        let to = to.first_chunk_mut::<8>().ok_or(Errno::INVAL)?;
        let mut state = lock(&self.state);
        let expired = state.schedule.advance(now(self.clock));
        if expired > 0 {
            self.rearm(&mut state)?;
        }
        let expired = std::mem::take(&mut state.expired).saturating_add(expired);
        if expired == 0 {
            return Err(Errno::AGAIN);
        }
        *to = expired.to_ne_bytes();
        Ok(8)
    }

    fn poll(&self, interest: Events) -> Events {
        let state = lock(&self.state);
        let due = state.expired > 0 || state.schedule.next.is_some_and(|next| next <= now(self.clock));
        if due { interest & Events::IN } else { Events::empty() }
    }

    fn ignores_position(&self) -> bool {
        true
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[timerfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn timerfd_create(call: &mut Call<'_>) -> Result<u64> {
    let (id, flags) = (call.int(0), call.int(1));
    let known = [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME, libc::CLOCK_REALTIME_ALARM, libc::CLOCK_BOOTTIME_ALARM];
    if flags & !(libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) != 0 || !known.contains(&id) {
        return Err(Errno::INVAL);
    }
    if matches!(id, libc::CLOCK_REALTIME_ALARM | libc::CLOCK_BOOTTIME_ALARM) {
        // They wake a machine from its sleep: CAP_WAKE_ALARM, which no pod has.
        return Err(Errno::PERM);
    }
    let Clock::Wall(clock) = Clock::parse(id)? else {
        return Err(Errno::INVAL);
    };
    let (clock, offset) = clock.for_sleep()?;
    call.install(TimerFd::new(clock, offset), (flags | libc::O_RDWR) as u32).map(|fd| fd as u64)
}

fn timerfd_settime(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.int(1);
    let wanted: TimerSpec = call.read_value(call.arg(2))?;
    let (value, interval) = (wanted.value.duration()?, wanted.interval.duration()?);
    if flags & !(libc::TFD_TIMER_ABSTIME | libc::TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::INVAL);
    }
    let before = with_timer(call, |timer| timer.set(value, interval, flags & libc::TFD_TIMER_ABSTIME != 0))?;
    if call.arg(3) != 0 {
        call.write_value(call.arg(3), &before)?;
    }
    Ok(0)
}

fn timerfd_gettime(call: &mut Call<'_>) -> Result<u64> {
    let left = with_timer(call, |timer| Ok(timer.left()))?;
    call.write_value(call.arg(1), &left)?;
    Ok(0)
}

fn with_timer<T>(call: &Call<'_>, act: impl FnOnce(&TimerFd) -> Result<T>) -> Result<T> {
    let file = call.task.files().get(call.int(0))?;
    act(file.file.as_any().downcast_ref().ok_or(Errno::INVAL)?)
}

#[cfg(test)]
mod tests {
    use super::super::value::TimeSpec;
    use super::*;
    use crate::wait::{Parker, Waiter};
    use std::time::Instant;

    const MS: Duration = Duration::from_millis(1);

    fn timer() -> Arc<TimerFd> {
        TimerFd::new(SleepClock::Monotonic, Offset::default())
    }

    fn count(timer: &TimerFd) -> Result<u64> {
        let mut bytes = [0; 8];
        timer.read(&mut bytes, 0)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    #[test]
    fn expiries_are_counted_and_wake_who_waits() {
        let timer = timer();
        assert_eq!(count(&timer), Err(Errno::AGAIN));
        let parker = Arc::new(Parker::default());
        let waiter: Arc<dyn Waiter> = parker.clone();
        timer.queue.register(Events::IN, &waiter);
        let before = timer.set(5 * MS, 10 * MS, false).unwrap();
        assert_eq!(before, TimerSpec::default());
        assert!(parker.park(Some(Instant::now() + Duration::from_secs(20))));
        assert_eq!(timer.poll(Events::IN | Events::OUT), Events::IN);
        std::thread::sleep(25 * MS);
        assert!(count(&timer).unwrap() >= 3);
        assert_eq!(count(&timer), Err(Errno::AGAIN));
        assert!(parker.park(Some(Instant::now() + Duration::from_secs(20))), "it is armed again");
    }

    #[test]
    fn settings_are_told_and_times_in_the_past_expire_at_once() {
        let timer = timer();
        timer.set(Duration::from_secs(100), Duration::from_secs(7), false).unwrap();
        let before = timer.set(MS, Duration::ZERO, true).unwrap();
        assert_eq!(before.interval, Duration::from_secs(7).into());
        assert!((99..=100).contains(&before.value.seconds));
        assert_eq!(count(&timer), Ok(1));
        assert_eq!(timer.left().value, TimeSpec::default());
        timer.set(MS, Duration::ZERO, false).unwrap();
        timer.set(Duration::ZERO, MS, false).unwrap();
        std::thread::sleep(5 * MS);
        assert_eq!(count(&timer), Err(Errno::AGAIN));
    }
}
