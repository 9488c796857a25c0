//! File systems in memory: tmpfs, and the upper layer over a directory of the host (overlay).
//!
//! Both are one: a node is new, or it stands for a file of the lower layer. A node that stands for one has its attributes from when it
//! was seen first, and is pinned when it first differs; the lower layer is taken not to change. Inode numbers, and so hard links, stay
//! what they were in the lower layer.

mod data;
mod directory;
mod file;
mod inode;
mod node;
mod options;
mod quota;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

pub use node::{Node, without_privileges};
pub use options::TmpfsOptions;

use super::host::{HostFileSystem, HostNode};
use crate::task::lock;
use crate::vfs::inode::{Inode, NewNode};
use crate::vfs::mount::{FileSystem, FileSystemStat};
use crate::{Errno, Result};
use quota::{PAGE, Quota};

const TMPFS_MAGIC: u64 = 0x0102_1994;
const OVERLAY_MAGIC: u64 = 0x794c_7630;

/// Numbers of inodes that are new over a lower layer start here: above what file systems of the host use.
const NEW_NUMBERS: u64 = 1 << 56;

/// What the nodes of one file system share.
pub(crate) struct Shared {
    device: u64,
    quota: Quota,
    next: AtomicU64,
    /// The lower layer's device.
    lower_device: u64,
    /// Nodes that stand for files of the lower layer, by the host's device and inode number.
    lower: Mutex<HashMap<(u64, u64), Known>>,
    /// Renames take turns.
    renaming: Mutex<()>,
}

struct Known {
    node: Weak<Node>,
    /// Keeps it, as it differs.
    pinned: Option<Arc<Node>>,
}

impl Shared {
    fn new(quota: Quota, lower_device: u64, first: u64) -> Arc<Shared> {
        Arc::new(Shared {
            device: super::next_device(),
            quota,
            next: AtomicU64::new(first),
            lower_device,
            lower: Mutex::default(),
            renaming: Mutex::new(()),
        })
    }

    fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The inode number of a file of the lower layer: its own, unless it is on a device mounted below.
    fn number_of(&self, (device, inode): (u64, u64)) -> u64 {
        if device == self.lower_device { inode } else { (inode ^ device.wrapping_mul(0x9e37_79b9_7f4a_7c15)) & (NEW_NUMBERS - 1) | 1 << 57 }
    }

    /// The node that stands for a file of the lower layer.
    fn of_lower(self: &Arc<Self>, lower: Arc<HostNode>) -> Result<Arc<Node>> {
        let identity = lower.identity;
        if let Some(node) = lock(&self.lower).get(&identity).and_then(|known| known.node.upgrade()) {
            return Ok(node);
        }
        let made = Node::over(self, lower)?;
        let mut known = lock(&self.lower);
        if let Some(node) = known.get(&identity).and_then(|known| known.node.upgrade()) {
            // Another thread was faster; ours goes, outside of the lock.
            drop(known);
            return Ok(node);
        }
        known.insert(identity, Known { node: Arc::downgrade(&made), pinned: None });
        Ok(made)
    }

    fn pin(&self, identity: (u64, u64), node: Arc<Node>) {
        let known = Known { node: Arc::downgrade(&node), pinned: Some(node) };
        lock(&self.lower).insert(identity, known);
    }

    fn forget(&self, identity: (u64, u64), node: &Weak<Node>) {
        let mut known = lock(&self.lower);
        if known.get(&identity).is_some_and(|known| known.node.ptr_eq(node)) {
            known.remove(&identity);
        }
    }
}

/// A tmpfs or overlay.
pub struct MemoryFileSystem {
    name: &'static str,
    shared: Arc<Shared>,
    root: Arc<Node>,
    below: Option<Arc<HostFileSystem>>,
    options: String,
}

impl MemoryFileSystem {
    /// An empty file system, called `name` (`tmpfs`, `devtmpfs`).
    pub fn tmpfs(name: &'static str, options: TmpfsOptions) -> Result<Arc<MemoryFileSystem>> {
        let bytes = Some(options.most_bytes()).filter(|bytes| *bytes < u64::MAX);
        let quota = Quota::new(bytes.map_or(u64::MAX, quota::pages), options.inodes.unwrap_or(u64::MAX));
        let shared = Shared::new(quota, 0, 1);
        let root = Node::new(&shared, &NewNode::Directory, options.root_mode(), options.owner)?;
        Ok(Arc::new(MemoryFileSystem { name, shared, root, below: None, options: options.told() }))
    }

    /// A file system in memory over a directory of the host, which is never changed.
    pub fn overlay(lower: OwnedFd) -> Result<Arc<MemoryFileSystem>> {
        let below = HostFileSystem::new(lower)?;
        if below.node().kind != crate::vfs::inode::kind::DIRECTORY {
            return Err(Errno::NOTDIR);
        }
        let shared = Shared::new(Quota::new(u64::MAX, u64::MAX), below.node().identity.0, NEW_NUMBERS);
        let root = shared.of_lower(below.node().clone())?;
        root.pin();
        Ok(Arc::new(MemoryFileSystem { name: "overlay", shared, root, below: Some(below), options: String::new() }))
    }

    /// The root.
    pub fn node(&self) -> &Arc<Node> {
        &self.root
    }
}

impl FileSystem for MemoryFileSystem {
    fn name(&self) -> &'static str {
        self.name
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn stat(&self) -> Result<FileSystemStat> {
        if let Some(below) = &self.below {
            return Ok(FileSystemStat { magic: OVERLAY_MAGIC, ..below.stat()? });
        }
        let ((bytes_max, bytes), (inodes_max, inodes)) = (self.shared.quota.bytes(), self.shared.quota.inodes());
        let limited = |max: u64| if max == u64::MAX { 0 } else { max };
        let (bytes_max, inodes_max) = (limited(bytes_max), limited(inodes_max));
        let free = bytes_max.saturating_sub(bytes) / PAGE;
        Ok(FileSystemStat {
            magic: TMPFS_MAGIC,
            block_size: PAGE,
            blocks: bytes_max / PAGE,
            free,
            available: free,
            files: inodes_max,
            free_files: inodes_max.saturating_sub(inodes),
            name_max: 255,
        })
    }

    fn memory(&self) -> u64 {
        self.shared.quota.bytes().1
    }

    fn options(&self) -> String {
        self.options.clone()
    }
}

impl Drop for MemoryFileSystem {
    /// Takes the tree apart node by node: it may be deeper than our stack.
    fn drop(&mut self) {
        let known = std::mem::take(&mut *lock(&self.shared.lower));
        let mut left: Vec<Arc<Node>> = known.into_values().filter_map(|known| known.pinned).collect();
        left.push(self.root.clone());
        while let Some(node) = left.pop() {
            if let Ok(directory) = node.directory() {
                left.extend(lock(directory).take());
            }
        }
    }
}

#[cfg(test)]
mod tests;
