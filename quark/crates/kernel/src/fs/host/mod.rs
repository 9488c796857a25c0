//! A directory or file of the host.
//!
//! The host sees single names relative to directories that are open already, by `openat2` with RESOLVE_BENEATH and without links; never a
//! path, never `..`. What is behind a name is checked by device and inode number after it was opened. FIFOs, sockets and devices of the host
//! are shown, and never opened.

mod directory;
mod file;
mod inode;
mod node;
mod pool;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

pub use file::HostFile;
pub use node::HostNode;

use crate::Result;
use crate::task::lock;
use crate::vfs::inode::Inode;
use crate::vfs::mount::{FileSystem, FileSystemStat};

/// A directory or file of the host, written through.
pub struct HostFileSystem {
    root: Arc<HostNode>,
}

/// What the nodes of one host file system share.
pub(super) struct Devices {
    /// Ours, for the root's.
    device: u64,
    host_device: u64,
    /// Of file systems mounted below: ours, by the host's.
    others: Mutex<HashMap<u64, u64>>,
}

impl Devices {
    /// The device number that guests see for one of the host.
    pub fn shown(&self, host: u64) -> u64 {
        if host == self.host_device {
            return self.device;
        }
        *lock(&self.others).entry(host).or_insert_with(super::next_device)
    }
}

impl HostFileSystem {
    /// Shows what `root` refers to: a directory (O_PATH is enough), or a file (opened for what guests shall do with it).
    pub fn new(root: OwnedFd) -> Result<Arc<HostFileSystem>> {
        HostFileSystem::of_file(root, None)
    }

    /// Shows one file. Who only reads it gets `reader`; who writes gets `writer`, which does both, or EACCES without one.
    pub fn of_file(reader: OwnedFd, writer: Option<OwnedFd>) -> Result<Arc<HostFileSystem>> {
        Ok(Arc::new(HostFileSystem { root: HostNode::root(reader, writer)? }))
    }

    /// The root, for file systems on top.
    pub fn node(&self) -> &Arc<HostNode> {
        &self.root
    }
}

impl FileSystem for HostFileSystem {
    fn name(&self) -> &'static str {
        "quark"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn stat(&self) -> Result<FileSystemStat> {
        self.root.file_system()
    }

    fn sync(&self) -> Result<()> {
        self.root.sync_file_system()
    }
}

#[cfg(test)]
mod tests;
