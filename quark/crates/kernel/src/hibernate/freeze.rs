//! What is done to each address space of a pod that goes to sleep, and wakes.

use std::sync::Arc;

use quark_host::platform::Threads;

use super::image::Image;
use crate::kernel::Kernel;
use crate::memory::{Memory, Saved};
use crate::task::{Process, lock};
use crate::{Errno, Result};

/// How often a stub is asked for that the host can't give.
const ATTEMPTS: u32 = 50;
/// How long between.
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(20);

/// How often it is looked whether threads have come that were called in.
const CALLS: u32 = 500;
/// How long between.
const BETWEEN_CALLS: std::time::Duration = std::time::Duration::from_micros(200);

/// An address space whose threads all wait.
pub struct Frozen {
    memory: Arc<Memory>,
    /// One of those that are in it.
    process: Arc<Process>,
    threads: usize,
    kept: Option<(Threads, Saved)>,
}

/// Has threads that wait for futexes by themselves wait in the kernel, behind the gate. Returns when they do, or it takes too long.
pub fn call_in(kernel: &Kernel) {
    let tasks: Vec<_> =
        kernel.containers().iter().flat_map(|container| container.processes()).flat_map(|process| process.threads()).collect();
    // While others do something, the pod does not sleep anyway.
    if tasks.iter().any(|task| !task.sleeps()) {
        return;
    }
    let outside: Vec<_> = tasks.into_iter().filter(|task| !task.parker.asleep()).collect();
    outside.iter().for_each(|task| task.call_in());
    for _ in 0..CALLS {
        if outside.iter().all(|task| task.parker.asleep()) {
            break;
        }
        std::thread::sleep(BETWEEN_CALLS);
    }
}

/// All address spaces of the pod: EBUSY if a thread of one does something, or none has started.
pub fn sleepers(kernel: &Kernel) -> Result<Vec<Frozen>> {
    let mut found: Vec<Frozen> = Vec::new();
    for process in kernel.containers().iter().flat_map(|container| container.processes()) {
        let memory = lock(&process.memory).clone();
        let threads = process.threads();
        if threads.iter().any(|task| !task.parker.asleep()) {
            return Err(Errno::BUSY);
        }
        match found.iter_mut().find(|other| Arc::ptr_eq(&other.memory, &memory)) {
            Some(shared) => shared.threads += threads.len(),
            None => found.push(Frozen { memory, process, threads: threads.len(), kept: None }),
        }
    }
    // A thread that begins or ends is not on its process' list.
    let whole = !found.is_empty() && found.iter().all(|frozen| frozen.memory.space.thread_count() == frozen.threads);
    if whole { Ok(found) } else { Err(Errno::BUSY) }
}

/// Writes everything, and changes nothing that [`undo`] does not undo.
pub fn write(kernel: &Kernel, all: &mut [Frozen], image: &mut Image) -> Result<()> {
    for frozen in all {
        let space = &frozen.memory.space;
        let platform = frozen.process.container.platform(kernel);
        let threads = platform.threads(space)?;
        let mut context = platform.stand_in(space)?;
        let (saved, outcome) = frozen.memory.save(&mut context, image);
        frozen.kept = Some((threads, saved));
        outcome?;
    }
    image.finish()
}

/// Leaves all as it was.
pub fn undo(kernel: &Kernel, all: &[Frozen]) {
    for frozen in all {
        let platform = frozen.process.container.platform(kernel);
        if let (Some((_, saved)), Ok(mut context)) = (&frozen.kept, platform.stand_in(&frozen.memory.space)) {
            frozen.memory.unsave(&mut context, saved);
        }
    }
}

/// Ends the stubs.
pub fn put_away(kernel: &Kernel, all: &[Frozen]) {
    for frozen in all {
        frozen.process.keep_stub_time(&frozen.memory);
        frozen.process.container.platform(kernel).put_away(&frozen.memory.space);
    }
    keep_ready(kernel, false);
}

fn keep_ready(kernel: &Kernel, ready: bool) {
    kernel.platform.keep_ready(ready);
    kernel.containers().iter().for_each(|container| container.platform(kernel).keep_ready(ready));
}

/// Makes the stubs again. One that can't be made stays dead: its process finds itself killed, as by the host for want of memory.
pub fn revive(kernel: &Kernel, all: &[Frozen], image: &Image) {
    for frozen in all {
        let short = |error| matches!(error, Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE);
        for _ in 0..ATTEMPTS {
            match revive_one(kernel, frozen, image) {
                Err(error) if short(error) => std::thread::sleep(BETWEEN),
                _ => break,
            }
        }
    }
    image.discard();
    keep_ready(kernel, true);
}

fn revive_one(kernel: &Kernel, frozen: &Frozen, image: &Image) -> Result<()> {
    let (threads, saved) = frozen.kept.as_ref().ok_or(Errno::SRCH)?;
    let space = &frozen.memory.space;
    let platform = frozen.process.container.platform(kernel);
    let mut context = platform.revive(space, threads)?;
    frozen.memory.restore(&mut context, saved, image).inspect_err(|_| platform.put_away(space))
}
