//! `futex_waitv(2)`: waits for any of several words.

use std::sync::Arc;
use std::time::Instant;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::table::Waiter;
use super::{Word, read_deadline};
use crate::call::{Call, restart};
use crate::task::Task;
use crate::{Errno, Result};

/// FUTEX_WAITV_MAX.
const WORDS_MAX: usize = 128;
/// FUTEX2_SIZE_U32: the only size that Linux has.
const SIZE_32: u32 = 2;
/// FUTEX2_PRIVATE.
const PRIVATE: u32 = 128;

/// `struct futex_waitv`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct UserWaiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// `futex_waitv(2)`: which word was woken. EAGAIN if one isn't as it should be, ETIMEDOUT.
pub fn futex_waitv(call: &mut Call<'_>) -> Result<u64> {
    let (address, count, clock) = (call.arg(0), call.arg(1) as usize, call.int(4));
    if call.arg(2) != 0 || address == 0 || !(1..=WORDS_MAX).contains(&count) {
        return Err(Errno::INVAL);
    }
    let deadline = match (call.arg(3), clock) {
        (0, _) => None,
        (_, libc::CLOCK_MONOTONIC | libc::CLOCK_REALTIME) => read_deadline(call, 3, clock == libc::CLOCK_REALTIME)?,
        _ => return Err(Errno::INVAL),
    };
    let wanted: Vec<UserWaiter> = call.read_values(address, count)?;
    let words = wanted.iter().map(|wanted| word(call.task, wanted)).collect::<Result<Vec<_>>>()?;
    let mut queued = Vec::with_capacity(count);
    for (word, wanted) in words.iter().zip(&wanted) {
        match queue(call.task, word, wanted.value as u32) {
            Ok(waiter) => queued.push(waiter),
            // One that was queued before may have been woken: that counts.
            Err(error) => return leave(call.task, &queued).ok_or(error),
        }
    }
    sleep(call.task, &queued, deadline)
}

fn word(task: &Task, wanted: &UserWaiter) -> Result<Word> {
    if wanted.flags & !PRIVATE != SIZE_32 || wanted.reserved != 0 || wanted.value > u64::from(u32::MAX) {
        return Err(Errno::INVAL);
    }
    Word::new(task, wanted.address, wanted.flags & PRIVATE != 0)
}

fn queue(task: &Task, word: &Word, value: u32) -> Result<Arc<Waiter>> {
    let waiter = Waiter::new(task, word.key, u32::MAX, None);
    let mut bucket = task.kernel().futexes.bucket(&word.key);
    if word.value(task)? != value {
        return Err(Errno::AGAIN);
    }
    bucket.push(&waiter);
    Ok(waiter)
}

/// Waits for none any longer; the highest that was woken before, as on Linux.
fn leave(task: &Task, queued: &[Arc<Waiter>]) -> Option<u64> {
    let futexes = &task.kernel().futexes;
    let woken = queued.iter().enumerate().filter(|(_, waiter)| !futexes.remove(waiter));
    woken.map(|(index, _)| index as u64).next_back()
}

fn sleep(task: &Task, queued: &[Arc<Waiter>], deadline: Option<Instant>) -> Result<u64> {
    loop {
        let error = if queued.iter().any(|waiter| waiter.woken()) || task.interrupted() {
            restart::SYS
        } else if task.parker.park(deadline) {
            continue;
        } else {
            Errno::TIMEDOUT
        };
        return leave(task, queued).ok_or(error);
    }
}
