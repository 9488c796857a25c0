//! `epoll_create`, `epoll_ctl`, `epoll_wait` and their kin.

use std::sync::Arc;

use super::{Epoll, Interest};
use crate::call::Call;
use crate::dispatch::Calls;
use crate::poll::{Timeout, block_signals};
use crate::time::value::read_timespec;
use crate::vfs::open::OpenFile;
use crate::wait::{Events, Waiter};
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[
    (libc::SYS_epoll_create, epoll_create),
    (libc::SYS_epoll_create1, epoll_create1),
    (libc::SYS_epoll_ctl, epoll_ctl),
    (libc::SYS_epoll_wait, epoll_wait),
    (libc::SYS_epoll_pwait, epoll_pwait),
    (libc::SYS_epoll_pwait2, epoll_pwait2),
];

/// Bytes of a `struct epoll_event`: packed on x86-64.
const EVENT: usize = 12;

impl Interest {
    fn decode(bytes: [u8; EVENT]) -> Interest {
        let (events, data) = bytes.split_at(4);
        Interest { events: events.try_into().map_or(0, u32::from_le_bytes), data: data.try_into().map_or(0, u64::from_le_bytes) }
    }

    fn encode(self) -> impl Iterator<Item = u8> {
        self.events.to_le_bytes().into_iter().chain(self.data.to_le_bytes())
    }
}

fn epoll_create(call: &mut Call<'_>) -> Result<u64> {
    if call.int(0) <= 0 {
        return Err(Errno::INVAL);
    }
    call.install(Epoll::new(), libc::O_RDWR as u32).map(|fd| fd as u64)
}

fn epoll_create1(call: &mut Call<'_>) -> Result<u64> {
    if call.int(0) & !libc::EPOLL_CLOEXEC != 0 {
        return Err(Errno::INVAL);
    }
    call.install(Epoll::new(), (call.int(0) | libc::O_RDWR) as u32).map(|fd| fd as u64)
}

fn epoll_ctl(call: &mut Call<'_>) -> Result<u64> {
    let (operation, fd) = (call.int(1), call.int(2));
    let interest = if operation == libc::EPOLL_CTL_DEL { Interest::default() } else { Interest::decode(call.read_value(call.arg(3))?) };
    let files = call.task.files();
    let set_file = files.get(call.int(0))?;
    let file = files.get(fd)?;
    if file.file.queue().is_none() {
        return Err(Errno::PERM);
    }
    let set = set_of(&set_file)?;
    if Arc::ptr_eq(&set_file, &file) {
        return Err(Errno::INVAL);
    }
    match operation {
        libc::EPOLL_CTL_ADD => set.add(fd, &file, interest)?,
        libc::EPOLL_CTL_MOD => set.modify(fd, &file, interest)?,
        libc::EPOLL_CTL_DEL => set.remove(fd, &file)?,
        _ => return Err(Errno::INVAL),
    }
    Ok(0)
}

fn set_of(file: &Arc<OpenFile>) -> Result<&Epoll> {
    file.file.as_any().downcast_ref().ok_or(Errno::INVAL)
}

fn epoll_wait(call: &mut Call<'_>) -> Result<u64> {
    let timeout = Timeout::after_ms(call.int(3));
    wait(call, timeout)
}

fn epoll_pwait(call: &mut Call<'_>) -> Result<u64> {
    let timeout = Timeout::after_ms(call.int(3));
    masked_wait(call, timeout)
}

fn epoll_pwait2(call: &mut Call<'_>) -> Result<u64> {
    let timeout = Timeout::after(read_timespec(call, call.arg(3))?);
    masked_wait(call, timeout)
}

fn masked_wait(call: &mut Call<'_>, timeout: Timeout) -> Result<u64> {
    block_signals(call, call.arg(4), call.arg(5))?;
    wait(call, timeout)
}

/// Never made again after a signal: EINTR, as by Linux.
fn wait(call: &mut Call<'_>, timeout: Timeout) -> Result<u64> {
    let (address, count) = (call.arg(1), call.int(2));
    let count = usize::try_from(count).ok().filter(|count| (1..=i32::MAX as usize / EVENT).contains(count)).ok_or(Errno::INVAL)?;
    let file = call.task.files().get(call.int(0))?;
    let events = wait_in(call, set_of(&file)?, count, timeout)?;
    let bytes: Vec<u8> = events.iter().flat_map(|event| event.encode()).collect();
    call.write(address, &bytes)?;
    Ok(events.len() as u64)
}

fn wait_in(call: &Call<'_>, set: &Epoll, count: usize, timeout: Timeout) -> Result<Vec<Interest>> {
    let events = set.take(count);
    if !events.is_empty() || timeout == Timeout::Now {
        return Ok(events);
    }
    let task = call.task;
    let waiter: Arc<dyn Waiter> = task.parker.clone();
    // One event wakes one of those who wait in the same set.
    let key = set.queue.register_exclusive(Events::IN, &waiter);
    let answer = loop {
        let events = set.take(count);
        if !events.is_empty() {
            break Ok(events);
        }
        if task.interrupted() {
            break Err(Errno::INTR);
        }
        if !task.parker.park(timeout.deadline()) {
            break Ok(set.take(count));
        }
    };
    set.queue.remove(key);
    // The wake-up that a signal or the timeout overtook is another one's.
    if answer.as_ref().map_or(true, Vec::is_empty) && !set.is_idle() {
        set.queue.notify(Events::IN | Events::RDNORM);
    }
    answer
}
