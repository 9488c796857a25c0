//! Empty stub processes that are ready before they are asked for: a program's start need not wait for a fork.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use rustix::io::Errno;

use super::api::Context;
use super::process::lock;

/// Each takes some 100 KiB of the host's memory while it waits.
const READY: usize = 2;

/// The first stub, and blank copies of it.
pub(super) struct Nursery {
    /// Runs no guest code, so that it can be trusted.
    first: Mutex<Context>,
    shelf: Mutex<Shelf>,
    changed: Condvar,
}

#[derive(Default)]
struct Shelf {
    ready: Vec<Context>,
    closed: bool,
}

impl Nursery {
    /// Starts the thread that fills the shelf, which ends with [`Nursery::close`].
    pub(super) fn start(first: Context) -> Result<Arc<Nursery>, Errno> {
        let nursery = Arc::new(Nursery { first: Mutex::new(first), shelf: Mutex::default(), changed: Condvar::new() });
        let filler = nursery.clone();
        let thread = std::thread::Builder::new().name("nursery".into()).spawn(move || filler.fill());
        thread.map(|_| nursery).map_err(|_| Errno::AGAIN)
    }

    /// A ready blank, or one that is made now.
    pub(super) fn take(&self) -> Result<Context, Errno> {
        loop {
            let taken = lock(&self.shelf).ready.pop();
            self.changed.notify_one();
            match taken {
                // The host may have killed it, for want of memory.
                Some(blank) if blank.space().process.is_dead() => {}
                Some(blank) => return Ok(blank),
                None => return lock(&self.first).fork_process(),
            }
        }
    }

    /// Ends the blanks and their maker.
    pub(super) fn close(&self) {
        let blanks = {
            let mut shelf = lock(&self.shelf);
            shelf.closed = true;
            std::mem::take(&mut shelf.ready)
        };
        self.changed.notify_one();
        drop(blanks);
    }

    fn fill(&self) {
        while self.wait_wanted() {
            let blank = lock(&self.first).fork_process();
            let mut shelf = lock(&self.shelf);
            match blank {
                Ok(blank) if !shelf.closed => shelf.ready.push(blank),
                Ok(_) => return,
                // The host is short of something. Who takes a blank tries again, and this does then.
                Err(_) => drop(self.changed.wait(shelf)),
            }
        }
    }

    /// Waits until a blank is wanted; false if none ever will be.
    fn wait_wanted(&self) -> bool {
        let mut shelf = lock(&self.shelf);
        while !shelf.closed && shelf.ready.len() >= READY {
            shelf = self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
        !shelf.closed
    }
}
