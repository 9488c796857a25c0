//! How a kernel half waits, and is woken.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bitflags::bitflags;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::thread::futex;
use rustix::time::Timespec;

use crate::hibernate::Hibernation;
use crate::{Errno, Result};

bitflags! {
    /// What a file is ready for, in the bits of `poll(2)` and `epoll(7)`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u32 {
        /// POLLIN.
        const IN = 0x001;
        /// POLLPRI.
        const PRI = 0x002;
        /// POLLOUT.
        const OUT = 0x004;
        /// POLLERR: told always.
        const ERR = 0x008;
        /// POLLHUP: told always.
        const HUP = 0x010;
        /// POLLNVAL.
        const NVAL = 0x020;
        /// POLLRDNORM.
        const RDNORM = 0x040;
        /// POLLRDBAND.
        const RDBAND = 0x080;
        /// POLLWRNORM.
        const WRNORM = 0x100;
        /// POLLWRBAND.
        const WRBAND = 0x200;
        /// POLLMSG.
        const MSG = 0x400;
        /// POLLRDHUP.
        const RDHUP = 0x2000;
    }
}

/// Told when something that it waits for may have come. Must not block, and must not take locks that a waker can hold: it only notes and wakes.
pub trait Waiter: Send + Sync {
    /// `events` may have become true; check again. True if a sleeper was woken by it: an exclusive waiter that answers false
    /// leaves the wake to the next one.
    fn notify(&self, events: Events) -> bool;
}

/// Those who wait for a file, a child, a lock … Waiters are told in the order in which they came.
///
/// No wake-up is lost: who changes the state and then calls [`WaitQueue::notify`] finds everyone who registered before looking at the state.
#[derive(Default)]
pub struct WaitQueue {
    waiters: Mutex<VecDeque<Entry>>,
    /// Length of `waiters`, so that notifying nobody takes no lock.
    count: AtomicUsize,
}

struct Entry {
    interest: Events,
    waiter: Weak<dyn Waiter>,
    key: u64,
    exclusive: bool,
}

static NEXT_KEY: AtomicU64 = AtomicU64::new(1);

impl WaitQueue {
    /// Nobody waits yet.
    pub const fn new() -> WaitQueue {
        WaitQueue { waiters: Mutex::new(VecDeque::new()), count: AtomicUsize::new(0) }
    }

    /// Adds a waiter for `interest` (ERR and HUP are implied). The key removes it again; a dropped waiter is forgotten by itself.
    pub fn register(&self, interest: Events, waiter: &Arc<dyn Waiter>) -> u64 {
        self.insert(interest, waiter, false)
    }

    /// Like [`WaitQueue::register`], but of all exclusive waiters a notification wakes only the first that sleeps (EPOLLEXCLUSIVE).
    pub fn register_exclusive(&self, interest: Events, waiter: &Arc<dyn Waiter>) -> u64 {
        self.insert(interest, waiter, true)
    }

    fn insert(&self, interest: Events, waiter: &Arc<dyn Waiter>, exclusive: bool) -> u64 {
        let key = NEXT_KEY.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { interest: interest | Events::ERR | Events::HUP, waiter: Arc::downgrade(waiter), key, exclusive };
        let mut waiters = self.lock();
        waiters.push_back(entry);
        self.count.store(waiters.len(), Ordering::SeqCst);
        drop(waiters);
        // The state is looked at after this; `notify` looks at `count` after the state was changed. One of the two sees the other.
        fence(Ordering::SeqCst);
        key
    }

    /// Removes a waiter.
    pub fn remove(&self, key: u64) {
        let mut waiters = self.lock();
        waiters.retain(|entry| entry.key != key);
        self.count.store(waiters.len(), Ordering::SeqCst);
    }

    /// Tells everybody who is interested in any of `events`, and of the exclusive waiters the first that sleeps. True if a sleeper was woken.
    pub fn notify(&self, events: Events) -> bool {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let told = self.interested(events);
        let (mut woken, mut exclusive_woken) = (false, false);
        for (waiter, exclusive) in told {
            if !exclusive {
                woken |= waiter.notify(events);
            } else if !exclusive_woken {
                exclusive_woken = waiter.notify(events);
            }
        }
        woken || exclusive_woken
    }

    /// Tells everybody but one.
    fn notify_others(&self, key: u64) {
        let others: Vec<_> = self.lock().iter().filter(|entry| entry.key != key).filter_map(|entry| entry.waiter.upgrade()).collect();
        others.iter().for_each(|waiter| {
            waiter.notify(Events::all());
        });
    }

    /// Who is to be told of `events`, and whether exclusively; forgets dropped waiters. Nobody is told under the lock.
    fn interested(&self, events: Events) -> Vec<(Arc<dyn Waiter>, bool)> {
        let mut told = Vec::new();
        let mut waiters = self.lock();
        waiters.retain(|entry| {
            let Some(waiter) = entry.waiter.upgrade() else {
                return false;
            };
            if entry.interest.intersects(events) {
                told.push((waiter, entry.exclusive));
            }
            true
        });
        self.count.store(waiters.len(), Ordering::SeqCst);
        told
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Entry>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a wait queue that is left when this is dropped.
pub struct Registration<'q> {
    queue: &'q WaitQueue,
    key: u64,
}

impl<'q> Registration<'q> {
    /// Registers `waiter` until the registration is dropped.
    pub fn new(queue: &'q WaitQueue, interest: Events, waiter: &Arc<dyn Waiter>) -> Registration<'q> {
        Registration { queue, key: queue.register(interest, waiter) }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.queue.remove(self.key);
    }
}

/// An eventfd of the host that somebody outside rings, and who else waits for what it means.
pub struct Bell {
    /// It never blocks.
    pub fd: Arc<OwnedFd>,
    /// Those who don't wait for the descriptor itself are told by the reactor, or by who has taken its ring.
    pub queue: Arc<WaitQueue>,
}

impl Bell {
    /// Takes what was rung, which may be meant for others.
    pub fn take(&self, key: u64) {
        if rustix::io::read(&self.fd, &mut [0; 8][..]).is_ok() {
            self.queue.notify_others(key);
        }
    }
}

/// What one kernel half sleeps on: one futex word, or a descriptor of the host and an eventfd beside it. A wake that comes before the sleep ends it at once.
#[derive(Default)]
pub struct Parker {
    state: AtomicU32,
    /// An eventfd, made when it first sleeps on a descriptor of the host.
    bell: OnceLock<OwnedFd>,
    /// What its owner, a guest thread's kernel half, comes by behind each sleep.
    gate: OnceLock<Arc<Hibernation>>,
    /// Its time was over, and it sleeps on.
    held: AtomicBool,
}

/// Nobody sleeps, no wake is kept.
const IDLE: u32 = 0;
/// A wake came that no sleep has taken.
const WOKEN: u32 = 1;
/// The owner sleeps.
const ASLEEP: u32 = 2;
/// The owner sleeps in `ppoll`.
const ASLEEP_ON_FD: u32 = 3;

impl Parker {
    /// A parker that nobody has woken.
    pub const fn new() -> Parker {
        Parker { state: AtomicU32::new(IDLE), bell: OnceLock::new(), gate: OnceLock::new(), held: AtomicBool::new(false) }
    }

    /// A kernel half's, in a pod that may sleep.
    pub fn behind(gate: Arc<Hibernation>) -> Parker {
        Parker { gate: gate.into(), ..Parker::new() }
    }

    /// Sleeps until somebody wakes it or the deadline passes; false for the deadline. May return early for an old wake: callers check and sleep again.
    pub fn park(&self, deadline: Option<Instant>) -> bool {
        self.sleep(|state| match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            None => futex::wait(state, futex::Flags::PRIVATE, ASLEEP, None),
            Some(left) if left.is_zero() => Err(Errno::TIMEDOUT),
            Some(left) => futex::wait(state, futex::Flags::PRIVATE, ASLEEP, Some(&timespec(left))),
        })
    }

    /// Like [`Parker::park`], until a time of CLOCK_REALTIME, also if that clock is set meanwhile.
    pub fn park_until_realtime(&self, at: Duration) -> bool {
        let flags = futex::Flags::PRIVATE | futex::Flags::CLOCK_REALTIME;
        self.sleep(|state| futex::wait_bitset(state, flags, ASLEEP, Some(&timespec(at)), NonZeroU32::MAX))
    }

    /// Like [`Parker::park`], but also ends when a descriptor of the host is ready for `interest` or has failed. EMFILE and ENOMEM if the host
    /// gives us no eventfd.
    pub fn park_on(&self, fd: BorrowedFd<'_>, interest: Events, deadline: Option<Instant>) -> Result<bool> {
        let ready = self.sleep_on(fd, interest, deadline)?;
        self.pass(ready);
        Ok(ready)
    }

    fn sleep_on(&self, fd: BorrowedFd<'_>, interest: Events, deadline: Option<Instant>) -> Result<bool> {
        let bell = self.bell()?;
        if self.state.swap(ASLEEP_ON_FD, Ordering::SeqCst) == WOKEN {
            self.state.swap(IDLE, Ordering::SeqCst);
            return Ok(true);
        }
        let asked = PollFlags::from_bits_truncate(interest.bits() as u16);
        let mut polled = [PollFd::from_borrowed_fd(fd, asked), PollFd::new(bell, PollFlags::IN)];
        let left = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
        let mut ready = rustix::event::poll(&mut polled, left.as_ref());
        if ready == Ok(0) && self.holds() {
            ready = rustix::event::poll(&mut polled, None);
        }
        let woken = self.state.swap(IDLE, Ordering::SeqCst) == WOKEN;
        if polled.iter().skip(1).any(|polled| !polled.revents().is_empty()) {
            let _ = rustix::io::read(bell, &mut [0; 8][..]);
        }
        // A signal of the host's (nobody sends us any) is an early return.
        Ok(woken || ready != Ok(0))
    }

    fn bell(&self) -> Result<&OwnedFd> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell);
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(self.bell.get_or_init(|| bell))
    }

    fn sleep(&self, wait: impl Fn(&AtomicU32) -> Result<()>) -> bool {
        let woken = self.sleep_once(wait);
        self.pass(woken);
        woken
    }

    /// All is ordered against the gate: who finds this asleep behind a closed gate knows that it comes by there before it does anything.
    fn sleep_once(&self, wait: impl Fn(&AtomicU32) -> Result<()>) -> bool {
        if self.state.swap(ASLEEP, Ordering::SeqCst) == WOKEN {
            self.state.swap(IDLE, Ordering::SeqCst);
            return true;
        }
        let mut held = false;
        loop {
            let waited = if held { futex::wait(&self.state, futex::Flags::PRIVATE, ASLEEP, None) } else { wait(&self.state) };
            if waited == Err(Errno::TIMEDOUT) {
                held = self.holds();
                if held {
                    continue;
                }
                // A wake that came at the same moment counts.
                return self.state.swap(IDLE, Ordering::SeqCst) == WOKEN;
            }
            if self.state.compare_exchange(WOKEN, IDLE, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                return true;
            }
        }
    }

    fn pass(&self, woken: bool) {
        if let Some(gate) = self.gate.get() {
            gate.pass(woken);
        }
    }

    /// Whether to sleep on though the time is over. [`Parker::release`] ends that.
    fn holds(&self) -> bool {
        let Some(gate) = self.gate.get().filter(|gate| gate.holds_timers()) else {
            return false;
        };
        self.held.store(true, Ordering::SeqCst);
        gate.holds_timers()
    }

    /// Sleeps while the pod goes to sleep, sleeps and wakes; at most until the deadline, which wakes it. Returns at once in one that is awake.
    pub fn stand_by(&self, deadline: Option<Instant>) {
        let Some(gate) = self.gate.get() else { return };
        self.held.store(true, Ordering::SeqCst);
        if gate.is_closed() {
            self.park(deadline);
        }
        self.held.store(false, Ordering::SeqCst);
    }

    /// Ends a sleep whose time was over long ago, or that stands by.
    pub fn release(&self) {
        if self.held.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Whether its owner sleeps now.
    pub fn asleep(&self) -> bool {
        matches!(self.state.load(Ordering::SeqCst), ASLEEP | ASLEEP_ON_FD)
    }

    /// Ends the sleep, or the next one. True if somebody slept.
    pub fn wake(&self) -> bool {
        match self.state.swap(WOKEN, Ordering::SeqCst) {
            ASLEEP => {
                let _ = futex::wake(&self.state, futex::Flags::PRIVATE, 1);
                true
            }
            ASLEEP_ON_FD => {
                // It is there, and it has room: it is emptied before each sleep.
                let _ = self.bell.get().map(|bell| rustix::io::write(bell, &1u64.to_ne_bytes()));
                true
            }
            _ => false,
        }
    }
}

impl Waiter for Parker {
    fn notify(&self, _: Events) -> bool {
        self.wake()
    }
}

/// As the host's `struct timespec`; what is beyond it is as long as it can tell.
pub fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(duration.subsec_nanos()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    struct Sleeper {
        asleep: bool,
        told: AtomicUsize,
    }

    impl Waiter for Sleeper {
        fn notify(&self, _: Events) -> bool {
            self.told.fetch_add(1, Ordering::SeqCst);
            self.asleep
        }
    }

    fn sleeper(asleep: bool) -> (Arc<Sleeper>, Arc<dyn Waiter>) {
        let sleeper = Arc::new(Sleeper { asleep, told: AtomicUsize::new(0) });
        (sleeper.clone(), sleeper)
    }

    #[test]
    fn only_the_interested_are_told_and_errors_interest_everybody() {
        let queue = WaitQueue::default();
        let (reader, waiter) = sleeper(true);
        let key = queue.register(Events::IN, &waiter);
        queue.notify(Events::OUT);
        assert_eq!(reader.told.load(Ordering::SeqCst), 0);
        queue.notify(Events::IN | Events::OUT);
        queue.notify(Events::HUP);
        assert_eq!(reader.told.load(Ordering::SeqCst), 2);
        queue.remove(key);
        queue.notify(Events::IN);
        assert_eq!(reader.told.load(Ordering::SeqCst), 2);
        assert!(queue.is_empty());
    }

    #[test]
    fn one_exclusive_sleeper_is_woken_and_those_awake_are_passed_over() {
        let queue = WaitQueue::default();
        let all: Vec<_> = [false, true, true].map(sleeper).into();
        for (_, waiter) in &all {
            queue.register_exclusive(Events::IN, waiter);
        }
        let (shared, waiter) = sleeper(true);
        queue.register(Events::IN, &waiter);
        queue.notify(Events::IN);
        let told: Vec<usize> = all.iter().map(|(sleeper, _)| sleeper.told.load(Ordering::SeqCst)).collect();
        assert_eq!(told, [1, 1, 0]);
        assert_eq!(shared.told.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn dropped_waiters_are_forgotten() {
        let queue = WaitQueue::default();
        {
            let (_, waiter) = sleeper(true);
            queue.register(Events::IN, &waiter);
        }
        assert!(!queue.is_empty());
        queue.notify(Events::IN);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_wake_before_the_sleep_ends_it_and_only_it() {
        let parker = Parker::default();
        assert!(!parker.wake());
        assert!(parker.park(None));
        assert!(!parker.park(Some(Instant::now() + Duration::from_millis(5))));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert!(!parker.park_until_realtime(now + Duration::from_millis(5)));
        assert!(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap() >= now + Duration::from_millis(5));
    }

    #[test]
    fn a_sleep_on_a_descriptor_ends_by_it_by_a_wake_or_by_time() {
        let parker = Arc::new(Parker::default());
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let soon = || Some(Instant::now() + Duration::from_millis(10));
        assert_eq!(parker.park_on(reader.as_fd(), Events::IN, soon()), Ok(false));
        parker.wake();
        assert_eq!(parker.park_on(reader.as_fd(), Events::IN, None), Ok(true));
        for _ in 0..100 {
            let other = parker.clone();
            let waker = thread::spawn(move || other.wake());
            assert_eq!(parker.park_on(reader.as_fd(), Events::IN, None), Ok(true));
            waker.join().unwrap();
        }
        rustix::io::write(&writer, b"x").unwrap();
        assert_eq!(parker.park_on(reader.as_fd(), Events::IN, None), Ok(true));
        assert!(!parker.park(soon()));
    }

    /// Two threads hand a token to and fro through queues: one lost wake-up and the test hangs (and times out).
    #[test]
    fn no_wake_up_is_lost() {
        const ROUNDS: u32 = 20_000;
        let turn = Arc::new(AtomicU32::new(0));
        let queue = Arc::new(WaitQueue::default());
        let failed = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..2)
            .map(|me| {
                let (turn, queue, failed) = (turn.clone(), queue.clone(), failed.clone());
                thread::spawn(move || {
                    let parker = Arc::new(Parker::default());
                    let waiter: Arc<dyn Waiter> = parker.clone();
                    for _ in 0..ROUNDS {
                        let place = Registration::new(&queue, Events::IN, &waiter);
                        while turn.load(Ordering::Relaxed) % 2 != me {
                            if !parker.park(Some(Instant::now() + Duration::from_secs(20))) {
                                failed.store(true, Ordering::SeqCst);
                                return;
                            }
                        }
                        drop(place);
                        turn.fetch_add(1, Ordering::Relaxed);
                        queue.notify(Events::IN);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| assert!(thread.join().is_ok()));
        assert!(!failed.load(Ordering::SeqCst));
        assert_eq!(turn.load(Ordering::SeqCst), 2 * ROUNDS);
    }
}
