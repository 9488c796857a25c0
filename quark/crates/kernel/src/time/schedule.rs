//! When a timer expires: once, or again and again. Pure; times are of the timer's clock.

use std::time::Duration;

/// A timer's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    /// When it expires next; `None` if it's disarmed.
    pub next: Option<Duration>,
    /// Zero: only once.
    pub interval: Duration,
}

impl Schedule {
    /// How often it has expired by `now`; it is moved on to the first expiry after that.
    pub fn advance(&mut self, now: Duration) -> u64 {
        let Some(late) = self.next.and_then(|next| now.checked_sub(next)) else {
            return 0;
        };
        if self.interval.is_zero() {
            self.next = None;
            return 1;
        }
        let missed = late.as_nanos() / self.interval.as_nanos();
        // u64 nanoseconds last for 584 years.
        let behind = (late.as_nanos() % self.interval.as_nanos()) as u64;
        self.next = (now - Duration::from_nanos(behind)).checked_add(self.interval);
        u64::try_from(missed).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// What is left until it expires: zero if it's disarmed, at least a nanosecond if not.
    pub fn remaining(&self, now: Duration) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_sub(now).max(Duration::from_nanos(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn once() {
        let mut schedule = Schedule { next: Some(ms(10)), interval: Duration::ZERO };
        assert_eq!(schedule.remaining(ms(4)), ms(6));
        assert_eq!(schedule.advance(ms(9)), 0);
        assert_eq!(schedule.remaining(ms(11)), Duration::from_nanos(1));
        assert_eq!(schedule.advance(ms(10)), 1);
        assert_eq!(schedule.advance(ms(99)), 0);
        assert_eq!(schedule.remaining(ms(99)), Duration::ZERO);
    }

    #[test]
    fn again_and_again_without_drift() {
        let mut schedule = Schedule { next: Some(ms(10)), interval: ms(5) };
        assert_eq!(schedule.advance(ms(10)), 1);
        assert_eq!(schedule.next, Some(ms(15)));
        assert_eq!(schedule.advance(ms(31)), 4);
        assert_eq!(schedule.next, Some(ms(35)));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut schedule = Schedule { next: Some(Duration::ZERO), interval: Duration::from_nanos(1) };
        assert_eq!(schedule.advance(Duration::MAX), u64::MAX);
        assert_eq!(schedule.next, None);
        let mut schedule = Schedule { next: Some(ms(1)), interval: Duration::MAX };
        assert_eq!(schedule.advance(ms(2)), 1);
        assert_eq!(schedule.next, None);
    }
}
