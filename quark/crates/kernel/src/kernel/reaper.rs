//! Kills stub processes whose threads don't come back: hostile guest code can keep our interrupts from being heard, but not the host's SIGKILL.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::task::{Process, lock};
use crate::{Errno, Result};

/// How long a process that has to end may take to unwind by itself: robust locks are marked meanwhile.
const GRACE: Duration = Duration::from_secs(2);

/// The thread that does it. It sleeps unless a process ends by force.
pub struct Reaper {
    dying: std::sync::Mutex<Sender<(Instant, Weak<Process>)>>,
}

impl Reaper {
    pub(super) fn start() -> Result<Reaper> {
        let (dying, processes) = channel();
        let spawned = thread::Builder::new().name("reaper".into()).stack_size(128 << 10).spawn(move || reap(&processes));
        spawned.map_err(|_| Errno::AGAIN)?;
        Ok(Reaper { dying: std::sync::Mutex::new(dying) })
    }

    /// Sees to it that a process that has to end does.
    pub fn watch(&self, process: &Arc<Process>) {
        // The other side only goes with the kernel.
        let _ = lock(&self.dying).send((Instant::now() + GRACE, Arc::downgrade(process)));
    }
}

fn reap(processes: &Receiver<(Instant, Weak<Process>)>) {
    while let Ok((deadline, process)) = processes.recv() {
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        let Some(process) = process.upgrade() else {
            continue;
        };
        let exits = process.signals.lock().exit.is_some();
        if exits && !process.has_ended() {
            lock(&process.memory).space.kill();
        }
    }
}
