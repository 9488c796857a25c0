//! A file in an epoll set.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::{Epoll, Interest};
use crate::task::lock;
use crate::vfs::open::OpenFile;
use crate::wait::{Events, WaitQueue, Waiter};
use crate::{Errno, Result};

const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
const WAKE_UP: u32 = libc::EPOLLWAKEUP as u32;
const ONE_SHOT: u32 = libc::EPOLLONESHOT as u32;
const EDGE: u32 = libc::EPOLLET as u32;
/// What isn't an event but says how to tell of events.
const HOW: u32 = EXCLUSIVE | WAKE_UP | ONE_SHOT | EDGE;
/// All that goes with EPOLLEXCLUSIVE.
const WITH_EXCLUSIVE: u32 = (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) as u32 | WAKE_UP | EDGE | EXCLUSIVE;
/// Told whether asked for or not.
const ALWAYS: Events = Events::ERR.union(Events::HUP);

/// What an item on the ready list has to tell.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// It isn't ready any more.
    Nothing,
    /// This, and no more until it changes.
    Once(Interest),
    /// This, and it may be ready still (level-triggered).
    AndAgain(Interest),
}

/// A file in a set.
pub struct Item {
    epoll: Weak<Epoll>,
    /// The set doesn't keep a file open: closing its last descriptor takes it out.
    file: Weak<OpenFile>,
    interest: Mutex<Interest>,
    /// Whether it's on the ready list, or is about to be.
    listed: AtomicBool,
    /// In the file's wait queue.
    key: Mutex<Option<u64>>,
    me: Weak<Item>,
}

/// EINVAL for EPOLLEXCLUSIVE with what it doesn't go with: other events, one shot, or another set (`nested`).
pub fn may_add(interest: Interest, nested: bool) -> Result<()> {
    let exclusive = interest.events & EXCLUSIVE != 0;
    if exclusive && (nested || interest.events & !WITH_EXCLUSIVE != 0) { Err(Errno::INVAL) } else { Ok(()) }
}

impl Interest {
    fn asked(self) -> Events {
        Events::from_bits_truncate(self.events & !HOW) | ALWAYS
    }

    /// After EPOLLONESHOT told once: nothing is told, not even errors.
    fn disabled(self) -> bool {
        self.events & !HOW == 0
    }
}

impl Item {
    /// A file that is watched after [`Item::register`].
    pub fn new(epoll: Weak<Epoll>, file: &Arc<OpenFile>, mut interest: Interest) -> Arc<Item> {
        interest.events |= ALWAYS.bits();
        Arc::new_cyclic(|me| Item {
            epoll,
            file: Arc::downgrade(file),
            interest: Mutex::new(interest),
            listed: AtomicBool::new(false),
            key: Mutex::default(),
            me: me.clone(),
        })
    }

    /// Starts to listen to the file.
    pub fn register(&self, queue: &WaitQueue) {
        let Some(me) = self.me.upgrade() else {
            return;
        };
        let waiter: Arc<dyn Waiter> = me;
        // All events: EPOLL_CTL_MOD may ask for others later.
        let key = if self.interest().events & EXCLUSIVE != 0 {
            queue.register_exclusive(self.interest().asked(), &waiter)
        } else {
            queue.register(Events::all(), &waiter)
        };
        *lock(&self.key) = Some(key);
    }

    /// What is asked of it.
    pub fn interest(&self) -> Interest {
        *lock(&self.interest)
    }

    /// Whether it's for this open file.
    pub fn is_for(&self, file: &Arc<OpenFile>) -> bool {
        std::ptr::eq(self.file.as_ptr(), Arc::as_ptr(file))
    }

    /// Whether its file is still open.
    pub fn alive(&self) -> bool {
        self.file.strong_count() > 0
    }

    /// Its file, if it is open still.
    pub fn open_file(&self) -> Option<Arc<OpenFile>> {
        self.file.upgrade()
    }

    /// EPOLL_CTL_MOD.
    pub fn modify(&self, mut interest: Interest) -> Result<()> {
        let mut present = lock(&self.interest);
        if (present.events | interest.events) & EXCLUSIVE != 0 {
            return Err(Errno::INVAL);
        }
        interest.events |= ALWAYS.bits();
        *present = interest;
        Ok(())
    }

    /// It tells no more (EPOLL_CTL_DEL).
    pub fn disable(&self) {
        lock(&self.interest).events = 0;
        if let (Some(file), Some(key)) = (self.open_file(), lock(&self.key).take()) {
            let _ = file.file.queue().map(|queue| queue.remove(key));
        }
    }

    /// What of that which is asked for it's ready for now.
    fn ready(&self) -> Events {
        let interest = self.interest();
        if interest.disabled() {
            return Events::empty();
        }
        let asked = interest.asked();
        self.open_file().map_or(Events::empty(), |file| file.file.poll(asked) & asked)
    }

    /// Whether it has something to tell now.
    pub fn is_ready(&self) -> bool {
        !self.ready().is_empty()
    }

    /// Puts it on the ready list if it's ready and not there yet.
    pub fn check(&self) {
        if self.is_ready() {
            self.enlist();
        }
    }

    /// True if that woke somebody.
    fn enlist(&self) -> bool {
        match (self.epoll.upgrade(), self.me.upgrade()) {
            (Some(epoll), Some(me)) if me.queue_up() => epoll.make_ready(me),
            _ => false,
        }
    }

    /// Marks it as being on the list; false if it is already.
    pub fn queue_up(&self) -> bool {
        !self.listed.swap(true, Ordering::SeqCst)
    }

    /// It was taken off the list: the next change puts it there again.
    pub fn leave_list(&self) {
        self.listed.store(false, Ordering::SeqCst);
    }

    /// Called for an item that was taken off the list: what it has to tell.
    pub fn take(&self) -> Told {
        // Before it's asked, so that a change after that is not lost.
        self.leave_list();
        let ready = self.ready();
        if ready.is_empty() {
            return Told::Nothing;
        }
        let mut interest = lock(&self.interest);
        let event = Interest { events: ready.bits(), data: interest.data };
        if interest.events & ONE_SHOT != 0 {
            interest.events &= HOW;
            return Told::Once(event);
        }
        if interest.events & EDGE != 0 { Told::Once(event) } else { Told::AndAgain(event) }
    }
}

impl Waiter for Item {
    fn notify(&self, events: Events) -> bool {
        let interest = self.interest();
        !interest.disabled() && interest.asked().intersects(events) && self.enlist()
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.disable();
    }
}
