//! semget, semop, semtimedop, semctl.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use zerocopy::{Immutable, IntoBytes};

use super::set::{Operation, Request, Set, VALUE_MAX};
use super::{SETS, find, undo_list};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::ipc::limits::limits;
use crate::ipc::sleeper::{Sleeper, Until};
use crate::ipc::{IpcChange, IpcOwner, IpcPermissions};
use crate::task::lock;
use crate::time::value::TimeSpec;
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls =
    &[(libc::SYS_semget, semget), (libc::SYS_semop, semop), (libc::SYS_semtimedop, semtimedop), (libc::SYS_semctl, semctl)];

const SEM_STAT: i32 = 18;
const SEM_INFO: i32 = 19;
const SEM_STAT_ANY: i32 = 20;
/// Who may read, and who may change.
const READ: u32 = 0o444;
const ALTER: u32 = 0o222;

fn semget(call: &mut Call<'_>) -> Result<u64> {
    let (key, count, flags) = (call.int(0), call.int(1), call.int(2));
    let most = limits();
    let count = usize::try_from(count).ok().filter(|count| *count as u64 <= most.semaphores_per_set).ok_or(Errno::INVAL)?;
    let credentials = call.task.credentials();
    let mut table = lock(&SETS);
    let known = table.find(key, flags, &credentials, |set| lock(set).owner.clone(), |set| count <= lock(set).len())?;
    if let Some(id) = known {
        return Ok(id as u64);
    }
    if count == 0 {
        return Err(Errno::INVAL);
    }
    if table.iter().map(|(_, set)| lock(set).len()).sum::<usize>() + count > most.semaphores as usize {
        return Err(Errno::NOSPC);
    }
    let set = Set::new(IpcOwner::new(key, &credentials, flags as u32), count);
    table.add(most.semaphore_sets as usize, Arc::new(Mutex::new(set))).map(|id| id as u64)
}

fn semop(call: &mut Call<'_>) -> Result<u64> {
    operate(call, None)
}

fn semtimedop(call: &mut Call<'_>) -> Result<u64> {
    let timeout = match call.arg(3) {
        0 => None,
        at => Some(call.read_value::<TimeSpec>(at)?),
    };
    operate(call, timeout)
}

fn operate(call: &mut Call<'_>, timeout: Option<TimeSpec>) -> Result<u64> {
    let (id, count) = (call.int(0), call.arg(2) as u32);
    if u64::from(count) > limits().semaphore_operations {
        return Err(Errno::TOOBIG);
    }
    if count == 0 {
        return Err(Errno::INVAL);
    }
    let operations: Vec<Operation> = call.read_values(call.arg(1), count as usize)?;
    let until = match timeout.map(|timeout| timeout.duration()).transpose()? {
        None => Until::Ever,
        Some(timeout) => Instant::now().checked_add(timeout).map_or(Until::Ever, Until::Instant),
    };
    let task = call.task;
    let set = find(id)?;
    let undo = Request::undoes(&operations).then(|| undo_list(task));
    let request = Request { operations, pid: task.process.pid, undo: undo.as_ref().map_or(0, |list| list.key) };
    let sleeper = {
        let mut set = lock(&set);
        if request.operations.iter().any(|operation| usize::from(operation.number) >= set.len()) {
            return Err(Errno::FBIG);
        }
        set.owner.check(&task.credentials(), if request.alters() { ALTER } else { READ })?;
        if let Some(list) = undo {
            lock(&list.sets).insert(id);
        }
        let Some(blocked) = set.operate(&request)? else {
            return Ok(0);
        };
        let sleeper = Sleeper::new(task);
        set.wait(request, blocked, sleeper.clone());
        sleeper
    };
    let answer = sleeper.sleep(task, until).unwrap_or_else(|error| {
        lock(&set).forget(&sleeper);
        // Another may just have done it.
        sleeper.take().unwrap_or(Err(if error == Errno::TIMEDOUT { Errno::AGAIN } else { error }))
    });
    answer.map(|()| 0)
}

/// `struct semid64_ds`.
#[derive(Clone, Copy, IntoBytes, Immutable)]
#[repr(C)]
struct Description {
    permissions: IpcPermissions,
    operated_at: i64,
    unused: u64,
    changed_at: i64,
    unused_too: u64,
    count: u64,
    rest: [u64; 2],
}

fn semctl(call: &mut Call<'_>) -> Result<u64> {
    let (id, number, command, argument) = (call.int(0), call.int(1), call.int(2), call.arg(3));
    if id < 0 {
        return Err(Errno::INVAL);
    }
    match command {
        libc::IPC_INFO | SEM_INFO => told_limits(call, command == SEM_INFO, argument),
        libc::IPC_STAT | SEM_STAT | SEM_STAT_ANY => status(call, id, command, argument),
        libc::GETALL | libc::GETVAL | libc::GETPID | libc::GETNCNT | libc::GETZCNT => get(call, id, number, command, argument),
        libc::SETALL => set_all(call, id, argument),
        libc::SETVAL => set_value(call, id, number, argument as i32),
        libc::IPC_SET => {
            let change: IpcChange = call.read_value(argument)?;
            let set = find(id)?;
            let mut set = lock(&set);
            set.owner.change(&call.task.credentials(), &change)?;
            set.changed_at = crate::ipc::now();
            Ok(0)
        }
        libc::IPC_RMID => {
            let mut table = lock(&SETS);
            let set = table.get(id)?.clone();
            lock(&set).owner.check_control(&call.task.credentials())?;
            table.remove(id);
            lock(&set).remove();
            Ok(0)
        }
        _ => Err(Errno::INVAL),
    }
}

/// `struct seminfo`; answers the highest slot in use.
fn told_limits(call: &mut Call<'_>, usage: bool, to: u64) -> Result<u64> {
    let (sets, semaphores, highest) = {
        let table = lock(&SETS);
        let semaphores: usize = table.iter().map(|(_, set)| lock(set).len()).sum();
        (table.iter().count() as i32, semaphores as i32, table.highest())
    };
    let most = limits();
    let (all, operations) = (most.semaphores as i32, most.semaphore_operations as i32);
    let (size, adjust) = if usage { (sets, semaphores) } else { (20, VALUE_MAX) };
    let info = [all, most.semaphore_sets as i32, all, all, most.semaphores_per_set as i32, operations, operations, size, VALUE_MAX, adjust];
    call.write_value(to, &info)?;
    Ok(highest as u64)
}

fn status(call: &mut Call<'_>, id: i32, command: i32, to: u64) -> Result<u64> {
    let (id, set) = {
        let table = lock(&SETS);
        match command {
            libc::IPC_STAT => (id, table.get(id)?.clone()),
            _ => table.at(id).map(|(id, set)| (id, set.clone())).ok_or(Errno::INVAL)?,
        }
    };
    let description = {
        let set = lock(&set);
        if command != SEM_STAT_ANY {
            set.owner.check(&call.task.credentials(), READ)?;
        }
        Description {
            permissions: set.owner.permissions(id),
            operated_at: set.operated_at,
            unused: 0,
            changed_at: set.changed_at,
            unused_too: 0,
            count: set.len() as u64,
            rest: [0; 2],
        }
    };
    call.write_value(to, &description)?;
    Ok(if command == libc::IPC_STAT { 0 } else { id as u64 })
}

fn get(call: &mut Call<'_>, id: i32, number: i32, command: i32, to: u64) -> Result<u64> {
    let set = find(id)?;
    let set = lock(&set);
    set.owner.check(&call.task.credentials(), READ)?;
    if command == libc::GETALL {
        let values = set.values();
        drop(set);
        call.write(to, values.as_bytes())?;
        return Ok(0);
    }
    let semaphore = set.get(number)?;
    Ok(match command {
        libc::GETVAL => semaphore.value as u64,
        libc::GETPID => semaphore.pid as u64,
        _ => set.count_waiting(number, command == libc::GETZCNT) as u64,
    })
}

fn set_all(call: &mut Call<'_>, id: i32, from: u64) -> Result<u64> {
    let set = find(id)?;
    lock(&set).owner.check(&call.task.credentials(), ALTER)?;
    let count = lock(&set).len();
    let values: Vec<u16> = call.read_values(from, count)?;
    if values.iter().any(|value| i32::from(*value) > VALUE_MAX) {
        return Err(Errno::RANGE);
    }
    let mut set = lock(&set);
    set.check_there()?;
    set.set_all(&values, call.task.process.pid);
    Ok(0)
}

fn set_value(call: &mut Call<'_>, id: i32, number: i32, value: i32) -> Result<u64> {
    if !(0..=VALUE_MAX).contains(&value) {
        return Err(Errno::RANGE);
    }
    let set = find(id)?;
    let mut set = lock(&set);
    set.get(number)?;
    set.owner.check(&call.task.credentials(), ALTER)?;
    set.check_there()?;
    set.set(number, value, call.task.process.pid)?;
    Ok(0)
}
