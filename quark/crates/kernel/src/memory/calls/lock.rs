//! mlock and its kin. Pages are counted, not locked: the host decides what stays in memory, and there is no secret that its owner could leak by swapping.

use super::super::area::{Flags, PAGE};
use super::super::place::page_up;
use crate::call::Call;
use crate::memory::{Allowance, Memory};
use crate::task::lock;
use crate::{Errno, Result};

/// `man 2 mlock`
pub fn mlock(call: &mut Call<'_>) -> Result<u64> {
    lock_range(call, Flags::LOCKED)
}

/// `man 2 mlock2`
pub fn mlock2(call: &mut Call<'_>) -> Result<u64> {
    match call.int(2) {
        0 => lock_range(call, Flags::LOCKED),
        flag if flag == libc::MLOCK_ONFAULT as i32 => lock_range(call, Flags::LOCKED | Flags::LOCKED_ON_FAULT),
        _ => Err(Errno::INVAL),
    }
}

/// `man 2 munlock`
pub fn munlock(call: &mut Call<'_>) -> Result<u64> {
    let (start, end) = range(call)?;
    set_locked(&call.task.memory(), start, end, Flags::empty())
}

fn lock_range(call: &mut Call<'_>, flags: Flags) -> Result<u64> {
    let allowance = Allowance::of(call.task);
    if allowance.locked == 0 {
        return Err(Errno::PERM);
    }
    let (start, end) = range(call)?;
    let memory = call.task.memory();
    {
        let state = lock(&memory.state);
        let parts = state.map.within(start, end).map(|area| area.part(start, end));
        let already: u64 = parts.filter(|area| area.flags.contains(Flags::LOCKED)).map(|area| area.length()).sum();
        let more = (end - start).saturating_sub(already);
        allowance.check_locked(state.map.totals(), more).map_err(|_| Errno::NOMEM)?;
    }
    set_locked(&memory, start, end, flags)
}

/// The pages that have something of the range: the start is rounded down.
fn range(call: &Call<'_>) -> Result<(u64, u64)> {
    let [start, length, ..] = call.args;
    let length = page_up(length.checked_add(start & (PAGE - 1)).ok_or(Errno::INVAL)?).ok_or(Errno::INVAL)?;
    let start = start & !(PAGE - 1);
    Ok((start, start.checked_add(length).ok_or(Errno::INVAL)?))
}

fn set_locked(memory: &Memory, start: u64, end: u64, flags: Flags) -> Result<u64> {
    let mut state = lock(&memory.state);
    let gap = state.map.first_gap(start, end);
    let mask = Flags::LOCKED | Flags::LOCKED_ON_FAULT;
    state.map.change(start, gap.unwrap_or(end), |area| area.flags = (area.flags - mask) | flags);
    if gap.is_some() { Err(Errno::NOMEM) } else { Ok(0) }
}

/// `man 2 mlockall`
pub fn mlockall(call: &mut Call<'_>) -> Result<u64> {
    let flags = call.int(0);
    let all = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    if flags == 0 || flags & !all != 0 || flags == libc::MCL_ONFAULT {
        return Err(Errno::INVAL);
    }
    let allowance = Allowance::of(call.task);
    if allowance.locked == 0 {
        return Err(Errno::PERM);
    }
    let memory = call.task.memory();
    let mut state = lock(&memory.state);
    let mut kind = Flags::LOCKED;
    kind.set(Flags::LOCKED_ON_FAULT, flags & libc::MCL_ONFAULT != 0);
    if flags & libc::MCL_CURRENT != 0 && state.map.totals().all > allowance.locked {
        return Err(Errno::NOMEM);
    }
    state.future = if flags & libc::MCL_FUTURE != 0 { kind } else { Flags::empty() };
    if flags & libc::MCL_CURRENT != 0 {
        let end = state.map.end();
        state.map.change(0, end, |area| area.flags |= kind);
    }
    Ok(0)
}

/// `man 2 munlockall`
pub fn munlockall(call: &mut Call<'_>) -> Result<u64> {
    let memory = call.task.memory();
    let mut state = lock(&memory.state);
    let end = state.map.end();
    state.future = Flags::empty();
    state.map.change(0, end, |area| area.flags -= Flags::LOCKED | Flags::LOCKED_ON_FAULT);
    Ok(0)
}
