//! What is made before it is asked for: empty stub processes, as a program's start need not wait for a fork, and what the kernel needs for a
//! forked one.
//!
//! One blank is there from the start. More come once somebody has asked in vain: most containers run one process.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rustix::io::Errno;

use super::api::Context;
use super::birth::Cradle;
use super::process::lock;
use super::reaper::{Coming, Family, First};

/// Blank processes. Each takes some 100 KiB of the host's memory while it waits.
const BLANKS: usize = 2;
/// Cradles. Each has three descriptors.
const CRADLES: usize = 2;
/// The stack of the thread that makes them, bytes.
const STACK_BYTES: usize = 128 << 10;

/// What is ready.
#[derive(Default)]
pub(super) struct Stock {
    shelf: Mutex<Shelf>,
    changed: Condvar,
    /// Cradles are for all: those of containers are on the family's shelf.
    only_blanks: bool,
    nursery: OnceLock<Weak<Nursery>>,
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
        if let Some(cradle) = taken {
            return Ok(cradle);
        }
        if let Some(nursery) = self.nursery.get().and_then(Weak::upgrade) {
            nursery.start_filler();
        }
        Cradle::new()
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
    /// Runs no guest code, so that it can be trusted. None until [`Nursery::ready`].
    first: Mutex<Option<Context>>,
    coming: Mutex<Option<Coming>>,
    /// Where the vDSO is, or why there are no stubs.
    arrived: OnceLock<Result<u64, Errno>>,
    /// Whether the next who asks in vain is not the first: then others may follow.
    asked: AtomicBool,
    filled: AtomicBool,
    stock: Arc<Stock>,
    family: Arc<Family>,
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
    /// With the first stub to come, and a blank.
    pub(super) fn new(family: Arc<Family>, coming: Coming) -> Arc<Nursery> {
        let nursery = Arc::new(Nursery {
            first: Mutex::new(None),
            coming: Mutex::new(Some(coming)),
            arrived: OnceLock::new(),
            asked: AtomicBool::new(true),
            filled: AtomicBool::new(false),
            stock: family.stock.clone(),
            family,
            origin: None,
        });
        let _ = nursery.stock.nursery.set(Arc::downgrade(&nursery));
        nursery
    }

    /// One whose stubs are in the cgroups behind `entrances`: `cgroup.procs` files that somebody has opened for writing who may move processes there.
    pub(super) fn within(self: &Arc<Self>, entrances: Vec<OwnedFd>) -> Result<Arc<Nursery>, Errno> {
        let arrived = OnceLock::from(Ok(self.ready()?));
        let origin = Origin { nursery: self.clone(), entrances };
        Ok(Arc::new(Nursery {
            first: Mutex::new(Some(origin.first()?)),
            coming: Mutex::new(None),
            arrived,
            asked: AtomicBool::new(false),
            filled: AtomicBool::new(false),
            stock: Arc::new(Stock { only_blanks: true, ..Stock::default() }),
            family: self.family.clone(),
            origin: Some(origin),
        }))
    }

    /// Waits for the first stub, and tells where the vDSO is.
    pub(super) fn ready(&self) -> Result<u64, Errno> {
        *self.arrived.get_or_init(|| {
            let coming = lock(&self.coming).take().ok_or(Errno::IO)?;
            let First { context, vdso, blank } = coming.recv().map_err(|_| Errno::IO)??;
            *lock(&self.first) = Some(context);
            self.stock.put(Ok(blank), |shelf, blank| shelf.blanks.push(blank));
            Ok(vdso)
        })
    }

    /// A ready blank, or one that is made now.
    pub(super) fn take(self: &Arc<Self>) -> Result<Context, Errno> {
        self.ready()?;
        while let Some(blank) = self.stock.take_blank() {
            // The host may have killed it, for want of memory.
            if !blank.space().process.is_dead() {
                return Ok(blank);
            }
        }
        if self.asked.swap(true, SeqCst) {
            self.start_filler();
        }
        self.make()
    }

    fn make(&self) -> Result<Context, Errno> {
        self.with_first(Context::fork_process)
    }

    fn with_first<T>(&self, ask: impl FnOnce(&mut Context) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut first = lock(&self.first);
        if let Some(origin) = self.origin.as_ref().filter(|_| first.as_ref().is_some_and(|first| first.space().process.is_dead())) {
            *first = Some(origin.first()?);
        }
        ask(first.as_mut().ok_or(Errno::IO)?)
    }

    /// Starts the thread that fills the shelf, unless it runs. It ends with [`Nursery::close`]. Without it all is made when it is asked for.
    fn start_filler(self: &Arc<Self>) {
        if !self.filled.swap(true, SeqCst) {
            let filler = self.clone();
            let _ = std::thread::Builder::new().name("nursery".into()).stack_size(STACK_BYTES).spawn(move || filler.fill());
        }
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
        self.with_first(|first| first.fork_into(cradle))
    }

    pub(super) fn family(&self) -> Arc<Family> {
        self.family.clone()
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
