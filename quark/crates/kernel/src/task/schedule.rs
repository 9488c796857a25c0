//! How a thread asks to be scheduled. The host schedules all guest threads alike, within the pod's cgroup; what was asked for is kept and told.

use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::identity::named_thread;
use super::{Task, lock};
use crate::call::Call;
use crate::{Errno, Result};

const CAP_SYS_NICE: u32 = 23;
const RESET_ON_FORK: i32 = 0x4000_0000;
const SCHED_DEADLINE: i32 = 6;
/// SCHED_OTHER, SCHED_BATCH and SCHED_IDLE have no priority; SCHED_FIFO and SCHED_RR have 1 to 99.
const REAL_TIME: [i32; 2] = [libc::SCHED_FIFO, libc::SCHED_RR];
const PLAIN: [i32; 3] = [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE];

/// How many processors the guest has: those that the kernel process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// The highest and lowest priority of a policy.
fn priorities(policy: i32) -> Result<(i32, i32)> {
    match policy {
        policy if REAL_TIME.contains(&policy) => Ok((99, 1)),
        policy if PLAIN.contains(&policy) || policy == SCHED_DEADLINE => Ok((0, 0)),
        _ => Err(Errno::INVAL),
    }
}

/// `sched_get_priority_max(2)`.
pub fn sched_get_priority_max(call: &mut Call<'_>) -> Result<u64> {
    priorities(call.int(0)).map(|(highest, _)| highest as u64)
}

/// `sched_get_priority_min(2)`.
pub fn sched_get_priority_min(call: &mut Call<'_>) -> Result<u64> {
    priorities(call.int(0)).map(|(_, lowest)| lowest as u64)
}

/// `sched_yield(2)`.
pub fn sched_yield(_: &mut Call<'_>) -> Result<u64> {
    std::thread::yield_now();
    Ok(0)
}

/// `sched_rr_get_interval(2)`: 100 ms for SCHED_RR, 0 for SCHED_FIFO, else what the host's slices roughly are.
pub fn sched_rr_get_interval(call: &mut Call<'_>) -> Result<u64> {
    let policy = lock(&named_thread(call, call.int(0))?.own).scheduling.policy;
    let nanoseconds: i64 = match policy {
        libc::SCHED_RR => 100_000_000,
        libc::SCHED_FIFO => 0,
        _ => 4_000_000,
    };
    call.write_value(call.arg(1), &[0i64, nanoseconds]).map(|()| 0)
}

/// Whether one may change how another is scheduled.
fn may_change(call: &Call<'_>, task: &Task) -> Result<()> {
    let (mine, theirs) = (call.task.credentials(), task.credentials());
    let same = mine.euid == theirs.uid || mine.euid == theirs.euid;
    if same || mine.capable(CAP_SYS_NICE) { Ok(()) } else { Err(Errno::PERM) }
}

/// `sched_getscheduler(2)`.
pub fn sched_getscheduler(call: &mut Call<'_>) -> Result<u64> {
    let scheduling = lock(&named_thread(call, call.int(0))?.own).scheduling.clone();
    Ok((scheduling.policy | if scheduling.reset_on_fork { RESET_ON_FORK } else { 0 }) as u64)
}

/// `sched_setscheduler(2)`.
pub fn sched_setscheduler(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(2) == 0 {
        return Err(Errno::INVAL);
    }
    let priority: i32 = call.read_value(call.arg(2))?;
    let policy = call.int(1);
    let task = named_thread(call, call.int(0))?;
    set(call, &task, policy & !RESET_ON_FORK, priority, policy & RESET_ON_FORK != 0)
}

/// `sched_getparam(2)`.
pub fn sched_getparam(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(1) == 0 {
        return Err(Errno::INVAL);
    }
    let priority = lock(&named_thread(call, call.int(0))?.own).scheduling.priority;
    call.write_value(call.arg(1), &priority).map(|()| 0)
}

/// `sched_setparam(2)`.
pub fn sched_setparam(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(1) == 0 {
        return Err(Errno::INVAL);
    }
    let priority: i32 = call.read_value(call.arg(1))?;
    let task = named_thread(call, call.int(0))?;
    let current = lock(&task.own).scheduling.clone();
    set(call, &task, current.policy, priority, current.reset_on_fork)
}

fn set(call: &Call<'_>, task: &Arc<Task>, policy: i32, priority: i32, reset_on_fork: bool) -> Result<u64> {
    let (highest, lowest) = priorities(policy).ok().filter(|_| policy != SCHED_DEADLINE).ok_or(Errno::INVAL)?;
    if !(lowest..=highest).contains(&priority) {
        return Err(Errno::INVAL);
    }
    may_change(call, task)?;
    let limit = task.process.limit(libc::RLIMIT_RTPRIO);
    if REAL_TIME.contains(&policy) && priority as u64 > limit && !call.task.credentials().capable(CAP_SYS_NICE) {
        return Err(Errno::PERM);
    }
    let mut own = lock(&task.own);
    // Who leaves SCHED_IDLE gets more of the processor, as by a lower nice value.
    let rises = own.scheduling.policy == libc::SCHED_IDLE && policy != libc::SCHED_IDLE;
    let reach = task.process.limit(libc::RLIMIT_NICE);
    if rises
        && i64::from(20 - own.scheduling.nice) > i64::try_from(reach).unwrap_or(i64::MAX)
        && !call.task.credentials().capable(CAP_SYS_NICE)
    {
        return Err(Errno::PERM);
    }
    (own.scheduling.policy, own.scheduling.priority, own.scheduling.reset_on_fork) = (policy, priority, reset_on_fork);
    Ok(0)
}

/// `struct sched_attr` of its first size, 48 bytes.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

const ATTRIBUTES_SIZE: u32 = 48;

/// `sched_getattr(2)`.
pub fn sched_getattr(call: &mut Call<'_>) -> Result<u64> {
    let size = call.arg(2) as u32;
    if call.arg(3) != 0 || !(ATTRIBUTES_SIZE..=4096).contains(&size) {
        return Err(Errno::INVAL);
    }
    let scheduling = lock(&named_thread(call, call.int(0))?.own).scheduling.clone();
    let attributes = Attributes {
        size: ATTRIBUTES_SIZE,
        policy: scheduling.policy as u32,
        flags: scheduling.reset_on_fork.into(),
        nice: scheduling.nice,
        priority: scheduling.priority as u32,
        ..Attributes::default()
    };
    call.write_value(call.arg(1), &attributes).map(|()| 0)
}

/// `sched_setattr(2)`.
pub fn sched_setattr(call: &mut Call<'_>) -> Result<u64> {
    let attributes: Attributes = call.read_value(call.arg(1))?;
    if call.arg(2) != 0 || attributes.flags & !1 != 0 {
        return Err(Errno::INVAL);
    }
    if attributes.size != 0 && attributes.size < ATTRIBUTES_SIZE {
        call.write_value(call.arg(1), &ATTRIBUTES_SIZE)?;
        return Err(Errno::TOOBIG);
    }
    let task = named_thread(call, call.int(0))?;
    set(call, &task, attributes.policy as i32, attributes.priority as i32, attributes.flags & 1 != 0)?;
    if PLAIN.contains(&(attributes.policy as i32)) {
        set_nice(call, &task, attributes.nice)?;
    }
    Ok(0)
}

fn set_nice(call: &Call<'_>, task: &Task, nice: i32) -> Result<()> {
    may_change(call, task)?;
    let nice = nice.clamp(-20, 19);
    let current = lock(&task.own).scheduling.nice;
    // RLIMIT_NICE counts from 1 (nice 19) to 40 (nice -20).
    let allowed = task.process.limit(libc::RLIMIT_NICE);
    if nice < current && (20 - nice) as u64 > allowed && !call.task.credentials().capable(CAP_SYS_NICE) {
        return Err(Errno::ACCESS);
    }
    lock(&task.own).scheduling.nice = nice;
    Ok(())
}

/// The threads that PRIO_PROCESS, PRIO_PGRP or PRIO_USER mean: ESRCH if there are none.
fn chosen(call: &Call<'_>, which: i32, who: i32) -> Result<Vec<Arc<Task>>> {
    let process = &call.task.process;
    let pids = &process.container.pids;
    let threads = match which {
        0 => vec![named_thread(call, who).map_err(|_| Errno::SRCH)?],
        1 => {
            let group = if who == 0 { process.group() } else { who };
            pids.group(group).iter().flat_map(|member| member.threads()).collect()
        }
        2 => {
            let uid = if who == 0 { call.task.credentials().uid } else { who as u32 };
            let all: Vec<_> = pids.table().tasks.values().cloned().collect();
            all.into_iter().filter(|task| task.credentials().uid == uid).collect()
        }
        _ => return Err(Errno::INVAL),
    };
    if threads.is_empty() { Err(Errno::SRCH) } else { Ok(threads) }
}

/// `getpriority(2)`: 20 less the nice value, the highest of all that are meant.
pub fn getpriority(call: &mut Call<'_>) -> Result<u64> {
    let threads = chosen(call, call.int(0), call.int(1))?;
    let best = threads.iter().map(|task| 20 - lock(&task.own).scheduling.nice).max();
    Ok(best.unwrap_or(20) as u64)
}

/// `setpriority(2)`.
pub fn setpriority(call: &mut Call<'_>) -> Result<u64> {
    let nice = call.int(2);
    for task in chosen(call, call.int(0), call.int(1))? {
        set_nice(call, &task, nice)?;
    }
    Ok(0)
}

/// All processors, as a mask of words.
fn all_processors() -> Vec<u64> {
    let count = processors();
    (0..count.div_ceil(64)).map(|word| if count - word * 64 >= 64 { u64::MAX } else { (1 << (count - word * 64)) - 1 }).collect()
}

/// `sched_getaffinity(2)`: how many bytes it stored.
pub fn sched_getaffinity(call: &mut Call<'_>) -> Result<u64> {
    let size = call.arg(1) as usize;
    let all = all_processors();
    if size & 7 != 0 || size < all.len() * 8 {
        return Err(Errno::INVAL);
    }
    let own = lock(&named_thread(call, call.int(0))?.own).scheduling.affinity.clone();
    let mask = if own.is_empty() { all } else { own };
    call.write(call.arg(2), mask.as_bytes())?;
    Ok(mask.as_bytes().len() as u64)
}

/// `sched_setaffinity(2)`: EINVAL if no processor that there is is left.
pub fn sched_setaffinity(call: &mut Call<'_>) -> Result<u64> {
    let task = named_thread(call, call.int(0))?;
    may_change(call, &task)?;
    let mut bytes = vec![0; (call.arg(1) as usize).min(1024)];
    call.read(call.arg(2), &mut bytes)?;
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let wanted: Vec<u64> = bytes.chunks_exact(8).filter_map(|word| word.try_into().ok()).map(u64::from_le_bytes).collect();
    let mask: Vec<u64> = all_processors().iter().zip(wanted.iter().chain(std::iter::repeat(&0))).map(|(all, word)| all & word).collect();
    if mask.iter().all(|word| *word == 0) {
        return Err(Errno::INVAL);
    }
    lock(&task.own).scheduling.affinity = mask;
    Ok(0)
}

/// `getcpu(2)`.
pub fn getcpu(call: &mut Call<'_>) -> Result<u64> {
    let processor = rustix::thread::sched_getcpu() as u32;
    if call.arg(0) != 0 {
        call.write_value(call.arg(0), &processor)?;
    }
    if call.arg(1) != 0 {
        call.write_value(call.arg(1), &0u32)?;
    }
    Ok(0)
}

/// `ioprio_get(2)`: of a process (1), group (2) or user (3), the highest.
pub fn ioprio_get(call: &mut Call<'_>) -> Result<u64> {
    let threads = chosen(call, call.int(0).wrapping_sub(1), call.int(1))?;
    Ok(threads.iter().map(|task| lock(&task.own).scheduling.io_priority).min().unwrap_or(0) as u64)
}

/// `ioprio_set(2)`.
pub fn ioprio_set(call: &mut Call<'_>) -> Result<u64> {
    let value = call.int(2);
    let (class, data) = (value >> 13, value & 0x1fff);
    let valid = match class {
        0 => data == 0,
        1 | 2 => data & 7 == data,
        3 => true,
        _ => false,
    };
    if !valid {
        return Err(Errno::INVAL);
    }
    if class == 1 && !call.task.credentials().capable(21) && !call.task.credentials().capable(CAP_SYS_NICE) {
        return Err(Errno::PERM);
    }
    for task in chosen(call, call.int(0).wrapping_sub(1), call.int(1))? {
        may_change(call, &task)?;
        lock(&task.own).scheduling.io_priority = value;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_time_policies_have_priorities() {
        assert_eq!(priorities(libc::SCHED_FIFO), Ok((99, 1)));
        assert_eq!(priorities(libc::SCHED_OTHER), Ok((0, 0)));
        assert_eq!(priorities(4), Err(Errno::INVAL));
    }

    #[test]
    fn all_processors_are_as_many_bits_as_there_are() {
        let bits: u32 = all_processors().iter().map(|word| word.count_ones()).sum();
        assert_eq!(bits as usize, processors());
    }
}
