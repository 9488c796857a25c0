//! Who is to be told at a time: a sorted list and a thread that sleeps until its first entry. Without timers there is no thread, and no
//! thread ever wakes for nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::clock::{SleepClock, now};
use crate::task::lock;
use crate::wait::Parker;
use crate::{Errno, Result};

/// Told that its time has come. Runs on the timers' thread: it must be quick and not block.
pub trait Alarm: Send + Sync {
    /// A time for which it was armed has come (or had, before it was armed for another one: it looks at its own schedule).
    fn expired(&self);
}

/// An armed alarm's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    clock: SleepClock,
    at: Duration,
    key: u64,
}

/// The alarms of one clock.
struct Timers {
    clock: SleepClock,
    list: Mutex<List>,
    parker: Parker,
}

#[derive(Default)]
struct List {
    alarms: BTreeMap<(Duration, u64), Weak<dyn Alarm>>,
    /// Whether the thread runs.
    running: bool,
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);
static MONOTONIC: Timers = Timers::new(SleepClock::Monotonic);
static REALTIME: Timers = Timers::new(SleepClock::Realtime);

/// Tells `alarm` when `clock` shows `at`, unless it is dropped or disarmed before. EAGAIN if the host gives us no thread for it.
pub fn arm(clock: SleepClock, at: Duration, alarm: Weak<dyn Alarm>) -> Result<Armed> {
    Timers::of(clock).arm(at, alarm)
}

/// Takes an alarm back. It may just be on its way.
pub fn disarm(armed: Armed) {
    lock(&Timers::of(armed.clock).list).alarms.remove(&(armed.at, armed.key));
}

impl Timers {
    const fn new(clock: SleepClock) -> Timers {
        let list = List { alarms: BTreeMap::new(), running: false };
        Timers { clock, list: Mutex::new(list), parker: Parker::new() }
    }

    fn of(clock: SleepClock) -> &'static Timers {
        match clock {
            SleepClock::Monotonic => &MONOTONIC,
            SleepClock::Realtime => &REALTIME,
        }
    }

    fn arm(&'static self, at: Duration, alarm: Weak<dyn Alarm>) -> Result<Armed> {
        let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
        let mut list = lock(&self.list);
        if !list.running {
            thread::Builder::new().name("timers".into()).stack_size(64 << 10).spawn(|| self.run()).map_err(|_| Errno::AGAIN)?;
            list.running = true;
        }
        list.alarms.insert((at, key), alarm);
        let first = list.alarms.first_key_value().is_some_and(|((_, first), _)| *first == key);
        drop(list);
        if first {
            self.parker.wake();
        }
        Ok(Armed { clock: self.clock, at, key })
    }

    fn run(&self) {
        loop {
            for alarm in self.due() {
                alarm.expired();
            }
            let first = lock(&self.list).alarms.first_key_value().map(|((at, _), _)| *at);
            match (first, self.clock) {
                (None, _) => self.parker.park(None),
                (Some(at), SleepClock::Realtime) => self.parker.park_until_realtime(at),
                (Some(at), SleepClock::Monotonic) => self.parker.park(deadline_after(at.saturating_sub(now(self.clock)))),
            };
        }
    }

    fn due(&self) -> Vec<Arc<dyn Alarm>> {
        let now = now(self.clock);
        let mut list = lock(&self.list);
        let later = list.alarms.split_off(&(now + Duration::from_nanos(1), 0));
        let due = std::mem::replace(&mut list.alarms, later);
        due.into_values().filter_map(|alarm| alarm.upgrade()).collect()
    }
}

/// When a wait of this length ends; `None` (never) for what is beyond the clock's end.
pub fn deadline_after(duration: Duration) -> Option<Instant> {
    Instant::now().checked_add(duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    struct Bell(u32, Sender<u32>);

    impl Alarm for Bell {
        fn expired(&self) {
            let _ = self.1.send(self.0);
        }
    }

    fn bells() -> (Vec<Arc<dyn Alarm>>, Receiver<u32>) {
        let (sender, receiver) = channel();
        ((0..4).map(|number| Arc::new(Bell(number, sender.clone())) as Arc<dyn Alarm>).collect(), receiver)
    }

    #[test]
    fn alarms_ring_in_order_and_only_those_still_wanted() {
        for clock in [SleepClock::Monotonic, SleepClock::Realtime] {
            let (mut bells, rung) = bells();
            let start = now(clock);
            let armed: Vec<Armed> = [30, 10, 20, 40]
                .into_iter()
                .zip(&bells)
                .map(|(ms, bell)| arm(clock, start + Duration::from_millis(ms), Arc::downgrade(bell)).unwrap())
                .collect();
            disarm(armed[2]);
            drop(bells.pop());
            assert_eq!(rung.recv(), Ok(1));
            assert_eq!(rung.recv(), Ok(0));
            assert!(now(clock) >= start + Duration::from_millis(30));
            assert!(rung.recv_timeout(Duration::from_millis(30)).is_err());
        }
    }

    #[test]
    fn what_is_past_rings_at_once() {
        let (bells, rung) = bells();
        arm(SleepClock::Monotonic, Duration::ZERO, Arc::downgrade(&bells[3])).unwrap();
        assert_eq!(rung.recv_timeout(Duration::from_secs(10)), Ok(3));
    }
}
