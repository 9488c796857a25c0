//! A file of memory that the host keeps for us: bytes of tmpfs, upper layers, `memfd_create` and segments.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use quark_host::procfs;
use rustix::fs::{MemfdFlags, memfd_create};

use crate::Result;
use crate::file::MapSource;
use crate::task::lock;

/// A memfd, which is ours to write, and one that may only be read for those who map it so: a stub process can keep what it is given.
pub struct Pages {
    file: Arc<OwnedFd>,
    reader: Mutex<Weak<OwnedFd>>,
}

impl Pages {
    /// An empty one. The host shows the name in its own lists of what is mapped.
    pub fn new(name: &str, flags: MemfdFlags) -> Result<Pages> {
        let file = memfd_create(name, flags | MemfdFlags::CLOEXEC)?;
        Ok(Pages { file: Arc::new(file), reader: Mutex::default() })
    }

    /// What a mapping gets. `write`: a shared one, by somebody who may write to the file.
    pub fn map(&self, write: bool) -> Result<MapSource> {
        let file = if write { self.file.clone() } else { self.reader()? };
        Ok(MapSource { file, offset: 0 })
    }

    /// Open as long as a mapping uses it.
    fn reader(&self) -> Result<Arc<OwnedFd>> {
        let mut reader = lock(&self.reader);
        if let Some(open) = reader.upgrade() {
            return Ok(open);
        }
        let open = Arc::new(procfs::read_only(&self.file)?);
        *reader = Arc::downgrade(&open);
        Ok(open)
    }
}

impl AsFd for Pages {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{OFlags, fcntl_getfl};

    use super::*;

    #[test]
    fn who_only_reads_gets_no_descriptor_that_writes() {
        let pages = Pages::new("test", MemfdFlags::empty()).unwrap();
        let access = |source: &MapSource| fcntl_getfl(&source.file).unwrap() & OFlags::ACCMODE;
        let (reader, writer) = (pages.map(false).unwrap(), pages.map(true).unwrap());
        assert_eq!((access(&reader), access(&writer)), (OFlags::RDONLY, OFlags::RDWR));
        assert!(Arc::ptr_eq(&reader.file, &pages.map(false).unwrap().file), "one descriptor serves all who read");
    }
}
