//! What is made before it is asked for: empty stub processes, as a program's start need not wait for a fork, and what the kernel needs for a
//! forked one.

use std::os::fd::OwnedFd;
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
    /// Cradles are for all: those of containers are on the family's shelf.
    only_blanks: bool,
}

#[derive(Default)]
struct Shelf {
    blanks: Vec<Context>,
    cradles: Vec<Cradle>,
    closed: bool,
    /// Nothing is to be made ahead.
    idle: bool,
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
            if !shelf.idle && !self.only_blanks && shelf.cradles.len() < CRADLES {
                return Some(Want::Cradle);
            }
            if !shelf.idle && shelf.blanks.len() < BLANKS {
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
            Ok(thing) if !shelf.closed && !shelf.idle => place(&mut shelf, thing),
            Ok(_) => {}
            Err(_) if !shelf.closed => drop(self.wait(shelf)),
            Err(_) => {}
        }
    }
}

/// A first stub, and who makes copies of it.
pub(super) struct Nursery {
    /// Runs no guest code, so that it can be trusted.
    first: Mutex<Context>,
    stock: Arc<Stock>,
    /// Where another first one comes from, if the host kills this one for want of memory in its cgroup.
    origin: Option<Origin>,
}

/// Whose copy a first stub is, and the cgroups that it was put into.
struct Origin {
    nursery: Arc<Nursery>,
    entrances: Vec<OwnedFd>,
}

impl Origin {
    fn first(&self) -> Result<Context, Errno> {
        let first = self.nursery.take()?;
        let pid = first.space().pid().to_string();
        for entrance in &self.entrances {
            rustix::io::write(entrance, pid.as_bytes())?;
        }
        Ok(first)
    }
}

impl Nursery {
    /// Starts the thread that fills the shelf, which ends with [`Nursery::close`].
    pub(super) fn start(first: Context) -> Result<Arc<Nursery>, Errno> {
        let stock = first.family.stock.clone();
        Nursery { first: Mutex::new(first), stock, origin: None }.run()
    }

    /// One whose stubs are in the cgroups behind `entrances`: `cgroup.procs` files that somebody has opened for writing who may move processes there.
    pub(super) fn within(self: &Arc<Self>, entrances: Vec<OwnedFd>) -> Result<Arc<Nursery>, Errno> {
        let origin = Origin { nursery: self.clone(), entrances };
        let stock = Arc::new(Stock { only_blanks: true, ..Stock::default() });
        Nursery { first: Mutex::new(origin.first()?), stock, origin: Some(origin) }.run()
    }

    fn run(self) -> Result<Arc<Nursery>, Errno> {
        let nursery = Arc::new(self);
        let filler = nursery.clone();
        let thread = std::thread::Builder::new().name("nursery".into()).spawn(move || filler.fill());
        thread.map(|_| nursery).map_err(|_| Errno::AGAIN)
    }

    /// A ready blank, or one that is made now.
    pub(super) fn take(&self) -> Result<Context, Errno> {
        while let Some(blank) = self.stock.take_blank() {
            // The host may have killed it, for want of memory.
            if !blank.space().process.is_dead() {
                return Ok(blank);
            }
        }
        self.make()
    }

    fn make(&self) -> Result<Context, Errno> {
        self.living_first()?.fork_process()
    }

    fn living_first(&self) -> Result<MutexGuard<'_, Context>, Errno> {
        let mut first = lock(&self.first);
        if let Some(origin) = self.origin.as_ref().filter(|_| first.space().process.is_dead()) {
            *first = origin.first()?;
        }
        Ok(first)
    }

    /// Ends the blanks and their maker.
    pub(super) fn close(&self) {
        self.clear(|shelf| shelf.closed = true);
    }

    /// Keeps the shelf full, or empty.
    pub(super) fn keep_ready(&self, ready: bool) {
        if ready {
            lock(&self.stock.shelf).idle = false;
            self.stock.changed.notify_one();
        } else {
            self.clear(|shelf| shelf.idle = true);
        }
    }

    fn clear(&self, change: impl FnOnce(&mut Shelf)) {
        let stock = &self.stock;
        let (blanks, cradles) = {
            let mut shelf = lock(&stock.shelf);
            change(&mut shelf);
            (std::mem::take(&mut shelf.blanks), std::mem::take(&mut shelf.cradles))
        };
        stock.changed.notify_one();
        drop((blanks, cradles));
    }

    /// Forks the first stub into `cradle`; the pid, as it says.
    pub(super) fn fork_into(&self, cradle: &Cradle) -> Result<i32, Errno> {
        self.living_first()?.fork_into(cradle)
    }

    pub(super) fn family(&self) -> Arc<Family> {
        lock(&self.first).family.clone()
    }

    fn fill(&self) {
        let stock = &self.stock;
        while let Some(want) = stock.wait_wanted() {
            match want {
                Want::Cradle => stock.put(Cradle::new(), |shelf, cradle| shelf.cradles.push(cradle)),
                Want::Blank => stock.put(self.make(), |shelf, blank| shelf.blanks.push(blank)),
            }
        }
    }
}
