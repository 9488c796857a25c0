//! Pipes and FIFOs (`man 7 pipe`, `man 7 fifo`).

pub mod buffer;
mod calls;
mod fifo;

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use buffer::{SLOT, Slots};
pub use calls::CALLS;
pub use fifo::open_fifo;

use crate::call::Call;
use crate::file::File;
use crate::task::lock;
use crate::vfs::inode::{Inode, Stat};
use crate::wait::{Events, WaitQueue};
use crate::{Errno, Result};

/// Slots of a new pipe: 64 KiB.
const SLOTS_DEFAULT: usize = 16;
/// Slots of a new pipe of a user who has [`USER_SLOTS_SOFT`] already.
const SLOTS_SMALL: usize = 2;
/// The most that F_SETPIPE_SZ gives, bytes (`/proc/sys/fs/pipe-max-size`).
pub const SIZE_MAX: u64 = 1 << 20;
/// Slots that the pipes of a user have before new ones are small and none may grow (`/proc/sys/fs/pipe-user-pages-soft`).
pub const USER_SLOTS_SOFT: usize = 16384;

/// Slots that each user's pipes have. There is one kernel a process, so one table.
static USER_SLOTS: LazyLock<Mutex<HashMap<u32, usize>>> = LazyLock::new(Mutex::default);
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(1);

/// A pipe or the data of a FIFO.
pub struct Pipe {
    number: u64,
    uid: u32,
    /// Taken by readers for the whole of a read or splice, so that bytes leave in order.
    reading: Mutex<()>,
    state: Mutex<State>,
    queues: Queues,
}

/// Who waits: at read ends, at write ends, and at FIFOs that are open for both (or are being opened). An edge at one end is none at the other.
#[derive(Default)]
struct Queues {
    readers: WaitQueue,
    writers: WaitQueue,
    both: WaitQueue,
}

impl Queues {
    fn there_is_data(&self) {
        self.readers.notify(IN);
        self.both.notify(IN);
    }

    fn there_is_room(&self) {
        self.writers.notify(OUT);
        self.both.notify(OUT);
    }

    fn ends_changed(&self) {
        let all = IN | OUT | Events::HUP | Events::ERR;
        for queue in [&self.readers, &self.writers, &self.both] {
            queue.notify(all);
        }
    }
}

struct State {
    slots: Slots,
    readers: u32,
    writers: u32,
    /// How many read and write ends there ever were: openers of a FIFO wait for these to change.
    readers_ever: u64,
    writers_ever: u64,
}

/// One end of a pipe, or an open FIFO.
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    readable: bool,
    writable: bool,
    /// O_DIRECT: each write is a packet.
    packets: AtomicBool,
    /// HUP is not told while `writers_ever` is this: a FIFO opened with O_NONBLOCK when nobody wrote.
    quiet_until_written: Option<u64>,
    inode: Option<Arc<dyn Inode>>,
}

const IN: Events = Events::IN.union(Events::RDNORM);
const OUT: Events = Events::OUT.union(Events::WRNORM);

/// Both ends of a new pipe of user `uid`: read, write.
pub fn pair(uid: u32, packets: bool) -> (Arc<PipeEnd>, Arc<PipeEnd>) {
    let pipe = Pipe::new(uid);
    let end = |readable: bool| {
        pipe.state().open(readable, !readable);
        PipeEnd::new(&pipe, readable, !readable, packets)
    };
    (Arc::new(end(true)), Arc::new(end(false)))
}

/// Takes `wanted` more slots for a user; false, and none are taken, beyond the soft limit.
fn charge(uid: u32, wanted: usize) -> bool {
    let mut users = lock(&USER_SLOTS);
    let used = users.entry(uid).or_default();
    let fits = *used + wanted <= USER_SLOTS_SOFT;
    if fits {
        *used += wanted;
    }
    fits
}

fn uncharge(uid: u32, slots: usize) {
    let mut users = lock(&USER_SLOTS);
    if let Some(used) = users.get_mut(&uid) {
        *used = used.saturating_sub(slots);
        if *used == 0 {
            users.remove(&uid);
        }
    }
}

impl State {
    fn open(&mut self, read: bool, write: bool) {
        self.readers += u32::from(read);
        self.readers_ever += u64::from(read);
        self.writers += u32::from(write);
        self.writers_ever += u64::from(write);
    }

    fn close(&mut self, read: bool, write: bool) {
        self.readers = self.readers.saturating_sub(u32::from(read));
        self.writers = self.writers.saturating_sub(u32::from(write));
    }
}

impl Pipe {
    fn new(uid: u32) -> Arc<Pipe> {
        let mut slots = SLOTS_DEFAULT;
        if !charge(uid, slots) {
            slots = SLOTS_SMALL;
            *lock(&USER_SLOTS).entry(uid).or_default() += slots;
        }
        let state = State { slots: Slots::new(slots), readers: 0, writers: 0, readers_ever: 0, writers_ever: 0 };
        let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
        Arc::new(Pipe { number, uid, reading: Mutex::default(), state: Mutex::new(state), queues: Queues::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// F_SETPIPE_SZ: the new size in bytes, `size` rounded up to a power of two of pages.
    fn resize(&self, size: u64) -> Result<u64> {
        if size > 1 << 31 {
            return Err(Errno::INVAL);
        }
        let size = size.max(SLOT as u64).next_power_of_two();
        let wanted = size as usize / SLOT;
        let mut state = self.state();
        let have = state.slots.capacity();
        if wanted > have && (size > SIZE_MAX || !charge(self.uid, wanted - have)) {
            return Err(Errno::PERM);
        }
        let was_full = state.slots.is_full();
        if !state.slots.resize(wanted) {
            return Err(Errno::BUSY);
        }
        drop(state);
        uncharge(self.uid, have.saturating_sub(wanted));
        if was_full && wanted > have {
            self.queues.there_is_room();
        }
        Ok(size)
    }

    /// Takes bytes out by `take`: EAGAIN if there are none but writers, 0 if there are neither.
    fn take(&self, take: impl FnOnce(&mut Slots) -> usize) -> Result<usize> {
        let mut state = self.state();
        if state.slots.is_empty() {
            return if state.writers == 0 { Ok(0) } else { Err(Errno::AGAIN) };
        }
        let was_full = state.slots.is_full();
        let read = take(&mut state.slots);
        let room = was_full && !state.slots.is_full();
        drop(state);
        if room {
            self.queues.there_is_room();
        }
        Ok(read)
    }

    fn put(&self, from: &[u8], packets: bool) -> Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        let mut state = self.state();
        if state.readers == 0 {
            return Err(Errno::PIPE);
        }
        let written = state.slots.push(from, packets);
        drop(state);
        // Also if it wasn't empty, or was too full for anything: edge-triggered epoll sets are told of each attempt, as by Linux.
        self.queues.there_is_data();
        if written == 0 { Err(Errno::AGAIN) } else { Ok(written) }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        uncharge(self.uid, self.state().slots.capacity());
    }
}

impl PipeEnd {
    fn new(pipe: &Arc<Pipe>, readable: bool, writable: bool, packets: bool) -> PipeEnd {
        let packets = AtomicBool::new(packets);
        PipeEnd { pipe: pipe.clone(), readable, writable, packets, quiet_until_written: None, inode: None }
    }

    /// F_GETPIPE_SZ: bytes.
    pub fn size(&self) -> u64 {
        (self.pipe.state().slots.capacity() * SLOT) as u64
    }

    /// F_SETPIPE_SZ: the new size in bytes, at least `size`. EPERM beyond [`SIZE_MAX`] or the user's share, EBUSY if more is in the pipe, EINVAL.
    pub fn set_size(&self, size: u64) -> Result<u64> {
        self.pipe.resize(size)
    }

    /// Whether both are ends of the same pipe.
    pub fn same_pipe(&self, other: &PipeEnd) -> bool {
        Arc::ptr_eq(&self.pipe, &other.pipe)
    }

    /// Gives up to `count` bytes to `sink`, which answers how many it took, and takes these out of the pipe (or leaves them there: `keep`).
    /// Other readers wait until `sink` is done. EAGAIN, 0 at the end.
    pub fn drain(&self, count: usize, keep: bool, sink: impl FnOnce(&[u8]) -> Result<usize>) -> Result<usize> {
        let _reading = lock(&self.pipe.reading);
        let mut bytes = vec![0; count.min(self.pipe.state().slots.bytes())];
        if bytes.is_empty() && count > 0 {
            return self.pipe.take(|_| 0);
        }
        let shown = self.pipe.state().slots.copy(&mut bytes).0;
        let taken = sink(bytes.get(..shown).unwrap_or_default())?;
        if keep {
            return Ok(taken);
        }
        self.pipe.take(|slots| {
            slots.consume(taken);
            taken
        })
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let mut state = self.pipe.state();
        state.close(self.readable, self.writable);
        let one_sided = (state.readers == 0) != (state.writers == 0);
        drop(state);
        if one_sided {
            self.pipe.queues.ends_changed();
        }
    }
}

impl File for PipeEnd {
    /// By `/proc/self/fd/N`: another end of the same pipe. Both sides have been there, so nobody is waited for.
    fn reopen(&self, flags: u32) -> Result<Option<Arc<dyn File>>> {
        let access = flags as i32 & libc::O_ACCMODE;
        let (readable, writable) = (access != libc::O_WRONLY, access != libc::O_RDONLY);
        self.pipe.state().open(readable, writable);
        let mut end = PipeEnd::new(&self.pipe, readable, writable, flags as i32 & libc::O_DIRECT != 0);
        end.inode = self.inode.clone();
        Ok(Some(Arc::new(end)))
    }

    fn read(&self, to: &mut [u8], _: u64) -> Result<usize> {
        if !self.readable {
            return Err(Errno::BADF);
        }
        if to.is_empty() {
            return Ok(0);
        }
        let _reading = lock(&self.pipe.reading);
        self.pipe.take(|slots| slots.pop(to))
    }

    fn write(&self, from: &[u8], _: u64) -> Result<usize> {
        if !self.writable {
            return Err(Errno::BADF);
        }
        self.pipe.put(from, self.packets.load(Ordering::Relaxed))
    }

    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        Ok((self.write(from, 0)?, 0))
    }

    fn poll(&self, interest: Events) -> Events {
        let state = self.pipe.state();
        let mut ready = Events::empty();
        if self.readable {
            ready.set(IN, !state.slots.is_empty());
            ready.set(Events::HUP, state.writers == 0 && self.quiet_until_written != Some(state.writers_ever));
        }
        if self.writable {
            ready.set(OUT, !state.slots.is_full());
            ready.set(Events::ERR, state.readers == 0);
        }
        ready & (interest | Events::HUP | Events::ERR)
    }

    fn queue(&self) -> Option<&WaitQueue> {
        let queues = &self.pipe.queues;
        Some(match (self.readable, self.writable) {
            (true, true) => &queues.both,
            (true, false) => &queues.readers,
            (false, _) => &queues.writers,
        })
    }

    fn ioctl(&self, call: &mut Call<'_>, request: u32, argument: u64) -> Result<u64> {
        if u64::from(request) != libc::FIONREAD {
            return Err(Errno::NOTTY);
        }
        let bytes = self.pipe.state().slots.bytes() as i32;
        call.write_value(argument, &bytes)?;
        Ok(0)
    }

    fn control(&self, command: i32, argument: u64) -> Result<u64> {
        match command {
            libc::F_GETPIPE_SZ => Ok(self.size()),
            libc::F_SETPIPE_SZ => self.set_size(argument),
            _ => Err(Errno::INVAL),
        }
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        self.inode.as_ref()
    }

    fn stat(&self) -> Result<Stat> {
        match &self.inode {
            Some(inode) => inode.stat(),
            None => Ok(Stat {
                inode: self.pipe.number,
                mode: libc::S_IFIFO | 0o600,
                links: 1,
                uid: self.pipe.uid,
                block_size: SLOT as u32,
                ..Stat::default()
            }),
        }
    }

    fn name(&self) -> Vec<u8> {
        format!("pipe:[{}]", self.pipe.number).into_bytes()
    }

    fn flags_changed(&self, flags: u32) {
        self.packets.store(flags & libc::O_DIRECT as u32 != 0, Ordering::Relaxed);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests;
