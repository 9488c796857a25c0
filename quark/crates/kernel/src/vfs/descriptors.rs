//! Descriptor tables.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::open::OpenFile;
use crate::task::lock;
use crate::{Errno, Result};

/// The most descriptors that one table can have, whatever RLIMIT_NOFILE says (`fs.nr_open`).
pub const DESCRIPTORS_MAX: u64 = 1 << 20;

#[derive(Clone)]
struct Descriptor {
    file: Arc<OpenFile>,
    close_on_exec: bool,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Option<Descriptor>>,
    /// No descriptor below is free.
    lowest: usize,
}

/// A process' descriptors; shared by CLONE_FILES.
pub struct FdTable {
    /// Unique: who owns POSIX locks.
    pub id: u64,
    slots: Mutex<Slots>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Default for FdTable {
    fn default() -> FdTable {
        FdTable::with(Slots::default())
    }
}

impl FdTable {
    fn with(slots: Slots) -> FdTable {
        FdTable { id: NEXT_ID.fetch_add(1, Ordering::Relaxed), slots: Mutex::new(slots) }
    }

    /// What descriptor `fd` refers to: EBADF, also for an O_PATH descriptor.
    pub fn get(&self, fd: i32) -> Result<Arc<OpenFile>> {
        let file = self.get_any(fd)?;
        if file.is_path() { Err(Errno::BADF) } else { Ok(file) }
    }

    /// What descriptor `fd` refers to, O_PATH or not: EBADF.
    pub fn get_any(&self, fd: i32) -> Result<Arc<OpenFile>> {
        let index = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        let slots = lock(&self.slots);
        slots.slots.get(index).and_then(Option::as_ref).map(|found| found.file.clone()).ok_or(Errno::BADF)
    }

    /// Takes the lowest free descriptor from `lowest` on; EMFILE beyond `limit` (RLIMIT_NOFILE).
    pub fn install(&self, file: Arc<OpenFile>, lowest: i32, close_on_exec: bool, limit: u64) -> Result<i32> {
        let lowest = usize::try_from(lowest).map_err(|_| Errno::INVAL)?;
        let mut slots = lock(&self.slots);
        let from = lowest.max(slots.lowest);
        let free = slots.slots.iter().skip(from).position(Option::is_none).map_or(slots.slots.len().max(from), |at| from + at);
        if free as u64 >= limit.min(DESCRIPTORS_MAX) {
            return Err(Errno::MFILE);
        }
        if lowest <= slots.lowest {
            slots.lowest = free + 1;
        }
        slots.put(free, Descriptor { file, close_on_exec });
        Ok(free as i32)
    }

    /// Puts a file at a descriptor (`dup2`), and closes what was there: EBADF if it is beyond `limit`.
    pub fn install_at(&self, fd: i32, file: Arc<OpenFile>, close_on_exec: bool, limit: u64) -> Result<()> {
        let index = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        if index as u64 >= limit.min(DESCRIPTORS_MAX) {
            return Err(Errno::BADF);
        }
        let before = lock(&self.slots).put(index, Descriptor { file, close_on_exec });
        self.finish(before);
        Ok(())
    }

    /// Closes a descriptor: EBADF.
    pub fn close(&self, fd: i32) -> Result<()> {
        let index = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        let closed = lock(&self.slots).take(index).ok_or(Errno::BADF)?;
        self.finish(Some(closed));
        Ok(())
    }

    /// Closes the descriptors from `first` to `last`, both included.
    pub fn close_range(&self, first: u32, last: u32) {
        let end = lock(&self.slots).slots.len().min((last as usize).saturating_add(1));
        for index in first as usize..end {
            let closed = lock(&self.slots).take(index);
            self.finish(closed);
        }
    }

    /// Closes those that are marked so, for `execve`.
    pub fn close_for_exec(&self) {
        let marked = self.list().into_iter().filter(|(_, _, close_on_exec)| *close_on_exec);
        for (fd, _, _) in marked {
            let _ = self.close(fd);
        }
    }

    /// Closes all, when the process ends.
    pub fn close_all(&self) {
        self.close_range(0, u32::MAX);
    }

    /// FD_CLOEXEC of a descriptor: EBADF.
    pub fn close_on_exec(&self, fd: i32) -> Result<bool> {
        let index = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        lock(&self.slots).slots.get(index).and_then(Option::as_ref).map(|found| found.close_on_exec).ok_or(Errno::BADF)
    }

    /// Sets FD_CLOEXEC: EBADF.
    pub fn set_close_on_exec(&self, fd: i32, close_on_exec: bool) -> Result<()> {
        let index = usize::try_from(fd).map_err(|_| Errno::BADF)?;
        let mut slots = lock(&self.slots);
        slots.slots.get_mut(index).and_then(Option::as_mut).ok_or(Errno::BADF)?.close_on_exec = close_on_exec;
        Ok(())
    }

    /// All descriptors in order, with their FD_CLOEXEC.
    pub fn list(&self) -> Vec<(i32, Arc<OpenFile>, bool)> {
        let slots = lock(&self.slots);
        let taken = slots.slots.iter().enumerate();
        taken.filter_map(|(fd, slot)| slot.as_ref().map(|found| (fd as i32, found.file.clone(), found.close_on_exec))).collect()
    }

    /// How many descriptors the table has room for now: more than the highest in use; at least 64, as Linux' smallest (`select(2)` looks no further).
    pub fn span(&self) -> usize {
        lock(&self.slots).slots.len().next_power_of_two().max(64)
    }

    /// A table of its own with the same files (`fork`, `unshare(CLONE_FILES)`).
    pub fn copy(&self) -> FdTable {
        let slots = lock(&self.slots);
        FdTable::with(Slots { slots: slots.slots.clone(), lowest: slots.lowest })
    }

    fn finish(&self, closed: Option<Descriptor>) {
        if let Some(closed) = closed {
            closed.file.closed_in(self.id);
        }
    }
}

impl Slots {
    fn put(&mut self, index: usize, descriptor: Descriptor) -> Option<Descriptor> {
        if self.slots.len() <= index {
            self.slots.resize(index + 1, None);
        }
        self.slots.get_mut(index).and_then(|slot| slot.replace(descriptor))
    }

    fn take(&mut self, index: usize) -> Option<Descriptor> {
        let taken = self.slots.get_mut(index)?.take()?;
        self.lowest = self.lowest.min(index);
        Some(taken)
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        self.close_all();
    }
}
