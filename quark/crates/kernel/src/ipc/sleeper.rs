//! A thread that waits until another one has done its work for it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::task::{Task, lock};
use crate::wait::Parker;
use crate::{Errno, Result};

/// How long somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// For ever.
    Ever,
    /// Until a time of the host's monotonic clock.
    Instant(Instant),
    /// Until a time of CLOCK_REALTIME.
    Realtime(Duration),
}

/// Who waits, in a list of the object that it waits for: whoever takes it out of the list there gives it its answer.
pub struct Sleeper<T> {
    answer: Mutex<Option<T>>,
    parker: Arc<Parker>,
}

impl<T> Sleeper<T> {
    /// A thread that is going to sleep.
    pub fn new(task: &Task) -> Arc<Sleeper<T>> {
        Arc::new(Sleeper { answer: Mutex::new(None), parker: task.parker.clone() })
    }

    /// Nobody's.
    #[cfg(test)]
    pub fn detached() -> Sleeper<T> {
        Sleeper { answer: Mutex::new(None), parker: Arc::default() }
    }

    /// Gives it its answer, and wakes it.
    pub fn finish(&self, answer: T) {
        *lock(&self.answer) = Some(answer);
        self.parker.wake();
    }

    /// Its answer, if it has one.
    pub fn take(&self) -> Option<T> {
        lock(&self.answer).take()
    }

    /// Sleeps until the answer comes. EINTR for a signal, ETIMEDOUT: it must leave the list then, and [`Sleeper::take`] what came meanwhile.
    pub fn sleep(&self, task: &Task, until: Until) -> Result<T> {
        loop {
            if let Some(answer) = self.take() {
                return Ok(answer);
            }
            if task.interrupted() {
                return Err(Errno::INTR);
            }
            let woken = match until {
                Until::Ever => task.parker.park(None),
                Until::Instant(at) => task.parker.park(Some(at)),
                Until::Realtime(at) => task.parker.park_until_realtime(at),
            };
            if !woken {
                return self.take().ok_or(Errno::TIMEDOUT);
            }
        }
    }
}
