//! System V shared memory (`man 2 shmget`). There is one kernel a process, so one table.
//!
//! A segment's memory is a memfd. It is there until it is removed and nobody has it attached.

mod calls;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub(super) use calls::{shmat, shmctl, shmdt, shmget};

use super::area::{Object, ObjectKind, PAGE};
use super::pages::Pages;
use crate::file::MapSource;
use crate::ipc::limits::limits;
use crate::ipc::{IpcOwner, IpcTable, PRIVATE, now};
use crate::task::lock;
use crate::{Errno, Result};

static SEGMENTS: Mutex<IpcTable<Arc<Segment>>> = Mutex::new(IpcTable::new());

/// A segment.
pub struct Segment {
    /// As the guest gave it.
    size: u64,
    pages: Pages,
    state: Mutex<State>,
}

struct State {
    id: i32,
    owner: IpcOwner,
    attached: u64,
    removed: bool,
    /// SHM_LOCK.
    locked: bool,
    maker: i32,
    last: i32,
    /// Seconds since 1970, 0 for never.
    attached_at: i64,
    detached_at: i64,
    changed_at: i64,
}

/// One attachment of a segment to a process' memory; the segment counts those.
pub struct Attachment {
    segment: Arc<Segment>,
}

impl Segment {
    fn attach(self: &Arc<Self>, pid: Option<i32>, source: MapSource) -> Arc<Object> {
        let mut state = lock(&self.state);
        state.attached += 1;
        if let Some(pid) = pid {
            state.attached_at = now();
            state.last = pid;
        }
        let kind = ObjectKind::Segment(Attachment { segment: self.clone() });
        Arc::new(Object { source, kind, identity: (4, state.id as u64) })
    }

    /// Removes it, now or when the last attachment ends.
    fn remove(&self) {
        let mut table = lock(&SEGMENTS);
        let mut state = lock(&self.state);
        state.removed = true;
        state.owner.key = PRIVATE;
        if state.attached == 0 {
            table.remove(state.id);
        }
    }
}

impl Attachment {
    pub(super) fn label(&self) -> Vec<u8> {
        format!("/SYSV{:08x} (deleted)", lock(&self.segment.state).owner.key).into_bytes()
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut table = lock(&SEGMENTS);
        let mut state = lock(&self.segment.state);
        state.attached -= 1;
        state.detached_at = now();
        if state.attached == 0 && (state.removed || limits().segments_end_unused != 0) {
            table.remove(state.id);
        }
    }
}

/// Makes a child's own attachments out of its parent's.
#[derive(Default)]
pub(super) struct Reattached {
    known: HashMap<*const Object, Arc<Object>>,
}

impl Reattached {
    pub(super) fn forked(&mut self, object: &Arc<Object>) -> Arc<Object> {
        let ObjectKind::Segment(attachment) = &object.kind else {
            return object.clone();
        };
        self.known.entry(Arc::as_ptr(object)).or_insert_with(|| attachment.segment.attach(None, object.source.clone())).clone()
    }
}

/// `/proc/sysvipc/shm`.
pub fn listing() -> Vec<u8> {
    let mut text = String::from(concat!(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid",
        "      atime      dtime      ctime                   rss                  swap\n"
    ));
    for (id, segment) in lock(&SEGMENTS).iter() {
        let state = lock(&segment.state);
        let owner = &state.owner;
        text += &format!("{:10} {id:10}  {:4o} {:21}", owner.key, owner.mode, segment.size);
        text += &format!(" {:5} {:5}  {:5}", state.maker, state.last, state.attached);
        text += &format!(" {:5} {:5} {:5} {:5}", owner.uid, owner.gid, owner.maker_uid, owner.maker_gid);
        text += &format!(" {:10} {:10} {:10} {:21} {:21}\n", state.attached_at, state.detached_at, state.changed_at, 0, 0);
    }
    text.into_bytes()
}

/// Adds a segment: its id. ENOSPC if there are too many, or too large ones.
fn add(owner: IpcOwner, size: u64, pages: Pages, maker: i32) -> Result<i32> {
    let most = limits();
    let state = State {
        id: 0,
        owner,
        attached: 0,
        removed: false,
        locked: false,
        maker,
        last: 0,
        attached_at: 0,
        detached_at: 0,
        changed_at: now(),
    };
    let segment = Arc::new(Segment { size, pages, state: Mutex::new(state) });
    let mut table = lock(&SEGMENTS);
    let used: u64 = table.iter().map(|(_, segment)| segment.size.div_ceil(PAGE)).sum();
    if used.saturating_add(size.div_ceil(PAGE)) > most.segment_pages {
        return Err(Errno::NOSPC);
    }
    let id = table.add(most.segments as usize, segment.clone())?;
    lock(&segment.state).id = id;
    Ok(id)
}
