//! Inodes in memory, over a lower layer or not.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::Shared;
use super::data::Data;
use super::directory::Directory;
use crate::fs::host::HostNode;
use crate::fs::now;
use crate::task::lock;
use crate::vfs::inode::{NewNode, Stat, TimeStamp, kind};
use crate::{Errno, Result};

/// A file of a file system in memory.
pub struct Node {
    pub(super) shared: Arc<Shared>,
    pub(super) this: Weak<Node>,
    /// Its inode number.
    pub number: u64,
    /// S_IFMT.
    pub kind: u32,
    represents: u64,
    /// What it was in the lower layer, if it was there.
    pub(super) lower: Option<Arc<HostNode>>,
    /// It differs from what it was in the lower layer, and must not be forgotten.
    pinned: AtomicBool,
    pub(super) meta: Mutex<Meta>,
    pub(super) body: Body,
}

/// Attributes.
#[derive(Clone, Default)]
pub(super) struct Meta {
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub accessed: TimeStamp,
    pub modified: TimeStamp,
    pub changed: TimeStamp,
    pub born: Option<TimeStamp>,
    /// `None`: as in the lower layer.
    pub attributes: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
}

pub(super) enum Body {
    Regular {
        data: Data,
        /// The lower file while somebody has it open, for those who open it next.
        lower: Mutex<Weak<OwnedFd>>,
    },
    Directory(Mutex<Directory>),
    Symlink(Vec<u8>),
    Other,
}

impl Node {
    /// Something new: ENOSPC beyond the file system's limit of inodes.
    pub(super) fn new(shared: &Arc<Shared>, what: &NewNode<'_>, mode: u32, owner: (u32, u32)) -> Result<Arc<Node>> {
        shared.quota.take_inode()?;
        let (kind, represents, body) = match what {
            NewNode::Regular => (kind::REGULAR, 0, Body::regular(Data::new())),
            NewNode::Directory => (kind::DIRECTORY, 0, Body::Directory(Mutex::new(Directory::default()))),
            NewNode::Symlink(target) => (kind::SYMLINK, 0, Body::Symlink(target.to_vec())),
            NewNode::Fifo => (kind::FIFO, 0, Body::Other),
            NewNode::Socket => (kind::SOCKET, 0, Body::Other),
            NewNode::CharacterDevice(number) => (kind::CHARACTER, *number, Body::Other),
            NewNode::BlockDevice(number) => (kind::BLOCK, *number, Body::Other),
        };
        let time = now();
        let meta = Meta {
            mode: mode & 0o7777,
            uid: owner.0,
            gid: owner.1,
            links: if kind == kind::DIRECTORY { 2 } else { 1 },
            accessed: time,
            modified: time,
            changed: time,
            born: Some(time),
            attributes: Some(BTreeMap::new()),
        };
        let shared = shared.clone();
        Ok(Arc::new_cyclic(|this| Node {
            number: shared.next_number(),
            this: this.clone(),
            kind,
            represents,
            lower: None,
            pinned: AtomicBool::new(true),
            meta: Mutex::new(meta),
            body,
            shared,
        }))
    }

    /// What the lower layer has.
    pub(super) fn over(shared: &Arc<Shared>, lower: Arc<HostNode>) -> Result<Arc<Node>> {
        let seen = lower.seen();
        let body = match lower.kind {
            kind::REGULAR => Body::regular(Data::lower(lower.clone(), seen.size)),
            kind::DIRECTORY => Body::Directory(Mutex::new(Directory::over(lower.clone()))),
            kind::SYMLINK => Body::Symlink(crate::vfs::inode::Inode::read_link(&*lower)?),
            _ => Body::Other,
        };
        let meta = Meta {
            mode: seen.mode & 0o7777,
            uid: seen.uid,
            gid: seen.gid,
            links: seen.links,
            accessed: seen.accessed,
            modified: seen.modified,
            changed: seen.changed,
            born: seen.born,
            attributes: None,
        };
        let shared = shared.clone();
        Ok(Arc::new_cyclic(|this| Node {
            number: shared.number_of(lower.identity),
            this: this.clone(),
            kind: lower.kind,
            represents: seen.represents,
            lower: Some(lower),
            pinned: AtomicBool::new(false),
            meta: Mutex::new(meta),
            body,
            shared,
        }))
    }

    /// Itself, to hold.
    pub(super) fn this(&self) -> Result<Arc<Node>> {
        self.this.upgrade().ok_or(Errno::STALE)
    }

    /// The directory's entries: ENOTDIR.
    pub(super) fn directory(&self) -> Result<&Mutex<Directory>> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// The file's bytes.
    pub(super) fn data(&self) -> Option<&Data> {
        match &self.body {
            Body::Regular { data, .. } => Some(data),
            _ => None,
        }
    }

    /// From now on it differs from the lower layer. To be called before each change.
    pub(super) fn pin(&self) {
        if !self.pinned.load(Ordering::Relaxed)
            && !self.pinned.swap(true, Ordering::Relaxed)
            && let (Some(lower), Ok(this)) = (&self.lower, self.this())
        {
            self.shared.pin(lower.identity, this);
        }
    }

    /// Changes attributes, and the time of their change.
    pub(super) fn change(&self, change: impl FnOnce(&mut Meta)) {
        self.pin();
        let mut meta = lock(&self.meta);
        change(&mut meta);
        meta.changed = now();
    }

    /// Its contents have changed.
    pub(super) fn modified(&self) {
        self.change(|meta| meta.modified = now());
    }

    /// It was read: the time is noted if it's older than the last change or a day (`relatime`).
    pub(super) fn accessed(&self) {
        const DAY: i64 = 24 * 3600;
        let mut meta = lock(&self.meta);
        if meta.accessed > meta.modified && meta.accessed > meta.changed {
            let time = now();
            if time.seconds - meta.accessed.seconds < DAY {
                return;
            }
        }
        meta.accessed = now();
    }

    /// Its attributes.
    pub(super) fn describe(&self) -> Stat {
        let (size, stored) = match &self.body {
            Body::Regular { data, .. } => (data.size(), data.stored()),
            Body::Directory(directory) => (lock(directory).size(), 0),
            Body::Symlink(target) => (target.len() as u64, 0),
            Body::Other => (0, 0),
        };
        let meta = lock(&self.meta);
        Stat {
            device: self.shared.device,
            inode: self.number,
            mode: self.kind | meta.mode,
            links: meta.links,
            uid: meta.uid,
            gid: meta.gid,
            represents: self.represents,
            size,
            block_size: 4096,
            blocks: stored / 512,
            accessed: meta.accessed,
            modified: meta.modified,
            changed: meta.changed,
            born: meta.born,
        }
    }
}

/// A mode after a write or a change of owner: without S_ISUID, and without S_ISGID if the group may execute.
pub fn without_privileges(mode: u32) -> u32 {
    let mode = mode & !0o4000;
    if mode & 0o010 != 0 { mode & !0o2000 } else { mode }
}

impl Body {
    fn regular(data: Data) -> Body {
        Body::Regular { data, lower: Mutex::default() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(data) = self.data() {
            data.release(&self.shared.quota);
        }
        match &self.lower {
            Some(lower) => self.shared.forget(lower.identity, &self.this),
            None => self.shared.quota.give_inode(),
        }
    }
}
