//! Puts a pod to sleep by itself, when nothing has happened in it for some time.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Hibernation, IGNORES_TIMERS, Stage, Timeouts, WATCHED};
use crate::task::lock;
use crate::{Errno, Result};

impl Hibernation {
    /// From now on, the pod sleeps whenever no thread has come back from a wait for as long as `after`; with [`Timeouts::Hold`], other than
    /// because its time was over. EAGAIN if the host gives us no thread for it.
    pub fn when_idle(self: &Arc<Self>, file: OwnedFd, after: Duration, timeouts: Timeouts) -> Result<()> {
        let ignored = if timeouts == Timeouts::Hold { IGNORES_TIMERS } else { 0 };
        self.gate.fetch_or(WATCHED | ignored, Ordering::SeqCst);
        self.note_activity();
        let (own, file) = (self.clone(), Arc::new(file));
        let watch = move || while own.watch(&file, after, timeouts).is_ok() {};
        thread::Builder::new().name("hibernate".into()).stack_size(256 << 10).spawn(watch).map(drop).map_err(|_| Errno::AGAIN)
    }

    /// Waits until the pod is idle, and has it sleep until it wakes. ESRCH when there is no pod any more.
    fn watch(&self, file: &Arc<OwnedFd>, after: Duration, timeouts: Timeouts) -> Result<()> {
        let last = Duration::from_millis(self.activity.load(Ordering::Relaxed));
        let now = self.kernel().ok_or(Errno::SRCH)?.uptime();
        let left = (last + after).saturating_sub(now);
        if !left.is_zero() {
            thread::sleep(left);
            return Ok(());
        }
        if self.hibernate(file.clone(), timeouts).is_err() {
            // Something runs, or the disk is full: later.
            self.note_activity();
        }
        self.wait_awake();
        Ok(())
    }

    fn wait_awake(&self) {
        let mut stage = lock(&self.stage);
        while !matches!(*stage, Stage::Awake) {
            stage = self.changed.wait(stage).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
