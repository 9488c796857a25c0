//! How a kernel half waits, and is woken.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Instant;

use bitflags::bitflags;

bitflags! {
    /// What a file is ready for, in the bits of `poll(2)` and `epoll(7)`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u32 {
        /// POLLIN.
        const IN = 0x001;
        /// POLLPRI.
        const PRI = 0x002;
        /// POLLOUT.
        const OUT = 0x004;
        /// POLLERR: told always.
        const ERR = 0x008;
        /// POLLHUP: told always.
        const HUP = 0x010;
        /// POLLNVAL.
        const NVAL = 0x020;
        /// POLLRDNORM.
        const RDNORM = 0x040;
        /// POLLRDBAND.
        const RDBAND = 0x080;
        /// POLLWRNORM.
        const WRNORM = 0x100;
        /// POLLWRBAND.
        const WRBAND = 0x200;
        /// POLLMSG.
        const MSG = 0x400;
        /// POLLRDHUP.
        const RDHUP = 0x2000;
    }
}

/// Told when something that it waits for may have come. Must not block, and must not take locks that a waker can hold: it only notes and wakes.
pub trait Waiter: Send + Sync {
    /// `events` may have become true; check again.
    fn notify(&self, events: Events);
}

/// Those who wait for a file, a child, a lock … Waiters are told in the order in which they came.
#[derive(Default)]
pub struct WaitQueue {
    waiters: Mutex<VecDeque<Entry>>,
}

struct Entry {
    interest: Events,
    waiter: Weak<dyn Waiter>,
    key: u64,
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

impl WaitQueue {
    /// Adds a waiter for `interest` (ERR and HUP are implied). The key removes it again; a dropped waiter is forgotten by itself.
    pub fn register(&self, interest: Events, waiter: &Arc<dyn Waiter>) -> u64 {
        let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { interest: interest | Events::ERR | Events::HUP, waiter: Arc::downgrade(waiter), key };
        self.lock().push_back(entry);
        key
    }

    /// Removes a waiter.
    pub fn remove(&self, key: u64) {
        self.lock().retain(|entry| entry.key != key);
    }

    /// Tells everybody who is interested in any of `events`.
    pub fn notify(&self, events: Events) {
        let mut told = Vec::new();
        self.lock().retain(|entry| {
            let Some(waiter) = entry.waiter.upgrade() else {
                return false;
            };
            if entry.interest.intersects(events) {
                told.push(waiter);
            }
            true
        });
        for waiter in told {
            waiter.notify(events);
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Entry>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one kernel half sleeps on. A wake that comes before the sleep ends it at once.
#[derive(Default)]
pub struct Parker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// Sleeps until somebody wakes it or the deadline passes; false for the deadline. May return early for an old wake: callers check and sleep again.
    pub fn park(&self, deadline: Option<Instant>) -> bool {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if std::mem::take(&mut *woken) {
                return true;
            }
            woken = match deadline {
                None => self.changed.wait(woken).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                        return false;
                    };
                    self.changed.wait_timeout(woken, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Ends the sleep, or the next one.
    pub fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

impl Waiter for Parker {
    fn notify(&self, _: Events) {
        self.wake();
    }
}
