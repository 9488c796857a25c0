//! Counters to wait for (`man 2 eventfd`).

use std::any::Any;
use std::sync::{Arc, Mutex};

use crate::call::Call;
use crate::dispatch::Calls;
use crate::file::File;
use crate::task::lock;
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// What this module answers.
pub const CALLS: Calls = &[(libc::SYS_eventfd, eventfd), (libc::SYS_eventfd2, eventfd2)];

/// The highest value of the counter.
const COUNT_MAX: u64 = u64::MAX - 1;

/// A counter.
pub struct EventFd {
    count: Mutex<u64>,
    /// EFD_SEMAPHORE: reads take 1.
    semaphore: bool,
    queue: WaitQueue,
}

impl EventFd {
    /// With a value to begin with.
    pub fn new(count: u64, semaphore: bool) -> Arc<EventFd> {
        Arc::new(EventFd { count: Mutex::new(count), semaphore, queue: WaitQueue::default() })
    }
}

impl File for EventFd {
    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        let to = to.first_chunk_mut::<8>().ok_or(Errno::INVAL)?;
        let mut count = lock(&self.count);
        let taken = if self.semaphore { (*count).min(1) } else { *count };
        if taken == 0 {
            return Err(Errno::AGAIN);
        }
        *count -= taken;
        drop(count);
        *to = taken.to_ne_bytes();
        self.queue.notify(Events::OUT | Events::WRNORM);
        Ok(8)
    }

    fn write(&self, from: &[u8], _: u64) -> Result<usize> {
        let added = u64::from_ne_bytes(*from.first_chunk().ok_or(Errno::INVAL)?);
        if added > COUNT_MAX {
            return Err(Errno::INVAL);
        }
        let mut count = lock(&self.count);
        if added > COUNT_MAX - *count {
            return Err(Errno::AGAIN);
        }
        *count += added;
        drop(count);
        self.queue.notify(Events::IN | Events::RDNORM);
        Ok(8)
    }

    fn poll(&self, interest: Events) -> Events {
        let count = *lock(&self.count);
        let mut ready = Events::empty();
        ready.set(Events::IN, count > 0);
        ready.set(Events::OUT, count < COUNT_MAX);
        ready & interest
    }

    fn ignores_position(&self) -> bool {
        true
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[eventfd]".to_vec()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn eventfd(call: &mut Call<'_>) -> Result<u64> {
    make(call, 0)
}

fn eventfd2(call: &mut Call<'_>) -> Result<u64> {
    make(call, call.int(1))
}

fn make(call: &Call<'_>, flags: i32) -> Result<u64> {
    if flags & !(libc::EFD_SEMAPHORE | libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) != 0 {
        return Err(Errno::INVAL);
    }
    let file = EventFd::new(u64::from(call.arg(0) as u32), flags & libc::EFD_SEMAPHORE != 0);
    let flags = flags & !libc::EFD_SEMAPHORE | libc::O_RDWR;
    call.install(file, flags as u32).map(|fd| fd as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, PollFd, PollFlags};

    /// Runs the same reads (`None`) and writes on ours and the host's, and compares answers and poll masks.
    fn same_as_host(semaphore: bool, steps: &[Option<u64>]) {
        let flags = if semaphore { EventfdFlags::SEMAPHORE } else { EventfdFlags::empty() };
        let host = rustix::event::eventfd(3, flags | EventfdFlags::NONBLOCK).unwrap();
        let ours = EventFd::new(3, semaphore);
        for step in steps {
            let (mut host_bytes, mut our_bytes) = ([0; 8], [0; 8]);
            match step {
                Some(value) => assert_eq!(ours.write(&value.to_ne_bytes(), 0), rustix::io::write(&host, &value.to_ne_bytes())),
                None => assert_eq!(ours.read(&mut our_bytes, 0), rustix::io::read(&host, &mut host_bytes)),
            }
            assert_eq!(our_bytes, host_bytes);
            let mut polled = [PollFd::new(&host, PollFlags::IN | PollFlags::OUT)];
            rustix::event::poll(&mut polled, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap();
            assert_eq!(ours.poll(Events::all()).bits(), u32::from(polled[0].revents().bits()), "after {step:?} of {steps:?}");
        }
    }

    #[test]
    fn counts_as_the_hosts() {
        let max = u64::MAX;
        for semaphore in [false, true] {
            same_as_host(semaphore, &[None, None, Some(0), None, Some(5), Some(2), None, None, None]);
            same_as_host(semaphore, &[Some(max), Some(max - 1), Some(max - 4), Some(1), Some(0), None, None]);
        }
    }

    #[test]
    fn eight_bytes_or_nothing() {
        let file = EventFd::new(1, false);
        assert_eq!(file.read(&mut [0; 7], 0), Err(Errno::INVAL));
        assert_eq!(file.write(&[0; 7], 0), Err(Errno::INVAL));
        assert_eq!(file.read(&mut [0; 9], 0), Ok(8));
    }
}
