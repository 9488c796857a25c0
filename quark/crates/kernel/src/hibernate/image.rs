//! The file that has a sleeping pod's memory: pages that are not zero, one after the other. Which they are is kept in the kernel's memory, as
//! the file is of no use to anybody else.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::{pread, pwrite};

use crate::{Errno, Result};

/// What is read and written at once, bytes. It stays with the heap of whichever thread has it, so it is small.
pub const CHUNK: usize = 128 << 10;

/// A file that is written from its start to its end.
pub struct Image {
    file: Arc<OwnedFd>,
    written: u64,
    pending: Vec<u8>,
}

impl Image {
    /// An empty one.
    pub fn new(file: Arc<OwnedFd>) -> Result<Image> {
        rustix::fs::ftruncate(&*file, 0)?;
        Ok(Image { file, written: 0, pending: Vec::with_capacity(CHUNK) })
    }

    /// Where what is added next will be.
    pub fn end(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Adds bytes.
    pub fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// Writes the rest; nothing more is added.
    pub fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.pending = Vec::new();
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let mut rest = self.pending.as_slice();
        while !rest.is_empty() {
            let count = pwrite(&*self.file, rest, self.written)?;
            if count == 0 {
                return Err(Errno::NOSPC);
            }
            self.written += count as u64;
            rest = rest.get(count..).unwrap_or_default();
        }
        self.pending.clear();
        Ok(())
    }

    /// Reads what was added at `offset`; EIO if it isn't all there.
    pub fn read(&self, mut offset: u64, mut to: &mut [u8]) -> Result<()> {
        while !to.is_empty() {
            let count = pread(&*self.file, &mut *to, offset)?;
            if count == 0 {
                return Err(Errno::IO);
            }
            offset += count as u64;
            to = to.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    /// Gives the disk back what it takes.
    pub fn discard(&self) {
        let _ = rustix::fs::ftruncate(&*self.file, 0);
    }
}
