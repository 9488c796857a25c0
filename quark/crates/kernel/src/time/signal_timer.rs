//! Timers that send signals: what `setitimer(ITIMER_REAL)`, `alarm` and `timer_create` have in common.

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
    clock: SleepClock,
    offset: Offset,
    notice: Notice,
    state: Mutex<State>,
    me: Weak<SignalTimer>,
}

#[derive(Default)]
struct State {
    schedule: Schedule,
    armed: Option<Armed>,
    /// Expiries since the last signal was queued that found it still pending.
    overruns: u64,
    /// The same of the signal before, which is the last one taken while the newest is pending.
    taken: u64,
}

impl SignalTimer {
    /// One that is not armed.
    pub fn new(process: &Arc<Process>, clock: (SleepClock, Offset), notice: Notice) -> Arc<SignalTimer> {
        let process = Arc::downgrade(process);
        let (clock, offset) = clock;
        Arc::new_cyclic(|me| SignalTimer { process, clock, offset, notice, state: Mutex::default(), me: me.clone() })
    }

    /// Sets it, `value` from now on or (`absolute`) as a time of its clock; zero disarms it. What was left before is returned. EAGAIN.
    pub fn set(&self, value: Duration, interval: Duration, absolute: bool) -> Result<TimerSpec> {
        let before = self.left();
        let now = now(self.clock);
        let at = if absolute { self.offset.apply(value) } else { now.saturating_add(value) };
        let mut state = lock(&self.state);
        state.schedule = Schedule { next: (!value.is_zero()).then_some(at), interval };
        state.overruns = 0;
        self.rearm(&mut state)?;
        Ok(before)
    }

    /// What is left until the next expiry, and the interval.
    pub fn left(&self) -> TimerSpec {
        let state = lock(&self.state);
        let left = match state.schedule.next {
            // Its thread is about to be told.
            Some(_) => state.schedule.remaining(now(self.clock)),
            None => Duration::ZERO,
        };
        TimerSpec { interval: state.schedule.interval.into(), value: left.into() }
    }

    /// How many expiries the last signal that was taken stands for, less one (`timer_getoverrun`).
    pub fn overruns(&self) -> i32 {
        let pending = self.process.upgrade().is_some_and(|process| self.is_pending(&process));
        let state = lock(&self.state);
        i32::try_from(if pending { state.taken } else { state.overruns }).unwrap_or(i32::MAX)
    }

    /// Whether the newest signal has not been taken yet.
    fn is_pending(&self, process: &Process) -> bool {
        let Notice::Valued { signal: number, id: timer, thread, .. } = &self.notice else { return false };
        let same = |signal: &mut Signal| signal.number == *number && matches!(signal.origin, Origin::Timer { id, .. } if id == *timer);
        match thread {
            Some(task) => task.upgrade().is_some_and(|task| task.signals.lock().pending.update(same)),
            None => process.signals.lock().pending.update(same),
        }
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

    fn notify(&self, process: &Arc<Process>, expired: u64) {
        match &self.notice {
            Notice::Silent => {}
            Notice::Plain(signal) => send_to_process(process, *signal, Origin::Kernel),
            Notice::Valued { signal, id, value, thread } => {
                let pending = self.is_pending(process);
                let mut state = lock(&self.state);
                if pending {
                    state.overruns = state.overruns.saturating_add(expired);
                    return;
                }
                state.taken = state.overruns;
                state.overruns = expired.saturating_sub(1);
                let overrun = i32::try_from(state.overruns).unwrap_or(i32::MAX);
                drop(state);
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
        let mut state = lock(&self.state);
        let expired = state.schedule.advance(now(self.clock));
        // It can only fail where the thread of the timers doesn't run yet.
        let _ = self.rearm(&mut state);
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
