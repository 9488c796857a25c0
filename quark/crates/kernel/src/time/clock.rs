//! Clocks: what time it is, in each of Linux' ways (`man 2 clock_gettime`).

use std::sync::LazyLock;
use std::time::Duration;

use rustix::time::{ClockId, DynamicClockId, Timespec, clock_getres, clock_gettime, clock_gettime_dynamic};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::value::{TimeSpec, TimeVal};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::{Errno, Result};

/// What this module answers. Programs usually ask the vDSO instead.
pub const CALLS: Calls = &[
    (libc::SYS_clock_gettime, clock_gettime_call),
    (libc::SYS_clock_getres, clock_getres_call),
    (libc::SYS_clock_settime, clock_settime_call),
    (libc::SYS_gettimeofday, gettimeofday),
    (libc::SYS_settimeofday, settimeofday),
    (libc::SYS_time, time),
    (libc::SYS_adjtimex, adjtimex),
    (libc::SYS_clock_adjtime, clock_adjtime),
];

/// A clock that sleeps and timers follow. CLOCK_BOOTTIME is CLOCK_MONOTONIC with another start: what differs is time in suspension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleepClock {
    /// CLOCK_MONOTONIC.
    Monotonic,
    /// CLOCK_REALTIME: may be set.
    Realtime,
}

/// A clock id of the guest that isn't of processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock(i32);

/// What a clock id means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time that passes.
    Wall(WallClock),
    /// Processor time of a process, or of a thread; id 0 is the caller.
    Processor {
        /// Of the thread `id`, not the process `id`.
        thread: bool,
        /// As the guest knows it.
        id: i32,
    },
}

impl Clock {
    /// EINVAL for what is no clock.
    pub fn parse(id: i32) -> Result<Clock> {
        match id {
            libc::CLOCK_PROCESS_CPUTIME_ID => Ok(Clock::Processor { thread: false, id: 0 }),
            libc::CLOCK_THREAD_CPUTIME_ID => Ok(Clock::Processor { thread: true, id: 0 }),
            // The two lowest bits: user and system, user, or what the scheduler counted; 3 is a clock that is a descriptor.
            id if id < 0 && id & 3 != 3 => Ok(Clock::Processor { thread: id & 4 != 0, id: !(id >> 3) }),
            id if id < 0 => Err(Errno::INVAL),
            id => WallClock(id).known().map(|_| Clock::Wall(WallClock(id))),
        }
    }
}

/// The host's tick, by which its coarse clocks go.
static TICK: LazyLock<Duration> = LazyLock::new(|| duration(clock_getres(ClockId::MonotonicCoarse)));

/// Asks the host what it won't be asked once the kernel process is behind its filter.
pub fn learn() {
    LazyLock::force(&TICK);
}

impl WallClock {
    /// The time it shows.
    pub fn now(self) -> Result<Duration> {
        let time = clock_gettime_dynamic(self.known()?)?;
        Ok(duration(time))
    }

    /// Its resolution.
    pub fn resolution(self) -> Duration {
        match self.0 {
            libc::CLOCK_REALTIME_COARSE | libc::CLOCK_MONOTONIC_COARSE => *TICK,
            _ => Duration::from_nanos(1),
        }
    }

    /// The clock that a sleep by this one follows, and what to add to this one's time to get that one's. EOPNOTSUPP for those that nobody can sleep by.
    pub fn for_sleep(self) -> Result<(SleepClock, Offset)> {
        match self.0 {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_ALARM => Ok((SleepClock::Realtime, Offset::default())),
            libc::CLOCK_MONOTONIC => Ok((SleepClock::Monotonic, Offset::default())),
            libc::CLOCK_BOOTTIME | libc::CLOCK_BOOTTIME_ALARM => Ok((SleepClock::Monotonic, self.offset_to(SleepClock::Monotonic)?)),
            libc::CLOCK_TAI => Ok((SleepClock::Realtime, self.offset_to(SleepClock::Realtime)?)),
            _ => Err(Errno::OPNOTSUPP),
        }
    }

    /// Whole microseconds: the two clocks aren't read in the same moment.
    fn offset_to(self, other: SleepClock) -> Result<Offset> {
        let (this, that) = (self.now()?, now(other));
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Ok(Offset(micros(that) - micros(this)))
    }

    fn known(self) -> Result<DynamicClockId<'static>> {
        Ok(match self.0 {
            libc::CLOCK_REALTIME => DynamicClockId::Known(ClockId::Realtime),
            libc::CLOCK_MONOTONIC => DynamicClockId::Known(ClockId::Monotonic),
            libc::CLOCK_MONOTONIC_RAW => DynamicClockId::Known(ClockId::MonotonicRaw),
            libc::CLOCK_REALTIME_COARSE => DynamicClockId::Known(ClockId::RealtimeCoarse),
            libc::CLOCK_MONOTONIC_COARSE => DynamicClockId::Known(ClockId::MonotonicCoarse),
            libc::CLOCK_BOOTTIME | libc::CLOCK_BOOTTIME_ALARM => DynamicClockId::Known(ClockId::Boottime),
            libc::CLOCK_REALTIME_ALARM => DynamicClockId::Known(ClockId::Realtime),
            libc::CLOCK_TAI => DynamicClockId::Tai,
            _ => return Err(Errno::INVAL),
        })
    }
}

/// Microseconds between two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset(i64);

impl Offset {
    /// A time of the one clock as one of the other.
    pub fn apply(self, time: Duration) -> Duration {
        let distance = Duration::from_micros(self.0.unsigned_abs());
        if self.0 < 0 { time.saturating_sub(distance) } else { time.saturating_add(distance) }
    }
}

/// The time that a clock shows.
pub fn now(clock: SleepClock) -> Duration {
    duration(clock_gettime(match clock {
        SleepClock::Monotonic => ClockId::Monotonic,
        SleepClock::Realtime => ClockId::Realtime,
    }))
}

fn duration(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn clock_gettime_call(call: &mut Call<'_>) -> Result<u64> {
    let time = match Clock::parse(call.int(0))? {
        Clock::Wall(clock) => clock.now()?,
        Clock::Processor { thread, id } => super::cpu::of(call.task, thread, id)?,
    };
    call.write_value(call.arg(1), &TimeSpec::from(time))?;
    Ok(0)
}

fn clock_getres_call(call: &mut Call<'_>) -> Result<u64> {
    let resolution = match Clock::parse(call.int(0))? {
        Clock::Wall(clock) => clock.resolution(),
        Clock::Processor { thread, id } => super::cpu::of(call.task, thread, id).map(|_| Duration::from_nanos(1))?,
    };
    if call.arg(1) != 0 {
        call.write_value(call.arg(1), &TimeSpec::from(resolution))?;
    }
    Ok(0)
}

/// Nobody in a pod may set the host's clock.
fn clock_settime_call(call: &mut Call<'_>) -> Result<u64> {
    let clock = call.int(0);
    Clock::parse(clock)?;
    call.read_value::<TimeSpec>(call.arg(1))?.duration()?;
    Err(if matches!(clock, libc::CLOCK_REALTIME) || clock < 0 { Errno::PERM } else { Errno::INVAL })
}

fn gettimeofday(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(0) != 0 {
        call.write_value(call.arg(0), &TimeVal::from(now(SleepClock::Realtime)))?;
    }
    if call.arg(1) != 0 {
        // `struct timezone`: nobody has set one.
        call.write_value(call.arg(1), &[0i32; 2])?;
    }
    Ok(0)
}

fn settimeofday(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(0) != 0 {
        call.read_value::<TimeVal>(call.arg(0))?.duration()?;
    }
    Err(Errno::PERM)
}

fn time(call: &mut Call<'_>) -> Result<u64> {
    let seconds = now(SleepClock::Realtime).as_secs();
    if call.arg(0) != 0 {
        call.write_value(call.arg(0), &seconds)?;
    }
    Ok(seconds)
}

/// `struct timex`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Timex {
    modes: u32,
    _pad: u32,
    offset: i64,
    frequency: i64,
    max_error: i64,
    estimated_error: i64,
    status: i32,
    _pad2: u32,
    constant: i64,
    precision: i64,
    tolerance: i64,
    time: TimeVal,
    tick: i64,
    /// Pulse per second statistics, TAI offset: none.
    rest: [i64; 14],
}

/// `ADJ_OFFSET_SS_READ`: reads, though it has mode bits.
const READ_ONLY_MODE: u32 = 0xa001;
/// `STA_UNSYNC`: we don't tell how well the host keeps time.
const UNSYNCHRONIZED: i32 = 0x40;
/// `TIME_ERROR`: what goes with it.
const TIME_ERROR: u64 = 5;

fn adjtimex(call: &mut Call<'_>) -> Result<u64> {
    read_timex(call, call.arg(0))
}

fn clock_adjtime(call: &mut Call<'_>) -> Result<u64> {
    if call.int(0) != libc::CLOCK_REALTIME {
        Clock::parse(call.int(0))?;
        return Err(Errno::OPNOTSUPP);
    }
    read_timex(call, call.arg(1))
}

/// Setting is EPERM; reading tells an undisciplined clock, as a host without NTP does.
fn read_timex(call: &mut Call<'_>, address: u64) -> Result<u64> {
    let mut timex: Timex = call.read_value(address)?;
    if timex.modes != 0 && timex.modes != READ_ONLY_MODE {
        return Err(Errno::PERM);
    }
    timex = Timex {
        modes: timex.modes,
        status: UNSYNCHRONIZED,
        max_error: 16_000_000,
        estimated_error: 16_000_000,
        constant: 2,
        precision: 1,
        tolerance: 500 << 16,
        time: now(SleepClock::Realtime).into(),
        tick: 10_000,
        ..Timex::new_zeroed()
    };
    call.write_value(address, &timex)?;
    Ok(TIME_ERROR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timex_has_the_size_of_linux() {
        assert_eq!(size_of::<Timex>(), size_of::<libc::timex>());
    }

    #[test]
    fn ids_are_parsed_as_by_linux() {
        for id in 0..=11 {
            // 10 was CLOCK_SGI_CYCLE.
            assert_eq!(Clock::parse(id).is_ok(), id != 10, "clock {id}");
        }
        let encoded = |id: i32, bits: i32| (!id << 3) | bits;
        assert_eq!(Clock::parse(encoded(77, 2)), Ok(Clock::Processor { thread: false, id: 77 }));
        assert_eq!(Clock::parse(encoded(77, 6)), Ok(Clock::Processor { thread: true, id: 77 }));
        assert_eq!(Clock::parse(encoded(77, 3)), Err(Errno::INVAL));
        assert_eq!(Clock::parse(i32::MAX), Err(Errno::INVAL));
    }

    #[test]
    fn clocks_go_and_sleep_clocks_agree() {
        for id in [0, 1, 4, 5, 6, 7, 8, 9, 11] {
            let clock = WallClock(id);
            let before = clock.now().unwrap();
            assert!(!before.is_zero());
            assert!(clock.now().unwrap() >= before);
            assert!(!clock.resolution().is_zero());
            if let Ok((sleep, offset)) = clock.for_sleep() {
                let there = offset.apply(clock.now().unwrap());
                assert!(now(sleep).abs_diff(there) < Duration::from_millis(100), "clock {id}");
            }
        }
        assert_eq!(WallClock(libc::CLOCK_MONOTONIC_RAW).for_sleep(), Err(Errno::OPNOTSUPP));
    }
}
