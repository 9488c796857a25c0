//! An open directory of the host.

use std::any::Any;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use rustix::fs::{RawDir, SeekFrom};

use super::node::HostNode;
use crate::file::File;
use crate::task::lock;
use crate::vfs::inode::{DirectoryEntry, Inode, Stat};
use crate::{Errno, Result};

/// An open directory of the host. Positions are the host's.
pub(super) struct HostDirectory {
    file: OwnedFd,
    /// Where the host's descriptor is; it is moved when a guest seeks.
    position: Mutex<u64>,
    inode: Arc<dyn Inode>,
    node: Arc<HostNode>,
}

impl HostDirectory {
    pub(super) fn new(node: Arc<HostNode>, file: OwnedFd) -> HostDirectory {
        HostDirectory { file, position: Mutex::new(0), inode: node.clone(), node }
    }
}

/// Reads entries of an open directory from where it is, as many as the host gives for a buffer of about `room` bytes.
pub(super) fn read_entries(file: &OwnedFd, room: usize) -> Result<Vec<DirectoryEntry>> {
    let mut buffer = vec![MaybeUninit::uninit(); room.clamp(512, 32768)];
    let mut raw = RawDir::new(file, &mut buffer);
    let mut entries = Vec::new();
    while let Some(entry) = raw.next() {
        let entry = entry?;
        entries.push(DirectoryEntry {
            name: entry.file_name().to_bytes().to_vec(),
            inode: entry.ino(),
            kind: kind_of(entry.file_type()),
            next: entry.next_entry_cookie(),
        });
        if raw.is_buffer_empty() {
            break;
        }
    }
    Ok(entries)
}

fn kind_of(kind: rustix::fs::FileType) -> u8 {
    use rustix::fs::FileType;
    match kind {
        FileType::RegularFile => libc::DT_REG,
        FileType::Directory => libc::DT_DIR,
        FileType::Symlink => libc::DT_LNK,
        FileType::Fifo => libc::DT_FIFO,
        FileType::Socket => libc::DT_SOCK,
        FileType::CharacterDevice => libc::DT_CHR,
        FileType::BlockDevice => libc::DT_BLK,
        FileType::Unknown => libc::DT_UNKNOWN,
    }
}

impl File for HostDirectory {
    fn read(&self, _: &mut [u8], _: u64) -> Result<usize> {
        Err(Errno::ISDIR)
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

    fn entries(&self, position: u64, room: usize) -> Result<Vec<DirectoryEntry>> {
        let mut at = lock(&self.position);
        if *at != position {
            rustix::fs::seek(&self.file, SeekFrom::Start(position))?;
        }
        let entries = read_entries(&self.file, room)?;
        *at = entries.last().map_or(position, |last| last.next);
        Ok(entries)
    }

    fn sync(&self, _data_only: bool) -> Result<()> {
        rustix::fs::fsync(&self.file)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
