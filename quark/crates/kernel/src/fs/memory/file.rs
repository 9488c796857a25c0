//! Open files and directories of a file system in memory.

use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use super::data::Data;
use super::node::{Body, Node};
use crate::file::{File, MapSource};
use crate::task::lock;
use crate::vfs::inode::{DirectoryEntry, Inode};
use crate::{Errno, Result};

/// An open regular file.
pub(super) struct MemoryFile {
    node: Arc<Node>,
    inode: Arc<dyn Inode>,
    /// The lower layer's file, if it was still that when this was opened.
    lower: Option<Arc<OwnedFd>>,
}

impl MemoryFile {
    pub fn open(node: Arc<Node>) -> Result<MemoryFile> {
        let lower = match &node.body {
            Body::Regular { data, lower } => open_lower(data, lower)?,
            _ => return Err(Errno::NXIO),
        };
        Ok(MemoryFile { inode: node.clone(), node, lower })
    }

    fn data(&self) -> Result<&Data> {
        self.node.data().ok_or(Errno::NXIO)
    }
}

fn open_lower(data: &Data, shared: &Mutex<std::sync::Weak<OwnedFd>>) -> Result<Option<Arc<OwnedFd>>> {
    let mut shared = lock(shared);
    if let Some(open) = shared.upgrade() {
        return Ok(Some(open));
    }
    let opened = data.open_lower()?.map(Arc::new);
    if let Some(opened) = &opened {
        *shared = Arc::downgrade(opened);
    }
    Ok(opened)
}

impl File for MemoryFile {
    fn read(&self, to: &mut [u8], offset: u64) -> Result<usize> {
        let count = self.data()?.read(to, offset, self.lower.as_deref())?;
        self.node.accessed();
        Ok(count)
    }

    fn write(&self, from: &[u8], offset: u64) -> Result<usize> {
        self.node.pin();
        let count = self.data()?.write(from, offset, &self.node.shared.quota)?;
        self.node.modified();
        Ok(count)
    }

    fn append(&self, from: &[u8]) -> Result<(usize, u64)> {
        self.node.pin();
        let answer = self.data()?.append(from, &self.node.shared.quota)?;
        self.node.modified();
        Ok(answer)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.node.pin();
        self.data()?.truncate(size, &self.node.shared.quota)?;
        self.node.modified();
        Ok(())
    }

    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<()> {
        self.node.pin();
        self.data()?.allocate(mode, offset, length, &self.node.shared.quota)?;
        self.node.modified();
        Ok(())
    }

    fn sync(&self, _: bool) -> Result<()> {
        Ok(())
    }

    fn seek_data(&self, offset: u64, hole: bool) -> Result<u64> {
        self.data()?.seek_data(offset, hole, self.lower.as_deref())
    }

    fn map(&self, write: bool) -> Result<MapSource> {
        self.node.pin();
        self.data()?.map(write, self.lower.as_ref(), &self.node.shared.quota)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An open directory: the entries as they were when it was opened or rewound, so that positions stay what they are.
pub(super) struct MemoryDirectory {
    node: Arc<Node>,
    inode: Arc<dyn Inode>,
    list: Mutex<Arc<Vec<DirectoryEntry>>>,
}

impl MemoryDirectory {
    pub fn new(node: Arc<Node>) -> MemoryDirectory {
        MemoryDirectory { inode: node.clone(), node, list: Mutex::default() }
    }

    fn read_list(&self) -> Result<Arc<Vec<DirectoryEntry>>> {
        let directory = lock(self.node.directory()?);
        let parent = directory.parent.upgrade().map_or(self.node.number, |parent| parent.number);
        let dots = [(&b"."[..], self.node.number), (b"..", parent)];
        let mut list: Vec<DirectoryEntry> =
            dots.into_iter().map(|(name, inode)| DirectoryEntry { name: name.to_vec(), inode, kind: libc::DT_DIR, next: 0 }).collect();
        if !directory.removed {
            list.extend(directory.list(&self.node.shared)?);
        }
        drop(directory);
        for (at, entry) in list.iter_mut().enumerate() {
            entry.next = at as u64 + 1;
        }
        let list = Arc::new(list);
        *lock(&self.list) = list.clone();
        Ok(list)
    }
}

impl File for MemoryDirectory {
    fn read(&self, _: &mut [u8], _: u64) -> Result<usize> {
        Err(Errno::ISDIR)
    }

    fn seekable(&self) -> bool {
        true
    }

    fn inode(&self) -> Option<&Arc<dyn Inode>> {
        Some(&self.inode)
    }

    fn entries(&self, position: u64, room: usize) -> Result<Vec<DirectoryEntry>> {
        let known = lock(&self.list).clone();
        let list = if position == 0 || known.is_empty() { self.read_list()? } else { known };
        self.node.accessed();
        // The smallest entry takes 24 bytes.
        let rest = usize::try_from(position).ok().and_then(|at| list.get(at..)).unwrap_or_default();
        Ok(rest.iter().take(room / 24 + 1).cloned().collect())
    }

    fn sync(&self, _: bool) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
