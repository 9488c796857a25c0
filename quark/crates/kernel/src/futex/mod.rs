//! `futex(2)`: waits for words of guest memory to change.
//!
//! Waits and wakes are the host's, made by the guest's own thread in its own memory: from the fast entry without asking, or at our word. So what waits
//! in one process and wakes in another meet in the host's table, and no wake is lost between two of them. The kernel decides what a signal makes of a wait,
//! wakes for threads that end, and has locks with priority inheritance to itself.

pub mod lock;
pub mod robust;
pub mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use quark_host::platform::{Context, HostCall, OwnCall};
use rustix::time::{ClockId, clock_gettime};

use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::task::Task;
use crate::{Errno, Result};

pub use robust::thread_ends;
use table::{Key, Waiter};

/// Futexes' system calls.
pub const CALLS: Calls = &[
    (libc::SYS_futex, futex),
    (libc::SYS_futex_waitv, futex_waitv),
    (libc::SYS_set_robust_list, robust::set_robust_list),
    (libc::SYS_get_robust_list, robust::get_robust_list),
];

const PRIVATE: i32 = 128;
const CLOCK_REALTIME: i32 = 256;
/// FUTEX_LOCK_PI2, whose clock is chosen by FUTEX_CLOCK_REALTIME.
const LOCK_PI2: i32 = 13;

/// `futex(2)`.
fn futex(call: &mut Call<'_>) -> Result<u64> {
    let (address, operation) = (call.arg(0), call.int(1));
    let private = operation & PRIVATE != 0;
    let real_time = operation & CLOCK_REALTIME != 0;
    let command = operation & !(PRIVATE | CLOCK_REALTIME);
    let takes_clock = [libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET, libc::FUTEX_WAIT_REQUEUE_PI, LOCK_PI2].contains(&command);
    if real_time && !takes_clock {
        return Err(Errno::NOSYS);
    }
    match command {
        libc::FUTEX_WAIT => return wait(call, operation),
        libc::FUTEX_WAIT_BITSET => {
            stand_by(call, |call| read_deadline(call, 3, real_time))?;
            return own(call, waits(call.arg(3)));
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET | libc::FUTEX_REQUEUE | libc::FUTEX_CMP_REQUEUE | libc::FUTEX_WAKE_OP => {
            return own(call, restart::NO_INTERRUPT);
        }
        _ => {}
    }
    let word = Word::new(call.task, address, private)?;
    match command {
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

/// What a signal makes of a wait: with a time, and so a restart block on Linux, it is not made again after a handler.
fn waits(time: u64) -> Errno {
    if time == 0 { restart::SYS } else { restart::NO_HANDLER }
}

/// Waits here as long as the pod sleeps, which it does only when all wait here.
fn stand_by(call: &mut Call<'_>, deadline: impl FnOnce(&mut Call<'_>) -> Result<Option<Instant>>) -> Result<()> {
    if call.task.kernel().hibernation.is_closed() {
        let deadline = deadline(call)?;
        call.task.parker.stand_by(deadline);
    }
    Ok(())
}

/// Has the thread make the call itself, unless a signal has come first.
fn own(call: &mut Call<'_>, broken: Errno) -> Result<u64> {
    if broken == restart::NO_INTERRUPT || !call.task.interrupted() {
        call.own = Some(OwnCall::Futex(call.args));
    }
    Err(broken)
}

/// FUTEX_WAIT. Its time is from the call on, so what it has waited before an interrupt counts.
fn wait(call: &mut Call<'_>, operation: i32) -> Result<u64> {
    let Some(time) = read_timeout(call, 3)? else {
        stand_by(call, |_| Ok(None))?;
        return own(call, restart::SYS);
    };
    let left = time.saturating_sub(call.context.waited().unwrap_or_default());
    let now = clock_gettime(ClockId::Monotonic);
    let deadline = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32).saturating_add(left);
    stand_by(call, |_| Ok(Instant::now().checked_add(left)))?;
    if call.task.interrupted() {
        return Err(restart::NO_HANDLER);
    }
    let kind = libc::FUTEX_WAIT_BITSET | operation & PRIVATE;
    let [address, _, value, ..] = call.args;
    let arguments = [address, kind as u64, value, 0, 0, u64::from(u32::MAX)];
    call.own = Some(OwnCall::FutexUntil { arguments, deadline: [deadline.as_secs() as i64, i64::from(deadline.subsec_nanos())] });
    Err(restart::NO_HANDLER)
}

/// `futex_waitv(2)`.
fn futex_waitv(call: &mut Call<'_>) -> Result<u64> {
    if call.arg(2) as u32 != 0 {
        return Err(Errno::INVAL);
    }
    stand_by(call, |call| read_deadline(call, 3, call.int(4) == libc::CLOCK_REALTIME))?;
    if !call.task.interrupted() {
        call.own = Some(OwnCall::FutexWaitMany(call.args));
    }
    Err(restart::SYS)
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

/// Wakes one waiter of a word of the thread's memory, private or shared: CLONE_CHILD_CLEARTID, robust lists. If that memory is gone, so are the waiters.
pub fn wake_one(context: &mut Context, address: u64) {
    let _ = context.call(&[HostCall::FutexWake { address, count: 1, private: false }]);
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
