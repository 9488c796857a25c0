//! The bytes of a regular file in memory.
//!
//! A file starts on the heap, as descriptors are few and most files are small; it moves to a memfd when it gets large, sparse, or mapped.
//! A file of a lower layer is read there until something writes to it; then all of it is copied.

use std::os::fd::OwnedFd;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{FallocateFlags, MemfdFlags, SeekFrom};

use super::quota::{Quota, pages};
use crate::file::MapSource;
use crate::fs::host::HostNode;
use crate::memory::pages::Pages;
use crate::{Errno, Result};

/// Files of up to so many bytes are kept on the heap.
pub const HEAP_MAX: u64 = 64 << 10;

/// The bytes of a file.
pub struct Data {
    state: RwLock<State>,
    lower: Option<Arc<HostNode>>,
}

enum State {
    /// As in the lower layer, so many bytes.
    Lower(u64),
    Heap(Vec<u8>),
    Memfd {
        file: Pages,
        size: u64,
        /// What the quota was charged.
        charged: u64,
    },
}

impl Data {
    /// An empty file.
    pub fn new() -> Data {
        Data { state: RwLock::new(State::Heap(Vec::new())), lower: None }
    }

    /// A file of the lower layer.
    pub fn lower(node: Arc<HostNode>, size: u64) -> Data {
        Data { state: RwLock::new(State::Lower(size)), lower: Some(node) }
    }

    /// Bytes in it.
    pub fn size(&self) -> u64 {
        self.state().size()
    }

    /// Bytes that it takes in memory.
    pub fn stored(&self) -> u64 {
        match &*self.state() {
            State::Lower(size) => pages(*size),
            State::Heap(bytes) => pages(bytes.len() as u64),
            State::Memfd { file, size, .. } => rustix::fs::fstat(file).map_or(pages(*size), |stat| stat.st_blocks as u64 * 512),
        }
    }

    /// The lower file, opened for reading, if the bytes are still there.
    pub fn open_lower(&self) -> Result<Option<OwnedFd>> {
        match (&*self.state(), &self.lower) {
            (State::Lower(_), Some(lower)) => Ok(Some(lower.open(rustix::fs::OFlags::RDONLY)?)),
            _ => Ok(None),
        }
    }

    /// Reads; `lower` is what [`Data::open_lower`] gave.
    pub fn read(&self, to: &mut [u8], offset: u64, lower: Option<&OwnedFd>) -> Result<usize> {
        match &*self.state() {
            State::Lower(_) => Ok(rustix::io::pread(lower.ok_or(Errno::STALE)?, to, offset)?),
            State::Memfd { file, .. } => Ok(rustix::io::pread(file, to, offset)?),
            State::Heap(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let count = from.len().min(to.len());
                if let (Some(to), Some(from)) = (to.get_mut(..count), from.get(..count)) {
                    to.copy_from_slice(from);
                }
                Ok(count)
            }
        }
    }

    /// Writes: ENOSPC if nothing fits.
    pub fn write(&self, from: &[u8], offset: u64, quota: &Quota) -> Result<usize> {
        let mut state = self.own(quota, u64::MAX)?;
        state.write(from, offset, quota)
    }

    /// Writes at the end; also answers where the end is then.
    pub fn append(&self, from: &[u8], quota: &Quota) -> Result<(usize, u64)> {
        let mut state = self.own(quota, u64::MAX)?;
        let end = state.size();
        let written = state.write(from, end, quota)?;
        Ok((written, end + written as u64))
    }

    /// Cuts or extends.
    pub fn truncate(&self, size: u64, quota: &Quota) -> Result<()> {
        if self.size() == size {
            return Ok(());
        }
        let mut state = self.own(quota, size)?;
        state.resize(size, quota)
    }

    /// `fallocate(2)`: what of its modes a memfd knows.
    pub fn allocate(&self, mode: u32, offset: u64, length: u64, quota: &Quota) -> Result<()> {
        let mode = FallocateFlags::from_bits(mode).ok_or(Errno::OPNOTSUPP)?;
        let mut state = self.own(quota, u64::MAX)?;
        let more = if mode.contains(FallocateFlags::PUNCH_HOLE) { 0 } else { pages(length) };
        let (limit, used) = quota.bytes();
        if limit.saturating_sub(used) < more.saturating_sub(state.charged()) {
            return Err(Errno::NOSPC);
        }
        state.move_to_memfd()?;
        if let State::Memfd { file, size, .. } = &mut *state {
            rustix::fs::fallocate(&*file, mode, offset, length)?;
            *size = rustix::fs::fstat(&*file)?.st_size as u64;
        }
        state.recharge(quota);
        Ok(())
    }

    /// Where SEEK_DATA or SEEK_HOLE leads: ENXIO beyond the end.
    pub fn seek_data(&self, offset: u64, hole: bool, lower: Option<&OwnedFd>) -> Result<u64> {
        let from = if hole { SeekFrom::Hole(offset) } else { SeekFrom::Data(offset) };
        match &*self.state() {
            State::Lower(_) => Ok(rustix::fs::seek(lower.ok_or(Errno::STALE)?, from)?),
            State::Memfd { file, .. } => Ok(rustix::fs::seek(file, from)?),
            State::Heap(bytes) if offset >= bytes.len() as u64 => Err(Errno::NXIO),
            State::Heap(bytes) => Ok(if hole { bytes.len() as u64 } else { offset }),
        }
    }

    /// What `mmap` maps. For writing, and for reading what isn't in the lower layer, it is a memfd.
    pub fn map(&self, write: bool, lower: Option<&Arc<OwnedFd>>, quota: &Quota) -> Result<MapSource> {
        if let (State::Lower(_), Some(lower), false) = (&*self.state(), lower, write) {
            return Ok(MapSource { file: lower.clone(), offset: 0 });
        }
        let mut state = self.own(quota, u64::MAX)?;
        state.move_to_memfd()?;
        match &*state {
            State::Memfd { file, .. } => file.map(write),
            _ => Err(Errno::NODEV),
        }
    }

    /// Gives back what the quota was charged, when the file is gone.
    pub fn release(&self, quota: &Quota) {
        let mut state = self.state_mut();
        quota.give(state.charged());
        *state = State::Heap(Vec::new());
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, in memory: copies from the lower layer at most `wanted` bytes first.
    fn own(&self, quota: &Quota, wanted: u64) -> Result<RwLockWriteGuard<'_, State>> {
        let mut state = self.state_mut();
        if let State::Lower(size) = *state {
            let lower = self.lower.as_ref().ok_or(Errno::STALE)?;
            let size = size.min(wanted);
            quota.take(pages(size))?;
            *state = copy(lower, size).inspect_err(|_| quota.give(pages(size)))?;
        }
        Ok(state)
    }
}

impl Default for Data {
    fn default() -> Data {
        Data::new()
    }
}

/// Copies a lower file into memory.
fn copy(lower: &Arc<HostNode>, size: u64) -> Result<State> {
    if size == 0 {
        return Ok(State::Heap(Vec::new()));
    }
    let from = lower.open(rustix::fs::OFlags::RDONLY)?;
    if size <= HEAP_MAX {
        let mut bytes = vec![0; size as usize];
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pread(&from, rest, done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        return Ok(State::Heap(bytes));
    }
    let file = memfd()?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        let count = rustix::io::pread(&from, &mut buffer[..], at)?;
        if count == 0 {
            break;
        }
        let mut done = 0;
        while let Some(rest) = buffer.get(done..count).filter(|rest| !rest.is_empty()) {
            done += rustix::io::pwrite(&file, rest, at + done as u64)?;
        }
        at += count as u64;
    }
    rustix::fs::ftruncate(&file, size)?;
    Ok(State::Memfd { file, size, charged: pages(size) })
}

fn memfd() -> Result<Pages> {
    Pages::new("quark", MemfdFlags::empty())
}

impl State {
    fn size(&self) -> u64 {
        match self {
            State::Lower(size) | State::Memfd { size, .. } => *size,
            State::Heap(bytes) => bytes.len() as u64,
        }
    }

    fn charged(&self) -> u64 {
        match self {
            State::Lower(_) => 0,
            State::Heap(bytes) => pages(bytes.len() as u64),
            State::Memfd { charged, .. } => *charged,
        }
    }

    fn write(&mut self, from: &[u8], offset: u64, quota: &Quota) -> Result<usize> {
        let end = offset.checked_add(from.len() as u64).filter(|end| *end <= i64::MAX as u64).ok_or(Errno::FBIG)?;
        if from.is_empty() {
            return Ok(0);
        }
        let memory = matches!(self, State::Heap(_)) && end <= HEAP_MAX;
        if memory { self.write_heap(from, offset, end, quota) } else { self.write_memfd(from, offset, quota) }
    }

    fn write_heap(&mut self, from: &[u8], offset: u64, end: u64, quota: &Quota) -> Result<usize> {
        let State::Heap(bytes) = self else { return Err(Errno::IO) };
        let size = bytes.len() as u64;
        if end > size {
            quota.take(pages(end) - pages(size))?;
            bytes.resize(end as usize, 0);
        }
        bytes.get_mut(offset as usize..end as usize).ok_or(Errno::IO)?.copy_from_slice(from);
        Ok(from.len())
    }

    fn write_memfd(&mut self, from: &[u8], offset: u64, quota: &Quota) -> Result<usize> {
        self.move_to_memfd()?;
        let State::Memfd { file, size, charged } = self else { return Err(Errno::IO) };
        let (limit, used) = quota.bytes();
        let mut from = from;
        if limit != u64::MAX && (offset + from.len() as u64 > *size || *charged < pages(*size)) {
            // At worst all of it is new; what lies in the file's last page is not.
            let slack = pages(offset) - offset;
            let room = limit.saturating_sub(used).saturating_add(if offset <= *size { slack } else { 0 });
            from = from.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(from);
            if from.is_empty() {
                return Err(Errno::NOSPC);
            }
        }
        let written = rustix::io::pwrite(&*file, from, offset)?;
        *size = (*size).max(offset + written as u64);
        self.recharge(quota);
        Ok(written)
    }

    fn resize(&mut self, to: u64, quota: &Quota) -> Result<()> {
        if to > i64::MAX as u64 {
            return Err(Errno::FBIG);
        }
        if let State::Heap(bytes) = self
            && to <= HEAP_MAX
        {
            let size = bytes.len() as u64;
            quota.take(pages(to).saturating_sub(pages(size)))?;
            quota.give(pages(size).saturating_sub(pages(to)));
            bytes.resize(to as usize, 0);
            if bytes.capacity() > 2 * bytes.len() {
                bytes.shrink_to_fit();
            }
            return Ok(());
        }
        self.move_to_memfd()?;
        if let State::Memfd { file, size, .. } = self {
            rustix::fs::ftruncate(&*file, to)?;
            *size = to;
        }
        self.recharge(quota);
        Ok(())
    }

    /// Moves what is on the heap to a memfd.
    fn move_to_memfd(&mut self) -> Result<()> {
        let State::Heap(bytes) = self else { return Ok(()) };
        let file = memfd()?;
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            done += rustix::io::pwrite(&file, rest, done as u64)?;
        }
        let size = bytes.len() as u64;
        *self = State::Memfd { file, size, charged: pages(size) };
        Ok(())
    }

    /// Charges what the memfd takes now: mappings fill holes without asking.
    fn recharge(&mut self, quota: &Quota) {
        let State::Memfd { file, size, charged } = self else { return };
        let now = if quota.bytes().0 == u64::MAX {
            pages(*size)
        } else {
            rustix::fs::fstat(&*file).map_or(*charged, |stat| stat.st_blocks as u64 * 512)
        };
        if now > *charged {
            // It is there already: the limit holds for the next write.
            quota.take_anyway(now - *charged);
        } else {
            quota.give(*charged - now);
        }
        *charged = now;
    }
}
