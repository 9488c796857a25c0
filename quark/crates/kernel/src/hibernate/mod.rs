//! Pods that sleep: their guests' memory is in a file, their stub processes are gone, and the kernel waits for what wakes them.
//!
//! It takes that every guest thread waits in the kernel: then its kernel half goes on waiting as before, and nothing of it is in the stub but
//! registers. Whichever of them comes back from its wait first, for whatever reason, finds the gate closed behind it ([`Hibernation::pass`]),
//! and makes all stubs again before it goes on. So no event has to be known here, and none can be forgotten.
//!
//! Until the file has everything the stubs stay: whatever fails leaves the pod as it was.

mod freeze;
pub mod image;
mod watch;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, Weak};

use freeze::Frozen;
use image::Image;

use crate::kernel::Kernel;
use crate::task::lock;
use crate::{Errno, Result};

/// Threads that come back from a wait stop behind it.
const CLOSED: u32 = 1;
/// While it is closed, waits don't end by time.
const HOLDS_TIMERS: u32 = 1 << 1;
/// Somebody watches for the pod to be idle.
const WATCHED: u32 = 1 << 2;
/// Waits that end by time are no activity.
const IGNORES_TIMERS: u32 = 1 << 3;

/// What a wait's own end, in time, does to a pod that sleeps: `poll` and its like, futexes, `nanosleep`. Timers that send signals always wake it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timeouts {
    /// It wakes the pod.
    #[default]
    Wake,
    /// It comes when something else wakes the pod. For servers that look at the clock ten times a second and have nothing to do.
    Hold,
}

/// Whether a pod sleeps.
#[derive(Default)]
pub struct Hibernation {
    /// Looked at behind each wait.
    gate: AtomicU32,
    stage: Mutex<Stage>,
    changed: Condvar,
    /// How many threads stand at the gate.
    waiting: AtomicU32,
    /// When something last happened, milliseconds of the kernel's uptime.
    activity: AtomicU64,
    kernel: OnceLock<Weak<Kernel>>,
}

#[derive(Default)]
enum Stage {
    #[default]
    Awake,
    /// It is being written, or read.
    Changes,
    Asleep(Vec<Frozen>, Arc<Image>),
}

impl Hibernation {
    /// Says whose it is.
    pub(crate) fn belongs_to(&self, kernel: &Arc<Kernel>) {
        let _ = self.kernel.set(Arc::downgrade(kernel));
    }

    fn kernel(&self) -> Option<Arc<Kernel>> {
        self.kernel.get().and_then(Weak::upgrade)
    }

    /// Every kernel half comes by here when it has slept, `woken` or because its time was over.
    pub(crate) fn pass(&self, woken: bool) {
        let gate = self.gate.load(Ordering::SeqCst);
        if gate != 0 {
            self.look(gate, woken);
        }
    }

    #[cold]
    fn look(&self, gate: u32, woken: bool) {
        if gate & WATCHED != 0 && (woken || gate & IGNORES_TIMERS == 0) {
            self.note_activity();
        }
        if gate & CLOSED != 0 {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.wake();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether threads that come back from a wait stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.gate.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// Whether a wait whose time is over goes on.
    pub(crate) fn holds_timers(&self) -> bool {
        let both = CLOSED | HOLDS_TIMERS;
        self.gate.load(Ordering::SeqCst) & both == both
    }

    /// Whether the pod sleeps.
    pub fn asleep(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Asleep(..))
    }

    /// Writes the memory of all guests to `file`, which nobody else may change, and ends their stubs. EBUSY if a thread does something else
    /// than to wait, EAGAIN if one came back from its wait meanwhile; ENOSPC and what else the file answers. Then the pod is as it was.
    pub fn hibernate(&self, file: Arc<OwnedFd>, timeouts: Timeouts) -> Result<()> {
        let kernel = self.kernel().ok_or(Errno::SRCH)?;
        match &mut *lock(&self.stage) {
            Stage::Asleep(..) => return Ok(()),
            Stage::Changes => return Err(Errno::BUSY),
            awake @ Stage::Awake => *awake = Stage::Changes,
        }
        let close = if timeouts == Timeouts::Hold { CLOSED | HOLDS_TIMERS } else { CLOSED };
        self.gate.fetch_or(close, Ordering::SeqCst);
        let image = Image::new(file.clone()).and_then(|mut image| Ok((self.freeze(&kernel, &mut image)?, Arc::new(image))));
        let outcome = image.map(|(frozen, image)| self.turn(Stage::Asleep(frozen, image)));
        if outcome.is_err() {
            // It may be full of what is not wanted any more.
            let _ = rustix::fs::ftruncate(&*file, 0);
            self.open(&kernel);
            return outcome;
        }
        quark_host::footprint::trim();
        // What is not written yet takes memory, and could be lost yet.
        rustix::fs::fdatasync(&*file).inspect_err(|_| self.wake())
    }

    fn freeze(&self, kernel: &Arc<Kernel>, image: &mut Image) -> Result<Vec<Frozen>> {
        freeze::call_in(kernel);
        let mut frozen = freeze::sleepers(kernel)?;
        let written = freeze::write(kernel, &mut frozen, image);
        let interrupted = self.waiting.load(Ordering::SeqCst) != 0;
        if let Err(error) = written.and(if interrupted { Err(Errno::AGAIN) } else { Ok(()) }) {
            freeze::undo(kernel, &frozen);
            return Err(error);
        }
        freeze::put_away(kernel, &frozen);
        Ok(frozen)
    }

    /// Makes the stubs again, if they are gone; returns when they are there.
    pub fn wake(&self) {
        let mut stage = lock(&self.stage);
        loop {
            match std::mem::replace(&mut *stage, Stage::Changes) {
                Stage::Awake => {
                    *stage = Stage::Awake;
                    return;
                }
                Stage::Changes => stage = self.changed.wait(stage).unwrap_or_else(PoisonError::into_inner),
                Stage::Asleep(frozen, image) => {
                    drop(stage);
                    let Some(kernel) = self.kernel() else { return };
                    freeze::revive(&kernel, &frozen, &image);
                    self.note_activity();
                    return self.open(&kernel);
                }
            }
        }
    }

    /// Lets all threads go on.
    fn open(&self, kernel: &Kernel) {
        self.gate.fetch_and(!(CLOSED | HOLDS_TIMERS), Ordering::SeqCst);
        self.turn(Stage::Awake);
        for task in kernel.containers().iter().flat_map(|container| container.processes()).flat_map(|process| process.threads()) {
            task.parker.release();
        }
    }

    fn turn(&self, to: Stage) {
        *lock(&self.stage) = to;
        self.changed.notify_all();
    }

    fn note_activity(&self) {
        if let Some(kernel) = self.kernel() {
            self.activity.store(kernel.uptime().as_millis() as u64, Ordering::Relaxed);
        }
    }
}
