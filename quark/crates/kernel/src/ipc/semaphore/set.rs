//! A set of semaphores, and who waits for them. Operations of a call are done all or none; whoever changes a set also does what that lets
//! others do.

use std::collections::BTreeMap;
use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::ipc::sleeper::Sleeper;
use crate::ipc::{IpcOwner, now};
use crate::{Errno, Result};

/// SEMVMX: the highest value.
pub const VALUE_MAX: i32 = 32767;
/// SEM_UNDO.
const UNDO: i16 = 0x1000;

/// `struct sembuf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Operation {
    /// Which semaphore.
    pub number: u16,
    /// What is added; 0 waits for 0.
    pub by: i16,
    /// IPC_NOWAIT, SEM_UNDO.
    pub flags: i16,
}

/// The operations of one call.
#[derive(Clone, Debug)]
pub struct Request {
    /// In order.
    pub operations: Vec<Operation>,
    /// Whose.
    pub pid: i32,
    /// The list of what the caller's end undoes; 0 if nothing is to be.
    pub undo: u64,
}

impl Request {
    /// Whether it changes anything.
    pub fn alters(&self) -> bool {
        self.operations.iter().any(|operation| operation.by != 0)
    }

    /// Whether any operation is to be undone.
    pub fn undoes(operations: &[Operation]) -> bool {
        operations.iter().any(|operation| operation.flags & UNDO != 0)
    }
}

/// One semaphore: its value, and whose call last changed it or waited for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Semaphore {
    /// 0 to [`VALUE_MAX`].
    pub value: i32,
    /// 0 for nobody.
    pub pid: i32,
}

/// A call that waits.
struct Waiting {
    request: Request,
    /// The operation that can't be done.
    blocked: usize,
    sleeper: Arc<Sleeper<Result<()>>>,
}

/// A set.
pub struct Set {
    /// Whose.
    pub owner: IpcOwner,
    /// Seconds since 1970 of the last `semop`, 0 for never.
    pub operated_at: i64,
    /// The same of the last change by `semctl`.
    pub changed_at: i64,
    semaphores: Vec<Semaphore>,
    waiting: Vec<Waiting>,
    /// By undo list and semaphore: what is to be added.
    undos: BTreeMap<u64, BTreeMap<u16, i32>>,
    removed: bool,
}

impl Set {
    /// One of zeros.
    pub fn new(owner: IpcOwner, count: usize) -> Set {
        let semaphores = vec![Semaphore::default(); count];
        Set { owner, operated_at: 0, changed_at: now(), semaphores, waiting: Vec::new(), undos: BTreeMap::new(), removed: false }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.semaphores.len()
    }

    /// A semaphore: EINVAL.
    pub fn get(&self, number: i32) -> Result<Semaphore> {
        usize::try_from(number).ok().and_then(|at| self.semaphores.get(at)).copied().ok_or(Errno::INVAL)
    }

    /// All values.
    pub fn values(&self) -> Vec<u16> {
        self.semaphores.iter().map(|semaphore| semaphore.value as u16).collect()
    }

    /// EIDRM for a set that was removed since it was found.
    pub fn check_there(&self) -> Result<()> {
        if self.removed { Err(Errno::IDRM) } else { Ok(()) }
    }

    /// Does the operations and what that lets others do: `None`. `Some` is the operation that has to wait; nothing has changed then. EAGAIN,
    /// ERANGE, EIDRM.
    pub fn operate(&mut self, request: &Request) -> Result<Option<usize>> {
        self.check_there()?;
        let blocked = self.perform(request)?;
        if blocked.is_none() && request.alters() {
            self.settle();
        }
        Ok(blocked)
    }

    /// Has a call wait whose operation `blocked` can't be done.
    pub fn wait(&mut self, request: Request, blocked: usize, sleeper: Arc<Sleeper<Result<()>>>) {
        self.waiting.push(Waiting { request, blocked, sleeper });
    }

    /// A call doesn't wait any more.
    pub fn forget(&mut self, sleeper: &Arc<Sleeper<Result<()>>>) {
        self.waiting.retain(|waiting| !Arc::ptr_eq(&waiting.sleeper, sleeper));
    }

    /// How many calls wait for a semaphore to become zero, or to grow.
    pub fn count_waiting(&self, number: i32, for_zero: bool) -> usize {
        let operations = self.waiting.iter().filter_map(|waiting| waiting.request.operations.get(waiting.blocked));
        operations.filter(|operation| i32::from(operation.number) == number && (operation.by == 0) == for_zero).count()
    }

    /// SETVAL: what was to be undone there is forgotten.
    pub fn set(&mut self, number: i32, value: i32, pid: i32) -> Result<()> {
        self.get(number)?;
        if let Some(semaphore) = self.semaphores.get_mut(number as usize) {
            *semaphore = Semaphore { value, pid };
        }
        self.undos.values_mut().for_each(|undos| _ = undos.remove(&(number as u16)));
        self.changed_at = now();
        self.settle();
        Ok(())
    }

    /// SETALL.
    pub fn set_all(&mut self, values: &[u16], pid: i32) {
        for (semaphore, value) in self.semaphores.iter_mut().zip(values) {
            *semaphore = Semaphore { value: i32::from(*value), pid };
        }
        self.undos.clear();
        self.changed_at = now();
        self.settle();
    }

    /// IPC_RMID: who waits is told.
    pub fn remove(&mut self) {
        self.removed = true;
        for waiting in self.waiting.drain(..) {
            waiting.sleeper.finish(Err(Errno::IDRM));
        }
    }

    /// Undoes what was kept under an undo list; a value stays in its range.
    pub fn undo(&mut self, list: u64, pid: i32) {
        for (number, by) in self.undos.remove(&list).unwrap_or_default() {
            if let Some(semaphore) = self.semaphores.get_mut(usize::from(number)).filter(|_| by != 0) {
                *semaphore = Semaphore { value: (semaphore.value + by).clamp(0, VALUE_MAX), pid };
            }
        }
        self.operated_at = now();
        self.settle();
    }

    /// Does all operations or none.
    fn perform(&mut self, request: &Request) -> Result<Option<usize>> {
        for (index, operation) in request.operations.iter().enumerate() {
            let step = self.step(operation, request.undo);
            if step == Ok(true) {
                continue;
            }
            for done in request.operations.iter().take(index) {
                self.take_back(done, request.undo);
            }
            let nowait = i32::from(operation.flags) & libc::IPC_NOWAIT != 0;
            return step.and(if nowait { Err(Errno::AGAIN) } else { Ok(Some(index)) });
        }
        for operation in &request.operations {
            if let Some(semaphore) = self.semaphores.get_mut(usize::from(operation.number)) {
                semaphore.pid = request.pid;
            }
        }
        self.operated_at = now();
        Ok(None)
    }

    /// One operation; false if it has to wait. ERANGE.
    fn step(&mut self, operation: &Operation, list: u64) -> Result<bool> {
        let by = i32::from(operation.by);
        let semaphore = self.semaphores.get_mut(usize::from(operation.number)).ok_or(Errno::FBIG)?;
        let value = semaphore.value + by;
        if value < 0 || by == 0 && value != 0 {
            return Ok(false);
        }
        if value > VALUE_MAX {
            return Err(Errno::RANGE);
        }
        if operation.flags & UNDO != 0 {
            let undo = self.undos.entry(list).or_default().entry(operation.number).or_default();
            if !(-VALUE_MAX - 1..=VALUE_MAX).contains(&(*undo - by)) {
                return Err(Errno::RANGE);
            }
            *undo -= by;
        }
        semaphore.value = value;
        Ok(true)
    }

    fn take_back(&mut self, operation: &Operation, list: u64) {
        let by = i32::from(operation.by);
        if let Some(semaphore) = self.semaphores.get_mut(usize::from(operation.number)) {
            semaphore.value -= by;
        }
        let undo = self.undos.get_mut(&list).and_then(|undos| undos.get_mut(&operation.number));
        if let Some(undo) = undo.filter(|_| operation.flags & UNDO != 0) {
            *undo += by;
        }
    }

    /// Does what can be done now of those who wait: first those who only look, then the others in the order in which they came; again until
    /// nothing has changed.
    fn settle(&mut self) {
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for alters in [false, true] {
                let mut left = Vec::new();
                for mut waiting in std::mem::take(&mut self.waiting) {
                    let done = if waiting.request.alters() == alters { self.perform(&waiting.request) } else { Ok(Some(waiting.blocked)) };
                    if let Ok(Some(blocked)) = done {
                        waiting.blocked = blocked;
                        left.push(waiting);
                        continue;
                    }
                    changed |= alters && done.is_ok();
                    waiting.sleeper.finish(done.map(|_| ()));
                }
                self.waiting = left;
            }
        }
    }
}
