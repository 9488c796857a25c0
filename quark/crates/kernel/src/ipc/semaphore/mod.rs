//! System V semaphores (`man 2 semop`).

mod calls;
mod set;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub use calls::CALLS;

use super::IpcTable;
use crate::Result;
use crate::task::{Task, lock};
use set::Set;

static SETS: Mutex<IpcTable<Arc<Mutex<Set>>>> = Mutex::new(IpcTable::new());

fn find(id: i32) -> Result<Arc<Mutex<Set>>> {
    lock(&SETS).get(id).cloned()
}

/// What SEM_UNDO operations of a process' threads are given back when the last of them ends. The sets keep how much.
pub struct UndoList {
    key: u64,
    sets: Mutex<BTreeSet<i32>>,
}

impl UndoList {
    fn new() -> UndoList {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        UndoList { key: NEXT.fetch_add(1, Ordering::Relaxed), sets: Mutex::default() }
    }
}

/// The thread's list, made when it is first needed. CLONE_SYSVSEM shares it.
pub fn undo_list(task: &Task) -> Arc<UndoList> {
    lock(&task.semaphore_undo).get_or_insert_with(|| Arc::new(UndoList::new())).clone()
}

/// A thread ends, or leaves its list (`unshare`): the last one of a list gives back what was to be undone.
pub fn leave_undo_list(task: &Task) {
    let list = lock(&task.semaphore_undo).take();
    let Some(list) = list.and_then(Arc::into_inner) else {
        return;
    };
    for id in lock(&list.sets).iter() {
        // A set that was removed has forgotten.
        if let Ok(set) = find(*id) {
            lock(&set).undo(list.key, task.process.pid);
        }
    }
}

/// `/proc/sysvipc/sem`.
pub fn listing() -> Vec<u8> {
    let mut text = String::from("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n");
    for (id, set) in lock(&SETS).iter() {
        let set = lock(set);
        let owner = &set.owner;
        text += &format!(
            "{:10} {id:10}  {:4o} {:10} {:5} {:5} {:5} {:5} {:10} {:10}\n",
            owner.key,
            owner.mode,
            set.len(),
            owner.uid,
            owner.gid,
            owner.maker_uid,
            owner.maker_gid,
            set.operated_at,
            set.changed_at
        );
    }
    text.into_bytes()
}
