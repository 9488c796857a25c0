//! An open regular file of the host.

use std::any::Any;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::ReadWriteFlags;

use super::node::HostNode;
use crate::file::{File, MapSource};
use crate::vfs::inode::{Inode, Stat};
use crate::{Errno, Result};

/// An open regular file of the host: its descriptor has the access that the guest asked for, no more.
pub struct HostFile {
    file: Arc<OwnedFd>,
    inode: Arc<dyn Inode>,
    node: Arc<HostNode>,
}

impl HostFile {
    /// An open file of `node`.
    pub fn new(node: Arc<HostNode>, file: OwnedFd) -> HostFile {
        let file = Arc::new(file);
        node.opened(&file);
        HostFile { file, inode: node.clone(), node }
    }
}

impl File for HostFile {
    fn read(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        rustix::io::pread(&self.file, to, offset)
    }

    fn write(&self, from: &[u8], offset: u64) -> Result<usize> {
        rustix::io::pwrite(&self.file, from, offset)
    }

    /// The host's own position, which nothing else uses, tells where the end was.
    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        let written = rustix::io::pwritev2(&self.file, &[IoSlice::new(from)], u64::MAX, ReadWriteFlags::APPEND)?;
        Ok((written, rustix::fs::tell(&self.file)?))
    }

    fn seekable(&self) -> bool {
        true
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn stat(&self) -> Result<Stat> {
        self.node.stat_of(&self.file)
    }

    fn truncate(&self, size: u64) -> Result<()> {
        rustix::fs::ftruncate(&self.file, size)
    }

    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<()> {
        let mode = FallocateFlags::from_bits(mode).ok_or(Errno::OPNOTSUPP)?;
        rustix::fs::fallocate(&self.file, mode, offset, length)
    }

    fn sync(&self, data_only: bool) -> Result<()> {
        if data_only { rustix::fs::fdatasync(&self.file) } else { rustix::fs::fsync(&self.file) }
    }

    fn seek_data(&self, offset: u64, hole: bool) -> Result<u64> {
        let from = if hole { SeekFrom::Hole(offset) } else { SeekFrom::Data(offset) };
        rustix::fs::seek(&self.file, from)
    }

    fn map(&self, _write: bool) -> Result<MapSource> {
        Ok(MapSource { file: self.file.clone(), offset: 0 })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
