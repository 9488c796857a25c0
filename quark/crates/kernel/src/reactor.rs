//! Readiness of the host's descriptors: one thread sleeps in `epoll_wait` for all of them and tells their wait queues. It starts with the
//! first descriptor that is watched, and does nothing while nothing happens (edges only).

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;

use rustix::event::epoll;

use crate::task::lock;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

struct Reactor {
    epoll: OwnedFd,
    queues: Mutex<HashMap<u64, Weak<WaitQueue>>>,
    next: AtomicU64,
}

static REACTOR: OnceLock<Option<Arc<Reactor>>> = OnceLock::new();

/// A descriptor of the host, non-blocking, whose readiness reaches a wait queue.
pub struct Watched {
    fd: Arc<OwnedFd>,
    queue: Arc<WaitQueue>,
    key: u64,
}

impl Watched {
    /// Watches a descriptor of our own. EPERM for what `epoll(7)` refuses (regular files), which is always ready.
    pub fn new(fd: OwnedFd) -> Result<Watched> {
        let fd = Arc::new(fd);
        let queue = Arc::new(WaitQueue::default());
        let reactor = reactor()?;
        let key = reactor.next.fetch_add(1, Ordering::Relaxed);
        lock(&reactor.queues).insert(key, Arc::downgrade(&queue));
        let interest =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::PRI | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if let Err(errno) = epoll::add(&reactor.epoll, &fd, epoll::EventData::new_u64(key), interest) {
            lock(&reactor.queues).remove(&key);
            return Err(errno);
        }
        Ok(Watched { fd, queue, key })
    }

    /// Who waits for it.
    pub fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Ok(reactor) = reactor() {
            // A descriptor that shares its description with others would stay in the set.
            let _ = epoll::delete(&reactor.epoll, &self.fd);
            lock(&reactor.queues).remove(&self.key);
        }
    }
}

fn reactor() -> Result<&'static Arc<Reactor>> {
    REACTOR.get_or_init(start).as_ref().ok_or(Errno::NOMEM)
}

fn start() -> Option<Arc<Reactor>> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).ok()?;
    let reactor = Arc::new(Reactor { epoll, queues: Mutex::default(), next: AtomicU64::new(1) });
    let watcher = reactor.clone();
    let thread = thread::Builder::new().name("reactor".into()).stack_size(64 << 10).spawn(move || watch(&watcher));
    thread.ok().map(|_| reactor)
}

fn watch(reactor: &Reactor) {
    let mut events = Vec::with_capacity(64);
    loop {
        events.clear();
        // EINTR and the like: look again.
        if epoll::wait(&reactor.epoll, rustix::buffer::spare_capacity(&mut events), None).is_err() {
            continue;
        }
        for event in &events {
            let (data, flags) = (event.data, event.flags);
            let (key, flags) = (data.u64(), flags.bits());
            let queue = lock(&reactor.queues).get(&key).and_then(Weak::upgrade);
            if let Some(queue) = queue {
                queue.notify(Events::from_bits_truncate(flags));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{Parker, Waiter};
    use std::time::{Duration, Instant};

    #[test]
    fn what_becomes_readable_wakes_who_waits() {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let watched = Watched::new(read).unwrap();
        let parker = Arc::new(Parker::default());
        let waiter: Arc<dyn Waiter> = parker.clone();
        watched.queue().register(Events::IN, &waiter);
        assert!(!parker.park(Some(Instant::now() + Duration::from_millis(20))));
        rustix::io::write(&write, b"x").unwrap();
        assert!(parker.park(Some(Instant::now() + Duration::from_secs(10))));
    }

    #[test]
    fn regular_files_are_not_watched() {
        let file = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        assert_eq!(Watched::new(file).err(), Some(Errno::PERM));
    }
}
