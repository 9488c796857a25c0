//! Sets in sets: no loops, and not too deep.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Epoll;
use crate::task::lock;
use crate::{Errno, Result};

/// How deep sets may be nested.
const NESTS_MAX: usize = 4;

/// Held while a set is put into another one: two at once could make a loop.
static JOINING: Mutex<()> = Mutex::new(());

/// Checks that `inner` may be put into `outer`, and notes it. ELOOP for a loop and for more than [`NESTS_MAX`] levels. The guard is to be
/// kept until it is in.
pub fn join(outer: &Epoll, inner: &Epoll) -> Result<MutexGuard<'static, ()>> {
    let guard = lock(&JOINING);
    let below = depth_below(outer, inner, 0)?;
    if below + 1 + depth_above(outer, 0)? > NESTS_MAX {
        return Err(Errno::LOOP);
    }
    let mut parents = lock(&inner.parents);
    parents.retain(|parent| parent.strong_count() > 0);
    parents.push(outer.me.clone());
    drop(parents);
    Ok(guard)
}

/// How many levels of sets are in `set`; ELOOP if `wanted` is among them.
fn depth_below(wanted: &Epoll, set: &Epoll, depth: usize) -> Result<usize> {
    if std::ptr::eq(wanted, set) || depth > NESTS_MAX {
        return Err(Errno::LOOP);
    }
    let items: Vec<_> = lock(&set.items).values().flatten().filter_map(|item| item.open_file()).collect();
    let mut deepest = 0;
    for file in items {
        if let Some(inner) = file.file.as_any().downcast_ref::<Epoll>() {
            deepest = deepest.max(depth_below(wanted, inner, depth + 1)? + 1);
        }
    }
    Ok(deepest)
}

/// How many levels of sets `set` is in.
fn depth_above(set: &Epoll, depth: usize) -> Result<usize> {
    if depth > NESTS_MAX {
        return Err(Errno::LOOP);
    }
    let parents: Vec<Arc<Epoll>> = lock(&set.parents).iter().filter_map(|parent| parent.upgrade()).collect();
    let holds = |parent: &Arc<Epoll>| {
        let items: Vec<_> = lock(&parent.items).values().flatten().filter_map(|item| item.open_file()).collect();
        items.iter().any(|file| file.file.as_any().downcast_ref::<Epoll>().is_some_and(|inner| std::ptr::eq(inner, set)))
    };
    let mut deepest = 0;
    for parent in parents.iter().filter(|parent| holds(parent)) {
        deepest = deepest.max(depth_above(parent, depth + 1)? + 1);
    }
    Ok(deepest)
}
