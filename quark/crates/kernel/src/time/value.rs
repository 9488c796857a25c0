//! The C structures in which times come and go.

use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::call::Call;
use crate::{Errno, Result};

/// Nanoseconds of a second.
pub const SECOND: i64 = 1_000_000_000;

/// `struct timespec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct TimeSpec {
    pub seconds: i64,
    pub nanoseconds: i64,
}

/// `struct timeval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct TimeVal {
    pub seconds: i64,
    pub microseconds: i64,
}

/// `struct itimerspec`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct TimerSpec {
    pub interval: TimeSpec,
    pub value: TimeSpec,
}

/// `struct itimerval`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[allow(missing_docs)]
pub struct TimerVal {
    pub interval: TimeVal,
    pub value: TimeVal,
}

impl TimeSpec {
    /// EINVAL for negative times and for nanoseconds outside of 0 to 999,999,999.
    pub fn duration(self) -> Result<Duration> {
        let seconds = u64::try_from(self.seconds).map_err(|_| Errno::INVAL)?;
        let nanoseconds = u32::try_from(self.nanoseconds).ok().filter(|part| i64::from(*part) < SECOND).ok_or(Errno::INVAL)?;
        Ok(Duration::new(seconds, nanoseconds))
    }
}

impl From<Duration> for TimeSpec {
    fn from(duration: Duration) -> TimeSpec {
        TimeSpec { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanoseconds: i64::from(duration.subsec_nanos()) }
    }
}

impl TimeVal {
    /// EINVAL for negative times and for microseconds outside of 0 to 999,999.
    pub fn duration(self) -> Result<Duration> {
        if !(0..1_000_000).contains(&self.microseconds) {
            return Err(Errno::INVAL);
        }
        TimeSpec { seconds: self.seconds, nanoseconds: self.microseconds * 1000 }.duration()
    }

    /// As `select(2)` takes it: microseconds may be more than a second's.
    pub fn duration_with_carry(self) -> Result<Duration> {
        let carry = self.microseconds.div_euclid(1_000_000);
        let seconds = self.seconds.checked_add(carry).ok_or(Errno::INVAL)?;
        TimeVal { seconds, microseconds: self.microseconds.rem_euclid(1_000_000) }.duration()
    }
}

impl From<Duration> for TimeVal {
    fn from(duration: Duration) -> TimeVal {
        let spec = TimeSpec::from(duration);
        TimeVal { seconds: spec.seconds, microseconds: spec.nanoseconds / 1000 }
    }
}

/// Reads a `struct timespec *`; `None` for NULL. EFAULT, EINVAL.
pub fn read_timespec(call: &mut Call<'_>, address: u64) -> Result<Option<Duration>> {
    if address == 0 {
        return Ok(None);
    }
    call.read_value::<TimeSpec>(address)?.duration().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_times_are_refused() {
        let spec = |seconds, nanoseconds| TimeSpec { seconds, nanoseconds }.duration();
        assert_eq!(spec(1, 5), Ok(Duration::new(1, 5)));
        for (seconds, nanoseconds) in [(-1, 0), (0, -1), (0, SECOND), (i64::MIN, i64::MAX)] {
            assert_eq!(spec(seconds, nanoseconds), Err(Errno::INVAL));
        }
        assert_eq!(TimeVal { seconds: 0, microseconds: 1_000_000 }.duration(), Err(Errno::INVAL));
        assert_eq!(TimeVal { seconds: 2, microseconds: 1_500_000 }.duration_with_carry(), Ok(Duration::from_millis(3500)));
        assert_eq!(TimeVal { seconds: i64::MAX, microseconds: 1_500_000 }.duration_with_carry(), Err(Errno::INVAL));
        assert_eq!(TimeVal { seconds: 0, microseconds: -1 }.duration_with_carry(), Err(Errno::INVAL));
    }

    #[test]
    fn there_and_back() {
        let duration = Duration::new(7, 123_456_789);
        assert_eq!(TimeSpec::from(duration).duration(), Ok(duration));
        assert_eq!(TimeVal::from(duration), TimeVal { seconds: 7, microseconds: 123_456 });
        assert_eq!(TimeSpec::from(Duration::MAX).seconds, i64::MAX);
    }
}
