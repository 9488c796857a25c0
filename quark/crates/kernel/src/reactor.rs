//! Readiness of the host's descriptors, for those who wait for several things at once: one thread in `epoll_wait`, started with the first
//! descriptor that is watched. It sleeps while nothing happens. Who waits for one descriptor alone waits on it itself
//! ([`crate::wait::Parker::park_on`]).

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};

use crate::task::lock;
use crate::wait::{Events, WaitQueue, timespec};
use crate::{Errno, Result};

struct Reactor {
    epoll: OwnedFd,
    queues: Mutex<HashMap<u64, Weak<WaitQueue>>>,
}

static REACTOR: OnceLock<Reactor> = OnceLock::new();
static NEXT_TOKEN: AtomicU64 = AtomicU64::new(1);
/// Taken while the reactor is made.
static START: Mutex<()> = Mutex::new(());
/// Events taken from the host at a time.
const BATCH: usize = 64;

/// A descriptor of the host whose readiness reaches a wait queue. The host is asked to tell from the first [`Watched::queue`] on: what nobody
/// waits for, or only by [`crate::wait::Parker::park_on`], wakes nobody.
pub struct Watched {
    fd: Arc<OwnedFd>,
    queue: Arc<WaitQueue>,
    /// By which the reactor finds the queue; none if the host has nothing to tell of it.
    token: OnceLock<Option<u64>>,
}

impl Watched {
    /// A descriptor of our own.
    pub fn new(fd: OwnedFd) -> Watched {
        Watched::sharing(fd, Arc::default())
    }

    /// A descriptor whose queue others notify too.
    pub fn sharing(fd: OwnedFd, queue: Arc<WaitQueue>) -> Watched {
        Watched { fd: Arc::new(fd), queue, token: OnceLock::new() }
    }

    /// The descriptor, to be kept by others too.
    pub fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Who waits for it.
    pub fn queue(&self) -> &WaitQueue {
        self.watched();
        &self.queue
    }

    /// Whether its readiness changes at all and the host tells of it: not for regular files.
    pub fn watched(&self) -> bool {
        self.token.get_or_init(|| Reactor::get().and_then(|reactor| reactor.add(&self.fd, &self.queue)).ok()).is_some()
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let token = self.token.get().copied().flatten();
        if let (Some(token), Some(reactor)) = (token, REACTOR.get()) {
            // A descriptor that shares its description with others would stay in the set.
            let _ = epoll::delete(&reactor.epoll, &self.fd);
            lock(&reactor.queues).remove(&token);
        }
    }
}

/// What the host says that a descriptor is ready for, now.
pub fn ready(fd: BorrowedFd<'_>, interest: Events) -> Events {
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::from_bits_truncate(interest.bits() as u16))];
    match poll(&mut polled, Some(&timespec(Duration::ZERO))) {
        Ok(_) => Events::from_bits_truncate(polled.map(|polled| u32::from(polled.revents().bits()))[0]),
        Err(_) => Events::empty(),
    }
}

/// EAGAIN unless a descriptor is ready for one of `events`, has failed or has ended: for what waits otherwise, as it was given to us blocking.
pub fn must_be_ready(fd: BorrowedFd<'_>, events: Events) -> Result<()> {
    if ready(fd, events).is_empty() { Err(Errno::AGAIN) } else { Ok(()) }
}

impl Reactor {
    fn get() -> Result<&'static Reactor> {
        if let Some(reactor) = REACTOR.get() {
            return Ok(reactor);
        }
        let _starting = lock(&START);
        if let Some(reactor) = REACTOR.get() {
            return Ok(reactor);
        }
        let reactor = Reactor { epoll: epoll::create(CreateFlags::CLOEXEC)?, queues: Mutex::default() };
        let reactor = REACTOR.get_or_init(|| reactor);
        thread::Builder::new().name("reactor".into()).stack_size(64 << 10).spawn(|| reactor.run()).map_err(|_| Errno::AGAIN)?;
        Ok(reactor)
    }

    /// Tells `queue` of each change of `fd` (the present state counts as one). EPERM for what is always ready.
    fn add(&self, fd: &OwnedFd, queue: &Arc<WaitQueue>) -> Result<u64> {
        let token = NEXT_TOKEN.fetch_add(1, Ordering::Relaxed);
        lock(&self.queues).insert(token, Arc::downgrade(queue));
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::PRI | EventFlags::RDHUP | EventFlags::ET;
        let added = epoll::add(&self.epoll, fd, EventData::new_u64(token), interest);
        if added.is_err() {
            lock(&self.queues).remove(&token);
        }
        added.map(|()| token)
    }

    fn run(&self) {
        let mut events = [MaybeUninit::uninit(); BATCH];
        loop {
            // Only an interruption fails it, and then there is nothing to tell.
            let Ok((events, _)) = epoll::wait(&self.epoll, &mut events, None) else {
                continue;
            };
            for event in events {
                let (flags, data) = (event.flags, event.data);
                let queue = lock(&self.queues).get(&data.u64()).and_then(Weak::upgrade);
                if let Some(queue) = queue {
                    queue.notify(with_bands(Events::from_bits_truncate(flags.bits())));
                }
            }
        }
    }
}

/// With the names that POSIX gives the same events besides.
pub fn with_bands(mut events: Events) -> Events {
    events.set(Events::RDNORM, events.intersects(Events::IN | Events::RDNORM));
    events.set(Events::WRNORM, events.intersects(Events::OUT | Events::WRNORM));
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{Parker, Waiter};
    use std::time::{Duration, Instant};

    #[test]
    fn a_change_of_a_host_pipe_is_told() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let watched = Watched::new(reader);
        let parker = Arc::new(Parker::default());
        let waiter: Arc<dyn Waiter> = parker.clone();
        watched.queue().register(Events::RDNORM, &waiter);
        assert!(!parker.park(Some(Instant::now() + Duration::from_millis(20))));
        for _ in 0..3 {
            rustix::io::write(&writer, b"x").unwrap();
            assert!(parker.park(Some(Instant::now() + Duration::from_secs(20))));
        }
        let kept = watched.fd().clone();
        drop(watched);
        rustix::io::write(&writer, b"x").unwrap();
        assert!(!parker.park(Some(Instant::now() + Duration::from_millis(20))));
        drop(kept);
    }

    #[test]
    fn what_is_always_ready_is_not_watched() {
        assert!(!Watched::new(rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap()).watched());
    }
}
