//! Timers that send signals: what `setitimer`, `alarm` and `timer_create` have in common.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use super::clock::{Offset, SleepClock, now};
use super::schedule::Schedule;
use super::timers::{Alarm, Armed, arm, disarm};
use super::value::TimerSpec;
use crate::Result;
use crate::signal::info::{Origin, Signal};
use crate::signal::send::{send_to_process, send_to_task};
use crate::task::{Process, Task, lock};

/// How soon an alarm follows the one before: an interval of a nanosecond must not keep the timers' thread busy. All expiries are counted.
const PACE: Duration = Duration::from_micros(100);
/// The same while the signal before has not been taken.
const PACE_IDLE: Duration = Duration::from_millis(20);

/// What a timer follows.
#[derive(Clone, Debug)]
pub enum TimerClock {
    /// Time that passes; the offset leads from the guest's clock to it.
    Passing(SleepClock, Offset),
    /// User time of the process (ITIMER_VIRTUAL).
    ProcessUser,
    /// Processor time of the process.
    Process,
    /// Processor time of a thread.
    Thread(Weak<Task>),
}

/// What an expiry does.
#[derive(Clone, Debug)]
pub enum Notice {
    /// Nothing: the timer is only asked (SIGEV_NONE).
    Silent,
    /// A signal to the process, as from the kernel (`setitimer`).
    Plain(i32),
    /// A signal with a value to the process, or to one thread of it (SIGEV_SIGNAL, SIGEV_THREAD_ID).
    Valued {
        /// Its number.
        signal: i32,
        /// The timer's id.
        id: i32,
        /// `sigev_value`.
        value: u64,
        /// The thread, if it is for one.
        thread: Option<Weak<Task>>,
    },
}

/// A timer of one process; ends with it.
pub struct SignalTimer {
    process: Weak<Process>,
    clock: TimerClock,
    notice: Notice,
    state: Mutex<State>,
    me: Weak<SignalTimer>,
}

#[derive(Default)]
struct State {
    schedule: Schedule,
    armed: Option<Armed>,
    /// Of a signal that was queued and not taken yet: how many expiries it stands for, less one.
    queued: Option<u64>,
    /// The same of the last signal that was taken.
    taken: u64,
}

impl SignalTimer {
    /// One that is not armed.
    pub fn new(process: Weak<Process>, clock: TimerClock, notice: Notice) -> Arc<SignalTimer> {
        Arc::new_cyclic(|me| SignalTimer { process, clock, notice, state: Mutex::default(), me: me.clone() })
    }

    /// What its clock shows.
    fn now(&self) -> Duration {
        let process = || self.process.upgrade().map(|process| process.times()).unwrap_or_default();
        let times = match &self.clock {
            TimerClock::Passing(clock, _) => return now(*clock),
            TimerClock::ProcessUser => return process().user,
            TimerClock::Process => process(),
            TimerClock::Thread(task) => task.upgrade().map(|task| task.times()).unwrap_or_default(),
        };
        times.user + times.system
    }

    /// Sets it, `value` from now on or (`absolute`) as a time of its clock; zero disarms it. What was left before is returned. EAGAIN.
    pub fn set(&self, value: Duration, interval: Duration, absolute: bool) -> Result<TimerSpec> {
        let before = self.left();
        let at = match (&self.clock, absolute) {
            (TimerClock::Passing(_, offset), true) => offset.apply(value),
            (_, true) => value,
            (_, false) => self.now().saturating_add(value),
        };
        let mut state = lock(&self.state);
        state.schedule = Schedule { next: (!value.is_zero()).then_some(at), interval };
        (state.queued, state.taken) = (None, 0);
        self.rearm(&mut state, Duration::ZERO)?;
        Ok(before)
    }

    /// What is left until the next expiry, and the interval.
    pub fn left(&self) -> TimerSpec {
        let state = lock(&self.state);
        let left = match state.schedule.next {
            // Its thread is about to be told.
            Some(_) => state.schedule.remaining(self.now()),
            None => Duration::ZERO,
        };
        TimerSpec { interval: state.schedule.interval.into(), value: left.into() }
    }

    /// How many expiries the last signal that was taken stands for, less one (`timer_getoverrun`).
    pub fn overruns(&self) -> i32 {
        i32::try_from(lock(&self.state).taken).unwrap_or(i32::MAX)
    }

    /// Its signal was taken: it stands for all expiries until now, and the next one is timely again. Answers its overruns (`si_overrun`);
    /// `None` if it was set since it was queued, or is not the timer that queued it.
    pub fn take(&self) -> Option<i32> {
        let mut state = lock(&self.state);
        let queued = state.queued.take()?;
        state.taken = queued.saturating_add(state.schedule.advance(self.now()));
        // It can only fail where the thread of the timers doesn't run yet.
        let _ = self.rearm(&mut state, PACE);
        Some(i32::try_from(state.taken).unwrap_or(i32::MAX))
    }

    /// Whether the newest signal has not been taken yet.
    fn is_pending(&self, process: &Process) -> bool {
        let (number, timer, thread) = match &self.notice {
            Notice::Silent => return false,
            Notice::Plain(signal) => return process.signals.lock().pending.pending().has(*signal),
            Notice::Valued { signal, id, thread, .. } => (signal, id, thread),
        };
        let same = |signal: &mut Signal| signal.number == *number && matches!(signal.origin, Origin::Timer { id, .. } if id == *timer);
        match thread {
            Some(task) => task.upgrade().is_some_and(|task| task.signals.lock().pending.update(same)),
            None => process.signals.lock().pending.update(same),
        }
    }

    /// Arms the alarm for the next expiry, but not before `pace` is over.
    fn rearm(&self, state: &mut State, pace: Duration) -> Result<()> {
        if let Some(armed) = state.armed.take() {
            disarm(armed);
        }
        let Some(next) = state.schedule.next else {
            return Ok(());
        };
        let me: Weak<dyn Alarm> = self.me.clone();
        let (clock, at) = match &self.clock {
            TimerClock::Passing(clock, _) => (*clock, next.max(now(*clock).saturating_add(pace))),
            // Several threads use several seconds in one: then at the earliest it is to be looked at again.
            _ => {
                let threads = self.process.upgrade().map_or(1, |process| process.threads().len().max(1)) as u32;
                let soonest = next.saturating_sub(self.now()) / threads;
                (SleepClock::Monotonic, now(SleepClock::Monotonic).saturating_add(soonest.max(pace).max(PACE)))
            }
        };
        state.armed = Some(arm(clock, at, me)?);
        Ok(())
    }

    fn notify(&self, process: &Arc<Process>, expired: u64) {
        match &self.notice {
            Notice::Silent => {}
            Notice::Plain(signal) => send_to_process(process, *signal, Origin::Kernel),
            Notice::Valued { signal, id, value, thread } => {
                let pending = self.is_pending(process);
                let mut state = lock(&self.state);
                // One that is not pending either was ignored, as on Linux its expiries count for the next, or is just being taken.
                let queued = state.queued.map_or(expired.saturating_sub(1), |queued| queued.saturating_add(expired));
                state.queued = Some(queued);
                drop(state);
                if pending {
                    return;
                }
                let overrun = i32::try_from(queued).unwrap_or(i32::MAX);
                let origin = Origin::Timer { id: *id, overrun, value: *value };
                match thread.as_ref().map(Weak::upgrade) {
                    None => send_to_process(process, *signal, origin),
                    Some(Some(task)) => send_to_task(&task, *signal, origin),
                    // The thread has ended.
                    Some(None) => {}
                }
            }
        }
    }
}

impl Alarm for SignalTimer {
    fn expired(&self) {
        let waiting = self.process.upgrade().is_some_and(|process| self.is_pending(&process));
        let mut state = lock(&self.state);
        let expired = state.schedule.advance(self.now());
        let idle = waiting || expired == 0 && !matches!(self.clock, TimerClock::Passing(..));
        // It can only fail where the thread of the timers doesn't run yet.
        let _ = self.rearm(&mut state, if idle { PACE_IDLE } else { PACE });
        drop(state);
        if let (true, Some(process)) = (expired > 0, self.process.upgrade()) {
            self.notify(&process, expired);
        }
    }
}

impl Drop for SignalTimer {
    fn drop(&mut self) {
        if let Some(armed) = lock(&self.state).armed.take() {
            disarm(armed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_signal_stands_for_all_expiries_until_then() {
        // Not since the machine's start, which may be too short ago.
        let clock = TimerClock::Passing(SleepClock::Realtime, Offset::default());
        let timer = SignalTimer::new(Weak::new(), clock, Notice::Silent);
        let (start, interval) = (now(SleepClock::Realtime), Duration::from_secs(1000));
        let schedule = Schedule { next: start.checked_sub(interval * 7), interval };
        *lock(&timer.state) = State { schedule, queued: Some(2), ..State::default() };
        assert_eq!(timer.overruns(), 0);
        assert_eq!(timer.take(), Some(10));
        assert_eq!(timer.overruns(), 10);
        assert_eq!(timer.take(), None);
        assert!(timer.left().value.seconds > 900);
    }

    /// The timers' thread would be busy for ever, and this would never come to its end.
    #[test]
    fn intervals_of_a_nanosecond_are_counted_but_not_followed() {
        let clock = TimerClock::Passing(SleepClock::Monotonic, Offset::default());
        let timer = SignalTimer::new(Weak::new(), clock, Notice::Silent);
        let nanosecond = Duration::from_nanos(1);
        timer.set(nanosecond, nanosecond, false).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let armed = lock(&timer.state).armed;
        assert!(armed.is_some());
        let before = timer.set(Duration::from_secs(100), Duration::ZERO, false).unwrap();
        assert_eq!(before.interval, nanosecond.into());
        assert!((99..=100).contains(&timer.left().value.seconds));
    }
}
