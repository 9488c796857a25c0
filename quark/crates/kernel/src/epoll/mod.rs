//! Sets of files to wait for (`man 7 epoll`).
//!
//! A file that changes tells the set ([`Item`] is a waiter), which puts it on its ready list; a wait looks at the files on that list only.
//! What is on the list need not be ready any more: it is asked again before it is told.

mod calls;
mod item;
mod nesting;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

pub use calls::CALLS;
use item::{Item, Told};

use crate::call::Call;
use crate::file::File;
use crate::task::lock;
use crate::vfs::open::OpenFile;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// The most files that one set has (`fs.epoll.max_user_watches` is about memory as well).
const WATCHES_MAX: usize = 1 << 20;

/// What a program wants to be told of a file (`struct epoll_event`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// EPOLLIN …, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE.
    pub events: u32,
    /// Handed back with each event.
    pub data: u64,
}

/// A set.
pub struct Epoll {
    me: Weak<Epoll>,
    /// By descriptor; more than one where a descriptor was closed and its number used again while the file lives on.
    items: Mutex<BTreeMap<i32, Vec<Arc<Item>>>>,
    ready: Mutex<VecDeque<Arc<Item>>>,
    /// Held by whoever takes from `ready`: one at a time, so that nobody is told the same edge twice.
    taking: Mutex<()>,
    /// Who waits for the set: threads, and sets that it is in.
    queue: WaitQueue,
    /// The sets that this one is in.
    parents: Mutex<Vec<Weak<Epoll>>>,
}

impl Epoll {
    /// An empty one.
    pub fn new() -> Arc<Epoll> {
        Arc::new_cyclic(|me| Epoll {
            me: me.clone(),
            items: Mutex::default(),
            ready: Mutex::default(),
            taking: Mutex::default(),
            queue: WaitQueue::default(),
            parents: Mutex::default(),
        })
    }

    /// EPOLL_CTL_ADD: EEXIST, EPERM for files that are always ready, ELOOP, ENOSPC; EINVAL for EPOLLEXCLUSIVE with what it doesn't go with.
    pub fn add(&self, fd: i32, file: &Arc<OpenFile>, interest: Interest) -> Result<()> {
        let queue = file.file.queue().ok_or(Errno::PERM)?;
        let inner = file.file.as_any().downcast_ref::<Epoll>();
        item::may_add(interest, inner.is_some())?;
        let _nesting = inner.map(|inner| nesting::join(self, inner)).transpose()?;
        let mut items = lock(&self.items);
        if items.len() >= WATCHES_MAX {
            return Err(Errno::NOSPC);
        }
        let same_fd = items.entry(fd).or_default();
        // Files that are gone leave here at the latest.
        same_fd.retain(|item| item.alive());
        if same_fd.iter().any(|item| item.is_for(file)) {
            return Err(Errno::EXIST);
        }
        let item = Item::new(self.me.clone(), file, interest);
        same_fd.push(item.clone());
        drop(items);
        item.register(queue);
        item.check();
        Ok(())
    }

    /// EPOLL_CTL_MOD: ENOENT; EINVAL for EPOLLEXCLUSIVE.
    pub fn modify(&self, fd: i32, file: &Arc<OpenFile>, interest: Interest) -> Result<()> {
        let item = self.find(fd, file)?;
        item.modify(interest)?;
        item.check();
        Ok(())
    }

    /// EPOLL_CTL_DEL: ENOENT.
    pub fn remove(&self, fd: i32, file: &Arc<OpenFile>) -> Result<()> {
        self.find(fd, file)?.disable();
        let mut items = lock(&self.items);
        if let Some(same_fd) = items.get_mut(&fd) {
            same_fd.retain(|item| !item.is_for(file));
            if same_fd.is_empty() {
                items.remove(&fd);
            }
        }
        Ok(())
    }

    fn find(&self, fd: i32, file: &Arc<OpenFile>) -> Result<Arc<Item>> {
        let items = lock(&self.items);
        items.get(&fd).and_then(|same_fd| same_fd.iter().find(|item| item.is_for(file))).cloned().ok_or(Errno::NOENT)
    }

    /// Up to `count` events, of files that are ready now, those that have waited longest first.
    pub fn take(&self, count: usize) -> Vec<Interest> {
        let _taking = lock(&self.taking);
        let mut waiting = std::mem::take(&mut *lock(&self.ready));
        let mut told = Vec::new();
        let mut again = VecDeque::new();
        while told.len() < count {
            let Some(item) = waiting.pop_front() else {
                break;
            };
            match item.take() {
                Told::Nothing => {}
                Told::Once(event) => told.push(event),
                Told::AndAgain(event) => {
                    told.push(event);
                    again.push_back(item);
                }
            }
        }
        // First those that nobody was told of, then those that came meanwhile, then those that are still ready.
        let mut ready = lock(&self.ready);
        waiting.append(&mut ready);
        waiting.extend(again.into_iter().filter(|item| item.queue_up()));
        *ready = waiting;
        let more = !ready.is_empty();
        drop(ready);
        if more && !told.is_empty() {
            self.queue.notify(Events::IN | Events::RDNORM);
        }
        told
    }

    /// Whether nothing is on the ready list.
    fn is_idle(&self) -> bool {
        lock(&self.ready).is_empty()
    }

    /// Puts an item on the ready list; true if a sleeper was woken by that.
    fn make_ready(&self, item: Arc<Item>) -> bool {
        lock(&self.ready).push_back(item);
        self.queue.notify(Events::IN | Events::RDNORM)
    }

    /// Whether any file is ready. Those on the list that aren't leave it.
    fn any_ready(&self) -> bool {
        let _taking = lock(&self.taking);
        loop {
            let Some(first) = lock(&self.ready).front().cloned() else {
                return false;
            };
            if first.is_ready() {
                return true;
            }
            let mut ready = lock(&self.ready);
            ready.pop_front();
            drop(ready);
            first.leave_list();
            // It may have become ready since it was asked.
            if first.is_ready() {
                first.check();
            }
        }
    }

    /// The files in it, for `/proc/PID/fdinfo`: descriptor and interest.
    pub fn watched(&self) -> Vec<(i32, Interest)> {
        lock(&self.items).iter().flat_map(|(fd, items)| items.iter().map(|item| (*fd, item.interest()))).collect()
    }
}

impl File for Epoll {
    fn poll(&self, interest: Events) -> Events {
        if self.any_ready() { interest & (Events::IN | Events::RDNORM) } else { Events::empty() }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn ignores_position(&self) -> bool {
        true
    }

    fn moves_bytes(&self) -> bool {
        false
    }

    fn ioctl(&self, _: &mut Call<'_>, _: u32, _: u64) -> Result<u64> {
        Err(Errno::INVAL)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[eventpoll]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
