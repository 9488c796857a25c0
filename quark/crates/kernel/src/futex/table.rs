//! Who waits for which lock with priority inheritance. Other futexes are the host's.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::task::{Task, lock};
use crate::wait::Parker;

/// What a futex is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A word of one address space, by that and the word's address.
    Private(usize, u64),
    /// A word of an object that others may have mapped too, by that and the offset in it.
    Shared((u64, u64), u64),
}

/// A thread that waits in FUTEX_LOCK_PI. Woken once: whoever takes it out of its bucket wakes it.
pub struct Waiter {
    key: Key,
    /// Its thread id, which the word gets.
    pub tid: i32,
    /// Where the word is in its memory.
    pub address: u64,
    /// Who holds the lock.
    owner: Mutex<i32>,
    woken: AtomicBool,
    parker: Arc<Parker>,
}

impl Waiter {
    /// A waiter of this thread, for a lock that `owner` has.
    pub fn new(task: &Task, key: Key, address: u64, owner: i32) -> Arc<Waiter> {
        let (tid, parker) = (task.tid(), task.parker.clone());
        Arc::new(Waiter { key, tid, address, owner: Mutex::new(owner), woken: AtomicBool::new(false), parker })
    }

    /// Whether somebody woke it.
    pub fn woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }
}

/// A power of two: few enough to be cheap, many enough that waiters of different locks rarely meet.
const BUCKETS: usize = 64;

/// All waiters.
pub struct Table {
    buckets: Vec<Mutex<Bucket>>,
}

/// The waiters whose keys share a bucket, in the order in which they came.
#[derive(Default)]
pub struct Bucket {
    waiters: VecDeque<Arc<Waiter>>,
}

impl Default for Table {
    fn default() -> Table {
        Table { buckets: (0..BUCKETS).map(|_| Mutex::default()).collect() }
    }
}

/// Where a key's waiters are. FNV-1a's multiplication spreads neighbouring words.
fn place(key: &Key) -> usize {
    let words = match *key {
        Key::Private(space, address) => [space as u64, address, 0],
        Key::Shared((device, inode), offset) => [device, inode, offset],
    };
    let hash = words.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, word| (hash ^ word).wrapping_mul(0x100_0000_01b3).rotate_left(29));
    (hash >> 32) as usize % BUCKETS
}

impl Table {
    /// Locks the bucket of a key.
    pub fn bucket(&self, key: &Key) -> MutexGuard<'_, Bucket> {
        let at = place(key);
        // `place` is below BUCKETS, which is how many there are.
        lock(self.buckets.get(at).unwrap_or_else(|| unreachable!("bucket {at}")))
    }

    /// Takes a waiter out that gave up; false if somebody woke it before.
    pub fn remove(&self, waiter: &Arc<Waiter>) -> bool {
        let mut bucket = self.bucket(&waiter.key);
        let waits = !waiter.woken();
        bucket.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
        waits
    }

    /// The locks that others wait for while `tid` of address space `space` holds them: their keys and addresses there.
    pub fn held_by(&self, space: usize, tid: i32) -> Vec<(Key, u64)> {
        let mut held = Vec::new();
        for bucket in &self.buckets {
            for waiter in lock(bucket).waiters.iter().filter(|waiter| *lock(&waiter.owner) == tid) {
                let reachable = !matches!(waiter.key, Key::Private(of, _) if of != space);
                if reachable && !held.contains(&(waiter.key, waiter.address)) {
                    held.push((waiter.key, waiter.address));
                }
            }
        }
        held
    }
}

impl Bucket {
    /// Adds a waiter behind the others.
    pub fn push(&mut self, waiter: &Arc<Waiter>) {
        self.waiters.push_back(waiter.clone());
    }

    /// The first who waits for a lock, and whether more do.
    pub fn first(&self, key: &Key) -> Option<(Arc<Waiter>, bool)> {
        let mut waiters = self.waiters.iter().filter(|waiter| waiter.key == *key);
        let first = waiters.next()?.clone();
        Some((first, waiters.next().is_some()))
    }

    /// Gives a lock to a waiter: it is woken as the owner, the others wait for that now.
    pub fn hand_over(&mut self, to: &Arc<Waiter>) {
        self.waiters.retain(|waiter| !Arc::ptr_eq(waiter, to));
        for waiter in self.waiters.iter().filter(|waiter| waiter.key == to.key) {
            *lock(&waiter.owner) = to.tid;
        }
        to.woken.store(true, Ordering::Release);
        to.parker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(table: &Table, key: Key, tid: i32) -> Arc<Waiter> {
        let waiter =
            Arc::new(Waiter { key, tid, address: 0x1000, owner: Mutex::new(7), woken: AtomicBool::new(false), parker: Arc::default() });
        table.bucket(&key).push(&waiter);
        waiter
    }

    #[test]
    fn a_lock_goes_to_who_came_first_and_the_others_wait_for_that() {
        let table = Table::default();
        let (key, other) = (Key::Private(1, 0x1000), Key::Private(2, 0x1000));
        let all: Vec<_> = (10..13).map(|tid| waiting(&table, key, tid)).collect();
        waiting(&table, other, 20);
        assert_eq!(table.held_by(1, 7), [(key, 0x1000)]);
        let (first, more) = table.bucket(&key).first(&key).unwrap();
        assert!(more && Arc::ptr_eq(&first, &all[0]));
        table.bucket(&key).hand_over(&first);
        assert_eq!((table.held_by(1, 7), table.held_by(1, 10)), (vec![], vec![(key, 0x1000)]));
        assert!(!table.remove(&all[0]) && table.remove(&all[1]));
        let last = table.bucket(&key).first(&key).map(|(waiter, more)| (waiter.tid, more));
        assert_eq!(last, Some((12, false)));
    }
}
