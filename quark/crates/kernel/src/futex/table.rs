//! Who waits for which futex.

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

/// A thread that waits. Woken once: whoever takes it out of its bucket wakes it.
pub struct Waiter {
    /// Changes when it is requeued, under the locks of both buckets.
    key: Mutex<Key>,
    /// FUTEX_WAIT_BITSET's; all ones otherwise.
    pub bitset: u32,
    woken: AtomicBool,
    parker: Arc<Parker>,
    /// For priority inheritance: who waits, and for whom.
    pub lock: Option<LockWaiter>,
}

/// A waiter of FUTEX_LOCK_PI.
pub struct LockWaiter {
    /// The waiter's thread id, which the word gets.
    pub tid: i32,
    /// Where the word is in its memory.
    pub address: u64,
    /// Who holds the lock.
    pub owner: Mutex<i32>,
}

impl Waiter {
    /// A waiter of this thread.
    pub fn new(task: &Task, key: Key, bitset: u32, lock: Option<LockWaiter>) -> Arc<Waiter> {
        let parker = task.parker.clone();
        Arc::new(Waiter { key: Mutex::new(key), bitset, woken: AtomicBool::new(false), parker, lock })
    }

    /// Whether somebody woke it.
    pub fn woken(&self) -> bool {
        self.woken.load(Ordering::Acquire)
    }

    /// Its key now.
    pub fn key(&self) -> Key {
        *lock(&self.key)
    }

    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.parker.wake();
    }
}

/// A power of two: few enough to be cheap, many enough that waiters of different futexes rarely meet.
const BUCKETS: usize = 256;

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

    /// Locks the buckets of two keys, in one order for all.
    fn two<'t>(&'t self, one: &Key, other: &Key) -> (MutexGuard<'t, Bucket>, Option<MutexGuard<'t, Bucket>>, bool) {
        let (first, second) = (place(one), place(other));
        if first == second {
            return (self.bucket(one), None, false);
        }
        let swapped = first > second;
        let (low, high) = if swapped { (other, one) } else { (one, other) };
        let low = self.bucket(low);
        let high = self.bucket(high);
        (low, Some(high), swapped)
    }

    /// Takes a waiter out that gave up; false if somebody woke it before.
    pub fn remove(&self, waiter: &Arc<Waiter>) -> bool {
        loop {
            let key = waiter.key();
            let mut bucket = self.bucket(&key);
            if waiter.woken() {
                return false;
            }
            if waiter.key() == key {
                bucket.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
                return true;
            }
        }
    }

    /// Wakes at most `count` waiters of a key whose bits meet `bitset`; how many.
    pub fn wake(&self, key: &Key, count: usize, bitset: u32) -> usize {
        self.bucket(key).wake(key, count, bitset)
    }

    /// Wakes `wake` waiters of `from` and lets `requeue` others wait for `to`, if `check` says so under the lock; how many were woken and moved.
    pub fn requeue<E>(
        &self,
        from: &Key,
        to: &Key,
        (wake, requeue): (usize, usize),
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<(usize, usize), E> {
        let (mut low, high, swapped) = self.two(from, to);
        check()?;
        let Some(mut high) = high else {
            let woken = low.wake(from, wake, u32::MAX);
            let moved = if from == to { Vec::new() } else { low.take(from, requeue) };
            let count = moved.len();
            low.append(moved, to);
            return Ok((woken, count));
        };
        let (source, target) = if swapped { (&mut *high, &mut *low) } else { (&mut *low, &mut *high) };
        let woken = source.wake(from, wake, u32::MAX);
        let moved = source.take(from, requeue);
        let count = moved.len();
        target.append(moved, to);
        Ok((woken, count))
    }

    /// Makes `act` with both buckets locked, then wakes waiters of the first key, and of the second if `act` says so.
    pub fn wake_two<E>(
        &self,
        (one, one_count): (&Key, usize),
        (other, other_count): (&Key, usize),
        act: impl FnOnce() -> Result<bool, E>,
    ) -> Result<usize, E> {
        let (mut low, high, swapped) = self.two(one, other);
        let both = act()?;
        let Some(mut high) = high else {
            let woken = low.wake(one, one_count, u32::MAX);
            return Ok(woken + if both { low.wake(other, other_count, u32::MAX) } else { 0 });
        };
        let (first, second) = if swapped { (&mut *high, &mut *low) } else { (&mut *low, &mut *high) };
        let woken = first.wake(one, one_count, u32::MAX);
        Ok(woken + if both { second.wake(other, other_count, u32::MAX) } else { 0 })
    }

    /// The locks that others wait for while `tid` of address space `space` holds them: their keys and addresses there.
    pub fn held_by(&self, space: usize, tid: i32) -> Vec<(Key, u64)> {
        let mut held = Vec::new();
        for bucket in &self.buckets {
            for waiter in &lock(bucket).waiters {
                if let Some(waits) = waiter.lock.as_ref().filter(|waits| *lock(&waits.owner) == tid) {
                    let key = waiter.key();
                    let reachable = !matches!(key, Key::Private(of, _) if of != space);
                    if reachable && !held.contains(&(key, waits.address)) {
                        held.push((key, waits.address));
                    }
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

    /// Wakes at most `count` waiters of a key whose bits meet `bitset`; how many.
    pub fn wake(&mut self, key: &Key, count: usize, bitset: u32) -> usize {
        let mut woken = 0;
        self.waiters.retain(|waiter| {
            let chosen = woken < count && waiter.bitset & bitset != 0 && waiter.key() == *key;
            if chosen {
                waiter.wake();
                woken += 1;
            }
            !chosen
        });
        woken
    }

    /// The first who waits for a lock, and whether more do.
    pub fn first_locker(&self, key: &Key) -> Option<(Arc<Waiter>, bool)> {
        let mut lockers = self.waiters.iter().filter(|waiter| waiter.lock.is_some() && waiter.key() == *key);
        let first = lockers.next()?.clone();
        Some((first, lockers.next().is_some()))
    }

    /// Gives a lock to a waiter: it is woken as the owner, the others wait for that now.
    pub fn hand_over(&mut self, key: &Key, to: &Arc<Waiter>) {
        let owner = to.lock.as_ref().map_or(0, |waits| waits.tid);
        self.waiters.retain(|waiter| !Arc::ptr_eq(waiter, to));
        for waits in self.waiters.iter().filter(|waiter| waiter.key() == *key).filter_map(|waiter| waiter.lock.as_ref()) {
            *lock(&waits.owner) = owner;
        }
        to.wake();
    }

    fn take(&mut self, key: &Key, count: usize) -> Vec<Arc<Waiter>> {
        let mut taken = Vec::new();
        self.waiters.retain(|waiter| {
            let chosen = taken.len() < count && waiter.key() == *key;
            if chosen {
                taken.push(waiter.clone());
            }
            !chosen
        });
        taken
    }

    fn append(&mut self, waiters: Vec<Arc<Waiter>>, key: &Key) {
        for waiter in waiters {
            *lock(&waiter.key) = *key;
            self.waiters.push_back(waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(key: Key, bitset: u32) -> Arc<Waiter> {
        Arc::new(Waiter { key: Mutex::new(key), bitset, woken: AtomicBool::new(false), parker: Arc::default(), lock: None })
    }

    fn waiting(table: &Table, key: Key, bitset: u32) -> Arc<Waiter> {
        let waiter = waiter(key, bitset);
        table.bucket(&key).push(&waiter);
        waiter
    }

    #[test]
    fn as_many_are_woken_as_wanted_in_order() {
        let table = Table::default();
        let key = Key::Private(1, 0x1000);
        let all: Vec<_> = (0..3).map(|_| waiting(&table, key, u32::MAX)).collect();
        assert_eq!(table.wake(&Key::Private(2, 0x1000), 9, u32::MAX), 0, "another address space");
        assert_eq!(table.wake(&key, 2, u32::MAX), 2);
        assert_eq!(all.iter().map(|waiter| waiter.woken()).collect::<Vec<_>>(), [true, true, false]);
        assert!(table.remove(&all[2]) && !table.remove(&all[0]));
    }

    #[test]
    fn bits_choose_who_is_woken() {
        let table = Table::default();
        let key = Key::Shared((1, 2), 4);
        let (one, two) = (waiting(&table, key, 1), waiting(&table, key, 2));
        assert_eq!(table.wake(&key, 9, 2), 1);
        assert!(!one.woken() && two.woken());
    }

    #[test]
    fn requeued_waiters_are_woken_by_their_new_key() {
        let table = Table::default();
        // Enough pairs that both same and different buckets, in both orders, occur.
        for address in 0..600 {
            let (from, to) = (Key::Private(1, address * 4), Key::Private(1, 0x10_0000 + address * 8));
            let all: Vec<_> = (0..4).map(|_| waiting(&table, from, u32::MAX)).collect();
            assert_eq!(table.requeue(&from, &to, (1, 2), || Ok::<(), ()>(())), Ok((1, 2)));
            assert_eq!(table.wake(&to, 9, u32::MAX), 2);
            assert!(all[..3].iter().all(|waiter| waiter.woken()) && !all[3].woken());
            assert_eq!(table.requeue(&from, &to, (1, 2), || Err("changed")), Err("changed"));
            assert_eq!(table.wake(&from, 9, u32::MAX), 1);
        }
    }
}
