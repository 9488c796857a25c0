//! Kills stub processes whose threads don't come back: hostile guest code can keep our interrupts from being heard, but not the host's SIGKILL.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::task::{Process, lock};

/// How long a process that has to end may take to unwind by itself: robust locks are marked meanwhile.
const GRACE: Duration = Duration::from_secs(2);

/// Who does it: a thread that is started for the first process that ends by force, and sleeps unless another does.
#[derive(Default)]
pub struct Reaper {
    dying: std::sync::Mutex<Option<Dying>>,
}

type Dying = Sender<(Instant, Weak<Process>)>;

impl Reaper {
    /// Sees to it that a process that has to end does. Without a thread for it the process gets no time.
    pub fn watch(&self, process: &Arc<Process>) {
        let mut dying = lock(&self.dying);
        if dying.is_none() {
            *dying = start();
        }
        match &*dying {
            // The other side only goes with the kernel.
            Some(dying) => drop(dying.send((Instant::now() + GRACE, Arc::downgrade(process)))),
            None => kill(process),
        }
    }
}

fn start() -> Option<Dying> {
    let (dying, processes) = channel();
    let spawned = thread::Builder::new().name("reaper".into()).stack_size(128 << 10).spawn(move || reap(&processes));
    spawned.ok().map(|_| dying)
}

fn reap(processes: &Receiver<(Instant, Weak<Process>)>) {
    while let Ok((deadline, process)) = processes.recv() {
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        let Some(process) = process.upgrade() else {
            continue;
        };
        let exits = process.signals.lock().exit.is_some();
        if exits && !process.has_ended() {
            kill(&process);
        }
    }
}

fn kill(process: &Process) {
    let memory = lock(&process.memory).clone();
    memory.space.kill();
}
