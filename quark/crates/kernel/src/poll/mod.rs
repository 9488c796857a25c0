//! Waiting for one of several files: `poll(2)`, `select(2)` and their kin.

mod calls;
mod select;
pub mod sets;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use calls::CALLS as POLL_CALLS;
pub use select::CALLS as SELECT_CALLS;

use crate::call::Call;
use crate::task::Task;
use crate::time::timers::deadline_after;
use crate::time::value::TimeSpec;
use crate::vfs::open::OpenFile;
use crate::wait::{Events, Registration, Waiter};
use crate::{Errno, Result};

/// A file and what somebody wants to know about it.
pub struct Watched {
    /// The file.
    pub file: Arc<OpenFile>,
    /// ERR and HUP are told too.
    pub interest: Events,
}

impl Watched {
    /// What it is ready for now.
    fn ready(&self) -> Events {
        self.file.file.poll(self.interest) & (self.interest | Events::ERR | Events::HUP)
    }
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Not at all.
    Now,
    /// Until then.
    At(Instant),
    /// For ever.
    Never,
}

impl Timeout {
    /// `None` is for ever.
    pub fn after(duration: Option<Duration>) -> Timeout {
        match duration {
            Some(Duration::ZERO) => Timeout::Now,
            Some(duration) => deadline_after(duration).map_or(Timeout::Never, Timeout::At),
            None => Timeout::Never,
        }
    }

    /// As milliseconds; negative is for ever.
    pub fn after_ms(ms: i32) -> Timeout {
        Timeout::after(u64::try_from(ms).ok().map(Duration::from_millis))
    }

    /// For [`crate::wait::Parker::park`].
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Timeout::At(deadline) => Some(deadline),
            Timeout::Now | Timeout::Never => None,
        }
    }

    /// What is left of it.
    pub fn left(self) -> Duration {
        self.deadline().map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// Waits until at least one of the files is ready or the time is over, and answers what each is ready for, in order.
/// EINTR if a signal came first: callers choose how to restart.
pub fn wait_for_any(task: &Task, watched: &[Watched], timeout: Timeout) -> Result<Vec<Events>> {
    let scan = || watched.iter().map(Watched::ready).collect::<Vec<_>>();
    let any = |ready: &[Events]| ready.iter().any(|events| !events.is_empty());
    let ready = scan();
    if any(&ready) || timeout == Timeout::Now {
        return Ok(ready);
    }
    let waiter: Arc<dyn Waiter> = task.parker.clone();
    let queues = watched.iter().filter_map(|watched| Some((watched.file.file.queue()?, watched.interest)));
    let _places: Vec<Registration<'_>> = queues.map(|(queue, interest)| Registration::new(queue, interest, &waiter)).collect();
    loop {
        let ready = scan();
        if any(&ready) {
            return Ok(ready);
        }
        if task.interrupted() {
            return Err(Errno::INTR);
        }
        if !task.parker.park(timeout.deadline()) {
            return Ok(scan());
        }
    }
}

/// Blocks the signals of a mask in guest memory for the present call, as `ppoll` and `epoll_pwait` do; NULL changes nothing. EINVAL, EFAULT.
/// The old mask is back after the call, or after the handler that interrupts it.
pub fn block_signals(call: &mut Call<'_>, mask_at: u64, size: u64) -> Result<()> {
    if mask_at != 0 {
        let mask = Task::read_mask(call, mask_at, size)?;
        call.task.set_blocked_during_call(mask);
    }
    Ok(())
}

/// Writes what is left of a timeout; what can't be written isn't told, as Linux doesn't.
fn write_left(call: &mut Call<'_>, address: u64, timeout: Timeout) -> Result<()> {
    if address == 0 { Ok(()) } else { call.write_value(address, &TimeSpec::from(timeout.left())) }
}
