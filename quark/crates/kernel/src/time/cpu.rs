//! Clocks of processor time (`man 3 clock_getcpuclockid`).

use std::sync::Arc;
use std::time::Duration;

use crate::task::Task;
use crate::{Errno, Result};

/// The processor time of the thread or process `id`, 0 for the caller's: EINVAL for threads of other processes and for what isn't there.
pub fn of(task: &Arc<Task>, thread: bool, id: i32) -> Result<Duration> {
    let pids = &task.process.container.pids;
    let times = if thread {
        let other = if id == 0 { task.clone() } else { pids.task(id).map_err(|_| Errno::INVAL)? };
        if !Arc::ptr_eq(&other.process, &task.process) {
            return Err(Errno::INVAL);
        }
        other.times()
    } else if id == 0 {
        task.process.times()
    } else {
        pids.process(id).map_err(|_| Errno::INVAL)?.times()
    };
    Ok(times.user + times.system)
}
