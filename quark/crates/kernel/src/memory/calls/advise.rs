//! madvise, msync, mincore.

use quark_host::platform::HostCall;

use super::super::area::{Area, Backing, Flags, PAGE};
use super::super::map::Map;
use super::super::place::{is_aligned, page_up, range_end};
use crate::call::Call;
use crate::memory::Memory;
use crate::task::lock;
use crate::{Errno, Result};

/// MADV_GUARD_INSTALL and MADV_GUARD_REMOVE.
const GUARD_ADVICE: std::ops::RangeInclusive<i32> = 102..=103;
/// How many pages mincore answers at once.
const MINCORE_STEP: u64 = 1 << 16;

/// What an advice comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    /// Only the host has to know.
    Host,
    /// The host has to know, and so do we: flags to set and to remove.
    Flags(Flags, Flags),
    /// Frees pages: not those that are locked (EINVAL).
    Free,
}

/// EINVAL for unknown advice, and for what Linux may be built without (same-page merging would tell guests about each other's memory;
/// huge pages on demand, MADV_COLLAPSE, are the host's business); EPERM for what only CAP_SYS_ADMIN of the host may do.
fn advice(number: i32) -> Result<Advice> {
    let none = Flags::empty();
    let pace = Flags::SEQUENTIAL | Flags::RANDOM;
    Ok(match number {
        libc::MADV_NORMAL => Advice::Flags(none, pace),
        libc::MADV_RANDOM => Advice::Flags(Flags::RANDOM, pace),
        libc::MADV_SEQUENTIAL => Advice::Flags(Flags::SEQUENTIAL, pace),
        libc::MADV_DONTFORK => Advice::Flags(Flags::DONT_FORK, none),
        libc::MADV_DOFORK => Advice::Flags(none, Flags::DONT_FORK),
        libc::MADV_WIPEONFORK => Advice::Flags(Flags::WIPE_ON_FORK, none),
        libc::MADV_KEEPONFORK => Advice::Flags(none, Flags::WIPE_ON_FORK),
        libc::MADV_DONTDUMP => Advice::Flags(Flags::DONT_DUMP, none),
        libc::MADV_DODUMP => Advice::Flags(none, Flags::DONT_DUMP),
        libc::MADV_HUGEPAGE => Advice::Flags(Flags::HUGE, Flags::NO_HUGE),
        libc::MADV_NOHUGEPAGE => Advice::Flags(Flags::NO_HUGE, Flags::HUGE),
        libc::MADV_DONTNEED | libc::MADV_FREE | libc::MADV_REMOVE | libc::MADV_COLD | libc::MADV_PAGEOUT => Advice::Free,
        libc::MADV_WILLNEED | libc::MADV_DONTNEED_LOCKED | libc::MADV_POPULATE_READ | libc::MADV_POPULATE_WRITE => Advice::Host,
        number if GUARD_ADVICE.contains(&number) => Advice::Free,
        libc::MADV_HWPOISON | libc::MADV_SOFT_OFFLINE => return Err(Errno::PERM),
        _ => return Err(Errno::INVAL),
    })
}

/// Whether Linux refuses an advice for an area.
fn check_advice(number: i32, area: &Area) -> Result<()> {
    let shared = area.flags.contains(Flags::SHARED);
    let file = !matches!(area.backing, Backing::Anonymous);
    let refused = match number {
        libc::MADV_WIPEONFORK | libc::MADV_FREE => file || shared,
        libc::MADV_REMOVE if !file => return Err(Errno::INVAL),
        libc::MADV_REMOVE if !shared || area.flags.contains(Flags::NEVER_WRITE) => return Err(Errno::ACCESS),
        libc::MADV_DONTFORK | libc::MADV_DOFORK | libc::MADV_DODUMP => matches!(area.backing, Backing::Host(_)),
        _ => false,
    };
    let locked = matches!(advice(number), Ok(Advice::Free)) && area.flags.contains(Flags::LOCKED);
    if refused || locked { Err(Errno::INVAL) } else { Ok(()) }
}

/// `man 2 madvise`
pub fn madvise(call: &mut Call<'_>) -> Result<u64> {
    let [start, length, number, ..] = call.args;
    let number = number as i32;
    let what = advice(number)?;
    if !is_aligned(start) || (length != 0 && page_up(length).is_none()) {
        return Err(Errno::INVAL);
    }
    let memory = call.task.memory();
    let mut state = lock(&memory.state);
    let end = page_up(length).and_then(|length| start.checked_add(length)).ok_or(Errno::INVAL)?;
    if start == end {
        return Ok(0);
    }
    let end_mapped = end.min(state.map.end());
    for area in state.map.within(start, end_mapped) {
        check_advice(number, area)?;
    }
    // The host walks over gaps as Linux does: it advises the rest, and answers ENOMEM. What isn't the guest's is above `end_mapped`.
    if start < end_mapped {
        // Nothing is locked on the host.
        let advice = if number == libc::MADV_DONTNEED_LOCKED { libc::MADV_DONTNEED } else { number };
        call.context.call(&[HostCall::Advise { address: start, length: end_mapped - start, advice }]).or_else(mapped_part)?;
    }
    if let Advice::Flags(set, remove) = what {
        state.map.change(start, end_mapped, |area| area.flags = (area.flags - remove) | set);
    }
    check_mapped(&state.map, start, end)
}

/// ENOMEM is answered later, by our own map.
fn mapped_part(error: Errno) -> Result<u64> {
    if error == Errno::NOMEM { Ok(0) } else { Err(error) }
}

fn check_mapped(map: &Map, start: u64, end: u64) -> Result<u64> {
    if map.first_gap(start, end).is_some() { Err(Errno::NOMEM) } else { Ok(0) }
}

/// `man 2 msync`
pub fn msync(call: &mut Call<'_>) -> Result<u64> {
    let [start, length, flags, ..] = call.args;
    let flags = flags as i32;
    let (sync, both) = (flags & libc::MS_SYNC != 0, libc::MS_SYNC | libc::MS_ASYNC);
    if flags & !(both | libc::MS_INVALIDATE) != 0 || !is_aligned(start) || flags & both == both {
        return Err(Errno::INVAL);
    }
    let end = page_up(length).and_then(|length| start.checked_add(length)).ok_or(Errno::NOMEM)?;
    if start == end {
        return Ok(0);
    }
    let memory = call.task.memory();
    let files = shared_files(&memory, start, end, flags & libc::MS_INVALIDATE != 0)?;
    // Not under the map's lock: writing to a disk takes long.
    for (start, end) in files.into_iter().filter(|_| sync) {
        call.context.call(&[HostCall::Sync { address: start, length: end - start, flags: libc::MS_SYNC }])?;
    }
    check_mapped(&lock(&memory.state).map, start, end)
}

/// The parts of a range that are shared mappings of something; EBUSY if they are to be dropped from memory and are locked.
fn shared_files(memory: &Memory, start: u64, end: u64, invalidate: bool) -> Result<Vec<(u64, u64)>> {
    let state = lock(&memory.state);
    let mut files = Vec::new();
    for area in state.map.within(start, end) {
        if invalidate && area.flags.contains(Flags::LOCKED) {
            return Err(Errno::BUSY);
        }
        if area.flags.contains(Flags::SHARED) {
            files.push((area.start.max(start), area.end.min(end)));
        }
    }
    Ok(files)
}

/// `man 2 mincore`: everything that is mapped is told to be in memory, as far as the application can know.
pub fn mincore(call: &mut Call<'_>) -> Result<u64> {
    let [start, length, to, ..] = call.args;
    if !is_aligned(start) {
        return Err(Errno::INVAL);
    }
    let memory = call.task.memory();
    let end = range_end(&lock(&memory.state).map, start, length).ok_or(Errno::NOMEM)?;
    let mut at = start;
    while at < end {
        let step = (end - at).min(MINCORE_STEP * PAGE);
        check_mapped(&lock(&memory.state).map, at, at + step)?;
        let place = to.checked_add((at - start) / PAGE).ok_or(Errno::FAULT)?;
        call.write(place, &vec![1; (step / PAGE) as usize])?;
        at += step;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Protection;

    #[test]
    fn judges_every_advice() {
        for number in -1..=120 {
            let known = advice(number);
            match number {
                0..=4 | 8..=11 | 14..=24 | 102 | 103 => assert!(known.is_ok(), "{number}"),
                100 | 101 => assert_eq!(known, Err(Errno::PERM)),
                _ => assert_eq!(known, Err(Errno::INVAL), "{number}"),
            }
        }
    }

    #[test]
    fn keeps_locked_pages() {
        let flags = Flags::LOCKED;
        let area = Area { start: 0, end: PAGE, protection: Protection::READ, flags, backing: Backing::Anonymous };
        assert_eq!(check_advice(libc::MADV_DONTNEED, &area), Err(Errno::INVAL));
        assert_eq!(check_advice(libc::MADV_RANDOM, &area), Ok(()));
        assert_eq!(check_advice(libc::MADV_REMOVE, &area), Err(Errno::INVAL));
    }
}
