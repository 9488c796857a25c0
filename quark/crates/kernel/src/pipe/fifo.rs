//! Opening FIFOs: who opens one side waits for the other.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, Weak};

use super::{Pipe, PipeEnd};
use crate::task::{Task, lock};
use crate::vfs::inode::Inode;
use crate::wait::Events;
use crate::{Errno, Result};

type Pipes = HashMap<(u64, u64), Weak<Pipe>>;

/// The pipes of the FIFOs that are open, by device and inode number.
static OPEN: LazyLock<Mutex<Pipes>> = LazyLock::new(Mutex::default);

/// Opens the FIFO at `inode` (`man 7 fifo`). `flags` are `open(2)`'s: O_ACCMODE, O_NONBLOCK, O_DIRECT. Without O_NONBLOCK it waits for the
/// other side (`restart::SYS` after a signal); with it, writing is ENXIO while nobody reads.
pub fn open_fifo(task: &Task, inode: Arc<dyn Inode>, flags: u32) -> Result<Arc<PipeEnd>> {
    let stat = inode.stat()?;
    let pipe = pipe_of((stat.device, stat.inode), task.credentials().uid);
    let (end, wait_for) = enter(&pipe, inode, flags)?;
    let Some(side) = wait_for else {
        return Ok(end);
    };
    // An end that is dropped because of the error leaves the pipe again.
    task.block_on(&pipe.queues.both, Events::HUP, None, || side.has_come(&pipe).then_some(()))?;
    Ok(end)
}

fn pipe_of(key: (u64, u64), uid: u32) -> Arc<Pipe> {
    let mut open = lock(&OPEN);
    if let Some(pipe) = open.get(&key).and_then(Weak::upgrade) {
        return pipe;
    }
    open.retain(|_, pipe| pipe.strong_count() > 0);
    let pipe = Pipe::new(uid);
    open.insert(key, Arc::downgrade(&pipe));
    pipe
}

/// The side that an opener waits for, and how often it had been opened by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Readers(u64),
    Writers(u64),
}

impl Side {
    /// Whether somebody opened it since, even if they have gone again.
    pub(super) fn has_come(self, pipe: &Pipe) -> bool {
        let state = pipe.state();
        match self {
            Side::Readers(ever) => state.readers_ever != ever,
            Side::Writers(ever) => state.writers_ever != ever,
        }
    }
}

/// Counts a new end in, tells those who wait for it, and says whom it has to wait for.
pub(super) fn enter(pipe: &Arc<Pipe>, inode: Arc<dyn Inode>, flags: u32) -> Result<(Arc<PipeEnd>, Option<Side>)> {
    let has = |flag: i32| flags & flag as u32 != 0;
    let (read, write) = match flags as i32 & libc::O_ACCMODE {
        libc::O_RDONLY => (true, false),
        libc::O_WRONLY => (false, true),
        libc::O_RDWR => (true, true),
        _ => return Err(Errno::INVAL),
    };
    let mut state = pipe.state();
    let (readers, writers) = (Side::Readers(state.readers_ever), Side::Writers(state.writers_ever));
    if write && !read && has(libc::O_NONBLOCK) && state.readers == 0 {
        return Err(Errno::NXIO);
    }
    state.open(read, write);
    let mut end = PipeEnd::new(pipe, read, write, has(libc::O_DIRECT));
    end.inode = Some(inode);
    let alone = if read { state.writers == 0 } else { state.readers == 0 };
    let mut wait_for = None;
    if alone && has(libc::O_NONBLOCK) {
        end.quiet_until_written = Some(state.writers_ever);
    } else if alone {
        wait_for = Some(if read { writers } else { readers });
    }
    drop(state);
    pipe.queues.both.notify(Events::HUP);
    Ok((Arc::new(end), wait_for))
}
