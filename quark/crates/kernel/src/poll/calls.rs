//! `poll(2)` and `ppoll(2)`.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Timeout, Watched, block_signals, wait_for_any, write_left};
use crate::call::{Call, restart};
use crate::dispatch::Calls;
use crate::task::lock;
use crate::time::value::read_timespec;
use crate::wait::Events;
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[(libc::SYS_poll, poll), (libc::SYS_ppoll, ppoll)];

/// `struct pollfd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

/// Where `revents` is in it.
const REVENTS: u64 = 6;

fn poll(call: &mut Call<'_>) -> Result<u64> {
    let (fds, count) = (call.arg(0), u64::from(call.arg(1) as u32));
    poll_until(call, fds, count, Timeout::after_ms(call.int(2)))
}

/// `poll`, also after a signal without a handler.
fn poll_until(call: &mut Call<'_>, fds: u64, count: u64, timeout: Timeout) -> Result<u64> {
    let answer = poll_once(call, fds, count, timeout);
    if answer != Err(Errno::INTR) {
        return answer;
    }
    call.task.set_restart(move |call| poll_until(call, fds, count, timeout));
    Err(restart::BLOCK)
}

fn ppoll(call: &mut Call<'_>) -> Result<u64> {
    let timeout = Timeout::after(read_timespec(call, call.arg(2))?);
    block_signals(call, call.arg(3), call.arg(4))?;
    let answer = poll_once(call, call.arg(0), u64::from(call.arg(1) as u32), timeout);
    let interrupted = answer == Err(Errno::INTR);
    let told = write_left(call, call.arg(2), timeout);
    // The call can only be made again if the time that is left is where it will be read.
    if interrupted && told.is_ok() { Err(restart::NO_HANDLER) } else { answer }
}

fn poll_once(call: &mut Call<'_>, address: u64, count: u64, timeout: Timeout) -> Result<u64> {
    let limit = lock(&call.task.process.limits).get(libc::RLIMIT_NOFILE as usize).map_or(0, |limit| limit.soft);
    if count > limit {
        return Err(Errno::INVAL);
    }
    let asked: Vec<PollFd> = call.read_values(address, count as usize)?;
    let files = call.task.files();
    let mut watched = Vec::with_capacity(asked.len());
    // For each entry its place in `watched`, or at once its answer.
    let places: Vec<Result<usize, Events>> = asked
        .iter()
        .map(|entry| {
            if entry.fd < 0 {
                return Err(Events::empty());
            }
            let file = files.get(entry.fd).map_err(|_| Events::NVAL)?;
            watched.push(Watched { file, interest: Events::from_bits_truncate(u32::from(entry.events as u16)) });
            Ok(watched.len() - 1)
        })
        .collect();
    let known = places.iter().any(|place| matches!(place, Err(events) if !events.is_empty()));
    let ready = wait_for_any(call.task, &watched, if known { Timeout::Now } else { timeout })?;
    let mut told = 0;
    for ((entry, place), at) in asked.iter().zip(places).zip((address..).step_by(size_of::<PollFd>())) {
        let events = place.map_or_else(|events| events, |index| ready.get(index).copied().unwrap_or(Events::empty()));
        told += u64::from(!events.is_empty());
        let revents = events.bits() as i16;
        // `events` may have been changed by another thread meanwhile: only the answer is written, and only if it's new.
        if revents != entry.revents {
            call.write_value(at + REVENTS, &revents)?;
        }
    }
    Ok(told)
}
