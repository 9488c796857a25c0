//! `alarm`, `setitimer` and `timer_create` with their kin.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::clock::{Clock, Offset, SleepClock};
use super::signal_timer::{Notice, SignalTimer, TimerClock};
use super::value::{TimeSpec, TimeVal, TimerSpec, TimerVal};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::signal::set::is_signal;
use crate::task::{Limit, Process, lock};
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[
    (libc::SYS_alarm, alarm),
    (libc::SYS_setitimer, setitimer),
    (libc::SYS_getitimer, getitimer),
    (libc::SYS_timer_create, timer_create),
    (libc::SYS_timer_settime, timer_settime),
    (libc::SYS_timer_gettime, timer_gettime),
    (libc::SYS_timer_getoverrun, timer_getoverrun),
    (libc::SYS_timer_delete, timer_delete),
];

/// The timers of a process. `execve` keeps those of `setitimer` and ends the others; children have none.
#[derive(Default)]
pub struct ProcessTimers {
    /// ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF; made when first asked for.
    intervals: Mutex<[Option<Arc<SignalTimer>>; 3]>,
    others: Mutex<BTreeMap<i32, Arc<SignalTimer>>>,
    /// SIGXCPU each second from RLIMIT_CPU's soft limit on, SIGKILL at its hard one.
    limits: Mutex<[Option<Arc<SignalTimer>>; 2]>,
}

impl ProcessTimers {
    /// Ends those of `timer_create`.
    pub fn execute(&self) {
        lock(&self.others).clear();
    }

    /// Ends all.
    pub fn end(&self) {
        self.execute();
        *lock(&self.intervals) = Default::default();
        *lock(&self.limits) = Default::default();
    }

    /// Follows RLIMIT_CPU, seconds of processor time: when it is set, and for who inherits it. EAGAIN.
    pub fn limit(&self, process: &Arc<Process>, limit: Limit) -> Result<()> {
        let timer = |seconds: u64, signal: i32| {
            // 300 years are no limit.
            let at = Duration::from_secs(Some(seconds).filter(|seconds| *seconds < 10_000_000_000)?.max(1));
            Some((SignalTimer::new(Arc::downgrade(process), TimerClock::Process, Notice::Plain(signal)), at))
        };
        let mut limits = lock(&self.limits);
        for (place, (seconds, signal)) in limits.iter_mut().zip([(limit.soft, libc::SIGXCPU), (limit.hard, libc::SIGKILL)]) {
            *place = match timer(seconds, signal) {
                None => None,
                Some((timer, at)) => {
                    timer.set(at, Duration::from_secs(1), true)?;
                    Some(timer)
                }
            };
        }
        Ok(())
    }

    /// ITIMER_*: EINVAL.
    fn interval(&self, process: &Arc<Process>, which: i32) -> Result<Arc<SignalTimer>> {
        let (clock, signal) = match which {
            libc::ITIMER_REAL => (TimerClock::Passing(SleepClock::Monotonic, Offset::default()), libc::SIGALRM),
            libc::ITIMER_VIRTUAL => (TimerClock::ProcessUser, libc::SIGVTALRM),
            libc::ITIMER_PROF => (TimerClock::Process, libc::SIGPROF),
            _ => return Err(Errno::INVAL),
        };
        let mut intervals = lock(&self.intervals);
        let place = intervals.get_mut(which as usize).ok_or(Errno::INVAL)?;
        Ok(place.get_or_insert_with(|| SignalTimer::new(Arc::downgrade(process), clock, Notice::Plain(signal))).clone())
    }

    /// The signal of a timer of `timer_create` was taken: how many overruns it stands for, see [`SignalTimer::take`].
    pub fn take(&self, id: i32) -> Option<i32> {
        self.find(id).ok()?.take()
    }

    fn find(&self, id: i32) -> Result<Arc<SignalTimer>> {
        lock(&self.others).get(&id).cloned().ok_or(Errno::INVAL)
    }
}

fn alarm(call: &mut Call<'_>) -> Result<u64> {
    let seconds = call.arg(0) as u32;
    let process = &call.task.process;
    let timer = process.timers.interval(process, libc::ITIMER_REAL)?;
    let before = timer.set(Duration::from_secs(seconds.into()), Duration::ZERO, false)?.value;
    // Rounded, but what is armed is not told as zero (`alarm_setitimer` of Linux).
    let rounded = before.seconds as u64 + u64::from(before.nanoseconds >= 500_000_000);
    Ok(if before == TimeSpec::default() { 0 } else { rounded.max(1) })
}

fn microseconds(time: TimeSpec) -> TimeVal {
    let rounded = time.nanoseconds / 1000;
    let some = i64::from(time != TimeSpec::default());
    TimeVal { seconds: time.seconds, microseconds: if time.seconds == 0 { rounded.max(some) } else { rounded } }
}

fn as_itimer(spec: TimerSpec) -> TimerVal {
    TimerVal { interval: microseconds(spec.interval), value: microseconds(spec.value) }
}

fn setitimer(call: &mut Call<'_>) -> Result<u64> {
    // NULL disarms it, which Linux keeps for old programs.
    let wanted: TimerVal = if call.arg(1) == 0 { TimerVal::default() } else { call.read_value(call.arg(1))? };
    let (value, interval) = (wanted.value.duration()?, wanted.interval.duration()?);
    let process = &call.task.process;
    let before = process.timers.interval(process, call.int(0))?.set(value, interval, false)?;
    if call.arg(2) != 0 {
        call.write_value(call.arg(2), &as_itimer(before))?;
    }
    Ok(0)
}

fn getitimer(call: &mut Call<'_>) -> Result<u64> {
    let process = &call.task.process;
    let left = process.timers.interval(process, call.int(0))?.left();
    call.write_value(call.arg(1), &as_itimer(left))?;
    Ok(0)
}

/// The start of a `struct sigevent`.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct SigEvent {
    value: u64,
    signal: i32,
    notify: i32,
    thread: i32,
    padding: i32,
}

fn notice(call: &Call<'_>, event: SigEvent, id: i32) -> Result<Notice> {
    let thread = match event.notify {
        libc::SIGEV_NONE => return Ok(Notice::Silent),
        libc::SIGEV_SIGNAL | libc::SIGEV_THREAD => None,
        libc::SIGEV_THREAD_ID => {
            let task = call.task.process.container.pids.task(event.thread).map_err(|_| Errno::INVAL)?;
            if !Arc::ptr_eq(&task.process, &call.task.process) {
                return Err(Errno::INVAL);
            }
            Some(Arc::downgrade(&task))
        }
        _ => return Err(Errno::INVAL),
    };
    if !is_signal(event.signal) {
        return Err(Errno::INVAL);
    }
    Ok(Notice::Valued { signal: event.signal, id, value: event.value, thread })
}

/// EOPNOTSUPP for clocks that nobody can wait by, EINVAL for none and for the processor time of other processes.
fn clock_of(call: &Call<'_>, id: i32) -> Result<TimerClock> {
    let task = call.task;
    match Clock::parse(id)? {
        Clock::Wall(clock) => clock.for_sleep().map(|(clock, offset)| TimerClock::Passing(clock, offset)),
        Clock::Processor { thread: true, id } => {
            let other = if id == 0 { task.clone() } else { task.process.container.pids.task(id).map_err(|_| Errno::INVAL)? };
            let own = Arc::ptr_eq(&other.process, &task.process);
            if own { Ok(TimerClock::Thread(Arc::downgrade(&other))) } else { Err(Errno::INVAL) }
        }
        Clock::Processor { id, .. } if id == 0 || id == task.process.pid => Ok(TimerClock::Process),
        Clock::Processor { .. } => Err(Errno::INVAL),
    }
}

fn timer_create(call: &mut Call<'_>) -> Result<u64> {
    let clock = clock_of(call, call.int(0))?;
    if matches!(call.int(0), libc::CLOCK_REALTIME_ALARM | libc::CLOCK_BOOTTIME_ALARM) {
        return Err(Errno::PERM);
    }
    let event = match call.arg(1) {
        0 => None,
        address => Some(call.read_value::<SigEvent>(address)?),
    };
    let process = call.task.process.clone();
    let id = {
        let timers = lock(&process.timers.others);
        (0..).find(|id| !timers.contains_key(id)).ok_or(Errno::AGAIN)?
    };
    let queued = process.limit(libc::RLIMIT_SIGPENDING);
    if id as u64 >= queued {
        return Err(Errno::AGAIN);
    }
    // Without an event it is SIGALRM with the id.
    let default = SigEvent { value: id as u64, signal: libc::SIGALRM, notify: libc::SIGEV_SIGNAL, thread: 0, padding: 0 };
    let notice = notice(call, event.unwrap_or(default), id)?;
    let timer = SignalTimer::new(Arc::downgrade(&process), clock, notice);
    call.write_value(call.arg(2), &id)?;
    lock(&process.timers.others).insert(id, timer);
    Ok(0)
}

fn timer_settime(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(2) == 0 {
        return Err(Errno::INVAL);
    }
    let wanted: TimerSpec = call.read_value(call.arg(2))?;
    let (value, interval) = (wanted.value.duration()?, wanted.interval.duration()?);
    let timer = call.task.process.timers.find(call.int(0))?;
    let before = timer.set(value, interval, call.int(1) & libc::TIMER_ABSTIME != 0)?;
    if call.arg(3) != 0 {
        call.write_value(call.arg(3), &before)?;
    }
    Ok(0)
}

fn timer_gettime(call: &mut Call<'_>) -> Result<u64> {
    let left = call.task.process.timers.find(call.int(0))?.left();
    call.write_value(call.arg(1), &left)?;
    Ok(0)
}

fn timer_getoverrun(call: &mut Call<'_>) -> Result<u64> {
    Ok(call.task.process.timers.find(call.int(0))?.overruns() as u64)
}

fn timer_delete(call: &mut Call<'_>) -> Result<u64> {
    lock(&call.task.process.timers.others).remove(&call.int(0)).map(|_| 0).ok_or(Errno::INVAL)
}
