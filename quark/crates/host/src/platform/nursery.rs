//! What is made before it is asked for: empty stub processes, as a program's start need not wait for a fork, and what the kernel needs for a
//! forked one.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::api::Context;
use super::birth::Cradle;
use super::process::lock;
use super::reaper::Family;

/// Blank processes. Each takes some 100 KiB of the host's memory while it waits.
const BLANKS: usize = 2;
/// Cradles. Each has three descriptors.
const CRADLES: usize = 2;

/// What is ready.
#[derive(Default)]
pub(super) struct Stock {
    shelf: Mutex<Shelf>,
    changed: Condvar,
}

#[derive(Default)]
struct Shelf {
    blanks: Vec<Context>,
    cradles: Vec<Cradle>,
    closed: bool,
}

/// What the shelf is short of.
enum Want {
    Cradle,
    Blank,
}

impl Stock {
    /// A ready cradle, or one that is made now.
    pub(super) fn take_cradle(&self) -> Result<Cradle, Errno> {
        let taken = lock(&self.shelf).cradles.pop();
        self.changed.notify_one();
        taken.map_or_else(Cradle::new, Ok)
    }

    fn take_blank(&self) -> Option<Context> {
        let taken = lock(&self.shelf).blanks.pop();
        self.changed.notify_one();
        taken
    }

    fn wait_wanted(&self) -> Option<Want> {
        let mut shelf = lock(&self.shelf);
        loop {
            if shelf.closed {
                return None;
            }
            if shelf.cradles.len() < CRADLES {
                return Some(Want::Cradle);
            }
            if shelf.blanks.len() < BLANKS {
                return Some(Want::Blank);
            }
            shelf = self.wait(shelf);
        }
    }

    fn wait<'a>(&self, shelf: MutexGuard<'a, Shelf>) -> MutexGuard<'a, Shelf> {
        self.changed.wait(shelf).unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something on the shelf. If it could not be made the host is short of something: whoever takes from the shelf next finds out again.
    fn put<T>(&self, made: Result<T, Errno>, place: impl FnOnce(&mut Shelf, T)) {
        let mut shelf = lock(&self.shelf);
        match made {
            Ok(thing) if !shelf.closed => place(&mut shelf, thing),
            Ok(_) => {}
            Err(_) if !shelf.closed => drop(self.wait(shelf)),
            Err(_) => {}
        }
    }
}

/// The first stub, and who makes copies of it.
pub(super) struct Nursery {
    /// Runs no guest code, so that it can be trusted.
    first: Mutex<Context>,
    family: Arc<Family>,
}

impl Nursery {
    /// Starts the thread that fills the shelf, which ends with [`Nursery::close`].
    pub(super) fn start(first: Context) -> Result<Arc<Nursery>, Errno> {
        let family = first.family.clone();
        let nursery = Arc::new(Nursery { first: Mutex::new(first), family });
        let filler = nursery.clone();
        let thread = std::thread::Builder::new().name("nursery".into()).spawn(move || filler.fill());
        thread.map(|_| nursery).map_err(|_| Errno::AGAIN)
    }

    /// A ready blank, or one that is made now.
    pub(super) fn take(&self) -> Result<Context, Errno> {
        while let Some(blank) = self.family.stock.take_blank() {
            // The host may have killed it, for want of memory.
            if !blank.space().process.is_dead() {
                return Ok(blank);
            }
        }
        lock(&self.first).fork_process()
    }

    /// Ends the blanks and their maker.
    pub(super) fn close(&self) {
        let stock = &self.family.stock;
        let (blanks, cradles) = {
            let mut shelf = lock(&stock.shelf);
            shelf.closed = true;
            (std::mem::take(&mut shelf.blanks), std::mem::take(&mut shelf.cradles))
        };
        stock.changed.notify_one();
        drop((blanks, cradles));
    }

    fn fill(&self) {
        let stock = &self.family.stock;
        while let Some(want) = stock.wait_wanted() {
            match want {
                Want::Cradle => stock.put(Cradle::new(), |shelf, cradle| shelf.cradles.push(cradle)),
                Want::Blank => stock.put(lock(&self.first).fork_process(), |shelf, blank| shelf.blanks.push(blank)),
            }
        }
    }
}
