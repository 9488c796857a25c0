//! Locks on files: `fcntl(2)` (POSIX and open file description locks, which see each other) and `flock(2)`. Advisory.
//!
//! Locks belong to an inode, which is known here by its device and inode number.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use super::open::OpenFile;
use crate::task::{Task, lock};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// The most locks on one file: beyond is ENOLCK.
const LOCKS_MAX: usize = 16384;

/// The device and inode number of a file.
pub type Key = (u64, u64);

/// Shared (read) or exclusive (write).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Shared,
    Exclusive,
}

/// Bytes, the last one included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Range {
    pub start: u64,
    pub end: u64,
}

impl Range {
    /// All of a file.
    pub const ALL: Range = Range { start: 0, end: u64::MAX };

    fn overlaps(&self, other: &Range) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// Whose a lock is.
#[derive(Clone, Copy, Debug)]
pub enum Owner {
    /// A process', by its descriptor table; the pid is for F_GETLK.
    Process {
        /// [`super::open::FdTable::id`].
        table: u64,
        /// Told to others.
        pid: i32,
    },
    /// An open file's, by its address.
    File(usize),
    /// An open file's, by `flock`.
    Flock(usize),
}

impl PartialEq for Owner {
    fn eq(&self, other: &Owner) -> bool {
        match (self, other) {
            (Owner::Process { table, .. }, Owner::Process { table: other, .. }) => table == other,
            (Owner::File(one), Owner::File(other)) | (Owner::Flock(one), Owner::Flock(other)) => one == other,
            _ => false,
        }
    }
}

impl Owner {
    /// What F_GETLK tells: -1 for a lock that is not a process'.
    pub fn pid(&self) -> i32 {
        if let Owner::Process { pid, .. } = self { *pid } else { -1 }
    }

    fn is_flock(&self) -> bool {
        matches!(self, Owner::Flock(_))
    }
}

/// A lock.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Held {
    pub owner: Owner,
    pub kind: Kind,
    pub range: Range,
}

#[derive(Default)]
struct Locks {
    held: Vec<Held>,
    queue: Arc<WaitQueue>,
    /// How many wait; with none and nothing held the entry goes.
    waiting: usize,
}

#[derive(Default)]
struct Table {
    files: HashMap<(Key, bool), Locks>,
    /// Which descriptor table waits for which: to find circles.
    waits: HashMap<u64, u64>,
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

/// What locks of an open file are kept under.
pub fn key(file: &OpenFile) -> Result<Key> {
    if let Some(key) = file.lock_key.get() {
        return Ok(*key);
    }
    file.file.stat().map(|stat| (stat.device, stat.inode))
}

/// The first lock of another that keeps `owner` from having this one.
pub fn conflict(key: Key, owner: Owner, kind: Kind, range: Range) -> Option<Held> {
    let table = lock(&TABLE);
    find_conflict(&table.files.get(&(key, owner.is_flock()))?.held, owner, kind, range)
}

fn find_conflict(held: &[Held], owner: Owner, kind: Kind, range: Range) -> Option<Held> {
    let against =
        |lock: &&Held| lock.owner != owner && lock.range.overlaps(&range) && (kind == Kind::Exclusive || lock.kind == Kind::Exclusive);
    held.iter().find(against).copied()
}

/// Takes, changes or (`kind` is `None`) lets go of a lock: EAGAIN, or it waits; EDEADLK if processes would wait for each other in a circle.
pub fn set(task: &Task, file: &Arc<OpenFile>, owner: Owner, kind: Option<Kind>, range: Range, waits: bool) -> Result<()> {
    let key = key(file)?;
    let _ = file.lock_key.set(key);
    let queue = match attempt(key, owner, kind, range, waits)? {
        None => return Ok(()),
        Some(queue) => queue,
    };
    start_waiting(key, owner);
    let answer = task.block_on(&queue, Events::all(), None, || match attempt(key, owner, kind, range, waits) {
        Ok(Some(_)) => None,
        Ok(None) => Some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    stop_waiting(key, owner);
    answer?.unwrap_or(Ok(()))
}

/// Tries once: `None` if it is done, the queue to wait on if it isn't.
fn attempt(key: Key, owner: Owner, kind: Option<Kind>, range: Range, waits: bool) -> Result<Option<Arc<WaitQueue>>> {
    let mut table = lock(&TABLE);
    let at = (key, owner.is_flock());
    let locks = table.files.entry(at).or_default();
    let queue = locks.queue.clone();
    let against = kind.and_then(|kind| find_conflict(&locks.held, owner, kind, range));
    let Some(against) = against else {
        let done = apply(&mut locks.held, Held { owner, kind: kind.unwrap_or(Kind::Shared), range }, kind.is_some());
        tidy(&mut table, at);
        drop(table);
        done?;
        queue.notify(Events::all());
        return Ok(None);
    };
    if !waits {
        tidy(&mut table, at);
        return Err(Errno::AGAIN);
    }
    if let (Owner::Process { table: me, .. }, Owner::Process { table: other, .. }) = (owner, against.owner) {
        if circular(&table.waits, me, other) {
            tidy(&mut table, at);
            return Err(Errno::DEADLK);
        }
        table.waits.insert(me, other);
    }
    Ok(Some(queue))
}

/// From now on the file's queue stays.
fn start_waiting(key: Key, owner: Owner) {
    if let Some(locks) = lock(&TABLE).files.get_mut(&(key, owner.is_flock())) {
        locks.waiting += 1;
    }
}

fn stop_waiting(key: Key, owner: Owner) {
    let mut table = lock(&TABLE);
    let at = (key, owner.is_flock());
    if let Owner::Process { table: me, .. } = owner {
        table.waits.remove(&me);
    }
    if let Some(locks) = table.files.get_mut(&at) {
        locks.waiting = locks.waiting.saturating_sub(1);
    }
    tidy(&mut table, at);
}

fn tidy(table: &mut Table, at: (Key, bool)) {
    if table.files.get(&at).is_some_and(|locks| locks.held.is_empty() && locks.waiting == 0) {
        table.files.remove(&at);
    }
}

/// Whether `other` waits, over any number of others, for `me`.
fn circular(waits: &HashMap<u64, u64>, me: u64, other: u64) -> bool {
    let mut at = other;
    for _ in 0..=waits.len() {
        if at == me {
            return true;
        }
        let Some(next) = waits.get(&at) else { return false };
        at = *next;
    }
    false
}

/// Puts a lock in the place of what its owner had of its range (`adds`), or only takes that away. Neighbours of the same kind become one.
fn apply(held: &mut Vec<Held>, new: Held, adds: bool) -> Result<()> {
    let mut changed: Vec<Held> = Vec::with_capacity(held.len() + 2);
    for old in held.iter().copied() {
        if old.owner != new.owner || !old.range.overlaps(&new.range) {
            changed.push(old);
            continue;
        }
        if old.range.start < new.range.start {
            changed.push(Held { range: Range { start: old.range.start, end: new.range.start - 1 }, ..old });
        }
        if old.range.end > new.range.end {
            changed.push(Held { range: Range { start: new.range.end + 1, end: old.range.end }, ..old });
        }
    }
    if adds {
        let mut new = new;
        changed.retain(|old| {
            let joins = old.owner == new.owner
                && old.kind == new.kind
                && (old.range.end.checked_add(1) == Some(new.range.start) || new.range.end.checked_add(1) == Some(old.range.start));
            if joins {
                new.range = Range { start: new.range.start.min(old.range.start), end: new.range.end.max(old.range.end) };
            }
            !joins
        });
        changed.push(new);
    }
    if changed.len() > LOCKS_MAX && changed.len() > held.len() {
        return Err(Errno::NOLCK);
    }
    *held = changed;
    Ok(())
}

/// Lets go of all locks of an owner on a file, such as when a descriptor of it is closed.
pub(super) fn release(key: Key, owner: Owner) {
    let mut table = lock(&TABLE);
    let at = (key, owner.is_flock());
    let Some(locks) = table.files.get_mut(&at) else { return };
    let before = locks.held.len();
    locks.held.retain(|lock| lock.owner != owner);
    let queue = (locks.held.len() != before).then(|| locks.queue.clone());
    tidy(&mut table, at);
    drop(table);
    if let Some(queue) = queue {
        queue.notify(Events::all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(table: u64) -> Owner {
        Owner::Process { table, pid: table as i32 }
    }

    fn held(owner: Owner, kind: Kind, start: u64, end: u64) -> Held {
        Held { owner, kind, range: Range { start, end } }
    }

    #[test]
    fn ranges_are_split_and_joined() {
        let mut locks = Vec::new();
        apply(&mut locks, held(process(1), Kind::Exclusive, 0, 99), true).unwrap();
        apply(&mut locks, held(process(1), Kind::Shared, 40, 59), true).unwrap();
        let parts: Vec<_> = locks.iter().map(|lock| (lock.range.start, lock.range.end, lock.kind)).collect();
        assert_eq!(parts, [(0, 39, Kind::Exclusive), (60, 99, Kind::Exclusive), (40, 59, Kind::Shared)]);
        apply(&mut locks, held(process(1), Kind::Exclusive, 40, 59), true).unwrap();
        assert_eq!(locks, [held(process(1), Kind::Exclusive, 0, 99)]);
        apply(&mut locks, held(process(1), Kind::Shared, 10, u64::MAX), false).unwrap();
        assert_eq!(locks, [held(process(1), Kind::Exclusive, 0, 9)]);
    }

    #[test]
    fn only_others_and_only_writers_are_in_the_way() {
        let locks = [held(process(1), Kind::Shared, 0, 9), held(Owner::File(5), Kind::Exclusive, 20, 29)];
        assert_eq!(find_conflict(&locks, process(1), Kind::Exclusive, Range { start: 0, end: 19 }), None);
        assert_eq!(find_conflict(&locks, process(2), Kind::Shared, Range { start: 0, end: 19 }), None);
        assert!(find_conflict(&locks, process(2), Kind::Exclusive, Range { start: 9, end: 19 }).is_some());
        assert!(find_conflict(&locks, process(1), Kind::Shared, Range::ALL).is_some());
    }

    #[test]
    fn circles_are_found_however_long() {
        let waits = HashMap::from([(2, 3), (3, 4), (4, 1)]);
        assert!(circular(&waits, 1, 2));
        assert!(!circular(&waits, 1, 5));
        assert!(circular(&waits, 1, 1));
        // A circle that we are not in is somebody else's.
        assert!(!circular(&HashMap::from([(2, 3), (3, 2)]), 1, 2));
    }

    #[test]
    fn what_is_released_leaves_nothing_behind() {
        let key = (u64::MAX, 1);
        assert!(attempt(key, process(90), Some(Kind::Exclusive), Range::ALL, false).unwrap().is_none());
        assert_eq!(attempt(key, process(91), Some(Kind::Shared), Range::ALL, false).err(), Some(Errno::AGAIN));
        release(key, process(90));
        assert!(attempt(key, process(91), Some(Kind::Shared), Range::ALL, false).unwrap().is_none());
        release(key, process(91));
        assert!(!lock(&TABLE).files.contains_key(&(key, false)));
    }
}
