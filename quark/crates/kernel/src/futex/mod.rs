//! `futex(2)`: waits for words of guest memory to change.
//!
//! The word is compared under the lock of its bucket, and wakers take the same lock after the guest has changed the word: no wake is lost.

pub mod lock;
mod many;
pub mod robust;
pub mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use quark_host::platform::{Context, HostCall};
use rustix::time::{ClockId, clock_gettime};

use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::task::{Task, lock as lock_mutex};
use crate::{Errno, Result};

pub use robust::thread_ends;
use table::{Key, Waiter};

/// Futexes' system calls.
pub const CALLS: Calls = &[
    (libc::SYS_futex, futex),
    (libc::SYS_futex_waitv, many::futex_waitv),
    (libc::SYS_set_robust_list, robust::set_robust_list),
    (libc::SYS_get_robust_list, robust::get_robust_list),
];

const PRIVATE: i32 = 128;
const CLOCK_REALTIME: i32 = 256;
/// FUTEX_LOCK_PI2, whose clock is chosen by FUTEX_CLOCK_REALTIME.
const LOCK_PI2: i32 = 13;

/// `futex(2)`.
fn futex(call: &mut Call<'_>) -> Result<u64> {
    let (address, operation, value) = (call.arg(0), call.int(1), call.arg(2) as u32);
    let private = operation & PRIVATE != 0;
    let real_time = operation & CLOCK_REALTIME != 0;
    let command = operation & !(PRIVATE | CLOCK_REALTIME);
    let takes_clock = [libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET, libc::FUTEX_WAIT_REQUEUE_PI, LOCK_PI2].contains(&command);
    if real_time && !takes_clock {
        return Err(Errno::NOSYS);
    }
    let word = Word::new(call.task, address, private)?;
    match command {
        libc::FUTEX_WAIT => {
            let deadline = read_timeout(call, 3)?.map(|time| Instant::now() + time);
            wait(call.task, &word, value, u32::MAX, deadline)
        }
        libc::FUTEX_WAIT_BITSET => {
            let deadline = read_deadline(call, 3, real_time)?;
            wait(call.task, &word, value, call.arg(5) as u32, deadline)
        }
        libc::FUTEX_WAKE => Ok(wake(call.task, &word, value, u32::MAX)?),
        libc::FUTEX_WAKE_BITSET => wake(call.task, &word, value, call.arg(5) as u32),
        libc::FUTEX_REQUEUE => requeue(call, &word, private, None),
        libc::FUTEX_CMP_REQUEUE => requeue(call, &word, private, Some(call.arg(5) as u32)),
        libc::FUTEX_WAKE_OP => wake_op(call, &word, private),
        libc::FUTEX_LOCK_PI => {
            let deadline = read_deadline(call, 3, true)?;
            lock::lock(call, &word, deadline)
        }
        LOCK_PI2 => {
            let deadline = read_deadline(call, 3, real_time)?;
            lock::lock(call, &word, deadline)
        }
        libc::FUTEX_TRYLOCK_PI => lock::try_lock(call, &word),
        libc::FUTEX_UNLOCK_PI => lock::unlock(call, &word),
        _ => Err(Errno::NOSYS),
    }
}

/// A futex word of a thread's memory.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// Aligned by 4.
    pub address: u64,
    /// What its waiters are found by.
    pub key: Key,
}

impl Word {
    /// The word at `address`: EINVAL if it isn't aligned, EFAULT if it can't be shared as nothing is mapped there.
    pub fn new(task: &Task, address: u64, private: bool) -> Result<Word> {
        if address & 3 != 0 {
            return Err(Errno::INVAL);
        }
        if address >= 1 << 47 {
            return Err(Errno::FAULT);
        }
        let memory = task.memory();
        let shared = if private { None } else { memory.shared_place(address)? };
        let key = match shared {
            Some((object, offset)) => Key::Shared(object, offset),
            None => Key::Private(Arc::as_ptr(&memory) as usize, address),
        };
        Ok(Word { address, key })
    }

    /// Its value now. By the host's copy, without the stub's help: bucket locks are held.
    fn value(&self, task: &Task) -> Result<u32> {
        let mut bytes = [0; 4];
        task.memory().space.read(self.address, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// Stores `desired` if it is `expected`; the value before.
    fn exchange(&self, context: &mut Context, expected: u32, desired: u32) -> Result<u32> {
        let before = context.call(&[HostCall::CompareExchange { address: self.address, expected, desired }])?;
        Ok(before as u32)
    }
}

/// FUTEX_WAIT and FUTEX_WAIT_BITSET: EAGAIN if the word isn't `value`, ETIMEDOUT.
fn wait(task: &Arc<Task>, word: &Word, value: u32, bitset: u32, deadline: Option<Instant>) -> Result<u64> {
    if bitset == 0 {
        return Err(Errno::INVAL);
    }
    let waiter = Waiter::new(task, word.key, bitset, None);
    {
        let mut bucket = task.kernel().futexes.bucket(&word.key);
        if word.value(task)? != value {
            return Err(Errno::AGAIN);
        }
        bucket.push(&waiter);
    }
    let result = sleep(task, &waiter, deadline);
    if result == Err(restart::SYS) && deadline.is_some() {
        let word = *word;
        *lock_mutex(&task.restart) = Some(Box::new(move |call| wait(call.task, &word, value, bitset, deadline)));
        return Err(restart::BLOCK);
    }
    result
}

/// Sleeps until somebody wakes the waiter; ETIMEDOUT, or `restart::SYS` for a signal, then it waits no longer.
fn sleep(task: &Task, waiter: &Arc<Waiter>, deadline: Option<Instant>) -> Result<u64> {
    let futexes = &task.kernel().futexes;
    loop {
        if waiter.woken() {
            return Ok(0);
        }
        let error = if task.interrupted() {
            restart::SYS
        } else if task.parker.park(deadline) {
            continue;
        } else {
            Errno::TIMEDOUT
        };
        return if futexes.remove(waiter) { Err(error) } else { Ok(0) };
    }
}

/// FUTEX_WAKE and FUTEX_WAKE_BITSET; how many were woken.
fn wake(task: &Task, word: &Word, count: u32, bitset: u32) -> Result<u64> {
    if bitset == 0 {
        return Err(Errno::INVAL);
    }
    // As Linux: zero and negative counts wake one.
    let count = (count as i32).max(1) as usize;
    Ok(task.kernel().futexes.wake(&word.key, count, bitset) as u64)
}

/// Wakes one waiter of a word of the thread's memory, private or shared: CLONE_CHILD_CLEARTID, robust lists.
pub fn wake_one(task: &Task, address: u64) {
    if let Ok(word) = Word::new(task, address, false) {
        task.kernel().futexes.wake(&word.key, 1, u32::MAX);
    }
}

fn requeue(call: &mut Call<'_>, word: &Word, private: bool, expected: Option<u32>) -> Result<u64> {
    let (wakes, moves) = (call.int(2), call.arg(3) as i32);
    if wakes < 0 || moves < 0 {
        return Err(Errno::INVAL);
    }
    let target = Word::new(call.task, call.arg(4), private)?;
    let task = call.task;
    let check = || match expected {
        Some(expected) if word.value(task)? != expected => Err(Errno::AGAIN),
        _ => Ok(()),
    };
    let counts = (wakes as usize, moves as usize);
    let (woken, moved) = task.kernel().futexes.requeue(&word.key, &target.key, counts, check)?;
    Ok((woken + moved) as u64)
}

/// FUTEX_WAKE_OP's third word, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    operation: u32,
    argument: i32,
    comparison: u32,
    compared: i32,
}

impl Operation {
    fn decode(word: u32) -> Result<Operation> {
        let signed = |bits: u32| ((bits & 0xfff) << 20) as i32 >> 20;
        let mut argument = signed(word >> 12);
        if word >> 31 != 0 {
            argument = 1i32.wrapping_shl(argument as u32 & 31);
        }
        let decoded = Operation { operation: word >> 28 & 7, argument, comparison: word >> 24 & 15, compared: signed(word) };
        if decoded.operation > 4 || decoded.comparison > 5 { Err(Errno::NOSYS) } else { Ok(decoded) }
    }

    fn apply(&self, value: u32) -> u32 {
        let argument = self.argument as u32;
        match self.operation {
            0 => argument,
            1 => value.wrapping_add(argument),
            2 => value | argument,
            3 => value & !argument,
            _ => value ^ argument,
        }
    }

    fn holds(&self, before: u32) -> bool {
        let (before, compared) = (before as i32, self.compared);
        match self.comparison {
            0 => before == compared,
            1 => before != compared,
            2 => before < compared,
            3 => before <= compared,
            4 => before > compared,
            _ => before >= compared,
        }
    }
}

fn wake_op(call: &mut Call<'_>, word: &Word, private: bool) -> Result<u64> {
    let operation = Operation::decode(call.arg(5) as u32)?;
    let other = Word::new(call.task, call.arg(4), private)?;
    let counts = (call.int(2).max(1) as usize, call.int(3).max(1) as usize);
    let task = call.task;
    let context = &mut *call.context;
    let act = || {
        let mut before = other.value(task)?;
        loop {
            let found = other.exchange(context, before, operation.apply(before))?;
            if found == before || task.doomed() {
                return Ok(operation.holds(before));
            }
            before = found;
        }
    };
    let woken = task.kernel().futexes.wake_two((&word.key, counts.0), (&other.key, counts.1), act)?;
    Ok(woken as u64)
}

fn read_timeout(call: &mut Call<'_>, argument: usize) -> Result<Option<Duration>> {
    let address = call.arg(argument);
    if address == 0 {
        return Ok(None);
    }
    let [seconds, nanoseconds]: [i64; 2] = call.read_value(address)?;
    if seconds < 0 || !(0..1_000_000_000).contains(&nanoseconds) {
        return Err(Errno::INVAL);
    }
    Ok(Some(Duration::new(seconds.unsigned_abs().min(FOREVER), nanoseconds as u32)))
}

/// Longer than anybody waits: seconds.
const FOREVER: u64 = 300 * 365 * 86400;

/// An absolute time of CLOCK_MONOTONIC or CLOCK_REALTIME as a moment of ours.
fn read_deadline(call: &mut Call<'_>, argument: usize, real_time: bool) -> Result<Option<Instant>> {
    let Some(at) = read_timeout(call, argument)? else {
        return Ok(None);
    };
    let now = clock_gettime(if real_time { ClockId::Realtime } else { ClockId::Monotonic });
    let now = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32);
    Ok(Some(Instant::now() + at.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FUTEX_OP of the manual.
    fn encode(operation: u32, argument: u32, comparison: u32, compared: u32) -> u32 {
        (operation & 15) << 28 | (comparison & 15) << 24 | (argument & 0xfff) << 12 | compared & 0xfff
    }

    #[test]
    fn wake_ops_are_those_of_the_manual() {
        let add = Operation::decode(encode(1, 0xfff, 4, 1)).unwrap();
        assert_eq!((add.argument, add.apply(5)), (-1, 4));
        assert!(add.holds(2) && !add.holds(1));
        let shifted = Operation::decode(encode(8 | 2, 4, 0, 0)).unwrap();
        assert_eq!(shifted.apply(1), 17);
        assert_eq!(Operation::decode(encode(3, 5, 0, 0)).unwrap().apply(7), 2);
        assert_eq!(Operation::decode(encode(5, 0, 0, 0)), Err(Errno::NOSYS));
        assert_eq!(Operation::decode(encode(0, 0, 6, 0)), Err(Errno::NOSYS));
    }
}
