//! From a system call's number to what answers it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::call::{Call, Handler};
use crate::{Errno, Result};

/// The system calls of one module, by number.
pub type Calls = &'static [(i64, Handler)];

/// Every module's calls, one a line, in order.
#[rustfmt::skip]
const MODULES: &[Calls] = &[
    crate::epoll::CALLS,
    crate::eventfd::CALLS,
    crate::memory::CALLS,
    crate::futex::CALLS,
    crate::ipc::message::CALLS,
    crate::ipc::mqueue::CALLS,
    crate::ipc::semaphore::CALLS,
    crate::pipe::CALLS,
    crate::poll::POLL_CALLS,
    crate::poll::SELECT_CALLS,
    crate::seccomp::CALLS,
    crate::signal::calls::CALLS,
    crate::signal::signalfd::CALLS,
    crate::system::CALLS,
    crate::task::identity::CALLS,
    crate::time::clock::CALLS,
    crate::time::process_timers::CALLS,
    crate::time::sleep::CALLS,
    crate::time::timerfd::CALLS,
    crate::net::CALLS,
];

/// One more than the highest number that Linux has given so far, with room.
const NUMBERS: usize = 512;

fn all() -> impl Iterator<Item = &'static (i64, Handler)> {
    MODULES.iter().chain(crate::vfs::calls::CALLS).copied().flatten()
}

static TABLE: LazyLock<[Option<Handler>; NUMBERS]> = LazyLock::new(|| {
    let mut table = [None; NUMBERS];
    for (number, handler) in all() {
        if let Some(place) = usize::try_from(*number).ok().and_then(|number| table.get_mut(number)) {
            *place = Some(*handler);
        }
    }
    table
});

static UNKNOWN: [AtomicU64; NUMBERS] = [const { AtomicU64::new(0) }; NUMBERS];

/// Answers a call; ENOSYS, counted, for what nobody answers.
pub fn dispatch(call: &mut Call<'_>) -> Result<u64> {
    let number = call.number as usize;
    match TABLE.get(number).copied().flatten() {
        Some(handler) => handler(call),
        None => {
            if let Some(counter) = UNKNOWN.get(number) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Err(Errno::NOSYS)
        }
    }
}

/// How often each number was asked for in vain, for those that were.
pub fn unknown() -> Vec<(u32, u64)> {
    let counts = UNKNOWN.iter().map(|counter| counter.load(Ordering::Relaxed));
    (0..).zip(counts).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_modules_answer_the_same_call() {
        let mut numbers: Vec<i64> = all().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        let all = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), all);
        assert!(numbers.iter().all(|number| (0..NUMBERS as i64).contains(number)));
    }
}
